#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What polkit is told and asked: the action's file, and how vmctl calls pkexec, which is a script of this test's here, for a user
without privilege.  That an administrator's password lets the program through needs a desktop.  Prints TAP.
Usage: test_polkit.py POLICY-FILE INSTALLED-PROGRAM VMCTL TERRARIUM-VM TERRARIUM-NET TERRARIUM-NETADM"""
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
import xml.etree.ElementTree as xml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from other_user import AS_USER, USER, Skip, must_reach

POLICY, INSTALLED = sys.argv[1:3]
VMCTL, VM, NET, NETADM = (os.path.abspath(a) for a in sys.argv[3:7])
DOC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/network.md")


def policy():
    """Nobody is let through without a password, and only that one program is meant."""
    root = xml.parse(POLICY).getroot()
    assert root.tag == "policyconfig" and len(root) == 1
    action = root[0]
    assert action.tag == "action" and action.get("id") == "org.terrarium.netadm"
    assert action.findtext("description") and action.findtext("message")
    defaults = {e.tag: e.text for e in action.find("defaults")}
    assert defaults == {"allow_any": "auth_admin", "allow_inactive": "auth_admin", "allow_active": "auth_admin_keep"}, defaults
    paths = [e.text for e in action.findall("annotate") if e.get("key") == "org.freedesktop.policykit.exec.path"]
    assert paths == [INSTALLED] and os.path.isabs(INSTALLED), paths
    with open(DOC, encoding="utf-8") as f:
        assert action.get("id") in f.read(), "docs/network.md does not name the action"


class User:
    """Without privilege, and with a pkexec that notes what it is to run and then does something."""

    def __init__(self, pkexec):
        must_reach(VMCTL, VM, NET, NETADM, tempfile.gettempdir())
        self.home = tempfile.mkdtemp(prefix="polkit-")
        os.mkdir(self.home + "/run", 0o700)
        os.mkdir(self.home + "/bin")
        with open(self.home + "/bin/pkexec", "w", encoding="ascii") as f:
            f.write(f'#!/bin/sh\necho "$@" >{self.home}/asked\n{pkexec}\n')
        os.chmod(self.home + "/bin/pkexec", 0o755)
        self.env = dict(os.environ, HOME=self.home, PATH=self.home + "/bin", XDG_DATA_HOME=self.home + "/data", XDG_RUNTIME_DIR=self.home + "/run",
                        TERRARIUM_VM=VM, TERRARIUM_NET=NET, TERRARIUM_NETADM=NETADM, LC_ALL="C.UTF-8")
        self.as_user = [shutil.which("setpriv"), *AS_USER[1:]] if os.geteuid() == 0 else []
        if self.as_user:
            for path in (self.home, self.home + "/run"):
                os.chown(path, USER, USER)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        shutil.rmtree(self.home)

    def vmctl(self, *args):
        return subprocess.run([*self.as_user, VMCTL, *args], env=self.env, capture_output=True, text=True, timeout=60, check=False)

    def start(self):
        """What vmctl says of a machine on a host-only network, and what pkexec was asked."""
        made = self.vmctl("create", "m", "--memory", "16M", "--engine", "interp", "--nic", "e1000", "--set", "nic1.mode=hostonly")
        assert made.returncode == 0, made
        r = self.vmctl("start", "m")
        with open(self.home + "/asked", encoding="ascii") as f:
            asked = f.read().strip()
        return r.returncode, r.stderr, asked


def refused():
    """126: the user has dismissed it; 127: polkit says no, or there is none to ask (pkexec(1))."""
    for code in (126, 127):
        with User(f"exit {code}") as u:
            ended, said, asked = u.start()
            assert asked == f"{NETADM} tap hostonly default 192.168.56.1/24", asked
            assert ended == 6 and "polkit did not let terrarium-netadm" in said and "setcap cap_net_admin+ep" in said, (ended, said)


def silent():
    with User("exit 0") as u:
        ended, said, _ = u.start()
        assert ended == 6 and "gave no answer" in said, (ended, said)


def without_privilege():
    """A pkexec that lets the program run, but not as root: it says itself what it lacks."""
    with User('exec "$@"') as u:
        ended, said, _ = u.start()
        assert ended == 6 and "terrarium-netadm has no CAP_NET_ADMIN" in said, (ended, said)


TESTS = [policy, refused, silent, without_privilege]
print(f"1..{len(TESTS)}")
for n, test in enumerate(TESTS, 1):
    try:
        test()
        print(f"ok {n} {test.__name__}", flush=True)
    except Skip as why:
        print(f"ok {n} {test.__name__} # SKIP {why}", flush=True)
    except Exception:
        print(f"not ok {n} {test.__name__}\n# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
