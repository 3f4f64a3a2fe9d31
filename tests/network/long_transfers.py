#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Long TCP streams between the host and a Linux guest behind NAT, each way, with equal sums at both ends: 10 GiB on the fast cards, 1 GiB
on the old ones.  Nothing of it is kept: the host makes and checks its stream on the way, the guest repeats numbered blocks of random
bytes.  For a run by hand, half an hour on a quiet machine.  Prints TAP, and a line of figures for each transfer.
Usage: long_transfers.py VMCTL GUESTS.SH [--gib N] [--only down|up] [--sum sha256|md5] [CARD[:32][=GIB]...]"""
import argparse
import hashlib
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from guest_shell import Shell

CARDS = ["virtio-net=10", "e1000e=10", "e1000=1", "pcnet=1", "rtl8139=1", "rtl8139c=1"]
BLOCK = 32 << 20
SEED = int(os.environ.get("SEED", 20260131))
STALLED = 300  # seconds without a byte


class Machine:
    def __init__(self, options, card, bits):
        kernel, initrd = [os.path.join(options.cache, n) for n in
                          ("vmlinuz-686-pae" if bits == "32" else "vmlinuz-amd64", f"network-initrd{bits}.gz")]
        self.vmctl_path, self.base = os.path.abspath(options.vmctl), tempfile.mkdtemp(prefix="terrarium-long-")
        os.mkdir(self.base + "/run", 0o700)
        self.env = dict(os.environ, XDG_DATA_HOME=self.base + "/data", XDG_RUNTIME_DIR=self.base + "/run", LC_ALL="C.UTF-8")
        self.vmctl("create", "g", "--memory", "256M", "--kernel", kernel, "--initrd", initrd, "--cmdline", "console=ttyS0 loglevel=3",
                   "--nic", card, "--engine", options.engine, "--serial", f"socket:{self.base}/serial")
        self.vmctl("start", "g")
        self.shell = Shell(self.base + "/serial", float(os.environ.get("PATIENCE", "10")))
        self.shell.boot()
        self.shell.good("cards", 60)
        self.shell.good("udhcpc -i eth0 -n -q -t 10 -s /bin/lease", 60)

    def vmctl(self, *args):
        subprocess.run([self.vmctl_path, *args], env=self.env, capture_output=True, timeout=600, check=True)

    def errors(self):
        return [int(n) for n in self.shell.good("cat /sys/class/net/e*/statistics/[rt]x_errors").split()[-2:]]

    def close(self):
        subprocess.run([self.vmctl_path, "stop", "--force", "g"], env=self.env, capture_output=True, check=False)
        self.shell.close()
        shutil.rmtree(self.base)


class Stream(threading.Thread):
    """A server of one connection that sends so many bytes of a seeded generator, or (0) takes what comes; with its sum."""

    def __init__(self, kind, send):
        super().__init__(daemon=True)
        self.server, self.send, self.bytes, self.failure = socket.create_server(("127.0.0.1", 0)), send, 0, None
        self.kind, self.sum = kind, hashlib.new(kind)
        self.port = self.server.getsockname()[1]
        self.start()

    def run(self):
        try:
            c = self.server.accept()[0]
            c.settimeout(STALLED)
            if self.send:
                self.give(c)
            else:
                self.take(c)
            c.close()
        except OSError as e:
            self.failure = f"after {self.bytes} bytes: {e}"

    def give(self, c):
        source = random.Random(SEED)
        while self.bytes < self.send:
            data = source.randbytes(min(1 << 20, self.send - self.bytes))
            self.sum.update(data)
            c.sendall(data)
            self.bytes += len(data)

    def take(self, c):
        while data := c.recv(1 << 20):
            self.sum.update(data)
            self.bytes += len(data)


def judge(card, way, stream, out, began):
    took = time.monotonic() - began
    theirs = re.search(r"\b[0-9a-f]{32,64}\b", out)
    assert not stream.failure, stream.failure
    assert theirs and theirs[0] == stream.sum.hexdigest(), f"{way}: the guest says {out!r}, the host {stream.sum.hexdigest()}"
    print(f"# {card} {way}: {stream.bytes} bytes, {stream.kind} {theirs[0][:16]}... at both ends, {took:.0f} s, "
          f"{stream.bytes / took / 1e6:.1f} MB/s", flush=True)


def down(m, card, bytes_, kind):
    stream, began = Stream(kind, bytes_), time.monotonic()
    out = m.shell.good(f"nc 10.0.2.2 {stream.port} </dev/null | {kind}sum", 36000)
    judge(card, "to the guest", stream, out, began)


def up(m, card, bytes_, kind):
    stream = Stream(kind, 0)
    m.shell.good(f"rm -f f p; head -c {BLOCK} /dev/urandom >f; mkfifo p", 600)
    began = time.monotonic()
    m.shell.good("blocks() { n=0; while [ $n -lt $1 ]; do echo $n; cat f; n=$((n + 1)); done; }")
    out = m.shell.good(f"{kind}sum <p >s & blocks {max(1, bytes_ // BLOCK)} | tee p | nc 10.0.2.2 {stream.port}; wait; cat s", 36000)
    stream.join(60)
    assert stream.bytes >= bytes_ // BLOCK * BLOCK, stream.bytes
    judge(card, "from the guest", stream, out, began)


def run(options, row):
    card, _, gib = row.partition("=")
    model, _, bits = card.partition(":")
    bytes_ = int(float(options.gib or gib or 1) * (1 << 30))
    m = Machine(options, model, bits or "64")
    try:
        for way in (down, up):
            if options.only in (None, way.__name__):
                way(m, card, bytes_, options.sum)
        errors = m.errors()
        assert errors == [0, 0], f"errors that the guest counted, received and sent: {errors}"
    finally:
        m.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("vmctl")
    parser.add_argument("guests")
    parser.add_argument("--gib")
    parser.add_argument("--only", choices=["down", "up"])
    parser.add_argument("--sum", choices=["sha256", "md5"], default="sha256", help="md5: less work for the guest")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("card", nargs="*")
    options = parser.parse_intermixed_args()
    options.card = options.card or CARDS
    made = subprocess.run([options.guests, "vmlinuz-amd64", "network-initrd64.gz"], capture_output=True, text=True, check=False)
    if made.returncode:
        print(f"1..0 # SKIP {made.stderr.strip()}")
        return 0
    options.cache = subprocess.run([options.guests, "--dir"], check=True, capture_output=True, text=True).stdout.strip()
    failed = 0
    print(f"1..{len(options.card)}\n# seed {SEED}", flush=True)
    for n, row in enumerate(options.card, 1):
        try:
            run(options, row)
            print(f"ok {n} {row}", flush=True)
        except Exception:
            failed += 1
            print(f"not ok {n} {row}\n# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
    return failed > 0


sys.exit(main())
