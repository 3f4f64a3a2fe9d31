// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshots.c - taking snapshots, going back to them, and what both rely on: see snapshots.h.
 *
 * A snapshot freezes the images that the present writes to, and gives the present new ones on top of them; nothing is copied.
 * Everything new is made first, under names that nobody knows; then the record says so, which decides; then what the record has
 * as pending is done; then what nobody needs any more is removed. */
#include "core-vmm/base/crc32c.h"
#include "core-vmm/host/config_error.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/disk_look.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/host/snapshot_inside.h"
#include "disk-formats/image/image.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a change ---- */

/* An older record knows neither what lies beside it nor which numbers are taken. */
bool snapshot_is_newest(const struct change *c, GError **error)
{
    g_autofree char *newer = snapshot_newer_file(c->folder, c->record);
    if (newer)
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED,
                    "%s/" SNAPSHOTS_FOLDER
                    "/record.json is older than %s beside it, so that nobody knows what is needed: "
                    "put the newest record back from a copy",
                    c->folder, newer);
    return !newer;
}

/* No machine runs that would write to them. */
static bool settle_live(struct change *c, GError **error)
{
    for (guint i = 0; i < c->record->images->len; i++) {
        struct snapshot_image *image = c->record->images->pdata[i];
        if (image->live && !snapshot_note_lasting(c->folder, image, error))
            return false;
        image->live = false;
    }
    return true;
}

bool change_begin(struct change *c, const char *name, GError **error)
{
    GError *why = NULL;
    *c = (struct change){.name = name, .lock = -1, .held = -1, .busy = -1};
    if (!vm_name_check(name, error))
        return false;
    c->folder = paths_machine(name);
    c->lock = machines_hold(name, &why);
    if (g_error_matches(why, MACHINE_ERROR, MACHINE_ERROR_RUNNING)) {
        g_clear_error(&why);
        g_set_error(
            error, MACHINE_ERROR, MACHINE_ERROR_RUNNING,
            "%s is running: stop it, or save it (vmctl save %s; a snapshot of a saved machine goes on where it was)",
            name, name);
    } else if (why) {
        g_propagate_error(error, why);
    }
    c->held = c->lock >= 0 ? settings_hold(c->folder, error) : -1;
    if (c->held >= 0 && snapshots_settle_held(c->folder, error))
        c->record = record_load(c->folder, error);
    g_autofree char *in = g_build_filename(c->folder, SNAPSHOTS_FOLDER, NULL);
    if (!c->record || !g_file_test(in, G_FILE_TEST_IS_DIR))
        return c->record;
    c->busy = snapshots_hold(c->folder, error);
    return c->busy >= 0 && snapshot_is_newest(c, error) && settle_live(c, error);
}

/* What was made for nothing would keep those that it is on top of from being written to. */
void change_end(struct change *c)
{
    if (c->record && c->held >= 0)
        snapshots_settle_held(c->folder, NULL);
    if (c->held >= 0)
        close(c->held);
    if (c->busy >= 0)
        close(c->busy);
    if (c->lock >= 0)
        close(c->lock);
    record_free(c->record);
    g_free(c->folder);
}

bool change_commit(struct change *c, GKeyFile *settings, int state, GError **error)
{
    struct snapshot_record *r = c->record;
    if (settings) {
        r->pending = g_key_file_to_data(settings, NULL, NULL);
        r->pending_state = state;
    }
    if (!record_store(c->folder, r, error) || !snapshots_do_pending(c->folder, r, error))
        return false;
    snapshots_remove_leftovers(c->folder, r);
    return true;
}

/* ---- images ---- */

bool snapshot_same_file(const char *folder, const char *a, const char *b)
{
    g_autofree char *x = g_canonicalize_filename(a, folder), *y = g_canonicalize_filename(b, folder);
    struct stat s, t;
    return !strcmp(x, y) || (!stat(x, &s) && !stat(y, &t) && s.st_dev == t.st_dev && s.st_ino == t.st_ino);
}

