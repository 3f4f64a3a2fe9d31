// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_disposable.c - a run that leaves nothing: the machine gets images on top of those that it would write to, in a folder that is
 * removed as soon as its process has opened them.  So they are gone with that process, however it ends; and what somebody leaves
 * who is killed in between is known by its lock (fresh.h), and removed by the next such start. */
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/fresh.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/host/snapshot_inside.h"
#include <unistd.h>

#define DISPOSABLE ".disposable-"

/* An image for each that is written to, named after its drive. */
static bool put_on_top(const char *folder, const char *in, GKeyFile *file, GError **error)
{
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GArray) list = g_array_new(FALSE, TRUE, sizeof(struct overlay));
    for (char **s = sections; *s; s++) {
        char *image = snapshot_written_image(file, *s);
        g_ptr_array_add(texts, image);
        if (!image)
            continue;
        if (!snapshot_may_freeze(file, *s, error))
            return false;
        char *own = g_strdup_printf("%s/%s.qcow2", in, *s), *on = g_canonicalize_filename(image, folder);
        char *format = snapshot_format_of(file, *s, image);
        struct overlay o = {own, on, format, false};
        g_ptr_array_add(texts, own);
        g_ptr_array_add(texts, on);
        g_ptr_array_add(texts, format);
        g_array_append_val(list, o);
    }
    return overlays_create(folder, in, (const struct overlay *)list->data, list->len, error);
}

bool disposable_new(const char *folder, struct disposable *d, GError **error)
{
    g_autofree char *ini = g_build_filename(folder, "machine.ini", NULL);
    fresh_clean(folder, DISPOSABLE);
    d->folder = fresh_folder(folder, DISPOSABLE, &d->lock, error);
    g_autoptr(GKeyFile) file = d->folder ? schema_load(ini, error) : NULL;
    if (file && put_on_top(folder, d->folder, file, error))
        return true;
    disposable_forget(d);
    return false;
}

void disposable_forget(struct disposable *d)
{
    if (!d->folder)
        return;
    folder_remove(d->folder, NULL);
    close(d->lock);
    g_clear_pointer(&d->folder, g_free);
}
