// SPDX-License-Identifier: GPL-2.0-or-later
/* Devices on the bench: their life, the bus, PCI configuration space, and the stepped clock.  See bench.h. */
#include "tests/devices/bench_inside.h"
#include "core-vmm/machine/device_state.h"
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

struct bench *bench_new(void)
{
    struct bench *b = g_new0(struct bench, 1);
    b->ram = mmap(NULL, BENCH_RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    g_assert(b->ram != MAP_FAILED);
    b->file = g_key_file_new();
    b->drives = g_ptr_array_new_with_free_func(bench_drive_free);
    b->chars = g_ptr_array_new_with_free_func(bench_char_free);
    b->cables = g_ptr_array_new_with_free_func(bench_cable_free);
    g_queue_init(&b->events);
    b->a20 = true;
    return b;
}

static void device_end(struct device *d)
{
    for (unsigned i = 0; i < DEV_REGIONS; i++)
        g_free(d->core->region[i].memory), g_free(d->core->region[i].dirty);
    g_free(d->state);
    g_free(d->core);
}

static void device_free(struct device *d)
{
    if (d->ops->fini)
        d->ops->fini(d);
    device_end(d);
    g_free((char *)d->name);
    g_free(d);
}

void bench_free(struct bench *b)
{
    while (b->devices)
        device_free(b->device[--b->devices]);
    g_ptr_array_unref(b->drives);
    g_ptr_array_unref(b->chars);
    g_ptr_array_unref(b->cables);
    g_queue_clear_full(&b->events, g_free);
    g_key_file_unref(b->file);
    munmap(b->ram, BENCH_RAM);
    g_free(b);
}

/* Where a chip's settings are: as the board has it. */
static const char *section_of(const char *name)
{
    return strcmp(name, "rtc") ? name : "machine";
}

void bench_config(struct bench *b, const char *section, const char *key, const char *value)
{
    g_key_file_set_string(b->file, section, key, value);
}

uint8_t *bench_ram(struct bench *b)
{
    return b->ram;
}

/* ---- PCI configuration space ---- */

static unsigned bar_register(const struct region *r)
{
    return r->bar == BAR_ROM ? 0x30 : 0x10 + 4 * (r->bar - BAR0);
}

static void pci_setup(struct device *d)
{
    const struct pci_ids *p = d->ops->pci;
    uint8_t *c = d->core->pci_config, *w = d->core->pci_writable;
    uint16_t ids[] = {GUINT16_TO_LE(p->vendor), GUINT16_TO_LE(p->device)};
    uint16_t subsystem[] = {GUINT16_TO_LE(p->subsystem_vendor), GUINT16_TO_LE(p->subsystem)};
    memcpy(c, ids, 4);
    memcpy(c + 0x2c, subsystem, 4);
    c[8] = p->revision;
    for (unsigned i = 0; i < 3; i++)
        c[9 + i] = p->class_code >> (8 * i);
    c[0x0e] = p->multifunction ? 0x80 : 0;
    c[0x3d] = p->interrupt_pin;
    w[4] = 0x47, w[5] = 5, w[0x0c] = w[0x0d] = w[0x3c] = 0xff;
    for (unsigned i = 0; i < DEV_REGIONS; i++) {
        const struct region *r = &d->ops->regions[i];
        if (!r->bar)
            continue;
        uint32_t mask = GUINT32_TO_LE(~(uint32_t)(r->bytes - 1));
        memcpy(w + bar_register(r), &mask, 4);
        w[bar_register(r)] |= r->bar == BAR_ROM;
        c[bar_register(r)] = r->bus == BUS_PORT;
        if (r->wide)
            memset(w + bar_register(r) + 4, 0xff, 4);
    }
}

static void pci_remap(struct device *d)
{
    for (unsigned i = 0; i < DEV_REGIONS; i++) {
        const struct region *r = &d->ops->regions[i];
        if (!r->bar)
            continue;
        uint64_t bar = bench_pci_read(d, bar_register(r), r->wide ? 8 : 4);
        d->core->region[i].base = bar & ~(r->bus == BUS_PORT ? 3ull : 15ull);
        d->core->region[i].on = (d->core->pci_config[4] & (r->bus == BUS_PORT ? 1 : 2)) && d->core->region[i].base &&
                                (r->bar != BAR_ROM || bar & 1);
    }
}

uint64_t bench_pci_read(struct device *d, unsigned offset, unsigned size)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)d->core->pci_config[(offset + i) & 255] << (8 * i);
    return v;
}