struct snapshot_image *snapshot_image_at(const struct change *c, const char *file)
{
    struct snapshot_image *known = record_image(c->record, file);
    for (guint i = 0; i < c->record->images->len && !known; i++) {
        struct snapshot_image *one = c->record->images->pdata[i];
        known = snapshot_same_file(c->folder, one->file, file) ? one : NULL;
    }
    return known;
}

static int64_t changed_ns(const struct stat *st)
{
    return st->st_mtim.tv_sec * INT64_C(1000000000) + st->st_mtim.tv_nsec;
}

bool snapshot_note_time(const char *folder, struct snapshot_image *i, GError **error)
{
    g_autofree char *path = g_canonicalize_filename(i->file, folder);
    struct stat st;
    if (stat(path, &st))
        return path_failed(path, error);
    i->bytes = S_ISREG(st.st_mode) ? st.st_size : 0;
    i->changed_ns = S_ISREG(st.st_mode) ? changed_ns(&st) : 0;
    return true;
}

/* Of an image of several files only one is named here. */
bool snapshot_note_lasting(const char *folder, struct snapshot_image *i, GError **error)
{
    g_autofree char *path = g_canonicalize_filename(i->file, folder);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool good = fd >= 0 && (!strcmp(i->format, "vmdk") ? !syncfs(fd) : !fsync(fd) || errno == EINVAL || errno == EROFS);
    if (!good)
        path_failed(path, error);
    if (fd >= 0)
        close(fd);
    return good && snapshot_note_time(folder, i, error);
}

bool snapshot_image_same(const char *folder, const struct snapshot_image *i, GError **error)
{
    struct snapshot_image now = {.file = i->file};
    if (!snapshot_note_time(folder, &now, error))
        return false;
    if (i->merging || i->live || (now.bytes == i->bytes && now.changed_ns == i->changed_ns))
        return true;
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED, "%s was changed since the snapshot was taken", i->file);
    return false;
}

GPtrArray *snapshot_disk_chain(const struct snapshot_record *r, const struct snapshot_disk *d)
{
    GPtrArray *chain = g_ptr_array_new();
    for (struct snapshot_image *i = record_image(r, d->file); i; i = i->on ? record_image(r, i->on) : NULL)
        g_ptr_array_add(chain, i);
    return chain;
}

GPtrArray *snapshot_chain(const struct snapshot_record *r, const struct snapshot *s)
{
    GPtrArray *all = g_ptr_array_new();
    for (guint k = 0; k < s->disks->len; k++) {
        g_autoptr(GPtrArray) chain = snapshot_disk_chain(r, s->disks->pdata[k]);
        for (guint i = 0; i < chain->len; i++)
            if (!g_ptr_array_find(all, chain->pdata[i], NULL))
                g_ptr_array_add(all, chain->pdata[i]);
    }
    return all;
}

/* ---- the present's disks ---- */

/* Those that a guest writes to; what is removable, or is only read, is as it is. */
char *snapshot_written_image(GKeyFile *file, const char *section)
{
    const struct schema_section *s = schema_find_section(section);
    g_autofree char *media = g_key_file_get_string(file, section, "media", NULL);
    g_autofree char *image = g_key_file_get_string(file, section, "file", NULL);
    g_autofree char *readonly = g_key_file_get_string(file, section, "readonly", NULL);
    bool disk = s && s->drive && strcmp(s->name, "floppy") && g_strcmp0(media, "cdrom");
    return disk && image && *image && g_strcmp0(readonly, "on") ? g_steal_pointer(&image) : NULL;
}

char *snapshot_format_of(GKeyFile *file, const char *section, const char *image)
{
    char *format = g_key_file_get_string(file, section, "format", NULL);
    return format ? format : g_strdup(image_format_by_name(image));
}

/* One image has one name in the record, whatever machine.ini calls it. */
static struct snapshot_image *image_for(struct change *c, GKeyFile *file, const char *section, const char *image)
{
    struct snapshot_image *known = snapshot_image_at(c, image);
    g_autofree char *format = snapshot_format_of(file, section, image);
    return known ? known : record_add_image(c->record, image, format, NULL);
}

