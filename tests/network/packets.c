// SPDX-License-Identifier: GPL-2.0-or-later
/* packets.c - the VM process' half of packets.py: a card on the bench and its driver, at full rate, and the machine's own line to
 * the network process, which is at the other end of a socket pair.
 *
 *   packets virtio-net|e1000 COUNT SOCKET PORT
 *
 * Sends ARP requests, pings of the router and datagrams to the host's PORT, which sends them back, and takes what comes, until
 * COUNT frames have gone over the card's rings, both ways together.  Tells how many on stdout, a line for each million. */
#include "core-vmm/base/bytes.h"
#include "core-vmm/outer/line.h"
#include "core-vmm/outer/outer.h"
#include "core-vmm/vm/net_line.h"
#include "devices/virtio/virtio_net.h"
#include "tests/devices/bench_inside.h"
#include "tests/devices/virtio/driver.h"
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    FRAMES = 64,
    FRAME_ROOM = 2048,
    UNDER_WAY = 64 /* the socket holds them */,
    PATIENCE_MS = 50,
    MILLION = 1000000
};
enum {
    BAR = 0xe0000000,
    TX_RING = 0x10000,
    RX_RING = 0x20000,
    TX_AT = 0x100000,
    RX_AT = 0x200000,
    RING = 256,
    HEADER = 12
};
enum { RCTL = 0x100, TCTL = 0x400, RDBAL = 0x2800, TDBAL = 0x3800, LEN = 8, TAIL = 0x18 };

struct frame {
    uint8_t data[FRAME_ROOM];
    unsigned bytes;
};
struct soak;
struct driver {
    const char *model, *row; /* of chips.c */
    void (*begin)(struct soak *s);
    unsigned (*send)(struct soak *s, const struct frame *f, unsigned count); /* how many: the ring may be full */
    unsigned (*receive)(struct soak *s); /* how many came; their buffers are free again */
};
struct soak {
    const struct driver *driver;
    struct bench *bench;
    struct vdriver *virtio;
    unsigned tx, rx, free; /* places in the rings; of virtio: how many of TX are free */
    int fd;
    struct frame frame[FRAMES];
    uint64_t sent, received, lost;
};

/* ---- virtio-net ---- */

static void give_buffer(struct soak *s, uint32_t at)
{
    const struct vsegment buffer = {at, FRAME_ROOM, VIRTQ_WRITE};
    uint16_t id = vdriver_add(s->virtio, 0, &buffer, 1);
    g_assert_cmpuint(at, ==, RX_AT + id * FRAME_ROOM + VDRIVER_BUFFERS);
}

static void virtio_begin(struct soak *s)
{
    s->virtio = vdriver_new("nic8", "nic8.rom=off nic8.mac=52:54:00:01:02:08", VDRIVER_BASIC, 2);
    s->bench = s->virtio->bench;
    s->free = VDRIVER_SIZE;
    for (unsigned i = 0; i < VDRIVER_SIZE; i++)
        give_buffer(s, VDRIVER_BUFFERS + RX_AT + i * FRAME_ROOM);
    vdriver_kick(s->virtio, 0);
}

static unsigned virtio_send(struct soak *s, const struct frame *f, unsigned count)
{
    uint16_t id;
    uint32_t bytes;
    unsigned n = 0;
    while (vdriver_used(s->virtio, 1, &id, &bytes))
        s->free++;
    for (; n < count && s->free; n++, s->free--) {
        uint32_t at = VDRIVER_BUFFERS + TX_AT + s->tx++ % VDRIVER_SIZE * FRAME_ROOM;
        memcpy(vdriver_ram(s->virtio, at + HEADER), f[n].data, f[n].bytes);
        vdriver_add(s->virtio, 1, &(struct vsegment){at, HEADER + f[n].bytes}, 1);
    }
    if (n)
        vdriver_kick(s->virtio, 1);
    return n;
}

