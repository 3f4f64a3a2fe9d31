#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vmctl create and delete, killed at random, while others run undisturbed.  After each kill: what is listed is whole, what is not
listed is free, and nothing else is left.  Prints TAP.  Usage: kill_create.py VMCTL [KILLS]; seed: TEST_SEED in the environment"""
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

VMCTL = os.path.abspath(sys.argv[1])
KILLS = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
SEED = int(os.environ.get("TEST_SEED", "1"))
NAMES = ["a", "b", "c"]
FORMATS = ["raw", "qcow2", "vdi", "vmdk", "vhd", "vhdx"]


class Host:
    def __init__(self):
        self.base = tempfile.mkdtemp(prefix="terrarium-kill-")
        os.mkdir(self.base + "/run", 0o700)
        self.env = dict(os.environ, XDG_DATA_HOME=self.base + "/data", XDG_RUNTIME_DIR=self.base + "/run", LC_ALL="C.UTF-8")
        self.machines = self.base + "/data/terrarium/machines"
        self.took = {"create": 0.02, "delete": 0.02}  # seconds, a moving average

    def start(self, *args):
        return subprocess.Popen([VMCTL, *args], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, *args):
        p = self.start(*args)
        said = p.communicate(timeout=60)[0]
        return p.returncode, said

    def want(self, code, *args):
        got, said = self.run(*args)
        assert got == code, f"vmctl {' '.join(args)}: {got}, not {code}: {said}"
        return said


def random_verb(rng, name):
    if rng.random() < 0.5:
        return ["create", name, "--disk", f"{rng.randint(1, 64)}M", "--disk-format", rng.choice(FORMATS)]
    return ["delete", name] + rng.choice([[], [], ["--keep-disks"]])


def kill_one(h, rng, words):
    """True: it was killed before it had ended by itself."""
    begin = time.monotonic()
    p = h.start(*words)
    time.sleep(rng.random() * 1.3 * h.took[words[0]])
    p.send_signal(signal.SIGKILL)
    p.communicate(timeout=60)
    if p.returncode != -signal.SIGKILL:
        h.took[words[0]] += 0.2 * (time.monotonic() - begin - h.took[words[0]])
        return False
    h.took[words[0]] = min(1, h.took[words[0]] * 1.02)
    return True


def check(h):
    listed = {line.split()[0]: line for line in h.want(0, "list").splitlines()[1:]}
    there = sorted(os.listdir(h.machines))
    assert there == sorted(listed), f"list shows {sorted(listed)}, there are {there}"
    for name, line in listed.items():
        disks = [n for n in os.listdir(f"{h.machines}/{name}") if n.startswith("disk")]
        if "no machine.ini" in line:  # a delete --keep-disks that was killed late, or has ended
            assert disks, f"{name} is neither a machine nor disks"
        else:
            assert "stopped" in line, line
            h.want(0, "info", name)
        for disk in disks:
            h.want(0, "disk", "info", f"{h.machines}/{name}/{disk}")
        h.want(7, "create", name)


def main():
    h, rng, kills, tries = Host(), random.Random(SEED), 0, 0
    print(f"1..1\n# TEST_SEED={SEED}", flush=True)
    try:
        os.makedirs(h.machines, 0o700)
        while kills < KILLS:
            tries += 1
            other = h.start("create", "undisturbed", "--disk", "4M") if rng.random() < 0.3 else None
            words = random_verb(rng, rng.choice(NAMES))
            killed = kill_one(h, rng, words)
            kills += killed
            if other:
                said = other.communicate(timeout=60)[0]
                assert other.returncode == 0, f"a create beside a killed {words[0]}: {said}"
                h.want(0, "delete", "undisturbed")
            if killed or tries % 50 == 0:
                check(h)
        for name in os.listdir(h.machines):
            h.want(0, "delete", name)
        assert os.listdir(h.machines) == [], os.listdir(h.machines)
        print(f"ok 1 kills # {kills} of {tries} were killed in time", flush=True)
    except AssertionError as e:
        print(f"not ok 1 kills\n# after {kills} kills: {e}".replace("\n", "\n# ").replace("# #", "#"), flush=True)
        return 1
    finally:
        shutil.rmtree(h.base)
    return 0


sys.exit(main())
