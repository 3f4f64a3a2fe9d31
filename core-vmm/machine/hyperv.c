// SPDX-License-Identifier: GPL-2.0-or-later
/* hyperv.c - between the engines and the device that is Hyper-V's interface to the guest (api/hyperv.h).
 *
 * Where the engine has none of its own, MSRs and hypercalls come here and go on to the device with its lock held.  Emptying
 * TLBs waits for other CPUs, which may themselves wait for that lock: so it happens after the lock is given back. */
#include "core-vmm/api/hyperv.h"
#include "core-vmm/machine/core.h"
#include <string.h>

/* ---- engines without the interface ---- */

bool machine_hyperv_msr(struct machine *m, unsigned cpu, uint32_t msr, uint64_t *value, bool write)
{
    struct device *d = m->hyperv;
    if (!d)
        return false;
    dev_lock(d);
    bool known = d->ops->hyperv->msr(d, cpu, msr, value, write);
    dev_unlock(d);
    return known;
}

static void carry_out(struct machine *m, struct hyperv_call *c)
{
    struct device *d = m->hyperv;
    dev_lock(d);
    d->ops->hyperv->call(d, c);
    dev_unlock(d);
    if (c->flush && m->engine->hyperv && m->engine->hyperv->flush)
        m->engine->hyperv->flush(m->vcpu[c->cpu].engine_vcpu, c->flush);
}

static uint64_t pair(uint64_t high, uint64_t low)
{
    return high << 32 | (uint32_t)low;
}

bool machine_hypercall(struct machine *m, unsigned cpu, uint64_t gpr[16], bool wide)
{
    struct device *d = m->hyperv;
    struct hyperv_call c = {.cpu = cpu};
    if (!d)
        return false;
    dev_lock(d);
    bool listens = d->ops->hyperv->listens(d);
    dev_unlock(d);
    if (!listens)
        return false;
    c.control = wide ? gpr[X86_RCX] : pair(gpr[X86_RDX], gpr[X86_RAX]);
    c.input = wide ? gpr[X86_RDX] : pair(gpr[X86_RBX], gpr[X86_RCX]);
    c.output = wide ? gpr[8] : pair(gpr[X86_RDI], gpr[X86_RSI]);
    carry_out(m, &c);
    gpr[X86_RAX] = wide ? c.result : (uint32_t)c.result;
    if (!wide)
        gpr[X86_RDX] = c.result >> 32;
    return true;
}

/* ---- engines that have it: what they cannot do alone ---- */

uint64_t machine_hyperv_call(struct machine *m, unsigned cpu, uint64_t control, uint64_t input, uint64_t output)
{
    enum { INVALID_HYPERCALL_CODE = 2 };
    struct hyperv_call c = {.cpu = cpu, .control = control, .input = input, .output = output};
    if (!m->hyperv)
        return INVALID_HYPERCALL_CODE;
    carry_out(m, &c);
    return c.result;
}

void machine_hyperv_pages(struct machine *m, unsigned cpu, uint64_t control, uint64_t messages, uint64_t events)
{
    if (!m->hyperv)
        return;
    dev_lock(m->hyperv);
    m->hyperv->ops->hyperv->pages(m->hyperv, cpu, control, messages, events);
    dev_unlock(m->hyperv);
}

void machine_hyperv_crashed(struct machine *m, const uint64_t words[HYPERV_CRASH_WORDS], uint64_t control)
{
    if (!m->hyperv)
        return;
    dev_lock(m->hyperv);
    m->hyperv->ops->hyperv->crashed(m->hyperv, words, control);
    dev_unlock(m->hyperv);
}

bool hyperv_in_engine(struct device *d)
{
    const struct hyperv_engine *e = d->machine->engine->hyperv;
    return e && e->get;
}

/* The engine's clock runs while the machine's stands: what has passed is taken off. */
void hyperv_fetch(struct device *d, unsigned cpu, struct cpu_hyperv *out, uint64_t *reference)
{
    struct machine *m = d->machine;
    uint64_t tsc = 0;
    m->engine->hyperv->get(m->vcpu[cpu].engine_vcpu, out, reference, &tsc);
    uint64_t since = (tsc - clock_tsc(m->clock)) * 10000 / clock_tsc_khz(m->clock);
    *reference -= MIN(*reference, since);
}

