// SPDX-License-Identifier: GPL-2.0-or-later
/* An enhanced AT keyboard (MF2, 102 to 109 keys and the usual media keys).
 * Sources: IBM PS/2 Hardware Interface Technical Reference, keyboards (101/102-key); Microsoft Keyboard Scan Code
 * Specification 1.3a for the extended keys.
 *
 * The table gives every key's codes of scan sets 1 and 3.  Set 2 needs none: the keyboard controller's translation from
 * set 2 to set 1 (i8042_set1_of) is a fixed map of bytes, and read backwards it makes set 2. */
#include "devices/input/i8042.h"
#include "devices/input/ps2.h"
#include <linux/input-event-codes.h>
#include <string.h>

enum { ACK = 0xfa, RESEND = 0xfe, BAT_OK = 0xaa, ECHO = 0xee };
enum {
    SET_LEDS = 0xed,
    SCAN_SET = 0xf0,
    READ_ID = 0xf2,
    TYPEMATIC = 0xf3,
    ENABLE = 0xf4,
    DISABLE = 0xf5,
    DEFAULTS = 0xf6,
    ALL_REPEAT = 0xf7,
    ALL_BREAK = 0xf8,
    ALL_MAKE = 0xf9,
    ALL_BOTH = 0xfa,
    ONE_REPEAT = 0xfb,
    ONE_BREAK = 0xfc,
    ONE_MAKE = 0xfd,
    RESEND_LAST = 0xfe,
    RESET = 0xff
};
enum held { HELD_ALT = 1, HELD_CTRL = 2, HELD_SHIFT = 4 };
enum key_mode { SENDS_BREAK = 1, REPEATS = 2 };
enum { LONGEST = 8 /* bytes of one key event: Pause */, EXTENDED = 0xe0, BREAK_2 = 0xf0, BREAK_1 = 0x80 };
enum { TYPEMATIC_DEFAULT = 0x2b /* 10.9 a second after 500 ms */ };

