// SPDX-License-Identifier: GPL-2.0-or-later
/* read_ovf.c - the Open Virtualization Format, DMTF DSP0243, as VirtualBox, VMware and we write it.
 *
 * Theory.  <References> names the files; <DiskSection> says which file a disk is in.  The hardware is a flat list of items; each
 * has a number, a ResourceType (DSP1033: 3 processor, 4 memory, 5 IDE, 6 SCSI, 10 Ethernet, 14 floppy, 15 and 16 optical, 17
 * disk, 20 other storage, 21 serial) and, where it hangs on another item, that one's number.  Version 2 has the same elements under
 * the names of other classes.  Where we wrote the file ourselves, <Settings> has the machine exactly. */
#include "core-vmm/foreign/readers.h"
#include "core-vmm/foreign/xml.h"
#include "disk-formats/image/error.h"
#include <string.h>

#define ITEMS_MAX 1000 /* of hardware, and files, and disks */

struct item {
    xmlNode *node;
    char *id, *parent, *subtype;
    unsigned type, address, on_parent;
};
struct ovf {
    xmlNode *envelope, *system;
    GArray *items;
    struct found *f;
};

static void clear_item(void *item)
{
    struct item *i = item;
    g_free(i->id);
    g_free(i->parent);
    g_free(i->subtype);
}

/* ---- units ---- */

/* DSP0004's "byte * 2^20", and what older programs write; 0: not known. */
static uint64_t unit_of(const char *text)
{
    static const struct {
        const char *word;
        unsigned shift;
    } words[] = {{"kilobytes", 10}, {"kb", 10}, {"megabytes", 20}, {"mb", 20}, {"gigabytes", 30}, {"gb", 30}};
    g_autofree char *plain = text ? g_ascii_strdown(text, -1) : NULL;
    const char *power = plain ? strstr(plain, "2^") : NULL;
    if (!plain || !strcmp(plain, "byte") || !*plain)
        return 1;
    if (power && g_str_has_prefix(plain, "byte"))
        return UINT64_C(1) << text_number(power + 2, 0, 60);
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
        if (!strcmp(plain, words[i].word))
            return UINT64_C(1) << words[i].shift;
    return 0;
}

static uint64_t bytes_of(const char *quantity, const char *units)
{
    uint64_t bytes, unit = unit_of(units), number = text_number(quantity, 0, UINT64_C(1) << 62);
    return __builtin_mul_overflow(number, unit, &bytes) ? 0 : bytes;
}

/* ---- items ---- */

static void read_item(struct ovf *o, xmlNode *node)
{
    g_autofree char *type = xml_text_of(node, "ResourceType"), *address = xml_text_of(node, "Address");
    g_autofree char *on_parent = xml_text_of(node, "AddressOnParent");
    struct item i = {node,
                     xml_text_of(node, "InstanceID"),
                     xml_text_of(node, "Parent"),
                     xml_text_of(node, "ResourceSubType"),
                     text_number(type, 0, 65535),
                     text_number(address, 0, 65535),
                     text_number(on_parent, 0, 65535)};
    g_array_append_val(o->items, i);
}

static bool read_items(struct ovf *o, xmlNode *hardware, GError **error)
{
    for (xmlNode *n = xml_first(hardware, NULL); n; n = xml_next(n, NULL))
        if (xml_is(n, "Item") || xml_is(n, "StorageItem") || xml_is(n, "EthernetPortItem"))
            read_item(o, n);
    return o->items->len <= ITEMS_MAX ||
           disk_fail(error, DISK_ERROR_CORRUPT, "it lists %u items of hardware", o->items->len);
}

static const struct item *item_by_id(const struct ovf *o, const char *id)
{
    for (guint i = 0; id && i < o->items->len; i++) {
        const struct item *one = &g_array_index(o->items, struct item, i);
        if (!g_strcmp0(one->id, id))
            return one;
    }
    return NULL;
}

static bool has_word(const char *text, const char *word)
{
    g_autofree char *plain = text ? g_ascii_strdown(text, -1) : NULL;
    return plain && strstr(plain, word);
}

