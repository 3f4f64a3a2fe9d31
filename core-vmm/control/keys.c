// SPDX-License-Identifier: GPL-2.0-or-later
/* keys.c - names of keys, and the keys that type a character on a US keyboard. */
#include "core-vmm/control/keys.h"
#include "core-vmm/host/suggest.h"
#include "core-vmm/control/client.h"
#include <linux/input-event-codes.h>
#include <string.h>

static const struct named_key {
    const char *name;
    unsigned code;
} named[] = {
    {"esc", KEY_ESC},
    {"escape", KEY_ESC},
    {"tab", KEY_TAB},
    {"enter", KEY_ENTER},
    {"return", KEY_ENTER},
    {"space", KEY_SPACE},
    {"backspace", KEY_BACKSPACE},
    {"delete", KEY_DELETE},
    {"del", KEY_DELETE},
    {"insert", KEY_INSERT},
    {"ins", KEY_INSERT},
    {"home", KEY_HOME},
    {"end", KEY_END},
    {"pageup", KEY_PAGEUP},
    {"pgup", KEY_PAGEUP},
    {"pagedown", KEY_PAGEDOWN},
    {"pgdn", KEY_PAGEDOWN},
    {"up", KEY_UP},
    {"down", KEY_DOWN},
    {"left", KEY_LEFT},
    {"right", KEY_RIGHT},
    {"ctrl", KEY_LEFTCTRL},
    {"control", KEY_LEFTCTRL},
    {"leftctrl", KEY_LEFTCTRL},
    {"rightctrl", KEY_RIGHTCTRL},
    {"shift", KEY_LEFTSHIFT},
    {"leftshift", KEY_LEFTSHIFT},
    {"rightshift", KEY_RIGHTSHIFT},
    {"alt", KEY_LEFTALT},
    {"leftalt", KEY_LEFTALT},
    {"altgr", KEY_RIGHTALT},
    {"rightalt", KEY_RIGHTALT},
    {"super", KEY_LEFTMETA},
    {"win", KEY_LEFTMETA},
    {"meta", KEY_LEFTMETA},
    {"rightsuper", KEY_RIGHTMETA},
    {"menu", KEY_COMPOSE},
    {"capslock", KEY_CAPSLOCK},
    {"numlock", KEY_NUMLOCK},
    {"scrolllock", KEY_SCROLLLOCK},
    {"print", KEY_SYSRQ},
    {"sysrq", KEY_SYSRQ},
    {"pause", KEY_PAUSE},
    {"f1", KEY_F1},
    {"f2", KEY_F2},
    {"f3", KEY_F3},
    {"f4", KEY_F4},
    {"f5", KEY_F5},
    {"f6", KEY_F6},
    {"f7", KEY_F7},
    {"f8", KEY_F8},
    {"f9", KEY_F9},
    {"f10", KEY_F10},
    {"f11", KEY_F11},
    {"f12", KEY_F12},
    {"minus", KEY_MINUS},
    {"equal", KEY_EQUAL},
    {"plus", KEY_KPPLUS},
    {"comma", KEY_COMMA},
    {"dot", KEY_DOT},
    {"slash", KEY_SLASH},
    {"backslash", KEY_BACKSLASH},
    {"semicolon", KEY_SEMICOLON},
    {"apostrophe", KEY_APOSTROPHE},
    {"grave", KEY_GRAVE},
    {"leftbrace", KEY_LEFTBRACE},
    {"rightbrace", KEY_RIGHTBRACE},
    {"102nd", KEY_102ND},
    {"kp0", KEY_KP0},
    {"kp1", KEY_KP1},
    {"kp2", KEY_KP2},
    {"kp3", KEY_KP3},
    {"kp4", KEY_KP4},
    {"kp5", KEY_KP5},
    {"kp6", KEY_KP6},
    {"kp7", KEY_KP7},
    {"kp8", KEY_KP8},
    {"kp9", KEY_KP9},
    {"kpenter", KEY_KPENTER},
    {"kpdot", KEY_KPDOT},
    {"kpplus", KEY_KPPLUS},
    {"kpminus", KEY_KPMINUS},
    {"kpasterisk", KEY_KPASTERISK},
    {"kpslash", KEY_KPSLASH},
};

/* The rows of a US keyboard: plain, shifted, and the evdev code of the first key (codes of a row are consecutive). */
static const struct row {
    const char *plain, *shifted;
    unsigned first;
} rows[] = {
    {"1234567890-=", "!@#$%^&*()_+", KEY_1},
    {"qwertyuiop[]", "QWERTYUIOP{}", KEY_Q},
    {"asdfghjkl;'`", "ASDFGHJKL:\"~", KEY_A},
    {"\\zxcvbnm,./", "|ZXCVBNM<>?", KEY_BACKSLASH},
    {" ", " ", KEY_SPACE},
    {"\t", "\t", KEY_TAB},
    {"\n", "\n", KEY_ENTER},
    {"\b", "\b", KEY_BACKSPACE},
    {"\033", "\033", KEY_ESC},
};

bool key_of_char(gunichar c, unsigned *code, bool *shift)
{
    if (!c || c >= 0x80)
        return false;
    c = c == '\r' ? '\n' : c;
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *plain = strchr(rows[i].plain, (char)c), *shifted = strchr(rows[i].shifted, (char)c);
        *shift = !plain;
        if (plain || shifted) {
            *code = rows[i].first + (plain ? plain - rows[i].plain : shifted - rows[i].shifted);
            return true;
        }
    }
    return false;
}

unsigned key_by_name(const char *name)
{
    unsigned code;
    bool shift;
    if (g_utf8_strlen(name, -1) == 1 && key_of_char(g_ascii_tolower(*name), &code, &shift) && !shift)
        return code;
    for (unsigned i = 0; i < G_N_ELEMENTS(named); i++)
        if (!g_ascii_strcasecmp(named[i].name, name))
            return named[i].code;
    return 0;
}

static char **all_names(void)
{
    GPtrArray *names = g_ptr_array_new();
    for (unsigned i = 0; i < G_N_ELEMENTS(named); i++)
        g_ptr_array_add(names, (gpointer)named[i].name);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}

static void unknown_key(const char *name, GError **error)
{
    g_autofree char **names = all_names();
    const char *near = suggest(name, (const char *const *)names);
    g_set_error(error, CONTROL_ERROR, CONTROL_USAGE, "there is no key \"%s\"%s%s%s", name,
                near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

unsigned keys_parse(const char *combination, unsigned codes[8], GError **error)
{
    g_auto(GStrv) names = g_strsplit(combination, "+", -1);
    unsigned n = 0;
    for (char **k = names; *k; k++) {
        unsigned code = key_by_name(g_strstrip(*k));
        if (n == 8 || !code) {
            unknown_key(*k, error);
            return 0;
        }
        codes[n++] = code;
    }
    if (!n)
        unknown_key("", error);
    return n;
}
