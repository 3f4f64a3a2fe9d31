// SPDX-License-Identifier: GPL-2.0-or-later
/* answer.c - see answer.h. */
#include "core-vmm/control/answer.h"
#include "core-vmm/control/client.h"
#include <fcntl.h>
#include <math.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIDE_MAX 16384

/* ---- members ---- */

static JsonNode *node_of(JsonObject *o, const char *name, GType type)
{
    JsonNode *n = o ? json_object_get_member(o, name) : NULL;
    return n && JSON_NODE_HOLDS_VALUE(n) && json_node_get_value_type(n) == type ? n : NULL;
}

bool answer_has(JsonObject *o, const char *name)
{
    return o && json_object_has_member(o, name);
}

const char *answer_text(JsonObject *o, const char *name, const char *otherwise)
{
    JsonNode *n = node_of(o, name, G_TYPE_STRING);
    const char *text = n ? json_node_get_string(n) : NULL;
    return text && g_utf8_validate(text, -1, NULL) ? text : otherwise; /* "\ud800" gets past the parser */
}

int64_t answer_number(JsonObject *o, const char *name, int64_t low, int64_t high, int64_t otherwise)
{
    JsonNode *n = node_of(o, name, G_TYPE_INT64);
    int64_t v = n ? json_node_get_int(n) : otherwise;
    return n && v >= low && v <= high ? v : otherwise;
}

double answer_real(JsonObject *o, const char *name, double low, double high, double otherwise)
{
    JsonNode *n = node_of(o, name, G_TYPE_DOUBLE);
    double v = n ? json_node_get_double(n) : otherwise;
    return n && v >= low && v <= high ? v : otherwise;
}

bool answer_flag(JsonObject *o, const char *name)
{
    JsonNode *n = node_of(o, name, G_TYPE_BOOLEAN);
    return n && json_node_get_boolean(n);
}

JsonObject *answer_object(JsonObject *o, const char *name)
{
    JsonNode *n = o ? json_object_get_member(o, name) : NULL;
    return n && JSON_NODE_HOLDS_OBJECT(n) ? json_node_get_object(n) : NULL;
}

JsonArray *answer_array(JsonObject *o, const char *name)
{
    JsonNode *n = o ? json_object_get_member(o, name) : NULL;
    return n && JSON_NODE_HOLDS_ARRAY(n) ? json_node_get_array(n) : NULL;
}

unsigned answer_count(JsonArray *a)
{
    return a ? json_array_get_length(a) : 0;
}

const char *answer_element_text(JsonArray *a, unsigned n)
{
    JsonNode *e = n < answer_count(a) ? json_array_get_element(a, n) : NULL;
    bool is_text = e && JSON_NODE_HOLDS_VALUE(e) && json_node_get_value_type(e) == G_TYPE_STRING;
    const char *text = is_text ? json_node_get_string(e) : NULL;
    return text && g_utf8_validate(text, -1, NULL) ? text : NULL;
}

JsonObject *answer_element(JsonArray *a, unsigned n)
{
    JsonNode *node = n < answer_count(a) ? json_array_get_element(a, n) : NULL;
    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

static void set_senseless(GError **error, const char *name, const char *type)
{
    g_set_error(error, CONTROL_ERROR, CONTROL_PROTOCOL,
                "the answer of the VM process makes no sense: \"%s\" is missing or is no %s; if that goes on, stop the "
                "machine by vmctl stop --force",
                name, type);
}

const char *answer_need_text(JsonObject *o, const char *name, GError **error)
{
    const char *text = answer_text(o, name, NULL);
    if (!text)
        set_senseless(error, name, "text");
    return text;
}

JsonArray *answer_need_array(JsonObject *o, const char *name, GError **error)
{
    JsonArray *a = answer_array(o, name);
    if (!a)
        set_senseless(error, name, "list");
    return a;
}

JsonObject *answer_need_object(JsonObject *o, const char *name, GError **error)
{
    JsonObject *member = answer_object(o, name);
    if (!member)
        set_senseless(error, name, "object");
    return member;
}

char *answer_shown(JsonObject *o, const char *name)
{
    JsonNode *n = o ? json_object_get_member(o, name) : NULL;
    const char *text = answer_text(o, name, NULL);
    bool plain = n && JSON_NODE_HOLDS_VALUE(n) && json_node_get_value_type(n) != G_TYPE_STRING;
    return text ? g_strdup(text) : plain ? json_to_string(n, FALSE) : NULL;
}

JsonObject *answer_parse(const char *text, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    if (!json_parser_load_from_data(parser, text, -1, error))
        return NULL;
    JsonNode *root = json_parser_get_root(parser);
    if (root && JSON_NODE_HOLDS_OBJECT(root))
        return json_object_ref(json_node_get_object(root));
    g_set_error_literal(error, CONTROL_ERROR, CONTROL_PROTOCOL, "what came is no JSON object");
    return NULL;
}

/* ---- descriptors ---- */

bool answer_memory_stays(int fd, uint64_t bytes)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS); /* -1: no memory file at all */
    return seals >= 0 && seals & F_SEAL_SHRINK && !fstat(fd, &st) && st.st_size >= 0 && (uint64_t)st.st_size >= bytes;
}

bool answer_is_stream(int fd)
{
    int type;
    socklen_t n = sizeof type;
    return fd >= 0 && !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) && type == SOCK_STREAM;
}

static bool read_all(int fd, char *to, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t n = pread(fd, to + done, bytes - done, done);
        if (n <= 0)
            return false;
        done += n;
    }
    return true;
}

/* A memory file that is as large as it must be: reading anything else could wait for ever. */
static bool holds(int fd, uint64_t bytes)
{
    struct stat st;
    return fcntl(fd, F_GET_SEALS) >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size >= 0 &&
           (uint64_t)st.st_size >= bytes;
}

uint32_t *answer_picture(JsonObject *o, int fd, struct answer_picture *p, GError **error)
{
    int64_t width = answer_number(o, "width", 1, SIDE_MAX, 0), height = answer_number(o, "height", 1, SIDE_MAX, 0);
    int64_t stride = answer_number(o, "stride", width * 4, SIDE_MAX * 8, 0);
    uint64_t bytes = (uint64_t)stride * height;
    char *pixels = width && height && stride && stride % 4 == 0 && holds(fd, bytes) ? g_try_malloc(bytes) : NULL;
    if (pixels && read_all(fd, pixels, bytes)) {
        *p = (struct answer_picture){width, height, stride};
        return (uint32_t *)pixels;
    }
    g_free(pixels);
    g_set_error_literal(error, CONTROL_ERROR, CONTROL_PROTOCOL,
                        "the VM process sent no picture, or one that is smaller than it says");
    return NULL;
}
