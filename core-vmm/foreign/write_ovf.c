// SPDX-License-Identifier: GPL-2.0-or-later
/* write_ovf.c - a machine as OVF 1 (DMTF DSP0243 1.1), which all programs read.  read_ovf.c says what the numbers of types are.
 * Hardware that others lack is written as what they have; beside it, <Settings> has the machine exactly, for ourselves. */
#include "core-vmm/foreign/export.h"
#include "core-vmm/foreign/readers.h"
#include "core-vmm/api/config.h"
#include "core-vmm/host/config_schema.h"
#include <string.h>

#define CIM    "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_"
#define STREAM "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"

enum { CPU = 3, MEMORY = 4, IDE = 5, SCSI = 6, ETHERNET = 10, FLOPPY = 14, CD = 15, DISK = 17, OTHER_STORAGE = 20 };
/* Instance numbers of controllers. */
enum { IDE_0 = 3, IDE_1 = 4, SATA_0 = 5, SCSI_0 = 6, NVME_0 = 7, FIRST_FREE = 10 };

struct writer {
    const struct exporting *e;
    GString *out;
    unsigned next;                 /* instance number */
    bool ide[2], sata, scsi, nvme; /* which controllers are needed */
    unsigned bays;                 /* of SATA, taken by disks that are not on it here */
};

/* ---- items: elements of an item come in the order of the alphabet ---- */

struct item {
    unsigned type, id;
    int address, on_parent, parent; /* -1: none */
    const char *name, *connection, *resource, *subtype, *units, *mac;
    bool automatic;
    uint64_t quantity; /* 0: none */
};

static void field(struct writer *w, const char *name, const char *text)
{
    if (text)
        export_add(w->out, "        <rasd:%s>%s</rasd:%s>\n", name, text, name);
}

static void field_number(struct writer *w, const char *name, int64_t number)
{
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, number);
    field(w, name, number >= 0 ? text : NULL);
}

static void add_item(struct writer *w, const struct item *i)
{
    g_string_append(w->out, "      <Item>\n");
    field(w, "Address", i->mac);
    field_number(w, "Address", i->address);
    field_number(w, "AddressOnParent", i->on_parent);
    field(w, "AllocationUnits", i->units);
    field(w, "AutomaticAllocation", i->type == ETHERNET || i->type == CD ? i->automatic ? "true" : "false" : NULL);
    field(w, "Connection", i->connection);
    field(w, "ElementName", i->name);
    field(w, "HostResource", i->resource);
    field_number(w, "InstanceID", i->id);
    field_number(w, "Parent", i->parent);
    field(w, "ResourceSubType", i->subtype);
    field_number(w, "ResourceType", i->type);
    field_number(w, "VirtualQuantity", i->quantity ? (int64_t)i->quantity : -1);
    g_string_append(w->out, "      </Item>\n");
}

static void add_machine(struct writer *w)
{
    g_autofree char *cpus = export_setting(w->e, "machine", "cpus"),
                    *memory = export_setting(w->e, "machine", "memory");
    uint64_t bytes = 0;
    size_parse(memory, &bytes);
    add_item(w, &(struct item){CPU, 1, -1, -1, -1, "CPUs", .units = "hertz * 10^6",
                               .quantity = g_ascii_strtoull(cpus, NULL, 10)});
    add_item(w,
             &(struct item){MEMORY, 2, -1, -1, -1, "memory", .units = "byte * 2^20", .quantity = MAX(bytes >> 20, 1)});
    if (bytes & 0xfffff)
        export_remark(w->e, "memory is counted in MiB there: %s is %" G_GUINT64_FORMAT "M", memory, bytes >> 20);
}

