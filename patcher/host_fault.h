// SPDX-License-Identifier: GPL-2.0-or-later
/* host_fault.h - exceptions that the host's CPU raises in code made from the guest's: signals to this process. */
#pragma once
#include <glib.h>
#include <stdbool.h>

struct vcpu;

void host_fault_init(void); /* before the first vCPU is made; again: nothing */
/* Around all that runs c on this thread.  false: the thread cannot have a signal stack. */
bool host_fault_begin(struct vcpu *c, GError **error);
void host_fault_end(void);
