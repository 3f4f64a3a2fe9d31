#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Answers for installers, and machines that install themselves: what the files say, with names that are hard on their formats; the
Windows one against what Microsoft documents.  Prints TAP.  Usage: test_unattended.py VMCTL TERRARIUM-LOOK TERRARIUM-VM-SCRIPTED"""
import base64
import ctypes
import json
import os
import pty
import re
import shlex
import stat
import subprocess
import sys
import termios
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__))]
import windows_answers  # noqa: E402
from make import DEBIAN, FEDORA, UBUNTU, VMCTL, main, missing  # noqa: E402

VM = os.path.abspath(sys.argv[3])
NAMES = ["Ann", "O'Neil \"Ann\"", "<&>'\"]]>&amp;", "# - {a: [b]}: *c &d !e %f", "$(touch x) `x` ${HOME}", "Ännchen 漢字 😀", "'", "a=b", "%s%n"]
LINUX_NAMES = [n.replace(":", ";").replace(",", ".") for n in NAMES]  # /etc/passwd has its own use for these
PASSWORDS = ["x", "p w", "#'\"<&>\\$`", "pässwörd😀", "-", "!", " leading and trailing "]


def is_hash_of(text, password):
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    return text.startswith("$6$") and crypt(password.encode(), text.encode()).decode() == text


def answers(h, kind, iso, *options, password="secret"):
    """Makes the medium; its name."""
    h.write("pw", password + "\nsecond line\n")
    out = h.path("out.iso")
    if os.path.exists(out):
        os.remove(out)
    h.want(0, "unattended", kind, iso, "--password-file", "pw", "-o", "out.iso", *options, out="out.iso")
    assert stat.S_IMODE(os.stat(out).st_mode) == 0o600
    return "out.iso"


def test_debian(h):
    reason = missing("debconf-set-selections")
    h.iso("d.iso", DEBIAN)
    for name in LINUX_NAMES:
        out = answers(h, "debian", "d.iso", "--user", "ann", "--full-name", name, "--hostname", "box", "--locale", "de_AT.UTF-8",
                      "--keyboard", "de(nodeadkeys)", "--packages", "vim less", "--mirror", "http://10.0.2.2:8000/debian", "--serial-console")
        text = h.inside(out, "preseed.cfg").decode()
        said = dict(re.match(r"(?:d-i|tasksel|popularity-contest) (\S+) \S+ ?(.*)", line).groups() for line in text.splitlines()[1:])
        assert said["passwd/user-fullname"] == name and said["passwd/username"] == "ann"
        assert is_hash_of(said["passwd/user-password-crypted"], "secret") and "secret" not in text
        assert said["time/zone"] == "Europe/Vienna" and said["debian-installer/locale"] == "de_AT.UTF-8"
        assert said["mirror/http/hostname"] == "10.0.2.2:8000" and said["mirror/http/directory"] == "/debian"
        assert said["keyboard-configuration/xkb-keymap"] == "de(nodeadkeys)" and said["pkgsel/include"] == "vim less"
        if not reason:
            p = subprocess.run(["debconf-set-selections", "--checkonly"], input=text.encode(), capture_output=True, check=False)
            assert p.returncode == 0 and not p.stderr, p.stderr
    return None


def test_ubuntu(h):
    try:
        import yaml
    except ImportError:
        return "python3-yaml is not installed"
    h.iso("u.iso", UBUNTU)
    for name, password in zip(LINUX_NAMES, PASSWORDS + PASSWORDS):
        out = answers(h, "ubuntu", "u.iso", "--user", "ann", "--full-name", name, "--hostname", "box", "--keyboard", "us(intl)",
                      "--packages", "vim less", "--serial-console", password=password)
        text = h.inside(out, "user-data")
        assert text.startswith(b"#cloud-config\n")
        data = yaml.safe_load(text)["autoinstall"]
        assert data["version"] == 1 and data["keyboard"] == {"layout": "us", "variant": "intl"} and data["packages"] == ["vim", "less"]
        who = data["identity"]
        assert (who["realname"], who["username"], who["hostname"]) == (name, "ann", "box") and is_hash_of(who["password"], password)
        assert yaml.safe_load(h.inside(out, "meta-data")) == {"instance-id": "box", "local-hostname": "box"}
    assert h.detect(out)["volume"] == "CIDATA"
    return None


def test_fedora(h):
    h.iso("f.iso", FEDORA)
    for name in LINUX_NAMES:
        out = answers(h, "fedora", "f.iso", "--user", "ann", "--full-name", name, "--hostname", "box", "--keyboard", "de(nodeadkeys)")
        lines = {words[0]: words[1:] for words in map(shlex.split, h.inside(out, "ks.cfg").decode().split("%packages")[0].splitlines())}
        user = dict(w.removeprefix("--").split("=", 1) for w in lines["user"] if "=" in w)
        assert user["gecos"] == name and user["name"] == "ann" and is_hash_of(user["password"], "secret")
        assert lines["keyboard"] == ["--xlayouts=de (nodeadkeys)"] and lines["timezone"] == ["Europe/Vienna", "--utc"]
    assert h.detect(out)["volume"] == "OEMDRV"


def test_windows(h):
    reason = missing("wimcapture", "genisoimage")
    if reason:
        return reason
    for build, arch in ((7601, 0), (9600, 9), (19045, 9), (22631, 9)):
        iso = h.windows(f"{build}.iso", build, arch=arch)
        for uefi in ((), ("--uefi",)):
            text = h.inside(answers(h, "windows", iso, "--user", "Ann B", *uefi, "--hostname", "box"), "autounattend.xml")
            root = windows_answers.check(text, build)
            get = lambda path: windows_answers.get(root, path)  # noqa: E731
            assert get("ImageInstall/OSImage/InstallFrom/MetaData/Value") == ["2"], "Professional"
            types = get("DiskConfiguration/Disk/CreatePartitions/CreatePartition/Type")
            assert types == (["EFI", "MSR", "Primary"] if uefi else ["Primary", "Primary"])
            assert get("ImageInstall/OSImage/InstallTo/PartitionID") == [str(len(types))]
            extend = get("DiskConfiguration/Disk/CreatePartitions/CreatePartition/Extend")
            assert extend == ["true"] and get("DiskConfiguration/Disk/WillWipeDisk") == ["true"]
            assert get("UserAccounts/LocalAccounts/LocalAccount/Name") == ["Ann B"] == get("AutoLogon/Username")
            assert get("TimeZone") == ["W. Europe Standard Time"] and get("ComputerName") == ["box"]
            commands = " ".join(get("RunSynchronous/RunSynchronousCommand/Path"))
            for wall, since in (("BypassTPMCheck", 22000), ("BypassSecureBootCheck", 22000), ("BypassRAMCheck", 22000), ("BypassNRO", 10240)):
                assert (wall in commands) == (build >= since), f"{wall} of build {build}"
            assert (b'"x86"' in text) == (arch == 0)
    return None


def test_windows_names(h):
    reason = missing("wimcapture", "genisoimage")
    if reason:
        return reason
    iso = h.windows("w.iso", 22631, language="de-DE")
    for name, password in zip(NAMES, PASSWORDS + [""] + PASSWORDS):
        out = answers(h, "windows", iso, "--user", "Änn O'Neil & S", "--full-name", name, "--hostname", "box", password=password)
        text = h.inside(out, "autounattend.xml")
        root = windows_answers.check(text, 22631)
        assert windows_answers.get(root, "UserAccounts/LocalAccounts/LocalAccount/DisplayName") == [name]
        assert windows_answers.get(root, "UserAccounts/LocalAccounts/LocalAccount/Name") == ["Änn O'Neil & S"]
        assert windows_answers.get(root, "SetupUILanguage/UILanguage") == ["de-DE"], "of the medium's languages"
        for coded in windows_answers.get(root, "AutoLogon/Password/Value") + windows_answers.get(root, "UserAccounts/LocalAccounts/LocalAccount/Password/Value"):
            assert base64.b64decode(coded).decode("utf-16-le") == password + "Password"
    for edition, index in (("1", "1"), ("core", "1"), ("Windows X Pro", "2")):
        text = h.inside(answers(h, "windows", iso, "--user", "Ann", "--edition", edition), "autounattend.xml")
        assert windows_answers.get(windows_answers.check(text, 22631), "ImageInstall/OSImage/InstallFrom/MetaData/Value") == [index]
    text = h.inside(answers(h, "windows", iso, "--user", "Ann", "--key", "ABCDE-12345-ABCDE-12345-ABCDE"), "autounattend.xml")
    root = windows_answers.check(text, 22631)
    assert windows_answers.get(root, "ProductKey") == ["ABCDE-12345-ABCDE-12345-ABCDE"]
    assert not windows_answers.get(root, "ImageInstall/OSImage/InstallFrom/MetaData/Value"), "the key says which"
    h.want(0, "unattended", "windows", iso, "--user", "Ann", "--password-file", "-", "--key-file", "-", "-o", "keyed.iso",
           stdin=b"secret\nABCDE-12345-ABCDE-12345-ABCDF\n")
    root = windows_answers.check(h.inside("keyed.iso", "autounattend.xml"), 22631)
    assert windows_answers.get(root, "ProductKey") == ["ABCDE-12345-ABCDE-12345-ABCDF"]
    coded = windows_answers.get(root, "AutoLogon/Password/Value")[0]
    assert base64.b64decode(coded).decode("utf-16-le") == "secretPassword"
    h.want(2, "unattended", "windows", iso, "--user", "Ann", "--password-file", "-", "--key", "x", "--key-file", "-", "-o", "x.iso",
           stdin=b"a\nb\n", err="one of them")
    h.tree("drivers", {"viostor/w11/viostor.inf": "[Version]", "viostor/w11/viostor.sys": b"\0" * 100000, "README": "x"})
    out = answers(h, "windows", iso, "--user", "Ann", "--drivers", "drivers")
    assert h.inside(out, "$WinPEDriver$/viostor/w11/viostor.sys") == b"\0" * 100000 and h.inside(out, "autounattend.xml")
    h.want(2, "unattended", "windows", iso, "--user", "Ann", "--drivers", "none", "-o", "x.iso", err="no such folder")
    h.want(2, "unattended", "windows", iso, "--user", "Ann", "--edition", "Ultimate", err="there are 1 (Windows X Home), 2 (Windows X Pro)")
    return None


def test_refused(h):
    h.iso("d.iso", DEBIAN)
    h.iso("f.iso", FEDORA)
    h.write("pw", "secret\n")
    good = {"--user": "ann", "--password-file": "pw"}
    for option, value in (("--user", "Ann"), ("--user", "root"), ("--user", "-x"), ("--user", "a:b"), ("--user", "a\nb"), ("--user", ""),
                          ("--full-name", "a\nd-i x/y string z"), ("--full-name", "a:b"), ("--full-name", "x\\"), ("--hostname", "a_b"),
                          ("--hostname", "-a"), ("--hostname", "x" * 64), ("--locale", "german"), ("--locale", "de_DE; x"), ("--time-zone", "../x y"),
                          ("--time-zone", "/etc/passwd"), ("--keyboard", "de; x"), ("--mirror", "https://x/"), ("--mirror", "http://x/ y"),
                          ("--packages", "a;b"), ("--key", "ABCDE-12345-ABCDE-12345-ABCDE"), ("--edition", "1")):
        options = [w for pair in {**good, option: value}.items() for w in pair]
        h.want(2, "unattended", "debian", "d.iso", "-o", "x.iso", *options, err="cannot be")
        assert not os.path.exists(h.path("x.iso"))
    h.want(2, "unattended", "debian", "d.iso", "--user", "ann", "-o", "x.iso", err="password is missing")
    h.want(3, "unattended", "debian", "d.iso", "--user", "ann", "--password-file", "none", "-o", "x.iso", err="none")
    h.write("long", "x" * 5000)
    h.want(2, "unattended", "debian", "d.iso", "--user", "ann", "--password-file", "long", "-o", "x.iso", err="longer")
    h.want(2, "unattended", "fedora", "d.iso", "--user", "ann", "--password-file", "pw", err="does not take the answers for fedora")
    h.want(2, "unattended", "beos", "d.iso", err="no answers for")
    h.want(2, "unattended", "debian", err="usage")
    h.want(3, "unattended", "debian", "none.iso", err="none.iso")
    h.write("there.iso", "mine")
    h.want(7, "unattended", "debian", "d.iso", "--user", "ann", "--password-file", "pw", "-o", "there.iso", err="exists")
    h.want(0, "unattended", "debian", "d.iso", "--user", "ann", "--password-file", "-", "-o", "x.iso", stdin=b"secret\n")
    h.want(2, "create", "m", "--user", "ann", err="with --unattended only")
    h.want(2, "create", "m", "--unattended", err="--cdrom ISO")
    h.iso("v.iso", {"x": "x"}, "GAMES")
    h.want(2, "create", "m", "--unattended", "--cdrom", "v.iso", "--user", "ann", "--password-file", "pw", err="cannot be installed without questions")
    assert h.want(0, "list", "-o", "name") == "", "no half machine"


def unpack(archive):
    """{name: contents} of a cpio archive (newc)."""
    files, at = {}, 0
    while True:
        assert archive[at:at + 6] == b"070701", f"no entry at {at}"
        field = lambda n, at=at: int(archive[at + 6 + 8 * n:at + 14 + 8 * n], 16)  # noqa: E731
        name = archive[at + 110:at + 110 + field(11) - 1].decode()
        data = (at + 110 + field(11) + 3) & ~3
        if name == "TRAILER!!!":
            return files
        files[name], at = archive[data:data + field(6)], (data + field(6) + 3) & ~3


def folder(h, name):
    return h.path(f"data/terrarium/machines/{name}")


def create(h, name, iso, *options):
    h.write("pw", "secret\n")
    h.want(0, "create", name, "--cdrom", iso, "--unattended", "--user", "ann", "--password-file", "pw", "--disk", "1G", *options,
           err="will be installed")
    return dict(line.split("=", 1) for line in h.ini(name).splitlines() if "=" in line and not line.startswith("#"))


def test_create(h):
    """The machine's settings, and what lies in its folder."""
    h.iso("d.iso", DEBIAN)
    ini = create(h, "deb", "d.iso", "--hostname", "h1")
    assert json.loads(h.want(0, "info", "deb", "-o", "json"))["installing"] is True
    assert ini["kernel"] == "installer-kernel" and ini["boot"] == "disk,kernel,cdrom" and "priority=critical" in ini["cmdline"]
    with open(folder(h, "deb") + "/installer-initrd", "rb") as f:
        initrd = f.read()
    own = DEBIAN["install.amd/initrd.gz"]
    assert initrd.startswith(own) and "hostname string h1" in unpack(initrd[(len(own) + 3) & ~3:])["preseed.cfg"].decode()
    assert h.ini("deb").count("media=cdrom") == 1
    h.iso("f.iso", FEDORA, "Fedora 40 x")
    ini = create(h, "fed", "f.iso")
    assert ini["cmdline"].startswith("inst.stage2=hd:LABEL=Fedora\\\\x2040\\\\x20x inst.ks=hd:LABEL=OEMDRV:/ks.cfg"), ini["cmdline"]
    assert h.ini("fed").count("media=cdrom") == 2 and "file=answers.iso" in h.ini("fed")
    for name in ("answers.iso", "installer-initrd"):
        assert stat.S_IMODE(os.stat(f"{folder(h, 'fed')}/{name}").st_mode) == 0o600
    h.want(7, "create", "fed", "--cdrom", "f.iso", "--unattended", "--user", "ann", "--password-file", "pw", err="already")


