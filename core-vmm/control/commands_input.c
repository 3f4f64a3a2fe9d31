// SPDX-License-Identifier: GPL-2.0-or-later
/* commands_input.c - input.*: keys, text and pointer of the user. */
#include "core-vmm/api/input.h"
#include "core-vmm/control/commands.h"
#include "core-vmm/machine/display.h"
#include "core-vmm/control/keys.h"
#include <linux/input-event-codes.h>

#define ANY_BUTTONS (POINTER_LEFT | POINTER_RIGHT | POINTER_MIDDLE | POINTER_SIDE | POINTER_EXTRA)
#define FAR         16384 /* pixels, of one movement */

static void input_key(struct call *c)
{
    const char *name = call_text(c, "name", NULL);
    unsigned code = name ? key_by_name(name) : (unsigned)call_number(c, "code", 0);
    if (!code) {
        call_fail(c, CONTROL_USAGE, name ? "there is no key \"%s\"" : "input.key needs name or code", name);
        return;
    }
    machine_key(call_machine(c), code, call_flag(c, "down"));
    call_reply(c, NULL);
}

static void input_keys(struct call *c)
{
    g_autoptr(GError) error = NULL;
    unsigned codes[8], n = keys_parse(call_text(c, "keys", ""), codes, &error);
    if (!n) {
        call_fail_error(c, error);
        return;
    }
    for (unsigned i = 0; i < n; i++)
        machine_key(call_machine(c), codes[i], true);
    for (unsigned i = n; i-- > 0;)
        machine_key(call_machine(c), codes[i], false);
    call_reply(c, NULL);
}

static void type_char(struct machine *m, unsigned code, bool shift)
{
    if (shift)
        machine_key(m, KEY_LEFTSHIFT, true);
    machine_key(m, code, true);
    machine_key(m, code, false);
    if (shift)
        machine_key(m, KEY_LEFTSHIFT, false);
}

/* All or nothing: a half typed password helps nobody. */
static void input_text(struct call *c)
{
    const char *text = call_text(c, "text", "");
    unsigned code;
    bool shift;
    for (const char *p = text; *p; p = g_utf8_next_char(p))
        if (!key_of_char(g_utf8_get_char(p), &code, &shift)) {
            g_autofree char *bad = g_strndup(p, g_utf8_next_char(p) - p);
            call_fail(c, CONTROL_USAGE, "a US keyboard has no key for \"%s\"", bad);
            return;
        }
    for (const char *p = text; *p; p = g_utf8_next_char(p)) {
        key_of_char(g_utf8_get_char(p), &code, &shift);
        type_char(call_machine(c), code, shift);
    }
    call_reply(c, NULL);
}

static void input_pointer(struct call *c)
{
    machine_pointer(call_machine(c), call_number(c, "dx", 0), call_number(c, "dy", 0), call_number(c, "wheel", 0),
                    call_number(c, "buttons", 0));
    call_reply(c, NULL);
}

static void input_pointer_absolute(struct call *c)
{
    struct machine *m = call_machine(c);
    if (!machine_takes_absolute(m)) {
        call_fail(c, CONTROL_WRONG_STATE, "the guest has no absolute pointer now; use input.pointer");
        return;
    }
    int64_t x = call_number(c, "x", 0), y = call_number(c, "y", 0);
    const struct display *p = machine_display(m, call_number(c, "screen", 0));
    if (p)
        display_to_desktop(p, &x, &y);
    machine_pointer_absolute(m, x, y, call_number(c, "wheel", 0), call_number(c, "buttons", 0));
    call_reply(c, NULL);
}

const struct command input_commands[] = {
    {"input.key",
     {{"code", PARAM_NUMBER, false, 1, KEY_MAX}, {"name", PARAM_TEXT}, {"down", PARAM_FLAG, true}},
     .summary = "press or release one key",
     .handler = input_key},
    {"input.keys",
     {{"keys", PARAM_TEXT, true}},
     .summary = "press keys together: ctrl+alt+delete",
     .handler = input_keys},
    {"input.text", {{"text", PARAM_TEXT, true}}, .summary = "type text on a US keyboard", .handler = input_text},
    {"input.pointer",
     {{"dx", PARAM_NUMBER, false, -FAR, FAR},
      {"dy", PARAM_NUMBER, false, -FAR, FAR},
      {"wheel", PARAM_NUMBER, false, -100, 100},
      {"buttons", PARAM_NUMBER, false, 0, ANY_BUTTONS}},
     .summary = "move the mouse",
     .handler = input_pointer},
    {"input.pointer-absolute",
     {{"x", PARAM_NUMBER, true, 0, 65535},
      {"y", PARAM_NUMBER, true, 0, 65535},
      {"wheel", PARAM_NUMBER, false, -100, 100},
      {"buttons", PARAM_NUMBER, false, 0, ANY_BUTTONS},
      {"screen", PARAM_NUMBER, .high = MACHINE_SCREENS - 1}},
     .summary = "put the pointer somewhere",
     .handler = input_pointer_absolute},
    {NULL},
};
