#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Snapshots of a running Linux that writes to its disk all the time: taken and deleted in random order, its power cut now and then.
The guest writes 1, 2, 3 ... to places of their own, each flushed before it says so.  So a disk is right if it has all numbers up to some
N, and N is one that the guest was at when the snapshot was taken, or not below the last that it said.  With --kill the verbs
are killed (SIGKILL) at random instants, and sometimes the VM process: then a snapshot is there or not, and nothing else is
lost.  In the end each is put back and goes on.  Prints TAP.

  live.py [--vmctl PATH] [--engine E] [--steps N] [--seed N] [--kill] [--bus BUS]"""
import argparse
import gzip
import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import boot

BLOCK, BLOCKS, STEP, LIMIT = 4096, 8192, 2731, 8  # LIMIT: snapshots at a time
INIT = """#!/bin/sh
export PATH=/bin:/sbin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for m in MODULES; do modprobe $m; done
while [ ! -b /dev/DISK ]; do sleep 0.1; done
exec </dev/ttyS0 >/dev/ttyS0 2>&1
n=$(dd if=/dev/DISK bs=4k skip=BLOCKS count=1 2>/dev/null | head -1)
n=${n:-0}
echo "@BEGIN $n"
while :; do
    n=$((n + 1)) at=$((n * STEP % BLOCKS)) r=
    echo "$n" | dd of=/dev/DISK bs=4k seek=$at conv=sync,notrunc,fsync 2>/dev/null
    echo "$n" | dd of=/dev/DISK bs=4k seek=BLOCKS conv=sync,notrunc,fsync 2>/dev/null
    echo 1 >/proc/sys/vm/drop_caches
    k=$((n * 7 % 97 + 1))
    [ $k -gt $n ] && k=$n
    r=$(dd if=/dev/DISK bs=4k skip=$(((n - k + 1) * STEP % BLOCKS)) count=1 2>/dev/null | head -1)
    if [ "$r" = $((n - k + 1)) ]; then echo "@W $n same"; else echo "@W $n has $r for $((n - k + 1))"; fi