def test_full_disk(h):
    """No room for the kernel, or for the medium with the answers: that is said, and nothing is left."""
    h.iso("f.iso", dict(FEDORA, **{"images/pxeboot/vmlinuz": b"K" * 400000}), "Fedora")
    h.write("pw", "secret\n")
    os.makedirs(h.path("data"))
    made = "create m --cdrom f.iso --unattended --user ann --password-file pw --disk 1G"
    script = "mount -t tmpfs -o size=$1 none data || exit 77; shift; \"$@\"; code=$?; find data -type f; exit $code"
    for size, said in (("200k", "installer-kernel: there is no room"), ("700k", "answers.iso, cannot be written: No space left")):
        p = subprocess.run(["unshare", "-rm", "sh", "-c", script, "sh", size, VMCTL, *made.split()], env=h.env, cwd=h.path(""),
                           capture_output=True, text=True, check=False)
        if p.returncode == 77 or "unshare" in p.stderr:
            return "no file system of one's own may be mounted here"
        assert p.returncode == 8 and said in p.stderr, p
        assert not p.stdout, f"it has left {p.stdout}"
    return None


def put(h, name, at, data):
    with open(f"{folder(h, name)}/disk.img", "r+b") as f:
        f.seek(at)
        f.write(data)


PARTITION = (446, b"\x80\0\0\0\x83\0\0\0\0\x08\0\0\0\x10\0\0"), (510, b"\x55\xaa")
GRUB = 0, b"\xeb\x63\x90" + b"\0" * 0x17d + b"GRUB \0"
PLAIN = "--disk-format", "raw", "--nic", "none", "--set", "machine.engine=interp"


