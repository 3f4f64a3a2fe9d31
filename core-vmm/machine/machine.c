// SPDX-License-Identifier: GPL-2.0-or-later
/* machine.c - the life of one virtual machine: built, started, paused, reset, stopped.
 *
 * Devices and vCPUs may ask for a reset or stop at any moment, in the middle of an instruction.  The wish is noted, all
 * vCPUs are told to stand, and the loop thread carries it out (wishes_run). */
#include "core-vmm/base/cpu_model.h"
#include "core-vmm/machine/core.h"
#include "core-vmm/machine/limits.h"
#include "core-vmm/machine/display.h"
#include "core-vmm/machine/state.h"
#include <string.h>

/* ---- events ---- */

void machine_on_event(struct machine *m, void (*fn)(void *ctx, const struct machine_event *e), void *ctx)
{
    g_return_if_fail(m->handler_count < G_N_ELEMENTS(m->handlers));
    m->handlers[m->handler_count++] = (struct event_handler){fn, ctx};
}

static void tell(struct machine *m, enum machine_state state)
{
    m->state = m->last.state = state;
    for (unsigned i = 0; i < m->handler_count; i++)
        m->handlers[i].fn(m->handlers[i].ctx, &m->last);
}

enum machine_state machine_state(struct machine *m)
{
    return m->state;
}

/* ---- wishes ---- */

static void reset_now(struct machine *m)
{
    memset(m->memory.shadow, 0, sizeof m->memory.shadow);
    m->memory.a20 = true;
    for (unsigned i = 0; i < m->devices; i++)
        device_reset(m->device[i]);
    device_map_changed(m);
    for (unsigned i = 0; i < m->cpus; i++) {
        struct x86_state *s = g_new(struct x86_state, 1);
        x86_state_reset(s, i == 0);
        m->engine->set_state(m->vcpu[i].engine_vcpu, s);
        if (m->engine->set_lapic)
            m->engine->set_lapic(m->vcpu[i].engine_vcpu, NULL);
        g_free(s);
    }
    irq_reset(m);
}

static void tell_reset(struct machine *m)
{
    const struct machine_event e = {.state = m->state, .reset = true};
    for (unsigned i = 0; i < m->handler_count; i++)
        m->handlers[i].fn(m->handlers[i].ctx, &e);
}

static void stop_now(struct machine *m, struct pending *p)
{
    clock_stand(m->clock);
    vcpus_stop(m);
    g_free((char *)m->last.message);
    m->last = (struct machine_event){.end = p->end, .code = p->code, .message = g_strdup(p->message)};
    tell(m, MACHINE_STOPPED);
}

void machine_settle(struct machine *m)
{
    pthread_mutex_lock(&m->pending_lock);
    struct pending p = m->pending;
    m->pending = (struct pending){0};
    m->wishes_queued = false;
    pthread_mutex_unlock(&m->pending_lock);
    if (!p.held)
        return;
    vcpus_wait_held(m);
    if (m->state != MACHINE_STOPPED) {
        if (p.reset && m->reset_stops && !p.stop)
            p = (struct pending){.stop = true, .end = MACHINE_END_RESET, .held = p.held, .message = p.message};
        if (p.stop)
            stop_now(m, &p);
        else if (p.reset) {
            reset_now(m);
            tell_reset(m);
        }
        if (p.eject && !p.stop)
            hotplug_eject(m, p.eject);
    }
    while (p.held--)
        vcpus_release(m);
    g_free(p.message);
}

static gboolean wishes_run(gpointer data)
{
    machine_settle(data);
    return G_SOURCE_REMOVE;
}

static void wishes_queue(struct machine *m) /* pending_lock held */
{
    vcpus_ask_hold(m);
    m->pending.held++;
    if (m->wishes_queued)
        return;
    m->wishes_queued = true;
    g_idle_add_full(G_PRIORITY_HIGH, wishes_run, m, NULL);
}

