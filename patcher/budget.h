// SPDX-License-Identifier: GPL-2.0-or-later
/* budget.h - how much of the host's memory the engine may take for itself. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct vcpu;
struct soft_vm;
struct cpu_memory;

/* Caches of each vCPU, in bytes.  What is full is emptied. */
struct budget {
    size_t decoded,         /* instructions */
        kept,               /* what is left of those that were translated */
        code,               /* made by the translator */
        notes;              /* what it knows of that code */
    unsigned watched_pages; /* of the VM: pages of the guest that have code whose writes are watched for */
};
struct budget budget_for(unsigned cpus);
void budget_report(struct soft_vm *vm, struct cpu_memory *out); /* any thread */

/* Each adds its own. */
void budget_add(struct cpu_memory *m, uint64_t used, uint64_t limit);
void code_memory(const struct vcpu *c, struct cpu_memory *m);
void replay_memory(const struct vcpu *c, struct cpu_memory *m);
void trans_memory(const struct vcpu *c, struct cpu_memory *m);

/* Says with errno's reason that there is none for what ("decoded code").  Returns false. */
bool budget_no_memory(const char *what, uint64_t bytes, GError **error);
