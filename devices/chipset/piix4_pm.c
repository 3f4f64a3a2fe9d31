// SPDX-License-Identifier: GPL-2.0-or-later
/* piix4_pm.c - power management function of the Intel 82371AB (PIIX4), PCI function 3 beside the PIIX3: ACPI registers,
 * PM timer, SMBus host.  Specs: Intel 82371AB datasheet, order number 290562, chapters 7 and 12; ACPI 1.0b chapter 4.7.
 *
 * Line 0 is SCI (IRQ 9).  There is no system management mode: a write to B2h switches ACPI mode on and off by itself, as
 * the FADT says, and DEVACTB says from reset on that SMIs are set up, so that the BIOS does not try.  Soft off is the only
 * sleep state; the others are logged and ignored.  No device answers on the SMBus. */
#include "devices/chipset/piix4_pm.h"
#include "core-vmm/api/platform.h"
#include "core-vmm/base/bytes.h"
#include "devices/all.h"

/* Registers: configuration space. */
enum { CFG_PMBASE = 0x40, CFG_DEVACTB = 0x58, CFG_PMREGMISC = 0x80, CFG_SMBBASE = 0x90, CFG_SMBHSTCFG = 0xd2 };
enum { REGION_PM, REGION_SMBUS, REGION_SMI };
/* PM1 event, enable and control; the timer. */
enum { PM_ENABLE = 2, GPE_ENABLE = PM_GPE + 2, PM_BYTES = 64 };
enum { EVENT_TIMER = 1 << 0, EVENT_GLOBAL = 1 << 5, EVENT_POWER_BUTTON = 1 << 8, EVENT_RTC = 1 << 10 };
enum { EVENTS = EVENT_TIMER | EVENT_GLOBAL | EVENT_POWER_BUTTON | EVENT_RTC, EVENT_WAKE = 1 << 15 };
enum { CONTROL_SCI = 1 << 0, CONTROL_TYPE_SHIFT = 10, CONTROL_SLEEP = 1 << 13 };
enum { TYPE_SOFT_OFF = 0, CONTROL_STORED = 0x1c03 };
#define TIMER_HZ   3579545u
#define TIMER_MASK 0xffffffu
enum { TIMER_TOP_BIT = 23 };
/* SMBus host. */
enum { SMB_STATUS, SMB_CONTROL = 2, SMB_BYTES = 16, SMB_START = 0x40, SMB_DEVICE_ERROR = 4, SMB_STATUS_CLEAR = 0x1e };

struct piix4_pm {
    uint16_t events, event_enable, control, gpe, gpe_enable;
    uint64_t timer_top; /* how often the timer's top bit had changed when that was last looked at */
    uint8_t smi_command;
    uint8_t smbus[SMB_BYTES];
};

static uint64_t timer_count(struct device *d)
{
    return (unsigned __int128)dev_now(d) * TIMER_HZ / 1000000000u;
}

static void update_sci(struct device *d)
{
    struct piix4_pm *s = d->state;
    bool wanted = (s->events & s->event_enable & EVENTS) || (s->gpe & s->gpe_enable);

    dev_irq(d, 0, wanted && (s->control & CONTROL_SCI));
}

static void timer_due(struct device *d);

/* The next change of the timer's top bit is waited for only if it is to interrupt. */
static void arm_timer(struct device *d)
{
    struct piix4_pm *s = d->state;
    unsigned __int128 count = (unsigned __int128)(s->timer_top + 1) << TIMER_TOP_BIT;

    dev_timer(d, 0, s->event_enable & EVENT_TIMER ? (uint64_t)(count * 1000000000u / TIMER_HZ + 1) : DEV_NEVER,
              timer_due);
}

static void update_timer(struct device *d)
{
    struct piix4_pm *s = d->state;
    uint64_t top = timer_count(d) >> TIMER_TOP_BIT;

    if (top != s->timer_top)
        s->events |= EVENT_TIMER;
    s->timer_top = top;
    arm_timer(d);
}

