// SPDX-License-Identifier: GPL-2.0-or-later
/* driver.c - see driver.h. */
#include "tests/devices/virtio/driver.h"
#include "core-vmm/base/bytes.h"

#define PORTS  0xc000u
#define TABLE  0xe0000000u
#define MODERN 0xe0100000u
enum { QUEUES_AT = 1 << 20, QUEUE_ROOM = 64 << 10, DRIVER_AT = 0x4000, RING_AT = 0x5000 };
enum { AVAIL = 1 << 7, USED = 1 << 15 };

uint8_t *vdriver_ram(struct vdriver *v, uint64_t gpa)
{
    return bench_ram(v->bench) + gpa;
}

uint64_t vdriver_common(struct vdriver *v, unsigned offset, unsigned size)
{
    return bench_load(v->bench, MODERN + offset, size);
}

void vdriver_set_common(struct vdriver *v, unsigned offset, unsigned size, uint32_t value)
{
    bench_store(v->bench, MODERN + offset, size, value);
}

uint64_t vdriver_config(struct vdriver *v, unsigned offset, unsigned size)
{
    return v->legacy ? bench_in(v->bench, PORTS + 20 + offset, size)
                     : bench_load(v->bench, MODERN + 0x2000 + offset, size);
}

uint8_t vdriver_status(struct vdriver *v)
{
    return v->legacy ? bench_in(v->bench, PORTS + 18, 1) : vdriver_common(v, 0x14, 1);
}

static void set_status(struct vdriver *v, uint8_t status)
{
    if (v->legacy)
        bench_out(v->bench, PORTS + 18, 1, status);
    else
        vdriver_set_common(v, 0x14, 1, status);
}

