// SPDX-License-Identifier: GPL-2.0-or-later
/* ehci_schedule.c - queue heads and their transfer descriptors (EHCI 1.0, chapters 3 and 4).
 *
 * A queue head has an overlay: the transfer descriptor (qTD) that it works at, with its state.  When that is through, the next is
 * fetched into it (4.10).  Isochronous descriptors and those of split transactions are passed over: nothing that is plugged in here is isochronous,
 * and a full-speed device behind a hub takes packets from a queue head as any other, whatever it says of hub and port.
 *
 * A round through the asynchronous list in which nothing moved ends it, and so does a number of steps. */
#include "core-vmm/base/bytes.h"
#include "devices/usb/ehci.h"

enum { END = 1, KIND = 6, KIND_QUEUE = 2, STEPS = 256, BUDGET = 256 << 10, BYTES_A_TD = 1024, PAGE = 4096, PAGES = 5 };
/* Words of a queue head; its overlay begins with the next pointer, as a qTD does. */
enum { Q_LINK, Q_ENDPOINT, Q_HUB, Q_CURRENT, Q_NEXT, Q_ALTERNATE, Q_TOKEN, Q_BUFFER, Q_WORDS = 12 };
enum { D_NEXT, D_ALTERNATE, D_TOKEN, D_BUFFER, D_WORDS = 8 };
enum {
    T_TRANSACTION = 1 << 3,
    T_BABBLE = 1 << 4,
    T_HALTED = 1 << 6,
    T_ACTIVE = 1 << 7,
    T_RETRIES = 3 << 10,
    T_PAGE = 7 << 12,
    T_INTERRUPT = 1 << 15,
    T_BYTES = 0x7fff << 16,
};

struct queue {
    struct device *d;
    struct ehci *x;
    uint32_t at, w[Q_WORDS];
    bool moved;
    uint32_t budget; /* bytes that may still be moved in this walk, and something for each qTD */
};

static bool read_words(struct device *d, uint32_t at, uint32_t *words, unsigned n)
{
    const uint8_t *p = dev_dma(d, at, n * 4, false);
    for (unsigned i = 0; p && i < n; i++)
        words[i] = get_le32(p + i * 4);
    return p;
}

static void write_words(struct device *d, uint32_t at, const uint32_t *words, unsigned n)
{
    uint8_t *p = dev_dma(d, at, n * 4, true);
    if (!p)
        return;
    for (unsigned i = 0; i < n; i++)
        put_le32(p + i * 4, words[i]);
    dev_dma_done(d, at, n * 4);
}

/* ---- the overlay ---- */
static void write_overlay(struct queue *q)
{
    write_words(q->d, q->at + Q_CURRENT * 4, q->w + Q_CURRENT, Q_WORDS - Q_CURRENT);
}

/* The qTD that it came from hears how it went. */
static void write_back(struct queue *q)
{
    uint32_t words[2] = {q->w[Q_TOKEN], q->w[Q_BUFFER]};
    write_overlay(q);
    write_words(q->d, (q->w[Q_CURRENT] & ~31u) + D_TOKEN * 4, words, 2);
}

/* The next qTD comes into the overlay; false: there is none that is active. */
static bool fetch(struct queue *q)
{
    uint32_t left = q->w[Q_TOKEN] & T_BYTES, next = q->w[Q_NEXT], td[D_WORDS];
    if (left && !(q->w[Q_ALTERNATE] & END) && q->w[Q_CURRENT] > END)
        next = q->w[Q_ALTERNATE]; /* after a short packet */
    if (next & END || !read_words(q->d, next & ~31u, td, D_WORDS) || !(td[D_TOKEN] & T_ACTIVE))
        return false;
    q->w[Q_CURRENT] = next & ~31u;
    memcpy(q->w + Q_NEXT, td, sizeof td);
    write_overlay(q);
    return true;
}

/* ---- data ---- */

/* Between the qTD's buffer and ours: up to five pages, from its current offset on. */
static bool copy(struct queue *q, uint32_t bytes, bool to_guest)
{
    unsigned page = (q->w[Q_TOKEN] & T_PAGE) >> 12;
    uint32_t offset = q->w[Q_BUFFER] & (PAGE - 1);
    for (uint32_t done = 0; done < bytes; page++, offset = 0) {
        uint32_t n = MIN(bytes - done, PAGE - offset);
        uint64_t at = page < PAGES ? (q->w[Q_BUFFER + page] & ~(uint32_t)(PAGE - 1)) + offset : 0;
        uint8_t *p = page < PAGES ? dev_dma(q->d, at, n, to_guest) : NULL;
        if (!p)
            return false;
        memcpy(to_guest ? p : q->x->data + done, to_guest ? q->x->data + done : p, n);
        if (to_guest)
            dev_dma_done(q->d, at, n);
        done += n;
    }
    return true;
}

static void advance(struct queue *q, uint32_t moved)
{
    uint32_t left = (q->w[Q_TOKEN] & T_BYTES) >> 16, page = (q->w[Q_TOKEN] & T_PAGE) >> 12;
    uint32_t offset = (q->w[Q_BUFFER] & (PAGE - 1)) + moved;
    page = MIN(page + offset / PAGE, 7);
    q->w[Q_TOKEN] = (q->w[Q_TOKEN] & ~(uint32_t)(T_BYTES | T_PAGE)) | (left - moved) << 16 | page << 12;
    q->w[Q_BUFFER] = (q->w[Q_BUFFER] & ~(uint32_t)(PAGE - 1)) | (offset & (PAGE - 1));
}

