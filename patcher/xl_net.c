// SPDX-License-Identifier: GPL-2.0-or-later
/* xl_net.c - the net under translated code: a host exception there is traced back to the guest's instruction, which
 * tier 1 then runs, and with it the rest of the run; it raises what the guest is to see, or nothing.
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
 *   (xl_tr_flags_back());
 * - vector registers come back with sigreturn, as the exception left them.
 * So the signal handler only leads to the detour of that instruction.  The exceptions, host registers that are lent to an
 * instruction with AH to DH or to a vector instruction with R15, are noted in its xl_point.
 *
 * A signal costs some microseconds.  A run that needs the net often is translated again with the instruction left to
 * tier 1; this is remembered by the instruction's place until everything is dropped. */
#include "fpu.h"
#include "xl.h"
#include <signal.h>

enum { OFTEN = 16 };

bool xl_covers(const struct vcpu *c, uint64_t rip)
{
    const struct xl *x = c->xl;
    return x && rip - (uintptr_t)x->rx < x->bytes;
}

/* ---- the signal handler's part ----------------------------------------------------------------------------------------- */
/* Runs were translated in the order of their addresses. */
static struct xl_run *run_at(const struct xl *x, const uint8_t *rip)
{
    unsigned lo = 0, hi = x->runs->len;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        struct xl_run *xr = g_ptr_array_index(x->runs, mid);
        if (rip < xr->code)
            hi = mid;
        else if (rip >= xr->code + xr->bytes)
            lo = mid + 1;
        else
            return xr;
    }
    return NULL;
}

static const struct xl_point *point_at(const struct xl_run *xr, const uint8_t *rip)
{
    unsigned lo = 0, hi = xr->run->count;
    uint32_t at = rip - xr->code;
    while (lo < hi) { /* the first one behind it */
        unsigned mid = (lo + hi) / 2;
        if (xr->point[mid].host <= at)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo ? &xr->point[lo - 1] : NULL; /* none: before the first */
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

bool xl_net(struct vcpu *c, int sig, int code, greg_t *g)
{
    const uint8_t *rip;
    if (!xl_covers(c, g[REG_RIP]) || !place_of_exception(sig, code, g, &rip))
        return false;
    struct xl *x = c->xl;
    const struct xl_run *xr = run_at(x, rip);
    const struct xl_point *p = xr ? point_at(xr, rip) : NULL;
    if (!p)
        return false;
    if (p->lent && rip == xr->code + p->host + p->lent) {
        if (p->lent_rsp)
            g[REG_R15] = (greg_t)c->gpr[X86_RSP];
        else
            g[REG_RSI] = g[REG_R11];
    }
    x->net_vector = g[REG_TRAPNO];
    g[REG_R14] = (greg_t)p;
    g[REG_RIP] = (greg_t)x->detour[XL_DO_NET][false];
    return true;
}

/* ---- and C code's, where the detour leads ---------------------------------------------------------------------------- */
static unsigned bit_of(uint64_t host)
{
    return (host ^ host >> 15) % XL_NET_PLACES;
}

bool xl_net_leaves(const struct xl *x, uint64_t host)
{
    unsigned bit = bit_of(host);
    return x->netted[bit / 8] >> bit % 8 & 1;
}

static void leave_to_tier1(struct xl *x, uint64_t host)
{
    unsigned bit = bit_of(host);
    x->netted[bit / 8] |= 1 << bit % 8;
}

/* The first, the second, the fourth... */
static void report(struct vcpu *c, const struct xl_point *p)
{
    const struct run *r = xl_run_of(p)->run;
    uint64_t n = ++c->stats->count[COUNT_NETTED], ip = c->gpr[REG_RUN_IP] + p->ip;
    char text[128];
    if (n & (n - 1))
        return;
    fpu_leave(c); /* for the C library's sake */
    if (!decode_text(r->raw + p->ip, r->bytes - p->ip, r->mode, ip, text, sizeof text))
        g_strlcpy(text, "the end of a run", sizeof text);
    g_message("vcpu%u: exception %u of the host in translated code, at the guest's 0x%" G_GINT64_MODIFIER
              "x (%s): the interpreter runs it; %" G_GINT64_MODIFIER "u so far",
              c->index, c->xl->net_vector, ip, text, n);
}

/* FOP of an x87 instruction without memory operand that ran, or shall run, in place; else 0. */
static unsigned x87_on_registers(struct vcpu *c, const struct xl_point *p)
{
    const struct run *r = xl_run_of(p)->run;
    if (p->untranslated || p->ip == r->bytes)
        return 0;
    const struct stub *s = replay_plain_stub(code_insn(c, r, p->number, p->ip));
    return s && !s->access ? s->x87 : 0;
}

/* Of two such instructions in a row only the second says where it is (x87_pointer()); but it did not run. */
static void note_x87_before(struct vcpu *c, const struct xl_point *p)
{
    unsigned op = p->number && x87_on_registers(c, p) ? x87_on_registers(c, p - 1) : 0;
    if (!op)
        return;
    c->xl_x87_op = op;
    c->xl_x87_ip = c->xl_page + xl_run_of(p)->offset + p[-1].ip;
}

const uint8_t *xl_net_c(struct vcpu *c, void *point)
{
    const struct xl_point *p = point;
    struct xl_run *xr = xl_run_of(p);
    note_x87_before(c, p);
    xl_at_point(c, p);
    report(c, p);
    if (++xr->nets == OFTEN && xr->run->xl == xr) {
        count(c, COUNT_NET_LEFT);
        leave_to_tier1(c->xl, xr->host + p->ip);
        xl_abandon(c, xr->run);
    }
    return xl_rest(c, p);
}
