// SPDX-License-Identifier: GPL-2.0-or-later
/* e1000_phy.c - the transceiver of a gigabit chip, by MDIC, and the link (SDM 8.4, 13.4.3, 13.8; IEEE 802.3 clause 22).
 *
 * The other end of the cable can do everything and negotiates.  That takes a moment, which the driver sees as a link that is
 * down; then the link comes up with the best that the guest advertises, or that it has forced. */
#include "devices/net/e1000.h"

enum { /* registers of the transceiver; from 16 on Marvell's own */
       PHY_CONTROL = 0,
       PHY_STATUS = 1,
       PHY_ID1 = 2,
       PHY_ID2 = 3,
       PHY_ADVERTISE = 4,
       PHY_PARTNER = 5,
       PHY_EXPANSION = 6,
       PHY_CONTROL_1000 = 9,
       PHY_STATUS_1000 = 10,
       PHY_EXTENDED_STATUS = 15,
       PHY_OWN_CONTROL = 16,
       PHY_OWN_STATUS = 17,
       PHY_IRQ_ENABLE = 18,
       PHY_IRQ_STATUS = 19,
       PHY_OWN_CONTROL2 = 20,
       PHY_PAGE = 22, /* of those from 16 on, but for this one */
       PHY_LEDS = 24,
};
enum {
    CONTROL_SPEED_HIGH = 1 << 6,
    CONTROL_FD = 1 << 8,
    CONTROL_RESTART = 1 << 9,
    CONTROL_POWER_DOWN = 1 << 11,
    CONTROL_NEGOTIATE = 1 << 12,
    CONTROL_SPEED_LOW = 1 << 13,
    CONTROL_LOOPBACK = 1 << 14,
    CONTROL_RESET = 1 << 15,
};
enum { STATUS_LINK = 1 << 2, STATUS_NEGOTIATED = 1 << 5 };
enum { ADVERTISE_10_FD = 1 << 6, ADVERTISE_100 = 1 << 7, ADVERTISE_100_FD = 1 << 8 };
enum { ADVERTISE_1000 = 1 << 8, ADVERTISE_1000_FD = 1 << 9 };
enum { OWN_LINK = 1 << 10, OWN_RESOLVED = 1 << 11, OWN_FD = 1 << 13, OWN_SPEED_SHIFT = 14 };
enum { IRQ_LINK = 1 << 10, IRQ_NEGOTIATED = 1 << 11 };
enum { PARTNER_ALL = 0xcde1, PARTNER_PAGE = 1 << 1, PARTNER_CAN = 1, PARTNER_1000 = 0x3c00 };
enum { ADDRESS = 1, NEGOTIATION_NS = 20 * 1000 * 1000 };
enum { SPEED_10, SPEED_100, SPEED_1000 };

/* What the two ends agree on, or what the guest has forced. */
static unsigned speed_of(const struct e1000 *e, bool *full_duplex)
{
    uint16_t control = e->phy[PHY_CONTROL], own = e->phy[PHY_ADVERTISE], gigabit = e->phy[PHY_CONTROL_1000];
    if (!(control & CONTROL_NEGOTIATE)) {
        *full_duplex = control & CONTROL_FD;
        return control & CONTROL_SPEED_HIGH ? SPEED_1000 : control & CONTROL_SPEED_LOW ? SPEED_100 : SPEED_10;
    }
    if (gigabit & (ADVERTISE_1000 | ADVERTISE_1000_FD)) {
        *full_duplex = gigabit & ADVERTISE_1000_FD;
        return SPEED_1000;
    }
    bool fast = own & (ADVERTISE_100 | ADVERTISE_100_FD);
    *full_duplex = own & (fast ? ADVERTISE_100_FD : ADVERTISE_10_FD);
    return fast ? SPEED_100 : SPEED_10;
}

bool e1000_loopback(struct e1000 *e)
{
    return (*e1000_reg(e, RCTL) & RCTL_LBM) == RCTL_LBM_MAC || e->phy[PHY_CONTROL] & CONTROL_LOOPBACK;
}

bool e1000_link_up(struct e1000 *e)
{
    return e->phy_up && *e1000_reg(e, CTRL) & CTRL_SLU && net_link(e->cable);
}

uint32_t e1000_status(struct device *d, uint32_t at)
{
    struct e1000 *e = d->state;
    bool full_duplex;
    unsigned speed = speed_of(e, &full_duplex);
    uint32_t own = *e1000_reg(e, STATUS);
    if (!e1000_link_up(e))
        return own;
    return own | STATUS_LU | speed << STATUS_SPEED_SHIFT | speed << STATUS_ASDV_SHIFT | (full_duplex ? STATUS_FD : 0);
}

/* The registers that say how the link is. */
static void show(struct e1000 *e)
{
    bool full_duplex, negotiated = e->phy_up && e->phy[PHY_CONTROL] & CONTROL_NEGOTIATE;
    unsigned speed = speed_of(e, &full_duplex);
    uint16_t up = OWN_LINK | OWN_RESOLVED | (full_duplex ? OWN_FD : 0) | speed << OWN_SPEED_SHIFT;
    e->phy[PHY_STATUS] = 0x7949 | (e->phy_up ? STATUS_LINK : 0) | (negotiated ? STATUS_NEGOTIATED : 0);
    e->phy[PHY_PARTNER] = negotiated ? PARTNER_ALL : 0;
    e->phy[PHY_EXPANSION] = 4 | (negotiated ? PARTNER_CAN | PARTNER_PAGE : 0);
    e->phy[PHY_STATUS_1000] = negotiated && speed == SPEED_1000 ? PARTNER_1000 : 0;
    e->phy[PHY_OWN_STATUS] = e->phy_up ? up : 0;
}

