// SPDX-License-Identifier: GPL-2.0-or-later
/* read_libvirt.c - a domain of libvirt (virsh dumpxml). */
#include "core-vmm/foreign/readers.h"
#include "core-vmm/foreign/xml.h"
#include "disk-formats/image/error.h"
#include <string.h>

struct domain {
    xmlNode *root, *devices;
    struct found *f;
};

/* libvirt's units: KiB unless said otherwise. */
static uint64_t memory_of(xmlNode *node)
{
    static const struct {
        const char *unit;
        uint64_t bytes;
    } units[] = {{"b", 1},
                 {"bytes", 1},
                 {"KB", 1000},
                 {"k", 1024},
                 {"KiB", 1024},
                 {"MB", 1000000},
                 {"M", 1 << 20},
                 {"MiB", 1 << 20},
                 {"GB", 1000000000},
                 {"G", 1 << 30},
                 {"GiB", 1 << 30},
                 {"T", UINT64_C(1) << 40},
                 {"TiB", UINT64_C(1) << 40}};
    g_autofree char *text = xml_text(node), *unit = xml_attribute(node, "unit");
    uint64_t each = unit ? 0 : 1024, bytes, number = text_number(text, 0, UINT64_C(1) << 62);
    for (unsigned i = 0; unit && i < G_N_ELEMENTS(units); i++)
        if (!strcmp(unit, units[i].unit))
            each = units[i].bytes;
    return __builtin_mul_overflow(number, each, &bytes) ? 0 : bytes;
}

/* ---- disks ---- */

/* "vdb" and "sda": the second and the first. */
static int place_of(const char *target)
{
    size_t n = target ? strlen(target) : 0;
    return n >= 3 && target[n - 1] >= 'a' && target[n - 1] <= 'z' ? target[n - 1] - 'a' : -1;
}

static bool has_virtio_scsi(const struct domain *d)
{
    for (xmlNode *n = xml_first(d->devices, "controller"); n; n = xml_next(n, "controller"))
        if (xml_attribute_is(n, "type", "scsi")) {
            g_autofree char *model = xml_attribute(n, "model");
            return model && g_str_has_prefix(model, "virtio");
        }
    return true; /* libvirt's own choice, where none is said */
}

static enum found_bus bus_of(const struct domain *d, const char *bus, const char *target)
{
    static const struct {
        const char *word;
        enum found_bus bus;
    } words[] = {{"ide", FOUND_IDE},    {"sata", FOUND_SATA}, {"virtio", FOUND_VIRTIO},
                 {"fdc", FOUND_FLOPPY}, {"usb", FOUND_USB},   {"nvme", FOUND_NVME}};
    for (unsigned i = 0; bus && i < G_N_ELEMENTS(words); i++)
        if (!strcmp(bus, words[i].word))
            return words[i].bus;
    if (bus && !strcmp(bus, "scsi"))
        return has_virtio_scsi(d) ? FOUND_VIRTIO_SCSI : FOUND_SCSI;
    if (target && g_str_has_prefix(target, "vd"))
        return FOUND_VIRTIO;
    return target && g_str_has_prefix(target, "hd") ? FOUND_IDE : FOUND_ANY_BUS;
}

static void read_disk(struct domain *d, xmlNode *node)
{
    xmlNode *source = xml_first(node, "source"), *to = xml_first(node, "target");
    g_autofree char *bus = xml_attribute(to, "bus"), *target = xml_attribute(to, "dev"),
                    *type = xml_attribute(node, "type");
    char *file = xml_attribute(source, "file");
    if (xml_attribute_is(node, "device", "lun"))
        found_leave(d->f, "%s, a disk of the host's that takes SCSI commands", target);
    bool floppy = xml_attribute_is(node, "device", "floppy");
    struct found_drive *drive = found_add_drive(d->f, floppy ? FOUND_FLOPPY : bus_of(d, bus, target), place_of(target));
    drive->media = xml_attribute_is(node, "device", "cdrom") ? FOUND_CDROM : FOUND_DISK;
    drive->what = g_strdup_printf("%s, %s", target ? target : "?", bus ? bus : "?");
    drive->file = file ? file : xml_attribute(source, "dev");
    drive->readonly = xml_first(node, "readonly") && !floppy;
    drive->format = drive->media == FOUND_DISK ? xml_attribute(xml_first(node, "driver"), "type") : NULL;
    if (drive->format && !strcmp(drive->format, "vpc")) {
        g_free(drive->format);
        drive->format = g_strdup("vhd");
    }
    if (source && !drive->file)
        found_leave(d->f, "%s: its image is a %s, which is not supported", target, type ? type : "?");
    if (xml_first(node, "encryption") || xml_first(source, "encryption"))
        found_leave(d->f, "the encryption of %s", target);
}

/* ---- cards ---- */

