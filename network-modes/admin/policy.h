// SPDX-License-Identifier: GPL-2.0-or-later
/* policy.h - who may have what made of the host's network; the file /etc/terrarium/network.conf.
 *
 *   # what      which      who: users, @groups, or * for everybody
 *   hostonly    *          @netdev
 *   bridge      br0        alice @staff
 *   interface   eth0       alice
 *   # where host-only networks may lie, beside 192.168.56.0/21
 *   range       10.90.0.0/16
 *
 * What no line allows is denied; root may all.  A line that makes no sense makes the whole file one that allows nothing. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct policy_user {
    const char *name; /* NULL: nobody of that number is known; only * fits */
    const gid_t *groups;
    size_t count;
    bool (*in_group)(const struct policy_user *u, const char *group);
};
enum policy_answer { POLICY_DENIED, POLICY_ALLOWED, POLICY_BROKEN };
/* what: "bridge", "interface", "hostonly"; line: of the first that makes no sense, for POLICY_BROKEN. */
enum policy_answer policy_may(const char *text, const char *what, const char *which, const struct policy_user *u,
                              unsigned *line);
/* Does a network (host order) lie in a range of the file, or in the usual one? */
bool policy_range(const char *text, uint32_t network, unsigned bits);
bool network_parse(const char *text, uint32_t *address, unsigned *bits); /* "192.168.56.1/24" */
