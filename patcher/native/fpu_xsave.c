// SPDX-License-Identifier: GPL-2.0-or-later
/* fpu_xsave.c - FXSAVE FXRSTOR XSAVE XSAVEOPT XSAVEC XSAVES XRSTOR XRSTORS (SDM Vol. 1, chapter 13).
 *
 * c->xsave, in standard format, is the one full image; these instructions move parts of it.  Outside 64-bit mode
 * registers 8 and up do not take part. */
#include "patcher/native/fpu.h"
#include "patcher/vm.h"
#include <string.h>

#define LEGACY_BYTES 512
#define COMPACTED    (1ull << 63)

static bool rex_w(struct vcpu *c, const struct insn *in)
{
    return in->flags & INSN_REX && in->osize == 8;
}

static unsigned xmm_bytes(const struct vcpu *c)
{
    return code64(c) ? 256 : 128;
}

static void put32(uint8_t *to, uint32_t v)
{
    memcpy(to, &v, 4);
}

/* FCW..FDP (24 bytes) in one of the two formats. */
static void pointers_to_guest(struct vcpu *c, const uint8_t *area, uint8_t *to, bool wide)
{
    const struct replay *r = c->replay;
    bool stored = !r->quirks->x87_pointers_on_error || area[XS_FSW] & FSW_ES;
    memcpy(to, area, XS_FOP);
    memset(to + XS_FOP, 0, XS_MXCSR - XS_FOP);
    if (!stored)
        return;
    memcpy(to + XS_FOP, &r->fop, 2);
    memcpy(to + XS_FIP, &r->fip, wide ? 8 : 4);
    memcpy(to + XS_FDP, &r->fdp, wide ? 8 : 4);
    if (!wide) {
        put32(to + XS_FIP + 4, r->fcs);
        put32(to + XS_FDP + 4, r->fds);
    }
}

static void pointers_from_guest(struct vcpu *c, const uint8_t *from, bool wide)
{
    struct replay *r = c->replay;
    memcpy(&r->fop, from + XS_FOP, 2);
    r->fop &= 0x7ff;
    memcpy(&r->fip, from + XS_FIP, 8);
    memcpy(&r->fdp, from + XS_FDP, 8);
    r->fcs = r->fds = 0;
    if (wide) { /* most CPUs keep canonical pointers only */
        unsigned above_fip = 64 - r->quirks->fip_bits, above_fdp = 64 - r->quirks->fdp_bits;
        r->fip = (uint64_t)((int64_t)(r->fip << above_fip) >> above_fip);
        r->fdp = (uint64_t)((int64_t)(r->fdp << above_fdp) >> above_fdp);
    }
    if (!wide) {
        r->fcs = (uint16_t)(r->fip >> 32);
        r->fds = (uint16_t)(r->fdp >> 32);
        r->fip = (uint32_t)r->fip;
        r->fdp = (uint32_t)r->fdp;
    }
}

static uint64_t unchecked_linear(struct vcpu *c, const struct insn *in)
{
    return (in->flags & INSN_SEGMENTED ? c->seg[in->seg].base : 0) + mem_offset(c, in);
}

/* The processor's order of checks: canonical form, the segment for the first doubleword, #AC, alignment, the segment for
 * all, then the last byte's page first. */
static uint64_t fx_linear(struct vcpu *c, const struct insn *in, int access)
{
    uint64_t lin = unchecked_linear(c, in);
    if (code64(c) && !canonical(lin))
        raise_error(c, in->seg == X86_SS ? EXC_SS : EXC_GP, 0);
    mem_linear(c, in, 4, access);
    if (fpu_alignment_checked(c) && lin & 3)
        raise_error(c, EXC_AC, 0);
    if (lin & 15)
        raise_error(c, EXC_GP, 0);
    lin = mem_linear(c, in, LEGACY_BYTES, access);
    struct insn end = *in;
    end.disp += LEGACY_BYTES - 1;
    mem_probe(c, in, mem_linear(c, &end, 1, access), 1, access);
    mem_probe(c, in, lin, LEGACY_BYTES, access);
    return lin;
}

