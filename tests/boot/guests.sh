#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# guests.sh - fetches guests from distribution packages into a cache folder outside the tree and builds small images.
#   guests.sh NAME...        makes them; prints nothing if they are there
#   guests.sh --list         the names, and what file each makes
#   guests.sh --dir          the cache folder
# Packages are downloaded and unpacked, never installed.  i386 ones come by a private apt root, so the system's own
# package lists stay as they are.  TERRARIUM_GUESTS: another cache folder.
set -euo pipefail
CACHE=${TERRARIUM_GUESTS:-${XDG_CACHE_HOME:-$HOME/.cache}/terrarium/guests}
APT=$CACHE/.apt
mkdir -p "$CACHE"
CACHE=$(cd "$CACHE" && pwd)

SELF=$0

die() {
	echo "guests.sh: $*" >&2
	exit 1
}

# The address that the system has this release's packages from.
mirror_of() { # suite
	apt-cache policy | sed -n "s,^ *[0-9-]* \\(http[^ ]*\\) $1/main amd64 Packages.*,\\1,p" | head -1
}

apt_root() {
	[ -f "$APT/ready" ] && return
	mkdir -p "$APT"/{state/lists/partial,cache/archives/partial,etc/apt.conf.d,etc/preferences.d,etc/sources.list.d}
	local mirror suite key options="" components=main
	suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
	mirror=$(mirror_of "$suite")
	if [ -z "$mirror" ] && [ "$(id -u)" = 0 ]; then
		apt-get update -qq >/dev/null 2>&1 || true
		mirror=$(mirror_of "$suite")
	fi
	[ -n "$mirror" ] || die "apt has no package list of $suite; run apt-get update"
	case $mirror in *ubuntu*) components="main universe" ;; esac
	for key in /usr/share/keyrings/{debian,ubuntu}-archive-keyring.gpg; do
		[ ! -f $key ] || options="[signed-by=$key]"
	done
	echo "deb $options $mirror $suite $components" >"$APT/etc/sources.list"
	apt_in update -qq >/dev/null || die "the package lists could not be had from $mirror"
	touch "$APT/ready"
}

apt_in() { # [--arch ARCH] subcommand...
	local arch=amd64
	[ "$1" != --arch ] || { arch=$2 && shift 2; }
	apt-get -o APT::Architecture="$arch" -o Dir::State="$APT/state" -o Dir::Cache="$APT/cache" -o Dir::State::status=/dev/null \
		-o Dir::Etc::SourceList="$APT/etc/sources.list" -o Dir::Etc::SourceParts="$APT/etc/sources.list.d" \
		-o APT::Architectures::=amd64 -o APT::Architectures::=i386 -o APT::Sandbox::User=root \
		-o Debug::NoLocking=1 "$@"
}

# A package that is gone from the archive has a successor in newer lists.
download() { # folder package
	(cd "$1" && apt_in download -qq "$2" >/dev/null 2>&1) && return
	apt_in update -qq >/dev/null 2>&1 || true
	(cd "$1" && apt_in download -qq "$2" >/dev/null 2>&1)
}

