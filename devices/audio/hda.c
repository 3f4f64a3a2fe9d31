// SPDX-License-Identifier: GPL-2.0-or-later
/* hda.c - Intel's High Definition Audio controller as in the 82801FB (ICH6), with one codec (hda_codec.c) at address 0.
 * Sources: High Definition Audio Specification 1.0a, chapters 3 and 4; ICH6 data sheet (301473), chapter 18.
 *
 * The driver gives the codec commands by a ring in its memory (CORB), answers go to another (RIRB); the older way by registers is
 * there too.  Sound moves by stream engines, four in each direction: a list of buffers (BDL) that goes round, of which some ask for
 * an interrupt at their end.  An engine has a number; the codec's converter that was told the same one hears it.  Engines move what
 * guest time says (api/audio.h), also if no converter listens; how far they are is in their registers, and in a table in memory.
 *
 * Here a command is answered at once.  An interrupt comes within a millisecond of the frame that it is for. */
#include "core-vmm/api/audio.h"
#include "core-vmm/base/bytes.h"
#include "devices/all.h"
#include "devices/audio/hda_codec.h"
#include "devices/audio/registers.h"
#include <string.h>

enum { STREAMS_IN = 4, STREAMS = 8, STREAM_AT = 0x80, STREAM_BYTES = 0x20, ALIASES = 0x2000, RING = 256 };
enum { ADDRESS = 0, WALL_KHZ = 24000, FRAMES = 1024, FRAME_MOST = 8 * 4 };
enum { PARTS_MOST = 4 * RING }; /* of buffers, also empty ones, in one move; one that is moved counts twice */

/* ---- registers ---- */
enum global {
    GCAP,
    VMIN,
    VMAJ,
    OUTPAY,
    INPAY,
    GCTL,
    WAKEEN,
    STATESTS,
    GSTS,
    INTCTL,
    INTSTS,
    WALCLK,
    SSYNC_OLD,
    SSYNC,
    CORBLBASE,
    CORBUBASE,
    CORBWP,
    CORBRP,
    CORBCTL,
    CORBSTS,
    CORBSIZE,
    RIRBLBASE,
    RIRBUBASE,
    RIRBWP,
    RINTCNT,
    RIRBCTL,
    RIRBSTS,
    RIRBSIZE,
    ICOI,
    ICII,
    ICIS,
    DPLBASE,
    DPUBASE,
    GLOBALS
};
enum of_stream { CTL, STS, LPIB, CBL, LVI, FIFOS, FMT, BDPL, BDPU, STREAM_REGISTERS };
enum { GCTL_RUN = 1, INT_GLOBAL = 1u << 31, INT_CONTROLLER = 1 << 30, RING_RESET = 0x8000, CORB_RUN = 2 };
enum { RIRB_IRQ = 1, RIRB_RUN = 2, RIRB_DONE = 1, ICIS_BUSY = 1, ICIS_ANSWERED = 2, POSITIONS = 1 };
enum {
    CTL_RESET = 1,
    CTL_RUN = 2,
    STS_IRQ = 0x1c /* buffer done, queue error, list error: enabled by the same bits of CTL */
};
enum { STS_DONE = 4, STS_LIST = 0x10, STS_READY = 0x20 };

