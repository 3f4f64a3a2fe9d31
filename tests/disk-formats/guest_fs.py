#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A Linux guest works on a file system that lies on a qcow2 image over a VDI base: the base stays as it was, QEMU finds
the image good and e2fsck the file system; the same after the VM process was killed in the middle; and a host disk that is
full in between stops the guest until there is space.  Prints TAP.  Usage: guest_fs.py VMCTL GUESTS.SH"""
import glob
import gzip
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

VMCTL, GUESTS = (os.path.abspath(a) for a in sys.argv[1:3])
ROUNDS = 8
MODULES = ("crc16 crct10dif_common crc-t10dif crc64 crc64-rocksoft t10-pi crc32c_generic libcrc32c mbcache jbd2 ext4 "
           "scsi_common scsi_mod sd_mod libata ata_piix").split()
INIT = """#!/bin/busybox sh
bb=/bin/busybox
for d in proc sys dev m; do $bb mkdir -p /$d; done
$bb mount -t proc proc /proc; $bb mount -t devtmpfs dev /dev
for m in MODULES; do $bb insmod /mods/$m.ko || echo "NO $m"; done
n=0; while [ ! -b /dev/sda ] && [ $n -lt 90 ]; do $bb sleep 1; n=$((n+1)); done
$bb mount -t ext4 /dev/sda /m && echo MOUNTED
cd /m/old; $bb md5sum -c /m/old.md5 >/dev/null && echo OLD-OK
r=0
while [ $r -lt ROUNDS ]; do
  $bb mkdir /m/d$r; cd /m/d$r; k=0
  while [ $k -lt 20 ]; do $bb dd if=/dev/urandom of=f$k bs=1k count=$((k*13+7)) 2>/dev/null; k=$((k+1)); done
  $bb md5sum f* >/m/sum$r; $bb sync
  [ $r -gt 1 ] && $bb rm -r /m/d$((r-2)) /m/sum$((r-2))
  $bb dd if=/dev/zero of=/m/old/file$r bs=4k count=3 conv=notrunc 2>/dev/null
  r=$((r+1)); $bb sync; echo "ROUND $r"
