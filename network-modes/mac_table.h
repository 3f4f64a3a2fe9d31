// SPDX-License-Identifier: GPL-2.0-or-later
/* mac_table.h - which port of a switch an Ethernet address was last seen at.  Bounded: a port that floods it with invented
 * addresses pushes out its own first.  Times are the caller's, in microseconds. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { MAC_SETS = 256, MAC_WAYS = 4, MAC_BYTES = 6, MAC_NOWHERE = 0xffff };
#define MAC_AGE_US (300 * INT64_C(1000000)) /* after which an address is forgotten, IEEE 802.1D 7.9.2 */

struct mac_table {
    struct mac_entry {
        uint8_t address[MAC_BYTES];
        uint16_t port;
        int64_t seen; /* 0: free */
    } entry[MAC_SETS][MAC_WAYS];
    uint64_t salt; /* so that nobody knows which addresses share a set */
};
void mac_table_init(struct mac_table *t, uint64_t salt);
void mac_table_learn(struct mac_table *t, const uint8_t *address, unsigned port, int64_t now);
unsigned mac_table_find(const struct mac_table *t, const uint8_t *address, int64_t now); /* or MAC_NOWHERE */
void mac_table_forget(struct mac_table *t, unsigned port);                               /* all its addresses */

static inline bool mac_is_group(const uint8_t *address) /* multicast, broadcast */
{
    return address[0] & 1;
}
