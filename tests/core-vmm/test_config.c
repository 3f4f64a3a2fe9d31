// SPDX-License-Identifier: GPL-2.0-or-later
/* test_config.c - machine.ini: sizes, numbers, flags, paths, unknown keys. */
#include "core-vmm/api/net.h"
#include "core-vmm/host/char_target.h"
#include "core-vmm/host/config_error.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/suggest.h"
#include <glib/gstdio.h>
#include <string.h>

static void macs(void)
{
    static const char *const bad[] = {"",
                                      "52:54:00:12:34",
                                      "52:54:00:12:34:5g",
                                      "52-54-00-12-34-56",
                                      "52:54:00:12:34:56 ",
                                      "01:00:5e:00:00:01",
                                      "00:00:00:00:00:00",
                                      "525400123456:::::"};
    uint8_t mac[6], again[6], other[6];
    g_assert_true(mac_parse("52:54:00:Aa:bC:ff", mac));
    g_assert_cmpmem(mac, 6, "\x52\x54\0\xaa\xbc\xff", 6);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(mac_parse(bad[i], mac));
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_key_file_set_string(file, "nic2", "mac", "00:11:22:33:44:55");
    net_mac(&(struct config){file, "/m/machine.ini", "nic2"}, mac);
    g_assert_cmpmem(mac, 6, "\0\x11\x22\x33\x44\x55", 6);
    net_mac(&(struct config){file, "/m/machine.ini", "nic1"}, mac);
    net_mac(&(struct config){file, "/m/../m/machine.ini", "nic1"}, again);
    net_mac(&(struct config){file, "/n/machine.ini", "nic1"}, other);
    g_assert_cmpmem(mac, 3, "\x52\x54\0", 3);
    g_assert_cmpmem(mac, 6, again, 6);
    g_assert_true(memcmp(mac, other, 6));
    net_mac(&(struct config){file, "/m/machine.ini", "nic3"}, other);
    g_assert_true(memcmp(mac, other, 6));
}

static void sizes_good(void)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {
        {"0", 0},
        {"512", 512},
        {"1B", 1},
        {"64K", 65536},
        {"64k", 65536},
        {"64KiB", 65536},
        {"64KB", 65536},
        {"1.5G", 1610612736},
        {"2 TiB", UINT64_C(2) << 40},
        {"0.5K", 512},
        {"15E", UINT64_C(15) << 60},
        {"18446744073709551615", UINT64_MAX},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint64_t bytes = 1;
        g_assert_true(size_parse(cases[i].text, &bytes));
        g_assert_cmpuint(bytes, ==, cases[i].bytes);
    }
}

static void sizes_bad(void)
{
    static const char *const cases[] = {"",
                                        "G",
                                        "-1",
                                        "1,5G",
                                        "1.G",
                                        ".5G",
                                        "16E",
                                        "18446744073709551616",
                                        "1X",
                                        "1KK",
                                        "1KiBx",
                                        "0x10",
                                        " 1",
                                        "1  G",
                                        "1.1",
                                        "0.3K",
                                        "1e3",
                                        "+1",
                                        "1.0000000000G",
                                        "99999999999999999999999999",
                                        "1 G ",
                                        "0.000000001G"};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint64_t bytes;
        g_test_message("%s", cases[i]);
        g_assert_false(size_parse(cases[i], &bytes));
    }
}

static void sizes_round_trip(void)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {{0, "0"},       {1, "1"}, {1023, "1023"}, {1024, "1K"}, {1536, "1.5K"}, {1610612736, "1.5G"},
                 {1 << 20, "1M"}};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = size_format(cases[i].bytes);
        g_assert_cmpstr(text, ==, cases[i].text);
    }
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t bytes =
            ((uint64_t)g_test_rand_int() << 32 | (uint32_t)g_test_rand_int()) >> g_test_rand_int_range(0, 64);
        bytes <<= g_test_rand_int_range(0, 40);
        uint64_t back = ~bytes;
        g_autofree char *text = size_format(bytes);
        g_test_message("%s", text);
        g_assert_true(size_parse(text, &back));
        g_assert_cmpuint(back, ==, bytes);
    }
}

static GKeyFile *parse(const char *text)
{
    GKeyFile *f = g_key_file_new();
    g_assert_true(g_key_file_load_from_data(f, text, -1, G_KEY_FILE_NONE, NULL));
    return f;
}

