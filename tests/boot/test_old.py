#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Old systems: boot sectors of our own that do as DOS and its contemporaries do, on every software engine.  Prints TAP.

    tests/boot/test_old.py VMCTL"""
import os
import shutil
import subprocess
import sys
import tempfile
import time

VMCTL = os.path.abspath(sys.argv[1])
ENGINES = ("soft", "interp")
FOLDER = tempfile.mkdtemp(prefix="test-old-")
ENV = dict(os.environ, XDG_DATA_HOME=FOLDER + "/data", XDG_RUNTIME_DIR=FOLDER + "/run")
DEBUG_EXIT = 64 + 2 * 3 + 1  # a guest that ends by writing 3 to port F4h

START = """
    .code16
    .globl _start
_start: ljmp $0, $1f
1:  xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7000, %sp
"""
TOOLS = """
end: mov $3, %al
    mov $0xf4, %dx
    out %al, %dx
1:  hlt
    jmp 1b
putc: push %dx
    mov $0x3f8, %dx
    out %al, %dx
    pop %dx
    ret
hex: push %ax
    shr $4, %al
    call digit
    pop %ax
    and $15, %al
digit: add $'0', %al
    cmp $'9', %al
    jbe putc
    add $7, %al
    jmp putc
"""

# The MP floating pointer, the table's CPU entries that are usable, the count on COM1.
MP_TABLE = """
    mov $0xf000, %ax
    mov %ax, %es
    xor %di, %di
1:  cmpl $0x5f504d5f, %es:(%di)
    je 2f
    add $16, %di
    jnz 1b
    jmp end
2:  mov %es:4(%di), %eax        # the table's address
    mov %eax, %ebx
    and $15, %bx
    shr $4, %eax
    mov %ax, %es
    mov %es:0x22(%bx), %cx      # entries
    add $0x2c, %bx
    xor %ax, %ax
3:  cmpb $0, %es:(%bx)
    jne 4f
    testb $1, %es:3(%bx)
    jz 5f
    inc %ax
5:  add $12, %bx
4:  add $8, %bx
    loop 3b
    call hex
    jmp end
"""
# As COMMAND.COM waits for a key: DOS's idle call, a look at the keyboard, again.
PROMPT = """
    movw $idle, 0x28 * 4
    movw $0, 0x28 * 4 + 2
    mov $'>', %al
    call putc
1:  int $0x28
    mov $1, %ah
    int $0x16
    jz 1b
    xor %ah, %ah
    int $0x16
    call putc
    jmp 1b
idle: iret
"""
# The same around the keyboard controller, without the BIOS.
PORTS = """
    cli
    mov $'>', %al
    call putc
1:  in $0x64, %al
    test $1, %al
    jz 1b
    in $0x60, %al
    call hex
    jmp 1b
"""
# A count of looks at the keyboard as a timeout: 65535 must not take as long as a person would.
TIMEOUT = """
    mov $0xffff, %cx
1:  mov $1, %ah
    push %cx
    int $0x16
    pop %cx
    loopz 1b
    jmp end
"""
# The same for a byte of the keyboard, with delays: forty times.
PORT_TIMEOUT = """
    cli
    mov $40, %bx
1:  mov $0xffff, %cx
2:  out %al, $0x80
    out %al, $0x80
    in $0x64, %al
    test $1, %al
    loopz 2b
    dec %bx
    jnz 1b
    jmp end
"""
PRINTER = """
    mov $text, %si
1:  lodsb
    test %al, %al
    jz end
    mov $0, %ah
    xor %dx, %dx
    int $0x17
    jmp 1b
text: .asciz "printed\\r\\n"
"""
FLOPPY = """
    mov $79, %ch
    mov $0x8000, %bx
1:  mov $0x0212, %ax            # 18 sectors of a cylinder after the other, from the last
    mov $1, %cl
    xor %dx, %dx
    int $0x13
    jc 2f
    dec %ch
    jns 1b
    mov $'k', %al
    call putc
