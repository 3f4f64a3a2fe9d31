#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who reaches whom in the modes internal, natnetwork, udp and none: several terrarium-net processes, each with a guest of this
test's own.  Prints TAP.  Usage: test_modes.py TERRARIUM-NET"""
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from guest import Guest, Process, Tcp, ip4, text4

NET = os.path.abspath(sys.argv[1])


class Host:
    """Where VMs of one user meet, and the VMs."""

    def __init__(self, **networks):
        self.folder = tempfile.mkdtemp(prefix="modes-")
        self.fd = os.open(self.folder, os.O_PATH | os.O_DIRECTORY)
        self.networks = {f"network:{name}": keys for name, keys in networks.items()}
        self.machines = []

    def start(self, mode, number, link=True, **keys):
        """A machine whose one card has an address that ends in number."""
        mac = f"52:54:00:01:02:{number:02x}"
        card = {"mode": mode, "mac": mac, **{k.replace("_", "-"): v for k, v in keys.items()}}
        p = Process(NET, {"nic1": card, **self.networks}, machine=f"m{number}", fds={"networks": self.fd})
        g = Guest(p, mac=bytes([0x52, 0x54, 0, 1, 2, number]))
        self.machines.append(g)
        g.wait_link(seconds=10 if link else 0.5)
        assert g.link == link, f"link of machine {number}"
        return g

    def fixed(self, mode, number, **keys):
        g = self.start(mode, number, **keys)
        g.ip = bytes([192, 168, 77, number])
        return g

    def __enter__(self):
        return self

    def __exit__(self, *error):
        codes = [m.p.close() for m in self.machines]
        os.close(self.fd)
        left = [f for _, _, files in os.walk(self.folder) for f in files if len(f) == 32]
        shutil.rmtree(self.folder)
        assert error[0] or (not any(c > 0 for c in codes) and not left), (codes, left)


class Wait(threading.Thread):
    """Answers ARP and pings for other guests while one of them asks."""

    def __init__(self, *guests):
        super().__init__(daemon=True)
        self.guests, self.on = guests, True
        self.start()

    def run(self):
        while self.on:
            for g in self.guests:
                got = g.look(0.005)
                f = got and got[1]
                if f and f[12:14] == b"\x08\0" and f[23] == 1 and f[34] == 8 and f[30:34] == g.ip and f[:6] == g.mac:
                    body = b"\0\0" + f[36:]
                    g.send(f[6:12], 0x800, g.v4(f[26:30], 1, b"\0\0" + b"\0\0" + f[38:]))

    def stop(self):
        self.on = False
        self.join()


def reaches(a, b, seconds=3):
    """Does a ping of a come back from b?"""
    w = Wait(b)
    try:
        a.peers.pop(b.ip, None)
        return a.who_has(b.ip, seconds) is not None and a.ping(b.ip, seconds=seconds)
    finally:
        w.stop()


def server():
    """A TCP server of the host that says hello."""
    s = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            c = s.accept()[0]
            c.sendall(b"hello")
            c.close()
    threading.Thread(target=serve, daemon=True).start()
    return s.getsockname()[1]


def internal():
    with Host() as h:
        a, b, c = (h.fixed("internal", n, network="lab") for n in (1, 2, 3))
        other = h.fixed("internal", 4, network="other")
        for x, y in ((a, b), (b, a), (a, c), (c, b)):
            assert reaches(x, y), (x.mac, y.mac)
        assert not reaches(a, other, seconds=0.5) and not reaches(other, a, seconds=0.5)
        assert a.dhcp(seconds=0.5) is None  # nobody gives out addresses
        a.ip = ip4("192.168.77.1")
        assert a.who_has(ip4("192.168.100.2"), seconds=0.5) is None


def one_name_two_kinds():
    """Else a machine of an internal network would have a router."""
    with Host() as h:
        a = h.fixed("internal", 1, network="lab")
        b = h.start("natnetwork", 2, network="lab")
        b.ip = ip4("192.168.77.2")
        assert not reaches(a, b, seconds=0.5)


def internal_with_addresses():
    with Host(lab={"kind": "internal", "range": "10.9.8.0/24", "dhcp": "on"}) as h:
        a, b = (h.start("internal", n, network="lab") for n in (1, 2))
        oa, ob = a.dhcp(), b.dhcp()
        assert oa and ob and text4(a.ip).startswith("10.9.8.") and a.ip != b.ip
        assert 3 not in oa and 6 not in oa, "a router in an internal network"
        assert reaches(a, b)
        text = wait_file(os.path.join(h.folder, "internal", "lab", "leases"), text4(b.ip))
        assert text4(a.ip) in text and text4(b.ip) in text and "52:54:00:01:02:01" in text, text


def wait_file(path, word, seconds=5):
    """What is in it, once that word is."""
    end, text = time.monotonic() + seconds, ""
    while word not in text and time.monotonic() < end:
        time.sleep(0.05)
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                text = f.read()
    return text


