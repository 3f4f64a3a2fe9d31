#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vmctl against a VM process that a guest took over, and a VM process against a thousand clients.  vmctl must end by itself,
with an exit code of its own and a word about what is wrong, and a terminal must see nothing that it would obey.
Prints TAP.  Usage: test_hostile_vm.py VMCTL TERRARIUM-VM-SCRIPTED [ANSWERS [SEED]]"""
import array
import base64
import copy
import fcntl
import json
import os
import pty
import random
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

VMCTL, VM = (os.path.abspath(a) for a in sys.argv[1:3])
ANSWERS = int(sys.argv[3]) if len(sys.argv) > 3 else 150
SEED = int(sys.argv[4]) if len(sys.argv) > 4 else random.randrange(1 << 32)
NAME = "victim"


class Host:
    """A user's account with one machine."""

    def __enter__(self):
        self.base = tempfile.mkdtemp(prefix="terrarium-test-")
        os.makedirs(self.base + "/run/terrarium/" + NAME, 0o700)
        os.chmod(self.base + "/run/terrarium", 0o700)
        self.env = dict(os.environ, XDG_DATA_HOME=self.base + "/data", XDG_RUNTIME_DIR=self.base + "/run",
                        TERRARIUM_VM=VM, LC_ALL="C.UTF-8", HOME=self.base, ASAN_OPTIONS="detect_leaks=0")
        self.folder = f"{self.base}/data/terrarium/machines/{NAME}"
        self.socket = f"{self.base}/run/terrarium/{NAME}/control"
        self.run("create", NAME)
        with open(self.base + "/a.img", "wb") as f:
            f.truncate(1440 << 10)
        return self

    def __exit__(self, *unused):
        shutil.rmtree(self.base)

    def run(self, *args, terminal=False, timeout=25):
        """-> exit code, stdout, stderr"""
        master, slave = pty.openpty() if terminal else (None, subprocess.PIPE)
        with subprocess.Popen([VMCTL, *args], env=self.env, stdin=subprocess.DEVNULL, stdout=slave,
                              stderr=subprocess.PIPE, cwd=self.base) as p:
            out = b""
            if terminal:
                os.close(slave)
                reader = threading.Thread(target=lambda: chunks.extend(read_all(master)))
                chunks = []
                reader.start()
            try:
                out, err = p.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                p.kill()
                p.communicate()
                raise AssertionError(f"vmctl {' '.join(args)} did not end in {timeout} s") from None
            if terminal:
                reader.join()
                os.close(master)
                out = b"".join(chunks)
        return p.returncode, out, err


def read_all(fd):
    while True:
        try:
            data = os.read(fd, 65536)
        except OSError:  # the other end of the terminal has gone
            return
        if not data:
            return
        yield data


class HostileVm:
    """Holds the machine's lock and answers requests as answer(request) says: (bytes, descriptors, go on)."""

    def __init__(self, host, answer, patience=30):
        self.answer, self.patience = answer, patience  # patience: when it hangs up
        self.lock = open(host.folder + "/lock", "w", encoding="ascii")
        self.lock.write("1\n")
        self.lock.flush()
        fcntl.fcntl(self.lock, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))  # F_OFD_SETLK
        if os.path.exists(host.socket):
            os.unlink(host.socket)
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(host.socket)
        self.listening.listen(16)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                c, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(c,), daemon=True).start()

    def talk(self, c):
        rest = b""
        with c:
            c.settimeout(self.patience)
            while True:
                try:
                    data = socket.recv_fds(c, 65536, 4)
                except OSError:
                    return
                for fd in data[1]:
                    os.close(fd)
                if not data[0]:
                    return
                rest += data[0]
                while b"\n" in rest:
                    line, rest = rest.split(b"\n", 1)
                    if not self.reply(c, json.loads(line)):
                        return

    def reply(self, c, request):
        data, fds, then = self.answer(request)
        try:
            if data and fds:
                n = c.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
                c.sendall(data[n:])
            elif data:
                c.sendall(data)
        except OSError:
            then = False
        for fd in fds:
            os.close(fd)
        return then(c) if callable(then) else then

    def close(self):
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        self.lock.close()


