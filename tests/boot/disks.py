#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux guests on disk controllers.  Prints TAP.

  disks.py [--vmctl PATH] [--scale F] [--times N] TEST...
  disks.py --list

A guest reads what is on each disk and says the checksum, fills disks at places spread over them, reads and writes one with many
programs at once; afterwards the host looks at the images by qemu-img too.  "trim" discards a part of each disk, which then takes
less room on the host; "hotplug" pulls and plugs a disk --times times, "changer" the CD of a drive."""
import argparse
import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

import boot

KERNELS = {"amd64": ("vmlinuz-amd64", "disk-initrd64.gz"), "i386": ("vmlinuz-686-pae", "disk-initrd32.gz")}
DISK_BYTES = 48 << 20
LIMIT = 240  # seconds
# test: architecture and drives: section, format of the image ("cd": a CD of random bytes); or the bus that disks are plugged into
TESTS = {
    "sata-amd64": ("amd64", [("sata0", "raw"), ("sata1", "qcow2"), ("sata5", "cd")]),
    "sata-i386": ("i386", [("sata0", "raw"), ("sata3", "vdi"), ("sata5", "cd")]),
    "nvme-amd64": ("amd64", [("nvme0", "raw"), ("nvme1", "qcow2")]),
    "nvme-i386": ("i386", [("nvme0", "vhdx")]),
    "ide-amd64": ("amd64", [("ide0", "raw"), ("ide2", "cd")]),
    "all-amd64": ("amd64", [("ide0", "raw"), ("sata0", "raw"), ("nvme0", "raw"), ("virtio-disk0", "raw")]),
    "scsi-amd64": ("amd64", [("scsi0", "raw"), ("scsi1", "qcow2"), ("scsi6", "cd")]),
    "scsi-i386": ("i386", [("scsi0", "raw"), ("scsi3", "vdi"), ("scsi6", "cd")]),
    "trim-amd64": ("amd64", [("sata0", "raw"), ("nvme0", "raw"), ("virtio-disk0", "raw"), ("sata1", "qcow2"), ("virtio-disk1", "qcow2")]),
    "trim-i386": ("i386", [("sata0", "raw"), ("nvme0", "qcow2"), ("virtio-disk0", "raw")]),
    "hotplug": ("amd64", "sata"),
    "hotplug-scsi": ("amd64", "scsi"),
    "changer": ("amd64", "sata"),
}


class Guest(boot.Machine):
    def __init__(self, options, name, arch, settings, line):
        super().__init__(options, name)
        cache = subprocess.run([os.path.join(boot.HERE, "guests.sh"), "--dir"], capture_output=True, text=True).stdout.strip()
        kernel, initrd = (os.path.join(cache, g) for g in KERNELS[arch])
        sets = [x for s in settings for x in ("--set", s)]
        self.run("create", name, "--memory", "384M", "--kernel", kernel, "--initrd", initrd, "--nic", "none",
                 "--cmdline", f"console=ttyS0 loglevel=4 panic=-1 {line}", *sets)
        self.run("start", name)

    def serial(self):
        return self.run("serial", self.name, "--tail", "--bytes", "1048576").stdout

    def wait(self, text):
        self.step("serial", text, LIMIT * self.options.scale)


def image(folder, section, kind, seed):
    """A file of random bytes in that format; its path and its bytes' checksum."""
    data = random.Random(seed).randbytes(DISK_BYTES)
    raw = os.path.join(folder, section + ".raw")
    with open(raw, "wb") as f:
        f.write(data)
    if kind in ("raw", "cd"):
        return raw, hashlib.md5(data).hexdigest()
    path = os.path.join(folder, f"{section}.{kind}")
    subprocess.run([VMCTL[0], "disk", "convert", raw, path], check=True, capture_output=True)
    return path, hashlib.md5(data).hexdigest()


VMCTL = []  # the program, once it is known


def qemu_view(path, kind):
    """The disk's bytes as qemu-img sees them; None where there is no qemu-img."""
    if not shutil.which("qemu-img"):
        return None
    out = path + ".qemu"
    subprocess.run(["qemu-img", "convert", "-f", {"vhdx": "vhdx", "cd": "raw"}.get(kind, kind), "-O", "raw", path, out],
                   check=True, capture_output=True)
    with open(out, "rb") as f:
        return f.read()


