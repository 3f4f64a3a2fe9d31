#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`vmctl disk` from outside: every part of it, its JSON and its exit codes.  Prints TAP.  Usage: test_cli.py VMCTL"""
import bz2
import gzip
import json
import lzma
import os
import shutil
import subprocess
import sys
import tempfile
import traceback

VMCTL = os.path.abspath(sys.argv[1])
FORMATS = ["raw", "qcow2", "vdi", "vmdk", "vhd", "vhdx"]


def disk(*argv, code=0):
    p = subprocess.run([VMCTL, "disk", *argv], capture_output=True, text=True)
    assert p.returncode == code, f"disk {' '.join(argv)}: {p.returncode}, not {code}: {p.stdout}{p.stderr}"
    if code and argv[0:1] != ("check",):
        assert p.stderr.startswith("vmctl: ") or "differ" in p.stdout or "Usage" in p.stderr, p.stderr
    return p.stdout


def ask(*argv, code=0):
    o = json.loads(disk(*argv, "-o", "json", code=code))
    assert o["schema"] == 1
    return o


def create_and_info():
    for f in FORMATS:
        disk("create", f"a.{f}", "64M")
        o = ask("info", f"a.{f}")
        assert o["format"] == f and o["virtual-size"] == 64 << 20, o
        disk("create", f"a.{f}", "64M", code=7)
        disk("create", f"a.{f}", "1.5G", "--force")
        assert ask("info", f"a.{f}")["virtual-size"] == 3 << 29
        if f != "raw":
            disk("create", f"child-of-{f}.qcow2", "--backing", f"a.{f}", "--backing-format", f)
            o = ask("info", "--chain", f"child-of-{f}.qcow2")
            assert o["parent"] == f"a.{f}" and o["chain"][0]["format"] == f, o
    disk("create", "b.vmdk", "10M", "--option", "subformat=monolithicFlat")
    assert sorted(n for n in os.listdir(".") if n.startswith("b")) == ["b-flat.vmdk", "b.vmdk"]
    assert ask("info", "b.vmdk")["details"]["variant"] == "monolithicFlat"
    disk("create", "a.vdi", "64M", "--force", code=9)  # it is a parent


def convert_compare_map():
    with open("s.raw", "wb") as f:
        f.truncate(32 << 20)
        for i in range(0, 32, 3):
            f.seek((i << 20) + 4096 * i)
            f.write(os.urandom(300000))
    last = "s.raw"
    for f in FORMATS[1:] + ["raw"]:
        disk("convert", last, f"t.{f}")
        assert ask("compare", "s.raw", f"t.{f}")["same"]
        assert os.stat(f"t.{f}").st_blocks * 512 < 16 << 20  # holes stay holes
        extents = ask("map", f"t.{f}")["extents"]
        assert extents[0]["start"] == 0 and sum(e["length"] for e in extents) == 32 << 20
        last = f"t.{f}"
    disk("convert", "-c", "s.raw", "c.qcow2", "--option", "compression_type=zstd,cluster_size=128K")
    assert any(e["compressed"] for e in ask("map", "c.qcow2")["extents"])
    assert ask("info", "c.qcow2")["details"]["compression-type"] == "zstd"
    disk("compare", "s.raw", "c.qcow2")
    disk("convert", "s.raw", "t.vdi", code=7)
    with open("t.raw", "r+b") as f:
        f.seek(5 << 20)
        f.write(b"x")
    o = ask("compare", "s.raw", "t.raw", code=1)
    assert not o["same"] and o["first-difference"] == 5 << 20


def clone_commit_pull():
    disk("clone", "t.vdi", "u.vdi")
    assert ask("info", "u.vdi")["details"]["uuid"] != ask("info", "t.vdi")["details"]["uuid"]
    disk("clone", "--linked", "t.qcow2", "l.qcow2")
    assert ask("info", "l.qcow2")["parent"] == "t.qcow2"
    disk("compare", "l.qcow2", "s.raw")
    disk("pull", "-q", "l.qcow2")
    assert "parent" not in ask("info", "l.qcow2")
    disk("compare", "l.qcow2", "s.raw")
    disk("clone", "--linked", "t.vmdk", "l.vmdk")
    disk("clone", "t.vdi", "v.qcow2", code=2)
    for words in (["resize", "-q", "b.vdi", "+1M"], ["commit", "-q", "m.qcow2"], ["pull", "-q", "m.qcow2"]):
        disk("clone", "t.vdi", "b.vdi")
        disk("clone", "--linked", "b.vdi", "m.qcow2")
        disk("clone", "--linked", "m.qcow2", "n.qcow2")
        disk(*words, code=9)  # nobody loses a child by mistake
        disk("compare", "n.qcow2", "s.raw")
        disk(*words, "--force")
        for name in "b.vdi", "m.qcow2", "n.qcow2":
            os.unlink(name)
    disk("commit", "-q", "l.vmdk")
    disk("compare", "l.vmdk", "s.raw")
    disk("commit", "-q", "t.raw", code=2)


