// SPDX-License-Identifier: GPL-2.0-or-later
/* seccomp (Documentation/userspace-api/seccomp_filter.rst), by libseccomp.
 *
 * The table lists what stays, for which kinds of process and thread, and with which arguments; everything else fails with
 * EPERM.  Not with a signal: libraries ask for things on paths that no test walks, with another version of the C library
 * or in another locale, and take a refusal; a guest should not lose its disk's last writes for that.  Whoever took a
 * thread over gains nothing by being told no.
 *
 * A call whose argument is a number is held to the numbers that are needed.  What an argument points to cannot be looked
 * at: so clone3 does not exist here (the C library falls back to clone), and sendmsg, which could name an address, finds
 * only stream sockets.
 *
 * A build with -Dfence_log=true says on stderr which call was refused (by SIGSYS, which takes the place of the refusal). */
#include "core-vmm/fence/fence.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <linux/fs.h>
#include <linux/kvm.h>
#include <linux/membarrier.h>
#include <net/if.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sound/asound.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <ucontext.h>
#include <unistd.h>

enum {
    START = 1 << FENCE_START,
    VM = 1 << FENCE_VM,
    LOOP = 1 << FENCE_LOOP,
    VCPU = 1 << FENCE_VCPU,
    WORKER = 1 << FENCE_WORKER,
    LOOK = 1 << FENCE_LOOK,
    TOOL = 1 << FENCE_TOOL,
    NET = 1 << FENCE_NET,
    VNC = 1 << FENCE_VNC,
    SOUND = 1 << FENCE_SOUND,
    SOUNDS = SOUND | 1 << FENCE_SOUND_FILES,
    FOLDER = 1 << FENCE_FOLDER,
    CHILDREN = LOOK | TOOL,
    ANY = (1 << FENCE_KINDS) - 1,
    IN_VM = ANY & ~(TOOL | NET | VNC | SOUNDS | FOLDER), /* what any part of the VM process does, at any time */
};

/* ---- calls that stay whatever their arguments are ---- */
#define CALLS(...)                                                                                                     \
    (const int[])                                                                                                      \
    {                                                                                                                  \
        __VA_ARGS__, -1                                                                                                \
    }
