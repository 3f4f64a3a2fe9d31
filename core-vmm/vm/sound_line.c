// SPDX-License-Identifier: GPL-2.0-or-later
/* sound_line.c - see sound_line.h.  Frames come from the machine's streams on any thread and go out as packets at once; what the
 * sound process does not take now waits, for two seconds of sound at most, and then is lost and counted.  Nothing ever blocks.
 *
 * That a stream starts or stops may not be lost.  So one of which that could not be put in the queue, or whose guest does it faster
 * than the sound process takes it, is `untold`: its sound is lost until the queue has run empty, and then only its last state is told.
 *
 * What the guest records is asked for in advance: a stream that starts wants a tenth of a second, and then as much as it takes, so
 * that so much is always on its way or here.  If nothing is here it records silence, which is counted as well.
 *
 * Locks: a stream's device, then the line's. */
#include "core-vmm/vm/sound_line.h"
#include "core-vmm/api/audio_host.h"
#include "core-vmm/base/audio_wire.h"
#include <errno.h>
#include <glib-unix.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    WAITING_MOST = 2 << 20,
    CONTROLS_MOST = 256, /* starts, stops and wants that wait */
    RECEIVED_MOST = 64,  /* packets at once */
    AHEAD_PART = 10 /* of a second */,
    WANT_PART = 100,
    RING_PARTS = 2 /* as often as that */,
    FINISH_MS = 1000
};

struct line_stream {
    struct sound_line *line;
    struct audio_stream *audio;
    struct audio_end end;
    unsigned number;
    bool in;
    struct audio_format format; /* of one that runs; else rate 0 */
    struct audio_format told;   /* what the process knows of it, or will when it has the queue */
    bool untold;                /* `told` is not so any more, and is not mended before the queue is empty */
    size_t wanted;              /* frames more than were asked for */
    /* Recording: a ring of frames. */
    int16_t *ring;
    size_t room, first, count; /* frames */
    bool primed;               /* it has begun to come */
};
struct sound_line {
    struct machine *machine;
    GMutex lock; /* all that follows */
    int fd;
    bool new; /* the process has yet to come: what a machine that goes on from a saved state plays waits for it */
    GSource *source;
    GQueue waiting; /* GBytes: packets */
    size_t waiting_bytes;
    unsigned waiting_controls;
    struct line_stream stream[AUDIO_WIRE_STREAMS];
    unsigned streams;
    struct audio_host host, earlier; /* earlier: what processes before this one counted */
};

/* ---- packets out ---- */

static bool send_now(struct sound_line *l, const void *data, size_t bytes)
{
    return send(l->fd, data, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)bytes;
}

static bool is_control(GBytes *packet)
{
    return g_bytes_get_size(packet) == sizeof(struct audio_wire);
}

static void send_queue(struct sound_line *l)
{
    GBytes *next;
    while (l->fd >= 0 && (next = g_queue_peek_head(&l->waiting))) {
        gsize bytes;
        const void *data = g_bytes_get_data(next, &bytes);
        if (!send_now(l, data, bytes))
            return;
        l->waiting_bytes -= bytes;
        l->waiting_controls -= is_control(next);
        g_bytes_unref(g_queue_pop_head(&l->waiting));
    }
}

/* False: it is lost. */
static bool put(struct sound_line *l, const struct audio_wire *head, const int16_t *frames)
{
    uint8_t packet[sizeof *head + AUDIO_WIRE_SAMPLES * sizeof *frames];
    size_t samples = frames ? (size_t)head->frames * head->channels : 0,
           bytes = sizeof *head + samples * sizeof *frames;
    if (l->fd < 0 && !l->new)
        return false;
    memcpy(packet, head, sizeof *head);
    if (samples)
        memcpy(packet + sizeof *head, frames, samples * sizeof *frames);
    send_queue(l);
    if (l->fd >= 0 && g_queue_is_empty(&l->waiting) && send_now(l, packet, bytes))
        return true;
    if (l->waiting_bytes + bytes > WAITING_MOST || (!samples && l->waiting_controls >= CONTROLS_MOST))
        return false;
    g_queue_push_tail(&l->waiting, g_bytes_new(packet, bytes));
    l->waiting_bytes += bytes;
    l->waiting_controls += !samples;
    return true;
}

static struct audio_wire head_of(const struct line_stream *s, enum audio_wire_kind kind, size_t frames)
{
    const struct audio_format *f = kind == AUDIO_WIRE_STOP ? &s->told : &s->format;
    return (struct audio_wire){
        .kind = kind, .stream = s->number, .channels = f->channels, .in = s->in, .rate = f->rate, .frames = frames};
}

static bool say(struct line_stream *s, enum audio_wire_kind kind, size_t frames)
{
    struct audio_wire head = head_of(s, kind, frames);
    return put(s->line, &head, NULL);
}

