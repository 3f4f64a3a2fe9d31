// SPDX-License-Identifier: GPL-2.0-or-later
/* client_guest.c - see client_guest.h.
 *
 * A VIX request is a header, what its operation has, and who asks; it goes as the wish `Vix_1_Relayed_Command`, and its answer is
 * "OK ERROR MORE TEXT", or with '#' before the bytes if it is not text (open-vm-tools, vixCommands.h, foundryToolsDaemon.c).
 * Files are read and written by HGFS, of which the guest is the server then: packets of version 3 within a VIX request
 * (hgfsProto.h), under a share that is called root. */
#include "core-vmm/control/client_guest.h"
#include "core-vmm/base/bytes.h"
#include "core-vmm/control/answer.h"
#include "core-vmm/control/client_machine.h"
#include <stdlib.h>
#include <string.h>

enum { MAGIC = 0xd00d0001u, VERSION = 5, HEADER = 51, IS_REQUEST = 1, BINARY = 0x80, PASSWORD = 1 };
enum { SEND_HGFS = 84, START_PROGRAM = 185, LIST_PROCESSES = 186 };
enum { OPEN = 24, READ = 25, WRITE = 26, CLOSE = 27, GET_ATTR = 31, REMOVE = 34, RENAME = 36 };
enum { ANSWER_SECONDS = 60, CALL_MS = 70000, PATH_MOST = 4000, USER_MOST = 256, REPLY_HEADER = 8 };
#define PID_BYTES 8

struct guest {
    struct client *client;
    char *who; /* name and password, as the guest wants them */
    uint32_t count;
};

/* ---- words ---- */

static void put(GByteArray *b, uint64_t value, unsigned bytes)
{
    uint8_t le[8];
    put_le64(le, value);
    g_byte_array_append(b, le, bytes);
}

static void put_text(GByteArray *b, const char *text, size_t bytes)
{
    g_byte_array_append(b, (const uint8_t *)text, bytes);
}

static void wipe(void *data, size_t bytes)
{
    explicit_bzero(data, bytes);
}

static void wipe_text(char *text)
{
    if (text)
        wipe(text, strlen(text));
    g_free(text);
}

/* Name and password with their zero bytes, in base64.  None of its letters is one that VIX would have to escape. */
static char *who_of(const struct guest_login *l)
{
    size_t name = strlen(l->user) + 1, password = strlen(l->password) + 1;
    char *both = g_malloc(name + password);
    memcpy(both, l->user, name);
    memcpy(both + name, l->password, password);
    char *text = g_base64_encode((uint8_t *)both, name + password);
    wipe(both, name + password);
    g_free(both);
    return text;
}

/* ---- a request and its answer ---- */

static bool no_sense(GError **error)
{
    g_set_error(error, CONTROL_ERROR, CONTROL_PROTOCOL, "the guest's tools answer what makes no sense");
    return false;
}

static bool refused(int64_t code, GError **error)
{
    static const struct {
        int64_t code;
        const char *text;
    } known[] = {{4, "there is no such file"},
                 {6, "it does not know how"},
                 {27, "a text is not UTF-8"},
                 {3015, "this user may not"},
                 {3050, "user or password are not right, or the user may not log in"},
                 {20005, "its settings forbid that"}};
    for (unsigned i = 0; i < G_N_ELEMENTS(known); i++)
        if (known[i].code == (code & 0xffffffff)) {
            g_set_error(error, CONTROL_ERROR, CONTROL_FAILED, "the guest refuses: %s", known[i].text);
            return false;
        }
    g_set_error(error, CONTROL_ERROR, CONTROL_FAILED, "the guest refuses, with error %d of VIX",
                (int)(code & 0xffffffff));
    return false;
}

/* Behind "OK ERROR MORE ": bytes, *n of them, within the answer. */
static const uint8_t *payload(const uint8_t *answer, gsize bytes, bool binary, size_t *n, GError **error)
{
    g_autofree char *head = g_strndup((const char *)answer, MIN(bytes, 64));
    char *end;
    if (strncmp(head, "OK ", 3)) {
        no_sense(error);
        return NULL;
    }
    int64_t code = g_ascii_strtoll(head + 3, &end, 10);
    if (end == head + 3 || *end != ' ') {
        no_sense(error);
        return NULL;
    }
    g_ascii_strtoll(end + 1, &end, 10);
    if (code) {
        refused(code, error);
        return NULL;
    }
    size_t at = end - head + (*end == ' ') + binary;
    if (at > bytes || (binary && answer[at - 1] != '#')) {
        no_sense(error);
        return NULL;
    }
    *n = bytes - at;
    return answer + at;
}

