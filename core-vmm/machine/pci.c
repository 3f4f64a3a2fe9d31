// SPDX-License-Identifier: GPL-2.0-or-later
/* pci.c - PCI configuration space of bus 0 and configuration mechanism #1 (PCI Local Bus Specification 3.0, chapters 3.2.2.3
 * and 6).  Core keeps every function's 256 bytes and a mask of writable bits, builds its list of capabilities, and maps
 * regions by their base address registers and the command register; the chip hears of writes by pci_written().  Messages
 * (MSI, MSI-X) are in pci_msi.c. */
#include "core-vmm/base/bytes.h"
#include "core-vmm/machine/core.h"
#include <string.h>

enum { PCI_COMMAND = 4, PCI_STATUS = 6, PCI_BAR0 = 0x10, PCI_ROM = 0x30, PCI_CAPABILITIES = 0x34, PCI_LINE = 0x3c };
enum { COMMAND_IO = 1, COMMAND_MEMORY = 2, COMMAND_INTX_OFF = 1 << 10, STATUS_INTX = 8, STATUS_CAPABILITIES = 16 };
enum { ROM_ENABLE = 1, BAR_PORT = 1, BAR_WIDE = 4, BAR_PREFETCHABLE = 8, FIRST_CAPABILITY = 0x40 };
/* A wide BAR answers below these only.  Memory is where every host with virtualization can map it; registers need no mapping,
 * and x86 CPUs reach no more. */
#define MEMORY_END    (1ull << 39)
#define REGISTERS_END (1ull << 52)
#define PORT_LAST     0xffffu

/* ---- base address registers ---- */

