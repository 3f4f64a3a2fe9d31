#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that UEFI firmware starts.  Prints TAP.

  uefi.py [--vmctl PATH] [--engine E [--if-usable]] [--scale F] TEST...
  cd, sata, sata-cd, virtio, nvme, scsi   GRUB and a Linux from that drive
  order      of two drives the one that `boot` names first
  variables  what the guest sets lasts beyond a power cut, and not beyond vmctl firmware reset
  secure     Secure Boot: signed shim, GRUB and kernel start and know of it; what is not signed is refused
  tpm        a TPM 2.0 with tpm2-tools; the firmware has measured into it; what is sealed to PCRs opens after a power cut and in a snapshot, and goes on being shut in a saved machine
  setup      the firmware's own shell on the screen, which nothing else to start leads to"""
import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import boot

sys.path.insert(0, os.path.join(boot.HERE, "..", "network"))
from guest_shell import Shell  # noqa: E402

GUEST = "uefi-linux.iso"
DRIVES = {"cd": "ide2", "sata": "sata1", "sata-cd": "sata2", "virtio": "virtio-disk1", "nvme": "nvme1", "scsi": "scsi3", "usb": "usb2"}
VARIABLE = "/sys/firmware/efi/efivars/TerrariumTest-7a9354d9-0468-444a-81ce-0bf617d890df"


def need(good, what):
    if not good:
        raise boot.Failed(what)


class Guest(boot.Machine):
    def create(self, firmware, *settings):
        sets = [x for s in ("serial1.target=socket:line", *settings) for x in ("--set", s)]
        self.run("create", self.name, "--memory", "384M", "--engine", self.options.engine, "--nic", "none", "--firmware", firmware,
                 *sets)

    def start(self):
        """To its shell, and what it said until then."""
        self.run("start", self.name)
        shell = Shell(f"{self.env['XDG_DATA_HOME']}/terrarium/machines/{self.name}/line", self.options.scale)
        said = shell.until(r"(?s)^.*GUEST-PROMPT", 120)[0]
        shell.good("stty cols 200; PS1=")
        return shell, said


    def go_on(self):
        """From where it was saved."""
        self.run("start", self.name)
        return Shell(f"{self.env['XDG_DATA_HOME']}/terrarium/machines/{self.name}/line", self.options.scale)


def drive_of(name, cache, guest=GUEST):
    return [f"{name}.file={os.path.join(cache, guest)}", f"{name}.readonly=on", f"{name}.format=raw"]


def from_drive(guest, cache):
    drive = DRIVES[guest.name]
    guest.create("uefi", *drive_of(drive, cache), *([f"{drive}.media=cdrom"] if "cd" in guest.name else []))
    shell, said = guest.start()
    need("UEFI 64" in said, "the kernel does not know that UEFI started it")
    need("FROM iso" in said, "another kernel was started")
    shell.socket.sendall(b"poweroff -f\n")
    guest.step("state", "stopped", 60 * guest.options.scale)


def order(guest, cache):
    guest.create("uefi", *drive_of("nvme0", cache, "uefi-signed.img"), *drive_of("sata4", cache), "sata4.media=cdrom",
                 "machine.boot=cdrom,disk")
    for first in ("iso", "signed"):
        _, said = guest.start()
        need(f"FROM {first}" in said, f"{first} was to be started first, but: {said[-300:]}")
        guest.run("stop", guest.name, "--force")
        guest.run("set", guest.name, "machine.boot=disk,cdrom")


def variables(guest, cache):
    guest.create("uefi", *drive_of("sata0", cache))
    shell, _ = guest.start()
    need(shell.run(f"ls {VARIABLE}")[1] != 0, "a new machine has the variable already")
    shell.good(f"printf '\\007\\000\\000\\000terrarium' >{VARIABLE}")
    guest.run("stop", guest.name, "--force")
    shell, _ = guest.start()
    out = shell.good(f"dd if={VARIABLE} bs=1 skip=4 2>/dev/null")
    need(out == "terrarium", f"the variable is {out!r}")
    guest.run("stop", guest.name, "--force")
    guest.run("firmware", "reset", guest.name)
    shell, _ = guest.start()
    need(shell.run(f"ls {VARIABLE}")[1] != 0, "vmctl firmware reset has left the variable")


def secure(guest, cache):
    guest.create("uefi-secure", *drive_of("sata0", cache, "uefi-signed.img"))
    shell, said = guest.start()
    need("FROM signed" in said and "EFI Secure Boot" in said, f"the kernel does not know of Secure Boot: {said[-400:]}")
    need("none [integrity]" in said, "the kernel is not locked down")
    keys = guest.run("firmware", "info", guest.name).stdout
    need("secure boot  on" in keys and "Microsoft Corporation UEFI CA 2011" in keys, keys)
    guest.run("stop", guest.name, "--force")
    guest.run("set", guest.name, *drive_of("sata0", cache))
    guest.run("start", guest.name)
    guest.step("serial", "Access Denied", 60 * guest.options.scale)
    time.sleep(3)
    need("FROM" not in guest.run("serial", guest.name, "--tail").stdout, "a program without a signature was started")


