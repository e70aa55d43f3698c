#!/usr/bin/env bash
# Makes captured images in this directory, one a toolchain: tests/images/capture.sh [VERSION...]
# Committed is one for each way that Go has had to tell pointers: 1.19, 1.21, 1.24, 1.27.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=${BUILD:-build}
cache=${HEAPWHY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/heapwhy}
export GO111MODULE=on GOFLAGS=-mod=mod GOTOOLCHAIN=local GOPROXY=off GOCACHE="$cache/gocache" CGO_ENABLED=0

ninja -C "$build" tests/image_capture > /dev/null
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkfifo "$work/input"

scripts/go-toolchains.sh "$@" | while read -r version root; do
	(cd tests/images && "$root/bin/go" build -trimpath -ldflags='-s -w' -o "$work/program" .)
	GOMAXPROCS=2 "$work/program" < "$work/input" 2> "$work/output" &
	pid=$!
	exec 3> "$work/input"
	until grep -q ready "$work/output"; do
		sleep 0.1
	done
	sleep 0.2
	read -r _ heap_alloc < "$work/output"
	"$build/tests/image_capture" "$pid" "$heap_alloc" "tests/images/go$version.hwi"
	exec 3>&-
	wait "$pid"
done
