// SPDX-License-Identifier: GPL-2.0-or-later
/* build_pc.c - the PC of board_pc.c's list and of what machine.ini chooses, and what its firmware is told. */
#include "core-vmm/base/device_models.h"
#include "core-vmm/board/board_pc.h"
#include "devices/chipset/mc146818.h"
#include "devices/firmware/pc_firmware.h"
#include "devices/storage/piix3_ide.h"
#include <string.h>

static bool floppy_listed(struct machine *m)
{
    return g_key_file_has_group(m->file, "floppy0") || g_key_file_has_group(m->file, "floppy1");
}

static bool has_video(struct machine *m)
{
    struct config c = {m->file, m->path, "video"};
    g_autofree char *type = config_string(&c, "type");
    return strcmp(type, "none") != 0;
}

static bool wanted(struct machine *m, const struct board_row *r)
{
    switch (r->when) {
    case LISTED: return g_key_file_has_group(m->file, r->wiring.name);
    case OWN_APIC: return !m->engine->msi;
    case VIDEO: return has_video(m);
    case FLOPPY: return floppy_listed(m);
    case ALWAYS: break;
    }
    return true;
}

/* ---- PCI functions that machine.ini chooses ---- */

static const struct device_ops *chosen_chip(const struct device_class *k, const struct config *c, GError **error)
{
    unsigned which = 0;
    if (k->models[1] && !config_choice(c, "model", k->models, &which, error))
        return NULL;
    for (const struct device_ops *const *chip = board_pc_chips; *chip; chip++)
        if (!strcmp((*chip)->name, k->models[which]))
            return *chip;
    g_assert_not_reached();
}

struct device *board_pc_optional(struct machine *m, const char *section, GError **error)
{
    unsigned number;
    const struct device_class *k = device_class_of(section, &number);
    struct config c = {m->file, m->path, section};
    const struct device_ops *ops = k ? chosen_chip(k, &c, error) : NULL;
    int64_t slot = k ? k->slot + number : 0;
    if (!k)
        g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_GROUP_NOT_FOUND,
                    "%s: [%s] is no PCI function that can be added", m->path, section);
    if (!ops || !config_number(&c, "slot", &slot, error))
        return NULL;
    const struct device *there = m->pci_slot[slot << 3];
    if (!there)
        return device_new(m, &(struct wiring){ops, g_intern_string(section), .slot = slot, .pluggable = true});
    g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
                "%s: [%s]: PCI slot %d is %s's; give one of them another by slot=", m->path, section, (int)slot,
                there->name);
    return NULL;
}

static bool add_optional(struct machine *m, GError **error)
{
    for (const struct device_class *k = device_classes; k->section; k++)
        for (unsigned i = 0; i < MAX(k->count, 1); i++) {
            g_autofree char *section =
                k->count ? g_strdup_printf("%s%u", k->section, k->first + i) : g_strdup(k->section);
            struct device *d = NULL;
            if (!g_key_file_has_group(m->file, section))
                continue;
            d = board_pc_optional(m, section, error);
            if (!d)
                return false;
            machine_add(m, d);
        }
    return true;
}

/* ---- what the firmware is told ---- */

static const char *const ide_names[] = {"ide0", "ide1", "ide2", "ide3"};

static bool section_is(struct machine *m, const char *section, const char *media)
{
    struct config c = {m->file, m->path, section};
    g_autofree char *what = config_string(&c, "media");
    return g_key_file_has_group(m->file, section) && !strcmp(what, media);
}

static void boot_add(struct machine *m, GPtrArray *order, const char *kind)
{
    if (!strcmp(kind, "floppy") && g_key_file_has_group(m->file, "floppy0"))
        g_ptr_array_add(order, "floppy0");
    for (unsigned i = 0; i < G_N_ELEMENTS(ide_names); i++)
        if (section_is(m, ide_names[i], kind))
            g_ptr_array_add(order, (gpointer)ide_names[i]);
}

static GPtrArray *boot_order(struct machine *m, const struct config *c)
{
    GPtrArray *order = g_ptr_array_new();
    g_autofree char *boot = config_string(c, "boot");
    g_auto(GStrv) kinds = g_strsplit(boot, ",", -1);
    for (char **k = kinds; *k; k++)
        boot_add(m, order, g_strstrip(*k));
    g_ptr_array_add(order, NULL);
    return order;
}

static void tell_geometry(struct machine *m, struct pc_firmware *p)
{
    for (unsigned n = 0; n < G_N_ELEMENTS(ide_names); n++) {
        struct disk_geometry drive, bios;
        if (!piix3_ide_geometry(machine_device(m, "ide"), n, &drive, &bios))
            continue;
        p->disk[n] = bios;
        if (n < 2)
            mc146818_set_disk(machine_device(m, "rtc"), n, drive.cylinders, drive.heads, drive.sectors);
    }
}

static bool tell_firmware(struct machine *m, GError **error)
{
    struct config c = {m->file, m->path, "machine"};
    g_autofree char *kernel = config_string(&c, "kernel"), *initrd = config_string(&c, "initrd");
    g_autofree char *cmdline = config_string(&c, "cmdline");
    g_autoptr(GPtrArray) order = boot_order(m, &c);
    bool boot_menu;
    if (!config_flag(&c, "boot-menu", &boot_menu, error))
        return false;
    struct pc_firmware p = {
        .cpus = m->cpus,
        .sockets = m->sockets,
        .ram_below_4g = m->memory.below_4g,
        .ram_above_4g = m->memory.above_4g,
        .serial1 = g_key_file_has_group(m->file, "serial1"),
        .serial2 = g_key_file_has_group(m->file, "serial2"),
        .floppy = floppy_listed(m),
        .boot_menu = boot_menu,
        .no_display = !has_video(m),
        .boot = (const char *const *)order->pdata,
        .kernel = kernel,
        .initrd = initrd,
        .cmdline = cmdline,
    };
    tell_geometry(m, &p);
    return pc_firmware_setup(machine_device(m, "fw-cfg"), &p, error);
}

bool board_pc_build(struct machine *m, GError **error)
{
    for (const struct board_row *r = board_pc; r->wiring.ops; r++)
        if (wanted(m, r))
            machine_add(m, device_new(m, &r->wiring));
    if (!add_optional(m, error))
        return false;
    for (unsigned i = 0; i < m->devices; i++)
        if (!device_init(m->device[i], error))
            return false;
    return tell_firmware(m, error);
}
