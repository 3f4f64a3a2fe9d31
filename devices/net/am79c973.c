// SPDX-License-Identifier: GPL-2.0-or-later
/* am79c973.c - AMD Am79C973 PCnet-FAST III: the registers; see am79c973.h.
 *
 * 32 bytes, as ports and as memory: 16 of address PROM, then four registers, 16 bits wide and apart until software writes 32
 * bits to the first of them.  RAP chooses which CSR shows in RDP and which BCR in BDP.
 *
 * Not here: Magic Packets (their bits are kept, nothing wakes), the parity and descriptor test modes, external SRAM. */
#include "devices/net/am79c973.h"
#include "devices/net/nic_rom.h"
#include "core-vmm/base/bytes.h"
#include "devices/all.h"

/* Registers. */
enum { PROM_BYTES = 16, REGISTER_BYTES = 32, RDP = 0, RAP = 1, RESET = 2, BDP = 3 };
enum { REGION_PORTS, REGION_MEMORY, REGION_ROM };
enum { CHIP_LOW = 0x5003, CHIP_HIGH = 0x0262 }; /* part 2625h, AMD's 001h */
enum { FEATURES_RESET = 0x0115 };
enum { FEATURES_EVENTS = 0x0268, FEATURES_CONTROL = 0xfd15 };
enum { EXTENDED_EVENTS = 0x0890, EXTENDED_CONTROL = 0xc46f };
enum { EXTENDED2_EVENTS = 0x0aaa, EXTENDED2_CONTROL = 0xd555, EXTENDED2_TIMER = 0x0800, EXTENDED2_MII_DONE = 0x0020 };
enum { EXTENDED2_MII_CHANGED = 0x0080, MII_AUTO_POLL = 0x0800 };
enum { STATUS_EVENTS = 0x7f00, STATUS_IRQ_EVENTS = 0x5f00, STATUS_ERRORS = 0x7800, MASK_CONTROL = 0x5f7c };
enum { MISC_PROM_WRITES = 0x0100 };
enum {
    LED_OUT = 0x8000,
    LED_INVERTED = 0x4000,
    LED_OFF = 0x2000,
    LED_FAST = 0x1000,
    LED_DUPLEX = 0x0100,
    LED_LINK = 0x0040
};
enum { EEPROM_VALID = 0x8000, EEPROM_READ = 0x4000, EEPROM_THERE = 0x2000, EEPROM_ENABLE = 0x10, EEPROM_SELECT = 4 };
enum { EEPROM_CLOCK = 2, EEPROM_DATA = 1, BUS_DWORD = 0x0080, STYLE_CSRS = 0x0200, STYLE_WRITABLE = 0x04ff };
enum { PHY_ADDRESS = 30, COUNT_NS = 12800 /* a step of the software timer */ };

/* Before an EEPROM is read; those not listed are 0. */
static const struct {
    uint8_t number;
    uint16_t value;
} bcr_reset[] = {{0, 0x0005},           {1, 0x0005},         {BCR_MISC, 0x0002},
                 {4, 0x00c0},           {5, 0x0084},         {6, 0x0088},
                 {7, 0x0090},           {BCR_BUS, 0x9001},   {BCR_STYLE, STYLE_CSRS},
                 {BCR_LATENCY, 0xff06}, {BCR_TIMER, 0xffff}, {BCR_MII, 0x0400},
                 {BCR_VENDOR, 0x1022}};

/* ---- interrupts and the software timer ---- */

static unsigned status_now(const struct pcnet *p)
{
    unsigned status = p->csr[CSR_STATUS], extended = p->csr[CSR_EXTENDED], extended2 = p->csr[CSR_EXTENDED2];
    unsigned features = p->csr[CSR_FEATURES];
    /* an event's enable bit is the one below it; that of CSR 4, a mask, too, but UINT has none */
    bool any = status & STATUS_IRQ_EVENTS & ~p->csr[CSR_MASK] ||
               features & FEATURES_EVENTS & ~(features << 1 & ~0x40) || extended & EXTENDED_EVENTS & extended << 1 ||
               extended2 & EXTENDED2_EVENTS & extended2 << 1;
    return status | (status & STATUS_ERRORS ? STATUS_ERROR : 0) | (any ? STATUS_IRQ : 0);
}

void pcnet_irq(struct device *d)
{
    unsigned status = status_now(d->state);
    dev_irq(d, 0, status & STATUS_IRQ && status & STATUS_ENABLE);
}

static void count_due(struct device *d);

