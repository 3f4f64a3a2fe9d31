// SPDX-License-Identifier: GPL-2.0-or-later
/* progress.c - the bar (../progress.c) for work on an image. */
#include "core-vmm/vmctl/disk/disk.h"

void disk_progress_start(struct disk_progress *p, const char *what, bool quiet)
{
    *p = (struct disk_progress){.job = {.progress = progress_show, .ctx = &p->bar}};
    progress_start(&p->bar, what, quiet, &p->job.cancel);
}

void disk_progress_end(struct disk_progress *p)
{
    progress_end(&p->bar);
}
