#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines that nobody looks at: vmctl events, top, autostart, and limits.  Prints TAP.
Usage: test_ops.py VMCTL SCRIPTED_VM [TEST...]"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

VMCTL, SCRIPTED_VM = (os.path.abspath(a) for a in sys.argv[1:3])
WAIT = 20


class Home:
    def __init__(self):
        self.path = tempfile.mkdtemp()
        os.mkdir(self.path + "/run", 0o700)
        self.env = dict(os.environ, HOME=self.path, XDG_RUNTIME_DIR=self.path + "/run", XDG_DATA_HOME=self.path + "/data",
                        XDG_CONFIG_HOME=self.path + "/config", TERRARIUM_VM=SCRIPTED_VM)

    def run(self, *words):
        return subprocess.run([VMCTL, *words], env=self.env, capture_output=True, text=True, timeout=60)

    def vmctl(self, *words):
        done = self.run(*words)
        assert done.returncode == 0, f"vmctl {words}: {done.returncode}: {done.stderr}"
        return done.stdout

    def open(self, *words):
        return subprocess.Popen([VMCTL, *words], env=self.env, stdout=subprocess.PIPE, text=True)

    def close(self):
        for name in self.run("list", "-r", "-o", "name").stdout.split():
            self.run("stop", "--force", name)
        shutil.rmtree(self.path)


# ---- tests ----

def events(h):
    h.vmctl("create", "other", "--nic", "none")
    h.vmctl("create", "vm", "--nic", "none")
    h.vmctl("start", "other")
    follower, one = h.open("events", "-o", "json"), h.open("events", "vm")
    time.sleep(0.5)
    h.vmctl("start", "vm")
    time.sleep(1)  # it is followed a moment after it has started
    h.vmctl("pause", "vm")
    h.vmctl("pause", "other")
    h.vmctl("set", "vm", "machine.name=another")
    time.sleep(2)  # what goes again before anybody has looked is not told
    h.vmctl("stop", "--force", "vm")
    h.vmctl("delete", "vm")
    time.sleep(2)
    for p in (follower, one):
        p.send_signal(signal.SIGINT)
        assert p.wait(WAIT) == 0
    seen = [json.loads(line) for line in follower.stdout.read().splitlines()]
    assert all(e["schema"] == 1 and e["time"].endswith("Z") for e in seen)
    of_vm = [(e["event"], e.get("data", {}).get("state")) for e in seen if e["machine"] == "vm"]
    for wanted in (("started", None), ("state", "paused"), ("changed", None), ("state", "stopped"), ("ended", None), ("deleted", None)):
        assert wanted in of_vm, f"{wanted} is not among {of_vm}"
    assert ("state", "paused") in [(e["event"], e.get("data", {}).get("state")) for e in seen if e["machine"] == "other"]
    lines = one.stdout.read().splitlines()
    assert any(" vm state state=paused" in line for line in lines) and not any(" other " in line for line in lines), lines
    gone = h.open("events")  # whose reader goes
    gone.stdout.close()
    h.vmctl("resume", "other")
    h.vmctl("pause", "other")
    assert gone.wait(WAIT) is not None


def top(h):
    h.vmctl("create", "vm", "--memory", "64M", "--nic", "none")
    h.vmctl("create", "still", "--nic", "none")
    h.vmctl("start", "vm")
    seen = json.loads(h.vmctl("top", "--once", "-o", "json", "--interval", "0.5"))["machines"]
    assert [m["machine"] for m in seen] == ["vm"], seen
    assert seen[0]["memory-limit"] == 64 << 20 and 0 < seen[0]["memory"] <= 64 << 20 and 0 <= seen[0]["cpu-percent"] < 100
    assert h.vmctl("top", "--once", "-i", "0.2").splitlines()[1].startswith("vm ")
    still = h.run("top", "still", "-i", "0.2")
    assert still.returncode == 4 and "still is not running" in still.stderr and not still.stdout, still
    assert h.run("top", "--interval", "0").returncode == 2
    follower = h.open("top", "-o", "json", "-i", "0.2")
    first = json.loads(follower.stdout.readline())
    follower.send_signal(signal.SIGINT)
    assert follower.wait(WAIT) == 0 and first["schema"] == 1
    follower = h.open("top", "vm", "-o", "json", "-i", "0.2")
    assert json.loads(follower.stdout.readline())["machines"]
    h.vmctl("stop", "--force", "vm")
    assert follower.wait(WAIT) == 4


