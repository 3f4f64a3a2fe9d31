// SPDX-License-Identifier: GPL-2.0-or-later
/* clipboard.c - text on its way between the guest's clipboard and the host's, by open-vm-tools' program of a user's session
 * ("toolbox-dnd").  Version 4 of its protocol (open-vm-tools: dndCPMsgV4.h, dndClipboard.c): packets of a header, 14 words, and a part of
 * what a message has; they go to the guest as wishes, and come as questions, "copypaste.transport" and the packet.
 *
 * The host is the one who begins: it asks for the guest's clipboard (REQUEST_CLIPBOARD, answered by SEND_CLIPBOARD, of which the guest sends the
 * next part when it is asked to), or gives it the host's (RECV_CLIPBOARD).  What the guest sends without being asked is dropped.  A clipboard is a
 * number of formats, and for each a byte, is it there, its length and its bytes; only text is looked at. */
#include "core-vmm/base/bytes.h"
#include "guest-additions/common/inside.h"
#include <string.h>

#define TRANSPORT "copypaste.transport"

enum { HEADER = 56, PACKET_MOST = 65436, MESSAGE_MOST = 4 << 20, ASK_SECONDS = 3, WAITING_MOST = 4 };
enum {
    COMMAND = 0,
    TYPE = 4,
    SOURCE = 8,
    SESSION = 12,
    STATUS = 16,
    PARAM = 20,
    ALL = 44,
    OFFSET = 48,
    PART = 52
}; /* in the header */
enum { TYPE_COPY_PASTE = 2, SOURCE_CONTROLLER = 2 };
enum {
    PING = 1,
    PING_REPLY = 2,
    REQUEST_NEXT = 3,
    REQUEST_CLIPBOARD = 2000,
    RECV_CLIPBOARD = 2002,
    SEND_CLIPBOARD = 2003
};
enum { FORMAT_TEXT = 1, FORMATS = 11 };                            /* formats are counted from 1 */
enum { CAN_VALID = 1 << 0, CAN_COPY = 1 << 2, CAN_TEXT = 1 << 4 }; /* what we can */
#define VERSION 4

struct asking {
    additions_text done;
    void *ctx;
};
struct clipboard {
    struct additions *additions;
    enum clipboard_policy policy;
    bool ready; /* the session's program speaks this protocol */
    uint32_t session;
    GByteArray *message; /* of the guest, as far as it has come */
    uint32_t message_bytes;
    GArray *asking; /* struct asking: whoever waits for the guest's text */
    guint late;
    GAsyncQueue *packets; /* of GBytes, on their way from a vCPU's thread */
};

struct clipboard *clipboard_new(struct additions *a, enum clipboard_policy policy)
{
    struct clipboard *c = g_new0(struct clipboard, 1);
    c->additions = a;
    c->policy = policy;
    c->message = g_byte_array_new();
    c->packets = g_async_queue_new_full((GDestroyNotify)g_bytes_unref);
    c->asking = g_array_new(FALSE, FALSE, sizeof(struct asking));
    return c;
}

void clipboard_free(struct clipboard *c)
{
    while (g_source_remove_by_user_data(c)) {
    }
    g_async_queue_unref(c->packets);
    g_byte_array_unref(c->message);
    g_array_unref(c->asking);
    g_free(c);
}

/* ---- to the guest ---- */

static bool send_packet(struct clipboard *c, uint32_t command, const uint32_t *params, unsigned count,
                        const GByteArray *data)
{
    uint32_t bytes = data ? data->len : 0;
    g_autoptr(GByteArray) out = g_byte_array_new();
    uint8_t header[HEADER] = {0};
    put_le32(header + COMMAND, command);
    put_le32(header + TYPE, TYPE_COPY_PASTE);
    put_le32(header + SOURCE, SOURCE_CONTROLLER);
    put_le32(header + SESSION, c->session);
    for (unsigned i = 0; i < count; i++)
        put_le32(header + PARAM + 4 * i, params[i]);
    put_le32(header + ALL, bytes);
    put_le32(header + PART, bytes);
    g_byte_array_append(out, (const uint8_t *)TRANSPORT " ", strlen(TRANSPORT " "));
    g_byte_array_append(out, header, HEADER);
    if (data)
        g_byte_array_append(out, data->data, data->len);
    return tclo_tell_session(c->additions, out->data, out->len);
}

