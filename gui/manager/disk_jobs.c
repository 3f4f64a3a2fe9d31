// SPDX-License-Identifier: GPL-2.0-or-later
/* disk_jobs.c - see disk_jobs.h.  The library has the table: it lives as long as the program. */
#include "gui/manager/disk_jobs.h"
#include "gui/manager/work.h"
#include <string.h>

#define TABLE "disk-jobs" /* path -> VmJob */

VmJob *disk_jobs_find(VmLibrary *l, const char *path)
{
    GHashTable *table = g_object_get_data(G_OBJECT(l), TABLE);
    return table ? g_hash_table_lookup(table, path) : NULL;
}

static gboolean is_job(gpointer path, gpointer job, gpointer ended)
{
    return job == ended;
}

static void on_done(VmLibrary *l, GParamSpec *spec, VmJob *job)
{
    g_hash_table_foreach_remove(g_object_get_data(G_OBJECT(l), TABLE), is_job, job);
}

static GHashTable *table_of(VmLibrary *l)
{
    GHashTable *table = g_object_get_data(G_OBJECT(l), TABLE);
    if (!table) {
        table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_object_unref);
        g_object_set_data_full(G_OBJECT(l), TABLE, table, (GDestroyNotify)g_hash_table_unref);
    }
    return table;
}

void disk_jobs_begin(VmWindow *w, const char *path, const char *title, const char *const *words, const char *done,
                     GtkWidget *teller)
{
    VmLibrary *l = vm_window_library(w);
    if (disk_jobs_find(l, path))
        return;
    VmJob *job = vm_job_new(title, words);
    g_hash_table_insert(table_of(l), g_strdup(path), job);
    g_signal_connect_object(job, "notify::done", G_CALLBACK(on_done), l, G_CONNECT_SWAPPED);
    work_follow(w, job, &(struct work_end){.done = done, .teller = teller, .teller_says_all = true});
}
