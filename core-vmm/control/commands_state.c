// SPDX-License-Identifier: GPL-2.0-or-later
/* commands_state.c - info, and what starts, holds, resets and ends a machine. */
#include "core-vmm/api/audio_host.h"
#include "core-vmm/control/commands.h"
#include "core-vmm/machine/limits.h"
#include <unistd.h>

#define PROTOCOL 1

const char *state_name(enum machine_state s)
{
    static const char *const names[] = {"stopped", "running", "paused"};
    return names[s];
}

const char *end_name(enum machine_end e)
{
    static const char *const names[] = {"none", "power-off", "stopped", "reset", "debug", "failed"};
    return names[e];
}

JsonObject *state_describe(const struct machine_event *e)
{
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "state", state_name(e->state));
    if (e->state == MACHINE_STOPPED && e->end != MACHINE_END_NONE) {
        json_object_set_string_member(o, "end", end_name(e->end));
        json_object_set_int_member(o, "code", e->code);
        if (e->message)
            json_object_set_string_member(o, "message", e->message);
    }
    return o;
}

static void set_engine_memory(JsonObject *r, struct machine *m)
{
    struct cpu_memory memory;
    if (!machine_engine_memory(m, &memory))
        return;
    JsonObject *o = json_object_new();
    json_object_set_int_member(o, "used", memory.used);
    json_object_set_int_member(o, "limit", memory.limit);
    json_object_set_object_member(r, "engine-memory", o);
}

static void set_memory_used(JsonObject *r, struct machine *m)
{
    JsonObject *o = json_object_new();
    json_object_set_int_member(o, "used", machine_memory_used(m));
    json_object_set_int_member(o, "limit", machine_memory(m));
    json_object_set_object_member(r, "memory-on-host", o);
}

static void set_guest(JsonObject *r, struct additions *a)
{
    JsonObject *guest = a ? additions_describe(a) : NULL;
    if (guest)
        json_object_set_object_member(r, "guest", guest);
    json_object_set_string_member(r, "clipboard", a ? additions_clipboard_policy(a) : "off");
}

JsonObject *crash_describe(const struct machine_crash *c)
{
    JsonObject *o = json_object_new();
    JsonArray *arguments = json_array_new();
    char hex[32];
    json_object_set_int_member(o, "count", c->count);
    for (unsigned i = 0; i < G_N_ELEMENTS(c->words); i++) {
        g_snprintf(hex, sizeof hex, "0x%" G_GINT64_MODIFIER "x", c->words[i]);
        if (i)
            json_array_add_string_element(arguments, hex);
        else
            json_object_set_string_member(o, "code", hex);
    }
    json_object_set_array_member(o, "arguments", arguments);
    if (c->message)
        json_object_set_string_member(o, "message", c->message);
    return o;
}

static void set_crash(JsonObject *r, struct machine *m)
{
    struct machine_crash c;
    machine_crash_look(m, &c);
    if (c.count)
        json_object_set_object_member(r, "crash", crash_describe(&c));
    machine_crash_clear(&c);
}

static void set_cpu_limit(JsonObject *r, struct machine *m)
{
    const struct cpu_limit_state s = cpu_limit_look(m);
    if (!s.percent && !s.held_ns)
        return;
    JsonObject *o = json_object_new();
    json_object_set_int_member(o, "percent", s.percent);
    json_object_set_int_member(o, "held-ms", s.held_ns / 1000000);
    json_object_set_object_member(r, "cpu-limit", o);
}

/* What its sound cards do, and what went wrong with their sound. */
static void set_sound(JsonObject *r, struct machine *m)
{
    const struct audio_host h = audio_host(m);
    uint64_t missed = 0;
    unsigned plays = 0, records = 0;
    if (!audio_next(m, NULL))
        return;
    for (struct audio_stream *s = audio_next(m, NULL); s; s = audio_next(m, s)) {
        const struct audio_facts f = audio_facts(s);
        missed += f.missed;
        plays += f.running && f.direction == AUDIO_OUT;
        records += f.running && f.direction == AUDIO_IN;
    }
    JsonObject *o = json_object_new();
    json_object_set_int_member(o, "plays", plays);
    json_object_set_int_member(o, "records", records);
    json_object_set_boolean_member(o, "host", h.there);
    json_object_set_int_member(o, "under-runs", h.under_runs);
    json_object_set_int_member(o, "jumps", h.jumps);
    json_object_set_int_member(o, "lost", h.lost);
    json_object_set_int_member(o, "not-recorded", h.not_recorded);
    json_object_set_int_member(o, "missed", missed);
    json_object_set_object_member(r, "sound", o);
}