def commands(unit, when):
    return [line.split("=", 1)[1] for line in unit.splitlines() if line.startswith(when + "=")]


def carry_out(h, unit, when):
    """As systemd would: the exit codes."""
    return [subprocess.run(c.lstrip("-").replace("%%", "%"), shell=True, env=h.env, capture_output=True).returncode
            for c in commands(unit, when)]


def state(h, name):
    return json.loads(h.vmctl("info", name, "-o", "json"))["state"]


def autostart(h):
    fake = h.path + "/bin"
    os.mkdir(fake)
    with open(fake + "/systemctl", "w") as f:
        f.write(f'#!/bin/sh\necho "$@" >>{h.path}/told\n')
    os.chmod(fake + "/systemctl", 0o755)
    h.env["PATH"] = fake + ":" + h.env["PATH"]
    name = "a b%ä"
    odd = h.run("create", name, "--nic", "none")
    name = name if odd.returncode == 0 else "a b"
    if odd.returncode:
        h.vmctl("create", name, "--nic", "none")
    if not os.path.isdir("/run/systemd/system"):
        refused = h.run("autostart", "on", name)
        assert refused.returncode and "no systemd runs" in refused.stderr, refused
        assert not os.path.exists(h.path + "/config/systemd")
    os.mkdir(h.path + "/run/systemd")  # of a session's systemd
    assert h.vmctl("autostart", name) == "off\n"
    h.vmctl("autostart", "on", name)
    assert h.vmctl("autostart", name) == "on\n" and open(h.path + "/told").read() == "--user daemon-reload\n"
    units = h.path + "/config/systemd/user"
    unit = [u for u in os.listdir(units) if u.startswith("terrarium-a")]
    assert len(unit) == 1 and os.path.samefile(f"{units}/default.target.wants/{unit[0]}", f"{units}/{unit[0]}")
    text = open(f"{units}/{unit[0]}").read()
    assert f'Environment="XDG_DATA_HOME={h.path}/data"' in text
    if shutil.which("systemd-analyze"):
        verdict = subprocess.run(["systemd-analyze", "verify", "--user", f"{units}/{unit[0]}"], capture_output=True, text=True, env=h.env)
        assert "terrarium-a" not in verdict.stderr, verdict.stderr
    assert all(line.startswith("-") for line in commands(text, "ExecStop")), "what fails keeps the next from being tried"
    assert carry_out(h, text, "ExecStart") == [0]
    assert name in h.vmctl("list", "-r", "-o", "name")
    assert carry_out(h, text, "ExecStop")[0] == 0 and state(h, name) == "saved", "what stops it does not leave it saved"
    assert carry_out(h, text, "ExecStart") == [0]
    saved_state = f"{h.path}/data/terrarium/machines/{name}/saved.state"
    os.makedirs(saved_state + "/in-the-way")
    saved, stopped = carry_out(h, text, "ExecStop")
    assert saved and not stopped and name not in h.vmctl("list", "-r", "-o", "name"), "one that cannot be saved is cut off"
    shutil.rmtree(saved_state)
    assert json.loads(h.vmctl("info", name, "-o", "json"))["autostart"] is True
    h.vmctl("autostart", "off", name)
    assert h.vmctl("autostart", name) == "off\n" and not [u for u in os.listdir(units) if u.startswith("terrarium")]
    h.vmctl("autostart", "on", name)
    h.vmctl("delete", name)
    assert not [u for u in os.listdir(units) if u.startswith("terrarium")], "a deleted machine would be started"


class Busy:
    """A real machine that boots a sector of code which counts on its serial port."""

    def __init__(self, h, code, *options):
        self.h, self.serial = h, h.path + "/out"
        h.env.pop("TERRARIUM_VM")
        with open(h.path + "/boot.img", "wb") as f:
            f.write(bytes.fromhex(code).ljust(510, b"\0") + b"\x55\xaa" + bytes((8 << 20) - 512))
        h.vmctl("create", "vm", "--nic", "none", "--engine", "soft", "--disk", h.path + "/boot.img", "--serial", self.serial, *options)
        h.vmctl("start", "vm")
        end = time.monotonic() + WAIT
        while not self.count() and time.monotonic() < end:
            time.sleep(0.1)

    def count(self):
        return os.path.getsize(self.serial)

    def look(self):
        return json.loads(self.h.vmctl("top", "vm", "--once", "-o", "json", "-i", SECONDS))["machines"][0]


