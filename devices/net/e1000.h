// SPDX-License-Identifier: GPL-2.0-or-later
/* e1000.h - inside of Intel's gigabit chips: what their files share.
 *
 * A chip's registers are a table of rows (struct e1000_register), each for one or several of them: which bits stay as they
 * are written, and who is called where there is more to it.  What the guest has written stands in e1000.reg[], by offset;
 * the chip takes it from there whenever it needs it, so that there is nothing to keep equal.
 *
 * Sending happens inside the write to a queue's tail, on the vCPU's thread: all descriptors up to the tail, whose data goes
 * from RAM to the cable without a copy.  When the cable is full they wait in the ring until it is not.  Receiving happens on the loop thread, frame by frame into the guest's buffers. */
#pragma once
#include "core-vmm/api/net.h"
#include "devices/net/e1000_registers.h"
#include "devices/net/eeprom93c46.h"

struct e1000_register {
    uint16_t first, last; /* offsets; both 0 and no more: the end */
    uint32_t writable;
    uint32_t (*read)(struct device *d, uint32_t at);
    void (*write)(struct device *d, uint32_t at, uint32_t v);
};

struct e1000_model {
    const struct e1000_register *registers; /* beside those that all have, or instead of them */
    unsigned packet_buffer;                 /* KiB */
    bool extended;                          /* extended receive descriptors, hashes, sums of IPv6 */
    bool flexible_buffers;                  /* RCTL.FLXBUF */
    bool phy_pages;                         /* the transceiver has some more registers, by page */
    uint16_t device_id, subsystem;
    uint8_t eerd_shift; /* of EERD: where the address is ... */
    uint32_t eerd_done; /* ... and the bit that says that the word is there */
    uint32_t phy_id;
    void (*reset)(struct device *d);      /* registers that are not 0 then */
    void (*nvm_fill)(uint16_t *word);     /* what is different there; may be NULL */
    void (*irq_update)(struct device *d); /* ICR or IMS changed */
    uint32_t causes;                      /* that there are */
    uint32_t rx_cause, tx_cause;          /* of queue 0, beside RXT0 and TXDW; the next bit is queue 1's */
};

enum { REGION_REGISTERS, REGION_IO, REGION_OWN /* from here on the model's */ };
enum { E1000_TIMER_IRQ, E1000_TIMER_RX, E1000_TIMER_TX, E1000_TIMER_LINK };
enum { E1000_PHY_REGISTERS = 32, E1000_FRAGMENTS = 64, E1000_QUEUES = 2, E1000_VECTORS = 5, E1000_PHY_PAGES = 8 };

/* An interrupt that waits for more to come: until `due`, which moves on with each packet, but not beyond `limit`.  The timer
 * is set once and looks then whether it was moved. */
struct e1000_delay {
    uint64_t armed, due, limit; /* guest time; armed DEV_NEVER: nothing waits */
    uint32_t causes;            /* what waits */
};

/* What the next packet's checksums are over, and how it is to be cut up (SDM 3.3.6). */
struct e1000_context {
    uint32_t ip, tcp; /* start, offset, end */
    uint32_t command, header;
};

/* A frame on its way in, and what is told of it. */
struct e1000_incoming {
    const uint8_t *data;
    uint32_t bytes;
    uint32_t skip;   /* a VLAN tag of that many bytes is left out */
    uint32_t status; /* RX_VP and others; above eight bits only where descriptors are extended */
    uint16_t tag, sum;
    uint8_t errors, hash_type, queue;
    uint32_t hash;
};

/* A packet on its way out: what its descriptors said so far. */
struct e1000_packet {
    bool begun, drop;      /* drop: it is too long, or not all in RAM */
    uint32_t lower, upper; /* of its first descriptor */
    uint32_t bytes;
    uint32_t gathered; /* bytes that were copied into the buffer; all else is still in the guest's RAM */
    uint8_t *buffer;   /* NET_FRAME_MOST bytes */
    struct iovec iov[E1000_FRAGMENTS];
    int fragments;
};

struct e1000_tx { /* a queue */
    struct e1000_packet packet;
    struct e1000_context context[2]; /* of packets, of packets to be cut up */
};

