// SPDX-License-Identifier: GPL-2.0-or-later
/* tsc.c - the guest's time stamp counter.
 *
 * guest TSC = host TSC + the machine's offset (cpu_vm.tsc_offset) + the vCPU's own part, which is what the guest's WRMSR
 * added: by the SDM just IA32_TSC_ADJUST.  The hardware adds one number, KVM's per-vCPU offset, which we set and read by
 * the vCPU attribute KVM_VCPU_TSC_OFFSET (Linux 5.16); older kernels take a value of IA32_TSC instead, exact to the few
 * hundred cycles that the call takes.  x86_state.tsc tells the value but does not set it: the machine's clock says what
 * time it is. */
#include "hwaccel/hw.h"
#include <sys/ioctl.h>
#include <x86intrin.h>

#define MSR_TSC 0x10

static struct kvm_device_attr attribute(uint64_t *offset)
{
    return (struct kvm_device_attr){.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)offset};
}

static uint64_t kvm_offset(struct hw_vcpu *v)
{
    uint64_t offset = 0, tsc;
    struct kvm_device_attr a = attribute(&offset);
    if (ioctl(v->fd, KVM_GET_DEVICE_ATTR, &a) == 0)
        return offset;
    return hw_read_msr(v, MSR_TSC, &tsc) ? tsc - __rdtsc() : 0;
}

static bool set_kvm_offset(struct hw_vcpu *v, uint64_t offset)
{
    struct kvm_device_attr a = attribute(&offset);
    return ioctl(v->fd, KVM_SET_DEVICE_ATTR, &a) == 0 || hw_write_msr(v, MSR_TSC, __rdtsc() + offset);
}

static int64_t machine_offset(struct hw_vcpu *v)
{
    return v->vm->config->tsc_offset ? atomic_load(v->vm->config->tsc_offset) : 0;
}

/* A deadline in the kernel's local APIC was turned into host time when it was written: write it again. */
static void rearm_deadline(struct hw_vcpu *v)
{
    static const uint32_t tsc_deadline = 0x6e0;
    uint64_t deadline;
    if (v->vm->chips->in_kernel && hw_read_msr(v, tsc_deadline, &deadline) && deadline)
        hw_write_msr(v, tsc_deadline, deadline);
}

bool hw_tsc_init(struct hw_vcpu *v, GError **error)
{
    v->tsc_offset_seen = machine_offset(v);
    return set_kvm_offset(v, v->tsc_offset_seen) || hw_failed(error, "the time stamp counter cannot be set");
}

void hw_tsc_follow(struct hw_vcpu *v)
{
    int64_t now = machine_offset(v);
    if (now == v->tsc_offset_seen)
        return;
    set_kvm_offset(v, kvm_offset(v) + (now - v->tsc_offset_seen));
    v->tsc_offset_seen = now;
    rearm_deadline(v);
}

uint64_t hw_tsc_now(struct hw_vcpu *v)
{
    return __rdtsc() + kvm_offset(v);
}

void hw_tsc_set(struct hw_vcpu *v, uint64_t own)
{
    if (!set_kvm_offset(v, v->tsc_offset_seen + own))
        hw_refused(v, "time stamp counter");
}
