#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""terrarium-audio as the keeper starts it, behind its fence: what it plays by SDL (whose driver "disk" writes to a file, and reads the
microphone from one), no sound server, PulseAudio that comes and goes, files, and being killed.  Prints TAP.
Usage: test_player.py TERRARIUM-AUDIO [TEST...]"""
import array
import fcntl
import math
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

PROGRAM = os.path.abspath(sys.argv[1])
START, FRAMES, WANT, STOP, COUNTS = range(5)
HEAD = struct.Struct("=BBBBIIIII")  # core-vmm/base/audio_wire.h
RATE, PATIENCE = 48000, 60


class Process:
    """fds: {"out": descriptor} of files; a side that has none is auto or none."""

    def __init__(self, folder, out="none", in_="none", fds=None, **env):
        self.folder, fds = folder, fds or {}
        self.wire, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.wire.settimeout(PATIENCE)
        settings = os.memfd_create("settings")
        self.log = os.path.join(folder, "log")
        log = os.open(self.log, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        text = f"[sound]\nmachine=t\nout={out}\nin={in_}\n[descriptors]\n"
        text += "".join(f"{k}={6 + i}\n" for i, k in enumerate(fds))
        os.write(settings, text.encode())
        given = [fcntl.fcntl(fd, fcntl.F_DUPFD, 30) for fd in (theirs.fileno(), settings, log, *fds.values())]
        actions = [(os.POSIX_SPAWN_DUP2, fd, 3 + i) for i, fd in enumerate(given)]
        environment = dict(os.environ, HOME=folder, XDG_RUNTIME_DIR=folder, **env)
        self.pid = os.posix_spawn(PROGRAM, [PROGRAM], environment, file_actions=actions)
        for fd in (*given, settings, log):
            os.close(fd)
        theirs.close()
        self.counts = None

    def say(self, kind, frames=0, samples=b"", stream=0, channels=2, rate=RATE, in_=0):
        self.wire.send(HEAD.pack(kind, stream, channels, in_, rate, frames, 0, 0, 0) + samples)

    def hear(self):
        """The next packet: kind, frames, samples."""
        data = self.wire.recv(65536)
        assert data, "it has ended: " + self.said()
        kind, _, _, _, _, frames, under_runs, jumps, host = HEAD.unpack(data[:HEAD.size])
        if kind == COUNTS:
            self.counts = {"under-runs": under_runs, "jumps": jumps, "host": host}
        return kind, frames, data[HEAD.size:]

    def said(self):
        with open(self.log) as f:
            return f.read()

    def alive(self):
        return os.waitpid(self.pid, os.WNOHANG)[0] == 0

    def end(self, sig=None):
        if sig:
            os.kill(self.pid, sig)
        self.wire.close()
        return os.waitpid(self.pid, 0)[1]


def tone(hz, first, count, rate=RATE):
    return array.array("h", (v for i in range(first, first + count)
                             for v in [round(15000 * math.sin(2 * math.pi * hz * i / rate))] * 2))


def play(p, hz, seconds, until=None, rate=RATE):
    """As the VM process does: every 10 ms what is due."""
    p.say(START, rate=rate)
    began, sent = time.monotonic(), 0
    while sent < seconds * rate and not (until and until()):
        due = min(int((time.monotonic() - began) * rate), int(seconds * rate))
        while sent < due:
            n = min(due - sent, 480)
            p.say(FRAMES, n, tone(hz, sent, n, rate).tobytes(), rate=rate)
            sent += n
        time.sleep(0.01)
    p.say(STOP, rate=rate)


def frequencies(samples):
    """Of each stretch of a tenth of a second that is loud from its beginning to its end."""
    left, out = samples[::2], []
    for at in range(0, len(left) - RATE // 10, RATE // 10):
        part = left[at:at + RATE // 10]
        if min(max(abs(v) for v in part[i:i + 200]) for i in range(0, len(part) - 199, 200)) < 5000:
            continue
        places = [i - 1 + part[i - 1] / (part[i - 1] - part[i]) for i in range(1, len(part)) if part[i - 1] < 0 <= part[i]]
        out.append(RATE * (len(places) - 1) / (places[-1] - places[0]))
    return out


def samples_of(path):
    with open(path, "rb") as f:
        data = f.read()
    return array.array("h", data[:len(data) // 4 * 4])


def right(found, hz, least=4):
    """However busy the host is, much of it is the tone; where it was held up there are gaps, which the microphone and PulseAudio fill."""
    good = [f for f in found if abs(f - hz) < hz * 0.006]
    assert len(good) >= least and len(good) > len(found) / 4, f"not {hz} Hz: {found}"


def heard(path, hz):
    """Not yet, or is it there?  Looks once a second."""
    last = [time.monotonic()]

    def look():
        if time.monotonic() < last[0] + 1:
            return False
        last[0] = time.monotonic()
        return sum(abs(f - hz) < hz * 0.006 for f in frequencies(samples_of(path)[-20 * RATE:])) >= 8
    return look


# ---- tests ----

def test_loudspeaker(folder):
    out = os.path.join(folder, "raw")
    open(out, "wb").close()
    p = Process(folder, out="auto", SDL_AUDIODRIVER="disk", SDL_DISKAUDIOFILE=out)
    play(p, 440, 2, rate=44100)
    while not p.counts or not p.counts["host"]:
        p.hear()
    play(p, 440, 1, rate=44100)
    assert p.end() == 0, p.said()
    right(frequencies(samples_of(out)), 440)
    assert "is there, by disk" in p.said(), p.said()
    return f"{p.counts}"


def test_microphone(folder):
    source = os.path.join(folder, "raw")
    with open(source, "wb") as f:
        f.write(tone(300, 0, 20 * RATE).tobytes())
    p = Process(folder, in_="auto", SDL_AUDIODRIVER="disk", SDL_DISKAUDIOFILEIN=source)
    p.say(START, in_=1, rate=16000, channels=1)
    got = array.array("h")
    while len(got) < 32000:
        p.say(WANT, 1600, in_=1, rate=16000, channels=1)
        need = len(got) + 1600
        while len(got) < need:
            kind, _, data = p.hear()
            if kind == FRAMES:
                got += array.array("h", data)
    assert p.end() == 0
    # at 16 kHz: three times as fast as frequencies() takes it for
    right(frequencies(array.array("h", (v for x in got for v in (x, x)))), 900)


def test_no_server(folder):
    p = Process(folder, out="auto", SDL_AUDIODRIVER="pulseaudio", PULSE_SERVER=os.path.join(folder, "nobody"))
    play(p, 440, 60, until=lambda: "is not there" in p.said())
    while not p.counts:
        p.hear()
    assert not p.counts["host"] and p.alive()
    play(p, 440, 4)
    assert p.said().count("is not there") == 1, p.said()
    assert p.end() == 0


def test_pulseaudio(folder):
    """One of the test's own, whose sound is recorded there; it is ended and started again."""
    if not shutil.which("pulseaudio") or not shutil.which("parec"):
        return "# SKIP there is no pulseaudio (packages pulseaudio, pulseaudio-utils)"
    os.mkdir(os.path.join(folder, "pulse"), 0o700)
    own = {"PULSE_RUNTIME_PATH": os.path.join(folder, "pulse")}
    env = dict(os.environ, HOME=folder, XDG_RUNTIME_DIR=folder, **own)
    running = []

    def server(raw):
        """And what records what it plays."""
        s = subprocess.Popen(["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--disallow-exit", "--realtime=no",
                              "--high-priority=no", "-L", "module-native-protocol-unix auth-anonymous=1",
                              "-L", f"module-null-sink rate={RATE} channels=2 sink_name=test"],
                             env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        running.append(s)
        end = time.monotonic() + PATIENCE
        while not os.path.exists(os.path.join(folder, "pulse", "native")):
            assert time.monotonic() < end and s.poll() is None, "pulseaudio does not start"
            time.sleep(0.05)
        with open(raw, "wb") as f:
            running.append(subprocess.Popen(["parec", "-d", "test.monitor", f"--rate={RATE}", "--format=s16le", "--channels=2"],
                                            env=env, stdout=f, stderr=subprocess.DEVNULL))

    def end_server():
        for x in running:
            x.terminate()
            x.wait()
        running.clear()

    first, second = os.path.join(folder, "1"), os.path.join(folder, "2")
    try:
        server(first)
        p = Process(folder, out="auto", SDL_AUDIODRIVER="pulseaudio", **own)
        play(p, 440, 60, until=lambda: "by pulseaudio" in p.said())
        play(p, 440, 60, until=heard(first, 440))
        end_server()
        right(frequencies(samples_of(first)), 440)
        play(p, 440, 60, until=lambda: "is not there" in p.said())
        assert p.alive()
        server(second)
        play(p, 500, 60, until=lambda: p.said().count("by pulseaudio") == 2)
        play(p, 500, 60, until=heard(second, 500))
        end_server()
        right(frequencies(samples_of(second)), 500)
        assert p.end() == 0, p.said()
    finally:
        end_server()
    return None


def test_killed(folder):
    path = os.path.join(folder, "out.wav")
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    p = Process(folder, out="file", fds={"out": fd})
    p.say(START)
    for i in range(100):
        p.say(FRAMES, 1000, tone(440, i * 1000, 1000).tobytes())
    while not p.counts:
        p.hear()
    p.end(signal.SIGKILL)
    with open(path, "rb") as f:
        head = f.read(44)
        size = os.fstat(f.fileno()).st_size
    assert size > 44 + 4 * 99000 and struct.unpack("<I", head[40:])[0] >= 4 * 48000, (size, head)
    q = Process(folder, out="file", fds={"out": fd})
    q.say(START)
    q.say(FRAMES, 1000, tone(440, 0, 1000).tobytes())
    q.say(STOP)
    while not q.counts:
        q.hear()
    assert q.end(signal.SIGTERM) == 0, q.said()
    with open(path, "rb") as f:
        data = f.read()
    assert struct.unpack("<I", data[40:44])[0] == len(data) - 44 == size - 44 + 4000, (len(data), size)
    assert data[-4000:] == tone(440, 0, 1000).tobytes()
    os.close(fd)


def test_nonsense(folder):
    p = Process(folder)
    p.say(START, rate=1)
    assert p.end() == 0 and "no sense" in p.said(), p.said()


def main():
    tests = [f for n, f in globals().items() if n.startswith("test_") and (len(sys.argv) == 2 or n[5:] in sys.argv[2:])]
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    for n, test in enumerate(tests, 1):
        with tempfile.TemporaryDirectory(prefix="player-") as folder:
            try:
                print(f"ok {n} {test.__name__[5:]} {test(folder) or ''}", flush=True)
            except Exception as e:  # a test that breaks has failed
                failed += 1
                print(f"not ok {n} {test.__name__[5:]}\n# " + f"{type(e).__name__}: {e}"[:2000].replace("\n", "\n# "), flush=True)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
