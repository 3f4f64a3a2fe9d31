# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests of screens share: pictures as rows of pixels, and waiting.  PATIENCE in the environment: what its seconds are multiplied by,
for programs that are slow because they are watched (tests/gui/sanitized)."""
import os
import struct
import time
import zlib

PATIENCE = float(os.environ.get("PATIENCE", 1))
WAIT = 30 * PATIENCE


def wait_for(what, check, seconds=WAIT):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = check()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"no {what} after {seconds:g} s")


def png_pixels(path):
    """Rows of (r, g, b), of an 8-bit RGB or RGBA PNG without interlace."""
    data, at, packed = open(path, "rb").read(), 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length:at + 12 + length])[0] == zlib.crc32(kind + body)
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
            assert depth == 8 and colour in (2, 6)
            each = 3 if colour == 2 else 4
        packed += body if kind == b"IDAT" else b""
        at += length + 12
    raw, stride, before, rows = zlib.decompress(packed), width * each + 1, bytes(width * each), []
    for y in range(height):
        row = unfilter(raw[y * stride], bytearray(raw[y * stride + 1:(y + 1) * stride]), before, each)
        rows.append([tuple(row[i:i + 3]) for i in range(0, len(row), each)])
        before = row
    return rows


def unfilter(kind, row, up, each):
    for i in range(len(row)):
        a, b, c = (row[i - each], up[i], up[i - each]) if i >= each else (0, up[i], 0)
        p = a + b - c
        paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
        row[i] = (row[i] + (0, a, b, (a + b) // 2, paeth)[kind]) & 255
    return row
