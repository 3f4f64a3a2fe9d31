#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A Linux guest is saved and loaded into a new process again and again while it moves data both ways over one TCP connection to
another guest: the connection goes on and every byte is right.  Prints TAP.

  test_midway.py VMCTL [--scale F] [--rounds N] [--seed N] [CARD[:32]...]    (default: every card, 64 bits)"""
import argparse
import os
import random
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members

CARDS = ["e1000", "e1000e", "virtio-net", "pcnet", "rtl8139", "rtl8139c"]
ECHO, BYTES = 7, 4000000
# One transfer after the other, each compared byte by byte, so that one is under way at any moment; the first that fails ends it.
LOAD = (f"((n=0; while [ ! -e stop ]; do peer tcp 10.1.1.2 {ECHO} {BYTES} 2>why || break; n=$((n+1)); echo $n >count; done; "
        "[ -e stop ] && echo good >end || echo bad >end) </dev/null >/dev/null 2>&1 &)")


def bytes_moved(shell):
    """Received and sent, as the guest's kernel counts."""
    out = shell.good("cd /sys/class/net/eth0/statistics; cat rx_bytes tx_bytes; cd /dev/shm")
    return [int(n) for n in out.split()[-2:]]


def moved_on(shell, before, scale):
    """A megabyte more each way than at the moment of saving."""
    end = time.monotonic() + 120 * scale
    while not all(b - a > 1 << 20 for a, b in zip(before, bytes_moved(shell))):
        out = shell.run("cat end why")[0]
        assert "good" not in out and "bad" not in out, f"the transfer has ended: {out}"
        assert time.monotonic() < end, "the transfer stands"
        time.sleep(0.2)


def rounds(host, a, options, rng):
    shell, state = a.shell, os.path.join(host.base, "state")
    for _ in range(options.rounds):
        before = bytes_moved(shell)
        moved_on(shell, before, options.scale)
        time.sleep(rng.uniform(0, 1))
        before = bytes_moved(shell)
        host.vmctl("debug", "save", a.name, state)
        shell.close()
        host.vmctl("stop", a.name, "--force")
        host.vmctl("start", a.name, "--load", state)
        a.shell = shell = members.Shell(a.path, options.scale)
        shell.socket.sendall(b"\n")
        moved_on(shell, before, options.scale)
    shell.good("touch stop; n=0; until [ -e end ]; do sleep 1; n=$((n+1)); [ $n -lt 200 ] || break; done", 300)
    out = shell.good("cat end count why")
    assert "good" in out, f"a transfer failed: {out}"
    errors = shell.good("cat /sys/class/net/eth0/statistics/[rt]x_errors").split()[-2:]
    return f"{out.split()[-1]} transfers of {BYTES} bytes each way, {errors[0]} and {errors[1]} errors of the card"


def midway(options, row, rng):
    card, _, width = row.partition(":")
    with tempfile.TemporaryDirectory() as folder, \
            members.Host(options.vmctl, card, members.images_with_peer(int(width or 64), folder), options.scale) as host:
        lab = {"mode": "internal", "network": "lab"}
        a, b = host.all_of(("a", lab), ("b", lab))
        a.address("10.1.1.1")
        b.address("10.1.1.2")
        b.shell.good(f"(peer serve {ECHO} >/dev/null 2>&1 &)")
        assert a.pings(b.ip), "they do not see each other"
        a.shell.good(LOAD)
        return rounds(host, a, options, rng)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("vmctl")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("rows", nargs="*", metavar="CARD[:32]")
    options = parser.parse_intermixed_args()
    options.vmctl = os.path.abspath(options.vmctl)
    rng, failed, rows = random.Random(options.seed), 0, options.rows or CARDS
    print(f"1..{len(rows)}\n# seed {options.seed}", flush=True)
    for i, row in enumerate(rows, 1):
        try:
            print(f"ok {i} {row} # {options.rounds} times: {midway(options, row, rng)}", flush=True)
        except members.CannotRun as e:
            print(f"ok {i} {row} # SKIP {e}", flush=True)
        except Exception:
            failed += 1
            print(f"not ok {i} {row}\n# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
