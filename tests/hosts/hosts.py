#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The engines on other processors: oracle, blocks and a Linux boot on each CPU model of a table.  Prints TAP.

  hosts.py [--build DIR] [--cases N] [--steps PATTERN] [--limit SECONDS] MODEL...
  hosts.py --list

The models are emulated (processor.py), so a host that one does not have can be looked at.  N is the number of the oracle's
cases for the interpreter in each mode; the others follow from it.  The default is such that all models together take one
idle core about two hours.  PATTERN, a regular expression, chooses steps.  What an emulator is known to do otherwise than
silicon is a table in tests/patcher/oracle_emulator.c; the test says what of it it met, and by what."""
import argparse
import os
import re
import shlex
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # not into the tree
import processor

MODELS = {  # name: processor, why it is here, which of FEATURES programs see (None: not asked)
    "core2": ("qemu:Conroe", "older than x86-64-v2: refused", None),
    "phenom": ("qemu:phenom", "AMD, older than x86-64-v2: refused", None),
    "nehalem": ("qemu:Nehalem", "Intel without XSAVE", ""),
    "sandy-bridge": ("qemu:SandyBridge", "Intel with AVX, without AVX2 and FSGSBASE", "xsave avx"),
    "haswell": ("qemu:Haswell", "Intel with AVX2", "xsave fsgsbase avx avx2"),
    "ice-lake": ("qemu:Icelake-Server", "Intel with 5-level paging", "xsave fsgsbase avx avx2 la57"),
    "amd-avx": ("qemu:EPYC,-avx2,-fma,-bmi1,-bmi2,-fsgsbase", "AMD with AVX, without AVX2 and FSGSBASE", "xsave avx"),
    "milan": ("qemu:EPYC-Milan", "a current AMD", "xsave fsgsbase avx avx2"),
    "bochs-lynnfield": ("bochs:corei5_lynnfield_750", "Intel without XSAVE", ""),
    "bochs-sandy-bridge": ("bochs:corei7_sandy_bridge_2600k", "Intel with AVX, without AVX2 and FSGSBASE", "xsave avx"),
    "bochs-haswell": ("bochs:corei7_haswell_4770", "Intel with AVX2", "xsave fsgsbase avx avx2"),
    "bochs-skylake-x": ("bochs:corei7_skylake_x", "Intel with AVX-512", "xsave fsgsbase avx avx2 avx512f"),
    "bochs-zambezi": ("bochs:zambezi", "AMD with AVX, without AVX2 and FSGSBASE", "xsave avx"),
    "bochs-ryzen": ("bochs:ryzen", "AMD with AVX2", "xsave fsgsbase avx avx2"),
}
FEATURES = "xsave fsgsbase avx avx2 avx512f la57"
CASES = {"qemu": 4096, "bochs": 512}
FIRMWARE = [f"/usr/share/seabios/{n}" for n in ("bios-256k.bin", "vgabios-stdvga.bin")]
STEP_LIMIT = 3600  # seconds of the emulated clock
CONSOLE = "console=ttyS0,115200 loglevel=4 panic=-1 guest=off"
PRELUDE = """export XDG_DATA_HOME=/tmp/data XDG_RUNTIME_DIR=/run HOME=/root
export LD_BIND_NOW=1 # Bochs: XRSTOR of AVX-512 state from XSAVEC, with which ld.so resolves functions, is #GP
sed -n '/^model name/{p;q}' /proc/cpuinfo
step() {
	name=$1
	shift
	echo "STEP-BEGIN $name"
	timeout %d "$@"
	echo "STEP-END $name $?"
}
""" % STEP_LIMIT


class Programs:
    def __init__(self, build):
        engine = os.path.join(build, "tests", "patcher")
        self.vmctl = os.path.join(build, "core-vmm", "vmctl", "vmctl")
        self.vm, self.machine = (os.path.join(build, "core-vmm", "vm", n) for n in ("terrarium-vm", "terrarium-machine"))
        self.oracle, self.blocks, self.fpu = (os.path.join(engine, n) for n in ("oracle", "blocks", "test-interp-fpu"))
        self.kernel, self.initrd = processor.guest_file("vmlinuz-cloud"), processor.guest_file("initrd64.gz")

    def files(self, steps):
        """What they need: Bochs takes a second of CPU for each megabyte."""
        files = [self.vmctl, self.vm, self.machine, self.oracle, self.blocks, self.fpu]
        starts = any(self.kernel in command for command, _, _ in steps.values())
        return files + [self.kernel, self.initrd, *FIRMWARE] if starts else files


def boot(programs, engine):
    return [programs.vmctl, "run", "--headless", "--engine", engine, "--memory", "128M", "--kernel", programs.kernel,
            "--initrd", programs.initrd, "--cmdline", CONSOLE, "--serial", "stdio"]


def steps_of(name, emulator, programs, cases):
    """{step: (command, what its output must match, its exit code)}; the order is the cheap before the dear."""
    features = MODELS[name][2]
    if features is None:
        sentence = r"older than x86-64-v2.* lacks .*SSE4\.2"
        return {"host-info": ([programs.vmctl, "host-info"], sentence, 0),
                "refusal": (boot(programs, "auto"), sentence, None),
                "refusal-by-name": (boot(programs, "interp"), sentence, None)}
    ask = f"echo features: $(for f in {FEATURES}; do grep -qw $f /proc/cpuinfo && echo $f; done)."
    steps = {"features": (["sh", "-c", ask], f"^features: {features}[.]$", 0),
             "host-info": ([programs.vmctl, "host-info"], r"engine soft +usable", 0)}
    if emulator == "bochs":  # QEMU raises no SIMD exceptions
        steps["fpu"] = ([programs.fpu], r"^ok", 0)
    modes = ("64", "32", "16") if emulator == "bochs" else ("64", "32")  # QEMU 7.2 stops for good in code with a 16-bit stack
    for engine, n in (("interp", cases), ("soft", cases // 4)):
        for mode in modes:
            steps[f"oracle-{mode}-{engine}"] = ([programs.oracle, "--mode", mode, "--engine", engine, "--cases", str(n),
                                                 "--emulator", emulator, "--as-is", "--keep-going"], r"^ok 1 - ", 0)
    for mode in ("64", "32"):
        steps[f"blocks-{mode}"] = ([programs.blocks, "--mode", mode, "--cases", str(cases // 2)], r"^ok 1 - ", 0)
    for engine in ("soft", "interp"):
        steps[f"linux-{engine}"] = (boot(programs, engine), "GUEST-UP x86_64", 0)
    return steps


class Results:
    """Listens to the output and says what became of each step."""

    def __init__(self, title, steps):
        self.title, self.steps = title, steps
        self.done, self.now, self.matched, self.failed = 0, None, False, False
        self.began = time.time()
        print(f"1..{len(steps)}", flush=True)

    def line(self, text):
        if m := re.match(r"STEP-BEGIN (\S+)$", text):
            self.now, self.matched, self.began = m[1], False, time.time()
        elif m := re.match(r"STEP-END (\S+) (\d+)$", text):
            self.end(int(m[2]))
        else:
            if self.now and re.search(self.steps[self.now][1], text):
                self.matched = True
            print(f"# {text}", flush=True)

    def end(self, code):
        wanted = self.steps[self.now][2]
        good = self.matched and (code == wanted if wanted is not None else code != 0)
        self.result(good, self.now, f"exit code {code}, {time.time() - self.began:.0f} s")
        self.now = None

    def result(self, good, step, how):
        self.done += 1
        self.failed |= not good
        print(f"{'ok' if good else 'not ok'} {self.done} - {self.title}: {step} ({how})", flush=True)

    def close(self):
        for step in list(self.steps)[self.done:]:
            self.result(False, step, "no result")


def run_model(name, options):
    """Is everything right on it?"""
    emulator, _, model = MODELS[name][0].partition(":")
    try:
        processor.check_model(emulator, model)
        programs = Programs(os.path.abspath(options.build))
    except processor.Missing as e:
        print(f"1..0 # SKIP {name}: {e}")
        return True
    steps = steps_of(name, emulator, programs, options.cases or CASES[emulator])
    steps = {k: v for k, v in steps.items() if re.search(options.steps, k)}
    results = Results(name, steps)
    with tempfile.TemporaryDirectory(prefix="hosts-") as folder:
        script = os.path.join(folder, "steps")
        with open(script, "w", encoding="utf-8") as f:
            f.write(PRELUDE + "".join(f"step {k} {' '.join(map(shlex.quote, v[0]))}\n" for k, v in steps.items()))
        processor.run(emulator, model, ["sh", script], [script, *programs.files(steps)], results.line, limit=options.limit)
    results.close()
    return not results.failed


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("--build", default="build", metavar="DIR")
    p.add_argument("--cases", type=int, metavar="N")
    p.add_argument("--steps", default="", metavar="PATTERN")
    p.add_argument("--limit", type=int, default=7000, metavar="SECONDS")
    p.add_argument("--list", action="store_true")
    p.add_argument("models", nargs="*", metavar="MODEL")
    o = p.parse_args()
    if o.list:
        for name, (where, what, _) in MODELS.items():
            print(f"{name:20} {where:32} {what}")
        return
    if unknown := [n for n in o.models if n not in MODELS]:
        p.error(f"no model {unknown[0]}; --list shows them")
    sys.exit(0 if all([run_model(n, o) for n in o.models]) else 1)


if __name__ == "__main__":
    main()
