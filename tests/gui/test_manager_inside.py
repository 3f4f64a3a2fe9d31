#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What one looks into by the manager: snapshots, what differs between them and their files; a guest's serial
port, its memory, its programs, what the firmware remembers; cards and folders while it runs; networks, what all machines use, and the VNC server.
Prints TAP.
Usage: test_manager_inside.py MANAGER VMCTL SCRIPTED_VM"""
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from manager import run_tests, wait_for  # noqa: E402


def info(desk, name):
    return json.loads(desk.vmctl("info", name, "-o", "json"))


def row_menu(desk, *keys):
    """An entry of the first snapshot's menu."""
    desk.tab_to("Restore")
    desk.keys("Tab", "space")
    desk.see("Clone…")
    desk.keys(*keys)


def file_system(desk, name, files):
    """An image of ext4 with these files, or None."""
    tools = [shutil.which(t, path=os.environ["PATH"] + ":/sbin:/usr/sbin") for t in ("mke2fs", "qemu-io")]
    if None in tools:
        return None
    os.makedirs(f"{desk.home}/{name}")
    for file, text in files.items():
        with open(f"{desk.home}/{name}/{file}", "w", encoding="utf-8") as f:
            f.write(text)
    with open(f"{desk.home}/{name}.img", "wb") as f:
        f.truncate(4 << 20)
    desk.run(tools[0], "-q", "-t", "ext4", "-d", f"{desk.home}/{name}", f"{desk.home}/{name}.img")
    return f"{desk.home}/{name}.img"


def verifies(desk):
    """All of them at once, and one by its menu; what is wrong stands above the page."""
    desk.vmctl("create", "alpha", "--memory", "16M", "--nic", "none")
    image = file_system(desk, "old", {"hello": "as it was\n", "stays": "here\n"})
    if image:
        desk.vmctl("set", "alpha", f"sata0.file={image}", "sata0.format=raw")
    desk.vmctl("snapshot", "take", "alpha", "then")
    desk.start()
    desk.see("alpha")
    desk.show_page("snapshots")
    desk.see("then", "label")
    desk.look_away()
    desk.click("Verify All", "push button")
    desk.told("All snapshots are whole")
    path = info(desk, "alpha")["folder"] + "/snapshots/1.ini"
    with open(path, "r+", encoding="utf-8") as f:
        text = f.read()
        f.write("# more\n")
    row_menu(desk, "Down", "Down", "Down", "Return")
    desk.see("snapshot 1: its settings are not what they were")
    desk.click("Dismiss", "push button")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def compares(desk):
    """Settings, areas of disks and, on demand, files, of which one is taken out as it was."""
    desk.vmctl("set", "alpha", "machine.cpus=4")
    newer = file_system(desk, "new", {"hello": "as it is now\n", "stays": "here\n", "fresh": "x"})
    if newer:
        disk = info(desk, "alpha")["settings"]["sata0"]["file"]
        desk.run("qemu-io", "-f", "qcow2", "-c", f"write -s {newer} 0 4M", os.path.join(info(desk, "alpha")["folder"], disk))
    row_menu(desk, "Down", "Return")
    desk.see("machine.cpus")
    desk.see("not set → 4")
    desk.window_picture("compare-settings")
    if newer:
        desk.see("1 area")
        desk.click("Files", "check box")
        desk.see("/hello")
        desk.see("/fresh")
        desk.window_picture("compare-files")
        desk.click("Take Out", "push button")
        takes_out(desk, desk.home + "/hello.was")
    desk.keys("Escape")
    desk.gone("machine.cpus")
    desk.vmctl("set", "alpha", "--unset", "machine.cpus")


def save_as(desk, proposed, path):
    """In the dialog that asks for a place, when it has come."""
    desk.typed("Name", proposed)
    desk.type_into("Name", path)
    desk.click("_Save", "push button")


def takes_out(desk, path):
    """By the dialog, which has the path already; then the file is there."""
    desk.typed("Path on the Disk", "/hello")
    desk.window_picture("take-out")
    desk.click("_Save As…", "push button")
    save_as(desk, "hello", path)
    wait_for("file", lambda: os.path.exists(path) and open(path, encoding="utf-8").read() == "as it was\n")


