// SPDX-License-Identifier: GPL-2.0-or-later
/* test_sound.c - parts of the sound process: the resampler, WAV files whose writer dies, streams that are mixed, and two clocks that do
 * not agree. */
#include "core-vmm/base/bytes.h"
#include "core-vmm/sound/sound.h"
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* In the place of SDL's. */
struct player {
    bool there;
};
struct player *player_new(struct sound *s, bool out, bool in)
{
    return NULL;
}
void player_look(struct player *p)
{
}
bool player_there(const struct player *p)
{
    return p->there;
}
void player_free(struct player *p)
{
}

/* ---- the resampler ---- */

static void put_tone(struct resampler *r, unsigned rate, double hz, unsigned from, unsigned n)
{
    for (unsigned i = from; i < from + n; i++) {
        int16_t v = lrint(10000 * sin(2 * G_PI * hz * i / rate)), frame[2] = {v, -v};
        g_assert_cmpuint(resampler_put(r, frame, 1), ==, 0);
    }
}

static void tones(void)
{
    static const unsigned rates[] = {4000, 8000, 11025, 22050, 44100, 48000, 96000, 192000};
    for (unsigned i = 0; i < G_N_ELEMENTS(rates); i++) {
        struct resampler *r = resampler_new(rates[i], 48000, false);
        g_autofree float *mix = g_new0(float, 2 * 48000);
        double worst = 0;
        put_tone(r, rates[i], 440, 0, rates[i]);
        resampler_flush(r);
        g_assert_cmpuint(resampler_take(r, mix, 48000), >=, 47995);
        for (unsigned k = 1000; k < 47000; k++) /* where it has begun, it is the tone itself */
            worst = MAX(worst,
                        fabs(mix[2 * k] - 10000 * sin(2 * G_PI * 440 * k / 48000)) + fabs(mix[2 * k] + mix[2 * k + 1]));
        g_assert_cmpfloat(worst, <, 10);
        resampler_free(r);
    }
}

static void copies(void)
{
    struct resampler *r = resampler_new(48000, 48000, true);
    float mix[2 * 1000] = {0};
    int16_t frames[2 * 1000], out[2 * 1000];
    for (unsigned i = 0; i < 2000; i++)
        frames[i] = i * 77;
    g_assert_cmpuint(resampler_put(r, frames, 1000), ==, 0);
    resampler_flush(r);
    g_assert_cmpuint(resampler_take(r, mix, 2000), ==, 1000);
    audio_clip(mix, out, 2000);
    g_assert_cmpmem(out, sizeof out, frames, sizeof frames);
    g_assert_cmpuint(resampler_put(r, frames, 1000), ==, 0);
    resampler_skip(r, 5000);
    g_assert_cmpuint(resampler_level(r), ==, 0);
    resampler_free(r);
}

static void no_room(void)
{
    struct resampler *r = resampler_new(8000, 48000, false);
    int16_t frames[2 * 1000] = {0};
    size_t lost = 0;
    for (unsigned i = 0; i < 20; i++)
        lost += resampler_put(r, frames, 1000);
    g_assert_cmpuint(lost, >, 3000);
    g_assert_cmpuint(lost, <, 4100);
    resampler_free(r);
}

/* ---- WAV files ---- */

