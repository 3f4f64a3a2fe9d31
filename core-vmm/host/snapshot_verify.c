// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshot_verify.c - are snapshots whole?  Of each: its settings by their sum; its state by all of its sums; each image that its
 * disks consist of, by its size and the time of its last change, and whether it is a sound image of its format. */
#include "core-vmm/base/crc32c.h"
#include "core-vmm/host/snapshot_inside.h"

static void find(GPtrArray *findings, const struct snapshot *s, const char *what)
{
    g_ptr_array_add(findings, g_strdup_printf("snapshot %u: %s", s->id, what));
}

static void verify_settings(const char *folder, const struct snapshot *s, GPtrArray *findings)
{
    g_autofree char *path = snapshot_path(folder, s->id, "ini"), *text = NULL;
    gsize n;
    if (!g_file_get_contents(path, &text, &n, NULL))
        find(findings, s, "its settings are missing");
    else if (crc32c(0, text, n) != s->settings)
        find(findings, s, "its settings are not what they were");
}

static void verify_state(const char *folder, const struct snapshot *s, GPtrArray *findings)
{
    g_autofree char *path = snapshot_path(folder, s->id, "state");
    g_autofree char *damage = s->state_bytes ? state_damage(path) : NULL;
    if (damage)
        find(findings, s, damage);
}

/* sound: names of images that were looked at already, and are. */
static void verify_image(const char *folder, const struct snapshot *s, const struct snapshot_image *i,
                         GHashTable *sound, GPtrArray *findings)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_canonicalize_filename(i->file, folder);
    if (g_hash_table_contains(sound, i->file))
        return;
    if (!snapshot_image_same(folder, i, &error)) {
        find(findings, s, error->message);
        return;
    }
    g_autofree char *damage = image_damage(path, i->format);
    if (damage)
        find(findings, s, damage);
    else
        g_hash_table_add(sound, g_strdup(i->file));
}

static void verify(const char *folder, const struct snapshot_record *r, const struct snapshot *s, GHashTable *sound,
                   GPtrArray *findings)
{
    g_autoptr(GPtrArray) chain = snapshot_chain(r, s);
    verify_settings(folder, s, findings);
    verify_state(folder, s, findings);
    for (guint i = 0; i < chain->len; i++)
        verify_image(folder, s, chain->pdata[i], sound, findings);
}

GPtrArray *snapshots_verify(const char *machine, const char *which, GError **error)
{
    g_autofree char *folder = machines_folder(machine);
    struct snapshot_record *r = record_load(folder, error);
    const struct snapshot *one = r && which ? snapshots_find(r, machine, which, error) : NULL;
    GPtrArray *findings = r && (one || !which) ? g_ptr_array_new_with_free_func(g_free) : NULL;
    g_autoptr(GHashTable) sound = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; findings && i < r->snapshots->len; i++)
        if (!one || one == r->snapshots->pdata[i])
            verify(folder, r, r->snapshots->pdata[i], sound, findings);
    record_free(r);
    return findings;
}
