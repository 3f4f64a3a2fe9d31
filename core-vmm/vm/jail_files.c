// SPDX-License-Identifier: GPL-2.0-or-later
/* Landlock (Documentation/userspace-api/landlock.rst).  Rules name what stays allowed; each has its reason.
 * A medium inserted while the VM runs comes as an open descriptor.  Images that it builds upon are opened by path, and
 * found only if the machine could read them anyway. */
#include "jail.h"
#include "../api/config.h"
#include "../char_target.h"
#include "../config_schema.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <linux/landlock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the headers of older distributions. */
#define ACCESS_REFER     (1ull << 13) /* ABI 2 */
#define ACCESS_TRUNCATE  (1ull << 14) /* ABI 3 */
#define ACCESS_IOCTL_DEV (1ull << 15) /* ABI 5 */

#define READ    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE   (LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE)
#define SOCKETS (LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE)
#define IMAGE   (READ | ACCESS_IOCTL_DEV) /* which may be a disk of the host, that has to be asked for its size */
#define DEVICE  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_IOCTL_DEV)
#define MANAGE                                                                                                         \
    (READ | WRITE | SOCKETS | ACCESS_REFER | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR |               \
     LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REMOVE_DIR)
#define FOR_FILES                                                                                                      \
    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE | ACCESS_IOCTL_DEV |               \
     LANDLOCK_ACCESS_FS_EXECUTE)

static const struct {
    const char *path;
    uint64_t access;
    const char *reason;
} always[] = {
    {"/usr", READ, "firmware, locale, time zones, what the C library loads late"},
    {"/lib", READ, "the same, where it is no link into /usr"},
    {"/lib64", READ, "the same"},
    {"/etc/localtime", READ, "the time zone"},
    {"/etc/ld.so.cache", READ, "where libraries are"},
    {"/sys/devices/system", READ, "the host's CPUs"},
    {"/dev/kvm", DEVICE, "the KVM engine"},
    {"/sys/module/kvm_intel/parameters", READ, "what that can do here"},
    {"/dev/ptmx", DEVICE, "serial lines on a pty"},
    {"/dev/pts", DEVICE, "the pty's other end, and stdio on a terminal"},
    {"/dev/tty", DEVICE, "stdio on a terminal"},
    {"/dev/null", DEVICE, "stdio of a VM in the background"},
    {"/proc", READ, "who else has an image open; of other processes the kernel shows little to a fenced one"},
    {"/proc/self/task", LANDLOCK_ACCESS_FS_WRITE_FILE, "names of threads"},
};

struct rules {
    int fd;
    uint64_t handled;
};

static uint64_t handled_by(int abi)
{
    uint64_t all = (1ull << 13) - 1;
    all |= abi >= 2 ? ACCESS_REFER : 0;
    all |= abi >= 3 ? ACCESS_TRUNCATE : 0;
    return all | (abi >= 5 ? ACCESS_IOCTL_DEV : 0);
}

/* What is not there needs no rule. */
static void allow(struct rules *r, const char *path, uint64_t access)
{
    struct landlock_path_beneath_attr a = {.parent_fd = open(path, O_PATH | O_CLOEXEC)};
    g_autofree char *listing = g_strdup_printf("%s/.", path);
    if (a.parent_fd < 0)
        return;
    bool folder = !faccessat(AT_FDCWD, listing, F_OK, AT_EACCESS);
    a.allowed_access = access & r->handled & (folder ? ~0ull : FOR_FILES);
    if (a.allowed_access && syscall(SYS_landlock_add_rule, r->fd, LANDLOCK_RULE_PATH_BENEATH, &a, 0))
        g_warning("jail: %s: %s", path, g_strerror(errno));
    close(a.parent_fd);
}

/* ---- what machine.ini names ---- */

static void allow_serial_file(struct rules *r, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600); /* so that a rule can name it */
    if (fd >= 0)
        close(fd);
    allow(r, path, WRITE);
}

static void allow_target(struct rules *r, const struct jail *j, const char *target)
{
    enum char_kind kind;
    const char *path;
    if (!char_target_parse(target, &kind, &path) || !path)
        return;
    g_autofree char *full = g_canonicalize_filename(path, j->folder);
    g_autofree char *parent = g_path_get_dirname(full);
    if (kind == CHAR_FILE)
        allow_serial_file(r, full);
    else
        allow(r, parent, SOCKETS);
}

static void allow_in(struct rules *r, const struct jail *j, const char *path, uint64_t access)
{
    g_autofree char *full = g_canonicalize_filename(path, j->folder);
    allow(r, full, access);
}

