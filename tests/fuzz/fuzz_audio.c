// SPDX-License-Identifier: GPL-2.0-or-later
/* fuzz_audio.c - hostile drivers of the sound cards: streams that are set up as a driver does, with rings where they belong, and then
 * registers, wrong bytes in the rings, time and saving from the input.  Somebody listens and records all the time. */
#include "core-vmm/api/audio_host.h"
#include "core-vmm/base/bytes.h"
#include "devices/all.h"
#include "tests/fuzz/hostile.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HDA = 0xe0000000, MIXER = 0xc000, MASTER = 0xd000, RINGS = 0x10000, BUFFERS = 0x100000, STEPS_MOST = 100 };

struct driver {
    struct bench *bench;
    struct device *device;
    struct bytes in;
    struct audio_end end;
    uint64_t heard;
};

static uint32_t number(struct driver *r, unsigned n)
{
    return take_number(&r->in, n);
}

static void on_frames(void *ctx, const struct audio_format *format, int16_t *frames, size_t n)
{
    struct driver *r = ctx;
    g_assert_true(format->channels >= 1 && format->channels <= 8 && n <= 1024);
    for (size_t i = 0; i < n * format->channels; i++) {
        r->heard += (uint16_t)frames[i];
        frames[i] = r->heard;
    }
}

static void listen(struct driver *r)
{
    struct device **list;
    bench_devices(r->bench, &list);
    for (struct audio_stream *s = audio_next(list[0]->machine, NULL); s; s = audio_next(list[0]->machine, s))
        audio_attach(s, &r->end);
}

/* Mostly in memory, of a length that is soon over. */
static void buffer(struct driver *r, uint8_t *at, bool wide)
{
    unsigned kind = number(r, 1);
    uint64_t address = kind & 0x80 ? number(r, 4) : BUFFERS + (number(r, 2) << 2);
    uint32_t length = kind & 0x40 ? number(r, 3) : number(r, 2) & 0xfff;
    if (wide) {
        put_le64(at, address);
        put_le32(at + 8, length);
        put_le32(at + 12, kind & 1);
    } else {
        put_le32(at, address);
        put_le16(at + 4, length);
        put_le16(at + 6, kind << 15 | kind << 14);
    }
}

/* ---- each card: made ready, and one thing that its driver does ---- */

static void hda_ready(struct driver *r)
{
    bench_pci_write(r->device, 0x10, 4, HDA);
    bench_pci_write(r->device, 4, 2, 6);
    bench_store(r->bench, HDA + 8, 4, 1);
    bench_store(r->bench, HDA + 0x20, 4, 0xc00000ff);
    bench_store(r->bench, HDA + 0x40, 4, RINGS);
    bench_store(r->bench, HDA + 0x50, 4, RINGS + 0x1000);
    bench_store(r->bench, HDA + 0x70, 4, RINGS + 0x2001);
    bench_store(r->bench, HDA + 0x4c, 1, 2);
    bench_store(r->bench, HDA + 0x5c, 1, 7);
}

static void hda_do(struct driver *r)
{
    unsigned what = number(r, 1), n = what >> 4 & 7;
    uint64_t stream = HDA + 0x80 + n * 0x20;
    switch (what & 3) {
    case 0: /* a stream */
        buffer(r, bench_ram(r->bench) + RINGS + 0x4000 + n * 0x1000 + (number(r, 1) & 3) * 16, true);
        bench_store(r->bench, stream + 0x18, 4, RINGS + 0x4000 + n * 0x1000);
        bench_store(r->bench, stream + 8, 4, number(r, 2));
        bench_store(r->bench, stream + 0x0c, 2, number(r, 1) & 3);
        bench_store(r->bench, stream + 0x12, 2, number(r, 2));
        bench_store(r->bench, stream, 4, 0x00100000 | (number(r, 1) & 0x1e));
        break;
    case 1: /* a command */
        put_le32(bench_ram(r->bench) + RINGS + n * 4, number(r, 4));
        bench_store(r->bench, HDA + 0x48, 2, n);
        break;
    case 2: bench_store(r->bench, HDA + (number(r, 2) & 0x1ff), 1 << (n & 1 ? 0 : 2), number(r, 4)); break;
    default: bench_load(r->bench, HDA + (number(r, 2) & 0x3fff), 1 << (n & 3)); break;
    }
}

static void ac97_ready(struct driver *r)
{
    bench_pci_write(r->device, 0x10, 4, MIXER);
    bench_pci_write(r->device, 0x14, 4, MASTER);
    bench_pci_write(r->device, 4, 2, 5);
    bench_out(r->bench, MASTER + 0x2c, 4, 2);
    bench_out(r->bench, MIXER + 0x2a, 2, 9);
    bench_out(r->bench, MIXER + 0x18, 2, 0);
    bench_out(r->bench, MIXER + 2, 2, 0);
}

