// SPDX-License-Identifier: GPL-2.0-or-later
/* Common instructions are taken apart without Zydis: whatever decode_quick() accepts, Zydis must see in the same way. */
#include "patcher/decode/decode.h"
#include <Zydis/Zydis.h>
#include <string.h>

enum { CASES = 2000000, LONGEST = 15 };

/* Random bytes behind prefixes that are as frequent as in programs. */
static unsigned make(GRand *random, uint8_t *b)
{
    static const uint8_t prefixes[] = {0x66, 0x64, 0x65, 0xf2, 0xf3, 0xf0, 0x2e, 0x67};
    unsigned n = 0;
    for (unsigned i = 0; i < LONGEST; i++)
        b[i] = g_rand_int(random);
    while (n < 3 && !g_rand_int_range(random, 0, 4))
        b[n++] = prefixes[g_rand_int_range(random, 0, sizeof prefixes)];
    if (g_rand_boolean(random))
        b[n++] = 0x40 | g_rand_int_range(random, 0, 16);
    if (!g_rand_int_range(random, 0, 3))
        b[n] = 0x0f;
    return g_rand_int_range(random, 0, 8) ? LONGEST : g_rand_int_range(random, 1, LONGEST);
}

static int64_t immediate(const ZydisDecodedInstruction *d)
{
    unsigned up = 64 - d->raw.imm[0].size;
    return d->raw.imm[0].size ? (int64_t)(d->raw.imm[0].value.u << up) >> up : 0;
}

static unsigned segment(const ZydisDecodedInstruction *d)
{
    return d->attributes & ZYDIS_ATTRIB_HAS_SEGMENT_FS   ? X86_FS
           : d->attributes & ZYDIS_ATTRIB_HAS_SEGMENT_GS ? X86_GS
                                                         : NO_SEGMENT;
}

static unsigned rex(const ZydisDecodedInstruction *d)
{
    bool has = d->attributes & ZYDIS_ATTRIB_HAS_REX;
    return has ? 0x40 | d->raw.rex.W << 3 | d->raw.rex.R << 2 | d->raw.rex.X << 1 | d->raw.rex.B : 0;
}

static void same(const struct shape *s, const ZydisDecodedInstruction *d)
{
    bool modrm = d->attributes & ZYDIS_ATTRIB_HAS_MODRM;
    g_assert_cmpuint(s->len, ==, d->length);
    g_assert_cmpuint(s->opcode, ==, d->opcode);
    g_assert_cmpuint(s->map, ==, d->opcode_map == ZYDIS_OPCODE_MAP_0F ? 0x0f : d->opcode_map);
    g_assert_cmpuint(s->rex, ==, rex(d));
    g_assert_cmpuint(s->asize * 8, ==, d->address_width);
    g_assert_cmpuint(s->seg, ==, segment(d));
    g_assert_cmpuint(s->has_modrm, ==, modrm);
    g_assert_cmpuint(s->modrm, ==, modrm ? d->raw.modrm.mod << 6 | d->raw.modrm.reg << 3 | d->raw.modrm.rm : 0);
    g_assert_cmpuint(s->sib, ==, d->raw.sib.scale << 6 | d->raw.sib.index << 3 | d->raw.sib.base);
    g_assert_cmpint(s->disp, ==, d->raw.disp.value);
    g_assert_cmpint((int64_t)s->imm, ==, immediate(d));
    g_assert_cmpuint(d->raw.imm[1].size, ==, 0);
}

static void test_agrees(gconstpointer mode)
{
    unsigned code = GPOINTER_TO_UINT(mode), taken = 0, valid = 0;
    bool wide = code == CODE64;
    ZydisDecoder z;
    ZydisDecodedInstruction d;
    g_autoptr(GRand) random = g_rand_new_with_seed(7);
    ZydisDecoderInit(&z, wide ? ZYDIS_MACHINE_MODE_LONG_64 : ZYDIS_MACHINE_MODE_LEGACY_32,
                     wide ? ZYDIS_STACK_WIDTH_64 : ZYDIS_STACK_WIDTH_32);
    for (unsigned i = 0; i < CASES; i++) {
        uint8_t b[LONGEST];
        struct shape s;
        unsigned n = make(random, b);
        bool ok = ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&z, NULL, b, n, &d));
        valid += ok;
        if (!decode_quick(&s, b, n, code))
            continue;
        taken++;
        g_assert_true(ok);
        same(&s, &d);
    }
    g_test_message("seed 7: %u of %u valid instructions", taken, valid);
    g_assert_cmpuint(taken * 4, >, valid); /* else this tests nothing */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/decode-quick/64", GUINT_TO_POINTER(CODE64), test_agrees);
    g_test_add_data_func("/decode-quick/32", GUINT_TO_POINTER(CODE32), test_agrees);
    return g_test_run();
}
