#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# virtio-init.sh - the first program of guests that try virtio: loads the drivers, does what the command line says
# (do=rng,disk,...), a function each, and then offers a shell.  guests.sh puts the list of modules in.
MODULES=
export PATH=/bin:/usr/bin:/sbin:/usr/sbin TERM=linux
/bin/busybox mkdir -p /usr/bin /usr/sbin /sbin
/bin/busybox --install -s
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev

# What a driver and its device agreed on: bit 28 indirect, 29 event index, 32 version 1, 34 packed.
features() {
	for d in /sys/bus/virtio/devices/*; do
		[ ! -e "$d" ] || echo "FEATURES $(cat "$d/device") $(cut -c 29-36 "$d/features")"
	done
}

do_rng() {
	echo "RNG $(cat /sys/devices/virtual/misc/hw_random/rng_current) $(dd if=/dev/hwrng bs=1000 count=100 2>/dev/null | wc -c)"
	# of random bytes, gzip leaves none out
	[ "$(dd if=/dev/hwrng bs=4096 count=16 2>/dev/null | gzip -c | wc -c)" -lt 65536 ] || echo "RNG-RANDOM"
}

do_off() {
	poweroff -f
	sleep 100
}

echo "GUEST-UP $(uname -m) cpus=$(grep -c ^processor /proc/cpuinfo)"
for m in $MODULES; do modprobe "$m"; done
features
for what in $(sed -n 's/.*\bdo=\([^ ]*\).*/\1/p' /proc/cmdline | tr , ' '); do
	"do_$what"
done
echo "GUEST-PROMPT"
while :; do setsid cttyhack sh; done