static GByteArray *message(struct guest *g, uint32_t op, const GByteArray *body, bool binary)
{
    GByteArray *b = g_byte_array_new();
    g_autofree char *name = g_strdup_printf("Vix_1_Relayed_Command \"%u\"", ++g->count);
    size_t who = strlen(g->who) + 1, credential = 8 + who;
    put_text(b, name, strlen(name) + 1);
    put(b, MAGIC, 4);
    put(b, VERSION, 2);
    put(b, HEADER + body->len + credential, 4);
    put(b, HEADER, 4);
    put(b, body->len, 4);
    put(b, credential, 4);
    put(b, IS_REQUEST | (binary ? BINARY : 0), 1);
    put(b, op, 4);
    put(b, 0, 4); /* flags */
    put(b, 0, 4); /* time */
    put(b, g->count, 8);
    put(b, 0, 4);
    put(b, PASSWORD, 4);
    g_byte_array_append(b, body->data, body->len);
    put(b, 0, 4);
    put(b, 0, 4);
    put_text(b, g->who, who);
    return b;
}

/* Takes the body.  The payload in a new array, or NULL. */
static GByteArray *ask(struct guest *g, uint32_t op, GByteArray *body, bool binary, GError **error)
{
    GByteArray *b = message(g, op, body, binary), *got = NULL;
    char *wish = g_base64_encode(b->data, b->len);
    JsonObject *args = json_object_new();
    json_object_set_string_member(args, "wish", wish);
    json_object_set_int_member(args, "seconds", ANSWER_SECONDS);
    wipe(b->data, b->len);
    g_byte_array_unref(b);
    g_byte_array_unref(body);
    wipe_text(wish);
    g_autoptr(JsonObject) o = client_call(g->client, "guest.tell", args, CALL_MS, error);
    if (!o)
        return NULL;
    gsize bytes;
    size_t n;
    g_autofree uint8_t *answer = g_base64_decode(answer_text(o, "answer", ""), &bytes);
    const uint8_t *data = payload(answer, bytes, binary, &n, error);
    if (data)
        got = g_byte_array_append(g_byte_array_new(), data, n);
    return got;
}

/* ---- programs ---- */

/* For the guest's /bin/sh, which is given the command line as one text. */
static char *arguments(const char *words)
{
    g_autofree char *quoted = g_shell_quote(words);
    return g_strdup_printf("-c %s", quoted);
}

bool guest_start(struct guest *g, const char *words, int64_t *pid, GError **error)
{
    static const char shell[] = "/bin/sh";
    g_autofree char *args = arguments(words);
    GByteArray *b = g_byte_array_new();
    put(b, 0, 1);
    put(b, sizeof shell, 4);
    put(b, strlen(args) + 1, 4);
    put(b, 0, 4);
    put(b, 0, 4);
    put(b, 0, 4);
    put_text(b, shell, sizeof shell);
    put_text(b, args, strlen(args) + 1);
    g_autoptr(GByteArray) said = ask(g, START_PROGRAM, b, false, error);
    if (!said)
        return false;
    g_autofree char *text = g_strndup((const char *)said->data, said->len);
    *pid = g_ascii_strtoll(text, NULL, 10);
    return *pid > 0 || no_sense(error);
}

/* The number between <tag> and </tag>; false: there is none. */
static bool tagged(const char *text, const char *tag, int64_t *value)
{
    const char *at = strstr(text, tag);
    char *end;
    if (!at)
        return false;
    *value = g_ascii_strtoll(at + strlen(tag), &end, 10);
    return *end == '<';
}

bool guest_ended(struct guest *g, int64_t pid, bool *ended, int *code, GError **error)
{
    GByteArray *b = g_byte_array_new();
    int64_t status, time;
    put(b, 0, 4);
    put(b, 0, 4);
    put(b, 1, 4);
    put(b, pid, PID_BYTES);
    g_autoptr(GByteArray) said = ask(g, LIST_PROCESSES, b, false, error);
    if (!said)
        return false;
    g_autofree char *text = g_strndup((const char *)said->data, said->len);
    if (!tagged(text, "<eCode>", &status) || !tagged(text, "<eTime>", &time)) {
        g_set_error(error, CONTROL_ERROR, CONTROL_FAILED, "the guest does not know of the program any more");
        return false;
    }
    *ended = time != 0;
    *code = status;
    return true;
}

