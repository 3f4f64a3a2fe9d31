// SPDX-License-Identifier: GPL-2.0-or-later
/* sysreg.c - segment, control, debug and table registers, and what only the kernel may do to them
 * (SDM Vol. 3 ch. 2; Vol. 2 on each instruction). */
#include "patcher/interp/speculation.h"
#include "patcher/interp/system.h"
#include "patcher/interp/cold.h"
#include "patcher/interp/breakpoints.h"
#include "patcher/vm.h"

static void need_cpl0(struct vcpu *c)
{
    if (c->cpl || v86_mode(c))
        raise_error(c, EXC_GP, 0);
}

/* ---- operands ------------------------------------------------------------------------------------------------------- */
uint64_t cold_rm_read_n(struct vcpu *c, const struct insn *in, unsigned size)
{
    if (!(in->flags & INSN_MEM))
        return reg_get(c, in->rm, size);
    return mem_read_slow(c, NULL, seg_linear(c, in->seg, mem_offset(c, in), size, ACCESS_READ), size);
}

void cold_rm_write_n(struct vcpu *c, const struct insn *in, unsigned size, uint64_t v)
{
    if (!(in->flags & INSN_MEM))
        reg_set(c, in->rm, size, v);
    else
        mem_write_slow(c, NULL, seg_linear(c, in->seg, mem_offset(c, in), size, ACCESS_WRITE), size, v);
}

uint64_t cold_rm_read(struct vcpu *c, const struct insn *in)
{
    return cold_rm_read_n(c, in, in->osize);
}

void cold_rm_write(struct vcpu *c, const struct insn *in, uint64_t v)
{
    cold_rm_write_n(c, in, in->osize, v);
}

/* Memory gets 16 bits, a register its whole width. */
static void store_selector(struct vcpu *c, const struct insn *in, uint64_t v)
{
    cold_rm_write_n(c, in, in->flags & INSN_MEM ? 2 : in->osize, v);
}

/* ---- segment registers ------------------------------------------------------------------------------------------------- */
void cold_mov_from_seg(struct vcpu *c, const struct insn *in)
{
    store_selector(c, in, c->seg[in->reg_no].selector);
}

void cold_mov_to_seg(struct vcpu *c, const struct insn *in)
{
    seg_load(c, in->reg_no, cold_rm_read_n(c, in, 2));
    if (in->reg_no == X86_SS)
        c->shadow = SHADOW_MOV_SS;
    update_mode(c);
}

/* ---- control registers --------------------------------------------------------------------------------------------------- */
static void enter_long_mode(struct vcpu *c)
{
    if (!(c->cr4 & CR4_PAE) || c->seg[X86_CS].attr & X86_ATTR_L)
        raise_error(c, EXC_GP, 0);
    if (!(c->tr.attr & 8)) /* a 16-bit TSS */
        raise_error(c, EXC_GP, 0);
    c->efer |= EFER_LMA;
}

static void leave_long_mode(struct vcpu *c)
{
    if (code64(c) || c->cr4 & CR4_PCIDE)
        raise_error(c, EXC_GP, 0);
    c->efer &= ~(uint64_t)EFER_LMA;
}

void write_cr0(struct vcpu *c, uint64_t v)
{
    if (v >> 32 || (v & CR0_PG && !(v & CR0_PE)) || (v & CR0_NW && !(v & CR0_CD)))
        raise_error(c, EXC_GP, 0);
    v = (v & (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)) | CR0_ET;
    uint64_t changed = v ^ c->cr0;
    bool pae = v & CR0_PG && c->cr4 & CR4_PAE && !(c->efer & EFER_LME);
    if (pae && changed & (CR0_PG | CR0_CD | CR0_NW) && !mmu_load_pdptes(c, c->cr3))
        raise_error(c, EXC_GP, 0);
    if (changed & CR0_PG) {
        if (v & CR0_PG && c->efer & EFER_LME)
            enter_long_mode(c);
        else if (!(v & CR0_PG) && long_mode(c))
            leave_long_mode(c);
    }
    c->cr0 = v;
    if (changed & (CR0_PG | CR0_WP | CR0_PE))
        tlb_flush(c);
    if (changed & CR0_PE) {
        if (!(v & CR0_PE))
            c->cpl = 0;
        seg_refresh(c);
    } else
        update_mode(c);
}

