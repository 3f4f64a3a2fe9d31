// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshot_verify.c - are snapshots whole?  Of each: its settings and what UEFI and a TPM remember by their sums; its state by its size and all of its sums; each image
 * that its disks consist of, by its size and the time of its last change, and whether it is a sound image of its format.
 *
 * That may take long, and keeps nobody from starting the machine or changing its snapshots meanwhile: findings count only if the
 * record is afterwards what it was before. */
#include "core-vmm/base/crc32c.h"
#include "core-vmm/host/snapshot_inside.h"
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRIES = 3 };

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

char *snapshot_kept_damage(const char *folder, const struct snapshot *s)
{
    static const char *const whose[KEPT_COUNT] = {[KEPT_VARS] = "UEFI", [KEPT_TPM] = "its TPM"};
    char *damage = NULL;
    for (unsigned k = 0; k < KEPT_COUNT && !damage; k++) {
        g_autofree char *path = snapshot_path(folder, s->id, snapshot_kept[k].ending), *data = NULL;
        gsize n;
        if (s->kept[k] < 0)
            continue;
        if (!g_file_get_contents(path, &data, &n, NULL))
            damage = g_strdup_printf("what %s remembers is missing", whose[k]);
        else if (crc32c(0, data, n) != s->kept[k])
            damage = g_strdup_printf("what %s remembers is not what it was", whose[k]);
    }
    return damage;
}

static void verify_kept(const char *folder, const struct snapshot *s, GPtrArray *findings)
{
    g_autofree char *damage = snapshot_kept_damage(folder, s);
    if (damage)
        find(findings, s, damage);
}

/* what: whose bytes they are. */
static char *file_damage(const char *path, uint64_t bytes, const char *what)
{
    struct stat st;
    if (!stat(path, &st) && (uint64_t)st.st_size != bytes)
        return g_strdup_printf("%s has %" G_GINT64_FORMAT " bytes, and had %" G_GUINT64_FORMAT, what,
                               (gint64)st.st_size, bytes);
    return state_damage(path);
}

char *snapshot_state_damage(const char *folder, const struct snapshot *s)
{
    g_auto(GStrv) files = snapshot_bases(folder, s, true);
    for (unsigned n = 0; n < s->bases && s->state_bytes; n++) {
        g_autofree char *damage = file_damage(files[n], s->base_bytes[n], "it"), *name = g_path_get_basename(files[n]);
        if (damage)
            return g_strdup_printf("%s, a state that its state builds upon: %s", name, damage);
    }
    return s->state_bytes ? file_damage(files[s->bases], s->state_bytes, "its state") : NULL;
}

static void verify_state(const char *folder, const struct snapshot *s, GPtrArray *findings)
{
    g_autofree char *damage = snapshot_state_damage(folder, s);
    if (damage)
        find(findings, s, damage);
}

/* ---- images, of which several snapshots may consist ---- */

/* alone: what is below is not looked at.  g_free; NULL: none. */
static char *damage_of(const char *folder, const struct snapshot_image *i, bool alone)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_canonicalize_filename(i->file, folder);
    return snapshot_image_same(folder, i, &error) ? image_damage(path, i->format, alone) : g_strdup(error->message);
}

/* "snapshot 1" or "snapshots 1, 2": those of the list that it is a part of; g_free. */
static char *parts_of(const struct snapshot_record *r, GPtrArray *snapshots, const struct snapshot_image *i)
{
    GString *text = g_string_new(NULL);
    unsigned count = 0;
    for (guint k = 0; k < snapshots->len; k++) {
        const struct snapshot *s = snapshots->pdata[k];
        g_autoptr(GPtrArray) chain = snapshot_chain(r, s);
        if (g_ptr_array_find(chain, i, NULL))
            g_string_append_printf(text, "%s%u", count++ ? ", " : "", s->id);
    }
    g_string_prepend(text, count > 1 ? "snapshots " : "snapshot ");
    return g_string_free(text, FALSE);
}

