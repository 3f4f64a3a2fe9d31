// SPDX-License-Identifier: GPL-2.0-or-later
/* quick.c - taking the most common instructions apart without Zydis.
 *
 * Programs like compilers run most of their code a few times only, so that decoding is what they wait for.  Nine tenths
 * of it are integer instructions with at most a 66, FS or GS and a REX prefix, whose shape one table look-up per opcode
 * tells (SDM Vol. 2, appendix A).  Everything else, and whatever might not be valid, is left to Zydis: a false here says
 * only that nobody has looked. */
#include "patcher/decode/decode.h"
#include <string.h>

/* What follows the opcode.  IMMZ has two bytes after a 66 prefix, else four; IMMV has eight with REX.W. */
enum { MODRM = 1, IMM8 = 2, IMMZ = 4, IMMV = 8, WITH66 = 16, PLAIN = 32 /* nothing */, MEMORY = 64, CODE64_ONLY = 128 };

static const uint8_t shapes_0[256] = {
    [0x50 ... 0x5f] = PLAIN,
    [0x63] = MODRM | CODE64_ONLY,
    [0x68] = IMMZ,
    [0x69] = MODRM | IMMZ | WITH66,
    [0x6a] = IMM8,
    [0x6b] = MODRM | IMM8 | WITH66,
    [0x70 ... 0x7f] = IMM8,
    [0x80] = MODRM | IMM8 | WITH66,
    [0x81] = MODRM | IMMZ | WITH66,
    [0x83] = MODRM | IMM8 | WITH66,
    [0x84 ... 0x8b] = MODRM | WITH66,
    [0x8d] = MODRM | MEMORY | WITH66,
    [0x98 ... 0x99] = PLAIN | WITH66,
    [0xa8] = IMM8,
    [0xa9] = IMMZ | WITH66,
    [0xb0 ... 0xb7] = IMM8,
    [0xb8 ... 0xbf] = IMMZ | IMMV | WITH66,
    [0xc0 ... 0xc1] = MODRM | IMM8 | WITH66,
    [0xc3] = PLAIN,
    [0xc9] = PLAIN,
    [0xd0 ... 0xd3] = MODRM | WITH66,
    [0xe8 ... 0xe9] = IMMZ,
    [0xeb] = IMM8,
};
static const uint8_t shapes_0f[256] = {
    [0x40 ... 0x4f] = MODRM | WITH66, [0x80 ... 0x8f] = IMMZ,           [0x90 ... 0x9f] = MODRM,
    [0xa3] = MODRM | WITH66,          [0xa4] = MODRM | IMM8 | WITH66,   [0xa5] = MODRM | WITH66,
    [0xab] = MODRM | WITH66,          [0xac] = MODRM | IMM8 | WITH66,   [0xad] = MODRM | WITH66,
    [0xaf] = MODRM | WITH66,          [0xb0 ... 0xb1] = MODRM | WITH66, [0x1f] = MODRM | MEMORY | WITH66,
    [0xb3] = MODRM | WITH66,          [0xb6 ... 0xb7] = MODRM | WITH66, [0xbb ... 0xbf] = MODRM | WITH66,
    [0xc0 ... 0xc1] = MODRM | WITH66, [0xc8 ... 0xcf] = PLAIN,
};

/* Opcodes whose ModRM.reg says what they are. */
static unsigned shape_of_group(unsigned opcode, unsigned ext)
{
    switch (opcode) {
    case 0xc6: return ext ? 0 : MODRM | IMM8;
    case 0xc7: return ext ? 0 : MODRM | IMMZ | WITH66;
    case 0xf6: return ext == 1 ? 0 : ext ? MODRM : MODRM | IMM8;
    case 0xf7: return ext == 1 ? 0 : ext ? MODRM | WITH66 : MODRM | IMMZ | WITH66;
    case 0xfe: return ext < 2 ? MODRM : 0;
    case 0xff: return ext < 2 ? MODRM | WITH66 : ext == 2 || ext == 4 || ext == 6 ? MODRM : 0;
    default: return 0;
    }
}

static unsigned shape_of_opcode(const struct shape *s, unsigned next, unsigned code)
{
    unsigned op = s->opcode, shape;
    if (s->map)
        shape = op == 0xba ? next >> 5 & 1 ? MODRM | IMM8 | WITH66 : 0 : shapes_0f[op];
    else if (op < 0x40)
        shape = (op & 7) < 4 ? MODRM | WITH66 : (op & 7) == 4 ? IMM8 : (op & 7) == 5 ? IMMZ | WITH66 : 0;
    else
        shape = shapes_0[op] ? shapes_0[op] : shape_of_group(op, next >> 3 & 7);
    if (code == CODE32 && op >= 0x40 && op <= 0x4f && !s->map) /* INC, DEC */
        shape = PLAIN | WITH66;
    if ((s->has66 && !(shape & WITH66)) || (shape & CODE64_ONLY && code != CODE64))
        return 0;
    return shape;
}

static int64_t signed_bytes(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;
    memcpy(&v, p, n);
    return n ? (int64_t)(v << (64 - 8 * n)) >> (64 - 8 * n) : 0;
}

static const uint8_t *take_modrm(struct shape *s, const uint8_t *p)
{
    s->has_modrm = true;
    s->modrm = *p++;
    unsigned mod = s->modrm >> 6, rm = s->modrm & 7, base = rm;
    if (mod == 3)
        return p;
    if (rm == 4) {
        s->sib = *p++;
        base = s->sib & 7;
    }
    unsigned n = mod == 1 ? 1 : mod == 2 || base == 5 ? 4 : 0;
    s->disp = signed_bytes(p, n);
    return p + n;
}

/* 66, FS or GS, each once; then REX. */
static const uint8_t *take_prefixes(struct shape *s, const uint8_t *p, unsigned code)
{
    if (*p == 0x64 || *p == 0x65)
        s->seg = *p++ == 0x64 ? X86_FS : X86_GS;
    if (*p == 0x66) {
        s->has66 = true;
        p++;
    }
    if (code == CODE64 && (*p & 0xf0) == 0x40)
        s->rex = *p++;
    return p;
}

bool decode_quick(struct shape *s, const uint8_t *bytes, unsigned n, unsigned code)
{
    enum { LONGEST = 15 };
    uint8_t padded[LONGEST] = {0};
    if (code == CODE16)
        return false;
    if (n < LONGEST)
        bytes = memcpy(padded, bytes, n);
    *s = (struct shape){.seg = NO_SEGMENT, .asize = code == CODE64 ? 8 : 4};
    const uint8_t *p = take_prefixes(s, bytes, code);
    if (*p == 0x0f) {
        s->map = 0x0f;
        p++;
    }
    s->opcode = *p++;
    unsigned shape = shape_of_opcode(s, *p, code);
    if (!shape)
        return false;
    if (shape & MODRM)
        p = take_modrm(s, p);
    bool memory = s->has_modrm && s->modrm < 0xc0;
    if (shape & MEMORY ? !memory || s->seg != NO_SEGMENT : !memory && s->seg != NO_SEGMENT)
        return false; /* LEA has no segment, and without memory nothing has */
    unsigned imm = shape & IMM8                                ? 1
                   : shape & IMMV && s->rex & 8                ? 8
                   : shape & IMMZ && s->has66 && !(s->rex & 8) ? 2
                   : shape & IMMZ                              ? 4
                                                               : 0;
    s->imm = signed_bytes(p, imm);
    s->len = p + imm - bytes;
    return s->len <= n;
}
