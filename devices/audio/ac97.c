// SPDX-License-Identifier: GPL-2.0-or-later
/* ac97.c - the AC'97 controller of Intel's 82801AA (ICH), with one codec (ac97_codec.c).  Source: 82801AA/AB data sheet (290655), chapters
 * 8 and 13.
 *
 * Three engines move samples of 16 bits: one plays stereo, one records stereo, one records one channel from a microphone.  Each has a ring of
 * 32 buffers, of which those up to the "last valid index" are the driver's to have filled.  At its end the engine halts until that index
 * moves on: then what should be played is missing, and counted.  */
#include "core-vmm/api/audio.h"
#include "core-vmm/base/bytes.h"
#include "devices/all.h"
#include "devices/audio/ac97_codec.h"
#include "devices/audio/registers.h"
#include <string.h>

enum { REGION_MIXER, REGION_MASTER };
enum { ENGINES = 3, IN = 0, OUT = 1, MICROPHONE = 2, ENGINE_BYTES = 0x10, BUFFERS = 32, FRAMES = 1024 };

/* ---- registers ---- */
enum engine_register { BDBAR, CIV, LVI, SR, PICB, PIV, CR, ENGINE_REGISTERS };
enum global { GLOB_CNT, GLOB_STA, CAS, GLOBALS };
enum { HALTED = 1, AT_LAST = 2, LAST_DONE = 4, DONE = 8, STARVED = 0x10 };          /* SR */
enum { RUN = 1, ENGINE_RESET = 2, LAST_IRQ = 4, STARVED_IRQ = 8, DONE_IRQ = 0x10 }; /* CR */
enum { COLD_RESET_OFF = 2, WARM_RESET = 4, CODEC_READY = 0x100 };
enum { ENTRY_IRQ = 0x8000 }; /* of the upper half of a ring's second word */

static const struct register_spec of_engine[ENGINE_REGISTERS] = {
    [BDBAR] = {0x0, 4, 0, 0xfffffff8}, [CIV] = {0x4, 1},  [LVI] = {0x5, 1, 0, 31},
    [SR] = {0x6, 2, HALTED, 0, 0x1c},  [PICB] = {0x8, 2}, [PIV] = {0xa, 1},
    [CR] = {0xb, 1, 0, 0x1f},
};
static const struct register_spec globals[GLOBALS] = {
    [GLOB_CNT] = {0x2c, 4, 0, 0x3f},
    [GLOB_STA] = {0x30, 4, 0, 0, 0x8c01},
    [CAS] = {0x34, 1, 0, 0},
};

/* ---- state ---- */

struct engine {
    uint32_t r[ENGINE_REGISTERS]; /* PICB: samples left of the buffer */
    struct audio_stream *audio;
    uint32_t address; /* of the next sample */
    bool interrupts;  /* at the buffer's end */
};
struct ac97 {
    struct engine engine[ENGINES];
    uint32_t r[GLOBALS];
    struct ac97_codec codec;
};

static unsigned channels(unsigned n)
{
    return n == MICROPHONE ? 1 : 2;
}

static enum ac97_converter converter(unsigned n)
{
    static const uint8_t which[] = {[IN] = AC97_ADC, [OUT] = AC97_DAC, [MICROPHONE] = AC97_MIC};
    return which[n];
}

/* ---- interrupts ---- */

static bool wants_irq(const struct engine *e)
{
    uint32_t sr = e->r[SR], cr = e->r[CR];
    return (sr & LAST_DONE && cr & LAST_IRQ) || (sr & DONE && cr & DONE_IRQ) || (sr & STARVED && cr & STARVED_IRQ);
}

static uint32_t global_status(const struct ac97 *a)
{
    uint32_t v = a->r[GLOB_STA] | (a->r[GLOB_CNT] & COLD_RESET_OFF ? CODEC_READY : 0);
    for (unsigned n = 0; n < ENGINES; n++)
        if (wants_irq(&a->engine[n]))
            v |= 0x20 << n;
    return v;
}

