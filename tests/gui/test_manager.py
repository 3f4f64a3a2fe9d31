#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The manager, all that a user does in it, by AT-SPI: the real program, the real vmctl, a scripted guest
(tests/core-vmm/scripted_guest.c).  TERRARIUM_PICTURES=FOLDER keeps a picture of each step.  Prints TAP.  Usage: test_manager.py MANAGER VMCTL SCRIPTED_VM"""
import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from manager import pause, run_tests, wait_for  # noqa: E402


def info(desk, name):
    return json.loads(desk.vmctl("info", name, "-o", "json"))


def screens(desk):
    return desk.run("xdotool", "search", "--class", "terrarium-screen", check=False).split()


# ---- the wizard ----

def wizard_from_nothing(desk):
    desk.start()
    desk.click("Create Virtual Machine", "push button")
    desk.click_to("Empty Machine", "C_reate")
    desk.type_into("Name", "Größe 7.5")
    desk.click("C_reate", "push button")
    wait_for("machine", lambda: "Größe 7.5" in desk.vmctl("list"))
    desk.see("Running")
    wait_for("screen window", lambda: screens(desk))
    assert info(desk, "Größe 7.5")["settings"]["ide0"]["file"] == "disk.img"


def wizard_refuses(desk):
    """What cannot be is said, and nothing that was typed is lost."""
    desk.click("New Virtual Machine", "push button")
    desk.click_to("Empty Machine", "C_reate")
    desk.type_into("Name", "Größe 7.5")
    desk.click("C_reate", "push button")
    desk.see("There is a machine")
    desk.type_into("Name", "a/b")
    desk.click("C_reate", "push button")
    desk.see("cannot be a machine's name")
    desk.click("Back", "push button")
    pause(1)
    desk.click("Empty Machine", "push button")
    pause(1)
    desk.type_into("Name", "second")
    desk.click("C_reate", "push button")
    wait_for("machine", lambda: "second" in desk.vmctl("list"))
    wait_for("it runs", lambda: info(desk, "second")["state"] == "running")


def password_with_a_line_break(desk):
    """Secrets are told to vmctl by lines, so it would be cut."""
    desk.click("GtkSwitch", "check box")  # of "Install Automatically"; libadwaita gives it no name
    desk.type_into("Password", "one\ntwo")
    desk.click("C_reate", "push button")
    desk.see("The password has a line break")
    desk.click("GtkSwitch", "check box")


def wizard_from_a_file(desk):
    """A file that the desktop opens comes to the window that is there; one that is no medium is told to be none."""
    path = desk.home + "/no medium.iso"
    with open(path, "wb") as f:
        f.write(b"neither" * 20000)
    desk.open(path)
    desk.see("Not recognized")
    desk.typed("Name", "no medium")
    desk.see("neither a CD or DVD image nor a disk image")
    desk.click("Cancel", "push button")
    desk.gone("Not recognized")
    if subprocess.run(["which", "genisoimage"], capture_output=True).returncode == 0:
        folder = desk.home + "/iso/.disk"
        os.makedirs(folder)
        os.mkdir(desk.home + "/iso/install.amd")
        for name in ("vmlinuz", "initrd.gz"):
            open(f"{desk.home}/iso/install.amd/{name}", "wb").close()
        with open(folder + "/info", "w", encoding="utf-8") as f:
            f.write('Debian GNU/Linux 12.5.0 "Bookworm" - Official amd64 NETINST with firmware 20240210-11:27\n')
        desk.run("genisoimage", "-quiet", "-R", "-V", "Debian 12.5.0 amd64 n", "-o", desk.home + "/deb.iso", desk.home + "/iso")
        desk.open(desk.home + "/deb.iso")
        desk.see("installs itself from this medium")
        desk.typed("Name", "Debian")
        desk.see("Linux since 2008")
        password_with_a_line_break(desk)
        desk.click("C_reate", "push button")
        name = wait_for("machine", lambda: next((n for n in desk.vmctl("list", "-o", "name").split("\n") if n.startswith("Debian")), None))
        assert info(desk, name)["settings"]["machine"]["os"] == "linux"
        wait_for("it runs", lambda: info(desk, name)["state"] == "running")
        desk.vmctl("stop", "--force", name)
        desk.vmctl("delete", name)
        desk.gone(name)


# ---- a machine's life ----

def snapshots(desk):
    """Taken while it runs, by a name that looks like an option, the present changed, restored with the present kept, renamed by vmctl,
    deleted."""
    desk.vmctl("stop", "--force", "second")
    desk.vmctl("delete", "second")
    desk.gone("second")
    desk.show_page("snapshots")
    desk.click("Take Snapshot", "push button")
    desk.type_into("Name", "--help")
    desk.type_into("Description", "all is well")
    desk.click("Take", "push button")
    wait_for("snapshot", lambda: "--help" in desk.vmctl("snapshot", "list", "Größe 7.5"))
    desk.see("--help")
    desk.see("The Present")
    assert info(desk, "Größe 7.5")["state"] == "running"
    desk.click("Restore", "push button")
    desk.see("while the machine is off")
    desk.click("Dismiss", "push button")
    desk.vmctl("stop", "--force", "Größe 7.5")
    desk.vmctl("set", "Größe 7.5", "machine.cpus=2")
    desk.click("Restore", "push button")
    desk.see("Restore this Snapshot?")
    desk.click("Restore", "push button")
    wait_for("restored", lambda: info(desk, "Größe 7.5")["settings"]["machine"]["cpus"] == "1")
    desk.see("Before restoring")
    desk.vmctl("snapshot", "--name", "renamed <&>", "--", "edit", "Größe 7.5", "--help")
    desk.see("renamed <&>")
    desk.picture("snapshots")
    for name in ("renamed <&>", "2"):
        desk.vmctl("snapshot", "delete", "Größe 7.5", name)
    desk.see("No Snapshots")
    desk.show_page("overview")


def hanging(desk):
    """A VM process that stands still does not answer; it may go on."""
    desk.vmctl("start", "Größe 7.5")
    desk.see("Running")
    pid = wait_for("process", lambda: info(desk, "Größe 7.5").get("running", {}).get("pid"))
    os.kill(pid, signal.SIGSTOP)
    try:
        desk.see("Does not answer", seconds=40)
    finally:
        os.kill(pid, signal.SIGCONT)
    desk.see("Running")
    desk.vmctl("stop", "--force", "Größe 7.5")
    desk.see("Off")


def killed(desk):
    """A process that goes without a word is missed; one that is told to end is not."""
    if info(desk, "Größe 7.5")["state"] != "running":
        desk.vmctl("start", "Größe 7.5")
    desk.see("Running")
    desk.vmctl("stop", "--force", "Größe 7.5")
    desk.see("Off")
    pause(1)
    assert not desk.find("label", "ended unexpectedly")
    desk.vmctl("start", "Größe 7.5")
    desk.see("Running")
    os.kill(info(desk, "Größe 7.5")["running"]["pid"], signal.SIGKILL)
    desk.see("ended unexpectedly")
    desk.stop()
    desk.vmctl("create", "Zweite", "--memory", "16M", "--nic", "none")
    desk.start("--show", "Zweite")
    desk.wait("the page of that machine", lambda: len([t for t in desk.things() if t.name == "Zweite"]) > 1)
    desk.vmctl("delete", "Zweite")


def log(desk):
    """What is written while one looks is put behind it, a character that is cut included; a new file is read anew."""
    def shown():
        view = next(t for t in desk.things() if t.name == "Log" and t.can("EditableText"))
        return desk.call(view.path, "Text", "GetText", "(ii)", 0, -1)[0]

    path = info(desk, "Größe 7.5")["folder"] + "/logs/vm.log"
    desk.show_page("log")
    desk.wait("log", lambda: "starts" in shown() or len(shown()) > 40)
    before = shown()
    with open(path, "ab", buffering=0) as f:
        f.write(b"grows \xc3")
        desk.wait("growth", lambda: shown() == before + "grows ")
        f.write(b"\xa4\n")
        desk.wait("the character", lambda: shown() == before + "grows ä\n")
    os.rename(path, path + ".old")
    with open(path, "wb") as f:
        f.write(b"anew\n")
    desk.wait("new file", lambda: shown() == "anew\n")
    desk.show_page("overview")


def removing_hardware(desk):
    """Not without a question."""
    desk.vmctl("set", "Größe 7.5", "floppy0.format=raw")
    desk.show_page("settings")
    desk.see("Floppy Drive")
    last = [t for t in desk.things() if t.name == "Remove" and t.role == "push button"][-1]
    for answer in ("Cancel", "Remove"):
        assert desk.call(last.path, "Action", "DoAction", "(i)", 0)[0]
        desk.see("Remove “Floppy Drive 0”?")
        assert "floppy0" in info(desk, "Größe 7.5")["settings"]
        desk.click(answer, "push button")
        desk.gone("Remove “")
    wait_for("it is removed", lambda: "floppy0" not in info(desk, "Größe 7.5")["settings"])
    desk.show_page("overview")


def adding_a_disk(desk):
    """At the controller that the machine's disk has; a size that is none is refused, and leaves nothing."""
    before = set(info(desk, "Größe 7.5")["settings"])
    desk.show_page("settings")
    desk.see("Search settings")
    for size, says in (("large", "large is no size"), ("64M", None)):
        desk.click("Add Hardware")
        desk.see("New Disk…")
        desk.keys("Return")
        desk.type_into("Size", size)
        desk.click_away("_Add", "How large the guest")
        if says:
            desk.see(says)
            assert set(info(desk, "Größe 7.5")["settings"]) == before
            desk.click("Dismiss", "push button")
    section = wait_for("new disk", lambda: set(info(desk, "Größe 7.5")["settings"]) - before).pop()
    assert section == "ide1" and info(desk, "Größe 7.5")["settings"][section]["file"] == "ide1.img", section
    assert os.path.getsize(info(desk, "Größe 7.5")["folder"] + "/ide1.img") == 64 << 20
    desk.vmctl("set", "Größe 7.5", "--unset", "ide1")
    desk.show_page("overview")


