// SPDX-License-Identifier: GPL-2.0-or-later
/* oracle_guest.c - run one user-level instruction on an engine, in a guest that is nothing but page tables, descriptor
 * tables like the host's, and one HLT per exception vector.
 *
 * Two sets of tables: long mode for all code, and legacy protected mode with PAE for 16- and 32-bit code.  Both show
 * the code and the window at the same linear addresses as the host has them. */
#include "tests/patcher/oracle.h"
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { /* guest-physical layout, one page each unless said */
       P_WIN = 0,
       P_CODE = ORACLE_WIN_BYTES,
       P_SYS = 0x8000,
       P_GDT = P_SYS, /* also LDT at +0x800, the two TSS at +0xc00 and +0xd00 */
       P_IDT = P_SYS + 0x1000,
       P_IDT_LEGACY = P_SYS + 0x2000,
       P_HANDLER = P_SYS + 0x3000,
       P_STACK = P_SYS + 0x4000,
       SYS_BYTES = 0x5000,
       P_TABLES = 0x10000,
       BYTES = 0x40000,
};
#define SYS_LONG   0xffff800000000000
#define SYS_LEGACY ORACLE_SYSTEM

struct oracle_guest {
    const struct cpu_engine *engine;
    enum oracle_mode mode;
    struct cpu_vm vm;
    bool far_barriers;
    void *evm, *vcpu;
    uint8_t *memory;
    uint32_t next_table;
    struct x86_state template[2]; /* long, legacy */
    struct x86_state state;
    _Atomic int64_t tsc_offset;
};

/* ---- page tables ---------------------------------------------------------------------------------------------------- */
enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_A = 0x20, PTE_D = 0x40 };
#define PTE_NX (1ull << 63)

static uint64_t *next_level(struct oracle_guest *g, uint64_t *entry, uint64_t bits)
{
    if (!*entry) {
        *entry = g->next_table | bits;
        g->next_table += 0x1000;
        g_assert(g->next_table <= BYTES);
    }
    return (uint64_t *)(g->memory + (*entry & 0xfffff000));
}

static void map_page(struct oracle_guest *g, uint64_t root, unsigned levels, uint64_t lin, uint32_t phys, uint64_t bits)
{
    uint64_t *table = (uint64_t *)(g->memory + root);
    for (unsigned level = levels; level > 1; level--) {
        uint64_t *entry = &table[lin >> (3 + 9 * level) & (level == 3 && levels == 3 ? 3 : 511)];
        table = next_level(g, entry, level == 3 && levels == 3 ? PTE_P : PTE_P | PTE_W | PTE_U | PTE_A);
    }
    table[lin >> 12 & 511] = phys | bits | PTE_P | PTE_A | PTE_D;
}

static void map_pages(struct oracle_guest *g, uint64_t root, unsigned levels, uint64_t lin, uint32_t phys,
                      uint32_t bytes, uint64_t bits)
{
    for (uint32_t at = 0; at < bytes; at += 0x1000)
        map_page(g, root, levels, lin + at, phys + at, bits);
}

static uint64_t make_tables(struct oracle_guest *g, unsigned levels, uint64_t sys)
{
    const struct oracle_layout *l = &oracle_layouts[g->mode];
    uint64_t root = g->next_table;
    g->next_table += 0x1000;
    map_pages(g, root, levels, sys, P_SYS, SYS_BYTES, PTE_W);
    map_pages(g, root, levels, l->code, P_CODE, ORACLE_CODE_BYTES, PTE_U);
    for (int i = 0; i < 2; i++) {
        uint64_t win = i ? l->win_alias : l->win;
        if (!win)
            continue;
        map_pages(g, root, levels, win, P_WIN, ORACLE_RW_BYTES, PTE_U | PTE_W | PTE_NX);
        map_pages(g, root, levels, win + ORACLE_RW_BYTES, P_WIN + ORACLE_RW_BYTES, ORACLE_WIN_BYTES - ORACLE_RW_BYTES,
                  PTE_U | PTE_NX);
    }
    return root;
}

/* ---- descriptor tables ------------------------------------------------------------------------------------------------- */
static uint64_t descriptor(const struct x86_seg *s)
{
    uint64_t limit = s->attr & X86_ATTR_G ? s->limit >> 12 : s->limit;
    return (limit & 0xffff) | (s->base & 0xffffff) << 16 | (uint64_t)(s->attr & 0xff) << 40 | (limit >> 16 & 15) << 48 |
           (uint64_t)(s->attr >> 12) << 52 | (s->base >> 24 & 0xff) << 56;
}

