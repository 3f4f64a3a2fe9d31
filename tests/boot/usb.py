#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""USB: a Linux with a controller, keyboard, tablet, mouse, hub and sticks.  Prints TAP.

  usb.py [--vmctl PATH] [--engine E] [--scale F] [--rounds N] [TEST...]     without names: all but the long ones

The guest is that of the network tests with a second archive on its initial RAM disk, the drivers."""
import argparse
import gzip
import hashlib
import os
import random
import re
import subprocess
import sys
import time

import boot
import virtio
from virtio import need

KERNEL, INITRD, PACKAGE = "vmlinuz-amd64", "network-initrd64.gz", "linux-image-amd64"
MODULES = ["xhci_pci", "ehci_pci", "uhci_hcd", "usbhid", "hid_generic", "evdev", "usb_storage", "sd_mod"]
MIB = 1 << 20
EVENT = 24  # bytes of an input event


def drivers(cache, home):
    """The archive: modules in /usb, and a list of them in the order in which they are loaded."""
    tree, package = os.path.join(home, "tree"), os.path.join(cache, "pkg", PACKAGE)
    os.makedirs(os.path.join(tree, "usb"))
    version = os.listdir(os.path.join(package, "lib/modules"))[0]
    subprocess.run(["/sbin/depmod", "-b", package, version], check=True)
    order = []
    for module in MODULES:
        p = subprocess.run(["/sbin/modprobe", "-d", package, "-S", version, "--show-depends", module], capture_output=True, text=True)
        for line in p.stdout.splitlines():
            path = line.split()[1]
            if line.startswith("insmod") and os.path.basename(path) not in order:
                order.append(os.path.basename(path))
                with open(path, "rb") as source, open(os.path.join(tree, "usb", order[-1]), "wb") as copy:
                    copy.write(source.read())
    with open(os.path.join(tree, "usb/list"), "w", encoding="utf-8") as f:
        f.write("\n".join(order) + "\n")
    packed = subprocess.run("find . | cpio -o -H newc -R 0:0 --quiet", shell=True, cwd=tree, capture_output=True, check=True).stdout
    return gzip.compress(packed)


class Guest(virtio.Guest):
    def begin(self, cache, *settings):
        initrd = os.path.join(self.home, "initrd.gz")
        with open(initrd, "wb") as out, open(os.path.join(cache, INITRD), "rb") as first:
            out.write(first.read() + drivers(cache, self.home))
        sets = [x for s in ("serial1.target=socket:line", *settings) for x in ("--set", s)]
        self.run("create", self.name, "--memory", "512M", "--engine", self.options.engine, "--nic", "none",
                 "--kernel", os.path.join(cache, KERNEL), "--initrd", initrd, "--cmdline", "console=ttyS0 loglevel=4 panic=-1", *sets)
        self.run("start", self.name)
        self.shell = self.connect("line", "GUEST-PROMPT")
        self.shell.good("dmesg -n 1")  # a stick that is pulled is complained about, in the middle of what the shell echoes
        self.shell.good("for m in $(cat /usb/list); do insmod /usb/$m 2>/dev/null; done; true", 120)

    def devices(self):
        """What the guest has: {path: (speed, product)}."""
        out = self.shell.good("for d in /sys/bus/usb/devices/*-*; do [ -e $d/product ] && echo \"DEV ${d##*/} $(cat $d/speed) $(cat $d/product)\"; done; true")
        return {m[1]: (m[2], m[3]) for m in re.finditer(r"^DEV (\S+) (\S+) (.*)$", out, re.M)}

    def until_devices(self, what, good, seconds=30):
        for _ in range(int(seconds * 5)):
            now = self.devices()
            if good(now):
                return now
            self.shell.good("sleep 0.2")
        raise boot.Failed(f"{what}: the guest has {now}; {self.shell.run('dmesg | tail -20')[0]}")

    def input_of(self, product):
        """The event device of that name."""
        out = self.shell.good("cat /proc/bus/input/devices")
        m = re.search(r'Name="[^"]*' + product + r'".*?Handlers=.*?(event\d+)', out, re.S)
        need(m, f"no input {product} in {out}")
        return m[1]


def products(devices):
    return sorted(product for _, product in devices.values())


def events(guest, device, do):
    """What comes by an input device while the host does something: [(type, code, value)] without synchronisation."""
    guest.shell.good(f"(cat /dev/input/{device} >/tmp/events & echo $! >/tmp/cat); sleep 1")
    do()
    guest.shell.good("sleep 2; kill $(cat /tmp/cat)")
    hexes = re.sub(r"[^0-9a-f]", "", guest.shell.good("hexdump -v -e '1/1 \"%02x\"' /tmp/events"))
    data = bytes.fromhex(hexes)
    out = []
    for at in range(0, len(data) - EVENT + 1, EVENT):
        kind, code = int.from_bytes(data[at + 16:at + 18], "little"), int.from_bytes(data[at + 18:at + 20], "little")
        if kind in (1, 2, 3):
            out.append((kind, code, int.from_bytes(data[at + 20:at + 24], "little", signed=True)))
    return out


KEY, RELATIVE, ABSOLUTE = 1, 2, 3


def inputs(guest, cache, model):
    """All behind a hub."""
    hub = ["usb1.device=hub", *(f"usb{n}.hub=usb1" for n in (2, 3, 4))]
    guest.begin(cache, f"usb.model={model}", "usb2.device=tablet", "usb3.device=keyboard", "usb4.device=mouse", *hub)
    guest.until_devices("hub, keyboard, mouse and tablet", lambda d: len(d) == 4)
    tablet, keyboard, mouse = (guest.input_of(p) for p in ("Tablet", "Keyboard", "Mouse"))
    got = events(guest, keyboard, lambda: guest.run("type", guest.name, "aZ"))
    keys = [(c, v) for k, c, v in got if k == KEY]
    need([k for k in keys if k[0] in (30, 44)] == [(30, 1), (30, 0), (44, 1), (44, 0)] and (42, 1) in keys, f"keyboard: {got}")

    def touch():
        for x, y, buttons in ((0, 0, 0), (65535, 32768, 0), (32768, 65535, 1), (32768, 65535, 0)):
            guest.control("input.pointer-absolute", x=x, y=y, buttons=buttons)

    got = events(guest, tablet, touch)
    need((ABSOLUTE, 0, 32767) in got and (ABSOLUTE, 1, 32767) in got and (KEY, 0x110, 1) in got and (KEY, 0x110, 0) in got, f"tablet: {got}")
    got = events(guest, mouse, lambda: guest.control("input.pointer", dx=300, dy=-7, wheel=1, buttons=2))
    need(sum(v for k, c, v in got if (k, c) == (RELATIVE, 0)) == 300 and (RELATIVE, 8, -1) in got and (KEY, 0x111, 1) in got, f"mouse: {got}")


def stick(guest, cache, model):
    data = random.Random(model).randbytes(64 * MIB)
    path = os.path.join(guest.home, "stick")
    with open(path, "wb") as f:
        f.write(data)
    guest.begin(cache, f"usb.model={model}", f"usb2.file={path}", "usb2.format=raw", "usb2.device=storage")
    guest.until_devices("a stick", lambda d: products(d) == ["Terrarium USB Storage"])
    size = (64 if model == "xhci" else 16 if model == "ehci" else 4) * MIB
    guest.shell.good("for i in $(seq 100); do [ -b /dev/sda ] && break; sleep .1; done; ls /dev/sda")
    out = guest.shell.good(f"head -c {size} /dev/sda | md5sum", 600)
    need(hashlib.md5(data[:size]).hexdigest() in out, f"read {out}")
    guest.shell.good("head -c 3000000 /dev/urandom >/tmp/part; dd if=/tmp/part of=/dev/sda bs=64k seek=3 conv=notrunc,fsync", 600)
    sum_ = virtio.found(virtio.SUM, guest.shell.good("md5sum </tmp/part"))
    guest.shell.good("echo 3 >/proc/sys/vm/drop_caches")
    need(sum_ in guest.shell.good("dd if=/dev/sda bs=64k skip=3 2>/dev/null | head -c 3000000 | md5sum", 600), "what was written is another")
    with open(path, "rb") as f:
        f.seek(3 * 65536)
        need(hashlib.md5(f.read(3000000)).hexdigest() == sum_, "the image holds something else")


def comes_and_goes(guest, cache, model, rounds=None):
    """Plugged in and pulled, every fourth time while it is written to."""
    path, data = os.path.join(guest.home, "stick"), random.Random(model).randbytes(8 * MIB)
    guest.begin(cache, f"usb.model={model}", "usb1.device=tablet", "usb2.device=storage")
    guest.until_devices("a tablet", lambda d: len(d) == 1)
    for n in range(rounds or guest.options.rounds):
        with open(path, "wb") as f:
            f.write(data)
        place = guest.run("usb", "attach", guest.name, "--storage", path, "--format", "raw").stdout.strip()
        need(place == "usb2", f"it came to {place!r}")
        guest.until_devices(f"round {n}: a stick", lambda d: "Terrarium USB Storage" in products(d))
        guest.shell.good("for i in $(seq 200); do d=$(ls /sys/block | grep sd) && [ -b /dev/$d ] && break; sleep .1; done; ls /dev/$d")
        need(hashlib.md5(data[:MIB]).hexdigest() in guest.shell.good("head -c 1048576 /dev/$d | md5sum", 60), f"round {n}: read wrong")
        if n % 4 == 3:
            guest.shell.good("(dd if=/dev/zero of=/dev/$d bs=64k count=100 conv=fsync 2>/dev/null &) ; true")
        need("in use" in guest.run("usb", "list", guest.name).stdout, "the list does not say that it is in use")
        guest.run("usb", "detach", guest.name, place)
        guest.until_devices(f"round {n}: it gone", lambda d: "Terrarium USB Storage" not in products(d))
    p = guest.run("usb", "detach", guest.name, "usb2", check=False)
    need(p.returncode == 4 and "no stick in usb2" in p.stderr, f"{p.returncode} {p.stderr}")


def saved(guest, cache, model):
    """Saved and loaded while a stick is read and written; then the tablet still points."""
    path, data = os.path.join(guest.home, "stick"), random.Random(model).randbytes(16 * MIB)
    with open(path, "wb") as f:
        f.write(data)
    guest.begin(cache, f"usb.model={model}", "usb1.device=tablet", f"usb2.file={path}", "usb2.format=raw")
    tablet = "Terrarium USB Tablet"
    guest.until_devices("stick and tablet", lambda d: len(d) == 2)
    guest.shell.good("for i in $(seq 100); do [ -b /dev/sda ] && break; sleep .1; done; ls /dev/sda")
    guest.shell.good("(for i in 1 2 3 4; do echo 3 >/proc/sys/vm/drop_caches; head -c 2097152 /dev/sda | md5sum; done >/tmp/sums; echo END >>/tmp/sums) & true")
    guest.shell.good("(for i in $(seq 0 40); do dd if=/bin/busybox of=/dev/sda bs=64k seek=$((128 + i % 2 * 40)) conv=notrunc,fsync 2>/dev/null; done; "
                     "echo END >/tmp/written) & true")
    for _ in range(3):
        guest.again()
    guest.shell.good("for i in $(seq 600); do grep -q END /tmp/sums && [ -e /tmp/written ] && break; sleep 1; done; cat /tmp/written", 700)
    need(guest.shell.good("cat /tmp/sums").count(hashlib.md5(data[:2 * MIB]).hexdigest()) == 4, "it read something else")
    sum_ = virtio.found(virtio.SUM, guest.shell.good("md5sum </bin/busybox"))
    size = int(virtio.found(r"^\d+$", guest.shell.good("wc -c </bin/busybox")))
    with open(path, "rb") as f:
        for place in (128, 168):
            f.seek(place * 65536)
            need(hashlib.md5(f.read(size)).hexdigest() == sum_, "the image holds something else")
    got = events(guest, guest.input_of(tablet), lambda: guest.control("input.pointer-absolute", x=65535, y=0, buttons=0))
    need((ABSOLUTE, 0, 32767) in got, f"after loading, the tablet gives {got}")


def gibibyte(guest, cache, model):
    """A stick's gibibyte, through the guest, to another stick."""
    paths = [os.path.join(guest.home, name) for name in ("from", "to")]
    noise = random.Random(model)
    with open(paths[0], "wb") as f:
        for _ in range(64):
            f.write(noise.randbytes(16 * MIB))
    with open(paths[1], "wb") as f:
        f.truncate(1024 * MIB)
    guest.begin(cache, f"usb.model={model}", *(f"usb{n}.{key}" for n, path in enumerate(paths, 1) for key in (f"file={path}", "format=raw")))
    guest.until_devices("two sticks", lambda d: len(d) == 2)
    guest.shell.good("for i in $(seq 100); do [ -b /dev/sda ] && [ -b /dev/sdb ] && break; sleep .1; done; ls /dev/sdb")
    # which is which is the order in which they were found
    first = guest.shell.good("for d in sda sdb; do echo $d $(head -c 65536 /dev/$d | md5sum); done")
    source = virtio.found(r"^sd[ab](?= " + hashlib.md5(random.Random(model).randbytes(16 * MIB)[:65536]).hexdigest() + ")", first)
    began = time.monotonic()
    guest.shell.good(f"dd if=/dev/{source} of=/dev/{'sdb' if source == 'sda' else 'sda'} bs=1M conv=fsync 2>/dev/null", 1800)
    took = time.monotonic() - began
    sums = [sum_of(path) for path in paths]
    need(sums[0] == sums[1], f"what came to the second stick is another: {sums}")
    return f"{took:.0f} s"


