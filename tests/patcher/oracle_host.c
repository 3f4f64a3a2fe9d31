// SPDX-License-Identifier: GPL-2.0-or-later
/* oracle_host.c - run one instruction on the host CPU from an arbitrary user-level state.
 *
 * All registers, segment registers and vector state are loaded by a stub that ends in IRETQ, so that it reaches 64-bit,
 * compatibility and 16-bit (LDT) code alike.  The way back is always a signal: the single-step trap after the
 * instruction, or its fault.  The handler takes the registers from the signal frame and abandons it: it switches
 * straight back to the caller's stack, which saves the sigreturn.  It can rely on nothing: FS and GS, the stack and
 * RFLAGS.AC belong to the tested code, so the control block is found at a fixed address.
 *
 * A host without XSAVE has FXSAVE's state only.  Where user code may not set the bases of FS and GS, they are 0 in 64-bit
 * code, as the selectors have it, and the C library's comes back by a system call. */
#include "tests/patcher/oracle.h"
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <immintrin.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define CONTROL       0x7a5500000000 /* the control block... */
#define CONTROL_LOW   0x00530000     /* ...and again below 4 GiB: IRETQ to a 16-bit stack keeps ESP[31:16] */
#define CONTROL_BYTES 0x3000
#define SEG(base_, limit_, sel, attr_)                                                                                 \
    {                                                                                                                  \
        .base = (base_), .limit = (limit_), .selector = (sel), .attr = (attr_)                                         \
    }
#define LDT(i)  ((i) << 3 | 7)
#define DATA32  0xc0f3
#define FLAT    SEG(0, ~0u, 0x2b, DATA32)
#define BASE16C 0x10000
#define BASE16D 0x20000

const struct oracle_layout oracle_layouts[3] = {
    [ORACLE_64] = {.code = 0x123420000000,
                   .win = 0x123450000000,
                   .win_alias = 0x50000000,
                   .seg = {[X86_CS] = SEG(0, ~0u, 0x33, 0xa0fb),
                           [X86_SS] = FLAT,
                           [X86_DS] = FLAT,
                           [X86_ES] = FLAT,
                           [X86_FS] = FLAT,
                           [X86_GS] = FLAT}},
    [ORACLE_32] = {.code = 0x10000000,
                   .win = 0xa0000000,
                   .seg = {[X86_CS] = SEG(0, ~0u, 0x23, 0xc0fb),
                           [X86_SS] = FLAT,
                           [X86_DS] = FLAT,
                           [X86_ES] = FLAT,
                           [X86_FS] = SEG(0x9ffff000, ~0u, LDT(0), DATA32),
                           [X86_GS] = SEG(0xa0000800, 0x17ff, LDT(1), 0x40f3)}},
    [ORACLE_16] = {.code = BASE16C + 0x1000,
                   .win = BASE16D + 0x3000,
                   .seg = {[X86_CS] = SEG(BASE16C, 0xffff, LDT(2), 0xfb),
                           [X86_SS] = SEG(BASE16D, 0xffff, LDT(3), 0xf3),
                           [X86_DS] = SEG(BASE16D, 0xffff, LDT(3), 0xf3),
                           [X86_ES] = SEG(BASE16D, 0xffff, LDT(3), 0xf3),
                           [X86_FS] = SEG(BASE16D + 0x10, 0xffff, LDT(4), 0xf1) /* read-only */,
                           [X86_GS] = SEG(BASE16D, 0x3fff, LDT(5), 0xf7) /* expand-down */}},
};

