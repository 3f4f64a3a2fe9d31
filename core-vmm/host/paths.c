// SPDX-License-Identifier: GPL-2.0-or-later
/* paths.c - where machines, sockets and locks are, and which names a machine may have. */
#include "core-vmm/host/paths.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_CHARS_MAX 64
#define LOCK_TRIES     50
#define LOCK_US        10000

bool path_failed(const char *path, GError **error)
{
    int e = errno;
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(e), "%s: %s", path, g_strerror(e));
    return false;
}

static bool name_char(gunichar c, bool first)
{
    if (c >= 0x80)
        return g_unichar_isgraph(c);
    return g_ascii_isalnum(c) || (!first && strchr("-_. ", (char)c) && c);
}

bool vm_name_check(const char *name, GError **error)
{
    bool good = g_utf8_validate(name, -1, NULL) && *name && g_utf8_strlen(name, -1) <= NAME_CHARS_MAX;
    for (const char *p = name; good && *p; p = g_utf8_next_char(p))
        good = name_char(g_utf8_get_char(p), p == name);
    if (good && strlen(name) <= 200 && name[strlen(name) - 1] != ' ')
        return true;
    g_autofree char *shown = g_utf8_make_valid(name, -1);
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                "\"%s\" cannot be a machine's name: use 1 to %d letters, digits, spaces, or - _ . and begin with a "
                "letter or digit",
                shown, NAME_CHARS_MAX);
    return false;
}

/* ---- folders ---- */

char *paths_machines(void)
{
    return g_build_filename(g_get_user_data_dir(), "terrarium", "machines", NULL);
}

char *paths_machine(const char *name)
{
    return g_build_filename(g_get_user_data_dir(), "terrarium", "machines", name, NULL);
}

char *paths_machine_ini(const char *name)
{
    return g_build_filename(g_get_user_data_dir(), "terrarium", "machines", name, "machine.ini", NULL);
}

/* A folder of ours that nobody else can enter: somebody could have made it before us in /tmp. */
static bool make_private(const char *path, GError **error)
{
    struct stat st;
    if (mkdir(path, 0700) && errno != EEXIST)
        return path_failed(path, error);
    if (lstat(path, &st))
        return path_failed(path, error);
    if (S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 077))
        return true;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
                "%s must be a folder of yours that only you may enter (mode 700)", path);
    return false;
}

static bool usable(const char *folder)
{
    struct stat st;
    return folder && *folder && !stat(folder, &st) && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
           !access(folder, W_OK | X_OK);
}

char *paths_runtime(GError **error)
{
    const char *xdg = g_getenv("XDG_RUNTIME_DIR");
    g_autofree char *by_uid = g_strdup_printf("/run/user/%u", geteuid());
    g_autofree char *path = NULL;
    if (usable(xdg))
        path = g_build_filename(xdg, "terrarium", NULL);
    else if (usable(by_uid))
        path = g_build_filename(by_uid, "terrarium", NULL);
    else
        path = g_strdup_printf("/tmp/terrarium-%u", geteuid());
    return make_private(path, error) ? g_steal_pointer(&path) : NULL;
}

static char *runtime_child(const char *name, GError **error)
{
    g_autofree char *runtime = paths_runtime(error);
    return runtime ? g_build_filename(runtime, name, NULL) : NULL;
}

char *paths_runtime_of(const char *name, GError **error)
{
    g_autofree char *path = runtime_child(name, error);
    return path && make_private(path, error) ? g_steal_pointer(&path) : NULL;
}

char *paths_socket(const char *name, GError **error)
{
    g_autofree char *folder = runtime_child(name, error);
    return folder ? g_build_filename(folder, "control", NULL) : NULL;
}

char *paths_network(const char *name, GError **error)
{
    g_autofree char *folder = runtime_child(name, error);
    return folder ? g_build_filename(folder, PATHS_NETWORK, NULL) : NULL;
}

char *paths_vnc(const char *name, GError **error)
{
    g_autofree char *folder = runtime_child(name, error);
    return folder ? g_build_filename(folder, PATHS_VNC, NULL) : NULL;
}

bool paths_is_throwaway(const char *name)
{
    return g_str_has_prefix(name, PATHS_THROWAWAY);
}

/* ---- the list ---- */

static int by_name(gconstpointer a, gconstpointer b)
{
    return g_utf8_collate(*(char *const *)a, *(char *const *)b);
}

static void list_folder(const char *folder, bool throwaway, GPtrArray *names)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *ini = g_build_filename(folder, name, "machine.ini", NULL);
        g_autofree char *own = g_path_get_dirname(ini);
        if (!vm_name_check(name, NULL) || (throwaway && access(ini, F_OK)))
            continue;
        if (!throwaway || (paths_is_throwaway(name) && machine_lock_holder(own)))
            g_ptr_array_add(names, g_strdup(name));
    }
}

GPtrArray *paths_list(GError **error)
{
    g_autofree char *machines = paths_machines(), *runtime = paths_runtime(error);
    if (!runtime)
        return NULL;
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    list_folder(machines, false, names);
    list_folder(runtime, true, names);
    g_ptr_array_sort(names, by_name);
    return names;
}

