// SPDX-License-Identifier: GPL-2.0-or-later
/* settings_page.c - see settings_page.h. */
#include "gui/manager/settings_page.h"
#include "core-vmm/host/machines.h"
#include "gui/manager/ask.h"
#include "gui/manager/autostart.h"
#include "gui/manager/disk_add.h"
#include "gui/manager/forward_rows.h"
#include "gui/manager/medium_row.h"
#include "gui/manager/place.h"
#include "gui/manager/plug.h"
#include "gui/manager/setting_row.h"
#include "gui/manager/settings_change.h"
#include "gui/manager/titles.h"
#include <glib/gi18n.h>
#include <string.h>

struct _VmSettings {
    VmItemWidget parent_instance;
    char *layout;      /* the sections that are shown, by commas */
    GPtrArray *groups; /* struct group */
    GtkSearchEntry *search;
    GtkMenuButton *add;
    GtkWidget *later, *damaged, *beside; /* beside: what machine.ini does not have */
    GtkSwitch *autostart;
    AdwPreferencesPage *page;
};
G_DEFINE_FINAL_TYPE(VmSettings, vm_settings, vm_item_widget_get_type())

/* A section's rows: those that one is likely to want, and the others behind "More". */
struct group {
    char *section;
    AdwPreferencesGroup *widget;
    AdwExpanderRow *more;
    GPtrArray *rows; /* struct setting_row */
    struct medium_row *medium;
    struct forward_rows *forwards;
    GtkWidget *plug; /* NULL: it is no card that comes and goes */
};

static void group_free(gpointer group)
{
    struct group *g = group;
    g_clear_pointer(&g->medium, medium_row_free);
    g_clear_pointer(&g->forwards, forward_rows_free);
    g_ptr_array_unref(g->rows);
    g_free(g->section);
    g_free(g);
}

/* Of all sections; what is not here is behind "More". */
static bool is_usual(const char *section, const char *key)
{
    static const char *const machine[] = {"name", "os", "memory", "cpus", "engine", "boot", "clock", "boot-menu", NULL};
    static const char *const others[] = {"model",  "mode",   "connected", "network",  "interface",
                                         "target", "file",   "media",     "readonly", "resolution",
                                         "type",   "memory", "out",       "in",       NULL};
    return g_strv_contains(!strcmp(section, "machine") ? machine : others, key);
}

/* ---- what stands beside a group's title ---- */

/* vmctl set NAME section.key=value ... */
static void on_copy(GtkButton *b, gpointer settings)
{
    VmSettings *v = settings;
    const char *section = g_object_get_data(G_OBJECT(b), "section");
    g_autoptr(GKeyFile) file = machines_settings(vm_item_name(vm_item_of(v)), NULL);
    g_auto(GStrv) keys = file ? g_key_file_get_keys(file, section, NULL, NULL) : NULL;
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(words, g_strdup("set"));
    g_ptr_array_add(words, g_strdup(vm_item_name(vm_item_of(v))));
    for (char **k = keys; k && *k; k++) {
        g_autofree char *value = g_key_file_get_string(file, section, *k, NULL);
        g_ptr_array_add(words, g_strdup_printf("%s.%s=%s", section, *k, value));
    }
    g_ptr_array_add(words, NULL);
    g_autofree char *text = vm_command_text((const char *const *)words->pdata);
    gdk_clipboard_set_text(gtk_widget_get_clipboard(GTK_WIDGET(v)), text);
}

static void on_remove(GtkButton *b, gpointer settings)
{
    VmSettings *v = settings;
    const char *section = g_object_get_data(G_OBJECT(b), "section");
    g_autofree char *title = title_of_section(section);
    ask_remove(VM_WINDOW(gtk_widget_get_root(GTK_WIDGET(v))), vm_item_of(v), section, title);
}

