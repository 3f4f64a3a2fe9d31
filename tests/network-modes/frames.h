// SPDX-License-Identifier: GPL-2.0-or-later
/* frames.h - what tests of networks share: frames, stations that note what reaches them, and a main loop by hand. */
#pragma once
#include "core-vmm/api/net.h"

enum { FRAME_TEST_TYPE = 0x88b5 /* for experiments, IEEE 802 */, FRAME_TEST_BYTES = 60 };
struct station { /* what reached it */
    unsigned frames;
    uint8_t last[NET_FRAME_MOST];
    size_t bytes;
    struct net_offload left;
};
/* Takes a struct station. */
void station_frame(void *ctx, const void *frame, size_t bytes, const struct net_offload *left);
/* An Ethernet frame of FRAME_TEST_BYTES from station number `from` to `to`; ALL: to everybody. */
enum { ALL = 255 };
void frame_make(uint8_t *frame, unsigned to, unsigned from, uint8_t content);
void frame_address(uint8_t *address, unsigned station);
/* Runs the default main context until *value is at least `most`, or for 5 s; then as long as there is something to do. */
void loop_until(const unsigned *value, unsigned least);
void loop_quiet(void); /* until nothing has happened for some time */
