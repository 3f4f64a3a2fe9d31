#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Saves a running machine to a file and loads that into a new process, again and again, each time from where the last one
was: the guest must go on as if nothing had been.  Prints TAP.

  state.py [--vmctl PATH] [--engine E [--if-usable] [--then E]] [--rounds N] [--seed N] [--suspend | --live] TEST...

TEST is GUEST-CPUS: grub-1, grub-2, memtest-1, memtest-2, linux-1, linux-2; with a disk that is written and read all the time disk-1,
disk-2 (IDE), sata-1, sata-2, nvme-1, nvme-2, virtio-1, virtio-2; with files on a disk that are open and written file64-1, file64-2,
file32-1, file32-2 and (FreeDOS, one CPU; $TERRARIUM_FREEDOS is an image of a floppy that boots it) dos-1.  The moments are random; the seed is printed.  With --then
each load is under the other engine, so that 100 rounds are 50 moves each way."""
import argparse
import configparser
import gzip
import hashlib
import json
import os
import random
import re
import shutil
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

    moves = 0

    def start(self, *more):
        """Under the engine whose turn it is."""
        engine = self.options.then if self.moves % 2 else self.options.engine
        return self.run("start", self.name, "--engine", engine, "--timeout", str(int(60 * self.options.scale)), *more)

    def go_on(self, *more):
        self.moves += bool(self.options.then)
        return self.start(*more)

    def load(self):
        """Ends the process and goes on in a new one."""
        self.run("stop", self.name, "--force")
        self.go_on("--load", self.state())


    def present(self, drive):
        """What is in a drive of the stopped machine now, as a raw image."""
        raw, ini = os.path.join(self.home, "present.img"), configparser.ConfigParser(interpolation=None)
        ini.read(os.path.join(self.env["XDG_DATA_HOME"], "terrarium", "machines", self.name, "machine.ini"))
        image = os.path.join(self.env["XDG_DATA_HOME"], "terrarium", "machines", self.name, ini[drive]["file"])
        self.run("disk", "convert", image, raw)
        return raw


class Suspended(Vm):
    """The same as one does it: vmctl save, vmctl start.  What the guest wrote is read before: its process ends."""
    text = drawn = ""
    draws = False  # its screen is looked at

    def pause(self):
        """On a host that is slow enough a command gets its answer after vmctl has given up waiting for it."""
        end = time.time() + 60 * self.options.scale
        while (p := self.run("pause", self.name, check=False)).returncode == 5 and time.time() < end:
            pass
        if self.run("wait", self.name, "--state", "paused", "--timeout", "30", check=False).returncode:
            raise Lost(f"it does not pause: {p.stderr}")

    def save(self):
        self.pause()
        self.text, self.drawn = Vm.serial(self), Vm.screen(self) if self.draws else ""
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
        p = self.go_on()
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
        self.go_on()


class Guest:
    def prepare(self, folder, cache):
        """What it needs beside the guests that are in the cache, by the names in its arguments."""
        return {}

    def began(self, vm):
        pass

    def ends(self, vm):
        """After the last round."""


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
            before, end = self.chosen(vm.screen()), time.time() + 30 * vm.options.scale
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
        end = time.time() + 120 * vm.options.scale
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
        vm.step("serial", "@A 2 ", 60 * vm.options.scale)
        self.count = {}
        self.rest = ""

    def take(self, text):
        """Reads the lines, of which the first goes on with what the process before wrote last."""
        text = self.rest + text
        lines = text.split("\n")
        self.rest = lines.pop()
        for line in lines:
            m = re.search(r"@([ABDMRT]) (\d+) (\S+)\r?$", line)  # the first may stand behind the shell's prompt
            if not m:
                if re.search(r"^@|error|BUG|panic|stall|lockup", line):
                    raise Lost(f"the guest says {line!r}")
                continue
            name, n, result = m[1], int(m[2]), m[3]
            low = self.count.get(name, 0) + 1
            if not low <= n <= self.most.pop(name, low):
                raise Lost(f"{name} counted {self.count.get(name, 0)}, then {n}")
            if name == "T":
                self.clock(float(result))
            elif result != SUM[name]:
                raise Lost(f"{name} {n} gave {result}")
            self.count[name] = n

    def clock(self, now):
        """The guest's seconds: never back, and no more than have passed outside."""
        first, last = getattr(self, "clocks", (now, now))
        passed = time.time() - self.started
        if not last <= now <= first + passed + 1:
            raise Lost(f"the guest's clock was {first} s at first, {last} s before and is {now} s, {passed:.1f} s after the start")
        self.clocks = first, now

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
        end = time.time() + 120 * vm.options.scale
        while not all(len(re.findall(rf"@{name} \d+ ", vm.serial())) > 2 for name in self.names):
            if time.time() > end:
                raise Lost(f"it does not go on: {vm.serial()[-300:]}")
            time.sleep(0.1)

    def loaded(self, vm):
        """Every counter is on its way again; between engines one after the other, round by round.  (The next line of each
        may have begun in the process before.)"""
        for name in self.names[vm.moves % len(self.names)] if vm.options.then else self.names:
            vm.step("serial", f"@{name} {self.count.get(name, 0) + 2} ", 120 * vm.options.scale)


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

    @staticmethod
    def make_disk(path):
        data = random.Random(0).randbytes(16 << 20)
        SUM["R"] = hashlib.md5(data[:4 << 20]).hexdigest()
        with open(path, "wb") as f:
            f.write(bytes(16 << 20) + data)

    def more_files(self, folder, cache):
        """What the archive has beside its init; names in that folder."""
        return []

    def prepare(self, folder, cache):
        """A disk, and an archive whose init takes the place of the other's; their paths."""
        self.make_disk(os.path.join(folder, "disk.img"))
        with open(os.path.join(folder, "init"), "w", encoding="utf-8") as f:
            f.write(self.INIT.replace("MODULES", self.modules).replace("/dev/DISK", "/dev/" + self.device))
        os.chmod(os.path.join(folder, "init"), 0o755)
        names = "\n".join(["init", *self.more_files(folder, cache), ""])
        more = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], input=names.encode(), cwd=folder, capture_output=True,
                              check=True).stdout
        with open(os.path.join(cache, self.guests[1]), "rb") as f:
            first = f.read()
        with open(os.path.join(folder, "initrd.gz"), "wb") as f:
            f.write(first + gzip.compress(more))
        return {name: os.path.join(folder, name) for name in ("disk.img", "initrd.gz")}

    def began(self, vm):
        self.count, self.rest = {}, ""
        for name in self.names:
            vm.step("serial", f"@{name} 1 ", 60 * vm.options.scale)


