// SPDX-License-Identifier: GPL-2.0-or-later
/* xl_run.c - from a run of decoded instructions to host code.
 *
 * Guest arithmetic flags live in the host's.  Code that the translator adds (address translation, checks) clobbers
 * them; it saves and restores them only where the guest may still read them, by a backward pass over the run.  A flag
 * that is surely overwritten before it is read is allowed to be wrong in between, also in the frame of a page fault.
 *
 * A memory operand becomes [T0] after a look into the software TLB: the entry's tag xor the address is the offset in
 * the page if they match, so one unsigned compare with 4096 - size catches a wrong page and an access across its end.
 * Whatever else there is to an access (miss, MMIO, watched code page) makes tier 1 run the whole instruction. */
#include "xl.h"
#include <stddef.h>

enum { INSNS = XL_INSNS, SLOW_MAX = 6 * INSNS };

struct slow { /* a jump to the detour of an instruction */
    uint8_t *patch;
    unsigned insn;
    enum xl_detour how;
};
struct tail { /* a conditional jump to another page */
    uint8_t *patch;
    uint64_t offset;
};
struct translation {
    struct vcpu *c;
    struct xl *x;
    struct run *run;
    struct xl_run *xr;
    struct emit e;
    struct xl_op op[INSNS];
    uint8_t live[INSNS]; /* FLAG_* that matter before each instruction */
    struct slow slow[SLOW_MAX];
    unsigned slow_count;
    uint8_t *resume[INSNS]; /* writable address behind each instruction */
    struct tail tail[INSNS];
    unsigned tail_count;
    struct xl_link *links[INSNS];
    unsigned link_count;
    bool code64;
    struct emit cold;                      /* detours and exits, away from what runs */
    struct xl_producer producer;           /* how the flags can be made again right now */
    struct xl_producer producer_at[INSNS]; /* ... and before each instruction that has detours */
    uint32_t vector_checked;               /* classes whose bit in xl_vector has been looked at in this run */
    unsigned now;                          /* index of the instruction being translated */
    struct xl_groups groups;
    int held;                /* the group whose pointer is in T0, or -1 */
    enum xl_detour how;      /* ... a check that fails now goes on */
    uint8_t *started[INSNS]; /* where the code of each instruction begins */
    bool may_return;         /* tier 1 may come back behind this instruction: T0 is lost then */
};

/* ---- registers ------------------------------------------------------------------------------------------------------- */
static struct host_mem gpr_field(unsigned guest)
{
    return xl_field(offsetof(struct vcpu, gpr) + 8 * guest);
}

/* The host register with guest register n, loaded into temp if it lives in memory. */
static int reg_in(struct translation *t, unsigned n, int temp)
{
    int h = xl_home(n);
    if (h >= 0)
        return h;
    e_load(&t->e, 8, temp, gpr_field(n));
    return temp;
}

static void reg_out(struct translation *t, unsigned n, int temp)
{
    if (xl_home(n) < 0)
        e_store(&t->e, 8, gpr_field(n), temp);
}

/* ---- addresses ---------------------------------------------------------------------------------------------------------- */
static void slow_jcc(struct translation *t, unsigned cc)
{
    t->slow[t->slow_count++] = (struct slow){e_jcc_later(&t->e, cc), t->now, t->how};
    t->may_return |= t->how == XL_DO_EXEC;
}

static unsigned word(const struct translation *t)
{
    return t->code64 ? 8 : 4;
}

