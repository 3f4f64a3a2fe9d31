// SPDX-License-Identifier: GPL-2.0-or-later
/* mask.c - instructions that access memory element by element under a mask: AVX-512 with an opmask, VMASKMOV,
 * MASKMOVQ/DQU, gathers and scatters.  Elements that are masked off must not fault, and no fault may be missed.
 *
 * If the whole operand is plain RAM in the TLB, nothing can fault and the host does it all.  Otherwise the elements are
 * moved one by one, between memory and a buffer or, for gathers and scatters, the registers in the XSAVE area. */
#include "patcher/native/fpu.h"
#include "patcher/vm.h"
#include <string.h>

#define XC_YMM_HI   2
#define XC_OPMASK   5
#define XC_ZMM_HI   6
#define XC_ZMM_HI16 7

/* ---- registers in the XSAVE area ---------------------------------------------------------------------------------- */
/* The three or one pieces of vector register n. */
static unsigned vector_pieces(struct vcpu *c, unsigned n, uint8_t *at[3], unsigned bytes[3])
{
    const struct host_xcomponent *k = c->replay->component;
    if (n >= 16) {
        at[0] = c->xsave + k[XC_ZMM_HI16].offset + 64 * (n - 16);
        bytes[0] = 64;
        return 1;
    }
    at[0] = c->xsave + XS_XMM + 16 * n;
    at[1] = c->xsave + k[XC_YMM_HI].offset + 16 * n;
    at[2] = c->xsave + k[XC_ZMM_HI].offset + 32 * n;
    bytes[0] = bytes[1] = 16;
    bytes[2] = 32;
    return k[XC_ZMM_HI].bytes ? 3 : 2;
}

static void vector_get(struct vcpu *c, unsigned n, uint8_t to[64])
{
    uint8_t *at[3];
    unsigned bytes[3], pieces = vector_pieces(c, n, at, bytes);
    for (unsigned i = 0; i < pieces; to += bytes[i++])
        memcpy(to, at[i], bytes[i]);
}

static void vector_put(struct vcpu *c, unsigned n, const uint8_t from[64])
{
    uint8_t *at[3];
    unsigned bytes[3], pieces = vector_pieces(c, n, at, bytes);
    for (unsigned i = 0; i < pieces; from += bytes[i++])
        memcpy(at[i], from, bytes[i]);
    *(uint64_t *)(c->xsave + XS_BV) |= c->replay->host_xcr0;
}

static uint64_t *opmask(struct vcpu *c, unsigned n)
{
    return (uint64_t *)(c->xsave + c->replay->component[XC_OPMASK].offset + 8 * n);
}

/* ---- one operand, some elements ------------------------------------------------------------------------------------ */
/* The n elements of a broadcast operand, repeated: which of them does any result want? */
static uint64_t fold(uint64_t active, unsigned n)
{
    uint64_t folded = 0;
    for (; active; active &= active - 1)
        folded |= 1ull << (unsigned)__builtin_ctzll(active) % n;
    return folded;
}

/* Bit i: the i-th step of the operand is accessed. */
static uint64_t active_steps(struct vcpu *c, const struct stub *s)
{
    uint64_t active = 0;
    fpu_area(c);
    if (s->mask_kind == MASK_OPMASK) {
        active = *opmask(c, s->mask);
    } else {
        uint8_t v[64];
        vector_get(c, s->mask, v);
        for (unsigned i = 0; i < s->elements; i++)
            active |= (uint64_t)(v[(i + 1) * s->element_bytes - 1] >> 7) << i;
    }
    if (s->elements < 64)
        active &= (1ull << s->elements) - 1;
    if (s->broadcast)
        return fold(active, s->mem_bytes / s->element_bytes);
    unsigned n = (unsigned)__builtin_popcountll(active);
    return !s->packed ? active : n < 64 ? (1ull << n) - 1 : ~0ull;
}

