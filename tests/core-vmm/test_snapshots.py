#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Snapshots beside a model.  Two disks are written to (qemu-io), snapshots taken, restored, deleted, edited at random; then what
every snapshot and the present have (by qemu-img) is what the model says.  With kill, verbs are killed (SIGKILL) at random
instants: then all is as before the verb or as after it.  With cases, one thing after the other that must not lose anything.
Prints TAP.  Usage: test_snapshots.py VMCTL model|kill|cases [STEPS]; seed: TEST_SEED in the environment"""
import copy
import hashlib
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

VMCTL, KIND = os.path.abspath(sys.argv[1]), sys.argv[2]
STEPS = int(sys.argv[3]) if len(sys.argv) > 3 else 60
SEED = int(os.environ.get("TEST_SEED", random.randrange(1 << 30)))
BLOCK, BLOCKS = 65536, 40
DISKS = {"ide0": "raw", "ide1": "qcow2"}
LIMIT = 7  # snapshots at a time: more of them are deleted then


class Point:
    """What a snapshot or the present has."""

    def __init__(self):
        self.disks = {d: [0] * BLOCKS for d in DISKS}
        self.memory = "64M"

    def sum(self, disk):
        h = hashlib.sha256()
        for value in self.disks[disk]:
            h.update(bytes([value]) * BLOCK)
        return h.hexdigest()


class Model:
    def __init__(self):
        self.present, self.current, self.points, self.parents = Point(), 0, {}, {}

    def take(self, number):
        self.points[number] = copy.deepcopy(self.present)
        self.parents[number] = self.current
        self.current = number

    def restore(self, number):
        self.present, self.current = copy.deepcopy(self.points[number]), number

    def delete(self, number):
        parent = self.parents.pop(number)
        del self.points[number]
        self.parents = {n: parent if p == number else p for n, p in self.parents.items()}
        self.current = parent if self.current == number else self.current

    def shape(self):
        return self.current, dict(self.parents)


class Host:
    def __init__(self):
        self.base = tempfile.mkdtemp(prefix="terrarium-snapshots-")
        os.mkdir(self.base + "/run", 0o700)
        self.env = dict(os.environ, XDG_DATA_HOME=self.base + "/data", XDG_RUNTIME_DIR=self.base + "/run", LC_ALL="C.UTF-8")
        self.folder = self.base + "/data/terrarium/machines/m"
        self.took = {}

    def popen(self, *args):
        return subprocess.Popen([VMCTL, *args], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def want(self, *args, code=0, err=""):
        p = self.popen(*args)
        out, said = p.communicate(timeout=120)
        assert p.returncode == code, f"vmctl {' '.join(args)}: {p.returncode}: {out}{said}"
        assert err in said, f"vmctl {' '.join(args)}: stderr has no {err!r}: {said!r}"
        return out

    def tool(self, *args, good=(0,)):
        p = subprocess.run(args, capture_output=True, text=True, timeout=120, check=False)
        assert p.returncode in good, f"{' '.join(args)}: {p.stdout}{p.stderr}"
        return p.stdout

    def settings(self):
        return json.loads(self.want("info", "m", "-o", "json"))["settings"]

    def path(self, file):
        return os.path.join(self.folder, file)

    def record(self):
        with open(self.path("snapshots/record.json"), encoding="utf-8") as f:
            return json.load(f)

    def sum(self, file, form):
        raw = self.base + "/raw"
        self.tool("qemu-img", "convert", "-f", form, "-O", "raw", self.path(file), raw)
        with open(raw, "rb") as f:
            return hashlib.sha256(f.read()).hexdigest()

    def raw_sum(self, file):
        """As vmctl reads it, which is strict with what an image builds upon."""
        raw = self.base + "/raw"
        self.want("disk", "convert", self.path(file), raw, "-O", "raw", "--force", "-q")
        with open(raw, "rb") as f:
            return hashlib.sha256(f.read()).hexdigest()

    def write(self, rng, point):
        """In what the present writes to."""
        for disk in DISKS:
            s, commands = self.settings()[disk], []
            for unused in range(rng.randint(0, 5)):
                at, value = rng.randrange(BLOCKS), rng.choice([0, rng.randrange(1, 256)])
                point.disks[disk][at] = value
                how = f"-P {value}" if value else rng.choice(["-P 0", "-z"])
                commands += ["-c", f"write {how} {at * BLOCK} {BLOCK}"]
            if commands:
                self.tool("qemu-io", "-f", s["format"], *commands, self.path(s["file"]))


def compare(h, model):
    listed = json.loads(h.want("snapshot", "list", "m", "-o", "json"))["snapshots"]
    shape = (next((s["id"] for s in listed if s["current"]), 0), {s["id"]: s.get("parent", 0) for s in listed})
    assert shape == model.shape(), f"the tree is {shape}, and was to be {model.shape()}"
    settings = h.settings()
    assert settings["machine"]["memory"] == model.present.memory, settings["machine"]
    for disk in DISKS:
        s = settings[disk]
        assert h.sum(s["file"], s["format"]) == model.present.sum(disk), f"the present's {disk} ({s['file']}) is another"
    record = h.record() if listed else {"snapshots": [], "images": []}
    forms = {i["file"]: i["format"] for i in record["images"]}
    for s in record["snapshots"]:
        for d in s["disks"]:
            assert h.sum(d["file"], forms[d["file"]]) == model.points[s["id"]].sum(d["drive"]), \
                f"{d['drive']} ({d['file']}) of snapshot {s['id']} is another"
    h.want("snapshot", "verify", "m")
    for file, form in forms.items():
        if form == "qcow2":  # what a killed merge leaves may have leaks, code 3, which are no damage
            h.tool("qemu-img", "check", h.path(file), good=(0, 3) if KIND == "kill" else (0,))
    there = {n for n in os.listdir(h.path("snapshots"))} if listed else set()
    known = {"record.json"} | {os.path.basename(f) for f in forms} | {f"{n}.ini" for n in model.points}
    assert there <= known, f"left over: {there - known}"


def choose(rng, model):
    """A verb, and what it does to the model."""
    number = rng.choice(sorted(model.points)) if model.points else 0
    kind = rng.random()
    if number and (kind < 0.3 or len(model.points) >= LIMIT):
        return ["delete", "m", str(number)], lambda m, id: m.delete(number)
    if number and kind < 0.5:
        return ["restore", "m", str(number)], lambda m, id: m.restore(number)
    return ["take", "m"], lambda m, id: m.take(id)


def step(h, rng, model):
    if rng.random() < 0.2:
        model.present.memory = rng.choice(["32M", "64M", "96M"])
        h.want("set", "m", "machine.memory=" + model.present.memory)
    h.write(rng, model.present)
    words, effect = choose(rng, model)
    out = h.want("snapshot", *words)
    effect(model, int(out) if words[0] == "take" else 0)


def killed_step(h, rng, model):
    """True: the verb was killed before its end."""
    h.write(rng, model.present)
    words, effect = choose(rng, model)
    begin, p = time.monotonic(), h.popen("snapshot", *words)
    took = h.took.setdefault(words[0], 0.3)
    time.sleep(rng.random() * 1.2 * took)
    p.send_signal(signal.SIGKILL)
    p.communicate(timeout=60)
    killed = p.returncode == -signal.SIGKILL
    h.took[words[0]] = min(2, took * 1.02) if killed else took + 0.2 * (time.monotonic() - begin - took)
    h.want("set", "m", "machine.memory=" + model.present.memory)  # whoever reads machine.ini settles it first
    record = h.record() if os.path.exists(h.path("snapshots/record.json")) else {"current": 0, "snapshots": []}
    shape = (record["current"], {s["id"]: s["parent"] for s in record["snapshots"]})
    new = copy.deepcopy(model)
    effect(new, record["current"])
    done = shape == new.shape()
    if words[0] == "restore" and model.current == int(words[2]):  # the same tree: what the present has tells
        s = h.settings()["ide0"]
        done = h.sum(s["file"], s["format"]) == new.present.sum("ide0") and new.present.sum("ide1") == \
            h.sum(h.settings()["ide1"]["file"], h.settings()["ide1"]["format"])
    if done:
        effect(model, record["current"])
        h.want("set", "m", "machine.memory=" + model.present.memory)
    return killed


def in_snapshots(h):
    return sorted(os.listdir(h.path("snapshots")))


def case_record_missing(h):
    """Nothing is removed, and the advice is good."""
    h.want("create", "m", "--disk", "1M", "--disk-format", "raw")
    h.want("snapshot", "take", "m")
    os.remove(h.path("snapshots/record.json"))
    h.want("set", "m", "machine.memory=64M", code=1, err="record.json is missing, and ")
    h.want("start", "m", code=1, err="record.json is missing, and ")
    h.want("snapshot", "list", "m", code=1, err="rename the folder snapshots")
    h.want("snapshot", "take", "m", code=1, err="record.json is missing, and ")
    h.want("delete", "m", "--keep-disks", code=1, err="has snapshots")
    assert in_snapshots(h) == ["1.ini", "ide0-1.qcow2"], in_snapshots(h)
    os.rename(h.path("snapshots"), h.path("before"))
    with open(h.path("machine.ini"), encoding="utf-8") as f:
        text = f.read()
    with open(h.path("machine.ini"), "w", encoding="utf-8") as f:
        f.write(text.replace("=snapshots/", "=before/"))
    h.want("set", "m", "machine.memory=64M")
    h.want("disk", "check", h.path("before/ide0-1.qcow2"))
    h.want("snapshot", "take", "m")


def case_first_take_killed(h):
    """Whatever the first take leaves, nothing is refused afterwards."""
    h.want("create", "m", "--disk", "1M")
    os.mkdir(h.path("snapshots"))
    with open(h.path("snapshots/record.json.ABCDEF"), "w", encoding="utf-8"):
        pass
    h.want("set", "m", "machine.memory=64M")
    assert not in_snapshots(h)
    with open(h.path("snapshots/ide0-1.qcow2"), "w", encoding="utf-8"):
        pass
    with open(h.path("snapshots/record.json"), "w", encoding="utf-8") as f:
        json.dump({"layout": 1, "next": 1, "current": 0, "snapshots": [], "images": []}, f)
    h.want("snapshot", "take", "m")
    h.want("snapshot", "verify", "m")


def case_record_older(h):
    h.want("create", "m", "--disk", "1M", "--disk-format", "raw")
    h.want("snapshot", "take", "m")
    with open(h.path("snapshots/record.json"), encoding="utf-8") as f:
        first = f.read()
    for unused in range(2):
        h.want("snapshot", "take", "m")
    with open(h.path("snapshots/record.json"), encoding="utf-8") as f:
        last = f.read()
    before = in_snapshots(h)
    with open(h.path("snapshots/record.json"), "w", encoding="utf-8") as f:
        f.write(first)
    h.want("set", "m", "machine.memory=64M")
    for verb in (["take", "m"], ["restore", "m", "1"], ["delete", "m", "1"]):
        h.want("snapshot", *verb, code=1, err="record.json is older than ")
    assert in_snapshots(h) == before, in_snapshots(h)
    with open(h.path("snapshots/record.json"), "w", encoding="utf-8") as f:
        f.write(last)
    h.want("snapshot", "verify", "m")
    h.want("snapshot", "delete", "m", "3")
    with open(h.path("snapshots/record.json"), encoding="utf-8") as f:
        record = json.load(f)
    record["images"] = [i for i in record["images"] if i["frozen"]]  # as if it did not know what the present has
    with open(h.path("snapshots/record.json"), "w", encoding="utf-8") as f:
        json.dump(record, f)
    h.want("set", "m", "machine.memory=32M", f"ide0.file={h.path(h.settings()['ide0']['file'])}")
    h.want("set", "m", "machine.memory=64M")
    assert os.path.exists(h.settings()["ide0"]["file"]), "what the present writes to is gone"


def aliases(h):
    """Other names of ide0-1.qcow2."""
    os.symlink("snapshots", h.path("link"))
    return "./snapshots/ide0-1.qcow2", h.path("snapshots/ide0-1.qcow2"), "link/ide0-1.qcow2"


def case_alias_delete(h):
    """An image is the same by any name: merging it does not lose it."""
    h.want("create", "m", "--disk", "1M", "--disk-format", "raw")
    for alias in aliases(h):
        number = h.want("snapshot", "take", "m").strip()
        h.want("set", "m", f"ide0.file={alias.replace('-1.', f'-{number}.')}")
        h.want("snapshot", "delete", "m", number)
        assert h.settings()["ide0"]["file"] == "disk.img", h.settings()["ide0"]
        assert in_snapshots(h) == ["record.json"], in_snapshots(h)


def case_alias_take(h):
    """Nor does going back."""
    h.want("create", "m", "--disk", "1M", "--disk-format", "raw")
    h.want("snapshot", "take", "m", "a")
    for number, alias in enumerate(aliases(h)):
        h.want("set", "m", f"ide0.file={alias}")
        h.want("snapshot", "take", "m", f"b{number}")
        h.want("snapshot", "restore", "m", "a")
        assert "ide0-1.qcow2" in in_snapshots(h)
        h.want("snapshot", "verify", "m")
        h.want("snapshot", "restore", "m", f"b{number}")
        h.want("snapshot", "delete", "m", f"b{number}")
        h.want("snapshot", "verify", "m")
        files = [i["file"] for i in h.record()["images"]]
        assert not [f for f in files if alias in f and alias != "snapshots/ide0-1.qcow2"], files
        h.want("snapshot", "restore", "m", "a")
        if "ide0-1.qcow2" not in in_snapshots(h):
            break


def case_other_machine_needs_it(h):
    """What a snapshot had, and another machine builds upon, stays."""
    h.want("create", "m", "--disk", "1M", "--disk-format", "raw")
    h.want("snapshot", "take", "m", "a")
    h.want("snapshot", "take", "m", "b")
    h.want("snapshot", "restore", "m", "a")
    own = h.base + "/own.qcow2"
    h.want("disk", "create", own, "--backing", h.path("snapshots/ide0-1.qcow2"), "--backing-format", "qcow2")
    h.want("create", "n", "--disk", own)
    h.want("snapshot", "delete", "m", "b", err="ide0-1.qcow2 stays, for n needs it")
    assert "ide0-1.qcow2" in in_snapshots(h)
    h.want("disk", "check", own)
    h.want("delete", "n", "--keep-disks")
    h.want("snapshot", "take", "m", "c")
    h.want("snapshot", "delete", "m", "c")
    assert "ide0-1.qcow2" not in in_snapshots(h)


def case_frozen_was_changed(h):
    """A take does not hide it."""
    h.want("create", "m", "--disk", "1M", "--disk-format", "raw")
    h.want("snapshot", "take", "m")
    h.want("set", "m", "ide0.file=disk.img", "ide0.format=raw")
    h.want("snapshot", "take", "m")
    h.want("snapshot", "verify", "m")
    h.want("set", "m", "ide0.file=disk.img", "ide0.format=raw")
    with open(h.path("disk.img"), "r+b") as f:
        f.write(b"other")
    h.want("snapshot", "take", "m", code=1, err="disk.img was changed since the snapshot was taken")
    h.want("snapshot", "verify", "m", code=1, err="disk.img was changed since the snapshot was taken")


def case_restore_refused(h):
    """Then the present is not kept either."""
    h.want("create", "m", "--disk", "1M", "--disk-format", "raw")
    h.want("snapshot", "take", "m", "x")
    with open(h.path("snapshots/1.ini"), "a", encoding="utf-8") as f:
        f.write("\n")
    before, files = h.record(), in_snapshots(h)
    h.want("snapshot", "restore", "m", "x", "--keep", "y", code=1, err="1.ini was changed")
    assert h.record() == before and in_snapshots(h) == files, in_snapshots(h)


def case_independent(h):
    """A disk that stays out: it is in no snapshot, and as it was when the machine goes back; never one that snapshots have."""
    h.want("create", "m", "--disk", "1M", "--disk", "1M", "--disk-format", "raw", "--disk-bus", "ide")
    own = h.settings()["ide1"]["file"]

    def write(drive, value):
        s = h.settings()[drive]
        h.tool("qemu-io", "-f", s["format"], "-c", f"write -P {value} 0 {BLOCK}", h.path(s["file"]))

    def first(drive):
        s = h.settings()[drive]
        h.tool("qemu-img", "convert", "-f", s["format"], "-O", "raw", h.path(s["file"]), h.base + "/raw")
        with open(h.base + "/raw", "rb") as f:
            return f.read(1)[0]

    write("ide0", 1), write("ide1", 1)
    h.want("set", "m", "ide1.independent=on")
    h.want("snapshot", "take", "m", "one", err="drive ide1 is independent")
    assert h.settings()["ide1"]["file"] == own and [d["drive"] for d in h.record()["snapshots"][0]["disks"]] == ["ide0"]
    assert json.loads(h.want("snapshot", "list", "m", "-o", "json"))["snapshots"][0]["left-out"] == ["ide1"]
    assert "(without ide1)" in h.want("snapshot", "list", "m")
    write("ide0", 2), write("ide1", 2)
    h.want("snapshot", "restore", "m", "one", "--keep", "two")
    assert (first("ide0"), first("ide1")) == (1, 2) and h.settings()["ide1"]["file"] == own
    h.want("clone", "m", "n", "--snapshot", "one", err="drive ide1 stays out of snapshots")
    assert "ide1" not in json.loads(h.want("info", "n", "-o", "json"))["settings"]
    h.want("clone", "m", "o")  # all of the present
    assert "ide1" in json.loads(h.want("info", "o", "-o", "json"))["settings"]
    with open(h.path("saved.state"), "wb"):  # suspended: what the guest knows of the disk would not fit it
        h.want("snapshot", "take", "m", code=1, err="take the snapshot while the machine is off")
    os.unlink(h.path("saved.state"))
    h.want("set", "m", "ide1.independent=off")
    before, files = h.record(), in_snapshots(h)
    h.want("snapshot", "restore", "m", "one", "--keep", "four", code=1, err="which what is kept would have")  # and the guest would write to it
    assert h.record() == before and in_snapshots(h) == files and h.settings()["ide1"]["file"] == own
    h.want("snapshot", "take", "m", "three")
    before, files = h.record(), in_snapshots(h)
    h.want("snapshot", "restore", "m", "one", "--keep", "four", code=1, err="a part of some")  # the guest would write below three
    h.want("set", "m", "ide1.independent=on")
    h.want("snapshot", "take", "m", "five", code=1, err="a part of some")
    h.want("snapshot", "restore", "m", "three", "--keep", "four", code=1, err="a part of some")  # its image would go
    assert h.record() == before and in_snapshots(h) == files and first("ide1") == 2
    h.want("set", "m", "ide1.independent=off")
    h.want("snapshot", "restore", "m", "three")
    h.want("snapshot", "verify", "m")


def case_independent_elsewhere(h):
    """One that stays as it is takes no other disk's place, and is not there twice."""
    h.want("create", "m", *["--disk", "1M"] * 2, "--disk-format", "raw", "--disk-bus", "ide")
    h.want("set", "m", "ide1.independent=on")
    h.want("snapshot", "take", "m", "one", err="drive ide1 is independent")
    own, taken = h.settings()["ide1"]["file"], h.settings()["ide0"]["file"]
    before, files = h.record(), in_snapshots(h)

    def refused(err, code=1):
        at = h.settings()
        for keep in ([], ["--keep", "two"]):
            h.want("snapshot", "restore", "m", "one", *keep, code=code, err=err)
        assert h.record() == before and in_snapshots(h) == files and h.settings() == at

    h.want("set", "m", "ide1.independent=off", f"ide1.file={taken}", "ide1.format=qcow2", f"ide0.file={own}", "ide0.format=raw", "ide0.independent=on")
    refused("was another disk in snapshot 1")
    h.tool("qemu-img", "create", "-q", "-f", "raw", h.path("third.img"), "1M")
    h.want("set", "m", f"ide0.file={taken}", "ide0.format=qcow2", "ide0.independent=off", "ide1.file=third.img", "ide1.format=raw",
           "sata0.format=raw", f"sata0.file={own}", "sata0.independent=on")
    refused("is the image of", code=2)
    h.want("set", "m", "sata0.independent=off")
    h.want("snapshot", "restore", "m", "one")
    assert h.settings()["ide1"]["file"] == own


