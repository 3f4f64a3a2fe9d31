// SPDX-License-Identifier: GPL-2.0-or-later
/* hostile.h - steps that the fuzzers with hostile drivers of chips on the bench share. */
#pragma once
#include "tests/devices/bench.h"
#include "tests/fuzz/bytes.h"

void hostile_save_load(struct bench *b);     /* it fails if anything differs afterwards */
void hostile_forget_events(struct bench *b); /* what was asked of the machine */
/* A command of a CD drive: mostly one that there is, at a place that is mostly on the medium. */
void hostile_packet(struct bytes *in, uint8_t packet[12]);