def set_refcount(name, cluster, count):
    """Where the first refcount block has it: 16 bits each."""
    with open(name, "r+b") as f:
        f.seek(48)
        table = int.from_bytes(f.read(8), "big")
        f.seek(table)
        block = int.from_bytes(f.read(8), "big")
        f.seek(block + 2 * cluster)
        f.write(count.to_bytes(2, "big"))


def resize_check_compact():
    disk("resize", "t.qcow2", "+32M")
    disk("resize", "t.qcow2", "32M", code=2)
    disk("resize", "t.qcow2", "32M", "--shrink")
    disk("compare", "t.qcow2", "s.raw")
    disk("resize", "t.vdi", "16M", "--shrink", code=1)
    for f in FORMATS[1:]:  # in place, or by a copy
        disk("convert", "s.raw", f"g.{f}")
        disk("resize", "-q", f"g.{f}", "+90G")
        assert ask("info", f"g.{f}")["virtual-size"] == (32 << 20) + (90 << 30)
        disk("compare", f"g.{f}", "s.raw")
    disk("convert", "s.raw", "h.vmdk", "--option", "adapter_type=lsilogic,zeroed_grain=on")
    disk("resize", "-q", "h.vmdk", "64M")
    assert b'ddb.adapterType = "lsilogic"' in open("h.vmdk", "rb").read(65536)
    disk("create", "flat.vmdk", "10M", "--option", "subformat=monolithicFlat")
    disk("resize", "flat.vmdk", "20M", code=1)
    for f in FORMATS[1:]:
        o = ask("check", f"t.{f}")
        assert o["corruptions"] == 0 and o["leaks"] == 0, o
        assert ask("compact", "-q", f"t.{f}")["freed"] >= 0
        disk("compare", f"t.{f}", "s.raw")
    disk("check", "s.raw", code=1)
    disk("create", "leaky.qcow2", "1M")
    os.truncate("leaky.qcow2", 10 * 65536)
    set_refcount("leaky.qcow2", 9, 1)  # a cluster that nothing points to
    disk("clone", "--linked", "leaky.qcow2", "above.qcow2")
    assert ask("check", "--repair", "leaky.qcow2")["leaks-fixed"] == 1
    ask("info", "--chain", "above.qcow2")  # still usable
    set_refcount("t.qcow2", 0, 0)  # the header's own cluster
    assert ask("check", "t.qcow2", code=1)["corruptions"] == 1
    assert ask("check", "--repair", "t.qcow2")["corruptions-fixed"] == 1
    assert ask("check", "t.qcow2")["corruptions"] == 0
    disk("compare", "t.qcow2", "s.raw")


def odd_names():
    names = ["a:b", "ü ö", "back\\slash", "-dash", "com,ma", "per%cent", "'apostrophe", "#"]
    for name in names:
        disk("create", "--", f"{name}.qcow2", "1M")
        for f in FORMATS[1:]:
            disk("create", f"odd.{f}", f"--backing={name}.qcow2", "-F", "qcow2")
            ask("info", "--chain", f"odd.{f}")
            if f == "qcow2" and shutil.which("qemu-img"):
                p = subprocess.run(["qemu-img", "info", "--backing-chain", f"./odd.{f}"], capture_output=True, check=True)
                assert p.stdout.decode().count("image: ") == 2, p.stdout
            os.unlink(f"odd.{f}")
            disk("create", "--force", "--", f"{name}.{f}", "1M")
            disk("clone", "--linked", f"./{name}.{f}", f"odd.{f}")
            ask("info", "--chain", f"odd.{f}")
            os.unlink(f"odd.{f}")
    disk("create", 'quo"te.vdi', "1M")
    disk("create", "odd.vmdk", "--backing", 'quo"te.vdi', "-F", "vdi", code=2)
    disk("create", "line\nbreak.vmdk", "1M", code=2)


