// SPDX-License-Identifier: GPL-2.0-or-later
/* emit.h - writing x86-64 instructions into the code cache.  Sizes in bytes (1 2 4 8); registers by number. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { H_RAX, H_RCX, H_RDX, H_RBX, H_RSP, H_RBP, H_RSI, H_RDI, H_R8, H_R9, H_R10, H_R11, H_R12, H_R13, H_R14, H_R15 };

struct emit {
    uint8_t *at, *end; /* in the writable mapping */
    ptrdiff_t to_exec; /* + at: where the same byte executes */
    bool full;
};
struct host_mem { /* [base + index << scale + disp]; index -1: none */
    int base, index, scale;
    int32_t disp;
};

static inline void e8(struct emit *e, unsigned v)
{
    if (e->at < e->end)
        *e->at++ = v;
    else
        e->full = true;
}

static inline void e_bytes(struct emit *e, const void *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        e8(e, ((const uint8_t *)p)[i]);
}

static inline void e32(struct emit *e, uint32_t v)
{
    e_bytes(e, &v, 4);
}

static inline uint8_t *e_here(const struct emit *e) /* executable address */
{
    return e->at + e->to_exec;
}

/* opcode: one byte, 0x0fXX, 0x0f38XX or 0x0f3aXX */
static inline void e_opcode(struct emit *e, uint32_t opcode)
{
    if (opcode > 0xffff)
        e8(e, opcode >> 16);
    if (opcode > 0xff)
        e8(e, opcode >> 8 & 0xff);
    e8(e, opcode & 0xff);
}

/* force_rex: byte registers 4-7 mean SPL..DIL */
static inline void e_rex(struct emit *e, unsigned size, int reg, int index, int base, bool force_rex)
{
    unsigned rex = 0x40 | (size == 8) << 3 | (reg > 7) << 2 | (index > 7) << 1 | (base > 7);
    if (rex != 0x40 || force_rex)
        e8(e, rex);
}

/* op reg, rm with both registers.  size 2 gets the 66 prefix. */
static inline void e_rr(struct emit *e, unsigned size, uint32_t opcode, int reg, int rm)
{
    if (size == 2)
        e8(e, 0x66);
    e_rex(e, size, reg, 0, rm, size == 1 && (reg > 3 || rm > 3));
    e_opcode(e, opcode);
    e8(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

static inline void e_modrm_mem(struct emit *e, int reg, const struct host_mem *m)
{
    unsigned mod = m->disp == 0 && (m->base & 7) != 5 ? 0 : m->disp == (int8_t)m->disp ? 1 : 2;
    if (m->base < 0) { /* [index << scale + disp32] */
        e8(e, (reg & 7) << 3 | 4);
        e8(e, m->scale << 6 | ((m->index < 0 ? 4 : m->index) & 7) << 3 | 5);
        e32(e, m->disp);
        return;
    }
    if (m->index >= 0 || (m->base & 7) == 4) {
        e8(e, mod << 6 | (reg & 7) << 3 | 4);
        e8(e, m->scale << 6 | ((m->index < 0 ? 4 : m->index) & 7) << 3 | (m->base & 7));
    } else {
        e8(e, mod << 6 | (reg & 7) << 3 | (m->base & 7));
    }
    if (mod == 1)
        e8(e, m->disp);
    else if (mod == 2)
        e32(e, m->disp);
}

static inline void e_mem(struct emit *e, unsigned size, uint32_t opcode, int reg, struct host_mem m)
{
    if (size == 2)
        e8(e, 0x66);
    e_rex(e, size, reg, m.index < 0 ? 0 : m.index, m.base < 0 ? 0 : m.base, size == 1 && reg > 3);
    e_opcode(e, opcode);
    e_modrm_mem(e, reg, &m);
}

static inline struct host_mem at(int base, int32_t disp)
{
    return (struct host_mem){base, -1, 0, disp};
}

static inline void e_mov(struct emit *e, unsigned size, int to, int from)
{
    e_rr(e, size, 0x8b, to, from);
}
static inline void e_load(struct emit *e, unsigned size, int to, struct host_mem m)
{
    e_mem(e, size, 0x8b, to, m);
}
static inline void e_store(struct emit *e, unsigned size, struct host_mem m, int from)
{
    e_mem(e, size, size == 1 ? 0x88 : 0x89, from, m);
}
static inline void e_lea(struct emit *e, unsigned size, int to, struct host_mem m)
{
    e_mem(e, size, 0x8d, to, m);
}
static inline void e_imm64(struct emit *e, int to, uint64_t v)
{
    if (v <= UINT32_MAX) {
        e_rex(e, 4, 0, 0, to, false);
        e8(e, 0xb8 | (to & 7));
        e32(e, v);
        return;
    }
    e_rex(e, 8, 0, 0, to, false);
    e8(e, 0xb8 | (to & 7));
    e_bytes(e, &v, 8);
}
static inline void e_jmp(struct emit *e, const uint8_t *target)
{
    e8(e, 0xe9);
    e32(e, (uint32_t)(target - (e_here(e) + 4)));
}
static inline void e_jcc(struct emit *e, unsigned cc, const uint8_t *target)
{
    e8(e, 0x0f);
    e8(e, 0x80 | cc);
    e32(e, (uint32_t)(target - (e_here(e) + 4)));
}
/* A jump whose target comes later: returns where its rel32 is. */
static inline uint8_t *e_jmp_later(struct emit *e)
{
    e8(e, 0xe9);
    e32(e, 0);
    return e->at - 4;
}
static inline uint8_t *e_jcc_later(struct emit *e, unsigned cc)
{
    e8(e, 0x0f);
    e8(e, 0x80 | cc);
    e32(e, 0);
    return e->at - 4;
}
/* rel32 at `where` (writable mapping) now goes to `target` (executable address). */
static inline void e_patch(const struct emit *e, uint8_t *where, const uint8_t *target)
{
    int32_t rel = (int32_t)(target - (where + e->to_exec + 4));
    if (!e->full)
        memcpy(where, &rel, 4);
}
static inline void e_patch_here(const struct emit *e, uint8_t *where)
{
    e_patch(e, where, e_here(e));
}
