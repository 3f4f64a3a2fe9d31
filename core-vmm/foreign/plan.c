// SPDX-License-Identifier: GPL-2.0-or-later
/* plan.c - which settings a found machine gets here, and what is told of it.
 *
 * Where another program has hardware that we have too, the guest finds it at the same place.  Where not, it gets what its system
 * surely drives: a disk of a foreign SCSI adapter goes to SATA, or to IDE for systems older than that. */
#include "core-vmm/api/config.h"
#include "core-vmm/base/os_defaults.h"
#include "core-vmm/foreign/found.h"
#include <string.h>

#define CPUS_MAX   32
#define MEMORY_MIN (UINT64_C(1) << 20)
#define MEMORY_MAX (UINT64_C(1) << 39)
#define CARDS_MAX  8

struct planning {
    struct plan *plan;
    struct found *f;
    const struct os_defaults *os;
    GHashTable *used; /* sections */
};

static void set(struct planning *p, const char *section, const char *key, const char *value)
{
    if (value && *value)
        g_ptr_array_add(p->plan->settings, g_strdup_printf("%s.%s=%s", section, key, value));
}

static void say(GPtrArray *list, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void say(GPtrArray *list, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_ptr_array_add(list, g_strdup_vprintf(format, ap));
    va_end(ap);
}

/* ---- the machine as a whole ---- */

static void plan_memory(struct planning *p)
{
    uint64_t bytes = p->f->memory >> 12 << 12;
    if (!bytes) {
        say(p->plan->left, "how much memory it has is not said; it gets the usual amount");
        return;
    }
    uint64_t kept = CLAMP(bytes, MEMORY_MIN, MEMORY_MAX);
    g_autofree char *text = size_format(kept);
    set(p, "machine", "memory", text);
    say(p->plan->mapped, "%s of memory", text);
    if (kept != bytes)
        say(p->plan->left, "%" G_GUINT64_FORMAT " bytes of memory cannot be had", bytes);
}

static void plan_cpus(struct planning *p)
{
    unsigned cpus = CLAMP(p->f->cpus, 1, CPUS_MAX), sockets = p->f->sockets;
    g_autofree char *text = g_strdup_printf("%u", cpus);
    set(p, "machine", "cpus", text);
    say(p->plan->mapped, "%u CPU%s", cpus, cpus > 1 ? "s" : "");
    if (p->f->cpus > CPUS_MAX)
        say(p->plan->left, "%u CPUs; there are at most %d", p->f->cpus, CPUS_MAX);
    g_autofree char *packages = sockets && sockets < cpus && !(cpus % sockets) ? g_strdup_printf("%u", sockets) : NULL;
    set(p, "machine", "sockets", packages ? packages : p->os ? p->os->sockets : NULL);
}

static void plan_machine(struct planning *p)
{
    plan_memory(p);
    plan_cpus(p);
    set(p, "machine", "uuid", p->f->uuid);
    set(p, "machine", "clock", p->f->clock ? p->f->clock : p->os ? p->os->clock : NULL);
    set(p, "serial1", "target", "none");
    if (p->os)
        say(p->plan->mapped, "its system, %s, is of the kind %s", p->f->system, p->os->os);
    else if (p->f->system)
        say(p->plan->left, "its system, %s, is not known; it gets what every system drives", p->f->system);
    if (p->os) {
        set(p, "machine", "os", p->os->os);
        set(p, "additions", "identity", p->os->identity);
    }
    if (!p->f->efi)
        return;
    set(p, "machine", "firmware", "uefi");
    say(p->plan->mapped, "UEFI firmware");
    say(p->plan->left, "what its UEFI remembers; it looks for systems to start as on a new machine");
}

/* ---- drives ---- */

struct bus {
    const char *name; /* of our sections */
    unsigned count;
    bool cdroms;
    const char *people;
};
static const struct bus buses[] = {{"ide", 4, true, "IDE"},
                                   {"sata", 6, true, "SATA (AHCI)"},
                                   {"nvme", 2, false, "NVMe"},
                                   {"scsi", 7, true, "virtio-scsi"},
                                   {"virtio-disk", 4, false, "virtio"}};

static const struct bus *bus_named(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(buses); i++)
        if (!strcmp(buses[i].name, name))
            return &buses[i];
    return NULL;
}

/* That a guest takes for what it has had; NULL: we have none. */
static const char *same_bus(enum found_bus bus)
{
    static const char *const names[] = {[FOUND_IDE] = "ide",
                                        [FOUND_SATA] = "sata",
                                        [FOUND_NVME] = "nvme",
                                        [FOUND_VIRTIO_SCSI] = "scsi",
                                        [FOUND_VIRTIO] = "virtio-disk"};
    return bus < G_N_ELEMENTS(names) ? names[bus] : NULL;
}

