// SPDX-License-Identifier: GPL-2.0-or-later
/* serial_page.c - see serial_page.h.  What the guest says is put into the view by the lines that have changed, not with each byte.  The line is
 * there again when the machine is. */
#include "gui/manager/serial_page.h"
#include "core-vmm/control/answer.h"
#include "gui/manager/serial_keys.h"
#include "gui/manager/serial_line.h"
#include "gui/manager/serial_text.h"
#include <glib/gi18n.h>
#include <string.h>

enum {
    SHOW_MS = 30,
    SCROLL_PRIORITY = G_PRIORITY_DEFAULT_IDLE - 10
}; /* after what draws, and before what the guest says */

struct _VmSerial {
    AdwWindow parent_instance;
    VmItem *item;
    struct serial_line *line; /* NULL: there is none */
    struct serial_text *text;
    guint show, scroll; /* sources; 0: none */
    GtkIMContext *input;
    GtkStringList *ports;
    AdwWindowTitle *title;
    GtkDropDown *port;
    GtkTextView *view;
    GtkLabel *notice;
};
G_DEFINE_FINAL_TYPE(VmSerial, vm_serial, ADW_TYPE_WINDOW)

/* ---- what is shown ---- */

static gboolean scroll_now(gpointer serial)
{
    VmSerial *v = serial;
    GtkAdjustment *a = gtk_scrollable_get_vadjustment(GTK_SCROLLABLE(v->view));
    v->scroll = 0;
    gtk_adjustment_set_value(a, gtk_adjustment_get_upper(a));
    return G_SOURCE_REMOVE;
}

/* Whoever reads further up stays there. */
static bool is_at_end(VmSerial *v)
{
    GtkAdjustment *a = gtk_scrollable_get_vadjustment(GTK_SCROLLABLE(v->view));
    return gtk_adjustment_get_value(a) + gtk_adjustment_get_page_size(a) >= gtk_adjustment_get_upper(a) - 1;
}

/* The lines from there on.  The cursor may stand behind the end of its line. */
static char *lines_from(VmSerial *v, guint first)
{
    GString *s = g_string_new(NULL);
    guint row, column, n = serial_text_count(v->text);
    serial_text_cursor(v->text, &row, &column);
    for (guint i = first; i < n; i++) {
        g_autofree char *line = serial_text_line(v->text, i);
        glong length = g_utf8_strlen(line, -1);
        g_string_append_printf(s, "%s%s", i ? "\n" : "", line);
        if (i == row && length < (glong)column)
            g_string_append_printf(s, "%*s", (int)(column - length), "");
    }
    return g_string_free(s, FALSE);
}

/* Not while something is marked, which would be marked no more. */
static void place_cursor(VmSerial *v)
{
    GtkTextBuffer *b = gtk_text_view_get_buffer(v->view);
    GtkTextIter at;
    guint row, column;
    serial_text_cursor(v->text, &row, &column);
    gtk_text_buffer_get_iter_at_line_offset(b, &at, (int)row, (int)column);
    if (!gtk_text_buffer_get_has_selection(b))
        gtk_text_buffer_place_cursor(b, &at);
}

static gboolean show_now(gpointer serial)
{
    VmSerial *v = serial;
    GtkTextBuffer *b = gtk_text_view_get_buffer(v->view);
    GtkTextIter from, to;
    guint gone, first, row, column;
    bool at_end = is_at_end(v);
    v->show = 0;
    serial_text_changed(v->text, &gone, &first);
    serial_text_cursor(v->text, &row, &column);
    first = MIN(first, row); /* spaces before the cursor */
    if (gone) {
        gtk_text_buffer_get_start_iter(b, &from);
        gtk_text_buffer_get_iter_at_line(b, &to, (int)gone);
        gtk_text_buffer_delete(b, &from, &to);
    }
    gtk_text_buffer_get_end_iter(b, &to);
    from = to;
    if ((int)first < gtk_text_buffer_get_line_count(b)) {
        gtk_text_buffer_get_iter_at_line(b, &from, (int)first);
        if (first)
            gtk_text_iter_backward_char(&from); /* the end of the line before */
    }
    g_autofree char *text = lines_from(v, first);
    gtk_text_buffer_delete(b, &from, &to);
    gtk_text_buffer_insert(b, &from, text, -1);
    place_cursor(v);
    if (at_end && !v->scroll)
        v->scroll = g_idle_add_full(SCROLL_PRIORITY, scroll_now, v, NULL);
    return G_SOURCE_REMOVE;
}

