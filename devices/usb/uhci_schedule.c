// SPDX-License-Identifier: GPL-2.0-or-later
/* uhci_schedule.c - what is done in a frame: a list of transfer descriptors (TDs) and queue heads (QHs), which the guest made (UHCI 1.1,
 * chapters 3.1 to 3.4).
 *
 * Drivers let the list end where it began, to use all of a frame's time: a round in which nothing moved ends it here.  A frame
 * also ends after so many steps and bytes, whatever the list looks like. */
#include "core-vmm/base/bytes.h"
#include "devices/usb/uhci.h"

enum { END = 1, IS_QUEUE = 2, DEPTH = 4, STEPS = 1024, BYTES = 16 << 10, BYTES_A_TD = 16 };
enum {
    T_TIMEOUT = 1 << 18,
    T_NAK = 1 << 19,
    T_BABBLE = 1 << 20,
    T_STALLED = 1 << 22,
    T_ACTIVE = 1 << 23,
    T_INTERRUPT = 1 << 24,
    T_ERRORS = 3 << 27,
    T_SHORT = 1 << 29,
    T_LENGTH = 0x7ff,
    T_RESULTS = 0x7e0000, /* bits that are set anew */
};

enum outcome { DONE /* the next of its queue */, STAYS, STOPPED /* by an error, or short */ };
struct walk {
    struct device *d;
    struct uhci *x;
    uint32_t bytes, mark; /* mark: the queue where the round began; END: none */
    bool moved, since;    /* anything in the frame; since the mark */
};

/* ---- a TD ---- */
static void write_status(struct device *d, uint32_t at, uint32_t status)
{
    uint8_t *p = dev_dma(d, at + 4, 4, true);
    if (!p)
        return;
    put_le32(p, status);
    dev_dma_done(d, at + 4, 4);
}

static enum outcome failed(struct walk *w, uint32_t at, uint32_t status, uint32_t why)
{
    write_status(w->d, at, (status & ~(T_ACTIVE | T_NAK | T_ERRORS | T_LENGTH)) | why | T_STALLED | T_LENGTH);
    w->x->status |= UHCI_STS_ERROR;
    if (status & T_INTERRUPT)
        w->x->why |= UHCI_WHY_COMPLETE;
    w->moved = w->since = true;
    return STOPPED;
}

static enum outcome through(struct walk *w, uint32_t at, uint32_t status, const struct usb_token *t)
{
    bool is_short = t->pid == USB_PID_IN && t->moved < t->bytes;
    write_status(w->d, at, (status & ~(T_ACTIVE | T_RESULTS | T_LENGTH)) | ((t->moved - 1) & T_LENGTH));
    w->bytes += BYTES_A_TD + t->moved;
    w->moved = w->since = true;
    if (status & T_INTERRUPT)
        w->x->why |= UHCI_WHY_COMPLETE;
    if (!is_short || !(status & T_SHORT))
        return DONE;
    w->x->why |= UHCI_WHY_SHORT;
    return STOPPED;
}

/* The data, and then it is sent. */
static enum outcome carry_out(struct walk *w, uint32_t at, const uint32_t *td, struct usb_token *t)
{
    struct usb_device *u = uhci_device(w->x, td[2] >> 8 & 127);
    uint8_t *data = t->bytes ? dev_dma(w->d, td[3], t->bytes, t->pid == USB_PID_IN) : w->x->data;
    if (!u || !data)
        return failed(w, at, td[1], T_TIMEOUT);
    if (t->pid != USB_PID_IN)
        memcpy(w->x->data, data, t->bytes);
    switch (usb_token(u, t)) {
    case USB_OK:
        if (t->pid == USB_PID_IN && t->moved) { /* the guest's map may be another now */
            data = dev_dma(w->d, td[3], t->bytes, true);
            if (!data)
                return failed(w, at, td[1], T_TIMEOUT);
            memcpy(data, w->x->data, t->moved);
            dev_dma_done(w->d, td[3], t->moved);
        }
        return through(w, at, td[1], t);
    case USB_NAK:
        if (!(td[1] & T_NAK))
            write_status(w->d, at, td[1] | T_NAK);
        return STAYS;
    case USB_STALL: return failed(w, at, td[1], 0);
    case USB_BABBLE: return failed(w, at, td[1], T_BABBLE);
    default: return failed(w, at, td[1], T_TIMEOUT);
    }
}

