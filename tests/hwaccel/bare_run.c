// SPDX-License-Identifier: GPL-2.0-or-later
/* bare_run.c - code into a bare machine, and its CPUs set going. */
#include "tests/hwaccel/bare_machine.h"
#include <string.h>

/* ---- starting code ---- */

enum { GDT = 0x1000, IDT = 0x1800, PML4 = 0x2000, PDPT = 0x3000, PD = 0x4000, PD_APIC = 0x5000, STACK = 0x7000 };

void bare_put(struct bare_machine *m, uint32_t at, uint64_t value, unsigned bytes)
{
    memcpy(m->memory + at, &value, bytes);
}

uint32_t bare_u32(struct bare_machine *m, uint32_t at)
{
    return __atomic_load_n(bare_word(m, at), __ATOMIC_ACQUIRE);
}

const uint32_t *bare_word(struct bare_machine *m, uint32_t at)
{
    return (const uint32_t *)(m->memory + at);
}

void bare_load(struct bare_machine *m, uint32_t at, const uint8_t *code, const uint8_t *end)
{
    memcpy(m->memory + at, code, end - code);
}

void bare_start16(struct bare_machine *m, unsigned cpu, uint32_t at)
{
    g_autofree struct x86_state *s = g_new(struct x86_state, 1);
    x86_state_reset(s, cpu == 0);
    s->run_state = X86_RUNNING;
    s->seg[X86_CS].selector = 0;
    s->seg[X86_CS].base = 0;
    s->gpr[X86_RSP] = STACK;
    s->rip = at;
    m->engine->set_state(m->vcpu[cpu], s);
}

static void flat_segments(struct x86_state *s, bool code64)
{
    for (unsigned i = 0; i < X86_SEGS; i++)
        s->seg[i] = (struct x86_seg){.limit = 0xffffffff, .selector = 16, .attr = 0xc093};
    s->seg[X86_CS] = (struct x86_seg){.limit = 0xffffffff, .selector = 8, .attr = code64 ? 0xa09b : 0xc09b};
    s->tr = (struct x86_seg){.limit = 0x67, .selector = 24, .attr = 0x8b};
    s->gdtr = (struct x86_table){GDT, 31};
    s->idtr = (struct x86_table){IDT, 0x7ff};
}

static void start_flat(struct bare_machine *m, unsigned cpu, uint32_t at, struct x86_state *s)
{
    bare_put(m, GDT + 8, s->efer ? 0x00af9b000000ffff : 0x00cf9b000000ffff, 8);
    bare_put(m, GDT + 16, 0x00cf93000000ffff, 8);
    s->run_state = X86_RUNNING;
    s->gpr[X86_RSP] = STACK - 0x400 * cpu;
    s->rip = at;
    m->engine->set_state(m->vcpu[cpu], s);
}

void bare_start32(struct bare_machine *m, unsigned cpu, uint32_t at)
{
    g_autofree struct x86_state *s = g_new(struct x86_state, 1);
    x86_state_reset(s, cpu == 0);
    flat_segments(s, false);
    s->cr0 = 0x31;  /* PE ET NE */
    s->cr4 = 0x600; /* OSFXSR OSXMMEXCPT */
    start_flat(m, cpu, at, s);
}

void bare_start64(struct bare_machine *m, unsigned cpu, uint32_t at)
{
    g_autofree struct x86_state *s = g_new(struct x86_state, 1);
    bare_put(m, PML4, PDPT | 3, 8);
    bare_put(m, PDPT, PD | 3, 8);
    bare_put(m, PDPT + 24, PD_APIC | 3, 8);
    for (unsigned i = 0; i < BARE_MEMORY >> 21; i++)
        bare_put(m, PD + 8 * i, (uint64_t)i << 21 | 0x83, 8);
    bare_put(m, PD_APIC + 8 * (0xfee00000 >> 21 & 511), 0xfee00000 | 0x9b, 8);
    x86_state_reset(s, cpu == 0);
    flat_segments(s, true);
    s->cr0 = 0x80000031;
    s->cr3 = PML4;
    s->cr4 = 0x620; /* and PAE */
    s->efer = 0x501;
    start_flat(m, cpu, at, s);
}

void bare_gate32(struct bare_machine *m, unsigned vector, uint32_t at)
{
    bare_put(m, IDT + 8 * vector, (at & 0xffff) | 8u << 16, 4);
    bare_put(m, IDT + 8 * vector + 4, (at & 0xffff0000) | 0x8e00, 4);
}

/* ---- running ---- */

enum cpu_stop bare_run(struct bare_machine *m, unsigned cpu)
{
    g_autoptr(GError) error = NULL;
    m->thread[cpu] = pthread_self();
    enum cpu_stop stop = m->engine->run(m->vcpu[cpu], &error);
    m->thread[cpu] = 0;
    g_assert_no_error(error);
    return stop;
}

void bare_finish(struct bare_machine *m, unsigned cpu)
{
    while (!m->finished[cpu]) {
        enum cpu_stop stop = bare_run(m, cpu);
        g_assert_cmpint(stop, !=, CPU_STOP_RESET);
        if (stop == CPU_STOP_HLT)
            g_usleep(200);
    }
    m->finished[cpu] = false;
}

struct spawned {
    struct bare_machine *m;
    unsigned cpu;
};

static void *spawned_main(void *arg)
{
    struct spawned s = *(struct spawned *)arg;
    g_free(arg);
    bare_finish(s.m, s.cpu);
    return NULL;
}

pthread_t bare_spawn(struct bare_machine *m, unsigned cpu)
{
    pthread_t t;
    struct spawned *s = g_new(struct spawned, 1);
    *s = (struct spawned){m, cpu};
    g_assert_cmpint(pthread_create(&t, NULL, spawned_main, s), ==, 0);
    return t;
}

void bare_stop(struct bare_machine *m, unsigned cpu, pthread_t t)
{
    m->finished[cpu] = true;
    m->engine->kick(m->vcpu[cpu]);
    pthread_join(t, NULL);
}

bool bare_wait(const uint32_t *word, uint32_t at_least)
{
    for (int i = 0; i < 20000; i++) {
        if (__atomic_load_n(word, __ATOMIC_ACQUIRE) >= at_least)
            return true;
        g_usleep(500);
    }
    return false;
}