static void add_controllers(struct writer *w)
{
    for (int i = 0; i < 2; i++)
        if (w->ide[i])
            add_item(w, &(struct item){IDE, IDE_0 + i, i, -1, -1, "IDE controller"});
    if (w->sata)
        add_item(w, &(struct item){OTHER_STORAGE, SATA_0, 0, -1, -1, "SATA controller", .subtype = "AHCI"});
    if (w->scsi)
        add_item(w, &(struct item){SCSI, SCSI_0, 0, -1, -1, "SCSI controller", .subtype = "lsilogic"});
    if (w->nvme)
        add_item(w, &(struct item){OTHER_STORAGE, NVME_0, 0, -1, -1, "NVMe controller",
                                   .subtype = "vmware.nvme.controller"});
}

/* ---- drives ---- */

/* Of SATA, for what is on no controller that others have. */
static int free_bay(struct writer *w)
{
    for (int bay = 0;; bay++) {
        g_autofree char *section = g_strdup_printf("sata%d", bay);
        if (g_key_file_has_group(w->e->settings, section) || w->bays >> bay & 1)
            continue;
        w->bays |= 1u << bay;
        return bay;
    }
}

/* On which controller others find it, and where there. */
static unsigned controller_of(struct writer *w, const char *section, int *place)
{
    unsigned number = section[strlen(section) - 1] - '0';
    *place = number;
    if (g_str_has_prefix(section, "ide")) {
        *place = number & 1;
        w->ide[number >> 1 & 1] = true;
        return number >> 1 ? IDE_1 : IDE_0;
    }
    if (g_str_has_prefix(section, "scsi")) {
        w->scsi = true;
        return SCSI_0;
    }
    if (g_str_has_prefix(section, "nvme")) {
        w->nvme = true;
        return NVME_0;
    }
    w->sata = true;
    if (g_str_has_prefix(section, "virtio-disk"))
        *place = free_bay(w);
    return SATA_0;
}

static void add_drive(struct writer *w, const char *section)
{
    const struct export_disk *d = export_disk_of(w->e, section);
    g_autofree char *media = export_setting(w->e, section, "media"), *resource = NULL;
    bool floppy = g_str_has_prefix(section, "floppy"), cdrom = !g_strcmp0(media, "cdrom");
    struct item i = {.type = floppy  ? FLOPPY
                             : cdrom ? CD
                                     : DISK,
                     .id = w->next,
                     .address = -1,
                     .parent = -1,
                     .name = section};
    if (!floppy && !cdrom && !d)
        return; /* an empty bay */
    w->next++;
    if (floppy)
        i.on_parent = section[strlen(section) - 1] - '0';
    else
        i.parent = controller_of(w, section, &i.on_parent);
    i.resource = resource = d && d->file ? g_strdup_printf("ovf:/disk/%s", section) : NULL;
    if (g_str_has_prefix(section, "virtio-disk"))
        export_remark(w->e, "%s is on SATA for other programs, which its system must have a driver for", section);
    else if (g_str_has_prefix(section, "scsi"))
        export_remark(w->e, "%s is on an LSI Logic adapter for other programs, which its system must have a driver for",
                      section);
    add_item(w, &i);
}

/* ---- cards ---- */

static const char *connection_of(const char *mode)
{
    return !strcmp(mode, "bridged")                            ? "Bridged"
           : !strcmp(mode, "hostonly")                         ? "HostOnly"
           : !strcmp(mode, "internal") || !strcmp(mode, "udp") ? "Internal"
                                                               : "NAT";
}

static void add_card(struct writer *w, const char *section)
{
    static const struct {
        const char *model, *subtype;
    } models[] = {{"e1000", "E1000"}, {"e1000e", "E1000e"}, {"pcnet", "PCNet32"}, {"virtio-net", "virtio"}};
    g_autofree char *model = export_setting(w->e, section, "model"), *mode = export_setting(w->e, section, "mode");
    g_autofree char *connected = export_setting(w->e, section, "connected"),
                    *mac = export_setting(w->e, section, "mac");
    struct item i = {ETHERNET, w->next++, -1, section[strlen(section) - 1] - '0', -1, section, connection_of(mode)};
    for (unsigned n = 0; n < G_N_ELEMENTS(models); n++)
        if (!strcmp(models[n].model, model))
            i.subtype = models[n].subtype;
    if (!i.subtype || !strcmp(model, "virtio-net"))
        export_remark(w->e, "%s is a %s, which %s", section, model,
                      i.subtype ? "VMware does not have" : "others do not have: it is an E1000 there");
    if (!i.subtype)
        i.subtype = "E1000";
    i.mac = mac;
    if (mac)
        export_remark(w->e, "the address of %s, %s: other programs may give it another", section, mac);
    i.automatic = !g_strcmp0(connected, "on") && strcmp(mode, "none");
    add_item(w, &i);
}

