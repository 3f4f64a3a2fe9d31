// SPDX-License-Identifier: GPL-2.0-or-later
/* host_cpu.c - see host_cpu.h.  Leaves by the SDM (Vol. 2, CPUID) and AMD's APM (Vol. 3, appendix E). */
#include "core-vmm/base/host_cpu.h"
#include <cpuid.h>
#include <string.h>

#define BIT(n) (1u << (n))
enum { EAX, EBX, ECX, EDX };

void host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    memset(out, 0, 16);
    if ((uint32_t)__get_cpuid_max(leaf & 0x80000000, NULL) >= leaf)
        __cpuid_count(leaf, subleaf, out[EAX], out[EBX], out[ECX], out[EDX]);
}

static uint32_t word(uint32_t leaf, unsigned reg)
{
    uint32_t r[4];
    host_cpuid(leaf, 0, r);
    return r[reg];
}

static void learn_names(struct host_cpu *h)
{
    uint32_t r[4];
    host_cpuid(0, 0, r);
    memcpy(h->vendor, &r[EBX], 4);
    memcpy(h->vendor + 4, &r[EDX], 4);
    memcpy(h->vendor + 8, &r[ECX], 4);
    h->intel = !strcmp(h->vendor, "GenuineIntel");
    h->amd = !strcmp(h->vendor, "AuthenticAMD") || !strcmp(h->vendor, "HygonGenuine");
    h->signature = word(1, EAX);
    h->bmi2 = word(7, EBX) & BIT(8);
    uint32_t bits = word(0x80000008, EAX);
    h->gpa_bits = bits & 0xff ? bits & 0xff : 36;
    h->linear_bits = bits >> 8 & 0xff ? bits >> 8 & 0xff : 48;
}

/* The area in memory has the host's format; where nothing is enabled, that of FXSAVE. */
void host_cpu_learn_xsave(struct host_cpu *h)
{
    uint32_t lo, hi;
    h->xsave_bytes = 512;
    if (!(word(1, ECX) & BIT(27))) /* OSXSAVE */
        return;
    __asm__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    h->xcr0 = (uint64_t)hi << 32 | lo;
    h->xsave_bytes = 576;
    for (unsigned i = 2; i < HOST_XCOMPONENTS; i++) {
        uint32_t r[4];
        if (!(h->xcr0 >> i & 1))
            continue;
        host_cpuid(0xd, i, r);
        h->component[i] = (struct host_xcomponent){.offset = r[EBX], .bytes = r[EAX], .align = r[ECX] & 2 ? 64 : 1};
        h->xsave_bytes = MAX(h->xsave_bytes, r[EBX] + r[EAX]);
    }
}

void host_cpu_learn(struct host_cpu *h)
{
    memset(h, 0, sizeof *h);
    learn_names(h);
    host_cpu_learn_xsave(h);
    host_quirks_learn(h);
}

bool host_cpu_fits(GError **error)
{
    static const struct {
        uint32_t leaf;
        unsigned reg, bit;
        const char *name;
    } needed[] = {
        {1, EDX, 8, "CMPXCHG8B"}, {1, EDX, 15, "CMOV"},   {1, EDX, 24, "FXSAVE"},       {1, EDX, 26, "SSE2"},
        {1, ECX, 0, "SSE3"},      {1, ECX, 9, "SSSE3"},   {1, ECX, 13, "CMPXCHG16B"},   {1, ECX, 19, "SSE4.1"},
        {1, ECX, 20, "SSE4.2"},   {1, ECX, 23, "POPCNT"}, {0x80000001, ECX, 0, "LAHF"},
    };
    g_autoptr(GString) missing = g_string_new(NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(needed); i++)
        if (!(word(needed[i].leaf, needed[i].reg) >> needed[i].bit & 1))
            g_string_append_printf(missing, "%s%s", missing->len ? ", " : "", needed[i].name);
    if (!missing->len)
        return true;
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSYS,
                "this computer's CPU is older than x86-64-v2, the least that is supported: it lacks %s", missing->str);
    return false;
}
