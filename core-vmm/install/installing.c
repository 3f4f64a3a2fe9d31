// SPDX-License-Identifier: GPL-2.0-or-later
/* installing.c - see installing.h.
 *
 * Installers of Linux are booted directly: their kernel and initial RAM disk are taken out of the ISO, which stays in its drive.
 * Then a command line of ours says that nobody is asked, and no menu waits.  Debian's installer reads /preseed.cfg of its initial
 * RAM disk, so a cpio archive with it is put behind: the kernel unpacks one after the other (Documentation/driver-api/
 * early-userspace/buffer-format.rst).  The others look for a medium by its label, as Windows does for a file in its root. */
#include "core-vmm/install/installing.h"
#include "core-vmm/api/config.h"
#include "core-vmm/host/config_error.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/firmware.h"
#include "core-vmm/host/look_program.h"
#include "core-vmm/host/machine_fresh.h"
#include "core-vmm/host/machine_installed.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/install/answers.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define KERNEL_MOST (UINT64_C(256) << 20)
#define INITRD_MOST (UINT64_C(1) << 30)

/* ---- defaults ---- */

static void say_once(char **to, char *text)
{
    if (*to)
        g_free(text);
    else
        *to = text;
}

static char *at_most_half(uint64_t bytes)
{
    uint64_t host = (uint64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) / 2 >> 20 << 20;
    return size_format(MIN(bytes, MAX(host, UINT64_C(256) << 20)));
}

void installing_defaults(struct settings *s, const struct medium *m)
{
    unsigned host = MAX(sysconf(_SC_NPROCESSORS_ONLN) / 2, 1);
    say_once(&s->os, g_strdup(m->os));
    if (m->memory)
        say_once(&s->memory, at_most_half(m->memory));
    if (m->cpus)
        say_once(&s->cpus, g_strdup_printf("%u", MIN(m->cpus, host)));
    if (!s->disks && m->disk && m->kind != MEDIUM_DISK) {
        s->disks = g_new0(char *, 2);
        s->disks[0] = size_format(m->disk);
        say_once(&s->disk_format, g_strdup("qcow2"));
    }
}

/* ---- the installer's kernel ---- */

/* One file, and the end, as "newc": cpio(5). */
static void cpio_entry(GString *s, const char *name, const char *text, unsigned mode)
{
    gsize names = strlen(name) + 1, bytes = text ? strlen(text) : 0;
    g_string_append_printf(s, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s", 1u, mode, 0u, 0u, 1u, 0u,
                           (unsigned)bytes, 0u, 0u, 0u, 0u, (unsigned)names, 0u, name);
    do
        g_string_append_c(s, 0);
    while (s->len % 4);
    g_string_append_len(s, text ? text : "", bytes);
    while (s->len % 4)
        g_string_append_c(s, 0);
}

static bool append(const char *path, const GPtrArray *files, GError **error)
{
    g_autoptr(GString) s = g_string_new(NULL);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : -1;
    for (; end >= 0 && (end + s->len) % 4;)
        g_string_append_c(s, 0);
    gsize pad = s->len;
    g_autoptr(GString) archive = g_string_new(NULL);
    for (guint i = 0; i < files->len; i++) {
        const struct unattended_file *f = files->pdata[i];
        cpio_entry(archive, f->name, f->text, 0100600);
    }
    cpio_entry(archive, "TRAILER!!!", NULL, 0);
    g_string_append_len(s, archive->str, archive->len);
    ssize_t written = end >= 0 ? write(fd, s->str, s->len) : -1;
    bool good = written == (ssize_t)s->len;
    if (written >= 0 && !good) /* a part of it fitted */
        errno = ENOSPC;
    if (!good)
        path_failed(path, error);
    explicit_bzero(archive->str, archive->len);
    explicit_bzero(s->str + pad, s->len - pad);
    if (fd >= 0)
        close(fd);
    return good;
}

struct making {
    const struct medium *m;
    struct unattended *u;
};

