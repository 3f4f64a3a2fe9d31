// SPDX-License-Identifier: GPL-2.0-or-later
/* What chips tell core and the machine: the linker sends these calls here (--wrap), they are noted, and go on to core. */
#include "core-vmm/api/flash.h"
#include "core-vmm/api/input.h"
#include "devices/all.h"
#include "tests/devices/bench_inside.h"
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TIMERS_MOST 100000 /* set within one step that is as long as any: then it is a storm */

void bench_note(struct bench *b, const char *f, ...)
{
    va_list ap;
    va_start(ap, f);
    if (!b->unseen && g_queue_get_length(&b->events) < 10000)
        g_queue_push_tail(&b->events, g_strdup_vprintf(f, ap));
    va_end(ap);
}

char *bench_event(struct bench *b)
{
    return g_queue_pop_head(&b->events);
}

/* ---- lines ---- */

static void rises(struct device *d, unsigned line)
{
    struct bench *b = bench_of(d);
    struct place *p = b && !b->unseen ? bench_place(b, d) : NULL;
    if (p)
        p->edges[line]++;
}

void __real_dev_irq(struct device *d, unsigned line, bool level);
void __wrap_dev_irq(struct device *d, unsigned line, bool level);
void __wrap_dev_irq(struct device *d, unsigned line, bool level)
{
    g_assert(line < BENCH_LINES);
    if (level && !(d->core->irq_levels >> line & 1))
        rises(d, line);
    __real_dev_irq(d, line, level);
}

/* Core asks the 8259A what became of the tick before; without one there is none to ask. */
void __real_dev_irq_ticks(struct device *d, uint64_t n);
void __wrap_dev_irq_ticks(struct device *d, uint64_t n);
void __wrap_dev_irq_ticks(struct device *d, uint64_t n)
{
    if (!(d->core->irq_levels & 1))
        rises(d, 0);
    if (d->machine->irq.pic)
        __real_dev_irq_ticks(d, n);
    else
        __real_dev_irq(d, 0, true);
}

/* Files that chips keep are one, in memory, for as long as the bench is there: the machine's settings say which.  New, it is
 * what an erased flash part has. */
int __real_dev_kept_open(struct device *d, const char *name, GError **error);
int __wrap_dev_kept_open(struct device *d, const char *name, GError **error);
int __wrap_dev_kept_open(struct device *d, const char *name, GError **error)
{
    GKeyFile *file = d->core->config.file;
    int fd = g_key_file_get_integer(file, "bench", "kept", NULL) - 1;
    g_autofree uint8_t *erased = g_malloc(FLASH_BYTES);
    if (fd < 0) {
        fd = memfd_create(name, MFD_CLOEXEC);
        memset(erased, 0xff, FLASH_BYTES);
        g_assert_cmpint(pwrite(fd, erased, FLASH_BYTES, 0), ==, FLASH_BYTES);
        g_key_file_set_integer(file, "bench", "kept", fd + 1);
    }
    return dup(fd);
}

int bench_kept_file(struct bench *b)
{
    return g_key_file_get_integer(b->file, "bench", "kept", NULL) - 1;
}

/* The INT pin of the 8259A is its line 0 here. */
void __real_irq_pic_output(struct device *d, bool level);
void __wrap_irq_pic_output(struct device *d, bool level);
void __wrap_irq_pic_output(struct device *d, bool level)
{
    if (level && !d->machine->irq.pic_level)
        rises(d, 0);
    __real_irq_pic_output(d, level);
}

bool bench_line(struct device *d, unsigned line)
{
    return d == d->machine->irq.pic && !line ? d->machine->irq.pic_level : d->core->irq_levels >> line & 1;
}

unsigned bench_edges(struct device *d, unsigned line)
{
    struct place *p = bench_place(bench_of(d), d);
    unsigned n = p->edges[line];
    p->edges[line] = 0;
    return n;
}

void __real_dev_msi(struct device *d, unsigned n);
void __wrap_dev_msi(struct device *d, unsigned n);
void __wrap_dev_msi(struct device *d, unsigned n)
{
    bench_note(bench_of(d), "msi %u", n);
    __real_dev_msi(d, n);
}

/* Where there are no local APICs, somebody takes the message all the same. */
bool __real_irq_message(struct device *d, const struct apic_message *m);
bool __wrap_irq_message(struct device *d, const struct apic_message *m);
bool __wrap_irq_message(struct device *d, const struct apic_message *m)
{
    bench_note(bench_of(d), "message mode %u vector 0x%02x dest 0x%x %s %s %s", m->mode, m->vector, m->destination,
               m->logical ? "logical" : "physical", m->level_triggered ? "level" : "edge",
               m->level_assert ? "assert" : "deassert");
    return __real_irq_message(d, m) || !d->machine->irq.lapic;
}

