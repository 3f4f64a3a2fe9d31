// SPDX-License-Identifier: GPL-2.0-or-later
/* main.c - terrarium-look: looks into an ISO or a disk image inside of a fence, for core-vmm/install and core-vmm/host.
 *
 *   terrarium-look medium FILE            what it is, as JSON
 *   terrarium-look disk FILE FORMAT       its partition table, as JSON
 *   terrarium-look extract FILE PATH MOST a file of it, to stdout
 *   terrarium-look compare FILE FORMAT FILE FORMAT
 *                                         what files of a disk changed until its second day, as JSON
 *   terrarium-look file FILE FORMAT N PATH a file of a disk's partition N (0: the first that has it), to stdout
 *
 * A program of its own, because a program with threads cannot fork and go on.  It opens the file, closes the fences, and only then
 * reads the first byte.  Errors go to stderr; the exit code is 1, or one of those below. */
#include "core-vmm/fence/fence.h"
#include "core-vmm/look/look.h"
#include "core-vmm/look/volume.h"
#include "disk-formats/image/image.h"
#include <errno.h>
#include <fcntl.h>
#include <json-glib/json-glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXTRACT_SECONDS = 300, PIECE = 1 << 20 };
enum { NO_ISO = 3, NO_ROOM = 4 }; /* exit codes, as host/look_program.h has them */

static int fail(const char *path, const char *why)
{
    g_printerr("%s: %s\n", path, why);
    return EXIT_FAILURE;
}

/* path, other: disks, or NULL; with_parents: what an image builds upon may lie anywhere. */
static bool fence_two(const char *path, const char *other, bool with_parents)
{
    g_autoptr(GError) error = NULL;
    struct fence_files *f = fence_files_new();
    bool disk = path;
    if (disk)
        fence_allow_beside(f, path, FENCE_READ);
    if (other)
        fence_allow_beside(f, other, FENCE_READ);
    if (with_parents)
        fence_allow_images(f);
    if (!disk)
        fence_allow(f, osinfo_folder(), FENCE_READ);
    if (fence_files_close(f, &error) && fence_calls_close(FENCE_LOOK, &error) && fence_holds(&error))
        return true;
    g_printerr("%s\n", error->message);
    return false;
}

static bool fence(const char *path, bool disk, bool with_parents)
{
    return fence_two(disk ? path : NULL, NULL, with_parents);
}

static bool open_source(struct source *s, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && !fstat(fd, &st) && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) && source_of_file(s, fd))
        return true;
    fail(path, fd < 0 ? g_strerror(errno) : "it is neither a file nor a disk");
    return false;
}

static bool write_all(const uint8_t *p, size_t n)
{
    while (n) {
        ssize_t done = write(STDOUT_FILENO, p, n);
        if (done < 0 && errno != EINTR)
            return false;
        done = MAX(done, 0);
        p += done;
        n -= done;
    }
    return true;
}

/* ---- JSON ---- */

static int print_json(JsonObject *o)
{
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), o);
    json_object_unref(o);
    g_autofree char *text = json_to_string(node, FALSE);
    return printf("%s\n", text) >= 0 && !fflush(stdout) ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- disks ---- */

static bool read_image(const struct source *s, uint64_t at, void *to, size_t n)
{
    return !image_read((struct image *)s->data, at, to, n);
}

static JsonObject *disk_json(const struct source *s)
{
    struct partitions p;
    JsonObject *o = json_object_new();
    partitions_look(s, &p);
    json_object_set_boolean_member(o, "partitions", p.any);
    json_object_set_boolean_member(o, "gpt", p.gpt);
    json_object_set_boolean_member(o, "esp", p.esp);
    json_object_set_boolean_member(o, "bios", p.bios);
    json_object_set_boolean_member(o, "uefi", p.uefi);
    json_object_set_int_member(o, "bytes", MIN(s->bytes, G_MAXINT64));
    return o;
}

/* format NULL: by its contents, without other files. */
static int look_at_disk(const char *path, const char *format)
{
    struct image_how how = {.format = format, .guess = !format, .no_parent = !format, .unlocked = true};
    g_autoptr(GError) error = NULL;
    struct image *im = image_open(path, &how, &error);
    if (!im)
        return fail(path, error->message);
    const struct source s = {.read = read_image, .data = im, .fd = -1, .bytes = im->bytes};
    JsonObject *o = disk_json(&s);
    json_object_set_string_member(o, "format", im->format->name);
    image_close(im);
    return print_json(o);
}

