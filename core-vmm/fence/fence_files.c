// SPDX-License-Identifier: GPL-2.0-or-later
/* Landlock (Documentation/userspace-api/landlock.rst).  Rules name what stays allowed; the kernel is asked what it knows,
 * and headers of older distributions lack most of the names. */
#include "core-vmm/fence/fence.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ACCESS_REFER     (1ull << 13) /* ABI 2 */
#define ACCESS_TRUNCATE  (1ull << 14) /* ABI 3 */
#define ACCESS_IOCTL_DEV (1ull << 15) /* ABI 5 */
#define FIRST_ACCESSES   ((1ull << 13) - 1)
#define NET_BIND_CONNECT 3ull /* ABI 4: TCP */
#define SCOPES           3ull /* ABI 6: abstract sockets, signals */

#define FOR_FILES                                                                                                      \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE |     \
     ACCESS_IOCTL_DEV)

struct ruleset { /* struct landlock_ruleset_attr of ABI 6 */
    uint64_t files, net, scopes;
};
struct fence_files {
    bool there;  /* has this kernel Landlock? */
    bool others; /* a rule names what is not ours: only root reaches that */
    int fd;
    struct ruleset handled;
};

static uint64_t bits_of(unsigned access)
{
    static const uint64_t bits[] = {
        LANDLOCK_ACCESS_FS_READ_DIR,
        LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
        LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE,
        ACCESS_IOCTL_DEV,
        LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE | ACCESS_REFER,
        LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE,
        LANDLOCK_ACCESS_FS_EXECUTE,
        LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REMOVE_DIR,
    };
    uint64_t all = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(bits); i++)
        all |= access >> i & 1 ? bits[i] : 0;
    return all;
}

static struct fence_files *new_files(bool online)
{
    struct fence_files *f = g_new0(struct fence_files, 1);
    int abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    f->fd = -1;
    f->there = abi >= 1;
    if (!f->there)
        return f;
    f->handled.files = FIRST_ACCESSES | (abi >= 2 ? ACCESS_REFER : 0) | (abi >= 3 ? ACCESS_TRUNCATE : 0) |
                       (abi >= 5 ? ACCESS_IOCTL_DEV : 0);
    f->handled.net = abi >= 4 && !online ? NET_BIND_CONNECT : 0;
    f->handled.scopes = abi >= 6 ? SCOPES : 0;
    size_t known = abi >= 6 ? sizeof f->handled : abi >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
    f->fd = syscall(SYS_landlock_create_ruleset, &f->handled, known, 0);
    return f;
}

struct fence_files *fence_files_new(void)
{
    return new_files(false);
}

struct fence_files *fence_files_new_online(void)
{
    return new_files(true);
}

void fence_files_free(struct fence_files *f)
{
    if (f && f->fd >= 0)
        close(f->fd);
    g_free(f);
}

/* fd: of a file or folder; what: for the log. */
static void allow_open(struct fence_files *f, int fd, const char *what, unsigned access, bool folders)
{
    struct landlock_path_beneath_attr a = {.parent_fd = fd};
    struct stat st = {.st_uid = geteuid()};
    bool folder = !fstat(fd, &st) && S_ISDIR(st.st_mode);
    f->others = f->others || st.st_uid != geteuid();
    a.allowed_access = bits_of(access) & f->handled.files & (folder ? ~0ull : FOR_FILES);
    if (a.allowed_access && (folders || !folder) &&
        syscall(SYS_landlock_add_rule, f->fd, LANDLOCK_RULE_PATH_BENEATH, &a, 0))
        g_warning("fence: %s: %s", what, g_strerror(errno));
}

static void allow(struct fence_files *f, const char *path, unsigned access, bool folders)
{
    int fd = f->fd < 0 ? -1 : open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return;
    allow_open(f, fd, path, access, folders);
    close(fd);
}

void fence_allow_fd(struct fence_files *f, int fd, unsigned access)
{
    if (f->fd >= 0)
        allow_open(f, fd, "what was opened for it", access, true);
}

void fence_allow(struct fence_files *f, const char *path, unsigned access)
{
    allow(f, path, access, true);
}

void fence_allow_file(struct fence_files *f, const char *path, unsigned access)
{
    allow(f, path, access, false);
}

/* ---- for those who look at images ---- */

