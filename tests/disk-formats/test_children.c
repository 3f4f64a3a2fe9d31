// SPDX-License-Identifier: GPL-2.0-or-later
/* test_children.c - images on top of others: who they are, and what leaves them usable. */
#include "tests/disk-formats/disk_test.h"
#include "disk-formats/ops/ops.h"
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define BYTES (4u << 20)

static const char *const formats[] = {"raw", "qcow2", "vdi", "vmdk", "vhd", "vhdx"};

struct pair {
    char *folder, *parent, *child;
    const char *parent_format, *child_format;
};

static void make(const char *path, const char *format, const struct image_options *o)
{
    GError *error = NULL;
    image_create(path, format, o, false, &error);
    g_assert_no_error(error);
}

static void fill(const char *path, const char *format, int value, uint64_t bytes)
{
    struct image *im = open_image(path, format, true);
    g_autofree uint8_t *data = g_malloc(bytes);
    memset(data, value, bytes);
    g_assert_cmpint(image_write(im, 0, data, bytes), ==, 0);
    g_assert_cmpint(image_close(im), ==, 0);
}

static struct pair pair_new(const char *parent_format, const char *child_format)
{
    char *folder = scratch_new();
    struct pair p = {folder, g_build_filename(folder, "parent", NULL), g_build_filename(folder, "child", NULL),
                     parent_format, child_format};
    char *small[] = {"block_size=1M", NULL}; /* else compacting leaves the tables as they are */
    struct image_options below = {.bytes = BYTES, .options = strcmp(parent_format, "vhdx") ? NULL : small};
    struct image_options above = {.parent = "parent", .parent_format = parent_format};
    make(p.parent, parent_format, &below);
    fill(p.parent, parent_format, 1, BYTES);
    fill(p.parent, parent_format, 0, BYTES / 2);
    make(p.child, child_format, &above);
    return p;
}

static void pair_free(struct pair *p)
{
    scratch_remove(p->folder);
    g_free(p->parent);
    g_free(p->child);
}

static void for_all(void (*what)(struct pair *p))
{
    for (unsigned below = 0; below < G_N_ELEMENTS(formats); below++)
        for (unsigned above = 1; above < G_N_ELEMENTS(formats); above++) {
            struct pair p = pair_new(formats[below], formats[above]);
            g_test_message("%s over %s", formats[above], formats[below]);
            what(&p);
            pair_free(&p);
        }
}

/* child: its path, or the folder that it is in; NULL: there is none. */
static void assert_child(const char *path, const char *except, const char *child)
{
    g_autofree char *found = disk_child_of(path, except), *full = found ? realpath(found, NULL) : NULL;
    g_autofree char *folder = full ? g_path_get_dirname(full) : NULL;
    bool is_folder = child && g_file_test(child, G_FILE_TEST_IS_DIR);
    g_assert_cmpstr(is_folder ? folder : found, ==, child);
}

static void known(struct pair *p)
{
    assert_child(p->parent, NULL, p->child);
    assert_child(p->parent, p->child, NULL);
    assert_child(p->child, NULL, NULL);
    fill(p->parent, p->parent_format, 2, 4096); /* now there is nothing to lose */
    assert_child(p->parent, NULL, NULL);
}

static void test_known(void)
{
    for_all(known);
}

/* A parent is a file, whatever it is called: by links from another folder, one after the other, by a hard link, in a folder
 * that is a link. */
static void other_names(struct pair *p)
{
    g_autofree char *folder = g_build_filename(p->folder, "other", NULL),
                    *link_name = g_build_filename(folder, "a", NULL);
    g_autofree char *links = g_build_filename(folder, "b", NULL), *hard = g_build_filename(p->folder, "hard", NULL);
    g_autofree char *linked = g_build_filename(folder, "folder", NULL),
                    *in_it = g_build_filename(linked, "parent", NULL);
    g_assert_cmpint(g_mkdir(folder, 0700), ==, 0);
    g_assert_cmpint(symlink("../parent", link_name) | symlink(link_name, links) | link(p->parent, hard), ==, 0);
    g_assert_cmpint(symlink("..", linked), ==, 0);
    assert_child(link_name, NULL, p->folder);
    assert_child(links, NULL, p->folder);
    assert_child(hard, NULL, p->folder);
    assert_child(in_it, NULL, p->folder);
    assert_child(links, p->child, NULL);
}

