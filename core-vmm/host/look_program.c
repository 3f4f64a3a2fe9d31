// SPDX-License-Identifier: GPL-2.0-or-later
/* look_program.c - see look_program.h. */
#include "core-vmm/host/look_program.h"
#include "core-vmm/control/answer.h"
#include "core-vmm/fence/fence.h"
#include "core-vmm/host/machines.h"
#include "disk-formats/image/image.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define ANSWER_MOST (8 << 20)
#define WORDS_MOST  (16 << 10) /* of what is wrong */

#define FILTER_BYTES UINT64_C(1 << 20) /* its fence is compiled into a file in memory */

enum { LOOK_SECONDS = 25, COPY_SECONDS = 310 }; /* a little more than its own alarm gives it */

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

/* Both at once, so that it waits for neither.  False: it took longer than it may, or says too much; its own alarm is not trusted. */
static bool hear_all(int out, int err, unsigned seconds, GString *answer, GString *words)
{
    struct pollfd p[] = {{out, POLLIN, 0}, {err, POLLIN, 0}};
    gint64 end = g_get_monotonic_time() + (gint64)seconds * G_USEC_PER_SEC;
    while (p[0].fd >= 0 || p[1].fd >= 0) {
        gint64 left = end - g_get_monotonic_time();
        if (left <= 0)
            return false;
        if (poll(p, 2, left / 1000 + 1) < 0 && errno != EINTR)
            return false;
        if (p[0].fd >= 0 && p[0].revents && !hear(out, answer, ANSWER_MOST))
            p[0].fd = -1;
        if (answer->len > ANSWER_MOST)
            return false;
        if (p[1].fd >= 0 && p[1].revents && !hear(err, words, WORDS_MOST))
            p[1].fd = -1;
    }
    return true;
}

static void judge(int code, const GString *words, GError **error)
{
    g_autofree char *clean = fence_text(words->str, strcspn(words->str, "\n"));
    if (code == 128 + SIGALRM || code == 128 + SIGKILL)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "looking into the file took too long");
    else if (code == LOOK_NO_ISO)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "it has no file system of a CD or DVD");
    else if (code == LOOK_NO_ROOM)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE, "there is no room for what is in it");
    else
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s",
                    *clean ? clean : "terrarium-look, which looks into files, ended before it had an answer");
}

/* Between fork and exec.  most: what it may make a file long. */
static void in_child(gpointer most)
{
    uint64_t bytes = MAX(*(uint64_t *)most, FILTER_BYTES);
    const struct rlimit files = {bytes, bytes}, no_core = {0};
    program_in_child(NULL);
    setrlimit(RLIMIT_FSIZE, &files);
    setrlimit(RLIMIT_CORE, &no_core);
}

/* into: -1, or where its answer goes instead. */
static char *run(const char *const *arguments, int into, uint64_t most, unsigned seconds, int *code, GError **error)
{
    g_auto(GStrv) argv = command_line(arguments, error);
    int out = -1, err = -1, null = open("/dev/null", O_RDWR | O_CLOEXEC);
    GPid pid;
    if (code)
        *code = -1;
    bool good = argv && g_spawn_async_with_pipes_and_fds(
                            NULL, (const char *const *)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, in_child, &most, null,
                            into, -1, NULL, NULL, 0, &pid, NULL, into < 0 ? &out : NULL, &err, error);
    close(null);
    if (!good)
        return NULL;
    GString *answer = g_string_new(NULL), *words = g_string_new(NULL);
    if (!hear_all(out, err, seconds, answer, words))
        kill(pid, SIGKILL);
    if (out >= 0)
        close(out);
    close(err); /* one that says too much is ended by that */
    int ended = fence_wait(pid);
    if (code)
        *code = ended;
    if (ended)
        judge(ended, words, error);
    g_string_free(words, TRUE);
    return g_string_free(answer, ended != 0);
}

char *look_program(const char *const *arguments, int *code, GError **error)
{
    return run(arguments, -1, 0, LOOK_SECONDS, code, error);
}

bool look_program_into(const char *const *arguments, int fd, uint64_t most, GError **error)
{
    g_autofree char *nothing = run(arguments, fd, most, COPY_SECONDS, NULL, error);
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

bool look_at_drive(GKeyFile *file, const char *section, const char *folder, struct disk_table *t, GError **error)
{
    g_autofree char *name = g_key_file_get_string(file, section, "file", NULL);
    g_autofree char *format = g_key_file_get_string(file, section, "format", NULL);
    g_autofree char *path = name && *name ? g_canonicalize_filename(name, folder) : NULL;
    if (!path || g_key_file_has_key(file, section, "offset", NULL) || g_key_file_has_key(file, section, "size", NULL)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "[%s] %s", section,
                    path ? "is a part of a file" : "is empty");
        return false;
    }
    return look_at_disk(path, format ? format : image_format_by_name(path), t, error);
}

/* ---- which files differ ---- */

static void clear_file(void *file)
{
    g_free(((struct file_diff *)file)->path);
}

static void clear_partition(void *partition)
{
    struct partition_diff *p = partition;
    g_free(p->kind);
    g_free(p->why);
    g_array_unref(p->files);
}

static struct partition_diff read_partition(JsonObject *o)
{
    const char *why = answer_text(o, "why", NULL);
    struct partition_diff p = {.number = answer_number(o, "number", 0, G_MAXINT, 0),
                               .kind = g_strdup(answer_text(o, "kind", "")),
                               .why = why ? g_strdup(why) : NULL,
                               .more = answer_flag(o, "more"),
                               .files = g_array_new(FALSE, FALSE, sizeof(struct file_diff))};
    JsonArray *files = answer_array(o, "files");
    g_array_set_clear_func(p.files, clear_file);
    for (unsigned i = 0; i < answer_count(files); i++) {
        JsonObject *f = answer_element(files, i);
        struct file_diff one = {*answer_text(f, "how", "*"), g_strdup(answer_text(f, "path", "/"))};
        g_array_append_val(p.files, one);
    }
    return p;
}

GArray *look_compare(char *const path[2], char *const format[2], GError **error)
{
    const char *const arguments[] = {"compare", path[0], format[0], path[1], format[1], NULL};
    g_autofree char *text = run(arguments, -1, 0, COPY_SECONDS, NULL, error);
    JsonObject *o = text ? answer_parse(text, error) : NULL;
    JsonArray *partitions = o ? answer_array(o, "partitions") : NULL;
    if (!o)
        return NULL;
    GArray *list = g_array_new(FALSE, FALSE, sizeof(struct partition_diff));
    g_array_set_clear_func(list, clear_partition);
    for (unsigned i = 0; i < answer_count(partitions); i++) {
        struct partition_diff one = read_partition(answer_element(partitions, i));
        g_array_append_val(list, one);
    }
    json_object_unref(o);
    return list;
}
