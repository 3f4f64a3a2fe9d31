#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Folders of the host in a Linux guest, by vmhgfs-fuse of a distribution's own open-vm-tools.  Prints TAP.
Usage: test_folders.py VMCTL GUESTS.SH     ENGINE: of the machine (soft); PATIENCE: times all time limits"""
import hashlib
import os
import sys
import time

from desk import PATIENCE, Desk, run_tests
from guest_shell import Shell

BIG = (4 << 30) + 12345  # bytes of a sparse file
SMALL = 10000


class Shared(Desk):
    def __init__(self, *args):
        super().__init__(*args, "--set", "folder1.path={base}/work", "--set", "folder2.path={base}/given", "--set", "folder2.readonly=on",
                         "--set", "folder2.name=look only")

    def start(self):
        for name in ("work", "given", "outside"):
            os.mkdir(f"{self.base}/{name}")
        self.put("outside/secret", b"not for guests\n")
        self.put("given/book", b"read me\n")
        super().start()

    def put(self, name, data):
        with open(f"{self.base}/{name}", "wb") as f:
            f.write(data)

    def get(self, name):
        with open(f"{self.base}/{name}", "rb") as f:
            return f.read()

    def mount(self):
        self.shell.good("modprobe fuse; mkdir -p /mnt/hgfs; vmhgfs-fuse .host:/ /mnt/hgfs", 60)
        self.shell.good("cd /mnt/hgfs/work")

    def refused(self, command):
        out, code = self.shell.run(command)
        assert code, f"{command} was not refused: {out}"
        return out


def listed(d):
    """The guest sees the folders by their names, and what is in them."""
    d.mount()
    assert d.shell.good("ls -1 /mnt/hgfs").split("\n") == ["look only", "work"]
    d.put("work/from host", b"abc")
    assert d.shell.good("cat '/mnt/hgfs/work/from host'") == "abc"
    assert d.shell.good("stat -c '%s %F %u' '/mnt/hgfs/work/from host'") == "3 regular file 0"


def changes(d):
    """What the guest writes, names, and removes is so on the host."""
    s = d.shell
    s.good("echo from the guest >a && cp a b && mv b c && mkdir -p deep/er && mv c deep/er/d && chmod 640 a")
    assert d.get("work/a") == b"from the guest\n" == d.get("work/deep/er/d")
    assert os.stat(f"{d.base}/work/a").st_mode & 0o777 == 0o640
    s.good("echo more >>a; touch -d '2001-02-03 04:05:06' deep")
    assert d.get("work/a") == b"from the guest\nmore\n"
    assert int(os.stat(f"{d.base}/work/deep").st_mtime) == 981173106
    s.good("truncate -s 4 a")
    assert d.get("work/a") == b"from"
    d.refused("rmdir deep")
    s.good("rm -rf deep a")
    assert not os.path.exists(f"{d.base}/work/deep") and not os.path.exists(f"{d.base}/work/a")
    d.refused("cat a")


def contents(d):
    """Bytes survive both ways, also beyond 4 GiB."""
    data = os.urandom(3 << 20)
    d.put("work/random", data)
    assert hashlib.md5(data).hexdigest() in d.shell.good("md5sum random", 240)
    d.shell.good("cp random copy", 240)
    assert d.get("work/copy") == data
    with open(f"{d.base}/work/big", "wb") as f:
        f.truncate(BIG)
        f.seek(BIG - 5)
        f.write(b"end.\n")
    assert d.shell.good("stat -c %s big") == str(BIG)
    assert d.shell.good(f"dd if=big bs=5 skip={(BIG - 5) // 5} count=1 2>/dev/null | od -An -c | tr -d ' \\n'")
    assert d.shell.good("tail -c 5 big") == "end."
    d.shell.good(f"printf hello | dd of=big bs=1 seek={BIG} conv=notrunc 2>/dev/null")
    with open(f"{d.base}/work/big", "rb") as f:
        f.seek(BIG - 5)
        assert f.read() == b"end.\nhello"
    for name in ("random", "copy", "big"):
        os.remove(f"{d.base}/work/{name}")


def read_only(d):
    """Nothing changes in a folder that may only be read."""
    s = d.shell
    assert s.good("cat '/mnt/hgfs/look only/book'") == "read me"
    for command in ("echo x >'{}/new'", "echo x >>'{}/book'", "rm -f '{}/book'", "mv -f '{}/book' '{}/b'", "mkdir '{}/d'", "chmod 777 '{}/book'",
                    "truncate -s 0 '{}/book'", "ln -s book '{}/l'"):
        d.refused(command.replace("{}", "/mnt/hgfs/look only"))
    d.refused("mv /mnt/hgfs/work /mnt/hgfs/play")
    d.refused("touch /mnt/hgfs/new")
    assert os.listdir(f"{d.base}/given") == ["book"] and d.get("given/book") == b"read me\n"


def no_way_out(d):
    """A link on the host is seen, and leads nowhere on the host; devices and pipes are not seen."""
    os.symlink("../outside/secret", f"{d.base}/work/link")
    os.symlink("../outside", f"{d.base}/work/dir")
    os.mkfifo(f"{d.base}/work/pipe")
    s = d.shell
    assert s.good("readlink link") == "../outside/secret"
    assert "not for guests" not in d.refused("cat dir/secret")
    d.refused("cat link")
    d.refused("echo x >dir/new")
    assert "pipe" not in s.good("ls")
    d.refused("cat pipe")
    d.refused("ln -s /etc/passwd mine")
    assert os.listdir(f"{d.base}/outside") == ["secret"]
    for name in ("link", "dir", "pipe"):
        os.remove(f"{d.base}/work/{name}")


def many(d):
    """Ten thousand files in one folder."""
    os.mkdir(f"{d.base}/work/many")
    for i in range(SMALL):
        d.put(f"work/many/file-{i:05d}", b"%d\n" % i)
    began = time.monotonic()
    assert d.shell.good("ls many | wc -l", 300) == str(SMALL)
    names = time.monotonic() - began
    began = time.monotonic()
    assert d.shell.good("ls -l many | grep -c file-", 600) == str(SMALL)
    print(f"# {SMALL} files: {names:.1f} s for their names, {time.monotonic() - began:.1f} s with all about them", flush=True)
    d.shell.good("rm -rf many", 600)
    assert not os.path.exists(f"{d.base}/work/many")


def suspended(d):
    """The mount outlives a saved state: names go on working, what was open is not open any more, and says so."""
    s = d.shell
    s.good("echo before >kept; exec 5<kept")
    d.vmctl("save", "g")
    s.close()
    d.vmctl("start", "g")
    d.shell = s = Shell(d.base + "/g", PATIENCE)
    assert s.good("cat kept") == "before"
    s.good("echo after >kept; exec 5<&-")
    assert d.get("work/kept") == b"after\n"


def restarted(d):
    """A process that is killed comes back; the guest goes on by names."""
    found = d.pids("vm-folder")
    assert len(found) == 2, found
    for pid in found:
        os.kill(pid, 9)
    end = time.monotonic() + 60 * PATIENCE
    while d.shell.run("cat kept")[0] != "after":
        assert time.monotonic() < end, "the folder does not come back"
        time.sleep(1)


def live(d):
    """Folders come and go while the machine runs, and stay in its file."""
    s = d.shell
    os.mkdir(d.base + "/more")
    d.put("more/thing", b"new\n")
    d.vmctl("folder", "add", "g", d.base + "/more")
    assert s.good("cat /mnt/hgfs/more/thing") == "new"
    d.vmctl("folder", "add", "g", d.base + "/more", code=1)
    d.vmctl("folder", "add", "g", d.base + "/more", "--name", "again", "--readonly")
    d.refused("touch /mnt/hgfs/again/x")
    assert s.good("touch /mnt/hgfs/more/x; ls /mnt/hgfs/again") == "thing  x"
    assert "shared now" in d.vmctl("folder", "list", "g")
    d.vmctl("folder", "rm", "g", "more")
    d.vmctl("folder", "rm", "g", "work")
    time.sleep(2)  # vmhgfs-fuse remembers names for a second
    d.refused("cat /mnt/hgfs/more/thing")
    d.refused("cat /mnt/hgfs/work/kept")
    assert s.good("ls -1 /mnt/hgfs").split("\n") == ["again", "look only"]
    d.vmctl("folder", "add", "g", d.base + "/work")
    time.sleep(2)
    assert s.good("cat /mnt/hgfs/work/kept") == "after"
    d.vmctl("folder", "rm", "g", "none", code=3)


TESTS = [listed, changes, contents, read_only, no_way_out, many, suspended, restarted, live]
run_tests(Shared(*sys.argv[1:3], "folders-initrd64.gz"), TESTS)
