// SPDX-License-Identifier: GPL-2.0-or-later
/* hostile.c - see hostile.h. */
#include "tests/fuzz/hostile.h"

void hostile_save_load(struct bench *b)
{
    g_autofree char *why = bench_save_load(b);
    if (why)
        g_error("%s", why);
}

void hostile_forget_events(struct bench *b)
{
    for (char *e; (e = bench_event(b));)
        g_free(e);
}

void hostile_packet(struct bytes *in, uint8_t packet[12])
{
    static const uint8_t known[] = {0x00, 0x03, 0x12, 0x1b, 0x1e, 0x25, 0x28, 0x2b, 0x42, 0x43, 0x46,
                                    0x4a, 0x51, 0x52, 0x55, 0x5a, 0xa8, 0xbb, 0xbd, 0xbe, 0xb9, 0xad};
    unsigned which = take(in);
    packet[0] = which < G_N_ELEMENTS(known) * 8 ? known[which / 8] : take(in);
    for (unsigned i = 1; i < 12; i++)
        packet[i] = i == 2 || i == 3 || i == 6 ? 0 : take(in);
}
