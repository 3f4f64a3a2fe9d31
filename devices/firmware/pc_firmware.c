// SPDX-License-Identifier: GPL-2.0-or-later
/* pc_firmware.c - the board's message to the BIOS: memory map, processors, boot order, tables.
 * Specs: QEMU's published fw_cfg specification; SeaBIOS's Runtime_config page for the files it reads. */
#include "devices/firmware/pc_firmware.h"
#include "core-vmm/base/bytes.h"
#include "devices/firmware/fw_cfg.h"

enum { E820_RAM = 1, E820_ENTRY = 20 };

static void add_e820(struct device *fw_cfg, const struct pc_firmware *p)
{
    uint8_t map[2 * E820_ENTRY] = {0};

    put_le64(map + 8, p->ram_below_4g);
    put_le32(map + 16, E820_RAM);
    put_le64(map + E820_ENTRY, 1ull << 32);
    put_le64(map + E820_ENTRY + 8, p->ram_above_4g);
    put_le32(map + E820_ENTRY + 16, E820_RAM);
    fw_cfg_add_file(fw_cfg, "etc/e820", map, p->ram_above_4g ? sizeof map : E820_ENTRY);
}

static bool in_order(const struct pc_firmware *p, const char *path)
{
    return p->boot && g_strv_contains(p->boot, path);
}

/* What is booted directly comes first, unless its place is said; the ROM that does it is a file of fw_cfg. */
static void add_boot_order(struct device *fw_cfg, const struct pc_firmware *p)
{
    bool first = p->kernel && !in_order(p, PC_FIRMWARE_DIRECT_BOOT);
    g_autoptr(GString) order = g_string_new(first ? PC_FIRMWARE_DIRECT_BOOT : "");

    for (unsigned n = 0; p->boot && p->boot[n]; n++)
        g_string_append_printf(order, "%s%s", order->len ? "\n" : "", p->boot[n]);
    if (order->len)
        fw_cfg_add_file(fw_cfg, "bootorder", order->str, order->len + 1);
}

/* A line for each disk: path, cylinders, heads, sectors. */
static void add_geometry(struct device *fw_cfg, const struct pc_firmware *p)
{
    g_autoptr(GString) lines = g_string_new(NULL);

    for (unsigned n = 0; n < p->disk_count; n++) {
        const struct pc_firmware_disk *d = &p->disks[n];
        g_string_append_printf(lines, "%s%s %u %u %u", n ? "\n" : "", d->path, d->bios.cylinders, d->bios.heads,
                               d->bios.sectors);
    }
    if (lines->len)
        fw_cfg_add_file(fw_cfg, "bios-geometry", lines->str, lines->len + 1);
}

static void add_numbers(struct device *fw_cfg, const struct pc_firmware *p)
{
    static const uint8_t yes = 1;
    /* A flag per sleep state, and the SLP_TYP value for S3 and S4: only S5 exists. */
    static const uint8_t states[6] = {[5] = 128};
    static const uint8_t no_numa[8] = {0};

    fw_cfg_add_u16(fw_cfg, FW_CFG_CPUS, p->cpus);
    fw_cfg_add_u16(fw_cfg, FW_CFG_MAX_CPUS, p->cpus);
    fw_cfg_add_u16(fw_cfg, FW_CFG_NOGRAPHIC, p->no_display);
    fw_cfg_add_u16(fw_cfg, FW_CFG_BOOT_MENU, p->boot_menu);
    fw_cfg_add_key(fw_cfg, FW_CFG_NUMA, no_numa, sizeof no_numa);
    fw_cfg_add_key(fw_cfg, FW_CFG_IRQ0_OVERRIDE, &yes, 1);
    fw_cfg_add_file(fw_cfg, "etc/system-states", states, sizeof states);
}

static void add_ram_size(struct device *fw_cfg, const struct pc_firmware *p)
{
    uint64_t ram = htole64(p->ram_below_4g + p->ram_above_4g);

    fw_cfg_add_key(fw_cfg, FW_CFG_RAM_SIZE, &ram, sizeof ram);
}

/* OVMF puts 64-bit BARs above RAM, where the ACPI tables show no window for them, unless it is told to have no room there. */
static void add_uefi(struct device *fw_cfg)
{
    static const char none[] = "0";

    fw_cfg_add_file(fw_cfg, "opt/ovmf/X-PciMmio64Mb", none, sizeof none);
}

bool pc_firmware_setup(struct device *fw_cfg, const struct pc_firmware *p, GError **error)
{
    add_numbers(fw_cfg, p);
    add_ram_size(fw_cfg, p);
    add_e820(fw_cfg, p);
    add_geometry(fw_cfg, p);
    acpi_tables_setup(fw_cfg, p);
    smbios_setup(fw_cfg, p);
    add_boot_order(fw_cfg, p);
    if (p->uefi)
        add_uefi(fw_cfg);
    return !p->kernel ||
           direct_boot_setup(fw_cfg, p->kernel, p->initrd, p->cmdline ? p->cmdline : "", p->ram_below_4g, error);
}
