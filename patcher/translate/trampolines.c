// SPDX-License-Identifier: GPL-2.0-or-later
/* trampolines.c - the pieces of host code that all translated blocks share: in from C, out to C, and the detours through C. */
#include "patcher/translate/translate.h"

int trans_home(unsigned guest)
{
    static const int8_t home[16] = {H_RAX, H_RCX, H_RDX, H_RBX, H_GUEST_RSP, H_RBP, H_RSI, H_RDI,
                                    H_R8,  H_R9,  -1,    -1,    H_R12,       H_R13, -1,    -1};
    return home[guest];
}

static struct host_mem gpr_field(unsigned guest)
{
    return trans_field(offsetof(struct vcpu, gpr) + 8 * guest);
}

/* LAHF and SETO leave AX exactly as vcpu.arith is laid out. */
void trans_save_flags(struct emit *e, int temp)
{
    e_mov(e, 8, temp, H_RAX);
    e8(e, 0x9f);                   /* lahf */
    e_bytes(e, "\x0f\x90\xc0", 3); /* seto al */
    e_store(e, 2, TRANS_FIELD(arith), H_RAX);
    e_mov(e, 8, H_RAX, temp);
}

/* AL = OF (0 or 1) + 0x7f overflows exactly if OF is to be set; SAHF then sets the others. */
static void flags_from_ax(struct emit *e)
{
    e_bytes(e, "\x04\x7f", 2); /* add al, 0x7f */
    e8(e, 0x9e);               /* sahf */
}

static void load_flags_clobber_rax(struct emit *e)
{
    e_mem(e, 4, 0x0fb7, H_RAX, TRANS_FIELD(arith)); /* movzx eax, word */
    flags_from_ax(e);
}

void trans_set_flags(struct emit *e, int from, int temp)
{
    e_mov(e, 8, temp, H_RAX);
    e_mov(e, 4, H_RAX, from);
    flags_from_ax(e);
    e_mov(e, 8, H_RAX, temp);
}

void trans_restore_flags(struct emit *e, int temp)
{
    e_mov(e, 8, temp, H_RAX);
    load_flags_clobber_rax(e);
    e_mov(e, 8, H_RAX, temp);
}

static void save_registers(struct emit *e)
{
    for (unsigned r = 0; r < 16; r++)
        if (trans_home(r) >= 0)
            e_store(e, 8, gpr_field(r), trans_home(r));
}

static void load_flags_and_registers(struct emit *e)
{
    load_flags_clobber_rax(e);
    for (unsigned r = 0; r < 16; r++)
        if (trans_home(r) >= 0)
            e_load(e, 8, trans_home(r), gpr_field(r));
}

static void e_push(struct emit *e, int r)
{
    e_rex(e, 4, 0, 0, r, false);
    e8(e, 0x50 | (r & 7));
}

static void e_pop(struct emit *e, int r)
{
    e_rex(e, 4, 0, 0, r, false);
    e8(e, 0x58 | (r & 7));
}

static void e_jmp_reg(struct emit *e, int r)
{
    e_rex(e, 4, 0, 0, r, false);
    e8(e, 0xff);
    e8(e, 0xe0 | (r & 7));
}

static const int kept[] = {H_RBX, H_RBP, H_R12, H_R13, H_R14, H_R15};

/* struct block *enter(struct vcpu *c, const uint8_t *code) */
static void emit_enter(struct translator *x, struct emit *e)
{
    x->enter = e_here(e);
    for (unsigned i = 0; i < G_N_ELEMENTS(kept); i++)
        e_push(e, kept[i]);
    e_lea(e, 8, H_RAX, at(H_RDI, TRANS_BIAS));
    e_push(e, H_RAX); /* found again by the detours; and aligns the stack */
    e_store(e, 8, at(H_RDI, offsetof(struct vcpu, trans_host_sp)), H_RSP);
    e_mov(e, 8, H_RSP, H_RAX);
    e_mov(e, 8, T0, H_RSI);
    load_flags_and_registers(e);
    e_jmp_reg(e, T0);
}

