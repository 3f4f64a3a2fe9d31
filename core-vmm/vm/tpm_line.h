// SPDX-License-Identifier: GPL-2.0-or-later
/* tpm_line.h - the VM process' half of its TPM: what the guest says goes to swtpm. */
#pragma once
#include "core-vmm/machine/machine.h"
#include "core-vmm/outer/outer.h"

struct tpm_line;
struct tpm_line *tpm_line_new(struct machine *m, struct outer *o, unsigned end); /* end: its number on the line */
void tpm_line_free(struct tpm_line *l);                                          /* before the machine; NULL is fine */
