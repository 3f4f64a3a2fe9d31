// SPDX-License-Identifier: GPL-2.0-or-later
/* lockstep.h - tier 2 checked against tier 1 while a guest runs (engine option "lockstep", one vCPU). */
#pragma once
#include "patcher/translate/translate.h"

struct lockstep;
struct lockstep *lockstep_new(void); /* NULL: no memory */
void lockstep_free(struct lockstep *l);
size_t lockstep_memory(void); /* bytes of one */
/* Translated code is about to run from instruction `number` of the block, whose first IP is ip. */
void lockstep_begin(struct vcpu *c, const struct translated_block *tb, unsigned number, uint64_t ip);
/* It has come back to C at ip, before that instruction; flags: FLAG_*, those that must be right there.  Goes on with what
 * tier 1 makes of it, or does not return if there is a difference: run() fails. */
void lockstep_end(struct vcpu *c, uint64_t ip, uint8_t flags);
void lockstep_give_up(struct vcpu *c); /* no comparison this time */
void lockstep_writable(struct vcpu *c, unsigned view, unsigned slot, uint64_t page,
                       int access);          /* a write tag was set */
bool lockstep_crowded(const struct vcpu *c); /* the next stretch should begin with a block, where pages can go */
void lockstep_dma(struct soft_vm *vm);       /* any thread */
void lockstep_code_gone(struct vcpu *c);     /* what was decoded is dropped */
