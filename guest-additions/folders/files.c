// SPDX-License-Identifier: GPL-2.0-or-later
/* files.c - carries out what the line asks for: folder_line.h has the wishes, folder.h how paths are walked.
 *
 * The guest's user and the host's are strangers: what it makes is the VM's user's, who its owner is cannot be changed, and of the
 * modes it sets only the nine bits for reading, writing and executing count.  Only regular files and folders are opened, never
 * waiting; what is one is looked at before and after, since the host may put something else in its place. */
#include "guest-additions/folders/folder.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#define MODES 0777
struct request {
    struct folder *folder;
    const struct folder_wish *wish;
    const char *path, *other; /* with a zero byte behind them */
    const uint8_t *data;
    size_t data_bytes;
    struct folder_answer *answer;
    uint8_t *out; /* FOLDER_DATA_MOST bytes */
    size_t out_bytes;
};

/* ---- attributes ---- */

/* What the VM's user may, as its kernel would say without looking at lists of access. */
static unsigned allowed(const struct folder *f, const struct stat *st)
{
    unsigned bits = st->st_uid == geteuid()   ? st->st_mode >> 6
                    : st->st_gid == getegid() ? st->st_mode >> 3
                                              : st->st_mode;
    if (!geteuid())
        bits |= 6 | (S_ISDIR(st->st_mode) ? 1 : 0);
    return bits & (f->read_only ? 5 : 7);
}