def check_image(vm, folder, section, kind, path, busybox):
    """What the guest wrote last is where it wrote it: the eight copies of its program, by `vmctl disk` and by qemu-img."""
    raw = path + ".seen"
    vm.run("disk", "convert", "--force", path, raw, "--from", kind, "--format", "raw")
    with open(raw, "rb") as f:
        data = f.read()
    for k in range(8):
        at = k * 512 * 4096
        if data[at:at + len(busybox)] != busybox:
            raise boot.Failed(f"{section}: copy {k} is not what the guest wrote")
    view = qemu_view(path, kind)
    if view is not None and view[:DISK_BYTES] != data[:DISK_BYTES]:
        raise boot.Failed(f"{section}: qemu-img sees another disk")


def busybox_of(arch):
    package = {"amd64": "busybox-static", "i386": "busybox-static_i386"}[arch]
    cache = subprocess.run([os.path.join(boot.HERE, "guests.sh"), "--dir"], capture_output=True, text=True).stdout.strip()
    path = subprocess.run(["find", os.path.join(cache, "pkg", package), "-name", "busybox", "-type", "f", "-perm", "-1"],
                          capture_output=True, text=True, check=True).stdout.split()[0]
    with open(path, "rb") as f:
        return f.read()


def run_disks(options, name, arch, drives):
    folder = tempfile.mkdtemp(prefix="disks-")
    settings, sums, images = [], [], []
    for n, (section, kind) in enumerate(drives):
        path, md5 = image(folder, section, kind, f"{name} {section}")
        images.append((section, kind, path))
        sums.append(md5)
        settings += [f"{section}.file={path}", f"{section}.format={'raw' if kind == 'cd' else kind}"]
        settings += [f"{section}.media=cdrom"] if kind == "cd" else []
    vm = Guest(options, name, arch, settings, f"disks={len(drives)} do=list,sums,fill,storm")
    try:
        vm.wait("DISK-DONE")
        text = vm.serial()
        for md5 in sums:
            if f"sum {md5}" not in text:
                raise boot.Failed(f"no disk with the checksum {md5}:\n{text}")
        written = sum(kind != "cd" for _, kind, _ in images)
        if text.count(" filled") != written or text.count(" stormed") != written or "differs" in text or "LOG " in text:
            raise boot.Failed(text)
        vm.run("stop", name, "--force")
        for section, kind, path in images:
            if kind != "cd":
                check_image(vm, folder, section, kind, path, busybox_of(arch))
    finally:
        vm.close()
        shutil.rmtree(folder, ignore_errors=True)


def check_trimmed(vm, section, kind, path, before):
    """The second quarter reads as zeroes and takes no room on the host any more; all else is as it was."""
    quarter = DISK_BYTES // 4
    now = os.stat(path).st_blocks * 512
    if now > before - quarter + (1 << 20):
        raise boot.Failed(f"{section}: {path} took {before} bytes of the host's disk, and takes {now}")
    raw = path + ".seen"
    vm.run("disk", "convert", "--force", path, raw, "--from", kind, "--format", "raw")
    with open(raw, "rb") as f:
        data = f.read()
    wanted = bytearray(random.Random(f"{vm.name} {section}").randbytes(DISK_BYTES))
    wanted[quarter:2 * quarter] = bytes(quarter)
    if data != wanted:
        pages = [n for n in range(DISK_BYTES >> 12) if data[n << 12:(n + 1) << 12] != wanted[n << 12:(n + 1) << 12]]
        raise boot.Failed(f"{section}: {len(data)} bytes, and {len(pages)} pages from {pages[:1]} to {pages[-1:]} are not what they should be")


