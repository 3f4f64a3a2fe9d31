// SPDX-License-Identifier: GPL-2.0-or-later
/* test_host_faults.c - exceptions of the host's CPU in translated code.
 *
 * Every guest here runs with tier 1 and with everything translated, in 64- and 32-bit mode; registers, flags and memory
 * (with it the exception's frame) must be the same.  First as it is: then the translator's checks see what would fault,
 * and the net under translated code (translate/net.c) catches nothing.  Then with its code broken, from the machine's side of
 * an OUT that each guest has in its loop: without those checks, or with UD2 and INT3 written over single instructions,
 * at their beginning and where they access memory.  Then the net must catch something, and nobody may see it. */
#include "tests/patcher/guest.h"
#include "patcher/patcher.h"
#include "patcher/translate/translate.h"
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { VALUES = 0x20000, DATA = 0x21000, PORT = 0xf0, AS_TIER_1 = -2, FINISHED = -1 };

/* Three times: the body with the next of three values in RSI, then the OUT. */
#define LOOP(p, body)                                                                                                  \
    "fninit; xor %ebx, %ebx; 1: mov 0x20000(,%" p "bx,8), %" p "si\n" body                                             \
    "\nout %al, $0xf0; inc %ebx; cmp $3, %ebx; jb 1b; "                                                                \
    "fnsave 0x22000; movups %xmm1, 0x22100; hlt\n"