static int file_new(void)
{
    int fd = memfd_create("test-sound", MFD_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static uint32_t word(int fd, off_t at)
{
    uint8_t w[4];
    g_assert_cmpint(pread(fd, w, 4, at), ==, 4);
    return get_le32(w);
}

static void wav_dies(void)
{
    int fd = file_new();
    g_autofree int16_t *second = g_new0(int16_t, 2 * 48000);
    second[5] = 1234;
    struct wav_out *w = wav_out_new(fd, NULL);
    wav_out_frames(w, second, 100);
    g_assert_cmpuint(word(fd, 40), ==, 0);
    wav_out_frames(w, second, 48000); /* a second: its head is right again */
    g_assert_cmpuint(word(fd, 40), ==, 48100 * 4);
    g_assert_cmpuint(word(fd, 4), ==, 48100 * 4 + 36);
    wav_out_frames(w, second, 10); /* and here it dies: w is never freed, as if by a signal */
    struct wav_out *next = wav_out_new(fd, NULL);
    g_assert_nonnull(next);
    g_assert_cmpuint(word(fd, 40), ==, 48110 * 4);
    wav_out_frames(next, second, 3);
    wav_out_free(next);
    g_assert_cmpuint(word(fd, 40), ==, 48113 * 4);
    struct wav_in in;
    g_assert_true(wav_in_open(&in, fd, NULL));
    g_assert_cmpuint(in.rate, ==, 48000);
    int16_t back[8];
    in.at += 48110 * 4;
    g_assert_cmpuint(wav_in_frames(&in, back, 4), ==, 3);
    g_assert_cmpint(back[5], ==, 1234);
    wav_out_free(w);
    close(fd);
}

static void wav_strange(void)
{
    static const char *const files[] = {"", "RIFF", "RIFF....WAVE", "RIFF....WAVEdata\4\0\0\0abcd",
                                        "RIFF....WAVEfmt \377\377\377\377"};
    for (unsigned i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autoptr(GError) error = NULL;
        struct wav_in in;
        int fd = file_new();
        g_assert_cmpint(write(fd, files[i], strlen(files[i])), ==, strlen(files[i]));
        g_assert_false(wav_in_open(&in, fd, &error));
        g_assert_nonnull(strstr(error->message, "WAV"));
        struct wav_out *w = wav_out_new(fd, NULL); /* somebody else's file is not written over */
        g_assert_true(*files[i] ? !w : w != NULL);
        wav_out_free(w);
        close(fd);
    }
}

/* ---- streams ---- */

static void send_frames(struct sound *s, unsigned n, unsigned frames, int16_t v)
{
    int16_t samples[2 * AUDIO_WIRE_FRAMES_MOST];
    for (unsigned i = 0; i < 2 * frames; i++)
        samples[i] = v;
    source_frames(s, n, samples, frames);
}

static void mixed(void)
{
    int fd = file_new();
    struct sound s = {.wav_out = wav_out_new(fd, NULL)};
    int16_t frame[2];
    source_start(&s, 0, 48000, 2);
    send_frames(&s, 0, 100, 1000);
    source_start(&s, 1, 48000, 2); /* from now on both are waited for; what the first has left, 16 frames, too */
    for (unsigned i = 0; i < 10; i++)
        send_frames(&s, 0, 100, 1000);
    for (unsigned i = 0; i < 10; i++)
        send_frames(&s, 1, 100, 300);
    source_stop(&s, 1);
    source_stop(&s, 0);
    wav_out_free(s.wav_out);
    g_assert_cmpuint(word(fd, 40), ==, 1100 * 4);
    g_assert_cmpint(pread(fd, frame, 4, 44 + 50 * 4), ==, 4);
    g_assert_cmpint(frame[0], ==, 1000);
    g_assert_cmpint(pread(fd, frame, 4, 44 + 500 * 4), ==, 4);
    g_assert_cmpint(frame[1], ==, 1300);
    streams_free(&s);
    close(fd);
}

/* Some minutes of a sound card whose clock is wrong by so much: after the first seconds nothing is missing and nothing jumps. */
static void drifts(gconstpointer by)
{
    double factor = 1 + *(const int *)by * 1e-6, owed = 0;
    struct player p = {true};
    struct sound s = {.player = &p};
    float mix[2 * SOUND_CHUNK];
    source_start(&s, 0, 44100, 2);
    for (unsigned chunk = 0; chunk < 150 * 48000 / SOUND_CHUNK; chunk++) {
        for (owed += 44100.0 * SOUND_CHUNK / 48000 * factor; owed >= 441; owed -= 441)
            send_frames(&s, 0, 441, 1000);
        sound_mix(&s, mix, 0.02);
    }
    g_assert_cmpuint(s.under_runs, ==, 0);
    g_assert_cmpuint(s.jumps, ==, 0);
    double level = (double)resampler_level(s.source[0].resampler) / 44100;
    g_assert_cmpfloat(level, >, 0.01);
    g_assert_cmpfloat(level, <, 0.16);
    streams_free(&s);
}

/* The guest stops sending: counted once, and it begins again when there is enough. */
static void dry(void)
{
    struct player p = {true};
    struct sound s = {.player = &p};
    float mix[2 * SOUND_CHUNK];
    source_start(&s, 0, 48000, 2);
    for (unsigned i = 0; i < 6; i++)
        send_frames(&s, 0, 1000, 1000);
    for (unsigned i = 0; i < 100; i++)
        sound_mix(&s, mix, 0);
    g_assert_cmpuint(s.under_runs, ==, 1);
    for (unsigned i = 0; i < 60; i++)
        send_frames(&s, 0, 1000, 1000);
    for (unsigned i = 0; i < 2; i++)
        g_assert_cmpuint(sound_mix(&s, mix, 0), ==, SOUND_CHUNK);
    g_assert_cmpuint(s.jumps, ==, 1);
    p.there = false; /* the sound server has gone: nothing is kept for it */
    send_frames(&s, 0, 1000, 1000);
    g_assert_cmpuint(resampler_level(s.source[0].resampler), ==, 0);
    streams_free(&s);
}

/* ---- packets ---- */

static bool hears(const struct audio_wire *h, size_t samples)
{
    struct sound s = {0};
    int pair[2];
    g_autofree uint8_t *packet = g_malloc0(sizeof *h + samples * 2);
    g_assert_true(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
    s.wire = pair[1];
    memcpy(packet, h, sizeof *h);
    g_assert_cmpint(send(pair[0], packet, sizeof *h + samples * 2, 0), >, 0);
    g_test_expect_message(NULL, G_LOG_LEVEL_MESSAGE, "*no sense*");
    bool good = sound_receive(&s);
    if (good)
        g_message("no sense"); /* expected in both cases */
    g_test_assert_expected_messages();
    g_source_remove(s.counts);
    streams_free(&s);
    close(pair[0]);
    close(pair[1]);
    return good;
}

static void packets(void)
{
    const struct audio_wire good = {AUDIO_WIRE_START, 3, 2, 0, 44100, 0};
    g_assert_true(hears(&good, 0));
    struct audio_wire h = good;
    h.kind = AUDIO_WIRE_COUNTS;
    g_assert_false(hears(&h, 0));
    h = good;
    h.stream = AUDIO_WIRE_STREAMS;
    g_assert_false(hears(&h, 0));
    h = good;
    h.rate = 192001;
    g_assert_false(hears(&h, 0));
    h = good;
    h.channels = 9;
    g_assert_false(hears(&h, 0));
    h = good;
    h.kind = AUDIO_WIRE_FRAMES;
    h.frames = 10;
    g_assert_true(hears(&h, 20));
    g_assert_false(hears(&h, 19));
    h.frames = AUDIO_WIRE_FRAMES_MOST + 1;
    g_assert_false(hears(&h, 2 * (AUDIO_WIRE_FRAMES_MOST + 1)));
}

/* Frames are of the format that their stream started with, or the VM process has gone mad. */
static void other_rate(void)
{
    struct sound s = {0};
    int pair[2];
    const struct audio_wire start = {AUDIO_WIRE_START, 3, 2, 0, 44100, 0},
                            frames = {AUDIO_WIRE_FRAMES, 3, 2, 0, 48000, 0};
    g_assert_true(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
    s.wire = pair[1];
    g_assert_cmpint(send(pair[0], &start, sizeof start, 0), >, 0);
    g_assert_true(sound_receive(&s));
    g_assert_cmpint(send(pair[0], &frames, sizeof frames, 0), >, 0);
    g_test_expect_message(NULL, G_LOG_LEVEL_MESSAGE, "*no sense*");
    g_assert_false(sound_receive(&s));
    g_test_assert_expected_messages();
    g_source_remove(s.counts);
    streams_free(&s);
    close(pair[0]);
    close(pair[1]);
}

int main(int argc, char **argv)
{
    static const int by[] = {0, 300, -300, 3000, -3000}; /* millionths */
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sound/tones", tones);
    g_test_add_func("/sound/copies", copies);
    g_test_add_func("/sound/no-room", no_room);
    g_test_add_func("/sound/wav-dies", wav_dies);
    g_test_add_func("/sound/wav-strange", wav_strange);
    g_test_add_func("/sound/mixed", mixed);
    g_test_add_func("/sound/dry", dry);
    g_test_add_func("/sound/packets", packets);
    g_test_add_func("/sound/other-rate", other_rate);
    for (unsigned i = 0; i < G_N_ELEMENTS(by); i++) {
        g_autofree char *name = g_strdup_printf("/sound/drifts/%d", by[i]);
        g_test_add_data_func(name, &by[i], drifts);
    }
    return g_test_run();
}
