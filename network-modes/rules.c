// SPDX-License-Identifier: GPL-2.0-or-later
/* rules.c - what the switch does with a card's frames, from its section: policy, limits, delay and loss. */
#include "network-modes/process.h"
#include <string.h>

enum { KBIT = 1000, MS = 1000, LOSS_UNIT = 1000 };

struct numbers {
    int64_t limit, group_limit, delay, jitter, loss, seed;
};

static bool read_numbers(const struct config *c, struct numbers *n, GError **error)
{
    *n = (struct numbers){0};
    return config_number(c, "limit", &n->limit, error) && config_number(c, "group-limit", &n->group_limit, error) &&
           config_number(c, "delay", &n->delay, error) && config_number(c, "jitter", &n->jitter, error) &&
           config_number(c, "loss", &n->loss, error) && config_number(c, "seed", &n->seed, error);
}

/* The least that one of its cards says; 0: none says anything. */
static uint64_t bits_of_group(const struct net_process *p, const char *name)
{
    int64_t least = 0;
    for (unsigned i = 0; i < NET_WIRE_CARDS; i++) {
        const struct config c = {p->settings, "machine.ini", p->port[i].name};
        int64_t limit = 0;
        g_autofree char *group = c.section ? config_string(&c, "group") : NULL;
        if (!g_strcmp0(group, name) && config_number(&c, "group-limit", &limit, NULL) && limit)
            least = least ? MIN(least, limit) : limit;
    }
    return (uint64_t)least * KBIT;
}

/* Which cards are in one may have changed, too. */
static void limit_groups(struct net_process *p)
{
    GHashTableIter all;
    gpointer name, group;
    g_hash_table_iter_init(&all, p->groups);
    while (g_hash_table_iter_next(&all, &name, &group)) {
        struct port_group *g = group;
        g->from_card.bits = g->to_card.bits = bits_of_group(p, name);
    }
}

/* Cards that name the same one share it. */
static struct port_group *group_of(struct net_process *p, const char *name)
{
    if (!p->groups)
        p->groups = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    bool named = name && *name;
    struct port_group *g = named ? g_hash_table_lookup(p->groups, name) : NULL;
    if (named && !g) {
        g = g_new0(struct port_group, 1);
        g_hash_table_insert(p->groups, g_strdup(name), g);
    }
    limit_groups(p);
    return g;
}

bool port_rules_have(const char *key)
{
    static const char *const keys[] = {"limit", "group", "group-limit", "delay", "jitter",
                                       "loss",  "seed",  "promiscuous", "spoof", NULL};
    return g_strv_contains(keys, key);
}

/* Without an address of its own nothing could be told from anything. */
static bool has_mac(const struct net_port *p)
{
    return memcmp(p->mac, (uint8_t[6]){0}, sizeof p->mac) != 0;
}

bool port_rules(struct net_port *p, GError **error)
{
    const struct config c = port_config(p);
    struct port_settings set = {.promiscuous = !has_mac(p), .spoof = true};
    struct numbers n;
    bool promiscuous = false, spoof = true;
    g_autofree char *group = config_string(&c, "group");
    if (!read_numbers(&c, &n, error) || !config_flag(&c, "promiscuous", &promiscuous, error) ||
        !config_flag(&c, "spoof", &spoof, error))
        return false;
    memcpy(set.mac, p->mac, sizeof set.mac);
    set.promiscuous = set.promiscuous || promiscuous;
    set.spoof = spoof || !has_mac(p);
    set.shape = (struct shaper_settings){.bits = (uint64_t)n.limit * KBIT,
                                         .delay_us = (uint32_t)n.delay * MS,
                                         .jitter_us = (uint32_t)n.jitter * MS,
                                         .loss = (uint32_t)n.loss * LOSS_UNIT,
                                         .seed = (uint64_t)n.seed};
    switch_port_set(p->rules, &set, group_of(p->process, group));
    return true;
}
