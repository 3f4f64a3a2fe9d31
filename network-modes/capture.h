// SPDX-License-Identifier: GPL-2.0-or-later
/* capture.h - frames of one card into a file, as pcapng (draft-ietf-opsawg-pcapng) with nanoseconds and directions: what
 * Wireshark and tcpdump open.  What a frame leaves to its receiver is done in the capture: sums are right, and a segment
 * that is still to be cut up is there as its pieces. */
#pragma once
#include "core-vmm/api/net.h"

struct capture;
/* Takes fd, a file, pipe or socket.  name: of the interface in the file ("box nic1").  A pipe that is full misses frames, and so
 * does a file on a full disk, which stays whole and goes on when there is room again. */
struct capture *capture_start(int fd, const char *name, GError **error);
void capture_frame(struct capture *c, bool to_guest, const void *frame, size_t bytes, const struct net_offload *left);
/* frames: that are in it; missed: that are not, since the reader is slow or the disk full. */
void capture_count(const struct capture *c, uint64_t *frames, uint64_t *missed);
void capture_stop(struct capture *c);
