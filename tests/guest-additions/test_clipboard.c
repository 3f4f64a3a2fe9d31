// SPDX-License-Identifier: GPL-2.0-or-later
/* Text between the clipboards: the guest's program of a user's session is played by the test, packet by packet; then it misbehaves. */
#include "core-vmm/base/bytes.h"
#include "tests/guest-additions/caller.h"
#include <string.h>

#define TRANSPORT "copypaste.transport "
enum {
    HEADER = 56,
    PING = 1,
    PING_REPLY,
    REQUEST_NEXT,
    REQUEST_CLIPBOARD = 2000,
    RECV_CLIPBOARD = 2002,
    SEND_CLIPBOARD
};
enum { COMMAND = 0, SESSION = 12, PARAM = 20, ALL = 44, OFFSET = 48, PART = 52 };

static void settle(void)
{
    while (g_main_context_iteration(NULL, FALSE)) {
    }
}

/* What the host wants next, after the agent has said that; NULL: nothing. */
static GBytes *wish(struct caller *c, unsigned n, const char *says)
{
    g_assert_true(caller_send(c, n, says, strlen(says), false) & CALLER_SUCCESS);
    settle();
    return caller_receive(c, n, false);
}

static void expect(struct caller *c, unsigned n, const char *says, const char *wanted)
{
    g_autoptr(GBytes) bytes = wish(c, n, says);
    g_assert_nonnull(bytes);
    g_assert_cmpmem(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), wanted, strlen(wanted));
}

/* The packet that the host sends next; *header is in it. */
static GBytes *packet(struct caller *c, unsigned n, const char *says, uint32_t command, const uint8_t **header)
{
    GBytes *bytes = wish(c, n, says);
    g_assert_nonnull(bytes);
    g_assert_cmpuint(g_bytes_get_size(bytes), >=, strlen(TRANSPORT) + HEADER);
    *header = (const uint8_t *)g_bytes_get_data(bytes, NULL) + strlen(TRANSPORT);
    g_assert_true(!memcmp(*header - strlen(TRANSPORT), TRANSPORT, strlen(TRANSPORT)));
    g_assert_cmpuint(get_le32(*header + COMMAND), ==, command);
    g_assert_cmpuint(get_le32(*header + PART), ==, g_bytes_get_size(bytes) - strlen(TRANSPORT) - HEADER);
    return bytes;
}

/* One of the guest's; returns whether it was taken. */
static bool say(struct caller *c, uint32_t command, uint32_t session, uint32_t all, uint32_t offset, const void *data,
                uint32_t part)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    uint8_t header[HEADER] = {0};
    uint32_t cookie[2] = {c->cookie[0], c->cookie[1]}; /* of the other channel */
    int n = caller_open(c, CALLER_RPCI);
    put_le32(header + COMMAND, command);
    put_le32(header + SESSION, session);
    put_le32(header + ALL, all);
    put_le32(header + OFFSET, offset);
    put_le32(header + PART, part);
    g_byte_array_append(out, (const uint8_t *)TRANSPORT, strlen(TRANSPORT));
    g_byte_array_append(out, header, HEADER);
    g_byte_array_append(out, data, part);
    g_assert_true(caller_send(c, n, out->data, out->len, true) & CALLER_SUCCESS);
    g_autoptr(GBytes) answer = caller_receive(c, n, false);
    caller_message(c, n, 6, 0);
    memcpy(c->cookie, cookie, sizeof cookie);
    settle();
    return answer && g_bytes_get_size(answer) && *(const char *)g_bytes_get_data(answer, NULL) == '1';
}

static GByteArray *clip(const void *text, uint32_t bytes, uint32_t claimed)
{
    GByteArray *a = g_byte_array_new();
    for (unsigned format = 0; format < 11; format++) {
        uint8_t item[5] = {format == 1};
        if (!format) {
            uint8_t formats[4] = {11};
            g_byte_array_append(a, formats, 4);
            continue;
        }
        put_le32(item + 1, format == 1 ? claimed : 0);
        g_byte_array_append(a, item, 5);
        if (format == 1)
            g_byte_array_append(a, text, bytes);
    }
    g_byte_array_append(a, (const uint8_t *)"\1", 1);
    return a;
}

static unsigned begin(struct caller *c)
{
    const uint8_t *header;
    int n = caller_open(c, CALLER_TCLO);
    settle();
    expect(c, n, "", "reset");
    expect(c, n, "OK ATR toolbox-dnd", "Capabilities_Register");
    uint32_t cookie[2] = {c->cookie[0], c->cookie[1]};
    g_autofree char *version = caller_ask(c, "vmx.capability.copypaste_version");
    memcpy(c->cookie, cookie, sizeof cookie);
    g_assert_cmpstr(version, ==, "1 4");
    expect(c, n, "OK ", "Set_Option copypaste 1");
    g_assert_null(wish(c, n, "OK "));
    g_assert_true(say(c, PING, 0, 0, 0, "", 0));
    g_autoptr(GBytes) reply = packet(c, n, "", PING_REPLY, &header);
    g_assert_cmpuint(get_le32(header + PARAM), ==, 4);
    g_assert_null(wish(c, n, "OK "));
    return n;
}

struct heard {
    unsigned times;
    bool answered;
    char *text;
};

static void hear(void *ctx, const char *text, bool answered)
{
    struct heard *h = ctx;
    h->times++;
    h->answered = answered;
    g_free(h->text);
    h->text = g_strdup(text);
}

