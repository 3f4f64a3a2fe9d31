#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The system's ssh into a Linux guest that runs an SSH server: by `vmctl ssh`, and by port forwards that come and go while
connections live; two machines that want the same port.  Prints TAP.  Usage: test_ssh.py VMCTL GUESTS.SH [CARD]"""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from guest_shell import Shell

VMCTL, GUESTS = (os.path.abspath(a) for a in sys.argv[1:3])
CARD = sys.argv[3] if len(sys.argv) > 3 else "virtio-net"
PATIENCE = float(os.environ.get("PATIENCE", "1"))


def skip(why):
    print(f"1..0 # SKIP {why}")
    sys.exit(0)


def guests(*names):
    made = subprocess.run([GUESTS, *names], capture_output=True, text=True, check=False)
    if made.returncode:
        skip(made.stderr.strip())
    folder = subprocess.run([GUESTS, "--dir"], check=True, capture_output=True, text=True).stdout.strip()
    return [os.path.join(folder, n) for n in names]


class Host:
    """A user with a key, and a guest that knows it."""

    def __init__(self):
        self.base = tempfile.mkdtemp(prefix="terrarium-ssh-")
        os.mkdir(self.base + "/run", 0o700)
        self.env = dict(os.environ, XDG_DATA_HOME=self.base + "/data", XDG_RUNTIME_DIR=self.base + "/run", LC_ALL="C.UTF-8")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "host", "-f", self.base + "/key"], check=True)
        with open(self.base + "/config", "w", encoding="ascii") as f:
            f.write(f"IdentityFile {self.base}/key\nIdentitiesOnly yes\nBatchMode yes\nConnectTimeout 60\nStrictHostKeyChecking accept-new\n"
                    f"UserKnownHostsFile {self.base}/known\n")
        self.options = ["-F", self.base + "/config"]
        self.kernel, self.initrd = guests("vmlinuz-amd64", "ssh-initrd64.gz")
        with open(self.base + "/key.pub", encoding="ascii") as f:
            self.key = f.read().strip()

    def machine(self, name):
        self.vmctl("create", name, "--memory", "256M", "--kernel", self.kernel, "--initrd", self.initrd, "--cmdline",
                   "console=ttyS0 loglevel=3", "--nic", CARD, "--serial", f"socket:{self.base}/{name}")

    def boot(self, name):
        shell = Shell(f"{self.base}/{name}", PATIENCE)
        shell.boot()
        shell.good("cards", 60)
        shell.good("udhcpc -i eth0 -n -q -t 10 -s /bin/lease", 60)
        shell.good(f"K='{self.key}'")
        shell.good("sshd $K", 60)
        return shell

    def vmctl(self, *args, code=0, say="", **more):
        r = subprocess.run([VMCTL, *args], env=self.env, capture_output=True, text=True, timeout=120 * PATIENCE, check=False, **more)
        assert r.returncode == code and say in r.stderr, f"vmctl {' '.join(args)}: {r}"
        return r.stdout

    def ssh(self, *command, code=0, **more):
        return self.vmctl("ssh", "root@g", *self.options, *command, code=code, **more)

    def open(self, port):
        """A connection through the host's port that stays, with a cat in the guest at its end."""
        p = subprocess.Popen(["ssh", *self.options, "-o", "HostKeyAlias=g", "-p", str(port), "-l", "root", "127.0.0.1", "cat"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        return p

    def forwards(self):
        return {f["forward"]: f["stands"] for f in json.loads(self.vmctl("nic", "forward", "list", "g", "-o", "json"))["forwards"]}

    def close(self):
        for name in ("g", "h"):
            subprocess.run([VMCTL, "stop", "--force", name], env=self.env, capture_output=True, check=False)
        shutil.rmtree(self.base)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def takes(port):
    try:
        socket.create_connection(("127.0.0.1", port), 10).close()
        return True
    except ConnectionRefusedError:
        return False


def echoes(p, text):
    p.stdin.write(text)
    return p.stdout.read(len(text)) == text


def login(h):
    """Its command's output and exit code are the guest's; what comes in goes there."""
    assert h.ssh("uname", "-sn").split()[0] == "Linux"
    assert "root" in h.ssh("echo $USER; pwd")
    h.ssh("exit 7", code=7)
    h.ssh("false", code=1)
    assert h.ssh("tr a-z A-Z", input="in and out\n") == "IN AND OUT\n"
    assert h.ssh("-t", "-t", "tty").strip().startswith("/dev/pts/")
    with open(h.base + "/known", encoding="ascii") as f:
        assert f.read().startswith("terrarium-g "), "the key is remembered by the machine's name"
    assert len(h.forwards()) == 1, "each of them has made a forward of its own"


def much(h):
    data = os.urandom(4 << 20)
    r = subprocess.run([VMCTL, "ssh", "root@g", *h.options, "tee /dev/null"], env=h.env, input=data, capture_output=True,
                       timeout=300 * PATIENCE, check=True)
    assert r.stdout == data


def forwards_come_and_go(h):
    """Connections outlive their forward, and others that come and go."""
    made_by_ssh = next(iter(h.forwards()))
    a, b = free_port(), free_port()
    h.vmctl("nic", "forward", "add", "g", "tcp", str(a), "22")
    assert made_by_ssh in h.forwards(), "a new forward has taken away the one that vmctl ssh made"
    first = h.open(a)
    assert echoes(first, b"one\n")
    h.vmctl("nic", "forward", "add", "g", "tcp", str(b), "22")
    second = h.open(b)
    assert echoes(second, b"two\n") and echoes(first, b"three\n")
    h.vmctl("nic", "forward", "rm", "g", "tcp", str(a))
    assert not takes(a) and takes(b)
    assert echoes(first, b"four\n") and echoes(second, b"five\n")
    h.vmctl("nic", "forward", "rm", "g", "tcp", str(b))
    assert echoes(first, b"six\n") and echoes(second, b"seven\n")
    h.vmctl("nic", "forward", "add", "g", "tcp", str(a), "22")
    third = h.open(a)
    assert echoes(third, b"eight\n") and echoes(first, b"nine\n")
    for p in (first, second, third):
        p.stdin.close()
        assert p.wait(30 * PATIENCE) == 0
        p.stdout.close()
    h.vmctl("nic", "forward", "rm", "g", *made_by_ssh.split()[:2])
    assert list(h.forwards()) == [f"tcp 127.0.0.1:{a} 22"], h.forwards()
    h.ssh("true")
    assert len(h.forwards()) == 1, "there was one to the guest's port already"


def one_port_two_machines(h):
    forward = next(iter(h.forwards()))
    h.machine("h")
    h.vmctl("set", "h", f"nic1.forward={forward}")
    h.vmctl("start", "h", say="it leads into machine g")
    other = Shell(h.base + "/h", PATIENCE)
    other.boot()
    h.vmctl("nic", "forward", "rm", "h", *forward.split()[:2])
    h.vmctl("nic", "forward", "add", "h", *forward.split(), code=9, say="it leads into machine g")
    h.ssh("true")  # g's goes on
    h.vmctl("nic", "forward", "rm", "g", *forward.split()[:2])
    h.vmctl("nic", "forward", "add", "h", *forward.split())
    h.vmctl("nic", "forward", "add", "g", *forward.split(), code=9, say="it leads into machine h")
    other.close()


TESTS = [login, much, forwards_come_and_go, one_port_two_machines]


def main():
    if not shutil.which("ssh-keygen"):
        skip("ssh is not installed")
    host = Host()
    print(f"1..{len(TESTS)}", flush=True)
    try:
        host.machine("g")
        host.vmctl("start", "g")
        host.boot("g")
        for n, test in enumerate(TESTS, 1):
            began = time.monotonic()
            try:
                test(host)
                print(f"ok {n} {test.__name__} # {time.monotonic() - began:.1f} s", flush=True)
            except Exception:
                print(f"not ok {n} {test.__name__}\n# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
    finally:
        host.close()


main()
