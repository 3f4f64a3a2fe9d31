// SPDX-License-Identifier: GPL-2.0-or-later
/* irq.c - from a device's interrupt line to a CPU's pin.
 *
 * ISA lines are wired-OR: as many lines may hold one up.  An ISA IRQ goes to the 8259A pair and to the I/O APIC (IRQ 0 to
 * its pin 2).  A PCI function's INTA# goes to the router (PIIX3), which passes it on to an ISA IRQ.  A CPU's INTR pin is
 * up if its local APIC has something for it, or the 8259A does and that CPU's LINT0 lets it through. */
#include "core-vmm/machine/core.h"
#include <string.h>

void irq_init(struct machine *m)
{
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&m->irq.lock, &a);
    pthread_mutexattr_destroy(&a);
}

void irq_add(struct machine *m, struct device *d)
{
    struct device **of_kind[IRQCHIP_KINDS] = {
        [IRQCHIP_PIC] = &m->irq.pic, [IRQCHIP_IOAPIC] = &m->irq.ioapic, [IRQCHIP_PCI_ROUTER] = &m->irq.pci_router};
    if (d->ops->irqchip)
        *of_kind[d->ops->irqchip->kind] = d;
    if (d->ops->lapic)
        m->irq.lapic = d;
}

static const struct lapic_ops *lapic(struct machine *m)
{
    return m->irq.lapic ? m->irq.lapic->ops->lapic : NULL;
}

static void apic_page_update(struct machine *m, unsigned cpu)
{
    uint64_t page = lapic(m) ? lapic(m)->base(m->irq.lapic, cpu) : 0;
    atomic_store_explicit(&m->irq.apic_page[cpu], page, memory_order_relaxed);
}

void irq_reset(struct machine *m)
{
    struct irq *q = &m->irq;
    pthread_mutex_lock(&q->lock);
    q->ticks_owed = 0;
    for (unsigned cpu = 0; cpu < m->cpus; cpu++) {
        if (lapic(m))
            lapic(m)->init_cpu(q->lapic, cpu);
        apic_page_update(m, cpu);
        irq_update_pin(m, cpu);
        vcpu_thread_signal(m, cpu, CPU_SIGNAL_INTR, q->pin[cpu]);
    }
    pthread_mutex_unlock(&q->lock);
}

void irq_update_pin(struct machine *m, unsigned cpu)
{
    struct irq *q = &m->irq;
    bool through = lapic(m) ? lapic(m)->accepts_pic(q->lapic, cpu) : cpu == 0;
    bool pin = q->apic_level[cpu] || (q->pic_level && through);
    if (pin == q->pin[cpu] || q->loading)
        return;
    q->pin[cpu] = pin;
    vcpu_thread_signal(m, cpu, CPU_SIGNAL_INTR, pin);
}

static void chip_input(struct device *chip, unsigned pin, bool level)
{
    if (chip)
        chip->ops->irqchip->input(chip, pin, level);
}

static void isa_line(struct machine *m, unsigned isa, bool level)
{
    struct irq *q = &m->irq;
    bool before = q->isa_sources[isa] > 0;
    q->isa_sources[isa] += level ? 1 : -1;
    bool now = q->isa_sources[isa] > 0;
    if (before == now)
        return;
    chip_input(q->pic, isa, now);
    chip_input(q->ioapic, isa == 0 ? 2 : isa, now);
}

/* The ISA IRQ of a device's line; -1: it has none. */
static int isa_of(const struct device *d, unsigned line)
{
    const struct wiring *w = &d->core->wiring;
    return line < (unsigned)w->irqs ? w->irq[line] : w->irqchip && line < ISA_IRQS ? (int)line : -1;
}

/* Is a device heard on an ISA IRQ? */
static bool heard(const struct device *d, int isa)
{
    const struct device *legacy = d->machine->irq.legacy;
    return !legacy || legacy == d || (isa != 0 && isa != 8);
}

void irq_legacy(struct device *d, bool on)
{
    struct machine *m = d->machine;
    struct irq *q = &m->irq;
    pthread_mutex_lock(&q->lock);
    for (unsigned i = 0; i < m->devices && (q->legacy == d) != on && !q->loading; i++)
        for (unsigned line = 0; line < ISA_IRQS; line++) {
            int isa = isa_of(m->device[i], line);
            if (m->device[i] != d && (isa == 0 || isa == 8) && m->device[i]->core->irq_levels >> line & 1)
                isa_line(m, isa, !on);
        }
    if (on || q->legacy == d)
        q->legacy = on ? d : NULL;
    pthread_mutex_unlock(&q->lock);
}

