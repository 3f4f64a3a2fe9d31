// SPDX-License-Identifier: GPL-2.0-or-later
/* export.c - a machine for other programs: see foreign.h.
 *
 * All is done in one fenced child, in a folder of its own beside the new file; it may write nowhere else.  Files get their names when
 * they are complete: an OVA when it ends, an OVF after all that it names.  Each disk becomes a file without a name first, for an archive says how
 * long a member is before the member: so there must be room for the largest disk twice. */
#include "core-vmm/foreign/export.h"
#include "core-vmm/api/config.h"
#include "core-vmm/foreign/foreign.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/disk_work.h"
#include "core-vmm/host/disk_look.h"
#include "core-vmm/host/fresh.h"
#include "core-vmm/host/machine_inside.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/host/snapshots.h"
#include "disk-formats/ops/ops.h"
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE        (1u << 20)
#define EXPORT_FRESH ".export-"          /* how the folder begins that an export is made in */
#define USTAR_LIMIT  (UINT64_C(8) << 30) /* a member's size has 11 octal digits */

struct export_job {
    struct exporting e;
    const char *path, *base; /* of the new file; its name without the ending */
    const char *work;        /* the folder that the child may write to, and the new file in it */
    char *made;
    enum export_format format;
    bool replace; /* files of its names */
    struct disk_steps steps;
    /* an OVA: */
    struct blk_file *file;
    struct archive *archive;
    uint64_t at;
    GString *manifest;
};

/* ---- what writers ask ---- */

const struct export_disk *export_disk_of(const struct exporting *e, const char *section)
{
    for (guint i = 0; i < e->disks->len; i++)
        if (!strcmp(g_array_index(e->disks, struct export_disk, i).section, section))
            return &g_array_index(e->disks, struct export_disk, i);
    return NULL;
}

char *export_setting(const struct exporting *e, const char *section, const char *key)
{
    const struct config c = {e->settings, "machine.ini", section};
    return schema_find(section, key, NULL) ? config_string(&c, key) : NULL;
}

bool export_is_drive(const char *section)
{
    const struct schema_section *s = schema_find_section(section);
    return s && s->drive;
}

void export_remark_files(const struct exporting *e)
{
    g_auto(GStrv) sections = g_key_file_get_groups(e->settings, NULL);
    for (char **s = sections; *s; s++)
        for (const struct schema_key *k = schema_find_section(*s)->keys; k->name; k++) {
            g_autofree char *value = g_key_file_get_string(e->settings, *s, k->name, NULL);
            bool line = value && k->type == SCHEMA_CHAR && strcmp(value, "none");
            if ((schema_is_path(k, value) && strcmp(k->name, "file")) || line)
                export_remark(e, "%s.%s, which is of this host: %s", *s, k->name, value);
        }
}

bool export_is_uefi(const struct exporting *e)
{
    g_autofree char *firmware = export_setting(e, "machine", "firmware");
    return firmware && g_str_has_prefix(firmware, "uefi");
}

void export_remark(const struct exporting *e, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    machine_remark(e->remarks, g_strdup_vprintf(format, ap));
    va_end(ap);
}

void export_add(GString *out, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_markup_vprintf_escaped(format, ap);
    va_end(ap);
    g_string_append(out, text);
}

/* ---- disks ---- */

static struct image *open_disk(const struct export_disk *d, GError **error)
{
    const struct image_how how = {.format = d->format};
    return image_open(d->path, &how, error);
}

/* *most: an upper bound of what the largest takes, packed. */
static bool measure(struct export_job *j, uint64_t *most, GError **error)
{
    *most = 0;
    for (guint i = 0; i < j->e.disks->len; i++) {
        struct export_disk *d = &g_array_index(j->e.disks, struct export_disk, i);
        struct image *im = d->file ? open_disk(d, error) : NULL;
        uint64_t need = 0;
        bool good = !d->file || (im && disk_estimate(im, &need, error));
        d->bytes = im ? im->bytes : 0;
        j->steps.total += d->bytes;
        *most = MAX(*most, need + need / 8);
        image_close(im);
        if (!good)
            return false;
    }
    return true;
}

