// SPDX-License-Identifier: GPL-2.0-or-later
/* features.c - what a state uses that this vCPU does not have: it was made on another CPU, or with another cpu-model.
 * KVM refuses such a state without saying why, or loses a part of it; here the features are told by name.
 * Which CPUID bit stands behind a bit of CR4, EFER or XCR0: SDM Vol. 3, "Control Registers"; Vol. 1, "XSAVE". */
#include "hwaccel/hw.h"

enum { EAX, EBX, ECX, EDX };
enum { CR4, EFER, XCR0 };

static const struct {
    uint8_t where, bit, reg, cpuid_bit;
    uint32_t function;
    const char *name;
} uses[] = {
    {CR4, 0, EDX, 1, 1, "VME"},
    {CR4, 3, EDX, 2, 1, "debug extensions"},
    {CR4, 4, EDX, 3, 1, "PSE"},
    {CR4, 5, EDX, 6, 1, "PAE"},
    {CR4, 7, EDX, 13, 1, "global pages"},
    {CR4, 11, ECX, 2, 7, "UMIP"},
    {CR4, 12, ECX, 16, 7, "5-level paging"},
    {CR4, 13, ECX, 5, 1, "VMX"},
    {CR4, 16, EBX, 0, 7, "FSGSBASE"},
    {CR4, 17, ECX, 17, 1, "PCID"},
    {CR4, 18, ECX, 26, 1, "XSAVE"},
    {CR4, 20, EBX, 7, 7, "SMEP"},
    {CR4, 21, EBX, 20, 7, "SMAP"},
    {CR4, 22, ECX, 3, 7, "protection keys"},
    {CR4, 23, ECX, 7, 7, "CET"},
    {CR4, 24, ECX, 31, 7, "supervisor protection keys"},
    {EFER, 0, EDX, 11, 0x80000001, "SYSCALL"},
    {EFER, 8, EDX, 29, 0x80000001, "64-bit mode"},
    {EFER, 11, EDX, 20, 0x80000001, "NX"},
    {EFER, 12, ECX, 2, 0x80000001, "SVM"},
    {XCR0, 2, EAX, 2, 0xd, "AVX"},
    {XCR0, 3, EAX, 3, 0xd, "MPX"},
    {XCR0, 5, EAX, 5, 0xd, "AVX-512"},
    {XCR0, 9, EAX, 9, 0xd, "protection keys"},
    {XCR0, 18, EAX, 18, 0xd, "AMX"},
};

char *hw_missing_features(struct hw_vcpu *v, const struct x86_state *s)
{
    const uint64_t used[] = {[CR4] = s->cr4, [EFER] = s->efer, [XCR0] = s->xcr0};
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (size_t i = 0; i < G_N_ELEMENTS(uses); i++) {
        uint32_t leaf[4];
        if (!(used[uses[i].where] >> uses[i].bit & 1))
            continue;
        hw_cpuid(v, uses[i].function, 0, leaf);
        if (!(leaf[uses[i].reg] >> uses[i].cpuid_bit & 1))
            g_ptr_array_add(names, (gpointer)uses[i].name);
    }
    if (!names->len)
        return NULL;
    g_ptr_array_add(names, NULL);
    return g_strjoinv(", ", (char **)names->pdata);
}
