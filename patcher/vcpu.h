// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu.h - a vCPU's life, for engine.c. */
#pragma once
#include "patcher/vm.h"

struct vcpu *vcpu_new(struct soft_vm *vm, unsigned index); /* in the reset state */
void vcpu_free(struct vcpu *c);
void vcpu_get_state(struct vcpu *c, struct x86_state *s);
void vcpu_set_state(struct vcpu *c, const struct x86_state *s);
void vcpu_signal(struct vcpu *c, enum cpu_signal what, unsigned value); /* any thread */
