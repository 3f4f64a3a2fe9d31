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

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from pictures import WAIT, png_pixels, wait_for  # noqa: E402

VMCTL, SCRIPTED_VM, SCREEN = (os.path.abspath(a) for a in sys.argv[1:4])


class Desk:
    """A display, a machine "vm", and a window on it."""

    def __init__(self):
        self.home = tempfile.mkdtemp()
        read, write = os.pipe()
        self.server = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", "1000x700x24", "-noreset"], pass_fds=[write],
                                       stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as line:
            number = line.readline().strip()
        os.mkdir(self.home + "/run", 0o700)
        self.env = dict(os.environ, HOME=self.home, XDG_RUNTIME_DIR=self.home + "/run", XDG_DATA_HOME=self.home + "/data",
                        DISPLAY=":" + number, TERRARIUM_VM=SCRIPTED_VM, SDL_VIDEODRIVER="x11", SDL_RENDER_DRIVER="software")
        for name in ("XDG_CONFIG_HOME", "WAYLAND_DISPLAY"):
            self.env.pop(name, None)
        self.serial = self.home + "/serial"
        self.screen = None
        self.vmctl("create", "vm", "--serial", self.serial)

    def run(self, *command):
        return subprocess.run(command, env=self.env, check=True, capture_output=True, text=True, timeout=WAIT).stdout

    def vmctl(self, *words):
        return self.run(VMCTL, *words)

    def start(self):
        self.vmctl("start", "vm")
        self.vmctl("serial", "vm", "--send", "mode 64\\n")
        self.vmctl("wait", "vm", "--serial", "mode 64\r\n", "--timeout", "5")
        self.open_window()

    def open_window(self):
        self.screen = subprocess.Popen([SCREEN, "vm"], env=self.env)
        self.window = wait_for("window", self.find_window)
        self.focus()
        wait_for("picture", lambda: "64 x 48" in self.size() or "160 x 160" in self.size())

    def focus(self):
        self.run("xdotool", "windowfocus", "--sync", self.window)

    def lose_focus(self):
        root = self.run("xdotool", "search", "--maxdepth", "0", ".*").split()[0]
        self.run("xdotool", "windowfocus", root, "sleep", "0.2")

    def ask(self, *command):
        return subprocess.run(command, env=self.env, capture_output=True, text=True).stdout

    def windows(self):
        """Finished ones: SDL may throw its first try away; the title comes last."""
        found = self.ask("xdotool", "search", "--class", "terrarium-screen").split()
        return [w for w in found if self.ask("xdotool", "getwindowname", w).startswith("vm: ")]

    def find_window(self):
        return next(iter(self.windows()), None)

    def size(self):
        lines = self.run("xdotool", "getwindowgeometry", self.window)
        return lines.split("Geometry: ")[1].strip().replace("x", " x ")

    def title(self):
        return self.run("xdotool", "getwindowname", self.window)

    def title_has(self, text):
        wait_for(f"title with '{text}'", lambda: text in self.title())

    def host(self, key):
        self.run("xdotool", "keydown", "Control_R", "key", key, "keyup", "Control_R")

    def got(self, codes):
        wait_for(f"keys {codes}", lambda: codes in open(self.serial, errors="replace").read())

    def ends(self):
        assert self.screen.wait(WAIT) == 0

    def close(self):
        if self.screen and self.screen.poll() is None:
            self.screen.kill()
        subprocess.run([VMCTL, "stop", "--force", "vm"], env=self.env, capture_output=True)
        self.server.terminate()
        self.server.wait()
        shutil.rmtree(self.home)


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
    time.sleep(0.3)
    desk.vmctl("resume", "vm")
    desk.title_has("vm: running")
    desk.run("xdotool", "key", "x")
    desk.got("+45 -45 ")
    assert "+44" not in open(desk.serial, errors="replace").read()


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
    desk.host("s")
    path = wait_for("screenshot", lambda: next((desk.home + "/" + n for n in os.listdir(desk.home) if n.endswith(".png")), None))
    rows = png_pixels(path)
    assert len(rows) == 48 and all(row == [(0x10, 0x20, 0x30)] * 64 for row in rows)


def closing_keeps_it_running(desk):
    desk.host("q")
    desk.run("xdotool", "sleep", "0.3", "key", "Escape")
    time.sleep(0.3)
    assert desk.screen.poll() is None
    desk.host("q")
    desk.run("xdotool", "sleep", "0.3", "key", "Return")
    desk.ends()
    assert "running" in desk.vmctl("list")


def power_off_closes_it(desk):
    desk.screen = subprocess.Popen([SCREEN, "vm"], env=desk.env)
    desk.window = wait_for("window", desk.find_window)
    desk.title_has("running")
    desk.vmctl("stop", "--force", "vm")
    desk.ends()


def a_crash_is_told(desk):
    desk.start()
    os.kill(json.loads(desk.vmctl("info", "vm", "-o", "json"))["running"]["pid"], signal.SIGKILL)
    desk.title_has("stopped")
    assert desk.screen.poll() is None
    desk.run("xdotool", "windowfocus", "--sync", desk.window, "sleep", "0.3", "key", "Return")
    desk.ends()


def nobody_there(desk):
    done = subprocess.run([SCREEN, "nobody"], env=desk.env, capture_output=True, text=True)
    assert done.returncode == 3 and "nobody is not running" in done.stderr, (done.returncode, done.stderr)


TESTS = [title_and_state, keys_by_place, keys_while_paused_are_lost, focus_loss_releases_keys, capture_and_release, lock_keys_follow, screenshot, closing_keeps_it_running,
         power_off_closes_it, a_crash_is_told, nobody_there]


def main():
    missing = [p for p in ("Xvfb", "xdotool") if not shutil.which(p)]
    if missing:
        print(f"1..0 # SKIP not installed: {' '.join(missing)}")
        return
    print(f"1..{len(TESTS)}")
    desk = Desk()
    try:
        desk.start()
        for i, test in enumerate(TESTS, 1):
            try:
                test(desk)
                print(f"ok {i} {test.__name__}", flush=True)
            except (AssertionError, subprocess.SubprocessError) as problem:
                print(f"not ok {i} {test.__name__}\n# {problem!r}", flush=True)
    finally:
        desk.close()


main()