static unsigned bar_register(unsigned bar)
{
    return bar == BAR_ROM ? PCI_ROM : PCI_BAR0 + (bar - BAR0) * 4;
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

/* The bits that say what kind of BAR it is: read-only. */
static uint32_t bar_kind(const struct region *r)
{
    if (r->bus == BUS_PORT)
        return BAR_PORT;
    return (r->wide ? BAR_WIDE : 0) | (r->prefetchable ? BAR_PREFETCHABLE : 0);
}

/* The address in a BAR's registers, or in the mask of their writable bits. */
static uint64_t bar_address(const uint8_t *config, const struct region *r)
{
    unsigned at = bar_register(r->bar);
    uint32_t low = get_le32(config + at) & ~(r->bus == BUS_PORT ? 3u : r->bar == BAR_ROM ? 0x7ffu : 15u);
    return low | (r->wide ? (uint64_t)get_le32(config + at + 4) << 32 : 0);
}

/* Sizes are powers of two; called again by dev_memory() where only init knows the size. */
void pci_bar_bytes(struct device *d, unsigned bar, uint64_t bytes)
{
    unsigned index = 0;
    const struct region *r = bar_region(d, bar, &index);
    uint64_t size = r->bus == BUS_PORT ? 4 : 16;
    while (size < bytes)
        size <<= 1;
    uint8_t *w = d->core->pci_writable + bar_register(bar);
    put_le32(w, (uint32_t)-size | (bar == BAR_ROM ? ROM_ENABLE : 0));
    if (r->wide)
        put_le32(w + 4, -size >> 32);
    d->core->region[index].bar_bytes = size;
}

static uint64_t last_base(const struct region *r, const struct mapped_region *at)
{
    if (r->bus == BUS_PORT)
        return PORT_LAST;
    return (at->memory == NO_MEMORY ? REGISTERS_END : MEMORY_END) - at->bar_bytes;
}

static void bar_apply(struct device *d, unsigned bar)
{
    unsigned index = 0;
    const struct region *r = bar_region(d, bar, &index);
    if (!r)
        return;
    const uint8_t *c = d->core->pci_config;
    uint64_t base = bar_address(c, r), all = bar_address(d->core->pci_writable, r);
    bool on = c[PCI_COMMAND] & (r->bus == BUS_PORT ? COMMAND_IO : COMMAND_MEMORY);
    if (bar == BAR_ROM)
        on = on && (c[PCI_ROM] & ROM_ENABLE);
    if (base == 0 || base == all || base == (uint32_t)all) /* not set up, or being sized */
        on = false;
    if (base > last_base(r, &d->core->region[index]))
        on = false;
    device_place_region(d, index, base, on);
}

static void bars_apply(struct device *d)
{
    for (unsigned bar = BAR0; bar <= BAR_ROM; bar++)
        bar_apply(d, bar);
}

static void bars_reset(struct device *d)
{
    for (unsigned bar = BAR0; bar <= BAR_ROM; bar++) {
        unsigned index = 0;
        const struct region *r = bar_region(d, bar, &index);
        uint8_t *c = d->core->pci_config + bar_register(bar);
        if (r)
            put_le32(c, bar_kind(r));
        if (r && r->wide)
            put_le32(c + 4, 0);
    }
    bars_apply(d);
}

/* ---- capabilities ---- */

static unsigned capability_bytes(const struct pci_capability *c)
{
    return c->id == PCI_CAP_MSI ? (c->maskable ? 24 : 14) : c->id == PCI_CAP_MSIX ? 12 : c->bytes;
}

/* Calls fn for each with its place; where the list goes on is written by the next one. */
static void each_capability(struct device *d, void (*fn)(struct device *d, const struct pci_capability *c, unsigned at))
{
    unsigned next = FIRST_CAPABILITY;
    for (const struct pci_capability *c = d->ops->pci->capabilities; c && c->id; c++) {
        unsigned at = c->at ? c->at : next;
        next = (at + capability_bytes(c) + 3) & ~3u;
        g_assert(!(at & 3) && at >= FIRST_CAPABILITY && next <= 256);
        fn(d, c, at);
    }
}

static void capability_reset(struct device *d, const struct pci_capability *c, unsigned at)
{
    if (c->content)
        memcpy(d->core->pci_config + at + 2, c->content, c->bytes - 2);
}

static void capability_setup(struct device *d, const struct pci_capability *c, unsigned at)
{
    uint8_t *config = d->core->pci_config, *link = config + PCI_CAPABILITIES;
    while (*link)
        link = config + *link + 1;
    *link = at;
    config[at] = c->id;
    if (c->writable)
        memcpy(d->core->pci_writable + at + 2, c->writable, c->bytes - 2);
    if (c->id == PCI_CAP_MSI || c->id == PCI_CAP_MSIX)
        msi_setup(d, c, at);
    capability_reset(d, c, at);
}

/* ---- a function's configuration space ---- */

void pci_setup(struct device *d)
{
    const struct pci_ids *ids = d->ops->pci;
    uint8_t *c = d->core->pci_config = g_malloc0(256), *w = d->core->pci_writable = g_malloc0(256);
    put_le16(c, ids->vendor);
    put_le16(c + 2, ids->device);
    put_le32(c + 8, ids->class_code << 8 | ids->revision);
    c[0xe] = ids->multifunction ? 0x80 : 0;
    put_le16(c + 0x2c, ids->subsystem_vendor);
    put_le16(c + 0x2e, ids->subsystem);
    c[0x3d] = ids->interrupt_pin;
    put_le16(w + PCI_COMMAND, 0x0547);
    w[0xc] = w[0xd] = w[PCI_LINE] = 0xff; /* cache line size, latency timer, interrupt line: scratch */
    for (unsigned i = 0; i < DEV_REGIONS; i++)
        if (d->ops->regions[i].bar)
            pci_bar_bytes(d, d->ops->regions[i].bar, d->ops->regions[i].bytes);
    d->core->msi = msi_new(ids->capabilities);
    each_capability(d, capability_setup);
}

void pci_reset(struct device *d)
{
    uint8_t *c = d->core->pci_config;
    put_le16(c + PCI_COMMAND, 0);
    put_le16(c + PCI_STATUS, d->ops->pci->capabilities ? STATUS_CAPABILITIES : 0);
    c[PCI_LINE] = 0;
    each_capability(d, capability_reset);
    if (d->core->msi)
        msi_reset(d);
    bars_reset(d);
}

bool pci_intx_open(struct device *d, uint32_t asked)
{
    uint8_t *status = d->core->pci_config + PCI_STATUS;
    *status = (*status & ~STATUS_INTX) | (asked ? STATUS_INTX : 0);
    return !(get_le16(d->core->pci_config + PCI_COMMAND) & COMMAND_INTX_OFF) && !(d->core->msi && msi_enabled(d));
}

static uint32_t config_read(struct device *d, unsigned offset, unsigned size)
{
    uint32_t value = 0;
    if (d->ops->pci_reading)
        d->ops->pci_reading(d, offset, size);
    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)(offset + i < 256 ? d->core->pci_config[offset + i] : 0xff) << i * 8;
    return value;
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
    if (d->core->msi)
        msi_written(d);
    irq_intx_update(d);
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
    if (!target)
        return 0xffffffff;
    dev_lock(target);
    uint32_t value = config_read(target, reg + offset, size);
    dev_unlock(target);
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
    dev_lock(target);
    config_write(target, reg + offset, size, value);
    dev_unlock(target);
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
