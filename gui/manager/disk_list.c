// SPDX-License-Identifier: GPL-2.0-or-later
/* disk_list.c - see disk_list.h. */
#include "gui/manager/disk_list.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/machines.h"
#include <string.h>
#include <sys/stat.h>

static void image_free(gpointer image)
{
    struct disk_image *d = image;
    g_free(d->path);
    g_free(d->owners);
    g_free(d->format);
    g_free(d);
}

static struct disk_image *image_of(GPtrArray *list, const char *path)
{
    for (guint i = 0; i < list->len; i++)
        if (!strcmp(((struct disk_image *)list->pdata[i])->path, path))
            return list->pdata[i];
    struct disk_image *d = g_new0(struct disk_image, 1);
    struct stat st;
    d->path = g_strdup(path);
    d->missing = stat(path, &st);
    d->on_disk = d->missing ? 0 : (uint64_t)st.st_blocks * 512;
    g_ptr_array_add(list, d);
    return d;
}

static void add_drive(GPtrArray *list, VmItem *m, GKeyFile *file, const char *section, const char *folder)
{
    const struct schema_section *s = schema_find_section(section);
    g_autofree char *name = g_key_file_get_string(file, section, "file", NULL);
    g_autofree char *media = g_key_file_get_string(file, section, "media", NULL);
    if (!s || !s->drive || !name || !g_strcmp0(media, "cdrom") || !strcmp(s->name, "floppy"))
        return;
    g_autofree char *path = g_canonicalize_filename(name, folder);
    struct disk_image *d = image_of(list, path);
    char *owners = d->owners ? g_strconcat(d->owners, ", ", vm_item_title(m), NULL) : g_strdup(vm_item_title(m));
    g_free(d->owners);
    d->owners = owners;
    if (!d->format)
        d->format = g_key_file_get_string(file, section, "format", NULL);
}

static int by_path(gconstpointer a, gconstpointer b)
{
    return strcmp((*(const struct disk_image *const *)a)->path, (*(const struct disk_image *const *)b)->path);
}

GPtrArray *disk_list(VmLibrary *l)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(image_free);
    for (guint i = 0; i < g_list_model_get_n_items(G_LIST_MODEL(l)); i++) {
        g_autoptr(VmItem) m = g_list_model_get_item(G_LIST_MODEL(l), i);
        g_autofree char *folder = machines_folder(vm_item_name(m));
        g_autoptr(GKeyFile) file = machines_settings(vm_item_name(m), NULL);
        g_auto(GStrv) sections = file ? g_key_file_get_groups(file, NULL) : NULL;
        for (char **s = sections; s && *s; s++)
            add_drive(list, m, file, *s, folder);
    }
    g_ptr_array_sort(list, by_path);
    return list;
}
