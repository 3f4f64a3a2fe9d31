#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vmctl and terrarium-vm as real processes, with a guest that obeys orders (scripted_guest.c).  Every test has its own XDG
folders.  Prints TAP.  Usage: test_vmctl.py VMCTL TERRARIUM-VM-SCRIPTED SOURCE-ROOT"""
import json
import os
import pty
import re
import signal
import shutil
import struct
import subprocess
import sys
import tempfile
import time

VMCTL, VM, ROOT = (os.path.abspath(a) for a in sys.argv[1:4])


class Host:
    """A user's empty account."""

    def __enter__(self):
        self.base = tempfile.mkdtemp(prefix="terrarium-test-")
        os.mkdir(self.base + "/run", 0o700)
        self.env = dict(os.environ, XDG_DATA_HOME=self.base + "/data", XDG_RUNTIME_DIR=self.base + "/run",
                        TERRARIUM_VM=VM, LC_ALL="C.UTF-8", HOME=self.base,
                        ASAN_OPTIONS="detect_leaks=0")  # the jail forbids the process that would look for them
        for name in ("DISPLAY", "WAYLAND_DISPLAY"):
            self.env.pop(name, None)
        return self

    def __exit__(self, *unused):
        for name in self.out("list", "--running", "-o", "name").split():
            self.run("stop", "--force", name)
        shutil.rmtree(self.base)

    def run(self, *args, stdin=b"", timeout=20):
        p = subprocess.run([VMCTL, *args], env=self.env, input=stdin, capture_output=True, timeout=timeout,
                           cwd=self.base)
        return p.returncode, p.stdout.decode(errors="replace"), p.stderr.decode(errors="replace")

    def out(self, *args):
        return self.run(*args)[1]

    def want(self, code, *args, stdin=b"", err="", out=""):
        """Runs, checks exit code and parts of the outputs, returns stdout."""
        c, o, e = self.run(*args, stdin=stdin)
        assert c == code, f"vmctl {' '.join(args)}: exit {c}, not {code}\n{o}{e}"
        assert err in e, f"vmctl {' '.join(args)}: stderr has no {err!r}: {e!r}"
        assert out in o, f"vmctl {' '.join(args)}: stdout has no {out!r}: {o!r}"
        assert code == 0 or e, f"vmctl {' '.join(args)}: no word about what is wrong"
        return o

    def ini(self, name):
        with open(f"{self.base}/data/terrarium/machines/{name}/machine.ini") as f:
            return f.read()


def verbs(h):
    return re.findall(r"^  ([a-z-]+) ", h.out("help"), re.M)


def test_help(h):
    with open(os.path.join(ROOT, "tests/core-vmm/help.txt")) as f:
        golden = f.read()
    assert h.out("help") == golden, "vmctl help has changed: is it meant?  Then change tests/core-vmm/help.txt too"
    h.want(0, "--help", out=golden)
    for verb in verbs(h):
        text = h.want(0, verb, "--help", out="Usage:")
        assert "Examples:" in text or verb == "disk", f"{verb} --help has no example"
        assert h.out("help", verb) == text


def test_usage(h):
    h.want(2, "lst", err="did you mean list?")
    h.want(2, "zzzzzz", err="vmctl help lists them")
    h.want(2, "create", err="usage: vmctl create NAME")
    h.want(2, "create", "x", "--memmory", "1G", err="did you mean --memory?")
    h.want(2, "create", "x", "--memory", err="--memory")
    h.want(2, "list", "extra", err="usage")
    h.want(2, "list", "-o", "xml", err="table, json or name")
    h.want(2, "screen", "shoot", "x", err="did you mean shot?")
    h.want(2, "wait", "x", err="--state, --serial, --screen, --ip, --port and --crash")
    code, out, err = h.run()
    assert code == 2 and "VERB" in out


def test_names(h):
    for bad in ("../x", "a/b", "", ".x", "-x", "x\ny"):
        h.want(2, "create", "--", bad, err="cannot be a machine's name")
    for name in ("alpha", "alpine", "beta"):
        h.want(0, "create", name)
    h.want(7, "create", "alpha", err="already")
    h.want(0, "info", "b", out="beta")
    h.want(0, "info", "alpha", out="alpha")
    h.want(2, "info", "al", err="alpha, alpine")
    h.want(3, "info", "gamma", err="no machine gamma")
    h.want(3, "info", "bata", err="did you mean beta?")
    h.want(3, "delete", "bet", err="whole name")
    assert h.out("list", "-o", "name").split() == ["alpha", "alpine", "beta"]


def test_create(h):
    iso = h.base + "/cd.iso"
    with open(iso, "wb") as f:
        f.truncate(1 << 20)
    h.want(0, "create", "one", "--memory", "1.5G", "--disk", "3M", "--cdrom", "cd.iso", "--serial", "log.txt",
           "--cpus", "2", "--debug-exit", "--set", "machine.clock=local")
    ini = h.ini("one")
    for line in ("memory=1.5G", "cpus=2", "[ide0]\nfile=disk.img\nformat=raw", f"[ide2]\nmedia=cdrom\nfile={iso}",
                 f"target=file:{h.base}/log.txt", "[debug-exit]", "clock=local"):
        assert line in ini, f"no {line!r} in:\n{ini}"
    disk = h.base + "/data/terrarium/machines/one/disk.img"
    assert os.stat(disk).st_size == 3 << 20 and os.stat(disk).st_blocks == 0
    h.want(2, "create", "two", "--memory", "2Q", err="memory = 2Q: must be a size from 1M to 512G")
    h.want(2, "create", "two", "--set", "machine.enigne=kvm", err="did you mean engine?")
    h.want(2, "create", "two", "--set", "machine.cpu-model=x86-64-v5", err="must be one of host, x86-64-v1, x86-64-v2")
    h.want(2, "create", "two", "--set", "nonsense", err="SECTION.KEY=VALUE")
    h.want(3, "create", "two", "--cdrom", "missing.iso", err="missing.iso")
    h.want(2, "create", "two", *["--disk", "1M"] * 4, err="room for")
    left = os.listdir(h.base + "/data/terrarium/machines")
    assert left == ["one"], f"a failed create left {left}"


def test_buses(h):
    """Which bus disks and CD drives are on, by --disk-bus or by the system."""
    def sections(*args):
        h.want(0, "create", "m", "--disk", "1M", "--cdrom", "", *args)
        ini = h.ini("m")
        h.want(0, "delete", "m")
        return ini

    for args, disk, cd, more in (
            ((), "ide0", "ide2", "model=e1000\n"), (("--disk-bus", "sata"), "sata0", "sata5", "model=e1000\n"),
            (("--disk-bus", "nvme"), "nvme0", "sata5", ""), (("--disk-bus", "virtio"), "virtio-disk0", "ide2", ""),
            (("--disk-bus", "scsi"), "scsi0", "scsi6", ""),
            (("--os", "windows"), "sata0", "sata5", "model=e1000e\n"), (("--os", "dos"), "ide0", "ide2", "model=pcnet\n"),
            (("--os", "windows", "--cpus", "4"), "sata0", "sata5", "sockets=1\n"), (("--os", "windows-old"), "ide0", "ide2", "sockets=1\n"),
            (("--os", "windows"), "sata0", "sata5", "[additions]\nidentity=hyperv\n"),
            (("--os", "windows"), "sata0", "sata5", "[audio]\nmodel=hda\n"), (("--os", "dos"), "ide0", "ide2", "[audio]\nmodel=sb16\n"),
            (("--os", "windows", "--cpus", "4", "--set", "machine.sockets=2"), "sata0", "sata5", "sockets=2\n"),
            (("--os", "linux"), "virtio-disk0", "ide2", "model=virtio-net\n"), (("--os", "dos"), "ide0", "ide2", "clock=local"),
            (("--os", "windows", "--disk-bus", "ide", "--nic", "none"), "ide0", "ide2", "clock=local")):
        ini = sections(*args)
        for line in (f"[{disk}]\nfile=disk.img", f"[{cd}]\nmedia=cdrom", more):
            assert line in ini, f"{args}: no {line!r} in:\n{ini}"
        assert "sockets" not in ini or "windows" in args[1], ini
    h.want(2, "create", "m", "--disk", "1M", "--disk-bus", "mfm", err="there are ide, sata, nvme, virtio, scsi")
    h.want(2, "create", "m", "--os", "multics", err="there are other (a system that is not named here), linux")
    h.want(2, "create", "m", *["--disk", "1M"] * 3, "--disk-bus", "nvme", err="room for 2 disks on nvme")
    h.want(2, "create", "m", *["--disk", "1M"] * 6, "--cdrom", "", "--disk-bus", "sata", err="room for 6 disks and CD drives")
    # parts of one file
    with open(h.base + "/whole.img", "wb") as f:
        f.truncate(4 << 20)
    parts = [x for n, at in ((0, "0"), (1, "1M")) for x in
             ("--set", f"sata{n}.file={h.base}/whole.img", "--set", f"sata{n}.offset={at}", "--set", f"sata{n}.size=1M")]
    h.want(0, "create", "m", *parts)
    h.want(2, "set", "m", "sata0.size=2M", err="different parts of it (offset, size)")
    h.want(2, "set", "m", "sata0.offset=100", err="a multiple of 512")
    h.want(0, "set", "m", "sata0.size=512K", "sata1.offset=512K")


def test_set(h):
    h.want(0, "create", "m")
    before = h.ini("m")
    h.want(2, "set", "m", "machine.memory=2G", "machine.cpus=999", err="cpus = 999: must be a number from 1 to 32")
    assert h.ini("m") == before, "a refused change left something behind"
    h.want(0, "set", "m", "machine.memory=2G", "machine.cmdline=a=b c ", "--unset", "serial1")
    assert "memory=2G" in h.ini("m") and "serial1" not in h.ini("m")
    info = json.loads(h.out("info", "m", "-o", "json"))
    assert info["schema"] == 1 and info["settings"]["machine"]["cmdline"] == "a=b c "
    assert "A Terrarium machine" in h.ini("m"), "the comment is gone"
    h.want(2, "set", "m", "--unset", "mashine.memory", err="no section")
    h.want(0, "set", "--keys", out="[serial1] to [serial4]")
    with open(h.base + "/data/terrarium/machines/m/machine.ini", "a") as f:
        f.write("\n[serial1]\nbaud=9600\n")
    h.want(2, "set", "m", "machine.memory=1G", err="[serial1] has no key baud")
    h.want(2, "start", "m", err="[serial1] has no key baud")
    h.want(0, "list", out="bad machine.ini")


