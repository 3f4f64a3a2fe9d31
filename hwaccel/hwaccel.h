// SPDX-License-Identifier: GPL-2.0-or-later
/* hwaccel.h - the CPU engine on Linux KVM (Documentation/virt/kvm/api.rst in the kernel's source).
 *
 * There are two, both named "kvm": with KVM's "split" interrupt chips the kernel has the local APICs and the machine the
 * 8259A, 8254 and I/O APIC; a kernel without KVM_CAP_SPLIT_IRQCHIP (before 4.5) leaves all of them to the machine.
 * kvm_engine_for_host() says which one suits this kernel; if there is no usable /dev/kvm, it returns kvm_engine, whose
 * probe() and vm_new() then tell why. */
#pragma once
#include "core-vmm/api/cpu.h"

extern const struct cpu_engine kvm_engine;          /* split interrupt chips: msi is set */
extern const struct cpu_engine kvm_engine_no_chips; /* none in the kernel: msi is NULL */
const struct cpu_engine *kvm_engine_for_host(void);
