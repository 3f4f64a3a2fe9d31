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

enum { NOT_TRIED = -2, NONE = -1, BR = 5, UD = 6, SS = 12, PF = 14, AC = 17, PAGE = 4096 };
enum { ZF = 0x40, RFLAGS_AC = 0x40000, XFEATURE_AVX = 4 };

struct trial {
    sigjmp_buf back;
    int vector; /* of the exception, or NONE */
    uint64_t cr2, rflags, rcx, rdi;
    uint64_t below; /* what lies right below the interrupted stack pointer */
    unsigned top;   /* of the x87 stack */
    unsigned tags;  /* as FXSAVE has them: a bit per register that is not empty */
    uint32_t mxcsr, xmm0;
    uint8_t *data; /* memory for the trial's use, or NULL */
};
static _Thread_local struct trial *current;

static void on_signal(int sig, siginfo_t *info, void *context)
{
    __asm__ volatile("pushfq; andl $~0x40000, (%%rsp); popfq" : : : "memory", "cc"); /* AC would stay, here and after */
    const ucontext_t *uc = context;
    const greg_t *g = uc->uc_mcontext.gregs;
    struct trial *t = current;
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~(uint64_t)RFLAGS_AC); /* the kernel leaves it */
    if (!t) {
        signal(sig, SIG_DFL); /* not ours: it happens again on return */
        return;
    }
    t->vector = (int)g[REG_TRAPNO];
    t->cr2 = (uint64_t)g[REG_CR2];
    t->rflags = (uint64_t)g[REG_EFL];
    t->rcx = (uint64_t)g[REG_RCX];
    t->rdi = (uint64_t)g[REG_RDI];
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
static struct trial try_with(void (*code)(void), uint8_t *data)
{
    struct trial t;
    memset(&t, 0, sizeof t);
    t.vector = NONE;
    t.data = data;
    if (!sigsetjmp(t.back, 1)) {
        current = &t;
        code();
    }
    current = NULL;
    return t;
}

static struct trial try(void (*code)(void))
{
    return try_with(code, NULL);
}

/* ---- the trials; addresses in the first page are never mapped ------------------------------------------------------ */
#define UPPER    (1ull << 32)
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

/* With 32-bit addresses: it ends with the upper halves of RCX and RDI gone, or not... */
static void fill_unmapped(void)
{
    __asm__ volatile("addr32 rep stosb" : : "D"(UPPER | UNMAPPED), "c"(UPPER | 8), "a"(0) : "memory", "cc");
}

/* ...also if there is nothing to store. */
static void fill_nothing(void)
{
    __asm__ volatile("addr32 rep stosb; ud2" : : "D"(UPPER), "c"(UPPER), "a"(0) : "memory", "cc");
}

/* The halves are at different ends of the address space, where no program has anything mapped; nothing is stored. */
static void store_masked(void)
{
    __asm__ volatile("pxor %%xmm0, %%xmm0; addr32 maskmovdqu %%xmm0, %%xmm0" : : "D"(0xfffffff8) : "xmm0", "memory");
}

/* Compares equal bytes up to the end of what is mapped, with flags that equality does not leave: ZF is clear. */
static void scan_to_end(void)
{
    __asm__ volatile("test %%rsp, %%rsp; repe scasb"
                     :
                     : "D"(current->data + PAGE - 4), "c"(8), "a"(0)
                     : "memory", "cc");
}

/* XRSTOR of AVX's state from an image of which only the header is mapped: it says that this state is initial. */
static void restore_initial(void)
{
    __asm__ volatile("movl $0x1f80, 24(%0); xrstor (%0)"
                     :
                     : "r"(current->data + PAGE - 576), "a"(4), "d"(0)
                     : "memory");
}

static void save_misaligned(void)
{
    __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; orl $0x40000, (%%rsp); popfq; xsave (%0)" /* RFLAGS.AC */
                     :
                     : "r"(UNMAPPED + 1), "a"(1), "d"(0)
                     : "memory", "cc");
}

/* An address of the stack segment that is neither canonical nor aligned: #SS or #GP. */
static void save_beyond(void)
{
    __asm__ volatile("xchg %0, %%rbp; xsave 1(%%rbp); xchg %0, %%rbp" : : "r"(1ull << 63), "a"(1), "d"(0) : "memory");
}

