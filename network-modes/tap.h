// SPDX-License-Identifier: GPL-2.0-or-later
/* tap.h - a TAP or macvtap of the host: frames by read and write, a struct virtio_net_hdr before each that says what is left of
 * its making.  Whoever made it (terrarium-netadm) has set it up so. */
#pragma once
#include "core-vmm/api/net.h"

struct tap_end {
    void (*frame)(void *ctx, uint8_t *frame, size_t bytes, const struct net_offload *left);
    void (*gone)(void *ctx); /* the interface has been removed; not to close from */
    void *ctx;
};
struct tap_counts {
    uint64_t sent, full, received, broken;
};
struct tap;
struct tap *tap_open(int fd, const struct tap_end *end, GError **error); /* duplicates fd; end is copied */
void tap_close(struct tap *t);
/* The frame may be changed.  What is left of it is left to the host. */
void tap_send(struct tap *t, uint8_t *frame, size_t bytes, const struct net_offload *left);
void tap_count(const struct tap *t, struct tap_counts *out);
