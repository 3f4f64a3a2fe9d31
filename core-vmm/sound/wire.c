// SPDX-License-Identifier: GPL-2.0-or-later
/* wire.c - what the VM process says, which a guest may have taken over: each packet is checked, and the first that makes no sense ends
 * this process. */
#include "core-vmm/sound/sound.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { COUNTS_MS = 1000, PACKETS_MOST = 64 /* at once */ };

static gboolean send_counts(gpointer data)
{
    struct sound *s = data;
    const struct audio_wire head = {.kind = AUDIO_WIRE_COUNTS,
                                    .under_runs = s->under_runs,
                                    .jumps = s->jumps,
                                    .host = s->wav_out || (s->player && player_there(s->player))};
    send(s->wire, &head, sizeof head, MSG_DONTWAIT | MSG_NOSIGNAL);
    s->counts = 0;
    return G_SOURCE_REMOVE;
}

bool sound_waits(const struct sound *s)
{
    struct pollfd p = {.fd = s->wire, .events = POLLIN};
    return poll(&p, 1, 0) == 1 && p.revents & POLLIN;
}

bool sound_has_room(const struct sound *s)
{
    struct pollfd p = {.fd = s->wire, .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && p.revents == POLLOUT;
}

void sound_send(struct sound *s, unsigned stream, const float *stereo, size_t n)
{
    const struct taker *t = &s->taker[stream];
    struct {
        struct audio_wire head;
        int16_t samples[AUDIO_WIRE_SAMPLES];
    } packet = {.head = {AUDIO_WIRE_FRAMES, stream, t->channels, 1, t->rate, n}};
    int16_t both[2 * AUDIO_WIRE_FRAMES_MOST];
    g_assert(n <= AUDIO_WIRE_FRAMES_MOST);
    audio_clip(stereo, both, 2 * n);
    for (size_t i = 0; i < n; i++) {
        int16_t *frame = packet.samples + i * t->channels;
        if (t->channels == 1)
            frame[0] = (both[2 * i] + both[2 * i + 1]) / 2;
        else
            memcpy(frame, both + 2 * i, 2 * sizeof *frame);
    }
    size_t bytes = sizeof packet.head + n * t->channels * sizeof *packet.samples;
    send(s->wire, &packet, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static bool format_good(const struct audio_wire *h)
{
    return h->rate >= AUDIO_WIRE_RATE_LEAST && h->rate <= AUDIO_WIRE_RATE_MOST && h->channels >= 1 &&
           h->channels <= AUDIO_WIRE_CHANNELS;
}

static bool frames_good(const struct source *o, const struct audio_wire *h, size_t bytes)
{
    return h->frames <= AUDIO_WIRE_FRAMES_MOST && bytes == (size_t)h->frames * h->channels * sizeof(int16_t) &&
           (!o->runs || (h->channels == o->channels && h->rate == o->rate));
}

static bool take(struct sound *s, const struct audio_wire *h, const int16_t *samples, size_t bytes)
{
    if (h->stream >= AUDIO_WIRE_STREAMS || !format_good(h) || h->in > 1)
        return false;
    switch (h->kind) {
    case AUDIO_WIRE_START: (h->in ? taker_start : source_start)(s, h->stream, h->rate, h->channels); return true;
    case AUDIO_WIRE_STOP: (h->in ? taker_stop : source_stop)(s, h->stream); return true;
    case AUDIO_WIRE_WANT: taker_want(s, h->stream, h->frames); return true;
    case AUDIO_WIRE_FRAMES:
        if (!frames_good(&s->source[h->stream], h, bytes))
            return false;
        source_frames(s, h->stream, samples, h->frames);
        return true;
    }
    return false;
}

bool sound_receive(struct sound *s)
{
    struct {
        struct audio_wire head;
        int16_t samples[AUDIO_WIRE_SAMPLES];
    } packet;
    if (!s->counts) /* it also tells the VM process that there is room again */
        s->counts = g_timeout_add(COUNTS_MS, send_counts, s);
    for (unsigned i = 0; i < PACKETS_MOST; i++) {
        ssize_t n = recv(s->wire, &packet, sizeof packet, MSG_DONTWAIT);
        if (n <= 0)
            return n < 0 && (errno == EAGAIN || errno == EINTR);
        if (n < (ssize_t)sizeof packet.head || !take(s, &packet.head, packet.samples, n - sizeof packet.head)) {
            g_message("the VM process says what makes no sense");
            return false;
        }
    }
    return true;
}