def natnetwork():
    port = server()
    with Host(office={"kind": "natnetwork", "range": "10.7.0.0/24"}) as h:
        a, b, c = (h.start("natnetwork", n, network="office") for n in (1, 2, 3))
        for g in (a, b, c):
            assert g.dhcp(), "no address"
            assert text4(g.router) == "10.7.0.2" and text4(g.dns) == "10.7.0.3", text4(g.router)
        assert len({a.ip, b.ip, c.ip}) == 3
        assert reaches(a, b) and reaches(b, a) and reaches(b, c) and reaches(c, a)
        for g in (a, b, c):  # only one of them has the router in its process
            t = Tcp(g, g.router, port)
            assert t.open and t.read(5) == b"hello"
            assert g.ping(g.router)


def router_dies():
    """Another takes over, with the same leases."""
    port = server()
    with Host(office={"kind": "natnetwork", "range": "10.7.0.0/24"}) as h:
        a, b = (h.start("natnetwork", n, network="office") for n in (1, 2))
        assert a.dhcp() and b.dhcp()
        before = b.ip
        assert Tcp(b, b.router, port).open
        assert wait_file(os.path.join(h.folder, "natnetwork", "office", "leases"), text4(b.ip))
        a.p.process.send_signal(signal.SIGKILL)
        a.p.process.wait()
        time.sleep(2.5)  # TRY_MS
        b.peers.clear()
        t = Tcp(b, b.router, port)
        assert t.open and t.read(5) == b"hello"
        assert b.dhcp() and b.ip == before
        c = h.start("natnetwork", 3, network="office")
        assert c.dhcp() and c.ip not in (before, a.ip)
        assert reaches(c, b)


def wrong_kind():
    with Host(lab={"kind": "natnetwork"}) as h:
        assert not h.start("internal", 1, network="lab", link=False).link
    with Host() as h:
        assert not h.start("internal", 1, network="../x", link=False).link


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def udp():
    x, y = free_port(), free_port()
    with Host() as h:
        a = h.fixed("udp", 1, local_port=x, peer=f"127.0.0.1:{y}")
        b = h.fixed("udp", 2, local_port=y, peer=f"127.0.0.1:{x}")
        assert reaches(a, b) and reaches(b, a)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:  # not the peer
            s.sendto(b"\xff" * 6 + a.mac + b"\x88\xb5" + bytes(50), ("127.0.0.1", y))
        assert b.wait_frame(lambda f: f[12:14] == b"\x88\xb5", 0.5) is None
        taken = h.start("udp", 3, local_port=x, peer=f"127.0.0.1:{y}", link=False)
        assert not taken.link


def none():
    with Host() as h:
        assert not h.start("none", 1, link=False).link


def policy():
    with Host() as h:
        a = h.fixed("internal", 1, network="lab", spoof="off")
        b = h.fixed("internal", 2, network="lab")
        nosy = h.fixed("internal", 3, network="lab", promiscuous="on")
        polite = h.fixed("internal", 4, network="lab")
        frame = lambda dst, src, tag: dst + src + b"\x88\xb5" + tag + bytes(40)
        saw = lambda g, tag, s=0.5: g.wait_frame(lambda f: f[14:15] == tag, s) is not None
        unknown = bytes([0x52, 0x54, 0, 9, 9, 9])
        a.p.send(1, 1, frame(unknown, a.mac, b"1"))  # flooded, since nobody has been seen there
        assert saw(nosy, b"1") and not saw(polite, b"1", 0.3)
        a.p.send(1, 1, frame(b"\xff" * 6, unknown, b"2"))  # not its address
        assert not saw(b, b"2", 0.3)
        b.p.send(1, 1, frame(b"\xff" * 6, unknown, b"3"))  # which b may use
        assert saw(a, b"3") and saw(polite, b"3")
        a.p.send(1, 1, frame(unknown, a.mac, b"4"))  # and is answered at
        assert saw(b, b"4")


def limits():
    with Host() as h:
        a = h.fixed("internal", 1, network="lab", delay=100)
        b = h.fixed("internal", 2, network="lab", loss=1000)
        c = h.fixed("internal", 3, network="lab", limit=1000)
        d = h.fixed("internal", 4, network="lab")
        begin = time.monotonic()
        assert reaches(a, d)
        assert time.monotonic() - begin >= 0.4, "two round trips with 100 ms each way"
        assert not reaches(b, d, seconds=0.5)
        got, begin = 0, time.monotonic()
        for _ in range(200):  # 300 KB at 1 Mbit/s, of which 64 KiB may come at once, and 200 ms wait
            c.p.send(1, 1, b"\xff" * 6 + c.mac + b"\x88\xb5L" + bytes(1485))
        while d.wait_frame(lambda f: f[14:15] == b"L", 1):
            got += 1
        assert 40 < got < 90, got


CHECKS = [internal, one_name_two_kinds, internal_with_addresses, natnetwork, router_dies, wrong_kind, udp, none, policy, limits]


def main():
    wanted = sys.argv[2:]
    checks = [c for c in CHECKS if not wanted or c.__name__ in wanted]
    print(f"1..{len(checks)}", flush=True)
    for i, check in enumerate(checks, 1):
        try:
            check()
            print(f"ok {i} {check.__name__}", flush=True)
        except Exception:
            print(f"not ok {i} {check.__name__}\n# " + traceback.format_exc().replace("\n", "\n# "), flush=True)


main()