void bench_pci_write(struct device *d, unsigned offset, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++) {
        uint8_t *c = &d->core->pci_config[(offset + i) & 255], w = d->core->pci_writable[(offset + i) & 255];
        *c = (*c & ~w) | (value >> (8 * i) & w);
    }
    pci_remap(d);
    if (d->ops->pci_written)
        d->ops->pci_written(d, offset & 255, size);
}

uint8_t *dev_pci_config(struct device *d)
{
    return d->core->pci_config;
}

uint8_t *dev_pci_writable(struct device *d)
{
    return d->core->pci_writable;
}

/* ---- devices ---- */

static bool device_begin(struct device *d, struct bench *b, GError **error)
{
    d->state = g_malloc0(d->ops->state_bytes);
    d->core = g_new0(struct device_core, 1);
    d->core->bench = b;
    d->core->config = (struct config){b->file, "bench.ini", section_of(d->name)};
    for (unsigned i = 0; i < DEV_TIMERS; i++)
        d->core->timer[i].at = DEV_NEVER;
    for (unsigned i = 0; i < DEV_REGIONS; i++) {
        const struct region *r = &d->ops->regions[i];
        d->core->region[i].base = r->base;
        d->core->region[i].on = r->bus != BUS_NONE && !r->bar && !r->off;
    }
    if (d->ops->pci)
        pci_setup(d);
    return !d->ops->init || d->ops->init(d, &d->core->config, error);
}

/* As core does it: timers stop, lines fall, PCI functions and regions go back, then the chip's own reset. */
static void device_reset(struct device *d)
{
    for (unsigned i = 0; i < DEV_TIMERS; i++)
        d->core->timer[i].at = DEV_NEVER;
    for (unsigned i = 0; i < BENCH_LINES; i++)
        dev_irq(d, i, false);
    for (unsigned i = 0; i < DEV_REGIONS; i++) {
        const struct region *r = &d->ops->regions[i];
        d->core->region[i].base = r->base;
        d->core->region[i].on = r->bus != BUS_NONE && !r->bar && !r->off;
        if (r->bar)
            memset(d->core->pci_config + bar_register(r), 0, r->wide ? 8 : 4);
        if (r->bar && r->bus == BUS_PORT)
            d->core->pci_config[bar_register(r)] = 1;
    }
    memset(d->core->pci_config + 4, 0, 4);
    d->core->pci_config[0x3c] = 0;
    if (d->ops->reset)
        d->ops->reset(d);
}

struct device *bench_add(struct bench *b, const struct device_ops *ops, const char *name, GError **error)
{
    g_assert(b->devices < G_N_ELEMENTS(b->device));
    struct device *d = g_new0(struct device, 1);
    d->ops = ops;
    d->name = g_strdup(name);
    d->machine = (struct machine *)b;
    b->device[b->devices++] = d;
    if (!device_begin(d, b, error))
        return NULL;
    device_reset(d);
    bench_cable_plug(d);
    return d;
}

struct device *bench_add_chip(struct bench *b, const struct chip *c, GError **error)
{
    g_auto(GStrv) with = g_strsplit(c->with ? c->with : "", " ", 0);
    for (char **w = with; *w; w++)
        if (**w && !bench_device(b, *w) && !bench_add_chip(b, chip_find(*w), error))
            return NULL;
    g_auto(GStrv) config = g_strsplit(c->config ? c->config : "", " ", 0);
    for (char **k = config; *k; k++) {
        g_auto(GStrv) part = g_strsplit_set(*k, ".=", 3);
        if (g_strv_length(part) == 3)
            bench_config(b, part[0], part[1], part[2]);
    }
    return bench_add(b, c->ops, c->name, error);
}

