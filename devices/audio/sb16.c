// SPDX-License-Identifier: GPL-2.0-or-later
/* sb16.c - a Sound Blaster 16 (DSP 4.05, mixer CT1745) at 220h, IRQ 5, DMA channels 1 and 5.  Source: Creative, Sound Blaster Series
 * Hardware Programming Guide (1994).
 *
 * The DSP takes commands and their parameters byte by byte.  Samples of 8 bits go by one DMA channel, those of 16 by the other, each
 * either way, at the same time if need be; an interrupt comes after each block, and then the next begins (auto-init) or it ends.  What
 * the DMA controller does not give is missing, and counted.
 *
 * Not here: FM synthesis (OPL3), MIDI, ADPCM, samples without DMA, the joystick.  The card cannot be moved: drivers are told where it is. */
#include "core-vmm/api/audio.h"
#include "core-vmm/api/platform.h"
#include "core-vmm/base/bytes.h"
#include "devices/all.h"
#include "devices/chipset/i8237.h"
#include <string.h>

enum { INDEX = 4, MIXER, RESET, DATA = 0xa, COMMAND = 0xc, READY = 0xe, ACK_16 = 0xf };
enum { DMA_8 = 1, DMA_16 = 5, ANSWERS = 64, PARAMETERS = 3, FRAMES = 1024, VERSION = 0x0405 };
enum { RATE_LEAST = 4000, RATE_MOST = 45454, RATE_RESET = 11025, LOOKS = 200 /* a second */ };
enum { IRQ_SELECT = 0x80, DMA_SELECT, IRQ_STATUS, MASTER = 0x30, VOICE = 0x32 };
enum { IS_5 = 2, ARE_1_AND_5 = 0x22, VOLUME_BITS = 0xf8, VOLUME_RESET = 0xc0 };
enum { TIMER_END, TIMER_SILENCE };
enum { STEREO = 0x20, SIGNED = 0x10 }; /* of a mode */

struct transfer { /* by one of the DMA channels */
    struct audio_stream *out, *in;
    bool runs, paused, input, again, ends; /* again: auto-init; ends: after this block not any more */
    uint8_t mode;
    uint32_t block, left; /* samples */
};
struct sb16 {
    struct device *dma;
    struct transfer transfer[2]; /* of 8 bits, of 16 */
    uint32_t rate_out, rate_in;
    uint32_t block; /* for commands that do not say it */
    uint8_t command, parameter[PARAMETERS], have;
    bool waits; /* for parameters of `command` */
    uint8_t answer[ANSWERS], first, answers, last;
    uint8_t index, mixer[256];
    uint8_t test;
    bool resetting, speaker;
    uint8_t irq;      /* bits as in IRQ_STATUS: 1 of 8 bits, 2 of 16 */
    uint64_t silence; /* when it is over; DEV_NEVER */
};

/* ---- interrupts and answers ---- */

static void set_irq(struct device *d, uint8_t irq)
{
    struct sb16 *s = d->state;
    s->irq = irq;
    dev_irq(d, 0, irq != 0);
}

static void say(struct sb16 *s, uint8_t v)
{
    if (s->answers < ANSWERS)
        s->answer[(s->first + s->answers++) % ANSWERS] = v;
}

static void say_all(struct sb16 *s, const char *text)
{
    for (; *text; text++)
        say(s, *text);
    say(s, 0);
}

/* ---- samples ---- */

static unsigned channels(const struct transfer *t)
{
    return t->mode & STEREO ? 2 : 1;
}

static bool is_wide(const struct sb16 *s, const struct transfer *t)
{
    return t == &s->transfer[1];
}

/* Up to that many samples of a block; how many. */
static size_t move(struct device *d, struct transfer *t, uint8_t *raw, size_t n)
{
    struct sb16 *s = d->state;
    unsigned bytes = is_wide(s, t) ? 2 : 1;
    bool tc;
    return i8237_transfer(s->dma, bytes == 2 ? DMA_16 : DMA_8, raw, MIN(n, t->left) * bytes,
                          t->input ? I8237_TO_MEMORY : I8237_FROM_MEMORY, &tc) /
           bytes;
}

static void end_soon(struct device *d);

static void block_done(struct device *d, struct transfer *t)
{
    struct sb16 *s = d->state;
    set_irq(d, s->irq | (is_wide(s, t) ? 2 : 1));
    if (t->again && !t->ends) {
        t->left = t->block;
        return;
    }
    t->runs = false;
    dev_timer(d, TIMER_END, dev_now(d), end_soon);
}