static void each_section(struct writer *w, const char *const *prefixes,
                         void (*fn)(struct writer *w, const char *section))
{
    g_auto(GStrv) sections = g_key_file_get_groups(w->e->settings, NULL);
    for (char **s = sections; *s; s++)
        for (const char *const *p = prefixes; *p; p++)
            if (g_str_has_prefix(*s, *p) && g_ascii_isdigit((*s)[strlen(*p)]))
                fn(w, *s);
}

/* ---- the machine as it is ---- */

static void add_setting(struct writer *w, const char *section, const char *key, const char *value)
{
    export_add(w->out, "      <tr:Setting tr:key=\"%s.%s\" tr:value=\"%s\"/>\n", section, key, value);
}

static void add_settings_of(struct writer *w, const char *section)
{
    const struct schema_section *s = schema_find_section(section);
    const struct export_disk *d = export_disk_of(w->e, section);
    unsigned count = d && d->file; /* then the section will be there */
    for (const struct schema_key *k = s->keys; k->name; k++) {
        g_autofree char *value = g_key_file_get_string(w->e->settings, section, k->name, NULL);
        if (!value || !found_travels(section, k->name, value))
            continue;
        add_setting(w, section, k->name, value);
        count++;
    }
    for (const struct schema_key *k = s->keys; k->name && !count; k++) {
        const char *usual = k->type == SCHEMA_CHAR ? "none" : k->otherwise;
        if (!usual || !found_travels(section, k->name, usual))
            continue;
        add_setting(w, section, k->name, usual); /* the section counts by being there */
        count++;
    }
}

static void add_ours(struct writer *w)
{
    g_auto(GStrv) sections = g_key_file_get_groups(w->e->settings, NULL);
    g_string_append(w->out,
                    "    <tr:Settings ovf:required=\"false\">\n      <Info>The machine as Terrarium has it</Info>\n");
    for (char **s = sections; *s; s++)
        add_settings_of(w, *s);
    for (guint i = 0; i < w->e->disks->len; i++) {
        const struct export_disk *d = &g_array_index(w->e->disks, struct export_disk, i);
        if (d->file)
            export_add(w->out, "      <tr:Image tr:section=\"%s\" tr:diskId=\"%s\"/>\n", d->section, d->section);
    }
    g_string_append(w->out, "    </tr:Settings>\n");
}

/* ---- all ---- */

static void add_head(struct writer *w)
{
    const struct exporting *e = w->e;
    g_string_append(
        w->out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<Envelope ovf:version=\"1.0\" xml:lang=\"en-US\" xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\"\n"
        "  xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\" xmlns:rasd=\"" CIM "ResourceAllocationSettingData\"\n"
        "  xmlns:vssd=\"" CIM "VirtualSystemSettingData\" xmlns:tr=\"" OVF_OURS
        "\"\n  xmlns:vmw=\"http://www.vmware.com/schema/ovf\">\n  <References>\n");
    for (guint i = 0; i < e->disks->len; i++) {
        const struct export_disk *d = &g_array_index(e->disks, struct export_disk, i);
        if (d->file)
            export_add(w->out, "    <File ovf:href=\"%s\" ovf:id=\"file-%s\"/>\n", d->file, d->section);
    }
    g_string_append(w->out, "  </References>\n  <DiskSection>\n    <Info>The disks</Info>\n");
    for (guint i = 0; i < e->disks->len; i++) {
        const struct export_disk *d = &g_array_index(e->disks, struct export_disk, i);
        if (d->file)
            export_add(w->out,
                       "    <Disk ovf:capacity=\"%" G_GUINT64_FORMAT
                       "\" ovf:diskId=\"%s\" ovf:fileRef=\"file-%s\" ovf:format=\"%s\"/>\n",
                       d->bytes, d->section, d->section, STREAM);
    }
    g_string_append(w->out, "  </DiskSection>\n  <NetworkSection>\n    <Info>The networks</Info>\n");
}

