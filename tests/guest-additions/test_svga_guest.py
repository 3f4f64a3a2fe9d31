#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""VMware's SVGA II with a Linux guest's own driver, vmwgfx: the console, X and weston, sizes that are asked for, two screens, the cursor, a
state that is saved while the guest draws.  Prints TAP.  Usage: test_svga_guest.py VMCTL SCREEN GUESTS.SH     ENGINE: of the machine (soft);
PATIENCE: times all time limits"""
import json
import os
import socket
import sys

from xdesk import PATIENCE, Desk, initrd, run

VMCTL, SCREEN, GUESTS = (os.path.abspath(a) for a in sys.argv[1:4])
XORG = r'Section "Module"\n Disable "glx"\n Disable "dri"\nEndSection\nSection "Device"\n Identifier "c"\n Driver "modesetting"\n ' \
       r'Option "AccelMethod" "none"\nEndSection\n'


class Drawn(Desk):
    def __init__(self, image):
        super().__init__(VMCTL, image, "console=tty0 console=ttyS0 loglevel=3", "video.type=svga", "video.screens=2")

    def begin(self):
        self.boot()
        self.shell.good("mkdir -p /run/udev /run/w /dev/pts /root /etc/X11; mount -t devpts devpts /dev/pts; modprobe evdev; modprobe psmouse")

    def control(self, command, **args):
        """What the control socket says to it, until an answer and a cursor have come; and the first descriptor."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(30 * PATIENCE)
            link.connect(self.base + "/run/terrarium/g/control")
            link.sendall(json.dumps({"id": 1, "cmd": command, "args": args}).encode() + b"\n")
            data, fds, last = b"", [], b"display.cursor" if command == "display.watch" else b'"id":1'
            while last not in data or not data.endswith(b"\n"):
                part, more = socket.recv_fds(link, 65536, 8)[:2]
                assert part, "the VM has closed its socket"
                data, fds = data + part, fds + more
        return [json.loads(line) for line in data.splitlines()], fds

    def picture(self, screen):
        """Its width, its height, and a function: the colour at a place."""
        messages, fds = self.control("screen.shot", screen=screen - 1)
        answer = messages[0].get("result")
        assert answer, messages
        with os.fdopen(fds[0], "rb") as f:
            data = os.pread(f.fileno(), answer["stride"] * answer["height"], 0)
        return answer["width"], answer["height"], lambda x, y: int.from_bytes(data[y * answer["stride"] + 4 * x:][:3], "little")

    def shows(self, what, good, screen=1, seconds=30):
        self.wait(what, lambda: good(*self.picture(screen)), seconds)

    def cursor(self):
        """What a new watcher is told of it."""
        messages, fds = self.control("display.watch")
        for fd in fds:
            os.close(fd)
        return next(m["data"] for m in messages if m.get("event") == "display.cursor")


def console(d):
    """The driver takes the console; what it shows is what is written there."""
    d.shell.good("card vmwgfx", 60)
    assert "vmwgfx" in d.shell.good("cat /proc/fb")
    assert "Screen Object display unit initialized" in d.shell.good("dmesg")
    d.shell.good(r"printf '\033[44m\033[2J\033[41m\033[H            ' >/dev/tty1")
    d.shows("blue screen with a red bar", lambda w, h, at: (w, h) == (1280, 800) and at(4, 4) == 0xaa0000 and at(1270, 790) == 0x0000aa)


def x_server(d):
    d.shell.good("/lib/systemd/systemd-udevd --daemon; udevadm trigger; udevadm settle", 60)
    d.shell.good(f"printf '{XORG}' >/etc/X11/xorg.conf; (Xorg :0 -logfile /tmp/x.log -noreset >/tmp/x.out 2>&1 &)")
    d.shell.good("until xsetroot -solid '#336699'; do sleep 1; done 2>/dev/null; xsetroot -cursor_name left_ptr", 120)
    d.shell.good("(xterm -bg '#eeeeee' -fg '#eeeeee' -geometry 40x10+100+100 >/dev/null 2>&1 &)")
    d.shows("xterm on its background", lambda w, h, at: at(1200, 700) == 0x336699 and at(200, 150) == 0xeeeeee)


def pointer(d):
    """Its shape goes to the watchers, and is not in the picture, while the guest takes absolute coordinates."""
    d.wait("absolute pointer", lambda: json.loads(d.vmctl("info", "g", "-o", "json"))["running"]["absolute-pointer"])
    shape = d.wait("cursor", lambda: d.cursor()["visible"] and d.cursor())
    assert 8 <= shape["width"] <= 64 and 8 <= shape["height"] <= 64, shape