static const struct register_spec globals[GLOBALS] = {
    [GCAP] = {0x00, 2, 0x4401 /* 4 out, 4 in, addresses of 64 bits */},
    [VMIN] = {0x02, 1, 0},
    [VMAJ] = {0x03, 1, 1},
    [OUTPAY] = {0x04, 2, 0x3c},
    [INPAY] = {0x06, 2, 0x1d},
    [GCTL] = {0x08, 4, 0, 0x101},
    [WAKEEN] = {0x0c, 2, 0, 0x7fff},
    [STATESTS] = {0x0e, 2, 0, 0, 0x7fff},
    [GSTS] = {0x10, 2, 0, 0, 2},
    [INTCTL] = {0x20, 4, 0, 0xc00000ff},
    [INTSTS] = {0x24, 4},
    [WALCLK] = {0x30, 4},
    [SSYNC_OLD] = {0x34, 4, 0, 0xff}, /* the ICH6's place */
    [SSYNC] = {0x38, 4, 0, 0xff},     /* the specification's */
    [CORBLBASE] = {0x40, 4, 0, 0xffffff80},
    [CORBUBASE] = {0x44, 4, 0, 0xffffffff},
    [CORBWP] = {0x48, 2, 0, 0xff},
    [CORBRP] = {0x4a, 2, 0, 0x8000},
    [CORBCTL] = {0x4c, 1, 0, 3},
    [CORBSTS] = {0x4d, 1, 0, 0, 1},
    [CORBSIZE] = {0x4e, 1, 0x42 /* 256 entries, and nothing else */},
    [RIRBLBASE] = {0x50, 4, 0, 0xffffff80},
    [RIRBUBASE] = {0x54, 4, 0, 0xffffffff},
    [RIRBWP] = {0x58, 2, 0, 0x8000},
    [RINTCNT] = {0x5a, 2, 0, 0xff},
    [RIRBCTL] = {0x5c, 1, 0, 7},
    [RIRBSTS] = {0x5d, 1, 0, 0, 5},
    [RIRBSIZE] = {0x5e, 1, 0x42},
    [ICOI] = {0x60, 4, 0, 0xffffffff},
    [ICII] = {0x64, 4},
    [ICIS] = {0x68, 2, 0, 1, 2},
    [DPLBASE] = {0x70, 4, 0, 0xffffff81},
    [DPUBASE] = {0x74, 4, 0, 0xffffffff},
};
static const struct register_spec of_stream[STREAM_REGISTERS] = {
    [CTL] = {0x00, 3, 0, 0xff001f},   [STS] = {0x03, 1, 0, 0, 0x1c},     [LPIB] = {0x04, 4},
    [CBL] = {0x08, 4, 0, 0xffffffff}, [LVI] = {0x0c, 2, 0, 0xff},        [FIFOS] = {0x10, 2, 0xbf},
    [FMT] = {0x12, 2, 0, 0x7f7f},     [BDPL] = {0x18, 4, 0, 0xffffff80}, [BDPU] = {0x1c, 4, 0, 0xffffffff},
};

/* ---- state ---- */

struct hda_stream {
    uint32_t r[STREAM_REGISTERS];
    struct audio_stream *audio;
    bool in_buffer; /* the last four hold */
    uint32_t index; /* of the buffer */
    uint64_t address;
    uint32_t bytes, done; /* of it */
    bool interrupts;      /* at its end */
};
struct hda {
    uint32_t r[GLOBALS];
    struct hda_stream stream[STREAMS]; /* those that record first */
    struct hda_codec codec;
    uint64_t wall_from; /* guest time */
    bool line;          /* INTA# */
    uint8_t raw[FRAMES * FRAME_MOST];
};

static uint64_t address(const struct hda *h, enum global low)
{
    return (uint64_t)h->r[low + 1] << 32 | (h->r[low] & ~0x7full);
}

/* ---- interrupts ---- */

static uint32_t interrupt_status(const struct hda *h)
{
    uint32_t status = 0;
    for (unsigned i = 0; i < STREAMS; i++)
        if (h->stream[i].r[STS] & h->stream[i].r[CTL] & STS_IRQ)
            status |= 1u << i;
    if ((h->r[RIRBSTS] & h->r[RIRBCTL] & RIRB_IRQ) || h->r[STATESTS] & h->r[WAKEEN])
        status |= INT_CONTROLLER;
    return status & h->r[INTCTL] ? status | INT_GLOBAL : status;
}

/* event: something new to tell of. */
static void update_irq(struct device *d, bool event)
{
    struct hda *h = d->state;
    bool level = h->r[INTCTL] & INT_GLOBAL && interrupt_status(h) & INT_GLOBAL;
    if (level && (event || !h->line))
        dev_msi(d, 0);
    h->line = level;
    dev_irq(d, 0, level);
}

