// SPDX-License-Identifier: GPL-2.0-or-later
/* commands_serial.c - serial.*: what a port said, what it is told, and attaching to it. */
#include "core-vmm/machine/char_port.h"
#include "core-vmm/control/commands.h"
#include <string.h>
#include <unistd.h>

#define TAIL_USUAL 16384

JsonArray *serial_describe(struct machine *m)
{
    JsonArray *list = json_array_new();
    struct char_port *p;
    for (unsigned i = 0; (p = char_nth(m, i)); i++) {
        JsonObject *o = json_object_new();
        json_object_set_string_member(o, "name", char_name(p));
        json_object_set_string_member(o, "target", char_target(p));
        json_object_set_int_member(o, "bytes", char_written(p));
        json_object_set_int_member(o, "dropped", char_dropped(p));
        json_array_add_object_element(list, o);
    }
    return list;
}

struct char_port *call_serial(struct call *c)
{
    const char *name = call_text(c, "device", "serial1");
    struct char_port *p = char_find(call_machine(c), name);
    if (!p)
        call_fail(c, CONTROL_NOT_FOUND, "the machine has no serial port %s", name);
    return p;
}

/* Output as text: what JSON cannot carry is replaced. */
static char *as_text(GBytes *bytes)
{
    gsize n;
    const char *data = g_bytes_get_data(bytes, &n);
    g_autofree char *copy = g_strndup("", n);
    for (gsize i = 0; i < n; i++)
        copy[i] = data[i] ? data[i] : '\x7f';
    return g_utf8_make_valid(copy, n);
}

static void serial_tail(struct call *c)
{
    struct char_port *p = call_serial(c);
    if (!p)
        return;
    uint64_t written = char_written(p), start, wanted = call_number(c, "bytes", TAIL_USUAL);
    g_autoptr(GBytes) bytes = char_tail(p, written - MIN(written, wanted), &start);
    g_autofree char *text = as_text(bytes);
    JsonObject *r = json_object_new();
    json_object_set_string_member(r, "text", text);
    json_object_set_int_member(r, "offset", start + g_bytes_get_size(bytes));
    json_object_set_int_member(r, "dropped", char_dropped(p));
    call_reply(c, r);
}

static void serial_write(struct call *c)
{
    struct char_port *p = call_serial(c);
    if (!p)
        return;
    const char *text = call_text(c, "text", "");
    size_t n = strlen(text), taken = char_input(p, (const uint8_t *)text, n);
    if (taken == n)
        call_reply(c, NULL);
    else
        call_fail(c, CONTROL_BUSY, "the guest does not read its serial port: only %zu of %zu bytes were taken", taken,
                  n);
}

static void serial_open(struct call *c)
{
    struct char_port *p = call_serial(c);
    g_autoptr(GError) error = NULL;
    if (!p)
        return;
    int fd = char_attach(p, call_number(c, "replay", 0), call_peer(c), &error);
    if (fd < 0) {
        call_fail_error(c, error);
        return;
    }
    call_reply_fd(c, NULL, fd);
    close(fd);
}

const struct command serial_commands[] = {
    {"serial.tail",
     {{"device", PARAM_TEXT}, {"bytes", PARAM_NUMBER, false, 0, CHAR_TAIL_BYTES}},
     .summary = "the last output of a serial port",
     .handler = serial_tail},
    {"serial.write",
     {{"device", PARAM_TEXT}, {"text", PARAM_TEXT, true}},
     .summary = "send text to the guest",
     .handler = serial_write},
    {"serial.open",
     {{"device", PARAM_TEXT}, {"replay", PARAM_NUMBER, false, 0, CHAR_TAIL_BYTES}},
     .summary = "a stream socket to the serial port",
     .handler = serial_open,
     .passes = true},
    {NULL},
};
