// SPDX-License-Identifier: GPL-2.0-or-later
/* read_vbox.c - VirtualBox's settings of a machine (.vbox).  Images have UUIDs; a registry says which file each is, and nests
 * those that build upon others. */
#include "core-vmm/foreign/readers.h"
#include "core-vmm/foreign/xml.h"
#include "disk-formats/image/error.h"
#include <string.h>

#define DEPTH_MAX 128

struct vbox {
    xmlNode *machine, *hardware;
    struct found *f;
};

/* ---- drives ---- */

static xmlNode *image_below(xmlNode *list, const char *uuid, unsigned depth)
{
    for (xmlNode *n = depth ? xml_first(list, NULL) : NULL; n; n = xml_next(n, NULL)) {
        if (xml_attribute_is(n, "uuid", uuid))
            return n;
        xmlNode *below = image_below(n, uuid, depth - 1);
        if (below)
            return below;
    }
    return NULL;
}

static void take_image(struct vbox *v, struct found_drive *d, xmlNode *attached)
{
    g_autofree char *uuid = xml_attribute(xml_first(attached, "Image"), "uuid");
    xmlNode *image = uuid ? image_below(xml_first(v->machine, "MediaRegistry"), uuid, DEPTH_MAX) : NULL;
    g_autofree char *format = xml_attribute(image, "format"), *type = xml_attribute(image, "type");
    if (uuid && !image)
        found_leave(v->f, "the image %s, which the registry does not have", uuid);
    d->file = xml_attribute(image, "location");
    d->format = format && d->media == FOUND_DISK ? g_ascii_strdown(format, -1) : NULL;
    d->independent = type && !g_ascii_strcasecmp(type, "Writethrough");
    if (type && g_ascii_strcasecmp(type, "Normal") && !d->independent)
        found_leave(v->f, "%s is \"%s\"; here it is an ordinary disk", d->file, type);
}

static void read_controller(struct vbox *v, xmlNode *controller)
{
    g_autofree char *type = xml_attribute(controller, "type");
    const char *t = type ? type : "";
    enum found_bus bus = g_str_has_prefix(t, "PIIX") || !strcmp(t, "ICH6") ? FOUND_IDE
                         : strstr(t, "Ahci") || !strcmp(t, "AHCI")         ? FOUND_SATA
                         : strstr(t, "NVMe")                               ? FOUND_NVME
                         : strstr(t, "Virtio")                             ? FOUND_VIRTIO_SCSI
                         : !strcmp(t, "I82078")                            ? FOUND_FLOPPY
                         : !strcmp(t, "USB")                               ? FOUND_USB
                                                                           : FOUND_SCSI;
    for (xmlNode *n = xml_first(controller, "AttachedDevice"); n; n = xml_next(n, "AttachedDevice")) {
        unsigned port = xml_number(n, "port", 0, 1000), device = xml_number(n, "device", 0, 1000);
        unsigned place = bus == FOUND_IDE ? port * 2 + device : bus == FOUND_FLOPPY ? device : port;
        struct found_drive *d = found_add_drive(v->f, bus, place);
        d->media = xml_attribute_is(n, "type", "DVD") ? FOUND_CDROM : FOUND_DISK;
        d->what = g_strdup_printf("%s %u:%u", t, port, device);
        take_image(v, d, n);
        if (xml_first(n, "HostDrive"))
            found_leave(v->f, "the host's drive at %s: it is empty", d->what);
    }
}

static void read_drives(struct vbox *v)
{
    xmlNode *list = xml_first(v->machine, "StorageControllers");
    list = list ? list : xml_first(v->hardware, "StorageControllers");
    for (xmlNode *n = xml_first(list, "StorageController"); n; n = xml_next(n, "StorageController"))
        read_controller(v, n);
}

/* ---- cards ---- */

/* What NAT leads to the guest. */
static void read_forwards(struct found_card *c, xmlNode *nat)
{
    for (xmlNode *n = xml_first(nat, "Forwarding"); n; n = xml_next(n, "Forwarding")) {
        g_autofree char *host = xml_attribute(n, "hostip"), *guest = xml_attribute(n, "guestip");
        bool udp = xml_number(n, "proto", 1, 255) != 1;
        found_forward(c, udp, host, xml_number(n, "hostport", 0, 65535), guest, xml_number(n, "guestport", 0, 65535));
    }
}

