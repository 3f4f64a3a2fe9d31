#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The screen window under Xvfb, with a guest that obeys orders (tests/core-vmm/scripted_guest.c): its picture is one colour
(#102030), and the keys it gets appear on its serial port as evdev codes, "+30 -30".  Prints TAP.  Usage: test_screen.py VMCTL SCRIPTED_VM SCREEN"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from pictures import png_pixels, wait_for  # noqa: E402
from screen_desk import LEAST, Desk  # noqa: E402

GUEST = (0x10, 0x20, 0x30)
VMCTL, SCRIPTED_VM, SCREEN = (os.path.abspath(a) for a in sys.argv[1:4])


# ---- tests ----

def title_and_state(desk):
    desk.title_has("vm: running (script)")
    desk.host("p")
    desk.title_has("vm: paused")
    desk.vmctl("resume", "vm")
    desk.title_has("vm: running")


def keys_by_place(desk):
    desk.run("xdotool", "key", "a", "Return")
    desk.got("+30 -30 +28 -28 ")
    desk.host("Delete")
    desk.got("+29 +56 +111 -111 -56 -29 ")


def keys_while_paused_are_lost(desk):
    """Typed at a guest that stands still, they do not come when it goes on."""
    desk.vmctl("pause", "vm")
    desk.title_has("vm: paused")
    desk.run("xdotool", "key", "z")
    desk.host("p")  # the window has the z when it gets this
    desk.title_has("vm: running")
    desk.run("xdotool", "key", "x")
    desk.got("+45 -45 ")
    assert "+44" not in open(desk.serial, errors="replace").read()


def pause_shows(desk):
    """In the picture: darker, with a sign in the middle."""
    def middle():
        rows = desk.window_pixels()
        part = [dot for row in rows[100:230] for dot in row[130:270]]
        return rows[45][60], max(part)
    wait_for("picture", lambda: middle()[0] == GUEST)
    desk.vmctl("pause", "vm")
    try:
        wait_for("sign", lambda: middle()[0] == (6, 12, 18) and min(middle()[1]) > 200)
    finally:
        desk.vmctl("resume", "vm")
    wait_for("picture again", lambda: middle() == (GUEST, GUEST))


def only_the_cursor_is_drawn(desk):
    """A text cursor that blinks costs next to nothing, and less than drawing all of the window would: CPU time, which is about the same on
    a busy host."""
    def cpu():
        with open(f"/proc/{desk.screen.pid}/schedstat") as f:
            return int(f.read().split()[0]) / 1e9
    def looks():
        return {tuple(map(tuple, desk.window_pixels())) for _ in range(12) if not time.sleep(0.07)}
    desk.vmctl("serial", "vm", "--send", "text\\ncursor\\n")
    wait_for("text", lambda: desk.size() == "720 x 430")
    desk.run("xdotool", "mousemove", "900", "600", "sleep", "6")  # until no notice is there any more
    wait_for("blinking cursor", lambda: len(looks()) > 1)  # or this would prove nothing
    def part():
        before, began = cpu(), time.monotonic()
        time.sleep(4)
        spent = (cpu() - before) / (time.monotonic() - began)
        print(f"# {100 * spent:.2f} % of a CPU")
        return spent
    assert any(part() < 0.0025 for _ in range(3)), "each of three spans costs more"
    desk.vmctl("serial", "vm", "--send", "mode 64\\n")
    wait_for("picture", lambda: desk.size() == LEAST)


def open_menu(desk, number):
    """By keys; returns when vmctl has told what is in it: then it has more than one line."""
    def filled():
        return any(34 <= dot[0] <= 40 and 39 <= dot[2] <= 46 for dot in desk.window_pixels()[85])
    desk.host("m")
    desk.run("xdotool", "key", *["Right"] * number)
    wait_for("menu", filled)


def menus_by_keys(desk):
    """The network's cable, the drive's medium and a key combination."""
    def cable():
        return json.loads(desk.vmctl("nic", "list", "vm", "-o", "json"))["cards"][0]["connected"]

    def medium():
        return json.loads(desk.vmctl("media", "list", "vm", "-o", "json"))["drives"][0].get("file")

    def choose(menu, entry):
        open_menu(desk, menu)
        desk.run("xdotool", "key", *["Down"] * entry, "Return")
    assert cable() and medium()
    choose(4, 0)
    wait_for("cable out", lambda: not cable())
    choose(4, 0)
    wait_for("cable in", cable)
    choose(3, 0)
    wait_for("ejected", lambda: not medium())
    choose(1, 6)
    desk.got("+56 +15 -15 -56 ")
    desk.run("xdotool", "key", "Escape", "n")
    desk.got("+49 -49 ")


def file_dialogue(desk):
    """The desktop's own, by its portal; without one the window says what to do."""
    def medium():
        return json.loads(desk.vmctl("media", "list", "vm", "-o", "json"))["drives"][0].get("file")

    def insert():
        open_menu(desk, 3)
        desk.run("xdotool", "key", "Home", "Return")

    def reopen():
        desk.screen.kill()
        desk.screen.wait()
        desk.open_window()
    insert()
    desk.title_has("no dialogue for files")
    python = next((p for p in ("/usr/bin/python3", sys.executable) if not subprocess.run([p, "-c", "from gi.repository import Gio"],
                                                                                         capture_output=True).returncode), None)
    if not python or not shutil.which("dbus-daemon"):
        return "not installed: python3-gi dbus"
    file = desk.home + "/a bü.iso"
    with open(file, "wb") as f:
        f.truncate(1 << 20)
    bus = subprocess.Popen(["dbus-daemon", "--session", "--nofork", "--print-address"], env=desk.env, stdout=subprocess.PIPE, text=True)
    desk.env["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().strip()
    def open_portal(answer):
        portal = subprocess.Popen([python, HERE + "/fake_portal.py", answer], env=desk.env, stdout=subprocess.PIPE, text=True)
        assert portal.stdout.readline() == "ready\n"
        return portal
    portal = open_portal("-")
    try:
        reopen()
        insert()
        desk.title_has("dialogue for files (xdg-desktop-portal) ended")
        portal.wait()
        portal = open_portal(file)
        insert()
        wait_for("medium", lambda: medium() == file)
        desk.vmctl("media", "eject", "vm")
    finally:
        desk.env["DBUS_SESSION_BUS_ADDRESS"] = "disabled:"
        for process in (portal, bus):
            process.kill()
            process.wait()
    reopen()


def toolbar_hides(desk):
    """And is remembered; the picture has its place, and it comes back at the upper edge."""
    def bar():
        return all(abs(a - b) < 3 for a, b in zip(desk.window_pixels()[4][396], (0x30, 0x30, 0x36)))
    desk.run("xdotool", "mousemove", "900", "600")
    wait_for("bar", bar)
    desk.host("b")
    wait_for("no bar", lambda: not bar())
    assert "toolbar = off" in open(desk.home + "/data/terrarium/machines/vm/machine.ini").read().replace("=off", " = off")
    desk.run("xdotool", "mousemove", "--window", desk.window, "200", "100", "sleep", "0.2", "mousemove", "--window", desk.window, "201", "0")
    wait_for("bar at the edge", bar)
    desk.run("xdotool", "mousemove", "--window", desk.window, "200", "150")
    wait_for("no bar again", lambda: not bar())
    desk.host("b")
    wait_for("bar", bar)


def focus_loss_releases_keys(desk):
    desk.run("xdotool", "keydown", "s")
    desk.got("+31 ")
    second = subprocess.Popen([SCREEN, "vm"], env=desk.env)
    try:
        other = wait_for("second window", lambda: next((w for w in desk.windows() if w != desk.window), None))
        desk.run("xdotool", "windowfocus", "--sync", other)
        desk.got("-31 ")
    finally:
        desk.run("xdotool", "keyup", "s", "windowfocus", "--sync", desk.window)
        second.kill()
        second.wait()


def capture_and_release(desk):
    def click():  # again, if a late change of the focus undid it
        desk.run("xdotool", "mousemove", "--window", desk.window, "30", "30", "click", "1", "sleep", "0.3")
        return "releases the mouse" in desk.title()
    wait_for("capture", click)
    desk.run("xdotool", "key", "Control_R")
    desk.title_has("click to capture the mouse")
    wait_for("capture again", click)
    desk.run("xdotool", "keydown", "Control_L", "keydown", "Alt_L", "key", "v", "keyup", "Alt_L", "keyup", "Control_L")  # the guest's
    desk.got("+29 +56 +47 -47 -56 -29 ")
    assert "releases the mouse" in desk.title()
    desk.run("xdotool", "keydown", "Control_L", "keydown", "Alt_L", "keyup", "Control_L", "keyup", "Alt_L")
    desk.title_has("click to capture the mouse")
    desk.got("+29 +56 -29 -56 ")


def a_menu_holds_no_key(desk):
    """What the guest believes to be down is up when one opens."""
    desk.run("xdotool", "keydown", "u")
    desk.got("+22 ")
    desk.run("xdotool", "mousemove", "--window", desk.window, "20", "10", "click", "1")
    try:
        desk.got("-22 ")
    finally:
        desk.run("xdotool", "keyup", "u", "key", "Escape", "mousemove", "900", "600")


def host_key_is_remembered(desk):
    desk.vmctl("set", "vm", "window.host-key=F12")
    desk.close_window()
    try:
        desk.open_window()
        desk.title_has("F12+F1 for help")
        desk.run("xdotool", "keydown", "F12", "key", "q", "keyup", "F12", "key", "Return")
        desk.ends()
        desk.vmctl("set", "vm", "window.host-key=Nonsense")
        desk.open_window()
        desk.title_has('there is no "Nonsense"')
    finally:
        desk.vmctl("set", "vm", "window.host-key=Right Ctrl")
        desk.close_window()
        desk.open_window()


def lock_keys_follow(desk):
    """Pressed while the window was not there; the guest's LEDs were off, and its num lock never has one."""
    def count(codes):
        return open(desk.serial, errors="replace").read().count(codes)

    def away(*keys):
        desk.screen.kill()
        desk.screen.wait()
        desk.run("xdotool", *(word for key in keys for word in ("key", key)), "sleep", "0")
        desk.open_window()
    away("Caps_Lock", "Num_Lock")
    desk.got("+69 -69 +58 -58 ")
    time.sleep(0.5)
    desk.lose_focus()
    desk.focus()
    desk.run("xdotool", "key", "b")
    desk.got("+48 -48 ")
    assert count("+58") == 1 and count("+69") == 1  # in step; and no more of a key that does nothing
    away("Caps_Lock", "Num_Lock")
    wait_for("caps lock off", lambda: count("+58") == 2)


def screenshot(desk):
    """Into the folder that XDG_PICTURES_DIR names, which is made if it is not there."""
    folder = desk.env["XDG_PICTURES_DIR"]

    def file():
        return os.path.isdir(folder) and next((folder + "/" + n for n in os.listdir(folder) if n.endswith(".png")), None)
    desk.host("s")
    rows = png_pixels(wait_for("screenshot", file))
    assert len(rows) == 48 and all(row == [GUEST] * 64 for row in rows)


def closing_keeps_it_running(desk):
    desk.host("q")
    desk.run("xdotool", "key", "Escape")
    desk.host("p")  # the keys come one after the other: it is there, and the question is not
    desk.title_has("vm: paused")
    desk.host("p")
    desk.title_has("vm: running")
    desk.host("q")
    desk.run("xdotool", "key", "Return")
    desk.ends()
    assert "running" in desk.vmctl("list")


def closing_is_remembered(desk):
    desk.open_window()
    desk.host("q")
    desk.run("xdotool", "sleep", "0.3", "key", "Left", "space", "Right", "Return")  # the box, then "Keep running"
    desk.ends()
    desk.open_window()
    desk.host("q")
    desk.ends()
    desk.vmctl("set", "vm", "window.close=shut-down")  # which this guest does not heed
    desk.vmctl("serial", "vm", "--send", "deaf\\nheard\\n")
    desk.got("heard")
    desk.open_window()
    desk.host("q")
    desk.title_has("asked to shut down")
    desk.host("q")
    desk.ends()
    assert "running" in desk.vmctl("list"), desk.vmctl("list")
    desk.vmctl("set", "vm", "window.close=save")
    desk.open_window()
    desk.host("q")
    desk.ends()
    assert "saved" in desk.vmctl("list"), desk.vmctl("list")
    desk.vmctl("set", "vm", "window.close=ask")
    desk.vmctl("start", "vm")


def power_off_closes_it(desk):
    desk.screen = subprocess.Popen([SCREEN, "vm"], env=desk.env)
    desk.window = wait_for("window", desk.find_window)
    desk.title_has("running")
    desk.vmctl("stop", "--force", "vm")
    desk.ends()


def pid(desk):
    return json.loads(desk.vmctl("info", "vm", "-o", "json"))["running"]["pid"]


def a_lost_save_is_told(desk):
    """The VM dies while it is being saved: the window stays and says so."""
    desk.vmctl("set", "vm", "window.close=save")
    desk.start()
    vm = pid(desk)
    os.kill(vm, signal.SIGSTOP)
    desk.host("q")
    desk.title_has("vm: saving")
    os.kill(vm, signal.SIGKILL)
    desk.title_has("vm: stopped")
    desk.run("xdotool", "key", "Return")  # "Close the window"
    desk.ends()
    desk.vmctl("set", "vm", "window.close=ask")


def a_crash_is_told(desk):
    """And a key that was pressed for the guest is no answer, though it repeats."""
    desk.start()
    desk.run("xdotool", "keydown", "Return")
    wait_for("repeats", lambda: open(desk.serial, errors="replace").read().endswith("+28 +28 +28 "))
    os.kill(pid(desk), signal.SIGKILL)
    desk.title_has("stopped")
    desk.run("xdotool", "sleep", "0.5", "keyup", "Return")
    assert desk.screen.poll() is None
    desk.run("xdotool", "windowfocus", "--sync", desk.window, "sleep", "0.3", "key", "Return")
    desk.ends()


def nobody_there(desk):
    done = subprocess.run([SCREEN, "nobody"], env=desk.env, capture_output=True, text=True)
    assert done.returncode == 3 and "nobody is not running" in done.stderr, (done.returncode, done.stderr)


def no_display(desk):
    """SDL has drivers that draw for nobody; none of them is a display."""
    env = {k: v for k, v in desk.env.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")}
    done = subprocess.run([SCREEN, "nobody"], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 6 and "display" in done.stderr, (done.returncode, done.stderr)


TESTS = [title_and_state, keys_by_place, keys_while_paused_are_lost, pause_shows, only_the_cursor_is_drawn, menus_by_keys, file_dialogue,
         toolbar_hides, focus_loss_releases_keys, capture_and_release, a_menu_holds_no_key, host_key_is_remembered, lock_keys_follow, screenshot, closing_keeps_it_running,
         closing_is_remembered,
         power_off_closes_it, a_lost_save_is_told, a_crash_is_told, nobody_there, no_display]


def main():
    missing = [p for p in ("Xvfb", "xdotool") if not shutil.which(p)]
    if missing:
        print(f"1..0 # SKIP not installed: {' '.join(missing)}")
        return
    print(f"1..{len(TESTS)}")
    with tempfile.NamedTemporaryFile(suffix=".iso") as medium:
        medium.truncate(1 << 20)
        run(Desk(VMCTL, SCRIPTED_VM, SCREEN, "--cdrom", medium.name))


def run(desk):
    desk.env["XDG_PICTURES_DIR"] = desk.home + "/my pictures/new"
    try:
        desk.start()
        for i, test in enumerate(TESTS, 1):
            try:
                why = test(desk)
                print(f"ok {i} {test.__name__}{' # SKIP ' + why if why else ''}", flush=True)
            except (AssertionError, subprocess.SubprocessError) as problem:
                print(f"not ok {i} {test.__name__}\n# {problem!r}", flush=True)
    finally:
        desk.close()


main()
