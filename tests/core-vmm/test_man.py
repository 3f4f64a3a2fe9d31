#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual pages: man and mandoc have nothing to complain of, vmctl(1) has every verb, machine.ini(5) every setting, and a page of a
program every option that it lists.  Prints TAP.  Usage: test_man.py ROOT VMCTL MACHINE-INI-5 [PROGRAM]..."""
import os
import re
import shutil
import subprocess
import sys

ROOT, VMCTL, SETTINGS, *PROGRAMS = sys.argv[1:]
PAGES = [os.path.join(ROOT, "docs", n) for n in ("vmctl.1", "terrarium.1", "terrarium-screen.1", "terrarium-vm.1")] + [SETTINGS]
ENV = dict(os.environ, LC_ALL="C.UTF-8", MANWIDTH="80")


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, env=ENV).stdout


def plain(page):
    """A page's text without roff's requests, fonts and escaped minus signs."""
    with open(page, encoding="utf-8") as f:
        text = f.read()
    return re.sub(r"\\f[BIR]", "", text).replace("\\-", "-").replace("\\(aq", "'")


def named(page, words, entry="%s"):
    """Each has to be there; entry: as the line, in which %s is it, that begins what is said about it."""
    text = plain(page)
    return [f"{os.path.basename(page)} does not have {w}" for w in words
            if not re.search(rf"(?<![\w-]){re.escape(w)}(?![\w-])" if entry == "%s" else entry % re.escape(w), text, re.M)]


def man():
    if not shutil.which("man"):
        return "SKIP man-db is not installed"
    said = [subprocess.run(["man", "--warnings", "-E", "UTF-8", "-Tutf8", "-Z", "-l", p], capture_output=True, text=True, env=ENV)
            for p in PAGES]
    return [line for s in said for line in s.stderr.splitlines()] + ["man failed" for s in said if s.returncode]


def mandoc():
    """All but the date, which the pages leave to whoever prints them."""
    if not shutil.which("mandoc"):
        return "SKIP mandoc is not installed"
    return [line for line in output("mandoc", "-T", "lint", "-W", "warning", *PAGES).splitlines() if "missing date" not in line]


def verbs():
    found = re.findall(r"^  ([a-z-]+) +\S", output(VMCTL, "help"), re.M)
    return named(PAGES[0], found, r"^\.TP\n\.B vmctl %s(?![\w-])") if len(found) > 40 else ["vmctl help lists hardly any verbs"]


def settings():
    keys = output(VMCTL, "set", "--keys")
    found, sections = re.findall(r"^  (\S+)", keys, re.M), re.findall(r"^(\[\w+\])", keys, re.M)
    if len(found) < 80 or len(sections) < 10:
        return ["vmctl set --keys lists hardly any"]
    return named(SETTINGS, found, r"^\.TP\n\.B %s$") + named(SETTINGS, sections, r"^\.SS %s")


def options():
    problems = []
    for program in PROGRAMS:
        found = set(re.findall(r"--[a-z-]+", output(program, "--help"))) - {"--help-gtk", "--help-gapplication"}
        page = os.path.join(ROOT, "docs", os.path.basename(program) + ".1")
        problems += named(page, sorted(found)) if found else [f"{program} lists no options"]
    return problems or ("" if PROGRAMS else "SKIP there are no such programs")


TESTS = [man, mandoc, verbs, settings, options]
print(f"1..{len(TESTS)}")
for i, test in enumerate(TESTS, 1):
    problems = test()
    if isinstance(problems, str) and problems:
        print(f"ok {i} {test.__name__} # {problems}")
        continue
    print("not ok" if problems else "ok", i, test.__name__)
    for line in problems:
        print("#", line)
