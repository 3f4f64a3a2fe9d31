# SPDX-License-Identifier: GPL-2.0-or-later
"""ptrace for tests of the fence (x86-64): makes a thread of another process do system calls, as code that took it over would;
and watches which process reads a file, and whether it was fenced by then."""
import ctypes
import errno
import os
import re
import signal
import struct
import time

SEIZE, INTERRUPT, GETREGS, SETREGS, STEP, CONT, DETACH, SYSCALL, SETOPTIONS, GETEVENTMSG = (
    0x4206, 0x4207, 12, 13, 9, 7, 17, 24, 0x4200, 0x4201)
TRACEME, WALL, GOOD, EVENTS, EXITKILL = 0, 0x40000000, 1, 2 | 4 | 8, 0x100000  # fork, vfork, clone
REGS = "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs gs ds es f g".split()
EXEC, EXEC_EVENT = 0x10, 4
LANDLOCK_RESTRICT_SELF = 446
READS = {0: "read", 17: "pread64", 19: "readv", 295: "preadv", 327: "preadv2"}

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def ptrace(request, tid, addr=0, data=0):
    if libc.ptrace(request, tid, addr, data) < 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))


def registers(tid):
    room = ctypes.create_string_buffer(27 * 8)
    ptrace(GETREGS, tid, 0, ctypes.addressof(room))
    return dict(zip(REGS, struct.unpack("27Q", room.raw)))


def set_registers(tid, regs):
    room = ctypes.create_string_buffer(struct.pack("27Q", *(regs[n] for n in REGS)), 27 * 8)
    ptrace(SETREGS, tid, 0, ctypes.addressof(room))


def why_not():
    """Why processes of one's own cannot be traced here; None: they can."""
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    try:
        ptrace(SEIZE, pid)
        return None
    except OSError as e:
        return f"processes cannot be traced here: {e.strerror}"
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, WALL)


def comm(pid, tid):
    with open(f"/proc/{pid}/task/{tid}/comm") as f:
        return f.read().strip()


def threads(pid):
    return {int(t): comm(pid, t) for t in os.listdir(f"/proc/{pid}/task")}


class Taken:
    """A thread that somebody took over."""

    def __init__(self, pid, tid, stopped=False, started=False):
        self.tid, self.signal = tid, 0
        self.mem = open(f"/proc/{pid}/mem", "r+b", buffering=0)
        self.code = self._find_code(pid)
        if stopped:  # on its way into a call, which is made when we are done
            self.old = registers(tid)
            set_registers(tid, dict(self.old, orig_rax=2**64 - 1))
            ptrace(SYSCALL, tid)
            os.waitpid(tid, WALL)
            self.old.update(rip=self.old["rip"] - 2, rax=self.old["orig_rax"], orig_rax=2**64 - 1)
        elif started:  # and stopped by its tracer
            self.old = registers(tid)
        else:
            ptrace(SEIZE, tid)
            ptrace(INTERRUPT, tid)
            os.waitpid(tid, WALL)
            self.old = registers(tid)
        self.room = (self.old["rsp"] - (1 << 16)) & ~0xfff

    def _find_code(self, pid):
        with open(f"/proc/{pid}/maps") as f:
            for line in f:
                m = re.match(r"(\w+)-(\w+) r-xp .*/libc[.-].*so", line)
                if m:
                    low, high = int(m[1], 16), int(m[2], 16)
                    self.mem.seek(low)
                    return low + self.mem.read(high - low).index(b"\x0f\x05")
        raise AssertionError("no C library")

    def put(self, data):
        at, self.room = self.room, self.room + (len(data) + 31) // 16 * 16
        self.mem.seek(at)
        self.mem.write(data)
        return at

    def get(self, at, n):
        self.mem.seek(at)
        return self.mem.read(n)

    def call(self, number, *args):
        """What the kernel returned: strings and bytes are put into the process and passed by address."""
        room = self.room
        values = [self.put(a.encode() + b"\0") if isinstance(a, str) else self.put(a) if isinstance(a, bytes) else a
                  for a in args]
        values += [0] * (6 - len(values))
        regs = dict(self.old, rax=number, orig_rax=2**64 - 1, rip=self.code)
        regs.update(zip(("rdi", "rsi", "rdx", "r10", "r8", "r9"), (v & (2**64 - 1) for v in values)))
        set_registers(self.tid, regs)
        while True:
            ptrace(STEP, self.tid)
            came = os.WSTOPSIG(os.waitpid(self.tid, WALL)[1])
            if came == signal.SIGTRAP:
                break
            self.signal = came  # a virtual CPU is being kicked: it takes that when we are done
        self.room = room
        value = registers(self.tid)["rax"]
        return value - 2**64 if value >= 2**63 else value

    def done(self, detach=True):
        set_registers(self.tid, self.old)
        if detach:
            ptrace(DETACH, self.tid, 0, self.signal)
        self.mem.close()


