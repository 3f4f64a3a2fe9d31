// SPDX-License-Identifier: GPL-2.0-or-later
/* host_fault.c - exceptions of the host's CPU become signals, and here it is settled whose they are.
 *
 *   in a stub of native replay    the guest's: replay_call() returns the vector (native/stub.c)
 *   in translated code            a surprise, since the translator runs nothing in place that may fault; but tier 1 runs
 *                                 the instruction and finds out what the guest is to see (translate/net.c)
 *   the host has no memory for a  SIGBUS: no engine can go on.  In either kind of code no lock is held, so the machine
 *   page of the guest's           ends in order; elsewhere the process does
 *   elsewhere                     a fault of this program: one line on stderr, which is the log where nobody reads it,
 *                                 then whatever was installed before, or the end
 *
 * Translated code has no stack: its rsp points into struct vcpu.  So the handler runs on a stack of its own, one per
 * thread.  How much of it the kernel needs for the registers depends on the CPU (AVX-512 3 KiB, AMX 11 KiB);
 * AT_MINSIGSTKSZ says (sigaltstack(2), getauxval(3)).  A kernel that finds it too small ends the process. */
#include "patcher/host_fault.h"
#include "patcher/native/fpu.h"
#include "patcher/translate/translate.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif
enum { OWN_STACK = 64 << 10 /* for the handler, and those that it calls */, GUARD = 4096 };

/* The handler has nothing but the interrupted context to go by: this is whose code its thread may be in. */
static _Thread_local struct vcpu *running;
static struct sigaction previous[NSIG]; /* what other parts of the process had installed: chained to */

/* ---- the thread's stack for signals ---------------------------------------------------------------------------------- */
struct signal_stack {
    stack_t before; /* somebody else's */
    uint8_t *memory;
    size_t bytes;
};

static void signal_stack_free(gpointer data)
{
    struct signal_stack *s = data;
    sigaltstack(&s->before, NULL);
    munmap(s->memory, s->bytes);
    g_free(s);
}

static GPrivate *this_threads_stack(void)
{
    static GPrivate stack = G_PRIVATE_INIT(signal_stack_free);
    return &stack;
}

static bool give_signal_stack(GError **error)
{
    size_t frame = (getauxval(AT_MINSIGSTKSZ) + GUARD - 1) & ~(size_t)(GUARD - 1);
    struct signal_stack s = {.bytes = GUARD + frame + OWN_STACK};
    s.memory = mmap(NULL, s.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s.memory != MAP_FAILED) {
        stack_t own = {.ss_sp = s.memory + GUARD, .ss_size = s.bytes - GUARD};
        if (!mprotect(s.memory, GUARD, PROT_NONE) && !sigaltstack(&own, &s.before)) {
            g_private_set(this_threads_stack(), g_memdup2(&s, sizeof s));
            return true;
        }
        munmap(s.memory, s.bytes);
    }
    g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
                "No stack of %zu KiB for signals, which the software engine needs on each virtual CPU's thread: %s",
                s.bytes >> 10, g_strerror(errno));
    return false;
}

/* ---- the end --------------------------------------------------------------------------------------------------------- */
static const char no_memory[] =
    "The host has no memory for a page of the guest's memory (out of memory, or the file system or huge pages that it "
    "comes from are full): give the machine less memory, or the host more";

/* Of the vCPU's run: signals lead here from code that holds no lock, on the stack of the C code that called it. */
static _Noreturn void end_without_memory(struct vcpu *c)
{
    fpu_leave(c);
    c->failed = true;
    g_set_error_literal(c->error, G_FILE_ERROR, G_FILE_ERROR_NOMEM, no_memory);
    _longjmp(c->trap, 1);
}

static void put(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        return; /* nobody to tell */
}

static void put_hex(uint64_t v)
{
    char digits[19] = "0x", *p = digits + 2;
    for (int shift = 60; shift >= 0; shift -= 4)
        if (v >> shift || !shift)
            *p++ = "0123456789abcdef"[v >> shift & 15];
    *p = 0;
    put(digits);
}

static void last_words(int sig, const siginfo_t *info, const greg_t *g)
{
    put("terrarium: ");
    if (sig == SIGBUS && g[REG_TRAPNO] == EXC_PF) {
        put(no_memory);
        put("\n");
        return;
    }
    put("fault of this program: signal SIG");
    put(sigabbrev_np(sig));
    put(", exception ");
    put_hex(g[REG_TRAPNO]);
    put(" at host address ");
    put_hex(g[REG_RIP]);
    put(", data address ");
    put_hex((uint64_t)info->si_addr);
    put(running ? ", on a virtual CPU's thread\n" : "\n");
}

static void chain(int sig, siginfo_t *info, void *context)
{
    const struct sigaction *p = &previous[sig];
    if (p->sa_flags & SA_SIGINFO) {
        p->sa_sigaction(sig, info, context);
    } else if (p->sa_handler != SIG_DFL && p->sa_handler != SIG_IGN) {
        p->sa_handler(sig);
    } else {
        signal(sig, SIG_DFL);
        if (info->si_code <= 0) /* somebody sent it: else it happens again on return */
            raise(sig);
    }
}

/* ---- signals --------------------------------------------------------------------------------------------------------- */
static bool take(struct vcpu *c, int sig, const siginfo_t *info, greg_t *g)
{
    struct replay *r = c->replay;
    bool stub = stub_covers(r, g[REG_RIP]), page = g[REG_TRAPNO] == EXC_PF;
    if (sig == SIGBUS && page && (stub || trans_covers(c, g[REG_RIP]))) {
        uint64_t stack = stub ? r->host_rsp : c->trans_host_sp;
        g[REG_RIP] = (greg_t)end_without_memory;
        g[REG_RDI] = (greg_t)c;
        g[REG_RSP] = (greg_t)((stack & ~15ull) - 8);
        return true;
    }
    if (!stub)
        return trans_net(c, sig, info->si_code, g);
    if (page)
        return false;
    g[REG_RIP] = (greg_t)r->resume;
    g[REG_RSP] = (greg_t)r->host_rsp;
    g[REG_RAX] = g[REG_TRAPNO] + 1;
    g[REG_EFL] &= ~(greg_t)RFLAG_DF;
    return true;
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
    bool raised = info->si_code > 0; /* by the CPU: not sent by somebody */
    if (raised && running && take(running, sig, info, g))
        return;
    if (raised)
        last_words(sig, info, g);
    chain(sig, info, context);
}

static void install_handlers(void)
{
    static const int sigs[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    for (unsigned i = 0; i < G_N_ELEMENTS(sigs); i++)
        sigaction(sigs[i], &sa, &previous[sigs[i]]);
}

void host_fault_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install_handlers);
}

bool host_fault_begin(struct vcpu *c, GError **error)
{
    if (!g_private_get(this_threads_stack()) && !give_signal_stack(error))
        return false;
    running = c;
    return true;
}

void host_fault_end(void)
{
    running = NULL;
}