static void info(struct call *c)
{
    struct machine *m = call_machine(c);
    const struct server_options *o = call_options(c);
    JsonObject *r = json_object_new();
    json_object_set_int_member(r, "protocol", PROTOCOL);
    json_object_set_string_member(r, "version", TERRARIUM_VERSION);
    json_object_set_string_member(r, "name", o->name);
    json_object_set_string_member(r, "folder", o->folder);
    json_object_set_int_member(r, "pid", getpid());
    json_object_set_string_member(r, "state", state_name(machine_state(m)));
    json_object_set_string_member(r, "engine", machine_engine(m));
    json_object_set_string_member(r, "engine-reason", machine_engine_reason(m));
    set_engine_memory(r, m);
    json_object_set_int_member(r, "cpus", machine_cpus(m));
    json_object_set_int_member(r, "memory", machine_memory(m));
    set_memory_used(r, m);
    set_cpu_limit(r, m);
    set_crash(r, m);
    json_object_set_int_member(r, "uptime", (g_get_monotonic_time() - o->started_us) / G_USEC_PER_SEC);
    json_object_set_boolean_member(r, "has-display", machine_display(m, 0) != NULL);
    json_object_set_boolean_member(r, "absolute-pointer", machine_takes_absolute(m));
    set_guest(r, o->additions);
    set_sound(r, m);
    json_object_set_array_member(r, "serial", serial_describe(m));
    json_object_set_array_member(r, "drives", media_describe(m));
    call_reply(c, r);
}

static void pause_machine(struct call *c)
{
    struct machine *m = call_machine(c);
    if (machine_state(m) != MACHINE_RUNNING) {
        call_fail(c, CONTROL_WRONG_STATE, "the machine is %s", state_name(machine_state(m)));
        return;
    }
    machine_pause(m);
    call_reply(c, NULL);
}

static void resume(struct call *c)
{
    struct machine *m = call_machine(c);
    if (machine_state(m) != MACHINE_PAUSED) {
        call_fail(c, CONTROL_WRONG_STATE, "the machine is not paused but %s", state_name(machine_state(m)));
        return;
    }
    if (save_holds(call_server(c))) {
        call_fail(c, CONTROL_WRONG_STATE, "the machine is being saved, and ends when that is done");
        return;
    }
    machine_resume(m);
    call_reply(c, NULL);
}

static void reset(struct call *c)
{
    server_after(call_server(c), 0, NULL); /* what runs from now on was not asked to shut down */
    machine_reset(call_machine(c));
    call_reply(c, NULL);
}

static void stop(struct call *c)
{
    machine_stop(call_machine(c), MACHINE_END_STOPPED, 0, NULL);
    call_reply(c, NULL);
}

static void press(struct call *c)
{
    g_autoptr(GError) error = NULL;
    if (machine_power_button(call_machine(c), &error))
        call_reply(c, NULL);
    else
        call_fail(c, CONTROL_WRONG_STATE, "%s", error->message);
}

/* Any program of the guest may say that it is the tools, and agree: if nothing comes of it, the button is pressed too. */
static void press_too(struct server *s)
{
    g_autoptr(GError) error = NULL;
    struct machine *m = server_options_of(s)->machine;
    if (machine_state(m) != MACHINE_RUNNING)
        return;
    g_message("the guest's tools agreed to shut down, and it still runs; the power button is pressed");
    if (!machine_power_button(m, &error))
        g_warning("%s", error->message);
}

static void agreed_to_halt(struct server *s)
{
    enum { PATIENCE = 10 }; /* seconds */
    server_after(s, PATIENCE, press_too);
}

static void powerbutton(struct call *c)
{
    ask_tools(c, ADDITIONS_HALT, agreed_to_halt, press);
}

static void no_tools(struct call *c)
{
    call_fail(c, CONTROL_WRONG_STATE,
              "no tools of the guest listen that could be asked, or they do not agree; ask in the guest, or press the "
              "reset button (vmctl reset)");
}

static void reboot(struct call *c)
{
    ask_tools(c, ADDITIONS_REBOOT, NULL, no_tools);
}

const struct command state_commands[] = {
    {"info", .summary = "what this machine is and does", .handler = info},
    {"pause", .summary = "stop the guest's time", .handler = pause_machine},
    {"resume", .summary = "let it run on", .handler = resume},
    {"reset", .summary = "the reset button", .handler = reset},
    {"reboot", .summary = "ask the guest's tools to start it anew", .handler = reboot},
    {"stop", .summary = "cut the power; the VM process ends", .handler = stop},
    {"powerbutton", .summary = "ask the guest to shut down", .handler = powerbutton},
    {NULL},
};
