#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A Linux guest with a distribution's own open-vm-tools, and its own driver of the absolute mouse.  Prints TAP.
Usage: test_tools.py VMCTL GUESTS.SH     ENGINE: of the machine (soft); PATIENCE: times all time limits"""
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../network"))
from guest_shell import Shell

VMCTL, GUESTS = (os.path.abspath(a) for a in sys.argv[1:3])
PATIENCE = float(os.environ.get("PATIENCE", "1"))
ENGINE = os.environ.get("ENGINE", "soft")
EVENT = struct.Struct("<qqHHi")


class Desk:
    """A machine with additions, and a shell in it."""

    def __init__(self):
        made = subprocess.run([GUESTS, "vmlinuz-amd64", "tools-initrd64.gz"], capture_output=True, text=True, check=False)
        if made.returncode:
            print(f"1..0 # SKIP {made.stderr.strip()}")
            sys.exit(0)
        folder = subprocess.run([GUESTS, "--dir"], check=True, capture_output=True, text=True).stdout.strip()
        self.base = tempfile.mkdtemp(prefix="terrarium-additions-")
        os.mkdir(self.base + "/run", 0o700)
        self.env = dict(os.environ, XDG_DATA_HOME=self.base + "/data", XDG_RUNTIME_DIR=self.base + "/run", LC_ALL="C.UTF-8")
        self.vmctl("create", "g", "--memory", "512M", "--kernel", folder + "/vmlinuz-amd64", "--initrd",
                   folder + "/tools-initrd64.gz", "--cmdline", "console=ttyS0 loglevel=3", "--nic", "virtio-net", "--serial",
                   f"socket:{self.base}/g", "--set", f"machine.engine={ENGINE}", "--set", "additions.identity=auto")
        self.vmctl("start", "g")
        self.shell = Shell(self.base + "/g", PATIENCE)
        self.boot()

    def boot(self):
        self.shell.boot()
        self.shell.good("export PATH=/bin:/sbin:/usr/bin:/usr/sbin; hostname desk")
        self.shell.good("cards; udhcpc -i eth0 -n -q -t 10 -s /bin/lease", 90)

    def vmctl(self, *args, code=0):
        p = subprocess.run([VMCTL, *args], env=self.env, capture_output=True, text=True, timeout=120 * PATIENCE, check=False)
        assert p.returncode == code, f"vmctl {' '.join(args)}: exit code {p.returncode}: {p.stderr}{p.stdout}"
        return p.stdout

    def control(self, command, **args):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.base + "/run/terrarium/g/control")
            s.sendall(json.dumps({"id": 1, "cmd": command, "args": args}).encode() + b"\n")
            for line in s.makefile():
                answer = json.loads(line)
                if answer.get("id") == 1:
                    assert answer["ok"], answer
                    return answer["result"]
        raise AssertionError(f"no answer to {command}")

    def guest(self):
        return json.loads(self.vmctl("info", "g", "-o", "json"))["running"].get("guest", {})

    def behind(self):
        """Seconds between the guest's clock and the host's."""
        return abs(int(self.shell.good("date +%s").split()[-1]) - time.time())

    def wait(self, what, good, seconds=60):
        end = time.monotonic() + seconds * PATIENCE
        while not good(seen := self.guest()):
            assert time.monotonic() < end, f"{what} did not come in {seconds} s: {seen}"
            time.sleep(0.5)
        return seen

    def log(self):
        with open(self.base + "/data/terrarium/machines/g/logs/vm.log", encoding="utf-8") as f:
            return f.read()

    def close(self):
        subprocess.run([VMCTL, "stop", "--force", "g"], env=self.env, capture_output=True, check=False)
        self.shell.close()
        shutil.rmtree(self.base)


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


def main():
    desk = Desk()
    print(f"1..{len(TESTS)}", flush=True)
    try:
        for n, test in enumerate(TESTS, 1):
            began = time.monotonic()
            try:
                test(desk)
                print(f"ok {n} {test.__name__} # {time.monotonic() - began:.1f} s", flush=True)
            except Exception:
                print(f"not ok {n} {test.__name__}\n# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
    finally:
        desk.close()


main()
