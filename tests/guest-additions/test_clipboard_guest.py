#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Text between the clipboards of a Linux guest, with a distribution's own open-vm-tools-desktop in an X session, and of the host, through
the screen window.  Prints TAP.  Usage: test_clipboard_guest.py VMCTL SCREEN GUESTS.SH     ENGINE: of the machine (soft); PATIENCE: times all time limits"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../network"))
from guest_shell import Shell  # noqa: E402

VMCTL, SCREEN, GUESTS = (os.path.abspath(a) for a in sys.argv[1:4])
PATIENCE = float(os.environ.get("PATIENCE", "1"))


class Desk:
    """A display of the host, a machine that shares its clipboard, an X session in its guest, and the window."""

    def __init__(self, initrd):
        self.base = tempfile.mkdtemp(prefix="terrarium-clipboard-")
        os.mkdir(self.base + "/run", 0o700)
        self.env = dict(os.environ, XDG_DATA_HOME=self.base + "/data", XDG_RUNTIME_DIR=self.base + "/run", HOME=self.base, LC_ALL="C.UTF-8",
                        SDL_VIDEODRIVER="x11")
        read, write = os.pipe()
        self.server = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", "1000x700x24", "-noreset"], pass_fds=[write],
                                       stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as line:
            self.env["DISPLAY"] = ":" + line.readline().strip()
        self.vmctl("create", "g", "--memory", "1200M", "--kernel", os.path.dirname(initrd) + "/vmlinuz-amd64", "--initrd", initrd, "--cmdline",
                   "console=ttyS0 loglevel=3", "--nic", "none", "--serial", f"socket:{self.base}/g", "--set",
                   "machine.engine=" + os.environ.get("ENGINE", "soft"), "--set", "additions.identity=auto", "--set",
                   "additions.clipboard=both")
        self.vmctl("start", "g")
        self.shell = Shell(self.base + "/g", PATIENCE)
        self.screen = None

    def begin(self):
        s = self.shell
        s.boot(240)
        s.good("export PATH=/bin:/sbin:/usr/bin:/usr/sbin DISPLAY=:0 HOME=/; mkdir -p /tmp/.X11-unix; chmod 1777 /tmp /tmp/.X11-unix")
        s.good("(Xvfb :0 -screen 0 640x480x24 -extension GLX >/tmp/x.log 2>&1 &); until xclip -version -d :0 2>&1 && "
               "echo | xclip -i -selection secondary; do sleep 1; done", 120)
        s.good("(vmtoolsd -n vmusr >/tmp/tools.log 2>&1 &)")
        self.wait("tools", lambda: "toolbox-dnd in the guest listens" in self.vmctl("logs", "g"), 120)
        self.screen = subprocess.Popen([SCREEN, "g"], env=self.env)
        self.wait("window", lambda: self.window(), 30)

    def vmctl(self, *args):
        return subprocess.run([VMCTL, *args], env=self.env, capture_output=True, text=True, timeout=120 * PATIENCE, check=True).stdout

    def ask(self, *command):
        return subprocess.run(command, env=self.env, capture_output=True, text=True, check=False, timeout=60).stdout

    def window(self):
        found = self.ask("xdotool", "search", "--class", "terrarium-screen").split()
        return next((w for w in found if self.ask("xdotool", "getwindowname", w).startswith("g: ")), None)

    def focus(self, inside):
        root = self.ask("xdotool", "search", "--maxdepth", "0", ".*").split()[0]
        self.ask("xdotool", "windowfocus", "--sync" if inside else root, *([self.window()] if inside else []))
        time.sleep(0.3)

    def wait(self, what, check, seconds=30):
        end = time.monotonic() + seconds * PATIENCE
        while time.monotonic() < end:
            value = check()
            if value:
                return value
            time.sleep(0.3)
        raise AssertionError(f"no {what} after {seconds * PATIENCE:g} s")

    def copy(self, text):
        subprocess.run(["xclip", "-i", "-selection", "clipboard"], env=self.env, input=text.encode(), stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=True, timeout=60)

    def host_has(self):
        return self.ask("timeout", "5", "xclip", "-o", "-selection", "clipboard")

    def guest_has(self):
        return self.shell.run("timeout 10 xclip -o -selection clipboard 2>/dev/null", 60)[0]

    def close(self):
        if self.screen:
            self.screen.kill()
            self.screen.wait()
        subprocess.run([VMCTL, "stop", "--force", "g"], env=self.env, capture_output=True, check=False)
        self.server.terminate()
        self.server.wait()
        shutil.rmtree(self.base)


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
    missing = [p for p in ("Xvfb", "xdotool", "xclip", "cpio") if not shutil.which(p)]
    made = None if missing else subprocess.run([HERE + "/desktop.sh", GUESTS], capture_output=True, text=True, check=False)
    if missing or made.returncode:
        print(f"1..0 # SKIP {'not installed: ' + ' '.join(missing) if missing else made.stderr.strip()}")
        return
    print(f"1..{len(TESTS)}")
    d = Desk(made.stdout.strip())
    try:
        d.begin()
        for i, test in enumerate(TESTS, 1):
            try:
                test(d)
                print(f"ok {i} {test.__name__}", flush=True)
            except (AssertionError, subprocess.SubprocessError) as problem:
                print(f"not ok {i} {test.__name__}\n# {problem!r}", flush=True)
    finally:
        d.close()


main()
