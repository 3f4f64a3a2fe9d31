// SPDX-License-Identifier: GPL-2.0-or-later
/* disk_look.h - what one asks of disk images that may come from anybody.  They are looked at in a fenced child that does
 * nothing else and answers with text (core-vmm/fence), so that whatever an image does to its reader ends there.
 *
 * All of these fork, from a process with one thread: a child of a process with more may find a lock of a library held, and
 * is killed after DISK_LOOK_SECONDS. */
#pragma once
#include <glib.h>
#include <stdbool.h>

#define DISK_LOOK_SECONDS 20

/* Calls fn in a fenced child that may read images; what it says by disk_answer().  path: one that is meant above all, or
 * NULL.  g_free; NULL: an error. */
char *disk_ask(int (*fn)(void *ctx, int answer), void *ctx, const char *path, GError **error);
void disk_answer(int to, const char *text);

/* The format that a file seems to have, by its contents.  NULL: an error, also if it looks like an image that leads to
 * other files: a guest can make its raw disk look so. */
const char *disk_look_format(const char *path, GError **error);
bool disk_look_opens(const char *path, const char *format, GError **error); /* without what it builds upon */
char *disk_parent_of(const char *path, const char *format);                 /* g_free; NULL: none, or unreadable */

/* ---- disk_users.c ---- */
/* The machines, other than except (may be NULL), that have an image which is path, or lies in it if it is a folder, or have
 * a child of such a one: by its name, by links on the way to it, or by another name of the same file.  Of names, sorted, "perhaps
 * NAME" if what that one has cannot be read;
 * g_ptr_array_unref; NULL: it could not be found out. */
GPtrArray *disk_users(const char *path, const char *except, GError **error);
