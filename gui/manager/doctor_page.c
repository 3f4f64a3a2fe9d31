// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor_page.c - see doctor_page.h. */
#include "gui/manager/doctor_page.h"
#include "gui/manager/doctor_ask.h"
#include <glib/gi18n.h>

struct _VmDoctor {
    AdwWindow parent_instance;
    GtkStack *pages;
    AdwPreferencesGroup *wrong, *good;
    GPtrArray *rows; /* borrowed; of both groups */
    GPtrArray *findings;
    GCancellable *asking;
    AdwToastOverlay *toasts;
};
G_DEFINE_FINAL_TYPE(VmDoctor, vm_doctor, ADW_TYPE_WINDOW)

/* ---- as text ---- */

static void add_line(GString *s, const char *what, const char *text)
{
    if (text)
        g_string_append_printf(s, "    %s: %s\n", what, text);
}

static void add_text(GString *s, const struct finding *f)
{
    g_string_append_printf(s, "%s: %s\n", finding_grade_name(f->grade), f->what);
    add_line(s, "cause", f->cause);
    add_line(s, "evidence", f->evidence);
    add_line(s, "fix", f->fix);
}

static void put(VmDoctor *v, const char *text)
{
    gdk_clipboard_set_text(gtk_widget_get_clipboard(GTK_WIDGET(v)), text);
    adw_toast_overlay_add_toast(v->toasts, adw_toast_new(_("Copied")));
}

/* In the words of vmctl doctor, for whoever helps from afar. */
static void copy_all(GtkWidget *w, const char *action, GVariant *parameter)
{
    VmDoctor *v = VM_DOCTOR(w);
    g_autoptr(GString) s = g_string_new("Terrarium " TERRARIUM_VERSION "\n");
    for (guint i = 0; v->findings && i < v->findings->len; i++)
        add_text(s, v->findings->pdata[i]);
    put(v, s->str);
}

static void copy_one(GtkWidget *w, const char *action, GVariant *parameter)
{
    put(VM_DOCTOR(w), g_variant_get_string(parameter, NULL));
}

/* ---- rows ---- */

static const char *icon_of(enum finding_grade grade)
{
    static const char *const icons[] = {"emblem-ok-symbolic", "dialog-information-symbolic", "dialog-warning-symbolic",
                                        "dialog-error-symbolic"};
    return icons[grade];
}

static const char *style_of(enum finding_grade grade)
{
    static const char *const styles[] = {"success", "dim-label", "warning", "error"};
    return styles[grade];
}

static GtkWidget *copy_button(const char *text)
{
    GtkWidget *b = gtk_button_new_from_icon_name("edit-copy-symbolic");
    gtk_actionable_set_action_name(GTK_ACTIONABLE(b), "doctor.copy-one");
    gtk_actionable_set_action_target(GTK_ACTIONABLE(b), "s", text);
    gtk_accessible_update_property(GTK_ACCESSIBLE(b), GTK_ACCESSIBLE_PROPERTY_LABEL, _("Copy the Fix"), -1);
    gtk_widget_set_tooltip_text(b, _("Copy the Fix"));
    gtk_widget_set_valign(b, GTK_ALIGN_CENTER);
    gtk_widget_add_css_class(b, "flat");
    return b;
}

static void add_part(AdwExpanderRow *to, const char *what, const char *text, bool copies)
{
    if (!text)
        return;
    GtkWidget *row = adw_action_row_new();
    adw_preferences_row_set_use_markup(ADW_PREFERENCES_ROW(row), FALSE);
    adw_preferences_row_set_title(ADW_PREFERENCES_ROW(row), what);
    adw_action_row_set_subtitle(ADW_ACTION_ROW(row), text);
    adw_action_row_set_subtitle_lines(ADW_ACTION_ROW(row), 0);
    if (copies)
        adw_action_row_add_suffix(ADW_ACTION_ROW(row), copy_button(text));
    adw_expander_row_add_row(to, row);
}

static void add_row(VmDoctor *v, const struct finding *f)
{
    bool good = f->grade == FINDING_GOOD;
    GtkWidget *row = adw_expander_row_new(), *icon = gtk_image_new_from_icon_name(icon_of(f->grade));
    gtk_widget_add_css_class(icon, style_of(f->grade));
    gtk_accessible_update_property(GTK_ACCESSIBLE(icon), GTK_ACCESSIBLE_PROPERTY_LABEL, finding_grade_name(f->grade),
                                   -1);
    adw_preferences_row_set_use_markup(ADW_PREFERENCES_ROW(row), FALSE);
    adw_preferences_row_set_title(ADW_PREFERENCES_ROW(row), f->what);
    adw_expander_row_add_prefix(ADW_EXPANDER_ROW(row), icon);
    add_part(ADW_EXPANDER_ROW(row), _("Cause"), f->cause, false);
    add_part(ADW_EXPANDER_ROW(row), _("Evidence"), f->evidence, false);
    add_part(ADW_EXPANDER_ROW(row), _("Fix"), f->fix, true);
    adw_expander_row_set_expanded(ADW_EXPANDER_ROW(row), f->grade >= FINDING_WARNING);
    adw_preferences_group_add(good ? v->good : v->wrong, row);
    g_ptr_array_add(v->rows, row);
}

