// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio_net.c - network card (Virtual I/O Device Version 1.2, chapter 5.1).
 *
 * Queues come in pairs, 2n to receive and 2n + 1 to send; behind the last pair is the control queue.  Each frame has a header
 * before it that says what of its making is left to the other side: a checksum, or cutting up a TCP segment.  That is passed
 * on as it is, both ways, to a cable whose far end can do it (api/net.h).
 *
 * A frame for the guest that finds no buffers waits in the cable until the driver has added some; those of the guest wait in
 * its queues while the cable is full. */
#include "devices/virtio/virtio_net.h"
#include "core-vmm/base/bytes.h"
#include "devices/all.h"
#include "devices/net/nic_rom.h"
#include "devices/virtio/virtio_pci.h"

enum { NETWORK = 1, CHAINS_MOST = 256, CONFIG_BYTES = 12, HEADER_MOST = 12, HEADER_LEGACY = 10, PIECES_MOST = 48 };
enum { SHORT_BYTES = 4096, SHORT_FRAMES = 16, SHORT_NS = 1000000 };
/* The header. */
enum { H_FLAGS = 0, H_SEGMENTS = 1, H_HEADERS = 2, H_SEGMENT_BYTES = 4, H_START = 6, H_OFFSET = 8, H_BUFFERS = 10 };
enum { NEEDS_CHECKSUM = 1, SEGMENTS_NONE = 0, SEGMENTS_TCP4 = 1, SEGMENTS_TCP6 = 4 };
enum { MAC_BYTES = 6, TYPE_AT = 12, TYPE_VLAN = 0x8100, TYPE_IP4 = 0x0800, TYPE_IP6 = 0x86dd, TCP_LEAST = 20 };

/* Since version 1.0 all headers are of one size. */
static unsigned header_bytes(const struct virtio_net *n)
{
    bool whole = virtio_has(&n->virtio, VIRTIO_F_VERSION_1) || virtio_has(&n->virtio, NET_F_MRG_RXBUF);
    return whole ? HEADER_MOST : HEADER_LEGACY;
}

/* ---- to the cable ---- */

/* The driver's word on where headers end is a hint only; TCP's own says it. */
static bool read_segments(struct virtio_net *n, const uint8_t *h, uint64_t bytes, struct net_offload *left)
{
    uint8_t offset;
    bool six = h[H_SEGMENTS] == SEGMENTS_TCP6;
    if (h[H_SEGMENTS] == SEGMENTS_NONE)
        return true;
    if ((!six && h[H_SEGMENTS] != SEGMENTS_TCP4) || !virtio_has(&n->virtio, six ? NET_F_HOST_TSO6 : NET_F_HOST_TSO4))
        return false;
    left->segments = six ? NET_TSO6 : NET_TSO4;
    left->segment_bytes = get_le16(h + H_SEGMENT_BYTES);
    if (!left->checksum || !left->segment_bytes || left->checksum_start + (uint64_t)TCP_LEAST > bytes ||
        !virtq_read(&n->chain, header_bytes(n) + left->checksum_start + 12u, &offset, 1))
        return false;
    left->header_bytes = left->checksum_start + (offset >> 4) * 4;
    return (offset >> 4) * 4 >= TCP_LEAST && left->header_bytes < bytes;
}

static bool read_header(struct virtio_net *n, const uint8_t *h, uint64_t bytes, struct net_offload *left)
{
    *left = (struct net_offload){0};
    if (h[H_FLAGS] & NEEDS_CHECKSUM) {
        left->checksum = true;
        left->checksum_start = get_le16(h + H_START);
        left->checksum_offset = get_le16(h + H_OFFSET);
        if (!virtio_has(&n->virtio, NET_F_CSUM) || left->checksum_start + left->checksum_offset + 2u > bytes)
            return false;
    }
    return read_segments(n, h, bytes, left);
}

static void send_chain(struct virtio_net *n)
{
    uint8_t h[HEADER_MOST];
    struct net_offload left;
    unsigned skip = header_bytes(n);
    uint64_t bytes = n->chain.out_bytes - skip;
    if (virtq_read(&n->chain, 0, h, skip) < skip || !read_header(n, h, bytes, &left)) {
        dev_log(n->virtio.device, "a frame to send says what cannot be of itself: it is dropped");
        return;
    }
    unsigned needs = (left.checksum ? NET_CHECKSUM : 0) | left.segments;
    unsigned count = virtq_part(&n->chain, false, skip, bytes, n->part);
    if (!(needs & ~net_end_can(n->cable)))
        net_send(n->cable, n->part, count, needs ? &left : NULL);
}

