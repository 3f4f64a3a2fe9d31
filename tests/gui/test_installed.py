#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is installed works, in another prefix than it was built for: the command line and its helpers, the menu entry, the manager with
its translation, the files that are opened with it, the manual pages.  Prints TAP.
Usage: test_installed.py --build BUILD     installs from there into a folder
       test_installed.py PREFIX            an installed tree, of a package that was unpacked, say"""
import configparser
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from manager import run_tests, wait_for  # noqa: E402

NAME = "org.terrarium.Terrarium.desktop"
OPENED = ["appliance.ova", "debian.iso", "a.vdi", "a.vmdk", "a.qcow2", "a.vhdx"]
PREFIX = None


def inside(*path):
    return os.path.join(PREFIX, *path)


def install(build, to):
    """Installs into the folder `to`, and moves it to another prefix; the new one."""
    subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", to], check=True, stdout=subprocess.DEVNULL,
                   env=dict(os.environ, DESTDIR=to))
    prefix = next(d for d, _, files in os.walk(to) if d.endswith("/bin") and "vmctl" in files)[:-len("/bin")]
    return shutil.move(prefix, to + "/moved here")


def its_own(desk):
    """The programs' environment: this tree's before the system's."""
    share = inside("share")
    desk.env.update(PATH=inside("bin") + ":" + os.environ["PATH"], XDG_DATA_DIRS=share + ":/usr/local/share:/usr/share")
    for name in [n for n in desk.env if n.startswith("TERRARIUM_") and n not in ("TERRARIUM_TEST_OUT", "TERRARIUM_PICTURES")]:
        del desk.env[name]


def all_is_there(desk):
    its_own(desk)
    lacking = [p for p in ("bin/terrarium", "bin/terrarium-screen", "bin/terrarium-vm", "libexec/terrarium/terrarium-machine",
                           "libexec/terrarium/terrarium-folder", "libexec/terrarium/terrarium-look", "libexec/terrarium/terrarium-net", "libexec/terrarium/terrarium-vnc",
                           "libexec/terrarium/terrarium-tpm", "libexec/terrarium/terrarium-audio", "share/applications/" + NAME, "share/metainfo/org.terrarium.Terrarium.metainfo.xml",
                           "share/icons/hicolor/scalable/apps/org.terrarium.Terrarium.svg", "share/locale/de/LC_MESSAGES/terrarium.mo",
                           "share/bash-completion/completions/vmctl.bash", "share/fish/vendor_completions.d/vmctl.fish",
                           "share/polkit-1/actions/org.terrarium.netadm.policy")
               if not os.path.exists(inside(p))]
    zsh = ("share/zsh/site-functions/_vmctl", "share/zsh/vendor-completions/_vmctl")  # the latter in Debian's package
    lacking += [] if any(os.path.exists(inside(p)) for p in zsh) else [zsh[0]]
    pages = subprocess.run(["find", inside("share/man"), "-type", "f"], capture_output=True, text=True).stdout
    lacking += [p for p in ("vmctl.1", "terrarium.1", "terrarium-screen.1", "terrarium-vm.1", "machine.ini.5") if "/" + p not in pages]
    assert not lacking, lacking


def a_machine_runs(desk):
    """The VM process, its network process, firmware, and what looks into files of others."""
    desk.vmctl("create", "first", "--memory", "16M", "--engine", "soft")
    desk.vmctl("start", "first")
    desk.vmctl("wait", "first", "--screen", "SeaBIOS", "--timeout", "100")
    with open(desk.home + "/disk.img", "wb") as f:  # one partition of 1000 sectors
        f.write(bytes(446) + bytes([0, 0, 0, 0, 0x83, 0, 0, 0]) + (1).to_bytes(4, "little") + (1000).to_bytes(4, "little") + bytes(48) + b"\x55\xaa")
        f.truncate(1 << 20)
    assert "MBR" in desk.vmctl("media", "detect", desk.home + "/disk.img")
    desk.vmctl("vnc", "first", "on", "--listen", "unix")
    desk.vmctl("vnc", "first", "off")
    desk.vmctl("stop", "--force", "first")


def menu_entry(desk):
    """As a desktop starts it: the command in the entry, found in PATH; in German."""
    desk.env["LANGUAGE"] = "de"
    desk.manager = "terrarium"
    entry = configparser.ConfigParser(interpolation=None, strict=False)
    entry.optionxform = str
    entry.read(inside("share/applications", NAME), encoding="utf-8")
    command = [w for w in entry["Desktop Entry"]["Exec"].split() if not w.startswith("%")]
    assert command == [desk.manager] and shutil.which(command[0], path=desk.env["PATH"]).startswith(PREFIX), command
    os.environ["PATH"] = desk.env["PATH"]
    desk.start()
    desk.see("Übersicht")
    desk.click("Starten", "push button")
    wait_for("running machine", lambda: "running" in desk.vmctl("list"))
    wait_for("screen window", lambda: desk.run("xdotool", "search", "--class", "terrarium-screen", check=False).strip())
    desk.vmctl("stop", "--force", "first")


def files_are_opened_with_it(desk):
    """By shared-mime-info's types of their names."""
    if os.access(inside("share/applications"), os.W_OK):
        desk.run("update-desktop-database", inside("share/applications"))
    wrong = []
    for name in OPENED:
        path = os.path.join(desk.home, name)
        with open(path, "wb") as f:
            f.write(bytes(512))
        told = desk.run("gio", "info", "-a", "standard::fast-content-type", path).rsplit(None, 1)[-1]
        if NAME not in desk.run("gio", "mime", told, check=False):
            wrong.append(f"{name} ({told})")
    assert not wrong, f"not opened with Terrarium: {wrong}"


if sys.argv[1] == "--build":
    with tempfile.TemporaryDirectory(prefix="terrarium-installed-") as folder:
        PREFIX = install(sys.argv[2], folder) if "TERRARIUM_TEST_OUT" in os.environ else folder
        run_tests([all_is_there, a_machine_runs, menu_entry, files_are_opened_with_it], [inside("bin/terrarium"), inside("bin/vmctl")], vm=False)
else:
    PREFIX = os.path.abspath(sys.argv[1])
    run_tests([all_is_there, a_machine_runs, menu_entry, files_are_opened_with_it], [inside("bin/terrarium"), inside("bin/vmctl")], vm=False)