def size(d):
    """Asked for by vmctl, told by open-vm-tools, followed by the desktop."""
    d.shell.good("(vmtoolsd >/tmp/tools.log 2>&1 &)")
    d.wait("tools", lambda: "toolbox in the guest listens" in d.vmctl("logs", "g"), 120)
    d.vmctl("screen", "size", "g", "1100x700")
    d.wait("mode", lambda: d.shell.good("head -n 1 /sys/class/drm/card0-Virtual-1/modes") == "1100x700")
    d.shell.good("xrandr --output Virtual-1 --preferred")
    d.shows("that size", lambda w, h, at: (w, h) == (1100, 700) and at(1090, 690) == 0x336699)


def two_screens(d):
    d.vmctl("screen", "size", "g", "640x500", "--screen", "2")
    d.wait("second screen", lambda: " connected" in d.shell.good("xrandr | grep Virtual-2"))
    d.shell.good("xrandr --output Virtual-2 --preferred --right-of Virtual-1; xsetroot -solid '#225522'")
    d.shell.good("(xterm -bg '#dddddd' -fg '#dddddd' -geometry 20x5+1200+100 >/dev/null 2>&1 &)")
    d.shows("xterm on it", lambda w, h, at: (w, h) == (640, 500) and at(600, 450) == 0x225522 and at(150, 130) == 0xdddddd, screen=2)
    d.shell.good("xrandr --output Virtual-2 --off")
    d.shows("nothing", lambda w, h, at: at(600, 450) == 0 and at(150, 130) == 0, screen=2)
    d.vmctl("screen", "size", "g", "1090x700")  # that it is off is the guest's wish: it does not come back with that
    d.wait("one screen", lambda: " disconnected" in d.shell.good("xrandr | grep Virtual-2"))
    d.vmctl("screen", "size", "g", "640x500", "--screen", "2")
    d.wait("second screen", lambda: " connected" in d.shell.good("xrandr | grep Virtual-2"))
    d.vmctl("screen", "size", "g", "1100x700")
    d.vmctl("screen", "size", "g", "off", "--screen", "2")
    d.wait("one screen", lambda: " disconnected" in d.shell.good("xrandr | grep Virtual-2"))


def window_size(d):
    """What the user makes of the window, the guest is asked for."""
    d.open_window(SCREEN)
    d.wait("first picture", lambda: d.ask("xdotool", "getwindowgeometry", d.window()).find("1100x") > 0)
    d.ask("xdotool", "windowsize", d.window(), "900", "650")
    mode = d.wait("mode", lambda: next((m for m in [d.shell.good("head -n 1 /sys/class/drm/card0-Virtual-1/modes")] if m.startswith("900x")), None))
    d.shell.good("xrandr --output Virtual-2 --off --output Virtual-1 --preferred")
    d.shows("that size", lambda w, h, at: f"{w}x{h}" == mode)


def saved(d):
    """A state that is saved while the guest draws goes on drawing, with the picture as it was."""
    d.screen.kill()
    d.screen.wait()
    d.screen = None
    d.shell.good("(while :; do for c in 400000 004000 000040; do xsetroot -solid \"#$c\"; done; done >/dev/null 2>&1 & echo $! >/tmp/loop)")
    d.vmctl("save", "g")
    d.shell.close()
    d.vmctl("start", "g")
    d.shell = type(d.shell)(d.base + "/g", PATIENCE)
    d.shell.good("true", 60)
    d.shell.good("kill $(cat /tmp/loop); sleep 1; xsetroot -solid '#775511'", 60)
    d.shows("what is drawn then", lambda w, h, at: w == 900 and at(890, h - 10) == 0x775511 and at(200, 150) == 0xeeeeee)


def weston(d):
    d.shell.good("kill $(pidof Xorg); while pidof Xorg; do sleep 1; done", 60)
    d.shell.good("export XDG_RUNTIME_DIR=/run/w; chmod 700 /run/w; (weston --tty=1 --backend=drm-backend.so --use-pixman --log=/tmp/w.log >/tmp/w.out 2>&1 &)")
    d.shell.good("until [ -S /run/w/wayland-1 ]; do sleep 1; done", 120)
    d.shows("panel above a pattern", lambda w, h, at: max(at(w // 2, 10).to_bytes(3, "big")) < 0x50 and at(300, 300) not in (0, 0x775511), seconds=60)


def other_driver_gone(d):
    """After a reset it is a VGA again, with the BIOS's text."""
    d.shell.close()
    d.vmctl("stop", "--force", "g")
    d.vmctl("start", "g")
    d.shell = type(d.shell)(d.base + "/g", PATIENCE)
    d.boot()
    d.shell.good("card vmwgfx", 60)
    d.vmctl("reset", "g")
    d.wait("text", lambda: "SeaBIOS" in d.ask(VMCTL, "screen", "text", "g"), 60)


TESTS = [console, x_server, pointer, size, two_screens, window_size, saved, weston, other_driver_gone]


def main():
    image = initrd("svga.sh", GUESTS, ["Xvfb", "xdotool", "cpio"])
    if image:
        run(Drawn(image), Drawn.begin, TESTS)


main()
