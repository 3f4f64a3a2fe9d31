// SPDX-License-Identifier: GPL-2.0-or-later
/* vnc_listen.h - where a VNC server listens, as it is written: "auto", ":1" or "127.0.0.1:1" (display 1, which is TCP port 5901),
 * "127.0.0.1::7000" (a port), "unix" (a socket beside the machine's others). */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum { VNC_PORT = 5900, VNC_DISPLAYS = 100 };
enum vnc_listen_kind { VNC_LISTEN_AUTO, VNC_LISTEN_TCP, VNC_LISTEN_UNIX };
struct vnc_listen {
    enum vnc_listen_kind kind;
    bool v4, v6; /* VNC_LISTEN_TCP: on 127.0.0.1 and the like, on ::1; without an address on both */
    uint8_t host[4];
    uint16_t port;
};
/* Addresses of other hosts' reach are refused, with the sentence that says what to do instead. */
bool vnc_listen_parse(const char *text, struct vnc_listen *out, GError **error);
char *vnc_listen_port(uint16_t port); /* as people call it: ":1 (port 5901)", "port 7000"; g_free */