def takes_a_file_out(desk):
    """From the row's menu; one that the disk does not have is said to be missing, and leaves nothing."""
    if "sata0" not in info(desk, "alpha")["settings"]:
        return
    row_menu(desk, "Down", "Down", "Return")
    desk.type_into("Path on the Disk", "/nothing")
    desk.click("_Save As…", "push button")
    save_as(desk, "nothing", desk.home + "/nothing")
    desk.see("there is no such file")
    assert not os.path.exists(desk.home + "/nothing")
    desk.click("Dismiss", "push button")


# ---- the serial terminal ----

def terminal(desk):
    """What it shows."""
    view = next(t for t in desk.things() if t.name == "Serial Port" and t.can("Text"))
    return desk.call(view.path, "Text", "GetText", "(ii)", 0, -1)[0]


def serial_terminal(desk):
    """What the guest has said, what one types, more than the window shows, and the machine's end and its next beginning."""
    desk.vmctl("start", "alpha")
    desk.see("Running")
    desk.action("serial", "alpha")
    desk.wait("greeting", lambda: "test guest ready" in terminal(desk))
    desk.focus()
    desk.run("xdotool", "type", "--delay", "30", "Hello, guest")
    desk.keys("Return")
    desk.wait("what was typed", lambda: "Hello, guest" in terminal(desk))
    desk.vmctl("serial", "alpha", "--send", "gr\\303\\274n\\033[31m, red\\033[0m\\n")
    desk.wait("what vmctl sent", lambda: "grün, red" in terminal(desk))
    desk.window_picture("serial")
    desk.vmctl("serial", "alpha", "--send", "flood 200000\\n")
    desk.wait("flood", lambda: len(terminal(desk)) > 150000)
    desk.vmctl("serial", "alpha", "--send", "after all\\n")
    desk.wait("end of the flood", lambda: "after all" in terminal(desk)[-200:])
    desk.vmctl("stop", "--force", "alpha")
    desk.see("The machine does not run")
    desk.vmctl("start", "alpha")
    desk.wait("new beginning", lambda: "test guest ready" in terminal(desk) and "after all" not in terminal(desk))
    desk.gone("The machine does not run")
    desk.click("Close", "push button")
    desk.gone("Serial Terminal")
    desk.vmctl("stop", "--force", "alpha")
    desk.see("Off")


# ---- starting by itself, and the firmware ----

def starts_by_itself(desk):
    """By a switch of the settings, where there is a systemd that starts it; else that is said, and the switch stays off."""
    desk.show_page("settings")
    desk.see("Search settings")
    if not os.path.isdir("/run/systemd/system"):
        desk.click("Start with the Session", "check box")
        desk.see("no systemd runs on this host")
        desk.click("Dismiss", "push button")
        os.mkdir(desk.home + "/run/systemd")
    assert desk.vmctl("autostart", "alpha").strip() == "off"
    for how in ("on", "off"):
        desk.click("Start with the Session", "check box")
        wait_for(how, lambda: desk.vmctl("autostart", "alpha").strip() == how)


def firmware(desk):
    """Of a BIOS there is little to know; what UEFI remembers can begin anew, after a question."""
    desk.action("firmware", "alpha")
    desk.see("None: this firmware keeps none")
    desk.keys("Escape")
    desk.gone("None: this firmware")
    if not os.path.exists("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd"):
        return
    desk.vmctl("create", "secure", "--memory", "16M", "--nic", "none")
    desk.vmctl("set", "secure", "machine.firmware=uefi-secure")
    desk.see("secure")
    desk.action("firmware", "secure")
    desk.see("uefi-secure")
    desk.see("None yet: they are made at the first start")
    desk.click("_Enroll…", "push button")
    desk.see("Begin Anew with the Usual Keys?")
    desk.click_away("_Enroll", "Begin Anew with the Usual Keys?")
    desk.see("Secure Boot")
    wait_for("keys", lambda: "secure-boot" in desk.vmctl("firmware", "info", "secure", "-o", "json"))
    desk.window_picture("firmware")
    desk.keys("Escape")
    desk.gone("uefi-secure")
    desk.vmctl("delete", "secure")


# ---- networks, memory, activity ----

