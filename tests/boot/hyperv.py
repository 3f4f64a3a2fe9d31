#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux as a guest of Hyper-V's interface, with two CPUs.  Prints TAP.

  hyperv.py [--vmctl PATH] [--engine E [--if-usable]] [--scale F] --tlb-race PROGRAM TEST...
  linux   it says so, takes its time from the TSC page and its ticks from the timers; other CPUs' TLBs are emptied before mprotect() returns
  saved   the machine saved and loaded: time and ticks go on
  crash   a crash that it reports is in the log, and `vmctl wait --crash` says it"""
import argparse
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import time

import boot
import virtio
from virtio import need

KERNEL, INITRD, PACKAGE = "vmlinuz-cloud", "initrd64.gz", "linux-image-cloud-amd64"
MODULES = ("hv_vmbus", "msr")
CODE = (0xa, 0x11, 0x22, 0x33, 0x44)


def extra_archive(cache, home, program):
    """An initramfs to come behind the other: the program, and modules if the kernel's package is there."""
    tree = os.path.join(home, "tree")
    os.mkdir(tree)
    shutil.copy(program, os.path.join(tree, "tlb_race"))
    for folder, _, files in os.walk(os.path.join(cache, "pkg", PACKAGE, "lib/modules")):
        for name in files:
            if name in [f"{m}.ko" for m in MODULES]:
                shutil.copy(os.path.join(folder, name), tree)
    packed = subprocess.run("find . | cpio -o -H newc -R 0:0 --quiet", shell=True, cwd=tree, capture_output=True, check=True).stdout
    return gzip.compress(packed)


class Guest(virtio.Guest):
    def begin(self, cache, *settings):
        initrd = os.path.join(self.home, "initrd.gz")
        with open(initrd, "wb") as out, open(os.path.join(cache, INITRD), "rb") as first:
            out.write(first.read() + extra_archive(cache, self.home, self.options.tlb_race))
        sets = [x for s in ("serial1.target=socket:line", "additions.identity=hyperv", *settings) for x in ("--set", s)]
        self.run("create", self.name, "--memory", "256M", "--cpus", "2", "--engine", self.options.engine, "--nic", "none",
                 "--kernel", os.path.join(cache, KERNEL), "--initrd", initrd, "--cmdline", "console=ttyS0 loglevel=4 panic=-1", *sets)
        self.run("start", self.name)
        self.shell = self.connect("line", "GUEST-PROMPT")

    def ticks(self):
        """Interrupts of the synthetic timers, a number per CPU."""
        out = self.shell.good("cat /proc/interrupts")
        line = re.search(r"HVS:\s+(\d+)\s+(\d+)\s+Hyper-V stimer0", out)
        need(line, f"no timers of Hyper-V's in {out}")
        return int(line[1]), int(line[2])

    def ticks_go_on(self):
        before = self.ticks()
        for _ in range(100):
            self.shell.good("for i in 0 1; do taskset $((i + 1)) true; done; sleep 0.2")
            now = self.ticks()
            if all(b > a for a, b in zip(before, now)):
                return
        raise boot.Failed(f"no ticks: {before}, then {now}")


def linux(guest, cache):
    guest.begin(cache)
    said = guest.shell.good("dmesg")
    for text in ("Hypervisor detected: Microsoft Hyper-V", "Hyper-V: Using hypercall for remote TLB flush", "Hyper-V: Using IPI hypercalls"):
        need(text in said, f"the guest does not say {text!r}")
    source = guest.shell.good("cat /sys/devices/system/clocksource/clocksource0/current_clocksource")
    need("hyperv_clocksource_tsc_page" in source, f"the clock source is {source}")
    guest.ticks_go_on()
    out = guest.shell.good("/tlb_race 300", 300)
    need("stale 0 " in out, out)
    print(f"# {out}")
    out, code = guest.shell.run("insmod /hv_vmbus.ko", 60)
    print(f"# hv_vmbus, for which there is no VMBus: exit code {code}: {out}")
    need("Oops" not in guest.shell.good("dmesg | tail -20") and code, "hv_vmbus found something")


def saved(guest, cache):
    guest.begin(cache)
    guest.shell.good("(for i in $(seq 100000); do echo $i; sleep 0.01; done >/tmp/steps) & true")
    for _ in range(3):
        before = float(guest.shell.good("cut -d' ' -f1 /proc/uptime"))
        guest.again()
        after = float(guest.shell.good("cut -d' ' -f1 /proc/uptime"))
        need(before <= after < before + 60 * guest.options.scale, f"time went from {before} to {after}")
        guest.ticks_go_on()
    steps = int(guest.shell.good("tail -n 1 /tmp/steps"))
    guest.shell.good("sleep 1")
    need(int(guest.shell.good("tail -n 1 /tmp/steps")) > steps, "what slept does not wake any more")
    said = guest.shell.good("dmesg")
    need("Call Trace" not in said and "unstable" not in said.replace("Marking TSC unstable due to running on Hyper-V", ""), said[-2000:])


def crash(guest, cache):
    guest.begin(cache)
    guest.shell.good("insmod /msr.ko; mknod /msr0 c 202 0")
    for i, word in enumerate((*CODE, 1 << 63)):
        octal = "".join(f"\\{b:03o}" for b in word.to_bytes(8, "little"))
        guest.shell.good(f"printf '{octal}' | dd of=/msr0 bs=8 count=1 seek={0x40000100 + i} oflag=seek_bytes conv=notrunc 2>/dev/null")
    out = guest.run("wait", guest.name, "--crash", "--timeout", "30").stdout
    need(out == " ".join(f"0x{w:x}" for w in CODE) + "\n", f"wait --crash says {out!r}")
    need("the guest crashed: code 0xa, arguments 0x11 0x22 0x33 0x44" in guest.run("logs", guest.name).stdout, "it is not in the log")
    info = json.loads(guest.run("info", guest.name, "-o", "json").stdout)["running"].get("crash")
    need(info and info["code"] == "0xa" and info["arguments"] == ["0x11", "0x22", "0x33", "0x44"], f"info has {info}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vmctl", default=os.path.join(boot.HERE, "../../build/core-vmm/vmctl/vmctl"))
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--if-usable", action="store_true")
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--tlb-race", required=True)
    parser.add_argument("tests", nargs="+")
    options = parser.parse_args()
    options.vmctl = os.path.abspath(options.vmctl)
    cache = subprocess.run([os.path.join(boot.HERE, "guests.sh"), "--dir"], capture_output=True, text=True).stdout.strip()
    reason = boot.guests_ready([KERNEL, INITRD]) or (boot.unusable(options) if options.if_usable else None)

    def one(name):
        began = time.monotonic()
        virtio.carry_out(Guest(options, name), {"linux": linux, "saved": saved, "crash": crash}[name], cache)
        return f"# {time.monotonic() - began:.0f} s"

    return boot.report(options.tests, lambda name: reason, one)


if __name__ == "__main__":
    sys.exit(main())