static bool read_words(struct device *d, uint32_t at, uint32_t *words, unsigned n)
{
    const uint8_t *p = dev_dma(d, at, n * 4, false);
    for (unsigned i = 0; p && i < n; i++)
        words[i] = get_le32(p + i * 4);
    return p;
}

static void process_error(struct walk *w, const char *why)
{
    dev_log(w->d, "%s: the controller stops", why);
    w->x->status |= UHCI_STS_PROCESS | UHCI_STS_HALTED;
    w->x->command &= ~UHCI_CMD_RUN;
}

static enum outcome run_td(struct walk *w, uint32_t at, uint32_t *link)
{
    uint32_t td[4];
    *link = END;
    if (!read_words(w->d, at, td, 4)) {
        process_error(w, "a transfer descriptor is not in RAM");
        return STOPPED;
    }
    *link = td[0];
    if (!(td[1] & T_ACTIVE))
        return STAYS;
    struct usb_token t = {.pid = td[2] & 0xff,
                          .endpoint = td[2] >> 15 & 15,
                          .tag = at,
                          .data = w->x->data,
                          .bytes = ((td[2] >> 21) + 1) & T_LENGTH};
    if (t.bytes > UHCI_PACKET || (t.pid != USB_PID_IN && t.pid != USB_PID_OUT && t.pid != USB_PID_SETUP)) {
        process_error(w, "a transfer descriptor makes no sense");
        return STOPPED;
    }
    return carry_out(w, at, td, &t);
}

/* ---- a queue ---- */

/* Its TDs, as long as they say depth first.  The next place to go to. */
static uint32_t run_queue(struct walk *w, uint32_t at)
{
    uint32_t qh[2], link;
    for (unsigned n = 0; n < STEPS && w->bytes < BYTES; n++) {
        if (!read_words(w->d, at, qh, 2)) {
            process_error(w, "a queue is not in RAM");
            return END;
        }
        if (qh[1] & END)
            return qh[0];
        if (qh[1] & IS_QUEUE)
            return qh[1];
        if (run_td(w, qh[1] & ~15u, &link) != DONE)
            return qh[0];
        uint8_t *p = dev_dma(w->d, at + 4, 4, true);
        if (p) {
            put_le32(p, link);
            dev_dma_done(w->d, at + 4, 4);
        }
        if (!(link & DEPTH))
            return qh[0];
    }
    return END;
}

/* true: the round that began there has moved nothing. */
static bool came_round(struct walk *w, uint32_t link)
{
    if (w->mark == link && !w->since)
        return true;
    if (w->mark == END || w->mark == link) {
        w->mark = link;
        w->since = false;
    }
    return false;
}

bool uhci_walk(struct device *d, unsigned frame)
{
    struct uhci *x = d->state;
    struct walk w = {.d = d, .x = x, .mark = END};
    uint32_t link;
    if (!read_words(d, x->base + (frame % UHCI_FRAMES) * 4, &link, 1)) {
        process_error(&w, "the frame list is not in RAM");
        return false;
    }
    for (unsigned n = 0; n < STEPS && !(link & END) && w.bytes < BYTES && x->command & UHCI_CMD_RUN; n++) {
        if (!(link & IS_QUEUE)) {
            run_td(&w, link & ~15u, &link);
        } else if (came_round(&w, link)) {
            break;
        } else {
            link = run_queue(&w, link & ~15u);
        }
    }
    if (x->why)
        x->status |= UHCI_STS_INTERRUPT;
    return w.moved;
}