/* ---- files ---- */

static GByteArray *hgfs_begin(struct guest *g, uint32_t op)
{
    GByteArray *b = g_byte_array_new();
    put(b, g->count, 4);
    put(b, op, 4);
    return b;
}

/* "root", and the path's components, with zero bytes between them. */
static bool put_path(GByteArray *b, const char *path, GError **error)
{
    if (*path != '/' || strlen(path) > PATH_MOST || !g_utf8_validate(path, -1, NULL)) {
        g_set_error(error, CONTROL_ERROR, CONTROL_USAGE,
                    "%s: a path in the guest begins with / and has at most %d bytes", path, PATH_MOST);
        return false;
    }
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    GString *name = g_string_new("root");
    for (char **p = parts; *p; p++)
        if (**p) {
            g_string_append_c(name, 0);
            g_string_append(name, *p);
        }
    put(b, name->len, 4);
    put(b, 0, 4);
    put(b, 0, 4);
    put(b, 0xffffffff, 4);
    put_text(b, name->str, name->len);
    put(b, 0, 1);
    g_string_free(name, TRUE);
    return true;
}

static bool hgfs_refused(uint32_t status, GError **error)
{
    static const char *const texts[] = {[1] = "there is no such file or folder",
                                        [2] = "the file is not open any more",
                                        [3] = "the user may not",
                                        [4] = "it is there already",
                                        [5] = "this is no folder",
                                        [8] = "the user may not",
                                        [9] = "no such name",
                                        [12] = "there is no room",
                                        [14] = "the name is too long"};
    const char *text = status < G_N_ELEMENTS(texts) ? texts[status] : NULL;
    g_set_error(error, CONTROL_ERROR, status == 1 ? CONTROL_NOT_FOUND : CONTROL_FAILED, "in the guest: %s",
                text ? text : "input or output fails");
    return false;
}

/* Takes the packet.  What follows the reply's header, or NULL. */
static GByteArray *hgfs_ask(struct guest *g, GByteArray *packet, GError **error)
{
    GByteArray *b = g_byte_array_new();
    put(b, packet->len, 4);
    put(b, 0, 4);
    g_byte_array_append(b, packet->data, packet->len);
    g_byte_array_unref(packet);
    GByteArray *reply = ask(g, SEND_HGFS, b, true, error);
    if (!reply)
        return NULL;
    uint32_t status = reply->len >= REPLY_HEADER ? get_le32(reply->data + 4) : 0;
    if (reply->len >= REPLY_HEADER && !status) {
        g_byte_array_remove_range(reply, 0, REPLY_HEADER);
        return reply;
    }
    if (status)
        hgfs_refused(status, error);
    else
        no_sense(error);
    g_byte_array_unref(reply);
    return NULL;
}

/* The same of a packet whose last word is a path. */
static GByteArray *ask_of_path(struct guest *g, GByteArray *packet, const char *path, GError **error)
{
    if (put_path(packet, path, error))
        return hgfs_ask(g, packet, error);
    g_byte_array_unref(packet);
    return NULL;
}

/* How: an old file to read, or a new one to write. */
static bool open_file(struct guest *g, const char *path, bool make, unsigned mode, uint32_t *handle, GError **error)
{
    enum { VALID = 0x83b, OLD = 0, ONLY_NEW = 3, REST = 44 }; /* mode, flags, three kinds of permissions, a name */
    GByteArray *b = hgfs_begin(g, OPEN);
    put(b, VALID, 8);
    put(b, make, 4);
    put(b, make ? ONLY_NEW : OLD, 4);
    put(b, 0, 1);
    put(b, mode >> 6 & 7, 1);
    put(b, mode >> 3 & 7, 1);
    put(b, mode & 7, 1);
    for (unsigned i = 0; i < REST; i += 4)
        put(b, 0, 4);
    g_autoptr(GByteArray) reply = ask_of_path(g, b, path, error);
    if (!reply || reply->len < 4)
        return reply ? no_sense(error) : false;
    *handle = get_le32(reply->data);
    return true;
}

bool guest_file_open(struct guest *g, const char *path, uint32_t *handle, GError **error)
{
    return open_file(g, path, false, 0, handle, error);
}

