// SPDX-License-Identifier: GPL-2.0-or-later
/* device.c - core's half of a device: lock, regions, timers, log. */
#include "core-vmm/api/flash.h"
#include "core-vmm/api/input.h"
#include "core-vmm/machine/core.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

#define LOGS_PER_SECOND 5

/* The clock took the timer off its heap before this got the device's lock: the device may have moved or stopped it. */
static void device_timer_due(void *ctx)
{
    struct device_timer *t = ctx;
    struct device *d = t->device;
    pthread_mutex_lock(d->core->lock);
    if (t->at != DEV_NEVER && t->at <= clock_now(d->machine->clock)) {
        t->at = DEV_NEVER;
        t->fn(d);
    }
    pthread_mutex_unlock(d->core->lock);
}

struct device *device_new(struct machine *m, const struct wiring *w)
{
    struct device *d = g_new0(struct device, 1);
    struct device_core *c = g_new0(struct device_core, 1);
    d->ops = w->ops;
    d->name = w->name;
    d->machine = m;
    d->core = c;
    d->state = g_malloc0(MAX(w->ops->state_bytes, 1));
    c->wiring = *w;
    pthread_mutex_init(&c->own_lock, NULL);
    c->lock = w->irqchip ? &m->irq.lock : &c->own_lock;
    c->config = (struct config){m->file, m->path, w->section ? w->section : w->name};
    unsigned ports = 0;
    for (unsigned i = 0; i < DEV_REGIONS; i++) {
        const struct region *r = &w->ops->regions[i];
        uint64_t base = r->base;
        if (r->bus == BUS_PORT && !r->bar && ports < G_N_ELEMENTS(w->ports) && w->ports[ports])
            base = w->ports[ports++];
        c->region[i] = (struct mapped_region){
            .device = d, .index = i, .base = base, .registers = r->registers, .memory = NO_MEMORY};
    }
    for (unsigned i = 0; i < DEV_TIMERS; i++) {
        struct device_timer *t = &c->timers[i];
        *t = (struct device_timer){.device = d, .at = DEV_NEVER};
        t->timer = clock_timer_new(m->clock, device_timer_due, t);
    }
    if (w->ops->pci)
        pci_setup(d);
    return d;
}

bool device_init(struct device *d, GError **error)
{
    d->core->ready = !d->ops->init || d->ops->init(d, &d->core->config, error);
    return d->core->ready;
}

void device_free(struct device *d)
{
    drives_hush(d->machine, d);
    if (d->ops->fini && d->core->ready)
        d->ops->fini(d);
    for (unsigned i = 0; i < DEV_TIMERS; i++)
        clock_timer_free(d->core->timers[i].timer);
    for (unsigned i = 0; i < DEV_REGIONS; i++)
        if (d->core->region[i].memory != NO_MEMORY)
            memory_remove(d->machine, d->core->region[i].memory, d->core->region[i].memory_bytes);
    pthread_mutex_destroy(&d->core->own_lock);
    msi_free(d->core->msi);
    g_free(d->core->pci_config);
    g_free(d->core->pci_writable);
    g_free(d->core);
    g_free(d->state);
    g_free(d);
}

/* Switches one region on at base, or off.  The map lock is not held. */
void device_place_region(struct device *d, unsigned i, uint64_t base, bool on)
{
    struct mapped_region *r = &d->core->region[i];
    const struct region *spec = &d->ops->regions[i];
    if (r->on == on && r->base == base)
        return;
    if (spec->bus == BUS_PORT) {
        pthread_mutex_lock(&d->machine->map);
        if (r->on)
            bus_map_port(r, false);
        r->base = base;
        if (on)
            bus_map_port(r, true);
        pthread_mutex_unlock(&d->machine->map);
    } else {
        pthread_mutex_lock(&d->machine->map);
        bool changed = r->on || on;
        r->base = base;
        r->on = on;
        if (changed)
            memory_rebuild(d->machine);
        pthread_mutex_unlock(&d->machine->map);
    }
}

void dev_map(struct device *d, unsigned region, uint64_t base, bool on)
{
    if (region < DEV_REGIONS && !d->ops->regions[region].bar)
        device_place_region(d, region, base, on);
}

static void regions_reset(struct device *d)
{
    unsigned ports = 0;
    for (unsigned i = 0; i < DEV_REGIONS; i++) {
        const struct region *r = &d->ops->regions[i];
        uint64_t base = r->base;
        if (r->bus == BUS_NONE || r->bar)
            continue;
        if (r->bus == BUS_PORT && ports < 2 && d->core->wiring.ports[ports])
            base = d->core->wiring.ports[ports++];
        device_place_region(d, i, base, !r->off);
    }
}

