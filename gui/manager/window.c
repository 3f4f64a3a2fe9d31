// SPDX-License-Identifier: GPL-2.0-or-later
/* window.c - see window.h: the library at one side, the chosen machine at the other; folded where there is no room for both. */
#include "gui/manager/window.h"
#include "gui/manager/cell.h"
#include "gui/manager/details.h"
#include "gui/manager/fold.h"
#include "gui/manager/heading.h"
#include "gui/manager/machine_actions.h"
#include "gui/manager/order.h"
#include "gui/manager/remembered.h"
#include <string.h>

enum { REORDER_MS = 100 };

struct _VmWindow {
    AdwApplicationWindow parent_instance;
    VmLibrary *library;
    GtkStringFilter *filter;
    GtkFilterListModel *found;
    GtkSortListModel *sorted;
    struct fold *fold;
    GtkSingleSelection *chosen;
    AdwToastOverlay *toasts;
    GtkStack *pages, *lists;
    AdwLeaflet *leaflet;
    GtkSearchBar *search;
    GtkSearchEntry *search_entry;
    GtkListView *list;
    GtkGridView *grid;
    VmDetails *details;
    char *view;    /* "list", "grid" */
    guint reorder; /* source; 0: none */
};
G_DEFINE_FINAL_TYPE(VmWindow, vm_window, ADW_TYPE_APPLICATION_WINDOW)

VmLibrary *vm_window_library(VmWindow *w)
{
    return w->library;
}

VmItem *vm_window_item(VmWindow *w, const char *name)
{
    return *name ? vm_library_find(w->library, name) : gtk_single_selection_get_selected_item(w->chosen);
}

void vm_window_toast_action(VmWindow *w, const char *text, const char *button, const char *action, const char *target)
{
    g_autofree char *escaped = g_markup_escape_text(text, -1); /* 1.2 has no use-markup */
    AdwToast *toast = adw_toast_new(escaped);
    if (button) {
        adw_toast_set_button_label(toast, button);
        adw_toast_set_action_name(toast, action);
        adw_toast_set_action_target(toast, "s", target);
    }
    adw_toast_overlay_add_toast(w->toasts, toast);
}

void vm_window_toast(VmWindow *w, const char *text)
{
    vm_window_toast_action(w, text, NULL, NULL, NULL);
}

/* ---- which page ---- */

static void show_details(VmWindow *w)
{
    adw_leaflet_navigate(w->leaflet, ADW_NAVIGATION_DIRECTION_FORWARD);
}

void vm_window_go_back(VmWindow *w)
{
    adw_leaflet_navigate(w->leaflet, ADW_NAVIGATION_DIRECTION_BACK);
}

void vm_window_show_page(VmWindow *w, const char *page)
{
    vm_details_show_page(w->details, page);
    show_details(w);
}

static void update_pages(VmWindow *w)
{
    bool empty = !g_list_model_get_n_items(G_LIST_MODEL(w->library));
    bool nothing = !g_list_model_get_n_items(G_LIST_MODEL(w->found));
    gtk_stack_set_visible_child_name(w->pages, empty ? "empty" : "library");
    gtk_stack_set_visible_child_name(w->lists, nothing ? "nothing" : w->view);
}

/* Headings anew: after a change of order, or of what is folded. */
static void mark(VmWindow *w)
{
    bool grid = !g_strcmp0(w->view, "grid"); /* it has no headings */
    fold_suspend(w->fold, grid || *gtk_editable_get_text(GTK_EDITABLE(w->search_entry)));
    fold_mark(w->fold, G_LIST_MODEL(w->sorted));
}

void vm_window_set_view(VmWindow *w, const char *view)
{
    g_free(w->view);
    w->view = g_strdup(view);
    /* A grid has the whole window; a list has the chosen machine beside it, if there is room. */
    adw_leaflet_set_can_unfold(w->leaflet, !strcmp(view, "list"));
    mark(w);
    update_pages(w);
}

void vm_window_set_sort(VmWindow *w, const char *sort)
{
    g_autoptr(GtkSorter) sorter = order_new(sort);
    gtk_sort_list_model_set_sorter(w->sorted, sorter);
    mark(w);
}

/* Once for many changes: at a start every machine has some. */
static gboolean reorder(gpointer window)
{
    VmWindow *w = window;
    w->reorder = 0;
    gtk_sorter_changed(gtk_sort_list_model_get_sorter(w->sorted), GTK_SORTER_CHANGE_DIFFERENT);
    mark(w);
    return G_SOURCE_REMOVE;
}

static void on_reordered(VmWindow *w)
{
    if (!w->reorder)
        w->reorder = g_timeout_add(REORDER_MS, reorder, w);
}