static GtkWidget *button(VmSettings *v, const char *icon, const char *tip, const char *section, GCallback fn)
{
    GtkWidget *b = gtk_button_new_from_icon_name(icon);
    gtk_widget_add_css_class(b, "flat");
    gtk_widget_set_tooltip_text(b, tip);
    gtk_accessible_update_property(GTK_ACCESSIBLE(b), GTK_ACCESSIBLE_PROPERTY_LABEL, tip, -1);
    g_object_set_data_full(G_OBJECT(b), "section", g_strdup(section), g_free);
    g_signal_connect_object(b, "clicked", fn, v, 0);
    return b;
}

static GtkWidget *header(VmSettings *v, struct group *g, const char *section)
{
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 0);
    g->plug = plug_button(section);
    if (g->plug) {
        gtk_widget_set_visible(g->plug, vm_item_is_live(vm_item_of(v)));
        gtk_box_append(GTK_BOX(box), g->plug);
    }
    gtk_box_append(GTK_BOX(box),
                   button(v, "edit-copy-symbolic", _("Copy as vmctl Command"), section, G_CALLBACK(on_copy)));
    if (strcmp(section, "machine"))
        gtk_box_append(GTK_BOX(box), button(v, "user-trash-symbolic", _("Remove"), section, G_CALLBACK(on_remove)));
    return box;
}

/* ---- groups ---- */

static void add_more(struct group *g, GtkWidget *row)
{
    if (!g->more) {
        g->more = ADW_EXPANDER_ROW(adw_expander_row_new());
        adw_preferences_row_set_title(ADW_PREFERENCES_ROW(g->more), _("More"));
        adw_preferences_group_add(g->widget, GTK_WIDGET(g->more));
    }
    adw_expander_row_add_row(g->more, row);
}

static void add_rows(VmSettings *v, struct group *g, bool usual)
{
    for (const struct schema_key *k = schema_find_section(g->section)->keys; k->name; k++) {
        bool own_row = (g->medium && !strcmp(k->name, "file")) || !strcmp(k->name, "forward");
        if (own_row || is_usual(g->section, k->name) != usual)
            continue;
        struct setting_row *r = setting_row_new(vm_item_of(v), g->section, k);
        g_ptr_array_add(g->rows, r);
        if (usual)
            adw_preferences_group_add(g->widget, setting_row_widget(r));
        else
            add_more(g, setting_row_widget(r));
    }
}

static void add_group(VmSettings *v, GKeyFile *file, const char *section)
{
    struct group *g = g_new0(struct group, 1);
    g_autofree char *title = title_of_section(section);
    g->section = g_strdup(section);
    g->widget = ADW_PREFERENCES_GROUP(adw_preferences_group_new());
    g->rows = g_ptr_array_new_with_free_func(setting_row_free);
    adw_preferences_group_set_title(g->widget, title);
    adw_preferences_group_set_header_suffix(g->widget, header(v, g, section));
    if (medium_row_is_for(file, section)) {
        g->medium = medium_row_new(vm_item_of(v), section);
        adw_preferences_group_add(g->widget, medium_row_widget(g->medium));
    }
    add_rows(v, g, true);
    if (g_str_has_prefix(section, "nic")) {
        g->forwards = forward_rows_new(vm_item_of(v), section);
        adw_preferences_group_add(g->widget, forward_rows_widget(g->forwards));
    }
    add_rows(v, g, false);
    g_ptr_array_add(v->groups, g);
    adw_preferences_page_add(v->page, g->widget);
}

static void clear(VmSettings *v)
{
    for (guint i = 0; i < v->groups->len; i++)
        adw_preferences_page_remove(v->page, ((struct group *)v->groups->pdata[i])->widget);
    g_ptr_array_set_size(v->groups, 0);
    g_clear_pointer(&v->layout, g_free);
}