static enum found_bus bus_of(const struct item *controller)
{
    const char *subtype = controller ? controller->subtype : NULL;
    if (!controller)
        return FOUND_ANY_BUS;
    if (controller->type == 5)
        return FOUND_IDE;
    if (has_word(subtype, "ahci") || has_word(subtype, "sata"))
        return FOUND_SATA;
    if (has_word(subtype, "nvme"))
        return FOUND_NVME;
    if (has_word(subtype, "virtioscsi") || has_word(subtype, "virtio-scsi"))
        return FOUND_VIRTIO_SCSI;
    return has_word(subtype, "usb") ? FOUND_USB : FOUND_SCSI;
}

/* ---- disks ---- */

static xmlNode *by_attribute(xmlNode *section, const char *element, const char *attribute, const char *value)
{
    for (xmlNode *n = xml_first(section, element); n && value; n = xml_next(n, element)) {
        g_autofree char *there = xml_attribute(n, attribute);
        if (!g_strcmp0(there, value))
            return n;
    }
    return NULL;
}

/* "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized" and its kin; g_free; NULL: not said. */
static char *format_of(const char *uri)
{
    static const char *const formats[] = {"vmdk", "qcow2", "vdi", "vhdx", "vhd", NULL};
    for (unsigned i = 0; uri && formats[i]; i++)
        if (has_word(uri, formats[i]))
            return g_strdup(formats[i]);
    return NULL;
}

static bool take_file(const struct ovf *o, struct found_drive *d, const char *id, GError **error)
{
    xmlNode *file = by_attribute(xml_first(o->envelope, "References"), "File", "id", id);
    g_autofree char *packed = xml_attribute(file, "compression"), *chunk = xml_attribute(file, "chunkSize");
    if (!file)
        return disk_fail(error, DISK_ERROR_CORRUPT, "it names a file \"%s\" that <References> does not have", id);
    d->file = xml_attribute(file, "href");
    if (packed && *packed && g_ascii_strcasecmp(packed, "identity"))
        return disk_fail(error, DISK_ERROR_UNSUPPORTED,
                         "%s is packed (%s), which is not supported: unpack it, and change the "
                         "description",
                         d->file ? d->file : id, packed);
    if (chunk)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s is cut into pieces, which is not supported",
                         d->file ? d->file : id);
    return d->file || disk_fail(error, DISK_ERROR_CORRUPT, "the file \"%s\" has no name", id);
}

static bool take_disk(const struct ovf *o, struct found_drive *d, const char *id, GError **error)
{
    xmlNode *disk = by_attribute(xml_first(o->envelope, "DiskSection"), "Disk", "diskId", id);
    g_autofree char *file = xml_attribute(disk, "fileRef"), *capacity = xml_attribute(disk, "capacity");
    g_autofree char *units = xml_attribute(disk, "capacityAllocationUnits"), *uri = xml_attribute(disk, "format");
    g_autofree char *parent = xml_attribute(disk, "parentRef");
    if (!disk)
        return disk_fail(error, DISK_ERROR_CORRUPT, "it names a disk \"%s\" that <DiskSection> does not have", id);
    if (parent)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "the disk \"%s\" builds upon another, which is not supported",
                         id);
    d->bytes = bytes_of(capacity, units);
    d->format = format_of(uri);
    if (!file)
        found_leave(o->f, "the disk \"%s\" has no contents; make it by --set or vmctl disk create", id);
    return !file || take_file(o, d, file, error);
}

/* "ovf:/disk/vmdisk1", "/file/file1" */
static bool take_resource(const struct ovf *o, struct found_drive *d, const struct item *i, GError **error)
{
    g_autofree char *resource = xml_text_of(i->node, "HostResource");
    const char *path = resource && g_str_has_prefix(resource, "ovf:") ? resource + 4 : resource;
    if (!path || !*path)
        return true;
    if (g_str_has_prefix(path, "/disk/"))
        return take_disk(o, d, path + 6, error);
    if (g_str_has_prefix(path, "/file/"))
        return take_file(o, d, path + 6, error);
    found_leave(o->f, "the host's %s", path);
    return true;
}

