// SPDX-License-Identifier: GPL-2.0-or-later
/* keys.c - see keys.h.  xkbcommon(3) knows the layouts; its key codes are evdev's plus 8. */
#include "gui/vnc/keys.h"
#include <string.h>
#include <xkbcommon/xkbcommon-keysyms.h>
#include <xkbcommon/xkbcommon.h>

enum { XKB_FIRST = 8, LEVELS = 4, LEVEL_SHIFT = 1, LEVEL_ALTGR = 2, LED_CAPS = 4, UNICODE = 0x1000000 };
enum { MAIN_LAST = KEY_SPACE }; /* beyond it, but for 102nd, Shift and AltGr make no difference that matters */

struct keymap {
    GHashTable *places[LEVELS]; /* keysym -> code; by what has to be held */
};

/* ---- the layout ---- */

/* X has places beside those of a keyboard, so that each modifier has one. */
static bool is_real(unsigned code)
{
    return code && code < 256 && code != 84 && !(code >= 195 && code <= 199);
}

static void add_key(struct xkb_keymap *map, xkb_keycode_t key, void *data)
{
    struct keymap *k = data;
    unsigned levels = MIN(xkb_keymap_num_levels_for_key(map, key, 0), LEVELS), code = key - XKB_FIRST;
    for (unsigned level = 0; level < levels && is_real(code); level++) {
        const xkb_keysym_t *syms;
        int n = xkb_keymap_key_get_syms_by_level(map, key, 0, level, &syms);
        if (n == 1 && !g_hash_table_contains(k->places[level], GUINT_TO_POINTER(syms[0])))
            g_hash_table_insert(k->places[level], GUINT_TO_POINTER(syms[0]), GUINT_TO_POINTER(code));
    }
}

static struct xkb_keymap *compile(struct xkb_context *c, const char *layout)
{
    size_t n = strcspn(layout, "(");
    g_autofree char *name = g_strndup(layout, n);
    g_autofree char *variant = layout[n] ? g_strndup(layout + n + 1, strcspn(layout + n + 1, ")")) : NULL;
    const struct xkb_rule_names names = {"evdev", "pc105", name, variant, ""};
    return xkb_keymap_new_from_names(c, &names, XKB_KEYMAP_COMPILE_NO_FLAGS);
}

struct keymap *keymap_new(const char *layout)
{
    struct xkb_context *c = xkb_context_new(XKB_CONTEXT_NO_ENVIRONMENT_NAMES);
    struct xkb_keymap *map;
    if (c)
        xkb_context_set_log_level(c, XKB_LOG_LEVEL_CRITICAL);
    map = c ? compile(c, layout) : NULL;
    struct keymap *k = map ? g_new0(struct keymap, 1) : NULL;
    for (unsigned i = 0; k && i < LEVELS; i++)
        k->places[i] = g_hash_table_new(NULL, NULL);
    if (k)
        xkb_keymap_key_for_each(map, add_key, k);
    xkb_keymap_unref(map);
    xkb_context_unref(c);
    return k;
}

void keymap_free(struct keymap *k)
{
    for (unsigned i = 0; k && i < LEVELS; i++)
        g_hash_table_unref(k->places[i]);
    g_free(k);
}

/* 0: the layout has no such key.  held: the level that the held modifiers make; *level: the one that it is at. */
static unsigned place_of(const struct keymap *map, uint32_t sym, unsigned held, unsigned *level)
{
    for (unsigned i = 0; i < LEVELS; i++) {
        *level = held ^ i; /* the one that is held first */
        unsigned code = GPOINTER_TO_UINT(g_hash_table_lookup(map->places[*level], GUINT_TO_POINTER(sym)));
        if (code)
            return code;
    }
    return 0;
}

/* ---- places, as QEMU's extension numbers them ---- */

static unsigned code_of_place(uint32_t place)
{
    static const uint8_t prefixed[128] = {
        [0x1c] = KEY_KPENTER,      [0x1d] = KEY_RIGHTCTRL,  [0x20] = KEY_MUTE,     [0x22] = KEY_PLAYPAUSE,
        [0x24] = KEY_STOPCD,       [0x2e] = KEY_VOLUMEDOWN, [0x30] = KEY_VOLUMEUP, [0x35] = KEY_KPSLASH,
        [0x37] = KEY_SYSRQ,        [0x38] = KEY_RIGHTALT,   [0x45] = KEY_NUMLOCK,  [0x46] = KEY_PAUSE,
        [0x47] = KEY_HOME,         [0x48] = KEY_UP,         [0x49] = KEY_PAGEUP,   [0x4b] = KEY_LEFT,
        [0x4d] = KEY_RIGHT,        [0x4f] = KEY_END,        [0x50] = KEY_DOWN,     [0x51] = KEY_PAGEDOWN,
        [0x52] = KEY_INSERT,       [0x53] = KEY_DELETE,     [0x5b] = KEY_LEFTMETA, [0x5c] = KEY_RIGHTMETA,
        [0x5d] = KEY_COMPOSE,      [0x5e] = KEY_POWER,      [0x5f] = KEY_SLEEP,    [0x19] = KEY_NEXTSONG,
        [0x10] = KEY_PREVIOUSSONG,
    };
    static const uint8_t plain[128] = {
        [0x54] = KEY_SYSRQ,    [0x55] = KEY_F16,
        [0x56] = KEY_102ND,    [0x57] = KEY_F11,
        [0x58] = KEY_F12,      [0x59] = KEY_KPEQUAL,
        [0x5d] = KEY_F13,      [0x5e] = KEY_F14,
        [0x5f] = KEY_F15,      [0x70] = KEY_KATAKANAHIRAGANA,
        [0x73] = KEY_RO,       [0x79] = KEY_HENKAN,
        [0x7b] = KEY_MUHENKAN, [0x7d] = KEY_YEN,
        [0x7e] = KEY_KPCOMMA,
    };
    if (place > 0xff)
        return 0;
    if (place & 0x80)
        return prefixed[place & 0x7f];
    return place <= KEY_KPDOT ? place : plain[place]; /* evdev's first codes are those of the XT */
}