static const struct {
    unsigned kinds;
    const int *calls;
    const char *reason;
} plain[] = {
    {ANY, CALLS(SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_close, SYS_fstat), "what is open already"},
    {VM | LOOP | WORKER | CHILDREN,
     CALLS(SYS_pread64, SYS_pwrite64, SYS_preadv, SYS_pwritev, SYS_lseek, SYS_fsync, SYS_fdatasync, SYS_ftruncate,
           SYS_fallocate),
     "disk images, UEFI variables"},
    {VM | LOOP | CHILDREN,
     CALLS(SYS_open, SYS_openat, SYS_access, SYS_faccessat, SYS_faccessat2, SYS_stat, SYS_lstat, SYS_newfstatat,
           SYS_statx, SYS_readlink, SYS_readlinkat, SYS_getdents64, SYS_getcwd),
     "images, and what media inserted while running build upon (Landlock says where)"},
    {VM | LOOP, CALLS(SYS_rename, SYS_dup2), "old logs (Landlock says where), stderr into the new one"},
    {TOOL, CALLS(SYS_rename, SYS_renameat2, SYS_linkat, SYS_unlink), "new images (Landlock says where)"},
    {ANY, CALLS(SYS_munmap, SYS_mremap, SYS_madvise, SYS_brk), "memory"},
    {VM | LOOP, CALLS(SYS_memfd_create), "guest memory, translated code, pictures"},
    {ANY,
     CALLS(SYS_futex, SYS_rseq, SYS_set_robust_list, SYS_exit, SYS_exit_group, SYS_gettid, SYS_getpid, SYS_sched_yield),
     "threads and locks"},
    {ANY, CALLS(SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack, SYS_restart_syscall),
     "faults of translated code, being kicked"},
    {TOOL, CALLS(SYS_statfs, SYS_fstatfs), "is there room for a new image?"},
    {VM | LOOP | CHILDREN, CALLS(SYS_fgetxattr), "which images build upon an open one"},
    {FOLDER,
     CALLS(SYS_openat2, SYS_newfstatat, SYS_readlinkat, SYS_getdents64, SYS_fstatfs, SYS_pread64, SYS_pwrite64,
           SYS_ftruncate, SYS_lseek, SYS_fchmod, SYS_mkdirat, SYS_unlinkat, SYS_renameat, SYS_renameat2, SYS_symlinkat),
     "what is in the folder (Landlock says which), and the older half of its log"},
    {NET | VNC | SOUNDS, CALLS(SYS_pread64, SYS_pwrite64, SYS_lseek, SYS_ftruncate),
     "its settings; captures; recordings; the older half of a log"},
    {SOUND,
     CALLS(SYS_open, SYS_openat, SYS_access, SYS_faccessat, SYS_faccessat2, SYS_stat, SYS_lstat, SYS_newfstatat,
           SYS_statx, SYS_readlink, SYS_readlinkat, SYS_getdents64, SYS_getcwd, SYS_unlink, SYS_flock, SYS_mkdir,
           SYS_statfs, SYS_fstatfs, SYS_inotify_init1, SYS_inotify_add_watch, SYS_inotify_rm_watch),
     "settings and devices of a sound server's library (Landlock says where)"},
    {SOUND,
     CALLS(SYS_connect, SYS_shutdown, SYS_getsockopt, SYS_setsockopt, SYS_getsockname, SYS_getpeername, SYS_recvmsg,
           SYS_sendmsg),
     "the sound server"},
    {SOUND,
     CALLS(SYS_memfd_create, SYS_pipe, SYS_pipe2, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_wait, SYS_epoll_pwait,
           SYS_timerfd_create, SYS_timerfd_settime, SYS_timerfd_gettime, SYS_signalfd4, SYS_mlock, SYS_munlock,
           SYS_getpriority, SYS_sched_getparam, SYS_sched_getscheduler, SYS_sched_get_priority_max,
           SYS_sched_get_priority_min, SYS_getppid, SYS_getresuid, SYS_getresgid, SYS_times),
     "threads of that library, and memory that it shares with the server"},
    {SOUND, CALLS(SYS_shmget, SYS_shmat, SYS_shmdt, SYS_shmctl, SYS_semget, SYS_semop, SYS_semctl),
     "programs that share a sound card by ALSA alone"},
    {VNC,
     CALLS(SYS_accept, SYS_accept4, SYS_shutdown, SYS_getsockopt, SYS_setsockopt, SYS_getsockname, SYS_getpeername,
           SYS_recvmsg, SYS_sendmsg),
     "its clients"},
    {VNC, CALLS(SYS_select, SYS_pselect6), "libvncserver waits so"},
    {VNC, CALLS(SYS_newfstatat), "how large is a picture?  fstat() asks so"},
    {NET,
     CALLS(SYS_open, SYS_openat, SYS_getdents64, SYS_stat, SYS_newfstatat, SYS_lstat, SYS_statx, SYS_access,
           SYS_readlink, SYS_readlinkat),
     "a folder for TFTP (Landlock says where)"},
    {NET,
     CALLS(SYS_bind, SYS_listen, SYS_connect, SYS_accept, SYS_accept4, SYS_shutdown, SYS_getsockopt, SYS_setsockopt,
           SYS_getsockname, SYS_getpeername, SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg, SYS_sendmmsg,
           SYS_recvmmsg),
     "the network"},
    {NET, CALLS(SYS_renameat, SYS_renameat2, SYS_unlinkat, SYS_mkdirat, SYS_faccessat, SYS_faccessat2),
     "folders where VMs of a user meet (Landlock says where)"},
    {TOOL | VM | LOOP | VCPU, CALLS(SYS_rt_sigtimedwait), "Ctrl-C; taking a kick back"},
    {ANY, CALLS(SYS_clock_gettime, SYS_clock_getres, SYS_gettimeofday, SYS_time, SYS_nanosleep, SYS_clock_nanosleep),
     "time"},
    {NET, CALLS(SYS_timerfd_create, SYS_timerfd_settime, SYS_timerfd_gettime), "limits of bandwidth, delays"},
    {VM | LOOP | VCPU, CALLS(SYS_timerfd_create, SYS_timerfd_settime, SYS_timerfd_gettime), "guest time"},
    {WORKER, CALLS(SYS_timerfd_settime), "a disk's chip that sets a timer when a request is through"},
    {VM | LOOP | VCPU | NET | VNC | SOUNDS, CALLS(SYS_poll, SYS_ppoll, SYS_eventfd2), "waiting"},
    {VM, CALLS(SYS_epoll_create1), "the same"},
    {VM | LOOP | VCPU, CALLS(SYS_epoll_ctl), "whose turn it is to wait for frames"},
    {VM | LOOP, CALLS(SYS_accept4, SYS_recvmsg, SYS_sendmsg, SYS_getsockopt, SYS_getsockname, SYS_shutdown),
     "control clients"},
    {VM | LOOP | VCPU | TOOL | NET | VNC | SOUNDS, CALLS(SYS_uname, SYS_sysinfo, SYS_getrandom),
     "questions the libraries ask"},
    {ANY, CALLS(SYS_sched_getaffinity), "the same; pthread_getattr_np() asks by the thread's number"},
    {VM | LOOP | CHILDREN | NET | VNC | SOUNDS | FOLDER, CALLS(SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid),
     "the same"},
    /* Until the closer fences are there. */
    {START, CALLS(SYS_execve, SYS_arch_prctl, SYS_set_tid_address, SYS_tgkill), "becoming the program"},
    {START, CALLS(SYS_getrlimit, SYS_getresuid, SYS_getresgid, SYS_getppid, SYS_statfs, SYS_fstatfs), "questions"},
    {START,
     CALLS(SYS_mkdir, SYS_rmdir, SYS_unlink, SYS_unlinkat, SYS_symlink, SYS_umask, SYS_fchmod, SYS_dup, SYS_dup3,
           SYS_pipe2),
     "the lock, the log, sockets and links; vm-sweeper removes them"},
    {START, CALLS(SYS_bind, SYS_listen, SYS_connect, SYS_setsockopt), "sockets; is somebody at the other end?"},
    {START, CALLS(SYS_wait4, SYS_alarm, SYS_close_range), "the child that looks at images"},
    {START,
     CALLS(SYS_landlock_create_ruleset, SYS_landlock_add_rule, SYS_landlock_restrict_self, SYS_capget, SYS_capset,
           SYS_seccomp),
     "the closer fences"},
};