def case_firmware_and_tpm(h):
    """What UEFI and a TPM remember is a snapshot's too; where there was nothing, there is nothing again."""
    small = {"vars.fd": "vars", "tpm/tpm2-00.permall": "tpm"}

    def write(what):
        for name in small:
            with open(h.path(name), "w", encoding="utf-8") as f:
                f.write(what)

    def read():
        return {open(h.path(name), encoding="utf-8").read() if os.path.exists(h.path(name)) else None for name in small}

    h.want("create", "m", "--disk", "1M")
    h.want("snapshot", "take", "m", "none")
    os.mkdir(h.path("tpm"))
    write("first")
    h.want("snapshot", "take", "m", "first")
    write("second")
    h.want("snapshot", "take", "m", "second")
    assert read() == {"second"}, read()
    write("third")
    h.want("snapshot", "restore", "m", "first")
    assert read() == {"first"}, read()
    write("fourth")
    h.want("snapshot", "delete", "m", "second")
    assert read() == {"fourth"} and {"3.vars", "3.tpm"}.isdisjoint(in_snapshots(h)), in_snapshots(h)
    h.want("snapshot", "restore", "m", "none")
    assert read() == {None}, read()
    h.want("snapshot", "restore", "m", "first")
    assert read() == {"first"}, read()


