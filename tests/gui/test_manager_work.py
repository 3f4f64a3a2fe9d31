#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What one does with machines in the manager beside starting them: groups, clones, appliances, trying something safely, the doctor, and
how long work ends.  Prints TAP.  Usage: test_manager_work.py MANAGER VMCTL SCRIPTED_VM"""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from manager import run_tests, wait_for  # noqa: E402


def info(desk, name):
    return json.loads(desk.vmctl("info", name, "-o", "json"))


def names(desk):
    return desk.vmctl("list", "-o", "name").split("\n")[:-1]


def headings(desk, name):
    """Labels with just that text."""
    return [t for t in desk.things() if t.role == "label" and t.name == name]


def groups(desk):
    """Set by the dialog or by vmctl, they are headings; a search finds them."""
    desk.vmctl("create", "alpha", "--memory", "16M", "--nic", "none")
    desk.vmctl("create", "beta", "--memory", "16M", "--nic", "none")
    desk.start()
    desk.see("beta")
    assert not headings(desk, "Zoo")
    desk.action("set-group", "alpha")
    desk.type_into("Group", "Zoo")
    desk.click("_Set", "push button")
    wait_for("group", lambda: info(desk, "alpha")["settings"]["machine"].get("group") == "Zoo")
    desk.wait("heading", lambda: headings(desk, "Zoo"))
    desk.action("search")
    desk.type_into("Search machines", "zoo")
    desk.wait("alpha alone", lambda: not headings(desk, "beta"))
    desk.see("alpha")
    desk.type_into("Search machines", "")
    desk.see("beta")
    desk.vmctl("set", "alpha", "--unset", "machine.group")
    desk.vmctl("delete", "beta")
    wait_for("end of the heading", lambda: not headings(desk, "Zoo"))


def folds(desk):
    """A group's heading folds it and opens it; how it was left is remembered; a search looks into it, and what is to be shown opens it."""
    desk.vmctl("set", "alpha", "machine.group=Zoo")
    for name in ("lion", "zebra"):
        desk.vmctl("create", name, "--memory", "16M", "--nic", "none")
        desk.vmctl("set", name, "machine.group=Zoo")
    desk.vmctl("create", "other", "--memory", "16M", "--nic", "none")
    desk.wait("zebra", lambda: headings(desk, "zebra"))
    desk.action("choose", "other")
    desk.click("Zoo", "push button")
    desk.wait("folded group", lambda: headings(desk, "Zoo (3)") and not headings(desk, "lion") and not headings(desk, "zebra"))
    desk.stop()
    desk.start()
    desk.wait("folded group", lambda: headings(desk, "Zoo (3)") and not headings(desk, "lion"))
    desk.action("search")
    desk.type_into("Search machines", "lion")
    desk.wait("what is searched for", lambda: headings(desk, "lion"))
    desk.type_into("Search machines", "")
    desk.wait("folded group", lambda: headings(desk, "Zoo (3)") and not headings(desk, "zebra"))
    desk.action("choose", "zebra")
    desk.wait("open group", lambda: headings(desk, "Zoo") and headings(desk, "lion"))
    desk.vmctl("set", "alpha", "--unset", "machine.group")
    for name in ("lion", "zebra", "other"):
        desk.vmctl("delete", name)


def clones(desk):
    """With a name that is proposed; the desktop is told of the end, as the window is not in front."""
    desk.vmctl("set", "alpha", "ide0.file=<b>&disk.img", "ide0.format=raw")
    with open(info(desk, "alpha")["folder"] + "/<b>&disk.img", "wb") as f:
        f.truncate(1 << 20)
    desk.action("clone", "alpha")
    desk.see("Clone “alpha”")
    desk.typed("Name", "alpha copy")
    desk.type_into("Name", "alpha")  # there is one
    desk.wait("that it cannot be", lambda: not any(t.name == "C_lone" and t.role == "push button" and t.has(24) for t in desk.things()))
    desk.type_into("Name", "second")
    desk.click("C_lone", "push button")
    wait_for("clone", lambda: "second" in names(desk))
    wait_for("notification", lambda: any("“alpha” was cloned: “second”" in n for n in desk.notified()))
    desk.vmctl("delete", "second")


