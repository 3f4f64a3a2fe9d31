// SPDX-License-Identifier: GPL-2.0-or-later
/* e1000e_irq.c - interrupts of the 82574L (data sheet 7.4, 10.2.4; the 82583V's, 7.4.3, says more of EIAC).
 *
 * Without MSI-X it is as with the older chip, but that a read of ICR may also mask (CTRL_EXT.IAME, IAM), so that a driver needs
 * no write for that.  With MSI-X, five causes have messages: two receive queues, two transmit queues, and all others
 * together; IVAR says which message each has, EITR how much time lies between two of the same.  A cause is told once when it
 * comes, and again when the driver lets it through and it is still there; those in EIAC go, with their mask, when told. */
#include "core-vmm/base/bytes.h"
#include "devices/net/e1000e.h"

enum { OTHERS = INT_LSC | INT_RXO | INT_MDAC | INT_SRPD | INT_ACK | INT_MNG };
enum { MESSAGES = INT_RXQ0 | INT_RXQ1 | INT_TXQ0 | INT_TXQ1 | INT_OTHER, CAUSES = 5, FIRST_CAUSE = 20 };
enum { ENTRY_BITS = 4, ENTRY_VECTOR = 7, ENTRY_VALID = 8, ITR_NS = 256, MSIX_ON = 0x80 };
#define INT_ASSERTED (1u << 31)

static bool by_msix(struct device *d)
{
    return dev_pci_config(d)[E1000E_MSIX_AT + 3] & MSIX_ON;
}

/* ---- MSI-X ---- */

/* May this vector be sent now?  If not, the timer comes when it may. */
static bool vector_may(struct device *d, unsigned vector)
{
    struct e1000 *e = d->state;
    uint64_t each = (*e1000_reg(e, EITR + 4 * vector) & 0xffff) * ITR_NS, *next = &e->vector_next[vector];
    uint64_t now = each || *next ? dev_now(d) : 0;
    if (now >= *next || net_guest_waits(e->cable)) {
        *next = each ? now + each : 0;
        return true;
    }
    if (e->irq_armed > *next) {
        e->irq_armed = *next;
        dev_timer(d, E1000_TIMER_IRQ, *next, e1000_irq_due);
    }
    return false;
}

static void tell(struct device *d, unsigned cause)
{
    struct e1000 *e = d->state;
    uint32_t entry = *e1000_reg(e, IVAR) >> cause * ENTRY_BITS, vector = entry & ENTRY_VECTOR,
             bit = 1u << (FIRST_CAUSE + cause);
    if (!(entry & ENTRY_VALID) || vector >= E1000_VECTORS || !vector_may(d, vector))
        return;
    e->told |= bit;
    *e1000_reg(e, ICR) &= ~(bit & *e1000_reg(e, EIAC));
    *e1000_reg(e, IMS) &= ~(bit & *e1000_reg(e, EIAC));
    dev_msi(d, vector);
}

void e1000e_irq_update(struct device *d)
{
    struct e1000 *e = d->state;
    uint32_t *icr = e1000_reg(e, ICR);
    *icr |= *icr & OTHERS ? INT_OTHER : 0;
    e->told &= *icr & *e1000_reg(e, IMS); /* what comes again is news */
    if (!by_msix(d)) {
        bool before = e->irq_up;
        e1000_irq_line(d);
        if (e->irq_up && !before)
            dev_msi(d, 0);
        return;
    }
    uint32_t now = *icr & *e1000_reg(e, IMS) & MESSAGES & ~e->told;
    for (unsigned cause = 0; cause < CAUSES; cause++)
        if (now >> (FIRST_CAUSE + cause) & 1)
            tell(d, cause);
}

/* ---- registers ---- */

uint32_t e1000e_icr_read(struct device *d, uint32_t at)
{
    struct e1000 *e = d->state;
    uint32_t v = *e1000_reg(e, ICR);
    if (v & *e1000_reg(e, IMS)) {
        v |= INT_ASSERTED;
        if (*e1000_reg(e, CTRL_EXT) & CTRL_EXT_IAME && !by_msix(d))
            *e1000_reg(e, IMS) &= ~*e1000_reg(e, IAM);
    }
    *e1000_reg(e, ICR) = 0;
    e1000_irq_update(d);
    return v;
}

/* Behind e1000_sync(), which has set the timer.  Vectors 0 to 4 in this order. */
void e1000e_irq_sync(struct device *d, struct stream *s)
{
    struct e1000 *e = d->state;
    for (unsigned i = 0; i < E1000_VECTORS; i++)
        stream_u64(s, &e->vector_next[i]);
    stream_u32(s, &e->told);
}
