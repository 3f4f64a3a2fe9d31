// SPDX-License-Identifier: GPL-2.0-or-later
/* synic.c - the synthetic interrupt controller of each CPU: 16 sources of interrupts (SINTs), each with a slot for one message
 * in the message page and 2048 flags in the event page (TLFS, "Inter-Partition Communication").
 *
 * A message goes into its slot when that is empty, which its type of 0 says.  If not, the flag "message pending" is set there, and the
 * sender keeps the message: the guest writes to EOM when it has emptied a slot with that flag.  One that never does is looked
 * at all the same, after a millisecond, then after two and so on to a second. */
#include "core-vmm/api/barrier.h"
#include "core-vmm/base/bytes.h"
#include "devices/hyperv/hyperv.h"
#include <string.h>

enum {
    MSR_SCONTROL = 0x40000080,
    MSR_SVERSION,
    MSR_SIEFP,
    MSR_SIMP,
    MSR_EOM,
    MSR_SINT = 0x40000090,
};
enum { SINT_VECTOR = 0xff, SLOT_BYTES = 256, FLAGS_BYTES = 256, HEADER_BYTES = 16, PENDING = 1, FIRST_VECTOR = 16 };
enum { AT_TYPE = 0, AT_BYTES = 4, AT_FLAGS = 5, AT_SENDER = 8 };
#define ON            HV_BIT(0)
#define SINT_MASKED   HV_BIT(16)
#define SINT_AUTO_EOI HV_BIT(17)
#define SINT_POLLING  HV_BIT(18)
#define SINT_BITS     (SINT_VECTOR | SINT_MASKED | SINT_AUTO_EOI | SINT_POLLING)

void hv_synic_loaded(struct device *d, unsigned cpu)
{
    const struct hyperv *h = d->state;
    uint64_t vectors[4] = {0};
    for (unsigned i = 0; i < HV_SINTS; i++) {
        uint64_t sint = h->reg[cpu].sint[i];
        if (sint & SINT_AUTO_EOI && !(sint & SINT_MASKED))
            vectors[(sint & SINT_VECTOR) >> 6] |= HV_BIT(sint & 63);
    }
    hyperv_auto_eoi(d, cpu, vectors);
}

void hv_synic_reset(struct device *d, unsigned cpu)
{
    struct hyperv *h = d->state;
    for (unsigned i = 0; i < HV_SINTS; i++)
        h->reg[cpu].sint[i] = SINT_MASKED;
    hv_synic_loaded(d, cpu);
}

/* ---- MSRs ---- */

static bool write_sint(struct device *d, unsigned cpu, unsigned sint, uint64_t value)
{
    struct hyperv *h = d->state;
    if (!(value & SINT_MASKED) && (value & SINT_VECTOR) < FIRST_VECTOR)
        return false;
    h->reg[cpu].sint[sint] = value & SINT_BITS;
    hv_synic_loaded(d, cpu);
    return true;
}

static bool write_msr(struct device *d, unsigned cpu, uint32_t msr, uint64_t value)
{
    struct cpu_hyperv *r = &((struct hyperv *)d->state)->reg[cpu];
    switch (msr) {
    case MSR_SCONTROL: r->scontrol = value & ON; break;
    case MSR_SIEFP: hv_place_page(d, &r->siefp, value); break;
    case MSR_SIMP: hv_place_page(d, &r->simp, value); break;
    case MSR_EOM: hv_place_waiting(d); break;
    case MSR_SINT ... MSR_SINT + HV_SINTS - 1: return write_sint(d, cpu, msr - MSR_SINT, value);
    default: return false;
    }
    return true;
}

bool hv_synic_msr(struct device *d, unsigned cpu, uint32_t msr, uint64_t *value, bool write)
{
    const struct cpu_hyperv *r = &((struct hyperv *)d->state)->reg[cpu];
    if (write)
        return write_msr(d, cpu, msr, *value);
    switch (msr) {
    case MSR_SCONTROL: *value = r->scontrol; break;
    case MSR_SVERSION: *value = 1; break;
    case MSR_SIEFP: *value = r->siefp; break;
    case MSR_SIMP: *value = r->simp; break;
    case MSR_EOM: *value = 0; break;
    case MSR_SINT ... MSR_SINT + HV_SINTS - 1: *value = r->sint[msr - MSR_SINT]; break;
    default: return false;
    }
    return true;
}

