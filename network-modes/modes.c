// SPDX-License-Identifier: GPL-2.0-or-later
/* modes.c - the list of the modes. */
#include "network-modes/modes.h"
#include "network-modes/process.h"
#include <string.h>

const struct net_mode *mode_find(const char *name)
{
    static const struct net_mode *const modes[] = {&none_mode,     &nat_mode,     &natnetwork_mode, &internal_mode,
                                                   &hostonly_mode, &bridged_mode, &udp_mode};
    for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++)
        if (!strcmp(modes[i]->name, name))
            return modes[i];
    return NULL;
}