/* What the assembly below uses lies first; it knows these offsets. */
struct control {
    uint64_t pop[15];                                            /* 0: RAX RCX RDX RBX RBP RSI RDI R8-R15 */
    uint64_t iret[5];                                            /* 120: RIP CS RFLAGS RSP SS */
    uint64_t host_fs, host_rsp;                                  /* 160, 168 */
    uint64_t fs_base, gs_base;                                   /* 176, 184 */
    uint16_t ds, es, fs, gs;                                     /* 192, 194, 196, 198 */
    uint64_t active;                                             /* 200 */
    void (*previous[32])(int, siginfo_t *, void *);              /* 208: handlers of signals that are not for us */
    uint64_t has_xsave, has_fsgsbase;                            /* 464, 472 */
    uint8_t xsave[X86_XSAVE_BYTES] __attribute__((aligned(64))); /* 512 */
    struct oracle_cpu *cpu;
    enum oracle_mode mode;
};
_Static_assert(offsetof(struct control, host_fs) == 160 && offsetof(struct control, fs_base) == 176 &&
                   offsetof(struct control, ds) == 192 && offsetof(struct control, active) == 200 &&
                   offsetof(struct control, previous) == 208 && offsetof(struct control, has_xsave) == 464 &&
                   offsetof(struct control, has_fsgsbase) == 472 && offsetof(struct control, xsave) == 512,
               "the assembly knows these");
_Static_assert(sizeof(struct control) <= CONTROL_BYTES, "pages mapped");

struct oracle_host {
    struct control *control;
    uint8_t *code, *win;
    int fd;
};

