// SPDX-License-Identifier: GPL-2.0-or-later
/* 16550A serial port.  Source: National Semiconductor PC16550D data sheet (TL/C/8652).  Line 0: the interrupt, which the
 * mainboard gates with OUT2.  Config: target (see docs of char ports).
 *
 * Bytes leave at once, whatever the divisor says: a real line's pace would only slow guests down.  The divisor does set
 * how long "four characters" are, after which a half-filled receiver FIFO asks for attention. */
#include "core-vmm/api/char.h"
#include "devices/all.h"
#include <string.h>

enum { DATA, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCRATCH };
enum { IER_RX = 1, IER_TX = 2, IER_LINE = 4, IER_MODEM = 8 };
enum { IIR_NONE = 1, IIR_MODEM = 0, IIR_TX = 2, IIR_RX = 4, IIR_LINE = 6, IIR_TIMEOUT = 12, IIR_FIFO = 0xc0 };
enum {
    FCR_ENABLE = 1,
    FCR_CLEAR_RX = 2,
    FCR_CLEAR_TX = 4,
    FCR_TRIGGER = 0xc0,
    FCR_KEPT = FCR_ENABLE | 8 | FCR_TRIGGER
};
enum { LCR_STOP = 4, LCR_PARITY = 8, LCR_BREAK = 0x40, LCR_DLAB = 0x80 };
enum { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 16, MCR_KEPT = 31 };
enum {
    LSR_READY = 1,
    LSR_OVERRUN = 2,
    LSR_PARITY = 4,
    LSR_FRAMING = 8,
    LSR_BREAK = 16,
    LSR_TX_EMPTY = 0x60,
    LSR_FIFO_ERROR = 0x80,
    LSR_ERRORS = LSR_OVERRUN | LSR_PARITY | LSR_FRAMING | LSR_BREAK
};
enum { MSR_DCTS = 1, MSR_DDSR = 2, MSR_TERI = 4, MSR_DDCD = 8, MSR_CTS = 16, MSR_DSR = 32, MSR_RI = 64, MSR_DCD = 128 };
enum { FIFO_BYTES = 16, CLOCK_HZ = 1843200 };

struct uart {
    struct char_port *port;
    uint8_t ier, fcr, lcr, mcr, msr, scratch;
    uint16_t divisor;
    uint8_t errors;  /* overrun seen, not yet read from LSR; with the FIFO's first byte's own, LSR's error bits */
    bool tx_pending; /* the transmitter's interrupt: set when it runs empty, cleared by reading IIR or writing */
    bool timed_out;
    uint64_t timeout_at; /* or DEV_NEVER */
    uint8_t fifo[FIFO_BYTES], fifo_errors[FIFO_BYTES];
    uint8_t head, count;
};

/* ---- interrupts ---- */

static unsigned capacity(const struct uart *u)
{
    return u->fcr & FCR_ENABLE ? FIFO_BYTES : 1;
}

static unsigned trigger(const struct uart *u)
{
    static const uint8_t level[] = {1, 4, 8, 14};
    return u->fcr & FCR_ENABLE ? level[u->fcr >> 6] : 1;
}

static uint8_t line_status(const struct uart *u)
{
    uint8_t v = LSR_TX_EMPTY | u->errors, any = 0;
    if (u->count)
        v |= LSR_READY | u->fifo_errors[u->head];
    for (unsigned i = 0; i < u->count; i++)
        any |= u->fifo_errors[(u->head + i) % FIFO_BYTES];
    return v | (any && u->fcr & FCR_ENABLE ? LSR_FIFO_ERROR : 0);
}

/* The pending interrupt of the highest priority. */
static uint8_t interrupt(const struct uart *u)
{
    if (u->ier & IER_LINE && line_status(u) & LSR_ERRORS)
        return IIR_LINE;
    if (u->ier & IER_RX && u->count >= trigger(u))
        return IIR_RX;
    if (u->ier & IER_RX && u->timed_out)
        return IIR_TIMEOUT;
    if (u->ier & IER_TX && u->tx_pending)
        return IIR_TX;
    if (u->ier & IER_MODEM && u->msr & (MSR_DCTS | MSR_DDSR | MSR_TERI | MSR_DDCD))
        return IIR_MODEM;
    return IIR_NONE;
}

static bool interrupting(const struct uart *u)
{
    return u->mcr & MCR_OUT2 && interrupt(u) != IIR_NONE;
}

static void update(struct device *d)
{
    dev_irq(d, 0, interrupting(d->state));
}

