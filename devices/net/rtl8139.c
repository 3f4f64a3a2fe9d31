// SPDX-License-Identifier: GPL-2.0-or-later
/* rtl8139.c - Realtek RTL8139C+ (model rtl8139) and RTL8139C (rtl8139c): the registers; see rtl8139.h.
 *
 * 256 bytes, as ports and as memory.  A register may be reached in pieces and together with its neighbours; each has a
 * natural width, in which all accesses arrive here.  While the C+ sends by descriptors, the four transmit buffers' registers
 * are others.  What the chip does takes no time, so thresholds, early interrupts and collisions find nothing to tell.
 *
 * Not here: wake-up frames (their registers remember), CardBus, VPD, the boot ROM's flash. */
#include "devices/net/rtl8139.h"
#include "devices/net/nic_rom.h"
#include "core-vmm/base/bytes.h"
#include "devices/all.h"

/* Registers. */
enum {
    IDR = 0x00,
    MAR = 0x08,
    TALLY = 0x10,
    TSD = 0x10,
    TSAD = 0x20,
    TX_RING = 0x20,
    TX_RING_HIGH = 0x28,
    RBSTART = 0x30,
    ERBCR = 0x34,
    ERSR = 0x36,
    CR = 0x37,
    CAPR = 0x38,
    CBR = 0x3a,
    IMR = 0x3c,
    ISR = 0x3e,
    TCR = 0x40,
    RCR = 0x44,
    TCTR = 0x48,
    MPC = 0x4c,
    LOCK = 0x50,
    CONFIG0 = 0x51,
    CONFIG1 = 0x52,
    TIMER_INT = 0x54,
    MSR = 0x58,
    CONFIG3 = 0x59,
    CONFIG4 = 0x5a,
    MULINT = 0x5c,
    RERID = 0x5e,
    TX_SUMMARY = 0x60,
    BMCR = 0x62,
    BMSR = 0x64,
    ANER = 0x6a,
    CSCR = 0x74,
    CONFIG5 = 0xd8,
    TX_POLL = 0xd9,
    CPLUS = 0xe0,
    RX_RING = 0xe4,
    TX_MOST = 0xec,
    REGISTER_BYTES = 256
};
enum { REGION_PORTS, REGION_MEMORY, REGION_ROM };
enum {
    TCR_VERSION_C = 0x74000000,
    TCR_VERSION_CPLUS = 0x74800000,
    TCR_WRITABLE = 0x030f07f0,
    RCR_WRITABLE = 0x0f03ffbf
};
enum { TSD_RESET = 0x2000, TSD_WRITABLE = 0x003f3fff, CAPR_RESET = 0xfff0, MISSED_MOST = 0xffffff, COUNT_NS = 30 };
enum {
    LOCK_MODE = 0xc0,
    LOCK_LOAD = 0x40,
    LOCK_EEPROM = 0x80,
    LOCK_OPEN = 0xc0,
    EE_SELECT = 8,
    EE_CLOCK = 4,
    EE_IN = 2
};
enum { CONFIG1_FIXED = 0x0c /* ports and memory */, BMCR_LOCKED = 0x3100, CSCR_CONNECTED = 0x0408, MSR_NO_LINK = 0x04 };
enum { CPLUS_WRITABLE = 0x007b, POLL_HIGH = 0x80, POLL_NORMAL = 0x40, POLL_SOFTWARE = 0x01, TALLY_DUMP = 0x08 };
enum { MASTER = 4 /* in the PCI command register */, EEPROM_MARK = 0x8129 };

/* ---- interrupts, memory, timers ---- */

void rtl_irq(struct device *d, unsigned events)
{
    struct rtl8139 *p = d->state;
    p->interrupts |= events;
    dev_irq(d, 0, p->interrupts & p->mask);
}

void *rtl_memory(struct device *d, uint64_t gpa, unsigned bytes, bool write)
{
    struct rtl8139 *p = d->state;
    void *ram = dev_pci_config(d)[4] & MASTER ? dev_dma(d, gpa, bytes, write) : NULL;
    if (ram)
        return ram;
    dev_log(d,
            "its driver points it at 0x%" G_GINT64_MODIFIER "x, where there is no RAM, or has not made it a bus master",
            gpa);
    p->command &= ~(COMMAND_RX | COMMAND_TX);
    rtl_irq(d, INT_SYSTEM);
    return NULL;
}