def snapshots(h, name):
    return [s["name"] for s in json.loads(h.want(0, "snapshot", "list", name, "-o", "json"))["snapshots"]]


def over(h, name):
    """The installation has left nothing."""
    ini = h.ini(name)
    for word in ("installer-", "cmdline", "boot=", "on-reset", "answers.iso", "f.iso"):
        assert word not in ini, f"{word} is left: {ini}"
    left = set(os.listdir(folder(h, name))) - {"machine.ini", "disk.img", "logs", "lock", "snapshots"}
    assert "media=cdrom" in ini and re.search("^file=snapshots/", ini, re.M) and not left, (left, ini)
    assert snapshots(h, name) == ["Fresh install"]


def test_end(h):
    """An empty disk changes nothing; a boot loader on it ends the installation."""
    h.env["TERRARIUM_VM"] = VM
    h.iso("f.iso", FEDORA, "Fedora")
    create(h, "m", "f.iso", *PLAIN)
    before = h.ini("m")
    h.run("start", "m")  # which cannot boot that kernel
    assert h.ini("m") == before
    for at, data in PARTITION + (GRUB,):
        put(h, "m", at, data)
    h.want(0, "start", "m")
    h.want(0, "stop", "--force", "m")
    over(h, "m")
    h.want(3, "unattended", "finish", "m", err="no installation")
    image = re.search("^file=(snapshots/.*)$", h.ini("m"), re.M).group(1)
    h.write("data/terrarium/machines/m/machine.ini",  # as a snapshot from before would be restored
            before.replace("file=disk.img", "file=" + image).replace("format=raw", "format=qcow2"))
    h.want(0, "start", "m")
    h.want(0, "stop", "--force", "m")
    over(h, "m")


