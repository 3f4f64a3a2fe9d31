#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Files out of snapshots, and which have changed: ext2, ext4, FAT12 to FAT32 and NTFS, in partitions of both kinds of table and on whole disks, as they were then; and
what is refused.  File systems are made by the distribution's programs.  Prints TAP.  Usage: test_extract.py VMCTL"""
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

VMCTL = os.path.abspath(sys.argv[1])
PROGRAMS = {"mke2fs": "e2fsprogs", "mkfs.vfat": "dosfstools", "mcopy": "mtools", "mkntfs": "ntfs-3g", "ntfscp": "ntfs-3g", "qemu-io": "qemu-utils", "debugfs": "e2fsprogs",
            "qemu-img": "qemu-utils"}
MIB = 1 << 20
LONG = "a long näme.bin"


def tool(*args):
    p = subprocess.run(args, capture_output=True, text=True, timeout=120, check=False)
    assert p.returncode == 0, f"{' '.join(args)}: {p.stdout}{p.stderr}"


class Host:
    def __init__(self):
        self.base = tempfile.mkdtemp(prefix="terrarium-extract-")
        os.mkdir(self.base + "/run", 0o700)
        self.env = dict(os.environ, XDG_DATA_HOME=self.base + "/data", XDG_RUNTIME_DIR=self.base + "/run", LC_ALL="C.UTF-8")
        self.tree, rng = self.base + "/tree", random.Random(1)
        self.files = {"hello.txt": b"hello\n", "dir/sub/" + LONG: rng.randbytes(3 * MIB + 5), "dir/hole": bytes(5 * MIB) + b"end"}
        for name, data in self.files.items():
            os.makedirs(os.path.dirname(f"{self.tree}/{name}"), exist_ok=True)
            with open(f"{self.tree}/{name}", "wb") as f:
                f.write(data)
        os.symlink("/dir/sub/" + LONG, self.tree + "/link")

    def want(self, *args, code=0, err=""):
        p = subprocess.run([VMCTL, *args], env=self.env, capture_output=True, timeout=120, check=False)
        said = p.stderr.decode()
        assert p.returncode == code, f"vmctl {' '.join(args)}: {p.returncode}: {said}"
        assert err in said, f"vmctl {' '.join(args)}: stderr has no {err!r}: {said!r}"
        return p.stdout

    def volume(self, kind, mib):
        path = f"{self.base}/{kind}.img"
        with open(path, "wb") as f:
            f.truncate(mib * MIB)
        if kind.startswith("ext"):
            tool("mke2fs", "-q", "-t", kind, "-b", "1024", "-d", self.tree, path)
        elif kind == "ntfs":
            tool("mkntfs", "-qQF", path)
            for name in ("hello.txt", "dir/hole"):
                tool("ntfscp", "-q", path, f"{self.tree}/{name}", os.path.basename(name))
        else:
            tool("mkfs.vfat", "-F", kind[3:], path)
            tool("mmd", "-i", path, "::dir", "::dir/sub")
            for name in self.files:
                tool("mcopy", "-i", path, f"{self.tree}/{name}", "::" + name)
        with open(path, "rb") as f:
            return f.read()

    def machine(self, *disks):
        """One with these as raw disks sata0, sata1 ..."""
        files = []
        for i, data in enumerate(disks):
            files += ["--disk", f"{self.base}/disk{i}.raw"]
            with open(f"{self.base}/disk{i}.raw", "wb") as f:
                f.write(data)
        self.want("create", "m", "--disk-bus", "sata", *files)
        self.want("snapshot", "take", "m", "one")

    def same(self, drive, name, path=None, snapshot="one"):
        out = self.base + "/out"
        self.want("snapshot", "extract", "m", snapshot, drive, path or name, out)
        with open(out, "rb") as f:
            assert f.read() == self.files[name], f"{drive} {path or name} is another"
        os.unlink(out)

    def refused(self, drive, path, err, snapshot="one", code=1):
        self.want("snapshot", "extract", "m", snapshot, drive, path, self.base + "/out", code=code, err=err)
        assert not os.path.exists(self.base + "/out")


