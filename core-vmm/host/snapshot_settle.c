// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshot_settle.c - what a record has decided is done, and what nobody needs is removed, by whoever comes next.
 *
 * What the record does not have is removed by its name's pattern.  But the record can be wrong: put back from a copy that is
 * older than the images.  So nothing is removed that the present names, by whatever name, and nothing at all while there is a
 * number that the record has not given yet: a change that was killed leaves the next one, and no other. */
#include "core-vmm/host/firmware.h"
#include "core-vmm/host/machine_tpm.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/host/snapshot_inside.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)

/* ---- what was decided is done ---- */

/* A state that builds upon others goes with links to those, which are there before it is. */
static bool put_bases(const char *folder, int state, GError **error)
{
    g_autofree char *in = g_build_filename(folder, SNAPSHOTS_FOLDER, NULL);
    for (unsigned n = 1; n <= STATE_BASES_MAX; n++) {
        g_autofree char *path = paths_saved_base(folder, n), *from = snapshot_base(folder, state, n);
        if (unlink(path) && errno != ENOENT)
            return path_failed(path, error);
        if (state > 0 && link(from, path) && errno != ENOENT)
            return path_failed(path, error);
    }
    return folder_sync(in, error);
}

static bool put_state(const char *folder, int state, GError **error)
{
    g_autofree char *path = g_build_filename(folder, PATHS_SAVED, NULL);
    g_autofree char *from = state > 0 ? snapshot_path(folder, state, "state") : NULL;
    if (state == PENDING_STATE_STAYS)
        return true;
    if (unlink(path) && errno != ENOENT)
        return path_failed(path, error);
    if (!put_bases(folder, state, error))
        return false;
    if (from && link(from, path))
        return path_failed(path, error);
    return folder_sync(folder, error);
}

const struct snapshot_kept snapshot_kept[KEPT_COUNT] = {
    [KEPT_VARS] = {FIRMWARE_VARS_FILE, "vars"},
    [KEPT_TPM] = {MACHINE_TPM_FOLDER "/" MACHINE_TPM_STATE, "tpm"},
};

/* As it was at the snapshot that the present goes back to; it may have been nothing.  Nobody says so in an older record: then a copy
 * that is not there may be a lost one, and the present's file stays. */
static bool put_back(const char *folder, const struct snapshot *s, unsigned which, GError **error)
{
    const struct snapshot_kept *k = &snapshot_kept[which];
    g_autofree char *path = g_build_filename(folder, k->file, NULL), *data = NULL, *in = g_path_get_dirname(path);
    g_autofree char *from = snapshot_path(folder, s->id, k->ending);
    gsize n;
    if (s->kept[which] == KEPT_NONE)
        return !unlink(path) || errno == ENOENT || errno == ENOTDIR || path_failed(path, error);
    if (s->kept[which] == KEPT_UNKNOWN && access(from, F_OK))
        return true;
    if (g_mkdir_with_parents(in, 0700))
        return path_failed(in, error);
    return g_file_get_contents(from, &data, &n, error) && file_replace(path, data, n, error);
}

static bool put_files(const char *folder, const struct snapshot *s, GError **error)
{
    bool good = true;
    for (unsigned k = 0; s && good && k < KEPT_COUNT; k++)
        good = put_back(folder, s, k, error);
    return good;
}

bool snapshots_do_pending(const char *folder, struct snapshot_record *r, GError **error)
{
    g_autofree char *ini = g_build_filename(folder, "machine.ini", NULL);
    if (!r->pending)
        return true;
    bool goes_back = r->pending_state != PENDING_STATE_STAYS;
    if (!file_replace(ini, r->pending, strlen(r->pending), error) ||
        (goes_back && !put_files(folder, record_snapshot(r, r->current), error)) ||
        !put_state(folder, r->pending_state, error))
        return false;
    g_clear_pointer(&r->pending, g_free);
    r->pending_state = PENDING_STATE_STAYS;
    return record_store(folder, r, error);
}

