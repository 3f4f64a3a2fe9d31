// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_settings.c - what a machine is to have, into its machine.ini: for a new one, and later.  What may stand there says
 * the schema. */
#include "core-vmm/host/machines.h"
#include "core-vmm/api/config.h"
#include "core-vmm/base/os_defaults.h"
#include "core-vmm/host/config_error.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/disk_look.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/host/snapshots.h"
#include "disk-formats/image/image.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SETTINGS_WAIT_MS = 5000, SETTINGS_POLL_MS = 10 };

void settings_clear(struct settings *s)
{
    g_free(s->nic);
    g_free(s->os);
    g_free(s->disk_bus);
    g_free(s->memory);
    g_free(s->engine);
    g_free(s->kernel);
    g_free(s->initrd);
    g_free(s->cmdline);
    g_free(s->firmware);
    g_free(s->boot);
    g_free(s->on_reset);
    g_free(s->cpus);
    g_free(s->disk_format);
    g_strfreev(s->disks);
    g_strfreev(s->cdroms);
    g_strfreev(s->floppies);
    g_strfreev(s->serials);
    g_strfreev(s->sets);
    g_clear_pointer(&s->remarks, g_ptr_array_unref);
}

/* ---- one setting ---- */

static bool set(GKeyFile *file, const char *section, const char *key, const char *value, GError **error)
{
    if (!value)
        return true;
    if (!schema_check_value("setting", section, key, value, error))
        return false;
    g_key_file_set_string(file, section, key, value);
    return true;
}

bool settings_assign(GKeyFile *file, const char *path, const char *assignment, GError **error)
{
    const char *dot = strchr(assignment, '.'), *equals = strchr(assignment, '=');
    if (!dot || !equals || equals < dot) {
        g_set_error(error, CONFIG_ERROR, CONFIG_SYNTAX,
                    "\"%s\" is no setting; write SECTION.KEY=VALUE, like machine.memory=2G", assignment);
        return false;
    }
    g_autofree char *section = g_strndup(assignment, dot - assignment);
    g_autofree char *key = g_strndup(dot + 1, equals - dot - 1);
    if (!schema_check_value(path, section, key, equals + 1, error))
        return false;
    g_key_file_set_string(file, section, key, equals + 1);
    return true;
}

static bool set_file(GKeyFile *file, const char *section, const char *key, const char *path, GError **error)
{
    if (!path)
        return true;
    if (*path && !schema_is_path(schema_find(section, key, NULL), path))
        return set(file, section, key, path, error);
    g_autofree char *full = g_canonicalize_filename(path, NULL);
    struct stat st;
    if (!*path) {
        g_set_error(error, CONFIG_ERROR, CONFIG_VALUE, "the name for [%s] %s is empty", section, key);
        return false;
    }
    if (stat(full, &st)) {
        int e = errno;
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(e), "%s: %s", path,
                    e == ENOENT ? "there is no such file" : g_strerror(e));
        return false;
    }
    if (S_ISDIR(st.st_mode)) {
        g_set_error(error, CONFIG_ERROR, CONFIG_VALUE, "%s is a folder, not a file", path);
        return false;
    }
    return set(file, section, key, full, error);
}

/* ---- drives ---- */

static bool new_disk(const struct settings *s, GKeyFile *file, const char *section, unsigned number, uint64_t bytes,
                     const char *folder, GError **error)
{
    const char *format = s->disk_format ? s->disk_format : "raw";
    const char *ending = strcmp(format, "raw") ? format : "img";
    g_autofree char *name =
        number ? g_strdup_printf("disk%u.%s", number + 1, ending) : g_strdup_printf("disk.%s", ending);
    g_autofree char *path = g_build_filename(folder, name, NULL);
    struct image_options o = {.bytes = (bytes + 511) & ~UINT64_C(511)};
    if (!bytes) {
        g_set_error(error, CONFIG_ERROR, CONFIG_VALUE, "a new disk cannot have 0 bytes");
        return false;
    }
    return image_create(path, format, &o, false, error) && set(file, section, "file", name, error) &&
           set(file, section, "format", format, error);
}