def failures_are_told(desk):
    """In the machine's page, and by the desktop, there without what could be markup; in a toast while another page is shown."""
    os.unlink(info(desk, "alpha")["folder"] + "/<b>&disk.img")
    desk.action("choose", "alpha")
    desk.action("clone", "alpha")
    desk.click("C_lone", "push button")
    desk.see("disk.img")
    wait_for("notification", lambda: any(n.startswith("Cloning failed\t") and "‹b›＆disk.img" in n for n in desk.notified()))
    desk.see("Show Log", "push button")
    assert not any(t.name.startswith("Cloning failed: ") for t in desk.things())
    desk.vmctl("create", "zeta", "--memory", "16M", "--nic", "none")
    desk.see("zeta")
    desk.action("choose", "no such machine")
    desk.action("choose", "zeta")
    desk.action("clone", "alpha")
    desk.click("C_lone", "push button")
    desk.see("Cloning failed: ")
    desk.action("choose", "alpha")
    desk.click("Dismiss", "push button")
    desk.vmctl("delete", "zeta")
    desk.vmctl("set", "alpha", "--unset", "ide0")


def tries_safely(desk):
    """Keep and undo, from where the machine is off and while it runs."""
    desk.action("choose", "alpha")
    desk.show_page("snapshots")
    desk.click("Try It Safely", "push button")
    desk.see("Being tried")
    wait_for("it runs", lambda: info(desk, "alpha")["state"] == "running")
    desk.vmctl("stop", "--force", "alpha")
    desk.vmctl("set", "alpha", "machine.cpus=3")
    desk.click("Undo…", "push button")
    desk.see("Undo what was tried")
    desk.click("_Undo", "push button")
    wait_for("undone", lambda: info(desk, "alpha")["settings"]["machine"]["cpus"] == "1")
    desk.vmctl("try", "alpha", "--headless")
    desk.see("Being tried")
    desk.vmctl("stop", "--force", "alpha")
    desk.vmctl("set", "alpha", "machine.cpus=2")
    desk.click("_Keep", "push button")
    wait_for("kept", lambda: "before-try" not in desk.vmctl("snapshot", "list", "alpha"))
    assert info(desk, "alpha")["settings"]["machine"]["cpus"] == "2"


def looks(desk):
    """Processes of the manager that ask what the machine uses."""
    return desk.run("pgrep", "-P", str(desk.app.pid), "-f", "vmctl top", check=False).strip()


def clones_a_snapshot(desk):
    """By keyboard alone, through the row's menu."""
    desk.vmctl("snapshot", "take", "alpha", "then")
    desk.vmctl("set", "alpha", "machine.cpus=4")
    desk.see("then", "label")
    desk.tab_to("Restore")
    desk.keys("Tab", "space")
    desk.see("Clone…")
    desk.keys("Return")
    desk.see("as this snapshot is")
    desk.type_into("Name", "of then")
    desk.click("C_lone", "push button")
    wait_for("clone", lambda: "of then" in names(desk))
    assert info(desk, "of then")["settings"]["machine"]["cpus"] == "2"
    desk.vmctl("delete", "of then")
    desk.vmctl("snapshot", "delete", "alpha", "then")


def moves(desk):
    """The disks, to a folder of the dialog."""
    desk.vmctl("create", "mover", "--memory", "16M", "--nic", "none", "--disk", "1M", "--disk-format", "raw")
    os.mkdir(desk.home + "/elsewhere")
    desk.see("mover")
    desk.action("move", "mover")
    desk.see("_Move", "push button")
    desk.keys("ctrl+l")
    desk.run("xdotool", "type", desk.home + "/elsewhere")
    desk.click("_Move", "push button")
    wait_for("moved disk", lambda: os.listdir(desk.home + "/elsewhere"))
    wait_for("settings", lambda: desk.home + "/elsewhere" in info(desk, "mover")["settings"]["ide0"]["file"])
    desk.vmctl("delete", "mover")