static uint32_t count_now(struct device *d)
{
    struct rtl8139 *p = d->state;
    return (dev_now(d) - p->count_from) / COUNT_NS;
}

static void count_due(struct device *d)
{
    rtl_irq(d, INT_TIMER);
    rtl_timers(d);
}

/* When the counter reaches the register's value next: in this round of 32 bits or in the following one. */
static uint64_t count_next(struct device *d)
{
    struct rtl8139 *p = d->state;
    uint64_t now = dev_now(d), round = (uint64_t)COUNT_NS << 32,
             from = p->count_from + (now - p->count_from) / round * round;
    uint64_t due = from + (uint64_t)p->count_irq * COUNT_NS;
    return !p->count_irq ? DEV_NEVER : due > now ? due : due + round;
}

static void wait_due(struct device *d)
{
    struct rtl8139 *p = d->state;
    p->wait.look = DEV_NEVER;
    net_more_room(p->cable);
}

void rtl_timers(struct device *d)
{
    struct rtl8139 *p = d->state;
    dev_timer(d, TIMER_COUNT, count_next(d), count_due);
    dev_timer(d, TIMER_WAIT, p->wait.look, wait_due);
    dev_timer(d, TIMER_TURN, p->turn_at, rtl_cplus_transmit);
}

/* ---- frames ---- */

bool rtl_looped(const struct rtl8139 *p)
{
    return (p->tx_config & TCR_LOOPBACK) == TCR_LOOPBACK || p->phy.control & MII_LOOPBACK;
}

/* 0: not for this card; else what the frame's head is to say. */
static unsigned accepted(const struct rtl8139 *p, const uint8_t *to)
{
    unsigned config = p->rx_config, bit = ether_hash_mirrored(to) >> 26, why = 0;
    if (ether_is_broadcast(to))
        why = config & (RCR_BROADCAST | RCR_ALL) ? RX_BROADCAST : 0;
    else if (to[0] & 1)
        why = config & RCR_ALL || (config & RCR_GROUPS && p->groups[bit / 8] >> (bit % 8) & 1) ? RX_GROUP : 0;
    else if (!memcmp(to, p->address, ETHER_ADDRESS))
        why = config & (RCR_PHYSICAL | RCR_ALL) ? RX_PHYSICAL : 0;
    return why ? why | RX_OK : config & RCR_ALL ? RX_OK : 0;
}

static bool by_descriptors(const struct rtl8139 *p)
{
    return p->cplus_command & CPLUS_RX;
}

/* False: there is no room, and the frame may wait. */
static bool receive(struct device *d, const void *frame, size_t bytes, bool wait)
{
    struct rtl8139 *p = d->state;
    unsigned head = bytes >= ETHER_HEAD && bytes <= RTL_RX_BYTES - ETHER_CHECK ? accepted(p, frame) : 0;
    if (!(p->command & COMMAND_RX) || !head)
        return true;
    memcpy(p->rx, frame, bytes);
    if (bytes < ETHER_LEAST)
        memset(p->rx + bytes, 0, ETHER_LEAST - bytes);
    bytes = MAX(bytes, (size_t)ETHER_LEAST);
    put_le32(p->rx + bytes, ether_check(p->rx, bytes));
    bytes += ETHER_CHECK;
    if (by_descriptors(p) ? rtl_cplus_receive(d, bytes, head) : rtl_ring_receive(d, bytes, head)) {
        ether_wait_end(&p->wait);
        return true;
    }
    if (wait && ether_wait(&p->wait, dev_now(d)))
        return false;
    p->missed = MIN(p->missed + 1, (uint32_t)MISSED_MOST);
    p->tally.rx_missed++;
    rtl_irq(d, INT_NO_BUFFER);
    return true;
}

static bool rtl_frame(struct device *d, const void *frame, size_t bytes, const struct net_offload *left)
{
    bool taken = rtl_looped(d->state) || receive(d, frame, bytes, true);
    rtl_timers(d);
    return taken;
}

