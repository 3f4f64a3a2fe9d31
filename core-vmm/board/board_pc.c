// SPDX-License-Identifier: GPL-2.0-or-later
/* board_pc.c - the mainboard: an i440FX/PIIX3 PC.  The list below is the hardware; its order is the order of set-up, of
 * reset, and of who wins where two regions overlap (the later one). */
#include "core-vmm/machine/core.h"
#include "devices/all.h"
#include "devices/chipset/mc146818.h"
#include "devices/firmware/pc_firmware.h"
#include "devices/storage/piix3_ide.h"
#include "core-vmm/base/device_models.h"
#include "core-vmm/board/firmware_rom.h"
#include <string.h>

enum when {
    ALWAYS,
    LISTED /* its section is in machine.ini */,
    OWN_APIC /* the engine brings no local APICs */,
    VIDEO,
    FLOPPY
};
struct row {
    enum when when;
    struct wiring wiring;
};

#define ISA .slot = -1
static const struct row board[] = {
    /* chipset */
    {ALWAYS, {&pci_host_ops, "pci-host", ISA}},
    {ALWAYS, {&i440fx_ops, "northbridge", .slot = 0}},
    {ALWAYS, {&piix3_ops, "southbridge", .slot = 1, .function = 0, .irqchip = true}},
    {ALWAYS, {&piix3_ide_ops, "ide", .slot = 1, .function = 1, .irq = {14, 15}, .irqs = 2}},
    {ALWAYS, {&piix4_pm_ops, "pm", .slot = 1, .function = 3, .irq = {9}, .irqs = 1}},
    {ALWAYS, {&firmware_rom_ops, "firmware", "machine", ISA}},
    /* interrupts, time, DMA */
    {ALWAYS, {&i8259_ops, "pic", ISA, .irqchip = true}},
    {ALWAYS, {&ioapic_ops, "ioapic", ISA, .irqchip = true}},
    {OWN_APIC, {&lapic_ops, "lapic", ISA, .irqchip = true}},
    {ALWAYS, {&i8254_ops, "pit", ISA, .irq = {0}, .irqs = 1}},
    {ALWAYS, {&mc146818_ops, "rtc", "machine", ISA, .irq = {8}, .irqs = 1}},
    {ALWAYS, {&i8237_ops, "dma", ISA}},
    /* the user's end */
    {ALWAYS, {&i8042_ops, "keyboard", ISA, .irq = {1, 12}, .irqs = 2}},
    {ALWAYS, {&port92_ops, "port92", ISA}},
    {ALWAYS, {&fpu_error_ops, "fpu-error", ISA, .irq = {13}, .irqs = 1}},
    {FLOPPY, {&i82077_ops, "floppy", ISA, .irq = {6}, .irqs = 1}},
    {LISTED, {&uart16550_ops, "serial1", ISA, .irq = {4}, .irqs = 1, .ports = {0x3f8}}},
    {LISTED, {&uart16550_ops, "serial2", ISA, .irq = {3}, .irqs = 1, .ports = {0x2f8}}},
    {LISTED, {&uart16550_ops, "serial3", ISA, .irq = {4}, .irqs = 1, .ports = {0x3e8}}},
    {LISTED, {&uart16550_ops, "serial4", ISA, .irq = {3}, .irqs = 1, .ports = {0x2e8}}},
    {LISTED, {&lpt_ops, "parallel1", ISA, .irq = {7}, .irqs = 1}},
    {VIDEO, {&vga_ops, "video", .slot = 2}},
    {ALWAYS, {&fw_cfg_ops, "fw-cfg", ISA}},
    /* for tests and firmware developers */
    {LISTED, {&debugport_ops, "debug-port", ISA}},
    {LISTED, {&debugexit_ops, "debug-exit", ISA}},
    {LISTED, {&testdev_ops, "testdev", ISA, .irqchip = true}}, /* its lines are the ISA interrupts */
};

/* What may be chosen by name: see base/device_models.h. */
static const struct device_ops *const chosen_chips[] = {&e1000_ops,    &e1000e_ops, &pcnet_ops,   &rtl8139_ops,
                                                        &rtl8139c_ops, &edu_ops,    &edu_msix_ops};

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

static bool wanted(struct machine *m, const struct row *r)
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

static const struct device_class *class_of(const char *section, unsigned *number)
{
    for (const struct device_class *k = device_classes; k->section; k++) {
        size_t n = strlen(k->section);
        unsigned digit = g_str_has_prefix(section, k->section) ? (unsigned)(section[n] - '0') : k->first + k->count;
        *number = digit - k->first;
        if (*number < k->count && !section[n + 1])
            return k;
    }
    return NULL;
}

static const struct device_ops *chosen_chip(const struct device_class *k, const struct config *c, GError **error)
{
    unsigned which;
    if (!config_choice(c, "model", k->models, &which, error))
        return NULL;
    for (unsigned i = 0; i < G_N_ELEMENTS(chosen_chips); i++)
        if (!strcmp(chosen_chips[i]->name, k->models[which]))
            return chosen_chips[i];
    g_assert_not_reached();
}

struct device *board_pc_optional(struct machine *m, const char *section, GError **error)
{
    unsigned number;
    const struct device_class *k = class_of(section, &number);
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
        for (unsigned i = 0; i < k->count; i++) {
            g_autofree char *section = g_strdup_printf("%s%u", k->section, k->first + i);
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
    for (unsigned i = 0; i < G_N_ELEMENTS(board); i++) {
        const struct wiring *w = &board[i].wiring;
        if (!wanted(m, &board[i]))
            continue;
        machine_add(m, device_new(m, w));
    }
    if (!add_optional(m, error))
        return false;
    for (unsigned i = 0; i < m->devices; i++)
        if (!device_init(m->device[i], error))
            return false;
    return tell_firmware(m, error);
}
