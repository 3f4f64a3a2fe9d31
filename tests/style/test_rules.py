#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Each house rule, broken once in a small tree of its own: test_style.py must say so, and nothing of an unbroken one.
Prints TAP."""
import os
import subprocess
import sys
import tempfile

STYLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "test_style.py")
LICENCE = "// SPDX-License-Identifier: GPL-2.0-or-later\n"
GOOD = {
    "core-vmm/api/part.h": LICENCE + "/* part.h - a plug. */\nint part_one(void);\n",
    "devices/debug/chip.c": LICENCE + "/* chip.c - a chip. */\n#include \"core-vmm/api/part.h\"\n"
                            "static const int registers[2] = {1, 2}; /* a comment */\nint part_one(void)\n{\n    return registers[0];\n}\n",
    "core-vmm/vmctl/verb_x.c": LICENCE + "/* verb_x.c - vmctl x. */\n",
    "core-vmm/host/machines.c": LICENCE + "/* machines.c - machines. */\n",
    "core-vmm/host/config_schema.c": LICENCE + "/* config_schema.c - keys. */\n"
                                     'static const struct key keys[] = {{"memory", SCHEMA_SIZE, "1G"}};\n',
    "docs/x.md": "A page.\n",
}
CHIP = "devices/debug/chip.c"
# what is broken -> (file, what is added, or a whole new text; the words of the complaint)
BROKEN = {
    "a folder that it may not know": (CHIP, '#include "core-vmm/vmctl/verb_x.c"\n', "may not know core-vmm/vmctl"),
    "an include that is not from the top": (CHIP, '#include "../../core-vmm/api/part.h"\n', "not a path from the top"),
    "a folder without a line": ("devices/new/chip.c", LICENCE + "/* chip.c - a chip. */\n", "has no line in MAY"),
    "no licence": ("devices/debug/other.c", "\n/* other.c - a chip. */\n", "not the licence line"),
    "a plug that is too long": ("core-vmm/api/part.h", "\n" * 130, "a plug has at most 120"),
    "a plug with too many calls": ("core-vmm/api/part.h", "".join(f"void call{n}(int a);\n" for n in range(16)), "17 calls"),
    "a file that does not say what it is": ("devices/debug/other.c", LICENCE + "int x(void);\n", "does not say what it is"),
    "a file that is too long": (CHIP, "\n" * 900, "lines; above 900"),
    "a function that is too long": (CHIP, "int long_one(void)\n{\n" + "    part_one();\n" * 61 + "}\n", "long_one() has 61 lines"),
    "state at file scope": (CHIP, "static int counter;\n", "file-scope state: static int counter;"),
    "... with a comment behind it": (CHIP, "static int counter; /* how many */\n", "file-scope state: static int counter;"),
    "... with a value": (CHIP, "static unsigned *list[4] = {0};\n", "file-scope state"),
    "... that others see": (CHIP, "int counter;\n", "file-scope state: int counter;"),
    "a machine's path": ("docs/x.md", "See " + "/" + "work/x.\n", "a machine's path"),
    "a library that prints": ("core-vmm/host/machines.c", 'void f(void)\n{\n    g_printerr("x");\n}\n', "prints nothing"),
    "a default of one's own": (CHIP, 'static const char *const usual = "1G";\n', "the default of memory stands"),
    "a barrier that is none": (CHIP, "void f(void)\n{\n    atomic_thread_fence(memory_order_seq_cst);\n}\n", "dev_barrier() is"),
    "an answer read by hand": ("core-vmm/vmctl/verb_x.c", "int f(void)\n{\n    return json_node_get_int(n);\n}\n", "answer.h only"),
}


def complaints(files):
    with tempfile.TemporaryDirectory() as root:
        for name, content in files.items():
            os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
            with open(os.path.join(root, name), "w", encoding="utf-8") as f:
                f.write(content)
        done = subprocess.run([sys.executable, STYLE, root], capture_output=True, text=True)
        return done.stdout + done.stderr


def main():
    print(f"1..{len(BROKEN) + 1}")
    text = complaints(GOOD)
    print("not ok 1 nothing broken" if "not ok" in text or "ok 1" not in text else "ok 1 nothing broken")
    for line in text.splitlines():
        print("#", line)
    for number, (what, (name, content, words)) in enumerate(BROKEN.items(), 2):
        text = complaints({**GOOD, name: GOOD.get(name, "") + content})
        good = words in text and text.count("not ok") == 1
        print("ok" if good else "not ok", number, what)
        for line in [] if good else text.splitlines():
            print("#", line)


main()
