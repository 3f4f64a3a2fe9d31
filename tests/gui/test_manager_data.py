#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What lies around the manager: its desktop entry and AppStream data by their validators, that the Debian package names what it needs,
and that translators find all texts.  Prints TAP.  Usage: test_manager_data.py ROOT"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

ROOT = sys.argv[1]
MANAGER = os.path.join(ROOT, "gui/manager")
NAME = "org.terrarium.Terrarium"


def text(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def tool(*command):
    if not shutil.which(command[0]):
        return f"SKIP {command[0]} is not installed"
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    said = (done.stdout + done.stderr).strip()
    return "" if done.returncode == 0 else said or "failed"


def desktop_entry():
    return tool("desktop-file-validate", f"{MANAGER}/data/{NAME}.desktop")


def metainfo():
    return tool("appstreamcli", "validate", "--no-net", f"{MANAGER}/data/{NAME}.metainfo.xml")


def package_needs():
    """The Debian package is built with what ./check builds with."""
    lines = re.findall(r'^BUILD_PACKAGES="(.*?)"', text("tests/packages.sh"), re.M | re.S)
    names = {n for n in " ".join(lines).split() if n[0] != "$"} - {"gcc", "libc6-dev", "binutils", "ninja-build"}  # which are there, or come with meson
    told = set(re.findall(r"[\w.+-]+", re.search(r"^Build-Depends:(.*?)\n\n", text(".ci/debian/control"), re.M | re.S)[1]))
    return "\n".join(f".ci/debian/control does not name {n}, which tests/packages.sh has" for n in sorted(names - told)) or \
        ("" if len(names) > 20 else "tests/packages.sh has hardly any packages")


def potfiles():
    """Every file with texts for people is listed, and nothing else."""
    listed = {line for line in text("gui/po/POTFILES").split("\n") if line and line[0] != "#"}
    wanted = set()
    for path in glob.glob(f"{MANAGER}/*.c") + glob.glob(f"{MANAGER}/ui/*.ui"):
        if re.search(r'\bN?_\("|translatable="yes"', open(path, encoding="utf-8").read()):
            wanted.add(os.path.relpath(path, ROOT))
    return "\n".join([f"gui/po/POTFILES lacks {f}" for f in wanted - listed] + [f"gui/po/POTFILES has {f}" for f in listed - wanted])


def xgettext():
    if not shutil.which("xgettext"):
        return "SKIP gettext is not installed"
    with tempfile.TemporaryDirectory() as folder:
        problem = tool("xgettext", "--files-from=gui/po/POTFILES", "--keyword=_", "--keyword=N_", "--from-code=UTF-8", "-o", folder + "/out.pot")
        return problem or ("" if text(folder + "/out.pot").count("msgid") > 100 else "hardly any texts were found")


def translations():
    """Each language of LINGUAS: msgfmt takes it, and hardly a text is without a translation (new ones may be, for a while)."""
    if not shutil.which("msgfmt"):
        return "SKIP gettext is not installed"
    languages = [line for line in text("gui/po/LINGUAS").split("\n") if line and line[0] != "#"]
    found = [] if languages else ["gui/po/LINGUAS has no language"]
    with tempfile.TemporaryDirectory() as folder:
        tool("xgettext", "--files-from=gui/po/POTFILES", "--keyword=_", "--keyword=N_", "--from-code=UTF-8", "-o", folder + "/all.pot")
        for language in languages:
            po = f"gui/po/{language}.po"
            found.append(tool("msgfmt", "--check-format", "--check-domain", "--check-accelerators=_", "-o", "/dev/null", po))
            found.append(tool("msgmerge", "-q", "--no-fuzzy-matching", "-o", folder + "/merged.po", po, folder + "/all.pot"))
            said = subprocess.run(["msgfmt", "--statistics", "-o", "/dev/null", folder + "/merged.po"], env=dict(os.environ, LC_ALL="C"),
                                  capture_output=True, text=True).stderr
            done, lacking = (int((re.search(rf"(\d+) {word}", said) or [0, 0])[1]) for word in ("translated", "untranslated"))
            print(f"# {language}: {done} texts are translated, {lacking} are not")
            if done < 9 * lacking or done < 100:
                found.append(f"{po} lacks {lacking} of {done + lacking} texts")
    return "\n".join(f for f in found if f)


def layouts():
    """Each .ui file is well-formed and among the resources; a text in it is marked, and a button with an icon alone has a name."""
    resources, found = text("gui/manager/terrarium.gresource.xml"), []
    for path in sorted(glob.glob(f"{MANAGER}/ui/*.ui")):
        name, root = os.path.basename(path), xml.parse(path).getroot()
        if f"ui/{name}" not in resources:
            found.append(f"{name} is not among the resources")
        for p in root.iter("property"):
            if p.get("name") in ("label", "title", "subtitle", "description", "placeholder-text", "tooltip-text") and p.text and \
                    re.search("[A-Za-z]", p.text) and p.get("translatable") != "yes":
                found.append(f"{name}: {p.text!r} is not marked for translators")
        for o in root.iter("object"):
            has = {p.get("name") for p in o.findall("property")}
            if "Button" in o.get("class") and "icon-name" in has and o.find("accessibility") is None:
                found.append(f"{name}: a button with an icon alone has no name for screen readers")
    return "\n".join(found)


TESTS = [desktop_entry, metainfo, package_needs, potfiles, xgettext, translations, layouts]
print(f"1..{len(TESTS)}")
for i, test in enumerate(TESTS, 1):
    problem = test()
    if problem.startswith("SKIP"):
        print(f"ok {i} {test.__name__} # {problem}")
        continue
    print("not ok" if problem else "ok", i, test.__name__)
    for line in problem.split("\n") if problem else []:
        print("#", line)
