// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio_balloon.c - memory balloon (Virtual I/O Device Version 1.2, chapter 5.5).
 *
 * The host asks for pages, and the driver takes them from its system and names them: the balloon is inflated.  Such a page is the
 * host's until the driver uses it again, which it may at any time; it finds zeroes there.  Beside that the driver reports pages
 * that are free just now, which go the same way.  Statistics come in a buffer that stays with the device until it wants newer
 * ones: here it stays in the queue, so that there is nothing to save.
 *
 * A driver counts the queues by what was agreed upon: those behind the second are there or not.  Not there: hints for migration,
 * other contents than zeroes. */
#include "core-vmm/api/balloon.h"
#include "core-vmm/base/bytes.h"
#include "devices/all.h"
#include "devices/virtio/virtio_pci.h"

enum { BALLOON = 5, Q_INFLATE = 0, Q_DEFLATE = 1, Q_FURTHER = 2, QUEUES = 4, CONFIG_BYTES = 16, CHAINS_MOST = 64 };
enum { F_STATS = 1, F_DEFLATE_ON_OOM = 2, F_REPORTING = 5, C_ASKED = 0, C_GIVEN = 4 };
enum {
    PAGE_SHIFT = 12,
    PAGES_AT_ONCE = 256,
    PAGES_MOST = 1 << 16 /* then the vCPU goes on first */,
    LIST_MOST = 1 << 20 /* bytes of a chain */,
    STAT_BYTES = 10
};

struct balloon {
    struct virtio virtio;
    uint32_t asked, given; /* pages */
    uint64_t returned;     /* bytes */
    uint32_t stats, told;
    uint64_t stat[BALLOON_STATS];
    struct virtq_chain chain;
};

static bool is_stats(const struct virtio *v, unsigned queue)
{
    return queue == Q_FURTHER && virtio_has(v, F_STATS);
}

static bool is_reporting(const struct virtio *v, unsigned queue)
{
    return queue == Q_FURTHER + (virtio_has(v, F_STATS) ? 1u : 0u) && virtio_has(v, F_REPORTING);
}

/* ---- pages ---- */

struct run { /* of pages: [first, end) */
    uint64_t first, end;
};

static void give_back(struct balloon *b, struct run *r)
{
    if (r->end > r->first)
        b->returned += dev_give_back(b->virtio.device, r->first << PAGE_SHIFT, (r->end - r->first) << PAGE_SHIFT);
    r->first = r->end = 0;
}

/* Neighbours go together, whichever way the driver counts. */
static void add_page(struct balloon *b, struct run *r, uint64_t page)
{
    if (r->end > r->first && page == r->end) {
        r->end++;
    } else if (r->end > r->first && page + 1 == r->first) {
        r->first--;
    } else {
        give_back(b, r);
        *r = (struct run){page, page + 1};
    }
}

static void inflate(struct balloon *b)
{
    uint8_t pages[PAGES_AT_ONCE * 4];
    struct run run = {0};
    size_t n;
    for (uint64_t at = 0; (n = virtq_read(&b->chain, at, pages, sizeof pages) / 4); at += n * 4)
        for (size_t i = 0; i < n; i++)
            add_page(b, &run, get_le32(pages + i * 4));
    give_back(b, &run);
}

static void report(struct balloon *b)
{
    for (unsigned i = b->chain.out; i < b->chain.out + b->chain.in; i++)
        b->returned += dev_give_back(b->virtio.device, b->chain.gpa[i], b->chain.iov[i].iov_len);
}

/* ---- queues ---- */

static void take_pages(struct balloon *b, unsigned queue, void (*use)(struct balloon *b))
{
    struct virtqueue *q = &b->virtio.queue[queue];
    uint64_t pages = 0;
    for (unsigned left = CHAINS_MOST; left && pages < PAGES_MOST && virtq_take(q, &b->chain); left--) {
        if (b->chain.out_bytes > LIST_MOST) {
            virtio_broken(&b->virtio, "a list of pages of more than 1 MiB");
            return;
        }
        if (use)
            use(b);
        pages += b->chain.out_bytes / 4;
        virtq_give(q, &b->chain, 0);
    }
    virtq_flush(q);
    virtio_wait_for_kick(&b->virtio, queue);
}

