// SPDX-License-Identifier: GPL-2.0-or-later
/* The two 8237A DMA controllers of an AT, with the page registers that give them 24 address bits: channels 0-3 for 8-bit
 * devices, 5-7 for 16-bit ones; channel 4 is the cascade.  Sources: Intel 8237A data sheet (231466); 82371SB (PIIX3) data
 * sheet for ports and pages.
 *
 * Nothing moves by itself: a device calls i8237_transfer() when it would raise DREQ.  Software requests and
 * memory-to-memory transfers are not wired in an AT (channel 0 is refresh) and only their registers are there. */
#include "devices/chipset/i8237.h"
#include "devices/all.h"

enum { REGION_FIRST, REGION_SECOND, REGION_PAGES };
enum { COMMAND = 8, REQUEST, SINGLE_MASK, MODE, CLEAR_POINTER, MASTER_CLEAR, CLEAR_MASK, ALL_MASK };
enum { COMMAND_OFF = 0x04 };
enum { MODE_AUTO = 0x10, MODE_DOWN = 0x20, MODE_CASCADE = 0xc0, MODE_TYPE = 0x0c, TYPE_WRITE = 0x04, TYPE_READ = 0x08 };

struct channel {
    uint16_t base_address, base_count, address, count;
    uint8_t mode, page;
};
struct controller {
    struct channel channel[4];
    uint8_t command, mask, requests, reached; /* reached: terminal counts, cleared by reading status */
    bool high;                                /* the byte pointer flip-flop */
};
struct dma {
    struct controller controller[2];
    uint8_t pages[16]; /* ports 80h-8Fh as written; some are just memory, 80h shows POST codes */
};

/* Which channel's page a port of 80h-8Fh holds, or -1. */
static int page_channel(unsigned offset)
{
    static const int8_t channel[16] = {-1, 2, 3, 1, -1, -1, -1, 0, -1, 6, 7, 5, -1, -1, -1, 4};
    return channel[offset];
}

/* ---- transfers ---- */

/* Bytes that lie one after the other in memory before the 16-bit address wraps, the count ends or n is used up. */
static size_t run_length(const struct channel *c, unsigned width, size_t n)
{
    size_t to_wrap = c->mode & MODE_DOWN ? 1 : 0x10000 - c->address, to_end = c->count + 1u;
    return MIN(MIN(to_wrap, to_end) * width, n - n % width);
}

static void move(struct device *d, uint64_t gpa, uint8_t *data, size_t n, enum i8237_direction direction)
{
    uint8_t *memory = dev_dma(d, gpa, n, direction == I8237_TO_MEMORY);
    for (size_t i = 0; i < n; i++) {
        if (direction == I8237_FROM_MEMORY)
            data[i] = memory ? memory[i] : 0xff;
        else if (memory)
            memory[i] = data[i];
    }
    if (memory && direction == I8237_TO_MEMORY)
        dev_dma_done(d, gpa, n);
}

static void terminal_count(struct controller *k, unsigned n)
{
    struct channel *c = &k->channel[n];
    k->reached |= 1u << n;
    k->requests &= ~(1u << n);
    if (c->mode & MODE_AUTO) {
        c->address = c->base_address;
        c->count = c->base_count;
    } else {
        k->mask |= 1u << n;
    }
}

/* One run; the channel's mode may be "verify" or not fit the device's direction: then addresses count, nothing moves, and what the
 * device reads is what nobody drives. */
static size_t transfer_run(struct device *d, unsigned channel, uint8_t *data, size_t n, enum i8237_direction direction)
{
    struct dma *s = d->state;
    struct channel *c = &s->controller[channel >> 2].channel[channel & 3];
    unsigned width = channel >= 4 ? 2 : 1;
    uint64_t gpa = width == 1 ? (uint64_t)c->page << 16 | c->address
                              : (uint64_t)(c->page & 0xfe) << 16 | (uint32_t)c->address << 1;
    size_t bytes = run_length(c, width, n), units = bytes / width;
    if ((c->mode & MODE_TYPE) == (direction == I8237_TO_MEMORY ? TYPE_WRITE : TYPE_READ))
        move(d, gpa, data, bytes, direction);
    else if (direction == I8237_FROM_MEMORY)
        memset(data, 0xff, bytes);
    c->address += c->mode & MODE_DOWN ? -units : units;
    c->count -= units; /* to FFFFh at terminal count */
    return bytes;
}

