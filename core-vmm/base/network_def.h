// SPDX-License-Identifier: GPL-2.0-or-later
/* network_def.h - a named network of virtual machines: what kind it is, which addresses it has, who gives them out.  A group of
 * a key file, with what it does not say from the table here; a network that nobody has defined is one that says nothing. */
#pragma once
#include "core-vmm/base/net_range.h"
#include <glib.h>

enum network_kind { NETWORK_INTERNAL, NETWORK_NAT, NETWORK_HOSTONLY, NETWORK_KINDS };
struct network_def {
    enum network_kind kind;
    struct net_range range;
    bool dhcp;
};
/* The kind as [nicN] mode has it: "internal", "natnetwork", "hostonly"; by number NULL-terminated. */
extern const char *const network_kinds[];
/* 1 to 32 letters, digits, "-_.", the first a letter or digit: it is also a file's name, and part of a policy. */
bool network_name_check(const char *name, GError **error);
#define NETWORK_GROUP "network" /* of a network's own file */
/* kind: what whoever asks takes it for, -1: whatever it is.  A group that is not there is an undefined network.  False: it is of
 * another kind, or says something that makes no sense. */
bool network_def_read(GKeyFile *file, const char *group, const char *name, int kind, struct network_def *out,
                      GError **error);
void network_def_write(GKeyFile *file, const char *group, const struct network_def *def);
char *net_range_text(const struct net_range *r); /* "10.0.3.0/24"; g_free */
unsigned net_range_bits(const struct net_range *r);
