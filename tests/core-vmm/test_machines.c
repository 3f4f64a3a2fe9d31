// SPDX-License-Identifier: GPL-2.0-or-later
/* The machines library as a manager uses it.  VM processes are scripts made here, and a real one with a guest
 * that obeys orders (terrarium-vm-scripted), whose path is the first argument.
 *
 * The tests of disk images come first: they fork, which a process does while it has one thread. */
#include "core-vmm/host/machines.h"
#include "core-vmm/control/client_machine.h"
#include "core-vmm/host/config_error.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/disk_look.h"
#include "core-vmm/host/fresh.h"
#include "core-vmm/host/paths.h"
#include "disk-formats/image/image.h"
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOON_MS 20000 /* a busy host is slow */

/* ---- help ---- */

static void create(const char *name, const char *set)
{
    char *sets[] = {(char *)set, NULL};
    struct settings s = {.sets = set ? g_strdupv(sets) : NULL};
    GError *error = NULL;
    g_assert_true(machines_create(name, &s, &error));
    g_assert_no_error(error);
    settings_clear(&s);
}

static void delete_all(void)
{
    g_autoptr(GPtrArray) list = machines_list(NULL);
    for (guint i = 0; i < list->len; i++) {
        const struct machine_entry *e = list->pdata[i];
        g_autofree char *folder = paths_machine(e->name);
        g_assert_true(folder_remove(folder, NULL));
    }
}

static char *file_in(const char *name, const char *file)
{
    g_autofree char *folder = paths_machine(name);
    return g_build_filename(folder, file, NULL);
}

static void write_file(const char *path, const char *text)
{
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static unsigned count_in_folder(void)
{
    g_autofree char *machines = paths_machines();
    g_autoptr(GDir) dir = g_dir_open(machines, 0, NULL);
    unsigned n = 0;
    while (dir && g_dir_read_name(dir))
        n++;
    return n;
}

#define assert_refused(call, domain, code)                                                                             \
    G_STMT_START                                                                                                       \
    {                                                                                                                  \
        g_autoptr(GError) refused_ = NULL;                                                                             \
        GError **error = &refused_;                                                                                    \
        g_assert_true(!(call));                                                                                        \
        g_assert_error(refused_, domain, code);                                                                        \
        g_test_message("%s", refused_->message);                                                                       \
    }                                                                                                                  \
    G_STMT_END

/* ---- by name ---- */

static void finding(void)
{
    create("alpha", NULL);
    create("alphabet", NULL);
    create("beta", NULL);
    g_autofree char *exact = machines_find("alpha", NULL), *beginning = machines_find("b", NULL);
    g_assert_cmpstr(exact, ==, "alpha");
    g_assert_cmpstr(beginning, ==, "beta");
    assert_refused(machines_find("alp", error), MACHINE_ERROR, MACHINE_ERROR_AMBIGUOUS);
    assert_refused(machines_find("", error), MACHINE_ERROR, MACHINE_ERROR_NOT_FOUND);
    g_autoptr(GError) near = NULL;
    g_assert_null(machines_find("bteaa", &near));
    g_assert_error(near, MACHINE_ERROR, MACHINE_ERROR_NOT_FOUND);
    g_assert_cmpstr(near->message, ==, "there is no machine bteaa; did you mean beta?");
    delete_all();
}

/* ---- disk images ---- */

static void new_image(const char *path, const char *format, const char *parent)
{
    struct image_options o = {
        .bytes = parent ? 0 : 1 << 20, .parent = parent, .parent_format = parent ? "qcow2" : NULL};
    GError *error = NULL;
    image_create(path, format, &o, false, &error);
    g_assert_no_error(error);
}

static void gives_disk(const char *name, const char *file)
{
    g_autofree char *set = g_strdup_printf("ide0.file=%s", file);
    create(name, set);
}

static void assert_users(const char *path, const char *except, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) users = disk_users(path, except, &error);
    g_assert_no_error(error);
    g_ptr_array_add(users, NULL);
    g_autofree char *all = g_strjoinv(" ", (char **)users->pdata);
    g_assert_cmpstr(all, ==, expected);
}

