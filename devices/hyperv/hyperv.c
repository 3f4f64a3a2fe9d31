// SPDX-License-Identifier: GPL-2.0-or-later
/* hyperv.c - what Hyper-V offers its guests, for engines that have none of it themselves: identity, clocks, crash report and the
 * local APIC's registers as MSRs; synic.c: messages and events, stimer.c: timers, hypercall.c: calls.  Spec: Microsoft,
 * "Hypervisor Top-Level Functional Specification" (TLFS), 6.0b; numbers of MSRs and bits are its.
 *
 *   guest --- RDMSR, WRMSR ---> engine --- machine_hyperv_msr() ---> here --- SINT, vector ---> local APIC
 *         --- CALL of a page of ours, VMCALL --- machine_hypercall() ---> hypercall.c --- whose TLB to empty ---> engine
 *
 * KVM does all this in the kernel.  There this device only keeps the registers when the machine is saved, so that a saved
 * state goes from one engine to the other, and has what KVM leaves to the machine: connections and the crash report.
 *
 * Reference time, in 100 ns, is the machine's TSC times a factor plus an offset: what the guest computes by the reference TSC page
 * and what it reads from the MSR is the same by construction.  A state that is loaded where the TSC has another rate gets another
 * factor, and an offset by which time goes on where it was.
 *
 * The specification lays the pages that a guest places (hypercalls, reference TSC, messages, events, VP assist) over its memory.
 * Here they are written into it, as KVM does: systems place them where nothing is. */
#include "devices/hyperv/hyperv.h"
#include "core-vmm/api/platform.h"
#include "core-vmm/base/bytes.h"
#include "core-vmm/base/cpu_model.h"
#include "core-vmm/base/host_cpu.h"
#include "devices/all.h"
#include <time.h>

enum {
    MSR_GUEST_OS_ID = 0x40000000,
    MSR_HYPERCALL,
    MSR_VP_INDEX,
    MSR_RESET,
    MSR_VP_RUNTIME = 0x40000010,
    MSR_TIME_REF_COUNT = 0x40000020,
    MSR_REFERENCE_TSC,
    MSR_TSC_FREQUENCY,
    MSR_APIC_FREQUENCY,
    MSR_EOI = 0x40000070,
    MSR_ICR,
    MSR_TPR,
    MSR_VP_ASSIST,
    MSR_SYNIC = 0x40000080,
    MSR_SYNIC_LAST = 0x4000009f,
    MSR_TIMER = 0x400000b0,
    MSR_TIMER_LAST = 0x400000b7,
    MSR_CRASH = 0x40000100,
    MSR_CRASH_CONTROL = 0x40000105,
};
enum { APIC_TPR = 0x80, APIC_EOI = 0xb0, APIC_ICR = 0x300, APIC_ICR_HIGH = 0x310 }; /* offsets in its page */
enum { APIC_HZ = 1000000000, TEXT_BYTES = 1024, TSC_PAGE_BYTES = 24 };
#define ON            HV_BIT(0)
#define CRASH_NOTIFY  HV_BIT(63)
#define CRASH_MESSAGE HV_BIT(62) /* parameter 3 is the address of a text, 4 its size */

/* ---- time ---- */

static uint64_t scaled(const struct hyperv *h, uint64_t tsc)
{
    return (unsigned __int128)tsc * h->scale >> 64;
}

uint64_t hv_now(struct device *d)
{
    const struct hyperv *h = d->state;
    return scaled(h, dev_tsc(d)) + h->offset;
}

/* Sequence 0 would tell the guest not to use it, FFFFFFFFh is of old specifications. */
void hv_write_tsc_page(struct device *d)
{
    struct hyperv *h = d->state;
    uint64_t at = h->reg[0].reference_tsc & HV_ADDRESS;
    uint8_t *page = h->reg[0].reference_tsc & ON ? dev_dma(d, at, HV_PAGE, true) : NULL;
    h->page_stale = false;
    if (!page)
        return;
    h->sequence = h->sequence >= UINT32_MAX - 1 ? 1 : h->sequence + 1;
    put_le32(page, 0); /* not to be used while it changes */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    put_le64(page + 8, h->scale);
    put_le64(page + 16, h->offset);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    put_le32(page, h->sequence);
    dev_dma_done(d, at, TSC_PAGE_BYTES);
}

/* What is due and was not run a moment ago waits a little, so that no guest keeps the thread that runs timers for itself. */
void hv_arm(struct device *d)
{
    enum { SOON_NS = 100000 };
    struct hyperv *h = d->state;
    uint64_t next = hv_timers_next(h), now = hv_now(d), at = DEV_NEVER;
    if (next != HV_NEVER)
        at = dev_now(d) + (next > now ? MIN(next - now, UINT64_MAX / 200) * 100 : SOON_NS);
    h->armed = h->page_stale ? 0 : MIN(at, h->retry_due);
    dev_timer(d, 0, h->armed, hv_timers_run);
}