static bool read_drive(struct ovf *o, const struct item *i, GError **error)
{
    const struct item *controller = item_by_id(o, i->parent);
    enum found_bus bus = i->type == 14 ? FOUND_FLOPPY : bus_of(controller);
    unsigned place = i->on_parent + (bus == FOUND_IDE && controller->address < 2 ? 2 * controller->address : 0);
    struct found_drive *d = found_add_drive(o->f, bus, MIN(place, 1000));
    d->media = i->type == 15 || i->type == 16 ? FOUND_CDROM : FOUND_DISK;
    d->what = g_strdup_printf("%s %u",
                              !controller           ? "a floppy controller"
                              : controller->subtype ? controller->subtype
                              : bus == FOUND_IDE    ? "IDE"
                                                    : "SCSI",
                              place);
    return take_resource(o, d, i, error);
}

/* ---- cards ---- */

static void read_card(struct ovf *o, const struct item *i)
{
    struct found_card *c = found_add_card(o->f);
    g_autofree char *network = xml_text_of(i->node, "Connection"),
                    *automatic = xml_text_of(i->node, "AutomaticAllocation");
    g_autofree char *address = xml_text_of(i->node, "Address");
    c->model = g_strdup(i->subtype);
    c->mac = found_mac(address);
    c->unplugged = automatic && !g_ascii_strcasecmp(automatic, "false");
    if (has_word(network, "bridged"))
        c->mode = "bridged";
    else if (has_word(network, "hostonly"))
        c->mode = "hostonly";
    else if (has_word(network, "internal"))
        c->mode = "internal";
    else if (network && !has_word(network, "nat"))
        found_leave(o->f, "the network \"%s\" of a card: it has NAT", network);
}

/* VirtualBox puts its own description beside the standard's, which has no place for a card's address. */
static void read_vbox_machine(struct ovf *o)
{
    xmlNode *machine = xml_first(o->system, "Machine"), *hardware = xml_first(machine, "Hardware");
    guint n = 0;
    g_autofree char *uuid = xml_attribute(machine, "uuid");
    xmlNode *firmware = xml_first(hardware, "Firmware");
    o->f->efi = o->f->efi || (firmware && xml_attribute_is(firmware, "type", "EFI"));
    if (!o->f->uuid)
        o->f->uuid = found_uuid(uuid);
    for (xmlNode *a = xml_first(xml_first(hardware, "Network"), "Adapter"); a; a = xml_next(a, "Adapter")) {
        if (!xml_attribute_is(a, "enabled", "true") || n >= o->f->cards->len)
            continue;
        struct found_card *c = &g_array_index(o->f->cards, struct found_card, n++);
        g_autofree char *address = xml_attribute(a, "MACAddress");
        if (!c->mac)
            c->mac = found_mac(address);
    }
}

/* ---- all items ---- */

static bool read_one(struct ovf *o, const struct item *i, GError **error)
{
    g_autofree char *quantity = xml_text_of(i->node, "VirtualQuantity");
    g_autofree char *units = xml_text_of(i->node, "AllocationUnits");
    switch (i->type) {
    case 3: o->f->cpus = text_number(quantity, 1, 4096); break;
    case 4: o->f->memory = bytes_of(quantity, units ? units : "MB"); break;
    case 5:
    case 6:
    case 20: break; /* counts for what hangs on it */
    case 10: read_card(o, i); break;
    case 14:
    case 15:
    case 16:
    case 17: return read_drive(o, i, error);
    case 21: o->f->serial = true; break;
    case 23: found_leave(o->f, "a USB controller"); break;
    case 24: break; /* a display: there always is one */
    case 35: found_leave(o->f, "a sound card"); break;
    default: found_leave(o->f, "an item of type %u%s%s", i->type, i->subtype ? ", " : "", i->subtype ? i->subtype : "");
    }
    return true;
}

static void read_system(struct ovf *o)
{
    xmlNode *os = xml_first(o->system, "OperatingSystemSection");
    g_autofree char *vbox = xml_text_of(os, "OSType"), *vmware = xml_attribute(os, "osType");
    g_autofree char *described = xml_text_of(os, "Description"), *id = xml_attribute(o->system, "id");
    o->f->name = xml_text_of(o->system, "Name");
    if (!o->f->name)
        o->f->name = g_steal_pointer(&id);
    char **best = vbox ? &vbox : vmware ? &vmware : &described;
    o->f->system = g_steal_pointer(best);
}