void machine_ask_reset(struct machine *m)
{
    pthread_mutex_lock(&m->pending_lock);
    if (!m->pending.reset && !m->pending.stop) {
        m->pending.reset = true;
        wishes_queue(m);
    }
    pthread_mutex_unlock(&m->pending_lock);
}

void machine_ask_eject(struct machine *m, uint32_t slots)
{
    pthread_mutex_lock(&m->pending_lock);
    m->pending.eject |= slots;
    wishes_queue(m);
    pthread_mutex_unlock(&m->pending_lock);
}

void machine_stop(struct machine *m, enum machine_end why, unsigned code, const char *message)
{
    pthread_mutex_lock(&m->pending_lock);
    if (!m->pending.stop) {
        m->pending.stop = true;
        m->pending.end = why;
        m->pending.code = code;
        m->pending.message = g_strdup(message);
        wishes_queue(m);
    }
    pthread_mutex_unlock(&m->pending_lock);
}

void machine_reset(struct machine *m)
{
    machine_ask_reset(m);
}

/* ---- pause ---- */

void machine_pause(struct machine *m)
{
    if (m->state != MACHINE_RUNNING)
        return;
    vcpus_ask_hold(m);
    vcpus_wait_held(m);
    clock_stand(m->clock);
    tell(m, MACHINE_PAUSED);
}

void machine_resume(struct machine *m)
{
    if (m->state != MACHINE_PAUSED)
        return;
    clock_go(m->clock);
    vcpus_release(m);
    tell(m, MACHINE_RUNNING);
}

void machine_get_cpu(struct machine *m, unsigned cpu, struct x86_state *out)
{
    vcpus_ask_hold(m);
    vcpus_wait_held(m);
    m->engine->get_state(m->vcpu[cpu].engine_vcpu, out);
    vcpus_release(m);
}

bool machine_fpu_error(struct machine *m, unsigned cpu, bool pending)
{
    struct device *d = m->fpu_error;
    dev_lock(d);
    bool ignore = d->ops->platform->fpu_error(d, cpu, pending);
    dev_unlock(d);
    return ignore;
}

bool machine_power_button(struct machine *m, GError **error)
{
    struct device *pm = m->power_button;
    if (m->state != MACHINE_RUNNING || !pm) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "The power button needs a running machine; this one is %s",
                    m->state == MACHINE_PAUSED ? "paused: resume it first" : "stopped");
        return false;
    }
    dev_lock(pm);
    pm->ops->platform->power_button(pm);
    dev_unlock(pm);
    return true;
}

/* ---- birth and end ---- */

void machine_add(struct machine *m, struct device *d)
{
    const struct wiring *w = &d->core->wiring;
    g_assert(m->devices < MAX_DEVICES);
    m->device[m->devices++] = d;
    if (w->slot >= 0)
        m->pci_slot[w->slot << 3 | w->function] = d;
    irq_add(m, d);
    input_add(m, d);
    if (d->ops->platform && d->ops->platform->fpu_error)
        m->fpu_error = d;
    if (d->ops->platform && d->ops->platform->power_button)
        m->power_button = d;
    if (d->ops->hotplug)
        m->hotplug = d;
    if (d->ops->hyperv)
        m->hyperv = d;
}

static bool read_sockets(struct machine *m, const struct config *c, GError **error)
{
    int64_t sockets = m->cpus;
    if (!config_number(c, "sockets", &sockets, error))
        return false;
    m->sockets = sockets;
    if (cpu_packages_fit(m->cpus, sockets))
        return true;
    g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
                "%s: [machine] sockets = %u: " CPU_PACKAGES_UNFIT, m->path, m->sockets, m->cpus);
    return false;
}

static bool read_settings(struct machine *m, uint64_t *ram, char **engine, GError **error)
{
    struct config c = {m->file, m->path, "machine"};
    static const char *const on_reset[] = {"reset", "stop", NULL};
    int64_t cpus;
    unsigned stops;
    if (!config_size(&c, "memory", ram, error) || !config_number(&c, "cpus", &cpus, error) ||
        !config_choice(&c, "on-reset", on_reset, &stops, error))
        return false;
    g_assert(cpus <= MAX_CPUS && !(*ram & (PAGE - 1))); /* the schema says so */
    m->cpus = cpus;
    m->reset_stops = stops == 1;
    if (!read_sockets(m, &c, error))
        return false;
    *engine = config_string(&c, "engine");
    m->cpu_model = config_string(&c, "cpu-model");
    m->engine_options = config_string(&c, "engine-options");
    return true;
}

