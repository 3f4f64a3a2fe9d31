// SPDX-License-Identifier: GPL-2.0-or-later
/* bare_machine.c - its board, its chips, and how it is made, see bare_machine.h. */
#include "tests/hwaccel/bare_machine.h"
#include "core-vmm/machine/state.h"
#include "hwaccel/hwaccel.h"
#include "patcher/patcher.h"
#include "tests/core-vmm/own_board.h"
#include "tests/core-vmm/unstarted.h"
#include <string.h>

static struct bare_machine *bare_of(struct machine *m)
{
    return *(struct bare_machine **)machine_device(m, "bare")->state;
}

static uint64_t masked(uint64_t value, unsigned size)
{
    return size == 8 ? value : value & ((1ull << 8 * size) - 1);
}

/* ---- ports, MMIO, memory ---- */

enum { ROM = BARE_ROM, VIDEO = BARE_VIDEO, TEXT = BARE_MEMORIES, FINISH, PATTERN, REGISTERS, MMIO };

static bool bare_init(struct device *d, const struct config *c, GError **error)
{
    dev_memory(d, ROM, d->ops->regions[ROM].bytes, true);
    dev_memory(d, VIDEO, d->ops->regions[VIDEO].bytes, false);
    return true;
}

static uint64_t bare_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    struct bare_machine *m = bare_of(d->machine);
    uint64_t value = ~0ull;
    if (region == MMIO)
        memcpy(&value, m->mmio_bytes + offset, size);
    if (region == PATTERN) {
        struct access a = {PORT_PATTERN + offset, masked(m->pattern++, size), size, false};
        g_array_append_val(m->ports, a);
        value = a.value;
    }
    return value;
}

/* A chip does not hear which CPU it is, but this is its thread. */
static void finish(struct bare_machine *m)
{
    for (unsigned cpu = 0; cpu < m->vm->cpus; cpu++)
        if (m->thread[cpu] == pthread_self()) {
            m->finished[cpu] = true;
            m->engine->kick(m->vcpu[cpu]);
        }
}

static void bare_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    struct bare_machine *m = bare_of(d->machine);
    struct access a = {PORT_PATTERN + offset, value, size, true};
    switch (region) {
    case TEXT: g_string_append_c(m->text, value); break;
    case FINISH: finish(m); break;
    case PATTERN: g_array_append_val(m->ports, a); break;
    case MMIO: memcpy(m->mmio_bytes + offset, &value, size); break;
    }
}

/* RSP as well, which the engine must leave as it is. */
static void bare_port_call(struct device *d, struct port_call *p)
{
    p->value = p->gpr[X86_RAX] + 1;
    for (unsigned n = 0; n < G_N_ELEMENTS(p->gpr); n++)
        p->gpr[n] = ~p->gpr[n];
}

static const struct device_ops bare_ops = {
    .name = "bare",
    .state_bytes = sizeof(struct bare_machine *),
    .regions =
        {
            [ROM] = {BUS_MEM, .bytes = 4096, .off = true},
            [VIDEO] = {BUS_MEM, .bytes = 1 << 20, .off = true},
            [TEXT] = {BUS_PORT, PORT_TEXT, 1, 1, 1},
            [FINISH] = {BUS_PORT, PORT_FINISH, 1, 1, 1},
            [PATTERN] = {BUS_PORT, PORT_PATTERN, 4, 1, 4},
            [REGISTERS] = {BUS_PORT, PORT_REGISTERS, 4, 1, 4, .registers = true},
            [MMIO] = {BUS_MEM, BARE_MMIO, BARE_MMIO_BYTES, 1, 8},
        },
    .init = bare_init,
    .read = bare_read,
    .write = bare_write,
    .port_call = bare_port_call,
};

/* ---- what the engine asks of core, on its way there ---- */

static void note(struct machine *machine, struct access a)
{
    struct bare_machine *m = bare_of(machine);
    struct device *d = machine_device(machine, "bare");
    dev_lock(d);
    g_array_append_val(m->mmio, a);
    dev_unlock(d);
}

uint64_t __real_machine_load(struct machine *m, unsigned cpu, uint64_t gpa, unsigned size);
uint64_t __wrap_machine_load(struct machine *m, unsigned cpu, uint64_t gpa, unsigned size);
uint64_t __wrap_machine_load(struct machine *m, unsigned cpu, uint64_t gpa, unsigned size)
{
    uint64_t value = __real_machine_load(m, cpu, gpa, size);
    note(m, (struct access){gpa, value, size, false});
    return value;
}

