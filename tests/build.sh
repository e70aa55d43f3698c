#!/usr/bin/env bash
# Build into a folder with warnings as errors, as a test: TAP.
#
#   tests/build.sh FOLDER [MESON OPTION...]
set -uo pipefail
cd "$(dirname "$0")/.."
folder=$1
shift

log=$(mktemp)
trap 'rm -f "$log"' EXIT
build() {
	if [ -e "$folder/build.ninja" ]; then
		meson configure "$folder" -Dwerror=true "$@"
	else
		meson setup "$folder" -Dwerror=true "$@"
	fi && ninja -C "$folder"
}
if build "$@" > "$log" 2>&1; then
	echo "ok - $folder"
else
	echo "not ok - $folder"
	tail -40 "$log" | sed 's/^/# /'
fi
