// SPDX-License-Identifier: GPL-2.0-or-later
/* What VNC clients say.  The first byte chooses: messages, in pieces of any length, with libvncserver behind what is passed on, as in a
 * viewer; or a web socket's request and frames. */
#include "tests/fuzz/bytes.h"
#include "gui/vnc/messages.h"
#include "gui/vnc/websocket.h"
#include <rfb/rfb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WIDTH = 60, HEIGHT = 36 };

struct side {
    int fd; /* the client's end */
    rfbScreenInfoPtr screen;
    bool gone;
    bool down[KEY_CNT];
    uint32_t pixels[WIDTH * HEIGHT];
};

static void on_key(void *ctx, unsigned code, bool down)
{
    struct side *s = ctx;
    g_assert_true(code > 0 && code < KEY_CNT);
    s->down[code] = down;
}

static void on_gone(rfbClientPtr c)
{
    ((struct side *)c->screen->screenData)->gone = true;
}

static void work(struct side *s)
{
    char some[65536];
    if (!s->gone)
        rfbProcessEvents(s->screen, 0);
    while (recv(s->fd, some, sizeof some, MSG_DONTWAIT) > 0)
        continue;
}

static void side_begin(struct side *s)
{
    int pair[2];
    g_assert_true(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    rfbLogEnable(FALSE);
    s->fd = pair[0];
    s->screen = rfbGetScreen(NULL, NULL, WIDTH, HEIGHT, 8, 3, 4);
    s->screen->cursor = NULL;
    s->screen->frameBuffer = (char *)s->pixels;
    s->screen->screenData = s;
    s->screen->maxClientWait = 50;
    s->screen->deferUpdateTime = 0;
    g_assert_true(send(s->fd, "RFB 003.008\n\1\1", 14, 0) == 14);
    rfbClientPtr c = rfbNewClient(s->screen, pair[1]);
    g_assert_nonnull(c);
    c->clientGoneHook = on_gone;
    for (unsigned i = 0; i < 4; i++)
        work(s);
    g_assert_false(s->gone);
}

static void side_end(struct side *s)
{
    close(s->fd);
    rfbShutdownServer(s->screen, TRUE);
    rfbScreenCleanup(s->screen);
}

/* Whole messages of the kinds that have to do with pixels: libvncserver never waits for the rest of one. */
static void pass_on(struct side *s, GByteArray *on)
{
    static const guint8 kinds[] = {0, 2, 3, 251};
    if (!on->len)
        return;
    g_assert_nonnull(memchr(kinds, on->data[0], sizeof kinds));
    if (!s->gone && send(s->fd, on->data, on->len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)on->len) {
        gint64 began = g_get_monotonic_time();
        work(s);
        g_assert_cmpint(g_get_monotonic_time() - began, <, 5 * G_USEC_PER_SEC);
        rfbMarkRectAsModified(s->screen, 0, 0, WIDTH, HEIGHT);
        work(s);
    }
    g_byte_array_set_size(on, 0);
}

/* Read once: it takes longer than all the rest. */
static const struct keymap *keyboard(void)
{
    static struct keymap *map;
    if (!map)
        map = keymap_new("de");
    return map;
}

static void fuzz_messages(struct bytes *b)
{
    struct side s = {0};
    struct messages m;
    GByteArray *in = g_byte_array_new(), *on = g_byte_array_new();
    bool look_on = take(b) & 1;
    enum message_kind kind = MESSAGE_DONE;
    side_begin(&s);
    messages_init(&m, keyboard(), on_key, &s);
    while (b->left && kind != MESSAGE_BAD) {
        unsigned n = 1 + take(b);
        n = MIN(n, b->left);
        g_byte_array_append(in, b->data, n);
        b->data += n;
        b->left -= n;
        do {
            kind = messages_take(&m, in, on, look_on);
            pass_on(&s, on);
        } while (kind != MESSAGE_NONE && kind != MESSAGE_BAD);
        g_assert_true(kind != MESSAGE_BAD || m.complaint);
    }
    messages_clear(&m);
    for (unsigned i = 0; i < KEY_CNT; i++)
        g_assert_false(s.down[i]);
    side_end(&s);
    g_byte_array_unref(in);
    g_byte_array_unref(on);
}

static void fuzz_websocket(struct bytes *b)
{
    static const char good[] = "GET / HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n";
    GByteArray *in = g_byte_array_new(), *out = g_byte_array_new(), *data = g_byte_array_new();
    if (take(b) & 1)
        g_byte_array_append(in, (const guint8 *)good, strlen(good));
    g_byte_array_append(in, b->data, b->left);
    unsigned before = in->len;
    if (websocket_open(in, out) == WEBSOCKET_OPEN) {
        g_assert_cmpuint(in->len, <, before);
        g_byte_array_set_size(out, 0);
        before = in->len;
        websocket_take(in, data, out);
        g_assert_cmpuint(in->len + data->len, <=, before);
        g_assert_cmpuint(out->len, <=, before);
    }
    g_byte_array_unref(in);
    g_byte_array_unref(out);
    g_byte_array_unref(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes b = {data, size};
    if (take(&b) & 3)
        fuzz_messages(&b);
    else
        fuzz_websocket(&b);
    return 0;
}