static void test_other_names(void)
{
    for (unsigned above = 1; above < G_N_ELEMENTS(formats); above++) {
        struct pair p = pair_new("qcow2", formats[above]);
        other_names(&p);
        pair_free(&p);
    }
}

/* A child in another folder, the parent under another name in a third. */
static void elsewhere(struct pair *p)
{
    g_autofree char *folder = g_build_filename(p->folder, "other", NULL),
                    *hard = g_build_filename(folder, "hard", NULL);
    g_autofree char *here = g_build_filename(p->folder, "third", NULL), *child = g_build_filename(here, "c", NULL);
    g_autofree char *second = g_build_filename(here, "d", NULL), *moved = g_build_filename(here, "e", NULL);
    struct image_options above = {.parent = "../parent", .parent_format = p->parent_format};
    g_assert_cmpint(g_remove(p->child) | g_mkdir(folder, 0700) | g_mkdir(here, 0700) | link(p->parent, hard), ==, 0);
    make(child, p->child_format, &above);
    assert_child(p->parent, NULL, child);
    assert_child(hard, NULL, child);
    assert_child(hard, child, NULL);
    make(second, p->child_format, &above);
    assert_child(hard, child, second);
    g_assert_cmpint(rename(child, moved), ==, 0); /* moved children are not followed */
    assert_child(hard, NULL, second);
    fill(p->parent, p->parent_format, 2, 4096); /* now there is nothing to lose */
    assert_child(hard, NULL, NULL);
}

/* As much as one could write there: relative names, no end, what is no child, far too much. */
static void hostile_note(struct pair *p)
{
    g_autofree char *hard = g_build_filename(p->folder, "other", NULL), *much = g_malloc0(4000);
    const char *const notes[] = {"child", "/", "/dev/zero", "/proc/self/mem", "\0\0\0/nowhere"};
    g_assert_cmpint(g_remove(p->child), ==, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(notes); i++) {
        g_assert_cmpint(setxattr(p->parent, "user.terrarium.children", notes[i], strlen(notes[i]) + 1, 0), ==, 0);
        assert_child(p->parent, NULL, NULL);
    }
    memset(much, '/', 3999);
    if (!setxattr(p->parent, "user.terrarium.children", much, 3999, 0))
        assert_child(p->parent, NULL, NULL);
    for (unsigned i = 0; i < 60; i++) { /* the newest stay */
        g_autofree char *name = g_strdup_printf("%s/%060u", p->folder, i);
        g_assert_true(g_file_set_contents(name, "", 0, NULL));
        disk_note_child(p->parent, name);
    }
    char text[4096];
    ssize_t n = getxattr(p->parent, "user.terrarium.children", text, sizeof text);
    g_assert_cmpint(n, >, 1024);
    g_assert_cmpint(n, <=, 2048);
    g_assert_true(g_str_has_suffix(text + n - 61, "59"));
}

static void test_elsewhere(void)
{
    g_autofree char *folder = scratch_new(), *file = g_build_filename(folder, "f", NULL);
    g_assert_true(g_file_set_contents(file, "", 0, NULL));
    bool can = !setxattr(file, "user.terrarium.children", "", 1, 0);
    scratch_remove(g_steal_pointer(&folder));
    if (!can) {
        g_test_skip("this file system has no extended attributes");
        return;
    }
    for_all(elsewhere);
    struct pair p = pair_new("qcow2", "qcow2");
    hostile_note(&p);
    pair_free(&p);
}

