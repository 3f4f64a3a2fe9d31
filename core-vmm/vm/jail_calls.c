// SPDX-License-Identifier: GPL-2.0-or-later
/* seccomp (Documentation/userspace-api/seccomp_filter.rst).  The table lists the system calls that stay; everything else
 * fails with EPERM, above all: execve, fork, socket, connect, ptrace, mount, bpf, io_uring, keyctl, process_vm_*, and
 * changing one's user. */
#include "jail.h"
#include <errno.h>
#include <gio/gio.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CALLS(...)                                                                                                     \
    (const int[])                                                                                                      \
    {                                                                                                                  \
        __VA_ARGS__, -1                                                                                                \
    }
static const struct {
    const int *calls;
    const char *reason;
} kept[] = {
    {CALLS(SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64, SYS_preadv, SYS_pwritev, SYS_preadv2,
           SYS_pwritev2, SYS_lseek, SYS_close, SYS_dup, SYS_dup2, SYS_fcntl, SYS_fstat, SYS_newfstatat, SYS_stat,
           SYS_lstat, SYS_statx, SYS_fsync, SYS_fdatasync, SYS_sync_file_range, SYS_ftruncate, SYS_fallocate,
           SYS_fadvise64, SYS_flock, SYS_copy_file_range, SYS_statfs, SYS_fstatfs, SYS_fgetxattr),
     "disk images, serial lines, the log"},
    {CALLS(SYS_open, SYS_openat, SYS_access, SYS_faccessat, SYS_faccessat2, SYS_readlink, SYS_readlinkat,
           SYS_getdents64, SYS_getcwd),
     "images that media inserted while running build upon (Landlock says where)"},
    {CALLS(SYS_unlink, SYS_unlinkat, SYS_rename, SYS_renameat, SYS_renameat2, SYS_mkdir, SYS_mkdirat, SYS_rmdir,
           SYS_fchmod, SYS_chmod, SYS_utimensat),
     "log rotation, saved states, removing our sockets (Landlock says where)"},
    {CALLS(SYS_mmap, SYS_munmap, SYS_mprotect, SYS_mremap, SYS_madvise, SYS_msync, SYS_mincore, SYS_brk,
           SYS_memfd_create, SYS_membarrier),
     "memory; translated code (executable pages of a memfd); the picture's memory"},
    {CALLS(SYS_futex, SYS_futex_waitv, SYS_rseq, SYS_set_robust_list, SYS_get_robust_list, SYS_set_tid_address,
           SYS_exit, SYS_exit_group, SYS_gettid, SYS_getpid, SYS_getppid, SYS_getpgrp, SYS_sched_yield,
           SYS_sched_getaffinity, SYS_sched_setaffinity, SYS_sched_getattr, SYS_sched_setattr, SYS_sched_getparam,
           SYS_sched_getscheduler, SYS_sched_get_priority_min, SYS_sched_get_priority_max, SYS_getpriority,
           SYS_arch_prctl, SYS_getcpu),
     "threads and locks"},
    {CALLS(SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigpending, SYS_rt_sigtimedwait,
           SYS_rt_sigsuspend, SYS_sigaltstack, SYS_tgkill, SYS_tkill, SYS_signalfd4, SYS_restart_syscall),
     "faults of translated code, kicking a vCPU thread"},
    {CALLS(SYS_clock_gettime, SYS_clock_getres, SYS_gettimeofday, SYS_time, SYS_nanosleep, SYS_clock_nanosleep,
           SYS_timerfd_create, SYS_timerfd_settime, SYS_timerfd_gettime, SYS_timer_create, SYS_timer_settime,
           SYS_timer_gettime, SYS_timer_delete, SYS_setitimer),
     "guest time"},
    {CALLS(SYS_poll, SYS_ppoll, SYS_select, SYS_pselect6, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_wait,
           SYS_epoll_pwait, SYS_eventfd2, SYS_pipe2),
     "the event loop"},
    {CALLS(SYS_accept, SYS_accept4, SYS_recvmsg, SYS_sendmsg, SYS_recvfrom, SYS_sendto, SYS_getsockopt, SYS_setsockopt,
           SYS_getsockname, SYS_shutdown, SYS_socketpair),
     "control clients; no new sockets to anywhere"},
    {CALLS(SYS_uname, SYS_sysinfo, SYS_getrandom, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_getrusage,
           SYS_times, SYS_prlimit64),
     "questions the C library and GLib ask"},
};

