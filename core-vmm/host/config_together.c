// SPDX-License-Identifier: GPL-2.0-or-later
/* config_together.c - values of machine.ini that are right each, but not together. */
#include "core-vmm/api/config.h"
#include "core-vmm/base/cpu_model.h"
#include "core-vmm/host/char_target.h"
#include "core-vmm/host/config_error.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/folder_name.h"
#include "core-vmm/host/path_lies.h"
#include <stdlib.h>
#include <string.h>

static bool check_sockets(GKeyFile *file, const char *path, GError **error)
{
    const struct config c = {file, path, "machine"};
    int64_t cpus, sockets;
    if (!config_number(&c, "cpus", &cpus, error))
        return false;
    sockets = cpus;
    if (!config_number(&c, "sockets", &sockets, error))
        return false;
    if (cpu_packages_fit(cpus, sockets))
        return true;
    g_autofree char *text = config_string(&c, "sockets");
    config_error(error, path, "machine", "sockets", text, CPU_PACKAGES_UNFIT, (unsigned)cpus);
    return false;
}

static bool check_terminal(GKeyFile *file, const char *path, GError **error)
{
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    const char *first = NULL;
    for (char **s = sections; *s; s++) {
        g_autofree char *target = g_key_file_get_string(file, *s, "target", NULL);
        if (g_strcmp0(target, "stdio"))
            continue;
        if (first) {
            config_error(error, path, *s, "target", target, "is the target of [%s] already", first);
            return false;
        }
        first = *s;
    }
    return true;
}

/* The image of a drive that is written to or not; NULL: there is none. */
static char *image_of(GKeyFile *file, const char *section, const char *folder, bool *written)
{
    const struct schema_section *s = schema_find_section(section);
    g_autofree char *image = s && s->drive ? g_key_file_get_string(file, section, "file", NULL) : NULL;
    g_autofree char *media = g_key_file_get_string(file, section, "media", NULL);
    g_autofree char *readonly = g_key_file_get_string(file, section, "readonly", NULL);
    g_autofree char *full = image && *image ? g_canonicalize_filename(image, folder) : NULL;
    *written = g_strcmp0(media, "cdrom") && g_strcmp0(readonly, "on");
    return full ? realpath(full, NULL) : NULL;
}

/* Bytes of the file that a drive uses; to its end: as many as there can be. */
static void part_of(GKeyFile *file, const char *path, const char *section, uint64_t *from, uint64_t *to)
{
    const struct config c = {file, path, section};
    uint64_t bytes = 0;
    *from = 0;
    *to = UINT64_MAX;
    if (config_has(&c, "offset"))
        config_size(&c, "offset", from, NULL);
    if (config_has(&c, "size") && config_size(&c, "size", &bytes, NULL) && bytes)
        *to = *from + bytes;
}

static bool overlap(GKeyFile *file, const char *path, const char *a, const char *b)
{
    uint64_t from_a, from_b, to_a, to_b;
    part_of(file, path, a, &from_a, &to_a);
    part_of(file, path, b, &from_b, &to_b);
    return from_a < to_b && from_b < to_a;
}

static bool check_images(GKeyFile *file, const char *path, const char *folder, GError **error)
{
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    for (char **a = sections; *a; a++)
        for (char **b = sections; b < a; b++) {
            bool written_a, written_b;
            g_autofree char *image_a = image_of(file, *a, folder, &written_a);
            g_autofree char *image_b = image_of(file, *b, folder, &written_b);
            if (image_a && !g_strcmp0(image_a, image_b) && (written_a || written_b) && overlap(file, path, *a, *b)) {
                config_error(error, path, *a, "file", image_a,
                             "is the image of [%s] already; two drives may share one only if both are read-only, or "
                             "different parts of it (offset, size)",
                             *b);
                return false;
            }
        }
    return true;
}

static bool is_folder(const char *section)
{
    const struct schema_section *s = schema_find_section(section);
    return s && !strcmp(s->name, "folder");
}

static bool check_folder_names(GKeyFile *file, const char *path, GError **error)
{
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (char **s = sections; *s; s++) {
        if (!is_folder(*s))
            continue;
        g_autofree char *name = folder_name_of(file, *s);
        const char *wrong = !name ? "says no folder"
                            : !g_key_file_has_group(file, "additions")
                                ? "cannot be shared, for the machine has no [additions] (vmctl set NAME "
                                  "additions.identity=auto)"
                            : !folder_name_fits(name)           ? "is no name for a folder: say another by `name`"
                            : g_hash_table_contains(seen, name) ? "is another folder's name too: say another by `name`"
                                                                : NULL;
        if (wrong) {
            config_error(error, path, *s, name ? "name" : "path", name ? name : "", "%s", wrong);
            return false;
        }
        g_hash_table_add(seen, g_steal_pointer(&name));
    }
    return true;
}

