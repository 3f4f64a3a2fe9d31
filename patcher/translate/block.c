// SPDX-License-Identifier: GPL-2.0-or-later
/* block.c - from a block of decoded instructions to host code.
 *
 * Guest arithmetic flags live in the host's.  Code that the translator adds (address translation, checks) clobbers
 * them; it saves and restores them only where the guest may still read them, by a backward pass over the block.  A flag
 * that is surely overwritten before it is read is allowed to be wrong in between, also in the frame of a page fault.
 */
#include "patcher/translate/translation.h"

/* ---- jumps ---------------------------------------------------------------------------------------------------------------- */
/* T0 = page's IP + offset, for a direct jump */
void trans_load_ip(struct translation *t, struct emit *e, uint64_t offset)
{
    struct host_mem ip = at(T0, (int32_t)offset);
    if (t->code64) { /* in case the target is not canonical (trans_miss_c) */
        e_mem(e, 4, 0xc7, 0, TRANS_FIELD(trans_from));
        e32(e, (uint32_t)TRANS_FROM_DIRECT);
    }
    e_load(e, 8, T0, TRANS_FIELD(trans_page));
    if (t->code64 && (int64_t)offset != (int32_t)offset) { /* almost 2 GiB from the end of the page */
        e_imm64(e, T1, offset);
        ip = (struct host_mem){T0, T1, 0, 0};
    }
    e_lea(e, trans_word(t), T0, ip);
}

static bool same_page(uint64_t offset)
{
    return offset < PAGE_SIZE;
}

/* The rel32 at patch leads to offset in this page. */
static void link_later(struct translation *t, uint8_t *patch, uint64_t offset)
{
    struct chain *l = chain_new(t->x, t->tb, patch, offset);
    t->links[t->link_count++] = l;
}

void trans_jump_to(struct translation *t, uint64_t offset)
{
    if (same_page(offset)) {
        link_later(t, e_jmp_later(&t->e), offset);
        return;
    }
    trans_load_ip(t, &t->e, offset);
    trans_jump_indirect(t->x, &t->e);
}

void trans_jump_if(struct translation *t, unsigned cc, uint64_t offset)
{
    uint8_t *patch = e_jcc_later(&t->e, cc);
    if (same_page(offset))
        link_later(t, patch, offset);
    else
        t->tail[t->tail_count++] = (struct tail){patch, offset};
}

uint64_t trans_target_offset(const struct translation *t, const struct insn *in)
{
    return t->tb->offset + in->imm;
}

/* ---- detours ------------------------------------------------------------------------------------------------------------------ */
const struct trans_point *trans_point_of(const struct translation *t, unsigned i)
{
    return &t->tb->point[i];
}

static bool same_detour(const struct slow *a, const struct slow *b)
{
    return a->insn == b->insn && a->how == b->how && a->retry == b->retry && a->wanted == b->wanted &&
           a->cold == b->cold;
}

static void emit_slow_paths(struct translation *t)
{
    struct emit *e = &t->cold;
    for (unsigned i = 0; i < t->slow_count; i++) {
        e_patch_here(e, t->slow[i].patch);
        while (i + 1 < t->slow_count && same_detour(&t->slow[i], &t->slow[i + 1]))
            e_patch_here(e, t->slow[++i].patch);
        const struct slow *s = &t->slow[i];
        unsigned n = s->insn;
        bool make = t->live[n] && t->producer_at[n].kind != TRANS_MAKE_NONE;
        if (make)
            trans_make_flags(e, &t->producer_at[n]);
        uint64_t point = (uintptr_t)trans_point_of(t, n) | (uint64_t)s->wanted << TRANS_WANTED_SHIFT;
        e_imm64(e, T2, s->cold ? (uintptr_t)s->cold : point);
        const uint8_t *back = s->retry ? s->retry : s->how == TRANS_DO_READY ? t->started[n] : t->resume[n];
        e_bytes(e, "\x4c\x8d\x1d", 3); /* lea T1, [rip + rel32] */
        e32(e, (uint32_t)(back - (e->at + 4)));
        e_jmp(e, t->x->detour[s->how][!make]);
    }
}

static void emit_tails(struct translation *t)
{
    for (unsigned i = 0; i < t->tail_count; i++) {
        e_patch_here(&t->cold, t->tail[i].patch);
        trans_load_ip(t, &t->cold, t->tail[i].offset);
        trans_jump_indirect(t->x, &t->cold);
    }
}

static void emit_links(struct translation *t)
{
    for (unsigned i = 0; i < t->link_count; i++) {
        e_patch_here(&t->cold, t->links[i]->patch);
        e_imm64(&t->cold, T2, (uintptr_t)t->links[i]);
        e_jmp(&t->cold, t->x->link);
    }
}