/* ---- what is left over ---- */

/* Names that are given here, or by those who write files anew for us. */
static bool is_ours(const char *name)
{
    return snapshot_file_number(name) || snapshot_is_saved_base(name) ||
           g_regex_match_simple("^(record\\.json|[0-9]+\\.(ini|vars|tpm|png))\\..{6}$", name, 0, 0);
}

char *snapshot_newer_file(const char *folder, const struct snapshot_record *r)
{
    g_autofree char *in = g_build_filename(folder, SNAPSHOTS_FOLDER, NULL);
    g_autoptr(GDir) dir = g_dir_open(in, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir)))
        if (snapshot_file_number(name) > r->next)
            return g_strdup(name);
    return NULL;
}

/* What states build upon; that of a suspended machine, too. */
static void add_bases(GHashTable *names, const char *folder, const struct snapshot_record *r)
{
    g_autofree char *saved = g_build_filename(folder, PATHS_SAVED, NULL);
    bool suspended = !access(saved, F_OK) || errno != ENOENT;
    for (guint i = 0; i < r->snapshots->len; i++) {
        const struct snapshot *s = r->snapshots->pdata[i];
        for (unsigned n = 1; n <= s->bases; n++) {
            g_autofree char *path = snapshot_base(folder, s->id, n);
            g_hash_table_add(names, g_canonicalize_filename(path, folder));
        }
    }
    for (unsigned n = 1; n <= STATE_BASES_MAX && suspended; n++) {
        g_autofree char *path = paths_saved_base(folder, n);
        g_hash_table_add(names, g_canonicalize_filename(path, folder));
    }
}

/* Canonical names of all that the record has. */
static GHashTable *names_of(const char *folder, const struct snapshot_record *r)
{
    static const char *const endings[] = {"ini", "state", "vars", "tpm", "png"};
    GHashTable *names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < r->images->len; i++)
        g_hash_table_add(names, g_canonicalize_filename(((struct snapshot_image *)r->images->pdata[i])->file, folder));
    for (guint i = 0; i < r->snapshots->len; i++)
        for (unsigned k = 0; k < G_N_ELEMENTS(endings); k++) {
            const struct snapshot *s = r->snapshots->pdata[i];
            g_autofree char *path = snapshot_path(folder, s->id, endings[k]);
            g_hash_table_add(names, g_canonicalize_filename(path, folder));
        }
    add_bases(names, folder, r);
    return names;
}

/* Paths in the folder of snapshots that are ours and not among those. */
static GPtrArray *leftovers(const char *folder, GHashTable *names)
{
    GPtrArray *left = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *in = g_canonicalize_filename(SNAPSHOTS_FOLDER, folder);
    g_autoptr(GDir) dir = g_dir_open(in, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(in, name, NULL);
        if (is_ours(name) && !g_hash_table_contains(names, path))
            g_ptr_array_add(left, g_steal_pointer(&path));
    }
    return left;
}

