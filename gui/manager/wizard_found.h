// SPDX-License-Identifier: GPL-2.0-or-later
/* wizard_found.h - installation media that lie where downloads go, the newest first. */
#pragma once
#include <adwaita.h>
#include <stdbool.h>

/* Rows whose button is "wizard.pick-file".  False: there are none. */
bool wizard_found_fill(AdwPreferencesGroup *group);
