// SPDX-License-Identifier: GPL-2.0-or-later
/* host_quirks.c - what this CPU does where makers differ, found by trying.
 *
 * A trial runs a few instructions that may fault.  The signal handler notes what the CPU reported - vector, address,
 * flags, the x87 state of the frame - and goes back to where the trial was started.  Nothing of it depends on the
 * maker's name, so a CPU that follows neither maker is described, too. */
#include "core-vmm/base/host_cpu.h"
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { NONE = -1, SS = 12, PF = 14, AC = 17 };

struct trial {
    sigjmp_buf back;
    int vector; /* of the exception, or NONE */
    uint64_t cr2, rflags;
    uint64_t below; /* what lies right below the interrupted stack pointer */
    unsigned top;   /* of the x87 stack */
    unsigned tags;  /* as FXSAVE has them: a bit per register that is not empty */
    uint32_t mxcsr, xmm0;
    uint8_t *low; /* memory below 4 GiB for the trial's use, or NULL */
};
static _Thread_local struct trial *current;

static void on_signal(int sig, siginfo_t *info, void *context)
{
    __asm__ volatile("pushfq; andl $~0x40000, (%%rsp); popfq" : : : "memory", "cc"); /* AC would stay, here and after */
    const ucontext_t *uc = context;
    const greg_t *g = uc->uc_mcontext.gregs;
    struct trial *t = current;
    if (!t) {
        signal(sig, SIG_DFL); /* not ours: it happens again on return */
        return;
    }
    t->vector = (int)g[REG_TRAPNO];
    t->cr2 = (uint64_t)g[REG_CR2];
    t->rflags = (uint64_t)g[REG_EFL];
    memcpy(&t->below, (const void *)(g[REG_RSP] - 8), 8);
    if (uc->uc_mcontext.fpregs) {
        t->top = uc->uc_mcontext.fpregs->swd >> 11 & 7;
        t->tags = uc->uc_mcontext.fpregs->ftw & 0xff;
        t->mxcsr = uc->uc_mcontext.fpregs->mxcsr;
        t->xmm0 = uc->uc_mcontext.fpregs->_xmm[0].element[0];
    }
    siglongjmp(t->back, 1);
}

/* Runs it and tells how it ended. */
static struct trial try_low(void (*code)(void), uint8_t *low)
{
    struct trial t;
    memset(&t, 0, sizeof t);
    t.vector = NONE;
    t.low = low;
    if (!sigsetjmp(t.back, 1)) {
        current = &t;
        code();
    }
    current = NULL;
    return t;
}

static struct trial try(void (*code)(void))
{
    return try_low(code, NULL);
}

/* ---- the trials; addresses in the first page are never mapped ------------------------------------------------------ */
#define UNMAPPED 0x210 /* aligned by 16 */

static void compare_unmapped(void)
{
    __asm__ volatile("cmpsb" : : "S"(UNMAPPED), "D"(UNMAPPED + 0x20) : "memory", "cc");
}

static void compare_many_unmapped(void)
{
    __asm__ volatile("repe cmpsb" : : "S"(UNMAPPED), "D"(UNMAPPED + 0x20), "c"(8) : "memory", "cc");
}

static void call_beyond(void)
{
    __asm__ volatile("sub $1024, %%rsp; movq $0, -8(%%rsp); call *%0" : : "r"(1ull << 63) : "memory", "cc");
}

static void store_mmx(void)
{
    __asm__ volatile("fninit; fldz; fldz; movq %%mm0, (%0)" : : "r"(UNMAPPED) : "memory");
}

/* Of an empty stack, with that error unmasked. */
static void store_nothing(void)
{
    uint16_t fcw = 0x37e;
    __asm__ volatile("fninit; fldcw %1; fstps (%0)" : : "r"(UNMAPPED), "m"(fcw) : "memory");
}

static void store_inexact_half(void)
{
    uint32_t mxcsr = 0x1f80;
    __asm__ volatile("ldmxcsr %1; movd %2, %%xmm0; vcvtps2ph $0, %%xmm0, (%0)"
                     :
                     : "r"(UNMAPPED), "m"(mxcsr), "r"(0x3f800001)
                     : "xmm0", "memory");
}

/* Its mask is in XMM0, one element. */
static void gather_unmapped(void)
{
    __asm__ volatile("movd %1, %%xmm0; vpxor %%xmm1, %%xmm1, %%xmm1; vpgatherdd %%xmm0, (%0,%%xmm1,4), %%xmm2"
                     :
                     : "r"(UNMAPPED), "r"(0x80000000)
                     : "xmm0", "xmm1", "xmm2", "memory");
}

static void sha_misaligned(void)
{
    char data[48] __attribute__((aligned(16))) = {0};
    __asm__ volatile("sha1msg2 (%0), %%xmm0" : : "r"(data + 1), "m"(data) : "xmm0");
}

/* The first trap comes after an iteration of STOSB. */
static void step_stos(void)
{
    char data[16];
    void *to = data;
    uint64_t n = 8;
    __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; orl $0x100, (%%rsp); popfq; rep stosb; lea 128(%%rsp), %%rsp"
                     : "+D"(to), "+c"(n)
                     : "a"(0)
                     : "memory", "cc");
}

