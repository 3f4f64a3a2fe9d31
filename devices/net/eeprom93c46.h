// SPDX-License-Identifier: GPL-2.0-or-later
/* eeprom93c46.h - a 93C46 in words: 64 of 16 bits behind three wires (Microchip DS21749, chapter 2).  Commands begin with a 1,
 * have two bits of operation and six of address, most significant first; reading goes on with the next word. */
#pragma once
#include "core-vmm/base/stream.h"

enum { EEPROM_WORDS = 64 };
struct eeprom {
    uint16_t word[EEPROM_WORDS];
    uint16_t shift;         /* what came in since the chip was selected, or what is on its way out */
    uint8_t bits;           /* of them */
    uint8_t phase, command; /* command: operation and address */
    bool selected, clock, out, writable;
};
void eeprom_reset(struct eeprom *e);
/* The levels of the wires now: chip select, clock, data to the chip.  What it answers is e->out. */
void eeprom_wires(struct eeprom *e, bool select, bool clock, bool in);
void eeprom_sync(struct eeprom *e, struct stream *s);
