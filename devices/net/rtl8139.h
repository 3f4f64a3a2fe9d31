// SPDX-License-Identifier: GPL-2.0-or-later
/* rtl8139.h - the RTL8139C and C+ in parts: rtl8139.c has the registers, rtl8139_ring.c the receive buffer and four transmit
 * buffers of all 8139s, rtl8139_cplus.c the C+'s descriptors, rtl8139_offload.c its checksums and large sends.
 *
 * Source: Realtek, RTL8139C(L)+ data sheet, version 1.6, and RTL8139C(L) data sheet, version 1.4. */
#pragma once
#include "devices/net/eeprom93c46.h"
#include "devices/net/ethernet.h"
#include "devices/net/mii.h"

enum { /* command register */
       COMMAND_RESET = 0x10,
       COMMAND_RX = 0x08,
       COMMAND_TX = 0x04,
       COMMAND_EMPTY = 0x01
};
enum { /* interrupt status */
       INT_RX = 0x0001,
       INT_RX_ERROR = 0x0002,
       INT_TX = 0x0004,
       INT_TX_ERROR = 0x0008,
       INT_NO_BUFFER = 0x0010,
       INT_LINK = 0x0020,
       INT_RX_FIFO = 0x0040,
       INT_TX_NONE = 0x0080,
       INT_SOFTWARE = 0x0100,
       INT_TIMER = 0x4000,
       INT_SYSTEM = 0x8000
};
enum { /* transmit configuration */
       TCR_NO_CHECK = 0x00010000,
       TCR_LOOPBACK = 0x00060000
};
enum { /* receive configuration */
       RCR_ALL = 0x0001,
       RCR_PHYSICAL = 0x0002,
       RCR_GROUPS = 0x0004,
       RCR_BROADCAST = 0x0008,
       RCR_NO_WRAP = 0x0080
};
enum { CPLUS_TX = 0x0001, CPLUS_RX = 0x0002, CPLUS_RX_SUMS = 0x0020, CPLUS_RX_TAGS = 0x0040 };
enum { RX_OK = 0x0001, RX_GROUP = 0x8000, RX_PHYSICAL = 0x4000, RX_BROADCAST = 0x2000 }; /* of a frame's head */
enum { TIMER_WAIT, TIMER_COUNT, TIMER_TURN };
enum { RTL_TX_BUFFERS = 4, RTL_RX_BYTES = 4096 /* of a frame and its check sequence */, RTL_RING_MOST = 1024 };

struct rtl_tally { /* what the C+ counts, in the order in which it shows them */
    uint64_t tx, rx, tx_errors;
    uint32_t rx_errors, rx_missed, rx_broadcast, rx_group;
};
struct rtl8139 {
    struct net_cable *cable;
    bool cplus; /* the chip is a C+ */
    uint8_t address[ETHER_ADDRESS], groups[8];
    uint8_t command, lock /* 9346CR */, config[6] /* by their numbers */, flow;
    uint16_t interrupts, mask;
    uint32_t tx_config, rx_config, missed;
    uint64_t count_from; /* when TCTR was 0 */
    uint32_t count_irq;  /* TimerInt */
    uint16_t early_bytes, multi_int;
    uint8_t early_status;
    /* the old way */
    uint32_t tx_status[RTL_TX_BUFFERS], tx_address[RTL_TX_BUFFERS], tx_at;
    uint32_t rx_buffer;
    uint16_t rx_read, rx_write; /* CAPR, CBR */
    /* the C+'s */
    uint16_t cplus_command;
    uint64_t tally_address, tx_ring, tx_ring_high, rx_ring;
    uint32_t tx_place, tx_place_high, rx_place; /* descriptors from the base */
    uint8_t tx_most, tx_poll;
    struct rtl_tally tally;
    struct ether_wait wait;
    uint64_t turn_at;   /* more to send than one turn is for: then */
    uint8_t spare[256]; /* registers that do nothing but remember: PHY parameters, wake-up frames */
    struct mii_phy phy;
    struct eeprom eeprom;
    uint8_t *frame; /* NET_FRAME_MOST: what is being sent, and what is received; not saved */
    uint8_t rx[RTL_RX_BYTES];
};

/* rtl8139.c */
void rtl_irq(struct device *d, unsigned events);
void rtl_timers(struct device *d);
void *rtl_memory(struct device *d, uint64_t gpa, unsigned bytes,
                 bool write); /* as dev_dma(); the driver hears of NULL */
bool rtl_looped(const struct rtl8139 *p);
/* A whole frame, to the cable or back into the card.  False: the cable is out. */
bool rtl_send(struct device *d, const void *frame, size_t bytes, const struct net_offload *left);

/* rtl8139_ring.c.  What is received lies in p->rx, with its check sequence; head: of RX_OK and its kin. */
unsigned rtl_ring_bytes(const struct rtl8139 *p);
bool rtl_ring_empty(const struct rtl8139 *p);
bool rtl_ring_receive(struct device *d, unsigned bytes, unsigned head); /* false: no room */
void rtl_ring_transmit(struct device *d);

/* rtl8139_cplus.c */
bool rtl_cplus_receive(struct device *d, unsigned bytes, unsigned head);
void rtl_cplus_transmit(struct device *d);
void rtl_tally_dump(struct device *d);

/* rtl8139_offload.c */
struct rtl_offload {
    bool ip, tcp, udp;      /* which sums to make */
    unsigned segment_bytes; /* 0: one frame */
};
bool rtl_offload_send(struct device *d, uint8_t *frame, size_t bytes, const struct rtl_offload *o); /* as rtl_send() */
enum { /* in a descriptor of the C+ */
       SUM_TCP = 0x10000,
       SUM_UDP = 0x20000,
       SUM_IP = 0x30000,
       SUM_IP_BAD = 0x8000,
       SUM_UDP_BAD = 0x4000,
       SUM_TCP_BAD = 0x2000
};
unsigned rtl_sums(const uint8_t *frame, size_t bytes);
