// SPDX-License-Identifier: GPL-2.0-or-later
/* guest_rpc.c - messages by VMware's backdoor: the MESSAGE command, and the high-bandwidth port beside it.
 *
 * A program in the guest opens a channel of one of two protocols.  RPCI: each message is a question to the host, whose answer
 * is there as soon as the message is whole (the host answers on the vCPU's thread: the guest looks for it only once).  TCLO: the
 * guest asks again and again whether the host wants something, and sends what came of it.  A message goes as its size and then
 * four bytes a time, or, where both sides can, by string instructions at the other port, whose bytes come one by one or many at once.
 *
 * An answer that is not there at once is looked for again whenever the guest asks for its size, which it is told to start over by
 * CPT until it is: so nobody waits with the device's lock for longer than a moment.
 *
 * Kinds of call are in the high half of ECX, and so is the status afterwards; the channel in that of EDX, beside the port.  Who
 * opened a channel with a cookie must show it each time.
 *
 * What is saved of a channel is that it is open, and its message under way if that is RPCI.  What the host wanted of a TCLO
 * channel does not survive: the service begins anew, and a message that was under way there is answered with CPT, by which the
 * guest starts it over.  Numbers: open-vm-tools, guest_msg_def.h, message.c. */
#include "core-vmm/api/channel.h"
#include "devices/additions/backdoor.h"
#include <string.h>
#include <sys/random.h>

enum kind { OPEN, SEND_SIZE, SEND, RECEIVE_SIZE, RECEIVE, RECEIVED, CLOSE };
enum {
    STATUS_SUCCESS = 1,
    STATUS_WAITS = 2, /* DORECV */
    STATUS_AGAIN = 0x10,
    STATUS_FAST = 0x80 /* the high-bandwidth port works */
};
#define LATER_MS        2                    /* how long a guest's look waits for such an answer */
#define SAVING_MS       1000                 /* how long saving does for all of them; the machine stands meanwhile */
#define LEFT_NS         (60ull * 1000000000) /* a channel that is not used for so long may be taken away */
#define PROTOCOL_RPCI   0x49435052u
#define PROTOCOL_TCLO   0x4f4c4354u
#define PROTOCOL_COOKIE 0x80000000u /* or-ed */

struct rpc_channel {
    struct guest_rpc *rpc;
    bool open, has_cookie, again; /* again: the message that is under way is to be started over */
    uint32_t protocol, cookie_high, cookie_low;
    uint8_t *in;          /* of `size` bytes, `have` of them there; NULL: none is coming */
    uint32_t size, have;  /* size 0 and in NULL: none */
    GBytes *out;          /* the message that the guest fetches, or NULL */
    uint64_t used_at;     /* ns: the last call that was about it */
    uint32_t taken;       /* bytes of it */
    uint64_t ticket;      /* of the answer to an RPCI question that is to come; 0: none is */
    struct channel *talk; /* TCLO: to the service */
};
struct guest_rpc {
    struct device *device;
    struct rpc_channel channel[GUEST_RPC_CHANNELS];
};

static void waiting(struct device *d, void *tag)
{
    /* The guest looks by itself. */
}
static const struct channel_carrier carrier = {waiting};

/* ---- channels ---- */

static void drop_in(struct rpc_channel *c)
{
    g_clear_pointer(&c->in, g_free);
    c->size = c->have = 0;
}

static void drop_out(struct rpc_channel *c)
{
    g_clear_pointer(&c->out, g_bytes_unref);
    c->taken = 0;
}

static void drop_ticket(struct rpc_channel *c)
{
    if (c->ticket)
        channel_forget(c->rpc->device, "rpci", c->ticket);
    c->ticket = 0;
}

static void close_channel(struct rpc_channel *c)
{
    drop_ticket(c);
    if (c->talk)
        channel_close(c->talk);
    drop_in(c);
    drop_out(c);
    *c = (struct rpc_channel){.rpc = c->rpc};
}

/* False: there is no such service. */
static bool begin(struct rpc_channel *c)
{
    if (c->protocol == PROTOCOL_RPCI)
        return true;
    c->talk = channel_open(c->rpc->device, "tclo", &carrier, c);
    return c->talk != NULL;
}

