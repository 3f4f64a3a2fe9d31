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

/* What the chip calls, with its device's lock held; the host's end is in audio_host.h. */
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
/* From inside of fn, or after a start: ask again when that many frames more are due, if that is before the 10 ms are over, and not
 * at once (1 ms).  For chips that interrupt at a certain frame. */
void audio_soon(struct audio_stream *s, uint64_t frames);
/* Takes (IN: gives) what is due now, by fn, so that a position register that is about to be read is of this moment.  Of what a
 * host that was late owes, at most 40 ms at once: the guest is to have a chance to make more. */
void audio_catch_up(struct audio_stream *s);
const struct audio_format *audio_runs(const struct audio_stream *s); /* NULL: it stands */
uint64_t audio_position(struct audio_stream *s);                     /* frames since the start by guest time */
uint64_t audio_missed(struct audio_stream *s); /* frames of OUT that the guest did not have ready, since the start */
bool audio_sync(struct audio_stream *s, struct stream *st); /* from the chip's sync(): it goes on where it was */