/* ---- commands ---- */

static void answer(struct device *d, uint32_t response)
{
    struct hda *h = d->state;
    if (!(h->r[RIRBCTL] & RIRB_RUN))
        return;
    h->r[RIRBWP] = (h->r[RIRBWP] + 1) & (RING - 1);
    uint64_t at = address(h, RIRBLBASE) + h->r[RIRBWP] * 8;
    uint8_t *entry = dev_dma(d, at, 8, true);
    if (!entry) {
        dev_log(d, "the ring of answers is not in memory: an answer is lost");
        return;
    }
    put_le32(entry, response);
    put_le32(entry + 4, ADDRESS);
    dev_dma_done(d, at, 8);
    h->r[RIRBSTS] |= RIRB_DONE;
}

/* Whom nobody answers, like another codec, says nothing. */
static bool ask_codec(struct hda *h, uint32_t command, uint32_t *response)
{
    if (command >> 28 != ADDRESS)
        return false;
    *response = hda_codec_command(&h->codec, command);
    return true;
}

static void run_commands(struct device *d)
{
    struct hda *h = d->state;
    uint32_t response;
    if (!(h->r[CORBCTL] & CORB_RUN) || h->r[CORBRP] & RING_RESET)
        return;
    while (h->r[CORBRP] != h->r[CORBWP]) {
        h->r[CORBRP] = (h->r[CORBRP] + 1) & (RING - 1);
        const uint8_t *entry = dev_dma(d, address(h, CORBLBASE) + h->r[CORBRP] * 4, 4, false);
        if (!entry) {
            dev_log(d, "the ring of commands is not in memory");
            h->r[CORBSTS] |= 1;
            h->r[CORBRP] = h->r[CORBWP];
        } else if (ask_codec(h, get_le32(entry), &response)) {
            answer(d, response);
        }
    }
    update_irq(d, true);
}

static void immediate(struct hda *h)
{
    h->r[ICII] = 0;
    if (ask_codec(h, h->r[ICOI], &h->r[ICII]))
        h->r[ICIS] = ICIS_ANSWERED;
    else
        h->r[ICIS] = 0;
}

/* ---- streams: memory ---- */

static unsigned number_of(const struct hda *h, const struct hda_stream *s)
{
    return s - h->stream;
}

static void write_position(struct device *d, struct hda_stream *s)
{
    struct hda *h = d->state;
    uint64_t at = address(h, DPLBASE) + number_of(h, s) * 8;
    uint8_t *entry = h->r[DPLBASE] & POSITIONS ? dev_dma(d, at, 4, true) : NULL;
    if (!entry)
        return;
    put_le32(entry, s->r[LPIB]);
    dev_dma_done(d, at, 4);
}

/* The buffer that is next.  Empty ones are passed over, and each visit costs one of `parts`, of which one stays; false: there is
 * none, or none so soon, which is an error, and what moves meanwhile is silence. */
static bool next_buffer(struct device *d, struct hda_stream *s, unsigned *parts)
{
    uint64_t list = (uint64_t)s->r[BDPU] << 32 | s->r[BDPL];
    for (unsigned tries = 0; tries <= s->r[LVI] && *parts > 1 && !s->in_buffer; tries++, --*parts) {
        const uint8_t *e = dev_dma(d, list + s->index * 16, 16, false);
        if (!e)
            break;
        s->address = get_le64(e);
        s->bytes = get_le32(e + 8);
        s->interrupts = get_le32(e + 12) & 1;
        s->done = 0;
        s->in_buffer = s->bytes != 0;
        if (!s->in_buffer)
            s->index = s->index >= s->r[LVI] ? 0 : s->index + 1;
    }
    if (!s->in_buffer)
        s->r[STS] |= STS_LIST;
    return s->in_buffer;
}

