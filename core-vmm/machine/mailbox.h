// SPDX-License-Identifier: GPL-2.0-or-later
/* mailbox.h - blocks of bytes on their way from any thread to the loop thread, in order. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

struct mailbox;
/* On the loop thread, no lock held.  false: not now; the block is offered again after mailbox_wake(). */
typedef bool (*mailbox_fn)(void *ctx, const void *data, size_t bytes);
struct mailbox *mailbox_new(mailbox_fn fn, void *ctx, size_t most);      /* most: bytes that may wait */
void mailbox_free(struct mailbox *b);                                    /* loop thread; what waits is lost */
bool mailbox_put(struct mailbox *b, const struct iovec *iov, int count); /* any thread; copies.  false: it is full */
size_t mailbox_bytes(struct mailbox *b);                                 /* that wait */
bool mailbox_empty(struct mailbox *b); /* any thread: nothing waits, or is being offered */
void mailbox_wake(struct mailbox *b);  /* any thread */
void mailbox_run(struct mailbox *b);   /* loop thread: offers what waits now, until one is refused */
