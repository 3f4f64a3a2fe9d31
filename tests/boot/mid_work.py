#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux guests that are saved and put back in the middle of their work (mid_work.c): counters in memory, a file of a journaled file
system that is appended to and flushed, a TCP connection through NAT to a server on the host, and clocks.  Nothing may be lost:
every number comes once and in order, on the serial line and at the server; the file is whole, and fsck finds nothing, in the
end and in what the disk holds now and then meanwhile (after its journal was played back, as after a power cut); the
real-time clock is the host's, and the guest's own goes on without a jump.  Prints TAP.

  mid_work.py [--vmctl PATH] [--engine E] [--rounds N] [--seed N] (--suspend | --snapshots) BITS-CPUS...

--suspend: vmctl save, vmctl start, again and again.  --snapshots: taken while it runs or stands, run on, one of the last few
restored.  A connection cannot outlive the process that made it: after a load it is made anew, at once, with the number that
was not answered; while the machine runs, and is taken snapshots of, it must not end."""
import argparse
import json
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "network"))
import boot  # noqa: E402
import members  # noqa: E402

INIT = """#!/bin/sh
export PATH=/bin:/sbin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
depmod
for m in crc32c_generic ext4 ata_piix ahci nvme virtio_pci virtio_blk sd_mod virtio_net e1000 pcnet32 8139cp; do modprobe $m 2>/dev/null; done
exec </dev/ttyS0 >/dev/ttyS0 2>&1
stty -echo -opost
while [ ! -b /dev/DISK ]; do sleep 0.1; done
mkdir -p /mnt
mount -t ext4 /dev/DISK /mnt || echo "@! no disk"
ip link set lo up
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
mid-work /mnt/log 10.0.2.2 PORT CPUS &
read word
killall mid-work
while killall -0 mid-work 2>/dev/null; do sleep 0.1; done
umount /mnt && echo "@ENDED"
poweroff -f
"""
# Each with a controller and a card of its own.
BUSES = {"64-1": ("virtio", "vda", "virtio-net"), "64-2": ("nvme", "nvme0n1", "e1000"), "32-1": ("ide", "sda", "pcnet"),
         "32-2": ("sata", "sda", "rtl8139")}
NAMES, WORDS, RECORD = "ABFT", 16384, 64
BAD = re.compile(r"@!.*|.*(BUG|panic|stall|lockup|EXT4-fs error|I/O error|Call Trace).*")
KEEP, LOOK = 4, 20  # snapshots at a time; rounds from one look at the disk to the next
SECONDS = 120  # until the guest goes on, at most
OFF_BY = 2  # seconds that the clocks may be off by


class Lost(boot.Failed):
    pass


class Server:
    """Sends each line back; what came, with the number of the connection."""

    def __init__(self):
        self.came, self.looked, self.last, self.window = [], 0, (0, 0), ()
        self.socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.accept, daemon=True).start()

    def port(self):
        return self.socket.getsockname()[1]

    def accept(self):
        number = 0
        while True:
            s, number = self.socket.accept()[0], number + 1
            threading.Thread(target=self.talk, args=(s, number), daemon=True).start()

    def talk(self, s, number):
        try:
            with s, s.makefile("rwb", buffering=0) as f:
                for line in f:
                    self.came.append((number, int(line)))
                    f.write(line)
        except OSError:
            pass  # the machine has ended

    def expect(self, low, high):
        """The guest has gone on in a new process from somewhere there: its next connection begins with one of these."""
        self.window = range(low, high + 1)

    def check(self):
        """All came one after the other, and by no more new connections than there had to be."""
        while self.looked < len(self.came):
            connection, n = self.came[self.looked]
            before, last = self.last
            good = n == last + 1 if connection == before else n in self.window
            if not good:
                raise Lost(f"the server got {n} by connection {connection} after {last} by {before}; may begin: {self.window}")
            if connection != before:
                self.window = ()
            self.last, self.looked = (connection, n), self.looked + 1


class Point:
    """Where the guest is, or was when a snapshot was taken: the last number of each, and what may come next at the most."""

    def __init__(self):
        self.count, self.rest, self.most, self.clock = dict.fromkeys(NAMES, 0), "", {}, None

    def copy(self):
        p = Point()
        p.count, p.rest, p.most, p.clock = dict(self.count), self.rest, dict(self.most), self.clock
        return p

    def take(self, text):
        """Reads on; the first line goes on with what the process before wrote last.  The reasons of ended connections."""
        lines, ended = (self.rest + text).replace("\r", "").split("\n"), []
        self.rest = lines.pop()
        for line in lines:
            if BAD.match(line):
                raise Lost(f"the guest says {line!r}")
            if m := re.fullmatch(r"@([ABFT]) (\d+) (\w+)", line):
                self.number(m[1], int(m[2]), m[3])
            elif m := re.fullmatch(r"@K (\d+) (\d+) (\d+)", line):
                self.clocks(*(int(x) for x in m.groups()))
            elif m := re.fullmatch(r"@X \d+ (.*)", line):
                ended.append((m[1], dict(self.count)))
        return ended

    def number(self, name, n, result):
        low = self.count[name] + 1
        if not low <= n <= self.most.pop(name, low):
            raise Lost(f"{name} counted {self.count[name]}, then {n}")
        if result != (str(WORDS) if name in "AB" else "ok"):
            raise Lost(f"{name} {n} gave {result}")
        self.count[name] = n

    def clocks(self, mono, day, rtc):
        if self.clock and (mono < self.clock[0] or abs((day - mono) - (self.clock[1] - self.clock[0])) > 1000):
            raise Lost(f"the guest's clocks were {self.clock}, then {(mono, day, rtc)}")
        self.clock = (mono, day, rtc)


class Trial:
    def __init__(self, options, name, rng):
        self.options, self.name, self.rng = options, name, rng
        self.bits, self.cpus = (int(x) for x in name.split("-"))
        self.bus, self.device, self.card = BUSES[name]
        self.vm, self.server = boot.Machine(options, "m"), Server()
        self.folder = os.path.join(self.vm.env["XDG_DATA_HOME"], "terrarium", "machines", "m")
        self.now, self.seen, self.points = Point(), 0, {}  # seen: of this process' text
        self.reasons, self.disks, self.stood, self.slow, self.off = {}, 0, [], 0.0, 0.0

    # ---- the machine ----
    def initrd(self, cache):
        """An archive of archives: drivers, a file system, our program and init."""
        home = self.vm.home
        os.makedirs(os.path.join(home, "tree/bin"))
        why = members.gcc(self.bits, "-O2", "-s", os.path.join(HERE, "mid_work.c"), "-o", os.path.join(home, "tree/bin/mid-work"))
        if why:
            raise boot.Failed(f"mid_work.c cannot be built: {why}")
        init = INIT.replace("/dev/DISK", "/dev/" + self.device).replace("PORT", str(self.server.port())).replace("CPUS", str(self.cpus))
        with open(os.path.join(home, "tree/init"), "w", encoding="utf-8") as f:
            f.write(init)
        os.chmod(os.path.join(home, "tree/init"), 0o755)
        more = subprocess.run("find . | cpio -o -H newc -R 0:0 --quiet | gzip -1", shell=True, check=True, cwd=os.path.join(home, "tree"),
                              capture_output=True).stdout
        with open(os.path.join(home, "initrd.gz"), "wb") as f:
            for name in archives(self.bits):
                with open(os.path.join(cache, name), "rb") as g:
                    f.write(g.read())
            f.write(more)

    def create(self, cache):
        home = self.vm.home
        self.initrd(cache)
        with open(os.path.join(home, "disk.img"), "wb") as f:
            f.truncate(48 << 20)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-J", "size=4", "-F", os.path.join(home, "disk.img")], check=True)
        self.vm.run("create", "m", "--memory", "160M", "--cpus", str(self.cpus), "--kernel", os.path.join(cache, members.KERNELS[self.bits]),
                    "--initrd", os.path.join(home, "initrd.gz"), "--cmdline",
                    f"console=ttyS0,115200 loglevel=4 panic=-1 rdinit=/init {members.CLOCK}", "--disk-bus", self.bus, "--disk",
                    os.path.join(home, "disk.img"), "--nic", self.card, "--set", "nic1.rom=off", "--engine", self.options.engine)
        self.server.expect(1, 1)
        self.vm.run("start", "m")
        self.vm.step("serial", "@T 2 ok", 300 * self.options.scale)

    def serial(self):
        return self.vm.run("serial", "m", "--tail", "--bytes", "262144").stdout

    def read(self, text=None):
        """What this process' guest has said since."""
        text = self.serial() if text is None else text
        if len(text) > 250000:
            raise Lost("the output is more than is kept")
        new, self.seen = text[self.seen:], len(text)
        for why, count in self.now.take(new):
            self.reasons[why] = self.reasons.get(why, 0) + 1
            if self.began and count["T"] > self.began["T"]:
                raise Lost(f"the connection has ended while the machine ran: {why}")
        return new

    began = None  # the numbers when this process went on

    def went_on(self, point, high=None):
        """Waits until all count on from there, in a new process."""
        self.now, self.seen, self.began = point, 0, None
        self.server.expect(point.count["T"], (high or point.count["T"]) + 2)
        count, clock, begin = dict(point.count), point.clock, time.monotonic()
        while not all(self.now.count[n] > count[n] for n in NAMES) or self.now.clock == clock:
            if time.monotonic() - begin > SECONDS * self.options.scale:
                raise Lost(f"it does not go on from {count}: {self.now.count}: {self.serial()[-400:]!r}")
            time.sleep(0.1)
            self.read()
        self.slow = max(self.slow, time.monotonic() - begin)
        self.began = dict(self.now.count)
        self.server.check()
        self.clock()

    def clock(self):
        """The guest's real-time clock beside the host's.  A busy host may hold up what is read; some time it does not."""
        end = time.monotonic() + 60 * self.options.scale
        while True:
            before = self.now.clock
            self.read()
            off = time.time() - self.now.clock[2]
            if self.now.clock != before and -1.1 < off < OFF_BY + 1:  # the RTC has whole seconds
                self.off = max(self.off, off)
                return
            if time.monotonic() > end:
                raise Lost(f"the guest's real-time clock is {off:.1f} s behind the host's")
            time.sleep(0.05)

    # ---- what the disk holds ----
    def look(self, file, low, high, clean=False):
        """As after a power cut there, and whole; the file has all numbers up to one between low and high."""
        raw = os.path.join(self.vm.home, "raw")
        self.vm.run("disk", "convert", os.path.join(self.folder, file), raw, "-O", "raw", "--force", "-q")
        for how, most in (("-fn", 0),) if clean else (("-fp", 1), ("-fn", 0)):  # -p plays the journal back and sets the free counts
            p = subprocess.run(["e2fsck", how, raw], capture_output=True, text=True, check=False)
            if p.returncode > most:
                raise Lost(f"{file}: e2fsck {how}: {p.returncode}: {p.stdout}{p.stderr}")
        p = subprocess.run(["debugfs", "-R", "cat log", raw], capture_output=True, text=True, check=True)
        lines = p.stdout.split("\n")[:-1]
        if not low <= len(lines) <= high:
            raise Lost(f"{file}: the log has {len(lines)} records, and the guest was at {low} to {high}")
        for n, line in enumerate(lines, 1):
            if line != f"{n:010}{n * 7:53}":
                raise Lost(f"{file}: record {n} is {line!r}")
        os.unlink(raw)
        self.disks += 1

    def settings(self):
        return json.loads(self.vm.run("info", "m", "-o", "json").stdout)["settings"]

    def present(self):
        return next(s["file"] for name, s in self.settings().items() if re.fullmatch(r"(ide|sata|nvme|virtio-disk)\d+", name) and
                    s.get("file") and s.get("media", "disk") == "disk")

    # ---- rounds ----
    def suspend(self, number):
        self.vm.run("pause", "m")
        self.read()
        self.vm.run("save", "m")
        point = self.now.copy()
        self.server.check()
        if number % LOOK == 0:
            self.look(self.present(), point.count["F"], point.count["F"] + 1)
        p = self.vm.run("start", "m")
        if "goes on from where it was saved" not in p.stderr:
            raise Lost(f"it does not go on: {p.stderr}")
        self.went_on(point)

    def take(self):
        """The number of a snapshot, of a machine that runs or stands."""
        stands = self.rng.random() < 0.3
        if stands:
            self.vm.run("pause", "m")
        self.read()
        point = self.now.copy()
        said = json.loads(self.vm.run("snapshot", "take", "m", "-o", "json").stdout)
        high = dict(point.count)
        if stands:
            self.vm.run("resume", "m")
        else:
            self.read()
            self.stood.append(said["stood-ms"])
            high = {n: self.now.count[n] + 1 for n in NAMES}
            point.rest, point.most = "", {n: high[n] + 1 for n in NAMES}
        self.points[said["id"]] = (point, high)
        return said["id"]

    def drop(self):
        while len(self.points) > KEEP:
            which = self.rng.choice(sorted(self.points))
            self.vm.run("snapshot", "delete", "m", str(which))
            del self.points[which]

    def snapshot(self, number):
        last = self.take()
        time.sleep(self.rng.uniform(0, 0.7))
        if number % 2:
            self.drop()
        self.read()
        self.vm.run("pause", "m")
        self.read()
        self.vm.run("stop", "m", "--force")
        self.server.check()
        if number % 2 == 0:
            self.drop()
        which = last if last in self.points and self.rng.random() < 0.7 else self.rng.choice(sorted(self.points))
        if number % LOOK == 0:
            self.vm.run("snapshot", "verify", "m")
            with open(os.path.join(self.folder, "snapshots", "record.json"), encoding="utf-8") as f:
                s = next(s for s in json.load(f)["snapshots"] if s["id"] == which)
            low, high = (p["F"] for p in (self.points[which][0].count, self.points[which][1]))
            self.look(s["disks"][0]["file"], low, high + 1)
        self.vm.run("snapshot", "restore", "m", str(which))
        self.vm.run("start", "m")
        point, high = self.points[which]
        self.went_on(point.copy(), high["T"])

    def run(self, cache):
        self.create(cache)
        self.read()
        self.server.check()
        self.began = dict.fromkeys(NAMES, 0)
        self.clock()
        for number in range(1, self.options.rounds + 1):
            time.sleep(self.rng.uniform(0, 0.8))
            (self.suspend if self.options.suspend else self.snapshot)(number)
            if number % 10 == 0:
                print(f"# {self.name}: {number} rounds, {self.now.count}, connections {self.reasons}", flush=True)
        self.vm.control("serial.write", text="end\n")
        self.vm.step("state", "stopped", 60 * self.options.scale)
        f = self.now.count["F"]
        self.look(self.present(), f, f + 10000, clean=True)
        if not self.options.suspend:
            self.vm.run("snapshot", "verify", "m")
        said = " ".join(f"{k}={v}" for k, v in self.now.count.items())
        return (f"{self.options.rounds} times, {self.bus}, {self.card}, {said}, {self.disks} looks at the disk, connections ended "
                f"with {self.reasons}, went on within {self.slow:.1f} s, RTC at most {self.off:.1f} s behind" +
                (f", stood for up to {max(self.stood):.1f} ms" if self.stood else ""))