/* ---- choosing ---- */

static void on_chosen(VmWindow *w)
{
    g_object_set(w->details, "item", gtk_single_selection_get_selected_item(w->chosen), NULL);
}

static void clear_search(VmWindow *w)
{
    gtk_editable_set_text(GTK_EDITABLE(w->search_entry), "");
    gtk_search_bar_set_search_mode(w->search, FALSE);
    gtk_string_filter_set_search(w->filter, "");
    mark(w);
}

/* False: it is not among those that are found. */
static bool select_item(VmWindow *w, const VmItem *m)
{
    guint n = g_list_model_get_n_items(G_LIST_MODEL(w->chosen));
    for (guint i = 0; i < n; i++) {
        g_autoptr(VmItem) at = g_list_model_get_item(G_LIST_MODEL(w->chosen), i);
        if (at == m) {
            gtk_single_selection_set_selected(w->chosen, i);
            return true;
        }
    }
    return false;
}

static void open_group(VmWindow *w, const char *group, bool open)
{
    fold_set(w->fold, group, !open);
    mark(w);
}

void vm_window_fold(VmWindow *w, VmItem *m)
{
    const VmItem *chosen = gtk_single_selection_get_selected_item(w->chosen);
    const char *group = vm_item_group(m);
    if (!group)
        return;
    bool in_it = chosen && !g_strcmp0(vm_item_group((VmItem *)chosen), group);
    open_group(w, group, fold_has(w->fold, group));
    if (in_it && !select_item(w, chosen))
        select_item(w, m);
}

void vm_window_choose(VmWindow *w, const char *name)
{
    VmItem *m = vm_library_look(w->library, name);
    if (!m)
        return;
    if (!select_item(w, m))
        clear_search(w);
    if (fold_has(w->fold, vm_item_group(m)))
        open_group(w, vm_item_group(m), true);
    select_item(w, m);
    show_details(w);
    /* The keyboard goes along: a list that gets it with the window would choose its first row. */
    gtk_widget_child_focus(GTK_WIDGET(w->details), GTK_DIR_TAB_FORWARD);
}

/* Beside the list a double click is for the machine; without room for both, a click is for its page. */
static void on_activate(VmWindow *w, guint at)
{
    g_autoptr(VmItem) m = g_list_model_get_item(G_LIST_MODEL(w->chosen), at);
    gtk_single_selection_set_selected(w->chosen, at);
    if (adw_leaflet_get_folded(w->leaflet))
        show_details(w);
    else if (m)
        gtk_widget_activate_action(GTK_WIDGET(w), "win.open", "s", vm_item_name(m));
}

/* ---- searching ---- */

void vm_window_search(VmWindow *w)
{
    vm_window_go_back(w);
    gtk_search_bar_set_search_mode(w->search, TRUE);
    gtk_widget_grab_focus(GTK_WIDGET(w->search_entry));
}

static void on_search(VmWindow *w)
{
    gtk_string_filter_set_search(w->filter, gtk_editable_get_text(GTK_EDITABLE(w->search_entry)));
    mark(w);
    update_pages(w);
}

/* ---- files dropped on it ---- */

static gboolean on_drop(GtkDropTarget *target, const GValue *value, double x, double y, gpointer window)
{
    GSList *files = gdk_file_list_get_files(g_value_get_boxed(value));
    g_autofree char *path = files ? g_file_get_path(files->data) : NULL;
    if (path)
        gtk_widget_activate_action(window, "win.new-from", "s", path);
    g_slist_free(files);
    return path != NULL;
}

/* ---- as an object ---- */

static void build_models(VmWindow *w)
{
    GtkExpression *words = gtk_property_expression_new(vm_item_get_type(), NULL, "words");
    w->filter = gtk_string_filter_new(words);
    w->found = gtk_filter_list_model_new(g_object_ref(G_LIST_MODEL(w->library)), g_object_ref(GTK_FILTER(w->filter)));
    w->sorted = gtk_sort_list_model_new(g_object_ref(G_LIST_MODEL(w->found)), NULL);
    GtkFilterListModel *listed =
        gtk_filter_list_model_new(g_object_ref(G_LIST_MODEL(w->sorted)), g_object_ref(fold_filter(w->fold)));
    w->chosen = gtk_single_selection_new(G_LIST_MODEL(listed));
    gtk_list_view_set_model(w->list, GTK_SELECTION_MODEL(w->chosen));
    gtk_grid_view_set_model(w->grid, GTK_SELECTION_MODEL(w->chosen));
    g_signal_connect_object(w->chosen, "notify::selected-item", G_CALLBACK(on_chosen), w, G_CONNECT_SWAPPED);
    g_signal_connect_object(w->found, "items-changed", G_CALLBACK(update_pages), w, G_CONNECT_SWAPPED);
    g_signal_connect_object(w->found, "items-changed", G_CALLBACK(on_reordered), w, G_CONNECT_SWAPPED);
    g_signal_connect_object(w->library, "reordered", G_CALLBACK(on_reordered), w, G_CONNECT_SWAPPED);
}