/* The device's own reset may move its regions, so it comes last. */
void device_reset(struct device *d)
{
    pthread_mutex_lock(d->core->lock);
    for (unsigned i = 0; i < DEV_TIMERS; i++)
        dev_timer(d, i, DEV_NEVER, NULL);
    for (unsigned line = 0; line < 32; line++)
        dev_irq(d, line, false);
    if (d->ops->pci)
        pci_reset(d);
    regions_reset(d);
    if (d->ops->input)
        dev_input(d, 0);
    if (d->ops->reset)
        d->ops->reset(d);
    pthread_mutex_unlock(d->core->lock);
}

uint64_t dev_now(struct device *d)
{
    return clock_now(d->machine->clock);
}

void dev_timer(struct device *d, unsigned id, uint64_t at_ns, void (*fn)(struct device *d))
{
    struct device_timer *t = &d->core->timers[id];
    if (t->at == DEV_NEVER && at_ns == DEV_NEVER)
        return;
    t->at = at_ns;
    t->fn = fn;
    clock_timer_set(t->timer, at_ns);
}

uint8_t *dev_memory(struct device *d, unsigned region, uint64_t bytes, bool readonly)
{
    struct mapped_region *r = &d->core->region[region];
    g_autoptr(GError) error = NULL;
    if (d->ops->regions[region].bar)
        bytes = MAX(bytes, PAGE); /* what a BAR maps begins and ends with a page */
    uint64_t offset = memory_add(d->machine, bytes, &error);
    if (offset == NO_MEMORY) {
        g_warning("%s: %s", d->name, error->message);
        return NULL;
    }
    r->memory = offset;
    r->readonly = readonly;
    r->memory_bytes = bytes;
    if (d->ops->regions[region].bar)
        pci_bar_bytes(d, d->ops->regions[region].bar, bytes);
    return d->machine->memory.base + offset;
}

void dev_memory_show(struct device *d, unsigned region, bool shown)
{
    struct mapped_region *r = &d->core->region[region];
    pthread_mutex_lock(&d->machine->map);
    if (r->hidden == shown) {
        r->hidden = !shown;
        if (r->on)
            memory_rebuild(d->machine);
    }
    pthread_mutex_unlock(&d->machine->map);
}

int dev_kept_open(struct device *d, const char *name, GError **error)
{
    g_autofree char *path = g_build_filename(d->machine->folder, name, NULL);
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "%s: %s", path, g_strerror(errno));
    return fd;
}

void dev_memory_dirty(struct device *d, unsigned region, uint64_t *bitmap)
{
    struct machine *m = d->machine;
    struct mapped_region *r = &d->core->region[region];
    if (m->engine_vm && r->memory != NO_MEMORY)
        m->engine->dirty(m->engine_vm, r->memory, r->memory_bytes, bitmap);
}

void dev_log(struct device *d, const char *format, ...)
{
    struct device_core *c = d->core;
    int64_t second = g_get_monotonic_time() / G_USEC_PER_SEC;
    if (second != c->log_second) {
        if (c->log_count > LOGS_PER_SECOND)
            g_message("%s: %u more messages left out", d->name, c->log_count - LOGS_PER_SECOND);
        c->log_second = second;
        c->log_count = 0;
    }
    if (c->log_count++ >= LOGS_PER_SECOND)
        return;
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_message("%s: %s", d->name, text);
}

void dev_lock(struct device *d)
{
    pthread_mutex_lock(d->core->lock);
}

void dev_unlock(struct device *d)
{
    pthread_mutex_unlock(d->core->lock);
}

uint8_t *dev_pci_config(struct device *d)
{
    return d->core->pci_config;
}

uint8_t *dev_pci_writable(struct device *d)
{
    return d->core->pci_writable;
}

uint64_t dev_tsc(struct device *d)
{
    return clock_tsc(d->machine->clock);
}

uint64_t dev_tsc_khz(struct device *d)
{
    return clock_tsc_khz(d->machine->clock);
}

unsigned dev_cpus(struct device *d)
{
    return d->machine->cpus;
}

void dev_reset_machine(struct device *d)
{
    machine_ask_reset(d->machine);
}

void dev_stop_machine(struct device *d, enum machine_end end, unsigned code)
{
    machine_stop(d->machine, end, code, NULL);
}

struct device *dev_find(struct device *d, const char *name)
{
    return machine_device(d->machine, name);
}