static void ac97_do(struct driver *r)
{
    unsigned what = number(r, 1), n = (what >> 4) % 3;
    switch (what & 3) {
    case 0:
        buffer(r, bench_ram(r->bench) + RINGS + n * 0x100 + (number(r, 1) & 31) * 8, false);
        bench_out(r->bench, MASTER + n * 16, 4, RINGS + n * 0x100);
        bench_out(r->bench, MASTER + n * 16 + 5, 1, number(r, 1));
        bench_out(r->bench, MASTER + n * 16 + 0xb, 1, number(r, 1) & 0x1d);
        break;
    case 1: bench_out(r->bench, MIXER + (number(r, 1) & 0xfe), 2, number(r, 2)); break;
    case 2: bench_out(r->bench, MASTER + (number(r, 1) & 63), 1 << n, number(r, 4)); break;
    default: bench_in(r->bench, MASTER + (number(r, 1) & 63), 1 << n); break;
    }
}

static void sb16_ready(struct driver *r)
{
    static const uint8_t dma[][2] = {{0x0b, 0x59}, {0x03, 0xff}, {0x03, 0x03}, {0x83, 1}, {0x0a, 1},
                                     {0xd6, 0x59}, {0xc6, 0xff}, {0xc6, 0x03}, {0x8b, 2}, {0xd4, 1}};
    for (unsigned i = 0; i < G_N_ELEMENTS(dma); i++)
        bench_out(r->bench, dma[i][0], 1, dma[i][1]);
}

static void sb16_do(struct driver *r)
{
    static const uint8_t commands[] = {0x14, 0x1c, 0x24, 0x2c, 0x41, 0x42, 0x48, 0x80, 0x90, 0xb0, 0xb6, 0xb8, 0xc0,
                                       0xce, 0xd0, 0xd4, 0xd5, 0xd6, 0xd9, 0xda, 0xe1, 0xe3, 0xf2, 0xf3, 0x40};
    unsigned what = number(r, 1);
    switch (what & 3) {
    case 0:
        bench_out(r->bench, 0x22c, 1, commands[number(r, 1) % G_N_ELEMENTS(commands)]);
        for (unsigned i = 0; i < (what >> 2 & 3); i++)
            bench_out(r->bench, 0x22c, 1, number(r, 1));
        break;
    case 1: bench_out(r->bench, 0x220 + (number(r, 1) & 15), 1, number(r, 1)); break;
    case 2: bench_in(r->bench, 0x220 + (number(r, 1) & 15), 1); break;
    default: bench_out(r->bench, what & 4 ? 0xd4 + (what >> 3 & 14) : (what >> 3 & 15), 1, number(r, 1)); break;
    }
}

static void speaker_ready(struct driver *r)
{
    bench_out(r->bench, 0x61, 1, 3);
}

static void speaker_do(struct driver *r)
{
    unsigned what = number(r, 1);
    if (what & 1)
        bench_out(r->bench, 0x61, 1, what >> 1 & 3);
    else if (what & 2)
        bench_out(r->bench, 0x43, 1, 0x80 | (what >> 2));
    else
        bench_out(r->bench, 0x42, 1, number(r, 1));
}

static const struct {
    const char *chip;
    void (*ready)(struct driver *r);
    void (*work)(struct driver *r);
} cards[] = {{"hda", hda_ready, hda_do},
             {"ac97", ac97_ready, ac97_do},
             {"sb16", sb16_ready, sb16_do},
             {"speaker", speaker_ready, speaker_do}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct driver r = {.bench = bench_new(), .in = {data, size}};
    unsigned card = number(&r, 1) % G_N_ELEMENTS(cards);
    r.end = (struct audio_end){.frames = on_frames, .ctx = &r};
    r.device = bench_add_chip(r.bench, chip_find(cards[card].chip), NULL);
    g_assert_nonnull(r.device);
    bench_reset(r.bench);
    listen(&r);
    cards[card].ready(&r);
    for (unsigned i = 0; i < STEPS_MOST && r.in.left; i++) {
        unsigned then = number(&r, 1);
        cards[card].work(&r);
        if (then & 1)
            bench_step(r.bench, (then >> 2 & 31) * UINT64_C(1000000));
        if ((then & 0xc2) == 0xc2) {
            hostile_save_load(r.bench);
            r.device = bench_device(r.bench, cards[card].chip);
            listen(&r);
        }
        hostile_forget_events(r.bench);
    }
    bench_free(r.bench);
    return 0;
}
