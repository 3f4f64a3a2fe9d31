// SPDX-License-Identifier: GPL-2.0-or-later
/* The bench as the machine that a display belongs to. */
#include "tests/devices/bench_inside.h"
#include "core-vmm/machine/display.h"

void machine_note_display(struct machine *m, struct display *p, bool there)
{
    ((struct bench *)m)->display = there ? p : NULL;
}

struct display *bench_display(struct bench *b)
{
    return b->display;
}