def case_kept_is_damaged(h):
    """A copy that is lost or damaged is not taken for nothing: the present's file stays, and nobody goes back."""
    h.want("create", "m", "--disk", "1M")
    for name in ("first", "second"):
        with open(h.path("vars.fd"), "w", encoding="utf-8") as f:
            f.write(name)
        h.want("snapshot", "take", "m", name)
    with open(h.path("snapshots/1.vars"), "w", encoding="utf-8") as f:
        f.write("fIrst")
    os.unlink(h.path("snapshots/2.vars"))
    h.want("snapshot", "verify", "m", "1", code=1, err="what UEFI remembers is not what it was")
    h.want("snapshot", "verify", "m", "2", code=1, err="what UEFI remembers is missing")
    h.want("snapshot", "restore", "m", "1", code=1, err="what UEFI remembers is not what it was")
    h.want("snapshot", "restore", "m", "2", code=1, err="what UEFI remembers is missing")
    record = h.record()
    for s in record["snapshots"]:
        del s["vars-crc"], s["tpm-crc"]  # as older records are
    with open(h.path("snapshots/record.json"), "w", encoding="utf-8") as f:
        json.dump(record, f)
    for snapshot, has in (("2", "second"), ("1", "fIrst")):
        h.want("snapshot", "restore", "m", snapshot)
        with open(h.path("vars.fd"), encoding="utf-8") as f:
            assert f.read() == has, f"{snapshot} has not {has}"


