// SPDX-License-Identifier: GPL-2.0-or-later
/* folder_ends.h - the shared folders of a machine's file, and the processes that they began with. */
#pragma once
#include "core-vmm/outer/outer.h"
#include "guest-additions/common/additions.h"

/* Those that machine.ini lists. */
void folder_ends_declare(struct additions *a, GKeyFile *file, const char *ini);
/* The process of that name on the line is a folder's; g_free, after outer_free(); NULL: it is something else. */
struct folder_end *folder_end_new(struct additions *a, struct outer *o, unsigned end, const char *name);
