#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/commands.md against vmctl and the manager: each verb, each part of the verbs that have tables of their own, and each action has
a row, no row names one that there is not, and where the manager lacks something the row says why.  Prints TAP.
Usage: test_commands.py ROOT VMCTL"""
import glob
import os
import re
import subprocess
import sys

ROOT, VMCTL = sys.argv[1:3]
OF_PARTS = {"nic": {"rm", "stop"}}  # words in a usage that are parts of parts: "forward add|rm|list"


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def words(cell):
    return re.findall(r"`([^`]+)`", cell)


def rows(columns):
    """The cells of the table with that many columns, without its head."""
    lines = [line.strip("|").split("|") for line in read("docs/commands.md").split("\n") if line.startswith("|")]
    table = [[c.strip() for c in line] for line in lines if len(line) == columns]
    return table[2:]


def help_of(*verb):
    return subprocess.run([VMCTL, *verb], capture_output=True, text=True, env=dict(os.environ, LC_ALL="C.UTF-8")).stdout


def verbs():
    return set(re.findall(r"^  ([a-z-]+) +\S", help_of("help"), re.M)) - {"vmctl"}


def parts(verb):
    """The first words that a verb's usage lists between bars: "list | create NAME"."""
    usage = help_of(verb, "--help").split("\n\n")[0] if verb != "disk" else ""
    if verb == "disk":
        return set(re.findall(r"^  ([a-z]+) {3,}\S", help_of("disk", "--help").split("Formats:")[0], re.M))
    text = re.sub(r"^.*?\[OPTION…\]", "", usage, flags=re.S)
    return {w for w in re.findall(r"(?:^|\|) *([a-z]+)", text)} - OF_PARTS.get(verb, set())


def defined():
    """All actions that the manager's sources define, as "win.start"."""
    found = set()
    for path in glob.glob(os.path.join(ROOT, "gui/manager/*.c")):
        name, text = os.path.basename(path), read(path)
        prefix = "app." if name == "app.c" else "win."
        found.update(re.findall(r'install_action\(\s*\w+,\s*"([a-z-]+\.[a-z-]+)"', text))
        for block in re.findall(r"(?:GActionEntry \w+\[\]|\} actions\[\]) = \{(.*?)\};", text, re.S):
            found.update(prefix + n for n in re.findall(r'\{"([a-z-]+)"', block))
        for block in re.findall(r'\bactions\[\] = \{("[^}]*)\}', text):
            found.update(re.findall(r'"([a-z-]+\.[a-z-]+)"', block))
    return found


def used():
    """All that its layouts and tables ask for."""
    groups = {a.split(".")[0] for a in defined()}
    found = set()
    for path in glob.glob(os.path.join(ROOT, "gui/manager/*.c")) + glob.glob(os.path.join(ROOT, "gui/manager/ui/*.ui")):
        found.update(a for a in re.findall(r"""["'>]([a-z]+\.[a-z-]+)(?=["'<:(])""", read(path)) if a.split(".")[0] in groups)
    return found


def every_verb_has_a_row():
    named = {w.split()[0] for row in rows(3) for w in words(row[0])}
    return [f"{v} has no row" for v in sorted(verbs() - named)] + [f"there is no verb {v}" for v in sorted(named - verbs())]


def every_part_has_a_row():
    """Of a verb some of whose parts have rows, all have."""
    problems, named = [], {}
    for w in (w.split() for row in rows(3) for w in words(row[0])):
        if len(w) > 1 and not w[1].startswith("-") and not w[1].isupper():
            named.setdefault(w[0], set()).add(w[1])
    for verb, has in sorted(named.items()):
        problems += [f"{verb} {p} has no row" for p in sorted(parts(verb) - has)] + [f"there is no {verb} {p}" for p in sorted(has - parts(verb))]
    return problems if len(named) > 3 else problems + [f"rows with parts are those of {sorted(named)} only"]


def every_action_has_a_row():
    named = {w for row in rows(3) for w in words(row[1])} | {w for row in rows(2) for w in words(row[0])}
    return [f"{a} has no row" for a in sorted(defined() - named)] + [f"there is no action {a}" for a in sorted(named - defined())]


def what_is_asked_for_is_there():
    return [f"{a} is asked for, but nothing defines it" for a in sorted(used() - defined())]


def reasons():
    """Without an action the row says why, or where; *Settings* and the like do by the page."""
    return [f"{row[0]}: neither an action nor a reason" for row in rows(3) if not words(row[1]) and not re.search("[a-z]{3}", row[2])]


def sources_are_read():
    lacking = {"win.start", "app.quit", "cell.show", "snapshots.take", "wizard.create"} - defined()
    return [f"the test no longer finds {a} in the sources" for a in lacking] + ([] if len(verbs()) > 40 else ["vmctl help lists hardly any verbs"])


TESTS = [sources_are_read, every_verb_has_a_row, every_part_has_a_row, every_action_has_a_row, what_is_asked_for_is_there, reasons]
print(f"1..{len(TESTS)}")
for i, test in enumerate(TESTS, 1):
    problems = test()
    print("not ok" if problems else "ok", i, test.__name__)
    for line in problems:
        print("#", line)