static void show_soon(VmSerial *v)
{
    if (!v->show)
        v->show = g_timeout_add(SHOW_MS, show_now, v);
}

static void notice(VmSerial *v, const char *text)
{
    gtk_label_set_label(v->notice, text ? text : "");
    gtk_widget_set_visible(GTK_WIDGET(v->notice), text != NULL);
}

/* ---- the line ---- */

static void send_text(VmSerial *v, const char *text, gsize n)
{
    if (v->line)
        serial_line_send(v->line, text, n);
}

static void on_said(void *ctx, const uint8_t *data, gsize n)
{
    VmSerial *v = ctx;
    serial_text_put(v->text, data, n);
    g_autofree char *answer = serial_text_answer(v->text);
    if (answer)
        send_text(v, answer, strlen(answer));
    show_soon(v);
}

static void on_ended(void *ctx, const char *problem)
{
    VmSerial *v = ctx;
    g_clear_pointer(&v->line, serial_line_free);
    notice(v, problem ? problem : _("The machine does not run. When it does, what its guest says shows here."));
}

static void forget_text(VmSerial *v)
{
    serial_text_free(v->text);
    v->text = serial_text_new();
    gtk_text_buffer_set_text(gtk_text_view_get_buffer(v->view), "", -1);
}

static void connect_to(VmSerial *v)
{
    guint at = gtk_drop_down_get_selected(v->port);
    const struct serial_line_calls calls = {on_said, on_ended, v};
    g_clear_pointer(&v->line, serial_line_free);
    if (at == GTK_INVALID_LIST_POSITION)
        return;
    forget_text(v);
    notice(v, NULL);
    v->line = serial_line_new(vm_item_name(v->item), gtk_string_list_get_string(v->ports, at), &calls);
}

/* The ports that it has now; while it does not run, those that it had stay chosen. */
static void on_info(VmSerial *v)
{
    JsonArray *ports = answer_array(vm_item_info(v->item), "serial");
    guint n = g_list_model_get_n_items(G_LIST_MODEL(v->ports)), count = answer_count(ports);
    if (!vm_item_info(v->item) || v->line)
        return;
    g_signal_handlers_block_by_func(v->port, connect_to, v);
    gtk_string_list_splice(v->ports, 0, n, NULL);
    for (unsigned i = 0; i < count; i++)
        gtk_string_list_append(v->ports, answer_text(answer_element(ports, i), "name", "?"));
    g_signal_handlers_unblock_by_func(v->port, connect_to, v);
    gtk_widget_set_visible(GTK_WIDGET(v->port), count > 1);
    if (count)
        connect_to(v);
    else
        notice(v, _("The machine has no serial port. Settings, Add Hardware adds one, for its next start."));
}

/* ---- keys ---- */

static void on_commit(VmSerial *v, const char *text)
{
    send_text(v, text, strlen(text));
}

static void copy(GtkWidget *w, const char *action, GVariant *parameter)
{
    VmSerial *v = VM_SERIAL(w);
    GtkTextBuffer *b = gtk_text_view_get_buffer(v->view);
    GtkTextIter start, end;
    if (!gtk_text_buffer_get_selection_bounds(b, &start, &end))
        gtk_text_buffer_get_bounds(b, &start, &end);
    g_autofree char *text = gtk_text_buffer_get_text(b, &start, &end, FALSE);
    gdk_clipboard_set_text(gtk_widget_get_clipboard(w), text);
}

/* As if it were typed: lines end as Enter ends them. */
static void on_pasted(GObject *clipboard, GAsyncResult *result, gpointer serial)
{
    g_autoptr(VmSerial) v = serial;
    g_autofree char *text = gdk_clipboard_read_text_finish(GDK_CLIPBOARD(clipboard), result, NULL);
    if (text)
        send_text(v, g_strdelimit(text, "\n", '\r'), strlen(text));
}

static void paste(GtkWidget *w, const char *action, GVariant *parameter)
{
    gdk_clipboard_read_text_async(gtk_widget_get_clipboard(w), NULL, on_pasted, g_object_ref(w));
}

/* Ctrl with Shift is this window's: Copy and Paste; Ctrl+Tab leads to the next widget, Shift+Page Up further up. */
static gboolean on_key(GtkEventControllerKey *c, guint keyval, guint code, GdkModifierType state, gpointer serial)
{
    char text[8];
    bool ours = (state & GDK_SHIFT_MASK) && (keyval == GDK_KEY_Page_Up || keyval == GDK_KEY_Page_Down);
    gsize n = ours ? 0 : serial_key(keyval, state, text);
    if (!n)
        return FALSE;
    send_text(serial, text, n);
    return TRUE;
}

