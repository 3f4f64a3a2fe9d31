#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Many million packets over a card's rings, the line between the two processes, the switch and NAT, both ways, at full rate: neither
process may grow.  Prints TAP.

  packets.py TERRARIUM-NET PACKETS [--packets N] [CARD...]

PACKETS is packets.c's program; N (200000000) is shared by the cards (virtio-net, e1000)."""
import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import members  # noqa: E402

sys.path.insert(0, os.path.join(HERE, "../network-modes"))
del sys.modules["guest"]  # members.py has the one of the benchmarks
from guest import Process  # noqa: E402

WARM = 10  # by then, a tenth of the way, all that is kept is there
MAY_GROW = 2048  # KiB: the cable's two mailboxes, which grow to a MiB each when the other side is slow


def memory(pid):
    """KiB of its own, in RAM; None: it has ended."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        found = re.search(r"RssAnon:\s*(\d+)", f.read())
    return int(found[1]) if found else None


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def soak(options, card, count, port):
    """None, or what is wrong."""
    mac = {"virtio-net": "nic8", "e1000": "nic1"}[card]
    net = Process(options.net, {mac: {"mode": "nat", "mac": "52:54:00:01:02:08"}})
    fd = net.ours.detach()
    driver = subprocess.Popen([options.driver, card, str(count), str(fd), str(port)], pass_fds=[fd], stdout=subprocess.PIPE, text=True)
    os.close(fd)
    began, first, now, all_ = time.monotonic(), None, None, 0
    for line in driver.stdout:
        sent, received, lost = map(int, line.split())
        all_, before = sent + received, all_
        seen = memory(driver.pid), memory(net.process.pid)
        now = now if None in seen else seen
        if all_ >= count // WARM and not first:
            first = now
        if all_ // 10_000_000 != before // 10_000_000:
            print(f"# {card}: {sent} sent, {received} received, {lost} lost; {all_ / (time.monotonic() - began):.0f}/s; KiB: "
                  f"driver's process {now[0]}, network process {now[1]}", flush=True)
    code = driver.wait(), net.process.wait(20)
    if code != (0, 0):
        return f"they ended with {code}"
    if lost > sent // 20:
        return f"{lost} of {sent} are lost: that is no test"
    if not now:
        return "they ended before anybody could look: more packets"
    grown = [b - a for a, b in zip(first or now, now)]
    print(f"# {card}: {all_} packets; grown since {count // WARM}: {grown} KiB", flush=True)
    return f"grown by {grown} KiB" if max(grown) > MAY_GROW else None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("net")
    parser.add_argument("driver")
    parser.add_argument("--packets", type=int, default=200_000_000)
    parser.add_argument("cards", nargs="*", metavar="CARD")
    options = parser.parse_intermixed_args()
    options.net, options.driver = os.path.abspath(options.net), os.path.abspath(options.driver)
    cards, failed, port = options.cards or ["virtio-net", "e1000"], 0, free_port()
    print(f"1..{len(cards)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        members.peer_program(64, folder + "/peer")
        echo = subprocess.Popen([folder + "/peer", "serve", str(port)])
        try:
            for i, card in enumerate(cards, 1):
                why = soak(options, card, options.packets // len(cards), port)
                failed += why is not None
                print(f"not ok {i} {card} # {why}" if why else f"ok {i} {card}", flush=True)
        finally:
            echo.terminate()
            echo.wait()
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
