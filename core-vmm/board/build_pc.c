// SPDX-License-Identifier: GPL-2.0-or-later
/* build_pc.c - the PC of board_pc.c's list and of what machine.ini chooses, and what its firmware is told. */
#include "core-vmm/base/device_models.h"
#include "core-vmm/base/host_cpu.h"
#include "core-vmm/board/board_pc.h"
#include "core-vmm/board/firmware_rom.h"
#include "core-vmm/host/firmware.h"
#include "devices/chipset/mc146818.h"
#include "devices/firmware/pc_firmware.h"
#include "devices/storage/ata_board.h"
#include <string.h>

static bool floppy_listed(struct machine *m)
{
    return g_key_file_has_group(m->file, "floppy0") || g_key_file_has_group(m->file, "floppy1");
}

static bool video_is(struct machine *m, const char *what)
{
    struct config c = {m->file, m->path, "video"};
    g_autofree char *type = config_string(&c, "type");
    return !strcmp(type, what);
}

/* A machine keeps the board that it was made with: systems mind when one changes below them.  1: the first; 2: with HPET; 3: tables of
 * ACPI 2.0. */
static bool is_board(struct machine *m, int64_t least)
{
    const struct config c = {m->file, m->path, "machine"};
    int64_t board = 1;
    return config_number(&c, "board", &board, NULL) && board >= least;
}

static bool keeps_variables(struct machine *m)
{
    const struct config c = {m->file, m->path, "machine"};
    struct firmware_choice f;
    bool keeps = firmware_choose(&c, &f, NULL) && f.variables;
    firmware_choice_clear(&f);
    return keeps;
}

static bool is_hyperv(struct machine *m)
{
    const struct config c = {m->file, m->path, "additions"};
    g_autofree char *identity = config_string(&c, "identity");
    return g_key_file_has_group(m->file, c.section) && !strcmp(identity, "hyperv");
}

static bool sounds_by(struct machine *m, const char *model)
{
    const struct config c = {m->file, m->path, "audio"};
    g_autofree char *which = config_string(&c, "model");
    return g_key_file_has_group(m->file, c.section) && !strcmp(which, model);
}

/* A controller that is a function of the board's own chips; others are chosen like cards. */
static bool is_usb(struct machine *m, const char *model)
{
    const struct config c = {m->file, m->path, "usb"};
    bool there = g_key_file_has_group(m->file, c.section);
    for (char section[] = "usb1"; section[3] <= '8' && !there; section[3]++)
        there = g_key_file_has_group(m->file, section);
    g_autofree char *is = config_string(&c, "model");
    return there && !strcmp(is, model);
}

static bool wanted(struct machine *m, const struct board_row *r)
{
    switch (r->when) {
    case LISTED: return g_key_file_has_group(m->file, r->wiring.name);
    case OWN_APIC: return !m->engine->msi;
    case VIDEO_VGA: return video_is(m, "vga");
    case VIDEO_SVGA: return video_is(m, "svga");
    case BOARD_2: return is_board(m, 2);
    case HYPERV: return is_hyperv(m);
    case HYPERV_TEST: return is_hyperv(m) && g_key_file_has_group(m->file, "testdev");
    case VARIABLES: return keeps_variables(m);
    case FLOPPY: return floppy_listed(m);
    case SOUND: return g_key_file_has_group(m->file, "audio");
    case SOUND_HDA: return sounds_by(m, "hda");
    case SOUND_AC97: return sounds_by(m, "ac97");
    case SOUND_SB16: return sounds_by(m, "sb16");
    case UHCI: return is_usb(m, "uhci");
    case ALWAYS: break;
    }
    return true;
}

/* ---- PCI functions that machine.ini chooses ---- */

/* Only where there is a choice has the section a key for it. */
static const struct device_ops *chosen_chip(const struct device_class *k, const struct config *c, GError **error)
{
    unsigned which = 0;
    if (k->models[1] && !config_choice(c, "model", k->models, &which, error))
        return NULL;
    for (const struct device_ops *const *chip = board_pc_chips; *chip; chip++)
        if (!strcmp((*chip)->name, k->models[which]))
            return *chip;
    g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
                "%s: [%s] model = %s: this is a part of the mainboard, there from the start or never", c->path,
                c->section, k->models[which]);
    return NULL;
}

