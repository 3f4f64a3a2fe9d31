#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every page and dialog of the manager: none is wider than a window of 360 pixels, light and dark, at once and twice the size.  With
TERRARIUM_PICTURES=FOLDER, pictures of all.  Prints TAP.  Usage: test_manager_pages.py MANAGER VMCTL SCRIPTED_VM"""
import json
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from manager import run_tests, wait_for  # noqa: E402

NARROW = 360


def info(desk, name):
    return json.loads(desk.vmctl("info", name, "-o", "json"))


def machines(desk):
    """A library as people have one."""
    desk.vmctl("create", "Debian 12", "--memory", "64M", "--disk", "20G", "--os", "linux")
    desk.vmctl("create", "windows", "--memory", "64M", "--disk", "64G", "--os", "windows")
    desk.vmctl("set", "windows", "machine.name=Windows 11", "machine.group=Work")
    desk.vmctl("create", "FreeBSD 14.1", "--memory", "64M", "--disk", "16G", "--os", "bsd")
    desk.vmctl("set", "FreeBSD 14.1", "machine.group=Experiments")
    desk.vmctl("create", "A machine whose name is longer than the window is wide", "--memory", "64M", "--nic", "none")
    desk.vmctl("snapshot", "take", "Debian 12", "Fresh install")
    desk.vmctl("start", "Debian 12")
    desk.vmctl("snapshot", "take", "Debian 12", "Before the update")
    wait_for("running machine", lambda: info(desk, "Debian 12")["state"] == "running")
    desk.vmctl("export", "FreeBSD 14.1", desk.home + "/free.ova")
    broken(desk)
    desk.iso = medium(desk)


def broken(desk):
    """A machine whose settings nobody can read."""
    folder = desk.home + "/data/terrarium/machines/hurt"
    os.makedirs(folder)
    with open(folder + "/machine.ini", "w", encoding="utf-8") as f:
        f.write("[machine]\nmemry=1\n")


def medium(desk):
    """What looks like Debian's installer, if there is a program that makes such."""
    if not shutil.which("genisoimage"):
        return None
    os.makedirs(desk.home + "/iso/.disk")
    os.mkdir(desk.home + "/iso/install.amd")
    for name in ("vmlinuz", "initrd.gz"):
        open(f"{desk.home}/iso/install.amd/{name}", "wb").close()
    with open(desk.home + "/iso/.disk/info", "w", encoding="utf-8") as f:
        f.write('Debian GNU/Linux 12.5.0 "Bookworm" - Official amd64 NETINST with firmware 20240210-11:27\n')
    desk.run("genisoimage", "-quiet", "-R", "-V", "Debian 12.5.0 amd64 n", "-o", desk.home + "/debian-12.5.0-amd64-netinst.iso",
             desk.home + "/iso")
    return desk.home + "/debian-12.5.0-amd64-netinst.iso"


def begin(desk, width, height, scale, dark, shows="Debian 12"):
    os.makedirs(desk.home + "/config/terrarium", exist_ok=True)
    with open(desk.home + "/config/terrarium/manager.ini", "w", encoding="utf-8") as f:
        f.write(f"[window]\nwidth={width}\nheight={height}\n")
    desk.env.update(GDK_SCALE=str(scale), ADW_DEBUG_COLOR_SCHEME="prefer-dark" if dark else "prefer-light")
    desk.start()
    desk.see(shows)


def look(desk, name, most):
    """At a page that has come: its window is no wider than it may be."""
    time.sleep(1)
    desk.window_picture(name)
    width, _ = desk.size()
    assert width <= most, f"{name} is {width} pixels wide"


def pages(desk, width, height, scale, dark):
    kind = f"{width}{'-dark' if dark else ''}{'-2x' if scale > 1 else ''}"
    most = width * scale
    desk.stop()  # of a test that failed
    begin(desk, width, height, scale, dark)
    look(desk, f"library-{kind}", most)
    desk.action("choose", "Debian 12")
    desk.see("of one CPU")
    for page, shows in (("overview", "of one CPU"), ("settings", "Search settings"), ("snapshots", "Before the update"),
                        ("log", "Search the log")):
        desk.show_page(page)
        desk.see(shows)
        look(desk, f"{page}-{kind}", most)
        if page == "snapshots":
            snapshot_dialogs(desk, kind, most)
    desk.show_page("overview")
    desk.action("choose", "A machine whose name is longer than the window is wide")
    look(desk, f"overview-off-{kind}", most)
    desk.show_page("snapshots")
    look(desk, f"snapshots-none-{kind}", most)
    desk.show_page("log")
    look(desk, f"log-none-{kind}", most)
    desk.show_page("overview")
    desk.action("choose", "hurt")
    look(desk, f"damaged-{kind}", most)
    desk.action("back")
    dialogs(desk, kind, most)
    desk.action("search")
    desk.type_into("Search machines", "nothing like that")
    look(desk, f"nothing-found-{kind}", most)
    desk.type_into("Search machines", "")
    desk.action("view", "grid")
    look(desk, f"grid-{kind}", most)
    desk.action("view", "list")
    desk.stop()