def disks(desk):
    """All images with their owners and sizes; one that is missing is said to be."""
    desk.vmctl("create", "spare7", "--disk", "3G", "--disk-format", "vdi")
    os.unlink(info(desk, "spare7")["folder"] + "/disk.vdi")
    desk.see("spare7")
    desk.action("disks")
    desk.see("disk.img: 10.0")
    desk.see("disk.vdi: the file is missing")
    desk.click("Close", "push button")
    desk.gone("the file is missing")
    desk.vmctl("delete", "spare7")
    desk.gone("spare7")


def asked_about_another(desk, at_once):
    """The machine of the question is gone when it is answered, and another one has its name."""
    desk.action("delete", "Größe 7.5")
    desk.see("Delete “")
    if at_once:
        os.kill(desk.app.pid, signal.SIGSTOP)
    desk.vmctl("delete", "Größe 7.5")
    pause(0 if at_once else 2)  # the library hears of both, or of one after the other
    desk.vmctl("create", "Größe 7.5")
    os.kill(desk.app.pid, signal.SIGCONT)
    pause(2)
    desk.click("Delete", "push button")
    desk.gone("Delete “")
    pause(1)
    assert "Größe 7.5" in desk.vmctl("list")


def deleting(desk):
    """The machine of the question, not one that was made since and has its name."""
    wait_for("off", lambda: info(desk, "Größe 7.5")["state"] in ("stopped", "saved"))
    desk.keys("ctrl+Delete")
    desk.see("Delete “")
    desk.click("Cancel", "push button")
    desk.gone("Delete “")
    for at_once in (False, True):
        asked_about_another(desk, at_once)
    desk.action("delete", "Größe 7.5")
    desk.see("Delete “")
    desk.click("Delete", "push button")
    desk.gone("Delete “")
    wait_for("deleted", lambda: not desk.vmctl("list", "-o", "name").strip())
    desk.see("Welcome to Terrarium")


run_tests([wizard_from_nothing, wizard_refuses, wizard_from_a_file, snapshots, hanging, killed, log, removing_hardware, adding_a_disk, disks, deleting], sys.argv[1:])