/* The offset is computed once: what is added to it does not wrap with the address size. */
static uint64_t step_linear(struct vcpu *c, const struct insn *in, unsigned at, unsigned bytes, int access)
{
    uint64_t off = mem_offset(c, in) + at;
    return in->flags & INSN_SEGMENTED ? seg_linear_hot(c, in, off, bytes, access) : off;
}

/* Byte by byte where alignment is checked: these instructions are exempt. */
static void move_step(struct vcpu *c, const struct insn *in, uint64_t lin, uint8_t *buffer, unsigned bytes, int access)
{
    unsigned n = fpu_alignment_checked(c) ? 1 : bytes;
    for (unsigned at = 0; at < bytes; at += n) {
        if (access == ACCESS_READ)
            mem_read_bytes(c, in, lin + at, buffer + at, n);
        else
            mem_write_bytes(c, in, lin + at, buffer + at, n);
    }
}

static void move_steps(struct vcpu *c, const struct insn *in, const struct stub *s, uint8_t *buffer, uint64_t active)
{
    unsigned n = s->element_bytes;
    for (; active; active &= active - 1) {
        unsigned at = (unsigned)__builtin_ctzll(active) * n;
        move_step(c, in, step_linear(c, in, at, n, s->access), buffer + at, n, s->access);
    }
}

static void probe_one(struct vcpu *c, const struct insn *in, uint64_t lin, unsigned bytes)
{
    unsigned piece = fpu_alignment_checked(c) ? 1 : bytes;
    for (unsigned at = 0; at < bytes; at += piece)
        mem_probe(c, in, lin + at, piece, ACCESS_WRITE);
}

static void probe_steps(struct vcpu *c, const struct insn *in, const struct stub *s, uint64_t active)
{
    unsigned n = s->element_bytes;
    for (; active; active &= active - 1)
        probe_one(c, in, step_linear(c, in, (unsigned)__builtin_ctzll(active) * n, n, ACCESS_WRITE), n);
}

/* The whole operand can be read: for instructions whose mask counts elements of the result, not of the operand. */
static bool readable(struct vcpu *c, const struct stub *s, uint64_t lin)
{
    struct walk w;
    uint64_t last = lin + s->mem_bytes - 1;
    bool odd = code64(c) ? !canonical(lin) || !canonical(last) : last > 0xffffffff;
    return !odd && !(mmu_walk(c, c->view, lin, ACCESS_READ, &w) & WALK_FAULT) &&
           !(mmu_walk(c, c->view, last, ACCESS_READ, &w) & WALK_FAULT);
}

/* AMD's: of the first active element, after the checks of its address; Intel's: of the whole operand. */
static void check_natural_alignment(struct vcpu *c, const struct insn *in, const struct stub *s, uint64_t active)
{
    bool whole = c->replay->quirks->vectors_unaligned;
    unsigned n = s->element_bytes, at = (unsigned)__builtin_ctzll(active) * n;
    uint64_t lin = step_linear(c, in, at, n, s->access);
    bool address_fault = code64(c) ? !canonical(lin) : lin + n - 1 > 0xffffffff;
    if (!address_fault && (whole ? lin - at : lin) & ((whole ? s->natural : n) - 1u))
        raise_error(c, EXC_AC, 0);
}

