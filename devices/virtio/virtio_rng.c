// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio_rng.c - entropy device (Virtual I/O Device Version 1.2, chapter 5.4): fills what the guest gives it with random bytes
 * of the host's.  A buffer may come back filled in part, so large ones are: nobody has to wait for them. */
#include "devices/all.h"
#include "devices/virtio/virtio_pci.h"
#include <sys/random.h>

enum { QUEUE_REQUESTS, QUEUES, ENTROPY = 4, PART_MOST = 4096, CHAINS_MOST = 64 };

struct rng {
    struct virtio virtio;
    struct virtq_chain chain;
};

static size_t fill(struct virtq_chain *c)
{
    uint8_t bytes[PART_MOST];
    ssize_t n = getrandom(bytes, MIN(c->in_bytes, sizeof bytes), GRND_NONBLOCK);
    return n > 0 ? virtq_write(c, 0, bytes, n) : 0;
}

static void rng_kicked(struct virtio *v, unsigned queue)
{
    struct rng *r = v->device->state;
    struct virtqueue *q = &v->queue[queue];
    unsigned left = CHAINS_MOST;
    for (; left && virtq_take(q, &r->chain); left--)
        virtq_give(q, &r->chain, fill(&r->chain));
    virtq_flush(q);
    virtio_wait_for_kick(v, queue);
}

static const struct virtio_class rng_class = {.type = ENTROPY, .queues = QUEUES, .kicked = rng_kicked};

static bool rng_init(struct device *d, const struct config *c, GError **error)
{
    return virtio_init(d, &rng_class, 0, c, error);
}

static const struct pci_capability rng_capabilities[] = {VIRTIO_CAPABILITIES(2)};
static const struct pci_ids rng_ids = {VIRTIO_IDS(0x1005, ENTROPY, 0x00ff00, rng_capabilities)};

const struct device_ops virtio_rng_ops = {
    .name = "virtio-rng",
    .state_bytes = sizeof(struct rng),
    .version = 1,
    .regions = {VIRTIO_REGIONS},
    .pci = &rng_ids,
    .init = rng_init,
    VIRTIO_CALLS,
};