static bool pack_disk(struct export_job *j, const struct export_disk *d, struct blk_file *f, GError **error)
{
    static char subformat[] = "subformat=streamOptimized";
    char *options[] = {subformat, NULL};
    struct disk_convert c = {.format = "vmdk", .compress = true, .sync = true, .options = {.options = options}};
    struct disk_job job = {.progress = disk_tell_step, .ctx = &j->steps};
    struct image *im = open_disk(d, error);
    bool good = im && disk_fill(im, f, &c, &job, error);
    image_close(im);
    return good;
}

/* ---- members and their sums ---- */

/* Of a file that has no name yet; to the archive too, if there is one. */
static bool add_contents(struct export_job *j, struct blk_file *f, const char *name, GError **error)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autofree uint8_t *piece = g_malloc(PIECE);
    uint64_t bytes = blk_size(f);
    for (uint64_t at = 0; at < bytes; at += PIECE) {
        size_t n = MIN(PIECE, bytes - at);
        if (!blk_get(f, at, piece, n, "what was packed", error))
            return false;
        g_checksum_update(sum, piece, n);
        if (j->archive && archive_write_data(j->archive, piece, n) != (la_ssize_t)n)
            return disk_fail(error, DISK_ERROR_IO, "%s: %s", j->path, archive_error_string(j->archive));
    }
    g_string_append_printf(j->manifest, "SHA256(%s)= %s\n", name, g_checksum_get_string(sum));
    return true;
}

static bool begin_member(struct export_job *j, const char *name, uint64_t bytes, GError **error)
{
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_size(entry, (la_int64_t)bytes);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_mtime(entry, g_get_real_time() / G_USEC_PER_SEC, 0);
    int got = archive_write_header(j->archive, entry);
    archive_entry_free(entry);
    return got == ARCHIVE_OK ||
           disk_fail(error, DISK_ERROR_IO, "%s: %s: %s", j->path, name, archive_error_string(j->archive));
}

/* In an archive; or under its name beside the description. */
static struct blk_file *new_member(struct export_job *j, const char *name, GError **error)
{
    if (!j->archive)
        return blk_sibling(j->file, name, true, error);
    g_autofree char *path = g_build_filename(j->work, name, NULL);
    return blk_create(path, true, error); /* it never gets that name */
}

static bool add_text(struct export_job *j, const char *name, const char *text, bool summed, GError **error)
{
    gsize n = strlen(text);
    g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guint8 *)text, n);
    if (summed)
        g_string_append_printf(j->manifest, "SHA256(%s)= %s\n", name, sum);
    if (j->archive)
        return begin_member(j, name, n, error) &&
               (archive_write_data(j->archive, text, n) == (la_ssize_t)n ||
                disk_fail(error, DISK_ERROR_IO, "%s: %s", j->path, archive_error_string(j->archive)));
    struct blk_file *f = g_str_has_suffix(j->made, name) ? blk_ref(j->file) : blk_sibling(j->file, name, true, error);
    bool good = f && blk_put(f, 0, text, n, error);
    blk_close(f);
    return good;
}

static bool add_disk(struct export_job *j, const struct export_disk *d, GError **error)
{
    struct blk_file *f = new_member(j, d->file, error);
    bool good = f && pack_disk(j, d, f, error) && (!j->archive || begin_member(j, d->file, blk_size(f), error)) &&
                add_contents(j, f, d->file, error);
    blk_close(f);
    return good;
}

/* ---- packages ---- */

/* The description first, the manifest last, as DSP0243 wants it of an archive. */
static bool add_all(struct export_job *j, GError **error)
{
    g_autofree char *ovf = g_strconcat(j->base, ".ovf", NULL), *mf = g_strconcat(j->base, ".mf", NULL);
    g_autofree char *text = write_ovf(&j->e);
    bool good = add_text(j, ovf, text, true, error);
    for (guint i = 0; good && i < j->e.disks->len; i++) {
        const struct export_disk *d = &g_array_index(j->e.disks, struct export_disk, i);
        good = !d->file || add_disk(j, d, error);
    }
    return good && add_text(j, mf, j->manifest->str, false, error);
}

