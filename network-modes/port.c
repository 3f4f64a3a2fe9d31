// SPDX-License-Identifier: GPL-2.0-or-later
/* port.c - a card's place in the network process: between the VM process and the card's mode. */
#include "core-vmm/base/net_offload.h"
#include "network-modes/process.h"
#include <stdarg.h>
#include <string.h>

enum { HOLD_MS = 2500, TELL_DROPPED_US = 60 * G_USEC_PER_SEC };

static const struct net_offload nothing_left;

/* ---- what the mode asks for ---- */

const char *port_card(const struct net_port *p)
{
    return p->name;
}

const char *port_machine(const struct net_port *p)
{
    return p->process->machine;
}

const uint8_t *port_mac(const struct net_port *p)
{
    return p->mac;
}

unsigned port_guest_can(const struct net_port *p)
{
    return p->guest_can;
}

struct config port_config(const struct net_port *p)
{
    return (struct config){p->process->settings, "machine.ini", p->name};
}

int process_fd(const struct net_process *p, const char *name)
{
    g_autoptr(GError) error = NULL;
    int fd = g_key_file_get_integer(p->settings, "descriptors", name, &error);
    return error ? -1 : fd;
}

int port_fd(const struct net_port *p, const char *name)
{
    g_autofree char *key = g_strconcat(p->name, ".", name, NULL);
    return process_fd(p->process, key);
}

bool port_has_card(const struct net_port *p)
{
    return !p->sink;
}

unsigned port_number(const struct net_port *p)
{
    return p->number - 1u;
}

struct passt_host *port_passt(const struct net_port *p)
{
    return p->process->passt;
}

struct resolver *port_resolver(const struct net_port *p)
{
    return p->process->resolver;
}

/* The first of a kind, and then once a minute how many more there were. */
static void tell_dropped(struct net_port *p, unsigned i)
{
    gint64 now = g_get_monotonic_time();
    if (p->dropped[i].at && now - p->dropped[i].at < TELL_DROPPED_US)
        return;
    port_log(p, "dropped %" G_GUINT64_FORMAT " frames: %s", p->dropped[i].frames - p->dropped[i].told,
             p->dropped[i].why);
    p->dropped[i].told = p->dropped[i].frames;
    p->dropped[i].at = now;
}

void port_dropped(struct net_port *p, const char *why)
{
    for (unsigned i = 0; i < PORT_REASONS; i++) {
        if (!p->dropped[i].why)
            p->dropped[i].why = why;
        if (!strcmp(p->dropped[i].why, why) || i == PORT_REASONS - 1) {
            p->dropped[i].frames++;
            tell_dropped(p, i);
            return;
        }
    }
}

void port_log(struct net_port *p, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_message("%s: %s", p->name, text);
}

/* ---- to the guest ---- */

static void give(struct net_port *p, const uint8_t *frame, size_t bytes, const struct net_offload *left)
{
    if (!vm_side_frame(p->process->vm, p, frame, bytes, left)) {
        port_dropped(p, "the guest is slow");
        return;
    }
    p->received++;
    p->received_bytes += bytes;
    addresses_learn_lease(&p->addresses, frame, bytes, p->mac);
}

static void give_segment(void *ctx, uint8_t *frame, size_t bytes)
{
    give(ctx, frame, bytes, &nothing_left);
}

static void give_summed(struct net_port *p, const uint8_t *frame, size_t bytes, const struct net_offload *left)
{
    g_autofree uint8_t *copy = g_memdup2(frame, bytes);
    if (offload_checksum(copy, bytes, left))
        give(p, copy, bytes, &nothing_left);
    else
        port_dropped(p, "no frame");
}

/* After what the switch does with it; the card's link may have gone meanwhile. */
static void to_card(void *ctx, const void *frame, size_t bytes, const struct net_offload *left)
{
    struct net_port *p = ctx;
    if (!p->link)
        port_dropped(p, "the cable is out");
    else if (left->segments & ~p->guest_can) {
        if (!offload_cut(frame, bytes, left, give_segment, p))
            port_dropped(p, "no frame");
    } else if (!left->segments && left->checksum && !(p->guest_can & NET_CHECKSUM))
        give_summed(p, frame, bytes, left);
    else
        give(p, frame, bytes, left);
}

void port_deliver(struct net_port *p, const uint8_t *frame, size_t bytes, const struct net_offload *left)
{
    if (p->sink)
        p->sink(p->sink_ctx, frame, bytes, left);
    else if (!p->link || bytes < NET_FRAME_LEAST || bytes > NET_FRAME_MOST)
        port_dropped(p, p->link ? "no frame" : "the cable is out");
    else
        switch_port_from_mode(p->rules, frame, bytes, left);
}