/* How many samples there were. */
static size_t move_all(struct device *d, struct transfer *t, uint8_t *raw, size_t n)
{
    struct sb16 *s = d->state;
    unsigned bytes = is_wide(s, t) ? 2 : 1;
    size_t done = 0;
    while (done < n && t->runs) {
        size_t part = move(d, t, raw + done * bytes, n - done);
        done += part;
        t->left -= part;
        if (!t->left)
            block_done(d, t);
        if (!part)
            break;
    }
    return done;
}

/* Whole ones at most: 16 bits, from 8 or 16, signed or not. */
static int16_t sample_get(const uint8_t *p, bool wide, bool is_signed)
{
    uint16_t v = wide ? get_le16(p) : *p << 8;
    return is_signed ? v : v ^ 0x8000;
}

static void sample_put(uint8_t *p, bool wide, bool is_signed, int16_t v)
{
    uint16_t u = is_signed ? v : v ^ 0x8000;
    if (wide)
        put_le16(p, u);
    else
        *p = u >> 8;
}

/* 31 steps of 2 dB, by two volumes. */
static uint32_t gain(const struct sb16 *s, unsigned side)
{
    unsigned steps = 62 - (s->mixer[MASTER + side] >> 3) - (s->mixer[VOICE + side] >> 3);
    uint64_t f = 65536;
    for (; steps; steps--)
        f = f * 52057 >> 16;
    return f;
}

/* At the block's end; and before it, for those who look at the DMA controller to know how far it is. */
static void ask_again(struct transfer *t, unsigned rate)
{
    unsigned left = (t->left + channels(t) - 1) / channels(t);
    audio_soon(t->input ? t->in : t->out, t->runs ? MIN(left, rate / LOOKS) : 0);
}

static size_t frames_out(struct device *d, void *tag, int16_t *frames, size_t n)
{
    struct sb16 *s = d->state;
    struct transfer *t = tag;
    unsigned count = channels(t);
    bool wide = is_wide(s, t);
    uint8_t raw[FRAMES * 4];
    size_t got = move_all(d, t, raw, n * count) / count;
    for (unsigned side = 0; side < count; side++) {
        int64_t g = gain(s, side);
        for (size_t i = side; i < got * count; i += count)
            frames[i] = sample_get(raw + i * (wide ? 2 : 1), wide, t->mode & SIGNED) * g >> 16;
    }
    ask_again(t, s->rate_out);
    return got;
}

static size_t frames_in(struct device *d, void *tag, int16_t *frames, size_t n)
{
    struct sb16 *s = d->state;
    struct transfer *t = tag;
    bool wide = is_wide(s, t);
    uint8_t raw[FRAMES * 4];
    size_t samples = n * channels(t);
    for (size_t i = 0; i < samples; i++)
        sample_put(raw + i * (wide ? 2 : 1), wide, t->mode & SIGNED, frames[i]);
    move_all(d, t, raw, samples);
    ask_again(t, s->rate_in);
    return n;
}

/* ---- transfers ---- */

static void stop(struct transfer *t)
{
    t->runs = false;
    audio_stop(t->out);
    audio_stop(t->in);
}

/* Those that came to their end in the middle of the sound's own work. */
static void end_soon(struct device *d)
{
    struct sb16 *s = d->state;
    for (unsigned i = 0; i < 2; i++)
        if (!s->transfer[i].runs)
            stop(&s->transfer[i]);
}

static void begin(struct device *d, struct transfer *t)
{
    struct sb16 *s = d->state;
    const struct audio_format f = {t->input ? s->rate_in : s->rate_out, channels(t)};
    audio_start(t->input ? t->in : t->out, &f);
    ask_again(t, f.rate);
}

static void start(struct device *d, struct transfer *t, bool input, bool again, uint8_t mode, uint32_t block)
{
    stop(t);
    t->runs = true;
    t->paused = t->ends = false;
    t->input = input;
    t->again = again;
    t->mode = mode & (STEREO | SIGNED);
    t->block = t->left = block;
    begin(d, t);
}

static void set_rates(struct sb16 *s, unsigned rate)
{
    s->rate_out = s->rate_in = CLAMP(rate, RATE_LEAST, RATE_MOST);
}

