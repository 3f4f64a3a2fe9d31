// SPDX-License-Identifier: GPL-2.0-or-later
/* e1000e.c - the 82574L, Intel's gigabit card for PCI Express of 2008, which newer systems know (82574 GbE Controller Family
 * Datasheet).  On this board it sits in a PCI slot, and has an endpoint's capability all the same, as its drivers look there.
 * What it shares with the 82540EM is in the other files beginning with e1000_. */
#include "core-vmm/base/bytes.h"
#include "devices/all.h"
#include "devices/net/e1000e.h"
#include "devices/net/nic_rom.h"

enum { REGION_MSIX = REGION_OWN, REGION_ROM };
enum { REGISTERS_BYTES = 128 << 10, IO_BYTES = 32, MSIX_BYTES = 16 << 10, PENDING_AT = 0x2000 };
enum { DEVICE_ID = 0x10d3, SUBSYSTEM = 0xa01f /* Gigabit CT Desktop Adapter */, PHY_ID = 0x01410cb1 };
enum { CAP_POWER = 1, CAP_EXPRESS = 0x10, CAP_POWER_AT = 0xc8, CAP_MSI_AT = 0xd0, CAP_EXPRESS_AT = 0xe0 };
enum { SWSM_SMBI = 1, EECD_AUTO_RD = 1 << 9, STATUS_MASTER = 1 << 19, CTRL_MASTER_OFF = 1 << 2 };

/* ---- registers ---- */

static uint32_t status_read(struct device *d, uint32_t at)
{
    return e1000_status(d, at) | (*e1000_reg(d->state, CTRL) & CTRL_MASTER_OFF ? 0 : STATUS_MASTER);
}

/* There are no wires to the memory here; it is read at power-on. */
static uint32_t eecd_read(struct device *d, uint32_t at)
{
    uint32_t v = *e1000_reg(d->state, EECD);
    return v | EECD_PRES | EECD_AUTO_RD | (v & EECD_REQ ? EECD_GNT : 0);
}

/* A semaphore is taken by who reads it free. */
static uint32_t swsm_read(struct device *d, uint32_t at)
{
    uint32_t *r = e1000_reg(d->state, SWSM), v = *r;
    *r |= SWSM_SMBI;
    return v;
}

static void ivar_write(struct device *d, uint32_t at, uint32_t v)
{
    *e1000_reg(d->state, IVAR) = v & 0x800fffff;
    e1000_irq_update(d);
}

static const struct e1000_register registers[] = {
    {STATUS, STATUS, 0, status_read, NULL},
    {EECD, EECD, 0x0001807f, eecd_read, NULL},
    {ICR, ICR, 0, e1000e_icr_read, e1000_icr_write},
    {EIAC, EIAC, 0x01f00000, NULL, NULL},
    {IAM, IAM, UINT32_MAX, NULL, NULL},
    {IVAR, IVAR, 0, NULL, ivar_write},
    {EITR, EITR + 4 * E1000_VECTORS - 4, 0xffff, NULL, NULL},
    {EXTCNF_CTRL, EXTCNF_CTRL, 0x0fff00bf, NULL, NULL},
    {EXTCNF_SIZE, EXTCNF_SIZE, 0, NULL, NULL},
    {POEMB, POEMB, 0x3f, NULL, NULL},
    {PBS, PBS, 0x7f, NULL, NULL},
    {PSRCTL, PSRCTL, UINT32_MAX, NULL, NULL},
    {RDBAL + QUEUE_STEP, RDBAL + QUEUE_STEP, ~15u, NULL, NULL},
    {RDBAH + QUEUE_STEP, RDBAH + QUEUE_STEP, UINT32_MAX, NULL, NULL},
    {RDLEN + QUEUE_STEP, RDLEN + QUEUE_STEP, 0xfff80, NULL, NULL},
    {RDH + QUEUE_STEP, RDH + QUEUE_STEP, 0xffff, NULL, NULL},
    {RDT + QUEUE_STEP, RDT + QUEUE_STEP, 0, NULL, e1000_rdt_write},
    {RXDCTL + QUEUE_STEP, RXDCTL + QUEUE_STEP, 0x013f3f3f, NULL, NULL},
    {TARC, TARC, UINT32_MAX, NULL, NULL},
    {TDBAL + QUEUE_STEP, TDBAL + QUEUE_STEP, ~15u, NULL, NULL},
    {TDBAH + QUEUE_STEP, TDBAH + QUEUE_STEP, UINT32_MAX, NULL, NULL},
    {TDLEN + QUEUE_STEP, TDLEN + QUEUE_STEP, 0xfff80, NULL, NULL},
    {TDH + QUEUE_STEP, TDH + QUEUE_STEP, 0xffff, NULL, NULL},
    {TDT + QUEUE_STEP, TDT + QUEUE_STEP, 0, NULL, e1000_tdt_write},
    {TXDCTL + QUEUE_STEP, TXDCTL + QUEUE_STEP, 0xff7f3f3f, NULL, NULL},
    {TARC + QUEUE_STEP, TARC + QUEUE_STEP, UINT32_MAX, NULL, NULL},
    {RXCSUM, RXCSUM, 0x3bff, NULL, NULL},
    {RFCTL, RFCTL, UINT32_MAX, NULL, NULL},
    {MRQC, MRQC, 0x001f0003, NULL, NULL},
    {GCR, GCR, UINT32_MAX, NULL, NULL},
    {FUNCTAG, FUNCTAG, UINT32_MAX, NULL, NULL},
    {FACTPS, FACTPS, 0, NULL, NULL},
    {SWSM, SWSM, 0xf, swsm_read, NULL},
    {FWSM, FWSM, 0, NULL, NULL},
    {GCR2, GCR2, UINT32_MAX, NULL, NULL},
    {RETA, RETA + 124, UINT32_MAX, NULL, NULL},
    {RSSRK, RSSRK + 4 * RSSRK_WORDS - 4, UINT32_MAX, NULL, NULL},
    {0, 0, 0, NULL, NULL},
};

