// SPDX-License-Identifier: GPL-2.0-or-later
/* string.c - MOVS CMPS STOS LODS SCAS and INS OUTS, with REP.
 *
 * A repeated MOVS or STOS that goes upward runs by whole stretches that lie in plain RAM at both ends, an INSB or OUTSB by stretches
 * of RAM if its port takes them; everything else goes element by element.  After a bounded number of elements the instruction ends with
 * IP still at it, so that interrupts get in; registers are right after each element, as the manual demands of a REP that is interrupted. */
#include "patcher/interp/system.h"
#include "patcher/interp/cold.h"
#include "patcher/interp/hot.h"
#include "patcher/vm.h"
#include "patcher/interp/breakpoints.h"
#include <string.h>

enum { MOVS, CMPS, STOS, LODS, SCAS, INS, OUTS };
enum { BURST = 256, STRETCH = 16384 /* bytes */ };

struct string {
    const struct insn *in;
    unsigned size;
    int64_t step;
    uint64_t mask; /* of the address size */
};

static uint64_t get(const struct vcpu *c, const struct string *s, unsigned reg)
{
    return c->gpr[reg] & s->mask;
}

static void put(struct vcpu *c, const struct string *s, unsigned reg, uint64_t v)
{
    reg_set(c, reg * 8, s->in->asize, v);
}

static void advance(struct vcpu *c, const struct string *s, unsigned reg)
{
    put(c, s, reg, get(c, s, reg) + s->step);
}

static uint64_t load(struct vcpu *c, const struct string *s, unsigned seg, unsigned reg)
{
    uint64_t lin = seg_linear(c, seg, get(c, s, reg), s->size, ACCESS_READ);
    switch (s->size) {
    case 1: return mem_read8(c, NULL, lin);
    case 2: return mem_read16(c, NULL, lin);
    case 4: return mem_read32(c, NULL, lin);
    default: return mem_read64(c, NULL, lin);
    }
}

static void store(struct vcpu *c, const struct string *s, uint64_t v)
{
    uint64_t lin = seg_linear(c, X86_ES, get(c, s, X86_RDI), s->size, ACCESS_WRITE);
    switch (s->size) {
    case 1: mem_write8(c, NULL, lin, v); break;
    case 2: mem_write16(c, NULL, lin, v); break;
    case 4: mem_write32(c, NULL, lin, v); break;
    default: mem_write64(c, NULL, lin, v); break;
    }
}

static void compare(struct vcpu *c, unsigned size, uint64_t a, uint64_t b)
{
    uint32_t f;
    unsigned up = 64 - size * 8; /* at the top of a word, CF ZF SF OF are those of the operand size ... */
    a <<= up;
    b <<= up;
    __asm__("cmp %2, %1\n\tlahf\n\tseto %%al" : "=&a"(f) : "r"(a), "r"(b) : "cc");
    uint8_t r = (a - b) >> up; /* ... and these are of the low byte */
    bool af = ((a >> up) ^ (b >> up) ^ r) & 0x10;
    c->arith = f;
    c->szapc = (c->szapc & ~(RFLAG_PF | RFLAG_AF)) | (__builtin_parity(r) ? 0 : RFLAG_PF) | (af ? RFLAG_AF : 0);
}

/* Which of the two faults first is the host's choice. */
static void compare_strings(struct vcpu *c, const struct string *s)
{
    uint64_t to = 0, from;
    const struct host_quirks *q = &c->vm->host.quirks;
    bool repe_bytes = s->in->flags & INSN_REP && s->size == 1;
    bool destination_first = repe_bytes ? q->repe_cmpsb_destination_first : q->cmps_destination_first;
    if (destination_first)
        to = load(c, s, X86_ES, X86_RDI);
    from = load(c, s, s->in->seg, X86_RSI);
    if (!destination_first)
        to = load(c, s, X86_ES, X86_RDI);
    compare(c, s->size, from, to);
}

