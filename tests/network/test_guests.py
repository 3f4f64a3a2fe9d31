#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux guests that go online: by each card, in mode nat.  The host's side is the loopback interface.  Prints TAP.
Usage: test_guests.py VMCTL GUESTS.SH [CARD[:32]...]  (default: all of them)"""
import hashlib
import json
import os
import random
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
from guest_shell import Shell

VMCTL, GUESTS = (os.path.abspath(a) for a in sys.argv[1:3])
PATIENCE = float(os.environ.get("PATIENCE", "1"))
# Card, bits of the guest.  Another card is another row.
CARDS = ["e1000", "e1000:32", "e1000e", "pcnet", "pcnet:32", "rtl8139", "rtl8139:32", "virtio-net", "virtio-net:32"]
SEED = int(os.environ.get("SEED", random.randrange(1 << 32)))
BACKEND = os.environ.get("BACKEND")  # of NAT: passt has no connections that outlive their forward
BYTES = int(os.environ.get("BYTES", 8 << 20))


def cache(*names):
    subprocess.run([GUESTS, *names], check=True)
    folder = subprocess.run([GUESTS, "--dir"], check=True, capture_output=True, text=True).stdout.strip()
    return [os.path.join(folder, n) for n in names]


class Machine:
    def __init__(self, card, bits):
        kernel, initrd = cache("vmlinuz-686-pae" if bits == 32 else "vmlinuz-amd64", f"network-initrd{bits}.gz")
        self.base = tempfile.mkdtemp(prefix="terrarium-network-")
        os.mkdir(self.base + "/run", 0o700)
        self.env = dict(os.environ, XDG_DATA_HOME=self.base + "/data", XDG_RUNTIME_DIR=self.base + "/run", LC_ALL="C.UTF-8")
        self.vmctl("create", "g", "--memory", "256M", "--kernel", kernel, "--initrd", initrd, "--cmdline",
                   "console=ttyS0 loglevel=3", "--nic", card, "--serial", f"socket:{self.base}/serial", *(("--set", f"nic1.nat-backend={BACKEND}") if BACKEND else ()))
        self.vmctl("start", "g")
        self.shell = Shell(self.base + "/serial", PATIENCE)
        self.shell.boot()

    def vmctl(self, *args, code=0):
        p = subprocess.run([VMCTL, *args], env=self.env, capture_output=True, text=True, timeout=120 * PATIENCE, check=False)
        assert p.returncode == code, f"vmctl {' '.join(args)}: exit code {p.returncode}: {p.stderr}{p.stdout}"
        return p.stdout

    def card(self):
        return json.loads(self.vmctl("nic", "list", "g", "-o", "json"))["cards"][0]["now"]

    def close(self):
        subprocess.run([VMCTL, "stop", "--force", "g"], env=self.env, capture_output=True, check=False)
        self.shell.close()
        shutil.rmtree(self.base)


def serve(family, host, work):
    """A server of one connection: its port."""
    s = socket.create_server((host, 0), family=family)

    def run():
        c = s.accept()[0]
        c.settimeout(300 * PATIENCE)
        work(c)
        c.close()

    threading.Thread(target=run, daemon=True).start()
    return s.getsockname()[1]


def lease(m):
    m.shell.good("cards", 60)
    out = m.shell.good("udhcpc -i eth0 -n -q -t 10 -s /bin/lease", 60)
    assert "LEASE eth0 10.0.2.15/24 router=10.0.2.2 dns=10.0.2.3" in out, out
    assert m.vmctl("wait", "g", "--ip", "--timeout", "20").strip() == "10.0.2.15"
    assert "10.0.2.15" in m.vmctl("info", "g")


def ping(m):
    if BACKEND == "passt" and not m.card()["ping"]:
        return "the host lets no process of this user send pings"
    assert "3 packets received" in m.shell.good("ping -c 3 10.0.2.2", 60)
    return None


def receive(m, family=socket.AF_INET, host="127.0.0.1", to="10.0.2.2"):
    """From the host, all of it, with the right sum."""
    data = random.Random(SEED).randbytes(BYTES)
    port = serve(family, host, lambda c: c.sendall(data))
    out = m.shell.good(f"nc {to} {port} </dev/null | sha256sum", 300)
    assert hashlib.sha256(data).hexdigest() in out, out


def send(m):
    got = hashlib.sha256()
    done = threading.Event()

    def take(c):
        while data := c.recv(1 << 16):
            got.update(data)
        done.set()

    port = serve(socket.AF_INET, "127.0.0.1", take)
    out = m.shell.good(f"dd if=/dev/urandom of=f bs=64k count={BYTES >> 16} 2>/dev/null; sha256sum f; nc 10.0.2.2 {port} <f", 300)
    assert done.wait(60 * PATIENCE), "the end did not come"
    assert got.hexdigest() in out, out


def udp(m):
    """By busybox's TFTP client, which is what it has of UDP."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))
    s.settimeout(20 * PATIENCE)
    m.shell.start(f"tftp -g -r what -l got 10.0.2.2 {s.getsockname()[1]}; cat got")
    data, peer = s.recvfrom(100)
    assert data.startswith(b"\0\1what\0octet\0"), data
    s.sendto(b"\0\3\0\1answer", peer)
    assert s.recvfrom(100)[0] == b"\0\4\0\1"
    assert "answer" in m.shell.result(60)[0]


