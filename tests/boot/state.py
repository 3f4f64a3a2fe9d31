#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Saves a running machine to a file and loads that into a new process, again and again, each time from where the last one
was: the guest must go on as if nothing had been.  Prints TAP.

  state.py [--vmctl PATH] [--engine E] [--rounds N] [--seed N] [--suspend | --live] TEST...

TEST is GUEST-CPUS: grub-1, grub-2, memtest-1, memtest-2, linux-1, linux-2; with a disk that is written and read all the time disk-1,
disk-2 (IDE), sata-1, sata-2, nvme-1, nvme-2, virtio-1, virtio-2.  The moments are random; the seed is printed."""
import argparse
import gzip
import hashlib
import json
import os
import random
import re
import subprocess
import sys
import time

import boot

# Counts without a gap, each beside a sum that takes some work; and memory that is filled and summed up, again and again.
LOAD = ("c() { n=0; while :; do n=$((n+1)); k=0; s=0; while [ $k -lt 150 ]; do k=$((k+1)); s=$((s+k)); done; "
        "echo \"@$1 $n $s\"; done; }\n"
        "m() { n=0; while :; do n=$((n+1)); "
        "set -- $(dd if=/dev/zero bs=64k count=32 2>/dev/null | md5sum); echo \"@M $n $1\"; done; }\n"
        "stty -echo; c A & c B & m &\n")
SUM = {"A": "11325", "B": "11325", "M": "b2d1236c286a3c0704224fe4105eca49", "D": "same"}


class Lost(boot.Failed):
    pass


class Vm(boot.Machine):
    """One machine that is saved and loaded."""

    def serial(self):
        return self.run("serial", self.name, "--tail", "--bytes", "262144").stdout

    def screen(self):
        return self.run("screen", "text", self.name).stdout

    def save(self):
        self.run("debug", "save", self.name, self.state())

    def state(self):
        return os.path.join(self.home, "state")

    def load(self):
        """Ends the process and goes on in a new one."""
        self.run("stop", self.name, "--force")
        self.run("start", self.name, "--load", self.state())


class Suspended(Vm):
    """The same as one does it: vmctl save, vmctl start.  What the guest wrote is read before: its process ends."""
    text = drawn = ""

    def save(self):
        self.run("pause", self.name)
        self.text, self.drawn = Vm.serial(self), self.run("screen", "text", self.name, check=False).stdout
        self.run("save", self.name)

    def own_state(self):
        return os.path.join(self.env["XDG_DATA_HOME"], "terrarium", "machines", self.name, "saved.state")

    def state(self):
        return self.own_state() if os.path.exists(self.own_state()) else os.devnull

    def serial(self):
        return self.text

    def screen(self):
        return self.drawn if os.path.exists(self.own_state()) else Vm.screen(self)

    def load(self):
        p = self.run("start", self.name)
        if "goes on from where it was saved" not in p.stderr:
            raise Lost(f"it does not go on: {p.stderr}")


class Live(Vm):
    """By snapshots of a machine that runs on, and is put back later."""
    stood = ()

    def save(self):
        self.before = Vm.serial(self)
        said = json.loads(self.run("snapshot", "take", self.name, "-o", "json").stdout)
        self.snapshot, self.stood = said["id"], (*self.stood, said["stood-ms"])
        self.after = Vm.serial(self)
        time.sleep(0.5)

    def state(self):
        return os.path.join(self.env["XDG_DATA_HOME"], "terrarium", "machines", self.name, "snapshots", f"{self.snapshot}.state")

    def load(self):
        self.run("stop", self.name, "--force")
        self.run("snapshot", "verify", self.name)
        self.run("snapshot", "restore", self.name, str(self.snapshot))
        self.run("start", self.name)


class Guest:
    def prepare(self, folder, cache):
        """What it needs beside the guests that are in the cache, by the names in its arguments."""
        return {}

    def began(self, vm):
        pass


class Grub(Guest):
    guests, limit = ["grub-cd.iso"], 60
    args = ["--memory", "128M", "--cdrom", "grub-cd.iso"]
    steps = [("screen", "GNU GRUB  version 2.06")]

    def began(self, vm):
        vm.run("keys", vm.name, "down", "up")  # it would not wait for ever
        self.quiet(vm)

    @staticmethod
    def quiet(vm):
        """All is drawn."""
        last = None
        while last != (text := vm.screen()):
            last = text
            time.sleep(1)

    def saved(self, vm):
        self.text = vm.screen()

    @staticmethod
    def chosen(text):
        return next((line for line in text.splitlines() if "│*" in line), None)

    def loaded(self, vm):
        """The menu is the same, and the arrow key moves its mark."""
        text = vm.screen()
        if text != self.text or not self.chosen(text):
            raise Lost(f"the screen was\n{self.text}\nand is\n{text}")
        for key in ("down", "up"):
            before, end = self.chosen(vm.screen()), time.time() + 30
            vm.run("keys", vm.name, key)
            while self.chosen(vm.screen()) == before:
                if time.time() > end:
                    raise Lost(f"the key {key} moves nothing in\n{vm.screen()}")
                time.sleep(0.05)
        self.quiet(vm)


class Memtest(Guest):
    guests, limit = ["memtest64.iso"], 240
    args = ["--memory", "64M", "--cdrom", "memtest64.iso"]
    steps = [("screen", "Memtest86+ v6.10"), ("screen", "Test #"), ("screen", "Errors: 0")]

    @staticmethod
    def clock(text):
        m = re.search(r"Time:\s*(\d+):(\d+):(\d+)", text)
        return int(m[1]) * 3600 + int(m[2]) * 60 + int(m[3]) if m else -1

    def saved(self, vm):
        self.before = self.clock(vm.screen())

    def loaded(self, vm):
        """Its clock goes on from where it was, and no memory is found wrong."""
        end = time.time() + 120
        while True:
            text = vm.screen()
            now = self.clock(text)
            if "Errors: 0" not in text or now < self.before or now > self.before + 60:
                raise Lost(f"its clock stood at {self.before} s, and now at {now}:\n{text}")
            if now > self.before:
                return
            if time.time() > end:
                raise Lost(f"its clock stands:\n{text}")
            time.sleep(0.1)


class Linux(Guest):
    guests, limit = ["vmlinuz-cloud", "initrd64.gz"], 180
    args = ["--memory", "256M", "--kernel", "vmlinuz-cloud", "--initrd", "initrd64.gz", "--cmdline",
            boot.CONSOLE.replace("console=tty0 ", "")]
    steps = [("serial", "GUEST-PROMPT")]
    load, names, most = LOAD, "ABM", {}

    def began(self, vm):
        time.sleep(1)
        for line in self.load.splitlines():
            vm.control("serial.write", text=line + "\n")
            time.sleep(0.3)
        vm.step("serial", "@A 2 ", 60)
        self.count = {}
        self.rest = ""

    def take(self, text):
        """Reads the lines, of which the first goes on with what the process before wrote last."""
        text = self.rest + text
        lines = text.split("\n")
        self.rest = lines.pop()
        for line in lines:
            m = re.search(r"@([ABDMR]) (\d+) (\w+)\r?$", line)  # the first may stand behind the shell's prompt
            if not m:
                if re.search(r"^@|error|BUG|panic|stall|lockup", line):
                    raise Lost(f"the guest says {line!r}")
                continue
            name, n, result = m[1], int(m[2]), m[3]
            low = self.count.get(name, 0) + 1
            if not low <= n <= self.most.pop(name, low):
                raise Lost(f"{name} counted {self.count.get(name, 0)}, then {n}")
            if result != SUM[name]:
                raise Lost(f"{name} {n} gave {result}")
            self.count[name] = n

    def saved(self, vm):
        """All that this process wrote."""
        text = vm.serial()
        if len(text) > 250000:
            raise Lost("the output is more than is kept")
        self.take(text)

    def saved_live(self, vm):
        """The moment is somewhere between what it wrote before and after that was asked for."""
        self.take(vm.before)
        counts = {name: [int(n) for n in re.findall(rf"@{name} (\d+) ", vm.after)] for name in self.names}
        self.rest, self.most = "", {name: max(n, default=self.count.get(name, 0)) + 1 for name, n in counts.items()}

    def loaded_live(self, vm):
        end = time.time() + 120
        while not all(len(re.findall(rf"@{name} \d+ ", vm.serial())) > 2 for name in self.names):
            if time.time() > end:
                raise Lost(f"it does not go on: {vm.serial()[-300:]}")
            time.sleep(0.1)

    def loaded(self, vm):
        """Every counter is on its way again.  (The next line of each may have begun in the process before.)"""
        for name in self.names:
            vm.step("serial", f"@{name} {self.count.get(name, 0) + 2} ", 120)




class Disk(Linux):
    """With a hard disk of which one half is written and read again past the guest's cache, and the other read and summed up
    all the time, so that requests are under way at most moments."""
    guests, limit = ["vmlinuz-amd64", "disk-initrd64.gz"], 180
    bus, modules, device = "ide", "ata_piix sd_mod", "sda"
    names = "ADR"

    @property
    def args(self):
        return ["--memory", "256M", "--kernel", "vmlinuz-amd64", "--initrd", "initrd.gz", "--disk-bus", self.bus, "--disk", "disk.img",
                "--cmdline", Linux.args[-1]]

    INIT = """#!/bin/sh