static void phy_set(struct device *d, bool up)
{
    struct e1000 *e = d->state;
    bool changed = e->phy_up != up;
    e->phy_up = up;
    show(e);
    if (!changed)
        return;
    uint16_t news = IRQ_LINK | (up ? IRQ_NEGOTIATED : 0);
    e->phy[PHY_IRQ_STATUS] |= news;
    e1000_cause(d, INT_LSC | (news & e->phy[PHY_IRQ_ENABLE] ? INT_PHY : 0));
}

static bool powered(const struct e1000 *e)
{
    return !(e->phy[PHY_CONTROL] & CONTROL_POWER_DOWN);
}

static void link_due(struct device *d)
{
    struct e1000 *e = d->state;
    e->link_due = DEV_NEVER;
    phy_set(d, powered(e) && (net_link(e->cable) || e->phy[PHY_CONTROL] & CONTROL_LOOPBACK));
}

static void negotiate(struct device *d)
{
    struct e1000 *e = d->state;
    phy_set(d, false);
    e->link_due = dev_now(d) + NEGOTIATION_NS;
    dev_timer(d, E1000_TIMER_LINK, e->link_due, link_due);
}

void e1000_link(struct device *d, bool up)
{
    struct e1000 *e = d->state;
    if (up)
        negotiate(d);
    else if (!(e->phy[PHY_CONTROL] & CONTROL_LOOPBACK))
        phy_set(d, false);
}

void e1000_phy_reset(struct device *d)
{
    struct e1000 *e = d->state;
    memset(e->phy, 0, sizeof e->phy);
    memset(e->phy_more, 0, sizeof e->phy_more);
    e->phy[PHY_CONTROL] = CONTROL_NEGOTIATE | CONTROL_FD | CONTROL_SPEED_HIGH;
    e->phy[PHY_ID1] = e->model->phy_id >> 16;
    e->phy[PHY_ID2] = e->model->phy_id;
    e->phy[PHY_ADVERTISE] = 0x0de1;
    e->phy[PHY_CONTROL_1000] = 0x0e00;
    e->phy[PHY_EXTENDED_STATUS] = 0x3000;
    e->phy[PHY_OWN_CONTROL] = 0x0360;
    e->phy[PHY_OWN_CONTROL2] = 0x0d60;
    e->phy[PHY_LEDS] = 0x4100;
    negotiate(d);
}

/* The cable may have been pulled since. */
void e1000_phy_resume(struct device *d)
{
    struct e1000 *e = d->state;
    if (e->phy_up && !net_link(e->cable) && e->link_due == DEV_NEVER)
        e->link_due = dev_now(d);
    dev_timer(d, E1000_TIMER_LINK, e->link_due, link_due);
}

/* ---- MDIC ---- */

static void control_write(struct device *d, uint16_t v)
{
    struct e1000 *e = d->state;
    if (v & CONTROL_RESET) {
        e1000_phy_reset(d);
        return;
    }
    uint16_t before = e->phy[PHY_CONTROL], decides = CONTROL_NEGOTIATE | CONTROL_FD | CONTROL_SPEED_LOW |
                                                     CONTROL_SPEED_HIGH | CONTROL_LOOPBACK | CONTROL_POWER_DOWN;
    e->phy[PHY_CONTROL] = v & 0xfdc0 & ~CONTROL_RESTART;
    if (v & CONTROL_POWER_DOWN)
        phy_set(d, false);
    else if (v & CONTROL_RESTART || (before ^ v) & decides)
        negotiate(d);
}

/* A register of another page than the first; NULL: it is not one. */
static uint16_t *more(struct e1000 *e, unsigned n)
{
    unsigned page = e->phy[PHY_PAGE];
    if (!e->model->phy_pages || n < PHY_OWN_CONTROL || n == PHY_PAGE || !page)
        return NULL;
    return page < E1000_PHY_PAGES ? &e->phy_more[page - 1][n - PHY_OWN_CONTROL] : NULL;
}

static void phy_write(struct device *d, unsigned n, uint16_t v)
{
    struct e1000 *e = d->state;
    uint16_t *other = more(e, n);
    if (other) {
        *other = v;
        return;
    }
    switch (n) {
    case PHY_CONTROL: control_write(d, v); break;
    case PHY_STATUS:
    case PHY_ID1:
    case PHY_ID2:
    case PHY_PARTNER:
    case PHY_EXPANSION:
    case PHY_STATUS_1000:
    case PHY_EXTENDED_STATUS:
    case PHY_OWN_STATUS:
    case PHY_IRQ_STATUS: break; /* to be read */
    default: e->phy[n] = v;
    }
}

static uint16_t phy_read(struct e1000 *e, unsigned n)
{
    uint16_t *other = more(e, n);
    if (other)
        return *other;
    uint16_t v = e->phy[n];
    if (n == PHY_IRQ_STATUS)
        e->phy[n] = 0;
    return v;
}

void e1000_mdic_write(struct device *d, uint32_t at, uint32_t v)
{
    struct e1000 *e = d->state;
    uint32_t command = v & (MDIC_READ | MDIC_WRITE), answer = (v & ~MDIC_ERROR) | MDIC_READY;
    unsigned phy = v >> 21 & 31, n = v >> 16 & 31;
    if (phy != ADDRESS || (command != MDIC_READ && command != MDIC_WRITE))
        answer |= MDIC_ERROR;
    else if (command == MDIC_WRITE)
        phy_write(d, n, v);
    else
        answer = (answer & ~0xffffu) | phy_read(e, n);
    *e1000_reg(e, MDIC) = answer;
    if (v & MDIC_INTERRUPT)
        e1000_cause(d, INT_MDAC);
}