/* ---- calls that stay with certain arguments: a rule each, any of them will do ---- */
#define ARG(n, op, ...)                                                                                                \
    {                                                                                                                  \
        n, SCMP_CMP_##op, __VA_ARGS__                                                                                  \
    }
#define IS(n, value)           ARG(n, EQ, (scmp_datum_t)(value), 0)
#define MASKED(n, mask, value) ARG(n, MASKED_EQ, (scmp_datum_t)(mask), (scmp_datum_t)(value))
#define OWN_PID                (-1) /* stands for the number of this process */
#define PROT_BOTH              (PROT_WRITE | PROT_EXEC)
#define THREAD_FLAGS           (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)
#define NEVER_FLAGS                                                                                                    \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |       \
     CLONE_PTRACE)
#define NOT_THREAD_FLAGS (NEVER_FLAGS | CLONE_VFORK | CLONE_PIDFD)

static const struct {
    unsigned kinds;
    int call;
    unsigned count;
    struct scmp_arg_cmp arg[2];
} checked[] = {
    /* A disk's bytes that the host has in memory: never waits. */
    {VM | LOOP | VCPU | WORKER, SYS_preadv2, 1, {IS(5, RWF_NOWAIT)}},
    /* Executable and writable at once never; executable at all only until the machine is built. */
    {ANY, SYS_mmap, 1, {MASKED(2, PROT_EXEC, 0)}},
    {VM | CHILDREN, SYS_mmap, 1, {MASKED(2, PROT_BOTH, PROT_EXEC)}},
    {SOUND, SYS_mmap, 1, {MASKED(2, PROT_BOTH, PROT_EXEC)}}, /* plugins of a sound server's library */
    {ANY, SYS_mprotect, 1, {MASKED(2, PROT_EXEC, 0)}},
    /* A thread, nothing else.  Not from a vCPU or the loop: GLib may not ask for scheduling here (sched_getattr), and so
     * makes its workers from a thread of its own, "pool-spawner", whose filter is theirs until they take on a closer one. */
    {VM | TOOL | VNC | SOUNDS, SYS_clone, 1, {MASKED(0, THREAD_FLAGS | NOT_THREAD_FLAGS, THREAD_FLAGS)}},
    {VM, SYS_seccomp, 1, {IS(0, SECCOMP_SET_MODE_FILTER)}},
    {VM, SYS_prctl, 2, {IS(0, PR_SET_NO_NEW_PRIVS), IS(1, 1)}},
    {ANY, SYS_prctl, 1, {IS(0, PR_SET_NAME)}},
    /* A device's barrier towards a vCPU; may it be asked for? */
    {VM | LOOP | VCPU | WORKER, SYS_membarrier, 1, {IS(0, MEMBARRIER_CMD_PRIVATE_EXPEDITED)}},
    {VM, SYS_membarrier, 1, {IS(0, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)}},
    /* A guest's SSBD: this thread's loads wait for older stores. */
    {VM | VCPU, SYS_prctl, 2, {IS(0, PR_SET_SPECULATION_CTRL), IS(1, PR_SPEC_STORE_BYPASS)}},
    /* Signals to own threads. */
    {ANY, SYS_tgkill, 1, {IS(0, OWN_PID)}},
    /* Questions about oneself. */
    {ANY, SYS_prlimit64, 2, {IS(0, 0), IS(2, 0)}},
    /* No owner, no signal for what happens to a descriptor. */
    {ANY, SYS_fcntl, 1, {IS(1, F_GETFL)}},
    {VM | LOOP | TOOL | NET | VNC | SOUNDS, SYS_fcntl, 2, {IS(1, F_SETFL), MASKED(2, O_ASYNC, 0)}},
    {VM | LOOP | CHILDREN | NET | VNC | SOUNDS, SYS_fcntl, 1, {IS(1, F_GETFD)}},
    {VM | LOOP | CHILDREN | NET | VNC | SOUNDS | FOLDER, SYS_fcntl, 1, {IS(1, F_SETFD)}},
    {VM | LOOP | TOOL | NET | VNC | SOUNDS | FOLDER, SYS_fcntl, 1, {IS(1, F_DUPFD_CLOEXEC)}},
    {VM | LOOP | TOOL, SYS_fcntl, 1, {IS(1, F_OFD_SETLK)}},
    {VM | LOOP | TOOL, SYS_fcntl, 1, {IS(1, F_OFD_GETLK)}},
    {VM | LOOP, SYS_fcntl, 1, {IS(1, F_ADD_SEALS)}},
    {VNC, SYS_fcntl, 1, {IS(1, F_GET_SEALS)}},
    /* Connected stream sockets only. */
    {VM | LOOP | VCPU | VNC | SOUNDS, SYS_sendto, 1, {IS(4, 0)}},
    {VM | LOOP | VNC | SOUNDS, SYS_recvfrom, 1, {IS(4, 0)}},
    {VM | LOOP | VNC, SYS_socketpair, 2, {IS(0, AF_UNIX), MASKED(1, ~(SOCK_CLOEXEC | SOCK_NONBLOCK), SOCK_STREAM)}},
    {SOUND, SYS_socket, 2, {IS(0, AF_UNIX), MASKED(1, ~(SOCK_CLOEXEC | SOCK_NONBLOCK), SOCK_STREAM)}},
    {SOUND, SYS_fcntl, 1, {IS(1, F_ADD_SEALS)}},
    {SOUND, SYS_fcntl, 1, {IS(1, F_GET_SEALS)}},
    {SOUND, SYS_fcntl, 1, {IS(1, F_SETLK)}},
    {SOUND, SYS_fcntl, 1, {IS(1, F_GETLK)}},
    /* TCP, UDP and pings; packets between a user's VMs.  No other Unix sockets: a user's other programs listen there. */
    {NET, SYS_socket, 2, {IS(0, AF_INET), MASKED(1, ~(SOCK_CLOEXEC | SOCK_NONBLOCK), SOCK_STREAM)}},
    {NET, SYS_socket, 2, {IS(0, AF_INET), MASKED(1, ~(SOCK_CLOEXEC | SOCK_NONBLOCK), SOCK_DGRAM)}},
    {NET, SYS_socket, 2, {IS(0, AF_INET6), MASKED(1, ~(SOCK_CLOEXEC | SOCK_NONBLOCK), SOCK_STREAM)}},
    {NET, SYS_socket, 2, {IS(0, AF_INET6), MASKED(1, ~(SOCK_CLOEXEC | SOCK_NONBLOCK), SOCK_DGRAM)}},
    {NET, SYS_socket, 2, {IS(0, AF_UNIX), MASKED(1, ~(SOCK_CLOEXEC | SOCK_NONBLOCK), SOCK_SEQPACKET)}},
    {NET, SYS_fcntl, 1, {IS(1, F_OFD_SETLK)}},
    /* An open file's own time, no path. */
    {TOOL | FOLDER, SYS_utimensat, 1, {IS(1, 0)}},
    /* That another image builds upon an open one. */
    {TOOL, SYS_fsetxattr, 1, {IS(4, 0)}},
    /* Until the closer fences are there. */
    {START, SYS_clone, 1, {MASKED(0, NEVER_FLAGS, 0)}},
    {START, SYS_socket, 1, {IS(0, AF_UNIX)}},
    {START, SYS_fcntl, 1, {IS(1, F_DUPFD)}},
    {START, SYS_prlimit64, 1, {IS(0, 0)}}, /* sanitizers: no core file of terabytes */
    {START, SYS_prctl, 1, {IS(0, PR_SET_PDEATHSIG)}},
    {START, SYS_prctl, 1, {IS(0, PR_CAPBSET_READ)}},
    {START, SYS_prctl, 1, {IS(0, PR_CAPBSET_DROP)}},
    {START, SYS_prctl, 2, {IS(0, PR_CAP_AMBIENT), IS(1, PR_CAP_AMBIENT_CLEAR_ALL)}},
    {START, SYS_prctl, 1, {IS(0, PR_GET_SPECULATION_CTRL)}},
};