def case_no_more_numbers(h):
    h.want("create", "m", "--disk", "1M", "--disk-format", "raw")
    h.want("snapshot", "take", "m")
    record = h.record()
    record["next"] = 2147483645
    with open(h.path("snapshots/record.json"), "w", encoding="utf-8") as f:
        json.dump(record, f)
    h.want("snapshot", "take", "m")
    h.want("snapshot", "restore", "m", "1", "--keep", "both", code=1, err="no more numbers")
    h.want("snapshot", "restore", "m", "1")
    for verb in (["take", "m"], ["restore", "m", "1"]):
        h.want("snapshot", *verb, code=1, err="no more numbers")
    h.want("snapshot", "verify", "m")


def case_options_and_names(h):
    """Nothing is lost without a word, and nothing harms the terminal."""
    h.want("create", "m", "--disk", "1M")
    for words in (["take", "m", "--name", "x"], ["take", "m", "--keep", "x"], ["restore", "m", "1", "--name", "x"],
                  ["restore", "m", "1", "--description", "x"], ["edit", "m", "1", "--name", "x", "--keep", "x"],
                  ["delete", "m", "1", "--description", "x"], ["list", "m", "--name", "x"], ["verify", "m", "--keep", "x"]):
        h.want("snapshot", *words, code=2, err="has no such option")
    for name in ("a\x1b[2Jb", "a\nb", "\x9b", "\x7f"):
        h.want("snapshot", "take", "m", name, code=2, err="cannot have control characters")
    h.want("snapshot", "take", "m", "\u00e4 b", "--description", "first\nsecond\x1b[2J")
    h.want("snapshot", "edit", "m", "1", "--name", "a\tb", code=2, err="cannot have control characters")
    h.want("snapshot", "edit", "m", "1", "--name", "\u00e4 c")
    for verb in ("list", "tree"):
        out = h.want("snapshot", verb, "m")
        assert "\u00e4 c: first second^[[2J" in out and out.count("\n") == 1, out
    listed = json.loads(h.want("snapshot", "list", "m", "-o", "json"))["snapshots"]
    assert listed[0]["description"] == "first\nsecond\x1b[2J", listed


