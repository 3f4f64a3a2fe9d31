// SPDX-License-Identifier: GPL-2.0-or-later
/* vector.c - x87, MMX, SSE and AVX in translated code.
 *
 * Native replay (replay.c) has already made a host instruction of each of these, with its memory operand re-addressed,
 * and keeps the guest's vector state in the host's registers while nothing outside patcher/ is called.  So translated
 * code runs that instruction in place, if vcpu.trans_vector has its class' bit: the state is live, CR0, CR4 and XCR0 let
 * the guest use it, and all its exceptions are masked, so that nothing can trap.  Otherwise tier 1 runs it, which makes
 * the state live or raises what is due. */
#include "patcher/translate/translate.h"
#include "patcher/native/fpu.h"

enum { MXCSR_MASKS = 0x1f80, FCW_MASKS = 0x3f, FSW_PENDING = 0x80 };

void trans_vector_update(struct vcpu *c)
{
    uint32_t ok = 0;
    uint32_t mxcsr;
    uint16_t fcw, fsw;
    c->trans_vector = 0;
    if (!c->replay->live || c->cr0 & (CR0_EM | CR0_TS))
        return;
    __asm__ volatile("stmxcsr %0; fnstcw %1; fnstsw %2" : "=m"(mxcsr), "=m"(fcw), "=m"(fsw));
    bool x87_quiet = (fcw & FCW_MASKS) == FCW_MASKS && !(fsw & FSW_PENDING);
    bool sse_quiet = (mxcsr & MXCSR_MASKS) == MXCSR_MASKS;
    if (x87_quiet)
        ok |= 1 << FPU_MMX | 1 << FPU_X87;
    if (c->cr4 & CR4_OSFXSR && sse_quiet && x87_quiet)
        ok |= 1 << FPU_SSE;
    if (c->cr4 & CR4_OSXSAVE && sse_quiet) {
        uint64_t avx = XFEATURE_SSE | XFEATURE_AVX, all = avx | XFEATURE_AVX512;
        if ((c->xcr0 & avx) == avx)
            ok |= 1 << FPU_AVX;
        if ((c->xcr0 & all) == all)
            ok |= 1 << FPU_AVX512;
    }
    c->trans_vector = ok;
}

/* May code go on that has already looked at these classes' bits? */
bool trans_vector_ready(struct vcpu *c, uint32_t classes)
{
    if (!(classes & ~c->trans_vector))
        return true;
    fpu_use(c); /* the detour may have called out */
    trans_vector_update(c);
    return !(classes & ~c->trans_vector);
}

bool trans_vector_prepare(struct vcpu *c, const struct insn *in)
{
    unsigned class = replay_plain_stub(in)->check;
    fpu_check(c, class);
    fpu_use(c);
    trans_vector_update(c);
    return c->trans_vector >> class & 1;
}

unsigned trans_vector_away(const struct trans_op *o)
{
    unsigned gpr = trans_vector_gpr(o), away = 0;
    for (unsigned n = 0; n < 16; n++)
        away |= gpr & (trans_home(n) < 0 ? 1u << n : 0);
    return away;
}

static uint8_t legacy_opcode(const struct stub *s, uint8_t *map)
{
    const uint8_t *p = s->bytes;
    while (*p == 0x66 || *p == 0xf2 || *p == 0xf3)
        p++;
    if ((*p & 0xf0) == 0x40)
        p++;
    *map = 0;
    if (*p != 0x0f)
        return *p;
    *map = p[1] == 0x38 || p[1] == 0x3a ? p[1] : 0x0f;
    return *map == 0x0f ? p[1] : p[2];
}

/* Comparisons set all arithmetic flags; other vector instructions none; the rest is taken to read and write some. */
static void vector_flags(struct trans_op *o, const struct stub *s)
{
    uint8_t map, op = legacy_opcode(s, &map);
    if (s->x87) { /* FCMOVcc, FCOMI */
        bool flags = !s->mem_bytes && (op == 0xda || op == 0xdb || op == 0xdf);
        o->flags_read = flags ? FLAG_ALL : 0;
        o->flags_written = flags;
        return;
    }
    bool vex = s->bytes[0] == 0xc4; /* stubs have no two-byte form */
    bool evex = s->bytes[0] == 0x62;
    if (!s->vector && !s->flags) /* RORX, MOVBE... */
        return;
    if (!s->vector || s->bytes[0] == 0xc5 || (evex && (s->bytes[1] & 7) > 3)) {
        o->flags_read = FLAG_ALL;
        o->flags_written = true;
        return;
    }
    if (vex || evex) {
        static const uint8_t maps[] = {0, 0x0f, 0x38, 0x3a};
        map = (s->bytes[1] & (vex ? 0x1f : 7)) < 4 ? maps[s->bytes[1] & 3] : 0;
        op = s->bytes[vex ? 3 : 4];
    }
    bool scalar = map == 0x0f && (op == 0x2e || op == 0x2f); /* (U)COMISS, (U)COMISD */
    bool mask = vex && map == 0x0f && (op == 0x98 || op == 0x99);
    bool test = map == 0x38 && (op == 0x17 || (vex && (op == 0x0e || op == 0x0f)));
    bool string = map == 0x3a && op >= 0x60 && op <= 0x63;
    o->flags_written = scalar || mask || test || string;
    if (o->flags_written)
        o->flags_killed = FLAG_ALL;
}