static void read_card(struct vbox *v, xmlNode *adapter)
{
    struct found_card *c = found_add_card(v->f);
    g_autofree char *address = xml_attribute(adapter, "MACAddress");
    xmlNode *bridged = xml_first(adapter, "BridgedInterface"), *internal = xml_first(adapter, "InternalNetwork");
    xmlNode *network = xml_first(adapter, "NATNetwork");
    c->model = xml_attribute(adapter, "type");
    c->mac = found_mac(address);
    c->unplugged = xml_attribute_is(adapter, "cable", "false");
    if (!c->model) /* VirtualBox leaves out what is usual */
        c->model = g_strdup("Am79C973");
    if (bridged) {
        c->mode = "bridged";
        c->interface = xml_attribute(bridged, "name");
    } else if (internal || network) {
        c->mode = internal ? "internal" : "natnetwork";
        c->network = xml_attribute(internal ? internal : network, "name");
    } else if (xml_first(adapter, "HostOnlyInterface") || xml_first(adapter, "HostOnlyNetwork")) {
        c->mode = "hostonly";
    } else {
        read_forwards(c, xml_first(adapter, "NAT"));
    }
}

/* ---- the rest ---- */

static void read_rest(struct vbox *v)
{
    struct found *f = v->f;
    xmlNode *tpm = xml_first(v->hardware, "TrustedPlatformModule"), *rtc = xml_first(v->hardware, "RTC");
    xmlNode *bios = xml_first(v->hardware, "BIOS");
    if (tpm && !xml_attribute_is(tpm, "type", "None"))
        found_leave(f, "a TPM");
    if (xml_attribute_is(xml_first(v->hardware, "AudioAdapter"), "enabled", "true"))
        found_leave(f, "a sound card");
    if (xml_first(xml_first(xml_first(v->hardware, "USB"), "Controllers"), "Controller"))
        found_leave(f, "a USB controller");
    if (xml_first(xml_first(v->hardware, "SharedFolders"), "SharedFolder"))
        found_leave(f, "shared folders");
    if (xml_attribute_is(xml_first(bios, "SecureBoot"), "enabled", "true"))
        found_leave(f, "Secure Boot; see vmctl firmware enroll");
    if (xml_first(v->machine, "Snapshot"))
        found_leave(f, "its snapshots; what comes is the present");
    g_autofree char *state = xml_attribute(v->machine, "stateFile");
    if (state)
        found_leave(f, "its saved state; its disks are as after a power cut");
    f->clock = xml_attribute_is(rtc, "localOrUTC", "UTC") ? "utc" : rtc ? "local" : NULL;
}

static void read_machine(struct vbox *v)
{
    struct found *f = v->f;
    g_autofree char *uuid = xml_attribute(v->machine, "uuid"), *own = xml_attribute(v->hardware, "uuid");
    xmlNode *firmware = xml_first(v->hardware, "Firmware");
    f->program = "VirtualBox";
    f->name = xml_attribute(v->machine, "name");
    f->system = xml_attribute(v->machine, "OSType");
    f->uuid = found_uuid(own ? own : uuid);
    f->cpus = xml_number(xml_first(v->hardware, "CPU"), "count", 1, 4096);
    f->memory = xml_number(xml_first(v->hardware, "Memory"), "RAMSize", 0, UINT64_C(1) << 30) << 20;
    f->efi = firmware && !xml_attribute_is(firmware, "type", "BIOS");
    for (xmlNode *n = xml_first(xml_first(v->hardware, "UART"), "Port"); n; n = xml_next(n, "Port"))
        f->serial = f->serial || xml_attribute_is(n, "enabled", "true");
    read_drives(v);
    for (xmlNode *n = xml_first(xml_first(v->hardware, "Network"), "Adapter"); n; n = xml_next(n, "Adapter"))
        if (xml_attribute_is(n, "enabled", "true"))
            read_card(v, n);
    read_rest(v);
}

bool read_vbox(const char *text, gsize n, struct found *f, GError **error)
{
    xmlDoc *doc = xml_read(text, n, error);
    xmlNode *root = doc ? xml_root(doc, "VirtualBox", error) : NULL;
    struct vbox v = {xml_first(root, "Machine"), xml_first(xml_first(root, "Machine"), "Hardware"), f};
    bool good = v.hardware;
    if (good)
        read_machine(&v);
    else if (root)
        disk_fail(error, xml_first(root, "MachineEncrypted") ? DISK_ERROR_UNSUPPORTED : DISK_ERROR_CORRUPT, "%s",
                  xml_first(root, "MachineEncrypted") ? "the machine is encrypted" : "there is no machine in it");
    if (doc)
        xmlFreeDoc(doc);
    return good;
}
