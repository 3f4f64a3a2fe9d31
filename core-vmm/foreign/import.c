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
#include <json-glib/json-glib.h>
#include <string.h>

#define NAME_MAX_BYTES 64

struct importing {
    const char *path;
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

static struct fence_files *files_for(const char *path)
{
    struct fence_files *f = fence_files_new();
    bool folder = g_file_test(path, G_FILE_TEST_IS_DIR);
    g_autofree char *full = g_canonicalize_filename(path, NULL),
                    *in = folder ? g_strdup(full) : g_path_get_dirname(full);
    fence_allow_images(f);
    if (!folder)
        fence_allow_beside(f, full, FENCE_READ);
    g_autofree char *data = g_build_filename(in, "Snapshots", NULL), *images = g_build_filename(in, "Data", NULL);
    fence_allow(f, folder ? full : data, FENCE_READ);
    fence_allow(f, images, FENCE_READ);
    return f;
}

struct plan *import_look(const char *path, struct machine_job *job, GError **error)
{
    struct importing i = {.path = path, .job = job};
    g_autofree char *text = NULL;
    if (!g_file_test(path, G_FILE_TEST_EXISTS)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "%s: there is no such file", path);
        return NULL;
    }
    return disk_work(look_inside, &i, files_for(path), job, &text, error) ? plan_parse(text, error) : NULL;
}

/* ---- in the second ---- */

/* "Is it one that a guest can write to?", and how the settings are to name it. */
static bool use_in_place(const struct importing *i, struct package *p, const struct plan_disk *d, struct image *im,
                         JsonObject *names, GError **error)
{
    g_autofree char *path = package_path(p, d->file, i->how->outside, error);
    if (!path || (im->append_only && !disk_fail(error, DISK_ERROR_UNSUPPORTED,
                                                "%s is compressed and cannot be written to: say --copy", path)))
        return false;
    json_object_set_string_member(names, d->section, path);
    g_autofree char *key = g_strconcat(d->section, ".format", NULL);
    json_object_set_string_member(names, key, im->format->name);
    return true;
}

static bool copy(struct importing *i, const struct plan_disk *d, struct image *im, JsonObject *names, GError **error)
{
    bool plain = d->cdrom || d->floppy;
    g_autofree char *name = g_strdup_printf("%s.%s", d->section, d->cdrom ? "iso" : plain ? "img" : "qcow2");
    g_autofree char *path = g_build_filename(i->folder, name, NULL), *key = g_strconcat(d->section, ".format", NULL);
    struct disk_convert c = {.target = path, .format = plain ? "raw" : "qcow2", .sync = true};
    struct disk_job job = {.progress = disk_tell_step, .ctx = &i->steps};
    json_object_set_string_member(names, d->section, name);
    json_object_set_string_member(names, key, c.format);
    return disk_convert_image(im, &c, &job, error);
}

/* CDs are read only, so that they can stay where they are; what is in an OVF package belongs to it. */
static bool stays(const struct importing *i, const struct package *p, const struct plan_disk *d)
{
    return !p->ova && (i->how->in_place || (d->cdrom && p->kind != FOREIGN_OVF));
}

static bool take_disk(struct importing *i, struct package *p, guint n, JsonObject *names, GError **error)
{
    const struct plan_disk *d = &g_array_index(i->plan->disks, struct plan_disk, n);
    struct image *im = package_image(p, d, i->how->outside, error);
    bool good = im;
    if (good)
        good = stays(i, p, d) ? use_in_place(i, p, d, im, names, error) : copy(i, d, im, names, error);
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
        i->steps.total += stays(i, p, d) ? 0 : im->bytes;
        image_close(im);
    }
    return true;
}

static int take_disks(void *ctx, int answer)
{
    struct importing *i = ctx;
    struct package p;
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) names = json_object_new();
    i->steps.answer = answer;
    bool good = package_open(&p, i->path, &error) && sum_up(i, &p, &error);
    for (guint n = 0; good && i->folder && n < i->plan->disks->len; n++)
        good = take_disk(i, &p, n, names, &error);
    if (!good)
        return disk_refuse(answer, error);
    g_autoptr(JsonNode) root = json_node_init_object(json_node_alloc(), names);
    g_autofree char *text = json_to_string(root, FALSE);
    disk_answer(answer, text);
    return 0;
}

