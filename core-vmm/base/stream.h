// SPDX-License-Identifier: GPL-2.0-or-later
/* stream.h - saved state, little-endian.  One function both saves and loads: stream_u32(s, &x) writes x or reads into it
 * by the stream's direction, so that the two can never disagree.  An error sticks: check stream_ok() at the end. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream {
    bool loading, failed;
    GByteArray *bytes;
    size_t at; /* next byte to load */
};
void stream_init_save(struct stream *s);
void stream_init_load(struct stream *s, const void *data, size_t n); /* copies */
void stream_clear(struct stream *s);
void stream_u8(struct stream *s, uint8_t *v);
void stream_u16(struct stream *s, uint16_t *v);
void stream_u32(struct stream *s, uint32_t *v);
void stream_u64(struct stream *s, uint64_t *v);
void stream_bool(struct stream *s, bool *v); /* anything but 0 and 1 is an error */
void stream_raw(struct stream *s, void *data, size_t n);
/* A text without zero bytes, at most 65535 bytes, UTF-8.  Loading: *v is freed and replaced, by "" if the stream fails. */
void stream_text(struct stream *s, char **v);
bool stream_ok(const struct stream *s);
/* While loading, demand that v <= max, else the stream fails (and v becomes 0): for indices and counts. */
void stream_check_u32(struct stream *s, uint32_t *v, uint32_t max);