static void read_card(struct domain *d, xmlNode *node)
{
    struct found_card *c = found_add_card(d->f);
    xmlNode *source = xml_first(node, "source");
    g_autofree char *address = xml_attribute(xml_first(node, "mac"), "address"), *type = xml_attribute(node, "type");
    g_autofree char *network = xml_attribute(source, "network");
    c->model = xml_attribute(xml_first(node, "model"), "type");
    c->mac = found_mac(address);
    c->unplugged = xml_attribute_is(xml_first(node, "link"), "state", "down");
    if (!g_strcmp0(type, "bridge") || !g_strcmp0(type, "direct")) {
        c->mode = "bridged";
        c->interface = xml_attribute(source, *type == 'b' ? "bridge" : "dev");
    } else if (!g_strcmp0(type, "internal")) {
        c->mode = "internal";
        c->network = xml_attribute(xml_first(source, "address"), "type");
    } else if (network && strcmp(network, "default")) {
        found_leave(d->f, "libvirt's network \"%s\": its card has NAT", network);
    } else if (g_strcmp0(type, "user") && g_strcmp0(type, "network")) {
        found_leave(d->f, "a network of type %s: its card has NAT", type ? type : "?");
    }
}

/* ---- the rest ---- */

static void read_unknown(struct domain *d)
{
    static const struct {
        const char *element, *what;
    } unknown[] = {{"sound", "a sound card"},
                   {"tpm", "a TPM"},
                   {"hostdev", "a device of the host"},
                   {"filesystem", "a shared folder"},
                   {"redirdev", "redirected USB devices"},
                   {"watchdog", "a watchdog"},
                   {"vsock", "a vsock device"},
                   {"shmem", "shared memory"},
                   {"smartcard", "a smart card"}};
    for (unsigned i = 0; i < G_N_ELEMENTS(unknown); i++)
        if (xml_first(d->devices, unknown[i].element))
            found_leave(d->f, "%s", unknown[i].what);
    if (xml_first(d->root, "commandline"))
        found_leave(d->f, "arguments for QEMU");
}

static void read_boot(struct domain *d)
{
    xmlNode *os = xml_first(d->root, "os"), *loader = xml_first(os, "loader");
    g_autofree char *kernel = xml_text_of(os, "kernel");
    d->f->efi = xml_attribute_is(os, "firmware", "efi") || xml_attribute_is(loader, "type", "pflash");
    if (kernel)
        found_leave(d->f, "booting the kernel %s directly: set machine.kernel, machine.initrd and machine.cmdline",
                    kernel);
}

/* libosinfo's address of the system, in the metadata that virt-manager writes. */
static char *system_of(const struct domain *d)
{
    xmlNode *info = xml_first(xml_first(d->root, "metadata"), "libosinfo");
    char *id = xml_attribute(xml_first(info, "os"), "id");
    g_autofree char *title = id ? NULL : xml_text_of(d->root, "title");
    return id ? id : found_os(title) ? g_steal_pointer(&title) : NULL;
}

static void read_machine(struct domain *d)
{
    struct found *f = d->f;
    xmlNode *topology = xml_first(xml_first(d->root, "cpu"), "topology"), *clock = xml_first(d->root, "clock");
    g_autofree char *cpus = xml_text_of(d->root, "vcpu"), *uuid = xml_text_of(d->root, "uuid");
    f->program = "libvirt";
    f->name = xml_text_of(d->root, "name");
    f->uuid = found_uuid(uuid);
    f->system = system_of(d);
    f->memory = memory_of(xml_first(d->root, "memory"));
    f->cpus = text_number(cpus, 1, 4096);
    f->sockets = xml_number(topology, "sockets", 0, 4096);
    f->clock = xml_attribute_is(clock, "offset", "localtime") ? "local" : clock ? "utc" : NULL;
    f->serial = xml_first(d->devices, "serial");
    read_boot(d);
    for (xmlNode *n = xml_first(d->devices, "disk"); n; n = xml_next(n, "disk"))
        read_disk(d, n);
    for (xmlNode *n = xml_first(d->devices, "interface"); n; n = xml_next(n, "interface"))
        read_card(d, n);
    read_unknown(d);
}

bool read_libvirt(const char *text, gsize n, struct found *f, GError **error)
{
    xmlDoc *doc = xml_read(text, n, error);
    xmlNode *root = doc ? xml_root(doc, "domain", error) : NULL;
    struct domain d = {root, xml_first(root, "devices"), f};
    g_autofree char *arch = xml_attribute(xml_first(xml_first(root, "os"), "type"), "arch");
    bool good =
        root && (!arch || !strcmp(arch, "x86_64") || !strcmp(arch, "i686") ||
                 disk_fail(error, DISK_ERROR_UNSUPPORTED, "it is a machine of the kind %s; this one is a PC", arch));
    if (good)
        read_machine(&d);
    if (doc)
        xmlFreeDoc(doc);
    return good;
}