static const struct bus *bus_for(const struct planning *p, const struct found_drive *d)
{
    const char *name = same_bus(d->bus);
    bool old = p->os && !strcmp(p->os->disk_bus, "ide") && strcmp(p->os->os, "other");
    if (!name && d->bus == FOUND_ANY_BUS)
        name = (p->os ? p->os : os_defaults)->disk_bus;
    name = !name ? old ? "ide" : "sata" : !strcmp(name, "virtio") ? "virtio-disk" : name;
    const struct bus *b = bus_named(name);
    return d->media == FOUND_CDROM && !b->cdroms ? bus_named("ide") : b;
}

/* A free place of a bus, the given one if it may be; g_free; NULL: none. */
static char *place_on(struct planning *p, const struct bus *b, int wish)
{
    for (unsigned i = 0; i <= b->count; i++) {
        unsigned n = i ? i - 1 : wish >= 0 ? (unsigned)wish : 0;
        char *section = g_strdup_printf("%s%u", b->name, n);
        if (n < b->count && g_hash_table_add(p->used, g_strdup(section)))
            return section;
        g_free(section);
    }
    return NULL;
}

static char *place_for(struct planning *p, const struct found_drive *d, const struct bus **bus)
{
    static const char *const others[] = {"sata", "ide", "scsi", "virtio-disk"};
    if (d->section && g_hash_table_add(p->used, g_strdup(d->section)))
        return g_strdup(d->section);
    *bus = bus_for(p, d);
    bool last = d->media == FOUND_CDROM && d->place < 0; /* CDs leave the first places to disks */
    char *section = place_on(p, *bus, last ? (int)(*bus)->count / 2 : d->place);
    for (unsigned i = 0; i < G_N_ELEMENTS(others) && !section; i++) {
        *bus = bus_named(others[i]);
        if (d->media != FOUND_CDROM || (*bus)->cdroms)
            section = place_on(p, *bus, -1);
    }
    return section;
}

static void add_image(struct planning *p, const struct found_drive *d, const char *section)
{
    if (!d->file)
        return;
    struct plan_disk image = {g_strdup(section), g_strdup(d->file), g_strdup(d->format), d->media == FOUND_CDROM,
                              d->bus == FOUND_FLOPPY};
    g_array_append_val(p->plan->disks, image);
}

static void plan_floppy(struct planning *p, const struct found_drive *d)
{
    static const struct bus floppies = {"floppy", 2, false, "floppy"};
    g_autofree char *section = place_on(p, &floppies, d->place);
    if (!section) {
        say(p->plan->left, "a third floppy drive");
        return;
    }
    set(p, section, "format", "raw");
    say(p->plan->mapped, "a floppy drive is %s%s%s", section, d->file ? " with " : "", d->file ? d->file : "");
    add_image(p, d, section);
}

/* Does a driver for one bus do for the other, too? */
static bool is_same_kind(const struct found_drive *d, const struct bus *b)
{
    return !b || d->bus == FOUND_ANY_BUS || d->media == FOUND_CDROM || !g_strcmp0(same_bus(d->bus), b->name);
}

static void plan_drive(struct planning *p, const struct found_drive *d)
{
    const struct bus *bus = NULL;
    bool cdrom = d->media == FOUND_CDROM;
    const char *what = cdrom ? "a CD drive" : "a disk";
    if (!cdrom && !d->file) {
        say(p->plan->left, "a disk (%s) without an image", d->what ? d->what : "?");
        return;
    }
    g_autofree char *section = place_for(p, d, &bus);
    if (!section) {
        say(p->plan->left, "%s (%s): there is no room for it", what, d->file ? d->file : d->what ? d->what : "empty");
        return;
    }
    if (cdrom)
        set(p, section, "media", "cdrom");
    if (d->readonly && !cdrom)
        set(p, section, "readonly", "on");
    if (d->independent && d->media == FOUND_DISK && d->bus != FOUND_FLOPPY)
        set(p, section, "independent", "on");
    say(p->plan->mapped, "%s (%s) is %s%s%s", what, d->what ? d->what : "any", section, d->file ? " with " : ", empty",
        d->file ? d->file : "");
    if (!is_same_kind(d, bus))
        say(p->plan->left, "%s was on %s, and is on %s, which its system must have a driver for", section,
            d->what ? d->what : "another bus", bus->people);
    add_image(p, d, section);
}

/* ---- network cards ---- */