def mbr_entry(kind, start, length):
    return struct.pack("<B3sB3sII", 0, b"", kind, b"", start // 512, length // 512)


def mbr(*entries):
    return b"".join(entries).ljust(64, b"\0").rjust(510, b"\0") + b"\x55\xaa"


def in_mbr(fat, ext, ntfs):
    """Partitions 1, 2, and 5 in an extended one."""
    at, data = MIB, bytearray(MIB)
    entries = []
    for kind, volume in ((0x0c, fat), (0x83, ext)):
        entries.append(mbr_entry(kind, at, len(volume)))
        data += volume
        at += len(volume)
    entries.append(mbr_entry(0x0f, at, MIB + len(ntfs)))
    data[:512] = mbr(*entries)
    return bytes(data) + mbr(mbr_entry(7, MIB, len(ntfs))).ljust(MIB, b"\0") + ntfs


def in_gpt(*volumes):
    at, data, table = MIB, bytearray(MIB), b""
    for v in volumes:
        table += struct.pack("<16s16sQQQ72s", b"type" * 4, b"own." * 4, at // 512, (at + len(v)) // 512 - 1, 0, b"")
        data += v
        at += len(v)
    data[:512] = mbr(mbr_entry(0xee, 512, at - 512))
    data[512:1024] = (b"EFI PART".ljust(72, b"\0") + struct.pack("<QII", 2, 128, 128)).ljust(512, b"\0")
    data[1024:1024 + len(table)] = table
    return bytes(data)


def test_tables(h):
    fat, ext, ntfs = h.volume("fat16", 40), h.volume("ext4", 30), h.volume("ntfs", 30)
    h.machine(in_mbr(fat, ext, ntfs), in_gpt(ext, fat))
    for drive in ("sata0:1", "sata0:2", "sata1:1", "sata1:2"):
        for name in h.files:
            h.same(drive, name, "/" + name)
    h.same("sata0:5", "hello.txt")
    h.same("sata0:5", "dir/hole", "HOLE")
    h.same("sata0", "dir/sub/" + LONG)
    h.same("sata1", "dir/sub/" + LONG, "link")  # only ext4 has links: the first that has it
    assert h.want("snapshot", "extract", "m", "one", "sata0:2", "hello.txt", "-") == b"hello\n"
    h.refused("sata0:3", "hello.txt", "no such partition")
    h.refused("sata0:x", "hello.txt", "is not DRIVE or DRIVE:PARTITION", code=3)
    h.refused("sata2", "hello.txt", "has no disk sata2; it has sata0, sata1", code=3)
    h.refused("sata0:2", "dir", "a folder")
    h.refused("sata0:2", "dir/nothing", "there is no such file")
    h.refused("sata0", "hello.txt", "no snapshot two", snapshot="two", code=3)
    with open(h.base + "/out", "w", encoding="utf-8") as f:
        f.write("mine")
    h.want("snapshot", "extract", "m", "one", "sata0", "hello.txt", h.base + "/out", code=1, err="File exists")
    with open(h.base + "/out", encoding="utf-8") as f:
        assert f.read() == "mine"


def test_whole_disks(h):
    """As they were then, without a table; and what came later."""
    h.machine(h.volume("ext2", 20), h.volume("fat12", 12), h.volume("fat32", 80))
    for drive in ("sata0", "sata1", "sata2"):
        h.same(drive, "hello.txt", "hello.txt" if drive == "sata0" else "Hello.TXT")
        h.same(drive, "dir/sub/" + LONG)
    present = os.path.join(h.env["XDG_DATA_HOME"], "terrarium/machines/m/snapshots/sata0-1.qcow2")
    tool("qemu-io", "-f", "qcow2", "-c", "write -z 0 20M", present)
    h.want("snapshot", "take", "m", "two")
    h.refused("sata0", "hello.txt", "no file system that is known", snapshot="two")
    h.same("sata0", "hello.txt")


def test_damaged(h):
    """Whatever is in it, one sentence, or the file as far as it goes."""
    rng = random.Random(2)
    ext, fat = bytearray(h.volume("ext4", 10)), bytearray(h.volume("fat12", 12))
    for data in (ext, fat):
        for _ in range(400):
            data[rng.randrange(1024 if data is ext else 512, 300000)] = rng.randrange(256)
    loop = bytearray(h.volume("fat12", 12))
    reserved = struct.unpack_from("<H", loop, 14)[0] * 512
    loop[reserved:reserved + 4096] = b"\x02\x20\x00" * 1365 + b"\0"  # every cluster is followed by the second
    h.machine(bytes(ext), bytes(fat), bytes(loop))
    for drive in ("sata0", "sata1", "sata2"):
        for name in list(h.files) + ["dir/nothing"]:
            p = subprocess.run([VMCTL, "snapshot", "extract", "m", "one", drive, name, "-"], env=h.env, capture_output=True, timeout=60, check=False)
            assert p.returncode in (0, 1) and p.stderr.decode().count("\n") == p.returncode, (drive, name, p.returncode, p.stderr)


def test_holes(h):
    """One that is larger than its disk goes to a new file only, which has its holes; never to where it would fill the host's disk."""
    for name, size in (("sparse", 200 * MIB), ("end", 100 * MIB + 3)):
        with open(f"{h.tree}/{name}", "wb") as f:
            f.write(b"begin")
            f.truncate(size)
        with open(f"{h.tree}/{name}", "r+b") as f:
            f.seek(150 * MIB)
            f.write(b"late" if name == "sparse" else b"")
        with open(f"{h.tree}/{name}", "rb") as f:
            h.files[name] = f.read()
    h.machine(h.volume("ext4", 20))
    h.want("snapshot", "extract", "m", "one", "sata0", "sparse", "-", code=1, err="larger than its disk")
    for name in ("sparse", "end"):
        h.want("snapshot", "extract", "m", "one", "sata0", name, f"{h.base}/{name}")
        with open(f"{h.base}/{name}", "rb") as f:
            assert f.read() == h.files[name] and os.fstat(f.fileno()).st_blocks * 512 < 8 * MIB
    appended = h.base + "/appended"
    for mode in ("wb", "ab"):  # behind what is there already
        with open(appended, mode) as f:
            subprocess.run([VMCTL, "snapshot", "extract", "m", "one", "sata0", "dir/hole", "-"], env=h.env, stdout=f, timeout=60, check=True)
    with open(appended, "rb") as f:
        assert f.read() == 2 * h.files["dir/hole"]


def test_cut_short(h):
    """One that is damaged in the middle is not gone on with from the next partition; what another has under that name is no file hides nothing."""
    whole, name = h.volume("fat16", 40), "dir/sub/" + LONG
    damaged, ext = bytearray(whole), h.volume("ext4", 30)
    fat = struct.unpack_from("<H", damaged, 14)[0] * 512
    damaged[fat + 2 * 500:fat + 2 * 520] = bytes(40)  # in the chain of the long one, whose clusters are 2 or 4 KiB
    h.files["dir"], h.tree = b"no folder", h.base + "/flat"
    os.mkdir(h.tree)
    with open(h.tree + "/dir", "wb") as f:
        f.write(h.files["dir"])
    h.machine(in_gpt(bytes(damaged), ext), in_gpt(ext, h.volume("ext2", 10)))
    h.refused("sata0", name, "damaged")
    h.same("sata0:2", name)
    h.same("sata1", "dir")


def later(h, kind, path):
    """hello.txt is another one, new and some/ came, dir/hole went; NTFS: nothing goes."""
    new = h.base + "/new"
    with open(new, "wb") as f:
        f.write(b"new\n")
    if kind.startswith("ext"):
        for command in (f"write {new} new", "rm dir/hole", "mkdir some", f"write {new} some/inside", "rm hello.txt", f"write {new} hello.txt"):
            tool("debugfs", "-w", "-R", command, path)
    elif kind == "ntfs":
        tool("ntfscp", "-q", path, new, "new")
        tool("ntfscp", "-q", path, new, "hello.txt")
    else:
        for command in (["mcopy", "-i", path, new, "::new"], ["mdel", "-i", path, "::dir/hole"], ["mmd", "-i", path, "::some"],
                        ["mcopy", "-i", path, new, "::some/inside"], ["mcopy", "-o", "-i", path, new, "::hello.txt"]):
            tool(*command)


def test_changes(h):
    """Of each kind of file system, in partitions and on a whole disk."""
    kinds = [("fat16", 40), ("ext4", 30), ("ntfs", 30)]
    was, now = [h.volume(*k) for k in kinds], []
    for (kind, _), data in zip(kinds, was):
        path = h.base + "/later.img"
        with open(path, "wb") as f:
            f.write(data)
        later(h, kind, path)
        with open(path, "rb") as f:
            now.append(f.read())
    h.machine(in_mbr(*was), was[1])
    settings = json.loads(h.want("info", "m", "-o", "json"))["settings"]
    for drive, data in (("sata0", in_mbr(*now)), ("sata1", now[1])):
        with open(h.base + "/later.raw", "wb") as f:
            f.write(data)
        tool("qemu-img", "convert", "-n", "-f", "raw", "-O", "qcow2", h.base + "/later.raw",
             os.path.join(h.base, "data/terrarium/machines/m", settings[drive]["file"]))
    out = json.loads(h.want("snapshot", "diff", "m", "one", "--files", "-o", "json"))
    seen = {(d["drive"], p["partition"], p["kind"]): sorted((f["path"], f["what"]) for f in p["files"])
            for d in out["disks"] for p in d["partitions"]}
    most = [("/dir/hole", "removed"), ("/hello.txt", "changed"), ("/new", "added"), ("/some/", "added")]
    want = {("sata0", 1, "FAT"): most, ("sata0", 2, "ext4"): most, ("sata0", 5, "NTFS"): [("/hello.txt", "changed"), ("/new", "added")],
            ("sata1", 0, "ext4"): most}
    assert seen == want, seen
    assert not any(p["more"] or "why" in p for d in out["disks"] for p in d["partitions"]), out
    text = h.want("snapshot", "diff", "m", "one", "--files").decode()
    assert "  sata0:5 (NTFS): 2 changes\n    * /hello.txt\n    + /new\n" in text and "  sata1 (ext4): 4 changes\n" in text, text
    h.want("snapshot", "take", "m", "two")
    back = json.loads(h.want("snapshot", "diff", "m", "two", "one", "--files", "-o", "json"))
    files = next(p["files"] for d in back["disks"] if d["drive"] == "sata1" for p in d["partitions"])
    assert {f["path"]: f["what"] for f in files} == {"/dir/hole": "added", "/hello.txt": "changed", "/new": "removed", "/some/": "removed"}, files


def test_changes_unknown(h):
    """What is no file system, damaged, or names that are no text: said, and the rest is there."""
    ext = bytearray(h.volume("ext2", 10))
    h.machine(bytes(MIB), bytes(ext))
    settings = json.loads(h.want("info", "m", "-o", "json"))["settings"]
    at = ext.find(b"hello.txt")
    ext[at:at + 9] = b"he\x1bl\xffo.t\n"
    for drive, data in (("sata0", b"x" * MIB), ("sata1", bytes(ext))):
        with open(h.base + "/later.raw", "wb") as f:
            f.write(data)
        tool("qemu-img", "convert", "-n", "-f", "raw", "-O", "qcow2", h.base + "/later.raw",
             os.path.join(h.base, "data/terrarium/machines/m", settings[drive]["file"]))
    out = json.loads(h.want("snapshot", "diff", "m", "one", "--files", "-o", "json"))
    none, one = ([d["partitions"][0] for d in out["disks"] if d["drive"] == drive][0] for drive in ("sata0", "sata1"))
    assert "no file system" in none["why"] and not none["files"], none
    assert sorted(f["what"] for f in one["files"]) == ["added", "removed"], one
    text = h.want("snapshot", "diff", "m", "one", "--files")
    assert b"\x1b" not in text and text.decode(), text


def test_deleted_meanwhile(h):
    """What is read of a snapshot that goes may be of a later time, and says so."""
    h.machine(h.volume("ext4", 30))
    args = ["snapshot", "extract", "m", "one", "sata0", "dir/sub/" + LONG, "-"]
    p = subprocess.Popen([VMCTL, *args], env=h.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdout.read(1)  # it has begun, and waits: a pipe takes less than 3 MiB
    h.want("snapshot", "take", "m", "two")
    h.want("snapshot", "delete", "m", "one")
    _, said = p.communicate(timeout=60)
    assert p.returncode == 1 and b"deleted or changed while it was read" in said, (p.returncode, said)
    h.same("sata0", "dir/sub/" + LONG, snapshot="two")


def main():
    tests = [(n[5:], f) for n, f in globals().items() if n.startswith("test_")]
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = next((f"{p} (package {PROGRAMS[p]})" for p in PROGRAMS if not shutil.which(p)), None)
    failed = 0
    print(f"1..{len(tests)}")
    for number, (name, test) in enumerate(tests, 1):
        if missing:
            print(f"ok {number} {name} # SKIP no {missing}")
            continue
        h = Host()
        try:
            test(h)
            print(f"ok {number} {name}", flush=True)
        except (AssertionError, OSError, subprocess.SubprocessError) as e:
            failed += 1
            print(f"not ok {number} {name}\n# " + str(e)[:2000].replace("\n", "\n# "), flush=True)
        finally:
            shutil.rmtree(h.base, ignore_errors=True)
    return failed > 0


sys.exit(main())