#define ARCH_OFFSET   offsetof(struct seccomp_data, arch)
#define CALL_OFFSET   offsetof(struct seccomp_data, nr)
#define ARG_OFFSET(n) offsetof(struct seccomp_data, args[n]) /* low half: little-endian */
#define X32_BIT       0x40000000u
#define REFUSE        (SECCOMP_RET_ERRNO | EPERM)

struct filter {
    struct sock_filter code[512];
    unsigned n;
};

static void add(struct filter *f, struct sock_filter s)
{
    g_assert(f->n < G_N_ELEMENTS(f->code));
    f->code[f->n++] = s;
}

static void load(struct filter *f, unsigned offset)
{
    add(f, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset));
}

static void decide(struct filter *f, unsigned verdict)
{
    add(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, verdict));
}

/* If what was loaded is (not) value, the next instruction decides. */
static void when(struct filter *f, unsigned value, bool equal)
{
    add(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, equal ? 0 : 1, equal ? 1 : 0));
}

/* clone only for threads; clone3 hides its flags in memory: the C library then falls back to clone. */
static void add_clone(struct filter *f)
{
    when(f, SYS_clone3, true);
    decide(f, SECCOMP_RET_ERRNO | ENOSYS);
    add(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4));
    load(f, ARG_OFFSET(0));
    add(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1));
    decide(f, SECCOMP_RET_ALLOW);
    decide(f, REFUSE);
}

/* ioctl for KVM, terminals, host devices; but not typing into the user's terminal for him. */
static void add_ioctl(struct filter *f)
{
    add(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 6));
    load(f, ARG_OFFSET(1));
    when(f, TIOCSTI, true);
    decide(f, REFUSE);
    when(f, TIOCLINUX, true);
    decide(f, REFUSE);
    decide(f, SECCOMP_RET_ALLOW);
}

/* prctl to name a thread, set its timer slack and, for a guest's SSBD, make its loads wait for older stores. */
static void add_prctl(struct filter *f)
{
    add(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 8));
    load(f, ARG_OFFSET(0));
    when(f, PR_SET_NAME, true);
    decide(f, SECCOMP_RET_ALLOW);
    when(f, PR_SET_TIMERSLACK, true);
    decide(f, SECCOMP_RET_ALLOW);
    when(f, PR_SET_SPECULATION_CTRL, true);
    decide(f, SECCOMP_RET_ALLOW);
    decide(f, REFUSE);
}

static void build(struct filter *f)
{
    load(f, ARCH_OFFSET);
    when(f, AUDIT_ARCH_X86_64, false);
    decide(f, REFUSE);
    load(f, CALL_OFFSET);
    add(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1));
    decide(f, REFUSE);
    for (unsigned i = 0; i < G_N_ELEMENTS(kept); i++)
        for (const int *call = kept[i].calls; *call >= 0; call++) {
            when(f, *call, true);
            decide(f, SECCOMP_RET_ALLOW);
        }
    add_clone(f);
    add_ioctl(f);
    add_prctl(f);
    decide(f, REFUSE);
}

bool jail_calls(GError **error)
{
    struct filter f = {.n = 0};
    build(&f);
    struct sock_fprog program = {f.n, f.code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program)) {
        if (errno == ENOSYS || errno == EINVAL) {
            g_message("jail: this kernel has no seccomp filters; system calls are not fenced");
            return true;
        }
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "seccomp: %s", g_strerror(errno));
        return false;
    }
    return true;
}