/* ---- pages of the VM ---- */

/* VMCALL or VMMCALL, and RET: guests of either maker call the page, and the software engines take both. */
static void write_hypercall_page(struct device *d)
{
    static const uint8_t intel[] = {0x0f, 0x01, 0xc1, 0xc3}, amd[] = {0x0f, 0x01, 0xd9, 0xc3};
    struct hyperv *h = d->state;
    uint64_t at = h->reg[0].hypercall & HV_ADDRESS;
    uint8_t *page = h->reg[0].hypercall & ON ? dev_dma(d, at, HV_PAGE, true) : NULL;
    if (!page)
        return;
    memcpy(page, h->amd ? amd : intel, sizeof amd);
    dev_dma_done(d, at, sizeof amd);
}

static void write_guest_os_id(struct hyperv *h, uint64_t value)
{
    h->reg[0].guest_os_id = value;
    if (!value)
        h->reg[0].hypercall &= ~ON;
}

static void write_hypercall(struct device *d, uint64_t value)
{
    enum { LOCKED = 2 };
    struct hyperv *h = d->state;
    if (h->reg[0].hypercall & LOCKED || (!h->reg[0].guest_os_id && value & ON))
        return;
    h->reg[0].hypercall = value;
    write_hypercall_page(d);
}

/* ---- crash ---- */

static char *crash_text(struct device *d, const uint64_t *words)
{
    uint64_t bytes = MIN(words[4], TEXT_BYTES);
    const uint8_t *at = bytes ? dev_dma(d, words[3], bytes, false) : NULL;
    if (!at)
        return NULL;
    char *text = g_malloc(bytes + 1);
    for (unsigned i = 0; i < bytes; i++)
        text[i] = at[i] >= ' ' && at[i] < 0x7f ? at[i] : ' ';
    text[bytes] = 0;
    return g_strstrip(text);
}

static void hyperv_take_crash(struct device *d, const uint64_t words[HYPERV_CRASH_WORDS], uint64_t control)
{
    g_autofree char *text = control & CRASH_MESSAGE ? crash_text(d, words) : NULL;
    if (control & CRASH_NOTIFY)
        hyperv_crashed(d, words, text && *text ? text : NULL);
}

/* ---- MSRs ---- */

/* The CPU time of the vCPU's thread, which is this one. */
static uint64_t *runtime(struct hyperv *h, unsigned cpu)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    uint64_t now = (t.tv_sec * UINT64_C(1000000000) + t.tv_nsec) / 100;
    if (!h->cpu[cpu].runtime_known) {
        h->cpu[cpu].runtime_base = h->reg[cpu].vp_runtime - now;
        h->cpu[cpu].runtime_known = true;
    }
    h->reg[cpu].vp_runtime = now + h->cpu[cpu].runtime_base;
    return &h->reg[cpu].vp_runtime;
}

static bool apic_msr(struct device *d, unsigned cpu, uint32_t msr, uint64_t *value, bool write)
{
    switch (msr) {
    case MSR_EOI:
        if (!write)
            return false;
        hyperv_apic_write(d, cpu, APIC_EOI, 0);
        return true;
    case MSR_ICR:
        if (write) {
            hyperv_apic_write(d, cpu, APIC_ICR_HIGH, *value >> 32);
            hyperv_apic_write(d, cpu, APIC_ICR, *value);
        } else {
            *value = hyperv_apic_read(d, cpu, APIC_ICR_HIGH) << 32 | hyperv_apic_read(d, cpu, APIC_ICR);
        }
        return true;
    default:
        if (write)
            hyperv_apic_write(d, cpu, APIC_TPR, *value & 0xff);
        else
            *value = hyperv_apic_read(d, cpu, APIC_TPR);
        return true;
    }
}

static bool read_msr(struct device *d, unsigned cpu, uint32_t msr, uint64_t *value)
{
    struct hyperv *h = d->state;
    switch (msr) {
    case MSR_GUEST_OS_ID: *value = h->reg[0].guest_os_id; break;
    case MSR_HYPERCALL: *value = h->reg[0].hypercall; break;
    case MSR_VP_INDEX: *value = cpu; break;
    case MSR_RESET: *value = 0; break;
    case MSR_VP_RUNTIME: *value = *runtime(h, cpu); break;
    case MSR_TIME_REF_COUNT: *value = hv_now(d); break;
    case MSR_REFERENCE_TSC: *value = h->reg[0].reference_tsc; break;
    case MSR_TSC_FREQUENCY: *value = dev_tsc_khz(d) * 1000; break;
    case MSR_APIC_FREQUENCY: *value = APIC_HZ; break;
    case MSR_VP_ASSIST: *value = h->reg[cpu].vp_assist; break;
    case MSR_CRASH ... MSR_CRASH_CONTROL - 1: *value = h->reg[0].crash[msr - MSR_CRASH]; break;
    case MSR_CRASH_CONTROL: *value = CRASH_NOTIFY | CRASH_MESSAGE; break;
    default: return false;
    }
    return true;
}

