// SPDX-License-Identifier: GPL-2.0-or-later
/* commands.h - the groups of commands, and what their files share. */
#pragma once
#include "core-vmm/control/server.h"

#define NO_TEXT                                                                                                        \
    "the screen is in a graphics mode, which has no text (a picture of it: vmctl screen shot); Linux keeps its "       \
    "console "                                                                                                         \
    "in text mode with nomodeset, or writes to the serial port with console=ttyS0"

extern const struct command state_commands[], media_commands[], screen_commands[], display_commands[], input_commands[],
    serial_commands[], wait_commands[], device_commands[], balloon_commands[], save_commands[], live_commands[],
    additions_commands[], limits_commands[], usb_commands[], debug_commands[];

const char *state_name(enum machine_state s);
const char *end_name(enum machine_end e);
JsonObject *state_describe(const struct machine_event *e); /* data of the event "state" */
JsonArray *media_describe(struct machine *m);
JsonArray *serial_describe(struct machine *m);
struct char_port;
/* The port that "device" names; NULL: the call has failed. */
struct char_port *call_serial(struct call *c);
/* The guest's tools are asked; if they are not there, refuse or do not answer, otherwise() is called, which answers the call.
 * agreed, if not NULL, hears that they have agreed, before that is the answer. */
void ask_tools(struct call *c, const char *wish, void (*agreed)(struct server *s), void (*otherwise)(struct call *c));
/* ---- commands_save.c ---- */
bool save_holds(struct server *s);       /* the machine is saved, and waits for being stopped */
bool save_is_usable(int file, int pipe); /* a state can be written to that file; pipe: one for who looks on, or -1 */
/* A pipe gets a line "DONE TOTAL" now and then; one that nobody reads any more ends the saving.  Any thread. */
bool save_tell_progress(int pipe, uint64_t done, uint64_t total, GError **error);
#define MACHINE_SCREENS 8
struct display;
struct display *call_screen(struct call *c); /* that "screen" names, from 0; NULL: the call has failed */
/* The text screen, or NULL with an error (no display, a graphics mode). */
char *screen_read_text(struct machine *m, GError **error);