void hyperv_put(struct device *d, unsigned cpu, const struct cpu_hyperv *in, uint64_t reference)
{
    struct machine *m = d->machine;
    m->engine->hyperv->set(m->vcpu[cpu].engine_vcpu, in, reference);
}

/* ---- interrupts ---- */

void hyperv_interrupt(struct device *d, unsigned cpu, uint8_t vector, int sint)
{
    struct machine *m = d->machine;
    if (sint >= 0 && hyperv_in_engine(d))
        m->engine->hyperv->sint(m->engine_vm, cpu, sint);
    else
        irq_message(d, &(struct apic_message){.destination = cpu, .vector = vector, .level_assert = true});
}

void hyperv_auto_eoi(struct device *d, unsigned cpu, const uint64_t vectors[4])
{
    struct irq *q = &d->machine->irq;
    pthread_mutex_lock(&q->lock);
    if (q->lapic)
        q->lapic->ops->lapic->auto_eoi(q->lapic, cpu, vectors);
    pthread_mutex_unlock(&q->lock);
}

uint64_t hyperv_apic_read(struct device *d, unsigned cpu, unsigned offset)
{
    struct irq *q = &d->machine->irq;
    pthread_mutex_lock(&q->lock);
    uint64_t v = q->lapic ? q->lapic->ops->lapic->read(q->lapic, cpu, offset) : 0;
    pthread_mutex_unlock(&q->lock);
    return v;
}

void hyperv_apic_write(struct device *d, unsigned cpu, unsigned offset, uint32_t value)
{
    struct irq *q = &d->machine->irq;
    pthread_mutex_lock(&q->lock);
    if (q->lapic)
        q->lapic->ops->lapic->write(q->lapic, cpu, offset, value);
    irq_update_pin(d->machine, cpu);
    pthread_mutex_unlock(&q->lock);
}

/* ---- a guest that has crashed ---- */

static gboolean tell_crash(gpointer data)
{
    struct machine *m = data;
    struct machine_crash c;
    pthread_mutex_lock(&m->pending_lock);
    m->crash_source = 0;
    pthread_mutex_unlock(&m->pending_lock);
    machine_crash_look(m, &c);
    if (m->on_crash.fn)
        m->on_crash.fn(m->on_crash.ctx, &c);
    machine_crash_clear(&c);
    return G_SOURCE_REMOVE;
}

void hyperv_crashed(struct device *d, const uint64_t words[HYPERV_CRASH_WORDS], const char *message)
{
    struct machine *m = d->machine;
    pthread_mutex_lock(&m->pending_lock);
    m->crash.count++;
    memcpy(m->crash.words, words, sizeof m->crash.words);
    g_free(m->crash.message);
    m->crash.message = g_strdup(message);
    if (!m->crash_source)
        m->crash_source = g_idle_add(tell_crash, m);
    pthread_mutex_unlock(&m->pending_lock);
    dev_log(d,
            "the guest crashed: code 0x%" G_GINT64_MODIFIER "x, arguments 0x%" G_GINT64_MODIFIER
            "x 0x%" G_GINT64_MODIFIER "x 0x%" G_GINT64_MODIFIER "x 0x%" G_GINT64_MODIFIER "x%s%s",
            words[0], words[1], words[2], words[3], words[4], message ? ": " : "", message ? message : "");
}

void machine_on_crash(struct machine *m, void (*fn)(void *ctx, const struct machine_crash *c), void *ctx)
{
    m->on_crash.fn = fn;
    m->on_crash.ctx = ctx;
}

void machine_crash_look(struct machine *m, struct machine_crash *out)
{
    pthread_mutex_lock(&m->pending_lock);
    *out = m->crash;
    out->message = g_strdup(m->crash.message);
    pthread_mutex_unlock(&m->pending_lock);
}

void machine_crash_clear(struct machine_crash *c)
{
    g_clear_pointer(&c->message, g_free);
}