static void run_masked(struct vcpu *c, const struct insn *in, const struct stub *s)
{
    bool segmented = in->flags & INSN_SEGMENTED;
    uint64_t lin = mem_offset(c, in) + (segmented ? c->seg[in->seg].base : 0), active = active_steps(c, s);
    uint8_t *buffer = replay_scratch(c, lin);
    if (active && lin & (s->align - 1u))
        raise_error(c, EXC_GP, 0);
    if (active && s->mask_kind == MASK_OPMASK && fpu_alignment_checked(c))
        check_natural_alignment(c, in, s, active);
    if (s->whole) {
        uint64_t whole = mem_linear(c, in, s->mem_bytes, s->access);
        if (fpu_alignment_checked(c) && lin & (s->natural - 1u))
            raise_error(c, EXC_AC, 0);
        mem_probe(c, in, whole, s->mem_bytes, s->access);
    }
    bool stores = s->access & ACCESS_WRITE;
    if (stores && !s->late)
        probe_steps(c, in, s, active);
    else if (!stores && !segmented && readable(c, s, lin))
        move_step(c, in, lin, buffer, s->mem_bytes, ACCESS_READ);
    else if (!stores)
        move_steps(c, in, s, buffer, active);
    replay_run(c, in, s, buffer);
    if (s->late)
        probe_steps(c, in, s, active);
    if (stores)
        move_steps(c, in, s, buffer, active);
}

static void exec_masked(struct vcpu *c, const struct insn *in)
{
    const struct stub *s = (const struct stub *)in->imm;
    void *direct = NULL;
    fpu_check(c, s->check);
    if (!(in->flags & INSN_SEGMENTED)) {
        uint64_t lin = mem_offset(c, in);
        direct = lin & (s->align - 1u) ? NULL : replay_direct(c, s, lin);
    }
    if (likely(direct))
        replay_run(c, in, s, direct);
    else
        run_masked(c, in, s);
}

bool replay_masked(const struct insn *in)
{
    return in->aux == (void *)exec_masked;
}

/* ---- MASKMOVQ, MASKMOVDQU ------------------------------------------------------------------------------------------ */
static uint64_t string_linear(struct vcpu *c, const struct insn *in, unsigned at, unsigned bytes)
{
    uint64_t off = (c->gpr[X86_RDI] + at) & in->amask;
    return seg_linear(c, in->seg, off, bytes, ACCESS_WRITE);
}

/* Each half has its own address, which wraps with the address size; the upper one comes first. */
static void maskmov_halves(struct vcpu *c, const struct insn *in, const uint8_t *data, const uint8_t *mask,
                           unsigned bytes)
{
    uint64_t lin[2];
    for (unsigned half = bytes / 8; half--;) {
        lin[half] = string_linear(c, in, 8 * half, 8);
        if (fpu_alignment_checked(c) && lin[half] & 7)
            raise_error(c, EXC_AC, 0);
        mem_probe(c, in, lin[half], 8, ACCESS_WRITE); /* whatever the mask */
    }
    for (unsigned i = 0; i < bytes; i++)
        if (mask[i] & 0x80) {
            uint64_t at = lin[i / 8] + i % 8;
            mem_write_bytes(c, in, code64(c) ? at : (uint32_t)at, &data[i], 1);
        }
}

static void maskmov(struct vcpu *c, const struct insn *in, const uint8_t *data, const uint8_t *mask, unsigned bytes)
{
    if (c->replay->quirks->maskmov_halves) {
        maskmov_halves(c, in, data, mask, bytes);
        return;
    }
    uint64_t lin = string_linear(c, in, 0, bytes);
    if (fpu_alignment_checked(c) && lin & 7)
        raise_error(c, EXC_AC, 0);
    mem_probe(c, in, lin, bytes, ACCESS_WRITE); /* whatever the mask */
    for (unsigned i = 0; i < bytes; i++)
        if (mask[i] & 0x80)
            mem_write_bytes(c, in, string_linear(c, in, i, 1), &data[i], 1);
}

static void exec_maskmovdqu(struct vcpu *c, const struct insn *in)
{
    const struct stub *s = (const struct stub *)in->imm;
    uint8_t data[64], mask[64];
    fpu_check(c, s->check);
    fpu_area(c);
    vector_get(c, s->data, data);
    vector_get(c, s->mask, mask);
    maskmov(c, in, data, mask, 16);
}