def archives(bits):
    return [f"network-initrd{bits}.gz", f"debian-initrd{bits}.gz", f"disk-initrd{bits}.gz"]


def one(options, name, cache, rng):
    trial, good = Trial(options, name, rng), False
    try:
        said = trial.run(cache)
        good = True
        return said
    except boot.Failed as e:
        log = trial.vm.run("logs", "m", check=False).stdout
        raise boot.Failed(f"{e}\n--- log\n{log[-3000:]}\n--- {trial.vm.home}") from None
    finally:
        trial.vm.run("stop", "m", "--force", check=False)
        if good or "TEST_KEEP" not in os.environ:
            trial.vm.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vmctl", default=os.path.join(HERE, "../../build/core-vmm/vmctl/vmctl"))
    parser.add_argument("--engine", default="soft")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--suspend", action="store_true", help="by vmctl save and start")
    parser.add_argument("--snapshots", action="store_true", help="by snapshots")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("tests", nargs="*", default=sorted(BUSES))
    options = parser.parse_args()
    if options.suspend == options.snapshots:
        parser.error("one of --suspend and --snapshots is needed")
    options.vmctl = os.path.abspath(options.vmctl)
    cache = subprocess.run([os.path.join(HERE, "guests.sh"), "--dir"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"# seed {options.seed}", flush=True)
    rng = random.Random(options.seed)

    def why_not(name):
        bits = int(name.split("-")[0])
        return boot.guests_ready([members.KERNELS[bits], *archives(bits)])

    return boot.report(options.tests, why_not, lambda name: one(options, name, cache, rng))


if __name__ == "__main__":
    sys.exit(main())
