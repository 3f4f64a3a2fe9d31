// SPDX-License-Identifier: GPL-2.0-or-later
/* e1000_core.c - the registers that all of Intel's gigabit chips have, reset, and saved state. */
#include "devices/net/e1000.h"
#include <string.h>

enum { CTRL_EXT_WRITABLE = 0x0fc7dfff, RAH_WRITABLE = 0x8003ffff, PBA_RX = 0x7f, PBA_TX_SHIFT = 16 };
/* The window of ports: the address of a register, and its contents. */
enum { IO_ADDRESS = 0, IO_DATA = 4, IO_ADDRESS_MASK = 0x1fffc };

static void ctrl_write(struct device *d, uint32_t at, uint32_t v)
{
    *e1000_reg(d->state, CTRL) = v & ~(CTRL_RST | CTRL_PHY_RST);
    if (v & CTRL_PHY_RST)
        e1000_phy_reset(d);
    if (v & CTRL_RST)
        e1000_soft_reset(d);
}

static void ctrl_ext_write(struct device *d, uint32_t at, uint32_t v)
{
    *e1000_reg(d->state, CTRL_EXT) = v & CTRL_EXT_WRITABLE;
    if (v & CTRL_EXT_EE_RST)
        e1000_nvm_address(d->state);
}

/* Sending has what receiving leaves. */
static uint32_t pba_read(struct device *d, uint32_t at)
{
    struct e1000 *e = d->state;
    uint32_t rx = *e1000_reg(e, PBA), all = e->model->packet_buffer;
    return rx | (all > rx ? all - rx : 0) << PBA_TX_SHIFT;
}

static uint32_t statistic_read(struct device *d, uint32_t at)
{
    uint32_t *r = e1000_reg(d->state, at), v = *r;
    *r = 0;
    return v;
}

static void ra_write(struct device *d, uint32_t at, uint32_t v)
{
    *e1000_reg(d->state, at) = at & 4 ? v & RAH_WRITABLE : v;
}

static const struct e1000_register common[] = {
    {CTRL, CTRL, 0, NULL, ctrl_write},
    {STATUS, STATUS, 0, e1000_status, NULL},
    {EECD, EECD, 0, e1000_eecd_read, e1000_eecd_write},
    {EERD, EERD, 0, NULL, e1000_eerd_write},
    {CTRL_EXT, CTRL_EXT, 0, NULL, ctrl_ext_write},
    {MDIC, MDIC, 0, NULL, e1000_mdic_write},
    {FCAL, FCAL, UINT32_MAX, NULL, NULL},
    {FCAH, FCAH, 0xffff, NULL, NULL},
    {FCT, FCT, 0xffff, NULL, NULL},
    {VET, VET, 0xffff, NULL, NULL},
    {ITR, ITR, 0xffff, NULL, NULL},
    {ICS, ICS, 0, NULL, e1000_ics_write},
    {IMS, IMS, 0, NULL, e1000_ims_write},
    {IMC, IMC, 0, NULL, e1000_imc_write},
    {RCTL, RCTL, 0, NULL, e1000_rctl_write},
    {FCTTV, FCTTV, 0xffff, NULL, NULL},
    {TXCW, TXCW, 0xc000ffff, NULL, NULL},
    {RXCW, RXCW, 0, NULL, NULL},
    {TCTL, TCTL, 0, NULL, e1000_tctl_write},
    {TIPG, TIPG, 0x3fffffff, NULL, NULL},
    {AIFS, AIFS, 0xffff, NULL, NULL},
    {LEDCTL, LEDCTL, 0xcfcfcfcf, NULL, NULL},
    {PBA, PBA, PBA_RX, pba_read, NULL},
    {FCRTL, FCRTL, 0x8000fff8, NULL, NULL},
    {FCRTH, FCRTH, 0xfff8, NULL, NULL},
    {RXFIFO, RXFIFO + 0x20, 0x1fff, NULL, NULL},
    {RDBAL, RDBAL, ~15u, NULL, NULL},
    {RDBAH, RDBAH, UINT32_MAX, NULL, NULL},
    {RDLEN, RDLEN, 0xfff80, NULL, NULL},
    {RDH, RDH, 0xffff, NULL, NULL},
    {RDT, RDT, 0, NULL, e1000_rdt_write},
    {RDTR, RDTR, 0, NULL, e1000_rdtr_write},
    {RXDCTL, RXDCTL, 0x013f3f3f, NULL, NULL},
    {RADV, RADV, 0xffff, NULL, NULL},
    {RSRPD, RSRPD, 0xfff, NULL, NULL},
    {TXFIFO, TXFIFO + 0x20, 0x1fff, NULL, NULL},
    {TDBAL, TDBAL, ~15u, NULL, NULL},
    {TDBAH, TDBAH, UINT32_MAX, NULL, NULL},
    {TDLEN, TDLEN, 0xfff80, NULL, NULL},
    {TDH, TDH, 0xffff, NULL, NULL},
    {TDT, TDT, 0, NULL, e1000_tdt_write},
    {TIDV, TIDV, 0xffff, NULL, NULL},
    {TXDCTL, TXDCTL, 0xff7f3f3f, NULL, NULL},
    {TADV, TADV, 0xffff, NULL, NULL},
    {STATISTICS, STATISTICS_LAST, 0, statistic_read, NULL},
    {RXCSUM, RXCSUM, 0x3ff, NULL, NULL},
    {MTA, MTA + 4 * MTA_WORDS - 4, UINT32_MAX, NULL, NULL},
    {RA, RA + 8 * RA_ENTRIES - 4, 0, NULL, ra_write},
    {VFTA, VFTA + 4 * VFTA_WORDS - 4, UINT32_MAX, NULL, NULL},
    {WUC, WUC, 0xf, NULL, NULL},
    {WUFC, WUFC, 0xf80ff, NULL, NULL},
    {WUS, WUS, 0, NULL, NULL},
    {MANC, MANC, UINT32_MAX, NULL, NULL},
    {IPAV, IPAV + 0x58, UINT32_MAX, NULL, NULL},
    {WUPL, WUPL, 0, NULL, NULL},
    {0, 0, 0, NULL, NULL},
};

