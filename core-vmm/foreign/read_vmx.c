// SPDX-License-Identifier: GPL-2.0-or-later
/* read_vmx.c - VMware's .vmx: lines KEY = "VALUE", keys in any case; in a value |22 is the byte 22h. */
#include "core-vmm/foreign/readers.h"
#include "core-vmm/foreign/xml.h"
#include "disk-formats/image/error.h"
#include <string.h>

#define LINES_MAX 20000

struct vmx {
    GHashTable *keys; /* lower case */
    struct found *f;
};

/* |22 and its kin; in place. */
static void unescape(char *value)
{
    char *to = value;
    for (const char *p = value; *p; p++) {
        if (*p == '|' && g_ascii_isxdigit(p[1]) && g_ascii_isxdigit(p[2])) {
            *to = (char)(g_ascii_xdigit_value(p[1]) << 4 | g_ascii_xdigit_value(p[2]));
            to += *to != '\0';
            p += 2;
        } else {
            *to++ = *p;
        }
    }
    *to = '\0';
}

/* False: it is no such line. */
static bool read_line(GHashTable *keys, char *line)
{
    char *equals = strchr(line, '='), *value = equals ? g_strstrip(equals + 1) : NULL;
    if (!*line || *line == '#')
        return true;
    if (!equals)
        return false;
    *equals = '\0';
    size_t n = strlen(value);
    if (*value == '"' && n > 1 && value[n - 1] == '"') {
        value[n - 1] = '\0';
        value++;
    }
    unescape(value);
    g_hash_table_replace(keys, g_ascii_strdown(g_strstrip(line), -1), g_utf8_make_valid(value, -1));
    return true;
}

static bool read_lines(GHashTable *keys, const char *text, gsize n, GError **error)
{
    g_autofree char *copy = g_strndup(text, n);
    g_auto(GStrv) lines = g_strsplit(copy, "\n", LINES_MAX);
    for (char **l = lines; *l; l++)
        if (!read_line(keys, g_strstrip(*l)))
            return disk_fail(error, DISK_ERROR_CORRUPT, "line %u is not KEY = \"VALUE\"", (unsigned)(l - lines) + 1);
    return g_hash_table_contains(keys, "virtualhw.version") || g_hash_table_contains(keys, "config.version") ||
           disk_fail(error, DISK_ERROR_CORRUPT, "it has neither config.version nor virtualHW.version");
}

static const char *get(const struct vmx *v, const char *format, ...) G_GNUC_PRINTF(2, 3);
static const char *get(const struct vmx *v, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *key = g_strdup_vprintf(format, ap);
    va_end(ap);
    return g_hash_table_lookup(v->keys, key);
}

/* ---- drives ---- */

static void read_drive(struct vmx *v, const char *bus, unsigned controller, unsigned unit)
{
    g_autofree char *node = g_strdup_printf("%s%u:%u", bus, controller, unit);
    const char *type = get(v, "%s.devicetype", node), *file = get(v, "%s.filename", node);
    const char *adapter = get(v, "%s%u.virtualdev", bus, controller), *mode = get(v, "%s.mode", node);
    if (!text_is(get(v, "%s.present", node), "true"))
        return;
    enum found_bus kind = !strcmp(bus, "ide")    ? FOUND_IDE
                          : !strcmp(bus, "sata") ? FOUND_SATA
                          : !strcmp(bus, "nvme") ? FOUND_NVME
                                                 : FOUND_SCSI; /* lsilogic, buslogic, pvscsi: we have none */
    struct found_drive *d = found_add_drive(v->f, kind, kind == FOUND_IDE ? controller * 2 + unit : unit);
    d->media = type && (strstr(type, "cdrom") || strstr(type, "CDROM")) ? FOUND_CDROM : FOUND_DISK;
    d->what = g_strdup_printf("%s%s%s", node, adapter ? ", " : "", adapter ? adapter : "");
    bool host = d->media == FOUND_CDROM && !text_is(type, "cdrom-image");
    d->file = file && *file && !host ? g_strdup(file) : NULL;
    d->independent = text_is(mode, "independent-persistent");
    if (text_is(mode, "independent-nonpersistent"))
        found_leave(v->f, "%s forgets what was written at each power-off; here it does not", node);
    if (host && file && *file)
        found_leave(v->f, "the host's CD drive at %s: it is empty", node);
}

