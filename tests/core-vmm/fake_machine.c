// SPDX-License-Identifier: GPL-2.0-or-later
/* A machine without a guest, behind the interface of machine.h: for tests of the process around it.  Its one serial port
 * obeys orders, a line each: "off", "reset", "fail", "debug N", "flood N" (that many bytes of output), "limit N" (of a
 * file that is the port's target), "graphics" and "text" (of the screen); "mode N" (a
 * picture so wide); everything else comes back.
 * The section [testdev] makes machine_new() fail. */
#include "core-vmm/machine/core.h"
#include "core-vmm/api/char.h"
#include "core-vmm/machine/display.h"
#include <gio/gio.h>
#include <linux/input-event-codes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char greeting[] = "fake guest ready\r\n";

struct guest {
    struct machine *machine;
    struct char_port *port;
    GString *line;
    struct drive *cdrom, *floppy;
    struct device serial, video, ide;
    unsigned leds; /* of the keyboard */
    unsigned width;
    bool graphics;
};

void dev_lock(struct device *d)
{
}

void dev_unlock(struct device *d)
{
}

static struct guest *guest_of(struct machine *m)
{
    return m->engine_vm;
}

/* ---- serial ---- */

static void obey(struct guest *g, const char *order)
{
    unsigned n;
    g_autofree char *echo = g_strdup_printf("%s\r\n", order);
    if (!strcmp(order, "off"))
        machine_stop(g->machine, MACHINE_END_POWER_OFF, 0, NULL);
    else if (!strcmp(order, "reset"))
        machine_reset(g->machine);
    else if (!strcmp(order, "fail"))
        machine_stop(g->machine, MACHINE_END_FAILED, 0, "the engine met its match");
    else if (sscanf(order, "debug %u", &n) == 1)
        machine_stop(g->machine, MACHINE_END_DEBUG, n, NULL);
    else if (sscanf(order, "mode %u", &n) == 1)
        g->width = CLAMP(n, 64, 1024);
    else if (sscanf(order, "limit %u", &n) == 1)
        char_limit(g->port, n);
    else if (!strcmp(order, "graphics") || !strcmp(order, "text"))
        g->graphics = *order == 'g';
    else if (sscanf(order, "flood %u", &n) == 1)
        for (unsigned i = 0; i < MIN(n, 4u << 20); i += 64)
            char_write(g->port, (const uint8_t *)"flood flood flood flood flood flood flood flood flood flood fl\r\n",
                       64);
    else
        char_write(g->port, (const uint8_t *)echo, strlen(echo));
}

static size_t serial_room(struct device *d)
{
    return 16;
}

static void serial_bytes(struct device *d, const uint8_t *data, size_t n)
{
    struct guest *g = d->state;
    for (size_t i = 0; i < n; i++) {
        if (data[i] != '\n' && data[i] != '\r') {
            g_string_append_c(g->line, data[i]);
            continue;
        }
        obey(g, g->line->str);
        g_string_truncate(g->line, 0);
    }
}

static const struct char_receiver receiver = {serial_room, serial_bytes};

static bool open_serial(struct guest *g, GError **error)
{
    struct config c = {g->machine->file, g->machine->path, "serial1"};
    g_autofree char *target = config_string(&c, "target");
    g->serial = (struct device){.state = g, .name = "serial1", .machine = g->machine};
    if (!g_key_file_has_group(g->machine->file, "serial1"))
        return true;
    g->port = char_open(&g->serial, target, &receiver, error);
    return g->port != NULL;
}

/* ---- screen and drive ---- */

static void refresh(struct device *d, unsigned output, bool everything)
{
    struct guest *g = d->state;
    struct surface *s = display_mode(g->machine->displays[0], g->width, 48);
    for (uint32_t i = 0; s && i < g->width * 48; i++)
        s->pixels[i] = 0x102030;
    display_damage(g->machine->displays[0], 0, 0, g->width, 48);
}

static char *screen_text(struct device *d)
{
    struct guest *g = d->state;
    return g->graphics ? NULL : g_strdup("GNU GRUB\nfake\n");
}

static const struct display_source source = {.refresh = refresh, .text = screen_text};

/* A drive whose section is missing is not there. */
static bool open_drive(struct guest *g, const char *section, struct drive **v, GError **error)
{
    struct config c = {g->machine->file, g->machine->path, section};
    *v = g_key_file_has_group(c.file, section) ? drive_open(&g->ide, &c, error) : NULL;
    return *v || !g_key_file_has_group(c.file, section);
}

static bool open_rest(struct guest *g, GError **error)
{
    g->video = (struct device){.state = g, .name = "video", .machine = g->machine};
    g->ide = (struct device){.state = g, .name = "ide", .machine = g->machine};
    display_attach(&g->video, &source, 0);
    return open_drive(g, "ide2", &g->cdrom, error) && open_drive(g, "floppy0", &g->floppy, error);
}

/* ---- machine.h ---- */

const struct cpu_engine *engine_choose(const char *name, char **reason, GError **error)
{
    static const struct cpu_engine fake = {.name = "fake"};
    if (!strcmp(name, "kvm")) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "no KVM for a fake machine");
        return NULL;
    }
    *reason = g_strdup("it is a test");
    return &fake;
}

