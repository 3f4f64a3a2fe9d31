# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs one target once and takes the times: of the host's clock, and of all its processes' CPU time.  The program waits while
they are taken (bench.ask in workloads/main.c), so that a busy host that comes late to it measures no less right."""
import os
import re
import signal
import subprocess
import threading
import time

TICK = os.sysconf("SC_CLK_TCK")


def cpu_clock(pid):
    """clock_getcpuclockid(3): the nanoseconds that a process has run, as Linux numbers that clock."""
    return (~pid << 3) | 2


def cpu_seconds(root):
    """Of this process and its descendants, with the children that have ended and were waited for."""
    parent, ended = {}, {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except OSError:
            continue  # it has just ended
        parent[int(name)] = int(fields[1])
        ended[int(name)] = (int(fields[13]) + int(fields[14])) / TICK
    total = 0.0
    for pid, of_children in ended.items():
        above = pid
        while above not in (0, root):
            above = parent.get(above, 0)
        if above != root:
            continue
        try:
            total += time.clock_gettime(cpu_clock(pid)) + of_children
        except OSError:
            pass
    return total


class Result:
    """What a run said: seconds to userspace, and per row its work, unit, seconds, CPU seconds and checksum."""

    def __init__(self):
        self.info, self.boot, self.boot_cpu, self.done = "", None, None, False
        self.rows, self.sums, self.trouble, self.begun = {}, {}, [], {}

    def begin(self, text, now, cpu):
        """The program goes on behind this line; now, cpu: seconds since its start."""
        if m := re.search(r"BENCH-RUN (\w+)", text):
            self.begun[m[1]] = now, cpu

    def line(self, text, now, cpu):
        """The program has said this line."""
        if "BENCH-START" in text and self.boot is None:
            self.boot, self.boot_cpu = now, cpu
        elif m := re.search(r"BENCH-INFO (.*)", text):
            self.info = m[1]
        elif m := re.search(r"BENCH-SUM (\w+) ([0-9a-f]{16}) (same|width)$", text):
            self.sums[m[1]] = m[2], m[3]
        elif m := re.search(r"BENCH-END (\w+) (\S+) (\S+) (\S+)$", text):
            began = self.begun.get(m[1], (now, cpu))
            self.rows[m[1]] = {"work": float(m[2]), "unit": m[4], "seconds": now - began[0], "cpu": cpu - began[1],
                               "guest_seconds": float(m[3])}
        elif m := re.search(r"BENCH-SKIP (\w+) (.*)", text):
            self.rows[m[1]] = {"skipped": m[2]}
        elif m := re.search(r"BENCH-FAIL (.*)|(Kernel panic.*|Oops:.*|BUG:.*)", text):
            self.trouble.append(m[1] or m[2])
        elif "BENCH-DONE" in text:
            self.done = True


class Run:
    """A target's process.  It waits at the beginning and at the end of each row until it is told to go on, so that several
    runs can take turns, and one that waits costs the others nothing."""

    def __init__(self, command, log, limit):
        """What it says goes into the file log with its times.  It is ended if it says nothing of use for limit seconds."""
        self.result, self.limit, self.log, self.waits, self.last, self.late = Result(), limit, log, "", "", False
        self.first = time.monotonic()
        self.file = open(log, "w", encoding="utf-8", buffering=1)  # pylint: disable=consider-using-with
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            start_new_session=True)

    def to_stop(self):
        """Lets it go on to the next place where it waits.  Returns the line that it said there, or "" if it has ended."""
        watchdog = threading.Timer(self.limit, self.too_late)
        watchdog.start()
        try:
            self.go_on()
            for text in iter(self.process.stdout.readline, ""):
                self.heard(text)
                if "BENCH-RUN" in text or "BENCH-END" in text:
                    self.waits = text
                    return text
            self.finish()
            return ""
        finally:
            watchdog.cancel()

    def to_row_end(self):
        """Lets it go on until a row was measured.  Returns whether there was one more."""
        while text := self.to_stop():
            if "BENCH-END" in text:
                return True
        return False

    def go_on(self):
        if not self.waits:
            return
        cpu = cpu_seconds(self.process.pid)
        self.result.begin(self.waits, time.monotonic() - self.first, cpu)
        self.waits = ""
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has died, which its output shows

    def heard(self, text):
        now = time.monotonic() - self.first
        cpu = cpu_seconds(self.process.pid) if "BENCH-" in text else 0.0
        text = text.rstrip("\r\n")
        self.last = text or self.last
        self.file.write(f"{now:10.4f} {cpu:10.4f} {text}\n")
        self.result.line(text, now, cpu)

    def too_late(self):
        self.late = True
        self.end()

    def finish(self):
        """Its output has ended."""
        self.end(10)
        if not self.result.done:
            why = f"nothing more was heard for {self.limit:g} s" if self.late else f"ended early: {self.last}"
            self.result.trouble.append(f"{why} (see {self.log})")

    def end(self, patience=0):
        """Of its whole session, if it does not end by itself within so many seconds."""
        for number in (None, signal.SIGTERM, signal.SIGKILL):
            try:
                if number:
                    os.killpg(self.process.pid, number)
                self.process.wait(timeout=5 if number else patience)
                break
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue


def alone(command, log, limit):
    """A whole run.  Returns its result."""
    run = Run(command, log, limit)
    while run.to_row_end():
        pass
    return run.result


def by_turns(runs):
    """Starts each when the one before has come to its first row, then measures row after row, each in all of them.  runs: the
    arguments of Run.  Returns their results."""
    begun = []
    try:
        for arguments in runs:
            begun.append(Run(*arguments))
            begun[-1].to_stop()
        going = begun
        while going:
            going = [r for r in going if r.to_row_end()]
    finally:
        for r in begun:
            r.end()
    return [r.result for r in begun]
