// SPDX-License-Identifier: GPL-2.0-or-later
/* folder_name.h - what a shared folder is called in the guest. */
#pragma once
#include <glib.h>
#include <stdbool.h>

/* Of [folderN]: what it says, or the last part of its path; g_free, NULL: it has neither. */
char *folder_name_of(GKeyFile *file, const char *section);
bool folder_name_fits(const char *name); /* one component of a path */