/* The driver sees at once that frames have gone.  An interrupt for that is work for little: of a few short ones it is told
 * later, if it has not seen by then for itself, as it does whenever it has something to receive. */
static void tell_sent(struct virtio_net *n, unsigned queue, uint64_t bytes)
{
    struct virtqueue *q = &n->virtio.queue[queue];
    virtq_publish(q);
    if (bytes && bytes <= SHORT_BYTES && q->untold < MIN(SHORT_FRAMES, q->size / 4))
        virtio_look_later(&n->virtio, queue, SHORT_NS);
    else
        virtq_flush(q);
}

static void send_queue(struct virtio_net *n, unsigned queue)
{
    struct virtqueue *q = &n->virtio.queue[queue];
    uint64_t bytes = 0;
    bool room = true;
    for (unsigned left = CHAINS_MOST; left && (room = net_room(n->cable)) && virtq_take(q, &n->chain); left--) {
        send_chain(n);
        bytes += n->chain.out_bytes;
        virtq_give(q, &n->chain, 0);
    }
    tell_sent(n, queue, bytes);
    if (room)
        virtio_wait_for_kick(&n->virtio, queue);
    else
        virtq_want_kicks(q, false);
}

static void net_has_room(struct device *d)
{
    struct virtio_net *n = d->state;
    for (unsigned pair = 0; pair < n->pairs; pair++)
        virtio_kick(&n->virtio, 2 * pair + 1);
}

/* ---- from the cable: which frames, and to which queue ---- */

static bool listed(const struct net_list *l, const uint8_t *mac)
{
    for (unsigned i = 0; i < l->count; i++)
        if (!memcmp(l->mac[i], mac, MAC_BYTES))
            return true;
    return false;
}