bool rtl_send(struct device *d, const void *frame, size_t bytes, const struct net_offload *left)
{
    struct rtl8139 *p = d->state;
    if (rtl_looped(p)) {
        receive(d, frame, bytes, false);
        return true;
    }
    struct iovec iov = {(void *)frame, bytes};
    net_send(p->cable, &iov, 1, left);
    return p->phy.link;
}

static void rtl_link(struct device *d, bool up)
{
    struct rtl8139 *p = d->state;
    mii_link(&p->phy, up);
    rtl_irq(d, INT_LINK);
}

/* The driver is at work: there may be room now. */
static void look_again(struct rtl8139 *p)
{
    if (p->wait.until)
        net_more_room(p->cable);
}

/* ---- reset, EEPROM ---- */

/* Mark, PCI's identity, the address: what drivers read of it. */
static void make_eeprom(struct rtl8139 *p, const uint8_t *mac)
{
    static const uint16_t head[] = {EEPROM_MARK, 0x10ec, 0x8139, 0x10ec, 0x8139, 0x4020, 0xe510};
    memcpy(p->eeprom.word, head, sizeof head);
    for (unsigned i = 0; i < 3; i++)
        p->eeprom.word[G_N_ELEMENTS(head) + i] = get_le16(mac + 2 * i);
}

static void load_eeprom(struct rtl8139 *p)
{
    for (unsigned i = 0; i < 3; i++)
        put_le16(p->address + 2 * i, p->eeprom.word[7 + i]);
    memset(p->config, 0, sizeof p->config);
    p->config[1] = CONFIG1_FIXED;
}

static void soft_reset(struct device *d)
{
    struct rtl8139 *p = d->state;
    p->command = p->early_status = 0;
    p->interrupts = p->mask = p->early_bytes = p->multi_int = p->cplus_command = p->rx_write = 0;
    p->tx_config = p->rx_config = p->missed = p->count_irq = p->rx_buffer = 0;
    p->rx_read = CAPR_RESET;
    p->tx_at = p->tx_place = p->tx_place_high = p->rx_place = 0;
    p->tx_ring = p->tx_ring_high = p->rx_ring = p->tally_address = 0;
    p->tx_poll = 0;
    p->turn_at = DEV_NEVER;
    p->count_from = dev_now(d);
    for (unsigned i = 0; i < RTL_TX_BUFFERS; i++)
        p->tx_status[i] = TSD_RESET, p->tx_address[i] = 0;
    memset(&p->tally, 0, sizeof p->tally);
    ether_wait_end(&p->wait);
    net_more_room(p->cable); /* frames that wait are lost */
    rtl_irq(d, 0);
    rtl_timers(d);
}

static void lock_write(struct rtl8139 *p, uint8_t v)
{
    p->lock = v & (LOCK_MODE | EE_SELECT | EE_CLOCK | EE_IN);
    if ((v & LOCK_MODE) == LOCK_EEPROM)
        eeprom_wires(&p->eeprom, v & EE_SELECT, v & EE_CLOCK, v & EE_IN);
    if ((v & LOCK_MODE) == LOCK_LOAD) {
        load_eeprom(p);
        p->lock = 0;
    }
}

static uint8_t lock_read(const struct rtl8139 *p)
{
    return p->lock | ((p->lock & LOCK_MODE) == LOCK_EEPROM && p->eeprom.out);
}

/* ---- reading ---- */

static bool sends_by_descriptors(const struct rtl8139 *p)
{
    return p->cplus_command & CPLUS_TX;
}

/* The place of a register pair that holds 64 bits; NULL: there is none. */
static uint64_t *wide_register(struct rtl8139 *p, unsigned at)
{
    switch (at & ~7u) {
    case TALLY: return sends_by_descriptors(p) ? &p->tally_address : NULL;
    case TX_RING: return sends_by_descriptors(p) ? &p->tx_ring : NULL;
    case TX_RING_HIGH: return sends_by_descriptors(p) ? &p->tx_ring_high : NULL;
    }
    return p->cplus && (at == RX_RING || at == RX_RING + 4) ? &p->rx_ring : NULL;
}

static uint32_t tx_summary(const struct rtl8139 *p)
{
    static const unsigned bit[] = {13 /* OWN */, 30 /* TABT */, 14 /* TUN */, 15 /* TOK */};
    uint32_t v = 0;
    for (unsigned b = 0; b < 4; b++)
        for (unsigned i = 0; i < RTL_TX_BUFFERS; i++)
            v |= (p->tx_status[i] >> bit[b] & 1) << (4 * b + i);
    return v;
}