static void timer_due(struct device *d)
{
    update_timer(d);
    update_sci(d);
}

/* ---- PM I/O space ---- */
static uint32_t pm_dword(struct device *d, unsigned offset)
{
    struct piix4_pm *s = d->state;

    switch (offset) {
    case PM_EVENT: return s->events | (uint32_t)s->event_enable << 16;
    case PM_CONTROL: return s->control;
    case PM_TIMER: return timer_count(d) & TIMER_MASK;
    case PM_GPE: return s->gpe | (uint32_t)s->gpe_enable << 16;
    default: return 0;
    }
}

static uint64_t pm_read(struct device *d, unsigned offset, unsigned size)
{
    unsigned low = offset & ~3u;

    if (low == PM_EVENT)
        update_timer(d);
    return (pm_dword(d, low) | (uint64_t)pm_dword(d, low + 4) << 32) >> (offset & 3) * 8;
}

static void control_written(struct device *d)
{
    struct piix4_pm *s = d->state;
    unsigned type = s->control >> CONTROL_TYPE_SHIFT & 7;

    if (!(s->control & CONTROL_SLEEP))
        return;
    s->control &= ~CONTROL_SLEEP;
    if (type == TYPE_SOFT_OFF)
        dev_stop_machine(d, MACHINE_END_POWER_OFF, 0);
    else
        dev_log(d, "sleep type %u is not supported", type);
}

static void set_byte(uint16_t *reg, unsigned high, uint8_t value, uint16_t mask)
{
    uint16_t lane = (high ? 0xff00 : 0x00ff) & mask;

    *reg = (*reg & ~lane) | ((value << (high ? 8 : 0)) & lane);
}

static void pm_write_byte(struct device *d, unsigned offset, uint8_t value)
{
    struct piix4_pm *s = d->state;
    unsigned high = offset & 1;

    switch (offset & ~1u) {
    case PM_EVENT: s->events &= ~(value << high * 8); break;
    case PM_ENABLE: set_byte(&s->event_enable, high, value, EVENTS); break;
    case PM_CONTROL:
        set_byte(&s->control, high, value, CONTROL_STORED | CONTROL_SLEEP);
        control_written(d);
        break;
    case PM_GPE: s->gpe &= ~(value << high * 8); break;
    case GPE_ENABLE: set_byte(&s->gpe_enable, high, value, 0xffff); break;
    default: break; /* device traps, SMI sources and general purpose pins lead nowhere */
    }
}

/* ---- SMBus: every transaction ends with "no answer" ---- */
static void smbus_write(struct piix4_pm *s, unsigned offset, uint8_t value)
{
    if (offset == SMB_STATUS)
        s->smbus[SMB_STATUS] &= ~(value & SMB_STATUS_CLEAR);
    else
        s->smbus[offset] = value;
    if (offset == SMB_CONTROL && (value & SMB_START)) {
        s->smbus[SMB_CONTROL] &= ~SMB_START;
        s->smbus[SMB_STATUS] |= SMB_DEVICE_ERROR;
    }
}

/* ---- APM command port ---- */
static void smi_command(struct device *d, uint8_t value)
{
    struct piix4_pm *s = d->state;

    s->smi_command = value;
    if (value == PM_ACPI_ENABLE)
        s->control |= CONTROL_SCI;
    else if (value == PM_ACPI_DISABLE)
        s->control &= ~CONTROL_SCI;
    update_sci(d);
}

static uint64_t piix4_pm_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    struct piix4_pm *s = d->state;

    switch (region) {
    case REGION_PM: return pm_read(d, offset, size);
    case REGION_SMBUS: return s->smbus[offset];
    default: return s->smi_command;
    }
}

static void piix4_pm_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    if (region == REGION_SMBUS) {
        smbus_write(d->state, offset, value);
    } else if (region == REGION_SMI) {
        smi_command(d, value);
    } else {
        update_timer(d);
        for (unsigned n = 0; n < size && offset + n < PM_BYTES; n++)
            pm_write_byte(d, offset + n, value >> n * 8);
        update_timer(d);
        update_sci(d);
    }
}

