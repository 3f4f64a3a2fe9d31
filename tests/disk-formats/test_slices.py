#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines whose disks are parts of one file, or of one partition (offset=, size=): who may run beside whom, and what the others
are told.  Prints TAP.  Usage: test_slices.py VMCTL TERRARIUM-VM-SCRIPTED"""
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import traceback

VMCTL, VM = (os.path.abspath(a) for a in sys.argv[1:3])
MIB = 1 << 20
BUSES = ["ide0", "sata0", "nvme0", "virtio-disk0"]
USAGE, NOT_FREE = 2, 9


class Host:
    """A user's account with a file of 64 MiB, `whole`."""

    def __enter__(self):
        self.base = tempfile.mkdtemp(prefix="terrarium-slices-")
        os.mkdir(self.base + "/run", 0o700)
        self.env = dict(os.environ, XDG_DATA_HOME=self.base + "/data", XDG_RUNTIME_DIR=self.base + "/run", TERRARIUM_VM=VM,
                        LC_ALL="C.UTF-8", HOME=self.base, ASAN_OPTIONS="detect_leaks=0")
        self.whole = self.base + "/whole.img"
        with open(self.whole, "wb") as f:
            f.truncate(64 * MIB)
        return self

    def __exit__(self, *unused):
        for name in self.run("list", "--running", "-o", "name")[1].split():
            self.run("stop", "--force", name)
        shutil.rmtree(self.base)

    def run(self, *args):
        p = subprocess.run([VMCTL, *args], env=self.env, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, cwd=self.base)
        return p.returncode, p.stdout.decode(), p.stderr.decode()

    def want(self, code, *args):
        c, out, err = self.run(*args)
        assert c == code, f"vmctl {' '.join(args)}: exit {c}, not {code}\n{out}{err}"
        return err

    def machine(self, name, section, file=None, **keys):
        sets = [x for k, v in {"file": file or self.whole, "format": "raw", **keys}.items() for x in ("--set", f"{section}.{k}={v}")]
        self.want(0, "create", name, "--memory", "16M", "--nic", "none", *sets)

    def refused(self, code, name, *parts):
        """It does not start, for one reason, said in one sentence."""
        said = self.want(code, "start", name)
        assert said.count("\n") == 1, f"not one sentence: {said}"
        for part in parts:
            assert part in said, f"no {part!r} in {said!r}"


def side_by_side(h):
    """Four machines, each with its quarter of the file on another controller; a fifth that touches two of them waits for both."""
    for n, section in enumerate(BUSES):
        h.machine(f"m{n}", section, offset=n * 16 * MIB, size=16 * MIB)
        h.want(0, "start", f"m{n}")
    h.machine("across", "sata0", offset=31 * MIB, size=2 * MIB)
    h.refused(NOT_FREE, "across", "whole.img", "overlaps with bytes 32505856 to 34603007", "in use by machine m")
    h.want(0, "stop", "--force", "m1")
    h.refused(NOT_FREE, "across", "in use by machine m2")
    h.want(0, "stop", "--force", "m2")
    h.want(0, "start", "across")
    h.refused(NOT_FREE, "m1", "in use by machine across")


def one_byte_apart(h):
    """The last sector of one is the first of the other; and one that only touches."""
    h.machine("a", "ide0", size=MIB)
    h.machine("b", "ide0", offset=MIB - 512, size=MIB)
    h.machine("c", "ide0", offset=MIB, size=MIB)
    h.want(0, "start", "a")
    h.refused(NOT_FREE, "b", "in use by machine a (process ")
    h.want(0, "start", "c")


def readers_share(h):
    for name in "ab":
        h.machine(name, "sata0", offset=MIB, size=4 * MIB, readonly="on")
        h.want(0, "start", name)
    h.machine("w", "sata0", offset=2 * MIB, size=MIB)
    h.refused(NOT_FREE, "w", "in use by machine ")
    for name in "ab":
        h.want(0, "stop", "--force", name)
    h.want(0, "start", "w")
    h.refused(NOT_FREE, "a", "in use by machine w")


def the_whole_file(h):
    h.machine("part", "nvme0", offset=MIB, size=MIB)
    h.machine("whole", "nvme0")
    h.want(0, "start", "part")
    h.refused(NOT_FREE, "whole", "in use by machine part")
    h.want(0, "stop", "--force", "part")
    h.want(0, "start", "whole")
    h.refused(NOT_FREE, "part", "in use by machine whole")


def within_one_machine(h):
    """Two drives of a machine follow the same rule, and hear of it when they are set up."""
    h.machine("two", "sata0", offset=0, size=MIB)
    h.want(0, "set", "two", f"sata1.file={h.whole}", "sata1.format=raw", f"sata1.offset={MIB}", f"sata1.size={MIB}")
    h.want(0, "start", "two")
    h.want(0, "stop", "--force", "two")
    said = h.want(USAGE, "set", "two", f"sata1.offset={MIB - 512}")
    assert "is the image of [sata0] already" in said and "different parts of it" in said, said


