#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux guests with a virtio console, balloon or SCSI host adapter.  Prints TAP.

  virtio.py [--vmctl PATH] [--engine E] [--scale F] TEST...
  console-BITS   a megabyte each way with equal sums, a shell on it, the machine saved and loaded in between
  balloon-BITS   memory that is free goes back to the host by itself, and more when it is asked for; what the guest uses is right
  scsi-BITS      a disk that is read and written while the machine is saved and loaded
BITS: 64 or 32, the guest's kernel."""
import argparse
import hashlib
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import time

import boot

sys.path.insert(0, os.path.join(boot.HERE, "..", "network"))
from guest_shell import Shell  # noqa: E402

GUESTS = {"64": ("vmlinuz-cloud", "virtio-initrd64.gz"), "32": ("vmlinuz-686-pae", "virtio-initrd32.gz")}
MIB = 1 << 20


def need(good, what):
    if not good:
        raise boot.Failed(what)


class Guest(boot.Machine):
    def begin(self, cache, bits, *settings):
        kernel, initrd = (os.path.join(cache, g) for g in GUESTS[bits])
        sets = [x for s in ("serial1.target=socket:line", *settings) for x in ("--set", s)]
        self.run("create", self.name, "--memory", "384M", "--engine", self.options.engine, "--nic", "none", "--kernel", kernel,
                 "--initrd", initrd, "--cmdline", "console=ttyS0 loglevel=4 panic=-1", *sets)
        self.run("start", self.name)
        self.shell = self.connect("line", "GUEST-PROMPT")

    def path(self, file):
        return f"{self.env['XDG_DATA_HOME']}/terrarium/machines/{self.name}/{file}"

    def connect(self, file, until=None):
        shell = Shell(self.path(file), self.options.scale)
        if until:
            shell.until(until, 120)
        shell.good("stty cols 200; PS1=")
        return shell

    def again(self):
        """Saved, and loaded into a new process."""
        state = os.path.join(self.home, "state")
        self.shell.close()
        self.run("debug", "save", self.name, state)
        self.run("stop", self.name, "--force")
        self.run("start", self.name, "--load", state)
        self.shell = self.connect("line")

    def balloon(self):
        return json.loads(self.run("balloon", self.name, "-o", "json").stdout)

    def until(self, what, good, seconds=60):
        """The balloon's account, when it is so."""
        end = time.monotonic() + seconds * self.options.scale
        while not good(now := self.balloon()):
            need(time.monotonic() < end, f"{what}: {now}")
            time.sleep(0.5)
        return now

    def end(self):
        self.run("stop", "--force", self.name, check=False)
        shutil.rmtree(self.home, ignore_errors=True)


def found(pattern, text):
    """In what a command printed; the shell may have echoed the command once more."""
    match = re.search(pattern, text, re.M)
    need(match, f"no {pattern} in {text!r}")
    return match[0]


SUM = r"\b[0-9a-f]{32}\b"


# ---- console ----

class Line:
    """The host's end of a console."""

    def __init__(self, guest):
        self.scale = guest.options.scale
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(guest.path("hvc"))

    def receive(self, count):
        data, end = b"", time.monotonic() + 60 * self.scale
        while len(data) < count:
            self.socket.settimeout(max(end - time.monotonic(), 0.1))
            data += self.socket.recv(count - len(data))
        return data


def both_ways(guest, seed):
    data = random.Random(seed).randbytes(MIB)
    line = Line(guest)
    guest.shell.good("exec 5<>/dev/hvc0; stty raw -echo <&5")
    guest.shell.start(f"head -c {MIB} <&5 | md5sum")
    line.socket.sendall(data)
    out, _ = guest.shell.result(120)
    need(hashlib.md5(data).hexdigest() in out, f"the guest got other bytes: {out}")
    size = int(found(r"^\d+$", guest.shell.good("wc -c </bin/busybox")))
    sum_ = found(SUM, guest.shell.good("md5sum </bin/busybox"))
    guest.shell.start("cat /bin/busybox >&5")
    got = hashlib.md5(line.receive(size)).hexdigest()
    need(guest.shell.result(60)[1] == 0 and got == sum_, f"the host got {got}, the guest sent {sum_}")
    guest.shell.good("exec 5>&-")
    line.socket.close()