def line(request, result, **more):
    return (json.dumps({"id": request["id"], "ok": True, "result": result, **more}) + "\n").encode()


# ---- answers as they should be, and what becomes of them

DRIVES = [{"drive": "ide2", "media": "cdrom", "removable": True, "file": "/a.iso", "bytes": 1 << 20, "readonly": True},
          {"drive": "floppy0", "media": "floppy", "removable": True}]
RIGHT = {
    "info": {"protocol": 1, "version": "0", "name": NAME, "folder": "/f", "pid": 1, "state": "running",
             "engine": "soft", "engine-reason": "a test", "engine-memory": {"used": 1, "limit": 2}, "cpus": 1,
             "memory": 1 << 24, "uptime": 1, "has-display": True, "absolute-pointer": False,
             "serial": [{"name": "serial1", "target": "none", "bytes": 1, "dropped": 0}], "drives": DRIVES},
    "media.list": {"drives": DRIVES},
    "screen.text": {"text": "C:\\>\n"},
    "screen.shot": {"width": 64, "height": 48, "stride": 256},
    "serial.tail": {"text": "login: ", "offset": 7, "dropped": 0},
    "wait.serial": {"offset": 7},
    "wait.state": {"state": "paused"},
    "wait.crash": {"count": 1, "code": "0xa", "arguments": ["0x1", "0x2", "0x3", "0x4"], "message": "so it was"},
    "debug.cpu": {"engine": "soft", "rip": "0xfff0", "es": {"selector": "0x0"}},
    "debug.engine": {"engine": "soft", "counters": {"left": {"misses": 70, "requests": 7}}},
    "debug.code": {"text": "nop\n"},
}
VERBS = [("info", NAME), ("info", NAME, "-o", "json"), ("list",), ("list", "-o", "json"), ("media", "list", NAME),
         ("media", "list", NAME, "-o", "json"), ("media", "insert", NAME, "a.img", "--drive", "floppy0"),
         ("media", "insert", NAME, "a.img"), ("media", "eject", NAME), ("screen", "text", NAME),
         ("screen", "text", NAME, "-o", "json"), ("screen", "shot", NAME, "a.png"), ("serial", NAME, "--tail"),
         ("serial", NAME, "--tail", "-o", "json"), ("serial", NAME), ("serial", NAME, "--send", "x"),
         ("debug", NAME), ("debug", "engine", NAME), ("debug", "engine", NAME, "-o", "json"), ("debug", "code", NAME),
         ("wait", NAME, "--serial", "x", "--timeout", "0.2"), ("wait", NAME, "--state", "paused"),
         ("wait", NAME, "--screen", "x", "--timeout", "0"), ("wait", NAME, "--crash", "--timeout", "0.2"), ("pause", NAME), ("resume", NAME), ("reset", NAME),
         ("type", NAME, "x"), ("keys", NAME, "a", "b"), ("stop", NAME, "--timeout", "0.05")]
NASTY = [None, True, False, 0, -1, 1, 5, 64, 1 << 31, -(1 << 31), 1 << 62, -(1 << 63), (1 << 63) - 1, 0.5, -1e308, 1e308,
         "", "x", "%s%n", "\x1b[2J\x1b]0;gone\x07", "\x9b31m", "\u202e", "\ud800", "\udfff\ud800", "\x00", "y" * 5000,
         "\r\n\t\b\x7f", "/etc/passwd", [], {}, [[]], [{}], [None], {"": ""}, {"limit": 5}, {"limit": {}, "used": []},
         ["x", 1, {}], {"text": "x"}, [[[[[[[[[[[[]]]]]]]]]]]], {"a": {"a": {"a": {"a": {"a": {}}}}}}]


def nasty(rng):
    return copy.deepcopy(rng.choice(NASTY))


def places(node, at=()):
    yield at
    if isinstance(node, (dict, list)):
        for key in (node if isinstance(node, dict) else range(len(node))):
            yield from places(node[key], at + (key,))