/* ---- in the process that asked ---- */

/* A CD that has gone is no reason to have no machine. */
static void drop_missing(struct importing *i)
{
    g_autofree char *full = g_canonicalize_filename(i->path, NULL), *folder = g_path_get_dirname(full);
    for (guint n = i->plan->disks->len; n-- > 0;) {
        const struct plan_disk *d = &g_array_index(i->plan->disks, struct plan_disk, n);
        g_autofree char *path = g_canonicalize_filename(d->file, folder);
        bool ours = i->plan->program && strstr(i->plan->program, "OVF");
        if (!d->cdrom || ours || g_file_test(path, G_FILE_TEST_EXISTS))
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
    const struct schema_key *k = key ? schema_find(section, key, NULL) : NULL;
    return k && (schema_is_path(k, equals + 1) || (k->type == SCHEMA_CHAR && strcmp(equals + 1, "none")));
}

static void set_planned(struct importing *i, GKeyFile *file)
{
    for (guint n = 0; n < i->plan->settings->len; n++) {
        g_autoptr(GError) error = NULL;
        if (reaches_out(i->plan->settings->pdata[n]))
            g_ptr_array_add(i->plan->left, g_strdup_printf("%s, which would reach into this host",
                                                           (char *)i->plan->settings->pdata[n]));
        else if (!settings_assign(file, "the description", i->plan->settings->pdata[n], &error))
            g_ptr_array_add(i->plan->left, g_strdup(error->message));
    }
}

/* What the second child says of a disk; it may say anything. */
static bool set_disk(GKeyFile *file, JsonObject *names, const struct plan_disk *d, GError **error)
{
    g_autofree char *key = g_strconcat(d->section, ".format", NULL);
    const char *path = json_object_get_string_member_with_default(names, d->section, NULL);
    const char *format = json_object_get_string_member_with_default(names, key, NULL);
    if (!path || !format) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED, "the process that copied %s did not say where to",
                    d->file);
        return false;
    }
    g_autofree char *a = g_strdup_printf("%s.file=%s", d->section, path);
    g_autofree char *b = g_strdup_printf("%s.format=%s", d->section, format);
    return settings_assign(file, "the description", a, error) &&
           (d->cdrom || settings_assign(file, "the description", b, error));
}

static bool set_disks(struct importing *i, GKeyFile *file, const char *text, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonNode *root = json_parser_load_from_data(parser, text, -1, NULL) ? json_parser_get_root(parser) : NULL;
    JsonObject *names = root && JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
    for (guint n = 0; n < i->plan->disks->len; n++) {
        const struct plan_disk *d = &g_array_index(i->plan->disks, struct plan_disk, n);
        if (!names || !set_disk(file, names, d, error)) {
            if (!names)
                g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED,
                            "the process that copied disks answered nonsense");
            return false;
        }
    }
    return true;
}

static struct fence_files *files_to_copy(const struct importing *i)
{
    struct fence_files *f = files_for(i->path);
    g_autofree char *full = g_canonicalize_filename(i->path, NULL), *folder = g_path_get_dirname(full);
    for (guint n = 0; n < i->plan->disks->len && i->how->outside; n++) {
        const char *file = g_array_index(i->plan->disks, struct plan_disk, n).file;
        g_autofree char *path = g_canonicalize_filename(file, folder);
        fence_allow_beside(f, path, FENCE_READ | FENCE_DEVICE);
    }
    if (i->folder)
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
    g_autofree char *base = g_path_get_basename(i->path);
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
    struct importing i = {.path = path, .plan = plan, .how = how, .job = job};
    *name = how->name ? g_strdup(how->name) : usable_name(&i);
    drop_missing(&i);
    if (plan->name && g_strcmp0(plan->name, *name) && !how->name)
        g_ptr_array_add(plan->settings, g_strdup_printf("machine.name=%s", plan->name));
    if (machine_make(*name, fill, &i, error))
        return true;
    if (!how->name && g_error_matches(error ? *error : NULL, MACHINE_ERROR, MACHINE_ERROR_EXISTS))
        g_prefix_error(error, "give it another name by --name: ");
    return false;
}