/* Back to C with vcpu.trans_next; flags and registers are in vcpu, T0 = rsp of translated code. */
static void emit_return(struct emit *e)
{
    e_load(e, 8, H_RSP, at(T0, offsetof(struct vcpu, trans_host_sp) - TRANS_BIAS));
    e_load(e, 8, H_RAX, at(T0, offsetof(struct vcpu, trans_next) - TRANS_BIAS));
    e_pop(e, H_RCX);
    for (unsigned i = G_N_ELEMENTS(kept); i-- > 0;)
        e_pop(e, kept[i]);
    e8(e, 0xc3);
}

/* Calls fn(c, T2), which returns where to go on, or NULL: leave with vcpu.trans_next.  Registers are saved before and
 * loaded after; flags too, unless they are in vcpu.arith already. */
static const uint8_t *emit_detour(struct emit *e, const uint8_t *(*fn)(struct vcpu *c, void *arg), bool flags_saved)
{
    const uint8_t *start = e_here(e);
    if (fn == trans_fill_c || fn == trans_fill_rest_c)
        e_store(e, 8, TRANS_FIELD(trans_lin), T0);
    if (!flags_saved)
        trans_save_flags(e, T0);
    save_registers(e);
    e_store(e, 8, TRANS_FIELD(trans_resume), T1);
    e_lea(e, 8, H_RDI, at(H_RSP, -TRANS_BIAS));
    e_mov(e, 8, H_RSI, T2);
    e_load(e, 8, H_RSP, TRANS_FIELD(trans_host_sp));
    e_imm64(e, H_RAX, (uint64_t)(uintptr_t)fn);
    e_bytes(e, "\xff\xd0", 2); /* call rax */
    e_load(e, 8, T0, at(H_RSP, 0));
    e_rr(e, 8, 0x85, H_RAX, H_RAX); /* test */
    uint8_t *leave = e_jcc_later(e, 4);
    e_mov(e, 8, H_RSP, T0);
    e_mov(e, 8, T0, H_RAX);
    load_flags_and_registers(e);
    e_jmp_reg(e, T0);
    e_patch_here(e, leave);
    emit_return(e);
    return start;
}

/* A call for which not all registers have to be saved: nothing in it faults. */
static void emit_load_segment(struct translator *x, struct emit *e)
{
    static const uint8_t lost[] = {X86_RAX, X86_RCX, X86_RDX, X86_RSI, X86_RDI, 8, 9};
    x->load_segment = e_here(e);
    for (unsigned i = 0; i < sizeof lost; i++)
        e_store(e, 8, gpr_field(lost[i]), trans_home(lost[i]));
    e_store(e, 8, TRANS_FIELD(trans_resume), T0);
    e_lea(e, 8, H_RDI, at(H_RSP, -TRANS_BIAS));
    e_mov(e, 4, H_RSI, T2);
    e_mov(e, 4, H_RDX, T1);
    e_load(e, 8, H_RSP, TRANS_FIELD(trans_host_sp));
    e_imm64(e, H_RAX, (uint64_t)(uintptr_t)trans_load_segment);
    e_bytes(e, "\xff\xd0", 2); /* call rax */
    e_load(e, 8, H_RSP, at(H_RSP, 0));
    e_rr(e, 1, 0x84, H_RAX, H_RAX); /* test: no load changes flags */
    for (unsigned i = 0; i < sizeof lost; i++)
        e_load(e, 8, trans_home(lost[i]), gpr_field(lost[i]));
    e_mem(e, 4, 0xff, 4, TRANS_FIELD(trans_resume)); /* jmp */
}