static bool tell_stop(struct line_stream *s)
{
    if (s->told.rate && !say(s, AUDIO_WIRE_STOP, 0))
        return false;
    s->told = (struct audio_format){0};
    return true;
}

static bool tell_start(struct line_stream *s)
{
    if (!s->format.rate)
        return true;
    if (!say(s, AUDIO_WIRE_START, 0))
        return false;
    s->told = s->format;
    s->wanted = 0;
    return !s->in || say(s, AUDIO_WIRE_WANT, s->format.rate / AHEAD_PART);
}

/* It stops, if it ran, and starts, if it runs. */
static void tell(struct line_stream *s)
{
    s->untold = !tell_stop(s) || !tell_start(s);
}

static void send_waiting(struct sound_line *l)
{
    send_queue(l);
    for (unsigned i = 0; i < l->streams && l->fd >= 0 && g_queue_is_empty(&l->waiting); i++)
        if (l->stream[i].untold)
            tell(&l->stream[i]);
}

/* ---- packets in ---- */

static void ring_put(struct line_stream *s, const int16_t *frames, size_t n)
{
    unsigned c = s->format.channels;
    for (n = MIN(n, s->room - s->count); n; n--, frames += c)
        memcpy(s->ring + (s->first + s->count++) % s->room * c, frames, c * sizeof *frames);
}

/* What comes is not trusted. */
static void took(struct sound_line *l, const struct audio_wire *head, const uint8_t *samples, size_t bytes)
{
    struct line_stream *s = head->stream < l->streams ? &l->stream[head->stream] : NULL;
    int16_t frames[AUDIO_WIRE_SAMPLES];
    if (head->kind == AUDIO_WIRE_COUNTS) {
        l->host.under_runs = l->earlier.under_runs + head->under_runs;
        l->host.jumps = l->earlier.jumps + head->jumps;
        l->host.there = head->host != 0;
        return;
    }
    if (head->kind != AUDIO_WIRE_FRAMES || !s || !s->ring || head->channels != s->format.channels ||
        head->rate != s->format.rate || head->frames > AUDIO_WIRE_FRAMES_MOST ||
        bytes != (size_t)head->frames * head->channels * sizeof *frames)
        return; /* of a stream that has stopped meanwhile, too */
    memcpy(frames, samples, bytes);
    ring_put(s, frames, head->frames);
}

/* So much as there is, and not without end.  False: nobody is at the other end any more. */
static bool receive(struct sound_line *l)
{
    uint8_t packet[sizeof(struct audio_wire) + AUDIO_WIRE_SAMPLES * sizeof(int16_t)];
    struct audio_wire head;
    for (unsigned i = 0; i < RECEIVED_MOST && l->fd >= 0; i++) {
        ssize_t n = read(l->fd, packet, sizeof packet);
        if (n <= 0)
            return n < 0 && (errno == EAGAIN || errno == EINTR);
        if ((size_t)n < sizeof head)
            continue;
        memcpy(&head, packet, sizeof head);
        took(l, &head, packet + sizeof head, n - sizeof head);
    }
    return true;
}

/* ---- the machine's streams ---- */

static void play(struct line_stream *s, const int16_t *frames, size_t n)
{
    struct sound_line *l = s->line;
    struct audio_wire head = head_of(s, AUDIO_WIRE_FRAMES, n);
    if (s->untold)
        send_waiting(l);
    if ((s->untold || !put(l, &head, frames)) && (l->fd >= 0 || l->new))
        l->host.lost += n;
}

/* Those that a guest takes one by one are asked for together, if the process is slow. */
static void want(struct line_stream *s, size_t n)
{
    s->wanted += n;
    if (s->untold)
        send_waiting(s->line);
    if (s->untold || !s->wanted || (!g_queue_is_empty(&s->line->waiting) && s->wanted < s->format.rate / WANT_PART))
        return;
    s->untold = !say(s, AUDIO_WIRE_WANT, s->wanted);
    s->wanted = 0;
}

static void record(struct line_stream *s, int16_t *frames, size_t n)
{
    unsigned c = s->format.channels;
    receive(s->line);
    s->primed = s->primed || s->count >= s->format.rate / AHEAD_PART / 2;
    size_t here = s->primed ? MIN(n, s->count) : 0;
    for (size_t i = 0; i < here; i++, s->first = (s->first + 1) % s->room, s->count--)
        memcpy(frames + i * c, s->ring + s->first * c, c * sizeof *frames);
    if (s->primed && s->line->fd >= 0)
        s->line->host.not_recorded += n - here;
    want(s, here);
}

static void on_frames(void *ctx, const struct audio_format *format, int16_t *frames, size_t n)
{
    struct line_stream *s = ctx;
    g_mutex_lock(&s->line->lock);
    if (s->ring)
        record(s, frames, n);
    else if (s->format.rate)
        play(s, frames, n);
    g_mutex_unlock(&s->line->lock);
}

