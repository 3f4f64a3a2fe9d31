#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a command on another processor, which an emulator from the distribution provides, under the distribution's Linux.

  processor.py [--memory MIB] [--limit SECONDS] [--file PATH]... [--kvm OPTIONS] EMULATOR:MODEL COMMAND [ARGUMENT...]

EMULATOR is qemu (TCG; MODEL as after -cpu, so "Nehalem" or "max,-avx") or bochs (MODEL as in its cpu: line).  COMMAND finds
itself, busybox and the files of --file, each with the shared libraries that it needs, at the paths that they have here, and
nothing else.  What it prints appears here, line by line; the exit code is its own, or 125 if there was none.  With --kvm
there is a /dev/kvm: the kernel's module for the maker, with these options ("": none), on the VT-x or AMD-V that the model has.

How: kernel and initramfs are all there is.  Each line of output is written to /dev/kmsg, because the kernel writes to its
serial console without interrupts, in both emulators.  Bochs has no kernel loader and boots a CD with ISOLINUX.  Its clock
counts instructions; the number below makes one second of it about as much work as a real second is."""
import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
GUESTS = os.path.join(os.path.dirname(HERE), "boot", "guests.sh")
COMMAND_LINE = ("console=ttyS0,115200 quiet panic=-1 reboot=t mitigations=off no_timer_check printk.time=0 "
                "printk.devkmsg=on")
NO_XSAVEC = "clearcpuid=321,323"  # to the kernel; Bochs says wrong sizes for them, at which it drops XSAVE altogether
BOCHS_RATE = 200_000_000  # instructions in a second
NO_END = 125  # exit code
INIT = r"""#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /dev/pts /tmp /run /root
mount -t tmpfs shm /dev/shm
mount -t devpts pts /dev/pts
ip link set lo up
[ ! -f /modules/load ] || sh /modules/load
{ sh /job 2>&1 </dev/null; echo "exit=$?"; } | while IFS= read -r line; do printf '<9>|%.900s\n' "$line" >/dev/kmsg; done
poweroff -f
"""
ISOLINUX = """default it
prompt 0
label it
kernel vmlinuz
append initrd=initrd {line}
"""
BOCHSRC = """display_library: term
cpu: model={model}, count=1, ips={rate}, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest={memory}, host={memory}
romimage: file=/usr/share/bochs/BIOS-bochs-latest, options=fastboot
vgaromimage: file=/usr/share/vgabios/vgabios.bin
pci: enabled=1, chipset=i440fx
clock: sync=none, time0=utc
ata0-master: type=cdrom, path={folder}/cd.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev={folder}/console
log: {folder}/bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
mouse: enabled=0
"""


class Missing(Exception):
    """This machine has not what the model needs; the text says what."""


def guest_folder():
    return subprocess.run(["bash", GUESTS, "--dir"], capture_output=True, text=True, check=True).stdout.strip()


def guest_file(name):
    """A file that tests/boot/guests.sh makes of a package."""
    made = subprocess.run(["bash", GUESTS, name], capture_output=True, text=True)
    if made.returncode:
        raise Missing(f"no {name}: {made.stderr.strip()}")
    return os.path.join(guest_folder(), name)


def libraries(program):
    """Paths of the shared libraries, and of the loader, that a program needs: none if it is not dynamically linked."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True)
    return re.findall(r"(/\S+) \(0x", listed.stdout) if listed.returncode == 0 else []


class Tree:
    """The files of an initramfs."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("bin", "dev", "proc", "sys"):
            os.makedirs(os.path.join(folder, name))

    def add(self, path):
        """A file at its own path, and what it needs to run.  Debug information stays here: it is most of the bytes."""
        path = os.path.abspath(path)
        to = self.folder + path
        if os.path.exists(to):
            return
        os.makedirs(os.path.dirname(to), exist_ok=True)
        shutil.copy(path, to)
        needed = libraries(path)
        if needed:
            subprocess.run(["strip", "--strip-debug", to], check=False, stderr=subprocess.DEVNULL)
        for library in needed:
            self.add(library)

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(os.path.join(self.folder, name), 0o755)

    def pack(self, to):
        subprocess.run("find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet >" + shlex.quote(to), shell=True,
                       check=True, cwd=self.folder)


LOAD = r"""m=kvm-amd
! grep -q GenuineIntel /proc/cpuinfo || m=kvm-intel
cd /modules
for f in $(cat $m); do
	options=
	[ $f != $m.ko ] || options="$(cat options)"
	insmod ./$f $options || echo "<3>insmod $f failed" >/dev/kmsg