static la_ssize_t write_piece(struct archive *a, void *ctx, const void *data, size_t n)
{
    struct export_job *j = ctx;
    g_autoptr(GError) error = NULL;
    if (!blk_put(j->file, j->at, data, n, &error)) {
        archive_set_error(a, EIO, "%s", error->message);
        return -1;
    }
    j->at += n;
    return (la_ssize_t)n;
}

static bool write_archive(struct export_job *j, uint64_t most, GError **error)
{
    j->archive = archive_write_new();
    int got =
        most < USTAR_LIMIT ? archive_write_set_format_ustar(j->archive) : archive_write_set_format_gnutar(j->archive);
    bool good = got == ARCHIVE_OK && archive_write_open(j->archive, j, NULL, write_piece, NULL) == ARCHIVE_OK &&
                add_all(j, error);
    if (good && archive_write_close(j->archive) != ARCHIVE_OK)
        good = disk_fail(error, DISK_ERROR_IO, "%s: %s", j->path, archive_error_string(j->archive));
    else if (!good && error && !*error)
        disk_fail(error, DISK_ERROR_IO, "%s: %s", j->path, archive_error_string(j->archive));
    if (!good)
        archive_write_fail(j->archive);
    archive_write_free(j->archive);
    return good;
}

static bool write_package(struct export_job *j, GError **error)
{
    g_autofree char *domain = j->format == EXPORT_LIBVIRT ? write_libvirt(&j->e) : NULL;
    uint64_t most = 0;
    j->file = domain || measure(j, &most, error) ? blk_create(j->made, false, error) : NULL;
    if (!j->file)
        return false;
    bool archive = g_str_has_suffix(j->path, ".ova");
    bool good = domain    ? blk_put(j->file, 0, domain, strlen(domain), error)
                : archive ? write_archive(j, most, error)
                          : add_all(j, error);
    good = good && !blk_sync(j->file) && blk_publish(j->file, error);
    blk_close(j->file);
    return good;
}

/* Remarks are made in the child: they are its answer. */
static int export_all(void *ctx, int answer)
{
    struct export_job *j = ctx;
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) remarks = g_ptr_array_new_with_free_func(g_free);
    j->steps.answer = answer;
    j->e.remarks = remarks;
    if (!write_package(j, &error))
        return disk_refuse(answer, error);
    g_ptr_array_add(remarks, NULL);
    g_autofree char *text = g_strjoinv("; ", (char **)remarks->pdata);
    disk_answer(answer, text);
    return 0;
}

/* ---- in the process that asked ---- */

static void clear_disk(void *disk)
{
    struct export_disk *d = disk;
    g_free(d->section);
    g_free(d->path);
    g_free(d->format);
    g_free(d->file);
}

/* CDs and floppies are others' or nobody's: the drive goes, what is in it stays. */
static void find_disks(struct export_job *j, const char *folder, GPtrArray *remarks)
{
    g_auto(GStrv) sections = g_key_file_get_groups(j->e.settings, NULL);
    unsigned number = 0;
    for (char **s = sections; *s; s++) {
        g_autofree char *file = export_is_drive(*s) ? g_key_file_get_string(j->e.settings, *s, "file", NULL) : NULL;
        g_autofree char *format = g_key_file_get_string(j->e.settings, *s, "format", NULL);
        g_autofree char *media = g_key_file_get_string(j->e.settings, *s, "media", NULL);
        if (!file || !*file)
            continue;
        struct export_disk d = {g_strdup(*s), g_canonicalize_filename(file, folder)};
        d.format = g_strdup(format ? format : image_format_by_name(d.path));
        d.cdrom = !g_strcmp0(media, "cdrom");
        d.floppy = g_str_has_prefix(*s, "floppy");
        if (d.cdrom || d.floppy)
            machine_remark(remarks, j->format == EXPORT_LIBVIRT ? g_strdup_printf("%s stays where it is", d.path)
                                                                : g_strdup_printf("what is in %s: %s", *s, d.path));
        else if (j->format == EXPORT_OVF)
            d.file = g_strdup_printf("%s-disk%u.vmdk", j->base, ++number);
        g_array_append_val(j->e.disks, d);
    }
}

