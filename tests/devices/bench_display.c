// SPDX-License-Identifier: GPL-2.0-or-later
/* The bench as the machine that a display belongs to. */
#include "bench_inside.h"
#include "../../core-vmm/display.h"

void machine_set_display(struct machine *m, struct display *p)
{
    ((struct bench *)m)->display = p;
}

struct display *bench_display(struct bench *b)
{
    return b->display;
}
