// SPDX-License-Identifier: GPL-2.0-or-later
/* offered.c - which instruction sets the guest's CPUID shows.  The host may have more; what is not shown is
 * #UD, except LZCNT and TZCNT, which older CPUs run as BSR and BSF. */
#include "patcher/native/fpu.h"
#include "patcher/interp/system.h"
#include <string.h>

enum { EAX, EBX, ECX, EDX };

struct feature {
    const char *set; /* start of the decoder's name for it */
    uint32_t leaf;
    uint8_t subleaf, reg, bit;
};

/* The first that matches counts: longer names before those they begin with. */
static const struct feature features[] = {
    {"SSE3", 1, 0, ECX, 0},
    {"SSSE3", 1, 0, ECX, 9},
    {"SSE4A", 0x80000001, 0, ECX, 6},
    {"SSE42", 1, 0, ECX, 20},
    {"SSE4", 1, 0, ECX, 19},
    {"PCLMULQDQ", 1, 0, ECX, 1},
    {"FMA", 1, 0, ECX, 12},
    {"MOVBE", 1, 0, ECX, 22},
    {"POPCNT", 1, 0, ECX, 23},
    {"AES", 1, 0, ECX, 25},
    {"F16C", 1, 0, ECX, 29},
    {"BMI1", 7, 0, EBX, 3},
    {"BMI2", 7, 0, EBX, 8},
    {"ADOX_ADCX", 7, 0, EBX, 19},
    {"SHA", 7, 0, EBX, 29},
    {"LZCNT", 0x80000001, 0, ECX, 5},
    {"GFNI", 7, 0, ECX, 8},
    {"AVX_GFNI", 7, 0, ECX, 8},
    {"AVX512_GFNI", 7, 0, ECX, 8},
    {"VAES", 7, 0, ECX, 9},
    {"AVX512_VAES", 7, 0, ECX, 9},
    {"VPCLMULQDQ", 7, 0, ECX, 10},
    {"AVX512_VPCLMULQDQ", 7, 0, ECX, 10},
    {"AVX_VNNI", 7, 1, EAX, 4},
    {"AVX2", 7, 0, EBX, 5},
    {"AVX512_BF16", 7, 1, EAX, 5},
    {"AVX512_FP16", 7, 0, EDX, 23},
    {"AVX512_IFMA", 7, 0, EBX, 21},
    {"AVX512_VBMI2", 7, 0, ECX, 6},
    {"AVX512_VBMI", 7, 0, ECX, 1},
    {"AVX512_VNNI", 7, 0, ECX, 11},
    {"AVX512_BITALG", 7, 0, ECX, 12},
    {"AVX512_VPOPCNTDQ", 7, 0, ECX, 14},
    {"AVX512_VP2INTERSECT", 7, 0, EDX, 8},
    {"AVX512DQ", 7, 0, EBX, 17},
    {"AVX512CD", 7, 0, EBX, 28},
    {"AVX512BW", 7, 0, EBX, 30},
    {"AVX512F", 7, 0, EBX, 16},
    {"AVX512", 7, 1, EAX, 31}, /* sets of Knights CPUs: a bit that is never set */
    {"AVX", 1, 0, ECX, 28},
};

bool replay_offered(struct vcpu *c, const char *set)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(features); i++) {
        const struct feature *f = &features[i];
        uint32_t r[4];
        if (strncmp(set, f->set, strlen(f->set)))
            continue;
        cpuid(c, f->leaf, f->subleaf, r);
        return r[f->reg] >> f->bit & 1;
    }
    return true; /* x87 to SSE2: every CPU here */
}
