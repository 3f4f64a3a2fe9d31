// SPDX-License-Identifier: GPL-2.0-or-later
/* stepped.c - the engine that runs nothing, and the machine around it. */
#include "tests/core-vmm/stepped.h"
#include "tests/core-vmm/unstarted.h"
#include <string.h>

/* The engine's VM is found by its configuration: machine_new() makes it before anybody has the machine. */
struct evm {
    struct stepped seen;
    const struct cpu_vm *cfg;
    struct vcpu {
        struct evm *evm;
        unsigned index;
        uint64_t gpr[8];
    } vcpu[MAX_CPUS];
};

static void *vm_new(const struct cpu_vm *cfg, GError **error)
{
    struct evm *e = g_new0(struct evm, 1);
    e->cfg = cfg;
    e->seen.maps = g_array_new(FALSE, FALSE, sizeof(struct stepped_map));
    e->seen.written = g_new0(uint64_t, cfg->memory_bytes / PAGE / 64 + 1);
    return e;
}

static void vm_free(void *evm)
{
    struct evm *e = evm;
    g_array_unref(e->seen.maps);
    g_free(e->seen.written);
    g_free(e);
}

static bool map(void *evm, uint64_t gpa, uint64_t bytes, uint64_t offset, int how, GError **error)
{
    struct evm *e = evm;
    struct stepped_map one = {gpa, bytes, (how & 0xff) == CPU_MAP_NONE ? NO_MEMORY : offset, how};
    g_assert_cmpuint((gpa | bytes | offset) % PAGE, ==, 0);
    g_array_prepend_val(e->seen.maps, one);
    return true;
}

static void touched(void *evm, uint64_t offset, uint64_t bytes)
{
    struct stepped *s = &((struct evm *)evm)->seen;
    s->touched += bytes;
    for (uint64_t page = offset / PAGE; bytes && page <= (offset + bytes - 1) / PAGE; page++)
        s->written[page / 64] |= 1ull << page % 64;
}

static void dirty(void *evm, uint64_t offset, uint64_t bytes, uint64_t *bitmap)
{
    struct stepped *s = &((struct evm *)evm)->seen;
    for (uint64_t i = 0, page = offset / PAGE; i < bytes / PAGE; i++, page++) {
        bitmap[i / 64] |= (s->written[page / 64] >> page % 64 & 1) << i % 64;
        s->written[page / 64] &= ~(1ull << page % 64);
    }
}

static void *vcpu_new(void *evm, unsigned index, GError **error)
{
    struct evm *e = evm;
    e->vcpu[index] = (struct vcpu){.evm = e, .index = index};
    return &e->vcpu[index];
}

static enum cpu_stop run(void *vcpu, GError **error)
{
    return CPU_STOP_HLT;
}

static void kick(void *vcpu)
{
}

static void signal_pin(void *vcpu, enum cpu_signal what, unsigned value)
{
    struct vcpu *v = vcpu;
    struct stepped *s = &v->evm->seen;
    s->intr[v->index] = what == CPU_SIGNAL_INTR ? value : s->intr[v->index];
    s->nmis[v->index] += what == CPU_SIGNAL_NMI;
    s->inits[v->index] += what == CPU_SIGNAL_INIT;
    s->sipis[v->index] += what == CPU_SIGNAL_SIPI;
    if (what == CPU_SIGNAL_SIPI)
        s->sipi_vector[v->index] = value;
}

static void get_state(void *vcpu, struct x86_state *out)
{
    x86_state_reset(out, true);
}

static void set_state(void *vcpu, const struct x86_state *in)
{
}

static void registers(void *vcpu, uint64_t gpr[8], bool set)
{
    uint64_t *own = ((struct vcpu *)vcpu)->gpr;
    memcpy(set ? own : gpr, set ? gpr : own, 8 * sizeof *gpr);
}

const struct cpu_engine *engine_choose(const char *name, char **reason, GError **error)
{
    static const struct cpu_engine scripted = {
        .name = "script",
        .stepped = true,
        .vm_new = vm_new,
        .vm_free = vm_free,
        .map = map,
        .touched = touched,
        .dirty = dirty,
        .vcpu_new = vcpu_new,
        .run = run,
        .kick = kick,
        .signal = signal_pin,
        .get_state = get_state,
        .set_state = set_state,
        .registers = registers,
    };
    *reason = g_strdup("a test asks for it");
    return &scripted;
}

struct stepped *stepped_of(struct machine *m)
{
    return m->engine_vm ? &((struct evm *)m->engine_vm)->seen : NULL;
}

struct stepped *stepped_of_file(GKeyFile *file)
{
    struct machine *m = machine_unstarted(file);
    struct stepped *s = stepped_of(m);
    s->m = m;
    return s;
}

struct stepped *stepped_new(const char *settings)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *text = g_strconcat("[machine]\nmemory = 16M\n", settings, NULL);
    g_assert_true(g_key_file_load_from_data(file, text, -1, 0, &error));
    return stepped_of_file(file);
}

void stepped_free(struct stepped *s)
{
    machine_free(s->m);
}

void stepped_ns(struct stepped *s, uint64_t ns)
{
    clock_step(s->m->clock, ns);
}

void stepped_reset(struct stepped *s)
{
    machine_reset(s->m);
    machine_settle(s->m);
}

uint64_t in(struct stepped *s, uint16_t port, unsigned size)
{
    return machine_in(s->m, 0, port, size);
}

void out(struct stepped *s, uint16_t port, unsigned size, uint64_t value)
{
    machine_out(s->m, 0, port, size, value);
}

uint64_t load(struct stepped *s, uint64_t gpa, unsigned size)
{
    return machine_load(s->m, 0, gpa, size);
}

void store(struct stepped *s, uint64_t gpa, unsigned size, uint64_t value)
{
    machine_store(s->m, 0, gpa, size, value);
}

static void pci_select(struct stepped *s, unsigned slot, unsigned function, unsigned offset)
{
    out(s, 0xcf8, 4, 0x80000000 | slot << 11 | function << 8 | (offset & 0xfc));
}

uint32_t pci_in(struct stepped *s, unsigned slot, unsigned function, unsigned offset, unsigned size)
{
    pci_select(s, slot, function, offset);
    return in(s, 0xcfc + (offset & 3), size);
}

void pci_out(struct stepped *s, unsigned slot, unsigned function, unsigned offset, unsigned size, uint32_t value)
{
    pci_select(s, slot, function, offset);
    out(s, 0xcfc + (offset & 3), size, value);
}

int take(struct stepped *s, unsigned cpu)
{
    return s->intr[cpu] ? machine_ack(s->m, cpu) : -1;
}

struct stepped_map mapped(struct stepped *s, uint64_t gpa)
{
    for (unsigned i = 0; i < s->maps->len; i++) {
        struct stepped_map *one = &g_array_index(s->maps, struct stepped_map, i);
        if (gpa - one->gpa < one->bytes)
            return one->offset == NO_MEMORY
                       ? *one
                       : (struct stepped_map){gpa & ~(PAGE - 1), PAGE, one->offset + (gpa & ~(PAGE - 1)) - one->gpa,
                                              one->how};
    }
    return (struct stepped_map){gpa, PAGE, NO_MEMORY, CPU_MAP_NONE};
}
