// SPDX-License-Identifier: GPL-2.0-or-later
/* import.c - a machine from another program's description: see foreign.h.
 *
 * Two children do the work.  The first reads the description and the checksums and answers with a plan; the second copies the
 * disks into the folder that becomes the machine.  What the first says is checked like settings that a user types. */
#include "core-vmm/foreign/foreign.h"
#include "core-vmm/foreign/package.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/disk_look.h"
#include "core-vmm/host/disk_work.h"
#include "core-vmm/host/machine_inside.h"
#include "core-vmm/host/paths.h"
#include "disk-formats/ops/ops.h"
#include <string.h>
#include <unistd.h>

#define NAME_MAX_BYTES 64

struct importing {
    const char *path, *description;
    bool archive, ovf; /* an OVA; OVF, in one or beside its files */
    struct plan *plan;
    const struct import_how *how;
    struct machine_job *job;
    const char *folder;      /* of the new machine; NULL: it is only looked at */
    struct disk_steps steps; /* in a child */
};

/* ---- in the first child ---- */

static void tell_read(void *ctx, uint64_t bytes)
{
    struct importing *i = ctx;
    i->steps.done += bytes;
    disk_tell_progress(i->steps.answer, MIN(i->steps.done, i->steps.total), i->steps.total);
}

static bool look(struct importing *i, struct package *p, GError **error)
{
    struct found f;
    GError *why = NULL;
    found_init(&f);
    if (foreign_read(p->kind, p->text, p->n, &f, &why))
        i->plan = found_plan(&f);
    else
        g_propagate_prefixed_error(error, why, "%s: ", p->about);
    found_clear(&f);
    i->steps.total = p->ova ? p->ova->bytes : 0;
    return i->plan && package_verify(p, i->steps.total ? tell_read : NULL, i, i->plan, error);
}

static int look_inside(void *ctx, int answer)
{
    struct importing *i = ctx;
    struct package p;
    g_autoptr(GError) error = NULL;
    i->steps.answer = answer;
    if (!package_open(&p, i->path, &error) || !look(i, &p, &error))
        return disk_refuse(answer, error);
    g_autofree char *text = plan_print(i->plan);
    disk_answer(answer, text);
    return 0;
}

/* Without outside, nothing but what lies beside the description, and in the folders of its own that VirtualBox and UTM make. */
static struct fence_files *files_for(const char *path, bool outside)
{
    static const char *const own[] = {"Snapshots", "Data", "Images"};
    struct fence_files *f = fence_files_new();
    g_autofree char *description = package_description(path), *folder = g_path_get_dirname(description);
    if (outside)
        fence_allow_images(f);
    fence_allow_beside(f, description, FENCE_READ);
    fence_allow(f, "/dev/urandom", FENCE_READ); /* ids of new images */
    for (unsigned i = 0; i < G_N_ELEMENTS(own); i++) {
        g_autofree char *below = g_build_filename(folder, own[i], NULL);
        fence_allow(f, below, FENCE_READ);
    }
    return f;
}

struct plan *import_look(const char *path, struct machine_job *job, GError **error)
{
    struct importing i = {.path = path, .job = job};
    g_autofree char *text = NULL;
    if (access(path, F_OK)) {
        path_failed(path, error);
        return NULL;
    }
    return disk_work(look_inside, &i, files_for(path, false), job, &text, error) ? plan_parse(text, error) : NULL;
}

/* ---- in the second ---- */

/* Its answer: the formats of those that stay where they are, a word each. */
static bool use_in_place(struct image *im, GString *answer, GError **error)
{
    if (im->append_only)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s is compressed and cannot be written to: say --copy",
                         im->file->path);
    g_string_append_printf(answer, "%s ", im->format->name);
    return true;
}

/* The name that a copy gets in the machine's folder; the section has been checked. */
static char *copy_name(const struct plan_disk *d)
{
    return g_strdup_printf("%s.%s", d->section, d->cdrom ? "iso" : d->floppy ? "img" : "qcow2");
}

static bool copy(struct importing *i, const struct plan_disk *d, struct image *im, GError **error)
{
    g_autofree char *name = copy_name(d), *path = g_build_filename(i->folder, name, NULL);
    struct disk_convert c = {.target = path, .format = d->cdrom || d->floppy ? "raw" : "qcow2", .sync = true};
    struct disk_job job = {.progress = disk_tell_step, .ctx = &i->steps};
    return disk_convert_image(im, &c, &job, error);
}

