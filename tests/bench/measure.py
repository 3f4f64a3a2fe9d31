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
        self.rows, self.sums, self.trouble = {}, {}, []

    def line(self, text, now, cpu, begun):
        """now, cpu: seconds since the start; begun: the same of the row that runs, by name."""
        if "BENCH-START" in text and self.boot is None:
            self.boot, self.boot_cpu = now, cpu
        elif m := re.search(r"BENCH-INFO (.*)", text):
            self.info = m[1]
        elif m := re.search(r"BENCH-SUM (\w+) ([0-9a-f]{16}) (same|width)$", text):
            self.sums[m[1]] = m[2], m[3]
        elif m := re.search(r"BENCH-RUN (\w+)", text):
            begun[m[1]] = now, cpu
        elif m := re.search(r"BENCH-END (\w+) (\S+) (\S+) (\S+)$", text):
            began = begun.get(m[1], (now, cpu))
            self.rows[m[1]] = {"work": float(m[2]), "unit": m[4], "seconds": now - began[0], "cpu": cpu - began[1],
                               "guest_seconds": float(m[3])}
        elif m := re.search(r"BENCH-SKIP (\w+) (.*)", text):
            self.rows[m[1]] = {"skipped": m[2]}
        elif m := re.search(r"BENCH-FAIL (.*)|(Kernel panic.*|Oops:.*|BUG:.*)", text):
            self.trouble.append(m[1] or m[2])
        elif "BENCH-DONE" in text:
            self.done = True


def end(process):
    """The whole session that was started for this run."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=5)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def answer(process, text):
    """The program goes on.  One that has just died shows that by its next line, or by none."""
    if "BENCH-RUN" in text or "BENCH-END" in text:
        try:
            process.stdin.write("\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass


def run(command, log, limit):
    """Runs the command until it ends, at most limit seconds; what it says goes into the file log with its times."""
    result, begun, first, last = Result(), {}, time.monotonic(), ""
    with open(log, "w", encoding="utf-8") as f, subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            start_new_session=True) as process:
        watchdog = threading.Timer(limit, end, [process])
        watchdog.start()
        for text in process.stdout:
            now = time.monotonic() - first
            cpu = cpu_seconds(process.pid) if "BENCH-" in text else 0.0
            if "BENCH-RUN" in text:
                now = time.monotonic() - first  # it goes on from here
            answer(process, text)
            text = text.rstrip("\r\n")
            last = text or last
            f.write(f"{now:10.4f} {cpu:10.4f} {text}\n")
            result.line(text, now, cpu, begun)
        watchdog.cancel()
    if not result.done:
        late = f"was ended after {limit} s" if time.monotonic() - first >= limit else f"ended early: {last}"
        result.trouble.append(f"{late} (see {log})")
    return result