/* NULL: not one of ours. */
static const char *our_model(const char *theirs)
{
    static const struct {
        const char *word, *model;
    } words[] = {
        {"e1000e", "e1000e"},     {"82574", "e1000e"}, {"e1000", "e1000"}, {"8254", "e1000"},
        {"virtio", "virtio-net"}, {"pcnet", "pcnet"},  {"am79", "pcnet"},  {"vlance", "pcnet"},
        {"rtl8139", "rtl8139"},   {"8139", "rtl8139"},
    };
    g_autofree char *plain = g_ascii_strdown(theirs, -1);
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
        if (strstr(plain, words[i].word))
            return words[i].model;
    return NULL;
}

static void plan_card(struct planning *p, const struct found_card *c, unsigned number)
{
    g_autofree char *section = g_strdup_printf("nic%u", number);
    const char *model = c->model ? our_model(c->model) : NULL, *mode = c->mode ? c->mode : "nat";
    if (!model) {
        model = (p->os ? p->os : os_defaults)->nic;
        if (c->model)
            say(p->plan->left, "a network card %s: %s is an %s instead", c->model, section, model);
    }
    if (!strcmp(mode, "bridged") && !c->interface) {
        mode = "nat";
        say(p->plan->left, "%s was bridged, to an interface that is not said: it is nat", section);
    }
    set(p, section, "model", model);
    set(p, section, "mode", mode);
    set(p, section, "mac", c->mac);
    if (!strcmp(mode, "bridged"))
        set(p, section, "interface", c->interface);
    if (!strcmp(mode, "natnetwork") || !strcmp(mode, "internal") || !strcmp(mode, "hostonly"))
        set(p, section, "network", c->network);
    if (!strcmp(mode, "nat"))
        set(p, section, "forward", c->forward);
    if (c->unplugged)
        set(p, section, "connected", "off");
    say(p->plan->mapped, "%s: %s, %s", section, model, mode);
}

/* ---- all ---- */

/* What we wrote ourselves says it exactly; what the reader found beside it is for other programs. */
static void plan_ours(struct planning *p)
{
    for (guint i = 0; i < p->f->settings->len; i++) {
        g_ptr_array_add(p->plan->settings, g_strdup(p->f->settings->pdata[i]));
        say(p->plan->mapped, "%s", (char *)p->f->settings->pdata[i]);
    }
    for (guint i = 0; i < p->f->drives->len; i++) {
        const struct found_drive *d = &g_array_index(p->f->drives, struct found_drive, i);
        if (d->section && d->file) {
            add_image(p, d, d->section);
            say(p->plan->mapped, "%s with %s", d->section, d->file);
        }
    }
}

static void plan_theirs(struct planning *p)
{
    plan_machine(p);
    for (guint i = 0; i < p->f->drives->len; i++) {
        const struct found_drive *d = &g_array_index(p->f->drives, struct found_drive, i);
        if (d->bus == FOUND_FLOPPY)
            plan_floppy(p, d);
        else
            plan_drive(p, d);
    }
    for (guint i = 0; i < MIN(p->f->cards->len, CARDS_MAX); i++)
        plan_card(p, &g_array_index(p->f->cards, struct found_card, i), i + 1);
    if (p->f->cards->len > CARDS_MAX)
        say(p->plan->left, "%u network cards; there are at most %d", p->f->cards->len, CARDS_MAX);
}

static void clear_image(void *image)
{
    struct plan_disk *d = image;
    g_free(d->section);
    g_free(d->file);
    g_free(d->format);
}

struct plan *plan_new(void)
{
    struct plan *p = g_new0(struct plan, 1);
    p->settings = g_ptr_array_new_with_free_func(g_free);
    p->mapped = g_ptr_array_new_with_free_func(g_free);
    p->left = g_ptr_array_new_with_free_func(g_free);
    p->disks = g_array_new(FALSE, TRUE, sizeof(struct plan_disk));
    g_array_set_clear_func(p->disks, clear_image);
    return p;
}

void plan_free(struct plan *p)
{
    g_free(p->program);
    g_free(p->name);
    g_free(p->os);
    g_ptr_array_unref(p->settings);
    g_ptr_array_unref(p->mapped);
    g_ptr_array_unref(p->left);
    g_array_unref(p->disks);
    g_free(p);
}

struct plan *found_plan(struct found *f)
{
    struct plan *plan = plan_new();
    const char *os = found_os(f->system);
    g_autoptr(GHashTable) used = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    struct planning p = {plan, f, os ? os_defaults_find(os) : NULL, used};
    plan->program = g_strdup(f->program);
    plan->name = g_strdup(f->name);
    plan->os = g_strdup(os);
    if (f->settings->len)
        plan_ours(&p);
    else
        plan_theirs(&p);
    for (guint i = 0; i < f->left->len; i++)
        g_ptr_array_add(plan->left, g_strdup(f->left->pdata[i]));
    return plan;
}