2:  jmp end
"""


def image(name, source, size=1 << 20):
    stem = os.path.join(FOLDER, name)
    with open(stem + ".s", "w") as f:
        f.write(START + source + TOOLS)
    subprocess.check_call(["as", "--32", "-o", stem + ".o", stem + ".s"])
    subprocess.check_call(["ld", "-m", "elf_i386", "-Ttext=0x7c00", "--oformat", "binary", "-o", stem + ".bin", stem + ".o"])
    with open(stem + ".bin", "rb") as f:
        code = f.read()
    assert len(code) <= 446, f"{name}: {len(code)} bytes"
    with open(stem + ".img", "wb") as f:
        f.write(code.ljust(510, b"\0") + b"\x55\xaa" + bytes(size - 512))
    return stem + ".img"


def vmctl(*args, timeout=120):
    return subprocess.run([VMCTL, *args], env=ENV, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=timeout, text=True, errors="replace")


def run(engine, *args):
    r = vmctl("run", "--headless", "--engine", engine, "--memory", "16M", "--serial", "stdio", "--debug-exit", "--timeout", "60",
              *args)
    return r.returncode, r.stdout


def vm_pid(name):
    folder = f"{ENV['XDG_DATA_HOME']}/terrarium/machines/{name}".encode()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                words = f.read().split(b"\0")
        except OSError:
            continue
        if b"terrarium-vm" in words[0] and folder in words:
            return pid
    raise AssertionError(f"no VM process of {name}")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Machine:
    def __init__(self, engine, *args):
        self.name = "old"
        r = vmctl("create", self.name, "--engine", engine, "--memory", "16M", "--serial", "none", *args)
        assert r.returncode == 0, r.stderr
        r = vmctl("start", self.name)
        assert r.returncode == 0, r.stderr

    def __enter__(self):
        return self

    def __exit__(self, *_):
        vmctl("stop", "--force", self.name)
        vmctl("delete", self.name)

    def wait(self, text):
        r = vmctl("wait", self.name, "--serial", text, "--timeout", "60")
        assert r.returncode == 0, r.stderr


def idle_part(machine, seconds=4):
    """The part of a CPU that the VM process uses once it knows that the guest waits: after some CPU seconds, which a busy
    host may take long to give."""
    pid = vm_pid(machine.name)
    begun = cpu_seconds(pid)
    for _ in range(40):
        time.sleep(1)
        last, begun = begun, cpu_seconds(pid)
        if begun - last < 0.1:
            break
    before, at = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds(pid) - before) / (time.monotonic() - at)


def test_mp_table(engine):
    path = image("mp", MP_TABLE)
    for cpus, sockets, shown in ((1, None, "01"), (3, None, "03"), (4, None, "04"), (4, 2, "02"), (4, 1, "01")):
        args = ["--cpus", str(cpus)] + (["--set", f"machine.sockets={sockets}"] if sockets else [])
        code, text = run(engine, *args, path)
        assert code == DEBUG_EXIT and text.endswith(shown), f"{cpus} CPUs, sockets {sockets}: {code} {text[-20:]!r}"
    code, _ = run(engine, "--cpus", "6", "--set", "machine.sockets=4", path)
    assert code == 1 or code == 2, f"6 CPUs in 4 packages: {code}"


def test_prompt(engine):
    with Machine(engine, "--disk", image("prompt", PROMPT)) as m:
        m.wait(">")
        part = idle_part(m)
        assert part < 0.05, f"{part:.1%} of a CPU at the prompt"
        vmctl("type", m.name, "k")
        m.wait("k")


def test_ports(engine):
    with Machine(engine, "--disk", image("ports", PORTS)) as m:
        m.wait(">")
        part = idle_part(m)
        assert part < 0.05, f"{part:.1%} of a CPU while it polls port 64h"
        vmctl("type", m.name, "k")
        m.wait("25")


def test_timeout(engine):
    code, _ = run(engine, image("timeout", TIMEOUT))
    assert code == DEBUG_EXIT, code


def test_port_timeout(engine):
    code, _ = run(engine, image("ports2", PORT_TIMEOUT))
    assert code == DEBUG_EXIT, code


def test_printer(engine):
    out = os.path.join(FOLDER, "printed-" + engine)
    code, _ = run(engine, "--set", "parallel1.target=file:" + out, image("printer", PRINTER))
    with open(out, "rb") as f:
        text = f.read()
    assert code == DEBUG_EXIT and text == b"printed\r\n", (code, text)


def test_floppy(engine):
    path = image("floppy", FLOPPY, 1474560)
    code, text = run(engine, "--floppy", path, "--boot", "floppy")
    assert code == DEBUG_EXIT and text.endswith("k"), (code, text[-20:])


def test_boot_menu(engine):
    path = image("menu", "    jmp end\n")
    for options in ([], ["--boot-menu"]):
        log = os.path.join(FOLDER, f"menu-{engine}{len(options)}")
        code, _ = run(engine, "--set", "debug-port.target=file:" + log, *options, path)
        with open(log, errors="replace") as f:
            offered = "boot menu" in f.read()
        assert code == DEBUG_EXIT and offered == bool(options), (options, code, offered)


TESTS = [test_mp_table, test_prompt, test_ports, test_timeout, test_port_timeout, test_printer, test_floppy, test_boot_menu]


def main():
    os.makedirs(ENV["XDG_DATA_HOME"])
    os.makedirs(ENV["XDG_RUNTIME_DIR"], 0o700)
    chosen = [t for t in TESTS if len(sys.argv) < 3 or t.__name__[5:] in sys.argv[2:]]
    print(f"1..{len(chosen) * len(ENGINES)}")
    number = failed = 0
    for test in chosen:
        for engine in ENGINES:
            number += 1
            name = f"{test.__name__[5:]} ({engine})"
            try:
                test(engine)
                print(f"ok {number} {name}", flush=True)
            except (AssertionError, OSError, subprocess.SubprocessError) as e:
                failed += 1
                print(f"not ok {number} {name}\n# {e}", flush=True)
    shutil.rmtree(FOLDER, ignore_errors=True)
    return 1 if failed else 0


sys.exit(main())