def end_program(folder, name):
    """The one of that name that was started with a path in that folder."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                args = f.read().decode().split("\0")
        except OSError:
            continue
        if os.path.basename(args[0]) == name and any(folder in a for a in args):
            os.kill(int(pid), signal.SIGKILL)


def measured(shell):
    """PCRs 0, 4 and 7; the kernel may say something in between."""
    said = shell.good("tpm2_pcrread sha256:0,4,7", 60)
    found = re.findall(r"0x[0-9A-F]{64}", said)
    need(len(found) == 3 and "0x" + "0" * 64 not in found, f"the firmware has measured nothing: {said}")
    return found


def tpm(guest, cache):
    guest.create("uefi", *drive_of("sata0", cache, "uefi-tpm.iso"), "tpm.model=crb")
    shell, _ = guest.start()
    shell.good("export TPM2TOOLS_TCTI=device:/dev/tpmrm0; tpm2_getrandom 8 --hex", 60)
    before = measured(shell)
    shell.good("cd /tmp; tpm2_createprimary -Q -C o -c p.ctx; tpm2_startauthsession -Q -S s; tpm2_policypcr -Q -S s -l sha256:0,7 "
               "-L policy; tpm2_flushcontext s; echo -n kept | tpm2_create -Q -C p.ctx -L policy -i - -u o.pub -r o.priv", 120)
    shell.good("tpm2_load -Q -C p.ctx -u o.pub -r o.priv -c o.ctx; tpm2_evictcontrol -Q -C o -c o.ctx 0x81000001", 60)
    guest.run("stop", guest.name, "--force")
    shell, _ = guest.start()
    shell.good("export TPM2TOOLS_TCTI=device:/dev/tpmrm0")
    need((now := measured(shell)) == before, f"the same start gave other measurements: {before}, {now}")
    need("kept" in shell.good("tpm2_unseal -c 0x81000001 -p pcr:sha256:0,7", 60), "what was sealed does not open")
    guest.run("snapshot", "take", guest.name, "open")
    shell.good("tpm2_pcrextend 7:sha256=" + "1" * 64, 60)
    extended = measured(shell)
    need(shell.run("tpm2_unseal -c 0x81000001 -p pcr:sha256:0,7", 60)[1] != 0, "it opens with other measurements too")
    guest.run("save", guest.name)
    shell = guest.go_on()
    need((now := measured(shell)) == extended, f"after going on it has other measurements: {extended}, {now}")
    need(shell.run("tpm2_unseal -c 0x81000001 -p pcr:sha256:0,7", 60)[1] != 0, "it opens after going on")
    guest.run("stop", guest.name, "--force")
    guest.run("snapshot", "verify", guest.name)
    guest.run("snapshot", "restore", guest.name, "open")
    shell = guest.go_on()
    need((now := measured(shell)) == before, f"the snapshot has other measurements: {before}, {now}")
    need("kept" in shell.good("tpm2_unseal -c 0x81000001 -p pcr:sha256:0,7", 60), "what was sealed does not open in the snapshot")
    end_program(os.path.join(guest.home, "data"), "swtpm")
    need(shell.run("sleep 3; tpm2_getrandom 8", 60)[1] != 0, "a TPM that begins anew in mid-flight works without its firmware")
    guest.run("reset", guest.name)
    shell.until("GUEST-PROMPT", 120)
    shell.good("stty cols 200; PS1=; export TPM2TOOLS_TCTI=device:/dev/tpmrm0")
    need((now := measured(shell)) == before, f"a reset gave other measurements: {before}, {now}")


def setup(guest, _):
    guest.create("uefi")
    guest.run("start", guest.name)
    shell = Shell(f"{guest.env['XDG_DATA_HOME']}/terrarium/machines/{guest.name}/line", guest.options.scale)
    shell.until("Shell> ", 60)
    before = guest.picture()
    need(len(before) == 800 and sum(row != row[:4] * 1280 for row in before) > 60, "no picture of text on the screen")
    guest.run("keys", guest.name, "v", "e", "r", "enter")
    shell.until("UEFI Interactive Shell v2", 20)
    time.sleep(1)
    need(guest.picture() != before, "the screen does not change with what is typed")
    shell.socket.sendall(b"reset -s\r")
    guest.step("state", "stopped", 30 * guest.options.scale)


TESTS = {**{name: (from_drive, [GUEST]) for name in DRIVES}, "order": (order, [GUEST, "uefi-signed.img"]),
         "variables": (variables, [GUEST]), "secure": (secure, [GUEST, "uefi-signed.img"]), "tpm": (tpm, ["uefi-tpm.iso"]), "setup": (setup, [])}


def missing(guests):
    """None, or why the test cannot be run."""
    if not os.path.exists("/usr/share/OVMF/OVMF_CODE_4M.fd"):
        return "no OVMF here (package ovmf)"
    if "uefi-tpm.iso" in guests and not shutil.which("swtpm"):
        return "no swtpm here (package swtpm)"
    return boot.guests_ready(guests) if guests else None


def run_one(options, name, cache):
    guest = Guest(options, name)
    try:
        TESTS[name][0](guest, cache)
        return None
    except (boot.Failed, AssertionError, OSError) as problem:
        return f"{problem}\n{guest.run('logs', name, check=False).stdout[-1000:]}"
    finally:
        guest.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vmctl", default=os.path.join(boot.HERE, "../../build/core-vmm/vmctl/vmctl"))
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--if-usable", action="store_true")
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("tests", nargs="+")
    options = parser.parse_args()
    options.vmctl = os.path.abspath(options.vmctl)
    why_not = boot.unusable(options) if options.if_usable else None
    if why_not:
        print(f"1..0 # SKIP {why_not}")
        return 0
    cache = subprocess.run([os.path.join(boot.HERE, "guests.sh"), "--dir"], capture_output=True, text=True).stdout.strip()
    failed = 0
    print(f"1..{len(options.tests)}", flush=True)
    for i, name in enumerate(options.tests, 1):
        reason, began = missing(TESTS[name][1]), time.time()
        problem = None if reason else run_one(options, name, cache)
        failed += problem is not None
        end = f" # SKIP {reason}" if reason else f" in {time.time() - began:.1f} s"
        print(f"{'not ok' if problem else 'ok'} {i} {name}{end}", flush=True)
        if problem:
            print("# " + re.sub(r"[\r\n]+", "\n# ", problem), flush=True)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