static void update_irq(struct device *d)
{
    dev_irq(d, 0, global_status(d->state) & 0xe0);
}

/* ---- engines: memory ---- */

/* An empty buffer, or one that is not in memory, is passed over like any other: it has no samples. */
static void fetch(struct device *d, struct engine *e)
{
    const uint8_t *entry = dev_dma(d, e->r[BDBAR] + e->r[CIV] * 8, 8, false);
    e->address = entry ? get_le32(entry) & ~1u : 0;
    e->r[PICB] = entry ? get_le16(entry + 4) : 0;
    e->interrupts = entry && get_le16(entry + 6) & ENTRY_IRQ;
    e->r[PIV] = (e->r[CIV] + 1) % BUFFERS;
}

static void buffer_done(struct device *d, struct engine *e)
{
    if (e->interrupts)
        e->r[SR] |= DONE;
    if (e->r[CIV] == e->r[LVI]) {
        e->r[SR] |= LAST_DONE | AT_LAST | HALTED;
        return;
    }
    e->r[CIV] = e->r[PIV];
    fetch(d, e);
}

/* Up to n samples; how many: fewer if the ring ends.  Each buffer is visited once a round, so rings of empty ones end too. */
static size_t move(struct device *d, struct engine *e, uint8_t *raw, size_t n, bool to_memory)
{
    size_t done = 0;
    for (unsigned empty = 0; done < n && !(e->r[SR] & HALTED) && empty < BUFFERS;) {
        uint32_t part = MIN(n - done, e->r[PICB]);
        uint8_t *memory = part ? dev_dma(d, e->address, part * 2, to_memory) : NULL;
        if (memory)
            memcpy(to_memory ? memory : raw + done * 2, to_memory ? raw + done * 2 : memory, part * 2);
        else if (!to_memory)
            memset(raw + done * 2, 0, part * 2);
        if (memory && to_memory)
            dev_dma_done(d, e->address, part * 2);
        e->address += part * 2;
        e->r[PICB] -= part;
        done += part;
        empty = part ? 0 : empty + 1;
        if (!e->r[PICB])
            buffer_done(d, e);
    }
    update_irq(d);
    return done;
}

/* ---- engines: frames ---- */

static void ask_again(struct engine *e, unsigned count)
{
    if (!(e->r[SR] & HALTED))
        audio_soon(e->audio, (e->r[PICB] + count - 1) / count);
}

static void scale(const struct ac97 *a, unsigned n, int16_t *frames, size_t count)
{
    unsigned sides = channels(n);
    for (unsigned side = 0; side < sides; side++) {
        int64_t gain = ac97_codec_gain(&a->codec, converter(n), side);
        for (size_t i = side; i < count * sides; i += sides)
            frames[i] = CLAMP(frames[i] * gain >> 16, INT16_MIN, INT16_MAX);
    }
}

static size_t frames_out(struct device *d, void *tag, int16_t *frames, size_t n)
{
    struct ac97 *a = d->state;
    struct engine *e = tag;
    uint8_t raw[FRAMES * 4];
    size_t samples = move(d, e, raw, n * 2, false);
    for (size_t i = 0; i < samples; i++)
        frames[i] = get_le16(raw + 2 * i);
    if (samples & 1)
        frames[samples] = 0;
    scale(a, OUT, frames, (samples + 1) / 2);
    ask_again(e, 2);
    return (samples + 1) / 2;
}

static size_t frames_in(struct device *d, void *tag, int16_t *frames, size_t n)
{
    struct ac97 *a = d->state;
    struct engine *e = tag;
    unsigned number = e - a->engine, count = channels(number);
    uint8_t raw[FRAMES * 4];
    scale(a, number, frames, n);
    for (size_t i = 0; i < n * count; i++)
        put_le16(raw + 2 * i, frames[i]);
    move(d, e, raw, n * count, true);
    ask_again(e, count);
    return n;
}

