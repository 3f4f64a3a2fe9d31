// SPDX-License-Identifier: GPL-2.0-or-later
/* The record of snapshots: what is printed is read again, and what makes no sense is refused. */
#include "core-vmm/host/snapshot_inside.h"
#include <gio/gio.h>
#include <string.h>

static struct snapshot_record *some(void)
{
    struct snapshot_record *r = record_new();
    for (unsigned id = 1; id < 4; id++) {
        struct snapshot *s = snapshot_new(id);
        s->parent = id == 3 ? 1 : id - 1;
        s->name = g_strdup_printf("\"name\" %u \xc3\xa4", id);
        s->description = id == 2 ? g_strdup("{[") : NULL;
        s->time = 1796029470 + id;
        s->settings = 0xfedcba98;
        s->state_bytes = id == 3 ? 1ull << 40 : 0;
        s->bases = id == 3 ? 2 : 0;
        s->base_bytes[0] = 1ull << 41;
        s->base_bytes[1] = 7;
        snapshot_add_disk(s, "ide0",
                          id == 1   ? "/elsewhere/disk.img"
                          : id == 2 ? "snapshots/ide0-1.qcow2"
                                    : "snapshots/ide0-3.qcow2");
        g_ptr_array_add(r->snapshots, s);
    }
    struct snapshot_image *base = record_add_image(r, "/elsewhere/disk.img", "raw", NULL);
    base->frozen = true;
    base->bytes = 1ull << 41;
    base->changed_ns = 1796029470123456789;
    for (unsigned id = 1; id < 4; id += 2) {
        g_autofree char *file = g_strdup_printf("snapshots/ide0-%u.qcow2", id);
        struct snapshot_image *image = record_add_image(r, file, "qcow2", base->file);
        image->ours = image->frozen = true;
    }
    record_add_image(r, "snapshots/ide0-4.qcow2", "qcow2", "snapshots/ide0-1.qcow2")->ours = true;
    r->next = 5;
    r->current = 2;
    r->pending = g_strdup("[machine]\nmemory=1G\n");
    r->pending_state = 3;
    return r;
}

static void test_there_and_back(void)
{
    struct snapshot_record *r = some();
    g_autofree char *text = record_print(r);
    g_autoptr(GError) error = NULL;
    struct snapshot_record *back = record_parse(text, strlen(text), "x", &error);
    g_assert_no_error(error);
    g_autofree char *again = record_print(back);
    g_assert_cmpstr(text, ==, again);
    g_autoptr(GPtrArray) children = record_children(back, "/elsewhere/disk.img");
    g_assert_cmpuint(children->len, ==, 2);
    g_assert_true(record_needs(back, "snapshots/ide0-3.qcow2") && !record_needs(back, "x"));
    g_assert_cmpint(record_image(back, "/elsewhere/disk.img")->changed_ns, ==, 1796029470123456789);
    g_assert_cmpuint(record_snapshot(back, 3)->state_bytes, ==, 1ull << 40);
    g_assert_cmpuint(record_snapshot(back, 3)->bases, ==, 2);
    g_assert_cmpuint(record_snapshot(back, 3)->base_bytes[0], ==, 1ull << 41);
    g_assert_cmpstr(record_snapshot(back, 2)->description, ==, "{[");
    record_free(back);
    record_free(r);
}

