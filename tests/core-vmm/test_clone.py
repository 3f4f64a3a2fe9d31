#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vmctl clone, rename, move and snapshot diff: what clones have on their disks (by qemu-img), what keeps a linked one's images, and clones that are
killed at random, after which there is a whole machine or none.  Prints TAP.
Usage: test_clone.py VMCTL [KILLS]; seed: TEST_SEED in the environment"""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

VMCTL = os.path.abspath(sys.argv[1])
KILLS = int(sys.argv[2]) if len(sys.argv) > 2 else 5
SEED = int(os.environ.get("TEST_SEED", random.randrange(1 << 30)))
UUID = "2b7f3e52-7b1c-4a0e-9d5f-0c8a6f1e2d34"


class Host:
    def __init__(self):
        self.base = tempfile.mkdtemp(prefix="terrarium-clone-")
        os.mkdir(self.base + "/run", 0o700)
        self.env = dict(os.environ, XDG_DATA_HOME=self.base + "/data", XDG_RUNTIME_DIR=self.base + "/run", LC_ALL="C.UTF-8")
        self.machines = self.base + "/data/terrarium/machines/"

    def popen(self, *args):
        return subprocess.Popen([VMCTL, *args], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def want(self, code, *args, err=""):
        p = self.popen(*args)
        out, said = p.communicate(timeout=120)
        assert p.returncode == code, f"vmctl {' '.join(args)}: {p.returncode}, not {code}: {out}{said}"
        assert err in said, f"vmctl {' '.join(args)}: stderr has no {err!r}: {said!r}"
        return out

    def tool(self, *args):
        p = subprocess.run(args, capture_output=True, text=True, timeout=120, check=False)
        assert p.returncode == 0, f"{' '.join(args)}: {p.stdout}{p.stderr}"
        return p.stdout

    def settings(self, name):
        return json.loads(self.want(0, "info", name, "-o", "json"))["settings"]

    def disk(self, name, section):
        s = self.settings(name)[section]
        return os.path.join(self.machines + name, s["file"]), s.get("format")

    def write(self, name, section, value, where=0):
        path, form = self.disk(name, section)
        self.tool("qemu-io", "-f", form, "-c", f"write -P {value} {where}k 64k", path)

    def raw(self, name, section, to):
        path, form = self.disk(name, section)
        self.tool("qemu-img", "convert", "-f", form, "-O", "raw", path, f"{self.base}/{to}")
        with open(f"{self.base}/{to}", "rb") as f:
            return f.read()

    def leftovers(self):
        return [n for n in os.listdir(self.machines) if n.startswith(".")]


def full(h):
    h.want(0, "create", "m", "--disk", "4M", "--disk-format", "vdi", "--disk", "2M", "--nic", "e1000", "--set", f"machine.uuid={UUID}",
           "--set", "machine.name=People's")
    for value, section in ((1, "ide0"), (2, "ide1")):
        h.write("m", section, value)
    h.want(0, "clone", "m", "full")
    source, clone = h.settings("m"), h.settings("full")
    assert clone["machine"].get("name") is None, clone
    assert clone["machine"]["uuid"] != UUID and clone["nic1"]["mac"] != source["nic1"]["mac"], clone
    for section in ("ide0", "ide1"):
        assert h.raw("m", section, "a") == h.raw("full", section, "b"), section
    assert h.disk("full", "ide0")[1] == "vdi"
    h.write("m", "ide0", 3)
    assert h.raw("m", "ide0", "a") != h.raw("full", "ide0", "b")
    h.want(0, "clone", "m", "same", "--keep-macs", "--keep-uuid")
    same = h.settings("same")
    assert same["machine"]["uuid"] == UUID and same["nic1"]["mac"] == source["nic1"]["mac"], same
    h.want(7, "clone", "m", "same", err="there is a machine same already")
    h.want(3, "clone", "m", "new", "--snapshot", "x", err="no snapshot x")
    h.want(2, "clone", "m", "../x")


def snapshot(h):
    before = h.raw("m", "ide0", "a")
    h.want(0, "snapshot", "take", "m", "s1")
    h.write("m", "ide0", 9)
    h.want(0, "clone", "m", "old", "--snapshot", "s1")
    assert h.raw("old", "ide0", "b") == before
    h.want(0, "clone", "m", "now")
    assert h.raw("now", "ide0", "b") == h.raw("m", "ide0", "a") != before
    assert "backing" not in h.tool("qemu-img", "info", h.disk("now", "ide0")[0])


def linked(h):
    h.want(0, "clone", "m", "l1", "--linked", err="a new snapshot")
    h.want(0, "clone", "m", "l2", "--linked", "--snapshot", "s1")
    shows = {n: h.raw(n, "ide0", "a") for n in ("m", "l1", "l2")}
    assert shows["l1"] == shows["m"] != shows["l2"]
    h.write("l1", "ide0", 5, 128)
    shows["l1"] = h.raw("l1", "ide0", "a")
    h.want(9, "delete", "m", err="needs a disk image of m")
    h.want(9, "rename", "m", "q", err="cannot have another name")
    h.write("m", "ide0", 6, 256)
    shows["m"] = h.raw("m", "ide0", "a")
    for number in re.findall(r"(?m)^(\d+) ", h.want(0, "snapshot", "list", "m")):
        h.want(0, "snapshot", "delete", "m", number, err="needs it")
    for name, data in shows.items():
        assert h.raw(name, "ide0", "b") == data, f"{name} shows something else after the snapshots were deleted"
    h.want(0, "snapshot", "take", "l1", "a")  # its present has no image of m's name, its snapshots do
    h.want(0, "set", "l1", "--unset", "ide0", "--unset", "ide1")
    h.want(0, "delete", "l2")
    h.want(9, "delete", "m", err="l1 needs a disk image of m")
    h.want(0, "delete", "l1")
    h.want(0, "rename", "m", "q")
    assert h.raw("q", "ide0", "b") == shows["m"]
    h.want(0, "rename", "q", "m")


def unreadable(h):
    """Whoever cannot be read may need it."""
    h.want(0, "create", "base", "--disk", "4M", "--disk-format", "qcow2")
    h.want(0, "clone", "base", "c1", "--linked")
    h.want(0, "clone", "c1", "c2", "--linked")
    lowest = os.path.join(h.machines, "base/disk.qcow2")
    os.rename(lowest, lowest + ".away")  # a disk that is not there just now
    h.want(9, "delete", "c1", err="c2 needs a disk image of c1")
    os.rename(lowest + ".away", lowest)
    for name in ("c2/machine.ini", "c1/snapshots/record.json"):
        with open(h.machines + name, encoding="utf-8") as f:
            text = f.read()
        with open(h.machines + name, "w", encoding="utf-8") as f:
            f.write("[[[")
        h.want(0, "create", "alone")
        h.want(9, "delete", "alone", err=f"perhaps {name[:2]} needs")
        with open(h.machines + name, "w", encoding="utf-8") as f:
            f.write(text)
        h.want(0, "delete", "alone")
    for name in ("c2", "c1", "base"):
        h.want(0, "delete", name)


def modules(h):
    """Of Multiboot: those in the folder are copied."""
    h.want(0, "create", "mb", "--disk", "2M")
    for name in ("kernel", "m1", "m2"):
        with open(h.machines + "mb/" + name, "w", encoding="utf-8") as f:
            f.write(name)
    h.want(0, "set", "mb", "machine.kernel=kernel", f"machine.initrd=m1 a=b,{h.base}/raw,m2")
    h.want(0, "clone", "mb", "mb2")
    parts = h.settings("mb2")["machine"]["initrd"].split(",")
    assert parts == ["machine-m1 a=b", h.base + "/raw", "machine-m2"], parts
    with open(h.machines + "mb2/machine-m2", encoding="utf-8") as f:
        assert f.read() == "m2"


def files(h):
    """What lies in the folder is copied, what lies elsewhere is for both."""
    for name in (h.base + "/cd.iso", h.machines + "m/own.iso"):
        with open(name, "wb") as f:
            f.write(os.urandom(4096))
    h.want(0, "set", "m", "ide2.media=cdrom", "ide2.file=own.iso", "ide3.media=cdrom", f"ide3.file={h.base}/cd.iso")
    h.want(0, "clone", "m", "files")
    assert h.disk("files", "ide3")[0] == h.base + "/cd.iso"
    with open(h.disk("files", "ide2")[0], "rb") as a, open(h.machines + "m/own.iso", "rb") as b:
        assert a.name.startswith(h.machines + "files/") and a.read() == b.read()
    os.remove(h.disk("m", "ide1")[0])
    h.want(3, "clone", "m", "broken")
    assert not os.path.exists(h.machines + "broken") and not h.leftovers()


def differences(h):
    """Areas beside those where the disks really differ."""
    h.want(0, "create", "d", "--disk", "8M", "--disk", "2M")
    h.write("d", "ide0", 1)
    h.want(0, "snapshot", "take", "d", "a")
    for where in (1024, 1088, 4096):
        h.write("d", "ide0", 2, where)
    h.want(0, "set", "d", "machine.memory=2G", "nic1.connected=off", "--unset", "nic1.mac")
    h.want(0, "snapshot", "take", "d", "b")
    h.write("d", "ide0", 3, 6144)
    h.want(0, "set", "d", "sata0.file=" + h.disk("m", "ide0")[0])

    def diff(*which):
        d = json.loads(h.want(0, "snapshot", "diff", "d", *which, "-o", "json"))
        disks = {x["drive"]: x.get("only-in") or [(a["offset"] >> 10, a["bytes"] >> 10) for a in x["areas"]] for x in d["disks"]}
        return {x["key"]: (x.get("first"), x.get("second")) for x in d["settings"]}, disks
    settings, disks = diff("a", "b")
    assert settings.pop("nic1.mac")[1] is None
    assert settings == {"machine.memory": ("1G", "2G"), "nic1.connected": (None, "off")}, settings
    assert disks == {"ide0": [(1024, 128), (4096, 64)], "ide1": []}, disks
    assert diff("b", "a")[1] == disks
    settings, disks = diff("b")
    assert list(settings) == ["sata0.file"] and disks == {"ide0": [(6144, 64)], "ide1": [], "sata0": "second"}, (settings, disks)
    assert diff("a")[1]["ide0"] == [(1024, 128), (4096, 64), (6144, 64)]
    assert diff("b", "b") == ({}, {})
    h.want(0, "snapshot", "restore", "d", "a")
    assert diff("b")[1]["ide0"] == [(1024, 128), (4096, 64)] and diff("a")[1] == {"ide0": [], "ide1": []}
    h.want(3, "snapshot", "diff", "d", "a", "c", err="no snapshot c")
    h.want(2, "snapshot", "diff", "d", err="usage")
    h.want(2, "snapshot", "restore", "d", "a", "b", err="usage")


def moving(h):
    to = h.base + "/large"
    h.want(0, "create", "v", "--disk", "8M", "--disk-format", "qcow2", "--disk", "2M")
    h.write("v", "ide0", 7)
    shows = h.raw("v", "ide0", "a")
    h.want(3, "move", "v", to, err="no such folder")
    os.mkdir(to)
    with open(to + "/v-ide1.qcow2", "wb"):
        h.want(7, "move", "v", to, err="exists already")
    os.remove(to + "/v-ide1.qcow2")
    h.want(0, "move", "v", to)
    assert h.disk("v", "ide0") == (to + "/v-ide0.qcow2", "qcow2") and h.raw("v", "ide0", "b") == shows
    assert sorted(os.listdir(to)) == ["v-ide0.qcow2", "v-ide1.qcow2"] and set(os.listdir(h.machines + "v")) <= {"machine.ini", "lock"}, os.listdir(h.machines + "v")
    os.mkdir(h.base + "/other")
    h.want(0, "clone", "v", "v2", "--linked")
    h.want(1, "move", "v", h.base + "/other", err="belong to snapshots")
    h.want(1, "move", "v2", h.base + "/other", err="builds upon")
    assert not os.listdir(h.base + "/other")


def kill(h, seed):
    rng = random.Random(seed)
    h.want(0, "create", "big", "--disk", "32M", "--disk-format", "qcow2")
    h.tool("qemu-io", "-f", "qcow2", "-c", "write -P 7 0 24M", h.disk("big", "ide0")[0])
    shows, took, killed = h.raw("big", "ide0", "a"), 0.3, 0
    while killed < KILLS:
        words = ["clone", "big", "c"] + rng.choice([[], ["--linked"]])
        begin, p = time.monotonic(), h.popen(*words)
        time.sleep(rng.random() * took)
        p.send_signal(rng.choice([signal.SIGKILL, signal.SIGTERM]))
        p.communicate(timeout=60)
        killed += p.returncode != 0
        took = took * 1.02 if p.returncode else 0.8 * took + 0.2 * (time.monotonic() - begin)
        there = "c" in h.want(0, "list", "-o", "name").split()
        if there:
            assert h.raw("c", "ide0", "b") == shows, "a clone that differs"
            h.want(0, "delete", "c")
        assert not h.leftovers() and h.raw("big", "ide0", "b") == shows
        for number in re.findall(r"(?m)^(\d+) ", h.want(0, "snapshot", "list", "big")):
            h.want(0, "snapshot", "delete", "big", number)


def main():
    h, failed = Host(), 0
    parts = [full, snapshot, linked, unreadable, modules, files, differences, moving, lambda host: kill(host, SEED)]
    names = ["full clones", "clones of a snapshot", "linked clones", "what cannot be read", "modules", "other files", "differences of snapshots", "moved disks", "killed"]
    print(f"1..{len(parts)}\n# TEST_SEED={SEED}", flush=True)
    for n, (part, name) in enumerate(zip(parts, names), 1):
        try:
            part(h)
            print(f"ok {n} {name}", flush=True)
        except (AssertionError, OSError, KeyError, ValueError) as e:
            failed += 1
            print(f"not ok {n} {name}\n# " + str(e).replace("\n", "\n# "), flush=True)
    shutil.rmtree(h.base)
    return 1 if failed else 0


sys.exit(main())