/* ---- from the guest ---- */

static void take(struct net_port *p, uint8_t *frame, size_t bytes, const struct net_offload *left)
{
    p->mode->frame(p->state, frame, bytes, left);
}

static void take_segment(void *ctx, uint8_t *frame, size_t bytes)
{
    take(ctx, frame, bytes, &nothing_left);
}

/* After what the switch does with it.  What the mode cannot do is done here first. */
static void to_mode(void *ctx, void *data, size_t bytes, const struct net_offload *left)
{
    struct net_port *p = ctx;
    uint8_t *frame = data;
    if (!p->link)
        port_dropped(p, "the cable is out");
    else if (left->segments ? !(left->segments & ~p->mode->can) : !left->checksum || p->mode->can & NET_CHECKSUM)
        take(p, frame, bytes, left);
    else if (left->segments ? !offload_cut(frame, bytes, left, take_segment, p) : !offload_checksum(frame, bytes, left))
        port_dropped(p, "no frame");
    else if (!left->segments)
        take(p, frame, bytes, &nothing_left);
}

void port_from_guest(struct net_port *p, uint8_t *frame, size_t bytes, const struct net_offload *left)
{
    if (!p->link || bytes < NET_FRAME_LEAST || bytes > NET_FRAME_MOST) {
        port_dropped(p, p->link ? "no frame" : "the cable is out");
        return;
    }
    p->sent++;
    p->sent_bytes += bytes;
    addresses_learn(&p->addresses, frame, bytes);
    switch_port_from_card(p->rules, frame, bytes, left);
}

/* ---- link ---- */

/* What is left to do is taken whatever the mode can: it is done here if it must be. */
static void tell_link(struct net_port *p)
{
    bool before = p->link;
    if (p->sink) /* nobody to tell */
        return;
    p->link = p->mode && p->connected && p->far_up && !p->hold;
    if (p->link != before)
        port_log(p, "the cable is %s", p->link ? "in" : "out");
    if (!p->link)
        p->addresses = (struct addresses){0};
    vm_side_link(p->process->vm, p, p->link, NET_CHECKSUM | NET_TSO4 | NET_TSO6);
}

void port_link(struct net_port *p, bool up)
{
    p->far_up = up;
    tell_link(p);
}

static void hold_end(struct net_port *p)
{
    if (p->hold) {
        g_source_destroy(p->hold);
        g_source_unref(p->hold);
    }
    p->hold = NULL;
}

static gboolean on_held(gpointer port)
{
    hold_end(port);
    tell_link(port);
    return G_SOURCE_REMOVE;
}

/* The VM process says so first when it is there, and what it was told before it may have missed. */
void port_guest_said(struct net_port *p, unsigned can)
{
    bool first = !p->heard;
    p->heard = true;
    p->guest_can = can;
    if (first)
        tell_link(p);
}

/* ---- its mode ---- */

void port_start(struct net_port *p)
{
    const struct config c = port_config(p);
    g_autofree char *mode = config_string(&c, "mode"), *mac = config_string(&c, "mac");
    g_autoptr(GError) error = NULL;
    p->far_up = p->connected = true;
    p->mode = mode_find(mode);
    if (mac)
        mac_parse(mac, p->mac);
    p->rules = p->rules ? p->rules : switch_port_new(&(struct port_sides){to_mode, to_card, p});
    if (!p->mode)
        g_set_error(&error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "this version has no mode %s", mode);
    else if (port_rules(p, &error) && config_flag(&c, "connected", &p->connected, &error))
        p->state = p->mode->start(p, &c, &error);
    if (error)
        port_log(p, "%s", error->message);
    else
        port_log(p, "mode %s", mode);
    g_free(p->failure);
    p->failure = error ? g_strdup(error->message) : NULL;
    if (error)
        p->mode = NULL;
    tell_link(p);
}

void port_stop(struct net_port *p)
{
    if (p->mode)
        p->mode->stop(p->state);
    p->mode = NULL;
    p->state = NULL;
    hold_end(p);
    tell_link(p);
    switch_port_drop(p->rules);
}

/* ---- ports inside of modes ---- */

struct net_port *
port_inner_new(const struct net_port *of,
               void (*sink)(void *ctx, const uint8_t *frame, size_t bytes, const struct net_offload *left), void *ctx)
{
    struct net_port *p = g_new0(struct net_port, 1);
    *p = (struct net_port){.process = of->process, .name = g_strdup(of->name), .sink = sink, .sink_ctx = ctx};
    return p;
}

void port_inner_free(struct net_port *p)
{
    if (p)
        g_free(p->name);
    g_free(p);
}

