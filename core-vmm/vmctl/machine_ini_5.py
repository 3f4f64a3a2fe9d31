#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual page machine.ini(5), of what `vmctl set --keys` prints, which comes from the schema.  Usage: machine_ini_5.py VMCTL"""
import re
import subprocess
import sys

HEAD = r""".\" Made by machine_ini_5.py of the schema of settings.
.TH MACHINE.INI 5 "" "Terrarium" "File Formats"
.SH NAME
machine.ini \- the settings of a virtual machine
.SH SYNOPSIS
.I $XDG_DATA_HOME/terrarium/machines/NAME/machine.ini
.SH DESCRIPTION
A machine of
.BR vmctl (1)
and
.BR terrarium (1)
is a folder, and this file in it says what it is made of: sections in brackets, keys with their values, comments after a hash.
.B vmctl set
changes it and checks every value first; an editor does as well, while the machine is off.
An unknown section or key is an error.
.PP
Sizes are powers of 1024, like 64K or 1.5G.
Relative paths start at the machine's folder.
A backslash in a value is written as two, a space at its beginning as
.BR \es .
.SH SETTINGS
"""
TAIL = r""".SH EXAMPLES
.nf
[machine]
memory=2G
cpus=2

[ide0]
file=disk.img
format=raw
.fi
.SH SEE ALSO
.BR vmctl (1),
.BR terrarium (1)
"""


def roff(text):
    """Text as it is to be read: no command, no minus that becomes a hyphen."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return "\\&" + text if text[:1] in ".'" else text


def page(keys):
    lines = []
    for line in keys.splitlines():
        section = re.fullmatch(r"(\[.*?\](?: to \[.*?\])?): (.*)", line)
        key = re.fullmatch(r"  (\S+)\s+(.*)", line)
        if section:
            lines += [f".SS {roff(section[1])}", roff(section[2][:1].upper() + section[2][1:] + ".")]
        elif key:
            lines += [".TP", f".B {roff(key[1])}", roff(key[2])]
        elif line.strip():
            sys.exit(f"machine_ini_5.py: what is this line of vmctl set --keys? {line!r}")
    return HEAD + "\n".join(lines) + "\n" + TAIL


print(page(subprocess.run([sys.argv[1], "set", "--keys"], capture_output=True, text=True, check=True).stdout), end="")