static void read_drives(struct vmx *v)
{
    static const struct {
        const char *bus;
        unsigned controllers, units;
    } buses[] = {{"ide", 2, 2}, {"sata", 4, 30}, {"nvme", 4, 15}, {"scsi", 4, 16}};
    for (unsigned b = 0; b < G_N_ELEMENTS(buses); b++)
        for (unsigned c = 0; c < buses[b].controllers; c++)
            for (unsigned u = 0; u < buses[b].units; u++)
                read_drive(v, buses[b].bus, c, u);
    for (unsigned i = 0; i < 2; i++) {
        if (!text_is(get(v, "floppy%u.present", i), "true"))
            continue;
        struct found_drive *d = found_add_drive(v->f, FOUND_FLOPPY, i);
        const char *file = get(v, "floppy%u.filename", i);
        d->file = text_is(get(v, "floppy%u.filetype", i), "file") && file && *file ? g_strdup(file) : NULL;
    }
}

/* ---- cards ---- */

static void read_card(struct vmx *v, unsigned n)
{
    const char *type = get(v, "ethernet%u.connectiontype", n), *address = get(v, "ethernet%u.address", n);
    const char *net = get(v, "ethernet%u.vnet", n);
    if (!text_is(get(v, "ethernet%u.present", n), "true"))
        return;
    struct found_card *c = found_add_card(v->f);
    c->model = g_strdup(get(v, "ethernet%u.virtualdev", n));
    c->mac = found_mac(address ? address : get(v, "ethernet%u.generatedaddress", n));
    c->unplugged = text_is(get(v, "ethernet%u.startconnected", n), "false");
    if (text_is(type, "hostonly"))
        c->mode = "hostonly";
    else if (text_is(type, "bridged") || (!type && !net))
        c->mode = "bridged";
    else if (!text_is(type, "nat"))
        found_leave(v->f, "the network %s of ethernet%u: it has NAT", net ? net : type ? type : "?", n);
}

/* ---- the rest ---- */

static void read_rest(struct vmx *v)
{
    static const struct {
        const char *key, *what;
    } unknown[] = {{"sound.present", "a sound card"},          {"usb.present", "a USB controller"},
                   {"usb_xhci.present", "a USB 3 controller"}, {"vtpm.present", "a TPM"},
                   {"parallel0.present", "a parallel port"},   {"sharedfolder0.present", "shared folders"}};
    for (unsigned i = 0; i < G_N_ELEMENTS(unknown); i++)
        if (text_is(get(v, "%s", unknown[i].key), "true"))
            found_leave(v->f, "%s", unknown[i].what);
    if (get(v, "encryption.keysafe"))
        found_leave(v->f, "the encryption of the machine");
    if (text_is(get(v, "uefi.secureboot.enabled"), "true"))
        found_leave(v->f, "Secure Boot; see vmctl firmware enroll");
    const char *saved = get(v, "checkpoint.vmstate");
    if (saved && *saved)
        found_leave(v->f, "its saved state; its disks are as after a power cut");
}

static void read_all(struct vmx *v)
{
    struct found *f = v->f;
    uint64_t memory = text_number(get(v, "memsize"), 0, UINT64_C(1) << 30) << 20;
    unsigned cores = text_number(get(v, "cpuid.corespersocket"), 1, 4096);
    f->program = "VMware";
    f->name = g_strdup(get(v, "displayname"));
    f->system = g_strdup(get(v, "guestos"));
    f->uuid = found_uuid(get(v, "uuid.bios"));
    f->memory = memory;
    f->cpus = text_number(get(v, "numvcpus"), 1, 4096);
    f->sockets = cores && !(f->cpus % cores) ? f->cpus / cores : 0;
    f->efi = text_is(get(v, "firmware"), "efi");
    f->serial = text_is(get(v, "serial0.present"), "true");
    read_drives(v);
    for (unsigned i = 0; i < 10; i++)
        read_card(v, i);
    read_rest(v);
}

bool read_vmx(const char *text, gsize n, struct found *f, GError **error)
{
    g_autoptr(GHashTable) keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    struct vmx v = {keys, f};
    if (!read_lines(keys, text, n, error))
        return false;
    read_all(&v);
    return true;
}
