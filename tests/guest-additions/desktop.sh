#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# desktop.sh GUESTS.SH - makes desktop-initrd64.gz beside the guests of tests/boot/guests.sh and prints where: its tools-initrd64.gz, and behind
# that (Linux takes archives one after another) an X server, xclip and open-vm-tools-desktop with all that they need.  Packages are
# downloaded and unpacked, never installed.
set -euo pipefail
"$1" vmlinuz-amd64 tools-initrd64.gz
cache=$("$1" --dir)
out=$cache/desktop-initrd64.gz
if [ ! "$out" -nt "$0" ] || [ ! "$out" -nt "$cache/tools-initrd64.gz" ]; then
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	mkdir "$work/debs" "$work/tree"
	cd "$work/debs"
	# Without what is there for the package manager, at boot, for 3D and for looks.
	apt-get -s -o Dir::State::status=/dev/null -o APT::Install-Recommends=false install open-vm-tools-desktop xvfb xclip 2>/dev/null |
		awk '/^Inst/ {print $2}' | grep -vE "^(libllvm|libgl1-mesa-dri|libgallium|gcc-|base-|deb|dpkg|perl|libperl|adwaita|hicolor|\
fontconfig-config|systemd|udev|init|adduser|passwd|login|mount|util-linux$|fuse3|zerofree|open-vm-tools$|coreutils|x11-utils|dbus|libpam|\
apt|tar$|python|dmsetup|kmod|gtk-update|iso-codes|mime|shared-mime|pci.ids|iproute|ethtool|kbd|console)" >../packages
	# shellcheck disable=SC2046
	apt-get -qq -o APT::Sandbox::User=root download $(cat ../packages) >/dev/null || {
		echo "desktop.sh: the packages of an X server and open-vm-tools-desktop cannot be had" >&2
		exit 1
	}
	for deb in *.deb; do
		dpkg-deb -x "$deb" ../tree
	done
	cd ../tree
	rm -rf usr/share/{doc,man,locale,icons,info,mime,vala,themes,zoneinfo} var usr/lib/x86_64-linux-gnu/{gconv,dri,audit} \
		usr/lib/x86_64-linux-gnu/libicudata* usr/lib/{systemd,udev}
	find . | cpio -o -H newc --quiet | gzip -1 | cat "$cache/tools-initrd64.gz" - >"$out.new"
	mv "$out.new" "$out"
fi
echo "$out"