static void write_cr3(struct vcpu *c, uint64_t v)
{
    bool keep = c->cr4 & CR4_PCIDE && v >> 63;
    if (c->cr4 & CR4_PCIDE)
        v &= ~(1ull << 63);
    if (long_mode(c) && v & ~GPA_MASK)
        raise_error(c, EXC_GP, 0);
    if (c->cr0 & CR0_PG && c->cr4 & CR4_PAE && !long_mode(c) && !mmu_load_pdptes(c, v))
        raise_error(c, EXC_GP, 0);
    uint64_t old = c->cr3;
    c->cr3 = v;
    tlb_switch(c, old, keep);
    if (c->isolation)
        update_mode(c);
}

static void write_cr4(struct vcpu *c, uint64_t v)
{
    uint64_t changed = v ^ c->cr4;
    if (v & ~cpuid_cr4_bits(c) || (long_mode(c) && !(v & CR4_PAE)))
        raise_error(c, EXC_GP, 0);
    if (changed & v & CR4_PCIDE && (!long_mode(c) || c->cr3 & 0xfff))
        raise_error(c, EXC_GP, 0);
    bool paging = changed & (CR4_PAE | CR4_PSE | CR4_PGE | CR4_SMEP | CR4_SMAP | CR4_PCIDE);
    if (paging && v & CR4_PAE && c->cr0 & CR0_PG && !long_mode(c) && !mmu_load_pdptes(c, c->cr3))
        raise_error(c, EXC_GP, 0);
    c->cr4 = v;
    if (paging)
        tlb_flush(c);
    update_mode(c);
}

void cold_mov_from_cr(struct vcpu *c, const struct insn *in)
{
    uint64_t v;
    need_cpl0(c);
    switch (in->reg_no) {
    case 0: v = c->cr0; break;
    case 2: v = c->cr2; break;
    case 3: v = c->cr3; break;
    case 4: v = c->cr4; break;
    case 8: v = machine_tpr(outside(c), c->index); break;
    default: raise_exception(c, EXC_UD);
    }
    reg_set(c, in->rm, code64(c) ? 8 : 4, v);
}

void cold_mov_to_cr(struct vcpu *c, const struct insn *in)
{
    need_cpl0(c);
    uint64_t v = reg_get(c, in->rm, code64(c) ? 8 : 4);
    switch (in->reg_no) {
    case 0: write_cr0(c, v); break;
    case 2: c->cr2 = v; break;
    case 3: write_cr3(c, v); break;
    case 4: write_cr4(c, v); break;
    case 8:
        if (v & ~0xfull)
            raise_error(c, EXC_GP, 0);
        machine_set_tpr(outside(c), c->index, v);
        break;
    default: raise_exception(c, EXC_UD);
    }
}

void cold_clts(struct vcpu *c, const struct insn *in)
{
    need_cpl0(c);
    c->cr0 &= ~(uint64_t)CR0_TS;
}

void cold_invd(struct vcpu *c, const struct insn *in)
{
    need_cpl0(c);
}

/* ---- debug registers -------------------------------------------------------------------------------------------------------- */
static unsigned debug_register(struct vcpu *c, const struct insn *in)
{
    unsigned n = in->reg_no;
    if (n == 4 || n == 5) {
        if (c->cr4 & CR4_DE)
            raise_exception(c, EXC_UD);
        n += 2;
    }
    if (n > 7)
        raise_exception(c, EXC_UD);
    need_cpl0(c);
    if (c->dr[7] & DR7_GD)
        raise_debug(c, DR6_BD);
    return n;
}

void cold_mov_from_dr(struct vcpu *c, const struct insn *in)
{
    reg_set(c, in->rm, code64(c) ? 8 : 4, c->dr[debug_register(c, in)]);
}

void cold_mov_to_dr(struct vcpu *c, const struct insn *in)
{
    unsigned n = debug_register(c, in);
    uint64_t v = reg_get(c, in->rm, code64(c) ? 8 : 4);
    if (n >= 6 && v >> 32)
        raise_error(c, EXC_GP, 0);
    if (n == 6)
        v = (v & 0xe00f) | DR6_FIXED;
    if (n == 7)
        v = (v & 0xffff2bff) | DR7_FIXED;
    c->dr[n] = v;
    update_mode(c);
}

/* ---- group 6: SLDT STR LLDT LTR VERR VERW ---------------------------------------------------------------------------------- */
static void load_task_register(struct vcpu *c, uint16_t selector)
{
    struct desc d;
    if (null_selector(selector))
        raise_error(c, EXC_GP, 0);
    if (selector & 4)
        raise_error(c, EXC_GP, selector & 0xfffc);
    desc_get(c, selector, EXC_GP, &d);
    unsigned type = desc_type(&d);
    if (desc_s(&d) || (type != SYS_TSS32 && (type != SYS_TSS16 || long_mode(c))))
        raise_error(c, EXC_GP, selector & 0xfffc);
    if (!desc_present(&d))
        raise_error(c, EXC_NP, selector & 0xfffc);
    if (long_mode(c))
        desc_get_high(c, &d);
    d.raw |= 2ull << 40; /* busy */
    struct seg s;
    desc_cache(&d, &s);
    if (!canonical(s.base))
        raise_error(c, EXC_GP, selector & 0xfffc);
    sys_write(c, d.lin + 5, 1, d.raw >> 40 & 0xff);
    c->tr = s;
}

