// SPDX-License-Identifier: GPL-2.0-or-later
/* engine.c - tier 1, and tier 2 above it, as CPU engines: the tables that plug them into a machine. */
#include "core-vmm/api/hyperv.h"
#include "patcher/host_fault.h"
#include "patcher/check/lockstep.h"
#include "patcher/native/replay.h"
#include "patcher/patcher.h"
#include "patcher/interp/speculation.h"
#include "patcher/interp/system.h"
#include "patcher/vcpu.h"
#include "patcher/translate/translate.h"
#include <string.h>

#define HOT 12 /* a block is translated when it is entered this often */

static bool probe(GError **error)
{
    return host_cpu_fits(error);
}

/* For tests and whoever debugs an engine; hot and lockstep are nothing to the interpreter. */
struct options {
    enum cpu_maker maker;
    uint32_t hot;
    bool lockstep;
};

static bool take_option(struct options *o, const char *word)
{
    if (!strcmp(word, "maker=intel"))
        o->maker = MAKER_INTEL;
    else if (!strcmp(word, "maker=amd"))
        o->maker = MAKER_AMD;
    else if (g_str_has_prefix(word, "hot="))
        o->hot = g_ascii_strtoull(word + 4, NULL, 10);
    else if (!strcmp(word, "lockstep"))
        o->lockstep = true;
    else
        return !*word;
    return true;
}

static bool take_options(struct options *o, const struct cpu_vm *cfg, GError **error)
{
    g_auto(GStrv) words = g_strsplit(cfg->options ? cfg->options : "", ",", -1);
    for (char **w = words; *w; w++)
        if (!take_option(o, *w)) {
            g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
                        "engine-options: there are maker=intel, maker=amd, hot=N and lockstep, not \"%s\"", *w);
            return false;
        }
    return true;
}

static void vm_free(void *evm)
{
    struct soft_vm *vm = evm;
    for (unsigned i = 0; i < vm->cfg->cpus; i++)
        vcpu_free(vm->vcpu[i]);
    for (unsigned i = 0; i < GPA_L1_SIZE; i++)
        g_free((void *)vm->gpa[i]);
    for (uint64_t i = 0; vm->code_bits && i < vm->pages; i++)
        g_free(atomic_load(&vm->code_bits[i]));
    g_mutex_clear(&vm->lock);
    g_mutex_clear(&vm->split_lock);
    g_ptr_array_unref(vm->spare_bits);
    g_free(vm->code_bits);
    g_free(vm->dirty);
    g_free(vm->vcpu);
    g_free(vm->cpuid);
    g_free(vm);
}

static struct soft_vm *vm_new(const struct cpu_vm *cfg, const struct options *o, GError **error)
{
    if (!host_cpu_fits(error)) /* whoever asks for the engine by name gets here without its probe */
        return NULL;
    struct soft_vm *vm = g_new0(struct soft_vm, 1);
    host_cpu_learn(&vm->host);
    vm->cpuid = cpuid_new(cfg, &vm->host, o->maker, error);
    if (!vm->cpuid) {
        g_free(vm);
        return NULL;
    }
    vm->cfg = cfg;
    vm->machine = cfg->machine;
    vm->memory = cfg->memory;
    vm->pages = cfg->memory_bytes / PAGE_SIZE;
    vm->budget = budget_for(cfg->cpus);
    vm->spare_bits = g_ptr_array_new_with_free_func(g_free);
    vm->code_bits = g_try_malloc0_n(vm->pages + 1, sizeof *vm->code_bits); /* never NULL for want of pages */
    vm->dirty = g_try_malloc0_n(vm->pages / 64 + 1, sizeof *vm->dirty);
    vm->vcpu = g_new0(struct vcpu *, cfg->cpus);
    g_mutex_init(&vm->lock);
    g_mutex_init(&vm->split_lock);
    if (vm->code_bits && vm->dirty)
        return vm;
    budget_no_memory("what is known of each page", vm->pages * sizeof *vm->code_bits, error);
    vm_free(vm);
    return NULL;
}

static void *vm_new_interpreting(const struct cpu_vm *cfg, GError **error)
{
    struct options o = {0};
    return take_options(&o, cfg, error) ? vm_new(cfg, &o, error) : NULL;
}

