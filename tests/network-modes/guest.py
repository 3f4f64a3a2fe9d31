# SPDX-License-Identifier: GPL-2.0-or-later
"""The VM process' end of net_wire.h with the smallest guest there is behind it: enough of ARP, NDP, DHCP, UDP, ICMP and TCP
to be a client of terrarium-net.  One card each."""
import array
import json
import os
import random
import resource
import select
import socket
import struct
import subprocess
import tempfile
import time

FRAME, LINK, CAN = 1, 2, 3
CHECKSUM, TSO4, TSO6 = 1, 2, 4
HEAD = struct.Struct("=BBBBBBHHHH")
BROADCAST = b"\xff" * 6


def checksum(data):
    if len(data) & 1:
        data += b"\0"
    words = array.array("H", data)
    s = sum(words)
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


def ip4(a):
    return socket.inet_pton(socket.AF_INET, a)


def ip6(a):
    return socket.inet_pton(socket.AF_INET6, a)


def text4(b):
    return socket.inet_ntop(socket.AF_INET, b)


class Gone(Exception):
    pass


class Process:
    """terrarium-net, started as the keeper starts it; fds: {"nic1.tftp": descriptor}."""

    def __init__(self, program, cards, machine="m", fds=None, env=None, settings=None, control=None, limit=None):
        self.ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.settings = os.memfd_create("settings") if settings is None else settings
        self.control = control or self.listen()
        order = [theirs.fileno(), self.settings, self.control.fileno()]
        text = f"[network]\nmachine={machine}\n[descriptors]\n"
        for name, fd in (fds or {}).items():
            text += f"{name}={3 + len(order)}\n"
            order.append(fd)
        for name, keys in cards.items():
            text += f"[{name}]\n" + "".join(f"{k}={v}\n" for k, v in keys.items())
        if settings is None:
            os.write(self.settings, text.encode())

        def arrange():
            high = [os.dup2(fd, 100 + i) for i, fd in enumerate(order)]
            for i, fd in enumerate(high):
                os.dup2(fd, 3 + i)
            os.closerange(100, 100 + len(order))
            if limit:
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

        self.process = subprocess.Popen([program], preexec_fn=arrange, close_fds=False, env=env)
        theirs.close()
        self.left = {}  # card -> packets not yet asked for

    def listen(self):
        self.folder = tempfile.TemporaryDirectory()
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.bind(self.folder.name + "/network")
        s.listen()
        s.setblocking(False)
        return s

    def ask(self, command, fd=None, **args):
        """On its control socket: the result, or the error's message.  fd: goes along."""
        c = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        c.settimeout(10)
        c.connect(self.control.getsockname())
        message = {"id": 1, "cmd": command, "args": args, **({"fds": 1} if fd is not None else {})}
        socket.send_fds(c, [json.dumps(message).encode() + b"\n"], [] if fd is None else [fd])
        answer = json.loads(c.makefile().readline())
        c.close()
        return answer["result"] if answer["ok"] else answer["error"]["message"]

    def close(self):
        self.ours.close()
        try:
            return self.process.wait(10)
        finally:
            self.process.kill()

    def send(self, kind, card=1, frame=b"", up=0, can=0, checksum=None, tso=None):
        """checksum: (start, offset); tso: (kind, segment bytes, header bytes)"""
        c, t = checksum or (0, 0), tso or (0, 0, 0)
        self.ours.send(HEAD.pack(kind, card, up, can, checksum is not None, t[0], c[0], c[1], t[1], t[2]) + frame)

    def take(self, card, seconds):
        """The next packet of a card: its header's fields, frame; None: none came."""
        end = time.monotonic() + seconds
        while not self.left.get(card):
            ready = select.select([self.ours], [], [], max(0, end - time.monotonic()))[0]
            if not ready:
                return None
            data = self.ours.recv(70000)
            if not data:
                raise Gone
            head = HEAD.unpack(data[:HEAD.size])
            self.left.setdefault(head[1], []).append((head, data[HEAD.size:]))
        return self.left[card].pop(0)


