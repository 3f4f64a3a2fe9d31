// SPDX-License-Identifier: GPL-2.0-or-later
#include "fuzz_image.h"

static const char *const zeroed[] = {"zeroed_grain=on", NULL}, *const stream[] = {"subformat=streamOptimized", NULL};
static const struct fuzz_seed seeds[] = {{NULL}, {zeroed, .parent = true}, {stream}};
static const uint32_t places[] = {0, 512, 600, 700, 10752, 11264, 16384};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_format f = {"vmdk", seeds, G_N_ELEMENTS(seeds), places, G_N_ELEMENTS(places)};
    return fuzz_image(&f, data, size);
}
