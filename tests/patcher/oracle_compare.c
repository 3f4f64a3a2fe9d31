// SPDX-License-Identifier: GPL-2.0-or-later
/* oracle_compare.c - do two states agree?  Everything visible counts; what the architecture or the XSAVE format leaves
 * open (initial components, reserved bytes, pointers without a pending exception) is made equal first. */
#include "tests/patcher/oracle.h"
#include <stdio.h>
#include <string.h>

static uint64_t get64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

/* The area with every component spelled out. */
void oracle_canonical(uint8_t *x)
{
    uint64_t bv = get64(x + 512);
    if (!(bv & 1)) {
        memset(x, 0, 24);
        memset(x + 32, 0, 128);
        x[0] = 0x7f;
        x[1] = 3;
    }
    if (!(x[2] & 0x80)) /* AMD stores FOP, FIP, FDP only with a pending exception */
        memset(x + 6, 0, 18);
    memset(x + 28, 0, 4);
    x[5] = 0;
    for (unsigned i = 0; i < 8; i++)
        memset(x + 32 + 16 * i + 10, 0, 6);
    if (!(bv & 2))
        memset(x + 160, 0, 256);
    memset(x + 416, 0, 160);
    for (unsigned i = 2; i < HOST_XCOMPONENTS; i++) {
        const struct host_xcomponent *k = &oracle_host_cpu()->component[i];
        if (!(bv >> i & 1) && k->offset + k->bytes <= X86_XSAVE_BYTES)
            memset(x + k->offset, 0, k->bytes);
    }
}

/* VMASKMOV and VPMASKMOV. */
static bool is_vex_masked(enum oracle_mode mode, const uint8_t *bytes)
{
    const uint8_t *b = bytes + oracle_prefixes(mode, bytes);
    bool map2 = *b == 0xc4 && (b[1] & 0x1f) == 2;
    return map2 && ((b[3] >= 0x2c && b[3] <= 0x2f) || b[3] == 0x8c || b[3] == 0x8e);
}

/* How far the addresses may lie apart that two CPUs report of the same fault. */
static uint64_t fault_slack(enum oracle_mode mode, const uint8_t *bytes)
{
    const uint8_t *b = bytes + oracle_prefixes(mode, bytes);
    bool maskmov = (*b == 0x0f && b[1] == 0xf7) || (*b == 0xc5 && b[2] == 0xf7) || (*b == 0xc4 && b[3] == 0xf7);
    if (oracle_is_block(mode, bytes))
        return 0x1000;
    if (oracle_host_cpu()->amd)
        return 0;
    return is_vex_masked(mode, bytes) ? 32 : maskmov ? 16 : 0;
}

/* Is the address canonical with five levels of page tables, which the host may have, but not with the guest's four? */
static bool needs_five_levels(uint64_t a)
{
    return (uint64_t)((int64_t)(a << 7) >> 7) == a && (uint64_t)((int64_t)(a << 16) >> 16) != a;
}

/* The page is missing there, where the guest's address is bad; a branch has been taken before it is seen. */
static void follow_five_levels(const struct oracle_cpu *before, const struct oracle_cpu *host,
                               struct oracle_cpu *engine)
{
    enum { PF = 14, GP = 13, SS = 12 };
    bool refused = (engine->vector == GP || engine->vector == SS) && engine->rip == before->rip && !engine->error;
    if (host->vector != PF || !refused || !needs_five_levels(host->cr2))
        return;
    if (host->rip == host->cr2)
        *engine = *host;
    engine->vector = PF;
    engine->error = host->error;
    engine->cr2 = host->cr2;
}

/* How much of an instruction that it has not is fetched before a CPU knows is its own choice: #UD, or #PF at the page's end. */
static void follow_short_fetch(const struct oracle_cpu *before, const struct oracle_cpu *host,
                               struct oracle_cpu *engine)
{
    enum { UD = 6, PF = 14, FETCH = 16 };
    bool fetched = engine->vector == PF && engine->error & FETCH && engine->rip == before->rip;
    if (fetched && host->vector == UD && host->rip == before->rip) {
        engine->vector = UD;
        engine->error = host->error;
        engine->cr2 = host->cr2;
    }
}

/* Elements beyond the end of the address size or of a flat segment: AMD's CPUs let their offsets wrap one by one. */
static void follow_wrapped_elements(enum oracle_mode mode, const uint8_t *bytes, const struct oracle_cpu *before,
                                    const struct oracle_cpu *host, struct oracle_cpu *engine)
{
    enum { SS = 12, GP = 13, PF = 14 };
    if (!is_vex_masked(mode, bytes) || host->vector != PF || host->rip != before->rip || engine->rip != before->rip)
        return;
    uint64_t apart = engine->cr2 - host->cr2;
    bool wrapped = engine->vector == PF && (apart == 0x10000 || apart == 1ull << 32);
    bool refused = mode != ORACLE_64 && (engine->vector == GP || engine->vector == SS) && !engine->error;
    if (wrapped || refused) {
        engine->vector = PF;
        engine->error = host->error;
        engine->cr2 = host->cr2;
    }
}