/* As another's machine only with VMware's backdoor: guests go by both. */
static bool shown_as(struct machine *m, const char *whose)
{
    struct config c = {m->file, m->path, "additions"};
    if (!g_key_file_has_group(m->file, c.section))
        return false;
    g_autofree char *identity = config_string(&c, "identity");
    return !strcmp(strcmp(identity, "auto") ? identity : "vmware", whose);
}

static bool engine_start(struct machine *m, GError **error)
{
    m->cpu_vm = (struct cpu_vm){.machine = m,
                                .cpus = m->cpus,
                                .sockets = m->sockets,
                                .memory = m->memory.base,
                                .memory_fd = m->memory.fd,
                                .memory_bytes = m->memory.bytes,
                                .tsc_offset = clock_tsc_offset(m->clock),
                                .tsc_khz = clock_tsc_khz(m->clock),
                                .model = m->cpu_model,
                                .vmware = shown_as(m, "vmware"),
                                .hyperv = m->hyperv != NULL,
                                .options = m->engine_options};
    if (m->cpus == 1 && barrier_far_offered())
        m->cpu_vm.far_barriers = &m->far_barriers;
    m->engine_vm = m->engine->vm_new(&m->cpu_vm, error);
    if (!m->engine_vm || !memory_map_engine(m, error))
        return false;
    for (unsigned i = 0; i < m->cpus; i++) {
        m->vcpu[i].machine = m;
        m->vcpu[i].index = i;
        m->vcpu[i].engine_vcpu = m->engine->vcpu_new(m->engine_vm, i, error);
        if (!m->vcpu[i].engine_vcpu)
            return false;
    }
    return true;
}

void machine_remove(struct machine *m, struct device *d)
{
    const struct wiring *w = &d->core->wiring;
    unsigned n = 0;
    for (unsigned i = 0; i < m->devices; i++)
        if (m->device[i] != d)
            m->device[n++] = m->device[i];
    m->devices = n;
    m->pci_slot[w->slot << 3 | w->function] = NULL;
    if (d->ops->input)
        input_remove(m, d);
}

static bool machine_build(struct machine *m, GError **error)
{
    uint64_t ram;
    g_autofree char *engine = NULL;
    if (!read_settings(m, &ram, &engine, error))
        return false;
    m->engine = engine_choose(engine, &m->engine_reason, error);
    if (!m->engine || !memory_init(m, ram, error))
        return false;
    m->clock = clock_new(m->engine->stepped);
    m->at_once = m->engine->stepped ? 0 : AT_ONCE_BYTES;
    irq_init(m);
    m->input = input_queue_new(m);
    if (!board_pc_build(m, error))
        return false;
    device_map_changed(m);
    if (!engine_start(m, error))
        return false;
    reset_now(m);
    return true;
}

struct machine *machine_new(GKeyFile *file, const char *path, const char *folder, GHashTable *ends, GError **error)
{
    struct machine *m = g_new0(struct machine, 1);
    m->file = g_key_file_ref(file);
    m->path = g_strdup(path);
    m->folder = g_strdup(folder);
    pthread_mutex_init(&m->map, NULL);
    pthread_mutex_init(&m->run_lock, NULL);
    pthread_cond_init(&m->run_changed, NULL);
    pthread_mutex_init(&m->pending_lock, NULL);
    channels_init(m);
    m->ends = ends;
    m->packers = state_packers_new();
    bool good = machine_build(m, error);
    m->ends = NULL;
    if (good)
        return m;
    machine_free(m);
    return NULL;
}

