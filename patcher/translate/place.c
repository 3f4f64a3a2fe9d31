// SPDX-License-Identifier: GPL-2.0-or-later
/* place.c - where the operands of translated instructions are: registers, and memory by way of the software TLB.
 *
 * A memory operand becomes [T0] after a look into the software TLB: the entry's tag xor the address is the offset in
 * the page if they match, so one unsigned compare with 4096 - size catches a wrong page and an access across its end.
 * Whatever else there is to an access (miss, MMIO, watched code page) makes tier 1 run the whole instruction. */
#include "patcher/translate/translation.h"

/* ---- registers ------------------------------------------------------------------------------------------------------- */
struct host_mem trans_gpr_field(unsigned guest)
{
    return trans_field(offsetof(struct vcpu, gpr) + 8 * guest);
}

/* The host register with guest register n, loaded into temp if it lives in memory. */
int trans_reg_in(struct translation *t, unsigned n, int temp)
{
    int h = trans_home(n);
    if (h >= 0)
        return h;
    e_load(&t->e, 8, temp, trans_gpr_field(n));
    return temp;
}

void trans_reg_out(struct translation *t, unsigned n, int temp)
{
    if (trans_home(n) < 0)
        e_store(&t->e, 8, trans_gpr_field(n), temp);
}

/* ---- addresses ---------------------------------------------------------------------------------------------------------- */
void trans_slow_jcc(struct translation *t, unsigned cc)
{
    t->slow[t->slow_count++] = (struct slow){.patch = e_jcc_later(&t->e, cc), .insn = t->now, .how = t->how};
    t->may_return |= t->how == TRANS_DO_EXEC;
}

/* T0 is a linear address that the TLB has no entry for. */
static void slow_jcc_fill(struct translation *t, unsigned cc, unsigned size, bool write)
{
    trans_slow_jcc(t, cc);
    struct slow *s = &t->slow[t->slow_count - 1];
    s->how = s->how == TRANS_DO_REST ? TRANS_DO_FILL_REST : TRANS_DO_FILL;
    s->retry = t->lookup;
    s->wanted = size << 1 | (write ? TRANS_WANTED_WRITE : 0);
}

void trans_lookup_begins(struct translation *t)
{
    t->lookup = t->e.at;
    trans_flags_aside(t);
}

unsigned trans_word(const struct translation *t)
{
    return t->code64 ? 8 : 4;
}

/* The offset (before any segment base) of the memory operand, plus `by`, into `to`.  Flags stay. */
void trans_operand_offset(struct translation *t, const struct insn *in, int to, unsigned size, int by)
{
    struct host_mem m = {-1, -1, in->scale, (int32_t)((uint32_t)in->disp + (uint32_t)by)};
    unsigned base = in->base / 8, index = in->index / 8;
    if (base == REG_BLOCK_IP) {
        e_load(&t->e, 8, to, TRANS_FIELD(trans_page));
        m.base = to;
        m.disp += t->tb->offset;
    } else if (base != REG_ZERO) {
        m.base = trans_reg_in(t, base, to);
    }
    if (index != REG_ZERO)
        m.index = trans_reg_in(t, index, T1);
    if (m.base < 0 && m.index < 0 && size == 8 && in->disp != (int32_t)in->disp) { /* MOV's absolute addresses */
        e_imm64(&t->e, to, in->disp + by);
        return;
    }
    if (m.base < 0 && m.index < 0) { /* absolute, sign-extended */
        e_rex(&t->e, 8, 0, 0, to, false);
        e8(&t->e, 0xc7);
        e8(&t->e, 0xc0 | (to & 7));
        e32(&t->e, m.disp);
        if (size == 4)
            e_mov(&t->e, 4, to, to);
        return;
    }
    e_lea(&t->e, size, to, m);
}

/* Adds the base of FS or GS.  With limits (outside 64-bit mode) only segments that span everything pass. */
void trans_add_segment(struct translation *t, unsigned seg)
{
    size_t field = offsetof(struct vcpu, seg) + seg * sizeof(struct seg);
    if (!t->code64) {
        e_mem(&t->e, 1, 0x80, 7, trans_field(field + offsetof(struct seg, whole))); /* cmp byte, 1 */
        e8(&t->e, 1);
        trans_slow_jcc(t, 5);
    }
    e_mem(&t->e, trans_word(t), 0x03, T0, trans_field(field + offsetof(struct seg, base)));
}

/* T2 = T0, a linear address, xor the tag at this offset of its entry, xor generation.  The entry's addend is returned. */
static struct host_mem compare_tag(struct translation *t, int tag)
{
    struct emit *e = &t->e;
    _Static_assert(sizeof(struct tlb_entry) == 32, "the index below is scaled by it");
    struct host_mem entry = trans_field(offsetof(struct vcpu, views[t->block->mode >> MODE_TABLE_SHIFT]));
    entry.index = T1;
    if (t->x->bmi2) {
        e_bytes(e, "\xc4\x43\x7b\xf0\xda\x07", 6); /* rorx T1d, T0d, 12 - 5 */
    } else {
        e_mov(e, 4, T1, T0);
        e_rr(e, 4, 0xc1, 5, T1); /* shr */
        e8(e, 7);
    }
    e_rr(e, 4, 0x81, 4, T1); /* and */
    e32(e, (TLB_SIZE - 1) << 5);
    e_mov(e, 8, T2, T0);
    entry.disp += tag;
    e_mem(e, 8, 0x33, T2, entry); /* xor */
    entry.disp += offsetof(struct tlb_entry, addend) - tag;
    e_mem(e, 8, 0x33, T2, TRANS_FIELD(tlb_gen));
    return entry;
}

