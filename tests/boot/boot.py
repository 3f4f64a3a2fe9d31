#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots real guests and checks that each reaches the state that says it works.  Prints TAP.

  boot.py [--vmctl PATH] [--engine E [--if-usable]] [--cpus N] [--set SECTION.KEY=VALUE] [--scale F] [--keep DIR] TEST...
  boot.py --list

Guests come from guests.sh; a guest that cannot be had is skipped with the reason.  --scale stretches the time limits
(slow hosts, engines).  With --if-usable nothing is run where the engine fails its probe.  With --keep a screenshot and the logs of every test land in DIR."""
import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CONSOLE = "console=tty0 console=ttyS0,115200 loglevel=4 panic=-1"


def linux(kernel, initrd, extra="", memory="512M", cpus=None, limit=60, more=()):
    args = ["--memory", memory, "--kernel", kernel, "--initrd", initrd, "--cmdline", f"{CONSOLE} {extra}"]
    if cpus:
        args += ["--cpus", str(cpus)]
    return {"guests": [kernel, initrd], "args": args, "limit": limit,
            "steps": [("serial", "GUEST-UP"), *more, ("serial", "GUEST-PROMPT")]}


def virtio_rng(kernel, bits, setting):
    """Linux reads /dev/hwrng by a virtio driver of that kind."""
    test = linux(kernel, f"virtio-initrd{bits}.gz", "do=rng", memory="256M", limit=120,
                 more=[("serial", "RNG virtio_rng.0 100000"), ("serial", "RNG-RANDOM")])
    return {**test, "args": [*test["args"], "--set", f"rng.{setting}"]}


def installer(arch, kind, steps, memory="1G", limit=240):
    k, i = f"di-{arch}-{kind}-linux", f"di-{arch}-{kind}-initrd.gz"
    line = "vga=normal nomodeset fb=false" if kind == "text" else "vga=788"
    return {"guests": [k, i], "args": ["--memory", memory, "--kernel", k, "--initrd", i, "--cmdline", line],
            "limit": limit, "steps": steps}


def log_of(kernel, initrd, maker):
    """Linux on two CPUs of a maker, under the translator, whose boot log is read."""
    test = linux(kernel, initrd, "guest=log", cpus=2, limit=120)
    return {**test, "engine": "soft", "args": [*test["args"], "--set", f"machine.engine-options=maker={maker}"],
            "steps": [("serial", "LOG-DONE"), ("log", None)]}


def from_image(*commands):
    """Linux from a hard disk that `vmctl disk` makes of the CD's image, which is a disk's too; the last file is it."""
    return {"guests": ["linux64.iso"], "disk": [c.split() for c in commands], "limit": 120,
            "args": ["--memory", "512M", "--disk", commands[-1].split()[-1]],
            "steps": [("serial", "GUEST-UP"), ("serial", "GUEST-PROMPT")]}


def on(drive, image, media="disk"):
    """Linux from an image on a drive that SeaBIOS boots from, as a CD or as a disk."""
    return {"guests": [image], "limit": 120, "args": ["--memory", "512M", "--set", f"{drive}.file={{{image}}}", "--set",
            f"{drive}.media={media}", "--set", f"{drive}.readonly=on"],
            "steps": [("serial", "GUEST-UP"), ("serial", "GUEST-PROMPT")]}


def grub(drive, *settings, limit=30):
    """GRUB from an image on that drive.  It is not written, so that several of these can run at a time."""
    return {"guests": ["grub-disk.img"], "args": ["--memory", "128M", *settings, "--set", f"{drive}.file={{grub-disk.img}}", "--set",
            f"{drive}.readonly=on"], "limit": limit, "steps": [("screen", "GNU GRUB  version 2.06")]}


def usb(model):
    return grub("usb2", "--set", f"usb.model={model}", limit=60)


TESTS = {
    "grub-cd": {"guests": ["grub-cd.iso"], "args": ["--memory", "128M", "--cdrom", "grub-cd.iso"], "limit": 30,
                "steps": [("screen", "GNU GRUB  version 2.06")]},
    "grub-floppy": {"guests": ["grub-floppy.img"], "args": ["--memory", "128M", "--floppy", "grub-floppy.img"],
                    "limit": 40, "steps": [("screen", "GNU GRUB  version 2.06")]},
    "grub-disk": {"guests": ["grub-disk.img"], "copy": [("grub-disk.img", "disk.img")], "limit": 30,
                  "args": ["--memory", "128M", "--disk", "disk.img"], "steps": [("screen", "GNU GRUB  version 2.06")]},
    "memtest-64": {"guests": ["memtest64.iso"], "args": ["--memory", "128M", "--cdrom", "memtest64.iso"], "limit": 240,
                   "steps": [("screen", "Memtest86+ v6.10"), ("screen", "Test #5 "), ("screen", "Errors: 0")]},
    "memtest-32": {"guests": ["memtest32.iso"], "args": ["--memory", "128M", "--cdrom", "memtest32.iso"], "limit": 240,
                   "steps": [("screen", "Memtest86+ v6.10"), ("screen", "Test #5 "), ("screen", "Errors: 0")]},
    "invaders": {"guests": ["invaders.exec"], "args": ["--memory", "64M", "--kernel", "invaders.exec"], "limit": 30,
                 "steps": [("screen", "-*-")]},
    "u-boot": {"guests": ["u-boot.rom", "grub-disk.img"], "copy": [("grub-disk.img", "disk.img")], "limit": 60,
               "args": ["--memory", "256M", "--firmware", "u-boot.rom", "--disk", "disk.img"],
               "steps": [("serial", "U-Boot"), ("serial", "Reset IDE: Bus 0: OK"), ("serial", "Model: Terrarium"),
                         ("serial", "=> ")]},
    "linux-cloud": linux("vmlinuz-cloud", "initrd64.gz"),
    "linux-amd64": linux("vmlinuz-amd64", "initrd64.gz", limit=120),
    "linux-686": linux("vmlinuz-686", "initrd32.gz", limit=120),
    "linux-686-pae": linux("vmlinuz-686-pae", "initrd32.gz", limit=120),
    "linux-6g": linux("vmlinuz-cloud", "initrd64.gz", memory="6G"),
    "linux-smp": linux("vmlinuz-cloud", "initrd64.gz", "guest=threads guest=log", cpus=2, limit=120,
                       more=[("serial", "cpus=2 online=0-1"), ("serial", "WORKER 1 200010000"),
                             ("serial", "WORKER 2 200010000"), ("serial", "THREADS-DONE"), ("serial", "LOG-DONE"),
                             ("log", None)]),
    "log-cloud-intel": log_of("vmlinuz-cloud", "initrd64.gz", "intel"),
    "log-cloud-amd": log_of("vmlinuz-cloud", "initrd64.gz", "amd"),
    "log-amd64-intel": log_of("vmlinuz-amd64", "initrd64.gz", "intel"),
    "log-amd64-amd": log_of("vmlinuz-amd64", "initrd64.gz", "amd"),
    "log-686-pae-intel": log_of("vmlinuz-686-pae", "initrd32.gz", "intel"),
    "log-686-pae-amd": log_of("vmlinuz-686-pae", "initrd32.gz", "amd"),
    "linux-off": {**linux("vmlinuz-cloud", "initrd64.gz", "guest=off"),
                  "steps": [("serial", "GUEST-UP"), ("state", "stopped")]},
    "linux64-cd": {"guests": ["linux64.iso"], "args": ["--memory", "512M", "--cdrom", "linux64.iso"], "limit": 120,
                   "steps": [("serial", "GUEST-UP"), ("serial", "GUEST-PROMPT")]},
    "linux64-disk": {"guests": ["linux64.iso"], "args": ["--memory", "512M", "--disk", "linux64.img"], "limit": 120,
                     "copy": [("linux64.iso", "linux64.img")],
                     "steps": [("serial", "GUEST-UP"), ("serial", "GUEST-PROMPT")]},
    "disk-qcow2": from_image("convert linux64.iso a.qcow2"),
    "disk-qcow2-zstd": from_image("convert -c --option compression_type=zstd linux64.iso a.qcow2"),
    "disk-vdi": from_image("convert linux64.iso a.vdi"),
    "disk-vmdk": from_image("convert linux64.iso a.vmdk"),
    "disk-vmdk-split": from_image("convert --option subformat=twoGbMaxExtentSparse linux64.iso a.vmdk"),
    "disk-vhd": from_image("convert linux64.iso a.vhd"),
    "disk-vhdx": from_image("convert linux64.iso a.vhdx"),
    "disk-chain": from_image("convert linux64.iso a.vhd", "clone --linked a.vhd b.vmdk", "clone --linked b.vmdk c.vdi",
                             "clone --linked c.vdi d.vhdx", "clone --linked d.vhdx e.qcow2"),
    "linux64-sata-cd": on("sata1", "linux64.iso", "cdrom"),
    "linux32-sata-cd": on("sata1", "linux32.iso", "cdrom"),
    "linux64-sata-disk": on("sata1", "linux64.iso"),
    "linux32-sata-disk": on("sata1", "linux32.iso"),
    "linux64-nvme": on("nvme1", "linux64.iso"),
    "linux32-nvme": on("nvme0", "linux32.iso"),
    "linux64-scsi-cd": on("scsi6", "linux64.iso", "cdrom"),
    "linux32-scsi-cd": on("scsi6", "linux32.iso", "cdrom"),
    "linux64-scsi-disk": on("scsi0", "linux64.iso"),
    "linux32-scsi-disk": on("scsi3", "linux32.iso"),
    "grub-scsi": grub("scsi2"),
    "grub-nvme": grub("nvme0"),
    "grub-sata": grub("sata3"),
    "grub-usb": usb("xhci"), "grub-ehci": usb("ehci"), "grub-uhci": usb("uhci"),
    "linux32-cd": {"guests": ["linux32.iso"], "args": ["--memory", "512M", "--cdrom", "linux32.iso"], "limit": 120,
                   "steps": [("serial", "GUEST-UP"), ("serial", "GUEST-PROMPT"), ("screen", "GUEST-PROMPT")]},
    "linux32-disk": {"guests": ["linux32.iso"], "args": ["--memory", "512M", "--disk", "linux32.img"], "limit": 120,
                     "copy": [("linux32.iso", "linux32.img")],
                     "steps": [("serial", "GUEST-UP"), ("serial", "GUEST-PROMPT")]},
    "linux-generic-cd": {"guests": ["linux64-generic.iso"],
                         "args": ["--memory", "512M", "--cdrom", "linux64-generic.iso"], "limit": 150,
                         "steps": [("serial", "GUEST-UP"), ("serial", "GUEST-PROMPT"), ("screen", "GUEST-PROMPT")]},
    "virtio-64-packed": virtio_rng("vmlinuz-cloud", 64, "packed=on"),
    "virtio-32-legacy": virtio_rng("vmlinuz-686-pae", 32, "virtio=legacy"),
    "installer-text-amd64": installer("amd64", "text", [("screen", "Select a language")]),
    "installer-text-i386": installer("i386", "text", [("screen", "Select a language")]),
    "installer-gtk-amd64": installer("amd64", "gtk", [("picture", 100), ("pointer", None)]),
    "installer-gtk-i386": installer("i386", "gtk", [("picture", 100), ("pointer", None)]),
    "xen": {"guests": ["xen.iso"], "args": ["--memory", "1G", "--cdrom", "xen.iso"], "limit": 400,
            "steps": [("serial", "Xen version"), ("serial", "GUEST-UP"), ("serial", "GUEST-PROMPT")]},
}


RISKS = "/sys/devices/system/cpu/vulnerabilities"
# Warnings that are not about the CPU's description: this chipset has no such configuration space; and a busy host makes
# interrupts late (that of the real-time clock, which the HPET stands in for, by more than one of its periods) and the 8254 no measure of
# the TSC, for which Linux then takes the ACPI timer.
ACCEPTED = ["fail to add MMCONFIG information", "tsc: Unable to calibrate against PIT",
            "tsc: PIT calibration deviates from PMTIMER", "hrtimer: interrupt took", "hpet: Lost 1 RTC interrupts"]


def host_says(risk):
    """What the host's kernel says of a hazard of speculation; "": nothing."""
    try:
        with open(os.path.join(RISKS, risk), encoding="utf-8") as f:
            return f.read().strip()
    except OSError:
        return ""