static void exec_maskmovq(struct vcpu *c, const struct insn *in)
{
    const struct stub *s = (const struct stub *)in->imm;
    fpu_check(c, FPU_MMX);
    fpu_wait(c);
    uint32_t unused;
    fpu_use(c);
    uint16_t errors = unlikely(c->replay->ignore_errors) ? fpu_put_errors_aside(c) : 0;
    __asm__ volatile("movd %%mm0, %0" : "=r"(unused)); /* any MMX instruction: TOP = 0, all tags valid */
    if (unlikely(errors))
        fpu_put_errors_back(c, errors);
    const uint8_t *area = fpu_area(c);
    maskmov(c, in, area + XS_ST + 16 * (s->data & 7), area + XS_ST + 16 * (s->mask & 7), 8);
}

/* ---- gather, scatter ------------------------------------------------------------------------------------------------- */
/* struct stub for these: element_bytes is the data's, align the index's size, elements their number, mask the
 * mask register, mem_bytes the index register. */
static uint64_t gather_linear(struct vcpu *c, const struct insn *in, const struct stub *s, const uint8_t *index,
                              int access)
{
    int64_t i;
    int32_t i32;
    memcpy(&i, index, 8);
    memcpy(&i32, index, 4);
    struct insn at = *in;
    at.index = 8 * REG_ZERO;
    at.disp = (int64_t)((uint64_t)at.disp + ((uint64_t)(s->align == 4 ? i32 : i) << in->scale));
    return mem_linear(c, &at, s->element_bytes, access);
}

static const uint8_t *element(const uint8_t *v, unsigned i, unsigned bytes)
{
    return v + i * bytes;
}

/* After element i of a gather: it is in the register and its mask is gone, so that a fault at the next one finds
 * everything consistent. */
static void gather_mask_clear(struct vcpu *c, const struct stub *s, unsigned i)
{
    if (s->mask_kind == MASK_OPMASK) {
        *opmask(c, s->mask) &= ~(1ull << i);
        return;
    }
    uint8_t v[64];
    vector_get(c, s->mask, v);
    memset(v + i * s->element_bytes, 0, s->element_bytes);
    vector_put(c, s->mask, v);
}

static void gather_finish(struct vcpu *c, const struct stub *s)
{
    uint8_t zero[64] = {0};
    if (s->mask_kind == MASK_OPMASK)
        *opmask(c, s->mask) = 0;
    else
        vector_put(c, s->mask, zero);
}

static uint64_t gather_active(struct vcpu *c, const struct stub *s)
{
    uint8_t mask[64];
    uint64_t active = 0;
    if (s->mask_kind == MASK_OPMASK)
        return *opmask(c, s->mask) & ((1ull << s->elements) - 1);
    vector_get(c, s->mask, mask);
    for (unsigned i = 0; i < s->elements; i++)
        active |= (uint64_t)(mask[(i + 1) * s->element_bytes - 1] >> 7) << i;
    return active;
}

/* What Intel's do first: each element of a vector's mask becomes all ones or zeros, what is above it 0. */
static void gather_mask_spread(struct vcpu *c, const struct stub *s, unsigned vector_bytes)
{
    uint8_t v[64];
    vector_get(c, s->mask, v);
    for (unsigned at = 0; at < vector_bytes; at += s->element_bytes)
        memset(v + at, v[at + s->element_bytes - 1] & 0x80 ? 0xff : 0, s->element_bytes);
    memset(v + vector_bytes, 0, sizeof v - vector_bytes);
    vector_put(c, s->mask, v);
}

