#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What vmctl media detect says of media and disks that are made here, of damaged ones, and of what is neither.  Prints TAP.
Usage: test_media.py VMCTL TERRARIUM-LOOK"""
import json
import os
import random
import struct
import subprocess
import sys

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__))]
from make import DEBIAN, FEDORA, LOOK, UBUNTU, main, missing, run  # noqa: E402


def is_(found, **wanted):
    for key, value in wanted.items():
        assert found.get(key) == value, f"{key} is {found.get(key)!r}, not {value!r}: {found}"


def test_debian(h):
    h.iso("d.iso", DEBIAN, "Debian 12.5.0 amd64 n")
    is_(h.detect("d.iso"), kind="installer", id="debian12", os="linux", version="12.5.0", architecture="x86_64", by=".disk/info",
        unattended="debian", kernel="install.amd/vmlinuz", initrd="install.amd/initrd.gz", volume="Debian 12.5.0 amd64 n", bios=False)
    h.want(0, "media", "detect", "d.iso", out="debian12")
    assert h.inside("d.iso", "install.amd/initrd.gz") == DEBIAN["install.amd/initrd.gz"]
    live = {k: v for k, v in DEBIAN.items() if not k.endswith("initrd.gz")}
    h.iso("live.iso", {**live, "live/filesystem.squashfs": "x"})
    is_(h.detect("live.iso"), kind="live", id="debian12", unattended="none")


def test_names(h):
    """The same files by Rock Ridge names only, and by Joliet's only."""
    files = {**UBUNTU, "a long folder/" * 6 + "x" * 60: "deep"}
    for name, options in (("rock.iso", ("-r",)), ("joliet.iso", ("-J", "-joliet-long"))):
        h.iso(name, files, options=options)
        is_(h.detect(name), id="ubuntu24.04", unattended="ubuntu", initrd="casper/initrd")
        assert h.inside(name, "CASPER/Initrd") == UBUNTU["casper/initrd"], "the case of letters does not count"


def test_ubuntu(h):
    h.iso("s.iso", UBUNTU)
    is_(h.detect("s.iso"), kind="installer", id="ubuntu24.04", unattended="ubuntu", memory=3 << 30)
    for text, kind in (('Ubuntu 24.04 LTS "Noble Numbat" - Release amd64 (20240424)', "ubuntu"),
                       ('Ubuntu 22.04.3 LTS "Jammy Jellyfish" - Release amd64 (20230807)', "none"),  # another installer
                       ('Kubuntu 24.04 LTS "Noble Numbat" - Release amd64 (20240424)', "none")):
        h.iso("u.iso", {**UBUNTU, ".disk/info": text})
        is_(h.detect("u.iso"), kind="live", id="ubuntu" + text.split()[1][:5], unattended=kind)


def test_fedora(h):
    h.iso("f.iso", FEDORA, "Fedora-S-dvd-x86_64-40")
    is_(h.detect("f.iso"), id="fedora40", by=".treeinfo", unattended="fedora", kernel="images/pxeboot/vmlinuz", architecture="x86_64")
    h.iso("r.iso", {**FEDORA, ".treeinfo": FEDORA[".treeinfo"].replace("Fedora", "Rocky Linux").replace("= 40", "= 9.3")})
    is_(h.detect("r.iso"), id="rocky9.3", unattended="fedora")


def test_windows(h):
    reason = missing("wimcapture", "genisoimage")
    if reason:
        return reason
    h.windows("11.iso", 22631)
    found = h.detect("11.iso")
    is_(found, id="win11", os="windows", unattended="windows", architecture="x86_64", languages=["en-US"], disk=64 << 30,
        by="sources/install.wim", version="build 22631")
    assert [(e["index"], e["id"], e["name"]) for e in found["editions"]] == [(1, "Core", "Windows X Home"), (2, "Professional", "Windows X Pro")]
    for build, edition, arch, name in ((7601, "Ultimate", 0, "win7"), (9600, "Core", 9, "win8.1"), (19045, "Core", 9, "win10"),
                                       (20348, "ServerStandard", 9, "win2k22"), (6002, "Ultimate", 9, "winvista")):
        h.windows(f"{name}.iso", build, [edition], arch, "de-DE", udf=False)
        is_(h.detect(f"{name}.iso"), id=name, languages=["de-DE"], architecture="i686" if arch == 0 else "x86_64",
            unattended="none" if name == "winvista" else "windows")
    return None


