// SPDX-License-Identifier: GPL-2.0-or-later
/* A machine is made in a folder beside the others and renamed into place when it is complete. */
#include "core-vmm/vmctl/verbs.h"
#include "core-vmm/host/fresh.h"
#include "core-vmm/host/paths.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fill(const struct settings *s, const char *folder, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *ini = g_build_filename(folder, "machine.ini", NULL);
    g_key_file_set_comment(file, NULL, NULL, " A Terrarium machine; vmctl set changes it, docs/machine.md explains it.",
                           NULL);
    g_key_file_set_string(file, "machine", "memory", "1G");
    g_key_file_set_string(file, "serial1", "target", "none");
    return settings_apply(s, file, folder, error) && settings_write(file, ini, error);
}

/* renameat2 rather than rename: a name that was taken meanwhile stays whole. */
static bool publish(const char *from, const char *name, GError **error)
{
    g_autofree char *to = paths_machine(name);
    if (!renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE))
        return true;
    if (errno == EEXIST)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS, "there is a machine %s already", name);
    else
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", to, g_strerror(errno));
    return false;
}

/* What went wrong with a file is told of the file as it would have been. */
static void tell_final(GError *error, const char *fresh, const char *final)
{
    g_autoptr(GString) text = g_string_new(error->message);
    g_string_replace(text, fresh, final, 0);
    g_free(error->message);
    error->message = g_strdup(text->str);
}

/* The name is on stable storage when its folder is. */
static void sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd))
        g_debug("%s: %s", path, g_strerror(errno));
    if (fd >= 0)
        close(fd);
}

static bool create_in(const struct settings *s, const char *machines, const char *name, GError **error)
{
    g_autofree char *final = paths_machine(name);
    GError *why = NULL;
    int lock;
    fresh_clean(machines, FRESH_NEW);
    fresh_clean(machines, FRESH_GONE);
    g_autofree char *fresh = fresh_folder(machines, FRESH_NEW, &lock, error);
    if (!fresh)
        return false;
    if (fill(s, fresh, &why) && publish(fresh, name, &why)) {
        fresh_done(final, lock);
        sync_folder(machines);
        return true;
    }
    tell_final(why, fresh, final);
    g_propagate_error(error, why);
    folder_remove(fresh, NULL);
    close(lock);
    return false;
}

static bool create_machine(const struct settings *s, const char *name, GError **error)
{
    g_autofree char *machines = paths_machines(), *final = paths_machine(name);
    if (g_file_test(final, G_FILE_TEST_EXISTS)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS, "there is a machine %s already", name);
        return false;
    }
    if (g_mkdir_with_parents(machines, 0700)) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", machines, g_strerror(errno));
        return false;
    }
    return create_in(s, machines, name, error);
}

static int create(const struct verb *v, int argc, char **argv)
{
    struct settings s = {0};
    g_autofree GOptionEntry *entries = settings_entries(&s, NULL);
    g_autoptr(GError) error = NULL;
    int code;
    if (verb_options(v, entries, &argc, &argv, 1, 1, &code)) {
        bool good = vm_name_check(argv[1], &error) && create_machine(&s, argv[1], &error);
        code = good ? EXIT_CODE_OK : fail_error(error);
    }
    settings_clear(&s);
    return code;
}

const struct verb verb_create = {"create", "NAME", "make a new machine",
                                 "  vmctl create demo --memory 2G --disk 20G --cdrom debian.iso\n"
                                 "  vmctl create tiny --kernel vmlinuz --initrd initrd.gz --cmdline console=ttyS0\n"
                                 "  vmctl create old --set machine.clock=local --floppy dos.img",
                                 create};
