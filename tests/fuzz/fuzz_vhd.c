// SPDX-License-Identifier: GPL-2.0-or-later
/* fuzz_vhd.c - VHD images with bytes changed, their checksums made right. */
#include "tests/fuzz/fuzz_image.h"
#include "disk-formats/vhd/vhd.h"

static const struct fuzz_seed seeds[] = {{NULL}, {NULL, .fixed = true}, {NULL, .parent = true}};
static const uint32_t places[] = {0, 512, 1088, 1536, 9728, FUZZ_DISK};

static void fix(uint8_t *data, uint64_t bytes)
{
    if (bytes >= 512)
        put_be32(data + FOOTER_SUM, vhd_checksum(data, VHD_SECTOR, FOOTER_SUM));
    if (bytes >= 1536)
        put_be32(data + 512 + DYNAMIC_SUM, vhd_checksum(data + 512, DYNAMIC_BYTES, DYNAMIC_SUM));
    uint8_t *last = data + bytes / VHD_SECTOR * VHD_SECTOR - VHD_SECTOR;
    if (bytes >= 512)
        put_be32(last + FOOTER_SUM, vhd_checksum(last, VHD_SECTOR, FOOTER_SUM));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_format f = {"vhd", seeds, G_N_ELEMENTS(seeds), places, G_N_ELEMENTS(places), fix};
    return fuzz_image(&f, data, size);
}
