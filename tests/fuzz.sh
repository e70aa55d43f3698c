#!/usr/bin/env bash
# Fuzz what reads files from elsewhere, for a minute each, all at once, under the address and undefined behaviour
# sanitizers. TAP. An input that fails is kept in build-fuzz/fuzz, to be put into fuzz/corpus once it is mended.
#
#   tests/fuzz.sh [TARGET...]                           core and snapshot, or those of fuzz/meson.build that are named
#   HEAPWHY_FUZZ_SECONDS=3600 tests/fuzz.sh core        for an hour
set -uo pipefail
cd "$(dirname "$0")/.."
folder=build-fuzz seconds=${HEAPWHY_FUZZ_SECONDS:-60}
[ $# -gt 0 ] || set -- core snapshot

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
build() {
	[ -e $folder/build.ninja ] ||
		CC=clang meson setup $folder -Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1 \
			-Dc_args=-fsanitize=fuzzer-no-link || return
	ninja -C $folder "${@/#/fuzz/fuzz_}"
}
if ! build "$@" > "$scratch/log" 2>&1; then
	echo "not ok - $folder"
	tail -40 "$scratch/log" | sed 's/^/# /'
	exit 1
fi

# The committed corpus is only read; what is new is thrown away.
fuzz() {
	mkdir "$scratch/$1"
	UBSAN_OPTIONS=halt_on_error=1 "$folder/fuzz/fuzz_$1" -max_total_time="$seconds" -timeout=25 -rss_limit_mb=4096 \
		-max_len=70000 -print_final_stats=1 -artifact_prefix="$folder/fuzz/$1-" \
		"$scratch/$1" "fuzz/corpus/$1" > "$scratch/$1.log" 2>&1
}
declare -A running
for target; do
	fuzz "$target" &
	running[$target]=$!
done
failed=0
for target; do
	if wait "${running[$target]}"; then
		executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$scratch/$target.log")
		echo "# $target: $executed inputs in $seconds s"
		echo "ok - fuzzing $target"
	else
		failed=1
		echo "not ok - fuzzing $target"
		tail -40 "$scratch/$target.log" | sed 's/^/# /'
	fi
done
exit $failed
