#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Sound of Linux guests, by the drivers that Linux has for our cards and ALSA's tools: what is played arrives in a WAV file, and what is
in one is recorded.  Prints TAP.

  sound.py [--vmctl PATH] [--engine E] [--scale F] TEST...
  CARD-play      a tone by speaker-test, and a tone and a sweep by aplay while guest and host have much else to do: frequency, no gap
  CARD-record    what the guest records is what is in the file
  CARD-saved     the machine is saved and goes on in a new process in the middle of a sweep, three times
  speaker-beep   the PC's loudspeaker, by Linux' driver for it
CARD: hda, ac97, sb16 (in a 32-bit guest: 64-bit kernels have no driver for it)."""
import argparse
import array
import gzip
import math
import os
import random
import shlex
import subprocess
import sys
import wave

import boot
from virtio import carry_out, need

sys.path.insert(0, os.path.join(boot.HERE, "..", "network"))
from guest_shell import Shell  # noqa: E402

RATE, CARD_RATE = 48000, 44100  # of files that are written; of the Sound Blaster
CARDS = {  # modules, what brings volumes that can be more than 0 dB there, what makes the buffer long (AC'97 has 64 KiB)
    "none": ("evdev pcspkr", "", ""),
    "hda": ("snd_hda_codec_generic snd_hda_intel", "true", "--buffer-time=2000000"),
    "sb16": ("'snd_sb16 isapnp=0 port=0x220 irq=5 dma8=1 dma16=5'", "true", ""),
    "ac97": ("snd_intel8x0", "amixer -q sset PCM 0dB; amixer -q sset Capture 0dB; amixer sget PCM", ""),
}


# ---- sound ----

def tone(hz, seconds, rate=RATE):
    return array.array("h", (v for i in range(int(seconds * rate))
                             for v in [round(20000 * math.sin(2 * math.pi * hz * i / rate))] * 2))


def sweep(low, high, seconds):
    """From one frequency to another, evenly; left and right differ, and no two stretches of it are the same."""
    out = array.array("h")
    for i in range(int(seconds * RATE)):
        t = i / RATE
        phase = 2 * math.pi * (low * t + (high - low) * t * t / (2 * seconds))
        out += array.array("h", (round(20000 * math.sin(phase)), round(10000 * math.cos(phase))))
    return out


def write_wav(path, samples, rate=RATE):
    with wave.open(path, "wb") as w:
        w.setparams((2, 2, rate, 0, "NONE", ""))
        w.writeframes(samples.tobytes())


def read_wav(path, rate=RATE):
    """Its samples: left and right in turn."""
    with wave.open(path, "rb") as w:
        need((w.getnchannels(), w.getsampwidth(), w.getframerate()) == (2, 2, rate), f"another format: {w.getparams()}")
        data = w.readframes(w.getnframes())
        need(len(data) == 4 * w.getnframes(), "the file is shorter than its head says")
    return array.array("h", data)


def frequency(left):
    """By the places between samples where it rises through zero; and the longest time between two of them, in periods."""
    places = [i - 1 + left[i - 1] / (left[i - 1] - left[i]) for i in range(1, len(left)) if left[i - 1] < 0 <= left[i]]
    need(len(places) > 10, "that is no tone")
    period = (places[-1] - places[0]) / (len(places) - 1)
    return RATE / period, max(b - a for a, b in zip(places, places[1:])) / period


def without_silence(left):
    loud = [i for i, v in enumerate(left) if abs(v) > 500]
    need(loud, "there is only silence")
    return left[loud[0]:loud[-1] + 1]


def contains(samples, part, what):
    """Sample for sample, without a gap."""
    at = samples.tobytes().find(part.tobytes())
    if at < 0:
        first = samples.tobytes().find(part[:2000].tobytes())
        same = 0
        if first >= 0:
            got = samples[first // 2:]
            same = next((i for i, (a, b) in enumerate(zip(got, part)) if a != b), min(len(got), len(part)))
        raise boot.Failed(f"the {what} is not there as it was played: {same // 2} of {len(part) // 2} frames are")


# ---- the guest ----

def archive(files):
    """A cpio archive ("newc", cpio(5)) for the kernel to unpack after the other."""
    out = b""
    for n, (name, mode, data) in enumerate([*files, ("TRAILER!!!", 0, b"")], 1):
        fields = (n, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0"
        out += head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)
    return out


class Guest(boot.Machine):
    def begin(self, initrd, kernel, card, files, *settings):
        """files: name in the guest's folder /sound -> path."""
        own, members = os.path.join(self.home, "initrd"), [("sound", 0o40755, b"")]
        for name, path in files.items():
            with open(path, "rb") as f:
                members.append((f"sound/{name}", 0o100644, f.read()))
        with open(initrd, "rb") as a, open(own, "wb") as b:
            b.write(a.read() + gzip.compress(archive(members), 1))
        sets = [x for s in ("serial1.target=socket:line", f"audio.model={card}", *settings) for x in ("--set", s)]
        self.run("create", self.name, "--memory", "512M", "--engine", self.options.engine, "--nic", "none", "--kernel", kernel,
                 "--initrd", own, "--cmdline", "console=ttyS0 loglevel=4 panic=-1", *sets)
        self.run("start", self.name)
        self.connect("GUEST-PROMPT")
        modules, volumes, self.long = CARDS[card]
        for module in shlex.split(modules):
            self.shell.good(f"modprobe {module}", 60)
        if card == "none":
            return
        self.shell.good("for i in $(seq 100); do [ -e /dev/snd/pcmC0D0p ] && break; sleep .1; done; ls /dev/snd/pcmC0D0p || { dmesg | tail -15; false; }")
        out = self.shell.good("loud", 60)
        out += self.shell.good(volumes, 60)
        print("# " + "\n# ".join(x for x in out.splitlines() if "%" in x or "control" in x), flush=True)

    def path(self, file):
        return f"{self.env['XDG_DATA_HOME']}/terrarium/machines/{self.name}/{file}"

    def connect(self, until=None):
        self.shell = Shell(self.path("line"), self.options.scale)
        if until:
            self.shell.until(until, 240)
        self.shell.good("stty cols 200; PS1=")

    def again(self):
        """Saved, and loaded into a new process."""
        self.shell.close()
        self.run("save", self.name)
        self.run("start", self.name)
        self.connect()

    def end(self):
        self.run("stop", "--force", self.name, check=False)
        self.remove()

    def remove(self):
        import shutil
        shutil.rmtree(self.home, ignore_errors=True)


