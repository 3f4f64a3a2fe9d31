// SPDX-License-Identifier: GPL-2.0-or-later
/* netadm.h - the inside of terrarium-netadm. */
#pragma once
#include "network-modes/admin/rtnl.h"
#include <stdint.h>
#include <sys/types.h>

/* Ends the process: the sentence goes to whoever waits at the socket, and to stderr. */
_Noreturn void give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct made {
    int fd; /* of the TAP, for frames with a struct virtio_net_hdr before each */
    char name[LINK_NAME];
    unsigned remove; /* a link that nobody removes when the descriptor is closed; 0: none */
};
/* ---- make.c: what was asked for and is allowed; they give up if it does not work ---- */
struct made make_tap(int rtnl, unsigned master);
struct made make_macvtap(int rtnl, unsigned lower, const char *lower_name, const uint8_t *mac);
/* The bridge of a user's host-only network, with the host's address; made if it is not there. */
unsigned hostonly_find(int rtnl, uid_t user, const char *network, struct link *l); /* 0: there is none */
unsigned hostonly_make(int rtnl, uid_t user, const char *network, uint32_t address, unsigned bits);
void hostonly_remove(int rtnl, uid_t user, const char *network);