/* A child beside a link on the way to the parent, which it names by that link. */
static void test_child_beside_link(void)
{
    struct pair p = pair_new("qcow2", "qcow2");
    g_autofree char *middle = g_build_filename(p.folder, "middle", NULL),
                    *far = g_build_filename(p.folder, "far", NULL);
    g_autofree char *one = g_build_filename(middle, "one", NULL), *two = g_build_filename(far, "two", NULL);
    g_autofree char *child = g_build_filename(middle, "child", NULL);
    struct image_options o = {.parent = "one", .parent_format = "qcow2"};
    g_assert_cmpint(g_mkdir(middle, 0700) | g_mkdir(far, 0700) | g_remove(p.child), ==, 0);
    g_assert_cmpint(symlink("../parent", one) | symlink("../middle/one", two), ==, 0);
    make(child, "qcow2", &o);
    assert_child(two, NULL, middle);
    assert_child(one, NULL, middle);
    pair_free(&p);
}

static void compacted(struct pair *p)
{
    struct image_how how = {.format = p->parent_format};
    uint64_t freed;
    GError *error = NULL;
    disk_compact(p->parent, &how, NULL, &freed, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(freed, >=, BYTES / 4);
    image_close(open_image(p->child, p->child_format, false));
}

/* A compacted disk shows what it did: its children must not be told otherwise. */
static void test_compacted(void)
{
    for_all(compacted);
}

/* Where our VDIs have the parent's name. */
static void forget_comment(const char *path)
{
    static const uint8_t zero[256];
    struct blk_file *f = blk_open(path, FILE_WRITE, CACHE_WRITEBACK, NULL);
    g_assert_nonnull(f);
    g_assert_cmpint(blk_pwrite(f, 84, zero, sizeof zero), ==, 0);
    blk_close(f);
}

/* VirtualBox notes the parent's id in a VDI, and no name. */
static void test_nameless(void)
{
    struct pair p = pair_new("vdi", "vdi");
    g_autofree char *parent = g_strconcat(p.parent, ".vdi", NULL);
    struct image_how how = {.format = "vdi"};
    GError *error = NULL;
    forget_comment(p.child);
    g_assert_cmpint(rename(p.parent, parent), ==, 0);
    fill(p.child, "vdi", 7, 65536);
    assert_child(parent, NULL, p.child);
    disk_commit(p.child, &how, false, NULL, &error);
    g_assert_no_error(error);
    uint8_t byte;
    struct image *im = open_image(parent, "vdi", false);
    g_assert_cmpint(image_read(im, 65535, &byte, 1), ==, 0);
    g_assert_cmpint(byte, ==, 7);
    image_close(im);
    pair_free(&p);
}

/* ---- as VirtualBox has them: the parent's folder above, no name in the child ---- */
static struct pair virtualbox_pair(const char *format, const char *subformat)
{
    struct pair p = {scratch_new(), .parent_format = format, .child_format = format};
    g_autofree char *below = g_build_filename(p.folder, "Snapshots", NULL);
    g_autofree char *parent = g_strconcat("VM.", format, NULL), *child = g_strconcat("{1}.", format, NULL);
    g_autofree char *name = g_strconcat("../", parent, NULL);
    char *flat[] = {"subformat=monolithicFlat", NULL}, *split[] = {(char *)subformat, NULL};
    struct image_options base = {.bytes = BYTES, .options = subformat ? flat : NULL};
    struct image_options top = {.parent = name, .parent_format = format, .options = subformat ? split : NULL};
    g_assert_cmpint(g_mkdir(below, 0700), ==, 0);
    p.parent = g_build_filename(p.folder, parent, NULL);
    p.child = g_build_filename(below, child, NULL);
    make(p.parent, format, &base);
    fill(p.parent, format, 5, BYTES);
    make(p.child, format, &top);
    fill(p.child, format, 7, 4096);
    return p;
}

static void assert_works(struct pair *p)
{
    uint8_t got[2];
    struct image *im = open_image(p->child, p->child_format, false);
    g_assert_cmpint(image_read(im, 4095, got, 2), ==, 0);
    g_assert_cmpint(got[0], ==, 7);
    g_assert_cmpint(got[1], ==, 5);
    image_close(im);
    assert_child(p->parent, NULL, p->child);
    fill(p->parent, p->parent_format, 2, 4096);
    struct image_how how = {.format = p->child_format};
    g_assert_null(image_open(p->child, &how, NULL)); /* the parent's id is another one now */
}

static void test_virtualbox_vdi(void)
{
    struct pair p = virtualbox_pair("vdi", NULL);
    forget_comment(p.child);
    assert_works(&p);
    pair_free(&p);
}

static void edit(const char *path, const char *drop, const char *more)
{
    g_autofree char *text = NULL;
    GString *out = g_string_new(NULL);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **l = lines; *l; l++)
        if (!drop || !strstr(*l, drop))
            g_string_append_printf(out, "%s\n", *l);
    g_string_append(out, more);
    g_assert_true(g_file_set_contents(path, out->str, -1, NULL));
    g_string_free(out, TRUE);
}