static void take_keys(VmSerial *v)
{
    GtkEventController *keys = gtk_event_controller_key_new();
    v->input = gtk_im_multicontext_new();
    gtk_im_context_set_client_widget(v->input, GTK_WIDGET(v->view));
    gtk_im_context_set_use_preedit(v->input, FALSE);
    g_signal_connect_swapped(v->input, "commit", G_CALLBACK(on_commit), v);
    gtk_event_controller_key_set_im_context(GTK_EVENT_CONTROLLER_KEY(keys), v->input);
    gtk_event_controller_set_propagation_phase(keys, GTK_PHASE_CAPTURE);
    g_signal_connect(keys, "key-pressed", G_CALLBACK(on_key), v);
    gtk_widget_add_controller(GTK_WIDGET(v->view), keys);
}

/* ---- as an object ---- */

static VmSerial *open_one(VmItem *m)
{
    VmSerial *found = NULL;
    GListModel *all = gtk_window_get_toplevels();
    for (guint i = 0; i < g_list_model_get_n_items(all) && !found; i++) {
        g_autoptr(GtkWindow) t = g_list_model_get_item(all, i);
        found = VM_IS_SERIAL(t) && VM_SERIAL(t)->item == m ? VM_SERIAL(t) : NULL;
    }
    return found;
}

void vm_serial_show(VmWindow *w, VmItem *m)
{
    VmSerial *v = open_one(m);
    if (!v) {
        v = g_object_new(vm_serial_get_type(), "transient-for", w, NULL);
        v->item = g_object_ref(m);
        g_object_bind_property(m, "title", v->title, "title", G_BINDING_SYNC_CREATE);
        g_signal_connect_object(m, "notify::info", G_CALLBACK(on_info), v, G_CONNECT_SWAPPED);
        g_signal_connect_swapped(v->port, "notify::selected", G_CALLBACK(connect_to), v);
        on_ended(v, NULL);
        on_info(v);
        gtk_widget_grab_focus(GTK_WIDGET(v->view));
    }
    gtk_window_present(GTK_WINDOW(v));
}

static void dispose(GObject *o)
{
    VmSerial *v = VM_SERIAL(o);
    g_clear_pointer(&v->line, serial_line_free);
    if (v->show)
        g_source_remove(v->show);
    if (v->scroll)
        g_source_remove(v->scroll);
    v->show = v->scroll = 0;
    if (v->port)
        g_signal_handlers_disconnect_by_data(v->port, v);
    if (v->input)
        g_signal_handlers_disconnect_by_data(v->input, v);
    g_clear_object(&v->input);
    g_clear_pointer(&v->text, serial_text_free);
    g_clear_object(&v->item);
    g_clear_object(&v->ports);
    gtk_widget_dispose_template(GTK_WIDGET(o), vm_serial_get_type());
    G_OBJECT_CLASS(vm_serial_parent_class)->dispose(o);
}

static void vm_serial_class_init(VmSerialClass *c)
{
    GtkWidgetClass *w = GTK_WIDGET_CLASS(c);
    G_OBJECT_CLASS(c)->dispose = dispose;
    gtk_widget_class_set_template_from_resource(w, "/org/terrarium/Terrarium/ui/serial.ui");
    gtk_widget_class_bind_template_child(w, VmSerial, title);
    gtk_widget_class_bind_template_child(w, VmSerial, port);
    gtk_widget_class_bind_template_child(w, VmSerial, view);
    gtk_widget_class_bind_template_child(w, VmSerial, notice);
    gtk_widget_class_install_action(w, "terminal.copy", NULL, copy);
    gtk_widget_class_install_action(w, "terminal.paste", NULL, paste);
    gtk_widget_class_add_binding_action(w, GDK_KEY_C, GDK_CONTROL_MASK | GDK_SHIFT_MASK, "terminal.copy", NULL);
    gtk_widget_class_add_binding_action(w, GDK_KEY_V, GDK_CONTROL_MASK | GDK_SHIFT_MASK, "terminal.paste", NULL);
}

static void vm_serial_init(VmSerial *v)
{
    v->text = serial_text_new();
    v->ports = gtk_string_list_new(NULL);
    gtk_widget_init_template(GTK_WIDGET(v));
    gtk_drop_down_set_model(v->port, G_LIST_MODEL(v->ports));
    take_keys(v);
}
