// SPDX-License-Identifier: GPL-2.0-or-later
/* exit.c - what to do when KVM_RUN returns with an exit reason (api.rst, "The kvm_run structure"). */
#include "hwaccel/hw.h"
#include <string.h>

static void port_io(struct hw_vcpu *v)
{
    struct machine *m = v->vm->config->machine;
    const struct kvm_run *run = v->run;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;
    unsigned size = run->io.size;
    bool in = run->io.direction == KVM_EXIT_IO_IN;
    if (run->io.count > 1 && size == 1 && machine_string(m, v->index, run->io.port, in, data, run->io.count))
        return;
    for (uint32_t i = 0; i < run->io.count; i++, data += size) {
        uint64_t value = 0;
        if (in) {
            value = machine_in(m, v->index, run->io.port, size);
            memcpy(data, &value, size);
        } else {
            memcpy(&value, data, size);
            machine_out(m, v->index, run->io.port, size, value);
        }
    }
}

/* An access that crosses a page may come in pieces of 3, 5, 6 or 7 bytes, which the bus does not know. */
static unsigned piece(unsigned left)
{
    return left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

static void mmio(struct hw_vcpu *v)
{
    struct machine *m = v->vm->config->machine;
    struct kvm_run *run = v->run;
    unsigned bytes = MIN(run->mmio.len, sizeof run->mmio.data), size;
    for (unsigned at = 0; at < bytes; at += size) {
        uint64_t value = 0;
        size = piece(bytes - at);
        if (run->mmio.is_write) {
            memcpy(&value, run->mmio.data + at, size);
            machine_store(m, v->index, run->mmio.phys_addr + at, size, value);
        } else {
            value = machine_load(m, v->index, run->mmio.phys_addr + at, size);
            memcpy(run->mmio.data + at, &value, size);
        }
    }
}

/* KVM knows no such MSR.  What Windows touches at boot without asking reads 0, and takes no value: platform, features and power
 * of Intel's CPUs, machine checks, configuration of AMD's; the rest is #GP. */
static void unknown_msr(struct hw_vcpu *v)
{
    static const uint32_t quiet[] = {0x17,  0x3a,  0x79,  0x8b,       0xce,       0x179,      0x17a,
                                     0x198, 0x19c, 0x1d9, 0xc0010010, 0xc0010015, 0xc001001f, 0xc0010055};
    struct kvm_run *run = v->run;
    run->msr.error = 1;
    run->msr.data = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(quiet); i++)
        if (quiet[i] == run->msr.index)
            run->msr.error = 0;
    if (run->msr.error)
        machine_msr_unknown(v->vm->config->machine, run->msr.index, run->exit_reason == KVM_EXIT_X86_WRMSR);
}

static enum hw_next system_event(struct hw_vcpu *v)
{
    if (v->run->system_event.type != KVM_SYSTEM_EVENT_CRASH)
        return HW_SHUTDOWN;
    hw_hyperv_crash(v);
    return HW_GO_ON;
}

enum hw_next hw_handle_exit(struct hw_vcpu *v)
{
    switch (v->run->exit_reason) {
    case KVM_EXIT_IO: port_io(v); return HW_GO_ON;
    case KVM_EXIT_MMIO: mmio(v); return HW_GO_ON;
    case KVM_EXIT_IOAPIC_EOI: machine_eoi(v->vm->config->machine, v->run->eoi.vector); return HW_GO_ON;
    case KVM_EXIT_HLT: v->run_state = X86_HALTED; return HW_GO_ON; /* before_run() looks what could end it */
    case KVM_EXIT_IRQ_WINDOW_OPEN:
    case KVM_EXIT_SET_TPR:
    case KVM_EXIT_INTR: return HW_GO_ON;
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR: unknown_msr(v); return HW_GO_ON;
    case KVM_EXIT_HYPERV: hw_hyperv_exit(v); return HW_GO_ON;
    case KVM_EXIT_SYSTEM_EVENT: return system_event(v);
    case KVM_EXIT_SHUTDOWN: return HW_SHUTDOWN;
    default: return HW_CANNOT;
    }
}
