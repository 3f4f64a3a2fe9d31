# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine with VMware's backdoor, a shell in its Linux guest, which has a distribution's open-vm-tools, and the loop of such tests.
ENGINE: of the machine (soft); PATIENCE: times all time limits"""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../network"))
from guest_shell import Shell

PATIENCE = float(os.environ.get("PATIENCE", "1"))
ENGINE = os.environ.get("ENGINE", "soft")


class Desk:
    """A machine with additions, and a shell in it."""

    def __init__(self, vmctl, guests, initrd, *settings):
        """settings: more arguments of vmctl create; "{base}" in them is a folder of this test's own."""
        self.program = os.path.abspath(vmctl)
        made = subprocess.run([guests, "vmlinuz-amd64", initrd], capture_output=True, text=True, check=False)
        if made.returncode:
            print(f"1..0 # SKIP {made.stderr.strip()}")
            sys.exit(0)
        folder = subprocess.run([guests, "--dir"], check=True, capture_output=True, text=True).stdout.strip()
        self.base = tempfile.mkdtemp(prefix="terrarium-additions-")
        os.mkdir(self.base + "/run", 0o700)
        self.env = dict(os.environ, XDG_DATA_HOME=self.base + "/data", XDG_RUNTIME_DIR=self.base + "/run", LC_ALL="C.UTF-8")
        self.vmctl("create", "g", "--memory", "512M", "--kernel", folder + "/vmlinuz-amd64", "--initrd",
                   f"{folder}/{initrd}", "--cmdline", "console=ttyS0 loglevel=3", "--nic", "virtio-net", "--serial",
                   f"socket:{self.base}/g", "--set", f"machine.engine={ENGINE}", "--set", "additions.identity=auto",
                   *(s.replace("{base}", self.base) for s in settings))
        self.start()

    def start(self):
        self.vmctl("start", "g")
        self.shell = Shell(self.base + "/g", PATIENCE)
        self.boot()

    def boot(self):
        self.shell.boot()
        self.shell.good("export PATH=/bin:/sbin:/usr/bin:/usr/sbin; hostname desk")
        self.shell.good("cards; udhcpc -i eth0 -n -q -t 10 -s /bin/lease", 90)

    def vmctl(self, *args, code=0):
        p = subprocess.run([self.program, *args], env=self.env, capture_output=True, text=True, timeout=120 * PATIENCE, check=False)
        assert p.returncode == code, f"vmctl {' '.join(args)}: exit code {p.returncode}: {p.stderr}{p.stdout}"
        return p.stdout

    def control(self, command, **args):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.base + "/run/terrarium/g/control")
            s.sendall(json.dumps({"id": 1, "cmd": command, "args": args}).encode() + b"\n")
            for line in s.makefile():
                answer = json.loads(line)
                if answer.get("id") == 1:
                    assert answer["ok"], answer
                    return answer["result"]
        raise AssertionError(f"no answer to {command}")

    def guest(self):
        return json.loads(self.vmctl("info", "g", "-o", "json"))["running"].get("guest", {})

    def behind(self):
        """Seconds between the guest's clock and the host's."""
        return abs(int(self.shell.good("date +%s").split()[-1]) - time.time())

    def wait(self, what, good, seconds=60):
        end = time.monotonic() + seconds * PATIENCE
        while not good(seen := self.guest()):
            assert time.monotonic() < end, f"{what} did not come in {seconds} s: {seen}"
            time.sleep(0.5)
        return seen

    def pids(self, name):
        """Of processes of that name in this test's machine."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/comm", encoding="utf-8") as comm, open(f"/proc/{pid}/environ", "rb") as env:
                    if comm.read().strip() == name and self.base.encode() in env.read():
                        found.append(int(pid))
            except OSError:
                pass
        return found

    def log(self):
        with open(self.base + "/data/terrarium/machines/g/logs/vm.log", encoding="utf-8") as f:
            return f.read()

    def close(self):
        subprocess.run([self.program, "stop", "--force", "g"], env=self.env, capture_output=True, check=False)
        self.shell.close()
        shutil.rmtree(self.base)


def run_tests(desk, tests):
    print(f"1..{len(tests)}", flush=True)
    try:
        for n, test in enumerate(tests, 1):
            began = time.monotonic()
            try:
                test(desk)
                print(f"ok {n} {test.__name__} # {time.monotonic() - began:.1f} s", flush=True)
            except Exception:
                print(f"not ok {n} {test.__name__}\n# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
    finally:
        desk.close()
