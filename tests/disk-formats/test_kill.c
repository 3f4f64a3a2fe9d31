// SPDX-License-Identifier: GPL-2.0-or-later
/* test_kill.c - `vmctl disk` killed with SIGKILL at random instants: the source stays as it was, nothing half-made has the
 * final name, and the same command again completes the work.
 * VMCTL names the program; TEST_KILLS says how often each operation is killed. */
#include "tests/disk-formats/disk_test.h"
#include "disk-formats/ops/ops.h"
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define BYTES (32u << 20)

struct scene {
    char *folder, *base, *child, *target;
    uint8_t *model, *base_model; /* what the child shows, and the base */
    uint8_t *got;                /* what an image shows; kept, for fresh memory costs more than to read into it */
    struct rng rng;
    const char *format;
};
struct operation {
    const char *name, *format;
    void (*command)(struct scene *s, const char **argv); /* from argv[0] on */
    void (*verify)(struct scene *s, bool completed);
};

static void shows(struct scene *s, const char *path, const char *format, const uint8_t *model)
{
    struct image *im = open_image(path, format, false);
    g_assert_cmpuint(im->bytes, >=, BYTES);
    g_assert_cmpint(image_read(im, 0, s->got, BYTES), ==, 0);
    g_assert_true(!memcmp(s->got, model, BYTES));
    image_close(im);
}

static void not_corrupt(const char *path, const char *format)
{
    struct image *im = open_image(path, format, false);
    struct image_check c;
    GError *error = NULL;
    image_check_init(&c);
    g_assert_true(image_check(im, false, &c, &error));
    if (c.corruptions)
        g_error("%s: %s", path, c.text->str);
    image_check_clear(&c);
    image_close(im);
}

/* ---- the scene: a base image, and a child on top of it ---- */
static void write_some(struct scene *s, struct image *im, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        uint64_t bytes = (1 + rng_below(&s->rng, 16)) * 65536,
                 offset = rng_below(&s->rng, (BYTES - bytes) / 4096) * 4096;
        memset(s->model + offset, rng_below(&s->rng, 3) ? 1 + rng_below(&s->rng, 255) : 0, bytes);
        g_assert_cmpint(image_write(im, offset, s->model + offset, bytes), ==, 0);
    }
}

static void set_up(struct scene *s, const char *format)
{
    GError *error = NULL;
    struct image_options o = {.bytes = BYTES};
    s->format = format;
    g_remove(s->base);
    g_remove(s->child);
    g_remove(s->target);
    memset(s->model, 0, BYTES);
    image_create(s->base, format, &o, false, &error);
    g_assert_no_error(error);
    struct image *im = open_image(s->base, format, true);
    write_some(s, im, 40);
    g_assert_cmpint(image_close(im), ==, 0);
    memcpy(s->base_model, s->model, BYTES);
    g_autofree char *name = g_path_get_basename(s->base);
    o = (struct image_options){.parent = name, .parent_format = format};
    image_create(s->child, format, &o, false, &error);
    g_assert_no_error(error);
    im = open_image(s->child, format, true);
    write_some(s, im, 40);
    g_assert_cmpint(image_close(im), ==, 0);
}

/* ---- the operations ---- */
static void convert_command(struct scene *s, const char **argv)
{
    const char *line[] = {"convert", "-q", "-f", s->format, "-O", "qcow2", s->child, s->target};
    memcpy(argv, line, sizeof line);
}

static void convert_verify(struct scene *s, bool completed)
{
    bool there = g_file_test(s->target, G_FILE_TEST_EXISTS);
    shows(s, s->child, s->format, s->model);
    g_assert_true(there || !completed);
    if (there)
        shows(s, s->target, "qcow2", s->model);
    if (there && !completed)
        g_remove(s->target);
}

static void commit_command(struct scene *s, const char **argv)
{
    const char *line[] = {"commit", "-q", "--force", "-f", s->format, s->child};
    memcpy(argv, line, sizeof line);
}

static void commit_verify(struct scene *s, bool completed)
{
    not_corrupt(s->base, s->format);
    if (completed) {
        shows(s, s->child, s->format, s->model);
        shows(s, s->base, s->format, s->model);
    } else if (!strcmp(s->format, "qcow2") ||
               !strcmp(s->format, "vhd")) { /* others know by the parent's id when the very end was cut short */
        shows(s, s->child, s->format, s->model);
    }
}

static void compact_command(struct scene *s, const char **argv)
{
    const char *line[] = {"compact", "-q", "-f", s->format, s->base};
    memcpy(argv, line, sizeof line);
}

static void pull_command(struct scene *s, const char **argv)
{
    const char *line[] = {"pull", "-q", "-f", s->format, s->child};
    memcpy(argv, line, sizeof line);
}

static void pull_verify(struct scene *s, bool completed)
{
    shows(s, s->child, s->format, s->model);
    not_corrupt(s->child, s->format);
    if (completed) {
        struct image *im = open_image(s->child, s->format, false);
        g_assert_null(im->parent_name);
        image_close(im);
    }
}