# unpack PACKAGE[:ARCH]: prints the folder with its files.  A kernel's meta package stands for the real one.
unpack() {
	local p=$1 to=$CACHE/pkg/${1//:/_}
	if [ ! -f "$to/.done" ]; then
		apt_root
		local arch=${p#*:} name=${p%:*}
		[ "$arch" != "$p" ] || arch=amd64
		local real
		real=$(apt-cache -o Dir::State="$APT/state" -o Dir::Cache="$APT/cache" -o Dir::State::status=/dev/null \
			-o Dir::Etc::SourceList="$APT/etc/sources.list" -o Dir::Etc::SourceParts="$APT/etc/sources.list.d" \
			-o APT::Architectures::=amd64 -o APT::Architectures::=i386 depends "$name:$arch" 2>/dev/null |
			sed -n 's/^ *Depends: \(linux-image-[0-9][^ :]*\).*/\1/p' | head -1) || true
		rm -rf "$to"
		mkdir -p "$to"
		download "$to" "${real:-$name}:$arch" || die "package ${real:-$p} cannot be had"
		dpkg-deb -x "$to"/*.deb "$to"
		rm "$to"/*.deb
		touch "$to/.done"
	fi
	echo "$to"
}

# put FILE NAME: as $CACHE/NAME, complete or not at all.
put() {
	[ -f "$1" ] || die "$2 is not in its package"
	cp "$1" "$CACHE/$2.new"
	mv "$CACHE/$2.new" "$CACHE/$2"
}

kernel() { # name package
	local d
	d=$(unpack "$2")
	put "$(echo "$d"/boot/vmlinuz-*)" "$1"
}

# An initramfs whose init prints a line that tests look for, then offers a shell on the console.
initrd() { # name busybox-package
	local d t=$CACHE/.tree.$$
	d=$(unpack "$2")
	rm -rf "$t"
	mkdir -p "$t"/{bin,dev,proc,sys,tmp,etc}
	cp "$(find "$d" -name busybox -type f -perm -1 | head -1)" "$t/bin/busybox"
	for a in sh mount cat echo ls uname dmesg poweroff reboot sleep grep wc mkdir ps stty head dd md5sum mdev setsid cttyhack; do
		ln -s busybox "$t/bin/$a"
	done
	cat >"$t/init" <<-'INIT'
		#!/bin/sh
		export PATH=/bin TERM=linux
		mount -t proc proc /proc
		mount -t sysfs sys /sys
		mount -t devtmpfs dev /dev
		both() { # on the serial console, and on the screen if this kernel has one
			echo "$@"
			[ ! -c /dev/tty1 ] || echo "$@" >/dev/tty1
		}
		both "GUEST-UP $(uname -m) cpus=$(grep -c ^processor /proc/cpuinfo) online=$(cat /sys/devices/system/cpu/online)"
		case " $(cat /proc/cmdline) " in
		*" guest=threads "*)
			# two workers at once, each pinned by the scheduler where it likes; both sums must come out right
			for i in 1 2; do
				(n=0; k=0; while [ $k -lt 20000 ]; do k=$((k + 1)); n=$((n + k)); done; echo "WORKER $i $n") &
			done
			wait
			echo "THREADS-DONE"
			;;
		esac
		case " $(cat /proc/cmdline) " in
		*" guest=log "*)
			# what the kernel warned of, with its levels, and what it takes its CPU for
			dmesg -r | grep -E '^<[0-4]>|WARNING|Firmware Bug|unchecked MSR|isolation: enabled' |
				while read -r l; do echo "LOG $l"; done
			(cd /sys/devices/system/cpu/vulnerabilities && grep . *) | while read -r l; do echo "CPU $l"; done
			echo "LOG-DONE"
			;;
		esac
		case " $(cat /proc/cmdline) " in
		*" guest=off "*) poweroff -f ;;
		*" guest=reboot "*) reboot -f ;;
		esac
		[ ! -c /dev/tty1 ] || (while :; do setsid sh -c "exec cttyhack sh </dev/tty1 >/dev/tty1 2>&1"; done) &
		both "GUEST-PROMPT"
		while :; do setsid cttyhack sh; done
	INIT
	chmod +x "$t/init"
	(cd "$t" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet | gzip -9n) >"$CACHE/$1.new"
	mv "$CACHE/$1.new" "$CACHE/$1"
	rm -rf "$t"
}

isolinux_iso() { # name kernel initrd cmdline
	local d s t=$CACHE/.iso.$$
	d=$(unpack isolinux)
	s=$(unpack syslinux-common)
	rm -rf "$t"
	mkdir -p "$t/isolinux"
	cp "$d/usr/lib/ISOLINUX/isolinux.bin" "$s/usr/lib/syslinux/modules/bios/ldlinux.c32" "$t/isolinux/"
	cp "$CACHE/$2" "$t/vmlinuz"
	cp "$CACHE/$3" "$t/initrd.gz"
	printf 'SERIAL 0 115200\nDEFAULT go\nPROMPT 0\nLABEL go\nKERNEL /vmlinuz\nINITRD /initrd.gz\nAPPEND %s\n' "$4" \
		>"$t/isolinux/isolinux.cfg"
	# An isohybrid image: the same file boots as a CD and, by its MBR, as a hard disk.
	xorriso -as mkisofs -quiet -V GUEST -o "$CACHE/$1.new" -b isolinux/isolinux.bin -c isolinux/boot.cat \
		-no-emul-boot -boot-load-size 4 -boot-info-table -isohybrid-mbr "$d/usr/lib/ISOLINUX/isohdpfx.bin" "$t" 2>/dev/null
	mv "$CACHE/$1.new" "$CACHE/$1"
	rm -rf "$t"
}

# What was made by an older version of this script is made again.
need() {
	for n in "$@"; do
		[ -s "$CACHE/$n" ] && [ "$CACHE/$n" -nt "$SELF" ] || make_guest "$n"
	done
}

CONSOLE="console=tty0 console=ttyS0,115200 loglevel=4 panic=-1"
xen_iso() {
	need vmlinuz-amd64 initrd64.gz
	local x t=$CACHE/.xen.$$
	x=$(unpack xen-hypervisor-4.17-amd64)
	rm -rf "$t"
	mkdir -p "$t/boot/grub"
	cp "$x"/boot/xen-*.gz "$t/boot/xen.gz"
	cp "$CACHE/vmlinuz-amd64" "$t/boot/vmlinuz"
	cp "$CACHE/initrd64.gz" "$t/boot/initrd.gz"
	cat >"$t/boot/grub/grub.cfg" <<-'CFG'
		set timeout=0
		menuentry xen {
			multiboot2 /boot/xen.gz com1=115200,8n1 console=com1 dom0_mem=256M,max:256M noreboot sched=credit
			module2 /boot/vmlinuz console=hvc0 earlyprintk=xen panic=-1
			module2 /boot/initrd.gz
		}
	CFG
	grub-mkrescue -d /usr/lib/grub/i386-pc -o "$CACHE/xen.iso.new" "$t" >/dev/null 2>&1 || die "grub-mkrescue failed"
	mv "$CACHE/xen.iso.new" "$CACHE/xen.iso"
	rm -rf "$t"
}

installer() { # arch text|gtk
	local d f kind=$2
	d=$(unpack "debian-installer-12-netboot-$1:all")
	f=$(find "$d" -path "*/$kind/debian-installer/$1/linux" | head -1)
	[ -n "$f" ] || die "no $kind installer for $1 in the package"
	put "$f" "di-$1-$kind-linux"
	put "$(dirname "$f")/initrd.gz" "di-$1-$kind-initrd.gz"
}

# A Debian to run programs in: the packages' files, and nothing configured.  The folder of the same name serves chroot.
DEBIAN="bash coreutils dash gcc grep libc6-dev libpython3-stdlib mount nodejs openssl python3-minimal sed sqlite3
stress-ng util-linux xz-utils zstd"
debian_root() { # folder arch
	local d
	apt_root
	rm -rf "$1"
	mkdir -p "$1"/{usr/{bin,sbin,lib,lib32,lib64,libx32},dev,proc,sys,run}
	mkdir -m 1777 "$1/tmp"
	for d in bin sbin lib lib32 lib64 libx32; do
		ln -s "usr/$d" "$1/$d"
	done
	# shellcheck disable=SC2086
	apt_in --arch "$2" install -qq -y --no-install-recommends --download-only $DEBIAN >/dev/null ||
		die "the packages of a Debian root ($2) cannot be had"
	# what is downloaded already has no URI, but for a cache that is elsewhere
	# shellcheck disable=SC2086
	apt_in --arch "$2" -o Dir::Cache::archives="$1/tmp" install -y --no-install-recommends --print-uris $DEBIAN |
		sed -n "s/^'[^']*' \([^ ]*\.deb\) .*/\1/p" |
		while read -r d; do
			dpkg-deb --fsys-tarfile "$APT/cache/archives/$d" |
				tar -x -C "$1" --keep-directory-symlink --exclude './usr/share/doc/*' --exclude './usr/share/man/*'
		done
}

debian_disk() { # name arch
	local root=$CACHE/${1%.img}
	debian_root "$root.new" "$2"
	mke2fs -q -t ext4 -O ^has_journal -m 0 -d "$root.new" -F "$CACHE/$1.new" 1G
	rm -rf "$root"
	mv "$root.new" "$root"
	mv "$CACHE/$1.new" "$CACHE/$1"
}

# For such a disk: mounts it, and what was appended to this archive as /scripts on its /tmp, and runs /tmp/scripts/start there.
debian_initrd() { # name busybox-package kernel-package
	local b f k m t=$CACHE/.tree.$$
	b=$(unpack "$2")
	k=$(unpack "$3")
	rm -rf "$t"
	mkdir -p "$t"/{bin,dev,proc,sys,disk}
	cp "$(find "$b" -name busybox -type f -perm -1 | head -1)" "$t/bin/busybox"
	ln -s busybox "$t/bin/sh"
	m=$(basename "$k"/lib/modules/*)
	/sbin/depmod -b "$k" "$m"
	for f in ata_piix sd_mod ext4 crc32c_generic; do /sbin/modprobe -d "$k" -S "$m" --show-depends $f; done |
		sed -n 's/^insmod \(.*\) *$/\1/p' | sort -u | while read -r f; do install -D -m 644 "$f" "$t/${f#"$k/"}"; done
	cp "$k/lib/modules/$m"/modules.{order,builtin,builtin.modinfo} "$t/lib/modules/$m"
	/sbin/depmod -b "$t" "$m"
	cat >"$t/init" <<-'INIT'
		#!/bin/sh
		export PATH=/bin:/usr/bin:/sbin:/usr/sbin
		/bin/busybox --install -s /bin
		mount -t proc proc /proc
		mount -t sysfs sys /sys
		mount -t devtmpfs dev /dev
		for m in crc32c_generic ata_piix sd_mod ext4; do modprobe $m; done
		n=0
		while [ ! -b /dev/sda ] && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
		mount -t ext4 -o ro,noatime /dev/sda /disk || echo "no disk"
		mount -t tmpfs -o size=80% tmp /disk/tmp
		cp -r /scripts /disk/tmp/scripts
		for d in proc sys dev; do mount --move /$d /disk/$d; done
		chroot /disk /bin/sh /tmp/scripts/start
		echo "GUEST-EXIT $?"
		poweroff -f
	INIT
	chmod +x "$t/init"
	(cd "$t" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet | gzip -9n) >"$CACHE/$1.new"
	mv "$CACHE/$1.new" "$CACHE/$1"
	rm -rf "$t"
}

# A tree with busybox, and modules with what they need: the beginning of an initramfs with drivers.
drivers_tree() { # tree busybox-package kernel-package module...
	local b f k m t=$1
	b=$(unpack "$2")
	k=$(unpack "$3")
	rm -rf "$t"
	mkdir -p "$t"/{bin,dev,etc,mnt,proc,sys,tmp}
	cp "$(find "$b" -name busybox -type f -perm -1 | head -1)" "$t/bin/busybox"
	ln -s busybox "$t/bin/sh"
	m=$(basename "$k"/lib/modules/*)
	/sbin/depmod -b "$k" "$m"
	shift 3
	for f in "$@"; do /sbin/modprobe -d "$k" -S "$m" --show-depends "$f" 2>/dev/null || true; done |
		sed -n 's/^insmod \(.*\) *$/\1/p' | sort -u | while read -r f; do install -D -m 644 "$f" "$t/${f#"$k/"}"; done
	cp "$k/lib/modules/$m"/modules.{order,builtin,builtin.modinfo} "$t/lib/modules/$m"
	/sbin/depmod -b "$t" "$m"
}

pack_tree() { # tree name: the tree becomes the initramfs
	(cd "$1" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet | gzip -9n) >"$CACHE/$2.new"
	mv "$CACHE/$2.new" "$CACHE/$2"
	rm -rf "$1"
}

# Linux with the drivers of disk controllers, which does with the disks that it finds what its command line says.
DISK_MODULES="ata_piix ahci nvme virtio_pci virtio_blk virtio_scsi sd_mod sr_mod"
disk_initrd() { # name busybox-package kernel-package
	local t=$CACHE/.tree.$$
	# shellcheck disable=SC2086
	drivers_tree "$t" "$2" "$3" $DISK_MODULES
	sed "s/^MODULES=.*/MODULES='$DISK_MODULES'/" "$(dirname "$SELF")/disk-init.sh" >"$t/init"
	chmod +x "$t/init"
	pack_tree "$t" "$1"
}

# A shell on the first serial line, all of busybox, and drivers of network cards, loaded by `cards`.
network_tree() { # tree busybox-package kernel-package [more modules]
	local t=$1
	# shellcheck disable=SC2086
	drivers_tree "$t" "$2" "$3" af_packet ipv6 virtio_pci virtio_net e1000 e1000e pcnet32 8139cp 8139too $4
	cat >"$t/init" <<-'INIT'
		#!/bin/sh
		export PATH=/bin TERM=dumb
		/bin/busybox --install -s /bin
		mount -t proc proc /proc
		mount -t sysfs sys /sys
		mount -t devtmpfs dev /dev
		mkdir -p /dev/shm
		mount -t tmpfs tmp /dev/shm
		cd /dev/shm
		ip link set lo up
		modprobe af_packet
		modprobe ipv6
		echo "GUEST-PROMPT"
		while :; do PS1= setsid sh </dev/ttyS0 >/dev/ttyS0 2>&1; done
	INIT
	cat >"$t/bin/cards" <<-'CARDS'
		#!/bin/sh
		for m in virtio_pci virtio_net e1000 e1000e pcnet32 8139cp 8139too; do modprobe $m 2>/dev/null; done
		for c in /sys/class/net/e*; do ip link set "${c##*/}" up; done
	CARDS
	cat >"$t/bin/lease" <<-'LEASE'
		#!/bin/sh
		# what udhcpc was told, as it was told
		case $1 in
		bound | renew)
			ip addr flush dev "$interface" scope global
			ip addr add "$ip/$mask" dev "$interface"
			for r in $router; do ip route add default via "$r" dev "$interface"; done
			for d in $dns; do echo "nameserver $d"; done >/etc/resolv.conf
			echo "LEASE $interface $ip/$mask router=$router dns=$dns bootfile=$boot_file"
			;;
		esac
	LEASE
	chmod +x "$t/init" "$t/bin/cards" "$t/bin/lease"
}

network_initrd() { # name busybox-package kernel-package
	network_tree "$CACHE/.tree.$$" "$2" "$3" ""
	pack_tree "$CACHE/.tree.$$" "$1"
}

# The same with an SSH server, started by `sshd` with the public keys that it is given: for root, and by key only.
ssh_initrd() { # name busybox-package kernel-package package...
	local name=$1 d p t=$CACHE/.tree.$$
	network_tree "$t" "$2" "$3" ""
	shift 3
	mkdir -p "$t"/{lib,lib64,etc/dropbear,usr/lib,usr/sbin}
	mkdir -m 700 -p "$t"/me{,/.ssh}
	for p in "$@"; do
		d=$(unpack "$p")
		for p in lib lib64 usr/lib usr/sbin; do [ ! -d "$d/$p" ] || cp -a "$d/$p/." "$t/$p/"; done
	done
	rm -rf "$t"/usr/lib/x86_64-linux-gnu/{gconv,audit} "$t/usr/lib/systemd"
	echo "root:x:0:0:root:/me:/bin/sh" >"$t/etc/passwd"
	echo "root:x:0:" >"$t/etc/group"
	echo "root:*:19000::::::" >"$t/etc/shadow"
	echo /bin/sh >"$t/etc/shells"
	cat >"$t/bin/sshd" <<-'SSHD'
		#!/bin/sh
		echo "$*" >/me/.ssh/authorized_keys
		chmod 600 /me/.ssh/authorized_keys
		mkdir -p /dev/pts
		mount -t devpts devpts /dev/pts
		/usr/sbin/dropbear -R -s
	SSHD
	chmod +x "$t/bin/sshd"
	pack_tree "$t" "$name"
}
DROPBEAR="dropbear-bin libc6 libcrypt1 libgmp10 libtomcrypt1 libtommath1 zlib1g"

# The same with open-vm-tools as the package has them, and the drivers of a PS/2 mouse.
tools_initrd() { # name modules busybox-package kernel-package package...
	local name=$1 d p t=$CACHE/.tree.$$
	network_tree "$t" "$3" "$4" "$2"
	shift 4
	mkdir -p "$t"/{lib,lib64,usr/lib,usr/bin,sbin,etc,var/log,var/run,run,usr/share}
	for p in "$@"; do
		d=$(unpack "$p")
		for p in lib lib64 usr/lib usr/bin usr/sbin etc usr/share/open-vm-tools; do
			[ ! -d "$d/$p" ] || { mkdir -p "$t/$p" && cp -a "$d/$p/." "$t/$p/"; }
		done
	done
	rm -rf "$t"/usr/lib/x86_64-linux-gnu/{gconv,audit} "$t/usr/lib/systemd" "$t"/usr/lib/x86_64-linux-gnu/libicutu* \
		"$t"/usr/lib/x86_64-linux-gnu/libicui18n*
	echo "root:x:0:0:root:/:/bin/sh" >"$t/etc/passwd"
	echo "root:x:0:" >"$t/etc/group"
	cat >"$t/sbin/shutdown" <<-'SHUTDOWN' # what the tools call
		#!/bin/sh
		case $1 in -r) exec reboot -f ;; *) exec poweroff -f ;; esac
	SHUTDOWN
	chmod +x "$t/sbin/shutdown"
	pack_tree "$t" "$name"
}
OPEN_VM_TOOLS="open-vm-tools libc6 libdrm2 libfuse3-3 libgcc-s1 libglib2.0-0 libmspack0 libssl3 libtirpc3 libudev1 libxml2 libxmlsec1
libxmlsec1-openssl libxslt1.1 libpcre2-8-0 libffi8 zlib1g liblzma5 libicu72 libgssapi-krb5-2 libkrb5-3 libk5crypto3 libcom-err2
libkrb5support0 libkeyutils1 libpam0g libaudit1 libcap-ng0 libmount1 libselinux1 libblkid1 libstdc++6"
PAM="libpam-modules libpam-modules-bin libcrypt1 libnsl2 fuse3" # who may log in, and who may mount

