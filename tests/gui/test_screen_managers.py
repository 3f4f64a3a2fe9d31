#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The screen window under window managers: one with EWMH (metacity), one without (twm), none; full screen and back, and a window
manager that ends.  Prints TAP.  Usage: test_screen_managers.py VMCTL SCRIPTED_VM SCREEN"""
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from pictures import wait_for  # noqa: E402
from screen_desk import SCREEN_SIZE, Desk  # noqa: E402

PROGRAMS = [os.path.abspath(a) for a in sys.argv[1:4]]
GUEST = (0x10, 0x20, 0x30)


def manager_of(desk, name):
    if name == "twm":
        with open(desk.home + "/twmrc", "w") as f:
            f.write("RandomPlacement\nTitleFont \"fixed\"\n")  # a window comes back lower by its title, as twm has it: of one height everywhere
        return desk.start_manager("env", "LC_ALL=C", "twm", "-f", desk.home + "/twmrc")
    return desk.start_manager(name) if name else None


def put_away(process, gently=False):
    if process and process.poll() is None:
        if gently:
            process.terminate()
        else:
            process.kill()
        process.wait()


def is_whole_display(desk):
    """Its inside is the display, and what one sees there is the guest's picture and black around it, to the edges."""
    if desk.place() != (0, 0) + SCREEN_SIZE:
        return False
    rows = desk.pixels(0, 0, *SCREEN_SIZE)
    corners = {rows[y][x] for y in (0, SCREEN_SIZE[1] - 1) for x in (0, SCREEN_SIZE[0] - 1)}
    middle = rows[350][500]
    return middle == GUEST and corners <= {GUEST, (0, 0, 0)}


def full_screen_and_back(desk, name):
    manager = manager_of(desk, name)
    try:
        desk.open_window()
        time.sleep(0.5)  # a window manager may still be putting it somewhere
        desk.focus()
        before = desk.place()
        for _ in range(2):
            desk.host("f")
            wait_for("full screen", lambda: is_whole_display(desk))
            desk.run("xdotool", "key", "z")
            desk.got("+44 -44 ")
            open(desk.serial, "w").close()
            desk.host("f")
            wait_for("window as before", lambda: desk.place()[2:] == before[2:])
            at = wait_for("place as before", lambda: all(abs(a - b) <= 40 for a, b in zip(desk.place(), before)) and desk.place())
            middle = (at[0] + at[2] // 2, at[1] + at[3] // 2)
            wait_for("picture", lambda: desk.pixels(*middle, 1, 1)[0][0] == GUEST)
            desk.focus()
    finally:
        desk.screen.kill()
        desk.screen.wait()
        put_away(manager)


def manager_ends(desk, name):
    """The window stays, and full screen still works."""
    manager = manager_of(desk, name)
    try:
        desk.open_window()
        time.sleep(0.5)
        for again in range(4):
            put_away(manager, gently=again % 2)
            desk.run("sleep", "0.5")
            desk.run("xdotool", "windowmove", desk.window, "40", "50")
            desk.vmctl("pause", "vm")
            desk.title_has("paused")
            desk.vmctl("resume", "vm")
            desk.title_has("running")
            assert desk.screen.poll() is None, f"the window ended: {desk.screen.returncode}"
            if again < 3:
                manager = manager_of(desk, name)
        desk.focus()
        desk.host("f")
        wait_for("full screen", lambda: is_whole_display(desk))
    finally:
        desk.screen.kill()
        desk.screen.wait()
        put_away(manager)


def tests():
    for name in ("metacity", "twm", ""):
        yield f"full screen and back, {name or 'no window manager'}", full_screen_and_back, name
    for name in ("metacity", "twm"):
        yield f"{name} ends", manager_ends, name


def main():
    missing = [p for p in ("Xvfb", "xdotool") if not shutil.which(p)]
    if missing:
        print(f"1..0 # SKIP not installed: {' '.join(missing)}")
        return
    all_of_them = list(tests())
    print(f"1..{len(all_of_them)}")
    desk = Desk(*PROGRAMS)
    try:
        desk.start_machine()
        for i, (what, test, name) in enumerate(all_of_them, 1):
            if name and not shutil.which(name):
                print(f"ok {i} {what} # SKIP not installed: {name}")
                continue
            try:
                test(desk, name)
                print(f"ok {i} {what}", flush=True)
            except (AssertionError, subprocess.SubprocessError) as problem:
                print(f"not ok {i} {what}\n# {problem!r} {desk.place() if desk.screen.poll() is None else ''}", flush=True)
    finally:
        desk.close()


main()