/* ---- the receiver ---- */

static void timeout_due(struct device *d)
{
    struct uart *u = d->state;
    u->timeout_at = DEV_NEVER;
    u->timed_out = u->count > 0;
    update(d);
}

/* Four characters after the last byte came or was taken; none without FIFO or bytes. */
static void restart_timeout(struct device *d)
{
    struct uart *u = d->state;
    unsigned bits = 2 + 5 + (u->lcr & 3) + (u->lcr & LCR_STOP ? 1 : 0) + (u->lcr & LCR_PARITY ? 1 : 0);
    uint64_t divisor = u->divisor ? u->divisor : 65536;
    u->timed_out = false;
    u->timeout_at = DEV_NEVER;
    if (u->count && u->fcr & FCR_ENABLE)
        u->timeout_at = dev_now(d) + 4 * bits * divisor * 16 * 1000000000 / CLOCK_HZ;
    dev_timer(d, 0, u->timeout_at, timeout_due);
}

static void receive(struct device *d, uint8_t byte, uint8_t errors)
{
    struct uart *u = d->state;
    if (u->count == capacity(u)) { /* without FIFO the new byte wins, with it the old ones */
        u->errors |= LSR_OVERRUN;
        if (!(u->fcr & FCR_ENABLE))
            u->fifo[u->head] = byte;
        return;
    }
    unsigned at = (u->head + u->count++) % FIFO_BYTES;
    u->fifo[at] = byte;
    u->fifo_errors[at] = errors;
    restart_timeout(d);
}

static uint8_t take(struct device *d)
{
    struct uart *u = d->state;
    uint8_t byte = u->fifo[u->head];
    if (u->count) {
        u->fifo_errors[u->head] = 0;
        u->head = (u->head + 1) % FIFO_BYTES;
        u->count--;
        restart_timeout(d);
        char_more_room(u->port);
    }
    return byte;
}

static size_t uart_room(struct device *d)
{
    const struct uart *u = d->state;
    return u->mcr & MCR_LOOP ? 0 : capacity(u) - u->count;
}

static void uart_bytes(struct device *d, const uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n; i++)
        receive(d, data[i], 0);
    update(d);
}

static void clear_receiver(struct device *d)
{
    struct uart *u = d->state;
    u->head = u->count = 0;
    memset(u->fifo_errors, 0, sizeof u->fifo_errors);
    restart_timeout(d);
    char_more_room(u->port);
}

/* ---- modem lines ---- */

/* A back end is always there and ready; in loop-back the outputs come back as inputs. */
static void update_modem(struct uart *u)
{
    uint8_t now = MSR_CTS | MSR_DSR | MSR_DCD;
    if (u->mcr & MCR_LOOP)
        now = (u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) | (u->mcr & MCR_OUT1 ? MSR_RI : 0) |
              (u->mcr & MCR_OUT2 ? MSR_DCD : 0);
    uint8_t changed = (u->msr ^ now) >> 4;
    uint8_t delta = (changed & (MSR_DCTS | MSR_DDSR | MSR_DDCD)) |
                    (u->msr & MSR_RI && !(now & MSR_RI) ? MSR_TERI : 0); /* the ring's trailing edge only */
    u->msr = now | (u->msr & 15) | delta;
}

/* ---- read ---- */

