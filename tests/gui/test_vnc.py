#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The VNC server of a machine with a guest that obeys orders (tests/core-vmm/scripted_guest.c): keys that it gets appear on its
serial port as evdev codes, "+30 -30".  Clients are one of our own (rfb.py) and those of the distribution.  Prints TAP.
Usage: test_vnc.py VMCTL SCRIPTED_VM"""
import base64
import functools
import http.server
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from pictures import png_pixels, wait_for  # noqa: E402
from rfb import Closed, Rfb, des  # noqa: E402

VMCTL, SCRIPTED_VM = (os.path.abspath(a) for a in sys.argv[1:3])
SHIFT, ALTGR, CTRL = 0xffe1, 0xfe03, 0xffe3


class Machine:
    def __init__(self, *settings):
        self.home = tempfile.mkdtemp()
        os.mkdir(self.home + "/run", 0o700)
        self.env = dict(os.environ, HOME=self.home, XDG_RUNTIME_DIR=self.home + "/run", XDG_DATA_HOME=self.home + "/data",
                        TERRARIUM_VM=SCRIPTED_VM)
        self.serial = self.home + "/serial"
        self.folder = self.home + "/data/terrarium/machines/vm"
        self.vmctl("create", "vm", "--serial", self.serial, "--nic", "none", *(a for s in settings for a in ("--set", s)))
        self.vmctl("start", "vm", "--vnc", "auto")
        self.find()

    def run(self, *words, **more):
        return subprocess.run([VMCTL, *words], env=self.env, capture_output=True, text=True, timeout=30, **more)

    def vmctl(self, *words, **more):
        done = self.run(*words, **more)
        assert done.returncode == 0, f"vmctl {words}: {done.returncode}: {done.stderr}"
        return done.stdout

    def status(self):
        return json.loads(self.vmctl("vnc", "vm", "status", "-o", "json"))

    def find(self):
        where = wait_for("VNC server", lambda: self.status().get("now", {}).get("where"))
        self.port = int(where.split("port ")[1].rstrip(")"))

    def clients(self):
        return json.loads(self.vmctl("vnc", "vm", "clients", "-o", "json"))["clients"]

    def client(self, *args, **more):
        c = Rfb(self.port)
        assert c.begin(*args, **more)
        return c

    def order(self, text):
        self.vmctl("serial", "vm", "--send", text + "\\n")
        self.vmctl("wait", "vm", "--serial", text.split("\\n")[-1] + "\r\n", "--timeout", "10")

    def text(self):
        self.order("text\\ndone")

    def shot(self):
        self.vmctl("screen", "shot", "vm", self.home + "/shot.png")
        return png_pixels(self.home + "/shot.png")

    def heard(self):
        return open(self.serial, errors="replace").read().split("\n")[-1]

    def gets(self, codes):
        wait_for(f"keys {codes}", lambda: codes in self.heard())

    def process(self):
        """The VNC server's, by who holds its log."""
        log = os.path.realpath(self.folder + "/logs/vnc.log")
        for p in filter(str.isdigit, os.listdir("/proc")):
            try:
                if open(f"/proc/{p}/comm").read() == "terrarium-vnc\n" and any(
                        os.path.realpath(f"/proc/{p}/fd/{f}") == log for f in os.listdir(f"/proc/{p}/fd")):
                    return int(p)
            except OSError:
                continue
        return None

    def close(self):
        subprocess.run([VMCTL, "stop", "--force", "vm"], env=self.env, capture_output=True)
        wait_for("end of the VNC server", lambda: not self.process())
        shutil.rmtree(self.home)


