#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux guests on a network card: an address by DHCP, files over TCP both ways with equal sums, and the card goes on after
the machine was saved and loaded.  Prints TAP.

  cards.py [--vmctl PATH] [--engine E] [--scale F] [--megabytes N] MODEL-BITS...

MODEL: of [nic1]; BITS: 64 or 32, the guest's kernel.  The driver that must have taken the card is in DRIVERS."""
import argparse
import hashlib
import http.server
import os
import random
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../boot")]
import boot  # noqa: E402
from guest_shell import Shell  # noqa: E402

DRIVERS = {"pcnet": "pcnet32", "rtl8139": "8139cp", "rtl8139c": "8139too", "e1000": "e1000", "e1000e": "e1000e",
           "virtio-net": "virtio_net"}
GUESTS = {"64": ["vmlinuz-amd64", "network-initrd64.gz"], "32": ["vmlinuz-686-pae", "network-initrd32.gz"]}
DHCP = "udhcpc -i eth0 -n -q -s /bin/lease"


class Files(http.server.BaseHTTPRequestHandler):
    """GET: the server's data.  POST: the sum of what came is in the server's `got`."""

    def do_GET(self):  # noqa: N802, the library's name
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.data)))
        self.end_headers()
        self.wfile.write(self.server.data)

    def do_POST(self):  # noqa: N802
        left, md5 = int(self.headers["Content-Length"]), hashlib.md5()
        while left:
            part = self.rfile.read(min(left, 65536))
            if not part:
                break
            md5.update(part)
            left -= len(part)
        self.server.got = md5.hexdigest()
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args):
        pass


def serve(bytes_, seed):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    # without zeroes: busybox's wget sends a file as a text
    server.data, server.got = random.Random(seed).randbytes(bytes_).replace(b"\0", b"0"), None
    server.md5 = hashlib.md5(server.data).hexdigest()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Vm(boot.Machine):
    def connect(self):
        path, end = os.path.join(self.home, "serial"), time.monotonic() + 20
        while not os.path.exists(path) and time.monotonic() < end:
            time.sleep(0.1)
        return Shell(path, self.options.scale)

    def save_and_load(self, shell):
        """In a new process; the serial line's other end is a new one, too."""
        state = os.path.join(self.home, "state")
        shell.close()
        self.run("debug", "save", self.name, state)
        self.run("stop", self.name, "--force")
        self.run("start", self.name, "--load", state)
        shell = self.connect()
        shell.socket.sendall(b"\n")
        return shell


def expect(is_, want, what):
    if is_ != want:
        raise AssertionError(f"{what}: {is_!r}, expected {want!r}")


def get(shell, server, seconds):
    shell.good(f"U=http://10.0.2.2:{server.server_address[1]}/")  # short lines: the guest's shell breaks their echo at 80
    expect(shell.good("wget -qO- $U | md5sum", seconds).split()[-2], server.md5, "the sum of what the guest got")


def try_card(vm, model, server):
    megabytes = len(server.data) >> 20
    limit = 60 + 10 * megabytes
    shell = vm.connect()
    shell.until("GUEST-PROMPT", 120)
    shell.good("cards", 60)
    lease = shell.good(DHCP, 60)
    assert "LEASE eth0 10.0.2.15/24 router=10.0.2.2 dns=10.0.2.3" in lease, lease
    driver = shell.good("basename $(readlink /sys/class/net/e*/device/driver)").split()[-1]
    expect(driver, DRIVERS[model], "the driver")
    began = time.monotonic()
    get(shell, server, limit)
    got = time.monotonic() - began
    shell.good("wget -qOf $U", limit)
    began = time.monotonic()
    shell.good("wget -qO/dev/null --post-file=f $U", limit)
    sent = time.monotonic() - began
    expect(server.got, server.md5, "the sum of what the host got")
    shell = vm.save_and_load(shell)
    shell.good("ping -c 2 10.0.2.2", 60)
    get(shell, server, limit)
    errors = shell.good("cat /sys/class/net/e*/statistics/[rt]x_errors").split()[-2:]
    if model == "rtl8139c":
        errors[0] = "0"  # to 8139too a link that comes or goes, as after loading, is an error
    expect(errors, ["0", "0"], "errors that the guest counted")
    shell.close()
    return f"{megabytes} MiB received in {got:.1f} s, sent in {sent:.1f} s"


def run(options, name, cache):
    model, bits = name.rsplit("-", 1)
    reason = boot.guests_ready(GUESTS[bits])
    if reason:
        return f"SKIP {reason}"
    kernel, initrd = [os.path.join(cache, g) for g in GUESTS[bits]]
    server = serve(options.megabytes << 20, name)
    vm = Vm(options, name)
    try:
        vm.run("create", name, "--memory", "384M", "--kernel", kernel, "--initrd", initrd, "--engine", options.engine,
               "--cmdline", "console=ttyS0,115200 loglevel=4 panic=-1", "--set", f"nic1.model={model}",
               "--set", f"serial1.target=socket:{vm.home}/serial")
        vm.run("start", name)
        print(f"# {name}: {try_card(vm, model, server)}", flush=True)
        return None
    except (AssertionError, boot.Failed, OSError) as e:
        return f"{e}\n{vm.run('logs', name, check=False).stdout[-1000:]}"
    finally:
        vm.close()
        server.shutdown()
        server.server_close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vmctl", default=os.path.join(HERE, "../../build/core-vmm/vmctl/vmctl"))
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--megabytes", type=int, default=16)
    parser.add_argument("test", nargs="+")
    options = parser.parse_args()
    cache = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "terrarium/guests")
    cache, failed = os.environ.get("TERRARIUM_GUESTS", cache), 0
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
