// SPDX-License-Identifier: GPL-2.0-or-later
/* list.c - what is in a folder.  Names are read when it is opened, so that the guest's positions mean the same as long as it reads;
 * what they are is looked up when the guest asks, and who has gone meanwhile is left out. */
#include "guest-additions/folders/folder.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define LISTS_BYTES (64u << 20) /* of all names that are kept */
enum { NAME_COST = 32 };        /* beside its letters */

static bool is_dots(const char *name)
{
    return !strcmp(name, ".") || !strcmp(name, "..");
}

/* For the guest to see?  Looked at closely only if the folder does not say. */
static bool listed(const struct folder *f, int fd, const struct dirent *e)
{
    struct stat st;
    if (is_dots(e->d_name))
        return false; /* they come first */
    if (e->d_type == DT_REG || e->d_type == DT_DIR)
        return true;
    int found = folder_look(f, fd, e->d_name, &st);
    if (found >= 0)
        close(found);
    return found >= 0;
}

static bool add(struct folder *f, struct folder_handle *h, const char *name)
{
    size_t cost = strlen(name) + NAME_COST;
    if (f->list_bytes + cost > LISTS_BYTES)
        return false;
    f->list_bytes += cost;
    h->bytes += cost;
    g_ptr_array_add(h->names, g_strdup(name));
    return true;
}

static int read_names(struct folder *f, struct folder_handle *h)
{
    int copy = fcntl(h->fd, F_DUPFD_CLOEXEC, 0);
    DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    if (!d) {
        int e = errno;
        if (copy >= 0)
            close(copy);
        return e;
    }
    bool room = add(f, h, ".") && add(f, h, "..");
    for (struct dirent *e; room && (e = readdir(d));)
        room = !listed(f, h->fd, e) || add(f, h, e->d_name);
    closedir(d);
    return room ? 0 : EMFILE;
}

int folder_list(struct folder *f, const struct folder_wish *w, const char *path, struct folder_answer *a)
{
    int fd = folder_open_beneath(f, path, O_RDONLY | O_DIRECTORY, 0);
    struct folder_handle *h = fd >= 0 ? folder_handle_new(f, fd, w->owner, &a->handle) : NULL;
    if (!h)
        return errno;
    h->names = g_ptr_array_new_with_free_func(g_free);
    int e = read_names(f, h);
    if (e)
        folder_handle_close(f, h);
    return e;
}

static bool describe(const struct folder *f, const struct folder_handle *h, const char *name, struct folder_attr *a)
{
    struct stat st;
    int fd = is_dots(name) ? -1 : folder_look(f, h->fd, name, &st);
    bool good = is_dots(name) ? !fstat(h->fd, &st) : fd >= 0; /* who lists ".." does not learn what is above */
    if (fd >= 0)
        close(fd);
    if (good)
        folder_describe(f, &st, a);
    return good;
}

int folder_next(struct folder *f, const struct folder_wish *w, struct folder_answer *a, uint8_t *data, size_t *bytes)
{
    struct folder_handle *h = folder_handle_of(f, w->handle, w->owner);
    size_t room = MIN(w->count, FOLDER_DATA_MOST);
    if (!h || !h->names)
        return EBADF;
    for (uint64_t at = w->offset; at < h->names->len;) {
        const char *name = h->names->pdata[at];
        struct folder_entry e = {.name_bytes = strlen(name)};
        if (room < e.name_bytes + FOLDER_ENTRY_COST)
            break;
        if (!describe(f, h, name, &e.attr)) {
            g_ptr_array_remove_index(h->names, at);
            continue;
        }
        memcpy(data + *bytes, &e, sizeof e);
        memcpy(data + *bytes + sizeof e, name, e.name_bytes);
        *bytes += sizeof e + e.name_bytes;
        room -= e.name_bytes + FOLDER_ENTRY_COST;
        a->count++;
        at++;
    }
    return 0;
}
