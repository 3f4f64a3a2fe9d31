// SPDX-License-Identifier: GPL-2.0-or-later
/* e1000_irq.c - when the guest is interrupted (SDM 3.2.7, 3.4.3, 13.4.17-13.4.22).
 *
 * Causes collect in ICR; those that IMS lets through hold the line up until they are read.  Between two rises of the line lie
 * at least ITR * 256 ns, unless all of the guest's CPUs have halted: that time is there to spare them work, and they have none.
 * Before that, causes of single packets may wait for more: a received one for RDTR after the last packet, but at most RADV
 * after the first; a sent one, where its descriptor says so (IDE), for TIDV and TADV.  An interrupt takes along what waits of
 * sent ones, and where a packet or two were sent, longer is waited for that: with an answer both are told at once. */
#include "devices/net/e1000.h"

enum { ITR_NS = 256, DELAY_NS = 1024, DELAY_UNITS = 0xffff, FEW_NS = 500000 };

void e1000_irq_due(struct device *d)
{
    ((struct e1000 *)d->state)->irq_armed = DEV_NEVER;
    e1000_irq_update(d);
}

/* Is it too early?  Then the timer will look again. */
static bool throttled(struct device *d)
{
    struct e1000 *e = d->state;
    uint64_t itr = (*e1000_reg(e, ITR) & DELAY_UNITS) * ITR_NS, now = itr || e->irq_next ? dev_now(d) : 0;
    if (now >= e->irq_next || net_guest_waits(e->cable)) {
        e->irq_next = itr ? now + itr : 0;
        return false;
    }
    if (e->irq_armed == DEV_NEVER) {
        e->irq_armed = e->irq_next;
        dev_timer(d, E1000_TIMER_IRQ, e->irq_armed, e1000_irq_due);
    }
    return true;
}

void e1000_irq_line(struct device *d)
{
    struct e1000 *e = d->state;
    bool wanted = *e1000_reg(e, ICR) & *e1000_reg(e, IMS);
    if (wanted == e->irq_up || (wanted && throttled(d)))
        return;
    if (wanted) {
        *e1000_reg(e, ICR) |= e->tx_delay.causes;
        e->tx_delay.causes = 0;
    }
    e->irq_up = wanted;
    dev_irq(d, 0, wanted);
}

void e1000_irq_update(struct device *d)
{
    ((struct e1000 *)d->state)->model->irq_update(d);
}

void e1000_cause(struct device *d, uint32_t bits)
{
    *e1000_reg(d->state, ICR) |= bits;
    e1000_irq_update(d);
}

/* ---- registers ---- */

static const struct e1000_model *model_of(struct device *d)
{
    return ((struct e1000 *)d->state)->model;
}

void e1000_icr_write(struct device *d, uint32_t at, uint32_t v)
{
    *e1000_reg(d->state, ICR) &= ~v;
    e1000_irq_update(d);
}

void e1000_ics_write(struct device *d, uint32_t at, uint32_t v)
{
    e1000_cause(d, v & model_of(d)->causes);
}

void e1000_ims_write(struct device *d, uint32_t at, uint32_t v)
{
    *e1000_reg(d->state, IMS) |= v & model_of(d)->causes;
    e1000_irq_update(d);
}

void e1000_imc_write(struct device *d, uint32_t at, uint32_t v)
{
    *e1000_reg(d->state, IMS) &= ~v;
    e1000_irq_update(d);
}

/* ---- delays ---- */

static uint64_t delay_of(struct e1000 *e, uint32_t at)
{
    return (*e1000_reg(e, at) & DELAY_UNITS) * DELAY_NS;
}

/* One more packet, so `each` from now on, but not beyond `most` (0: no such limit) after the first. */
static void delay(struct device *d, struct e1000_delay *y, unsigned timer, uint64_t each, uint64_t most,
                  void (*fn)(struct device *d))
{
    uint64_t now = dev_now(d);
    if (y->armed == DEV_NEVER)
        y->limit = most ? now + most : DEV_NEVER;
    y->due = MIN(now + each, y->limit);
    if (y->due < y->armed) {
        y->armed = y->due;
        dev_timer(d, timer, y->armed, fn);
    }
}

/* The timer came: was it moved on since?  True: it is time. */
static bool delay_over(struct device *d, struct e1000_delay *y, unsigned timer, void (*fn)(struct device *d))
{
    y->armed = y->due > dev_now(d) ? y->due : DEV_NEVER;
    dev_timer(d, timer, y->armed, fn);
    return y->armed == DEV_NEVER;
}

static void over(struct device *d, struct e1000_delay *y)
{
    uint32_t causes = y->causes;
    y->causes = 0;
    e1000_cause(d, causes);
}

static void rx_due(struct device *d)
{
    struct e1000 *e = d->state;
    if (delay_over(d, &e->rx_delay, E1000_TIMER_RX, rx_due))
        over(d, &e->rx_delay);
}

static void tx_due(struct device *d)
{
    struct e1000 *e = d->state;
    if (delay_over(d, &e->tx_delay, E1000_TIMER_TX, tx_due))
        over(d, &e->tx_delay);
}

void e1000_rx_later(struct device *d, uint32_t causes)
{
    struct e1000 *e = d->state;
    uint64_t each = delay_of(e, RDTR);
    e->rx_delay.causes |= causes;
    if (each)
        delay(d, &e->rx_delay, E1000_TIMER_RX, each, delay_of(e, RADV), rx_due);
    else
        over(d, &e->rx_delay);
}

void e1000_tx_later(struct device *d, uint32_t causes, bool few)
{
    struct e1000 *e = d->state;
    uint64_t each = delay_of(e, TIDV);
    e->tx_delay.causes |= causes;
    if (each && few)
        delay(d, &e->tx_delay, E1000_TIMER_TX, MAX(each, FEW_NS), FEW_NS, tx_due);
    else if (each)
        delay(d, &e->tx_delay, E1000_TIMER_TX, each, delay_of(e, TADV), tx_due);
    else
        over(d, &e->tx_delay);
}

/* The highest bit does not stay: what waits is told at once. */
void e1000_rdtr_write(struct device *d, uint32_t at, uint32_t v)
{
    struct e1000 *e = d->state;
    *e1000_reg(e, RDTR) = v & DELAY_UNITS;
    if (!(v & RDTR_FPD) || e->rx_delay.armed == DEV_NEVER)
        return;
    e->rx_delay.armed = DEV_NEVER;
    dev_timer(d, E1000_TIMER_RX, DEV_NEVER, rx_due);
    over(d, &e->rx_delay);
}

void e1000_irq_resume(struct device *d)
{
    struct e1000 *e = d->state;
    dev_timer(d, E1000_TIMER_IRQ, e->irq_armed, e1000_irq_due);
    dev_timer(d, E1000_TIMER_RX, e->rx_delay.armed, rx_due);
    dev_timer(d, E1000_TIMER_TX, e->tx_delay.armed, tx_due);
}
