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

from_cpp() {
	# shellcheck disable=SC2046
	g++ -std=c++17 -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Werror \
		$(pkg-config --cflags heapwhy) tests/library_user.cc $(pkg-config --libs heapwhy) -o "$work/cpp" &&
		LD_LIBRARY_PATH=$library "$work/cpp"
}
check "a program in C++" from_cpp

# Containers look and behave the same; nobody is in the register.
without_register() {
	gcc -std=gnu11 -D_GNU_SOURCE -DHW_NO_REGISTRY=1 -O1 -Iinclude -Isrc tests/registered.c src/containers/*.c \
		-lpthread -o "$work/unregistered" && [ "$("$work/unregistered" < /dev/null)" = ready ]
}
check "a build without the register" without_register

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

# What is used after it was given back is caught, and both places are named: by debug mode itself, by the address
# sanitizer with a library that was built without it, and by valgrind.
build_freed_use() { # WHAT FLAGS...
	local program=$work/freed-$1
	shift
	gcc -std=gnu11 -g -O1 "$@" $(pkg-config --cflags heapwhy) tests/freed_use.c "$library/libheapwhy.a" -lpthread -o "$program"
}
has_words() { # FILE WORD...
	local file=$1 word
	shift
	for word; do
		grep -q -- "$word" "$file" || {
			cat "$file"
			echo "does not say: $word"
			return 1
		}
	done
}
caught_by_debug() {
	! HEAPWHY_DEBUG=1 "$work/freed-plain" pool write > "$work/said" 2>&1 &&
		has_words "$work/said" 'written to after it was freed.*before: tests/freed_use.c:.*allocated: tests/freed_use.c:'
}
caught_by_sanitizer() { # CONTAINER HOW WORD...
	! "$work/freed-asan" "$1" "$2" > "$work/said" 2>&1 && has_words "$work/said" use-after-poison "${@:3}"
}
caught_by_valgrind() { # CONTAINER HOW WORD...
	! valgrind -q --error-exitcode=9 "$work/freed-plain" "$1" "$2" > "$work/said" 2>&1 &&
		has_words "$work/said" "Invalid $2" "${@:3}"
}
check "freed_use" build_freed_use plain
check "freed_use for the address sanitizer" build_freed_use asan -fsanitize=address
check "debug mode names both places" caught_by_debug
for how in read write; do
	check "the sanitizer catches a $how after free and both places are named" caught_by_sanitizer pool $how \
		'used after it was freed.*before: tests/freed_use.c:.*allocated: tests/freed_use.c:'
	check "valgrind catches a $how after free and names both places" caught_by_valgrind pool $how \
		"inside a block of size 64 free'd" order_return order_take
	for container in arena ring; do
		check "the sanitizer catches a $how of what a container took back: $container" \
			caught_by_sanitizer $container $how
		check "valgrind catches a $how of what a container took back: $container" \
			caught_by_valgrind $container $how
	done
done

# The examples use every container: valgrind has nothing to say about them.
clean_under_valgrind() {
	local program
	for program in "$build"/examples/example_*; do
		[ -x "$program" ] && [ -f "$program" ] || continue
		valgrind -q --error-exitcode=9 --leak-check=full "$program" || return
	done
}
check "valgrind has nothing to say about the examples" clean_under_valgrind

# Nor about the torture of the containers for many threads, which takes minutes there.
if [ "${HEAPWHY_TEST_LONG:-}" = 1 ]; then
	for name in cache concurrent_list concurrent_rings epoch object_pool read_map sharded_map; do
		check "valgrind has nothing to say about the tests of $name" \
			valgrind -q --error-exitcode=9 "$build/tests/test_$name"
	done
fi