class Sata(Disk):
    bus, modules = "sata", "ahci sd_mod"


class Nvme(Disk):
    bus, modules, device = "nvme", "nvme", "nvme0n1"


class Virtio(Disk):
    bus, modules, device = "virtio", "virtio_pci virtio_blk", "vda"


class File(Disk):
    """With a disk that has a file system: one file is open all the time and gets each number that the guest counts, another is
    written, and read again past the cache.  Beside that the guest tells its clock.  At the end the disk is looked at."""
    names, modules = "ADT", "ata_piix sd_mod"
    package, extra = "linux-image-amd64", ("crc16", "crc32c_generic", "libcrc32c", "mbcache", "jbd2", "ext4")
    INIT = """#!/bin/sh
export PATH=/bin:/sbin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for m in MODULES; do modprobe $m; done
for m in EXTRA; do insmod /$m.ko; done
while [ ! -b /dev/DISK ]; do sleep 0.1; done
mount -t ext4 /dev/DISK /mnt
echo GUEST-PROMPT
exec 3>/mnt/log
(n=0; while [ ! -e /end ]; do n=$((n + 1)); k=0; s=0; while [ $k -lt 150 ]; do k=$((k + 1)); s=$((s + k)); done; echo $n >&3; echo "@A $n $s"; [ $((n % 4)) != 0 ] || sleep 0.1; done) &
(n=0; while [ ! -e /end ]; do
    n=$((n + 1)) at=$((n % 64)) w=$(printf %0500d $n) r=
    echo "$w" | dd of=/mnt/places bs=512 seek=$at conv=sync,notrunc,fsync 2>/dev/null
    echo 1 >/proc/sys/vm/drop_caches
    read -r r <<EOF
$(dd if=/mnt/places bs=512 skip=$at count=1 2>/dev/null | head -1)
EOF
    if [ "$r" = "$w" ]; then echo "@D $n same"; else echo "@D $n $r"; fi
done) &
(n=0; while [ ! -e /end ]; do n=$((n + 1)); read -r up more </proc/uptime; echo "@T $n $up"; sleep 0.3; done) &
read -r line </dev/ttyS0
>/end
wait
exec 3>&-
umount /mnt && echo FILES-CLOSED
while :; do sleep 100; done
"""

    @property
    def args(self):
        return [*super().args, "--nic", "none"]

    @staticmethod
    def make_disk(path):
        with open(path, "wb") as f:
            f.truncate(24 << 20)
        subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", path], check=True)

    def more_files(self, folder, cache):
        """The drivers of its file system, from the kernel's own package."""
        for root, _, files in os.walk(os.path.join(cache, "pkg", self.package, "lib/modules")):
            for name in files:
                if name.removesuffix(".ko") in self.extra:
                    shutil.copy(os.path.join(root, name), folder)
        init = os.path.join(folder, "init")
        with open(init, encoding="utf-8") as f:
            text = f.read()
        with open(init, "w", encoding="utf-8") as f:
            f.write(text.replace("EXTRA", " ".join(self.extra)))
        return [f"{m}.ko" for m in self.extra if os.path.exists(os.path.join(folder, f"{m}.ko"))]

    def ends(self, vm):
        """The file system is whole, and the file has every number that was counted."""
        vm.control("serial.write", text="\n")
        vm.step("serial", "FILES-CLOSED", 120 * vm.options.scale)
        self.take(Vm.serial(vm).split("FILES-CLOSED")[0])
        vm.run("stop", vm.name, "--force")
        disk = vm.present("ide0")
        check = subprocess.run(["/sbin/e2fsck", "-fn", disk], capture_output=True, text=True)
        if check.returncode:
            raise Lost(f"the file system is damaged: {check.stdout}{check.stderr}")
        log = subprocess.run(["/sbin/debugfs", "-R", "cat /log", disk], capture_output=True, text=True, check=True).stdout
        numbers_to(log, self.count["A"])


