#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""PCI cards come and go in a running Linux, which hears of it by ACPI (acpiphp) and lets go of them: `vmctl plug`, `vmctl
unplug`, again and again.  Prints TAP.

  hotplug.py [--vmctl PATH] [--engine E] [--rounds N]

The guest comes from guests.sh; if it cannot be had, the tests are skipped with the reason."""
import argparse
import os
import shutil
import subprocess
import sys

import boot

sys.path.insert(0, os.path.join(boot.HERE, "..", "network"))
from guest_shell import Shell  # noqa: E402

KERNEL, INITRD = "vmlinuz-amd64", "network-initrd64.gz"
WITH = "/sys/bus/pci/devices/0000:00:"


class Guest(boot.Machine):
    def begin(self, cache):
        self.run("create", self.name, "--memory", "512M", "--set", f"machine.engine={self.options.engine}",
                 "--set", f"machine.kernel={cache}/{KERNEL}", "--set", f"machine.initrd={cache}/{INITRD}",
                 "--set", "machine.cmdline=console=ttyS0 quiet", "--set", "serial1.target=socket:line", "--set", "nic1.model=e1000")
        self.run("start", self.name)
        self.shell = Shell(f"{self.env['XDG_DATA_HOME']}/terrarium/machines/{self.name}/line", self.options.scale)
        self.shell.until("GUEST-PROMPT", 120)
        self.shell.good("dmesg -n 1")

    def end(self):
        self.run("stop", "--force", self.name, check=False)
        shutil.rmtree(self.home, ignore_errors=True)

    def has(self, slot, seconds=10):
        """Waits until the guest has a function there, and looks at it; False: it has none."""
        out, code = self.shell.run(f"for i in $(seq {seconds * 10}); do [ -e {WITH}{slot}.0/vendor ] && break; sleep .1; done; "
                                   f"cat {WITH}{slot}.0/vendor {WITH}{slot}.0/device", seconds * 3)
        return out.split() if code == 0 else False

    def has_not(self, slot):
        return self.shell.run(f"[ ! -e {WITH}{slot}.0 ]")[1] == 0


def need(good, what):
    if not good:
        raise boot.Failed(what)


def slots_are_known(guest, options):
    out = guest.shell.good("ls /sys/bus/pci/slots")
    need(set(out.split()) >= {str(n) for n in range(3, 32)}, f"slots are {out!r}")


def comes_and_goes(guest, options):
    for n in range(options.rounds):
        guest.run("plug", guest.name, "testpci1")
        got = guest.has("1c")
        need(got == ["0x1234", "0x11e8"], f"round {n}: the guest has {got} there")
        guest.run("unplug", guest.name, "testpci1", "--timeout", str(10 * options.scale))
        need(guest.has_not("1c"), f"round {n}: it is still there for the guest")


def models_take_turns(guest, options):
    for n, model in enumerate(["edu", "edu-msix"] * 5):
        guest.run("plug", guest.name, "testpci2", f"model={model}", "slot=17")
        need(guest.has("11"), f"round {n}: no {model}")
        guest.run("unplug", guest.name, "testpci2", "--timeout", str(10 * options.scale))


def the_guest_ejects(guest, options):
    guest.run("plug", guest.name, "testpci1")
    need(guest.has("1c"), "it did not come")
    guest.shell.good("echo 0 >/sys/bus/pci/slots/28/power")
    need(guest.has_not("1c"), "it is still there for the guest")
    p = guest.run("unplug", guest.name, "testpci1", check=False)
    need(p.returncode == 4 and "not plugged in" in p.stderr, f"{p.returncode} {p.stderr}")


def network_cards(guest, options):
    """With their drivers at work."""
    guest.shell.run("cards")
    for n, model in enumerate(["e1000", "pcnet", "rtl8139"] * 3):
        guest.run("plug", guest.name, "nic2", f"model={model}")
        need(guest.has("04"), f"round {n}: no {model}")
        card = f"{WITH}04.0/net"
        guest.shell.good(f"cards; for i in $(seq 100); do [ -e {card} ] && break; sleep .1; done; ip link set $(ls {card}) up", 60)
        guest.run("unplug", guest.name, "nic2", "--timeout", str(20 * options.scale))
        out, code = guest.shell.run(f"ls {card}")
        need(code, f"round {n}: {model} has gone, and the guest still has {out}")


def its_cable_is_in_again(guest, options):
    """The network goes on for a card that was there at the start."""
    guest.run("unplug", guest.name, "nic1", "--timeout", str(20 * options.scale))
    guest.run("plug", guest.name, "nic1")
    need(guest.has("03"), "no nic1")
    guest.shell.good(f"cards; for i in $(seq 100); do [ -e {WITH}03.0/net ] && break; sleep .1; done; c=$(ls {WITH}03.0/net); "
                     "ip link set $c up; for i in $(seq 100); do [ $(cat /sys/class/net/$c/carrier) = 1 ] && break; sleep .1; done; "
                     "udhcpc -i $c -n -q -t 5 -s /bin/lease", 60)


TESTS = [slots_are_known, comes_and_goes, models_take_turns, the_guest_ejects, network_cards, its_cable_is_in_again]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vmctl", default="vmctl")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    options.vmctl = os.path.abspath(options.vmctl)
    made = subprocess.run([os.path.join(boot.HERE, "guests.sh"), KERNEL, INITRD], capture_output=True, text=True)
    if made.returncode:
        print(f"1..0 # SKIP {made.stderr.strip()}")
        return 0
    cache = subprocess.run([os.path.join(boot.HERE, "guests.sh"), "--dir"], capture_output=True, text=True).stdout.strip()
    guest, failed = Guest(options, "hotplug"), 0
    print(f"1..{len(TESTS)}", flush=True)
    try:
        guest.begin(cache)
        for i, test in enumerate(TESTS, 1):
            try:
                test(guest, options)
                print(f"ok {i} {test.__name__}", flush=True)
            except (boot.Failed, AssertionError) as problem:
                failed += 1
                print(f"not ok {i} {test.__name__}\n# {problem}".replace("\n", "\n# ").replace("# # ", "# "), flush=True)
    finally:
        guest.end()
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
