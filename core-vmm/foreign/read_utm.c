// SPDX-License-Identifier: GPL-2.0-or-later
/* read_utm.c - config.plist of UTM, a property list as XML, or in binary (plist.c): <key>s, each with its value behind it.  Names
 * are those of UTM 4; UTM 2 and 3 had others for the same. */
#include "core-vmm/foreign/readers.h"
#include "core-vmm/foreign/xml.h"
#include "disk-formats/image/error.h"
#include <string.h>

/* ---- property lists ---- */

static xmlNode *entry(xmlNode *dict, const char *key)
{
    for (xmlNode *n = xml_first(dict, "key"); n; n = xml_next(n, "key")) {
        g_autofree char *name = xml_text(n);
        if (!g_strcmp0(name, key))
            return xml_next(n, NULL);
    }
    return NULL;
}

static char *text_entry(xmlNode *dict, const char *key)
{
    xmlNode *n = entry(dict, key);
    return n && (xml_is(n, "string") || xml_is(n, "integer")) ? xml_text(n) : NULL;
}

static uint64_t number_entry(xmlNode *dict, const char *key)
{
    g_autofree char *text = text_entry(dict, key);
    return text_number(text, 0, UINT64_C(1) << 40);
}

static bool true_entry(xmlNode *dict, const char *key)
{
    xmlNode *n = entry(dict, key);
    return n && xml_is(n, "true");
}

static char *either(char *a, char *b)
{
    if (a)
        g_free(b);
    return a ? a : b;
}

/* ---- drives ---- */

static enum found_bus bus_of(const char *interface)
{
    static const struct {
        const char *word;
        enum found_bus bus;
    } words[] = {{"ide", FOUND_IDE},   {"scsi", FOUND_VIRTIO_SCSI}, {"virtio", FOUND_VIRTIO},
                 {"nvme", FOUND_NVME}, {"usb", FOUND_USB},          {"floppy", FOUND_FLOPPY}};
    for (unsigned i = 0; interface && i < G_N_ELEMENTS(words); i++)
        if (text_is(interface, words[i].word))
            return words[i].bus;
    return FOUND_ANY_BUS;
}

/* folder: where images of that version are. */
static void read_drive(struct found *f, xmlNode *dict, const char *folder)
{
    g_autofree char *type = text_entry(dict, "ImageType"),
                    *image = either(text_entry(dict, "ImageName"), text_entry(dict, "ImagePath"));
    g_autofree char *interface = either(text_entry(dict, "Interface"), text_entry(dict, "InterfaceType"));
    bool cd = text_is(type, "CD");
    if (type && !cd && !text_is(type, "Disk")) {
        found_leave(f, "an image of the kind %s%s%s", type, image ? ": " : "", image ? image : "");
        return;
    }
    struct found_drive *d = found_add_drive(f, bus_of(interface), -1);
    d->media = cd ? FOUND_CDROM : FOUND_DISK;
    d->what = g_strdup(interface);
    d->readonly = true_entry(dict, "ReadOnly") && !cd;
    d->file = image ? g_build_filename(folder, image, NULL) : NULL;
}

/* ---- cards ---- */

static void read_forwards(struct found_card *c, xmlNode *list)
{
    for (xmlNode *n = xml_first(list, "dict"); n; n = xml_next(n, "dict")) {
        g_autofree char *protocol = text_entry(n, "Protocol"), *host = text_entry(n, "HostAddress");
        uint64_t from = number_entry(n, "HostPort"), to = number_entry(n, "GuestPort");
        if (from < 65536 && to < 65536)
            found_forward(c, text_is(protocol, "UDP"), host, from, NULL, to);
    }
}

static void read_card(struct found *f, xmlNode *dict)
{
    g_autofree char *mode = either(text_entry(dict, "Mode"), text_entry(dict, "NetworkMode"));
    g_autofree char *mac = either(text_entry(dict, "MacAddress"), text_entry(dict, "NetworkCardMAC"));
    if (text_is(mode, "none"))
        return;
    struct found_card *c = found_add_card(f);
    c->model = either(text_entry(dict, "Hardware"), text_entry(dict, "NetworkCard"));
    c->mac = found_mac(mac);
    read_forwards(c, entry(dict, "PortForward"));
    if (text_is(mode, "Bridged")) {
        c->mode = "bridged"; /* an interface of a Mac is none here */
    } else if (text_is(mode, "Host")) {
        c->mode = "hostonly";
    }
}

/* ---- all ---- */

static void read_machine(struct found *f, xmlNode *dict, uint64_t version)
{
    bool old = version < 4;
    xmlNode *system = entry(dict, "System"), *information = entry(dict, old ? "Info" : "Information"),
            *qemu = entry(dict, "QEMU");
    g_autofree char *uuid = text_entry(information, "UUID");
    f->program = "UTM";
    f->name = text_entry(information, "Name");
    f->system = text_entry(information, old ? "IconName" : "Icon");
    f->uuid = found_uuid(uuid);
    f->memory = (number_entry(system, "MemorySize") + number_entry(system, "Memory")) << 20;
    f->cpus = MIN(number_entry(system, "CPUCount"), 4096);
    f->efi = true_entry(qemu, "UEFIBoot") || true_entry(system, "BootUefi");
    f->clock = true_entry(qemu, "RTCLocalTime") || true_entry(system, "RTCUseLocalTime") ? "local" : "utc";
    if (true_entry(qemu, "TPMDevice"))
        found_leave(f, "a TPM");
    for (xmlNode *n = xml_first(entry(dict, old ? "Drives" : "Drive"), "dict"); n; n = xml_next(n, "dict"))
        read_drive(f, n, old ? "Images" : "Data");
    if (old && entry(dict, "Networking"))
        read_card(f, entry(dict, "Networking"));
    for (xmlNode *n = xml_first(entry(dict, "Network"), "dict"); n; n = xml_next(n, "dict"))
        read_card(f, n);
    f->serial = xml_first(entry(dict, "Serial"), "dict");
    if (xml_first(entry(dict, "Sound"), "dict"))
        found_leave(f, "a sound card");
    if (xml_first(entry(qemu, "AdditionalArguments"), NULL))
        found_leave(f, "arguments for QEMU");
}

static bool is_pc(const char *backend, const char *arch, GError **error)
{
    if (text_is(backend, "Apple"))
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "it is a machine of Apple's virtualization; this one is a PC");
    return text_is(arch, "x86_64") || text_is(arch, "i386") ||
           disk_fail(error, DISK_ERROR_UNSUPPORTED, "it is a machine of the kind %s; this one is a PC",
                     arch ? arch : "?");
}

bool read_utm(const char *text, gsize n, struct found *f, GError **error)
{
    g_autofree char *xml = NULL;
    if (plist_is_binary(text, n)) {
        if (!(xml = plist_to_xml(text, n, error)))
            return false;
        text = xml;
        n = strlen(xml);
    }
    xmlDoc *doc = xml_read(text, n, error);
    xmlNode *dict = xml_first(doc ? xml_root(doc, "plist", error) : NULL, "dict");
    g_autofree char *backend = text_entry(dict, "Backend"), *arch = text_entry(entry(dict, "System"), "Architecture");
    bool good = dict && is_pc(backend, arch, error);
    if (good)
        read_machine(f, dict, number_entry(dict, "ConfigurationVersion"));
    else if (error && !*error)
        disk_fail(error, DISK_ERROR_CORRUPT, "it has no dictionary of settings");
    if (doc)
        xmlFreeDoc(doc);
    return good;
}
