// SPDX-License-Identifier: GPL-2.0-or-later
/* bus.c - from an engine's port or memory access to the device that answers it.
 *
 * Ports: a table of 65536 pointers, changed entry by entry.  Memory: the flat map.  The bus splits what is wider than a
 * region's max_size (low part first), widens what is narrower than its min_size, and takes the device's lock. */
#include "core-vmm/machine/core.h"
#include <string.h>

static uint64_t ones(unsigned size)
{
    return size >= 8 ? UINT64_MAX : (1ull << size * 8) - 1;
}

static bool region_holds_port(const struct mapped_region *r, uint64_t port)
{
    const struct region *spec = &r->device->ops->regions[r->index];
    return spec->bus == BUS_PORT && r->on && port - r->base < spec->bytes;
}

/* Whoever else is at that port: the last one of the board's list. */
static struct mapped_region *port_owner(struct machine *m, uint64_t port)
{
    for (unsigned i = m->devices; i-- > 0;)
        for (unsigned k = 0; k < DEV_REGIONS; k++)
            if (region_holds_port(&m->device[i]->core->region[k], port))
                return &m->device[i]->core->region[k];
    return NULL;
}

void bus_map_port(struct mapped_region *r, bool on)
{
    struct machine *m = r->device->machine;
    uint64_t bytes = r->device->ops->regions[r->index].bytes;
    r->on = on;
    for (uint64_t port = r->base; port < r->base + bytes && port < 65536; port++)
        atomic_store(&m->port[port], on ? r : port_owner(m, port));
}

/* One access that fits the region's widths; the lock is held. */
static uint64_t read_fitting(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    const struct region *r = &d->ops->regions[region];
    if (d->core->msi && msix_covers(d, region, offset))
        return msix_read(d, offset, size);
    if (!d->ops->read)
        return ones(size);
    if (size >= r->min_size)
        return d->ops->read(d, region, offset, size);
    uint64_t aligned = offset & ~(uint64_t)(r->min_size - 1);
    return d->ops->read(d, region, aligned, r->min_size) >> (offset - aligned) * 8 & ones(size);
}

static void write_fitting(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    const struct region *r = &d->ops->regions[region];
    if (d->core->msi && msix_covers(d, region, offset)) {
        msix_write(d, offset, size, value);
        return;
    }
    if (!d->ops->write)
        return;
    if (size >= r->min_size) {
        d->ops->write(d, region, offset, size, value & ones(size));
        return;
    }
    uint64_t aligned = offset & ~(uint64_t)(r->min_size - 1);
    unsigned shift = (offset - aligned) * 8;
    d->ops->write(d, region, aligned, r->min_size, (value & ones(size)) << shift);
}

/* A vCPU comes and goes. */
static void access_begins(struct device *d)
{
    pthread_mutex_lock(d->core->lock);
    d->core->at_once = d->machine->at_once;
}

static void access_ends(struct device *d)
{
    if (d->core->requests_through)
        drives_tell(d);
    d->core->at_once = 0;
    pthread_mutex_unlock(d->core->lock);
}

static unsigned step_size(const struct region *r, uint64_t offset, unsigned left)
{
    unsigned max = r->max_size ? r->max_size : 1;
    unsigned step = MIN(left, max);
    while (step & (step - 1)) /* 3, 5, 6, 7 come from a split at a region's end */
        step &= step - 1;
    if (r->bytes - offset < step)
        step = 1;
    return step;
}

static uint64_t device_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    const struct region *r = &d->ops->regions[region];
    uint64_t value = 0;
    access_begins(d);
    for (unsigned at = 0; at < size;) {
        if (offset + at >= r->bytes) {
            value |= (ones(size) >> at * 8) << at * 8;
            break;
        }
        unsigned step = step_size(r, offset + at, size - at);
        value |= (read_fitting(d, region, offset + at, step) & ones(step)) << at * 8;
        at += step;
    }
    access_ends(d);
    return value;
}

static void device_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    const struct region *r = &d->ops->regions[region];
    access_begins(d);
    for (unsigned at = 0; at < size && offset + at < r->bytes;) {
        unsigned step = step_size(r, offset + at, size - at);
        write_fitting(d, region, offset + at, step, value >> at * 8);
        at += step;
    }
    access_ends(d);
}

