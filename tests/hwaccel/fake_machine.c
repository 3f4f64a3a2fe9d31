// SPDX-License-Identifier: GPL-2.0-or-later
/* fake_machine.c - a machine that notes what the engine asks of it. */
#include "tests/hwaccel/fake_machine.h"
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* ---- what the engine calls ---- */

static uint64_t masked(uint64_t value, unsigned size)
{
    return size == 8 ? value : value & ((1ull << 8 * size) - 1);
}

/* Every register but RSP is inverted; the answer is what RAX was, and 1 more. */
static uint32_t fake_change_registers(struct machine *m, unsigned cpu)
{
    uint64_t gpr[8];
    m->engine->registers(m->vcpu[cpu], gpr, false);
    uint32_t answer = gpr[X86_RAX] + 1;
    for (unsigned n = 0; n < 8; n++)
        gpr[n] = ~gpr[n];
    m->engine->registers(m->vcpu[cpu], gpr, true);
    return answer;
}

bool machine_port_any_ring(struct machine *m, uint16_t port, unsigned size)
{
    return false;
}

uint64_t machine_in(struct machine *m, unsigned cpu, uint16_t port, unsigned size)
{
    if (port == PORT_REGISTERS)
        return fake_change_registers(m, cpu);
    if (port != PORT_PATTERN)
        return masked(~0ull, size);
    pthread_mutex_lock(&m->lock);
    struct access a = {port, masked(m->pattern++, size), size, false};
    g_array_append_val(m->ports, a);
    pthread_mutex_unlock(&m->lock);
    return a.value;
}

void machine_out(struct machine *m, unsigned cpu, uint16_t port, unsigned size, uint64_t value)
{
    pthread_mutex_lock(&m->lock);
    switch (port) {
    case PORT_TEXT: g_string_append_c(m->text, value); break;
    case PORT_FINISH:
        m->finished[cpu] = true;
        m->finish_value = value;
        m->engine->kick(m->vcpu[cpu]);
        break;
    case PORT_PATTERN: {
        struct access a = {port, value, size, true};
        g_array_append_val(m->ports, a);
        break;
    }
    }
    pthread_mutex_unlock(&m->lock);
}

uint64_t machine_load(struct machine *m, unsigned cpu, uint64_t gpa, unsigned size)
{
    uint64_t value = ~0ull;
    pthread_mutex_lock(&m->lock);
    if (gpa - FAKE_MMIO <= FAKE_MMIO_BYTES - size) {
        value = 0;
        memcpy(&value, m->mmio_bytes + (gpa - FAKE_MMIO), size);
    }
    struct access a = {gpa, masked(value, size), size, false};
    g_array_append_val(m->mmio, a);
    pthread_mutex_unlock(&m->lock);
    return a.value;
}

void machine_store(struct machine *m, unsigned cpu, uint64_t gpa, unsigned size, uint64_t value)
{
    struct access a = {gpa, value, size, true};
    pthread_mutex_lock(&m->lock);
    if (gpa - FAKE_MMIO <= FAKE_MMIO_BYTES - size)
        memcpy(m->mmio_bytes + (gpa - FAKE_MMIO), &value, size);
    g_array_append_val(m->mmio, a);
    pthread_mutex_unlock(&m->lock);
}

int machine_ack(struct machine *m, unsigned cpu)
{
    pthread_mutex_lock(&m->lock);
    int vector = m->vector;
    m->acks += vector >= 0;
    if (m->auto_lower) {
        m->vector = -1;
        m->engine->signal(m->vcpu[cpu], CPU_SIGNAL_INTR, 0);
    }
    pthread_mutex_unlock(&m->lock);
    return vector;
}

uint8_t machine_tpr(struct machine *m, unsigned cpu)
{
    return m->tpr[cpu];
}

void machine_set_tpr(struct machine *m, unsigned cpu, uint8_t cr8)
{
    m->tpr[cpu] = cr8;
}

bool machine_fpu_error(struct machine *m, unsigned cpu, bool pending)
{
    return false;
}