struct device *bench_device(struct bench *b, const char *name)
{
    for (unsigned i = 0; i < b->devices; i++)
        if (!strcmp(b->device[i]->name, name))
            return b->device[i];
    return NULL;
}

unsigned bench_devices(struct bench *b, struct device ***list)
{
    *list = b->device;
    return b->devices;
}

void bench_reset(struct bench *b)
{
    for (unsigned i = 0; i < b->devices; i++)
        device_reset(b->device[i]);
}

/* ---- the bus ---- */

static struct device *find_region(struct bench *b, enum bus bus, uint64_t at, unsigned *region)
{
    for (unsigned i = 0; i < b->devices; i++)
        for (unsigned r = 0; r < DEV_REGIONS; r++) {
            struct device *d = b->device[i];
            if (d->ops->regions[r].bus == bus && d->core->region[r].on && at >= d->core->region[r].base &&
                at - d->core->region[r].base < d->ops->regions[r].bytes) {
                *region = r;
                return d;
            }
        }
    return NULL;
}

static uint64_t mask_of(unsigned size)
{
    return size >= 8 ? UINT64_MAX : (1ull << (8 * size)) - 1;
}

/* The widest piece of the access that stays inside the region and its max_size. */
static unsigned piece(const struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    const struct region *r = &d->ops->regions[region];
    unsigned most = MAX(r->max_size, 1);
    while (size > most || size > r->bytes - offset)
        size /= 2;
    return size;
}

static uint64_t read_piece(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    const struct region *r = &d->ops->regions[region];
    const uint8_t *memory = d->core->region[region].memory;
    uint64_t v = 0;
    if (memory)
        memcpy(&v, memory + offset, size);
    else if (!d->ops->read)
        v = UINT64_MAX;
    else if (size < r->min_size)
        v = d->ops->read(d, region, offset & ~(r->min_size - 1ull), r->min_size) >> (8 * (offset & (r->min_size - 1)));
    else
        v = d->ops->read(d, region, offset, size);
    return v & mask_of(size);
}

static void write_piece(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t v)
{
    const struct region *r = &d->ops->regions[region];
    if (d->core->region[region].memory && !d->core->region[region].readonly) {
        memcpy(d->core->region[region].memory + offset, &v, size);
        for (uint64_t page = offset / 4096; page <= (offset + size - 1) / 4096; page++)
            d->core->region[region].dirty[page / 64] |= 1ull << (page % 64);
    } else if (d->ops->write && size < r->min_size)
        d->ops->write(d, region, offset & ~(r->min_size - 1ull), r->min_size, v << (8 * (offset & (r->min_size - 1))));
    else if (d->ops->write)
        d->ops->write(d, region, offset, size, v);
}

static uint64_t bus_read(struct bench *b, enum bus bus, uint64_t at, unsigned size)
{
    uint64_t v = 0;
    for (unsigned done = 0, n; done < size; done += n) {
        unsigned region;
        struct device *d = find_region(b, bus, at + done, &region);
        n = d ? piece(d, region, at + done - d->core->region[region].base, size - done) : 1;
        uint64_t part = d ? read_piece(d, region, at + done - d->core->region[region].base, n) : 0xff;
        v |= part << (8 * done);
    }
    return v;
}

static void bus_write(struct bench *b, enum bus bus, uint64_t at, unsigned size, uint64_t v)
{
    for (unsigned done = 0, n; done < size; done += n) {
        unsigned region;
        struct device *d = find_region(b, bus, at + done, &region);
        n = d ? piece(d, region, at + done - d->core->region[region].base, size - done) : 1;
        if (d)
            write_piece(d, region, at + done - d->core->region[region].base, n, v >> (8 * done) & mask_of(n));
    }
}

uint64_t bench_in(struct bench *b, uint64_t port, unsigned size)
{
    return bus_read(b, BUS_PORT, port, size);
}

void bench_out(struct bench *b, uint64_t port, unsigned size, uint64_t value)
{
    bus_write(b, BUS_PORT, port, size, value);
}

uint64_t bench_load(struct bench *b, uint64_t gpa, unsigned size)
{
    return bus_read(b, BUS_MEM, gpa, size);
}

