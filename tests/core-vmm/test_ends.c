// SPDX-License-Identifier: GPL-2.0-or-later
/* The plugs whose far ends are elsewhere, each with its smallest user: a network card whose cable ends at another card, a
 * channel to a service that answers, and streams of sound.  The real machine, with chips of the test's own. */
#include "core-vmm/api/audio_host.h"
#include "core-vmm/api/channel.h"
#include "core-vmm/api/net.h"
#include "core-vmm/base/net_wire.h"
#include "core-vmm/machine/core.h"
#include <string.h>

static struct machine *build(void)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) error = NULL;
    g_key_file_load_from_data(file, "[machine]\nmemory=16M\nengine=interp\n", -1, G_KEY_FILE_NONE, NULL);
    struct machine *m = machine_new(file, "machine.ini", g_get_tmp_dir(), NULL, &error);
    g_assert_no_error(error);
    return m;
}

static struct device *add(struct machine *m, const struct device_ops *ops)
{
    struct device *d = device_new(m, &(struct wiring){ops, ops->name, .slot = -1});
    g_assert_true(device_init(d, NULL));
    machine_add(m, d);
    return d;
}

static void settle(void)
{
    while (g_main_context_iteration(NULL, FALSE))
        ;
}

/* ---- network ---- */

struct card {
    struct net_cable *cable;
    GString *got;
    struct net_offload left; /* of the last frame */
    bool full, up;
    struct net_end end; /* where the other card's cable ends: this one's */
};

static bool card_frame(struct device *d, const void *frame, size_t bytes, const struct net_offload *left)
{
    struct card *c = d->state;
    if (c->full)
        return false;
    g_string_append_len(c->got, (const char *)frame + NET_FRAME_LEAST - 1, bytes - NET_FRAME_LEAST + 1);
    c->left = *left;
    return true;
}

static void card_link(struct device *d, bool up)
{
    ((struct card *)d->state)->up = up;
}

static bool card_init(struct device *d, const struct config *config, GError **error)
{
    static const struct net_card card = {card_frame, card_link};
    struct card *c = d->state;
    c->got = g_string_new(NULL);
    c->cable = net_open(d, &card);
    return true;
}

static void card_fini(struct device *d)
{
    struct card *c = d->state;
    net_close(c->cable);
    g_string_free(c->got, TRUE);
}

static const struct device_ops card_ops = {
    .name = "card", .state_bytes = sizeof(struct card), .init = card_init, .fini = card_fini};

static bool cross(void *ctx, const void *frame, size_t bytes, const struct net_offload *left)
{
    net_deliver(ctx, frame, bytes, left);
    return true;
}

static void send(struct device *d, char text, size_t bytes, const struct net_offload *left)
{
    struct card *c = d->state;
    g_autofree char *frame = g_malloc0(bytes);
    if (bytes >= NET_FRAME_LEAST)
        frame[NET_FRAME_LEAST - 1] = text;
    struct iovec iov[] = {{frame, bytes / 2}, {frame + bytes / 2, bytes - bytes / 2}};
    dev_lock(d);
    net_send(c->cable, iov, 2, left);
    dev_unlock(d);
}

static struct net_counts counts(struct device *d)
{
    struct net_counts n;
    net_counts(((struct card *)d->state)->cable, &n);
    return n;
}

