// SPDX-License-Identifier: GPL-2.0-or-later
/* settings.c - options of create and run that become keys of machine.ini. */
#include "core-vmm/vmctl/disk/disk.h"
#include "core-vmm/host/config_error.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/api/config.h"
#include "core-vmm/host/paths.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

GOptionEntry *settings_entries(struct settings *s, const GOptionEntry *more)
{
    const GOptionEntry own[] = {
        {"memory", 'm', 0, G_OPTION_ARG_STRING, &s->memory, "The guest's RAM, like 512M or 2G", "SIZE"},
        {"cpus", 'c', 0, G_OPTION_ARG_STRING, &s->cpus, "Virtual CPUs", "N"},
        {"engine", 'e', 0, G_OPTION_ARG_STRING, &s->engine, "auto, kvm, soft or interp", "ENGINE"},
        {"disk", 'd', 0, G_OPTION_ARG_FILENAME_ARRAY, &s->disks, "A disk image, or a size for a new one; repeatable",
         "FILE|SIZE"},
        {"disk-format", 0, 0, G_OPTION_ARG_STRING, &s->disk_format,
         "Of new disks, and of files whose name does not tell", "FORMAT"},
        {"cdrom", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &s->cdroms, "A CD or DVD image; \"\" for an empty drive", "FILE"},
        {"floppy", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &s->floppies, "A floppy image; \"\" for an empty drive", "FILE"},
        {"firmware", 0, 0, G_OPTION_ARG_FILENAME, &s->firmware, "Firmware image instead of SeaBIOS", "FILE"},
        {"kernel", 'k', 0, G_OPTION_ARG_FILENAME, &s->kernel, "Boot this Linux kernel or Multiboot image", "FILE"},
        {"initrd", 'i', 0, G_OPTION_ARG_FILENAME, &s->initrd, "Its initial RAM disk", "FILE"},
        {"cmdline", 'a', 0, G_OPTION_ARG_STRING, &s->cmdline, "Its command line", "TEXT"},
        {"boot", 0, 0, G_OPTION_ARG_STRING, &s->boot, "Boot order: disk,cdrom,floppy,network", "LIST"},
        {"boot-menu", 0, 0, G_OPTION_ARG_NONE, &s->boot_menu, "The firmware waits for ESC and offers a boot menu",
         NULL},
        {"serial", 's', 0, G_OPTION_ARG_STRING_ARRAY, &s->serials,
         "A serial port: stdio, none, pty, socket:PATH or a file; repeatable", "TARGET"},
        {"on-reset", 0, 0, G_OPTION_ARG_STRING, &s->on_reset, "What a reset does: reset or stop", "WHAT"},
        {"no-video", 0, 0, G_OPTION_ARG_NONE, &s->no_video, "No graphics card", NULL},
        {"debug-exit", 0, 0, G_OPTION_ARG_NONE, &s->debug_exit, "A port by which a test guest ends the machine", NULL},
        {"testdev", 0, 0, G_OPTION_ARG_NONE, &s->testdev, "The device that kvm-unit-tests needs", NULL},
        {"set", 0, 0, G_OPTION_ARG_STRING_ARRAY, &s->sets, "Any other setting; repeatable", "SECTION.KEY=VALUE"},
    };
    unsigned n = G_N_ELEMENTS(own), m = 0;
    while (more && more[m].long_name)
        m++;
    GOptionEntry *all = g_new0(GOptionEntry, n + m + 1);
    memcpy(all, own, sizeof own);
    if (m)
        memcpy(all + n, more, m * sizeof *more);
    return all;
}

