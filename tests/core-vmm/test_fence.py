#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What code that took over a thread of the VM process may still ask the kernel for; that nothing is looked at before the fences
are closed; and how the programs are built.  Prints TAP.  Usage: test_fence.py VMCTL TERRARIUM-VM; TEST: a pattern of names;
PATIENCE: what seconds are multiplied by on a slow machine"""
import fcntl
import json
import os
import pty
import re
import resource
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time

import tracing

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../gui"))
import rfb  # noqa: E402

VMCTL, VM = (os.path.abspath(a) for a in sys.argv[1:3])
MACHINE = os.path.join(os.path.dirname(os.path.realpath(VM)), "terrarium-machine")  # what VM becomes
FIRMWARE = ("/usr/share/seabios/bios-256k.bin", "/usr/share/seabios/bios.bin", "/usr/share/qemu/bios-256k.bin")
THREAD = 0x3d0f00  # flags of a thread, for clone()
PATIENCE = float(os.environ.get("PATIENCE", 1))
GUESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../boot/guests.sh")


class Host:
    """A user's account with a machine, a secret and other processes."""

    def __enter__(self):
        self.base = os.path.realpath(tempfile.mkdtemp(prefix="terrarium-fence-"))
        self.env = dict(os.environ, XDG_DATA_HOME=self.base + "/data", XDG_RUNTIME_DIR=self.base + "/run",
                        HOME=self.base + "/home", TERRARIUM_VM=VM, LC_ALL="C.UTF-8")
        for folder in ("run", "home", "images"):
            os.mkdir(f"{self.base}/{folder}", 0o700)
        self.folder = self.base + "/data/terrarium/machines/m"
        self.secret = self.base + "/home/id_rsa"
        with open(self.secret, "w") as f:
            f.write("secret")
        self.other = subprocess.Popen(["sleep", "1000"])
        return self

    def __exit__(self, *unused):
        self.vmctl("stop", "--force", "m")
        self.other.kill()
        self.other.wait()
        shutil.rmtree(self.base)

    def vmctl(self, *args):
        return subprocess.run([VMCTL, *args], env=self.env, capture_output=True, text=True, cwd=self.base, check=False,
                              timeout=100 * PATIENCE)

    def want(self, *args):
        r = self.vmctl(*args)
        assert r.returncode == 0, f"vmctl {' '.join(args)}: {r.stderr}"

    def start(self, engine):
        self.want("create", "m", "--memory", "32M", "--engine", engine, "--disk", "1M", "--disk-format", "raw",
                  "--set", "ide0.cache=none", "--set", "serial1.target=pty")  # what is in memory needs no worker
        self.begin()
        for _ in range(int(100 * PATIENCE)):  # the firmware reads the boot sector
            kinds = {kind_of(c): t for t, c in tracing.threads(self.pid).items()}
            if "worker" in kinds:
                break
            time.sleep(.1)
        return kinds

    def begin(self):
        self.want("start", "m")
        with open(self.folder + "/lock") as f:
            self.pid = int(f.read())


def kind_of(thread):
    if thread.startswith("vcpu"):
        return "vcpu"
    return {"terrarium-vm": "loop", "gmain": "gmain", "pool-spawner": "spawner"}.get(thread, "worker")


