// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio_console.c - console (Virtual I/O Device Version 1.2, chapter 5.3): one port, whose other end is what a serial port's may
 * be.  What comes for the guest before it listens, or faster than it gives buffers, waits with the sender.  Not there: several
 * ports, the size of a window.  Config: target, as for a serial port. */
#include "core-vmm/api/char.h"
#include "core-vmm/base/bytes.h"
#include "devices/all.h"
#include "devices/virtio/virtio_pci.h"

enum { CONSOLE = 3, Q_INPUT = 0, Q_OUTPUT = 1, QUEUES = 2, F_EMERGENCY = 2, C_EMERGENCY = 8, CONFIG_BYTES = 12 };
enum { INPUT_BYTES = 512, CHAINS_MOST = 64, OUTPUT_MOST = 1 << 20 /* bytes of a chain */ };

struct console {
    struct virtio virtio;
    struct char_port *port;
    uint32_t count; /* bytes for the guest that found no buffer yet */
    uint8_t input[INPUT_BYTES];
    struct virtq_chain chain;
};

/* ---- to the guest ---- */

static void push(struct console *c)
{
    struct virtqueue *q = &c->virtio.queue[Q_INPUT];
    uint32_t done = 0;
    for (unsigned left = CHAINS_MOST; left && done < c->count && virtq_take(q, &c->chain); left--) {
        size_t n = virtq_write(&c->chain, 0, c->input + done, c->count - done);
        virtq_give(q, &c->chain, n);
        done += n;
    }
    c->count -= done;
    memmove(c->input, c->input + done, c->count);
    virtq_flush(q);
    if (c->count)
        virtio_wait_for_kick(&c->virtio, Q_INPUT);
    else
        virtq_want_kicks(q, false);
}

static size_t console_room(struct device *d)
{
    const struct console *c = d->state;
    return virtio_running(&c->virtio) && c->virtio.queue[Q_INPUT].on ? INPUT_BYTES - c->count : 0;
}

static void console_bytes(struct device *d, const uint8_t *data, size_t n)
{
    struct console *c = d->state;
    memcpy(c->input + c->count, data, n);
    c->count += n;
    push(c);
}

/* ---- from the guest ---- */

static void write_chain(struct console *c)
{
    size_t left = OUTPUT_MOST;
    for (unsigned i = 0; i < c->chain.out && left; i++) {
        size_t n = MIN(left, c->chain.iov[i].iov_len);
        if (n)
            char_write(c->port, c->chain.iov[i].iov_base, n);
        left -= n;
    }
    if (c->chain.out_bytes > OUTPUT_MOST)
        dev_log(c->virtio.device, "the guest wrote more than 1 MiB at once: the rest is dropped");
}

static void send(struct console *c)
{
    struct virtqueue *q = &c->virtio.queue[Q_OUTPUT];
    for (unsigned left = CHAINS_MOST; left && virtq_take(q, &c->chain); left--) {
        write_chain(c);
        virtq_give(q, &c->chain, 0);
    }
    virtq_flush(q);
    virtio_wait_for_kick(&c->virtio, Q_OUTPUT);
}

static void console_kicked(struct virtio *v, unsigned queue)
{
    struct console *c = v->device->state;
    if (queue == Q_OUTPUT) {
        send(c);
        return;
    }
    push(c);
    char_more_room(c->port);
}

/* A byte without queues, for a guest that is in trouble. */
static void console_configured(struct virtio *v, unsigned offset, unsigned size)
{
    struct console *c = v->device->state;
    if (offset <= C_EMERGENCY && offset + size > C_EMERGENCY)
        char_write(c->port, v->config + C_EMERGENCY, 1);
    memset(v->config, 0, CONFIG_BYTES);
}

/* ---- life ---- */

static void console_reset(struct virtio *v)
{
    ((struct console *)v->device->state)->count = 0;
}

static bool console_sync(struct virtio *v, struct stream *s)
{
    struct console *c = v->device->state;
    stream_check_u32(s, &c->count, INPUT_BYTES);
    stream_raw(s, c->input, c->count);
    if (s->loading)
        char_more_room(c->port);
    return stream_ok(s);
}

static const struct virtio_class console_class = {
    .type = CONSOLE,
    .queues = QUEUES,
    .config = CONFIG_BYTES,
    .features = 1 << F_EMERGENCY,
    .kicked = console_kicked,
    .configured = console_configured,
    .reset = console_reset,
    .sync = console_sync,
};

static bool console_init(struct device *d, const struct config *c, GError **error)
{
    static const struct char_receiver receiver = {.room = console_room, .bytes = console_bytes};
    struct console *v = d->state;
    g_autofree char *target = config_string(c, "target");
    if (!virtio_init(d, &console_class, console_class.features, c, error))
        return false;
    v->port = char_open(d, target, &receiver, error);
    return v->port != NULL;
}

static void console_fini(struct device *d)
{
    char_close(((struct console *)d->state)->port);
}

static const struct pci_capability console_capabilities[] = {VIRTIO_CAPABILITIES(QUEUES + 1)};
static const struct pci_ids console_ids = {VIRTIO_IDS(0x1003, CONSOLE, 0x078000, console_capabilities)};

const struct device_ops virtio_console_ops = {
    .name = "virtio-console",
    .state_bytes = sizeof(struct console),
    .version = 1,
    .regions = {VIRTIO_REGIONS},
    .pci = &console_ids,
    .init = console_init,
    .fini = console_fini,
    VIRTIO_CALLS,
};
