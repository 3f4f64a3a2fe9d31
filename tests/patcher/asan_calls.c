// SPDX-License-Identifier: GPL-2.0-or-later
/* asan_calls.c - for builds with AddressSanitizer: its block-time calls that use vector registers, made to preserve them.
 *
 * While the guest's vector state is live in the host's registers, patcher/ calls nothing that may touch them; but the
 * compiler puts a call of __asan_handle_no_return() before each call that does not return, and libasan has its own
 * _longjmp().  Both clear shadow memory with whatever memset() is best here.  These definitions come before libasan's. */
#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN
#endif
#endif

#ifdef WITH_ASAN
#include "core-vmm/base/host_cpu.h"
#include <dlfcn.h>
#include <setjmp.h>
#include <stdint.h>

#define ALONE __attribute__((no_sanitize_address, noinline))

static uint8_t area[16384] __attribute__((aligned(64)));

void __asan_handle_no_return(void);

/* Called on one thread only: blocks and oracle have no other. */
ALONE static void clear_stack_shadow(void)
{
    static void (*real)(void);
    static int xsave = -1;
    if (xsave < 0) { /* before any guest state is live, too */
        uint32_t r[4];
        host_cpuid(1, 0, r);
        xsave = r[2] >> 27 & 1; /* OSXSAVE; without it x87 and SSE state is all that there is to preserve */
    }
    if (xsave)
        __asm__ volatile("xsave64 %0" : "=m"(area) : "a"(~0u), "d"(~0u));
    else
        __asm__ volatile("fxsave64 %0" : "=m"(area));
    if (!real)
        real = (void (*)(void))dlsym(RTLD_NEXT, "__asan_handle_no_return");
    real();
    if (xsave)
        __asm__ volatile("xrstor64 %0" ::"m"(area), "a"(~0u), "d"(~0u) : "memory");
    else
        __asm__ volatile("fxrstor64 %0" ::"m"(area) : "memory");
}

ALONE void __asan_handle_no_return(void)
{
    clear_stack_shadow();
}

ALONE void _longjmp(jmp_buf where, int value)
{
    static void (*real)(jmp_buf, int);
    if (!real)
        real = dlsym(dlopen("libc.so.6", RTLD_NOW), "_longjmp"); /* before any guest state is live: see below */
    clear_stack_shadow();
    real(where, value);
    __builtin_unreachable();
}

/* The dynamic linker may use vector registers too. */
__attribute__((constructor)) static void resolve(void)
{
    jmp_buf here;
    if (!_setjmp(here))
        _longjmp(here, 1);
}
#else
typedef int asan_calls_are_not_needed;
#endif