/* For XSAVE and XRSTOR: alignment first, then the segment; where is written, the first doubleword's page before the
 * segment for all.  Some CPUs check the first doubleword before all that, and have #AC. */
static uint64_t area_linear(struct vcpu *c, const struct insn *in, unsigned bytes, int access)
{
    const struct host_quirks *q = c->replay->quirks;
    uint64_t lin = unchecked_linear(c, in);
    bool odd = code64(c) && !canonical(lin);
    if (odd && q->xsave_address_first)
        raise_error(c, in->seg == X86_SS ? EXC_SS : EXC_GP, 0);
    if (q->xsave_address_first)
        mem_linear(c, in, 4, ACCESS_READ); /* whether it can be written is seen later */
    if (lin & 3 && !odd && q->xsave_has_ac && fpu_alignment_checked(c))
        raise_error(c, EXC_AC, 0);
    if (lin & 63)
        raise_error(c, EXC_GP, 0);
    if (access & ACCESS_WRITE)
        mem_probe(c, in, mem_linear(c, in, 4, access), 4, access);
    return mem_linear(c, in, bytes, access);
}

static bool fast_fxsr(const struct vcpu *c)
{
    return c->efer & EFER_FFXSR && code64(c) && c->cpl == 0;
}

static void fxsave(struct vcpu *c, const struct insn *in)
{
    uint8_t image[XS_XMM + 256];
    fpu_check(c, FPU_X87);
    uint64_t lin = fx_linear(c, in, ACCESS_WRITE);
    const uint8_t *area = fpu_area(c);
    memcpy(image, area, sizeof image);
    pointers_to_guest(c, area, image, rex_w(c, in));
    put32(image + XS_MXCSR_MASK, c->replay->mxcsr_mask);
    mem_write_bytes(c, in, lin, image, XS_XMM + (fast_fxsr(c) ? 0 : xmm_bytes(c)));
}

static void check_mxcsr(struct vcpu *c, const uint8_t *image)
{
    uint32_t mxcsr;
    memcpy(&mxcsr, image + XS_MXCSR, 4);
    if (mxcsr & ~c->replay->mxcsr_mask)
        raise_error(c, EXC_GP, 0);
}

static void load_x87(struct vcpu *c, uint8_t *area, const uint8_t *image, bool wide)
{
    memcpy(area, image, XS_MXCSR);
    memcpy(area + XS_ST, image + XS_ST, XS_XMM - XS_ST);
    *(uint64_t *)(area + XS_BV) |= XFEATURE_X87;
    pointers_from_guest(c, image, wide);
}

static void fxrstor(struct vcpu *c, const struct insn *in)
{
    uint8_t image[XS_XMM + 256];
    fpu_check(c, FPU_X87);
    uint64_t lin = fx_linear(c, in, ACCESS_READ);
    uint8_t *area = fpu_area(c);
    mem_read_bytes(c, in, lin, image, sizeof image);
    check_mxcsr(c, image);
    load_x87(c, area, image, rex_w(c, in));
    memcpy(area + XS_MXCSR, image + XS_MXCSR, 4);
    *(uint64_t *)(area + XS_BV) |= XFEATURE_SSE;
    if (!fast_fxsr(c))
        memcpy(area + XS_XMM, image + XS_XMM, xmm_bytes(c));
    fpu_enter(c); /* the host recomputes FSW.ES */
}

/* ---- XSAVE ---------------------------------------------------------------------------------------------------------- */
/* Bytes of a component that take part in this mode. */
static uint32_t component_bytes(const struct vcpu *c, unsigned i)
{
    uint32_t bytes = c->replay->component[i].bytes;
    if (code64(c) || i == 5)
        return bytes;
    return i == 7 ? 0 : bytes / 2;
}