static void refused(const char *text, const char *why)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(record_parse(text, strlen(text), "FILE", &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
    if (!strstr(error->message, why) || !strstr(error->message, "FILE") || strchr(error->message, '\n'))
        g_error("\"%s\" was to say \"%s\"", error->message, why);
}

/* One thing in a good record is another. */
static void test_changed(void)
{
    static const char *const changes[][2] = {
        {"\"id\" : 2", "\"id\" : 1"},
        {"\"state-bytes\" : 1099511627776", "\"state-bytes\" : 0"}, /* builds upon others, and is none */
        {"2199023255552,\n", "0,\n"},
        {"2199023255552,\n", "1, 1, 1, 1, 1, 1, 1,\n"},
        {"2199023255552,\n", "\"1\",\n"},
        {"\"id\" : 3", "\"id\" : 4"},
        {"\"parent\" : 1", "\"parent\" : 3"},
        {"\"parent\" : 0", "\"parent\" : -1"},
        {"\"current\" : 2", "\"current\" : 9"},
        {"\"current\" : 2", "\"current\" : \"2\""},
        {"\"time\"", "\"tide\""},
        {"\"file\" : \"snapshots/ide0-1.qcow2\"", "\"file\" : \"\""},
        {"snapshots/ide0-1.qcow2\",\n      \"format\"", "snapshots/ide0-3.qcow2\",\n      \"format\""},
        {"\"on\" : \"/elsewhere/disk.img\"", "\"on\" : \"other\""},
        {"\"ours\" : false", "\"ours\" : true"},
        {"\"pending-state\" : 3", "\"pending-state\" : 8"},
        {"\"images\" : [", "\"images\" : [ 1,"},
        {"\"next\" : 5", "\"next\" : 1e99"},
        {"\"next\" : 5", "\"next\" : 2147483648"},
        {"\"drive\" : \"ide0\"", "\"drive\" : \"Evil\""},
        {"\"drive\" : \"ide0\"", "\"drive\" : \"evil\""},
        {"\"drive\" : \"ide0\"", "\"drive\" : \"machine\""},
        {"\"drive\" : \"ide0\"", "\"drive\" : \"../../t1/evil\""},
        {"\"pending-settings\" : \"[machine]\\nmemory=1G\\n\"", "\"pending-settings\" : \"\""},
        {"\"on\" : \"snapshots/ide0-1.qcow2\"", "\"on\" : \"snapshots/ide0-4.qcow2\""},
        {"\"on\" : \"/elsewhere/disk.img\"", "\"on\" : \"snapshots/ide0-1.qcow2\""},
        {"\"on\" : \"/elsewhere/disk.img\"", "\"on\" : \"snapshots/ide0-4.qcow2\""},
        {"\"frozen\" : true", "\"frozen\" : false"},
        {"\"file\" : \"snapshots/ide0-3.qcow2\"", "\"file\" : \"snapshots/ide0-4.qcow2\""},
    };
    struct snapshot_record *r = some();
    g_autofree char *text = record_print(r);
    for (unsigned i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_autoptr(GString) other = g_string_new(text);
        g_assert_cmpuint(g_string_replace(other, changes[i][0], changes[i][1], 1), ==, 1);
        refused(other->str, "makes no sense");
    }
    g_autoptr(GString) newer = g_string_new(text);
    g_string_replace(newer, "\"layout\" : 1", "\"layout\" : 2", 1);
    refused(newer->str, "another version");
    for (gsize n = 0; n + 1 < strlen(text); n += 13) {
        g_autofree char *cut = g_strndup(text, n);
        refused(cut, "FILE");
    }
    record_free(r);
}

/* The same in one where more than a word is another. */
static void test_disks(void)
{
    struct snapshot_record *r = some();
    snapshot_add_disk(r->snapshots->pdata[0], "ide0", "snapshots/ide0-3.qcow2");
    g_autofree char *twice = record_print(r);
    refused(twice, "makes no sense");
    record_free(r);
    r = some();
    record_image(r, "snapshots/ide0-1.qcow2")->on = g_strdup("snapshots/ide0-3.qcow2");
    record_image(r, "snapshots/ide0-3.qcow2")->on = g_strdup("snapshots/ide0-1.qcow2");
    g_autofree char *circle = record_print(r);
    refused(circle, "makes no sense");
    record_free(r);
}

/* As long as can be, and as quickly as it must be. */
static void test_long_chain(void)
{
    enum { IMAGES = 45000 };
    struct snapshot_record *r = record_new();
    g_autofree char *on = NULL;
    for (unsigned i = 0; i < IMAGES; i++) {
        g_autofree char *file = g_strdup_printf("%u", i);
        record_add_image(r, file, "raw", on)->frozen = true;
        g_free(on);
        on = g_steal_pointer(&file);
    }
    g_autofree char *text = record_print(r);
    g_autoptr(GError) error = NULL;
    struct snapshot_record *back = record_parse(text, strlen(text), "x", &error);
    g_assert_no_error(error);
    g_assert_cmpuint(back->images->len, ==, IMAGES);
    record_free(back);
    struct snapshot_image *first = r->images->pdata[0];
    first->on = g_strdup(on);
    g_autofree char *circle = record_print(r);
    refused(circle, "makes no sense");
    record_free(r);
}

static void test_nonsense(void)
{
    g_autofree char *deep = g_strnfill(100000, '[');
    refused(deep, "cannot be read");
    refused("", "makes no sense");
    refused("[]", "makes no sense");
    refused("{}", "makes no sense");
    refused("\xff", "cannot be read");
}

/* One every half hour for ten days: of three hours and of four days the newest stay, and what is not automatic. */
static void test_thinned(void)
{
    enum { COUNT = 480, HALF_HOUR = 1800 };
    struct snapshot_record *r = record_new();
    g_setenv("TZ", "UTC", TRUE); /* days begin at the same time everywhere */
    for (unsigned i = 0; i < COUNT; i++) {
        struct snapshot *s = snapshot_new(i + 1);
        s->time = 1795996800 + (gint64)i * HALF_HOUR;
        s->automatic = i % 100 != 7;
        g_ptr_array_add(r->snapshots, s);
    }
    const struct snapshot_policy p = {.hourly = 3, .daily = 4}, none = {0};
    g_autoptr(GArray) gone = snapshots_thinned(r, &p), all = snapshots_thinned(r, &none);
    g_assert_cmpuint(all->len, ==, COUNT - 5);
    g_assert_cmpuint(gone->len, ==, COUNT - 5 - 6); /* the newest day's is the newest hour's */
    for (guint i = 0; i < gone->len; i++)
        g_assert_true(record_snapshot(r, g_array_index(gone, unsigned, i))->automatic);
    for (guint i = 0; i < gone->len; i++)
        g_assert_cmpuint(g_array_index(gone, unsigned, i), !=, COUNT);
    record_free(r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/record/there-and-back", test_there_and_back);
    g_test_add_func("/record/changed", test_changed);
    g_test_add_func("/record/disks", test_disks);
    g_test_add_func("/record/long-chain", test_long_chain);
    g_test_add_func("/record/nonsense", test_nonsense);
    g_test_add_func("/record/thinned", test_thinned);
    return g_test_run();
}
