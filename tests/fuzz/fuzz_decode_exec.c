// SPDX-License-Identifier: GPL-2.0-or-later
/* fuzz_decode_exec.c - arbitrary code with arbitrary state on the interpreter and on the translator, in a machine without
 * devices.
 *
 * Input: kind of start (real mode, protected, long) and engine, privilege, four bytes that go to one random place of the
 * state, 16 register seeds, then code.  The engine may do with it whatever a CPU may; it must not crash or hang. */
#include "patcher/patcher.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#define MEMORY_BYTES 0x200000
enum { AT_CODE = 0x8000, AT_GDT = 0x1000, AT_IDT = 0x2000, AT_PML4 = 0x3000, AT_PDPT = 0x4000, AT_PD = 0x5000 };
enum { HEADER_BYTES = 8 + 16 * 2, CODE_MAX = 512, RUNS = 4, RUN_USEC = 300 };

struct fuzz {
    const struct cpu_engine *engine;
    struct cpu_vm vm;
    void *evm, *vcpu;
    _Atomic int64_t tsc_offset;
    struct x86_state reset;
};

void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

static struct fuzz *fuzzed; /* for the timer's signal handler: the one that runs */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_timer(int sig)
{
    fuzzed->engine->kick(fuzzed->vcpu);
}

static struct fuzz *start(const struct cpu_engine *engine, const char *options)
{
    struct fuzz *f = g_new0(struct fuzz, 1);
    f->engine = engine;
    f->vm = (struct cpu_vm){
        .cpus = 1, .memory_bytes = MEMORY_BYTES, .tsc_khz = 1000000, .model = "host", .options = options};
    f->vm.tsc_offset = &f->tsc_offset;
    f->vm.memory_fd = memfd_create("guest", MFD_CLOEXEC);
    if (ftruncate(f->vm.memory_fd, MEMORY_BYTES))
        abort();
    f->vm.memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, f->vm.memory_fd, 0);
    f->evm = f->engine->vm_new(&f->vm, NULL);
    f->engine->map(f->evm, 0, MEMORY_BYTES - 0x10000, 0, CPU_MAP_RAM, NULL);
    f->engine->map(f->evm, MEMORY_BYTES - 0x10000, 0x8000, MEMORY_BYTES - 0x10000, CPU_MAP_READONLY, NULL);
    f->vcpu = f->engine->vcpu_new(f->evm, 0, NULL);
    f->engine->get_state(f->vcpu, &f->reset);
    return f;
}

static struct fuzz *choose(unsigned n)
{
    static struct fuzz *all[2];
    n %= 2;
    if (!all[n]) { /* for good: no leaks, wherever the pointers to its parts are */
        if (__lsan_disable)
            __lsan_disable();
        all[n] = start(n ? &soft_engine : &interp_engine, n ? "hot=1" : "");
        if (__lsan_enable)
            __lsan_enable();
    }
    signal(SIGALRM, on_timer);
    return all[n];
}

static void put64(struct fuzz *f, uint32_t at, uint64_t v)
{
    memcpy(f->vm.memory + at, &v, 8);
}

/* Descriptors of each size and privilege, identity page tables with one large and some small pages. */
static void make_memory(struct fuzz *f, const uint8_t *code, size_t n)
{
    static const uint64_t gdt[] = {0,
                                   0x00af9b000000ffff,
                                   0x00cf93000000ffff,
                                   0x00cf9b000000ffff,
                                   0x00affb000000ffff,
                                   0x00cff3000000ffff,
                                   0x00cffb000000ffff,
                                   0x000f9b000000ffff,
                                   0x00008b0060000067,
                                   0,
                                   0x000085000010ffff,
                                   0x0000ec000008ffff};
    memset(f->vm.memory, 0, 0x10000);
    for (unsigned i = 0; i < G_N_ELEMENTS(gdt); i++)
        put64(f, AT_GDT + 8 * i, gdt[i]);
    for (unsigned v = 0; v < 64; v++)
        put64(f, AT_IDT + 8 * v, 0x00008e0000080000 | (AT_CODE + v * 3));
    put64(f, AT_PML4, AT_PDPT | 7);
    put64(f, AT_PDPT, AT_PD | 7);
    put64(f, AT_PD, 0x87);
    memcpy(f->vm.memory + AT_CODE, code, n);
    f->engine->touched(f->evm, 0, 0x10000);
}

static struct x86_seg flat(uint16_t selector, uint16_t attr)
{
    return (struct x86_seg){.limit = 0xffffffff, .selector = selector, .attr = attr};
}

static void make_state(const struct fuzz *f, struct x86_state *s, const uint8_t *d)
{
    unsigned kind = d[0] & 3, cpl = d[1] & 1 ? 3 : 0, patch = (unsigned)(d[2] | d[3] << 8) % (sizeof *s - 4);
    *s = f->reset;
    for (unsigned i = 0; i < 16; i++) {
        uint64_t v = (uint64_t)(d[8 + 2 * i] | d[9 + 2 * i] << 8);
        s->gpr[i] = v & 0x8000 ? v << (v & 48) : v << (v & 3);
    }
    s->rip = AT_CODE;
    s->rflags = 2 | (uint64_t)d[1] << 8;
    s->seg[X86_CS].base = 0;
    s->seg[X86_CS].selector = 0;
    s->gdtr = (struct x86_table){AT_GDT, 0x7f};
    s->idtr = (struct x86_table){kind ? AT_IDT : 0, 0x3ff};
    s->xcr0 = 7;
    if (kind) {
        uint16_t data = 0xc093 | (uint16_t)cpl << 5, code = kind == 3 ? 0xa09b : kind == 2 ? 0x009b : 0xc09b;
        for (unsigned i = 0; i < X86_SEGS; i++)
            s->seg[i] = flat((uint16_t)(0x10 | cpl), data);
        s->seg[X86_CS] = flat((uint16_t)(0x18 | cpl), code | (uint16_t)(cpl << 5));
        s->cr0 |= 1;
        s->cr4 = 0x40620;
    }
    if (kind == 3) {
        s->cr3 = AT_PML4;
        s->cr0 |= 1u << 31;
        s->efer = 0xd01;
    }
    for (unsigned i = 0; i < 4; i++)
        ((uint8_t *)s)[patch + i] ^= d[4 + i];
    s->run_state = X86_RUNNING;
    bool *const flags[] = {&s->sti_shadow,    &s->mov_ss_shadow,   &s->nmi_pending, &s->nmi_blocked,
                           &s->event.pending, &s->event.has_error, &s->event.soft};
    for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++) /* saved states cannot have anything else: stream_bool() */
        *(uint8_t *)flags[i] &= 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct x86_state s;
    if (size <= HEADER_BYTES)
        return 0;
    struct fuzz *f = fuzzed = choose(data[0] >> 2);
    make_memory(f, data + HEADER_BYTES, MIN(size - HEADER_BYTES, (size_t)CODE_MAX));
    make_state(f, &s, data);
    f->engine->set_state(f->vcpu, &s);
    for (unsigned i = 0; i < RUNS; i++) {
        g_autoptr(GError) error = NULL;
        setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = RUN_USEC}, NULL);
        enum cpu_stop stop = f->engine->run(f->vcpu, &error);
        if (stop == CPU_STOP_FAIL) {
            g_printerr("%s\n", error->message);
            abort();
        }
        f->engine->signal(f->vcpu, i & 1 ? CPU_SIGNAL_NMI : CPU_SIGNAL_INTR, 0);
        if (stop != CPU_STOP_HLT)
            break;
    }
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    f->engine->get_state(f->vcpu, &s);
    return 0;
}
