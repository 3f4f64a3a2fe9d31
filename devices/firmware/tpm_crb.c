// SPDX-License-Identifier: GPL-2.0-or-later
/* tpm_crb.c - a TPM 2.0's command response buffer.  Spec: TCG PC Client Platform TPM Profile 1.05, 6.5.3 (registers of
 * locality 0 and of the control area) and 6.5.3.8 (their states).
 *
 * The TPM itself is a program of the host (api/tpm.h).  The guest writes a command into the buffer and 1 into START, which reads 1
 * until the answer is in the buffer.  A TPM that is not there answers every command with "failure". */
#include "core-vmm/api/tpm.h"
#include "core-vmm/base/bytes.h"
#include "devices/all.h"
#include <string.h>

enum { LOC_STATE = 0x00, LOC_CTRL = 0x08, LOC_STS = 0x0c, INTF_ID = 0x30, CTRL_EXT = 0x38 };
enum {
    CTRL_REQ = 0x40,
    CTRL_STS = 0x44,
    CTRL_CANCEL = 0x48,
    CTRL_START = 0x4c,
    COMMAND_SIZE = 0x58,
    COMMAND_AT = 0x5c
};
enum { RESPONSE_SIZE = 0x64, RESPONSE_AT = 0x68, BUFFER = 0x80, BUFFER_BYTES = TPM_MOST, ALL = 0x1000 };
enum { ESTABLISHED_NOT = 1 << 0, ASSIGNED = 1 << 1, VALID = 1 << 7 };
enum { REQUEST = 1, RELINQUISH = 2, GRANTED = 1, READY = 1, IDLE = 2, STS_IDLE = 2 };
/* Interface type CRB, version 1, capable of CRB; locality 0 only, no idle bypass, transfers of 64 bytes, CRB selected. */
#define INTERFACE_ID  (0x1u | 1u << 4 | 1u << 14 | 3u << 11 | 1u << 17)
#define VENDOR_DEVICE 0x00011014u /* IBM, whose TPM this is (libtpms), in the words of register VID and DID */
enum { TAG_NO_SESSIONS = 0x8001, FAILURE = 0x101, HEADER = 10 };

struct tpm_crb {
    struct tpm_port *port;
    bool assigned, idle, started, cancelled;
    uint8_t buffer[BUFFER_BYTES];
};

/* ---- the answer ---- */

static void put_failure(struct tpm_crb *s)
{
    put_be16(s->buffer, TAG_NO_SESSIONS);
    put_be32(s->buffer + 2, HEADER);
    put_be32(s->buffer + 6, FAILURE);
}

static void tpm_crb_answer(struct device *d, const uint8_t *data, size_t bytes)
{
    struct tpm_crb *s = d->state;

    if (!s->started)
        return;
    if (bytes >= HEADER)
        memcpy(s->buffer, data, MIN(bytes, BUFFER_BYTES));
    else
        put_failure(s);
    s->started = s->cancelled = false;
}

/* ---- read ---- */

static uint32_t tpm_register(const struct tpm_crb *s, unsigned at)
{
    switch (at) {
    case LOC_STATE: return VALID | ESTABLISHED_NOT | (s->assigned ? ASSIGNED : 0);
    case LOC_STS: return s->assigned ? GRANTED : 0;
    case INTF_ID: return INTERFACE_ID;
    case INTF_ID + 4: return VENDOR_DEVICE;
    case CTRL_STS: return s->idle ? STS_IDLE : 0;
    case CTRL_CANCEL: return s->cancelled;
    case CTRL_START: return s->started;
    case COMMAND_SIZE:
    case RESPONSE_SIZE: return BUFFER_BYTES;
    case COMMAND_AT:
    case RESPONSE_AT: return TPM_CRB_BASE + BUFFER;
    default: return 0; /* requests have been granted when they can be read; there are no interrupts */
    }
}

static uint64_t tpm_crb_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    const struct tpm_crb *s = d->state;
    uint64_t v = 0;

    if (offset >= BUFFER)
        memcpy(&v, s->buffer + offset - BUFFER, MIN(size, ALL - offset));
    else
        v = tpm_register(s, offset & ~3u) >> (offset & 3) * 8;
    return le64toh(v);
}

/* ---- write ---- */

/* The TPM hears of what the command says is its length; a nonsense one is refused here. */
static void start(struct device *d)
{
    struct tpm_crb *s = d->state;
    uint32_t bytes = get_be32(s->buffer + 2);

    if (s->started || s->idle)
        return;
    if (bytes < HEADER || bytes > BUFFER_BYTES) {
        dev_log(d, "a command says that it has %u bytes", bytes);
        put_failure(s);
        return;
    }
    s->started = true;
    tpm_command(s->port, 0, s->buffer, bytes);
}

static void control_write(struct device *d, unsigned at, uint32_t value)
{
    struct tpm_crb *s = d->state;

    switch (at) {
    case LOC_CTRL:
        if (value & (REQUEST | RELINQUISH))
            s->assigned = value & REQUEST;
        break;
    case CTRL_REQ:
        if (!s->started && value & (READY | IDLE))
            s->idle = !(value & READY);
        break;
    case CTRL_CANCEL:
        if (value == 1 && s->started && !s->cancelled)
            tpm_cancel(s->port);
        s->cancelled = value == 1 && s->started;
        break;
    case CTRL_START:
        if (value & 1)
            start(d);
        break;
    default: break;
    }
}

static void tpm_crb_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    struct tpm_crb *s = d->state;

    value = htole64(value);
    if (offset < BUFFER)
        control_write(d, offset & ~3u, (uint32_t)le64toh(value) << (offset & 3) * 8);
    else if (!s->started)
        memcpy(s->buffer + offset - BUFFER, &value, MIN(size, ALL - offset));
}

/* ---- coming and going ---- */

static bool tpm_crb_init(struct device *d, const struct config *c, GError **error)
{
    static const struct tpm_chip chip = {.answer = tpm_crb_answer};
    struct tpm_crb *s = d->state;

    s->port = tpm_open(d, &chip);
    return true;
}

static void tpm_crb_reset(struct device *d)
{
    struct tpm_crb *s = d->state;
    struct tpm_port *port = s->port;

    memset(s, 0, sizeof *s);
    s->port = port;
    s->idle = true;
    tpm_reset(port);
}

static bool tpm_crb_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct tpm_crb *t = d->state;

    stream_bool(s, &t->assigned);
    stream_bool(s, &t->idle);
    stream_bool(s, &t->started);
    stream_raw(s, t->buffer, BUFFER_BYTES);
    if (s->loading && t->started) { /* its answer was for another process */
        put_failure(t);
        t->started = false;
    }
    return stream_ok(s);
}

static void tpm_crb_fini(struct device *d)
{
    tpm_close(((struct tpm_crb *)d->state)->port);
}

const struct device_ops tpm_crb_ops = {
    .name = "tpm-crb",
    .state_bytes = sizeof(struct tpm_crb),
    .version = 1,
    .regions = {{BUS_MEM, .base = TPM_CRB_BASE, .bytes = ALL, .min_size = 1, .max_size = 8}},
    .init = tpm_crb_init,
    .reset = tpm_crb_reset,
    .read = tpm_crb_read,
    .write = tpm_crb_write,
    .sync = tpm_crb_sync,
    .fini = tpm_crb_fini,
};