def in_use():
    """Nobody replaces an image that another process has open."""
    disk("create", "used.qcow2", "1M")
    if not shutil.which("qemu-io"):
        return
    with subprocess.Popen(["qemu-io", "-f", "qcow2", "used.qcow2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as p:
        p.stdin.write(b"read 0 512\n")
        p.stdin.flush()
        p.stdout.readline()
        for words in (["create", "--force", "used.qcow2", "2M"], ["convert", "--force", "s.raw", "used.qcow2"]):
            said = subprocess.run([VMCTL, "disk", *words], capture_output=True, text=True)
            assert said.returncode == 9 and f"is in use by process {p.pid} (qemu-io)" in said.stderr, said
        p.stdin.close()
    disk("create", "--force", "used.qcow2", "2M")


def foreign():
    """What is no disk at all is not taken for a raw one, unless one says so."""
    files = {"f.gz": gzip.compress(b"x" * 9999), "f.xz": lzma.compress(b"x" * 9999), "f.bz2": bz2.compress(b"x" * 9999),
             "f.zip": b"PK\3\4" + bytes(600), "f.ova": bytes(257) + b"ustar" + bytes(600), "f.hdd": b"WithoutFreeSpace" * 40}
    for name, data in files.items():
        with open(name, "wb") as f:
            f.write(data)
        disk("info", name, code=1)
        disk("convert", name, "x.qcow2", code=1)
        assert ask("info", "-f", "raw", name)["format"] == "raw"


def durable():
    """What has its name is on the disk: its data before, its folder after.  Not with --no-sync."""
    if not shutil.which("strace"):
        return "there is no strace"
    with open("d.raw", "wb") as f:
        f.write(os.urandom(100000))
    disk("create", "d.qcow2", "1M", "--force")
    for words in (["create", "new", "1M"], ["convert", "-q", "-O", "qcow2", "d.raw", "new"], ["convert", "-q", "-O", "vhd", "d.raw", "new", "--force"],
                  ["clone", "-q", "-f", "qcow2", "d.qcow2", "new"], ["clone", "-q", "--linked", "-f", "qcow2", "d.qcow2", "new"],
                  ["convert", "-q", "--no-sync", "-O", "vdi", "d.raw", "new"], ["clone", "-q", "--no-sync", "d.raw", "new"]):
        subprocess.run(["strace", "-f", "-y", "-o", "calls", "-e", "trace=fsync,linkat,rename", VMCTL, "disk", *words], check=True)
        with open("calls") as f:
            calls = [line.split(" ", 1)[1].strip() for line in f if "= 0" in line]
        named = [i for i, c in enumerate(calls) if c.startswith(("linkat", "rename"))]
        before, after = calls[:named[0]], calls[named[-1] + 1:]
        lasts = any("deleted" in c for c in before) and any(c.startswith(f"fsync({n}<{os.getcwd()}>)") for c in after for n in range(9))
        assert lasts == ("--no-sync" not in words), f"{words}: {calls}"
        os.unlink("new")
    return None


def wrong_usage():
    disk(code=2)
    disk("creat", "x", code=2)
    disk("create", "x.qcow2", code=2)
    disk("create", "x.qcow2", "12X", code=2)
    disk("create", "x.qcow2", "1M", "--option", "nonsense=1", code=2)
    disk("create", "x.qcow9", "1M", "-O", "qcow9", code=2)
    disk("create", "x.vhd", "3T", code=2)
    disk("create", "none/x.raw", "1M", code=3)
    disk("info", "none.qcow2", code=3)
    disk("info", ".", code=1)
    disk("convert", "s.raw", "s.raw", "--force", code=2)
    disk("--help")
    assert not [n for n in os.listdir(".") if n.startswith("x") or n.startswith(".")]


def main():
    tests = [create_and_info, convert_compare_map, clone_commit_pull, resize_check_compact, odd_names, in_use, foreign, durable, wrong_usage]
    print(f"1..{len(tests)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(os.path.realpath(folder))
        for i, test in enumerate(tests, 1):
            try:
                skip = test()
                print(f"ok {i} {test.__name__}" + (f" # SKIP {skip}" if skip else ""), flush=True)
            except AssertionError:
                print(f"not ok {i} {test.__name__}\n# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
        os.chdir("/")


main()
