// SPDX-License-Identifier: GPL-2.0-or-later
/* order.c - see order.h. */
#include "gui/manager/order.h"
#include "gui/manager/item.h"
#include <string.h>

static int by_title(VmItem *a, VmItem *b)
{
    g_autofree char *x = g_utf8_collate_key_for_filename(vm_item_title(a), -1);
    g_autofree char *y = g_utf8_collate_key_for_filename(vm_item_title(b), -1); /* "vm 2" before "vm 10" */
    int order = strcmp(x, y);
    return order ? order : strcmp(vm_item_name(a), vm_item_name(b));
}

static int by_name(gconstpointer a, gconstpointer b, gpointer unused)
{
    return by_title((VmItem *)a, (VmItem *)b);
}

static int rank(VmItem *m)
{
    static const enum vm_state ranks[] = {VM_SILENT, VM_RUNNING, VM_PAUSED, VM_BEGINS, VM_SAVED, VM_OFF, VM_DAMAGED};
    unsigned i = 0;
    while (i < G_N_ELEMENTS(ranks) && ranks[i] != vm_item_state(m))
        i++;
    return (int)i;
}

static int by_state(gconstpointer a, gconstpointer b, gpointer unused)
{
    int order = rank((VmItem *)a) - rank((VmItem *)b);
    return order ? order : by_title((VmItem *)a, (VmItem *)b);
}

static int by_use(gconstpointer a, gconstpointer b, gpointer unused)
{
    gint64 x = vm_item_used((VmItem *)a), y = vm_item_used((VmItem *)b);
    return x != y ? (x < y ? 1 : -1) : by_title((VmItem *)a, (VmItem *)b);
}

GtkSorter *order_new(const char *by)
{
    GCompareDataFunc fn = !strcmp(by, "state") ? by_state : !strcmp(by, "used") ? by_use : by_name;
    return GTK_SORTER(gtk_custom_sorter_new(fn, NULL, NULL));
}