def set_window_state(desk, state):
    for window in desk.run("xdotool", "search", "--onlyvisible", "--pid", str(desk.app.pid)).split():
        desk.run("xprop", "-id", window, "-f", "_NET_WM_STATE", "32a", "-set", "_NET_WM_STATE", state)


def curves_and_engine(desk):
    """While it runs, and only then."""
    desk.show_page("overview")
    desk.vmctl("start", "alpha")
    desk.see("% of one CPU")
    desk.see("Software Engine")
    assert looks(desk)
    desk.show_page("log")
    wait_for("nobody looks at what cannot be seen", lambda: not looks(desk))
    desk.show_page("overview")
    wait_for("it is looked at", lambda: looks(desk))
    set_window_state(desk, "_NET_WM_STATE_HIDDEN")  # as window managers say that it is minimised
    wait_for("nobody looks at a minimised window", lambda: not looks(desk))
    set_window_state(desk, "_NET_WM_STATE_FOCUSED")
    wait_for("it is looked at again", lambda: looks(desk))
    subprocess.run(["kill", *looks(desk).split()], check=True)
    wait_for("end of the looking", lambda: not looks(desk))
    desk.vmctl("pause", "alpha")
    wait_for("a new look", lambda: looks(desk))
    desk.vmctl("stop", "--force", "alpha")
    wait_for("end of the looking", lambda: not looks(desk))


def appliances(desk):
    """Exported by the dialog, and a file that the desktop opens is imported after a look at what comes along; a damaged one is told."""
    path = desk.home + "/alpha.ova"
    desk.action("export", "alpha")
    desk.type_into("Name", path)
    desk.click("_Export", "push button")
    wait_for("appliance", lambda: os.path.exists(path))
    desk.told("“alpha” was exported")
    subprocess.run([desk.manager, path], env=desk.env, check=True, timeout=30)
    desk.see("What Comes Along")
    desk.typed("New Name", "alpha 2")
    desk.type_into("New Name", "alpha")
    desk.click("_Import", "push button")
    desk.see("There is a machine “alpha” already")
    desk.type_into("New Name", "from elsewhere")
    desk.click("_Import", "push button")
    wait_for("machine", lambda: "from elsewhere" in names(desk))
    desk.told("“from elsewhere” was imported")
    with open(path, "r+b") as f:
        f.truncate(700)
    subprocess.run([desk.manager, path], env=desk.env, check=True, timeout=30)
    desk.see("the archive ends in the middle of alpha.ovf")
    assert names(desk) == ["alpha", "from elsewhere"]
    desk.click("Cancel", "push button")
    desk.vmctl("delete", "from elsewhere")


def doctor(desk):
    """What it finds, with cause and evidence; a machine that is damaged is among it."""
    folder = desk.home + "/data/terrarium/machines/hurt"
    os.mkdir(folder)
    with open(folder + "/machine.ini", "w", encoding="utf-8") as f:
        f.write("[machine]\nmemry=1\n")
    desk.action("doctor")
    desk.see("Guests run on the software engine")
    desk.see("terrarium-vm --probe: script: it is a test")
    desk.see("hurt")
    desk.see("memry")
    desk.click("Copy as Text", "push button")
    desk.see("Copied")
    desk.click("Close", "push button")
    desk.vmctl("delete", "hurt")


def disk_menu(desk, image, *keys):
    """An entry of an image's menu, by keyboard alone."""
    desk.see(image)
    desk.tab_to("Actions")
    desk.keys("space")
    desk.see("Enlarge…")
    desk.keys(*keys)


