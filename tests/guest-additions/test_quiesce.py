#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Snapshots with a Linux guest's file systems at rest, by a distribution's own open-vm-tools.  Prints TAP.
Usage: test_quiesce.py VMCTL GUESTS.SH     ENGINE: of the machine (soft); PATIENCE: times all time limits"""
import os
import subprocess
import sys
import time

from desk import Desk, run_tests
from guest_shell import Shell


class WithDisk(Desk):
    def start(self):
        image = self.base + "/disk.img"
        with open(image, "wb") as f:
            f.truncate(64 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
        self.vmctl("set", "g", "virtio-disk0.file=" + image)
        super().start()
        self.shell.good("modprobe crc32c_generic; modprobe ext4; modprobe virtio_blk; mkdir -p /disk; ln -sf /proc/mounts /etc/mtab; until [ -b /dev/vda ]; do sleep 1; done; mount /dev/vda /disk", 60)

    def take(self, *args, code=0):
        p = subprocess.run([self.program, "snapshot", "take", "g", *args], env=self.env, capture_output=True, text=True, check=False)
        assert p.returncode == code, f"exit code {p.returncode}: {p.stderr}"
        return p.stderr if code else int(p.stdout)


def without_tools(d):
    """Nobody there to do it: said at once, and no snapshot."""
    said = d.take("--quiesce", code=4)
    assert "does not run in the guest" in said, said
    assert d.vmctl("snapshot", "list", "g") == ""


def at_rest(d):
    """A writer stands while the snapshot is taken, and goes on after it."""
    s = d.shell
    s.good("(vmtoolsd >/dev/shm/vt.log 2>&1 &); sleep 1", 60)
    d.wait("the service", lambda g: g.get("tools"))
    s.good("(n=0; while :; do n=$((n + 1)); echo $n >/disk/n; sync; done) >/dev/null 2>&1 & sleep 2")
    assert d.take("--quiesce", "first") == 1
    assert "file systems stand still" in d.log() and "file systems go on" in d.log(), d.log()[-2000:]
    before = int(s.good("cat /disk/n"))
    s.good("sleep 2")
    assert int(s.good("cat /disk/n")) > before


def clean(d):
    """What the snapshot has on the disk needs no repair, though it was in use."""
    said = subprocess.run(["e2fsck", "-fn", d.base + "/disk.img"], capture_output=True, text=True, check=False)
    assert said.returncode == 0 and "recovery" not in said.stdout + said.stderr, said.stdout + said.stderr


def back(d):
    """A guest that comes from such a snapshot stands there, and goes on."""
    d.vmctl("stop", "--force", "g")
    d.shell.close()
    d.vmctl("snapshot", "restore", "g", "first")
    d.vmctl("start", "g")
    d.shell = s = Shell(d.base + "/g", 1)
    s.good("echo back >/disk/back; sync", 120)
    before = int(s.good("cat /disk/n"))
    s.good("sleep 3")
    assert int(s.good("cat /disk/n")) > before


def cannot(d):
    """Tools that are not root's cannot; the machine goes on, and there is no snapshot."""
    s = d.shell
    s.good("killall vmtoolsd; sleep 2; printf '[vmbackup]\\nenableSyncDriver=false\\n' >/etc/vmware-tools/tools.conf", 60)
    s.good("(vmtoolsd >/dev/shm/vt.log 2>&1 &); sleep 2", 60)
    d.wait("the service", lambda g: g.get("tools"))
    said = d.take("--quiesce", code=1)
    assert "not stopped as they should" in said, said
    assert d.vmctl("snapshot", "list", "g", "-o", "name") == "1\n"
    s.good("echo on >/disk/on")


TESTS = [without_tools, at_rest, clean, back, cannot]
if not all(any(os.access(f"{p}/{tool}", os.X_OK) for p in ("/sbin", "/usr/sbin", "/bin")) for tool in ("mkfs.ext4", "e2fsck")):
    print("1..0 # SKIP not installed: e2fsprogs")
else:
    os.environ["PATH"] += ":/sbin:/usr/sbin"
    run_tests(WithDisk(*sys.argv[1:3], "folders-initrd64.gz"), TESTS)