def four(h):
    """Snapshots on top of each other; what the present has."""
    h.want("create", "m", "--disk", "1M", "--disk-format", "raw")
    for number, name in enumerate("abcd"):
        s = h.settings()["ide0"]
        h.tool("qemu-io", "-f", s["format"], "-c", f"write -P {number + 1} {number * BLOCK} {3 * BLOCK}", h.path(s["file"]))
        h.want("snapshot", "take", "m", name)
    return present_sum(h)


def present_sum(h):
    return h.raw_sum(h.settings()["ide0"]["file"])


def kill_in_merge(h, call, when, which):
    """At the so-manieth call in the process that merges.  True: there was such a one."""
    inject = f"inject={call}:error=EPERM:signal=KILL:when={when}"
    p = subprocess.run(["strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject, VMCTL, "snapshot", "delete", "m",
                        which], env=h.env, capture_output=True, text=True, timeout=120, check=False)
    return p.returncode == -signal.SIGKILL or "ended with" in p.stderr


def case_merge_killed(h):
    """Between any write to a header and its time, once and again: every disk can be read, and the merge is done at last."""
    if not shutil.which("strace") or subprocess.run(["strace", "-f", "true"], capture_output=True, check=False).returncode:
        return "there is no strace, or nothing to trace with"
    if not shutil.which("qemu-io"):
        return "there is no qemu-io"
    whole = four(h)
    shutil.copytree(h.folder, h.base + "/four", copy_function=shutil.copy2)
    calls = [(c, n) for c in ("utimensat", "pwritev") for n in (1, 2)]
    done = [0, 0]
    for first, second in [(f, s) for f in calls for s in calls]:
        shutil.rmtree(h.folder)
        shutil.copytree(h.base + "/four", h.folder, copy_function=shutil.copy2)
        if not kill_in_merge(h, *first, "b"):
            continue
        done[0] += 1
        h.want("set", "m", "machine.memory=64M")  # whoever reads machine.ini settles it first
        assert present_sum(h) == whole, f"{first}"
        h.want("snapshot", "verify", "m")
        h.want("snapshot", "take", "m", "e")
        done[1] += kill_in_merge(h, *second, "e")
        h.want("set", "m", "machine.memory=64M")
        assert present_sum(h) == whole, f"{first}, then {second}"
        h.want("snapshot", "verify", "m")
        h.want("snapshot", "take", "m", "f")
        h.want("snapshot", "delete", "m", "f")
        h.want("snapshot", "verify", "m")
        assert present_sum(h) == whole and not [i for i in h.record()["images"] if i["merging"]], h.record()
    assert done[0] > 3 and done[1] > 1, done
    return None


