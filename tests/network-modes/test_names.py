#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Names through terrarium-net's mode nat while the host's name servers change: in a network of its own and with an
/etc/resolv.conf of its own (namespaces; skipped where a user may not have them).  Prints TAP.
Usage: test_names.py TERRARIUM-NET"""
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
NET = os.path.abspath(sys.argv[1])
INSIDE = "TERRARIUM_TEST_INSIDE"


def go_inside():
    if not shutil.which("ip"):
        print("1..0 # SKIP ip (iproute2) is not installed")
        sys.exit(0)
    own = ["unshare", "--net", "--mount"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
    if subprocess.run(own + ["true"], stderr=subprocess.DEVNULL, check=False).returncode or not os.path.exists("/etc/resolv.conf"):
        print("1..0 # SKIP no namespaces for this user (unshare --net --mount), or no /etc/resolv.conf")
        sys.exit(0)
    os.execvpe(own[0], own + [sys.executable, *sys.argv], dict(os.environ, **{INSIDE: "1"}))


if INSIDE not in os.environ:
    go_inside()
from guest import Guest, Process, Tcp, ip4, ip6

subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
FOLDER = tempfile.mkdtemp()
RESOLV = FOLDER + "/resolv.conf"


def servers(*names):
    with open(RESOLV, "w", encoding="ascii") as f:
        f.write("# a comment\nsearch example.org\n" + "".join(f"nameserver {n}\n" for n in names))


servers("127.0.0.53")
subprocess.run(["mount", "--bind", RESOLV, "/etc/resolv.conf"], check=True)


class NameServer:
    """Answers every question with one address; by UDP with an answer that is too long if the name begins with l."""

    def __init__(self, host, address):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.address, self.asked = ip4(address), 0
        self.udp = socket.socket(family, socket.SOCK_DGRAM)
        self.udp.bind((host, 53))
        self.tcp = socket.create_server((host, 53), family=family)
        threading.Thread(target=self.serve_udp, daemon=True).start()
        threading.Thread(target=self.serve_tcp, daemon=True).start()

    def answer(self, q):
        self.asked += 1
        return q[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + q[12:] + b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + self.address

    def serve_udp(self):
        while True:
            try:
                q, peer = self.udp.recvfrom(2000)
            except OSError:
                return
            if not peer:
                return
            self.udp.sendto(self.answer(q) + (bytes(3000) if q[13:14] == b"l" else b""), peer)

    def serve_tcp(self):
        while True:
            try:
                c = self.tcp.accept()[0]
            except OSError:
                return
            a = self.answer(c.recv(2000)[2:])
            c.sendall(struct.pack(">H", len(a)) + a)
            c.close()

    def close(self):
        for s in (self.udp, self.tcp):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()


def question(name, ident=b"\x12\x34"):
    return ident + b"\1\0\0\1\0\0\0\0\0\0" + bytes([len(name)]) + name + b"\0\0\1\0\1"


PROCESS = Process(NET, {"nic1": {"mode": "nat", "mac": "52:54:00:01:02:01"}})
GUEST = Guest(PROCESS)
assert GUEST.wait_link() and GUEST.dhcp()
PORTS = iter(range(4100, 5000))


def ask(name=b"short", to=None, seconds=5):
    """The address that is answered, or the whole answer if it has none; None: nothing came."""
    port = next(PORTS)
    GUEST.udp(to or GUEST.dns, 53, question(name), sport=port)
    got = GUEST.wait_udp(port, seconds, v6=bool(to))
    if not got:
        return None
    assert got[:2] == (to or GUEST.dns, 53) and got[2][:2] == b"\x12\x34", got
    return socket.inet_ntoa(got[2][-4:]) if got[2][6:8] == b"\0\1" else got[2]


def by_udp():
    assert ask() == "192.0.2.1"


def too_long_is_asked_by_tcp():
    got = ask(b"long")
    assert len(got) == 12 and got[2] & 2, got
    t = Tcp(GUEST, GUEST.dns, 53)
    q = question(b"long")
    assert t.open and t.send(struct.pack(">H", len(q)) + q)
    got = t.read(2 + len(q) + 16)
    assert socket.inet_ntoa(got[-4:]) == "192.0.2.1", got


def by_ipv6():
    assert GUEST.accept_ra()
    assert ask(to=ip6("fd00::3")) == "192.0.2.1"


def another_server():
    """As when a laptop changes networks: the old one is gone."""
    global ONE, TWO
    TWO = NameServer("127.0.0.2", "192.0.2.2")
    ONE.close()
    servers("127.0.0.2")
    began = time.monotonic()
    assert ask() == "192.0.2.2"
    assert time.monotonic() - began < 5


def the_first_is_silent():
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.9", 53))
    servers("127.0.0.9", "127.0.0.2")
    time.sleep(1.2)
    assert ask() == "192.0.2.2"
    silent.close()


def of_ipv6():
    three = NameServer("::1", "192.0.2.3")
    servers("::1")
    time.sleep(1.2)
    assert ask() == "192.0.2.3"
    three.close()


def none_for_a_while():
    servers("127.0.0.77")
    time.sleep(1.2)
    assert ask(seconds=7) is None
    assert PROCESS.ask("list")["cards"][0]["dropped"]["no name server answers"] >= 1
    servers("127.0.0.2")
    time.sleep(1.2)
    ask(seconds=0.1)
    assert ask() == "192.0.2.2"


def many_at_once():
    ports = [next(PORTS) for _ in range(200)]
    for p in ports:
        GUEST.udp(GUEST.dns, 53, question(b"many"), sport=p)
    got = set()
    while len(got) < 200 and (g := GUEST.wait_frame(lambda f: f[23:24] == b"\x11" and f[34:36] == b"\0\x35" and f[36:38], 5)):
        got.add(g)
    assert len(got) == 200, len(got)


ONE = NameServer("127.0.0.53", "192.0.2.1")
TWO = None
TESTS = [by_udp, too_long_is_asked_by_tcp, by_ipv6, another_server, the_first_is_silent, of_ipv6, none_for_a_while,
         many_at_once]
print(f"1..{len(TESTS)}")
for n, test in enumerate(TESTS, 1):
    try:
        test()
        print(f"ok {n} {test.__name__.replace('_', ' ')}", flush=True)
    except Exception:
        print(f"not ok {n} {test.__name__.replace('_', ' ')}")
        print("# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
PROCESS.close()
