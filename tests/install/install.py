#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian 12 installs itself, from the answers that `vmctl create --unattended` makes, as the manager's wizard calls it, to the
login prompt of what was installed, without a key press.  Prints TAP.

  install.py [--vmctl PATH] [--engine E] [--scale F] [--keep DIR] DISK-BUS...

The medium is an ISO made here with the netboot installer's kernel and initrd; its packages and components come from the mirror
of mirror.py (which says what of it is the archive's).  Four things are said to the installer beside the wizard's answers: that
this mirror's lists are not signed, that the initial RAM disk needs the drivers of this machine only (which saves thousands of
processes in the guest), that questions are to be plain text on the serial line (where this test would see one), and where its
log goes.  --keep: logs land there."""
import argparse
import collections
import json
import os
import re
import socket
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../boot"), os.path.join(HERE, "../network")]
import boot  # noqa: E402
import components  # noqa: E402
import mirror  # noqa: E402
from guest_shell import Shell  # noqa: E402

USER, PASSWORD, HOSTNAME = "ann", "rosebud", "glass"
FRESH = "Fresh install"  # the snapshot
LEFT = ("answers.iso", "installing", "fresh-install", "installer-kernel", "installer-initrd")  # in the machine's folder, until it is installed
MARKS = ("INSTALL-DISK", "INSTALL-BASE", "INSTALL-DONE")  # of our own components
LIMIT = 3600  # seconds, until the prompt


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


def make_iso(cache, path):
    """A medium with the netboot installer, laid out as Debian's own."""
    tree = path + ".d"
    os.makedirs(os.path.join(tree, ".disk"))
    os.makedirs(os.path.join(tree, "install.amd"))
    with open(os.path.join(tree, ".disk/info"), "w", encoding="utf-8") as f:
        f.write("Debian GNU/Linux 12 \"Bookworm\" - netboot amd64\n")
    for name, to in (("linux", "vmlinuz"), ("initrd.gz", "initrd.gz")):
        os.symlink(os.path.join(cache, f"di-amd64-text-{name}"), os.path.join(tree, "install.amd", to))
    components.run("xorriso", "-as", "mkisofs", "-quiet", "-f", "-r", "-J", "-V", "Debian 12 netboot", "-o", path, tree)


class Machine(boot.Machine):
    """One that `vmctl create --unattended` makes; its first serial line is a socket."""

    def create(self, bus, cache, http, log):
        iso, words = os.path.join(self.home, "debian.iso"), os.path.join(self.home, "password")
        self.serial = os.path.join(self.home, "serial")
        make_iso(cache, iso)
        with open(words, "w", encoding="utf-8") as f:
            f.write(PASSWORD + "\n")
        self.run("create", self.name, "--cdrom", iso, "--unattended", "--user", USER, "--password-file", words, "--hostname", HOSTNAME,
                 "--locale", "en_US.UTF-8", "--time-zone", "Europe/Berlin", "--keyboard", "us", "--serial-console",
                 "--mirror", f"http://10.0.2.2:{http}/debian", "--engine", self.options.engine, "--memory", "2G", "--disk", "6G",
                 "--disk-format", "qcow2", "--disk-bus", bus, "--serial", f"socket:{self.serial}")
        wizards = next(s for s in self.settings() if s.startswith("cmdline="))
        self.run("set", self.name, f"machine.{wizards} debian-installer/allow_unauthenticated=true "
                 "base-installer/initramfs-tools/driver-policy=dep "
                 f"DEBIAN_FRONTEND=text TERM=dumb log_host=10.0.2.2 log_port={log}")

    @property
    def folder(self):
        return os.path.join(self.home, "data/terrarium/machines", self.name)

    def settings(self):
        """Of the installation: kernel, medium and the like; [lines of machine.ini]"""
        with open(os.path.join(self.folder, "machine.ini"), encoding="utf-8") as f:
            return [line.strip() for line in f if re.match(r"(kernel|initrd|cmdline|boot|on-reset)=|file=.*\.iso", line)]

    def start(self):
        self.run("start", self.name)
        shell = Shell(self.serial, self.options.scale)
        keep = self.options.keep
        shell.socket = Heard(shell.socket, keep and os.path.join(keep, f"{self.name}-serial.txt"))
        return shell


def follow(shell, out):
    """From power-on to the installed system's login prompt, in seconds; the installer's restart is the machine's own."""
    began, patience = time.monotonic(), shell.patience
    while True:
        found = shell.until("|".join(MARKS) + rf"|!! ERROR[^\n]*\n|Prompt: |{HOSTNAME} login: ", LIMIT - (time.monotonic() - began) / patience)
        if found[0].endswith("login: "):
            return time.monotonic() - began
        if found[0] not in MARKS:
            raise AssertionError(f"the installer wants a key: {found[0]} {shell.text[-800:]}")
        out.append(f"{found[0]} after {time.monotonic() - began:.0f} s")
        print(f"# {out[-1]}", flush=True)