void settings_clear(struct settings *s)
{
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

bool settings_set(GKeyFile *file, const char *path, const char *assignment, GError **error)
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

/* A raw disk may hold what a guest wrote there to look like an image that leads to other files. */
static bool leads_elsewhere(const char *path, const struct image_format *format)
{
    struct image_how how = {.format = format->name, .unlocked = true, .no_parent = true};
    struct image *im = image_open(path, &how, NULL);
    bool leads = im && (im->parent_name || im->parent_id || im->many_files);
    image_close(im);
    return leads;
}

/* In a fenced child.  Its answer: the format, and a "+" before it if the image leads elsewhere; or "!", an enum disk_error
 * in two digits, and a sentence. */
static int tell_format(void *ctx, int answer)
{
    const char *path = ctx;
    g_autoptr(GError) error = NULL;
    struct blk_file *f = blk_open(path, FILE_NO_LOCK, CACHE_WRITEBACK, &error);
    const struct image_format *format = f ? image_format_guess(f, &error) : NULL;
    blk_close(f);
    g_autofree char *text = format ? g_strconcat(leads_elsewhere(path, format) ? "+" : "", format->name, NULL)
                                   : g_strdup_printf("!%02d%s", error->code, error->message);
    disk_answer(answer, text);
    return 0;
}

/* "!", an enum disk_error in two digits, and a sentence: sets the error. */
static bool is_refusal(const char *answer, GError **error)
{
    int code;
    bool is = sscanf(answer, "!%2d", &code) == 1 && strlen(answer) > 3;
    if (is)
        disk_fail(error, code, "%s", answer + 3);
    return is;
}

/* By what is in the file, as its name does not tell.  NULL: an error. */
static const char *look_at(const char *path, GError **error)
{
    g_autofree char *answer = disk_ask(tell_format, (void *)path, path, error);
    if (!answer)
        return NULL;
    if (is_refusal(answer, error))
        return NULL;
    const struct image_format *format = image_format_find(answer + (*answer == '+'), error);
    if (!format || !strcmp(format->name, "raw"))
        return format ? "raw" : NULL;
    if (*answer == '+') {
        g_set_error(
            error, CONFIG_ERROR, CONFIG_VALUE,
            "%s looks like a %s image that consists of other files too; if you know that it is, and not a raw disk "
            "that a guest made look so, say --disk-format %s",
            path, format->name, format->name);
        return NULL;
    }
    note("%s is a %s image", path, format->name);
    return format->name;
}

struct format_question {
    const char *path, *format;
};

/* In a fenced child: nothing if it is, else as tell_format(). */
static int tell_whether(void *ctx, int answer)
{
    struct format_question *q = ctx;
    struct image_how how = {.format = q->format, .unlocked = true, .no_parent = true};
    g_autoptr(GError) error = NULL;
    struct image *im = image_open(q->path, &how, &error);
    g_autofree char *text = im ? NULL : g_strdup_printf("!%02d%s", error->code, error->message);
    image_close(im);
    disk_answer(answer, text ? text : "");
    return 0;
}

/* A machine that cannot start is not made.  What the image builds upon is looked for at the start. */
static bool is_format(const char *path, const char *format, GError **error)
{
    struct format_question q = {path, format};
    g_autofree char *answer = disk_ask(tell_whether, &q, path, error);
    return answer && !is_refusal(answer, error);
}

/* What the user says counts for more than the name, and that for more than what is in the file. */
static bool old_disk(const struct settings *s, GKeyFile *file, const char *section, const char *path, GError **error)
{
    const char *format = s->disk_format ? s->disk_format : image_format_promised(path);
    if (!set_file(file, section, "file", path, error))
        return false;
    format = format ? format : look_at(path, error);
    return format && is_format(path, format, error) && set(file, section, "format", format, error);
}

static bool add_disk(const struct settings *s, GKeyFile *file, unsigned number, const char *what, const char *folder,
                     GError **error)
{
    static const char *const sections[] = {"ide0", "ide1", "ide3"};
    uint64_t bytes;
    if (number >= G_N_ELEMENTS(sections)) {
        g_set_error(error, CONFIG_ERROR, CONFIG_VALUE, "there is room for %zu disks", G_N_ELEMENTS(sections));
        return false;
    }
    if (folder && !g_file_test(what, G_FILE_TEST_EXISTS) && size_parse(what, &bytes))
        return new_disk(s, file, sections[number], number, bytes, folder, error);
    return old_disk(s, file, sections[number], what, error);
}

/* Beside the disks: the first CD drive is ide2, further ones take what is free. */
static bool add_cdrom(GKeyFile *file, const char *path, GError **error)
{
    static const char *const sections[] = {"ide2", "ide3", "ide1", "ide0"};
    for (unsigned i = 0; i < G_N_ELEMENTS(sections); i++)
        if (!g_key_file_has_group(file, sections[i]))
            return set(file, sections[i], "media", "cdrom", error) &&
                   set_file(file, sections[i], "file", *path ? path : NULL, error);
    g_set_error(error, CONFIG_ERROR, CONFIG_VALUE, "there is room for four disks and CD drives");
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

static bool add_drives(const struct settings *s, GKeyFile *file, const char *folder, GError **error)
{
    bool good = true;
    for (unsigned i = 0; good && s->disks && s->disks[i]; i++)
        good = add_disk(s, file, i, s->disks[i], folder, error);
    for (unsigned i = 0; good && s->cdroms && s->cdroms[i]; i++)
        good = add_cdrom(file, s->cdroms[i], error);
    for (unsigned i = 0; good && s->floppies && s->floppies[i]; i++)
        good = add_floppy(file, i, s->floppies[i], error);
    return good;
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

bool settings_apply(const struct settings *s, GKeyFile *file, const char *folder, GError **error)
{
    if (!add_machine(s, file, error) || !add_drives(s, file, folder, error) || !add_serials(s, file, error))
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
        if (!settings_set(file, "--set", *a, error))
            return false;
    return schema_check_together(file, "setting", folder, error);
}

bool settings_write(GKeyFile *file, const char *path, GError **error)
{
    gsize n;
    g_autofree char *text = g_key_file_to_data(file, &n, error);
    return text && file_replace(path, text, n, error);
}
