// SPDX-License-Identifier: GPL-2.0-or-later
/* fold.c - see fold.h. */
#include "gui/manager/fold.h"
#include "gui/manager/remembered.h"

struct fold {
    GHashTable *groups; /* a set of words */
    GtkFilter *filter;
    bool suspended;
};

bool fold_has(const struct fold *f, const char *group)
{
    return group && !f->suspended && g_hash_table_contains(f->groups, group);
}

/* A machine that came since the headings were given is in the group of one that has its heading, or will have it soon. */
static gboolean is_listed(gpointer item, gpointer fold)
{
    g_autofree char *heading = NULL;
    if (!fold_has(fold, vm_item_group(item)))
        return TRUE;
    g_object_get(item, "heading", &heading, NULL);
    return heading != NULL;
}

struct fold *fold_new(void)
{
    struct fold *f = g_new0(struct fold, 1);
    g_auto(GStrv) groups = remembered_texts("folded");
    f->groups = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (char **g = groups; g && *g; g++)
        g_hash_table_add(f->groups, g_strdup(*g));
    f->filter = GTK_FILTER(gtk_custom_filter_new(is_listed, f, NULL));
    return f;
}

void fold_free(struct fold *f)
{
    if (!f)
        return;
    gtk_custom_filter_set_filter_func(GTK_CUSTOM_FILTER(f->filter), NULL, NULL, NULL);
    g_object_unref(f->filter);
    g_hash_table_unref(f->groups);
    g_free(f);
}

GtkFilter *fold_filter(struct fold *f)
{
    return f->filter;
}

void fold_suspend(struct fold *f, bool on)
{
    f->suspended = on;
}

void fold_set(struct fold *f, const char *group, bool folded)
{
    guint n;
    if (folded)
        g_hash_table_add(f->groups, g_strdup(group));
    else
        g_hash_table_remove(f->groups, group);
    g_autofree gpointer *words = g_hash_table_get_keys_as_array(f->groups, &n);
    remember_texts("folded", (const char *const *)words, n);
}

/* How many machines, from there on, are in the group of the first of them. */
static guint count_from(GListModel *sorted, guint at, const char *group)
{
    guint n = 0;
    for (bool same = true; same; n += same) {
        g_autoptr(VmItem) m = g_list_model_get_item(sorted, at + n);
        same = m && !g_strcmp0(vm_item_group(m), group);
    }
    return n;
}

void fold_mark(struct fold *f, GListModel *sorted)
{
    const char *before = NULL;
    for (guint i = 0; i < g_list_model_get_n_items(sorted); i++) {
        g_autoptr(VmItem) m = g_list_model_get_item(sorted, i);
        const char *group = vm_item_group(m);
        bool first = g_strcmp0(group, before);
        guint hidden = first && fold_has(f, group) ? count_from(sorted, i, group) : 0;
        vm_item_set_heading(m, first ? group : NULL, hidden);
        before = group; /* borrowed from an item that the model has */
    }
    gtk_filter_changed(f->filter, GTK_FILTER_CHANGE_DIFFERENT);
}