#define E0 0x100
static const struct key {
    uint16_t set1; /* E0: preceded by that byte */
    uint8_t set3;
} keys[] = {
    [KEY_ESC] = {0x01, 0x08},
    [KEY_1] = {0x02, 0x16},
    [KEY_2] = {0x03, 0x1e},
    [KEY_3] = {0x04, 0x26},
    [KEY_4] = {0x05, 0x25},
    [KEY_5] = {0x06, 0x2e},
    [KEY_6] = {0x07, 0x36},
    [KEY_7] = {0x08, 0x3d},
    [KEY_8] = {0x09, 0x3e},
    [KEY_9] = {0x0a, 0x46},
    [KEY_0] = {0x0b, 0x45},
    [KEY_MINUS] = {0x0c, 0x4e},
    [KEY_EQUAL] = {0x0d, 0x55},
    [KEY_BACKSPACE] = {0x0e, 0x66},
    [KEY_TAB] = {0x0f, 0x0d},
    [KEY_Q] = {0x10, 0x15},
    [KEY_W] = {0x11, 0x1d},
    [KEY_E] = {0x12, 0x24},
    [KEY_R] = {0x13, 0x2d},
    [KEY_T] = {0x14, 0x2c},
    [KEY_Y] = {0x15, 0x35},
    [KEY_U] = {0x16, 0x3c},
    [KEY_I] = {0x17, 0x43},
    [KEY_O] = {0x18, 0x44},
    [KEY_P] = {0x19, 0x4d},
    [KEY_LEFTBRACE] = {0x1a, 0x54},
    [KEY_RIGHTBRACE] = {0x1b, 0x5b},
    [KEY_ENTER] = {0x1c, 0x5a},
    [KEY_LEFTCTRL] = {0x1d, 0x11},
    [KEY_A] = {0x1e, 0x1c},
    [KEY_S] = {0x1f, 0x1b},
    [KEY_D] = {0x20, 0x23},
    [KEY_F] = {0x21, 0x2b},
    [KEY_G] = {0x22, 0x34},
    [KEY_H] = {0x23, 0x33},
    [KEY_J] = {0x24, 0x3b},
    [KEY_K] = {0x25, 0x42},
    [KEY_L] = {0x26, 0x4b},
    [KEY_SEMICOLON] = {0x27, 0x4c},
    [KEY_APOSTROPHE] = {0x28, 0x52},
    [KEY_GRAVE] = {0x29, 0x0e},
    [KEY_LEFTSHIFT] = {0x2a, 0x12},
    [KEY_BACKSLASH] = {0x2b, 0x5c},
    [KEY_Z] = {0x2c, 0x1a},
    [KEY_X] = {0x2d, 0x22},
    [KEY_C] = {0x2e, 0x21},
    [KEY_V] = {0x2f, 0x2a},
    [KEY_B] = {0x30, 0x32},
    [KEY_N] = {0x31, 0x31},
    [KEY_M] = {0x32, 0x3a},
    [KEY_COMMA] = {0x33, 0x41},
    [KEY_DOT] = {0x34, 0x49},
    [KEY_SLASH] = {0x35, 0x4a},
    [KEY_RIGHTSHIFT] = {0x36, 0x59},
    [KEY_KPASTERISK] = {0x37, 0x7e},
    [KEY_LEFTALT] = {0x38, 0x19},
    [KEY_SPACE] = {0x39, 0x29},
    [KEY_CAPSLOCK] = {0x3a, 0x14},
    [KEY_F1] = {0x3b, 0x07},
    [KEY_F2] = {0x3c, 0x0f},
    [KEY_F3] = {0x3d, 0x17},
    [KEY_F4] = {0x3e, 0x1f},
    [KEY_F5] = {0x3f, 0x27},
    [KEY_F6] = {0x40, 0x2f},
    [KEY_F7] = {0x41, 0x37},
    [KEY_F8] = {0x42, 0x3f},
    [KEY_F9] = {0x43, 0x47},
    [KEY_F10] = {0x44, 0x4f},
    [KEY_NUMLOCK] = {0x45, 0x76},
    [KEY_SCROLLLOCK] = {0x46, 0x5f},
    [KEY_KP7] = {0x47, 0x6c},
    [KEY_KP8] = {0x48, 0x75},
    [KEY_KP9] = {0x49, 0x7d},
    [KEY_KPMINUS] = {0x4a, 0x84},
    [KEY_KP4] = {0x4b, 0x6b},
    [KEY_KP5] = {0x4c, 0x73},
    [KEY_KP6] = {0x4d, 0x74},
    [KEY_KPPLUS] = {0x4e, 0x7c},
    [KEY_KP1] = {0x4f, 0x69},
    [KEY_KP2] = {0x50, 0x72},
    [KEY_KP3] = {0x51, 0x7a},
    [KEY_KP0] = {0x52, 0x70},
    [KEY_KPDOT] = {0x53, 0x71},
    [KEY_ZENKAKUHANKAKU] = {0x76},
    [KEY_102ND] = {0x56, 0x13},
    [KEY_F11] = {0x57, 0x56},
    [KEY_F12] = {0x58, 0x5e},
    [KEY_RO] = {0x73, 0x51},
    [KEY_KATAKANA] = {0x78},
    [KEY_HIRAGANA] = {0x77},
    [KEY_HENKAN] = {0x79, 0x86},
    [KEY_KATAKANAHIRAGANA] = {0x70, 0x87},
    [KEY_MUHENKAN] = {0x7b, 0x85},
    [KEY_KPENTER] = {E0 | 0x1c, 0x79},
    [KEY_RIGHTCTRL] = {E0 | 0x1d, 0x58},
    [KEY_KPSLASH] = {E0 | 0x35, 0x77},
    [KEY_SYSRQ] = {E0 | 0x37, 0x57},
    [KEY_RIGHTALT] = {E0 | 0x38, 0x39},
    [KEY_HOME] = {E0 | 0x47, 0x6e},
    [KEY_UP] = {E0 | 0x48, 0x63},
    [KEY_PAGEUP] = {E0 | 0x49, 0x6f},
    [KEY_LEFT] = {E0 | 0x4b, 0x61},
    [KEY_RIGHT] = {E0 | 0x4d, 0x6a},
    [KEY_END] = {E0 | 0x4f, 0x65},
    [KEY_DOWN] = {E0 | 0x50, 0x60},
    [KEY_PAGEDOWN] = {E0 | 0x51, 0x6d},
    [KEY_INSERT] = {E0 | 0x52, 0x67},
    [KEY_DELETE] = {E0 | 0x53, 0x64},
    [KEY_MUTE] = {E0 | 0x20, 0x9c},
    [KEY_VOLUMEDOWN] = {E0 | 0x2e, 0x9d},
    [KEY_VOLUMEUP] = {E0 | 0x30, 0x95},
    [KEY_POWER] = {E0 | 0x5e},
    [KEY_KPEQUAL] = {0x59},
    [KEY_PAUSE] = {E0 | 0x46, 0x62},
    [KEY_KPCOMMA] = {0x7e},
    [KEY_YEN] = {0x7d, 0x5d},
    [KEY_LEFTMETA] = {E0 | 0x5b, 0x8b},
    [KEY_RIGHTMETA] = {E0 | 0x5c, 0x8c},
    [KEY_COMPOSE] = {E0 | 0x5d, 0x8d},
    [KEY_STOP] = {E0 | 0x68},
    [KEY_CALC] = {E0 | 0x21},
    [KEY_SLEEP] = {E0 | 0x5f},
    [KEY_WAKEUP] = {E0 | 0x63},
    [KEY_MAIL] = {E0 | 0x6c},
    [KEY_BOOKMARKS] = {E0 | 0x66},
    [KEY_COMPUTER] = {E0 | 0x6b},
    [KEY_BACK] = {E0 | 0x6a},
    [KEY_FORWARD] = {E0 | 0x69},
    [KEY_NEXTSONG] = {E0 | 0x19, 0x93},
    [KEY_PLAYPAUSE] = {E0 | 0x22},
    [KEY_PREVIOUSSONG] = {E0 | 0x10, 0x94},
    [KEY_STOPCD] = {E0 | 0x24, 0x98},
    [KEY_HOMEPAGE] = {E0 | 0x32, 0x97},
    [KEY_REFRESH] = {E0 | 0x67},
    [KEY_F13] = {0x64},
    [KEY_F14] = {0x65},
    [KEY_F15] = {0x66},
    [KEY_F16] = {0x67},
    [KEY_F17] = {0x68},
    [KEY_F18] = {0x69},
    [KEY_F19] = {0x6a},
    [KEY_F20] = {0x6b},
    [KEY_F21] = {0x6c},
    [KEY_F22] = {0x6d},
    [KEY_F23] = {0x6e},
    [KEY_F24] = {0x76},
    [KEY_SEARCH] = {E0 | 0x65, 0x99},
    [KEY_MEDIA] = {E0 | 0x6d},
};

