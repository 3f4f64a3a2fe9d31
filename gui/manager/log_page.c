// SPDX-License-Identifier: GPL-2.0-or-later
/* log_page.c - see log_page.h.  While the page can be seen, what a file has grown by is put behind what is shown; only another file, or
 * one that grew much, is read anew. */
#include "gui/manager/log_page.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/paths.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHOWN_MOST (1 << 20) /* bytes: the last ones */
enum { LOOK_MS = 1000 };

struct _VmLog {
    VmItemWidget parent_instance;
    guint timer, scroll; /* sources; 0: none */
    off_t size;          /* of the file when it was looked at */
    off_t shown;         /* until there */
    guint held;          /* bytes that the view has, at least */
    ino_t inode;
    GtkDropDown *which;
    GtkSearchEntry *search;
    GtkTextView *view;
    GtkStack *pages;
};
G_DEFINE_FINAL_TYPE(VmLog, vm_log, vm_item_widget_get_type())

static char *path_of(VmLog *v)
{
    g_autofree char *folder = machines_folder(vm_item_name(vm_item_of(v))), *log = paths_log(folder);
    switch (gtk_drop_down_get_selected(v->which)) {
    case 1: return g_strconcat(log, ".1", NULL);
    case 2: return paths_network_log(folder);
    case 3: return paths_debug_log(folder);
    default: return g_steal_pointer(&log);
    }
}

/* Without the beginning of a character whose end is not written yet. */
static gsize whole(const char *bytes, gsize n)
{
    for (gsize back = 1; back <= 3 && back <= n; back++)
        if (g_utf8_get_char_validated(bytes + n - back, (gssize)back) == (gunichar)-2)
            return n - back;
    return n;
}

/* To be read; -1: there is none, or it is no regular file: the VM process could put a pipe there.  What is asked of the file is asked of the
 * open one: meanwhile there may be another one of that name. */
static int open_log(const char *path, struct stat *st)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || (!fstat(fd, st) && S_ISREG(st->st_mode)))
        return fd;
    close(fd);
    return -1;
}

/* From there on, but at most the last SHOWN_MOST bytes of size; *until: where it ends. */
static char *read_end(int fd, off_t from, off_t size, off_t *until)
{
    g_autofree char *bytes = g_malloc(SHOWN_MOST);
    from = MAX(size - SHOWN_MOST, from);
    ssize_t n = pread(fd, bytes, SHOWN_MOST, from);
    gsize length = whole(bytes, MAX(n, 0));
    *until = from + (off_t)length;
    return g_utf8_make_valid(bytes, (gssize)length);
}

/* ---- search ---- */

/* Marks what is searched for from there on; the first one's place, or false. */
static bool mark_from(VmLog *v, const GtkTextIter *from, GtkTextIter *first)
{
    GtkTextBuffer *b = gtk_text_view_get_buffer(v->view);
    const char *what = gtk_editable_get_text(GTK_EDITABLE(v->search));
    GtkTextIter at = *from, start, end;
    bool any = false;
    while (*what && gtk_text_iter_forward_search(&at, what, GTK_TEXT_SEARCH_CASE_INSENSITIVE, &start, &end, NULL)) {
        gtk_text_buffer_apply_tag_by_name(b, "found", &start, &end);
        if (!any)
            *first = start;
        any = true;
        at = end;
    }
    return any;
}

static void mark_found(VmLog *v)
{
    GtkTextBuffer *b = gtk_text_view_get_buffer(v->view);
    GtkTextIter start, end, first;
    gtk_text_buffer_get_bounds(b, &start, &end);
    gtk_text_buffer_remove_tag_by_name(b, "found", &start, &end);
    if (mark_from(v, &start, &first))
        gtk_text_view_scroll_to_iter(v->view, &first, 0.1, FALSE, 0, 0);
}

/* ---- the text ---- */

static gboolean scroll_now(gpointer log)
{
    VmLog *v = log;
    v->scroll = 0;
    gtk_text_view_scroll_mark_onscreen(v->view, gtk_text_buffer_get_insert(gtk_text_view_get_buffer(v->view)));
    return G_SOURCE_REMOVE;
}

/* Not at once: a view that has no size yet would begin in the middle of a line. */
static void scroll_to_end(VmLog *v)
{
    GtkTextBuffer *b = gtk_text_view_get_buffer(v->view);
    GtkTextIter end;
    gtk_text_buffer_get_end_iter(b, &end);
    gtk_text_buffer_place_cursor(b, &end);
    if (!v->scroll)
        v->scroll = g_idle_add_full(G_PRIORITY_LOW, scroll_now, v, NULL);
}

static void show_text(VmLog *v, const char *text)
{
    gtk_text_buffer_set_text(gtk_text_view_get_buffer(v->view), text, -1);
    v->held = (guint)strlen(text);
    scroll_to_end(v);
    mark_found(v);
}