/* A machine per way to an image: itself, a link, a link by way of another folder, a hard link, a child of a child. */
static void users_of_disks(void)
{
    create("owner", NULL);
    g_autofree char *base = file_in("owner", "base.qcow2"), *folder = paths_machine("owner");
    new_image(base, "qcow2", NULL);
    g_autofree char *elsewhere = g_dir_make_tmp("terrarium-images-XXXXXX", NULL);
    g_autofree char *link = g_build_filename(elsewhere, "link.qcow2", NULL);
    g_autofree char *hard = g_build_filename(elsewhere, "hard.qcow2", NULL);
    g_autofree char *other = g_build_filename(elsewhere, "other.qcow2", NULL);
    g_autofree char *child = g_build_filename(elsewhere, "child.qcow2", NULL);
    g_autofree char *grandchild = g_build_filename(elsewhere, "grandchild.qcow2", NULL);
    g_autofree char *passing = file_in("owner", "passing.qcow2");
    g_assert_true(!symlink(base, link) && !(linkat(AT_FDCWD, base, AT_FDCWD, hard, 0)));
    new_image(other, "qcow2", NULL);
    g_assert_true(!symlink(other, passing));
    new_image(child, "qcow2", base);
    new_image(grandchild, "qcow2", child);
    gives_disk("by-child", grandchild);
    gives_disk("by-hard-link", hard);
    gives_disk("by-link", link);
    gives_disk("by-name", base);
    gives_disk("by-passing", passing);
    gives_disk("not", other);
    assert_users(base, NULL, "by-child by-hard-link by-link by-name");
    assert_users(link, NULL, "by-child by-hard-link by-link by-name");
    assert_users(child, NULL, "by-child");
    assert_users(other, "not", "by-passing");
    assert_users(folder, "owner", "by-child by-link by-name by-passing"); /* the other name of the file stays */
    bool left;
    assert_refused(machines_delete("owner", false, &left, error), MACHINE_ERROR, MACHINE_ERROR_IN_USE);
    assert_refused(machines_rename("owner", "new", error), MACHINE_ERROR, MACHINE_ERROR_IN_USE);
    g_assert_true(g_file_test(base, G_FILE_TEST_EXISTS));
    g_assert_true(folder_remove(elsewhere, NULL));
    delete_all();
}

static void new_and_old_disks(void)
{
    g_autofree char *elsewhere = g_dir_make_tmp("terrarium-images-XXXXXX", NULL);
    g_autofree char *image = g_build_filename(elsewhere, "no-ending", NULL);
    char *disks[] = {"3M", image, NULL};
    struct settings s = {.disks = g_strdupv(disks)};
    new_image(image, "vdi", NULL);
    g_assert_true(machines_create("m", &s, NULL));
    g_assert_cmpuint(s.remarks->len, ==, 1);
    g_assert_nonnull(strstr(s.remarks->pdata[0], "is a vdi image"));
    g_autoptr(GKeyFile) file = machines_settings("m", NULL);
    g_autofree char *own = g_key_file_get_string(file, "ide0", "file", NULL), *path = file_in("m", own);
    g_autofree char *format = g_key_file_get_string(file, "ide1", "format", NULL);
    g_assert_cmpstr(format, ==, "vdi");
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    bool left;
    g_assert_true(machines_delete("m", true, &left, NULL) && left);
    g_autoptr(GPtrArray) list = machines_list(NULL);
    g_assert_cmpint(((struct machine_entry *)list->pdata[0])->state, ==, ENTRY_NO_INI);
    g_assert_true(machines_delete("m", false, &left, NULL) && !left);
    g_assert_true(g_file_test(image, G_FILE_TEST_EXISTS));
    settings_clear(&s);
    g_assert_true(folder_remove(elsewhere, NULL));
    g_assert_cmpuint(count_in_folder(), ==, 0);
}

/* ---- making and taking away ---- */

