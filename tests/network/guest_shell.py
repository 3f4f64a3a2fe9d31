# SPDX-License-Identifier: GPL-2.0-or-later
"""A shell in a guest, on its first serial line: commands in, their output and exit code back."""
import re
import select
import socket
import time


class Shell:
    def __init__(self, path, patience=1.0):
        """path: of the port's socket; patience: what all time limits are multiplied by."""
        self.patience, self.text, self.count = patience, "", 0
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)

    def boot(self, seconds=120):
        """Waits for its shell."""
        self.until("can't access tty", seconds)
        self.socket.sendall(b"stty cols 200\n")
        self.good("true")

    def until(self, pattern, seconds):
        """The match, and what came before it is taken away with it; AssertionError: it did not come."""
        end = time.monotonic() + seconds * self.patience
        while not (found := re.search(pattern, self.text)):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                raise AssertionError(f"the guest did not say {pattern!r} in {seconds * self.patience:g} s but: "
                                     f"{self.text[-600:]!r}")
            data = self.socket.recv(65536)
            if not data:
                raise AssertionError(f"the guest's serial line has ended; the last of it: {self.text[-600:]!r}")
            self.text += data.decode("utf-8", "replace").replace("\r", "")
        self.text = self.text[found.end():]
        return found

    def start(self, command):
        self.count += 1
        self.socket.sendall(f"{command}; echo DONE-{self.count}''=$?\n".encode())
        self.until(rf"''=\$\?\n", 10)  # the echo of it

    def result(self, seconds=30):
        """Of what start() began: output, exit code.  What is typed while no shell reads is echoed by the terminal, and again by
        the shell, so there may be an echo yet."""
        found = self.until(rf"(?s)^(.*?)DONE-{self.count}=(\d+)\n", seconds)
        return found[1].rpartition(f"echo DONE-{self.count}''=$?\n")[2].strip(), int(found[2])

    def run(self, command, seconds=30):
        self.start(command)
        return self.result(seconds)

    def good(self, command, seconds=30):
        out, code = self.run(command, seconds)
        assert code == 0, f"{command}: exit code {code}: {out}"
        return out

    def close(self):
        self.socket.close()
