// SPDX-License-Identifier: GPL-2.0-or-later
/* test_sound_line.c - what the VM process says to a sound process that does not listen for a while: what it hears in the end is how
 * things are.  The machine's streams, and the one who starts the process, are the test's. */
#include "core-vmm/vm/sound_line.h"
#include "core-vmm/api/audio_host.h"
#include "core-vmm/base/audio_wire.h"
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STREAMS = 2, OUT = 0, IN = 1 };

struct audio_stream {
    enum audio_direction direction;
    const struct audio_end *end;
};
static struct {
    struct audio_stream stream[STREAMS];
    struct outer_events events;
    audio_host_fn host;
    void *host_ctx;
    int process; /* its end */
    struct sound_line *line;
} t;

/* ---- what the machine would do ---- */
struct audio_stream *audio_next(struct machine *m, struct audio_stream *s)
{
    return !s ? &t.stream[0] : s < &t.stream[STREAMS - 1] ? s + 1 : NULL;
}
struct audio_facts audio_facts(struct audio_stream *s)
{
    return (struct audio_facts){.direction = s->direction};
}
void audio_attach(struct audio_stream *s, const struct audio_end *end)
{
    s->end = end;
}
void audio_on_host(struct machine *m, audio_host_fn fn, void *ctx)
{
    t.host = fn;
    t.host_ctx = ctx;
}
void outer_listen(struct outer *o, unsigned end, const char *name, const struct outer_events *e)
{
    t.events = *e;
}

/* ---- */
static void begin(void)
{
    int pair[2];
    t.stream[OUT] = (struct audio_stream){AUDIO_OUT};
    t.stream[IN] = (struct audio_stream){AUDIO_IN};
    t.line = sound_line_new(NULL, NULL, 0);
    g_assert_true(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair));
    t.process = pair[1];
    t.events.up(t.events.ctx, pair[0]);
}

static void end(void)
{
    close(t.process);
    sound_line_free(t.line);
}

static void run(unsigned n, unsigned rate)
{
    const struct audio_format f = {rate, 2};
    t.stream[n].end->runs(t.stream[n].end->ctx, rate ? &f : NULL);
}

static void frames(unsigned n, unsigned rate, size_t count)
{
    const struct audio_format f = {rate, 2};
    int16_t samples[2 * AUDIO_WIRE_FRAMES_MOST] = {0};
    t.stream[n].end->frames(t.stream[n].end->ctx, &f, samples, count);
}

/* What the process knows when it has heard all. */
struct heard {
    unsigned packets, starts;
    uint32_t rate[STREAMS]; /* of those that run */
    uint32_t wanted;
};

static struct heard hear(void)
{
    struct heard h = {0};
    uint8_t packet[sizeof(struct audio_wire) + 2 * AUDIO_WIRE_SAMPLES];
    const struct audio_wire counts = {.kind = AUDIO_WIRE_COUNTS};
    struct audio_wire head;
    for (unsigned last = UINT_MAX; last != h.packets;) {
        for (last = h.packets; recv(t.process, packet, sizeof packet, 0) > 0; h.packets++) {
            memcpy(&head, packet, sizeof head);
            g_assert_cmpuint(head.stream, <, STREAMS);
            g_assert_cmpuint(head.rate, >=, AUDIO_WIRE_RATE_LEAST); /* or the process ends */
            if (head.kind == AUDIO_WIRE_START) {
                h.starts++;
                h.rate[head.stream] = head.rate;
            } else if (head.kind == AUDIO_WIRE_STOP) {
                h.rate[head.stream] = 0;
            } else if (head.kind == AUDIO_WIRE_WANT) {
                h.wanted += head.frames;
            } else if (h.rate[head.stream]) {
                g_assert_cmpuint(head.rate, ==, h.rate[head.stream]);
            }
        }
        g_assert_cmpint(send(t.process, &counts, sizeof counts, 0), >, 0); /* there is room again */
        while (g_main_context_iteration(NULL, FALSE))
            ;
    }
    return h;
}

/* Two seconds of sound wait, so there is no room for more: that it has ended, and begun, is heard nevertheless. */
static void no_room(void)
{
    begin();
    run(OUT, 48000);
    for (unsigned i = 0; i < 1000; i++)
        frames(OUT, 48000, AUDIO_WIRE_FRAMES_MOST);
    for (unsigned i = 0; i < 1000; i++) /* and the last bytes */
        frames(OUT, 48000, 1);
    g_assert_cmpuint(t.host(t.host_ctx).lost, >, 0);
    run(OUT, 0);
    run(IN, 44100);
    struct heard h = hear();
    g_assert_cmpuint(h.rate[OUT], ==, 0);
    g_assert_cmpuint(h.rate[IN], ==, 44100);
    g_assert_cmpuint(h.wanted, >=, 4410);
    end();
}

/* A guest that starts and stops as fast as it can. */
static void toggles(void)
{
    begin();
    for (unsigned i = 0; i < 100000; i++) {
        run(OUT, i % 2 ? 48000 : 44100);
        frames(OUT, i % 2 ? 48000 : 44100, 1);
        run(OUT, 0);
    }
    run(OUT, 22050);
    struct heard h = hear();
    g_assert_cmpuint(h.rate[OUT], ==, 22050);
    g_assert_cmpuint(h.packets, <, 5000);
    run(OUT, 0);
    run(OUT, 8000);
    h = hear();
    g_assert_cmpuint(h.packets, ==, 2);
    g_assert_cmpuint(h.rate[OUT], ==, 8000);
    end();
}

/* One that takes frame by frame. */
static void wants(void)
{
    begin();
    run(IN, 48000);
    struct heard h = hear();
    g_assert_cmpuint(h.wanted, ==, 4800);
    struct {
        struct audio_wire head;
        int16_t samples[2 * AUDIO_WIRE_FRAMES_MOST];
    } packet = {{AUDIO_WIRE_FRAMES, IN, 2, 1, 48000, AUDIO_WIRE_FRAMES_MOST}, {0}};
    for (unsigned i = 0; i < 4; i++)
        g_assert_cmpint(send(t.process, &packet, sizeof packet, 0), >, 0);
    for (unsigned i = 0; i < 4000; i++)
        frames(IN, 48000, 1);
    h = hear();
    frames(IN, 48000, 1); /* what had to wait is asked for with the next */
    h.wanted += hear().wanted;
    g_assert_cmpuint(h.wanted, ==, 4001);
    end();
}

/* A process that has been taken over says more than anyone can read: with a device's lock held, a part of it is enough. */
static void floods(void)
{
    struct audio_wire counts = {.kind = AUDIO_WIRE_COUNTS};
    begin();
    run(IN, 48000);
    for (counts.jumps = 1; counts.jumps <= 100; counts.jumps++)
        g_assert_cmpint(send(t.process, &counts, sizeof counts, 0), >, 0);
    frames(IN, 48000, 1);
    g_assert_cmpuint(t.host(t.host_ctx).jumps, ==, 64);
    frames(IN, 48000, 1);
    g_assert_cmpuint(t.host(t.host_ctx).jumps, ==, 100);
    end();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sound-line/no-room", no_room);
    g_test_add_func("/sound-line/toggles", toggles);
    g_test_add_func("/sound-line/wants", wants);
    g_test_add_func("/sound-line/floods", floods);
    return g_test_run();
}
