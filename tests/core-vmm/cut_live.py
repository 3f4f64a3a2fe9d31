#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is done with a machine that runs (snapshots taken and deleted, the machine saved, tried), cut by a kill of all processes or by
a power cut at random instants (recording.py).  The guest is a boot sector that writes numbers to its disk as fast as it can,
and flushes nothing.  After a cut each snapshot is there as it was or gone, the one that was being made has all numbers up to some
one, or is not there, a state that is there is whole and goes on, and the present has nothing older than its last snapshot.
Prints TAP.

  cut_live.py VMCTL TERRARIUM-VM [CUTS]; seed: TEST_SEED in the environment; TEST_KEEP: what failed stays"""
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import time

import recording
from cut_host import Host, Lost, digest, why_not

VMCTL, VM = (os.path.abspath(a) for a in sys.argv[1:3])
CUTS = int(sys.argv[3]) if len(sys.argv) > 3 else 40
SEED = int(os.environ.get("TEST_SEED", random.randrange(1 << 30)))
FIRST, SLOTS, STEP, SECTORS, LIMIT, EACH = 64, 512, 77, 1024, 4, 12  # sectors; snapshots at a time; cuts of each verb
FORMATS = ["raw", "qcow2", "vdi", "vmdk"]
# N to sector FIRST + N * STEP % SLOTS, from the last number that the disk has; every 64th is said.
GUEST = f"""
    .code16
    .globl _start
_start: ljmp $0, $1f
1:  xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7000, %sp
    mov %dl, drive
    xor %ebp, %ebp
    movl ${FIRST}, sector
1:  movl $0x10000000, packet + 4    # to 1000:0
    movw $64, packet + 2
    mov $packet, %si
    mov drive, %dl
    mov $0x4200, %ax
    int $0x13
    jc bad
    mov $0x1000, %ax
    mov %ax, %es
    xor %di, %di
    mov $64, %cx
2:  mov %es:(%di), %eax
    cmp %ebp, %eax
    jbe 3f
    mov %eax, %ebp
3:  add $512, %di
    loop 2b
    addl $64, sector
    cmpl ${FIRST + SLOTS}, sector
    jb 1b
    xor %ax, %ax
    mov %ax, %es
    movl $0x8000, packet + 4
    movw $1, packet + 2
next: inc %ebp
    mov %ebp, %eax
    imul ${STEP}, %eax, %eax
    and ${SLOTS - 1}, %eax
    add ${FIRST}, %eax
    mov %eax, sector
    mov $0x8000, %di
    mov $128, %cx
    mov %ebp, %eax
    cld
    rep stosl
    mov $packet, %si
    mov drive, %dl
    mov $0x4300, %ax
    int $0x13
    jc bad
    test $63, %bp
    jnz next
    mov $8, %cx
    mov %ebp, %ebx
2:  rol $4, %ebx
    mov %bl, %al
    and $15, %al
    add $'0', %al
    cmp $'9', %al
    jbe 3f
    add $7, %al
3:  call putc
    loop 2b
    mov $10, %al
    call putc
    jmp next
bad: mov $'!', %al
    call putc
    jmp bad
putc: mov $0x3f8, %dx
    out %al, %dx
    ret
drive: .byte 0
    .balign 4
packet: .byte 16, 0
    .word 1, 0x8000, 0
