// SPDX-License-Identifier: GPL-2.0-or-later
/* The first process of a guest that is busy: `fill=MIB` of its memory have something in them, `hot=MIB` of that are written anew all the
 * time, page after page, and every 2 ms it sends a byte to the first serial port: '.', or 'X' if a page was not as it was left.
 * What is in a page depends on how often it was written, so a page of another moment shows. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

enum { PAGE_WORDS = 4096 / 8, COM1 = 0x3f8, TICK_NS = 2000000 };

static unsigned long option(const char *line, const char *name)
{
    const char *at = strstr(line, name);
    return at ? strtoul(at + strlen(name), NULL, 10) : 0;
}

/* Half of it is noise, half small numbers: memory can be packed, but not to nothing. */
static void write_page(uint64_t *page, uint64_t number, uint64_t round)
{
    uint64_t x = number * 0x9e3779b97f4a7c15 + round + 1;
    page[0] = round;
    for (unsigned i = 1; i < PAGE_WORDS; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        page[i] = i % 2 ? x : i * number;
    }
    page[PAGE_WORDS - 1] = round;
}

static int is_whole(const uint64_t *page, uint64_t round)
{
    return page[0] == round && page[PAGE_WORDS - 1] == round;
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

int main(void)
{
    char line[4096] = "";
    mount("proc", "/proc", "proc", 0, NULL);
    int fd = open("/proc/cmdline", O_RDONLY);
    if (fd < 0 || read(fd, line, sizeof line - 1) < 0 || iopl(3))
        return 1;
    uint64_t fill = option(line, "fill=") * 256, hot = option(line, "hot=") * 256;
    uint64_t *m = mmap(NULL, fill * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (uint64_t i = 0; i < fill; i++)
        write_page(m + i * PAGE_WORDS, i, 0);
    outb('B', COM1);
    int64_t next = now();
    char said = '.';
    for (uint64_t round = 1;; round++)
        for (uint64_t i = 0; i < hot; i++) {
            if (!is_whole(m + i * PAGE_WORDS, round - 1))
                said = 'X';
            write_page(m + i * PAGE_WORDS, i, round);
            if (now() < next)
                continue;
            outb(said, COM1);
            next = now() + TICK_NS;
        }
}
