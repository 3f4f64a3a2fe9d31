#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Installs Debian 12 in a machine, unattended, over NAT, and boots what was installed.  Prints TAP.

  install.py [--vmctl PATH] [--engine E] [--scale F] [--keep DIR] ARCH-DISK-CARD...

ARCH: amd64 or i386; DISK: ide, sata, virtio or nvme; CARD: a model of [nic1].  The netboot installer's kernel and initrd
boot directly; it configures the network by DHCP, fetches the answers and its components by HTTP from a mirror on the host's
loopback address (mirror.py), makes a base system with a kernel and GRUB on a qcow2 disk, and powers off.  Then the machine
boots from that disk alone, and somebody logs in on the serial line.  --keep: logs land there, and the installer's own."""
import argparse
import collections
import os
import socket
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../boot"), os.path.join(HERE, "../network")]
import boot  # noqa: E402
import mirror  # noqa: E402
from guest_shell import Shell  # noqa: E402

DISKS = {"ide": "ide0", "sata": "sata0", "virtio": "virtio-disk0", "nvme": "nvme0"}
CONSOLE = "console=ttyS0,115200"
LIMIT = 1800  # seconds, of the whole installation


class Heard:
    """A serial line's socket that writes down what comes."""

    def __init__(self, line, name):
        self.line, self.file = line, open(name, "ab") if name else None

    def fileno(self):
        return self.line.fileno()

    def recv(self, most):
        data = self.line.recv(most)
        if self.file:
            self.file.write(data)
            self.file.flush()
        return data

    def sendall(self, data):
        self.line.sendall(data)

    def close(self):
        self.line.close()
        if self.file:
            self.file.close()


class Log:
    """The installer's system log, by UDP: the last lines, and all of them in a file."""

    def __init__(self, name):
        self.socket, self.lines = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), collections.deque(maxlen=30)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.file = open(name, "w", encoding="utf-8") if name else None
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            line = self.socket.recv(65536).decode("utf-8", "replace").strip()
            self.lines.append(line)
            if self.file:
                self.file.write(line + "\n")
                self.file.flush()


class Machine(boot.Machine):
    """One with a disk, a card, and its serial line on a socket."""

    def create(self, disk, card, port, log, guests):
        self.disk, self.serial = os.path.join(self.home, "disk.qcow2"), os.path.join(self.home, "serial")
        self.run("disk", "create", self.disk, "4G")
        line = (f"auto=true priority=critical language=en country=US locale=en_US.UTF-8 hostname=guest domain=lan DEBIAN_FRONTEND=text TERM=dumb url=http://10.0.2.2:{port}/preseed.cfg "
                f"log_host=10.0.2.2 log_port={log} {CONSOLE} loglevel=3 panic=-1")
        kernel, initrd = guests
        self.run("create", self.name, "--memory", "1G", "--kernel", kernel, "--initrd", initrd, "--cmdline", line,
                 "--engine", self.options.engine, "--set", f"nic1.model={card}", "--set", f"{DISKS[disk]}.file={self.disk}",
                 "--set", f"serial1.target=socket:{self.serial}")

    def start(self):
        self.run("start", self.name)
        end = time.monotonic() + 20
        while not os.path.exists(self.serial) and time.monotonic() < end:
            time.sleep(0.1)
        shell = Shell(self.serial, self.options.scale)
        keep = self.options.keep
        shell.socket = Heard(shell.socket, keep and os.path.join(keep, f"{self.name}-serial.txt"))
        return shell

    def without_installer(self):
        for key in ("kernel", "initrd", "cmdline"):
            self.run("set", self.name, f"machine.{key}=")


def install(vm, out):
    """From power-on to power-off; what it said goes to the list `out`."""
    began = time.monotonic()
    shell = vm.start()
    try:
        for mark in ("INSTALL-DISK", "INSTALL-BASE", "INSTALL-DONE"):
            shell.until(mark, LIMIT - (time.monotonic() - began))
            out.append(f"{mark} after {time.monotonic() - began:.0f} s")
    finally:
        out.append(shell.text[-4000:])
        shell.close()
    vm.step("state", "stopped", 60)
    return time.monotonic() - began