bool snapshot_may_freeze(GKeyFile *file, const char *section, GError **error)
{
    if (!g_key_file_has_key(file, section, "offset", NULL) && !g_key_file_has_key(file, section, "size", NULL))
        return true;
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED,
                "[%s] is a part of a file (offset, size), which nothing can be put on top of: no snapshot can have it; "
                "readonly=on leaves it out, and independent=on",
                section);
    return false;
}

/* New images on top of those of the list's drives, into the settings and the record. */
bool snapshot_put_on_top(struct change *c, GKeyFile *file, GPtrArray *disks, unsigned number, GError **error)
{
    g_autoptr(GArray) list = g_array_new(FALSE, TRUE, sizeof(struct overlay));
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *in = g_build_filename(c->folder, SNAPSHOTS_FOLDER, NULL);
    for (guint i = 0; i < disks->len; i++) {
        const struct snapshot_disk *d = disks->pdata[i];
        char *name = snapshot_fresh_image(d->drive, number);
        struct overlay o = {name, d->file, record_image(c->record, d->file)->format, c->lock < 0};
        g_ptr_array_add(names, name);
        g_array_append_val(list, o);
    }
    if (!overlays_create(c->folder, in, (const struct overlay *)list->data, list->len, error))
        return false;
    for (guint i = 0; i < disks->len; i++) {
        const struct snapshot_disk *d = disks->pdata[i];
        struct snapshot_image *image = record_add_image(c->record, names->pdata[i], "qcow2", d->file);
        image->ours = true;
        g_key_file_set_string(file, d->drive, "file", names->pdata[i]);
        g_key_file_set_string(file, d->drive, "format", "qcow2");
    }
    return true;
}

/* ---- take ---- */

bool snapshot_find_disks(struct change *c, GKeyFile *file, struct snapshot *s, GError **error)
{
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    for (char **section = sections; *section; section++) {
        g_autofree char *image = snapshot_written_image(file, *section);
        if (!image)
            continue;
        if (snapshot_is_independent(file, *section)) {
            if (!snapshot_may_stay_out(c, file, *section, error))
                return false;
            continue;
        }
        if (!snapshot_may_freeze(file, *section, error))
            return false;
        snapshot_add_disk(s, *section, image_for(c, file, *section, image)->file);
    }
    return true;
}

/* One that is frozen already, and was written to all the same, is damage to other snapshots, which must stay to be seen. */
static bool freeze(struct change *c, const struct snapshot *s, GError **error)
{
    for (guint i = 0; i < s->disks->len; i++) {
        struct snapshot_image *image = record_image(c->record, ((struct snapshot_disk *)s->disks->pdata[i])->file);
        if (image->frozen ? !snapshot_image_same(c->folder, image, error)
                          : !snapshot_note_lasting(c->folder, image, error))
            return false;
        image->frozen = true;
    }
    return true;
}

