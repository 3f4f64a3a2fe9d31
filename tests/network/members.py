# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux guests that are members of networks, for the tests of this folder: machines in folders of their own, each with a shell on
its serial line, and peer.c's program in it."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "bench")]
from guest import gcc  # noqa: E402
from guest_shell import Shell  # noqa: E402

GUESTS = os.path.join(HERE, "..", "boot", "guests.sh")
KERNELS = {64: "vmlinuz-amd64", 32: "vmlinuz-686-pae"}
# /dev/net/tun is not everywhere, and what `ip netns` keeps is to be ours alone.
PREPARE = ("mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200 && mount -t sysfs none /sys && "
           "mount -t tmpfs none /run && ip link set lo up")
ENGINE = os.environ.get("ENGINE", "soft")
# Linux takes the TSC's rate from the 8254, which on a busy host may be wrong by ten; the ACPI timer's is known.
CLOCK = "clocksource=acpi_pm"


class CannotRun(Exception):
    """There is something that this host lacks."""


def own_namespace():
    """Runs this script in a network namespace of its own, if that can be had."""
    if os.geteuid() or "IN_NAMESPACE" in os.environ:
        return
    if subprocess.run(["unshare", "-nm", "sh", "-c", PREPARE], capture_output=True).returncode == 0:
        os.environ["IN_NAMESPACE"] = "1"
        os.execvp("unshare", ["unshare", "-nm", "sh", "-c", PREPARE + ' && exec "$0" "$@"', sys.executable] + sys.argv)


def images(width=64):
    """Paths of a kernel and an initramfs of that width, from the cache."""
    names = [KERNELS[width], f"network-initrd{width}.gz"]
    made = subprocess.run(["bash", GUESTS, *names], capture_output=True, text=True)
    if made.returncode:
        raise CannotRun(made.stderr.strip())
    cache = subprocess.run(["bash", GUESTS, "--dir"], capture_output=True, text=True, check=True).stdout.strip()
    return [os.path.join(cache, n) for n in names]


def peer_program(width, path):
    why = gcc(width, "-O2", "-s", os.path.join(HERE, "peer.c"), "-o", path)
    if why:
        raise CannotRun(f"peer.c cannot be built for {width} bits: {why}")


def images_with_peer(width, folder):
    """The same with peer.c's program, appended as a second archive."""
    kernel, first = images(width)
    tree, initrd = os.path.join(folder, f"tree{width}"), os.path.join(folder, f"initrd{width}.gz")
    os.makedirs(os.path.join(tree, "bin"))
    peer_program(width, os.path.join(tree, "bin", "peer"))
    more = subprocess.run("find . | cpio -o -H newc -R 0:0 --quiet | gzip -1", shell=True, check=True, cwd=tree, capture_output=True)
    with open(first, "rb") as a, open(initrd, "wb") as b:
        b.write(a.read() + more.stdout)
    return kernel, initrd


class Guest:
    """cards: the keys of each card's section; `_` stands for `-`."""

    def __init__(self, host, name, *cards):
        self.host, self.name = host, name
        self.path = os.path.join(host.base, name + ".tty")
        sets = [f"machine.engine={ENGINE}", f"serial1.target=socket:{self.path}"]
        for i, keys in enumerate(cards, 1):
            sets += [f"nic{i}.{k.replace('_', '-')}={v}" for k, v in {"model": host.card, "rom": "off", **keys}.items()]
        host.vmctl("create", name, "--memory", "192M", "--kernel", host.kernel, "--initrd", host.initrd, "--nic", "none",
                   "--cmdline", f"console=ttyS0,115200 loglevel=4 panic=-1 {CLOCK}", *(x for s in sets for x in ("--set", s)))
        host.vmctl("start", name)
        self.shell = Shell(self.path, host.scale)

    def ready(self):
        self.shell.until("GUEST-PROMPT", 120)
        time.sleep(1)
        self.shell.socket.sendall(b"stty cols 5000\n")  # else the shell breaks the echo of long lines
        self.shell.good("cards", 60)
        return self

    def address(self, address, card="eth0"):
        self.shell.good(f"ip addr add {address}/24 dev {card}")
        self.ip = address

    def dhcp(self, card="eth0"):
        out = self.shell.good(f"udhcpc -i {card} -n -q -t 10 -s /bin/lease", 60)
        self.ip = out.split(f"LEASE {card} ")[1].split("/")[0]
        return out

    def pings(self, address):
        return self.shell.run(f"ping -c 2 -W 3 {address}", 30)[1] == 0

    def sends_to(self, other, port=7):
        """A megabyte by TCP, with equal sums."""
        other.shell.start(f"nc -l -p {port} | md5sum")
        time.sleep(1 * self.host.scale)
        mine = self.shell.good(f"head -c 1000000 /dev/urandom >sent; md5sum <sent; nc -w 20 {other.ip} {port} <sent", 60)
        theirs, code = other.shell.result(60)
        sums = [re.search(r"^[0-9a-f]{32}", text, re.M)[0] for text in (mine, theirs)]  # the echo may be there, too
        assert code == 0 and sums[0] == sums[1], (mine, theirs)


class Host:
    """card: the model that guests have if their cards do not say; images: kernel and initramfs."""

    def __init__(self, vmctl, card, images_, scale=1.0):
        self.program, self.card, self.scale = vmctl, card, scale
        self.kernel, self.initrd = images_

    def __enter__(self):
        self.base = tempfile.mkdtemp(prefix="members-")
        os.mkdir(self.base + "/run", 0o700)
        self.env = dict(os.environ, XDG_DATA_HOME=self.base + "/data", XDG_RUNTIME_DIR=self.base + "/run", LC_ALL="C.UTF-8")
        return self

    def __exit__(self, *error):
        for name in self.vmctl("list", "-o", "name").split():
            subprocess.run([self.program, "stop", "--force", name], env=self.env, capture_output=True)
        shutil.rmtree(self.base, ignore_errors=True)

    def vmctl(self, *args):
        r = subprocess.run([self.program, *args], env=self.env, capture_output=True, text=True, timeout=120 * self.scale)
        assert r.returncode == 0, (args, r.stderr)
        return r.stdout

    def all_of(self, *specs):
        """Guests that boot at the same time."""
        made = [Guest(self, name, *cards) for name, *cards in specs]
        return [g.ready() for g in made]