def test_end_and_back(h):
    """A snapshot with a state from before the end: it goes on with the order that it was taken with; the start after that drops it."""
    h.env["TERRARIUM_VM"] = VM
    h.iso("f.iso", FEDORA, "Fedora")
    create(h, "m", "f.iso", *PLAIN)
    ours = re.findall("^(?:kernel|initrd|cmdline|boot)=.*\n", h.ini("m"), re.M)
    for at, data in PARTITION + (GRUB,):
        put(h, "m", at, data)
    h.want(0, "start", "m")
    h.want(0, "save", "m")
    over_but = h.ini("m")
    h.write("data/terrarium/machines/m/machine.ini", over_but.replace("[machine]\n", "[machine]\n" + "".join(ours)))
    h.want(0, "start", "m", err="goes on")
    ini = h.ini("m")
    assert "boot=disk,kernel,cdrom\n" in ini and "installer-" not in ini and "cmdline" not in ini, ini
    h.want(0, "stop", "--force", "m")
    h.want(0, "start", "m")
    h.want(0, "stop", "--force", "m")
    over(h, "m")


def waited(h, name, *options, medium=True):
    """A machine whose system somebody is about to install, of Fedora's medium or of the options'."""
    h.iso("f.iso", FEDORA, "Fedora")
    h.want(0, "create", name, *["--cdrom", "f.iso"] * medium, "--disk", "1M", "--snapshot-when-installed", *PLAIN, *options)
    assert os.path.exists(folder(h, name) + "/fresh-install") and ".iso" in h.ini(name)