/* Pin x of slot n is the router's input (n - 1 + x) mod 4; line 0 of a function is the pin that its header names. */
static unsigned pirq_of(const struct device *d, unsigned line)
{
    unsigned pin = d->ops->pci ? MAX(d->ops->pci->interrupt_pin, 1) - 1 : 0;
    return (d->core->wiring.slot - 1 + pin + line) & 3;
}

static void pirq_line(struct device *d, unsigned line, bool level)
{
    struct irq *q = &d->machine->irq;
    unsigned input = pirq_of(d, line);
    bool before = q->pirq_sources[input] > 0;
    q->pirq_sources[input] += level ? 1 : -1;
    if (before != (q->pirq_sources[input] > 0))
        chip_input(q->pci_router, input, level);
}

void irq_intx_update(struct device *d)
{
    struct machine *m = d->machine;
    if (!d->ops->pci->interrupt_pin)
        return;
    pthread_mutex_lock(&m->irq.lock);
    uint32_t asked = d->core->irq_levels & 0xf, now = pci_intx_open(d, asked) ? asked : 0,
             changed = now ^ d->core->intx;
    d->core->intx = now;
    for (unsigned line = 0; line < 4; line++)
        if (changed >> line & 1)
            pirq_line(d, line, now >> line & 1);
    pthread_mutex_unlock(&m->irq.lock);
}

static void line_changed(struct device *d, unsigned line, bool level)
{
    int isa = isa_of(d, line);
    if (isa >= 0 && heard(d, isa))
        isa_line(d->machine, isa, level);
    else if (isa < 0 && d->core->wiring.irqchip)
        chip_input(d->machine->irq.ioapic, line, level);
    else if (d->ops->pci)
        irq_intx_update(d);
}

void dev_irq(struct device *d, unsigned line, bool level)
{
    struct machine *m = d->machine;
    pthread_mutex_lock(&m->irq.lock);
    uint32_t *levels = m->irq.loading ? &d->core->irq_loaded : &d->core->irq_levels;
    bool before = *levels >> line & 1;
    if (before != level) {
        *levels ^= 1u << line;
        if (!m->irq.loading)
            line_changed(d, line, level);
    }
    pthread_mutex_unlock(&m->irq.lock);
}

/* ---- ticks of IRQ 0 ----
 * An edge that finds the one before still waiting in a controller is lost.  Where that happens because the host let the
 * CPU wait, the guest's clock would fall behind, and Linux would find the timer not to be working.  So they are owed, and
 * come as the CPU acknowledges.  With an engine that brings its own local APICs nobody tells when that was: there, ticks
 * by the I/O APIC may get lost. */
enum { TICKS_OWED_MAX = 250 }; /* the rest is lost: a second at Linux's usual rate */

static int pic_edge(struct machine *m)
{
    bool through = !lapic(m);
    for (unsigned cpu = 0; lapic(m) && cpu < m->cpus; cpu++)
        through |= lapic(m)->accepts_pic(m->irq.lapic, cpu);
    return through ? m->irq.pic->ops->irqchip->edge(m->irq.pic, 0) : EDGE_NOWHERE;
}

static int ioapic_edge(struct machine *m)
{
    int vector = EDGE_NOWHERE;
    if (m->irq.ioapic && lapic(m))
        vector = m->irq.ioapic->ops->irqchip->edge(m->irq.ioapic, 2);
    if (vector < 0)
        return EDGE_NOWHERE;
    return lapic(m)->requested(m->irq.lapic, vector) ? EDGE_WAITS : EDGE_TAKEN;
}

static int tick_edge(struct machine *m)
{
    int by_pic = pic_edge(m), by_apic = ioapic_edge(m);
    return by_pic == EDGE_WAITS || by_apic == EDGE_NOWHERE ? by_pic : by_apic;
}

void dev_irq_ticks(struct device *d, uint64_t n)
{
    struct machine *m = d->machine;
    pthread_mutex_lock(&m->irq.lock);
    if (!heard(d, 0)) {
        dev_irq(d, 0, true);
        pthread_mutex_unlock(&m->irq.lock);
        return;
    }
    int edge = tick_edge(m);
    uint64_t more = edge == EDGE_WAITS ? n : n - 1;
    m->irq.ticks_owed = edge == EDGE_NOWHERE ? 0 : MIN(m->irq.ticks_owed + MIN(more, TICKS_OWED_MAX), TICKS_OWED_MAX);
    dev_irq(d, 0, true);
    pthread_mutex_unlock(&m->irq.lock);
}