static void silence_over(struct device *d)
{
    struct sb16 *s = d->state;
    s->silence = DEV_NEVER;
    set_irq(d, s->irq | 1);
}

static void be_silent(struct device *d, uint32_t samples)
{
    struct sb16 *s = d->state;
    s->silence = dev_now(d) + samples * UINT64_C(1000000000) / s->rate_out;
    dev_timer(d, TIMER_SILENCE, s->silence, silence_over);
}

/* ---- commands ---- */

/* How many bytes follow. */
static unsigned parameters_of(uint8_t command)
{
    if (command >= 0xb0 && command < 0xd0)
        return 3;
    switch (command) {
    case 0x14:
    case 0x16:
    case 0x17:
    case 0x24:
    case 0x41:
    case 0x42:
    case 0x48:
    case 0x74:
    case 0x75:
    case 0x76:
    case 0x77:
    case 0x80: return 2;
    case 0x10:
    case 0x38:
    case 0x40:
    case 0xe0:
    case 0xe2:
    case 0xe4: return 1;
    }
    return 0;
}

/* Bxh and Cxh: bit 3 records, bit 2 goes on after a block. */
static void start_16(struct device *d, struct sb16 *s)
{
    struct transfer *t = &s->transfer[s->command < 0xc0];
    start(d, t, s->command & 8, s->command & 4, s->parameter[0], get_le16(s->parameter + 1) + 1u);
}

static void with_parameters(struct device *d, struct sb16 *s)
{
    const uint8_t *p = s->parameter;
    switch (s->command) {
    case 0x14: start(d, &s->transfer[0], false, false, 0, get_le16(p) + 1u); break;
    case 0x24: start(d, &s->transfer[0], true, false, 0, get_le16(p) + 1u); break;
    case 0x40: set_rates(s, 1000000 / (256 - p[0])); break;
    case 0x41: s->rate_out = CLAMP(p[0] << 8 | p[1], RATE_LEAST, RATE_MOST); break;
    case 0x42: s->rate_in = CLAMP(p[0] << 8 | p[1], RATE_LEAST, RATE_MOST); break;
    case 0x48: s->block = get_le16(p) + 1u; break;
    case 0x80: be_silent(d, get_le16(p) + 1u); break;
    case 0xe0: say(s, ~p[0]); break;
    case 0xe4: s->test = p[0]; break;
    default:
        if (s->command >= 0xb0 && s->command < 0xd0)
            start_16(d, s);
        else
            dev_log(d, "command %02xh (ADPCM, MIDI, or samples without DMA) is not there", s->command);
    }
}

/* Nothing moves meanwhile, neither way. */
static void set_paused(struct device *d, struct transfer *t, bool paused)
{
    struct audio_stream *a = t->input ? t->in : t->out;
    if (paused == t->paused)
        return;
    t->paused = paused;
    if (paused && audio_runs(a)) {
        audio_catch_up(a);
        audio_stop(a);
    } else if (!paused && t->runs) {
        begin(d, t);
    }
}

static void alone(struct device *d, struct sb16 *s, uint8_t command)
{
    static const char copyright[] = "COPYRIGHT (C) CREATIVE TECHNOLOGY LTD, 1992."; /* which drivers compare */
    switch (command) {
    case 0x1c:
    case 0x90: start(d, &s->transfer[0], false, true, 0, s->block); break;
    case 0x91: start(d, &s->transfer[0], false, false, 0, s->block); break;
    case 0x2c:
    case 0x98: start(d, &s->transfer[0], true, true, 0, s->block); break;
    case 0x99: start(d, &s->transfer[0], true, false, 0, s->block); break;
    case 0x20: say(s, 0x80); break;
    case 0x45: s->transfer[0].ends = false; break;
    case 0x47: s->transfer[1].ends = false; break;
    case 0xd0: set_paused(d, &s->transfer[0], true); break;
    case 0xd1: s->speaker = true; break;
    case 0xd3: s->speaker = false; break;
    case 0xd4: set_paused(d, &s->transfer[0], false); break;
    case 0xd5: set_paused(d, &s->transfer[1], true); break;
    case 0xd6: set_paused(d, &s->transfer[1], false); break;
    case 0xd8: say(s, s->speaker ? 0xff : 0); break;
    case 0xd9: s->transfer[1].ends = true; break;
    case 0xda: s->transfer[0].ends = true; break;
    case 0xe1:
        say(s, VERSION >> 8);
        say(s, VERSION & 0xff);
        break;
    case 0xe3: say_all(s, copyright); break;
    case 0xe8: say(s, s->test); break;
    case 0xf2: set_irq(d, s->irq | 1); break;
    case 0xf3: set_irq(d, s->irq | 2); break;
    case 0xf8: say(s, 0); break;
    default: dev_log(d, "command %02xh is not there", command);
    }
}