/* A copy, for the present goes on writing to its own. */
static bool keep_small(const struct change *c, struct snapshot *s, unsigned which, const char *from, GError **error)
{
    g_autofree char *copy = snapshot_path(c->folder, s->id, snapshot_kept[which].ending), *data = NULL;
    GError *why = NULL;
    gsize n;
    bool there = g_file_get_contents(from, &data, &n, &why);
    if (g_error_matches(why, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
        g_error_free(why);
        s->kept[which] = KEPT_NONE;
        return true;
    }
    if (!there) {
        g_propagate_error(error, why);
        return false;
    }
    s->kept[which] = crc32c(0, data, n);
    return file_replace(copy, data, n, error);
}

bool snapshot_keep_files(const struct change *c, struct snapshot *s, const struct snapshot_files *f, GError **error)
{
    g_autofree char *copy = snapshot_path(c->folder, s->id, "ini"), *state = snapshot_path(c->folder, s->id, "state");
    struct stat st;
    bool good = file_replace(copy, f->settings, strlen(f->settings), error);
    s->settings = crc32c(0, f->settings, strlen(f->settings));
    for (unsigned k = 0; good && k < KEPT_COUNT; k++) {
        g_autofree char *own = g_build_filename(c->folder, snapshot_kept[k].file, NULL);
        good = keep_small(c, s, k, k == KEPT_VARS && f->vars ? f->vars : own, error);
    }
    if (!good || !f->state)
        return good;
    if (lstat(f->state, &st))
        return path_failed(f->state, error);
    s->state_bytes = st.st_size;
    for (; f->bases && f->bases[s->bases]; s->base_bytes[s->bases++] = st.st_size)
        if (lstat(f->bases[s->bases], &st))
            return path_failed(f->bases[s->bases], error);
    return (!s->bases || snapshot_link_bases(c->folder, s->id, f->bases, error)) &&
           (!link(f->state, state) || path_failed(state, error));
}

/* The settings as they are, and the saved state if there is one: the same file under another name. */
static bool keep_files(struct change *c, struct snapshot *s, GError **error)
{
    g_autofree char *ini = machines_ini(c->name), *text = NULL, *saved = g_build_filename(c->folder, PATHS_SAVED, NULL);
    struct stat st;
    bool is_saved = !lstat(saved, &st);
    if (!is_saved && errno != ENOENT)
        return path_failed(saved, error);
    g_auto(GStrv) bases = snapshot_saved_bases(c->folder);
    struct snapshot_files files = {.state = is_saved ? saved : NULL, .bases = bases};
    if (!g_file_get_contents(ini, &text, NULL, error))
        return false;
    files.settings = text;
    return snapshot_keep_files(c, s, &files, error);
}

static bool take(struct change *c, struct snapshot *s, GError **error)
{
    g_autofree char *in = g_build_filename(c->folder, SNAPSHOTS_FOLDER, NULL);
    g_autoptr(GKeyFile) file = machines_settings(c->name, error);
    if (!file || !snapshot_find_disks(c, file, s, error) || !snapshot_put_on_top(c, file, s->disks, s->id, error) ||
        !freeze(c, s, error) || !keep_files(c, s, error) || !folder_sync(in, error))
        return false;
    return change_commit(c, file, PENDING_STATE_STAYS, error);
}

/* Images are never there without a record, so one that is missing is seen to be. */
bool snapshot_begin_record(const struct change *c, GError **error)
{
    g_autofree char *in = g_build_filename(c->folder, SNAPSHOTS_FOLDER, NULL);
    if (g_mkdir_with_parents(in, 0700))
        return path_failed(in, error);
    return c->record->next > 1 || record_store(c->folder, c->record, error);
}

static bool text_fits(const char *text, const char *what, GError **error)
{
    if (!text || (strlen(text) <= SNAPSHOT_TEXT_MAX && g_utf8_validate(text, -1, NULL)))
        return true;
    g_set_error(error, CONFIG_ERROR, CONFIG_VALUE, "the %s of a snapshot is at most %d bytes of UTF-8", what,
                SNAPSHOT_TEXT_MAX);
    return false;
}

static char *automatic_name(unsigned id, gint64 time)
{
    g_autoptr(GDateTime) t = g_date_time_new_from_unix_local(time);
    g_autofree char *when = t ? g_date_time_format(t, "%F %H:%M") : g_strdup("?");
    return g_strdup_printf("automatic %s (%u)", when, id);
}

bool snapshot_name_fits(const struct snapshot_record *r, const struct snapshot *own, const char *name, GError **error)
{
    if (!text_fits(name, "name", error))
        return false;
    for (guint i = 0; name && i < r->snapshots->len; i++) {
        const struct snapshot *s = r->snapshots->pdata[i];
        if (s != own && !g_strcmp0(s->name, name)) {
            g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_EXISTS, "snapshot %u is called \"%s\" already", s->id,
                        name);
            return false;
        }
    }
    bool empty = name && strcmp(name, SNAPSHOT_AUTOMATIC) && strspn(name, "0123456789") == strlen(name),
         control = false;
    for (const char *p = name; p && *p && !control; p = g_utf8_next_char(p))
        control = g_unichar_iscntrl(g_utf8_get_char(p));
    if (empty)
        g_set_error(error, CONFIG_ERROR, CONFIG_VALUE, "a snapshot's name cannot be empty or a number");
    else if (control)
        g_set_error(error, CONFIG_ERROR, CONFIG_VALUE, "a snapshot's name cannot have control characters");
    return !empty && !control;
}