/* One element; returns whether a REPE/REPNE goes on. */
static bool element(struct vcpu *c, const struct string *s)
{
    uint64_t v;
    switch (s->in->aux_op) {
    case MOVS:
        store(c, s, load(c, s, s->in->seg, X86_RSI));
        advance(c, s, X86_RSI);
        advance(c, s, X86_RDI);
        return true;
    case STOS:
        store(c, s, c->gpr[X86_RAX]);
        advance(c, s, X86_RDI);
        return true;
    case LODS:
        reg_set(c, X86_RAX * 8, s->size, load(c, s, s->in->seg, X86_RSI));
        advance(c, s, X86_RSI);
        return true;
    case CMPS:
        compare_strings(c, s);
        advance(c, s, X86_RSI);
        advance(c, s, X86_RDI);
        break;
    case SCAS:
        compare(c, s->size, reg_get(c, X86_RAX * 8, s->size), load(c, s, X86_ES, X86_RDI));
        advance(c, s, X86_RDI);
        break;
    case INS: {
        uint64_t lin = seg_linear(c, X86_ES, get(c, s, X86_RDI), s->size, ACCESS_WRITE);
        mem_probe(c, NULL, lin, s->size, ACCESS_WRITE);
        debug_io_access(c, c->gpr[X86_RDX], s->size);
        c->string_io = true;
        v = machine_in(outside(c), c->index, c->gpr[X86_RDX], s->size);
        c->string_io = false;
        mem_write_slow(c, NULL, lin, s->size, v);
        advance(c, s, X86_RDI);
        return true;
    }
    case OUTS:
        v = load(c, s, s->in->seg, X86_RSI);
        debug_io_access(c, c->gpr[X86_RDX], s->size);
        c->string_io = true;
        machine_out(outside(c), c->index, c->gpr[X86_RDX], s->size, v);
        c->string_io = false;
        advance(c, s, X86_RSI);
        return true;
    }
    bool zf = c->szapc & RFLAG_ZF;
    return s->in->flags & INSN_REPNE ? !zf : zf;
}

/* ---- stretches -------------------------------------------------------------------------------------------------------- */
/* How many of n bytes at seg:off can be reached by pointer without leaving the page, the segment or plain RAM?
 * Never faults; 0 if not even one element. */
static uint64_t reach(struct vcpu *c, unsigned seg, uint64_t off, uint64_t n, int access, uint8_t **host)
{
    const struct seg *s = &c->seg[seg];
    uint64_t lin = off;
    if (code64(c)) {
        lin += seg >= X86_FS ? s->base : 0;
    } else {
        if ((s->can & access) != access || off < s->lo || off > s->hi)
            return 0;
        if (n > s->hi - off + 1ull)
            n = s->hi - off + 1ull;
        lin = (uint32_t)(s->base + off);
    }
    const struct tlb_entry *e = tlb_slot(c, lin);
    if (!tlb_hit(c, access & ACCESS_WRITE ? e->write : e->read, lin, 1))
        return 0;
    uint64_t left = PAGE_SIZE - (lin & ~PAGE_MASK);
    *host = (uint8_t *)(lin + e->addend);
    return n < left ? n : left;
}

static void fill(uint8_t *to, uint64_t v, unsigned size, uint64_t n)
{
    if (size == 1 || v == (v & 0xff) * (0x0101010101010101ull >> (64 - size * 8))) {
        memset(to, v, n * size);
        return;
    }
    for (uint64_t i = 0; i < n; i++)
        memcpy(to + i * size, &v, size);
}

/* Upward, and overlapping as the element loop would do it. */
static void copy_up(uint8_t *to, const uint8_t *from, unsigned size, uint64_t n)
{
    if (to <= from || to >= from + n * size) {
        memmove(to, from, n * size);
        return;
    }
    for (uint64_t i = 0; i < n * size; i += size) {
        uint64_t v = 0;
        memcpy(&v, from + i, size);
        memcpy(to + i, &v, size);
    }
}

/* Bytes of INSB or OUTSB at once, if the port takes them so. */
static uint64_t port_stretch(struct vcpu *c, const struct string *s, uint64_t count)
{
    bool in = s->in->aux_op == INS;
    unsigned reg = in ? X86_RDI : X86_RSI;
    uint64_t off = get(c, s, reg), room = s->mask - off, n = count < STRETCH ? count : STRETCH;
    uint8_t *data;
    n = reach(c, in ? X86_ES : s->in->seg, off, n <= room ? n : room, in ? ACCESS_WRITE : ACCESS_READ, &data);
    c->string_io = true;
    bool taken = n && machine_string(outside(c), c->index, c->gpr[X86_RDX], in, data, n);
    c->string_io = false;
    if (!taken)
        return 0;
    put(c, s, reg, off + n);
    return n;
}

/* A breakpoint would be looked at for each. */
static bool port_bytes(const struct vcpu *c, const struct string *s)
{
    return (s->in->aux_op == INS || s->in->aux_op == OUTS) && s->size == 1 && !debug_any(c);
}

