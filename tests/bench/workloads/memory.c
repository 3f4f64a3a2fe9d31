// SPDX-License-Identifier: GPL-2.0-or-later
// Address translation: long copies, pointers that lead through more and more memory, one access to each page; and locks.
#include "bench.h"
#include <string.h>
#include <sys/mman.h>

// ---- Copies of 8 MiB.
#define COPY (8 * MB)

static struct buffers copy;

static void prepare_copy(void)
{
    copy = two_buffers(COPY);
}

// A word of each page: enough to see that it was copied.
static uint64_t sum_of_copy(void)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < COPY; i += PAGE) {
        uint32_t word;
        memcpy(&word, copy.to + i + i / PAGE % 1000 * 4, 4);
        sum = sum * 5 + word;
    }
    return sum;
}

static uint64_t run_copy_rep(uint64_t passes)
{
    while (passes--) {
        void *to = copy.to;
        const void *from = copy.from;
        size_t words = COPY / sizeof(long);
#ifdef __x86_64__
        __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words)::"memory");
#else
        __asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(words)::"memory");
#endif
    }
    return sum_of_copy();
}

static uint64_t run_copy_loop(uint64_t passes)
{
    while (passes--) {
        const unsigned long *from = (const void *)copy.from, *end = (const void *)(copy.from + COPY);
        volatile unsigned long *to = (void *)copy.to;
        for (; from < end; from += 4, to += 4) {
            unsigned long a = from[0], b = from[1];
            to[0] = a, to[1] = b;
            a = from[2], b = from[3];
            to[2] = a, to[3] = b;
        }
    }
    return sum_of_copy();
}

// ---- A chain of pointers through all nodes in random order.
struct node {
    struct node *next;
    uint32_t number;
};

static struct node *here;

// The nodes lie this far from each other.  If that is more than a cache line, each is in another line of its stretch than its
// neighbours, so that not all of them compete for few sets of the cache.
static void chain(uint32_t nodes, size_t distance)
{
    uint8_t *memory = pages(nodes * distance, PROT_READ | PROT_WRITE);
    uint32_t *order = random_order(nodes);
    struct node *last = NULL, *first = NULL;
    for (uint32_t i = 0; i < nodes; i++) {
        struct node *n = (void *)(memory + order[i] * distance + (order[i] ^ order[i] >> 6) * 64 % distance);
        n->number = order[i];
        if (last)
            last->next = n;
        else
            first = n;
        last = n;
    }
    last->next = first;
    here = first;
}

static void prepare_4k(void)
{
    chain(4 * KB / 64, 64);
}

static void prepare_1m(void)
{
    chain(1 * MB / 64, 64);
}

static void prepare_64m(void)
{
    chain(64 * MB / 64, 64);
}

// One node in each page.
static void prepare_pages_2m(void)
{
    chain(2 * MB / PAGE, PAGE);
}

static void prepare_pages_64m(void)
{
    chain(64 * MB / PAGE, PAGE);
}

static uint64_t run_chase(uint64_t passes)
{
    struct node *n = here;
    while (passes--)
        n = n->next;
    here = n;
    return n->number;
}

// ---- Locked additions.
static uint64_t run_atomic(uint64_t passes)
{
    static uint32_t counter;
    while (passes--)
        __atomic_fetch_add(&counter, 5, __ATOMIC_SEQ_CST);
    return counter;
}

const struct workload memory_workloads[] = {
    {"mem_copy_rep", "MB/s", COPY / 1e6, 1, SUM_SAME, run_copy_rep, prepare_copy, NULL},
    {"mem_copy_loop", "MB/s", COPY / 1e6, 1, SUM_SAME, run_copy_loop, prepare_copy, NULL},
    {"mem_chase_4k", "Mhop/s", 1e-6, 100001, SUM_SAME, run_chase, prepare_4k, NULL},
    {"mem_chase_1m", "Mhop/s", 1e-6, 100001, SUM_SAME, run_chase, prepare_1m, NULL},
    {"mem_chase_64m", "Mhop/s", 1e-6, 10001, SUM_SAME, run_chase, prepare_64m, NULL},
    {"mem_tlb_2m", "Mhop/s", 1e-6, 100001, SUM_SAME, run_chase, prepare_pages_2m, NULL},
    {"mem_tlb_64m", "Mhop/s", 1e-6, 50001, SUM_SAME, run_chase, prepare_pages_64m, NULL},
    {"mem_atomic", "Mop/s", 1e-6, 50000, SUM_SAME, run_atomic, NULL, NULL},
    {0},
};
