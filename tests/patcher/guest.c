// SPDX-License-Identifier: GPL-2.0-or-later
/* guest.c - see guest.h. */
#include "tests/patcher/guest.h"
#include "patcher/patcher.h"
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

uint64_t guest_read(const struct guest *g, uint64_t at, unsigned size)
{
    uint64_t v = 0;
    memcpy(&v, g->mem + at, size);
    return v;
}

void guest_write(struct guest *g, uint64_t at, unsigned size, uint64_t v)
{
    memcpy(g->mem + at, &v, size);
}

/* access: bits 40-47 in bits 0-7, bits 52-55 in bits 12-15; limit in bytes */
void guest_descriptor(struct guest *g, unsigned selector, uint32_t base, uint32_t limit, unsigned access)
{
    if (access & X86_ATTR_G)
        limit >>= 12;
    uint64_t d = (limit & 0xffff) | (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)(base & 0xffffff) << 16 |
                 (uint64_t)(base >> 24) << 56 | (uint64_t)(access & 0xf0ff) << 40;
    guest_write(g, GUEST_GDT + (selector & ~7u), 8, d);
}

struct x86_seg guest_segment(const struct guest *g, unsigned selector)
{
    uint64_t d = guest_read(g, GUEST_GDT + (selector & ~7u), 8);
    uint32_t limit = (d & 0xffff) | (d >> 32 & 0xf0000);
    uint16_t attr = d >> 40 & 0xf0ff;
    return (struct x86_seg){.base = (d >> 16 & 0xffffff) | (d >> 32 & 0xff000000),
                            .limit = attr & X86_ATTR_G ? limit << 12 | 0xfff : limit,
                            .selector = selector,
                            .attr = attr};
}

void guest_gate(struct guest *g, unsigned vector, uint16_t selector, uint64_t offset, unsigned access)
{
    bool wide = g->s.efer & 1 << 10;
    uint64_t low =
        (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)(access & 0xff) << 40 | (offset >> 16 & 0xffff) << 48;
    guest_write(g, GUEST_IDT + vector * (wide ? 16 : 8), 8, low);
    if (wide)
        guest_write(g, GUEST_IDT + vector * 16 + 8, 8, offset >> 32);
}

static void make_gdt(struct guest *g)
{
    const unsigned code = 0x9b, data = 0x93, user = 0x60, big = X86_ATTR_G | X86_ATTR_DB;
    guest_descriptor(g, SEL_CODE32, 0, 0xffffffff, code | big);
    guest_descriptor(g, SEL_DATA, 0, 0xffffffff, data | big);
    guest_descriptor(g, SEL_CODE64, 0, 0xffffffff, code | X86_ATTR_G | X86_ATTR_L);
    guest_descriptor(g, SEL_CODE16, 0, 0xffff, code);
    guest_descriptor(g, SEL_DATA16, 0, 0xffff, data);
    guest_descriptor(g, SEL_USER32, 0, 0xffffffff, code | user | big);
    guest_descriptor(g, SEL_USERDATA, 0, 0xffffffff, data | user | big);
    guest_descriptor(g, SEL_USER64, 0, 0xffffffff, code | user | X86_ATTR_G | X86_ATTR_L);
    guest_descriptor(g, SEL_TSS, GUEST_TSS, 0x67, 0x8b);
    guest_write(g, GUEST_GDT + SEL_TSS + 8, 8, 0);
    guest_descriptor(g, SEL_TSS2, GUEST_TSS2, 0x67, 0x89);
}

static void make_tss(struct guest *g, bool wide)
{
    memset(g->mem + GUEST_TSS, 0, 0x68);
    guest_write(g, GUEST_TSS + 4, wide ? 8 : 4, GUEST_STACK0);
    if (wide)
        guest_write(g, GUEST_TSS + 0x24, 8, GUEST_IST1);
    else
        guest_write(g, GUEST_TSS + 8, 2, SEL_DATA);
    guest_write(g, GUEST_TSS + 0x66, 2, 0x68); /* no I/O bitmap */
}

static void make_idt(struct guest *g, enum guest_mode mode)
{
    for (unsigned n = 0; n < 64; n++) {
        guest_write(g, GUEST_HANDLER(n), 1, 0xf4);
        if (mode == GUEST_REAL)
            guest_write(g, n * 4, 4, GUEST_HANDLER(n));
        else
            guest_gate(g, n, mode == GUEST_LONG ? SEL_CODE64 : SEL_CODE32, GUEST_HANDLER(n), 0x8e);
    }
}