def row_menu(desk, *keys):
    """An entry of the first snapshot's menu."""
    desk.tab_to("Restore")
    desk.keys("Tab", "space")
    desk.see("Clone…")
    desk.keys(*keys)


def snapshot_dialogs(desk, kind, most):
    """What differs, and a file that is taken out."""
    row_menu(desk, "Down", "Return")
    desk.see("Which are new")
    shrink(desk, most if most <= 2 * NARROW else 0)
    look(desk, f"compare-{kind}", most if most <= 2 * NARROW else 10000)
    desk.keys("Escape")
    desk.gone("Which are new")
    row_menu(desk, "Down", "Down", "Return")
    desk.see("Path on the Disk")
    look(desk, f"take-out-{kind}", most if most <= 2 * NARROW else 10000)
    ends(desk, "Path on the Disk", "Cancel")


def shrink(desk, width):
    """A window of its own, which begins as wide as it likes: there is no window manager to make it narrow."""
    if width:
        desk.run("xdotool", "windowsize", desk.window(), str(width), str(desk.size()[1]))


def ends(desk, shows, button="Close"):
    desk.click(button, "push button")
    desk.gone(shows)


def dialogs(desk, kind, most):
    """Those of their own windows too: none is wider than the narrow window, or than what it asks for."""
    room = most if most <= 2 * NARROW else 10000
    narrow = most if most <= 2 * NARROW else 0
    for action, shows, name in (("disks", "Convert", "disks"), ("doctor", "Evidence", "doctor")):
        desk.action(action)
        desk.see(shows if name == "doctor" else "Look Again")
        shrink(desk, narrow)
        look(desk, f"{name}-{kind}", room)
        ends(desk, "Look Again")
    for action, machine, shows in (("serial", "Debian 12", "Serial Terminal"), ("firmware", "FreeBSD 14.1", "None: this firmware"),
                                   ("memory", "Debian 12", "no balloon"), ("guest", "Debian 12", "As a User of the Guest"),
                                   ("remote", "Debian 12", "Clients Look On"), ("networks", None, "No Networks"),
                                   ("activity", None, "memory\nDisks")):
        desk.action(action, machine)
        desk.see(shows)
        shrink(desk, narrow)
        look(desk, f"{action}-{kind}", room)
        ends(desk, shows)
    questions(desk, kind, room)
    desk.click("New Virtual Machine", "push button")
    desk.see("What do you have?")
    shrink(desk, narrow)
    look(desk, f"wizard-{kind}", room)
    desk.click_to("Empty Machine", "C_reate")
    look(desk, f"wizard-machine-{kind}", room)
    ends(desk, "What do you have?", "Cancel")
    files(desk, kind, room, narrow)


def questions(desk, kind, room):
    """What asks before it acts."""
    for action, shows, name in (("delete", "Delete “", "off"), ("rename", "What you call it", "off"), ("set-group", "the same word", "off"),
                                ("clone", "Clone “", "off"), ("force-off", "Force off “", "runs"), ("reset", "Reset “", "runs")):
        desk.action(action, "Debian 12" if name == "runs" else "FreeBSD 14.1")
        desk.see(shows)
        look(desk, f"{action}-{kind}", room)
        ends(desk, shows, "Cancel")


def files(desk, kind, room, narrow):
    """The wizard with an installation medium and with an appliance."""
    for path, shows, name in ((desk.iso, "Install Automatically", "installer"), (desk.home + "/free.ova", "What Comes Along", "import")):
        if not path:
            continue
        desk.action("new-from", path)
        desk.see(shows)
        shrink(desk, narrow)
        look(desk, f"wizard-{name}-{kind}", room)
        if name == "installer":
            desk.click("GtkSwitch", "check box")
            look(desk, f"wizard-answers-{kind}", room)
        ends(desk, shows, "Cancel")


def empty(desk):
    """Before there is any machine."""
    for width, scale, dark in ((NARROW, 1, False), (NARROW, 2, True), (960, 1, False), (960, 2, False), (960, 1, True)):
        begin(desk, width, 640, scale, dark, "Welcome to Terrarium")
        look(desk, f"empty-{width}{'-dark' if dark else ''}{'-2x' if scale > 1 else ''}", width * scale)
        desk.stop()


def narrow(desk):
    machines(desk)
    pages(desk, NARROW, 720, 1, False)


def narrow_and_twice_as_fine(desk):
    pages(desk, NARROW, 640, 2, True)


def wide(desk):
    pages(desk, 960, 720, 1, False)


def wide_and_dark(desk):
    pages(desk, 960, 720, 1, True)


def wide_and_twice_as_fine(desk):
    pages(desk, 960, 720, 2, False)


run_tests([empty, narrow, narrow_and_twice_as_fine, wide, wide_and_dark, wide_and_twice_as_fine], sys.argv[1:], size="2000x1500")
