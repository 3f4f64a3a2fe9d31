// SPDX-License-Identifier: GPL-2.0-or-later
/* stream.c - bytes in one direction or the other: see stream.h. */
#include "core-vmm/base/stream.h"
#include <string.h>

void stream_init_save(struct stream *s)
{
    *s = (struct stream){.bytes = g_byte_array_new()};
}

void stream_init_load(struct stream *s, const void *data, size_t n)
{
    stream_init_save(s);
    s->loading = true;
    g_byte_array_append(s->bytes, data, n);
}

void stream_clear(struct stream *s)
{
    g_byte_array_unref(s->bytes);
    s->bytes = NULL;
}

void stream_raw(struct stream *s, void *data, size_t n)
{
    if (!s->loading) {
        g_byte_array_append(s->bytes, data, n);
        return;
    }
    if (s->failed || s->bytes->len - s->at < n) {
        s->failed = true;
        memset(data, 0, n);
        return;
    }
    memcpy(data, s->bytes->data + s->at, n);
    s->at += n;
}

void stream_u8(struct stream *s, uint8_t *v)
{
    stream_raw(s, v, 1);
}

void stream_u16(struct stream *s, uint16_t *v)
{
    uint16_t le = GUINT16_TO_LE(*v);
    stream_raw(s, &le, sizeof le);
    *v = GUINT16_FROM_LE(le);
}

void stream_u32(struct stream *s, uint32_t *v)
{
    uint32_t le = GUINT32_TO_LE(*v);
    stream_raw(s, &le, sizeof le);
    *v = GUINT32_FROM_LE(le);
}

void stream_u64(struct stream *s, uint64_t *v)
{
    uint64_t le = GUINT64_TO_LE(*v);
    stream_raw(s, &le, sizeof le);
    *v = GUINT64_FROM_LE(le);
}

void stream_bool(struct stream *s, bool *v)
{
    uint8_t b = *v;
    stream_u8(s, &b);
    s->failed |= b > 1;
    *v = b == 1;
}

void stream_check_u32(struct stream *s, uint32_t *v, uint32_t max)
{
    stream_u32(s, v);
    if (s->loading && *v > max) {
        s->failed = true;
        *v = 0;
    }
}

void stream_text(struct stream *s, char **v)
{
    uint16_t n = s->loading ? 0 : MIN(strlen(*v), UINT16_MAX);
    stream_u16(s, &n);
    if (!s->loading) {
        stream_raw(s, *v, n);
        return;
    }
    g_free(*v);
    *v = g_malloc0((size_t)n + 1);
    stream_raw(s, *v, n);
    if (s->failed || strlen(*v) != n || !g_utf8_validate(*v, n, NULL)) {
        s->failed = true;
        **v = 0;
    }
}

bool stream_ok(const struct stream *s)
{
    return !s->failed;
}
