// SPDX-License-Identifier: GPL-2.0-or-later
/* segment.c - descriptors and segment registers (SDM Vol. 3 ch. 3.4, 5; MOV and LxS in Vol. 2). */
#include "patcher/interp/system.h"
#include "patcher/translate/translate.h"
#include "patcher/vm.h"
#include "patcher/interp/breakpoints.h"

/* ---- what a segment register allows -------------------------------------------------------------------------------- */
static void cache_protected(struct seg *s)
{
    unsigned type = s->attr & X86_ATTR_TYPE;
    bool code = type & 8;
    if (s->attr & X86_ATTR_NULL || !(s->attr & X86_ATTR_P))
        s->can = 0;
    else if (code)
        s->can = type & 2 ? ACCESS_READ : 0;
    else if (!(type & 2))
        s->can = ACCESS_READ;
    if (!code && type & 4) { /* expand-down */
        s->hi = s->attr & X86_ATTR_DB ? 0xffffffff : 0xffff;
        s->lo = s->limit + 1;
        if (s->limit == 0xffffffff || s->lo > s->hi)
            s->can = 0;
    }
}

void seg_cache(const struct vcpu *c, struct seg *s)
{
    s->lo = 0;
    s->hi = s->limit;
    s->can = ACCESS_READ | ACCESS_WRITE;
    if (!real_mode(c) && !v86_mode(c))
        cache_protected(s);
    s->whole = !s->lo && s->hi == 0xffffffff && s->can == (ACCESS_READ | ACCESS_WRITE);
}

static unsigned seg_fault(unsigned seg)
{
    return seg == X86_SS ? EXC_SS : EXC_GP;
}

/* AMD wants the offset from FS and GS canonical too, not only the sum. */
static bool bad_offset(const struct vcpu *c, uint64_t off)
{
    return unlikely(!canonical(off)) && cpuid_is_amd(c);
}

/* Of a segment that is all of the address space some CPUs do not check the end. */
bool seg_over_end(const struct vcpu *c, const struct seg *s, uint64_t last)
{
    bool all = !s->base && !s->lo && s->hi == 0xffffffff;
    return last > s->hi && !(all && c->vm->host.quirks.segment_end_pages);
}

uint64_t seg_linear(struct vcpu *c, unsigned seg, uint64_t off, unsigned size, int access)
{
    const struct seg *s = &c->seg[seg];
    if (code64(c)) {
        uint64_t lin = seg >= X86_FS ? s->base + off : off;
        if (!canonical(lin) || !canonical(lin + size - 1) || bad_offset(c, off))
            raise_error(c, seg_fault(seg), 0);
        return lin;
    }
    if (unlikely((s->can & access) != access || off < s->lo || seg_over_end(c, s, off + size - 1)))
        raise_error(c, seg_fault(seg), 0);
    return (uint32_t)(s->base + off);
}

uint64_t seg_linear_hot(struct vcpu *c, const struct insn *in, uint64_t off, unsigned size, int access)
{
    const struct seg *s = &c->seg[in->seg];
    if (code64(c)) {
        if (bad_offset(c, off)) {
            sync_ip(c, in);
            raise_error(c, EXC_GP, 0);
        }
        return in->seg >= X86_FS ? s->base + off : off; /* the access itself checks for canonical form */
    }
    if (unlikely((s->can & access) != access || off < s->lo || seg_over_end(c, s, off + size - 1))) {
        sync_ip(c, in);
        raise_error(c, seg_fault(in->seg), 0);
    }
    return (uint32_t)(s->base + off);
}

static bool flat(const struct seg *s)
{
    return !s->base && s->whole;
}

static unsigned pick_view(const struct vcpu *c)
{
    if (c->cpl == 3)
        return VIEW_USER;
    if (c->cr4 & CR4_SMAP && c->rflags & RFLAG_AC)
        return VIEW_SUPER;
    return super_view(c);
}