def disks(desk):
    """One is enlarged; one that is compacted goes on when the window is closed, is found again, and its end is told in the main window."""
    desk.vmctl("create", "stout", "--memory", "16M", "--nic", "none", "--disk", "1M", "--disk-format", "qcow2")
    desk.see("stout")
    desk.action("disks")
    desk.see("stout: 1.0")
    disk_menu(desk, "disk.qcow2", "Down", "Down", "Return")
    desk.see("Enlarge the Disk")
    desk.type_into("New Size", "much")
    desk.click_away("_Resize", "Enlarge the Disk")
    desk.see("is no size")
    disk_menu(desk, "disk.qcow2", "Down", "Down", "Return")
    desk.type_into("New Size", "+7M")
    desk.click_away("_Resize", "Enlarge the Disk")
    desk.see("stout: 8.0")
    slow = desk.home + "/vmctl-that-waits"
    with open(slow, "w", encoding="utf-8") as f:
        f.write(f'#!/bin/sh\n[ "$2" = compact ] && while [ ! -e {desk.home}/go ]; do sleep 0.1; done\nexec {desk.vmctl_program} "$@"\n')
    os.chmod(slow, 0o755)
    desk.click("Close", "push button")
    desk.stop()
    usual, desk.env["VMCTL"] = desk.env.get("VMCTL", desk.vmctl_program), slow
    desk.start()
    desk.action("disks")
    disk_menu(desk, "disk.qcow2", "Down", "Return")
    desk.see("Cancel", "push button")
    desk.click("Close", "push button")
    desk.gone("stout: ")
    desk.action("disks")
    desk.see("Cancel", "push button")
    desk.click("Close", "push button")
    desk.gone("stout: ")
    open(desk.home + "/go", "w", encoding="utf-8").close()
    desk.told("“disk.qcow2” was compacted")
    desk.see("“disk.qcow2” was compacted")
    desk.stop()
    desk.env["VMCTL"] = usual
    desk.start()
    desk.vmctl("delete", "stout")


def hold_work(desk, verb):
    """The manager's process of that verb, stopped."""
    children = lambda: desk.run("pgrep", "-P", str(desk.app.pid), "-f", f"vmctl {verb}", check=False).split()
    wait_for(verb, children)
    subprocess.run(["kill", "-STOP", *children()], check=True)
    return children()


def its_end_is_told(desk):
    """Though the window was closed meanwhile; then the manager ends.  The name has got its ending."""
    desk.vmctl("set", "alpha", "ide0.file=disk.img", "ide0.format=raw")
    with open(info(desk, "alpha")["folder"] + "/disk.img", "wb") as f:
        f.write(os.urandom(64 << 20))
    desk.action("disks")  # which goes with the window
    desk.see("Look Again")
    desk.action("export", "alpha")
    desk.type_into("Name", desk.home + "/large")
    desk.click("_Export", "push button")
    stopped = hold_work(desk, "export")
    before = len(desk.notified())
    desk.run("gdbus", "call", "--session", "-d", "org.terrarium.Terrarium", "-o", "/org/terrarium/Terrarium", "-m",
             "org.gtk.Actions.Activate", "quit", "[]", "{}")
    wait_for("closed window", lambda: not desk.run("xdotool", "search", "--onlyvisible", "--pid", str(desk.app.pid), check=False).strip())
    assert desk.app.poll() is None
    subprocess.run(["kill", "-CONT", *stopped], check=True)
    wait_for("notification", lambda: any("“alpha” was exported" in n for n in desk.notified()[before:]))
    ended = desk.app.wait(30)
    desk.start()
    assert ended == 0 and os.path.exists(desk.home + "/large.ova")


def fails_in_the_background(desk):
    """Without the wizard, the window tells it."""
    subprocess.run([desk.manager, desk.home + "/large.ova"], env=desk.env, check=True, timeout=30)
    desk.see("What Comes Along")
    desk.typed("New Name", "alpha 2")  # it has been looked at
    desk.type_into("New Name", "never")
    desk.click("_Import", "push button")
    working = hold_work(desk, "import.*never")
    desk.click("Go On in the _Background", "push button")
    desk.wait("end of the wizard", lambda: not any("Go On in the" in t.name for t in desk.things()))
    subprocess.run(["kill", "-KILL", *working], check=True)
    desk.see("Importing failed: ")


run_tests([groups, folds, appliances, clones, failures_are_told, tries_safely, clones_a_snapshot, moves, curves_and_engine, doctor, disks, its_end_is_told, fails_in_the_background], sys.argv[1:])
