// SPDX-License-Identifier: GPL-2.0-or-later
/* shaper.h - when a frame goes on: limits of bandwidth, delay and loss.  Pure arithmetic; times are the caller's, in
 * microseconds.
 *
 * A limit is a token bucket, kept as the time at which it is full again (ITU-T I.371's virtual scheduling): a frame of n bits
 * moves that time by n / rate; it goes when the bucket holds it, so when that time is no further away than the bucket is deep.
 * Frames never overtake each other. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bucket {    /* one per direction; several shapers may share one */
    uint64_t bits; /* a second; 0: no limit */
    int64_t full;  /* when it is full again */
};
struct shaper_settings {
    uint64_t bits;                /* a second; 0: no limit */
    uint32_t delay_us, jitter_us; /* each frame takes delay, and up to jitter more or less */
    uint32_t loss;                /* of a million frames */
    uint64_t seed;                /* of what is lost and of jitter: the same seed loses the same frames */
};
struct shaper {
    struct shaper_settings set;
    struct bucket own, *group; /* group: of all in it, or NULL */
    uint64_t random;
    int64_t last; /* when the frame before goes */
};
enum { SHAPER_BURST_US = 10000, SHAPER_QUEUE_US = 200000, SHAPER_BURST_LEAST = 65536 * 8 /* bits */ };
enum shaped { SHAPED_GOES, SHAPED_LOST, SHAPED_FULL /* its limit has too much waiting already */ };
void shaper_set(struct shaper *s, const struct shaper_settings *set, struct bucket *group);
enum shaped shaper_pass(struct shaper *s, int64_t now, size_t bytes, int64_t *at); /* at: when it goes; now or later */
