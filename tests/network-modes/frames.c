// SPDX-License-Identifier: GPL-2.0-or-later
/* frames.c - see frames.h. */
#include "tests/network-modes/frames.h"
#include "core-vmm/base/bytes.h"
#include <string.h>

enum { PATIENCE_US = 5000000, QUIET_TURNS = 5, TURN_US = 1000 };

void station_frame(void *ctx, const void *frame, size_t bytes, const struct net_offload *left)
{
    struct station *s = ctx;
    g_assert_cmpuint(bytes, <=, sizeof s->last);
    s->frames++;
    memcpy(s->last, frame, bytes);
    s->bytes = bytes;
    s->left = left ? *left : (struct net_offload){0};
}

void frame_address(uint8_t *address, unsigned station)
{
    memset(address, 0xff, 6);
    if (station != ALL)
        memcpy(address, (const uint8_t[]){0x52, 0x54, 0, 0, 0, (uint8_t)station}, 6);
}

void frame_make(uint8_t *frame, unsigned to, unsigned from, uint8_t content)
{
    memset(frame, content, FRAME_TEST_BYTES);
    frame_address(frame, to);
    frame_address(frame + 6, from);
    put_be16(frame + 12, FRAME_TEST_TYPE);
}

void loop_quiet(void)
{
    for (unsigned quiet = 0; quiet < QUIET_TURNS; quiet++) {
        if (g_main_context_iteration(NULL, FALSE))
            quiet = 0;
        else
            g_usleep(TURN_US);
    }
}

void loop_until(const unsigned *value, unsigned least)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_US;
    while (*value < least && g_get_monotonic_time() < end)
        if (!g_main_context_iteration(NULL, FALSE))
            g_usleep(TURN_US);
    loop_quiet();
}
