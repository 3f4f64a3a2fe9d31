// SPDX-License-Identifier: GPL-2.0-or-later
/* state_core.c - the table of what is saved: {name, version, sync}, in the order of the file.
 *
 * The order is that of loading, and each part may rely on those before it: time stands at the right moment when a chip sets
 * its timers; the address map is there before memory is written, and memory before a CPU's page tables are looked at. */
#include "core-vmm/api/tpm.h"
#include "core-vmm/base/disk_layers.h"
#include "core-vmm/machine/state.h"
#include <string.h>

/* ---- core's own parts ---- */

static bool sync_clock(struct machine *m, const struct state_part *p, struct stream *s, GError **error)
{
    return clock_sync(m->clock, s, error);
}

/* Shadow RAM and the A20 gate. */
static bool sync_map(struct machine *m, const struct state_part *p, struct stream *s, GError **error)
{
    struct memory *mem = &m->memory;
    for (unsigned i = 0; i < G_N_ELEMENTS(mem->shadow); i++) {
        stream_bool(s, &mem->shadow[i].read_ram);
        stream_bool(s, &mem->shadow[i].write_ram);
    }
    stream_bool(s, &mem->a20);
    if (s->loading && stream_ok(s))
        device_map_changed(m);
    return stream_ok(s);
}

static bool sync_drives(struct machine *m, const struct state_part *p, struct stream *s, GError **error)
{
    return drives_sync(m, s, error);
}

static bool sync_interrupts(struct machine *m, const struct state_part *p, struct stream *s, GError **error)
{
    return irq_sync(m, s);
}

static bool sync_input(struct machine *m, const struct state_part *p, struct stream *s, GError **error)
{
    return input_queue_sync(m->input, s);
}

static bool sync_tpm(struct machine *m, const struct state_part *p, struct stream *s, GError **error)
{
    return tpm_sync(m, s, error);
}

/* ---- devices ---- */

void device_outside_get(struct device *d, struct device_outside *o)
{
    o->pci = d->ops->pci != NULL;
    if (o->pci) {
        memcpy(o->config, d->core->pci_config, sizeof o->config);
        memcpy(o->writable, d->core->pci_writable, sizeof o->writable);
    }
    for (unsigned i = 0; i < DEV_REGIONS; i++) {
        o->region[i].base = d->core->region[i].base;
        o->region[i].on = d->core->region[i].on;
    }
    o->lines = d->core->irq_levels;
}

/* Engines map whole pages; ports end at 65536, addresses where CPUs end. */
static bool fits(struct device *d, unsigned i, uint64_t base, bool on)
{
    const struct region *spec = &d->ops->regions[i];
    const struct mapped_region *r = &d->core->region[i];
    uint64_t bytes = r->memory != NO_MEMORY ? r->memory_bytes : spec->bytes;
    if (!on)
        return true;
    if (spec->bus == BUS_PORT)
        return base < 65536;
    return spec->bus == BUS_MEM && base < 1ull << 52 && bytes <= (1ull << 52) - base &&
           (r->memory == NO_MEMORY || base % PAGE == 0);
}

bool device_outside_put(struct device *d, const struct device_outside *o)
{
    for (unsigned i = 0; i < DEV_REGIONS; i++)
        if (!fits(d, i, o->region[i].base, o->region[i].on))
            return false;
    if (o->pci) {
        memcpy(d->core->pci_config, o->config, sizeof o->config);
        memcpy(d->core->pci_writable, o->writable, sizeof o->writable);
    }
    for (unsigned i = 0; i < DEV_REGIONS; i++)
        if (d->ops->regions[i].bus != BUS_NONE)
            device_place_region(d, i, o->region[i].base, o->region[i].on);
    d->core->irq_levels = d->core->irq_loaded = o->lines;
    return true;
}

static bool sync_device(struct machine *m, const struct state_part *p, struct stream *s, GError **error)
{
    dev_lock(p->device);
    bool good = device_core_sync(p->device, s, error);
    dev_unlock(p->device);
    return good;
}

static bool sync_chip(struct machine *m, const struct state_part *p, struct stream *s, GError **error)
{
    dev_lock(p->device);
    bool good = device_chip_sync(p->device, s, p->version, error);
    dev_unlock(p->device);
    return good;
}

