# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests that are run by root do as somebody without privilege."""
import os
import subprocess

USER = 4242  # nobody of this number need exist
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]


class Skip(Exception):
    """Why a check cannot be made here."""


def must_reach(*paths):
    """A folder above that is closed to others, which may be the root of a chroot, is no fault of what is tested."""
    for path in paths if os.geteuid() == 0 else ():
        if subprocess.run([*AS_USER, "test", "-r", path], stderr=subprocess.DEVNULL, check=False).returncode:
            raise Skip(f"users other than root cannot come to {path}: a folder above it is closed to them")