static bool may_be_written(const struct export_job *j, GError **error)
{
    g_auto(GStrv) sections = g_key_file_get_groups(j->e.settings, NULL);
    for (char **s = sections; *s; s++)
        if (g_key_file_has_key(j->e.settings, *s, "offset", NULL) ||
            g_key_file_has_key(j->e.settings, *s, "size", NULL))
            return disk_fail(
                error, DISK_ERROR_UNSUPPORTED,
                "[%s] is a part of a file (offset, size), which cannot be exported; vmctl clone makes it a whole one",
                *s);
    return true;
}

/* Names that are given in the end: of an OVF the description last. */
static GPtrArray *names_of(const struct export_job *j)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    bool several = j->format == EXPORT_OVF && !g_str_has_suffix(j->path, ".ova");
    for (guint i = 0; several && i < j->e.disks->len; i++) {
        const char *file = g_array_index(j->e.disks, struct export_disk, i).file;
        if (file)
            g_ptr_array_add(names, g_strdup(file));
    }
    if (several)
        g_ptr_array_add(names, g_strconcat(j->base, ".mf", NULL));
    g_ptr_array_add(names, g_path_get_basename(j->path));
    return names;
}

static bool path_fail(const char *path, int e, GError **error)
{
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(e), e == EEXIST ? "%s exists already" : "%s: %s", path,
                g_strerror(e));
    return false;
}

/* What one name had before lies in the work folder, to go with that.  *old: there was something. */
static bool publish(const struct export_job *j, const char *from, const char *to, bool *old, GError **error)
{
    *old = false;
    if (!renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE))
        return true;
    *old = errno == EEXIST && j->replace;
    return (*old && !renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE)) || path_fail(to, errno, error);
}

/* Nothing that is there is replaced, unless that is wanted; then all old files are back if one name cannot be given.  Of new ones, what
 * was given its name already stays when a later one is taken. */
static bool publish_all(const struct export_job *j, const char *in, GError **error)
{
    g_autoptr(GPtrArray) names = names_of(j), from = g_ptr_array_new_with_free_func(g_free),
                         to = g_ptr_array_new_with_free_func(g_free);
    g_autofree bool *old = g_new0(bool, names->len);
    bool good = true;
    guint n = 0;
    for (; good && n < names->len; n++) {
        g_ptr_array_add(from, g_build_filename(j->work, names->pdata[n], NULL));
        g_ptr_array_add(to, g_build_filename(in, names->pdata[n], NULL));
        good = publish(j, from->pdata[n], to->pdata[n], &old[n], error);
    }
    for (guint i = n; !good && i-- > 0;)
        if (old[i] && i + 1 < n)
            renameat2(AT_FDCWD, from->pdata[i], AT_FDCWD, to->pdata[i], RENAME_EXCHANGE);
    return good && folder_sync(in, error);
}

/* Only a file that no machine has as a disk, or builds one upon: of an OVF's disks each may be one. */
static bool may_replace(const char *path, GError **error)
{
    if (!g_file_test(path, G_FILE_TEST_IS_REGULAR) || g_file_test(path, G_FILE_TEST_IS_SYMLINK)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_REGULAR_FILE, "%s is no regular file, and is not replaced", path);
        return false;
    }
    g_autoptr(GPtrArray) users = disk_users(path, NULL, error);
    if (users && users->len)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_BUSY, "%s is a disk of the machine %s, and is not replaced", path,
                    (char *)users->pdata[0]);
    return users && !users->len;
}

