// SPDX-License-Identifier: GPL-2.0-or-later
/* Hostile drivers of all virtio devices.  The first byte picks the device, the second what is agreed upon (layout of queues,
 * interface, event index, features); the rest become chains, right or nearly so, kicks, registers, bytes in the rings, and what
 * happens outside.  FUZZ_VIRTIO=NAME in the environment: always that device.  Random accesses alone (fuzz_device) never set up
 * a queue. */
#include "core-vmm/base/bytes.h"
#include "tests/devices/virtio/driver.h"
#include "tests/fuzz/hostile.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MODERN = 0xe0100000, PORTS = 0xc000, SEGMENTS = 6, CONTENT = 64, PACKED = 1, LEGACY = 2, EVENTS = 4, FEW = 8 };
static const struct {
    const char *chip, *config, *drive; /* drive: the one that is pulled and plugged */
} targets[] = {
    {"nic8", "nic8.queues=2 nic8.mtu=1400 nic8.packed=on nic8.rom=off", NULL},
    {"virtio-disk0", "virtio-disk0.file=pattern:64K virtio-disk0.packed=on", "virtio-disk0"},
    {"rng", "rng.packed=on", NULL},
    {"balloon", "balloon.packed=on", NULL},
    {"console1", "console1.packed=on", NULL},
    {"scsi", "scsi.packed=on scsi0.file=pattern:64K scsi1.file=pattern:128K scsi1.media=cdrom scsi2.media=disk",
     "scsi2"},
};

struct driver {
    struct vdriver *v;
    const char *drive;
    uint64_t wanted;
    unsigned queues;
    struct bytes in;
};

static uint32_t number(struct driver *r, unsigned n)
{
    return take_number(&r->in, n);
}

/* Mostly buffers in RAM; what the device reads there comes from the input. */
static struct vsegment segment(struct driver *r, unsigned at, bool in)
{
    unsigned kind = number(r, 1);
    struct vsegment s = {VDRIVER_BUFFERS + (number(r, 1) << 8) + at * 0x20000, number(r, kind & 1 ? 2 : 1),
                         in ? VIRTQ_WRITE : 0};
    if (kind >= 0xf8) {
        s.gpa = number(r, 4);
        s.bytes = number(r, 4);
    }
    if (kind >= 0xf0 && kind < 0xf4)
        s.flags = number(r, 1);
    for (unsigned i = 0, n = kind & 2 && !in ? number(r, 1) % CONTENT : 0; i < n && s.gpa < BENCH_RAM - CONTENT; i++)
        *vdriver_ram(r->v, s.gpa + i) = number(r, 1);
    return s;
}

/* As a table, named by one descriptor. */
static void make_indirect(struct driver *r, struct vsegment *s, unsigned count)
{
    const uint32_t at = VDRIVER_BUFFERS + 0x200000;
    uint8_t *table = vdriver_ram(r->v, at);
    for (unsigned i = 0; i < count; i++) {
        put_le64(table + i * 16, s[i].gpa);
        put_le32(table + i * 16 + 8, s[i].bytes);
        put_le16(table + i * 16 + (r->v->packed ? 14 : 12), s[i].flags | (i + 1 < count ? VIRTQ_NEXT : 0));
        put_le16(table + i * 16 + (r->v->packed ? 12 : 14), i + 1);
    }
    s[0] = (struct vsegment){at, count * 16, VIRTQ_INDIRECT};
}

static void chain(struct driver *r)
{
    struct vsegment s[SEGMENTS];
    unsigned how = number(r, 1), count = 1 + (how & 7) % SEGMENTS, out = (how >> 3 & 7) % (count + 1);
    unsigned queue = number(r, 1) % r->queues;
    for (unsigned i = 0; i < count; i++)
        s[i] = segment(r, i, i >= out);
    if (how & 0x40)
        make_indirect(r, s, count);
    vdriver_add(r->v, queue, s, how & 0x40 ? 1 : count);
    if (how & 0x80)
        vdriver_kick(r->v, queue);
}

static void access_register(struct driver *r)
{
    unsigned how = number(r, 1), size = 1u << (how & 3) % 3, at = number(r, 1);
    uint32_t value = how & 4 ? number(r, 4) : number(r, 1);
    if (how & 8)
        at = (at & 0x7f) + 0x2000; /* the device's own configuration */
    if (how & 0x10 && r->v->legacy)
        bench_out(r->v->bench, PORTS + at % 128, size, value);
    else if (how & 0x20)
        bench_load(r->v->bench, MODERN + at, size);
    else
        bench_store(r->v->bench, MODERN + at, size, value);
}

