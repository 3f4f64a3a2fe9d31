#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# sound_guest.sh - makes sound-initrd64.gz in the cache of guests.sh, whose functions it uses: a Linux with the drivers of our sound
# cards, ALSA's tools and a shell on the first serial line.  Prints its path.  Tests append files to it (a cpio archive).
HERE=$(dirname "$0")
# shellcheck source=tests/boot/guests.sh
. "$HERE/guests.sh" --dir >/dev/null
NAME=sound-initrd64.gz
MODULES="snd_hda_intel snd_hda_codec_generic snd_intel8x0 snd_sb16 pcspkr evdev"
PACKAGES="alsa-utils libasound2 libasound2-data libc6"

sound_initrd() {
	local d p t=$CACHE/.tree.$$
	# shellcheck disable=SC2086
	drivers_tree "$t" busybox-static linux-image-amd64 $MODULES
	mkdir -p "$t"/{lib,lib64,usr/bin,usr/lib,usr/share,root}
	for d in $PACKAGES; do
		d=$(unpack "$d")
		for p in lib lib64 usr/lib usr/share/alsa; do
			[ ! -d "$d/$p" ] || { mkdir -p "$t/$p" && cp -a "$d/$p/." "$t/$p/"; }
		done
		for p in aplay arecord amixer speaker-test; do
			[ ! -e "$d/usr/bin/$p" ] || cp -a "$d/usr/bin/$p" "$t/usr/bin/"
		done
	done
	rm -rf "$t"/usr/lib/x86_64-linux-gnu/{gconv,audit} "$t/usr/lib/systemd"
	cat >"$t/init" <<-'INIT'
		#!/bin/sh
		export PATH=/bin:/usr/bin:/sbin TERM=dumb
		/bin/busybox mkdir -p /sbin
		/bin/busybox --install -s /bin
		mount -t proc proc /proc
		mount -t sysfs sys /sys
		mount -t devtmpfs dev /dev
		mount -t tmpfs tmp /tmp
		cd /tmp
		echo "GUEST-PROMPT"
		while :; do PS1= setsid sh </dev/ttyS0 >/dev/ttyS0 2>&1; done
	INIT
	cat >"$t/bin/loud" <<-'LOUD'
		#!/bin/sh
		# every control of the first card as loud as the card makes it, and not muted
		amixer scontrols | cut -d "'" -f 2 | while read -r c; do
			amixer -q sset "$c" 100% unmute 2>/dev/null || amixer -q sset "$c" 100% 2>/dev/null
			amixer -q sset "$c" cap 2>/dev/null
		done
		amixer
	LOUD
	chmod +x "$t/init" "$t/bin/loud"
	pack_tree "$t" "$NAME"
}

exec 9>"$CACHE/.lock"
flock 9 # one at a time, with guests.sh
[ -s "$CACHE/$NAME" ] && [ "$CACHE/$NAME" -nt "$0" ] || sound_initrd
echo "$CACHE/$NAME"