/* A free one; or the one that nobody has used for the longest time, if that is a minute: programs are killed. */
static struct rpc_channel *room(struct guest_rpc *g)
{
    struct rpc_channel *oldest = &g->channel[0];
    for (struct rpc_channel *c = g->channel; c < g->channel + GUEST_RPC_CHANNELS; c++) {
        if (!c->open)
            return c;
        if (c->used_at < oldest->used_at)
            oldest = c;
    }
    if (dev_now(g->device) < oldest->used_at + LEFT_NS)
        return NULL;
    close_channel(oldest);
    return oldest;
}

static uint32_t open_channel(struct guest_rpc *g, struct port_call *p)
{
    uint32_t wanted = p->gpr[X86_RBX], protocol = wanted & ~PROTOCOL_COOKIE;
    bool known = protocol == PROTOCOL_RPCI || protocol == PROTOCOL_TCLO;
    struct rpc_channel *c = known ? room(g) : NULL;
    if (!c) {
        dev_log(g->device, "the guest cannot have a channel of protocol %#x: %s", protocol,
                known ? "it has as many as there are" : "there is no such protocol");
        return 0;
    }
    c->protocol = protocol;
    if (!begin(c))
        return 0;
    c->open = true;
    c->used_at = dev_now(g->device);
    c->has_cookie = wanted & PROTOCOL_COOKIE;
    if (c->has_cookie) {
        uint32_t cookie[2]; /* that no program can work out from its own */
        if (getrandom(cookie, sizeof cookie, 0) != sizeof cookie)
            g_error("the host has no random numbers");
        p->gpr[X86_RSI] = c->cookie_high = cookie[0];
        p->gpr[X86_RDI] = c->cookie_low = cookie[1];
    }
    p->gpr[X86_RDX] = (p->gpr[X86_RDX] & 0xffff) | (c - g->channel) << 16;
    return STATUS_SUCCESS;
}

/* The channel that a call is about, by the two registers that hold its cookie there; NULL: the guest may not. */
static struct rpc_channel *called(struct guest_rpc *g, const struct port_call *p, uint32_t high, uint32_t low)
{
    unsigned n = p->gpr[X86_RDX] >> 16 & 0xffff;
    struct rpc_channel *c = n < GUEST_RPC_CHANNELS ? &g->channel[n] : NULL;
    bool known = c && c->open && (!c->has_cookie || (c->cookie_high == high && c->cookie_low == low));
    if (!known)
        return NULL;
    c->used_at = dev_now(g->device);
    return c;
}

/* ---- a message from the guest ---- */

static void whole(struct rpc_channel *c)
{
    g_autofree uint8_t *in = g_steal_pointer(&c->in);
    uint32_t size = c->size;
    drop_in(c);
    if (c->protocol == PROTOCOL_RPCI) {
        drop_out(c);
        drop_ticket(c);
        c->out = channel_ask(c->rpc->device, "rpci", in, size, &c->ticket);
    } else if (!channel_from_guest(c->talk, in, size)) {
        dev_log(c->rpc->device, "what the guest says of the host's wishes was too much to take");
    }
}

static uint32_t send_size(struct rpc_channel *c, uint32_t size)
{
    drop_in(c);
    c->again = false;
    if (size > GUEST_RPC_MOST) {
        dev_log(c->rpc->device, "the guest's message of %u bytes is too long", size);
        return 0;
    }
    c->in = g_malloc(MAX(size, 1));
    c->size = size;
    if (!size)
        whole(c);
    return STATUS_SUCCESS | STATUS_FAST;
}

static bool append(struct rpc_channel *c, const void *data, uint32_t bytes)
{
    if (!c->in)
        return false;
    bytes = MIN(bytes, c->size - c->have);
    memcpy(c->in + c->have, data, bytes);
    c->have += bytes;
    if (c->have == c->size)
        whole(c);
    return true;
}

/* Bytes that the message lacks. */
static uint32_t left_in(const struct rpc_channel *c)
{
    return c->in ? c->size - c->have : 0;
}

static uint32_t send_some(struct rpc_channel *c, uint32_t value)
{
    const uint8_t bytes[4] = {value, value >> 8, value >> 16, value >> 24};
    if (c->again)
        return STATUS_AGAIN;
    return append(c, bytes, sizeof bytes) ? STATUS_SUCCESS : 0;
}

/* ---- a message to the guest ---- */

