// SPDX-License-Identifier: GPL-2.0-or-later
/* The bench's interrupt lines, and what devices ask of the machine: recorded, for scripts to look at. */
#include "core-vmm/api/input.h"
#include "tests/devices/bench_inside.h"
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

void bench_note(struct bench *b, const char *f, ...)
{
    va_list ap;
    va_start(ap, f);
    if (g_queue_get_length(&b->events) < 10000)
        g_queue_push_tail(&b->events, g_strdup_vprintf(f, ap));
    va_end(ap);
}

char *bench_event(struct bench *b)
{
    return g_queue_pop_head(&b->events);
}

void dev_msi(struct device *d, unsigned n)
{
    bench_note(d->core->bench, "msi %u", n);
}

void dev_input(struct device *d, unsigned listened_to)
{
    bench_note(d->core->bench, "listened to %u", listened_to);
}

void dev_irq(struct device *d, unsigned line, bool level)
{
    g_assert(line < BENCH_LINES);
    d->core->edges[line] += level && !d->core->line[line];
    d->core->line[line] = level;
}

void dev_irq_ticks(struct device *d, uint64_t n)
{
    dev_irq(d, 0, true);
}

bool bench_line(struct device *d, unsigned line)
{
    return d->core->line[line];
}

unsigned bench_edges(struct device *d, unsigned line)
{
    unsigned n = d->core->edges[line];
    d->core->edges[line] = 0;
    return n;
}

/* The INT pin of the 8259A is its line 0 here. */
void irq_pic_output(struct device *d, bool level)
{
    dev_irq(d, 0, level);
}

bool irq_message(struct device *d, const struct apic_message *m)
{
    bench_note(d->core->bench, "message mode %u vector 0x%02x dest 0x%x %s %s %s", m->mode, m->vector, m->destination,
               m->logical ? "logical" : "physical", m->level_triggered ? "level" : "edge",
               m->level_assert ? "assert" : "deassert");
    return true;
}

void irq_cpu(struct device *d, unsigned cpu, enum cpu_signal what, unsigned value)
{
    static const char *const name[] = {"intr", "nmi", "init", "sipi"};
    g_assert(cpu < BENCH_CPUS && what < G_N_ELEMENTS(name));
    bench_note(d->core->bench, "cpu %u %s 0x%x", cpu, name[what], value);
}

void irq_eoi(struct device *d, uint8_t vector)
{
    bench_note(d->core->bench, "eoi 0x%02x", vector);
}

void dev_shadow(struct device *d, uint64_t gpa, uint64_t bytes, bool read_ram, bool write_ram)
{
    bench_note(d->core->bench, "shadow 0x%" PRIx64 " 0x%" PRIx64 " read %d write %d", gpa, bytes, read_ram, write_ram);
}

void dev_a20(struct device *d, bool on)
{
    if (d->core->bench->a20 != on)
        bench_note(d->core->bench, "a20 %d", on);
    d->core->bench->a20 = on;
}

bool dev_a20_now(struct device *d)
{
    return d->core->bench->a20;
}

void dev_reset_machine(struct device *d)
{
    bench_note(d->core->bench, "reset");
}

void dev_init_cpus(struct device *d)
{
    bench_note(d->core->bench, "init");
}

void dev_stop_machine(struct device *d, enum machine_end end, unsigned code)
{
    bench_note(d->core->bench, "stop %d 0x%x", (int)end, code);
}

void dev_looked(struct device *d)
{
}

void dev_nmi(struct device *d)
{
    bench_note(d->core->bench, "nmi");
}

uint64_t dev_tsc(struct device *d)
{
    return d->core->bench->now; /* 1 GHz */
}

uint64_t dev_tsc_khz(struct device *d)
{
    return 1000000;
}

unsigned dev_cpus(struct device *d)
{
    return BENCH_CPUS;
}

uint64_t dev_ram_below_4g(struct device *d)
{
    return BENCH_RAM;
}

uint64_t dev_ram_above_4g(struct device *d)
{
    return 0;
}

void dev_log(struct device *d, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_debug("%s: %s", d->name, text);
}

void dev_lock(struct device *d)
{
}

void dev_unlock(struct device *d)
{
}

struct device *dev_find(struct device *d, const char *name)
{
    return bench_device(d->core->bench, name);
}