static void add_networks(struct writer *w)
{
    static const char *const names[] = {"NAT", "Bridged", "HostOnly", "Internal"};
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
        export_add(w->out, "    <Network ovf:name=\"%s\">\n      <Description>%s</Description>\n    </Network>\n",
                   names[i], names[i]);
}

/* Numbers as in CIM_OperatingSystem.OSType; names as VMware has them. */
static void add_system(struct writer *w)
{
    static const struct {
        const char *os, *vmware, *people;
        unsigned number;
    } systems[] = {{"linux", "otherLinux64Guest", "Linux", 101},
                   {"bsd", "freebsd64Guest", "FreeBSD 64-Bit", 78},
                   {"windows", "windows9_64Guest", "Windows 10", 103},
                   {"windows-old", "winXPProGuest", "Windows XP", 67},
                   {"dos", "dosGuest", "MS-DOS", 15}};
    g_autofree char *os = export_setting(w->e, "machine", "os");
    unsigned i = 0;
    while (i < G_N_ELEMENTS(systems) && g_strcmp0(os, systems[i].os))
        i++;
    bool known = i < G_N_ELEMENTS(systems);
    export_add(w->out,
               "    <OperatingSystemSection ovf:id=\"%u\" vmw:osType=\"%s\">\n      <Info>The system</Info>\n"
               "      <Description>%s</Description>\n    </OperatingSystemSection>\n",
               known ? systems[i].number : 1, known ? systems[i].vmware : "otherGuest64",
               known ? systems[i].people : "Other");
}

char *write_ovf(const struct exporting *e)
{
    static const char *const drives[] = {"ide", "sata", "nvme", "scsi", "virtio-disk", "floppy", NULL};
    static const char *const cards[] = {"nic", NULL};
    g_autoptr(GString) items = g_string_new(NULL);
    struct writer w = {e, g_string_new(NULL), FIRST_FREE};
    GString *whole = w.out;
    export_remark_files(e);
    add_head(&w);
    add_networks(&w);
    export_add(
        whole,
        "  </NetworkSection>\n  <VirtualSystem ovf:id=\"%s\">\n    <Info>A machine</Info>\n    <Name>%s</Name>\n",
        e->name, e->name);
    add_system(&w);
    g_string_append(whole, "    <VirtualHardwareSection>\n      <Info>The hardware</Info>\n      <System>\n"
                           "        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>\n"
                           "        <vssd:InstanceID>0</vssd:InstanceID>\n");
    export_add(whole, "        <vssd:VirtualSystemIdentifier>%s</vssd:VirtualSystemIdentifier>\n", e->name);
    g_string_append(whole, "        <vssd:VirtualSystemType>vmx-10</vssd:VirtualSystemType>\n      </System>\n");
    add_machine(&w);
    w.out = items; /* they say which controllers are needed, and come behind them */
    each_section(&w, drives, add_drive);
    each_section(&w, cards, add_card);
    w.out = whole;
    add_controllers(&w);
    g_string_append(whole, items->str);
    if (export_is_uefi(e))
        g_string_append(whole, "      <vmw:Config ovf:required=\"false\" vmw:key=\"firmware\" vmw:value=\"efi\"/>\n");
    g_string_append(whole, "    </VirtualHardwareSection>\n");
    add_ours(&w);
    g_string_append(whole, "  </VirtualSystem>\n</Envelope>\n");
    return g_string_free(whole, FALSE);
}