static void take_answer(struct rpc_channel *c, int ms)
{
    if (c->ticket && !c->out)
        c->out = channel_answered(c->rpc->device, "rpci", c->ticket, ms);
    if (c->out)
        c->ticket = 0;
}

/* One that is to come has a byte, so that the guest begins to fetch it, and hears that it is to ask again. */
static uint32_t receive_size(struct rpc_channel *c, struct port_call *p)
{
    c->again = false;
    take_answer(c, LATER_MS);
    if (!c->out && c->talk)
        c->out = channel_take(c->talk);
    c->taken = 0;
    c->again = c->ticket != 0;
    if (!c->out && !c->again)
        return STATUS_SUCCESS;
    p->gpr[X86_RBX] = c->out ? g_bytes_get_size(c->out) : 1;
    p->gpr[X86_RDX] = (p->gpr[X86_RDX] & 0xffff) | SEND_SIZE << 16;
    return STATUS_SUCCESS | STATUS_WAITS | STATUS_FAST;
}

static uint32_t left_out(const struct rpc_channel *c)
{
    return c->out ? g_bytes_get_size(c->out) - c->taken : 0;
}

/* The next bytes, at most that many; zeroes after the end. */
static bool next(struct rpc_channel *c, uint8_t *to, uint32_t bytes)
{
    gsize size;
    const uint8_t *data = c->out ? g_bytes_get_data(c->out, &size) : NULL;
    memset(to, 0, bytes);
    if (!data || c->taken >= size)
        return false;
    bytes = MIN(bytes, size - c->taken);
    memcpy(to, data + c->taken, bytes);
    c->taken += bytes;
    return true;
}

static uint32_t receive_some(struct rpc_channel *c, struct port_call *p)
{
    uint8_t bytes[4];
    if (c->again)
        return STATUS_AGAIN;
    if (!next(c, bytes, sizeof bytes))
        return 0;
    p->gpr[X86_RBX] = bytes[0] | bytes[1] << 8 | bytes[2] << 16 | (uint32_t)bytes[3] << 24;
    p->gpr[X86_RDX] = (p->gpr[X86_RDX] & 0xffff) | SEND << 16;
    return STATUS_SUCCESS;
}

static uint32_t received(struct rpc_channel *c)
{
    if (c->again)
        return STATUS_AGAIN;
    if (!c->out)
        return 0;
    drop_out(c);
    return STATUS_SUCCESS;
}

/* ---- the two ports ---- */

static uint32_t on_channel(struct rpc_channel *c, enum kind kind, struct port_call *p)
{
    switch (kind) {
    case SEND_SIZE: return send_size(c, p->gpr[X86_RBX]);
    case SEND: return send_some(c, p->gpr[X86_RBX]);
    case RECEIVE_SIZE: return receive_size(c, p);
    case RECEIVE: return receive_some(c, p);
    case RECEIVED: return received(c);
    case CLOSE: close_channel(c); return STATUS_SUCCESS;
    case OPEN: break;
    }
    return 0;
}

void guest_rpc_call(struct guest_rpc *g, struct port_call *p)
{
    uint32_t kind = p->gpr[X86_RCX] >> 16 & 0xffff, status = 0;
    if (kind == OPEN) {
        status = open_channel(g, p);
    } else {
        struct rpc_channel *c = called(g, p, p->gpr[X86_RSI], p->gpr[X86_RDI]);
        status = c ? on_channel(c, kind, p) : 0;
    }
    p->gpr[X86_RCX] = (p->gpr[X86_RCX] & 0xffff) | status << 16;
    p->value = (uint32_t)p->gpr[X86_RAX];
}

/* Where memory is read (to the host), RDI and RBP have the cookie; where it is written, RBP and RSI: RDI is the buffer.  The status is
 * that of the last byte, which fails behind the end of the message. */
void guest_rpc_bytes(struct guest_rpc *g, struct port_call *p)
{
    struct rpc_channel *c =
        p->in ? called(g, p, p->gpr[X86_RSI], p->gpr[X86_RBP]) : called(g, p, p->gpr[X86_RBP], p->gpr[X86_RDI]);
    uint8_t one = p->value, *data = p->bytes ? p->bytes : &one;
    uint32_t count = p->bytes ? p->count : 1, status = 0;
    bool goes_on = c && !c->again;
    if (c && c->again)
        status = STATUS_AGAIN;
    else if (c && count <= (p->in ? left_out(c) : left_in(c)))
        status = STATUS_SUCCESS;
    if (p->in && !(goes_on && next(c, data, count)))
        memset(data, 0, count);
    else if (!p->in && goes_on)
        append(c, data, count);
    p->value = one;
    p->gpr[X86_RBX] = (p->gpr[X86_RBX] & 0xffff) | status << 16;
}