static void net(void)
{
    struct machine *m = build();
    struct device *a = add(m, &card_ops), *b = add(m, &card_ops);
    struct card *ca = a->state, *cb = b->state;
    send(a, '0', NET_FRAME_LEAST, NULL); /* no cable */
    g_assert_cmpuint(counts(a).sent_dropped, ==, 1);
    net_can(cb->cable, NET_CHECKSUM);
    ca->end = (struct net_end){cross, NULL, NULL, NET_CHECKSUM, cb->cable};
    cb->end = (struct net_end){cross, NULL, NULL, 0, ca->cable};
    net_attach(ca->cable, &ca->end);
    net_attach(cb->cable, &cb->end);
    g_assert_true(ca->up && cb->up && net_link(ca->cable));
    send(a, '1', NET_FRAME_LEAST, NULL);
    g_assert_cmpstr(cb->got->str, ==, ""); /* later, from the loop */
    settle();
    g_assert_cmpstr(cb->got->str, ==, "1");
    /* what the other can do for us, and what it cannot; lengths that are none */
    struct net_offload sum = {.checksum = true, .checksum_start = 14, .checksum_offset = 6};
    send(a, '2', NET_FRAME_LEAST, &sum);
    send(b, '3', NET_FRAME_LEAST, &sum); /* no room for a sum */
    send(b, '4', 22, &sum);              /* done on the way */
    send(a, '5', NET_FRAME_LEAST, &(struct net_offload){.segments = NET_TSO4, .segment_bytes = 1460});
    send(a, 0, NET_FRAME_LEAST - 1, NULL);
    send(a, 0, NET_FRAME_MOST + 1, NULL);
    settle();
    g_assert_cmpstr(cb->got->str, ==, "12");
    g_assert_true(cb->left.checksum && cb->left.checksum_offset == 6);
    g_assert_cmpmem(ca->got->str, ca->got->len, "4\0\0\0\0\0\0\xff\xff", 9);
    g_assert_false(ca->left.checksum);
    g_assert_cmpuint(counts(a).sent_dropped, ==, 4);
    g_assert_cmpuint(counts(b).sent_dropped, ==, 1);
    /* a slow guest: it waits in order, and what is too much is dropped */
    cb->full = true;
    for (unsigned i = 0; i < 40; i++)
        send(a, 'a', NET_FRAME_MOST, NULL), settle();
    cb->full = false;
    dev_lock(b);
    net_more_room(cb->cable);
    dev_unlock(b);
    settle();
    struct net_counts n = counts(b);
    g_assert_cmpuint(n.received + n.received_dropped, ==, 42);
    g_assert_cmpuint(n.received, ==, 2 + (1u << 20) / (NET_FRAME_MOST + sizeof(struct net_offload)));
    net_attach(ca->cable, NULL);
    g_assert_false(ca->up);
    send(a, 'x', NET_FRAME_LEAST, NULL);
    settle();
    g_assert_cmpuint(counts(b).received, ==, n.received);
    machine_free(m);
}

/* ---- channels ---- */

struct carrier {
    unsigned waits;
};

static void waiting(struct device *d, void *tag)
{
    ((struct carrier *)d->state)->waits++;
}

static const struct channel_carrier carrier = {waiting};
static const struct device_ops carrier_ops = {.name = "carrier", .state_bytes = sizeof(struct carrier)};

static void *echo_opened(void *ctx, struct channel *c)
{
    g_string_append((GString *)ctx, "open ");
    return c;
}

static void echo(void *talk, const void *data, size_t bytes)
{
    channel_send(talk, data, bytes);
}

static GString *heard; /* by closed(), which gets no context */

static void echo_closed(void *talk)
{
    g_string_append(heard, "closed ");
    g_assert_false(channel_send(talk, "x", 1));
}

static void says(struct device *d, struct channel *c, const char *text)
{
    dev_lock(d);
    g_autoptr(GBytes) b = channel_take(c);
    dev_unlock(d);
    const char *data = b ? g_bytes_get_data(b, NULL) : NULL; /* NULL, too, if there are none in it */
    g_autofree char *is = b ? g_strndup(data ? data : "", g_bytes_get_size(b)) : NULL;
    g_assert_cmpstr(is, ==, text);
}

static void channel(void)
{
    struct machine *m = build();
    struct device *d = add(m, &carrier_ops);
    heard = g_string_new(NULL);
    struct channel_service service = {"echo", 300 << 10, echo_opened, echo, echo_closed, heard};
    channel_offer(m, &service);
    dev_lock(d);
    g_assert_null(channel_open(d, "other", &carrier, NULL));
    struct channel *c = channel_open(d, "echo", &carrier, NULL);
    g_assert_true(channel_from_guest(c, "hello", 5));
    g_assert_true(channel_from_guest(c, "", 0));
    dev_unlock(d);
    says(d, c, NULL);
    settle();
    g_assert_cmpstr(heard->str, ==, "open ");
    g_assert_cmpuint(((struct carrier *)d->state)->waits, ==, 2);
    says(d, c, "hello");
    says(d, c, "");
    says(d, c, NULL);
    /* bounds: of a message, of what waits for the service, and of what waits for the guest */
    g_autofree char *large = g_malloc0(service.most + 1);
    dev_lock(d);
    g_assert_false(channel_from_guest(c, large, service.most + 1));
    for (unsigned i = 0; i < 3; i++)
        g_assert_true(channel_from_guest(c, large, service.most));
    g_assert_false(channel_from_guest(c, large, service.most));
    unsigned empty = 0;
    while (empty < CHANNEL_WAITING && channel_from_guest(c, "", 0)) /* those take memory too */
        empty++;
    g_assert_cmpuint(empty, <, 1 << 12);
    dev_unlock(d);
    settle();
    g_assert_false(channel_send(c, large, service.most));
    g_assert_true(channel_send(c, large, 1));
    dev_lock(d);
    channel_close(c);
    dev_unlock(d);
    settle();
    g_assert_cmpstr(heard->str, ==, "open closed ");
    g_assert_cmpuint(m->channels->len, ==, 0);
    dev_lock(d);
    channel_close(channel_open(d, "echo", &carrier, NULL)); /* and the machine ends before the service hears of it */
    dev_unlock(d);
    machine_free(m);
    settle();
    g_assert_cmpstr(heard->str, ==, "open closed ");
    g_string_free(heard, TRUE);
}

