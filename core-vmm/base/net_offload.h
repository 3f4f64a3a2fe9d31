// SPDX-License-Identifier: GPL-2.0-or-later
/* net_offload.h - what a network card may leave to whoever gets its frames, and how to do it in software where the other side
 * cannot: checksums, and cutting up. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What of a frame's making is left to whoever gets it; all zeroes: nothing. */
struct net_offload {
    /* The sum over [checksum_start, end), which is to be put checksum_offset behind that start, where the sum of the
     * pseudo header lies. */
    bool checksum;
    uint16_t checksum_start, checksum_offset;
    /* NET_TSO4 or NET_TSO6: a TCP segment to be cut up; 0: it is one frame.  What its headers say of lengths and sums does
     * not count then: whoever cuts it up works them out. */
    uint8_t segments;
    uint16_t segment_bytes, header_bytes; /* of TCP payload in each; of all headers before it */
};
enum { NET_CHECKSUM = 1, NET_TSO4 = 2, NET_TSO6 = 4 }; /* what a side can be given, or-ed */

/* RFC 1071 over bytes, added to sum; fold() makes 16 bits of it, in the byte order of the bytes themselves. */
uint64_t offload_sum(const uint8_t *bytes, size_t n, uint64_t sum);
uint16_t offload_fold(uint64_t sum);

/* Puts in the checksum that was left.  False: it lies outside of the frame. */
bool offload_checksum(uint8_t *frame, size_t bytes, const struct net_offload *left);
/* Makes a TCP segment that was to be cut up (left->segments) into one long frame that is right: lengths and sums.  False:
 * its headers are none, or say another length. */
bool offload_whole(uint8_t *frame, size_t bytes, const struct net_offload *left);
/* Makes it one that Linux cuts up (a struct virtio_net_hdr's): lengths of the whole, and in place of TCP's sum that of the
 * pseudo header.  tcp: where that header is.  False as above. */
bool offload_prepare(uint8_t *frame, size_t bytes, const struct net_offload *left, size_t *tcp);
/* Cuts it up: fn gets whole frames, in order, and may change them.  False as above; then fn gets nothing. */
bool offload_cut(const uint8_t *frame, size_t bytes, const struct net_offload *left,
                 void (*fn)(void *ctx, uint8_t *frame, size_t bytes), void *ctx);
