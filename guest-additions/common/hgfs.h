// SPDX-License-Identifier: GPL-2.0-or-later
/* hgfs.h - HGFS, VMware's protocol of shared folders: requests of the guest become wishes (folder_line.h), their answers replies.
 *
 * A request is a header and what its operation has; the header is either two words, or that of version 4, which has a session.
 * Operations of version 3 are known, and those of version 4 that begin and end a session: what vmhgfs-fuse of open-vm-tools
 * uses.  Everything is packed and little-endian.  Numbers: open-vm-tools, hgfsProto.h, hgfs.h. */
#pragma once
#include "guest-additions/common/folder_line.h"
#include <glib.h>

enum hgfs_status {
    HGFS_OK,
    HGFS_NOT_FOUND,
    HGFS_BAD_HANDLE,
    HGFS_NOT_PERMITTED,
    HGFS_EXISTS,
    HGFS_NOT_FOLDER,
    HGFS_NOT_EMPTY,
    HGFS_PROTOCOL,
    HGFS_DENIED,
    HGFS_BAD_NAME,
    HGFS_FAILED,
    HGFS_SHARING,
    HGFS_NO_SPACE,
    HGFS_UNKNOWN,
    HGFS_NAME_TOO_LONG,
    HGFS_BAD_PARAMETER,
    HGFS_OTHER_DEVICE,
    HGFS_STALE_SESSION,
    HGFS_TOO_MANY_SESSIONS,
    HGFS_TRANSPORT,
};
enum hgfs_op {
    HGFS_OPEN = 24,
    HGFS_READ,
    HGFS_WRITE,
    HGFS_CLOSE,
    HGFS_SEARCH_OPEN,
    HGFS_SEARCH_READ,
    HGFS_SEARCH_CLOSE,
    HGFS_GET_ATTR,
    HGFS_SET_ATTR,
    HGFS_CREATE_DIR,
    HGFS_DELETE_FILE,
    HGFS_DELETE_DIR,
    HGFS_RENAME,
    HGFS_QUERY_VOLUME,
    HGFS_CREATE_SYMLINK,
    HGFS_CREATE_SESSION = 41,
    HGFS_DESTROY_SESSION,
};
#define HGFS_PACKET_MOST  63488 /* bytes of a packet: what its clients take for all hosts that say nothing else */
#define HGFS_ROOT_HANDLE  0xf0000000u
#define HGFS_FOLDER_OF(h) ((h) >> FOLDER_HANDLE_BITS) /* from 0 */
#define HGFS_HANDLE(n, h) ((uint32_t)(n) << FOLDER_HANDLE_BITS | (h))
#define HGFS_LOCAL_OF(h)  ((h) & ((1u << FOLDER_HANDLE_BITS) - 1))

struct hgfs_request { /* whose reply it is */
    uint32_t id, op;
    uint64_t session;
    bool session_header;
};
struct hgfs_name {
    bool by_handle;
    uint32_t handle;
    char *share; /* NULL: where all folders are */
    char *path;  /* within it */
};
struct hgfs_wish {
    struct folder_wish line; /* but for whose it is */
    struct hgfs_name name, other;
    const uint8_t *data; /* in the request */
    size_t data_bytes;
    uint32_t packet_most; /* of a session that begins */
};

/* ---- hgfs_request.c ---- */
/* HGFS_OK, or what to reply; r is as far as the packet has told.  w is to be cleared in any case. */
enum hgfs_status hgfs_parse(const uint8_t *packet, size_t bytes, struct hgfs_request *r, struct hgfs_wish *w);
void hgfs_wish_clear(struct hgfs_wish *w);

/* ---- hgfs_reply.c: packets, as additions to `to` ---- */
void hgfs_reply_status(GString *to, const struct hgfs_request *r, enum hgfs_status status);
/* Of a wish that went to folder n (from 0).  data: what came with the answer; one that makes no sense is a failure. */
void hgfs_reply(GString *to, const struct hgfs_request *r, unsigned n, const struct folder_answer *a,
                const uint8_t *data, size_t bytes);
void hgfs_reply_session(GString *to, const struct hgfs_request *r, uint32_t packet_most);
