// SPDX-License-Identifier: GPL-2.0-or-later
/* write_libvirt.c - a machine as a domain of libvirt, its images where they are. */
#include "core-vmm/foreign/export.h"
#include "core-vmm/api/config.h"
#include "core-vmm/host/config_schema.h"
#include <string.h>

struct writer {
    const struct exporting *e;
    GString *out;
    unsigned letters[3]; /* given of hdX, sdX, vdX */
    bool scsi;
};

/* ---- drives ---- */

/* IDE: by its place; others by the order. */
static char *target_of(struct writer *w, const char *section, const char **bus)
{
    if (g_str_has_prefix(section, "floppy")) {
        *bus = "fdc";
        return g_strdup_printf("fd%c", 'a' + section[6] - '0');
    }
    if (g_str_has_prefix(section, "ide")) {
        *bus = "ide";
        return g_strdup_printf("hd%c", 'a' + section[3] - '0');
    }
    bool virtio = g_str_has_prefix(section, "virtio-disk") || g_str_has_prefix(section, "nvme");
    w->scsi = w->scsi || g_str_has_prefix(section, "scsi");
    *bus = virtio ? "virtio" : g_str_has_prefix(section, "scsi") ? "scsi" : "sata";
    return g_strdup_printf("%cd%c", virtio ? 'v' : 's', 'a' + (char)w->letters[virtio ? 2 : 1]++);
}

static void add_drive(struct writer *w, const char *section)
{
    const struct export_disk *d = export_disk_of(w->e, section);
    g_autofree char *media = export_setting(w->e, section, "media"),
                    *readonly = export_setting(w->e, section, "readonly");
    bool floppy = g_str_has_prefix(section, "floppy"), cdrom = !g_strcmp0(media, "cdrom");
    const char *bus;
    if (!d && !floppy && !cdrom)
        return;
    g_autofree char *target = target_of(w, section, &bus);
    const char *format = !d || floppy || cdrom ? "raw" : !strcmp(d->format, "vhd") ? "vpc" : d->format;
    bool device = d && g_str_has_prefix(d->path, "/dev/");
    export_add(w->out, "    <disk type='%s' device='%s'>\n      <driver name='qemu' type='%s'/>\n",
               device ? "block" : "file",
               floppy  ? "floppy"
               : cdrom ? "cdrom"
                       : "disk",
               format);
    if (d)
        export_add(w->out, "      <source %s='%s'/>\n", device ? "dev" : "file", d->path);
    export_add(w->out, "      <target dev='%s' bus='%s'/>\n    </disk>\n", target, bus);
    if (cdrom || !g_strcmp0(readonly, "on"))
        g_string_insert(w->out, w->out->len - (gssize)strlen("    </disk>\n"), "      <readonly/>\n");
    if (g_str_has_prefix(section, "nvme"))
        export_remark(w->e, "%s is a virtio disk there, which its system must have a driver for", section);
}

/* ---- cards ---- */

static void add_source(struct writer *w, const char *section, const char *mode)
{
    g_autofree char *interface = export_setting(w->e, section, "interface"),
                    *network = export_setting(w->e, section, "network");
    if (!strcmp(mode, "bridged") && interface) {
        g_autofree char *bridge = g_strdup_printf("/sys/class/net/%s/bridge", interface);
        bool is = g_file_test(bridge, G_FILE_TEST_EXISTS);
        export_add(w->out, "    <interface type='%s'>\n      <source %s='%s'/>\n", is ? "bridge" : "direct",
                   is ? "bridge" : "dev", interface);
        return;
    }
    bool named = !strcmp(mode, "internal") || !strcmp(mode, "natnetwork") || !strcmp(mode, "hostonly");
    export_add(w->out, "    <interface type='network'>\n      <source network='%s'/>\n", named ? network : "default");
    if (named)
        export_remark(w->e, "%s needs a network \"%s\" of libvirt's", section, network);
    else if (strcmp(mode, "nat"))
        export_remark(w->e, "%s has the mode %s, and is in libvirt's default network there", section, mode);
}