/* ---- engines: control ---- */

static void start(struct device *d, struct engine *e)
{
    struct ac97 *a = d->state;
    unsigned n = e - a->engine;
    const struct audio_format f = {ac97_codec_rate(&a->codec, converter(n)), channels(n)};
    if (!e->r[PICB])
        fetch(d, e);
    e->r[SR] &= ~(HALTED | AT_LAST);
    audio_start(e->audio, &f);
    ask_again(e, f.channels);
}

static void engine_reset(struct engine *e)
{
    audio_stop(e->audio);
    for (unsigned i = 0; i < ENGINE_REGISTERS; i++)
        e->r[i] = of_engine[i].reset;
    e->address = 0;
    e->interrupts = false;
}

static void control_written(struct device *d, struct engine *e, uint32_t was)
{
    if (e->r[CR] & ENGINE_RESET) {
        engine_reset(e);
    } else if (e->r[CR] & RUN && !(was & RUN)) {
        start(d, e);
    } else if (!(e->r[CR] & RUN) && was & RUN) {
        audio_stop(e->audio);
        e->r[SR] |= HALTED;
    }
}

/* More buffers are filled: one that had come to its end goes on. */
static void last_written(struct device *d, struct engine *e)
{
    bool waits = e->r[CR] & RUN && (e->r[SR] & (HALTED | AT_LAST)) == (HALTED | AT_LAST);
    if (!waits || e->r[CIV] == e->r[LVI])
        return;
    e->r[SR] &= ~(HALTED | AT_LAST);
    e->r[CIV] = e->r[PIV];
    fetch(d, e);
}

/* ---- read, write ---- */

struct access {
    struct device *device;
    struct engine *engine;
};

static uint32_t engine_read(void *ctx, unsigned which)
{
    struct access *a = ctx;
    if ((which == PICB || which == CIV || which == SR) && audio_runs(a->engine->audio))
        audio_catch_up(a->engine->audio);
    return a->engine->r[which];
}

static void engine_write(void *ctx, unsigned which, uint32_t mask, uint32_t v)
{
    struct access *a = ctx;
    struct engine *e = a->engine;
    if (audio_runs(e->audio))
        audio_catch_up(e->audio);
    uint32_t was = e->r[which];
    if (which == BDBAR && audio_runs(e->audio))
        return;
    e->r[which] = register_new(&of_engine[which], was, mask, v);
    if (which == CR)
        control_written(a->device, e, was);
    else if (which == LVI)
        last_written(a->device, e);
    update_irq(a->device);
}

/* CAS is taken by whoever reads it as 0; the mixer's next access gives it back. */
static uint32_t global_read(void *ctx, unsigned which)
{
    struct ac97 *a = ((struct device *)ctx)->state;
    uint32_t v = which == GLOB_STA ? global_status(a) : a->r[which];
    if (which == CAS)
        a->r[CAS] = 1;
    return v;
}

static void all_reset(struct ac97 *a)
{
    for (unsigned n = 0; n < ENGINES; n++)
        engine_reset(&a->engine[n]);
    ac97_codec_reset(&a->codec);
}

static void global_write(void *ctx, unsigned which, uint32_t mask, uint32_t v)
{
    struct device *d = ctx;
    struct ac97 *a = d->state;
    uint32_t was = a->r[which];
    a->r[which] = register_new(&globals[which], was, mask, v);
    if (which == GLOB_CNT && was & COLD_RESET_OFF && !(a->r[GLOB_CNT] & COLD_RESET_OFF))
        all_reset(a);
    a->r[GLOB_CNT] &= ~WARM_RESET; /* done at once */
    update_irq(d);
}

static const struct register_bank engine_bank = {of_engine, ENGINE_REGISTERS, engine_read, engine_write};
static const struct register_bank global_bank = {globals, GLOBALS, global_read, global_write};

