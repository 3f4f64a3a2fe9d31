// SPDX-License-Identifier: GPL-2.0-or-later
/* xhci_events.c - the event ring and its interrupts (4.9.4, 4.17).
 *
 * The guest gives a table of segments and says how far it has read; one place stays free, so that a full ring is not an empty one.  What
 * finds no room waits here in order, and nothing new is begun meanwhile. */
#include "core-vmm/base/bytes.h"
#include "devices/usb/xhci.h"

enum { IMAN_PENDING = 1, IMAN_ENABLED = 2, DEQUEUE_BUSY = 8 /* EHB */, SEGMENT_ENTRY = 16, SEGMENT_MOST = 4096 };
enum { RESERVE = XHCI_PENDING / 2, MSIX_ENABLED = 0x80, MSIX_AT = 0x43 };

/* ---- interrupts ---- */

/* What is pending goes out once the guest lets it, which may be later; a message takes the pending bit with it (4.17.3). */
void xhci_update(struct device *d)
{
    struct xhci *x = d->state;
    bool out = x->iman & IMAN_PENDING && x->iman & IMAN_ENABLED && x->command & CMD_INTERRUPTS;
    if (out && dev_pci_config(d)[MSIX_AT] & MSIX_ENABLED) {
        dev_msi(d, 0);
        x->iman &= ~IMAN_PENDING;
        out = false;
    }
    dev_irq(d, 0, out);
}

static void interrupt(struct device *d)
{
    struct xhci *x = d->state;
    x->status |= STS_EVENT;
    x->iman |= IMAN_PENDING;
    x->dequeue |= DEQUEUE_BUSY;
    xhci_update(d);
}

/* ---- the ring ---- */
void xhci_events_begin(struct xhci *x)
{
    x->segment = x->index = 0;
    x->cycle = true;
}

static void fatal(struct device *d, const char *why)
{
    struct xhci *x = d->state;
    dev_log(d, "%s: the controller stops", why);
    x->status |= STS_ERROR | STS_HALTED;
    x->command &= ~CMD_RUN;
}

/* A segment of the table; false: there is none, or not in RAM. */
static bool segment(struct device *d, unsigned n, uint64_t *at, uint32_t *entries)
{
    const struct xhci *x = d->state;
    const uint8_t *p = dev_dma(d, x->segment_table + (uint64_t)n * SEGMENT_ENTRY, SEGMENT_ENTRY, false);
    if (!p)
        return false;
    *at = get_le64(p) & ~UINT64_C(63);
    *entries = get_le32(p + 8) & 0xffff;
    return *entries >= 2 && *entries <= SEGMENT_MOST;
}

/* false: there is no room. */
static bool put(struct device *d, const struct xhci_trb *event)
{
    struct xhci *x = d->state;
    uint64_t at, next;
    uint32_t entries, unused, segments = MAX(x->segments, 1), after = x->segment;
    if (!segment(d, x->segment, &at, &entries) || x->index >= entries) {
        fatal(d, "the event ring makes no sense");
        return true;
    }
    next = at + (x->index + 1) * XHCI_TRB;
    if (x->index + 1 == entries) {
        after = (x->segment + 1) % segments;
        if (!segment(d, after, &next, &unused))
            next = 0;
    }
    if (next == (x->dequeue & ~UINT64_C(15)))
        return false;
    uint64_t here = at + x->index * XHCI_TRB;
    uint8_t *p = dev_dma(d, here, XHCI_TRB, true);
    if (!p) {
        fatal(d, "the event ring is not in RAM");
        return true;
    }
    put_le64(p, event->parameter);
    put_le32(p + 8, event->status);
    put_le32(p + 12, event->control | x->cycle); /* last: it makes the event valid */
    dev_dma_done(d, here, XHCI_TRB);
    x->index++;
    if (x->index == entries) {
        x->index = 0;
        x->cycle ^= after == 0;
        x->segment = after;
    }
    return true;
}

static uint64_t enqueue_at(struct device *d)
{
    const struct xhci *x = d->state;
    uint64_t at = 0;
    uint32_t entries;
    return segment(d, x->segment, &at, &entries) ? at + x->index * XHCI_TRB : 0;
}

void xhci_post(struct device *d, const struct xhci_trb *event)
{
    struct xhci *x = d->state;
    if (!xhci_runs(x) || !x->segments)
        return;
    if (x->pending || !put(d, event)) {
        if (x->pending < XHCI_PENDING)
            x->event[x->pending++] = *event;
        else
            dev_log(d, "an event is lost: the guest does not look at its ring");
    }
    if (!(x->dequeue & DEQUEUE_BUSY))
        interrupt(d);
}

bool xhci_has_room(const struct xhci *x)
{
    return x->pending < RESERVE;
}

/* The guest has read on: what waited follows, and if there is still something to read, it hears of it. */
void xhci_dequeue_written(struct device *d)
{
    struct xhci *x = d->state;
    unsigned n = 0;
    while (n < x->pending && xhci_runs(x) && put(d, &x->event[n]))
        n++;
    x->pending -= n;
    memmove(x->event, x->event + n, x->pending * sizeof x->event[0]);
    if (n)
        x->again = true;
    if (xhci_runs(x) && !(x->dequeue & DEQUEUE_BUSY) && x->segments && (x->dequeue & ~UINT64_C(15)) != enqueue_at(d))
        interrupt(d);
}
