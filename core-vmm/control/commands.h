// SPDX-License-Identifier: GPL-2.0-or-later
/* commands.h - the groups of commands, and what their files share. */
#pragma once
#include "core-vmm/control/server.h"

#define NO_TEXT                                                                                                        \
    "the screen is in a graphics mode, which has no text (a picture of it: vmctl screen shot); Linux keeps its "       \
    "console "                                                                                                         \
    "in text mode with nomodeset, or writes to the serial port with console=ttyS0"

extern const struct command state_commands[], media_commands[], screen_commands[], display_commands[], input_commands[],
    serial_commands[], wait_commands[], device_commands[], balloon_commands[], save_commands[], limits_commands[],
    debug_commands[];

const char *state_name(enum machine_state s);
const char *end_name(enum machine_end e);
JsonObject *state_describe(const struct machine_event *e); /* data of the event "state" */
JsonArray *media_describe(struct machine *m);
JsonArray *serial_describe(struct machine *m);
struct char_port;
/* The port that "device" names; NULL: the call has failed. */
struct char_port *call_serial(struct call *c);
bool save_holds(struct server *s); /* the machine is saved, and waits for being stopped (commands_save.c) */
/* The text screen, or NULL with an error (no display, a graphics mode). */
char *screen_read_text(struct machine *m, GError **error);
