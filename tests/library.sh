#!/usr/bin/env bash
# libheapwhy as its users get it: installed, found by pkg-config, shared and static, from C and from C++. TAP.
#
#   tests/library.sh [BUILD]
set -uo pipefail
cd "$(dirname "$0")/.." || exit
build=${1:-build}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
check() { # NAME COMMAND...
	local name=$1
	shift
	if "$@" > "$work/log" 2>&1; then
		echo "ok - $name"
	else
		echo "not ok - $name"
		tail -5 "$work/log" | sed 's/^/# /'
	fi
}

install_library() {
	DESTDIR="$work/root" meson install -C "$build" --no-rebuild
}
check "installs" install_library
pc=$(find "$work/root" -name heapwhy.pc)
export PKG_CONFIG_PATH=${pc%/*} PKG_CONFIG_SYSROOT_DIR=$work/root
library=$(pkg-config --variable=libdir heapwhy)
flags=$(pkg-config --cflags --libs heapwhy)

# Each header by itself, in strict C11 and in C++.
for header in include/heapwhy/*.h; do
	name=heapwhy/${header##*/}
	# shellcheck disable=SC2086
	check "$name in C11" gcc -std=c11 -Wall -Wextra -Wno-unused-parameter -Werror -fsyntax-only $flags \
		-include "$name" -x c /dev/null
	# shellcheck disable=SC2086
	check "$name in C++" g++ -std=c++17 -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers \
		-Werror -fsyntax-only $flags -include "$name" -x c++ /dev/null
done

link_and_run() { # WHAT LIBRARIES...
	local program=$work/$1
	shift
	# shellcheck disable=SC2086
	gcc -D_GNU_SOURCE $(pkg-config --cflags heapwhy) examples/pool.c "$@" -lpthread -o "$program" &&
		LD_LIBRARY_PATH=$library "$program"
}
# shellcheck disable=SC2046
check "a program with the shared library" link_and_run shared $(pkg-config --libs heapwhy)
check "a program with the static library" link_and_run static "$library/libheapwhy.a"

only_ours() {
	! nm -D --defined-only "$build/libheapwhy.so" | grep -vE ' hw_| HEAPWHY_'
}
check "shows hw_ symbols only" only_ours
has_symbol() {
	nm -D --defined-only "$build/libheapwhy.so" | grep ' D hw_registry@@HEAPWHY_0'
}
check "shows the register" has_symbol
needs_only_libc() {
	! readelf -d "$build/libheapwhy.so" | grep NEEDED | grep -vE "libc\.so|ld-linux"
}
check "needs nothing but libc" needs_only_libc

# heapwhy reads the same figures from outside, without symbols, and reading them changes nothing.
read_from_outside() { # PROGRAM
	coproc program { exec env LD_LIBRARY_PATH="$library" "$1"; }
	local line inside="" outside
	while read -r line <&"${program[0]}" && [ "$line" != ready ]; do
		inside+=$line$'\n'
	done
	outside=$("$build/heapwhy" --json "$program_PID" | python3 -c '
import json, sys
for c in json.load(sys.stdin)["containers"]:
    print(c["kind"], c["name"], c["count"], c["used_bytes"], c["held_bytes"], sep="\t")')
	eval "exec ${program[1]}>&-"
	wait "$program_PID"
	echo "$inside"
	echo "$outside"
	[ "$(sort <<< "${inside%$'\n'}")" = "$(sort <<< "$outside")" ] && [ -n "$outside" ]
}
outside() { # WHAT LIBRARIES...
	local program=$work/registered-$1
	shift
	# shellcheck disable=SC2046
	gcc -D_GNU_SOURCE $(pkg-config --cflags heapwhy) tests/registered.c "$@" -lpthread -o "$program" &&
		strip "$program" && read_from_outside "$program"
}
# shellcheck disable=SC2046
check "heapwhy reads the register of a program with the shared library" outside shared $(pkg-config --libs heapwhy)
check "heapwhy reads the register of a program with the static library" outside static "$library/libheapwhy.a"