static const struct e1000_register *row_of(const struct e1000 *e, unsigned row)
{
    return row <= G_N_ELEMENTS(common) ? &common[row - 1] : &e->model->registers[row - 1 - G_N_ELEMENTS(common)];
}

static bool is_end(const struct e1000_register *r)
{
    return !r->last && !r->write;
}

static void fill_rows(struct e1000 *e)
{
    for (unsigned row = 1; row <= G_N_ELEMENTS(common) || !is_end(row_of(e, row)); row++) {
        const struct e1000_register *r = row_of(e, row);
        g_assert(row <= UINT8_MAX && r->last < E1000_END);
        for (unsigned at = r->first; at <= r->last && !is_end(r); at += 4)
            e->row[at / 4] = row;
    }
}

static uint32_t register_read(struct device *d, uint32_t at)
{
    struct e1000 *e = d->state;
    unsigned row = at < E1000_END ? e->row[at / 4] : 0;
    if (!row)
        return 0;
    const struct e1000_register *r = row_of(e, row);
    return r->read ? r->read(d, at) : e->reg[at / 4];
}

static void register_write(struct device *d, uint32_t at, uint32_t v)
{
    struct e1000 *e = d->state;
    unsigned row = at < E1000_END ? e->row[at / 4] : 0;
    if (!row)
        return;
    const struct e1000_register *r = row_of(e, row);
    if (r->write)
        r->write(d, at, v);
    else
        e->reg[at / 4] = (e->reg[at / 4] & ~r->writable) | (v & r->writable);
}

/* The window of ports. */
static uint64_t port_read(struct device *d, uint64_t offset)
{
    struct e1000 *e = d->state;
    return offset == IO_ADDRESS ? e->io_address : offset == IO_DATA ? register_read(d, e->io_address) : 0;
}

static void port_write(struct device *d, uint64_t offset, uint32_t v)
{
    struct e1000 *e = d->state;
    if (offset == IO_ADDRESS)
        e->io_address = v & IO_ADDRESS_MASK;
    else if (offset == IO_DATA)
        register_write(d, e->io_address, v);
}

uint64_t e1000_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    return region == REGION_REGISTERS ? register_read(d, offset) : port_read(d, offset);
}

void e1000_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t v)
{
    if (region == REGION_REGISTERS)
        register_write(d, offset, v);
    else
        port_write(d, offset, v);
}

/* ---- statistics ---- */

void e1000_count(struct e1000 *e, uint32_t statistic, uint32_t more)
{
    uint32_t *r = e1000_reg(e, statistic);
    if (__builtin_add_overflow(*r, more, r))
        *r = UINT32_MAX;
}

void e1000_count_bytes(struct e1000 *e, uint32_t low, uint64_t bytes)
{
    uint32_t *r = e1000_reg(e, low);
    uint64_t sum;
    if (__builtin_add_overflow((uint64_t)r[1] << 32 | r[0], bytes, &sum))
        sum = UINT64_MAX;
    r[0] = sum;
    r[1] = sum >> 32;
}