/* What loads a control register may unmask exceptions: tier 1 runs it and looks again.  FNINIT and FNCLEX (DB) have to do
 * with pointers; FNSTSW, FNSTCW and STMXCSR are harmless. */
static bool loads_control(const struct stub *s)
{
    uint8_t map;
    bool vex = s->bytes[0] == 0xc4 || s->bytes[0] == 0xc5;
    if (s->check == FPU_X87)
        return s->fldcw || (!s->x87 && legacy_opcode(s, &map) == 0xdb);
    if (s->check == FPU_FWAIT)
        return true;
    if (s->access == ACCESS_WRITE) /* STMXCSR */
        return false;
    return vex ? s->bytes[3] == 0xae : legacy_opcode(s, &map) == 0xae && map == 0x0f;
}

bool trans_vector_of(struct trans_op *o, const struct insn *in)
{
    const struct stub *s = replay_plain_stub(in);
    if (!s || loads_control(s) || s->renamed)
        return false;
    *o =
        (struct trans_op){.kind = TRANS_VECTOR, .memory = s->mem_bytes != 0, .reads_only = !(s->access & ACCESS_WRITE)};
    o->stub = s;
    vector_flags(o, s);
    return true;
}

/* The instruction, its memory operand at m, which has one of r8 to r15 as base and no index. */
void trans_vector_emit(struct emit *e, const struct trans_op *o, struct host_mem m)
{
    const struct stub *s = o->stub;
    uint8_t b[16];
    unsigned at = 0, n = s->len, modrm;
    memcpy(b, s->bytes, sizeof b);
    if (!o->memory) {
        e_bytes(e, b, n);
        return;
    }
    while (b[at] == 0x66 || b[at] == 0xf2 || b[at] == 0xf3)
        at++;
    if (b[at] == 0xc4 || b[at] == 0x62) {
        b[at + 1] &= (uint8_t)~0x20; /* inverted B */
        modrm = at + (b[at] == 0xc4 ? 4 : 5);
    } else {
        if ((b[at] & 0xf0) == 0x40) {
            b[at] |= 1;
        } else {
            memmove(b + at + 1, b + at, n - at);
            b[at] = 0x41;
            n++;
        }
        modrm = at + 1;
        if (b[modrm] == 0x0f)
            modrm += b[modrm + 1] == 0x38 || b[modrm + 1] == 0x3a ? 2 : 1;
        modrm++;
    }
    e_bytes(e, b, modrm);
    if (b[at] == 0x62 && m.disp) { /* a byte would be scaled */
        e8(e, 0x80 | (b[modrm] & 0x38) | (m.base & 7));
        e32(e, m.disp);
    } else {
        e_modrm_mem(e, b[modrm] >> 3 & 7, &m);
    }
    e_bytes(e, b + modrm + 1, n - modrm - 1);
}

unsigned trans_vector_class(const struct trans_op *o)
{
    unsigned check = ((const struct stub *)o->stub)->check;
    return check == FPU_NONE || check == FPU_VEX_GPR ? 0 : 1u << check;
}

unsigned trans_vector_align(const struct trans_op *o)
{
    return ((const struct stub *)o->stub)->align;
}

unsigned trans_vector_bytes(const struct trans_op *o)
{
    return ((const struct stub *)o->stub)->mem_bytes;
}

/* 0: leaves the x87 instruction pointer alone. */
unsigned trans_vector_x87(const struct trans_op *o)
{
    return ((const struct stub *)o->stub)->x87;
}

void trans_x87_pointers(struct vcpu *c)
{
    struct replay *r = c->replay;
    r->fip = c->trans_x87_ip; /* as fpu_set_x87_pointers(), without an exception pending */
    r->fcs = r->quirks->x87_no_selectors ? 0 : c->seg[X86_CS].selector;
    if (!r->quirks->x87_fop_on_error)
        r->fop = c->trans_x87_op & 0x7ff;
    if (c->trans_x87_seg && !r->quirks->x87_data_on_error) {
        r->fdp = c->trans_x87_dp;
        r->fds = r->quirks->x87_no_data_selector ? 0 : c->seg[c->trans_x87_seg - 1].selector;
    }
    c->trans_x87_ip = 0;
    c->trans_x87_seg = 0;
}

unsigned trans_vector_gpr(const struct trans_op *o)
{
    return ((const struct stub *)o->stub)->gpr;
}

unsigned trans_vector_written(const struct trans_op *o)
{
    return ((const struct stub *)o->stub)->written;
}
