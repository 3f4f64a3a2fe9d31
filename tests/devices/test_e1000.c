// SPDX-License-Identifier: GPL-2.0-or-later
/* Intel's gigabit chips against what their manuals say a driver sees, with a reference of its own for every sum, segment and
 * hash: frames are built whole here, handed to the chip with what it is to do left out, and must come out as they were built. */
#include "tests/devices/bench.h"
#include "core-vmm/base/bytes.h"
#include <string.h>

enum { BAR = 0xe0000000, MSIX_BAR = 0xe0100000, TX_RING = 0x1000, RX_RING = 0x2000, RX_RING1 = 0x3000, RING = 64 };
enum { TX_DATA = 0x200000, RX_BUFFERS = 0x100000, BUFFER = 2048, MOST = 66000, TCP = 6, UDP = 17, LAST = 1 };
enum { CTRL = 0, VET = 0x38, ICR = 0xc0, ICS = 0xc8, IMS = 0xd0, IMC = 0xd8, EIAC = 0xdc, IVAR = 0xe4, EITR = 0xe8 };
enum { RCTL = 0x100, TCTL = 0x400, RDBAL = 0x2800, TDBAL = 0x3800, RXCSUM = 0x5000, RFCTL = 0x5008, MRQC = 0x5818 };
enum { RETA = 0x5c00, RSSRK = 0x5c80, LEN = 8, HEAD = 0x10, TAIL = 0x18, QUEUE1 = 0x100 };

struct nic {
    struct bench *bench;
    const char *name;
    unsigned tail;     /* of the transmit ring */
    uint32_t data;     /* where the next piece of data goes */
    unsigned received; /* descriptors looked at */
};

static uint32_t get(struct nic *n, uint32_t at)
{
    return bench_load(n->bench, BAR + at, 4);
}

static void set(struct nic *n, uint32_t at, uint32_t v)
{
    bench_store(n->bench, BAR + at, 4, v);
}

static struct device *device(struct nic *n)
{
    return bench_device(n->bench, n->name);
}

static uint8_t *ram(struct nic *n, uint32_t at)
{
    return bench_ram(n->bench) + at;
}

static void rx_ring(struct nic *n, uint32_t queue, uint32_t ring, uint32_t buffers)
{
    for (unsigned i = 0; i < RING; i++) {
        put_le64(ram(n, ring + 16 * i), buffers + i * BUFFER);
        put_le64(ram(n, ring + 16 * i + 8), 0);
    }
    set(n, RDBAL + queue, ring);
    set(n, RDBAL + queue + LEN, RING * 16);
    set(n, RDBAL + queue + TAIL, RING - 1);
}

/* name: "nic1" the 82540EM, "nic5" the 82574L. */
static struct nic begin(const char *name)
{
    struct nic n = {.bench = bench_new(), .name = name};
    g_autoptr(GError) error = NULL;
    struct device *d = bench_add_chip(n.bench, chip_find(name), &error);
    g_assert_no_error(error);
    bench_pci_write(d, 0x10, 4, BAR);
    if (!strcmp(name, "nic5"))
        bench_pci_write(d, 0x1c, 4, MSIX_BAR);
    bench_pci_write(d, 4, 2, 7);
    bench_step(n.bench, 100000000);
    get(&n, ICR);
    set(&n, CTRL, get(&n, CTRL) | 1u << 30); /* tags are told */
    set(&n, VET, 0x8100);
    set(&n, TDBAL, TX_RING);
    set(&n, TDBAL + LEN, RING * 16);
    set(&n, TCTL, 0xa);
    rx_ring(&n, 0, RX_RING, RX_BUFFERS);
    set(&n, RCTL, 0x0400801a); /* all frames, no check sequence */
    set(&n, RXCSUM, 0x300);
    return n;
}

static void end(struct nic *n)
{
    bench_free(n->bench);
}

/* ---- reference ---- */

struct frame {
    uint8_t b[MOST];
    uint32_t bytes, ip, tcp, payload;
    bool v6;
    uint8_t protocol;
};