void __real_machine_store(struct machine *m, unsigned cpu, uint64_t gpa, unsigned size, uint64_t value);
void __wrap_machine_store(struct machine *m, unsigned cpu, uint64_t gpa, unsigned size, uint64_t value);
void __wrap_machine_store(struct machine *m, unsigned cpu, uint64_t gpa, unsigned size, uint64_t value)
{
    note(m, (struct access){gpa, value, size, true});
    __real_machine_store(m, cpu, gpa, size, value);
}

/* ---- interrupts ---- */

/* No line is wired to it. */
static void chip_input(struct device *d, unsigned pin, bool level)
{
}

static int pic_ack(struct device *d)
{
    struct bare_machine *m = bare_of(d->machine);
    int vector = m->vector;
    m->vector = -1;
    m->acks++;
    irq_pic_output(d, false);
    return vector;
}

static void ioapic_eoi(struct device *d, uint8_t vector)
{
    bare_of(d->machine)->eois[vector]++;
}

static const struct irqchip_ops pic = {.kind = IRQCHIP_PIC, .input = chip_input, .ack = pic_ack},
                                ioapic = {.kind = IRQCHIP_IOAPIC, .input = chip_input, .eoi = ioapic_eoi};
static const struct device_ops pic_ops = {.name = "bare-pic", .irqchip = &pic},
                               ioapic_ops = {.name = "bare-ioapic", .irqchip = &ioapic};

/* Its lock is the one of all interrupt controllers. */
static struct device *locked_pic(struct bare_machine *m)
{
    struct device *d = m->machine->irq.pic;
    dev_lock(d);
    return d;
}

void bare_interrupt(struct bare_machine *m, int vector)
{
    struct device *d = locked_pic(m);
    m->vector = vector;
    irq_pic_output(d, true);
    dev_unlock(d);
}

int bare_withdraw(struct bare_machine *m)
{
    struct device *d = locked_pic(m);
    int vector = m->vector;
    m->vector = -1;
    irq_pic_output(d, false);
    dev_unlock(d);
    return vector;
}

void bare_signal(struct bare_machine *m, unsigned cpu, enum cpu_signal what, unsigned value)
{
    irq_cpu(m->machine->irq.pic, cpu, what, value);
}

uint8_t bare_tpr(struct bare_machine *m, unsigned cpu)
{
    return machine_tpr(m->machine, cpu);
}

/* ---- making one ---- */

/* The engine's name in machine.ini. */
static const struct {
    const char *name;
    const struct cpu_engine *engine;
} engines[] = {
    {"kvm", &kvm_engine}, {"kvm-no-chips", &kvm_engine_no_chips}, {"soft", &soft_engine}, {"interp", &interp_engine}};

static void state_kept(void *vcpu, const struct x86_state *in)
{
}

static void lapic_kept(void *vcpu, const struct cpu_lapic *in)
{
}

/* A copy, in which time stands still; the machine's first reset does not come through to it. */
const struct cpu_engine *engine_choose(const char *name, char **reason, GError **error)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(engines); i++)
        if (!strcmp(engines[i].name, name)) {
            struct cpu_engine *e = g_memdup2(engines[i].engine, sizeof *e);
            e->stepped = true;
            e->set_state = state_kept;
            e->set_lapic = e->set_lapic ? lapic_kept : NULL;
            return e;
        }
    g_assert_not_reached();
}

bool board_pc_build(struct machine *m, GError **error)
{
    static const struct wiring own[] = {{&bare_ops, "bare", .slot = -1},
                                        {&pic_ops, "bare-pic", .slot = -1, .irqchip = true},
                                        {&ioapic_ops, "bare-ioapic", .slot = -1, .irqchip = true}};
    for (unsigned i = 0; i < G_N_ELEMENTS(own); i++)
        machine_add(m, device_new(m, &own[i]));
    machine_add(m, device_new(m, pc_place("fpu-error")));
    if (!m->engine->msi)
        machine_add(m, device_new(m, pc_place("lapic")));
    for (unsigned i = 0; i < m->devices; i++)
        if (!device_init(m->device[i], error))
            return false;
    return true;
}

