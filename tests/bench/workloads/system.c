// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel's work: system calls, processes, page faults, signals, files in memory, timers; and port input.
// A sum here says that everything that was asked for happened.
#include "bench.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static uint64_t run_null(uint64_t passes)
{
    uint64_t right = 0;
    long parent = syscall(SYS_getppid);
    while (passes--)
        right += syscall(SYS_getppid) == parent;
    return right;
}

// Readings of the clock that were not before the one before.
static uint64_t run_clock(uint64_t passes)
{
    struct timespec last = {0, 0}, now;
    uint64_t right = 0;
    while (passes--) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        right += now.tv_sec > last.tv_sec || (now.tv_sec == last.tv_sec && now.tv_nsec >= last.tv_nsec);
        last = now;
    }
    return right;
}

// ---- Two processes on one CPU that hand each other a byte.
static int ask, answer;

static void prepare_pipes(void)
{
    int there[2], back[2];
    if (pipe(there) || pipe(back))
        give_up("pipe");
    pid_t partner = fork();
    if (partner < 0)
        give_up("fork");
    if (partner == 0) {
        uint8_t byte;
        close(there[1]);
        while (read(there[0], &byte, 1) == 1) {
            byte++;
            if (write(back[1], &byte, 1) != 1)
                break;
        }
        _exit(0);
    }
    close(there[0]);
    close(back[1]);
    ask = there[1], answer = back[0];
}

static uint64_t run_pipes(uint64_t passes)
{
    uint8_t byte = 0;
    while (passes--)
        if (write(ask, &byte, 1) != 1 || read(answer, &byte, 1) != 1)
            give_up("pipe");
    return byte;
}

static bool ended_well(pid_t child)
{
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child)
        give_up("fork");
    return status == 0;
}

static uint64_t run_fork(uint64_t passes)
{
    uint64_t right = 0;
    while (passes--) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        right += ended_well(child);
    }
    return right;
}

// ---- A new process for a program that does nothing; it lies beside this one.
static char nothing[4096];

static void prepare_exec(void)
{
    ssize_t n = readlink("/proc/self/exe", nothing, sizeof nothing - sizeof "nothing");
    char *slash = n > 0 ? strrchr(nothing, '/') : NULL;
    if (!slash)
        give_up("the link /proc/self/exe");
    strcpy(slash + 1, "nothing");
}

static uint64_t run_exec(uint64_t passes)
{
    char *const arguments[] = {nothing, NULL}, *const environment[] = {NULL};
    uint64_t right = 0;
    while (passes--) {
        pid_t child = fork();
        if (child == 0) {
            execve(nothing, arguments, environment);
            _exit(1);
        }
        right += ended_well(child);
    }
    return right;
}

// ---- New pages, each touched once.
#define TOUCHED 256

static uint64_t run_mmap_touch(uint64_t passes)
{
    uint64_t sum = 0;
    while (passes--) {
        volatile uint8_t *p = pages(TOUCHED * PAGE, PROT_READ | PROT_WRITE);
        for (int i = 0; i < TOUCHED; i++)
            p[i * PAGE] = (uint8_t)i; // written first: a page that was only read would be the kernel's page of zeros
        for (int i = 0; i < TOUCHED; i++)
            sum += p[i * PAGE];
        munmap((void *)p, TOUCHED * PAGE);
    }
    return sum;
}

// ---- Signals: sent by a system call, and made by a fault whose instruction the handler skips.
static volatile uint32_t caught;

static void on_signal(int number)
{
    caught++;
}

static void prepare_signal(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR2, &action, NULL);
}

static uint64_t run_signal(uint64_t passes)
{
    pid_t self = getpid();
    while (passes--)
        kill(self, SIGUSR2);
    return caught;
}

#ifdef __x86_64__
#define INSTRUCTION_POINTER REG_RIP
#else
#define INSTRUCTION_POINTER REG_EIP
#endif

static void on_fault(int number, siginfo_t *info, void *context)
{
    ((ucontext_t *)context)->uc_mcontext.gregs[INSTRUCTION_POINTER] += 2; // mov [eax or rax], cl
    caught++;
}