done
"""


def add_kvm(tree, options):
    """KVM's modules, in the order of loading, out of the kernel's package."""
    package = os.path.join(guest_folder(), "pkg", "linux-image-amd64")
    root = os.path.join(package, "lib", "modules")
    version = os.listdir(root)[0]
    to = os.path.join(tree.folder, "modules")
    os.makedirs(to)
    subprocess.run([find("/sbin/depmod", "/usr/sbin/depmod"), "-b", package, version], check=True)
    with open(os.path.join(root, version, "modules.dep"), encoding="utf-8") as f:
        needs = dict(line.rstrip("\n").split(":") for line in f)
    for module in ("kvm-intel", "kvm-amd"):
        path = next(p for p in needs if os.path.basename(p) == f"{module}.ko")
        order = [*reversed(needs[path].split()), path]
        for p in order:
            shutil.copy(os.path.join(root, version, p), to)
        tree.write(f"modules/{module}", "\n".join(map(os.path.basename, order)) + "\n")
    tree.write("modules/options", options)
    tree.write("modules/load", LOAD)


def qemu_command(model, folder, memory):
    """QEMU 7.2 lets a program's IRET read its frame with the kernel's rights, which SMAP forbids: it is off."""
    return ["qemu-system-x86_64", "-accel", "tcg,thread=single", "-machine", "pc", "-cpu", f"{model},-smap", "-m", str(memory),
            "-nodefaults", "-vga", "none", "-display", "none", "-no-reboot", "-serial", f"file:{folder}/console",
            "-kernel", f"{folder}/vmlinuz", "-initrd", f"{folder}/initrd", "-append", COMMAND_LINE]


def find(*names):
    for name in names:
        if os.path.exists(name):
            return name
    raise Missing(f"{os.path.basename(names[0])} is not installed")


def bochs_command(model, folder, memory):
    cd = os.path.join(folder, "cd")
    os.mkdir(cd)
    for name in ("vmlinuz", "initrd"):
        os.link(os.path.join(folder, name), os.path.join(cd, name))
    shutil.copy(find("/usr/lib/ISOLINUX/isolinux.bin"), cd)
    shutil.copy(find("/usr/lib/syslinux/modules/bios/ldlinux.c32"), cd)
    with open(os.path.join(cd, "isolinux.cfg"), "w", encoding="utf-8") as f:
        f.write(ISOLINUX.format(line=f"{COMMAND_LINE} no5lvl {NO_XSAVEC} tsc_early_khz={BOCHS_RATE // 1000}"))
    subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot",
                    "-boot-load-size", "4", "-boot-info-table", "-o", f"{folder}/cd.iso", cd],
                   check=True, stderr=subprocess.DEVNULL)
    with open(os.path.join(folder, "bochsrc"), "w", encoding="utf-8") as f:
        f.write(BOCHSRC.format(model=model, memory=memory, folder=folder, rate=BOCHS_RATE))
    return ["bochs-bin", "-q", "-f", os.path.join(folder, "bochsrc")]


EMULATORS = {
    "qemu": (qemu_command, ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "help"], r"^x86 (\S+)", "qemu-system-x86_64"),
    "bochs": (bochs_command, ["bochs-bin", "--help", "cpu"], r"^([a-z][a-z0-9_]+)$", "bochs-bin"),
}


def check_model(emulator, model):
    """Raises Missing if this machine cannot provide it."""
    if emulator not in EMULATORS:
        raise Missing(f"there is no emulator {emulator}; there are {', '.join(EMULATORS)}")
    _, models, pattern, program = EMULATORS[emulator]
    if not shutil.which(program):
        raise Missing(f"{program} is not installed")
    listed = subprocess.run(models, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if model.split(",")[0] not in re.findall(pattern, listed.stdout + listed.stderr, re.M):
        raise Missing(f"this {emulator} has no CPU model {model}")


class Console:
    """Follows the file that the serial port writes; calls line() for each line of the command's output."""

    def __init__(self, path, line):
        self.path, self.line, self.tail, self.code = path, line, "", None
        self.kernel = []  # the last that the kernel said itself
        self.at = 0

    def read(self):
        if not os.path.exists(self.path):
            return
        with open(self.path, "rb") as f:
            f.seek(self.at)
            new = f.read()
        self.at += len(new)
        *lines, self.tail = (self.tail + new.decode(errors="replace").replace("\r", "")).split("\n")
        for text in lines:
            if m := re.match(r"\|exit=(\d+)$", text):
                self.code = int(m[1])
            elif text.startswith("|"):
                self.line(text[1:])
            elif text.strip():
                self.kernel = self.kernel[-9:] + [text]