static void take(VmSettings *v, GKeyFile *file)
{
    for (guint i = 0; i < v->groups->len; i++) {
        struct group *g = v->groups->pdata[i];
        for (guint n = 0; n < g->rows->len; n++)
            setting_row_take(g->rows->pdata[n], file);
        if (g->medium)
            medium_row_take(g->medium, file);
        if (g->forwards)
            forward_rows_take(g->forwards, file);
    }
}

/* What a section's rows depend on beside its name: a CD drive has other ones than a disk. */
static char *layout_of(GKeyFile *file)
{
    GString *s = g_string_new(NULL);
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    for (char **g = sections; *g; g++)
        g_string_append_printf(s, "%s%s,", *g, medium_row_is_for(file, *g) ? "*" : "");
    return g_string_free(s, FALSE);
}

static void on_search(VmSettings *v)
{
    g_autofree char *folded = g_utf8_casefold(gtk_editable_get_text(GTK_EDITABLE(v->search)), -1);
    gtk_widget_set_visible(v->beside, !*folded);
    for (guint i = 0; i < v->groups->len; i++) {
        struct group *g = v->groups->pdata[i];
        bool any = false;
        for (guint n = 0; n < g->rows->len; n++) {
            bool fits = setting_row_fits(g->rows->pdata[n], folded);
            gtk_widget_set_visible(setting_row_widget(g->rows->pdata[n]), fits);
            any |= fits;
        }
        gtk_widget_set_visible(GTK_WIDGET(g->widget), any || !*folded);
        if (g->more && *folded)
            adw_expander_row_set_expanded(g->more, TRUE);
    }
}

static void on_settings(VmSettings *v)
{
    autostart_follow(v->autostart, vm_item_of(v));
    g_autoptr(GKeyFile) file = vm_item_of(v) ? machines_settings(vm_item_name(vm_item_of(v)), NULL) : NULL;
    g_autofree char *layout = file ? layout_of(file) : NULL;
    if (g_strcmp0(layout, v->layout)) {
        clear(v);
        g_auto(GStrv) sections = file ? g_key_file_get_groups(file, NULL) : NULL;
        for (char **s = sections; s && *s; s++)
            add_group(v, file, *s);
        v->layout = g_steal_pointer(&layout);
        on_search(v);
    }
    if (file)
        take(v, file);
}

static void on_live(VmSettings *v)
{
    enum vm_state state = vm_item_of(v) ? vm_item_state(vm_item_of(v)) : VM_OFF;
    gtk_widget_set_visible(v->later, state != VM_OFF && state != VM_DAMAGED);
    gtk_widget_set_visible(v->damaged, state == VM_DAMAGED);
    gtk_widget_set_visible(GTK_WIDGET(v->page), state != VM_DAMAGED);
    gtk_widget_set_sensitive(GTK_WIDGET(v->add), state != VM_DAMAGED);
    for (guint i = 0; i < v->groups->len; i++) {
        struct group *g = v->groups->pdata[i];
        if (g->plug)
            gtk_widget_set_visible(g->plug, vm_item_is_live(vm_item_of(v)));
    }
}

/* ---- cards that come and go ---- */

static void plug(GtkWidget *w, const char *action, GVariant *parameter)
{
    VmWindow *window = VM_WINDOW(gtk_widget_get_root(w));
    const char *section = g_variant_get_string(parameter, NULL);
    if (!strcmp(action, "settings.plug"))
        plug_in(window, vm_item_of(w), section);
    else
        plug_out(window, vm_item_of(w), section, !strcmp(action, "settings.pull-out"));
}

/* ---- more hardware ---- */

