// SPDX-License-Identifier: GPL-2.0-or-later
/* mii.c - see mii.h. */
#include "devices/net/mii.h"

/* Control. */
enum { RESET = 0x8000, FAST = 0x2000, DOWN = 0x0800, ISOLATE = 0x0400, FULL = 0x0100, TEST = 0x0080 };
/* Status. */
enum { ABILITIES = 0x7849 /* 10 and 100 Mbit/s, half and full duplex, negotiates */, DONE = 0x0020, LINK = 0x0004 };
enum { ADVERTISED = 0x01e1, ADVERTISED_WRITABLE = 0x2fff, PARTNER = 0x45e1, EXPANSION_DONE = 0x0001 };

void mii_reset(struct mii_phy *p)
{
    p->control = MII_NEGOTIATE | FAST | FULL;
    p->advertised = ADVERTISED;
    p->was_down = !p->link;
}

void mii_link(struct mii_phy *p, bool up)
{
    p->link = up;
    p->was_down |= !up;
}

/* A link that was lost shows once, even if it is back. */
static uint16_t status(struct mii_phy *p)
{
    bool up = p->link && !p->was_down;
    p->was_down = !p->link;
    return ABILITIES | (up ? LINK : 0) | (p->link && p->control & MII_NEGOTIATE ? DONE : 0);
}

uint16_t mii_read(struct mii_phy *p, unsigned number)
{
    bool negotiated = p->link && p->control & MII_NEGOTIATE;
    switch (number) {
    case MII_CONTROL: return p->control;
    case MII_STATUS: return status(p);
    case MII_ID1:
    case MII_ID2: return p->id[number - MII_ID1];
    case MII_ADVERTISED: return p->advertised;
    case MII_PARTNER: return negotiated ? PARTNER : 0;
    case MII_EXPANSION: return negotiated ? EXPANSION_DONE : 0;
    }
    return 0;
}

void mii_write(struct mii_phy *p, unsigned number, uint16_t value)
{
    if (number == MII_CONTROL && value & RESET)
        mii_reset(p);
    else if (number == MII_CONTROL) /* a restart (200h) takes no time */
        p->control = value & (MII_LOOPBACK | FAST | MII_NEGOTIATE | DOWN | ISOLATE | FULL | TEST);
    else if (number == MII_ADVERTISED)
        p->advertised = (value & ADVERTISED_WRITABLE & ~0x1fu) | 1; /* the selector: IEEE 802.3 */
}

void mii_sync(struct mii_phy *p, struct stream *s)
{
    stream_u16(s, &p->control);
    stream_u16(s, &p->advertised);
    stream_bool(s, &p->was_down);
}