def test_volumes(h):
    for volume, name, os_name in (("14_0_RELEASE_AMD64_CD", "freebsd", "bsd"), ("OpenBSD/amd64   7.4 Install CD", "openbsd", "bsd"),
                                  ("ARCH_202401", "archlinux", "linux"), ("FD13LIVE", "freedos", "dos"), ("GAMES", "unknown", "other")):
        h.iso("v.iso", {"x": "x"}, volume)
        is_(h.detect("v.iso"), id=name, os=os_name, volume=volume)
    h.iso("xp.iso", {"I386/TXTSETUP.SIF": "x"})
    is_(h.detect("xp.iso"), id="winxp", os="windows-old")
    h.iso("os.iso", {"etc/os-release": 'NAME="Void"\nID="void"\nPRETTY_NAME="Void Linux"\n'})
    is_(h.detect("os.iso"), id="void", name="Void Linux", by="etc/os-release")


def test_boots(h):
    boot = {"boot/a.bin": b"\xeb\xfe" * 1024, "boot/efi.img": b"\0" * 4096, "EFI/BOOT/BOOTX64.EFI": "MZ"}
    bios = ("-b", "boot/a.bin", "-no-emul-boot", "-boot-load-size", "4")
    uefi = ("-e", "boot/efi.img", "-no-emul-boot")
    for options, by_bios, by_uefi in ((bios, True, False), (bios + ("-eltorito-alt-boot",) + uefi, True, True), (uefi, False, True)):
        h.iso("b.iso", boot, options=("-r",) + options)
        is_(h.detect("b.iso"), bios=by_bios, uefi=by_uefi, architecture="x86_64")


def test_osinfo(h):
    h.write("osinfo/os/example.org/ex-3.xml",
            '<?xml version="1.0"?><libosinfo><os id="x"><short-id>ex3</short-id><name>Example 3</name><name xml:lang="de">Beispiel</name>'
            '<family>freebsd</family><media arch="i686" live="true"><iso><volume-id>^EX-3\\d+$</volume-id></iso></media>'
            "<resources arch='all'><minimum><ram>1000</ram></minimum><recommended><ram>3221225472</ram><n-cpus>3</n-cpus></recommended>"
            "</resources></os></libosinfo>")
    h.write("osinfo/os/example.org/damaged.xml", "<libosinfo><os>")
    h.iso("e.iso", {"x": "x"}, "EX-317")
    is_(h.detect("e.iso"), id="ex3", name="Example 3", os="bsd", kind="live", architecture="i686", memory=3 << 30, cpus=3, by="osinfo-db")
    h.iso("n.iso", {"x": "x"}, "EX-3x")
    is_(h.detect("n.iso"), id="unknown")


def partition(kind, first, sectors):
    return struct.pack("<B3sB3sII", 0x80, b"", kind, b"", first, sectors)


def mbr(*partitions, code=b""):
    return code.ljust(446, b"\0") + b"".join(partitions).ljust(64, b"\0") + b"\x55\xaa"


def gpt_with_esp(first, last):
    esp = bytes.fromhex("28732ac11ff8d211ba4b00a0c93ec93b")
    head = b"EFI PART" + struct.pack("<IIIIQQQQ16sQIII", 0x10000, 92, 0, 0, 1, 0, 34, 0, b"", 2, 128, 128, 0)
    return mbr(partition(0xee, 1, 1000)) + head.ljust(512, b"\0") + (esp + b"u" * 16 + struct.pack("<QQQ", first, last, 0)).ljust(128, b"\0")


def look_at(h, name, *form):
    return json.loads(run(LOOK, "disk", h.path(name), *form, env=h.env))


