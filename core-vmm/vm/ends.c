// SPDX-License-Identifier: GPL-2.0-or-later
/* ends.c - the far ends of serial ports, opened before the fence closes. */
#include "core-vmm/vm/ends.h"
#include "core-vmm/api/config.h"
#include "core-vmm/machine/char_port.h"
#include "core-vmm/host/config_schema.h"
#include <gio/gio.h>
#include <string.h>

static void end_free(gpointer end)
{
    char_end_close(end);
}

static bool open_one(GHashTable *ends, const struct config *c, const struct schema_key *key, const char *folder,
                     bool *stdio, GError **error)
{
    g_autofree char *target = config_string(c, key->name);
    GError *why = NULL;
    bool terminal = !g_strcmp0(target, "stdio");
    if (terminal && *stdio) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_BUSY, "%s: stdio is the target of another port already", c->section);
        return false;
    }
    *stdio = *stdio || terminal;
    struct char_end *end = char_end_open(c->section, target, folder, &why);
    if (end)
        g_hash_table_insert(ends, g_strdup(c->section), end);
    else
        g_propagate_prefixed_error(error, why, "%s: ", c->section);
    return end;
}

static bool open_section(GHashTable *ends, const struct config *c, const char *folder, bool *stdio, GError **error)
{
    const struct schema_section *s = schema_find_section(c->section);
    bool good = true;
    for (const struct schema_key *k = s ? s->keys : NULL; k && k->name && good; k++)
        good = k->type != SCHEMA_CHAR || open_one(ends, c, k, folder, stdio, error);
    return good;
}

GHashTable *ends_open(GKeyFile *file, const char *path, const char *folder, GError **error)
{
    GHashTable *ends = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, end_free);
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    bool good = true, stdio = false;
    for (char **s = sections; *s && good; s++) {
        const struct config c = {file, path, *s};
        good = open_section(ends, &c, folder, &stdio, error);
    }
    if (!good)
        g_clear_pointer(&ends, g_hash_table_unref);
    return ends;
}

GPtrArray *ends_names(GHashTable *ends)
{
    GPtrArray *names = g_ptr_array_new();
    GHashTableIter i;
    gpointer end;
    g_hash_table_iter_init(&i, ends);
    while (g_hash_table_iter_next(&i, NULL, &end))
        if (char_end_name(end))
            g_ptr_array_add(names, (gpointer)char_end_name(end));
    return names;
}