/* By what is in the file, as its name does not tell. */
static const char *look_at(struct settings *s, const char *path, GError **error)
{
    const char *format = disk_look_format(path, error);
    if (format && strcmp(format, "raw"))
        g_ptr_array_add(s->remarks, g_strdup_printf("%s is a %s image", path, format));
    return format;
}

/* What the user says counts for more than the name, and that for more than what is in the file.  A machine that cannot
 * start is not made; what the image builds upon is looked for at the start. */
static bool old_disk(struct settings *s, GKeyFile *file, const char *section, const char *path, GError **error)
{
    const char *format = s->disk_format ? s->disk_format : image_format_promised(path);
    if (!set_file(file, section, "file", path, error))
        return false;
    format = format ? format : look_at(s, path, error);
    return format && disk_look_opens(path, format, error) && set(file, section, "format", format, error);
}

static bool add_disk(struct settings *s, GKeyFile *file, const struct disk_bus *bus, unsigned number,
                     const char *folder, GError **error)
{
    const char *what = s->disks[number];
    unsigned room = g_strv_length((char **)bus->disks);
    uint64_t bytes;
    if (number >= room) {
        g_set_error(error, CONFIG_ERROR, CONFIG_VALUE, "there is room for %u disks on %s", room, bus->name);
        return false;
    }
    if (folder && !g_file_test(what, G_FILE_TEST_EXISTS) && size_parse(what, &bytes))
        return new_disk(s, file, bus->disks[number], number, bytes, folder, error);
    return old_disk(s, file, bus->disks[number], what, error);
}

/* Beside the disks, from the other end: each takes the first place that is free. */
static bool add_cdrom(GKeyFile *file, const struct disk_bus *bus, const char *path, GError **error)
{
    for (const char *const *section = bus->cdroms; *section; section++)
        if (!g_key_file_has_group(file, *section))
            return set(file, *section, "media", "cdrom", error) &&
                   set_file(file, *section, "file", *path ? path : NULL, error);
    g_set_error(error, CONFIG_ERROR, CONFIG_VALUE, "there is room for %u disks and CD drives",
                g_strv_length((char **)bus->cdroms));
    return false;
}

static bool add_floppy(GKeyFile *file, unsigned number, const char *path, GError **error)
{
    static const char *const sections[] = {"floppy0", "floppy1"};
    if (number < G_N_ELEMENTS(sections))
        return set(file, sections[number], "format", "raw", error) &&
               set_file(file, sections[number], "file", *path ? path : NULL, error);
    g_set_error(error, CONFIG_ERROR, CONFIG_VALUE, "there is room for two floppy drives");
    return false;
}

static const struct disk_bus *bus_of(const struct settings *s, GError **error)
{
    const struct os_defaults *os = os_defaults_find(s->os ? s->os : os_defaults[0].os);
    const struct disk_bus *bus = disk_bus_find(s->disk_bus ? s->disk_bus : os->disk_bus);
    if (bus)
        return bus;
    g_autoptr(GString) names = g_string_new(NULL);
    for (const struct disk_bus *b = disk_buses; b->name; b++)
        g_string_append_printf(names, "%s%s", names->len ? ", " : "", b->name);
    g_set_error(error, CONFIG_ERROR, CONFIG_VALUE, "there is no disk bus \"%s\"; there are %s", s->disk_bus,
                names->str);
    return NULL;
}

static bool add_drives(struct settings *s, GKeyFile *file, const char *folder, GError **error)
{
    const struct disk_bus *bus = bus_of(s, error);
    bool good = bus;
    for (unsigned i = 0; good && s->disks && s->disks[i]; i++)
        good = add_disk(s, file, bus, i, folder, error);
    for (unsigned i = 0; good && s->cdroms && s->cdroms[i]; i++)
        good = add_cdrom(file, bus, s->cdroms[i], error);
    for (unsigned i = 0; good && s->floppies && s->floppies[i]; i++)
        good = add_floppy(file, i, s->floppies[i], error);
    return good;
}

/* A pointer that needs no driver of ours, and places for sticks that come and go. */
static bool add_usb(const struct os_defaults *os, GKeyFile *file, GError **error)
{
    return !os->usb || (set(file, "usb", "model", os->usb, error) && set(file, "usb1", "device", "tablet", error) &&
                        set(file, "usb2", "device", "storage", error) && set(file, "usb3", "device", "storage", error));
}

