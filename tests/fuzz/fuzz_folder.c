// SPDX-License-Identifier: GPL-2.0-or-later
/* A VM process that has been taken over, as the process of a shared folder sees it: wishes of any kind, whose lengths are right mostly
 * and whose paths are of a few names.  The folder is a new one each time; what is beside it stays as it was. */
#include "guest-additions/folders/folder.h"
#include "tests/fuzz/bytes.h"
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS_MOST = 40, DATA_MOST = 64, LEVELS = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Some of them lead out, if one lets them. */
static unsigned path(struct bytes *in, char *to)
{
    static const char *const names[] = {"a", "b", "c", "A", "link", "dir", "..", ".", "", "/", "out"};
    unsigned levels = take(in) % LEVELS, n = 0;
    for (unsigned i = 0; i < levels; i++) {
        const char *name = names[take(in) % G_N_ELEMENTS(names)];
        n += sprintf(to + n, "%s%s", i ? "/" : "", name);
    }
    return n;
}

static size_t wish(struct bytes *in, uint8_t *packet, uint32_t last)
{
    char first[64], second[64];
    unsigned odd = take(in), data = take(in) % DATA_MOST;
    struct folder_wish w = {
        .op = take(in) % (FOLDER_OPS - 1), .flags = take(in) & 7, .how = take(in) % 5, .access = take(in) % 3};
    w.owner = take(in) & 1;
    w.handle = odd & 1 ? take_number(in, 4) : last;
    w.mode = take_number(in, 2);
    w.mask = take(in) & 15;
    w.count = take_number(in, 2);
    w.offset = odd & 2 ? FOLDER_AT_END : odd & 4 ? (uint64_t)take_number(in, 4) << 32 : take(in);
    w.accessed = w.written = (int64_t)take_number(in, 4) << (odd & 8 ? 31 : 0);
    w.path_bytes = path(in, first);
    w.other_bytes = path(in, second);
    memcpy(packet + sizeof w, first, w.path_bytes);
    memcpy(packet + sizeof w + w.path_bytes, second, w.other_bytes);
    size_t bytes = sizeof w + w.path_bytes + w.other_bytes + data;
    if (odd & 16)
        w.path_bytes = take_number(in, 2);
    if (odd & 32)
        w.op = take(in);
    memcpy(packet, &w, sizeof w);
    return odd & 64 ? take(in) : bytes;
}

static void empty(const char *path)
{
    g_autoptr(GDir) d = g_dir_open(path, 0, NULL);
    for (const char *name; d && (name = g_dir_read_name(d));) {
        g_autofree char *one = g_build_filename(path, name, NULL);
        g_chmod(one, 0700);
        if (unlink(one)) {
            empty(one);
            rmdir(one);
        }
    }
}

static void begin(char *base, struct folder *f, bool read_only)
{
    g_autofree char *inside = g_build_filename(base, "in", NULL), *outside = g_build_filename(base, "out", NULL);
    g_autofree char *link = g_build_filename(inside, "link", NULL), *dir = g_build_filename(inside, "dir", NULL);
    g_autofree char *file = g_build_filename(inside, "a", NULL);
    g_assert_cmpint(g_mkdir(inside, 0700) | g_mkdir(outside, 0700) | g_mkdir(dir, 0700) | symlink("../out", link), ==,
                    0);
    g_assert_true(g_file_set_contents(file, "text", -1, NULL));
    *f = (struct folder){.root = open(inside, O_PATH | O_DIRECTORY), .read_only = read_only, .links = LINKS_CREATE};
    folder_handles_init(f);
}

static void finish(char *base, struct folder *f)
{
    g_autofree char *outside = g_build_filename(base, "out", NULL);
    g_autoptr(GDir) d = g_dir_open(outside, 0, NULL);
    g_assert_null(g_dir_read_name(d));
    folder_handles_free(f);
    if (f->root >= 0)
        close(f->root);
    empty(base);
    g_assert_cmpint(rmdir(base), ==, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct bytes in = {data, n};
    struct folder f;
    struct folder_answer a = {0};
    uint8_t packet[1024] = {0};
    g_autofree uint8_t *answer = g_malloc(FOLDER_ANSWER_MOST);
    g_autofree char *base = g_dir_make_tmp("terrarium-fuzz-XXXXXX", NULL);
    begin(base, &f, take(&in) & 1);
    for (unsigned i = 0; i < ROUNDS_MOST && in.left; i++) {
        size_t bytes = wish(&in, packet, a.handle), said = folder_do(&f, packet, bytes, answer);
        g_assert_true(!said || (said >= sizeof a && said <= FOLDER_ANSWER_MOST));
        struct folder_answer now = {0};
        if (said)
            memcpy(&now, answer, sizeof now);
        a.handle = now.handle ? now.handle : a.handle;
    }
    finish(base, &f);
    return 0;
}