/* ---- ports ---- */

/* A region that begins the access answers as much of it as it covers, also where a smaller region overlaps it: a 32-bit
 * access to 0xCF8 is the PCI host's, though a byte access to 0xCF9 is the reset register's. */
static unsigned covered(const struct mapped_region *r, uint16_t port, unsigned at, unsigned size)
{
    return MIN(size - at, r->base + r->device->ops->regions[r->index].bytes - (port + at));
}

enum { EOI_MASTER = 0x20, EOI_SLAVE = 0xa0 };

void dev_looked(struct device *d)
{
    atomic_store_explicit(&d->core->looked, true, memory_order_relaxed);
}

/* Is it an access with registers?  Those that lie in such a region only in part are ordinary ones. */
static bool is_call(const struct mapped_region *r, uint16_t port, unsigned size)
{
    const struct region *spec = &r->device->ops->regions[r->index];
    return size >= spec->min_size && size <= spec->max_size && port - r->base + size <= spec->bytes;
}

static uint64_t port_call(struct mapped_region *r, unsigned cpu, struct port_call p)
{
    struct device *d = r->device;
    const struct cpu_engine *engine = d->machine->engine;
    struct vcpu_thread *v = &d->machine->vcpu[cpu];
    p.region = r->index;
    engine->registers(v->engine_vcpu, p.gpr, false);
    dev_lock(d);
    d->ops->port_call(d, &p);
    dev_unlock(d);
    engine->registers(v->engine_vcpu, p.gpr, true);
    v->idle.other_port = true;
    return p.value & ones(p.size);
}

/* Not inlined: their room on the stack would cost all other ports. */
static __attribute__((noinline)) uint64_t in_with_registers(struct mapped_region *r, unsigned cpu, uint16_t port,
                                                            unsigned size)
{
    return port_call(r, cpu, (struct port_call){.offset = port - r->base, .size = size, .in = true});
}

static __attribute__((noinline)) void out_with_registers(struct mapped_region *r, unsigned cpu, uint16_t port,
                                                         unsigned size, uint64_t value)
{
    port_call(r, cpu, (struct port_call){.offset = port - r->base, .size = size, .value = value & ones(size)});
}

bool machine_string(struct machine *m, unsigned cpu, uint16_t port, bool in, uint8_t *data, uint32_t count)
{
    struct mapped_region *r = atomic_load(&m->port[port]);
    if (!r || !r->registers || !r->device->ops->regions[r->index].strings)
        return false;
    port_call(r, cpu, (struct port_call){.offset = port - r->base, .size = 1, .in = in, .bytes = data, .count = count});
    return true;
}

bool machine_port_any_ring(struct machine *m, uint16_t port, unsigned size)
{
    for (unsigned at = 0; at < size; at++) {
        const struct mapped_region *r = port + at < 65536 ? atomic_load(&m->port[port + at]) : NULL;
        if (!r || !r->device->ops->regions[r->index].any_ring)
            return false;
    }
    return true;
}

uint64_t machine_in(struct machine *m, unsigned cpu, uint16_t port, unsigned size)
{
    uint64_t value = 0;
    for (unsigned at = 0; at < size;) {
        struct mapped_region *r = port + at < 65536 ? atomic_load(&m->port[port + at]) : NULL;
        if (r && r->registers && at == 0 && is_call(r, port, size))
            return in_with_registers(r, cpu, port, size);
        unsigned n = r ? covered(r, port, at, size) : 1;
        uint64_t part = r ? device_read(r->device, r->index, port + at - r->base, n) : 0xff;
        if (r && atomic_load_explicit(&r->device->core->looked, memory_order_relaxed)) {
            atomic_store_explicit(&r->device->core->looked, false, memory_order_relaxed);
            idle_looked_at_port(m, cpu);
        } else {
            m->vcpu[cpu].idle.other_port = true;
        }
        value |= part << at * 8;
        at += n;
    }
    return value;
}