void update_mode(struct vcpu *c)
{
    const struct seg *cs = &c->seg[X86_CS];
    unsigned code = long_mode(c) && cs->attr & X86_ATTR_L ? CODE64 : cs->attr & X86_ATTR_DB ? CODE32 : CODE16;
    bool all_flat = code != CODE64 && !cs->base && cs->limit == 0xffffffff && flat(&c->seg[X86_DS]) &&
                    flat(&c->seg[X86_ES]) && flat(&c->seg[X86_SS]);
    bool watched = debug_any(c);
    bool step = c->shadow || c->pending_dr6 || c->rflags & (RFLAG_TF | RFLAG_RF) || watched;
    c->mode = code | (code != CODE64 && c->seg[X86_SS].attr & X86_ATTR_DB ? MODE_STACK32 : 0) |
              (all_flat ? MODE_FLAT : 0) | (step ? MODE_ONE : 0);
    c->code_limit = code == CODE64 ? ~0ull : cs->limit;
    if (c->cpl == 3 && c->view != VIEW_USER)
        tlb_note_user(c);
    c->view = pick_view(c);
    bool aligned = c->cpl == 3 && c->rflags & RFLAG_AC && c->cr0 & CR0_AM;
    unsigned table = aligned || (watched && debug_data_any(c)) ? VIEW_SLOW : c->view;
    c->tlb = c->views[table];
    if (c->translator)
        c->mode |= table << MODE_TABLE_SHIFT;
    c->tlb_gen = c->view_gen[c->view];
    c->trans_vector = 0;
    trans_context_update(c);
    uint32_t want = (step ? REQ_STEP : 0) | (c->rflags & RFLAG_IF && atomic_load(&c->intr_level) ? REQ_INTR : 0);
    if (want)
        request(c, want);
    if (!step && atomic_load_explicit(&c->request, memory_order_relaxed) & REQ_STEP)
        atomic_fetch_and(&c->request, ~(uint32_t)REQ_STEP);
}

void seg_refresh(struct vcpu *c)
{
    for (unsigned i = 0; i < X86_SEGS; i++)
        seg_cache(c, &c->seg[i]);
    update_mode(c);
}

/* ---- descriptors --------------------------------------------------------------------------------------------------- */
/* Where it lies; false: beyond its table. */
static bool desc_place(const struct vcpu *c, uint16_t selector, uint64_t *lin)
{
    uint64_t base = selector & 4 ? c->ldtr.base : c->gdtr.base;
    uint32_t limit = selector & 4 ? c->ldtr.limit : c->gdtr.limit;
    if ((selector & 4 && c->ldtr.attr & X86_ATTR_NULL) || (selector | 7u) > limit)
        return false;
    *lin = base + (selector & ~7u);
    if (!long_mode(c))
        *lin = (uint32_t)*lin;
    return true;
}

bool desc_read(struct vcpu *c, uint16_t selector, struct desc *d)
{
    if (!desc_place(c, selector, &d->lin))
        return false;
    d->selector = selector;
    d->raw = sys_read(c, d->lin, 8);
    d->raw_high = 0;
    return true;
}

void desc_get(struct vcpu *c, uint16_t selector, unsigned vector, struct desc *d)
{
    if (!desc_read(c, selector, d))
        raise_error(c, vector, selector & 0xfffc);
}

void desc_get_high(struct vcpu *c, struct desc *d)
{
    d->raw_high = sys_read(c, d->lin + 8, 8);
}

void desc_set_accessed(struct vcpu *c, struct desc *d)
{
    if (desc_accessed(d))
        return;
    d->raw |= 1ull << 40;
    sys_write(c, d->lin + 5, 1, d->raw >> 40 & 0xff);
}

void desc_cache(const struct desc *d, struct seg *s)
{
    uint32_t limit = (d->raw & 0xffff) | (d->raw >> 32 & 0xf0000);
    s->selector = d->selector;
    s->attr = d->raw >> 40 & 0xf0ff;
    s->base = (d->raw >> 16 & 0xffffff) | (d->raw >> 32 & 0xff000000) | d->raw_high << 32;
    s->limit = s->attr & X86_ATTR_G ? limit << 12 | 0xfff : limit;
}

/* ---- loading segment registers ---------------------------------------------------------------------------------------- */
/* Real and v86 mode keep limit and attributes of what was there (the "unreal" trick); v86 mode sets them. */
void seg_load_real(struct vcpu *c, unsigned seg, uint16_t selector)
{
    struct seg *s = &c->seg[seg];
    s->selector = selector;
    s->base = (uint32_t)selector << 4;
    if (v86_mode(c)) {
        s->limit = 0xffff;
        s->attr = X86_ATTR_P | X86_ATTR_DPL | X86_ATTR_S | 3;
    } else if (s->attr & X86_ATTR_NULL)
        s->attr = X86_ATTR_P | X86_ATTR_S | 3;
    seg_cache(c, s);
}

void seg_set_null(struct vcpu *c, unsigned seg, uint16_t selector)
{
    struct seg *s = &c->seg[seg];
    unsigned dpl = seg == X86_SS ? (unsigned)c->cpl << 5 : 0;
    *s = (struct seg){.selector = selector, .attr = X86_ATTR_NULL | dpl};
    seg_cache(c, s);
}

static void check_stack_segment(struct vcpu *c, const struct desc *d, uint16_t selector)
{
    if ((selector & 3) != c->cpl || desc_dpl(d) != c->cpl || !desc_s(d) || desc_code(d) || !desc_writable(d))
        raise_error(c, EXC_GP, selector & 0xfffc);
    if (!desc_present(d))
        raise_error(c, EXC_SS, selector & 0xfffc);
}

