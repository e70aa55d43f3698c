#!/usr/bin/env bash
# Unpack every Go toolchain Debian ships into a cache folder, without installing one of them.
#
#   scripts/go-toolchains.sh [VERSION...]     fetch what is missing (default: all), print "VERSION GOROOT" lines
#
# The packages come from the suites named below, on the mirror that this machine's apt already uses. Only apt's own
# options are used: no source list, key or package state of the system changes.
set -euo pipefail

cache=${HEAPWHY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/heapwhy}/go
suites="bookworm bookworm-backports trixie trixie-backports"
all="1.19 1.21 1.22 1.23 1.24 1.25 1.26 1.27"
versions=${*:-$all}

complete() { [ -x "$cache/$1/lib/go-$1/bin/go" ] && [ -d "$cache/$1/lib/go-$1/src/runtime" ] && [ -e "$cache/$1/.complete" ]; }

missing=""
for v in $versions; do complete "$v" || missing="$missing $v"; done

if [ -n "$missing" ]; then
	mkdir -p "$cache"
	exec 9> "$cache/.lock"
	flock 9
	state=$(mktemp -d)
	trap 'rm -rf "$state"' EXIT
	mkdir -p "$state/lists/partial" "$state/archives/partial" "$state/parts"
	# The mirror this machine uses for Debian's main archive, whatever its name is.
	site=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' |
		awk '$2 ~ /^bookworm(-updates)?$/ {print $1; exit}')
	[ -n "$site" ] || { echo "go-toolchains: apt has no package lists; run 'apt-get update' first" >&2; exit 1; }
	for s in $suites; do
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $s main"
	done > "$state/sources.list"
	apt=(-q -o "Dir::Etc::sourcelist=$state/sources.list" -o "Dir::Etc::sourceparts=$state/parts"
		-o "Dir::State::lists=$state/lists" -o "Dir::Cache::archives=$state/archives"
		-o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root
		-o Acquire::Languages=none -o Acquire::Retries=3)
	apt-get "${apt[@]}" update >&2
	for v in $missing; do
		complete "$v" && continue
		echo "go-toolchains: fetching Go $v" >&2
		rm -rf "${cache:?}/$v" "$state/unpack"
		mkdir -p "$state/deb" "$state/unpack"
		(cd "$state/deb" && rm -f ./*.deb && apt-get "${apt[@]}" download "golang-$v-go" "golang-$v-src" >&2)
		for d in "$state"/deb/*.deb; do dpkg -x "$d" "$state/unpack"; done
		# Debian splits GOROOT over /usr/lib and /usr/share and joins it with links to absolute paths.
		mkdir -p "$cache/$v/lib" "$cache/$v/share"
		cp -a "$state/unpack/usr/lib/go-$v" "$cache/$v/lib/"
		cp -a "$state/unpack/usr/share/go-$v" "$cache/$v/share/"
		find "$cache/$v/lib/go-$v" -maxdepth 1 -type l | while read -r l; do
			t=$(readlink "$l")
			case $t in
			*/share/go-"$v"/*) ln -sfn "../../share/go-$v/${t##*/share/go-"$v"/}" "$l" ;;
			esac
		done
		touch "$cache/$v/.complete"
	done
fi

for v in $versions; do
	complete "$v" || { echo "go-toolchains: Go $v is incomplete in $cache" >&2; exit 1; }
	echo "$v $cache/$v/lib/go-$v"
done
