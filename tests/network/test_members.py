#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Two and three Linux guests in a network: whom each reaches, from inside and both ways, by ping, TCP and DHCP; what a capture of
it says to tshark.  Host-only in a network namespace of its own, as root.  Prints TAP.
Usage: test_members.py VMCTL [--scale F] [TEST...]"""
import hashlib
import os
import socket
import sys
import threading
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members

VMCTL = os.path.abspath(sys.argv[1])
SCALE = float(sys.argv[sys.argv.index("--scale") + 1]) if "--scale" in sys.argv else 1
WANTED = [a for i, a in enumerate(sys.argv[2:], 2) if a != "--scale" and sys.argv[i - 1] != "--scale"]
CARD = os.environ.get("CARD", "pcnet")  # one that leaves no sums to others


def host():
    return members.Host(VMCTL, CARD, IMAGES, SCALE)


def three_internal():
    """And a fourth card in another network, which is not reached."""
    with host() as h:
        lab = {"mode": "internal", "network": "lab"}
        a, b, c = h.all_of(("a", lab), ("b", lab), ("c", lab, {"mode": "internal", "network": "other"}))
        for i, g in enumerate((a, b, c), 1):
            g.address(f"10.1.1.{i}")
        c.shell.good("ip addr add 10.1.1.9/32 dev eth1")
        for x in (a, b, c):
            for y in (a, b, c):
                assert x.pings(y.ip), f"{x.name} does not reach {y.name}"
        a.sends_to(b)
        b.sends_to(a)
        b.sends_to(c)
        assert not a.pings("10.1.1.77") and not a.pings("10.0.2.2")
        h.vmctl("stop", "--force", "b")  # the others do not mind
        assert a.pings(c.ip) and not a.pings(b.ip)
        a.sends_to(c)


def three_behind_one_router():
    with host() as h, socket.create_server(("127.0.0.1", 0)) as s:
        def serve():
            while True:
                c = s.accept()[0]
                c.sendall(b"from the host\n")
                c.close()
        threading.Thread(target=serve, daemon=True).start()
        port = s.getsockname()[1]
        h.vmctl("net", "create", "office", "--kind", "natnetwork", "--range", "10.7.0.0/24")
        office = {"mode": "natnetwork", "network": "office"}
        a, b, c = h.all_of(("a", office), ("b", office), ("c", office))
        for g in (a, b, c):
            out = g.dhcp()
            assert g.ip.startswith("10.7.0.") and "router=10.7.0.2" in out and "dns=10.7.0.3" in out, out
            assert "from the host" in g.shell.good(f"nc 10.7.0.2 {port} </dev/null", 30)
        assert len({a.ip, b.ip, c.ip}) == 3
        assert a.pings(b.ip) and b.pings(c.ip) and c.pings(a.ip)
        a.sends_to(c)
        time.sleep(1.5)
        leases = h.vmctl("net", "leases", "office")
        assert all(g.ip in leases for g in (a, b, c)), leases
        h.vmctl("stop", "--force", "a")  # perhaps the router
        time.sleep(4)
        assert "from the host" in b.shell.good(f"nc 10.7.0.2 {port} </dev/null", 30)
        assert b.pings(c.ip)
        assert c.ip in c.dhcp()


def two_by_udp():
    with host() as h:
        ports = []
        for _ in range(2):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.bind(("127.0.0.1", 0))
                ports.append(s.getsockname()[1])
        x, y = ports
        a, b = h.all_of(("a", {"mode": "udp", "local_port": x, "peer": f"127.0.0.1:{y}"}),
                        ("b", {"mode": "udp", "local_port": y, "peer": f"127.0.0.1:{x}"}))
        a.address("10.2.2.1")
        b.address("10.2.2.2")
        assert a.pings(b.ip) and b.pings(a.ip)
        a.sends_to(b)
        b.sends_to(a)


def two_and_the_host():
    if "IN_NAMESPACE" not in os.environ:
        return "only root can make network namespaces here"
    with host() as h:
        only = {"mode": "hostonly"}
        a, b = h.all_of(("a", only), ("b", only))
        for g in (a, b):
            out = g.dhcp()
            assert g.ip.startswith("192.168.56.") and "router= dns=" in out, out
        assert a.pings("192.168.56.1") and a.pings(b.ip) and b.pings(a.ip)
        a.sends_to(b)
        sum_there = a.shell.good("head -c 1000000 /dev/urandom >sent; md5sum <sent")
        a.shell.start("nc -l -p 9 <sent")
        time.sleep(1 * SCALE)
        got = b""
        with socket.create_connection((a.ip, 9), timeout=30) as c:
            while len(got) < 1000000 and (some := c.recv(65536)):
                got += some
        assert len(got) == 1000000
        assert hashlib.md5(got).hexdigest() in sum_there
    return None


CHECKS = [three_internal, three_behind_one_router, two_by_udp, two_and_the_host]


def main():
    checks = [c for c in CHECKS if not WANTED or c.__name__ in WANTED]
    print(f"1..{len(checks)}", flush=True)
    for i, check in enumerate(checks, 1):
        try:
            skip = check()
            print(f"ok {i} {check.__name__}" + (f" # SKIP {skip}" if skip else ""), flush=True)
        except Exception:
            print(f"not ok {i} {check.__name__}\n# " + traceback.format_exc().replace("\n", "\n# "), flush=True)


members.own_namespace()
try:
    IMAGES = members.images()
except members.CannotRun as e:
    print(f"1..0 # SKIP {e}")
    sys.exit(0)
main()