def sum_of(path):
    sum_ = hashlib.sha256()
    with open(path, "rb") as f:
        while part := f.read(MIB):
            sum_.update(part)
    return sum_.hexdigest()


def often(guest, cache, model):
    comes_and_goes(guest, cache, model, 200)


def parts(tests):
    return {f"{name}-{model}": (test, model) for name, test in tests.items() for model in ("xhci", "ehci", "uhci")}


TESTS = parts({"inputs": inputs, "stick": stick, "comes-and-goes": comes_and_goes, "saved": saved})
LONG = parts({"gibibyte": gibibyte, "often": often})


def one(options, cache, name):
    guest = Guest(options, "usb")
    try:
        test, model = {**TESTS, **LONG}[name]
        return test(guest, cache, model) or ""
    except AssertionError as problem:
        raise boot.Failed(str(problem)) from None
    finally:
        guest.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vmctl", default=os.path.join(boot.HERE, "../../build/core-vmm/vmctl/vmctl"))
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    options.vmctl = os.path.abspath(options.vmctl)
    cache = subprocess.run([os.path.join(boot.HERE, "guests.sh"), "--dir"], capture_output=True, text=True).stdout.strip()
    reason = boot.guests_ready([KERNEL, INITRD])
    return boot.report(options.tests or list(TESTS), lambda name: reason, lambda name: one(options, cache, name))


if __name__ == "__main__":
    sys.exit(main())
