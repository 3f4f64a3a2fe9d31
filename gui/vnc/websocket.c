// SPDX-License-Identifier: GPL-2.0-or-later
/* websocket.c - see websocket.h. */
#include "gui/vnc/websocket.h"
#include <string.h>

enum { REQUEST_MOST = 8192, FRAME_MOST = 1 << 20, CONTROL_MOST = 125 };
enum { OP_MORE = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10, FINAL = 0x80, MASKED = 0x80 };

/* ---- opening ---- */

/* What stands behind "name:"; g_free; NULL. */
static char *header(char **lines, const char *name)
{
    size_t n = strlen(name);
    for (char **l = lines + 1; *lines && *l; l++)
        if (!g_ascii_strncasecmp(*l, name, n) && (*l)[n] == ':')
            return g_strstrip(g_strdup(*l + n + 1));
    return NULL;
}

/* "http://localhost:6080".  Programs that are no browsers name none. */
static bool origin_is_here(const char *origin)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1", "[::1]"};
    const char *host = origin ? strstr(origin, "://") : NULL;
    if (!origin)
        return true;
    for (unsigned i = 0; host && i < G_N_ELEMENTS(hosts); i++) {
        size_t n = strlen(hosts[i]);
        if (!g_ascii_strncasecmp(host + 3, hosts[i], n) && strchr(":/", host[3 + n])) /* or its end */
            return true;
    }
    return false;
}

static bool offers(const char *protocols, const char *which)
{
    g_auto(GStrv) all = g_strsplit(protocols ? protocols : "", ",", -1);
    bool found = false;
    for (char **p = all; *p && !found; p++)
        found = !strcmp(g_strstrip(*p), which);
    return found;
}

static char *accept_of(const char *key)
{
    guint8 digest[20];
    gsize n = sizeof digest;
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA1);
    g_checksum_update(sum, (const guchar *)key, -1);
    g_checksum_update(sum, (const guchar *)"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", -1);
    g_checksum_get_digest(sum, digest, &n);
    return g_base64_encode(digest, n);
}

static enum websocket_said refuse(GByteArray *out, const char *status, const char *why)
{
    g_autofree char *text = g_strdup_printf("HTTP/1.1 %s\r\nContent-Type: text/plain\r\nConnection: close\r\n"
                                            "Content-Length: %zu\r\n\r\n%s\n",
                                            status, strlen(why) + 1, why);
    g_byte_array_append(out, (const guint8 *)text, strlen(text));
    return WEBSOCKET_REFUSED;
}

static enum websocket_said answer(const char *request, GByteArray *out)
{
    g_auto(GStrv) lines = g_strsplit(request, "\r\n", -1);
    g_autofree char *key = header(lines, "Sec-WebSocket-Key"), *origin = header(lines, "Origin");
    g_autofree char *upgrade = header(lines, "Upgrade"), *protocols = header(lines, "Sec-WebSocket-Protocol");
    if (!g_str_has_prefix(request, "GET ") || !key || !upgrade || g_ascii_strcasecmp(upgrade, "websocket"))
        return refuse(out, "400 Bad Request", "Here is a VNC server, for VNC clients and for web sockets (noVNC).");
    if (!origin_is_here(origin))
        return refuse(out, "403 Forbidden", "Only pages that come from this host itself (localhost) may connect.");
    g_autofree char *accepted = accept_of(key);
    g_autofree char *text =
        g_strdup_printf("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
                        "Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n",
                        accepted, offers(protocols, "binary") ? "Sec-WebSocket-Protocol: binary\r\n" : "");
    g_byte_array_append(out, (const guint8 *)text, strlen(text));
    return WEBSOCKET_OPEN;
}

enum websocket_said websocket_open(GByteArray *in, GByteArray *out)
{
    if (!in->len)
        return WEBSOCKET_MORE;
    g_autofree char *text = g_strndup((const char *)in->data, MIN(in->len, REQUEST_MOST));
    const char *end = strstr(text, "\r\n\r\n");
    if (!end)
        return in->len < REQUEST_MOST ? WEBSOCKET_MORE : WEBSOCKET_REFUSED;
    g_autofree char *request = g_strndup(text, end - text);
    g_byte_array_remove_range(in, 0, end + 4 - text);
    return answer(request, out);
}

/* ---- frames ---- */

struct frame {
    unsigned first, op;
    size_t head, length; /* length: without its head */
};

/* 1: it is all there; 0: not yet; -1: nonsense. */
static int look(const GByteArray *in, struct frame *f)
{
    const guint8 *p = in->data;
    if (in->len < 2)
        return 0;
    unsigned extra = (p[1] & 0x7f) == 126 ? 2 : (p[1] & 0x7f) == 127 ? 8 : 0;
    *f = (struct frame){.first = p[0], .op = p[0] & 0xf, .head = 2 + extra + 4, .length = p[1] & 0x7f};
    if (!(p[1] & MASKED) || p[0] & 0x70)
        return -1;
    if (in->len < f->head)
        return 0;
    f->length = extra ? 0 : f->length;
    for (unsigned i = 0; i < extra; i++)
        f->length = f->length << 8 | p[2 + i];
    if (f->length > FRAME_MOST || (f->op >= OP_CLOSE && f->length > CONTROL_MOST))
        return -1;
    return in->len - f->head >= f->length;
}

static void unmask(guint8 *data, size_t n, const guint8 *mask)
{
    for (size_t i = 0; i < n; i++)
        data[i] ^= mask[i % 4];
}

static void put(GByteArray *out, unsigned op, const void *data, size_t n)
{
    guint8 head[10] = {FINAL | op};
    unsigned bytes = n < 126 ? 0 : n < 65536 ? 2 : 8;
    head[1] = bytes == 0 ? n : bytes == 2 ? 126 : 127;
    for (unsigned i = 0; i < bytes; i++)
        head[2 + i] = n >> 8 * (bytes - 1 - i);
    g_byte_array_append(out, head, 2 + bytes);
    g_byte_array_append(out, data, n);
}

void websocket_put(GByteArray *out, const void *data, size_t n)
{
    put(out, OP_BINARY, data, n);
}

/* False: it was the last. */
static bool take_one(const struct frame *f, const guint8 *payload, GByteArray *data, GByteArray *out)
{
    switch (f->op) {
    case OP_MORE:
    case OP_BINARY: g_byte_array_append(data, payload, f->length); return true;
    case OP_PING: put(out, OP_PONG, payload, f->length); return true;
    case OP_PONG: return true;
    case OP_CLOSE: put(out, OP_CLOSE, payload, MIN(f->length, 2)); return false;
    default: return false; /* text is not RFB */
    }
}

bool websocket_take(GByteArray *in, GByteArray *data, GByteArray *out)
{
    struct frame f;
    int there;
    while ((there = look(in, &f)) > 0) {
        guint8 *payload = in->data + f.head;
        unmask(payload, f.length, payload - 4);
        if (!take_one(&f, payload, data, out))
            return false;
        g_byte_array_remove_range(in, 0, f.head + f.length);
    }
    return !there;
}
