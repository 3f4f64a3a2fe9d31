// SPDX-License-Identifier: GPL-2.0-or-later
/* order.c - see order.h. */
#include "gui/manager/order.h"
#include "gui/manager/item.h"
#include <string.h>

static int collate(const char *a, const char *b)
{
    g_autofree char *x = g_utf8_collate_key_for_filename(a, -1); /* "vm 2" before "vm 10" */
    g_autofree char *y = g_utf8_collate_key_for_filename(b, -1);
    return strcmp(x, y);
}

/* Those without a group come first. */
static int by_group(VmItem *a, VmItem *b)
{
    const char *x = vm_item_group(a), *y = vm_item_group(b);
    if (!x || !y)
        return (x != NULL) - (y != NULL);
    int order = strcmp(x, y) ? collate(x, y) : 0;
    return order ? order : strcmp(x, y);
}

static int by_title(VmItem *a, VmItem *b)
{
    int order = collate(vm_item_title(a), vm_item_title(b));
    return order ? order : strcmp(vm_item_name(a), vm_item_name(b));
}

static int by_name(gconstpointer a, gconstpointer b, gpointer unused)
{
    int order = by_group((VmItem *)a, (VmItem *)b);
    return order ? order : by_title((VmItem *)a, (VmItem *)b);
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
    int order = by_group((VmItem *)a, (VmItem *)b);
    order = order ? order : rank((VmItem *)a) - rank((VmItem *)b);
    return order ? order : by_title((VmItem *)a, (VmItem *)b);
}

static int by_use(gconstpointer a, gconstpointer b, gpointer unused)
{
    gint64 x = vm_item_used((VmItem *)a), y = vm_item_used((VmItem *)b);
    int order = by_group((VmItem *)a, (VmItem *)b);
    if (order)
        return order;
    return x != y ? (x < y ? 1 : -1) : by_title((VmItem *)a, (VmItem *)b);
}

GtkSorter *order_new(const char *by)
{
    GCompareDataFunc fn = !strcmp(by, "state") ? by_state : !strcmp(by, "used") ? by_use : by_name;
    return GTK_SORTER(gtk_custom_sorter_new(fn, NULL, NULL));
}