def refused(h, pair, pid):
    """What no thread may do: [what, call number, arguments...]."""
    other, ini = h.other.pid, h.folder + "/machine.ini"
    tty = os.ttyname(h.terminal)
    address = struct.pack("H", 1) + h.base.encode() + b"/log\0"
    rows = [
        ["kill", 62, other, 9], ["tkill", 200, other, 9], ["tgkill", 234, other, other, 9],
        ["rt_sigqueueinfo", 129, other, 9, bytes(128)], ["pidfd_open", 434, other, 0],
        ["fcntl F_SETOWN", 72, pair, 8, other], ["fcntl F_SETSIG", 72, pair, 10, 9],
        ["fcntl F_SETOWN_EX", 72, pair, 15, struct.pack("ii", 1, other)], ["fcntl F_SETFL O_ASYNC", 72, pair, 4, 0o20000],
        ["fcntl F_NOTIFY", 72, pair, 1026, 1], ["fcntl F_SETLEASE", 72, pair, 1024, 1],
        ["ioctl FIOASYNC", 16, pair, 0x5452, struct.pack("i", 1)], ["ioctl FIOSETOWN", 16, pair, 0x8901, struct.pack("i", other)],
        ["ioctl TIOCSTI", 16, 0, 0x5412, b"x"], ["ioctl KVM_SET_PIT2", 16, pair, 0x4070aea0, 0], ["ioctl TIOCLINUX", 16, 0, 0x541c, b"\2"],
        ["prlimit64 of another", 302, other, 7, struct.pack("QQ", 0, 0), 0], ["prlimit64 to ask another", 302, other, 7, 0, bytes(16)],
        ["prlimit64 of itself", 302, 0, 7, struct.pack("QQ", 9, 9), 0], ["setrlimit", 160, 7, struct.pack("QQ", 9, 9)],
        ["sched_setaffinity", 203, other, 8, struct.pack("Q", 1)], ["sched_setscheduler", 144, other, 3, struct.pack("i", 0)],
        ["sched_setattr", 314, other, struct.pack("IIQiIQQQ", 48, 3, 0, 19, 0, 0, 0, 0), 0], ["setpriority", 141, 0, other, 19],
        ["ioprio_set", 251, 1, other, 3 << 13],
        ["chmod", 90, h.secret, 0o666], ["fchmod", 91, 0, 0o666], ["fchmodat", 268, -100, h.secret, 0o666],
        ["chown", 92, h.secret, 0, 0], ["utimensat", 280, -100, h.secret, 0, 0], ["truncate", 76, h.secret, 0],
        ["setxattr", 188, h.secret, "user.a", b"b", 1, 0],
        ["unlink", 87, ini], ["unlinkat", 263, -100, ini, 0], ["link", 86, ini, h.base + "/l"], ["symlink", 88, "/", h.base + "/s"],
        ["rename of machine.ini", 82, ini, h.folder + "/logs/x"], ["rename to machine.ini", 82, h.folder + "/logs/vm.log", ini],
        ["mkdir", 83, h.folder + "/d", 0o700], ["mknod", 133, h.folder + "/n", 0o100600, 0],
        ["open a secret", 2, h.secret, 0], ["openat a secret", 257, -100, h.secret, 0],
        ["make a file", 2, h.base + "/home/.bashrc", 0o101, 0o600], ["make a file in its own folder", 2, h.folder + "/f", 0o101, 0o600],
        ["machine.ini for writing", 2, ini, 1], ["machine.ini, cut short", 2, ini, 0o1001], ["the lock for writing", 2, h.folder + "/lock", 1],
        ["another's memory", 2, f"/proc/{other}/mem", 2], ["another's command line", 2, f"/proc/{other}/cmdline", 0],
        ["own oom_score_adj", 2, f"/proc/self/task/{pid}/oom_score_adj", 1], ["another terminal", 2, tty, 0o4402],
        ["/dev/tty", 2, "/dev/tty", 2], ["/dev/ptmx", 2, "/dev/ptmx", 2],
        ["socket AF_INET", 41, 2, 1, 0], ["socket AF_UNIX", 41, 1, 1, 0], ["socket AF_NETLINK", 41, 16, 3, 0],
        ["socketpair of datagrams", 53, 1, 2, 0, bytes(8)], ["socketpair of packets", 53, 1, 5, 0, bytes(8)],
        ["connect", 42, pair, address, len(address)], ["bind", 49, pair, address, len(address)], ["listen", 50, pair, 1],
        ["sendto an address", 44, pair, b"x", 1, 0, address, len(address)],
        ["sendmmsg", 307, pair, bytes(64), 1, 0],
        ["execve", 59, "/bin/true", bytes(8), bytes(8)], ["fork", 57], ["vfork", 58], ["clone of a process", 56, 17, 0, 0, 0, 0],
        ["clone into a namespace", 56, THREAD | 0x10000000, 0, 0, 0, 0], ["unshare", 272, 0x10000000], ["setns", 308, 0, 0],
        ["mount", 165, "a", "/", "tmpfs", 0, 0], ["chroot", 161, "/"], ["setuid", 105, 0], ["capset", 126, bytes(8), bytes(24)],
        ["ptrace", 101, 0x4206, other, 0, 0], ["process_vm_readv", 310, other, bytes(16), 1, bytes(16), 1, 0],
        ["process_vm_writev", 311, other, bytes(16), 1, bytes(16), 1, 0], ["kcmp", 312, other, other, 0, 0, 0],
        ["keyctl", 250, 0, 0], ["bpf", 321, 0, bytes(64), 64], ["io_uring_setup", 425, 8, bytes(128)],
        ["perf_event_open", 298, bytes(128), other, -1, -1, 0], ["userfaultfd", 323, 1], ["personality", 135, 0x400000],
        ["prctl PR_SET_DUMPABLE", 157, 4, 1], ["prctl PR_SET_PDEATHSIG", 157, 1, 9], ["prctl PR_SET_PTRACER", 157, 0x59616d61, -1],
        ["arch_prctl", 158, 0x1001, 0], ["timer_create", 222, 1, bytes(64), bytes(8)],
        ["mprotect to execute", 10, pair << 12, 4096, 5], ["mmap to write and execute", 9, 0, 4096, 7, 0x22, -1, 0],
        ["membarrier of all processes", 324, 1, 0, 0], ["x32 getpid", 39 | 0x40000000],
    ]
    return rows