/* With a page of zeros as data, and nothing mapped behind it. */
static struct trial try_with_page(void (*code)(void))
{
    struct trial t = {.vector = NOT_TRIED};
    uint8_t *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return t;
    if (!mprotect(pages + PAGE, PAGE, PROT_NONE))
        t = try_with(code, pages);
    munmap(pages, 2 * PAGE);
    return t;
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

/* ---- 32-bit code ------------------------------------------------------------------------------------------------------- */
enum { LOW_CODE = PAGE, LOW_STACK = 65536, LOW_BYTES = LOW_CODE + 2 * LOW_STACK };

/* To 32-bit code, which has its own stack: RSP is 32 bits wide there.  XMM8, which that code has not, is not zero. */
static void run_low_code(void)
{
    uint8_t *low = current->data;
    __asm__ volatile("pxor %%xmm0, %%xmm0; pxor %%xmm1, %%xmm1; pxor %%xmm2, %%xmm2; pxor %%xmm3, %%xmm3;"
                     "pxor %%xmm4, %%xmm4; pxor %%xmm5, %%xmm5; pxor %%xmm6, %%xmm6; pxor %%xmm7, %%xmm7;"
                     "pcmpeqd %%xmm8, %%xmm8;"
                     "mov %0, %%rsp; pushq $0x23; pushq %1; lretq" /* 23h: Linux's 32-bit code segment */
                     :
                     : "r"(low + LOW_CODE + LOW_STACK), "r"(low)
                     : "memory");
}

/* How the code ended, with its stack in the middle of LOW_STACK zeros on either side and nothing mapped behind; it uses
 * SS because Linux gives a 64-bit program no other data segment. */
static struct trial try_32(const uint8_t *code, size_t bytes)
{
    struct trial t = {.vector = NOT_TRIED};
    stack_t old, stack = {.ss_size = LOW_STACK};
    uint8_t *low = mmap(NULL, LOW_BYTES + PAGE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT | MAP_NORESERVE, -1, 0);
    if (low == MAP_FAILED)
        return t;
    stack.ss_sp = low + LOW_CODE + LOW_STACK;
    memcpy(low, code, bytes);
    if (!mprotect(low, LOW_CODE, PROT_READ | PROT_EXEC) && !mprotect(low + LOW_BYTES, PAGE, PROT_NONE) &&
        !sigaltstack(&stack, &old)) {
        t = try_with(run_low_code, low);
        sigaltstack(&old, NULL);
    }
    munmap(low, LOW_BYTES + PAGE);
    return t;
}

/* Does an access over the end of a flat segment wrap, so that it faults by its pages, or does it exceed the limit?  The
 * same as otherwise if there is no trying it. */
static bool segment_end_pages(bool otherwise)
{
    static const uint8_t load[] = {0x36, 0xa1, 0xfd, 0xff, 0xff, 0xff /* MOV EAX, SS:[FFFFFFFDh] */, 0x0f, 0x0b};
    int vector = try_32(load, sizeof load).vector;
    return vector == PF || (vector != SS && otherwise);
}

/* The upper bound is not mapped. */
static bool bound_stops_early(bool otherwise)
{
    static const uint8_t code[] = {0x83, 0xc8, 0xff /* OR EAX, -1 */, 0x62, 0x84, 0x24, 0xfc, 0xff, 0x00, 0x00};
    int vector = try_32(code, sizeof code).vector;
    return vector == BR || (vector != PF && otherwise);
}

/* XSAVE of SSE's state, of which 32-bit code has zeros only; XSTATE_BV then comes to ECX. */
static bool xinuse_of_all(bool otherwise)
{
    static const uint8_t code[] = "\x6a\x02\x58\x31\xd2"             /* PUSH 2; POP EAX; XOR EDX, EDX */
                                  "\x0f\xae\xa4\x24\x00\xf0\xff\xff" /* XSAVE [ESP - 4096] */
                                  "\x8b\x8c\x24\x00\xf2\xff\xff"     /* MOV ECX, [ESP - 3584] */
                                  "\x0f\x0b";                        /* UD2 */
    struct trial t = try_32(code, sizeof code);
    return t.vector == UD ? t.rcx & 2 : otherwise;
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
    struct trial fill = try(fill_unmapped), nothing = try(fill_nothing);
    q->rep_extends_count = !((fill.rcx | nothing.rcx) & UPPER);
    q->rep_extends_pointers = !((fill.rdi | nothing.rdi) & UPPER);
    struct trial scan = try_with_page(scan_to_end);
    q->rep_keeps_flags = scan.vector == PF ? !(scan.rflags & ZF) : !h->amd;
    struct trial masked = try(store_masked);
    q->maskmov_halves = masked.vector == PF && !masked.cr2;
    q->rep_sets_rf = try(step_stos).rflags >> 16 & 1;
    q->vectors_unaligned = try(move_misaligned).vector == NONE;
    q->pause_ignores_rex = pause_with_rex_b();
    q->flags_by_form = flags_by_form();
    if (seven[1] >> 29 & 1)
        q->sha_unaligned = try(sha_misaligned).vector == NONE;
    if (h->xcr0 & 4 && one[2] >> 29 & 1)
        q->ps2ph_flags_before_store = try(store_inexact_half).mxcsr & 0x20;
    if (h->xcr0 & 4 && seven[1] >> 5 & 1)
        q->gather_spreads_mask = try(gather_unmapped).xmm0 == UINT32_MAX;
    if ((h->xcr0 & 0xe6) == 0xe6)
        q->vex_bits_ignored = try(add_with_rounding).vector == NONE;
    q->segment_end_pages = segment_end_pages(!h->amd);
    q->bound_stops_early = bound_stops_early(!h->amd);
    if (h->xcr0 & XFEATURE_AVX)
        q->xrstor_reaches_all = try_with_page(restore_initial).vector == PF;
    if (h->xcr0) {
        q->xsave_address_first = try(save_beyond).vector == SS;
        q->xsave_has_ac = try(save_misaligned).vector == AC;
        q->xinuse_of_all = xinuse_of_all(!h->amd);
    }
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