/* ---- the lock ---- */

static pid_t read_pid(int fd)
{
    char text[32] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    gint64 pid = 0;
    if (n <= 0 || !g_ascii_string_to_signed(g_strchomp(text), 10, 1, G_MAXINT, &pid, NULL))
        return -1;
    return (pid_t)pid;
}

static void write_pid(int fd)
{
    char text[32];
    int n = g_snprintf(text, sizeof text, "%d\n", getpid());
    if (ftruncate(fd, 0) || pwrite(fd, text, n, 0) != n)
        g_debug("lock: the process id was not noted: %s", g_strerror(errno));
}

/* A process that has ended leaves its lock to the one that sweeps up behind it, for a moment. */
static bool has_ended(pid_t pid)
{
    g_autofree char *exe = g_strdup_printf("/proc/%d/exe", pid);
    char any;
    return pid > 0 && readlink(exe, &any, 1) < 0 && errno == ENOENT;
}

static bool lock_whole(int fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int e = 0;
    for (unsigned i = 0; i < LOCK_TRIES; i++) {
        if (!fcntl(fd, F_OFD_SETLK, &whole))
            return true;
        e = errno;
        if (!has_ended(read_pid(fd)))
            break;
        g_usleep(LOCK_US);
    }
    errno = e;
    return false;
}

int machine_lock(const char *folder, pid_t *holder, GError **error)
{
    g_autofree char *path = g_build_filename(folder, "lock", NULL);
    *holder = 0;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        path_failed(path, error);
        return -1;
    }
    if (lock_whole(fd)) {
        write_pid(fd);
        return fd;
    }
    if (errno == EAGAIN || errno == EACCES) {
        *holder = read_pid(fd);
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_BUSY, "the machine in %s is running already (process %d)", folder,
                    *holder);
    } else {
        path_failed(path, error);
    }
    close(fd);
    return -1;
}

pid_t machine_lock_holder(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, "lock", NULL);
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW); /* not to write: that would wake who watches the file */
    if (fd < 0)
        return 0;
    pid_t pid = fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK ? read_pid(fd) : 0;
    close(fd);
    return pid;
}

/* ---- the log ---- */

char *paths_log(const char *folder)
{
    return g_build_filename(folder, "logs", "vm.log", NULL);
}

char *paths_network_log(const char *folder)
{
    return g_build_filename(folder, "logs", "network.log", NULL);
}

char *paths_vnc_log(const char *folder)
{
    return g_build_filename(folder, "logs", "vnc.log", NULL);
}

char *paths_debug_log(const char *folder)
{
    return g_build_filename(folder, "logs", "debug.log", NULL);
}

void log_rotate(const char *log)
{
    for (int i = LOG_KEEP; i > 0; i--) {
        g_autofree char *to = g_strdup_printf("%s.%d", log, i);
        g_autofree char *from = i > 1 ? g_strdup_printf("%s.%d", log, i - 1) : g_strdup(log);
        if (rename(from, to) && errno != ENOENT)
            g_warning("%s: %s", from, g_strerror(errno));
    }
}

int log_begin(const char *log, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(log);
    log_rotate(log);
    int fd = g_mkdir_with_parents(folder, 0700)
                 ? -1
                 : open(log, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        path_failed(log, error);
    return fd;
}

/* ---- files ---- */

static bool remove_at(int parent, const char *name, const char *path, GError **error);

static bool remove_children(int fd, const char *path, GError **error)
{
    g_autofree char *listing = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autoptr(GDir) dir = g_dir_open(listing, 0, error);
    const char *name;
    bool good = dir != NULL;
    while (good && (name = g_dir_read_name(dir)))
        good = remove_at(fd, name, path, error);
    return good;
}

static bool remove_at(int parent, const char *name, const char *path, GError **error)
{
    if (!unlinkat(parent, name, 0) || errno == ENOENT)
        return true;
    int fd = errno == EISDIR ? openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (fd < 0 && errno == ENOENT)
        return true;
    bool good = fd >= 0 ? remove_children(fd, path, error) : path_failed(path, error);
    if (fd >= 0)
        close(fd);
    return good && (!unlinkat(parent, name, AT_REMOVEDIR) || errno == ENOENT || path_failed(path, error));
}

bool folder_remove(const char *path, GError **error)
{
    return remove_at(AT_FDCWD, path, path, error);
}

bool folder_sync(const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && !fsync(fd);
    if (!good)
        path_failed(path, error);
    if (fd >= 0)
        close(fd);
    return good;
}

bool file_replace(const char *path, const char *data, gsize n, GError **error)
{
    struct stat st;
    if (!stat(path, &st) && !S_ISREG(st.st_mode)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_REGULAR_FILE,
                    "%s is no regular file; it is left alone rather than replaced by one", path);
        return false;
    }
    return g_file_set_contents_full(path, data, n, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600,
                                    error);
}

char *paths_saved_base(const char *folder, unsigned n)
{
    return g_strdup_printf("%s/" SNAPSHOTS_FOLDER "/saved.base%u", folder, n);
}