static bool verifiable(struct vcpu *c, uint16_t selector, bool write)
{
    struct desc d;
    if (null_selector(selector) || !desc_read(c, selector, &d) || !desc_s(&d))
        return false;
    if (!(desc_code(&d) && desc_conforming(&d)) && (desc_dpl(&d) < c->cpl || desc_dpl(&d) < (selector & 3u)))
        return false;
    bool type_bit = d.raw >> 41 & 1; /* writable data, readable code */
    return write ? !desc_code(&d) && type_bit : !desc_code(&d) || type_bit;
}

static void set_zf(struct vcpu *c, bool v)
{
    c->szapc = (c->szapc & ~RFLAG_ZF) | (v ? RFLAG_ZF : 0);
}

static void umip_check(struct vcpu *c)
{
    if (c->cr4 & CR4_UMIP && c->cpl)
        raise_error(c, EXC_GP, 0);
}

void cold_group6(struct vcpu *c, const struct insn *in)
{
    if (real_mode(c) || v86_mode(c))
        raise_exception(c, EXC_UD);
    switch (in->reg_no & 7) {
    case 0:
        umip_check(c);
        store_selector(c, in, c->ldtr.selector);
        break;
    case 1:
        umip_check(c);
        store_selector(c, in, c->tr.selector);
        break;
    case 2:
        need_cpl0(c);
        ldt_load(c, cold_rm_read_n(c, in, 2), EXC_GP);
        break;
    case 3:
        need_cpl0(c);
        load_task_register(c, cold_rm_read_n(c, in, 2));
        break;
    case 4: set_zf(c, verifiable(c, cold_rm_read_n(c, in, 2), false)); break;
    case 5:
        set_zf(c, verifiable(c, cold_rm_read_n(c, in, 2), true));
        speculation_clear(c);
        break;
    default: raise_exception(c, EXC_UD);
    }
}

/* ---- group 7: the memory forms of 0F 01, SMSW and LMSW --------------------------------------------------------------------- */
static void store_table(struct vcpu *c, const struct insn *in, const struct x86_table *t)
{
    unsigned wide = code64(c) ? 8 : 4;
    umip_check(c);
    uint64_t lin = seg_linear(c, in->seg, mem_offset(c, in), 2 + wide, ACCESS_WRITE);
    mem_probe(c, NULL, lin, 2 + wide, ACCESS_WRITE);
    mem_write_slow(c, NULL, lin, 2, t->limit);
    mem_write_slow(c, NULL, lin + 2, wide, t->base);
}

static void load_table(struct vcpu *c, const struct insn *in, struct x86_table *t)
{
    unsigned wide = code64(c) ? 8 : 4;
    need_cpl0(c);
    uint64_t lin = seg_linear(c, in->seg, mem_offset(c, in), 2 + wide, ACCESS_READ);
    uint16_t limit = mem_read_slow(c, NULL, lin, 2);
    uint64_t base = mem_read_slow(c, NULL, lin + 2, wide);
    if (code64(c) && !canonical(base))
        raise_error(c, EXC_GP, 0);
    if (in->osize == 2)
        base &= 0xffffff;
    *t = (struct x86_table){base, limit};
}

static void load_machine_status(struct vcpu *c, const struct insn *in)
{
    need_cpl0(c);
    uint16_t v = cold_rm_read_n(c, in, 2);
    write_cr0(c, (c->cr0 & ~0xeull) | (v & 0xf)); /* PE can be set but not cleared */
}

void cold_group7(struct vcpu *c, const struct insn *in)
{
    switch (in->reg_no & 7) {
    case 0: store_table(c, in, &c->gdtr); break;
    case 1: store_table(c, in, &c->idtr); break;
    case 2: load_table(c, in, &c->gdtr); break;
    case 3: load_table(c, in, &c->idtr); break;
    case 4:
        umip_check(c);
        store_selector(c, in, c->cr0);
        break;
    case 6: load_machine_status(c, in); break;
    case 7: {
        need_cpl0(c);
        uint64_t off = mem_offset(c, in);
        uint64_t lin = c->seg[in->seg].base * (!code64(c) || in->seg >= X86_FS) + off;
        tlb_flush_page(c, code64(c) ? lin : (uint32_t)lin);
        break;
    }
    default: raise_exception(c, EXC_UD);
    }
}