static void exec_gather(struct vcpu *c, const struct insn *in)
{
    const struct stub *s = (const struct stub *)in->imm;
    uint8_t index[64 + 8] = {0}, data[64];
    fpu_check(c, s->check);
    fpu_area(c);
    vector_get(c, s->mem_bytes, index);
    vector_get(c, s->data, data);
    uint64_t active = gather_active(c, s);
    unsigned bytes = s->elements * s->element_bytes, vector = s->elements * MAX(s->element_bytes, s->align);
    bool spreads = s->mask_kind == MASK_VECTOR && c->replay->quirks->gather_spreads_mask;
    if (spreads)
        gather_mask_spread(c, s, vector);
    if (spreads ||
        s->mask_kind == MASK_OPMASK) /* what is above the vector goes with the first element, else at the end */
        memset(data + vector, 0, 64 - vector);
    for (unsigned i = 0; i < s->elements; i++) {
        if (!(active >> i & 1)) {
            gather_mask_clear(c, s, i);
            continue;
        }
        uint64_t lin = gather_linear(c, in, s, element(index, i, s->align), ACCESS_READ);
        move_step(c, in, lin, data + i * s->element_bytes, s->element_bytes, ACCESS_READ);
        vector_put(c, s->data, data);
        gather_mask_clear(c, s, i);
    }
    memset(data + bytes, 0, 64 - bytes);
    vector_put(c, s->data, data);
    gather_finish(c, s);
}

static void exec_scatter(struct vcpu *c, const struct insn *in)
{
    const struct stub *s = (const struct stub *)in->imm;
    uint8_t index[64 + 8] = {0}, data[64];
    fpu_check(c, s->check);
    fpu_area(c);
    vector_get(c, s->mem_bytes, index);
    vector_get(c, s->data, data);
    uint64_t active = gather_active(c, s);
    for (; active; active &= active - 1) {
        unsigned i = (unsigned)__builtin_ctzll(active);
        uint64_t lin = gather_linear(c, in, s, element(index, i, s->align), ACCESS_WRITE);
        probe_one(c, in, lin, s->element_bytes);
        move_step(c, in, lin, data + i * s->element_bytes, s->element_bytes, ACCESS_WRITE);
        gather_mask_clear(c, s, i);
    }
    *opmask(c, s->mask) = 0;
    *(uint64_t *)(c->xsave + XS_BV) |= XFEATURE_AVX512;
}

/* ---- binding --------------------------------------------------------------------------------------------------------- */
/* The bytes behind the 62 or C4 of an instruction, in 64-bit terms. */
struct vex_fields {
    unsigned reg, index, v, aaa;
    bool w;
};

static struct vex_fields vex_fields(const struct replay_info *info, unsigned mode)
{
    struct vex_fields f = {0};
    const uint8_t *p = info->raw + info->modrm_at - (info->encoding == REPLAY_EVEX ? 5 : 4);
    uint8_t modrm = info->raw[info->modrm_at], sib = info->raw[info->modrm_at + 1];
    bool long_form = mode == CODE64, evex = info->encoding == REPLAY_EVEX;
    f.reg = modrm >> 3 & 7;
    f.index = sib >> 3 & 7;
    f.v = ~p[2] >> 3 & (long_form ? 15 : 7);
    f.w = p[2] & 0x80;
    f.aaa = evex ? p[3] & 7 : 0;
    if (long_form) {
        f.reg |= (p[1] & 0x80 ? 0 : 8) | (evex && !(p[1] & 0x10) ? 16 : 0);
        f.index |= (p[1] & 0x40 ? 0 : 8) | (evex && !(p[3] & 8) ? 16 : 0);
    }
    return f;
}

static cold_fn bind_gather(const struct replay_info *info, struct stub *s, unsigned mode)
{
    struct vex_fields f = vex_fields(info, mode);
    bool evex = info->encoding == REPLAY_EVEX, scatter = info->opcode >= 0xa0;
    s->element_bytes = f.w ? 8 : 4;
    s->align = info->opcode & 1 ? 8 : 4;
    s->elements = (uint8_t)(info->vector_bytes / MAX(s->element_bytes, s->align));
    s->data = (uint8_t)f.reg;
    s->mem_bytes = (uint16_t)f.index;
    s->mask = (uint8_t)(evex ? f.aaa : f.v);
    s->mask_kind = evex ? MASK_OPMASK : MASK_VECTOR;
    bool bad = evex ? !f.aaa || (!scatter && f.reg == f.index) : f.reg == f.index || f.reg == f.v || f.index == f.v;
    return bad ? NULL : scatter ? exec_scatter : exec_gather;
}

