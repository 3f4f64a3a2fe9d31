// SPDX-License-Identifier: GPL-2.0-or-later
/* hgfs_client.h - a client of HGFS, as tests need one: it packs requests by hand, and sends them by the backdoor. */
#pragma once
#include "guest-additions/common/hgfs.h"
#include "tests/guest-additions/caller.h"

/* A process of a shared folder, as a thread of the test. */
struct folder_thread {
    struct folder *folder;
    int fd; /* its half; the other went to the machine */
    GThread *thread;
};
struct folder_thread *folder_thread_new(const char *path, bool read_only, bool links, int *other);
void folder_thread_free(struct folder_thread *t); /* after the other half was closed */

/* Packs a request: of that operation, with the long header and that session. */
GByteArray *hgfs_begin(uint32_t op, uint64_t session);
void hgfs_add(GByteArray *b, uint64_t value, unsigned bytes);
void hgfs_add_name(GByteArray *b, const char *name, unsigned length); /* components with zero bytes between them */
void hgfs_end(GByteArray *b);                                         /* the length goes into the header */
/* Sends it as the question "f " (frees it) and waits for the reply, without "1 "; NULL: it was refused. */
GBytes *hgfs_ask(struct caller *c, unsigned channel, GByteArray *b);
uint32_t hgfs_status_of(GBytes *reply);         /* frees it */
uint32_t hgfs_word(GBytes *reply, unsigned at); /* of the payload */
GByteArray *hgfs_open(uint64_t session, const char *name, unsigned length, uint32_t access, uint32_t how);