OUTSIDE = [["/etc/passwd", 2, "/etc/passwd", 0]]


def more_refused(kind, pair):
    """What this kind of thread may not do, though another may."""
    control = [["accept4", 288, pair, 0, 0, 0], ["recvmsg", 47, pair, bytes(56), 0], ["sendmsg", 46, pair, bytes(56), 0],
               ["socketpair", 53, 1, 1, 0, bytes(8)], ["memfd_create", 319, "x", 0], ["a new thread", 56, THREAD, 0, 0, 0, 0],
               ["mmap to execute", 9, 0, 4096, 5, 0x22, -1, 0], ["a filter more", 317, 1, 0, bytes(16)]]
    files = [["open its own log", 2, "/dev/null/none", 0], ["stat", 4, "/", bytes(144)], ["readlink", 89, "/", bytes(8), 8],
             ["rename", 82, "/a", "/b"]]
    if kind == "vcpu":
        return control + files + [["pread64 (of an image)", 17, pair, bytes(8), 8, 0],
                                  ["preadv2 that may wait", 327, pair, bytes(16), 1, 0, 0, 0], ["ftruncate", 77, pair, 0]]
    if kind == "worker":
        return control + files + [["ioctl KVM", 16, pair, 0xae80, 0], ["timerfd_create", 283, 1, 0], ["send", 44, pair, b"x", 1, 0, 0, 0],
                                  ["poll", 7, bytes(8), 1, 0]]
    return control[5:] + OUTSIDE if kind == "loop" else OUTSIDE


def attack(h, kind, tid, pair):
    """Complaints."""
    bad = []
    t = tracing.Taken(h.pid, tid)
    try:
        for what, number, *args in refused(h, pair, h.pid) + more_refused(kind, pair):
            value = t.call(number, *args)
            if tracing.name(value) not in ("EPERM", "EACCES"):
                return [f"{kind}: {what}: {tracing.name(value)}"]  # the next ones could do harm
        if kind == "vcpu":  # KVM: taking a kick back that came too late
            value = t.call(128, struct.pack("Q", 1 << 36), 0, bytes(16), 8)
            if tracing.name(value) != "EAGAIN":
                bad.append(f"{kind}: rt_sigtimedwait: {tracing.name(value)}")
        for what, number, wanted, *args in [["clone3", 435, -38, bytes(88), 88], ["membarrier", 324, 0, 8, 0, 0], ["getpid", 39, h.pid], ["a thread of its own", 234, 0, h.pid, h.pid, 0]]:
            value = t.call(number, *args)  # the last two also show that calls are made at all
            if value != wanted:
                bad.append(f"{kind}: {what}: {tracing.name(value)}, not {wanted}")
    finally:
        t.done()
    return bad


def spare_descriptor(pid):
    """One that nobody misses if it is changed: the pty's far end, which is open only so that it stays."""
    return max(int(n) for n in os.listdir(f"/proc/{pid}/fd") if os.readlink(f"/proc/{pid}/fd/{n}").startswith("/dev/pts/"))


def threads_of(engine):
    with Host() as h:
        if not any(os.path.exists(f) for f in FIRMWARE):
            return "no SeaBIOS"
        master, h.terminal = pty.openpty()
        kinds = h.start(engine)
        assert {"loop", "gmain", "spawner", "vcpu", "worker"} <= set(kinds), kinds
        pair = spare_descriptor(h.pid)
        bad = [b for kind, tid in kinds.items() for b in attack(h, kind, tid, pair)]
        assert not bad, "\n".join(bad)
        assert h.other.poll() is None and os.stat(h.secret).st_mode & 0o777 == 0o644 & ~os.umask(os.umask(0)) | 0o400
        h.want("stop", "--force", "m")
        os.close(master)
        os.close(h.terminal)
        end = time.time() + 10 * PATIENCE
        # where machines of a user meet belongs to none of them
        while (left := set(os.listdir(h.base + "/run/terrarium")) - {".networks"}) and time.time() < end:
            time.sleep(.1)
        assert not left, f"the sweeper left {left}"
        return None


def test_threads_interp():
    return threads_of("interp")


def test_threads_soft():
    return threads_of("soft")


ONLINE = {"socket AF_INET", "connect", "bind", "listen", "sendto an address", "sendmmsg"}  # what the network process is for