/* Offset of component i in an area of the given format; *end: where the area ends. */
static uint32_t component_offset(const struct vcpu *c, unsigned i, uint64_t xcomp_bv, uint32_t *end)
{
    const struct host_xcomponent *k = c->replay->component;
    uint32_t at = XS_EXTENDED;
    if (!(xcomp_bv & COMPACTED))
        at = k[i].offset;
    for (unsigned j = 2; xcomp_bv & COMPACTED && j <= i; j++) {
        if (!(xcomp_bv >> j & 1))
            continue;
        at = (at + k[j].align - 1) & ~(k[j].align - 1);
        if (j < i)
            at += k[j].bytes;
    }
    *end = at + k[i].bytes;
    return at;
}

static uint32_t area_bytes(const struct vcpu *c, uint64_t features, uint64_t xcomp_bv)
{
    uint32_t bytes = XS_EXTENDED;
    for (unsigned i = 2; i < XCOMPONENTS; i++) {
        uint32_t end;
        if (features >> i & 1) {
            component_offset(c, i, xcomp_bv, &end);
            bytes = MAX(bytes, end);
        }
    }
    return bytes;
}

static uint64_t requested(const struct vcpu *c)
{
    return ((uint64_t)(uint32_t)c->gpr[X86_RDX] << 32 | (uint32_t)c->gpr[X86_RAX]) & c->xcr0;
}