/* ---- interrupts, messages, events ---- */

void hv_sint(struct device *d, unsigned cpu, unsigned sint)
{
    const struct cpu_hyperv *r = &((struct hyperv *)d->state)->reg[cpu];
    uint64_t s = r->sint[sint];
    if (hyperv_in_engine(d))
        hyperv_interrupt(d, cpu, 0, sint);
    else if (r->scontrol & ON && !(s & (SINT_MASKED | SINT_POLLING)))
        hyperv_interrupt(d, cpu, s & SINT_VECTOR, sint);
}

/* The flag first: who empties the slot after that will tell. */
static bool claim(struct device *d, uint8_t *slot)
{
    if (!get_le32(slot + AT_TYPE))
        return true;
    __atomic_fetch_or(slot + AT_FLAGS, PENDING, __ATOMIC_RELAXED);
    dev_barrier(d);
    return !__atomic_load_n((uint32_t *)slot, __ATOMIC_ACQUIRE);
}

enum hv_status hv_post(struct device *d, unsigned cpu, unsigned sint, const struct hv_message *m, bool *placed)
{
    const struct cpu_hyperv *r = &((struct hyperv *)d->state)->reg[cpu];
    uint64_t at = (r->simp & HV_ADDRESS) + sint * SLOT_BYTES;
    uint8_t *slot = r->scontrol & ON && r->simp & ON ? dev_dma(d, at, SLOT_BYTES, true) : NULL;
    *placed = slot && claim(d, slot);
    if (!slot)
        return HV_INVALID_SYNIC_STATE;
    if (*placed) {
        memset(slot + AT_BYTES, 0, HEADER_BYTES - AT_BYTES);
        slot[AT_BYTES] = m->bytes;
        put_le64(slot + AT_SENDER, m->sender);
        memcpy(slot + HEADER_BYTES, m->payload, m->bytes);
        __atomic_store_n((uint32_t *)slot, htole32(m->type), __ATOMIC_RELEASE);
    }
    dev_dma_done(d, at, HEADER_BYTES + m->bytes);
    if (*placed)
        hv_sint(d, cpu, sint);
    return HV_SUCCESS;
}

/* Only in a guest's call, on that CPU's thread: with one CPU, the guest may take flags by instructions without LOCK. */
enum hv_status hv_signal(struct device *d, unsigned cpu, unsigned sint, unsigned flag)
{
    const struct cpu_hyperv *r = &((struct hyperv *)d->state)->reg[cpu];
    uint64_t at = (r->siefp & HV_ADDRESS) + sint * FLAGS_BYTES + flag / 8;
    if (flag >= FLAGS_BYTES * 8)
        return HV_INVALID_PARAMETER;
    uint8_t *byte = r->scontrol & ON && r->siefp & ON ? dev_dma(d, at, 1, true) : NULL;
    if (!byte)
        return HV_INVALID_SYNIC_STATE;
    bool before = __atomic_fetch_or(byte, 1 << flag % 8, __ATOMIC_ACQ_REL) >> flag % 8 & 1;
    dev_dma_done(d, at, 1);
    if (!before)
        hv_sint(d, cpu, sint);
    return HV_SUCCESS;
}

/* ---- messages that wait for their slot ---- */

bool hv_anything_waits(const struct hyperv *h)
{
    for (unsigned i = 0; i < HV_PORTS; i++)
        if (h->port[i].waits)
            return true;
    for (unsigned i = 0; i < h->cpus * HV_TIMERS; i++)
        if (h->cpu[i / HV_TIMERS].timer[i % HV_TIMERS].waits)
            return true;
    return false;
}

void hv_place_waiting(struct device *d)
{
    enum { FIRST_NS = 1000000, LAST_NS = 1000000000 };
    struct hyperv *h = d->state;
    for (unsigned i = 0; i < HV_PORTS; i++) {
        struct hv_port *p = &h->port[i];
        bool placed = false;
        if (p->waits && (hv_post(d, p->cpu, p->sint, &p->message, &placed) != HV_SUCCESS || placed))
            p->waits = false;
    }
    hv_timers_place(d);
    bool waits = hv_anything_waits(h);
    h->retry_ns = waits ? CLAMP(h->retry_ns * 2, FIRST_NS, LAST_NS) : 0;
    h->retry_due = waits ? dev_now(d) + h->retry_ns : DEV_NEVER;
    hv_arm(d);
}
