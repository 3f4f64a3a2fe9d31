// SPDX-License-Identifier: GPL-2.0-or-later
/* hyperv.c - Hyper-V's interface to guests, which KVM has in the kernel (api.rst, KVM_CAP_HYPERV_*; the rest is in
 * devices/hyperv).  It begins with CPUID leaf 40000001h; here are the switches, the registers for saved states, and the exits.
 *
 * KVM_CAP_HYPERV_SYNIC, not _SYNIC2: the pages of messages and events then begin with zeroes when the guest places them, as those of
 * the software engines do.
 *
 * Reference time is KVM's clock.  That runs while the machine stands, so it is set back before the guest goes on: by what the
 * machine's offset of the TSC says, or to what a loaded state has. */
#include "hwaccel/hw.h"
#include <string.h>
#include <sys/ioctl.h>
#include <x86intrin.h>

enum {
    GUEST_OS_ID = 0x40000000,
    HYPERCALL = 0x40000001,
    VP_RUNTIME = 0x40000010,
    TIME_REF_COUNT = 0x40000020,
    REFERENCE_TSC = 0x40000021,
    VP_ASSIST = 0x40000073,
    SCONTROL = 0x40000080,
    SIEFP = 0x40000082,
    SIMP = 0x40000083,
    SINT0 = 0x40000090,
    TIMER0 = 0x400000b0,
    CRASH = 0x40000100,
    CRASH_CONTROL = 0x40000105,
};
enum { SINTS = 16, TIMERS = 4, WORDS = 5, FIRST_GSI = 256, MOST = 48 };

/* ---- switches ---- */

static bool offers_all(struct hw_vcpu *v)
{
    struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 entry[32];
    } l = {.head.nent = 32};
    if (ioctl(v->fd, KVM_GET_SUPPORTED_HV_CPUID, &l) != 0)
        return false;
    bool all = true;
    for (unsigned i = 0; i < l.head.nent; i++) {
        uint32_t want[4];
        const struct kvm_cpuid_entry2 *e = &l.entry[i];
        if (e->function != 0x40000003 && e->function != 0x40000004)
            continue;
        hw_cpuid(v, e->function, 0, want);
        all &= !(want[0] & ~e->eax) && (e->function != 0x40000003 || !(want[3] & ~e->edx));
    }
    return all;
}

bool hw_hyperv_init(struct hw_vcpu *v, GError **error)
{
    struct kvm_enable_cap synic = {.cap = KVM_CAP_HYPERV_SYNIC};
    struct kvm_enable_cap enforce = {.cap = KVM_CAP_HYPERV_ENFORCE_CPUID, .args = {1}};
    if (!v->vm->config->hyperv)
        return true;
    if (!v->vm->chips->in_kernel || !offers_all(v) || ioctl(v->fd, KVM_ENABLE_CAP, &synic) != 0) {
        g_set_error(
            error, G_FILE_ERROR, G_FILE_ERROR_NOSYS,
            "This kernel's KVM has not all of Hyper-V's interface; take Linux 5.2 or later with CONFIG_KVM_HYPERV, "
            "another engine, or [additions] identity = kvm");
        return false;
    }
    ioctl(v->fd, KVM_ENABLE_CAP, &enforce); /* Linux 5.14: what CPUID does not offer is not there either */
    return true;
}

/* ---- time ---- */

static void set_clock(struct hw_vm *vm, uint64_t ns)
{
    struct kvm_clock_data c = {.clock = ns};
    if (ioctl(vm->fd, KVM_SET_CLOCK, &c) != 0)
        g_warning("KVM refused to set its clock: %s", g_strerror(errno));
}

void hw_hyperv_follow(struct hw_vcpu *v)
{
    struct hw_vm *vm = v->vm;
    struct kvm_clock_data c = {0};
    if (!vm->config->hyperv || !vm->config->tsc_offset)
        return;
    pthread_mutex_lock(&vm->hyperv.lock);
    int64_t now = atomic_load(vm->config->tsc_offset), stood = vm->hyperv.offset_seen - now; /* ticks */
    if (vm->hyperv.loaded) {
        set_clock(vm, vm->hyperv.reference * 100);
    } else if (stood > 0 && ioctl(vm->fd, KVM_GET_CLOCK, &c) == 0) {
        uint64_t ns = (unsigned __int128)stood * 1000000 / MAX(vm->config->tsc_khz, 1);
        set_clock(vm, c.clock - MIN(ns, c.clock));
    }
    vm->hyperv.loaded = false;
    vm->hyperv.offset_seen = now;
    pthread_mutex_unlock(&vm->hyperv.lock);
}

/* ---- registers ---- */

struct one {
    uint32_t index;
    uint64_t *value;
};

