// SPDX-License-Identifier: GPL-2.0-or-later
/* audio_host.h - the host's end of the streams of sound (audio.h). */
#pragma once
#include "core-vmm/api/audio.h"

struct audio_end {
    /* On any thread with the device's lock held: takes (IN: makes) n frames at once and does not block. */
    void (*frames)(void *ctx, const struct audio_format *format, int16_t *frames, size_t n);
    void (*runs)(void *ctx,
                 const struct audio_format *format); /* it starts; NULL: it stops.  In the same way; may be NULL */
    void *ctx;
};
/* NULL: nobody; takes the device's lock.  One that runs already is said to start. */
void audio_attach(struct audio_stream *s, const struct audio_end *end);
/* All streams of a machine, NULL: the first.  They come and go with their devices; loop thread. */
struct audio_stream *audio_next(struct machine *m, struct audio_stream *s);
struct audio_facts {
    const char *device; /* its name */
    enum audio_direction direction;
    bool running;
    struct audio_format format; /* of the last time that it ran */
    uint64_t missed;            /* frames, since the machine was built */
};
struct audio_facts audio_facts(struct audio_stream *s); /* takes the device's lock */
/* What the host's end has counted, and whether the host's sound is there. */
struct audio_host {
    bool there;
    uint64_t lost, not_recorded; /* frames that it did not take, or did not have ready */
    uint64_t under_runs, jumps;  /* how often it ran dry, or had too much, and was heard */
};
typedef struct audio_host (*audio_host_fn)(void *ctx);
void audio_on_host(struct machine *m, audio_host_fn fn, void *ctx); /* NULL: nobody; loop thread */
struct audio_host audio_host(struct machine *m);                    /* loop thread */