# Linux with the drivers of virtio, which does with each device that it finds what its command line says: do=rng,disk,...
virtio_initrd() { # name busybox-package kernel-package
	local t=$CACHE/.tree.$$
	# shellcheck disable=SC2086
	drivers_tree "$t" "$2" "$3" $VIRTIO_MODULES
	sed "s/^MODULES=.*/MODULES='$VIRTIO_MODULES'/" "$(dirname "$SELF")/virtio-init.sh" >"$t/init"
	chmod +x "$t/init"
	pack_tree "$t" "$1"
}
VIRTIO_MODULES="virtio_pci virtio_rng virtio_blk virtio_net virtio_console virtio_scsi virtio_balloon sd_mod sr_mod ata_piix"

# Linux's own tests of x86, 32 and 64 bit, built by its Makefile, in /tests; what they need of the C library; no init.
selftests() { # name
	local b l s t=$CACHE/.tree.$$
	for b in make gcc; do command -v $b >/dev/null || die "$b is missing, to build Linux's selftests with"; done
	b=$(unpack busybox-static)
	s=$(unpack linux-source-6.1:all)
	rm -rf "$t" "$s/tree"
	mkdir -p "$t"/{bin,dev,proc,sys,tmp,tests} "$s/tree"
	l=tools/testing/selftests
	tar -x -C "$s/tree" --strip-components=1 -f "$s/usr/src/linux-source-6.1.tar.xz" \
		linux-source-6.1/{arch/x86/include/asm,$l/{x86,lib.mk,kselftest.h,kselftest_harness.h}}
	make -s -C "$s/tree/$l/x86" OUTPUT="$t/tests" >"$s/make.log" 2>&1 ||
		die "Linux's selftests do not build (packages gcc-multilib and libc6-dev-i386?); see $s/make.log"
	compgen -G "$t/tests/*_32" >/dev/null || die "gcc makes no 32-bit programs: install gcc-multilib and libc6-dev-i386"
	{ ldd "$t"/tests/* 2>/dev/null || true; } | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^\t\(\/[^ ]*\) (.*/\1/p' | sort -u |
		while read -r l; do install -D "$l" "$t$l"; done
	for l in /lib/x86_64-linux-gnu/libgcc_s.so.1 /lib32/libgcc_s.so.1; do [ ! -e $l ] || install -D $l "$t$l"; done
	cp "$(find "$b" -name busybox -type f -perm -1 | head -1)" "$t/bin/busybox"
	for l in sh mount dmesg grep sed echo uname nproc head stty poweroff; do ln -s busybox "$t/bin/$l"; done
	(cd "$t" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet | gzip -9n) >"$CACHE/$1.new"
	mv "$CACHE/$1.new" "$CACHE/$1"
	rm -rf "$t" "$s/tree"
}

# Linux that UEFI starts, with its variables and a TPM's tools where they are wanted.
UEFI_MODULES="efivarfs"
UEFI_LINE="console=ttyS0,115200 loglevel=4 panic=-1"
uefi_initrd() { # name busybox-package kernel-package
	local t=$CACHE/.tree.$$
	drivers_tree "$t" "$2" "$3" $UEFI_MODULES
	sed "s/^MODULES=.*/MODULES='$UEFI_MODULES'/" "$(dirname "$SELF")/uefi-init.sh" >"$t/init"
	chmod +x "$t/init"
	pack_tree "$t" "$1"
}

# The same with tpm2-tools and all that they build upon.
tpm_initrd() { # name busybox-package kernel-package
	local d t=$CACHE/.tree.$$
	drivers_tree "$t" "$2" "$3" $UEFI_MODULES
	sed "s/^MODULES=.*/MODULES='$UEFI_MODULES'/" "$(dirname "$SELF")/uefi-init.sh" >"$t/init"
	chmod +x "$t/init"
	mkdir -p "$t"/{lib,lib64,usr/lib,usr/bin}
	for d in $TPM_PACKAGES; do
		d=$(unpack "$d")
		for p in lib lib64 usr/lib; do [ ! -d "$d/$p" ] || cp -a "$d/$p/." "$t/$p/"; done
		[ ! -e "$d/usr/bin/tpm2" ] || cp -a "$d"/usr/bin/tpm2* "$t/usr/bin/"
	done
	rm -rf "$t"/usr/lib/x86_64-linux-gnu/{gconv,audit,engines-3,ossl-modules,perl,krb5,sasl2} "$t/usr/lib/systemd"
	pack_tree "$t" "$1"
}
TPM_PACKAGES="tpm2-tools libc6 libcurl3-gnutls libssl3 libtss2-esys-3.0.2-0 libtss2-fapi1 libtss2-mu0 libtss2-rc0 libtss2-sys1
libtss2-tctildr0 libtss2-tcti-device0 libefivar1 libuuid1 libjson-c5 zlib1g libgnutls30 libidn2-0 libunistring2 libnettle8
libhogweed6 libgmp10 libnghttp2-14 librtmp1 libssh2-1 libpsl5 libgssapi-krb5-2 libkrb5-3 libk5crypto3 libkrb5support0 libcom-err2
libkeyutils1 libldap-2.5-0 libsasl2-2 libbrotli1 libzstd1 libp11-kit0 libtasn1-6 libffi8 libgcc-s1 libgcrypt20 libgpg-error0"

uefi_menu() { # file word
	cat >"$1" <<-CFG
		set timeout=0
		menuentry linux {
			linux /boot/vmlinuz $UEFI_LINE from=$2
			initrd /boot/initrd.gz
		}
	CFG
}

# A CD that UEFI boots, by its EFI system partition, and as a hard disk too.
uefi_iso() { # name initrd
	need vmlinuz-cloud "$2"
	local d t=$CACHE/.uefi.$$
	d=$(unpack grub-efi-amd64-bin)
	rm -rf "$t"
	mkdir -p "$t/boot/grub"
	cp "$CACHE/vmlinuz-cloud" "$t/boot/vmlinuz"
	cp "$CACHE/$2" "$t/boot/initrd.gz"
	uefi_menu "$t/boot/grub/grub.cfg" iso
	grub-mkrescue -d "$d/usr/lib/grub/x86_64-efi" -o "$CACHE/$1.new" "$t" >/dev/null 2>&1 || die "grub-mkrescue failed"
	mv "$CACHE/$1.new" "$CACHE/$1"
	rm -rf "$t"
}

# The same from the distribution's signed programs: shim, GRUB and kernel, on a disk that is one FAT file system.
uefi_signed() { # name
	need vmlinuz-cloud uefi-initrd64.gz
	local g s t=$CACHE/.uefi.$$
	g=$(unpack grub-efi-amd64-signed)/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed
	s=$(unpack shim-signed)/usr/lib/shim/shimx64.efi.signed
	rm -rf "$t"
	mkdir -p "$t"/{EFI/BOOT,EFI/debian,boot}
	cp "$s" "$t/EFI/BOOT/BOOTX64.EFI"
	cp "$g" "$t/EFI/BOOT/grubx64.efi"
	cp "$CACHE/vmlinuz-cloud" "$t/boot/vmlinuz"
	cp "$CACHE/uefi-initrd64.gz" "$t/boot/initrd.gz"
	uefi_menu "$t/EFI/debian/grub.cfg" signed
	rm -f "$CACHE/$1.new"
	mkfs.vfat -F 32 -C "$CACHE/$1.new" 65536 >/dev/null
	mcopy -s -i "$CACHE/$1.new" "$t/EFI" "$t/boot" ::
	mv "$CACHE/$1.new" "$CACHE/$1"
	rm -rf "$t"
}

make_guest() {
	case $1 in
	grub-cd.iso) put "$(unpack grub-rescue-pc)/usr/lib/grub-rescue/grub-rescue-cdrom.iso" "$1" ;;
	grub-floppy.img) put "$(unpack grub-rescue-pc)/usr/lib/grub-rescue/grub-rescue-floppy.img" "$1" ;;
	grub-disk.img) put "$(unpack grub-rescue-pc)/usr/lib/grub-rescue/grub-rescue-usb.img" "$1" ;;
	memtest64.iso) put "$(find "$(unpack memtest86+)" -name '*x64.iso' | head -1)" "$1" ;;
	memtest32.iso) put "$(find "$(unpack memtest86+)" -name '*ia32.iso' -o -name '*x32.iso' | head -1)" "$1" ;;
	invaders.exec) put "$(find "$(unpack grub-invaders)" -name invaders.exec | head -1)" "$1" ;;
	u-boot.rom) put "$(find "$(unpack u-boot-qemu)" -path '*qemu-x86/u-boot.rom' | head -1)" "$1" ;;
	vmlinuz-686) kernel "$1" linux-image-686:i386 ;;
	vmlinuz-686-pae) kernel "$1" linux-image-686-pae:i386 ;;
	vmlinuz-amd64) kernel "$1" "$(. /etc/os-release && [ "$ID" = ubuntu ] && echo linux-image-generic || echo linux-image-amd64)" ;;
	vmlinuz-cloud) kernel "$1" linux-image-cloud-amd64 ;;
	initrd64.gz) initrd "$1" busybox-static ;;
	initrd32.gz) initrd "$1" busybox-static:i386 ;;
	linux64.iso) need vmlinuz-cloud initrd64.gz && isolinux_iso "$1" vmlinuz-cloud initrd64.gz "$CONSOLE" ;;
	linux64-generic.iso) need vmlinuz-amd64 initrd64.gz && isolinux_iso "$1" vmlinuz-amd64 initrd64.gz "$CONSOLE" ;;
	linux32.iso) need vmlinuz-686-pae initrd32.gz && isolinux_iso "$1" vmlinuz-686-pae initrd32.gz "$CONSOLE" ;;
	debian64.img) debian_disk "$1" amd64 ;;
	debian32.img) debian_disk "$1" i386 ;;
	debian-initrd64.gz) debian_initrd "$1" busybox-static linux-image-amd64 ;;
	debian-initrd32.gz) debian_initrd "$1" busybox-static:i386 linux-image-686-pae:i386 ;;
	network-initrd64.gz) network_initrd "$1" busybox-static linux-image-amd64 ;;
	# shellcheck disable=SC2086
	ssh-initrd64.gz) ssh_initrd "$1" busybox-static linux-image-amd64 $DROPBEAR ;;
	# shellcheck disable=SC2086
	folders-initrd64.gz) tools_initrd "$1" "fuse virtio_blk ext4" busybox-static linux-image-amd64 $OPEN_VM_TOOLS $PAM ;;
	# shellcheck disable=SC2086
	tools-initrd64.gz) tools_initrd "$1" "psmouse evdev" busybox-static linux-image-amd64 $OPEN_VM_TOOLS ;;
	network-initrd32.gz) network_initrd "$1" busybox-static:i386 linux-image-686-pae:i386 ;;
	disk-initrd64.gz) disk_initrd "$1" busybox-static linux-image-amd64 ;;
	disk-initrd32.gz) disk_initrd "$1" busybox-static:i386 linux-image-686-pae:i386 ;;
	virtio-initrd64.gz) virtio_initrd "$1" busybox-static linux-image-cloud-amd64 ;;
	virtio-initrd32.gz) virtio_initrd "$1" busybox-static:i386 linux-image-686-pae:i386 ;;
	uefi-initrd64.gz) uefi_initrd "$1" busybox-static linux-image-cloud-amd64 ;;
	tpm-initrd64.gz) tpm_initrd "$1" busybox-static linux-image-cloud-amd64 ;;
	uefi-linux.iso) uefi_iso "$1" uefi-initrd64.gz ;;
	uefi-tpm.iso) uefi_iso "$1" tpm-initrd64.gz ;;
	uefi-signed.img) uefi_signed "$1" ;;
	selftests-x86.gz) selftests "$1" ;;
	xen.iso) xen_iso ;;
	ipxe.iso) put "$(unpack ipxe)/usr/lib/ipxe/ipxe.iso" "$1" ;;
	di-amd64-text-linux | di-amd64-text-initrd.gz) installer amd64 text ;;
	di-i386-text-linux | di-i386-text-initrd.gz) installer i386 text ;;
	di-amd64-gtk-linux | di-amd64-gtk-initrd.gz) installer amd64 gtk ;;
	di-i386-gtk-linux | di-i386-gtk-initrd.gz) installer i386 gtk ;;
	*) die "no guest $1; --list shows them" ;;
	esac
}

case ${1:-} in
--list) sed -n 's/^\t\([a-z0-9.| -]*\)) .*/\1/p' "$0" | grep -v '^-' ;;
--dir) echo "$CACHE" ;;
"") die "which guest? --list shows them" ;;
*)
	exec 9>"$CACHE/.lock"
	flock 9 # one at a time
	need "$@"
	;;
esac