def where_it_ends(h):
    h.machine("beyond", "ide0", offset=63 * MIB, size=2 * MIB)
    h.refused(USAGE, "beyond", "has 67108864 bytes", "does not lie within")
    h.want(0, "set", "beyond", f"ide0.offset={64 * MIB}")
    h.refused(USAGE, "beyond", "does not lie within")
    h.want(0, "set", "beyond", f"ide0.offset={62 * MIB}")
    h.want(0, "start", "beyond")
    h.want(0, "stop", "--force", "beyond")
    h.want(0, "disk", "create", "a.qcow2", "64M")
    h.machine("q", "ide0", file=h.base + "/a.qcow2", format="qcow2", offset=MIB)
    h.refused(USAGE, "q", "offset and size are for raw images", "qcow2")


def nobody_resizes_it(h):
    """Ours and QEMU's programs leave the file's size alone while a part is in use."""
    h.machine("part", "ide0", offset=MIB, size=MIB)
    h.want(0, "start", "part")
    for size in ("32M", "128M"):
        said = h.run("disk", "resize", h.whole, size, *(["--shrink"] if size == "32M" else []))
        assert said[0] == NOT_FREE and "in use by machine part" in said[2], said
        if shutil.which("qemu-img"):
            p = subprocess.run(["qemu-img", "resize", "--shrink", "-f", "raw", h.whole, size], capture_output=True, text=True, check=False)
            assert p.returncode and "lock" in p.stderr, p
    assert os.path.getsize(h.whole) == 64 * MIB
    h.want(0, "stop", "--force", "part")
    h.want(0, "disk", "resize", h.whole, "128M")


PARTITIONS = [(2048, 32768), (36864, 65536)]  # sectors: where they begin, how many


def loop_device(*options):
    """None: there is none to be had."""
    p = subprocess.run(["losetup", "-f", "--show", *options], capture_output=True, text=True, check=False)
    return None if p.returncode else p.stdout.strip()


def partition_nodes(h, loop):
    """The partitions' device nodes, made here: the host's /dev may not have them.  None: the kernel does not look for them."""
    nodes = []
    for n in range(1, 1 + len(PARTITIONS)):
        try:
            with open(f"/sys/class/block/{os.path.basename(loop)}p{n}/dev", encoding="ascii") as f:
                major, minor = map(int, f.read().split(":"))
        except FileNotFoundError:
            return None
        nodes.append(f"{h.base}/p{n}")
        os.mknod(nodes[-1], 0o60600, os.makedev(major, minor))
    return nodes


def partition(h):
    """Two partitions of a loop device, or else two loop devices of the same extent, and parts of them."""
    if os.geteuid():
        return "wants root, for a loop device"
    with open(h.whole, "r+b") as f:
        f.seek(446)
        f.write(b"".join(struct.pack("<B3sB3sII", 0, b"\0\2\0", 0x83, b"\0\2\0", *where) for where in PARTITIONS))
        f.seek(510)
        f.write(b"\x55\xaa")
    loops = [loop_device("-P", h.whole)]
    nodes = partition_nodes(h, loops[0]) if loops[0] else None
    if not nodes:
        print("# the kernel finds no partitions on loop devices: two of these in their place", flush=True)
        loops += [loop_device("-o", str(first * 512), "--sizelimit", str(count * 512), h.whole) for first, count in PARTITIONS]
        nodes = loops[1:]
    try:
        if None in loops:
            return "no loop devices to be had"
        check_partitions(h, nodes)
    finally:
        for loop in filter(None, loops):
            subprocess.run(["losetup", "-d", loop], check=False)
    return None


def check_partitions(h, nodes):
    h.machine("a", "sata0", file=nodes[0], offset=MIB, size=4 * MIB)
    h.machine("b", "virtio-disk0", file=nodes[0], offset=2 * MIB, size=MIB)
    h.machine("c", "nvme0", file=nodes[0], offset=5 * MIB)
    h.machine("d", "ide0", file=nodes[1])
    h.machine("e", "ide0", file=nodes[0], offset=15 * MIB, size=2 * MIB)
    for name in "acd":
        h.want(0, "start", name)
    h.refused(NOT_FREE, "b", "in use by machine a")
    h.refused(USAGE, "e", "has 16777216 bytes", "does not lie within")
    for name in "acd":
        h.want(0, "stop", "--force", name)


def main():
    tests = [side_by_side, one_byte_apart, readers_share, the_whole_file, within_one_machine, where_it_ends, nobody_resizes_it, partition]
    print(f"1..{len(tests)}", flush=True)
    bad = 0
    for n, test in enumerate(tests, 1):
        try:
            with Host() as h:
                skipped = test(h)
            print(f"ok {n} {test.__name__}" + (f" # SKIP {skipped}" if skipped else ""), flush=True)
        except (AssertionError, subprocess.SubprocessError, OSError):
            bad += 1
            print(f"not ok {n} {test.__name__}\n# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