/* Returns the number of elements done at once, 0: none. */
static uint64_t stretch(struct vcpu *c, const struct string *s, uint64_t count)
{
    unsigned op = s->in->aux_op;
    uint8_t *to = NULL, *from = NULL;
    if (s->step > 0 && port_bytes(c, s))
        return port_stretch(c, s, count);
    if (s->step < 0 || (op != MOVS && op != STOS))
        return 0;
    uint64_t n = count < STRETCH ? count * s->size : STRETCH;
    uint64_t room = s->mask - get(c, s, X86_RDI);
    n = n <= room ? n : room;
    n = reach(c, X86_ES, get(c, s, X86_RDI), n, ACCESS_WRITE, &to);
    if (op == MOVS) {
        room = s->mask - get(c, s, X86_RSI);
        n = n <= room ? n : room;
        n = reach(c, s->in->seg, get(c, s, X86_RSI), n, ACCESS_READ, &from);
    }
    uint64_t elements = n / s->size;
    if (!elements)
        return 0;
    n = elements * s->size;
    if (op == MOVS) {
        copy_up(to, from, s->size, elements);
        put(c, s, X86_RSI, get(c, s, X86_RSI) + n);
    } else
        fill(to, s->size == 8 ? c->gpr[X86_RAX] : c->gpr[X86_RAX] & ((1ull << s->size * 8) - 1), s->size, elements);
    put(c, s, X86_RDI, get(c, s, X86_RDI) + n);
    return elements;
}

/* ---- what makers do differently -------------------------------------------------------------------------------------------- */
/* In 64-bit code with 32-bit addresses, some CPUs have cleared the upper halves before anything else, also for a count of 0. */
static void extend(struct vcpu *c, const struct string *s)
{
    const struct host_quirks *q = &c->vm->host.quirks;
    unsigned op = s->in->aux_op;
    if (s->in->asize != 4 || !code64(c))
        return;
    if (q->rep_extends_count)
        c->gpr[X86_RCX] = (uint32_t)c->gpr[X86_RCX];
    if (q->rep_extends_pointers && (op == MOVS || op == STOS))
        c->gpr[X86_RDI] = (uint32_t)c->gpr[X86_RDI];
    if (q->rep_extends_pointers && op == MOVS)
        c->gpr[X86_RSI] = (uint32_t)c->gpr[X86_RSI];
}

/* ---- the instructions ---------------------------------------------------------------------------------------------------- */
static void run_string(struct vcpu *c, const struct insn *in)
{
    struct string s = {in, in->osize, c->rflags & RFLAG_DF ? -(int64_t)in->osize : in->osize,
                       in->asize == 8   ? ~0ull
                       : in->asize == 4 ? 0xffffffff
                                        : 0xffff};
    if (!(in->flags & (INSN_REP | INSN_REPNE))) {
        element(c, &s);
        return;
    }
    extend(c, &s);
    bool keep = c->vm->host.quirks.rep_keeps_flags; /* until it has ended: no fault or interrupt shows others */
    uint16_t before = c->arith;
    for (unsigned burst = 0; burst < BURST; burst++) {
        uint64_t count = get(c, &s, X86_RCX), n;
        if (!count)
            return;
        n = c->mode & MODE_ONE ? 0 : stretch(c, &s, count);
        bool more = n || element(c, &s);
        put(c, &s, X86_RCX, count - (n ? n : 1));
        if (!more || count == (n ? n : 1))
            return;
        if (keep)
            c->arith = before;
        if (c->mode & MODE_ONE || atomic_load_explicit(&c->request, memory_order_relaxed))
            break;
    }
    c->next_rip = c->rip; /* again */
}

bool insn_is_string(const struct insn *in)
{
    return in->aux == (void *)cold_string || in->aux == (void *)cold_string_io;
}

void cold_string(struct vcpu *c, const struct insn *in)
{
    run_string(c, in);
}

void cold_string_io(struct vcpu *c, const struct insn *in)
{
    uint64_t mask = in->asize == 8 ? ~0ull : in->asize == 4 ? 0xffffffff : 0xffff;
    io_check(c, c->gpr[X86_RDX], in->osize);
    if (in->flags & (INSN_REP | INSN_REPNE) && !(c->gpr[X86_RCX] & mask))
        return;
    run_string(c, in);
}
