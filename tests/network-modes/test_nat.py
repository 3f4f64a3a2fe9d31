#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""terrarium-net with a card in mode nat, and a guest of this test's own at the other end of the wire.  Everything is on the
loopback interface.  Prints TAP.  Usage: test_nat.py TERRARIUM-NET [passt [TEST...]]"""
import hashlib
import os
import random
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
from guest import CHECKSUM, TSO4, TSO6, Guest, Process, Tcp, checksum, ip4, ip6, text4

NET = os.path.abspath(sys.argv[1])
MAC = "52:54:00:01:02:01"
BACKEND = sys.argv[2] if len(sys.argv) > 2 else "libslirp"


class Rig:
    """One machine with one card that is up, and has its address unless told otherwise."""

    def __init__(self, dhcp=True, fds=None, can=0, **keys):
        self.process = Process(NET, {"nic1": {"mode": "nat", "mac": MAC, "nat-backend": BACKEND, **{k.replace("_", "-"): v for k, v in keys.items()}}},
                               fds=fds)
        self.guest = Guest(self.process, can=can)
        assert self.guest.wait_link(), "the cable does not come in"
        self.lease = self.guest.dhcp() if dhcp else None
        assert self.lease or not dhcp, ("no address by DHCP", self.process.ask("list"))

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


def quiet():
    """With nothing to do it does nothing."""
    with Rig() as r:
        r.guest.accept_ra()
        time.sleep(0.5)
        r.guest.frames.clear()
        while r.guest.look(0):
            pass
        with open(f"/proc/{r.process.process.pid}/stat", encoding="ascii") as f:
            before = [int(n) for n in f.read().split()[13:15]]
        assert r.guest.look(1.5) is None, "frames that nobody asked for"
        with open(f"/proc/{r.process.process.pid}/stat", encoding="ascii") as f:
            after = [int(n) for n in f.read().split()[13:15]]
        assert sum(after) - sum(before) <= 5, (before, after)


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


def cut_up(guest, packet, size):
    """An IPv4 packet as fragments with that much payload each."""
    head, body = bytearray(packet[:20]), packet[20:]
    pieces = []
    for at in range(0, len(body), size):
        piece = body[at:at + size]
        struct.pack_into(">H", head, 2, 20 + len(piece))
        struct.pack_into(">H", head, 6, at // 8 | (0x2000 if at + size < len(body) else 0))
        head[10:12] = b"\0\0"
        head[10:12] = struct.pack("=H", checksum(bytes(head)))
        pieces.append(bytes(head) + piece)
    return pieces


def fragments():
    """Whole again in whatever order they come; the last one alone, twice the same, and overlaps harm nobody."""
    with Rig() as r, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        s.settimeout(5)
        g, port = r.guest, s.getsockname()[1]
        mac = g.who_has(g.router)

        def send(data, order):
            body = struct.pack(">HHHH", 4000, port, 8 + len(data), 0) + data  # no sum: UDP over IPv4 may
            pieces = cut_up(g, g.v4(g.router, 17, body), 1480)
            for n in order(list(range(len(pieces)))):
                g.send(mac, 0x800, pieces[n])

        for size in (1473, 5000, 60000):
            for order in (lambda l: l, lambda l: l[::-1], lambda l: l[1::2] + l[::2]):
                data = os.urandom(size)
                send(data, order)
                assert s.recvfrom(65536)[0] == data, (size, "is another")
        for order in (lambda l: l[-1:], lambda l: l[1:], lambda l: l[:1], lambda l: [l[0], l[0], *l[1:]]):
            send(os.urandom(5000), order)
        # What lies behind the end does not pay for a hole, which would show what the process' memory held before.
        for _ in range(4):
            head = bytearray(g.v4(g.router, 17, struct.pack(">HHHH", 4000, port, 1016, 0) + bytes(1000))[:20])
            for at, bytes_, more in ((0, 8, 1), (20000, 1000, 1), (1008, 8, 0)):
                body = struct.pack(">HHHH", 4000, port, 1016, 0) if not at else bytes(bytes_)
                struct.pack_into(">HHH", head, 2, 20 + bytes_, struct.unpack_from(">H", head, 4)[0], at // 8 | more << 13)
                head[10:12] = b"\0\0"
                head[10:12] = struct.pack("=H", checksum(bytes(head)))
                g.send(mac, 0x800, bytes(head) + body)
        send(b"after them" * 200, lambda l: l)
        assert s.recvfrom(65536)[0] == b"after them" * 200
        assert r.process.ask("list")["cards"][0]["dropped"]["no frame"] >= 1


def ping():
    with Rig() as r:
        assert r.guest.ping(r.guest.router)


def v6():
    with Rig() as r:
        o = r.guest.accept_ra()
        assert o and o[3][16:24] == ip6("fd00::")[:8], "no prefix"
        assert o[25][8:24] == ip6("fd00::3"), "no name server in the router's advertisement"
        assert BACKEND == "passt" or r.guest.ping(ip6("fd00::2"))
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


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def takes(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    except ConnectionRefusedError:
        return False


def forwards_change_live():
    """A connection outlives its forward; what has not changed is left alone; a port in use is said, and the rest counts."""
    a, b = free_port(), free_port()
    with Rig(forward=f"tcp {a} 22") as r, socket.create_server(("127.0.0.1", 0)) as taken:
        c = socket.create_connection(("127.0.0.1", a))
        syn = r.guest.wait_frame(lambda f: f[23:24] == b"\6" and f[36:38] == b"\0\x16" and f[47] == 2 and f)
        assert syn
        card = r.process.ask("set", card="nic1", settings=f"forward=tcp {b} 80; tcp {taken.getsockname()[1]} 81")
        assert [f["stands"] for f in card["forwards"]] == [True, False], card
        assert "is taken" in card["forwards"][1]["failure"]
        assert takes(b) and not takes(a)
        # the guest takes the old connection now, and says something
        port = syn[34:36]
        seq = struct.unpack(">I", syn[38:42])[0]
        head = lambda flags, data, s: struct.pack(">HHIIBBHHH", 22, int.from_bytes(port, "big"), s, seq + 1, 0x50, flags,
                                                  65535, 0, 0) + data
        for flags, data, s in ((0x12, b"", 100), (0x18, b"late", 101)):
            body = head(flags, data, s)
            pseudo = r.guest.ip + r.guest.router + struct.pack(">BBH", 0, 6, len(body))
            body = body[:16] + struct.pack("=H", checksum(pseudo + body)) + body[18:]
            r.guest.send_ip(r.guest.router, 6, body)
        c.settimeout(5)
        assert c.recv(10) == b"late"
        assert r.process.ask("answered", card="nic1", port=22)["ms"] >= 0
        assert r.process.ask("answered", card="nic1", port=23)["ms"] == -1


def cards_change_live():
    with Rig() as r:
        card = r.process.ask("list")["cards"][0]
        assert card["addresses"] == ["10.0.2.15"] and card["link"] and card["mode"] == "nat", card
        assert not r.process.ask("set", card="nic1", settings="connected=off")["link"]
        assert r.guest.wait_link(False)
        r.process.ask("set", card="nic1", settings="connected=on")
        assert r.guest.wait_link(True)
        r.process.ask("set", card="nic1", settings="net=10.9.8.0/24")  # the guest sees a cable pulled, and asks again
        assert r.guest.wait_link(False) and r.guest.wait_link(True)
        assert r.guest.dhcp() and text4(r.guest.ip) == "10.9.8.15", (text4(r.guest.ip), r.process.ask("list"))
        for settings, what in (("net=10.9.8.1/24", "IPv4 network"), ("netz=1", "did you mean net"), ("mode=moon", "one of")):
            said = r.process.ask("set", card="nic1", settings=settings)
            assert what in said, said
        assert "no card nic7" in r.process.ask("set", card="nic7", settings="")
        # what was changed counts after a restart, with the descriptors that the first one had
        process, r.process = r.process, None
        again = Process(NET, {}, settings=process.settings, control=process.control)
        process.close()
        r.process, guest = again, Guest(again)
        assert guest.wait_link() and guest.dhcp() and text4(guest.ip) == "10.9.8.15"


def names():
    """The host's name server, whichever it has; an answer comes back to the guest, whatever it says."""
    with Rig() as r:
        query = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\x09localhost\0\0\1\0\1"
        r.guest.udp(r.guest.dns, 53, query)
        got = r.guest.wait_udp(seconds=7)
        if got:
            assert got[0] == r.guest.dns and got[1] == 53 and got[2][:2] == b"\x12\x34" and got[2][2] & 0x80, got
        else:  # no server of this host answers: the process has said so
            assert r.process.ask("list")["cards"][0]["dropped"].get("no name server answers"), "the question is lost"


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


