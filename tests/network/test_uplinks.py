#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A running Linux guest behind NAT while the host changes networks, as a laptop does: default route and name servers become others
under it, and new connections of the guest go the new way within 5 s.  The host is a network namespace with two uplinks, each to a
namespace that has its own name server and its own way to the same address of the world.  Needs root.  Prints TAP.
Usage: test_uplinks.py VMCTL GUESTS.SH [CARD]"""
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
from guest_shell import Shell

PATIENCE = float(os.environ.get("PATIENCE", "1"))
WORLD, NAME, SECONDS = "198.51.100.7", "world.example", 5


# ---- an uplink's other end: a process in a namespace of its own ----

def name_server(address):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, 53))
    while True:
        q, peer = s.recvfrom(2000)
        is_a = q[-4:-2] == b"\0\1"
        s.sendto(q[:2] + b"\x81\x80\0\1" + (b"\0\1" if is_a else b"\0\0") + bytes(4) + q[12:] +
                 (b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + socket.inet_aton(WORLD) if is_a else b""), peer)


def uplink(address):
    """Says by TCP and UDP which one it is."""
    threading.Thread(target=name_server, args=(address,), daemon=True).start()
    tcp = socket.create_server((WORLD, 80))
    print("ready", flush=True)
    while True:
        c = tcp.accept()[0]
        c.sendall(f"by {address}\n".encode())
        c.close()


# ---- the host ----

def skip(why):
    print(f"1..0 # SKIP {why}")
    sys.exit(0)


def own_namespace():
    prepare = "mount -t sysfs none /sys && mount -t tmpfs none /run && ip link set lo up && ip link add a0 type veth peer name a1"
    if os.geteuid():
        skip("only root can make network namespaces here")
    if "IN_NAMESPACE" in os.environ:
        return
    if not os.path.exists("/etc/resolv.conf") or subprocess.run(["unshare", "-nm", "sh", "-c", prepare], capture_output=True,
                                                                check=False).returncode:
        skip("no network namespace with veth pairs to be had here, or no /etc/resolv.conf")
    prepare = prepare.replace(" && ip link add a0 type veth peer name a1", "")
    os.execvpe("unshare", ["unshare", "-nm", "sh", "-c", prepare + ' && exec "$0" "$@"', sys.executable] + sys.argv,
               dict(os.environ, IN_NAMESPACE="1"))


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Uplink:
    def __init__(self, number):
        self.link, self.router, self.space = f"up{number}", f"10.10.{number}.1", f"uplink{number}"
        ip("netns", "add", self.space)
        ip("link", "add", self.link, "type", "veth", "peer", "name", "wan", "netns", self.space)
        for words in (("addr", "add", f"{self.router}/24", "dev", "wan"), ("link", "set", "wan", "up"), ("link", "set", "lo", "up"),
                      ("addr", "add", f"{WORLD}/32", "dev", "lo")):
            ip("-n", self.space, *words)
        ip("addr", "add", f"10.10.{number}.2/24", "dev", self.link)
        self.process = subprocess.Popen(["ip", "netns", "exec", self.space, sys.executable, os.path.abspath(__file__), "--uplink",
                                         self.router], stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n"

    def use(self, names=True):
        ip("link", "set", self.link, "up")
        ip("route", "replace", "default", "via", self.router)
        if names:
            servers(self.router)

    def down(self):
        ip("link", "set", self.link, "down")

    def close(self):
        self.process.kill()
        self.process.wait()
        subprocess.run(["ip", "netns", "del", self.space], check=False)


def servers(*addresses):
    with open(RESOLV, "w", encoding="ascii") as f:
        f.write("".join(f"nameserver {a}\n" for a in addresses))


class Machine:
    def __init__(self, vmctl, guests, card):
        made = subprocess.run([guests, "vmlinuz-amd64", "network-initrd64.gz"], capture_output=True, text=True, check=False)
        if made.returncode:
            skip(made.stderr.strip())
        cache = subprocess.run([guests, "--dir"], check=True, capture_output=True, text=True).stdout.strip()
        self.vmctl_path, self.base = vmctl, tempfile.mkdtemp(prefix="terrarium-uplinks-")
        os.mkdir(self.base + "/run", 0o700)
        self.env = dict(os.environ, XDG_DATA_HOME=self.base + "/data", XDG_RUNTIME_DIR=self.base + "/run", LC_ALL="C.UTF-8")
        self.vmctl("create", "g", "--memory", "256M", "--kernel", cache + "/vmlinuz-amd64", "--initrd", cache + "/network-initrd64.gz",
                   "--cmdline", "console=ttyS0 loglevel=3", "--nic", card, "--serial", f"socket:{self.base}/serial")
        self.vmctl("start", "g")
        self.shell = Shell(self.base + "/serial", PATIENCE)
        self.shell.boot()
        self.shell.good("cards", 60)
        self.shell.good("udhcpc -i eth0 -n -q -t 10 -s /bin/lease", 60)

    def vmctl(self, *args):
        subprocess.run([self.vmctl_path, *args], env=self.env, capture_output=True, timeout=120 * PATIENCE, check=True)

    def way(self):
        """By whom the guest reaches the name's address now; None: it does not."""
        out = self.shell.run(f"nslookup {NAME} 2>&1 | grep -q {WORLD} && nc -w 1 {WORLD} 80 </dev/null", 60)[0]
        return next((line[3:] for line in out.splitlines() if line.startswith("by ")), None)

    def goes_by(self, uplink):
        """Within 5 s; how long it took."""
        began, way = time.monotonic(), None
        while way != uplink.router and time.monotonic() - began < SECONDS * PATIENCE:
            way = self.way()
        took = time.monotonic() - began
        assert way == uplink.router and took < SECONDS * PATIENCE, f"after {took:.1f} s the guest's connections go by {way}, not by {uplink.router}"
        print(f"# {took:.1f} s", flush=True)

    def close(self):
        subprocess.run([self.vmctl_path, "stop", "--force", "g"], env=self.env, capture_output=True, check=False)
        self.shell.close()
        shutil.rmtree(self.base)


