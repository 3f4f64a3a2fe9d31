// SPDX-License-Identifier: GPL-2.0-or-later
/* folder_line.h - what the VM process and the process of one shared folder (guest-additions/folders) say to each other: a wish
 * and its answer, each one packet of a socket pair (SOCK_SEQPACKET), in this host's byte order.  Wishes are carried out in order.
 *
 * Either may have been taken over by its guest, so each checks all that the other says.  A path is relative to the folder,
 * components by '/', none of them empty, "." or ".."; the empty path is the folder itself. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FOLDERS_MOST        9 /* of a machine: [folder1] to [folder9] */
#define FOLDER_PATH_MOST    4096
#define FOLDER_NAME_MOST    255
#define FOLDER_DATA_MOST    61440 /* bytes read or written at once, and of a piece of a list, in the guest's terms */
#define FOLDER_HANDLES_MOST 10000
#define FOLDER_HANDLE_BITS  27  /* of a handle */
#define FOLDER_ENTRY_COST   128 /* what an entry of a list counts, beside its name */

enum folder_op {
    FOLDER_LOOK,   /* path or handle: its attributes; of a link, where it leads as data */
    FOLDER_CHANGE, /* path or handle: those that `mask` names */
    FOLDER_OPEN,   /* path, how, access, mode: a handle */
    FOLDER_READ,   /* handle, offset, count: data */
    FOLDER_WRITE,  /* handle, offset, data: count; offset FOLDER_AT_END: behind the last byte */
    FOLDER_CLOSE,  /* handle, of whatever kind */
    FOLDER_LIST,   /* path: a handle */
    FOLDER_NEXT,   /* handle, offset (which entry), count (bytes): count entries as data */
    FOLDER_MAKE,   /* path, mode: a folder */
    FOLDER_REMOVE, /* path: of a file or link */
    FOLDER_REMOVE_FOLDER,
    FOLDER_RENAME, /* path, other; FOLDER_KEEP: not over what is there */
    FOLDER_LINK,   /* path, other: where it leads */
    FOLDER_SPACE,  /* size: of the file system, allocated: free */
    FOLDER_END,    /* owner: its handles are closed */
    FOLDER_LEAVE,  /* the folder is let go of, for good */
    FOLDER_OPS
};
enum folder_kind { FOLDER_IS_FILE, FOLDER_IS_FOLDER, FOLDER_IS_LINK };
enum folder_how { FOLDER_OLD, FOLDER_OLD_EMPTY, FOLDER_ANY, FOLDER_NEW, FOLDER_ANY_EMPTY };
enum folder_access { FOLDER_READS, FOLDER_WRITES, FOLDER_READS_WRITES };
enum folder_mask {
    FOLDER_SET_MODE = 1,
    FOLDER_SET_SIZE = 2,
    FOLDER_SET_ACCESSED = 4,
    FOLDER_SET_WRITTEN = 8,
};
enum folder_flags {
    FOLDER_BY_HANDLE = 1,
    FOLDER_KEEP = 2,
    FOLDER_ANY_CASE = 4, /* what is not there by that name is looked for by letters of another case */
};
#define FOLDER_AT_END UINT64_MAX

struct folder_attr {
    uint32_t kind, mode; /* mode: nine bits, the first three what the VM's user may */
    uint64_t size, allocated, file, device;
    int64_t accessed, written, changed; /* ns since 1970 */
};
struct folder_wish { /* path, other and data follow */
    uint32_t serial;
    uint8_t op, flags, how, access;
    uint64_t owner; /* handles are its only; 0 is one too */
    uint32_t handle, mode, mask, count;
    uint64_t offset;
    int64_t accessed, written; /* ns since 1970 */
    uint16_t path_bytes, other_bytes;
    uint32_t reserved;
};
struct folder_answer { /* data follows */
    uint32_t serial;
    int32_t error; /* 0, or errno's */
    uint32_t handle, count;
    struct folder_attr attr;
};
struct folder_entry { /* its name follows, without a zero byte */
    struct folder_attr attr;
    uint32_t name_bytes;
};
#define FOLDER_WISH_MOST   (sizeof(struct folder_wish) + 2 * FOLDER_PATH_MOST + FOLDER_DATA_MOST)
#define FOLDER_ANSWER_MOST (sizeof(struct folder_answer) + FOLDER_DATA_MOST)

/* folder_path.c: is it such a path? */
bool folder_path_good(const char *path, size_t bytes);
/* One component, which may be neither empty, "." nor "..", nor hold a zero byte or '/'. */
bool folder_name_good(const char *name, size_t bytes);