/* ---- ioctl ---- */
#define COMMANDS(...)                                                                                                  \
    (const unsigned[])                                                                                                 \
    {                                                                                                                  \
        __VA_ARGS__, 0                                                                                                 \
    }
static const struct {
    unsigned kinds;
    const unsigned *commands;
    const char *reason;
} commands[] = {
    {VM | LOOP | CHILDREN, COMMANDS(BLKGETSIZE64), "the size of a host disk"},
    {VM | LOOP | TOOL, COMMANDS(TCGETS), "is it a terminal?"},
    {VM | LOOP, COMMANDS(TCSETS), "at the end the terminal is as it was"},
    {START, COMMANDS(TCSETSW, TCSETSF, TIOCGPTN, TIOCSPTLCK), "terminals of serial ports"},
    {VM,
     COMMANDS(KVM_GET_API_VERSION, KVM_CREATE_VM, KVM_CREATE_VCPU, KVM_GET_VCPU_MMAP_SIZE, KVM_SET_TSS_ADDR,
              KVM_SET_IDENTITY_MAP_ADDR),
     "KVM: making a machine"},
    {VM | LOOP | VCPU,
     COMMANDS(KVM_CHECK_EXTENSION, KVM_ENABLE_CAP, KVM_GET_SUPPORTED_CPUID, KVM_GET_CPUID2, KVM_SET_CPUID2, KVM_RUN,
              KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS, KVM_SET_SREGS, KVM_GET_MSRS, KVM_SET_MSRS, KVM_GET_XSAVE,
              KVM_SET_XSAVE, KVM_GET_XCRS, KVM_SET_XCRS, KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, KVM_GET_MP_STATE,
              KVM_SET_MP_STATE, KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, KVM_GET_LAPIC, KVM_SET_LAPIC, KVM_INTERRUPT,
              KVM_NMI, KVM_SIGNAL_MSI, KVM_SET_GSI_ROUTING, KVM_SET_SIGNAL_MASK, KVM_SET_USER_MEMORY_REGION,
              KVM_GET_DIRTY_LOG, KVM_GET_SUPPORTED_HV_CPUID, KVM_GET_CLOCK, KVM_SET_CLOCK, KVM_IRQ_LINE,
              KVM_GET_DEVICE_ATTR, KVM_SET_DEVICE_ATTR, KVM_TRANSLATE),
     "KVM: running it (hwaccel)"},
    {WORKER, COMMANDS(KVM_SIGNAL_MSI, KVM_SET_GSI_ROUTING),
     "interrupts of disks, the first of a level-triggered vector too"},
    {SOUND, COMMANDS(FIONREAD, FIONBIO), "sockets: what waits; never wait"},
    {SOUND,
     COMMANDS(SNDRV_CTL_IOCTL_PVERSION, SNDRV_CTL_IOCTL_CARD_INFO, SNDRV_CTL_IOCTL_ELEM_LIST, SNDRV_CTL_IOCTL_ELEM_INFO,
              SNDRV_CTL_IOCTL_ELEM_READ, SNDRV_CTL_IOCTL_SUBSCRIBE_EVENTS, SNDRV_CTL_IOCTL_PCM_NEXT_DEVICE,
              SNDRV_CTL_IOCTL_PCM_INFO, SNDRV_CTL_IOCTL_PCM_PREFER_SUBDEVICE, SNDRV_PCM_IOCTL_PVERSION,
              SNDRV_PCM_IOCTL_INFO, SNDRV_PCM_IOCTL_TTSTAMP, SNDRV_PCM_IOCTL_USER_PVERSION, SNDRV_PCM_IOCTL_HW_REFINE,
              SNDRV_PCM_IOCTL_HW_PARAMS, SNDRV_PCM_IOCTL_HW_FREE, SNDRV_PCM_IOCTL_SW_PARAMS, SNDRV_PCM_IOCTL_STATUS,
              SNDRV_PCM_IOCTL_STATUS_EXT, SNDRV_PCM_IOCTL_DELAY, SNDRV_PCM_IOCTL_HWSYNC, SNDRV_PCM_IOCTL_SYNC_PTR,
              SNDRV_PCM_IOCTL_CHANNEL_INFO, SNDRV_PCM_IOCTL_PREPARE, SNDRV_PCM_IOCTL_RESET, SNDRV_PCM_IOCTL_START,
              SNDRV_PCM_IOCTL_DROP, SNDRV_PCM_IOCTL_DRAIN, SNDRV_PCM_IOCTL_PAUSE, SNDRV_PCM_IOCTL_REWIND,
              SNDRV_PCM_IOCTL_FORWARD, SNDRV_PCM_IOCTL_RESUME, SNDRV_PCM_IOCTL_WRITEI_FRAMES,
              SNDRV_PCM_IOCTL_READI_FRAMES, SNDRV_PCM_IOCTL_LINK, SNDRV_PCM_IOCTL_UNLINK),
     "a sound card by ALSA"},
    {NET, COMMANDS(FIONREAD, FIONBIO, SIOCGIFINDEX), "sockets: what waits; never wait; the number of an interface"},
};

