// SPDX-License-Identifier: GPL-2.0-or-later
/* unstarted.c - machine_start() without its threads. */
#include "tests/core-vmm/unstarted.h"

struct machine *machine_unstarted(GKeyFile *file)
{
    g_autoptr(GError) error = NULL;
    struct machine *m = machine_new(file, "machine.ini", "/", NULL, &error);
    g_assert_no_error(error);
    m->state = MACHINE_RUNNING;
    clock_go(m->clock);
    return m;
}