def follow(command, console, limit):
    """Runs the emulator until it ends; false: it did not within the limit."""
    over = threading.Event()
    # the terminal display wants a terminal's name, and "c" if its debugger is built in
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          env=dict(os.environ, TERM="vt100")) as p:
        timer = threading.Timer(limit, lambda: (over.set(), p.kill()))
        timer.start()
        try:
            p.stdin.write(b"c\n")
            p.stdin.close()
        except BrokenPipeError:
            pass
        while p.poll() is None:
            try:
                p.wait(0.5)
            except subprocess.TimeoutExpired:
                console.read()
                if console.code is not None and p.poll() is None:
                    p.terminate()  # all is said; powering off takes Bochs a while
        timer.cancel()
    console.read()
    return not over.is_set()


def run(emulator, model, command, files, line=print, memory=1024, limit=1800, kvm=None):
    """Runs a command, a list, and calls line() for each line that it prints.  Its exit code, or NO_END with the reason
    in line().  kvm: options of that module; None: it is not loaded.  Raises Missing."""
    check_model(emulator, model)
    kernel = guest_file("vmlinuz-amd64")  # not the cloud's, which has no 16-bit segments for programs
    with tempfile.TemporaryDirectory(prefix="processor-") as folder:
        tree = Tree(os.path.join(folder, "tree"))
        shutil.copy(find("/bin/busybox"), os.path.join(tree.folder, "bin", "busybox"))
        for f in files:
            tree.add(f)
        if os.path.isfile(command[0]):
            tree.add(command[0])
        if kvm is not None:
            add_kvm(tree, kvm)
        tree.write("init", INIT)
        here = shlex.quote(os.getcwd())
        tree.write("job", f"mkdir -p {here}\ncd {here}\n" + " ".join(map(shlex.quote, command)) + "\n")
        tree.pack(os.path.join(folder, "initrd"))
        shutil.copy(kernel, os.path.join(folder, "vmlinuz"))
        console = Console(os.path.join(folder, "console"), line)
        ended = follow(EMULATORS[emulator][0](model, folder, memory), console, limit)
        if console.code is not None:
            return console.code
        line(f"the machine ended without a result{'' if ended else f' after {limit} s'}; its kernel's last words:")
        for text in console.kernel:
            line(f"  {text}")
        return NO_END


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("--memory", type=int, default=1024, metavar="MIB")
    p.add_argument("--limit", type=int, default=1800, metavar="SECONDS")
    p.add_argument("--file", action="append", default=[], metavar="PATH")
    p.add_argument("--kvm", metavar="OPTIONS")
    p.add_argument("processor", metavar="EMULATOR:MODEL")
    p.add_argument("command", nargs=argparse.REMAINDER)
    o = p.parse_args()
    emulator, _, model = o.processor.partition(":")
    if not o.command:
        p.error("what shall run there?")
    try:
        sys.exit(run(emulator, model, o.command, o.file, lambda s: print(s, flush=True), o.memory, o.limit, o.kvm))
    except Missing as e:
        print(f"processor.py: {e}", file=sys.stderr)
        sys.exit(NO_END)


if __name__ == "__main__":
    main()
