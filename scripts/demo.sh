#!/usr/bin/env bash
# The tool at work: a service that leaks, and what heapwhy says about it. `make demo` builds heapwhy first.
#
#   scripts/demo.sh [GO VERSION]
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
version=${1:-1.26}

orders=$("$top/scripts/go-build.sh" "$version" stripped "$top/corpus/orders")
exec {lines}< <(exec "$orders")
service=$!
trap 'kill "$service" 2> /dev/null || true' EXIT
echo "A service that takes orders, built with Go $version and stripped of symbols, is filling its memory ..."
read -r -t 60 -u "$lines" line || { echo "demo: the service did not start" >&2; exit 1; }
pid=${line#*pid=}
pid=${pid%% *}
printf '\n$ heapwhy %s\n' "$pid"
"$top/build/heapwhy" "$pid"