struct device *board_pc_optional(struct machine *m, const char *section, GError **error)
{
    unsigned number;
    const struct device_class *k = device_class_of(section, &number);
    const char *name =
        k && k->together ? k->together : section; /* of the function: that has a section for its settings */
    struct config c = {m->file, m->path, name};
    const struct device_ops *ops = k ? chosen_chip(k, &c, error) : NULL;
    int64_t slot = k ? k->slot + number : 0;
    if (!k)
        g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_GROUP_NOT_FOUND,
                    "%s: [%s] is no PCI function that can be added", m->path, section);
    if (!ops || (g_key_file_has_key(m->file, name, "slot", NULL) && !config_number(&c, "slot", &slot, error)))
        return NULL;
    const struct device *there = m->pci_slot[slot << 3];
    if (!there)
        return device_new(m, &(struct wiring){ops, g_intern_string(name), .slot = slot, .pluggable = true});
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
            if (!g_key_file_has_group(m->file, section) && !(k->alone && g_key_file_has_group(m->file, k->together)))
                continue;
            if (k->together && machine_device(m, k->together))
                break;
            d = board_pc_optional(m, section, error);
            if (!d)
                return false;
            machine_add(m, d);
        }
    return true;
}

/* ---- what the firmware is told ---- */

/* Everything that can be booted from, in the order in which those of one kind are tried: the sections, and the Open Firmware
 * path by which the firmware knows each: SeaBIOS by the place alone, OVMF by those names, whatever controller it is.  In a path, "{slot}" is the function's PCI slot (hexadecimal; ",2": not its first function), "{n}" the section's number, "{hub}" what is between. */
static const struct bootable {
    const char *section;
    unsigned first, count;
    const char *path;
} bootables[] = {
    {"floppy", 0, 2, "/pci@i0cf8/isa@1/fdc@03f0/floppy@{n}"},
    {"ide", 0, 1, "/pci@i0cf8/ide@1,1/drive@0/disk@0"},
    {"ide", 1, 1, "/pci@i0cf8/ide@1,1/drive@0/disk@1"},
    {"ide", 2, 1, "/pci@i0cf8/ide@1,1/drive@1/disk@0"},
    {"ide", 3, 1, "/pci@i0cf8/ide@1,1/drive@1/disk@1"},
    {"sata", 0, 6, "/pci@i0cf8/pci8086,2922@{slot}/drive@{n}/disk@0"},
    {"nvme", 0, 2, "/pci@i0cf8/pci8086,5845@{slot}/namespace@1,0"},
    {"virtio-disk", 0, 4, "/pci@i0cf8/scsi@{slot}/disk@0,0"},
    {"scsi", 0, 7, "/pci@i0cf8/scsi@{slot}/channel@0/disk@{n},0"},
    {"usb", 1, 8, "/pci@i0cf8/usb@{slot}/{hub}storage@{n}/channel@0/disk@0,0"},
    {"nic", 1, 8, "/pci@i0cf8/ethernet@{slot}"},
};

/* The function that a section is, or is part of, as paths name it; g_free. */
static char *slot_of(struct machine *m, const char *section)
{
    unsigned number;
    const struct device_class *k = device_class_of(section, &number);
    const struct device *d = k ? machine_device(m, k->together ? k->together : section) : NULL;
    const struct wiring *w = d ? &d->core->wiring : NULL;
    return w && w->function ? g_strdup_printf("%x,%x", w->slot, w->function) : g_strdup_printf("%x", w ? w->slot : 0);
}

/* The hub that a USB device is plugged into; g_free. */
static char *hub_of(struct machine *m, const char *section)
{
    g_autofree char *hub = g_key_file_get_string(m->file, section, "hub", NULL);
    return hub ? g_strdup_printf("hub@%c/", hub[3]) : g_strdup("");
}

