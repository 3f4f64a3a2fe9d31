# SPDX-License-Identifier: GPL-2.0-or-later
"""A small VNC client for tests: RFB 3.3 to 3.8, raw pixels, passwords, QEMU's key events."""
import socket
import struct
import subprocess


class Closed(Exception):
    pass


def des(key, block):
    """Passwords of VNC are keys of DES whose bytes have their bits the other way round."""
    mirrored = bytes(int(f"{b:08b}"[::-1], 2) for b in key.ljust(8, b"\0")[:8])
    out = subprocess.run(["openssl", "enc", "-des-ecb", "-nopad", "-K", mirrored.hex(), "-provider", "legacy", "-provider", "default"],
                         input=block, capture_output=True, check=True)
    return out.stdout


class Rfb:
    def __init__(self, port, timeout=10, opened=None):
        self.s = opened or socket.create_connection(("127.0.0.1", port), timeout)
        self.led = self.keys_known = None
        self.pixels = {}

    def get(self, n):
        data = b""
        while len(data) < n:
            more = self.s.recv(n - len(data))
            if not more:
                raise Closed()
            data += more
        return data

    def put(self, kind, *values):
        self.s.sendall(struct.pack(">" + kind, *values))

    def greet(self, version=8):
        assert self.get(12) == b"RFB 003.008\n"
        self.s.sendall(b"RFB 003.%03d\n" % version)
        if version < 7:
            return list(struct.unpack(">I", self.get(4)))
        return list(self.get(self.get(1)[0]))

    def prove(self, password):
        self.s.sendall(des(password.encode(), self.get(16)))
        return self.result()

    def result(self):
        return struct.unpack(">I", self.get(4))[0]

    def begin(self, password=None, version=8):
        """The handshake; False: the password is wrong."""
        kinds = self.greet(version)
        assert kinds == [2 if password else 1], kinds
        if version >= 7:
            self.put("B", kinds[0])
        if password and self.prove(password):
            return False
        if not password and version >= 8:
            assert self.result() == 0
        self.put("B", 1)
        self.width, self.height = struct.unpack(">HH", self.get(4))
        said = struct.unpack(">BBBBHHHBBBxxx", self.get(16))
        assert said[:3] == (32, 24, 0) and said[3] and said[4:] == (255, 255, 255, 16, 8, 0), f"pixels are not x8r8g8b8: {said}"
        self.name = self.get(struct.unpack(">I", self.get(4))[0]).decode()
        return True

    def encodings(self, *which):
        self.put("BxH%di" % len(which), 2, len(which), *which)

    def request(self, incremental=False):
        self.put("BBHHHH", 3, incremental, 0, 0, self.width, self.height)

    def key(self, sym, down):
        self.put("BBxxI", 4, down, sym)

    def tap(self, *syms):
        for s in syms:
            self.key(s, True)
        for s in reversed(syms):
            self.key(s, False)

    def place(self, place, down, sym=0):
        self.put("BBHII", 255, 0, down, sym, place)

    def pointer(self, x, y, buttons=0):
        self.put("BBHH", 5, buttons, x, y)

    def update(self):
        """One message; raw pixels go into self.pixels, row by row."""
        kind = self.get(1)[0]
        assert kind == 0, kind
        for _ in range(struct.unpack(">xH", self.get(3))[0]):
            x, y, w, h, encoding = struct.unpack(">HHHHi", self.get(12))
            if encoding == 0:
                for row in range(y, y + h):
                    line = self.pixels.setdefault(row, bytearray(self.width * 4))
                    line[x * 4:(x + w) * 4] = self.get(w * 4)
            elif encoding == -223:
                self.width, self.height, self.pixels = w, h, {}
            elif encoding == -308:
                screens = self.get(4)[0]
                self.get(16 * screens)
                self.width, self.height, self.pixels, self.reason = w, h, {}, (x, y)
            elif encoding == -239:
                self.cursor = w, h
                self.get(w * h * 4 + (w + 7) // 8 * h)
            elif encoding == -258:
                self.keys_known = True
            elif encoding == -261:
                self.led = self.get(1)[0]
            else:
                raise AssertionError(f"an encoding that was not asked for: {encoding}")

    def picture(self):
        """All of it, as rows of (r, g, b)."""
        self.request()
        while len(self.pixels) < self.height:
            self.update()
        return [[(p[2], p[1], p[0]) for p in struct.iter_unpack("4B", self.pixels[y])] for y in range(self.height)]

    def is_closed(self):
        try:
            while self.s.recv(65536):
                pass
            return True
        except ConnectionError:
            return True
        except socket.timeout:
            return False

    def close(self):
        self.s.close()