static void make_tables_long(struct guest *g)
{
    guest_write(g, GUEST_TABLES, 8, (GUEST_TABLES + 0x1000) | 7);
    guest_write(g, GUEST_TABLES + 0x1000, 8, (GUEST_TABLES + 0x2000) | 7);
    guest_write(g, GUEST_TABLES + 0x2000, 8, GUEST_PTES | 7);
    for (unsigned i = 1; i < 512; i++)
        guest_write(g, GUEST_TABLES + 0x2000 + i * 8, 8, (uint64_t)i << 21 | 0x87);
    for (unsigned i = 0; i < 512; i++)
        guest_write(g, GUEST_PTES + i * 8, 8, (uint64_t)i << 12 | 7);
}

void guest_copy_tables(struct guest *g, uint64_t to)
{
    memcpy(g->mem + to, g->mem + GUEST_TABLES, 0x4000);
    for (unsigned level = 0; level < 3; level++)
        guest_write(g, to + level * 0x1000, 8, (to + (level + 1) * 0x1000) | 7);
}

static void make_tables_32(struct guest *g)
{
    guest_write(g, GUEST_TABLES, 4, GUEST_PTES | 7);
    for (unsigned i = 1; i < 1024; i++)
        guest_write(g, GUEST_TABLES + i * 4, 4, i << 22 | 0x87);
    for (unsigned i = 0; i < 1024; i++)
        guest_write(g, GUEST_PTES + i * 4, 4, i << 12 | 7);
}

static void start_protected(struct guest *g, enum guest_mode mode)
{
    struct x86_state *s = &g->s;
    bool wide = mode == GUEST_LONG;
    s->cr0 = 0x00000031;
    if (wide) {
        s->cr4 = 1 << 5 | 3 << 9;
        s->efer = 0x501;
        make_tables_long(g);
    } else if (mode == GUEST_PAGED) {
        s->cr4 = 1 << 4 | 3 << 9;
        make_tables_32(g);
    }
    if (mode != GUEST_PROTECTED) {
        s->cr0 |= 0x80010000;
        s->cr3 = GUEST_TABLES;
    }
    s->gdtr = (struct x86_table){GUEST_GDT, 0xfff};
    s->idtr = (struct x86_table){GUEST_IDT, 0x3ff};
    s->seg[X86_CS] = guest_segment(g, wide ? SEL_CODE64 : SEL_CODE32);
    for (unsigned i = 0; i < X86_SEGS; i++)
        if (i != X86_CS)
            s->seg[i] = guest_segment(g, SEL_DATA);
    s->tr = guest_segment(g, SEL_TSS);
    s->rip = GUEST_CODE_AT;
}

void guest_start(struct guest *g, enum guest_mode mode)
{
    x86_state_reset(&g->s, true);
    make_gdt(g);
    make_tss(g, mode == GUEST_LONG);
    g->s.gpr[X86_RSP] = GUEST_STACK;
    if (mode == GUEST_REAL) {
        g->s.seg[X86_CS].selector = GUEST_CODE_AT >> 4;
        g->s.seg[X86_CS].base = GUEST_CODE_AT;
        g->s.rip = 0;
    } else
        start_protected(g, mode);
    make_idt(g, mode);
    g->logged = 0;
}

static void log_out(struct machine *m, uint16_t port, unsigned size, uint64_t value)
{
    struct guest *g = (struct guest *)m;
    if (port == 0xf0 && g->logged < G_N_ELEMENTS(g->log))
        g->log[g->logged++] = value & (size == 4 ? 0xffffffff : (1u << size * 8) - 1);
}

static int acknowledge(struct machine *m, unsigned cpu)
{
    struct guest *g = (struct guest *)m;
    int vector = g->interrupt;
    g->interrupt = -1;
    g->engine->signal(g->vcpu[cpu], CPU_SIGNAL_INTR, 0);
    return vector;
}

