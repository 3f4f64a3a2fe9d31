#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""terrarium-netadm in a network namespace of its own: what it makes, for whom, and what it refuses.  Needs root.
Prints TAP.  Usage: test_netadm.py PROGRAM POLICY_FILE
PROGRAM reads POLICY_FILE, which is written anew for each check."""
import array
import fcntl
import os
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from other_user import AS_USER, USER, Skip, must_reach

PROGRAM, POLICY = sys.argv[1:3]
TUNGETIFF = 0x800454d2
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 2, 0x1000, 0x4000


def skip(why):
    print(f"1..0 # SKIP {why}")
    sys.exit(0)


def own_namespace():
    """Once more, in a new network namespace."""
    if os.geteuid():
        skip("only root can make network namespaces here")
    if "IN_NAMESPACE" in os.environ:
        return
    tun = "mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200"  # as udev makes it
    probe = ["unshare", "-nm", "sh", "-c", f"{tun} && ip link add br0 type bridge && ip tuntap add t0 mode tap"]
    if subprocess.run(probe, capture_output=True).returncode:
        skip("no network namespace with a bridge and TAPs to be had here")
    os.environ["IN_NAMESPACE"] = "1"
    os.execvp("unshare", ["unshare", "-nm", "sh", "-c", tun + ' && exec "$0" "$@"', sys.executable] + sys.argv)


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def links():
    return {line.split(":")[1].strip().split("@")[0]: line for line in run("ip", "-o", "link").splitlines()}


def policy(text):
    with open(POLICY, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(POLICY, 0o644)


def netadm(*args, user=None, env=None):
    """(answer, descriptor or None, our end of the socket).  user: as USER with the capability only, as setcap would give it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [PROGRAM, *args]
    if user is not None:
        must_reach(PROGRAM)
        command = [*AS_USER, "--inh-caps=-all,+net_admin", "--ambient-caps=-all,+net_admin", "--bounding-set=-all,+net_admin", *command]
    r = subprocess.run(command, stdin=theirs, capture_output=True, text=True, timeout=30, env=dict(os.environ, **(env or {})))
    theirs.close()
    ours.settimeout(5)
    data, ancillary, _, _ = ours.recvmsg(1024, socket.CMSG_SPACE(4 * 4))
    fds = array.array("i")
    for level, kind, raw in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(raw[: len(raw) - len(raw) % 4])
    text = data.decode()
    assert (r.returncode == 0) == text.startswith("ok "), (r.returncode, text, r.stderr)
    assert len(fds) <= 1 and (not fds or text.startswith("ok ")), text
    return text, fds[0] if fds else None, ours


def gone(name):
    for _ in range(100):
        if name not in links():
            return True
        time.sleep(0.05)
    return False


def check_tap(fd, name):
    request = fcntl.ioctl(fd, TUNGETIFF, struct.pack("16sH22x", b"", 0))
    got, flags = struct.unpack("16sH22x", request)
    assert got.rstrip(b"\0").decode() == name, got
    assert flags & (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR) == IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, hex(flags)


def bridged():
    text, fd, _ = netadm("tap", "bridge", "br0")
    name = text.split()[1]
    check_tap(fd, name)
    assert "master br0" in links()[name] and "UP" in links()[name], links()[name]
    os.close(fd)
    assert gone(name)


def on_an_interface():
    text, fd, ours = netadm("tap", "interface", "veth0", "52:54:00:12:34:56")
    name = text.split()[1]
    check_tap(fd, name)
    assert "52:54:00:12:34:56" in links()[name] and "@veth0" in links()[name], links()[name]
    os.close(fd)
    time.sleep(0.2)
    assert name in links(), "it is to stay while the socket is open"
    ours.close()
    assert gone(name), "nobody has removed it"