class Guest:
    """A machine on one card."""

    def __init__(self, process, card=1, can=0, mac=None):
        self.p, self.card, self.can = process, card, can
        self.mac = mac or bytes([0x52, 0x54, 0, 1, 2, card])
        self.ip = self.router = self.dns = None
        self.ip6 = b"\xfe\x80" + bytes(6) + b"\x52\x54\0\xff\xfe\x01\x02" + bytes([card])
        self.peers = {}
        self.link, self.end_can = False, 0
        self.frames = []  # received, not of interest yet
        process.send(CAN, card, can=can)

    def wait_link(self, up=True, seconds=10):
        end = time.monotonic() + seconds
        while self.link != up and time.monotonic() < end:
            self.look(0.05)
        return self.link == up

    def look(self, seconds):
        """Takes what comes for a moment; answers ARP and neighbour solicitations."""
        got = self.p.take(self.card, seconds)
        if got is None:
            return None
        head, frame = got
        if head[0] == LINK:
            self.link, self.end_can = bool(head[2]), head[3]
            return self.look(0)
        self.answer_arp(frame)
        self.frames.append((head, frame))
        return head, frame

    def wait_frame(self, match, seconds=5):
        """The first frame for which match(frame) is true: its result."""
        end = time.monotonic() + seconds
        while True:
            for i, (head, frame) in enumerate(self.frames):
                found = match(frame)
                if found:
                    del self.frames[i]
                    self.last = head
                    return found
            self.frames.clear()
            left = end - time.monotonic()
            if left < 0:
                return None
            self.look(left)

    def send(self, dst, kind, payload, **how):
        self.p.send(FRAME, self.card, dst + self.mac + struct.pack(">H", kind) + payload, **how)

    # ---- ARP, NDP ----

    def answer_arp(self, frame):
        if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\1" and self.ip and frame[38:42] == self.ip:
            self.send(frame[6:12], 0x806, b"\0\1\x08\0\6\4\0\2" + self.mac + self.ip + frame[22:32])
        if frame[12:14] == b"\x86\xdd" and frame[20] == 58 and frame[54] == 135 and frame[62:78] == self.ip6:
            body = b"\x88\0\0\0\x60\0\0\0" + self.ip6 + b"\x02\x01" + self.mac
            self.send(frame[6:12], 0x86dd, self.v6(frame[22:38], 58, body, hops=255))

    def who_has(self, ip, seconds=5):
        if ip not in self.peers:
            self.send(BROADCAST, 0x806, b"\0\1\x08\0\6\4\0\1" + self.mac + (self.ip or bytes(4)) + bytes(6) + ip)
            mac = self.wait_frame(lambda f: f[12:14] == b"\x08\x06" and f[20:22] == b"\0\2" and f[28:32] == ip and f[22:28],
                                  seconds)
            if not mac:
                return None
            self.peers[ip] = mac
        return self.peers[ip]

    def neighbour(self, ip, seconds=5):
        if ip not in self.peers:
            body = b"\x87\0\0\0\0\0\0\0" + ip + b"\x01\x01" + self.mac
            to = b"\xff\x02" + bytes(9) + b"\x01\xff" + ip[13:]
            self.send(b"\x33\x33" + to[12:], 0x86dd, self.v6(to, 58, body, hops=255))
            mac = self.wait_frame(lambda f: f[12:14] == b"\x86\xdd" and f[20] == 58 and f[54] == 136 and f[62:78] == ip
                                  and f[6:12], seconds)
            if not mac:
                return None
            self.peers[ip] = mac
        return self.peers[ip]

    # ---- IP ----

    def v4(self, dst, proto, body, src=None):
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), random.randrange(65536), 0, 64, proto, 0)
        head += (src or self.ip) + dst
        return head[:10] + struct.pack("=H", checksum(head)) + head[12:] + body

    def v6(self, dst, proto, body, hops=64, src=None):
        src = src or self.ip6
        at = {58: 2, 17: 6, 6: 16}[proto]
        body = body[:at] + b"\0\0" + body[at + 2:]
        s = checksum(src + dst + struct.pack(">IxxxB", len(body), proto) + body)
        body = body[:at] + struct.pack("=H", s) + body[at + 2:]
        return struct.pack(">IHBB", 0x60000000, len(body), proto, hops) + src + dst + body

    def route(self, dst):
        if len(dst) == 16:
            return self.neighbour(dst if dst[:8] == self.ip6[:8] or dst[0] == 0xfd else self.router6)
        return self.who_has(dst if dst[:3] == self.ip[:3] else self.router)

    def send_ip(self, dst, proto, body, **how):
        mac = self.route(dst)
        assert mac, f"nobody has the address {dst.hex()}"
        if len(dst) == 16:
            self.send(mac, 0x86dd, self.v6(dst, proto, body), **how)
        else:
            self.send(mac, 0x800, self.v4(dst, proto, body), **how)

    # ---- UDP, ICMP ----

    def udp(self, dst, port, data, sport=4000):
        body = struct.pack(">HHHH", sport, port, 8 + len(data), 0) + data
        if len(dst) == 4:
            pseudo = self.ip + dst + struct.pack(">BBH", 0, 17, len(body))
            body = body[:6] + struct.pack("=H", checksum(pseudo + body) or 0xffff) + body[8:]
        self.send_ip(dst, 17, body)

    def wait_udp(self, sport=4000, seconds=5, v6=False):
        """-> source address, source port, data"""
        def match(f):
            at = 54 if v6 else 34
            if f[12:14] != (b"\x86\xdd" if v6 else b"\x08\0") or f[20 if v6 else 23] != 17:
                return None
            src, dst, length = struct.unpack(">HHH", f[at:at + 6])
            return (f[22:38] if v6 else f[26:30], src, f[at + 8:at + length]) if dst == sport else None
        return self.wait_frame(match, seconds)

    def ping(self, dst, data=b"terrarium", seconds=3, ident=7):
        v6 = len(dst) == 16
        body = bytes([128 if v6 else 8]) + b"\0\0\0" + struct.pack(">HH", ident, 1) + data
        if not v6:
            body = body[:2] + struct.pack("=H", checksum(body)) + body[4:]
        self.send_ip(dst, 58 if v6 else 1, body)
        at, proto, reply = (54, 58, 129) if v6 else (34, 1, 0)
        return self.wait_frame(lambda f: f[12:14] == (b"\x86\xdd" if v6 else b"\x08\0") and f[at - 34 if v6 else 23] == proto
                               and f[at] == reply and f[at + 8:at + 8 + len(data)] == data, seconds) is not None

    # ---- DHCP ----

    def dhcp(self, seconds=5, options=b""):
        xid = random.randbytes(4)

        def message(kind, more):
            bootp = b"\1\1\6\0" + xid + b"\0\0\0\0" + bytes(16) + self.mac + bytes(10 + 64 + 128)
            body = bootp + b"\x63\x82\x53\x63\x35\1" + bytes([kind]) + more + options + b"\xff"
            u = struct.pack(">HHHH", 68, 67, 8 + len(body), 0) + body
            self.send(BROADCAST, 0x800, self.v4(b"\xff" * 4, 17, u, src=bytes(4)))

        def reply(f):
            return f[23:24] == b"\x11" and f[34:38] == b"\0\x43\0\x44" and f[46:50] == xid and f[42:]

        message(1, b"")
        offer = self.wait_frame(reply, seconds)
        if not offer:
            return None
        message(3, b"\x32\4" + offer[16:20] + b"\x36\4" + self.parse_options(offer)[54])
        ack = self.wait_frame(reply, seconds)
        if not ack:
            return None
        o = self.parse_options(ack)
        self.ip, self.router, self.dns = ack[16:20], o.get(3), o.get(6, b"")[:4]
        self.bootp = ack
        return o

    @staticmethod
    def parse_options(bootp):
        o, at = {}, 240
        while at < len(bootp) and bootp[at] != 255:
            if bootp[at]:
                o[bootp[at]] = bootp[at + 2:at + 2 + bootp[at + 1]]
                at += 1 + bootp[at + 1]
            at += 1
        return o

    def accept_ra(self, seconds=5):
        """Asks for a router; takes an address of its prefix."""
        all_routers = b"\xff\x02" + bytes(13) + b"\2"
        self.send(b"\x33\x33\0\0\0\2", 0x86dd, self.v6(all_routers, 58, b"\x85" + bytes(7) + b"\1\1" + self.mac, hops=255))
        ra = self.wait_frame(lambda f: f[12:14] == b"\x86\xdd" and f[20] == 58 and f[54] == 134 and f, seconds)
        if not ra:
            return None
        at, options = 70, {}
        while at + 2 <= len(ra) and ra[at + 1]:
            options[ra[at]] = ra[at:at + 8 * ra[at + 1]]
            at += 8 * ra[at + 1]
        self.router6 = ra[22:38]
        self.peers[self.router6] = ra[6:12]
        if 3 in options:
            self.link_local, self.ip6 = self.ip6, options[3][16:24] + self.ip6[8:]
        return options


