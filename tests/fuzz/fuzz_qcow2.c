// SPDX-License-Identifier: GPL-2.0-or-later
#include "fuzz_image.h"

static const char *const small[] = {"cluster_size=512", NULL}, *const v2[] = {"compat=0.10", "cluster_size=4K", NULL},
                         *const extended[] = {"cluster_size=16K", "extended_l2=on", NULL},
                         *const bits[] = {"cluster_size=4K", "refcount_bits=1", NULL};
static const struct fuzz_seed seeds[] = {
    {NULL, false, false}, {small, false, true}, {v2, false, true}, {extended, false, true}, {bits, false, false}};
static const uint32_t places[] = {0, 512, 1024, 2048, 4096, 8192, 12288, 16384, 65536, 131072, 196608, 262144};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_format f = {"qcow2", seeds, G_N_ELEMENTS(seeds), places, G_N_ELEMENTS(places)};
    return fuzz_image(&f, data, size);
}
