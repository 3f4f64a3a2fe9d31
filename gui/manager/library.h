// SPDX-License-Identifier: GPL-2.0-or-later
/* library.h - all machines of this user as a list of VmItem, which follows what anybody does with them. */
#pragma once
#include "gui/manager/item.h"

G_DECLARE_FINAL_TYPE(VmLibrary, vm_library, VM, LIBRARY, GObject) /* a GListModel */
/* Signal "reordered": what machines are listed by has changed. */

VmLibrary *
vm_library_new(GError **error); /* error: machines are shown, but changes by others are not seen; may be NULL */
VmItem *vm_library_find(VmLibrary *l, const char *name); /* borrowed; NULL: there is none */
/* The same as it is now, though the watch has not told yet. */
VmItem *vm_library_look(VmLibrary *l, const char *name);
