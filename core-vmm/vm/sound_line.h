// SPDX-License-Identifier: GPL-2.0-or-later
/* sound_line.h - the VM process' half of its sound: streams go to the sound process, and come from there. */
#pragma once
#include "core-vmm/machine/machine.h"
#include "core-vmm/outer/outer.h"

struct sound_line;
struct sound_line *sound_line_new(struct machine *m, struct outer *o, unsigned end); /* end: its number on the line */
void sound_line_free(struct sound_line *l); /* before the machine; NULL is fine */
