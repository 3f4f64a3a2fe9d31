// SPDX-License-Identifier: GPL-2.0-or-later
/* folder.h - the process of one shared folder: what its files share.
 *
 * It holds one descriptor, of the folder, and what it has opened beneath that.  Every path is looked up by openat2(2) with
 * RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS, so that neither the guest nor whoever changes names on the host meanwhile leads it out
 * of there: links are never followed here, but by the guest, in its own names. */
#pragma once
#include "guest-additions/common/folder_line.h"
#include <glib.h>
#include <sys/stat.h>

enum folder_links {
    LINKS_HIDE,   /* there are none for the guest */
    LINKS_SHOW,   /* the guest sees where they lead, and follows them itself, in its own names */
    LINKS_CREATE, /* and may make some */
};

struct folder_handle {
    int fd; /* -1: free */
    uint64_t owner;
    uint32_t generation;
    bool writes;
    GPtrArray *names; /* of a list: of what was there when it was opened, and the guest has not been told to be gone */
    size_t bytes;     /* what they take */
};
struct folder {
    int root;
    bool read_only;
    enum folder_links links;
    struct folder_handle *handles; /* FOLDER_HANDLES_MOST */
    unsigned used, look_from;
    size_t list_bytes;
};

/* ---- names.c: from names to descriptors; -1 and errno ---- */
/* flags and mode are open(2)'s; links at the end and on the way are refused. */
int folder_open_beneath(const struct folder *f, const char *path, int flags, mode_t mode);
/* What is of that name, for the guest to know of: a descriptor with O_PATH, and what fstat(2) says. */
int folder_look(const struct folder *f, int at, const char *path, struct stat *st);
/* Is there, or may there be, something that the guest does not see? */
bool folder_hides(const struct folder *f, int at, const char *name);
/* The folder that a path's last component is in; *name: that component. */
int folder_parent(const struct folder *f, const char *path, const char **name);
/* Of the same name in letters of any case; g_free, NULL: there is none. */
char *folder_any_case(const struct folder *f, const char *path);

/* ---- handles.c ---- */
void folder_handles_init(struct folder *f);
void folder_handles_free(struct folder *f);
/* Takes fd; NULL: there are too many, and fd is closed.  The guest's number of it in *number. */
struct folder_handle *folder_handle_new(struct folder *f, int fd, uint64_t owner, uint32_t *number);
struct folder_handle *folder_handle_of(struct folder *f, uint32_t number, uint64_t owner); /* NULL: there is none */
void folder_handle_close(struct folder *f, struct folder_handle *h);
void folder_handles_end(struct folder *f, uint64_t owner);

/* ---- list.c; 0 or errno's ---- */
int folder_list(struct folder *f, const struct folder_wish *w, const char *path, struct folder_answer *a);
/* Entries into `data`, which has FOLDER_DATA_MOST bytes; *bytes: how many it took. */
int folder_next(struct folder *f, const struct folder_wish *w, struct folder_answer *a, uint8_t *data, size_t *bytes);

/* ---- files.c ---- */
void folder_describe(const struct folder *f, const struct stat *st, struct folder_attr *a);
/* Carries out a packet of the line; the answer, with its data, in `answer`, which has FOLDER_ANSWER_MOST bytes: how many of
 * them.  0: this is no wish; whoever says that is not to be listened to any more. */
size_t folder_do(struct folder *f, const uint8_t *packet, size_t bytes, uint8_t *answer);