size_t i8237_transfer(struct device *dma, unsigned channel, uint8_t *data, size_t n, enum i8237_direction direction,
                      bool *tc)
{
    struct dma *s = dma->state;
    struct controller *k = &s->controller[channel >> 2 & 1];
    unsigned bit = 1u << (channel & 3);
    size_t done = 0;
    *tc = false;
    dev_lock(dma);
    bool open = !(k->mask & bit) && !((k->command | s->controller[1].command) & COMMAND_OFF) &&
                (channel >= 4 || !(s->controller[1].mask & 1)); /* the first controller comes through channel 4 */
    while (open && !*tc && n - done >= (channel >= 4 ? 2 : 1)) {
        done += transfer_run(dma, channel, data + done, n - done, direction);
        *tc = k->channel[channel & 3].count == 0xffff;
    }
    if (*tc)
        terminal_count(k, channel & 3);
    dev_unlock(dma);
    return done;
}

/* ---- read ---- */

static uint8_t read_controller(struct controller *k, unsigned reg)
{
    if (reg < 8) {
        const struct channel *c = &k->channel[reg >> 1];
        uint16_t v = reg & 1 ? c->count : c->address;
        k->high = !k->high;
        return k->high ? v : v >> 8;
    }
    uint8_t status = k->reached | k->requests << 4;
    switch (reg) {
    case COMMAND: k->reached = 0; return status;
    case ALL_MASK: return k->mask | 0xf0;
    default: return 0; /* the temporary register: never used */
    }
}

static uint64_t dma_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    struct dma *s = d->state;
    if (region == REGION_PAGES)
        return s->pages[offset];
    return read_controller(&s->controller[region], region == REGION_SECOND ? offset >> 1 : offset);
}

/* ---- write ---- */

static void write_half(uint16_t *base, uint16_t *current, bool high, uint8_t v)
{
    *base = high ? (*base & 0x00ff) | v << 8 : (*base & 0xff00) | v;
    *current = *base;
}

static void master_clear(struct controller *k)
{
    k->command = k->requests = k->reached = 0;
    k->mask = 15;
    k->high = false;
}

static void write_controller(struct controller *k, unsigned reg, uint8_t v)
{
    struct channel *c = &k->channel[reg >> 1 & 3];
    uint8_t bit = 1u << (v & 3);
    switch (reg) {
    case COMMAND: k->command = v; break;
    case REQUEST: k->requests = v & 4 ? k->requests | bit : k->requests & ~bit; break;
    case SINGLE_MASK: k->mask = v & 4 ? k->mask | bit : k->mask & ~bit; break;
    case MODE: k->channel[v & 3].mode = v; break;
    case CLEAR_POINTER: k->high = false; break;
    case MASTER_CLEAR: master_clear(k); break;
    case CLEAR_MASK: k->mask = 0; break;
    case ALL_MASK: k->mask = v & 15; break;
    default:
        if (reg & 1)
            write_half(&c->base_count, &c->count, k->high, v);
        else
            write_half(&c->base_address, &c->address, k->high, v);
        k->high = !k->high;
        break;
    }
}

static void dma_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t v)
{
    struct dma *s = d->state;
    if (region != REGION_PAGES) {
        write_controller(&s->controller[region], region == REGION_SECOND ? offset >> 1 : offset, v);
        return;
    }
    int channel = page_channel(offset);
    s->pages[offset] = v;
    if (channel >= 0)
        s->controller[channel >> 2].channel[channel & 3].page = v;
}

/* ---- reset, sync ---- */

static void dma_reset(struct device *d)
{
    struct dma *s = d->state;
    master_clear(&s->controller[0]);
    master_clear(&s->controller[1]);
    s->controller[1].mask &= ~1u; /* firmware that never heard of the cascade expects it open, as PIIX's default is */
    s->controller[1].channel[0].mode = MODE_CASCADE;
}

static void controller_sync(struct controller *k, struct stream *s)
{
    for (unsigned i = 0; i < 4; i++) {
        struct channel *c = &k->channel[i];
        stream_u16(s, &c->base_address);
        stream_u16(s, &c->base_count);
        stream_u16(s, &c->address);
        stream_u16(s, &c->count);
        stream_u8(s, &c->mode);
        stream_u8(s, &c->page);
    }
    stream_u8(s, &k->command);
    stream_u8(s, &k->mask);
    stream_u8(s, &k->requests);
    stream_u8(s, &k->reached);
    stream_bool(s, &k->high);
}

static bool dma_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct dma *dma = d->state;
    controller_sync(&dma->controller[0], s);
    controller_sync(&dma->controller[1], s);
    stream_raw(s, dma->pages, sizeof dma->pages);
    return stream_ok(s);
}

const struct device_ops i8237_ops = {
    .name = "i8237",
    .state_bytes = sizeof(struct dma),
    .version = 1,
    .regions = {{BUS_PORT, 0x00, 16, 1, 1}, {BUS_PORT, 0xc0, 32, 1, 1}, {BUS_PORT, 0x80, 16, 1, 1}},
    .reset = dma_reset,
    .read = dma_read,
    .write = dma_write,
    .sync = dma_sync,
};