/* ---- two disks ---- */

enum {
    CHANGES_MOST = 1 << 20,
    CHANGE_EACH = 64 /* bytes of an answer, for all partitions; of a change beside its name */
};

struct changes {
    JsonArray *list;
    gsize *left; /* bytes that all may have yet */
    bool more;
};

/* Names are bytes: those that are no UTF-8 are shown as near as it gets. */
static bool take_change(void *ctx, const struct volume_change *c)
{
    struct changes *all = ctx;
    const char how[] = {c->how, 0};
    g_autofree char *path = g_utf8_make_valid(c->path, -1), *full = g_strconcat("/", path, c->folder ? "/" : "", NULL);
    gsize bytes = strlen(full) + CHANGE_EACH;
    all->more = bytes > *all->left;
    if (all->more)
        return false;
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "how", how);
    json_object_set_string_member(o, "path", full);
    json_array_add_object_element(all->list, o);
    *all->left -= bytes;
    return true;
}

static JsonObject *partition_json(const struct source *a, const struct partition *p, const struct source *b,
                                  const struct partition *q, gsize *left)
{
    struct within rooms[2];
    const struct source x = volumes_source(a, p, &rooms[0]), y = volumes_source(b, q, &rooms[1]);
    struct changes all = {json_array_new(), left};
    JsonObject *o = json_object_new();
    bool known = p->kind && p->kind == q->kind;
    enum file_result r = known ? volumes_compare(p->kind, &x, &y, take_change, &all) : FILE_DONE;
    const char *why = !known ? "both have no file system that is known here (ext2, ext3, ext4, FAT, NTFS)"
                      : r == FILE_TOO_LARGE         ? "it has too many files"
                      : r != FILE_DONE && !all.more ? "a file system is damaged, or was in use: not all could be seen"
                                                    : NULL;
    json_object_set_int_member(o, "number", p->number);
    json_object_set_string_member(o, "kind", p->kind ? p->kind->name : "");
    json_object_set_boolean_member(o, "more", all.more);
    json_object_set_array_member(o, "files", all.list);
    if (why)
        json_object_set_string_member(o, "why", why);
    return o;
}

/* The first of that number: a table may have it twice. */
static const struct partition *numbered(const GArray *list, unsigned number)
{
    for (guint i = 0; i < list->len; i++)
        if (g_array_index(list, struct partition, i).number == number)
            return &g_array_index(list, struct partition, i);
    return NULL;
}

/* Partitions that both have. */
static JsonObject *changes_json(const struct source *a, const struct source *b)
{
    g_autoptr(GArray) x = volumes_partitions(a), y = volumes_partitions(b);
    JsonArray *list = json_array_new();
    JsonObject *o = json_object_new();
    gsize left = CHANGES_MOST;
    for (guint i = 0; i < x->len; i++) {
        const struct partition *p = &g_array_index(x, struct partition, i), *q = numbered(y, p->number);
        if (q && p == numbered(x, p->number))
            json_array_add_object_element(list, partition_json(a, p, b, q, &left));
    }
    json_object_set_array_member(o, "partitions", list);
    return o;
}

static int compare_disks(char **names)
{
    const struct image_how a = {.format = names[1], .unlocked = true}, b = {.format = names[3], .unlocked = true};
    g_autoptr(GError) error = NULL;
    struct image *x = image_open(names[0], &a, &error), *y = x ? image_open(names[2], &b, &error) : NULL;
    if (!y)
        return fail(names[x ? 2 : 0], error->message);
    const struct source s = {.read = read_image, .data = x, .fd = -1, .bytes = x->bytes},
                        t = {.read = read_image, .data = y, .fd = -1, .bytes = y->bytes};
    int code = print_json(changes_json(&s, &t));
    image_close(x);
    image_close(y);
    return code;
}

/* ---- a file of a disk ---- */

struct output {
    uint64_t hole; /* bytes of zeros that have not been written, as they are the file's end yet */
    bool holes;
};

/* A file that ends where stdout goes to: what is not written there is zero. */
static bool may_have_holes(void)
{
    struct stat st;
    int flags = fcntl(STDOUT_FILENO, F_GETFL);
    return flags >= 0 && !(flags & O_APPEND) && !fstat(STDOUT_FILENO, &st) && S_ISREG(st.st_mode) &&
           lseek(STDOUT_FILENO, 0, SEEK_CUR) >= st.st_size;
}

