#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vmctl save and start, and the VM process, killed at random (SIGKILL).  The guest has a number in its memory.  After each kill
the machine runs with it, or is saved with it; only a guest whose process was killed when it ran has lost it.  Prints TAP.
Usage: kill_save.py VMCTL TERRARIUM-VM-SCRIPTED [ROUNDS]; seed: TEST_SEED in the environment"""
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

VMCTL, VM = (os.path.abspath(a) for a in sys.argv[1:3])
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 300
SEED = int(os.environ.get("TEST_SEED", random.randrange(1 << 30)))
SOON = 20


class Host:
    def __init__(self):
        self.base = tempfile.mkdtemp(prefix="terrarium-kill-")
        os.mkdir(self.base + "/run", 0o700)
        self.env = dict(os.environ, XDG_DATA_HOME=self.base + "/data", XDG_RUNTIME_DIR=self.base + "/run", LC_ALL="C.UTF-8",
                        TERRARIUM_VM=VM)
        self.folder = self.base + "/data/terrarium/machines/m"
        self.took = {"save": 0.2, "start": 0.2}  # seconds, a moving average
        self.kills = {"vmctl": 0, "vm": 0}

    def popen(self, *args):
        return subprocess.Popen([VMCTL, *args], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, *args):
        p = self.popen(*args)
        said = p.communicate(timeout=60)[0]
        return p.returncode, said

    def want(self, *args):
        code, said = self.run(*args)
        assert code == 0, f"vmctl {' '.join(args)}: {code}: {said}"
        return said

    def state(self):
        return self.want("list").splitlines()[1].split()[1]

    def saved(self):
        return os.path.exists(self.folder + "/saved.state")

    def kill_vm(self):
        """The VM process, if the lock's file names it, and no other: its number may be somebody else's by now."""
        try:
            with open(self.folder + "/lock", encoding="ascii") as f:
                pid = int(f.read())
            fd = os.pidfd_open(pid)
        except (ValueError, OSError):
            return False
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                words = f.read().split(b"\0")
            ours = self.folder.encode() in words and b"--folder" in words
            if ours:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            return ours
        except OSError:
            return False
        finally:
            os.close(fd)

    def settled(self):
        """Runs, or is off, and not on its way to the other."""
        end, same, last = time.time() + SOON, 0, None
        while same < 4:
            now = self.state()
            same = same + 1 if now == last and now in ("running", "stopped", "saved") else 0
            assert time.time() < end, f"it is still {now}"
            last = now
            time.sleep(0.03)
        return last

    def kept(self):
        self.want("serial", "m", "--send", "kept\\n")
        end = time.time() + SOON
        while True:
            found = re.findall(r"kept (\d+)\r?\n", self.want("serial", "m", "--tail"))
            if found:
                return int(found[-1])
            assert time.time() < end, "the guest says nothing"
            time.sleep(0.01)

    def guest_ran(self):
        """In the VM process that was the last; or its state had gone for that: a kill between the two is like one just after both."""
        with open(self.folder + "/logs/vm.log", encoding="utf-8", errors="replace") as f:
            return "the guest is about to run" in f.read()

    def kill_in(self, rng, verb):
        """Begins a verb, and kills it, or the VM process, at some moment; who was killed, or None: it was over."""
        begin, p = time.monotonic(), self.popen(verb, "m")
        time.sleep(rng.random() * 1.3 * self.took[verb])
        who = rng.choice(["vmctl", "vmctl", "vm"])
        over = p.poll() is not None
        if who == "vmctl":
            p.kill()
        elif not over and not self.kill_vm():
            who = None
        p.communicate(timeout=60)
        if over:
            self.took[verb] += 0.2 * (time.monotonic() - begin - self.took[verb])
            return None
        self.took[verb] = min(2, self.took[verb] * 1.02)
        if who:
            self.kills[who] += 1
        return who


def one_round(h, rng, number):
    """Every round begins with a machine that is off, or saved with the number of the last."""
    h.want("start", "m")
    assert h.kept() in (0, number - 1), f"before: {h.kept()}"
    h.want("serial", "m", "--send", f"keep {number}\\n")
    assert h.kept() == number
    who = h.kill_in(rng, "save")
    state = h.settled()
    if state == "running":
        assert who != "vm" and h.kept() == number, f"save, {who} killed: it runs with {h.kept()}"
        h.want("save", "m")
    elif state == "stopped":
        assert who == "vm" and not h.saved(), f"save, {who} killed: it is off, and not saved"
        return
    left = [n for n in os.listdir(h.folder) if n.startswith(".saving")]
    assert state != "running" or not left, f"left behind: {left}"
    who = h.kill_in(rng, "start")
    state = h.settled()
    if state == "running":
        assert h.kept() == number, f"start, {who} killed: it runs with {h.kept()}"
        h.want("stop", "m", "--force")
        assert not h.saved(), "it ran, and is still saved"
    elif state == "stopped":
        assert who == "vm" and h.guest_ran(), f"start, {who} killed: it is off, not saved, and never ran"


def main():
    h, rng, number = Host(), random.Random(SEED), 0
    print(f"1..1\n# TEST_SEED={SEED}", flush=True)
    try:
        h.want("create", "m", "--memory", "16M", "--nic", "none")
        for number in range(1, ROUNDS + 1):
            one_round(h, rng, number)
        print(f"ok 1 kills # {ROUNDS} rounds, killed: {h.kills}", flush=True)
    except (AssertionError, subprocess.TimeoutExpired) as e:
        print(f"not ok 1 kills\n# in round {number}, {h.kills}: {e}".replace("\n", "\n# ").replace("# #", "#"), flush=True)
        return 1
    finally:
        h.run("stop", "m", "--force")
        shutil.rmtree(h.base)
    return 0


sys.exit(main())
