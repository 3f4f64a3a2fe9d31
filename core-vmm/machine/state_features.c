// SPDX-License-Identifier: GPL-2.0-or-later
/* state_features.c - what a guest sees of its CPU's features, as words to compare and as names: SDM
 * Vol. 2, "CPUID"; AMD's APM Vol. 3, appendix E. */
#include "core-vmm/machine/state.h"
#include <stdio.h>
#include <string.h>

enum { EAX, EBX, ECX, EDX, REGISTERS };
static const uint32_t leaves[][2] = {{1, 0}, {7, 0}, {7, 1}, {0xd, 1}, {0x80000001, 0}, {0x80000008, 0}};
#define WORDS (G_N_ELEMENTS(leaves) * REGISTERS)

/* From bit 0 on; "-": the bit has no name here. */
static const struct {
    unsigned leaf, reg; /* leaf: of the table above */
    const char *names;
} named[] = {
    {0, ECX,
     "sse3 pclmulqdq dtes64 monitor ds-cpl vmx smx est tm2 ssse3 cnxt-id sdbg fma cx16 xtpr pdcm - pcid dca sse4.1 "
     "sse4.2 x2apic movbe popcnt tsc-deadline aes xsave osxsave avx f16c rdrand hypervisor"},
    {0, EDX,
     "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 psn clflush - ds acpi mmx fxsr sse "
     "sse2 ss htt tm ia64 pbe"},
    {1, EBX,
     "fsgsbase tsc-adjust sgx bmi1 hle avx2 fdp-excptn smep bmi2 erms invpcid rtm pqm fpcsds mpx pqe avx512f avx512dq "
     "rdseed adx smap avx512ifma - clflushopt clwb pt avx512pf avx512er avx512cd sha avx512bw avx512vl"},
    {1, ECX,
     "prefetchwt1 avx512vbmi umip pku ospke waitpkg avx512vbmi2 shstk gfni vaes vpclmulqdq avx512vnni avx512bitalg tme "
     "avx512vpopcntdq - la57 - - - - - rdpid kl bus-lock cldemote - movdiri movdir64b enqcmd sgx-lc pks"},
    {1, EDX,
     "- sgx-keys avx512-4vnniw avx512-4fmaps fsrm uintr - - avx512vp2intersect srbds-ctrl md-clear rtm-always-abort - "
     "rtm-force-abort serialize hybrid tsxldtrk - pconfig arch-lbr ibt - amx-bf16 avx512fp16 amx-tile amx-int8 ibrs "
     "stibp l1d-flush arch-capabilities core-capabilities ssbd"},
    {2, EAX,
     "sha512 sm3 sm4 rao-int avx-vnni avx512bf16 lass cmpccxadd arch-perfmon-ext - fzrm fsrs fsrc - - - - fred lkgs "
     "wrmsrns - amx-fp16 hreset avx-ifma - - lam msrlist"},
    {3, EAX, "xsaveopt xsavec xgetbv1 xsaves xfd"},
    {4, ECX,
     "lahf cmp-legacy svm extapic cr8-legacy lzcnt sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt - lwp fma4 "
     "tce - nodeid-msr - tbm topoext perfctr-core perfctr-nb - dbx perftsc pcx-l2i monitorx"},
    {4, EDX,
     "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr-opt pdpe1gb rdtscp - lm 3dnowext 3dnow"},
    {5, EBX,
     "clzero irperf xsaveerptr - rdpru - - - mcommit wbnoinvd - - amd-ibpb - amd-ibrs amd-stibp - amd-stibp-always - - "
     "- - - amd-ppin amd-ssbd virt-ssbd amd-no-ssb cppc - - btc-no"},
};

static void shown(struct machine *m, unsigned i, uint32_t r[REGISTERS])
{
    memset(r, 0, REGISTERS * sizeof *r);
    if (m->engine->cpuid)
        m->engine->cpuid(m->vcpu[0].engine_vcpu, leaves[i][0], leaves[i][1], r);
}

/* Which CPU it is, and what its system has switched on: XSAVE, the APIC, protection keys, and the bytes of what XSAVE is to save; and
 * Intel's CPUs show SYSCALL to 64-bit code alone, in which all that can run it have it. */
static void mask_changing(unsigned i, uint32_t r[REGISTERS])
{
    if (leaves[i][0] == 1) {
        r[EBX] = 0;
        r[ECX] &= ~(1u << 27);
        r[EDX] &= ~(1u << 9);
    } else if (leaves[i][0] == 7 && !leaves[i][1]) {
        r[ECX] &= ~(1u << 4);
    } else if (leaves[i][0] == 0xd) {
        r[EBX] = 0;
    } else if (leaves[i][0] == 0x80000001 && r[EDX] & 1u << 29) {
        r[EDX] |= 1u << 11;
    }
}

char *state_features(struct machine *m)
{
    GString *s = g_string_new(NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(leaves); i++) {
        uint32_t r[REGISTERS];
        shown(m, i, r);
        mask_changing(i, r);
        g_string_append_printf(s, "%s%08x%08x%08x%08x", i ? " " : "", r[EAX], r[EBX], r[ECX], r[EDX]);
    }
    return g_string_free(s, FALSE);
}

/* False: they are not such words. */
static bool parse(const char *words, uint32_t out[WORDS])
{
    for (unsigned i = 0; i < WORDS; i++) {
        int n = 0;
        if (sscanf(words, "%8x%n", &out[i], &n) != 1 || n < 8)
            return false;
        words += n;
    }
    return true;
}

GPtrArray *state_feature_names(const char *words, const char *other)
{
    static const char *const registers[REGISTERS] = {"EAX", "EBX", "ECX", "EDX"};
    uint32_t has[WORDS], lacks[WORDS] = {0};
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    if (!parse(words, has) || (other && !parse(other, lacks)))
        return names;
    for (unsigned i = 0; i < G_N_ELEMENTS(named); i++) {
        unsigned word = named[i].leaf * REGISTERS + named[i].reg;
        g_auto(GStrv) all = g_strsplit(named[i].names, " ", -1);
        unsigned count = g_strv_length(all);
        for (unsigned bit = 0; bit < 32; bit++)
            if (has[word] & ~lacks[word] & 1u << bit)
                g_ptr_array_add(names, bit < count && strcmp(all[bit], "-")
                                           ? g_strdup(all[bit])
                                           : g_strdup_printf("bit %u of CPUID %#x %s", bit, leaves[named[i].leaf][0],
                                                             registers[named[i].reg]));
    }
    return names;
}
