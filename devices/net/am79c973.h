// SPDX-License-Identifier: GPL-2.0-or-later
/* am79c973.h - the PCnet-FAST III in two files: am79c973.c has the registers, am79c973_rings.c frames and descriptors.
 *
 * Source: AMD, Am79C973/Am79C975 PCnet-FAST III data sheet.  CSR n and BCR n are its control and status and its bus
 * configuration registers; the numbers below are theirs. */
#pragma once
#include "devices/net/eeprom93c46.h"
#include "devices/net/ethernet.h"
#include "devices/net/mii.h"

enum {
    CSR_STATUS = 0,
    CSR_INIT_BLOCK = 1, /* and 2 */
    CSR_MASK = 3,
    CSR_FEATURES = 4,
    CSR_EXTENDED = 5,
    CSR_RING_CODES = 6,
    CSR_EXTENDED2 = 7,
    CSR_GROUPS = 8,   /* to 11 */
    CSR_ADDRESS = 12, /* to 14 */
    CSR_MODE = 15,
    CSR_RX_RING = 24,
    CSR_RX_CURRENT = 28,
    CSR_TX_RING = 30,
    CSR_TX_CURRENT = 34,
    CSR_POLL = 47,
    CSR_STYLE = 58,
    CSR_RX_COUNTER = 72,
    CSR_TX_COUNTER = 74,
    CSR_RX_LENGTH = 76, /* of the ring; two's complement */
    CSR_TX_LENGTH = 78,
    CSR_CHIP = 88, /* and 89 */
    CSR_MISSED = 112,
    CSRS = 128
};
enum { /* CSR 0 */
       STATUS_ERROR = 0x8000,
       STATUS_BABBLE = 0x4000,
       STATUS_COLLISION = 0x2000 /* no heartbeat */,
       STATUS_MISSED = 0x1000,
       STATUS_MEMORY = 0x0800,
       STATUS_RX = 0x0400,
       STATUS_TX = 0x0200,
       STATUS_INIT_DONE = 0x0100,
       STATUS_IRQ = 0x0080,
       STATUS_ENABLE = 0x0040,
       STATUS_RX_ON = 0x0020,
       STATUS_TX_ON = 0x0010,
       STATUS_DEMAND = 0x0008,
       STATUS_STOP = 0x0004,
       STATUS_START = 0x0002,
       STATUS_INIT = 0x0001
};
enum { MASK_UNDERFLOW_GOES_ON = 0x0040 }; /* CSR 3: DXSUFLO */
enum {                                    /* CSR 4 */
       FEATURE_NO_POLL = 0x1000,
       FEATURE_PAD = 0x0800,
       FEATURE_STRIP = 0x0400,
       FEATURE_MISSED_OVERFLOW = 0x0200,
       FEATURE_USER_COMMAND = 0x0080,
       FEATURE_USER = 0x0040,
       FEATURE_RX_COLLISIONS = 0x0020,
       FEATURE_TX_START = 0x0008
};
enum { /* CSR 5 */
       EXTENDED_NO_TX_IRQ = 0x8000,
       EXTENDED_LAST_TX_IRQ = 0x4000,
       EXTENDED_SYSTEM = 0x0800,
       EXTENDED_SUSPEND = 0x0001
};
enum { /* CSR 15 */
       MODE_PROMISCUOUS = 0x8000,
       MODE_NO_BROADCAST = 0x4000,
       MODE_NO_PHYSICAL = 0x2000,
       MODE_NO_CHECK = 0x0008,
       MODE_LOOPBACK = 0x0004,
       MODE_NO_TX = 0x0002,
       MODE_NO_RX = 0x0001
};
enum { STYLE_WIDE = 0x0100 /* SSIZE32 */, STYLE_MASK = 0x00ff };
enum { BCR_MISC = 2, BCR_LED0 = 4, BCR_LED3 = 7, BCR_DUPLEX = 9, BCR_BUS = 18, BCR_EEPROM = 19, BCR_STYLE = 20 };
enum { BCR_LATENCY = 22, BCR_SUBSYSTEM = 23, BCR_SUBVENDOR = 24, BCR_TIMER = 31, BCR_MII = 32, BCR_MII_ADDRESS = 33 };
enum { BCR_MII_DATA = 34, BCR_VENDOR = 35, BCRS = 64 };
enum { TIMER_POLL, TIMER_WAIT, TIMER_COUNT };
enum { PCNET_RX_BYTES = 4095 /* what a descriptor can say */, PCNET_TX_BYTES = 8192, PCNET_IDLE_MOST = 6 };

struct pcnet {
    struct net_cable *cable;
    uint16_t csr[CSRS], bcr[BCRS], rap;
    uint8_t aprom[16];
    bool dword;            /* registers are 32 bits apart and wide (DWIO) */
    bool demanded;         /* the driver says when there is something to send (TDMD) */
    uint32_t rx_at, tx_at; /* places in the rings */
    uint64_t poll_at;      /* when the transmit ring is looked at next */
    uint32_t idle_polls;
    uint64_t tx_late;               /* a frame in the ring lacks its end: given up then; 0: none */
    uint64_t count_from, count_due; /* the software timer */
    struct ether_wait wait;
    struct mii_phy phy;
    struct eeprom eeprom;
    uint8_t tx[PCNET_TX_BYTES], rx[PCNET_TX_BYTES + ETHER_LEAST];
};

/* am79c973.c */
void pcnet_irq(struct device *d); /* what INTA# has to be now */

/* am79c973_rings.c */
bool pcnet_wide(const struct pcnet *p);  /* descriptors of 16 bytes */
void pcnet_init_block(struct device *d); /* CSR 0, INIT */
void pcnet_start(struct device *d);      /* ... STRT */
void pcnet_transmit(struct device *d);   /* what the ring has now */
void pcnet_poll(struct device *d);       /* works out when to look at it next */
void pcnet_timers(struct device *d);     /* sets them as the state has them */
bool pcnet_frame(struct device *d, const void *frame, size_t bytes, const struct net_offload *left);
uint32_t pcnet_descriptor(struct pcnet *p, bool tx, unsigned at); /* its address */
unsigned pcnet_length(const struct pcnet *p, bool tx);            /* of the ring */