/* The timer only runs on the host's clock if somebody waits for its interrupt. */
static void count_arm(struct device *d)
{
    struct pcnet *p = d->state;
    bool waits = p->csr[CSR_EXTENDED2] & EXTENDED2_TIMER >> 1 && !(p->csr[CSR_EXTENDED2] & EXTENDED2_TIMER);
    dev_timer(d, TIMER_COUNT, waits ? p->count_due : DEV_NEVER, count_due);
}

/* Has it run down since somebody looked? */
static void count_look(struct device *d)
{
    struct pcnet *p = d->state;
    uint64_t now = dev_now(d), period = MAX(p->bcr[BCR_TIMER], 1) * (uint64_t)COUNT_NS;
    if (now < p->count_due)
        return;
    p->csr[CSR_EXTENDED2] |= EXTENDED2_TIMER;
    p->count_due = p->count_from + ((now - p->count_from) / period + 1) * period;
}

static void count_due(struct device *d)
{
    count_look(d);
    count_arm(d);
    pcnet_irq(d);
}

static void count_start(struct device *d)
{
    struct pcnet *p = d->state;
    p->count_from = dev_now(d);
    p->count_due = p->count_from + MAX(p->bcr[BCR_TIMER], 1) * (uint64_t)COUNT_NS;
    count_arm(d);
}

/* ---- control and status registers ---- */

/* Stopping ends everything at once; what was received or sent stays as it is. */
static void stop(struct device *d)
{
    struct pcnet *p = d->state;
    p->csr[CSR_STATUS] = STATUS_STOP;
    p->csr[CSR_FEATURES] &= ~FEATURES_EVENTS;
    p->csr[CSR_EXTENDED] &= ~(EXTENDED_EVENTS | EXTENDED_SUSPEND);
    p->poll_at = DEV_NEVER;
    p->tx_late = 0;
    ether_wait_end(&p->wait);
    pcnet_timers(d);
    net_more_room(p->cable); /* frames that wait go where all go now: nowhere */
}

static void status_write(struct device *d, uint16_t v)
{
    struct pcnet *p = d->state;
    uint16_t *status = &p->csr[CSR_STATUS], before = *status;
    if (v & STATUS_STOP) {
        stop(d);
        return;
    }
    *status = (*status & ~(v & STATUS_EVENTS) & ~STATUS_ENABLE) | (v & STATUS_ENABLE);
    if (v & STATUS_INIT && !(before & (STATUS_INIT | STATUS_START))) {
        *status = (*status & ~STATUS_STOP) | STATUS_INIT;
        pcnet_init_block(d);
    }
    if (v & STATUS_START && !(before & STATUS_START)) {
        *status = (*status & ~STATUS_STOP) | STATUS_START;
        pcnet_start(d);
    } else if (v & STATUS_DEMAND && *status & STATUS_TX_ON) {
        p->demanded = true;
        pcnet_transmit(d);
    }
    if (p->wait.until && v & STATUS_EVENTS) /* the driver is at work: it may have made room */
        net_more_room(p->cable);
}

static void features_write(struct device *d, uint16_t v)
{
    struct pcnet *p = d->state;
    uint16_t events = p->csr[CSR_FEATURES] & FEATURES_EVENTS & ~v;
    p->csr[CSR_FEATURES] = events | (v & FEATURES_CONTROL) | (v & FEATURE_USER_COMMAND ? FEATURE_USER : 0);
    pcnet_poll(d);
}

static void extended_write(struct device *d, uint16_t v)
{
    struct pcnet *p = d->state;
    uint16_t before = p->csr[CSR_EXTENDED];
    p->csr[CSR_EXTENDED] = (before & EXTENDED_EVENTS & ~v) | (v & EXTENDED_CONTROL);
    if (before & EXTENDED_SUSPEND && !(v & EXTENDED_SUSPEND)) {
        pcnet_transmit(d);
        net_more_room(p->cable);
    }
}

static void extended2_write(struct device *d, uint16_t v)
{
    struct pcnet *p = d->state;
    count_look(d);
    p->csr[CSR_EXTENDED2] = (p->csr[CSR_EXTENDED2] & EXTENDED2_EVENTS & ~v) | (v & EXTENDED2_CONTROL);
    count_arm(d);
}

static bool stands(const struct pcnet *p)
{
    return p->csr[CSR_STATUS] & STATUS_STOP || p->csr[CSR_EXTENDED] & EXTENDED_SUSPEND;
}