static void compact_verify(struct scene *s, bool completed)
{
    shows(s, s->base, s->format, s->base_model);
    not_corrupt(s->base, s->format);
}

static void resize_command(struct scene *s, const char **argv)
{
    const char *line[] = {"resize", "-f", s->format, s->child, "3T"};
    memcpy(argv, line, sizeof line);
}

static void resize_verify(struct scene *s, bool completed)
{
    struct image *im = open_image(s->child, s->format, false);
    g_assert_true(im->bytes == UINT64_C(3) << 40 || (im->bytes == BYTES && !completed));
    image_close(im);
    shows(s, s->child, s->format, s->model);
    not_corrupt(s->child, s->format);
}

static const struct operation operations[] = {
    {"convert", "qcow2", convert_command, convert_verify},  {"convert-vdi", "vdi", convert_command, convert_verify},
    {"commit", "qcow2", commit_command, commit_verify},     {"commit-vmdk", "vmdk", commit_command, commit_verify},
    {"commit-vhdx", "vhdx", commit_command, commit_verify}, {"commit-vhd", "vhd", commit_command, commit_verify},
    {"pull", "qcow2", pull_command, pull_verify},           {"compact", "qcow2", compact_command, compact_verify},
    {"resize", "qcow2", resize_command, resize_verify},
};

/* ---- killing ---- */
static GPid start(struct scene *s, const struct operation *op)
{
    const char *argv[16] = {g_getenv("VMCTL"), "disk"};
    GError *error = NULL;
    GPid pid;
    op->command(s, argv + 2);
    /* with descriptors left open (none is without CLOEXEC) it need not copy this process */
    g_spawn_async(NULL, (char **)argv, NULL,
                  G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDERR_TO_DEV_NULL | G_SPAWN_LEAVE_DESCRIPTORS_OPEN, NULL, NULL,
                  &pid, &error);
    g_assert_no_error(error);
    return pid;
}

static bool finish(GPid pid)
{
    int status;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int64_t full_time(struct scene *s, const struct operation *op)
{
    set_up(s, op->format);
    int64_t t = g_get_monotonic_time();
    g_assert_true(finish(start(s, op)));
    t = g_get_monotonic_time() - t;
    op->verify(s, true);
    return t;
}

/* One killed run, then the same to its end; true: it was killed before its end. */
static bool kill_one(struct scene *s, const struct operation *op, int64_t *longest)
{
    set_up(s, op->format);
    GPid pid = start(s, op);
    g_usleep(rng_below(&s->rng, *longest));
    kill(pid, SIGKILL);
    bool completed = finish(pid);
    *longest = completed ? *longest * 9 / 10 + 1 : *longest + *longest / 20; /* the host may be busy, or no more so */
    op->verify(s, completed);
    if (!completed) {
        g_assert_true(finish(start(s, op)));
        op->verify(s, true);
    }
    return !completed;
}

static void scene_init(struct scene *s)
{
    *s = (struct scene){.folder = scratch_new(), .rng = rng_new(test_seed()), .model = g_malloc(BYTES)};
    s->base_model = g_malloc(BYTES);
    s->got = g_malloc(BYTES);
    s->base = g_strdup_printf("%s/base.img", s->folder);
    s->child = g_strdup_printf("%s/child.img", s->folder);
    s->target = g_strdup_printf("%s/target.img", s->folder);
}

static void scene_clear(struct scene *s)
{
    scratch_remove(s->folder);
    g_free(s->base);
    g_free(s->child);
    g_free(s->target);
    g_free(s->model);
    g_free(s->base_model);
    g_free(s->got);
}

static void test_operation(const void *data)
{
    enum { SAY = 20 };
    const struct operation *op = data;
    const char *text = g_getenv("TEST_KILLS");
    struct scene s;
    scene_init(&s);
    int64_t began = g_get_monotonic_time(), longest = full_time(&s, op);
    unsigned killed = 0, tries = 0, kills = text ? atoi(text) : 5;
    for (; killed < kills && tries < 4 * kills; tries++)
        if (kill_one(&s, op, &longest) && ++killed % SAY == 0)
            g_test_message("%s, %u of %u operations: %u of %u kills, %u s", op->name, (unsigned)(op - operations) + 1,
                           (unsigned)G_N_ELEMENTS(operations), killed, kills,
                           (unsigned)((g_get_monotonic_time() - began) / G_USEC_PER_SEC));
    g_test_message("%u of %u were killed before the end", killed, tries);
    g_assert_cmpuint(killed, ==, kills);
    scene_clear(&s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (!g_getenv("VMCTL"))
        g_error("VMCTL is not set");
    for (unsigned i = 0; i < G_N_ELEMENTS(operations); i++) {
        g_autofree char *name = g_strdup_printf("/disk/kill/%s", operations[i].name);
        g_test_add_data_func(name, &operations[i], test_operation);
    }
    return g_test_run();
}