export PATH=/bin:/sbin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for m in MODULES; do modprobe $m; done
while [ ! -b /dev/DISK ]; do sleep 0.1; done
echo GUEST-PROMPT
(n=0; while :; do n=$((n + 1)); k=0; s=0; while [ $k -lt 150 ]; do k=$((k + 1)); s=$((s + k)); done; echo "@A $n $s"; done) &
(n=0; while :; do
    n=$((n + 1)) at=$((n % 4096)) w=$(printf %0500d $n) r=
    echo "$w" | dd of=/dev/DISK bs=512 seek=$at conv=sync,notrunc,fsync 2>/dev/null
    echo 1 >/proc/sys/vm/drop_caches
    read -r r <<EOF
$(dd if=/dev/DISK bs=512 skip=$at count=1 2>/dev/null | head -1)
EOF
    if [ "$r" = "$w" ]; then echo "@D $n same"; else echo "@D $n $r"; fi
done) &
n=0
while :; do
    dd if=/dev/DISK of=/dev/null bs=64k skip=320 2>/dev/null
    n=$((n + 1))
    set -- $(dd if=/dev/DISK bs=64k skip=256 count=64 2>/dev/null | md5sum)
    echo "@R $n $1"
done
"""

    def prepare(self, folder, cache):
        """A disk, and an archive whose init takes the place of the other's; their paths."""
        data = random.Random(0).randbytes(16 << 20)
        SUM["R"] = hashlib.md5(data[:4 << 20]).hexdigest()
        with open(os.path.join(folder, "disk.img"), "wb") as f:
            f.write(bytes(16 << 20) + data)
        with open(os.path.join(folder, "init"), "w", encoding="utf-8") as f:
            f.write(self.INIT.replace("MODULES", self.modules).replace("/dev/DISK", "/dev/" + self.device))
        os.chmod(os.path.join(folder, "init"), 0o755)
        more = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], input=b"init\n", cwd=folder, capture_output=True,
                              check=True).stdout
        with open(os.path.join(cache, self.guests[1]), "rb") as f:
            first = f.read()
        with open(os.path.join(folder, "initrd.gz"), "wb") as f:
            f.write(first + gzip.compress(more))
        return {name: os.path.join(folder, name) for name in ("disk.img", "initrd.gz")}

    def began(self, vm):
        self.count, self.rest = {}, ""
        vm.step("serial", "@D 1 ", 60)
        vm.step("serial", "@R 1 ", 60)