void hv_place_page(struct device *d, uint64_t *reg, uint64_t value)
{
    bool moves = value & ON && (value ^ *reg) & (HV_ADDRESS | ON);
    uint8_t *page = moves ? dev_dma(d, value & HV_ADDRESS, HV_PAGE, true) : NULL;
    *reg = value;
    if (!page)
        return;
    memset(page, 0, HV_PAGE);
    dev_dma_done(d, value & HV_ADDRESS, HV_PAGE);
}

static bool write_msr(struct device *d, unsigned cpu, uint32_t msr, uint64_t value)
{
    struct hyperv *h = d->state;
    switch (msr) {
    case MSR_GUEST_OS_ID: write_guest_os_id(h, value); break;
    case MSR_HYPERCALL: write_hypercall(d, value); break;
    case MSR_RESET:
        if (value & 1)
            dev_reset_machine(d);
        break;
    case MSR_REFERENCE_TSC:
        h->reg[0].reference_tsc = value;
        hv_write_tsc_page(d);
        break;
    case MSR_VP_ASSIST: hv_place_page(d, &h->reg[cpu].vp_assist, value); break;
    case MSR_CRASH ... MSR_CRASH_CONTROL - 1: h->reg[0].crash[msr - MSR_CRASH] = value; break;
    case MSR_CRASH_CONTROL: hyperv_take_crash(d, h->reg[0].crash, value); break;
    default: return false; /* VP_INDEX, VP_RUNTIME, TIME_REF_COUNT and the frequencies are read-only */
    }
    return true;
}

static bool hyperv_msr(struct device *d, unsigned cpu, uint32_t msr, uint64_t *value, bool write)
{
    struct hyperv *h = d->state;
    if (cpu >= h->cpus)
        return false;
    if (msr >= MSR_SYNIC && msr <= MSR_SYNIC_LAST)
        return hv_synic_msr(d, cpu, msr, value, write);
    if (msr >= MSR_TIMER && msr <= MSR_TIMER_LAST)
        return hv_timer_msr(d, cpu, msr, value, write);
    if (msr >= MSR_EOI && msr <= MSR_TPR)
        return apic_msr(d, cpu, msr, value, write);
    return write ? write_msr(d, cpu, msr, *value) : read_msr(d, cpu, msr, value);
}

static bool hyperv_listens(struct device *d)
{
    return ((struct hyperv *)d->state)->reg[0].guest_os_id;
}

static void hyperv_pages(struct device *d, unsigned cpu, uint64_t control, uint64_t messages, uint64_t events)
{
    struct hyperv *h = d->state;
    if (cpu >= h->cpus)
        return;
    h->reg[cpu].scontrol = control;
    h->reg[cpu].simp = messages;
    h->reg[cpu].siefp = events;
}

/* ---- life ---- */

static bool hyperv_init(struct device *d, const struct config *c, GError **error)
{
    struct hyperv *h = d->state;
    struct cpu_model host = {0};
    uint32_t r[4];
    host_cpuid(0, 0, r);
    memcpy(host.vendor, (uint32_t[]){r[1], r[3], r[2]}, sizeof host.vendor);
    h->amd = cpu_model_is_amd(&host);
    h->cpus = MIN(dev_cpus(d), HV_CPUS);
    h->scale = ((unsigned __int128)10000 << 64) / MAX(dev_tsc_khz(d), 10001); /* 10 MHz and more: it fits */
    h->retry_due = DEV_NEVER;
    return true;
}

/* Time goes on: that of a partition that is only reset does. */
static void hyperv_reset(struct device *d)
{
    struct hyperv *h = d->state;
    memset(h->port, 0, sizeof h->port);
    h->retry_due = h->armed = DEV_NEVER;
    for (unsigned cpu = 0; cpu < h->cpus; cpu++) {
        uint64_t runtime = h->reg[cpu].vp_runtime;
        memset(&h->reg[cpu], 0, sizeof h->reg[cpu]);
        h->reg[cpu].vp_runtime = runtime;
        hv_synic_reset(d, cpu);
        hv_timers_reset(h, cpu);
        struct cpu_hyperv now;
        uint64_t reference;
        if (hyperv_in_engine(d)) {
            hyperv_fetch(d, cpu, &now, &reference);
            hyperv_put(d, cpu, &h->reg[cpu], reference);
        }
    }
}

