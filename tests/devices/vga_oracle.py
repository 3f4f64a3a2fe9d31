#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Plays the scenes of test-vga on QEMU's VGA and compares the pictures.  Suite "qemu", or by hand:

    tests/devices/vga_oracle.py BUILD/tests/devices/test-vga [SCENE ...]

QEMU's CPU stands (-S): its VGA hears the same port and memory accesses as ours."""
import json
import shutil
import socket
import subprocess
import sys
import tempfile

SET_UP = ["outl 0xcf8 0x80001010", "outl 0xcfc 0xe0000000", "outl 0xcf8 0x80001004", "outw 0xcfc 0x3"]


class Qemu:
    def __init__(self, folder):
        self.qtest_path, self.qmp_path = folder + "/qtest", folder + "/qmp"
        listeners = [self.listen(self.qtest_path), self.listen(self.qmp_path)]
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-machine", "pc,accel=tcg", "-S", "-nodefaults", "-display", "none", "-device",
             "VGA,addr=2,vgamem_mb=16,romfile=", "-qtest", "unix:" + self.qtest_path, "-qtest-log", "/dev/null", "-qmp",
             "unix:" + self.qmp_path])
        self.qtest, self.qmp = (l.accept()[0].makefile("rw") for l in listeners)
        self.qmp.readline()
        self.monitor("qmp_capabilities")

    @staticmethod
    def listen(path):
        s = socket.socket(socket.AF_UNIX)
        s.bind(path)
        s.listen(1)
        return s

    def monitor(self, command, **arguments):
        self.qmp.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.qmp.flush()
        while True:
            answer = json.loads(self.qmp.readline())
            if "error" in answer:
                raise RuntimeError(answer["error"])
            if "return" in answer:
                return answer["return"]

    def play(self, lines):
        for start in range(0, len(lines), 200):
            part = lines[start:start + 200]
            self.qtest.write("\n".join(part) + "\n")
            self.qtest.flush()
            for line in part:
                answer = self.qtest.readline()
                if not answer.startswith("OK"):
                    raise RuntimeError(f"{line}: {answer}")

    def picture(self, path):
        self.monitor("screendump", filename=path)
        return read_ppm(path)

    def end(self):
        self.monitor("quit")
        self.process.wait()


def read_ppm(path):
    data = open(path, "rb").read()
    magic, size, most, pixels = data.split(b"\n", 3)
    width, height = map(int, size.split())
    return width, height, pixels


def difference(ours, theirs):
    if ours[:2] != theirs[:2]:
        return f"we draw {ours[0]}x{ours[1]}, QEMU {theirs[0]}x{theirs[1]}"
    wrong = [i for i in range(0, len(ours[2]), 3) if ours[2][i:i + 3] != theirs[2][i:i + 3]]
    if not wrong:
        return None
    y, x = divmod(wrong[0] // 3, ours[0])
    i = wrong[0]
    return f"{len(wrong)} dots differ, first {x},{y}: we {ours[2][i:i + 3].hex()}, QEMU {theirs[2][i:i + 3].hex()}"


def run_scene(test, name, folder):
    lines = subprocess.run([test, "--qtest", name], check=True, capture_output=True, text=True).stdout.splitlines()
    subprocess.run([test, "--ppm", name, folder + "/ours.ppm"], check=True)
    qemu = Qemu(tempfile.mkdtemp(dir=folder))
    try:
        qemu.play(SET_UP + lines)
        return difference(read_ppm(folder + "/ours.ppm"), qemu.picture(folder + "/theirs.ppm"))
    finally:
        qemu.end()


def main():
    test, only, bad = sys.argv[1], sys.argv[2:], 0
    if not shutil.which("qemu-system-x86_64"):
        print("skipped: qemu-system-x86 is not installed")
        return 77
    scenes = subprocess.run([test, "--scenes"], check=True, capture_output=True, text=True).stdout.splitlines()
    with tempfile.TemporaryDirectory() as folder:
        for name, expected in (s.split("\t") for s in scenes):
            if only and name not in only:
                continue
            problem = run_scene(test, name, folder)
            bad += bool(problem) and not expected
            print(f"{name}: {problem or 'the same'}{' (expected: ' + expected + ')' if problem and expected else ''}", flush=True)
    return 1 if bad else 0


sys.exit(main())
