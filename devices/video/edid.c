// SPDX-License-Identifier: GPL-2.0-or-later
/* edid.c - what the monitor says of itself.
 * Spec: VESA Enhanced EDID 1.4 (E-EDID release A, revision 2); timings by VESA CVT 1.2 with reduced blanking. */
#include "devices/video/vga.h"
#include "core-vmm/base/bytes.h"

enum { RB_H_BLANK = 160, RB_H_FRONT = 48, RB_H_SYNC = 32, RB_V_FRONT = 3, RB_V_SYNC = 5, RB_V_BLANK_US = 460 };
#define DPI 96

/* Rows of the blanking interval: at least 460 us of it. */
static unsigned blank_lines(unsigned height)
{
    unsigned least = RB_V_FRONT + RB_V_SYNC + 6;
    unsigned n = (uint64_t)height * RB_V_BLANK_US / (16667 - RB_V_BLANK_US) + 1;

    return MAX(n, least);
}

static void detailed_timing(uint8_t t[18], unsigned width, unsigned height)
{
    unsigned v_blank = blank_lines(height), mm_x = width * 254 / (DPI * 10), mm_y = height * 254 / (DPI * 10);

    put_le16(t, MIN((width + RB_H_BLANK) * (uint64_t)(height + v_blank) * 60 / 10000, 0xffff));
    t[2] = width;
    t[3] = RB_H_BLANK;
    t[4] = width >> 8 << 4 | RB_H_BLANK >> 8;
    t[5] = height;
    t[6] = v_blank;
    t[7] = height >> 8 << 4 | v_blank >> 8;
    t[8] = RB_H_FRONT;
    t[9] = RB_H_SYNC;
    t[10] = (RB_V_FRONT & 15) << 4 | (RB_V_SYNC & 15);
    t[12] = mm_x;
    t[13] = mm_y;
    t[14] = mm_x >> 8 << 4 | mm_y >> 8;
    t[17] = 0x1a; /* digital separate sync, horizontal positive */
}

static void text_descriptor(uint8_t t[18], uint8_t tag, const char *text)
{
    size_t n = MIN(strlen(text), 13);

    t[3] = tag;
    memset(t + 5, ' ', 13);
    memcpy(t + 5, text, n);
    if (n < 13)
        t[5 + n] = '\n';
}

static void range_descriptor(uint8_t t[18])
{
    static const uint8_t range[18] = {0, 0, 0, 0xfd, 0, 50, 75, 30, 255, 60, 1, 10, ' ', ' ', ' ', ' ', ' ', ' '};

    memcpy(t, range, sizeof range);
}

void edid_make(uint8_t out[128], const char *name, unsigned width, unsigned height)
{
    static const uint8_t header[8] = {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0};
    static const uint8_t srgb[10] = {0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54};
    static const uint8_t standard_timings[16] = {0x61, 0x40, 0x81, 0x00, 0x81, 0xc0, 0x95, 0x00,
                                                 0xa9, 0x40, 0xb3, 0x00, 0xd1, 0xc0, 0x01, 0x01};
    uint8_t sum = 0;

    memset(out, 0, 128);
    memcpy(out, header, sizeof header);
    put_be16(out + 8, ('T' - '@') << 10 | ('R' - '@') << 5 | ('M' - '@')); /* manufacturer TRM */
    out[10] = 1;                                                           /* product */
    out[17] = 2025 - 1990;
    out[18] = 1; /* EDID 1.4 */
    out[19] = 4;
    out[20] = 0xa5; /* digital, 8 bits per colour, DisplayPort */
    out[21] = width * 254 / (DPI * 100);
    out[22] = height * 254 / (DPI * 100);
    out[23] = 120;  /* gamma 2.2 */
    out[24] = 0x06; /* sRGB, preferred timing is native */
    memcpy(out + 25, srgb, sizeof srgb);
    out[35] = 0x21; /* 640x480, 800x600 */
    out[36] = 0x08; /* 1024x768 */
    memcpy(out + 38, standard_timings, sizeof standard_timings);
    detailed_timing(out + 54, width, height);
    range_descriptor(out + 72);
    text_descriptor(out + 90, 0xfc, name);
    text_descriptor(out + 108, 0xff, "1");
    for (unsigned i = 0; i < 127; i++)
        sum += out[i];
    out[127] = -sum;
}
