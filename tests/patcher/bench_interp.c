// SPDX-License-Identifier: GPL-2.0-or-later
/* bench_interp.c - guest instructions per second of the interpreter, on loops that need no machine. */
#include "tests/patcher/guest.h"
#include <stdio.h>
#include <time.h>

/* RCX: iterations */
GUEST_CODE(alu, 64,
           "1: add %rax, %rbx; xor %rbx, %rdx; lea 3(%rdx,%rax,4), %rsi; shr $3, %rsi; sub %rsi, %rax\n"
           "imul $77, %rbx, %rbx; and $0xffff, %edx; dec %rcx; jnz 1b; hlt\n");
GUEST_CODE(memory, 64,
           "mov $0x200000, %ebx\n"
           "1: mov (%rbx), %rax; add 8(%rbx), %rax; mov %rax, 16(%rbx); incl 24(%rbx); movzbl 3(%rbx), %edx\n"
           "mov %dl, 64(%rbx); cmp %rax, 32(%rbx); dec %rcx; jnz 1b; hlt\n");
GUEST_CODE(branches, 64,
           "1: imul $0x41c64e6d, %eax, %eax; add $12345, %eax; test $0x10000, %eax; jz 2f; inc %rdx\n"
           "2: test $0x200000, %eax; jnz 3f; inc %rsi\n"
           "3: dec %rcx; jnz 1b; hlt\n");
GUEST_CODE(calls, 64,
           "1: push %rcx; call 2f; pop %rcx; dec %rcx; jnz 1b; hlt\n"
           "2: push %rbp; mov %rsp, %rbp; add $1, %rax; leave; ret\n");
GUEST_CODE(sieve, 32,
           "mov $0x200000, %ebx\n"
           "1: push %ecx; xor %eax, %eax; mov $4096, %ecx; mov %ebx, %edi; rep stosb\n"
           "mov $2, %esi\n"
           "2: mov %esi, %edi; cmpb $0, (%ebx,%esi); jne 4f\n"
           "3: add %esi, %edi; cmp $4096, %edi; jae 4f; movb $1, (%ebx,%edi); jmp 3b\n"
           "4: inc %esi; cmp $4096, %esi; jb 2b\n"
           "pop %ecx; dec %ecx; jnz 1b; hlt\n");

struct loop {
    const char *name;
    const uint8_t *code, *end;
    enum guest_mode mode;
    double per_iteration; /* instructions */
    uint64_t iterations;
};
#define LOOP(name) #name, name, name##_end
static const struct loop loops[] = {
    {LOOP(alu), GUEST_LONG, 9, 10000000},        {LOOP(memory), GUEST_LONG, 9, 10000000},
    {LOOP(branches), GUEST_LONG, 9, 10000000},   {LOOP(calls), GUEST_LONG, 10, 10000000},
    {LOOP(sieve), GUEST_PROTECTED, 71015, 1500},
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

int main(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(loops); i++) {
        const struct loop *l = &loops[i];
        struct guest *g = guest_new(1);
        guest_start(g, l->mode);
        guest_code(g, GUEST_CODE_AT, l->code, l->end);
        g->s.gpr[X86_RCX] = l->iterations;
        double from = now();
        guest_run(g);
        double seconds = now() - from;
        printf("%-10s %7.1f M instructions/s\n", l->name, l->per_iteration * l->iterations / seconds / 1e6);
        guest_free(g);
    }
    return 0;
}
