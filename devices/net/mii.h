// SPDX-License-Identifier: GPL-2.0-or-later
/* mii.h - the registers of a 10/100 Mbit/s transceiver (IEEE 802.3, clause 22), whose partner at the other end of the cable
 * can do everything. */
#pragma once
#include "core-vmm/base/stream.h"

enum mii_register { MII_CONTROL, MII_STATUS, MII_ID1, MII_ID2, MII_ADVERTISED, MII_PARTNER, MII_EXPANSION };
enum { MII_LOOPBACK = 0x4000, MII_NEGOTIATE = 0x1000 };
enum { MII_REGISTERS = 32 };
struct mii_phy {
    uint16_t id[2]; /* registers 2 and 3: the maker's, set once */
    uint16_t control, advertised;
    bool link, was_down; /* was_down: since the status was read last */
};
void mii_reset(struct mii_phy *p);
void mii_link(struct mii_phy *p, bool up);
uint16_t mii_read(struct mii_phy *p, unsigned number);
void mii_write(struct mii_phy *p, unsigned number, uint16_t value);
void mii_sync(struct mii_phy *p, struct stream *s);