def numbers_to(text, last):
    """They are 1, 2, 3 and so on, one in a line, to the last (or, where that line was on its way, one more)."""
    found = text.split()
    if found != [str(n + 1) for n in range(len(found))] or not last <= len(found) <= last + 1:
        raise Lost(f"the guest counted to {last}, and its file has {len(found)} lines, the last {found[-1:]}")


class File32(File):
    """Without PAE, which some hosts' nested paging gets wrong."""
    guests, package = ["vmlinuz-686", "disk-initrd32.gz"], "linux-image-686_i386"

    @property
    def args(self):
        return [a.replace("vmlinuz-amd64", "vmlinuz-686") for a in super().args]

    def more_files(self, folder, cache):
        """Those of disk controllers, too: the archive's are of another kernel."""
        self.extra = ("scsi_common", "scsi_mod", "libata", "ata_piix", "crc64", "crct10dif_common", "crct10dif_generic", "crc-t10dif",
                      "crc64-rocksoft", "t10-pi", "sd_mod", *File.extra)
        return super().more_files(folder, cache)


class Dos(Linux):
    """FreeDOS with a program (dos_counter.S) that counts by the BIOS's clock, into an open file on the floppy."""
    guests, limit, names = [], 120, "AT"
    args = ["--memory", "16M", "--nic", "none", "--floppy", "dos.img"]
    steps = [("serial", "@A 3 ")]

    def prepare(self, folder, cache):
        image, program = os.path.join(folder, "dos.img"), os.path.join(folder, "COUNT.COM")
        shutil.copy(os.environ["TERRARIUM_FREEDOS"], image)
        source, middle = os.path.join(boot.HERE, "dos_counter.S"), os.path.join(folder, "count.o")
        for command in (["cc", "-m32", "-c", source, "-o", middle],
                        ["ld", "-m", "elf_i386", "-Ttext", "0x100", "--oformat", "binary", "-e", "start", "-o", program, middle],
                        ["mcopy", "-o", "-i", image, program, "::COUNT.COM"]):
            subprocess.run(command, check=True)
        subprocess.run(["mcopy", "-o", "-i", image, "-", "::AUTOEXEC.BAT"], input=b"COUNT\r\n", check=True)
        return {"dos.img": image}

    def began(self, vm):
        self.count, self.rest = {}, ""

    def clock(self, now):
        """BIOS ticks, of which a day has 1800B0h."""
        super().clock(now * 65536 / 1193182)

    def ends(self, vm):
        vm.run("keys", vm.name, "esc")
        vm.step("serial", "@END", 120 * vm.options.scale)
        self.take(Vm.serial(vm).replace("@END", ""))
        vm.run("stop", vm.name, "--force")
        log = subprocess.run(["mtype", "-i", os.path.join(vm.home, "dos.img"), "::LOG.TXT"], capture_output=True, text=True, check=True)
        numbers_to(log.stdout, self.count["A"])