static void put(struct oracle_guest *g, uint32_t phys, uint64_t v)
{
    memcpy(g->memory + phys, &v, 8);
}

static void make_descriptors(struct oracle_guest *g)
{
    for (unsigned m = 0; m < 3; m++)
        for (unsigned i = 0; i < X86_SEGS; i++) {
            const struct x86_seg *s = &oracle_layouts[m].seg[i];
            put(g, P_GDT + (s->selector & 4 ? 0x800 : 0) + (s->selector & ~7u), descriptor(s));
        }
    put(g, P_GDT + 0x10, 0x00af9b000000ffff); /* kernel code of long mode */
    put(g, P_GDT + 0x40, 0x00cf9b000000ffff); /* kernel code of legacy mode */
    put(g, P_GDT + 0x18, 0x00cf93000000ffff); /* kernel data */
}

/* All gates are interrupt gates; INT3 and INTO may come from CPL 3 as on Linux. */
static void make_idt(struct oracle_guest *g, bool legacy)
{
    for (unsigned v = 0; v < 256; v++) {
        uint64_t dpl = v == 3 || v == 4 ? 3 : 0, type = 0x8e | dpl << 5;
        uint64_t entry = (legacy ? SYS_LEGACY : SYS_LONG) + (P_HANDLER - P_SYS) + 16 * v;
        uint64_t low =
            (entry & 0xffff) | (legacy ? 0x40ull : 0x10ull) << 16 | type << 40 | (entry >> 16 & 0xffff) << 48;
        uint32_t at = legacy ? P_IDT_LEGACY + 8 * v : P_IDT + 16 * v;
        put(g, at, low);
        if (!legacy)
            put(g, at + 8, entry >> 32);
    }
}

static void make_tss(struct oracle_guest *g, bool legacy)
{
    uint8_t *tss = g->memory + P_GDT + (legacy ? 0xd00 : 0xc00);
    uint64_t stack = (legacy ? SYS_LEGACY : SYS_LONG) + (P_STACK - P_SYS) + 0x1000;
    tss[0x66] = 0x68; /* no I/O permission bitmap */
    if (legacy) {
        memcpy(tss + 4, &stack, 4);
        tss[8] = 0x18;
    } else {
        memcpy(tss + 4, &stack, 8);
    }
}

/* ---- the state that user code starts from ------------------------------------------------------------------------------- */
static void make_state(struct oracle_guest *g, bool legacy)
{
    struct x86_state *s = &g->template[legacy];
    uint64_t sys = legacy ? SYS_LEGACY : SYS_LONG;
    make_idt(g, legacy);
    make_tss(g, legacy);
    g->engine->get_state(g->vcpu, s);
    memcpy(s->seg, oracle_layouts[g->mode].seg, sizeof s->seg);
    s->cr0 = 0x80050033; /* PG AM WP NE ET MP PE */
    s->cr4 = 0x6a0;      /* OSXMMEXCPT OSFXSR PGE PAE */
    s->cr4 |= oracle_host_has_fsgsbase() ? 1 << 16 : 0;
    s->cr4 |= oracle_host_cpu()->xcr0 ? 1 << 18 : 0;
    s->efer = legacy ? 0x801 : 0xd01;
    s->cr3 = make_tables(g, legacy ? 3 : 4, sys);
    s->xcr0 = oracle_host_states();
    s->gdtr = (struct x86_table){sys, 0x47};
    s->idtr = (struct x86_table){sys + ((legacy ? P_IDT_LEGACY : P_IDT) - P_SYS), legacy ? 0x7ff : 0xfff};
    s->ldtr = (struct x86_seg){.base = sys + 0x800, .limit = 0x2f, .selector = 0x30, .attr = 0x82};
    s->tr = (struct x86_seg){.base = sys + (legacy ? 0xd00 : 0xc00), .limit = 0x67, .selector = 0x38, .attr = 0x8b};
    s->run_state = X86_RUNNING;
}