/* ---- sets 1 and 2 ---- */

/* Where two codes translate to the same, the keyboard sends the higher one (F7: 83h). */
static uint8_t set2_of(uint8_t set1)
{
    unsigned code = 0x84;
    while (code && i8042_set1_of(code) != set1)
        code--;
    return code;
}

/* One code of set 1, make or break, as set 1 or 2 spells it. */
static void put_code(struct ps2_keyboard *k, uint16_t code, bool down)
{
    if (code & E0)
        ps2_put(&k->out, EXTENDED);
    if (k->scan_set == 1) {
        ps2_put(&k->out, (code & 0x7f) | (down ? 0 : BREAK_1));
        return;
    }
    if (!down)
        ps2_put(&k->out, BREAK_2);
    ps2_put(&k->out, set2_of(code & 0x7f));
}

/* Pause has no break code: its make holds both halves. */
static void put_pause(struct ps2_keyboard *k, bool down)
{
    static const uint8_t set1[] = {0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5};
    static const uint8_t set2[] = {0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77};
    if (!down)
        return;
    if (k->held & HELD_CTRL) { /* "Break" */
        put_code(k, E0 | 0x46, true);
        put_code(k, E0 | 0x46, false);
        return;
    }
    const uint8_t *bytes = k->scan_set == 1 ? set1 : set2;
    for (unsigned i = 0; i < (k->scan_set == 1 ? sizeof set1 : sizeof set2); i++)
        ps2_put(&k->out, bytes[i]);
}