static void style_write(struct pcnet *p, uint16_t v)
{
    bool wide = (v & STYLE_MASK) >= 1 && (v & STYLE_MASK) <= 3; /* 1, which is reserved, as 2; others as 0 */
    if (stands(p))
        p->bcr[BCR_STYLE] = (v & STYLE_WRITABLE) | STYLE_CSRS | (wide ? STYLE_WIDE : 0);
}

/* A few registers are other names for something, and some show what is worked out here. */
static uint16_t csr_read(struct device *d, unsigned n)
{
    struct pcnet *p = d->state;
    bool tx = n >= CSR_TX_CURRENT;
    switch (n) {
    case CSR_STATUS: return status_now(p);
    case 16:
    case 17: return p->csr[CSR_INIT_BLOCK + n - 16];
    case CSR_EXTENDED2: count_look(d); return p->csr[n];
    case CSR_RX_CURRENT:
    case CSR_TX_CURRENT: return pcnet_descriptor(p, tx, tx ? p->tx_at : p->rx_at);
    case CSR_RX_CURRENT + 1:
    case CSR_TX_CURRENT + 1: return pcnet_descriptor(p, tx, tx ? p->tx_at : p->rx_at) >> 16;
    case CSR_STYLE: return p->bcr[BCR_STYLE];
    case CSR_RX_COUNTER: return p->rx_at + 1 - pcnet_length(p, false);
    case CSR_TX_COUNTER: return p->tx_at + 1 - pcnet_length(p, true);
    case CSR_CHIP: return CHIP_LOW;
    case CSR_CHIP + 1: return CHIP_HIGH;
    }
    return n < CSRS ? p->csr[n] : 0;
}

static void csr_write(struct device *d, unsigned n, uint16_t v)
{
    struct pcnet *p = d->state;
    switch (n) {
    case CSR_STATUS: status_write(d, v); return;
    case CSR_MASK: p->csr[n] = v & MASK_CONTROL; return;
    case CSR_FEATURES: features_write(d, v); return;
    case CSR_EXTENDED: extended_write(d, v); return;
    case CSR_EXTENDED2: extended2_write(d, v); return;
    case CSR_RING_CODES:
    case CSR_CHIP:
    case CSR_CHIP + 1: return;
    case 16:
    case 17: n = CSR_INIT_BLOCK + n - 16; break;
    case CSR_STYLE: style_write(p, v); return;
    case CSR_MISSED: p->csr[n] = v; return;
    }
    if (n >= CSRS || !stands(p))
        return;
    p->csr[n] = v;
    if (n == CSR_RX_LENGTH || n == CSR_TX_LENGTH)
        p->rx_at = p->tx_at = 0;
}

/* ---- EEPROM, address PROM ---- */

static void prom_from_eeprom(struct pcnet *p)
{
    for (unsigned i = 0; i < sizeof p->aprom / 2; i++)
        put_le16(p->aprom + 2 * i, p->eeprom.word[i]);
    for (unsigned i = 0; i < 3; i++)
        p->csr[CSR_ADDRESS + i] = p->eeprom.word[i];
}

/* The address, hardware type 11h, a checksum of all but itself, and "WW", as AMD's drivers want it. */
static void make_eeprom(struct pcnet *p, const uint8_t *mac)
{
    enum { TYPE = 9, CHECKSUM = 12, MARK = 14 };
    uint8_t prom[PROM_BYTES] = {[TYPE] = 0x11, [MARK] = 'W', [MARK + 1] = 'W'};
    unsigned sum = 0;
    memcpy(prom, mac, ETHER_ADDRESS);
    for (unsigned i = 0; i < sizeof prom; i++)
        sum += prom[i];
    put_le16(prom + CHECKSUM, sum);
    memset(p->eeprom.word, 0xff, sizeof p->eeprom.word);
    for (unsigned i = 0; i < sizeof prom / 2; i++)
        p->eeprom.word[i] = get_le16(prom + 2 * i);
}

static uint16_t eeprom_read(const struct pcnet *p)
{
    uint16_t wires = p->bcr[BCR_EEPROM] & (EEPROM_ENABLE | EEPROM_SELECT | EEPROM_CLOCK);
    return EEPROM_VALID | EEPROM_THERE | wires | (wires & EEPROM_ENABLE && p->eeprom.out ? EEPROM_DATA : 0);
}

static void eeprom_write(struct pcnet *p, uint16_t v)
{
    p->bcr[BCR_EEPROM] = v;
    if (v & EEPROM_READ && stands(p))
        prom_from_eeprom(p);
    else if (v & EEPROM_ENABLE)
        eeprom_wires(&p->eeprom, v & EEPROM_SELECT, v & EEPROM_CLOCK, v & EEPROM_DATA);
}