/* CDs are read only, so that they can stay where they are; what is in an OVF package belongs to it. */
static bool stays(const struct importing *i, const struct plan_disk *d)
{
    return !i->archive && (i->how->in_place || (d->cdrom && !i->ovf));
}

static bool take_disk(struct importing *i, struct package *p, guint n, GString *answer, GError **error)
{
    const struct plan_disk *d = &g_array_index(i->plan->disks, struct plan_disk, n);
    struct image *im = package_image(p, d, i->how->outside, error);
    bool good = im && (stays(i, d) ? use_in_place(im, answer, error) : copy(i, d, im, error));
    image_close(im);
    return good;
}

static bool sum_up(struct importing *i, struct package *p, GError **error)
{
    for (guint n = 0; n < i->plan->disks->len; n++) {
        const struct plan_disk *d = &g_array_index(i->plan->disks, struct plan_disk, n);
        struct image *im = package_image(p, d, i->how->outside, error);
        if (!im)
            return false;
        i->steps.total += stays(i, d) ? 0 : im->bytes;
        image_close(im);
    }
    return true;
}

static int take_disks(void *ctx, int answer)
{
    struct importing *i = ctx;
    struct package p;
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) formats = g_string_new(NULL);
    i->steps.answer = answer;
    bool good = package_open(&p, i->path, &error) && sum_up(i, &p, &error);
    for (guint n = 0; good && n < i->plan->disks->len; n++)
        good = take_disk(i, &p, n, formats, &error);
    if (!good)
        return disk_refuse(answer, error);
    disk_answer(answer, formats->str);
    return 0;
}

/* ---- in the process that asked ---- */

/* The first child may have been taken over: a plan is as good as what anybody types. */
static bool check_disks(const struct importing *i, GError **error)
{
    for (guint n = 0; n < i->plan->disks->len; n++) {
        const struct plan_disk *d = &g_array_index(i->plan->disks, struct plan_disk, n);
        const struct schema_section *s = schema_find_section(d->section);
        bool good = s && s->drive && g_utf8_validate(d->file, -1, NULL) && *d->file;
        for (const char *p = d->file; good && *p; p = g_utf8_next_char(p))
            good = !g_unichar_iscntrl(g_utf8_get_char(p));
        for (guint k = 0; good && k < n; k++)
            good = strcmp(g_array_index(i->plan->disks, struct plan_disk, k).section, d->section) != 0;
        if (!good) {
            g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED,
                        "the description has an image for \"%s\", which is no drive or has one already", d->section);
            return false;
        }
    }
    return true;
}

/* A CD that has gone is no reason to have no machine. */
static void drop_missing(struct importing *i)
{
    for (guint n = i->plan->disks->len; n-- > 0;) {
        const struct plan_disk *d = &g_array_index(i->plan->disks, struct plan_disk, n);
        g_autofree char *path = package_locate(i->description, d->file);
        if (!d->cdrom || i->ovf || g_file_test(path, G_FILE_TEST_EXISTS))
            continue;
        g_ptr_array_add(i->plan->left,
                        g_strdup_printf("the CD %s, which is not there: %s is empty", d->file, d->section));
        g_array_remove_index(i->plan->disks, n);
    }
}

/* "section.key=value" that reaches files of this host: nobody else says so. */
static bool reaches_out(const char *setting)
{
    const char *dot = strchr(setting, '.'), *equals = strchr(setting, '=');
    g_autofree char *section = dot ? g_strndup(setting, dot - setting) : NULL;
    g_autofree char *key = dot && equals > dot ? g_strndup(dot + 1, equals - dot - 1) : NULL;
    bool format = key && !strcmp(key, "format"); /* of an empty drive: it names no file */
    return key && !format && schema_find(section, key, NULL) && !found_travels(section, key, equals + 1);
}

static void set_planned(struct importing *i, GKeyFile *file)
{
    for (guint n = 0; n < i->plan->settings->len; n++) {
        g_autoptr(GError) error = NULL;
        const char *setting = i->plan->settings->pdata[n];
        if (reaches_out(setting))
            g_ptr_array_add(i->plan->left, g_strdup_printf("%s, which would reach into this host", setting));
        else if (!settings_assign(file, "the description", setting, &error))
            g_ptr_array_add(i->plan->left, g_strdup(error->message));
    }
}

