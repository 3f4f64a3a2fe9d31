// SPDX-License-Identifier: GPL-2.0-or-later
/* live.h - what the files that save a machine while it runs on (save_live.c) share. */
#pragma once
#include "core-vmm/machine/state.h"

/* ---- live_pages.c: the pages that have changed since they went to the file ---- */
struct live_pages {
    struct machine *machine;
    const GArray *areas;     /* struct memory_area */
    struct page_store store; /* copied aside */
    uint64_t *changed;       /* has changed since it was written or set aside, a bit per page of the file */
    uint64_t aside, most;    /* pages in the store; and how many may be */
    unsigned written;        /* how often the store went to the file because it was full */
};
bool live_pages_init(struct live_pages *p, struct machine *m, const GArray *areas, GError **error);
void live_pages_clear(struct live_pages *p);
uint64_t live_pages_count(const struct live_pages *p); /* that have changed */
/* What devices may write to memory of their own is noted nowhere: all of it that there is counts as changed. */
void live_pages_add_devices(struct live_pages *p);
/* All that have changed are copied aside.  The guest runs: full writes the store, when it is full, to the file, and copied hears of each
 * few pages.  NULL: it stands, and there is no limit. */
struct live_watch {
    bool (*full)(void *ctx, GError **error);
    void (*copied)(void *ctx, uint64_t pages);
    void *ctx;
};
bool live_pages_set_aside(struct live_pages *p, const struct live_watch *watch, GError **error);
void live_pages_clean(struct live_pages *p); /* none has changed */

/* ---- live_brake.c: the guest gets less of the time ---- */
enum { LIVE_BRAKE_HARDEST = 5 };
/* Whose turn it is, by nothing but these; times in us. */
struct live_turns {
    unsigned level; /* 0: the guest is not held back */
    bool stands;
    int64_t since, length; /* of this turn; the length only of one that stands */
    int64_t copied;        /* when a page was copied last */
};
struct live_turn {
    bool stands;
    int64_t until; /* look again then, or when level or copied change; INT64_MAX: only then */
};
struct live_turn live_turn_now(const struct live_turns *t, int64_t now);
void live_turn_begins(struct live_turns *t, const struct live_turn *turn, int64_t now); /* no-op if it is under way */

struct live_brake {
    struct machine *machine;
    GMutex lock; /* of what follows: whoever copies, the loop thread, and the one that takes turns */
    GCond changed;
    struct live_turns turns;
    bool works, holds, ended;
};
/* These: the loop thread. */
void live_brake_init(struct live_brake *b, struct machine *m);
void live_brake_clear(struct live_brake *b);
bool live_brake_harder(struct live_brake *b);  /* false: it is as hard as it gets */
void live_brake_release(struct live_brake *b); /* for good */
void live_brake_copied(struct live_brake *b);  /* whoever copies says so at each few pages */