static bool may_be_made(const struct export_job *j, const char *in, GError **error)
{
    g_autoptr(GPtrArray) names = names_of(j);
    struct stat st;
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *to = g_build_filename(in, names->pdata[i], NULL);
        if (!lstat(to, &st) && !(j->replace ? may_replace(to, error) : path_fail(to, EEXIST, error)))
            return false;
    }
    return true;
}

/* The child may write to a folder of its own, and nowhere else. */
static bool export_in(struct export_job *j, const char *folder, struct machine_job *job, GPtrArray *remarks,
                      GError **error)
{
    g_autofree char *said = NULL;
    struct fence_files *f = fence_files_new();
    fence_allow_images(f);
    fence_allow(f, folder, FENCE_READ);
    fence_allow(f, j->work, FENCE_READ | FENCE_WRITE | FENCE_MAKE);
    for (guint i = 0; i < j->e.disks->len; i++)
        fence_allow_beside(f, g_array_index(j->e.disks, struct export_disk, i).path, FENCE_READ);
    if (!disk_work(export_all, j, f, job, &said, error))
        return false;
    g_auto(GStrv) more = g_strsplit(said, "; ", -1);
    for (char **m = more; *m && **m; m++)
        machine_remark(remarks, g_strdup(*m));
    return true;
}

static bool export_held(struct export_job *j, const char *folder, struct machine_job *job, GPtrArray *remarks,
                        GError **error)
{
    g_autofree char *in = g_path_get_dirname(j->path), *base = g_path_get_basename(j->path);
    struct machine_saved saved;
    int lock;
    find_disks(j, folder, remarks);
    if (!may_be_written(j, error) || !may_be_made(j, in, error))
        return false;
    if (saved_look(j->e.name, &saved))
        machine_remark(remarks, g_strdup("its saved state: the disks are as after a power cut"));
    if (export_is_uefi(&j->e))
        machine_remark(remarks, g_strdup("what its UEFI remembers, with the keys of Secure Boot"));
    fresh_clean(in, EXPORT_FRESH); /* of those that were killed */
    g_autofree char *work = fresh_folder(in, EXPORT_FRESH, &lock, error);
    if (!work)
        return false;
    j->work = work;
    j->made = g_build_filename(work, base, NULL);
    bool good = export_in(j, folder, job, remarks, error) && publish_all(j, in, error);
    folder_remove(work, NULL);
    close(lock);
    g_free(j->made);
    return good;
}

static char *base_of(const char *path)
{
    char *base = g_path_get_basename(path), *dot = strrchr(base, '.');
    if (dot && dot != base)
        *dot = '\0';
    return base;
}

static bool settle(const char *folder, GError **error)
{
    int held = settings_hold(folder, error);
    bool good = held >= 0 && snapshots_settle_held(folder, error);
    if (held >= 0)
        close(held);
    return good;
}

bool export_machine(const char *name, const char *path, enum export_format format, bool replace,
                    struct machine_job *job, GPtrArray *remarks, GError **error)
{
    g_autofree char *full = g_canonicalize_filename(path, NULL), *base = base_of(full), *folder = paths_machine(name);
    struct export_job j = {.e.name = name,
                           .path = full,
                           .base = base,
                           .format = format,
                           .replace = replace,
                           .manifest = g_string_new(NULL)};
    int lock = vm_name_check(name, error) ? machines_hold(name, error) : -1;
    j.e.disks = g_array_new(FALSE, TRUE, sizeof(struct export_disk));
    g_array_set_clear_func(j.e.disks, clear_disk);
    j.e.settings = lock >= 0 && settle(folder, error) ? machines_settings(name, error) : NULL;
    bool good = j.e.settings && export_held(&j, folder, job, remarks, error);
    if (j.e.settings)
        g_key_file_unref(j.e.settings);
    g_array_unref(j.e.disks);
    g_string_free(j.manifest, TRUE);
    if (lock >= 0)
        close(lock);
    return good;
}
