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

# Behind NAT, whose router is 10.0.2.2; from=URL: what is to be fetched, to=HOST:PORT: where as much is to be sent.
do_net() {
	ip link set lo up
	ip link set eth0 up
	ip addr add 10.0.2.15/24 dev eth0
	ip route add default via 10.0.2.2
	ping -c 3 -w 20 10.0.2.2 >/dev/null && echo "NET-PING $(cat /sys/class/net/eth0/address)"
	from=$(sed -n 's/.*\bfrom=\([^ ]*\).*/\1/p' /proc/cmdline)
	to=$(sed -n 's/.*\bto=\([^ ]*\).*/\1/p' /proc/cmdline | tr : ' ')
	began=$(cut -d ' ' -f 1 /proc/uptime)
	[ -z "$from" ] || echo "NET-FROM $(wget -q -O - "$from" | md5sum | cut -c 1-32) $began $(cut -d ' ' -f 1 /proc/uptime)"
	began=$(cut -d ' ' -f 1 /proc/uptime)
	# shellcheck disable=SC2086
	[ -z "$to" ] || echo "NET-TO $(dd if=/dev/zero bs=1M count=100 2>/dev/null | nc $to) $began $(cut -d ' ' -f 1 /proc/uptime)"
	grep eth0 /proc/net/dev
}

# Each disk is read, then written to at 1 MiB and read again past the cache.
do_disk() {
	for d in /dev/vd?; do
		n=${d##*/}
		echo "DISK $n $(cat "/sys/block/$n/size") $(cat "/sys/block/$n/serial") $(md5sum <"$d" | cut -c 1-32)"
		dd if=/dev/urandom of=/tmp/part bs=1M count=3 2>/dev/null
		dd if=/tmp/part of="$d" bs=1M seek=1 conv=notrunc,fsync 2>/dev/null
		echo 3 >/proc/sys/vm/drop_caches
		[ "$(md5sum </tmp/part)" = "$(dd if="$d" bs=1M skip=1 count=3 2>/dev/null | md5sum)" ] && echo "DISK-SAME $n"
		blkdiscard -o 8388608 -l 1048576 "$d" && echo "DISK-DISCARD $n"
		sync
		echo "DISK-AFTER $n $(md5sum <"$d" | cut -c 1-32)"
	done
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