void machine_free(struct machine *m)
{
    vcpus_stop(m);
    live_abandon(m);
    machine_live_no_older(m);
    drives_hush(m, NULL);
    while (g_source_remove_by_user_data(m))
        ;
    if (m->engine_vm)
        m->engine->vm_free(m->engine_vm);
    m->engine_vm = NULL;
    for (unsigned i = 0; i < m->cpus; i++)
        m->vcpu[i].engine_vcpu = NULL;
    for (unsigned i = m->devices; i-- > 0;)
        device_free(m->device[i]);
    state_packers_free(m->packers);
    channels_free(m);
    if (m->input)
        input_queue_free(m->input);
    if (m->clock)
        clock_free(m->clock);
    memory_free(m);
    g_free(m->pending.message);
    machine_crash_clear(&m->crash);
    g_free((char *)m->last.message);
    g_free(m->cpu_model);
    g_free(m->engine_options);
    g_free(m->engine_reason);
    g_free(m->path);
    g_free(m->folder);
    g_key_file_unref(m->file);
    g_free(m);
}

void machine_on_thread(struct machine *m, struct thread_hook hook)
{
    m->on_thread = hook;
}

void machine_on_halt(struct machine *m, struct halt_hook hook)
{
    bool running = m->vcpu[0].started;
    if (running) {
        vcpus_ask_hold(m);
        vcpus_wait_held(m);
    }
    m->on_halt = hook;
    if (running)
        vcpus_release(m);
}

void machine_on_start(struct machine *m, struct start_hook hook)
{
    m->on_start = hook;
}

/* A vCPU looks for reasons to stand before it runs for the first time. */
bool machine_start(struct machine *m, GError **error)
{
    const struct config c = {m->file, m->path, "machine"};
    int64_t percent = 0;
    if (!config_number(&c, "cpu-limit", &percent, error))
        return false;
    vcpus_ask_hold(m);
    if (!vcpus_start(m, error) || (m->on_start.may_run && !m->on_start.may_run(m->on_start.ctx, error)))
        return false;
    clock_go(m->clock);
    tell(m, MACHINE_RUNNING);
    if (percent)
        cpu_limit_set(m, percent);
    vcpus_release(m);
    return true;
}

/* ---- questions ---- */

const char *machine_engine(struct machine *m)
{
    return m->engine->name;
}

const char *machine_engine_reason(struct machine *m)
{
    return m->engine_reason;
}

bool machine_engine_memory(struct machine *m, struct cpu_memory *out)
{
    if (m->engine->memory)
        m->engine->memory(m->engine_vm, out);
    return m->engine->memory;
}

bool machine_engine_counters(struct machine *m, cpu_count_fn fn, void *ctx)
{
    if (m->engine->counters)
        m->engine->counters(m->engine_vm, fn, ctx);
    return m->engine->counters;
}

char *machine_engine_code(struct machine *m, unsigned cpu, unsigned most, GError **error)
{
    if (!m->engine->dump) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSYS, "The engine %s makes no code", m->engine->name);
        return NULL;
    }
    vcpus_ask_hold(m);
    vcpus_wait_held(m);
    char *text = m->engine->dump(m->vcpu[cpu].engine_vcpu, most, error);
    vcpus_release(m);
    return text;
}

unsigned machine_cpus(struct machine *m)
{
    return m->cpus;
}

uint64_t machine_memory(struct machine *m)
{
    return m->memory.below_4g + m->memory.above_4g;
}

struct device *machine_device(struct machine *m, const char *name)
{
    for (unsigned i = 0; i < m->devices; i++)
        if (!strcmp(m->device[i]->name, name))
            return m->device[i];
    return NULL;
}

struct display *machine_display(struct machine *m, unsigned n)
{
    return n < m->display_count ? m->displays[n] : NULL;
}

void machine_note_display(struct machine *m, struct display *p, bool there)
{
    unsigned n = 0;
    for (unsigned i = 0; i < m->display_count; i++)
        if (m->displays[i] != p)
            m->displays[n++] = m->displays[i];
    if (there && n < MAX_DISPLAYS)
        m->displays[n++] = p;
    m->display_count = n;
}