/* ---- bus configuration registers ---- */

static uint16_t led_read(const struct pcnet *p, unsigned n)
{
    uint16_t v = p->bcr[n] & ~LED_OUT;
    bool lit = v & (LED_LINK | LED_FAST | LED_DUPLEX) && p->phy.link && !(v & LED_OFF);
    return v | (lit ? LED_OUT : 0);
}

static uint16_t *mii_place(struct pcnet *p)
{
    return &p->bcr[BCR_MII_ADDRESS];
}

static bool mii_answers(struct pcnet *p)
{
    return (*mii_place(p) >> 5 & 31) == PHY_ADDRESS;
}

static uint16_t bcr_read(struct device *d, unsigned n)
{
    struct pcnet *p = d->state;
    if (n >= BCR_LED0 && n <= BCR_LED3)
        return led_read(p, n);
    switch (n) {
    case BCR_BUS: return (p->bcr[n] & ~BUS_DWORD) | (p->dword ? BUS_DWORD : 0);
    case BCR_EEPROM: return eeprom_read(p);
    case BCR_MII_DATA: return mii_answers(p) ? mii_read(&p->phy, *mii_place(p) & 31) : 0xffff;
    }
    return n < BCRS ? p->bcr[n] : 0;
}

static void mii_data_write(struct device *d, uint16_t v)
{
    struct pcnet *p = d->state;
    if (mii_answers(p))
        mii_write(&p->phy, *mii_place(p) & 31, v);
    p->csr[CSR_EXTENDED2] |= EXTENDED2_MII_DONE;
}

static void bcr_write(struct device *d, unsigned n, uint16_t v)
{
    struct pcnet *p = d->state;
    switch (n) {
    case BCR_EEPROM: eeprom_write(p, v); return;
    case BCR_STYLE: style_write(p, v); return;
    case BCR_MII_DATA: mii_data_write(d, v); return;
    case BCR_MII_ADDRESS: *mii_place(p) = v & 0x3ff; return;
    case BCR_VENDOR:
    case BCR_SUBSYSTEM:
    case BCR_SUBVENDOR: return;
    }
    if (n < BCRS)
        p->bcr[n] = v;
    if (n == BCR_TIMER)
        count_start(d);
}

/* ---- accesses ---- */

/* What reading the reset register does: CSRs go back, BCRs and the width of registers stay. */
static void soft_reset(struct device *d)
{
    struct pcnet *p = d->state;
    uint16_t address[3];
    memcpy(address, p->csr + CSR_ADDRESS, sizeof address);
    memset(p->csr, 0, sizeof p->csr);
    memcpy(p->csr + CSR_ADDRESS, address, sizeof address);
    p->csr[CSR_FEATURES] = FEATURES_RESET;
    p->rap = 0;
    p->rx_at = p->tx_at = 0;
    stop(d);
    count_start(d);
}

static uint32_t register_read(struct device *d, unsigned which)
{
    struct pcnet *p = d->state;
    switch (which) {
    case RDP: return csr_read(d, p->rap);
    case RAP: return p->rap;
    case BDP: return bcr_read(d, p->rap);
    case RESET: soft_reset(d); break;
    }
    return 0;
}

static void register_write(struct device *d, unsigned which, uint16_t v)
{
    struct pcnet *p = d->state;
    if (which == RDP)
        csr_write(d, p->rap, v);
    else if (which == RAP)
        p->rap = v & 0xff;
    else if (which == BDP)
        bcr_write(d, p->rap, v);
    pcnet_irq(d);
}

/* Narrower accesses than a register's see a part of it; wider ones, two. */
static uint64_t pcnet_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    struct pcnet *p = d->state;
    unsigned at = offset - PROM_BYTES, width = p->dword ? 4 : 2;
    if (offset & (size - 1))
        return UINT64_MAX;
    if (offset < PROM_BYTES)
        return size == 1 ? p->aprom[offset] : size == 2 ? get_le16(p->aprom + offset) : get_le32(p->aprom + offset);
    if (at / width > BDP)
        return UINT64_MAX;
    uint64_t v = register_read(d, at / width) >> (8 * (at % width));
    if (size > width && at / width < BDP)
        v |= (uint64_t)register_read(d, at / width + 1) << 16;
    pcnet_irq(d);
    return v;
}

static void prom_write(struct pcnet *p, unsigned at, unsigned size, uint64_t v)
{
    for (unsigned i = 0; i < size && p->bcr[BCR_MISC] & MISC_PROM_WRITES; i++)
        p->aprom[at + i] = v >> (8 * i);
}