static uint8_t *forbidden;

static void prepare_fault(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    forbidden = pages(PAGE, PROT_READ);
}

static uint64_t run_fault(uint64_t passes)
{
    while (passes--)
        __asm__ volatile(".byte 0x88, 0x08" ::"a"(forbidden), "c"(0) : "memory");
    return caught;
}

// ---- Files in memory.
#define READ (64 * KB)

static char path[64];
static struct buffers data;
static int file;

static int made_file(void)
{
    int fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);
    if (fd < 0)
        give_up(path);
    return fd;
}

static void prepare_files(void)
{
    data = two_buffers(READ);
    snprintf(path, sizeof path, "%s/terrarium-bench.%d", in_guest() ? "/tmp" : "/dev/shm", (int)getpid());
}

static uint64_t run_files(uint64_t passes)
{
    uint64_t written = 0;
    while (passes--) {
        int fd = made_file();
        ssize_t n = write(fd, data.from, PAGE);
        written += n > 0 ? (uint64_t)n : 0;
        close(fd);
        unlink(path);
    }
    return written;
}

static void prepare_read(void)
{
    prepare_files();
    file = made_file();
    unlink(path);
    if (write(file, data.from, READ) != READ)
        give_up("writing to a file in memory");
}

static uint64_t run_read(uint64_t passes)
{
    while (passes--)
        if (pread(file, data.to, READ, 0) != READ)
            give_up("reading from a file in memory");
    return hash(data.to, READ);
}

// Sleeps of 50 us that were no shorter, by this machine's clock.
static uint64_t run_timer(uint64_t passes)
{
    uint64_t right = 0;
    while (passes--) {
        const struct timespec wait = {0, 50000};
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        nanosleep(&wait, NULL);
        clock_gettime(CLOCK_MONOTONIC, &b);
        right += (b.tv_sec - a.tv_sec) * 1000000000LL + b.tv_nsec - a.tv_nsec >= wait.tv_nsec;
    }
    return right;
}

// ---- Port input of a serial port's line status.
static const char *lacks_ports(void)
{
    return in_guest() ? NULL : "ports of a guest";
}

static void prepare_ports(void)
{
    if (iopl(3))
        give_up("iopl");
}

static uint64_t run_ports(uint64_t passes)
{
    uint64_t sum = 0;
    while (passes--)
        sum += inb(0x3fd);
    return sum;
}

const struct workload system_workloads[] = {
    {"sys_null", "kcall/s", 1e-3, 2000, SUM_SAME, run_null, NULL, NULL},
    {"sys_clock", "kcall/s", 1e-3, 5000, SUM_SAME, run_clock, NULL, NULL},
    {"sys_pipe_pp", "kroundtrip/s", 1e-3, 100, SUM_SAME, run_pipes, prepare_pipes, NULL},
    {"sys_fork", "fork/s", 1, 5, SUM_SAME, run_fork, NULL, NULL},
    {"sys_exec", "exec/s", 1, 3, SUM_SAME, run_exec, prepare_exec, NULL},
    {"sys_mmap_touch", "kpage/s", TOUCHED / 1e3, 2, SUM_SAME, run_mmap_touch, NULL, NULL},
    {"sys_signal", "ksignal/s", 1e-3, 200, SUM_SAME, run_signal, prepare_signal, NULL},
    {"sys_segv", "kfault/s", 1e-3, 200, SUM_SAME, run_fault, prepare_fault, NULL},
    {"sys_tmpfs", "kfile/s", 1e-3, 50, SUM_SAME, run_files, prepare_files, NULL},
    {"sys_read64k", "MB/s", READ / 1e6, 20, SUM_SAME, run_read, prepare_read, NULL},
    {"sys_timer50us", "wake/s", 1, 20, SUM_SAME, run_timer, NULL, NULL},
    {"io_inb", "kread/s", 1e-3, 100, SUM_NONE, run_ports, prepare_ports, lacks_ports},
    {0},
};