def complaints(serial):
    """What the guest's kernel warned of, and the hazards that it believes in and the host does not."""
    if "GUEST-UP i686" in serial:  # a kernel of 32 bits has nothing against that
        serial = serial.replace("BHI: Vulnerable", "")
    bad = [line for line in serial.splitlines() if line.startswith("LOG ") and not any(a in line for a in ACCEPTED)]
    for line in serial.splitlines():
        risk, _, says = line.removeprefix("CPU ").partition(":")
        if line.startswith("CPU ") and "Vulnerable" in says and "Vulnerable" not in host_says(risk):
            bad.append(f"{line}, but the host: {host_says(risk) or 'nothing'}")
        if line.startswith("CPU ") and "PTI" in says:
            bad.append(line)
    return bad


class Failed(Exception):
    pass


def changed(before, after):
    """Width and height of the box in which two pictures differ; None: they are the same."""
    rows = [y for y, (a, b) in enumerate(zip(before, after)) if a != b]
    if not rows:
        return None
    columns = [x for y in rows for x in range(0, len(before[y]), 4) if before[y][x:x + 4] != after[y][x:x + 4]]
    return (max(columns) - min(columns)) // 4 + 1, rows[-1] - rows[0] + 1


class Machine:
    """One VM in machine and runtime folders of its own."""

    def __init__(self, options, name):
        self.options, self.name = options, name
        self.home = tempfile.mkdtemp(prefix="boot-")
        self.env = dict(os.environ, XDG_DATA_HOME=os.path.join(self.home, "data"),
                        XDG_RUNTIME_DIR=os.path.join(self.home, "run"))
        os.mkdir(self.env["XDG_RUNTIME_DIR"], 0o700)

    def run(self, *args, check=True):
        p = subprocess.run([self.options.vmctl, *args], env=self.env, capture_output=True, text=True)
        if check and p.returncode:
            raise Failed(f"vmctl {' '.join(args)}: exit code {p.returncode}: {p.stderr.strip()}")
        return p

    def step(self, kind, what, seconds):
        if kind in ("serial", "screen", "state"):
            p = self.run("wait", self.name, f"--{kind}", str(what), "--timeout", str(max(1, int(seconds))), check=False)
            if p.returncode:
                raise Failed(f"no {what!r} on the {kind} within {seconds:.0f} s: {p.stderr.strip()}")
        elif kind == "keys":
            self.run("keys", self.name, *what.split())
        elif kind == "picture":
            self.wait_picture(what, seconds)
        elif kind == "pointer":
            self.move_pointer(what, seconds)
        elif kind == "log":
            self.read_log()

    def read_log(self):
        serial = self.run("serial", self.name, "--tail", "--bytes", "65536").stdout
        if "CPU spectre_v2" not in serial:
            raise Failed("the guest did not say what it takes its CPU for")
        bad = complaints(serial)
        if bad:
            raise Failed("the guest's kernel complains:\n" + "\n".join(bad))

    def control(self, command, **args):
        """One request to the control socket; the result and the descriptors that came with it."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(30)
            link.connect(os.path.join(self.env["XDG_RUNTIME_DIR"], "terrarium", self.name, "control"))
            link.sendall(json.dumps({"id": 1, "cmd": command, "args": args}).encode() + b"\n")
            data, fds = b"", []
            while True:
                part, more, _, _ = socket.recv_fds(link, 65536, 4)
                fds += more
                data += part
                answers = [json.loads(x) for x in data.split(b"\n")[:-1]]
                answer = next((x for x in answers if x.get("id") == 1), None)
                if answer or not part:
                    break
        if not answer or not answer["ok"]:
            raise Failed(f"{command}: {answer}")
        return answer.get("result", {}), fds

    def picture(self):
        """(bytes per row, rows) as x8r8g8b8."""
        result, fds = self.control("screen.shot")
        stride, height = result["stride"], result["height"]
        with open(fds[0], "rb") as f:
            f.seek(0)
            data = f.read(stride * height)
        return [data[y * stride:y * stride + result["width"] * 4] for y in range(height)]

    def wait_picture(self, brightness, seconds):
        """A graphics mode with a picture as light as a desktop, not a console, with a window full of text below its
        banner, that has stopped changing."""
        end, last = time.time() + seconds, None
        while time.time() < end:
            rows = self.picture()
            green = b"".join(rows)[1::4 * 7]
            written = sum(row != row[:4] * (len(row) // 4) for row in rows[100:])
            if len(rows) >= 480 and sum(green) > brightness * len(green) and written > 200 and rows == last:
                return
            last = rows
            time.sleep(3)
        raise Failed(f"no quiet graphical screen within {seconds:.0f} s")

    def move_once(self, way, end):
        """The mouse moves; the box in which the screen then differs."""
        before, seen = self.picture(), 0
        for _ in range(12):
            self.control("input.pointer", dx=8 * way, dy=6 * way)
            time.sleep(0.05)
        while True:
            time.sleep(2)
            box = changed(before, self.picture())
            seen += box is not None
            if box and 20 < box[0] < 400 and 20 < box[1] < 400:
                return box, True
            if seen > 5 or time.time() > end:
                return box, False

    def move_pointer(self, _, seconds):
        """The mouse moves, and a pointer on the screen does, by as much: little else changes, three times running.  (On a
        slow host the guest may still be drawing when this begins.)"""
        end, follows, way = time.time() + seconds, 0, -1
        while follows < 3:
            box, good = self.move_once(way, end)
            follows = follows + 1 if good else 0
            way = -way
            if not good and time.time() > end:
                raise Failed(f"the pointer does not follow the mouse; changed: {box}")

    def keep(self, folder):
        os.makedirs(folder, exist_ok=True)
        self.run("screen", "shot", self.name, os.path.join(folder, f"{self.name}.png"), check=False)
        text = self.run("screen", "text", self.name, check=False).stdout
        serial = self.run("serial", self.name, "--tail", check=False).stdout
        log = self.run("logs", self.name, check=False).stdout
        with open(os.path.join(folder, f"{self.name}.txt"), "w", encoding="utf-8") as f:
            f.write(f"--- screen\n{text}\n--- serial\n{serial}\n--- log\n{log}\n")
        return text, serial, log

    def close(self):
        self.run("stop", self.name, "--force", check=False)
        shutil.rmtree(self.home, ignore_errors=True)


def guests_ready(names):
    """None, or why not."""
    p = subprocess.run([os.path.join(HERE, "guests.sh"), *names], capture_output=True, text=True)
    return None if p.returncode == 0 else (p.stderr.strip().splitlines() or ["guests.sh failed"])[0]


def unusable(options):
    """None, or why the engine that was asked for does not work here."""
    p = subprocess.run([options.vmctl, "host-info", "-o", "json"], capture_output=True, text=True, check=True)
    return next((e["reason"] for e in json.loads(p.stdout)["engines"]
                 if e["engine"] == options.engine and not e["usable"]), None)


def report(names, why_not, one):
    """Prints TAP.  why_not(name): None, or why it is skipped; one(name) carries it out and returns what there is to say, or raises Failed.  An exit code."""
    bad = 0
    print(f"1..{len(names)}", flush=True)
    for i, name in enumerate(names, 1):
        reason = why_not(name)
        if reason:
            print(f"ok {i} {name} # SKIP {reason}", flush=True)
            continue
        try:
            print(f"ok {i} {name} {one(name)}", flush=True)
        except Failed as e:
            bad += 1
            print(f"not ok {i} {name}\n# " + re.sub(r"[\r\n]+", "\n# ", str(e)), flush=True)
    return 1 if bad else 0


def boot(options, name, test, cache):
    vm = Machine(options, name)
    try:
        files = {g: os.path.join(cache, g) for g in test["guests"]}
        for source, copy in test.get("copy", ()):
            files[copy] = os.path.join(vm.home, copy)
            shutil.copy(os.path.join(cache, source), files[copy])
        for command in test.get("disk", ()):
            files[command[-1]] = os.path.join(vm.home, command[-1])
            vm.run("disk", *[files.get(a, a) for a in command])
        args = [files.get(a, re.sub(r"{(.+)}", lambda m: files[m[1]], a)) for a in test["args"]]
        cpus = [] if "--cpus" in args or options.cpus == 1 else ["--cpus", str(options.cpus)]
        settings = [x for s in options.set for x in ("--set", s)]
        vm.run("create", name, *args, *cpus, *settings, "--engine", test.get("engine", options.engine))
        began = time.time()
        vm.run("start", name)
        limit = test["limit"] * options.scale
        try:
            for kind, what in test["steps"]:
                vm.step(kind, what, limit - (time.time() - began))
            if "Kernel panic - not syncing" in vm.run("serial", name, "--tail", check=False).stdout:
                raise Failed("the guest's kernel panicked on its way")  # and came up when it started anew
        except Failed as e:
            text, serial, log = vm.keep(options.keep or vm.home)
            tail = "\n".join((text + "\n---\n" + serial[-1500:] + "\n---\n" + log[-1500:]).splitlines()[-60:])
            raise Failed(f"{e}\n{tail}") from None
        if options.keep:
            vm.keep(options.keep)
        return time.time() - began
    finally:
        vm.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vmctl", default=os.path.join(HERE, "../../build/core-vmm/vmctl/vmctl"))
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--if-usable", action="store_true")
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--keep")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    if options.list:
        print("\n".join(TESTS))
        return 0
    options.vmctl = os.path.abspath(options.vmctl)
    why_not = unusable(options) if options.if_usable else None
    if why_not:
        print(f"1..0 # SKIP {why_not}")
        return 0
    cache = subprocess.run([os.path.join(HERE, "guests.sh"), "--dir"], capture_output=True, text=True).stdout.strip()
    print(f"1..{len(options.tests)}", flush=True)
    bad = 0
    for i, name in enumerate(options.tests, 1):
        test = TESTS[name]
        reason = guests_ready(test["guests"])
        if reason:
            print(f"ok {i} {name} # SKIP {reason}", flush=True)
            continue
        try:
            seconds = boot(options, name, test, cache)
            print(f"ok {i} {name} {test.get('engine', options.engine)} in {seconds:.1f} s", flush=True)
        except Failed as e:
            bad += 1
            print(f"not ok {i} {name} {test.get('engine', options.engine)}", flush=True)
            for line in str(e).splitlines():
                print(f"# {line}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
