#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""terrarium-net with a card in mode nat, and a guest of this test's own at the other end of the wire.  Everything is on the
loopback interface.  Prints TAP.  Usage: test_nat.py TERRARIUM-NET"""
import hashlib
import os
import random
import socket
import struct
import sys
import tempfile
import threading
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from guest import CHECKSUM, FRAME, TSO4, TSO6, Guest, Process, Tcp, ip4, ip6, text4

NET = os.path.abspath(sys.argv[1])
MAC = "52:54:00:01:02:01"


class Rig:
    """One machine with one card that is up, and has its address unless told otherwise."""

    def __init__(self, dhcp=True, fds=None, can=0, **keys):
        self.process = Process(NET, {"nic1": {"mode": "nat", "mac": MAC, **{k.replace("_", "-"): v for k, v in keys.items()}}},
                               fds=fds)
        self.guest = Guest(self.process, can=can)
        assert self.guest.wait_link(), "the cable does not come in"
        self.lease = self.guest.dhcp() if dhcp else None
        assert self.lease or not dhcp, "no address by DHCP"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        code = self.process.close()
        assert error[0] or code == 0, f"terrarium-net ended with {code}"


class Server(threading.Thread):
    """A TCP server of the host: says what it got, turned round, at the end."""

    def __init__(self, family=socket.AF_INET, host="127.0.0.1"):
        super().__init__(daemon=True)
        self.socket = socket.socket(family)
        self.socket.bind((host, 0))
        self.socket.listen()
        self.port, self.got = self.socket.getsockname()[1], b""
        self.start()

    def run(self):
        c = self.socket.accept()[0]
        while data := c.recv(65536):
            self.got += data
            if self.got.endswith(b"\n"):
                c.sendall(hashlib.sha256(self.got).hexdigest().encode())
        c.close()


def dhcp():
    with Rig() as r:
        o = r.lease
        assert (text4(r.guest.ip), text4(r.guest.router), text4(r.guest.dns)) == ("10.0.2.15", "10.0.2.2", "10.0.2.3")
        assert o[1] == b"\xff\xff\xff\0" and o[53] == b"\5", o
    with Rig(net="192.168.77.64/26") as r:
        assert (text4(r.guest.ip), text4(r.guest.router)) == ("192.168.77.79", "192.168.77.66")
        assert r.lease[1] == b"\xff\xff\xff\xc0"


def tcp_out():
    with Rig() as r:
        s = Server()
        t = Tcp(r.guest, r.guest.router, s.port)
        assert t.open
        data = random.Random(1).randbytes(1000) + b"\n"
        assert t.send(data)
        assert t.read(64) == hashlib.sha256(data).hexdigest().encode()


def tcp_segments_to_cut():
    """A card with segmentation offload: up to 64 KiB in one frame, lengths and sums not filled in."""
    with Rig() as r:
        assert r.guest.end_can == CHECKSUM | TSO4 | TSO6
        s = Server()
        t = Tcp(r.guest, r.guest.router, s.port)
        data = random.Random(2).randbytes(60000) + b"\n"
        assert t.send(data, tso=1460)
        assert t.read(64) == hashlib.sha256(data).hexdigest().encode()
        assert s.got == data


def many_bytes_in():
    """From the host to the guest, in order and whole."""
    with Rig() as r:
        data = random.Random(3).randbytes(1 << 20)
        s = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=lambda: s.accept()[0].sendall(data), daemon=True).start()
        t = Tcp(r.guest, r.guest.router, s.getsockname()[1])
        got = b""
        while len(got) < len(data) and (some := t.read(1)):
            got += some + t.data
            t.data = b""
        assert got == data, len(got)


def udp_out():
    with Rig() as r, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        s.settimeout(5)
        r.guest.udp(r.guest.router, s.getsockname()[1], b"question")
        data, peer = s.recvfrom(100)
        assert data == b"question"
        s.sendto(b"answer", peer)
        assert r.guest.wait_udp() == (r.guest.router, s.getsockname()[1], b"answer")


def ping():
    with Rig() as r:
        assert r.guest.ping(r.guest.router)


def v6():
    with Rig() as r:
        o = r.guest.accept_ra()
        assert o and o[3][16:24] == ip6("fd00::")[:8], "no prefix"
        assert o[25][8:24] == ip6("fd00::3"), "no name server in the router's advertisement"
        assert r.guest.ping(ip6("fd00::2"))
        s = Server(socket.AF_INET6, "::1")
        t = Tcp(r.guest, ip6("fd00::2"), s.port)
        assert t.open and t.send(b"six\n") and t.read(64) == hashlib.sha256(b"six\n").hexdigest().encode()
    with Rig(ipv6="off") as r:
        assert r.guest.accept_ra(seconds=1) is None


def host_not_reachable():
    with Rig(host_reachable="off") as r:
        s = Server()
        assert not Tcp(r.guest, r.guest.router, s.port, patience=1).open
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        own.connect(("192.0.2.1", 9))
        address = own.getsockname()[0]
    except OSError:
        address = None  # no route: this host has no other address
    for reachable in ("on", "off") if address else ():
        with Rig(host_reachable=reachable) as r:
            s = Server(host=address)
            assert Tcp(r.guest, ip4(address), s.port, patience=1).open == (reachable == "on"), reachable


def loopback_is_not_for_guests():
    with Rig() as r:
        s = Server()
        assert not Tcp(r.guest, ip4("127.0.0.1"), s.port, patience=1).open


def forward():
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    with Rig(forward=f"tcp 127.0.0.1:{port} 22; udp {port} 53") as r:
        c = socket.create_connection(("127.0.0.1", port))
        syn = r.guest.wait_frame(lambda f: f[12:14] == b"\x08\0" and f[23] == 6 and f[36:38] == b"\0\x16" and f[47] == 2 and f)
        assert syn and syn[30:34] == r.guest.ip and syn[26:30] == r.guest.router
        c.close()
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        u.sendto(b"hello", ("127.0.0.1", port))
        got = r.guest.wait_udp(53)
        assert got and got[2] == b"hello", got


def tftp():
    with tempfile.TemporaryDirectory() as folder:
        data = random.Random(4).randbytes(3000)
        for name, content in (("boot.img", data), ("../hidden", b"no")):
            with open(os.path.join(folder, os.path.basename(name)), "wb") as f:
                f.write(content)
        os.symlink("/etc/passwd", folder + "/link")
        fd = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        with Rig(fds={"nic1.tftp": fd}, bootfile="boot.img") as r:
            assert r.guest.bootp[108:116] == b"boot.img"
            assert r.guest.bootp[20:24] == r.guest.router
            r.guest.udp(r.guest.router, 69, b"\0\1/boot.img\0octet\0", sport=5000)
            got = b""
            for block in range(1, 7):
                _, sport, d = r.guest.wait_udp(5000)
                assert d[:4] == struct.pack(">HH", 3, block), d[:40]
                got += d[4:]
                r.guest.udp(r.guest.router, sport, struct.pack(">HH", 4, block), sport=5000)
            assert got == data
            r.guest.udp(r.guest.router, 69, b"\0\1/link\0octet\0", sport=5001)
            assert r.guest.wait_udp(5001)[2][:2] == b"\0\5", "a link leads out of the folder"
        os.close(fd)


TESTS = [dhcp, tcp_out, tcp_segments_to_cut, many_bytes_in, udp_out, ping, v6, host_not_reachable,
         loopback_is_not_for_guests, forward, tftp]
print(f"1..{len(TESTS)}")
for n, test in enumerate(TESTS, 1):
    name = test.__name__.replace("_", " ")
    try:
        test()
        print(f"ok {n} {name}", flush=True)
    except Exception:
        print(f"not ok {n} {name}")
        print("# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