def change(rng, answer):
    """One member somewhere is replaced, goes, or gets company."""
    at = rng.choice(list(places(answer)))
    if not at:
        return nasty(rng) if rng.random() < .3 else answer
    parent = answer
    for key in at[:-1]:
        parent = parent[key]
    what = rng.randrange(4)
    if what == 0:
        del parent[at[-1]]
    elif what == 1 and isinstance(parent, dict):
        parent[rng.choice(["", "x", "\x1b[1m", "id", "fds", "ok", "event", "error", "limit"])] = nasty(rng)
    else:
        parent[at[-1]] = nasty(rng)
    return answer


def change_bytes(rng, data):
    data = bytearray(data)
    for unused in range(rng.randint(1, 4)):
        at = rng.randrange(len(data))
        what = rng.randrange(4)
        if what == 0:
            data[at] = rng.randrange(256)
        elif what == 1:
            del data[at:at + rng.randint(1, 20)]
        elif what == 2:
            data[at:at] = rng.choice([b'"', b"\\", b"{", b"[" * 50, b"}", b"\0", b"\n", b"\\u0000", b"\\ud800", b"/*",
                                      b"9" * 400, b"1e999", b"\xff", b"null", b",", b":"])
        else:
            data[at:at] = data[at:at + rng.randint(1, 30)]
        data = data or bytearray(b"x")
    return bytes(data)