static void answer_ping(struct clipboard *c)
{
    const uint32_t params[] = {VERSION, 0, CAN_VALID | CAN_COPY | CAN_TEXT};
    c->ready = true;
    send_packet(c, PING_REPLY, params, G_N_ELEMENTS(params), NULL);
}

static void add_word(GByteArray *to, uint32_t value)
{
    uint8_t bytes[4];
    put_le32(bytes, value);
    g_byte_array_append(to, bytes, sizeof bytes);
}

/* Text ends with a zero byte there. */
static GByteArray *clip_of_text(const char *text)
{
    static const uint8_t there = 1, not_there = 0;
    size_t bytes = strlen(text) + 1;
    GByteArray *clip = g_byte_array_new();
    add_word(clip, FORMATS);
    for (unsigned format = 1; format < FORMATS; format++) {
        g_byte_array_append(clip, format == FORMAT_TEXT ? &there : &not_there, 1);
        add_word(clip, format == FORMAT_TEXT ? bytes : 0);
        if (format == FORMAT_TEXT)
            g_byte_array_append(clip, (const uint8_t *)text, bytes);
    }
    g_byte_array_append(clip, &there, 1); /* it has changed */
    return clip;
}

const char *additions_clipboard_policy(struct additions *a)
{
    static const char *const names[] = {"off", "to-guest", "to-host", "both"}; /* as enum clipboard_policy */
    return names[a->clipboard->policy];
}

static bool may(struct clipboard *c, enum clipboard_policy direction, GError **error)
{
    if (!(c->policy & direction))
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
                    "this machine's guest and the host do not share the clipboard in that direction; "
                    "vmctl set NAME additions.clipboard=both allows it from the next start on");
    else if (!c->ready || !tclo_session_listens(c->additions))
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_CONNECTED,
                    "nothing in the guest takes or gives a clipboard; that needs open-vm-tools-desktop and a user's "
                    "X11 session");
    else
        return true;
    return false;
}

bool additions_clipboard_give(struct additions *a, const char *text, GError **error)
{
    static const uint32_t params[] = {VERSION, 0, 0, 0};
    struct clipboard *c = a->clipboard;
    if (!may(c, CLIPBOARD_TO_GUEST, error))
        return false;
    g_autoptr(GByteArray) clip = strlen(text) <= CLIPBOARD_TO_GUEST_MOST ? clip_of_text(text) : NULL;
    c->session++;
    if (clip && HEADER + clip->len <= PACKET_MOST && send_packet(c, RECV_CLIPBOARD, params, G_N_ELEMENTS(params), clip))
        return true;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE, "the text is too long for the guest: %zu bytes, at most %d",
                strlen(text), CLIPBOARD_TO_GUEST_MOST);
    return false;
}

/* ---- from the guest ---- */

/* All who wait hear it.  text: NULL: the guest has none, or none that is new. */
static void told(struct clipboard *c, const char *text, bool answered)
{
    GArray *asking = c->asking;
    c->asking = g_array_new(FALSE, FALSE, sizeof(struct asking));
    if (c->late)
        g_source_remove(c->late);
    c->late = 0;
    g_byte_array_set_size(c->message, 0);
    for (unsigned i = 0; i < asking->len; i++) {
        const struct asking *w = &g_array_index(asking, struct asking, i);
        w->done(w->ctx, text, answered);
    }
    g_array_unref(asking);
}

static gboolean too_late(gpointer clipboard)
{
    struct clipboard *c = clipboard;
    c->late = 0;
    told(c, NULL, false);
    return G_SOURCE_REMOVE;
}

bool additions_clipboard_take(struct additions *a, additions_text done, void *ctx, GError **error)
{
    static const uint32_t params[] = {VERSION, 0, 0, 0};
    struct clipboard *c = a->clipboard;
    struct asking w = {done, ctx};
    if (!may(c, CLIPBOARD_TO_HOST, error))
        return false;
    g_array_append_val(c->asking, w);
    if (c->asking->len > 1) /* it has been asked */
        return true;
    c->session++;
    c->late = g_timeout_add_seconds(ASK_SECONDS, too_late, c);
    send_packet(c, REQUEST_CLIPBOARD, params, G_N_ELEMENTS(params), NULL);
    return true;
}

