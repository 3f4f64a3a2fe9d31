// SPDX-License-Identifier: GPL-2.0-or-later
/* commands_debug.c - debug.*: registers, counters and code of the engine. */
#include "core-vmm/control/commands.h"
#include <inttypes.h>
#include <unistd.h>

static void set_hex(JsonObject *o, const char *name, uint64_t v)
{
    char text[24];
    g_snprintf(text, sizeof text, "0x%" PRIx64, v);
    json_object_set_string_member(o, name, text);
}

static void set_general(JsonObject *o, const struct x86_state *s)
{
    static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                        "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
        set_hex(o, names[i], s->gpr[i]);
    set_hex(o, "rip", s->rip);
    set_hex(o, "rflags", s->rflags);
}

static void set_control(JsonObject *o, const struct x86_state *s)
{
    set_hex(o, "cr0", s->cr0);
    set_hex(o, "cr2", s->cr2);
    set_hex(o, "cr3", s->cr3);
    set_hex(o, "cr4", s->cr4);
    set_hex(o, "cr8", s->cr8);
    set_hex(o, "efer", s->efer);
    set_hex(o, "gdtr", s->gdtr.base);
    set_hex(o, "idtr", s->idtr.base);
    set_hex(o, "tsc", s->tsc);
}

static void set_segment(JsonObject *o, const char *name, const struct x86_seg *g)
{
    JsonObject *seg = json_object_new();
    set_hex(seg, "selector", g->selector);
    set_hex(seg, "base", g->base);
    set_hex(seg, "limit", g->limit);
    set_hex(seg, "attributes", g->attr);
    json_object_set_object_member(o, name, seg);
}

static void debug_cpu(struct call *c)
{
    static const char *const segments[] = {"es", "cs", "ss", "ds", "fs", "gs"};
    static const char *const run_states[] = {"running", "halted", "waits for SIPI"};
    struct machine *m = call_machine(c);
    unsigned cpu = call_number(c, "cpu", 0);
    if (cpu >= machine_cpus(m)) {
        call_fail(c, CONTROL_NOT_FOUND, "the machine has CPUs 0 to %u", machine_cpus(m) - 1);
        return;
    }
    g_autofree struct x86_state *s = g_new0(struct x86_state, 1);
    machine_get_cpu(m, cpu, s);
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "engine", machine_engine(m));
    json_object_set_string_member(o, "run-state", run_states[s->run_state]);
    set_general(o, s);
    set_control(o, s);
    for (unsigned i = 0; i < X86_SEGS; i++)
        set_segment(o, segments[i], &s->seg[i]);
    set_segment(o, "tr", &s->tr);
    set_segment(o, "ldtr", &s->ldtr);
    call_reply(c, o);
}

static void add_counter(void *ctx, const char *group, const char *name, uint64_t value)
{
    JsonObject *all = ctx;
    if (!json_object_has_member(all, group))
        json_object_set_object_member(all, group, json_object_new());
    json_object_set_int_member(json_object_get_object_member(all, group), name, value);
}

static void debug_engine(struct call *c)
{
    struct machine *m = call_machine(c);
    JsonObject *o = json_object_new(), *counters = json_object_new();
    json_object_set_string_member(o, "engine", machine_engine(m));
    json_object_set_object_member(o, "counters", counters);
    if (machine_engine_counters(m, add_counter, counters)) {
        call_reply(c, o);
        return;
    }
    json_object_unref(o);
    call_fail(c, CONTROL_UNSUPPORTED, "the engine %s counts nothing", machine_engine(m));
}

static void debug_code(struct call *c)
{
    struct machine *m = call_machine(c);
    g_autoptr(GError) error = NULL;
    unsigned cpu = call_number(c, "cpu", 0);
    if (cpu >= machine_cpus(m)) {
        call_fail(c, CONTROL_NOT_FOUND, "the machine has CPUs 0 to %u", machine_cpus(m) - 1);
        return;
    }
    g_autofree char *text = machine_engine_code(m, cpu, call_number(c, "most", 10), &error);
    if (!text) {
        call_fail(c, CONTROL_UNSUPPORTED, "%s", error->message);
        return;
    }
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "text", text);
    call_reply(c, o);
}

const struct command debug_commands[] = {
    {"debug.cpu", {{"cpu", PARAM_NUMBER, false, 0, 1023}}, .summary = "the registers of one CPU", .handler = debug_cpu},
    {"debug.engine", {}, .summary = "what the engine has counted", .handler = debug_engine},
    {"debug.code",
     {{"cpu", PARAM_NUMBER, false, 0, 1023}, {"most", PARAM_NUMBER, false, 1, 1000}},
     .summary = "code that the engine made and that runs most",
     .handler = debug_code},
    {NULL},
};
