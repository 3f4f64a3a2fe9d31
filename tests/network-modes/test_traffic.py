#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes over a card: captures, limits that change, and the network process' log; of terrarium-net alone with a guest of this
test's own, and as vmctl has them.  Prints TAP.  Usage: test_traffic.py TERRARIUM-NET VMCTL TERRARIUM-VM [TEST...]"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from guest import CHECKSUM, TSO4, Guest, Process, Tcp

NET, VMCTL, VM = (os.path.abspath(a) for a in sys.argv[1:4])
MAC = "52:54:00:01:02:0"
PATIENCE = float(os.environ.get("PATIENCE", "1"))


class Rig:
    """A machine with cards behind NAT that are up and have their addresses; its log."""

    def __init__(self, cards=1, log=b"", can=0, **keys):
        self.folder = tempfile.mkdtemp(prefix="traffic-")
        self.log = os.open(self.folder + "/network.log", os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.write(self.log, log)
        sections = {f"nic{n}": {"mode": "nat", "mac": MAC + str(n), **{k.replace("_", "-"): v for k, v in keys.items()}}
                    for n in range(1, cards + 1)}
        self.process = Process(NET, sections, fds={"log": self.log})
        self.guests = [Guest(self.process, card=n, can=can) for n in range(1, cards + 1)]
        assert all(g.wait_link() and g.dhcp() for g in self.guests)
        self.guest = self.guests[0]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        code = self.process.close()
        os.close(self.log)
        shutil.rmtree(self.folder)
        assert error[0] or code == 0, f"terrarium-net ended with {code}"

    def set(self, settings, card="nic1"):
        answer = self.process.ask("set", card=card, settings=settings)
        assert isinstance(answer, dict), answer
        return answer

    def capture(self, name="a.pcapng"):
        path = f"{self.folder}/{name}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        answer = self.process.ask("capture.start", fd=fd, card="nic1", file=path)
        os.close(fd)
        return path, answer

    def said(self):
        with open(self.folder + "/network.log", encoding="utf-8") as f:
            return f.read()


def serve(data):
    s = socket.create_server(("127.0.0.1", 0))

    def run():
        while True:
            c = s.accept()[0]
            c.sendall(data)
            c.close()
    threading.Thread(target=run, daemon=True).start()
    return s.getsockname()[1]


def tshark(path, what):
    r = subprocess.run(["tshark", "-n", "-r", path, "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o",
                        "udp.check_checksum:TRUE", "-Y", what, "-T", "fields", "-e", "frame.number"], capture_output=True, text=True,
                       check=False)
    assert r.returncode == 0 and "cut short" not in r.stderr, r.stderr
    return len(r.stdout.split())


BAD = "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0"


def check_file(path, frames):
    if not shutil.which("tshark"):
        return "tshark is not installed"
    assert tshark(path, "frame") == frames, (tshark(path, "frame"), frames)
    assert tshark(path, BAD) == 0
    return None


def captured():
    """Both ways, whole, with right sums, whatever card and mode leave to each other."""
    data = os.urandom(300000)
    with Rig(can=CHECKSUM | TSO4) as r:
        path, answer = r.capture()
        assert answer == {"file": path, "frames": 0, "missed": 0}, answer
        assert "already" in r.capture("b.pcapng")[1]
        t = Tcp(r.guest, r.guest.router, serve(data))
        assert t.open and t.read(len(data)) == data
        assert r.guest.ping(r.guest.router)
        assert r.process.ask("list")["cards"][0]["capture"]["frames"] > 10
        end = r.process.ask("capture.stop", card="nic1")
        assert end["file"] == path and end["missed"] == 0 and end["frames"] > 10, end
        assert r.guest.ping(r.guest.router)  # is not in it any more
        assert "not being captured" in r.process.ask("capture.stop", card="nic1")
        assert "capture" not in r.process.ask("list")["cards"][0]
        assert "no card" in r.process.ask("capture.stop", card="nic5")
        why = check_file(path, end["frames"])
        if not why:
            assert tshark(path, "icmp.type == 0") == tshark(path, "icmp.type == 8") == 1
            assert tshark(path, "frame.packet_flags_direction == 1") > 5 < tshark(path, "frame.packet_flags_direction == 2")
        return why


def outlives_cable_and_mode():
    with Rig() as r:
        path, _ = r.capture()
        assert r.guest.ping(r.guest.router)
        r.set("connected=off")
        assert r.guest.wait_link(False)
        r.set("connected=on")
        r.set("net=10.9.8.0/24")
        assert r.guest.wait_link(False) and r.guest.wait_link()
        r.guest.peers.clear()
        assert r.guest.dhcp() and r.guest.ping(r.guest.router)
        end = r.process.ask("capture.stop", card="nic1")
        why = check_file(path, end["frames"])
        assert why or tshark(path, "icmp.type == 0") == 2
        return why


def killed():
    """What was written until then is whole; the next process knows nothing of it."""
    with Rig() as r:
        path, _ = r.capture()
        assert r.guest.ping(r.guest.router)
        frames = r.process.ask("list")["cards"][0]["capture"]["frames"]
        old = r.process
        old.process.kill()
        old.process.wait()
        r.process = Process(NET, {}, settings=old.settings, control=old.control, fds={"log": r.log})
        old.ours.close()
        guest = Guest(r.process)
        assert guest.wait_link()
        assert "not being captured" in r.process.ask("capture.stop", card="nic1")
        return check_file(path, frames)


def into_a_pipe():
    with Rig() as r:
        reader, writer = os.pipe()
        r.process.ask("capture.start", fd=writer, card="nic1", file="pipe")
        os.close(writer)
        assert r.guest.ping(r.guest.router)
        assert os.read(reader, 4) == b"\n\r\r\n"
        os.close(reader)
        assert r.guest.ping(r.guest.router)  # nobody reads it: that is no reason to stop
        assert r.process.ask("capture.stop", card="nic1")["missed"] > 0


def rate(guest, port, bytes_):
    """kbit/s of a connection's second half: a limit lets a burst through."""
    t = Tcp(guest, guest.router, port)
    assert t.open
    t.read(bytes_ // 2, 20)
    began = time.monotonic()
    got = len(t.read(bytes_ - bytes_ // 2, 20))
    took = time.monotonic() - began
    t.segment(20)  # what the server has left is not to be in the way of the next
    time.sleep(0.5)
    guest.frames.clear()
    return got * 8 / 1000 / took


def limits_change():
    port = serve(bytes(1 << 20))
    with Rig() as r:
        r.set("limit=2000")
        slow = rate(r.guest, port, 300000)
        assert 100 < slow < 2500, slow
        r.set("limit=8000")
        faster = rate(r.guest, port, 1 << 20)
        assert 2600 < faster < 10000, faster
        r.set("limit")
        fast = rate(r.guest, port, 1 << 20)
        assert fast > 10000, fast
        r.set("delay=100")
        began = time.monotonic()
        assert r.guest.ping(r.guest.router) and time.monotonic() - began >= 0.2
        r.set("delay\nloss=1000")
        assert not r.guest.ping(r.guest.router, seconds=0.3)
        assert r.process.ask("list")["cards"][0]["dropped"]["lost, as was asked for"] >= 1
        r.set("loss")
        assert r.guest.ping(r.guest.router)


def groups_change():
    """One card says what the group has; another that says nothing does not take it away, and one that leaves is free."""
    port = serve(bytes(1 << 20))
    with Rig(cards=2) as r:
        r.set("group=slow\ngroup-limit=2000", "nic1")
        r.set("group=slow", "nic2")
        limited = rate(r.guests[1], port, 300000)
        assert 100 < limited < 2500, limited
        r.set("group", "nic2")
        assert rate(r.guests[1], port, 1 << 20) > 5000
        r.set("group-limit=4000\ngroup=slow", "nic2")
        least = rate(r.guests[1], port, 300000)
        assert 100 < least < 2500, least
        r.set("group", "nic1")
        own = rate(r.guests[1], port, 600000)
        assert 2600 < own < 5000, own


def log():
    with Rig(spoof="off") as r:
        r.set("connected=off")
        r.guest.send(b"\xff" * 6, 0x88b5, bytes(50))
        r.guest.send(b"\xff" * 6, 0x88b5, bytes(50))
        r.set("connected=on")
        time.sleep(1)  # so many lines a second
        with socket.create_server(("127.0.0.1", 0)) as taken:
            r.set(f"forward=tcp {taken.getsockname()[1]} 22")
        text = r.said()
        for what in ("the network process of m begins, number ", "nic1: mode nat", "nic1: the cable is in", "nic1: the cable is out",
                     "nic1: dropped 1 frames: the cable is out", "is taken"):
            assert what in text, (what, text)
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} info    ", text), text
        assert text.count("dropped") == 1, text


def told_to_a_slow_guest():
    """Of a cable that is pulled a VM process hears that had no room for it at that moment."""
    with Rig() as r:
        question = b"\0\1\x08\0\6\4\0\1" + r.guest.mac + r.guest.ip + bytes(6) + r.guest.router
        for _ in range(4000):  # whose answers are not read
            r.guest.send(b"\xff" * 6, 0x806, question)
        time.sleep(.2)
        assert r.process.ask("list")["cards"][0]["dropped"]["the guest is slow"] > 0
        r.set("connected=off")
        assert r.guest.wait_link(False)


def log_is_bounded():
    line = b"2026-01-01 00:00:00.000 info    " + b"x" * 67 + b"\n"
    full = line * ((1 << 20) // len(line))
    with Rig(log=full) as r:
        text = r.said()
        assert 1 << 18 < len(text) < 1 << 20, len(text)
        assert "begins" in text and all(len(one) < 150 and one.startswith("20") for one in text.splitlines())
        for _ in range(40):  # each writes two lines
            r.set("connected=off")
            r.set("connected=on")
        lines = r.said().count("the cable is")
        assert lines < 40, lines
        time.sleep(1)
        r.set("connected=off")
        assert re.search(r"\.\.\. \d+ lines were left out\n", r.said()) and r.said().rstrip().endswith("the cable is out")


# ---- by vmctl ----

class Host:
    def __enter__(self):
        self.base = tempfile.mkdtemp(prefix="traffic-")
        os.mkdir(self.base + "/run", 0o700)
        self.env = dict(os.environ, XDG_DATA_HOME=self.base + "/data", XDG_RUNTIME_DIR=self.base + "/run", LC_ALL="C.UTF-8",
                        TERRARIUM_VM=VM, TERRARIUM_NET=NET)
        self.vmctl("create", "m", "--memory", "16M", "--engine", "interp", "--nic", "e1000", "--set", "nic2.model=e1000")
        return self

    def __exit__(self, *error):
        subprocess.run([VMCTL, "stop", "--force", "m"], env=self.env, capture_output=True, check=False)
        shutil.rmtree(self.base)

    def vmctl(self, *args, code=0, say=""):
        r = subprocess.run([VMCTL, *args], env=self.env, capture_output=True, text=True, timeout=60 * PATIENCE, check=False)
        assert r.returncode == code and say in r.stderr, (args, r)
        return r.stdout

    def json(self, *args):
        return json.loads(self.vmctl(*args, "-o", "json"))


def vmctl_captures():
    with Host() as h:
        path = h.base + "/m.pcapng"
        h.vmctl("nic", "capture", "start", "m", path, code=4, say="not run")
        assert not os.path.exists(path)
        h.vmctl("start", "m")
        h.vmctl("nic", "capture", "start", "m", path, "--card", "nic5", code=3, say="no card nic5")
        assert not os.path.exists(path), "the file of a capture that did not begin"
        h.vmctl("nic", "capture", "start", "m", path)
        assert os.stat(path).st_mode & 0o777 == 0o600
        h.vmctl("nic", "capture", "start", "m", path, "--card", "nic2", code=7, say="is there already")
        h.vmctl("nic", "capture", "start", "m", h.base + "/n", code=9, say="stop that capture first")
        assert not os.path.exists(h.base + "/n")
        h.vmctl("nic", "capture", "start", "m", h.base + "/no/m.pcapng", "--card", "nic2", code=3, say="No such file")
        os.mkfifo(h.base + "/pipe")
        h.vmctl("nic", "capture", "start", "m", h.base + "/pipe", "--card", "nic2", code=1, say="nobody reads")
        reader = os.open(h.base + "/pipe", os.O_RDONLY | os.O_NONBLOCK)
        assert h.json("nic", "capture", "start", "m", h.base + "/pipe", "--card", "nic2")["frames"] == 0
        assert h.json("nic", "capture", "list", "m")["captures"] == [
            {"card": c, "file": f, "frames": 0, "missed": 0} for c, f in (("nic1", path), ("nic2", h.base + "/pipe"))]
        assert h.vmctl("nic", "capture", "list", "m") == f"nic1  {path}: 0 frames, 0 missed\nnic2  {h.base}/pipe: 0 frames, 0 missed\n"
        assert h.vmctl("nic", "capture", "stop", "m") == f"{path}: 0 frames, 0 missed\n"
        h.vmctl("nic", "capture", "stop", "m", code=4, say="not being captured")
        assert h.json("nic", "capture", "stop", "m", "--card", "nic2")["missed"] == 0
        os.close(reader)
        h.vmctl("nic", "capture", "stat", "m", code=2, say="did you mean capture start")
        h.vmctl("nic", "capture", "start", "m", code=2, say="FILE")
        return check_file(path, 0)


def vmctl_limits():
    with Host() as h:
        def limits(card=0):
            return {k: v for k, v in h.json("nic", "limit", "m")["cards"][card].items() if k != "card"}
        for running in (False, True):
            if running:
                h.vmctl("start", "m")
            h.vmctl("nic", "limit", "m", "limit=10M", "delay=2s", "loss=0.5%", "jitter=3", "seed=7")
            assert limits() == {"limit": "10000", "delay": "2000", "loss": "5", "jitter": "3", "seed": "7"}, limits()
            h.vmctl("nic", "limit", "m", "limit=64kbit", "delay=off", "jitter=off", "seed=off", "loss=7")
            assert limits() == {"limit": "64", "loss": "7"}, limits()
            h.vmctl("nic", "limit", "m", "group=slow", "--card", "nic2")
            h.vmctl("nic", "limit", "m", "group=slow", "group-limit=0.5G")
            assert limits(1) == {"group": "slow", "group-limit": "500000"}, limits(1)
            for wrong, why in (("limit=5", "8"), ("limit=fast", "fast"), ("speed=5", "no limit"), ("loss=200%", "1000"), ("delay=1h", "1h"),
                               ("loss=0.04%", "0.04%"), ("delay=0.3ms", "0.3ms")):
                h.vmctl("nic", "limit", "m", wrong, code=2, say=why)
            h.vmctl("nic", "limit", "m", "limit=1M", "--card", "nic3", code=3, say="no network card nic3")
            assert len(h.json("nic", "limit", "m")["cards"]) == 2
            assert "500000" in h.vmctl("nic", "limit", "m")
            h.vmctl("nic", "limit", "m", "off", "--card", "nic2")
            assert limits(1) == {} and limits()["group-limit"] == "500000", limits()
            assert h.json("nic", "limit", "m", "off")["cards"][0] == {"card": "nic1"}


def vmctl_logs():
    with Host() as h:
        h.vmctl("logs", "m", "--network", code=3, say="no such log")
        h.vmctl("start", "m")
        end = time.monotonic() + 10 * PATIENCE
        while "nic1: the cable is in" not in (text := h.vmctl("logs", "m", "--network")) and time.monotonic() < end:
            time.sleep(0.1)
        assert "the network process of m begins" in text and "nic2: mode nat" in text, text
        number = int(re.search(r"begins, number (\d+)", text)[1])
        os.kill(number, signal.SIGKILL)
        while h.vmctl("logs", "m", "--network").count("begins, number") < 2 and time.monotonic() < end:
            time.sleep(0.1)
        assert "was ended by signal 9" in h.vmctl("logs", "m")
        h.vmctl("stop", "--force", "m")
        h.vmctl("start", "m")
        assert str(number) in h.vmctl("logs", "m", "--network", "--previous", "1")


CHECKS = [captured, outlives_cable_and_mode, killed, into_a_pipe, limits_change, groups_change, log, log_is_bounded, told_to_a_slow_guest, vmctl_captures,
          vmctl_limits, vmctl_logs]


def main():
    checks = [c for c in CHECKS if not sys.argv[4:] or c.__name__ in sys.argv[4:]]
    print(f"1..{len(checks)}", flush=True)
    for i, check in enumerate(checks, 1):
        try:
            why = check()
            print(f"ok {i} {check.__name__}" + (f" # SKIP {why}" if why else ""), flush=True)
        except Exception:
            print(f"not ok {i} {check.__name__}\n# " + traceback.format_exc().replace("\n", "\n# "), flush=True)


main()
