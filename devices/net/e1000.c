// SPDX-License-Identifier: GPL-2.0-or-later
/* e1000.c - the 82540EM, the gigabit card of the early 2000s that every system since then knows (SDM).  What it shares with
 * its successor is in the other files of this name. */
#include "devices/all.h"
#include "devices/net/e1000.h"
#include "devices/net/nic_rom.h"

enum { REGION_ROM = REGION_OWN, REGISTERS_BYTES = 128 << 10, IO_BYTES = 64 };
enum {
    DEVICE_ID = 0x100e,
    SUBSYSTEM = 0x001e /* PRO/1000 MT Desktop Adapter */,
    PHY_ID = 0x01410c20,
    CAP_POWER = 1,
    CAP_POWER_AT = 0xdc
};

/* ---- registers ---- */

static uint32_t icr_read(struct device *d, uint32_t at)
{
    uint32_t *icr = e1000_reg(d->state, ICR), v = *icr;
    *icr = 0;
    e1000_irq_update(d);
    return v;
}

static const struct e1000_register registers[] = {
    {ICR, ICR, 0, icr_read, e1000_icr_write},
    {TSPMT, TSPMT, UINT32_MAX, NULL, NULL},
    {0},
};

static void reset(struct device *d)
{
    struct e1000 *e = d->state;
    *e1000_reg(e, CTRL) = CTRL_FD | CTRL_SLU | CTRL_SPEED_1000 | CTRL_SWDPIN0 | CTRL_SWDPIN2;
    *e1000_reg(e, PBA) = 48;
    *e1000_reg(e, RXDCTL) = 1 << 16;
    *e1000_reg(e, LEDCTL) = 0x07068302;
}

static const struct e1000_model model = {
    .registers = registers,
    .packet_buffer = 64,
    .device_id = DEVICE_ID,
    .subsystem = SUBSYSTEM,
    .phy_id = PHY_ID,
    .eerd_shift = 8,
    .eerd_done = 1 << 4,
    .causes = 0x1ffff,
    .reset = reset,
    .irq_update = e1000_irq_line,
};

static bool em_init(struct device *d, const struct config *c, GError **error)
{
    if (!nic_rom_init(d, REGION_ROM, c, "pxe-e1000.rom", error))
        return false;
    e1000_init(d, &model, c);
    return true;
}

static bool em_sync(struct device *d, struct stream *s, uint32_t version)
{
    e1000_sync(d, s);
    return stream_ok(s);
}

/* ---- table ---- */

/* Power management 1.1: D0 and D3, which change nothing here. */
static const uint8_t power_content[] = {0x22, 0x48, 0, 0, 0, 0}, power_writable[] = {0, 0, 0x03, 0x01, 0, 0};
static const struct pci_capability capabilities[] = {
    {.id = CAP_POWER, .at = CAP_POWER_AT, .bytes = 8, .content = power_content, .writable = power_writable}, {0}};
static const struct pci_ids ids = {
    .vendor = 0x8086,
    .device = DEVICE_ID,
    .subsystem_vendor = 0x8086,
    .subsystem = SUBSYSTEM,
    .class_code = 0x020000,
    .revision = 2,
    .interrupt_pin = 1,
    .capabilities = capabilities,
};

const struct device_ops e1000_ops = {
    .name = "e1000",
    .state_bytes = sizeof(struct e1000),
    .version = 1,
    .regions =
        {[REGION_REGISTERS] = {.bus = BUS_MEM, .bytes = REGISTERS_BYTES, .min_size = 4, .max_size = 4, .bar = BAR0},
         [REGION_IO] = {.bus = BUS_PORT, .bytes = IO_BYTES, .min_size = 4, .max_size = 4, .bar = BAR2},
         [REGION_ROM] = NIC_ROM_REGION},
    .pci = &ids,
    .init = em_init,
    .reset = e1000_reset,
    .read = e1000_read,
    .write = e1000_write,
    .sync = em_sync,
    .fini = e1000_fini,
};