struct oracle_guest *oracle_guest_new(const struct cpu_engine *engine, enum oracle_mode mode)
{
    g_autoptr(GError) error = NULL;
    struct oracle_guest *g = g_new0(struct oracle_guest, 1);
    g->engine = engine;
    g->mode = mode;
    g->vm = (struct cpu_vm){
        .cpus = 1, .memory_bytes = BYTES, .tsc_khz = 1000000, .model = "host", .far_barriers = &g->far_barriers};
    g->vm.options = strcmp(engine->name, "interp") ? "hot=1" : "";
    g->vm.tsc_offset = &g->tsc_offset;
    g->vm.memory_fd = memfd_create("guest", MFD_CLOEXEC);
    if (g->vm.memory_fd < 0 || ftruncate(g->vm.memory_fd, BYTES))
        g_error("memfd");
    g->memory = g->vm.memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, g->vm.memory_fd, 0);
    g->evm = engine->vm_new(&g->vm, &error);
    if (!g->evm || !engine->map(g->evm, 0, BYTES, 0, CPU_MAP_RAM, &error))
        g_error("%s: %s", engine->name, error->message);
    g->vcpu = engine->vcpu_new(g->evm, 0, &error);
    if (!g->vcpu)
        g_error("%s: %s", engine->name, error->message);
    g->next_table = P_TABLES;
    memset(g->memory + P_HANDLER, 0xf4, 0x1000);
    make_descriptors(g);
    make_state(g, false);
    if (mode != ORACLE_64)
        make_state(g, true);
    return g;
}

void oracle_guest_free(struct oracle_guest *g)
{
    g->engine->vm_free(g->evm);
    munmap(g->memory, BYTES);
    close(g->vm.memory_fd);
    g_free(g);
}

uint8_t *oracle_guest_code(struct oracle_guest *g)
{
    return g->memory + P_CODE;
}

uint8_t *oracle_guest_window(struct oracle_guest *g)
{
    return g->memory + P_WIN;
}

void oracle_guest_wrote_code(struct oracle_guest *g, unsigned at, unsigned bytes)
{
    g->engine->touched(g->evm, P_CODE + at, bytes);
}

/* ---- one instruction ------------------------------------------------------------------------------------------------------ */
static bool has_error(int vector)
{
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

/* The exception's frame on the kernel stack. */
static void read_frame(struct oracle_guest *g, struct oracle_cpu *cpu, bool legacy)
{
    const struct x86_state *s = &g->state;
    unsigned n = legacy ? 4 : 8;
    const uint8_t *at = g->memory + P_STACK + (s->gpr[X86_RSP] & 0xfff);
    uint64_t frame[5] = {0};
    cpu->error = 0;
    if (has_error(cpu->vector)) {
        memcpy(&cpu->error, at, 4);
        at += n;
    }
    for (unsigned i = 0; i < 5; i++)
        memcpy(&frame[i], at + i * n, n);
    cpu->rip = frame[0];
    cpu->rflags = frame[2];
    cpu->gpr[X86_RSP] = frame[3];
}

bool oracle_guest_run(struct oracle_guest *g, struct oracle_cpu *cpu, bool legacy)
{
    g_autoptr(GError) error = NULL;
    struct x86_state *s = &g->state;
    *s = g->template[legacy];
    memcpy(s->gpr, cpu->gpr, sizeof s->gpr);
    s->rip = cpu->rip;
    s->rflags = cpu->rflags;
    if (g->mode == ORACLE_64) {
        s->seg[X86_FS].base = cpu->fs_base;
        s->seg[X86_GS].base = cpu->gs_base;
    }
    memcpy(s->xsave, cpu->xsave, sizeof s->xsave);
    g->engine->set_state(g->vcpu, s);
    enum cpu_stop stop = g->engine->run(g->vcpu, &error);
    g->engine->get_state(g->vcpu, s);
    uint64_t handler = (legacy ? SYS_LEGACY : SYS_LONG) + (P_HANDLER - P_SYS), v = s->rip - handler - 1;
    if (stop != CPU_STOP_HLT || v > 0xff0 || v % 16) {
        fprintf(stderr, "# %s: stop %d at rip 0x%" G_GINT64_MODIFIER "x: %s\n", g->engine->name, stop, s->rip,
                error ? error->message : "");
        return false;
    }
    memcpy(cpu->gpr, s->gpr, sizeof s->gpr);
    memcpy(cpu->xsave, s->xsave, sizeof s->xsave);
    cpu->vector = (int)v / 16;
    cpu->cr2 = s->cr2;
    read_frame(g, cpu, legacy);
    if (cpu->vector == 1)
        cpu->vector = ORACLE_STEPPED;
    return true;
}
