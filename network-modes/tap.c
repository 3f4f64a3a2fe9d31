// SPDX-License-Identifier: GPL-2.0-or-later
/* tap.c - see tap.h.  The header: virtio 1.2, 5.1.6, without the count of buffers. */
#include "network-modes/tap.h"
#include "network-modes/frame.h"
#include "core-vmm/base/net_offload.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <linux/virtio_net.h>
#include <sys/uio.h>
#include <unistd.h>

enum { AT_ONCE = 64, TCP_SUM_OFFSET = 16, TCP_DATA_OFFSET = 12 };

struct tap {
    int fd;
    GSource *source;
    struct tap_end end;
    struct tap_counts counts;
    uint8_t frame[NET_FRAME_MOST];
};

/* hdr_len is a hint that may be wrong: where TCP's header ends it says itself. */
static bool left_of(const struct virtio_net_hdr *h, const uint8_t *frame, size_t bytes, struct net_offload *left)
{
    unsigned type = h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN;
    *left = (struct net_offload){.checksum = h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                 .checksum_start = h->csum_start,
                                 .checksum_offset = h->csum_offset};
    if (!left->checksum)
        *left = (struct net_offload){0};
    if (type == VIRTIO_NET_HDR_GSO_NONE)
        return true;
    size_t at = (size_t)h->csum_start + TCP_DATA_OFFSET;
    if ((type != VIRTIO_NET_HDR_GSO_TCPV4 && type != VIRTIO_NET_HDR_GSO_TCPV6) || !left->checksum || at >= bytes)
        return false;
    left->segments = type == VIRTIO_NET_HDR_GSO_TCPV4 ? NET_TSO4 : NET_TSO6;
    left->segment_bytes = h->gso_size;
    left->header_bytes = h->csum_start + (frame[at] >> 4) * 4;
    return true;
}

/* tcp: where TCP's header is in a frame that is to be cut up, whose sum is left to do whatever else is said. */
static struct virtio_net_hdr header_of(const struct net_offload *left, size_t tcp)
{
    struct virtio_net_hdr h = {.gso_type = VIRTIO_NET_HDR_GSO_NONE};
    if (left->checksum || left->segments) {
        h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        h.csum_start = left->segments ? tcp : left->checksum_start;
        h.csum_offset = left->segments ? TCP_SUM_OFFSET : left->checksum_offset;
    }
    if (left->segments) {
        h.gso_type = left->segments == NET_TSO4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
        h.gso_size = left->segment_bytes;
        h.hdr_len = left->header_bytes;
    }
    return h;
}

static gboolean on_frames(gint fd, GIOCondition condition, gpointer data)
{
    struct tap *t = data;
    for (unsigned i = 0; i < AT_ONCE; i++) {
        struct virtio_net_hdr h;
        struct net_offload left;
        struct iovec iov[] = {{&h, sizeof h}, {t->frame, sizeof t->frame}};
        ssize_t n = readv(fd, iov, G_N_ELEMENTS(iov));
        if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == EIO)) /* EIO: it is down; it may come up */
            return G_SOURCE_CONTINUE;
        if (n < (ssize_t)sizeof h) {
            t->end.gone(t->end.ctx);
            return G_SOURCE_REMOVE;
        }
        size_t bytes = (size_t)n - sizeof h;
        if (left_of(&h, t->frame, bytes, &left) && frame_good(t->frame, bytes, &left)) {
            t->counts.received++;
            t->end.frame(t->end.ctx, t->frame, bytes, &left);
        } else {
            t->counts.broken++;
        }
    }
    return G_SOURCE_CONTINUE;
}

struct tap *tap_open(int fd, const struct tap_end *end, GError **error)
{
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (own < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "the host's TAP interface: %s", g_strerror(errno));
        return NULL;
    }
    struct tap *t = g_new0(struct tap, 1);
    t->fd = own;
    t->end = *end;
    t->source = g_unix_fd_source_new(own, G_IO_IN | G_IO_ERR | G_IO_HUP);
    g_source_set_callback(t->source, G_SOURCE_FUNC(on_frames), t, NULL);
    g_source_attach(t->source, g_main_context_get_thread_default());
    return t;
}

void tap_close(struct tap *t)
{
    if (!t)
        return;
    g_source_destroy(t->source);
    g_source_unref(t->source);
    close(t->fd);
    g_free(t);
}

void tap_send(struct tap *t, uint8_t *frame, size_t bytes, const struct net_offload *left)
{
    size_t tcp = 0;
    bool good = frame_good(frame, bytes, left) && (!left->segments || offload_prepare(frame, bytes, left, &tcp));
    struct virtio_net_hdr h = header_of(left, tcp);
    struct iovec iov[] = {{&h, sizeof h}, {frame, bytes}};
    if (!good)
        t->counts.broken++;
    else if (writev(t->fd, iov, G_N_ELEMENTS(iov)) == (ssize_t)(bytes + sizeof h))
        t->counts.sent++;
    else
        t->counts.full++;
}

void tap_count(const struct tap *t, struct tap_counts *out)
{
    *out = t->counts;
}