/* The outermost filter leaves what any of those within it needs. */
static unsigned kinds_of(enum fence_kind kind)
{
    return kind == FENCE_START ? IN_VM : 1u << kind;
}

static int add_commands(scmp_filter_ctx c, unsigned kinds)
{
    int err = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++)
        for (const unsigned *n = commands[i].commands; *n && commands[i].kinds & kinds && !err; n++)
            err = seccomp_rule_add(c, SCMP_ACT_ALLOW, SYS_ioctl, 1, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, *n));
    return err;
}

static scmp_datum_t value_of(const struct scmp_arg_cmp *a)
{
    return a->datum_a == (scmp_datum_t)OWN_PID ? (scmp_datum_t)getpid() : a->datum_a;
}

static int add_plain(scmp_filter_ctx c, unsigned kinds)
{
    bool refused_so = kinds & START; /* already */
    int err = refused_so ? 0 : seccomp_rule_add(c, SCMP_ACT_ERRNO(ENOSYS), SYS_clone3, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(plain) && !err; i++)
        for (const int *call = plain[i].calls; *call >= 0 && plain[i].kinds & kinds && !err; call++)
            err = seccomp_rule_add(c, SCMP_ACT_ALLOW, *call, 0);
    return err;
}

static int add_rules(scmp_filter_ctx c, enum fence_kind kind)
{
    unsigned kinds = kinds_of(kind);
    int err = add_plain(c, kinds);
    for (unsigned i = 0; i < G_N_ELEMENTS(checked) && !err; i++) {
        struct scmp_arg_cmp arg[2];
        if (!(checked[i].kinds & kinds) || (kind == FENCE_START && checked[i].arg[0].datum_a == (scmp_datum_t)OWN_PID))
            continue;
        for (unsigned k = 0; k < checked[i].count; k++) {
            arg[k] = checked[i].arg[k];
            arg[k].datum_a = value_of(&arg[k]);
        }
        err = seccomp_rule_add_array(c, SCMP_ACT_ALLOW, checked[i].call, checked[i].count, arg);
    }
    return err ? err : add_commands(c, kinds);
}