/* PrintScreen comes with a shift of its own, unless one is held; with Alt it is another key, SysRq. */
static void put_print_screen(struct ps2_keyboard *k, bool down)
{
    bool bare = !(k->held & (HELD_CTRL | HELD_SHIFT));
    if (k->held & HELD_ALT) {
        put_code(k, 0x54, down);
        return;
    }
    if (bare && down)
        put_code(k, E0 | 0x2a, true);
    put_code(k, E0 | 0x37, down);
    if (bare && !down)
        put_code(k, E0 | 0x2a, false);
}

static void put_key(struct ps2_keyboard *k, unsigned code, bool down)
{
    uint8_t set3 = keys[code].set3;
    if (k->scan_set == 3) {
        if (set3 && !down && k->modes[set3] & SENDS_BREAK)
            ps2_put(&k->out, BREAK_2);
        if (set3 && (down || k->modes[set3] & SENDS_BREAK))
            ps2_put(&k->out, set3);
    } else if (code == KEY_PAUSE) {
        put_pause(k, down);
    } else if (code == KEY_SYSRQ) {
        put_print_screen(k, down);
    } else {
        put_code(k, keys[code].set1, down);
    }
}

static enum held modifier(unsigned code)
{
    switch (code) {
    case KEY_LEFTALT:
    case KEY_RIGHTALT: return HELD_ALT;
    case KEY_LEFTCTRL:
    case KEY_RIGHTCTRL: return HELD_CTRL;
    case KEY_LEFTSHIFT:
    case KEY_RIGHTSHIFT: return HELD_SHIFT;
    default: return 0;
    }
}

bool ps2_keyboard_key(struct ps2_keyboard *k, unsigned code, bool down)
{
    if (code >= G_N_ELEMENTS(keys) || !keys[code].set1)
        return true;
    if (ps2_room(&k->out) < LONGEST)
        return false;
    k->held = down ? k->held | modifier(code) : k->held & ~modifier(code);
    if (k->scanning)
        put_key(k, code, down);
    return true;
}

/* ---- commands ---- */

static void set_all_modes(struct ps2_keyboard *k, uint8_t mode)
{
    memset(k->modes, mode, sizeof k->modes);
}

/* What set 3 does after power-on: modifiers have breaks, the cursor keys and letters repeat, some do neither. */
static void default_modes(struct ps2_keyboard *k)
{
    static const uint8_t with_break[] = {0x11, 0x12, 0x14, 0x19, 0x59};
    static const uint8_t make_only[] = {0x08, 0x07, 0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x47, 0x4f, 0x56, 0x5e,
                                        0x57, 0x5f, 0x62, 0x39, 0x58, 0x67, 0x6e, 0x65, 0x6f, 0x6d, 0x76, 0x77, 0x6c,
                                        0x6b, 0x69, 0x75, 0x73, 0x72, 0x70, 0x7e, 0x7d, 0x74, 0x7a, 0x71, 0x84, 0x79};
    set_all_modes(k, REPEATS);
    for (unsigned i = 0; i < sizeof with_break; i++)
        k->modes[with_break[i]] = SENDS_BREAK;
    for (unsigned i = 0; i < sizeof make_only; i++)
        k->modes[make_only[i]] = 0;
}

