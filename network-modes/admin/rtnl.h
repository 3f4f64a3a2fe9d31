// SPDX-License-Identifier: GPL-2.0-or-later
/* rtnl.h - the few things that terrarium-netadm asks of the kernel's network interfaces, by rtnetlink(7).  All return 0 or an
 * errno. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { LINK_NAME = 16, LINK_ALIAS = 256 };
struct link {
    unsigned index, master; /* master: the bridge it is in; 0: none */
    char name[LINK_NAME], kind[LINK_NAME], alias[LINK_ALIAS];
};
int rtnl_open(void);                                         /* -1: errno */
int link_find(int rtnl, const char *name, struct link *out); /* ENODEV: there is none */
/* lower, mac: of a macvtap, else 0 and NULL. */
int link_new(int rtnl, const char *name, const char *kind, unsigned lower, const uint8_t *mac);
int link_up(int rtnl, unsigned index, unsigned master /* 0: leave it */);
int link_alias(int rtnl, unsigned index, const char *alias);
int link_delete(int rtnl, unsigned index);
int address_add(int rtnl, unsigned index, uint32_t address /* host order */, unsigned bits);
/* fn for each; stops at the first that is true, and tells so by *found. */
int links_each(int rtnl, bool (*fn)(void *ctx, const struct link *l), void *ctx, bool *found);
int addresses_each(int rtnl, bool (*fn)(void *ctx, unsigned index, uint32_t address, unsigned bits), void *ctx,
                   bool *found);