static void registers_reset(struct device *d)
{
    struct e1000 *e = d->state;
    *e1000_reg(e, CTRL) = CTRL_FD | CTRL_SLU | CTRL_SPEED_1000;
    *e1000_reg(e, STATUS) = STATUS_PHYRA;
    *e1000_reg(e, PBA) = 20;
    *e1000_reg(e, LEDCTL) = 0x07068302;
    *e1000_reg(e, RXDCTL) = *e1000_reg(e, RXDCTL + QUEUE_STEP) = 1 << 16;
    *e1000_reg(e, TARC) = *e1000_reg(e, TARC + QUEUE_STEP) = 3 | 1 << 10; /* both queues on */
    memset(e->vector_next, 0, sizeof e->vector_next);
    e->told = 0;
}

/* No manageability, an address by itself, and that nothing wakes the machine. */
static void nvm_fill(uint16_t *word)
{
    word[0x08] = 0xe426; /* the card's number, E42641-003 */
    word[0x09] = 0x4103;
    word[0x0f] = 0;
}

static const struct e1000_model model = {
    .registers = registers,
    .packet_buffer = 40,
    .extended = true,
    .flexible_buffers = true,
    .phy_pages = true,
    .device_id = DEVICE_ID,
    .subsystem = SUBSYSTEM,
    .phy_id = PHY_ID,
    .eerd_shift = 2,
    .eerd_done = 1 << 1,
    .causes = 0x01f7d2d7,
    .rx_cause = INT_RXQ0,
    .tx_cause = INT_TXQ0,
    .nvm_fill = nvm_fill,
    .reset = registers_reset,
    .irq_update = e1000e_irq_update,
};

static bool e1000e_init(struct device *d, const struct config *c, GError **error)
{
    if (!nic_rom_init(d, REGION_ROM, c, "pxe-e1000e.rom", error))
        return false;
    e1000_init(d, &model, c);
    return true;
}

static bool e1000e_sync(struct device *d, struct stream *s, uint32_t version)
{
    e1000_sync(d, s);
    e1000e_irq_sync(d, s);
    return stream_ok(s);
}

/* ---- table ---- */

/* Power management 1.2: D0 and D3, which change nothing here. */
static const uint8_t power_content[] = {0x22, 0xc8, 0, 0, 0, 0}, power_writable[] = {0, 0, 0x03, 0x01, 0, 0};
/* PCI Express 1.1, an endpoint with a link of 2.5 GT/s and one lane. */
static const uint8_t express_content[18] = {[0] = 0x01,  [2] = 0xc1,  [3] = 0x8c,  [6] = 0x10,  [7] = 0x28,
                                            [10] = 0x11, [11] = 0x1c, [12] = 0x03, [16] = 0x11, [17] = 0x10};
static const uint8_t express_writable[18] = {[6] = 0xff, [7] = 0x7f, [14] = 0xfb, [15] = 0x03};
static const struct pci_capability capabilities[] = {
    {.id = CAP_POWER, .at = CAP_POWER_AT, .bytes = 8, .content = power_content, .writable = power_writable},
    {.id = PCI_CAP_MSI, .at = CAP_MSI_AT, .vectors = 1},
    {.id = CAP_EXPRESS, .at = CAP_EXPRESS_AT, .bytes = 20, .content = express_content, .writable = express_writable},
    {.id = PCI_CAP_MSIX,
     .at = E1000E_MSIX_AT,
     .vectors = E1000_VECTORS,
     .region = REGION_MSIX,
     .table = 0,
     .pending = PENDING_AT},
    {0}};
static const struct pci_ids ids = {
    .vendor = 0x8086,
    .device = DEVICE_ID,
    .subsystem_vendor = 0x8086,
    .subsystem = SUBSYSTEM,
    .class_code = 0x020000,
    .interrupt_pin = 1,
    .capabilities = capabilities,
};

const struct device_ops e1000e_ops = {
    .name = "e1000e",
    .state_bytes = sizeof(struct e1000),
    .version = 1,
    .regions =
        {[REGION_REGISTERS] = {.bus = BUS_MEM, .bytes = REGISTERS_BYTES, .min_size = 4, .max_size = 4, .bar = BAR0},
         [REGION_IO] = {.bus = BUS_PORT, .bytes = IO_BYTES, .min_size = 4, .max_size = 4, .bar = BAR2},
         [REGION_MSIX] = {.bus = BUS_MEM, .bytes = MSIX_BYTES, .min_size = 1, .max_size = 8, .bar = BAR3},
         [REGION_ROM] = NIC_ROM_REGION},
    .pci = &ids,
    .init = e1000e_init,
    .reset = e1000_reset,
    .read = e1000_read,
    .write = e1000_write,
    .sync = e1000e_sync,
    .fini = e1000_fini,
};