/* The CPU took something: perhaps it was a tick. */
static void pay_tick(struct machine *m)
{
    struct irq *q = &m->irq;
    int edge = tick_edge(m);
    if (edge == EDGE_NOWHERE)
        q->ticks_owed = 0;
    if (edge != EDGE_TAKEN)
        return;
    q->ticks_owed--;
    for (unsigned level = 0; level < 2; level++) { /* an edge that leaves the line as it was: up, but for a moment */
        chip_input(q->pic, 0, level);
        chip_input(q->ioapic, 2, level);
    }
    if (q->isa_sources[0])
        return;
    chip_input(q->pic, 0, false);
    chip_input(q->ioapic, 2, false);
}

void irq_pic_output(struct device *d, bool level)
{
    struct machine *m = d->machine;
    pthread_mutex_lock(&m->irq.lock);
    m->irq.pic_level = level;
    for (unsigned cpu = 0; cpu < m->cpus && !m->irq.loading; cpu++) {
        if (lapic(m))
            lapic(m)->lint(m->irq.lapic, cpu, 0, level);
        irq_update_pin(m, cpu);
    }
    pthread_mutex_unlock(&m->irq.lock);
}

/* The message as an MSI write (SDM Vol. 3, "Message Signalled Interrupts"), for an engine with its own local APICs. */
static void message_to_engine(struct machine *m, const struct apic_message *msg)
{
    uint64_t address = 0xfee00000ull | (uint64_t)(msg->destination & 0xff) << 12 | (msg->logical ? 4 : 0) |
                       (msg->mode == 1 ? 8 : 0) | (uint64_t)(msg->destination >> 8) << 40;
    uint32_t data = msg->vector | (uint32_t)(msg->mode & 7) << 8 | (msg->level_assert ? 1u << 14 : 0) |
                    (msg->level_triggered ? 1u << 15 : 0);
    m->engine->msi(m->engine_vm, address, data);
}

bool irq_message(struct device *d, const struct apic_message *msg)
{
    struct machine *m = d->machine;
    if (m->engine && m->engine->msi) {
        message_to_engine(m, msg);
        return true;
    }
    if (!lapic(m))
        return false;
    pthread_mutex_lock(&m->irq.lock);
    bool taken = lapic(m)->message(m->irq.lapic, msg);
    pthread_mutex_unlock(&m->irq.lock);
    return taken;
}

void irq_cpu(struct device *d, unsigned cpu, enum cpu_signal what, unsigned value)
{
    struct machine *m = d->machine;
    if (cpu >= m->cpus)
        return;
    pthread_mutex_lock(&m->irq.lock);
    if (what == CPU_SIGNAL_INTR) {
        m->irq.apic_level[cpu] = value;
        irq_update_pin(m, cpu);
    } else if (!m->irq.loading) {
        vcpu_thread_signal(m, cpu, what, value);
    }
    pthread_mutex_unlock(&m->irq.lock);
}

void dev_init_cpus(struct device *d)
{
    struct machine *m = d->machine;
    pthread_mutex_lock(&m->irq.lock);
    for (unsigned cpu = 0; cpu < m->cpus; cpu++) {
        if (lapic(m))
            lapic(m)->init_cpu(m->irq.lapic, cpu);
        irq_update_pin(m, cpu);
        vcpu_thread_signal(m, cpu, CPU_SIGNAL_INIT, 1);
    }
    pthread_mutex_unlock(&m->irq.lock);
}

void irq_eoi(struct device *d, uint8_t vector)
{
    machine_eoi(d->machine, vector);
}

void machine_eoi(struct machine *m, uint8_t vector)
{
    pthread_mutex_lock(&m->irq.lock);
    if (m->irq.ioapic)
        m->irq.ioapic->ops->irqchip->eoi(m->irq.ioapic, vector);
    pthread_mutex_unlock(&m->irq.lock);
}

int machine_ack(struct machine *m, unsigned cpu)
{
    struct irq *q = &m->irq;
    int vector = -1;
    pthread_mutex_lock(&q->lock);
    if (q->apic_level[cpu] && lapic(m))
        vector = lapic(m)->ack(q->lapic, cpu);
    if (vector < 0 && q->pic_level && (lapic(m) ? lapic(m)->accepts_pic(q->lapic, cpu) : cpu == 0))
        vector = q->pic->ops->irqchip->ack(q->pic);
    if (q->ticks_owed)
        pay_tick(m);
    irq_update_pin(m, cpu);
    pthread_mutex_unlock(&q->lock);
    return vector;
}

uint8_t machine_tpr(struct machine *m, unsigned cpu)
{
    if (!lapic(m))
        return 0;
    pthread_mutex_lock(&m->irq.lock);
    uint32_t tpr = lapic(m)->read(m->irq.lapic, cpu, 0x80);
    pthread_mutex_unlock(&m->irq.lock);
    return tpr >> 4 & 15;
}