static unsigned virtio_receive(struct soak *s)
{
    uint16_t id;
    uint32_t bytes;
    unsigned n = 0;
    for (; vdriver_used(s->virtio, 0, &id, &bytes); n++)
        give_buffer(s, VDRIVER_BUFFERS + RX_AT + id * FRAME_ROOM);
    if (n)
        vdriver_kick(s->virtio, 0);
    return n;
}

/* ---- 82540EM ---- */

static void set(struct soak *s, uint32_t at, uint32_t v)
{
    bench_store(s->bench, BAR + at, 4, v);
}

static uint8_t *descriptor(struct soak *s, uint32_t ring, unsigned i)
{
    return bench_ram(s->bench) + ring + i % RING * 16;
}

static void e1000_begin(struct soak *s)
{
    g_autoptr(GError) error = NULL;
    s->bench = bench_new();
    struct device *d = bench_add_chip(s->bench, chip_find("nic1"), &error);
    g_assert_no_error(error);
    bench_pci_write(d, 0x10, 4, BAR);
    bench_pci_write(d, 4, 2, 7);
    bench_step(s->bench, 100000000);
    for (unsigned i = 0; i < RING; i++)
        put_le64(descriptor(s, RX_RING, i), RX_AT + i * FRAME_ROOM);
    set(s, TDBAL, TX_RING);
    set(s, TDBAL + LEN, RING * 16);
    set(s, RDBAL, RX_RING);
    set(s, RDBAL + LEN, RING * 16);
    set(s, TCTL, 0xa);
    set(s, RCTL, 0x0400801a); /* all frames, no check sequence */
    set(s, RDBAL + TAIL, RING - 1);
}

static unsigned e1000_send(struct soak *s, const struct frame *f, unsigned count)
{
    enum { DONE = 1, COMMAND = 0x0b /* EOP, IFCS, RS */ };
    unsigned n = 0;
    for (; n < count; n++, s->tx++) {
        uint8_t *e = descriptor(s, TX_RING, s->tx);
        if (get_le32(e) && !(e[12] & DONE))
            break;
        uint32_t at = TX_AT + s->tx % RING * FRAME_ROOM;
        memcpy(bench_ram(s->bench) + at, f[n].data, f[n].bytes);
        put_le64(e, at);
        put_le32(e + 8, f[n].bytes | (uint32_t)COMMAND << 24);
        put_le32(e + 12, 0);
    }
    set(s, TDBAL + TAIL, s->tx % RING);
    return n;
}

static unsigned e1000_receive(struct soak *s)
{
    unsigned n = 0;
    for (uint8_t *e; (e = descriptor(s, RX_RING, s->rx))[12] & 1; n++, s->rx++)
        e[12] = 0;
    if (n)
        set(s, RDBAL + TAIL, (s->rx - 1) % RING);
    return n;
}

static const struct driver drivers[] = {
    {"virtio-net", "nic8", virtio_begin, virtio_send, virtio_receive},
    {"e1000", "nic1", e1000_begin, e1000_send, e1000_receive},
};

/* ---- frames of 10.0.2.15 to its router ---- */

static uint16_t sum(const uint8_t *b, unsigned n)
{
    uint32_t total = 0;
    for (unsigned i = 0; i < n; i++)
        total += i % 2 ? b[i] : b[i] << 8;
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return ~total;
}

static void make_arp(struct frame *f)
{
    static const uint8_t request[] = {0, 1, 8, 0, 6, 4, 0, 1}, from[] = {10, 0, 2, 15}, to[] = {10, 0, 2, 2};
    memset(f->data, 0xff, 6);
    put_be16(f->data + 12, 0x0806);
    memcpy(f->data + 14, request, sizeof request);
    memcpy(f->data + 22, f->data + 6, 6);
    memcpy(f->data + 28, from, sizeof from);
    memcpy(f->data + 38, to, sizeof to);
    f->bytes = 60;
}