/* ---- events ---- */

void keys_init(struct keys *k, const struct keymap *map, void (*send)(void *ctx, unsigned code, bool down), void *ctx)
{
    *k = (struct keys){.map = map, .by_sym = g_hash_table_new(NULL, NULL), .send = send, .ctx = ctx};
}

static void set(struct keys *k, unsigned code, bool down)
{
    k->down[code] = down;
    k->send(k->ctx, code, down);
}

/* Keys that are up need not come up. */
static void raise_or_press(struct keys *k, unsigned code, bool down)
{
    if (code && (down || k->down[code]))
        set(k, code, down);
}

void keys_release_all(struct keys *k)
{
    for (unsigned code = 0; code < KEY_CNT; code++)
        if (k->down[code])
            set(k, code, false);
    g_hash_table_remove_all(k->by_sym);
}

void keys_clear(struct keys *k)
{
    keys_release_all(k);
    g_hash_table_unref(k->by_sym);
}

static unsigned held_level(const struct keys *k)
{
    return (k->down[KEY_LEFTSHIFT] || k->down[KEY_RIGHTSHIFT] ? LEVEL_SHIFT : 0) |
           (k->down[KEY_RIGHTALT] ? LEVEL_ALTGR : 0);
}

/* What the guest is shown for the moment: not kept in down[]. */
static void pretend(struct keys *k, unsigned held, unsigned wanted, bool undo)
{
    static const unsigned shifts[] = {KEY_LEFTSHIFT, KEY_RIGHTSHIFT};
    if ((held ^ wanted) & LEVEL_SHIFT && wanted & LEVEL_SHIFT)
        k->send(k->ctx, KEY_LEFTSHIFT, !undo);
    for (unsigned i = 0; i < 2 && (held ^ wanted) & LEVEL_SHIFT && held & LEVEL_SHIFT; i++)
        if (k->down[shifts[i]])
            k->send(k->ctx, shifts[i], undo);
    if ((held ^ wanted) & LEVEL_ALTGR)
        k->send(k->ctx, KEY_RIGHTALT, (wanted & LEVEL_ALTGR) ? !undo : undo);
}

/* Caps lock is the guest's too: for a letter it does what the user's did.  Shortcuts want the place and nothing else. */
static bool modifiers_matter(const struct keys *k, unsigned code, uint32_t sym)
{
    bool letter = xkb_keysym_to_lower(sym) != xkb_keysym_to_upper(sym);
    bool shortcut = k->down[KEY_LEFTCTRL] || k->down[KEY_RIGHTCTRL] || k->down[KEY_LEFTALT] || k->down[KEY_LEFTMETA];
    return (code <= MAIN_LAST || code == KEY_102ND) && !shortcut && !(letter && k->leds & LED_CAPS);
}

static uint32_t plain_sym(uint32_t sym)
{
    return sym >= UNICODE ? xkb_utf32_to_keysym(xkb_keysym_to_utf32(sym)) : sym;
}

/* Keys with one level only name their neighbours' too: Alt with Shift is Meta. */
static uint32_t alias(uint32_t sym)
{
    switch (sym) {
    case XKB_KEY_Meta_L: return XKB_KEY_Alt_L;
    case XKB_KEY_Mode_switch:
    case XKB_KEY_Alt_R: return XKB_KEY_ISO_Level3_Shift;
    case XKB_KEY_ISO_Level3_Shift: return XKB_KEY_Alt_R;
    default: return 0;
    }
}

static unsigned look_up(const struct keys *k, uint32_t sym, unsigned held, unsigned *level)
{
    unsigned code = place_of(k->map, sym, held, level);
    return code || !alias(sym) ? code : place_of(k->map, alias(sym), held, level);
}

static void sym_down(struct keys *k, uint32_t sym)
{
    unsigned held = held_level(k), level, code = look_up(k, sym, held, &level);
    if (!code)
        return;
    bool differ = level != held && modifiers_matter(k, code, sym);
    if (differ)
        pretend(k, held, level, false);
    set(k, code, true);
    if (differ)
        pretend(k, held, level, true);
    g_hash_table_insert(k->by_sym, GUINT_TO_POINTER(sym), GUINT_TO_POINTER(code));
}

/* Whoever lets go of Shift first releases another keysym than was pressed. */
static void sym_up(struct keys *k, uint32_t sym)
{
    unsigned level, code = GPOINTER_TO_UINT(g_hash_table_lookup(k->by_sym, GUINT_TO_POINTER(sym)));
    g_hash_table_remove(k->by_sym, GUINT_TO_POINTER(sym));
    raise_or_press(k, code ? code : look_up(k, sym, held_level(k), &level), false);
}

void keys_event(struct keys *k, uint32_t sym, uint32_t place, bool down)
{
    unsigned code = code_of_place(place);
    if (code)
        raise_or_press(k, code, down);
    else if (down)
        sym_down(k, plain_sym(sym));
    else
        sym_up(k, plain_sym(sym));
}