static uint8_t read_iir(struct uart *u)
{
    uint8_t v = interrupt(u);
    if (v == IIR_TX)
        u->tx_pending = false;
    return v | (u->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static uint8_t read_lsr(struct uart *u)
{
    uint8_t v = line_status(u);
    u->errors = 0;
    if (u->count)
        u->fifo_errors[u->head] = 0;
    return v;
}

static uint8_t read_register(struct device *d, unsigned offset)
{
    struct uart *u = d->state;
    uint8_t v;
    switch (offset) {
    case DATA: return u->lcr & LCR_DLAB ? u->divisor & 0xff : take(d);
    case IER: return u->lcr & LCR_DLAB ? u->divisor >> 8 : u->ier;
    case IIR_FCR: return read_iir(u);
    case LCR: return u->lcr;
    case MCR: return u->mcr;
    case LSR: return read_lsr(u);
    case MSR:
        v = u->msr;
        u->msr &= 0xf0;
        return v;
    default: return u->scratch;
    }
}

static uint64_t uart_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    struct uart *u = d->state;
    bool before = interrupting(u);
    uint8_t v = read_register(d, offset);
    if (interrupting(u) != before)
        update(d);
    return v;
}

/* ---- write ---- */

static void transmit(struct device *d, uint8_t byte)
{
    struct uart *u = d->state;
    if (u->mcr & MCR_LOOP)
        receive(d, byte & (0xff >> (3 - (u->lcr & 3))), 0);
    else
        char_write(u->port, &byte, 1);
    u->tx_pending = true;
}

static void write_fcr(struct device *d, uint8_t v)
{
    struct uart *u = d->state;
    bool switched = (u->fcr ^ v) & FCR_ENABLE;
    if (!(v & FCR_ENABLE)) /* the other bits count only together with it */
        v = 0;
    u->fcr = v & FCR_KEPT;
    if (switched || v & FCR_CLEAR_RX)
        clear_receiver(d);
}

static void write_lcr(struct device *d, uint8_t v)
{
    struct uart *u = d->state;
    if (v & ~u->lcr & LCR_BREAK && u->mcr & MCR_LOOP)
        receive(d, 0, LSR_BREAK);
    u->lcr = v;
}

static void write_register(struct device *d, unsigned offset, uint8_t v)
{
    struct uart *u = d->state;
    bool dlab = u->lcr & LCR_DLAB;
    switch (offset) {
    case DATA:
        if (dlab)
            u->divisor = (u->divisor & 0xff00) | v;
        else
            transmit(d, v);
        break;
    case IER:
        if (dlab) {
            u->divisor = (u->divisor & 0xff) | v << 8;
            break;
        }
        if (v & ~u->ier & IER_TX) /* switched on while the transmitter is empty: asks at once */
            u->tx_pending = true;
        u->ier = v & 15;
        break;
    case IIR_FCR: write_fcr(d, v); break;
    case LCR: write_lcr(d, v); break;
    case MCR:
        if (u->mcr & ~v & MCR_LOOP)
            char_more_room(u->port);
        u->mcr = v & MCR_KEPT;
        update_modem(u);
        break;
    case LSR: break; /* for factory tests only */
    case MSR: u->msr = (u->msr & 0xf0) | (v & 15); break;
    case SCRATCH: u->scratch = v; break;
    }
}

static void uart_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t v)
{
    write_register(d, offset, v);
    update(d);
}

/* ---- life ---- */

static bool uart_init(struct device *d, const struct config *c, GError **error)
{
    static const struct char_receiver receiver = {.room = uart_room, .bytes = uart_bytes};
    struct uart *u = d->state;
    g_autofree char *target = config_string(c, "target");
    u->divisor = 12;
    u->port = char_open(d, target, &receiver, error);
    return u->port != NULL;
}

static void uart_fini(struct device *d)
{
    struct uart *u = d->state;
    if (u->port)
        char_close(u->port);
}

/* The divisor and the scratch register survive a reset. */
static void uart_reset(struct device *d)
{
    struct uart *u = d->state;
    u->ier = u->fcr = u->lcr = u->mcr = 0;
    u->errors = 0;
    u->tx_pending = false;
    clear_receiver(d);
    update_modem(u);
    u->msr &= 0xf0;
    update(d);
}

static bool uart_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct uart *u = d->state;
    uint8_t *bytes[] = {&u->ier, &u->fcr, &u->lcr, &u->mcr, &u->msr, &u->scratch, &u->errors, &u->head, &u->count};
    for (unsigned i = 0; i < G_N_ELEMENTS(bytes); i++)
        stream_u8(s, bytes[i]);
    stream_u16(s, &u->divisor);
    stream_bool(s, &u->tx_pending);
    stream_bool(s, &u->timed_out);
    stream_u64(s, &u->timeout_at);
    stream_raw(s, u->fifo, sizeof u->fifo);
    stream_raw(s, u->fifo_errors, sizeof u->fifo_errors);
    if (!stream_ok(s) || u->head >= FIFO_BYTES || u->count > capacity(u))
        return false;
    if (s->loading) {
        dev_timer(d, 0, u->timeout_at, timeout_due);
        char_more_room(u->port);
        update(d);
    }
    return true;
}

const struct device_ops uart16550_ops = {
    .name = "uart16550",
    .state_bytes = sizeof(struct uart),
    .version = 1,
    .regions = {{BUS_PORT, 0x3f8, 8, 1, 1}},
    .init = uart_init,
    .reset = uart_reset,
    .read = uart_read,
    .write = uart_write,
    .sync = uart_sync,
    .fini = uart_fini,
};
