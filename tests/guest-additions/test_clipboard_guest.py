#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Text between the clipboards of a Linux guest, with a distribution's own open-vm-tools-desktop in an X session, and of the host, through
the screen window.  Prints TAP.  Usage: test_clipboard_guest.py VMCTL SCREEN GUESTS.SH     ENGINE: of the machine (soft); PATIENCE: times all time limits"""
import json
import os
import subprocess
import sys
import time

from xdesk import Desk, initrd, run

VMCTL, SCREEN, GUESTS = (os.path.abspath(a) for a in sys.argv[1:4])


class Shared(Desk):
    """One that shares its clipboard, with an X session in its guest."""

    def __init__(self, image):
        super().__init__(VMCTL, image, "console=ttyS0 loglevel=3", "additions.clipboard=both")

    def begin(self):
        s = self.shell
        self.boot()
        s.good("(Xvfb :0 -screen 0 640x480x24 -extension GLX >/tmp/x.log 2>&1 &); until xclip -version -d :0 2>&1 && "
               "echo | xclip -i -selection secondary; do sleep 1; done", 120)
        s.good("(vmtoolsd -n vmusr >/tmp/tools.log 2>&1 &)")
        self.wait("tools", lambda: "toolbox-dnd in the guest listens" in self.vmctl("logs", "g"), 120)
        self.open_window(SCREEN)

    def focus(self, inside):
        root = self.ask("xdotool", "search", "--maxdepth", "0", ".*").split()[0]
        self.ask("xdotool", "windowfocus", "--sync" if inside else root, *([self.window()] if inside else []))
        time.sleep(0.3)

    def copy(self, text):
        subprocess.run(["xclip", "-i", "-selection", "clipboard"], env=self.env, input=text.encode(), stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=True, timeout=60)

    def host_has(self):
        return self.ask("timeout", "5", "xclip", "-o", "-selection", "clipboard")

    def guest_has(self):
        return self.shell.run("timeout 10 xclip -o -selection clipboard 2>/dev/null", 60)[0]


def to_guest(d):
    d.focus(False)
    d.copy("from the host: äöü €\nsecond line")
    d.focus(True)
    d.wait("text in the guest", lambda: d.guest_has() == "from the host: äöü €\nsecond line", 60)


def to_host(d):
    d.focus(True)
    d.shell.good("for i in primary clipboard; do printf 'from the guest: \\303\\234 %s' yes | xclip -i -selection $i; done; sleep 1", 60)
    d.focus(False)
    d.wait("text on the host", lambda: d.host_has() == "from the guest: Ü yes", 60)


def large(d):
    """More than goes into one message."""
    d.focus(True)
    d.shell.good("yes 0123456789 | head -n 20000 >/tmp/large; for i in primary clipboard; do xclip -i -selection $i /tmp/large; done; sleep 1", 60)
    d.focus(False)
    d.wait("text on the host", lambda: d.host_has() == "0123456789\n" * 20000, 90)


def not_while_elsewhere(d):
    """What is copied on the host while the window has not the focus stays there."""
    d.focus(False)
    before = d.guest_has()
    d.copy("a secret")
    time.sleep(3)
    assert d.guest_has() == before
    assert json.loads(d.vmctl("info", "g", "-o", "json"))["running"]["clipboard"] == "both"


TESTS = [to_guest, to_host, large, not_while_elsewhere]


def main():
    image = initrd("desktop.sh", GUESTS, ["Xvfb", "xdotool", "xclip", "cpio"])
    if image:
        run(Shared(image), Shared.begin, TESTS)


main()