def memory(size, seals=0):
    fd = os.memfd_create("picture", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    if seals:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def dead_socket():
    ours, theirs = socket.socketpair()
    theirs.close()
    return ours.detach()


def descriptor(rng):
    kind = rng.randrange(8)
    if kind == 0:
        return memory(64 * 48 * 4, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
    if kind == 1:
        return memory(rng.choice([0, 1, 4095, 64 * 48 * 4, 1 << 30]))
    if kind == 2:
        read, write = os.pipe()
        os.close(write)
        return read
    if kind == 3:
        return os.open("/dev/null", os.O_RDWR)
    if kind == 4:
        return os.open("/", os.O_RDONLY)
    if kind == 5:
        return os.open("/proc/self/cmdline", os.O_RDONLY)
    if kind == 6:
        return os.open("/dev/zero", os.O_RDWR)
    return dead_socket()


def hostile_answer(rng, request):
    answer = {"id": request["id"], "ok": True, "result": json.loads(json.dumps(RIGHT.get(request["cmd"], {})))}
    fds = []
    if request["cmd"] in ("screen.shot", "serial.open") or rng.random() < .05:
        fds = [descriptor(rng) for unused in range(rng.choice([0, 1, 1, 1, 1, 2, 8]))]
        answer["fds"] = len(fds) if rng.random() < .9 else rng.choice([0, 1, 9, -1, 1 << 40])
    if rng.random() < .1:
        answer = {"id": request["id"], "ok": False, "error": {"code": "busy", "message": "\x1b[5m"}}
    for unused in range(rng.choice([0, 1, 1, 1, 2, 3])):
        if isinstance(answer, dict):
            answer = change(rng, answer)
    data = (json.dumps(answer, ensure_ascii=rng.random() < .5) + "\n").encode("utf-8", "surrogatepass")
    if rng.random() < .3:
        data = change_bytes(rng, data)
    if rng.random() < .1:
        data = b'{"event":"state","data":{"state":5}}\n' * rng.choice([1, 1000]) + data
    return data, fds, isinstance(answer, dict) and answer.get("id") == request["id"] and rng.random() < .9


def is_harmless(out):
    text = out.decode("utf-8", "surrogateescape")
    return not [c for c in text if (ord(c) < 32 and c not in "\r\n\t") or 0x7f <= ord(c) < 0xa0 or ord(c) == 0x202e]


def test_random_answers(h):
    rng = random.Random(SEED)
    print(f"# {ANSWERS} answers, seed {SEED}", flush=True)
    vm = HostileVm(h, lambda request: hostile_answer(rng, request), patience=.3)
    answered = 0
    for i in range(ANSWERS):
        args, terminal = VERBS[i % len(VERBS)], rng.random() < .3
        code, out, err = h.run(*args, terminal=terminal)
        what = f"run {i}: vmctl {' '.join(args)}: exit {code}, {out[:300]!r} {err[:300]!r}"
        assert 0 <= code < 10, what
        assert code == 0 or err, what
        assert is_harmless(err) and (not terminal or is_harmless(out)), what
        answered += code == 0
    vm.close()
    assert 0 < answered < ANSWERS, f"{answered} of {ANSWERS} were right"


def with_answer(h, answer, *args, **how):
    vm = HostileVm(h, answer)
    try:
        return h.run(*args, **how)
    finally:
        vm.close()


def test_shrinking_picture(h):
    """The memory goes while the picture is read."""
    for seals in (0, fcntl.F_SEAL_GROW):
        fd = memory(8192 * 8192 * 4, seals)
        answer = lambda r: (line(r, {"width": 8192, "height": 8192, "stride": 32768}, fds=1), [os.dup(fd)],
                            lambda c: time.sleep(.05) or os.ftruncate(fd, 0) or True)
        code, unused, err = with_answer(h, answer, "screen", "shot", NAME, "a.png")
        assert code == 1 and b"smaller than it says" in err or code == 0, (code, err)
        os.close(fd)


def test_picture_that_is_none(h):
    for fd in (os.open("/dev/zero", os.O_RDWR), os.open(h.base + "/a.img", os.O_RDWR), memory(100)):
        answer = lambda r: (line(r, {"width": 64, "height": 48, "stride": 256}, fds=1), [os.dup(fd)], True)
        code, unused, err = with_answer(h, answer, "screen", "shot", NAME, "a.png")
        assert code == 1 and b"no picture" in err, (code, err)
        os.close(fd)


def test_no_line(h):
    """What is passed for a serial line is none: it is neither read nor written."""
    answer = lambda r: (line(r, {}, fds=1), [os.open("/dev/zero", os.O_RDWR)], True)
    code, out, err = with_answer(h, answer, "serial", NAME)
    assert code == 1 and not out and b"no serial line" in err, (code, err)


def test_endless(h):
    """Events without end, a line without end, and silence: none puts off the time limit or fills the memory."""
    def forever(piece):
        def go_on(c):
            try:
                while True:
                    c.sendall(piece)
            except OSError:
                return False
        return lambda r: (b"", [], go_on)
    for piece in (b'{"event":"state","data":{}}\n' * 1000, b"[" * 65536, b" " * 65536, b"\n" * 65536):
        start = time.monotonic()
        code, out, err = with_answer(h, forever(piece), "list")
        assert code == 0 and b"no answer" in out, (code, out, err)
        assert time.monotonic() - start < 15
    code, out, err = with_answer(h, lambda r: (b"", [], True), "list")
    assert code == 0 and b"no answer" in out, (code, out, err)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    assert peak < 300, f"vmctl took {peak} MiB"


def test_farewell(h):
    """What is said before the connection is closed is what the user hears."""
    answer = lambda r: (b'{"ok":false,"error":{"code":"busy","message":"the house is full"}}\n', [], False)
    code, unused, err = with_answer(h, answer, "pause", NAME)
    assert code == 9 and b"the house is full" in err, (code, err)


def test_wait_keeps_time(h):
    start = time.monotonic()
    code, unused, err = with_answer(h, lambda r: (b"", [], True), "wait", NAME, "--serial", "x", "--timeout", "0.2")
    assert code == 5 and time.monotonic() - start < 20, (code, err)


def test_terminal(h):
    """Escape sequences are shown on a terminal; a file gets what the guest sent."""
    evil = "a\x1b]0;gone\x07b\x9bc\u202e\n"
    os.makedirs(h.folder + "/logs", exist_ok=True)
    with open(h.folder + "/logs/vm.log", "w", encoding="utf-8") as f:
        f.write(evil * 3000)
    answer = lambda r: (line(r, {"text": evil}), [], True)
    for args in (("serial", NAME, "--tail"), ("screen", "text", NAME), ("debug", "code", NAME), ("logs", NAME)):
        code, out, unused = with_answer(h, answer, *args, terminal=True)
        assert code == 0 and is_harmless(out) and b"a^[]0;gone^Gb\\xc2\\x9bc" in out, (args, out[:200])
        code, out, unused = with_answer(h, answer, *args)
        assert code == 0 and evil.encode() in out, (args, out[:200])
    refuse = lambda r: (json.dumps({"id": r["id"], "ok": False, "error": {"code": "x", "message": evil}}).encode() +
                        b"\n", [], True)
    code, out, err = with_answer(h, refuse, "pause", NAME)
    assert code == 1 and is_harmless(err) and b"^[]0;gone" in err, (code, err)
    shutil.copy(h.base + "/a.img", h.base + "/b\x1b[31m.img")
    for part in ("info", "map"):
        code, out, err = h.run("disk", part, "b\x1b[31m.img", terminal=True)
        assert is_harmless(out) and is_harmless(err) and b"b^[[31m.img" in out + err, (part, code, out, err)
    code, out, err = h.run("info", "\x1b[1mno")
    assert code == 3 and is_harmless(err), (code, err)


# ---- a guest that has files and programs

class Guest:
    """What open-vm-tools' service answers, with its files in a dictionary.  late: how often a file is not there yet."""

    def __init__(self, files=(), late=0, more=0):
        self.files, self.late, self.more = dict(files), late, more
        self.handles, self.asked, self.started, self.tell = [], [], b"", lambda op: None

    def answer(self, request):
        if request["cmd"] != "guest.tell":
            return line(request, dict(RIGHT["info"])), [], True
        data = base64.b64decode(request["args"]["wish"])
        packet = data[data.index(b"\0") + 1:]
        op, body = struct.unpack_from("<I", packet, 23)[0], packet[51:]
        answer = b"OK 0 0 " + {84: self.file, 185: self.start, 186: self.processes}[op](body)
        return line(request, {"answer": base64.b64encode(answer).decode()}), [], True

    def start(self, body):
        self.started = body
        return b"7"

    def processes(self, unused):
        return b"<proc><eCode>3</eCode><eTime>%d</eTime></proc>" % (not self.late)

    @staticmethod
    def name(body, at):
        length = struct.unpack_from("<I", body, at)[0]
        return body[at + 16:at + 16 + length].replace(b"\0", b"/").removeprefix(b"root").decode(), at + 17 + length

    def file(self, body):
        ident, op = struct.unpack_from("<II", body, 8)
        status, reply = self.operation(op, body[16:])
        self.asked.append(op)
        self.tell(op)
        return b"#" + struct.pack("<II", ident, status) + reply

    def operation(self, op, body):
        if op in (25, 26, 27):
            path, offset = self.handles[struct.unpack_from("<I", body)[0]], struct.unpack_from("<Q", body, 4 + (op == 26))[0]
            data = self.files[path]
            if op == 25:
                piece = (data + b"x" * self.more)[offset:offset + 24576]
                return 0, struct.pack("<IQ", len(piece), 0) + piece + b"\0"
            if op == 26:
                count = struct.unpack_from("<I", body, 13)[0]
                self.files[path] = data[:offset] + body[25:25 + count]
                return 0, struct.pack("<IQ", count, 0)
            return 0, b""
        path, end = self.name(body, {24: 64, 31: 16, 34: 16, 36: 16}[op])
        new = op == 24 and body[12] == 3
        if path not in self.files and not new and (not path.startswith("/tmp/.terrarium-") or self.late):
            self.late -= self.late > 0
            return 1, b""
        if op == 24:
            self.files.setdefault(path, b"" if new else path[-3:].encode())
            self.handles.append(path)
            return 0, struct.pack("<IIII", len(self.handles) - 1, 0, 0, 0)
        if op == 31:
            return 0, struct.pack("<QIQ32x4s", 0x3ff, 0, len(self.files[path]), bytes([0, 6, 0, 0])) + bytes(68)
        data = self.files.pop(path, b"")
        if op == 36:
            self.files[self.name(body, end)[0]] = data
        return 0, b""


def as_anna(h):
    with open(h.base + "/pw", "w", encoding="ascii") as f:
        f.write("a word\n")
    return ["--user", "anna", "--password-file", "pw"]


def test_exec_is_followed(h):
    """What it says comes late: its files are not there at once.  They are removed, and its code is ours."""
    g = Guest(late=5)
    code, out, err = with_answer(h, g.answer, "exec", NAME, *as_anna(h), "--", "true")
    assert (code, out, err) == (3, b"out", b"err"), (code, out, err)
    assert g.started and not g.files, g.files


def test_copy_out(h):
    data = os.urandom(60000)
    g = Guest({"/a": data})
    with open(h.base + "/a.part", "wb"):
        pass
    copy_out = ("cp", *as_anna(h), NAME + ":/a", "a")
    code, unused, err = with_answer(h, g.answer, *copy_out)
    with open(h.base + "/a", "rb") as f:
        assert code == 0 and f.read() == data, (code, err)
    assert os.stat(h.base + "/a").st_mode & 0o777 == 0o600
    g.more = 1
    code, unused, err = with_answer(h, g.answer, *copy_out)
    assert code and b"has 60000 bytes, and sends more" in err, (code, err)
    assert [n for n in os.listdir(h.base) if n.endswith(".part")] == ["a.part"]


def test_copy_in(h):
    """The old file is there until the new one is whole."""
    data = os.urandom(60000)
    with open(h.base + "/a", "wb") as f:
        f.write(data)
    g = Guest({"/a": b"old"})
    seen = []
    g.tell = lambda op: seen.append(g.files["/a"]) if op in (24, 26, 27) else None
    code, unused, err = with_answer(h, g.answer, "cp", *as_anna(h), "a", NAME + ":/a")
    assert code == 0 and g.files == {"/a": data} and set(seen) == {b"old"} and len(seen) == 5, (code, err, seen)


def test_copy_cancelled(h):
    """Ctrl-C in the middle leaves nothing, neither here nor there."""
    with open(h.base + "/a", "wb") as f:
        f.write(b"x" * 500000)
    for args in (["a", NAME + ":/a"], [NAME + ":/a", "b"]):
        g = Guest({"/a": b"y" * 500000})
        vm = HostileVm(h, g.answer)
        with subprocess.Popen([VMCTL, "cp", *as_anna(h), *args], env=h.env, cwd=h.base, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as p:
            g.tell = lambda op: (p.send_signal(signal.SIGINT), time.sleep(.1)) if op in (25, 26) else None
            err = p.communicate(timeout=25)[1]
        vm.close()
        assert p.returncode == 1 and b"cancelled" in err, (p.returncode, err)
        assert g.files == {"/a": b"y" * 500000} and not [n for n in os.listdir(h.base) if n.endswith(".part") or n == "b"]


def test_password(h):
    """Ctrl-C at the prompt leaves the terminal as it was; what is too long is refused."""
    for file in ("long", "-"):
        with open(h.base + "/long", "wb") as f:
            f.write(b"x" * 1025 + b"\n")
        with open(h.base + "/long", "rb") as f:
            p = subprocess.run([VMCTL, "vnc", NAME, "password", "--file", file], env=h.env, cwd=h.base, stdin=f, capture_output=True, check=False)
        assert p.returncode == 2 and b"longer than it may be" in p.stderr, p
    for args in (["exec", NAME, "--user", "anna", "--", "true"], ["cp", "--user", "anna", "a.img", NAME + ":/a"], ["vnc", NAME, "password"]):
        master, slave = pty.openpty()
        before = termios.tcgetattr(slave)
        with subprocess.Popen(["setsid", "--ctty", "--wait", VMCTL, *args], env=h.env, cwd=h.base, stdin=slave, stderr=subprocess.PIPE) as p:
            seen = b""
            while b"shown)" not in seen:
                more = os.read(p.stderr.fileno(), 1000)
                assert more, seen
                seen += more
            assert not termios.tcgetattr(slave)[3] & termios.ECHO
            os.write(master, b"\x03")
            p.wait(timeout=10)
        assert p.returncode and termios.tcgetattr(slave) == before, (args, p.returncode)
        os.close(master)
        os.close(slave)


# ---- the other way round: a thousand clients

def runs(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def stop_works(h, pid):
    code, unused, err = h.run("stop", "--force", NAME, timeout=40)
    assert code == 0, (code, err)
    assert not runs(pid), "the process is still there"


def start(h):
    code, unused, err = h.run("start", NAME)
    assert code == 0, err
    with open(h.folder + "/lock", encoding="ascii") as f:
        return int(f.read())


def crowd(h, count):
    clients = []
    for unused in range(count):
        s = socket.socket(socket.AF_UNIX)
        s.setblocking(False)
        try:
            s.connect(h.socket)
        except OSError:  # the kernel's queue is full
            pass
        clients.append(s)
    return clients


def raise_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 1200 and hard < 1200:
        return f"needs 1,200 open files, the limit is {hard}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    return None


def test_crowd(h):
    """A thousand connections: a client more is told so, not that the process has ended, and the machine can be stopped."""
    lacks = raise_limit()
    if lacks:
        return lacks
    for talk in (b"", b'{"id":1,"cmd":"commands"}\n' * 200, b"x" * 5000):
        pid = start(h)
        clients = crowd(h, 1000)
        for s in clients:
            try:
                s.send(talk)
            except OSError:
                pass
        code, unused, err = h.run("pause", NAME)
        assert code == 9 and (b"as it can have" in err or b"too many wait" in err), (code, err)
        stop_works(h, pid)
        for s in clients:
            s.close()
    return None


def test_stop_without_socket(h):
    """The socket has gone, or the process does not move: the lock tells who it is, whatever the lock file says."""
    pid = start(h)
    os.unlink(h.socket)
    with open(h.folder + "/lock", "w", encoding="ascii") as f:
        f.write(f"{os.getpid()}\n")
    stop_works(h, pid)
    pid = start(h)
    os.kill(pid, 19)  # SIGSTOP
    stop_works(h, pid)
    for _ in range(50):  # whoever cleans up behind it was not killed with it
        if not os.path.exists(h.socket):
            break
        time.sleep(.1)
    assert not os.path.exists(h.socket), "the socket was left behind"
    code, unused, err = h.run("stop", "--force", NAME)
    assert code == 4 and b"not running" in err


def memory_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        fields = dict(l.split(":", 1) for l in f)
    return int(fields["VmRSS"].split()[0]) >> 10


def test_unread_memory(h):
    """Clients that ask for a megabyte each, again and again, and read nothing."""
    with open(VM, "rb") as f:
        if b"__asan_init" in f.read():
            return "a sanitizer keeps freed memory"
    pid = start(h)
    h.run("serial", NAME, "--send", "flood 1200000\\n")
    before, clients = memory_of(pid), crowd(h, 60)
    for unused in range(50):
        for s in clients:
            try:
                s.send(b'{"id":1,"cmd":"serial.tail","args":{"bytes":1000000}}\n' * 20)
            except OSError:
                pass
        time.sleep(.02)
    grown = memory_of(pid) - before
    print(f"# 60 clients that do not read: {grown} MiB", flush=True)
    assert grown < 160, f"{grown} MiB"
    stop_works(h, pid)
    for s in clients:
        s.close()
    return None


def main():
    tests = [(n, f) for n, f in globals().items() if n.startswith("test_")]
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    for number, (name, test) in enumerate(tests, 1):
        try:
            with Host() as h:
                skip = test(h)
            print(f"ok {number} {name[5:]}" + (f" # SKIP {skip}" if skip else ""), flush=True)
        except Exception as e:  # a test that breaks has failed
            failed += 1
            text = f"{type(e).__name__}: {e}"[:3000].replace("\n", "\n# ")
            print(f"not ok {number} {name[5:]}\n# {text}", flush=True)
    return failed > 0


sys.exit(main())
