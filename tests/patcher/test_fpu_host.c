// SPDX-License-Identifier: GPL-2.0-or-later
/* test_fpu_host.c - moving x87 and SSE state into the host's registers and out of them, with XSAVE and, as on a host that
 * has none, with FXSAVE: the same state in, the same out, in the same format. */
#include "patcher/native/fpu.h"
#include "core-vmm/base/host_cpu.h"
#include <string.h>

struct area {
    uint8_t bytes[X86_XSAVE_BYTES] __attribute__((aligned(64)));
};

static void make_state(struct area *a, uint32_t seed)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(seed);
    memset(a, 0, sizeof *a);
    for (unsigned i = XS_ST; i < XS_XMM + 256; i++)
        a->bytes[i] = i < XS_XMM && i % 16 > 9 ? 0 : (uint8_t)g_rand_int(random);
    a->bytes[XS_FCW] = 0x7f;
    a->bytes[XS_FCW + 1] = seed & 0xf;
    a->bytes[XS_FTW] = (uint8_t)g_rand_int(random);
    a->bytes[XS_MXCSR] = 0x80 | (seed & 0x3f);
    a->bytes[XS_MXCSR + 1] = 0x1f;
    a->bytes[XS_BV] = XFEATURE_X87 | XFEATURE_SSE;
}

/* In and out again; in between nothing may touch vector registers. */
static void move(bool with_xsave, const struct area *in, struct area *out)
{
    static struct replay r; /* of which only this counts */
    r.host_has_xsave = with_xsave;
    r.host_xcr0 = XFEATURE_X87 | XFEATURE_SSE;
    memset(out, 0xee, sizeof *out);
    fpu_host_load(&r, in->bytes);
    fpu_host_save(&r, out->bytes);
    __asm__ volatile("fninit; ldmxcsr %0" ::"m"((uint32_t){0x1f80}));
    memset(out->bytes + XS_FOP, 0, XS_MXCSR - XS_FOP); /* the pointers are not live */
    memset(out->bytes + XS_MXCSR_MASK, 0, 4);
}

static void test_fxsave(void)
{
    for (uint32_t seed = 1; seed < 100; seed++) {
        struct area in, out;
        make_state(&in, seed);
        move(false, &in, &out);
        g_assert_cmpmem(in.bytes, XS_XMM + 256, out.bytes, XS_XMM + 256);
        g_assert_cmpmem(in.bytes + XS_SW, XS_EXTENDED - XS_SW, out.bytes + XS_SW, XS_EXTENDED - XS_SW);
    }
}

static void test_same_as_xsave(void)
{
    struct host_cpu host;
    host_cpu_learn(&host);
    if (!host.xcr0) {
        g_test_skip("this host has no XSAVE");
        return;
    }
    for (uint32_t seed = 1; seed < 100; seed++) {
        struct area in, with, without;
        make_state(&in, seed);
        move(true, &in, &with);
        move(false, &in, &without);
        g_assert_cmpmem(with.bytes, XS_XMM + 256, without.bytes, XS_XMM + 256);
        g_assert_cmphex(without.bytes[XS_BV], ==,
                        3); /* XSAVE may find a part initial, and keeps what it was not asked for */
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fpu-host/fxsave", test_fxsave);
    g_test_add_func("/fpu-host/same-as-xsave", test_same_as_xsave);
    return g_test_run();
}
