#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Network cards in real guests, behind NAT: Linux' driver of each, and iPXE from each card's ROM and from its CD.  Prints TAP.

  cards.py [--vmctl PATH] [--engine E] [--mib N] [--scale F] TEST...
  linux64-MODEL linux32-MODEL   an address by DHCP, ping, N MiB by TCP each way with equal sums
  rom-MODEL cd-MODEL            boots Linux by TFTP, by the card's ROM or by iPXE's CD"""
import argparse
import hashlib
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from boot import HERE, Failed, Machine, guests_ready

KERNELS = {"linux64": ("vmlinuz-amd64", "network-initrd64.gz"), "linux32": ("vmlinuz-686-pae", "network-initrd32.gz")}
LINE = "console=ttyS0,115200 loglevel=4 panic=-1"


class Peer(threading.Thread):
    """A TCP server of the host: sends its bytes to whoever sends none, and else sums up what comes."""

    def __init__(self, mib):
        super().__init__(daemon=True)
        self.data = random.Random(mib).randbytes(1 << 20)
        self.mib, self.sums, self.seconds = mib, [], []
        self.done = threading.Event()
        self.sum = hashlib.md5()
        for _ in range(mib):
            self.sum.update(self.data)
        self.ports = []
        for way in (self.give, self.take):
            s = socket.create_server(("127.0.0.1", 0))
            self.ports.append(s.getsockname()[1])
            threading.Thread(target=self.serve, args=(s, way), daemon=True).start()

    def serve(self, listener, way):
        while True:
            c = listener.accept()[0]
            began = time.time()
            try:
                way(c)
            except OSError:
                pass
            self.seconds.append(time.time() - began)
            c.close()

    def give(self, c):
        for _ in range(self.mib):
            c.sendall(self.data)
        c.shutdown(socket.SHUT_WR)
        c.recv(1)

    def take(self, c):
        got = hashlib.md5()
        while data := c.recv(1 << 18):
            got.update(data)
        self.sums.append(got.hexdigest())
        self.done.set()


class Shell:
    """The guest's, on its serial line."""

    def __init__(self, vm, scale):
        self.vm, self.scale, self.count = vm, scale, 0

    def run(self, command, seconds=30):
        """What the command prints.  Its end is a word that the line itself, which comes back, does not have."""
        self.count += 1
        self.vm.run("serial", self.vm.name, "--send", f"{command}; echo DO''NE-{self.count}-\n")
        self.vm.step("serial", f"DONE-{self.count}-", seconds * self.scale)
        text = self.vm.run("serial", self.vm.name, "--tail", "--bytes", "65536").stdout.replace("\r", "")
        return text.split(f"DO''NE-{self.count}-")[-1].split(f"DONE-{self.count}-")[0]


def need(what, text):
    if what not in text:
        raise Failed(f"no {what!r} in:\n{text[-3000:]}")


def start(vm, options, *args):
    vm.run("create", vm.name, "--memory", "256M", "--engine", options.engine, *args)
    vm.run("start", vm.name)


def linux(vm, options, model, system, cache):
    kernel, initrd = (os.path.join(cache, f) for f in KERNELS[system])
    start(vm, options, "--kernel", kernel, "--initrd", initrd, "--cmdline", LINE, "--set", f"nic1.model={model}")
    vm.step("serial", "GUEST-PROMPT", 60 * options.scale)
    shell, peer = Shell(vm, options.scale), Peer(options.mib)
    shell.run("cards; sleep 3")
    need("LEASE eth0 10.0.2.15", shell.run("udhcpc -n -q -i eth0 -s /bin/lease"))
    need(" 0% packet loss", shell.run("ping -c 5 10.0.2.2"))
    limit = 20 + 2 * options.mib
    need(peer.sum.hexdigest(), shell.run(f"nc 10.0.2.2 {peer.ports[0]} </dev/null | tee f | md5sum", limit))
    shell.run(f"nc 10.0.2.2 {peer.ports[1]} <f", limit)
    peer.done.wait(10 * options.scale)
    if peer.sums != [peer.sum.hexdigest()]:
        raise Failed(f"sent: {peer.sums}, expected {peer.sum.hexdigest()}")
    return f"{options.mib} MiB in, out: " + ", ".join(f"{s:.1f} s" for s in peer.seconds)


def network_boot(vm, options, model, cache, *args):
    folder = os.path.join(vm.home, "tftp")
    os.mkdir(folder)
    shutil.copy(os.path.join(cache, "vmlinuz-cloud"), os.path.join(folder, "vmlinuz"))
    shutil.copy(os.path.join(cache, "initrd64.gz"), os.path.join(folder, "initrd.gz"))
    with open(os.path.join(folder, "boot.ipxe"), "w", encoding="utf-8") as f:
        f.write(f"#!ipxe\nkernel vmlinuz {LINE}\ninitrd initrd.gz\nboot\n")
    start(vm, options, "--set", f"nic1.model={model}", "--set", f"nic1.tftp={folder}", "--set", "nic1.bootfile=boot.ipxe", *args)
    vm.step("serial", "GUEST-PROMPT", 90 * options.scale)
    return ""


def run(vm, options, name, cache):
    kind, model = name.split("-", 1)
    if kind == "rom":
        return network_boot(vm, options, model, cache, "--set", "machine.boot=network")
    if kind == "cd":
        return network_boot(vm, options, model, cache, "--cdrom", os.path.join(cache, "ipxe.iso"), "--set", "nic1.rom=off")
    return linux(vm, options, model, kind, cache)


def guests_of(name):
    kind = name.split("-", 1)[0]
    return list(KERNELS.get(kind, ("vmlinuz-cloud", "initrd64.gz"))) + (["ipxe.iso"] if kind == "cd" else [])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vmctl", default=os.path.join(HERE, "../../build/core-vmm/vmctl/vmctl"))
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--mib", type=int, default=32)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("tests", nargs="+")
    options = parser.parse_args()
    options.vmctl = os.path.abspath(options.vmctl)
    cache = subprocess.run([os.path.join(HERE, "guests.sh"), "--dir"], capture_output=True, text=True).stdout.strip()
    print(f"1..{len(options.tests)}", flush=True)
    for i, name in enumerate(options.tests, 1):
        reason = guests_ready(guests_of(name))
        if reason:
            print(f"ok {i} {name} # SKIP {reason}", flush=True)
            continue
        vm = Machine(options, name)
        try:
            print(f"ok {i} {name} {run(vm, options, name, cache)}", flush=True)
        except Failed as e:
            print(f"not ok {i} {name}", flush=True)
            for line in "\n".join((str(e), *vm.keep(vm.home))).splitlines()[:60]:
                print(f"# {line}", flush=True)
        finally:
            vm.close()


if __name__ == "__main__":
    main()