def until(what, check):
    end = time.monotonic() + 60
    while not check():
        assert time.monotonic() < end, f"no {what}"
        time.sleep(0.05)


def fresh(h, name):
    """The snapshot is there, and the medium is out."""
    assert snapshots(h, name) == ["Fresh install"] and ".iso" not in h.ini(name) and "media=cdrom" in h.ini(name)
    assert not os.path.exists(folder(h, name) + "/fresh-install")


def test_fresh_by_reset(h):
    """A reset with nothing on the disk says nothing; one with a boot loader ends the installation, and the machine runs on."""
    h.env["TERRARIUM_VM"] = VM
    waited(h, "m")
    h.want(0, "start", "m")
    h.want(0, "reset", "m")
    h.want(0, "vnc", "m", "status")  # it is there still
    assert not snapshots(h, "m") and "f.iso" in h.want(0, "media", "list", "m")
    for at, data in PARTITION + (GRUB,):
        put(h, "m", at, data)

    def done():
        h.want(0, "reset", "m")
        time.sleep(0.5)
        return not os.path.exists(folder(h, "m") + "/fresh-install")
    until("snapshot after a reset", done)
    fresh(h, "m")
    assert "f.iso" not in h.want(0, "media", "list", "m")
    info = json.loads(h.want(0, "snapshot", "list", "m", "-o", "json"))["snapshots"][0]
    assert info["state-bytes"] > 0, info
    h.want(0, "stop", "--force", "m")
    h.want(0, "start", "m")
    h.want(0, "stop", "--force", "m")
    assert snapshots(h, "m") == ["Fresh install"]