def case_look_after_kill(h):
    """A restore was decided on and killed: whoever looks at the settings sees what is to be, or is told that it is not yet."""
    if not shutil.which("strace") or subprocess.run(["strace", "-f", "true"], capture_output=True, check=False).returncode:
        return "there is no strace, or nothing to trace with"
    four(h)
    h.want("set", "m", "machine.memory=64M")
    shutil.copytree(h.folder, h.base + "/before", copy_function=shutil.copy2)
    seen = 0
    for when in range(1, 9):
        shutil.rmtree(h.folder)
        shutil.copytree(h.base + "/before", h.folder, copy_function=shutil.copy2)
        subprocess.run(["strace", "-f", "-o", "/dev/null", "-e", "trace=rename", "-e", f"inject=rename:error=EPERM:signal=KILL:when={when}", VMCTL,
                        "snapshot", "restore", "m", "a"], env=h.env, capture_output=True, timeout=120, check=False)
        if "pending-settings" not in h.record():
            continue
        seen += 1
        kept = h.path("snapshots/record.json")
        os.rename(kept, kept + ".x")
        assert "record.json is missing" in json.loads(h.want("info", "m", "-o", "json"))["unfinished-change"]
        os.rename(kept + ".x", kept)
        told = json.loads(h.want("info", "m", "-o", "json"))
        assert told["settings"]["machine"]["memory"] != "64M" and "unfinished-change" not in told, told
        assert "pending-settings" not in h.record()
    assert seen, "no kill left anything to be done"
    return None


def case_merges_killed(h):
    """A merge that was killed when all was done but the record's last word is finished before another one of that disk begins."""
    if not shutil.which("strace") or subprocess.run(["strace", "-f", "true"], capture_output=True, check=False).returncode:
        return "there is no strace, or nothing to trace with"
    if not shutil.which("qemu-io"):
        return "there is no qemu-io"
    whole = four(h)
    assert kill_in_merge(h, "rename", 3, "c"), "the deletion writes the record less often"
    assert [i["file"] for i in h.record()["images"] if i["merging"]] == ["snapshots/ide0-2.qcow2"], h.record()
    shutil.copytree(h.folder, h.base + "/killed", copy_function=shutil.copy2)
    calls, killed = [(c, n) for c in ("rename", "utimensat", "pwritev") for n in range(1, 6)], 0
    for call in calls:
        shutil.rmtree(h.folder)
        shutil.copytree(h.base + "/killed", h.folder, copy_function=shutil.copy2)
        killed += kill_in_merge(h, *call, "b")
        h.want("set", "m", "machine.memory=64M")
        assert present_sum(h) == whole, f"{call}"
        h.want("snapshot", "verify", "m")
        h.want("snapshot", "take", "m", "e")
        h.want("snapshot", "delete", "m", "e")
        assert present_sum(h) == whole and not [i for i in h.record()["images"] if i["merging"]], h.record()
    assert killed > 8, killed
    return None


def synced_before(h, file, *words):
    """Is the file fsynced, which fdatasync does not do for its time, after the last write to it and before the record is renamed for the
    last time?"""
    log = h.base + "/strace"
    subprocess.run(["strace", "-f", "-y", "-o", log, "-e", "trace=fsync,pwritev,rename", VMCTL, "snapshot", *words], env=h.env,
                   capture_output=True, timeout=120, check=True)
    with open(log, encoding="utf-8", errors="replace") as f:
        lines = f.read().splitlines()
    record = max(i for i, line in enumerate(lines) if " rename(" in line and "/record.json\"" in line)
    known = [i for i, line in enumerate(lines[:record]) if f"/{file}>" in line]
    return bool(known) and " fsync(" in lines[known[-1]]


def case_lasting_times(h):
    """What the record calls final is on the disk by then, and so is the time by which it is known."""
    if not shutil.which("strace") or subprocess.run(["strace", "-f", "true"], capture_output=True, check=False).returncode:
        return "there is no strace, or nothing to trace with"
    h.want("create", "m", "--disk", "1M", "--disk-format", "raw")
    assert synced_before(h, "disk.img", "take", "m", "a"), "a take"
    h.want("snapshot", "take", "m", "b")
    h.want("snapshot", "take", "m", "c")
    assert synced_before(h, "ide0-1.qcow2", "delete", "m", "b"), "a merge"
    return None


def case_merge_time(h):
    """Killed between a write to a head and its time: whoever comes next puts the time back, and not that of another image."""
    h.want("create", "m", "--disk", "1M", "--disk-format", "raw")
    for unused in "abcd":
        h.want("snapshot", "take", "m")
    record = h.record()
    next(i for i in record["images"] if i["file"].endswith("ide0-1.qcow2"))["merging"] = True
    with open(h.path("snapshots/record.json"), "w", encoding="utf-8") as f:
        json.dump(record, f)
    images = [h.path(f"snapshots/ide0-{n}.qcow2") for n in range(1, 5)]
    before = [os.stat(i).st_mtime_ns for i in images]
    for image in images:
        os.utime(image)
    h.want("set", "m", "machine.memory=64M")
    same = [os.stat(i).st_mtime_ns == t for i, t in zip(images, before)]
    assert same == [False, True, True, False], same
    record = h.record()
    next(i for i in record["images"] if i["file"].endswith("ide0-3.qcow2"))["live"] = True  # a running machine wrote to it
    with open(h.path("snapshots/record.json"), "w", encoding="utf-8") as f:
        json.dump(record, f)
    for image in images:
        os.utime(image)
    h.want("set", "m", "machine.memory=32M")
    same = [os.stat(i).st_mtime_ns == t for i, t in zip(images, before)]
    assert same == [False, True, False, False], same