static void reading(void)
{
    g_autoptr(GKeyFile) f = parse("[machine]\nmemory=64M\ncpus=3\nboot-menu=on\nclock=local\nname= padded \n");
    struct config c = {f, "/vm/machine.ini", "machine"};
    static const char *const clocks[] = {"utc", "local", NULL};
    uint64_t bytes;
    int64_t n;
    bool flag;
    unsigned index;
    g_assert_true(config_has(&c, "memory") && !config_has(&c, "memry"));
    g_assert_true(config_size(&c, "memory", &bytes, NULL) && bytes == 64 << 20);
    g_assert_true(config_number(&c, "cpus", &n, NULL) && n == 3);
    g_assert_true(config_flag(&c, "boot-menu", &flag, NULL) && flag);
    g_assert_true(config_choice(&c, "clock", clocks, &index, NULL) && index == 1);
}

/* A key that the file does not have is worth what the schema says; what that says nothing about stays as it was. */
static void defaults(void)
{
    g_autoptr(GKeyFile) f = parse("[machine]\n[video]\n");
    struct config c = {f, "/vm/machine.ini", "machine"}, video = {f, "/vm/machine.ini", "video"};
    static const char *const resets[] = {"stop", "reset", NULL};
    uint64_t bytes = 7;
    int64_t n = 7, sockets = 7;
    bool flag = true, mmio = true;
    unsigned index;
    g_assert_true(config_size(&c, "memory", &bytes, NULL) && bytes == 1 << 30);
    g_assert_true(config_number(&c, "cpus", &n, NULL) && n == 1);
    g_assert_true(config_number(&c, "sockets", &sockets, NULL) && sockets == 7);
    g_assert_true(config_flag(&c, "boot-menu", &flag, NULL) && !flag);
    g_assert_true(config_flag(&video, "mmio", &mmio, NULL) && mmio);
    g_assert_true(config_choice(&c, "on-reset", resets, &index, NULL) && index == 1);
    for (const struct schema_section *s = schema_sections(); s->name; s++) {
        g_autofree char *name = s->count ? g_strdup_printf("%s%u", s->name, s->first) : g_strdup(s->name);
        struct config any = {f, "/vm/machine.ini", name};
        for (const struct schema_key *k = s->keys; k->name; k++) {
            g_autofree char *value = config_string(&any, k->name);
            g_assert_cmpstr(value, ==, k->otherwise);
        }
    }
}

/* A complaint names everything a person needs to put it right. */
static void complaints(void)
{
    g_autoptr(GKeyFile) f = parse("[machine]\nmemory=64Q\ncpus=99\nboot-menu=yes\nclock=gmt\n");
    struct config c = {f, "/vm/machine.ini", "machine"};
    static const char *const clocks[] = {"utc", "local", NULL};
    g_autoptr(GError) size = NULL, number = NULL, flag = NULL, choice = NULL;
    uint64_t bytes;
    int64_t n;
    bool on;
    unsigned index;
    g_assert_false(config_size(&c, "memory", &bytes, &size));
    g_assert_cmpstr(size->message, ==,
                    "/vm/machine.ini: [machine] memory = 64Q: must be a size from 1M to 512G, a multiple of 4K");
    g_assert_false(config_number(&c, "cpus", &n, &number));
    g_assert_cmpstr(number->message, ==, "/vm/machine.ini: [machine] cpus = 99: must be a number from 1 to 32");
    g_assert_false(config_flag(&c, "boot-menu", &on, &flag));
    g_assert_cmpstr(flag->message, ==, "/vm/machine.ini: [machine] boot-menu = yes: must be on or off");
    g_assert_false(config_choice(&c, "clock", clocks, &index, &choice));
    g_assert_cmpstr(choice->message, ==, "/vm/machine.ini: [machine] clock = gmt: must be one of utc, local");
}

static void relative_paths(void)
{
    g_autoptr(GKeyFile) f = parse("[ide0]\nfile=disk.img\n[ide1]\nfile=/abs.img\n");
    struct config c = {f, "/vm/machine.ini", "ide0"}, d = {f, "/vm/machine.ini", "ide1"};
    g_autofree char *relative = config_path(&c, "file"), *absolute = config_path(&d, "file"),
                    *none = config_path(&c, "serial");
    g_assert_cmpstr(relative, ==, "/vm/disk.img");
    g_assert_cmpstr(absolute, ==, "/abs.img");
    g_assert_null(none);
}

static void schema_says(const char *text, const char *expected)
{
    g_autoptr(GKeyFile) f = parse(text);
    g_autoptr(GError) error = NULL;
    bool good = schema_check_file(f, "m.ini", &error);
    g_test_message("%s -> %s", text, error ? error->message : "good");
    g_assert_cmpint(good, ==, expected == NULL);
    if (expected)
        g_assert_nonnull(strstr(error->message, expected));
}