def test_fresh_by_start(h):
    """An installer that powers off is seen to before the next start."""
    h.env["TERRARIUM_VM"] = VM
    waited(h, "m")
    for at, data in PARTITION + (GRUB,):
        put(h, "m", at, data)
    h.want(0, "start", "m")
    fresh(h, "m")
    h.run("stop", "--force", "m")
    h.want(2, "create", "two", "--cdrom", "f.iso", "--disk", "1M", "--disk", "1M", "--snapshot-when-installed", err="one disk")


def off(h, name):
    """The guest has switched itself off, and that was noted."""
    with open(folder(h, name) + "/fresh-install", encoding="utf-8") as f:
        return "powered-off=true" in f.read()


def powers_off(h, name):
    """By its power button; whoever is to hear of it may not listen yet when the machine has just been started."""
    h.want(0, "stop", name)
    time.sleep(0.3)
    if off(h, name):
        return True
    h.want(0, "start", name)
    time.sleep(1)
    return False


def test_fresh_by_power_off(h):
    """Of what resets in between, as Windows does, and of what nobody knows, only a guest that powers off says that it is done."""
    h.env["TERRARIUM_VM"] = VM
    for name, options in (("w", ["--os", "windows", "--disk-bus", "ide"]), ("u", ["--cdrom", "unknown.iso"])):
        if name == "u":
            h.iso("unknown.iso", {"README": b"hello"}, "SOMETHING")
        waited(h, name, *options, medium=name == "w")
        h.want(0, "start", name)
        for at, data in PARTITION + (GRUB,):
            put(h, name, at, data)
        h.want(0, "reset", name)
        time.sleep(1)
        for _ in range(2):  # ended in the middle
            assert not snapshots(h, name) and not off(h, name) and ".iso" in h.ini(name)
            h.want(0, "stop", "--force", name)
            h.want(0, "start", name)
        until("word of a power-off", lambda name=name: powers_off(h, name))
        h.want(0, "start", name)
        fresh(h, name)
        h.run("stop", "--force", name)


