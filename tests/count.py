#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Counts the test cases of a Meson test log.  With --closing prints only "N passed, N failed, N skipped"; without it,
lists what failed or was skipped and why, and exits 1 if anything failed or nothing ran."""
import json
import re
import sys


def cases(entry):
    """(status, name) of each TAP line of one test program; the program itself where it prints none."""
    found = []
    for line in entry.get("stdout", "").splitlines():
        m = re.match(r"^\s*(ok|not ok)\s+\d+\s*-?\s*(.*)$", line)
        if not m:
            continue
        name = m.group(2)
        skip = re.search(r"#\s*SKIP\s*(.*)", name, re.I)
        status = "skipped" if skip else "passed" if m.group(1) == "ok" else "failed"
        found.append((status, f"{entry['name']}: {name}"))
    bad = entry["result"] not in ("OK", "SKIP", "EXPECTEDFAIL")
    if bad and not any(s == "failed" for s, _ in found):
        found.append(("failed", f"{entry['name']}: {entry['result']}"))
    if not found:
        found.append(("skipped" if entry["result"] == "SKIP" else "passed", entry["name"]))
    return found


def main():
    closing = sys.argv[1] == "--closing"
    try:
        with open(sys.argv[-1], encoding="utf-8") as f:
            results = [c for line in f if line.strip() for c in cases(json.loads(line))]
    except OSError:
        results = [("failed", "no test log: the packages, the build or Meson failed")]
    count = {s: sum(1 for r, _ in results if r == s) for s in ("passed", "failed", "skipped")}
    if closing:
        print(f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped")
        return 0
    for status, name in results:
        if status != "passed":
            print(f"{status}: {name}")
    return 1 if count["failed"] or not count["passed"] else 0


sys.exit(main())