void cold_invpcid(struct vcpu *c, const struct insn *in)
{
    need_cpl0(c);
    uint64_t type = reg_get(c, in->reg, code64(c) ? 8 : 4), d[2];
    mem_read_bytes(c, NULL, seg_linear(c, in->seg, mem_offset(c, in), 16, ACCESS_READ), d, 16);
    if (type > 3 || (type < 2 && d[0] >> 12) || (type == 0 && !canonical(d[1])) ||
        (type < 2 && d[0] && !(c->cr4 & CR4_PCIDE)))
        raise_error(c, EXC_GP, 0);
    switch (type) {
    case 0: tlb_flush_page(c, d[1]); break;
    case 1: tlb_forget_context(c, d[0]); break;
    case 2: tlb_flush(c); break;
    default: tlb_forget_all(c);
    }
}

/* ---- LAR LSL ARPL ----------------------------------------------------------------------------------------------------------------- */
static bool visible(struct vcpu *c, uint16_t selector, bool lsl, struct desc *d)
{
    if (null_selector(selector) || !desc_read(c, selector, d))
        return false;
    if (!desc_s(d)) {
        unsigned t = desc_type(d);
        bool tss_or_ldt = t == SYS_LDT || t == SYS_TSS32 || t == SYS_TSS32_BUSY ||
                          (!long_mode(c) && (t == SYS_TSS16 || t == SYS_TSS16_BUSY));
        bool gate = t == SYS_CALL32 || (!long_mode(c) && (t == SYS_CALL16 || t == SYS_TASK));
        if (!tss_or_ldt && (lsl || !gate))
            return false;
    } else if (desc_code(d) && desc_conforming(d))
        return true;
    return desc_dpl(d) >= c->cpl && desc_dpl(d) >= (selector & 3u);
}

static void need_protected(struct vcpu *c)
{
    if (real_mode(c) || v86_mode(c))
        raise_exception(c, EXC_UD);
}

void cold_lar(struct vcpu *c, const struct insn *in)
{
    struct desc d;
    need_protected(c);
    bool ok = visible(c, cold_rm_read_n(c, in, 2), false, &d);
    set_zf(c, ok);
    if (ok)
        reg_set(c, in->reg, in->osize, d.raw >> 32 & 0x00ffff00);
}

void cold_lsl(struct vcpu *c, const struct insn *in)
{
    struct desc d;
    struct seg s;
    need_protected(c);
    bool ok = visible(c, cold_rm_read_n(c, in, 2), true, &d);
    set_zf(c, ok);
    if (!ok)
        return;
    desc_cache(&d, &s);
    reg_set(c, in->reg, in->osize, s.limit);
}

void cold_arpl(struct vcpu *c, const struct insn *in)
{
    need_protected(c);
    uint16_t to = cold_rm_read_n(c, in, 2), from = *reg16(c, in->reg);
    bool raise = (to & 3) < (from & 3);
    if (raise)
        cold_rm_write_n(c, in, 2, (to & ~3) | (from & 3));
    set_zf(c, raise);
}

/* ---- HLT, interrupt flag, AC flag --------------------------------------------------------------------------------------------------- */
void cold_hlt(struct vcpu *c, const struct insn *in)
{
    need_cpl0(c);
    c->run_state = X86_HALTED;
    request(c, REQ_HALT);
}

static void need_iopl(struct vcpu *c)
{
    if (!real_mode(c) && (v86_mode(c) ? iopl(c) < 3 : c->cpl > iopl(c)))
        raise_error(c, EXC_GP, 0);
}

void cold_cli(struct vcpu *c, const struct insn *in)
{
    need_iopl(c);
    c->rflags &= ~(uint32_t)RFLAG_IF;
}

void cold_sti(struct vcpu *c, const struct insn *in)
{
    need_iopl(c);
    if (c->rflags & RFLAG_IF)
        return;
    c->rflags |= RFLAG_IF;
    c->sti_rip = c->next_rip;
    if (atomic_load(&c->intr_level))
        request(c, REQ_INTR);
}

void cold_clac(struct vcpu *c, const struct insn *in)
{
    if (c->cpl)
        raise_exception(c, EXC_UD);
    if (in->aux_op)
        c->rflags |= RFLAG_AC;
    else
        c->rflags &= ~(uint32_t)RFLAG_AC;
    update_mode(c);
}