done
echo 3 >/proc/sys/vm/drop_caches
for s in /m/sum*; do cd /m/d${s#/m/sum}; $bb md5sum -c $s >/dev/null && echo "GOOD ${s#/m/sum}"; done
cd /; $bb umount /m && echo STRESS-DONE
$bb poweroff -f
"""


def sh(*argv, ok=(0,)):
    p = subprocess.run(argv, capture_output=True, text=True)
    if p.returncode not in ok:
        raise AssertionError(f"{' '.join(argv)}: {p.returncode}: {p.stdout}{p.stderr}")
    return p.stdout


def wait_for(log, text, process, seconds=240):
    end = time.time() + seconds
    while time.time() < end:
        if text in open(log, errors="replace").read():
            return
        if process.poll() is not None:
            break
        time.sleep(0.3)
    raise AssertionError(f"no {text!r}: {open(log, errors='replace').read()[-600:]}")


class Scene:
    def __init__(self, folder):
        self.folder = folder
        self.env = dict(os.environ, XDG_DATA_HOME=f"{folder}/data", XDG_RUNTIME_DIR=f"{folder}/run")
        os.mkdir(f"{folder}/run", 0o700)
        sh(GUESTS, "vmlinuz-amd64", "initrd64.gz")
        self.cache = sh(GUESTS, "--dir").strip()
        self.make_initrd()
        self.make_base()

    def make_initrd(self):
        tree = f"{self.folder}/tree"
        os.makedirs(f"{tree}/mods")
        packed = gzip.decompress(open(f"{self.cache}/initrd64.gz", "rb").read())
        subprocess.run(["cpio", "-idm", "--quiet"], input=packed, cwd=tree, check=True, stderr=subprocess.DEVNULL)
        for m in MODULES:
            found = glob.glob(f"{self.cache}/pkg/linux-image-amd64/lib/modules/*/kernel/**/{m}.ko", recursive=True)
            shutil.copy(found[0], f"{tree}/mods/")
        with open(f"{tree}/init", "w") as f:
            f.write(INIT.replace("MODULES", " ".join(MODULES)).replace("ROUNDS", str(ROUNDS)))
        os.chmod(f"{tree}/init", 0o755)
        names = "\n".join(os.path.relpath(os.path.join(d, n), tree) for d, ds, fs in os.walk(tree) for n in ds + fs)
        out = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], input=names.encode(), cwd=tree, capture_output=True,
                             check=True).stdout
        with open(f"{self.folder}/initrd.gz", "wb") as f:
            f.write(gzip.compress(out, 1))

    def make_base(self):
        old = f"{self.folder}/root/old"
        os.makedirs(old)
        with open(f"{self.folder}/root/old.md5", "w") as sums:
            for i in range(10, 30):
                data = os.urandom(200000)
                open(f"{old}/file{i}", "wb").write(data)
                sums.write(f"{hashlib.md5(data).hexdigest()}  file{i}\n")
        raw, self.base = f"{self.folder}/base.raw", f"{self.folder}/base.vdi"
        with open(raw, "wb") as f:
            f.truncate(96 << 20)
        sh("mkfs.ext4", "-q", "-d", f"{self.folder}/root", raw)
        sh(VMCTL, "disk", "convert", "-q", "-f", "raw", raw, self.base)
        self.sum = hashlib.md5(open(self.base, "rb").read()).hexdigest()

    def child(self, path):
        sh(VMCTL, "disk", "create", path, "--backing", self.base, "--backing-format", "vdi")
        return path

    def start(self, disk):
        log = disk + ".log"
        argv = [VMCTL, "run", "-m", "512M", "-k", f"{self.cache}/vmlinuz-amd64", "-i", f"{self.folder}/initrd.gz", "-a",
                "console=ttyS0 loglevel=3 panic=-1", "-d", disk, "-s", "stdio", "--headless", "-t", "400"]
        p = subprocess.Popen(argv, env=self.env, stdin=subprocess.DEVNULL, stdout=open(log, "w"),
                             stderr=subprocess.STDOUT, start_new_session=True)
        return p, log

    def verify(self, disk):
        raw = disk + ".raw"
        sh("qemu-img", "check", "-q", "-f", "qcow2", disk, ok=(0, 3))  # 3: leaks, which a kill may leave
        sh(VMCTL, "disk", "convert", "-q", "-f", "qcow2", disk, raw)
        sh("e2fsck", "-fy", raw, ok=(0, 1))  # plays the journal back
        sh("e2fsck", "-fn", raw)
        assert hashlib.md5(open(self.base, "rb").read()).hexdigest() == self.sum, "the base was changed"
        return raw


def stress(s):
    disk = s.child(f"{s.folder}/stress.qcow2")
    p, log = s.start(disk)
    wait_for(log, "STRESS-DONE", p, 400)
    p.wait(60)
    text = open(log).read()
    assert "OLD-OK" in text and f"GOOD {ROUNDS - 1}" in text and f"GOOD {ROUNDS - 2}" in text, text
    s.verify(disk)


def killed(s):
    disk = s.child(f"{s.folder}/killed.qcow2")
    p, log = s.start(disk)
    wait_for(log, "ROUND 2", p)
    time.sleep(0.5)
    os.killpg(p.pid, signal.SIGKILL)
    p.wait(60)
    time.sleep(1)
    raw = s.verify(disk)
    last = int(re.findall(r"ROUND (\d+)", open(log, errors="replace").read())[-1]) - 1  # the guest had synced it
    out = f"{s.folder}/synced"
    os.mkdir(out)
    sh("debugfs", "-R", f"rdump d{last} {out}", raw)
    assert os.path.isdir(f"{out}/d{last}"), f"d{last} is lost"
    sh("debugfs", "-R", f"dump sum{last} {out}/d{last}/sum", raw)
    p = subprocess.run(["md5sum", "-c", "--quiet", "sum"], cwd=f"{out}/d{last}", capture_output=True, text=True)
    assert p.returncode == 0, p.stdout + p.stderr


def full(s):
    small = f"{s.folder}/small"
    os.mkdir(small)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6M", "none", small], capture_output=True).returncode:
        return "SKIP cannot mount a small file system here"
    try:
        disk = s.child(f"{small}/full.qcow2")
        p, log = s.start(disk)
        wait_for(log, "disk is full", p)
        before = open(log).read()
        time.sleep(3)
        assert open(log).read() == before, "the guest went on"
        sh("mount", "-o", "remount,size=200M", small)
        wait_for(log, "STRESS-DONE", p, 400)
        p.wait(60)
        assert "There is space again" in open(log).read()
        s.verify(disk)
    finally:
        sh("umount", "-l", small)
    return ""


def main():
    tests = [stress, killed, full]
    print(f"1..{len(tests)}", flush=True)
    needs = ["qemu-img", "mkfs.ext4", "e2fsck", "debugfs", "cpio"]
    missing = [n for n in needs if not shutil.which(n, path=os.environ["PATH"] + ":/sbin:/usr/sbin")]
    with tempfile.TemporaryDirectory() as folder:
        try:
            scene = None if missing else Scene(folder)
            reason = f"needs {' '.join(missing)}"
        except AssertionError as e:
            scene, reason = None, f"guests cannot be had: {e}".replace("\n", " ")
        for i, test in enumerate(tests, 1):
            try:
                skip = test(scene) if scene else f"SKIP {reason}"
                print(f"ok {i} {test.__name__}{' # ' + skip if skip else ''}", flush=True)
            except AssertionError as e:
                print(f"not ok {i} {test.__name__}\n# " + str(e).replace("\n", "\n# "), flush=True)


main()