struct machine *machine_new(GKeyFile *file, const char *path, const char *folder, GHashTable *ends, GError **error)
{
    struct machine *m = g_new0(struct machine, 1);
    struct guest *g = g_new0(struct guest, 1);
    struct config c = {file, path, "machine"};
    m->file = g_key_file_ref(file);
    m->path = g_strdup(path);
    m->folder = g_strdup(folder);
    m->engine_vm = g;
    m->cpus = 1;
    m->ends = ends;
    g->machine = m;
    g->line = g_string_new(NULL);
    g->width = 64;
    g_autofree char *on_reset = config_string(&c, "on-reset");
    m->reset_stops = !strcmp(on_reset, "stop");
    bool refused = g_key_file_has_group(file, "testdev");
    if (refused)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED, "this machine refuses to be built");
    bool good = !refused && open_serial(g, error) && open_rest(g, error);
    m->ends = NULL;
    if (good)
        return m;
    machine_free(m);
    return NULL;
}

void machine_free(struct machine *m)
{
    struct guest *g = guest_of(m);
    while (g_source_remove_by_user_data(m))
        ;
    if (g->port)
        char_close(g->port);
    drive_close(g->cdrom);
    drive_close(g->floppy);
    if (m->displays[0])
        display_detach(m->displays[0]);
    g_string_free(g->line, TRUE);
    g_free((char *)m->last.message);
    g_key_file_unref(m->file);
    g_free(m->path);
    g_free(m->folder);
    g_free(g);
    g_free(m);
}

static void tell(struct machine *m, enum machine_state state)
{
    m->state = m->last.state = state;
    for (unsigned i = 0; i < m->handler_count; i++)
        m->handlers[i].fn(m->handlers[i].ctx, &m->last);
}

void machine_on_thread(struct machine *m, struct thread_hook hook)
{
    m->on_thread = hook;
}

bool machine_start(struct machine *m, GError **error)
{
    struct guest *g = guest_of(m);
    tell(m, MACHINE_RUNNING);
    if (g->port)
        char_write(g->port, (const uint8_t *)greeting, strlen(greeting));
    return true;
}

void machine_pause(struct machine *m)
{
    if (m->state == MACHINE_RUNNING)
        tell(m, MACHINE_PAUSED);
}

void machine_resume(struct machine *m)
{
    if (m->state == MACHINE_PAUSED)
        tell(m, MACHINE_RUNNING);
}

static gboolean stop_now(gpointer data)
{
    struct machine *m = data;
    tell(m, MACHINE_STOPPED);
    return G_SOURCE_REMOVE;
}

void machine_stop(struct machine *m, enum machine_end why, unsigned code, const char *message)
{
    if (m->last.end != MACHINE_END_NONE)
        return;
    m->last.end = why;
    m->last.code = code;
    m->last.message = g_strdup(message);
    g_idle_add(stop_now, m);
}

void machine_reset(struct machine *m)
{
    struct guest *g = guest_of(m);
    if (m->reset_stops)
        machine_stop(m, MACHINE_END_RESET, 0, NULL);
    else if (g->port)
        char_write(g->port, (const uint8_t *)greeting, strlen(greeting));
}

bool machine_save(struct machine *m, int fd, GError **error)
{
    static const char text[] = "the state of a fake machine";
    return write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

bool machine_restore(struct machine *m, int fd, GError **error)
{
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "a fake machine has no state");
    return false;
}

bool machine_power_button(struct machine *m, GError **error)
{
    if (m->state == MACHINE_RUNNING) {
        machine_stop(m, MACHINE_END_POWER_OFF, 0, NULL);
        return true;
    }
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "it is not running");
    return false;
}

void machine_on_event(struct machine *m, void (*fn)(void *ctx, const struct machine_event *e), void *ctx)
{
    m->handlers[m->handler_count++] = (struct event_handler){fn, ctx};
}

enum machine_state machine_state(struct machine *m)
{
    return m->state;
}

const char *machine_engine(struct machine *m)
{
    return "fake";
}

bool machine_engine_memory(struct machine *m, struct cpu_memory *out)
{
    *out = (struct cpu_memory){.used = 1 << 20, .limit = 96 << 20};
    return true;
}

bool machine_engine_counters(struct machine *m, cpu_count_fn fn, void *ctx)
{
    fn(ctx, "left", "requests", 7);
    fn(ctx, "left", "misses", 70);
    return true;
}

char *machine_engine_code(struct machine *m, unsigned cpu, unsigned most, GError **error)
{
    return g_strdup_printf("cpu %u, most %u\n", cpu, most);
}

const char *machine_engine_reason(struct machine *m)
{
    return "it is a test";
}

unsigned machine_cpus(struct machine *m)
{
    return m->cpus;
}

uint64_t machine_memory(struct machine *m)
{
    return 64 << 20;
}

void machine_get_cpu(struct machine *m, unsigned cpu, struct x86_state *out)
{
    out->rip = 0xfff0;
}

struct display *machine_display(struct machine *m, unsigned n)
{
    return n ? NULL : m->displays[0];
}

void machine_note_display(struct machine *m, struct display *p, bool there)
{
    m->displays[0] = there ? p : NULL;
}

/* Keys show on the serial port, as codes: "+30" and "-30"; caps lock has an LED, num lock none. */
void machine_key(struct machine *m, unsigned code, bool down)
{
    struct guest *g = guest_of(m);
    char text[16];
    int n = g_snprintf(text, sizeof text, "%c%u ", down ? '+' : '-', code);
    if (g->port)
        char_write(g->port, (const uint8_t *)text, n);
    if (down && code == KEY_CAPSLOCK)
        g->leds ^= 4;
}

unsigned machine_leds(struct machine *m)
{
    return guest_of(m)->leds;
}

void machine_pointer(struct machine *m, int dx, int dy, int wheel, unsigned buttons)
{
}

void machine_pointer_absolute(struct machine *m, uint16_t x, uint16_t y, int wheel, unsigned buttons)
{
}

bool machine_takes_absolute(struct machine *m)
{
    return false;
}

struct device *machine_device(struct machine *m, const char *name)
{
    return NULL;
}
