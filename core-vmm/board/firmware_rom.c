// SPDX-License-Identifier: GPL-2.0-or-later
/* firmware_rom.c - the BIOS ROM: its end lies at 4 GiB, and its last 128 KiB show below 1 MiB too. */
#include "core-vmm/board/firmware_rom.h"
#include "core-vmm/machine/core.h"
#include <string.h>

#define LOW_BYTES (128u << 10)
#define MAX_BYTES (16u << 20)
enum { REGION_HIGH, REGION_LOW };

/* Where distributions put SeaBIOS; the larger build knows more devices. */
static const char *const seabios_paths[] = {"/usr/share/seabios/bios-256k.bin", "/usr/share/seabios/bios.bin",
                                            "/usr/share/qemu/bios-256k.bin"};

static char *firmware_path(const struct config *c)
{
    char *path = config_string(c, "firmware");
    for (unsigned i = 0; !path && i < G_N_ELEMENTS(seabios_paths); i++)
        if (g_file_test(seabios_paths[i], G_FILE_TEST_IS_REGULAR))
            path = g_strdup(seabios_paths[i]);
    return path;
}

static bool firmware_init(struct device *d, const struct config *c, GError **error)
{
    g_autofree char *path = firmware_path(c), *data = NULL;
    gsize bytes;
    if (!path) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
                    "No firmware: %s is not there; install the package seabios, or set [machine] firmware",
                    seabios_paths[0]);
        return false;
    }
    if (!g_file_get_contents(path, &data, &bytes, error)) {
        g_prefix_error(error, "Firmware: ");
        return false;
    }
    if (!bytes || bytes > MAX_BYTES || bytes % (64 << 10)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                    "Firmware %s has %zu bytes; a ROM image has a multiple of 64 KiB, at most 16 MiB", path, bytes);
        return false;
    }
    uint8_t *rom = dev_memory(d, REGION_HIGH, bytes, true);
    if (!rom)
        return false;
    memcpy(rom, data, bytes);
    struct mapped_region *high = &d->core->region[REGION_HIGH], *low = &d->core->region[REGION_LOW];
    *low = *high;
    low->index = REGION_LOW;
    low->memory_bytes = MIN(bytes, LOW_BYTES);
    low->memory = high->memory + bytes - low->memory_bytes;
    return true;
}

static void firmware_reset(struct device *d)
{
    struct mapped_region *r = d->core->region;
    dev_map(d, REGION_HIGH, (4ull << 30) - r[REGION_HIGH].memory_bytes, true);
    dev_map(d, REGION_LOW, (1ull << 20) - r[REGION_LOW].memory_bytes, true);
}

const struct device_ops firmware_rom_ops = {
    .name = "firmware-rom",
    .regions = {{BUS_MEM, .bytes = MAX_BYTES, .min_size = 1, .max_size = 8, .off = true},
                {BUS_MEM, .bytes = LOW_BYTES, .min_size = 1, .max_size = 8, .off = true}},
    .init = firmware_init,
    .reset = firmware_reset,
};
