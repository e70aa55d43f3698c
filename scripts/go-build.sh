#!/usr/bin/env bash
# Build one Go program of the corpus with one toolchain, one way, and print the path of the executable.
#
#   scripts/go-build.sh VERSION VARIANT DIRECTORY
#   scripts/go-build.sh 1.26 stripped corpus/orders
#
# VARIANT: plain, stripped (-s -w), pie, cgo, race, noinline (-gcflags=all=-l); for another machine: arm64, arm64-stripped,
# arm64-pie, arm64-cgo.
# Nothing is fetched but the toolchain. Compiled packages are kept in the cache folder between runs.
set -euo pipefail

[ $# -eq 3 ] || { sed -n '2,/^set/s/^# \?//p' "$0" >&2; exit 2; }
version=$1 variant=$2 directory=$3
top=$(cd "$(dirname "$0")/.." && pwd)
cache=${HEAPWHY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/heapwhy}

cgo=0 arch=amd64
case $variant in
plain) flags=() ;;
stripped) flags=(-ldflags '-s -w') ;;
pie) flags=(-buildmode=pie) ;;
cgo) flags=() cgo=1 ;;
race) flags=(-race) cgo=1 ;;
noinline) flags=(-gcflags=all=-l) ;;
arm64) flags=() arch=arm64 ;;
arm64-stripped) flags=(-ldflags '-s -w') arch=arm64 ;;
arm64-pie) flags=(-buildmode=pie) arch=arm64 ;;
arm64-cgo) flags=() arch=arm64 cgo=1 ;;
*) echo "go-build: no variant called $variant" >&2; exit 2 ;;
esac

goroot=$("$top/scripts/go-toolchains.sh" "$version" | cut -d' ' -f2)
program=$cache/corpus/$version/$variant/$(basename "$directory")
# One module a program, none to fetch; no setting of the user's reaches the build.
export GOENV=off GOFLAGS=-mod=mod GO111MODULE=on GOTOOLCHAIN=local GOPROXY=off GOWORK=off GOEXPERIMENT=
export GOCACHE=$cache/gocache GOPATH=$cache/gopath CGO_ENABLED=$cgo GOARCH=$arch
[ "$arch$cgo" != arm641 ] || export CC=aarch64-linux-gnu-gcc
unset GOROOT GOOS GOAMD64 GODEBUG GOGC GOMEMLIMIT
cd "$directory"
"$goroot/bin/go" build "${flags[@]}" -o "$program" . >&2
echo "$program"
