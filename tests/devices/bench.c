// SPDX-License-Identifier: GPL-2.0-or-later
/* The bench: an isolated board in the stepped machine, accesses, time, and saving.  See bench.h. */
#include "tests/devices/bench_inside.h"
#include "core-vmm/base/device_models.h"
#include "core-vmm/board/board_pc.h"
#include "core-vmm/machine/state.h"
#include "tests/core-vmm/own_board.h"
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

/* ---- the board ---- */

/* Nothing but the way to configuration space; the test puts its chips there later. */
bool board_pc_build(struct machine *m, GError **error)
{
    machine_add(m, device_new(m, &(struct wiring){&pci_host_ops, "pci-host", .slot = -1}));
    return device_init(m->device[0], error);
}

static unsigned free_slot(struct bench *b)
{
    unsigned slot = PCI_SLOT_FIRST;
    while (b->machine->m->pci_slot[slot << 3])
        slot++;
    return slot;
}

/* As the board has it; what machine.ini chooses by the class of its name. */
static struct wiring wiring_of(struct bench *b, const struct device_ops *ops, const char *name)
{
    unsigned number;
    const struct device_class *k = device_class_of(name, &number);
    const struct wiring *place = pc_place(name);
    if (place) {
        struct wiring w = *place;
        w.ops = ops;
        w.name = name;
        return w;
    }
    for (const struct board_row *r = board_pc; r->wiring.ops; r++) /* a chip that stands in another's place */
        if (r->wiring.ops == ops) {
            struct wiring w = r->wiring;
            w.section = w.section ? w.section : w.name;
            w.name = name;
            return w;
        }
    int slot = k ? (int)(k->slot + number) : ops->pci ? (int)free_slot(b) : -1;
    return (struct wiring){ops, name, .slot = slot};
}

static struct device *put_on_board(struct bench *b, const struct place *p, GError **error)
{
    struct machine *m = b->machine->m;
    struct wiring w = wiring_of(b, p->ops, p->name);
    struct device *d = device_new(m, &w);
    machine_add(m, d);
    return device_init(d, error) ? d : NULL;
}

struct bench *bench_new(void)
{
    struct bench *b = g_new0(struct bench, 1);
    g_autofree char *memory = g_strdup_printf("%u", BENCH_RAM), *cpus = g_strdup_printf("%u", BENCH_CPUS);
    b->file = g_key_file_new();
    g_key_file_set_string(b->file, "machine", "memory", memory);
    g_key_file_set_string(b->file, "machine", "cpus", cpus);
    b->machine = stepped_of_file(b->file);
    b->machine->user = b;
    g_queue_init(&b->events);
    bench_ends_begin(b);
    return b;
}

void bench_free(struct bench *b)
{
    stepped_free(b->machine);
    bench_ends_free(b);
    g_queue_clear_full(&b->events, g_free);
    if (bench_kept_file(b) >= 0)
        close(bench_kept_file(b));
    g_key_file_unref(b->file);
    g_free(b);
}

void bench_config(struct bench *b, const char *section, const char *key, const char *value)
{
    g_autofree char *image = !strcmp(key, "file") ? bench_image(b, value) : NULL;
    g_key_file_set_string(b->file, section, key, image ? image : value);
    if (image)
        g_key_file_set_string(b->file, section, "cache", "unsafe"); /* it lives as long as the test */
    if (g_str_has_prefix(section, "ide") || g_str_has_prefix(section, "sata") || g_str_has_prefix(section, "nvme") ||
        g_str_has_prefix(section, "scsi"))
        g_key_file_set_string(b->file, section, "serial", "BENCH-0001");
}