static bool sync_msi(struct machine *m, const struct state_part *p, struct stream *s, GError **error)
{
    dev_lock(p->device);
    bool good = msi_sync(p->device, s);
    dev_unlock(p->device);
    return good;
}

/* ---- CPUs ---- */

static bool sync_cpu(struct machine *m, const struct state_part *p, struct stream *s, GError **error)
{
    g_autofree struct x86_state *c = g_new0(struct x86_state, 1);
    struct host_cpu h;
    memset(&h, 0, sizeof h);
    host_cpu_learn_xsave(&h);
    if (!s->loading)
        m->engine->get_state(m->vcpu[p->cpu].engine_vcpu, c);
    if (!state_sync_cpu(c, &h, s, error) || !stream_ok(s))
        return false;
    if (s->loading)
        m->engine->set_state(m->vcpu[p->cpu].engine_vcpu, c);
    return true;
}

/* The same whether the engine brings them or they are the device "lapic". */
static bool sync_lapic(struct machine *m, const struct state_part *p, struct stream *s, GError **error)
{
    struct cpu_lapic a;
    memset(&a, 0, sizeof a);
    if (!s->loading)
        irq_lapic_save(m, p->cpu, &a);
    stream_raw(s, a.registers, sizeof a.registers);
    stream_u64(s, &a.base);
    stream_u64(s, &a.tsc_deadline);
    stream_u32(s, &a.errors);
    stream_bool(s, &a.ran_out);
    if (!s->loading || !stream_ok(s))
        return stream_ok(s);
    return irq_lapic_load(m, p->cpu, &a) ||
           state_fail(error, "has a value in a CPU's IA32_APIC_BASE that no CPU can have");
}

/* ---- the table ---- */

typedef bool (*sync_fn)(struct machine *m, const struct state_part *p, struct stream *s, GError **error);

static struct state_part *add(GArray *table, const char *name, uint32_t version, sync_fn sync)
{
    struct state_part p = {.version = version, .sync = sync};
    g_strlcpy(p.name, name, sizeof p.name);
    g_array_append_val(table, p);
    return &g_array_index(table, struct state_part, table->len - 1);
}

static void add_device(GArray *table, struct device *d)
{
    g_autofree char *core = g_strdup_printf("core %s", d->name), *chip = g_strdup_printf("chip %s", d->name);
    g_autofree char *msi = g_strdup_printf("msi %s", d->name);
    if (d->ops->lapic)
        return; /* behind the CPUs */
    add(table, core, DEVICE_CORE_VERSION, sync_device)->device = d;
    if (d->core->msi)
        add(table, msi, 1, sync_msi)->device = d;
    add(table, chip, d->ops->version, sync_chip)->device = d;
}

static void add_cpus(GArray *table, const char *kind, unsigned cpus, uint32_t version, sync_fn sync)
{
    for (unsigned i = 0; i < cpus; i++) {
        g_autofree char *name = g_strdup_printf("%s %u", kind, i);
        add(table, name, version, sync)->cpu = i;
    }
}

GArray *state_table(struct machine *m)
{
    GArray *table = g_array_new(FALSE, TRUE, sizeof(struct state_part));
    add(table, STATE_MANIFEST, 1, state_sync_manifest);
    add(table, "machine", 1, state_sync_machine);
    add(table, "clock", 1, sync_clock);
    add(table, DISK_LAYERS_PART, DISK_LAYERS_VERSION, sync_drives);
    add(table, "map", 1, sync_map);
    for (unsigned i = 0; i < m->devices; i++)
        add_device(table, m->device[i]);
    if (m->tpm)
        add(table, "tpm", 1, sync_tpm);
    add(table, "interrupts", 1, sync_interrupts);
    add(table, STATE_MEMORY_PART, STATE_MEMORY_VERSION, NULL);
    add_cpus(table, "cpu", m->cpus, 1, sync_cpu);
    if (irq_has_lapics(m))
        add_cpus(table, "lapic", m->cpus, 2, sync_lapic);
    add(table, "input", 1, sync_input);
    return table;
}