static void start(struct line_stream *s, const struct audio_format *format)
{
    s->format = *format;
    if (!s->in)
        return;
    s->room = format->rate / AHEAD_PART * RING_PARTS;
    s->ring = g_new(int16_t, s->room * format->channels);
    s->first = s->count = 0;
    s->primed = false;
}

static void on_runs(void *ctx, const struct audio_format *format)
{
    struct line_stream *s = ctx;
    g_mutex_lock(&s->line->lock);
    g_clear_pointer(&s->ring, g_free);
    s->format = (struct audio_format){0};
    if (format)
        start(s, format);
    if (s->untold)
        send_waiting(s->line);
    else
        tell(s);
    g_mutex_unlock(&s->line->lock);
}

/* ---- the line ---- */

static void hang_up(struct sound_line *l)
{
    g_mutex_lock(&l->lock);
    if (l->source)
        g_source_destroy(l->source);
    g_clear_pointer(&l->source, g_source_unref);
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    g_queue_clear_full(&l->waiting, (GDestroyNotify)g_bytes_unref);
    l->waiting_bytes = l->waiting_controls = 0;
    for (unsigned i = 0; i < l->streams; i++) {
        l->stream[i].told = (struct audio_format){0};
        l->stream[i].untold = false;
    }
    l->host.there = false;
    l->earlier = l->host;
    g_mutex_unlock(&l->lock);
}

static gboolean on_packet(int fd, GIOCondition condition, gpointer data)
{
    struct sound_line *l = data;
    g_mutex_lock(&l->lock);
    bool there = receive(l);
    send_waiting(l);
    g_mutex_unlock(&l->lock);
    if (!there)
        hang_up(l);
    return there;
}

static void attach_all(struct sound_line *l)
{
    for (unsigned i = 0; i < l->streams; i++)
        audio_attach(l->stream[i].audio, &l->stream[i].end);
}

static void up(void *ctx, int fd)
{
    struct sound_line *l = ctx;
    bool first = l->new;
    if (!first)
        hang_up(l);
    g_mutex_lock(&l->lock);
    l->new = false;
    l->fd = fd;
    send_waiting(l);
    l->source = g_unix_fd_source_new(fd, G_IO_IN);
    g_source_set_callback(l->source, G_SOURCE_FUNC(on_packet), l, NULL);
    g_source_attach(l->source, NULL);
    g_mutex_unlock(&l->lock);
    if (!first)
        attach_all(l); /* those that run are said to start */
}

/* What waits is let go when the process takes it; a machine that ends does not wait long for that. */
static void finish(struct sound_line *l)
{
    gint64 end = g_get_monotonic_time() + FINISH_MS * 1000;
    g_mutex_lock(&l->lock);
    for (send_waiting(l); l->fd >= 0 && !g_queue_is_empty(&l->waiting) && g_get_monotonic_time() < end;
         send_waiting(l)) {
        struct pollfd p = {.fd = l->fd, .events = POLLOUT};
        poll(&p, 1, 10);
    }
    g_mutex_unlock(&l->lock);
}

static void down(void *ctx)
{
    hang_up(ctx);
}

static struct audio_host host_facts(void *ctx)
{
    struct sound_line *l = ctx;
    g_mutex_lock(&l->lock);
    struct audio_host h = l->host;
    g_mutex_unlock(&l->lock);
    return h;
}

struct sound_line *sound_line_new(struct machine *m, struct outer *o, unsigned end)
{
    struct sound_line *l = g_new0(struct sound_line, 1);
    l->machine = m;
    l->fd = -1;
    g_mutex_init(&l->lock);
    g_queue_init(&l->waiting);
    for (struct audio_stream *a = audio_next(m, NULL); a && l->streams < AUDIO_WIRE_STREAMS; a = audio_next(m, a)) {
        struct line_stream *s = &l->stream[l->streams];
        *s = (struct line_stream){
            .line = l, .audio = a, .number = l->streams++, .in = audio_facts(a).direction == AUDIO_IN};
        s->end = (struct audio_end){on_frames, on_runs, s};
    }
    l->new = true;
    attach_all(l);
    audio_on_host(m, host_facts, l);
    outer_listen(o, end, "sound", &(struct outer_events){up, down, l});
    return l;
}

void sound_line_free(struct sound_line *l)
{
    if (!l)
        return;
    for (unsigned i = 0; i < l->streams; i++)
        audio_attach(l->stream[i].audio, NULL);
    audio_on_host(l->machine, NULL, NULL);
    finish(l);
    hang_up(l);
    for (unsigned i = 0; i < l->streams; i++)
        g_free(l->stream[i].ring);
    g_mutex_clear(&l->lock);
    g_free(l);
}
