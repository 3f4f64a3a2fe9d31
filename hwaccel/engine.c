// SPDX-License-Identifier: GPL-2.0-or-later
/* engine.c - the two tables that the machine sees. */
#include "hwaccel/hw.h"

static void touched(void *evm, uint64_t offset, uint64_t bytes)
{
    /* The CPU itself sees every write to memory: there is no code made from it that could be stale. */
}

static const struct hyperv_engine hyperv = {.get = hw_get_hyperv, .set = hw_set_hyperv, .sint = hw_hyperv_sint};

const struct cpu_engine kvm_engine = {
    .name = "kvm",
    .probe = hw_probe,
    .vm_new = hw_vm_new_split,
    .vm_free = hw_vm_free,
    .map = hw_map,
    .touched = touched,
    .dirty = hw_dirty,
    .vcpu_new = hw_vcpu_new,
    .run = hw_run,
    .kick = hw_kick,
    .signal = hw_signal,
    .get_state = hw_get_state,
    .set_state = hw_set_state,
    .cpuid = hw_cpuid,
    .registers = hw_registers,
    .msi = hw_msi,
    .get_lapic = hw_get_lapic,
    .set_lapic = hw_set_lapic,
    .hyperv = &hyperv,
};

const struct cpu_engine kvm_engine_no_chips = {
    .name = "kvm",
    .probe = hw_probe,
    .vm_new = hw_vm_new_no_chips,
    .vm_free = hw_vm_free,
    .map = hw_map,
    .touched = touched,
    .dirty = hw_dirty,
    .vcpu_new = hw_vcpu_new,
    .run = hw_run,
    .kick = hw_kick,
    .signal = hw_signal,
    .get_state = hw_get_state,
    .set_state = hw_set_state,
    .cpuid = hw_cpuid,
    .registers = hw_registers,
};