/* ---- what lies in what: a guest that may change a folder decides what is opened there at the next start ---- */

static char *folder_path(GKeyFile *file, const char *section, const char *folder)
{
    g_autofree char *path = g_key_file_get_string(file, section, "path", NULL);
    g_autofree char *full = g_canonicalize_filename(path, folder);
    char *real = realpath(full, NULL);
    return real ? real : g_steal_pointer(&full);
}

static bool guest_writes(GKeyFile *file, const char *section)
{
    g_autofree char *said = g_key_file_get_string(file, section, "readonly", NULL);
    return g_strcmp0(said, "on");
}

/* The files that a key names, NULL: none; g_strfreev. */
static char **files_of(GKeyFile *file, const char *section, const struct schema_key *k)
{
    g_autofree char *value = g_key_file_get_string(file, section, k->name, NULL);
    enum char_kind kind;
    const char *path = value && schema_is_path(k, value) ? value : NULL;
    if (value && k->type == SCHEMA_CHAR && !char_target_parse(value, &kind, &path))
        path = NULL;
    return path ? g_strsplit(path, strcmp(k->name, "initrd") ? "\n" : ",", -1) : NULL;
}

static char *file_in(GKeyFile *file, const char *section, const char *from, const char *folder)
{
    const struct schema_section *s = schema_find_section(section);
    for (const struct schema_key *k = s ? s->keys : NULL; k && k->name; k++) {
        g_auto(GStrv) files = files_of(file, section, k);
        for (char **f = files; f && *f; f++) {
            g_autofree char *full = g_canonicalize_filename(*f, from);
            if (path_lies_in(full, folder))
                return g_steal_pointer(&full);
        }
    }
    return NULL;
}

static bool check_folder_files(GKeyFile *file, const char *path, const char *section, const char *from, GError **error)
{
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    g_autofree char *folder = folder_path(file, section, from);
    g_autofree char *own = from ? g_build_filename(from, "machine.ini", NULL) : NULL;
    g_autofree char *found = own && path_lies_in(own, folder) ? g_strdup(own) : NULL;
    const char *wrong = "machine";
    for (char **s = sections; *s && !found; s++)
        if (!is_folder(*s) && (found = file_in(file, *s, from, folder)))
            wrong = *s;
    if (!found)
        return true;
    config_error(error, path, section, "path", folder,
                 "has in it what [%s] uses, %s: the guest would choose what is opened there; share another folder, or "
                 "this one with readonly = on",
                 wrong, found);
    return false;
}

/* One folder by two names is no danger: nobody in it can replace it. */
static bool check_folder_pair(GKeyFile *file, const char *path, const char *inner, const char *outer, const char *from,
                              GError **error)
{
    g_autofree char *in = folder_path(file, inner, from), *out = folder_path(file, outer, from);
    if (!guest_writes(file, outer) || !strcmp(in, out) || !path_begins(in, out))
        return true;
    config_error(
        error, path, inner, "path", in,
        "lies in %s, which [%s] shares: its guest could put something else in this one's place; share only one "
        "of them, or that one with readonly = on",
        out, outer);
    return false;
}

static bool check_folders(GKeyFile *file, const char *path, const char *folder, GError **error)
{
    if (!check_folder_names(file, path, error))
        return false;
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    for (char **a = sections; *a; a++) {
        if (!is_folder(*a))
            continue;
        if (!g_key_file_has_key(file, *a, "path", NULL)) {
            config_error(error, path, *a, "path", "", "says no folder");
            return false;
        }
        if (guest_writes(file, *a) && !check_folder_files(file, path, *a, folder, error))
            return false;
        for (char **b = sections; *b; b++)
            if (is_folder(*b) && !check_folder_pair(file, path, *a, *b, folder, error))
                return false;
    }
    return true;
}

bool schema_check_together(GKeyFile *file, const char *path, const char *folder, GError **error)
{
    return check_sockets(file, path, error) && check_terminal(file, path, error) &&
           check_images(file, path, folder, error) && check_folders(file, path, folder, error);
}