/* The buffer is read and stays where it is. */
static void take_stats(struct balloon *b)
{
    struct virtqueue *q = &b->virtio.queue[Q_FURTHER];
    struct virtq_mark mark = virtq_mark(q);
    uint8_t stat[STAT_BYTES];
    if (!virtq_take(q, &b->chain))
        return;
    b->stats = 0;
    b->told++;
    for (unsigned i = 0; i < BALLOON_STATS; i++) {
        if (virtq_read(&b->chain, i * STAT_BYTES, stat, sizeof stat) < sizeof stat)
            break;
        unsigned tag = get_le16(stat);
        if (tag < BALLOON_STATS) {
            b->stats |= 1u << tag;
            b->stat[tag] = get_le64(stat + 2);
        }
    }
    virtq_rewind(q, mark);
}

static void balloon_kicked(struct virtio *v, unsigned queue)
{
    struct balloon *b = v->device->state;
    if (queue == Q_INFLATE)
        take_pages(b, queue, inflate);
    else if (queue == Q_DEFLATE) /* its pages are the guest's again as soon as it uses them */
        take_pages(b, queue, NULL);
    else if (is_stats(v, queue))
        take_stats(b);
    else if (is_reporting(v, queue))
        take_pages(b, queue, report);
}

/* ---- the host's side ---- */

static void show_config(struct balloon *b)
{
    put_le32(b->virtio.config + C_ASKED, b->asked);
    put_le32(b->virtio.config + C_GIVEN, b->given);
}

static void balloon_ask(struct device *d, uint64_t bytes)
{
    struct balloon *b = d->state;
    b->asked = MIN(bytes >> PAGE_SHIFT, UINT32_MAX);
    show_config(b);
    virtio_config_changed(&b->virtio);
}

static void balloon_look(struct device *d, struct balloon_state *out)
{
    const struct balloon *b = d->state;
    *out = (struct balloon_state){.listens = virtio_running(&b->virtio),
                                  .asked = (uint64_t)b->asked << PAGE_SHIFT,
                                  .given = (uint64_t)b->given << PAGE_SHIFT,
                                  .returned = b->returned,
                                  .stats = b->stats,
                                  .told = b->told};
    memcpy(out->stat, b->stat, sizeof out->stat);
}

static void balloon_refresh(struct device *d)
{
    struct balloon *b = d->state;
    struct virtqueue *q = &b->virtio.queue[Q_FURTHER];
    if (!virtio_has(&b->virtio, F_STATS) || !virtio_running(&b->virtio) || !virtq_take(q, &b->chain))
        return;
    virtq_want_kicks(q, true);
    virtq_give(q, &b->chain, 0);
    virtq_flush(q);
}

/* ---- life ---- */

/* How much it has given is the driver's word. */
static void balloon_configured(struct virtio *v, unsigned offset, unsigned size)
{
    struct balloon *b = v->device->state;
    b->given = get_le32(v->config + C_GIVEN);
    memset(v->config, 0, CONFIG_BYTES);
    show_config(b);
}

/* All memory is the guest's again; what the host wants stays. */
static void balloon_reset(struct virtio *v)
{
    struct balloon *b = v->device->state;
    b->given = b->stats = 0;
    show_config(b);
}

static bool balloon_sync(struct virtio *v, struct stream *s)
{
    struct balloon *b = v->device->state;
    stream_u32(s, &b->asked);
    stream_u32(s, &b->given);
    stream_u64(s, &b->returned);
    show_config(b);
    return stream_ok(s);
}

#define BIT(n) (1ull << (n))
static const struct virtio_class balloon_class = {
    .type = BALLOON,
    .queues = QUEUES,
    .config = CONFIG_BYTES,
    .features = BIT(F_STATS) | BIT(F_DEFLATE_ON_OOM) | BIT(F_REPORTING),
    .kicked = balloon_kicked,
    .configured = balloon_configured,
    .reset = balloon_reset,
    .sync = balloon_sync,
};

static bool balloon_init(struct device *d, const struct config *c, GError **error)
{
    bool reports;
    if (!config_flag(c, "report", &reports, error))
        return false;
    return virtio_init(d, &balloon_class, balloon_class.features & ~(reports ? 0 : BIT(F_REPORTING)), c, error);
}

static const struct balloon_ops balloon = {.ask = balloon_ask, .look = balloon_look, .refresh = balloon_refresh};
static const struct pci_capability balloon_capabilities[] = {VIRTIO_CAPABILITIES(QUEUES + 1)};
static const struct pci_ids balloon_ids = {VIRTIO_IDS(0x1002, BALLOON, 0x00ff00, balloon_capabilities)};

const struct device_ops virtio_balloon_ops = {
    .name = "virtio-balloon",
    .state_bytes = sizeof(struct balloon),
    .version = 1,
    .regions = {VIRTIO_REGIONS},
    .pci = &balloon_ids,
    .init = balloon_init,
    .balloon = &balloon,
    VIRTIO_CALLS,
};