static void command_written(struct device *d, uint8_t v)
{
    struct sb16 *s = d->state;
    if (!s->waits) {
        s->command = v;
        s->have = 0;
        s->waits = parameters_of(v);
        if (!s->waits)
            alone(d, s, v);
        return;
    }
    s->parameter[s->have++] = v;
    if (s->have < parameters_of(s->command))
        return;
    s->waits = false;
    with_parameters(d, s);
}

/* ---- reset ---- */

static void dsp_reset(struct device *d)
{
    struct sb16 *s = d->state;
    for (unsigned i = 0; i < 2; i++) {
        stop(&s->transfer[i]);
        s->transfer[i] = (struct transfer){.out = s->transfer[i].out, .in = s->transfer[i].in};
    }
    set_rates(s, RATE_RESET);
    s->block = 1;
    s->waits = s->speaker = false;
    s->have = s->command = s->first = s->answers = s->last = 0;
    s->silence = DEV_NEVER;
    dev_timer(d, TIMER_SILENCE, DEV_NEVER, NULL);
    set_irq(d, 0);
}

/* 1, and then 0: it says that it is there. */
static void reset_written(struct device *d, uint8_t v)
{
    struct sb16 *s = d->state;
    if (s->resetting && !(v & 1)) {
        dsp_reset(d);
        say(s, 0xaa);
    }
    s->resetting = v & 1;
}

static void mixer_reset(struct sb16 *s)
{
    memset(s->mixer, 0, sizeof s->mixer);
    memset(s->mixer + MASTER, VOLUME_RESET, 6); /* master, voice, MIDI */
    s->mixer[0x3c] = 0x1f;
    s->mixer[0x3d] = 0x15;
    s->mixer[0x3e] = 0x0b;
}

/* ---- read, write ---- */

/* The volumes of the Sound Blaster Pro: 4 bits a side, in one register. */
static int pro_volume(uint8_t index)
{
    switch (index) {
    case 0x22: return MASTER;
    case 0x04: return VOICE;
    case 0x26: return 0x34;
    case 0x28: return 0x36;
    case 0x2e: return 0x38;
    }
    return -1;
}

static uint8_t mixer_read(struct sb16 *s)
{
    int pair = pro_volume(s->index);
    if (pair >= 0)
        return (s->mixer[pair] & 0xf0) | s->mixer[pair + 1] >> 4;
    switch (s->index) {
    case IRQ_SELECT: return IS_5;
    case DMA_SELECT: return ARE_1_AND_5;
    case IRQ_STATUS: return s->irq;
    }
    return s->mixer[s->index];
}

static void mixer_write(struct sb16 *s, uint8_t v)
{
    int pair = pro_volume(s->index);
    if (!s->index) {
        mixer_reset(s);
    } else if (pair >= 0) {
        s->mixer[pair] = (v & 0xf0) | 8;
        s->mixer[pair + 1] = v << 4 | 8;
    } else {
        s->mixer[s->index] = s->index >= MASTER && s->index < 0x3b ? v & VOLUME_BITS : v;
    }
}

/* Without a new answer the last one is read again. */
static uint8_t answer_read(struct sb16 *s)
{
    if (!s->answers)
        return s->last;
    s->last = s->answer[s->first];
    s->first = (s->first + 1) % ANSWERS;
    s->answers--;
    return s->last;
}

static uint64_t sb16_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    struct sb16 *s = d->state;
    switch (offset) {
    case INDEX: return s->index;
    case MIXER: return mixer_read(s);
    case DATA: return answer_read(s);
    case COMMAND: return 0x7f; /* it always takes more */
    case READY: set_irq(d, s->irq & ~1); return s->answers ? 0xff : 0x7f;
    case ACK_16: set_irq(d, s->irq & ~2); return 0xff;
    }
    return 0xff;
}

static void sb16_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t v)
{
    struct sb16 *s = d->state;
    switch (offset) {
    case INDEX: s->index = v; break;
    case MIXER: mixer_write(s, v); break;
    case RESET: reset_written(d, v); break;
    case COMMAND: command_written(d, v); break;
    }
}