static void defaults(struct ps2_keyboard *k)
{
    k->typematic = TYPEMATIC_DEFAULT;
    k->scan_set = 2;
    default_modes(k);
}

void ps2_keyboard_reset(struct ps2_keyboard *k)
{
    uint8_t held = k->held;
    *k = (struct ps2_keyboard){.scanning = true, .held = held};
    defaults(k);
}

/* Set 3's per-key commands take codes until a byte that is none. */
static bool lists_keys(uint8_t command)
{
    return command >= ONE_REPEAT && command <= ONE_MAKE;
}

static void argument(struct ps2_keyboard *k, uint8_t byte)
{
    uint8_t command = k->command;
    if (!lists_keys(command))
        k->command = 0;
    if (command == SET_LEDS)
        k->leds = byte & 7;
    else if (command == TYPEMATIC)
        k->typematic = byte & 0x7f;
    else if (lists_keys(command))
        k->modes[byte] = command == ONE_REPEAT ? REPEATS : command == ONE_BREAK ? SENDS_BREAK : 0;
    else if (byte >= 1 && byte <= 3)
        k->scan_set = byte;
    else if (byte > 3) {
        k->command = SCAN_SET;
        ps2_put(&k->out, RESEND);
        return;
    }
    ps2_put(&k->out, ACK);
    if (command == SCAN_SET && byte == 0)
        ps2_put(&k->out, k->scan_set);
}

static void start(struct ps2_keyboard *k, uint8_t byte)
{
    static const uint8_t all_modes[] = {REPEATS, SENDS_BREAK, 0, SENDS_BREAK | REPEATS};
    if (byte != RESEND_LAST && byte != SET_LEDS && byte != ECHO) /* commands throw away what was not yet sent */
        k->out.count = 0;
    ps2_put(&k->out, ACK);
    switch (byte) {
    case SET_LEDS:
    case SCAN_SET:
    case TYPEMATIC:
    case ONE_REPEAT:
    case ONE_BREAK:
    case ONE_MAKE: k->command = byte; break;
    case READ_ID:
        ps2_put(&k->out, 0xab);
        ps2_put(&k->out, 0x83);
        break;
    case ENABLE: k->scanning = true; break;
    case DISABLE:
        defaults(k);
        k->scanning = false;
        break;
    case DEFAULTS: defaults(k); break;
    case RESET:
        ps2_keyboard_reset(k);
        ps2_put(&k->out, ACK);
        ps2_put(&k->out, BAT_OK);
        break;
    default: set_all_modes(k, all_modes[byte - ALL_REPEAT]); break;
    }
}

void ps2_keyboard_write(struct ps2_keyboard *k, uint8_t byte)
{
    if (k->command && byte < 0xed) {
        argument(k, byte);
        return;
    }
    k->command = 0;
    if (byte == ECHO)
        ps2_put(&k->out, ECHO);
    else if (byte == RESEND_LAST)
        ps2_put(&k->out, k->out.last);
    else if (byte == SET_LEDS || byte == SCAN_SET || byte >= READ_ID)
        start(k, byte);
    else
        ps2_put(&k->out, RESEND);
}

void ps2_keyboard_sync(struct ps2_keyboard *k, struct stream *s)
{
    ps2_sync_queue(&k->out, s);
    stream_u8(s, &k->scan_set);
    stream_u8(s, &k->leds);
    stream_u8(s, &k->typematic);
    stream_bool(s, &k->scanning);
    stream_u8(s, &k->command);
    stream_u8(s, &k->held);
    stream_raw(s, k->modes, sizeof k->modes);
    s->failed |= k->scan_set < 1 || k->scan_set > 3;
}