/* ---- the block as a whole --------------------------------------------------------------------------------------------------------- */
static bool too_odd(const struct translation *t, const struct insn *in, const struct trans_op *o)
{
    bool touches_memory = o->memory && o->kind != TRANS_NOP;
    if (touches_memory && (in->asize == 2 || (o->kind == TRANS_PLAIN && !in->mem_bytes)))
        return true;
    if (touches_memory && in->base / 8 == REG_BLOCK_IP && (in->disp > INT32_MAX - 4096 || in->disp < INT32_MIN + 4096))
        return true;
    if (touches_memory && o->kind != TRANS_LEA && in->flags & INSN_SEGMENTED && in->seg != X86_FS && in->seg != X86_GS)
        return true;
    if (!t->code64 && touches_memory && in->asize != 4)
        return true;
    if (o->kind == TRANS_BIT && (o->p66 || in->asize != trans_word(t)))
        return true;
    if (o->kind == TRANS_LEA && o->p66)
        return true;
    if (o->kind == TRANS_PLAIN && trans_high_byte_trouble(o))
        return true;
    bool stack = (o->kind >= TRANS_PUSH_REG && o->kind <= TRANS_LEAVE) || o->kind == TRANS_POP_SEG;
    stack |= o->kind == TRANS_CALL || o->kind == TRANS_RET || o->kind == TRANS_CALL_RM;
    return stack && !t->code64 && !(t->block->mode & MODE_STACK32);
}

static void study(struct translation *t)
{
    const struct block *r = t->block;
    unsigned n = r->count;
    for (unsigned i = 0; i < n; i++) {
        const struct insn *in = &r->insn[i];
        trans_op_of(&t->op[i], in, r->raw + in->ip, r->mode);
        struct trans_op v;
        if (t->op[i].kind == TRANS_EXEC && in->len && trans_vector_of(&v, in))
            t->op[i] = v;
        bool again = t->op[i].kind == TRANS_RDTSC && t->c->lockstep;
        if (in->len && (too_odd(t, in, &t->op[i]) || again || trans_net_leaves(t->x, t->tb->host + in->ip))) {
            t->op[i].kind = TRANS_EXEC;
            t->op[i].flags_read = FLAG_ALL;
            t->op[i].flags_killed = 0;
        }
    }
    t->live[n] = FLAG_ALL;
    for (unsigned i = n; i-- > 0;) {
        if (!r->insn[i].len || (r->insn[i].flags & INSN_ENDS && t->op[i].kind != TRANS_POPF))
            t->live[i] = FLAG_ALL;
        else
            t->live[i] = (t->live[i + 1] & ~t->op[i].flags_killed) | t->op[i].flags_read;
    }
}

/* Instructions after which vcpu.trans_vector may be wrong: rather too many than too few. */
static bool may_change_vector_use(const struct insn *in, enum trans_kind kind)
{
    unsigned op = in->opcode; /* by the decoder: what is run by tier 1 may be nothing that trans_op_of() understands */
    if (kind != TRANS_EXEC)
        return kind == TRANS_VECTOR;
    if (in->map == 0)
        return (op >= 0xd8 && op <= 0xdf) || op == 0x9b;
    return in->map != 0x0f || !(op == 0x02 || op == 0x03 || (op >= 0xa0 && op <= 0xad) || (op >= 0xb0 && op <= 0xc1));
}

static struct translated_block *new_block(struct translator *x, struct block *r)
{
    struct translated_block *tb = trans_keep(x, g_malloc0(sizeof *tb + r->count * sizeof(struct trans_point)));
    tb->block = r;
    tb->host = (uintptr_t)r->host;
    tb->offset = (uintptr_t)r->host & ~PAGE_MASK;
    return tb;
}

/* Before the instruction's code is emitted. */
static void note_point(struct translation *t, const struct insn *in, const struct trans_op *o)
{
    t->tb->point[t->now] = (struct trans_point){.host = t->e.at - t->tb->code,
                                                .number = t->now,
                                                .ip = in->ip,
                                                .live = t->live[t->now],
                                                .untranslated = in->len && o->kind == TRANS_EXEC,
                                                .vector_use = in->len && may_change_vector_use(in, o->kind)};
}

/* A stretch ends after so many blocks: tier 1 has to do it again, and meanwhile nobody gets an answer.  Flags stay. */
static uint8_t *end_long_stretch(struct emit *e)
{
    e_mov(e, 8, T2, H_RCX);
    e_load(e, 8, H_RCX, TRANS_FIELD(lockstep_left));
    e_lea(e, 8, H_RCX, at(H_RCX, -1));
    e_store(e, 8, TRANS_FIELD(lockstep_left), H_RCX);
    e_bytes(e, "\xe3\x05", 2); /* jrcxz over the next two */
    e_mov(e, 8, H_RCX, T2);
    e_bytes(e, "\xeb\x08", 2); /* jmp over the next two */
    e_mov(e, 8, H_RCX, T2);
    return e_jmp_later(e);
}