static bool is_system(const char *name)
{
    static const char *const names[] = {"proc", "sys", "run", "dev"};
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
        if (!strcmp(name, names[i]))
            return true;
    return false;
}

static bool is_disk(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISBLK(st.st_mode);
}

static void allow_disks(struct fence_files *f, const char *folder)
{
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        g_autofree char *path = g_build_filename(folder, e->d_name, NULL);
        if (is_disk(path))
            fence_allow(f, path, FENCE_READ | FENCE_DEVICE);
    }
    if (d)
        closedir(d);
}

/* Is it somebody's own folder, where keys and passwords lie in hidden ones? */
static bool is_home(const char *folder, const char *home)
{
    g_autofree char *in = g_path_get_dirname(folder);
    return !strcmp(folder, home) || !strcmp(in, "/home");
}

/* All in a folder but what is hidden in homes, and the system's own. */
static void allow_shown(struct fence_files *f, const char *folder, const char *home)
{
    DIR *d = opendir(folder);
    bool hides = is_home(folder, home), root = !strcmp(folder, "/");
    for (struct dirent *e; d && (e = readdir(d));) {
        g_autofree char *path = g_build_filename(folder, e->d_name, NULL), *below = g_strconcat(path, "/", NULL);
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || (hides && *e->d_name == '.') ||
            (root && is_system(e->d_name)))
            continue;
        bool homes = !strcmp(path, "/home") || is_home(path, home) || g_str_has_prefix(home, below);
        if (homes && e->d_type == DT_DIR)
            allow_shown(f, path, home);
        else
            fence_allow(f, path, FENCE_READ);
    }
    if (d)
        closedir(d);
}

void fence_allow_images(struct fence_files *f)
{
    static const char *const more[] = {"/dev/shm", "/run/media", "/dev/urandom"}; /* the last for ids of new images */
    g_autofree char *home = realpath(g_get_home_dir(), NULL);
    g_autofree char *own = g_build_filename(g_get_user_data_dir(), "terrarium", NULL);
    allow_shown(f, "/", home ? home : "/");
    allow_disks(f, "/dev");
    allow_disks(f, "/dev/mapper");
    for (unsigned i = 0; i < G_N_ELEMENTS(more); i++)
        fence_allow(f, more[i], FENCE_READ);
    fence_allow(f, own, FENCE_READ);
    fence_allow(f, g_get_user_cache_dir(), FENCE_READ);
}

void fence_allow_beside(struct fence_files *f, const char *path, unsigned access)
{
    g_autofree char *real = realpath(path, NULL), *folder = g_path_get_dirname(real ? real : path);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *other = g_build_filename(folder, name, NULL);
        if (*name != '.' && strcmp(name, "machine.ini") && strcmp(name, "lock") &&
            g_file_test(other, G_FILE_TEST_IS_REGULAR))
            fence_allow_file(f, other, access);
    }
    fence_allow(f, folder, FENCE_LIST);
    fence_allow_file(f, path, access | FENCE_DEVICE);
}

/* The bounding set first: that is what needs a capability. */
static bool drop_capabilities(bool others, GError **error)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct now[_LINUX_CAPABILITY_U32S_3], kept[_LINUX_CAPABILITY_U32S_3] = {0};
    bool good = !syscall(SYS_capget, &head, now);
    for (int i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
        prctl(PR_CAPBSET_DROP, i, 0, 0, 0); /* who may not has none to lose */
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (good && others)
        kept[0].effective = kept[0].permitted = now[0].permitted & (1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH);
    if (good && !syscall(SYS_capset, &head, kept))
        return true;
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "capabilities cannot be given up: %s",
                g_strerror(errno));
    return false;
}

bool fence_files_close(struct fence_files *f, GError **error)
{
    bool good = true;
    fence_allow(f, "/proc/self/task", FENCE_READ); /* for fence_holds() */
    fence_allow(f, "/proc/self/fd", FENCE_LIST);
#ifdef __SANITIZE_ADDRESS__
    fence_allow(f, "/proc/self/maps", FENCE_READ); /* where the stack lies, whenever a handler does not return */
#endif
    if (!f->there)
        g_message("fence: this kernel has no Landlock; files are not fenced");
    else
        good = !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !syscall(SYS_landlock_restrict_self, f->fd, 0);
    if (!good)
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "Landlock: %s", g_strerror(errno));
    good = good && drop_capabilities(f->others && f->there, error);
    fence_files_free(f);
    return good;
}
