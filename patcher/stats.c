// SPDX-License-Identifier: GPL-2.0-or-later
/* stats.c - what the engine counts of itself, in words. */
#include "patcher/stats.h"
#include "patcher/vm.h"
#include <string.h>

static const struct {
    const char *group, *name;
} names[COUNTS] = {
    [COUNT_BLOCKS_DECODED] = {"code", "blocks decoded"},
    [COUNT_DECODED_AGAIN] = {"code", "instructions of translated blocks decoded again"},
    [COUNT_BLOCKS_TRANSLATED] = {"code", "blocks translated"},
    [COUNT_BLOCKS_APART] = {"code", "... again, with a lookup for each operand"},
    [COUNT_BLOCKS_KILLED] = {"code", "blocks killed by writes"},
    [COUNT_CODE_WRITES] = {"code", "writes to decoded bytes"},
    [COUNT_DROPS_DECODED_FULL] = {"code", "decoded code dropped: full"},
    [COUNT_DROPS_CODE_FULL] = {"code", "everything dropped: translated code full"},
    [COUNT_DROPS_OTHER] = {"code", "everything dropped: reset, state loaded, too many writes"},
    [COUNT_TLB_WALKS] = {"memory", "page walks"},
    [COUNT_TLB_RETAGS] = {"memory", "write tags given later"},
    [COUNT_TLB_FLUSHES] = {"memory", "TLB flushes"},
    [COUNT_TLB_CR3_KEPT] = {"memory", "CR3 loads that kept the TLB"},
    [COUNT_TLB_CR3_NEW] = {"memory", "CR3 loads that emptied it"},
    [COUNT_PAGE_CROSSINGS] = {"memory", "accesses across a page end"},
    [COUNT_DEVICE_ACCESSES] = {"memory", "accesses to devices' memory"},
    [COUNT_ENTERED] = {"left", "translated code entered from tier 1"},
    [COUNT_EXEC_UNTRANSLATED] = {"left", "instructions without translation"},
    [COUNT_EXEC_OPERAND] = {"left", "instructions whose operand is not at hand"},
    [COUNT_RESTS] = {"left", "... whose block tier 1 went on with"},
    [COUNT_FILLED] = {"left", "operands that came to hand by a page walk"},
    [COUNT_LINKS] = {"left", "direct jumps not chained"},
    [COUNT_TARGET_MISSES] = {"left", "indirect jumps not found"},
    [COUNT_REQUESTS] = {"left", "requests at the entry of a block"},
    [COUNT_LEFT_CHANGED] = {"left", "vector state or own code changed"},
    [COUNT_NETTED] = {"left", "exceptions of the host"},
    [COUNT_NET_LEFT] = {"left", "... so often that the instruction lost its translation"},
    [COUNT_KICKS] = {"events", "kicks"},
    [COUNT_INTERRUPTS] = {"events", "interrupts"},
    [COUNT_EXCEPTIONS] = {"events", "exceptions other than page faults"},
    [COUNT_PAGE_FAULTS] = {"events", "page faults"},
    [COUNT_STEPS] = {"events", "single instructions"},
    [COUNT_STRETCHES] = {"lockstep", "stretches compared"},
    [COUNT_STRETCHES_LEFT] = {"lockstep", "... not compared: a device wrote to memory"},
    [COUNT_DONE_AGAIN] = {"lockstep", "instructions done again"},
};

static unsigned key(const struct insn *in)
{
    unsigned map = in->map == 0x3a ? 3 : in->map == 0x38 ? 2 : in->map == 0x0f;
    return (map << 8 | in->opcode) << 3 | (in->reg_no & 7);
}

struct opcode_count *stats_opcode_of(struct vcpu *c, const struct insn *in)
{
    struct opcode_count *o = &c->stats->opcode[key(in)];
    if (unlikely(!o->bytes[0] && !o->bytes[1])) {
        memcpy(o->bytes, insn_raw(in), in->len);
        o->mode = insn_block(in)->mode;
    }
    return o;
}

void stats_opcode(struct vcpu *c, const struct insn *in, bool operand)
{
    struct opcode_count *o = stats_opcode_of(c, in);
    c->stats->count[operand ? COUNT_EXEC_OPERAND : COUNT_EXEC_UNTRANSLATED]++;
    ++*(operand ? &o->operand : &o->untranslated);
}

static void add(GHashTable *by_name, const struct opcode_count *o)
{
    const char *name = decode_mnemonic(o->bytes, sizeof o->bytes, o->mode);
    struct opcode_count *sum = g_hash_table_lookup(by_name, name);
    if (!sum) {
        sum = g_new0(struct opcode_count, 1);
        g_hash_table_insert(by_name, g_strdup(name), sum);
    }
    sum->untranslated += o->untranslated;
    sum->operand += o->operand;
}

static void report_opcodes(struct soft_vm *vm, stats_fn fn, void *ctx)
{
    g_autoptr(GHashTable) by_name = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    GHashTableIter i;
    gpointer name, sum;
    for (unsigned n = 0; n < vm->cfg->cpus; n++)
        for (unsigned k = 0; vm->vcpu[n] && k < OPCODE_KEYS; k++) {
            const struct opcode_count *o = &vm->vcpu[n]->stats->opcode[k];
            if (o->untranslated || o->operand)
                add(by_name, o);
        }
    for (g_hash_table_iter_init(&i, by_name); g_hash_table_iter_next(&i, &name, &sum);) {
        if (((struct opcode_count *)sum)->untranslated)
            fn(ctx, "untranslated", name, ((struct opcode_count *)sum)->untranslated);
        if (((struct opcode_count *)sum)->operand)
            fn(ctx, "operand not at hand", name, ((struct opcode_count *)sum)->operand);
    }
}

void stats_report(struct soft_vm *vm, stats_fn fn, void *ctx)
{
    for (unsigned k = 0; k < COUNTS; k++) {
        uint64_t sum = 0;
        for (unsigned n = 0; n < vm->cfg->cpus; n++)
            if (vm->vcpu[n])
                sum += vm->vcpu[n]->stats->count[k];
        fn(ctx, names[k].group, names[k].name, sum);
    }
    report_opcodes(vm, fn, ctx);
}