struct device *bench_add(struct bench *b, const struct device_ops *ops, const char *name, GError **error)
{
    g_assert(b->places < BENCH_PLACES);
    struct place *p = &b->place[b->places++];
    *p = (struct place){ops, g_intern_string(name)};
    struct device *d = put_on_board(b, p, error);
    if (d)
        device_reset(d);
    if (d)
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

struct bench *bench_of(struct device *d)
{
    struct stepped *s = stepped_of(d->machine);
    return s ? s->user : NULL;
}

struct place *bench_place(struct bench *b, struct device *d)
{
    for (unsigned i = 0; i < b->places; i++)
        if (b->place[i].name == d->name)
            return &b->place[i];
    return NULL;
}

struct device *bench_device(struct bench *b, const char *name)
{
    return machine_device(b->machine->m, name);
}

/* Behind the PCI host. */
unsigned bench_devices(struct bench *b, struct device ***list)
{
    *list = b->machine->m->device + 1;
    return b->machine->m->devices - 1;
}

void bench_reset(struct bench *b)
{
    stepped_reset(b->machine);
}

uint8_t *bench_ram(struct bench *b)
{
    return b->machine->m->memory.base;
}

struct display *bench_display(struct bench *b)
{
    struct machine *m = b->machine->m;
    return m->display_count ? m->displays[m->display_count - 1] : NULL;
}

/* ---- accesses ---- */

uint64_t bench_in(struct bench *b, uint64_t port, unsigned size)
{
    return in(b->machine, port, size);
}

void bench_out(struct bench *b, uint64_t port, unsigned size, uint64_t value)
{
    out(b->machine, port, size, value);
}

uint64_t bench_load(struct bench *b, uint64_t gpa, unsigned size)
{
    return load(b->machine, gpa, size);
}

void bench_store(struct bench *b, uint64_t gpa, unsigned size, uint64_t value)
{
    store(b->machine, gpa, size, value);
}

uint64_t bench_pci_read(struct device *d, unsigned offset, unsigned size)
{
    const struct wiring *w = &d->core->wiring;
    return pci_in(stepped_of(d->machine), w->slot, w->function, offset, size);
}

void bench_pci_write(struct device *d, unsigned offset, unsigned size, uint64_t value)
{
    const struct wiring *w = &d->core->wiring;
    pci_out(stepped_of(d->machine), w->slot, w->function, offset, size, value);
}

bool bench_region(struct device *d, unsigned region, uint64_t *base)
{
    *base = d->core->region[region].base;
    return d->ops->regions[region].bus != BUS_NONE && d->core->region[region].on;
}

/* ---- time ---- */

uint64_t bench_now(struct bench *b)
{
    return clock_now(b->machine->m->clock);
}

/* A chip that arms its timer for now, again and again, would hold up time: see __wrap_dev_timer(). */
void bench_step(struct bench *b, uint64_t ns)
{
    b->timers_set = 0;
    stepped_ns(b->machine, ns);
    while (bench_ends_settle(b))
        stepped_ns(b->machine, 0);
}

/* ---- save and load ---- */

struct part {
    char *name;
    GByteArray *bytes;
};

static void part_clear(void *part)
{
    g_free(((struct part *)part)->name);
    g_byte_array_unref(((struct part *)part)->bytes);
}

/* Memory is large, and stays as it is; of CPUs that run nothing there is nothing to save; and the manifest tells the time. */
static bool is_saved(const struct state_part *p)
{
    return p->sync && !g_str_has_prefix(p->name, "cpu ") && strcmp(p->name, STATE_MANIFEST);
}

static GArray *save(struct machine *m)
{
    GArray *parts = g_array_new(FALSE, FALSE, sizeof(struct part));
    g_autoptr(GArray) table = state_table(m);
    g_array_set_clear_func(parts, part_clear);
    for (unsigned i = 0; i < table->len; i++) {
        struct state_part *p = &g_array_index(table, struct state_part, i);
        struct part out = {g_strdup(p->name), NULL};
        g_autoptr(GError) error = NULL;
        struct stream s;
        stream_init_save(&s);
        if (is_saved(p) && !p->sync(m, p, &s, &error))
            g_error("%s cannot be saved: %s", p->name, error ? error->message : "its stream fails");
        out.bytes = g_byte_array_ref(s.bytes);
        stream_clear(&s);
        g_array_append_val(parts, out);
    }
    return parts;
}

/* What was written of the memory file; the rest is zero in both. */
static void load_memory(struct machine *m, int fd)
{
    for (off_t at = 0, end; (at = lseek(fd, at, SEEK_DATA)) >= 0; at = end) {
        end = lseek(fd, at, SEEK_HOLE);
        g_assert_cmpint(pread(fd, m->memory.base + at, end - at, at), ==, end - at);
    }
}

static char *load_part(struct machine *m, const struct state_part *p, const struct part *from)
{
    g_autoptr(GError) error = NULL;
    struct stream s;
    stream_init_load(&s, from->bytes->data, from->bytes->len);
    bool good = p->sync(m, p, &s, &error);
    size_t at = s.at;
    stream_clear(&s);
    if (!good)
        return g_strdup_printf("%s cannot load what it saved: %s", p->name, error ? error->message : "it refuses it");
    if (at != from->bytes->len)
        return g_strdup_printf("%s loads %zu bytes of the %u it saved", p->name, at, from->bytes->len);
    return NULL;
}

static char *load_all(struct machine *m, GArray *parts, int memory)
{
    g_autoptr(GArray) table = state_table(m);
    char *why = table->len == parts->len ? NULL : g_strdup("the new machine has other parts");
    irq_load_begin(m);
    for (unsigned i = 0; i < table->len && !why; i++) {
        struct state_part *p = &g_array_index(table, struct state_part, i);
        const struct part *from = &g_array_index(parts, struct part, i);
        if (strcmp(p->name, from->name))
            why = g_strdup_printf("%s is where %s was", p->name, from->name);
        else if (is_saved(p))
            why = load_part(m, p, from);
        else if (!p->sync)
            load_memory(m, memory);
    }
    irq_load_end(m);
    return why;
}

static char *compare_parts(GArray *first, GArray *second)
{
    for (unsigned i = 0; i < first->len; i++) {
        const struct part *a = &g_array_index(first, struct part, i), *b = &g_array_index(second, struct part, i);
        guint same = 0;
        while (same < MIN(a->bytes->len, b->bytes->len) && a->bytes->data[same] == b->bytes->data[same])
            same++;
        if (same < a->bytes->len || same < b->bytes->len)
            return g_strdup_printf("%s: what it saves after loading differs from byte %u on", a->name, same);
    }
    return NULL;
}

struct wires { /* of a chip, from outside */
    uint64_t timer[DEV_TIMERS];
    uint32_t lines;
};

static struct wires wires_of(struct device *d)
{
    struct wires w = {.lines = d->core->irq_levels};
    for (unsigned i = 0; i < DEV_TIMERS; i++)
        w.timer[i] = d->core->timers[i].at;
    return w;
}

static char *compare_wires(struct device *d, const struct wires *was)
{
    struct wires now = wires_of(d);
    for (unsigned i = 0; i < DEV_TIMERS; i++)
        if (now.timer[i] != was->timer[i])
            return g_strdup_printf("%s: timer %u was armed for %" PRIu64 ", after loading for %" PRIu64, d->name, i,
                                   was->timer[i], now.timer[i]);
    for (unsigned i = 0; i < BENCH_LINES; i++)
        if ((now.lines ^ was->lines) >> i & 1)
            return g_strdup_printf("%s: line %u was %u, after loading %u", d->name, i, was->lines >> i & 1,
                                   now.lines >> i & 1);
    return NULL;
}

/* The old machine goes first: its images have locks. */
static char *renew(struct bench *b)
{
    stepped_free(b->machine);
    b->machine = stepped_of_file(b->file);
    b->machine->user = b;
    clock_stand(b->machine->m->clock);
    for (unsigned i = 0; i < b->places; i++) {
        g_autoptr(GError) error = NULL;
        struct device *d = put_on_board(b, &b->place[i], &error);
        if (!d)
            return g_strdup_printf("%s: init failed the second time: %s", b->place[i].name, error->message);
        bench_cable_again(d);
        device_reset(d);
    }
    return NULL;
}

char *bench_save_load(struct bench *b)
{
    struct wires was[BENCH_PLACES];
    while (bench_ends_settle(b))
        stepped_ns(b->machine, 0);
    b->unseen = true;
    clock_stand(b->machine->m->clock);
    g_autoptr(GArray) first = save(b->machine->m), second = NULL;
    for (unsigned i = 0; i < b->places; i++)
        was[i] = wires_of(bench_device(b, b->place[i].name));
    bench_ends_leave(b);
    int memory = dup(b->machine->m->memory.fd);
    char *why = renew(b);
    if (!why)
        why = load_all(b->machine->m, first, memory);
    close(memory);
    second = save(b->machine->m);
    if (!why)
        why = compare_parts(first, second);
    for (unsigned i = 0; i < b->places && !why; i++)
        why = compare_wires(bench_device(b, b->place[i].name), &was[i]);
    clock_go(b->machine->m->clock);
    bench_cables_deliver(b);
    b->unseen = false;
    return why;
}
