// SPDX-License-Identifier: GPL-2.0-or-later
/* pci.c - PCI configuration space of bus 0 and configuration mechanism #1 (PCI Local Bus Specification 3.0, chapters 3.2.2.3
 * and 6).  Core keeps every function's 256 bytes and a mask of writable bits, and maps regions by their base address
 * registers and the command register; the chip hears of writes by pci_written(). */
#include "core-vmm/machine/core.h"
#include <string.h>

enum { PCI_COMMAND = 4, PCI_STATUS = 6, PCI_BAR0 = 0x10, PCI_ROM = 0x30, PCI_LINE = 0x3c };
enum { COMMAND_IO = 1, COMMAND_MEMORY = 2, ROM_ENABLE = 1, BAR_ROM = 7 };

/* ---- bytes ---- */

static void put16(uint8_t *p, uint16_t v)
{
    p[0] = v;
    p[1] = v >> 8;
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, v);
    put16(p + 2, v >> 16);
}

static uint32_t get32(const uint8_t *p)
{
    return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

/* ---- a function's configuration space ---- */

static unsigned bar_register(unsigned bar)
{
    return bar == BAR_ROM ? PCI_ROM : PCI_BAR0 + (bar - 1) * 4;
}

static const struct region *bar_region(struct device *d, unsigned bar, unsigned *index)
{
    for (unsigned i = 0; i < DEV_REGIONS; i++)
        if (d->ops->regions[i].bar == bar && d->ops->regions[i].bus != BUS_NONE) {
            *index = i;
            return &d->ops->regions[i];
        }
    return NULL;
}

/* Sizes are powers of two; called again by dev_memory() where only init knows the size. */
void pci_bar_bytes(struct device *d, unsigned bar, uint64_t bytes)
{
    unsigned index = 0;
    const struct region *r = bar_region(d, bar, &index);
    uint64_t size = 16;
    while (size < bytes)
        size <<= 1;
    uint32_t mask = ~(uint32_t)(r->bus == BUS_PORT ? bytes - 1 : size - 1);
    if (bar == BAR_ROM)
        mask |= ROM_ENABLE;
    put32(d->core->pci_writable + bar_register(bar), mask);
    d->core->region[index].bar_bytes = size;
}

void pci_setup(struct device *d)
{
    const struct pci_ids *ids = d->ops->pci;
    uint8_t *c = d->core->pci_config = g_malloc0(256), *w = d->core->pci_writable = g_malloc0(256);
    put16(c, ids->vendor);
    put16(c + 2, ids->device);
    put32(c + 8, ids->class_code << 8 | ids->revision);
    c[0xe] = ids->multifunction ? 0x80 : 0;
    put16(c + 0x2c, ids->subsystem_vendor);
    put16(c + 0x2e, ids->subsystem);
    c[0x3d] = ids->interrupt_pin;
    put16(w + PCI_COMMAND, 0x0547);
    w[0xc] = w[0xd] = w[PCI_LINE] = 0xff; /* cache line size, latency timer, interrupt line: scratch */
    for (unsigned bar = 1; bar <= BAR_ROM; bar++) {
        unsigned index = 0;
        const struct region *r = bar_region(d, bar, &index);
        if (r)
            pci_bar_bytes(d, bar, r->bytes);
        if (r && r->bus == BUS_PORT)
            c[bar_register(bar)] = 1;
    }
}

static void bar_apply(struct device *d, unsigned bar)
{
    unsigned index = 0;
    const struct region *r = bar_region(d, bar, &index);
    if (!r)
        return;
    const uint8_t *c = d->core->pci_config;
    uint32_t value = get32(c + bar_register(bar));
    bool port = r->bus == BUS_PORT;
    uint32_t base = port ? value & ~3u : bar == BAR_ROM ? value & ~0x7ffu : value & ~15u;
    bool on = c[PCI_COMMAND] & (port ? COMMAND_IO : COMMAND_MEMORY);
    if (bar == BAR_ROM)
        on = on && (value & ROM_ENABLE);
    uint32_t all = get32(d->core->pci_writable + bar_register(bar)) & ~(port ? 3u : bar == BAR_ROM ? 0x7ffu : 15u);
    if (base == 0 || base == all) /* not set up, or being sized */
        on = false;
    device_place_region(d, index, base, on);
}

static void bars_apply(struct device *d)
{
    for (unsigned bar = 1; bar <= BAR_ROM; bar++)
        bar_apply(d, bar);
}

void pci_reset(struct device *d)
{
    uint8_t *c = d->core->pci_config;
    put16(c + PCI_COMMAND, 0);
    put16(c + PCI_STATUS, 0);
    c[PCI_LINE] = 0;
    for (unsigned bar = 1; bar <= BAR_ROM; bar++) {
        unsigned index = 0;
        const struct region *r = bar_region(d, bar, &index);
        if (r)
            put32(c + bar_register(bar), r->bus == BUS_PORT ? 1 : 0);
    }
    bars_apply(d);
}

static void config_write(struct device *d, unsigned offset, unsigned size, uint32_t value)
{
    uint8_t *c = d->core->pci_config;
    const uint8_t *w = d->core->pci_writable;
    bool bars = false;
    for (unsigned i = 0; i < size && offset + i < 256; i++) {
        unsigned at = offset + i;
        c[at] = (c[at] & ~w[at]) | (value >> i * 8 & w[at]);
        bars |= at == PCI_COMMAND || (at >= PCI_BAR0 && at < PCI_BAR0 + 24) || (at >= PCI_ROM && at < PCI_ROM + 4);
    }
    if (bars)
        bars_apply(d);
    if (d->ops->pci_written)
        d->ops->pci_written(d, offset, size);
}

/* ---- the host's ports 0xCF8 and 0xCFC ---- */

struct pci_host {
    uint32_t address;
};

static struct device *selected(struct device *host, unsigned *reg)
{
    const struct pci_host *h = host->state;
    *reg = h->address & 0xfc;
    if (!(h->address & 0x80000000) || h->address >> 16 & 0xff)
        return NULL;
    return host->machine->pci_slot[h->address >> 8 & 0xff];
}

static uint64_t host_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    const struct pci_host *h = d->state;
    if (region == 0)
        return offset == 0 && size == 4 ? h->address : size == 4 ? 0xffffffff : (1u << size * 8) - 1;
    unsigned reg;
    struct device *target = selected(d, &reg);
    uint32_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)(target && reg + offset + i < 256 ? target->core->pci_config[reg + offset + i] : 0xff)
                 << i * 8;
    return value;
}

static void host_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    struct pci_host *h = d->state;
    unsigned reg;
    if (region == 0) {
        if (offset == 0 && size == 4)
            h->address = value & 0x80fffffc;
        return;
    }
    struct device *target = selected(d, &reg);
    if (!target)
        return;
    pthread_mutex_lock(target->core->lock);
    config_write(target, reg + offset, size, value);
    pthread_mutex_unlock(target->core->lock);
}

static void host_reset(struct device *d)
{
    ((struct pci_host *)d->state)->address = 0;
}

static bool host_sync(struct device *d, struct stream *s, uint32_t version)
{
    stream_u32(s, &((struct pci_host *)d->state)->address);
    return stream_ok(s);
}

const struct device_ops pci_host_ops = {
    .name = "pci-host",
    .state_bytes = sizeof(struct pci_host),
    .version = 1,
    .regions = {{BUS_PORT, 0xcf8, 4, 1, 4}, {BUS_PORT, 0xcfc, 4, 1, 4}},
    .reset = host_reset,
    .read = host_read,
    .write = host_write,
    .sync = host_sync,
};