static bool set_key(GKeyFile *file, const char *section, const char *key, const char *value, GError **error)
{
    if (!schema_check_value("the description", section, key, value, error))
        return false;
    g_key_file_set_string(file, section, key, value);
    return true;
}

/* Where each image is, is worked out here; the child's word counts for formats of those that it looked at. */
static bool set_disks(struct importing *i, GKeyFile *file, const char *said, GError **error)
{
    g_auto(GStrv) formats = g_strsplit(said, " ", -1);
    char **format = formats;
    for (guint n = 0; n < i->plan->disks->len; n++) {
        const struct plan_disk *d = &g_array_index(i->plan->disks, struct plan_disk, n);
        bool there = stays(i, d);
        g_autofree char *path = there ? package_path(i->description, d->file, i->how->outside, error) : copy_name(d);
        const char *kind = !there ? d->floppy ? "raw" : "qcow2" : *format ? *format++ : "";
        if (!path || !set_key(file, d->section, "file", path, error) ||
            (!d->cdrom && !set_key(file, d->section, "format", kind, error)))
            return false;
    }
    return true;
}

static struct fence_files *files_to_copy(const struct importing *i)
{
    struct fence_files *f = files_for(i->path, i->how->outside);
    for (guint n = 0; n < i->plan->disks->len; n++) {
        const char *file = g_array_index(i->plan->disks, struct plan_disk, n).file;
        g_autofree char *path = i->archive ? NULL : package_path(i->description, file, i->how->outside, NULL);
        if (path)
            fence_allow_beside(f, path, FENCE_READ | FENCE_DEVICE);
    }
    fence_allow(f, i->folder, FENCE_READ | FENCE_WRITE | FENCE_MAKE);
    return f;
}

static bool fill(void *ctx, const char *folder, GError **error)
{
    struct importing *i = ctx;
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *ini = g_build_filename(folder, "machine.ini", NULL), *text = NULL;
    i->folder = folder;
    settings_heading(file);
    set_planned(i, file);
    if (!disk_work(take_disks, i, files_to_copy(i), i->job, &text, error) || !set_disks(i, file, text, error))
        return false;
    for (char **s = i->how->sets; s && *s; s++)
        if (!settings_assign(file, "--set", *s, error))
            return false;
    return schema_check_together(file, "setting", folder, error) && settings_write(file, ini, error) &&
           folder_sync(folder, error);
}

/* What it is called there, as a machine can be called here. */
static char *usable_name(const struct importing *i)
{
    g_autofree char *base = g_filename_display_basename(i->path); /* a file's name may be any bytes */
    char *dot = strrchr(base, '.');
    if (dot && dot != base)
        *dot = '\0';
    const char *from = i->plan->name && *i->plan->name ? i->plan->name : base;
    GString *name = g_string_new(NULL);
    for (const char *p = from; *p && name->len < NAME_MAX_BYTES - 6; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        bool good = c > 127 ? !g_unichar_iscntrl(c) : g_ascii_isalnum(c) || (name->len && strchr("-_. ", (int)c));
        if (good)
            g_string_append_unichar(name, c);
        else if (name->len)
            g_string_append_c(name, '-');
    }
    g_strchomp(name->str);
    return g_string_free(name, FALSE);
}

bool import_make(const char *path, struct plan *plan, const struct import_how *how, struct machine_job *job,
                 char **name, GError **error)
{
    g_autofree char *description = package_description(path);
    struct importing i = {.path = path, .description = description, .plan = plan, .how = how, .job = job};
    i.archive = ova_looks_like(description);
    i.ovf = plan->program && strstr(plan->program, "OVF");
    *name = how->name ? g_strdup(how->name) : usable_name(&i);
    if (!check_disks(&i, error))
        return false;
    drop_missing(&i);
    if (plan->name && g_strcmp0(plan->name, *name) && !how->name)
        g_ptr_array_add(plan->settings, g_strdup_printf("machine.name=%s", plan->name));
    if (machine_make(*name, fill, &i, error))
        return true;
    if (!how->name && g_error_matches(error ? *error : NULL, MACHINE_ERROR, MACHINE_ERROR_EXISTS))
        g_prefix_error(error, "give it another name by --name: ");
    return false;
}