static void schema(void)
{
    schema_says("[machine]\nmemory=1G\n[serial4]\ntarget=pty\n[debug-exit]\n", NULL);
    schema_says("[machin]\n", "did you mean [machine]?");
    schema_says("[serial5]\n", "there is no section [serial5]");
    schema_says("[serial0]\n", "there is no section [serial0]");
    schema_says("[serial10]\n", "there is no section");
    schema_says("[ide4]\n", "there is no section [ide4]");
    schema_says("[machine]\nmemry=1G\n", "did you mean memory?");
    schema_says("[machine]\nqqqqqq=1\n", "it has name, group, uuid, os, memory");
    schema_says("[debug-exit]\nport=1\n", "no keys at all");
    schema_says("[machine]\nmemory=512K\n", "must be a size from 1M to 512G");
    schema_says("[machine]\ncpus=0\n", "must be a number from 1 to 32");
    schema_says("[machine]\ncpus=two\n", "cpus = two");
    schema_says("[machine]\nboot=disk,disk\n", "boot = disk,disk");
    schema_says("[machine]\nboot=disk, cdrom\n", NULL);
    schema_says("[machine]\nboot=tape\n", "some of disk, cdrom");
    schema_says("[ide0]\nreadonly=true\n", "must be on or off");
    schema_says("[serial1]\ntarget=file:\n", "target = file:");
    schema_says("[serial1]\ntarget=telnet:1\n", "must be none, stdio, pty, file:PATH or socket:PATH");
}

/* Every default that the table promises passes its own check. */
static void schema_defaults(void)
{
    for (const struct schema_section *s = schema_sections(); s->name; s++) {
        g_autofree char *section = s->count ? g_strdup_printf("%s%u", s->name, s->first) : g_strdup(s->name);
        g_assert_true(schema_find_section(section) == s);
        for (const struct schema_key *k = s->keys; k->name; k++) {
            g_assert_true(schema_find(section, k->name, NULL) == k);
            g_assert_nonnull(k->help);
            if (k->otherwise)
                g_assert_true(schema_check_value("table", section, k->name, k->otherwise, NULL));
        }
    }
}

static void schema_files(void)
{
    g_autofree char *folder = g_dir_make_tmp("terrarium-XXXXXX", NULL), *path = g_build_filename(folder, "m.ini", NULL);
    g_autoptr(GError) missing = NULL, syntax = NULL, encoding = NULL, kind = NULL;
    g_assert_null(schema_load(path, &missing));
    g_assert_error(missing, G_FILE_ERROR, G_FILE_ERROR_NOENT);
    g_assert_true(g_file_set_contents(path, "[machine\nx", -1, NULL));
    g_assert_null(schema_load(path, &syntax));
    g_assert_nonnull(strstr(syntax->message, path));
    g_assert_true(g_file_set_contents(path, "[machine]\nname=\xff\xfe\n", -1, NULL));
    g_assert_null(schema_load(path, &encoding));
    g_assert_null(schema_load(folder, &kind));
    g_remove(path);
    g_rmdir(folder);
}

static void targets(void)
{
    enum char_kind kind;
    const char *path;
    g_assert_true(char_target_parse("file:/a b", &kind, &path) && kind == CHAR_FILE && !strcmp(path, "/a b"));
    g_assert_true(char_target_parse("pty", &kind, &path) && kind == CHAR_PTY && !path);
    g_assert_false(char_target_parse("ptyx", &kind, &path) || char_target_parse("", &kind, &path) ||
                   char_target_parse("file:", &kind, &path) || char_target_parse("FILE:x", &kind, &path));
}

static void suggestions(void)
{
    static const char *const words[] = {"list", "start", "stop", "screen", NULL};
    g_assert_cmpstr(suggest("lst", words), ==, "list");
    g_assert_cmpstr(suggest("satrt", words), ==, "start");
    g_assert_cmpstr(suggest("Screen", words), ==, "screen");
    g_assert_null(suggest("q", words));
    g_assert_null(suggest("", words));
    g_autofree char *endless = g_strnfill(10000, 'x');
    g_assert_null(suggest(endless, words));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/macs", macs);
    g_test_add_func("/config/sizes/good", sizes_good);
    g_test_add_func("/config/sizes/bad", sizes_bad);
    g_test_add_func("/config/sizes/round-trip", sizes_round_trip);
    g_test_add_func("/config/reading", reading);
    g_test_add_func("/config/defaults", defaults);
    g_test_add_func("/config/complaints", complaints);
    g_test_add_func("/config/relative-paths", relative_paths);
    g_test_add_func("/config/schema/rules", schema);
    g_test_add_func("/config/schema/defaults", schema_defaults);
    g_test_add_func("/config/schema/files", schema_files);
    g_test_add_func("/config/targets", targets);
    g_test_add_func("/config/suggestions", suggestions);
    return g_test_run();
}
