// SPDX-License-Identifier: GPL-2.0-or-later
/* ethernet.h - what the older Ethernet controllers have in common: the check sequence, hashes of group addresses, and how
 * long a frame waits for a driver that has no buffer ready. */
#pragma once
#include "core-vmm/api/net.h"

enum { ETHER_ADDRESS = 6, ETHER_HEAD = 14, ETHER_LEAST = 60 /* without the check sequence */, ETHER_CHECK = 4 };
enum { ETHER_MOST = 1514 /* likewise */, ETHER_TAG = 4 /* of 802.1Q */, ETHER_TAG_TYPE = 0x8100 };

/* The frame check sequence of IEEE 802.3, to be put little-endian behind the frame. */
uint32_t ether_check(const void *frame, size_t bytes);
/* The CRC of a group address before its last inversion, as controllers with a little-endian hash take it (its top bits). */
uint32_t ether_hash(const uint8_t *address);
/* The same with its bits the other way round. */
uint32_t ether_hash_mirrored(const uint8_t *address);
bool ether_is_broadcast(const uint8_t *address);

/* Controllers have memory for a few frames that the driver gave no buffer for yet, and lose what comes later.  Here a
 * frame waits in the cable, as long as a driver that is merely late may need. */
enum { ETHER_WAIT_NS = 200000000, ETHER_LOOK_NS = 1000000 };
struct ether_wait {
    uint64_t until; /* guest time; 0: nothing waits */
    uint64_t look;  /* when the card looks for buffers again (a driver gives them by writing to RAM); DEV_NEVER: not */
};
/* A frame came and there is no buffer.  True: it waits (the card returns false to the cable, and sets its timer for
 * w->look); false: it has waited long enough, and is lost. */
bool ether_wait(struct ether_wait *w, uint64_t now);
void ether_wait_end(struct ether_wait *w);
