# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds the benchmark program at a width (64 or 32), and guests of it: a distribution's kernel, and an initramfs with the
program as its /init."""
import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.dirname(os.path.dirname(HERE))
GUESTS = os.path.join(TREE, "tests", "boot", "guests.sh")
SOURCES = ["main.c", "integer.c", "float.c", "memory.c", "code.c", "system.c"]
KERNELS = {64: "vmlinuz-cloud", 32: "vmlinuz-686-pae"}
WIDTH = {64: [], 32: ["-m32", "-march=i686"]}
# Loops stay the loops that are written there: no vectors, no calls of memcpy in their place.
FLAGS = ["-O2", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wno-unused-parameter", "-fno-math-errno",
         "-fno-tree-vectorize", "-fno-tree-loop-distribute-patterns", "-fcf-protection=none", "-no-pie", "-s"]


class CannotBuild(Exception):
    pass


def gcc(width, *arguments, source=None):
    """What gcc complains about, empty if nothing."""
    try:
        done = subprocess.run(["gcc", *WIDTH[width], "-static", *arguments], input=source, capture_output=True, text=True,
                              check=False)
    except FileNotFoundError:
        return "there is no gcc"
    return done.stderr.strip() or "gcc failed" if done.returncode else ""


def lacks(width):
    """Why no program of this width can be built here at all; empty if it can."""
    why = gcc(width, "-x", "c", "-", "-o", os.devnull, source="#include <stdio.h>\nint main(void) { return puts(\"\"); }\n")
    return f"no {width}-bit program can be built here: {why}" if why else ""


def compile_program(width, folder, *more):
    """folder/init, and folder/nothing, which it runs.  Returns the former's path."""
    os.makedirs(folder, exist_ok=True)
    program, workloads = os.path.join(folder, "init"), os.path.join(HERE, "workloads")
    why = lacks(width) or gcc(width, *FLAGS, *more, *(os.path.join(workloads, n) for n in SOURCES), "-o", program) \
        or gcc(width, "-nostdlib", "-s", os.path.join(workloads, "nothing.c"), "-o", os.path.join(folder, "nothing"))
    if why:
        raise CannotBuild(why + ("; packages gcc-multilib and libc6-dev-i386" if width == 32 else ""))
    return program


def initramfs(program_folder, file):
    """The folder's files at the root, with the mount points that /init wants."""
    for name in ("dev", "proc", "sys", "tmp"):
        os.makedirs(os.path.join(program_folder, name), exist_ok=True)
    subprocess.run(f"find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet | gzip -9n >'{file}'", shell=True, check=True,
                   cwd=program_folder)


def kernel(width):
    """The kernel's path in the cache of guests; it is fetched if it is not there."""
    subprocess.run(["bash", GUESTS, KERNELS[width]], check=True)
    cache = subprocess.check_output(["bash", GUESTS, "--dir"], text=True).strip()
    return os.path.join(cache, KERNELS[width])