/* With AC set.  The red zone is not ours. */
static void move_misaligned(void)
{
    char data[48] __attribute__((aligned(16))) = {0};
    __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; orl $0x40000, (%%rsp); popfq; movups (%0), %%xmm0; pushfq;"
                     "andl $~0x40000, (%%rsp); popfq; lea 128(%%rsp), %%rsp"
                     :
                     : "r"(data + 1), "m"(data)
                     : "xmm0", "cc", "memory");
}

static void xsave_misaligned(void)
{
    static const char nowhere[64] __attribute__((aligned(64)));
    __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; orl $0x40000, (%%rsp); popfq; xsave (%0)"
                     :
                     : "r"(nowhere + 1), "a"(0), "d"(0)
                     : "memory", "cc");
}

/* VPADDD of registers with EVEX.b, which would be rounding if they were not integers. */
static void add_with_rounding(void)
{
    __asm__ volatile(".byte 0x62, 0xf1, 0x75, 0x58, 0xfe, 0xc2; vzeroupper" : : : "xmm0");
}

static bool pause_with_rex_b(void)
{
    uint64_t a = 1;
    __asm__ volatile("mov $2, %%r8d; .byte 0xf3, 0x41, 0x90" : "+a"(a) : : "r8");
    return a == 1;
}

/* ---- the end of a flat segment --------------------------------------------------------------------------------------- */
enum { LOW_CODE = 4096, LOW_STACK = 65536, LOW_BYTES = LOW_CODE + 2 * LOW_STACK };

/* To 32-bit code, which has its own stack: RSP is 32 bits wide there. */
static void run_low_code(void)
{
    uint8_t *low = current->low;
    __asm__ volatile("mov %0, %%rsp; pushq $0x23; pushq %1; lretq" /* 23h: Linux's 32-bit code segment */
                     :
                     : "r"(low + LOW_CODE + LOW_STACK), "r"(low)
                     : "memory");
}

/* Does an access over the end of a flat segment wrap, so that it faults by its pages, or does it exceed the limit?  The
 * same as otherwise if there is no trying it.  SS is used because Linux gives a 64-bit program no other data segment. */
static bool segment_end_pages(bool otherwise)
{
    static const uint8_t load[] = {0x36, 0xa1, 0xfd, 0xff, 0xff, 0xff /* MOV EAX, SS:[FFFFFFFDh] */, 0x0f, 0x0b};
    uint8_t *low =
        mmap(NULL, LOW_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT | MAP_NORESERVE, -1, 0);
    stack_t old, stack = {.ss_sp = low + LOW_CODE + LOW_STACK, .ss_size = LOW_STACK};
    int vector = NONE;
    if (low == MAP_FAILED)
        return otherwise;
    memcpy(low, load, sizeof load);
    if (!mprotect(low, LOW_CODE, PROT_READ | PROT_EXEC) && !sigaltstack(&stack, &old)) {
        vector = try_low(run_low_code, low).vector;
        sigaltstack(&old, NULL);
    }
    munmap(low, LOW_BYTES);
    return vector == PF || (vector != SS && otherwise);
}

