// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_folders.h - the processes of a machine's shared folders, [folder1] and so on in its machine.ini. */
#pragma once
#include "core-vmm/api/config.h"
#include "core-vmm/outer/outer.h"

#define MACHINE_FOLDERS_MOST 9

struct machine_folder {
    struct outer_end end; /* what the keeper is to start */
    char **argv;
    int fd[2]; /* the folder, its log */
    unsigned count;
};
/* c: of its section.  Opens it; false: an error that says what it cannot be.  folder: the machine's. */
bool machine_folder_prepare(struct machine_folder *m, const struct config *c, const char *folder, GError **error);
void machine_folder_done(struct machine_folder *m); /* the keeper has it */
/* The process of a folder that a running machine gets: it runs beside that one, and the VM process' end of its line is *line, the
 * caller's. */
bool machine_folder_begin(const struct config *c, const char *folder, int *line, GError **error);