/* ---- indirect jumps ------------------------------------------------------------------------------------------------ */
/* T1 = 2 * index of IP, in T0 (jump_cache_index()).  No flags are touched. */
void trans_emit_target_index(const struct translator *x, struct emit *e)
{
    int from = T0;
    if (x->bmi2) {
        e_bytes(e, "\xc4\x43\xfb\xf0\xda\x0c", 6); /* rorx T1, T0, 12 */
        e_lea(e, 4, T1, (struct host_mem){T1, T0, 0, 0});
        from = T1;
    }
    e_rr(e, 4, 0x0fb7, T1, from); /* movzx */
    e_lea(e, 8, T1, (struct host_mem){T1, T1, 0, 0});
}

struct host_mem trans_target_field(size_t offset)
{
    struct host_mem m = trans_field(offsetof(struct vcpu, jump_cache) + offset);
    m.index = T1;
    m.scale = 3;
    return m;
}

void trans_jump_indirect(const struct translator *x, struct emit *e)
{
    trans_emit_target_index(x, e);
    e_mem(e, 4, 0xff, 4, trans_target_field(offsetof(struct jump_target, code)));
}

/* An indirect jump to IP in T0 has not found its block in its own place: it may be in one of the next.  The block itself
 * wants T1 = 2 * its index. */
static void emit_search(struct translator *x, struct emit *e)
{
    enum { PER_ENTRY = sizeof(struct jump_target) / sizeof(uint64_t) };
    uint8_t *hit[JUMP_CACHE_WAYS];
    e_bytes(e, &(struct trans_label){0}, sizeof(struct trans_label));
    x->search = e_here(e);
    trans_emit_target_index(x, e);
    e_store(e, 8, TRANS_FIELD(trans_temp), T0);
    e_mov(e, 8, T2, H_RCX);
    e_load(e, 8, H_RCX, TRANS_FIELD(trans_context));
    e_lea(e, 8, T0, (struct host_mem){T0, H_RCX, 0, 0});
    for (unsigned way = 1; way < JUMP_CACHE_WAYS; way++) {
        e_lea(e, 8, T1, at(T1, PER_ENTRY));
        e_load(e, 8, H_RCX, trans_target_field(offsetof(struct jump_target, key)));
        e_lea(e, 8, H_RCX, (struct host_mem){H_RCX, T0, 0, 0});
        e_bytes(e, "\xe3\x00", 2); /* jrcxz */
        hit[way] = e->at;
    }
    e_mov(e, 8, H_RCX, T2);
    e_load(e, 8, T0, TRANS_FIELD(trans_temp));
    e_jmp(e, x->miss);
    for (unsigned way = 1; way < JUMP_CACHE_WAYS; way++)
        hit[way][-1] = e->at - hit[way];
    e_mov(e, 8, H_RCX, T2);
    e_load(e, 8, T0, TRANS_FIELD(trans_temp));
    e_mem(e, 4, 0xff, 4, trans_target_field(offsetof(struct jump_target, code))); /* jmp */
}

void trans_trampolines(struct translator *x, struct emit *e)
{
    emit_enter(x, e);
    const uint8_t *(*const fn[TRANS_DETOURS])(struct vcpu *,
                                              void *) = {trans_exec_c,  trans_rest_c, trans_fill_c, trans_fill_rest_c,
                                                         trans_ready_c, trans_net_c,  trans_cold_c, trans_cold_end_c};
    for (unsigned i = 0; i < TRANS_DETOURS; i++)
        for (unsigned saved = 0; saved < 2; saved++)
            x->detour[i][saved] = emit_detour(e, fn[i], saved);
    x->link = emit_detour(e, trans_chain_c, false);
    x->request = emit_detour(e, trans_leave_c, false);
    x->miss = e_here(e); /* an indirect jump that found no block: T0 = IP */
    e_mov(e, 8, T2, T0);
    emit_detour(e, trans_miss_c, false);
    emit_search(x, e);
    emit_load_segment(x, e);
    x->to_rip = e_here(e);
    e_load(e, 8, T0, TRANS_FIELD(rip));
    trans_jump_indirect(x, e);
}