def unix(path):
    return struct.pack("H", 1) + path.encode() + b"\0"


def refused_to_network(h):
    """What code that took over the network process may not do, beside what nobody may: the same rows."""
    log = h.folder + "/logs/network.log"
    return [["/etc/resolv.conf", 2, "/etc/resolv.conf", 0], ["/etc/passwd", 2, "/etc/passwd", 0], ["a disk of the machine", 2, h.folder + "/disk.qcow2", 0],
            ["machine.ini", 2, h.folder + "/machine.ini", 0], ["its own log, by name", 2, log, 1], ["its own log, opened anew", 2, "/proc/self/fd/6", 1],
            ["the program of another", 2, "/bin/true", 0], ["/dev/net/tun", 2, "/dev/net/tun", 2], ["/dev/kvm", 2, "/dev/kvm", 2],
            ["a file where sockets are", 257, -100, h.base + "/run/terrarium/m/x", 0o101, 0o600], ["unlink a socket", 263, -100, h.base + "/run/terrarium/m/control", 0],
            ["a folder beside the networks", 258, -100, h.base + "/run/terrarium/x", 0o700],
            ["rename another's file", 264, -100, h.secret, -100, h.secret + "2"],
            ["socket AF_UNIX of datagrams", 41, 1, 2, 0], ["socket AF_PACKET", 41, 17, 3, 0], ["raw socket", 41, 2, 3, 1], ["raw IPv6 socket", 41, 10, 3, 58],
            ["socket AF_VSOCK", 41, 40, 1, 0], ["socketpair of streams", 53, 1, 1, 0, bytes(8)], ["a new thread", 56, THREAD, 0, 0, 0, 0],
            ["memfd_create", 319, "x", 0], ["a filter more", 317, 1, 0, bytes(16)], ["dup2", 33, 3, 0], ["pidfd_getfd", 438, 3, 3, 0],
            ["mmap to execute", 9, 0, 4096, 5, 0x22, -1, 0], ["setsid", 112], ["waitid", 247, 0, 0, bytes(128), 4, 0]]


def attack_network(h, pid, listeners):
    """listeners: [what, path of a Unix socket], which are not reached by the kind of socket that it has."""
    t = tracing.Taken(pid, pid)
    try:
        for what, number, *args in [r for r in refused(h, 3, pid) if r[0] not in ONLINE] + refused_to_network(h):
            value = tracing.name(t.call(number, *args))
            assert value in ("EPERM", "EACCES"), f"network: {what}: {value}"
        packets = t.call(41, 1, 5 | 0o2004000, 0)
        assert packets >= 0 and t.call(41, 2, 1 | 0o2004000, 0) >= 0, "sockets that are its job"
        for what, path in listeners:
            address = unix(path)
            value = tracing.name(t.call(42, packets, address, len(address)))
            assert value in ("EPROTOTYPE", "EPERM", "EACCES"), f"network: connect to {what}: {value}"
        assert t.call(39) == pid and t.call(435, bytes(88), 88) == -38
    finally:
        t.done()


def find_process(h, comm):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                ours = f"XDG_RUNTIME_DIR={h.base}/run".encode() in f.read().split(b"\0")
            if ours and tracing.comm(int(pid), int(pid)) == comm:
                return int(pid)
        except OSError:
            continue
    raise AssertionError(f"there is no {comm}")


def test_network_process():
    """The network process with cards of several modes, and its child that reads which name servers there are."""
    with Host() as h:
        master, h.terminal = pty.openpty()
        h.want("create", "m", "--memory", "16M", "--engine", "interp", "--disk", "1M", "--disk-format", "qcow2", "--nic", "e1000", "--set",
               "nic2.model=e1000", "--set", "nic2.mode=natnetwork", "--set", "nic3.model=e1000", "--set", "nic3.mode=internal")
        h.begin()
        net, resolver = find_process(h, "terrarium-net"), find_process(h, "net-resolver")
        assert list(tracing.threads(net)) == [net], "it has one thread"
        stream, datagram = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        stream.bind(h.base + "/bus")
        stream.listen()
        datagram.bind(h.base + "/log")
        listeners = [("a bus", h.base + "/bus"), ("a log", h.base + "/log"), ("the VM process", h.base + "/run/terrarium/m/control"),
                     ("its own control socket", h.base + "/run/terrarium/m/network")]
        attack_network(h, net, listeners)
        check_every_thread(net)
        t = tracing.Taken(resolver, resolver)
        try:
            for what, number, *args in refused(h, 0, resolver) + [["socket of packets", 41, 1, 5, 0], ["write /etc", 2, "/etc/passwd", 1], ["its machine", 2, h.folder + "/machine.ini", 0]]:
                value = tracing.name(t.call(number, *args))
                assert value in ("EPERM", "EACCES"), f"resolver: {what}: {value}"
        finally:
            t.done()
        check_every_thread(resolver)
        assert h.other.poll() is None and h.vmctl("nic", "list", "m").stdout.count(" up ") == 3
        os.close(master)
        os.close(h.terminal)