void oracle_enter(struct control *block);
void oracle_trap(int sig, siginfo_t *info, void *context);
void oracle_collect(ucontext_t *uc, struct control *c);
__asm__(".text\n"
        "oracle_enter:\n" /* rdi: the block, at the address to leave from */
        " push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        " mov %fs:0, %rax; mov %rax, 160(%rdi)\n" /* the thread's control block begins with its own address */
        " mov %rsp, 168(%rdi)\n"
        " cmpq $0, 464(%rdi)\n"
        " je 1f\n"
        " mov $-1, %eax; mov %eax, %edx\n"
        " xrstor64 512(%rdi)\n"
        " jmp 2f\n"
        "1: fxrstor64 512(%rdi)\n"
        "2: mov 192(%rdi), %ds; mov 194(%rdi), %es; mov 196(%rdi), %fs; mov 198(%rdi), %gs\n"
        " cmpq $0, 472(%rdi)\n"
        " je 3f\n"
        " mov 176(%rdi), %rax; wrfsbase %rax\n"
        " mov 184(%rdi), %rax; wrgsbase %rax\n"
        "3: mov %rdi, %rsp\n"
        " pop %rax; pop %rcx; pop %rdx; pop %rbx; pop %rbp; pop %rsi; pop %rdi; pop %r8; pop %r9; pop %r10\n"
        " pop %r11; pop %r12; pop %r13; pop %r14; pop %r15\n"
        " iretq\n"
        "oracle_trap:\n" /* rdi signal, rsi info, rdx context */
        " pushq $2; popfq\n"
        " movabs $0x7a5500000000, %rax\n"
        " cmpq $0, 200(%rax)\n"
        " jne 1f\n"
        " jmp *208(%rax,%rdi,8)\n"
        "1: sub $8, %rsp\n" /* aligned for a call */
        " mov %rax, %rbx\n"
        " mov 160(%rbx), %rsi\n"
        " cmpq $0, 472(%rbx)\n"
        " je 2f\n"
        " wrfsbase %rsi\n"
        " jmp 3f\n"
        "2: mov $158, %eax; mov $0x1002, %edi\n" /* arch_prctl(ARCH_SET_FS) */
        " syscall\n"
        "3: mov %rbx, %rsi\n"
        " mov %rdx, %rdi\n"
        " call oracle_collect\n"
        " mov 168(%rbx), %rsp\n"
        " pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        " ret\n");

/* The signal frame's registers and XSAVE area become *c->cpu. */
void oracle_collect(ucontext_t *uc, struct control *c)
{
    static const uint8_t order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                      REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    const greg_t *g = uc->uc_mcontext.gregs;
    c->active = 0;
    for (int i = 0; i < 16; i++)
        c->cpu->gpr[i] = (uint64_t)g[order[i]];
    c->cpu->rip = (uint64_t)g[REG_RIP];
    c->cpu->rflags = (uint64_t)g[REG_EFL];
    c->cpu->vector = g[REG_TRAPNO] == 1 ? ORACLE_STEPPED : (int)g[REG_TRAPNO];
    c->cpu->error = (uint32_t)g[REG_ERR];
    c->cpu->cr2 = (uint64_t)g[REG_CR2];
    const uint8_t *fp = (const uint8_t *)uc->uc_mcontext.fpregs;
    uint32_t bytes = 464;
    if (c->has_xsave)
        memcpy(&bytes, fp + 464 + 16, 4); /* struct _fpx_sw_bytes.xstate_size */
    memcpy(c->cpu->xsave, fp, MIN(bytes, X86_XSAVE_BYTES));
    memset(c->cpu->xsave + 464, 0, 48);
    if (!c->has_xsave)
        memcpy(c->cpu->xsave + 512, (uint64_t[8]){3}, 64); /* XSTATE_BV: all that there is */
}

bool oracle_host_has_fsgsbase(void)
{
    return getauxval(AT_HWCAP2) & 2;
}

const struct host_cpu *oracle_host_cpu(void)
{
    static struct host_cpu host;
    static gsize learned;
    if (g_once_init_enter(&learned)) {
        host_cpu_learn(&host);
        g_once_init_leave(&learned, 1);
    }
    return &host;
}

uint64_t oracle_host_states(void)
{
    uint64_t xcr0 = oracle_host_cpu()->xcr0;
    return xcr0 ? xcr0 : 3;
}

static bool install_ldt(void)
{
    const struct oracle_layout *l32 = &oracle_layouts[ORACLE_32], *l16 = &oracle_layouts[ORACLE_16];
    const struct x86_seg *seg[6] = {&l32->seg[X86_FS], &l32->seg[X86_GS], &l16->seg[X86_CS],
                                    &l16->seg[X86_DS], &l16->seg[X86_FS], &l16->seg[X86_GS]};
    for (unsigned i = 0; i < 6; i++) {
        bool pages = seg[i]->attr & X86_ATTR_G;
        struct user_desc d = {.entry_number = i,
                              .base_addr = (unsigned)seg[i]->base,
                              .limit = pages ? seg[i]->limit >> 12 : seg[i]->limit,
                              .seg_32bit = !!(seg[i]->attr & X86_ATTR_DB),
                              .contents = seg[i]->attr >> 2 & 3,
                              .read_exec_only = !(seg[i]->attr & 2),
                              .limit_in_pages = pages};
        if (syscall(SYS_modify_ldt, 0x11, &d, sizeof d))
            return false;
    }
    return true;
}

static void *map(int fd, uint64_t at, size_t bytes, int prot, off_t offset)
{
    int flags = MAP_SHARED | MAP_POPULATE | (at ? MAP_FIXED_NOREPLACE : 0);
    void *p = mmap((void *)at, bytes, prot, flags, fd, offset);
    return p == MAP_FAILED ? NULL : p;
}

static void unexpected(int sig, siginfo_t *info, void *context)
{
    signal(sig, SIG_DFL); /* a fault of the test itself: happens again on return */
}

static void install_handlers(struct control *c)
{
    static const int sigs[] = {SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGBUS};
    stack_t stack = {.ss_size = 1 << 16};
    stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigaltstack(&stack, NULL);
    struct sigaction sa = {.sa_sigaction = oracle_trap, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    for (unsigned i = 0; i < G_N_ELEMENTS(sigs); i++) {
        struct sigaction old;
        sigaction(sigs[i], &sa, &old);
        c->previous[sigs[i]] = old.sa_flags & SA_SIGINFO ? old.sa_sigaction : unexpected;
    }
}

/* File: control block, code, window. */
static bool map_all(struct oracle_host *h, const struct oracle_layout *l, enum oracle_mode mode)
{
    const off_t code_at = CONTROL_BYTES, win_at = code_at + ORACLE_CODE_BYTES;
    const int rw = PROT_READ | PROT_WRITE;
    h->fd = memfd_create("oracle", MFD_CLOEXEC);
    if (h->fd < 0 || ftruncate(h->fd, win_at + ORACLE_WIN_BYTES))
        return false;
    h->control = map(h->fd, CONTROL, CONTROL_BYTES, rw, 0);
    h->code = map(h->fd, 0, ORACLE_CODE_BYTES, rw, code_at);
    h->win = map(h->fd, 0, ORACLE_WIN_BYTES, rw, win_at);
    bool ok =
        h->control && h->code && h->win && map(h->fd, l->code, ORACLE_CODE_BYTES, PROT_READ | PROT_EXEC, code_at) &&
        map(h->fd, l->win, ORACLE_RW_BYTES, rw, win_at) &&
        map(h->fd, l->win + ORACLE_RW_BYTES, ORACLE_WIN_BYTES - ORACLE_RW_BYTES, PROT_READ, win_at + ORACLE_RW_BYTES);
    if (ok && l->win_alias)
        ok = map(h->fd, l->win_alias, ORACLE_RW_BYTES, rw, win_at) &&
             map(h->fd, l->win_alias + ORACLE_RW_BYTES, ORACLE_WIN_BYTES - ORACLE_RW_BYTES, PROT_READ,
                 win_at + ORACLE_RW_BYTES);
    if (ok && mode == ORACLE_16)
        ok = map(h->fd, CONTROL_LOW, CONTROL_BYTES, rw, 0);
    return ok;
}

struct oracle_host *oracle_host_new(enum oracle_mode mode, const char **why)
{
    if (mode != ORACLE_64 && !install_ldt()) {
        *why = "the host's kernel has no modify_ldt() with 16-bit segments";
        return NULL;
    }
    struct oracle_host *h = g_new0(struct oracle_host, 1);
    if (!map_all(h, &oracle_layouts[mode], mode)) {
        *why = "cannot map the fixed addresses of the test";
        oracle_host_free(h);
        return NULL;
    }
    h->control->mode = mode;
    h->control->has_xsave = oracle_host_cpu()->xcr0;
    h->control->has_fsgsbase = oracle_host_has_fsgsbase();
    install_handlers(h->control);
    return h;
}

/* The fixed mappings stay until the process ends. */
void oracle_host_free(struct oracle_host *h)
{
    if (h->fd >= 0)
        close(h->fd);
    g_free(h);
}

uint8_t *oracle_host_code(struct oracle_host *h)
{
    return h->code;
}

uint8_t *oracle_host_window(struct oracle_host *h)
{
    return h->win;
}

void oracle_host_run(struct oracle_host *h, struct oracle_cpu *cpu)
{
    struct control *c = h->control;
    const struct oracle_layout *l = &oracle_layouts[c->mode];
    for (int i = 0, n = 0; i < 16; i++)
        if (i != X86_RSP)
            c->pop[n++] = cpu->gpr[i];
    uint64_t block = c->mode == ORACLE_16 ? CONTROL_LOW : CONTROL;
    uint64_t rsp = c->mode == ORACLE_16 ? (CONTROL_LOW & ~0xffffu) | (cpu->gpr[X86_RSP] & 0xffff) : cpu->gpr[X86_RSP];
    memcpy(c->iret, (uint64_t[5]){cpu->rip, l->seg[X86_CS].selector, cpu->rflags, rsp, l->seg[X86_SS].selector}, 40);
    c->ds = l->seg[X86_DS].selector;
    c->es = l->seg[X86_ES].selector;
    c->fs = l->seg[X86_FS].selector;
    c->gs = l->seg[X86_GS].selector;
    c->fs_base = c->mode == ORACLE_64 ? cpu->fs_base : l->seg[X86_FS].base;
    c->gs_base = c->mode == ORACLE_64 ? cpu->gs_base : l->seg[X86_GS].base;
    memcpy(c->xsave, cpu->xsave, sizeof c->xsave);
    c->cpu = cpu;
    c->active = 1;
    oracle_enter((struct control *)block);
}