static void add_card(struct writer *w, const char *section)
{
    g_autofree char *model = export_setting(w->e, section, "model"), *mode = export_setting(w->e, section, "mode");
    g_autofree char *mac = export_setting(w->e, section, "mac"),
                    *connected = export_setting(w->e, section, "connected");
    g_autofree char *forward = export_setting(w->e, section, "forward");
    const char *theirs = !strcmp(model, "virtio-net") ? "virtio" : !strcmp(model, "rtl8139c") ? "rtl8139" : model;
    add_source(w, section, mode);
    if (mac)
        export_add(w->out, "      <mac address='%s'/>\n", mac);
    export_add(w->out, "      <model type='%s'/>\n", theirs);
    if (!g_strcmp0(connected, "off") || !strcmp(mode, "none"))
        export_add(w->out, "      <link state='%s'/>\n", "down");
    g_string_append(w->out, "    </interface>\n");
    if (forward)
        export_remark(w->e, "%s.forward: libvirt's network leads no ports to the guest", section);
}

static void each_section(struct writer *w, bool drives)
{
    g_auto(GStrv) sections = g_key_file_get_groups(w->e->settings, NULL);
    for (char **s = sections; *s; s++) {
        bool card = g_str_has_prefix(*s, "nic") && g_ascii_isdigit((*s)[3]);
        if (drives ? export_is_drive(*s) : card)
            (drives ? add_drive : add_card)(w, *s);
    }
}

/* ---- the machine as a whole ---- */

static void add_boot(struct writer *w)
{
    static const struct {
        const char *ours, *theirs;
    } names[] = {{"disk", "hd"}, {"cdrom", "cdrom"}, {"floppy", "fd"}, {"network", "network"}};
    g_autofree char *order = export_setting(w->e, "machine", "boot");
    g_auto(GStrv) words = g_strsplit(order, ",", -1);
    for (char **word = words; *word; word++)
        for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
            if (!strcmp(g_strstrip(*word), names[i].ours))
                export_add(w->out, "    <boot dev='%s'/>\n", names[i].theirs);
}

static void add_machine(struct writer *w)
{
    const struct exporting *e = w->e;
    g_autofree char *memory = export_setting(e, "machine", "memory"), *cpus = export_setting(e, "machine", "cpus");
    g_autofree char *uuid = export_setting(e, "machine", "uuid"), *clock = export_setting(e, "machine", "clock");
    g_autofree char *sockets = export_setting(e, "machine", "sockets");
    uint64_t bytes = 0, packages = sockets ? g_ascii_strtoull(sockets, NULL, 10) : 0,
             count = g_ascii_strtoull(cpus, NULL, 10);
    size_parse(memory, &bytes);
    export_add(w->out, "<domain type='kvm'>\n  <name>%s</name>\n", e->name);
    if (uuid)
        export_add(w->out, "  <uuid>%s</uuid>\n", uuid);
    export_add(w->out, "  <memory unit='KiB'>%" G_GUINT64_FORMAT "</memory>\n  <vcpu>%s</vcpu>\n", bytes >> 10, cpus);
    g_string_append_printf(w->out, "  <os%s>\n", export_is_uefi(e) ? " firmware='efi'" : "");
    g_string_append(w->out, "    <type arch='x86_64' machine='pc'>hvm</type>\n");
    add_boot(w);
    g_string_append(w->out, "  </os>\n  <features>\n    <acpi/>\n    <apic/>\n  </features>\n");
    if (packages)
        export_add(w->out,
                   "  <cpu mode='host-model'>\n    <topology sockets='%" G_GUINT64_FORMAT "' cores='%" G_GUINT64_FORMAT
                   "' threads='1'/>\n  </cpu>\n",
                   packages, count / packages);
    else
        g_string_append(w->out, "  <cpu mode='host-model'/>\n");
    export_add(w->out, "  <clock offset='%s'/>\n", !g_strcmp0(clock, "local") ? "localtime" : "utc");
}

char *write_libvirt(const struct exporting *e)
{
    struct writer w = {.e = e, .out = g_string_new(NULL)};
    export_remark_files(e);
    add_machine(&w);
    g_string_append(w.out, "  <devices>\n");
    each_section(&w, true);
    if (w.scsi)
        g_string_append(w.out, "    <controller type='scsi' index='0' model='virtio-scsi'/>\n");
    each_section(&w, false);
    if (g_key_file_has_group(e->settings, "serial1"))
        g_string_append(w.out, "    <serial type='pty'/>\n");
    if (g_key_file_has_group(e->settings, "rng"))
        g_string_append(w.out,
                        "    <rng model='virtio'>\n      <backend model='random'>/dev/urandom</backend>\n    </rng>\n");
    g_string_append(w.out,
                    "    <graphics type='vnc' port='-1'/>\n    <video>\n      <model type='vga'/>\n    </video>\n"
                    "  </devices>\n</domain>\n");
    return g_string_free(w.out, FALSE);
}