def test_fresh_by_word(h):
    """Somebody says that it is installed; but not while it runs."""
    h.env["TERRARIUM_VM"] = VM
    waited(h, "m", "--os", "windows", "--disk-bus", "ide")
    h.want(0, "start", "m")
    h.want(4, "unattended", "finish", "m", err="is running")
    h.want(0, "stop", "--force", "m")
    h.want(0, "unattended", "finish", "m")
    fresh(h, "m")
    h.want(3, "unattended", "finish", "m", err="no installation")


def test_fresh_of_old(h):
    """A disk with a system is not taken for one that an installer has just finished."""
    h.iso("f.iso", FEDORA, "Fedora")
    for parts in (PARTITION, (GRUB, PARTITION[1])):
        disk = bytearray(1 << 20)
        for at, data in parts:
            disk[at:at + len(data)] = data
        h.write("old.img", bytes(disk))
        h.want(2, "create", "m", "--cdrom", "f.iso", "--disk", "old.img", "--snapshot-when-installed", *PLAIN, err="already")
        assert not os.path.exists(folder(h, "m"))


def test_fresh_detected(h):
    """--os detect does not forget it."""
    waited(h, "m", "--os", "detect")
    with open(folder(h, "m") + "/fresh-install", encoding="utf-8") as f:
        assert "by-reset=true" in f.read()


def test_unknown_end(h):
    """What is on the disk and no known boot loader is left alone: the installer does not start again by itself."""
    h.env["TERRARIUM_VM"] = VM
    h.iso("f.iso", FEDORA, "Fedora")
    create(h, "m", "f.iso", *PLAIN)
    for at, data in PARTITION:
        put(h, "m", at, data)
    h.want(0, "start", "m", err="vmctl unattended again m")
    h.want(4, "unattended", "again", "m", err="is running")
    h.want(0, "stop", "--force", "m")
    assert "kernel" not in h.ini("m") and "on-reset" not in h.ini("m") and "f.iso" in h.ini("m") and "answers.iso" in h.ini("m")
    h.want(0, "unattended", "again", "m")
    for _ in range(2):  # only the next start is one of the installer
        again = h.ini("m")
        h.run("start", "m")
        if _ == 0:
            assert "kernel=installer-kernel" in again and "boot=kernel,disk,cdrom" in again and "on-reset=stop" in again and h.ini("m") == again
            assert "inst.ks" in again
    assert "kernel" not in h.ini("m")
    h.run("stop", "--force", "m")
    h.want(0, "unattended", "finish", "m")
    over(h, "m")


def test_uefi(h):
    """The machine's firmware decides, by its name or by what its image is."""
    if not os.path.exists("/usr/share/OVMF/OVMF_CODE_4M.fd"):
        return "OVMF is not installed"
    h.iso("f.iso", FEDORA, "Fedora")
    for i, more in enumerate((["--firmware", "uefi"], ["--firmware", "/usr/share/OVMF/OVMF_CODE_4M.fd"], ["--set", "machine.firmware=uefi"])):
        ini = create(h, f"u{i}", "f.iso", *more)
        assert ini["boot"] == "kernel,disk,cdrom" and ini["on-reset"] == "stop", (more, ini)
        with open(folder(h, f"u{i}") + "/installing", encoding="utf-8") as f:
            assert "uefi=true" in f.read()
    assert create(h, "b", "f.iso", "--firmware", "bios")["boot"] == "disk,kernel,cdrom"
    return None


