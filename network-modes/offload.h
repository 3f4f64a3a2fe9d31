// SPDX-License-Identifier: GPL-2.0-or-later
/* offload.h - doing in software what one side left to the other and the other cannot: checksums, and cutting up. */
#pragma once
#include "core-vmm/api/net.h"

/* RFC 1071 over bytes, added to sum; fold() makes 16 bits of it, in the byte order of the bytes themselves. */
uint64_t offload_sum(const uint8_t *bytes, size_t n, uint64_t sum);
uint16_t offload_fold(uint64_t sum);

/* Puts in the checksum that was left.  False: it lies outside of the frame. */
bool offload_checksum(uint8_t *frame, size_t bytes, const struct net_offload *left);
/* Makes a TCP segment that was to be cut up (left->segments) into one long frame that is right: lengths and sums.  False:
 * its headers are none, or say another length. */
bool offload_whole(uint8_t *frame, size_t bytes, const struct net_offload *left);
/* Makes it one that Linux cuts up (a struct virtio_net_hdr's): lengths of the whole, and in place of TCP's sum that of the
 * pseudo header.  False as above. */
bool offload_prepare(uint8_t *frame, size_t bytes, const struct net_offload *left);
/* Cuts it up: fn gets whole frames, in order, and may change them.  False as above; then fn gets nothing. */
bool offload_cut(const uint8_t *frame, size_t bytes, const struct net_offload *left,
                 void (*fn)(void *ctx, uint8_t *frame, size_t bytes), void *ctx);