def test_edited(h):
    """machine.ini as an editor of Windows leaves it."""
    h.want(0, "create", "m", "--set", "machine.cmdline=a b")
    path = h.base + "/data/terrarium/machines/m/machine.ini"
    with open(path, "rb") as f:
        text = f.read()
    with open(path, "wb") as f:
        f.write(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"))
    assert json.loads(h.want(0, "info", "m", "-o", "json"))["settings"]["machine"]["cmdline"] == "a b"
    h.want(0, "set", "m", "machine.memory=2G")
    h.want(0, "start", "m")


def until_it_runs(h):
    end = time.time() + 5
    while time.time() < end and "running" not in h.out("list"):
        time.sleep(0.02)


def goes_on(h, state):
    """The guest of the saved state does not greet again, and does what it is told."""
    p = subprocess.Popen([VM, "--folder", h.base + "/data/terrarium/machines/m", "--load", state], env=h.env)
    until_it_runs(h)
    h.want(0, "serial", "m", "--send", r"still here\n")
    h.want(0, "wait", "m", "--serial", "still here\r\n", "--timeout", "5")
    assert "ready" not in h.want(0, "serial", "m", "--tail")
    h.want(0, "stop", "m")
    assert p.wait(timeout=10) == 0


def test_life(h):
    h.want(0, "create", "m", "--cdrom", "")
    h.want(4, "pause", "m", err="is not running")
    h.want(4, "stop", "m", err="is not running")
    h.want(0, "wait", "m", "--state", "stopped", "--timeout", "1")
    h.want(0, "start", "m", err="it is a test")
    h.want(4, "start", "m", err="running already")
    h.want(4, "delete", "m", err="is running")
    machines = json.loads(h.out("list", "-o", "json"))
    assert machines["schema"] == 1 and machines["machines"][0]["state"] == "running"
    h.want(0, "wait", "m", "--serial", "guest ready", "--timeout", "5")
    h.want(5, "wait", "m", "--serial", "never", "--timeout", "0.1")
    h.want(0, "wait", "m", "--screen", "GRUB", "--timeout", "5")
    h.want(0, "wait", "m", "--state", "running", "--timeout", "5")
    h.want(0, "pause", "m")
    h.want(4, "pause", "m", err="paused")
    h.want(0, "resume", "m")
    h.want(0, "reset", "m")
    h.want(0, "serial", "m", "--send", r"hello\n")
    h.want(0, "serial", "m", "--tail", out="hello")
    h.want(0, "type", "m", "aB")
    h.want(0, "keys", "m", "ctrl+alt+delete")
    h.want(2, "keys", "m", "hyper+x", err="no key \"hyper\"")
    h.want(2, "type", "m", "€", err="no key for")
    h.want(0, "wait", "m", "--serial", "-111 -56 -29", "--timeout", "5")
    h.want(0, "serial", "m", "--tail", out="+30 -30 +42 +48 -48 -42 +29 +56 +111 -111 -56 -29")
    h.want(0, "screen", "text", "m", out="GNU GRUB\na test\n")
    h.want(0, "screen", "shot", "m", h.base + "/s.png")
    h.want(3, "screen", "shot", "m", h.base + "/t.png", "--screen", "2", err="no such screen")
    h.want(2, "screen", "size", "m", "large", err="no size")
    h.want(4, "screen", "size", "m", "800x600", err="type = svga")
    with open(h.base + "/s.png", "rb") as f:
        assert f.read(8) == b"\x89PNG\r\n\x1a\n"
    with open(h.base + "/a.iso", "wb") as f:
        f.truncate(1 << 20)
    h.want(3, "media", "insert", "m", "a.iso", "--drive", "ide9", err="no drive ide9")
    h.want(0, "media", "insert", "m", "a.iso")
    h.want(0, "media", "list", "m", out=h.base + "/a.iso")
    h.want(0, "media", "eject", "m")
    h.want(0, "media", "list", "m", out="(empty)")
    h.want(0, "debug", "m", out='"rip" : "0x7c00"')
    h.want(0, "debug", "cpu", "m", out='"rip" : "0x7c00"')
    h.want(0, "debug", "engine", "m", out="left\n                70  misses\n                 7  requests\n")
    h.want(0, "debug", "engine", "m", "-o", "json", out='"misses" : 70')
    h.want(0, "debug", "code", "m", "--most", "3", out="cpu 0, most 3")
    h.want(2, "debug", "colour", "m", err="cpu, engine or code, not colour")
    state = f"{h.base}/state"
    h.want(0, "debug", "save", "m", state, err="m is saved")
    assert os.stat(state).st_size > 1000
    h.want(0, "wait", "m", "--state", "paused")
    h.want(0, "resume", "m")
    h.want(3, "debug", "save", "m", f"{h.base}/no/state", err="No such file")
    h.want(2, "debug", "save", "m", err="usage: vmctl debug save NAME FILE")
    assert not [n for n in os.listdir(h.base) if n.startswith("state.")], "something of a save is left over"
    h.want(0, "info", "m", out="engine-memory    1.0 MiB of at most 96.0 MiB")
    h.want(0, "stop", "m")
    h.want(0, "logs", "m", out="the machine is stopped")
    h.want(0, "start", "m")
    h.want(0, "stop", "--force", "m")
    h.want(0, "logs", "m", "--previous", "1", out="the machine is stopped")
    h.want(3, "logs", "m", "--previous", "9", err="no such log")
    goes_on(h, state)
    h.want(0, "delete", "m")
    assert h.out("list") == ""


def kept(h, name="m"):
    """What the guest has in its memory."""
    h.want(0, "serial", name, "--send", r"kept\n")
    h.want(0, "wait", name, "--serial", "kept ", "--timeout", "5")
    time.sleep(0.05)
    return int(re.findall(r"kept (\d+)", h.out("serial", name, "--tail"))[-1])


def saved_file(h, name="m"):
    return f"{h.base}/data/terrarium/machines/{name}/saved.state"


def test_save(h):
    h.want(0, "create", "m", "--memory", "64M")
    h.want(4, "save", "m", err="is not running")
    assert h.run("discard-state", "m")[::2] == (3, "vmctl: m has no saved state\n")
    with open(f"{h.base}/data/terrarium/machines/m/.saving-ABCDEF", "w"):
        pass
    h.want(0, "discard-state", "m")
    assert ".saving-ABCDEF" not in os.listdir(f"{h.base}/data/terrarium/machines/m")
    h.want(0, "create", "long")
    h.want(3, "discard-state", "lon", err="there is no machine lon (discard-state wants the whole name)")
    h.want(0, "delete", "long")
    h.want(0, "start", "m")
    h.want(0, "serial", "m", "--send", r"keep 4711\n")
    assert kept(h) == 4711
    h.want(4, "discard-state", "m", err="is running")
    h.want(0, "save", "m", err="m is saved")
    h.want(0, "list", out="saved")
    o = json.loads(h.out("info", "m", "-o", "json"))
    assert o["state"] == "saved" and o["saved"]["bytes"] == os.stat(saved_file(h)).st_size > 1000
    h.want(0, "start", "m", err="goes on from where it was saved at 20")
    assert not os.path.exists(saved_file(h))
    assert kept(h) == 4711 and "ready" not in h.out("serial", "m", "--tail")
    h.want(0, "pause", "m")
    saved = json.loads(h.want(0, "save", "m", "-o", "json"))
    assert saved["name"] == "m" and saved["bytes"] == os.stat(saved_file(h)).st_size
    h.want(3, "discard-state", "n", err="there is no machine n")
    h.want(0, "discard-state", "m")
    h.want(0, "list", out="stopped")
    h.want(0, "start", "m")
    assert kept(h) == 0
    h.want(0, "stop", "--force", "m")


def test_firmware(h):
    if not os.path.exists("/usr/share/OVMF/OVMF_VARS_4M.fd"):
        return
    store = f"{h.base}/data/terrarium/machines/m/vars.fd"
    h.want(0, "create", "m", "--memory", "64M")
    h.want(0, "firmware", "info", "m", out="firmware     bios")
    h.want(1, "firmware", "reset", "m", err="keeps no variables; for UEFI: vmctl set m machine.firmware=uefi")
    h.want(2, "firmware", "renew", "m", err="there are info, reset and enroll")
    h.want(0, "set", "m", "machine.firmware=uefi")
    h.want(1, "firmware", "enroll", "m", err="Secure Boot is with vmctl set m machine.firmware=uefi-secure")
    h.want(0, "firmware", "info", "m", out="none yet")
    h.want(0, "firmware", "reset", "m")
    h.want(0, "firmware", "info", "m", out="secure boot  off")
    h.want(0, "set", "m", "machine.firmware=uefi-secure")
    with open(f"{h.base}/x.pem", "w") as f:
        f.write("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    h.want(1, "firmware", "enroll", "m", "--db", f"{h.base}/x.pem", err="x.pem is no X.509 certificate")
    h.want(0, "firmware", "enroll", "m")
    o = json.loads(h.out("firmware", "info", "m", "-o", "json"))
    assert o["secure-boot"] and "Microsoft Corporation UEFI CA 2011" in o["db"] and o["pk"], o
    with open(store, "r+b") as f:  # as the firmware's setup does it
        name = "SecureBootEnable\0".encode("utf-16-le")
        at = f.read().index(name) + len(name)
        f.seek(at)
        assert f.read(1) == b"\1"
        f.seek(at)
        f.write(b"\0")
    h.want(0, "firmware", "info", "m", out="secure boot  off (there are keys, but it is switched off in the firmware's setup)")
    o = json.loads(h.out("firmware", "info", "m", "-o", "json"))
    assert o["platform-key"] and not o["secure-boot"], o
    with open(store, "r+b") as f:
        f.truncate(1000)
    h.want(1, "firmware", "info", "m", err="vars.fd has 1000 bytes, and a store of UEFI variables has 540672")
    h.want(1, "start", "m", err="vars.fd has 1000 bytes")
    with open(store, "wb") as f:
        f.write(bytes(540672))
    h.want(1, "firmware", "info", "m", err="is no store of UEFI variables")
    h.want(0, "firmware", "reset", "m")
    assert os.stat(store).st_mode & 0o777 == 0o600


def test_tpm(h):
    h.want(0, "create", "m", "--memory", "64M", "--set", "tpm.model=crb")
    path, h.env["PATH"] = h.env["PATH"], h.base
    h.want(6, "start", "m", err="swtpm, which is the machine's TPM, is missing: install the package swtpm")
    h.env["PATH"] = path
    if not shutil.which("swtpm"):
        return
    h.want(0, "start", "m")
    h.want(0, "snapshot", "take", "m", "one")
    h.want(0, "save", "m")
    assert "tpm2-00.permall" in os.listdir(f"{h.base}/data/terrarium/machines/m/tpm")
    h.want(0, "start", "m")
    h.want(0, "stop", "--force", "m")
    h.want(0, "snapshot", "verify", "m")
    h.want(0, "snapshot", "restore", "m", "one")
    h.want(0, "start", "m")
    h.want(0, "stop", "--force", "m")
    assert "does not" not in h.want(0, "logs", "m")


def test_sound_file(h):
    """What the guest plays goes to a file that begins anew, but not to one that is something else."""
    h.env["TERRARIUM_AUDIO"] = shutil.which("true")
    h.want(0, "create", "m", "--memory", "16M", "--set", "audio.model=hda", "--set", "audio.out=notes.txt")
    path = h.base + "/data/terrarium/machines/m/notes.txt"
    with open(path, "w") as f:
        f.write("not to be lost")
    h.want(1, "start", "m", err="notes.txt: this is something else than a WAV file")
    with open(path) as f:
        assert f.read() == "not to be lost"
    for was in (b"RIFF....WAVEfmt ", b""):
        with open(path, "wb") as f:
            f.write(was)
        h.want(0, "start", "m")
        assert not os.path.getsize(path)
        h.want(0, "stop", "--force", "m")


def refuses_to_start(h, why):
    """With a sentence; and what was saved stays."""
    before = os.stat(saved_file(h))
    p = h.run("start", "m")
    assert p[0] != 0 and why in p[2] and len(p[2].splitlines()) == 1, p
    assert "discard-state" in p[2], p
    after = os.stat(saved_file(h))
    assert (before.st_ino, before.st_size) == (after.st_ino, after.st_size)


def test_saved_state_that_does_not_fit(h):
    h.want(0, "create", "m", "--memory", "64M", "--disk", "1M", "--disk-format", "qcow2")
    h.want(0, "start", "m")
    h.want(0, "serial", "m", "--send", r"keep 1\n")
    h.want(0, "save", "m")
    h.want(0, "set", "m", "machine.cpus=2")
    refuses_to_start(h, "its CPUs is 1, and that of this machine is 2")
    h.want(0, "set", "m", "machine.cpus=1")
    disk = f"{h.base}/data/terrarium/machines/m/disk.qcow2"
    st = os.stat(disk)
    os.utime(disk)
    refuses_to_start(h, "was changed after the state was saved")
    os.utime(disk, ns=(st.st_atime_ns, st.st_mtime_ns))
    with open(saved_file(h), "rb") as f:
        good = f.read()
    for data, why in ((good[:-1], "cut short"), (good[:100], "cut short"), (b"x" + good[1:], "is none"), (b"", "is none"),
                      (good[:5000] + bytes([good[5000] ^ 4]) + good[5001:], "damaged"), (good + b"x", "goes on behind"),
                      (good[:16] + b"\x07" + good[17:], "damaged")):
        with open(saved_file(h), "r+b") as f:
            f.truncate(0)
            f.write(data)
        refuses_to_start(h, why)
    with open(saved_file(h), "r+b") as f:
        f.truncate(0)
        f.write(good)
    h.want(0, "start", "m")
    assert kept(h) == 1


def running_pid(h):
    return json.loads(h.out("info", "m", "-o", "json"))["running"]["pid"]


def test_snapshots_with_state(h):
    """A snapshot of a suspended machine goes on where it was, again and again, whatever was done since."""
    folder = f"{h.base}/data/terrarium/machines/m"
    h.want(0, "create", "m", "--memory", "64M", "--disk", "1M")
    h.want(0, "snapshot", "list", "m")
    h.want(3, "snapshot", "restore", "m", "x", err="has no snapshot x")
    h.want(0, "start", "m")
    h.want(0, "serial", "m", "--send", r"keep 6\n")
    assert kept(h) == 6
    pid = running_pid(h)
    assert h.want(0, "snapshot", "take", "m", "six", err="m stood still for ") == "1\n"
    assert running_pid(h) == pid and kept(h) == 6
    picture = json.loads(h.want(0, "snapshot", "list", "m", "-o", "json"))["snapshots"][0]["picture"]
    with open(picture, "rb") as f:
        assert f.read(8) == b"\x89PNG\r\n\x1a\n"
    h.want(4, "snapshot", "restore", "m", "six", err="stop it, or save it")
    h.want(7, "snapshot", "take", "m", "six", err="is called")
    h.want(2, "snapshot", "take", "m", "12", err="cannot be empty or a number")
    assert running_pid(h) == pid, "its process is another one"
    h.want(0, "serial", "m", "--send", r"keep 7\n")
    assert kept(h) == 7
    h.want(0, "save", "m")
    h.want(0, "snapshot", "delete", "m", "six", err="stays while m is saved")
    assert not os.path.exists(picture)
    assert h.want(0, "snapshot", "take", "m", "seven", "--description", "a test") == "2\n"
    h.want(7, "snapshot", "take", "m", "seven", err="is called")
    h.want(2, "snapshot", "take", "m", "12", err="cannot be empty or a number")
    h.want(0, "snapshot", "verify", "m")
    for number in (8, 9):
        h.want(0, "start", "m", err="goes on from where it was saved")
        assert kept(h) == 7
        h.want(0, "serial", "m", "--send", fr"keep {number}\n")
        assert kept(h) == number
        h.want(0, "stop", "--force", "m")
        h.want(0, "set", "m", "machine.memory=32M")
        h.want(0, "snapshot", "restore", "m", "seven")
        h.want(0, "list", out="saved")
        assert "memory=64M" in h.ini("m")
    tree = json.loads(h.want(0, "snapshot", "tree", "m", "-o", "json"))["snapshots"]
    assert [(s["id"], s["name"], s["state"], s["current"]) for s in tree] == [(2, "seven", True, True)], tree
    h.want(0, "snapshot", "edit", "m", "seven", "--name", "lucky")
    h.want(0, "snapshot", "list", "m", out="lucky: a test")
    h.want(1, "delete", "m", "--keep-disks", err="has snapshots")
    with open(folder + "/snapshots/record.json") as f:
        good = f.read()
    with open(folder + "/snapshots/record.json", "w") as f:
        f.write(re.sub(r'"state-bytes" : (\d+)', lambda m: f'"state-bytes" : {int(m[1]) + 1}', good))
    h.want(1, "snapshot", "verify", "m", err="its state has ")
    h.want(1, "snapshot", "restore", "m", "lucky", err="its state has ")
    with open(folder + "/snapshots/record.json", "w") as f:
        f.write(good)
    h.want(0, "snapshot", "verify", "m")
    with open(folder + "/snapshots/2.state", "r+b") as f:
        f.seek(3000)
        byte = f.read(1)
        f.seek(3000)
        f.write(bytes([byte[0] ^ 1]))
    h.want(1, "snapshot", "verify", "m", err="damaged")
    before = h.ini("m")
    h.want(1, "snapshot", "restore", "m", "lucky", err="damaged")
    assert h.ini("m") == before
    h.want(0, "discard-state", "m")
    h.want(0, "snapshot", "delete", "m", "lucky")
    assert os.listdir(folder + "/snapshots") == ["record.json"] and "file=disk.img" in h.ini("m")
    h.want(0, "start", "m")


def test_snapshot_of_running_uefi(h):
    """What its flash memory holds at that moment is the snapshot's, whatever its file has, and comes back with it."""
    folder = f"{h.base}/data/terrarium/machines/m"

    def read(name):
        with open(f"{folder}/{name}", "rb") as f:
            return f.read()

    h.want(0, "create", "m", "--memory", "64M", "--disk", "1M")
    h.want(0, "set", "m", "machine.firmware=uefi")
    if h.run("start", "m")[0]:
        h.want(1, "start", "m", err="ovmf")
        return "there is no OVMF"
    whole = read("vars.fd")
    with open(folder + "/vars.fd", "r+b") as f:
        f.write(b"later")
    h.want(0, "snapshot", "take", "m", "a")
    assert read("snapshots/1.vars") == whole, "they are not those of the flash memory"
    h.want(0, "stop", "--force", "m")
    with open(folder + "/vars.fd", "r+b") as f:
        f.write(b"other")
    h.want(0, "snapshot", "verify", "m")
    h.want(0, "snapshot", "restore", "m", "a")
    assert read("vars.fd") == whole, "they have not come back"
    h.want(0, "start", "m", err="goes on from where it was saved")
    return None


def test_snapshot_of_running_fails(h):
    """The machine goes on as if nothing had been, and the next one is as good as any."""
    folder = f"{h.base}/data/terrarium/machines/m"
    h.want(0, "create", "m", "--memory", "64M", "--disk", "1M")
    h.want(0, "start", "m")
    h.want(0, "serial", "m", "--send", r"keep 5\n")
    assert kept(h) == 5
    h.want(0, "snapshot", "take", "m")
    pid = running_pid(h)
    before = h.ini("m")
    with open(f"{h.base}/slice.img", "wb") as f:
        f.truncate(1 << 20)
    h.want(0, "set", "m", f"ide1.file={h.base}/slice.img", "ide1.size=512K")
    h.want(1, "snapshot", "take", "m", err="[ide1] is a part of a file")
    with open(folder + "/machine.ini", "w") as f:
        f.write(before)
    os.mkdir(folder + "/snapshots/2.ini")
    h.want(1, "snapshot", "take", "m", err="2.ini is no regular file")
    assert running_pid(h) == pid and kept(h) == 5
    os.rmdir(folder + "/snapshots/2.ini")
    h.want(0, "set", "m", "ide0.file=disk1.qcow2", "ide0.format=qcow2")
    h.want(1, "snapshot", "take", "m", err="and the running machine has ")
    h.want(0, "set", "m", "ide0.file=snapshots/ide0-2.qcow2")
    assert h.want(0, "snapshot", "take", "m", "b") == "3\n"
    assert running_pid(h) == pid and kept(h) == 5
    h.want(0, "serial", "m", "--send", r"keep 6\n")
    assert kept(h) == 6
    h.want(0, "stop", "--force", "m")
    h.want(0, "snapshot", "verify", "m")
    h.want(0, "snapshot", "restore", "m", "b")
    h.want(0, "start", "m", err="goes on from where it was saved")
    assert kept(h) == 5


def killed_at(h, call, when, *args):
    """vmctl, of which the process that makes that call for the so-manieth time is killed before it; did that happen?"""
    inject = f"inject={call}:error=EPERM:signal=KILL:when={when}"
    p = subprocess.run(["strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject, VMCTL, *args], env=h.env,
                       capture_output=True, text=True, timeout=60, check=False, cwd=h.base)
    return p.returncode == -signal.SIGKILL or "ended with" in p.stderr


def no_strace():
    works = shutil.which("strace") and not subprocess.run(["strace", "-f", "true"], capture_output=True, check=False).returncode
    return None if works else "there is no strace, or nothing to trace with"


def test_state_that_cannot_go(h):
    """The guest does not run while its state has its name, nor before the folder is flushed."""
    if no_strace():
        return no_strace()
    h.want(0, "create", "m", "--memory", "64M")
    h.want(0, "start", "m")
    h.want(0, "serial", "m", "--send", r"keep 8\n")
    assert kept(h) == 8
    h.want(0, "save", "m")
    record = f"{h.base}/calls"

    def start(*options):
        p = subprocess.run(["strace", "-f", "-y", "-o", record, "-P", saved_file(h), *options, VMCTL, "start", "m"], env=h.env,
                           capture_output=True, text=True, timeout=60, check=False, cwd=h.base)
        return p.returncode, p.stderr

    code, said = start("-e", "trace=unlink", "-e", "inject=unlink:error=EROFS")
    assert code and "saved.state cannot be removed (Read-only file system)" in said, (code, said)
    assert h.out("list", "-o", "name") == "m\n" and "saved" in h.out("list") and "the machine is running" not in h.out("logs", "m")
    code, said = start("-e", "trace=unlink", "-e", "inject=unlink:signal=KILL")
    assert code and "saved.state cannot be removed (the process that does that has ended)" in said, (code, said)
    assert os.path.exists(saved_file(h))
    # It is followed to its end, so that one does not wait for strace.
    subprocess.run(["strace", "-D", "-f", "-y", "-o", record, "-P", saved_file(h), "-P", os.path.dirname(saved_file(h)), "-e", "trace=unlink,fsync",
                    "-e", "inject=fsync:delay_enter=200000", VMCTL, "start", "m"], env=h.env, timeout=60, check=True, stderr=subprocess.DEVNULL)
    with open(record) as f:
        calls = [re.match(r"\d+ +(\w+)", line)[1] for line in f if "= 0" in line]
    assert calls[-2:] == ["unlink", "fsync"], calls
    assert kept(h) == 8
    h.want(0, "stop", "--force", "m")


def images_of(h):
    with open(f"{h.base}/data/terrarium/machines/m/snapshots/record.json") as f:
        return {i["file"]: i for i in json.load(f)["images"]}


def test_snapshot_of_running_killed(h):
    """At every step of a live take: the machine runs on, the next snapshot is taken, and all of them are whole."""
    if no_strace():
        return no_strace()
    h.want(0, "create", "m", "--memory", "64M", "--disk", "1M")
    h.want(0, "start", "m")
    h.want(0, "serial", "m", "--send", r"keep 5\n")
    assert kept(h) == 5
    pid, done = running_pid(h), 0
    for call, last in (("sendmsg", 4), ("rename", 5), ("link", 1)):
        for when in range(1 + (call == "sendmsg"), last + 1):
            done += killed_at(h, call, when, "snapshot", "take", "m", f"killed {call} {when}")
            assert running_pid(h) == pid and kept(h) == 5, f"{call} {when}"
            h.want(0, "snapshot", "take", "m", f"after {call} {when}")
    assert done > 6, f"only {done} were killed"
    for number in [s["id"] for s in json.loads(h.out("snapshot", "list", "m", "-o", "json"))["snapshots"]][:-1]:
        h.want(0, "snapshot", "delete", "m", str(number))
    assert running_pid(h) == pid and kept(h) == 5
    h.want(0, "stop", "--force", "m")
    h.want(0, "snapshot", "verify", "m")
    h.want(0, "snapshot", "restore", "m", f"after {call} {when}")
    h.want(0, "start", "m", err="goes on from where it was saved")
    assert kept(h) == 5
    return None


def test_live_image_below(h):
    """What a running machine writes to is frozen already, for a take was killed: nobody merges what is two levels below it."""
    if no_strace():
        return no_strace()
    h.want(0, "create", "m", "--memory", "64M", "--disk", "1M")
    h.want(0, "start", "m")
    h.want(0, "snapshot", "take", "m", "a")
    h.want(0, "snapshot", "take", "m", "b")
    assert killed_at(h, "sendmsg", 3, "snapshot", "take", "m", "c")
    before = images_of(h)
    assert before["snapshots/ide0-2.qcow2"].get("live"), before
    written = os.stat(f"{h.base}/data/terrarium/machines/m/snapshots/ide0-2.qcow2").st_ctime_ns
    h.want(0, "snapshot", "delete", "m", "a", err="stays while m runs")
    assert images_of(h).keys() == before.keys()
    assert os.stat(f"{h.base}/data/terrarium/machines/m/snapshots/ide0-2.qcow2").st_ctime_ns == written
    h.want(0, "snapshot", "take", "m", "d")
    h.want(0, "snapshot", "delete", "m", "d")
    h.want(0, "stop", "--force", "m")
    h.want(0, "snapshot", "verify", "m")
    return None


def test_plug_beside_snapshot(h):
    """No card comes or goes while a snapshot is taken, which knows the machine's devices."""
    if no_strace():
        return no_strace()
    h.want(0, "create", "m", "--memory", "64M")
    h.want(0, "start", "m")
    h.want(0, "wait", "m", "--serial", "guest ready", "--timeout", "5")
    h.want(0, "plug", "m", "testpci1")
    with subprocess.Popen(["strace", "-f", "-o", "/dev/null", "-p", str(running_pid(h)), "-e", "trace=pread64", "-e",
                           "inject=pread64:delay_enter=4000000"], stderr=subprocess.PIPE, text=True) as slow:
        if "attached" not in slow.stderr.readline():
            slow.wait()
            return "a running process cannot be traced here"
        take = subprocess.Popen([VMCTL, "snapshot", "take", "m", "a"], env=h.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(1.5)
        h.want(4, "unplug", "m", "testpci1", "--force", err="is being saved")
        h.want(4, "plug", "m", "testpci2", err="is being saved")
        assert take.poll() is None, "it was taken before"
        slow.terminate()
    assert take.wait(timeout=20) == 0, take.stderr.read()
    take.stderr.close()
    h.want(0, "unplug", "m", "testpci1", "--force")
    return None


def test_snapshot_of_running_cancelled(h):
    """Once the disks are other ones Ctrl-C comes too late: a layer without a snapshot would be of no use to anybody."""
    if no_strace():
        return no_strace()
    h.want(0, "create", "m", "--memory", "64M", "--disk", "1M")
    h.want(0, "start", "m")
    h.want(0, "wait", "m", "--serial", "guest ready", "--timeout", "5")
    with subprocess.Popen(["strace", "-f", "-o", "/dev/null", "-p", str(running_pid(h)), "-e", "trace=fdatasync,fsync", "-e",
                           "inject=fdatasync,fsync:delay_enter=3000000:when=1"], stderr=subprocess.PIPE, text=True) as slow:
        if "attached" not in slow.stderr.readline():
            slow.wait()
            return "a running process cannot be traced here"
        take = subprocess.Popen([VMCTL, "snapshot", "take", "m", "a"], env=h.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(1.5)
        take.send_signal(signal.SIGINT)
        _, err = take.communicate(timeout=20)
        slow.terminate()
    assert take.returncode == 0, err
    h.want(0, "snapshot", "verify", "m")
    assert not [i for i in images_of(h).values() if i.get("live")], images_of(h)
    return None


def test_set_beside_live_delete(h):
    """Merging beside a running machine may take long: settings can be changed meanwhile, snapshots not, and nothing is found damaged."""
    if no_strace():
        return no_strace()
    h.want(0, "create", "m", "--memory", "64M", "--disk", "1M")
    h.want(0, "start", "m")
    for name in "abc":
        h.want(0, "snapshot", "take", "m", name)
    with subprocess.Popen(["strace", "-f", "-o", "/dev/null", "-e", "trace=pwritev", "-e",
                           "inject=pwritev:delay_enter=6000000:when=1", VMCTL, "snapshot", "delete", "m", "b"], env=h.env,
                          stderr=subprocess.PIPE) as slow:
        time.sleep(1)
        h.want(0, "set", "m", "ide0.cache=writeback")
        h.want(9, "snapshot", "take", "m", "d", err="is being taken or deleted")
        h.want(0, "snapshot", "verify", "m")
        assert slow.poll() is None, "it was merged before"
        _, err = slow.communicate(timeout=30)
    assert slow.returncode == 0, err
    h.want(0, "snapshot", "take", "m", "d")
    assert "snapshots/ide0-2.qcow2" not in images_of(h), images_of(h)
    h.want(0, "stop", "--force", "m")
    h.want(0, "snapshot", "verify", "m")
    return None


def test_live_notes_child(h):
    """An image elsewhere that a live snapshot froze notes what is on top of it, as one that an offline snapshot froze does."""
    for name in ("off.img", "live.img"):
        with open(f"{h.base}/{name}", "wb") as f:
            f.truncate(1 << 20)
    h.want(0, "create", "n", "--memory", "64M", "--disk", h.base + "/off.img")
    h.want(0, "snapshot", "take", "n")
    if not os.listxattr(h.base + "/off.img"):
        return "the file system has no extended attributes"
    h.want(0, "create", "m", "--memory", "64M", "--disk", h.base + "/live.img")
    h.want(0, "start", "m")
    h.want(0, "snapshot", "take", "m")
    assert os.listxattr(h.base + "/live.img") == os.listxattr(h.base + "/off.img"), os.listxattr(h.base + "/live.img")
    h.want(0, "stop", "--force", "m")
    h.want(0, "snapshot", "verify", "m")
    return None


def test_live_delete_killed(h):
    """At every step of a merge beside a running machine, then what others write to the record: it runs on, the next deletion
    ends the merge, and every disk that is left can be read."""
    if no_strace():
        return no_strace()
    folder = f"{h.base}/data/terrarium/machines/m"
    h.want(0, "create", "m", "--memory", "64M", "--disk", "1M")
    for name in "ab":
        h.want(0, "snapshot", "take", "m", name)
    h.want(0, "start", "m")
    h.want(0, "serial", "m", "--send", r"keep 5\n")
    assert kept(h) == 5
    pid, done = running_pid(h), []
    for call, when in [("pwritev", 1), ("utimensat", 1), ("sendmsg", 1)] + [("rename", n) for n in range(1, 4)]:
        name = f"{call} {when}"
        h.want(0, "snapshot", "take", "m", name)
        h.want(0, "snapshot", "take", "m", name + " too")
        done += [name] if killed_at(h, call, when, "snapshot", "delete", "m", name) else []
        h.want(0, "set", "m", "ide0.cache=writeback")
        assert running_pid(h) == pid and kept(h) == 5, name
        h.want(0, "snapshot", "take", "m", name + " after")
        h.want(0, "snapshot", "verify", "m")
        h.want(0, "snapshot", "delete", "m", name + " too")
        assert running_pid(h) == pid and kept(h) == 5, name
    assert len(done) > 5, f"only {done} were killed"
    h.want(0, "stop", "--force", "m")
    h.want(0, "snapshot", "take", "m", "last")
    h.want(0, "snapshot", "delete", "m", "last")
    assert not [i for i in images_of(h).values() if i["merging"] or i.get("live")], images_of(h)
    h.want(0, "snapshot", "verify", "m")
    h.want(0, "disk", "check", f"{folder}/" + re.search(r"file=(.*)", h.ini("m"))[1])
    h.want(0, "snapshot", "restore", "m", name + " after")
    h.want(0, "start", "m", err="goes on from where it was saved")
    assert kept(h) == 5
    return None


def test_try(h):
    """What was tried is kept or undone, of a machine that runs, is off, or was saved."""
    def keep(number):
        h.want(0, "serial", "m", "--send", fr"keep {number}\n")
        assert kept(h) == number

    h.want(0, "create", "m", "--memory", "64M", "--disk", "1M")
    h.want(3, "try", "m", "--keep", err="is not being tried")
    h.want(0, "try", "m", "--headless", err="m runs; vmctl try m --keep")
    h.want(7, "try", "m", err="is being tried already")
    keep(5)
    h.want(0, "try", "m", "--undo", err="m is as it was before")
    h.want(0, "list", out="stopped")
    h.want(0, "start", "m")
    keep(6)
    pid = running_pid(h)
    h.want(0, "try", "m", "--headless")
    keep(7)
    h.want(0, "try", "m", "--keep", err="kept")
    assert running_pid(h) == pid and kept(h) == 7
    h.want(0, "try", "m", "--headless")
    keep(8)
    h.want(0, "try", "m", "--undo", err="runs on from there")
    assert kept(h) == 7
    h.want(0, "save", "m")
    h.want(0, "try", "m", "--headless")
    keep(9)
    h.want(0, "stop", "--force", "m")
    h.want(0, "try", "m", "--undo", err="vmctl start goes on from there")
    h.want(0, "start", "m")
    assert kept(h) == 7
    assert json.loads(h.want(0, "snapshot", "list", "m", "-o", "json"))["snapshots"] == []


def test_automatic_snapshots(h):
    """They thin themselves; what somebody took or renamed stays, and what is off is not taken."""
    def names():
        listed = json.loads(h.want(0, "snapshot", "list", "m", "-o", "json"))["snapshots"]
        return [(s["id"], s.get("automatic", False)) for s in listed]

    h.want(0, "create", "m", "--memory", "64M", "--disk", "1M", "--set", "snapshots.keep-hourly=1", "--set", "snapshots.keep-daily=0",
           "--set", "snapshots.before-stop=on", "--set", "snapshots.every=60")
    h.want(0, "snapshot", "take", "m", "mine")
    h.want(0, "snapshot", "take", "m", "--automatic")
    h.want(0, "snapshot", "take", "m", "--automatic")
    assert names() == [(1, False), (3, True)], names()
    h.want(0, "snapshot", "list", "m", out="automatic 20")
    h.want(0, "snapshot", "edit", "m", "3", "--name", "kept")
    h.want(0, "start", "m")
    h.want(0, "snapshot", "take", "m", "--automatic")
    h.want(0, "snapshot", "take", "m", "--automatic")
    assert names() == [(1, False), (3, False), (5, True)], names()
    h.want(0, "stop", "m")
    assert names() == [(1, False), (3, False), (6, True)], names()
    h.want(0, "set", "m", "snapshots.keep-hourly=0")
    h.want(0, "snapshot", "thin", "m", err="1 automatic snapshot went")
    h.want(2, "snapshot", "thin", "m", "x", err="usage")
    h.want(2, "set", "m", "snapshots.every=-1", err="every")
    assert names() == [(1, False), (3, False)], names()


def test_disposable(h):
    """Nothing of such a run stays, nor of one that was killed; a state that it goes on from is there again."""
    folder = f"{h.base}/data/terrarium/machines/m"
    h.want(0, "create", "m", "--memory", "64M", "--disk", "1M")
    h.want(0, "start", "m")
    h.want(0, "serial", "m", "--send", r"keep 5\n")
    assert kept(h) == 5
    h.want(0, "save", "m")
    before = {e: os.stat(f"{folder}/{e}").st_mtime_ns for e in os.listdir(folder) if e not in ("logs", "lock")}
    os.mkdir(folder + "/.disposable-killed")
    open(folder + "/.disposable-killed/ide0.qcow2", "w").close()
    for unused in range(2):
        h.want(0, "start", "m", "--disposable", err="what its disks get is gone when it ends")
        assert f"{folder}/.disposable-" in h.want(0, "info", "m", "-o", "json")
        assert kept(h) == 5
        h.want(0, "serial", "m", "--send", r"keep 6\n")
        assert kept(h) == 6
        h.want(1, "save", "m", err="nothing of a disposable run stays")
        h.want(1, "snapshot", "take", "m", err="and the running machine has ")
        h.want(0, "stop", "--force", "m")
        left = {e: os.stat(f"{folder}/{e}").st_mtime_ns for e in os.listdir(folder) if e not in ("logs", "lock", "snapshots")}
        assert left == before, f"there is {left}, and was {before}"
    h.want(0, "start", "m", err="goes on from where it was saved")
    assert kept(h) == 5


def test_snapshot_on_what_stays(h):
    """An image of several files gets nothing merged into it; a part of a file gets nothing on top of it."""
    h.want(0, "create", "m", "--memory", "64M")
    h.want(0, "disk", "create", "a.vmdk", "1M", "--option", "subformat=twoGbMaxExtentFlat")
    with open(h.base + "/slice.img", "wb") as f:
        f.truncate(1 << 20)
    h.want(0, "set", "m", f"ide0.file={h.base}/a.vmdk", "ide0.format=vmdk")
    h.want(0, "snapshot", "take", "m", out="1\n")
    h.want(0, "snapshot", "delete", "m", "1", err="a.vmdk stays: ")
    h.want(0, "snapshot", "verify", "m")
    assert "ide0-1.qcow2" in h.ini("m")
    h.want(0, "start", "m")
    h.want(0, "stop", "--force", "m")
    h.want(0, "set", "m", f"ide1.file={h.base}/slice.img", "ide1.size=512K")
    before = h.ini("m")
    h.want(1, "snapshot", "take", "m", err="[ide1] is a part of a file")
    assert h.ini("m") == before and h.out("snapshot", "list", "m") == ""


def test_save_fails(h):
    """The machine runs on, and nothing is left."""
    import resource
    h.want(0, "create", "m", "--memory", "64M")
    h.want(0, "start", "m")
    h.want(0, "serial", "m", "--send", r"keep 2\n")
    pid = json.loads(h.out("info", "m", "-o", "json"))["running"]["pid"]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (40000, resource.RLIM_INFINITY))
    h.want(1, "save", "m", err="File too large")
    assert kept(h) == 2
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    names = os.listdir(f"{h.base}/data/terrarium/machines/m")
    assert not [n for n in names if "sav" in n], names
    h.want(0, "save", "m")
    h.want(0, "start", "m")
    assert kept(h) == 2


def test_killed(h):
    """kill -9 leaves the machine startable; last words go to the log."""
    h.want(0, "create", "m")
    for unused in range(2):
        h.want(0, "start", "m")
        pid = json.loads(h.out("info", "m", "-o", "json"))["running"]["pid"]
        assert os.readlink(f"/proc/{pid}/fd/2").endswith("/m/logs/vm.log")
        os.kill(pid, signal.SIGKILL)
        h.want(0, "wait", "m", "--state", "stopped", "--timeout", "5")
        h.want(4, "pause", "m", err="is not running")
    h.want(0, "start", "m")


def test_delete_keeps_disks(h):
    h.want(0, "create", "m", "--disk", "1M")
    h.want(0, "delete", "m", "--keep-disks", err="until they are gone")
    assert os.listdir(h.base + "/data/terrarium/machines/m") == ["disk.img"]
    h.want(7, "create", "m", err="already")
    h.want(0, "list", out="no machine.ini")
    h.want(0, "delete", "m")
    with open(h.base + "/elsewhere.img", "wb") as f:
        f.truncate(1 << 20)
    h.want(0, "create", "n", "--disk", h.base + "/elsewhere.img")
    h.want(0, "delete", "n", "--keep-disks")
    assert os.path.exists(h.base + "/elsewhere.img") and h.out("list") == ""
    h.want(0, "create", "n")


def machines_of(h):
    return sorted(os.listdir(h.base + "/data/terrarium/machines"))


def test_taken_names(h):
    """What create calls taken, list shows."""
    h.want(0, "create", "m")
    folder = h.base + "/data/terrarium/machines/"
    os.mkdir(folder + "folder")
    os.symlink("/nowhere", folder + "link")
    with open(folder + "file", "wb"):
        pass
    listed = h.out("list", "-o", "name").split()
    for name in ("folder", "link", "file"):
        h.want(7, "create", name, err="already")
        assert name in listed, f"{name} is taken, but list has only {listed}"
    h.want(0, "delete", "folder")
    h.want(1, "delete", "file", err="no machine")
    assert machines_of(h) == ["file", "link", "m"]


def test_left_over(h):
    """What killed processes leave is removed by the next one; what one works on is not."""
    import fcntl
    import struct
    h.want(0, "create", "m")
    folder, runtime = h.base + "/data/terrarium/machines/", h.base + "/run/terrarium/"
    whole = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)

    def leave(path, lock):
        os.makedirs(path)
        with open(path + "/disk.img", "wb") as f:
            f.truncate(1 << 30)
        f = open(path + "/making", "wb")
        if lock:
            fcntl.fcntl(f, 37, whole)  # F_OFD_SETLK
        return f

    for verb in (("list",), ("create", "n"), ("delete", "n")):
        for prefix in (".new-", ".gone-"):
            leave(folder + prefix + "aaaaaa", False).close()
            os.makedirs(folder + prefix + "bbbbbb")  # killed even before it had a lock
        with leave(folder + ".new-cccccc", True), leave(folder + ".gone-cccccc", True):
            h.want(0, *verb)
            left = [n for n in machines_of(h) if n.startswith(".")]
            assert left == [".gone-cccccc", ".new-cccccc"], f"{verb}: {left}"
            assert os.path.exists(folder + ".new-cccccc/disk.img")
        h.want(0, "list")
        assert [n for n in machines_of(h) if n.startswith(".")] == []
    leave(runtime + "run-aaaaaa", False).close()
    with leave(runtime + "run-cccccc", True):
        h.want(0, *RUN, stdin=b"off\n")
        assert os.listdir(runtime) == ["run-cccccc"], os.listdir(runtime)
    h.want(0, *RUN, stdin=b"off\n")
    assert os.listdir(runtime) == []
    assert "making" not in os.listdir(folder + "m")


class Kernel:
    """A file that passes for a kernel as long as nobody runs it; it goes with the object."""

    def __init__(self):
        self.file = tempfile.NamedTemporaryFile(prefix="terrarium-kernel-")
        self.file.write(bytes(0x1fe) + b"\x55\xaa" + bytes(7680))
        self.file.flush()


KERNEL = Kernel()
RUN = ("run", "--serial", "stdio", "--headless", "--debug-exit", "--kernel", KERNEL.file.name)


def test_run_ends(h):
    h.want(0, *RUN, stdin=b"hello\noff\n", out="test guest ready\r\nhello\r\n")
    h.want(65, *RUN, stdin=b"debug 0\n", err="debug exit 1")
    h.want(67, *RUN, stdin=b"debug 1\n")
    h.want(255, *RUN, stdin=b"debug 100000\n")
    h.want(21, *RUN, "--on-reset", "stop", stdin=b"reset\n")
    h.want(22, *RUN, stdin=b"fail\n", err="met its match")
    h.want(5, *RUN, "--timeout", "0.3", err="stopped after 0.3 s")
    h.want(6, *RUN, "--set", "machine.engine-options=refuse", err="refuses to be built")
    h.want(3, "run", "missing.iso", "--headless", err="missing.iso")
    h.want(1, *RUN, "--cdrom", os.devnull, err="vmctl: section [ide2]: /dev/null is a character device")
    h.want(2, "run", err="nothing to boot")
    for what in ("--disk", "--cdrom", "--floppy", "--kernel"):
        h.want(2, "run", what, h.base, err="is a folder, not a file")
    h.want(2, "run", "--kernel", "", err="kernel is empty")
    for target in ("", "file:", "socket:"):
        h.want(2, *RUN, "--serial", target, err="target")
    h.want(2, "run", "--headless", "--memory", "2G", "--cdrom", "", err="nothing to boot")
    assert os.listdir(h.base + "/run/terrarium") == [], "a throw-away machine left something behind"


def test_run_output(h):
    """Nothing is lost on a slow pipe, as far as the bounded queue goes, and it all arrives before the end."""
    out = h.want(0, *RUN, stdin=b"flood 640000\noff\n")
    assert len(out) == 640000 + len("test guest ready\r\n"), len(out)
    log = h.base + "/serial.log"
    h.want(5, *RUN, "--set", "serial1.target=file:" + log, "--timeout", "0.3", stdin=b"")
    with open(log, "rb") as f:
        assert f.read() == b"test guest ready\r\n"


def test_run_reader_gone(h):
    """When nobody reads the output any more the machine runs on, without turning in circles."""
    p = subprocess.Popen([VMCTL, *RUN], env=h.env, stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert p.stdout.readline() == b"test guest ready\r\n"
    p.stdout.close()
    name = h.out("list", "-o", "name").strip()
    pid = json.loads(h.out("info", name, "-o", "json"))["running"]["pid"]

    def ticks():
        with open(f"/proc/{pid}/stat") as f:
            return sum(int(n) for n in f.read().rsplit(")", 1)[1].split()[11:13])
    p.stdin.write(b"hello\n")
    p.stdin.flush()
    h.want(0, "wait", name, "--serial", "hello", "--timeout", "5")
    before = ticks()
    time.sleep(0.5)
    assert ticks() - before < 10, f"{ticks() - before} clock ticks for doing nothing"
    p.stdin.write(b"off\n")
    p.stdin.close()
    assert p.wait(timeout=10) == 0


def test_run_signals(h):
    for sig in (signal.SIGTERM, signal.SIGINT):
        p = subprocess.Popen([VMCTL, *RUN], env=h.env, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert p.stdout.readline() == b"test guest ready\r\n"
        p.send_signal(sig)
        p.communicate(timeout=10)
        assert p.returncode == 20, p.returncode
    p = subprocess.Popen([VMCTL, *RUN], env=h.env, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    p.stdout.readline()
    assert h.out("list", "-o", "name").startswith("run-")
    p.kill()  # the VM process goes too, and the next run clears up
    end = time.time() + 5
    while h.out("list", "-o", "name") and time.time() < end:
        time.sleep(0.05)
    assert h.out("list", "-o", "name") == ""
    p.communicate()
    h.want(0, *RUN, stdin=b"off\n")
    assert os.listdir(h.base + "/run/terrarium") == []


def test_terminal(h):
    """On a terminal: raw while it runs, Ctrl-C goes to the guest, Ctrl-A x ends it, cooked again after."""
    import termios
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    p = subprocess.Popen(["setsid", "--ctty", "--wait", VMCTL, *RUN], env=h.env,
                         stdin=slave, stdout=slave, stderr=slave)
    seen = b""
    while b"ready" not in seen:
        seen += os.read(master, 1000)
    assert not termios.tcgetattr(slave)[3] & (termios.ICANON | termios.ISIG | termios.ECHO)
    os.write(master, b"\x03abc\r")
    while b"abc" not in seen:
        seen += os.read(master, 1000)
    os.write(master, b"\x01x")
    assert p.wait(timeout=10) == 20, p.returncode
    assert termios.tcgetattr(slave) == before, "the terminal is left raw"
    os.close(master)
    os.close(slave)


def test_pty_and_socket(h):
    import socket
    h.want(0, "create", "m", "--serial", "pty")
    h.want(0, "start", "m")
    fd = os.open(h.base + "/run/terrarium/m/serial1", os.O_RDWR | os.O_NOCTTY)
    seen = b""
    while b"ready" not in seen:
        seen += os.read(fd, 100)
    os.write(fd, b"over the pty\n")
    while b"over the pty\r\n" not in seen:
        seen += os.read(fd, 100)
    os.close(fd)
    h.want(0, "stop", "--force", "m")
    assert not os.path.lexists(h.base + "/run/terrarium/m/serial1")
    h.want(0, "set", "m", "serial1.target=socket:line")
    h.want(0, "start", "m")
    path = h.base + "/data/terrarium/machines/m/line"
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(path)
        s.sendall(b"over the socket\n")
        seen = b""
        while b"over the socket\r\n" not in seen:
            seen += s.recv(100)
    h.want(0, "stop", "--force", "m")
    assert not os.path.exists(path)


def test_fenced(h):
    """In the jail: no writing outside of the machine, no new processes, no network."""
    h.want(0, "create", "m")
    h.want(0, "start", "m")
    pid = json.loads(h.out("info", "m", "-o", "json"))["running"]["pid"]
    with open(f"/proc/{pid}/status") as f:
        status = f.read()
    assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status, status


def test_usb(h):
    """Sticks come and go in the places that a machine has for them; who was made without USB has none."""
    h.want(0, "create", "plain")
    h.want(0, "start", "plain")
    assert h.want(0, "usb", "list", "plain") == "", "it has USB"
    h.want(0, "create", "m", "--os", "linux")
    with open(h.base + "/stick", "wb") as f:
        f.truncate(1 << 20)
    h.want(4, "usb", "list", "m", err="not running")
    h.want(0, "start", "m")
    h.want(0, "usb", "list", "m", out="usb1   tablet    high    plugged")
    assert h.want(0, "usb", "attach", "m", "--storage", h.base + "/stick", "--format", "raw") == "usb2\n"
    listed = json.loads(h.want(0, "usb", "list", "m", "-o", "json"))["devices"]
    assert [(d["section"], d["plugged"], d.get("speed")) for d in listed] == [
        ("usb1", True, "high"), ("usb2", True, "super"), ("usb3", False, None)], listed
    assert listed[1]["file"] == h.base + "/stick", listed
    h.want(1, "usb", "attach", "m", "--storage", h.base + "/stick", "--format", "raw", err="in use by another")
    with open(h.base + "/other", "wb") as f:
        f.truncate(1 << 20)
    assert h.want(0, "usb", "attach", "m", "-s", h.base + "/other", "--format", "raw", "--readonly") == "usb3\n"
    h.want(4, "usb", "attach", "m", "--storage", h.base + "/other", err="no free place for a stick")
    h.want(0, "usb", "detach", "m", "usb2")
    h.want(4, "usb", "detach", "m", "usb2", err="there is no stick in usb2")
    h.want(4, "usb", "detach", "m", "usb1", err="there is no stick in usb1")
    h.want(2, "usb", "attach", "m", err="usage: vmctl usb")


def test_fence_and_chains(h):
    """What an image of machine.ini builds upon may be read, wherever it is; what else there is may not."""
    for name in ("a", "b"):
        os.mkdir(f"{h.base}/{name}")
        h.want(0, "disk", "create", f"{h.base}/{name}/base.qcow2", "1440K")
        h.want(0, "disk", "create", f"{h.base}/{name}.qcow2", "--backing", f"{h.base}/{name}/base.qcow2")
    h.want(0, "create", "m", "--floppy", h.base + "/a.qcow2")
    h.want(0, "set", "m", "floppy0.format=qcow2")
    h.want(0, "start", "m")
    drives = json.loads(h.want(0, "media", "list", "m", "-o", "json"))["drives"]
    assert drives[0]["bytes"] == 1440 << 10, drives
    h.want(1, "media", "insert", "m", h.base + "/b.qcow2", err="may read only what it was started with")
    h.want(0, "media", "insert", "m", h.base + "/a.qcow2")


def test_fence_and_extents(h):
    """The other files of an image may be written; and who builds upon it is seen, wherever they are.  (One that
    cannot be written is read-only.)"""
    disks = [("a.vmdk", "subformat=twoGbMaxExtentSparse"), ("b.vmdk", "subformat=monolithicFlat"),
             ("c.qcow2", "data_file=c.raw")]
    for name, option in disks:
        h.want(0, "disk", "create", f"{h.base}/{name}", "1440K", "--option", option)
        h.want(0, "create", name[0], "--floppy", f"{h.base}/{name}", "--set", "floppy0.format=" + name[2:])
        h.want(0, "start", name[0])
        drives = json.loads(h.want(0, "media", "list", name[0], "-o", "json"))["drives"]
        assert drives[0]["bytes"] == 1440 << 10 and not drives[0]["readonly"], drives
        h.want(0, "stop", "--force", name[0])
    h.want(0, "disk", "clone", "--linked", h.base + "/c.qcow2", h.base + "/d.vdi")
    h.want(0, "delete", "c")
    h.want(0, "create", "c", "--disk", h.base + "/c.qcow2")
    h.want(9, "start", "c", err="c.qcow2 is the parent of " + h.base + "/d.vdi")
    h.want(0, "set", "c", "ide0.readonly=on")
    h.want(0, "start", "c")


def test_format_of_disk(h):
    """By the name; else as told; else by the contents, if they lead nowhere else."""
    h.want(0, "disk", "create", h.base + "/cloud.img", "1M", "-O", "qcow2")
    h.want(0, "disk", "create", h.base + "/child.img", "-O", "qcow2", "--backing", h.base + "/cloud.img", "-F", "qcow2")
    shutil.copy(h.base + "/cloud.img", h.base + "/wrong.raw")
    with open(h.base + "/packed", "wb") as f:
        f.write(b"PK\3\4" + bytes(9999))
    h.want(0, "create", "a", "--disk", h.base + "/cloud.img", err="is a qcow2 image")
    h.want(0, "create", "b", "--disk", h.base + "/cloud.img", "--disk-format", "raw")
    h.want(0, "create", "c", "--disk", h.base + "/wrong.raw")
    h.want(2, "create", "d", "--disk", h.base + "/child.img", err="say --disk-format qcow2")
    h.want(0, "create", "d", "--disk", h.base + "/child.img", "--disk-format", "qcow2")
    h.want(1, "create", "e", "--disk", h.base + "/packed", err="is a ZIP archive")
    for name, format in zip("abcd", ("qcow2", "raw", "raw", "qcow2")):
        assert f"format={format}\n" in h.ini(name), h.ini(name)
    h.want(0, "disk", "create", "h.vhd", "8M")
    os.rename(h.base + "/h.vhd", h.base + "/h.vhdx")
    h.want(0, "create", "v", "--disk", "h.vhdx", "--disk-format", "vhd")  # what is said counts for more than the name
    assert "format=vhd\n" in h.ini("v")
    h.want(1, "create", "w", "--disk", "h.vhdx", err="looks like vhd")  # what cannot be started is not made
    h.want(1, "create", "w", "--disk", "cloud.img", "--disk-format", "vdi", err="looks like qcow2")
    h.want(1, "create", "w", "--disk", "h.vhdx", "--disk-format", "vmdk", err="looks like vhd")
    assert h.out("list", "-o", "name").split() == list("abcdv")


def test_image_in_use(h):
    """The message names the machine that has it.  (We pretend to be one.)"""
    h.want(0, "disk", "create", h.base + "/d.qcow2", "1M")
    h.want(0, "create", "m", "--disk", h.base + "/d.qcow2")
    os.symlink(sys.executable, h.base + "/terrarium-vm")
    lock = """import fcntl, struct, sys
f = open("d.qcow2", "r+b")
for at in 101, 103, 201, 203:  # uses, and does not let others use: writing, resizing
    fcntl.fcntl(f, 37, struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, at, 1, 0))  # F_OFD_SETLK
print(flush=True)
sys.stdin.read()"""
    with subprocess.Popen([h.base + "/terrarium-vm", "-c", lock, "--folder", "/machines/first"], cwd=h.base,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as p:
        p.stdout.readline()
        h.want(9, "start", "m", err=f"d.qcow2 is in use by machine first (process {p.pid})")
        h.want(9, "disk", "create", "--force", h.base + "/d.qcow2", "2M", err="is in use by machine first")
        p.stdin.close()
    h.want(0, "start", "m")


def test_host_disk(h):
    """A disk of the host: the fence lets its size be asked for."""
    with open(h.base + "/disk", "wb") as f:
        f.truncate(1 << 20)
    losetup = shutil.which("losetup", path=os.environ.get("PATH", "") + ":/sbin:/usr/sbin") or "false"
    p = subprocess.run([losetup, "--find", "--show", h.base + "/disk"], capture_output=True, text=True, check=False)
    if p.returncode:
        return "needs a loop device: " + p.stderr.strip().split("\n")[0]
    try:
        h.want(0, "create", "m", "--cdrom", p.stdout.strip())
        h.want(0, "start", "m")
        assert json.loads(h.want(0, "media", "list", "m", "-o", "json"))["drives"][0]["bytes"] == 1 << 20
        h.want(0, "stop", "--force", "m")
    finally:
        subprocess.run([losetup, "--detach", p.stdout.strip()], check=True)
    return None


def test_media_from_anywhere(h):
    """The jail keeps the VM process from opening these; vmctl hands them over."""
    h.want(0, "create", "m", "--cdrom", "", "--floppy", "")
    for name in ("a.iso", "w.img", "r.img"):
        with open(f"{h.base}/{name}", "wb") as f:
            f.truncate(1440 << 10)
    os.chmod(h.base + "/r.img", 0o400)
    h.want(0, "start", "m")

    def drives():
        return {d["drive"]: d for d in json.loads(h.want(0, "media", "list", "m", "-o", "json"))["drives"]}

    h.want(2, "media", "insert", "m", "a.iso", err="several removable drives")
    h.want(0, "media", "insert", "m", "a.iso", "--drive", "ide2")
    h.want(0, "media", "insert", "m", "w.img", "--drive", "floppy0")
    now = drives()
    assert now["ide2"]["readonly"] and not now["floppy0"]["readonly"], now
    h.want(1, "media", "insert", "m", "w.img", "--drive", "ide2", err="w.img")
    h.want(0, "media", "insert", "m", "w.img", "--drive", "floppy0")  # again: its own lock is no obstacle
    assert not drives()["floppy0"]["readonly"]
    h.want(0, "media", "eject", "m", "--drive", "floppy0")
    h.want(0, "media", "insert", "m", "w.img", "--drive", "floppy0", "--readonly")
    assert drives()["floppy0"]["readonly"]
    h.want(0, "media", "insert", "m", "r.img", "--drive", "floppy0")
    assert drives()["floppy0"]["file"] == h.base + "/r.img" and (os.geteuid() == 0 or drives()["floppy0"]["readonly"])
    os.mkfifo(h.base + "/pipe")
    h.want(1, "media", "insert", "m", "pipe", "--drive", "floppy0", err="is a pipe, not a disk image")
    h.want(3, "media", "insert", "m", "none.img", "--drive", "floppy0", err="none.img")
    pid = json.loads(h.out("info", "m", "-o", "json"))["running"]["pid"]
    opened = [os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")]
    assert h.base + "/w.img" not in opened and opened.count(h.base + "/r.img") == 1, opened


def test_modules(h):
    """Multiboot's modules lie in the machine's folder, whichever folder vmctl is called in."""
    h.want(0, "create", "m")
    own = h.base + "/data/terrarium/machines/m/"
    head = 0x1BADB002, 0x10000, -0x1BADB002 - 0x10000 & 0xFFFFFFFF, 0x100000, 0x100000, 0, 0, 0x100020
    for name, data in ("kernel", struct.pack("<8I", *head) + b"\xf4" * 100), ("m1", b"one"), ("m2", b"two"):
        with open(own + name, "wb") as f:
            f.write(data)
    h.want(0, "set", "m", "machine.kernel=kernel", f"machine.initrd=m1 a=b, m2,{own}m1")
    h.want(0, "start", "m")
    h.want(0, "stop", "--force", "m")
    h.want(0, "set", "m", "machine.initrd=m1,gone")
    h.want(3, "start", "m", err=own + "gone")


def test_host_info(h):
    info = json.loads(h.want(0, "host-info", "-o", "json"))
    assert info["auto"] == "script" and not info["engines"][0]["usable"]
    h.want(0, "host-info", out="no KVM for a scripted guest")
    h.env["TERRARIUM_VM"] = "/nowhere/terrarium-vm"
    code, unused, err = h.run("host-info")
    assert code != 0 and "/nowhere/terrarium-vm" in err


def test_values_together(h):
    """What a start refuses, create and set refuse too, with the same words."""
    h.want(0, "disk", "create", "a.img", "1M")
    os.symlink("a.img", h.base + "/b.img")
    h.want(0, "create", "m")
    wrong = [(["machine.cpus=3", "machine.sockets=2"], "3 CPUs cannot be spread"), (["machine.cpus=2", "machine.sockets=5"], "2 CPUs cannot be spread"),
             (["serial1.target=stdio", "serial2.target=stdio"], "is the target of [serial1] already"), (["machine.memory=1048577"], "a multiple of 4K"),
             ([f"ide0.file={h.base}/a.img", f"ide1.file={h.base}/b.img"], "is the image of [ide0] already"),
             (["ide0.geometry=0/16/63"], "1-65535/1-255/1-63"), (["ide0.geometry=615/4"], "1-65535/1-255/1-63"), (["ide0.geometry=1/2/+3"], "1-65535"),
             (["video.resolution=1280"], "320-4095x200-4095"), (["video.resolution=1280x80"], "320-4095x200-4095"), (["video.memory=3M"], "a power of two"),
             (["ide0.format=zip"], "one of raw, qcow2")]
    for sets, why in wrong:
        h.want(2, "create", "n", *(w for s in sets for w in ("--set", s)), err=why)
        h.want(2, "set", "m", *sets, err=why)
    assert os.listdir(h.base + "/data" + "/terrarium/machines") == ["m"]
    for sets in (["machine.cpus=6", "machine.sockets=3"], ["machine.cpus=3", "machine.sockets=1"], ["ide0.geometry=615/4/17"], ["video.resolution=1024x768"],
                 [f"ide0.file={h.base}/a.img", f"ide1.file={h.base}/b.img", "ide0.readonly=on", "ide1.media=cdrom"]):
        h.want(0, "set", "m", *sets)
    with open(h.base + "/data" + "/terrarium/machines/m/machine.ini", "a") as f:
        f.write("[serial1]\ntarget=stdio\n[serial2]\ntarget=stdio\n")
    h.want(2, "start", "m", err="is the target of [serial1] already")
    h.want(0, "set", "m", "--unset", "serial2")


def test_start_in_time(h):
    """A VM process that is never ready, or talks and talks, does not hold vmctl up, and is not left behind."""
    h.want(0, "create", "m")
    h.env["TERRARIUM_VM"] = h.base + "/vm"
    for does in ("", "while echo -n x >&3; do sleep .05; done; "):
        with open(h.base + "/vm", "w") as f:
            f.write(f"#!/bin/sh\necho $$ >'{h.base}/pid'\n{does}exec sleep 60\n")
        os.chmod(h.base + "/vm", 0o700)
        for verb in (["start", "m", "--timeout", "0.5"], ["run", "--headless", "--timeout", "0.5", "--disk", "m.img"]):
            h.want(0, "disk", "create", "--force", "m.img", "1M")
            h.want(5, *verb, err="the VM process was not ready after 0.5 s and was ended")
            with open(h.base + "/pid") as f:
                assert not os.path.exists("/proc/" + f.read().strip())
    h.want(2, "start", "m", "--timeout", "0", err="more than 0")


def test_output_lost(h):
    """What cannot be written is an error, also for verbs that only show something, and for their help."""
    h.want(0, "disk", "create", "a.qcow2", "1M")
    h.want(0, "create", "m")
    lines = (["list"], ["list", "-o", "json"], ["info", "m"], ["disk", "info", "a.qcow2"], ["disk", "map", "a.qcow2", "-o", "json"],
             ["set", "--keys"], ["help"], ["help", "run"], ["list", "--help"], ["disk", "--help"], ["completion", "bash"], ["version"])

    def run(line, **how):
        p = subprocess.run([VMCTL, *line], env=h.env, cwd=h.base, stderr=subprocess.PIPE, timeout=20, check=False, **how)
        assert b"the output cannot be written" in p.stderr, (line, how, p)
        return p.returncode

    read, write = os.pipe()
    os.close(read)
    with open("/dev/full", "wb") as full:
        for line in lines:
            assert run(line, stdout=full) in (1, 8), line  # 1: GLib prints help, and does not say why it fails
            assert run(line, stdout=write) == 1, line
            assert run(line, preexec_fn=lambda: os.close(1)) == 1, line
    os.close(write)
    h.want(0, "start", "m")
    with open("/dev/full", "wb") as full:
        h.want(0, "serial", "m", "--send", "x\n")
        assert run(["serial", "m", "--tail"], stdout=full) == 8
        assert run(["logs", "m"], stdout=full) in (1, 8)


def test_closed_descriptors(h):
    """A message never lands in an image that was opened as descriptor 1 or 2."""
    with open(h.base + "/d.raw", "wb") as f:
        f.write(bytes(range(256)) * 8192)
    h.want(0, "disk", "convert", "d.raw", "w.qcow2")
    with open(h.base + "/w.qcow2", "rb") as f:
        want = f.read()

    def closing(*fds):
        return lambda: [os.close(n) for n in fds]

    how = {"env": h.env, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "timeout": 20, "check": False}
    for fds in ((0,), (1,), (2,), (1, 2), (0, 1, 2)):
        for line in (["disk", "check", "--repair", "w.qcow2"], ["disk", "resize", "w.qcow2", "nonsense"]):
            subprocess.run([VMCTL, *line], preexec_fn=closing(*fds), cwd=h.base, **how)
        with open(h.base + "/w.qcow2", "rb") as f:
            assert f.read() == want, f"without {fds} something was written into the image"
        subprocess.run([VM, "--folder", h.base + "/none"], preexec_fn=closing(*fds), **how)
    h.want(0, "create", "m", "--floppy", "d.raw")
    p = subprocess.Popen([VM, "--folder", h.base + "/data/terrarium/machines/m", "--foreground"], env=h.env, preexec_fn=closing(0, 1, 2))
    until_it_runs(h)
    opened = [os.readlink(f"/proc/{p.pid}/fd/{n}") for n in range(3)]
    assert all(o == "/dev/null" or o.endswith("vm.log") for o in opened), opened  # and not the image
    h.want(0, "stop", "--force", "m")
    p.wait(timeout=10)


def test_file_size_limit(h):
    """A limit on the size of files is an error of writing, and kills nobody."""
    import resource
    h.want(0, "create", "m", "--serial", "log.txt")
    h.want(0, "start", "m")
    pid = json.loads(h.out("info", "m", "-o", "json"))["running"]["pid"]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (40000, 40000))  # now: the guest's memory is a file too
    h.want(0, "serial", "m", "--send", "flood 200000\n")
    h.want(0, "serial", "m", "--send", "hello\n")
    h.want(0, "wait", "m", "--serial", "hello", "--timeout", "5")
    assert os.stat(h.base + "/log.txt").st_size == 40000
    p = subprocess.run([VMCTL, "disk", "create", "a.vhd", "1M", "--fixed"], env=h.env, capture_output=True, timeout=20,
                       cwd=h.base, check=False, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40000, 40000)))
    assert p.returncode == 1 and b"File too large" in p.stderr, p
    assert "a.vhd" not in os.listdir(h.base)


def test_bounded_file(h):
    """A file with a limit keeps the last that was written."""
    h.want(0, "create", "m", "--serial", "log.txt")
    h.want(0, "start", "m")
    h.want(0, "serial", "m", "--send", "limit 20000\n")
    for unused in range(5):
        h.want(0, "serial", "m", "--send", "flood 80000\n")
    h.want(0, "serial", "m", "--send", "the end\n")
    h.want(0, "wait", "m", "--serial", "the end", "--timeout", "5")
    h.want(0, "stop", "--force", "m")
    with open(h.base + "/log.txt", "rb") as f:
        text = f.read()
    assert 10000 <= len(text) <= 20000 and text.endswith(b"fl\r\nthe end\r\n"), (len(text), text[-100:])


def test_graphics(h):
    """Where there is no text, nobody waits for it without a word."""
    h.want(0, "create", "m")
    h.want(0, "start", "m")
    h.want(0, "serial", "m", "--send", "mode 64\n")
    h.want(0, "wait", "m", "--serial", "mode 64\r\n", "--timeout", "5")
    h.want(4, "screen", "text", "m", err="nomodeset")
    h.want(5, "wait", "m", "--screen", "never", "--timeout", "0.5", err="graphics mode")
    h.want(0, "serial", "m", "--send", "text\n")
    h.want(5, "wait", "m", "--screen", "never", "--timeout", "0.5", err="did not happen in time\n")
    h.want(0, "wait", "m", "--screen", "GRUB", "--timeout", "5")


def test_plug(h):
    """A card comes and goes: with a guest that lets go of it, with one that does not."""
    h.want(0, "create", "m")
    h.want(4, "plug", "m", "testpci1", err="is not running")
    h.want(0, "start", "m")
    h.want(0, "wait", "m", "--serial", "guest ready", "--timeout", "5")
    h.want(0, "plug", "m", "testpci1")
    h.want(0, "wait", "m", "--serial", "came 10000000", "--timeout", "5")
    h.want(4, "plug", "m", "testpci1", err="plugged in already")
    h.want(2, "plug", "m", "testpci2", "slot=28", err="PCI slot 28 is testpci1's")
    h.want(2, "plug", "m", "testpci2", "modle=edu", err="did you mean model?")
    h.want(2, "plug", "m", "testpci2", "model=ude", err="one of edu")
    h.want(2, "plug", "m", "testpci2", "edu", err="not KEY=VALUE")
    h.want(2, "plug", "m", "serial2", err="no PCI function")
    h.want(4, "unplug", "m", "video", err="soldered to the board")
    h.want(4, "unplug", "m", "testpci2", err="not plugged in")
    h.want(0, "unplug", "m", "testpci1")
    h.want(4, "unplug", "m", "testpci1", err="not plugged in")
    h.want(0, "plug", "m", "testpci2", "model=edu-msix", "slot=9")
    h.want(0, "wait", "m", "--serial", "came 200\r\n", "--timeout", "5")
    h.want(0, "serial", "m", "--send", r"stubborn\n")
    h.want(5, "unplug", "m", "testpci2", "--timeout", "0.3", err="has not let go of [testpci2] in time")
    h.want(0, "unplug", "m", "testpci2", "--force")
    h.want(2, "unplug", "m", "testpci2", "--timeout", "-1", err="seconds from 0")


def test_balloon(h):
    """What a user sees of it; the guest here has no driver."""
    h.want(0, "create", "m")
    h.want(4, "balloon", "m", err="is not running")
    h.want(0, "start", "m")
    h.want(4, "balloon", "m", err="has no balloon")
    h.want(4, "balloon", "m", "16M", err="has no balloon")
    h.want(0, "plug", "m", "balloon")
    h.want(0, "balloon", "m", out="given back     0.0 MiB", err="no driver")
    h.want(0, "balloon", "m", "4M")
    h.want(0, "balloon", "m", out="wanted         4.0 MiB")
    h.want(2, "balloon", "m", "much", err="no size")
    h.want(2, "balloon", "m", "1K", err="a number from 1048576")
    h.want(2, "balloon", "m", "100G", err="cannot be left with more")
    h.want(0, "info", "m", out="memory-on-host   ")
    h.want(0, "unplug", "m", "balloon", "--force")
    h.want(4, "balloon", "m", err="has no balloon")


def test_guestinfo(h):
    h.want(0, "create", "m", "--set", "additions.identity=kvm")
    h.want(0, "create", "n")
    h.want(4, "guestinfo", "m", "k", err="is not running")
    h.want(0, "start", "m")
    h.want(0, "start", "n")
    h.want(4, "guestinfo", "n", "k", err="add a section [additions]")
    h.want(3, "guestinfo", "m", "k", err="guestinfo.k is not set")
    h.want(4, "reset", "m", "--ask", err="no tools of the guest listen")
    h.want(0, "guestinfo", "m", "k", "two words")
    h.want(0, "guestinfo", "m", "k", out="two words\n")
    h.want(0, "guestinfo", "m", "k", "")
    h.want(0, "guestinfo", "m", "k", out="\n")
    h.want(2, "guestinfo", "m", "k" * 257, "v", err="up to 256 bytes")
    h.want(2, "guestinfo", "m", err="vmctl guestinfo")
    h.want(2, "set", "m", "additions.identity=xen", err="auto, vmware, kvm")


def test_folder(h):
    """One that is only in the settings, for the next start, can be taken away while the machine runs."""
    os.mkdir(h.base + "/shared")
    h.want(0, "create", "m")
    h.want(0, "start", "m")
    h.want(4, "folder", "add", "m", "shared", err="has no backdoor")
    h.want(0, "set", "m", "folder1.path=" + h.base + "/shared", "additions.identity=auto")
    h.want(0, "folder", "list", "m", out=h.base + "/shared")
    h.want(0, "folder", "rm", "m", "shared")
    assert h.want(0, "folder", "list", "m") == ""
    h.want(3, "folder", "rm", "m", "shared", err="shares no folder")


def test_changed_parent(h):
    """The reason is said, and not that the fence keeps the file away."""
    os.mkdir(h.base + "/other")
    h.want(0, "disk", "create", "other/base.qcow2", "1440K")
    h.want(0, "disk", "create", "child.qcow2", "--backing", "other/base.qcow2")
    h.want(0, "create", "m", "--floppy", "child.qcow2", "--set", "floppy0.format=qcow2")
    os.utime(h.base + "/other/base.qcow2")
    h.want(1, "start", "m", err="base.qcow2 was changed after")


def test_net(h):
    h.want(0, "net", "create", "lab", "--kind", "natnetwork", "--range", "10.9.0.0/24")
    h.want(7, "net", "create", "lab", err="already")
    h.want(0, "net", "create", "plain")
    listed = {n["name"]: n for n in json.loads(h.want(0, "net", "list", "-o", "json"))["networks"]}
    assert listed["lab"] == {"name": "lab", "kind": "natnetwork", "range": "10.9.0.0/24", "dhcp": True, "members": 0,
                             "defined": True}, listed
    assert listed["plain"]["kind"] == "internal" and not listed["plain"]["dhcp"] and "range" not in listed["plain"]
    for name, more, why in (("../x", (), "no name of a network"), ("", (), "no name"), ("x" * 33, (), "no name"), (".x", (), "no name"),
                            ("n", ("--kind", "bridge"), "internal, natnetwork or hostonly"), ("n", ("--dhcp", "yes"), "on or off"),
                            ("n", ("--range", "10.9.0.1/24"), "a network like"), ("n", ("--range", "x"), "a network like")):
        h.want(2, "net", "create", name, *more, err=why)
    assert h.want(0, "net", "leases", "lab") == ""
    place = os.path.join(h.base, "run/terrarium/.networks/natnetwork/lab")
    os.makedirs(place)
    os.chmod(os.path.join(h.base, "run/terrarium"), 0o700)
    os.chmod(os.path.join(h.base, "run/terrarium/.networks"), 0o700)
    with open(place + "/leases", "w") as f:
        f.write("52:54:00:01:02:03 10.9.0.100 9999999999 box\n52:54:00:01:02:04 10.9.0.101 5 old\n"
                "52:54:00:01:02:05 10.9.0.102 9999999999 \x1b[31m\nnonsense\n52:54:00:01:02:06 10.9.0.300 9999999999 -\n")
    leases = json.loads(h.want(0, "net", "leases", "lab", "-o", "json"))["leases"]
    assert leases == [{"mac": "52:54:00:01:02:03", "address": "10.9.0.100", "until": 9999999999, "host": "box"}], leases
    os.remove(place + "/leases")
    os.mkfifo(place + "/leases")
    assert h.want(0, "net", "leases", "lab") == ""  # nobody waits for it
    h.want(0, "net", "delete", "lab")
    h.want(3, "net", "delete", "lab", err="there is no network lab")
    h.want(0, "create", "m", "--set", "nic1.model=e1000", "--set", "nic1.mode=internal", "--set", "nic1.network=plain")
    h.want(2, "net", err="usage")


def test_version(h):
    assert json.loads(h.want(0, "version", "-o", "json"))["schema"] == 1
    h.want(0, "--version", out="Terrarium")


def test_completion(h):
    for shell, check in (("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "-n"])):
        script = h.want(0, "completion", shell, out="create")
        if shutil.which(shell):
            subprocess.run(check, input=script.encode(), check=True)
    script = h.out("completion", "bash") + 'COMP_WORDS=(vmctl snapshot t) COMP_CWORD=2; _vmctl; echo "${COMPREPLY[@]}"'
    assert subprocess.run(["bash", "-c", script], capture_output=True, text=True).stdout.split() == ["take", "tree", "thin"]
    h.want(2, "completion", "tcsh", err="bash, zsh and fish")


def test_no_permission(h):
    if os.geteuid() == 0:
        return "root may write everywhere"
    os.makedirs(h.base + "/data")
    os.chmod(h.base + "/data", 0o500)
    h.want(6, "create", "m")
    os.chmod(h.base + "/data", 0o700)
    return None


def test_docs(h):
    def page(name):
        with open(os.path.join(ROOT, "docs", name)) as f:
            return f.read()
    guide, man, machine = page("vmctl.md"), page("vmctl.1"), page("machine.md")
    for verb in verbs(h):
        assert f"vmctl {verb}" in guide, f"docs/vmctl.md does not know {verb}"
        assert f".B vmctl {verb}" in man, f"docs/vmctl.1 does not know {verb}"
    for key in re.findall(r"^  ([a-z-]+) ", h.out("set", "--keys"), re.M):
        assert f"`{key}`" in machine, f"docs/machine.md does not know {key}"


def main():
    tests = [(n, f) for n, f in globals().items() if n.startswith("test_")]
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    for number, (name, test) in enumerate(tests, 1):
        try:
            with Host() as h:
                skip = test(h)
            print(f"ok {number} {name[5:]}" + (f" # SKIP {skip}" if skip else ""), flush=True)
        except Exception as e:  # a test that breaks has failed
            failed += 1
            text = f"{type(e).__name__}: {e}"[:3000].replace("\n", "\n# ")
            print(f"not ok {number} {name[5:]}\n# {text}", flush=True)
    return failed > 0


sys.exit(main())
