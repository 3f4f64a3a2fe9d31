#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# svga.sh GUESTS.SH - makes svga-initrd64.gz beside the guests of tests/boot/guests.sh and prints where: its tools-initrd64.gz, and behind that
# (Linux takes archives one after another) the kernel's vmwgfx and bochs, loaded by `card vmwgfx` and `card bochs`, udev, an X server with
# xrandr and xterm, weston, and libdrm's modetest, with all that they need.  Packages are downloaded and unpacked, never installed.
# shellcheck disable=SC2016
set -euo pipefail
"$1" vmlinuz-amd64 tools-initrd64.gz
cache=$("$1" --dir)
out=$cache/svga-initrd64.gz
kernel=$cache/pkg/linux-image-amd64
if [ ! "$out" -nt "$0" ] || [ ! "$out" -nt "$cache/tools-initrd64.gz" ]; then
	[ -d "$kernel" ] || {
		echo "svga.sh: $kernel is gone; remove $cache/tools-initrd64.gz, and it is unpacked anew" >&2
		exit 1
	}
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	mkdir -p "$work/debs" "$work/tree/bin"
	cd "$work/debs"
	# Without what is there for the package manager, at boot, for 3D, video and looks.
	apt-get -s -o Dir::State::status=/dev/null -o APT::Install-Recommends=false install weston xserver-xorg-core \
		xserver-xorg-input-libinput udev x11-xserver-utils libdrm-tests xterm 2>/dev/null | awk '/^Inst/ {print $2}' |
		grep -vE "^(libllvm|libgl1-mesa-dri|libgallium|gcc-|cpp|base-|deb|dpkg|perl|libperl|liblocale|adwaita|hicolor|fontconfig-config|systemd|\
init|adduser|passwd|login|mount|util-linux$|coreutils|apt|tar$|python|dmsetup|kmod|gtk-|iso-codes|mime|shared-mime|keyboard-conf|\
libpam-|libav|libx26|libcodec2|libaom|libsvtav|librav1e|libdav1d|libgstreamer|libpipewire|libspa|libfreerdp|libwinpr|libvpx|libmfx|libisl|\
libdb5|libsemanage|libsepol|lsb-|xbitmaps|libvdpau|ocl-|libtwolame|libshine|libzvbi|libxvid|libswscale|libjxl)" >../packages
	# shellcheck disable=SC2046
	apt-get -qq -o APT::Sandbox::User=root download $(cat ../packages) >/dev/null || {
		echo "svga.sh: the packages of an X server and weston cannot be had" >&2
		exit 1
	}
	for deb in *.deb; do
		dpkg-deb -x "$deb" ../tree
	done
	cd ../tree
	rm -rf usr/share/{doc,man,locale,icons,info,mime,vala,themes,zoneinfo,bash-completion} var usr/lib/x86_64-linux-gnu/{gconv,dri,audit} \
		usr/lib/x86_64-linux-gnu/libicui* usr/lib/{systemd,udev}
	modules=$(basename "$kernel"/lib/modules/*)
	printf '#!/bin/sh\n# the modules of a graphics driver\ncase $1 in\n' >bin/card
	for m in vmwgfx bochs; do
		echo "$m)" >>bin/card
		/sbin/modprobe -d "$kernel" -S "$modules" --show-depends "$m" | sed -n 's/^insmod \(.*\) *$/\1/p' | tr -d ' ' | while read -r f; do
			install -D -m 644 "$f" "lib/modules/card/$(basename "$f")"
			echo "	insmod /lib/modules/card/$(basename "$f") 2>/dev/null" >>bin/card
		done
		echo "	;;" >>bin/card
	done
	printf 'esac\ngrep -q "^${1} " /proc/modules\n' >>bin/card
	chmod +x bin/card
	find . | cpio -o -H newc --quiet | gzip -1 | cat "$cache/tools-initrd64.gz" - >"$out.new"
	mv "$out.new" "$out"
fi
echo "$out"