struct e1000 {
    const struct e1000_model *model;
    struct net_cable *cable;
    uint8_t mac[6];
    uint8_t row[E1000_END / 4]; /* of all rows, from 1 on; 0: there is no such register */
    uint32_t reg[E1000_END / 4];
    uint32_t io_address;
    bool irq_up, rx_full;
    uint64_t irq_next, irq_armed;        /* guest time: not before; the timer */
    uint64_t vector_next[E1000_VECTORS]; /* the same of each message */
    uint32_t told;                       /* causes whose message was sent */
    struct e1000_delay rx_delay, tx_delay;
    uint16_t phy[E1000_PHY_REGISTERS];
    uint16_t phy_more[E1000_PHY_PAGES - 1][E1000_PHY_REGISTERS / 2]; /* from 16 on, of pages 1 ... */
    bool phy_up;
    uint64_t link_due;
    struct eeprom eeprom;
    struct e1000_tx tx[E1000_QUEUES];
};

static inline uint32_t *e1000_reg(struct e1000 *e, uint32_t at)
{
    return &e->reg[at / 4];
}

/* e1000_core.c: what all models have. */
void e1000_init(struct device *d, const struct e1000_model *model, const struct config *c);
void e1000_fini(struct device *d);
void e1000_reset(struct device *d);
void e1000_soft_reset(struct device *d); /* as CTRL.RST does: not the PHY */
uint64_t e1000_read(struct device *d, unsigned region, uint64_t offset, unsigned size);
void e1000_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t v);
void e1000_sync(struct device *d, struct stream *s);
void e1000_count(struct e1000 *e, uint32_t statistic, uint32_t more);
void e1000_count_bytes(struct e1000 *e, uint32_t low, uint64_t bytes); /* 64 bits: low and the next register */
/* Frames of that size with the check sequence: the six registers of sizes from `sizes` on. */
void e1000_count_size(struct e1000 *e, uint32_t sizes, uint32_t bytes, uint32_t frames);

/* e1000_irq.c */
void e1000_cause(struct device *d, uint32_t bits); /* sets them in ICR */
void e1000_irq_update(struct device *d);           /* as the model does it */
void e1000_irq_due(struct device *d);              /* the timer: looks again */
void e1000_irq_line(struct device *d);             /* ... by INTA#, in all there is to the 82540EM */
void e1000_irq_resume(struct device *d);           /* after loading: the timers */
void e1000_icr_write(struct device *d, uint32_t at, uint32_t v);
void e1000_ics_write(struct device *d, uint32_t at, uint32_t v);
void e1000_ims_write(struct device *d, uint32_t at, uint32_t v);
void e1000_imc_write(struct device *d, uint32_t at, uint32_t v);
/* Causes that may wait: a frame came in (until RDTR and RADV say so), descriptors with IDE were done (TIDV and TADV). */
void e1000_rx_later(struct device *d, uint32_t causes);
void e1000_tx_later(struct device *d, uint32_t causes, bool few); /* few: of a packet or two */
void e1000_rdtr_write(struct device *d, uint32_t at, uint32_t v);

/* e1000_phy.c */
void e1000_phy_reset(struct device *d);
void e1000_phy_resume(struct device *d);    /* after loading */
void e1000_link(struct device *d, bool up); /* the cable's other end */
bool e1000_link_up(struct e1000 *e);
bool e1000_loopback(struct e1000 *e); /* what is sent is received, and nothing else */
uint32_t e1000_status(struct device *d, uint32_t at);
void e1000_mdic_write(struct device *d, uint32_t at, uint32_t v);

/* e1000_nvm.c */
void e1000_nvm_fill(struct e1000 *e);
void e1000_nvm_address(struct e1000 *e); /* RAL and RAH 0 as the EEPROM says */
uint32_t e1000_eecd_read(struct device *d, uint32_t at);
void e1000_eecd_write(struct device *d, uint32_t at, uint32_t v);
void e1000_eerd_write(struct device *d, uint32_t at, uint32_t v);

/* e1000_rx.c */
bool e1000_frame(struct device *d, const void *frame, size_t bytes, const struct net_offload *left);
void e1000_rctl_write(struct device *d, uint32_t at, uint32_t v);
void e1000_rdt_write(struct device *d, uint32_t at, uint32_t v);

/* e1000_parse.c */
unsigned e1000_parse(struct e1000 *e, struct e1000_incoming *in); /* fills in what is told; the queue that it goes to */

/* e1000_tx.c */
void e1000_packet_forget(struct e1000_packet *p);
void e1000_tctl_write(struct device *d, uint32_t at, uint32_t v);
void e1000_tdt_write(struct device *d, uint32_t at, uint32_t v);
void e1000_tx_room(struct device *d); /* the cable takes frames again */