/* What can be added, with the assignment that makes it there. */
static const struct hardware {
    const char *title, *section, *assignment;
} hardware[] = {
    {N_("Network Card"), "nic", "mode=nat"},
    {N_("CD Drive (SATA)"), "sata", "media=cdrom"},
    {N_("CD Drive (IDE)"), "ide", "media=cdrom"},
    {N_("Floppy Drive"), "floppy", "format=raw"},
    {N_("Serial Port"), "serial", "target=pty"},
    {N_("Parallel Port"), "parallel", "target=file:printed.txt"},
    {N_("Memory Balloon"), "balloon", "report=on"},
    {N_("Random Numbers"), "rng", "virtio=transitional"},
    {N_("TPM 2.0"), "tpm", "model=crb"},
    {N_("Automatic Snapshots"), "snapshots", "every=60"},
    {N_("Sound Card"), "audio", "model=hda"},
    {N_("Guest Additions"), "additions", "identity=auto"},
    {N_("USB Tablet"), "usb", "device=tablet"},
    {N_("USB Keyboard"), "usb", "device=keyboard"},
    {N_("USB Stick"), "usb", "device=storage"},
};

static const struct schema_section *section_named(const char *name)
{
    for (const struct schema_section *s = schema_sections(); s->name; s++)
        if (!strcmp(s->name, name) && (s->count || (strcmp(name, "scsi") && strcmp(name, "usb"))))
            return s;
    return NULL;
}

/* The first of that kind that the machine does not have; NULL: it has all. */
static char *free_section(GKeyFile *file, const char *name)
{
    const struct schema_section *s = section_named(name);
    bool cd_last = !strcmp(name, "sata") || !strcmp(name, "ide"); /* disks are counted from the front */
    for (unsigned i = 0; i < MAX(s->count, 1); i++) {
        unsigned number = s->first + (cd_last ? s->count - 1 - i : i);
        g_autofree char *section = s->count ? g_strdup_printf("%s%u", name, number) : g_strdup(name);
        if (!g_key_file_has_group(file, section))
            return g_steal_pointer(&section);
    }
    return NULL;
}

static void add_hardware(GtkWidget *w, const char *action, GVariant *parameter)
{
    VmSettings *v = VM_SETTINGS(w);
    const struct hardware *h = &hardware[MIN(g_variant_get_uint32(parameter), G_N_ELEMENTS(hardware) - 1)];
    g_autoptr(GKeyFile) file = machines_settings(vm_item_name(vm_item_of(v)), NULL);
    g_autofree char *section = file ? free_section(file, h->section) : NULL;
    g_autofree char *text = section ? g_strdup_printf("%s.%s", section, h->assignment) : NULL;
    const char *const assignments[] = {text, NULL};
    if (section)
        settings_change_all(vm_item_of(v), assignments, NULL);
    else
        vm_item_set_problem(vm_item_of(v), _("The machine has as many of these as it can have."));
}

/* ---- disks ---- */

static char *free_of_kind(GKeyFile *file, const struct schema_section *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        char *section = g_strdup_printf("%s%u", s->name, s->first + i);
        if (!g_key_file_has_group(file, section))
            return section;
        g_free(section);
    }
    return NULL;
}

/* At the controller of the disk that the machine has, or at another one if that is full; NULL: there is no room. */
static char *free_disk(GKeyFile *file)
{
    static const char *const others[] = {"sata", "virtio-disk", "ide"};
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    char *found = NULL;
    for (char **g = sections; *g && !found; g++) {
        const struct schema_section *s = schema_find_section(*g);
        if (schema_is_disk(file, *g) && strcmp(s->name, "usb"))
            found = free_of_kind(file, s);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(others) && !found; i++)
        found = free_of_kind(file, section_named(others[i]));
    return found;
}

static void add_disk(GtkWidget *w, const char *action, GVariant *parameter)
{
    VmItem *m = vm_item_of(w);
    VmWindow *window = VM_WINDOW(gtk_widget_get_root(w));
    g_autoptr(GKeyFile) file = machines_settings(vm_item_name(m), NULL);
    g_autofree char *section = file ? free_disk(file) : NULL;
    if (!section)
        vm_item_set_problem(m, _("The machine has as many of these as it can have."));
    else if (!strcmp(action, "settings.add-disk"))
        disk_add_new(window, m, section);
    else
        disk_add_image(window, m, section);
}

