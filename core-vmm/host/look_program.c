// SPDX-License-Identifier: GPL-2.0-or-later
/* look_program.c - see look_program.h. */
#include "core-vmm/host/look_program.h"
#include "core-vmm/control/answer.h"
#include "core-vmm/fence/fence.h"
#include "core-vmm/host/machines.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MOST (1 << 20)
#define WORDS_MOST  (16 << 10) /* of what is wrong */

static char **command_line(const char *const *arguments, GError **error)
{
    g_autofree char *program = program_find("terrarium-look");
    GPtrArray *a = g_ptr_array_new();
    if (!program) {
        g_ptr_array_unref(a);
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_NO_PROGRAM,
                    "terrarium-look is missing, which looks into media and disks; install Terrarium anew");
        return NULL;
    }
    g_ptr_array_add(a, g_steal_pointer(&program));
    for (; *arguments; arguments++)
        g_ptr_array_add(a, g_strdup(*arguments));
    g_ptr_array_add(a, NULL);
    return (char **)g_ptr_array_free(a, FALSE);
}

/* One of what it says; false: it has said all, or too much. */
static bool hear(int fd, GString *said, gsize most)
{
    char some[4096];
    ssize_t n = read(fd, some, sizeof some);
    if (n > 0)
        g_string_append_len(said, some, n);
    return (n > 0 && said->len <= most) || (n < 0 && errno == EINTR);
}

/* Both at once, so that it waits for neither. */
static void hear_all(int out, int err, GString *answer, GString *words)
{
    struct pollfd p[] = {{out, POLLIN, 0}, {err, POLLIN, 0}};
    while (p[0].fd >= 0 || p[1].fd >= 0) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return;
        if (p[0].fd >= 0 && p[0].revents && !hear(out, answer, ANSWER_MOST))
            p[0].fd = -1;
        if (p[1].fd >= 0 && p[1].revents && !hear(err, words, WORDS_MOST))
            p[1].fd = -1;
    }
}

static int wait_for(GPid pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void judge(int code, const GString *words, GError **error)
{
    g_autofree char *clean = fence_text(words->str, strcspn(words->str, "\n"));
    if (code == 128 + SIGALRM)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "looking into the file took too long");
    else if (code == LOOK_NO_ISO)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "it has no file system of a CD or DVD");
    else
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s",
                    *clean ? clean : "terrarium-look, which looks into files, ended before it had an answer");
}

/* into: -1, or where its answer goes instead. */
static char *run(const char *const *arguments, int into, int *code, GError **error)
{
    g_auto(GStrv) argv = command_line(arguments, error);
    int out = -1, err = -1, null = open("/dev/null", O_RDWR | O_CLOEXEC);
    GPid pid;
    if (code)
        *code = -1;
    bool good = argv && g_spawn_async_with_pipes_and_fds(
                            NULL, (const char *const *)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, program_in_child, NULL,
                            null, into, -1, NULL, NULL, 0, &pid, NULL, into < 0 ? &out : NULL, &err, error);
    close(null);
    if (!good)
        return NULL;
    GString *answer = g_string_new(NULL), *words = g_string_new(NULL);
    hear_all(out, err, answer, words);
    if (out >= 0)
        close(out);
    close(err); /* one that says too much is ended by that */
    int ended = wait_for(pid);
    if (code)
        *code = ended;
    if (ended)
        judge(ended, words, error);
    g_string_free(words, TRUE);
    return g_string_free(answer, ended != 0);
}

char *look_program(const char *const *arguments, int *code, GError **error)
{
    return run(arguments, -1, code, error);
}

bool look_program_into(const char *const *arguments, int fd, GError **error)
{
    g_autofree char *nothing = run(arguments, fd, NULL, error);
    return nothing != NULL;
}

bool look_at_disk(const char *path, const char *format, struct disk_table *t, GError **error)
{
    const char *const arguments[] = {"disk", path, format, NULL};
    g_autofree char *text = look_program(arguments, NULL, error);
    JsonObject *o = text ? answer_parse(text, error) : NULL;
    if (!o)
        return false;
    *t = (struct disk_table){.bytes = answer_number(o, "bytes", 0, G_MAXINT64, 0),
                             .any = answer_flag(o, "partitions"),
                             .gpt = answer_flag(o, "gpt"),
                             .esp = answer_flag(o, "esp"),
                             .bios = answer_flag(o, "bios"),
                             .uefi = answer_flag(o, "uefi")};
    g_strlcpy(t->format, answer_text(o, "format", "raw"), sizeof t->format);
    json_object_unref(o);
    return true;
}