def refused_to_vnc(h):
    """What code that took over the VNC server may not do, beside what nobody may: it can open nothing at all."""
    paths = ["/etc/passwd", "/dev/null", "/usr/lib", h.folder + "/machine.ini", h.folder + "/vnc.password", h.folder + "/logs/vnc.log",
             h.folder + "/disk.qcow2", "/proc/self/fd/3", "/proc/self/status"]
    return [[f"open {p}", 2, p, 0] for p in paths] + [[f"openat {p}", 257, -100, p, 0] for p in paths] + [
        ["readlink", 89, "/proc/self/exe", bytes(64), 64], ["a folder's names", 217, 3, bytes(64), 64], ["rename", 82, "/a", "/b"],
        ["memfd_create", 319, "x", 0], ["a filter more", 317, 1, 0, bytes(16)], ["dup2", 33, 3, 0], ["pidfd_getfd", 438, 3, 3, 0],
        ["mmap to execute", 9, 0, 4096, 5, 0x22, -1, 0], ["setsid", 112], ["waitid", 247, 0, 0, bytes(128), 4, 0],
        ["timerfd_create", 283, 1, 0], ["flock", 73, 3, 2], ["fallocate", 285, 3, 0, 0, 4096]]


def attack_vnc(h, pid, tid, pair):
    t = tracing.Taken(pid, tid)
    try:
        for what, number, *args in refused(h, pair, pid) + refused_to_vnc(h):
            value = tracing.name(t.call(number, *args))
            assert value in ("EPERM", "EACCES"), f"VNC server: {what}: {value}"
        assert t.call(39) == pid and t.call(435, bytes(88), 88) == -38
    finally:
        t.done()


def test_vnc_server():
    """The VNC server's loop thread, and the thread of a client."""
    with Host() as h:
        master, h.terminal = pty.openpty()
        h.want("create", "m", "--memory", "16M", "--engine", "interp", "--nic", "none", "--set", "vnc.listen=auto")
        h.begin()
        vnc = find_process(h, "terrarium-vnc")
        where = json.loads(h.vmctl("vnc", "m", "status", "-o", "json").stdout)["now"]["where"]
        client = rfb.Rfb(int(where.split("port ")[1].rstrip(")")))
        assert client.begin() and client.picture()
        threads = tracing.threads(vnc)
        assert "viewer" in threads.values(), threads
        check_every_thread(vnc)
        for tid in threads:
            attack_vnc(h, vnc, tid, 3)
        assert h.other.poll() is None and client.picture(), "it does not go on"
        client.close()
        os.close(master)
        os.close(h.terminal)


def check_every_thread(pid):
    for tid in tracing.threads(pid):
        with open(f"/proc/{pid}/task/{tid}/status") as f:
            lines = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
        assert lines["Seccomp"] == "2" and lines["NoNewPrivs"] == "1", lines
        for cap in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
            assert int(lines[cap], 16) == 0, f"{cap}: {lines[cap]}"
        assert os.geteuid() != 0 or int(lines["CapBnd"], 16) == 0, lines["CapBnd"]


def test_every_thread():
    """The kernel says of each thread that it is fenced, and of root's capabilities that they are gone."""
    with Host() as h:
        h.start("soft")
        check_every_thread(h.pid)


def no_kvm():
    """Why KVM is of no use here; None: it is."""
    said = subprocess.run([VMCTL, "host-info", "-o", "json"], capture_output=True, text=True, check=True).stdout
    return next((e["reason"] for e in json.loads(said)["engines"] if e["engine"] == "kvm" and not e["usable"]), None)


def test_threads_kvm():
    return no_kvm() or threads_of("kvm")


def guest(name):
    """A file that tests/boot/guests.sh makes, and why there is none."""
    made = subprocess.run(["bash", GUESTS, name], capture_output=True, text=True, check=False)
    folder = subprocess.run(["bash", GUESTS, "--dir"], capture_output=True, text=True, check=True).stdout.strip()
    return os.path.join(folder, name), made.stderr.strip() if made.returncode else None