void additions_clipboard_forget(struct additions *a, void *ctx)
{
    GArray *asking = a->clipboard->asking;
    for (unsigned i = asking->len; i > 0; i--)
        if (g_array_index(asking, struct asking, i - 1).ctx == ctx)
            g_array_remove_index(asking, i - 1);
}

/* The text in a clipboard, g_free; NULL: there is none, or it makes no sense. */
char *clipboard_text_in(const uint8_t *data, size_t bytes)
{
    uint32_t formats = bytes >= 4 ? get_le32(data) : 0, length;
    size_t at = 4;
    for (unsigned format = 1; format < MIN(formats, FORMATS); format++) {
        if (bytes - at < 5)
            return NULL;
        bool there = data[at];
        length = get_le32(data + at + 1);
        at += 5;
        if (!there)
            continue;
        if (length > bytes - at)
            return NULL;
        while (format == FORMAT_TEXT && length && !data[at + length - 1])
            length--;
        if (format == FORMAT_TEXT)
            return length && length <= CLIPBOARD_TO_HOST_MOST && g_utf8_validate((const char *)data + at, length, NULL)
                       ? g_strndup((const char *)data + at, length)
                       : NULL;
        at += length;
    }
    return NULL;
}

static void ask_for_next(struct clipboard *c)
{
    const uint32_t params[] = {SEND_CLIPBOARD, c->message_bytes, c->message->len};
    send_packet(c, REQUEST_NEXT, params, G_N_ELEMENTS(params), NULL);
}

static void take_part(struct clipboard *c, const uint8_t *packet, uint32_t part)
{
    uint32_t all = get_le32(packet + ALL), offset = get_le32(packet + OFFSET);
    if (!c->asking->len || get_le32(packet + SESSION) != c->session)
        return;
    if (!offset) {
        g_byte_array_set_size(c->message, 0);
        c->message_bytes = all;
    }
    if (all > MESSAGE_MOST || all != c->message_bytes || offset != c->message->len || part > all - offset ||
        (!part && all)) {
        told(c, NULL, true);
        return;
    }
    g_byte_array_append(c->message, packet + HEADER, part);
    if (c->message->len < all) {
        ask_for_next(c);
        return;
    }
    g_autofree char *text = clipboard_text_in(c->message->data, c->message->len);
    told(c, text, true);
}

/* Type and source are not looked at: open-vm-tools has them in each other's place. */
void clipboard_packet(struct clipboard *c, const uint8_t *packet, size_t bytes)
{
    uint32_t part = bytes >= HEADER ? get_le32(packet + PART) : 0;
    if (bytes < HEADER || bytes > PACKET_MOST || part != bytes - HEADER)
        return;
    switch (get_le32(packet + COMMAND)) {
    case PING: answer_ping(c); break;
    case SEND_CLIPBOARD: take_part(c, packet, part); break;
    default: break; /* files, answers to what we do not ask */
    }
}

static gboolean arrived(gpointer clipboard)
{
    struct clipboard *c = clipboard;
    g_autoptr(GBytes) packet = g_async_queue_try_pop(c->packets);
    gsize bytes;
    const uint8_t *data = packet ? g_bytes_get_data(packet, &bytes) : NULL;
    if (data)
        clipboard_packet(c, data, bytes);
    return G_SOURCE_REMOVE;
}

bool clipboard_from_guest(struct clipboard *c, const void *packet, size_t bytes)
{
    if (!c->policy || bytes > PACKET_MOST || g_async_queue_length(c->packets) >= WAITING_MOST)
        return false;
    g_async_queue_push(c->packets, g_bytes_new(packet, bytes));
    g_idle_add(arrived, c);
    return true;
}

bool clipboard_shared(const struct clipboard *c)
{
    return c->policy != CLIPBOARD_OFF;
}

void clipboard_session_ended(struct clipboard *c)
{
    c->ready = false;
    told(c, NULL, false);
}