# ---- passt only ----

def passt_pids(r):
    """The process that starts it, and it."""
    def children(pid):
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            return [int(n) for n in f.read().split()]
    for pid in children(r.process.process.pid):
        with open(f"/proc/{pid}/comm", encoding="ascii") as f:
            if f.read() == "net-passt\n":
                return pid, children(pid)
    raise AssertionError("no net-passt")


def passt_is_it():
    with Rig() as r:
        card = r.process.ask("list")["cards"][0]
        assert card["nat-backend"] == "passt" and card["router"] == "10.0.2.2", card
        keeper, pids = passt_pids(r)
        assert len(pids) == 1
        with open(f"/proc/{pids[0]}/status", encoding="ascii") as f:
            assert "Seccomp:\t2" in f.read(), "passt has not fenced itself in"
    for pid in [keeper, *pids]:
        end = time.monotonic() + 5
        while os.path.exists(f"/proc/{pid}") and time.monotonic() < end:
            time.sleep(0.02)
        assert not os.path.exists(f"/proc/{pid}"), "something is left"


def passt_forwards_change():
    """It is started anew for that, and stands when the change is answered."""
    a, b = free_port(), free_port()
    with Rig(forward=f"tcp {a} 22") as r, socket.create_server(("127.0.0.1", 0)) as taken:
        assert takes(a)
        card = r.process.ask("set", card="nic1", settings=f"forward=tcp {b} 80; tcp {taken.getsockname()[1]} 81; tcp {a} 10.0.2.15:22")
        assert [f["stands"] for f in card["forwards"]] == [True, False, False], card
        assert "is taken" in card["forwards"][1]["failure"] and "itself only" in card["forwards"][2]["failure"], card
        assert takes(b) and not takes(a)
        assert r.guest.dhcp()
        r.process.ask("set", card="nic1", settings=f"forward=tcp {a} 22")
        assert takes(a) and not takes(b)


