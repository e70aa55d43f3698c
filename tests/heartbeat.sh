#!/usr/bin/env bash
# Captures corpus/heartbeat under load with every Go version named: no errors, no strays (tests/heartbeat.c).
#
#	heartbeat.sh DRIVER [MEGABYTES [ROUNDS [fork|stop [calm]]]]
#
# HEAPWHY_TEST_LONG=1: 500 rounds at 100 MB and 100 at 1 GB, under load; 100 each without.
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
driver=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

goroot=$("$top/scripts/go-toolchains.sh" "${HEAPWHY_GO:-1.26}" | cut -d' ' -f2)
export GOTOOLCHAIN=local GOPROXY=off GOFLAGS=-mod=mod
(cd "$top/corpus/heartbeat" && "$goroot/bin/go" build -o "$work/heartbeat" .)

if [ $# -gt 1 ]; then
	"$driver" "$work/heartbeat" "$2" "${3:-20}" "${4:-fork}" "${@:5}"
elif [ -n "${HEAPWHY_TEST_LONG:-}" ]; then
	"$driver" "$work/heartbeat" 100 500
	"$driver" "$work/heartbeat" 1024 100
	"$driver" "$work/heartbeat" 100 100 fork calm
	"$driver" "$work/heartbeat" 1024 100 fork calm
	"$driver" "$work/heartbeat" 100 100 stop
else
	"$driver" "$work/heartbeat" 100 20
	"$driver" "$work/heartbeat" 100 5 stop
fi