void e1000_count_size(struct e1000 *e, uint32_t sizes, uint32_t bytes, uint32_t frames)
{
    static const uint16_t most[] = {64, 127, 255, 511, 1023};
    unsigned n = 0;
    while (n < G_N_ELEMENTS(most) && bytes > most[n])
        n++;
    e1000_count(e, sizes + 4 * n, frames);
}

/* ---- life ---- */

void e1000_init(struct device *d, const struct e1000_model *model, const struct config *c)
{
    static const struct net_card card = {e1000_frame, e1000_link, e1000_tx_room};
    struct e1000 *e = d->state;
    e->model = model;
    net_mac(c, e->mac);
    for (unsigned i = 0; i < E1000_QUEUES; i++)
        e->tx[i].packet.buffer = g_malloc(NET_FRAME_MOST);
    e->cable = net_open(d, &card);
    e1000_nvm_fill(e);
    fill_rows(e);
}

void e1000_fini(struct device *d)
{
    struct e1000 *e = d->state;
    net_close(e->cable);
    for (unsigned i = 0; i < E1000_QUEUES; i++)
        g_free(e->tx[i].packet.buffer);
}

void e1000_soft_reset(struct device *d)
{
    struct e1000 *e = d->state;
    memset(e->reg, 0, sizeof e->reg);
    for (unsigned i = 0; i < E1000_QUEUES; i++) {
        memset(e->tx[i].context, 0, sizeof e->tx[i].context);
        e1000_packet_forget(&e->tx[i].packet);
    }
    eeprom_reset(&e->eeprom);
    e->io_address = 0;
    e->irq_next = 0;
    e->irq_armed = DEV_NEVER;
    e->rx_delay = e->tx_delay = (struct e1000_delay){.armed = DEV_NEVER};
    e1000_irq_resume(d);
    e->model->reset(d);
    e1000_nvm_address(e);
    e1000_irq_update(d);
}

void e1000_reset(struct device *d)
{
    struct e1000 *e = d->state;
    e->irq_up = false;
    e->phy_up = false;
    e->link_due = DEV_NEVER;
    e1000_soft_reset(d);
    e1000_phy_reset(d);
}

/* ---- saved state ---- */

static void sync_delay(struct stream *s, struct e1000_delay *y)
{
    stream_u64(s, &y->armed);
    stream_u64(s, &y->due);
    stream_u64(s, &y->limit);
    stream_u32(s, &y->causes);
}

static void sync_packet(struct stream *s, struct e1000_packet *p)
{
    stream_bool(s, &p->begun);
    stream_bool(s, &p->drop);
    stream_u32(s, &p->lower);
    stream_u32(s, &p->upper);
    stream_check_u32(s, &p->gathered, NET_FRAME_MOST);
    stream_raw(s, p->buffer, p->gathered);
    if (s->loading) {
        p->bytes = p->gathered;
        p->fragments = p->gathered ? 1 : 0;
        p->iov[0] = (struct iovec){p->buffer, p->gathered};
    }
}

static void sync_tx(struct stream *s, struct e1000_tx *q)
{
    sync_packet(s, &q->packet);
    for (unsigned i = 0; i < G_N_ELEMENTS(q->context); i++) {
        struct e1000_context *c = &q->context[i];
        stream_u32(s, &c->ip);
        stream_u32(s, &c->tcp);
        stream_u32(s, &c->command);
        stream_u32(s, &c->header);
    }
}

void e1000_sync(struct device *d, struct stream *s)
{
    struct e1000 *e = d->state;
    for (unsigned i = 0; i < E1000_END / 4; i++)
        if (e->row[i])
            stream_u32(s, &e->reg[i]);
    stream_u32(s, &e->io_address);
    stream_bool(s, &e->irq_up);
    stream_u64(s, &e->irq_next);
    stream_u64(s, &e->irq_armed);
    sync_delay(s, &e->rx_delay);
    sync_delay(s, &e->tx_delay);
    for (unsigned i = 0; i < E1000_PHY_REGISTERS; i++)
        stream_u16(s, &e->phy[i]);
    for (unsigned i = 0; i < E1000_PHY_PAGES - 1 && e->model->phy_pages; i++)
        for (unsigned n = 0; n < E1000_PHY_REGISTERS / 2; n++)
            stream_u16(s, &e->phy_more[i][n]);
    stream_bool(s, &e->phy_up);
    stream_u64(s, &e->link_due);
    eeprom_sync(&e->eeprom, s);
    for (unsigned i = 0; i < E1000_QUEUES; i++)
        sync_tx(s, &e->tx[i]);
    if (s->loading) {
        e->rx_full = true;
        e1000_irq_resume(d);
        e1000_phy_resume(d);
    }
}
