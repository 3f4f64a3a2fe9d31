// SPDX-License-Identifier: GPL-2.0-or-later
/* cpuid_maker.c - caches, and a guest's CPU that has another maker than the host's (engine option maker=): a server CPU of
 * that maker, with the features of the host that both makers name.  Each describes caches in its own leaves: Intel in leaf
 * 4, AMD in 0x80000005 and 0x80000006 and, in the form of leaf 4, in 0x8000001d. */
#include "patcher/interp/cpuid_table.h"
#include <string.h>

enum {
    SIGNATURE_INTEL = 0x000806f8, /* family 6, model 0x8f: Sapphire Rapids */
    SIGNATURE_AMD = 0x00a10f11,   /* family 0x19, model 0x11: Zen 4 */
    TOPOLOGY_EXTENSIONS = BIT(22),
    /* lahf abm prefetchw; syscall nx 1gb rdtscp lm */
    EXT_ECX_INTEL = BIT(0) | BIT(5) | BIT(8),
    EXT_EDX_INTEL = BIT(11) | BIT(20) | BIT(26) | BIT(27) | BIT(29),
    /* what AMD repeats of leaf 1, and mmxext, which SSE includes */
    EXT_EDX_REPEATED = 0x0183f3ff,
    MMXEXT = BIT(22),
};

bool cpuid_name_maker(struct cpu_model *c, enum cpu_maker maker)
{
    const char *name = maker == MAKER_INTEL ? "GenuineIntel" : maker == MAKER_AMD ? "AuthenticAMD" : c->vendor;
    bool other = memcmp(c->vendor, name, 12) != 0;
    memmove(c->vendor, name, 12);
    return other;
}

void cpuid_change_maker(struct cpuid_table *t)
{
    const char *brand = t->amd ? "AMD EPYC 9354 32-Core Processor" : "Intel(R) Xeon(R) Platinum 8480+";
    t->signature = t->amd ? SIGNATURE_AMD : SIGNATURE_INTEL;
    memset(t->brand, 0, sizeof t->brand);
    memcpy(t->brand, brand, strlen(brand));
    if (t->amd)
        t->feature[F_EXT_EDX] |= (t->feature[F_1_EDX] & EXT_EDX_REPEATED & ~EXT_EDX_INTEL) | MMXEXT;
    else {
        t->feature[F_EXT_ECX] &= EXT_ECX_INTEL;
        t->feature[F_EXT_EDX] &= EXT_EDX_INTEL;
    }
}

/* The host's cache number subleaf in the form of leaf 4; false: the host does not describe its caches like that. */
static bool host_cache(uint32_t subleaf, uint32_t r[4])
{
    uint32_t leaf = cpuid_host(0x80000001, 0, ECX) & TOPOLOGY_EXTENSIONS ? 0x8000001d : 4;
    for (unsigned i = 0; i < 4; i++)
        r[i] = cpuid_host(leaf, subleaf, i);
    return cpuid_host(leaf, 0, EAX) & 31;
}

void cpuid_caches(const struct cpuid_table *t, const struct cpu_model *m, uint32_t subleaf, uint32_t r[4])
{
    if (t->amd)
        return;
    if (host_cache(subleaf, r))
        r[EAX] = cpu_model_cache_eax(m, r[EAX]);
    else
        cpu_model_level(m, CPU_MODEL_V2, 4, subleaf, r);
}

/* AMD's code of a number of ways: that of the next lower one that has a code. */
static uint32_t ways_code(uint32_t ways)
{
    static const struct {
        uint32_t ways, code;
    } codes[] = {{128, 14}, {96, 13}, {64, 12}, {48, 11}, {32, 10}, {16, 8}, {8, 6}, {4, 4}, {2, 2}, {1, 1}};
    for (unsigned i = 0; i < G_N_ELEMENTS(codes); i++)
        if (ways >= codes[i].ways)
            return codes[i].code;
    return 0;
}

/* L1 data, L1 code, L2, L3 as AMD's older leaves have them, from the form of leaf 4. */
static void caches_to_amd(const struct cpu_model *m, uint32_t leaf, uint32_t out[4])
{
    enum { DATA = 1, LINE = 1 << 8 | 64 };
    for (unsigned i = 0; i < 8; i++) {
        uint32_t c[4];
        if (!host_cache(i, c))
            cpu_model_level(m, CPU_MODEL_V2, 4, i, c);
        uint32_t ways = (c[EBX] >> 22) + 1, level = c[EAX] >> 5 & 7;
        uint64_t kib = (uint64_t)ways * ((c[EBX] >> 12 & 0x3ff) + 1) * ((c[EBX] & 0xfff) + 1) * (c[ECX] + 1ull) >> 10;
        if (!(c[EAX] & 31))
            return;
        if (leaf == 0x80000005 && level == 1)
            out[(c[EAX] & 31) == DATA ? ECX : EDX] = MIN(kib, 255) << 24 | MIN(ways, 254) << 16 | LINE;
        else if (leaf == 0x80000006 && level == 2)
            out[ECX] = MIN(kib, 0xffff) << 16 | ways_code(ways) << 12 | LINE;
        else if (leaf == 0x80000006 && level == 3)
            out[EDX] = MIN(kib / 512, 0x3fff) << 18 | ways_code(ways) << 12 | LINE;
    }
}

/* On a host of the same maker what is said of TLBs, and of caches where there is no better leaf, is the host's.  (The L3 of
 * 0x80000006 is all there is in the package, of a number of ways that the form has no code for.) */
void cpuid_caches_extended(const struct cpuid_table *t, uint32_t leaf, uint32_t r[4])
{
    struct cpu_model intel = t->model; /* whose leaf 4 has something to say */
    uint32_t first[4];
    memcpy(intel.vendor, "GenuineIntel", 12);
    for (unsigned i = 0; i < 4 && !t->foreign; i++)
        r[i] = cpuid_host(leaf, 0, i);
    if (t->amd && (t->foreign || host_cache(0, first)))
        caches_to_amd(&intel, leaf, r);
    else if (t->foreign && leaf == 0x80000006) /* of caches Intel has L2 only there */
        r[ECX] = cpuid_host(leaf, 0, ECX);
}