def v6(m):
    for _ in range(100):
        if "fd00::5054" in m.shell.good("ip -6 addr show dev eth0"):
            break
        time.sleep(0.2)
    assert BACKEND == "passt" or "2 packets received" in m.shell.good("ping6 -c 2 fd00::2", 60)
    receive(m, socket.AF_INET6, "::1", "fd00::2")


def forward(m):
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    m.vmctl("nic", "forward", "add", "g", "tcp", str(port), "22")
    m.vmctl("wait", "g", "--port", "22", "--timeout", "2", code=5)
    m.shell.good("(nc -ll -p 22 -e /bin/cat >/dev/null 2>&1 &)")
    assert m.vmctl("wait", "g", "--port", "22", "--timeout", "30").strip() == f"127.0.0.1:{port}"
    c = socket.create_connection(("127.0.0.1", port), 20)
    c.settimeout(20 * PATIENCE)
    c.sendall(b"one\n")
    assert c.recv(10) == b"one\n"
    m.vmctl("nic", "forward", "rm", "g", "tcp", str(port))
    if BACKEND != "passt":
        c.sendall(b"two\n")  # it lives on
        assert c.recv(10) == b"two\n"
    try:
        socket.create_connection(("127.0.0.1", port), 5)
        raise AssertionError("the port is still open")
    except ConnectionRefusedError:
        pass


def cable(m):
    m.vmctl("nic", "disconnect", "g")
    wait_carrier(m, "0")
    m.vmctl("nic", "connect", "g")
    wait_carrier(m, "1")
    ping(m)


def wait_carrier(m, value):
    end = time.monotonic() + 30 * PATIENCE
    while m.shell.good("cat /sys/class/net/eth0/carrier").splitlines()[-1] != value:
        assert time.monotonic() < end, f"the guest does not see carrier {value}"


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(n) for n in f.read().split()]


def network_process(m):
    """By the socket that only it and nobody else of this machine listens at: its parent is the machine's keeper."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                ours = f"XDG_RUNTIME_DIR={m.base}/run".encode() in f.read().split(b"\0")
            with open(f"/proc/{pid}/comm", encoding="ascii") as f:
                if ours and f.read() == "terrarium-net\n":
                    return int(pid)
        except OSError:
            continue
    raise AssertionError("there is no network process")


def killed(m):
    """It comes back, and the guest goes on."""
    before = m.shell.good("cat /sys/class/net/eth0/carrier_changes").splitlines()[-1]
    os.kill(network_process(m), signal.SIGKILL)
    end = time.monotonic() + 30 * PATIENCE
    while m.shell.good("cat /sys/class/net/eth0/carrier_changes").splitlines()[-1] == before:
        assert time.monotonic() < end, "the guest has not seen its cable pulled"
    wait_carrier(m, "1")
    ping(m)
    receive(m)


def captured(m):
    """What went both ways while the guest does its offloads: no frame that is malformed or has a wrong sum."""
    if not shutil.which("tshark"):
        return "tshark is not installed"
    path = m.base + "/g.pcapng"
    m.vmctl("nic", "capture", "start", "g", path)
    ping(m)
    receive(m)
    send(m)
    said = json.loads(m.vmctl("nic", "capture", "stop", "g", "-o", "json"))
    options = [x for p in ("ip", "tcp", "udp") for x in ("-o", p + ".check_checksum:TRUE")]

    def find(what, *fields):
        r = subprocess.run(["tshark", "-n", "-r", path, *options, "-Y", what, *fields], capture_output=True, text=True, check=True)
        return r.stdout.splitlines()

    def count(what):
        return len(find(what, "-T", "fields", "-e", "frame.number"))
    assert said["missed"] == 0 and count("frame") == said["frames"] > 100, said
    bad = find("_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0", "-V", "-x")
    assert not bad, "\n".join(bad[:200])
    assert count("tcp.checksum.status == 1 && frame.packet_flags_direction == 1") > 50
    assert count("tcp.checksum.status == 1 && frame.packet_flags_direction == 2") > 50
    assert count("frame.len > 1514") == 0, "a frame longer than the guest's link"
    return None


TESTS = [lease, ping, receive, send, udp, v6, forward, cable, captured, killed]
cards = sys.argv[3:] or CARDS
print(f"1..{len(TESTS) * len(cards)}")
print(f"# seed {SEED}")
number = 0
for row in cards:
    card, _, width = row.partition(":")
    machine = Machine(card, int(width or 64))
    for test in TESTS:
        number += 1
        began = time.monotonic()
        try:
            why = test(machine)
            print(f"ok {number} {row} {test.__name__} # " + (f"SKIP {why}" if why else f"{time.monotonic() - began:.1f} s"), flush=True)
        except Exception:
            print(f"not ok {number} {row} {test.__name__}")
            print("# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
    machine.close()
