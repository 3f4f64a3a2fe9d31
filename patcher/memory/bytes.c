// SPDX-License-Identifier: GPL-2.0-or-later
/* bytes.c - memcpy() and its kin for patcher/, without vector registers: libc's use them, and they hold the guest's
 * state (fpu.h).  soft.h redirects all calls here, also those that the compiler makes for structure copies. */
#include "patcher/soft.h"
#include <string.h>

#ifndef __clang__
#pragma GCC optimize("no-tree-loop-distribute-patterns") /* or a loop in here becomes a call of itself */
#endif

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    void *d = to;
    if (n >= 8 && n <= 64) { /* REP has a start-up cost */
        size_t at = 0;
        for (; at + 8 <= n; at += 8)
            *(uint64_t *)((char *)to + at) = *(const uint64_t *)((const char *)from + at);
        *(uint64_t *)((char *)to + n - 8) = *(const uint64_t *)((const char *)from + n - 8);
        return to;
    }
    __asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(n)::"memory");
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    uintptr_t up = (uintptr_t)to - (uintptr_t)from, down = (uintptr_t)from - (uintptr_t)to;
    if (up >= n && down >= n)
        return memcpy(to, from, n);
    const char *s = from;
    char *d = to;
    if (up >= n) { /* overlaps, downward: byte by byte from the front */
        __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n)::"memory");
        return to;
    }
    s += n - 1;
    d += n - 1;
    __asm__ volatile("std; rep movsb; cld" : "+D"(d), "+S"(s), "+c"(n)::"memory");
    return to;
}

void *memset(void *to, int value, size_t n)
{
    void *d = to;
    __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(value) : "memory");
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a, *y = b;
    size_t i = 0;
    while (i + 8 <= n && *(const uint64_t *)(x + i) == *(const uint64_t *)(y + i))
        i += 8;
    for (; i < n; i++)
        if (x[i] != y[i])
            return x[i] - y[i];
    return 0;
}
