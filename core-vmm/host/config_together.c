// SPDX-License-Identifier: GPL-2.0-or-later
/* config_together.c - values of machine.ini that are right each, but not together. */
#include "core-vmm/api/config.h"
#include "core-vmm/base/cpu_model.h"
#include "core-vmm/host/config_error.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/folder_name.h"
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

static bool check_folders(GKeyFile *file, const char *path, GError **error)
{
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (char **s = sections; *s; s++) {
        const struct schema_section *known = schema_find_section(*s);
        if (!known || strcmp(known->name, "folder"))
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

bool schema_check_together(GKeyFile *file, const char *path, const char *folder, GError **error)
{
    return check_sockets(file, path, error) && check_terminal(file, path, error) &&
           check_images(file, path, folder, error) && check_folders(file, path, error);
}