/* A dynamic linker or C library newer than we know tries the newest call, and then the older one if the kernel lacks it. */
#define REFUSE_AT_START SCMP_ACT_ERRNO(ENOSYS)

/* ---- for developers: which call was it? ---- */
#ifdef FENCE_LOG
#define REFUSE SCMP_ACT_TRAP

/* In a signal handler of any thread: no more than write(). */
static void on_refused(int sig, siginfo_t *info, void *context)
{
    ucontext_t *u = context;
    char text[96];
    int n = g_snprintf(text, sizeof text, "fence: system call %d(%#llx, %#llx, %#llx) is refused\n", info->si_syscall,
                       u->uc_mcontext.gregs[REG_RDI], u->uc_mcontext.gregs[REG_RSI], u->uc_mcontext.gregs[REG_RDX]);
    if (write(STDERR_FILENO, text, n) < 0)
        n = 0;
    u->uc_mcontext.gregs[REG_RAX] = -EPERM;
}

static void say_refused(void)
{
    struct sigaction a = {.sa_sigaction = on_refused, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGSYS, &a, NULL);
}
#else
#define REFUSE SCMP_ACT_ERRNO(EPERM)
static void say_refused(void)
{
}
#endif

/* ---- compiling and loading ---- */

static bool failed(GError **error, int err)
{
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(err), "seccomp: %s", g_strerror(err));
    return false;
}