#define BOTH(name, body)                                                                                               \
    GUEST_CODE(name##64, 64, LOOP("r", body("r")));                                                                    \
    GUEST_CODE(name##32, 32, LOOP("e", body("e")))
#define THIRD_TIME(insn) "cmp $2, %ebx; jne 2f; stc; " insn "; 2:"

/* clang-format off */
#define MISALIGNED_LOAD(p)  "addps (%" p "si), %xmm1"
#define MISALIGNED_STORE(p) "movaps %xmm1, (%" p "si)"
#define MISALIGNED_GROUP(p) "mov 16(%" p "si), %eax; stc; paddd (%" p "si), %xmm1; cmovc 4(%" p "si), %eax"
#define AES(p)              "aesenc (%" p "si), %xmm1"
#define SHA(p)              "sha1msg2 (%" p "si), %xmm7; sha256msg1 (%" p "si), %xmm1"
#define DIVIDE(p)           "xor %edx, %edx; mov $100, %eax; stc; div %" p "si"
#define DIVIDE_MEMORY(p)    "mov $0x80000000, %eax; cltd; stc; idivl (%" p "si)"
#define DIVIDE_SIGNED(p)    "mov $0x80000000, %eax; cltd; stc; idiv %esi"
#define SIMD(p)             "ldmxcsr (%" p "si); movups 0x21100, %xmm1; xorps %xmm2, %xmm2; stc; divps %xmm2, %xmm1"
#define X87(p)              "fninit; fldcw (%" p "si); fld1; fldz; fdivrp; fxch; fstps 0x21200"
#define INT3(p)             THIRD_TIME("int3")
#define INT1(p)             THIRD_TIME(".byte 0xf1")
#define UD2(p)              THIRD_TIME("ud2")
#define AC(p)               "mov (%" p "si), %eax"
#define STEP(p)             THIRD_TIME("push" "f; orb $1, 1(%" p "sp); popf; add %esi, %eax")
BOTH(load, MISALIGNED_LOAD);
BOTH(store, MISALIGNED_STORE);
BOTH(group, MISALIGNED_GROUP);
BOTH(aes, AES);
BOTH(sha, SHA);
BOTH(divide, DIVIDE);
BOTH(divide_memory, DIVIDE_MEMORY);
BOTH(divide_signed, DIVIDE_SIGNED);
BOTH(simd, SIMD);
BOTH(x87, X87);
BOTH(int3, INT3);
BOTH(int1, INT1);
BOTH(ud2, UD2);
BOTH(ac, AC);
BOTH(step, STEP);
GUEST_CODE(into32, 32, LOOP("e", THIRD_TIME("mov $0x7fffffff, %eax; inc %eax; into")));
GUEST_CODE(bound32, 32, LOOP("e", THIRD_TIME("mov $5, %eax; bound %eax, 0x21000")));

/* Some of everything that has a translation, 0x1000 times; no memory but at RDI and on the stack, whose top holds the
 * port. */
#define SWEEP(p, w, wide)                                                                                              \
    "fninit; 1: mov 8(%" p "di), %eax; add %ecx, %eax; adcl $0, 12(%" p "di); mov %ah, 1(%" p "di); add %ch, 3(%" p "di)\n"   \
    "mov 2(%" p "di), %dh; sbb 16(%" p "di), %edx; push %" p "ax; push $123; " wide "; pop 24(%" p "di); pop %" p "ax\n"         \
    "push %" p "bp; mov %" p "sp, %" p "bp; cmp %edx, %eax; leave; setc 32(%" p "di); cmovz 8(%" p "di), %edx\n"                 \
    "mov %eax, %esi; or $1, %esi; xor %edx, %edx; stc; div %esi; rcl $1, %edx; cltd; idivl 40(%" p "di)\n"             \
    "lea 1(%" p "ax,%" p "cx,2), %eax; bts %ecx, 64(%" p "di); btl $3, 8(%" p "di); adc %eax, 8(%" p "di)\n"         \
    "movd %eax, %xmm0; paddd 80(%" p "di), %xmm1; paddd %xmm0, %xmm1; movaps %xmm1, 80(%" p "di)\n"                   \
    "flds 96(%" p "di); fld1; faddp; fstps 96(%" p "di); xchg %eax, 100(%" p "di); xadd %edx, 104(%" p "di)\n"         \
    "mov %ecx, 48(%" p "di); cmpxchg %edx, 48(%" p "di); call 2f; cld; jmp 3f; 2: inc" w " 112(%" p "di); ret; 3: pushf; pop %" p "si\n" \
    "and $0x8d5, %esi; xor %esi, 116(%" p "di); mov (%" p "sp), %edx; out %al, %dx; dec %ecx; jnz 1b\n"               \
    "fnstenv 0x100(%" p "di); movups %xmm1, 0x140(%" p "di); hlt\n"
GUEST_CODE(sweep64, 64, SWEEP("r", "q", "add %r11, 8(%rsp); mov %r14, %r10; push %r10; pop %r14; add 8(%rdi), %r11"));
GUEST_CODE(sweep32, 32, SWEEP("e", "l", "add %eax, 4(%esp)"));
/* clang-format on */

struct fault_case {
    const char *name;
    const uint8_t *code[2], *end[2]; /* 64, 32 */
    uint64_t value[3];
    int vector;
    bool checked; /* by translated code: without the checks the net is needed */
    bool unmasks; /* ... among them that for masked exceptions */
    bool user;
    bool sha_checked; /* as on a host whose SHA instructions check alignment: Intel's do, AMD's do not */
};
#define CODES(name)                                                                                                    \
    {name##64, name##32},                                                                                              \
    {                                                                                                                  \
        name##64_end, name##32_end                                                                                     \
    }
#define CODE_32(name)                                                                                                  \
    {NULL, name##32},                                                                                                  \
    {                                                                                                                  \
        NULL, name##32_end                                                                                             \
    }
static const struct fault_case cases[] = {
    {"load", CODES(load), {DATA, DATA, DATA + 1}, 13, true},
    {"store", CODES(store), {DATA, DATA, DATA + 8}, 13, true},
    {"group", CODES(group), {DATA, DATA, DATA + 4}, 13, true},
    {"aes", CODES(aes), {DATA, DATA, DATA + 15}, AS_TIER_1, false},
    {"sha", CODES(sha), {DATA, DATA, DATA + 1}, AS_TIER_1, false},
    {"sha-checked", CODES(sha), {DATA, DATA, DATA + 1}, AS_TIER_1, false, false, false, true},
    {"divide", CODES(divide), {7, 7, 0}, 0, true},
    {"divide-memory", CODES(divide_memory), {DATA + 0x20, DATA + 0x20, DATA + 0x24}, 0, true},
    {"divide-signed", CODES(divide_signed), {7, 7, 0xffffffff}, 0, true},
    {"simd", CODES(simd), {DATA + 0x28, DATA + 0x28, DATA + 0x2c}, 19, true, true},
    {"x87", CODES(x87), {DATA + 0x30, DATA + 0x30, DATA + 0x32}, 16, true, true},
    {"int3", CODES(int3), {0}, 3, false},
    {"int1", CODES(int1), {0}, 1, false},
    {"ud2", CODES(ud2), {0}, 6, false},
    {"into", CODE_32(into), {0}, 4, false},
    {"bound", CODE_32(bound), {0}, 5, false},
    {"alignment", CODES(ac), {DATA, DATA, DATA + 2}, 17, false, false, true},
    {"step", CODES(step), {0}, 1, false},
};

/* ---- breaking translated code ---------------------------------------------------------------------------------------- */
enum breakage { NOT_BROKEN, NO_CHECKS, AT_START, AT_ACCESS };
struct breaker { /* of one vCPU */
    struct vcpu *c;
    enum breakage how;
    bool ready;      /* for NO_CHECKS */
    bool keep_marks; /* let the net give up on places where it is needed often */
    unsigned turn;   /* counts the OUTs */
    uint8_t *patched, original[2];
    uint64_t drops; /* of the cache when it was patched */
};

static uint8_t *writable(const struct translator *x, const uint8_t *code)
{
    return x->rw + (code - x->rx);
}

static bool is_jcc(const struct translated_block *tb, unsigned i)
{
    const uint8_t *raw = tb->block->raw + tb->point[i].ip;
    return tb->point[i].ip == tb->block->bytes || (*raw & 0xf0) == 0x70 || (*raw == 0x0f && (raw[1] & 0xf0) == 0x80);
}

static const uint8_t *end_of(const struct translated_block *tb, unsigned i)
{
    return i + 1 < tb->block->count ? tb->code + tb->point[i + 1].host : tb->code + tb->bytes;
}

/* Jumps from an instruction to its detours are no more, but for the TLB's ("above") and, unless `ready`, that which looks
 * whether vector state is there ("equal"). */
static void remove_checks(const struct translator *x, const struct translated_block *tb, unsigned i, bool ready)
{
    static const uint8_t nop[] = {0x66, 0x0f, 0x1f, 0x44, 0, 0};
    const uint8_t *cold = x->rx + x->hot_bytes;
    for (const uint8_t *p = tb->code + tb->point[i].host; p + 6 <= end_of(tb, i); p++) {
        int32_t to;
        memcpy(&to, p + 2, 4);
        if (p[0] == 0x0f && (p[1] & 0xf0) == 0x80 && p[1] != 0x87 && (ready || p[1] != 0x84) && p + 6 + to >= cold &&
            p + 6 + to < cold + x->cold_used)
            memcpy(writable(x, p), nop, sizeof nop);
    }
}

/* Where the instruction's code accesses guest memory, or NULL. */
static const uint8_t *access_of(const struct translated_block *tb, unsigned i)
{
    const uint8_t *p = tb->code + tb->point[i].host;
    char text[128];
    if (tb->point[i].lent)
        return p + tb->point[i].lent;
    for (unsigned n; p < end_of(tb, i); p += n) {
        n = decode_text(p, 15, CODE64, (uintptr_t)p, text, sizeof text);
        if (strstr(text, "[r10") && !g_str_has_prefix(text, "lea"))
            return p;
        n = n ? n : 1;
    }
    return NULL;
}

/* Another instruction each time. */
static void break_one(struct breaker *b)
{
    struct translator *x = b->c->translator;
    if (b->patched && b->drops == x->drops)
        memcpy(b->patched, b->original, 2);
    b->patched = NULL;
    struct translated_block *tb = g_ptr_array_index(x->blocks, b->turn / 2 % x->blocks->len);
    unsigned i = b->turn / 2 / x->blocks->len % tb->block->count;
    const uint8_t *at = b->how == AT_ACCESS ? access_of(tb, i) : tb->code + tb->point[i].host;
    if (!at || tb->block->translated != tb)
        return;
    b->drops = x->drops;
    b->patched = writable(x, at);
    memcpy(b->original, b->patched, 2);
    memcpy(b->patched, b->turn & 1 ? "\x0f\x0b" : "\xcc\xcc", 2);
}

static void break_code(struct breaker *b)
{
    struct translator *x = b->c->translator;
    if (!b->keep_marks) {
        memset(x->netted, 0, sizeof x->netted);
        for (unsigned k = 0; k < x->blocks->len; k++)
            ((struct translated_block *)g_ptr_array_index(x->blocks, k))->nets = 0;
    }
    if (b->how == NO_CHECKS)
        for (unsigned k = 0; k < x->blocks->len; k++) {
            struct translated_block *tb = g_ptr_array_index(x->blocks, k);
            for (unsigned i = 0; i < tb->block->count; i++)
                if (!is_jcc(tb, i))
                    remove_checks(x, tb, i, b->ready);
        }
    else if (b->how != NOT_BROKEN)
        break_one(b);
    b->turn++;
}

static void on_out(struct machine *m, uint16_t port, unsigned size, uint64_t value)
{
    struct guest *g = (struct guest *)m;
    struct breaker *b = g->test;
    if (b && b[port - PORT].c->translator)
        break_code(&b[port - PORT]);
}

/* ---- guests ------------------------------------------------------------------------------------------------------------ */
static struct guest *new_guest(const char *engine, enum guest_mode mode, unsigned cpus)
{
    g_setenv("GUEST_ENGINE", engine, TRUE);
    struct guest *g = guest_new(cpus);
    guest_start(g, mode);
    g->machine.out = on_out;
    return g;
}

static void use_user_mode(struct guest *g, bool wide)
{
    for (unsigned i = 0; i < X86_SEGS; i++)
        g->s.seg[i] = guest_segment(g, i == X86_CS ? wide ? SEL_USER64 : SEL_USER32 : SEL_USERDATA);
    g->s.cr0 |= CR0_AM;
    g->s.rflags |= RFLAG_AC | RFLAG_IOPL;
}

static void fill_data(struct guest *g, const struct fault_case *f)
{
    const uint32_t mxcsr = 0x1f80, zero_unmasked = 0x1d80;
    for (unsigned i = 0; i < 3; i++)
        guest_write(g, VALUES + 8 * i, 8, f->value[i]);
    guest_write(g, DATA + 0x20, 4, 7);
    guest_write(g, DATA + 0x24, 4, 0xffffffff);
    guest_write(g, DATA + 0x28, 4, mxcsr);
    guest_write(g, DATA + 0x2c, 4, zero_unmasked);
    guest_write(g, DATA + 0x30, 2, 0x37f);
    guest_write(g, DATA + 0x32, 2, 0x37b);
    for (unsigned i = 0; i < 4; i++)
        guest_write(g, DATA + 0x100 + 4 * i, 4, 0x3f800000);
}

static struct guest *run_case(const struct fault_case *f, const char *engine, bool wide, struct breaker *b)
{
    struct guest *g = new_guest(engine, wide ? GUEST_LONG : GUEST_PAGED, 1);
    guest_code(g, GUEST_CODE_AT, f->code[!wide], f->end[!wide]);
    fill_data(g, f);
    if (f->user)
        use_user_mode(g, wide);
    b->c = g->vcpu[0];
    g->test = b;
    if (f->sha_checked)
        b->c->vm->host.quirks.sha_unaligned = false;
    guest_run(g);
    if (f->sha_checked && guest_vector(g) != EXC_UD) /* CPUs without SHA */
        g_assert_cmpint(guest_vector(g), ==, EXC_GP);
    return g;
}

static uint64_t netted(const struct guest *g)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < g->vm.cpus; i++)
        n += ((struct vcpu *)g->vcpu[i])->stats->count[COUNT_NETTED];
    return n;
}

static void check_same(const struct guest *a, const struct guest *b)
{
    for (unsigned r = 0; r < 16; r++)
        g_assert_cmphex(a->s.gpr[r], ==, b->s.gpr[r]);
    g_assert_cmphex(a->s.rip, ==, b->s.rip);
    g_assert_cmphex(a->s.rflags, ==, b->s.rflags);
    for (unsigned at = 0; at < GUEST_BYTES; at += 4)
        if (memcmp(a->mem + at, b->mem + at, 4))
            g_error("memory at 0x%x: 0x%x in tier 1, 0x%x in tier 2", at, (unsigned)guest_read(a, at, 4),
                    (unsigned)guest_read(b, at, 4));
}

static void run_both(const struct fault_case *f, bool wide, const char *engine, enum breakage how)
{
    struct breaker none = {0}, b = {.how = how, .ready = f->unmasks};
    struct guest *first = run_case(f, "interp", wide, &none), *second = run_case(f, engine, wide, &b);
    g_test_message("%s, %u bits, %s: vector %d, %u caught", f->name, wide ? 64 : 32, engine, guest_vector(first),
                   (unsigned)netted(second));
    if (f->vector != AS_TIER_1)
        g_assert_cmpint(guest_vector(first), ==, f->vector);
    check_same(first, second);
    if (how == NOT_BROKEN)
        g_assert_cmpuint(netted(second), ==, 0);
    else if (f->checked)
        g_assert_cmpuint(netted(second), >=, 1);
    guest_free(first);
    guest_free(second);
}

/* Lockstep moves vector state away, and without the check nobody brings it back; and this CPU may take what another
 * refuses. */
static bool can_lack_checks(const struct fault_case *f, bool lockstep)
{
    return !f->sha_checked && !(lockstep && f->unmasks);
}

static void test_case(const void *data)
{
    const struct fault_case *f = data;
    for (int wide = 1; wide >= 0; wide--)
        for (unsigned lockstep = 0; lockstep < 2 && f->code[!wide]; lockstep++) {
            const char *engine = lockstep ? "lockstep" : "soft";
            run_both(f, wide, engine, NOT_BROKEN);
            if (can_lack_checks(f, lockstep))
                run_both(f, wide, engine, NO_CHECKS);
        }
}

/* ---- every instruction in turn ------------------------------------------------------------------------------------------- */
static void prepare_sweep(struct guest *g, bool wide, unsigned cpu, unsigned rounds)
{
    uint64_t top = cpu ? GUEST_STACK0 : GUEST_STACK, data = DATA + 0x1000 * cpu;
    guest_write(g, top - 8, 8, PORT + cpu);
    guest_write(g, data + 40, 4, 17);
    guest_write(g, data + 96, 4, 0x3f800000);
    g->s.gpr[X86_RSP] = top - 8;
    g->s.gpr[X86_RDI] = data;
    g->s.gpr[X86_RCX] = rounds;
}

static struct guest *sweep_guest(const char *engine, bool wide, unsigned cpus)
{
    struct guest *g = new_guest(engine, wide ? GUEST_LONG : GUEST_PAGED, cpus);
    guest_code(g, GUEST_CODE_AT, wide ? sweep64 : sweep32, wide ? sweep64_end : sweep32_end);
    return g;
}

static void sweep(bool wide, const char *engine, enum breakage how, unsigned rounds)
{
    struct guest *g[2];
    struct breaker b = {.how = how};
    for (unsigned i = 0; i < 2; i++) {
        g[i] = sweep_guest(i ? engine : "interp", wide, 1);
        prepare_sweep(g[i], wide, 0, rounds);
        b.c = g[i]->vcpu[0];
        g[i]->test = i ? &b : NULL;
        guest_run(g[i]);
        g_assert_cmpint(guest_vector(g[i]), ==, FINISHED);
    }
    g_test_message("%u bits, %s, kind %d: %u caught of %u", wide ? 64 : 32, engine, how, (unsigned)netted(g[1]),
                   rounds);
    check_same(g[0], g[1]);
    g_assert_cmpuint(netted(g[1]), >=, how == NOT_BROKEN ? 0 : rounds / 8);
    guest_free(g[0]);
    guest_free(g[1]);
}

static void test_every_instruction(void)
{
    for (int wide = 1; wide >= 0; wide--)
        for (enum breakage how = NOT_BROKEN; how <= AT_ACCESS; how++) {
            if (how == NO_CHECKS)
                continue;
            sweep(wide, "soft", how, 3000);
            sweep(wide, "lockstep", how, 600);
        }
}

/* ---- two vCPUs, and many times ----------------------------------------------------------------------------------------- */
struct cpu_thread {
    struct guest *g;
    unsigned cpu;
    struct x86_state s;
};

static gpointer run_cpu(gpointer data)
{
    struct cpu_thread *t = data;
    g_autoptr(GError) error = NULL;
    t->g->engine->set_state(t->g->vcpu[t->cpu], &t->s);
    g_assert_cmpint(t->g->engine->run(t->g->vcpu[t->cpu], &error), ==, CPU_STOP_HLT);
    g_assert_no_error(error);
    t->g->engine->get_state(t->g->vcpu[t->cpu], &t->s);
    return NULL;
}

static void run_two(struct guest *g, struct breaker *b, struct cpu_thread *t)
{
    GThread *thread[2];
    for (unsigned cpu = 0; cpu < 2; cpu++) {
        prepare_sweep(g, g->s.efer != 0, cpu, 20000);
        b[cpu].c = g->vcpu[cpu];
        t[cpu] = (struct cpu_thread){g, cpu, g->s};
    }
    g->test = b;
    for (unsigned cpu = 0; cpu < 2; cpu++)
        thread[cpu] = g_thread_new("cpu", run_cpu, &t[cpu]);
    for (unsigned cpu = 0; cpu < 2; cpu++)
        g_thread_join(thread[cpu]);
}

static void test_two_cpus(void)
{
    for (int wide = 1; wide >= 0; wide--) {
        struct cpu_thread t[2][2];
        struct breaker b[2][2] = {{{0}}, {{.how = AT_START}, {.how = AT_ACCESS}}};
        struct guest *g[2];
        for (unsigned i = 0; i < 2; i++) {
            g[i] = sweep_guest(i ? "soft" : "interp", wide, 2);
            run_two(g[i], b[i], t[i]);
        }
        for (unsigned cpu = 0; cpu < 2; cpu++) {
            g[0]->s = t[0][cpu].s;
            g[1]->s = t[1][cpu].s;
            check_same(g[0], g[1]);
            g_assert_cmpuint(((struct vcpu *)g[1]->vcpu[cpu])->stats->count[COUNT_NETTED], >, 1000);
        }
        guest_free(g[0]);
        guest_free(g[1]);
    }
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

/* One more run of the sweep in the same VM; returns its CPU time. */
static double again(struct guest *g, struct breaker *b, unsigned rounds)
{
    double began = cpu_seconds();
    b->turn = 0;
    prepare_sweep(g, true, 0, rounds);
    g->s.rip = GUEST_CODE_AT;
    g->s.run_state = X86_RUNNING;
    g->engine->set_state(g->vcpu[0], &g->s);
    guest_continue(g);
    g_assert_cmpint(guest_vector(g), ==, FINISHED);
    return cpu_seconds() - began;
}

/* Hundreds of thousands: the last ones are as fast as the first, and nothing is left behind. */
static void test_many(void)
{
    enum { ROUNDS = 100000, TIMES = 6 };
    double quiet, seconds[TIMES];
    uint64_t caught = 0;
    struct cpu_memory first, last;
    struct guest *g = sweep_guest("soft", true, 1);
    struct breaker b = {.c = g->vcpu[0], .keep_marks = true};
    g->test = &b;
    quiet = again(g, &b, ROUNDS);
    for (unsigned i = 0; i < TIMES; i++) {
        caught = netted(g);
        b.how = i < TIMES - 1 ? AT_START : AT_ACCESS;
        b.keep_marks = i == TIMES - 1;
        seconds[i] = again(g, &b, ROUNDS);
        g->engine->memory(g->evm, i ? &last : &first);
        g_test_message("%u rounds: %.2f s, without exceptions %.2f s; %u caught in all, %u instructions given up",
                       ROUNDS, seconds[i], quiet, (unsigned)netted(g),
                       (unsigned)((struct vcpu *)g->vcpu[0])->stats->count[COUNT_NET_LEFT]);
    }
    g_assert_cmpuint(netted(g), >=, 200000);
    g_assert_cmpfloat(seconds[TIMES - 2], <, 2 * seconds[0]);
    g_assert_cmpuint(netted(g) - caught, <, ROUNDS / 20); /* soon nothing needs the net any more */
    g_assert_cmpuint(last.used, <=, first.used + (1 << 20));
    guest_free(g);
}

/* ---- what is not the guest's -------------------------------------------------------------------------------------------- */
/* clang-format off */
GUEST_CODE(touches, 64, "mov $0x400000, %esi; mov $4, %ecx; 1: mov (%rsi), %eax; movups (%rsi), %xmm1; out %al, $0xf0; dec %ecx; jnz 1b; hlt");
/* clang-format on */

/* The guest's memory ends where it looks. */
static void lose_memory(struct machine *m, uint16_t port, unsigned size, uint64_t value)
{
    g_assert_cmpint(ftruncate(((struct guest *)m)->vm.memory_fd, 0x400000), ==, 0);
}

static void fault_in_c(struct machine *m, uint16_t port, unsigned size, uint64_t value)
{
    volatile uintptr_t nowhere = 8;
    *(volatile int *)nowhere = 0;
}

static void send_signal(struct machine *m, uint16_t port, unsigned size, uint64_t value)
{
    kill(getpid(), SIGSEGV);
}

static void run_touches(const char *engine, void (*out)(struct machine *, uint16_t, unsigned, uint64_t), GError **error)
{
    struct guest *g = new_guest(engine, GUEST_LONG, 1);
    GUEST_LOAD(g, GUEST_CODE_AT, touches);
    g->machine.out = out;
    g->engine->set_state(g->vcpu[0], &g->s);
    g_assert_cmpint(g->engine->run(g->vcpu[0], error), ==, CPU_STOP_FAIL);
    guest_free(g);
}

static void test_memory_lost(void)
{
    for (unsigned i = 0; i < 2; i++) {
        g_autoptr(GError) error = NULL;
        run_touches("soft", lose_memory, &error);
        g_assert_nonnull(strstr(error->message, "The host has no memory for a page of the guest's memory"));
    }
}

static void test_memory_lost_in_c(void)
{
    g_autoptr(GError) error = NULL;
    if (g_test_subprocess())
        run_touches("interp", lose_memory, &error);
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*The host has no memory for a page of the guest's memory*");
}

static void test_own_fault(void)
{
    if (g_test_subprocess())
        run_touches("soft", fault_in_c, NULL);
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr(
        "*fault of this program: signal SIGSEGV, exception 0xe at host address 0x*, data address 0x8, "
        "on a virtual CPU's thread*");
}

static void put_chained(int sig)
{
    fprintf(stderr, "chained\n");
    _exit(0);
}

static void test_chained(void)
{
    if (g_test_subprocess()) {
        signal(SIGSEGV, put_chained);
        run_touches("soft", fault_in_c, NULL);
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("*fault of this program: signal SIGSEGV*chained*");
}

static void test_sent(void)
{
    if (g_test_subprocess())
        run_touches("soft", send_signal, NULL);
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr_unmatched("*fault of this program*");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = g_strdup_printf("/host-faults/%s", cases[i].name);
        g_test_add_data_func(name, &cases[i], test_case);
    }
    g_test_add_func("/host-faults/every-instruction", test_every_instruction);
    g_test_add_func("/host-faults/two-cpus", test_two_cpus);
    g_test_add_func("/host-faults/many", test_many);
    g_test_add_func("/host-faults/memory-lost", test_memory_lost);
    g_test_add_func("/host-faults/memory-lost-in-c", test_memory_lost_in_c);
    g_test_add_func("/host-faults/own-fault", test_own_fault);
    g_test_add_func("/host-faults/chained", test_chained);
    g_test_add_func("/host-faults/sent", test_sent);
    return g_test_run();
}
