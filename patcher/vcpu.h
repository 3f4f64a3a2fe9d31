// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu.h - a vCPU's life, for engine.c. */
#pragma once
#include "patcher/vm.h"

/* In the reset state; NULL: no memory. */
struct vcpu *vcpu_new(struct soft_vm *vm, unsigned index, GError **error);
void vcpu_free(struct vcpu *c);
void vcpu_get_state(struct vcpu *c, struct x86_state *s);
void vcpu_set_state(struct vcpu *c, const struct x86_state *s);
void vcpu_signal(struct vcpu *c, enum cpu_signal what, unsigned value); /* any thread */
