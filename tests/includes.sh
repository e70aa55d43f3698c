#!/usr/bin/env bash
# A room may use the rooms above it, never one below (ARCHITECTURE.md). Prints TAP, a line a room.
set -euo pipefail
cd "$(dirname "$0")/.."

rooms="containers base target debuginfo goruntime graph ledger rules live probes trace lint output diff query server cli"

room_problems() {
	local room=$1 above=$2 file header
	for file in src/"$room"/*.[ch]; do
		[ -e "$file" ] || continue
		while read -r header; do
			case $header in
			*../*) echo "$file includes $header: name the room instead" ;;
			libelf.h | gelf.h | elfutils/* | dwarf.h)
				[ "$room" = debuginfo ] || echo "$file includes $header: only debuginfo knows libelf and libdw" ;;
			heapwhy/* | "$room"/*) ;;
			*/*)
				case " $rooms " in
				*" ${header%%/*} "*)
					case " $above " in
					*" ${header%%/*} "*) ;;
					*) echo "$file includes $header, a room below it" ;;
					esac ;;
				esac ;;
			*) [ ! -e "$(dirname "$file")/$header" ] || echo "$file includes $header without its room's name" ;;
			esac
		done < <(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]([^">]+)[>"].*/\1/p' "$file")
	done
}

above=""
for room in $rooms; do
	[ -d "src/$room" ] || continue
	problems=$(room_problems "$room" "$above")
	if [ -z "$problems" ]; then
		echo "ok - includes of $room"
	else
		echo "not ok - includes of $room"
		sed 's/^/# /' <<< "$problems"
	fi
	above="$above $room"
done
for room in src/*/; do
	case " $rooms " in
	*" $(basename "$room") "*) ;;
	*) echo "not ok - $(basename "$room") is not in the list of rooms" ;;
	esac
done