/* ---- one qTD ---- */
static void failed(struct queue *q, uint32_t why)
{
    q->w[Q_TOKEN] = (q->w[Q_TOKEN] & ~(uint32_t)(T_ACTIVE | T_RETRIES)) | T_HALTED | why;
    q->x->status |= EHCI_STS_ERROR | (q->w[Q_TOKEN] & T_INTERRUPT ? EHCI_STS_INTERRUPT : 0);
    q->moved = true;
    write_back(q);
}

/* All of it, or a short packet, which tells the guest, too. */
static void through(struct queue *q, const struct usb_token *t)
{
    bool is_short = t->pid == USB_PID_IN && t->moved < t->bytes;
    advance(q, t->moved);
    q->w[Q_TOKEN] &= ~(uint32_t)T_ACTIVE;
    if (q->w[Q_TOKEN] & T_INTERRUPT || is_short)
        q->x->status |= EHCI_STS_INTERRUPT;
    q->moved = true;
    write_back(q);
}

/* false: it stays as it is. */
static bool carry_out(struct queue *q)
{
    static const uint8_t pids[] = {USB_PID_OUT, USB_PID_IN, USB_PID_SETUP, 0};
    struct usb_device *u = ehci_device(q->x, q->w[Q_ENDPOINT] & 127);
    struct usb_token t = {.pid = pids[q->w[Q_TOKEN] >> 8 & 3],
                          .endpoint = q->w[Q_ENDPOINT] >> 8 & 15,
                          .tag = q->w[Q_CURRENT],
                          .data = q->x->data,
                          .bytes = (q->w[Q_TOKEN] & T_BYTES) >> 16};
    if (!u || !t.pid || t.bytes > EHCI_BUFFER || (t.pid != USB_PID_IN && !copy(q, t.bytes, false))) {
        failed(q, T_TRANSACTION);
        return true;
    }
    switch (usb_token(u, &t)) {
    case USB_OK:
        if (t.pid == USB_PID_IN && !copy(q, t.moved, true))
            failed(q, T_TRANSACTION);
        else
            through(q, &t);
        return true;
    case USB_NAK: return false;
    case USB_STALL: failed(q, 0); return true;
    case USB_BABBLE: failed(q, T_BABBLE); return true;
    default: failed(q, T_TRANSACTION); return true;
    }
}

/* A queue head, as long as something moves; false: it is not in RAM. */
static bool run_queue(struct queue *q)
{
    if (!read_words(q->d, q->at, q->w, Q_WORDS))
        return false;
    while (q->budget && !(q->w[Q_TOKEN] & T_HALTED)) {
        if (!(q->w[Q_TOKEN] & T_ACTIVE) && !fetch(q))
            break;
        uint32_t bytes = BYTES_A_TD + ((q->w[Q_TOKEN] & T_BYTES) >> 16);
        if (!carry_out(q))
            break;
        q->budget -= MIN(q->budget, bytes);
    }
    return true;
}

/* ---- schedules ---- */
static void host_error(struct device *d, const char *why)
{
    struct ehci *x = d->state;
    dev_log(d, "%s: the controller stops", why);
    x->command &= ~EHCI_CMD_RUN;
    x->status |= EHCI_STS_HOST_ERROR | EHCI_STS_HALTED;
}

bool ehci_walk_periodic(struct device *d)
{
    struct ehci *x = d->state;
    uint32_t link, frame = x->index >> 3 & 1023;
    struct queue q = {.d = d, .x = x, .budget = BUDGET};
    if (!read_words(d, x->periodic + frame * 4, &link, 1)) {
        host_error(d, "the periodic list is not in RAM");
        return false;
    }
    for (unsigned n = 0; n < STEPS && !(link & END); n++) {
        q.at = link & ~31u;
        if ((link & KIND) != KIND_QUEUE) { /* isochronous, split: on to the next */
            if (!read_words(d, q.at, &link, 1))
                break;
            continue;
        }
        if (!run_queue(&q)) {
            host_error(d, "a queue head is not in RAM");
            break;
        }
        link = q.w[Q_LINK];
    }
    return q.moved;
}

/* Rounds, until one moved nothing. */
bool ehci_walk_async(struct device *d)
{
    struct ehci *x = d->state;
    struct queue q = {.d = d, .x = x, .at = x->async & ~31u, .budget = BUDGET};
    uint32_t mark = q.at;
    bool moved = false;
    for (unsigned n = 0; n < STEPS && q.budget; n++) {
        q.moved = false;
        if (!run_queue(&q)) {
            host_error(d, "a queue head is not in RAM");
            break;
        }
        moved |= q.moved;
        if (q.moved)
            mark = q.at;
        if (q.w[Q_LINK] & END)
            break;
        q.at = q.w[Q_LINK] & ~31u;
        if (q.at == mark && !q.moved)
            break;
    }
    x->async = q.at;
    return moved;
}