void machine_looked(struct machine *m, unsigned cpu)
{
}

bool machine_apic_msr(struct machine *m, unsigned cpu, uint32_t msr, uint64_t *value, bool write)
{
    return false;
}

void machine_eoi(struct machine *m, uint8_t vector)
{
    pthread_mutex_lock(&m->lock);
    m->eois[vector]++;
    pthread_mutex_unlock(&m->lock);
}

/* ---- making one ---- */

struct machine *fake_new(const struct cpu_engine *engine, unsigned cpus)
{
    return fake_new_model(engine, cpus, "host", "");
}

struct machine *fake_new_model(const struct cpu_engine *engine, unsigned cpus, const char *model, const char *options)
{
    struct machine *m = g_new0(struct machine, 1);
    g_autoptr(GError) error = NULL;
    int fd = memfd_create("fake", 0);
    g_assert_cmpint(ftruncate(fd, FAKE_MEMORY), ==, 0);
    m->memory = mmap(NULL, FAKE_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    g_assert(m->memory != MAP_FAILED);
    pthread_mutex_init(&m->lock, NULL);
    m->engine = engine;
    m->vector = -1;
    m->pattern = 0xa1b2c3d4;
    m->text = g_string_new(NULL);
    m->ports = g_array_new(FALSE, FALSE, sizeof(struct access));
    m->mmio = g_array_new(FALSE, FALSE, sizeof(struct access));
    m->vm = (struct cpu_vm){.machine = m,
                            .cpus = cpus,
                            .memory = m->memory,
                            .memory_fd = fd,
                            .memory_bytes = FAKE_MEMORY,
                            .tsc_offset = &m->tsc_offset,
                            .tsc_khz = FAKE_TSC_KHZ,
                            .model = model,
                            .options = options};
    m->evm = engine->vm_new(&m->vm, &error);
    g_assert_no_error(error);
    engine->map(m->evm, 0, FAKE_MEMORY, 0, CPU_MAP_RAM, &error);
    g_assert_no_error(error);
    for (unsigned i = 0; i < cpus; i++) {
        m->vcpu[i] = engine->vcpu_new(m->evm, i, &error);
        g_assert_no_error(error);
    }
    return m;
}

void fake_free(struct machine *m)
{
    m->engine->vm_free(m->evm);
    munmap(m->memory, FAKE_MEMORY);
    close(m->vm.memory_fd);
    pthread_mutex_destroy(&m->lock);
    g_string_free(m->text, TRUE);
    g_array_unref(m->ports);
    g_array_unref(m->mmio);
    g_free(m);
}

/* ---- starting code ---- */

enum { GDT = 0x1000, IDT = 0x1800, PML4 = 0x2000, PDPT = 0x3000, PD = 0x4000, PD_APIC = 0x5000, STACK = 0x7000 };

void fake_put(struct machine *m, uint32_t at, uint64_t value, unsigned bytes)
{
    memcpy(m->memory + at, &value, bytes);
}

uint32_t fake_u32(struct machine *m, uint32_t at)
{
    return __atomic_load_n(fake_word(m, at), __ATOMIC_ACQUIRE);
}

const uint32_t *fake_word(struct machine *m, uint32_t at)
{
    return (const uint32_t *)(m->memory + at);
}

void fake_load(struct machine *m, uint32_t at, const uint8_t *code, const uint8_t *end)
{
    memcpy(m->memory + at, code, end - code);
}

void fake_start16(struct machine *m, unsigned cpu, uint32_t at)
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

static void start_flat(struct machine *m, unsigned cpu, uint32_t at, struct x86_state *s)
{
    fake_put(m, GDT + 8, s->efer ? 0x00af9b000000ffff : 0x00cf9b000000ffff, 8);
    fake_put(m, GDT + 16, 0x00cf93000000ffff, 8);
    s->run_state = X86_RUNNING;
    s->gpr[X86_RSP] = STACK - 0x400 * cpu;
    s->rip = at;
    m->engine->set_state(m->vcpu[cpu], s);
}

void fake_start32(struct machine *m, unsigned cpu, uint32_t at)
{
    g_autofree struct x86_state *s = g_new(struct x86_state, 1);
    x86_state_reset(s, cpu == 0);
    flat_segments(s, false);
    s->cr0 = 0x31;  /* PE ET NE */
    s->cr4 = 0x600; /* OSFXSR OSXMMEXCPT */
    start_flat(m, cpu, at, s);
}

void fake_start64(struct machine *m, unsigned cpu, uint32_t at)
{
    g_autofree struct x86_state *s = g_new(struct x86_state, 1);
    fake_put(m, PML4, PDPT | 3, 8);
    fake_put(m, PDPT, PD | 3, 8);
    fake_put(m, PDPT + 24, PD_APIC | 3, 8);
    for (unsigned i = 0; i < FAKE_MEMORY >> 21; i++)
        fake_put(m, PD + 8 * i, (uint64_t)i << 21 | 0x83, 8);
    fake_put(m, PD_APIC + 8 * (0xfee00000 >> 21 & 511), 0xfee00000 | 0x9b, 8);
    x86_state_reset(s, cpu == 0);
    flat_segments(s, true);
    s->cr0 = 0x80000031;
    s->cr3 = PML4;
    s->cr4 = 0x620; /* and PAE */
    s->efer = 0x501;
    start_flat(m, cpu, at, s);
}

void fake_gate32(struct machine *m, unsigned vector, uint32_t at)
{
    fake_put(m, IDT + 8 * vector, (at & 0xffff) | 8u << 16, 4);
    fake_put(m, IDT + 8 * vector + 4, (at & 0xffff0000) | 0x8e00, 4);
}

/* ---- running ---- */

enum cpu_stop fake_run(struct machine *m, unsigned cpu)
{
    g_autoptr(GError) error = NULL;
    enum cpu_stop stop = m->engine->run(m->vcpu[cpu], &error);
    g_assert_no_error(error);
    return stop;
}

void fake_finish(struct machine *m, unsigned cpu)
{
    while (!m->finished[cpu]) {
        enum cpu_stop stop = fake_run(m, cpu);
        g_assert_cmpint(stop, !=, CPU_STOP_RESET);
        if (stop == CPU_STOP_HLT)
            g_usleep(200);
    }
    m->finished[cpu] = false;
}

struct spawned {
    struct machine *m;
    unsigned cpu;
};

static void *spawned_main(void *arg)
{
    struct spawned s = *(struct spawned *)arg;
    g_free(arg);
    fake_finish(s.m, s.cpu);
    return NULL;
}

pthread_t fake_spawn(struct machine *m, unsigned cpu)
{
    pthread_t t;
    struct spawned *s = g_new(struct spawned, 1);
    *s = (struct spawned){m, cpu};
    g_assert_cmpint(pthread_create(&t, NULL, spawned_main, s), ==, 0);
    return t;
}

void fake_stop(struct machine *m, unsigned cpu, pthread_t t)
{
    pthread_mutex_lock(&m->lock);
    m->finished[cpu] = true;
    pthread_mutex_unlock(&m->lock);
    m->engine->kick(m->vcpu[cpu]);
    pthread_join(t, NULL);
}

void fake_interrupt(struct machine *m, unsigned cpu, int vector)
{
    pthread_mutex_lock(&m->lock);
    m->vector = vector;
    m->auto_lower = true;
    m->engine->signal(m->vcpu[cpu], CPU_SIGNAL_INTR, 1);
    pthread_mutex_unlock(&m->lock);
}

bool fake_wait(struct machine *m, const uint32_t *word, uint32_t at_least)
{
    for (int i = 0; i < 20000; i++) {
        if (__atomic_load_n(word, __ATOMIC_ACQUIRE) >= at_least)
            return true;
        g_usleep(500);
    }
    return false;
}

char *fake_text(struct machine *m)
{
    pthread_mutex_lock(&m->lock);
    char *text = g_strdup(m->text->str);
    pthread_mutex_unlock(&m->lock);
    return text;
}
