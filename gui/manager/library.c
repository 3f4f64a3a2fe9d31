// SPDX-License-Identifier: GPL-2.0-or-later
/* library.c - see library.h. */
#include "gui/manager/library.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/paths.h"

struct _VmLibrary {
    GObject parent_instance;
    GListStore *items;
    GHashTable *by_name; /* name -> VmItem, borrowed from items */
    struct machine_watch *watch;
};

static void list_model(GListModelInterface *i);
G_DEFINE_FINAL_TYPE_WITH_CODE(VmLibrary, vm_library, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(G_TYPE_LIST_MODEL, list_model))

VmItem *vm_library_find(VmLibrary *l, const char *name)
{
    return g_hash_table_lookup(l->by_name, name);
}

static bool is_there(const char *name)
{
    g_autofree char *folder = machines_folder(name);
    return g_file_test(folder, G_FILE_TEST_IS_DIR);
}

static void take_away(VmLibrary *l, const char *name)
{
    guint at;
    VmItem *m = vm_library_find(l, name);
    if (!m || !g_list_store_find(l->items, m, &at))
        return;
    vm_item_forget(m);
    g_hash_table_remove(l->by_name, name);
    g_list_store_remove(l->items, at);
}

static void on_order(VmLibrary *l)
{
    g_signal_emit_by_name(l, "reordered");
}

static VmItem *item_new(VmLibrary *l, const char *name)
{
    static const char *const signals[] = {"notify::title", "notify::group", "notify::state"};
    VmItem *m = vm_item_new(name);
    g_hash_table_insert(l->by_name, (gpointer)vm_item_name(m), m);
    for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++)
        g_signal_connect_object(m, signals[i], G_CALLBACK(on_order), l, G_CONNECT_SWAPPED);
    return m;
}

/* One of that name that was made since the other was deleted is another machine: a question about the other is not about it. */
VmItem *vm_library_look(VmLibrary *l, const char *name)
{
    VmItem *m = vm_library_find(l, name);
    if (m && vm_item_is_there(m)) {
        vm_item_look(m);
        return m;
    }
    take_away(l, name);
    if (!is_there(name))
        return NULL;
    g_autoptr(VmItem) fresh = item_new(l, name);
    g_list_store_append(l->items, fresh);
    return fresh;
}

/* Whatever is told: what counts is what there is now.  Several changes may be told late, and together. */
static void on_change(void *ctx, const char *name, enum machine_change change)
{
    vm_library_look(ctx, name);
}

static void on_items(GListModel *items, guint at, guint removed, guint added, gpointer library)
{
    g_list_model_items_changed(G_LIST_MODEL(library), at, removed, added);
}

static void load(VmLibrary *l)
{
    g_autoptr(GPtrArray) names = paths_list(NULL), items = g_ptr_array_new_with_free_func(g_object_unref);
    machines_sweep();
    for (guint i = 0; names && i < names->len; i++) {
        if (!is_there(names->pdata[i]))
            continue;
        g_ptr_array_add(items, item_new(l, names->pdata[i]));
    }
    g_list_store_splice(l->items, 0, 0, items->pdata, items->len);
}

VmLibrary *vm_library_new(GError **error)
{
    VmLibrary *l = g_object_new(vm_library_get_type(), NULL);
    l->watch = machines_watch(on_change, l, error);
    load(l);
    return l;
}

/* ---- as an object ---- */

static GType item_type(GListModel *l)
{
    return vm_item_get_type();
}

static guint item_count(GListModel *l)
{
    return g_list_model_get_n_items(G_LIST_MODEL(VM_LIBRARY(l)->items));
}

static gpointer item_at(GListModel *l, guint at)
{
    return g_list_model_get_item(G_LIST_MODEL(VM_LIBRARY(l)->items), at);
}

static void list_model(GListModelInterface *i)
{
    i->get_item_type = item_type;
    i->get_n_items = item_count;
    i->get_item = item_at;
}

static void dispose(GObject *o)
{
    VmLibrary *l = VM_LIBRARY(o);
    g_clear_pointer(&l->watch, machine_watch_free);
    g_clear_pointer(&l->by_name, g_hash_table_unref);
    g_clear_object(&l->items);
    G_OBJECT_CLASS(vm_library_parent_class)->dispose(o);
}

static void vm_library_class_init(VmLibraryClass *c)
{
    G_OBJECT_CLASS(c)->dispose = dispose;
    g_signal_new("reordered", G_TYPE_FROM_CLASS(c), G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void vm_library_init(VmLibrary *l)
{
    l->items = g_list_store_new(vm_item_get_type());
    l->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    g_signal_connect(l->items, "items-changed", G_CALLBACK(on_items), l);
}