bool guest_file_make(struct guest *g, const char *path, unsigned mode, uint32_t *handle, GError **error)
{
    return open_file(g, path, true, mode, handle, error);
}

bool guest_file_look(struct guest *g, const char *path, struct guest_attr *attr, GError **error)
{
    enum { KIND = 8, BYTES = 12, MODE = 52, ATTR_BYTES = 104, VALID = 1 << 0 | 1 << 1 | 7 << 7 };
    GByteArray *b = hgfs_begin(g, GET_ATTR);
    put(b, 0, 8);
    put(b, 0, 8);
    g_autoptr(GByteArray) reply = ask_of_path(g, b, path, error);
    if (!reply || reply->len < ATTR_BYTES || (get_le64(reply->data) & VALID) != VALID)
        return reply ? no_sense(error) : false;
    const uint8_t *mode = reply->data + MODE;
    *attr = (struct guest_attr){get_le32(reply->data + KIND), get_le64(reply->data + BYTES),
                                (mode[1] & 7u) << 6 | (mode[2] & 7u) << 3 | (mode[3] & 7u)};
    return true;
}

bool guest_file_read(struct guest *g, uint32_t handle, uint64_t offset, uint8_t *data, size_t *n, GError **error)
{
    GByteArray *b = hgfs_begin(g, READ);
    put(b, handle, 4);
    put(b, offset, 8);
    put(b, GUEST_PIECE, 4);
    put(b, 0, 8);
    g_autoptr(GByteArray) reply = hgfs_ask(g, b, error);
    if (!reply)
        return false;
    *n = reply->len >= 12 ? get_le32(reply->data) : SIZE_MAX;
    if (*n > GUEST_PIECE || *n > reply->len - 12)
        return no_sense(error);
    memcpy(data, reply->data + 12, *n);
    return true;
}

bool guest_file_write(struct guest *g, uint32_t handle, uint64_t offset, const uint8_t *data, size_t n, GError **error)
{
    GByteArray *b = hgfs_begin(g, WRITE);
    put(b, handle, 4);
    put(b, 0, 1);
    put(b, offset, 8);
    put(b, n, 4);
    put(b, 0, 8);
    g_byte_array_append(b, data, n);
    g_autoptr(GByteArray) reply = hgfs_ask(g, b, error);
    if (!reply || reply->len < 4)
        return reply ? no_sense(error) : false;
    if (get_le32(reply->data) == n)
        return true;
    g_set_error(error, CONTROL_ERROR, CONTROL_NO_SPACE, "in the guest: not all could be written");
    return false;
}

bool guest_file_close(struct guest *g, uint32_t handle, GError **error)
{
    GByteArray *b = hgfs_begin(g, CLOSE);
    put(b, handle, 4);
    put(b, 0, 8);
    g_autoptr(GByteArray) reply = hgfs_ask(g, b, error);
    return reply != NULL;
}

bool guest_file_remove(struct guest *g, const char *path, GError **error)
{
    GByteArray *b = hgfs_begin(g, REMOVE);
    put(b, 0, 8);
    put(b, 0, 8);
    g_autoptr(GByteArray) reply = ask_of_path(g, b, path, error);
    return reply != NULL;
}

bool guest_file_rename(struct guest *g, const char *from, const char *to, GError **error)
{
    GByteArray *b = hgfs_begin(g, RENAME);
    put(b, 0, 8);
    put(b, 0, 8);
    if (!put_path(b, from, error)) {
        g_byte_array_unref(b);
        return false;
    }
    g_autoptr(GByteArray) reply = ask_of_path(g, b, to, error);
    return reply != NULL;
}

/* ---- life ---- */

struct guest *guest_connect(const char *machine, const struct guest_login *login, GError **error)
{
    if (!*login->user || strlen(login->user) > USER_MOST || strlen(login->password) > USER_MOST) {
        g_set_error(error, CONTROL_ERROR, CONTROL_USAGE,
                    "users and passwords have at most %d bytes, and there is a user", USER_MOST);
        return NULL;
    }
    struct client *c = client_connect_machine(machine, NULL, error);
    if (!c)
        return NULL;
    struct guest *g = g_new0(struct guest, 1);
    *g = (struct guest){.client = c, .who = who_of(login)};
    return g;
}

void guest_free(struct guest *g)
{
    if (!g)
        return;
    client_free(g->client);
    wipe_text(g->who);
    g_free(g);
}
