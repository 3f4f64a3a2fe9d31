// SPDX-License-Identifier: GPL-2.0-or-later
/* firmware_rom.c - the BIOS ROM: its end lies at 4 GiB, and its last 128 KiB show below 1 MiB too. */
#include "core-vmm/board/firmware_rom.h"
#include "core-vmm/host/firmware.h"
#include "core-vmm/machine/core.h"
#include <string.h>

#define LOW_BYTES (128u << 10)
#define MAX_BYTES (16u << 20)
enum { REGION_HIGH, REGION_LOW };
struct firmware_rom {
    bool uefi;
};

/* UEFI builds end with a page, others with 64 KiB. */
static bool size_good(const char *path, const uint8_t *data, size_t bytes, GError **error)
{
    unsigned step = firmware_is_uefi(data, bytes) ? 4 << 10 : 64 << 10;
    if (bytes && bytes <= MAX_BYTES && bytes % step == 0)
        return true;
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                "Firmware %s has %zu bytes; a ROM image has a multiple of %u KiB, at most 16 MiB", path, bytes,
                step >> 10);
    return false;
}

static bool firmware_init(struct device *d, const struct config *c, GError **error)
{
    struct firmware_rom *s = d->state;
    struct firmware_choice choice;
    if (!firmware_choose(c, &choice, error))
        return false;
    g_autofree char *path = choice.image, *data = NULL;
    gsize bytes;
    if (!g_file_get_contents(path, &data, &bytes, error)) {
        g_prefix_error(error, "Firmware: ");
        return false;
    }
    uint8_t *rom = size_good(path, (uint8_t *)data, bytes, error) ? dev_memory(d, REGION_HIGH, bytes, true) : NULL;
    if (!rom)
        return false;
    memcpy(rom, data, bytes);
    s->uefi = firmware_is_uefi(rom, bytes);
    struct mapped_region *high = &d->core->region[REGION_HIGH], *low = &d->core->region[REGION_LOW];
    *low = *high;
    low->index = REGION_LOW;
    low->memory_bytes = MIN(bytes, LOW_BYTES);
    low->memory = high->memory + bytes - low->memory_bytes;
    return true;
}

bool firmware_rom_is_uefi(struct device *d)
{
    return ((struct firmware_rom *)d->state)->uefi;
}

static void firmware_reset(struct device *d)
{
    struct mapped_region *r = d->core->region;
    dev_map(d, REGION_HIGH, (4ull << 30) - r[REGION_HIGH].memory_bytes, true);
    dev_map(d, REGION_LOW, (1ull << 20) - r[REGION_LOW].memory_bytes, true);
}

const struct device_ops firmware_rom_ops = {
    .name = "firmware-rom",
    .state_bytes = sizeof(struct firmware_rom),
    .regions = {{BUS_MEM, .bytes = MAX_BYTES, .min_size = 1, .max_size = 8, .off = true},
                {BUS_MEM, .bytes = LOW_BYTES, .min_size = 1, .max_size = 8, .off = true}},
    .init = firmware_init,
    .reset = firmware_reset,
};