struct images {
    const char *folder;
    const struct snapshot_record *record;
    GPtrArray *snapshots, *findings;
    GHashTable *looked_at, *damaged; /* struct snapshot_image; damaged: they, or what is below */
};

/* What is below was looked at, and is not told of again. */
static void verify_image(struct images *v, struct snapshot_image *i)
{
    bool below = i->on && g_hash_table_contains(v->damaged, record_image(v->record, i->on));
    if (!g_hash_table_add(v->looked_at, i))
        return;
    g_autofree char *damage = damage_of(v->folder, i, below);
    g_autofree char *whose = damage ? parts_of(v->record, v->snapshots, i) : NULL;
    if (damage)
        g_ptr_array_add(v->findings, g_strdup_printf("%s: %s", whose, damage));
    if (damage || below)
        g_hash_table_add(v->damaged, i);
}

static void verify_images(const char *folder, const struct snapshot_record *r, GPtrArray *snapshots,
                          GPtrArray *findings)
{
    g_autoptr(GHashTable) looked_at = g_hash_table_new(NULL, NULL), damaged = g_hash_table_new(NULL, NULL);
    struct images v = {folder, r, snapshots, findings, looked_at, damaged};
    for (guint k = 0; k < snapshots->len; k++) {
        const struct snapshot *s = snapshots->pdata[k];
        for (guint d = 0; d < s->disks->len; d++) {
            g_autoptr(GPtrArray) chain = snapshot_disk_chain(r, s->disks->pdata[d]);
            for (guint i = chain->len; i-- > 0;)
                verify_image(&v, chain->pdata[i]);
        }
    }
}

/* ---- all of it ---- */

/* As it is when nobody changes it. */
static struct snapshot_record *settled_record(const char *folder, GError **error)
{
    int held = settings_hold(folder, error);
    struct snapshot_record *r = held >= 0 && snapshots_settle_held(folder, error) ? record_load(folder, error) : NULL;
    if (held >= 0)
        close(held);
    return r;
}

/* which: NULL: all.  NULL: an error. */
static GPtrArray *verify(const char *folder, const char *machine, const struct snapshot_record *r, const char *which,
                         GError **error)
{
    struct snapshot *one = which ? snapshots_find(r, machine, which, error) : NULL;
    g_autoptr(GPtrArray) snapshots = g_ptr_array_new();
    if (which && !one)
        return NULL;
    if (one)
        g_ptr_array_add(snapshots, one);
    else
        g_ptr_array_extend(snapshots, r->snapshots, NULL, NULL);
    GPtrArray *findings = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < snapshots->len; i++) {
        verify_settings(folder, snapshots->pdata[i], findings);
        verify_kept(folder, snapshots->pdata[i], findings);
        verify_state(folder, snapshots->pdata[i], findings);
    }
    verify_images(folder, r, snapshots, findings);
    return findings;
}

static bool is_still(const char *folder, const struct snapshot_record *r)
{
    struct snapshot_record *now = settled_record(folder, NULL);
    g_autofree char *before = record_print(r), *after = now ? record_print(now) : NULL;
    record_free(now);
    return !g_strcmp0(before, after);
}

GPtrArray *snapshots_verify(const char *machine, const char *which, GError **error)
{
    g_autofree char *folder = machines_folder(machine);
    for (unsigned i = 0; i < TRIES; i++) {
        bool held = snapshots_are_held(folder);
        struct snapshot_record *r = settled_record(folder, error);
        GPtrArray *findings = r ? verify(folder, machine, r, which, error) : NULL;
        bool count = !findings || !findings->len || (!held && !snapshots_are_held(folder) && is_still(folder, r));
        record_free(r);
        if (count)
            return findings;
        g_ptr_array_unref(findings);
    }
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED,
                "the snapshots of %s were changed while they were looked at: try again", machine);
    return NULL;
}
