// SPDX-License-Identifier: GPL-2.0-or-later
/* outer_echo.c - an end that sends frames back, in a fence; a frame "internet" is answered by what came of trying. */
#include "core-vmm/fence/fence.h"
#include "core-vmm/outer/outer.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
    static char frame[70000];
    ssize_t n;
    if (!fence_files_close(fence_files_new(), NULL) || !fence_calls_close(FENCE_LOOK, NULL) || !fence_holds(NULL))
        return 3;
    while ((n = read(OUTER_SOCKET, frame, sizeof frame)) > 0) {
        if (n == 8 && !memcmp(frame, "internet", 8))
            n = g_snprintf(frame, sizeof frame, "%s", socket(AF_INET, SOCK_DGRAM, 0) < 0 ? g_strerror(errno) : "open");
        if (write(OUTER_SOCKET, frame, n) != n)
            return 4;
    }
    return 0;
}