def networks(desk):
    """Made by the dialog, or by vmctl; what cannot be is said; deleted."""
    desk.action("networks")
    desk.see("No Networks")
    desk.click("New Network", "push button")
    desk.type_into("Name of the Network", "lab")
    desk.type_into("Addresses", "10.9.8.0/24")
    desk.click_away("C_reate", "Name of the Network")
    wait_for("network", lambda: "lab" in desk.vmctl("net", "list"))
    desk.see("lab", "label")
    desk.click("New Network", "push button")
    desk.type_into("Name of the Network", "lab")
    desk.click_away("C_reate", "Name of the Network")
    desk.see("there is a network lab already")
    desk.vmctl("net", "create", "world", "--kind", "natnetwork", "--range", "10.7.0.0/24")
    desk.click("Look Again", "push button")
    desk.see("NAT, 10.7.0.0/24, gives out addresses")
    desk.window_picture("networks")
    for name in ("lab", "world"):
        desk.click("Delete", "push button")
        desk.see(f"Delete the Network “{name}”?")
        desk.click_away("_Delete", "Delete the Network")
        wait_for("it is gone", lambda: name not in desk.vmctl("net", "list"))
        desk.gone(name, "label")
    desk.see("No Networks")
    desk.keys("Escape")
    desk.gone("No Networks")


def memory(desk):
    """What the guest keeps, by the balloon; without one that is said."""
    desk.vmctl("start", "alpha")
    desk.see("Running")
    desk.action("memory", "alpha")
    desk.see("the machine has no balloon")
    desk.keys("Escape")
    desk.gone("the machine has no balloon")
    desk.vmctl("stop", "--force", "alpha")
    desk.vmctl("set", "alpha", "balloon.report=on")
    desk.vmctl("start", "alpha")
    desk.see("Running")
    desk.action("memory", "alpha")
    desk.see("The guest has no driver for it at work")
    desk.see("Left to the Guest")
    desk.window_picture("memory")
    desk.tab_to("What the Guest Is to Keep")
    desk.keys(*["Left"] * 4)
    wait_for("less memory", lambda: json.loads(desk.vmctl("balloon", "alpha", "-o", "json"))["wanted"] == 12 << 20)
    desk.keys("Escape")
    desk.gone("Left to the Guest")


def activity(desk):
    """Of all that run, as long as they do."""
    desk.action("activity")
    desk.see("memory\nDisks: ")
    desk.window_picture("activity")
    desk.vmctl("stop", "--force", "alpha")
    desk.see("Nothing Runs")
    assert desk.run("pgrep", "-P", str(desk.app.pid), "-f", "vmctl top", check=False).strip()
    desk.keys("Escape")
    wait_for("nobody looks any more", lambda: not desk.run("pgrep", "-P", str(desk.app.pid), "-f", "vmctl top", check=False).strip())


# ---- while it runs ----

def plugs(desk):
    """A card is taken out of a running machine, when the guest has let go of it, and put in again."""
    desk.vmctl("set", "alpha", "balloon.report=on")
    desk.vmctl("start", "alpha")
    desk.see("Running")
    desk.show_page("settings")
    desk.see("Memory Balloon")
    desk.type_into("Search settings", "balloon")
    for entry, there in ((["Down", "Return"], False), (["Return"], True)):
        desk.tab_to("While It Runs")
        desk.keys("space")
        desk.see("Pull Out")
        desk.keys(*entry)
        wait_for(f"card that is there: {there}", lambda: bool(desk.vmctl("balloon", "alpha", check=False)) == there)
        desk.wait("end of the work", lambda: not any(t.name in ("Taking Out", "Plugging In") for t in desk.things()))
    desk.type_into("Search settings", "")
    desk.vmctl("stop", "--force", "alpha")
    desk.see("Off")


def folders(desk):
    """One is shared, and no longer, at once."""
    os.mkdir(desk.home + "/projects")
    desk.vmctl("set", "alpha", "additions.identity=auto")
    desk.click("Add Hardware")
    desk.see("New Disk…")
    desk.keys("Down", "Down", "Return")
    desk.see("_Share", "push button")
    desk.keys("ctrl+l")
    desk.run("xdotool", "type", desk.home + "/projects")
    desk.click("_Share", "push button")
    wait_for("it is shared", lambda: "projects" in desk.vmctl("folder", "list", "alpha"))
    desk.see("Shared Folder 1")
    last = [t for t in desk.things() if t.name == "Remove" and t.role == "push button"][-1]
    assert desk.call(last.path, "Action", "DoAction", "(i)", 0)[0]
    desk.see("Remove “Shared Folder 1”?")
    desk.click_away("_Remove", "Remove “")
    wait_for("it is no longer shared", lambda: "projects" not in desk.vmctl("folder", "list", "alpha"))


