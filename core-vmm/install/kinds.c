// SPDX-License-Identifier: GPL-2.0-or-later
/* kinds.c - names of kinds of media and of answers. */
#include "core-vmm/install/medium.h"
#include <string.h>

static const char *const unattended_names[] = {"none", "debian", "ubuntu", "fedora", "windows"};

const char *unattended_kind_name(enum unattended_kind kind)
{
    return unattended_names[kind];
}

enum unattended_kind unattended_kind_find(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(unattended_names); i++)
        if (!strcmp(name, unattended_names[i]))
            return i;
    return UNATTENDED_NONE;
}

const char *medium_kind_name(enum medium_kind kind)
{
    static const char *const names[] = {"unknown", "installer", "live", "disk"};
    return names[kind];
}