static uint32_t read8(struct rtl8139 *p, unsigned at)
{
    switch (at) {
    case ERSR: return p->early_status;
    case CR: return p->command | (rtl_ring_empty(p) ? COMMAND_EMPTY : 0);
    case LOCK: return lock_read(p);
    case CONFIG0:
    case CONFIG1: return p->config[at - CONFIG0];
    case CONFIG3:
    case CONFIG4: return p->config[at - CONFIG3 + 3];
    case CONFIG5: return p->config[5];
    case MSR: return p->flow | (p->phy.link ? 0 : MSR_NO_LINK);
    case RERID: return 0x10;
    case TX_POLL: return p->tx_poll;
    case TX_MOST: return p->tx_most;
    }
    if (at < IDR + ETHER_ADDRESS)
        return p->address[at - IDR];
    return at >= MAR && at < MAR + 8 ? p->groups[at - MAR] : p->spare[at];
}

static uint32_t read16(struct rtl8139 *p, unsigned at)
{
    switch (at) {
    case ERBCR: return p->early_bytes;
    case CAPR: return p->rx_read;
    case CBR: return p->rx_write;
    case IMR: return p->mask;
    case ISR: return p->interrupts;
    case MULINT: return p->multi_int;
    case TX_SUMMARY: return tx_summary(p);
    case BMCR: return mii_read(&p->phy, MII_CONTROL);
    case CSCR: return p->phy.link ? CSCR_CONNECTED : 0;
    case CPLUS: return p->cplus_command;
    }
    return at >= BMSR && at <= ANER ? mii_read(&p->phy, at == BMSR ? MII_STATUS : MII_ADVERTISED + (at - BMSR) / 2 - 1)
                                    : 0;
}

static uint32_t read32(struct device *d, unsigned at)
{
    struct rtl8139 *p = d->state;
    const uint64_t *wide = wide_register(p, at);
    if (wide)
        return *wide >> (at == RX_RING ? 0 : at == RX_RING + 4 ? 32 : 8 * (at & 4));
    switch (at) {
    case RBSTART: return p->rx_buffer;
    case TCR: return p->tx_config | (p->cplus ? TCR_VERSION_CPLUS : TCR_VERSION_C);
    case RCR: return p->rx_config;
    case TCTR: return count_now(d);
    case MPC: return p->missed;
    case TIMER_INT: return p->count_irq;
    }
    unsigned i = at / 4 % RTL_TX_BUFFERS;
    return at >= TSAD ? p->tx_address[i] : p->tx_status[i];
}

/* The natural width of the register there. */
static unsigned width(const struct rtl8139 *p, unsigned at)
{
    static const uint8_t wide[] = {RBSTART, TCR, RCR, TCTR, MPC, TIMER_INT};
    for (unsigned i = 0; i < sizeof wide; i++)
        if ((at & ~3u) == wide[i])
            return 4;
    if ((at >= TSD && at < RBSTART) || (p->cplus && at >= RX_RING && at < RX_RING + 8))
        return 4;
    bool word = (at & ~1u) == ERBCR || (at >= CAPR && at < TCR) || (at >= MULINT && at < RERID) ||
                (at >= TX_SUMMARY && at < ANER + 2) || (at & ~1u) == CSCR || (p->cplus && (at & ~1u) == CPLUS);
    return word ? 2 : 1;
}

static uint32_t register_read(struct device *d, unsigned at, unsigned bytes)
{
    return bytes == 4 ? read32(d, at) : bytes == 2 ? read16(d->state, at) : read8(d->state, at);
}

static uint64_t rtl_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    uint64_t v = 0;
    for (unsigned done = 0; done < size;) {
        unsigned at = offset + done, own = width(d->state, at), into = at & (own - 1);
        unsigned part = MIN(own - into, size - done);
        uint64_t mask = (1ull << (8 * part)) - 1;
        v |= (register_read(d, at - into, own) >> (8 * into) & mask) << (8 * done);
        done += part;
    }
    return v;
}

/* ---- writing ---- */