def cpu_limit(h):
    vm = Busy(h, COUNTER, "--set", "machine.cpu-limit=10")
    for limit in (10, 5):
        h.vmctl("set", "vm", f"machine.cpu-limit={limit}")
        seen = vm.look()
        print(f"# limit {limit}: {seen['cpu-percent']:.2f} %, held {seen['cpu-held-percent']:.0f} %")
        assert seen["cpu-limit"] == limit and seen["cpu-percent"] <= limit * BEYOND, seen
        assert seen["cpu-percent"] >= limit / BEYOND or seen["cpu-held-percent"] < 5, seen  # the host has no more to give
    h.vmctl("pause", "vm")
    h.vmctl("resume", "vm")
    before = vm.count()
    h.vmctl("set", "vm", "--unset", "machine.cpu-limit")
    assert "cpu-limit" not in vm.look() and vm.count() > before
    h.vmctl("set", "vm", "machine.cpu-limit=1")
    begin = time.monotonic()
    h.vmctl("stop", "--force", "vm")  # does not wait for its share
    assert time.monotonic() - begin < 5


def cpu_debt(h):
    """For work that is not the guest's it stands half a second and no longer, however much that was."""
    vm = Busy(h, COUNTER, "--set", "machine.cpu-limit=5")
    s = socket.socket(socket.AF_UNIX)
    s.connect(h.path + "/run/terrarium/vm/control")
    end, asked = time.monotonic() + 2, 0
    with s, s.makefile("rb") as answers:
        while time.monotonic() < end:
            s.sendall(b"".join(b'{"id":%d,"cmd":"info"}\n' % n for n in range(8)))
            asked += sum(b'"ok":true' in answers.readline() for _ in range(8))
    used = json.loads(h.vmctl("top", "vm", "--once", "-o", "json", "-i", "0.1"))["machines"][0]
    begin, before = time.monotonic(), vm.count()
    while vm.count() == before and time.monotonic() < begin + 4:
        time.sleep(0.05)
    print(f"# {asked} answers; the guest goes on {time.monotonic() - begin:.1f} s later")
    assert asked > 500 and used["cpu-limit"] == 5 and vm.count() > before, used


def disk_limits(h):
    """Reads 32 KiB by INT 13h, then ".", for ever."""
    vm = Busy(h, "31c0 8ed8 be157c b442 b280 cd13 baf803 b02e ee ebef 10004000008000000000000000000000")
    for setting, what, wanted in (("limit-bytes=1M", "read-bytes-per-second", 1 << 20), ("limit-operations=20", "reads-per-second", 20)):
        h.vmctl("set", "vm", "ide0." + setting)
        before = vm.count()
        seen = vm.look()
        print(f"# {setting}: {seen[what]}")
        assert wanted / BEYOND - 1 <= seen[what] <= wanted * BEYOND + 1 and seen["disk-requests-held-per-second"] > 0, seen
        assert abs((vm.count() - before) / float(SECONDS) - seen["reads-per-second"]) < 5, "the guest saw something else"
        h.vmctl("set", "vm", "--unset", "ide0." + setting.split("=")[0])
    assert vm.look()["reads-per-second"] > 40
    h.vmctl("set", "vm", "ide0.limit-operations=1")
    begin = time.monotonic()
    h.vmctl("save", "vm")  # what waits goes first
    assert time.monotonic() - begin < 20
    h.vmctl("discard-state", "vm")


# mov dx, 3f8h; l: mov ecx, 400000h; a: dec ecx; jnz a; mov al, "."; out dx, al; jmp l
COUNTER = "ba f8 03 66 b9 00 00 40 00 66 49 75 fc b0 2e ee eb f1"
SECONDS = os.environ.get("SECONDS", "5")  # less, and a few hundredths count as many percent
BEYOND = 1.05 if float(SECONDS) >= 30 else 1.2
TESTS = [events, top, autostart, cpu_limit, cpu_debt, disk_limits]


def main():
    chosen = [t for t in TESTS if not sys.argv[3:] or t.__name__ in sys.argv[3:]]
    failed = 0
    print(f"1..{len(chosen)}", flush=True)
    for n, test in enumerate(chosen, 1):
        h = Home()
        try:
            test(h)
            print(f"ok {n} - {test.__name__}", flush=True)
        except Exception as e:  # noqa: BLE001
            failed += 1
            print(f"not ok {n} - {test.__name__}\n# {type(e).__name__}: " + str(e).replace("\n", "\n# "), flush=True)
        finally:
            h.close()
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
