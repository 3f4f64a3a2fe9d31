// SPDX-License-Identifier: GPL-2.0-or-later
/* path_lies.h - is a name, or what it leads to, in a folder? */
#pragma once
#include <stdbool.h>

/* Both absolute, without links, "." and "..": by their letters alone.  A folder lies in itself. */
bool path_begins(const char *path, const char *folder);
/* The name itself, or any that its links lead to.  folder: without links. */
bool path_lies_in(const char *path, const char *folder);