GUESTS = {"file64": File, "file32": File32, "dos": Dos, "grub": Grub, "memtest": Memtest, "linux": Linux, "disk": Disk, "sata": Sata, "nvme": Nvme, "virtio": Virtio}


def one(options, test, cpus, cache, rng):
    guest = GUESTS[test]()
    vm = (Live if options.live else Suspended if options.suspend else Vm)(options, f"{test}-{cpus}")
    try:
        files = {g: os.path.join(cache, g) for g in guest.guests} | guest.prepare(vm.home, cache)
        args = [files.get(a, a) for a in guest.args]
        vm.run("create", vm.name, *args, "--cpus", str(cpus), "--engine", options.engine, *options.settings)
        vm.draws = isinstance(guest, (Grub, Memtest))
        guest.started = time.time()
        vm.start()
        for kind, what in guest.steps:
            vm.step(kind, what, guest.limit * options.scale)
        guest.began(vm)
        sizes, under_way, began = [], 0, time.time()
        for n in range(options.rounds):
            if n and time.time() > began + 60 * options.minutes:
                break
            time.sleep(rng.uniform(0, 1.5))
            vm.save()
            (guest.saved_live if options.live else guest.saved)(vm)
            under_way += "finished 0 requests" not in vm.run("logs", vm.name).stdout
            sizes.append(os.path.getsize(vm.state()))
            vm.load()
            (guest.loaded_live if options.live else guest.loaded)(vm)
            print(f"# {vm.name}: {n + 1}", flush=True)
        guest.ends(vm)
        said = " ".join(f"{k}={v}" for k, v in sorted(getattr(guest, "count", {}).items()))
        moves = f" ({options.engine} to {options.then} {(vm.moves + 1) // 2}, back {vm.moves // 2})" if options.then else ""
        return (f"{len(sizes)} times{moves}, {under_way} with requests of drives under way, states of up to "
                f"{max(sizes) >> 20} MiB {said}" + (f", stood for up to {max(vm.stood):.1f} ms" if options.live else ""))
    except boot.Failed as e:
        log = vm.run("logs", vm.name, check=False).stdout
        serial = vm.run("serial", vm.name, "--tail", check=False).stdout[-1000:]
        raise boot.Failed(f"{e}\n--- serial\n{serial}\n--- log\n{log[-2000:]}") from None
    finally:
        vm.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vmctl", default=os.path.join(boot.HERE, "../../build/core-vmm/vmctl/vmctl"))
    parser.add_argument("--engine", default="soft")
    parser.add_argument("--if-usable", action="store_true", help="skip where the engine fails its probe")
    parser.add_argument("--then", help="after each load the other of these two engines")
    parser.add_argument("--set", dest="sets", action="append", default=[], help="SECTION.KEY=VALUE, repeatable")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="no more rounds of a test after that")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--suspend", action="store_true", help="by vmctl save and start")
    parser.add_argument("--live", action="store_true", help="by snapshots, without ending it")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    options.vmctl = os.path.abspath(options.vmctl)
    if options.then and not any(s.startswith("machine.cpu-model=") for s in options.sets):
        options.sets.append("machine.cpu-model=x86-64-v2")  # what both engines show
    options.settings = [word for s in options.sets for word in ("--set", s)]
    tests = options.tests or [f"{g}-{n}" for g in GUESTS for n in (1, 2)]
    cache = subprocess.run([os.path.join(boot.HERE, "guests.sh"), "--dir"], capture_output=True, text=True).stdout.strip()
    print(f"# seed {options.seed}", flush=True)
    unusable = boot.unusable(options) if options.if_usable else None
    rng = random.Random(options.seed)

    def why_not(name):
        test = name.partition("-")[0]
        if test == "dos" and options.live:
            return "a floppy gets no new image when a snapshot is taken: it cannot be gone back to"
        if test == "dos" and not os.environ.get("TERRARIUM_FREEDOS"):
            return "TERRARIUM_FREEDOS does not name an image of a FreeDOS boot floppy"
        return unusable or GUESTS[test].guests and boot.guests_ready(GUESTS[test].guests)

    def carry_out(name):
        test, _, cpus = name.partition("-")
        return one(options, test, int(cpus), cache, rng)

    return boot.report(tests, why_not, carry_out)


if __name__ == "__main__":
    sys.exit(main())