/* The binary tree costs fewer steps per call than the list of all rules. */
static scmp_filter_ctx compile(enum fence_kind kind, GError **error)
{
    scmp_filter_ctx c = seccomp_init(kind == FENCE_START ? REFUSE_AT_START : REFUSE);
    int err = c ? 0 : -ENOMEM;
    if (!err)
        err = seccomp_attr_set(c, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(EPERM));
    if (!err)
        err = seccomp_attr_set(c, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (!err)
        err = add_rules(c, kind);
    if (!err)
        return c;
    seccomp_release(c);
    failed(error, -err);
    return NULL;
}

GBytes *fence_calls_program(enum fence_kind kind, GError **error)
{
    scmp_filter_ctx c = compile(kind, error);
    int fd = c ? memfd_create("terrarium-filter", MFD_CLOEXEC) : -1;
    struct stat st;
    GBytes *code = NULL;
    if (fd >= 0 && !seccomp_export_bpf(c, fd) && !fstat(fd, &st) && st.st_size > 0) {
        g_autofree void *bytes = g_malloc(st.st_size);
        if (!lseek(fd, 0, SEEK_SET) && read(fd, bytes, st.st_size) == st.st_size)
            code = g_bytes_new_take(g_steal_pointer(&bytes), st.st_size);
    }
    if (c && !code)
        failed(error, EIO);
    if (fd >= 0)
        close(fd);
    if (c)
        seccomp_release(c);
    return code;
}

struct fence_filters {
    GBytes *code[FENCE_KINDS]; /* NULL: not for a single thread */
};

struct fence_filters *fence_filters_new(GError **error)
{
    static const enum fence_kind kinds[] = {FENCE_LOOP, FENCE_VCPU, FENCE_WORKER};
    struct fence_filters *f = g_new0(struct fence_filters, 1);
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (!(f->code[kinds[i]] = fence_calls_program(kinds[i], error))) {
            fence_filters_free(f);
            return NULL;
        }
    return f;
}

void fence_filters_free(struct fence_filters *f)
{
    for (unsigned i = 0; f && i < FENCE_KINDS; i++)
        g_clear_pointer(&f->code[i], g_bytes_unref);
    g_free(f);
}

static bool load(GBytes *code, unsigned flags, GError **error)
{
    gsize n;
    const void *data = g_bytes_get_data(code, &n);
    struct sock_fprog program = {n / sizeof(struct sock_filter), (struct sock_filter *)data};
    if (!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program))
        return true;
    if (errno != ENOSYS && errno != EINVAL)
        return failed(error, errno);
    g_message("fence: this kernel has no seccomp filters; system calls are not fenced");
    return true;
}

bool fence_calls_close(enum fence_kind kind, GError **error)
{
    g_autoptr(GBytes) code = fence_calls_program(kind, error);
    say_refused();
    return code && load(code, SECCOMP_FILTER_FLAG_TSYNC, error);
}

bool fence_thread(const struct fence_filters *f, enum fence_kind kind, GError **error)
{
    static _Thread_local bool done;
    if (!done)
        done = load(f->code[kind], 0, error);
    return done;
}