/* Without the BARs: the driver would not find its device again. */
static void access_pci(struct driver *r)
{
    unsigned at = 0x40 + number(r, 1) % 0x70;
    bench_pci_write(r->v->device, at & ~3u, 4, number(r, 4));
    bench_pci_read(r->v->device, 0xa0, 4);
}

/* Whatever the queue consists of, changed behind the device's back. */
static void poke(struct driver *r)
{
    const struct vdriver_queue *q = &r->v->queue[number(r, 1) % r->queues];
    const uint64_t parts[] = {q->table, q->driver, q->ring};
    uint64_t at = parts[number(r, 1) % 3] + number(r, 1);
    for (unsigned i = 0, n = number(r, 1) % 8; i < n && at; i++)
        *vdriver_ram(r->v, at + i) = number(r, 1);
}

static void network(struct driver *r, unsigned kind)
{
    uint8_t frame[2048];
    memset(frame, kind & 1 ? 0xff : 0, sizeof frame);
    for (unsigned i = 0; i < CONTENT / 2; i++)
        frame[i] = number(r, 1);
    bench_deliver(r->v->device, frame, number(r, 2) % sizeof frame);
    bench_cable_can(r->v->device, number(r, 1) & 7);
    bench_cable(r->v->device, kind & 0xe);
    for (GBytes *b; (b = bench_frame_sent(r->v->device, NULL));)
        g_bytes_unref(b);
}

static void outside(struct driver *r)
{
    unsigned kind = number(r, 1);
    struct drive *drive = r->drive ? bench_drive(r->v->bench, r->drive) : NULL;
    if (!strncmp(r->v->device->name, "nic", 3))
        network(r, kind);
    if (drive && kind < 32)
        bench_drive_fail(r->v->bench, drive, 5);
    else if (drive && kind < 96)
        bench_drive_insert(r->v->bench, r->drive, kind & 1 ? "pattern:64K" : kind & 2 ? "pattern:8K" : NULL);
    if (kind >= 96)
        bench_char_send(r->v->device, (const uint8_t *)"hello", kind % 6);
}

static void one(struct driver *r)
{
    unsigned what = number(r, 1);
    if (what < 140)
        chain(r);
    else if (what < 160)
        vdriver_kick(r->v, number(r, 1) % (r->queues + 1));
    else if (what < 185)
        access_register(r);
    else if (what < 190)
        access_pci(r);
    else if (what < 205)
        poke(r);
    else if (what < 225)
        outside(r);
    else if (what < 248)
        bench_step(r->v->bench, 1ull << number(r, 1) % 32);
    else if (what < 253)
        vdriver_start(r->v, r->wanted, r->queues);
    else
        vdriver_save_load(r->v);
    hostile_forget_events(r->v->bench);
}

static unsigned target(unsigned byte)
{
    const char *only = g_getenv("FUZZ_VIRTIO");
    for (unsigned i = 0; only && i < G_N_ELEMENTS(targets); i++)
        if (!strcmp(targets[i].chip, only))
            return i;
    if (only)
        g_error("there is no virtio device %s here", only);
    return byte % G_N_ELEMENTS(targets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    unsigned n = target(data[0]), how = data[1];
    uint64_t all = how & LEGACY ? UINT32_MAX : UINT64_MAX;
    struct driver r = {.drive = targets[n].drive, .in = {data + 2, size - 2}};
    r.wanted =
        all & ~(how & PACKED ? 0 : 1ull << VIRTIO_F_RING_PACKED) & ~(how & EVENTS ? 0 : 1ull << VIRTIO_F_EVENT_IDX);
    if (how & FEW) /* of the device's own */
        r.wanted &= ~(uint64_t)0xffffff;
    r.v = vdriver_new(targets[n].chip, targets[n].config, r.wanted, 0);
    r.queues = ((const struct virtio *)r.v->device->state)->queues;
    vdriver_start(r.v, r.wanted, r.queues);
    while (r.in.left)
        one(&r);
    vdriver_free(r.v);
    return 0;
}
