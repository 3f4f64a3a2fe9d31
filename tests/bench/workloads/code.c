// SPDX-License-Identifier: GPL-2.0-or-later
// Code that the program writes itself: much of it, anew each time, or changed in place.  The instructions mean the same at
// both widths.
#include "bench.h"
#include <string.h>
#include <sys/mman.h>

#define FUNCTIONS 4096
#define SPACE     64 // bytes for each

typedef uint32_t (*function)(void);

static uint8_t *code;
static uint32_t *order;

static uint8_t *put(uint8_t *at, const char *bytes, size_t count, uint32_t immediate)
{
    memcpy(at, bytes, count);
    memcpy(at + count, &immediate, 4);
    return at + count + 4;
}

// Eight instructions with a branch; what they compute depends on the seed.
static void write_function(uint32_t number, uint32_t seed)
{
    uint8_t *at = code + number * SPACE;
    uint32_t x = seed * 0x85ebca6bu;
    at = put(at, "\xb8", 1, x);                      // mov eax, x
    at = put(at, "\x69\xc0", 2, x | 1);              // imul eax, eax, x | 1
    at = put(at, "\x2d", 1, x >> 5);                 // sub eax, x >> 5
    at = put(at, "\xa9", 1, 1u << (seed >> 3 & 31)); // test eax, a bit
    memcpy(at, "\x75\x02\xf7\xd0", 4);               // jnz over: not eax
    at = put(at + 4, "\x35", 1, seed);               // over: xor eax, seed
    *at = 0xc3;                                      // ret
}

static uint32_t call(uint32_t number)
{
    return ((function)(uintptr_t)(code + number * SPACE))();
}

static void prepare_functions(void)
{
    code = pages(FUNCTIONS * SPACE, PROT_READ | PROT_WRITE | PROT_EXEC);
    order = random_order(FUNCTIONS);
    for (uint32_t i = 0; i < FUNCTIONS; i++)
        write_function(i, i);
}

static uint64_t run_bigcode(uint64_t passes)
{
    uint32_t sum = 0;
    while (passes--)
        for (uint32_t i = 0; i < FUNCTIONS; i++)
            sum = sum * 3 + call(order[i]);
    return sum;
}

// Every function is written again, then each is called once.
static uint64_t run_jitcold(uint64_t passes)
{
    uint32_t sum = 0;
    while (passes--) {
        uint32_t seed = next_random();
        for (uint32_t i = 0; i < FUNCTIONS; i++)
            write_function(i, seed + i);
        memory_is_used();
        for (uint32_t i = 0; i < FUNCTIONS; i++)
            sum = sum * 3 + call(i);
    }
    return sum;
}

// A short loop whose constant is another one at every call.
static void prepare_patch(void)
{
    static const char loop[] = "\x31\xc0"         // xor eax, eax
                               "\xb9\x10\0\0\0"   // mov ecx, 16
                               "\x8d\x80\0\0\0\0" // again: lea eax, [eax + constant]
                               "\x83\xe9\x01"     // sub ecx, 1
                               "\x75\xf5"         // jnz again
                               "\xc3";            // ret
    code = pages(PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
    memcpy(code, loop, sizeof loop - 1);
}

static uint64_t run_patch(uint64_t passes)
{
    uint32_t sum = 0;
    for (uint32_t constant = 1; passes--; constant++) {
        memcpy(code + 9, &constant, 4);
        memory_is_used();
        sum = sum * 3 + call(0);
    }
    return sum;
}

const struct workload code_workloads[] = {
    {"br_bigcode", "Mcall/s", FUNCTIONS / 1e6, 5, SUM_SAME, run_bigcode, prepare_functions, NULL},
    {"smc_patch", "kpatch/s", 1e-3, 500, SUM_SAME, run_patch, prepare_patch, NULL},
    {"smc_jitcold", "kfunction/s", FUNCTIONS / 1e3, 1, SUM_SAME, run_jitcold, prepare_functions, NULL},
    {0},
};
