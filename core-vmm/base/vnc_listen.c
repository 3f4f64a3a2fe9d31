// SPDX-License-Identifier: GPL-2.0-or-later
/* vnc_listen.c - see vnc_listen.h.
 *
 * Only this host's own addresses: a password of VNC has eight characters, and neither it nor the picture is hidden from whoever
 * is on the way.  ssh does both right, and is there already. */
#include "core-vmm/base/vnc_listen.h"
#include <arpa/inet.h>
#include <gio/gio.h>
#include <string.h>

static bool wrong(const char *text, GError **error)
{
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                "\"%s\" is no place for VNC to listen; write auto, :1 (a display, port 5901), 127.0.0.1:1, [::1]:1, "
                "127.0.0.1::7000 (a port) or unix",
                text);
    return false;
}

static bool elsewhere(const char *text, uint16_t port, GError **error)
{
    g_set_error(
        error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
        "VNC listens on this host's own addresses (127.0.0.1, ::1) only, not on %s: VNC as it is spoken here hides "
        "nothing from the network.  From another host: ssh -L %u:localhost:%u THIS-HOST, and there connect to "
        "localhost:%u",
        text, port, port, port >= VNC_PORT ? port - VNC_PORT : port);
    return false;
}

/* "1" behind one colon, "7000" behind two. */
static bool parse_port(const char *text, bool display, uint16_t *port)
{
    guint64 n;
    if (!g_ascii_string_to_unsigned(text, 10, display ? 0 : 1, display ? VNC_DISPLAYS - 1 : 65535, &n, NULL))
        return false;
    *port = (uint16_t)(display ? VNC_PORT + n : n);
    return true;
}

static bool parse_host(const char *host, struct vnc_listen *out, bool *known)
{
    struct in6_addr six;
    size_t n = strlen(host);
    bool bracket = n > 2 && *host == '[' && host[n - 1] == ']';
    g_autofree char *inner = bracket ? g_strndup(host + 1, n - 2) : g_strdup(host);
    *known = true;
    out->v4 = !n || !strcmp(host, "localhost") || inet_pton(AF_INET, host, out->host) == 1;
    if (!n || !strcmp(host, "localhost"))
        memcpy(out->host, (uint8_t[]){127, 0, 0, 1}, 4);
    else if (out->v4)
        return out->host[0] == 127;
    out->v6 = out->v4 || inet_pton(AF_INET6, inner, &six) == 1;
    *known = out->v6;
    return out->v4 || (out->v6 && IN6_IS_ADDR_LOOPBACK(&six));
}

bool vnc_listen_parse(const char *text, struct vnc_listen *out, GError **error)
{
    *out = (struct vnc_listen){.kind = !strcmp(text, "unix") ? VNC_LISTEN_UNIX : VNC_LISTEN_AUTO};
    if (!strcmp(text, "unix") || !strcmp(text, "auto"))
        return true;
    const char *colon = strrchr(text, ':');
    bool display = colon && (colon == text || colon[-1] != ':'), known;
    if (!colon || !parse_port(colon + 1, display, &out->port))
        return wrong(text, error);
    g_autofree char *host = g_strndup(text, colon - text - (display ? 0 : 1));
    out->kind = VNC_LISTEN_TCP;
    if (parse_host(host, out, &known))
        return true;
    return known || *host == '*' ? elsewhere(host, out->port, error) : wrong(text, error);
}

char *vnc_listen_port(uint16_t port)
{
    bool display = port >= VNC_PORT && port < VNC_PORT + VNC_DISPLAYS;
    return display ? g_strdup_printf(":%u (port %u)", port - VNC_PORT, port) : g_strdup_printf("port %u", port);
}