static void test_virtualbox_vmdk(void)
{
    struct pair p = virtualbox_pair("vmdk", "subformat=twoGbMaxExtentSparse");
    edit(p.parent, NULL,
         "ddb.uuid.image=\"9afa1dd0-d966-4279-a762-b7fbb0136308\"\n"
         "ddb.uuid.modification=\"cd9be63c-4953-44d0-8325-45635a9ca396\"\n"
         "ddb.uuid.parent=\"00000000-0000-0000-0000-000000000000\"\n"
         "ddb.uuid.parentmodification=\"00000000-0000-0000-0000-000000000000\"\n");
    edit(p.child, "parent", /* CID and name */
         "parentCID=ffffffff\n"
         "ddb.uuid.image=\"11111111-d966-4279-a762-b7fbb0136308\"\n"
         "ddb.uuid.parent=\"9afa1dd0-d966-4279-a762-b7fbb0136308\"\n"
         "ddb.uuid.modification=\"00000000-0000-0000-0000-000000000000\"\n"
         "ddb.uuid.parentmodification=\"cd9be63c-4953-44d0-8325-45635a9ca396\"\n");
    assert_works(&p);
    pair_free(&p);
}

/* The parent has another name now; it is known by its id. */
static void test_renamed(void)
{
    static const char *const with_ids[] = {"vdi", "vmdk", "vhdx"};
    for (unsigned i = 0; i < G_N_ELEMENTS(with_ids); i++) {
        struct pair p = pair_new(with_ids[i], with_ids[i]);
        g_autofree char *ending = g_strdup_printf(".%s%s", i == 2 ? "a" : "", with_ids[i]); /* avhdx: Hyper-V's */
        g_autofree char *renamed = g_strconcat(p.folder, "/renamed", ending, NULL);
        g_autofree char *other = g_strconcat(p.folder, "/other", ending, NULL);
        struct image_options o = {.bytes = BYTES};
        make(other, with_ids[i], &o);
        g_assert_cmpint(g_rename(p.parent, renamed), ==, 0);
        fill(p.child, p.child_format, 7, 4096);
        assert_child(renamed, NULL, p.child);
        assert_child(other, NULL, NULL);
        pair_free(&p);
    }
}

/* By its content id alone. */
static void test_unnamed_vmdk(void)
{
    struct pair p = virtualbox_pair("vmdk", "subformat=twoGbMaxExtentSparse");
    edit(p.child, "parentFileNameHint", "");
    assert_works(&p);
    pair_free(&p);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/disk/children/known", test_known);
    g_test_add_func("/disk/children/other-names", test_other_names);
    g_test_add_func("/disk/children/elsewhere", test_elsewhere);
    g_test_add_func("/disk/children/child-beside-link", test_child_beside_link);
    g_test_add_func("/disk/children/compacted", test_compacted);
    g_test_add_func("/disk/children/nameless", test_nameless);
    g_test_add_func("/disk/children/renamed", test_renamed);
    g_test_add_func("/disk/children/virtualbox-vdi", test_virtualbox_vdi);
    g_test_add_func("/disk/children/virtualbox-vmdk", test_virtualbox_vmdk);
    g_test_add_func("/disk/children/unnamed-vmdk", test_unnamed_vmdk);
    return g_test_run();
}