/* ---- flags that shifts leave undefined ------------------------------------------------------------------------------- */
/* Whether the two forms leave different flags (LAHF and SETO) behind for a value and the flags before. */
#define DEFINE_FORMS(name, type)                                                                                       \
    static bool name##_##type##_differs(type v, uint32_t before)                                                       \
    {                                                                                                                  \
        uint32_t a = before, b = before;                                                                               \
        type x = v, y = v;                                                                                             \
        __asm__("addb $0x7f, %%al; sahf; " #name " $5, %1; lahf; seto %%al" : "+&a"(a), "+r"(x) : : "cc");             \
        __asm__("addb $0x7f, %%al; sahf; " #name " %%cl, %1; lahf; seto %%al" : "+&a"(b), "+r"(y) : "c"(5) : "cc");    \
        return a != b;                                                                                                 \
    }
DEFINE_FORMS(rol, uint8_t)
DEFINE_FORMS(ror, uint8_t)
DEFINE_FORMS(rcl, uint8_t)
DEFINE_FORMS(rcr, uint8_t)
DEFINE_FORMS(shl, uint8_t)
DEFINE_FORMS(shr, uint8_t)
DEFINE_FORMS(sar, uint8_t)
DEFINE_FORMS(rol, uint32_t)
DEFINE_FORMS(shl, uint32_t)
DEFINE_FORMS(shr, uint32_t)

static bool flags_by_form(void)
{
    bool differ = false;
    for (unsigned v = 0; v < 256; v++)
        for (uint32_t before = 0; before < 0x200; before += before & 1 ? 0xff : 1) { /* OF, CF */
            uint8_t n = (uint8_t)v;
            uint32_t wide = v * 0x01010101u;
            differ |= rol_uint8_t_differs(n, before) || ror_uint8_t_differs(n, before) ||
                      rcl_uint8_t_differs(n, before) || rcr_uint8_t_differs(n, before) ||
                      shl_uint8_t_differs(n, before) || shr_uint8_t_differs(n, before) ||
                      sar_uint8_t_differs(n, before) || rol_uint32_t_differs(wide, before) ||
                      shl_uint32_t_differs(wide, before) || shr_uint32_t_differs(wide, before);
        }
    return differ;
}

/* ---- x87 pointers ------------------------------------------------------------------------------------------------------ */
static void learn_x87_loads(struct host_quirks *q)
{
    uint8_t area[512] __attribute__((aligned(16)));
    uint32_t env[7] = {0x37f, 0, 0xffff, 0, 0x33, 0, 0x2b}, stored[7];
    const uint64_t odd[2] = {1ull << 62, 1ull << 62};
    uint64_t back[2];
    __asm__ volatile("fldenv (%0); fnstenv (%1); fninit" : : "r"(env), "r"(stored) : "memory");
    q->x87_selectors_unloaded = !(uint16_t)stored[4] && !(uint16_t)stored[6];
    __asm__ volatile("fninit; fxsave64 (%0)" : : "r"(area) : "memory");
    memcpy(area + 8, odd, sizeof odd);
    __asm__ volatile("fxrstor64 (%0); fxsave64 (%0); fninit" : : "r"(area) : "memory");
    memcpy(back, area + 8, sizeof back);
    q->fip_bits = back[0] == odd[0] ? 64 : 57;
    q->fdp_bits = back[1] == odd[1] ? 64 : 57;
}

/* A CPU may forget them when the kernel happens to switch tasks: what was stored once is stored. */
static void learn_x87(struct host_cpu *h)
{
    struct host_quirks *q = &h->quirks;
    q->x87_pointers_on_error = q->x87_no_selectors = q->x87_fop_on_error = true;
    q->x87_data_on_error = q->x87_no_data_selector = true;
    for (unsigned i = 0; i < 3; i++) {
        uint8_t area[512] __attribute__((aligned(16)));
        uint32_t env[7];
        uint64_t fip;
        __asm__ volatile("sub $256, %%rsp; movl $0x3f800000, (%%rsp); fninit; fld1; fadds (%%rsp); fxsave64 (%0);"
                         "fnstenv (%1); fninit; add $256, %%rsp"
                         :
                         : "r"(area), "r"(env)
                         : "memory", "cc");
        memcpy(&fip, area + 8, 8);
        memcpy(&h->mxcsr_mask, area + 28, 4);
        q->x87_pointers_on_error &= !fip;
        q->x87_no_selectors &= !(uint16_t)env[4];
        q->x87_fop_on_error &= !(env[4] >> 16);
        q->x87_data_on_error &= !env[5];
        q->x87_no_data_selector &= !(uint16_t)env[6];
    }
    learn_x87_loads(q);
    if (!h->mxcsr_mask)
        h->mxcsr_mask = 0xffbf; /* SDM Vol. 1, 11.6.6 */
}

/* ---- all of it --------------------------------------------------------------------------------------------------------- */
static void try_all(const struct host_cpu *h, struct host_quirks *q)
{
    uint32_t one[4], seven[4];
    host_cpuid(1, 0, one);
    host_cpuid(7, 0, seven);
    q->cmps_destination_first = try(compare_unmapped).cr2 == UNMAPPED + 0x20;
    q->repe_cmpsb_destination_first = try(compare_many_unmapped).cr2 == UNMAPPED + 0x20;
    q->call_pushes_first = try(call_beyond).below != 0;
    struct trial store = try(store_mmx);
    q->mmx_before_store = store.top == 0;
    q->mmx_tags_after_store = store.tags != 0xff;
    q->x87_error_before_store = try(store_nothing).vector == NONE;
    __asm__ volatile("fninit");
    q->rep_sets_rf = try(step_stos).rflags >> 16 & 1;
    q->vectors_unaligned = try(move_misaligned).vector == NONE;
    q->pause_ignores_rex = pause_with_rex_b();
    q->flags_by_form = flags_by_form();
    if (seven[1] >> 29 & 1)
        q->sha_unaligned = try(sha_misaligned).vector == NONE;
    if (h->xcr0)
        q->xsave_checks_ac = try(xsave_misaligned).vector == AC;
    if (h->xcr0 & 4 && one[2] >> 29 & 1)
        q->ps2ph_flags_before_store = try(store_inexact_half).mxcsr & 0x20;
    if (h->xcr0 & 4 && seven[1] >> 5 & 1)
        q->gather_spreads_mask = try(gather_unmapped).xmm0 == UINT32_MAX;
    if ((h->xcr0 & 0xe6) == 0xe6)
        q->vex_bits_ignored = try(add_with_rounding).vector == NONE;
    q->segment_end_pages = segment_end_pages(!h->amd);
}

void host_quirks_learn(struct host_cpu *h)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP};
    struct sigaction old[G_N_ELEMENTS(signals)];
    struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++)
        sigaction(signals[i], &sa, &old[i]);
    learn_x87(h);
    try_all(h, &h->quirks);
    __asm__ volatile("fninit");
    for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++)
        sigaction(signals[i], &old[i], NULL);
}