static void move(struct device *d, struct hda_stream *s, uint8_t *raw, uint32_t n, bool to_memory)
{
    uint64_t at = s->address + s->done;
    uint8_t *memory = dev_dma(d, at, n, to_memory);
    if (memory)
        memcpy(to_memory ? memory : raw, to_memory ? raw : memory, n);
    else if (!to_memory)
        memset(raw, 0, n);
    if (memory && to_memory)
        dev_dma_done(d, at, n);
}

static void advance(struct hda_stream *s, uint32_t n, bool *interrupt)
{
    s->done += n;
    s->r[LPIB] += n;
    if (s->r[LPIB] >= s->r[CBL])
        s->r[LPIB] = 0;
    if (s->done < s->bytes)
        return;
    s->in_buffer = false;
    s->index = s->index >= s->r[LVI] ? 0 : s->index + 1;
    if (s->interrupts) {
        s->r[STS] |= STS_DONE;
        *interrupt = true;
    }
}

/* Moves that many bytes; from a list that makes no sense zeroes.  One whose buffers, or whose length, are of a few bytes makes none:
 * else a guest could have this go on for seconds. */
static void move_all(struct device *d, struct hda_stream *s, uint8_t *raw, uint32_t n, bool to_memory)
{
    bool interrupt = false;
    uint32_t status = s->r[STS];
    unsigned parts = PARTS_MOST;
    for (; n && parts && (s->in_buffer || next_buffer(d, s, &parts)); parts--) {
        uint32_t part = MIN(n, s->bytes - s->done);
        if (s->r[CBL] > s->r[LPIB])
            part = MIN(part, s->r[CBL] - s->r[LPIB]);
        move(d, s, raw, part, to_memory);
        advance(s, part, &interrupt);
        raw += part;
        n -= part;
    }
    if (n)
        s->r[STS] |= STS_LIST;
    if (!to_memory)
        memset(raw, 0, n);
    write_position(d, s);
    if (interrupt || s->r[STS] != status)
        update_irq(d, true);
}

/* ---- streams: frames ---- */

/* Bytes of a sample: 8 bits in one, 16 in two, more in four, at their upper end. */
static unsigned sample_bytes(const struct hda_stream *s)
{
    static const uint8_t bytes[8] = {1, 2, 4, 4, 4, 4, 4, 4};
    return bytes[s->r[FMT] >> 4 & 7];
}

static unsigned channels(const struct hda_stream *s)
{
    return (s->r[FMT] & 15) + 1;
}

/* False: no sound is in such a format. */
static bool format_of(const struct hda_stream *s, struct audio_format *f)
{
    unsigned times = (s->r[FMT] >> 11 & 7) + 1, part = (s->r[FMT] >> 8 & 7) + 1;
    f->rate = (s->r[FMT] & 0x4000 ? 44100 : 48000) * times / part;
    f->channels = channels(s);
    return times <= 4 && (s->r[FMT] >> 4 & 7) <= 4;
}

static int16_t sample_get(const uint8_t *p, unsigned bytes)
{
    return bytes == 1 ? (int8_t)p[0] * 256 : bytes == 2 ? (int16_t)get_le16(p) : (int16_t)(get_le32(p) >> 16);
}

static void sample_put(uint8_t *p, unsigned bytes, int16_t v)
{
    if (bytes == 1)
        *p = v >> 8;
    else if (bytes == 2)
        put_le16(p, v);
    else
        put_le32(p, (uint32_t)(uint16_t)v << 16);
}

static uint32_t gain_of(const struct hda *h, const struct hda_stream *s, unsigned channel)
{
    unsigned number = s->r[CTL] >> 20 & 15;
    enum hda_node converter = number_of(h, s) < STREAMS_IN ? HDA_ADC : HDA_DAC;
    unsigned first = h->codec.node[converter].channel; /* of the stream's, the first that the converter takes */
    return channel - first > 1 ? 0 : hda_codec_gain(&h->codec, converter, number, channel - first);
}