static uint16_t sum16(const uint8_t *b, uint32_t n, uint32_t sum)
{
    for (uint32_t i = 0; i < n; i++)
        sum += i % 2 ? b[i] : b[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

static uint16_t pseudo(const struct frame *f, uint32_t bytes)
{
    uint16_t sum = sum16(f->b + f->ip + (f->v6 ? 8 : 12), f->v6 ? 32 : 8, 0);
    uint8_t rest[] = {0, f->protocol, bytes >> 8, bytes};
    return sum16(rest, 4, sum);
}

static uint32_t sum_at(const struct frame *f)
{
    return f->tcp + (f->protocol == TCP ? 16 : 6);
}

/* Lengths and sums. */
static void finish(struct frame *f)
{
    uint32_t l4 = f->bytes - f->tcp;
    if (f->v6) {
        put_be16(f->b + f->ip + 4, l4);
    } else {
        put_be16(f->b + f->ip + 2, f->bytes - f->ip);
        put_be16(f->b + f->ip + 10, 0);
        put_be16(f->b + f->ip + 10, ~sum16(f->b + f->ip, f->tcp - f->ip, 0));
    }
    if (f->protocol == UDP)
        put_be16(f->b + f->tcp + 4, l4);
    put_be16(f->b + sum_at(f), 0);
    uint16_t sum = ~sum16(f->b + f->tcp, l4, pseudo(f, l4));
    put_be16(f->b + sum_at(f), sum ? sum : 0xffff);
}

static void make(struct frame *f, bool v6, uint8_t protocol, uint32_t payload)
{
    *f = (struct frame){.v6 = v6, .protocol = protocol, .ip = 14, .tcp = v6 ? 54 : 34};
    f->payload = f->tcp + (protocol == TCP ? 20 : 8);
    f->bytes = f->payload + payload;
    for (uint32_t i = 0; i < f->bytes; i++)
        f->b[i] = g_test_rand_int_range(0, 256);
    f->b[0] &= 0xfe;
    put_be16(f->b + 12, v6 ? 0x86dd : 0x0800);
    f->b[f->ip] = v6 ? 0x60 : 0x45;
    if (!v6)
        put_be16(f->b + f->ip + 6, 0x4000);
    f->b[f->ip + (v6 ? 6 : 9)] = protocol;
    if (protocol == TCP)
        f->b[f->tcp + 12] = 0x50;
    finish(f);
}

/* ---- sending ---- */

static void put_descriptor(struct nic *n, uint64_t first, uint32_t lower, uint32_t upper)
{
    uint8_t *at = ram(n, TX_RING + 16 * n->tail);
    put_le64(at, first);
    put_le32(at + 8, lower);
    put_le32(at + 12, upper);
    n->tail = (n->tail + 1) % RING;
}

static void put_context(struct nic *n, const struct frame *f, uint32_t command, uint32_t payload, uint32_t mss)
{
    uint64_t first = f->ip | (f->ip + 10) << 8 | (f->tcp - 1) << 16 | (uint64_t)(f->tcp | sum_at(f) << 8) << 32;
    command |= (f->protocol == TCP ? 1 << 24 : 0) | (f->v6 ? 0 : 1 << 25) | 1 << 29;
    put_descriptor(n, first, payload | command, f->payload << 8 | mss << 16);
}

static uint32_t put_data(struct nic *n, const uint8_t *b, uint32_t bytes)
{
    uint32_t at = n->data + g_test_rand_int_range(0, 64);
    memcpy(ram(n, TX_DATA + at), b, bytes);
    n->data = (at + bytes) % (4 << 20);
    return TX_DATA + at;
}

/* The frame in some pieces; now and then the chip gets to work, or the machine is saved, before it has all of them. */
static void put_frame(struct nic *n, const uint8_t *b, uint32_t bytes, uint32_t command, uint32_t options,
                      uint32_t last, uint16_t tag)
{
    unsigned pieces = g_test_rand_int_range(1, 8);
    for (uint32_t at = 0, part; at < bytes || !bytes; at += part) {
        part = --pieces ? (uint32_t)g_test_rand_int_range(0, bytes - at + 1) : bytes - at;
        bool end = at + part == bytes;
        put_descriptor(n, put_data(n, b + at, part), part | command | 1 << 20 | 1 << 29 | (end ? last : 0),
                       options << 8 | (uint32_t)(end ? tag : 0) << 16);
        if (end)
            break;
        if (g_test_rand_int_range(0, 4) == 0)
            set(n, TDBAL + TAIL, n->tail);
        if (g_test_rand_int_range(0, 40) == 0)
            g_assert_null(bench_save_load(n->bench));
    }
    set(n, TDBAL + TAIL, n->tail);
    g_assert_cmpuint(get(n, TDBAL + HEAD), ==, n->tail);
}

static void expect(struct nic *n, const struct frame *f, uint32_t tag_bytes, uint16_t tag, bool can)
{
    struct net_offload left;
    g_autoptr(GBytes) sent = bench_frame_sent(device(n), &left);
    g_assert_nonnull(sent);
    gsize bytes;
    g_autofree uint8_t *is = g_memdup2(g_bytes_get_data(sent, &bytes), g_bytes_get_size(sent));
    g_assert_cmpuint(left.checksum, ==, can);
    if (can) {
        g_assert_cmpuint(left.checksum_start, ==, f->tcp + tag_bytes);
        g_assert_cmpuint(left.checksum_offset, ==, sum_at(f) - f->tcp);
        uint16_t sum = ~sum16(is + left.checksum_start, f->bytes - f->tcp, 0);
        put_be16(is + left.checksum_start + left.checksum_offset, sum ? sum : 0xffff);
    }
    g_autofree uint8_t *wanted = g_malloc0(MAX(f->bytes + tag_bytes, 60));
    memcpy(wanted, f->b, 12);
    put_be16(wanted + 12, 0x8100);
    put_be16(wanted + 14, tag);
    memcpy(wanted + 12 + tag_bytes, f->b + 12, f->bytes - 12);
    g_assert_cmpmem(is, bytes, wanted, MAX(f->bytes + tag_bytes, 60));
}

static void sums(const void *name)
{
    struct nic n = begin(name);
    g_autofree struct frame *f = g_new(struct frame, 1);
    for (unsigned i = 0; i < 400; i++) {
        bool can = g_test_rand_bit(), tagged = g_test_rand_bit();
        uint16_t tag = g_test_rand_int_range(0, 0x10000);
        bench_cable_can(device(&n), can ? NET_CHECKSUM : 0);
        bench_step(n.bench, 100000000);
        make(f, g_test_rand_bit(), g_test_rand_bit() ? TCP : UDP, g_test_rand_int_range(0, 1400));
        g_autofree struct frame *undone = g_memdup2(f, sizeof *f);
        if (!f->v6)
            put_be16(undone->b + f->ip + 10, 0);
        put_be16(undone->b + sum_at(f), pseudo(f, f->bytes - f->tcp));
        put_context(&n, f, 0, f->bytes, 0);
        put_frame(&n, undone->b, f->bytes, 0, f->v6 ? 2 : 3, LAST << 24 | 1 << 25 | 1 << 27 | (tagged ? 1u << 30 : 0),
                  tag);
        expect(&n, f, tagged ? 4 : 0, tag, can);
    }
    end(&n);
}

static void legacy_sum(const void *name)
{
    struct nic n = begin(name);
    g_autofree struct frame *f = g_new(struct frame, 1);
    make(f, false, UDP, 100);
    g_autofree struct frame *undone = g_memdup2(f, sizeof *f);
    put_be16(undone->b + sum_at(f), pseudo(f, f->bytes - f->tcp));
    put_descriptor(&n, put_data(&n, undone->b, f->bytes), f->bytes | sum_at(f) << 16 | 0x0fu << 24, f->tcp << 8);
    set(&n, TDBAL + TAIL, n.tail);
    expect(&n, f, 0, 0, false);
    /* a place outside of the packet: as it is */
    put_descriptor(&n, put_data(&n, f->b, f->bytes), f->bytes | 250 << 16 | 0x0fu << 24, f->tcp << 8);
    set(&n, TDBAL + TAIL, n.tail);
    expect(&n, f, 0, 0, false);
    end(&n);
}

static void expect_segment(struct nic *n, const struct frame *f, uint32_t at, uint32_t mss)
{
    uint32_t bytes = MIN(mss, f->bytes - f->payload - at);
    bool last = f->payload + at + bytes == f->bytes;
    g_autofree struct frame *s = g_memdup2(f, sizeof *f);
    memmove(s->b + f->payload, f->b + f->payload + at, bytes);
    s->bytes = f->payload + bytes;
    put_be32(s->b + f->tcp + 4, get_be32(f->b + f->tcp + 4) + at);
    s->b[f->tcp + 13] &= ~((last ? 0 : 0x09) | (at ? 0x80 : 0));
    if (!f->v6)
        put_be16(s->b + f->ip + 4, get_be16(f->b + f->ip + 4) + at / mss);
    g_autoptr(GBytes) sent = bench_frame_sent(device(n), NULL);
    g_assert_nonnull(sent);
    gsize got;
    const uint8_t *is = g_bytes_get_data(sent, &got);
    finish(s);
    if (get_be16(s->b + sum_at(s)) == 0xffff) /* for TCP the same as 0, which comes out when segments are cut */
        put_be16(s->b + sum_at(s), 0);
    g_assert_cmpmem(is, got, s->b, s->bytes);
}

static void segments(const void *name)
{
    struct nic n = begin(name);
    g_autofree struct frame *f = g_new(struct frame, 1);
    for (unsigned i = 0; i < 60; i++) {
        uint32_t payload = g_test_rand_int_range(200, i % 10 ? 20000 : 64000), mss = g_test_rand_int_range(100, 1461);
        bool can = i % 3 == 0;
        make(f, g_test_rand_bit(), TCP, payload);
        bench_cable_can(device(&n), can ? NET_CHECKSUM | NET_TSO4 | NET_TSO6 : 0);
        bench_step(n.bench, 100000000);
        put_context(&n, f, 1 << 26, payload, mss);
        put_frame(&n, f->b, f->bytes, 1 << 26, f->v6 ? 2 : 3, LAST << 24 | 1 << 25 | 1 << 27, 0);
        if (can) {
            struct net_offload left;
            g_autoptr(GBytes) sent = bench_frame_sent(device(&n), &left);
            g_assert_cmpuint(left.segments, ==, f->v6 ? NET_TSO6 : NET_TSO4);
            g_assert_cmpuint(left.segment_bytes, ==, mss);
            g_assert_cmpuint(left.header_bytes, ==, f->payload);
            g_assert_cmpmem(g_bytes_get_data(sent, NULL), g_bytes_get_size(sent), f->b, f->bytes);
        }
        for (uint32_t at = 0; at < payload && !can; at += mss)
            expect_segment(&n, f, at, mss);
        g_assert_null(bench_frame_sent(device(&n), NULL));
    }
    end(&n);
}

/* What the cable has no room for stays in the ring, and goes out later, in order. */
static void full(const void *name)
{
    enum { FRAMES = RING - 1, LONG = 33000 };
    struct nic n = begin(name);
    bench_cable_full(device(&n), true);
    for (unsigned i = 0; i < FRAMES; i++) {
        uint32_t at = TX_DATA + i * LONG;
        memset(ram(&n, at), i, LONG);
        put_descriptor(&n, at, LONG | (LAST | 1 << 1 | 1 << 3) << 24, 0);
    }
    set(&n, TDBAL + TAIL, n.tail);
    uint32_t head = get(&n, TDBAL + HEAD);
    g_assert_cmpuint(head, >, 20);
    g_assert_cmpuint(head, <, FRAMES);
    g_assert_cmpuint(get_le32(ram(&n, TX_RING + 16 * head + 12)), ==, 0); /* not reported */
    bench_cable_full(device(&n), false);
    g_assert_cmpuint(get(&n, TDBAL + HEAD), ==, n.tail);
    unsigned expected = FRAMES, got = 0;
    for (GBytes *sent; (sent = bench_frame_sent(device(&n), NULL)); got++) {
        const uint8_t *b = g_bytes_get_data(sent, NULL);
        g_assert_cmpuint(g_bytes_get_size(sent), ==, LONG);
        expected = got ? expected + 1 : 0;
        g_assert_cmpuint(b[0], ==, expected);
        g_bytes_unref(sent);
    }
    g_assert_cmpuint(expected, ==, FRAMES - 1);
    end(&n);
}

/* What waits of a sent packet is told with the next interrupt. */
static void told_together(const void *name)
{
    enum { TIDV = 0x3820, TXDW = 1, RXT0 = 0x80 };
    struct nic n = begin(name);
    set(&n, TIDV, 8);
    set(&n, IMS, RXT0);
    put_descriptor(&n, TX_DATA, 100 | (LAST | 1u << 1 | 1u << 3 | 1u << 7) << 24, 0);
    set(&n, TDBAL + TAIL, n.tail);
    g_assert_cmphex(get(&n, ICR) & TXDW, ==, 0);
    set(&n, ICS, RXT0);
    g_assert_cmphex(get(&n, ICR) & (TXDW | RXT0), ==, TXDW | RXT0);
    bench_step(n.bench, 1000000);
    g_assert_cmphex(get(&n, ICR) & TXDW, ==, 0);
    end(&n);
}

/* ---- receiving ---- */

/* The next frame's descriptor, and the ring goes on. */
static const uint8_t *take(struct nic *n, uint32_t ring)
{
    const uint8_t *at = ram(n, ring + 16 * n->received);
    set(n, RDBAL + TAIL, n->received);
    n->received = (n->received + 1) % RING;
    return at;
}

/* What the chip finds out of whole and of damaged frames. */
static void checks(const void *name)
{
    struct nic n = begin(name);
    bool newer = !strcmp(name, "nic5");
    g_autofree struct frame *f = g_new(struct frame, 1);
    for (unsigned i = 0; i < 600; i++) {
        unsigned damage = g_test_rand_int_range(0, 4); /* none, none, the header, the payload */
        make(f, g_test_rand_bit(), g_test_rand_bit() ? TCP : UDP, g_test_rand_int_range(20, 1400));
        bool fragment = !f->v6 && g_test_rand_int_range(0, 8) == 0;
        if (fragment) {
            put_be16(f->b + f->ip + 6, 0x2000);
            finish(f);
        }
        uint32_t at = damage == 2 ? f->ip + 8 : f->payload + g_test_rand_int_range(0, 20);
        f->b[at] ^= damage >= 2 ? 0x41 : 0;
        g_assert_true(bench_deliver(device(&n), f->b, f->bytes));
        const uint8_t *descriptor = take(&n, RX_RING);
        bool sums_l4 = !fragment && (!f->v6 || newer), bad_l4 = damage == 3 || (damage == 2 && f->v6);
        uint8_t status = 3 | (f->v6 ? 0 : 0x40) | (sums_l4 ? 0x20 | (f->protocol == UDP ? 0x10 : 0) : 0);
        uint8_t errors = (sums_l4 && bad_l4 ? 0x20 : 0) | (damage == 2 && !f->v6 ? 0x40 : 0);
        g_assert_cmpuint(get_le16(descriptor + 8), ==, MAX(f->bytes, 60));
        g_assert_cmpuint(get_le16(descriptor + 10), ==, (uint16_t)~sum16(f->b, f->bytes, 0));
        g_assert_cmphex(descriptor[12], ==, status & 0x60 ? status : status | 4);
        g_assert_cmphex(descriptor[13], ==, errors);
        g_assert_cmpmem(ram(&n, get_le64(descriptor)), f->bytes, f->b, f->bytes);
    }
    end(&n);
}

/* Microsoft's table of hashes, "Verifying the RSS Hash Calculation". */
static void hashes(void)
{
    static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
                                    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
                                    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
    static const struct {
        uint8_t to[4], from[4];
        uint16_t to_port, from_port;
        uint32_t ip, tcp;
    } cases[] = {
        {{161, 142, 100, 80}, {66, 9, 149, 187}, 1766, 2794, 0x323e8fc2, 0x51ccc178},
        {{65, 69, 140, 83}, {199, 92, 111, 2}, 4739, 14230, 0xd718262a, 0xc626b0ea},
        {{12, 22, 207, 184}, {24, 19, 198, 95}, 38024, 12898, 0xd2d0a5de, 0x5c2b394a},
        {{209, 142, 163, 6}, {38, 27, 205, 30}, 2217, 48228, 0x82989176, 0xafc7327f},
        {{202, 188, 127, 2}, {153, 39, 163, 191}, 1303, 44251, 0x5d1809c5, 0x10e828a2},
    };
    struct nic n = begin("nic5");
    g_autofree struct frame *f = g_new(struct frame, 1);
    rx_ring(&n, QUEUE1, RX_RING1, RX_BUFFERS + RING * BUFFER);
    for (unsigned i = 0; i < 40; i += 4)
        set(&n, RSSRK + i, get_le32(key + i));
    for (unsigned i = 0; i < 128; i += 4)
        set(&n, RETA + i, 0x80008000); /* odd hashes to queue 1 */
    set(&n, RXCSUM, 0x2300);
    set(&n, RFCTL, 0x8000);
    unsigned seen[2] = {0};
    for (unsigned i = 0; i < 2 * G_N_ELEMENTS(cases); i++) {
        bool by_port = i % 2;
        const uint32_t hash = by_port ? cases[i / 2].tcp : cases[i / 2].ip;
        set(&n, MRQC, 1 | (by_port ? 3 : 2) << 16);
        make(f, false, TCP, 100);
        memcpy(f->b + 26, cases[i / 2].from, 4);
        memcpy(f->b + 30, cases[i / 2].to, 4);
        put_be16(f->b + f->tcp, cases[i / 2].from_port);
        put_be16(f->b + f->tcp + 2, cases[i / 2].to_port);
        finish(f);
        g_assert_true(bench_deliver(device(&n), f->b, f->bytes));
        unsigned queue = hash & 1;
        const uint8_t *descriptor = ram(&n, (queue ? RX_RING1 : RX_RING) + 16 * seen[queue]++);
        g_assert_cmphex(get_le32(descriptor), ==, (by_port ? 1 : 2) | queue << 8);
        g_assert_cmphex(get_le32(descriptor + 4), ==, hash);
        g_assert_cmphex(get_le32(descriptor + 8), ==, 0x63); /* TCP and IP sums are right */
        g_assert_cmpuint(get_le16(descriptor + 12), ==, f->bytes);
        g_assert_cmpuint(get(&n, RDBAL + queue * QUEUE1 + HEAD), ==, seen[queue]);
    }
    end(&n);
}

/* ---- interrupts of the 82574L ---- */

static void expect_message(struct nic *n, const char *wanted)
{
    g_autofree char *event = bench_event(n->bench);
    g_assert_cmpstr(event, ==, wanted);
}

static void messages(void)
{
    struct nic n = begin("nic5");
    g_autofree struct frame *f = g_new(struct frame, 1);
    bench_pci_write(device(&n), 0xa2, 2, 0x8000);
    for (char *e; (e = bench_event(n.bench));)
        g_free(e);
    set(&n, IVAR, 0x800a0908); /* receive 0: 0, transmit 0: 1 (in its place), others: 2 */
    set(&n, EIAC, 0x01500000);
    set(&n, IMS, 0x01500004);
    make(f, false, TCP, 10);
    bench_deliver(device(&n), f->b, f->bytes);
    expect_message(&n, "msi 0");
    expect_message(&n, NULL);
    g_assert_cmphex(get(&n, IMS), ==, 0x01400004); /* masked, and gone */
    bench_deliver(device(&n), f->b, f->bytes);
    expect_message(&n, NULL);
    g_assert_null(bench_save_load(n.bench));
    for (char *e; (e = bench_event(n.bench));)
        g_free(e);
    set(&n, IMS, 0x00100000); /* what came meanwhile is told */
    expect_message(&n, "msi 0");
    put_frame(&n, f->b, f->bytes, 0, 0, LAST << 24 | 1 << 25 | 1 << 27, 0);
    expect_message(&n, "msi 1");
    set(&n, ICS, 4); /* a link change is one of the others */
    expect_message(&n, "msi 2");
    g_assert_cmphex(get(&n, ICR) & 4, ==, 4);
    /* the next of the same after 500 * 256 ns */
    set(&n, EITR, 500);
    set(&n, IMS, 0x00100000);
    set(&n, ICS, 0x00100000);
    expect_message(&n, "msi 0");
    set(&n, IMS, 0x00100000);
    set(&n, ICS, 0x00100000);
    bench_step(n.bench, 127000);
    expect_message(&n, NULL);
    bench_step(n.bench, 1000);
    expect_message(&n, "msi 0");
    end(&n);
}

/* Without messages: reading clears, and masks by IAM. */
static void reading_masks(void)
{
    struct nic n = begin("nic5");
    set(&n, 0x18, 1 << 27);
    set(&n, 0xe0, UINT32_MAX);
    set(&n, IMS, 0x80);
    set(&n, ICS, 0x90);
    g_assert_true(bench_line(device(&n), 0));
    g_assert_cmphex(get(&n, ICR), ==, 0x80000090);
    g_assert_cmphex(get(&n, IMS), ==, 0);
    g_assert_false(bench_line(device(&n), 0));
    set(&n, ICS, 0x80);
    g_assert_cmphex(get(&n, ICR), ==, 0x80);
    g_assert_cmphex(get(&n, ICR), ==, 0);
    end(&n);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    static const char *const chip[] = {"nic1", "nic5"}, *const what[] = {"e1000", "e1000e"};
    for (unsigned i = 0; i < 2; i++) {
        static const struct {
            const char *name;
            void (*fn)(const void *name);
        } tests[] = {{"sums", sums}, {"legacy-sum", legacy_sum},       {"segments", segments},
                     {"full", full}, {"told-together", told_together}, {"checks", checks}};
        for (unsigned t = 0; t < G_N_ELEMENTS(tests); t++) {
            g_autofree char *name = g_strdup_printf("/%s/%s", what[i], tests[t].name);
            g_test_add_data_func(name, chip[i], tests[t].fn);
        }
    }
    g_test_add_func("/e1000e/hashes", hashes);
    g_test_add_func("/e1000e/messages", messages);
    g_test_add_func("/e1000e/reading-masks", reading_masks);
    return g_test_run();
}