def log_in(shell):
    """As the user whom the answers name, with the right to administer; what the system says of itself."""
    shell.socket.sendall(f"{USER}\n".encode())
    shell.until("Password: ", 60)
    shell.socket.sendall(f"{PASSWORD}\n".encode())
    shell.until(r"\$ ", 60)
    shell.socket.sendall(b"exec env PS1= TERM=dumb sh -c 'echo IN-SH; exec sh'\n")  # which does not edit lines
    shell.until("IN-SH\n", 60)
    says = shell.good("cat /etc/debian_version; uname -m; hostname; findmnt -no FSTYPE /; id -nG", 60)
    rest = shell.good(f"echo {PASSWORD} | sudo -S -p '' id -u; ip -4 -o addr show scope global; locale | head -n 1", 60)
    shell.start(f"echo {PASSWORD} | sudo -S -p '' poweroff")
    return " ".join(says.split()), " ".join(rest.split())


def wrong(says, rest):
    """What the installed system should say of itself and does not; None."""
    lacking = [w for w in ("12.", "x86_64", HOSTNAME, "ext4", "sudo") if w not in says]
    lacking += [w for w in ("0 ", "10.0.2.15", "en_US.UTF-8") if w not in rest]
    return f"it lacks {lacking}: {says!r} {rest!r}" if lacking else None


def snapshot_taken(vm):
    """The end of the installation is seen while the new system starts: there is the snapshot, and the medium is out."""
    end = time.monotonic() + 120 * vm.options.scale
    while not (found := json.loads(vm.run("snapshot", "list", vm.name, "-o", "json").stdout)["snapshots"]):
        if time.monotonic() > end:
            raise AssertionError("no snapshot was taken when the installer had restarted the machine")
        time.sleep(1)
    if [s["name"] for s in found] != [FRESH] or not found[0]["state"]:
        raise AssertionError(f"the snapshots after the restart: {found}")
    if media := [s for s in vm.settings() if s.startswith("file=")]:
        raise AssertionError(f"the medium is in its drive after the restart: {media}")


def starts(vm, how):
    """From its own disk, to the prompt."""
    shell = vm.start()
    try:
        shell.until(f"{HOSTNAME} login: ", 600)
    except AssertionError as e:
        raise AssertionError(f"{how}: {e}") from e
    finally:
        shell.close()
        vm.run("stop", "--force", vm.name)


def remains(vm):
    """Started again, the machine has forgotten the installation; what is left of it."""
    starts(vm, "started again")
    return vm.settings() + [f for f in LEFT if os.path.exists(os.path.join(vm.folder, f))]


def report(served, out, log):
    missing = [p for p, n in served.asked() if n is None]
    return (f"\n{chr(10).join(out)}\nasked for in vain: {missing[-20:]}\nlast asked for: {served.asked()[-3:]}\n" + "\n".join(log.lines))


def run_one(options, bus, cache, packages):
    """None, or why it failed."""
    served, out, vm = mirror.Mirror(packages), [], Machine(options, f"debian-{bus}")
    log = Log(options.keep and os.path.join(options.keep, f"{vm.name}-log.txt"))
    try:
        vm.create(bus, cache, served.port, log.port)
        shell = vm.start()
        took = follow(shell, out)
        snapshot_taken(vm)
        says, rest = log_in(shell)
        vm.step("state", "stopped", 120 * options.scale)
        shell.close()
        print(f"# login prompt after {took:.0f} s ({', '.join(out)}), {len(served.asked())} requests; it says: {says}; {rest}", flush=True)
        left = remains(vm)
        vm.run("snapshot", "restore", vm.name, FRESH)
        starts(vm, f"gone back to {FRESH!r}")
        return wrong(says, rest) or (f"left over of the installation: {left}" if left else None)
    except components.Missing as e:
        return f"SKIP {e}"
    except (AssertionError, OSError, boot.Failed) as e:
        return str(e) + report(served, out, log)
    finally:
        if options.keep:
            vm.keep(options.keep)
        vm.close()
        served.close()


def run(options, bus, cache):
    """None, why it failed, or SKIP and why."""
    names = ["di-amd64-text-linux", "di-amd64-text-initrd.gz"]
    reason = boot.guests_ready(names)
    if reason:
        return f"SKIP {reason}"
    try:
        packages = mirror.Packages(cache, "amd64", os.path.join(cache, names[0]))
    except (OSError, components.Missing) as e:
        return f"SKIP the mirror cannot be made: {e}".replace("\n", " ")
    for component, origin in packages.components.origin.items():
        print(f"# component {component}: {origin}", flush=True)
    return run_one(options, bus, cache, packages)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vmctl", default=os.path.join(HERE, "../../build/core-vmm/vmctl/vmctl"))
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--keep")
    parser.add_argument("bus", nargs="+")
    options = parser.parse_args()
    if options.keep:
        os.makedirs(options.keep, exist_ok=True)
    cache = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "terrarium/guests")
    cache = os.environ.get("TERRARIUM_GUESTS", cache)
    failed = 0
    print(f"1..{len(options.bus)}", flush=True)
    for i, bus in enumerate(options.bus, 1):
        why = run(options, bus, cache)
        skipped = why and why.startswith("SKIP ")
        failed += bool(why and not skipped)
        if why and not skipped:
            print("\n".join("# " + line for line in why.splitlines()))
        print(f"{'not ok' if why and not skipped else 'ok'} {i} {bus}" + (f" # {why}" if skipped else ""), flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
