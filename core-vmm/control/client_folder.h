// SPDX-License-Identifier: GPL-2.0-or-later
/* client_folder.h - the shared folders of a machine: what machine.ini says of them and, while it runs, what its guest has.  By whole
 * names of machines. */
#pragma once
#include "core-vmm/control/client.h"

struct folder_settings {
    const char *path, *name, *links; /* name, links: NULL: as usual */
    bool read_only;
};
/* In machine.ini, from the next start on: under the first number that is free, by the path without links. */
bool folder_keep(const char *machine, const struct folder_settings *s, GError **error);
/* The same and, if the machine runs, at once.  *number: of its section.  Forks. */
bool folder_share(const char *machine, const struct folder_settings *s, unsigned *number, GError **error);
/* which: a folder's name, or the number of its section. */
bool folder_unshare(const char *machine, const char *which, GError **error);
/* {"folders": [{"number", "name", "path", "readonly", "symlinks", "works"}]}; works, its process answers, only while the machine
 * runs.  json_object_unref. */
JsonObject *folder_table(const char *machine, GError **error);