def case_present_names_it(h):
    """An image that was frozen, and that somebody has put into machine.ini by hand, does not become another one."""
    h.want("create", "m", "--disk", "1M", "--disk-format", "raw")
    h.want("snapshot", "take", "m")
    h.want("set", "m", f"ide0.file={h.path('disk.img')}", "ide0.format=raw")
    before = os.stat(h.path("disk.img")).st_mtime_ns
    h.want("snapshot", "delete", "m", "1", err="disk.img stays, for machine.ini names it")
    assert "ide0-1.qcow2" in in_snapshots(h) and os.stat(h.path("disk.img")).st_mtime_ns == before
    h.want("set", "m", "ide0.file=snapshots/ide0-1.qcow2", "ide0.format=qcow2")
    h.want("snapshot", "take", "m")
    h.want("snapshot", "delete", "m", "2")
    assert h.settings()["ide0"]["file"] == "disk.img" and in_snapshots(h) == ["record.json"], in_snapshots(h)


def case_verify(h):
    """What is wrong is told once, with whose it is; and nothing is wrong while somebody changes snapshots."""
    h.want("create", "m", "--disk", "1M", "--disk-format", "raw")
    for unused in range(3):
        h.want("snapshot", "take", "m")
    os.utime(h.path("disk.img"))
    os.utime(h.path("snapshots/ide0-2.qcow2"))
    out = json.loads(h.want("snapshot", "verify", "m", "-o", "json", code=1))
    assert out["findings"] == ["snapshots 1, 2, 3: disk.img was changed since the snapshot was taken",
                               "snapshot 3: snapshots/ide0-2.qcow2 was changed since the snapshot was taken"], out
    out = json.loads(h.want("snapshot", "verify", "m", "2", "-o", "json", code=1))
    assert out["findings"] == ["snapshot 2: disk.img was changed since the snapshot was taken"], out


def case_verify_beside_changes(h):
    h.want("create", "m", "--disk", "1M", "--disk-format", "raw")
    for unused in range(16):
        h.want("snapshot", "take", "m")
    script = f"for i in 16 15 14 13 12 11 10 9 8 7 6 5 4 3 2; do '{VMCTL}' snapshot delete m $i || exit 1; done"
    changing = subprocess.Popen(["sh", "-c", script], env=h.env)
    said = []
    while changing.poll() is None:
        p = h.popen("snapshot", "verify", "m")
        _, err = p.communicate(timeout=120)
        said += [err] if p.returncode and "try again" not in err else []
    assert changing.returncode == 0 and not said, said
    h.want("snapshot", "verify", "m")


# ---- states that build upon others: files made by hand, of which only what docs/snapshots.md says of all is right ----

def crc32c(data, crc=0):
    crc ^= 0xffffffff
    for byte in data:
        crc ^= byte
        for unused in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def state_of(name, older=()):
    """The file, and what one that builds upon it says of it."""
    header = struct.pack("<16sI", b"Terrarium state\n", 2)
    sum_ = crc32c(header)
    data = header + struct.pack("<I", sum_)
    for section, contents in [("manifest", json.dumps({"name": name}).encode()), *(("base", o[1]) for o in older), ("end", b"")]:
        head = struct.pack("<32sIII", section.encode(), 1, len(contents), crc32c(contents))
        sum_ = crc32c(head, sum_)
        data += head + struct.pack("<I", sum_) + contents
    return data, struct.pack("<QI", len(data), sum_)


def put(path, data):
    """As a new file: the old one may have other names."""
    if os.path.lexists(path):
        os.remove(path)
    with open(path, "wb") as f:
        f.write(data)


def suspend(h, state, *older):
    """As if a snapshot of the running machine had ended it with that state; older: paths of what it builds upon."""
    put(h.path("saved.state"), state[0])
    for n in range(1, 8):
        path = h.path(f"snapshots/saved.base{n}")
        if os.path.lexists(path):
            os.remove(path)
        if n <= len(older):
            os.link(h.path(older[n - 1]), path)


def same(h, *files):
    inodes = {os.stat(h.path("snapshots/" + f)).st_ino for f in files}
    return len(inodes) == 1


def three_states(h):
    """c builds upon b and a, b upon a."""
    h.want("create", "m", "--memory", "64M", "--nic", "none")
    a = state_of("a")
    b = state_of("b", [a])
    c = state_of("c", [a, b])
    h.want("snapshot", "take", "m", "none")
    suspend(h, a)
    h.want("snapshot", "take", "m", "a")
    suspend(h, b, "snapshots/2.state")
    h.want("snapshot", "take", "m", "b")
    suspend(h, c, "snapshots/3.base1", "snapshots/3.state")
    h.want("snapshot", "take", "m", "c")
    return a, b, c


def case_states_upon_others(h):
    """Who builds upon a state has a link of its own to it, for as long as it needs it."""
    a, b, c = three_states(h)
    bases = {s["name"]: s.get("base-bytes") for s in h.record()["snapshots"]}
    assert bases == {"none": None, "a": None, "b": [len(a[0])], "c": [len(a[0]), len(b[0])]}, bases
    assert same(h, "2.state", "3.base1", "4.base1", "saved.base1") and same(h, "3.state", "4.base2", "saved.base2"), in_snapshots(h)
    h.want("snapshot", "verify", "m")
    h.want("snapshot", "delete", "m", "a")
    h.want("snapshot", "verify", "m")
    h.want("snapshot", "restore", "m", "b")
    assert same(h, "3.base1", "4.base1", "saved.base1") and "saved.base2" not in in_snapshots(h), in_snapshots(h)
    h.want("snapshot", "delete", "m", "b")
    h.want("snapshot", "verify", "m")
    h.want("snapshot", "restore", "m", "c")
    assert same(h, "4.base1", "saved.base1") and same(h, "4.base2", "saved.base2"), in_snapshots(h)
    with open(h.path("saved.state"), "rb") as f:
        assert f.read() == c[0]
    h.want("snapshot", "restore", "m", "none")
    assert not os.path.exists(h.path("saved.state")) and "saved.base1" not in in_snapshots(h), in_snapshots(h)
    assert "4.base2" in in_snapshots(h)
    h.want("snapshot", "verify", "m")
    h.want("snapshot", "delete", "m", "c")
    assert in_snapshots(h) == ["1.ini", "record.json"], in_snapshots(h)


