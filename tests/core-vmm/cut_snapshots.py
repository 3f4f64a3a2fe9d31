#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every verb that changes what a machine is, cut by a kill of all processes or by a power cut at random instants (recording.py):
then all is as before the verb or as after it, `vmctl snapshot verify` agrees, nothing is left over that nobody needs, and the
same verb does its work if it had not been done.  Some cuts come again in what the next command puts right.  Machines have two disks
that are written to between the verbs, and may be saved in mid-flight (a guest in C; its memory has a number).  Prints TAP.

  cut_snapshots.py VMCTL TERRARIUM-VM-SCRIPTED [CUTS]; seed: TEST_SEED in the environment; TEST_KEEP: what failed stays"""
import copy
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time

import recording
from cut_host import Host, Lost, digest, why_not

VMCTL, VM = (os.path.abspath(a) for a in sys.argv[1:3])
CUTS = int(sys.argv[3]) if len(sys.argv) > 3 else 40
SEED = int(os.environ.get("TEST_SEED", random.randrange(1 << 30)))
BLOCK, BLOCKS, LIMIT, EACH = 65536, 12, 5, int(os.environ.get("EACH", "10"))  # snapshots at a time; cuts of each verb
REFUSED = 9  # another machine needs something
DELETES = "DELETES" in os.environ
DISKS = {"ide0": "raw", "ide1": "qcow2"}


def write(h, rng, name):
    """In what the machine writes to."""
    settings = h.json("info", name)["settings"]
    for disk in DISKS:
        s, commands = settings[disk], []
        for unused in range(rng.randint(0, 4)):
            commands += ["-c", f"write -P {rng.randrange(256)} {rng.randrange(BLOCKS) * BLOCK} {BLOCK}"]
        if commands:
            p = subprocess.run(["qemu-io", "-f", s["format"], *commands, os.path.join(h.folder(name), s["file"])],
                               capture_output=True, text=True, check=False)
            assert p.returncode == 0, p.stderr


# ---- all that a machine is ----
def settle(h, name):
    """Whoever reads machine.ini to change it puts right what is pending, and removes what is left over."""
    h.run("set", name, "machine.memory=16M")


def of_machine(h, name):
    settle(h, name)
    folder = h.folder(name)
    listed = h.json("snapshot", "list", name)["snapshots"]
    info = h.json("info", name)
    found = {"settings": copy.deepcopy(info["settings"]), "snapshots": {}, "tree": sorted((s["id"], s.get("parent", 0), s.get("name", ""),
             s.get("description", ""), s["current"]) for s in listed)}
    record = {"snapshots": [], "images": []}
    if os.path.exists(folder + "/snapshots/record.json"):
        with open(folder + "/snapshots/record.json", encoding="utf-8") as f:
            record = json.load(f)
    for s in record["snapshots"]:
        found["snapshots"][s["id"]] = [s["state-bytes"], s["settings-crc"]] + [h.sum(os.path.join(folder, d["file"])) for d in s["disks"]]
    # by what they hold: names differ with the numbers that are used up, and formats when not all is merged yet
    for section in DISKS:
        s = found["settings"][section]
        s["file"] = h.sum(os.path.join(folder, s["file"]))
        del s["format"]
    found["settings"].pop("machine-id", None)
    found["saved"] = digest(folder + "/saved.state") if h.saved(name) else None
    if listed:
        out = h.run("snapshot", "verify", name, "-o", "json")
        if json.loads(out)["findings"]:
            raise Lost(f"verify: {out}")
    h.run("disk", "check", os.path.join(folder, info["settings"]["ide1"]["file"]))
    left_over(folder, record, info["settings"])
    return found


def left_over(folder, record, settings):
    known = {os.path.basename(i["file"]) for i in record["images"]} | {"record.json"} | \
        {os.path.basename(settings[d]["file"]) for d in DISKS}
    for s in record["snapshots"]:
        known |= {f"{s['id']}.{e}" for e in ("ini", "state", "vars", "tpm", "png")}
    there = set(os.listdir(folder + "/snapshots")) if os.path.isdir(folder + "/snapshots") else set()
    if there - known:
        raise Lost(f"left over: {there - known}")


def fingerprint(h):
    """All machines; saved states are not begun."""
    return {name: of_machine(h, name) for name in h.names()}


def same(a, b):
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


# ---- verbs ----
def new_name(rng, h):
    return rng.choice([n for n in ("m", "n", "o") if n not in h.names()])


def choose(rng, h):
    """A verb, of a machine that is off or saved."""
    names, some = h.names(), {}
    for name in names:
        some[name] = [str(s["id"]) for s in h.json("snapshot", "list", name)["snapshots"]]
    name = rng.choice(names)
    has, kind = some[name], rng.random() * (0.3 if DELETES and len(some[name]) > 1 and rng.random() < 0.7 else 1)
    if has and (kind < 0.30 or len(has) >= LIMIT):
        return ["snapshot", "delete", name, rng.choice(has)]
    if has and kind < 0.50:
        return ["snapshot", "restore", name, rng.choice(has)] + rng.choice([[], ["--keep", f"k{rng.randrange(1 << 30)}"]])
    if has and kind < 0.53:
        return ["snapshot", "edit", name, rng.choice(has), "--name", f"e{rng.randrange(1 << 30)}", "--description", "other"]
    if kind < 0.57 and not h.saved(name) and len(names) < 2:
        return ["clone", name, new_name(rng, h)] + rng.choice([[], ["--linked"]] + ([["--snapshot", rng.choice(has)]] if has else []))
    if kind < 0.59 and not h.saved(name) and len(names) < 2:
        return ["rename", name, new_name(rng, h)]
    if kind < 0.60 and len(names) > 1 and not has and not h.saved(name):
        return ["delete", name]
    if kind < 0.72:
        return ["start", name] if h.saved(name) else ["save", name]
    return ["snapshot", "take", name]


def do(h, rng, words):
    """Does it, recorded; the recording."""
    name = words[1]
    if words[0] == "save":
        h.start(name, rng.randrange(1 << 30))
    r = recording.Recording(h.root)
    pid, after = None, None
    if words[0] == "save":
        pid = h.vm_pid(name)
        assert pid, "which is its process?"
    if words[0] == "start":
        def after():
            end = time.monotonic() + 60
            while h.saved(name):
                assert time.monotonic() < end, "it runs, and is still saved"
                time.sleep(0.01)
            h.kill_vm(name)
    code, said = r.run([VMCTL, *words], h.env, pid, after)
    if code and code != REFUSED:
        raise Lost(f"vmctl {' '.join(words)}: {code}: {said}")
    return r, code


def wait_off(h):
    for name in h.names():
        h.kill_vm(name)


class Cutter:
    def __init__(self, h, rng):
        self.h, self.rng, self.cuts, self.again, self.redone, self.ways, self.where = h, rng, 0, 0, 0, {}, ""

    def remake(self, r, at, way):
        shutil.rmtree(self.h.root)
        r.cut(self.rng, at, way, self.h.root)

    def goes_on(self):
        """Machines that are saved go on."""
        h = self.h
        for name in h.names():
            if h.saved(name) and self.rng.random() < 0.5:
                if not h.start(name):
                    raise Lost(f"{name} does not go on")
                h.kept(name)
                h.kill_vm(name)

    def between(self, words):
        """restore --keep and a linked clone are two verbs, of which the first takes a snapshot of the present."""
        if "--keep" in words:
            self.h.run("snapshot", "take", words[2], words[5])
        elif "--linked" in words:
            self.h.run("snapshot", "take", words[1], "--description", "what a linked clone builds upon")
        else:
            return None
        return fingerprint(self.h)

    def once(self, r, words, before, after, between):
        """One cut."""
        h, at, way = self.h, self.rng.randrange(r.instants() + 1), self.rng.choice(recording.WAYS)
        self.where = f"{' '.join(words)}, cut before event {at} of {r.instants()}, {way}"
        self.remake(r, at, way)
        shutil.rmtree(h.base + "/cut", ignore_errors=True)
        shutil.copytree(h.root, h.base + "/cut", copy_function=shutil.copy2)
        if self.rng.random() < 0.15 and h.names():  # and again, in what puts it right
            second = recording.Recording(h.root)
            for name in h.names():
                second.run([VMCTL, "set", name, "machine.memory=16M"], h.env)
            second.finish()
            at = self.rng.randrange(second.instants() + 1)
            self.where += f", then before event {at} of {second.instants()} of set"
            self.remake(second, at, way)
            self.again += 1
        found = fingerprint(h)
        if not any(same(found, x) for x in (before, after, between)):
            raise Lost(f"it is neither as before nor as after:\nfound {dump(found)}\nbefore {dump(before)}\nafter {dump(after)}\n"
                       f"between {dump(between)}")
        if same(found, before) and not same(before, after) and words[0] not in ("save", "start") and self.rng.random() < 0.4:
            h.run(*words)
            if not alike(fingerprint(h), after):
                raise Lost(f"done again it is another:\n{dump(fingerprint(h))}\nand was\n{dump(after)}")
            self.redone += 1
        elif self.rng.random() < 0.3:
            self.goes_on()
        self.ways[way] = self.ways.get(way, 0) + 1
        self.cuts += 1

    def verb(self, words, most):
        h = self.h
        kept, before_folder = h.base + "/kept", h.base + "/before"
        shutil.copytree(h.root, before_folder, copy_function=shutil.copy2)
        before, between = fingerprint(h), self.between(words)
        shutil.rmtree(h.root)
        os.rename(before_folder, h.root)  # as it was, also what a fingerprint puts right
        r, code = do(h, self.rng, words)
        r.finish()
        shutil.copytree(h.root, kept, copy_function=shutil.copy2)
        after = fingerprint(h)
        if code and not same(before, after):
            raise Lost(f"it was refused, and is another:\n{dump(before)}\n{dump(after)}")
        for unused in range(0 if code else most):
            self.once(r, words, before, after, between)
        if not code and self.rng.random() < 0.5:  # the story goes on from the last cut, and not from the end
            kept = h.base + "/cut"
        shutil.rmtree(h.root)
        os.rename(kept, h.root)
        shutil.rmtree(h.base + "/kept", ignore_errors=True)


def alike(a, b):
    """But for numbers that are used up, and identities that are new."""
    def rid(x):
        text = json.dumps(x, sort_keys=True)
        return re.sub(r'"(uuid|mac|[a-z-]*uuid)": "[^"]*"', "", text)
    return rid(shapes(a)) == rid(shapes(b))


def shapes(found):
    return {n: {"disks": [m["settings"][d]["file"] for d in DISKS], "snapshots": sorted(map(str, m["snapshots"].values())),
                "names": sorted(t[2] for t in m["tree"] if t[2]), "saved": m["saved"]} for n, m in found.items()}


def dump(found):
    return json.dumps(found, sort_keys=True)


def run(h, rng, cutter):
    h.run("create", "m", "--memory", "16M", "--nic", "none")
    for i, (disk, form) in enumerate(DISKS.items()):
        h.run("disk", "create", h.folder("m") + f"/d{i}.{form}", str(BLOCK * BLOCKS), "--format", form)
        h.run("set", "m", f"{disk}.file=d{i}.{form}", f"{disk}.format={form}")
    while cutter.cuts < CUTS:
        for name in h.names():
            if not h.saved(name) and rng.random() < 0.7:
                settle(h, name)  # until then machine.ini may be as before, and the images that it names are no longer the present's
                write(h, rng, name)
        words = choose(rng, h)
        cutter.where = " ".join(words)
        cutter.verb(words, min(EACH, CUTS - cutter.cuts))
        if "VERBOSE" in os.environ:
            print(f"# {cutter.cuts}: {' '.join(words)}", flush=True)
    return f"{cutter.cuts} cuts {cutter.ways}, {cutter.again} twice, {cutter.redone} times done again"


def deletion(h, rng):
    """Cut before each event: the machine is there with all it has, or has no name."""
    h.run("create", "gone", "--memory", "16M", "--nic", "none", "--disk", "64K", "--disk-format", "raw")
    with open(h.folder("gone") + "/disk.img", "wb") as f:
        f.write(bytes(range(256)) * 256)
    r = recording.Recording(h.root)
    r.run([VMCTL, "delete", "gone"], h.env)
    r.finish()
    kept, cuts = h.base + "/kept", 0
    os.rename(h.root, kept)
    for at in range(r.instants() + 1):
        for way in recording.WAYS:
            r.cut(rng, at, way, h.root)
            if "gone" in h.names():
                h.json("info", "gone")
                if digest(h.folder("gone") + "/disk.img") != hashlib.sha256(bytes(range(256)) * 256).hexdigest()[:16]:
                    raise Lost(f"before event {at}, {way}: its disk is another")
            shutil.rmtree(h.root)
            cuts += 1
    os.rename(kept, h.root)
    return f"{cuts} cuts"


def attempt(number, name, what):
    try:
        print(f"ok {number} {name} # {what()}", flush=True)
        return True
    except (AssertionError, Lost, recording.Unknown, subprocess.TimeoutExpired) as e:
        print(f"not ok {number} {name}\n# " + "\n# ".join(f"{type(e).__name__}: {e}".splitlines()), flush=True)
        return False


def main():
    h, rng = Host(VMCTL, VM), random.Random(SEED)
    cutter, good = Cutter(h, rng), False
    print(f"1..2\n# TEST_SEED={SEED}", flush=True)
    try:
        reason = why_not("qemu-io")
        if reason:
            print(f"ok 1 deletion # SKIP {reason}\nok 2 cuts # SKIP {reason}")
            return 0
        good = attempt(1, "deletion", lambda: deletion(h, rng))
        good &= attempt(2, "cuts", lambda: run(h, rng, cutter))
    finally:
        if not good:
            print(f"# {cutter.cuts} cuts, then: {cutter.where}; {h.base}", flush=True)
        h.close(keep=not good and "TEST_KEEP" in os.environ)
    return 0 if good else 1


sys.exit(main())
