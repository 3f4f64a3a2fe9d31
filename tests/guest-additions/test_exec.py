#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs and files in a Linux guest, by a distribution's own open-vm-tools and its PAM.  Prints TAP.
Usage: test_exec.py VMCTL GUESTS.SH     ENGINE: of the machine (soft); PATIENCE: times all time limits"""
import os
import subprocess
import sys

from desk import PATIENCE, Desk, run_tests

# Password "a word": SHA-512 crypt with the salt "terrarium".
SHADOW = None


def crypted():
    p = subprocess.run(["openssl", "passwd", "-6", "-salt", "terrarium", "a word"], capture_output=True, text=True, check=False)
    return p.stdout.strip()


class WithUsers(Desk):
    def start(self):
        super().start()
        s = self.shell
        with open(self.base + "/pw", "w", encoding="utf-8") as f:
            f.write("a word\n")
        s.good("mkdir -p /etc/pam.d /home/anna /tmp; chmod 1777 /tmp; chown 1000:1000 /home/anna; echo /bin/sh >/etc/shells")
        s.good("echo 'anna:x:1000:1000::/home/anna:/bin/sh' >>/etc/passwd; echo 'anna:x:1000:' >>/etc/group")
        s.good(f"echo 'anna:{SHADOW}:19000:0:99999:7:::' >/etc/shadow; chmod 600 /etc/shadow; echo 'passwd: files' >/etc/nsswitch.conf")
        s.good("echo 'auth required pam_unix.so' >/etc/pam.d/common-auth; echo 'account required pam_unix.so' >/etc/pam.d/common-account")
        s.good("mkdir -p /run/vmware /var/run/vmware /var/lib/vmware; (VGAuthService >/dev/shm/va.log 2>&1 &); (vmtoolsd >/dev/shm/vt.log 2>&1 &); sleep 2", 60)
        self.wait("the service", lambda g: g.get("tools"))

    def exec(self, *args, password="pw", user="anna"):
        return subprocess.run([self.program, "exec", "g", "--user", user, "--password-file", f"{self.base}/{password}", *args], env=self.env,
                              capture_output=True, timeout=120 * PATIENCE, check=False)


def says(d):
    """What a program says comes out where it should, and its exit code; arguments are what they were."""
    p = d.exec("--", "id", "-un")
    assert (p.returncode, p.stdout) == (0, b"anna\n"), p
    p = d.exec("--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (p.returncode, p.stdout, p.stderr) == (7, b"out\n", b"err\n"), p
    p = d.exec("--cd", "/home", "--", "printf", "%s|", "a b", "$HOME", "it's", '"', "")
    assert p.stdout == b"a b|$HOME|it's|\"||", p
    p = d.exec("--", "pwd")
    assert p.stdout == b"/home/anna\n", p
    assert d.shell.good("ls -A /tmp") == ""


def much(d):
    """More than fits into one answer, byte for byte."""
    p = d.exec("--", "sh", "-c", "i=0; while [ $i -lt 4000 ]; do echo line $i of what is said; i=$((i+1)); done")
    want = "".join(f"line {i} of what is said\n" for i in range(4000)).encode()
    assert p.returncode == 0 and p.stdout == want, (p.returncode, p.stderr, len(p.stdout), len(want))


def refused(d):
    """A wrong password, a user that there is not, a program that there is not."""
    with open(d.base + "/wrong", "w", encoding="utf-8") as f:
        f.write("another\n")
    p = d.exec("--", "true", password="wrong")
    assert p.returncode and b"not right" in p.stderr, p
    p = d.exec("--", "true", user="nobody-here")
    assert p.returncode and b"not right" in p.stderr, p
    p = d.exec("--", "no-such-program")
    assert p.returncode == 127 and b"not found" in p.stderr, p
    assert b"a word" not in open(d.base + "/data/terrarium/machines/g/logs/vm.log", "rb").read()


def copies(d):
    """Files go both ways, as the user may."""
    data = os.urandom(200000)
    with open(d.base + "/in", "wb") as f:
        f.write(data)
    login = ("--user", "anna", "--password-file", d.base + "/pw")
    d.vmctl("cp", *login, d.base + "/in", "g:/home/anna/")
    assert d.shell.good("stat -c '%s %U' /home/anna/in") == "200000 anna"
    d.vmctl("cp", *login, "g:/home/anna/in", d.base + "/out")
    with open(d.base + "/out", "rb") as f:
        assert f.read() == data
    assert os.stat(d.base + "/out").st_mode & 0o777 == 0o600
    # What is replaced keeps its mode, and nothing else is left beside it; a link is not replaced.
    d.shell.good("chmod 600 /home/anna/in; ln -s in /home/anna/link")
    with open(d.base + "/in", "wb") as f:
        f.write(b"another\n")
    d.vmctl("cp", *login, d.base + "/in", "g:/home/anna/in")
    assert d.shell.good("cat /home/anna/in; stat -c '%a' /home/anna/in; ls /home/anna").split() == ["another", "600", "in", "link"]
    for args in ((d.base + "/in", "g:/home/anna/link"), (d.base + "/in", "g:/sbin/x"), ("g:/etc/shadow", d.base + "/x"), ("g:/none", d.base + "/x")):
        p = subprocess.run([d.program, "cp", *login, *args], env=d.env, capture_output=True, check=False)
        assert p.returncode and not os.path.exists(d.base + "/x"), p
    # Out of the guest they are no more followed: which file it is must be said.
    for path, what in (("/home/anna/link", "link"), ("/home/anna", "folder")):
        p = subprocess.run([d.program, "cp", *login, "g:" + path, d.base + "/x"], env=d.env, capture_output=True, text=True, check=False)
        assert p.returncode and f"is a {what}: give the path of a file" in p.stderr and not os.path.exists(d.base + "/x"), p


SHADOW = crypted()
if not SHADOW:
    print("1..0 # SKIP not installed: openssl")
else:
    run_tests(WithUsers(*sys.argv[1:3], "folders-initrd64.gz"), [says, much, refused, copies])