static bool put(void *output, const void *data, size_t n)
{
    const uint8_t *p = data;
    struct output *o = output;
    if (o->holes && n && !p[0] && !memcmp(p, p + 1, n - 1)) {
        o->hole += n;
        return true;
    }
    bool good = !o->hole || lseek(STDOUT_FILENO, o->hole, SEEK_CUR) >= 0;
    o->hole = 0;
    return good && write_all(p, n);
}

static bool put_end(struct output *o)
{
    static const uint8_t zero[1];
    return !o->hole || (lseek(STDOUT_FILENO, o->hole - 1, SEEK_CUR) >= 0 && write_all(zero, 1));
}

static int copy_from_disk(const char *path, const char *format, unsigned number, const char *inside)
{
    struct output out = {.holes = may_have_holes()};
    const struct file_sink to = {put, &out, out.holes};
    struct image_how how = {.format = format, .unlocked = true};
    g_autoptr(GError) error = NULL;
    struct image *im = image_open(path, &how, &error);
    const char *why;
    if (!im)
        return fail(path, error->message);
    const struct source s = {.read = read_image, .data = im, .fd = -1, .bytes = im->bytes};
    errno = 0;
    bool good = volumes_copy(&s, number, inside, &to, &why);
    if (good && !put_end(&out)) {
        good = false;
        why = "what was read of it cannot be written";
    }
    int e = errno;
    image_close(im);
    if (!good)
        fail(inside, why);
    return good ? EXIT_SUCCESS : e == ENOSPC || e == EDQUOT ? NO_ROOM : EXIT_FAILURE;
}

/* ---- media ---- */

static int look_at_medium(const char *path)
{
    struct look l = {.m = medium_new()};
    if (!open_source(&l.source, path) || !fence(path, false, false))
        return EXIT_FAILURE;
    if (!look_open(&l))
        return NO_ISO; /* whoever asks tries it as a disk */
    systems_look(&l);
    return print_json(medium_json(l.m));
}

static int extract(const char *path, const char *inside, uint64_t most)
{
    struct look l = {.m = medium_new()};
    struct node file;
    if (!open_source(&l.source, path) || !fence(path, false, false))
        return EXIT_FAILURE;
    if (!look_open(&l) || !look_find(&l, inside, &file) || file.folder)
        return fail(path, "the medium has no such file");
    if (file.bytes > most)
        return fail(path, "the file on the medium is larger than such a file is");
    g_autofree uint8_t *some = g_malloc(PIECE);
    for (uint64_t at = 0; at < file.bytes; at += PIECE) {
        size_t n = MIN(PIECE, file.bytes - at);
        if (!node_read(&l.source, &file, at, some, n))
            return fail(path, "the medium is cut short");
        if (!write_all(some, n)) {
            int e = errno;
            fail("what was read of it", g_strerror(e));
            return e == ENOSPC || e == EDQUOT ? NO_ROOM : EXIT_FAILURE;
        }
    }
    return EXIT_SUCCESS;
}

static int look(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    alarm(!strcmp(what, "medium") || !strcmp(what, "disk") ? MEDIUM_SECONDS : EXTRACT_SECONDS);
    if (!strcmp(what, "medium") && argc == 3)
        return look_at_medium(argv[2]);
    if (!strcmp(what, "disk") && (argc == 3 || argc == 4))
        return fence(argv[2], true, argc > 3) ? look_at_disk(argv[2], argc > 3 ? argv[3] : NULL) : EXIT_FAILURE;
    if (!strcmp(what, "extract") && argc == 5)
        return extract(argv[2], argv[3], g_ascii_strtoull(argv[4], NULL, 10));
    if (!strcmp(what, "file") && argc == 6)
        return fence(argv[2], true, true) ? copy_from_disk(argv[2], argv[3], atoi(argv[4]), argv[5]) : EXIT_FAILURE;
    if (!strcmp(what, "compare") && argc == 6)
        return fence_two(argv[2], argv[4], true) ? compare_disks(argv + 2) : EXIT_FAILURE;
    g_printerr("usage: terrarium-look medium FILE | disk FILE [FORMAT] | extract FILE PATH MOST | file FILE FORMAT N "
               "PATH | compare FILE FORMAT FILE FORMAT\n");
    return 2;
}

int main(int argc, char **argv)
{
    umask(077);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int code = look(argc, argv);
    fflush(NULL);
    _exit(code); /* nothing is left to do, and what sanitizers do at an exit the fence forbids */
}
