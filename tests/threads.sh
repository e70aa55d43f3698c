#!/usr/bin/env bash
# libheapwhy's containers for many threads under the thread sanitizer: builds only these, and runs their tests. TAP.
#
#   tests/threads.sh [FOLDER]
set -uo pipefail
cd "$(dirname "$0")/.."
folder=${1:-build-threads}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The sanitizer does not model fences, as gcc warns; it needs none of ours to see that things happen in order.
build() {
	[ -e "$folder/build.ninja" ] ||
		meson setup "$folder" -Dwerror=true -Db_sanitize=thread -Db_lundef=false -Doptimization=1 \
			-Dc_args=-Wno-tsan || return
	ninja -C "$folder" build.ninja &&
	mapfile -t programs < <(meson introspect --tests "$folder" | python3 -c '
import json, os, sys
for test in json.load(sys.stdin):
    if any(suite.endswith(":threads") for suite in test["suite"]):
        print(os.path.relpath(test["cmd"][0], sys.argv[1]))' "$PWD/$folder") &&
	ninja -C "$folder" "${programs[@]}"
}
if build > "$log" 2>&1; then
	exec tests/unit.py "$folder" threads
fi
echo "not ok - $folder"
tail -40 "$log" | sed 's/^/# /'
exit 1
