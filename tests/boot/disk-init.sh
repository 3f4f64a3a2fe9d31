#!/bin/sh
# The init of disk-initrd*.gz: Linux with the drivers of disk controllers.  It does what its command line says in do=, one after
# the other, and what it finds goes to the serial console as lines that begin with DISK.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
MODULES=
for m in $MODULES; do modprobe $m 2>/dev/null; done
exec </dev/ttyS0 >/dev/ttyS0 2>&1
echo "DISK-UP $(uname -m)"

disks() {
	ls /sys/block | grep -E '^(sd|vd|nvme|sr)' | sort
}

settle() { # as many disks as the command line's disks= says
	n=0
	while [ "$(disks | wc -l)" -lt "${disks:-1}" ] && [ $n -lt 300 ]; do
		sleep 0.1
		n=$((n + 1))
	done
}

list() { # name, sectors, model
	for d in $(disks); do
		echo "DISK $d $(cat /sys/block/$d/size) $(cat /sys/block/$d/device/model 2>/dev/null)"
	done
}

sums() { # of what is on each, read past the page cache's state
	echo 3 >/proc/sys/vm/drop_caches
	for d in $(disks); do
		echo "DISK $d sum $(md5sum </dev/$d | cut -d' ' -f1)"
	done
}

# Each disk that may be written gets the same bytes at places that are spread over it; then they are read back.
fill() {
	for d in $(disks); do
		[ "$(cat /sys/block/$d/ro)" = 0 ] || continue
		size=$(($(cat /sys/block/$d/size) / 2048))
		for k in 0 1 3 7; do
			dd if=/bin/busybox of=/dev/$d bs=64k seek=$((k * size * 2)) conv=notrunc 2>/dev/null
		done
		sync
		echo 3 >/proc/sys/vm/drop_caches
		n=$(wc -c </bin/busybox)
		for k in 0 1 3 7; do
			dd if=/dev/$d bs=64k skip=$((k * size * 2)) 2>/dev/null | head -c "$n" | cmp - /bin/busybox || echo "DISK $d differs"
		done
		echo "DISK $d filled"
	done
}

# Many readers and writers of one disk at once: a queue with much in it.
storm() {
	for d in $(disks); do
		[ "$(cat /sys/block/$d/ro)" = 0 ] || continue
		for k in 0 1 2 3 4 5 6 7; do
			(
				dd if=/dev/zero of=/dev/$d bs=4k count=256 seek=$((k * 512)) conv=notrunc 2>/dev/null
				dd if=/bin/busybox of=/dev/$d bs=4k seek=$((k * 512)) conv=notrunc 2>/dev/null
			) &
		done
		wait
		sync
		echo 3 >/proc/sys/vm/drop_caches
		n=$(wc -c </bin/busybox)
		for k in 0 1 2 3 4 5 6 7; do
			(dd if=/dev/$d bs=4k skip=$((k * 512)) 2>/dev/null | head -c "$n" | cmp - /bin/busybox || echo "DISK $d differs") &
		done
		wait
		echo "DISK $d stormed"
	done
}

# Waits for disks to come and go as often as the command line's times= says; the host does that.
hotplug() {
	n=0
	while [ $n -lt "${times:-1}" ]; do
		while ! true </dev/sdb; do sleep 0.02; done 2>/dev/null # its node is there a moment before it can be opened
		n=$((n + 1))
		echo "DISK-IN $n $(md5sum </dev/sdb | cut -d' ' -f1)"
		while [ -b /dev/sdb ]; do sleep 0.02; done
		echo "DISK-OUT $n"
	done
}

# The second quarter of each disk is of no use any more.
trim() {
	for d in $(disks); do
		[ "$(cat /sys/block/$d/ro)" = 0 ] || continue
		quarter=$(($(cat /sys/block/$d/size) / 4 * 512))
		if blkdiscard -o $quarter -l $quarter /dev/$d; then echo "DISK $d trimmed"; else echo "DISK $d cannot be trimmed"; fi
	done
}

# CDs come and go, as often as times= says.
changer() {
	n=0
	while [ $n -lt "${times:-1}" ]; do
		while ! head -c 1 /dev/sr0 >/dev/null 2>&1; do sleep 0.05; done
		n=$((n + 1))
		echo "CD-IN $n $(md5sum </dev/sr0 | cut -d' ' -f1)"
		while head -c 1 /dev/sr0 >/dev/null 2>&1; do sleep 0.05; done
		echo "CD-OUT $n"
	done
}

for word in $(cat /proc/cmdline); do
	case $word in
	disks=*) disks=${word#disks=} ;;
	times=*) times=${word#times=} ;;
	do=*) jobs=$(echo "${word#do=}" | tr , ' ') ;;
	esac
done
settle
for job in $jobs; do $job; done
dmesg -r | grep -E '^<[0-3]>' | while read -r l; do echo "LOG $l"; done
echo "DISK-DONE"
while :; do sh; done