void bench_store(struct bench *b, uint64_t gpa, unsigned size, uint64_t value)
{
    bus_write(b, BUS_MEM, gpa, size, value);
}

bool bench_region(struct device *d, unsigned region, uint64_t *base)
{
    *base = d->core->region[region].base;
    return d->ops->regions[region].bus != BUS_NONE && d->core->region[region].on;
}

void dev_map(struct device *d, unsigned region, uint64_t base, bool on)
{
    g_assert(region < DEV_REGIONS && !d->ops->regions[region].bar);
    d->core->region[region].base = base;
    d->core->region[region].on = on;
}

/* The BAR stays as long as the table of regions says, so there is memory behind all of it. */
uint8_t *dev_memory(struct device *d, unsigned region, uint64_t bytes, bool readonly)
{
    uint64_t all = MAX(bytes, d->ops->regions[region].bytes);
    g_assert(region < DEV_REGIONS && !d->core->region[region].memory);
    d->core->region[region].memory_bytes = all;
    d->core->region[region].asked_bytes = bytes;
    d->core->region[region].readonly = readonly;
    d->core->region[region].dirty = g_new0(uint64_t, all / 4096 / 64 + 1);
    return d->core->region[region].memory = g_malloc0(all);
}

void dev_memory_dirty(struct device *d, unsigned region, uint64_t *bitmap)
{
    uint64_t *dirty = d->core->region[region].dirty;
    for (uint64_t page = 0; page < d->core->region[region].asked_bytes / 4096; page++)
        bitmap[page / 64] |= dirty[page / 64] & 1ull << (page % 64);
    memset(dirty, 0, d->core->region[region].memory_bytes / 4096 / 8);
}

void *dev_dma(struct device *d, uint64_t gpa, uint64_t bytes, bool write)
{
    return gpa <= BENCH_RAM && bytes <= BENCH_RAM - gpa ? d->core->bench->ram + gpa : NULL;
}

void dev_dma_done(struct device *d, uint64_t gpa, uint64_t bytes)
{
    g_assert(gpa <= BENCH_RAM && bytes <= BENCH_RAM - gpa);
}

/* ---- time ---- */

uint64_t dev_now(struct device *d)
{
    return d->core->bench->now;
}

uint64_t bench_now(struct bench *b)
{
    return b->now;
}

void dev_timer(struct device *d, unsigned id, uint64_t at_ns, void (*fn)(struct device *d))
{
    g_assert(id < DEV_TIMERS);
    d->core->timer[id].at = at_ns;
    d->core->timer[id].fn = fn;
}

/* Fires the earliest timer that is due by the given time; false if there is none. */
static bool fire_next(struct bench *b, uint64_t until)
{
    struct device *who = NULL;
    unsigned id = 0;
    uint64_t at = until;
    for (unsigned i = 0; i < b->devices; i++)
        for (unsigned t = 0; t < DEV_TIMERS; t++)
            if (b->device[i]->core->timer[t].at <= at && b->device[i]->core->timer[t].at != DEV_NEVER) {
                if (who && b->device[i]->core->timer[t].at == at)
                    continue;
                who = b->device[i], id = t, at = who->core->timer[t].at;
            }
    if (!who)
        return false;
    b->now = MAX(b->now, at);
    who->core->timer[id].at = DEV_NEVER;
    who->core->timer[id].fn(who);
    return true;
}

void bench_step(struct bench *b, uint64_t ns)
{
    uint64_t until = b->now + ns;
    /* A chip that arms its timer for now, again and again, would hold up time. */
    unsigned long fired = 0, most = 1000 + ns / 1000;
    do {
        while (fire_next(b, until))
            if (++fired > most)
                g_error("more than %lu timers in %" PRIu64 " ns: a timer storm", most, ns);
    } while (bench_ends_settle(b));
    b->now = until;
}

/* ---- save and load: core's own way, around what the bench keeps of a device ---- */

