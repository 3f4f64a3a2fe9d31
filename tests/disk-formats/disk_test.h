// SPDX-License-Identifier: GPL-2.0-or-later
/* disk_test.h - what the disk tests share: seeded randomness, a scratch folder, qemu-img as oracle, files in memory. */
#pragma once
#include "disk-formats/image/image.h"

/* ---- randomness: xorshift, so that a seed means the same everywhere ---- */
struct rng {
    uint64_t state;
};
struct rng rng_new(uint64_t seed);
uint64_t rng_next(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t n);
uint64_t test_seed(void); /* TEST_SEED in the environment, else 1; printed */

/* ---- files ---- */
char *scratch_new(void); /* a folder; g_free; scratch_remove takes it and all in it away */
void scratch_remove(char *folder);
bool have_program(const char *name);
/* Runs it; on a failure that was not expected, prints its output and fails the test. */
bool run(const char *const *argv, bool must_work, char **output);
#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL}, true, NULL)

/* ---- an image that must open ---- */
struct image *open_image(const char *path, const char *format, bool write);

/* ---- a file in memory, which can record what is done to it ---- */
struct record {
    enum { RECORD_WRITE, RECORD_TRUNCATE, RECORD_SYNC, RECORD_ZERO } kind;
    uint64_t offset, bytes;
    uint8_t *data;
};
#define MEMORY_FILE_MAX (64u << 20)
struct memory_file {
    uint8_t *data; /* MEMORY_FILE_MAX bytes of address space */
    uint64_t bytes;
    GArray *records;     /* NULL: not recording */
    uint64_t fail_after; /* this many writes work, then -ENOSPC; UINT64_MAX: never */
    int fail_with;
    GMutex lock;
};
struct blk_file *memory_file_new(const void *data, uint64_t bytes);
/* The same without a copy: data from memory_file_map, which shows the start of a file (fd < 0: zeroes) until written to.
 * data + bytes and what follows must be zeroes. */
uint8_t *memory_file_map(int fd, uint64_t bytes);
struct blk_file *memory_file_take(uint8_t *data, uint64_t bytes);
void memory_file_record(struct blk_file *f); /* from now on */
struct memory_file *memory_file_of(struct blk_file *f);