def passt_dies():
    with Rig() as r:
        os.kill(passt_pids(r)[1][0], 9)
        assert r.guest.wait_link(False) and r.guest.wait_link()
        r.guest.peers.clear()
        assert r.guest.dhcp()
        t = Tcp(r.guest, r.guest.router, Server().port)
        assert t.open
        keeper, pids = passt_pids(r)
        os.kill(keeper, 9)
        os.kill(pids[0], 9)  # nobody can start it any more; the process goes on
        assert r.guest.wait_link(False) and not r.guest.wait_link(seconds=3)
        assert r.process.ask("list")["cards"][0]["mode"] == "nat"


def passt_is_not_to_be_had():
    for keys, env, why in (({"bootfile": "x"}, None, "passt has no TFTP server"), ({}, dict(os.environ, PATH="/nowhere"), "needs the program passt")):
        p = Process(NET, {"nic1": {"mode": "nat", "mac": MAC, "nat-backend": "passt", **keys}}, env=env)
        g = Guest(p)
        assert not g.wait_link(seconds=0.5)
        assert why in p.ask("list")["cards"][0]["failure"], p.ask("list")
        p.ask("set", card="nic1", settings="nat-backend=libslirp\nbootfile")
        assert g.wait_link() and g.dhcp()
        assert p.close() == 0


def passt_fences_itself():
    """It becomes another user, to whom /tmp may be closed, and wants namespaces, which it does not get in a chroot."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        p = subprocess.Popen(["passt", "-f", "-q", "-s", folder + "/socket"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            end, fenced = time.monotonic() + 5, False
            while not fenced and p.poll() is None and time.monotonic() < end:
                with open(f"/proc/{p.pid}/status", encoding="ascii") as f:
                    fenced = "Seccomp:\t2" in f.read()
                time.sleep(0.01)
            return fenced
        finally:
            p.kill()
            p.wait()


def why_not_passt():
    if not shutil.which("passt"):
        return "passt is not installed"
    with open("/proc/net/route", encoding="ascii") as f:
        if not any(line.split()[1] == "00000000" for line in f):
            return "passt wants a default route, which this host has not"
    return None if passt_fences_itself() else "passt does not come up here: it cannot fence itself in"


TESTS = [dhcp, quiet, tcp_out, tcp_segments_to_cut, many_bytes_in, udp_out, fragments, ping, v6, host_not_reachable,
         loopback_is_not_for_guests, forward, forwards_change_live, cards_change_live, names, tftp]
if BACKEND == "passt":
    if why := why_not_passt():
        print(f"1..0 # SKIP {why}")
        sys.exit(0)
    TESTS = [passt_is_it, dhcp, quiet, tcp_out, tcp_segments_to_cut, many_bytes_in, udp_out, fragments, v6, host_not_reachable,
             loopback_is_not_for_guests, forward, passt_forwards_change, passt_dies, cards_change_live, names, passt_is_not_to_be_had]
TESTS = [t for t in TESTS if not sys.argv[3:] or t.__name__ in sys.argv[3:]]
print(f"1..{len(TESTS)}")
for n, test in enumerate(TESTS, 1):
    name = test.__name__.replace("_", " ")
    try:
        test()
        print(f"ok {n} {name}", flush=True)
    except Exception:
        print(f"not ok {n} {name}")
        print("# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
