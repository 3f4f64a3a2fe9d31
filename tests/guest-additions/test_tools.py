#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A Linux guest with a distribution's own open-vm-tools, and its own driver of the absolute mouse.  Prints TAP.
Usage: test_tools.py VMCTL GUESTS.SH     ENGINE: of the machine (soft); PATIENCE: times all time limits"""
import struct
import subprocess
import sys
import time

from desk import PATIENCE, Desk, run_tests
from guest_shell import Shell

EVENT = struct.Struct("<qqHHi")


def kernel(d):
    """Linux knows whose guest it is, and has its clocks' rates from the backdoor."""
    said = d.shell.good("dmesg | grep -i vmware")
    assert "Hypervisor detected: VMware" in said and "TSC freq read from hypervisor" in said, said


def mouse(d):
    """Positions, a button and the wheel, as the kernel's own driver reports them."""
    d.shell.good("modprobe psmouse; modprobe evdev; sleep 2")
    names = d.shell.good("cat /proc/bus/input/devices | grep -c 'VMware VMMouse'")
    assert names == "2", "one that is absolute, one that is not"
    assert d.control("info")["absolute-pointer"]
    # which of them is absolute: it has EV_ABS among its kinds of events
    node = d.shell.good("for e in /sys/class/input/event*; do grep -q 'VMMouse' $e/device/name && "
                        "[ $(($(printf %d 0x$(cat $e/device/capabilities/ev)) & 8)) != 0 ] && basename $e; done; true")
    d.shell.good(f"(dd if=/dev/input/{node} bs=24 count=9 of=/dev/shm/ev 2>/dev/null; touch /dev/shm/got) & sleep 1")
    for x, y, wheel, buttons in ((0x1234, 0xfedc, 0, 1), (0x4321, 0x0123, 0, 1), (0x4322, 0x0124, -1, 0)):
        d.control("input.pointer-absolute", x=x, y=y, wheel=wheel, buttons=buttons)
        time.sleep(0.3)
    d.shell.good("for i in 1 2 3 4 5 6 7 8 9 10; do [ -e /dev/shm/got ] && break; sleep 1; done; [ -e /dev/shm/got ]", 60)
    data = bytes.fromhex(d.shell.good("xxd -p /dev/shm/ev").replace("\n", ""))
    events = [e[2:] for e in EVENT.iter_unpack(data)]
    assert events[:4] == [(3, 0, 0x1234), (3, 1, 0xfedc), (1, 0x110, 1), (0, 0, 0)], events
    assert events[4:7] == [(3, 0, 0x4321), (3, 1, 0x0123), (0, 0, 0)], events


def questions(d):
    """Texts for both sides, from both sides; long ones too."""
    assert "VMware software version 6" in d.shell.good("vmware-checkvm")
    assert d.shell.good("vmware-rpctool 'info-set guestinfo.from.guest a b'") == ""
    assert d.vmctl("guestinfo", "g", "from.guest") == "a b\n"
    d.vmctl("guestinfo", "g", "role", "web server")
    assert d.shell.good("vmware-rpctool 'info-get guestinfo.role'") == "web server"
    out, code = d.shell.run("vmware-rpctool 'info-get guestinfo.none'")
    assert code == 1 and "No value found" in out, (out, code)
    out, code = d.shell.run("vmware-rpctool 'no-such-thing'")
    assert code == 1 and "Unknown command" in out, (out, code)
    text = "0123456789abcdef" * 3000
    d.vmctl("guestinfo", "g", "long", text)
    want = subprocess.run(["md5sum"], input=text.encode(), capture_output=True, check=True).stdout.split()[0].decode()
    assert want in d.shell.good("vmware-rpctool 'info-get guestinfo.long' | tr -d '\\n' | md5sum")
    d.shell.good("vmware-rpctool 'log a line from inside'")
    assert "the guest says: a line from inside" in d.log()


def service(d):
    """vmtoolsd comes up, and the host learns who the guest is."""
    d.shell.good("(vmtoolsd >/dev/shm/vt.log 2>&1 &); sleep 1", 60)
    d.wait("the service", lambda g: g.get("tools"))
    seen = d.wait("its addresses", lambda g: "addresses" in g and "os" in g, 120)
    assert "10.0.2.15/24" in seen["addresses"] and seen["host-name"] == "desk" and "Linux" in seen["os"], seen
    shown = d.vmctl("info", "g")
    assert "10.0.2.15/24" in shown and "desk" in shown, shown


def clock(d):
    """The guest's clock follows the host's where the guest asks for it."""
    d.shell.good("date -s '2001-02-03 04:05:06' >/dev/null; vmware-toolbox-cmd timesync enable", 60)
    end = time.monotonic() + 60 * PATIENCE
    while d.behind() > 3:
        assert time.monotonic() < end, "the guest's clock stays behind"
        time.sleep(1)


def paused(d):
    """After a pause, in which guest time stands, the service sets the clock at once, not when a minute is over."""
    d.shell.good("vmware-toolbox-cmd timesync disable")
    d.vmctl("pause", "g")
    time.sleep(8)
    d.vmctl("resume", "g")
    end = time.monotonic() + 20 * PATIENCE
    while d.behind() > 3:
        assert time.monotonic() < end, "the guest's clock is behind by the pause"
        time.sleep(0.5)


def suspended(d):
    """Service and questions go on after a save, in another process."""
    d.vmctl("save", "g")
    d.shell.close()
    d.vmctl("start", "g")
    d.shell = Shell(d.base + "/g", PATIENCE)
    assert d.shell.good("vmware-rpctool 'info-set guestinfo.after yes'; vmware-rpctool 'info-get guestinfo.after'") == "yes"
    d.wait("the service", lambda g: g.get("tools"))
    assert d.control("info")["absolute-pointer"]


def killed(d):
    """Tools that are killed do not hold up others, and come back."""
    d.shell.good("killall -9 vmtoolsd; sleep 1")
    d.shell.good("(vmtoolsd >/dev/shm/vt.log 2>&1 &); sleep 1", 60)
    d.wait("the service", lambda g: g.get("tools"))
    time.sleep(3)


def restart(d):
    """vmctl reset --ask: the guest comes up anew, and its facts are gone."""
    d.vmctl("guestinfo", "g", "role", "web server")
    d.vmctl("reset", "g", "--ask")
    d.boot()
    assert "addresses" not in d.guest(), d.guest()
    d.vmctl("reset", "g", "--ask", code=4)
    assert d.vmctl("guestinfo", "g", "role") == "web server\n"
    service(d)


def shutdown(d):
    """vmctl stop asks the tools, which the log shows."""
    d.vmctl("stop", "g")
    log = d.log()
    assert "Executing script for state change 'OS_Halt'" in log, log[-2000:]


def as_kvm(d):
    """Under KVM's name the mouse works just as well, and the tools stay away."""
    d.vmctl("set", "g", "additions.identity=kvm")
    d.vmctl("start", "g")
    d.shell.close()
    d.shell = Shell(d.base + "/g", PATIENCE)
    d.boot()
    assert "Hypervisor detected: KVM" in d.shell.good("dmesg | grep Hypervisor")
    mouse(d)
    assert d.shell.run("vmware-checkvm")[1] == 1


TESTS = [kernel, mouse, questions, service, clock, paused, suspended, killed, restart, shutdown, as_kvm]

run_tests(Desk(*sys.argv[1:3], "tools-initrd64.gz"), TESTS)
