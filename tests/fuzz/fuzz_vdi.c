// SPDX-License-Identifier: GPL-2.0-or-later
/* fuzz_vdi.c - VDI images with bytes changed. */
#include "tests/fuzz/fuzz_image.h"

static const struct fuzz_seed seeds[] = {{NULL}, {NULL, .fixed = true}, {NULL, .parent = true}};
static const uint32_t places[] = {0, 64, 340, 512};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_format f = {"vdi", seeds, G_N_ELEMENTS(seeds), places, G_N_ELEMENTS(places)};
    return fuzz_image(&f, data, size);
}
