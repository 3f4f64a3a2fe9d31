// SPDX-License-Identifier: GPL-2.0-or-later
/* dma_list.c - see dma_list.h. */
#include "devices/storage/dma_list.h"
#include <string.h>

enum { PAGE = 4096 };

void dma_list_clear(struct dma_list *l)
{
    l->count = 0;
    l->bytes = 0;
}

static bool add_piece(struct dma_list *l, uint64_t gpa, void *at, uint64_t bytes)
{
    struct iovec *last = l->count ? &l->iov[l->count - 1] : NULL;
    bool next = last && (char *)last->iov_base + last->iov_len == at && l->gpa[l->count - 1] + last->iov_len == gpa;

    if (next) {
        last->iov_len += bytes;
    } else if (l->count < DMA_PIECES) {
        l->iov[l->count] = (struct iovec){at, bytes};
        l->gpa[l->count++] = gpa;
    } else {
        return false;
    }
    l->bytes += bytes;
    return true;
}

/* At once if it is one stretch of RAM, else page by page: what is RAM gets its part. */
uint64_t dma_list_add(struct device *d, struct dma_list *l, uint64_t gpa, uint64_t bytes, bool write, bool *good)
{
    void *at = bytes ? dev_dma(d, gpa, bytes, write) : NULL;
    uint64_t added = 0;

    if (at)
        return add_piece(l, gpa, at, bytes) ? bytes : 0;
    while (added < bytes) {
        uint64_t n = MIN(bytes - added, PAGE - ((gpa + added) & (PAGE - 1)));
        at = dev_dma(d, gpa + added, n, write);
        *good = *good && at;
        if (!at || !add_piece(l, gpa + added, at, n))
            break;
        added += n;
    }
    return added;
}

void dma_list_done(struct device *d, const struct dma_list *l)
{
    for (int i = 0; i < l->count; i++)
        dev_dma_done(d, l->gpa[i], l->iov[i].iov_len);
}

static uint64_t copy(const struct dma_list *l, uint64_t from, uint8_t *data, uint64_t bytes, bool put)
{
    uint64_t done = 0;

    for (int i = 0; i < l->count && done < bytes; from -= MIN(from, l->iov[i].iov_len), i++) {
        if (from >= l->iov[i].iov_len)
            continue;
        uint64_t n = MIN(bytes - done, l->iov[i].iov_len - from);
        uint8_t *at = (uint8_t *)l->iov[i].iov_base + from;
        memcpy(put ? at : data + done, put ? data + done : at, n);
        done += n;
    }
    return done;
}

uint64_t dma_list_put(const struct dma_list *l, uint64_t from, const void *data, uint64_t bytes)
{
    return copy(l, from, (uint8_t *)data, bytes, true);
}

uint64_t dma_list_get(const struct dma_list *l, uint64_t from, void *data, uint64_t bytes)
{
    return copy(l, from, data, bytes, false);
}
