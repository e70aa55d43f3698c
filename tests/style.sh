#!/usr/bin/env bash
# Do the sources look as .clang-format says, and has .clang-tidy nothing to say? TAP, a line a file.
#
#   tests/style.sh            look
#   tests/style.sh --fix      let clang-format rewrite what differs
set -uo pipefail
cd "$(dirname "$0")/.."

mapfile -t sources < <(git ls-files --cached --others --exclude-standard -- '*.c' '*.h')
if [ "${1:-}" = --fix ]; then
	clang-format -i "${sources[@]}"
	exit
fi

for file in "${sources[@]}"; do
	if problems=$(clang-format --dry-run -Werror "$file" 2>&1); then
		echo "ok - format of $file"
	else
		echo "not ok - format of $file: see 'make format'"
		grep -m 3 error <<< "$problems" | sed 's/^/# /'
	fi
done

[ -e build/compile_commands.json ] || meson setup build > /dev/null
tidy() {
	# gcc optimises the whole program, and clang says that it knows no such option. The analyzer follows only the smallest
	# calls: following all takes twice as long.
	if problems=$(clang-tidy -p build --quiet --extra-arg=-Wno-ignored-optimization-argument \
		--extra-arg=-Xclang --extra-arg=-analyzer-config --extra-arg=-Xclang --extra-arg=mode=shallow \
		"$1" 2> /dev/null); then
		echo "ok - clang-tidy on $1"
	else
		printf 'not ok - clang-tidy on %s\n%s\n' "$1" "$(grep -E ': (error|warning):' <<< "$problems" | sed 's/^/# /')"
	fi
}
export -f tidy
printf '%s\n' "${sources[@]}" | grep '^src/.*\.c$' | xargs -P "$(nproc)" -I{} bash -c 'tidy {}'