static void clear(VmDoctor *v)
{
    for (guint i = 0; i < v->rows->len; i++) {
        GtkWidget *row = v->rows->pdata[i];
        bool wrong = gtk_widget_is_ancestor(row, GTK_WIDGET(v->wrong));
        adw_preferences_group_remove(wrong ? v->wrong : v->good, row);
    }
    g_ptr_array_set_size(v->rows, 0);
    g_clear_pointer(&v->findings, g_ptr_array_unref);
}

/* ---- looking ---- */

static void on_answer(GObject *source, GAsyncResult *result, gpointer doctor)
{
    g_autoptr(VmDoctor) v = doctor;
    GPtrArray *findings = doctor_answer(result);
    unsigned wrong = 0;
    if (!findings)
        return;
    g_clear_object(&v->asking);
    v->findings = findings;
    for (int grade = FINDING_PROBLEM; grade >= FINDING_GOOD; grade--) /* the worst first */
        for (guint i = 0; i < findings->len; i++) {
            const struct finding *f = findings->pdata[i];
            if (f->grade == (enum finding_grade)grade)
                add_row(v, f);
            wrong += f->grade == (enum finding_grade)grade && grade != FINDING_GOOD;
        }
    gtk_widget_set_visible(GTK_WIDGET(v->wrong), wrong);
    gtk_widget_set_visible(GTK_WIDGET(v->good), v->rows->len > wrong);
    adw_preferences_group_set_title(v->good, wrong ? _("As It Should Be") : _("All Is as It Should Be"));
    gtk_stack_set_visible_child_name(v->pages, "findings");
}

static void look(VmDoctor *v)
{
    if (v->asking)
        return;
    clear(v);
    gtk_stack_set_visible_child_name(v->pages, "looking");
    v->asking = g_cancellable_new();
    doctor_ask(v->asking, on_answer, g_object_ref(v));
}

static void refresh(GtkWidget *w, const char *action, GVariant *parameter)
{
    look(VM_DOCTOR(w));
}

void vm_doctor_show(VmWindow *w)
{
    VmDoctor *v = g_object_new(vm_doctor_get_type(), "transient-for", w, NULL);
    look(v);
    gtk_window_present(GTK_WINDOW(v));
}

/* ---- as an object ---- */

static void dispose(GObject *o)
{
    VmDoctor *v = VM_DOCTOR(o);
    if (v->asking)
        g_cancellable_cancel(v->asking);
    g_clear_object(&v->asking);
    g_clear_pointer(&v->rows, g_ptr_array_unref);
    g_clear_pointer(&v->findings, g_ptr_array_unref);
    gtk_widget_dispose_template(GTK_WIDGET(o), vm_doctor_get_type());
    G_OBJECT_CLASS(vm_doctor_parent_class)->dispose(o);
}

static void vm_doctor_class_init(VmDoctorClass *c)
{
    GtkWidgetClass *w = GTK_WIDGET_CLASS(c);
    G_OBJECT_CLASS(c)->dispose = dispose;
    gtk_widget_class_set_template_from_resource(w, "/org/terrarium/Terrarium/ui/doctor.ui");
    gtk_widget_class_bind_template_child(w, VmDoctor, pages);
    gtk_widget_class_bind_template_child(w, VmDoctor, wrong);
    gtk_widget_class_bind_template_child(w, VmDoctor, good);
    gtk_widget_class_bind_template_child(w, VmDoctor, toasts);
    gtk_widget_class_install_action(w, "doctor.refresh", NULL, refresh);
    gtk_widget_class_install_action(w, "doctor.copy", NULL, copy_all);
    gtk_widget_class_install_action(w, "doctor.copy-one", "s", copy_one);
    gtk_widget_class_add_binding_action(w, GDK_KEY_Escape, 0, "window.close", NULL);
}

static void vm_doctor_init(VmDoctor *v)
{
    v->rows = g_ptr_array_new();
    gtk_widget_init_template(GTK_WIDGET(v));
}