static bool add_kernel(const struct making *n, const struct installing *i, GKeyFile *file, const char *folder,
                       const GPtrArray *files, GError **error)
{
    g_autofree char *kernel = g_build_filename(folder, INSTALLING_KERNEL, NULL);
    g_autofree char *initrd = g_build_filename(folder, INSTALLING_INITRD, NULL);
    if (!i->cmdline)
        return true;
    if (!n->m->kernel || !n->m->initrd) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "%s has no kernel for the installer that is known",
                    n->m->path);
        return false;
    }
    return medium_extract(n->m->path, n->m->kernel, kernel, KERNEL_MOST, error) &&
           medium_extract(n->m->path, n->m->initrd, initrd, INITRD_MOST, error) &&
           (n->u->kind != UNATTENDED_DEBIAN || append(initrd, files, error)) && installing_arm(file, i, false, error);
}

/* ---- the machine's folder ---- */

/* Into the drive that is empty: installing_create() asked for one. */
static bool add_answers(const struct making *n, GKeyFile *file, const char *folder, GError **error)
{
    g_autofree char *path = g_build_filename(folder, INSTALLING_ANSWERS, NULL);
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    if (n->u->kind == UNATTENDED_DEBIAN) /* they are in the initial RAM disk */
        return true;
    for (char **s = sections; *s; s++) {
        g_autofree char *media = g_key_file_get_string(file, *s, "media", NULL);
        g_autofree char *assignment = g_strdup_printf("%s.file=%s", *s, INSTALLING_ANSWERS);
        if (!g_strcmp0(media, "cdrom") && !g_key_file_has_key(file, *s, "file", NULL))
            return unattended_write(n->u, n->m, path, error) && settings_assign(file, "setting", assignment, error);
    }
    g_set_error(error, CONFIG_ERROR, CONFIG_VALUE, "there is no CD drive for the medium with the answers");
    return false;
}

/* The machine's only one; g_free.  Which of several an installer takes, or wipes, is not for sure; and what is on one is worth a
 * question, which nobody would answer. */
static char *only_disk(GKeyFile *file, const char *folder, GError **error)
{
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    const char *disk = NULL;
    unsigned disks = 0;
    for (char **s = sections; *s; s++)
        if (schema_is_disk(file, *s)) {
            disk = *s;
            disks++;
        }
    struct disk_table t;
    if (disks != 1)
        g_set_error(
            error, CONFIG_ERROR, CONFIG_VALUE, "%s",
            disks ? "an installation without questions may wipe any disk that it finds: make the machine with one "
                    "disk, and give it the others when the system is installed"
                  : "there is no disk to install to; say --disk SIZE");
    else if (look_at_drive(file, disk, folder, &t, error) && t.any)
        g_set_error(
            error, CONFIG_ERROR, CONFIG_VALUE,
            "the disk has partitions already, which an installation without questions would overwrite; say --disk "
            "SIZE for a new one");
    return error && *error ? NULL : g_strdup(disk);
}

/* What is no SeaBIOS is told from its image. */
static bool is_uefi(GKeyFile *file)
{
    g_autofree char *firmware = g_key_file_get_string(file, "machine", "firmware", NULL), *image = NULL;
    gsize bytes;
    if (!firmware || !strcmp(firmware, "bios") || g_str_has_prefix(firmware, "uefi"))
        return firmware && strcmp(firmware, "bios");
    return g_file_get_contents(firmware, &image, &bytes, NULL) && firmware_is_uefi((uint8_t *)image, bytes);
}