def test_boot_kvm():
    """Linux on two CPUs comes up in KVM inside the fence, is paused, goes on, is reset, comes up again and powers itself off:
    each asks KVM for something else (states of CPUs, slots of memory, kicks)."""
    kernel, no_kernel = guest("vmlinuz-cloud")
    initrd, no_initrd = guest("initrd64.gz")
    why = no_kvm() or no_kernel or no_initrd
    if why:
        return why
    with Host() as h:
        seconds = str(int(60 * PATIENCE))
        h.want("create", "m", "--memory", "256M", "--cpus", "2", "--engine", "kvm", "--kernel", kernel, "--initrd", initrd,
               "--cmdline", "console=tty0 console=ttyS0,115200 loglevel=4 panic=-1")
        h.begin()
        h.want("wait", "m", "--serial", "online=0-1", "--timeout", seconds)
        check_every_thread(h.pid)
        h.want("wait", "m", "--serial", "GUEST-PROMPT", "--timeout", seconds)
        h.want("pause", "m")
        h.want("screen", "shot", "m", h.base + "/picture.png")
        h.want("resume", "m")
        h.want("reset", "m")
        h.want("wait", "m", "--new", "--serial", "GUEST-PROMPT", "--timeout", seconds)
        check_every_thread(h.pid)
        h.want("serial", "m", "--send", "poweroff -f\\n")
        h.want("wait", "m", "--state", "stopped", "--timeout", seconds)
        log = h.vmctl("logs", "m").stdout
        assert "engine kvm" in log and not re.search(r" (warning|error|critical) ", log), log
        return None


NEVER = ("kill", "tkill", "rt_sigqueueinfo", "pidfd_open", "fcntl F_SETOWN", "fcntl F_SETSIG", "fcntl F_SETOWN_EX",
         "fcntl F_SETFL O_ASYNC", "fcntl F_NOTIFY", "fcntl F_SETLEASE", "ioctl FIOASYNC", "ioctl FIOSETOWN", "ioctl TIOCSTI",
         "ioctl TIOCLINUX", "prlimit64 of another", "prlimit64 to ask another", "setrlimit",
         "sched_setaffinity", "sched_setscheduler", "sched_setattr", "setpriority", "ioprio_set", "chmod", "fchmodat", "chown",
         "utimensat", "truncate", "setxattr", "link", "mknod", "socket AF_INET", "socket AF_NETLINK", "socketpair of datagrams",
         "sendto an address", "sendmmsg", "vfork", "clone into a namespace", "unshare", "setns", "mount", "chroot", "setuid",
         "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "keyctl", "bpf", "io_uring_setup", "perf_event_open",
         "userfaultfd", "personality", "prctl PR_SET_DUMPABLE", "prctl PR_SET_PTRACER", "timer_create", "mprotect to execute",
         "mmap to write and execute", "x32 getpid")


def test_first_instruction():
    """What no part of the VM process needs is refused to the dynamic linker too, and to libraries before main()."""
    with Host() as h:
        h.want("create", "m")
        master, h.terminal = pty.openpty()
        t = tracing.AtFirstInstruction([VM, "--folder", h.folder], h.env, execs=2)
        try:
            assert os.readlink(f"/proc/{t.pid}/exe") == MACHINE
            with open(f"/proc/{t.pid}/status") as f:
                status = f.read()
            assert "\nSeccomp:\t2" in status and "\nNoNewPrivs:\t1" in status, status
            rows = [r for r in refused(h, 0, t.pid) if r[0] in NEVER]
            rows += [["init_module", 175, bytes(8), 8, ""], ["kexec_load", 246, 0, 0, 0, 0], ["swapon", 167, "/", 0], ["reboot", 169, 0, 0, 0, 0],
                     ["clone3", 435, bytes(88), 88], ["add_key", 248, "user", "x", b"x", 1, -2], ["open_by_handle_at", 304, 3, bytes(8), 0],
                     ["quotactl", 179, 0, 0, 0, 0], ["syslog", 103, 3, bytes(8), 8], ["acct", 163, "/x"], ["fanotify_init", 300, 0, 0]]
            assert len(rows) == len(NEVER) + 11, sorted(set(NEVER) - {r[0] for r in rows})
            for what, number, *args in rows:
                value = tracing.name(t.call(number, *args))
                assert value in ("ENOSYS", "EPERM"), f"{what}: {value}"
            assert t.call(41, 1, 1, 0) >= 0, "a socket of this host"
        finally:
            t.end()
            os.close(master)
            os.close(h.terminal)