class AtFirstInstruction(Taken):
    """A process that has become a program and has not run an instruction of it: how often it becomes one is `execs`."""

    def __init__(self, argv, env, execs):
        self.pid = os.fork()
        if self.pid == 0:
            libc.ptrace(TRACEME, 0, 0, 0)
            os.execve(argv[0], argv, env)
        os.waitpid(self.pid, WALL)
        ptrace(SETOPTIONS, self.pid, 0, EXEC | EXITKILL)
        for _ in range(execs - 1):
            ptrace(CONT, self.pid)
            _, status = os.waitpid(self.pid, WALL)
            assert status >> 8 == 5 | EXEC_EVENT << 8, f"stopped with {status:#x}"
            ptrace(SYSCALL, self.pid)  # out of execve()
            os.waitpid(self.pid, WALL)
        super().__init__(self.pid, self.pid, started=True)

    def _find_code(self, pid):
        """There is no C library yet: what is to be run next becomes a system call."""
        at = registers(pid)["rip"]
        self.mem.seek(at)
        self.mem.write(b"\x0f\x05")
        return at

    def end(self):
        self.mem.close()
        os.kill(self.pid, 9)
        os.waitpid(self.pid, WALL)


def name(value):
    return errno.errorcode.get(-value, str(value)) if -4096 < value < 0 else f"done ({value})"


def fenced(tid):
    with open(f"/proc/{tid}/status") as f:
        status = f.read()
    return "\nSeccomp:\t2" in status and "\nNoNewPrivs:\t1" in status


class Watch:
    """Runs argv to its end, or until enough() says so, and notes every read of one of the files: (which, call, by a process
    other than the first, with Landlock, with seccomp)."""

    def __init__(self, argv, env, files, enough=None, cwd=None, attack=None):
        self.attack, self.attacked = attack, set()  # attack(Taken): once in each process, at its first read
        self.files, self.reads, self.inside, self.entered = {os.path.realpath(f) for f in files}, [], {}, {}
        self.first = os.fork()
        if self.first == 0:
            libc.ptrace(TRACEME, 0, 0, 0)
            null = os.open(os.devnull, os.O_RDWR)
            for fd in range(3):
                os.dup2(null, fd)
            if cwd:
                os.chdir(cwd)
            os.execve(argv[0], argv, env)
        os.waitpid(self.first, WALL)
        ptrace(SETOPTIONS, self.first, 0, GOOD | EVENTS | EXITKILL)
        self.inside[self.first] = False
        ptrace(SYSCALL, self.first)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        try:
            self.code = self._loop(enough)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _loop(self, enough):
        end, deadline = None, time.monotonic() + 60
        while self.inside:
            if end is None and (time.monotonic() > deadline or (enough and enough(self))):
                os.kill(self.first, 9)
                deadline, enough = time.monotonic() + 60, None
            seen = False
            for tid in list(self.inside):
                try:
                    found, status = os.waitpid(tid, WALL | os.WNOHANG)
                except ChildProcessError:  # a thread that went with its process
                    del self.inside[tid]
                    continue
                if not found:
                    continue
                seen = True
                if os.WIFSTOPPED(status):
                    self._stopped(tid, status)
                    continue
                del self.inside[tid]
                end = status if tid == self.first else end
            if not seen:  # each stop is told by a signal, which waits for us when it came before
                signal.sigtimedwait({signal.SIGCHLD}, .05)
        return end

    def _stopped(self, tid, status):
        came, event = os.WSTOPSIG(status), status >> 16
        pass_on = 0
        if event:
            message = ctypes.c_ulong()
            ptrace(GETEVENTMSG, tid, 0, ctypes.addressof(message))
            self.inside[message.value] = self.inside[tid]
        elif came == 5 | 0x80:
            self._call(tid)
        elif came not in (5, 19):
            pass_on = came
        try:
            ptrace(SYSCALL, tid, 0, pass_on)
        except OSError:
            pass  # it was killed meanwhile

    def _call(self, tid):
        regs = registers(tid)
        number = regs["orig_rax"]
        self.entered[tid] = not self.entered.get(tid, False)
        if not self.entered[tid]:
            if number == LANDLOCK_RESTRICT_SELF and regs["rax"] == 0:
                self.inside[tid] = True
            return
        if number not in READS:
            return
        try:
            file = os.readlink(f"/proc/{tid}/fd/{regs['rdi'] & 0xffffffff}")
        except OSError:
            return
        if file in self.files:
            self.reads.append((file, READS[number], tid != self.first, self.inside.get(tid, False), fenced(tid)))
            if self.attack and tid not in self.attacked:
                self.attacked.add(tid)
                taken = Taken(tid, tid, stopped=True)
                self.attack(taken, tid != self.first)
                taken.done(detach=False)
                self.entered[tid] = False