def hostonly():
    text, fd, _ = netadm("tap", "hostonly", "lab", "192.168.56.1/24")
    bridge = [n for n in links() if n.startswith("tvh")]
    assert len(bridge) == 1 and f"master {bridge[0]}" in links()[text.split()[1]]
    assert "192.168.56.1/24" in run("ip", "-o", "addr", "show", bridge[0])
    assert "network lab of user 0" in run("ip", "link", "show", bridge[0])
    again, fd2, _ = netadm("tap", "hostonly", "lab", "192.168.56.1/24")
    assert again.startswith("ok ")
    text, _, _ = netadm("remove", "hostonly", "lab")
    assert "2 running machines" in text, text
    text, _, _ = netadm("tap", "hostonly", "lab", "192.168.57.1/24")
    assert "in use on this host" in text, text  # it has another address already
    text, _, _ = netadm("tap", "hostonly", "other", "192.168.56.9/28")
    assert "in use on this host" in text, text
    assert [n for n in links() if n.startswith("tvh")] == bridge
    os.close(fd)
    os.close(fd2)
    time.sleep(0.2)
    assert netadm("remove", "hostonly", "lab")[0] == "ok -"
    assert bridge[0] not in links()
    assert netadm("remove", "hostonly", "lab")[0] == "ok -"


def default_is_no():
    if os.path.exists(POLICY):
        os.remove(POLICY)
    for args in (("bridge", "br0"), ("interface", "veth0", "52:54:00:12:34:56"), ("hostonly", "lab", "192.168.56.1/24")):
        text, _, _ = netadm("tap", *args, user=USER)
        assert "may not use" in text and ">> " in text, text  # and says how to allow it
    policy("bridge br0 alice\n")
    assert "may not use" in netadm("tap", "bridge", "br0", user=USER)[0]
    before = set(links())
    assert "may not use" in netadm("remove", "hostonly", "lab", user=USER)[0]
    assert set(links()) == before


def allowed():
    policy("hostonly * *\nbridge br0 *\n")
    text, fd, _ = netadm("tap", "bridge", "br0", user=USER)
    assert text.startswith("ok "), text
    os.close(fd)
    assert "may not use" in netadm("tap", "bridge", "br1", user=USER)[0]
    text, fd, _ = netadm("tap", "hostonly", "lab", "192.168.57.1/24", user=USER)
    assert text.startswith("ok "), text
    assert "of user 4242" in run("ip", "link")
    assert "ranges of" in netadm("tap", "hostonly", "more", "10.90.0.1/24", user=USER)[0]
    os.close(fd)
    time.sleep(0.2)
    assert netadm("remove", "hostonly", "lab", user=USER)[0] == "ok -"
    policy("hostonly * *\nrange 10.90.0.0/16\n")
    text, fd, _ = netadm("tap", "hostonly", "more", "10.90.0.1/24", user=USER)
    assert text.startswith("ok "), text
    os.close(fd)
    time.sleep(0.2)
    netadm("remove", "hostonly", "more", user=USER)


def policy_of_others():
    policy("bridge br0 *\n")
    os.chmod(POLICY, 0o666)
    assert "only root may write" in netadm("tap", "bridge", "br0", user=USER)[0]
    policy("bridge br0 *\n")
    os.chown(POLICY, USER, 0)
    assert "only root may write" in netadm("tap", "bridge", "br0", user=USER)[0]
    os.chown(POLICY, 0, 0)
    os.rename(POLICY, POLICY + ".real")
    os.symlink(POLICY + ".real", POLICY)
    assert not netadm("tap", "bridge", "br0", user=USER)[0].startswith("ok")
    os.remove(POLICY)
    os.remove(POLICY + ".real")
    policy("bridge br0 *\nbridge br0\n")
    assert "line 2" in netadm("tap", "bridge", "br0", user=USER)[0]


def other_users_lie():
    policy("")
    for env in ({"PKEXEC_UID": "0"}, {"PKEXEC_UID": "4242"}):
        assert "may not use" in netadm("tap", "bridge", "br0", user=USER, env=env)[0]
    for env in ({"PKEXEC_UID": ""}, {"PKEXEC_UID": "x"}, {"PKEXEC_UID": "-1"}, {"PKEXEC_UID": "99999999999999999999"}):
        assert "no user's number" in netadm("tap", "bridge", "br0", env=env)[0]
    text, fd, _ = netadm("tap", "hostonly", "lab", "192.168.58.1/24", env={"PKEXEC_UID": "4242"})
    assert text.startswith("ok ") and "of user 4242" in run("ip", "link")
    os.close(fd)
    time.sleep(0.2)
    netadm("remove", "hostonly", "lab", env={"PKEXEC_UID": "4242"})