void __real_irq_cpu(struct device *d, unsigned cpu, enum cpu_signal what, unsigned value);
void __wrap_irq_cpu(struct device *d, unsigned cpu, enum cpu_signal what, unsigned value);
void __wrap_irq_cpu(struct device *d, unsigned cpu, enum cpu_signal what, unsigned value)
{
    static const char *const name[] = {"intr", "nmi", "init", "sipi"};
    g_assert(cpu < BENCH_CPUS && what < G_N_ELEMENTS(name));
    bench_note(bench_of(d), "cpu %u %s 0x%x", cpu, name[what], value);
    __real_irq_cpu(d, cpu, what, value);
}

void __real_irq_eoi(struct device *d, uint8_t vector);
void __wrap_irq_eoi(struct device *d, uint8_t vector);
void __wrap_irq_eoi(struct device *d, uint8_t vector)
{
    bench_note(bench_of(d), "eoi 0x%02x", vector);
    __real_irq_eoi(d, vector);
}

/* ---- the mainboard ---- */

void __real_dev_shadow(struct device *d, uint64_t gpa, uint64_t bytes, bool read_ram, bool write_ram);
void __wrap_dev_shadow(struct device *d, uint64_t gpa, uint64_t bytes, bool read_ram, bool write_ram);
void __wrap_dev_shadow(struct device *d, uint64_t gpa, uint64_t bytes, bool read_ram, bool write_ram)
{
    bench_note(bench_of(d), "shadow 0x%" PRIx64 " 0x%" PRIx64 " read %d write %d", gpa, bytes, read_ram, write_ram);
    __real_dev_shadow(d, gpa, bytes, read_ram, write_ram);
}

void __real_dev_a20(struct device *d, bool on);
void __wrap_dev_a20(struct device *d, bool on);
void __wrap_dev_a20(struct device *d, bool on)
{
    if (dev_a20_now(d) != on)
        bench_note(bench_of(d), "a20 %d", on);
    __real_dev_a20(d, on);
}

void __real_dev_init_cpus(struct device *d);
void __wrap_dev_init_cpus(struct device *d);
void __wrap_dev_init_cpus(struct device *d)
{
    bench_note(bench_of(d), "init");
    __real_dev_init_cpus(d);
}

void __real_dev_nmi(struct device *d);
void __wrap_dev_nmi(struct device *d);
void __wrap_dev_nmi(struct device *d)
{
    bench_note(bench_of(d), "nmi");
    __real_dev_nmi(d);
}

/* Core says at every reset that nobody listens. */
void __real_dev_input(struct device *d, unsigned listened_to);
void __wrap_dev_input(struct device *d, unsigned listened_to);
void __wrap_dev_input(struct device *d, unsigned listened_to)
{
    struct bench *b = bench_of(d);
    struct place *p = b ? bench_place(b, d) : NULL;
    if (p && p->listened_to != listened_to)
        bench_note(b, "listened to %u", listened_to);
    if (p)
        p->listened_to = listened_to;
    __real_dev_input(d, listened_to);
}

void __wrap_dev_reset_machine(struct device *d);
void __wrap_dev_reset_machine(struct device *d)
{
    bench_note(bench_of(d), "reset");
}

void __wrap_dev_stop_machine(struct device *d, enum machine_end end, unsigned code);
void __wrap_dev_stop_machine(struct device *d, enum machine_end end, unsigned code)
{
    bench_note(bench_of(d), "stop %d 0x%x", (int)end, code);
}

void __wrap_dev_looked(struct device *d);
void __wrap_dev_looked(struct device *d)
{
}

/* Random accesses make many mistakes. */
void __wrap_dev_log(struct device *d, const char *format, ...) G_GNUC_PRINTF(2, 3);
void __wrap_dev_log(struct device *d, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_debug("%s: %s", d->name, text);
}

/* ---- time ---- */

void __real_dev_timer(struct device *d, unsigned id, uint64_t at_ns, void (*fn)(struct device *d));
void __wrap_dev_timer(struct device *d, unsigned id, uint64_t at_ns, void (*fn)(struct device *d));
void __wrap_dev_timer(struct device *d, unsigned id, uint64_t at_ns, void (*fn)(struct device *d))
{
    struct bench *b = bench_of(d);
    g_assert(id < DEV_TIMERS);
    if (b && at_ns <= bench_now(b) && ++b->timers_set > TIMERS_MOST)
        g_error("%s sets timer %u for no later than now, again and again: a timer storm", d->name, id);
    __real_dev_timer(d, id, at_ns, fn);
}