static struct machine *build(const struct cpu_engine *engine, unsigned cpus, const char *model, const char *options)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *memory = g_strdup_printf("%u", BARE_MEMORY);
    g_key_file_set_string(file, "machine", "memory", memory);
    g_key_file_set_integer(file, "machine", "cpus", cpus);
    g_key_file_set_integer(file, "machine", "sockets", 1);
    g_key_file_set_string(file, "machine", "cpu-model", model);
    g_key_file_set_string(file, "machine", "engine-options", options);
    for (unsigned i = 0; i < G_N_ELEMENTS(engines); i++)
        if (engines[i].engine == engine)
            g_key_file_set_string(file, "machine", "engine", engines[i].name);
    return machine_unstarted(file);
}

struct bare_machine *bare_new_model(const struct cpu_engine *engine, unsigned cpus, const char *model,
                                    const char *options)
{
    struct bare_machine *m = g_new0(struct bare_machine, 1);
    struct machine *machine = m->machine = build(engine, cpus, model, options);
    struct cpu_engine *copy = (struct cpu_engine *)machine->engine;
    copy->set_state = engine->set_state;
    copy->set_lapic = engine->set_lapic;
    m->engine = copy;
    m->vm = &machine->cpu_vm;
    m->evm = machine->engine_vm;
    for (unsigned i = 0; i < cpus; i++)
        m->vcpu[i] = machine->vcpu[i].engine_vcpu;
    m->memory = machine->memory.base;
    m->vector = -1;
    m->pattern = 0xa1b2c3d4;
    m->text = g_string_new(NULL);
    m->ports = g_array_new(FALSE, FALSE, sizeof(struct access));
    m->mmio = g_array_new(FALSE, FALSE, sizeof(struct access));
    *(struct bare_machine **)machine_device(machine, "bare")->state = m;
    return m;
}

struct bare_machine *bare_new(const struct cpu_engine *engine, unsigned cpus)
{
    return bare_new_model(engine, cpus, "host", "");
}

void bare_free(struct bare_machine *m)
{
    machine_free(m->machine);
    g_free((struct cpu_engine *)m->engine);
    g_string_free(m->text, TRUE);
    g_array_unref(m->ports);
    g_array_unref(m->mmio);
    g_free(m);
}

/* ---- what else core does ---- */

void bare_reset(struct bare_machine *m)
{
    machine_reset(m->machine);
    machine_settle(m->machine);
}

uint64_t bare_place(struct bare_machine *m, enum bare_memory which, uint64_t gpa, bool on)
{
    struct device *d = machine_device(m->machine, "bare");
    dev_lock(d);
    dev_map(d, which, gpa, on);
    dev_unlock(d);
    return d->core->region[which].memory;
}

void bare_video_dirty(struct bare_machine *m, uint64_t *bitmap)
{
    struct device *d = machine_device(m->machine, "bare");
    dev_lock(d);
    dev_memory_dirty(d, VIDEO, bitmap);
    dev_unlock(d);
}

/* Nobody waits for that long: the clock takes it as it takes a saved one. */
void bare_stood(struct bare_machine *m, uint64_t ticks)
{
    g_autoptr(GError) error = NULL;
    struct clock *c = m->machine->clock;
    struct stream saved, changed;
    uint64_t tsc;
    clock_stand(c);
    stream_init_save(&saved);
    clock_sync(c, &saved, NULL);
    uint8_t *second = saved.bytes->data + sizeof tsc; /* of its numbers, after the time */
    memcpy(&tsc, second, sizeof tsc);
    tsc -= ticks;
    memcpy(second, &tsc, sizeof tsc);
    stream_init_load(&changed, saved.bytes->data, saved.bytes->len);
    clock_sync(c, &changed, &error);
    g_assert_no_error(error);
    stream_clear(&saved);
    stream_clear(&changed);
    clock_go(c);
}

static void sync_cpu(struct machine *m, struct stream *s)
{
    g_autoptr(GArray) table = state_table(m);
    g_autoptr(GError) error = NULL;
    for (unsigned i = 0; i < table->len; i++) {
        struct state_part *p = &g_array_index(table, struct state_part, i);
        if (!strcmp(p->name, "cpu 0"))
            p->sync(m, p, s, &error);
    }
    g_assert_no_error(error);
    g_assert_true(stream_ok(s));
}

void bare_move(struct bare_machine *from, struct bare_machine *to)
{
    struct stream out, in;
    stream_init_save(&out);
    sync_cpu(from->machine, &out);
    memcpy(to->memory, from->memory, BARE_MEMORY);
    stream_init_load(&in, out.bytes->data, out.bytes->len);
    sync_cpu(to->machine, &in);
    g_assert_cmpuint(in.at, ==, out.bytes->len);
    stream_clear(&out);
    stream_clear(&in);
}