static void to_guest(void)
{
    static const char text[] = "gr\xc3\xbc\xc3\x9f dich\n";
    struct caller *c = caller_new("", true);
    g_autoptr(GError) error = NULL;
    const uint8_t *header;
    g_assert_false(additions_clipboard_give(c->additions, text, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_NOT_CONNECTED);
    g_clear_error(&error);
    unsigned n = begin(c);
    g_assert_true(additions_clipboard_give(c->additions, text, &error));
    g_autoptr(GBytes) got = packet(c, n, "", RECV_CLIPBOARD, &header);
    g_autoptr(GByteArray) wanted = clip(text, sizeof text, sizeof text);
    g_assert_cmpmem(header + HEADER, get_le32(header + PART), wanted->data, wanted->len);
    g_autofree char *huge = g_strnfill(CLIPBOARD_TO_GUEST_MOST + 1, 'x');
    g_assert_false(additions_clipboard_give(c->additions, huge, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE);
    caller_free(c);
}

/* In three parts, each asked for. */
static void to_host(void)
{
    struct caller *c = caller_new("", true);
    struct heard h = {0}, other = {0};
    const uint8_t *header;
    unsigned n = begin(c);
    g_autofree char *text = g_strnfill(150000, 'y');
    g_autoptr(GByteArray) all = clip(text, 150001, 150001);
    g_assert_true(additions_clipboard_take(c->additions, hear, &h, NULL));
    g_assert_true(additions_clipboard_take(c->additions, hear, &other, NULL)); /* asks no second time */
    g_autoptr(GBytes) asked = packet(c, n, "", REQUEST_CLIPBOARD, &header);
    uint32_t session = get_le32(header + SESSION), part = 60000;
    for (uint32_t at = 0; at < all->len; at += part) {
        g_assert_cmpuint(h.times, ==, 0);
        part = MIN(60000, all->len - at);
        g_assert_true(say(c, SEND_CLIPBOARD, session, all->len, at, all->data + at, part));
        if (at + part < all->len) {
            g_autoptr(GBytes) next = packet(c, n, "OK ", REQUEST_NEXT, &header);
            g_assert_cmpuint(get_le32(header + PARAM + 8), ==, at + part);
        }
    }
    g_assert_cmpuint(h.times, ==, 1);
    g_assert_cmpstr(h.text, ==, text);
    g_assert_cmpstr(other.text, ==, text);
    g_free(h.text);
    g_free(other.text);
    caller_free(c);
}

/* Asks, is sent that, and hears nothing but that there is no text. */
static void refuse(struct caller *c, unsigned n, uint32_t all, uint32_t offset, const void *data, uint32_t part)
{
    struct heard h = {0};
    const uint8_t *header;
    g_assert_true(additions_clipboard_take(c->additions, hear, &h, NULL));
    g_autoptr(GBytes) asked = packet(c, n, "", REQUEST_CLIPBOARD, &header);
    g_assert_true(say(c, SEND_CLIPBOARD, get_le32(header + SESSION), all, offset, data, part));
    g_assert_cmpuint(h.times, ==, 1);
    g_assert_null(h.text);
    g_assert_null(wish(c, n, "OK "));
}

static void nonsense(void)
{
    struct caller *c = caller_new("", true);
    unsigned n = begin(c);
    struct {
        const char *text;
        uint32_t bytes, claimed;
    } bad[] = {{"\xff\xfe", 3, 3}, {"a\0b", 4, 4}, {"abc", 4, 4000000000u}, {"abc", 4, 100}, {"", 1, 1}, {"", 0, 0}};
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GByteArray) a = clip(bad[i].text, bad[i].bytes, bad[i].claimed);
        refuse(c, n, a->len, 0, a->data, a->len);
    }
    refuse(c, n, 0, 0, "", 0);
    refuse(c, n, 3, 0, "\1\0\0", 3);
    refuse(c, n, UINT32_MAX, 0, "abcd", 4);
    refuse(c, n, 2, 0, "abcd", 4);
    refuse(c, n, 100, 50, "abcd", 4);
    refuse(c, n, 100, 0, "", 0);
    g_autofree char *huge = g_strnfill(60000, 'x');
    g_assert_true(say(c, SEND_CLIPBOARD, 77, 60000, 0, huge, 60000)); /* not asked for */
    g_assert_null(wish(c, n, ""));
    caller_free(c);
}

/* A guest that does not answer makes the host keep only so much. */
static void pings(void)
{
    struct caller *c = caller_new("", true);
    unsigned n = begin(c), wishes = 0;
    for (unsigned i = 0; i < 1000; i++)
        g_assert_true(say(c, PING, 0, 0, 0, "", 0));
    for (GBytes *w = wish(c, n, ""); w; w = wish(c, n, "OK ")) {
        g_bytes_unref(w);
        wishes++;
    }
    g_assert_cmpuint(wishes, <=, 16);
    caller_free(c);
}

static void ends(void)
{
    struct caller *c = caller_new("", true);
    struct heard h = {0}, forgotten = {0};
    unsigned n = begin(c);
    g_assert_true(additions_clipboard_take(c->additions, hear, &h, NULL));
    g_assert_true(additions_clipboard_take(c->additions, hear, &forgotten, NULL));
    additions_clipboard_forget(c->additions, &forgotten);
    caller_message(c, n, 6, 0);
    settle();
    g_assert_cmpuint(h.times, ==, 1);
    g_assert_false(h.answered);
    g_assert_cmpuint(forgotten.times, ==, 0);
    g_assert_false(additions_clipboard_take(c->additions, hear, &h, NULL));
    begin(c);
    g_assert_true(additions_clipboard_take(c->additions, hear, &h, NULL));
    caller_free(c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/clipboard/to-guest", to_guest);
    g_test_add_func("/clipboard/to-host", to_host);
    g_test_add_func("/clipboard/nonsense", nonsense);
    g_test_add_func("/clipboard/pings", pings);
    g_test_add_func("/clipboard/ends", ends);
    return g_test_run();
}
