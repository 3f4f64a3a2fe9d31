// SPDX-License-Identifier: GPL-2.0-or-later
/* The system timer on a host that is late: no tick is lost, whichever way the interrupt goes.  The chips and irq.c are the
 * real ones; time, and when the CPU takes an interrupt, are the test's. */
#include "devices/all.h"
#include "core-vmm/machine/core.h"

static struct {
    struct machine m;
    struct device pic, pit, lapic, ioapic;
    struct device_core core[4];
    uint64_t now, at;
    void (*fn)(struct device *d);
} t;

/* ---- what core would do ---- */
uint64_t dev_now(struct device *d)
{
    return t.now;
}
void dev_timer(struct device *d, unsigned id, uint64_t at_ns, void (*fn)(struct device *d))
{
    if (d != &t.pit)
        return;
    t.at = at_ns;
    t.fn = fn;
}
void vcpu_thread_signal(struct machine *m, unsigned cpu, enum cpu_signal what, unsigned value)
{
}
void dev_log(struct device *d, const char *format, ...)
{
}
bool pci_intx_open(struct device *d, uint32_t asked)
{
    return false;
}

uint64_t dev_tsc(struct device *d)
{
    return t.now;
}
uint64_t dev_tsc_khz(struct device *d)
{
    return 1000000;
}
unsigned dev_cpus(struct device *d)
{
    return 1;
}

/* ---- */
static void out(struct device *d, unsigned region, unsigned offset, uint8_t value)
{
    d->ops->write(d, region, offset, 1, value);
}

static void add(struct device *d, struct device_core *core, const struct device_ops *ops)
{
    *core = (struct device_core){.wiring = {.slot = -1, .irq = {0}, .irqs = ops == &i8254_ops}};
    *d = (struct device){ops, g_malloc0(ops->state_bytes), ops->name, &t.m, core};
    if (ops->init)
        g_assert_true(ops->init(d, NULL, NULL));
    ops->reset(d);
}

/* IRQ 0 at 1 kHz as vector 0x20, by the 8259A; nothing else is open. */
static void power_on(unsigned mode)
{
    memset(&t, 0, sizeof t);
    t.m.cpus = 1;
    t.at = DEV_NEVER;
    irq_init(&t.m);
    t.m.irq.pic = &t.pic;
    t.m.irq.ioapic = &t.ioapic;
    t.m.irq.lapic = &t.lapic;
    add(&t.pic, &t.core[0], &i8259_ops);
    add(&t.ioapic, &t.core[1], &ioapic_ops);
    add(&t.lapic, &t.core[2], &lapic_ops);
    add(&t.pit, &t.core[3], &i8254_ops);
    for (unsigned chip = 0; chip < 2; chip++) {
        out(&t.pic, chip, 0, 0x11);
        out(&t.pic, chip, 1, 0x20 + 8 * chip);
        out(&t.pic, chip, 1, chip ? 2 : 4);
        out(&t.pic, chip, 1, 1);
        out(&t.pic, chip, 1, chip ? 0xff : 0xfe);
    }
    out(&t.pit, 0, 3, 0x30 | mode << 1);
    out(&t.pit, 0, 0, 1193 & 0xff);
    out(&t.pit, 0, 0, 1193 >> 8);
}

static void power_off(void)
{
    struct device *all[] = {&t.pic, &t.ioapic, &t.lapic, &t.pit};
    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++)
        g_free(all[i]->state);
    pthread_mutex_destroy(&t.m.irq.lock);
}

/* The CPU waits while the timer comes `late` milliseconds after it was due; how many interrupts it then takes. */
static unsigned ticks_after(unsigned late, uint8_t vector)
{
    unsigned taken = 0;
    const struct lapic_ops *apic = lapic_ops.lapic;
    t.now = t.at + late * 1000000ull;
    t.fn(&t.pit);
    while (t.m.irq.pin[0] && taken < 1000) {
        g_assert_cmpint(machine_ack(&t.m, 0), ==, vector);
        taken++;
        out(&t.pic, 0, 0, 0x20);
        apic->write(t.m.irq.lapic, 0, 0xb0, 0);
    }
    return taken;
}

static void by_the_8259(gconstpointer mode)
{
    power_on(GPOINTER_TO_UINT(mode));
    while (t.m.irq.pin[0]) /* OUT went high when the timer was programmed */
        machine_ack(&t.m, 0), out(&t.pic, 0, 0, 0x20);
    if (GPOINTER_TO_UINT(mode) == 3) /* it is high; the next time it falls */
        g_assert_cmpuint(ticks_after(0, 0x20), ==, 0);
    g_assert_cmpuint(ticks_after(0, 0x20), ==, 1);
    if (GPOINTER_TO_UINT(mode) == 3)
        g_assert_cmpuint(ticks_after(0, 0x20), ==, 0);
    g_assert_cmpuint(ticks_after(40, 0x20), ==, 41);
    power_off();
}

static void by_the_apics(void)
{
    const struct lapic_ops *apic = lapic_ops.lapic;
    power_on(2);
    out(&t.pic, 0, 1, 0xff);
    apic->write(&t.lapic, 0, 0xf0, 0x1ff);
    t.ioapic.ops->write(&t.ioapic, 0, 0, 4, 0x14); /* pin 2: vector 0x31, fixed, edge, CPU 0 */
    t.ioapic.ops->write(&t.ioapic, 0, 0x10, 4, 0x31);
    g_assert_cmpuint(ticks_after(0, 0x31), ==, 1);
    g_assert_cmpuint(ticks_after(16, 0x31), ==, 17);
    power_off();
}

static void a_waiting_cpu(void)
{
    power_on(2);
    for (unsigned i = 0; i < 9; i++) {
        t.now = t.at;
        t.fn(&t.pit);
    }
    g_assert_cmpuint(ticks_after(0, 0x20), ==, 11); /* and the one of the programming */
    power_off();
}

static void bounded_and_forgotten(void)
{
    power_on(2);
    g_assert_cmpuint(ticks_after(100000, 0x20), ==, 251);
    out(&t.pic, 0, 1, 0xff);
    t.now = t.at + 50 * 1000000ull;
    t.fn(&t.pit);
    out(&t.pic, 0, 1, 0xfe);
    g_assert_cmpuint(ticks_after(0, 0x20), ==, 2); /* masked, they were nobody's but for the one that the chip keeps */
    power_off();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/ticks/8259/mode-2", GUINT_TO_POINTER(2), by_the_8259);
    g_test_add_data_func("/ticks/8259/mode-3", GUINT_TO_POINTER(3), by_the_8259);
    g_test_add_func("/ticks/apics", by_the_apics);
    g_test_add_func("/ticks/waiting-cpu", a_waiting_cpu);
    g_test_add_func("/ticks/bounded", bounded_and_forgotten);
    return g_test_run();
}