static void negotiate(struct vdriver *v, uint64_t wanted)
{
    if (v->legacy) {
        v->features = wanted & bench_in(v->bench, PORTS, 4);
        bench_out(v->bench, PORTS + 4, 4, v->features);
        return;
    }
    v->features = 0;
    for (unsigned word = 0; word < 2; word++) {
        vdriver_set_common(v, 0, 4, word);
        v->features |= (wanted >> word * 32 & vdriver_common(v, 4, 4)) << word * 32;
        vdriver_set_common(v, 8, 4, word);
        vdriver_set_common(v, 12, 4, v->features >> word * 32);
    }
    set_status(v, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
    g_assert_cmphex(vdriver_status(v), ==, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
}

static void set_wide(struct vdriver *v, unsigned offset, uint64_t value)
{
    vdriver_set_common(v, offset, 4, value);
    vdriver_set_common(v, offset + 4, 4, value >> 32);
}

static void set_up_legacy(struct vdriver *v, struct vdriver_queue *q, unsigned n)
{
    bench_out(v->bench, PORTS + 14, 2, n);
    q->size = bench_in(v->bench, PORTS + 12, 2);
    q->driver = q->table + q->size * VIRTQ_DESCRIPTOR;
    q->ring = (q->driver + 4 + q->size * 2 + 2 + 4095) & ~4095ull;
    bench_out(v->bench, PORTS + 8, 4, q->table / 4096);
    g_assert_cmphex(bench_in(v->bench, PORTS + 8, 4), ==, q->table / 4096);
}

static void set_up(struct vdriver *v, unsigned n)
{
    struct vdriver_queue *q = &v->queue[n];
    memset(vdriver_ram(v, QUEUES_AT + n * QUEUE_ROOM), 0, QUEUE_ROOM);
    *q = (struct vdriver_queue){
        .table = QUEUES_AT + n * QUEUE_ROOM, .size = VDRIVER_SIZE, .wrap = true, .seen_wrap = true};
    if (v->legacy) {
        set_up_legacy(v, q, n);
        return;
    }
    q->driver = q->table + DRIVER_AT;
    q->ring = q->table + RING_AT;
    vdriver_set_common(v, 0x16, 2, n);
    vdriver_set_common(v, 0x18, 2, q->size);
    set_wide(v, 0x20, q->table);
    set_wide(v, 0x28, q->driver);
    set_wide(v, 0x30, q->ring);
    vdriver_set_common(v, 0x1c, 2, 1);
    g_assert_cmpuint(vdriver_common(v, 0x1c, 2), ==, 1);
}

void vdriver_start(struct vdriver *v, uint64_t wanted, unsigned queues)
{
    v->legacy = !(wanted >> VIRTIO_F_VERSION_1 & 1);
    set_status(v, 0);
    g_assert_cmphex(vdriver_status(v), ==, 0);
    set_status(v, VIRTIO_ACKNOWLEDGE);
    set_status(v, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    negotiate(v, wanted);
    v->packed = v->features >> VIRTIO_F_RING_PACKED & 1;
    for (unsigned n = 0; n < queues; n++)
        set_up(v, n);
    set_status(v, vdriver_status(v) | VIRTIO_DRIVER_OK);
}

struct vdriver *vdriver_new(const char *chip, const char *config, uint64_t wanted, unsigned queues)
{
    struct vdriver *v = g_new0(struct vdriver, 1);
    g_autoptr(GError) error = NULL;
    struct chip c = *chip_find(chip);
    if (config)
        c.config = config;
    v->bench = bench_new();
    v->device = bench_add_chip(v->bench, &c, &error);
    g_assert_no_error(error);
    bench_pci_write(v->device, 0x10, 4, PORTS);
    bench_pci_write(v->device, 0x14, 4, TABLE);
    bench_pci_write(v->device, 0x20, 4, MODERN);
    bench_pci_write(v->device, 0x24, 4, 0);
    bench_pci_write(v->device, 4, 2, 7);
    vdriver_start(v, wanted, queues);
    return v;
}

void vdriver_save_load(struct vdriver *v)
{
    const char *name = v->device->name;
    g_assert_cmpstr(bench_save_load(v->bench), ==, NULL);
    v->device = bench_device(v->bench, name);
}

void vdriver_free(struct vdriver *v)
{
    bench_free(v->bench);
    g_free(v);
}

/* ---- queues ---- */

static uint16_t add_split(struct vdriver *v, struct vdriver_queue *q, const struct vsegment *s, unsigned count)
{
    uint16_t head = q->next % q->size;
    for (unsigned i = 0; i < count; i++) {
        uint8_t *d = vdriver_ram(v, q->table + (q->next + i) % q->size * VIRTQ_DESCRIPTOR);
        put_le64(d, s[i].gpa);
        put_le32(d + 8, s[i].bytes);
        put_le16(d + 12, s[i].flags | (i + 1 < count ? VIRTQ_NEXT : 0));
        put_le16(d + 14, (q->next + i + 1) % q->size);
    }
    q->next += count;
    put_le16(vdriver_ram(v, q->driver + 4 + q->made % q->size * 2), head);
    put_le16(vdriver_ram(v, q->driver + 2), ++q->made);
    return head;
}

static uint16_t add_packed(struct vdriver *v, struct vdriver_queue *q, const struct vsegment *s, unsigned count)
{
    uint16_t id = q->made++ % q->size;
    q->taken[id] = count;
    for (unsigned i = 0; i < count; i++) {
        uint8_t *d = vdriver_ram(v, q->table + q->next * VIRTQ_DESCRIPTOR);
        put_le64(d, s[i].gpa);
        put_le32(d + 8, s[i].bytes);
        put_le16(d + 12, id);
        put_le16(d + 14, s[i].flags | (i + 1 < count ? VIRTQ_NEXT : 0) | (q->wrap ? AVAIL : USED));
        if (++q->next == q->size) {
            q->next = 0;
            q->wrap = !q->wrap;
        }
    }
    return id;
}

uint16_t vdriver_add(struct vdriver *v, unsigned queue, const struct vsegment *s, unsigned count)
{
    return (v->packed ? add_packed : add_split)(v, &v->queue[queue], s, count);
}

void vdriver_kick(struct vdriver *v, unsigned queue)
{
    if (v->legacy)
        bench_out(v->bench, PORTS + 16, 2, queue);
    else
        bench_store(v->bench, MODERN + 0x3000 + queue * 4, 2, queue);
}

uint16_t vdriver_send(struct vdriver *v, unsigned queue, const struct vsegment *s, unsigned count)
{
    uint16_t id = vdriver_add(v, queue, s, count);
    vdriver_kick(v, queue);
    return id;
}

static bool used_packed(struct vdriver *v, struct vdriver_queue *q, uint16_t *id, uint32_t *bytes)
{
    const uint8_t *d = vdriver_ram(v, q->table + q->seen * VIRTQ_DESCRIPTOR);
    uint16_t flags = get_le16(d + 14);
    if (!!(flags & AVAIL) != q->seen_wrap || !!(flags & USED) != q->seen_wrap)
        return false;
    *id = get_le16(d + 12);
    *bytes = get_le32(d + 8);
    q->seen += q->taken[*id % q->size];
    if (q->seen >= q->size) {
        q->seen -= q->size;
        q->seen_wrap = !q->seen_wrap;
    }
    return true;
}

bool vdriver_used(struct vdriver *v, unsigned queue, uint16_t *id, uint32_t *bytes)
{
    struct vdriver_queue *q = &v->queue[queue];
    if (v->packed)
        return used_packed(v, q, id, bytes);
    if (get_le16(vdriver_ram(v, q->ring + 2)) == q->seen)
        return false;
    const uint8_t *e = vdriver_ram(v, q->ring + 4 + q->seen++ % q->size * 8);
    *id = get_le32(e);
    *bytes = get_le32(e + 4);
    return true;
}

void vdriver_expect(struct vdriver *v, unsigned queue, uint16_t id, uint32_t bytes)
{
    uint16_t is;
    uint32_t n;
    g_assert_true(vdriver_used(v, queue, &is, &n));
    g_assert_cmpuint(is, ==, id);
    g_assert_cmpuint(n, ==, bytes);
}

unsigned vdriver_interrupts(struct vdriver *v)
{
    unsigned n = bench_edges(v->device, 0);
    uint8_t isr = v->legacy ? bench_in(v->bench, PORTS + 19, 1) : bench_load(v->bench, MODERN + 0x1000, 1);
    g_assert_cmpuint(isr != 0, ==, n != 0);
    g_assert_false(bench_line(v->device, 0));
    return n;
}
