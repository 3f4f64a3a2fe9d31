// SPDX-License-Identifier: GPL-2.0-or-later
/* test_audio.c - what sound cards play and record, sample for sample: who listens, how loud, in which format, and that it goes on where it
 * was after saving and loading. */
#include "core-vmm/api/audio_host.h"
#include "core-vmm/base/bytes.h"
#include "core-vmm/machine/core.h"
#include "devices/all.h"
#include "tests/devices/bench.h"
#include <math.h>
#include <string.h>

#define HDA 0xe0000000u
enum { MS = 1000000 };

struct ear {
    struct audio_end end;
    GArray *heard; /* int16_t */
    struct audio_format format;
    unsigned starts;
};

static void on_frames(void *ctx, const struct audio_format *format, int16_t *frames, size_t n)
{
    struct ear *e = ctx;
    e->format = *format;
    g_array_append_vals(e->heard, frames, n * format->channels);
}

/* Recorded is a count. */
static void on_wanted(void *ctx, const struct audio_format *format, int16_t *frames, size_t n)
{
    struct ear *e = ctx;
    for (size_t i = 0; i < n * format->channels; i++)
        frames[i] = 1000 + e->heard->len++;
}

static void on_runs(void *ctx, const struct audio_format *format)
{
    ((struct ear *)ctx)->starts += format != NULL;
}

/* At the stream of that number. */
static void listen(struct bench *b, unsigned n, struct ear *e, bool in)
{
    struct audio_stream *s = NULL;
    struct device **list;
    g_assert_cmpuint(bench_devices(b, &list), >, 0);
    do
        s = audio_next(list[0]->machine, s);
    while (n--);
    if (!e->heard)
        e->heard = g_array_new(FALSE, TRUE, sizeof(int16_t));
    e->end = (struct audio_end){in ? on_wanted : on_frames, on_runs, e};
    audio_attach(s, &e->end);
}

static int16_t at(const struct ear *e, unsigned i)
{
    g_assert_cmpuint(i, <, e->heard->len);
    return g_array_index(e->heard, int16_t, i);
}

static void forget(struct ear *e)
{
    g_array_unref(e->heard);
}

/* ---- HDA ---- */

static struct bench *hda(void)
{
    struct bench *b = bench_new();
    g_assert_nonnull(bench_add(b, &hda_ops, "hda", NULL));
    struct device *d = bench_device(b, "hda");
    bench_reset(b);
    bench_pci_write(d, 0x10, 4, HDA);
    bench_pci_write(d, 4, 2, 6);
    bench_store(b, HDA + 8, 4, 1);
    return b;
}

static void verb(struct bench *b, uint32_t v)
{
    bench_store(b, HDA + 0x60, 4, v);
    bench_store(b, HDA + 0x68, 2, 3);
}

/* Awake, stream 1, 0 dB, jacks on. */
static void open_codec(struct bench *b)
{
    static const uint32_t verbs[] = {0x00170500, 0x00270500, 0x00470500, 0x00270610, 0x00470620,
                                     0x0023b04a, 0x0043704a, 0x00370740, 0x00570720};
    for (unsigned i = 0; i < G_N_ELEMENTS(verbs); i++)
        verb(b, verbs[i]);
}

/* A ring of one buffer. */
static void ring(struct bench *b, unsigned stream, unsigned bytes, uint16_t format, unsigned number)
{
    uint8_t *e = bench_ram(b) + 0x1000;
    uint64_t r = HDA + 0x80 + stream * 0x20;
    put_le64(e, 0x10000);
    put_le32(e + 8, bytes);
    put_le32(e + 12, 0);
    bench_store(b, r + 8, 4, bytes);
    bench_store(b, r + 0x12, 2, format);
    bench_store(b, r + 0x18, 4, 0x1000);
    bench_store(b, r, 4, number << 20 | 2);
}