static bool more(void *ctx, GKeyFile *file, const char *folder, GError **error)
{
    struct making *n = ctx;
    g_autoptr(GError) why = NULL;
    g_autofree char *disk = only_disk(file, folder, &why), *cmdline = NULL;
    if (!disk) {
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    n->u->uefi = is_uefi(file);
    g_autoptr(GPtrArray) files = unattended_files(n->u, n->m, error);
    cmdline = files ? answers_cmdline(n->u, n->m) : NULL;
    /* Windows' boot code is on the disk long before it is done. */
    const struct installing i = {disk, n->u->uefi, n->u->kind != UNATTENDED_WINDOWS, cmdline};
    return files && add_kernel(n, &i, file, folder, files, error) && add_answers(n, file, folder, error) &&
           fresh_mark(folder, file, disk, i.uefi, i.seen, error) && installing_mark(folder, &i, error);
}

/* ---- an installation that somebody watches ---- */

/* NULL: nothing says which it is; g_free.  Who made the machine knows, or its medium. */
static char *system_of(GKeyFile *file, const char *folder)
{
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    char *os = g_key_file_get_string(file, "machine", "os", NULL);
    for (char **s = sections; *s && !os; s++) {
        g_autofree char *media = g_key_file_get_string(file, *s, "media", NULL);
        g_autofree char *iso = g_key_file_get_string(file, *s, "file", NULL);
        g_autofree char *full = iso && !g_strcmp0(media, "cdrom") ? g_canonicalize_filename(iso, folder) : NULL;
        struct medium *m = full ? medium_detect(full, NULL) : NULL;
        os = m ? g_strdup(m->os) : NULL;
        medium_free(m);
    }
    return os;
}

/* What is on a disk already would be taken for what the installer has put there. */
static bool is_new(GKeyFile *file, const char *disk, const char *folder, GError **error)
{
    struct disk_table t;
    if (!look_at_drive(file, disk, folder, &t, error))
        return false;
    if (!t.any && !t.bios && !t.uefi)
        return true;
    g_set_error(error, CONFIG_ERROR, CONFIG_VALUE,
                "the disk has partitions or a boot loader already, so --snapshot-when-installed could not tell when "
                "the new system is on it; leave that out, or say --disk SIZE for a new disk");
    return false;
}

static bool more_by_hand(void *ctx, GKeyFile *file, const char *folder, GError **error)
{
    g_autofree char *disk = fresh_disk(file);
    if (!disk) {
        g_set_error(error, CONFIG_ERROR, CONFIG_VALUE,
                    "--snapshot-when-installed is for a machine with one disk, which the system goes to");
        return false;
    }
    if (!is_new(file, disk, folder, error))
        return false;
    g_autofree char *os = system_of(file, folder);
    bool by_reset = os && (!strcmp(os, "linux") || !strcmp(os, "bsd"));
    return fresh_mark(folder, file, disk, is_uefi(file), by_reset, error);
}

void installing_watched(struct settings *s)
{
    s->more = more_by_hand;
}

/* ---- all ---- */

static void add_cdrom(struct settings *s, const char *path)
{
    g_autoptr(GStrvBuilder) b = g_strv_builder_new();
    if (s->cdroms)
        g_strv_builder_addv(b, (const char **)s->cdroms);
    g_strv_builder_add(b, path);
    g_strfreev(s->cdroms);
    s->cdroms = g_strv_builder_end(b);
}

static bool takes_answers(const struct medium *m, struct unattended *u, GError **error)
{
    if (u->kind == UNATTENDED_NONE)
        u->kind = m->unattended;
    if (u->kind != UNATTENDED_NONE)
        return true;
    g_set_error(
        error, CONFIG_ERROR, CONFIG_VALUE,
        "%s (%s) cannot be installed without questions: answers are known for Debian's installer, Ubuntu's since "
        "20.04 (desktop 23.04), Fedora's and its relatives', and Windows 7 and later",
        m->path, m->name);
    return false;
}

bool installing_create(const char *name, struct settings *s, const struct medium *m, struct unattended *u,
                       GError **error)
{
    struct making n = {m, u};
    bool there = false;
    for (char **c = s->cdroms; c && *c; c++) {
        g_autofree char *full = g_canonicalize_filename(*c, NULL);
        there = there || !strcmp(full, m->path);
    }
    if (!there)
        add_cdrom(s, m->path);
    installing_defaults(s, m);
    if (!u)
        return machines_create(name, s, error);
    if (s->kernel) {
        g_set_error(error, CONFIG_ERROR, CONFIG_VALUE, "an installation without questions brings its own kernel");
        return false;
    }
    if (!takes_answers(m, u, error))
        return false;
    unattended_complete(u, name);
    if (!unattended_check(u, error))
        return false;
    if (u->kind != UNATTENDED_DEBIAN) /* for its answers */
        add_cdrom(s, "");
    s->more = more;
    s->more_ctx = &n;
    bool good = machines_create(name, s, error);
    s->more = NULL;
    return good;
}