def test_other_disks(h):
    """Nothing that may be worth something is wiped."""
    h.iso("f.iso", FEDORA, "Fedora")
    h.write("pw", "secret\n")
    unattended = "--cdrom", "f.iso", "--unattended", "--user", "ann", "--password-file", "pw"
    h.want(0, "disk", "create", "data.qcow2", "1G")
    h.want(2, "create", "m", *unattended, "--disk", "1G", "--disk", "data.qcow2", err="with one disk")
    h.want(2, "create", "m", *unattended, "--disk", "1G", "--set", "sata0.file=x.img", err="with one disk")
    h.write("old.img", b"\0" * 446 + PARTITION[0][1] + b"\0" * 48 + b"\x55\xaa" + b"\0" * (1 << 20))
    h.want(2, "create", "m", *unattended, "--disk", "old.img", err="has partitions already")
    h.want(0, "create", "m", *unattended, "--disk", "data.qcow2")


def test_clone(h):
    h.iso("f.iso", FEDORA, "Fedora")
    create(h, "m", "f.iso", *PLAIN)
    code, _, err = h.run("clone", "m", "n")
    assert code and "under way" in err, (code, err)
    h.want(0, "unattended", "finish", "m")
    h.want(0, "clone", "m", "n")


def test_prompt(h):
    """Ctrl-C at the question for the password leaves a terminal with echo, and no medium."""
    h.iso("d.iso", DEBIAN)
    for ending in (b"\x03", b"secret\nsecret\n"):
        pid, fd = pty.fork()
        if not pid:
            os.chdir(h.base)
            os.execve(VMCTL, [VMCTL, "unattended", "debian", "d.iso", "--user", "ann", "-o", "x.iso"], h.env)
        said = b""
        while b"Password" not in said:
            said += os.read(fd, 4096)
        assert not termios.tcgetattr(fd)[3] & termios.ECHO, "it is not shown"
        for line in ending.splitlines(keepends=True):
            os.write(fd, line)
            while line.startswith(b"secret") and b"again" not in said:
                said += os.read(fd, 4096)
        try:
            while True:
                said += os.read(fd, 4096)
                echo = termios.tcgetattr(fd)[3] & termios.ECHO
        except OSError:
            pass
        _, status = os.waitpid(pid, 0)
        os.close(fd)
        assert echo, "the terminal has its echo again"
        assert b"secret" not in said, said
        assert os.path.exists(h.path("x.iso")) == (ending != b"\x03") and (os.WIFSIGNALED(status) if ending == b"\x03" else status == 0), status


def test_password_is_not_seen(h):
    """Neither in the settings nor in any file of the folder, but for the medium of Windows, which encodes it."""
    h.iso("d.iso", DEBIAN)
    h.write("pw", "very-secret-word\n")
    h.want(0, "create", "m", "--cdrom", "d.iso", "--unattended", "--user", "ann", "--password-file", "pw", "--disk", "1G")
    p = subprocess.run(["grep", "-rl", "very-secret-word", folder(h, "m")], capture_output=True, check=False)
    assert p.returncode == 1 and not p.stdout
    h.iso("f.iso", FEDORA, "Fedora")
    create(h, "f", "f.iso")
    h.want(0, "delete", "f", "--keep-disks")
    assert os.listdir(folder(h, "f")) == ["disk.img"]


def test_detected(h):
    """create --os detect: what the system should have, and nothing of an installation."""
    h.iso("f.iso", {"x": "x"}, "14_0_RELEASE_AMD64_CD")
    h.want(0, "create", "m", "--os", "detect", "--cdrom", "f.iso", "--cpus", "1", err="FreeBSD")
    ini = h.ini("m")
    assert "[sata0]" in ini and "file=disk.qcow2" in ini and "model=e1000" in ini and "memory=1G" in ini and "kernel" not in ini, ini
    h.want(2, "create", "n", "--os", "detect", err="--cdrom ISO")
    h.want(0, "create", "o", "--os", "detect", "--cdrom", "f.iso", "--memory", "64M", "--disk", "5M", "--nic", "none")
    assert "memory=64M" in h.ini("o") and "[nic1]" not in h.ini("o")


def test_json(h):
    h.iso("d.iso", DEBIAN)
    found = json.loads(h.want(0, "media", "detect", "d.iso", "-o", "json"))
    assert found["schema"] == 1 and found["unattended"] == "debian"


main({n: f for n, f in globals().items()})