def log_in(vm):
    """Boots from the disk; seconds until the prompt, and what the system says of itself."""
    began = time.monotonic()
    shell = vm.start()
    try:
        shell.until("login: ", 300)
        took = time.monotonic() - began
        shell.socket.sendall(b"root\n")
        shell.until("Password: ", 60)
        shell.socket.sendall(b"root\n")
        shell.until(r"# ", 60)
        says = shell.good("cat /etc/debian_version; uname -m; findmnt -no SOURCE,FSTYPE /; dpkg -l | grep -c ^ii", 60)
        net = shell.good("ip -4 -o addr show scope global; ping -c 1 -W 5 10.0.2.2 | grep received", 60)
        shell.start("poweroff")
    finally:
        shell.close()
    vm.step("state", "stopped", 60 * vm.options.scale)
    return took, " ".join(says.split()), net


def answers(kernel):
    with open(os.path.join(HERE, "preseed.cfg"), encoding="utf-8") as f:
        return f.read().replace("@KERNEL@", kernel)


def run(options, name, cache):
    arch, disk, card = name.split("-", 2)
    names = [f"di-{arch}-text-linux", f"di-{arch}-text-initrd.gz"]
    reason = boot.guests_ready(names)
    if reason:
        return f"SKIP {reason}"
    guests = [os.path.join(cache, n) for n in names]
    try:
        packages = mirror.Packages(cache, arch, *guests)
    except mirror.Missing as e:
        return f"SKIP the mirror cannot be made: {e}".replace("\n", " ")
    served, out = mirror.Mirror(packages), []
    served.server.extra["preseed.cfg"] = answers(mirror.KERNEL[arch]).replace("@PORT@", str(served.port)).encode()
    vm = Machine(options, name)
    log = Log(options.keep and os.path.join(options.keep, f"{name}-log.txt"))
    try:
        vm.create(disk, card, served.port, log.port, guests)
        took = install(vm, out)
        vm.without_installer()
        up, says, net = log_in(vm)
        asked = served.asked()
        print(f"# installed in {took:.0f} s ({', '.join(out[:-1])}), {len(asked)} requests, "
              f"{sum(n or 0 for _, n in asked) / 1e6:.0f} MB; login after {up:.0f} s; it says: {says}; {net}", flush=True)
        return None if says.startswith("12.") and "ext4" in says and "10.0.2.15" in net else f"it says {says!r}, {net!r}"
    except (AssertionError, boot.Failed) as e:
        missing = [p for p, n in served.asked() if n is None]
        return f"{e}\n" + "\n".join(out) + f"\nasked for in vain: {missing[-20:]}\nlast asked for: {served.asked()[-3:]}\n" + "\n".join(log.lines)
    finally:
        if options.keep:
            with open(os.path.join(options.keep, f"{name}.txt"), "w", encoding="utf-8") as f:
                f.write("\n".join([*out, *(f"{p} {n}" for p, n in served.asked())]) + "\n")
        vm.close()
        served.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vmctl", default=os.path.join(HERE, "../../build/core-vmm/vmctl/vmctl"))
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--keep")
    parser.add_argument("test", nargs="+")
    options = parser.parse_args()
    if options.keep:
        os.makedirs(options.keep, exist_ok=True)
    cache = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "terrarium/guests")
    cache = os.environ.get("TERRARIUM_GUESTS", cache)
    failed = 0
    print(f"1..{len(options.test)}", flush=True)
    for i, name in enumerate(options.test, 1):
        why = run(options, name, cache)
        skipped = why and why.startswith("SKIP ")
        failed += bool(why and not skipped)
        if why and not skipped:
            print("\n".join("# " + line for line in why.splitlines()))
        print(f"{'not ok' if why and not skipped else 'ok'} {i} {name}" + (f" # {why}" if skipped else ""), flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