def hostile_arguments():
    policy("bridge * *\ninterface * *\nhostonly * *\n")
    names = ["", ".", "..", "../../etc", "a" * 16, "a b", "br0;id", "\x1b[31m", "é", "%s%n", "a" * 5000, "br0\n"]
    before = set(links())
    for name in names:
        for args in (("bridge", name), ("interface", name, "52:54:00:00:00:01"), ("hostonly", name, "192.168.56.1/24")):
            if args[0] == "hostonly" and name in ("a" * 16,):
                continue  # fine for a network
            text, fd, _ = netadm("tap", *args, user=USER)
            assert text.startswith("error ") and fd is None, (args, text)
            assert "\x1b" not in text
    for mac in ("", "x", "52:54:00:00:00", "52:54:00:00:00:01:02", "01:00:5e:00:00:01", "00:00:00:00:00:00", "52:54:00:00:00:+1"):
        assert "no address" in netadm("tap", "interface", "veth0", mac, user=USER)[0], mac
    for where in ("", "1.2.3.4", "192.168.56.1/7", "192.168.56.1/30", "192.168.56.0/24", "192.168.56.255/24", "::1/64",
                  "192.168.56.1/24 ", "0x7f.1/24"):
        text = netadm("tap", "hostonly", "lab", where, user=USER)[0]
        assert text.startswith("error "), (where, text)
    for args in ((), ("tap",), ("tap", "bridge"), ("tap", "bridge", "br0", "x"), ("remove", "bridge", "br0"), ("--help",),
                 ("tap", "hostonly", "lab"), ("remove", "hostonly", "lab", "x")):
        assert "nothing that terrarium-netadm does" in netadm(*args, user=USER)[0], args
    assert "is no bridge" in netadm("tap", "bridge", "veth0", user=USER)[0]
    assert "no network interface" in netadm("tap", "bridge", "nothere", user=USER)[0]
    assert set(links()) == before, set(links()) - before


def without_privilege():
    policy("bridge br0 *\n")
    must_reach(PROGRAM)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    r = subprocess.run([*AS_USER, PROGRAM, "tap", "bridge", "br0"], stdin=theirs, capture_output=True, text=True)
    assert r.returncode == 1 and "setcap cap_net_admin+ep" in r.stderr, r.stderr
    r = subprocess.run([PROGRAM, "tap", "bridge", "br0"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert r.returncode == 1 and "vmctl starts this program" in r.stderr, r.stderr


def only_one_capability():
    """What it keeps, while the one that looks after a macvtap lives."""
    _, fd, ours = netadm("tap", "interface", "veth0", "52:54:00:12:34:57")
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/status", encoding="utf-8") as f:
                status = f.read()
        except OSError:
            continue
        if "netadm-sweeper" in status:
            for key in ("CapPrm", "CapEff"):
                assert f"{key}:\t0000000000001000" in status, status
            assert "CapBnd:\t0000000000000000" in status and "NoNewPrivs:\t1" in status, status
            break
    else:
        raise AssertionError("nobody looks after it")
    os.close(fd)
    ours.close()


CHECKS = [bridged, on_an_interface, hostonly, default_is_no, allowed, policy_of_others, other_users_lie, hostile_arguments,
          without_privilege, only_one_capability]


def main():
    own_namespace()
    run("ip", "link", "add", "br0", "type", "bridge")
    run("ip", "link", "add", "br1", "type", "bridge")
    run("ip", "link", "add", "veth0", "type", "veth", "peer", "name", "veth1")
    run("ip", "link", "set", "veth0", "up")
    print(f"1..{len(CHECKS)}")
    failed = 0
    for i, check in enumerate(CHECKS, 1):
        try:
            check()
            print(f"ok {i} {check.__name__}")
        except Skip as why:
            print(f"ok {i} {check.__name__} # SKIP {why}")
        except (AssertionError, subprocess.SubprocessError, OSError) as e:
            failed += 1
            print(f"not ok {i} {check.__name__}\n# {type(e).__name__}: {e}".replace("\n", "\n# ").replace("# # ", "# "))
            import traceback
            print("#", traceback.format_exc().replace("\n", "\n# "))
    sys.exit(0)


main()