def console(guest, cache, bits):
    guest.begin(cache, bits, "console1.target=socket:hvc")
    out = guest.shell.good("cat /sys/class/tty/hvc0/dev; readlink /sys/bus/virtio/drivers/virtio_console/virtio*")
    need("229:0" in out and "virtio0" in out, f"no driver: {out}")
    both_ways(guest, 1)
    guest.shell.good("stty sane </dev/hvc0; (while :; do setsid sh -c 'exec sh -i </dev/hvc0 >/dev/hvc0 2>&1'; done) & true")
    on_it = guest.connect("hvc")
    found("^42 on ", on_it.good("echo $((6 * 7)) on $(uname -m)"))
    on_it.close()
    guest.again()
    on_it = guest.connect("hvc")
    need("hvc0" in on_it.good("ls -l /proc/self/fd/0"), "after loading, the shell is not on it")
    on_it.close()


# ---- balloon ----

def fills(guest, mib, name):
    """A file in memory, and that it is what was written."""
    text = f"{name}-0123456789\n".encode()
    part = (text * (MIB // len(text) + 1))[:MIB]
    guest.shell.good(f"yes {name}-0123456789 | head -c {MIB} >/tmp/part", 60)
    line = guest.shell.good(f"for i in $(seq {mib}); do cat /tmp/part; done >/tmp/{name}; md5sum </tmp/{name}", 300)
    if hashlib.md5(part * mib).hexdigest() not in line:
        seen = guest.shell.run(f"md5sum /tmp/part /tmp/{name}; for i in $(seq {mib}); do cat /tmp/part; done | cmp - /tmp/{name}", 300)
        raise boot.Failed(f"/tmp/{name} is not what was written: {line!r}, later {seen}")


def runs_new_code(guest):
    """Programs in pages that the host had meanwhile: what was translated of them before must be gone."""
    sum_ = found(SUM, guest.shell.good("md5sum </bin/busybox"))
    out = guest.shell.good("for i in 1 2 3 4 5 6 7 8; do cp /bin/busybox /tmp/md5sum; /tmp/md5sum </bin/busybox; "
                           "rm /tmp/md5sum; done", 120)
    need(out.split().count(sum_) == 8, out)


def free(guest):
    """As its system shows it; pages that are just being reported are missing there for a moment."""
    return int(re.search(r"MemFree: +(\d+)", guest.shell.good("cat /proc/meminfo"))[1]) << 10


def balloon(guest, cache, bits):
    guest.begin(cache, bits, "balloon.report=on")
    need("virtio" in guest.shell.good("readlink /sys/bus/virtio/drivers/virtio_balloon/virtio*"), "no driver")
    first = guest.until("no statistics", lambda b: "free" in b["statistics"])
    need(first["driver"] and first["left"] == 384 * MIB and first["statistics"]["free"] > 100 * MIB, f"{first}")
    guest.until("the guest says something else of itself", lambda b: abs(b["statistics"]["free"] - free(guest)) < 20 * MIB)
    # free memory goes back by itself
    fills(guest, 96, "a")
    high = guest.balloon()["on-host"]
    need(high > 96 * MIB, f"{high} bytes on the host, and the guest has 96 MiB in a file")
    guest.shell.good("rm /tmp/a")
    low = guest.until("reported", lambda b: b["on-host"] < high - 40 * MIB)
    # and what is asked for
    guest.run("balloon", guest.name, "192M")
    asked = guest.until("inflated", lambda b: b["left"] <= 192 * MIB)
    need(asked["on-host"] < 220 * MIB, f"{asked}")
    need(f"{192:.1f} MiB" in guest.run("balloon", guest.name).stdout, "the table")
    runs_new_code(guest)
    fills(guest, 24, "b")
    guest.again()
    need(guest.balloon()["left"] <= 192 * MIB, "after loading, the balloon is another")
    fills(guest, 24, "b")
    guest.run("balloon", guest.name, "384M")
    guest.until("deflated", lambda b: b["left"] == 384 * MIB)
    guest.shell.good("rm /tmp/b")
    fills(guest, 150, "c")
    runs_new_code(guest)
    p = guest.run("balloon", guest.name, "385M", check=False)
    need(p.returncode == 2 and "402653184" in p.stderr, f"{p.returncode} {p.stderr}")
    print(f"# on the host: {high / MIB:.0f} MiB with a file of 96 MiB, {low['on-host'] / MIB:.0f} after it was removed, "
          f"{asked['on-host'] / MIB:.0f} when 192 were left", flush=True)


# ---- SCSI ----

def scsi(guest, cache, bits):
    """Disks have tests of their own (disks.py); this is about what is under way when the machine is saved."""
    data = random.Random(bits).randbytes(64 * MIB)
    path = os.path.join(guest.home, "disk")
    with open(path, "wb") as f:
        f.write(data)
    guest.begin(cache, bits, f"scsi0.file={path}", "scsi0.format=raw")
    guest.shell.good("for i in $(seq 100); do [ -b /dev/sda ] && break; sleep .1; done; ls /dev/sda")
    guest.shell.good("(for i in 1 2 3; do echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/sda bs=1M count=32 2>/dev/null | md5sum; done >/tmp/sums; "
                     "echo END >>/tmp/sums) & true")
    guest.shell.good("(for i in $(seq 0 200); do dd if=/bin/busybox of=/dev/sda bs=64k seek=$((640 + i % 2 * 40)) conv=notrunc,fsync "
                     "2>/dev/null; done; echo END >/tmp/wrote) & true")
    for _ in range(3):
        guest.again()
    guest.shell.good("while ! grep -q END /tmp/sums; do sleep .5; done; while ! grep -q END /tmp/wrote; do sleep .5; done", 300)
    out = guest.shell.good("cat /tmp/sums")
    need(out.count(hashlib.md5(data[:32 * MIB]).hexdigest()) == 3, f"the guest read something else: {out}")
    sum_ = found(SUM, guest.shell.good("md5sum </bin/busybox"))
    size = int(found(r"^\d+$", guest.shell.good("wc -c </bin/busybox; sync")))
    guest.run("stop", guest.name, "--force")
    with open(path, "rb") as f:
        seen = f.read()
    for at in (40 * MIB, 40 * MIB + 40 * 65536):
        need(hashlib.md5(seen[at:at + size]).hexdigest() == sum_, f"what was written at {at} is not there")
    need(seen[:32 * MIB] == data[:32 * MIB], "what was only read has changed")


def carry_out(guest, test, *arguments):
    """And ends the guest.  What goes wrong comes with the end of its log."""
    try:
        test(guest, *arguments)
    except (boot.Failed, AssertionError, OSError) as problem:
        raise boot.Failed(f"{problem}\n{guest.run('logs', guest.name, check=False).stdout[-1000:]}") from problem
    finally:
        guest.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vmctl", default=os.path.join(boot.HERE, "../../build/core-vmm/vmctl/vmctl"))
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("tests", nargs="+")
    options = parser.parse_args()
    options.vmctl = os.path.abspath(options.vmctl)
    cache = subprocess.run([os.path.join(boot.HERE, "guests.sh"), "--dir"], capture_output=True, text=True).stdout.strip()

    def one(name):
        kind, bits = name.split("-")
        carry_out(Guest(options, name), {"console": console, "balloon": balloon, "scsi": scsi}[kind], cache, bits)
        return ""

    return boot.report(options.tests, lambda name: boot.guests_ready(GUESTS[name.split("-")[1]]), one)


if __name__ == "__main__":
    sys.exit(main())
