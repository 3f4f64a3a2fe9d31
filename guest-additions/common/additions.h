// SPDX-License-Identifier: GPL-2.0-or-later
/* additions.h - the host's side of what programs in the guest and the host tell each other (docs/additions.md): services of one
 * machine that has a section [additions].
 *
 * The guest asks (rpci.c: a table of names and handlers, on a vCPU's thread), and does what the host wants (tclo.c: a conversation
 * with each agent in the guest, on the loop thread).  What is known of the guest is in guest_facts.c, behind a lock.
 * All that comes from the guest is hostile: bounded, and text is UTF-8 or refused. */
#pragma once
#include "core-vmm/api/channel.h"
#include <json-glib/json-glib.h>

/* Loop thread, all of it. */
struct additions;
/* Before machine_start(); outlives the machine.  keep_time: the guest's clock is set by the host's when its tools come up, and
 * after the machine stood still. */
enum clipboard_policy { CLIPBOARD_OFF, CLIPBOARD_TO_GUEST, CLIPBOARD_TO_HOST, CLIPBOARD_BOTH }; /* bits */
struct additions *additions_new(struct machine *m, bool keep_time, enum clipboard_policy clipboard);
void additions_free(struct additions *a);
void additions_resumed(struct additions *a);   /* the machine stood still, and runs on */
bool additions_listening(struct additions *a); /* open-vm-tools' service runs in the guest */
/* Says it to that service; done hears whether it has agreed to, or false after a while without an answer.  False: there is none. */
typedef void (*additions_done)(void *ctx, bool agreed);
bool additions_say(struct additions *a, const char *wish, additions_done done, void *ctx);
/* The same with bytes for bytes: its whole answer, or NULL: there is none in so many seconds. */
typedef void (*additions_answer)(void *ctx, const void *answer, size_t bytes);
bool additions_tell(struct additions *a, const void *wish, size_t bytes, unsigned seconds, additions_answer done,
                    void *ctx);
void additions_forget(struct additions *a, void *ctx); /* done is not called any more for that ctx */
#define ADDITIONS_HALT   "OS_Halt"
#define ADDITIONS_REBOOT "OS_Reboot"

/* What the guest has told of itself, for people and programs; NULL: nothing. */
JsonObject *additions_describe(struct additions *a);
/* guestinfo.KEY, which both sides may read and write; g_free, NULL: it is not set. */
char *additions_variable(struct additions *a, const char *key);
bool additions_set_variable(struct additions *a, const char *key, const char *value, GError **error);

/* ---- layout.c: sizes of the guest's screens, which lie side by side ---- */
#define ADDITIONS_SCREENS 8
bool additions_sets_sizes(struct additions *a); /* something in the guest would */
/* A screen has that size now (0: it is off), if nobody has asked for another yet, or the guest has chosen it since. */
void additions_size_now(struct additions *a, unsigned screen, uint32_t width, uint32_t height, bool chosen);
/* The user would like it to have that one; width 0: to be off.  False: nothing in the guest listens; what comes later is told. */
bool additions_ask_size(struct additions *a, unsigned screen, uint32_t width, uint32_t height);

void additions_reset(struct additions *a); /* the machine begins anew */

/* ---- quiesce.c: the guest's file systems stand still, for a snapshot ---- */
/* why NULL: it is so; else why not, a line without "the guest". */
typedef void (*additions_frozen)(void *ctx, const char *why);
/* done hears when they stand, or that they do not after so many seconds.  They go on by themselves after five minutes. */
bool additions_freeze(struct additions *a, unsigned seconds, additions_frozen done, void *ctx, GError **error);
/* They go on; an error: they did already. */
bool additions_thaw(struct additions *a, additions_frozen done, void *ctx, GError **error);
void additions_freeze_forget(struct additions *a, void *ctx); /* done is not called any more for that ctx */

/* ---- folders.c: folders of the host, numbered from 1 (docs/additions.md); their processes are guest-additions/folders ---- */
/* fd: the line to its process, which is taken if this succeeds; -1: it comes by additions_folder_up().  False: the number or the
 * name is taken, or no good. */
bool additions_folder_add(struct additions *a, unsigned number, const char *name, bool read_only, int fd);
bool additions_folder_remove(struct additions *a, unsigned number);     /* false: there is none */
void additions_folder_up(struct additions *a, unsigned number, int fd); /* takes fd, which does not block */
void additions_folder_down(struct additions *a, unsigned number);       /* that process has gone */
JsonArray *additions_folders(struct additions *a);

/* ---- clipboard.c: text, between the guest's clipboard and whoever has the host's ---- */
#define CLIPBOARD_TO_GUEST_MOST (60 << 10) /* bytes */
#define CLIPBOARD_TO_HOST_MOST  (1 << 20)
const char *additions_clipboard_policy(struct additions *a); /* "off", "to-guest", "to-host", "both" */
/* The guest's clipboard is that text from now on; UTF-8. */
bool additions_clipboard_give(struct additions *a, const char *text, GError **error);
/* done hears the guest's, later; text NULL: there is none, or it is what the guest was given; answered: it has answered at all. */
typedef void (*additions_text)(void *ctx, const char *text, bool answered);
bool additions_clipboard_take(struct additions *a, additions_text done, void *ctx, GError **error);
void additions_clipboard_forget(struct additions *a, void *ctx); /* done is not called any more for that ctx */
