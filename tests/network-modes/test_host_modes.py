#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who reaches whom in the modes hostonly and bridged, and what vmctl makes of the host for them, in a network namespace with a
"LAN" in another one.  Needs root.  Prints TAP.  Usage: test_host_modes.py TERRARIUM-NET TERRARIUM-NETADM VMCTL TERRARIUM-VM"""
import array
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from guest import CHECKSUM, TSO4, TSO6, Guest, Process, Tcp, checksum, ip4, text4
from other_user import AS_USER, USER, Skip, must_reach

NET, NETADM, VMCTL, VM = ([os.path.abspath(a) for a in sys.argv[1:5]] + [None] * 4)[:4]
LAN = f"lan-{os.getpid()}"
PREPARE = """mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200 && mount -t sysfs none /sys &&
mount -t tmpfs none /run && ip link set lo up"""


def own_namespace():
    if os.geteuid():
        print("1..0 # SKIP only root can make network namespaces here")
        sys.exit(0)
    if "IN_NAMESPACE" in os.environ:
        return
    if subprocess.run(["unshare", "-nm", "sh", "-c", f"{PREPARE} && ip link add br0 type bridge && ip tuntap add t0 mode tap"],
                      capture_output=True).returncode:
        print("1..0 # SKIP no network namespace with a bridge and TAPs to be had here")
        sys.exit(0)
    os.environ["IN_NAMESPACE"] = "1"
    os.execvp("unshare", ["unshare", "-nm", "sh", "-c", PREPARE + ' && exec "$0" "$@"', sys.executable] + sys.argv)


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def netadm(*args):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    subprocess.run([NETADM, *args], stdin=theirs, check=True, timeout=30)
    theirs.close()
    data, ancillary, _, _ = ours.recvmsg(1024, socket.CMSG_SPACE(4))
    fds = array.array("i", ancillary[0][2])
    return data.decode().split()[1], fds[0], ours


class Machine:
    """A guest whose card is plugged into the host."""

    def __init__(self, number, mode, *admin, can=0, **keys):
        self.name, self.fd, self.hold = netadm(*admin)
        self.folder = os.open(FOLDER, os.O_PATH | os.O_DIRECTORY)
        card = {"mode": mode, "mac": f"52:54:00:01:02:{number:02x}", **keys}
        fds = {"networks": self.folder, "nic1.tap": self.fd, "nic1.hold": self.hold.fileno()}
        self.process = Process(NET, {"nic1": card}, machine=f"m{number}", fds=fds)
        self.guest = Guest(self.process, mac=bytes([0x52, 0x54, 0, 1, 2, number]), can=can)
        assert self.guest.wait_link()

    def __enter__(self):
        return self.guest

    def __exit__(self, *error):
        code = self.process.close()
        os.close(self.fd)
        os.close(self.folder)
        self.hold.close()
        assert error[0] or code == 0, code


class Answers(threading.Thread):
    """A guest that answers ARP and pings."""

    def __init__(self, guest):
        super().__init__(daemon=True)
        self.guest, self.on = guest, True
        self.start()

    def run(self):
        g = self.guest
        while self.on:
            got = g.look(0.005)
            f = got and got[1]
            if f and f[12:14] == b"\x08\0" and f[23] == 1 and f[34] == 8 and f[30:34] == g.ip:
                body = b"\0\0\0\0" + f[38:14 + int.from_bytes(f[16:18], "big")]
                g.send(f[6:12], 0x800, g.v4(f[26:30], 1, body[:2] + checksum(body).to_bytes(2, "little") + body[4:]))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.on = False
        self.join()


def host_reaches(address, where=()):
    return subprocess.run([*where, sys.executable, os.path.abspath(__file__), "--ping", address]).returncode == 0


def ping(address):
    """An exit code, for host_reaches(): not every host has a ping."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as s:
        s.settimeout(2)
        body = b"\x08\0\0\0\0\7\0\1host"
        body = body[:2] + checksum(body).to_bytes(2, "little") + body[4:]
        try:
            s.sendto(body, (address, 0))
            while True:
                data, peer = s.recvfrom(1000)
                if data[20] == 0 and data[28:] == b"host" and peer[0] == address:
                    return 0
        except OSError:
            return 1


def reaches(a, b):
    with Answers(b):
        return a.who_has(b.ip, 1) is not None and a.ping(b.ip, seconds=2)