static int64_t ns_of(const struct timespec *t)
{
    return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

void folder_describe(const struct folder *f, const struct stat *st, struct folder_attr *a)
{
    unsigned others = st->st_mode & (f->read_only ? 055 : 077);
    *a = (struct folder_attr){
        .kind = S_ISDIR(st->st_mode)   ? FOLDER_IS_FOLDER
                : S_ISLNK(st->st_mode) ? FOLDER_IS_LINK
                                       : FOLDER_IS_FILE,
        .mode = allowed(f, st) << 6 | others,
        .size = st->st_size,
        .allocated = (uint64_t)st->st_blocks * 512,
        .file = st->st_ino,
        .device = st->st_dev,
        .accessed = ns_of(&st->st_atim),
        .written = ns_of(&st->st_mtim),
        .changed = ns_of(&st->st_ctim),
    };
}

static int look_handle(struct request *r)
{
    struct folder_handle *h = folder_handle_of(r->folder, r->wish->handle, r->wish->owner);
    struct stat st;
    if (!h || fstat(h->fd, &st))
        return EBADF;
    folder_describe(r->folder, &st, &r->answer->attr);
    return 0;
}

static int look(struct request *r)
{
    struct stat st;
    if (r->wish->flags & FOLDER_BY_HANDLE)
        return look_handle(r);
    int fd = folder_look(r->folder, r->folder->root, r->path, &st), e = 0;
    if (fd < 0)
        return errno;
    folder_describe(r->folder, &st, &r->answer->attr);
    if (S_ISLNK(st.st_mode)) {
        ssize_t n = readlinkat(fd, "", (char *)r->out, FOLDER_PATH_MOST);
        e = n < 0 ? errno : 0;
        r->out_bytes = MAX(n, 0);
    }
    close(fd);
    return e;
}

static struct timespec time_of(bool set, int64_t ns)
{
    int64_t seconds = ns / 1000000000, rest = ns % 1000000000;
    if (rest < 0) {
        seconds--;
        rest += 1000000000;
    }
    return set ? (struct timespec){seconds, rest} : (struct timespec){.tv_nsec = UTIME_OMIT};
}

static int change_open(const struct request *r, int fd)
{
    const struct folder_wish *w = r->wish;
    const struct timespec times[2] = {time_of(w->mask & FOLDER_SET_ACCESSED, w->accessed),
                                      time_of(w->mask & FOLDER_SET_WRITTEN, w->written)};
    struct stat st;
    if (fstat(fd, &st))
        return errno;
    mode_t kept = S_ISDIR(st.st_mode) ? st.st_mode & 07000 : 0; /* files lose what lets others become somebody */
    if (w->mask & FOLDER_SET_MODE && fchmod(fd, (w->mode & MODES) | kept))
        return errno;
    if (w->mask & FOLDER_SET_SIZE && (w->offset > INT64_MAX || ftruncate(fd, w->offset)))
        return w->offset > INT64_MAX ? EFBIG : errno;
    if (w->mask & (FOLDER_SET_ACCESSED | FOLDER_SET_WRITTEN) && futimens(fd, times))
        return errno;
    return 0;
}

/* Of what may be opened: a file or a folder. */
static int kind_at(const struct folder *f, const char *path, mode_t *mode)
{
    struct stat st;
    int fd = folder_look(f, f->root, path, &st);
    if (fd < 0)
        return errno;
    close(fd);
    *mode = st.st_mode;
    return S_ISLNK(st.st_mode) ? ELOOP : 0;
}

static int change(struct request *r)
{
    const struct folder_wish *w = r->wish;
    struct folder_handle *h = folder_handle_of(r->folder, w->handle, w->owner);
    mode_t mode = 0;
    if (r->folder->read_only)
        return EROFS;
    if (w->flags & FOLDER_BY_HANDLE)
        return h ? change_open(r, h->fd) : EBADF;
    int e = kind_at(r->folder, r->path, &mode);
    if (e)
        return e == ELOOP ? EOPNOTSUPP : e;
    bool size = w->mask & FOLDER_SET_SIZE;
    int fd = folder_open_beneath(r->folder, r->path, (size ? O_WRONLY : O_RDONLY) | O_NONBLOCK, 0);
    if (fd < 0 && errno == EACCES && S_ISREG(mode))
        fd = folder_open_beneath(r->folder, r->path, O_WRONLY | O_NONBLOCK, 0);
    if (fd < 0)
        return errno;
    e = change_open(r, fd);
    close(fd);
    return e;
}

/* ---- files ---- */

static bool makes(unsigned how)
{
    return how == FOLDER_ANY || how == FOLDER_NEW || how == FOLDER_ANY_EMPTY;
}

static bool empties(unsigned how)
{
    return how == FOLDER_OLD_EMPTY || how == FOLDER_ANY_EMPTY;
}

static int open_regular(const struct request *r, bool there, int *fd)
{
    static const int access[] = {O_RDONLY, O_WRONLY, O_RDWR};
    const struct folder_wish *w = r->wish;
    struct stat st;
    int flags = access[w->access] | O_NONBLOCK;
    if (!there && !makes(w->how))
        return ENOENT;
    if (!there)
        flags |= O_CREAT | O_EXCL; /* what is there all the same is something that the guest does not see */
    *fd = folder_open_beneath(r->folder, r->path, flags, w->mode & MODES);
    if (*fd < 0)
        return errno;
    int e = fstat(*fd, &st) ? errno : S_ISREG(st.st_mode) ? 0 : EACCES;
    if (!e && there && empties(w->how) && ftruncate(*fd, 0))
        e = errno;
    if (e)
        close(*fd);
    return e;
}

/* Somebody made it after it was looked for, or the guest does not see what it is. */
static int open_existing(const struct request *r, int *fd)
{
    mode_t mode = 0;
    return !kind_at(r->folder, r->path, &mode) && S_ISREG(mode) ? open_regular(r, true, fd) : EACCES;
}

static int open_file(struct request *r)
{
    const struct folder_wish *w = r->wish;
    mode_t mode = 0;
    int fd, e = kind_at(r->folder, r->path, &mode);
    bool there = !e;
    if (e && e != ENOENT)
        return e == ELOOP ? ENOENT : e;
    if (there && w->how == FOLDER_NEW)
        return EEXIST;
    if (there && !S_ISREG(mode))
        return EISDIR;
    if (r->folder->read_only && (w->access != FOLDER_READS || empties(w->how) || (makes(w->how) && !there)))
        return EROFS;
    if (empties(w->how) && w->access == FOLDER_READS)
        return EINVAL;
    e = open_regular(r, there, &fd);
    if (e == EEXIST && w->how != FOLDER_NEW)
        e = open_existing(r, &fd);
    if (e)
        return e;
    struct folder_handle *h = folder_handle_new(r->folder, fd, w->owner, &r->answer->handle);
    if (h)
        h->writes = w->access != FOLDER_READS;
    return h ? 0 : errno;
}

static int read_file(struct request *r)
{
    struct folder_handle *h = folder_handle_of(r->folder, r->wish->handle, r->wish->owner);
    if (!h || h->names)
        return EBADF;
    if (r->wish->offset > INT64_MAX)
        return EINVAL;
    ssize_t n = pread(h->fd, r->out, MIN(r->wish->count, FOLDER_DATA_MOST), r->wish->offset);
    r->out_bytes = r->answer->count = MAX(n, 0);
    return n < 0 ? errno : 0;
}

static int write_file(struct request *r)
{
    struct folder_handle *h = folder_handle_of(r->folder, r->wish->handle, r->wish->owner);
    uint64_t offset = r->wish->offset;
    struct stat st;
    if (!h || h->names || !h->writes)
        return EBADF;
    if (r->folder->read_only)
        return EROFS;
    if (offset == FOLDER_AT_END)
        offset = fstat(h->fd, &st) ? 0 : st.st_size;
    if (offset > INT64_MAX - FOLDER_DATA_MOST)
        return EFBIG;
    ssize_t n = pwrite(h->fd, r->data, r->data_bytes, offset);
    r->answer->count = MAX(n, 0);
    return n < 0 ? errno : 0;
}

static int close_handle(struct request *r)
{
    struct folder_handle *h = folder_handle_of(r->folder, r->wish->handle, r->wish->owner);
    if (h)
        folder_handle_close(r->folder, h);
    return h ? 0 : EBADF;
}

/* ---- names ---- */

/* Does `fn` with a path's folder and last name. */
static int in_parent(struct request *r, const char *path, int (*fn)(struct request *r, int at, const char *name))
{
    const char *name;
    if (r->folder->read_only)
        return EROFS;
    int at = folder_parent(r->folder, path, &name);
    if (at < 0)
        return errno;
    int e = fn(r, at, name) ? errno : 0;
    close(at);
    return e;
}

static int do_make(struct request *r, int at, const char *name)
{
    return mkdirat(at, name, r->wish->mode & MODES);
}

/* What the guest does not see it does not remove. */
static int do_remove(struct request *r, int at, const char *name)
{
    struct stat st;
    bool folder = r->wish->op == FOLDER_REMOVE_FOLDER;
    int fd = folder_look(r->folder, at, name, &st);
    if (fd < 0)
        return -1;
    close(fd);
    return unlinkat(at, name, folder ? AT_REMOVEDIR : 0);
}

static int do_link(struct request *r, int at, const char *name)
{
    return symlinkat(r->other, at, name);
}

/* Only what the guest sees does it replace. */
static int rename_seen(struct request *r, int at, const char *name, int to, const char *to_name)
{
    struct stat st;
    bool keep = r->wish->flags & FOLDER_KEEP;
    int there = folder_look(r->folder, to, to_name, &st);
    if (there >= 0)
        close(there);
    int good = renameat2(at, name, to, to_name, keep || there < 0 ? RENAME_NOREPLACE : 0);
    if (good && !keep && there < 0 && errno == EEXIST)
        errno = EACCES;
    if (good && !keep && there < 0 && errno == EINVAL && !folder_hides(r->folder, to, to_name))
        good = renameat2(at, name, to, to_name, 0); /* a file system that does not know NOREPLACE */
    return good;
}

static int do_rename(struct request *r, int at, const char *name)
{
    const char *to_name;
    struct stat st;
    int to = folder_parent(r->folder, r->other, &to_name), good = -1;
    int from = to >= 0 ? folder_look(r->folder, at, name, &st) : -1;
    if (from >= 0)
        good = rename_seen(r, at, name, to, to_name);
    int e = errno;
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    errno = e;
    return good;
}

static int make_folder(struct request *r)
{
    return in_parent(r, r->path, do_make);
}

static int remove_entry(struct request *r)
{
    return in_parent(r, r->path, do_remove);
}

static int rename_entry(struct request *r)
{
    return in_parent(r, r->path, do_rename);
}

static int make_link(struct request *r)
{
    return r->folder->links == LINKS_CREATE ? in_parent(r, r->path, do_link) : EPERM;
}

/* ---- the rest ---- */

static int list(struct request *r)
{
    return folder_list(r->folder, r->wish, r->path, r->answer);
}

static int next(struct request *r)
{
    return folder_next(r->folder, r->wish, r->answer, r->out, &r->out_bytes);
}

static int space(struct request *r)
{
    struct statfs s;
    if (fstatfs(r->folder->root, &s))
        return errno;
    r->answer->attr.size = (uint64_t)s.f_blocks * s.f_bsize;
    r->answer->attr.allocated = (uint64_t)s.f_bavail * s.f_bsize;
    return 0;
}

static int end_owner(struct request *r)
{
    folder_handles_end(r->folder, r->wish->owner);
    return 0;
}

static int leave(struct request *r)
{
    for (unsigned i = 0; i < FOLDER_HANDLES_MOST; i++)
        folder_handle_close(r->folder, &r->folder->handles[i]);
    if (r->folder->root >= 0)
        close(r->folder->root);
    r->folder->root = -1;
    return 0;
}

static const struct {
    int (*fn)(struct request *r);
    bool path; /* looked for in letters of any case */
} wishes[FOLDER_OPS] = {
    [FOLDER_LOOK] = {look, true},
    [FOLDER_CHANGE] = {change, true},
    [FOLDER_OPEN] = {open_file, true},
    [FOLDER_READ] = {read_file, false},
    [FOLDER_WRITE] = {write_file, false},
    [FOLDER_CLOSE] = {close_handle, false},
    [FOLDER_LIST] = {list, true},
    [FOLDER_NEXT] = {next, false},
    [FOLDER_MAKE] = {make_folder, false},
    [FOLDER_REMOVE] = {remove_entry, true},
    [FOLDER_REMOVE_FOLDER] = {remove_entry, true},
    [FOLDER_RENAME] = {rename_entry, true},
    [FOLDER_LINK] = {make_link, false},
    [FOLDER_SPACE] = {space, false},
    [FOLDER_END] = {end_owner, false},
    [FOLDER_LEAVE] = {leave, false},
};

/* The same wish with the path that is there instead of the one that differs in case, if there is one. */
static int carry_out(struct request *r)
{
    int e = wishes[r->wish->op].fn(r);
    if (e != ENOENT || !wishes[r->wish->op].path || !(r->wish->flags & FOLDER_ANY_CASE))
        return e;
    g_autofree char *path = folder_any_case(r->folder, r->path);
    if (!path || !strcmp(path, r->path))
        return e;
    r->path = path;
    r->out_bytes = 0;
    return wishes[r->wish->op].fn(r);
}

/* A link may lead anywhere, whatever its text is; but it is a text. */
static bool other_good(const struct folder_wish *w, const char *other)
{
    if (w->op == FOLDER_LINK)
        return w->other_bytes && w->other_bytes < FOLDER_PATH_MOST && !memchr(other, 0, w->other_bytes);
    return folder_path_good(other, w->other_bytes);
}

size_t folder_do(struct folder *f, const uint8_t *packet, size_t bytes, uint8_t *answer)
{
    struct folder_wish w;
    struct folder_answer a = {0};
    if (bytes < sizeof w || bytes > FOLDER_WISH_MOST)
        return 0;
    memcpy(&w, packet, sizeof w);
    const char *text = (const char *)packet + sizeof w;
    size_t texts = (size_t)w.path_bytes + w.other_bytes;
    if (w.op >= FOLDER_OPS || w.access > FOLDER_READS_WRITES || w.how > FOLDER_ANY_EMPTY || texts > bytes - sizeof w ||
        bytes - sizeof w - texts > FOLDER_DATA_MOST || !folder_path_good(text, w.path_bytes) ||
        !other_good(&w, text + w.path_bytes))
        return 0;
    g_autofree char *path = g_strndup(text, w.path_bytes), *other = g_strndup(text + w.path_bytes, w.other_bytes);
    struct request r = {.folder = f,
                        .wish = &w,
                        .path = path,
                        .other = other,
                        .data = packet + sizeof w + texts,
                        .data_bytes = bytes - sizeof w - texts,
                        .answer = &a,
                        .out = answer + sizeof a};
    a.serial = w.serial;
    a.error = carry_out(&r);
    if (a.error)
        r.out_bytes = 0;
    memcpy(answer, &a, sizeof a);
    return sizeof a + r.out_bytes;
}
