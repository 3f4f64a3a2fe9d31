// SPDX-License-Identifier: GPL-2.0-or-later
/* wav.h - WAV files (RIFF, "Multimedia Programming Interface and Data Specifications 1.0"), by descriptors that are open. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum { WAV_RATE = 48000 }; /* of those that are written: stereo, 16 bits */
struct wav_out;
/* An empty file; or one that was written so before, after whose end it goes on.  The descriptor stays the caller's.  NULL: an error. */
struct wav_out *wav_out_new(int fd, GError **error);
void wav_out_frames(struct wav_out *w, const int16_t *frames, size_t n); /* what goes wrong is logged, once */
void wav_out_settle(struct wav_out *w);                                  /* its head is right now */
void wav_out_free(struct wav_out *w);                                    /* settled; NULL is fine */

struct wav_in {
    int fd;
    uint32_t rate;
    uint16_t channels, bytes; /* of a sample: 1 or 2 */
    int64_t begin, end, at;   /* of the samples, in the file */
};
bool wav_in_open(struct wav_in *w, int fd, GError **error);
void wav_in_rewind(struct wav_in *w);
size_t wav_in_frames(struct wav_in *w, int16_t *stereo, size_t n); /* fewer at the end */