/* To be asked again when this buffer ends. */
static void ask_again(struct device *d, struct hda_stream *s)
{
    unsigned frame = sample_bytes(s) * channels(s), parts = RING + 1;
    if (s->in_buffer || next_buffer(d, s, &parts))
        audio_soon(s->audio, (s->bytes - s->done + frame - 1) / frame);
}

static size_t frames_out(struct device *d, void *tag, int16_t *frames, size_t n)
{
    struct hda *h = d->state;
    struct hda_stream *s = tag;
    unsigned bytes = sample_bytes(s), count = channels(s);
    move_all(d, s, h->raw, n * bytes * count, false);
    for (unsigned c = 0; c < count; c++) {
        int64_t gain = gain_of(h, s, c);
        for (size_t i = 0; i < n; i++)
            frames[i * count + c] = sample_get(h->raw + (i * count + c) * bytes, bytes) * gain >> 16;
    }
    ask_again(d, s);
    return n;
}

static size_t frames_in(struct device *d, void *tag, int16_t *frames, size_t n)
{
    struct hda *h = d->state;
    struct hda_stream *s = tag;
    unsigned bytes = sample_bytes(s), count = channels(s);
    for (unsigned c = 0; c < count; c++) {
        int64_t gain = gain_of(h, s, c);
        for (size_t i = 0; i < n; i++)
            sample_put(h->raw + (i * count + c) * bytes, bytes, frames[i * count + c] * gain >> 16);
    }
    move_all(d, s, h->raw, n * bytes * count, true);
    ask_again(d, s);
    return n;
}

/* ---- streams: control ---- */

static void stop(struct hda_stream *s)
{
    audio_stop(s->audio);
    s->r[STS] &= ~STS_READY;
}

static void start(struct device *d, struct hda_stream *s)
{
    struct audio_format f;
    if (!s->r[CBL] || !format_of(s, &f) || !audio_start(s->audio, &f)) {
        dev_log(d, "stream %u does not run: a format (%04x) or length (%u) that there is not", number_of(d->state, s),
                s->r[FMT], s->r[CBL]);
        return;
    }
    s->r[STS] |= STS_READY;
    ask_again(d, s);
}

/* Several may be started at one moment: those whose bit is set in SSYNC wait. */
static void update_stream(struct device *d, struct hda_stream *s)
{
    struct hda *h = d->state;
    bool held = (h->r[SSYNC] | h->r[SSYNC_OLD]) >> number_of(h, s) & 1;
    bool wanted = s->r[CTL] & CTL_RUN && !held;
    if (!wanted && audio_runs(s->audio)) {
        audio_catch_up(s->audio);
        stop(s);
    } else if (wanted && !audio_runs(s->audio)) {
        start(d, s);
    }
    if (s->r[CTL] & CTL_RUN) /* one that waits has filled its queue */
        s->r[STS] |= STS_READY;
}

static void stream_reset(struct hda_stream *s)
{
    stop(s);
    for (unsigned i = 0; i < STREAM_REGISTERS; i++)
        s->r[i] = of_stream[i].reset;
    s->in_buffer = s->interrupts = false;
    s->index = s->bytes = s->done = 0;
    s->address = 0;
}

static void controller_reset(struct device *d)
{
    struct hda *h = d->state;
    for (unsigned i = 0; i < STREAMS; i++)
        stream_reset(&h->stream[i]);
    for (unsigned i = 0; i < GLOBALS; i++)
        h->r[i] = globals[i].reset;
    hda_codec_reset(&h->codec);
    h->wall_from = dev_now(d);
}

/* ---- read ---- */

static uint32_t global_read(void *ctx, unsigned which);
static uint32_t stream_read(void *ctx, unsigned which);
static void global_write(void *ctx, unsigned which, uint32_t mask, uint32_t v);
static void stream_write(void *ctx, unsigned which, uint32_t mask, uint32_t v);
static const struct register_bank global_bank = {globals, GLOBALS, global_read, global_write};
static const struct register_bank stream_bank = {of_stream, STREAM_REGISTERS, stream_read, stream_write};

