// SPDX-License-Identifier: GPL-2.0-or-later
/* iov.c - walking a vector of buffers piece by piece. */
#include "disk-formats/image/image.h"
#include <string.h>

int iov_take(struct iov_walk *w, uint64_t bytes, struct iovec out[IOV_PIECE], uint64_t *got)
{
    int count = 0;
    *got = 0;
    while (w->n && *got < bytes && count < IOV_PIECE) {
        size_t here = w->iov->iov_len - w->skip, take = MIN(here, bytes - *got);
        if (take)
            out[count++] = (struct iovec){(char *)w->iov->iov_base + w->skip, take};
        *got += take;
        w->skip += take;
        if (take == here) {
            w->iov++;
            w->n--;
            w->skip = 0;
        }
    }
    return count;
}

uint64_t iov_bytes(const struct iovec *iov, int n)
{
    uint64_t sum = 0;
    for (int i = 0; i < n; i++)
        sum += iov[i].iov_len;
    return sum;
}

/* Calls for each stretch of the next bytes; the walk advances. */
static void iov_each(struct iov_walk *w, uint64_t bytes, void (*fn)(void *base, size_t n, char **at), char *at)
{
    while (bytes && w->n) {
        struct iovec piece[IOV_PIECE];
        uint64_t got;
        int n = iov_take(w, bytes, piece, &got);
        for (int i = 0; i < n; i++)
            fn(piece[i].iov_base, piece[i].iov_len, &at);
        bytes -= got;
    }
}

static void copy_in(void *base, size_t n, char **at)
{
    memcpy(base, *at, n);
    *at += n;
}

static void set_zero(void *base, size_t n, char **at)
{
    memset(base, 0, n);
}

void iov_copy_in(struct iov_walk *w, const void *from, uint64_t bytes)
{
    iov_each(w, bytes, copy_in, (char *)from);
}

void iov_zero(struct iov_walk *w, uint64_t bytes)
{
    iov_each(w, bytes, set_zero, NULL);
}
