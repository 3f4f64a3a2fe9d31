// SPDX-License-Identifier: GPL-2.0-or-later
/* settings_change.h - changes a setting of a machine, in a thread: whoever takes a snapshot of it meanwhile is waited for. */
#pragma once
#include "gui/manager/item.h"

/* done may be NULL; problem: why it was not changed, which the machine's "problem" says too.  value NULL: the key goes. */
typedef void (*settings_changed)(gpointer data, const char *problem);
void settings_change(VmItem *m, const char *section, const char *key, const char *value, settings_changed done,
                     gpointer data);
/* Several at once, all or none: "section.key=value"; "section" or "section.key" to go.  Either may be NULL. */
void settings_change_all(VmItem *m, const char *const *assignments, const char *const *removals, settings_changed done,
                         gpointer data);
