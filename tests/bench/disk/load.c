// SPDX-License-Identifier: GPL-2.0-or-later
/* load.c - the guest's half of the disk benchmark.
 *
 *   load DEVICE SECONDS ROW...
 *
 * A row is KIND-OP[-DEPTH]: seq-read, seq-write (1 MiB each, one after the other), rand-read-16, rand-write-1 (4 KiB at random
 * places, so many at once), flush-write (4 KiB at a random place, then fdatasync).  All go past the guest's page cache
 * (O_DIRECT).  Each row lasts SECONDS by the guest's clock; the host takes the time from the lines
 *
 *   ROW-BEGIN rand-read-16
 *   ROW-END rand-read-16 OPERATIONS BYTES
 *
 * Every block of 4 KiB begins with its own number, and is looked at when it was read: what is fast and wrong does not count. */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, LARGE = 1 << 20, DEPTH_MOST = 64 };

struct row {
    const char *name;
    int write, random, flush, depth;
    size_t bytes; /* of an operation */
};
static uint64_t blocks; /* on the disk */
static uint64_t seed = 88172645463325252ull;

static void fail(const char *what)
{
    printf("ROW-FAIL %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t random_number(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void stamp(char *buffer, uint64_t block, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += BLOCK, block++)
        memcpy(buffer + at, &block, sizeof block);
}

static void check(const char *buffer, uint64_t block, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += BLOCK, block++)
        if (memcmp(buffer + at, &block, sizeof block)) {
            printf("ROW-FAIL block %llu is another one\n", (unsigned long long)block);
            exit(1);
        }
}

/* Where the next operation is, as a block. */
static uint64_t next_place(const struct row *r, uint64_t *at)
{
    uint64_t many = r->bytes / BLOCK, place = r->random ? random_number() % (blocks / many) : *at % (blocks / many);
    ++*at;
    return place * many;
}

/* One at a time, by the plain calls. */
static uint64_t run_plain(int fd, const struct row *r, double end)
{
    char *buffer = aligned_alloc(BLOCK, r->bytes);
    uint64_t at = 0, done = 0;
    memset(buffer, 'd', r->bytes);
    for (; now() < end; done++) {
        uint64_t block = next_place(r, &at);
        if (r->write)
            stamp(buffer, block, r->bytes);
        ssize_t n = r->write ? pwrite(fd, buffer, r->bytes, block * BLOCK) : pread(fd, buffer, r->bytes, block * BLOCK);
        if (n != (ssize_t)r->bytes)
            fail(r->write ? "pwrite" : "pread");
        if (!r->write)
            check(buffer, block, r->bytes);
        if (r->flush && fdatasync(fd))
            fail("fdatasync");
    }
    free(buffer);
    return done;
}

static void start(aio_context_t ctx, int fd, const struct row *r, struct iocb *cb, uint64_t *at)
{
    uint64_t block = next_place(r, at);
    char *buffer = (char *)(uintptr_t)cb->aio_buf;
    if (r->write)
        stamp(buffer, block, r->bytes);
    cb->aio_fildes = fd;
    cb->aio_lio_opcode = r->write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
    cb->aio_nbytes = r->bytes;
    cb->aio_offset = block * BLOCK;
    if (syscall(SYS_io_submit, ctx, 1, &cb) != 1)
        fail("io_submit");
}

/* DEPTH at a time: whichever is done is followed by the next. */
static uint64_t run_deep(int fd, const struct row *r, double end)
{
    static struct iocb cb[DEPTH_MOST];
    aio_context_t ctx = 0;
    uint64_t at = 0, done = 0;
    int under_way = 0;
    if (syscall(SYS_io_setup, DEPTH_MOST, &ctx))
        fail("io_setup");
    for (int i = 0; i < r->depth; i++, under_way++) {
        char *buffer = aligned_alloc(BLOCK, r->bytes);
        memset(buffer, 'd', r->bytes);
        cb[i] = (struct iocb){.aio_data = i, .aio_buf = (uintptr_t)buffer};
        start(ctx, fd, r, &cb[i], &at);
    }
    while (under_way) {
        struct io_event event[DEPTH_MOST];
        int n = syscall(SYS_io_getevents, ctx, 1, DEPTH_MOST, event, NULL);
        int more = now() < end;
        for (int i = 0; i < n; i++) {
            struct iocb *c = &cb[event[i].data];
            if (event[i].res != (int64_t)r->bytes)
                fail("asynchronous operation");
            if (!r->write)
                check((char *)(uintptr_t)c->aio_buf, c->aio_offset / BLOCK, r->bytes);
            done++;
            under_way--;
            if (more) {
                start(ctx, fd, r, c, &at);
                under_way++;
            }
        }
    }
    for (int i = 0; i < r->depth; i++)
        free((char *)(uintptr_t)cb[i].aio_buf);
    syscall(SYS_io_destroy, ctx);
    return done;
}

static struct row parse(const char *name)
{
    struct row r = {.name = name, .depth = 1, .bytes = BLOCK, .write = strstr(name, "write") != NULL};
    const char *number = name + strcspn(name, "0123456789");
    r.flush = !strncmp(name, "flush", 5);
    r.random = r.flush || !strncmp(name, "rand", 4);
    if (!r.random)
        r.bytes = LARGE;
    if (*number)
        r.depth = atoi(number);
    return r;
}

static void run(int fd, double seconds, const char *name)
{
    struct row r = parse(name);
    if (r.depth < 1 || r.depth > DEPTH_MOST)
        exit(2);
    printf("ROW-BEGIN %s\n", name);
    double end = now() + seconds;
    uint64_t done = r.depth > 1 ? run_deep(fd, &r, end) : run_plain(fd, &r, end);
    printf("ROW-END %s %llu %llu\n", name, (unsigned long long)done, (unsigned long long)done * r.bytes);
    if (r.write && fdatasync(fd)) /* the next row finds nothing left to write */
        fail("fdatasync");
}

int main(int argc, char **argv)
{
    uint64_t bytes;
    if (argc < 4)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    int fd = open(argv[1], O_RDWR | O_DIRECT);
    if (fd < 0 || ioctl(fd, BLKGETSIZE64, &bytes))
        fail(argv[1]);
    blocks = bytes / BLOCK;
    for (int i = 3; i < argc; i++)
        run(fd, atof(argv[2]), argv[i]);
    return 0;
}
