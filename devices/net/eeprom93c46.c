// SPDX-License-Identifier: GPL-2.0-or-later
/* eeprom93c46.c - see eeprom93c46.h.  Everything happens where the clock rises; writing takes no time. */
#include "devices/net/eeprom93c46.h"

enum phase { WAITING /* for the 1 */, COMMAND, READING, WRITING, DONE, PHASES };
enum { OTHER = 0, WRITE = 1, READ = 2, ERASE = 3 };             /* operations */
enum { DISABLE = 0, WRITE_ALL = 1, ERASE_ALL = 2, ENABLE = 3 }; /* OTHER: the address's top bits */
enum { COMMAND_BITS = 8, WORD_BITS = 16, ADDRESS = EEPROM_WORDS - 1 };

void eeprom_reset(struct eeprom *e)
{
    e->shift = e->bits = e->command = 0;
    e->phase = WAITING;
    e->selected = e->clock = e->writable = false;
    e->out = true;
}

static unsigned operation(const struct eeprom *e)
{
    return e->command >> 6;
}

static bool is_other(const struct eeprom *e, unsigned which)
{
    return operation(e) == OTHER && (e->command >> 4 & 3) == which;
}

static void fill(struct eeprom *e, bool all, uint16_t value)
{
    for (unsigned i = 0; i < EEPROM_WORDS && e->writable; i++)
        if (all || i == (e->command & ADDRESS))
            e->word[i] = value;
}

static void begin(struct eeprom *e)
{
    e->bits = 0;
    e->phase = DONE;
    if (operation(e) == READ) {
        e->phase = READING;
        e->shift = e->word[e->command & ADDRESS];
        e->out = false; /* a 0 goes before the word */
    } else if (operation(e) == WRITE || is_other(e, WRITE_ALL)) {
        e->phase = WRITING;
    } else if (operation(e) == ERASE || is_other(e, ERASE_ALL)) {
        fill(e, operation(e) == OTHER, 0xffff);
    } else {
        e->writable = is_other(e, ENABLE);
    }
}

static void read_bit(struct eeprom *e)
{
    if (e->bits == WORD_BITS) {
        e->command = READ << 6 | ((e->command + 1) & ADDRESS);
        e->shift = e->word[e->command & ADDRESS];
        e->bits = 0;
    }
    e->out = e->shift >> 15;
    e->shift <<= 1;
    e->bits++;
}

static void clock_rises(struct eeprom *e, bool in)
{
    if (e->phase == WAITING && in) {
        e->phase = COMMAND;
        e->shift = e->bits = 0;
    } else if (e->phase == READING) {
        read_bit(e);
    } else if (e->phase == COMMAND || e->phase == WRITING) {
        e->shift = e->shift << 1 | in;
        e->bits++;
    }
    if (e->phase == COMMAND && e->bits == COMMAND_BITS) {
        e->command = e->shift;
        begin(e);
    } else if (e->phase == WRITING && e->bits == WORD_BITS) {
        fill(e, operation(e) == OTHER, e->shift);
        e->phase = DONE;
    }
}

void eeprom_wires(struct eeprom *e, bool select, bool clock, bool in)
{
    if (!select || !e->selected) {
        e->phase = WAITING;
        e->out = true; /* pulled up; after writing: ready */
    }
    if (select && clock && !e->clock)
        clock_rises(e, in);
    e->selected = select;
    e->clock = clock;
}

void eeprom_sync(struct eeprom *e, struct stream *s)
{
    uint32_t phase = e->phase, bits = e->bits;
    for (unsigned i = 0; i < EEPROM_WORDS; i++)
        stream_u16(s, &e->word[i]);
    stream_u16(s, &e->shift);
    stream_u8(s, &e->command);
    stream_check_u32(s, &phase, PHASES - 1);
    stream_check_u32(s, &bits, WORD_BITS);
    e->phase = phase;
    e->bits = bits;
    stream_bool(s, &e->selected);
    stream_bool(s, &e->clock);
    stream_bool(s, &e->out);
    stream_bool(s, &e->writable);
}