static uint64_t gpr_mask(enum oracle_mode mode)
{
    return mode == ORACLE_64 ? ~0ull : 0xffffffff;
}

static bool same_registers(enum oracle_mode mode, const struct oracle_cpu *a, const struct oracle_cpu *b)
{
    for (unsigned i = 0; i < (mode == ORACLE_64 ? 16 : 8); i++)
        if ((a->gpr[i] ^ b->gpr[i]) & gpr_mask(mode))
            return false;
    return true;
}

void oracle_host_choices(enum oracle_mode mode, const uint8_t *bytes, const struct oracle_cpu *before,
                         const struct oracle_cpu *host, struct oracle_cpu *engine)
{
    enum { AC = 17, PF = 14, AC_FLAG = 1 << 18 };
    uint64_t slack = fault_slack(mode, bytes);
    if (slack && host->cr2 - engine->cr2 + slack < 2 * slack)
        engine->cr2 = host->cr2;
    if (oracle_host_cpu()->quirks.flags_by_form) {
        uint64_t open = oracle_undefined_flags(mode, bytes);
        engine->rflags = (engine->rflags & ~open) | (host->rflags & open);
    }
    follow_five_levels(before, host, engine);
    follow_short_fetch(before, host, engine);
    follow_wrapped_elements(mode, bytes, before, host, engine);
    if (before->rflags & AC_FLAG && host->vector == PF && engine->vector == AC && host->rip == engine->rip &&
        same_registers(mode, host, engine)) {
        engine->vector = PF;
        engine->error = host->error;
        engine->cr2 = host->cr2;
    }
}

bool oracle_same_vectors(const struct oracle_cpu *a, const struct oracle_cpu *b)
{
    return !memcmp(a->xsave, b->xsave, ORACLE_XSAVE_BYTES);
}

/* Linux hides from user code whether pages of the kernel's half exist; a legacy guest has its system pages at the end
 * of 4 GiB. */
static uint32_t visible_error(const struct oracle_cpu *c)
{
    bool system = c->cr2 >= 0x7ffffffff000 || c->cr2 >> 16 == ORACLE_SYSTEM >> 16;
    return c->vector == 14 && system ? c->error | 1 : c->error;
}

bool oracle_same(enum oracle_mode mode, const struct oracle_cpu *a, const struct oracle_cpu *b)
{
    return same_registers(mode, a, b) && a->rip == b->rip && a->rflags == b->rflags && a->vector == b->vector &&
           (a->vector == ORACLE_STEPPED || visible_error(a) == visible_error(b)) &&
           (a->vector != 14 || a->cr2 == b->cr2) && oracle_same_vectors(a, b);
}

/* ---- what differs, for people ------------------------------------------------------------------------------------------- */
static void line(const char *name, uint64_t before, uint64_t host, uint64_t engine)
{
    if (host != engine)
        printf("#   %-10s before %016" G_GINT64_MODIFIER "x host %016" G_GINT64_MODIFIER
               "x engine %016" G_GINT64_MODIFIER "x\n",
               name, before, host, engine);
}

static void bytes(const char *name, unsigned at, const uint8_t *before, const uint8_t *host, const uint8_t *engine,
                  unsigned n)
{
    for (unsigned i = 0; i < n; i += 8) {
        char label[32];
        snprintf(label, sizeof label, "%s+%x", name, at + i);
        line(label, get64(before + i), get64(host + i), get64(engine + i));
    }
}

void oracle_print_difference(enum oracle_mode mode, const struct oracle_cpu *before, const struct oracle_cpu *host,
                             const struct oracle_cpu *engine)
{
    static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    for (unsigned i = 0; i < (mode == ORACLE_64 ? 16 : 8); i++)
        line(names[i], before->gpr[i], host->gpr[i] & gpr_mask(mode), engine->gpr[i] & gpr_mask(mode));
    line("rip", before->rip, host->rip, engine->rip);
    line("rflags", before->rflags, host->rflags, engine->rflags);
    line("vector", 0, (uint64_t)host->vector, (uint64_t)engine->vector);
    line("error", 0, visible_error(host), visible_error(engine));
    if (host->vector == 14)
        line("cr2", 0, host->cr2, engine->cr2);
    bytes("xsave", 0, before->xsave, host->xsave, engine->xsave, ORACLE_XSAVE_BYTES);
}

void oracle_print_window(const uint8_t *before, const uint8_t *host, const uint8_t *engine)
{
    bytes("window", 0, before, host, engine, ORACLE_WIN_BYTES);
}