/* What a named system wants beside its disks and its card. */
static bool add_os(const struct settings *s, GKeyFile *file, GError **error)
{
    const struct os_defaults *os = s->os ? os_defaults_find(s->os) : NULL;
    if (os || !s->os)
        return !os || (set(file, "machine", "os", os->os, error) && set(file, "machine", "clock", os->clock, error) &&
                       set(file, "machine", "sockets", os->sockets, error) &&
                       set(file, "additions", "identity", os->identity, error) &&
                       set(file, "audio", "model", os->sound, error) && add_usb(os, file, error));
    g_autoptr(GString) names = g_string_new(NULL);
    for (const struct os_defaults *o = os_defaults; o->os; o++)
        g_string_append_printf(names, "%s%s (%s)", names->len ? ", " : "", o->os, o->summary);
    g_set_error(error, CONFIG_ERROR, CONFIG_VALUE, "there is no kind of system \"%s\"; there are %s", s->os,
                names->str);
    return false;
}

/* ---- all ---- */

static bool has_scheme(const char *target, const char *scheme)
{
    return g_str_has_prefix(target, scheme);
}

/* A target as the file spells it, with an absolute path; a bare path means a file.  Without a path the schema refuses it. */
static char *serial_target(const char *target)
{
    static const char *const words[] = {"none", "stdio", "pty", NULL};
    if (g_strv_contains(words, target))
        return g_strdup(target);
    const char *scheme = has_scheme(target, "socket:") ? "socket:" : "file:";
    const char *path = has_scheme(target, scheme) ? target + strlen(scheme) : target;
    if (!*path)
        return g_strdup(scheme);
    g_autofree char *full = g_canonicalize_filename(path, NULL);
    return g_strconcat(scheme, full, NULL);
}

static bool add_serials(const struct settings *s, GKeyFile *file, GError **error)
{
    for (unsigned i = 0; s->serials && s->serials[i]; i++) {
        g_autofree char *section = g_strdup_printf("serial%u", i + 1), *target = serial_target(s->serials[i]);
        if (!set(file, section, "target", target, error))
            return false;
    }
    return true;
}

void settings_new_mac(GKeyFile *file, const char *card)
{
    uint32_t r = g_random_int();
    g_autofree char *mac = g_strdup_printf("52:54:00:%02x:%02x:%02x", r & 0xff, r >> 8 & 0xff, r >> 16 & 0xff);
    g_key_file_set_string(file, card, "mac", mac);
}

static bool add_nic(const struct settings *s, GKeyFile *file, GError **error)
{
    if (!s->nic || !strcmp(s->nic, "none"))
        return true;
    if (!set(file, "nic1", "model", s->nic, error))
        return false;
    settings_new_mac(file, "nic1");
    return true;
}

/* A section without keys: GKeyFile keeps one only if it once had a key. */
static void add_empty(GKeyFile *file, const char *section)
{
    g_key_file_set_string(file, section, "x", "");
    g_key_file_remove_key(file, section, "x", NULL);
}

static bool add_machine(const struct settings *s, GKeyFile *file, GError **error)
{
    return set(file, "machine", "memory", s->memory, error) && set(file, "machine", "cpus", s->cpus, error) &&
           set(file, "machine", "engine", s->engine, error) && set(file, "machine", "boot", s->boot, error) &&
           set(file, "machine", "on-reset", s->on_reset, error) && set(file, "machine", "cmdline", s->cmdline, error) &&
           set_file(file, "machine", "firmware", s->firmware, error) &&
           set_file(file, "machine", "kernel", s->kernel, error) &&
           set_file(file, "machine", "initrd", s->initrd, error);
}

bool settings_apply(struct settings *s, GKeyFile *file, const char *folder, GError **error)
{
    if (!s->remarks)
        s->remarks = g_ptr_array_new_with_free_func(g_free);
    if (!add_machine(s, file, error) || !add_os(s, file, error) || !add_drives(s, file, folder, error) ||
        !add_serials(s, file, error) || !add_nic(s, file, error))
        return false;
    if (s->no_video && !set(file, "video", "type", "none", error))
        return false;
    if (s->boot_menu && !set(file, "machine", "boot-menu", "on", error))
        return false;
    if (s->debug_exit)
        add_empty(file, "debug-exit");
    if (s->testdev)
        add_empty(file, "testdev");
    for (char **a = s->sets; a && *a; a++)
        if (!settings_assign(file, "--set", *a, error))
            return false;
    return (!s->more || s->more(s->more_ctx, file, folder, error)) &&
           schema_check_together(file, "setting", folder, error);
}

