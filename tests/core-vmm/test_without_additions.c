// SPDX-License-Identifier: GPL-2.0-or-later
/* A machine without additions refuses what wants them, by one sentence, before a handler sees it.  Server and client share this thread. */
#include "core-vmm/control/commands.h"
#include "core-vmm/host/paths.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REFUSED "\"code\":\"wrong-state\",\"message\":\"the machine has no backdoor"

static void set_argument(JsonObject *args, const struct param *p)
{
    if (p->type == PARAM_TEXT)
        json_object_set_string_member(args, p->name, "x");
    else if (p->type == PARAM_FLAG)
        json_object_set_boolean_member(args, p->name, TRUE);
    else
        json_object_set_int_member(args, p->name, p->low);
}

/* A line that asks for it, and all is right with that; g_free. */
static char *request_for(const struct command *k)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    JsonObject *o = json_object_new(), *args = json_object_new();
    for (const struct param *p = k->params; p < k->params + COMMAND_PARAMS && p->name; p++)
        set_argument(args, p);
    json_object_set_int_member(o, "id", 1);
    json_object_set_string_member(o, "cmd", k->name);
    json_object_set_object_member(o, "args", args);
    if (k->fds)
        json_object_set_int_member(o, "fds", k->fds);
    json_node_take_object(node, o);
    g_autofree char *text = json_to_string(node, FALSE);
    return g_strconcat(text, "\n", NULL);
}

/* with: a descriptor, or -1. */
static void send_line(int fd, const char *line, int with)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.head = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))}};
    struct iovec text = {(char *)line, strlen(line)};
    struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1};
    memcpy(CMSG_DATA(&control.head), &with, sizeof with);
    if (with >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
    }
    g_assert_cmpint(sendmsg(fd, &message, MSG_NOSIGNAL), ==, (ssize_t)text.iov_len);
}

/* The next line, within 5 s; g_free. */
static char *answer(int fd)
{
    GString *s = g_string_new(NULL);
    for (gint64 end = g_get_monotonic_time() + 5 * G_USEC_PER_SEC; g_get_monotonic_time() < end;) {
        char c;
        ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            g_main_context_iteration(NULL, FALSE);
            continue;
        }
        g_assert_cmpint(n, ==, 1);
        if (c == '\n')
            return g_string_free(s, FALSE);
        g_string_append_c(s, c);
    }
    g_error("no answer in 5 s");
}

static void test_each(void)
{
    g_autofree char *folder = g_dir_make_tmp("terrarium-XXXXXX", NULL),
                    *path = g_build_filename(folder, "control", NULL);
    const struct server_options options = {.name = "m", .folder = folder};
    struct server *server = server_new(&options, socket_listen(path, NULL), path);
    int fd = socket_connect(path, NULL);
    unsigned seen = 0;
    for (const struct command *k = additions_commands; k->name; k++, seen++) {
        g_autofree char *request = request_for(k);
        g_assert_true(k->additions);
        g_assert_cmpuint(k->fds, <=, 1);
        send_line(fd, request, k->fds ? fd : -1);
        g_autofree char *said = answer(fd);
        g_test_message("%s-> %s", request, said);
        g_assert_nonnull(strstr(said, REFUSED));
    }
    g_assert_cmpuint(seen, >=, 10);
    close(fd);
    server_free(server);
    g_assert_cmpint(rmdir(folder), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/control/without-additions", test_each);
    return g_test_run();
}
