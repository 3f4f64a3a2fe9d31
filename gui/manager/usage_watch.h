// SPDX-License-Identifier: GPL-2.0-or-later
/* usage_watch.h - what running machines use of the host, again and again: as vmctl top tells it, which is what is run for it. */
#pragma once
#include <glib.h>
#include <stdint.h>

struct usage_now {
    const char *machine;                    /* its name */
    double cpu;                             /* percent of one CPU */
    uint64_t memory, memory_limit;          /* bytes */
    uint64_t read, written, received, sent; /* bytes a second, since the last time */
};
/* Of one machine; now NULL: nothing more is told, as it does not run any more, or vmctl has failed. */
typedef void (*usage_told)(void *ctx, const struct usage_now *now);
struct usage_watch;
/* From the default main context, every some seconds; nothing while the machine does not answer.  name NULL: of each that runs.  Who frees it
 * when told of the end may. */
struct usage_watch *usage_watch_new(const char *name, usage_told told, void *ctx);
void usage_watch_free(struct usage_watch *w); /* NULL: nothing */