class Tcp:
    """A client's or server's connection; one thing at a time."""

    def __init__(self, guest, dst, dport, sport=None, mss=1460, patience=5):
        self.g, self.dst, self.dport = guest, dst, dport
        self.sport = sport or random.randrange(20000, 60000)
        self.seq, self.ack, self.mss = random.randrange(1 << 32), 0, mss
        self.data, self.fin, self.reset = b"", False, False
        self.window = 65535
        self.segment(2, options=b"\2\4" + struct.pack(">H", mss))
        self.seq += 1
        got = self.receive(patience)
        self.open = got is not None and not self.reset
        if self.open:
            self.segment(16)

    def segment(self, flags, data=b"", options=b"", tso=None):
        g = self.g
        body = struct.pack(">HHIIBBHHH", self.sport, self.dport, self.seq & 0xffffffff, self.ack & 0xffffffff,
                           (20 + len(options)) << 2, flags, 65535, 0, 0) + options + data
        if len(self.dst) == 4:
            pseudo = g.ip + self.dst + struct.pack(">BBH", 0, 6, len(body))
            if not tso:
                body = body[:16] + struct.pack("=H", checksum(pseudo + body)) + body[18:]
        elif tso:
            raise NotImplementedError
        g.send_ip(self.dst, 6, body, **({"tso": (TSO4, tso, 54)} if tso else {}))

    def match(self, f):
        v6 = len(self.dst) == 16
        at = 54 if v6 else 34
        return (len(f) > at + 19 and f[12:14] == (b"\x86\xdd" if v6 else b"\x08\0") and f[20 if v6 else 23] == 6
                and f[at:at + 4] == struct.pack(">HH", self.dport, self.sport) and f)

    def receive(self, seconds):
        """The next segment, its data taken if it is the next of the stream; None: nothing came."""
        f = self.g.wait_frame(self.match, seconds)
        if not f:
            return None
        at = 54 if len(self.dst) == 16 else 34
        seq, ack = struct.unpack(">II", f[at + 4:at + 12])
        flags = f[at + 13]
        end = 54 + struct.unpack(">H", f[18:20])[0] if at == 54 else 14 + struct.unpack(">H", f[16:18])[0]
        data = f[at + (f[at + 12] >> 4) * 4:end]
        if flags & 4:
            self.reset = True
        if flags & 2:
            self.ack = seq + 1
        elif (data or flags & 1) and seq == self.ack & 0xffffffff:
            self.data += data
            self.ack += len(data) + (flags & 1)
            self.fin |= bool(flags & 1)
            self.segment(16)
        self.acked = ack
        return f

    def send(self, data, tso=None, seconds=5):
        """Waits until it is acknowledged; False: it was not."""
        self.segment(24, data, tso=tso)
        self.seq += len(data)
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.reset:
            self.receive(end - time.monotonic())
            if self.acked == self.seq & 0xffffffff:
                return True
        return False

    def read(self, n, seconds=5):
        end = time.monotonic() + seconds
        while len(self.data) < n and not self.fin and not self.reset and time.monotonic() < end:
            self.receive(end - time.monotonic())
        out, self.data = self.data[:n], self.data[n:]
        return out
