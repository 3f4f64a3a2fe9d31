# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines in folders of their own, for the tests that cut their power."""
import hashlib
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import time


class Lost(Exception):
    pass


class Host:
    def __init__(self, vmctl, vm):
        self.vmctl, self.shown = vmctl, {}
        self.base = os.path.realpath(tempfile.mkdtemp(prefix="terrarium-cut-"))
        os.mkdir(self.base + "/run", 0o700)
        os.makedirs(self.base + "/data/terrarium/machines", 0o700)
        self.root = self.base + "/data/terrarium"
        self.env = dict(os.environ, XDG_DATA_HOME=self.base + "/data", XDG_RUNTIME_DIR=self.base + "/run", LC_ALL="C.UTF-8",
                        TERRARIUM_VM=vm)

    def run(self, *args, code=0):
        p = subprocess.run([self.vmctl, *args], env=self.env, capture_output=True, text=True, timeout=120, check=False)
        if code is not None and p.returncode != code:
            raise Lost(f"vmctl {' '.join(args)}: {p.returncode}: {p.stdout}{p.stderr}")
        return p.stdout if code is not None else p

    def json(self, *args):
        return json.loads(self.run(*args, "-o", "json"))

    def close(self, keep=False):
        for name in os.listdir(self.root + "/machines") if os.path.isdir(self.root + "/machines") else []:
            self.run("stop", name, "--force", code=None)
        if not keep:
            shutil.rmtree(self.base)

    def folder(self, name):
        return os.path.join(self.root, "machines", name)

    def names(self):
        return [line.split()[0] for line in self.run("list").splitlines()[1:]]

    def saved(self, name):
        return os.path.exists(self.folder(name) + "/saved.state")

    def shows(self, path, read):
        """read() of what a disk shows, by vmctl, which is strict with what an image builds upon.  Files that it was read from before, and
        are the same with their times, are not read again."""
        key = (read, *files_below(path))
        if key not in self.shown:
            raw = self.base + "/raw"
            self.run("disk", "convert", path, raw, "-O", "raw", "--force", "-q")
            self.shown[key] = read(raw)
        return self.shown[key]

    def sum(self, path):
        return self.shows(path, digest)

    # ---- a guest ----
    def start(self, name, number=None):
        said = self.run("start", name, code=None)
        if said.returncode:
            raise Lost(f"it does not start: {said.stderr}")
        if number is not None:
            self.run("serial", name, "--send", f"keep {number}\\n")
            if self.kept(name) != number:
                raise Lost("the guest does not keep its number")
        return "goes on from where it was saved" in said.stderr

    def kept(self, name):
        self.run("serial", name, "--send", "kept\\n")
        for unused in range(2000):
            found = re.findall(r"kept (\d+)\r?\n", self.run("serial", name, "--tail"))
            if found:
                return int(found[-1])
            time.sleep(0.01)
        raise Lost("the guest says nothing")

    def vm_pid(self, name):
        try:
            with open(self.folder(name) + "/lock", encoding="ascii") as f:
                pid = int(f.read())
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                return pid if self.folder(name).encode() in f.read().split(b"\0") else None
        except (ValueError, OSError):
            return None

    def kill_vm(self, name):
        pid = self.vm_pid(name)
        if pid:
            os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + 60
        while self.json("info", name)["state"] not in ("stopped", "saved"):
            assert time.monotonic() < end, "it still runs"
            time.sleep(0.01)


def files_below(path):
    """Paths, contents and times of an image and of all that it builds upon."""
    found = []
    while path:
        path = os.path.normpath(path)
        try:
            with open(path, "rb") as f:
                head = f.read(20)
                at, length = struct.unpack(">QI", head[8:20]) if head[:4] == b"QFI\xfb" else (0, 0)
                f.seek(at)
                name = f.read(length).decode() if at else ""
            found += [path, digest(path), os.stat(path).st_mtime_ns]
        except OSError:
            found += [path, None]
            break
        path = os.path.join(os.path.dirname(path), name) if name else None
    return found


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()[:16]


def why_not(*tools):
    """What is missing to record and look with; None: nothing."""
    for tool in ("strace", *tools):
        if not shutil.which(tool):
            return f"there is no {tool}"
    if subprocess.run(["strace", "-f", "true"], capture_output=True, check=False).returncode:
        return "processes cannot be traced here"
    return None