/* Environment GUEST_ENGINE: interp (also if there is none), soft, or lockstep: tier 2 checked against tier 1. */
static void choose_engine(struct guest *g, unsigned cpus)
{
    const char *name = g_getenv("GUEST_ENGINE");
    bool interp = !name || !strcmp(name, "interp");
    g->engine = interp ? &interp_engine : &soft_engine;
    g->vm.options = interp ? "" : !strcmp(name, "lockstep") && cpus == 1 ? "hot=1,lockstep" : "hot=1";
}

static struct guest *make(unsigned cpus, const char *model, const char *maker)
{
    struct guest *g = g_new0(struct guest, 1);
    g_autoptr(GError) error = NULL;
    g->machine.out = log_out;
    g->machine.ack = acknowledge;
    g->interrupt = -1;
    int fd = memfd_create("guest", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, GUEST_BYTES))
        g_error("no memory for the guest");
    g->mem = mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    g->vm = (struct cpu_vm){.machine = &g->machine,
                            .cpus = cpus,
                            .memory = g->mem,
                            .memory_fd = fd,
                            .memory_bytes = GUEST_BYTES,
                            .tsc_offset = &g->tsc_offset,
                            .tsc_khz = 1000000,
                            .model = model};
    choose_engine(g, cpus);
    if (maker)
        g->vm.options = g->options = g_strdup_printf("%s,maker=%s", g->vm.options, maker);
    g->evm = g->engine->vm_new(&g->vm, &error);
    if (!g->evm || !g->engine->map(g->evm, 0, GUEST_BYTES - 4096, 0, CPU_MAP_RAM, &error))
        g_error("%s", error->message);
    for (unsigned i = 0; i < cpus; i++)
        g->vcpu[i] = g->engine->vcpu_new(g->evm, i, &error);
    return g;
}

struct guest *guest_new(unsigned cpus)
{
    return make(cpus, "host", NULL);
}

struct guest *guest_new_maker(unsigned cpus, const char *maker)
{
    return make(cpus, "host", maker);
}

struct guest *guest_new_model(unsigned cpus, const char *model)
{
    return make(cpus, model, NULL);
}

void guest_free(struct guest *g)
{
    g->engine->vm_free(g->evm);
    munmap(g->mem, GUEST_BYTES);
    close(g->vm.memory_fd);
    g_free(g->options);
    g_free(g);
}

void guest_code(struct guest *g, uint64_t at, const uint8_t *from, const uint8_t *end)
{
    memcpy(g->mem + at, from, end - from);
    g->engine->touched(g->evm, at, end - from);
}

enum cpu_stop guest_continue(struct guest *g)
{
    g_autoptr(GError) error = NULL;
    g->stopped = g->engine->run(g->vcpu[0], &error);
    g_assert_no_error(error);
    g->engine->get_state(g->vcpu[0], &g->s);
    return g->stopped;
}

enum cpu_stop guest_run(struct guest *g)
{
    g->engine->touched(g->evm, 0, GUEST_BYTES);
    g->engine->set_state(g->vcpu[0], &g->s);
    return guest_continue(g);
}

int guest_vector(const struct guest *g)
{
    uint64_t at = g->s.seg[X86_CS].base + g->s.rip - 1;
    return at >= GUEST_HANDLER(0) && at < GUEST_HANDLER(64) && at % 16 == 0 ? (int)(at - GUEST_HANDLER(0)) / 16 : -1;
}

struct counter {
    const char *name;
    uint64_t value;
    bool found;
};

static void look_at_counter(void *ctx, const char *group, const char *name, uint64_t value)
{
    struct counter *c = ctx;
    if (strcmp(name, c->name))
        return;
    c->value = value;
    c->found = true;
}

uint64_t guest_counter(struct guest *g, const char *name)
{
    struct counter c = {.name = name};
    g->engine->counters(g->evm, look_at_counter, &c);
    g_assert_true(c.found);
    return c.value;
}

uint64_t guest_frame(const struct guest *g, unsigned n)
{
    unsigned size = g->s.efer & 1 << 10 ? 8 : g->s.cr0 & 1 ? 4 : 2;
    uint64_t sp = g->s.gpr[X86_RSP];
    if (!(g->s.efer & 1 << 10))
        sp = g->s.seg[X86_SS].base + (g->s.seg[X86_SS].attr & X86_ATTR_DB ? sp : sp & 0xffff);
    return guest_read(g, sp + n * size, size);
}
