// SPDX-License-Identifier: GPL-2.0-or-later
/* bench_inside.h - what the parts of the bench share; tests include bench.h only. */
#pragma once
#include "tests/core-vmm/stepped.h"
#include "tests/devices/bench.h"

#define BENCH_PLACES 16

struct bench {
    struct stepped *machine;
    GKeyFile *file;
    struct place { /* a chip, and what was seen of it */
        const struct device_ops *ops;
        const char *name;
        unsigned edges[BENCH_LINES], listened_to;
    } place[BENCH_PLACES];
    unsigned places;
    GQueue events; /* char * */
    bool unseen;   /* what happens now is not the test's: nothing is noted */
    uint64_t timers_set;
    char *folder; /* of images; NULL: there are none yet */
    unsigned images;
    GPtrArray *views, *failing, *cables;
    GHashTable *heard; /* by the name of the port */
};

struct bench *bench_of(struct device *d);                     /* NULL: its machine is being made, or goes */
struct place *bench_place(struct bench *b, struct device *d); /* NULL: it is none of the test's */

/* bench_ends.c */
void bench_ends_begin(struct bench *b);
char *bench_image(struct bench *b, const char *spec); /* KIND:SIZE; its path, or NULL if it is no such thing */
bool bench_ends_settle(struct bench *b);              /* finishes requests, delivers bytes; false if there were none */
void bench_ends_leave(struct bench *b); /* the machine will be made anew: media and what was heard stay as they are */
void bench_ends_free(struct bench *b);

/* bench_net.c */
void bench_cable_free(void *cable);
void bench_cable_plug(struct device *d); /* if it is a network card that is new on the bench: the cable is in */
void bench_cables_leave(struct bench *b);
void bench_cable_again(struct device *d);   /* of a machine made anew: it is as it was */
void bench_cables_deliver(struct bench *b); /* ... and what waited waits again */