/* The offset (before any segment base) of the memory operand, plus `by`, into `to`.  Flags stay. */
static void operand_offset(struct translation *t, const struct insn *in, int to, unsigned size, int by)
{
    struct host_mem m = {-1, -1, in->scale, (int32_t)((uint32_t)in->disp + (uint32_t)by)};
    unsigned base = in->base / 8, index = in->index / 8;
    if (base == REG_RUN_IP) {
        e_load(&t->e, 8, to, XL_FIELD(xl_page));
        m.base = to;
        m.disp += t->xr->offset;
    } else if (base != REG_ZERO) {
        m.base = reg_in(t, base, to);
    }
    if (index != REG_ZERO)
        m.index = reg_in(t, index, T1);
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
static void add_segment(struct translation *t, unsigned seg)
{
    size_t field = offsetof(struct vcpu, seg) + seg * sizeof(struct seg);
    if (!t->code64) {
        e_mem(&t->e, 4, 0x83, 7, xl_field(field + offsetof(struct seg, hi)));
        e8(&t->e, 0xff);
        slow_jcc(t, 5);
        e_mem(&t->e, 4, 0x83, 7, xl_field(field + offsetof(struct seg, lo)));
        e8(&t->e, 0);
        slow_jcc(t, 5);
        e_mem(&t->e, 1, 0x80, 7, xl_field(field + offsetof(struct seg, can)));
        e8(&t->e, ACCESS_READ | ACCESS_WRITE);
        slow_jcc(t, 5);
    }
    e_mem(&t->e, word(t), 0x03, T0, xl_field(field + offsetof(struct seg, base)));
}

/* T0: linear address -> host address.  Clobbers flags, T1, T2. */
static void tlb_lookup(struct translation *t, unsigned size, bool write)
{
    struct emit *e = &t->e;
    int tag = write ? offsetof(struct tlb_entry, write) : offsetof(struct tlb_entry, read);
    _Static_assert(sizeof(struct tlb_entry) == 32, "the index below is scaled by it");
    struct host_mem entry = xl_field(offsetof(struct vcpu, views[t->run->mode >> MODE_TABLE_SHIFT & 3]));
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
    e_mem(e, 8, 0x33, T2, XL_FIELD(tlb_gen));
    e_rr(e, 8, 0x81, 7, T2); /* cmp */
    e32(e, PAGE_SIZE - size);
    slow_jcc(t, 7); /* above */
    e_mem(e, 8, 0x03, T0, entry);
}

/* Around inserted code that clobbers flags which the guest may still read: they are made again from registers that have
 * not changed since, or saved and restored. */
static void flags_aside(struct translation *t)
{
    t->producer_at[t->now] = t->producer;
    if (t->live[t->now] && t->producer.kind == XL_MAKE_NONE)
        xl_save_flags(&t->e, T2);
}

static void flags_back(struct translation *t)
{
    if (t->live[t->now] && t->producer.kind == XL_MAKE_NONE)
        xl_restore_flags(&t->e, T2);
    else if (t->live[t->now])
        xl_make_flags(&t->e, &t->producer);
}

static struct host_mem window(const struct xl_group *g)
{
    return xl_field(offsetof(struct vcpu, xl_window) + 8 * g->slot);
}

static struct xl_group *group_of(struct translation *t, unsigned which)
{
    int g = t->groups.of[t->now][which];
    return g >= 0 && t->groups.group[g].members > 1 ? &t->groups.group[g] : NULL;
}

/* Will the instruction leave a pointer for others?  Then tier 1 cannot do it alone and come back behind it. */
static bool begins_group(struct translation *t)
{
    struct xl_group *a = group_of(t, 0), *b = group_of(t, 1);
    return (a && !a->known) || (b && !b->known);
}

static struct host_mem place_in(struct translation *t, struct xl_group *g, unsigned which)
{
    t->held = t->groups.of[t->now][which];
    return at(T0, t->groups.at[t->now][which]);
}

/* The operand's group's pointer is there already: no check is needed. */
static bool known_place(struct translation *t, unsigned which, struct host_mem *m)
{
    struct xl_group *g = group_of(t, which);
    if (!g || !g->known)
        return false;
    if (t->held != t->groups.of[t->now][which])
        e_load(&t->e, 8, T0, window(g));
    *m = place_in(t, g, which);
    return true;
}

/* T0 = linear address of an operand, or of its group's lowest byte: now its host address. */
static struct host_mem looked_up(struct translation *t, unsigned which, unsigned size, bool write)
{
    struct xl_group *g = group_of(t, which);
    tlb_lookup(t, g ? g->size : size, g ? g->write : write);
    flags_back(t);
    t->how = XL_DO_EXEC;
    t->held = -1;
    if (!g)
        return at(T0, 0);
    e_store(&t->e, 8, window(g), T0);
    g->known = true;
    return place_in(t, g, which);
}

/* A place in the host of the ModRM memory operand; guest flags as before, T0 used. */
static struct host_mem operand_place(struct translation *t, const struct insn *in, unsigned size, bool write)
{
    struct host_mem m;
    struct xl_group *g = group_of(t, 0);
    if (known_place(t, 0, &m))
        return m;
    flags_aside(t);
    t->how = begins_group(t) ? XL_DO_REST : XL_DO_EXEC;
    operand_offset(t, in, T0, in->asize == 4 ? 4 : word(t), g ? g->lo : 0);
    if (in->flags & INSN_SEGMENTED)
        add_segment(t, in->seg);
    return looked_up(t, 0, size, write);
}

/* The same for [reg + disp] on the stack. */
static struct host_mem stack_place(struct translation *t, int reg, int disp, bool write)
{
    struct host_mem m;
    struct xl_group *g = group_of(t, 1);
    if (known_place(t, 1, &m))
        return m;
    flags_aside(t);
    t->how = begins_group(t) ? XL_DO_REST : XL_DO_EXEC;
    e_lea(&t->e, word(t), T0, at(reg, disp + (g ? g->lo : 0)));
    return looked_up(t, 1, word(t), write);
}

static void adjust_rsp(struct translation *t, int by)
{
    e_lea(&t->e, word(t), H_GUEST_RSP, at(H_GUEST_RSP, by));
}

/* ---- jumps ---------------------------------------------------------------------------------------------------------------- */
/* T0 = IP: go there, wherever it is.  No flags are touched.  See xl_target_index(). */
static void jump_indirect(const struct translation *t, struct emit *e)
{
    int from = T0;
    if (t->x->bmi2) {
        e_bytes(e, "\xc4\x43\xfb\xf0\xda\x0c", 6); /* rorx T1, T0, 12 */
        e_lea(e, 4, T1, (struct host_mem){T1, T0, 0, 0});
        from = T1;
    }
    e_rr(e, 4, 0x0fb7, T1, from); /* movzx */
    e_lea(e, 8, T1, (struct host_mem){T1, T1, 0, 0});
    struct host_mem code = xl_field(offsetof(struct vcpu, xl_target) + offsetof(struct xl_target, code));
    code.index = T1;
    code.scale = 3;
    e_mem(e, 4, 0xff, 4, code);
}

static void load_ip(struct translation *t, struct emit *e, uint64_t offset) /* T0 = page's IP + offset */
{
    e_load(e, 8, T0, XL_FIELD(xl_page));
    e_lea(e, word(t), T0, at(T0, (int32_t)offset));
}

static bool same_page(uint64_t offset)
{
    return offset < PAGE_SIZE;
}

/* The rel32 at patch leads to offset in this page. */
static void link_later(struct translation *t, uint8_t *patch, uint64_t offset)
{
    struct xl_link *l = xl_link_new(t->x, t->xr, patch, offset);
    t->links[t->link_count++] = l;
}

static void jump_to(struct translation *t, uint64_t offset)
{
    if (same_page(offset)) {
        link_later(t, e_jmp_later(&t->e), offset);
        return;
    }
    load_ip(t, &t->e, offset);
    jump_indirect(t, &t->e);
}

static void jump_if(struct translation *t, unsigned cc, uint64_t offset)
{
    uint8_t *patch = e_jcc_later(&t->e, cc);
    if (same_page(offset))
        link_later(t, patch, offset);
    else
        t->tail[t->tail_count++] = (struct tail){patch, offset};
}

static uint64_t target_offset(const struct translation *t, const struct insn *in)
{
    return t->xr->offset + in->imm;
}

/* ---- instructions ----------------------------------------------------------------------------------------------------------- */
static unsigned operand_size(const struct xl_op *o, unsigned byte_or_more)
{
    if (byte_or_more == 1)
        return 1;
    return o->rex & 8 ? 8 : o->p66 ? 2 : 4;
}

/* AH CH DH BH cannot stand in an instruction that needs REX on the host.  Memory operands do not (see plain()). */
static bool high_byte_trouble(const struct xl_op *o)
{
    int reg = xl_plain_reg(o), rm = xl_plain_rm(o);
    bool high = (reg >= 0 && xl_high_byte(o, reg, o->reg_size)) || (rm >= 0 && xl_high_byte(o, rm, o->rm_size));
    bool rex = o->rex;
    if (reg >= 0 && !xl_high_byte(o, reg, o->reg_size))
        rex |= xl_home(reg) < 0 || xl_home(reg) > 7 || (o->reg_size == 1 && xl_home(reg) > 3);
    if (rm >= 0 && !xl_high_byte(o, rm, o->rm_size))
        rex |= xl_home(rm) < 0 || xl_home(rm) > 7 || (o->rm_size == 1 && xl_home(rm) > 3);
    return high && rex;
}

/* Host register for operand n: itself for AH CH DH BH, else its home, or temp, loaded if it is read. */
static int operand_register(struct translation *t, int n, bool high, bool read, int temp)
{
    if (high)
        return n;
    return xl_home(n) < 0 && !read ? temp : reg_in(t, n, temp);
}

static void plain(struct translation *t, const struct insn *in, const struct xl_op *o, const uint8_t *raw)
{
    int reg_no = xl_plain_reg(o), rm_no = xl_plain_rm(o);
    int reg = o->modrm >> 3 & 7, rm = 0, rm_temp = reg_no == rm_no ? T1 : T2; /* one register, one temporary */
    struct host_mem m = {0};
    if (o->memory) {
        m = operand_place(t, in, in->mem_bytes, !o->reads_only);
        rm = T0;
    } else if (rm_no >= 0) {
        rm = operand_register(t, rm_no, xl_high_byte(o, rm_no, o->rm_size), o->rm_read, rm_temp);
    }
    if (reg_no >= 0)
        reg = operand_register(t, reg_no, xl_high_byte(o, reg_no, o->reg_size), o->reg_read || reg_no == rm_no, T1);
    bool high_with_memory = o->memory && reg_no >= 0 && xl_high_byte(o, reg_no, o->reg_size);
    if (high_with_memory) { /* no REX, so no T0 */
        e_mov(&t->e, 8, T1, H_RSI);
        e_mov(&t->e, 8, H_RSI, T0);
        rm = H_RSI;
    }
    if (o->map == 0x0f && o->opcode == 0xc7 && o->rex & 8) { /* CMPXCHG16B wants it aligned */
        flags_aside(t);
        e_lea(&t->e, 4, T1, m);
        e_rr(&t->e, 4, 0xf7, 0, T1); /* test */
        e32(&t->e, 15);
        slow_jcc(t, 5);
        flags_back(t);
    }
    /* Alone, a vCPU sees its own operations whole, and nothing else touches guest memory in mid-instruction. */
    xl_plain_bytes(&t->e, o, raw, reg, rm, m.disp, t->code64, o->lock && t->c->vm->cfg->cpus > 1);
    if (high_with_memory)
        e_mov(&t->e, 8, H_RSI, T1);
    if (reg_no >= 0 && o->reg_written && !xl_high_byte(o, reg_no, o->reg_size))
        reg_out(t, reg_no, T1);
    if (rm_no >= 0 && o->rm_written && !xl_high_byte(o, rm_no, o->rm_size))
        reg_out(t, rm_no, rm_temp);
}

/* Division that surely does not fault: unsigned, if the high half is below the divisor; signed, if it is but the sign of
 * the low half and the divisor neither 0 nor -1. */
static void divide(struct translation *t, const struct insn *in, const struct xl_op *o, const uint8_t *raw)
{
    struct emit *e = &t->e;
    unsigned size = o->rex & 8 ? 8 : 4;
    int n = xl_plain_rm(o), divisor = n >= 0 ? reg_in(t, n, T0) : T0;
    if (o->memory) {
        e_load(e, size, T0, operand_place(t, in, size, false));
    }
    flags_aside(t);
    if ((o->modrm >> 3 & 7) == 6) {
        e_rr(e, size, 0x3b, H_RDX, divisor);
        slow_jcc(t, 3);
    } else {
        e_lea(e, size, T1, at(divisor, 1));
        e_rr(e, size, 0x83, 7, T1);
        e8(e, 1);
        slow_jcc(t, 6);
        e_mov(e, size, T1, H_RAX);
        e_rr(e, size, 0xc1, 7, T1);
        e8(e, size * 8 - 1);
        e_rr(e, size, 0x3b, T1, H_RDX);
        slow_jcc(t, 5);
    }
    flags_back(t);
    struct xl_op as_register = *o;
    as_register.memory = false;
    xl_plain_bytes(e, &as_register, raw, o->modrm >> 3 & 7, divisor, 0, t->code64, false);
}

static void lea(struct translation *t, const struct insn *in, const struct xl_op *o)
{
    int n = (o->modrm >> 3 & 7) | (o->rex & 4) << 1;
    unsigned size = operand_size(o, 4);
    int to = xl_home(n) >= 0 ? xl_home(n) : T0;
    unsigned narrow = size == 8 && in->asize == 8 ? 8 : 4;
    if (in->base / 8 == REG_RUN_IP || (in->base / 8 < 16 && xl_home(in->base / 8) < 0)) { /* a temporary is needed */
        operand_offset(t, in, T0, narrow, 0);
        if (to != T0)
            e_mov(&t->e, 8, to, T0);
    } else {
        operand_offset(t, in, to, narrow, 0);
    }
    if (to == T0)
        e_store(&t->e, 8, gpr_field(n), T0);
}

static void push_value_done(struct translation *t)
{
    adjust_rsp(t, -(int)word(t));
}

static void push_reg(struct translation *t, unsigned n)
{
    struct host_mem m = stack_place(t, H_GUEST_RSP, -(int)word(t), true);
    int r = reg_in(t, n, T1);
    e_store(&t->e, word(t), m, r);
    push_value_done(t);
}

static void push_imm(struct translation *t, const struct xl_op *o, const uint8_t *raw)
{
    int32_t v = (int8_t)raw[o->imm_at];
    if (o->opcode == 0x68)
        memcpy(&v, raw + o->imm_at, 4);
    e_mem(&t->e, word(t), 0xc7, 0, stack_place(t, H_GUEST_RSP, -(int)word(t), true));
    e32(&t->e, v);
    push_value_done(t);
}

/* The branch target or value of FF /2 /4 /6, from memory to vcpu.xl_temp. */
static void load_to_temp(struct translation *t, const struct insn *in)
{
    e_load(&t->e, word(t), T0, operand_place(t, in, word(t), false));
    t->held = -1;
    e_store(&t->e, 8, XL_FIELD(xl_temp), T0);
}

static void push_rm(struct translation *t, const struct insn *in, const struct xl_op *o)
{
    if (!o->memory) {
        push_reg(t, xl_plain_rm(o));
        return;
    }
    load_to_temp(t, in);
    struct host_mem m = stack_place(t, H_GUEST_RSP, -(int)word(t), true);
    e_load(&t->e, 8, T1, XL_FIELD(xl_temp));
    e_store(&t->e, word(t), m, T1);
    push_value_done(t);
}

static void pop_reg(struct translation *t, const struct xl_op *o)
{
    int n = xl_plain_rm(&(struct xl_op){.reg_in_opcode = true, .opcode = o->opcode, .rex = o->rex});
    struct host_mem m = stack_place(t, H_GUEST_RSP, 0, false);
    if (n != X86_RSP)
        adjust_rsp(t, word(t));
    int to = xl_home(n) >= 0 ? xl_home(n) : T1;
    e_load(&t->e, word(t), to, m);
    reg_out(t, n, T1);
}

static void leave(struct translation *t)
{
    struct host_mem m = stack_place(t, H_RBP, 0, false);
    e_lea(&t->e, word(t), H_GUEST_RSP, at(H_RBP, word(t)));
    e_load(&t->e, word(t), H_RBP, m);
}

/* undo: what was there may have to come back (xl_miss_c). */
static void push_return(struct translation *t, const struct insn *in, bool undo)
{
    struct host_mem m = stack_place(t, H_GUEST_RSP, -(int)word(t), true);
    if (undo && t->code64) {
        e_load(&t->e, 8, T1, m);
        e_store(&t->e, 8, XL_FIELD(xl_below), T1);
    }
    e_load(&t->e, 8, T1, XL_FIELD(xl_page));
    e_lea(&t->e, word(t), T1, at(T1, t->xr->offset + in->ip + in->len));
    e_store(&t->e, word(t), m, T1);
}

static void call(struct translation *t, const struct insn *in)
{
    push_return(t, in, false);
    push_value_done(t);
    jump_to(t, target_offset(t, in));
}

/* In case the target is not canonical: then the jump itself faults (xl_miss_c). */
static void note_jump(struct translation *t, const struct insn *in, int rsp)
{
    if (!t->code64)
        return;
    e_mem(&t->e, 4, 0xc7, 0, XL_FIELD(xl_from));
    e32(&t->e, (uint32_t)rsp << 12 | (t->xr->offset + in->ip));
}

static void jump_rm(struct translation *t, const struct insn *in, const struct xl_op *o, bool is_call)
{
    if (o->memory)
        load_to_temp(t, in);
    if (is_call)
        push_return(t, in, true);
    if (o->memory)
        e_load(&t->e, 8, T0, XL_FIELD(xl_temp));
    else
        e_mov(&t->e, word(t), T0, reg_in(t, xl_plain_rm(o), T0));
    if (is_call)
        push_value_done(t);
    note_jump(t, in, is_call ? -(int)word(t) : 0);
    jump_indirect(t, &t->e);
}

static void ret(struct translation *t, const struct insn *in, const struct xl_op *o, const uint8_t *raw)
{
    uint16_t more = 0;
    if (o->opcode == 0xc2)
        memcpy(&more, raw + o->imm_at, 2);
    e_load(&t->e, word(t), T0, stack_place(t, H_GUEST_RSP, 0, false));
    adjust_rsp(t, word(t) + more);
    note_jump(t, in, word(t) + more);
    jump_indirect(t, &t->e);
}

/* The last x87 instruction before anybody can ask leaves its address. */
static void x87_pointer(struct translation *t, const struct insn *in, const struct xl_op *o)
{
    unsigned next = t->now + 1;
    if (!o->memory && next < t->run->count && t->op[next].kind == XL_VECTOR && xl_vector_x87(&t->op[next]) &&
        !t->op[next].memory)
        return; /* the next one cannot leave before it has said so itself */
    e_load(&t->e, 8, T0, XL_FIELD(xl_page));
    e_lea(&t->e, 8, T0, at(T0, t->xr->offset + in->ip));
    e_store(&t->e, 8, XL_FIELD(xl_x87_ip), T0);
    if (o->memory) {
        e_mem(&t->e, 1, 0xc6, 0, XL_FIELD(xl_x87_seg));
        e8(&t->e, in->seg + 1);
    }
    e_mem(&t->e, 2, 0xc7, 0, XL_FIELD(xl_x87_op));
    e8(&t->e, xl_vector_x87(o) & 0xff);
    e8(&t->e, xl_vector_x87(o) >> 8 & 0xff);
}

static void vector(struct translation *t, const struct insn *in, const struct xl_op *o)
{
    struct emit *e = &t->e;
    unsigned class = xl_vector_class(o);
    struct host_mem m = {0};
    if (class & ~t->vector_checked) {
        flags_aside(t);
        t->how = XL_DO_READY;
        e_mem(e, 4, 0xf7, 0, XL_FIELD(xl_vector)); /* test */
        e32(e, class);
        slow_jcc(t, 4);
        flags_back(t);
        t->how = XL_DO_EXEC;
        t->held = -1; /* whoever comes back from there has lost T0 */
        t->vector_checked |= class;
    }
    if (o->memory && xl_vector_x87(o)) {
        operand_offset(t, in, T2, in->asize == 4 ? 4 : word(t), 0);
        e_store(e, 8, XL_FIELD(xl_x87_dp), T2);
    }
    if (o->memory)
        m = operand_place(t, in, xl_vector_bytes(o), !o->reads_only);
    if (o->memory && xl_vector_align(o) > 1) {
        flags_aside(t);
        e_lea(e, 4, T1, m);
        e_rr(e, 4, 0xf7, 0, T1); /* test T1, align - 1 */
        e32(e, xl_vector_align(o) - 1);
        slow_jcc(t, 5);
        flags_back(t);
    }
    xl_vector_emit(e, o, m.disp);
    if (xl_vector_x87(o))
        x87_pointer(t, in, o);
}

/* CLI STI CLD STD.  STI behind which an interrupt waits, and whoever needs IOPL, is tier 1's. */
static void set_flag(struct translation *t, const struct insn *in, const struct xl_op *o)
{
    struct emit *e = &t->e;
    bool direction = o->opcode >= 0xfc, set = o->opcode & 1;
    uint32_t bit = direction ? RFLAG_DF : RFLAG_IF;
    flags_aside(t);
    if (!direction) {
        e_mem(e, 1, 0x80, 7, XL_FIELD(cpl)); /* cmp byte, 0 */
        e8(e, 0);
        slow_jcc(t, 5);
    }
    if (set && !direction) {
        e_mem(e, 1, 0x80, 7, XL_FIELD(intr_level));
        e8(e, 0);
        slow_jcc(t, 5);
        e_mem(e, 4, 0xf7, 0, XL_FIELD(rflags)); /* test */
        e32(e, bit);
        slow_jcc(t, 5);
        e_load(e, 8, T0, XL_FIELD(xl_page));
        e_lea(e, word(t), T0, at(T0, t->xr->offset + in->ip + in->len));
        e_store(e, 8, XL_FIELD(sti_rip), T0);
    }
    e_mem(e, 4, 0x81, set ? 1 : 4, XL_FIELD(rflags)); /* or, and */
    e32(e, set ? bit : ~bit);
    flags_back(t);
}

/* The operand is the dword or qword that has the bit. */
static void bit_in_memory(struct translation *t, const struct insn *in, const struct xl_op *o, const uint8_t *raw)
{
    struct emit *e = &t->e;
    unsigned size = o->rex & 8 ? 8 : 4, n = xl_plain_reg(o);
    flags_aside(t);
    operand_offset(t, in, T0, word(t), 0);
    e_rr(e, 8, size == 8 ? 0x8b : 0x63, T1, reg_in(t, n, T1)); /* mov, movsxd */
    e_rr(e, 8, 0xc1, 7, T1);                                   /* sar */
    e8(e, size == 8 ? 6 : 5);
    e_lea(e, word(t), T0, (struct host_mem){T0, T1, size == 8 ? 3 : 2, 0});
    if (in->flags & INSN_SEGMENTED)
        add_segment(t, in->seg);
    tlb_lookup(t, size, !o->reads_only);
    e_rr(e, 4, 0x8b, T1, reg_in(t, n, T1));
    e_rr(e, 4, 0x83, 4, T1); /* and */
    e8(e, size * 8 - 1);
    flags_back(t);
    xl_plain_bytes(e, o, raw, T1, T0, 0, t->code64, o->lock && t->c->vm->cfg->cpus > 1);
}

/* ---- detours ------------------------------------------------------------------------------------------------------------------ */
static const struct xl_point *point_of(const struct translation *t, unsigned i)
{
    return &t->xr->point[i];
}

/* In line: tier 1 runs it, then code goes on behind. */
static void exec(struct translation *t)
{
    struct emit *e = &t->e;
    e_imm64(e, T2, (uintptr_t)point_of(t, t->now));
    e_bytes(e, "\x4c\x8d\x1d\x05\x00\x00\x00", 7); /* lea T1, [rip + 5]: behind the jump */
    e_jmp(e, t->x->detour[XL_DO_EXEC][false]);
}

static void emit_slow_paths(struct translation *t)
{
    struct emit *e = &t->cold;
    for (unsigned i = 0; i < t->slow_count; i++) {
        e_patch_here(e, t->slow[i].patch);
        while (i + 1 < t->slow_count && t->slow[i + 1].insn == t->slow[i].insn && t->slow[i + 1].how == t->slow[i].how)
            e_patch_here(e, t->slow[++i].patch);
        unsigned n = t->slow[i].insn;
        bool make = t->live[n] && t->producer_at[n].kind != XL_MAKE_NONE;
        if (make)
            xl_make_flags(e, &t->producer_at[n]);
        e_imm64(e, T2, (uintptr_t)point_of(t, n));
        const uint8_t *back = t->slow[i].how == XL_DO_READY ? t->started[n] : t->resume[n];
        e_bytes(e, "\x4c\x8d\x1d", 3); /* lea T1, [rip + rel32] */
        e32(e, (uint32_t)(back - (e->at + 4)));
        e_jmp(e, t->x->detour[t->slow[i].how][!make]);
    }
}

static void emit_tails(struct translation *t)
{
    for (unsigned i = 0; i < t->tail_count; i++) {
        e_patch_here(&t->cold, t->tail[i].patch);
        load_ip(t, &t->cold, t->tail[i].offset);
        jump_indirect(t, &t->cold);
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

/* ---- the run as a whole --------------------------------------------------------------------------------------------------------- */
static bool too_odd(const struct translation *t, const struct insn *in, const struct xl_op *o)
{
    bool touches_memory = o->memory && o->kind != XL_NOP;
    if (touches_memory &&
        (in->asize == 2 || (t->code64 && in->disp != (int32_t)in->disp) || (o->kind == XL_PLAIN && !in->mem_bytes)))
        return true;
    if (touches_memory && in->base / 8 == REG_RUN_IP && (in->disp > INT32_MAX - 4096 || in->disp < INT32_MIN + 4096))
        return true;
    if (touches_memory && o->kind != XL_LEA && in->flags & INSN_SEGMENTED && in->seg != X86_FS && in->seg != X86_GS)
        return true;
    if (!t->code64 && touches_memory && in->asize != 4)
        return true;
    if (o->kind == XL_BIT && (o->p66 || in->asize != word(t)))
        return true;
    if (o->kind == XL_LEA && o->p66)
        return true;
    if (o->kind == XL_PLAIN && high_byte_trouble(o))
        return true;
    bool stack = o->kind >= XL_PUSH_REG && o->kind <= XL_LEAVE;
    stack |= o->kind == XL_CALL || o->kind == XL_RET || o->kind == XL_CALL_RM;
    return stack && !t->code64 && !(t->run->mode & MODE_STACK32);
}

static void study(struct translation *t)
{
    const struct run *r = t->run;
    unsigned n = r->count;
    for (unsigned i = 0; i < n; i++) {
        const struct insn *in = &r->insn[i];
        xl_op_of(&t->op[i], in, r->raw + in->ip, r->mode);
        struct xl_op v;
        if (t->op[i].kind == XL_EXEC && in->len && xl_vector_of(&v, in))
            t->op[i] = v;
        if (in->len && too_odd(t, in, &t->op[i])) {
            t->op[i].kind = XL_EXEC;
            t->op[i].flags_read = FLAG_ALL;
            t->op[i].flags_killed = 0;
        }
    }
    t->live[n] = FLAG_ALL;
    for (unsigned i = n; i-- > 0;) {
        if (!r->insn[i].len || r->insn[i].flags & INSN_ENDS)
            t->live[i] = FLAG_ALL;
        else
            t->live[i] = (t->live[i + 1] & ~t->op[i].flags_killed) | t->op[i].flags_read;
    }
}

/* Instructions after which vcpu.xl_vector may be wrong: rather too many than too few. */
static bool may_change_vector_use(const struct xl_op *o)
{
    unsigned op = o->opcode;
    if (o->kind != XL_EXEC)
        return o->kind == XL_VECTOR;
    if (o->map == 0)
        return (op >= 0xd8 && op <= 0xdf) || op == 0x9b || op == 0xc4 || op == 0xc5 || op == 0x62;
    return o->map != 0x0f || !(op == 0x02 || op == 0x03 || (op >= 0xa0 && op <= 0xad) || (op >= 0xb0 && op <= 0xc1));
}

static struct xl_run *new_run(struct xl *x, struct run *r)
{
    struct xl_run *xr = xl_keep(x, g_malloc0(sizeof *xr + r->count * sizeof(struct xl_point)));
    xr->run = r;
    xr->host = (uintptr_t)r->host;
    xr->offset = (uintptr_t)r->host & ~PAGE_MASK;
    return xr;
}

/* Before the instruction's code is emitted. */
static void note_point(struct translation *t, const struct insn *in, const struct xl_op *o)
{
    t->xr->point[t->now] = (struct xl_point){.host = t->e.at - t->xr->code,
                                             .number = t->now,
                                             .live = t->live[t->now],
                                             .untranslated = in->len && o->kind == XL_EXEC,
                                             .vector_use = in->len && may_change_vector_use(o)};
}

static void entry(struct translation *t)
{
    struct emit *e = &t->e;
    struct xl_run *xr = t->xr;
    struct host_mem key = xl_field(offsetof(struct vcpu, xl_target) + offsetof(struct xl_target, key));
    key.index = T1;
    key.scale = 3;
    xr->indirect = e->at;
    e_mov(e, 8, T2, H_RCX);
    e_load(e, 8, H_RCX, key);
    e_lea(e, 8, H_RCX, (struct host_mem){H_RCX, T0, 0, 0});
    e_load(e, 8, T1, XL_FIELD(xl_context));
    e_lea(e, 8, H_RCX, (struct host_mem){H_RCX, T1, 0, 0});
    e_bytes(e, "\xe3\x08", 2); /* jrcxz over the next two */
    e_mov(e, 8, H_RCX, T2);
    e_jmp(e, t->x->miss);
    e_mov(e, 8, H_RCX, T2);
    e_lea(e, 8, T0, at(T0, -(int)xr->offset));
    e_store(e, 8, XL_FIELD(xl_page), T0);
    xr->code = e->at;
    uint8_t *leave;
    if (!t->live[0]) {
        e_mem(e, 4, 0x83, 7, XL_FIELD(request)); /* cmp dword, 0 */
        e8(e, 0);
        leave = e_jcc_later(e, 5);
    } else {
        e_mov(e, 8, T2, H_RCX);
        e_load(e, 4, H_RCX, XL_FIELD(request));
        e_bytes(e, "\xe3\x08", 2);
        e_mov(e, 8, H_RCX, T2);
        leave = e_jmp_later(e);
        e_mov(e, 8, H_RCX, T2);
    }
    t->slow[t->slow_count++] = (struct slow){leave, UINT32_MAX, XL_DO_EXEC};
}

static void emit_dead(struct translation *t)
{
    t->xr->dead = e_here(&t->cold);
    e_imm64(&t->cold, T2, (uintptr_t)t->xr);
    e_jmp(&t->cold, t->x->request);
}

static void translate_one(struct translation *t, const struct insn *in, const struct xl_op *o)
{
    const uint8_t *raw = t->run->raw + in->ip;
    t->may_return = false;
    t->started[t->now] = t->e.at;
    switch (o->kind) {
    case XL_NOP: break;
    case XL_PLAIN: plain(t, in, o, raw); break;
    case XL_LEA: lea(t, in, o); break;
    case XL_SET_FLAG: set_flag(t, in, o); break;
    case XL_BIT: bit_in_memory(t, in, o, raw); break;
    case XL_DIV: divide(t, in, o, raw); break;
    case XL_PUSH_REG: push_reg(t, (o->opcode & 7) | (o->rex & 1) << 3); break;
    case XL_PUSH_IMM: push_imm(t, o, raw); break;
    case XL_PUSH_RM: push_rm(t, in, o); break;
    case XL_POP_REG: pop_reg(t, o); break;
    case XL_LEAVE: leave(t); break;
    case XL_JCC: jump_if(t, o->opcode & 15, target_offset(t, in)); break;
    case XL_JMP: jump_to(t, target_offset(t, in)); break;
    case XL_CALL: call(t, in); break;
    case XL_RET: ret(t, in, o, raw); break;
    case XL_JMP_RM: jump_rm(t, in, o, false); break;
    case XL_CALL_RM: jump_rm(t, in, o, true); break;
    case XL_VECTOR: vector(t, in, o); break;
    case XL_EXEC:
        exec(t);
        t->vector_checked = 0;
        break;
    }
    bool keeps_t0 = o->kind == XL_NOP || o->kind == XL_JCC || o->kind == XL_PLAIN || o->kind == XL_PUSH_REG ||
                    o->kind == XL_PUSH_IMM || o->kind == XL_POP_REG || (o->kind == XL_VECTOR && !xl_vector_x87(o));
    if (!keeps_t0 || t->may_return)
        t->held = -1;
    t->x->count.insns++;
    t->x->count.native += o->kind != XL_EXEC;
}

/* How wide a group of operands may be: code that often met the end of a page gets narrower ones, then none. */
static unsigned group_span(const struct run *r)
{
    static const uint16_t span[] = {512, 64};
    return r->narrow < G_N_ELEMENTS(span) ? span[r->narrow] : 0;
}

struct xl_run *xl_translate(struct vcpu *c, struct run *r)
{
    struct translation t = {.c = c, .x = c->xl, .run = r, .code64 = (r->mode & MODE_CODE) == CODE64};
    struct xl *x = c->xl;
    t.e = (struct emit){.at = x->rw + x->used, .end = x->rw + x->hot_bytes, .to_exec = x->rx - x->rw};
    t.cold = (struct emit){.at = x->rw + x->hot_bytes + x->cold_used, .end = x->rw + x->bytes, .to_exec = t.e.to_exec};
    t.xr = new_run(x, r);
    t.held = -1;
    study(&t);
    xl_groups_find(&t.groups, r, t.op, t.code64, group_span(r));
    entry(&t);
    for (t.now = 0; t.now < r->count; t.now++) {
        const struct insn *in = &r->insn[t.now];
        note_point(&t, in, &t.op[t.now]);
        if (in->len) {
            translate_one(&t, in, &t.op[t.now]);
            if (in->flags & INSN_ENDS && t.op[t.now].kind == XL_SET_FLAG)
                jump_to(&t, t.xr->offset + in->ip + in->len);
            xl_producer_after(&t.producer, &t.op[t.now], r->raw + in->ip, t.code64);
        } else
            jump_to(&t, t.xr->offset + in->ip); /* the run goes on elsewhere */
        t.resume[t.now] = t.e.at;
        t.xr->point[t.now].checked = t.vector_checked;
    }
    const uint8_t *code_end = e_here(&t.e);
    e_bytes(&t.e, "\x0f\x0b", 2); /* not reached */
    emit_dead(&t);
    e_patch(&t.e, t.slow[0].patch, t.xr->dead);
    t.slow[0] = t.slow[--t.slow_count];
    emit_slow_paths(&t);
    emit_tails(&t);
    emit_links(&t);
    x->used = (t.e.at - x->rw + 15) & ~15ull;
    x->cold_used = t.cold.at - (x->rw + x->hot_bytes);
    t.xr->indirect += t.e.to_exec;
    t.xr->code += t.e.to_exec;
    t.xr->bytes = code_end - t.xr->code;
    x->count.runs++;
    return t.xr;
}