def test_starter():
    """Installed, the machine's program lies in another folder; where there is none, vmctl says so."""
    with Host() as h:
        for folder in ("bin", "libexec/terrarium"):
            os.makedirs(f"{h.base}/usr/{folder}")
        h.env["TERRARIUM_VM"] = shutil.copy(VM, h.base + "/usr/bin")
        h.want("create", "m", "--memory", "16M", "--engine", "interp")
        r = h.vmctl("start", "m")
        assert r.returncode == 1 and "terrarium-machine: No such file" in r.stderr, r
        shutil.copy(MACHINE, h.base + "/usr/libexec/terrarium")
        h.want("start", "m")
        with open(h.folder + "/lock") as f:
            pid = int(f.read())
        assert os.readlink(f"/proc/{pid}/exe") == h.base + "/usr/libexec/terrarium/terrarium-machine"
        with open(f"/proc/{pid}/comm") as f:
            assert f.read() == "terrarium-vm\n"
        h.want("stop", "--force", "m")
        t = tracing.AtFirstInstruction([h.env["TERRARIUM_VM"], "--folder", h.folder, "--no-jail"], h.env, execs=2)
        try:
            assert not tracing.fenced(t.pid), "--no-jail leaves a fence"
        finally:
            t.end()


def fenced_reads(argv, h, files, others=False, enough=None):
    w = tracing.Watch(argv, h.env, files, enough, cwd=h.base)
    bad = [r for r in w.reads if not (r[3] and r[4])]
    assert w.reads, f"{' '.join(argv[1:])}: no read of {files} was seen"
    assert not bad, f"{' '.join(argv[1:])}: outside of the fence: {bad[0]}"
    assert not others or any(r[2] for r in w.reads), "no child looked at the image"
    return w


def test_order_machine():
    """Image, what it builds upon, kernel, initrd and firmware: by the VM process and by the child that lists images."""
    with Host() as h:
        for name in ("kernel", "initrd", "firmware"):
            with open(f"{h.base}/images/{name}", "wb") as f:
                f.write(bytes(1 << 16))
        h.want("disk", "create", "images/base.qcow2", "1M")
        h.want("disk", "create", "images/disk.qcow2", "--backing", "base.qcow2", "-F", "qcow2")
        files = [f"{h.base}/images/{n}" for n in ("disk.qcow2", "base.qcow2", "kernel", "initrd", "firmware")]
        h.want("create", "m", "--memory", "16M", "--engine", "interp", "--disk", files[0], "--kernel", files[2], "--initrd", files[3])
        w = fenced_reads([VM, "--folder", h.folder], h, files, others=True)  # which says that this is no kernel
        assert {r[0] for r in w.reads} >= set(files[:3]), w.reads
        h.want("set", "m", f"machine.firmware={files[4]}", "--unset", "machine.kernel", "--unset", "machine.initrd")
        fenced_reads([VM, "--folder", h.folder], h, files[4:], enough=lambda w: len(w.reads) > 0)


def test_order_vmctl():
    """Every part of `vmctl disk` that opens an image, and the verbs that look at one."""
    with Host() as h:
        def paths(*names):
            return [f"{h.base}/images/{n}" for n in names]
        a, child = paths("a.qcow2", "child.qcow2")
        h.want("disk", "create", a, "8M")
        h.want("disk", "create", child, "--backing", a, "-F", "qcow2")
        for words in (["info", a], ["info", "--chain", child], ["check", a], ["check", "--repair", a], ["map", a], ["compare", a, child],
                      ["convert", "-q", a, *paths("b.vdi")], ["clone", "-q", child, *paths("c.qcow2")], ["resize", "-q", child, "+1M"],
                      ["create", *paths("d.qcow2"), "--backing", a, "-F", "qcow2"], ["pull", "-q", child], ["compact", "-q", a]):
            w = fenced_reads([VMCTL, "disk", *words], h, [a, child])
            assert w.code == 0, f"disk {words}: ended with {w.code}"
        h.want("disk", "clone", "--linked", a, *paths("e.qcow2"))
        fenced_reads([VMCTL, "disk", "commit", "-q", *paths("e.qcow2")], h, paths("e.qcow2") + [a])
        shutil.copy(a, h.base + "/images/x.img")
        fenced_reads([VMCTL, "create", "m", "--disk", *paths("x.img")], h, paths("x.img"), others=True)
        h.want("create", "n", "--disk", *paths("x.img"))
        fenced_reads([VMCTL, "delete", "m"], h, paths("x.img"), others=True)