/* ---- life ---- */

struct guest_rpc *guest_rpc_new(struct device *d)
{
    struct guest_rpc *g = g_new0(struct guest_rpc, 1);
    g->device = d;
    for (unsigned n = 0; n < GUEST_RPC_CHANNELS; n++)
        g->channel[n].rpc = g;
    return g;
}

void guest_rpc_reset(struct guest_rpc *g)
{
    for (unsigned n = 0; n < GUEST_RPC_CHANNELS; n++)
        close_channel(&g->channel[n]);
}

void guest_rpc_free(struct guest_rpc *g)
{
    guest_rpc_reset(g);
    g_free(g);
}

/* The bytes of a message under way. */
static void sync_in(struct rpc_channel *c, struct stream *s)
{
    bool coming = c->in != NULL;
    stream_bool(s, &coming);
    if (!coming)
        return;
    stream_check_u32(s, &c->size, GUEST_RPC_MOST);
    stream_check_u32(s, &c->have, c->size);
    s->failed |= c->have == c->size;
    if (s->loading)
        c->in = g_malloc0(MAX(c->size, 1));
    stream_raw(s, c->in, c->have);
}

/* What the state is saved with is the answer, or that it was not to be had: the guest that goes on from there has a failure.  The one
 * that runs on, of which it is a snapshot, gets its answer when it comes. */
static const void *answer_to_save(struct rpc_channel *c, gint64 until, gsize *bytes)
{
    do /* answers of others may come before it */
        take_answer(c, MAX(until - g_get_monotonic_time(), 0) / 1000);
    while (c->ticket && g_get_monotonic_time() < until);
    if (c->out)
        return g_bytes_get_data(c->out, bytes);
    if (!c->ticket)
        return NULL;
    dev_log(c->rpc->device, "a question of the guest has no answer while it is saved, and fails in that state");
    *bytes = 2;
    return "0 ";
}

static void sync_out(struct rpc_channel *c, struct stream *s, gint64 until)
{
    gsize size = 0;
    const void *data = s->loading ? NULL : answer_to_save(c, until, &size);
    bool waits = data != NULL;
    uint32_t bytes = size;
    stream_bool(s, &waits);
    if (!waits)
        return;
    stream_check_u32(s, &bytes, GUEST_RPC_MOST);
    stream_check_u32(s, &c->taken, bytes);
    g_autofree uint8_t *copy = s->loading ? g_malloc0(MAX(bytes, 1)) : g_memdup2(data, bytes);
    stream_raw(s, copy, bytes);
    if (s->loading)
        c->out = g_bytes_new(copy, bytes);
}

static void sync_channel(struct rpc_channel *c, struct stream *s, gint64 until)
{
    bool again = c->again || (c->talk && (c->in || c->out));
    stream_u32(s, &c->protocol);
    stream_bool(s, &c->has_cookie);
    stream_u32(s, &c->cookie_high);
    stream_u32(s, &c->cookie_low);
    stream_u64(s, &c->used_at);
    stream_bool(s, &again);
    if (s->loading)
        c->again = again;
    if (c->protocol == PROTOCOL_RPCI) {
        sync_in(c, s);
        sync_out(c, s, until);
    } else {
        s->failed |= c->protocol != PROTOCOL_TCLO;
    }
    s->failed |= c->used_at > dev_now(c->rpc->device);
    if (s->failed) {
        c->used_at = 0;
    }
}

bool guest_rpc_sync(struct guest_rpc *g, struct stream *s)
{
    gint64 until = g_get_monotonic_time() + SAVING_MS * 1000;
    for (unsigned n = 0; n < GUEST_RPC_CHANNELS && stream_ok(s); n++) {
        struct rpc_channel *c = &g->channel[n];
        bool open = c->open;
        if (s->loading)
            close_channel(c);
        stream_bool(s, &open);
        if (!open)
            continue;
        sync_channel(c, s, until);
        if (s->loading && stream_ok(s))
            c->open = begin(c); /* without the service, its messages fail */
    }
    return stream_ok(s);
}
