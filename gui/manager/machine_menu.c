// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_menu.c - see machine_menu.h. */
#include "gui/manager/machine_menu.h"
#include <glib/gi18n.h>

enum { WHEN_OFF = 1, WHEN_SAVED = 2, WHEN_RUNNING = 4, WHEN_PAUSED = 8, WHEN_SILENT = 16, WHEN_DAMAGED = 32 };
enum { LIVE = WHEN_RUNNING | WHEN_PAUSED, STANDS = WHEN_OFF | WHEN_SAVED, ALWAYS = 63 };

static const struct entry {
    const char *label, *action; /* label NULL: a line between sections */
    unsigned when;
} entries[] = {
    {N_("_Start"), "start", STANDS},
    {N_("Show _Screen"), "show", LIVE},
    {N_("Serial Termina_l"), "serial", LIVE},
    {N_("Memor_y of the Guest"), "memory", LIVE},
    {N_("Run _in the Guest…"), "guest", LIVE},
    {N_("_Resume"), "resume", WHEN_PAUSED},
    {N_("_Pause"), "pause", WHEN_RUNNING},
    {N_("Sa_ve"), "save", LIVE},
    {NULL},
    {N_("S_hut Down"), "shut-down", LIVE},
    {N_("Reset…"), "reset", LIVE},
    {N_("_Force Off…"), "force-off", LIVE | WHEN_SILENT},
    {NULL},
    {N_("Take S_napshot"), "take-snapshot", STANDS | LIVE},
    {N_("_Try It Safely"), "try", STANDS | LIVE},
    {N_("Discard Saved State…"), "discard-state", WHEN_SAVED},
    {NULL},
    {N_("Ren_ame…"), "rename", STANDS | LIVE},
    {N_("_Group…"), "set-group", STANDS | LIVE},
    {N_("_Clone…"), "clone", WHEN_OFF},
    {N_("_Export as OVA…"), "export", STANDS},
    {N_("_Move Disks…"), "move", STANDS},
    {N_("Remote Screen (VNC)…"), "remote", STANDS | LIVE},
    {N_("_Open Folder"), "open-folder", ALWAYS},
    {NULL},
    {N_("_Delete…"), "delete", STANDS | WHEN_DAMAGED},
};

static unsigned when_of(enum vm_state state)
{
    switch (state) {
    case VM_OFF: return WHEN_OFF;
    case VM_SAVED: return WHEN_SAVED;
    case VM_RUNNING: return WHEN_RUNNING;
    case VM_PAUSED: return WHEN_PAUSED;
    case VM_BEGINS:
    case VM_SILENT: return WHEN_SILENT;
    case VM_DAMAGED: return WHEN_DAMAGED;
    }
    return 0;
}

GMenuModel *machine_menu(VmItem *m)
{
    GMenu *menu = g_menu_new(), *section = g_menu_new();
    unsigned when = when_of(vm_item_state(m));
    for (unsigned i = 0; i <= G_N_ELEMENTS(entries); i++) {
        const struct entry *e = i < G_N_ELEMENTS(entries) ? &entries[i] : NULL;
        if (e && e->label && e->when & when) {
            g_autofree char *action = g_strconcat("win.", e->action, NULL);
            g_autoptr(GMenuItem) item = g_menu_item_new(_(e->label), NULL);
            g_menu_item_set_action_and_target(item, action, "s", vm_item_name(m));
            g_menu_append_item(section, item);
        } else if ((!e || !e->label) && g_menu_model_get_n_items(G_MENU_MODEL(section))) {
            g_menu_append_section(menu, NULL, G_MENU_MODEL(section));
            g_object_unref(section);
            section = g_menu_new();
        }
    }
    g_object_unref(section);
    return G_MENU_MODEL(menu);
}

/* Not at once: the action of the chosen entry is yet to come. */
static gboolean unparent(gpointer popover)
{
    gtk_widget_unparent(popover);
    g_object_unref(popover);
    return G_SOURCE_REMOVE;
}

static void on_closed(GtkPopover *popover)
{
    g_idle_add(unparent, g_object_ref(popover));
}

void machine_menu_popup(GtkWidget *w, VmItem *m, double x, double y)
{
    g_autoptr(GMenuModel) model = machine_menu(m);
    GtkWidget *popover = gtk_popover_menu_new_from_model(model);
    gtk_widget_set_parent(popover, w);
    gtk_popover_set_has_arrow(GTK_POPOVER(popover), FALSE);
    gtk_widget_set_halign(popover, GTK_ALIGN_START);
    gtk_popover_set_pointing_to(GTK_POPOVER(popover), &(GdkRectangle){(int)x, (int)y, 1, 1});
    g_signal_connect(popover, "closed", G_CALLBACK(on_closed), NULL);
    gtk_popover_popup(GTK_POPOVER(popover));
}