static void add_folder(GtkWidget *w, const char *action, GVariant *parameter)
{
    place_share(VM_WINDOW(gtk_widget_get_root(w)), vm_item_of(w));
}

static void fill_menu(VmSettings *v)
{
    g_autoptr(GMenu) menu = g_menu_new();
    g_menu_append(menu, _("New Disk…"), "settings.add-disk");
    g_menu_append(menu, _("Disk Image…"), "settings.add-image");
    g_menu_append(menu, _("Shared Folder…"), "settings.add-folder");
    for (unsigned i = 0; i < G_N_ELEMENTS(hardware); i++) {
        g_autoptr(GMenuItem) item = g_menu_item_new(_(hardware[i].title), NULL);
        g_menu_item_set_action_and_target(item, "settings.add", "u", i);
        g_menu_append_item(menu, item);
    }
    gtk_menu_button_set_menu_model(v->add, G_MENU_MODEL(menu));
}

/* ---- as an object ---- */

static void taken(VmItemWidget *w)
{
    VmSettings *v = VM_SETTINGS(w);
    VmItem *item = vm_item_of(v);
    clear(v);
    if (item) {
        g_signal_connect_swapped(item, "notify::settings", G_CALLBACK(on_settings), v);
        g_signal_connect_swapped(item, "notify::state", G_CALLBACK(on_live), v);
    }
    if (gtk_widget_get_mapped(GTK_WIDGET(v)))
        on_settings(v);
    on_live(v);
}

/* The rows are many: they are made when somebody looks. */
static void map(GtkWidget *w)
{
    on_settings(VM_SETTINGS(w));
    GTK_WIDGET_CLASS(vm_settings_parent_class)->map(w);
}

static void dispose(GObject *o)
{
    VmSettings *v = VM_SETTINGS(o);
    g_clear_pointer(&v->groups, g_ptr_array_unref);
    g_clear_pointer(&v->layout, g_free);
    G_OBJECT_CLASS(vm_settings_parent_class)->dispose(o);
}

static void vm_settings_class_init(VmSettingsClass *c)
{
    GtkWidgetClass *w = GTK_WIDGET_CLASS(c);
    G_OBJECT_CLASS(c)->dispose = dispose;
    w->map = map;
    VM_ITEM_WIDGET_CLASS(c)->taken = taken;
    gtk_widget_class_set_template_from_resource(w, "/org/terrarium/Terrarium/ui/settings.ui");
    gtk_widget_class_bind_template_child(w, VmSettings, search);
    gtk_widget_class_bind_template_child(w, VmSettings, add);
    gtk_widget_class_bind_template_child(w, VmSettings, later);
    gtk_widget_class_bind_template_child(w, VmSettings, damaged);
    gtk_widget_class_bind_template_child(w, VmSettings, page);
    gtk_widget_class_bind_template_child(w, VmSettings, beside);
    gtk_widget_class_bind_template_child(w, VmSettings, autostart);
    gtk_widget_class_install_action(w, "settings.plug", "s", plug);
    gtk_widget_class_install_action(w, "settings.unplug", "s", plug);
    gtk_widget_class_install_action(w, "settings.pull-out", "s", plug);
    gtk_widget_class_install_action(w, "settings.add", "u", add_hardware);
    gtk_widget_class_install_action(w, "settings.add-disk", NULL, add_disk);
    gtk_widget_class_install_action(w, "settings.add-image", NULL, add_disk);
    gtk_widget_class_install_action(w, "settings.add-folder", NULL, add_folder);
}

static void vm_settings_init(VmSettings *v)
{
    v->groups = g_ptr_array_new_with_free_func(group_free);
    gtk_widget_init_template(GTK_WIDGET(v));
    g_signal_connect_swapped(v->search, "search-changed", G_CALLBACK(on_search), v);
    fill_menu(v);
}
