// SPDX-License-Identifier: GPL-2.0-or-later
/* dma_list.h - the guest's scattered memory as an iovec: what controllers hand to a drive, so that data goes between medium
 * and guest without a copy. */
#pragma once
#include "core-vmm/api/device.h"
#include <sys/uio.h>

enum { DMA_PIECES = 160 };
struct dma_list {
    struct iovec iov[DMA_PIECES];
    uint64_t gpa[DMA_PIECES];
    int count;
    uint64_t bytes; /* the sum */
};

void dma_list_clear(struct dma_list *l);
/* Adds [gpa, gpa + bytes), as far as there is room; neighbours become one piece.  How much was added; *good becomes false
 * where the next byte is not RAM (or not writable, if write). */
uint64_t dma_list_add(struct device *d, struct dma_list *l, uint64_t gpa, uint64_t bytes, bool write, bool *good);
/* All of it was written: the guest's CPUs must see that. */
void dma_list_done(struct device *d, const struct dma_list *l);
/* Between the list from byte `from` on and a buffer; returns how much there was room for. */
uint64_t dma_list_put(const struct dma_list *l, uint64_t from, const void *data, uint64_t bytes);
uint64_t dma_list_get(const struct dma_list *l, uint64_t from, void *data, uint64_t bytes);
