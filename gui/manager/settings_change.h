// SPDX-License-Identifier: GPL-2.0-or-later
/* settings_change.h - changes a setting of a machine, in a thread: whoever takes a snapshot of it meanwhile is waited for. */
#pragma once
#include "gui/manager/item.h"

/* Why it was not changed is the machine's "problem" then.  value NULL: the key goes. */
void settings_change(VmItem *m, const char *section, const char *key, const char *value);
/* Several at once, all or none: "section.key=value"; "section" or "section.key" to go.  Either may be NULL. */
void settings_change_all(VmItem *m, const char *const *assignments, const char *const *removals);