static bool piix4_pm_power_button(struct device *d)
{
    struct piix4_pm *s = d->state;

    s->events |= EVENT_POWER_BUTTON;
    update_sci(d);
    return (s->control & CONTROL_SCI) && (s->event_enable & EVENT_POWER_BUTTON);
}

void piix4_pm_event(struct device *pm, unsigned n)
{
    dev_lock(pm);
    ((struct piix4_pm *)pm->state)->gpe |= 1u << n;
    update_sci(pm);
    dev_unlock(pm);
}

static void map_ports(struct device *d)
{
    const uint8_t *config = dev_pci_config(d);

    dev_map(d, REGION_PM, get_le16(config + CFG_PMBASE) & 0xffc0, config[CFG_PMREGMISC] & 1);
    dev_map(d, REGION_SMBUS, get_le16(config + CFG_SMBBASE) & 0xfff0, config[CFG_SMBHSTCFG] & 1);
}

static void piix4_pm_pci_written(struct device *d, unsigned offset, unsigned size)
{
    map_ports(d);
}

static bool piix4_pm_init(struct device *d, const struct config *c, GError **error)
{
    uint8_t *writable = dev_pci_writable(d);

    put_le16(writable + CFG_PMBASE, 0xffc0);
    put_le16(writable + CFG_SMBBASE, 0xfff0);
    memset(writable + 0x44, 0xff, 0x38); /* counters, device activity, device resources: stored */
    writable[CFG_PMREGMISC] = 1;
    writable[CFG_SMBHSTCFG] = 0x0f;
    return true;
}

static void piix4_pm_reset(struct device *d)
{
    struct piix4_pm *s = d->state;
    uint8_t *config = dev_pci_config(d);

    memset(config + CFG_PMBASE, 0, 0x100 - CFG_PMBASE);
    config[CFG_PMBASE] = config[CFG_SMBBASE] = 1;
    config[CFG_DEVACTB + 3] = 2; /* "APMC_EN": see the top of this file */
    memset(s, 0, sizeof *s);
    s->timer_top = timer_count(d) >> TIMER_TOP_BIT;
    map_ports(d);
    update_timer(d);
    update_sci(d);
}

static bool piix4_pm_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct piix4_pm *p = d->state;

    stream_u16(s, &p->events);
    stream_u16(s, &p->event_enable);
    stream_u16(s, &p->control);
    stream_u16(s, &p->gpe);
    stream_u16(s, &p->gpe_enable);
    stream_u64(s, &p->timer_top);
    stream_u8(s, &p->smi_command);
    stream_raw(s, p->smbus, SMB_BYTES);
    if (s->loading && stream_ok(s)) {
        map_ports(d);
        arm_timer(d);
        update_sci(d);
    }
    return stream_ok(s);
}

static const struct pci_ids ids = {
    .vendor = 0x8086,
    .device = 0x7113,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .class_code = 0x068000,
    .revision = 3,
};

static const struct platform_ops platform = {.power_button = piix4_pm_power_button};

const struct device_ops piix4_pm_ops = {
    .name = "piix4-pm",
    .state_bytes = sizeof(struct piix4_pm),
    .version = 1,
    .regions = {[REGION_PM] = {.bus = BUS_PORT, .bytes = PM_BYTES, .min_size = 1, .max_size = 4, .off = true},
                [REGION_SMBUS] = {.bus = BUS_PORT, .bytes = SMB_BYTES, .min_size = 1, .max_size = 1, .off = true},
                [REGION_SMI] = {.bus = BUS_PORT, .base = PM_SMI_COMMAND, .bytes = 1, .min_size = 1, .max_size = 1}},
    .pci = &ids,
    .init = piix4_pm_init,
    .reset = piix4_pm_reset,
    .read = piix4_pm_read,
    .write = piix4_pm_write,
    .pci_written = piix4_pm_pci_written,
    .sync = piix4_pm_sync,
    .platform = &platform,
};