static bool for_us(const struct virtio_net *n, const uint8_t *to)
{
    static const uint8_t broadcast[MAC_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    if (n->filter & NET_ALL)
        return true;
    if (!memcmp(to, broadcast, MAC_BYTES))
        return !(n->filter & NET_NO_BROADCAST);
    if (to[0] & 1)
        return !(n->filter & NET_NO_MULTICAST) &&
               (n->filter & (NET_ALL_MULTICAST | NET_MULTICAST_OVERFLOW) || listed(&n->multicast, to));
    return !(n->filter & NET_NO_UNICAST) && (n->filter & (NET_ALL_UNICAST | NET_UNICAST_OVERFLOW) ||
                                             !memcmp(n->mac, to, MAC_BYTES) || listed(&n->unicast, to));
}

static bool passes(const struct virtio_net *n, const uint8_t *frame, size_t bytes)
{
    if (virtio_has(&n->virtio, NET_F_CTRL_VLAN) && bytes >= 18 && get_be16(frame + TYPE_AT) == TYPE_VLAN) {
        unsigned vlan = get_be16(frame + TYPE_AT + 2) & (NET_VLANS - 1);
        if (!(n->vlan[vlan / 64] >> vlan % 64 & 1))
            return false;
    }
    return for_us(n, frame);
}

/* All frames of a connection go to one queue: by addresses and ports, the same for both directions. */
static unsigned queue_of(const struct virtio_net *n, const uint8_t *frame, size_t bytes)
{
    unsigned type = get_be16(frame + TYPE_AT), hash = 0;
    unsigned at = type == TYPE_IP4 ? 26 : 22, end = type == TYPE_IP4 ? 34 : 54;
    if (n->pairs_on == 1 || (type != TYPE_IP4 && type != TYPE_IP6) || bytes < end + 4)
        return 0;
    if (type == TYPE_IP4 && frame[14] == 0x45 && !(get_be16(frame + 20) & 0x3fff)) /* no fragment, no options */
        end += 4;
    for (; at < end; at++)
        hash ^= frame[at];
    return (hash ^ hash >> 4) % n->pairs_on * 2;
}

/* ---- from the cable: into the buffers ---- */

static void write_header(const struct virtio_net *n, const struct net_offload *left, uint8_t *h)
{
    memset(h, 0, HEADER_MOST);
    if (left->checksum) {
        h[H_FLAGS] = NEEDS_CHECKSUM;
        put_le16(h + H_START, left->checksum_start);
        put_le16(h + H_OFFSET, left->checksum_offset);
    }
    if (left->segments) {
        h[H_SEGMENTS] = left->segments == NET_TSO6 ? SEGMENTS_TCP6 : SEGMENTS_TCP4;
        put_le16(h + H_HEADERS, left->header_bytes);
        put_le16(h + H_SEGMENT_BYTES, left->segment_bytes);
    }
}

enum outcome { TAKEN, NO_ROOM, NEVER };

/* In as many buffers as it takes if they may be merged, else in one; their number is known when all are filled, so the
 * header is written last. */
static enum outcome scatter(struct virtio_net *n, struct virtqueue *q, uint8_t *h, const uint8_t *frame, size_t bytes)
{
    unsigned skip = header_bytes(n), pieces = 0;
    bool merge = virtio_has(&n->virtio, NET_F_MRG_RXBUF);
    struct virtq_mark mark = virtq_mark(q);
    struct iovec first[HEADER_MOST];
    unsigned first_count = 0;
    size_t done = 0;
    while (done < bytes || !pieces) {
        if (pieces == PIECES_MOST || pieces == q->size || !virtq_take(q, &n->chain)) {
            virtq_rewind(q, mark);
            return pieces == PIECES_MOST || pieces == q->size ? NEVER : NO_ROOM;
        }
        unsigned before = pieces++ ? 0 : skip;
        if (n->chain.in_bytes <= before || (!merge && n->chain.in_bytes - before < bytes)) {
            virtq_rewind(q, mark);
            return NEVER;
        }
        if (before)
            first_count = virtq_part(&n->chain, true, 0, skip, first);
        size_t now = virtq_write(&n->chain, before, frame + done, bytes - done);
        virtq_give(q, &n->chain, before + now);
        done += now;
    }
    put_le16(h + H_BUFFERS, pieces);
    for (unsigned i = 0, at = 0; i < first_count; at += first[i++].iov_len)
        memcpy(first[i].iov_base, h + at, first[i].iov_len);
    virtq_flush(q);
    return TAKEN;
}

static bool net_frame(struct device *d, const void *frame, size_t bytes, const struct net_offload *left)
{
    struct virtio_net *n = d->state;
    uint8_t h[HEADER_MOST];
    unsigned queue = queue_of(n, frame, bytes);
    struct virtqueue *q = &n->virtio.queue[queue];
    if (!virtio_running(&n->virtio) || !q->on || !passes(n, frame, bytes))
        return true;
    write_header(n, left, h);
    enum outcome outcome = scatter(n, q, h, frame, bytes);
    if (outcome == NO_ROOM) { /* or some came just before the kick was asked for */
        virtq_want_kicks(q, true);
        outcome = scatter(n, q, h, frame, bytes);
    }
    if (outcome == NEVER)
        dev_log(d, "a frame of %zu bytes does not fit into the buffers that the driver gives: it is dropped", bytes);
    if (outcome != NO_ROOM || n->virtio.broken)
        return true;
    n->waiting |= 1u << queue;
    return false;
}

/* Room was made: no more kicks of this queue, until a frame waits again. */
static void receive_kicked(struct virtio_net *n, unsigned queue)
{
    virtq_want_kicks(&n->virtio.queue[queue], false);
    if (!(n->waiting >> queue & 1))
        return;
    n->waiting &= ~(1u << queue);
    net_more_room(n->cable);
}

static void net_kicked(struct virtio *v, unsigned queue)
{
    struct virtio_net *n = v->device->state;
    if (queue == net_control_queue(n) && virtio_has(v, NET_F_CTRL_VQ))
        net_control_kicked(n);
    else if (queue / 2 < n->pairs && queue & 1)
        send_queue(n, queue);
    else if (queue / 2 < n->pairs)
        receive_kicked(n, queue);
}

/* ---- life ---- */

/* After a change of the link, switches are to learn where the guest is. */
static void net_link_changed(struct device *d, bool up)
{
    struct virtio_net *n = d->state;
    n->announce = up && virtio_has(&n->virtio, NET_F_GUEST_ANNOUNCE);
    net_show_config(n);
    virtio_config_changed(&n->virtio);
}

static void net_agreed(struct virtio *v)
{
    struct virtio_net *n = v->device->state;
    bool sums = virtio_has(v, NET_F_GUEST_CSUM);
    unsigned can = sums ? NET_CHECKSUM : 0;
    can |= sums && virtio_has(v, NET_F_GUEST_TSO4) ? NET_TSO4 : 0;
    can |= sums && virtio_has(v, NET_F_GUEST_TSO6) ? NET_TSO6 : 0;
    net_can(n->cable, can);
}

static void net_reset(struct virtio *v)
{
    struct virtio_net *n = v->device->state;
    memcpy(n->mac, n->own_mac, MAC_BYTES);
    n->pairs_on = 1;
    n->announce = false;
    n->filter = NET_ALL;
    n->unicast.count = n->multicast.count = 0;
    memset(n->vlan, 0, sizeof n->vlan);
    net_show_config(n);
    net_can(n->cable, 0);
    n->waiting = 0;
    net_more_room(n->cable); /* what waits is dropped */
}

/* A legacy driver sets the address here. */
static void net_configured(struct virtio *v, unsigned offset, unsigned size)
{
    struct virtio_net *n = v->device->state;
    if (!virtio_has(v, VIRTIO_F_VERSION_1))
        memcpy(n->mac, v->config, MAC_BYTES);
    net_show_config(n);
}

static void sync_list(struct stream *s, struct net_list *l)
{
    stream_check_u32(s, &l->count, NET_FILTER_MOST);
    stream_raw(s, l->mac, l->count * MAC_BYTES);
}

static bool net_sync(struct virtio *v, struct stream *s)
{
    struct virtio_net *n = v->device->state;
    stream_raw(s, n->mac, MAC_BYTES);
    stream_u8(s, &n->pairs_on);
    stream_bool(s, &n->announce);
    stream_u8(s, &n->filter);
    sync_list(s, &n->unicast);
    sync_list(s, &n->multicast);
    for (unsigned i = 0; i < G_N_ELEMENTS(n->vlan); i++)
        stream_u64(s, &n->vlan[i]);
    stream_u32(s, &n->waiting);
    if (!stream_ok(s) || !n->pairs_on || n->pairs_on > n->pairs)
        return false;
    if (s->loading) {
        net_show_config(n);
        net_agreed(v);
    }
    return true;
}

#define BIT(n) (1ull << (n))
#define FEATURES                                                                                                       \
    (BIT(NET_F_CSUM) | BIT(NET_F_GUEST_CSUM) | BIT(NET_F_MTU) | BIT(NET_F_MAC) | BIT(NET_F_GUEST_TSO4) |               \
     BIT(NET_F_GUEST_TSO6) | BIT(NET_F_HOST_TSO4) | BIT(NET_F_HOST_TSO6) | BIT(NET_F_MRG_RXBUF) | BIT(NET_F_STATUS) |  \
     BIT(NET_F_CTRL_VQ) | BIT(NET_F_CTRL_RX) | BIT(NET_F_CTRL_VLAN) | BIT(NET_F_CTRL_RX_EXTRA) |                       \
     BIT(NET_F_GUEST_ANNOUNCE) | BIT(NET_F_MQ) | BIT(NET_F_CTRL_MAC_ADDR))
static const struct virtio_class net_class = {
    .type = NETWORK,
    .queues = 2 * NET_PAIRS_MOST + 1,
    .config = CONFIG_BYTES,
    .features = FEATURES,
    .agreed = net_agreed,
    .kicked = net_kicked,
    .configured = net_configured,
    .reset = net_reset,
    .sync = net_sync,
};

static bool net_init(struct device *d, const struct config *c, GError **error)
{
    static const struct net_card card = {.frame = net_frame, .link = net_link_changed, .room = net_has_room};
    struct virtio_net *n = d->state;
    int64_t mtu = 0, pairs;
    if (!config_number(c, "mtu", &mtu, error) || !config_number(c, "queues", &pairs, error))
        return false;
    uint64_t features = FEATURES & ~(mtu ? 0 : BIT(NET_F_MTU)) & ~(pairs > 1 ? 0 : BIT(NET_F_MQ));
    if (!virtio_init(d, &net_class, features, c, error))
        return false;
    if (!nic_rom_init(d, VIRTIO_REGION_ROM, c, "pxe-virtio.rom", error))
        return false;
    n->mtu = mtu;
    n->pairs = pairs;
    n->virtio.queues = 2 * pairs + 1;
    net_mac(c, n->own_mac);
    n->cable = net_open(d, &card);
    return true;
}

static void net_fini(struct device *d)
{
    net_close(((struct virtio_net *)d->state)->cable);
}

static const struct pci_capability net_capabilities[] = {VIRTIO_CAPABILITIES(2 * NET_PAIRS_MOST + 2)};
static const struct pci_ids net_ids = {VIRTIO_IDS(0x1000, NETWORK, 0x020000, net_capabilities)};

const struct device_ops virtio_net_ops = {
    .name = "virtio-net",
    .state_bytes = sizeof(struct virtio_net),
    .version = 1,
    .regions = {VIRTIO_REGIONS, [VIRTIO_REGION_ROM] = NIC_ROM_REGION},
    .pci = &net_ids,
    .init = net_init,
    .fini = net_fini,
    VIRTIO_CALLS,
};
