// SPDX-License-Identifier: GPL-2.0-or-later
/* audio.h - a stream of sound between a chip and the host's end of it.  Samples are signed 16 bits in the host's byte order,
 * interleaved; a frame is one sample per channel.  Guest time drives: every 10 ms of it that the stream runs, core asks the
 * chip for (or gives it) the frames that have become due, whether or not the host listens.  When the machine stands, so does the
 * stream. */
#pragma once
#include "core-vmm/api/device.h"

struct audio_format {
    uint32_t rate;    /* frames a second, 4000 to 192000 */
    uint8_t channels; /* 1 to 8 */
};
enum audio_direction { AUDIO_OUT, AUDIO_IN };

/* ---- the chip; the device's lock is held ---- */
struct audio_stream;
/* OUT: puts the next frames there, as many of n as the guest has ready; IN: takes n.  Returns how many; the rest of OUT is
 * silence and counted.  tag: the chip's.  It must not start or stop the stream itself. */
typedef size_t (*audio_frames_fn)(struct device *d, void *tag, int16_t *frames, size_t n);
struct audio_stream *audio_open(struct device *d, enum audio_direction direction, audio_frames_fn fn,
                                void *tag); /* init */
void audio_close(struct audio_stream *s);   /* fini */
bool audio_start(struct audio_stream *s,
                 const struct audio_format *format); /* from position 0; false: no such format */
void audio_stop(struct audio_stream *s);
uint64_t
audio_position(struct audio_stream *s); /* frames since the start by guest time: what a position register shows */
uint64_t audio_missed(struct audio_stream *s); /* frames of OUT that the guest did not have ready, since the start */

/* ---- the host's end ---- */
struct
    audio_end { /* on any thread with the device's lock held: takes (IN: makes) n frames at once and does not block */
    void (*frames)(void *ctx, const struct audio_format *format, int16_t *frames, size_t n);
    void *ctx;
};
void audio_attach(struct audio_stream *s, const struct audio_end *end); /* NULL: nobody; takes the device's lock */