static uint64_t ac97_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    struct ac97 *a = d->state;
    if (region == REGION_MIXER) {
        a->r[CAS] = 0;
        return offset < 0x80 ? ac97_codec_read(&a->codec, offset) : 0xffff; /* above: a second codec's */
    }
    if (offset >= ENGINES * ENGINE_BYTES - 4)
        return registers_read(&global_bank, d, offset, size);
    struct access to = {d, &a->engine[offset / ENGINE_BYTES]};
    return registers_read(&engine_bank, &to, offset % ENGINE_BYTES, size);
}

static void ac97_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t v)
{
    struct ac97 *a = d->state;
    if (region == REGION_MIXER) {
        a->r[CAS] = 0;
        if (offset < 0x80)
            ac97_codec_write(&a->codec, offset, v);
    } else if (offset >= ENGINES * ENGINE_BYTES - 4) {
        registers_write(&global_bank, d, offset, size, v);
    } else {
        struct access to = {d, &a->engine[offset / ENGINE_BYTES]};
        registers_write(&engine_bank, &to, offset % ENGINE_BYTES, size, v);
    }
}

/* ---- init, reset, sync ---- */

static bool ac97_init(struct device *d, const struct config *c, GError **error)
{
    struct ac97 *a = d->state;
    for (unsigned n = 0; n < ENGINES; n++)
        a->engine[n].audio =
            audio_open(d, n == OUT ? AUDIO_OUT : AUDIO_IN, n == OUT ? frames_out : frames_in, &a->engine[n]);
    return true;
}

static void ac97_fini(struct device *d)
{
    struct ac97 *a = d->state;
    for (unsigned n = 0; n < ENGINES; n++)
        audio_close(a->engine[n].audio);
}

static void ac97_reset(struct device *d)
{
    struct ac97 *a = d->state;
    all_reset(a);
    for (unsigned i = 0; i < GLOBALS; i++)
        a->r[i] = globals[i].reset;
    update_irq(d);
}

static bool engine_sync(struct engine *e, unsigned n, struct stream *s)
{
    for (unsigned i = 0; i < ENGINE_REGISTERS; i++)
        stream_u32(s, &e->r[i]);
    stream_u32(s, &e->address);
    stream_bool(s, &e->interrupts);
    if (!audio_sync(e->audio, s))
        return false;
    const struct audio_format *f = audio_runs(e->audio);
    return e->r[CIV] < BUFFERS && e->r[PIV] < BUFFERS && e->r[LVI] < BUFFERS && e->r[PICB] <= 0xffff &&
           (!f || f->channels == channels(n));
}

static bool ac97_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct ac97 *a = d->state;
    bool good = true;
    for (unsigned n = 0; n < ENGINES; n++)
        good = engine_sync(&a->engine[n], n, s) && good;
    for (unsigned i = 0; i < GLOBALS; i++)
        stream_u32(s, &a->r[i]);
    good = ac97_codec_sync(&a->codec, s) && good;
    if (s->loading && good && stream_ok(s))
        update_irq(d);
    return good && stream_ok(s);
}

static const struct pci_ids ac97_ids = {
    .vendor = 0x8086,
    .device = 0x2415,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .class_code = 0x040100,
    .revision = 0x01,
    .interrupt_pin = 1,
};

const struct device_ops ac97_ops = {
    .name = "ac97",
    .state_bytes = sizeof(struct ac97),
    .version = 1,
    .regions = {[REGION_MIXER] = {.bus = BUS_PORT, .bytes = 256, .min_size = 2, .max_size = 2, .bar = BAR0},
                [REGION_MASTER] = {.bus = BUS_PORT, .bytes = 64, .min_size = 1, .max_size = 4, .bar = BAR1}},
    .pci = &ac97_ids,
    .init = ac97_init,
    .reset = ac97_reset,
    .read = ac97_read,
    .write = ac97_write,
    .sync = ac97_sync,
    .fini = ac97_fini,
};