sector: .long 0, 0
"""


def boot_sector(folder):
    stem = os.path.join(folder, "guest")
    with open(stem + ".s", "w", encoding="ascii") as f:
        f.write(GUEST)
    subprocess.run(["as", "--32", "-o", stem + ".o", stem + ".s"], check=True)
    subprocess.run(["ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", "-o", stem + ".bin", stem + ".o"], check=True)
    with open(stem + ".bin", "rb") as f:
        code = f.read()
    assert len(code) <= 440, len(code)
    return code.ljust(510, b"\0") + b"\x55\xaa"


def slots(path):
    """What each has; Lost if it is no number that belongs there."""
    with open(path, "rb") as f:
        f.seek(FIRST * 512)
        data = f.read(SLOTS * 512)
    found = []
    for i in range(SLOTS):
        sector = data[i * 512:(i + 1) * 512]
        n = struct.unpack("<I", sector[:4])[0]
        if sector != sector[:4] * 128 or n and n * STEP % SLOTS != i:
            raise Lost(f"{path}: slot {i} has {sector[:16].hex()}")
        found.append(n)
    return found


def slots_and_sum(path):
    return slots(path), digest(path)


def last(found):
    """All numbers up to that are there, and none above; None: some are missing."""
    top = max(found)
    if all(found[n * STEP % SLOTS] == n for n in range(max(1, top - SLOTS + 1), top + 1)):
        return top
    return None


class Look:
    """All that there is after a cut, or before the verb, of a machine that does not run."""

    def __init__(self, h):
        h.run("set", "m", "machine.memory=16M")
        self.folder = h.folder("m")
        self.record = {"snapshots": [], "images": [], "current": 0}
        if os.path.exists(self.folder + "/snapshots/record.json"):
            with open(self.folder + "/snapshots/record.json", encoding="utf-8") as f:
                self.record = json.load(f)
        self.snapshots = {s["id"]: self.disk(h, s["disks"][0]["file"]) + (self.state(s),) for s in self.record["snapshots"]}
        self.present = self.disk(h, h.json("info", "m")["settings"]["ide0"]["file"])[0]
        self.saved = digest(self.folder + "/saved.state") if h.saved("m") else None
        if self.record["images"]:
            out = h.run("snapshot", "verify", "m", "-o", "json")
            if json.loads(out)["findings"]:
                raise Lost(f"verify: {out}")

    def state(self, s):
        """With all that it builds upon."""
        names = [f"base{n + 1}" for n in range(len(s.get("base-bytes", [])))] + ["state"]
        return [digest(f"{self.folder}/snapshots/{s['id']}.{name}") for name in names] if s["state-bytes"] else None

    def disk(self, h, file):
        return h.shows(os.path.join(self.folder, file), slots_and_sum)

    def floor(self):
        """What the present has at least: all of the snapshot that it builds upon."""
        current = self.record["current"]
        return self.snapshots[current][0] if current in self.snapshots else [0] * SLOTS


class Trial:
    def __init__(self, h, rng):
        self.h, self.rng, self.cuts, self.ways, self.verbs, self.went_on, self.upon, self.where = h, rng, 0, {}, {}, 0, 0, ""

    def create(self):
        h, form = self.h, self.rng.choice(FORMATS)
        raw = h.base + "/disk.raw"
        with open(raw, "wb") as f:
            f.write(boot_sector(h.base).ljust(SECTORS * 512, b"\0"))
        h.run("create", "m", "--memory", "16M", "--nic", "none", "--engine", "soft", "--no-video", "--set", "serial1.target=none")
        h.run("disk", "convert", "-q", raw, h.folder("m") + "/disk." + form, "-f", "raw", "-O", form)
        h.run("set", "m", f"ide0.file=disk.{form}", f"ide0.format={form}")

    def begin(self):
        """It runs, and has written something since."""
        goes_on = self.h.start("m")
        self.more(4)
        return goes_on

    def said(self):
        text = self.h.run("serial", "m", "--tail")
        if "!" in text:
            raise Lost("the guest cannot write")
        return [int(n, 16) for n in re.findall(r"([0-9A-F]{8})\n", text)]

    def more(self, lines):
        end, at = time.monotonic() + 120, len(self.said())
        while len(self.said()) < at + lines:
            if time.monotonic() > end:
                raise Lost("the guest says nothing more")
            time.sleep(0.02)

    def choose(self, ids):
        kind = self.rng.random()
        if ids and (kind < 0.35 or len(ids) >= LIMIT):
            return ["snapshot", "delete", "m", str(self.rng.choice(ids))]
        return ["save", "m"] if kind > 0.75 else ["snapshot", "take", "m"]

    def verb(self):
        """Done by a machine that runs, recorded; and cut at some instants."""
        h = self.h
        ids = [s["id"] for s in h.json("snapshot", "list", "m")["snapshots"]]
        if h.vm_pid("m") is None:
            self.begin()
        words = self.choose(ids)
        h.run("pause", "m")  # what a cut leaves of the guest's own writes is not known before the recording begins
        self.wait_still()
        before = h.base + "/before"
        shutil.copytree(h.root, before, copy_function=shutil.copy2)
        r = recording.Recording(h.root)
        code, said = r.run(["sh", "-c", f'"$0" resume m && sleep 0.05 && "$0" {" ".join(words)}', VMCTL], h.env, h.vm_pid("m"),
                           self.stop_writing)
        if code:
            raise Lost(f"vmctl {' '.join(words)}: {code}: {said}")
        if words[:2] == ["snapshot", "take"]:
            self.built_upon()
        r.finish()
        self.rooms = {"before": self.look_at(before), "after": None}
        kept = h.base + "/kept"
        shutil.copytree(h.root, kept, copy_function=shutil.copy2)
        self.rooms["after"] = Look(h)
        for unused in range(min(EACH, CUTS - self.cuts)):
            self.once(r, words)
        self.verbs[words[-2] if words[0] == "save" else words[1]] = self.verbs.get(words[-2] if words[0] == "save" else words[1], 0) + 1
        shutil.rmtree(h.root)
        os.rename(kept, h.root)

    def built_upon(self):
        """The newest snapshot's state builds upon that of the one before, if that has one and is not the last of a row."""
        h = self.h
        with open(h.folder("m") + "/snapshots/record.json", encoding="utf-8") as f:
            record = json.load(f)
        found = {s["id"]: s for s in record["snapshots"]}
        new = found[record["current"]]
        before = found.get(new["parent"], {"state-bytes": 0})
        row = len(before.get("base-bytes", [])) + 1
        if len(new.get("base-bytes", [])) != (row if before["state-bytes"] and row <= 7 else 0):
            raise Lost(f"its state builds upon {new.get('base-bytes')}, and the one before upon {before.get('base-bytes')}")
        self.upon += bool(new.get("base-bytes"))

    def wait_still(self):
        """What the guest had asked for may still be on its way to the disk when it is paused."""
        before = None
        while True:
            now = sorted((e.path, e.stat().st_mtime_ns, e.stat().st_size) for d in (self.h.folder("m"), self.h.folder("m") + "/snapshots")
                         if os.path.isdir(d) for e in os.scandir(d) if e.is_file())
            if now == before:
                return
            before = now
            time.sleep(0.2)

    def stop_writing(self):
        """A call in the middle of which it is killed would be in no record, and may have written all the same."""
        if self.h.vm_pid("m") is not None:
            subprocess.run([VMCTL, "pause", "m"], env=self.h.env, capture_output=True, timeout=120, check=False)
            self.wait_still()
        self.h.kill_vm("m")

    def look_at(self, folder):
        h = self.h
        os.rename(h.root, h.base + "/aside")
        os.rename(folder, h.root)
        found = Look(h)
        shutil.rmtree(h.root)
        os.rename(h.base + "/aside", h.root)
        return found

    def once(self, r, words):
        h, before, after = self.h, self.rooms["before"], self.rooms["after"]
        at, way = self.rng.randrange(r.instants() + 1), self.rng.choice(recording.WAYS)
        self.where = f"{' '.join(words)}, cut before event {at} of {r.instants()}, {way}"
        shutil.rmtree(h.root)
        r.cut(self.rng, at, way, h.root)
        found = Look(h)
        ids = set(found.snapshots)
        if ids not in (set(before.snapshots), set(after.snapshots)):
            raise Lost(f"there are the snapshots {ids}, and were {set(before.snapshots)}, then {set(after.snapshots)}")
        for i, what in found.snapshots.items():
            if what != (before if i in before.snapshots else after).snapshots[i]:
                raise Lost(f"snapshot {i} is another one")
            if last(what[0]) is None:
                raise Lost(f"snapshot {i} lacks numbers: {what[0]}")
        if found.saved not in (None, before.saved, after.saved):
            raise Lost("the saved state is another one")
        if found.saved and last(found.present) is None:
            raise Lost(f"it is saved, and its disk lacks numbers: {found.present}")
        floor = [max(x) for x in zip(found.floor(), *([before.present] if way == recording.KILL else []))]
        if any(n < f for n, f in zip(found.present, floor)):
            raise Lost("the present has less than the snapshot that it builds upon, or than was there when it went on")
        if self.rng.random() < 0.15:
            self.goes_on(found)
        self.ways[way] = self.ways.get(way, 0) + 1
        self.cuts += 1

    def goes_on(self, found):
        """Where it was saved, or when a snapshot was taken."""
        h, floor = self.h, last(found.present)
        with_state = [s["id"] for s in found.record["snapshots"] if s["state-bytes"]]
        if not found.saved:
            if not with_state:
                return
            which = self.rng.choice(with_state)
            h.run("snapshot", "restore", "m", str(which))
            floor = last(found.snapshots[which][0])
        if not self.begin():
            raise Lost("it does not go on")
        first = self.said()[0]
        if not floor < first + 64 or not first <= floor + 65:
            raise Lost(f"its disk has {floor}, and it goes on with {first}")
        h.kill_vm("m")
        self.went_on += 1


def main():
    h, rng = Host(VMCTL, VM), random.Random(SEED)
    trial, good = Trial(h, rng), False
    print(f"1..1\n# TEST_SEED={SEED}", flush=True)
    reason = why_not("as", "ld")
    if reason:
        print(f"ok 1 live cuts # SKIP {reason}")
        h.close()
        return 0
    try:
        trial.create()
        while trial.cuts < CUTS:
            trial.verb()
            if "VERBOSE" in os.environ:
                print(f"# {trial.where}: {trial.cuts} cuts", flush=True)
        print(f"ok 1 live cuts # {trial.cuts} cuts {trial.ways} of {trial.verbs}, {trial.upon} states upon others, {trial.went_on} times it went on", flush=True)
        good = True
    except (AssertionError, Lost, recording.Unknown, subprocess.TimeoutExpired) as e:
        text = f"after {trial.cuts} cuts: {trial.where}: {type(e).__name__}: {e}\n{h.base}"
        print("not ok 1 live cuts\n# " + "\n# ".join(text.splitlines()), flush=True)
    finally:
        h.close(keep=not good and "TEST_KEEP" in os.environ)
    return 0 if good else 1


sys.exit(main())