def case_states_upon_others_killed(h):
    """What a change that was killed has left of them goes with the next one, and nothing else does."""
    three_states(h)
    before = in_snapshots(h)
    for left in ("1.base1", "2.base1", "3.base2", "4.base7", f"{h.record()['next']}.base1"):
        os.link(h.path("snapshots/2.state"), h.path("snapshots/" + left))
    for other in ("4.base8", "4.base0", "saved.base8", "base1"):
        put(h.path("snapshots/" + other), b"")
    h.want("set", "m", "machine.memory=32M")
    assert in_snapshots(h) == sorted([*before, "4.base8", "4.base0", "saved.base8", "base1"]), in_snapshots(h)
    os.remove(h.path("saved.state"))  # it is not suspended any more: nobody needs those
    h.want("set", "m", "machine.memory=64M")
    assert not {"saved.base1", "saved.base2"} & set(in_snapshots(h)), in_snapshots(h)
    h.want("snapshot", "verify", "m")


def case_states_upon_others_damaged(h):
    """The file is named, the snapshot that needs it is not gone back to, and others are."""
    a = three_states(h)[0][0]
    what = "a state that its state builds upon: "
    for data, why in ((a[:60] + bytes([a[60] ^ 1]) + a[61:], "it is damaged"), (a[:-1], f"it has {len(a) - 1} bytes, and had {len(a)}"), (None, "it cannot be opened")):
        put(h.path("snapshots/4.base1"), data or b"")
        if data is None:
            os.remove(h.path("snapshots/4.base1"))
        findings = json.loads(h.want("snapshot", "verify", "m", "-o", "json", code=1))["findings"]
        assert len(findings) == 1 and findings[0].startswith("snapshot 4: 4.base1, " + what), findings
        assert why in findings[0].replace("The saved state is", "it is"), findings
        for verb in (["restore", "m", "c"], ["verify", "m", "c"]):
            h.want("snapshot", *verb, code=1, err="4.base1, " + what)
        h.want("snapshot", "verify", "m", "b")
        h.want("snapshot", "restore", "m", "b")
    h.want("snapshot", "delete", "m", "c")
    h.want("snapshot", "verify", "m")


def case_states_upon_others_started(h):
    """A machine of which something that its state builds upon is damaged does not go on, and one sentence says why."""
    h.want("create", "m", "--memory", "16M", "--nic", "none", "--engine", "interp")
    h.want("start", "m")
    for name in "ab":
        h.want("snapshot", "take", "m", name)
    h.want("stop", "--force", "m")
    assert same(h, "1.state", "2.base1"), in_snapshots(h)
    h.want("snapshot", "restore", "m", "b")
    path = h.path("snapshots/saved.base1")
    with open(path, "rb") as f:
        whole = f.read()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for data in (bytes(flipped), whole[:-1], state_of("another")[0], b"", None):
        put(path, data or b"")
        if data is None:
            os.remove(path)
        p = h.popen("start", "m")
        said = p.communicate(timeout=120)[1].strip()
        assert p.returncode and "The saved state" in said and "\n" not in said, (p.returncode, said)
        assert os.path.exists(h.path("saved.state"))
    put(path, whole)
    h.want("start", "m", err="goes on from where it was saved")
    h.want("stop", "--force", "m")


def cases():
    tests = [(n[5:], f) for n, f in globals().items() if n.startswith("case_")]
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    for number, (name, test) in enumerate(tests, 1):
        h = Host()
        try:
            skip = test(h)
            print(f"ok {number} {name}" + (f" # SKIP {skip}" if skip else ""), flush=True)
        except Exception as e:  # a test that breaks has failed
            failed += 1
            print(f"not ok {number} {name}\n# {type(e).__name__}: {e}".replace("\n", "\n# ").replace("# #", "#"), flush=True)
        finally:
            shutil.rmtree(h.base)
    return failed > 0


def main():
    if KIND == "cases":
        return cases()
    print(f"1..1\n# TEST_SEED={SEED}", flush=True)
    if not shutil.which("qemu-io"):
        print(f"ok 1 {KIND} # SKIP there is no qemu-io")
        return 0
    h, rng, model, killed, number = Host(), random.Random(SEED), Model(), 0, 0
    try:
        h.want("create", "m", "--memory", "64M", "--nic", "none")
        for i, (disk, form) in enumerate(DISKS.items()):
            h.want("disk", "create", h.path(f"d{i}.{form}"), str(BLOCK * BLOCKS), "--format", form)
            h.want("set", "m", f"{disk}.file=d{i}.{form}", f"{disk}.format={form}")
        for number in range(1, STEPS + 1):
            if KIND == "kill":
                killed += killed_step(h, rng, model)
            else:
                step(h, rng, model)
            if KIND == "model" or number % 5 == 0:
                compare(h, model)
        compare(h, model)
        print(f"ok 1 {KIND} # {STEPS} steps, {killed} killed in time, {len(model.points)} snapshots at the end", flush=True)
    except (AssertionError, subprocess.TimeoutExpired) as e:
        print(f"not ok 1 {KIND}\n# in step {number}: {e}".replace("\n", "\n# ").replace("# #", "#"), flush=True)
        return 1
    finally:
        shutil.rmtree(h.base)
    return 0


sys.exit(main())