void device_outside_get(struct device *d, struct device_outside *o)
{
    o->pci = d->ops->pci != NULL;
    memcpy(o->config, d->core->pci_config, sizeof o->config);
    memcpy(o->writable, d->core->pci_writable, sizeof o->writable);
    for (unsigned i = 0; i < DEV_REGIONS; i++) {
        o->region[i].base = d->core->region[i].base;
        o->region[i].on = d->core->region[i].on;
    }
    for (unsigned i = 0; i < BENCH_LINES; i++)
        o->lines |= (uint32_t)d->core->line[i] << i;
}

bool device_outside_put(struct device *d, const struct device_outside *o)
{
    memcpy(d->core->pci_config, o->config, sizeof o->config);
    memcpy(d->core->pci_writable, o->writable, sizeof o->writable);
    for (unsigned i = 0; i < DEV_REGIONS; i++) {
        d->core->region[i].base = o->region[i].base;
        d->core->region[i].on = o->region[i].on;
    }
    for (unsigned i = 0; i < BENCH_LINES; i++)
        d->core->line[i] = o->lines >> i & 1;
    return true;
}

static bool sync_device(struct device *d, struct stream *s, GError **error)
{
    return device_core_sync(d, s, error) && device_chip_sync(d, s, d->ops->version, error);
}

static GByteArray *save(struct device *d)
{
    struct stream s;
    g_autoptr(GError) error = NULL;
    stream_init_save(&s);
    if (!sync_device(d, &s, &error))
        g_error("%s", error->message);
    return s.bytes;
}

/* A new life for the device, keeping its memory, as the memory file does. */
static char *renew(struct device *d, const struct device_core *old)
{
    g_autoptr(GError) error = NULL;
    if (!device_begin(d, old->bench, &error))
        return g_strdup_printf("%s: init failed the second time: %s", d->name, error->message);
    device_reset(d);
    for (unsigned i = 0; i < DEV_REGIONS; i++)
        if (old->region[i].memory)
            memcpy(d->core->region[i].memory, old->region[i].memory, old->region[i].memory_bytes);
    return NULL;
}

static char *load(struct device *d, const GByteArray *from)
{
    struct stream s;
    g_autoptr(GError) error = NULL;
    stream_init_load(&s, from->data, from->len);
    char *why = sync_device(d, &s, &error) ? NULL : g_strdup_printf("cannot load what it saved: %s", error->message);
    if (!why && s.at != from->len)
        why = g_strdup_printf("%s: loads %zu bytes of the %u it saved", d->name, s.at, from->len);
    stream_clear(&s);
    return why;
}

static char *compare(struct device *d, const struct device_core *old)
{
    for (unsigned i = 0; i < DEV_TIMERS; i++)
        if (d->core->timer[i].at != old->timer[i].at)
            return g_strdup_printf("%s: timer %u was armed for %" PRIu64 ", after loading for %" PRIu64, d->name, i,
                                   old->timer[i].at, d->core->timer[i].at);
    for (unsigned i = 0; i < BENCH_LINES; i++)
        if (d->core->line[i] != old->line[i])
            return g_strdup_printf("%s: line %u was %d, after loading %d", d->name, i, old->line[i], d->core->line[i]);
    memcpy(d->core->edges, old->edges, sizeof old->edges);
    return NULL;
}

static char *device_save_load(struct device *d)
{
    struct device before = *d;
    g_autoptr(GByteArray) first = save(d);
    if (d->ops->fini)
        d->ops->fini(d);
    char *why = renew(d, before.core);
    if (!why)
        why = load(d, first);
    g_autoptr(GByteArray) second = save(d);
    guint same = 0;
    while (same < MIN(first->len, second->len) && first->data[same] == second->data[same])
        same++;
    if (!why && (same < first->len || same < second->len))
        why = g_strdup_printf("%s: what it saves after loading differs from byte %u on", d->name, same);
    if (!why)
        why = compare(d, before.core);
    device_end(&before);
    return why;
}

char *bench_save_load(struct bench *b)
{
    while (bench_ends_settle(b))
        ;
    size_t events = g_queue_get_length(&b->events);
    char *why = NULL;
    for (unsigned i = 0; i < b->devices && !why; i++)
        why = device_save_load(b->device[i]);
    while (g_queue_get_length(&b->events) > events) /* what init and reset ask of the machine is not news */
        g_free(g_queue_pop_tail(&b->events));
    return why;
}