/* ---- sound ---- */

struct sound {
    struct audio_stream *out, *in;
    uint64_t ready, made, recorded, sum; /* frames of OUT; of IN */
};

static size_t out_frames(struct device *d, void *tag, int16_t *frames, size_t n)
{
    struct sound *s = d->state;
    n = MIN(n, s->ready - s->made);
    for (size_t i = 0; i < n; i++)
        frames[2 * i] = frames[2 * i + 1] = 1 + s->made++ % 1000;
    return n;
}

static size_t in_frames(struct device *d, void *tag, int16_t *frames, size_t n)
{
    struct sound *s = d->state;
    for (size_t i = 0; i < n; i++)
        s->sum += frames[i];
    s->recorded += n;
    return n;
}

static bool sound_init(struct device *d, const struct config *config, GError **error)
{
    struct sound *s = d->state;
    s->out = audio_open(d, AUDIO_OUT, out_frames, NULL);
    s->in = audio_open(d, AUDIO_IN, in_frames, NULL);
    return true;
}

static void sound_fini(struct device *d)
{
    struct sound *s = d->state;
    audio_close(s->out);
    audio_close(s->in);
}

static const struct device_ops sound_ops = {
    .name = "sound", .state_bytes = sizeof(struct sound), .init = sound_init, .fini = sound_fini};

struct listener {
    uint64_t frames, silent, wrong;
};

static void listen(void *ctx, const struct audio_format *format, int16_t *frames, size_t n)
{
    struct listener *l = ctx;
    for (size_t i = 0; i < n; i++, l->frames++) {
        l->silent += !frames[2 * i];
        l->wrong += frames[2 * i] && frames[2 * i] != (int16_t)(1 + l->frames % 1000);
    }
}

static void tone(void *ctx, const struct audio_format *format, int16_t *frames, size_t n)
{
    for (size_t i = 0; i < n; i++)
        frames[i] = 3;
}

/* Guest time passes, in a clock that is stepped by hand. */
static struct machine *stepped(struct device *d)
{
    struct machine *m = g_new0(struct machine, 1);
    m->clock = clock_new(true);
    *d = (struct device){.ops = &sound_ops, .name = "sound", .machine = m, .state = g_new0(struct sound, 1)};
    d->core = g_new0(struct device_core, 1);
    pthread_mutex_init(&d->core->own_lock, NULL);
    d->core->lock = &d->core->own_lock;
    sound_init(d, NULL, NULL);
    return m;
}

static void sound(void)
{
    struct device d;
    struct machine *m = stepped(&d);
    struct sound *s = d.state;
    struct listener l = {0};
    struct audio_end ear = {.frames = listen, .ctx = &l}, voice = {.frames = tone};
    audio_attach(s->out, &ear);
    audio_attach(s->in, &voice);
    g_assert_false(audio_start(s->out, &(struct audio_format){1, 2}));
    g_assert_false(audio_start(s->out, &(struct audio_format){44100, 9}));
    s->ready = UINT64_MAX;
    g_assert_true(audio_start(s->out, &(struct audio_format){44100, 2}));
    g_assert_true(audio_start(s->in, &(struct audio_format){8000, 1}));
    clock_step(m->clock, 1000000000);
    g_assert_cmpuint(l.frames, ==, 44100);
    g_assert_cmpuint(l.wrong, ==, 0);
    g_assert_cmpuint(l.silent, ==, 0);
    g_assert_cmpuint(s->recorded, ==, 8000);
    g_assert_cmpuint(s->sum, ==, 24000);
    clock_step(m->clock, 5000000); /* between two periods the position goes on */
    g_assert_cmpuint(audio_position(s->out), ==, 44320);
    g_assert_cmpuint(l.frames, ==, 44100);
    /* the guest is late: silence, counted */
    s->ready = s->made + 100;
    clock_step(m->clock, 995000000);
    g_assert_cmpuint(l.frames, ==, 88200);
    g_assert_cmpuint(l.silent, ==, 44000);
    g_assert_cmpuint(audio_missed(s->out), ==, 44000);
    audio_stop(s->out);
    clock_step(m->clock, 1000000000);
    g_assert_cmpuint(l.frames, ==, 88200);
    g_assert_cmpuint(audio_position(s->out), ==, 88200);
    sound_fini(&d);
    clock_free(m->clock);
    pthread_mutex_destroy(&d.core->own_lock);
    g_free(d.core);
    g_free(d.state);
    g_free(m);
}

