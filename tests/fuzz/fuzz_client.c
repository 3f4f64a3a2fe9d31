// SPDX-License-Identifier: GPL-2.0-or-later
/* The client's side of the control socket against a hostile VM process.  The first byte chooses: raw bytes, or answers
 * whose members have random names, types and values, which get past the parser; then every reader of answers looks. */
#include "tests/fuzz/bytes.h"
#include "core-vmm/control/answer.h"
#include "core-vmm/control/client.h"
#include "core-vmm/control/wire.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/host/terminal.h"
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"id",   "ok",    "result", "error",  "event",  "data",  "fds",   "code", "message",
                                    "text", "width", "height", "stride", "drives", "drive", "bytes", "used", "limit"};

/* ---- answers made of bytes ---- */

static JsonNode *make_value(struct bytes *b, unsigned depth);

static JsonObject *make_object(struct bytes *b, unsigned depth)
{
    JsonObject *o = json_object_new();
    for (unsigned n = take(b) % 8; n--;)
        json_object_set_member(o, names[take(b) % G_N_ELEMENTS(names)], make_value(b, depth + 1));
    return o;
}

static JsonNode *make_array(struct bytes *b, unsigned depth)
{
    JsonArray *a = json_array_new();
    for (unsigned n = take(b) % 4; n--;)
        json_array_add_element(a, make_value(b, depth + 1));
    return json_node_init_array(json_node_alloc(), a);
}

static JsonNode *make_value(struct bytes *b, unsigned depth)
{
    static const char *const texts[] = {"", "busy", "state", "\033[2J", "\302\2331m", "ide2"};
    static const gint64 numbers[] = {0, 1, -1, 64, 256, 16384, 1 << 20, G_MAXINT64, G_MININT64};
    JsonNode *n = json_node_alloc();
    switch (take(b) % (depth > 8 ? 5 : 8)) {
    case 0: return json_node_init_null(n);
    case 1: return json_node_init_boolean(n, take(b) & 1);
    case 2: return json_node_init_double(n, take(b) / 7.0);
    case 3: return json_node_init_string(n, texts[take(b) % G_N_ELEMENTS(texts)]);
    case 4: return json_node_init_int(n, numbers[take(b) % G_N_ELEMENTS(numbers)]);
    case 5: json_node_free(n); return make_array(b, depth);
    default: break;
    }
    JsonObject *o = make_object(b, depth);
    json_node_init_object(n, o);
    json_object_unref(o);
    return n;
}

static char *make_answer(struct bytes *b)
{
    JsonObject *o = make_object(b, 0);
    if (take(b) & 7)
        json_object_set_int_member(o, "id", 1 + (take(b) & 1));
    if (take(b) & 7)
        json_object_set_boolean_member(o, "ok", TRUE);
    if (take(b) & 7)
        json_object_set_object_member(o, "result", make_object(b, 1));
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), o);
    json_object_unref(o);
    g_autofree char *text = json_to_string(node, FALSE);
    return g_strconcat(text, "\n", NULL);
}

/* ---- the readers ---- */

static void show(const char *text)
{
    g_autofree char *safe = terminal_text(text, strlen(text));
    for (const char *p = safe; *p; p = g_utf8_next_char(p))
        g_assert_true(*p == '\n' || *p == '\t' || !g_unichar_iscntrl(g_utf8_get_char(p)));
}

static void read_member(JsonObject *o, const char *name)
{
    g_autoptr(GError) text = NULL, array = NULL, object = NULL;
    const char *said = answer_text(o, name, NULL);
    g_assert_true(!said || g_utf8_validate(said, -1, NULL));
    if (said)
        show(said);
    int64_t n = answer_number(o, name, -5, 300, 7);
    g_assert_true(n >= -5 && n <= 300);
    g_assert_true(!answer_flag(o, name) || answer_has(o, name));
    g_assert_true(!answer_need_text(o, name, &text) == !!text);
    g_assert_true(!answer_need_array(o, name, &array) == !!array);
    g_assert_true(!answer_need_object(o, name, &object) == !!object);
    for (unsigned i = 0; i <= answer_count(answer_array(o, name)); i++)
        g_assert_true(!answer_text(answer_element(answer_array(o, name), i), "drive", NULL) || i < 100);
}

static void read_answer(JsonObject *o, int fd)
{
    struct answer_picture p;
    g_autoptr(GError) error = NULL;
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
        read_member(o, names[i]);
    g_autofree uint32_t *pixels = answer_picture(o, fd, &p, &error);
    g_assert_true(!pixels == !!error);
    if (pixels)
        g_assert_true(p.stride >= p.width * 4 && (uint64_t)p.stride * p.height <= 4096);
    answer_is_stream(fd);
}

/* ---- both ends ---- */

static void send_answers(int fd, const uint8_t *data, size_t size)
{
    struct bytes b = {data, size};
    bool made = take(&b) & 3;
    while (made && b.left) {
        g_autofree char *answer = make_answer(&b);
        if (send(fd, answer, strlen(answer), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            break;
    }
    if (!made && send(fd, b.data, b.left, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        g_assert_not_reached();
}

static void ask(struct client *c, int picture)
{
    int fds[WIRE_FDS_MAX];
    unsigned count = WIRE_FDS_MAX;
    g_autoptr(GError) error = NULL;
    JsonObject *o = client_call_fds(c, "info", NULL, NULL, 0, fds, &count, 1000, &error);
    g_assert_true(!o == !!error);
    if (error)
        show(error->message);
    if (!o)
        return;
    wire_close_fds(fds, count);
    read_answer(o, picture);
    json_object_unref(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *path = g_strdup_printf("%s/terrarium-fuzz-%d", g_get_tmp_dir(), getpid());
    int listening = socket_listen(path, NULL), picture = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    g_assert_true(listening >= 0 && picture >= 0 && !ftruncate(picture, 4096));
    struct client *c = client_connect_socket(path, NULL);
    int fd = accept(listening, NULL, NULL);
    g_assert_true(c && fd >= 0);
    send_answers(fd, data, size);
    shutdown(fd, SHUT_WR);
    ask(c, picture);
    ask(c, -1);
    client_free(c);
    close(fd);
    close(picture);
    close(listening);
    unlink(path);
    return 0;
}
