// SPDX-License-Identifier: GPL-2.0-or-later
/* no_chips.c - interrupts without any chip in the kernel: the machine's local APICs deliver through the CPU's pins.
 *
 * KVM then knows neither HLT (KVM_EXIT_HLT comes instead) nor waiting for SIPI, INIT or the APIC's page and MSRs; CR8 and
 * IA32_APIC_BASE are passed on at each exit. */
#include "hwaccel/hw.h"
#include <sys/ioctl.h>

#define MSR_APIC_BASE 0x1b
#define RFLAGS_IF     (1u << 9)
#define CR0_KEPT      0x60000000u /* INIT leaves CD and NW */
#define APIC_BASE     (0xfee00000u | 1 << 11)
#define APIC_BASE_BSP (1u << 8)

static bool vm_init(struct hw_vm *vm, GError **error)
{
    return true;
}

static bool vcpu_init(struct hw_vcpu *v, GError **error)
{
    struct kvm_sregs sr;
    v->run_state = v->index == 0 ? X86_RUNNING : X86_WAIT_SIPI;
    v->apic_base_seen = APIC_BASE | (v->index == 0 ? APIC_BASE_BSP : 0);
    if (ioctl(v->fd, KVM_GET_SREGS, &sr) != 0)
        return hw_failed(error, "KVM_GET_SREGS");
    sr.apic_base = v->apic_base_seen;
    return ioctl(v->fd, KVM_SET_SREGS, &sr) == 0 || hw_failed(error, "KVM_SET_SREGS");
}

/* What INIT changes (SDM Vol. 3, "Processor State After Reset", column INIT); the rest stays. */
static void take_init(struct hw_vcpu *v)
{
    g_autofree struct x86_state *s = g_new(struct x86_state, 1), *fresh = g_new(struct x86_state, 1);
    hw_get_state(v, s);
    x86_state_reset(fresh, v->index == 0);
    memcpy(s->gpr, fresh->gpr, sizeof s->gpr);
    memcpy(s->seg, fresh->seg, sizeof s->seg);
    memcpy(s->dr, fresh->dr, sizeof s->dr);
    s->rip = fresh->rip;
    s->rflags = fresh->rflags;
    s->ldtr = fresh->ldtr;
    s->tr = fresh->tr;
    s->gdtr = fresh->gdtr;
    s->idtr = fresh->idtr;
    s->cr0 = (fresh->cr0 & ~(uint64_t)CR0_KEPT) | (s->cr0 & CR0_KEPT);
    s->cr2 = s->cr3 = s->cr4 = s->cr8 = s->efer = 0;
    s->run_state = fresh->run_state;
    s->sti_shadow = s->mov_ss_shadow = s->nmi_pending = s->nmi_blocked = false;
    s->event = fresh->event;
    hw_load_state(v, s);
}

static void take_sipi(struct hw_vcpu *v)
{
    struct kvm_sregs sr;
    struct kvm_regs r;
    uint8_t vector = atomic_load(&v->sipi_vector);
    if (v->run_state != X86_WAIT_SIPI || ioctl(v->fd, KVM_GET_SREGS, &sr) != 0 || ioctl(v->fd, KVM_GET_REGS, &r) != 0)
        return;
    sr.cs.selector = vector << 8;
    sr.cs.base = (uint64_t)vector << 12;
    r.rip = 0;
    if (ioctl(v->fd, KVM_SET_SREGS, &sr) != 0 || ioctl(v->fd, KVM_SET_REGS, &r) != 0)
        hw_refused(v, "start-up vector");
    v->run_state = X86_RUNNING;
}

static void take_wishes(struct hw_vcpu *v)
{
    if (!(atomic_load(&v->wishes) & ~HW_KICK))
        return;
    unsigned wishes = atomic_fetch_and(&v->wishes, HW_KICK);
    if (wishes & HW_INIT)
        take_init(v);
    if (wishes & HW_SIPI)
        take_sipi(v);
    if (wishes & HW_NMI) {
        ioctl(v->fd, KVM_NMI);
        if (v->run_state == X86_HALTED)
            v->run_state = X86_RUNNING;
    }
}

static bool before_run(struct hw_vcpu *v)
{
    take_wishes(v);
    if (v->run_state == X86_WAIT_SIPI)
        return false;
    if (hw_inject_extint(v))
        v->run_state = X86_RUNNING;
    v->cr8_seen = machine_tpr(v->vm->config->machine, v->index);
    v->run->cr8 = v->cr8_seen;
    return v->run_state == X86_RUNNING;
}

static void after_run(struct hw_vcpu *v)
{
    struct machine *m = v->vm->config->machine;
    if (v->run->cr8 != v->cr8_seen)
        machine_set_tpr(m, v->index, v->run->cr8);
    if (v->run->apic_base != v->apic_base_seen) {
        uint64_t value = v->apic_base_seen = v->run->apic_base;
        machine_apic_msr(m, v->index, MSR_APIC_BASE, &value, true);
    }
}

static void signal_pin(struct hw_vcpu *v, enum cpu_signal what, unsigned value)
{
    switch (what) {
    case CPU_SIGNAL_INTR:
        atomic_store(&v->intr, value);
        if (value)
            hw_poke(v);
        break;
    case CPU_SIGNAL_NMI: hw_wish(v, HW_NMI); break;
    case CPU_SIGNAL_INIT: hw_wish(v, HW_INIT); break;
    case CPU_SIGNAL_SIPI:
        atomic_store(&v->sipi_vector, value);
        hw_wish(v, HW_SIPI);
        break;
    }
}

const struct hw_chips hw_chips_none = {
    .vm_init = vm_init,
    .vcpu_init = vcpu_init,
    .before_run = before_run,
    .after_run = after_run,
    .signal = signal_pin,
    .settle = take_wishes,
};