class Server(threading.Thread):
    """Sends data, or takes as much and says so."""

    def __init__(self, data, sends):
        super().__init__(daemon=True)
        self.socket = socket.create_server(("0.0.0.0", 0))
        self.port, self.data, self.sends, self.got = self.socket.getsockname()[1], data, sends, b""
        self.start()

    def run(self):
        c = self.socket.accept()[0]
        if self.sends:
            c.sendall(self.data)
        while len(self.got) < len(self.data) and not self.sends and (some := c.recv(65536)):
            self.got += some
        if not self.sends:
            c.sendall(b"whole" if self.got == self.data else b"wrong")
        c.close()


def hostonly():
    arguments = ("hostonly", "tap", "hostonly", "default", "192.168.56.1/24")
    with Machine(1, *arguments) as a, Machine(2, *arguments) as b:
        assert a.dhcp() and b.dhcp(), "no address"
        assert text4(a.ip).startswith("192.168.56.") and a.ip != b.ip and not a.router and not a.dns
        assert a.ping(ip4("192.168.56.1")) and b.ping(ip4("192.168.56.1"))
        with Answers(a):
            assert host_reaches(text4(a.ip))
        assert reaches(a, b) and reaches(b, a)
        assert not host_reaches(text4(a.ip), ("ip", "netns", "exec", LAN))
        assert a.who_has(ip4("10.50.0.1"), 0.5) is None
    netadm_remove("default")


def netadm_remove(network):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for _ in range(50):
        if subprocess.run([NETADM, "remove", "hostonly", network], stdin=theirs, capture_output=True).returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError("the host-only network cannot be removed")


def bridged():
    with Machine(1, "bridged", "tap", "bridge", "br0") as a, Machine(2, "bridged", "tap", "bridge", "br0") as b:
        a.ip, b.ip = ip4("10.50.0.101"), ip4("10.50.0.102")
        assert a.ping(ip4("10.50.0.1")) and a.ping(ip4("10.50.0.2"))  # the LAN, and the host in it
        with Answers(a):
            assert host_reaches("10.50.0.101", ("ip", "netns", "exec", LAN)) and host_reaches("10.50.0.101")
        assert reaches(a, b) and reaches(b, a)


def offloads():
    """Big segments from guest to host and back, lengths and sums left to whoever gets them."""
    data = bytes(range(256)) * 230
    with Machine(1, "bridged", "tap", "bridge", "br0", can=CHECKSUM | TSO4 | TSO6) as a:
        a.ip = ip4("10.50.0.101")
        s = Server(data, sends=False)
        t = Tcp(a, ip4("10.50.0.2"), s.port)
        assert t.open and t.send(data, tso=1460) and t.read(5) == b"whole"
        s = Server(data, sends=True)
        t = Tcp(a, ip4("10.50.0.2"), s.port)
        got = b""
        while len(got) < len(data) and (some := t.read(1)):
            got += some + t.data
            t.data = b""
        assert got == data, len(got)


def macvtap():
    mac = "52:54:00:01:02:01"
    with Machine(1, "bridged", "tap", "interface", "veth4", mac) as a:
        a.ip = ip4("10.51.0.101")
        assert a.ping(ip4("10.51.0.1"))
        with Answers(a):
            assert host_reaches("10.51.0.101", ("ip", "netns", "exec", LAN))
        assert a.who_has(ip4("10.51.0.2"), 0.5) is None, "a macvtap that reaches its host"


def interface_goes():
    m = Machine(1, "bridged", "tap", "bridge", "br0")
    with m as a:
        run("ip", "link", "del", m.name)
        assert a.wait_link(up=False, seconds=5), "the guest does not see it"
        a.send(b"\xff" * 6, 0x88b5, bytes(50))
        time.sleep(0.1)
        assert m.process.process.poll() is None


# ---- by vmctl ----

def vmctl(*args, code=0, other=False, **env):
    command = [VMCTL, *args]
    if other:
        command = [shutil.which("setpriv"), *AS_USER[1:], *command]
    r = subprocess.run(command, capture_output=True, text=True, timeout=60, env=dict(ENV, **env))
    assert r.returncode == code, (args, r.returncode, r.stdout, r.stderr)
    return r.stdout + r.stderr


def taps():
    return [n for n in os.listdir("/sys/class/net") if n.startswith(("tvt", "tvm"))]


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def machine(name, **keys):
    sets = [f"nic1.{k}={v}" for k, v in {"model": "e1000", **keys}.items()]
    vmctl("create", name, "--memory", "16M", "--set", "machine.engine=interp", *(x for s in sets for x in ("--set", s)))


