// SPDX-License-Identifier: GPL-2.0-or-later
/* settings.c - what the starter wrote for the network process: the cards' sections of machine.ini, and
 *
 *   [network]
 *   machine=NAME
 *   [descriptors]
 *   nic1.tftp=6         which descriptor is what
 *
 * They lie in memory (a memfd) that whoever starts this process again after its end passes on: so what is changed while it
 * runs is written back there. */
#include "network-modes/process.h"
#include "core-vmm/outer/end_settings.h"

bool settings_read(struct net_process *p, GError **error)
{
    p->settings = end_settings_read(p->settings_fd, error);
    p->machine = p->settings ? g_key_file_get_string(p->settings, "network", "machine", error) : NULL;
    return p->machine != NULL;
}

void settings_keep(struct net_process *p)
{
    end_settings_write(p->settings_fd, p->settings);
}