/* To a stream's registers, or (NULL) to the others. */
struct access {
    struct device *device;
    struct hda_stream *stream;
    uint64_t offset; /* in its bank */
};

static struct access access_to(struct device *d, uint64_t offset)
{
    struct hda *h = d->state;
    struct access a = {d, NULL, offset};
    if (offset >= STREAM_AT && offset < STREAM_AT + STREAMS * STREAM_BYTES) {
        a.stream = &h->stream[(offset - STREAM_AT) / STREAM_BYTES];
        a.offset = (offset - STREAM_AT) % STREAM_BYTES;
    }
    return a;
}

static uint32_t global_read(void *ctx, unsigned which)
{
    struct device *d = ctx;
    struct hda *h = d->state;
    switch (which) {
    case INTSTS: return interrupt_status(h);
    case WALCLK: return (unsigned __int128)(dev_now(d) - h->wall_from) * WALL_KHZ / 1000000;
    }
    return h->r[which];
}

static uint32_t stream_read(void *ctx, unsigned which)
{
    struct access *a = ctx;
    if (which == LPIB && audio_runs(a->stream->audio))
        audio_catch_up(a->stream->audio);
    return a->stream->r[which];
}

/* Its registers once more, for programs that are to be shown only wall clock and positions. */
static uint64_t without_alias(uint64_t offset)
{
    return offset >= ALIASES ? offset - ALIASES : offset;
}

static uint64_t hda_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    struct access a = access_to(d, without_alias(offset));
    return a.stream ? registers_read(&stream_bank, &a, a.offset, size)
                    : registers_read(&global_bank, d, a.offset, size);
}

/* ---- write ---- */

static void stream_written(struct device *d, struct hda_stream *s, unsigned which, uint32_t was)
{
    if (which == CTL && s->r[CTL] & CTL_RESET) {
        stream_reset(s);
        s->r[CTL] = CTL_RESET;
    } else if (which == CTL) {
        update_stream(d, s);
    }
    update_irq(d, which == CTL && was != s->r[CTL]);
}

static void gctl_written(struct device *d, uint32_t was)
{
    struct hda *h = d->state;
    uint32_t now = h->r[GCTL];
    if (!(now & GCTL_RUN))
        controller_reset(d);
    else if (!(was & GCTL_RUN))
        h->r[STATESTS] = 1 << ADDRESS; /* who is there says so */
}

static void corbrp_written(struct hda *h, uint32_t was)
{
    if (h->r[CORBRP] & RING_RESET)
        h->r[CORBRP] = RING_RESET;
    else
        h->r[CORBRP] = was & (RING - 1);
}

static void global_written(struct device *d, unsigned which, uint32_t was)
{
    struct hda *h = d->state;
    switch (which) {
    case GCTL: gctl_written(d, was); break;
    case CORBRP: corbrp_written(h, was); break;
    case RIRBWP: h->r[RIRBWP] = h->r[RIRBWP] & RING_RESET ? 0 : was; break;
    case CORBWP:
    case CORBCTL: run_commands(d); break;
    case ICIS:
        if (h->r[ICIS] & ICIS_BUSY)
            immediate(h);
        break;
    case SSYNC:
    case SSYNC_OLD:
        for (unsigned i = 0; i < STREAMS; i++)
            update_stream(d, &h->stream[i]);
        break;
    }
    update_irq(d, which == INTCTL);
}

static bool in_reset(struct device *d)
{
    return !(((struct hda *)d->state)->r[GCTL] & GCTL_RUN);
}

static void global_write(void *ctx, unsigned which, uint32_t mask, uint32_t v)
{
    struct device *d = ctx;
    struct hda *h = d->state;
    uint32_t was = h->r[which];
    if (in_reset(d) && which != GCTL)
        return;
    h->r[which] = register_new(&globals[which], was, mask, v);
    global_written(d, which, was);
}

