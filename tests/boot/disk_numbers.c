// SPDX-License-Identifier: GPL-2.0-or-later
/* disk_numbers.c - what live.py's guest does by its shell, faster:  disk-numbers DISK BLOCKS STEP SAY
 *
 * Writes 1, 2, 3 ... each to a block of 4 KiB, N to N * STEP % BLOCKS, and to block BLOCKS as the last one, past the
 * guest's cache and flushed behind each; reads an older one back; and says every so-manieth. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 4096, OLDER = 97, PAUSE_US = 3000 };

static char block[BLOCK] __attribute__((aligned(BLOCK)));

static unsigned get(int fd, unsigned at)
{
    if (pread(fd, block, BLOCK, (off_t)at * BLOCK) != BLOCK)
        printf("error: read: %s\n", strerror(errno));
    return strtoul(block, NULL, 10);
}

static void put(int fd, unsigned at, unsigned n)
{
    memset(block, 0, BLOCK);
    snprintf(block, BLOCK, "%u\n", n);
    if (pwrite(fd, block, BLOCK, (off_t)at * BLOCK) != BLOCK || fdatasync(fd))
        printf("error: write: %s\n", strerror(errno));
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    unsigned blocks = atoi(argv[2]), step = atoi(argv[3]), say = atoi(argv[4]);
    int fd = open(argv[1], O_RDWR | O_DIRECT);
    setvbuf(stdout, NULL, _IOLBF, 0);
    unsigned n = get(fd, blocks);
    for (printf("@BEGIN %u\n", n);;) {
        n++;
        put(fd, (unsigned long long)n * step % blocks, n);
        put(fd, blocks, n);
        unsigned k = n * 7 % OLDER, older = k < n ? n - k : n, has = get(fd, (unsigned long long)older * step % blocks);
        if (has != older)
            printf("@W %u has %u for %u\n", n, has, older);
        else if (n % say == 0)
            printf("@W %u same\n", n);
        usleep(PAUSE_US);
    }
}