static void put(GKeyFile *file, const char *section, const char *key, const char *value)
{
    if (value)
        g_key_file_set_string(file, section, key, value);
    else
        g_key_file_remove_key(file, section, key, NULL);
}

/* What belongs to the card, or was opened for it, counts from the machine's next start. */
static bool of_the_card(const char *key)
{
    static const char *const keys[] = {"model", "slot", "mac", "rom", "tftp", NULL};
    return g_strv_contains(keys, key);
}

bool port_change(struct net_port *p, const char *key, const char *value, GError **error)
{
    const struct config c = port_config(p);
    g_autofree char *before = g_key_file_get_string(c.file, p->name, key, NULL);
    g_autoptr(GError) why = NULL;
    if (of_the_card(key) || !g_strcmp0(before, value))
        return true;
    put(c.file, p->name, key, value);
    if (!strcmp(key, "connected")) {
        bool good = config_flag(&c, key, &p->connected, error);
        tell_link(p);
        return good;
    }
    if (port_rules_have(key))
        return port_rules(p, error);
    if (p->mode && p->mode->change && p->mode->change(p->state, &c, key, &why))
        return true;
    p->stale = p->stale || !why;
    if (why) {
        put(c.file, p->name, key, before);
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    return true;
}

void port_settle(struct net_port *p)
{
    if (!p->stale)
        return;
    p->stale = false;
    port_stop(p);
    p->hold = g_timeout_source_new(HOLD_MS);
    g_source_set_callback(p->hold, on_held, p, NULL);
    g_source_attach(p->hold, NULL);
    port_start(p);
}

/* ---- captures ---- */

bool port_capture(struct net_port *p, const char *file, int fd, GError **error)
{
    g_autofree char *name = g_strdup_printf("%s %s", p->process->machine, p->name);
    if (!switch_port_capture(p->rules, fd, name, error))
        return false;
    g_free(p->capture);
    p->capture = g_strdup(file);
    port_log(p, "is captured into %s", file);
    return true;
}

JsonObject *port_capture_describe(const struct net_port *p)
{
    uint64_t frames, missed;
    if (!p->rules || !switch_port_captures(p->rules, &frames, &missed))
        return NULL;
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "file", p->capture);
    json_object_set_int_member(o, "frames", (gint64)frames);
    json_object_set_int_member(o, "missed", (gint64)missed);
    return o;
}

void port_capture_stop(struct net_port *p)
{
    port_log(p, "is no longer captured");
    switch_port_capture_stop(p->rules);
    g_clear_pointer(&p->capture, g_free);
}

/* ---- for people ---- */

static void add_count(JsonObject *dropped, const char *why, uint64_t frames)
{
    if (frames)
        json_object_set_int_member(dropped, why, (gint64)frames);
}

static JsonObject *describe_dropped(const struct net_port *p)
{
    JsonObject *o = json_object_new();
    struct port_counts n = {0};
    if (p->rules)
        switch_port_count(p->rules, &n);
    for (unsigned i = 0; i < PORT_REASONS && p->dropped[i].why; i++)
        add_count(o, p->dropped[i].why, p->dropped[i].frames);
    add_count(o, "not from its own address", n.spoofed);
    add_count(o, "for another station", n.foreign);
    add_count(o, "lost, as was asked for", n.lost);
    add_count(o, "over the limit", n.full);
    return o;
}

JsonObject *port_describe(struct net_port *p)
{
    const struct config c = port_config(p);
    g_autofree char *mode = config_string(&c, "mode"),
                    *mac = g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", p->mac[0], p->mac[1], p->mac[2], p->mac[3],
                                           p->mac[4], p->mac[5]);
    JsonObject *o = json_object_new(), *capture = port_capture_describe(p);
    json_object_set_string_member(o, "card", p->name);
    json_object_set_string_member(o, "mode", mode);
    json_object_set_string_member(o, "mac", mac);
    json_object_set_boolean_member(o, "connected", p->connected);
    json_object_set_boolean_member(o, "link", p->link);
    if (p->failure)
        json_object_set_string_member(o, "failure", p->failure);
    json_object_set_array_member(o, "addresses", addresses_describe(&p->addresses));
    json_object_set_int_member(o, "sent", p->sent);
    json_object_set_int_member(o, "sent-bytes", p->sent_bytes);
    json_object_set_int_member(o, "received", p->received);
    json_object_set_int_member(o, "received-bytes", p->received_bytes);
    json_object_set_object_member(o, "dropped", describe_dropped(p));
    if (capture)
        json_object_set_object_member(o, "capture", capture);
    if (p->mode && p->mode->describe)
        p->mode->describe(p->state, o);
    return o;
}