/* In the order in which they are set: the guest's name comes before the page for hypercalls. */
static unsigned list(struct hw_vcpu *v, struct cpu_hyperv *r, struct one out[MOST])
{
    unsigned n = 0;
    if (v->index == 0) {
        out[n++] = (struct one){GUEST_OS_ID, &r->guest_os_id};
        out[n++] = (struct one){HYPERCALL, &r->hypercall};
        out[n++] = (struct one){REFERENCE_TSC, &r->reference_tsc};
        for (unsigned i = 0; i < WORDS; i++)
            out[n++] = (struct one){CRASH + i, &r->crash[i]};
    }
    out[n++] = (struct one){VP_ASSIST, &r->vp_assist};
    out[n++] = (struct one){VP_RUNTIME, &r->vp_runtime};
    out[n++] = (struct one){SCONTROL, &r->scontrol};
    out[n++] = (struct one){SIEFP, &r->siefp};
    out[n++] = (struct one){SIMP, &r->simp};
    for (unsigned i = 0; i < SINTS; i++)
        out[n++] = (struct one){SINT0 + i, &r->sint[i]};
    for (unsigned i = 0; i < TIMERS; i++) {
        out[n++] = (struct one){TIMER0 + 2 * i, &r->timer[i].config};
        out[n++] = (struct one){TIMER0 + 2 * i + 1, &r->timer[i].count};
    }
    g_assert(n <= MOST);
    return n;
}

void hw_get_hyperv(void *vcpu, struct cpu_hyperv *out, uint64_t *reference, uint64_t *tsc)
{
    struct hw_vcpu *v = vcpu;
    struct one all[MOST];
    memset(out, 0, sizeof *out);
    unsigned n = list(v, out, all);
    for (unsigned i = 0; i < n; i++)
        if (!hw_read_msr(v, all[i].index, all[i].value))
            hw_refused(v, "registers of Hyper-V's interface (KVM_GET_MSRS)");
    *reference = 0;
    hw_read_msr(v, TIME_REF_COUNT, reference);
    *tsc = __rdtsc() + (v->vm->config->tsc_offset ? atomic_load(v->vm->config->tsc_offset) : 0);
}

void hw_set_hyperv(void *vcpu, const struct cpu_hyperv *in, uint64_t reference)
{
    const uint64_t notify = UINT64_C(1) << 63;
    struct hw_vcpu *v = vcpu;
    struct cpu_hyperv copy = *in;
    struct one all[MOST];
    unsigned n = list(v, &copy, all);
    for (unsigned i = 0; i < n; i++)
        if (!hw_write_msr(v, all[i].index, *all[i].value))
            hw_refused(v, "registers of Hyper-V's interface (KVM_SET_MSRS)");
    if (v->index == 0)
        hw_write_msr(v, CRASH_CONTROL, notify); /* what the guest reads there: crashes are heard of */
    pthread_mutex_lock(&v->vm->hyperv.lock);
    v->vm->hyperv.loaded = true;
    v->vm->hyperv.reference = reference;
    pthread_mutex_unlock(&v->vm->hyperv.lock);
}

/* ---- interrupts ---- */

unsigned hw_hyperv_routes(struct hw_vm *vm, struct kvm_irq_routing_entry *out)
{
    unsigned n = 0;
    for (unsigned i = 0; i < SINTS * vm->config->cpus; i++)
        if (vm->hyperv.routed[i / SINTS] >> i % SINTS & 1)
            out[n++] = (struct kvm_irq_routing_entry){.gsi = FIRST_GSI + i,
                                                      .type = KVM_IRQ_ROUTING_HV_SINT,
                                                      .u.hv_sint = {.vcpu = i / SINTS, .sint = i % SINTS}};
    return n;
}

void hw_hyperv_sint(void *evm, unsigned cpu, unsigned sint)
{
    struct hw_vm *vm = evm;
    struct kvm_irq_level raise = {.irq = FIRST_GSI + cpu * SINTS + sint, .level = 1};
    if (cpu >= vm->config->cpus || cpu >= G_N_ELEMENTS(vm->hyperv.routed) || sint >= SINTS)
        return;
    hw_route_sint(vm, cpu, sint);
    ioctl(vm->fd, KVM_IRQ_LINE, &raise); /* a SINT that is masked takes none */
}

/* ---- exits ---- */

void hw_hyperv_exit(struct hw_vcpu *v)
{
    struct kvm_hyperv_exit *e = &v->run->hyperv;
    struct machine *m = v->vm->config->machine;
    if (e->type == KVM_EXIT_HYPERV_SYNIC)
        machine_hyperv_pages(m, v->index, e->u.synic.control, e->u.synic.msg_page, e->u.synic.evt_page);
    else if (e->type == KVM_EXIT_HYPERV_HCALL)
        e->u.hcall.result =
            machine_hyperv_call(m, v->index, e->u.hcall.input, e->u.hcall.params[0], e->u.hcall.params[1]);
}

void hw_hyperv_crash(struct hw_vcpu *v)
{
    uint64_t words[WORDS] = {0}, control = UINT64_C(1) << 63;
    for (unsigned i = 0; i < WORDS; i++)
        hw_read_msr(v, CRASH + i, &words[i]);
    machine_hyperv_crashed(v->vm->config->machine, words, control);
}