class WebSocket:
    """As a socket, of what web_ask() gives."""

    def __init__(self, asked):
        self.s, answer = asked
        self.raw, self.data = answer.split(b"\r\n\r\n", 1)[1], b""

    def take(self):
        """A frame, if it is there; a server's are not masked."""
        if len(self.raw) < 2:
            return False
        extra = {126: 2, 127: 8}.get(self.raw[1], 0)
        n = int.from_bytes(self.raw[2:2 + extra], "big") if extra else self.raw[1]
        if len(self.raw) < 2 + extra + n or len(self.raw) < 2 + extra:
            return False
        self.data += self.raw[2 + extra:2 + extra + n]
        self.raw = self.raw[2 + extra + n:]
        return True

    def recv(self, n):
        while not self.data:
            if not self.take():
                self.raw += self.s.recv(1 << 16)
        out, self.data = self.data[:n], self.data[n:]
        return out

    def sendall(self, data):
        assert len(data) < 126
        mask = b"\x11\x22\x33\x44"
        self.s.sendall(bytes([0x82, 0x80 | len(data)]) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def close(self):
        self.s.close()


def closed(s):
    """It has ended by now."""
    s.setblocking(False)
    try:
        while s.recv(4096):
            pass
        return True
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


# ---- tests: each gets a machine ----

def picture(m):
    m.text()
    for version in (3, 7, 8):
        c = m.client(version=version)
        assert c.name == "vm" and c.picture() == m.shot(), f"RFB 3.{version} shows another picture"
        c.close()


def other_clients(m):
    """Those of the distribution, if they are there."""
    m.text()
    shot = m.shot()
    if shutil.which("gvnccapture"):
        place = f"127.0.0.1:{m.port - 5900}"
        subprocess.run(["xvfb-run", "-a", "gvnccapture", place, m.home + "/c.png"], check=True, timeout=60, capture_output=True)
        assert png_pixels(m.home + "/c.png") == shot, "gvnccapture shows another picture"
    if shutil.which("vncsnapshot"):
        subprocess.run(["vncsnapshot", "-quality", "100", f"127.0.0.1:{m.port - 5900}", m.home + "/c.jpg"], check=True, timeout=60,
                       capture_output=True)
        assert os.path.getsize(m.home + "/c.jpg") > 1000


def tigervnc(m):
    """A viewer with a window: keys by place, the pointer, its picture, and a new size."""
    missing = [p for p in ("Xvfb", "xdotool", "xtigervncviewer", "import") if not shutil.which(p)]
    if missing:
        return "not installed: " + " ".join(missing)
    m.order("mode 320")
    read, write = os.pipe()
    server = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", "1000x700x24", "-noreset"], pass_fds=[write],
                              stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as line:
        env = dict(m.env, DISPLAY=":" + line.readline().strip())
    viewer = subprocess.Popen(["xtigervncviewer", "-RemoteResize=0", f"127.0.0.1::{m.port}"], env=env, stderr=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL)
    def tool(*words):
        return subprocess.run(["xdotool", *words], env=env, capture_output=True, text=True, timeout=20).stdout
    try:
        window = wait_for("window", lambda: next((w for w in tool("search", "--name", "vm").split()), None))
        wait_for("client", lambda: m.clients())
        wait_for("size", lambda: "320x48" in tool("getwindowgeometry", window))
        tool("windowfocus", "--sync", window)
        tool("mousemove", "--window", window, "100", "20", "click", "1")
        tool("key", "a", "shift+b", "F5", "Home", "KP_Enter")
        for codes in ("+30 -30", "+42 +48 -42 -48", "+63 -63", "+102 -102", "+96 -96"):
            m.gets(codes)
        assert m.clients()[0]["extended-keys"]
        colour = subprocess.run(["import", "-window", window, "-crop", "1x1+50+30", "txt:-"], env=env, capture_output=True, text=True).stdout
        assert "(16,32,48)" in colour, colour
        m.order("mode 640")
        wait_for("new size", lambda: "640x48" in tool("getwindowgeometry", window))
    finally:
        viewer.kill()
        viewer.wait()
        server.terminate()
        server.wait()
    return None


def modes(m):
    m.order("mode 64")
    c = m.client()
    c.encodings(0, -223)
    assert (c.width, c.height) == (64, 48) and c.picture() == m.shot()
    c.request(True)
    m.order("mode 320")
    while c.width != 320:
        c.update()
    assert c.picture() == m.shot(), "another picture after a new mode"
    old = m.client()  # one that cannot follow gets what still fits, and stays
    m.order("mode 64")
    old.request(True)
    old.close()
    c.request(True)
    while c.width != 64:
        c.update()
    c.close()


def damage_only(m):
    m.text()
    c = m.client()
    c.picture()
    c.request(True)
    c.s.settimeout(0.5)
    try:  # a text cursor may blink
        c.update()
    except socket.timeout:
        pass
    sent = m.clients()[0]["sent-bytes"]
    time.sleep(1)
    assert m.clients()[0]["sent-bytes"] - sent < 20000, "pixels that did not change were sent"
    c.close()


def keys_by_name(m):
    c = m.client()
    c.tap(ord("a"))
    m.gets("+30 -30")
    c.tap(SHIFT, ord("A"))
    m.gets("+42 +30 -30 -42")
    c.tap(ord("A"))  # without Shift: it is pressed for it
    m.gets("-42 +42 +30 -42 -30")
    c.tap(CTRL, 0xffe9, 0xffff)
    m.gets("+29 +56 +111 -111 -56 -29")
    c.key(SHIFT, True)  # let go of first: the key comes up by another name
    c.key(ord("B"), True)
    c.key(SHIFT, False)
    c.key(ord("b"), False)
    m.gets("+42 +48 -42 -48")
    c.key(ord("x"), True)
    m.gets("+45")
    c.close()  # what it held comes up
    m.gets("+45 -45")


def layout(m, wanted):
    c = m.client()
    for syms, codes in wanted:
        c.tap(*syms)
        m.gets(codes)
        m.order("next")
    c.close()


def keys_german(m):
    layout(m, [([ord("z")], "+21 -21"), ([ord("y")], "+44 -44"), ([0xe4], "+40 -40"), ([0xdf], "+12 -12"),
               ([ALTGR, ord("@")], "+100 +16 -16 -100"), ([ord("@")], "+100 +16 -100 -16"), ([ord("<")], "+86 -86")])


def keys_french(m):
    layout(m, [([ord("a")], "+16 -16"), ([ord("q")], "+30 -30"), ([SHIFT, ord("1")], "+42 +2 -2 -42"), ([ord("&")], "+2 -2"),
               ([0xe9], "+3 -3"), ([ord("1")], "+42 +2 -42 -2")])


def keys_by_place(m):
    c = m.client()
    c.encodings(0, -258)
    while not c.keys_known:
        c.update()
    for place, code in ((0x1e, 30), (0x56, 86), (0x9d, 97), (0xb8, 100), (0xc8, 103), (0xdb, 125), (0xb7, 99), (0xc6, 119), (0x45, 69)):
        c.place(place, 1, ord("q"))
        c.place(place, 0, ord("q"))
        m.gets(f"+{code} -{code}")
    c.close()


def every_key(m):
    """All 105 of a keyboard, by place."""
    plain = [p for p in range(1, 0x54) if p not in (0x37,)] + [0x37, 0x56, 0x57, 0x58]
    prefixed = [0x1c, 0x1d, 0x35, 0x37, 0x38, 0x47, 0x48, 0x49, 0x4b, 0x4d, 0x4f, 0x50, 0x51, 0x52, 0x53, 0x5b, 0x5c, 0x5d, 0x46]
    evdev = {0x1c: 96, 0x1d: 97, 0x35: 98, 0x37: 99, 0x38: 100, 0x47: 102, 0x48: 103, 0x49: 104, 0x4b: 105, 0x4d: 106, 0x4f: 107,
             0x50: 108, 0x51: 109, 0x52: 110, 0x53: 111, 0x5b: 125, 0x5c: 126, 0x5d: 127, 0x46: 119}
    c = m.client()
    c.encodings(0, -258)
    for place, code in [(p, p) for p in plain] + [(p | 0x80, evdev[p]) for p in prefixed]:
        c.place(place, 1)
        c.place(place, 0)
        m.gets(f"+{code} -{code}")
    c.close()


def leds(m):
    c = m.client()
    c.encodings(0, -261)
    while c.led is None:
        c.update()
    before = c.led
    c.tap(0xffe5)
    while c.led == before:
        c.update()
    assert c.led == before ^ 4
    c.close()


def cursor(m):
    c = m.client()
    c.encodings(0, -239)
    c.picture()
    assert c.cursor == (5, 5)
    c.close()


def pointer(m):
    m.order("mouse\\ndone")
    c = m.client()
    c.pointer(100, 100)
    c.pointer(110, 95)
    m.gets("m 0,10,5,0")  # a mouse counts upwards
    c.pointer(110, 95, 1)
    m.gets("m 1,0,0,0")
    c.pointer(120, 95, 1)
    m.gets("m 1,10,0,0")
    c.pointer(120, 95, 0)
    c.pointer(120, 95, 4)
    m.gets("m 2,0,0,0")
    c.pointer(120, 95, 0)
    c.pointer(120, 95, 8)
    c.pointer(120, 95, 0)
    m.gets("m 0,0,0,-1")  # away from the user
    c.pointer(120, 95, 16)
    c.pointer(120, 95, 0)
    m.gets("m 0,0,0,1")
    c.pointer(120, 95, 2)
    m.gets("m 4,0,0,0")
    before = m.heard().count("m 0,0,0,0")
    c.close()  # with a button down
    wait_for("release", lambda: m.heard().count("m 0,0,0,0") > before)


def crowd_of_slow_ones(m):
    """Who asks for much and reads nothing holds up nobody."""
    m.order("mode 1024")
    slow = [m.client() for _ in range(4)]
    for c in slow:
        for _ in range(100):
            c.request()
    c = m.client()
    begin = time.monotonic()
    assert c.picture() == m.shot()
    assert time.monotonic() - begin < 5
    c.tap(ord("a"))
    m.gets("+30 -30")
    for other in slow:
        other.close()
    c.close()


def deaf(m):
    """Who asks and does not read for 15 s is sent away, and the log says why."""
    m.order("mode 1024")
    c = m.client()
    for _ in range(400):
        c.request()
    begin = time.monotonic()
    while m.clients() and time.monotonic() - begin < 60:
        time.sleep(0.5)
    took = time.monotonic() - begin
    assert 10 < took < 60, f"it was sent away after {took:.0f} s"
    assert "did not read for long" in open(m.folder + "/logs/vnc.log").read()
    c.close()


def passwords(m):
    bad = m.run("vnc", "vm", "password", input="far too long for VNC\n")
    assert bad.returncode == 2 or bad.returncode == 1 and "8 characters" in bad.stderr, bad
    first = m.client()
    m.vmctl("vnc", "vm", "password", input="secret\n")
    assert first.is_closed(), "a client that came without a password stays"
    assert os.stat(m.folder + "/vnc.password").st_mode & 0o777 == 0o600
    for version in (3, 7, 8):
        m.client("secret", version=version).close()
    took = []
    for _ in range(3):
        begin = time.monotonic()
        assert not Rfb(m.port, 30).begin("wrong")
        took.append(time.monotonic() - begin)
    assert took[0] < 1 and took[1] > 0.8 and took[2] > 1.8, f"wrong passwords took {took}"
    begin = time.monotonic()
    m.client("secret").close()
    assert time.monotonic() - begin > 2, "the right one did not wait for its turn"
    c = Rfb(m.port)
    c.greet()
    c.put("B", 1)  # none, which was not offered
    assert c.is_closed()
    m.vmctl("vnc", "vm", "password", "--remove")
    m.client().close()
    m.vmctl("vnc", "vm", "off")
    for wrong in ("far too long for VNC", ""):  # what is there, but is none, does not mean that none is wanted
        with open(m.folder + "/vnc.password", "w") as f:
            f.write(wrong)
        refused = m.run("vnc", "vm", "on")
        assert refused.returncode and "no password of VNC" in refused.stderr and not m.process(), refused


def late_choice(m):
    """A client that has shown its password, but is not in yet, is let in by what holds then."""
    m.vmctl("vnc", "vm", "password", input="secret\n")
    c = Rfb(m.port)
    c.greet()
    c.put("B", 2)
    assert c.prove("secret") == 0
    m.vmctl("vnc", "vm", "on", "--view-only")
    c.put("B", 1)
    c.get(24 + 2)
    c.tap(ord("a"))
    wait_for("client", lambda: m.clients())
    assert m.clients()[0]["view-only"] and "+30" not in m.heard()
    c.close()


def strangers(m):
    """Garbage, half handshakes, 200 connections: a client that means it still gets in."""
    rng = random.Random(1)
    waiting = [socket.create_connection(("127.0.0.1", m.port), 10) for _ in range(200)]
    for s in waiting[::3]:
        s.sendall(b"RFB 003.0")
    m.client().close()
    held = len(os.listdir(f"/proc/{m.process()}/fd"))
    assert held < 50, f"200 connections that say nothing hold {held} descriptors"
    for s in waiting:
        s.close()
    for _ in range(100):
        s = socket.create_connection(("127.0.0.1", m.port), 10)
        s.sendall(rng.randbytes(rng.randrange(1, 200)))
        s.close()
    for _ in range(30):
        c = m.client()
        try:
            c.s.sendall(rng.randbytes(rng.randrange(1, 3000)))
        except OSError:
            pass
        c.close()
    c = m.client()
    m.text()
    assert c.picture() == m.shot()
    c.close()


def bad_messages(m):
    screen = struct.pack(">IHHHHI", 1, 0, 0, 0, 0, 0)
    closing = {"text of 2 GiB": struct.pack(">BxxxI", 6, 1 << 31), "text of 2 MiB": struct.pack(">BxxxI", 6, 2 << 20),
               "no such message": b"\x77", "a scale of 0": b"\x08\0\0\0", "a file": b"\x07" + bytes(12), "no screens":
               struct.pack(">BxHHBx", 251, 640, 480, 0), "pixels of 24 bits": struct.pack(">BxxxBBBBHHHBBBxxx", 0, 24, 24, 0, 1, 255, 255,
                                                                                         255, 16, 8, 0),
               "shifts beyond": struct.pack(">BxxxBBBBHHHBBBxxx", 0, 16, 16, 0, 1, 255, 255, 255, 77, 8, 0)}
    for what, message in closing.items():
        c = m.client()
        c.s.settimeout(3)
        c.s.sendall(message)
        assert c.is_closed(), f"{what} did not end the connection"
        c.close()
    c = m.client()
    m.text()
    c.s.sendall(struct.pack(">BxxxI", 6, 1 << 20) + bytes(1 << 20))  # as much text as may be: of no use, but no harm
    c.put("BBHHHH", 3, 0, 0, 0, 0, 0)
    c.s.sendall(struct.pack(">BxHHBx", 251, 0, 0, 1) + screen)
    assert c.picture() == m.shot()
    c.close()


def killed(m):
    m.text()
    c = m.client()
    os.kill(m.process(), signal.SIGKILL)
    assert c.is_closed()
    m.find()
    c = m.client()
    assert c.picture() == m.shot()
    c.close()
    assert "running" in m.vmctl("info", "vm")


def look_on(m):
    m.vmctl("vnc", "vm", "on", "--view-only")
    c = m.client()
    c.tap(ord("a"))
    c.pointer(3, 3, 1)
    c.picture()
    assert "+30" not in m.heard() and m.clients()[0]["view-only"]
    m.vmctl("vnc", "vm", "on", "--control")
    c.tap(ord("s"))
    m.gets("+31 -31")
    assert "+30" not in m.heard()
    c.close()


def several(m):
    m.text()
    both = [m.client(), m.client()]
    assert both[0].picture() == both[1].picture() == m.shot()
    m.vmctl("vnc", "vm", "on", "--exclusive")
    third = m.client()
    assert both[0].is_closed() and both[1].is_closed()
    assert len(m.clients()) == 1
    m.vmctl("vnc", "vm", "disconnect", str(m.clients()[0]["id"]))
    assert third.is_closed()
    m.vmctl("vnc", "vm", "on", "--shared")
    all_of_them = [m.client() for _ in range(8)]
    ninth = Rfb(m.port)
    try:
        ninth.begin()
        raise AssertionError("a ninth client got in")
    except (Closed, ConnectionError):
        pass
    for c in all_of_them:
        c.close()
    wait_for("room", lambda: not m.clients())
    m.client().close()


def at_once(m):
    """Clients that come while there is no picture yet are counted too."""
    vm = json.loads(m.vmctl("info", "vm", "-o", "json"))["running"]["pid"]
    os.kill(vm, signal.SIGSTOP)  # it does not say what its picture is
    both = [Rfb(m.port), Rfb(m.port)]
    try:
        for c in both:
            assert c.greet() == [1]
            c.put("B", 1)
            assert c.result() == 0
            c.put("B", 1)
        assert both[1].is_closed(), "two are let in where one may be"
    finally:
        os.kill(vm, signal.SIGCONT)
    both[0].get(24 + 2)
    wait_for("client", lambda: len(m.clients()) == 1)


def turn_is_kept(m):
    """Who has answered and waits for its turn is not sent away for connections that say nothing."""
    m.vmctl("vnc", "vm", "password", input="secret\n")
    for _ in range(3):
        assert not Rfb(m.port, 30).begin("wrong")  # so that the next one has to wait for seconds
    c = Rfb(m.port, 30)
    c.greet()
    c.put("B", 2)
    c.s.sendall(des(b"secret", c.get(16)))
    silent = [socket.create_connection(("127.0.0.1", m.port), 10) for _ in range(100)]
    assert c.result() == 0, "the right password was not enough"
    assert sum(not closed(s) for s in silent) <= 16, "more than 16 wait to be let in"
    c.close()
    for s in silent:
        s.close()


def one_place(m):
    """Each takes over from the one before."""
    before = None
    for _ in range(5):
        c = m.client()
        c.request()
        c.update()
        assert before is None or before.is_closed()
        before = c
    assert len(m.clients()) == 1
    before.key(ord("a"), True)
    m.gets("+30")
    m.vmctl("stop", "--force", "vm")  # with a key down
    assert before.is_closed()
    wait_for("end in good order", lambda: "VNC ends" in open(m.folder + "/logs/vnc.log").read())


def web_ask(m, *headers):
    """A web socket, and what was answered."""
    s = socket.create_connection(("127.0.0.1", m.port), 10)
    key = base64.b64encode(bytes(16)).decode()
    lines = ["GET /websockify HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade",
             f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: binary", *headers]
    s.sendall("\r\n".join(lines + ["", ""]).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += s.recv(4096)
    return s, answer


def web(m):
    ask = functools.partial(web_ask, m)
    s, answer = ask("Origin: http://evil.example")
    assert b" 403 " in answer
    s.close()
    s, answer = ask()  # only pings, and nothing is read
    s.settimeout(0.5)
    sent, ping = 0, (b"\x89\xfd" + bytes(4 + 125)) * 100
    try:
        while sent < 64 << 20:
            sent += s.send(ping)
    except OSError:
        pass
    memory = int(open(f"/proc/{m.process()}/statm").read().split()[1]) * 4096
    assert memory < 100 << 20, f"{sent} bytes of pings hold {memory} bytes"
    s.close()
    s, answer = ask("Origin: http://localhost:6080")
    assert b" 101 " in answer and b"Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=" in answer, answer
    rest = answer.split(b"\r\n\r\n", 1)[1]
    while len(rest) < 14:
        rest += s.recv(100)
    assert rest == b"\x82\x0cRFB 003.008\n", rest
    mask = b"\1\2\3\4"
    text = b"RFB 003.008\n"
    s.sendall(b"\x82\x8c" + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(text)))
    assert s.recv(100) == b"\x82\2\1\1"
    s.close()
    m.text()
    c = Rfb(m.port, opened=WebSocket(ask("Origin: http://127.0.0.1:6080")))
    assert c.begin() and c.picture() == m.shot() and m.clients()[0]["web"]
    c.tap(ord("a"))
    m.gets("+30 -30")
    c.close()


def web_frames(m):
    """Of at most 1 MiB: one of just that is taken, a longer one ends the connection at once."""
    c = Rfb(m.port, opened=WebSocket(web_ask(m)))
    assert c.begin()
    text = struct.pack(">BxxxI", 6, (1 << 20) - 8) + bytes((1 << 20) - 8)
    c.s.s.sendall(b"\x82\xff" + struct.pack(">Q", len(text)) + bytes(4) + text)
    c.tap(ord("a"))
    m.gets("+30 -30")
    c.s.s.sendall(b"\x82\xff" + struct.pack(">Q", (1 << 20) + 1) + bytes(4))
    c.s.s.settimeout(3)
    assert Rfb(None, opened=c.s.s).is_closed(), "a frame of more than 1 MiB is waited for"
    assert "web socket" in open(m.folder + "/logs/vnc.log").read()
    for wrong in (b"\x82\x01a", b"\xc2\x81\0\0\0\0a", b"\x89\xfe\0\x7e" + bytes(130), b"\x81\x81\0\0\0\0a"):  # bare, reserved, long ping, text
        s = web_ask(m)[0]
        s.sendall(wrong)
        s.settimeout(3)
        assert Rfb(None, opened=s).is_closed(), f"a frame {wrong[:4]} did not end the connection"


def novnc(m):
    """The distribution's noVNC in a browser engine, from a web server of this host."""
    page = os.path.join(os.path.dirname(os.path.abspath(__file__)), "web_page.py")
    has = "import gi; gi.require_version('WebKit2', '4.1'); gi.require_version('Gtk', '3.0')"
    if not os.path.exists("/usr/share/novnc/vnc_lite.html") or not shutil.which("dbus-run-session") or subprocess.run(
            ["/usr/bin/python3", "-c", has], capture_output=True).returncode:
        return "not installed: novnc, dbus, or gir1.2-webkit2-4.1"
    m.order("mode 320")
    serve = functools.partial(http.server.SimpleHTTPRequestHandler, directory="/usr/share/novnc")
    serve.func.log_message = lambda *a: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    env = dict(m.env, WEBKIT_DISABLE_COMPOSITING_MODE="1", WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS="1")
    url = f"http://localhost:{server.server_port}/vnc_lite.html?host=localhost&port={m.port}&path="
    seen = subprocess.run(["xvfb-run", "-a", "dbus-run-session", "/usr/bin/python3", page, url, "40"], env=env, capture_output=True, text=True,
                          timeout=90).stdout
    server.shutdown()
    assert "320x48 16,32,48" in seen, seen
    return None


def ports(m):
    taken = socket.create_server(("127.0.0.1", 0))
    busy = m.run("vnc", "vm", "on", "--listen", f"127.0.0.1::{taken.getsockname()[1]}")
    assert busy.returncode and "in use" in busy.stderr, busy
    for far in ("0.0.0.0:1", "192.168.1.1:1", "[::]:1"):
        refused = m.run("vnc", "vm", "on", "--listen", far)
        assert refused.returncode and "ssh -L 5901:localhost:5901" in refused.stderr, refused
    m.vmctl("vnc", "vm", "on", "--listen", "unix")
    s = socket.socket(socket.AF_UNIX)
    s.connect(m.home + "/run/terrarium/vm/vnc-screen")
    assert s.recv(12) == b"RFB 003.008\n"
    s.close()
    m.vmctl("vnc", "vm", "off")
    assert "now" not in m.status() and not m.process()
    m.vmctl("vnc", "vm", "on", "--listen", "auto")
    m.find()
    m.client().close()


def ends_with_machine(m):
    c = m.client()
    m.vmctl("stop", "--force", "vm")
    assert c.is_closed()
    wait_for("end of the VNC server", lambda: not m.process())
    m.vmctl("vnc", "vm", "on", "--listen", "auto")  # from now on with every start
    m.vmctl("start", "vm")
    m.find()
    m.client().close()


def next_process(m):
    """A machine that is saved and started again at once has its server at the same place."""
    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    m.vmctl("vnc", "vm", "on", "--listen", f"127.0.0.1::{port}")
    m.find()
    assert m.port == port
    before = m.process()
    for _ in range(3):
        m.vmctl("save", "vm")
        m.vmctl("start", "vm")
        m.find()
        assert m.port == port
    assert m.process() != before
    m.client().close()


TESTS = [(picture, []), (other_clients, []), (tigervnc, []), (modes, []), (damage_only, []), (keys_by_name, []), (keys_german, ["vnc.keyboard=de"]),
         (keys_french, ["vnc.keyboard=fr"]), (keys_by_place, []), (every_key, []), (leds, []), (cursor, []), (pointer, []), (crowd_of_slow_ones, []), (deaf, []), (passwords, []), (late_choice, []), (strangers, []),
         (bad_messages, []), (killed, []), (look_on, []), (several, []), (at_once, ["vnc.clients=1"]), (turn_is_kept, []), (one_place, ["vnc.clients=1", "vnc.sharing=exclusive"]), (web, []), (web_frames, []), (novnc, []), (ports, []), (ends_with_machine, []), (next_process, [])]


def main():
    chosen = [t for t in TESTS if not sys.argv[3:] or t[0].__name__ in sys.argv[3:]]
    failed = 0
    print(f"1..{len(chosen)}", flush=True)
    for n, (test, settings) in enumerate(chosen, 1):
        m = Machine(*settings)
        try:
            skip = test(m)
            print(f"ok {n} - {test.__name__}" + (f" # SKIP {skip}" if skip else ""), flush=True)
        except Exception as e:  # noqa: BLE001
            failed += 1
            log = open(m.folder + "/logs/vnc.log").read() if os.path.exists(m.folder + "/logs/vnc.log") else ""
            print(f"not ok {n} - {test.__name__}\n# {type(e).__name__}: {e}\n# heard: {m.heard() if os.path.exists(m.serial) else ''}")
            print("\n".join("# " + line for line in log.split("\n")[-12:]), flush=True)
            if os.environ.get("TRACE"):
                import traceback
                traceback.print_exc()
        finally:
            m.close()
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