static void stream_write(void *ctx, unsigned which, uint32_t mask, uint32_t v)
{
    struct access *a = ctx;
    struct hda_stream *s = a->stream;
    if (in_reset(a->device) || (which == FMT && audio_runs(s->audio)))
        return; /* of a stream that runs, the format stays */
    if (audio_runs(s->audio))
        audio_catch_up(s->audio); /* what is due still goes by what held */
    uint32_t was = s->r[which];
    s->r[which] = register_new(&of_stream[which], was, mask, v);
    stream_written(a->device, s, which, was);
}

static void hda_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t v)
{
    struct access a = access_to(d, offset);
    if (a.stream)
        registers_write(&stream_bank, &a, a.offset, size, v);
    else if (offset < ALIASES)
        registers_write(&global_bank, d, offset, size, v);
}

/* ---- init, reset, sync ---- */

static bool hda_init(struct device *d, const struct config *c, GError **error)
{
    struct hda *h = d->state;
    for (unsigned i = 0; i < STREAMS; i++)
        h->stream[i].audio = audio_open(d, i < STREAMS_IN ? AUDIO_IN : AUDIO_OUT,
                                        i < STREAMS_IN ? frames_in : frames_out, &h->stream[i]);
    return true;
}

static void hda_fini(struct device *d)
{
    struct hda *h = d->state;
    for (unsigned i = 0; i < STREAMS; i++)
        audio_close(h->stream[i].audio);
}

static void hda_reset(struct device *d)
{
    controller_reset(d);
    update_irq(d, false);
}

static bool stream_sync(struct hda_stream *s, struct stream *st)
{
    for (unsigned i = 0; i < STREAM_REGISTERS; i++)
        stream_u32(st, &s->r[i]);
    stream_bool(st, &s->in_buffer);
    stream_check_u32(st, &s->index, RING - 1);
    stream_u64(st, &s->address);
    stream_u32(st, &s->bytes);
    stream_u32(st, &s->done);
    stream_bool(st, &s->interrupts);
    if (!audio_sync(s->audio, st) || (s->in_buffer && s->done >= s->bytes) || s->r[LVI] >= RING)
        return false;
    struct audio_format f;
    const struct audio_format *now = audio_runs(s->audio);
    return !now || (format_of(s, &f) && f.rate == now->rate && f.channels == now->channels);
}

static bool hda_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct hda *h = d->state;
    for (unsigned i = 0; i < GLOBALS; i++)
        stream_u32(s, &h->r[i]);
    bool good = true;
    for (unsigned i = 0; i < STREAMS; i++)
        good = stream_sync(&h->stream[i], s) && good;
    hda_codec_sync(&h->codec, s);
    stream_u64(s, &h->wall_from);
    stream_bool(s, &h->line);
    if (h->r[CORBWP] >= RING || h->r[RIRBWP] >= RING || (h->r[CORBRP] & ~RING_RESET) >= RING ||
        h->wall_from > dev_now(d))
        good = false;
    if (s->loading && good && stream_ok(s))
        dev_irq(d, 0, h->line);
    return good && stream_ok(s);
}

static const struct pci_capability hda_capabilities[] = {{.id = PCI_CAP_MSI, .at = 0x60, .vectors = 1}, {0}};
static const struct pci_ids hda_ids = {
    .vendor = 0x8086,
    .device = 0x2668,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .class_code = 0x040300,
    .revision = 0x01,
    .interrupt_pin = 1,
    .capabilities = hda_capabilities,
};

const struct device_ops hda_ops = {
    .name = "hda",
    .state_bytes = sizeof(struct hda),
    .version = 1,
    .regions = {{.bus = BUS_MEM, .bytes = 0x4000, .min_size = 1, .max_size = 4, .bar = BAR0}},
    .pci = &hda_ids,
    .init = hda_init,
    .reset = hda_reset,
    .read = hda_read,
    .write = hda_write,
    .sync = hda_sync,
    .fini = hda_fini,
};
