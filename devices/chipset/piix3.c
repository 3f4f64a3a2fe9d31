// SPDX-License-Identifier: GPL-2.0-or-later
/* piix3.c - Intel 82371SB PCI-to-ISA bridge, function 0: PCI interrupt routing, reset control (port CF9h) and the APM
 * scratch port (B3h; B2h, which would raise an SMI, belongs to the power management function).
 * Spec: Intel 82371FB/82371SB PCI ISA IDE Xcelerator, order number 290550.
 *
 * Core calls input() with the PIRQ pin of a PCI interrupt, (slot - 1 + pin) mod 4.  Line n of dev_irq() is ISA IRQ n;
 * it is up while any PIRQ routed to it is up. */
#include "devices/all.h"
#include "core-vmm/api/irqchip.h"
#include "core-vmm/api/platform.h"

/* Registers. */
enum { PIRQ_ROUTE = 0x60, PIRQS = 4, PIRQ_OFF = 0x80 };
enum { REGION_RESET, REGION_APM };
enum { RESET_CPU = 4, RESET_HARD = 2 };
#define ROUTABLE 0xdef8u /* IRQ 3-7, 9-12, 14, 15: the others are reserved */

struct piix3 {
    uint8_t pirq_levels; /* bit per PIRQ */
    uint16_t irq_levels; /* bit per ISA IRQ that is held up now */
    uint8_t reset_control, apm_status;
};

static void update_irqs(struct device *d)
{
    struct piix3 *s = d->state;
    const uint8_t *route = dev_pci_config(d) + PIRQ_ROUTE;
    uint16_t levels = 0, changed;

    for (unsigned n = 0; n < PIRQS; n++)
        if ((s->pirq_levels >> n & 1) && !(route[n] & PIRQ_OFF))
            levels |= (1u << (route[n] & 15)) & ROUTABLE;
    changed = levels ^ s->irq_levels;
    s->irq_levels = levels;
    for (unsigned irq = 0; changed; irq++, changed >>= 1)
        if (changed & 1)
            dev_irq(d, irq, levels >> irq & 1);
}

static void piix3_input(struct device *d, unsigned pin, bool level)
{
    struct piix3 *s = d->state;
    uint8_t bit = 1u << (pin & 3);

    s->pirq_levels = level ? s->pirq_levels | bit : s->pirq_levels & ~bit;
    update_irqs(d);
}

static uint64_t piix3_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    struct piix3 *s = d->state;

    return region == REGION_RESET ? s->reset_control : s->apm_status;
}

/* Bit 2 rising resets: with bit 1 everything, without it the CPUs only. */
static void piix3_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    struct piix3 *s = d->state;

    if (region == REGION_APM) {
        s->apm_status = value;
        return;
    }
    if ((value & RESET_CPU) && !(s->reset_control & RESET_CPU)) {
        if (value & RESET_HARD)
            dev_reset_machine(d);
        else
            dev_init_cpus(d);
    }
    s->reset_control = value & RESET_HARD;
}

static void piix3_pci_written(struct device *d, unsigned offset, unsigned size)
{
    update_irqs(d);
}

static bool piix3_init(struct device *d, const struct config *c, GError **error)
{
    uint8_t *writable = dev_pci_writable(d);

    memset(writable + PIRQ_ROUTE, 0x8f, PIRQS);
    writable[0x4c] = 0xff;                  /* I/O recovery */
    writable[0x4e] = writable[0x4f] = 0xff; /* X-bus chip selects: every ISA chip answers always */
    writable[0x69] = 0xfe;                  /* top of memory for ISA masters */
    writable[0x6a] = writable[0x6b] = 0xff;
    memset(writable + 0x70, 0xef, 4);  /* MBIRQ, serial IRQ */
    memset(writable + 0xa0, 0xff, 16); /* SMI control and timers: stored */
    return true;
}

static void piix3_reset(struct device *d)
{
    struct piix3 *s = d->state;
    uint8_t *config = dev_pci_config(d);

    memset(config + PIRQ_ROUTE, PIRQ_OFF, PIRQS);
    config[0x4c] = 0x4d;
    config[0x4e] = 0x03;
    config[0x69] = 0x02;
    config[0xa0] = 0x08;
    s->reset_control = s->apm_status = 0;
    update_irqs(d);
}

static bool piix3_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct piix3 *p = d->state;

    stream_u8(s, &p->pirq_levels);
    stream_u16(s, &p->irq_levels);
    stream_u8(s, &p->reset_control);
    stream_u8(s, &p->apm_status);
    for (unsigned irq = 0; s->loading && irq < 16; irq++)
        dev_irq(d, irq, p->irq_levels >> irq & 1);
    return stream_ok(s);
}

static const struct irqchip_ops router = {.kind = IRQCHIP_PCI_ROUTER, .input = piix3_input};
static const struct pci_ids ids = {
    .vendor = 0x8086,
    .device = 0x7000,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .class_code = 0x060100,
    .multifunction = true,
};

const struct device_ops piix3_ops = {
    .name = "piix3",
    .state_bytes = sizeof(struct piix3),
    .version = 1,
    .regions = {[REGION_RESET] = {.bus = BUS_PORT, .base = 0xcf9, .bytes = 1, .min_size = 1, .max_size = 1},
                [REGION_APM] = {.bus = BUS_PORT, .base = 0xb3, .bytes = 1, .min_size = 1, .max_size = 1}},
    .pci = &ids,
    .init = piix3_init,
    .reset = piix3_reset,
    .read = piix3_read,
    .write = piix3_write,
    .pci_written = piix3_pci_written,
    .sync = piix3_sync,
    .irqchip = &router,
};