def test_disks(h):
    """Partitions are one thing, a boot loader that was installed another."""
    grub = b"\xeb\x63\x90" + b"\0" * 0x17d + b"GRUB \0"
    generic = bytes.fromhex("fab800108ed0bc00b0b800008ed88ec0fb")  # what a partitioning program writes
    for name, code, bios in (("grub.img", grub, True), ("parted.img", generic, False)):
        h.write(name, mbr(partition(0x83, 2048, 4096), code=code) + b"\0" * (8 << 20))
        is_(h.detect(name), kind="disk", bios=True, uefi=False, by="MBR", disk=(8 << 20) + 512)
        is_(look_at(h, name), partitions=True, bios=bios, uefi=False, gpt=False)
    h.want(0, "disk", "convert", "grub.img", "grub.qcow2")
    is_(h.detect("grub.qcow2"), kind="disk", bios=True, name="disk image (qcow2)")
    is_(look_at(h, "grub.qcow2", "qcow2"), bios=True, format="qcow2")
    h.write("uefi.img", gpt_with_esp(2048, 2048 + 65535).ljust(48 << 20, b"\0"))
    is_(h.detect("uefi.img"), kind="disk", bios=False, uefi=True, by="GPT")
    reason = missing("mkfs.vfat", "mmd")
    if reason:
        return reason
    for fat, sectors in (("16", 40960), ("32", 80000)):
        for folder in (False, True):
            h.write("esp.img", b"\0" * sectors * 512)
            run("mkfs.vfat", "-F", fat, h.path("esp.img"))
            if folder:
                run("mmd", "-i", h.path("esp.img"), "::/EFI")
            with open(h.path("esp.img"), "rb") as f, open(h.path("uefi.img"), "r+b") as disk:
                disk.seek(2048 * 512)
                disk.write(f.read())
            is_(look_at(h, "uefi.img"), esp=True, uefi=folder, gpt=True)
    return None


def test_neither(h):
    h.write("zeroes", b"\0" * 100000)
    h.write("empty", b"")
    h.write("text.iso", "this is no ISO\n" * 10000)
    for name, err in (("zeroes", "neither"), ("empty", "is empty"), ("text.iso", "neither")):
        h.want(1, "media", "detect", name, err=err)
    os.mkdir(h.path("folder"))
    h.want(1, "media", "detect", "folder", err="neither a file nor a disk")
    os.mkfifo(h.path("pipe"))
    h.want(1, "media", "detect", "pipe", err="neither a file nor a disk")
    h.want(3, "media", "detect", "not-there", err="No such file")
    if os.geteuid():
        os.chmod(h.path("zeroes"), 0)
        h.want(6, "media", "detect", "zeroes", err="Permission denied")
        os.chmod(h.path("zeroes"), 0o600)
    h.want(2, "media", "detect", err="usage")
    h.env["TERRARIUM_LOOK"] = "/bin/false"
    h.want(1, "media", "detect", "zeroes", err="ended before")


def test_strange_texts(h):
    h.iso("x.iso", {**DEBIAN, ".disk/info": b"Debian GNU/Linux 12 \xff\x1b[31m" + b"y" * 5000}, "A\x1b[2J\\\"B")
    found = h.detect("x.iso")
    is_(found, id="debian12")
    assert len(found["name"]) <= 100
    text = h.want(0, "media", "detect", "x.iso")
    assert "debian12" in text


def test_damaged(h):
    """Cut short anywhere, or with bytes changed: an answer or a sentence, never a crash."""
    seed = int(os.environ.get("SEED", "1"))
    print(f"# seed {seed}", flush=True)
    names = [h.iso("d.iso", DEBIAN)]
    if not missing("wimcapture", "genisoimage"):
        names.append(h.windows("w.iso", 22631))
    r = random.Random(seed)
    for name in names:
        with open(h.path(name), "rb") as f:
            whole = f.read()
        for _ in range(40):
            data = bytearray(whole[:r.choice([len(whole), r.randrange(len(whole))])])
            for _ in range(r.randrange(30)):
                at = r.randrange(len(data)) if r.random() < 0.5 or len(data) < 40000 else 32768 + r.randrange(len(data) - 32768)
                data[at] = r.randrange(256)
            h.write("bad.iso", bytes(data))
            p = subprocess.run([LOOK, "medium", h.path("bad.iso")], env=h.env, capture_output=True, timeout=60, check=False)
            assert p.returncode in (0, 1, 3), f"exit {p.returncode}: {p.stderr.decode(errors='replace')}"


main({n: f for n, f in globals().items()})