# ---- tests ----

def play(guest, initrd, kernel, card):
    a, b = tone(440, 5), sweep(100, 8000, 12)
    for name, samples in (("a.wav", a), ("b.wav", b)):
        write_wav(os.path.join(guest.home, name), samples)
    out = os.path.join(guest.home, "out.wav")
    guest.begin(initrd, kernel, card, {n: os.path.join(guest.home, n) for n in ("a.wav", "b.wav")}, f"audio.out={out}")
    guest.shell.good("speaker-test -D plughw:0 -t sine -f 440 -c 1 -l 1 -r 48000", 60)
    guest.shell.good("aplay -q -D plughw:0 /sound/a.wav", 60)
    spoken = len(read_wav(out))
    # under load: the guest's CPU and the host's
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count())]
    try:
        guest.shell.good("(while :; do md5sum /bin/busybox >/dev/null; done) & echo $! >/tmp/load")
        guest.shell.good(f"aplay -q -D plughw:0 {guest.long} /sound/b.wav", 120)
    finally:
        for p in busy:
            p.kill()
            p.wait()
    guest.run("stop", "--force", guest.name)
    samples = read_wav(out)
    left = without_silence(samples[:spoken:2])
    hz, longest = frequency(left[:2 * RATE])
    need(abs(hz - 440) < 0.1 and longest < 1.02, f"speaker-test's tone has {hz:.2f} Hz, {longest:.2f} periods without one")
    contains(samples, a, "tone")
    contains(samples, b, "sweep")
    return f"# {hz:.3f} Hz; {len(samples) // 2 / RATE:.1f} s"


