// SPDX-License-Identifier: GPL-2.0-or-later
/* hostile_card.h - what the fuzzers of network cards share: a card on the bench with rings that its fuzzer has set up, and an
 * input that becomes descriptors and registers (the fuzzer's), and frames, cables, time and saved state (here). */
#pragma once
#include "tests/fuzz/hostile.h"

enum { HOSTILE_BAR = 0xe0000000, HOSTILE_BUFFERS = 0x100000, HOSTILE_BUFFER = 0x1000 };
struct hostile_card;
struct hostile_driver { /* what differs from card to card */
    void (*descriptor)(struct hostile_card *c);
    void (*access)(struct hostile_card *c);
    void (*received)(struct hostile_card *c, unsigned kind); /* a frame came; kind: a byte of the input */
};
struct hostile_card {
    struct bench *bench;
    const char *name; /* a row of chips.c */
    const struct hostile_driver *driver;
    struct bytes in;
    void *own; /* the fuzzer's */
};
/* The card on a bench, a bus master with its memory at HOSTILE_BAR by base address register `bar`. */
void hostile_begin(struct hostile_card *c, unsigned bar);
void hostile_run(struct hostile_card *c); /* till the input's end */
void hostile_end(struct hostile_card *c);
struct device *hostile_device(struct hostile_card *c);
uint8_t *hostile_ram(struct hostile_card *c, uint32_t gpa);
uint32_t hostile_number(struct hostile_card *c, unsigned bytes); /* the next of the input */
/* An address: mostly in a buffer, else (wild) anywhere. */
uint32_t hostile_address(struct hostile_card *c, bool wild);
