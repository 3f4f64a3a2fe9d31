#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""House rules that a machine can check: who may include whom, licence lines, plug headers that fit one screen, file
sizes, file-scope state, machine paths in the tree.  Prints TAP.  Usage: test_style.py ROOT"""
import os
import re
import subprocess
import sys

ROOT = sys.argv[1]
PLUGS = ["core-vmm/api", "core-vmm/base"]
ENGINE = ["patcher", "patcher/interp", "patcher/native", "patcher/translate", "patcher/check"] + PLUGS
# Folder -> folders it may include from, beside its own.  Every folder with code in it has its line here.
MAY = {
    "core-vmm/base": [],
    "core-vmm/api": ["core-vmm/base"],
    "core-vmm/fence": ["core-vmm/base"],
    "core-vmm/host": PLUGS,  # and NARROW
    "core-vmm/machine": ["core-vmm/host", "disk-formats/ops"] + PLUGS,
    "core-vmm/board": ["core-vmm/machine", "core-vmm/host", "devices", "devices/chipset", "devices/firmware",
                       "devices/storage", "patcher", "hwaccel"] + PLUGS,
    "core-vmm/control": ["core-vmm/machine", "core-vmm/host", "guest-additions/common"] + PLUGS,
    "core-vmm/outer": ["core-vmm/base"],
    "core-vmm/foreign": ["core-vmm/host", "core-vmm/fence", "disk-formats/image", "disk-formats/ops"] + PLUGS,
    "core-vmm/exit": ["core-vmm/host", "core-vmm/control", "disk-formats/image"] + PLUGS,  # it knows all domains of errors
    "core-vmm/vm": ["core-vmm/machine", "guest-additions/common", "core-vmm/outer", "core-vmm/host", "core-vmm/control", "core-vmm/exit", "core-vmm/fence"] + PLUGS,
    "core-vmm/look": ["core-vmm/install", "core-vmm/fence", "disk-formats/image"] + PLUGS,
    "core-vmm/sound": ["core-vmm/fence", "core-vmm/outer"] + PLUGS,
    "core-vmm/install": ["core-vmm/host", "core-vmm/control"] + PLUGS,
    "core-vmm/vmctl": ["core-vmm/install", "core-vmm/host", "core-vmm/foreign", "core-vmm/control", "core-vmm/exit"] + PLUGS,
    "core-vmm/vmctl/disk": ["core-vmm/vmctl", "core-vmm/host", "core-vmm/fence", "disk-formats/ops"] + PLUGS,
    "devices": PLUGS,
    "devices/additions": ["devices", "devices/input"] + PLUGS,
    "devices/audio": ["devices", "devices/chipset"] + PLUGS,
    "devices/chipset": ["devices"] + PLUGS,
    "devices/debug": ["devices", "devices/hyperv"] + PLUGS,
    "devices/hyperv": ["devices"] + PLUGS,
    "devices/firmware": ["devices", "devices/chipset", "devices/storage"] + PLUGS,
    "devices/input": ["devices"] + PLUGS,
    "devices/net": ["devices"] + PLUGS,
    "devices/serial": ["devices"] + PLUGS,
    "devices/storage": ["devices", "devices/chipset"] + PLUGS,
    "devices/usb": ["devices", "devices/storage"] + PLUGS,
    "devices/video": ["devices"] + PLUGS,
    "devices/virtio": ["devices", "devices/net", "devices/storage"] + PLUGS,
    "disk-formats/image": PLUGS,
    "disk-formats/ops": ["disk-formats/image"] + PLUGS,
    "disk-formats/qcow2": ["disk-formats/image"] + PLUGS,
    "disk-formats/vdi": ["disk-formats/image"] + PLUGS,
    "disk-formats/vhd": ["disk-formats/image"] + PLUGS,
    "disk-formats/vmdk": ["disk-formats/image"] + PLUGS,
    "guest-additions/common": PLUGS,
    "guest-additions/folders": ["core-vmm/fence", "core-vmm/outer", "guest-additions/common"],
    "hwaccel": PLUGS,
    "network-modes": ["core-vmm/control", "core-vmm/fence", "core-vmm/host", "core-vmm/outer"] + PLUGS,
    "network-modes/admin": [],
    "patcher": ENGINE,
    "patcher/check": ENGINE,
    "patcher/decode": ENGINE,
    "patcher/interp": ENGINE,
    "patcher/memory": ENGINE,
    "patcher/native": ENGINE,
    "patcher/translate": ENGINE,
    "gui/manager": ["core-vmm/host", "core-vmm/control", "core-vmm/install"] + PLUGS,
    "gui/screen": ["core-vmm/host", "core-vmm/control", "core-vmm/exit"] + PLUGS,
    "gui/vnc": ["core-vmm/control", "core-vmm/fence", "core-vmm/outer"] + PLUGS,
}
# What only these files of a folder may include beside that, for the reason given.
NARROW = {
    "core-vmm/host/disk_look.c": ["core-vmm/fence", "disk-formats/image"],  # images are looked at inside a fence
    "core-vmm/host/machine_sound.h": ["core-vmm/outer"],  # an end of the keeper's
    "core-vmm/host/machine_sound.c": ["core-vmm/outer"],  # and its settings
    "core-vmm/host/machine_folders.h": ["core-vmm/outer"],  # ends of the keeper's
    "core-vmm/host/machine_tpm.h": ["core-vmm/outer"],  # another
    "core-vmm/host/machine_firmware.c": ["core-vmm/fence"],  # what a guest wrote is looked at inside a fence
    "core-vmm/host/disk_users.c": ["disk-formats/image"],  # chains are followed there
    "core-vmm/host/look_program.c": ["core-vmm/control", "core-vmm/fence", "disk-formats/image"],  # an answer from inside of a fence; which format a name means
    "core-vmm/host/disk_work.c": ["disk-formats/image"],  # a child's errors are those of images
    "core-vmm/host/disk_work.h": ["core-vmm/fence"],  # what a child may do there
    "core-vmm/host/machine_move.c": ["core-vmm/fence", "disk-formats/image", "disk-formats/ops"],  # the same
    "core-vmm/host/machine_clone.c": ["core-vmm/fence", "disk-formats/image", "disk-formats/ops"],  # images are copied in a fenced child
    "core-vmm/host/machine_outer.c": ["core-vmm/outer"],  # the processes around a VM are started with it
    "core-vmm/host/machine_vnc.c": ["core-vmm/outer"],  # so is this one
    "core-vmm/host/snapshot_images.c": ["core-vmm/fence", "disk-formats/image", "disk-formats/ops"],  # works on images in fenced children
    "core-vmm/host/snapshot_diff.c": ["disk-formats/image"],  # maps of images, in a fenced child
    "core-vmm/host/snapshot_state.c": ["core-vmm/fence", "disk-formats/image"],  # and on states, there too
    "core-vmm/host/snapshot_delete.c": ["disk-formats/image"],  # which images cannot be merged into
    "core-vmm/host/snapshots.c": ["disk-formats/image"],  # which format a name promises
    "core-vmm/host/machine_settings.c": ["disk-formats/image"],  # a new machine's new disk is made
}
PLUG_LINES = 120  # a header with its comments
PLUG_CALLS = 15  # what core offers to the part, of which few plugs need many
FILE_LINES = 900
FUNCTION_LINES = 60
# What breaks a rule for a reason: name -> reason.
MANY_CALLS = {}
LONG_FUNCTIONS = {
    "gui/screen/keymap.c: keymap_code": "one row for each key",
    "patcher/translate/op.c: map_0": "one row for each opcode",
    "patcher/translate/op.c: map_0f": "one row for each opcode",
}
STATE = {
    "patcher/host_fault.c: previous": "signal handlers belong to the process, and so does what they were before",
}


def tree():
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    names = out.stdout.split()
    if not names:
        names = [os.path.relpath(os.path.join(d, f), ROOT) for d, _, fs in os.walk(ROOT) for f in fs]
    return [n for n in names if os.path.isfile(os.path.join(ROOT, n))]


def text(name):
    with open(os.path.join(ROOT, name), encoding="utf-8", errors="replace") as f:
        return f.read()


FILES = tree()
CODE = [n for n in FILES if n.endswith((".c", ".h"))]


def includes():
    for name in CODE:
        home = os.path.dirname(name)
        if name.startswith("tests/"):
            continue
        if home not in MAY:
            yield f"{name}: {home} has no line in MAY (tests/style) that says what it may include"
            continue
        for inc in re.findall(r'^#include "([^"]+)"', text(name), re.M):
            if "/" not in inc and not os.path.exists(os.path.join(ROOT, home, inc)):
                continue  # made at build time
            if not os.path.exists(os.path.join(ROOT, inc)):
                yield f"{name} includes {inc}: not a path from the top folder"
            elif os.path.dirname(inc) not in MAY[home] + NARROW.get(name, []) + [home]:
                yield f"{name} includes {inc}: {home} may not know {os.path.dirname(inc)}"


def licences():
    for name in CODE:
        if not text(name).startswith("// SPDX-License-Identifier: GPL-2.0-or-later"):
            yield f"{name}: its first line is not the licence line"


def opens():
    for name in CODE:
        second = text(name).split("\n")[1:2]
        if name.endswith(".c") and not re.match(r"/[*/] ?\w", second[0] if second else ""):
            yield f"{name}: its second line does not say what it is (/* {os.path.basename(name)} - ... */)"


def plain(name):
    """Without comments and strings."""
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', lambda m: "\n" * m[0].count("\n"), text(name), flags=re.S)


def plugs():
    for name in CODE:
        if not name.startswith("core-vmm/api/"):
            continue
        if text(name).count("\n") > PLUG_LINES:
            yield f"{name}: {text(name).count(chr(10))} lines, a plug has at most {PLUG_LINES}"
        calls = len(re.findall(r"^\w[^;{}=()]*\([^;{}]*\)[^;{}()]*;", plain(name), re.M))
        if calls > PLUG_CALLS and name not in MANY_CALLS:
            yield f"{name}: {calls} calls, a plug has at most {PLUG_CALLS}"


def functions(name):
    """Name and lines of each function's body: clang-format puts its braces alone at the line's beginning."""
    lines, start = text(name).split("\n"), None
    for n, line in enumerate(lines):
        if line == "{":
            start = n
        elif line == "}" and start is not None:
            head = start - 1
            while head and not re.match(r"\w", lines[head]):
                head -= 1
            found = re.search(r"(\w+)\(", lines[head])
            yield found[1] if found else f"line {head + 1}", n - start - 1
            start = None


def lengths():
    seen = set()
    for name in CODE:
        for function, lines in functions(name):
            key = f"{name}: {function}"
            seen.add(key)
            if lines > FUNCTION_LINES and key not in LONG_FUNCTIONS:
                yield f"{key}() has {lines} lines, at most {FUNCTION_LINES}"
    for key in set(LONG_FUNCTIONS) - seen:
        if os.path.exists(os.path.join(ROOT, key.split(":")[0])):
            yield f"{key}: an exception for what is not there"


def sizes():
    for name in CODE:
        lines = text(name).split("\n")
        if len(lines) > FILE_LINES and "lines because" not in "\n".join(lines[:12]):
            yield f"{name}: {len(lines)} lines; above {FILE_LINES} its first lines say why ('... lines because ...')"


# A definition of a variable at the line's beginning: words, a name, perhaps a size and a value.
VARIABLE = re.compile(r"(?=\w)(?!(?:static )?(?:typedef|extern|return|const|inline|_Thread_local)\b|struct \w+;)"
                      r"[\w\s\*]*\b(\w+)(?:\[[^\]]*\])*(?: = .*)?;$")


def state():
    for name in CODE:
        if name.startswith("tests/"):
            continue
        for n, line in enumerate(plain(name).split("\n"), 1):
            line = line.rstrip()
            found = VARIABLE.match(line)
            writable = found and not re.search(r"\bconst\b|GSourceFuncs", line)  # GLib wants those writable
            if writable and f"{name}: {found[1]}" not in STATE:
                yield f"{name}:{n}: file-scope state: {line.strip()}"


def answers():
    for name in CODE:
        if not re.match(r"core-vmm/vmctl/|core-vmm/control/client|gui/", name):
            continue
        for n, line in enumerate(text(name).split("\n"), 1):
            if re.search(r"json_(object_get_\w*member\b|node_get_|array_get_|array_foreach)", line):
                yield f"{name}:{n}: what a VM process says is read by answer.h only: {line.strip()[:80]}"


LIBRARY = re.compile(r"core-vmm/host/(machine|disk_)")  # what vmctl and the manager share says nothing by itself


def silent():
    for name in CODE:
        if not LIBRARY.match(name):
            continue
        for n, line in enumerate(text(name).split("\n"), 1):
            if re.search(r"\b(f?printf|g_print|g_printerr|f?puts|putchar|perror|exit|abort)\(", line) or "EXIT_CODE" in line:
                yield f"{name}:{n}: a library prints nothing, ends nothing and knows no exit codes: {line.strip()[:80]}"


def defaults():
    """Those that are more than a word of a list; a word has other uses."""
    schema = "core-vmm/host/config_schema.c"
    keys = re.findall(r'\{"([\w-]+)", SCHEMA_\w+, ("[^"]*")', text(schema) if schema in CODE else "")
    telling = {d: k for k, d in keys if re.search(r"[,:]|\d[A-Zx]", d)}
    if schema in CODE and not telling:
        yield f"{schema}: no default is found in it"
    for name in CODE:
        if name == schema or name.startswith("tests/"):
            continue
        for n, line in enumerate(text(name).split("\n"), 1):
            for d, key in telling.items():
                if d in line:
                    yield f"{name}:{n}: the default of {key} stands in the schema alone: {line.strip()[:80]}"


def paths():
    own = "tests/style/test_style.py"
    for name in FILES:
        if name == own or name.endswith((".png", ".bin")):
            continue
        for n, line in enumerate(text(name).split("\n"), 1):
            if re.search(r"(^|[\s\"'(=:])/(work|root|farm)/", line):
                yield f"{name}:{n}: a machine's path: {line.strip()[:80]}"


def barriers():
    for name in CODE:
        if not name.startswith("devices/"):
            continue
        for n, line in enumerate(plain(name).split("\n"), 1):
            if re.search(r"SEQ_CST|seq_cst|__sync_", line):
                yield f"{name}:{n}: towards a guest's memory that is no barrier, dev_barrier() is (core-vmm/api/barrier.h): {line.strip()[:80]}"


CHECKS = [("includes follow the house rules", includes), ("every file has its licence line", licences),
          ("plug headers are short, with few calls", plugs),
          ("every .c file opens with what it is", opens), ("files are short", sizes), ("functions are short", lengths),
          ("no file-scope state", state), ("no machine paths", paths), ("answers are checked", answers),
          ("the machines library is silent", silent), ("defaults stand in the schema", defaults),
          ("devices know which barrier is one", barriers)]
print(f"1..{len(CHECKS)}")
failed = 0
for i, (what, check) in enumerate(CHECKS, 1):
    found = list(check())
    failed += bool(found)
    print(f"{'not ok' if found else 'ok'} {i} {what}")
    for f in found[:30]:
        print("#", f)
sys.exit(0)