/* Can so many more things be made?  The record holds the number behind the last one too. */
static bool numbers_left(const struct change *c, unsigned count, GError **error)
{
    if (c->record->next <= G_MAXINT32 - count)
        return true;
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED, "the record of %s's snapshots has no more numbers to give",
                c->name);
    return false;
}

bool snapshot_may_take_next(const struct change *c, const char *name, const char *description, GError **error)
{
    const struct snapshot_record *r = c->record;
    if (!snapshot_name_fits(r, NULL, name, error) || !text_fits(description, "description", error) ||
        !numbers_left(c, 1, error))
        return false;
    if (r->snapshots->len < SNAPSHOTS_MAX)
        return true;
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED, "%s has %u snapshots, and can have no more", c->name,
                r->snapshots->len);
    return false;
}

/* It becomes what the present builds upon. */
void snapshot_add(struct snapshot_record *r, struct snapshot *s, const char *name, const char *description)
{
    s->parent = r->current;
    s->time = g_get_real_time() / G_USEC_PER_SEC;
    s->automatic = !g_strcmp0(name, SNAPSHOT_AUTOMATIC);
    s->name = s->automatic ? automatic_name(s->id, s->time) : g_strdup(name);
    s->description = g_strdup(description);
    g_ptr_array_add(r->snapshots, s);
    r->current = s->id;
}

static bool take_next(struct change *c, const char *name, const char *description, unsigned *id, GError **error)
{
    struct snapshot_record *r = c->record;
    if (!snapshot_may_take_next(c, name, description, error) || !snapshot_begin_record(c, error))
        return false;
    struct snapshot *s = snapshot_new(r->next++);
    snapshot_add(r, s, name, description);
    *id = s->id;
    return take(c, s, error);
}

bool snapshots_take(const char *machine, const char *name, const char *description, unsigned *id, GError **error)
{
    struct change c;
    bool good = change_begin(&c, machine, error) && take_next(&c, name, description, id, error);
    change_end(&c);
    return good;
}

/* ---- restore ---- */

static GKeyFile *settings_of(const struct change *c, const struct snapshot *s, GError **error)
{
    g_autofree char *path = snapshot_path(c->folder, s->id, "ini"), *text = NULL;
    gsize n;
    if (!g_file_get_contents(path, &text, &n, error))
        return NULL;
    if (crc32c(0, text, n) == s->settings)
        return schema_load(path, error);
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED, "%s was changed since the snapshot was taken", path);
    return NULL;
}

static bool is_whole(const struct change *c, const struct snapshot *s, GError **error)
{
    g_autoptr(GPtrArray) chain = snapshot_chain(c->record, s);
    for (guint i = 0; i < chain->len; i++)
        if (!snapshot_image_same(c->folder, chain->pdata[i], error))
            return false;
    g_autofree char *damage = snapshot_kept_damage(c->folder, s);
    damage = damage ? damage : snapshot_state_damage(c->folder, s);
    if (damage)
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED, "snapshot %u: %s", s->id, damage);
    return !damage;
}