class Sata(Disk):
    bus, modules = "sata", "ahci sd_mod"


class Nvme(Disk):
    bus, modules, device = "nvme", "nvme", "nvme0n1"


class Virtio(Disk):
    bus, modules, device = "virtio", "virtio_pci virtio_blk", "vda"


GUESTS = {"grub": Grub, "memtest": Memtest, "linux": Linux, "disk": Disk, "sata": Sata, "nvme": Nvme, "virtio": Virtio}


def one(options, test, cpus, cache, rng):
    guest = GUESTS[test]()
    vm = (Live if options.live else Suspended if options.suspend else Vm)(options, f"{test}-{cpus}")
    try:
        files = {g: os.path.join(cache, g) for g in guest.guests} | guest.prepare(vm.home, cache)
        args = [files.get(a, a) for a in guest.args]
        vm.run("create", vm.name, *args, "--cpus", str(cpus), "--engine", options.engine)
        vm.run("start", vm.name)
        for kind, what in guest.steps:
            vm.step(kind, what, guest.limit * options.scale)
        guest.began(vm)
        sizes, under_way = [], 0
        for _ in range(options.rounds):
            time.sleep(rng.uniform(0, 1.5))
            vm.save()
            (guest.saved_live if options.live else guest.saved)(vm)
            under_way += "finished 0 requests" not in vm.run("logs", vm.name).stdout
            sizes.append(os.path.getsize(vm.state()))
            vm.load()
            (guest.loaded_live if options.live else guest.loaded)(vm)
        said = " ".join(f"{k}={v}" for k, v in sorted(getattr(guest, "count", {}).items()))
        return (f"{options.rounds} times, {under_way} with requests of drives under way, states of up to "
                f"{max(sizes) >> 20} MiB {said}" + (f", stood for up to {max(vm.stood):.1f} ms" if options.live else ""))
    except boot.Failed as e:
        log = vm.run("logs", vm.name, check=False).stdout
        serial = vm.serial()[-1000:]
        raise boot.Failed(f"{e}\n--- serial\n{serial}\n--- log\n{log[-2000:]}") from None
    finally:
        vm.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vmctl", default=os.path.join(boot.HERE, "../../build/core-vmm/vmctl/vmctl"))
    parser.add_argument("--engine", default="soft")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--suspend", action="store_true", help="by vmctl save and start")
    parser.add_argument("--live", action="store_true", help="by snapshots, without ending it")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    options.vmctl = os.path.abspath(options.vmctl)
    tests = options.tests or [f"{g}-{n}" for g in GUESTS for n in (1, 2)]
    cache = subprocess.run([os.path.join(boot.HERE, "guests.sh"), "--dir"], capture_output=True, text=True).stdout.strip()
    print(f"1..{len(tests)}\n# seed {options.seed}", flush=True)
    rng, bad = random.Random(options.seed), 0
    for i, name in enumerate(tests, 1):
        test, _, cpus = name.partition("-")
        reason = boot.guests_ready(GUESTS[test].guests)
        if reason:
            print(f"ok {i} {name} # SKIP {reason}", flush=True)
            continue
        try:
            print(f"ok {i} {name} {one(options, test, int(cpus), cache, rng)}", flush=True)
        except boot.Failed as e:
            bad += 1
            print(f"not ok {i} {name}\n# " + "\n# ".join(str(e).splitlines()), flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