static void make_ip(struct frame *f, unsigned protocol, unsigned bytes, unsigned port)
{
    static const uint8_t addresses[] = {10, 0, 2, 15, 10, 0, 2, 2};
    uint8_t *ip = f->data + 14, *body = ip + 20;
    f->bytes = 34 + bytes;
    put_be16(f->data + 12, 0x0800);
    ip[0] = 0x45;
    put_be16(ip + 2, 20 + bytes);
    ip[8] = 64;
    ip[9] = protocol;
    memcpy(ip + 12, addresses, sizeof addresses);
    put_be16(ip + 10, sum(ip, 20));
    for (unsigned i = 8; i < bytes; i++)
        body[i] = i;
    if (protocol == 17) {
        put_be16(body, 4000);
        put_be16(body + 2, port);
        put_be16(body + 4, bytes);
    } else {
        body[0] = 8;
        put_be16(body + 2, sum(body, bytes));
    }
}

static void make_frames(struct soak *s, unsigned port)
{
    static const uint8_t router[] = {0x52, 0x55, 10, 0, 2, 2}, own[] = {0x52, 0x54, 0, 1, 2, 8};
    static const unsigned sizes[] = {26, 64, 300, 1000, 1480};
    for (unsigned i = 0; i < FRAMES; i++) {
        struct frame *f = &s->frame[i];
        memcpy(f->data, router, sizeof router);
        memcpy(f->data + 6, own, sizeof own);
        if (!i)
            make_arp(f);
        else
            make_ip(f, i % 8 == 1 ? 17 : 1, sizes[i % G_N_ELEMENTS(sizes)], port);
    }
}

/* ---- the line to the network process ---- */

/* As the keeper says that the process is there, with its socket. */
static void say_up(int line, int socket)
{
    struct line_news news = {.end = 0, .up = 1};
    char space[CMSG_SPACE(sizeof socket)] = {0};
    struct iovec iov = {&news, sizeof news};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof socket)};
    memcpy(CMSG_DATA(c), &socket, sizeof socket);
    g_assert_cmpint(sendmsg(line, &m, 0), ==, sizeof news);
}

static void plug_in(struct soak *s)
{
    int line[2];
    struct device *d = bench_device(s->bench, s->driver->row);
    g_assert_false(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, line));
    bench_cable(d, false);
    net_line_new(bench_of(d)->machine->m, outer_new(line[0], 1), 0);
    say_up(line[1], s->fd);
    while (!net_link(d->core->cable))
        g_main_context_iteration(NULL, TRUE);
    bench_step(s->bench, 100000000); /* the card's own negotiation */
}

/* ---- at full rate ---- */

static void turn(struct soak *s)
{
    uint64_t under_way = s->sent - s->received - s->lost;
    unsigned at = s->sent % FRAMES, room = under_way < UNDER_WAY ? UNDER_WAY - under_way : 0;
    s->sent += s->driver->send(s, s->frame + at, MIN(room, FRAMES - at));
    bench_step(s->bench, 1000);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    unsigned came = s->driver->receive(s);
    s->received += came;
    struct pollfd p = {s->fd, POLLIN, 0};
    if (!came && room == 0 && !poll(&p, 1, PATIENCE_MS)) /* dropped on the way, as on any network */
        s->lost = s->sent - s->received;
    for (char *e; (e = bench_event(s->bench));)
        g_free(e);
}

int main(int argc, char **argv)
{
    struct soak s = {0};
    if (argc != 5)
        return 2;
    for (unsigned i = 0; i < G_N_ELEMENTS(drivers); i++)
        if (!strcmp(drivers[i].model, argv[1]))
            s.driver = &drivers[i];
    if (!s.driver)
        return 2;
    uint64_t count = strtoull(argv[2], NULL, 10), told = 0;
    s.fd = atoi(argv[3]);
    make_frames(&s, atoi(argv[4]));
    s.driver->begin(&s);
    plug_in(&s);
    while (s.sent + s.received < count) {
        turn(&s);
        if (s.sent + s.received < told + MILLION)
            continue;
        told += MILLION;
        printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", s.sent, s.received, s.lost);
        fflush(stdout);
    }
    return 0;
}
