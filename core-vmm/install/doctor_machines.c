// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor_machines.c - what is wrong with each machine: its file, its images, what is under way. */
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/look_program.h"
#include "core-vmm/host/machine_installed.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/install/doctor_inside.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void add(GPtrArray *findings, const char *machine, const char *id, enum finding_grade grade, char *what,
                char *cause, char *evidence, char *fix)
{
    doctor_add(findings, id, grade, what, cause, evidence, fix);
    ((struct finding *)findings->pdata[findings->len - 1])->machine = g_strdup(machine);
}

/* Users of an image hold locks on some of its bytes (disk-formats/image/file_lock.c, QEMU's convention). */
static bool is_locked(const char *path)
{
    enum { FROM = 100, BYTES = 200 };
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = FROM, .l_len = BYTES};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool locked = fd >= 0 && !fcntl(fd, F_OFD_GETLK, &l) && l.l_type != F_UNLCK;
    if (fd >= 0)
        close(fd);
    return locked;
}

static void unreachable(GPtrArray *findings, const char *machine, const char *section, const char *path, bool disk)
{
    int e = errno;
    g_autofree char *quoted = doctor_word(path), *named = doctor_word(machine);
    add(findings, machine, "image-missing", FINDING_PROBLEM,
        g_strdup_printf("%s cannot start: a file of it %s", machine, e == ENOENT ? "is not there" : "cannot be read"),
        g_strdup_printf("[%s] names %s: %s", section, path, g_strerror(e)),
        g_strdup_printf("%s: %s", path, g_strerror(e)),
        e == EACCES ? g_strdup_printf("sudo chown %s %s", g_get_user_name(), quoted)
        : disk      ? g_strdup_printf("bring the file back, or vmctl set %s %s.file=PATH", named, section)
                    : g_strdup_printf("vmctl set %s --unset %s.file", named, section));
}

static void look_into(GPtrArray *findings, const char *machine, const char *folder, GKeyFile *file, const char *section,
                      const char *path)
{
    g_autofree char *quoted = doctor_word(path);
    g_autoptr(GError) error = NULL;
    struct disk_table t;
    if (!look_at_drive(file, section, folder, &t, &error) &&
        !g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED))
        add(findings, machine, "image-damaged", FINDING_PROBLEM,
            g_strdup_printf("%s cannot start: a disk image of it cannot be opened", machine), g_strdup(error->message),
            g_strdup_printf("[%s] %s", section, path), g_strdup_printf("vmctl disk check %s", quoted));
}

static void drive(GPtrArray *findings, const char *machine, const char *folder, GKeyFile *file, const char *section,
                  bool runs)
{
    const struct schema_section *s = schema_find_section(section);
    g_autofree char *name = s && s->drive ? g_key_file_get_string(file, section, "file", NULL) : NULL;
    g_autofree char *media = g_key_file_get_string(file, section, "media", NULL);
    g_autofree char *path = name && *name ? g_canonicalize_filename(name, folder) : NULL;
    bool disk = s && strcmp(s->name, "floppy") && g_strcmp0(media, "cdrom");
    g_autofree char *quoted = path ? doctor_word(path) : NULL;
    if (!path)
        return;
    if (access(path, R_OK)) {
        unreachable(findings, machine, section, path, disk);
        return;
    }
    if (disk && !runs && is_locked(path))
        add(findings, machine, "image-locked", FINDING_WARNING,
            g_strdup_printf("%s cannot start now: a disk image of it is in use", machine),
            g_strdup("another process has it open for itself: another machine that names it, or another product"),
            g_strdup_printf("[%s] %s is locked", section, path), g_strdup_printf("fuser -v %s", quoted));
    else if (disk && !runs)
        look_into(findings, machine, folder, file, section, path);
}

static void file_of(GPtrArray *findings, const char *machine, const char *folder, bool runs)
{
    g_autofree char *ini = machines_ini(machine);
    g_autoptr(GError) error = NULL;
    g_autoptr(GKeyFile) file = schema_load(ini, &error);
    if (!file) {
        add(findings, machine, "machine-ini", FINDING_PROBLEM,
            g_strdup_printf("%s cannot be used: its settings are no good", machine), g_strdup(error->message),
            g_strdup(ini), g_strdup_printf("mend %s in an editor; vmctl set --keys says what may stand there", ini));
        return;
    }
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    for (char **s = sections; *s; s++)
        drive(findings, machine, folder, file, *s, runs);
}

static void no_machine(GPtrArray *findings, const char *name, const char *folder)
{
    g_autofree char *quoted = doctor_word(name);
    add(findings, name, "no-machine-ini", FINDING_WARNING,
        g_strdup_printf("The name %s is taken by a folder that is no machine", name),
        g_strdup("it has no machine.ini: its machine was deleted with --keep-disks, or somebody put it there"),
        g_strdup(folder), g_strdup_printf("vmctl delete %s", quoted));
}

static void one(GPtrArray *findings, const char *name)
{
    g_autofree char *folder = machines_folder(name), *ini = machines_ini(name), *quoted = doctor_word(name);
    bool runs = machine_lock_holder(folder) != 0;
    if (!g_file_test(ini, G_FILE_TEST_EXISTS)) {
        no_machine(findings, name, folder);
        return;
    }
    file_of(findings, name, folder, runs);
    if (is_installing(folder) && !runs)
        add(findings, name, "installing", FINDING_HINT,
            g_strdup_printf("%s has an installation that is not known to be over", name), NULL,
            g_strdup_printf("%s/%s is there", folder, INSTALLING_FILE),
            g_strdup_printf("vmctl start %s, or if it is over: vmctl unattended finish %s", quoted, quoted));
}

void doctor_machines(GPtrArray *findings)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) names = paths_list(&error);
    for (guint i = 0; names && i < names->len; i++)
        if (!paths_is_throwaway(names->pdata[i]))
            one(findings, names->pdata[i]);
    if (!names)
        doctor_add(findings, "machines-folder", FINDING_PROBLEM, g_strdup("Your machines cannot be listed"),
                   g_strdup(error->message), g_strdup("the machines' folder"), NULL);
}