void machine_out(struct machine *m, unsigned cpu, uint16_t port, unsigned size, uint64_t value)
{
    for (unsigned at = 0; at < size;) {
        struct mapped_region *r = port + at < 65536 ? atomic_load(&m->port[port + at]) : NULL;
        if (r && r->registers && at == 0 && is_call(r, port, size)) {
            out_with_registers(r, cpu, port, size, value);
            return;
        }
        unsigned n = r ? covered(r, port, at, size) : 1;
        if (r)
            device_write(r->device, r->index, port + at - r->base, n, value >> at * 8);
        at += n;
    }
    m->vcpu[cpu].idle.other_port |=
        port != EOI_MASTER && port != EOI_SLAVE; /* an interrupt that came between is none */
}

/* ---- memory ---- */

static bool in_apic_page(struct machine *m, unsigned cpu, uint64_t gpa)
{
    uint64_t page = atomic_load_explicit(&m->irq.apic_page[cpu], memory_order_relaxed);
    return page && gpa - page < PAGE;
}

static uint64_t apic_load(struct machine *m, unsigned cpu, unsigned offset, unsigned size)
{
    const struct lapic_ops *ops = m->irq.lapic->ops->lapic;
    pthread_mutex_lock(&m->irq.lock);
    uint64_t value = ops->read(m->irq.lapic, cpu, offset & 0xff0);
    pthread_mutex_unlock(&m->irq.lock);
    return (offset & 15) < 4 ? value >> (offset & 3) * 8 & ones(size) : 0;
}

static void apic_store(struct machine *m, unsigned cpu, unsigned offset, unsigned size, uint64_t value)
{
    const struct lapic_ops *ops = m->irq.lapic->ops->lapic;
    if (offset & 15 || size < 4) /* the manual demands aligned doublewords; others are undefined, here ignored */
        return;
    pthread_mutex_lock(&m->irq.lock);
    ops->write(m->irq.lapic, cpu, offset, value);
    irq_update_pin(m, cpu);
    pthread_mutex_unlock(&m->irq.lock);
}

/* Loads within one stretch. */
static uint64_t flat_load(struct machine *m, const struct flat *f, uint64_t gpa, unsigned size)
{
    uint64_t skip = gpa - f->gpa, value = 0;
    if (f->offset != NO_MEMORY)
        memcpy(&value, m->memory.base + f->offset + skip, size);
    else if (f->device)
        value = device_read(f->device, f->region, f->region_offset + skip, size);
    else
        value = ones(size);
    return value;
}

static void flat_store(struct machine *m, const struct flat *f, uint64_t gpa, unsigned size, uint64_t value)
{
    uint64_t skip = gpa - f->gpa;
    uint64_t to = f->store_offset;
    if (to == NO_MEMORY && f->offset != NO_MEMORY && !f->readonly)
        to = f->offset;
    if (to != NO_MEMORY) {
        memcpy(m->memory.base + to + skip, &value, size);
        if (m->engine_vm)
            memory_touched(m, to + skip, size);
    } else if (f->device && (f->offset == NO_MEMORY || f->device->ops->regions[f->region].commands)) {
        device_write(f->device, f->region, f->region_offset + skip, size, value);
    }
}

uint64_t machine_load(struct machine *m, unsigned cpu, uint64_t gpa, unsigned size)
{
    uint64_t value = 0;
    if (in_apic_page(m, cpu, gpa))
        return apic_load(m, cpu, gpa & (PAGE - 1), size);
    for (unsigned at = 0; at < size;) {
        struct flat f;
        unsigned n = 1;
        uint64_t part = 0xff;
        if (memory_find(m, gpa + at, &f)) {
            n = MIN(size - at, f.gpa + f.bytes - (gpa + at));
            part = flat_load(m, &f, gpa + at, n);
        }
        value |= part << at * 8;
        at += n;
    }
    return value;
}

void machine_store(struct machine *m, unsigned cpu, uint64_t gpa, unsigned size, uint64_t value)
{
    if (in_apic_page(m, cpu, gpa)) {
        apic_store(m, cpu, gpa & (PAGE - 1), size, value);
        return;
    }
    for (unsigned at = 0; at < size;) {
        struct flat f;
        unsigned n = 1;
        if (memory_find(m, gpa + at, &f)) {
            n = MIN(size - at, f.gpa + f.bytes - (gpa + at));
            flat_store(m, &f, gpa + at, n, value >> at * 8);
        }
        at += n;
    }
}
