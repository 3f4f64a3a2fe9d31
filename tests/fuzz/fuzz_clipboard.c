// SPDX-License-Identifier: GPL-2.0-or-later
/* A hostile program of a user's session: packets of the clipboard's protocol in any order, to a host that asks now and then.  Lengths and
 * offsets are right mostly, for else nothing happens. */
#include "core-vmm/base/bytes.h"
#include "guest-additions/common/inside.h"
#include "tests/fuzz/bytes.h"
#include "tests/guest-additions/caller.h"
#include <string.h>

enum { HEADER = 56, PART_MOST = 600, ROUNDS_MOST = 100 };
enum { COMMAND = 0, SESSION = 12, ALL = 44, OFFSET = 48, PART = 52 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void hear(void *ctx, const char *text, bool answered)
{
    g_assert_true(!text || (answered && g_utf8_validate(text, -1, NULL) && strlen(text) <= CLIPBOARD_TO_HOST_MOST));
    (*(unsigned *)ctx)++;
}

static void packet(struct additions *a, struct bytes *in, uint32_t *at)
{
    uint8_t bytes[HEADER + PART_MOST] = {0};
    unsigned odd = take(in), part = take_number(in, 2) % PART_MOST;
    put_le32(bytes + COMMAND, odd & 1 ? 2003 : take(in) % 4);
    put_le32(bytes + SESSION, take(in) % 4);
    put_le32(bytes + ALL, odd & 2 ? 1000 : take_number(in, 4));
    put_le32(bytes + OFFSET, odd & 4 ? *at : take_number(in, 4));
    put_le32(bytes + PART, odd & 8 ? take_number(in, 4) : part);
    for (unsigned i = 0; i < part; i++)
        bytes[HEADER + i] = take(in);
    *at += part;
    if (odd & 16)
        *at = 0;
    clipboard_packet(a->clipboard, bytes, odd & 32 ? take(in) : HEADER + part);
}

static void settle(void)
{
    while (g_main_context_iteration(NULL, FALSE)) {
    }
}

static void say(struct caller *c, unsigned channel, const char *words)
{
    caller_send(c, channel, words, strlen(words), false);
    settle();
    g_bytes_unref(caller_receive(c, channel, false));
}

/* Until the host takes it for a program that has a clipboard. */
static struct caller *begin(unsigned *channel)
{
    static const uint8_t ping[HEADER] = {1};
    struct caller *c = caller_new("", true);
    *channel = caller_open(c, CALLER_TCLO);
    settle();
    say(c, *channel, "");
    say(c, *channel, "OK ATR toolbox-dnd");
    say(c, *channel, "OK ");
    clipboard_packet(c->additions->clipboard, ping, sizeof ping);
    return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct bytes in = {data, n};
    unsigned heard = 0, asked = 0, channel;
    uint32_t at = 0;
    g_autofree char *text = clipboard_text_in(data, n);
    struct caller *c = begin(&channel);
    hear(&heard, text, true);
    for (unsigned i = 0; i < ROUNDS_MOST && in.left; i++)
        if (take(&in) & 3)
            packet(c->additions, &in, &at);
        else
            asked += additions_clipboard_take(c->additions, hear, &heard, NULL);
    caller_message(c, channel, 6, 0);
    settle();
    g_assert_cmpuint(heard, ==, asked + 1); /* whoever asks is answered, and once */
    caller_free(c);
    return 0;
}