static void command_write(struct device *d, uint8_t v)
{
    struct rtl8139 *p = d->state;
    if (v & COMMAND_RESET)
        soft_reset(d);
    else
        p->command = v & (COMMAND_RX | COMMAND_TX);
    if (p->command & COMMAND_TX && !sends_by_descriptors(p))
        rtl_ring_transmit(d);
    look_again(p);
}

static void poll_write(struct device *d, uint8_t v)
{
    struct rtl8139 *p = d->state;
    p->tx_poll |= v & (POLL_HIGH | POLL_NORMAL);
    if (v & POLL_SOFTWARE)
        rtl_irq(d, INT_SOFTWARE);
    rtl_cplus_transmit(d);
}

static void config_write(struct rtl8139 *p, unsigned at, uint8_t v)
{
    if ((p->lock & LOCK_MODE) != LOCK_OPEN && at != CONFIG5)
        return;
    switch (at) {
    case CONFIG1: p->config[1] = (v & ~CONFIG1_FIXED) | CONFIG1_FIXED; break;
    case CONFIG3: p->config[3] = v & 0x7f; break;
    case CONFIG4: p->config[4] = v; break;
    case CONFIG5: p->config[5] = v & 0x7f; break;
    }
}

static void write8(struct device *d, unsigned at, uint8_t v)
{
    struct rtl8139 *p = d->state;
    switch (at) {
    case ERSR: p->early_status &= ~v; return;
    case CR: command_write(d, v); return;
    case LOCK: lock_write(p, v); return;
    case MSR: p->flow = v & 0xc0; return;
    case CONFIG0:
    case CONFIG1:
    case CONFIG3:
    case CONFIG4:
    case CONFIG5: config_write(p, at, v); return;
    case RERID: return;
    }
    if (at == TX_POLL && p->cplus)
        poll_write(d, v);
    else if (at == TX_MOST && p->cplus)
        p->tx_most = v & 0x3f;
    else if (at < IDR + ETHER_ADDRESS)
        p->address[at - IDR] = v;
    else if (at >= MAR && at < MAR + 8)
        p->groups[at - MAR] = v;
    else if (at >= CSCR && at < CONFIG5)
        p->spare[at] = v;
}

static void bmcr_write(struct rtl8139 *p, uint16_t v)
{
    uint16_t keep = (p->lock & LOCK_MODE) == LOCK_OPEN ? 0 : BMCR_LOCKED;
    mii_write(&p->phy, MII_CONTROL, (v & ~keep) | (p->phy.control & keep));
}

/* Where the driver reads is 16 bytes further.  If there was nothing to read, that is worth an interrupt. */
static void read_pointer_write(struct device *d, uint16_t v)
{
    struct rtl8139 *p = d->state;
    bool empty = rtl_ring_empty(p) && p->command & COMMAND_RX && !by_descriptors(p);
    p->rx_read = v;
    if (empty && !rtl_ring_empty(p))
        rtl_irq(d, INT_LINK);
    look_again(p);
}

static void write16(struct device *d, unsigned at, uint16_t v)
{
    struct rtl8139 *p = d->state;
    switch (at) {
    case CAPR: read_pointer_write(d, v); break;
    case IMR: p->mask = v; break;
    case ISR:
        p->interrupts &= ~v;
        look_again(p);
        break;
    case MULINT: p->multi_int = v; break;
    case BMCR: bmcr_write(p, v); break;
    case BMSR + 2: mii_write(&p->phy, MII_ADVERTISED, v); break;
    case CPLUS: p->cplus_command = v & CPLUS_WRITABLE; break;
    }
    rtl_irq(d, 0);
}

static void wide_write(struct device *d, unsigned at, uint64_t *to, uint32_t v)
{
    struct rtl8139 *p = d->state;
    bool upper = to == &p->rx_ring ? at != RX_RING : at & 4;
    *to = upper ? (*to & UINT32_MAX) | (uint64_t)v << 32 : (*to & ~(uint64_t)UINT32_MAX) | v;
    if (to == &p->tally_address && !upper && v & TALLY_DUMP) {
        rtl_tally_dump(d);
        *to &= ~(uint64_t)TALLY_DUMP;
    } else if (to == &p->tx_ring) {
        p->tx_place = 0;
    } else if (to == &p->tx_ring_high) {
        p->tx_place_high = 0;
    } else if (to == &p->rx_ring) {
        p->rx_place = 0;
        look_again(p);
    }
}