/* Other USB devices than sticks are not booted from. */
static bool is_bootable(struct machine *m, const char *section)
{
    const struct config c = {m->file, m->path, section};
    g_autofree char *kind = g_str_has_prefix(section, "usb") ? config_string(&c, "device") : NULL;
    return g_key_file_has_group(m->file, section) && (!kind || !strcmp(kind, "storage"));
}

/* NULL: the machine has no such section. */
static char *boot_path(struct machine *m, const struct bootable *b, unsigned n, char **section)
{
    g_autofree char *name = g_strdup_printf("%s%u", b->section, n), *number = g_strdup_printf("%x", n);
    if (!is_bootable(m, name))
        return NULL;
    g_autofree char *slot = slot_of(m, name), *hub = hub_of(m, name);
    GString *path = g_string_new(b->path);
    g_string_replace(path, "{hub}", hub, 0);
    g_string_replace(path, "{slot}", slot, 0);
    g_string_replace(path, "{n}", number, 0);
    *section = g_steal_pointer(&name);
    return g_string_free(path, FALSE);
}

static const char *boot_kind(struct machine *m, const struct bootable *b, const char *section)
{
    g_autofree char *media = g_key_file_get_string(m->file, section, "media", NULL);
    if (!strcmp(b->section, "floppy"))
        return "floppy";
    if (!strcmp(b->section, "nic"))
        return "network";
    return g_strcmp0(media, "cdrom") ? "disk" : "cdrom";
}

static void boot_add(struct machine *m, GPtrArray *order, const char *kind)
{
    if (!strcmp(kind, "kernel"))
        g_ptr_array_add(order, g_strdup(PC_FIRMWARE_DIRECT_BOOT));
    for (unsigned i = 0; i < G_N_ELEMENTS(bootables); i++)
        for (unsigned n = 0; n < bootables[i].count; n++) {
            g_autofree char *section = NULL;
            g_autofree char *path = boot_path(m, &bootables[i], bootables[i].first + n, &section);
            if (path && !strcmp(boot_kind(m, &bootables[i], section), kind))
                g_ptr_array_add(order, g_steal_pointer(&path));
        }
}

static GPtrArray *boot_order(struct machine *m, const struct config *c)
{
    GPtrArray *order = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *boot = config_string(c, "boot");
    g_auto(GStrv) kinds = g_strsplit(boot, ",", -1);
    for (char **k = kinds; *k; k++)
        boot_add(m, order, g_strstrip(*k));
    g_ptr_array_add(order, NULL);
    return order;
}

/* By which geometry a drive counts, and BIOS calls; false: it is no disk of an ATA controller. */
static bool geometry_of(struct machine *m, const char *section, struct disk_geometry *drive, struct disk_geometry *bios)
{
    unsigned n = section[strlen(section) - 1] - '0';
    struct device *sata = machine_device(m, "sata");
    if (g_str_has_prefix(section, "ide"))
        return piix3_ide_geometry(machine_device(m, "ide"), n, drive, bios);
    return g_str_has_prefix(section, "sata") && sata && ahci_geometry(sata, n, drive, bios);
}

/* The CMOS memory has room for the first two IDE disks. */
static GArray *tell_geometry(struct machine *m)
{
    GArray *disks = g_array_new(FALSE, FALSE, sizeof(struct pc_firmware_disk));
    for (unsigned i = 0; i < G_N_ELEMENTS(bootables); i++)
        for (unsigned n = bootables[i].first; n < bootables[i].first + bootables[i].count; n++) {
            struct pc_firmware_disk disk = {0};
            struct disk_geometry drive;
            g_autofree char *section = NULL;
            disk.path = boot_path(m, &bootables[i], n, &section);
            if (!disk.path || !geometry_of(m, section, &drive, &disk.bios)) {
                g_free(disk.path);
                continue;
            }
            g_array_append_val(disks, disk);
            if (!strcmp(bootables[i].section, "ide") && n < 2)
                mc146818_set_disk(machine_device(m, "rtc"), n, drive.cylinders, drive.heads, drive.sectors);
        }
    return disks;
}

static void clear_disk(void *disk)
{
    g_free(((struct pc_firmware_disk *)disk)->path);
}

