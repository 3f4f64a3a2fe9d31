#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Twenty snapshots of a running Linux that writes to its disk all the time (disk_numbers.c), deleted in random order while it
does; again and again, until verbs were killed (SIGKILL) often enough in the middle of a deletion: vmctl, the process that
merges for it, or the VM process.  Whoever is killed, a snapshot is there as it was or gone, the guest's numbers are whole in each
that is left and in the present, and the next deletion does the rest.  Prints TAP.

  live_merge.py [--vmctl PATH] [--engine E] [--kills N] [--snapshots N] [--format F] [--bus BUS] [--seed N]"""
import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "network"))
import boot  # noqa: E402
import live  # noqa: E402
import members  # noqa: E402


def children(pid):
    """Of any of its threads."""
    found = []
    try:
        for tid in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{tid}/children", encoding="ascii") as f:
                found += [int(p) for p in f.read().split()]
    except OSError:
        pass  # it has ended
    return found


SAY = 10  # which numbers the guest says that it has written
INIT = live.INIT[:live.INIT.index("n=$(dd")] + f"exec /disk-numbers /dev/DISK {live.BLOCKS} {live.STEP} {SAY}\n"


class Merges(live.Trial):
    INIT = INIT

    def __init__(self, options, rng):
        super().__init__(options, rng)
        self.took, self.kills, self.deleted, self.rounds = 0.5, {"vmctl": 0, "worker": 0, "vm": 0}, 0, 0

    def more(self):
        why = members.gcc(64, "-O2", "-s", os.path.join(boot.HERE, "disk_numbers.c"), "-o", os.path.join(self.vm.home, "disk-numbers"))
        if why:
            raise boot.Failed(f"disk_numbers.c cannot be built: {why}")
        return ["disk-numbers"]

    def create(self, cache):
        super().create(cache)
        form = self.options.format
        if form != "raw":
            raw = os.path.join(self.vm.home, "disk.img")
            self.vm.run("disk", "convert", "-q", raw, os.path.join(self.vm.home, "disk." + form), "-f", "raw", "-O", form)
            os.unlink(raw)
            drive = next(n for n, s in self.settings().items() if s.get("file") == raw)
            self.vm.run("set", "m", f"{drive}.file={os.path.join(self.vm.home, 'disk.' + form)}", f"{drive}.format={form}")

    def settings(self):
        return json.loads(self.vm.run("info", "m", "-o", "json").stdout)["settings"]

    def state(self):
        return json.loads(self.vm.run("info", "m", "-o", "json").stdout)["state"]

    def fill(self):
        while len(self.known) < self.options.snapshots:
            self.kill = False
            before, old = self.at(), self.ids()
            self.verb("snapshot", "take", "m")
            for i in self.ids() - old:
                self.known[i] = (before, self.at() + SAY + 1)
            time.sleep(self.rng.uniform(0, 0.3))

    def verb(self, *args):
        """True: somebody was killed in the middle of it."""
        who = None
        p = subprocess.Popen([self.vm.options.vmctl, *args], env=self.vm.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.kill:
            time.sleep(self.rng.random() * self.took)
            who = self.rng.choices(["vmctl", "worker", "vm"], [5, 4, 1])[0]
            who = self.kill_one(who, p) and who
        out, err = p.communicate(timeout=300)
        if who == "vmctl" and p.returncode != -signal.SIGKILL:
            who = None
        if not who and p.returncode:
            raise live.Lost(f"vmctl {' '.join(args)}: {p.returncode}: {err}")
        if args[1] == "delete":
            self.took = min(5, self.took * 1.05) if who else self.took * 0.9
        if who:
            self.kills[who] += 1
        state = self.state()
        if state != "running":
            if who != "vm" or state != "stopped":
                raise live.Lost(f"{who} was killed, and the machine is {state}")
            self.start()
        return bool(who)

    def kill_one(self, who, p):
        """True: it was there and is killed."""
        if p.poll() is not None:
            return False
        pid = p.pid
        if who == "worker":
            while not (there := children(p.pid)):
                if p.poll() is not None:
                    return False
                time.sleep(0.001)
            time.sleep(self.rng.random() * 0.3 * self.took)
            pid = there[-1]
        if who == "vm":
            with open(os.path.join(self.folder, "lock"), encoding="utf-8") as f:
                pid = int(f.read())
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        if who == "vm":
            while self.state() != "stopped":
                time.sleep(0.02)
        return True

    def round(self):
        """All of them."""
        self.fill()
        self.check()
        order = self.rng.sample(sorted(self.known), len(self.known))
        for i, which in enumerate(order):
            self.at()
            while which in self.known:
                self.kill = self.rng.random() < 0.9
                killed = self.verb("snapshot", "delete", "m", str(which))
                if which not in self.ids():
                    del self.known[which]
                    self.deleted += 1
                elif not killed:
                    raise live.Lost(f"snapshot {which} is still there")
            if i % 4 == 3:
                self.check()
        self.rounds += 1
        print(f"# {self.rounds} times {self.options.snapshots}: {self.deleted} deleted, killed: {self.kills}, the guest is at {self.at()}",
              flush=True)

    def present(self):
        """What it holds when the power is cut."""
        said = self.at()
        self.vm.run("stop", "m", "--force")
        image = next(s for s in self.settings().values() if s.get("file") and s.get("media") == "disk")
        n = live.numbers(os.path.join(self.folder, image["file"]), image["format"], self.vm.home)
        if n < said:
            raise live.Lost(f"the guest said {said}, and the disk has {n}")

    def run(self, cache):
        self.kill = False
        self.create(cache)
        self.start()
        while sum(self.kills.values()) < self.options.kills:
            self.round()
            self.present()
            self.start()
        self.vm.run("stop", "m", "--force")
        for unused in range(2):  # what could not be merged while it ran
            self.vm.run("snapshot", "take", "m", "last")
            self.vm.run("snapshot", "delete", "m", "last")
        left = os.listdir(os.path.join(self.folder, "snapshots"))
        if left != ["record.json"]:
            raise live.Lost(f"left over: {left}")
        self.start()
        self.present()
        return f"{self.options.format}, {self.options.bus}: {self.deleted} snapshots deleted, killed: {self.kills}, {self.said} numbers"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vmctl", default=os.path.join(boot.HERE, "../../build/core-vmm/vmctl/vmctl"))
    parser.add_argument("--engine", default="soft")
    parser.add_argument("--bus", default="virtio")
    parser.add_argument("--format", default="qcow2", help="of the disk's own image")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--snapshots", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    options.vmctl = os.path.abspath(options.vmctl)
    cache = subprocess.run([os.path.join(boot.HERE, "guests.sh"), "--dir"], capture_output=True, text=True, check=False).stdout.strip()
    print(f"1..1\n# seed {options.seed}", flush=True)
    reason = boot.guests_ready(["vmlinuz-amd64", "disk-initrd64.gz"])
    if reason:
        print(f"ok 1 merges # SKIP {reason}")
        return 0
    trial, good = Merges(options, random.Random(options.seed)), False
    try:
        print(f"ok 1 merges {trial.run(cache)}")
        good = True
    except boot.Failed as e:
        log = trial.vm.run("logs", "m", check=False).stdout
        print("not ok 1 merges\n# " + "\n# ".join(f"{e}\n{log[-2000:]}\n{trial.vm.home}".splitlines()))
        trial.vm.run("stop", "m", "--force", check=False)
    finally:
        if good or "TEST_KEEP" not in os.environ:
            trial.vm.close()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