static void read_config(struct ovf *o, xmlNode *hardware)
{
    for (xmlNode *n = xml_first(hardware, "Config"); n; n = xml_next(n, "Config"))
        if (xml_attribute_is(n, "key", "firmware") && xml_attribute_is(n, "value", "efi"))
            o->f->efi = true;
    if (xml_first(o->system, "ProductSection") && xml_first(xml_first(o->system, "ProductSection"), "Property"))
        found_leave(o->f, "properties that its system may ask the host for");
}

/* What we wrote for ourselves: <Setting key="ide0.media" value="cdrom"/>, and on which section a disk is. */
static bool read_ours(struct ovf *o, GError **error)
{
    xmlNode *ours = xml_first(o->system, "Settings");
    for (xmlNode *n = xml_first(ours, "Setting"); n; n = xml_next(n, "Setting")) {
        g_autofree char *key = xml_attribute(n, "key"), *value = xml_attribute(n, "value");
        if (key && value)
            g_ptr_array_add(o->f->settings, g_strdup_printf("%s=%s", key, value));
    }
    for (xmlNode *n = xml_first(ours, "Image"); n; n = xml_next(n, "Image")) {
        g_autofree char *id = xml_attribute(n, "diskId");
        struct found_drive *d = found_add_drive(o->f, FOUND_ANY_BUS, -1);
        d->section = xml_attribute(n, "section");
        if (d == &o->f->spare_drive)
            return disk_fail(error, DISK_ERROR_CORRUPT, "it has more than %d images", FOUND_DRIVES_MAX);
        if (!d->section)
            return disk_fail(error, DISK_ERROR_CORRUPT, "an image belongs to no section");
        if (!take_disk(o, d, id ? id : "", error))
            return false;
    }
    return true;
}

static bool read_machine(struct ovf *o, GError **error)
{
    xmlNode *hardware = xml_first(o->system, "VirtualHardwareSection");
    g_autofree char *type = xml_text_of(xml_first(hardware, "System"), "VirtualSystemType");
    if (!hardware)
        return disk_fail(error, DISK_ERROR_CORRUPT, "it describes no hardware (<VirtualHardwareSection>)");
    o->f->program = has_word(type, "virtualbox") ? "VirtualBox (OVF)" : has_word(type, "vmx") ? "VMware (OVF)" : "OVF";
    read_system(o);
    if (xml_has_namespace(xml_first(o->system, "Settings"), OVF_OURS)) {
        o->f->program = "Terrarium (OVF)";
        return read_ours(o, error);
    }
    if (!read_items(o, hardware, error))
        return false;
    for (guint i = 0; i < o->items->len; i++)
        if (!read_one(o, &g_array_index(o->items, struct item, i), error))
            return false;
    read_config(o, hardware);
    read_vbox_machine(o);
    return true;
}

bool read_ovf(const char *text, gsize n, struct found *f, GError **error)
{
    xmlDoc *doc = xml_read(text, n, error);
    struct ovf o = {.envelope = doc ? xml_root(doc, "Envelope", error) : NULL, .f = f};
    o.system = xml_first(o.envelope, "VirtualSystem");
    o.items = g_array_new(FALSE, FALSE, sizeof(struct item));
    g_array_set_clear_func(o.items, clear_item);
    bool good = o.envelope;
    unsigned files = xml_count(xml_first(o.envelope, "References"), "File");
    unsigned disks = xml_count(xml_first(o.envelope, "DiskSection"), "Disk");
    if (files > ITEMS_MAX || disks > ITEMS_MAX)
        good = disk_fail(error, DISK_ERROR_CORRUPT, "it names %u files and %u disks", files, disks);
    else if (good && xml_first(o.envelope, "VirtualSystemCollection"))
        good = disk_fail(error, DISK_ERROR_UNSUPPORTED, "it has several machines in it, which is not supported");
    else if (good)
        good = o.system ? read_machine(&o, error) : disk_fail(error, DISK_ERROR_CORRUPT, "there is no machine in it");
    g_array_unref(o.items);
    if (doc)
        xmlFreeDoc(doc);
    return good;
}
