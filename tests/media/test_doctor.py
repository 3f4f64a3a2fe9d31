#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vmctl doctor: that it sees what is wrong, says why and what mends it, and changes nothing.  Prints TAP.
Usage: test_doctor.py VMCTL TERRARIUM-LOOK TERRARIUM-VM"""
import fcntl
import json
import os
import shutil
import struct
import subprocess
import sys

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__))]
from make import VMCTL, main  # noqa: E402

VM = os.path.abspath(sys.argv[3])


def look(h, code=0):
    """{id or (id, machine): finding}"""
    h.env.setdefault("TERRARIUM_VM", VM)
    found = json.loads(h.want(code, "doctor", "-o", "json"))
    assert found["schema"] == 1
    for f in found["findings"]:
        assert f["grade"] in ("good", "hint", "warning", "problem") and f["what"] and f["evidence"], f
        assert f["grade"] == "good" or f.get("cause") or f.get("fix") or f["grade"] == "hint", f
    return {(f["id"], f["machine"]) if "machine" in f else f["id"]: f for f in found["findings"]}


def machine(h, name, *options):
    h.want(0, "create", name, "--nic", "none", *options)
    return h.path(f"data/terrarium/machines/{name}")


def snapshot(h):
    return {p: os.lstat(p).st_mtime_ns for d, _, fs in os.walk(h.path("data")) for p in [d, *(os.path.join(d, f) for f in fs)]}


def test_good(h):
    folder = machine(h, "m", "--disk", "10M")
    before = snapshot(h)
    found = look(h)
    assert snapshot(h) == before, "it changes nothing"
    assert found["look-program"]["grade"] == "good" and found["runtime-folder"]["grade"] == "good" and "engine" in found
    assert not [k for k in found if isinstance(k, tuple)], found
    assert folder and h.want(0, "doctor", out="terrarium-look is there")


def test_images(h):
    folder = machine(h, "m", "--disk", "10M", "--disk", "11M", "--disk-format", "qcow2")
    h.write("cd.iso", "x" * 4096)
    h.want(0, "create", "c", "--nic", "none", "--cdrom", "cd.iso")
    os.remove(h.path("cd.iso"))
    with open(folder + "/disk.qcow2", "r+b") as f:
        f.write(b"QFI\xfb\0\0\0\x63")
    os.rename(folder + "/disk2.qcow2", folder + "/away")
    found = look(h, 1)
    damaged, gone, cd = found["image-damaged", "m"], found["image-missing", "m"], found["image-missing", "c"]
    assert damaged["grade"] == "problem" and "disk.qcow2" in damaged["evidence"] and "vmctl disk check" in damaged["fix"], damaged
    assert "disk2.qcow2" in gone["evidence"] and "vmctl set m" in gone["fix"], gone
    assert cd["fix"] == "vmctl set c --unset ide2.file", cd
    subprocess.run(cd["fix"].replace("vmctl", VMCTL).split(), env=h.env, check=True)
    assert ("image-missing", "c") not in look(h, 1), "the fix mends it"


def test_formats(h):
    """A disk without a format has the one that its name says, as at a start."""
    h.want(0, "disk", "create", "d.qcow2", "10M")
    machine(h, "m", "--disk", "d.qcow2")
    h.want(0, "set", "m", "--unset", "ide0.format")
    assert not [k for k in look(h) if isinstance(k, tuple)]
    h.write("d.qcow2", b"\0" * 100000)
    assert "d.qcow2" in look(h, 1)["image-damaged", "m"]["evidence"]


def test_locked(h):
    folder = machine(h, "m", "--disk", "10M")
    with open(folder + "/disk.img", "rb") as f:
        fcntl.fcntl(f, 37, struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 101, 1, 0))  # F_OFD_SETLK, as a writer does
        found = look(h)["image-locked", "m"]
        assert found["grade"] == "warning" and "in use" in found["what"] and "fuser" in found["fix"], found
    assert ("image-locked", "m") not in look(h)


def test_settings(h):
    folder = machine(h, "m")
    h.write("data/terrarium/machines/m/machine.ini", "[machine]\nmemmory=1G\n")
    os.makedirs(h.path("data/terrarium/machines/no machine/x"))
    found = look(h, 1)
    assert "memory" in found["machine-ini", "m"]["cause"] and folder in found["machine-ini", "m"]["fix"], found
    assert found["no-machine-ini", "no machine"]["fix"] == "vmctl delete 'no machine'"
    if os.geteuid():
        os.chmod(folder + "/machine.ini", 0)
        assert "ermission" in look(h, 1)["machine-ini", "m"]["cause"]


def test_leftovers(h):
    machine(h, "m")
    os.makedirs(h.path("data/terrarium/machines/.new-abcdef"))
    found = look(h)["leftovers"]
    assert found["grade"] == "hint" and ".new-abcdef" in found["evidence"] and found["fix"] == "vmctl list"


def test_programs(h):
    h.env["TERRARIUM_VM"] = "/bin/false"
    found = look(h, 1)
    assert found["engine"]["grade"] == "problem" and found["engine"]["fix"], found["engine"]
    os.makedirs(h.path("bin"))
    shutil.copy(VMCTL, h.path("bin/vmctl"))  # where no other program of ours is
    del h.env["TERRARIUM_LOOK"], h.env["TERRARIUM_VM"]
    h.env["PATH"] = h.path("bin")
    p = subprocess.run([h.path("bin/vmctl"), "doctor", "-o", "json"], env=h.env, capture_output=True, check=False)
    found = {f["id"]: f for f in json.loads(p.stdout)["findings"]}
    assert p.returncode == 1 and b"problem" in p.stderr
    for name, grade in (("engine", "problem"), ("look-program", "problem"), ("network-program", "problem"), ("screen-program", "warning"),
                        ("passt", "hint"), ("swtpm", "hint")):
        assert found[name]["grade"] == grade and found[name]["fix"], found[name]


def test_firmware(h):
    """OVMF of another layout than a start takes is none."""
    folder = "/usr/share/OVMF"
    if not os.path.isdir(folder):
        return f"{folder} is not there"
    h.env["TERRARIUM_VM"] = VM
    script = f"mount -t tmpfs none {folder} || exit 77; echo x > {folder}/OVMF_CODE.fd; exec \"$0\" doctor -o json"
    p = subprocess.run(["unshare", "-rm", "sh", "-c", script, VMCTL], env=h.env, capture_output=True, text=True, check=False)
    if p.returncode == 77 or "unshare" in p.stderr:
        return "no file system of one's own may be mounted here"
    found = {f["id"]: f for f in json.loads(p.stdout)["findings"]}["ovmf"]
    assert found["grade"] == "hint" and "OVMF_CODE_4M.fd" in found["evidence"] and found["fix"], found
    return None


def test_folders(h):
    os.chmod(h.path("run"), 0o700)
    os.makedirs(h.path("run/terrarium"))
    os.chmod(h.path("run/terrarium"), 0o777)
    found = look(h, 1)["runtime-folder"]
    assert found["grade"] == "problem" and h.path("run") in found["evidence"], found


def test_usage(h):
    h.want(2, "doctor", "x", err="usage")
    h.want(2, "doctor", "-o", "xml", err="table, json or name")


main({n: f for n, f in globals().items()})
