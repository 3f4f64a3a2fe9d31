// SPDX-License-Identifier: GPL-2.0-or-later
/* net.c - the net under translated code: a host exception there is traced back to the guest's instruction, which
 * tier 1 then runs, and with it the rest of the block; it raises what the guest is to see, or nothing.
 *
 * The translator runs nothing in place that it expects to fault, so whoever lands here was misjudged: an operand whose
 * alignment this host's CPU wants and others do not, a feature that is advertised and does not work, exceptions
 * unmasked behind its back.
 *
 * That no state is lost rests on what translated code looks like.  The host instructions that can fault are the guest's
 * own and those that access its memory ([T0 + disp]); everything else has its operands in registers or in struct vcpu.
 * And at each of these
 * - the guest's registers are as before its instruction: nothing is written before the last access;
 * - its flags are in the host's as far as anybody still reads them: the translator has put them back before it
 *   (trans_flags_back());
 * - vector registers come back with sigreturn, as the exception left them.
 * So the signal handler only leads to the detour of that instruction.  The exceptions, host registers that are lent to an
 * instruction with AH to DH or to a vector instruction with R15, are noted in its trans_point.
 *
 * A signal costs some microseconds.  A block that needs the net often is translated again with the instruction left to
 * tier 1; this is remembered by the instruction's place until everything is dropped. */
#include "patcher/native/fpu.h"
#include "patcher/translate/translate.h"
#include <signal.h>

enum { OFTEN = 16 };

bool trans_covers(const struct vcpu *c, uint64_t rip)
{
    const struct translator *x = c->translator;
    return x && rip - (uintptr_t)x->rx < x->bytes;
}

/* ---- the signal handler's part ----------------------------------------------------------------------------------------- */
/* Runs were translated in the order of their addresses. */
static struct translated_block *run_at(const struct translator *x, const uint8_t *rip)
{
    unsigned lo = 0, hi = x->blocks->len;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        struct translated_block *tb = g_ptr_array_index(x->blocks, mid);
        if (rip < tb->code)
            hi = mid;
        else if (rip >= tb->code + tb->bytes)
            lo = mid + 1;
        else
            return tb;
    }
    return NULL;
}

static const struct trans_point *point_at(const struct translated_block *tb, const uint8_t *rip)
{
    unsigned lo = 0, hi = tb->block->count;
    uint32_t at = rip - tb->code;
    while (lo < hi) { /* the first one behind it */
        unsigned mid = (lo + hi) / 2;
        if (tb->point[mid].host <= at)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo ? &tb->point[lo - 1] : NULL; /* none: before the first */
}

/* INT3 and INT1 are traps: the instruction is over.  Other SIGTRAPs are a debugger's. */
static bool place_of_exception(int sig, int code, const greg_t *g, const uint8_t **rip)
{
    *rip = (const uint8_t *)g[REG_RIP];
    if (sig != SIGTRAP)
        return true;
    --*rip;
    return g[REG_TRAPNO] == EXC_BP || (g[REG_TRAPNO] == EXC_DB && code == TRAP_BRKPT);
}

bool trans_net(struct vcpu *c, int sig, int code, greg_t *g)
{
    const uint8_t *rip;
    if (!trans_covers(c, g[REG_RIP]) || !place_of_exception(sig, code, g, &rip))
        return false;
    struct translator *x = c->translator;
    const struct translated_block *tb = run_at(x, rip);
    const struct trans_point *p = tb ? point_at(tb, rip) : NULL;
    if (!p)
        return false;
    if (p->lent && rip == tb->code + p->host + p->lent) {
        if (p->lent_rsp)
            g[REG_R15] = (greg_t)c->gpr[X86_RSP];
        else
            g[REG_RSI] = g[REG_R11];
    }
    x->net_vector = g[REG_TRAPNO];
    g[REG_R14] = (greg_t)p;
    g[REG_RIP] = (greg_t)x->detour[TRANS_DO_NET][false];
    return true;
}

/* ---- and C code's, where the detour leads ---------------------------------------------------------------------------- */
static unsigned bit_of(uint64_t host)
{
    return (host ^ host >> 15) % TRANS_NET_PLACES;
}

bool trans_net_leaves(const struct translator *x, uint64_t host)
{
    unsigned bit = bit_of(host);
    return x->netted[bit / 8] >> bit % 8 & 1;
}

static void leave_to_tier1(struct translator *x, uint64_t host)
{
    unsigned bit = bit_of(host);
    x->netted[bit / 8] |= 1 << bit % 8;
}

/* The first, the second, the fourth... */
static void report(struct vcpu *c, const struct trans_point *p)
{
    const struct block *r = translated_block_of(p)->block;
    uint64_t n = ++c->stats->count[COUNT_NETTED], ip = c->gpr[REG_BLOCK_IP] + p->ip;
    char text[128];
    if (n & (n - 1))
        return;
    fpu_leave(c); /* for the C library's sake */
    if (!decode_text(r->raw + p->ip, r->bytes - p->ip, r->mode, ip, text, sizeof text))
        g_strlcpy(text, "the end of a block", sizeof text);
    g_message("vcpu%u: exception %u of the host in translated code, at the guest's 0x%" G_GINT64_MODIFIER
              "x (%s): the interpreter runs it; %" G_GINT64_MODIFIER "u so far",
              c->index, c->translator->net_vector, ip, text, n);
}

/* FOP of an x87 instruction without memory operand that ran, or shall run, in place; else 0. */
static unsigned x87_on_registers(struct vcpu *c, const struct trans_point *p)
{
    const struct block *r = translated_block_of(p)->block;
    if (p->untranslated || p->ip == r->bytes)
        return 0;
    const struct stub *s = replay_plain_stub(code_insn(c, r, p->number, p->ip));
    return s && !s->access ? s->x87 : 0;
}

/* Of two such instructions in a row only the second says where it is (x87_pointer()); but it did not run. */
static void note_x87_before(struct vcpu *c, const struct trans_point *p)
{
    unsigned op = p->number && x87_on_registers(c, p) ? x87_on_registers(c, p - 1) : 0;
    if (!op)
        return;
    c->trans_x87_op = op;
    c->trans_x87_ip = c->trans_page + translated_block_of(p)->offset + p[-1].ip;
}

const uint8_t *trans_net_c(struct vcpu *c, void *point)
{
    const struct trans_point *p = point;
    struct translated_block *tb = translated_block_of(p);
    note_x87_before(c, p);
    trans_at_point(c, p);
    report(c, p);
    if (++tb->nets == OFTEN && tb->block->translated == tb) {
        count(c, COUNT_NET_LEFT);
        leave_to_tier1(c->translator, tb->host + p->ip);
        trans_abandon(c, tb->block);
    }
    return trans_rest(c, p);
}
