// SPDX-License-Identifier: GPL-2.0-or-later
/* answers_tree.h - a folder of the host onto a medium that is being written: inside of core-vmm/install. */
#pragma once
#include <archive.h>
#include <gio/gio.h>
#include <stdbool.h>

/* The folder path, as name. */
bool answers_tree(struct archive *a, const char *path, const char *name, GError **error);