static void pcnet_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t v)
{
    struct pcnet *p = d->state;
    unsigned at = offset - PROM_BYTES;
    if (offset & (size - 1))
        return;
    if (offset < PROM_BYTES) {
        prom_write(p, offset, size, v);
        return;
    }
    p->dword |= size == 4 && at == 0; /* until the bus is reset */
    unsigned width = p->dword ? 4 : 2;
    if (size < width || at / width > BDP)
        return;
    register_write(d, at / width, v);
    if (size > width && at / width < BDP)
        register_write(d, at / width + 1, v >> 16);
}

static void pcnet_link(struct device *d, bool up)
{
    struct pcnet *p = d->state;
    mii_link(&p->phy, up);
    if (p->bcr[BCR_MII] & MII_AUTO_POLL)
        p->csr[CSR_EXTENDED2] |= EXTENDED2_MII_CHANGED;
    pcnet_irq(d);
}

/* ---- life ---- */

static bool pcnet_init(struct device *d, const struct config *c, GError **error)
{
    static const struct net_card card = {pcnet_frame, pcnet_link};
    struct pcnet *p = d->state;
    uint8_t mac[ETHER_ADDRESS];
    if (!nic_rom_init(d, REGION_ROM, c, "pxe-pcnet.rom", error))
        return false;
    net_mac(c, mac);
    make_eeprom(p, mac);
    p->phy.id[1] = 0x6b60; /* AMD's 00001Ah, model 36h */
    p->cable = net_open(d, &card);
    p->phy.link = net_link(p->cable);
    return true;
}

static void pcnet_reset(struct device *d)
{
    struct pcnet *p = d->state;
    p->dword = false;
    memset(p->bcr, 0, sizeof p->bcr);
    for (unsigned i = 0; i < G_N_ELEMENTS(bcr_reset); i++)
        p->bcr[bcr_reset[i].number] = bcr_reset[i].value;
    eeprom_reset(&p->eeprom);
    mii_reset(&p->phy);
    prom_from_eeprom(p);
    soft_reset(d);
}

static bool pcnet_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct pcnet *p = d->state;
    for (unsigned i = 0; i < CSRS; i++)
        stream_u16(s, &p->csr[i]);
    for (unsigned i = 0; i < BCRS; i++)
        stream_u16(s, &p->bcr[i]);
    stream_u16(s, &p->rap);
    stream_raw(s, p->aprom, sizeof p->aprom);
    stream_bool(s, &p->dword);
    stream_bool(s, &p->demanded);
    stream_check_u32(s, &p->rx_at, pcnet_length(p, false) - 1);
    stream_check_u32(s, &p->tx_at, pcnet_length(p, true) - 1);
    stream_u64(s, &p->poll_at);
    stream_check_u32(s, &p->idle_polls, PCNET_IDLE_MOST);
    stream_u64(s, &p->tx_late);
    stream_u64(s, &p->count_from);
    stream_u64(s, &p->count_due);
    stream_u64(s, &p->wait.until);
    stream_u64(s, &p->wait.look);
    mii_sync(&p->phy, s);
    eeprom_sync(&p->eeprom, s);
    if (s->loading && stream_ok(s)) {
        pcnet_timers(d);
        count_arm(d);
        pcnet_irq(d);
    }
    return stream_ok(s);
}

static void pcnet_fini(struct device *d)
{
    struct pcnet *p = d->state;
    net_close(p->cable);
}

static const struct pci_ids pcnet_ids = {
    .vendor = 0x1022,
    .device = 0x2000,
    .subsystem_vendor = 0x1022,
    .subsystem = 0x2000,
    .class_code = 0x020000,
    .revision = 0x40,
    .interrupt_pin = 1,
};

const struct device_ops pcnet_ops = {
    .name = "pcnet",
    .state_bytes = sizeof(struct pcnet),
    .version = 1,
    .regions = {[REGION_PORTS] = {.bus = BUS_PORT, .bytes = REGISTER_BYTES, .min_size = 1, .max_size = 4, .bar = BAR0},
                [REGION_MEMORY] = {.bus = BUS_MEM, .bytes = REGISTER_BYTES, .min_size = 1, .max_size = 4, .bar = BAR1},
                [REGION_ROM] = NIC_ROM_REGION},
    .pci = &pcnet_ids,
    .init = pcnet_init,
    .reset = pcnet_reset,
    .read = pcnet_read,
    .write = pcnet_write,
    .sync = pcnet_sync,
    .fini = pcnet_fini,
};