/* ---- init, reset, sync ---- */

static bool sb16_init(struct device *d, const struct config *c, GError **error)
{
    struct sb16 *s = d->state;
    s->dma = dev_find(d, "dma");
    for (unsigned i = 0; i < 2; i++) {
        s->transfer[i].out = audio_open(d, AUDIO_OUT, frames_out, &s->transfer[i]);
        s->transfer[i].in = audio_open(d, AUDIO_IN, frames_in, &s->transfer[i]);
    }
    return true;
}

static void sb16_fini(struct device *d)
{
    struct sb16 *s = d->state;
    for (unsigned i = 0; i < 2; i++) {
        audio_close(s->transfer[i].out);
        audio_close(s->transfer[i].in);
    }
}

static void sb16_reset(struct device *d)
{
    struct sb16 *s = d->state;
    dsp_reset(d);
    mixer_reset(s);
    s->index = s->test = 0;
    s->resetting = false;
}

static bool runs_as(struct audio_stream *a, bool runs, unsigned count)
{
    const struct audio_format *f = audio_runs(a);
    return !f || (runs && f->channels == count);
}

static bool transfer_sync(struct transfer *t, struct stream *s)
{
    bool *flags[] = {&t->runs, &t->paused, &t->input, &t->again, &t->ends};
    for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++)
        stream_bool(s, flags[i]);
    stream_u8(s, &t->mode);
    stream_check_u32(s, &t->block, 65536);
    stream_check_u32(s, &t->left, 65536);
    bool good = audio_sync(t->out, s) && audio_sync(t->in, s) && t->left <= t->block && (!t->runs || t->left);
    return good && runs_as(t->out, !t->input, channels(t)) && runs_as(t->in, t->input, channels(t));
}

static void dsp_sync(struct sb16 *b, struct stream *s)
{
    uint8_t *bytes[] = {&b->command, &b->have, &b->first, &b->answers, &b->last, &b->index, &b->test, &b->irq};
    bool *flags[] = {&b->waits, &b->resetting, &b->speaker};
    for (unsigned i = 0; i < G_N_ELEMENTS(bytes); i++)
        stream_u8(s, bytes[i]);
    for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++)
        stream_bool(s, flags[i]);
    stream_u32(s, &b->rate_out);
    stream_u32(s, &b->rate_in);
    stream_check_u32(s, &b->block, 65536);
    stream_raw(s, b->parameter, sizeof b->parameter);
    stream_raw(s, b->answer, sizeof b->answer);
    stream_raw(s, b->mixer, sizeof b->mixer);
    stream_u64(s, &b->silence);
}

static bool dsp_good(const struct sb16 *b)
{
    bool rates =
        b->rate_out >= RATE_LEAST && b->rate_out <= RATE_MOST && b->rate_in >= RATE_LEAST && b->rate_in <= RATE_MOST;
    bool waits = !b->waits || b->have < parameters_of(b->command);
    return rates && waits && b->first < ANSWERS && b->answers <= ANSWERS && b->irq < 4 && b->block;
}

/* Does sound run of a transfer that has ended? */
static bool left_over(const struct sb16 *b)
{
    for (unsigned i = 0; i < 2; i++)
        if (!b->transfer[i].runs && (audio_runs(b->transfer[i].out) || audio_runs(b->transfer[i].in)))
            return true;
    return false;
}

static bool sb16_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct sb16 *b = d->state;
    bool good = transfer_sync(&b->transfer[0], s) && transfer_sync(&b->transfer[1], s);
    dsp_sync(b, s);
    if (!good || !stream_ok(s) || !dsp_good(b))
        return false;
    if (s->loading) {
        dev_irq(d, 0, b->irq != 0);
        dev_timer(d, TIMER_SILENCE, b->silence, silence_over);
        if (left_over(b))
            dev_timer(d, TIMER_END, dev_now(d), end_soon);
    }
    return true;
}

const struct device_ops sb16_ops = {
    .name = "sb16",
    .state_bytes = sizeof(struct sb16),
    .version = 1,
    .regions = {{BUS_PORT, 0x220, 16, 1, 1}},
    .init = sb16_init,
    .reset = sb16_reset,
    .read = sb16_read,
    .write = sb16_write,
    .sync = sb16_sync,
    .fini = sb16_fini,
};
