#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Speed of disk operations beside qemu-img's, by turns, in one run.  Usage: bench.py VMCTL BENCH_IO
BENCH_GIB: size of the image (4), half of it full.  BENCH_RUNS: how often (3); the best time of each counts.
Before each run, what is dirty is written back, memory is touched (a virtual machine's host may have taken it away, and
giving it back would be part of the run), and images that are written to are made anew; who begins changes by turns."""
import mmap
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

VMCTL, BENCH_IO = (os.path.abspath(a) for a in sys.argv[1:3])
GIB = int(os.environ.get("BENCH_GIB", "4"))
RUNS = int(os.environ.get("BENCH_RUNS", "3"))
MIB = 1 << 20


def calm(target, fresh):
    if os.path.exists(target):
        os.unlink(target)
    if fresh:
        shutil.copyfile(fresh, target)
    os.sync()
    room = mmap.mmap(-1, GIB << 29)
    for at in range(0, GIB << 29, 4096):
        room[at] = 1
    room.close()


def timed(argv):
    before = os.times()
    start = time.monotonic()
    out = subprocess.run(argv, capture_output=True, text=True)
    wall = time.monotonic() - start
    after = os.times()
    if out.returncode:
        sys.exit(f"{' '.join(argv)}: {out.stdout}{out.stderr}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    own = re.search(r"completed in ([\d.]+) seconds", out.stdout)
    return (float(own.group(1)) if own else wall), cpu


def race(name, ours, theirs, target, fresh=None):
    """fresh: what target is a copy of at the start of each run; without it, target is made by the run."""
    best = [(1e9, 1e9), (1e9, 1e9)]
    for run in range(RUNS):
        for who in (0, 1) if run % 2 == 0 else (1, 0):
            calm(target, fresh)
            t = timed((ours, theirs)[who])
            best[who] = tuple(min(a, b) for a, b in zip(best[who], t))
    (a, ac), (b, bc) = best
    print(f"{name:28} ours {a:7.2f} s (CPU {ac:6.2f})   qemu-img {b:7.2f} s (CPU {bc:6.2f})   {b / a:5.2f}x", flush=True)


def make_source(path):
    rng = random.Random(1)
    text = ("".join(rng.choice("abcdefgh \n") for _ in range(1 << 16)) * 16).encode()
    noise = rng.randbytes(MIB)
    with open(path, "wb") as f:
        f.truncate(GIB << 30)
        for i in range(0, GIB * 256, 2):  # every second run of 4 MiB
            f.seek(i * 4 * MIB)
            for k in range(4):
                f.write((noise if i % 8 == 0 else text)[k:] + b"x" * k)


def main():
    if not shutil.which("qemu-img"):
        print("qemu-img is not installed: nothing to compare with")
        return
    with tempfile.TemporaryDirectory() as d:
        raw, out, q = f"{d}/s.raw", f"{d}/out", f"{d}/s.qcow2"
        make_source(raw)

        def convert(name, src, sf, df, more=(), qmore=()):
            race(name, [VMCTL, "disk", "convert", "-q", "--no-sync", "-f", sf, "-O", df, *more, src, out],
                 ["qemu-img", "convert", "-f", sf, "-O", df, *qmore, src, out], out)

        convert("raw -> qcow2", raw, "raw", "qcow2")
        os.rename(out, q)
        convert("qcow2 -> raw", q, "qcow2", "raw")
        subprocess.run(["qemu-img", "convert", "-O", "vmdk", q, f"{d}/s.vmdk"], check=True)
        convert("vmdk -> qcow2", f"{d}/s.vmdk", "vmdk", "qcow2")
        os.unlink(f"{d}/s.vmdk")
        subprocess.run(["qemu-img", "convert", "-O", "vdi", q, f"{d}/s.vdi"], check=True)
        convert("vdi -> raw", f"{d}/s.vdi", "vdi", "raw")
        os.unlink(f"{d}/s.vdi")
        os.unlink(out)
        race("check qcow2", [VMCTL, "disk", "check", "-f", "qcow2", q], ["qemu-img", "check", "-f", "qcow2", q], out)
        for mode, flag in (("r", []), ("w", ["-w"])):
            count, step = "200000" if mode == "r" else "50000", str(244 * 4096)  # few enough to stay in the page cache
            race(f"4 KiB {'reads' if mode == 'r' else 'writes'}, depth 16",
                 [BENCH_IO, out, "qcow2", mode, count, "16", step],
                 ["qemu-img", "bench", "-f", "qcow2", "-c", count, "-d", "16", "-s", "4096", "-S", step, *flag, out],
                 out, q)
        convert("raw -> compressed qcow2", raw, "raw", "qcow2", ["-c", "-m", "2"], ["-c", "-m", "2"])


main()