static void entry(struct translation *t)
{
    struct emit *e = &t->e;
    struct translated_block *tb = t->tb;
    struct trans_label label = {.host = (uintptr_t)t->block->host};
    uint8_t *label_at = e->at;
    e_bytes(e, &label, sizeof label);
    tb->indirect = e->at;
    e_mov(e, 8, T2, H_RCX);
    e_load(e, 8, H_RCX, trans_target_field(offsetof(struct jump_target, key)));
    e_lea(e, 8, H_RCX, (struct host_mem){H_RCX, T0, 0, 0});
    e_load(e, 8, T1, TRANS_FIELD(trans_context));
    e_lea(e, 8, H_RCX, (struct host_mem){H_RCX, T1, 0, 0});
    e_bytes(e, "\xe3\x08", 2); /* jrcxz over the next two */
    e_mov(e, 8, H_RCX, T2);
    e_jmp(e, t->x->search);
    e_mov(e, 8, H_RCX, T2);
    e_lea(e, 8, T0, at(T0, -(int)tb->offset));
    e_store(e, 8, TRANS_FIELD(trans_page), T0);
    tb->code = e->at;
    label.mode = t->block->mode;
    label.code = t->block->host2 ? 0 : tb->code - tb->indirect;
    if (!e->full)
        memcpy(label_at, &label, sizeof label);
    uint8_t *leave;
    if (!t->live[0]) {
        e_mem(e, 4, 0x83, 7, TRANS_FIELD(request)); /* cmp dword, 0 */
        e8(e, 0);
        leave = e_jcc_later(e, 5);
    } else {
        e_mov(e, 8, T2, H_RCX);
        e_load(e, 4, H_RCX, TRANS_FIELD(request));
        e_bytes(e, "\xe3\x08", 2);
        e_mov(e, 8, H_RCX, T2);
        leave = e_jmp_later(e);
        e_mov(e, 8, H_RCX, T2);
    }
    t->slow[t->slow_count++] = (struct slow){.patch = leave, .insn = UINT32_MAX};
    if (t->c->lockstep)
        t->long_enough = end_long_stretch(e);
    if (t->block->host2)
        trans_second_page(t, t->no_second_page);
}

static void emit_dead(struct translation *t)
{
    t->tb->dead = e_here(&t->cold);
    e_imm64(&t->cold, T2, (uintptr_t)t->tb);
    e_jmp(&t->cold, t->x->request);
    if (!t->block->host2)
        return;
    for (unsigned i = 0; i < G_N_ELEMENTS(t->no_second_page); i++)
        e_patch_here(&t->cold, t->no_second_page[i]);
    if (t->live[0])
        trans_restore_flags(&t->cold, T2);
    e_jmp(&t->cold, t->tb->dead);
}

/* How wide a cluster of operands may be: code that often met the end of a page gets narrower ones, then none. */
static unsigned cluster_span(struct translator *x, uint64_t host)
{
    static const uint16_t span[NEVER_CLUSTER] = {512, 64};
    unsigned narrow = trans_narrow(x, host);
    return narrow < NEVER_CLUSTER ? span[narrow] : 0;
}

struct translated_block *translate_block(struct vcpu *c, struct block *r, bool clusters)
{
    struct translation t = {.c = c, .x = c->translator, .block = r, .code64 = (r->mode & MODE_CODE) == CODE64};
    struct translator *x = c->translator;
    t.e = (struct emit){.at = x->rw + x->used, .end = x->rw + x->hot_bytes, .to_exec = x->rx - x->rw};
    t.cold = (struct emit){.at = x->rw + x->hot_bytes + x->cold_used, .end = x->rw + x->bytes, .to_exec = t.e.to_exec};
    t.tb = new_block(x, r);
    t.held = -1;
    study(&t);
    clusters_find(&t.clusters, r, t.op, t.code64, clusters ? cluster_span(x, t.tb->host) : 0);
    entry(&t);
    for (t.now = 0; t.now < r->count; t.now++) {
        const struct insn *in = &r->insn[t.now];
        note_point(&t, in, &t.op[t.now]);
        if (in->len) {
            translate_insn(&t, in, &t.op[t.now]);
            if (in->flags & INSN_ENDS && trans_goes_on(t.op[t.now].kind))
                trans_jump_to(&t, t.tb->offset + in->ip + in->len);
            trans_producer_after(&t.producer, &t.op[t.now], r->raw + in->ip, t.code64);
        } else
            trans_jump_to(&t, t.tb->offset + in->ip); /* the block goes on elsewhere */
        t.resume[t.now] = t.e.at;
        t.tb->point[t.now].checked = t.vector_checked;
    }
    const uint8_t *code_end = e_here(&t.e);
    e_bytes(&t.e, "\x0f\x0b", 2); /* not reached */
    emit_dead(&t);
    e_patch(&t.e, t.slow[0].patch, t.tb->dead);
    if (t.long_enough)
        e_patch(&t.e, t.long_enough, t.tb->dead);
    t.slow[0] = t.slow[--t.slow_count];
    emit_slow_paths(&t);
    emit_tails(&t);
    emit_links(&t);
    enum { LABEL = sizeof(struct trans_label) };
    x->used = ((t.e.at - x->rw + LABEL + 15) & ~15ull) - LABEL; /* the next one's entry is aligned */
    x->cold_used = t.cold.at - (x->rw + x->hot_bytes);
    t.tb->indirect += t.e.to_exec;
    t.tb->code += t.e.to_exec;
    t.tb->bytes = code_end - t.tb->code;
    return t.tb;
}