/* The exception that loading it into a data segment register raises, or 0. */
static unsigned data_segment_fault(const struct vcpu *c, const struct desc *d, uint16_t selector)
{
    unsigned rpl = selector & 3, need = rpl > c->cpl ? rpl : c->cpl;
    bool readable = desc_s(d) && (!desc_code(d) || d->raw >> 41 & 1);
    if (!readable || (!(desc_code(d) && desc_conforming(d)) && desc_dpl(d) < need))
        return EXC_GP;
    return desc_present(d) ? 0 : EXC_NP;
}

void seg_load(struct vcpu *c, unsigned seg, uint16_t selector)
{
    struct desc d;
    if (real_mode(c) || v86_mode(c)) {
        seg_load_real(c, seg, selector);
        return;
    }
    if (null_selector(selector)) {
        if (seg == X86_SS && !(code64(c) && c->cpl < 3 && (selector & 3) == c->cpl))
            raise_error(c, EXC_GP, 0);
        seg_set_null(c, seg, selector);
        return;
    }
    desc_get(c, selector, EXC_GP, &d);
    if (seg == X86_SS)
        check_stack_segment(c, &d, selector);
    else if (data_segment_fault(c, &d, selector))
        raise_error(c, data_segment_fault(c, &d, selector), selector & 0xfffc);
    desc_set_accessed(c, &d);
    desc_cache(&d, &c->seg[seg]);
    seg_cache(c, &c->seg[seg]);
}

/* A segment of writable data, upward, that ends with the address space. */
static bool whole_data(const struct desc *d)
{
    const uint64_t mask = 0x008f9e000000ffff, flat = 0x008f92000000ffff;
    return (d->raw & mask) == flat;
}

static void load_whole(struct seg *s, const struct desc *d)
{
    s->base = (d->raw >> 16 & 0xffffff) | (d->raw >> 32 & 0xff000000);
    s->limit = s->hi = 0xffffffff;
    s->selector = d->selector;
    s->attr = d->raw >> 40 & 0xf0ff;
    s->lo = 0;
    s->can = ACCESS_READ | ACCESS_WRITE;
    s->whole = 1;
}

bool seg_load_quick(struct vcpu *c, unsigned seg, uint16_t selector)
{
    bool may_be_any = code64(c) || seg >= X86_FS; /* the mode depends on whether the others are flat */
    struct desc d = {.selector = selector};
    struct seg *s = &c->seg[seg];
    if (real_mode(c) || v86_mode(c) || (null_selector(selector) && !may_be_any))
        return false;
    if (null_selector(selector)) {
        seg_set_null(c, seg, selector);
        return true;
    }
    if (!desc_place(c, selector, &d.lin) || !sys_peek(c, d.lin, &d.raw) || data_segment_fault(c, &d, selector) ||
        !desc_accessed(&d) || !whole_data(&d))
        return false;
    if (!may_be_any && d.raw & 0xff0000ffffff0000) /* a base */
        return false;
    load_whole(s, &d);
    return true;
}

void cs_load(struct vcpu *c, struct desc *d, unsigned cpl)
{
    struct seg *s = &c->seg[X86_CS];
    desc_set_accessed(c, d);
    desc_cache(d, s);
    s->selector = (d->selector & ~3) | cpl;
    seg_cache(c, s);
    c->cpl = cpl;
}

void cs_check_target(struct vcpu *c, const struct desc *d, uint64_t ip)
{
    struct seg s;
    desc_cache(d, &s);
    bool bad = long_mode(c) && desc_long(d) ? !canonical(ip) : ip > s.limit;
    if (bad)
        raise_error(c, EXC_GP, 0);
}

/* LLDT and task switches (vector: #GP or #TS) */
void ldt_load(struct vcpu *c, uint16_t selector, unsigned vector)
{
    struct desc d;
    if (null_selector(selector)) {
        c->ldtr = (struct seg){.selector = selector, .attr = X86_ATTR_NULL};
        return;
    }
    if (selector & 4)
        raise_error(c, vector, selector & 0xfffc);
    desc_get(c, selector, vector, &d);
    if (desc_s(&d) || desc_type(&d) != SYS_LDT)
        raise_error(c, vector, selector & 0xfffc);
    if (!desc_present(&d))
        raise_error(c, vector == EXC_GP ? EXC_NP : vector, selector & 0xfffc);
    struct seg s;
    if (long_mode(c))
        desc_get_high(c, &d);
    desc_cache(&d, &s);
    if (!canonical(s.base))
        raise_error(c, vector, selector & 0xfffc);
    c->ldtr = s;
}