done
"""
BUSES = {"ide": ("ata_piix sd_mod", "sda"), "virtio": ("virtio_pci virtio_blk", "vda"), "nvme": ("nvme", "nvme0n1")}


class Lost(boot.Failed):
    pass


def numbers(path, form, home):
    """How far the guest was when a disk was so; Lost if a number is not where it belongs."""
    raw = os.path.join(home, "raw")
    p = subprocess.run(["qemu-img", "convert", "-U", "-f", form, "-O", "raw", path, raw], capture_output=True, text=True, check=False)
    if p.returncode:
        raise Lost(f"{path}: {p.stderr}")
    with open(raw, "rb") as f:
        data = f.read()
    there = {}
    for at in range(BLOCKS + 1):
        text = data[at * BLOCK:at * BLOCK + 16].split(b"\n")[0].strip(b"\0")
        if text:
            there[at] = int(text)
    last = max(there.values(), default=0)
    for n in range(max(1, last - BLOCKS + 1), last + 1):
        if there.get(n * STEP % BLOCKS) != n:
            raise Lost(f"{path}: of {last} numbers {n} is lost: {there.get(n * STEP % BLOCKS)}")
    if there.get(BLOCKS, 0) not in (last, last - 1):
        raise Lost(f"{path}: the last number is {last}, and the last noted one {there.get(BLOCKS)}")
    return last


class Trial:
    INIT = INIT

    def __init__(self, options, rng):
        self.options, self.rng = options, rng
        self.vm = boot.Machine(options, "m")
        self.folder = os.path.join(self.vm.env["XDG_DATA_HOME"], "terrarium", "machines", "m")
        self.known, self.stood, self.killed, self.said = {}, [], 0, 0  # known: snapshot: (least, most)

    def more(self):
        """What stands in the guest's archive too, by its names there."""
        return []

    def create(self, cache):
        modules, disk = BUSES[self.options.bus]
        home, init = self.vm.home, self.INIT.replace("MODULES", modules).replace("/dev/DISK", "/dev/" + disk)
        with open(os.path.join(home, "init"), "w", encoding="utf-8") as f:
            f.write(init.replace("STEP", str(STEP)).replace("BLOCKS", str(BLOCKS)))
        os.chmod(os.path.join(home, "init"), 0o755)
        more = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], input="\n".join(["init", *self.more()]).encode(), cwd=home, capture_output=True, check=True).stdout
        with open(os.path.join(cache, "disk-initrd64.gz"), "rb") as f, open(os.path.join(home, "initrd.gz"), "wb") as g:
            g.write(f.read() + gzip.compress(more))
        with open(os.path.join(home, "disk.img"), "wb") as f:
            f.truncate((BLOCKS + 256) * BLOCK)
        self.vm.run("create", "m", "--memory", "160M", "--kernel", os.path.join(cache, "vmlinuz-amd64"), "--initrd",
                    os.path.join(home, "initrd.gz"), "--cmdline", "console=ttyS0 quiet rdinit=/init", "--disk-bus", self.options.bus,
                    "--disk", os.path.join(home, "disk.img"), "--engine", self.options.engine)

    def start(self):
        self.vm.run("start", "m")
        self.vm.step("serial", "@W ", 1200)
        first = int(re.search(r"@BEGIN (\d+)", self.serial())[1])
        if first < self.said - 1:
            raise Lost(f"the guest was at {self.said} when its power was cut, and begins with {first}")

    def serial(self):
        return self.vm.run("serial", "m", "--tail", "--bytes", "262144").stdout

    def at(self):
        """What the guest says that it has written."""
        text = self.serial()
        bad = re.search(r"@W \d+ has .*|error.*|panic.*|corrupt.*", text)
        if bad:
            raise Lost(f"the guest says {bad[0]!r}")
        self.said = max([int(n) for n in re.findall(r"@W (\d+) same", text)], default=self.said)
        return self.said

    def record(self):
        with open(os.path.join(self.folder, "snapshots", "record.json"), encoding="utf-8") as f:
            return json.load(f)

    def ids(self):
        return {s["id"] for s in json.loads(self.vm.run("snapshot", "list", "m", "-o", "json").stdout)["snapshots"]}

    def verb(self, *args):
        """True: it was killed."""
        kill = self.options.kill and self.rng.random() < 0.7
        p = subprocess.Popen([self.vm.options.vmctl, *args], env=self.vm.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if kill:
            time.sleep(self.rng.random() ** 2 * 1.5)
            p.kill()
        out, err = p.communicate(timeout=300)
        if not kill and p.returncode:
            raise Lost(f"vmctl {' '.join(args)}: {p.returncode}: {err}")
        self.killed += p.returncode == -signal.SIGKILL
        stood = re.search(r"stood still for ([\d.]+) ms", err)
        self.stood += [float(stood[1])] if stood else []
        return p.returncode == -signal.SIGKILL

    def take(self):
        before, old = self.at(), self.ids()
        self.verb("snapshot", "take", "m")
        new = self.ids() - old
        for i in new:
            self.known[i] = (before, self.at() + 1)

    def delete(self):
        which = self.rng.choice(sorted(self.known))
        killed = self.verb("snapshot", "delete", "m", str(which))
        if which not in self.ids():
            del self.known[which]
        elif not killed:
            raise Lost(f"snapshot {which} is still there")

    def cut(self):
        """The power, or the VM process."""
        self.at()
        if self.options.kill and self.rng.random() < 0.5:
            with open(os.path.join(self.folder, "lock"), encoding="utf-8") as f:
                os.kill(int(f.read()), signal.SIGKILL)
            while json.loads(self.vm.run("info", "m", "-o", "json").stdout)["state"] != "stopped":
                time.sleep(0.05)
        else:
            self.vm.run("stop", "m", "--force")
        self.start()

    def step(self):
        time.sleep(self.rng.uniform(0, 1.5))
        what = self.rng.choice(["take", "take", "take", "delete", "delete", "cut"])
        if what == "cut" and self.rng.random() < 0.6:
            return
        if what == "delete" and not self.known or what == "take" and len(self.known) >= LIMIT:
            what = "take" if not self.known else "delete"
        getattr(self, what)()

    def check(self):
        self.at()
        if self.ids() != set(self.known):
            raise Lost(f"there are the snapshots {self.ids()}, and should be {set(self.known)}")
        if not self.known:
            return
        self.vm.run("snapshot", "verify", "m")
        record = self.record()
        forms = {i["file"]: i["format"] for i in record["images"]}
        for s in record["snapshots"]:
            for d in s["disks"]:
                n = numbers(os.path.join(self.folder, d["file"]), forms[d["file"]], self.vm.home)
                low, high = self.known[s["id"]]
                if not low <= n <= high:
                    raise Lost(f"snapshot {s['id']} was taken between {low} and {high}, and has {n}")

    def go_back(self):
        """To each, in random order: the guest goes on from where it was."""
        self.vm.run("stop", "m", "--force")
        for i in self.rng.sample(sorted(self.known), len(self.known)):
            self.vm.run("snapshot", "restore", "m", str(i))
            self.vm.run("start", "m")
            low, high = self.known[i]
            self.vm.step("serial", f" same", 120)
            time.sleep(1)
            self.said = 0
            first = int(re.search(r"@W (\d+) same", self.serial())[1])
            if not low <= first <= high + 1 or self.at() < first:
                raise Lost(f"snapshot {i} was taken between {low} and {high}, and goes on with {first}")
            self.vm.run("stop", "m", "--force")
        self.vm.run("snapshot", "verify", "m")

    def run(self, cache):
        self.create(cache)
        self.start()
        for i in range(self.options.steps):
            self.step()
            if i % 3 == 2:
                self.check()
        self.check()
        self.go_back()
        return (f"{self.options.steps} steps, {self.killed} verbs killed, stood for up to {max(self.stood, default=0):.1f} ms "
                f"(median {sorted(self.stood)[len(self.stood) // 2] if self.stood else 0:.1f}), {len(self.known)} snapshots in the end")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vmctl", default=os.path.join(boot.HERE, "../../build/core-vmm/vmctl/vmctl"))
    parser.add_argument("--engine", default="soft")
    parser.add_argument("--bus", default="virtio")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    options.vmctl = os.path.abspath(options.vmctl)
    cache = subprocess.run([os.path.join(boot.HERE, "guests.sh"), "--dir"], capture_output=True, text=True, check=False).stdout.strip()
    print(f"1..1\n# seed {options.seed}", flush=True)
    reason = boot.guests_ready(["vmlinuz-amd64", "disk-initrd64.gz"])
    if reason:
        print(f"ok 1 live # SKIP {reason}")
        return 0
    trial, good = Trial(options, random.Random(options.seed)), False
    try:
        print(f"ok 1 live {trial.run(cache)}")
        good = True
    except boot.Failed as e:
        log = trial.vm.run("logs", "m", check=False).stdout
        print(f"not ok 1 live\n# " + "\n# ".join((str(e) + "\n" + log[-2000:]).splitlines()))
    finally:
        if good or "TEST_KEEP" not in os.environ:
            trial.vm.close()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