/* Whoever reads further up stays there. */
static void append_text(VmLog *v, const char *text)
{
    GtkTextBuffer *b = gtk_text_view_get_buffer(v->view);
    GtkAdjustment *a = gtk_scrollable_get_vadjustment(GTK_SCROLLABLE(v->view));
    bool at_end = gtk_adjustment_get_value(a) + gtk_adjustment_get_page_size(a) >= gtk_adjustment_get_upper(a) - 1;
    GtkTextIter at, first;
    gtk_text_buffer_get_end_iter(b, &at);
    int line = gtk_text_iter_get_line(&at);
    gtk_text_buffer_insert(b, &at, text, -1);
    gtk_text_buffer_get_iter_at_line(b, &at, line);
    mark_from(v, &at, &first);
    v->held += (guint)strlen(text);
    if (at_end)
        scroll_to_end(v);
}

/* What is new of the open file; anyhow: all of it. */
static void show_file(VmLog *v, int fd, const struct stat *st, bool anyhow)
{
    off_t grown = st->st_size - v->shown;
    bool same = !anyhow && st->st_ino == v->inode;
    bool more = same && grown >= 0 && grown <= SHOWN_MOST && v->held <= 4 * SHOWN_MOST;
    if (same && st->st_size == v->size)
        return;
    g_autofree char *text = read_end(fd, more ? v->shown : 0, st->st_size, &v->shown);
    v->size = st->st_size;
    v->inode = st->st_ino;
    if (more)
        append_text(v, text);
    else
        show_text(v, text);
}

static void look(VmLog *v, bool anyhow)
{
    struct stat st;
    g_autofree char *path = vm_item_of(v) ? path_of(v) : NULL;
    int fd = path ? open_log(path, &st) : -1;
    if (fd >= 0) {
        show_file(v, fd, &st, anyhow);
        close(fd);
    } else if (path && (anyhow || v->inode)) {
        v->inode = 0;
        show_text(v, "");
    }
    gtk_stack_set_visible_child_name(v->pages, fd >= 0 ? "text" : "none");
}

static gboolean on_time(gpointer log)
{
    look(log, false);
    return G_SOURCE_CONTINUE;
}

static void on_which(VmLog *v)
{
    look(v, true);
}

static void copy(GtkWidget *w, const char *action, GVariant *parameter)
{
    GtkTextIter start, end;
    GtkTextBuffer *b = gtk_text_view_get_buffer(VM_LOG(w)->view);
    gtk_text_buffer_get_bounds(b, &start, &end);
    g_autofree char *text = gtk_text_buffer_get_text(b, &start, &end, FALSE);
    gdk_clipboard_set_text(gtk_widget_get_clipboard(w), text);
}

/* ---- as an object ---- */

static void map(GtkWidget *w)
{
    VmLog *v = VM_LOG(w);
    GTK_WIDGET_CLASS(vm_log_parent_class)->map(w);
    look(v, true);
    v->timer = g_timeout_add(LOOK_MS, on_time, v);
}

static void stop(VmLog *v)
{
    if (v->timer)
        g_source_remove(v->timer);
    if (v->scroll)
        g_source_remove(v->scroll);
    v->timer = v->scroll = 0;
}

static void unmap(GtkWidget *w)
{
    stop(VM_LOG(w));
    GTK_WIDGET_CLASS(vm_log_parent_class)->unmap(w);
}

static void taken(VmItemWidget *w)
{
    if (gtk_widget_get_mapped(GTK_WIDGET(w)))
        look(VM_LOG(w), true);
}

static void dispose(GObject *o)
{
    stop(VM_LOG(o));
    G_OBJECT_CLASS(vm_log_parent_class)->dispose(o);
}

static void vm_log_class_init(VmLogClass *c)
{
    GtkWidgetClass *w = GTK_WIDGET_CLASS(c);
    G_OBJECT_CLASS(c)->dispose = dispose;
    w->map = map;
    w->unmap = unmap;
    VM_ITEM_WIDGET_CLASS(c)->taken = taken;
    gtk_widget_class_set_template_from_resource(w, "/org/terrarium/Terrarium/ui/log.ui");
    gtk_widget_class_bind_template_child(w, VmLog, which);
    gtk_widget_class_bind_template_child(w, VmLog, search);
    gtk_widget_class_bind_template_child(w, VmLog, view);
    gtk_widget_class_bind_template_child(w, VmLog, pages);
    gtk_widget_class_install_action(w, "log.copy", NULL, copy);
}

static void vm_log_init(VmLog *v)
{
    gtk_widget_init_template(GTK_WIDGET(v));
    gtk_text_buffer_create_tag(gtk_text_view_get_buffer(v->view), "found", "background", "#f6d32d", "foreground",
                               "#000000", NULL);
    g_signal_connect_swapped(v->which, "notify::selected", G_CALLBACK(on_which), v);
    g_signal_connect_swapped(v->search, "search-changed", G_CALLBACK(mark_found), v);
}
