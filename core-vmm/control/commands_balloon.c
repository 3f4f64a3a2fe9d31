// SPDX-License-Identifier: GPL-2.0-or-later
/* commands_balloon.c - balloon.*: memory that the guest gives back to the host. */
#include "core-vmm/api/balloon.h"
#include "core-vmm/control/commands.h"

#define LOOK_MS   20
#define TRIES     25 /* so often it is looked for newer statistics: a guest that is busy or paused tells none */
#define ASK_LEAST (INT64_C(1) << 20)
#define NONE                                                                                                           \
    "the machine has no balloon; add a section [balloon] to its machine.ini (vmctl set NAME balloon.report=on), or "   \
    "plug one in"

static int64_t fit(uint64_t v)
{
    return MIN(v, (uint64_t)G_MAXINT64);
}

static JsonObject *describe(struct machine *m, const struct balloon_state *b)
{
    JsonObject *o = json_object_new(), *stats = json_object_new();
    uint64_t memory = machine_memory(m);
    for (unsigned i = 0; i < BALLOON_STATS; i++)
        if (b->stats >> i & 1 && balloon_stat_name(i))
            json_object_set_int_member(stats, balloon_stat_name(i), fit(b->stat[i]));
    json_object_set_boolean_member(o, "driver", b->listens);
    json_object_set_int_member(o, "memory", fit(memory));
    json_object_set_int_member(o, "wanted", fit(memory - MIN(b->asked, memory)));
    json_object_set_int_member(o, "left", fit(memory - MIN(b->given, memory)));
    json_object_set_int_member(o, "on-host", fit(machine_memory_used(m)));
    json_object_set_int_member(o, "given-back", fit(b->returned));
    json_object_set_object_member(o, "statistics", stats);
    return o;
}

/* ---- looking: the guest is asked first, and has a moment to answer ---- */

struct wait {
    struct call *call;
    guint look;
    uint32_t told; /* statistics, when it began */
    unsigned tries;
};

static void wait_free(void *ctx)
{
    struct wait *w = ctx;
    g_source_remove(w->look);
    g_free(w);
}

static gboolean look(gpointer ctx)
{
    struct wait *w = ctx;
    struct call *c = w->call;
    struct balloon_state b;
    bool there = machine_balloon_look(call_machine(c), false, &b);
    if (there && b.listens && b.told == w->told && ++w->tries < TRIES)
        return G_SOURCE_CONTINUE;
    wait_free(w);
    if (there)
        call_reply(c, describe(call_machine(c), &b));
    else
        call_fail(c, CONTROL_WRONG_STATE, NONE);
    return G_SOURCE_CONTINUE; /* wait_free() has removed it */
}

static void info(struct call *c)
{
    struct balloon_state b;
    if (!machine_balloon_look(call_machine(c), true, &b)) {
        call_fail(c, CONTROL_WRONG_STATE, NONE);
        return;
    }
    struct wait *w = g_new0(struct wait, 1);
    *w = (struct wait){.call = c, .told = b.told};
    w->look = g_timeout_add(LOOK_MS, look, w);
    call_on_cancel(c, wait_free, w);
}

static void set(struct call *c)
{
    struct machine *m = call_machine(c);
    int64_t memory = machine_memory(m), left = call_number(c, "memory", memory);
    if (left > memory)
        call_fail(c, CONTROL_USAGE,
                  "memory: the machine has %" G_GINT64_FORMAT " bytes, and the guest cannot be left with more", memory);
    else if (machine_balloon_ask(m, memory - left))
        call_reply(c, NULL);
    else
        call_fail(c, CONTROL_WRONG_STATE, NONE);
}

const struct command balloon_commands[] = {
    {"balloon.info", .summary = "memory that the guest has given back, and what it says of the rest", .handler = info},
    {"balloon.set",
     {{"memory", PARAM_NUMBER, true, ASK_LEAST, G_MAXINT64}},
     .summary = "the guest shall give back all but so many bytes",
     .handler = set},
    {NULL},
};