static void *vm_new_translating(const struct cpu_vm *cfg, GError **error)
{
    struct options o = {.hot = HOT};
    if (!take_options(&o, cfg, error))
        return NULL;
    if (o.lockstep && cfg->cpus > 1) {
        g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
                    "engine-options: lockstep works with one CPU, not %u", cfg->cpus);
        return NULL;
    }
    struct soft_vm *vm = vm_new(cfg, &o, error);
    if (!vm)
        return NULL;
    vm->translate = true;
    vm->lone = cfg->far_barriers;
    if (vm->lone)
        *cfg->far_barriers = true;
    vm->hot = o.hot;
    vm->lockstep = o.lockstep;
    return vm;
}

static bool map(void *evm, uint64_t gpa, uint64_t bytes, uint64_t offset, int how, GError **error)
{
    return vm_map(evm, gpa, bytes, offset, how, error);
}

static void touched(void *evm, uint64_t offset, uint64_t bytes)
{
    struct soft_vm *vm = evm;
    uint64_t end = offset + bytes;
    for (uint64_t n; offset < end && offset < vm->pages * PAGE_SIZE; offset += n) {
        n = PAGE_SIZE - (offset & ~PAGE_MASK);
        n = n < end - offset ? n : end - offset;
        code_written(vm, NULL, offset, n);
        lockstep_dma(vm);
        vm_mark_dirty(vm, offset);
    }
}

static void dirty(void *evm, uint64_t offset, uint64_t bytes, uint64_t *bitmap)
{
    vm_dirty(evm, offset, bytes, bitmap);
}

static void *new_vcpu(void *evm, unsigned index, GError **error)
{
    struct soft_vm *vm = evm;
    host_fault_init();
    struct vcpu *c = vm->vcpu[index] = vcpu_new(vm, index, error);
    return c && (!vm->translate || trans_new(c, error)) ? c : NULL;
}

static enum cpu_stop run(void *vcpu, GError **error)
{
    if (!host_fault_begin(vcpu, error))
        return CPU_STOP_FAIL;
    speculation_follow(vcpu); /* a state may have been loaded */
    struct vcpu *c = vcpu;
    atomic_store(&c->running, true); /* before it looks for requests: see tlb_remote.c */
    enum cpu_stop stop = vcpu_run(vcpu, error);
    atomic_store(&c->running, false);
    fpu_leave(vcpu);
    host_fault_end();
    return stop;
}

static void kick(void *vcpu)
{
    request(vcpu, REQ_KICK);
}

static void signal_pin(void *vcpu, enum cpu_signal what, unsigned value)
{
    vcpu_signal(vcpu, what, value);
}

static void get_state(void *vcpu, struct x86_state *out)
{
    vcpu_get_state(vcpu, out);
}

static void set_state(void *vcpu, const struct x86_state *in)
{
    vcpu_set_state(vcpu, in);
}

static void show_cpuid(void *vcpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    cpuid(vcpu, leaf, subleaf, out);
}

static void registers(void *vcpu, uint64_t gpr[8], bool set)
{
    io_registers(vcpu, gpr, set);
}

static void flush_tlbs(void *vcpu, uint64_t cpus)
{
    tlb_flush_many(vcpu, cpus);
}

static const struct hyperv_engine hyperv = {.flush = flush_tlbs};

static void memory(void *evm, struct cpu_memory *out)
{
    budget_report(evm, out);
}

static void counters(void *evm, cpu_count_fn fn, void *ctx)
{
    stats_report(evm, fn, ctx);
}

static char *dump(void *vcpu, unsigned most, GError **error)
{
    return trans_dump(vcpu, most);
}

const struct cpu_engine interp_engine = {
    .name = "interp",
    .probe = probe,
    .vm_new = vm_new_interpreting,
    .vm_free = vm_free,
    .map = map,
    .touched = touched,
    .dirty = dirty,
    .vcpu_new = new_vcpu,
    .run = run,
    .kick = kick,
    .signal = signal_pin,
    .get_state = get_state,
    .set_state = set_state,
    .cpuid = show_cpuid,
    .registers = registers,
    .hyperv = &hyperv,
    .memory = memory,
    .counters = counters,
};

const struct cpu_engine soft_engine = {
    .name = "soft",
    .probe = probe,
    .vm_new = vm_new_translating,
    .vm_free = vm_free,
    .map = map,
    .touched = touched,
    .dirty = dirty,
    .vcpu_new = new_vcpu,
    .run = run,
    .kick = kick,
    .signal = signal_pin,
    .get_state = get_state,
    .set_state = set_state,
    .cpuid = show_cpuid,
    .registers = registers,
    .hyperv = &hyperv,
    .memory = memory,
    .counters = counters,
    .dump = dump,
};