static void tx_status_write(struct device *d, unsigned i, uint32_t v)
{
    struct rtl8139 *p = d->state;
    p->tx_status[i] = v & TSD_WRITABLE;
    rtl_ring_transmit(d);
}

static void write32(struct device *d, unsigned at, uint32_t v)
{
    struct rtl8139 *p = d->state;
    uint64_t *wide = wide_register(p, at);
    if (wide) {
        wide_write(d, at, wide, v);
        return;
    }
    switch (at) {
    case RBSTART: p->rx_buffer = v; return;
    case TCR: p->tx_config = v & TCR_WRITABLE; return;
    case RCR: p->rx_config = v & RCR_WRITABLE; return;
    case TCTR:
        p->count_from = dev_now(d);
        rtl_timers(d);
        return;
    case MPC: p->missed = 0; return;
    case TIMER_INT:
        p->count_irq = v;
        rtl_timers(d);
        return;
    }
    if (at >= TSAD && at < RBSTART)
        p->tx_address[at / 4 % RTL_TX_BUFFERS] = v;
    else if (at >= TSD && at < TSAD)
        tx_status_write(d, at / 4 % RTL_TX_BUFFERS, v);
}

static void register_write(struct device *d, unsigned at, unsigned bytes, uint32_t v)
{
    if (bytes == 4)
        write32(d, at, v);
    else if (bytes == 2)
        write16(d, at, v);
    else
        write8(d, at, v);
}

/* Bits that are cleared by writing 1 stay as they are where nothing is written. */
static uint32_t untouched(struct device *d, unsigned at, unsigned bytes)
{
    return at == ISR || at == MPC ? 0 : register_read(d, at, bytes);
}

static void rtl_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t v)
{
    for (unsigned done = 0; done < size;) {
        unsigned at = offset + done, own = width(d->state, at), into = at & (own - 1);
        unsigned part = MIN(own - into, size - done);
        uint64_t mask = ((1ull << (8 * part)) - 1) << (8 * into), piece = v >> (8 * done) << (8 * into);
        uint64_t rest = part < own ? untouched(d, at - into, own) : 0;
        register_write(d, at - into, own, (rest & ~mask) | (piece & mask));
        done += part;
    }
}

/* ---- life ---- */

static bool rtl_init(struct device *d, const struct config *c, GError **error)
{
    static const struct net_card card = {rtl_frame, rtl_link};
    struct rtl8139 *p = d->state;
    uint8_t mac[ETHER_ADDRESS];
    if (!nic_rom_init(d, REGION_ROM, c, "pxe-rtl8139.rom", error))
        return false;
    net_mac(c, mac);
    make_eeprom(p, mac);
    p->cplus = d->ops == &rtl8139_ops;
    p->frame = g_malloc(NET_FRAME_MOST);
    p->cable = net_open(d, &card);
    p->phy.link = net_link(p->cable);
    return true;
}

static void rtl_reset(struct device *d)
{
    struct rtl8139 *p = d->state;
    p->lock = p->flow = p->tx_most = 0;
    memset(p->groups, 0, sizeof p->groups);
    memset(p->spare, 0, sizeof p->spare);
    eeprom_reset(&p->eeprom);
    mii_reset(&p->phy);
    load_eeprom(p);
    soft_reset(d);
}

static void sync_tally(struct rtl_tally *t, struct stream *s)
{
    stream_u64(s, &t->tx);
    stream_u64(s, &t->rx);
    stream_u64(s, &t->tx_errors);
    stream_u32(s, &t->rx_errors);
    stream_u32(s, &t->rx_missed);
    stream_u32(s, &t->rx_broadcast);
    stream_u32(s, &t->rx_group);
}

