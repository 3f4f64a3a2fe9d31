#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every network card in every mode, with three Linux guests: addresses by DHCP, TCP both ways, UDP, pings, names, IPv6, and whom
each guest reaches and whom not, from inside and both ways; what a capture of the first guest's card says to tshark.  As root, in a network namespace of its own with a "LAN" in another
one, whose DHCP, names and router advertisements are dnsmasq's.  Prints TAP.

  test_matrix.py VMCTL [--scale F] [ROW...]

ROW: CARD[:WIDTH][/MODE], each part may be missing: e1000, pcnet:32, :64/nat, /udp (default: all).  The three guests of a card have a
card of that model for each mode; of these only the one under test is up."""
import concurrent.futures
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members
from members import CannotRun

CARDS = ["e1000", "e1000e", "virtio-net", "pcnet", "rtl8139", "rtl8139c"]
LAN = f"lan-{os.getpid()}"
ECHO = 7  # port
BYTES = {"tcp": 200000, "udp": 20000}
HOST4, LAN4, TAPPED_HOST4, TAPPED_LAN4 = "10.50.0.2", "10.50.0.1", "10.51.0.2", "10.51.0.1"
LAN6 = "fd50::1"


# ---- the host's side ----

def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def in_lan(*command):
    return run("ip", "netns", "exec", LAN, *command)


class Station:
    """Host and LAN: br0 (10.50.0.2, fd50::2) and veth4 (10.51.0.2) lead to the LAN (.1); peer.c's program serves on both."""

    def __init__(self, folder):
        self.folder, self.processes = folder, []
        self.peer = os.path.join(folder, "peer")
        members.peer_program(64, self.peer)

    def __enter__(self):
        # /dev/tapN of a macvtap is named by a number that only its namespace knows to be its own: high ones, for other tests' sake
        run("sh", "-c", f"for i in $(seq {100 + os.getpid() % 400}); do ip link add br0 type bridge; ip link del br0; done")
        run("ip", "netns", "add", LAN)
        for where in (run, in_lan):  # one address of a kind each, so that it is clear from which one an answer comes
            where("sh", "-c", "for f in all default; do echo 0 >/proc/sys/net/ipv6/conf/$f/accept_ra; done")
        run("ip", "link", "add", "br0", "type", "bridge")
        for ours, theirs, net in (("veth0", "veth1", 50), ("veth4", "veth5", 51)):
            run("ip", "link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", LAN)
            run("ip", "link", "set", ours, "up")
            in_lan("ip", "link", "set", theirs, "up")
            where = "br0" if ours == "veth0" else ours
            for prefix, bits in ((f"10.{net}.0.", 24), (f"fd{net}::", 64)):
                in_lan("ip", "addr", "add", f"{prefix}1/{bits}", "dev", theirs, *(["nodad"] if bits == 64 else []))
                run("ip", "addr", "add", f"{prefix}2/{bits}", "dev", where, *(["nodad"] if bits == 64 else []))
        in_lan("ip", "link", "set", "lo", "up")
        run("ip", "link", "set", "veth0", "master", "br0")
        run("ip", "link", "set", "br0", "up")
        self.name_server()
        self.may_ping()
        self.begin(self.peer, "serve", str(ECHO))
        self.begin("ip", "netns", "exec", LAN, self.peer, "serve", str(ECHO))
        self.begin("ip", "netns", "exec", LAN, *self.dnsmasq())
        return self

    def begin(self, *command):
        with open(os.path.join(self.folder, "log"), "a", encoding="utf-8") as log:
            self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def dnsmasq(self):
        return ["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-dynamic", "--except-interface=lo",
                "--interface=veth1", "--interface=veth5", "--dhcp-range=10.50.0.150,10.50.0.199,1h", "--no-ping",
                "--dhcp-range=10.51.0.150,10.51.0.199,1h", "--enable-ra", "--dhcp-range=fd50::,ra-only", "--dhcp-range=fd51::,ra-only",
                f"--address=/here.test/{LAN4}", f"--address=/here.test/{LAN6}", "--user=root", "--pid-file=",
                f"--dhcp-leasefile={self.folder}/leases"]

    def name_server(self):
        """The host asks the LAN's."""
        path = os.path.join(self.folder, "resolv.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"nameserver {LAN4}\n")
        run("mount", "--bind", path, os.path.realpath("/etc/resolv.conf"))

    @staticmethod
    def may_ping():
        with open("/proc/sys/net/ipv4/ping_group_range", "w", encoding="utf-8") as f:
            f.write("0 2147483647")

    def asks(self, kind, address, port=ECHO, where=()):
        """Does the host, or the LAN, get its bytes back from there?"""
        return subprocess.run([*where, self.peer, kind, address, str(port), str(BYTES[kind])], capture_output=True).returncode == 0

    def lan_asks(self, kind, address, port=ECHO):
        return self.asks(kind, address, port, ("ip", "netns", "exec", LAN))

    def __exit__(self, *error):
        for p in self.processes:
            p.terminate()
            p.wait()
        subprocess.run(["ip", "netns", "del", LAN], capture_output=True)


def link_local(interface, where=()):
    """Of an interface of the host or the LAN."""
    text = run(*where, "ip", "-6", "-o", "addr", "show", "dev", interface, "scope", "link")
    return text.split("inet6 ")[1].split("/")[0]


# ---- guests ----

def free_ports(n):
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def cards_of(number, udp):
    """By mode; udp: the ports of the three guests, of which the first two are each other's peers, and the third is the first's."""
    peer = udp[1 if number == 1 else 0]
    return {"nat": {"mode": "nat"},
            "natnetwork": {"mode": "natnetwork", "network": "office"},
            "internal": {"mode": "internal", "network": "lab"},
            "hostonly": {"mode": "hostonly"},
            "bridge": {"mode": "bridged", "interface": "br0"},
            "macvtap": {"mode": "bridged", "interface": "veth4"},
            "udp": {"mode": "udp", "local_port": udp[number - 1], "peer": f"127.0.0.1:{peer}"},
            "none": {"mode": "none"}}


class Member:
    """One of the three, as the mode under test sees it: with one card that is up."""

    def __init__(self, guest, number, names):
        self.guest, self.number, self.names = guest, number, names  # names: of its interfaces, by mode
        self.shell, self.mode, self.ip = guest.shell, None, None

    @property
    def card(self):
        return f"nic{list(self.names).index(self.mode) + 1}"

    @property
    def device(self):
        return self.names[self.mode]

    def eui(self, prefix):
        """Its IPv6 address with that prefix: its card's address with a bit changed and ff:fe in the middle."""
        return f"{prefix}5054:ff:fe00:{self.number:x}{self.card[3:].rjust(2, '0')}"

    def up(self, mode):
        self.mode = mode
        self.shell.good(f"ip link set {self.device} up")
        if mode != "none":
            self.wait_carrier()

    def down(self):
        self.shell.good(f"ip link set {self.device} down; ip addr flush dev {self.device}")

    def wait_carrier(self):
        self.shell.good(f"n=0; until [ $(cat /sys/class/net/{self.device}/carrier) = 1 ]; do "
                        "usleep 100000; n=$((n+1)); [ $n -lt 300 ] || break; done; [ $n -lt 300 ]", 120)

    def lease(self):
        out = self.shell.good(f"udhcpc -i {self.device} -n -q -t 10 -s /bin/lease", 60)
        lease = out.split(f"LEASE {self.device} ")[1].splitlines()[0]
        self.ip = lease.split("/")[0]
        # that script has taken away all addresses, IPv6's too: they are asked for anew
        self.shell.good(f"cd /proc/sys/net/ipv6/conf/{self.device}; echo 1 >disable_ipv6; echo 0 >disable_ipv6; cd /dev/shm")
        return lease

    def fixed(self, ip):
        """And all else is there, too, for all that it knows."""
        self.ip = ip
        self.shell.good(f"ip addr add {ip}/24 dev {self.device}; ip route add default dev {self.device}")

    def no_lease(self):
        out, code = self.shell.run(f"udhcpc -i {self.device} -n -q -t 2 -T 1 -s /bin/lease", 30)
        assert code and "LEASE" not in out, out

    def asks(self, *wants, port=ECHO):
        """wants: "tcp ADDRESS" or "udp ADDRESS"."""
        for want in wants:
            kind, address = want.split()
            self.shell.good(f"peer {kind} {address} {port} {BYTES[kind]}", 90)

    def pings(self, *addresses):
        for a in addresses:
            self.shell.good(f"ping{'6' if ':' in a else ''} -c 1 -W 5 {a}", 30)

    def has_not(self, *addresses, ping=True):
        """None of them answers a ping, or takes a connection."""
        tries = [f"(peer tcp {a} {ECHO} 1 2>/dev/null && echo REA''CHED {a}) &" for a in addresses]
        tries += [f"(ping -c 2 -W 2 {a} >/dev/null 2>&1 && echo REA''CHED {a}) &" for a in addresses if ping]
        out = self.shell.good(f"( {' '.join(tries)} wait )", 60)  # in a shell that says nothing of its jobs; the echo may come twice
        assert "REACHED" not in out, f"{self.guest.name} reaches more than it may: {out}"

    def v6(self, prefix):
        """It has made itself an address there, and nobody else has that."""
        address, end = self.eui(prefix), time.monotonic() + 60 * self.shell.patience
        while True:
            text = self.shell.good(f"ip -6 addr show dev {self.device}")
            if any(address in line and "tentative" not in line for line in text.splitlines()):
                return address
            assert time.monotonic() < end, f"{self.guest.name} has no {address}, but {text}"
            time.sleep(0.2)

    def neighbours(self):
        """All that answer a ping to everybody on the link."""
        out = self.shell.run(f"ping6 -c 3 -W 2 ff02::1%{self.device}", 30)[0]
        return {line.split()[3].rstrip(":") for line in out.splitlines() if " bytes from " in line}

    def named(self):
        out = self.shell.good("nslookup here.test", 60)
        assert LAN4 in out and LAN6 in out, out


class Three:
    """The guests of a card, and what the checks of all modes need."""

    def __init__(self, host, station, all_):
        self.host, self.station, self.all = host, station, all_
        self.pool = concurrent.futures.ThreadPoolExecutor(len(all_))

    def each(self, work, *lists):
        """With all guests at once; what went wrong is told when all are done."""
        doing = [self.pool.submit(work, *arguments) for arguments in zip(self.all, *lists)]
        concurrent.futures.wait(doing)
        return [d.result() for d in doing]

    def pairs(self):
        """Each one and each other, both ways: in turns, so that nobody asks twice at a time."""
        for step in range(1, len(self.all)):
            others = self.all[step:] + self.all[:step]
            self.each(lambda m, o: (m.pings(o.ip), m.asks(f"tcp {o.ip}", f"udp {o.ip}")), others)

    def link(self, *more):
        """Exactly these are on each one's link, beside the three."""
        want = {m.v6("fe80::") for m in self.all} | set(more)
        for m, found in zip(self.all, self.each(Member.neighbours)):
            assert found == want, f"on the link of {m.guest.name} are {sorted(found)}, not {sorted(want)}"
        self.each(lambda m, o: m.asks(f"tcp {o.eui('fe80::')}%{m.device}", f"udp {o.eui('fe80::')}%{m.device}"),
                  self.all[1:] + self.all[:1])

    def apart(self):
        """The third card's cable goes to another network of the kind while all run; then they do not meet."""
        a, b, c = self.all
        self.host.vmctl("nic", "set", c.guest.name, "network=apart", "--card", c.card)
        time.sleep(3)  # the guest sees its cable out
        c.wait_carrier()
        c.has_not(a.ip, b.ip)
        self.each(lambda m: m is c or m.has_not(c.ip))
        assert c.neighbours() == {c.eui("fe80::")}
        a.asks(f"tcp {b.ip}")


# ---- the modes ----

def online(m, router, router6):
    """What the host reaches, and the host, and names; IPv6 too."""
    m.pings(router, LAN4)
    m.asks(f"tcp {router}", f"udp {router}", f"tcp {LAN4}", f"udp {LAN4}", f"tcp {HOST4}")
    m.named()
    m.v6("fd00::")
    m.pings(router6)
    m.asks(f"tcp {router6}", f"udp {router6}", f"tcp {LAN6}", f"udp {LAN6}")


def nat(t):
    a, b, _ = t.all
    for lease in t.each(Member.lease):
        assert lease.startswith("10.0.2.15/24 router=10.0.2.2 dns=10.0.2.3"), lease
    t.each(lambda m: online(m, "10.0.2.2", "fd00::2"))
    port = free_ports(1)[0]
    for kind in ("tcp", "udp"):  # nobody comes in but by a forward, and by that who is let
        t.host.vmctl("nic", "forward", "add", a.guest.name, kind, str(port), str(ECHO), "--card", a.card)
        assert t.station.asks(kind, "127.0.0.1", port), f"the forward of {kind} does not work"
        assert not t.station.lan_asks(kind, HOST4, port)
    assert not t.station.asks("tcp", "10.0.2.15")
    t.host.vmctl("nic", "set", b.guest.name, "host-reachable=off", "--card", b.card)
    time.sleep(3)
    b.wait_carrier()
    b.lease()
    b.asks(f"tcp {LAN4}")
    b.has_not("10.0.2.2", HOST4, ping=False)  # the router answers pings
    assert a.neighbours() == {a.v6("fe80::")}


def natnetwork(t):
    leases = t.each(Member.lease)
    assert all(x.startswith("10.0.3.") and "/24 router=10.0.3.2 dns=10.0.3.3" in x for x in leases), leases
    assert len(set(leases)) == 3, leases
    t.each(lambda m: online(m, "10.0.3.2", "fd00::2"))
    t.pairs()
    t.link()
    a, b, _ = t.all
    a.asks(f"tcp {b.v6('fd00::')}")
    assert not t.station.asks("tcp", a.ip) and not t.station.lan_asks("tcp", a.ip)
    t.apart()


def internal(t):
    leases = t.each(Member.lease)
    assert all(x.startswith("10.1.1.") and "router= dns= " in x for x in leases) and len(set(leases)) == 3, leases
    t.pairs()
    t.link()
    t.each(lambda m: m.shell.good(f"ip route add default dev {m.device}"))
    t.each(lambda m: m.has_not(HOST4, LAN4, "10.1.1.2", "192.168.56.1"))
    assert not t.station.asks("tcp", t.all[0].ip)
    t.apart()
    t.all[2].no_lease()  # that network is not defined, and nobody gives out addresses


def hostonly(t):
    leases = t.each(Member.lease)
    assert all(x.startswith("192.168.56.") and "router= dns= " in x for x in leases) and len(set(leases)) == 3, leases
    t.pairs()
    bridge = next(n for n in os.listdir("/sys/class/net") if n.startswith("tvh"))
    t.link(link_local(bridge))
    t.each(lambda m: (m.pings("192.168.56.1"), m.asks("tcp 192.168.56.1", "udp 192.168.56.1")))
    assert all(t.station.asks(kind, m.ip) for m in t.all for kind in ("tcp", "udp"))
    t.each(lambda m: m.shell.good(f"ip route add default via 192.168.56.1 dev {m.device}"))
    t.each(lambda m: m.has_not(LAN4, "10.0.2.2"))
    assert not t.station.lan_asks("tcp", t.all[0].ip)


def on_the_lan(t, prefix, lan6):
    """As a computer there."""
    leases = t.each(Member.lease)
    assert all(x.startswith(prefix) and f"router={prefix}1 dns={prefix}1 " in x for x in leases) and len(set(leases)) == 3, leases
    t.pairs()
    t.each(lambda m: (m.pings(f"{prefix}1"), m.asks(f"tcp {prefix}1", f"udp {prefix}1"), m.named(), m.v6(lan6)))
    t.each(lambda m: (m.pings(f"{lan6}1"), m.asks(f"tcp {lan6}1", f"udp {lan6}1")))
    assert all(t.station.lan_asks(kind, where) for m in t.all for kind in ("tcp", "udp") for where in (m.ip, m.eui(lan6)))


def bridge(t):
    on_the_lan(t, "10.50.0.", "fd50::")
    t.link(link_local("br0"), link_local("veth1", ("ip", "netns", "exec", LAN)))
    t.each(lambda m: (m.pings(HOST4), m.asks(f"tcp {HOST4}", f"udp {HOST4}")))
    assert all(t.station.asks(kind, m.ip) for m in t.all for kind in ("tcp", "udp"))
    t.each(lambda m: m.has_not(TAPPED_HOST4, "10.0.2.2"))


def macvtap(t):
    """The host is not there, and none of the guests for it."""
    on_the_lan(t, "10.51.0.", "fd51::")
    t.link(link_local("veth5", ("ip", "netns", "exec", LAN)))
    t.each(lambda m: m.has_not(TAPPED_HOST4, HOST4, "10.0.2.2"))
    assert not t.station.asks("tcp", t.all[0].ip)


def udp(t):
    a, b, c = t.all
    t.each(lambda m: m.no_lease())
    for m in t.all:
        m.fixed(f"10.2.2.{m.number}")
    two = Three(t.host, t.station, [a, b])
    two.pairs()
    two.link()
    c.v6("fe80::")
    assert c.neighbours() == {c.eui("fe80::")}
    t.each(lambda m: m.has_not(HOST4, LAN4, "10.0.2.2", *(c.ip,) if m is not c else (a.ip, b.ip)))


def none(t):
    for m in t.all:
        m.shell.good(f"ip link set {m.device} up")
        assert m.shell.good(f"cat /sys/class/net/{m.device}/carrier").splitlines()[-1] == "0"
        m.fixed(f"10.3.3.{m.number}")
    t.each(lambda m: m.has_not(HOST4, LAN4, "10.0.2.2", *(o.ip for o in t.all if o is not m)))
    t.each(lambda m: m.no_lease())


MODES = {m.__name__: m for m in (nat, natnetwork, internal, hostonly, bridge, macvtap, udp, none)}


# ---- rows ----

def start(host, card, udp_ports):
    host.vmctl("net", "create", "lab", "--kind", "internal", "--range", "10.1.1.0/24", "--dhcp", "on")
    specs = []
    for number in (1, 2, 3):
        cards = cards_of(number, udp_ports)
        specs.append(("abc"[number - 1], *({**keys, "mac": f"52:54:00:00:{number:02x}:{i:02x}"} for i, keys in enumerate(cards.values(), 1))))
    found = []
    for number, guest in enumerate(host.all_of(*specs), 1):
        out = guest.shell.good("for c in /sys/class/net/e*; do echo $(cat $c/address) ${c##*/}; ip link set ${c##*/} down; done; "
                               f"(peer serve {ECHO} >/dev/null 2>&1 &)", 60)
        by_mac = dict(line.split() for line in out.splitlines() if line.startswith("52:54:"))
        names = {mode: by_mac[f"52:54:00:00:{number:02x}:{i:02x}"] for i, mode in enumerate(MODES, 1)}
        found.append(Member(guest, number, names))
    return found


# What is wrong with a frame by itself.  The echo's bytes may look like some protocol's, and that is then malformed indeed.
WRONG = "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0 || icmp.checksum.status == 0"
TSHARK = ["tshark", "-n", *(x for p in ("ip", "tcp", "udp") for x in ("-o", f"{p}.check_checksum:TRUE")), "--disable-protocol", "echo"]


def look_at(capture):
    """How many frames there are in it; an AssertionError: one is wrong, or there are none."""
    bad = run(*TSHARK, "-r", capture, "-Y", WRONG).splitlines()
    assert not bad, "tshark says that these are wrong:\n" + "\n".join(bad[:10])
    frames = len(run("tshark", "-n", "-r", capture, "-T", "fields", "-e", "frame.number").splitlines())
    assert frames > 20, f"{frames} frames in a capture"
    return frames


def check(three, mode):
    """How many frames the first guest's card had, and None or what is wrong."""
    first, frames, why = three.all[0], 0, None
    capture = os.path.join(three.station.folder, "capture.pcapng")
    try:
        three.each(lambda m: m.up(mode))
        three.host.vmctl("nic", "capture", "start", first.guest.name, capture, "--card", first.card)
        MODES[mode](three)
        three.host.vmctl("nic", "capture", "stop", first.guest.name, "--card", first.card)
        frames = look_at(capture) if mode != "none" and shutil.which("tshark") else 0
    except Exception:
        why = traceback.format_exc() + "".join(three.host.vmctl("nic", "list", m.guest.name, "-o", "json") for m in three.all)
    three.each(Member.down)
    if os.path.exists(capture):
        os.remove(capture)
    return frames, why


def selected(rows, card, width, mode):
    for row in rows:
        where, _, only = row.partition("/")
        name, _, bits = where.partition(":")
        if name in ("", card) and bits in ("", str(width)) and only in ("", mode):
            return True
    return not rows


def run_card(options, station, card, width, modes, number):
    failed = 0
    with members.Host(options["vmctl"], card, members.images_with_peer(width, tempfile.mkdtemp(dir=station.folder)),
                      options["scale"]) as host:
        began = time.monotonic()
        three = Three(host, station, start(host, card, free_ports(3)))
        print(f"# {card}:{width}: three guests with eight cards each are up after {time.monotonic() - began:.1f} s", flush=True)
        for mode in modes:
            began = time.monotonic()
            frames, why = check(three, mode)
            failed += why is not None
            number += 1
            print(f"{'not ok' if why else 'ok'} {number} {card}:{width} {mode} # {time.monotonic() - began:.1f} s, {frames} frames "
                  "captured", flush=True)
            if why:
                print("# " + why.replace("\n", "\n# "), flush=True)
    return failed


def main():
    arguments, options = sys.argv[2:], {"vmctl": os.path.abspath(sys.argv[1]), "scale": 1.0}
    if "--scale" in arguments:
        at = arguments.index("--scale")
        options["scale"] = float(arguments[at + 1])
        del arguments[at:at + 2]
    cells = {(card, width): [m for m in MODES if selected(arguments, card, width, m)] for card in CARDS for width in (64, 32)}
    number, failed, folder = 0, 0, tempfile.mkdtemp(prefix="matrix-")
    print(f"1..{sum(map(len, cells.values()))}", flush=True)
    try:
        with Station(folder) as station:
            for (card, width), modes in cells.items():
                if modes:
                    failed += run_card(options, station, card, width, modes, number)
                    number += len(modes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


members.own_namespace()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing stays
if "IN_NAMESPACE" not in os.environ or not shutil.which("dnsmasq"):
    print("1..0 # SKIP " + ("dnsmasq is not installed" if "IN_NAMESPACE" in os.environ else "no network namespace to be had here, or not root"))
    sys.exit(0)
try:
    sys.exit(main())
except CannotRun as e:
    print(f"Bail out! {e}")
    sys.exit(1)
