// SPDX-License-Identifier: GPL-2.0-or-later
/* facts.h - what one wants to know of a machine, in words. */
#pragma once
#include "gui/manager/item.h"

struct fact {
    const char *what; /* "Memory" */
    char *value;
};
GPtrArray *facts_of(VmItem *m);       /* of struct fact; g_ptr_array_unref */
char *size_for_people(guint64 bytes); /* "2.0 GiB"; g_free */