/* Its text form, which the schema has found good; false: there is none. */
static bool uuid_of(const struct config *c, uint8_t uuid[16])
{
    g_autofree char *text = config_string(c, "uuid");
    unsigned digits = 0;
    for (const char *p = text; p && *p && digits < 32; p++)
        if (g_ascii_isxdigit(*p)) {
            uuid[digits / 2] = uuid[digits / 2] << 4 | g_ascii_xdigit_value(*p);
            digits++;
        }
    return digits == 32;
}

/* As the engines' CPUID says it: only KVM shows more than 40 bits, and only of the host's own CPU. */
static unsigned gpa_bits(struct machine *m)
{
    enum { USUAL = 40 };
    struct host_cpu h;
    host_cpu_learn(&h);
    bool all = !strcmp(m->engine->name, "kvm") && !strcmp(m->cpu_model, "host");
    return all ? h.gpa_bits : MIN(h.gpa_bits, USUAL);
}

/* An initial RAM disk; or Multiboot's modules, "FILE ARGUMENTS,FILE ARGUMENTS", each file from the folder of machine.ini.  g_free;
 * NULL: neither. */
static char *initrd_of(const struct config *c)
{
    g_autofree char *whole = config_path(c, "initrd"), *list = config_string(c, "initrd");
    if (!whole || !strchr(list, ',') || g_file_test(whole, G_FILE_TEST_EXISTS))
        return g_steal_pointer(&whole);
    g_autofree char *folder = g_path_get_dirname(c->path);
    g_auto(GStrv) files = g_strsplit(list, ",", -1);
    for (char **f = files; *f; f++) {
        g_autofree char *file = g_strstrip(*f);
        *f = g_path_is_absolute(file) ? g_steal_pointer(&file) : g_build_filename(folder, file, NULL);
    }
    return g_strjoinv(",", files);
}

static bool tell_firmware(struct machine *m, GError **error)
{
    struct config c = {m->file, m->path, "machine"};
    g_autofree char *kernel = config_path(&c, "kernel"), *initrd = initrd_of(&c);
    g_autofree char *cmdline = config_string(&c, "cmdline");
    g_autoptr(GPtrArray) order = boot_order(m, &c);
    g_autoptr(GArray) disks = tell_geometry(m);
    g_array_set_clear_func(disks, clear_disk);
    uint8_t uuid[16];
    bool boot_menu, named = uuid_of(&c, uuid);
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
        .no_display = video_is(m, "none"),
        .hpet = is_board(m, 2),
        .acpi_2 = is_board(m, 3),
        .tpm = g_key_file_has_group(m->file, "tpm"),
        .gpa_bits = gpa_bits(m),
        .uefi = firmware_rom_is_uefi(machine_device(m, "firmware")),
        .boot = (const char *const *)order->pdata,
        .uuid = named ? uuid : NULL,
        .disks = (const struct pc_firmware_disk *)disks->data,
        .disk_count = disks->len,
        .kernel = kernel,
        .initrd = initrd,
        .cmdline = cmdline,
    };
    return pc_firmware_setup(machine_device(m, "fw-cfg"), &p, error);
}

/* What somebody else's file holds is looked at inside of the fence. */
static bool variables_good(struct machine *m, GError **error)
{
    const struct device *flash = machine_device(m, "flash");
    const struct mapped_region *r = flash ? &flash->core->region[0] : NULL;
    const struct config c = {m->file, m->path, "machine"};
    g_autofree char *path = g_build_filename(m->folder, FIRMWARE_VARS_FILE, NULL),
                    *kind = config_string(&c, "firmware");
    if (!flash || !firmware_vars_check(m->memory.base + r->memory, r->memory_bytes, path, error))
        return !flash;
    if (strcmp(kind, "uefi-secure") || firmware_vars_keyed(m->memory.base + r->memory, r->memory_bytes))
        return true;
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                "%s has no platform key, so Secure Boot would be off; vmctl firmware enroll makes one that has", path);
    return false;
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
    return variables_good(m, error) && tell_firmware(m, error);
}