static void whole_or_nothing(void)
{
    char *wrong[] = {"machine.memory=64Q", NULL}, *disks[] = {"1M", NULL};
    struct settings s = {.sets = g_strdupv(wrong), .disks = g_strdupv(disks)};
    assert_refused(machines_create("m", &s, error), CONFIG_ERROR, CONFIG_VALUE);
    g_assert_cmpuint(count_in_folder(), ==, 0); /* not even the disk that was made first */
    assert_refused(machines_create("../m", &s, error), G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
    settings_clear(&s);
    create("m", NULL);
    struct settings none = {0};
    assert_refused(machines_create("m", &none, error), MACHINE_ERROR, MACHINE_ERROR_EXISTS);
    settings_clear(&none);
    delete_all();
}

static void left_overs(void)
{
    g_autofree char *machines = paths_machines();
    int lock;
    g_autofree char *dead = g_build_filename(machines, FRESH_NEW "dead", NULL);
    g_autofree char *living = fresh_folder(machines, FRESH_GONE, &lock, NULL);
    g_assert_cmpint(g_mkdir(dead, 0700), ==, 0);
    g_autoptr(GPtrArray) list = machines_list(NULL);
    g_assert_cmpuint(list->len, ==, 0);
    g_assert_false(g_file_test(dead, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_test(living, G_FILE_TEST_EXISTS));
    close(lock);
    machines_sweep();
    g_assert_cmpuint(count_in_folder(), ==, 0);
}

#define RACERS 4
#define RACES  25

static gpointer race_to_create(gpointer wins)
{
    struct settings s = {0};
    g_autoptr(GError) error = NULL;
    if (machines_create("prize", &s, &error))
        g_atomic_int_inc((gint *)wins);
    else
        g_assert_error(error, MACHINE_ERROR, MACHINE_ERROR_EXISTS);
    settings_clear(&s);
    return NULL;
}

static gpointer race_to_delete(gpointer wins)
{
    g_autoptr(GError) error = NULL;
    bool left;
    if (machines_delete("prize", true, &left, &error))
        g_atomic_int_inc((gint *)wins);
    else
        g_assert_nonnull(error);
    return NULL;
}

static int race(GThreadFunc run)
{
    GThread *racer[RACERS];
    gint wins = 0;
    for (unsigned i = 0; i < RACERS; i++)
        racer[i] = g_thread_new("racer", run, &wins);
    for (unsigned i = 0; i < RACERS; i++)
        g_thread_join(racer[i]);
    return wins;
}

static void races(void)
{
    for (unsigned i = 0; i < RACES; i++) {
        g_assert_cmpint(race(race_to_create), ==, 1);
        g_assert_cmpuint(count_in_folder(), ==, 1);
        g_assert_cmpint(race(race_to_delete), >=, 1);
        g_assert_cmpuint(count_in_folder(), ==, 0);
    }
}

static void not_while_it_runs(void)
{
    bool left;
    create("m", NULL);
    int lock = machines_hold("m", NULL);
    g_assert_cmpint(lock, >=, 0);
    assert_refused(machines_delete("m", false, &left, error), MACHINE_ERROR, MACHINE_ERROR_RUNNING);
    assert_refused(machines_rename("m", "n", error), MACHINE_ERROR, MACHINE_ERROR_RUNNING);
    struct machine_run r;
    const struct machine_start how = {.seconds = 1};
    assert_refused(machines_start("m", &how, &r, error), MACHINE_ERROR, MACHINE_ERROR_RUNNING);
    close(lock);
    g_assert_true(machines_delete("m", true, &left, NULL));
    assert_refused(machines_delete("m", false, &left, error), MACHINE_ERROR, MACHINE_ERROR_NOT_FOUND);
}

static void clones(void)
{
    create("m", "machine.cpus=3");
    g_autofree char *ini = file_in("m", "machine.ini");
    write_file(ini, "[machine]\ncpus=3\nname=People's\nkernel=vmlinuz\n[ide0]\nfile=disk.img\n[ide2]\nmedia=cdrom\n"
                    "file=/cd.iso\n[vnc]\nlisten=:1\n");
    g_autofree char *image = file_in("m", "disk.img"), *boot = file_in("m", "vmlinuz");
    g_autofree char *sectors = g_strnfill(4096, 'x');
    write_file(image, sectors);
    g_assert_true(machines_clone("m", "n", NULL, NULL, NULL, NULL));
    g_autoptr(GKeyFile) file = machines_settings("n", NULL);
    g_autofree char *kernel = g_key_file_get_string(file, "machine", "kernel", NULL);
    g_autofree char *cd = g_key_file_get_string(file, "ide2", "file", NULL);
    g_assert_cmpint(g_key_file_get_integer(file, "machine", "cpus", NULL), ==, 3);
    g_assert_cmpstr(kernel, ==, boot);
    g_assert_cmpstr(cd, ==, "/cd.iso");
    g_autofree char *disk = g_key_file_get_string(file, "ide0", "file", NULL), *copy = file_in("n", "ide0.img");
    g_assert_cmpstr(disk, ==, "ide0.img");
    g_assert_true(g_file_test(copy, G_FILE_TEST_IS_REGULAR));
    g_assert_false(g_key_file_has_group(file, "vnc") || g_key_file_has_key(file, "machine", "name", NULL));
    assert_refused(machines_clone("m", "n", NULL, NULL, NULL, error), MACHINE_ERROR, MACHINE_ERROR_EXISTS);
    write_file(ini, "[machine]\nmemory=lots\n");
    assert_refused(machines_clone("m", "o", NULL, NULL, NULL, error), CONFIG_ERROR, CONFIG_VALUE);
    delete_all();
    g_assert_cmpuint(count_in_folder(), ==, 0);
}

static void renaming(void)
{
    create("m", NULL);
    create("taken", NULL);
    g_autofree char *ini = file_in("m", "machine.ini"), *own = file_in("m", "vmlinuz");
    g_autofree char *text = g_strdup_printf("[machine]\nkernel=%s\n", own);
    assert_refused(machines_rename("m", "taken", error), MACHINE_ERROR, MACHINE_ERROR_EXISTS);
    assert_refused(machines_rename("none", "n", error), MACHINE_ERROR, MACHINE_ERROR_NOT_FOUND);
    g_assert_true(machines_rename("m", "n", NULL) && machines_rename("n", "m", NULL));
    write_file(ini, text);
    assert_refused(machines_rename("m", "n", error), MACHINE_ERROR, MACHINE_ERROR_IN_USE);
    delete_all();
}

/* ---- settings ---- */

/* Every key of every section: what is set is read, and what is removed is the default again.  A shared folder without its path is none:
 * it has one all the time, and goes as a whole. */
static void settings_round_trip(void)
{
    enum settings_count count;
    create("m", NULL);
    for (const struct schema_section *s = schema_sections(); s->name; s++)
        for (const struct schema_key *k = s->keys; k->name; k++) {
            g_autofree char *section = s->count ? g_strdup_printf("%s%u", s->name, s->first) : g_strdup(s->name);
            bool words = k->words && k->type != SCHEMA_NUMBERS;
            g_autofree char *value = g_strdup(k->otherwise ? k->otherwise : words ? k->words[0] : NULL);
            g_autofree char *number = g_strdup_printf("%d", (int)k->low);
            const char *set = value                        ? value
                              : k->type == SCHEMA_NUMBER   ? number
                              : k->type == SCHEMA_NUMBERS  ? "615/4/17"
                              : k->type == SCHEMA_SIZE     ? "1M"
                              : k->type == SCHEMA_FLAG     ? "on"
                              : k->type == SCHEMA_FORWARDS ? "tcp 127.0.0.1:2222 22; udp 53 53"
                              : k->type == SCHEMA_IPV4_NET ? "192.168.7.0/24"
                              : k->type == SCHEMA_UUID     ? "2b7f3e52-7b1c-4a0e-9d5f-0c8a6f1e2d34"
                              : k->type == SCHEMA_MAC      ? "52:54:00:12:34:56"
                                                           : "a b";
            g_autofree char *assignment = g_strdup_printf("%s.%s=%s", section, k->name, set);
            g_autofree char *key = g_strdup_printf("%s.%s", section, k->name);
            bool whole = !strcmp(s->name, "folder");
            char *sets[] = {assignment, whole && strcmp(k->name, "path") ? "folder1.path=a b" : NULL, NULL},
                 *removals[] = {whole ? section : key, NULL};
            g_assert_true(machines_change("m", sets, NULL, &count, NULL) && count == SETTINGS_COUNT_NOW);
            g_autoptr(GKeyFile) file = machines_settings("m", NULL);
            g_autofree char *read = g_key_file_get_string(file, section, k->name, NULL);
            g_assert_cmpstr(read, ==, set);
            g_assert_true(machines_change("m", NULL, removals, &count, NULL));
            g_autoptr(GKeyFile) after = machines_settings("m", NULL);
            g_assert_false(g_key_file_has_key(after, section, k->name, NULL));
        }
    delete_all();
}

static gpointer set_each(gpointer section)
{
    for (unsigned i = 0; i < 50; i++) {
        g_autofree char *set = g_strdup_printf("%s.file=%u", (char *)section, i);
        char *sets[] = {set, NULL};
        enum settings_count count;
        g_assert_true(machines_change("m", sets, NULL, &count, NULL));
        g_autoptr(GKeyFile) file = machines_settings("m", NULL);
        g_autofree char *value = g_key_file_get_string(file, section, "file", NULL);
        g_assert_cmpstr(value, ==, strchr(set, '=') + 1);
    }
    return NULL;
}

/* None of two changes is lost because both began with the same file. */
static void settings_at_once(void)
{
    static const char *const sections[] = {"floppy0", "floppy1"};
    GThread *threads[G_N_ELEMENTS(sections)];
    create("m", NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(sections); i++)
        threads[i] = g_thread_new(sections[i], set_each, (gpointer)sections[i]);
    for (unsigned i = 0; i < G_N_ELEMENTS(sections); i++)
        g_thread_join(threads[i]);
    delete_all();
}

static void settings_all_or_nothing(void)
{
    enum settings_count count;
    create("m", NULL);
    g_autofree char *ini = file_in("m", "machine.ini"), *before = NULL, *after = NULL;
    char *wrong[] = {"machine.cpus=2", "machine.cpus=two", NULL}, *syntax[] = {"cpus", NULL};
    char *unknown[] = {"machine.cpu", NULL}, *name[] = {"machine.name=x", NULL}, *cpus[] = {"machine.cpus=2", NULL};
    g_assert_true(g_file_get_contents(ini, &before, NULL, NULL));
    assert_refused(machines_change("m", wrong, NULL, &count, error), CONFIG_ERROR, CONFIG_VALUE);
    assert_refused(machines_change("m", syntax, NULL, &count, error), CONFIG_ERROR, CONFIG_SYNTAX);
    assert_refused(machines_change("m", NULL, unknown, &count, error), CONFIG_ERROR, CONFIG_UNKNOWN);
    g_assert_true(g_file_get_contents(ini, &after, NULL, NULL));
    g_assert_cmpstr(before, ==, after);
    int lock = machines_hold("m", NULL);
    g_assert_true(machines_change("m", cpus, NULL, &count, NULL) && count == SETTINGS_COUNT_FROM_NEXT_START);
    g_assert_true(machines_change("m", name, NULL, &count, NULL) && count == SETTINGS_COUNT_NOW);
    close(lock);
    g_assert_true(machines_change("m", cpus, NULL, &count, NULL) && count == SETTINGS_COUNT_NOW);
    delete_all();
}

static void damaged_settings(void)
{
    static const char *const damages[] = {"", "[machine]\nmemory=64Q\n", "[machine\n", "\x01\x02\xff", "[nonsense]\n"};
    create("good", NULL);
    create("bad", NULL);
    g_autofree char *ini = file_in("bad", "machine.ini");
    char *cpus[] = {"machine.cpus=2", NULL};
    for (unsigned i = 0; i < G_N_ELEMENTS(damages); i++) {
        enum settings_count count;
        write_file(ini, damages[i]);
        g_autoptr(GPtrArray) list = machines_list(NULL);
        const struct machine_entry *bad = list->pdata[0], *good = list->pdata[1];
        g_assert_true(list->len == 2 && good->state == ENTRY_STOPPED && good->memory == 1 << 30 && !good->why);
        g_assert_cmpint(bad->state, ==, i ? ENTRY_DAMAGED : ENTRY_STOPPED); /* an empty one has all defaults */
        g_assert_true(!i == !bad->why && !i == !!bad->memory);
        g_assert_true(machines_change("bad", cpus, NULL, &count, NULL) == !i);
        g_autofree char *text = NULL;
        g_assert_true(g_file_get_contents(ini, &text, NULL, NULL));
        g_assert_true(!i || !strcmp(text, damages[i])); /* left as it was, for whoever mends it */
    }
    delete_all();
}

/* ---- many ---- */

/* Calls of read() that this process has made; 0: the kernel does not tell. */
static guint64 reads(void)
{
    g_autofree char *text = NULL;
    const char *line = g_file_get_contents("/proc/self/io", &text, NULL, NULL) ? strstr(text, "syscr: ") : NULL;
    return line ? g_ascii_strtoull(line + 7, NULL, 10) : 0;
}

static guint64 reads_of_list(unsigned expected)
{
    guint64 before = reads();
    g_autoptr(GPtrArray) list = machines_list(NULL);
    guint64 n = reads() - before;
    g_assert_cmpuint(list->len, ==, expected);
    return n;
}

static void many(void)
{
    g_autofree char *machines = paths_machines();
    guint64 half = 0;
    for (unsigned i = 1; i <= 500; i++) { /* by hand: create waits for the disk */
        g_autofree char *name = g_strdup_printf("m%03u", i), *folder = paths_machine(name);
        g_autofree char *ini = g_build_filename(folder, "machine.ini", NULL);
        g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
        write_file(ini, "[machine]\nmemory=64M\n");
        if (i == 250)
            half = reads_of_list(250);
    }
    guint64 all = reads_of_list(500);
    g_test_message("%u reads for 250, %u for 500", (unsigned)half, (unsigned)all);
    g_assert_cmpuint(all, <=, 2 * half + 20);
    g_assert_cmpuint(all, <=, 500 * 8);
    g_assert_true(folder_remove(machines, NULL));
    g_assert_cmpint(g_mkdir_with_parents(machines, 0700), ==, 0);
}

/* ---- starting ---- */

static const char *scripted_vm;

/* What is started as the VM process from now on: by a name that stays, for the environment is all threads'. */
static void vm_script(const char *text)
{
    const char *path = g_getenv("TERRARIUM_VM");
    g_autofree char *script = g_strconcat("#!/bin/sh\n", text, "\n", NULL);
    write_file(path, script);
    g_assert_cmpint(g_chmod(path, 0700), ==, 0);
}

static void vm_real(void)
{
    g_autofree char *text = g_strdup_printf("exec '%s' \"$@\"", scripted_vm);
    vm_script(text);
}

static bool has_children(void)
{
    return waitpid(-1, NULL, WNOHANG) == 0;
}

static void never_ready(void)
{
    const struct machine_start brief = {.seconds = 0.3}, how = {.seconds = SOON_MS / 1000};
    struct machine_run r;
    create("m", NULL);
    vm_script("exec sleep 1000");
    assert_refused(machines_start("m", &brief, &r, error), MACHINE_ERROR, MACHINE_ERROR_TIMEOUT);
    g_assert_false(has_children());
    vm_script("while :; do echo babble >&3; done");
    assert_refused(machines_start("m", &how, &r, error), MACHINE_ERROR, MACHINE_ERROR_REFUSED); /* enough is enough */
    g_assert_false(has_children());
    vm_script("echo 'error 1 no' >&3; exec 3>&-; exec sleep 1000");
    assert_refused(machines_start("m", &how, &r, error), MACHINE_ERROR, MACHINE_ERROR_REFUSED);
    g_assert_false(has_children());
    delete_all();
}

static void start_refused(void)
{
    const struct machine_start how = {.seconds = SOON_MS / 1000};
    struct machine_run r;
    g_autoptr(GError) why = NULL;
    create("m", NULL);
    vm_script("echo 'error 9 somebody has it' >&3");
    g_assert_false(machines_start("m", &how, &r, &why));
    g_assert_error(why, MACHINE_ERROR, MACHINE_ERROR_REFUSED);
    g_assert_cmpstr(why->message, ==, "somebody has it");
    g_assert_cmpint(r.refusal, ==, 9);
    vm_script("echo 'error 999 x' >&3");
    assert_refused(machines_start("m", &how, &r, error), MACHINE_ERROR, MACHINE_ERROR_REFUSED);
    g_assert_cmpint(r.refusal, ==, 1);
    vm_script("exit 0");
    assert_refused(machines_start("m", &how, &r, error), MACHINE_ERROR, MACHINE_ERROR_REFUSED);
    g_assert_false(has_children());
    delete_all();
}

static gpointer let_go(gpointer lock)
{
    g_usleep(200000);
    close(GPOINTER_TO_INT(lock));
    return NULL;
}

/* The process has gone, what cleans up behind it holds the lock for a moment more. */
static void start_while_swept(void)
{
    const struct machine_start how = {.seconds = SOON_MS / 1000};
    struct machine_run r;
    pid_t gone = fork(), none;
    if (!gone)
        _exit(0);
    g_assert_cmpint(waitpid(gone, NULL, 0), ==, gone);
    create("m", NULL);
    g_autofree char *folder = paths_machine("m"), *text = g_strdup_printf("%d\n", gone);
    int lock = machine_lock(folder, &none, NULL);
    g_assert_cmpint(lock, >=, 0);
    g_assert_cmpint(pwrite(lock, text, strlen(text), 0), ==, strlen(text));
    g_assert_cmpint(ftruncate(lock, strlen(text)), ==, 0);
    vm_script("echo 'error 9 got that far' >&3");
    GThread *thread = g_thread_new("sweeper", let_go, GINT_TO_POINTER(lock));
    assert_refused(machines_start("m", &how, &r, error), MACHINE_ERROR, MACHINE_ERROR_REFUSED);
    g_thread_join(thread);
    delete_all();
}

struct ending {
    bool ended;
    GError *error;
};

static void on_started(GObject *source, GAsyncResult *result, gpointer data)
{
    struct ending *e = data;
    e->ended = true;
    machines_start_finish(result, &e->error);
}

static gboolean on_too_long(gpointer data)
{
    g_printerr("nothing happened for %d ms\n", SOON_MS);
    abort();
}

/* Lets the main loop run until *flag. */
static void run_until(const bool *flag)
{
    guint limit = g_timeout_add(SOON_MS, on_too_long, NULL);
    while (!*flag)
        g_main_context_iteration(NULL, TRUE);
    g_source_remove(limit);
}

static gboolean on_cancel(gpointer cancel)
{
    g_cancellable_cancel(cancel);
    return G_SOURCE_REMOVE;
}

static void start_in_a_loop(void)
{
    struct machine_start how = {.seconds = 0.3};
    struct ending late = {0}, cancelled = {0}, refused = {0}, stays = {0};
    g_autoptr(GCancellable) cancel = g_cancellable_new();
    create("m", NULL);
    vm_script("exec sleep 1000");
    machines_start_async("m", &how, NULL, on_started, &late);
    g_assert_false(late.ended);
    run_until(&late.ended);
    g_assert_error(late.error, MACHINE_ERROR, MACHINE_ERROR_TIMEOUT);
    how.seconds = SOON_MS;
    machines_start_async("m", &how, cancel, on_started, &cancelled);
    g_timeout_add(100, on_cancel, cancel);
    run_until(&cancelled.ended);
    g_assert_error(cancelled.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    vm_script("echo 'error 9 somebody has it' >&3");
    machines_start_async("m", &how, NULL, on_started, &refused);
    run_until(&refused.ended);
    g_assert_error(refused.error, MACHINE_ERROR, MACHINE_ERROR_REFUSED);
    g_assert_false(has_children());
    vm_script("echo 'error 1 no' >&3; exec 3>&-; exec sleep 1000");
    machines_start_async("m", &how, NULL, on_started, &stays);
    run_until(&stays.ended);
    g_assert_error(stays.error, MACHINE_ERROR, MACHINE_ERROR_REFUSED);
    g_assert_false(has_children());
    g_clear_error(&stays.error);
    g_clear_error(&late.error);
    g_clear_error(&cancelled.error);
    g_clear_error(&refused.error);
    delete_all();
}

/* ---- events ---- */

struct seen {
    GString *events;
    const char *awaited;
    bool there;
};

static void on_change(void *ctx, const char *name, enum machine_change change)
{
    static const char *const words[] = {"created", "deleted", "changed", "started", "ended"};
    struct seen *s = ctx;
    g_string_append_printf(s->events, "%s %s;", name, words[change]);
    s->there = s->awaited && g_str_has_suffix(s->events->str, s->awaited);
}

static void await_event(struct seen *s, const char *awaited)
{
    s->awaited = awaited;
    s->there = g_str_has_suffix(s->events->str, awaited);
    run_until(&s->there);
}

static gboolean on_settled(gpointer settled)
{
    *(bool *)settled = true;
    return G_SOURCE_REMOVE;
}

/* Longer than anybody looks who has heard nothing. */
static void settle(void)
{
    bool settled = false;
    g_timeout_add(1500, on_settled, &settled);
    run_until(&settled);
}

static void events(void)
{
    struct seen s = {.events = g_string_new(NULL)};
    const struct machine_start how = {.seconds = SOON_MS / 1000};
    struct ending start = {0};
    char *cpus[] = {"machine.cpus=2", NULL};
    enum settings_count count;
    bool left;
    create("old", NULL);
    struct machine_watch *w = machines_watch(on_change, &s, NULL);
    g_assert_nonnull(w);
    create("new", NULL);
    await_event(&s, "new created;");
    g_assert_true(machines_change("old", cpus, NULL, &count, NULL));
    await_event(&s, "old changed;");
    vm_real();
    machines_start_async("new", &how, NULL, on_started, &start);
    run_until(&start.ended);
    g_assert_no_error(start.error);
    await_event(&s, "new started;");
    g_autofree char *why = NULL;
    g_autoptr(GError) error = NULL;
    g_assert_true(client_power_cut("new", &why, &error));
    await_event(&s, "new ended;");
    g_assert_true(machines_delete("new", true, &left, NULL));
    await_event(&s, "new deleted;");
    g_assert_cmpstr(s.events->str, ==, "new created;old changed;new started;new ended;new deleted;");
    machine_watch_free(w);
    g_string_free(s.events, TRUE);
    delete_all();
}

/* Gone and made again between two looks: the new folder is watched, not the old one. */
static void events_of_a_successor(void)
{
    struct seen s = {.events = g_string_new(NULL)};
    char *cpus[] = {"machine.cpus=2", NULL};
    enum settings_count count;
    bool left;
    create("m", NULL);
    struct machine_watch *w = machines_watch(on_change, &s, NULL);
    g_assert_true(machines_delete("m", true, &left, NULL));
    create("m", NULL);
    await_event(&s, "m changed;");
    settle();
    g_assert_true(machines_change("m", cpus, NULL, &count, NULL));
    await_event(&s, "m changed;m changed;");
    g_assert_cmpstr(s.events->str, ==, "m changed;m changed;");
    machine_watch_free(w);
    g_string_free(s.events, TRUE);
    delete_all();
}

/* Killed, the process says nothing, and its lock is let go of later than it ends. */
static void event_of_a_kill(void)
{
    struct seen s = {.events = g_string_new(NULL)};
    const struct machine_start how = {.seconds = SOON_MS / 1000};
    struct machine_run r;
    create("m", NULL);
    struct machine_watch *w = machines_watch(on_change, &s, NULL);
    vm_real();
    g_assert_true(machines_start("m", &how, &r, NULL));
    await_event(&s, "m started;");
    settle();
    kill(r.pid, SIGKILL);
    await_event(&s, "m ended;");
    g_assert_cmpint(waitpid(r.pid, NULL, 0), ==, r.pid);
    g_assert_cmpstr(s.events->str, ==, "m started;m ended;");
    machine_watch_free(w);
    g_string_free(s.events, TRUE);
    delete_all();
}

/* Looking wakes nobody: or two who watch would keep each other awake. */
static void watching_is_quiet(void)
{
    g_autofree char *lock = file_in("m", "lock");
    char some[1024];
    create("m", NULL);
    close(machines_hold("m", NULL));
    int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    g_assert_cmpint(inotify_add_watch(watch, lock, IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE), >=, 0);
    machine_entry_free(machines_look("m"));
    g_assert_cmpint(read(watch, some, sizeof some), <, 0);
    close(machines_hold("m", NULL));
    g_assert_cmpint(read(watch, some, sizeof some), >, 0);
    close(watch);
    delete_all();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    scripted_vm = argc > 1 ? argv[1] : "";
    g_autofree char *base = g_dir_make_tmp("terrarium-machines-XXXXXX", NULL);
    g_autofree char *data = g_build_filename(base, "data", NULL), *run = g_build_filename(base, "run", NULL);
    g_assert_true(!g_mkdir(data, 0700) && !g_mkdir(run, 0700));
    g_setenv("XDG_DATA_HOME", data, TRUE);
    g_autofree char *script = g_build_filename(base, "vm-script", NULL);
    g_setenv("XDG_RUNTIME_DIR", run, TRUE);
    g_setenv("TERRARIUM_VM", script, TRUE);
    g_test_add_func("/machines/users-of-disks", users_of_disks);
    g_test_add_func("/machines/disks", new_and_old_disks);
    g_test_add_func("/machines/renaming", renaming);
    g_test_add_func("/machines/finding", finding);
    g_test_add_func("/machines/whole-or-nothing", whole_or_nothing);
    g_test_add_func("/machines/left-overs", left_overs);
    g_test_add_func("/machines/not-while-it-runs", not_while_it_runs);
    g_test_add_func("/machines/clones", clones);
    g_test_add_func("/machines/settings/round-trip", settings_round_trip);
    g_test_add_func("/machines/settings/at-once", settings_at_once);
    g_test_add_func("/machines/settings/all-or-nothing", settings_all_or_nothing);
    g_test_add_func("/machines/settings/damaged", damaged_settings);
    g_test_add_func("/machines/many", many);
    g_test_add_func("/machines/start/never-ready", never_ready);
    g_test_add_func("/machines/start/refused", start_refused);
    g_test_add_func("/machines/start/while-swept", start_while_swept);
    g_test_add_func("/machines/races", races);
    g_test_add_func("/machines/start/in-a-loop", start_in_a_loop);
    g_test_add_func("/machines/events/all", events);
    g_test_add_func("/machines/events/successor", events_of_a_successor);
    g_test_add_func("/machines/events/kill", event_of_a_kill);
    g_test_add_func("/machines/events/quiet", watching_is_quiet);
    int code = g_test_run();
    folder_remove(base, NULL);
    return code;
}
