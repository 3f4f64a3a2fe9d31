// SPDX-License-Identifier: GPL-2.0-or-later
/* whole.h - translated blocks as tier 1 would run them, so that lockstep runs them at tier 1's speed. */
#pragma once
#include "patcher/translate/translate.h"

struct whole;
struct whole *whole_new(void); /* NULL: no memory */
void whole_free(struct whole *w);
size_t whole_memory(void); /* bytes of one, at most */
void whole_forget(struct whole *w);
/* Tier 1 runs instruction *number and those behind it, up to `to` (not run; past the end: the whole rest), to the first that
 * has no translation, or to the block's end.  Returns trans_stay(c) and in *number where it stopped, or, at the end, the block
 * to go on with or NULL: whole_next(), if it goes on. */
struct block *whole_run(struct vcpu *c, struct whole *w, const struct translated_block *tb, unsigned *number,
                        unsigned to);
struct block *whole_next(struct vcpu *c, struct whole *w); /* the one at vcpu.rip, and found at once the next time */