def play_resampled(guest, initrd, kernel, card):
    """A card that knows no 48 kHz: what arrives is the same sound, not the same samples."""
    write_wav(os.path.join(guest.home, "a.wav"), tone(440, 8, CARD_RATE), CARD_RATE)
    out = os.path.join(guest.home, "out.wav")
    guest.begin(initrd, kernel, card, {"a.wav": os.path.join(guest.home, "a.wav")}, f"audio.out={out}")
    said = guest.shell.good("aplay -q -D hw:0 /sound/a.wav", 120)
    need("underrun" not in said, f"the guest had not the time: {said}")
    guest.run("stop", "--force", guest.name)
    left = without_silence(read_wav(out)[::2])[:8 * RATE]  # then the card plays on in its ring, until it is told to stop
    hz, longest = frequency(left[:-RATE // 10])
    need(abs(hz - 440) < 0.1 and longest < 1.02, f"{hz:.2f} Hz, {longest:.2f} periods without one")
    seconds = len(left) / RATE
    need(abs(seconds - 8) < 0.05, f"{seconds:.2f} s of 8")
    return f"# {hz:.3f} Hz; {seconds:.2f} s"


def record(guest, initrd, kernel, card):
    a = sweep(200, 6000, 8)
    rate = CARD_RATE if card == "sb16" else RATE
    source = os.path.join(guest.home, "in.wav")
    write_wav(source, a, rate)
    guest.begin(initrd, kernel, card, {}, "audio.out=none", f"audio.in={source}")
    guest.shell.good(f"arecord -q -D plughw:0 -f S16_LE -c 2 -r {rate} -d 10 {guest.long} /tmp/r.wav; ls -l /tmp/r.wav", 90)
    guest.shell.start("gzip -1 </tmp/r.wav | base64 -w 0; echo")
    text, code = guest.shell.result(120)
    need(code == 0, "the recording does not come back")
    import base64
    back = os.path.join(guest.home, "back.wav")
    with open(back, "wb") as f:
        f.write(gzip.decompress(base64.b64decode(text)))
    contains(read_wav(back, rate), a, "file")
    return ""


def saved(guest, initrd, kernel, card):
    b = sweep(100, 8000, 20)
    write_wav(os.path.join(guest.home, "b.wav"), b)
    out = os.path.join(guest.home, "out.wav")
    guest.begin(initrd, kernel, card, {"b.wav": os.path.join(guest.home, "b.wav")}, f"audio.out={out}")
    guest.shell.good(f"aplay -q -D plughw:0 {guest.long} /sound/b.wav >/tmp/log 2>&1 & true")
    all_ = array.array("h")
    for i in range(3):
        guest.shell.good(f"sleep {1 + random.Random(i).random():.2f}")
        guest.run("save", guest.name)
        all_ += read_wav(out)  # each start begins the file anew
        guest.shell.close()
        guest.run("start", guest.name)
        guest.connect()
    guest.shell.good("wait; cat /tmp/log; [ ! -s /tmp/log ]", 120)
    guest.run("stop", "--force", guest.name)
    contains(all_ + read_wav(out), b, "sweep")
    return ""


def beep(guest, initrd, kernel, card):
    """An event of Linux' input system: EV_SND, SND_TONE, 440 Hz, and then 0."""
    out = os.path.join(guest.home, "out.wav")
    guest.begin(initrd, kernel, "none", {}, f"audio.out={out}")
    event = guest.shell.good("grep -il speaker /sys/class/input/event*/device/name").split("/")[-3]
    code = r"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\022\0\002\0"
    guest.shell.good(rf"printf '{code}\270\001\0\0' >/dev/input/{event}; sleep 2; printf '{code}\0\0\0\0' >/dev/input/{event}", 60)
    guest.run("stop", "--force", guest.name)
    hz, longest = frequency(without_silence(read_wav(out)[::2])[2000:RATE])
    need(abs(hz - 440) < 1 and longest < 1.05, f"{hz:.2f} Hz, {longest:.2f} periods without one")
    return f"# {hz:.3f} Hz"


TESTS = {"beep": beep, "play": play, "record": record, "saved": saved}


def bits_of(name):
    return "32" if name.startswith("sb16") else "64"


KERNELS = {"64": "vmlinuz-amd64", "32": "vmlinuz-686-pae"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vmctl", default=os.path.join(boot.HERE, "../../build/core-vmm/vmctl/vmctl"))
    parser.add_argument("--engine", default="soft")
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("tests", nargs="+")
    options = parser.parse_args()
    options.vmctl = os.path.abspath(options.vmctl)
    cache = subprocess.run([os.path.join(boot.HERE, "guests.sh"), "--dir"], capture_output=True, text=True).stdout.strip()
    made = {bits: subprocess.run([os.path.join(boot.HERE, "sound_guest.sh"), bits], capture_output=True, text=True)
            for bits in {bits_of(name) for name in options.tests}}

    def one(name):
        card, kind = name.split("-")
        told, bits = [], bits_of(name)
        test = play_resampled if name == "sb16-play" else TESTS[kind]
        carry_out(Guest(options, name), lambda *a: told.append(test(*a)), made[bits].stdout.strip(),
                  os.path.join(cache, KERNELS[bits]), card)
        return told[0]

    def why_not(name):
        bits = bits_of(name)
        return boot.guests_ready([KERNELS[bits]]) or (made[bits].stderr.strip() if made[bits].returncode else None)

    return boot.report(options.tests, why_not, one)


if __name__ == "__main__":
    sys.exit(main())