/* What only the present has goes with it; nobody else may need it. */
static bool drop_present(struct change *c, GError **error)
{
    struct snapshot_record *r = c->record;
    for (guint i = r->images->len; i-- > 0;) {
        const struct snapshot_image *image = r->images->pdata[i];
        g_autofree char *path = g_canonicalize_filename(image->file, c->folder);
        if (image->frozen || !image->ours)
            continue;
        g_autoptr(GPtrArray) users = disk_users(path, c->name, error);
        if (!users)
            return false;
        if (users->len) {
            g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_IN_USE, "%s needs %s, which would be lost",
                        (char *)users->pdata[0], path);
            return false;
        }
        g_ptr_array_remove_index(r->images, i);
    }
    return true;
}

/* file, disks: its settings, and of its disks those that go back; it is whole. */
static bool restore(struct change *c, const struct snapshot *s, GKeyFile *file, GPtrArray *disks, GError **error)
{
    unsigned number = c->record->next++;
    int state = !s->state_bytes ? PENDING_STATE_GOES : s->moved ? (int)number : (int)s->id;
    g_autofree char *retold = snapshot_path(c->folder, number, "state");
    g_auto(GStrv) bases = snapshot_bases(c->folder, s, false);
    if (!drop_present(c, error) || !snapshot_put_on_top(c, file, disks, number, error) ||
        (state == (int)number &&
         (!snapshot_retell_state(c, s, retold, error) || !snapshot_link_bases(c->folder, number, bases, error))))
        return false;
    c->record->current = s->id;
    return change_commit(c, file, state, error);
}

bool snapshots_restore(const char *machine, const char *which, const char *keep, GError **error)
{
    struct change c;
    unsigned kept;
    bool good = change_begin(&c, machine, error);
    struct snapshot *s = good ? snapshots_find(c.record, machine, which, error) : NULL;
    g_autoptr(GKeyFile) file = s && is_whole(&c, s, error) ? settings_of(&c, s, error) : NULL;
    g_autoptr(GKeyFile) present = file ? machines_settings(c.name, error) : NULL;
    g_autoptr(GPtrArray) disks = present ? snapshot_keep_independent(&c, s, present, file, keep, error) : NULL;
    good = disks && numbers_left(&c, keep ? 2 : 1, error) && (!keep || take_next(&c, keep, NULL, &kept, error)) &&
           restore(&c, s, file, disks, error);
    change_end(&c);
    return good;
}

/* ---- looking, and names ---- */

struct snapshot_record *snapshots_list(const char *name, GError **error)
{
    g_autofree char *folder = machines_folder(name);
    return record_load(folder, error);
}

struct snapshot *snapshots_find(const struct snapshot_record *r, const char *machine, const char *which, GError **error)
{
    guint64 id;
    if (g_ascii_string_to_unsigned(which, 10, 1, G_MAXINT32, &id, NULL) && record_snapshot(r, id))
        return record_snapshot(r, id);
    for (guint i = 0; i < r->snapshots->len; i++)
        if (!g_strcmp0(((struct snapshot *)r->snapshots->pdata[i])->name, which))
            return r->snapshots->pdata[i];
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_NOT_FOUND,
                "%s has no snapshot %s; vmctl snapshot list %s shows those there are", machine, which, machine);
    return NULL;
}

bool snapshots_edit(const char *machine, const char *which, const char *name, const char *description, GError **error)
{
    struct change c;
    bool good = change_begin(&c, machine, error);
    struct snapshot *s = good ? snapshots_find(c.record, machine, which, error) : NULL;
    good = s && snapshot_name_fits(c.record, s, name, error) && text_fits(description, "description", error);
    if (good && name) {
        g_free(s->name);
        s->name = g_strdup(name);
        s->automatic = false; /* somebody wants it */
    }
    if (good && description) {
        g_free(s->description);
        s->description = g_strdup(description);
    }
    good = good && change_commit(&c, NULL, PENDING_STATE_STAYS, error);
    change_end(&c);
    return good;
}

bool snapshots_trying(const char *machine)
{
    struct snapshot_record *r = snapshots_list(machine, NULL);
    bool trying = r && snapshots_find(r, machine, SNAPSHOT_TRY, NULL);
    record_free(r);
    return trying;
}