def guest_programs(desk):
    """What vmctl is given, the password by its input, and what it says; one that fails, and a guest without the tools."""
    desk.vmctl("start", "alpha")
    desk.see("Running")
    desk.action("guest", "alpha")
    desk.see("As a User of the Guest")
    desk.type_into("User", "anna")
    desk.type_into("Password", "secret")
    desk.type_into("Command Line", "uname -a; false")
    desk.click("_Run", "push button")
    desk.wait("that the guest has no tools", lambda: any("tools" in t.name and "By open-vm-tools" not in t.name for t in desk.things()))
    desk.keys("Escape")
    desk.gone("As a User of the Guest")
    stand_in(desk)


def stand_in(desk):
    """The same with a vmctl that says what it was asked, as there are no tools in the scripted guest."""
    fake = desk.home + "/vmctl-of-the-guest"
    with open(fake, "w", encoding="utf-8") as f:
        f.write(f'#!/bin/sh\ncase $1 in exec|cp) read p; printf "%s|" "$p" "$@"; [ $1 = cp ] || {{ echo oops >&2; exit 3; }} ;;\n'
                f'*) exec {desk.vmctl_program} "$@" ;; esac\n')
    os.chmod(fake, 0o755)
    desk.stop()
    usual, desk.env["VMCTL"] = desk.env.get("VMCTL", desk.vmctl_program), fake
    desk.start()
    desk.see("Running")
    desk.action("guest", "alpha")
    desk.see("As a User of the Guest")
    desk.type_into("User", "anna")
    desk.type_into("Password", "secret")
    desk.type_into("Command Line", "uname -a; false")
    desk.click("_Run", "push button")
    desk.see("oops")
    said = lambda: desk.call(next(t for t in desk.things() if t.name == "What It Said" and t.can("EditableText")).path, "Text", "GetText", "(ii)", 0, -1)[0]
    desk.wait("words", lambda: "secret|exec|--user=anna|--password-file=-|--|alpha|sh|-c|uname -a; false|" in said())
    desk.window_picture("guest")
    desk.type_into("Path in the Guest", "/etc/hostname")
    desk.click("_Out of It…", "push button")
    desk.typed("Name", "hostname")
    desk.type_into("Name", desk.home + "/name")
    desk.click("_Copy", "push button")
    desk.see("Copying: done")
    desk.wait("words", lambda: f"secret|cp|--user=anna|--password-file=-|--|alpha:/etc/hostname|{desk.home}/name|" in said())
    desk.keys("Escape")
    desk.stop()
    desk.env["VMCTL"] = usual
    desk.start()
    desk.vmctl("stop", "--force", "alpha")


def remote_screen(desk):
    """The VNC server, on and off, with a password and without, and what its clients may."""
    def now(what):
        return json.loads(desk.vmctl("vnc", "seen", "-o", "json")).get("now", {}).get(what)

    desk.vmctl("create", "seen", "--memory", "16M", "--nic", "none")
    desk.vmctl("start", "seen")
    desk.see("seen")
    desk.action("remote", "seen")
    desk.see("VNC Server")
    desk.click("VNC Server", "check box")
    wait_for("server", lambda: now("where"))
    desk.type_into("Password", "secret")
    desk.click("_Set", "push button")
    wait_for("password", lambda: now("password"))
    desk.click("No Password", "push button")
    wait_for("no password", lambda: now("where") and not now("password"))
    desk.click("Clients Look On Only", "check box")
    wait_for("to look on", lambda: now("view-only"))
    desk.window_picture("remote")
    desk.click("VNC Server", "check box")
    wait_for("its end", lambda: not now("where"))
    desk.keys("Escape")
    desk.gone("Clients Look On Only")
    desk.vmctl("stop", "--force", "seen")
    desk.vmctl("delete", "seen")


if __name__ == "__main__":
    run_tests([verifies, compares, takes_a_file_out, serial_terminal, starts_by_itself, firmware, networks, memory, activity, plugs, folders,
               guest_programs, remote_screen], sys.argv[1:])