def test_inside_vmctl():
    """Code that took over `vmctl disk`, or a child that looks at an image, at its first read."""
    with Host() as h:
        image, other = f"{h.base}/images/a.img", f"{h.base}/home/.ssh"
        master, h.terminal = pty.openpty()
        with open(h.base + "/home/.netrc", "w") as f:
            f.write("secret")
        os.makedirs(other)
        shutil.copy(h.secret, other)
        h.secret = other + "/id_rsa"
        h.want("create", "m", "--memory", "16M", "--engine", "interp")
        h.want("disk", "create", image, "1M", "-O", "qcow2")
        os.mkdir(h.folder + "/logs")
        for name in ("lock", "logs/vm.log"):
            with open(f"{h.folder}/{name}", "w") as f:
                f.write("")
        bad, tried = [], []

        def attack(t, is_child):
            tried.append(is_child)
            rows = refused(h, 0, t.tid)
            rows.append(["write the image", 2, image, 1])
            rows.append([".netrc", 2, h.base + "/home/.netrc", 0])
            for what, number, *args in rows:
                value = t.call(number, *args)
                if tracing.name(value) not in ("EPERM", "EACCES"):
                    bad.append(f"{what}: {tracing.name(value)}")
                    return  # the next ones could do harm

        for words in (["disk", "info", image], ["disk", "check", "-f", "qcow2", image], ["disk", "map", "-f", "qcow2", image],
                      ["create", "n", "--disk", image]):
            w = tracing.Watch([VMCTL, *words], h.env, [image], cwd=h.base, attack=attack)
            assert not bad, f"{words}: " + "\n".join(bad)
            assert w.code == 0, f"{words}: ended with {w.code}"
        h.want("set", "m", "ide0.file=" + image, "ide0.format=qcow2")
        tracing.Watch([VM, "--folder", h.folder], h.env, [image], cwd=h.base, attack=lambda t, c: attack(t, c) if c else None,
                      enough=lambda w: w.first in w.attacked)
        assert not bad, "the VM's child: " + "\n".join(bad)
        assert tried.count(True) > 1 and tried.count(False) == 3, tried
        os.close(master)
        os.close(h.terminal)


def test_names_of_parts():
    """What changes an image in place may write to the files that it consists of, and to nothing else in their folder."""
    with Host() as h:
        other = h.base + "/images/other.img"
        with open(other, "w") as f:
            f.write("mine")
        kinds = {"a.qcow2": [], "b.vmdk": ["--option", "subformat=monolithicFlat"]}
        for image, options in kinds.items():
            path, bad, tried = f"{h.base}/images/{image}", [], []
            h.want("disk", "create", path, "1M", *options)

            def attack(t, is_child):
                rows = [["write a neighbour", 2, other, 1], ["cut it short", 2, other, 0o1001], ["remove it", 87, other],
                        ["rename it", 82, other, other + "2"], ["a new file", 2, other + "3", 0o101, 0o600]]
                bad.extend(r[0] for r in rows if tracing.name(t.call(r[1], *r[2:])) not in ("EPERM", "EACCES"))
                parts = [path] + ([path.replace(".vmdk", "-flat.vmdk")] if options else [])
                tried.append(is_child or all(t.call(2, p, 2) >= 0 for p in parts))

            verbs = [["check", "--repair", path], ["compact", "-q", path]] + ([] if options else [["resize", "-q", path, "+1M"]])
            for words in verbs:
                w = tracing.Watch([VMCTL, "disk", *words], h.env, [path], cwd=h.base, attack=attack)
                assert w.code == 0 and not bad, f"{words}: ended with {w.code}; " + ", ".join(bad)
            assert all(tried) and len(tried) > len(verbs), tried
        with open(other) as f:
            assert f.read() == "mine"


def test_hardening():
    """Position-independent, everything relocated before main, canaries, checked library calls."""
    for program in (VMCTL, VM, MACHINE):
        headers = subprocess.run(["readelf", "-hdlW", program], capture_output=True, text=True, check=True).stdout
        symbols = subprocess.run(["nm", "-D", program], capture_output=True, text=True, check=True).stdout
        assert "DYN" in headers and "GNU_RELRO" in headers and ("BIND_NOW" in headers or "NOW" in headers), program
        assert "RWE" not in headers, f"{program}: an executable stack"
        if "__asan_init" not in symbols:
            assert "__stack_chk_fail" in symbols and re.search("_chk(@|$)", symbols.replace("__stack_chk", ""), re.M), program


def main():
    tests = [(n, f) for n, f in globals().items() if n.startswith("test_") and re.search(os.environ.get("TEST", ""), n)]
    failed, why = 0, tracing.why_not()
    print(f"1..{len(tests)}", flush=True)
    for number, (name, test) in enumerate(tests, 1):
        try:
            skip = why if why and name != "test_hardening" else test()
            print(f"ok {number} {name[5:]}" + (f" # SKIP {skip}" if skip else ""), flush=True)
        except Exception as e:  # a test that breaks has failed
            failed += 1
            text = f"{type(e).__name__}: {e}"[:6000].replace("\n", "\n# ")
            print(f"not ok {number} {name[5:]}\n# {text}", flush=True)
    return failed > 0


sys.exit(main())
