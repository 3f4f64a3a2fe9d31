// SPDX-License-Identifier: GPL-2.0-or-later
/* log.h - the VM's log file: one line per message with its time, kept small by rotation.  Any thread. */
#pragma once
#include <glib.h>
#include <stdbool.h>

/* All g_message() and the like go to FOLDER/logs/vm.log from now on, warnings to stderr too if `loud`;
 * and all that goes to stderr, if that is closed or /dev/null. */
bool log_open(const char *folder, bool loud, GError **error);
