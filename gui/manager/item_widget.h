// SPDX-License-Identifier: GPL-2.0-or-later
/* item_widget.h - a widget about one machine at a time: what the cells of the library, the details and their pages have in common. */
#pragma once
#include "gui/manager/item.h"
#include <adwaita.h>

G_DECLARE_DERIVABLE_TYPE(VmItemWidget, vm_item_widget, VM, ITEM_WIDGET, AdwBin) /* property "item" (NULL: no machine) */

struct _VmItemWidgetClass {
    AdwBinClass parent_class;
    bool pictures; /* it shows the machine's screen: pictures are asked for while it can be seen */
    /* It has another item, or none; signals of the one before come no more, if the widget was their data.  NULL: nothing to do. */
    void (*taken)(VmItemWidget *w);
};
VmItem *vm_item_of(gpointer item_widget); /* borrowed; NULL: none */