/* By this name, and by numbers of the file system, which are the same by any name. */
static void add_file(GHashTable *files, const char *path)
{
    struct stat st;
    g_hash_table_add(files, g_strdup(path));
    if (!stat(path, &st))
        g_hash_table_add(files, g_strdup_printf("%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino));
}

static bool has_file(GHashTable *files, const char *path)
{
    struct stat st;
    g_autofree char *key =
        lstat(path, &st) ? NULL : g_strdup_printf("%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    return g_hash_table_contains(files, path) || (key && g_hash_table_contains(files, key));
}

/* Adds all that the present names; false: nobody knows. */
static bool add_present(GHashTable *files, const char *folder)
{
    g_autofree char *ini = g_build_filename(folder, "machine.ini", NULL);
    g_autoptr(GKeyFile) file = g_key_file_new();
    if (!g_key_file_load_from_file(file, ini, 0, NULL))
        return false;
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    for (char **s = sections; *s; s++) {
        g_autofree char *image = g_key_file_get_string(file, *s, "file", NULL);
        g_autofree char *path = image ? g_canonicalize_filename(image, folder) : NULL;
        if (path)
            add_file(files, path);
    }
    return true;
}

void snapshots_remove_leftovers(const char *folder, const struct snapshot_record *r)
{
    g_autofree char *newer = snapshot_newer_file(folder, r);
    g_autoptr(GHashTable) names = names_of(folder, r);
    g_autoptr(GHashTable) files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) left = leftovers(folder, names);
    if (newer || !left->len || !add_present(files, folder))
        return;
    GHashTableIter i;
    gpointer name;
    g_hash_table_iter_init(&i, names);
    while (g_hash_table_iter_next(&i, &name, NULL))
        if (!snapshot_is_state(name)) /* the same file under two names, of which one may go */
            add_file(files, name);
    for (guint k = 0; k < left->len; k++)
        if (!has_file(files, left->pdata[k]) && unlink(left->pdata[k]))
            g_debug("%s: %s", (char *)left->pdata[k], g_strerror(errno));
}

/* ---- times that a killed merge has not put back ---- */

/* A merge writes to the head of a frozen image, and then puts its time back, by which those above it know it.  Its size stays:
 * one that has another is another one.  What a running machine has written to since, and what others are being merged into, has a
 * time that the record does not know yet. */
static void put_time_back(const char *folder, const struct snapshot_image *i)
{
    g_autofree char *path = g_canonicalize_filename(i->file, folder);
    const struct timespec time[2] = {{.tv_nsec = UTIME_OMIT}, {i->changed_ns / NS_PER_S, i->changed_ns % NS_PER_S}};
    struct snapshot_image now = {.file = i->file};
    if (!i->frozen || i->live || i->merging || i->changed_ns <= 0 || !snapshot_note_time(folder, &now, NULL) ||
        now.bytes != i->bytes || now.changed_ns == i->changed_ns)
        return;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || futimens(fd, time) || fsync(fd))
        g_debug("%s: its time could not be set: %s", path, g_strerror(errno));
    if (fd >= 0)
        close(fd);
}

/* Of those on top of it, and of so many levels above them. */
static void put_times_back(const char *folder, const struct snapshot_record *r, const char *file, unsigned levels)
{
    g_autoptr(GPtrArray) children = record_children(r, file);
    for (guint i = 0; i < children->len; i++) {
        const struct snapshot_image *image = children->pdata[i];
        put_time_back(folder, image);
        if (levels)
            put_times_back(folder, r, image->file, levels - 1);
    }
}

static void mend_merges(const char *folder, const struct snapshot_record *r)
{
    for (guint i = 0; i < r->images->len; i++) {
        const struct snapshot_image *image = r->images->pdata[i];
        if (image->merging)
            put_times_back(folder, r, image->file, 1);
    }
}

/* ---- before anybody reads machine.ini ---- */

bool snapshots_settle_held(const char *folder, GError **error)
{
    struct snapshot_record *r = record_load(folder, error);
    if (r)
        mend_merges(folder, r);
    bool good = r && snapshots_do_pending(folder, r, error);
    if (good)
        snapshots_remove_leftovers(folder, r);
    record_free(r);
    return good;
}

static bool has_snapshots(const char *folder)
{
    g_autofree char *in = g_build_filename(folder, SNAPSHOTS_FOLDER, NULL);
    return g_file_test(in, G_FILE_TEST_IS_DIR);
}

bool snapshots_settle(const char *folder, GError **error)
{
    if (!has_snapshots(folder))
        return true;
    int held = settings_hold(folder, error);
    bool good = held >= 0 && snapshots_settle_held(folder, error);
    if (held >= 0)
        close(held);
    return good;
}

bool snapshots_settle_if_pending(const char *folder, GError **error)
{
    if (!has_snapshots(folder))
        return true;
    struct snapshot_record *r = record_load(folder, error);
    bool known = r, pending = r && r->pending;
    record_free(r);
    return pending ? snapshots_settle(folder, error) : known;
}
