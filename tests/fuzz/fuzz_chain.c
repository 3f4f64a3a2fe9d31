// SPDX-License-Identifier: GPL-2.0-or-later
/* fuzz_chain.c - three images in a folder, each on top of the next, with patched headers: opened as a chain. */
#include "tests/fuzz/fuzz_image.h"
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const names[] = {"a.img", "b.img", "c.img"};
static const struct kind {
    const char *format;
    const char *option; /* or NULL */
    bool no_parent;
} kinds[] = {
    {"qcow2"},
    {"vmdk"},
    {"vdi"},
    {"vhd"},
    {"vhdx"},
    {"vmdk", "subformat=monolithicFlat", true},
    {"vmdk", "subformat=twoGbMaxExtentSparse"},
    {"vmdk", "subformat=vmfs", true},
    {"qcow2", "data_file=data", true},
    {"raw", NULL, true},
};

static void make(const char *folder, unsigned n, const struct kind *kind, const struct kind *below)
{
    g_autofree char *path = g_build_filename(folder, names[n], NULL);
    char *options[] = {(char *)kind->option, NULL};
    struct image_options o = {.bytes = FUZZ_DISK, .options = options};
    GError *error = NULL;
    if (below && !kind->no_parent) {
        o.parent = names[n + 1];
        o.parent_format = below->format;
    }
    if (!image_create(path, kind->format, &o, true, &error))
        g_error("%s", error->message);
}

static void remove_all(const char *folder)
{
    GDir *dir = g_dir_open(folder, 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_unlink(path);
    }
    g_dir_close(dir);
    g_rmdir(folder);
}

static void patch(const char *folder, const uint8_t *p, size_t n)
{
    for (size_t at = 0; at + 4 <= n;) {
        g_autofree char *path = g_build_filename(folder, names[p[at] % 3], NULL);
        size_t len = MIN(1u + p[at + 3] % 32, n - at - 4);
        FILE *f = fopen(path, "r+b");
        if (f && !fseek(f, (p[at + 1] | p[at + 2] << 8) % 2048, SEEK_SET))
            fwrite(p + at + 4, 1, len, f);
        if (f)
            fclose(f);
        at += 4 + len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char folder[64];
    if (size < 8)
        return 0;
    g_snprintf(folder, sizeof folder, "%s/fuzz-chain-%d", g_get_tmp_dir(), getpid());
    g_mkdir(folder, 0700);
    const struct kind *a = &kinds[data[0] % G_N_ELEMENTS(kinds)], *b = &kinds[data[1] % G_N_ELEMENTS(kinds)],
                      *c = &kinds[data[2] % G_N_ELEMENTS(kinds)];
    make(folder, 2, c, NULL);
    make(folder, 1, b, c);
    make(folder, 0, a, b);
    patch(folder, data + 3, size - 3);
    g_autofree char *top = g_build_filename(folder, names[0], NULL);
    struct image_how how = {.format = a->format, .guess = data[0] & 128, .write = data[1] & 128};
    struct image *im = image_open(top, &how, NULL);
    if (im) {
        fuzz_read(im);
        if (im->writable)
            fuzz_write(im);
    }
    image_close(im);
    remove_all(folder);
    return 0;
}
