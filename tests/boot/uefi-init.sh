#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# uefi-init.sh - the first program of guests that UEFI starts: says what the kernel found, and offers a shell on the serial
# line.  guests.sh puts the list of modules in.
MODULES=
export PATH=/bin:/usr/bin:/sbin:/usr/sbin TERM=dumb
/bin/busybox mkdir -p /usr/bin /usr/sbin /sbin
/bin/busybox --install -s
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t securityfs security /sys/kernel/security
for m in $MODULES; do modprobe "$m"; done
mount -t efivarfs efivarfs /sys/firmware/efi/efivars 2>/dev/null
[ -d /sys/firmware/efi ] && echo "UEFI $(cat /sys/firmware/efi/fw_platform_size)"
dmesg | grep -iE 'secure boot|secureboot' | head -1
echo "LOCKDOWN $(cat /sys/kernel/security/lockdown 2>/dev/null)"
echo "FROM $(sed -n "s/.*\bfrom=\([a-z]*\).*/\1/p" /proc/cmdline)"
echo "GUEST-UP $(uname -m) cpus=$(grep -c ^processor /proc/cpuinfo)"
echo "GUEST-PROMPT"
while :; do PS1= setsid sh </dev/ttyS0 >/dev/ttyS0 2>&1; done