static bool all_zero(const uint8_t *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

/* Outside 64-bit mode only components that take part there count, and on some CPUs only registers. */
static uint64_t visible(const struct vcpu *c, const uint8_t *area, uint64_t bv)
{
    const struct host_xcomponent *k = c->replay->component;
    if (c->replay->quirks->xinuse_of_all)
        return bv & ~XFEATURE_HI16;
    if (all_zero(area + XS_XMM, xmm_bytes(c)))
        bv &= ~XFEATURE_SSE;
    for (unsigned i = 2; i < XCOMPONENTS; i++)
        if (all_zero(area + k[i].offset, component_bytes(c, i) ? component_bytes(c, i) : k[i].bytes))
            bv &= ~(1ull << i);
    return bv;
}

/* XINUSE: what is not in its initial state. */
static uint64_t in_use(const struct vcpu *c, const uint8_t *area, bool compact)
{
    uint64_t bv;
    uint32_t mxcsr;
    memcpy(&bv, area + XS_BV, 8);
    memcpy(&mxcsr, area + XS_MXCSR, 4);
    if (!code64(c))
        bv = visible(c, area, bv);
    if (compact && mxcsr != 0x1f80)
        bv |= XFEATURE_SSE;
    return bv;
}

uint64_t fpu_xinuse(struct vcpu *c)
{
    return in_use(c, fpu_area(c), true);
}

static void save_legacy(struct vcpu *c, const struct insn *in, uint64_t lin, const uint8_t *area, uint64_t parts,
                        bool mxcsr, bool wide)
{
    uint8_t head[XS_MXCSR];
    if (parts & XFEATURE_X87) {
        pointers_to_guest(c, area, head, wide);
        mem_write_bytes(c, in, lin, head, sizeof head);
        mem_write_bytes(c, in, lin + XS_ST, area + XS_ST, XS_XMM - XS_ST);
    }
    if (mxcsr) {
        uint32_t pair[2];
        memcpy(&pair[0], area + XS_MXCSR, 4);
        pair[1] = c->replay->mxcsr_mask;
        mem_write_bytes(c, in, lin + XS_MXCSR, pair, sizeof pair);
    }
    if (parts & XFEATURE_SSE)
        mem_write_bytes(c, in, lin + XS_XMM, area + XS_XMM, xmm_bytes(c));
}

enum xsave_kind { XSAVE, XSAVEOPT, XSAVEC };

static void xsave_to_guest(struct vcpu *c, const struct insn *in, enum xsave_kind kind)
{
    bool compact = kind == XSAVEC;
    uint64_t rfbm = requested(c), header[2];
    fpu_check(c, FPU_XSAVE);
    uint64_t xcomp = compact ? rfbm | COMPACTED : 0;
    uint32_t bytes = area_bytes(c, rfbm, xcomp);
    uint64_t lin = area_linear(c, in, bytes, ACCESS_WRITE);
    mem_probe(c, in, lin, bytes, ACCESS_READ | ACCESS_WRITE);
    const uint8_t *area = fpu_area(c);
    uint64_t used = in_use(c, area, compact) & rfbm, parts = kind == XSAVE ? rfbm : used;
    mem_read_bytes(c, in, lin + XS_BV, header, 8);
    header[0] = compact ? used : (header[0] & ~rfbm) | used;
    header[1] = xcomp;
    bool mxcsr = compact ? parts & XFEATURE_SSE : rfbm & (XFEATURE_SSE | XFEATURE_AVX);
    save_legacy(c, in, lin, area, parts, mxcsr, rex_w(c, in));
    for (unsigned i = 2; i < XCOMPONENTS; i++) {
        uint32_t end;
        if (parts >> i & 1 && component_bytes(c, i))
            mem_write_bytes(c, in, lin + component_offset(c, i, xcomp, &end), area + c->replay->component[i].offset,
                            component_bytes(c, i));
    }
    mem_write_bytes(c, in, lin + XS_BV, header, compact ? 16 : 8);
}

static void xsave(struct vcpu *c, const struct insn *in)
{
    xsave_to_guest(c, in, XSAVE);
}

static void xsaveopt(struct vcpu *c, const struct insn *in)
{
    xsave_to_guest(c, in, XSAVEOPT);
}

static void xsavec(struct vcpu *c, const struct insn *in)
{
    xsave_to_guest(c, in, XSAVEC);
}

/* ---- XRSTOR --------------------------------------------------------------------------------------------------------- */
static void check_features(struct vcpu *c, uint64_t bv, uint64_t xcomp)
{
    bool compact = xcomp & COMPACTED;
    if (compact ? (xcomp & ~COMPACTED & ~c->xcr0) || bv & ~xcomp : bv & ~c->xcr0 || xcomp)
        raise_error(c, EXC_GP, 0);
}

static void check_reserved(struct vcpu *c, const uint64_t header[8])
{
    for (unsigned i = 2; i < (header[1] & COMPACTED ? 8u : 3u); i++)
        if (header[i])
            raise_error(c, EXC_GP, 0);
}

/* Some CPUs access the end of all that was requested, in use or not, before what they do not need for knowing it. */
static void probe_requested(struct vcpu *c, const struct insn *in, uint64_t rfbm, uint64_t bv, uint64_t xcomp)
{
    struct insn end = *in;
    if (!c->replay->quirks->xrstor_reaches_all)
        return;
    if (xcomp & COMPACTED) {
        check_features(c, bv, xcomp);
        rfbm &= xcomp;
    }
    end.disp += area_bytes(c, rfbm, xcomp & COMPACTED ? xcomp : 0) - 1;
    mem_probe(c, in, mem_linear(c, &end, 1, ACCESS_READ), 1, ACCESS_READ);
}

/* image: the legacy region and header. */
static void check_image(struct vcpu *c, const struct insn *in, uint64_t lin, const uint8_t *image, uint64_t rfbm)
{
    uint64_t header[8];
    memcpy(header, image + XS_BV, sizeof header);
    probe_requested(c, in, rfbm, header[0], header[1]);
    check_features(c, header[0], header[1]);
    check_reserved(c, header);
    mem_probe(c, in, lin, area_bytes(c, rfbm & header[0], header[1]), ACCESS_READ);
    if (header[1] & COMPACTED ? rfbm & header[0] & XFEATURE_SSE : rfbm & (XFEATURE_SSE | XFEATURE_AVX))
        check_mxcsr(c, image);
}

static void init_component(struct vcpu *c, uint8_t *area, unsigned i)
{
    struct replay *r = c->replay;
    if (i == 0) {
        memset(area, 0, XS_MXCSR);
        *(uint16_t *)(area + XS_FCW) = 0x37f;
        memset(area + XS_ST, 0, XS_XMM - XS_ST);
        r->fip = r->fdp = 0;
        r->fcs = r->fds = r->fop = 0;
    } else if (i == 1) {
        memset(area + XS_XMM, 0, xmm_bytes(c));
    } else {
        memset(area + r->component[i].offset, 0, component_bytes(c, i));
    }
    if (code64(c) || i == 0) /* else registers 8 and up keep what they hold */
        *(uint64_t *)(area + XS_BV) &= ~(1ull << i);
}

/* image: the legacy region and header, already checked; the other components are read here. */
static void load_component(struct vcpu *c, const struct insn *in, uint64_t lin, uint8_t *area, const uint8_t *image,
                           uint64_t xcomp, unsigned i)
{
    uint32_t end;
    *(uint64_t *)(area + XS_BV) |= 1ull << i;
    if (i == 0)
        load_x87(c, area, image, rex_w(c, in));
    else if (i == 1)
        memcpy(area + XS_XMM, image + XS_XMM, xmm_bytes(c));
    else if (component_bytes(c, i))
        mem_read_bytes(c, in, lin + component_offset(c, i, xcomp, &end), area + c->replay->component[i].offset,
                       component_bytes(c, i));
}

static void load_mxcsr(uint8_t *area, const uint8_t *image, uint64_t rfbm, uint64_t bv, uint64_t xcomp)
{
    bool compact = xcomp & COMPACTED;
    if (!(rfbm & (compact ? XFEATURE_SSE : XFEATURE_SSE | XFEATURE_AVX)))
        return;
    if (compact && !(bv & XFEATURE_SSE))
        put32(area + XS_MXCSR, 0x1f80);
    else
        memcpy(area + XS_MXCSR, image + XS_MXCSR, 4);
}

static void xrstor(struct vcpu *c, const struct insn *in)
{
    uint8_t image[XS_EXTENDED];
    fpu_check(c, FPU_XSAVE);
    uint64_t rfbm = requested(c), bv, xcomp;
    uint64_t lin = area_linear(c, in, XS_EXTENDED, ACCESS_READ);
    fpu_leave(c);
    mem_read_bytes(c, in, lin, image, sizeof image);
    check_image(c, in, lin, image, rfbm);
    memcpy(&bv, image + XS_BV, 8);
    memcpy(&xcomp, image + XS_XCOMP_BV, 8);
    uint8_t *area = fpu_area(c);
    load_mxcsr(area, image, rfbm, bv, xcomp);
    for (unsigned i = 0; i < XCOMPONENTS; i++) {
        if (rfbm & bv & 1ull << i)
            load_component(c, in, lin, area, image, xcomp, i);
        else if (rfbm & 1ull << i)
            init_component(c, area, i);
    }
    fpu_enter(c);
}

cold_fn fpu_xsave_bind(const struct replay_info *info)
{
    static const struct {
        const char *name;
        cold_fn fn;
    } table[] = {{"fxsave", fxsave},     {"fxsave64", fxsave},     {"fxrstor", fxrstor}, {"fxrstor64", fxrstor},
                 {"xsave", xsave},       {"xsave64", xsave},       {"xrstor", xrstor},   {"xrstor64", xrstor},
                 {"xsaveopt", xsaveopt}, {"xsaveopt64", xsaveopt}, {"xsavec", xsavec},   {"xsavec64", xsavec}};
    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++)
        if (!strcmp(info->mnemonic, table[i].name))
            return table[i].fn;
    return NULL;
}
