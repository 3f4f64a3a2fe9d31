# SPDX-License-Identifier: GPL-2.0-or-later
"""A display of the host, a machine with a Linux guest whose shell is on its serial port, and the machine's window."""
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../network"))
from guest_shell import Shell  # noqa: E402

PATIENCE = float(os.environ.get("PATIENCE", "1"))


class Desk:
    def __init__(self, vmctl, initrd, cmdline, *settings):
        """settings: of the machine, as SECTION.KEY=VALUE."""
        self.program, self.base, self.screen = vmctl, tempfile.mkdtemp(prefix="terrarium-desk-"), None
        os.mkdir(self.base + "/run", 0o700)
        self.env = dict(os.environ, XDG_DATA_HOME=self.base + "/data", XDG_RUNTIME_DIR=self.base + "/run", HOME=self.base, LC_ALL="C.UTF-8",
                        SDL_VIDEODRIVER="x11")
        read, write = os.pipe()
        self.server = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", "1400x900x24", "-noreset"], pass_fds=[write],
                                       stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as line:
            self.env["DISPLAY"] = ":" + line.readline().strip()
        chosen = ["machine.engine=" + os.environ.get("ENGINE", "soft"), "additions.identity=auto", *settings]
        self.vmctl("create", "g", "--memory", "1400M", "--kernel", os.path.dirname(initrd) + "/vmlinuz-amd64", "--initrd", initrd, "--cmdline",
                   cmdline, "--nic", "none", "--serial", f"socket:{self.base}/g", *[w for c in chosen for w in ("--set", c)])
        self.vmctl("start", "g")
        self.shell = Shell(self.base + "/g", PATIENCE)

    def boot(self):
        self.shell.boot(240)
        self.shell.good("export PATH=/bin:/sbin:/usr/bin:/usr/sbin DISPLAY=:0 HOME=/; mkdir -p /tmp/.X11-unix; chmod 1777 /tmp /tmp/.X11-unix")

    def open_window(self, screen):
        self.screen = subprocess.Popen([screen, "g"], env=self.env)
        self.wait("window", self.window, 30)

    def vmctl(self, *args):
        return subprocess.run([self.program, *args], env=self.env, capture_output=True, text=True, timeout=120 * PATIENCE, check=True).stdout

    def ask(self, *command):
        return subprocess.run(command, env=self.env, capture_output=True, text=True, check=False, timeout=60).stdout

    def window(self):
        found = self.ask("xdotool", "search", "--class", "terrarium-screen").split()
        return next((w for w in found if self.ask("xdotool", "getwindowname", w).startswith("g: ")), None)

    def wait(self, what, check, seconds=30):
        end = time.monotonic() + seconds * PATIENCE
        while time.monotonic() < end:
            value = check()
            if value:
                return value
            time.sleep(0.3)
        raise AssertionError(f"no {what} after {seconds * PATIENCE:g} s")

    def close(self):
        if self.screen:
            self.screen.kill()
            self.screen.wait()
        subprocess.run([self.program, "stop", "--force", "g"], env=self.env, capture_output=True, check=False)
        self.server.terminate()
        self.server.wait()
        shutil.rmtree(self.base)


def initrd(script, guests, programs):
    """Made by a script beside this file; None: it cannot be, which has been printed."""
    missing = [p for p in programs if not shutil.which(p)]
    made = None if missing else subprocess.run([os.path.join(HERE, script), guests], capture_output=True, text=True, check=False)
    if not missing and not made.returncode:
        return made.stdout.strip()
    print(f"1..0 # SKIP {'not installed: ' + ' '.join(missing) if missing else made.stderr.strip()}")
    return None


def run(desk, begin, tests):
    """Prints TAP."""
    print(f"1..{len(tests)}")
    try:
        begin(desk)
        for i, test in enumerate(tests, 1):
            try:
                test(desk)
                print(f"ok {i} {test.__name__}", flush=True)
            except (AssertionError, subprocess.SubprocessError) as problem:
                print(f"not ok {i} {test.__name__}\n# {problem!r}", flush=True)
    finally:
        desk.close()
