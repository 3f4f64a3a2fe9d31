#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""to_c.py NAME IN OUT [--rom]: a binary file as a C array; --rom first pads it to 512 bytes and sets size and checksum of
an option ROM."""
import sys

name, source, target = sys.argv[1:4]
data = bytearray(open(source, "rb").read())
if "--rom" in sys.argv:
    data += bytes(-len(data) % 512)
    data[2] = len(data) // 512
    data[-1] = (data[-1] - sum(data)) & 0xFF
with open(target, "w") as out:
    out.write("/* Generated from %s. */\nstatic const unsigned char %s[] = {\n" % (source.split("/")[-1], name))
    for at in range(0, len(data), 16):
        out.write("    " + ", ".join("0x%02x" % b for b in data[at : at + 16]) + ",\n")
    out.write("};\n")
