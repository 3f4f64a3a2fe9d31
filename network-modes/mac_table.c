// SPDX-License-Identifier: GPL-2.0-or-later
/* mac_table.c - see mac_table.h. */
#include "network-modes/mac_table.h"
#include <string.h>

void mac_table_init(struct mac_table *t, uint64_t salt)
{
    memset(t, 0, sizeof *t);
    t->salt = salt | 1;
}

static struct mac_entry *set_of(const struct mac_table *t, const uint8_t *address)
{
    uint64_t v = 0;
    memcpy(&v, address, MAC_BYTES);
    v = (v ^ t->salt) * (t->salt | UINT64_C(0x9e3779b97f4a7c15));
    return (struct mac_entry *)t->entry[v >> 56];
}

static bool fresh(const struct mac_entry *e, int64_t now)
{
    return e->seen && now - e->seen < MAC_AGE_US;
}

static struct mac_entry *find(const struct mac_table *t, const uint8_t *address)
{
    struct mac_entry *set = set_of(t, address);
    for (unsigned i = 0; i < MAC_WAYS; i++)
        if (set[i].seen && !memcmp(set[i].address, address, MAC_BYTES))
            return &set[i];
    return NULL;
}

/* A place in the set: a free one, else the oldest of the same port, else the oldest. */
static struct mac_entry *place(struct mac_table *t, const uint8_t *address, unsigned port, int64_t now)
{
    struct mac_entry *set = set_of(t, address), *oldest = set, *own = NULL;
    for (unsigned i = 0; i < MAC_WAYS; i++) {
        struct mac_entry *e = &set[i];
        if (!fresh(e, now))
            return e;
        if (e->seen < oldest->seen)
            oldest = e;
        if (e->port == port && (!own || e->seen < own->seen))
            own = e;
    }
    return own ? own : oldest;
}

void mac_table_learn(struct mac_table *t, const uint8_t *address, unsigned port, int64_t now)
{
    struct mac_entry *e = find(t, address);
    if (mac_is_group(address))
        return;
    if (!e)
        e = place(t, address, port, now);
    memcpy(e->address, address, MAC_BYTES);
    e->port = port;
    e->seen = now;
}

unsigned mac_table_find(const struct mac_table *t, const uint8_t *address, int64_t now)
{
    const struct mac_entry *e = find(t, address);
    return e && fresh(e, now) ? e->port : MAC_NOWHERE;
}

void mac_table_forget(struct mac_table *t, unsigned port)
{
    for (unsigned set = 0; set < MAC_SETS; set++)
        for (unsigned i = 0; i < MAC_WAYS; i++)
            if (t->entry[set][i].port == port)
                t->entry[set][i].seen = 0;
}