def the_first(m, one, two):
    one.use()
    m.goes_by(one)


def another_cable(m, one, two):
    """The old network is gone when the new one is there."""
    one.down()
    two.use()
    m.goes_by(two)


def both_for_a_while(m, one, two):
    """The old network still answers, but it is not the way any more."""
    one.use()
    m.goes_by(one)
    one.down()
    two.use()
    m.goes_by(two)


def names_come_late(m, one, two):
    """The route is there two seconds before the name servers are."""
    two.down()
    one.use(names=False)
    assert m.way() is None, "by the name server of the network that is gone"
    time.sleep(2)
    servers(one.router)
    m.goes_by(one)


def nothing_for_a_while(m, one, two):
    """A host without any network, and one with no name server; what goes to the host itself lives on."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        m.shell.good(f"(nc 10.0.2.2 {s.getsockname()[1]} >got </dev/zero &)")
        c = s.accept()[0]
        one.down()
        servers()
        assert m.way() is None
        time.sleep(3)
        two.use()
        m.goes_by(two)
        c.sendall(b"still here\n")
        end = time.monotonic() + 10 * PATIENCE
        while "still here" not in m.shell.run("cat got")[0]:
            assert time.monotonic() < end, "the connection with the host is broken"
        c.close()


TESTS = [the_first, another_cable, both_for_a_while, names_come_late, nothing_for_a_while]


def main():
    global RESOLV
    own_namespace()
    with tempfile.NamedTemporaryFile("w", delete=False) as f:
        RESOLV = f.name
    subprocess.run(["mount", "--bind", RESOLV, "/etc/resolv.conf"], check=True)
    one, two = Uplink(1), Uplink(2)
    one.use()
    m = Machine(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "virtio-net")
    print(f"1..{len(TESTS)}", flush=True)
    try:
        for n, test in enumerate(TESTS, 1):
            try:
                test(m, one, two)
                print(f"ok {n} {test.__name__}", flush=True)
            except Exception:
                print(f"not ok {n} {test.__name__}\n# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
    finally:
        m.close()
        for u in (one, two):
            u.close()
        os.remove(RESOLV)


if sys.argv[1] == "--uplink":
    uplink(sys.argv[2])
main()