static void hda_plays(void)
{
    struct bench *b = hda();
    struct ear e = {0};
    for (unsigned i = 0; i < 1920; i++)
        put_le16(bench_ram(b) + 0x10000 + 2 * i, 100 * (i % 100) + 1);
    listen(b, 4, &e, false);
    ring(b, 4, 3840, 0x0011, 1);
    bench_step(b, 10 * MS);
    g_assert_cmpuint(e.heard->len, ==, 960); /* nobody has opened the codec */
    g_assert_cmpint(at(&e, 100), ==, 0);
    open_codec(b);
    bench_step(b, 10 * MS);
    for (unsigned i = 960; i < 1920; i++)
        g_assert_cmpint(at(&e, i), ==, 100 * (i % 100) + 1);
    verb(b, 0x0023a044); /* 6 dB less on the left */
    verb(b, 0x00239080); /* and the right one muted */
    bench_step(b, 10 * MS);
    g_assert_cmpint(ABS(at(&e, 1920 + 50) - 2506), <=, 1);
    g_assert_cmpint(at(&e, 1920 + 51), ==, 0);
    g_assert_cmpuint(e.format.rate, ==, 48000);
    /* saved and loaded in the middle of it */
    verb(b, 0x0023b04a);
    bench_step(b, 7 * MS);
    g_autofree char *why = bench_save_load(b);
    g_assert_null(why);
    unsigned starts = e.starts, before = e.heard->len;
    listen(b, 4, &e, false);
    g_assert_cmpuint(e.starts, ==, starts + 1);
    bench_step(b, 10 * MS);
    g_assert_cmpuint(e.heard->len, >, before);
    for (unsigned i = 2880; i < e.heard->len; i++)
        g_assert_cmpint(at(&e, i), ==, 100 * (i % 1920 % 100) + 1);
    bench_free(b);
    forget(&e);
}

static void hda_formats(void)
{
    static const struct {
        uint16_t format;
        unsigned rate, channels, bytes;
    } formats[] = {{0x0000, 48000, 1, 1},
                   {0x4013, 44100, 4, 2},
                   {0x0831, 96000, 2, 4},
                   {0x0541, 8000, 2, 4},
                   {0x1840, 192000, 1, 4}};
    for (unsigned f = 0; f < G_N_ELEMENTS(formats); f++) {
        struct bench *b = hda();
        struct ear e = {0};
        uint8_t *ram = bench_ram(b) + 0x10000;
        listen(b, 4, &e, false);
        open_codec(b);
        for (unsigned i = 0; i < 64; i++)
            ram[i * formats[f].bytes + formats[f].bytes - 1] = i + 1; /* the upper byte */
        ring(b, 4, 32768, formats[f].format, 1);
        bench_step(b, 10 * MS);
        g_assert_cmpuint(e.format.rate, ==, formats[f].rate);
        g_assert_cmpuint(e.format.channels, ==, formats[f].channels);
        g_assert_cmpuint(e.heard->len, ==, formats[f].rate / 100 * formats[f].channels);
        for (unsigned i = 0; i < 64; i++)
            g_assert_cmpint(at(&e, i), ==, i % formats[f].channels < 2 ? (int)(i + 1) << 8 : 0);
        bench_free(b);
        forget(&e);
    }
}

static void hda_records(void)
{
    struct bench *b = hda();
    struct ear e = {0};
    listen(b, 0, &e, true);
    open_codec(b);
    verb(b, 0x00470610);
    ring(b, 0, 3840, 0x0011, 1);
    bench_step(b, 10 * MS);
    for (unsigned i = 0; i < 960; i++)
        g_assert_cmpint(get_le16(bench_ram(b) + 0x10000 + 2 * i), ==, 1000 + i);
    bench_free(b);
    forget(&e);
}

/* A guest that makes the stream another's while it runs, or points it nowhere. */
static void hda_hostile(void)
{
    struct bench *b = hda();
    struct ear e = {0};
    listen(b, 4, &e, false);
    ring(b, 4, 3840, 0x0011, 1);
    bench_store(b, HDA + 0x112, 2, 0x084f);
    g_assert_cmphex(bench_load(b, HDA + 0x112, 2), ==, 0x0011);
    bench_step(b, 10 * MS);
    g_assert_cmpuint(e.format.channels, ==, 2);
    g_assert_cmpuint(e.heard->len, ==, 960);
    put_le64(bench_ram(b) + 0x1000, 0xfffffffffffffff0ull);
    put_le32(bench_ram(b) + 0x1008, 0xffffffff);
    bench_store(b, HDA + 0x108, 4, 0xffffffff);
    bench_step(b, 100 * MS);
    bench_store(b, HDA + 8, 4, 0);
    unsigned heard = e.heard->len;
    bench_step(b, 100 * MS);
    g_assert_cmpuint(e.heard->len, ==, heard);
    bench_free(b);
    forget(&e);
}

