// SPDX-License-Identifier: GPL-2.0-or-later
/* stdio_guard.c - see stdio_guard.h. */
#include "core-vmm/host/stdio_guard.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

void stdio_guard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            abort(); /* the lowest free number is what open() gives */
}