static void sync_buffers(struct rtl8139 *p, struct stream *s)
{
    for (unsigned i = 0; i < RTL_TX_BUFFERS; i++) {
        stream_u32(s, &p->tx_status[i]);
        stream_u32(s, &p->tx_address[i]);
    }
    stream_check_u32(s, &p->tx_at, RTL_TX_BUFFERS - 1);
    stream_u32(s, &p->rx_buffer);
    stream_u16(s, &p->rx_read);
    stream_u16(s, &p->rx_write);
    stream_u16(s, &p->cplus_command);
    stream_u64(s, &p->tally_address);
    stream_u64(s, &p->tx_ring);
    stream_u64(s, &p->tx_ring_high);
    stream_u64(s, &p->rx_ring);
    stream_check_u32(s, &p->tx_place, RTL_RING_MOST - 1);
    stream_check_u32(s, &p->tx_place_high, RTL_RING_MOST - 1);
    stream_check_u32(s, &p->rx_place, RTL_RING_MOST - 1);
    stream_u8(s, &p->tx_most);
    stream_u8(s, &p->tx_poll);
}

static void sync_registers(struct rtl8139 *p, struct stream *s)
{
    stream_raw(s, p->address, sizeof p->address);
    stream_raw(s, p->groups, sizeof p->groups);
    stream_u8(s, &p->command);
    stream_u8(s, &p->lock);
    stream_raw(s, p->config, sizeof p->config);
    stream_u8(s, &p->flow);
    stream_u16(s, &p->interrupts);
    stream_u16(s, &p->mask);
    stream_u32(s, &p->tx_config);
    stream_u32(s, &p->rx_config);
    stream_u32(s, &p->missed);
    stream_u64(s, &p->count_from);
    stream_u32(s, &p->count_irq);
    stream_u16(s, &p->early_bytes);
    stream_u16(s, &p->multi_int);
    stream_u8(s, &p->early_status);
    stream_raw(s, p->spare, sizeof p->spare);
}

static bool rtl_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct rtl8139 *p = d->state;
    sync_registers(p, s);
    sync_buffers(p, s);
    sync_tally(&p->tally, s);
    stream_u64(s, &p->wait.until);
    stream_u64(s, &p->wait.look);
    stream_u64(s, &p->turn_at);
    mii_sync(&p->phy, s);
    eeprom_sync(&p->eeprom, s);
    if (s->loading && stream_ok(s)) {
        rtl_irq(d, 0);
        rtl_timers(d);
    }
    return stream_ok(s);
}

static void rtl_fini(struct device *d)
{
    struct rtl8139 *p = d->state;
    net_close(p->cable);
    g_free(p->frame);
}

#define RTL_REGIONS                                                                                                    \
    {                                                                                                                  \
        [REGION_PORTS] = {.bus = BUS_PORT, .bytes = REGISTER_BYTES, .min_size = 1, .max_size = 4, .bar = BAR0},        \
        [REGION_MEMORY] = {.bus = BUS_MEM, .bytes = REGISTER_BYTES, .min_size = 1, .max_size = 4, .bar = BAR1},        \
        [REGION_ROM] = NIC_ROM_REGION,                                                                                 \
    }
static const struct pci_ids rtl8139_ids = {
    .vendor = 0x10ec,
    .device = 0x8139,
    .subsystem_vendor = 0x10ec,
    .subsystem = 0x8139,
    .class_code = 0x020000,
    .revision = 0x20, /* what drivers know the C+ by */
    .interrupt_pin = 1,
};
static const struct pci_ids rtl8139c_ids = {
    .vendor = 0x10ec,
    .device = 0x8139,
    .subsystem_vendor = 0x10ec,
    .subsystem = 0x8139,
    .class_code = 0x020000,
    .revision = 0x10,
    .interrupt_pin = 1,
};

const struct device_ops rtl8139_ops = {
    .name = "rtl8139",
    .state_bytes = sizeof(struct rtl8139),
    .version = 1,
    .regions = RTL_REGIONS,
    .pci = &rtl8139_ids,
    .init = rtl_init,
    .reset = rtl_reset,
    .read = rtl_read,
    .write = rtl_write,
    .sync = rtl_sync,
    .fini = rtl_fini,
};
const struct device_ops rtl8139c_ops = {
    .name = "rtl8139c",
    .state_bytes = sizeof(struct rtl8139),
    .version = 1,
    .regions = RTL_REGIONS,
    .pci = &rtl8139c_ids,
    .init = rtl_init,
    .reset = rtl_reset,
    .read = rtl_read,
    .write = rtl_write,
    .sync = rtl_sync,
    .fini = rtl_fini,
};
