// SPDX-License-Identifier: GPL-2.0-or-later
// The benchmark program's workloads, by theme one file each, and what they share.
//
// A workload does its work in passes.  run(n) does n of them and returns a checksum that depends on all that they computed;
// where the work is deterministic, the first run after prepare() gives the same sum on every machine.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sums {
    SUM_SAME,  // the same on every machine and at both widths
    SUM_WIDTH, // the same on every machine of one width
    SUM_NONE,  // there is nothing to compare
};

struct workload {
    const char *name; // group_name; the groups are those of the table that tests/bench/run prints
    const char *unit; // of the rate
    double units;     // of work in one pass
    uint64_t first;   // passes that the checksum is over: some milliseconds on a host
    enum sums sums;   // what the checksum may be compared with
    uint64_t (*run)(uint64_t passes);
    void (*prepare)(void);     // NULL: nothing to prepare
    const char *(*lack)(void); // NULL, or what this machine lacks for the workload; NULL if nothing
};

// Each list ends with an entry without a name.
extern const struct workload integer_workloads[], float_workloads[], memory_workloads[], code_workloads[],
    system_workloads[];

#define KB   (1u << 10)
#define MB   (1u << 20)
#define PAGE 4096u

// Pages of zeros with these PROT_ bits, in small pages; ends the process if there are none.
void *pages(size_t size, int protection);

// Two buffers of this size, filled with a fixed pattern.
struct buffers {
    uint8_t *from, *to;
};
struct buffers two_buffers(size_t size);

// FNV-1a.
uint64_t hash(const void *data, size_t size);

// The next number of a fixed sequence (xorshift32).
uint32_t next_random(void);

// A random order of 0 ... count - 1.
uint32_t *random_order(uint32_t count);

// Ends the process with a line that says what did not work.
void give_up(const char *what) __attribute__((noreturn));

// Is this the first process of a guest?
bool in_guest(void);

// The compiler knows nothing of a value that went through here.
static inline uint32_t opaque(uint32_t x)
{
    __asm__ volatile("" : "+r"(x));
    return x;
}

// What memory holds counts as used, and as changed.
static inline void memory_is_used(void)
{
    __asm__ volatile("" ::: "memory");
}
