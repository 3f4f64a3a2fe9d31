// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_inside.h - what the files that make machines share. */
#pragma once
#include "core-vmm/host/machines.h"

/* Fills a machine's folder, which has another name as yet; machine.ini last. */
typedef bool (*machine_fill)(void *ctx, const char *folder, GError **error);
/* A machine of that name, complete or not at all, also after a kill. */
bool machine_make(const char *name, machine_fill fill, void *ctx, GError **error);
void settings_heading(GKeyFile *file); /* the comment at the top of a new machine.ini */
/* Tells the user; text is taken.  remarks may be NULL. */
void machine_remark(GPtrArray *remarks, char *text);