/* What is left of a frame goes over the wire as it is; bytes that mean nothing there are refused. */
/* A segment to be cut in three, and a sum, for a card whose driver can do neither: done on the way. */
static void net_unable(void)
{
    enum { ETHER = 14, HEADERS = ETHER + 20 + 20, PAYLOAD = 100 };
    struct machine *m = build();
    struct device *d = add(m, &card_ops);
    struct card *c = d->state;
    uint8_t f[HEADERS + PAYLOAD] = {[12] = 8, [ETHER] = 0x45, [ETHER + 9] = 6, [ETHER + 20 + 12] = 5 << 4};
    struct net_offload cut = {.segments = NET_TSO4, .segment_bytes = 40, .header_bytes = HEADERS};
    c->end = (struct net_end){cross, NULL, NULL, 0, c->cable};
    net_attach(c->cable, &c->end);
    g_assert_true(net_deliver(c->cable, f, sizeof f, &cut));
    g_assert_cmpuint(counts(d).received, ==, 3);
    g_assert_cmpuint(c->got->len, ==, 3 * (HEADERS - NET_FRAME_LEAST + 1) + PAYLOAD);
    g_assert_cmpuint(c->left.segments, ==, 0);
    cut.header_bytes = HEADERS + 4; /* of which the headers know nothing */
    g_assert_false(net_deliver(c->cable, f, sizeof f, &cut));
    g_string_truncate(c->got, 0);
    memset(f, 0, sizeof f);
    struct net_offload sum = {.checksum = true, .checksum_start = 14, .checksum_offset = 6};
    g_assert_true(net_deliver(c->cable, f, 22, &sum));
    g_assert_cmpmem(c->got->str, c->got->len, "\0\0\0\0\0\0\0\xff\xff", 9);
    g_assert_false(c->left.checksum);
    g_assert_false(net_deliver(c->cable, f, 21, &sum)); /* no room for it */
    g_assert_cmpuint(counts(d).received, ==, 4);
    g_assert_cmpuint(counts(d).received_dropped, ==, 2);
    net_can(c->cable, NET_CHECKSUM | NET_TSO4);
    g_assert_true(net_deliver(c->cable, f, 22, &sum));
    g_assert_true(c->left.checksum);
    machine_free(m);
}

static void net_wire(void)
{
    const struct net_offload tso = {true, 34, 16, NET_TSO4, 1460, 54};
    const struct net_wire good = net_wire_frame(3, &tso);
    struct net_offload left;
    g_assert_cmpuint(good.card, ==, 3);
    g_assert_true(net_wire_left(&good, &left));
    g_assert_true(left.checksum && left.checksum_start == 34 && left.checksum_offset == 16);
    g_assert_true(left.segments == NET_TSO4 && left.segment_bytes == 1460 && left.header_bytes == 54);
    for (unsigned v = 0; v < 256; v++) {
        struct net_wire kind = good, sum = good, segments = good;
        kind.kind = sum.checksum = segments.segments = v;
        g_assert_cmpint(net_wire_left(&kind, &left), ==, v == NET_WIRE_FRAME);
        g_assert_cmpint(net_wire_left(&sum, &left), ==, v <= 1);
        g_assert_cmpint(net_wire_left(&segments, &left), ==, !v || v == NET_TSO4 || v == NET_TSO6);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ends/net", net);
    g_test_add_func("/ends/net/unable", net_unable);
    g_test_add_func("/ends/net/wire", net_wire);
    g_test_add_func("/ends/channel", channel);
    g_test_add_func("/ends/sound", sound);
    return g_test_run();
}
