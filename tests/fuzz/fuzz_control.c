// SPDX-License-Identifier: GPL-2.0-or-later
/* The control server against hostile clients.  The first byte chooses: raw bytes, or commands of the table with random
 * arguments, which get past the parser. */
#include "tests/fuzz/bytes.h"
#include "core-vmm/control/server.h"
#include "core-vmm/host/paths.h"
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct rig {
    char *folder, *socket;
    struct server_options options;
    struct server *server;
};

static void on_event(void *ctx, const struct machine_event *e)
{
    struct rig *r = ctx;
    server_state_changed(r->server, e);
}

static void rig_open(struct rig *r)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    r->folder = g_dir_make_tmp("terrarium-XXXXXX", NULL);
    r->socket = g_build_filename(r->folder, "control", NULL);
    g_key_file_set_string(file, "serial1", "target", "none");
    g_key_file_set_string(file, "ide2", "media", "cdrom");
    struct machine *m = machine_new(file, "machine.ini", r->folder, NULL, NULL);
    r->options = (struct server_options){m, "fuzz", r->folder, 0};
    r->server = server_new(&r->options, socket_listen(r->socket, NULL), r->socket);
    g_assert_nonnull(r->server);
    machine_on_event(m, on_event, r);
    machine_start(m, NULL);
}

static void rig_close(struct rig *r)
{
    server_free(r->server);
    machine_free(r->options.machine);
    folder_remove(r->folder, NULL);
    g_free(r->folder);
    g_free(r->socket);
}

static void pump(void)
{
    for (unsigned i = 0; i < 50 && g_main_context_iteration(NULL, FALSE); i++)
        ;
}

/* ---- requests made of bytes ---- */

static void set_value(JsonObject *o, const char *name, struct bytes *b)
{
    static const char *const texts[] = {"serial1", "ide2",      "running", "ctrl+alt+delete", "/dev/null", "off\n",
                                        "reset\n", "debug 5\n", "",        "\xe2\x82\xac"};
    unsigned kind = take(b);
    switch (kind % 8) {
    case 0: json_object_set_int_member(o, name, (int8_t)take(b)); break;
    case 1: json_object_set_int_member(o, name, INT64_MIN + take(b)); break;
    case 2: json_object_set_double_member(o, name, take(b) / 64.0); break;
    case 3: json_object_set_boolean_member(o, name, take(b) & 1); break;
    case 4: json_object_set_null_member(o, name); break;
    case 5: json_object_set_array_member(o, name, json_array_new()); break;
    default: json_object_set_string_member(o, name, texts[take(b) % G_N_ELEMENTS(texts)]); break;
    }
}

static const struct command *pick_command(struct bytes *b)
{
    unsigned n = 0, wanted = take(b);
    for (const struct command *const *g = command_groups(); *g; g++)
        for (const struct command *c = *g; c->name; c++)
            n++;
    wanted %= n;
    for (const struct command *const *g = command_groups(); *g; g++)
        for (const struct command *c = *g; c->name; c++)
            if (!wanted--)
                return c;
    return NULL;
}

static char *make_request(struct bytes *b)
{
    const struct command *c = pick_command(b);
    JsonObject *o = json_object_new(), *args = json_object_new();
    for (const struct param *p = c->params; p < c->params + COMMAND_PARAMS && p->name; p++)
        if (take(b) & 3)
            set_value(args, p->name, b);
    json_object_set_int_member(o, "id", take(b));
    json_object_set_string_member(o, "cmd", c->name);
    json_object_set_object_member(o, "args", args);
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), o);
    json_object_unref(o);
    g_autofree char *text = json_to_string(node, FALSE);
    return g_strconcat(text, "\n", NULL);
}

static void send_all(int fd, const void *bytes, size_t n)
{
    if (send(fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
        pump();
}

static void be_a_client(struct rig *r, const uint8_t *data, size_t size)
{
    char sink[65536];
    struct bytes b = {data, size};
    int fd = socket_connect(r->socket, NULL);
    if (take(&b) & 1) {
        while (b.left) {
            g_autofree char *request = make_request(&b);
            send_all(fd, request, strlen(request));
        }
    } else {
        send_all(fd, b.data, b.left);
    }
    while (recv(fd, sink, sizeof sink, MSG_DONTWAIT) > 0)
        pump();
    close(fd);
    pump();
}

/* Making a machine takes longer than most inputs: it is kept until one stops it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rig r;
    if (r.server && machine_state(r.options.machine) == MACHINE_STOPPED) {
        rig_close(&r);
        r.server = NULL;
    }
    if (!r.server)
        rig_open(&r);
    be_a_client(&r, data, size);
    return 0;
}