bool settings_write(GKeyFile *file, const char *path, GError **error)
{
    gsize n;
    g_autofree char *text = g_key_file_to_data(file, &n, error);
    return text && file_replace(path, text, n, error);
}

/* ---- of a machine that is there ---- */

GKeyFile *machines_settings(const char *name, GError **error)
{
    g_autofree char *ini = machines_ini(name);
    return schema_load(ini, error);
}

static bool removal(GKeyFile *file, const char *path, const char *what, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(what, ".", 2);
    if (!schema_find_section(parts[0] ? parts[0] : "") || (parts[1] && !schema_find(parts[0], parts[1], error))) {
        if (error && !*error)
            g_set_error(error, CONFIG_ERROR, CONFIG_UNKNOWN, "%s: there is no section [%s]", path, parts[0]);
        return false;
    }
    if (parts[1])
        g_key_file_remove_key(file, parts[0], parts[1], NULL);
    else
        g_key_file_remove_group(file, parts[0], NULL);
    return true;
}

/* Does a key, or all of a section, count at once? */
static bool counts_now(const char *what)
{
    g_auto(GStrv) parts = g_strsplit(what, ".", 2);
    g_autofree char *name = parts[0] && parts[1] ? g_strndup(parts[1], strcspn(parts[1], "=")) : NULL;
    const struct schema_key *k = name ? schema_find(parts[0], name, NULL) : NULL;
    return k && k->at_once;
}

static bool all_count_now(char **assignments, char **removals)
{
    bool now = true;
    for (; assignments && *assignments; assignments++)
        now = now && counts_now(*assignments);
    for (; removals && *removals; removals++)
        now = now && counts_now(*removals);
    return now;
}

/* Between reading a machine.ini and writing it anew nobody else does: the folder is locked.  Whoever else may hold that
 * lock (the VM process can, and it may be in its guest's hands) makes us wait for a while only. */
int settings_hold(const char *folder, GError **error)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), e = fd < 0 ? errno : 0;
    for (unsigned waited = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB); waited += SETTINGS_POLL_MS) {
        e = errno;
        if (e == EINTR || (e == EWOULDBLOCK && waited < SETTINGS_WAIT_MS)) {
            g_usleep(SETTINGS_POLL_MS * 1000);
            continue;
        }
        close(fd);
        fd = -1;
    }
    if (fd < 0)
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(e), "%s: %s", folder,
                    e == EWOULDBLOCK ? "another program has been changing its settings for seconds; try again"
                                     : g_strerror(e));
    return fd;
}

struct change {
    char **assignments, **removals;
};

static bool change(void *ctx, GKeyFile *file, const char *ini, GError **error)
{
    const struct change *c = ctx;
    bool good = true;
    for (char **a = c->assignments; good && a && *a; a++)
        good = settings_assign(file, ini, *a, error);
    for (char **r = c->removals; good && r && *r; r++)
        good = removal(file, ini, *r, error);
    return good;
}

bool machines_edit(const char *name, settings_edit edit, void *ctx, GError **error)
{
    g_autofree char *folder = machines_folder(name), *ini = machines_ini(name);
    int held = settings_hold(folder, error);
    g_autoptr(GKeyFile) file = held >= 0 && snapshots_settle_held(folder, error) ? schema_load(ini, error) : NULL;
    bool good = file && edit(ctx, file, ini, error) && schema_check_together(file, ini, folder, error) &&
                settings_write(file, ini, error);
    if (held >= 0)
        close(held);
    return good;
}

bool machines_change(const char *name, char **assignments, char **removals, enum settings_count *count, GError **error)
{
    struct change c = {assignments, removals};
    g_autofree char *folder = machines_folder(name);
    bool good = machines_edit(name, change, &c, error);
    bool now = all_count_now(assignments, removals) || !machine_lock_holder(folder);
    *count = now ? SETTINGS_COUNT_NOW : SETTINGS_COUNT_FROM_NEXT_START;
    return good;
}
