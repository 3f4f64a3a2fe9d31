// SPDX-License-Identifier: GPL-2.0-or-later
/* oracle_known.c - what the manuals, by way of the decoder, leave open about an instruction: flags that are undefined
 * after it, encodings that are reserved, extensions that the engine does not carry although a host may have them. */
#include "tests/patcher/oracle.h"
#include <Zydis/Zydis.h>
#include <string.h>

static const ZydisDecoder *decoder(enum oracle_mode mode)
{
    static ZydisDecoder d[3];
    static gsize made;
    static const ZydisMachineMode modes[] = {ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
                                             ZYDIS_MACHINE_MODE_LONG_COMPAT_16};
    static const ZydisStackWidth widths[] = {ZYDIS_STACK_WIDTH_64, ZYDIS_STACK_WIDTH_32, ZYDIS_STACK_WIDTH_16};
    if (g_once_init_enter(&made)) {
        for (unsigned m = 0; m < 3; m++) {
            ZydisDecoderInit(&d[m], modes[m], widths[m]);
            ZydisDecoderEnableMode(&d[m], ZYDIS_DECODER_MODE_AMD_BRANCHES, oracle_host_cpu()->amd);
        }
        g_once_init_leave(&made, 1);
    }
    return &d[mode];
}

static bool known(enum oracle_mode mode, const uint8_t *bytes, ZydisDecodedInstruction *in)
{
    return ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(decoder(mode), NULL, bytes, 15, in));
}

uint32_t oracle_undefined_flags(enum oracle_mode mode, const uint8_t *bytes)
{
    ZydisDecodedInstruction in;
    return known(mode, bytes, &in) && in.cpu_flags ? in.cpu_flags->undefined & ORACLE_ARITHMETIC : 0;
}

bool oracle_reserved_vex(enum oracle_mode mode, const uint8_t *bytes)
{
    ZydisDecodedInstruction in;
    const uint8_t *b = bytes + oracle_prefixes(mode, bytes);
    bool vex = *b == 0x62 || ((*b == 0xc4 || *b == 0xc5) && (mode == ORACLE_64 || b[1] >= 0xc0));
    return vex && !known(mode, bytes, &in);
}

bool oracle_packs(enum oracle_mode mode, const uint8_t *bytes)
{
    ZydisDecodedInstruction in;
    return known(mode, bytes, &in) &&
           (in.meta.category == ZYDIS_CATEGORY_COMPRESS || in.meta.category == ZYDIS_CATEGORY_EXPAND);
}

/* Linux lets programs use them where the CPU has them; the engine's CPUID never shows them. */
bool oracle_not_carried(enum oracle_mode mode, const uint8_t *bytes)
{
    static const char *const sets[] = {"AMX_",      "AVX512_4",  "AVX512_FP16", "CET", "ENQCMD",
                                       "HRESET",    "KEYLOCKER", "MOVDIR",      "PT",  "RTM",
                                       "TSX_LDTRK", "UINTR",     "WAITPKG"};
    ZydisDecodedInstruction in;
    if (!known(mode, bytes, &in))
        return false;
    const char *set = ZydisISASetGetString(in.meta.isa_set);
    for (unsigned i = 0; i < G_N_ELEMENTS(sets); i++)
        if (set && g_str_has_prefix(set, sets[i]) && (strcmp(sets[i], "PT") || !set[2]))
            return true;
    return false;
}