static void sync_registers(struct stream *s, struct cpu_hyperv *r)
{
    uint64_t *one[] = {&r->guest_os_id, &r->hypercall, &r->reference_tsc, &r->vp_assist,
                       &r->vp_runtime,  &r->scontrol,  &r->siefp,         &r->simp};
    for (unsigned i = 0; i < G_N_ELEMENTS(one); i++)
        stream_u64(s, one[i]);
    for (unsigned i = 0; i < HYPERV_CRASH_WORDS; i++)
        stream_u64(s, &r->crash[i]);
    for (unsigned i = 0; i < HV_SINTS; i++)
        stream_u64(s, &r->sint[i]);
    for (unsigned i = 0; i < HV_TIMERS; i++) {
        stream_u64(s, &r->timer[i].config);
        stream_u64(s, &r->timer[i].count);
    }
}

/* Expiry of a timer that KVM keeps is not to be had: 0, and whoever loads it finds one. */
static void sync_timers(struct device *d, struct stream *s, struct hv_cpu *c)
{
    for (unsigned i = 0; i < HV_TIMERS; i++) {
        struct hv_timer t = hyperv_in_engine(d) ? (struct hv_timer){0} : c->timer[i];
        stream_u64(s, &t.due);
        stream_bool(s, &t.waits);
        if (s->loading && !hyperv_in_engine(d))
            c->timer[i] = t;
    }
}

static void sync_port(struct stream *s, struct hv_port *p)
{
    uint32_t kind = p->kind;
    stream_check_u32(s, &kind, HV_PORT_EVENT);
    p->kind = kind;
    stream_u32(s, &p->id);
    stream_u8(s, &p->cpu);
    stream_u8(s, &p->sint);
    stream_bool(s, &p->waits);
    stream_u32(s, &p->message.type);
    stream_u8(s, &p->message.bytes);
    stream_u64(s, &p->message.sender);
    stream_raw(s, p->message.payload, sizeof p->message.payload);
}

static bool ports_good(const struct hyperv *h)
{
    for (unsigned i = 0; i < HV_PORTS; i++)
        if (h->port[i].cpu >= h->cpus || h->port[i].sint >= HV_SINTS ||
            h->port[i].message.bytes > sizeof h->port[i].message.payload)
            return false;
    return true;
}

static void loaded(struct device *d, uint64_t reference)
{
    struct hyperv *h = d->state;
    h->offset = reference - scaled(h, dev_tsc(d));
    for (unsigned cpu = 0; cpu < h->cpus; cpu++) {
        h->cpu[cpu].runtime_known = false;
        hv_synic_loaded(d, cpu);
        if (hyperv_in_engine(d))
            hyperv_put(d, cpu, &h->reg[cpu], reference);
        else
            hv_timers_loaded(d, cpu);
    }
    if (h->page_stale || h->armed == DEV_NEVER)
        hv_arm(d);
    else
        dev_timer(d, 0, h->armed, hv_timers_run);
}

static void fetch(struct device *d, uint64_t *reference)
{
    struct hyperv *h = d->state;
    h->armed = DEV_NEVER;
    for (unsigned cpu = 0; cpu < h->cpus; cpu++)
        hyperv_fetch(d, cpu, &h->reg[cpu], reference);
}

/* The page that says how to get from the TSC to the time is in the guest's memory, which is loaded after this: where the factor is
 * not the same, the device's timer writes it anew as soon as the guest runs. */
static bool hyperv_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct hyperv *h = d->state;
    uint64_t reference = hv_now(d), scale = h->scale;
    if (!s->loading && hyperv_in_engine(d))
        fetch(d, &reference);
    stream_u64(s, &reference);
    stream_u64(s, &scale);
    stream_u64(s, &h->retry_ns);
    stream_u64(s, &h->retry_due);
    stream_u64(s, &h->armed);
    stream_u32(s, &h->sequence);
    for (unsigned cpu = 0; cpu < h->cpus; cpu++) {
        sync_registers(s, &h->reg[cpu]);
        sync_timers(d, s, &h->cpu[cpu]);
    }
    for (unsigned i = 0; i < HV_PORTS; i++)
        sync_port(s, &h->port[i]);
    if (!stream_ok(s) || !ports_good(h))
        return false;
    h->page_stale = s->loading && scale != h->scale && !hyperv_in_engine(d);
    if (s->loading)
        loaded(d, reference);
    return true;
}

static const struct hyperv_ops plug = {
    .msr = hyperv_msr,
    .listens = hyperv_listens,
    .call = hv_call,
    .pages = hyperv_pages,
    .crashed = hyperv_take_crash,
};

const struct device_ops hyperv_ops = {
    .name = "hyperv",
    .state_bytes = sizeof(struct hyperv),
    .version = 1,
    .init = hyperv_init,
    .reset = hyperv_reset,
    .sync = hyperv_sync,
    .hyperv = &plug,
};