static bool is_packed(const struct replay_info *info)
{
    return g_str_has_prefix(info->mnemonic, "vcompress") || g_str_has_prefix(info->mnemonic, "vpcompress") ||
           g_str_has_prefix(info->mnemonic, "vexpand") || g_str_has_prefix(info->mnemonic, "vpexpand");
}

/* Read as a whole, though the decoder's tables say otherwise. */
static bool unmasked_read(const char *name)
{
    return strstr(name, "gf2p8affine") || !strcmp(name, "vdbpsadbw") || !strcmp(name, "vcvtne2ps2bf16");
}

static cold_fn bind_opmask(const struct replay_info *info, struct stub *s, unsigned mode)
{
    struct vex_fields f = vex_fields(info, mode);
    bool whole = info->whole_operand || unmasked_read(info->mnemonic);
    if (!f.aaa || !info->mem_element_bytes || (whole && !info->mem_writes))
        return NULL;
    s->whole = whole;
    s->mask_kind = MASK_OPMASK;
    s->mask = (uint8_t)f.aaa;
    s->element_bytes = info->mem_element_bytes;
    s->elements = (uint8_t)(info->mem_bytes / info->mem_element_bytes);
    s->broadcast = info->broadcast || strstr(info->mnemonic, "broadcast");
    s->packed = is_packed(info);
    if (s->broadcast)
        s->elements = info->broadcast ? info->broadcast : (uint8_t)(info->vector_bytes / info->mem_element_bytes);
    return exec_masked;
}

static cold_fn bind_maskmov(const struct replay_info *info, struct stub *s, unsigned mode)
{
    uint8_t modrm = info->raw[info->modrm_at];
    uint8_t rex = mode == CODE64 && info->modrm_at >= 3 ? info->raw[info->modrm_at - 3] : 0;
    s->data = modrm >> 3 & 7;
    s->mask = modrm & 7;
    if (info->encoding == REPLAY_VEX && mode == CODE64) { /* R is inverted; B is in the three-byte form only */
        bool long_form = info->modrm_at >= 4 && info->raw[info->modrm_at - 4] == 0xc4;
        uint8_t bits = info->raw[info->modrm_at - (long_form ? 3 : 2)];
        s->data |= bits & 0x80 ? 0 : 8;
        s->mask |= long_form && !(bits & 0x20) ? 8 : 0;
    } else if ((rex & 0xf0) == 0x40) {
        s->data |= rex & 4 ? 8 : 0;
        s->mask |= rex & 1 ? 8 : 0;
    }
    return s->check == FPU_MMX ? exec_maskmovq : exec_maskmovdqu;
}

/* NULL: not one of these. */
cold_fn replay_mask_bind(const struct replay_info *info, struct stub *s, unsigned mode)
{
    if (info->vsib)
        return bind_gather(info, s, mode);
    if (info->map == 1 && info->opcode == 0xf7 && info->hidden_memory)
        return bind_maskmov(info, s, mode);
    if (info->memory && info->encoding == REPLAY_EVEX)
        return bind_opmask(info, s, mode);
    bool vmaskmov = info->encoding == REPLAY_VEX && info->map == 2 && info->memory &&
                    ((info->opcode >= 0x2c && info->opcode <= 0x2f) || info->opcode == 0x8c || info->opcode == 0x8e);
    if (!vmaskmov)
        return NULL;
    struct vex_fields f = vex_fields(info, mode);
    s->mask_kind = MASK_VECTOR;
    s->mask = (uint8_t)f.v;
    s->element_bytes = info->opcode >= 0x80 ? (f.w ? 8 : 4) : (info->opcode & 1 ? 8 : 4);
    s->elements = (uint8_t)(info->mem_bytes / s->element_bytes);
    return exec_masked;
}
