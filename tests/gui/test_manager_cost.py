#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the manager costs: with an idle guest whose text cursor blinks, on each page below half a percent of a CPU; with 500 machines,
CPU time until its window shows, memory, and a search.  CPU time is counted, not time by the clock, so load does not matter much.
Prints TAP.  Usage: test_manager_cost.py MANAGER VMCTL"""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from manager import run_tests, wait_for  # noqa: E402

MANY, MEMORY, STARTS, IDLE, SECONDS = 500, 200, 2.0, 0.005, 60  # MB; seconds of CPU time; of a CPU; of each page
TICK = os.sysconf("SC_CLK_TCK")


def cpu(desk):
    """CPU time of the manager so far, in seconds."""
    with open(f"/proc/{desk.app.pid}/stat", encoding="utf-8") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory(desk):
    """What is its own and what it shares with others by halves and so on (PSS), in MB."""
    with open(f"/proc/{desk.app.pid}/smaps_rollup", encoding="utf-8") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Pss:")) / 1024


def start_without_reader(desk):
    """As for a user who has no screen reader, whose questions would be counted too."""
    desk.env["GTK_A11Y"] = "none"
    desk.app = subprocess.Popen([desk.manager], env=desk.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for("window", lambda: desk.run("xdotool", "search", "--onlyvisible", "--pid", str(desk.app.pid), check=False).strip())


def idle_guest(desk):
    desk.vmctl("create", "idle", "--memory", "16M", "--nic", "none", "--engine", "soft")
    desk.vmctl("start", "idle")
    desk.vmctl("wait", "idle", "--screen", "No bootable device", "--timeout", "120")
    start_without_reader(desk)
    too_much = []
    for page in ("overview", "settings", "snapshots", "log"):
        desk.show_page(page)
        time.sleep(10)  # it settles
        before = cpu(desk)
        time.sleep(SECONDS)
        share = (cpu(desk) - before) / SECONDS
        print(f"# {page}: {share:.2%} of a CPU", flush=True)
        if share >= IDLE:
            too_much.append(page)
    desk.vmctl("stop", "--force", "idle")
    desk.stop()
    desk.app = None
    assert not too_much, f"more than {IDLE:.1%} of a CPU: {too_much}"


def many_machines(desk):
    folder = desk.home + "/data/terrarium/machines/"
    for i in range(MANY):
        os.mkdir(f"{folder}many {i:03}")
        with open(f"{folder}many {i:03}/machine.ini", "w", encoding="utf-8") as f:
            f.write(f"[machine]\nname=Machine number {i}\nos=linux\nmemory=1G\n[ide0]\nfile=disk.img\nformat=raw\n")
    start_without_reader(desk)
    took = cpu(desk)
    time.sleep(5)
    print(f"# {MANY} machines: {took:.2f} s of CPU time until the window shows, {cpu(desk):.2f} s five seconds later; {memory(desk):.0f} MB",
          flush=True)
    before = cpu(desk)
    desk.action("search")
    desk.focus()
    desk.run("xdotool", "type", "--delay", "50", "number 499")
    time.sleep(3)
    print(f"# a search of ten letters: {cpu(desk) - before:.2f} s of CPU time; {memory(desk):.0f} MB")
    assert took < STARTS and memory(desk) < MEMORY, f"{took:.2f} s, {memory(desk):.0f} MB"


run_tests([idle_guest, many_machines], [sys.argv[1], sys.argv[2], None], vm=False)