def run_trim(options, name, arch, drives):
    folder = tempfile.mkdtemp(prefix="disks-")
    settings, images = [], []
    for section, kind in drives:
        path, _ = image(folder, section, kind, f"{name} {section}")
        images.append((section, kind, path, os.stat(path).st_blocks * 512))
        settings += [f"{section}.file={path}", f"{section}.format={kind}"]
    vm = Guest(options, name, arch, settings, f"disks={len(drives)} do=list,trim")
    try:
        vm.wait("DISK-DONE")
        text = vm.serial()
        if text.count(" trimmed") != len(drives) or "cannot be trimmed" in text or "LOG " in text:
            raise boot.Failed(text)
        vm.run("stop", name, "--force")
        for one in images:
            check_trimmed(vm, *one)
    finally:
        vm.close()
        shutil.rmtree(folder, ignore_errors=True)


def run_changer(options, name, bus):
    """Two CDs of different sizes take turns in a drive."""
    folder = tempfile.mkdtemp(prefix="disks-")
    cds = []
    for n in range(2):
        data = random.Random(n).randbytes((n + 1) << 20)
        cds.append((os.path.join(folder, f"{n}.iso"), hashlib.md5(data).hexdigest()))
        with open(cds[n][0], "wb") as f:
            f.write(data)
    vm = Guest(options, name, "amd64", [f"{bus}5.media=cdrom"], f"disks=1 times={options.times} do=list,changer")
    try:
        vm.wait("DISK sr0")
        for n in range(1, options.times + 1):
            path, md5 = cds[n % 2]
            vm.run("media", "insert", name, path, "--drive", f"{bus}5")
            vm.wait(f"CD-IN {n} {md5}")
            vm.run("media", "eject", name, "--drive", f"{bus}5", "--force")  # the guest looks all the time, and locks the tray
            vm.wait(f"CD-OUT {n}\r")
        vm.wait("DISK-DONE")
    finally:
        vm.close()
        shutil.rmtree(folder, ignore_errors=True)


def run_hotplug(options, name, bus):
    folder = tempfile.mkdtemp(prefix="disks-")
    disk, md5 = image(folder, "fixed", "raw", "fixed")
    plugged = []
    for n in range(2):  # two disks take turns
        path = os.path.join(folder, f"plugged{n}.img")
        data = random.Random(n).randbytes((n + 1) << 20)
        with open(path, "wb") as f:
            f.write(data)
        plugged.append((path, hashlib.md5(data).hexdigest()))
    vm = Guest(options, name, "amd64", [f"{bus}0.file={disk}", f"{bus}0.format=raw", f"{bus}3.media=disk"],
               f"disks=1 times={options.times} do=list,hotplug,sums")
    try:
        vm.wait("DISK sda")
        for n in range(1, options.times + 1):
            path, md5_there = plugged[n % 2]
            vm.run("media", "insert", name, path, "--drive", f"{bus}3")
            vm.wait(f"DISK-IN {n} {md5_there}")
            vm.run("media", "eject", name, "--drive", f"{bus}3")
            vm.wait(f"DISK-OUT {n}\r")
        vm.wait("DISK-DONE")
        if f"DISK sda sum {md5}" not in vm.serial():
            raise boot.Failed("the other disk is not what it was:\n" + vm.serial()[-2000:])
    finally:
        vm.close()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vmctl", default=os.path.join(boot.HERE, "../../build/core-vmm/vmctl/vmctl"))
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    if options.list:
        print("\n".join(TESTS))
        return 0
    options.vmctl = os.path.abspath(options.vmctl)
    VMCTL.append(options.vmctl)
    print(f"1..{len(options.tests)}", flush=True)
    bad = 0
    for i, name in enumerate(options.tests, 1):
        arch, drives = TESTS[name]
        reason = boot.guests_ready(KERNELS[arch])
        if reason:
            print(f"ok {i} {name} # SKIP {reason}", flush=True)
            continue
        try:
            if name.startswith("trim"):
                run_trim(options, name, arch, drives)
            elif isinstance(drives, list):
                run_disks(options, name, arch, drives)
            else:
                (run_changer if name.startswith("changer") else run_hotplug)(options, name, drives)
            print(f"ok {i} {name}", flush=True)
        except (boot.Failed, subprocess.CalledProcessError) as e:
            bad += 1
            print(f"not ok {i} {name}\n# " + re.sub(r"[\r\n]+", "\n# ", str(e)[-3000:]), flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
