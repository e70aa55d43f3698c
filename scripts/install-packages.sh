#!/usr/bin/env bash
# Install the Debian packages named in the given lists (one a line), if any is missing.
#
#   scripts/install-packages.sh LIST...
set -euo pipefail

missing=()
for package in $(cat "$@"); do
	state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "heapwhy needs these packages first: run as root 'apt-get install ${missing[*]}'" >&2
	exit 1
fi
echo "installing: ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get -q update >&2
apt-get -q -y --no-install-recommends install "${missing[@]}" >&2