/* Rings that a guest makes of nearly nothing, to have them looked through for each byte: an error, and silence. */
static void hda_tiny_buffers(void)
{
    struct bench *b = hda();
    struct ear e = {0};
    listen(b, 4, &e, false);
    open_codec(b);
    memset(bench_ram(b) + 0x10000, 0x55, 4096);
    memset(bench_ram(b) + 0x1000, 0, 256 * 16);
    bench_store(b, HDA + 0x10c, 2, 255);
    ring(b, 4, 1, 0x0011, 1);
    bench_store(b, HDA + 0x108, 4, 1 << 20);
    bench_step(b, 10 * MS);
    g_assert_cmpuint(e.heard->len, ==, 960);
    g_assert_cmpint(at(&e, 900), ==, 0);
    g_assert_cmpuint(bench_load(b, HDA + 0x104, 4), <=, 100);
    g_assert_cmphex(bench_load(b, HDA + 0x103, 1) & 0x10, ==, 0x10);
    bench_store(b, HDA + 0x100, 1, 1);
    bench_store(b, HDA + 0x100, 1, 0);
    ring(b, 4, 4096, 0x0011, 1); /* the buffer is large, and the length of all of them one byte */
    bench_store(b, HDA + 0x108, 4, 1);
    bench_step(b, 20 * MS);
    g_assert_cmphex(bench_load(b, HDA + 0x103, 1) & 0x10, ==, 0x10);
    bench_free(b);
    forget(&e);
}

/* ---- Sound Blaster 16 ---- */

static void out_all(struct bench *b, const uint16_t (*what)[2], unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        bench_out(b, what[i][0], 1, what[i][1]);
}

/* What the DMA controller does not read from memory, since it is told to count only, is FFh: the same sound all the time. */
static void sb16_verify(void)
{
    static const uint16_t play[][2] = {{0x0b, 0x59},  {0x0c, 0},     {0x03, 0xff}, {0x03, 0x03}, {0x83, 1},
                                       {0x0a, 1},     {0x22c, 0x41}, {0x22c, 86},  {0x22c, 34},  {0x22c, 0xc6},
                                       {0x22c, 0x00}, {0x22c, 0xff}, {0x22c, 0x03}};
    struct ear e = {0};
    struct bench *b = bench_new();
    g_assert_nonnull(bench_add_chip(b, chip_find("sb16"), NULL));
    bench_reset(b);
    listen(b, 0, &e, false);
    for (unsigned i = 0; i < 1024; i++)
        bench_ram(b)[0x10000 + i] = i & 127;
    out_all(b, play, G_N_ELEMENTS(play));
    bench_step(b, 50 * MS);
    g_assert_cmpint(at(&e, 1), !=, at(&e, 2));
    bench_out(b, 0x0b, 1, 0x51);
    unsigned before = e.heard->len;
    bench_step(b, 50 * MS);
    g_assert_cmpuint(e.heard->len, >, before + 1000);
    for (unsigned i = before; i < e.heard->len; i++)
        g_assert_true(at(&e, i) == at(&e, before) && at(&e, i) > 1000);
    bench_free(b);
    forget(&e);
}

/* ---- the loudspeaker ---- */

static void speaker(void)
{
    struct bench *b = bench_new();
    struct ear e = {0};
    g_assert_nonnull(bench_add(b, &i8254_ops, "pit", NULL));
    g_assert_nonnull(bench_add(b, &speaker_ops, "speaker", NULL));
    bench_reset(b);
    listen(b, 0, &e, false);
    bench_out(b, 0x43, 1, 0xb6); /* 1193 ticks: 1000 Hz */
    bench_out(b, 0x42, 1, 1193 & 0xff);
    bench_out(b, 0x42, 1, 1193 >> 8);
    bench_step(b, 20 * MS);
    g_assert_cmpuint(e.heard->len, ==, 0);
    bench_out(b, 0x61, 1, 3);
    bench_step(b, 200 * MS);
    g_autofree char *why = bench_save_load(b);
    g_assert_null(why);
    listen(b, 0, &e, false);
    bench_step(b, 800 * MS);
    bench_out(b, 0x61, 1, 0);
    bench_step(b, 100 * MS);
    unsigned rises = 0, loud = 0;
    for (unsigned i = 1; i < 48000; i++) {
        rises += at(&e, i - 1) < 0 && at(&e, i) >= 0;
        loud += ABS(at(&e, i)) > 3000;
    }
    g_assert_cmpuint(rises, >=, 998);
    g_assert_cmpuint(rises, <=, 1002);
    g_assert_cmpuint(loud, >, 45000);
    bench_step(b, 3000 * (uint64_t)MS); /* quiet: it stands */
    g_assert_cmpuint(e.heard->len, <, 3 * 48000);
    unsigned len = e.heard->len;
    bench_step(b, 1000 * MS);
    g_assert_cmpuint(e.heard->len, ==, len);
    bench_free(b);
    forget(&e);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/audio/hda-plays", hda_plays);
    g_test_add_func("/audio/hda-formats", hda_formats);
    g_test_add_func("/audio/hda-records", hda_records);
    g_test_add_func("/audio/hda-hostile", hda_hostile);
    g_test_add_func("/audio/hda-tiny-buffers", hda_tiny_buffers);
    g_test_add_func("/audio/sb16-verify", sb16_verify);
    g_test_add_func("/audio/speaker", speaker);
    return g_test_run();
}