void machine_set_tpr(struct machine *m, unsigned cpu, uint8_t cr8)
{
    if (!lapic(m))
        return;
    pthread_mutex_lock(&m->irq.lock);
    lapic(m)->write(m->irq.lapic, cpu, 0x80, (uint32_t)(cr8 & 15) << 4);
    irq_update_pin(m, cpu);
    pthread_mutex_unlock(&m->irq.lock);
}

bool machine_apic_msr(struct machine *m, unsigned cpu, uint32_t msr, uint64_t *value, bool write)
{
    if (!lapic(m))
        return false;
    pthread_mutex_lock(&m->irq.lock);
    bool ok = lapic(m)->msr(m->irq.lapic, cpu, msr, value, write);
    apic_page_update(m, cpu);
    irq_update_pin(m, cpu);
    pthread_mutex_unlock(&m->irq.lock);
    return ok;
}

/* With local APICs the line goes to LINT1 of each (which may be masked); else to the CPU's NMI pin. */
void dev_nmi(struct device *d)
{
    struct machine *m = d->machine;
    pthread_mutex_lock(&m->irq.lock);
    for (unsigned cpu = 0; cpu < m->cpus; cpu++) {
        if (lapic(m)) {
            lapic(m)->lint(m->irq.lapic, cpu, 1, true);
            lapic(m)->lint(m->irq.lapic, cpu, 1, false);
        } else if (cpu == 0) {
            vcpu_thread_signal(m, cpu, CPU_SIGNAL_NMI, 1);
        }
    }
    pthread_mutex_unlock(&m->irq.lock);
}

/* ---- saved state ----
 * What the controllers see comes from themselves; here is only what lies between them: how many hold each line up follows
 * from the lines, and the pins from the levels. */

bool irq_sync(struct machine *m, struct stream *s)
{
    uint32_t owed = m->irq.ticks_owed;
    stream_check_u32(s, &owed, TICKS_OWED_MAX);
    m->irq.ticks_owed = owed;
    return stream_ok(s);
}

bool irq_has_lapics(const struct machine *m)
{
    return m->engine->get_lapic || m->irq.lapic;
}

void irq_lapic_save(struct machine *m, unsigned cpu, struct cpu_lapic *out)
{
    if (!lapic(m)) {
        m->engine->get_lapic(m->vcpu[cpu].engine_vcpu, out);
        return;
    }
    pthread_mutex_lock(&m->irq.lock);
    lapic(m)->save(m->irq.lapic, cpu, out);
    pthread_mutex_unlock(&m->irq.lock);
}

bool irq_lapic_load(struct machine *m, unsigned cpu, const struct cpu_lapic *in)
{
    if (!lapic(m)) {
        m->engine->set_lapic(m->vcpu[cpu].engine_vcpu, in);
        return true;
    }
    pthread_mutex_lock(&m->irq.lock);
    bool good = lapic(m)->load(m->irq.lapic, cpu, m->irq.pic_level, in);
    pthread_mutex_unlock(&m->irq.lock);
    return good;
}

void irq_load_begin(struct machine *m)
{
    pthread_mutex_lock(&m->irq.lock);
    m->irq.loading = true;
    pthread_mutex_unlock(&m->irq.lock);
}

/* The sums, as they follow from the levels that were saved; the controllers know them already. */
static void count_sources(struct machine *m, struct device *d)
{
    for (unsigned line = 0; line < 32; line++)
        if (isa_of(d, line) >= 0 && heard(d, isa_of(d, line)) && d->core->irq_levels >> line & 1)
            m->irq.isa_sources[isa_of(d, line)]++;
    uint32_t asked = d->ops->pci && d->ops->pci->interrupt_pin ? d->core->irq_levels & 0xf : 0;
    d->core->intx = asked && pci_intx_open(d, asked) ? asked : 0;
    for (unsigned line = 0; line < 4; line++)
        m->irq.pirq_sources[pirq_of(d, line)] += d->core->intx >> line & 1;
}

void irq_load_end(struct machine *m)
{
    struct irq *q = &m->irq;
    pthread_mutex_lock(&q->lock);
    q->loading = false;
    memset(q->isa_sources, 0, sizeof q->isa_sources);
    memset(q->pirq_sources, 0, sizeof q->pirq_sources);
    for (unsigned i = 0; i < m->devices; i++)
        count_sources(m, m->device[i]);
    for (unsigned i = 0; i < 32 * m->devices; i++)
        dev_irq(m->device[i / 32], i % 32, m->device[i / 32]->core->irq_loaded >> i % 32 & 1);
    for (unsigned cpu = 0; cpu < m->cpus; cpu++) {
        apic_page_update(m, cpu);
        irq_update_pin(m, cpu);
        vcpu_thread_signal(m, cpu, CPU_SIGNAL_INTR, q->pin[cpu]);
    }
    pthread_mutex_unlock(&q->lock);
}