/* T0: linear address -> host address.  Clobbers flags, T1, T2. */
void trans_tlb_lookup(struct translation *t, unsigned size, bool write)
{
    struct emit *e = &t->e;
    struct host_mem addend =
        compare_tag(t, write ? offsetof(struct tlb_entry, write) : offsetof(struct tlb_entry, read));
    e_rr(e, 8, 0x81, 7, T2); /* cmp */
    e32(e, PAGE_SIZE - size);
    slow_jcc_fill(t, 7, size, write); /* above */
    e_mem(e, 8, 0x03, T0, addend);
}

/* The block's instruction lies in two pages: is the second one still what it was decoded from?  Jumps if not. */
void trans_second_page(struct translation *t, uint8_t *no[2])
{
    struct emit *e = &t->e;
    trans_flags_aside(t);
    e_load(e, 8, T0, TRANS_FIELD(trans_page));
    e_lea(e, 8, T0, at(T0, PAGE_SIZE));
    struct host_mem addend = compare_tag(t, offsetof(struct tlb_entry, exec));
    e_rr(e, 8, 0x85, T2, T2); /* test */
    no[0] = e_jcc_later(e, 5);
    e_mem(e, 8, 0x03, T0, addend);
    e_imm64(e, T1, (uintptr_t)t->block->host2);
    e_rr(e, 8, 0x3b, T0, T1); /* cmp */
    no[1] = e_jcc_later(e, 5);
    trans_flags_back(t);
}

/* Around inserted code that clobbers flags which the guest may still read: they are made again from registers that have
 * not changed since, or saved and restored. */
void trans_flags_aside(struct translation *t)
{
    t->producer_at[t->now] = t->producer;
    if (t->live[t->now] && t->producer.kind == TRANS_MAKE_NONE)
        trans_save_flags(&t->e, T2);
}

void trans_flags_back(struct translation *t)
{
    if (t->live[t->now] && t->producer.kind == TRANS_MAKE_NONE)
        trans_restore_flags(&t->e, T2);
    else if (t->live[t->now])
        trans_make_flags(&t->e, &t->producer);
}

static struct host_mem window(const struct cluster *g)
{
    return trans_field(offsetof(struct vcpu, cluster_window) + 8 * g->slot);
}

static struct cluster *cluster_of(struct translation *t, unsigned which)
{
    int g = t->clusters.of[t->now][which];
    return g >= 0 && t->clusters.cluster[g].members > 1 ? &t->clusters.cluster[g] : NULL;
}

/* Will the instruction leave a pointer for others?  Then tier 1 cannot do it alone and come back behind it. */
static bool begins_cluster(struct translation *t)
{
    struct cluster *a = cluster_of(t, 0), *b = cluster_of(t, 1);
    return (a && !a->known) || (b && !b->known);
}

static struct host_mem place_in(struct translation *t, struct cluster *g, unsigned which)
{
    t->held = t->clusters.of[t->now][which];
    return at(T0, t->clusters.at[t->now][which]);
}

/* The operand's cluster's pointer is there already: no check is needed. */
static bool known_place(struct translation *t, unsigned which, struct host_mem *m)
{
    struct cluster *g = cluster_of(t, which);
    if (!g || !g->known)
        return false;
    if (t->held != t->clusters.of[t->now][which])
        e_load(&t->e, 8, T0, window(g));
    *m = place_in(t, g, which);
    return true;
}

/* T0 = linear address of an operand, or of its cluster's lowest byte: now its host address. */
static struct host_mem looked_up(struct translation *t, unsigned which, unsigned size, bool write)
{
    struct cluster *g = cluster_of(t, which);
    trans_tlb_lookup(t, g ? g->size : size, g ? g->write : write);
    trans_flags_back(t);
    t->how = TRANS_DO_EXEC;
    t->held = -1;
    if (!g)
        return at(T0, 0);
    e_store(&t->e, 8, window(g), T0);
    g->known = true;
    return place_in(t, g, which);
}

/* A place in the host of the ModRM memory operand; guest flags as before, T0 used. */
struct host_mem trans_operand_place(struct translation *t, const struct insn *in, unsigned size, bool write)
{
    struct host_mem m;
    struct cluster *g = cluster_of(t, 0);
    if (known_place(t, 0, &m))
        return m;
    trans_lookup_begins(t);
    t->how = begins_cluster(t) ? TRANS_DO_REST : TRANS_DO_EXEC;
    trans_operand_offset(t, in, T0, in->asize == 4 ? 4 : trans_word(t), g ? g->lo : 0);
    if (in->flags & INSN_SEGMENTED)
        trans_add_segment(t, in->seg);
    return looked_up(t, 0, size, write);
}

/* The same for [reg + disp] on the stack. */
struct host_mem trans_stack_place(struct translation *t, int reg, int disp, bool write)
{
    struct host_mem m;
    struct cluster *g = cluster_of(t, 1);
    if (known_place(t, 1, &m))
        return m;
    trans_lookup_begins(t);
    t->how = begins_cluster(t) ? TRANS_DO_REST : TRANS_DO_EXEC;
    e_lea(&t->e, trans_word(t), T0, at(reg, disp + (g ? g->lo : 0)));
    return looked_up(t, 1, trans_word(t), write);
}