def started_by_vmctl():
    vmctl("net", "create", "lab", "--kind", "hostonly", "--range", "192.168.57.0/24")
    machine("a", mode="hostonly", network="lab")
    machine("b", mode="bridged", interface="br0")
    machine("c", mode="bridged", interface="veth4", mac="52:54:00:0a:0b:0c")
    for name in "abc":
        vmctl("start", name)
    assert len(taps()) == 3, taps()
    assert "192.168.57.1/24" in run("ip", "addr")
    assert "52:54:00:0a:0b:0c" in run("ip", "link")
    listed = json.loads(vmctl("net", "list", "-o", "json"))["networks"]
    assert [(n["name"], n["members"]) for n in listed] == [("lab", 1)], listed
    assert "stop them first" in vmctl("net", "delete", "lab", code=9)
    for name in "abc":
        vmctl("stop", "--force", name)
    assert until(lambda: not taps()), taps()
    vmctl("net", "delete", "lab")
    assert not [n for n in os.listdir("/sys/class/net") if n.startswith("tvh")]


def killed_outright():
    """Nothing is left of the host's interfaces, whoever dies how."""
    machine("k", mode="bridged", interface="veth4")
    vmctl("start", "k")
    assert len(taps()) == 1
    pid = None
    for p in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{p}/comm", encoding="utf-8") as f:
                comm = f.read().strip()
            with open(f"/proc/{p}/environ", "rb") as f:
                ours = ENV["XDG_RUNTIME_DIR"].encode() in f.read()
        except OSError:
            continue
        if ours and comm in ("vm-keeper", "terrarium-net", "terrarium-vm"):
            pid = int(p)
            os.kill(pid, 9)
    assert pid, "no process found"
    assert until(lambda: not taps()), taps()


def what_to_do():
    machine("w", mode="bridged", interface="nothere")
    said = vmctl("start", "w", code=3)
    assert "br0" in said and "not nothere" in said, said
    vmctl("set", "w", "nic1.interface=br0")
    must_reach(VMCTL, VM, NET, NETADM, tempfile.gettempdir())
    ENV["HOME"] = HOME
    os.chmod(HOME, 0o777)
    for path, folders, _ in os.walk(HOME):
        os.chown(path, USER, USER)
    for path, _, files in os.walk(HOME):
        for f in files:
            os.chown(os.path.join(path, f), USER, USER)
    said = vmctl("start", "w", code=6, other=True, PATH=HOME)
    assert "setcap cap_net_admin+ep " in said and 'echo "bridge br0 ' in said and "/etc/terrarium/network.conf" in said, said
    assert not taps()


CHECKS = [hostonly, bridged, offloads, macvtap, interface_goes, started_by_vmctl, killed_outright, what_to_do]


def prepare():
    """br0 (10.50.0.2) and veth4 (10.51.0.2) lead to the LAN (10.50.0.1, 10.51.0.1)."""
    run("ip", "netns", "add", LAN)
    lan = ("ip", "-n", LAN)
    run("ip", "link", "add", "br0", "type", "bridge")
    for ours, theirs, net in (("veth0", "veth1", "10.50.0"), ("veth4", "veth5", "10.51.0")):
        run("ip", "link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", LAN)
        run("ip", "link", "set", ours, "up")
        run(*lan, "link", "set", theirs, "up")
        run(*lan, "addr", "add", f"{net}.1/24", "dev", theirs)
        run("ip", "addr", "add", f"{net}.2/24", "dev", "br0" if ours == "veth0" else ours)
    run("ip", "link", "set", "veth0", "master", "br0")
    run("ip", "link", "set", "br0", "up")


if sys.argv[1] == "--ping":
    sys.exit(ping(sys.argv[2]))
own_namespace()
HOME = tempfile.mkdtemp(prefix="host-modes-")
FOLDER = os.path.join(HOME, "networks")
os.mkdir(FOLDER, 0o700)
os.mkdir(os.path.join(HOME, "run"), 0o700)
ENV = dict(os.environ, XDG_DATA_HOME=os.path.join(HOME, "data"), XDG_RUNTIME_DIR=os.path.join(HOME, "run"), HOME=HOME,
           TERRARIUM_VM=VM, TERRARIUM_NET=NET, TERRARIUM_NETADM=NETADM, LC_ALL="C.UTF-8")


def main():
    prepare()
    wanted = sys.argv[5:]
    checks = [c for c in CHECKS if not wanted or c.__name__ in wanted]
    print(f"1..{len(checks)}", flush=True)
    for i, check in enumerate(checks, 1):
        try:
            check()
            print(f"ok {i} {check.__name__}", flush=True)
        except Skip as why:
            print(f"ok {i} {check.__name__} # SKIP {why}", flush=True)
        except Exception:
            print(f"not ok {i} {check.__name__}\n# " + traceback.format_exc().replace("\n", "\n# "), flush=True)


try:
    main()
finally:
    subprocess.run(["ip", "netns", "del", LAN], capture_output=True)
    shutil.rmtree(HOME, ignore_errors=True)
