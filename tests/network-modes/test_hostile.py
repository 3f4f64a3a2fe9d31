#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""terrarium-net against a guest, and a VM process, that send what they like: frames of every length, real ones with bytes
changed, offloads that are none, packets that are no messages.  Afterwards it must answer as before.  Prints TAP.
Usage: test_hostile.py TERRARIUM-NET [FRAMES [SEED]]"""
import os
import random
import socket
import struct
import sys
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from guest import FRAME, HEAD, Guest, Process, ip6

NET = os.path.abspath(sys.argv[1])
FRAMES = int(sys.argv[2]) if len(sys.argv) > 2 else 4000
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 4150347537
R = random.Random(SEED)


class Recorder:
    """Takes the place of the process while frames are made."""

    def __init__(self):
        self.frames = []

    def send(self, kind, card=1, frame=b"", **how):
        if kind == FRAME:
            self.frames.append(frame)


def examples(g):
    """Frames that mean something, of a guest that is online."""
    real, out = g.p, Recorder()
    g.p = out
    for dst in (g.router, g.dns, ip6("fd00::2"), ip6("fd00::3")):
        for port in (53, 67, 68, 69, 547):
            g.udp(dst, port, R.randbytes(R.randrange(60)))
        for flags in (2, 16, 24, 17, 4, 0x3f):
            body = struct.pack(">HHIIBBHHH", R.randrange(1, 65536), R.choice([53, 80]), R.randrange(1 << 32), 0, 0x60, flags,
                               65535, 0, 0) + b"\2\4\5\xb4" + bytes(R.randrange(100))
            g.send_ip(dst, 6, body)
        body = bytes([8 if len(dst) == 4 else 128, 0, 0, 0]) + bytes(60)
        g.send_ip(dst, 1 if len(dst) == 4 else 58, body)
    g.send(b"\xff" * 6, 0x806, b"\0\1\x08\0\6\4\0\1" + g.mac + g.ip + bytes(6) + g.router)
    g.p = real
    return out.frames


def mutated(frame):
    f = bytearray(frame)
    for _ in range(R.randrange(1, 6)):
        at = R.randrange(12, len(f)) if len(f) > 12 and R.random() < 0.9 else R.randrange(len(f))
        f[at] = R.choice([0, 1, 0x7f, 0x80, 0xff, R.randrange(256)])
    if R.random() < 0.3:
        f = f[:R.randrange(len(f) + 1)]
    elif R.random() < 0.1:
        f += R.randbytes(R.choice([1, 60, 1500, 20000, 65000]))
    return bytes(f)


def packet(samples):
    frame = mutated(R.choice(samples)) if R.random() < 0.9 else R.randbytes(R.choice([0, 1, 13, 14, 60, 1514, 1515, 65550]))
    left = (0, 0, 0, 0, 0, 0)
    if R.random() < 0.4:
        left = (R.choice([0, 1, 1, 2]), R.choice([0, 2, 4, 6, 255]), R.choice([0, 14, 34, len(frame) & 0xffff, 65535]),
                R.choice([0, 6, 16, 65535]), R.choice([0, 1, 32, 1460, 65535]), R.choice([0, 54, 66, 74, 65535]))
    head = HEAD.pack(R.choice([1, 1, 1, 1, 1, 1, 2, 3, 0, 255]), R.choice([1, 1, 1, 1, 1, 0, 2, 9, 255]), R.randrange(256),
                     R.randrange(256), *left)
    return (head + frame)[:R.choice([1 << 17, 1 << 17, 1 << 17, R.randrange(20)])]


def flood():
    process = Process(NET, {"nic1": {"mode": "nat", "mac": "52:54:00:01:02:01"}})
    g = Guest(process)
    assert g.wait_link() and g.dhcp() and g.accept_ra()
    g.who_has(g.router), g.who_has(g.dns), g.neighbour(ip6("fd00::2")), g.neighbour(ip6("fd00::3"))
    samples = examples(g)
    process.ours.settimeout(20)
    for n in range(FRAMES):
        p = packet(samples)
        if p:
            process.ours.send(p)
        while n % 16 == 0 and process.take(1, 0):
            pass
    assert process.process.poll() is None, f"terrarium-net ended with {process.process.poll()}"
    process.send(3, 1, can=0)
    fresh = Guest(process)
    assert fresh.dhcp(seconds=20), "no address any more"
    assert fresh.ping(fresh.router)
    assert process.ask("list")["cards"][0]["dropped"]
    code = process.close()
    assert code == 0, f"terrarium-net ended with {code}"


def sockets_used_up():
    """A guest that opens what it can: others' connections fail, the process does not."""
    process = Process(NET, {"nic1": {"mode": "nat", "mac": "52:54:00:01:02:01"}}, limit=60)
    g = Guest(process)
    assert g.wait_link() and g.dhcp()
    with socket.create_server(("127.0.0.1", 0)) as s:
        for n in range(200):
            g.udp(g.router, s.getsockname()[1], b"x", sport=10000 + n)
            body = struct.pack(">HHIIBBHHH", 20000 + n, s.getsockname()[1], 1, 0, 0x50, 2, 65535, 0, 0)
            g.send_ip(g.router, 6, body)
    assert g.ping(g.router, seconds=10)
    assert process.process.poll() is None
    assert process.close() == 0


TESTS = [flood, sockets_used_up]
print(f"1..{len(TESTS)}")
print(f"# seed {SEED}")
for n, test in enumerate(TESTS, 1):
    try:
        test()
        print(f"ok {n} {test.__name__.replace('_', ' ')}", flush=True)
    except Exception:
        print(f"not ok {n} {test.__name__.replace('_', ' ')}")
        print("# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