/* Multiboot's "FILE ARGS,FILE ARGS". */
static void allow_modules(struct rules *r, const struct jail *j, const char *list)
{
    g_auto(GStrv) modules = g_strsplit(list, ",", -1);
    for (char **m = modules; *m; m++) {
        char *file = g_strstrip(*m);
        file[strcspn(file, " ")] = 0;
        if (*file)
            allow_in(r, j, file, READ);
    }
}

static void allow_key(struct rules *r, const struct jail *j, const char *section, const char *key)
{
    const struct config c = {j->file, j->path, section};
    const struct schema_key *k = schema_find(section, key, NULL);
    g_autofree char *value = config_string(&c, key, "");
    if (k && k->type == SCHEMA_CHAR)
        allow_target(r, j, value);
    if (!k || k->type != SCHEMA_PATH || !*value)
        return;
    allow_in(r, j, value, strcmp(key, "file") ? READ : IMAGE | WRITE);
    if (!strcmp(key, "initrd"))
        allow_modules(r, j, value);
}

/* All files of an image lie in its folder: whatever a hostile one made the child say, it may write nowhere else. */
static bool beside_an_image(const struct jail *j, const char *path)
{
    g_auto(GStrv) sections = g_key_file_get_groups(j->file, NULL);
    g_autofree char *folder = g_path_get_dirname(path);
    bool beside = false;
    for (char **s = sections; *s && !beside; s++) {
        const struct config c = {j->file, j->path, *s};
        g_autofree char *file = schema_find(*s, "file", NULL) ? config_string(&c, "file", "") : NULL;
        g_autofree char *full = file && *file ? g_canonicalize_filename(file, j->folder) : NULL;
        g_autofree char *real = full ? realpath(full, NULL) : NULL, *in = real ? g_path_get_dirname(real) : NULL;
        beside = in && !strcmp(in, folder);
    }
    return beside;
}

/* The folders may be listed: some formats know the image they build upon by its id, not by its name. */
static bool allow_images(struct rules *r, const struct jail *j, GError **error)
{
    g_auto(GStrv) lines = jail_images(j);
    for (char **l = lines; *l; l++) {
        const char *path = *l + 1;
        g_autofree char *folder = g_path_get_dirname(path);
        if (**l == JAIL_REFUSED || **l == JAIL_DAMAGED) {
            g_set_error_literal(error, G_IO_ERROR, **l == JAIL_REFUSED ? G_IO_ERROR_BUSY : G_IO_ERROR_FAILED, path);
            return false;
        }
        allow(r, path, IMAGE | (**l == JAIL_WRITE && beside_an_image(j, path) ? WRITE : 0));
        allow(r, folder, LANDLOCK_ACCESS_FS_READ_DIR);
    }
    return true;
}

static void allow_configured(struct rules *r, const struct jail *j)
{
    g_auto(GStrv) sections = g_key_file_get_groups(j->file, NULL);
    for (char **s = sections; *s; s++) {
        g_auto(GStrv) keys = g_key_file_get_keys(j->file, *s, NULL, NULL);
        for (char **k = keys; k && *k; k++)
            allow_key(r, j, *s, *k);
    }
}

/* ---- the ruleset ---- */

/* False: this kernel has no Landlock. */
static bool begin(struct rules *r)
{
    int abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1)
        return false;
    struct landlock_ruleset_attr attr = {.handled_access_fs = handled_by(abi)};
    *r = (struct rules){syscall(SYS_landlock_create_ruleset, &attr, sizeof attr.handled_access_fs, 0), handled_by(abi)};
    return true;
}

static bool enforce(struct rules *r)
{
    bool good = r->fd >= 0 && !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !syscall(SYS_landlock_restrict_self, r->fd, 0);
    int e = errno;
    if (r->fd >= 0)
        close(r->fd);
    errno = e;
    return good;
}

bool jail_reading_only(void)
{
    struct rules r;
    if (!begin(&r))
        return true;
    allow(&r, "/", IMAGE);
    return enforce(&r);
}

bool jail_files(const struct jail *j, GError **error)
{
    struct rules r;
    if (!begin(&r)) {
        g_message("jail: this kernel has no Landlock; files are not fenced");
        return true;
    }
    g_autofree char *parent = g_path_get_dirname(j->runtime);
    for (unsigned i = 0; i < G_N_ELEMENTS(always); i++)
        allow(&r, always[i].path, always[i].access);
    allow(&r, j->folder, MANAGE);
    allow(&r, j->runtime, MANAGE);
    allow(&r, parent, LANDLOCK_ACCESS_FS_REMOVE_DIR); /* at the end, the runtime folder itself */
    allow_configured(&r, j);
    if (!allow_images(&r, j, error)) {
        close(r.fd);
        return false;
    }
    if (enforce(&r))
        return true;
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "Landlock: %s", g_strerror(errno));
    return false;
}