static void on_close(VmWindow *w)
{
    int width, height;
    gtk_window_get_default_size(GTK_WINDOW(w), &width, &height);
    remember_number("width", width);
    remember_number("height", height);
}

static gboolean on_close_request(GtkWindow *window)
{
    on_close(VM_WINDOW(window));
    return FALSE;
}

VmWindow *vm_window_new(AdwApplication *app, VmLibrary *library)
{
    VmWindow *w = g_object_new(vm_window_get_type(), "application", app, NULL);
    g_autofree char *view = remembered_text("view", "list"), *sort = remembered_text("sort", "name");
    bool grid = !strcmp(view, "grid");
    w->library = g_object_ref(library);
    w->fold = fold_new();
    build_models(w);
    window_actions_add(w, grid ? "grid" : "list", sort);
    machine_actions_add(w);
    vm_window_set_sort(w, sort);
    vm_window_set_view(w, grid ? "grid" : "list");
    gtk_window_set_default_size(GTK_WINDOW(w), remembered_number("width", 360, 4000, 960),
                                remembered_number("height", 294, 3000, 640));
    on_chosen(w);
    return w;
}

static void dispose(GObject *o)
{
    VmWindow *w = VM_WINDOW(o);
    if (w->details)
        g_object_set(w->details, "item", NULL, NULL);
    if (w->reorder)
        g_source_remove(w->reorder);
    w->reorder = 0;
    g_clear_object(&w->chosen);
    g_clear_object(&w->sorted);
    g_clear_object(&w->found);
    g_clear_object(&w->filter);
    g_clear_object(&w->library);
    g_clear_pointer(&w->fold, fold_free);
    g_clear_pointer(&w->view, g_free);
    gtk_widget_dispose_template(GTK_WIDGET(o), vm_window_get_type());
    G_OBJECT_CLASS(vm_window_parent_class)->dispose(o);
}

static void vm_window_class_init(VmWindowClass *c)
{
    GtkWidgetClass *w = GTK_WIDGET_CLASS(c);
    G_OBJECT_CLASS(c)->dispose = dispose;
    GTK_WINDOW_CLASS(c)->close_request = on_close_request;
    g_type_ensure(vm_cell_get_type());
    g_type_ensure(vm_heading_get_type());
    g_type_ensure(vm_item_get_type());
    g_type_ensure(vm_details_get_type());
    gtk_widget_class_set_template_from_resource(w, "/org/terrarium/Terrarium/ui/window.ui");
    gtk_widget_class_bind_template_child(w, VmWindow, toasts);
    gtk_widget_class_bind_template_child(w, VmWindow, pages);
    gtk_widget_class_bind_template_child(w, VmWindow, lists);
    gtk_widget_class_bind_template_child(w, VmWindow, leaflet);
    gtk_widget_class_bind_template_child(w, VmWindow, search);
    gtk_widget_class_bind_template_child(w, VmWindow, search_entry);
    gtk_widget_class_bind_template_child(w, VmWindow, list);
    gtk_widget_class_bind_template_child(w, VmWindow, grid);
    gtk_widget_class_bind_template_child(w, VmWindow, details);
}

static void vm_window_init(VmWindow *w)
{
    GtkDropTarget *drop = gtk_drop_target_new(GDK_TYPE_FILE_LIST, GDK_ACTION_COPY);
    gtk_widget_init_template(GTK_WIDGET(w));
    gtk_search_bar_connect_entry(w->search, GTK_EDITABLE(w->search_entry));
    g_signal_connect_swapped(w->search_entry, "search-changed", G_CALLBACK(on_search), w);
    g_signal_connect_swapped(w->list, "activate", G_CALLBACK(on_activate), w);
    g_signal_connect_swapped(w->grid, "activate", G_CALLBACK(on_activate), w);
    g_object_bind_property(w->leaflet, "folded", w->list, "single-click-activate", G_BINDING_SYNC_CREATE);
    g_signal_connect(drop, "drop", G_CALLBACK(on_drop), w);
    gtk_widget_add_controller(GTK_WIDGET(w), GTK_EVENT_CONTROLLER(drop));
}
