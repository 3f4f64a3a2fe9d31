// SPDX-License-Identifier: GPL-2.0-or-later
/* inside.h - what the files of the host's side of the additions share. */
#pragma once
#include "guest-additions/common/additions.h"
#include <stdatomic.h>

/* ---- guest_facts.c: what the guest has told; any thread ---- */
#define FACT_BYTES      4096 /* of one */
#define FACTS_MOST      64
#define VARIABLE_KEY    256
#define VARIABLE_BYTES  65534 /* with "1 " before it the longest answer */
#define VARIABLES_MOST  256
#define VARIABLES_BYTES (1u << 20) /* of all, keys and values */
#define ADDRESSES_MOST  64
struct guest_facts;
struct guest_facts *guest_facts_new(void);
void guest_facts_free(struct guest_facts *f);
void guest_facts_clear(struct guest_facts *f); /* of the guest that was; variables stay */
/* False: too long, too many, or not UTF-8. */
bool guest_facts_set(struct guest_facts *f, const char *name, const char *value, size_t bytes);
/* What a guest says as a line for people: at most so many bytes of it, valid UTF-8 without control characters; g_free. */
char *guest_line(const char *said, size_t bytes, size_t most);
char *guest_facts_get(struct guest_facts *f, const char *name); /* g_free; NULL */
void guest_facts_set_addresses(struct guest_facts *f, GPtrArray *addresses);
bool guest_facts_set_variable(struct guest_facts *f, const char *key, const char *value, size_t bytes);
char *guest_facts_variable(struct guest_facts *f, const char *key);
JsonObject *guest_facts_describe(struct guest_facts *f);

/* ---- guest_nics.c ---- */
/* The addresses in a description of the guest's network cards (open-vm-tools, nicinfo.x, version 3, XDR of RFC 4506): texts
 * like "10.0.2.15/24", at most ADDRESSES_MOST.  NULL: it makes no sense. */
GPtrArray *guest_nics_parse(const void *data, size_t bytes);

/* ---- rpci.c; a vCPU's thread ---- */
GBytes *rpci_answer(struct additions *a, const void *data, size_t bytes, uint64_t *ticket); /* as channel_ask() */

/* ---- folders.c; any thread ---- */
struct folders;
struct folders *folders_new(void);
void folders_free(struct folders *f);
bool folders_shared(struct folders *f); /* is there any? */
/* A packet of HGFS, and as channel_ask(). */
GBytes *folders_answer(struct folders *f, const void *packet, size_t bytes, uint64_t *ticket);
GBytes *folders_answered(struct folders *f, uint64_t ticket, int ms);
void folders_forget(struct folders *f, uint64_t ticket);
void folders_reset(struct folders *f); /* the guest begins anew: all that it had open is closed */

/* ---- tclo.c; loop thread ---- */
void *tclo_opened(void *additions, struct channel *c);
void tclo_message(void *talk, const void *data, size_t bytes);
void tclo_closed(void *talk);

/* The program of a user's session. */
bool tclo_tell_session(struct additions *a, const void *wish,
                       size_t bytes); /* false: there is none, or it does not answer */
bool tclo_tell_service(struct additions *a, const void *wish, size_t bytes); /* likewise */
bool tclo_session_listens(struct additions *a);
/* The service; as additions_say(), of bytes. */
bool tclo_ask_service(struct additions *a, const void *wish, size_t bytes, additions_done done, void *ctx);

/* ---- clipboard.c; loop thread but for what is said ---- */
struct clipboard;
struct clipboard *clipboard_new(struct additions *a, enum clipboard_policy policy);
void clipboard_free(struct clipboard *c);
bool clipboard_shared(const struct clipboard *c); /* in any direction; any thread */
bool clipboard_from_guest(struct clipboard *c, const void *packet,
                          size_t bytes); /* any thread; false: too much waits, or off */
void clipboard_packet(struct clipboard *c, const uint8_t *packet, size_t bytes);
char *clipboard_text_in(const uint8_t *data, size_t bytes); /* of a message; g_free; NULL: none */
void clipboard_session_ended(struct clipboard *c);

/* ---- quiesce.c; loop thread but for events ---- */
struct quiesce;
struct quiesce *quiesce_new(struct additions *a);
void quiesce_free(struct quiesce *q);
void quiesce_event(struct quiesce *q, const char *text, size_t bytes); /* any thread: "NAME CODE WORDS" */
void quiesce_service_ended(struct quiesce *q);

/* ---- layout.c ---- */
enum sizes_by { SIZES_BY_NOBODY, SIZES_BY_SERVICE, SIZES_BY_SESSION };
struct additions_size {
    uint32_t width, height; /* width 0: off */
};
void layout_agent(struct additions *a, enum sizes_by who); /* any thread */

#define LOG_A_SECOND 10
bool additions_may_log(struct additions *a); /* any thread: the guest has not had all its lines of this second yet */

struct additions {
    struct guest_facts *facts;
    struct channel_service rpci, tclo;
    GPtrArray *talks; /* struct tclo */
    struct clipboard *clipboard;
    struct folders *folders;
    struct quiesce *quiesce;
    bool keep_time;
    struct additions_size layout[ADDITIONS_SCREENS];
    _Atomic unsigned sizes_by;      /* enum sizes_by: who has said last that it sets them */
    _Atomic unsigned telling_sizes; /* what was asked for is about to be told */
    _Atomic unsigned sync_time;     /* the guest wants its clock kept right; 0, 1 */
    _Atomic unsigned telling;       /* that it does is about to be told to the service */
    _Atomic gint64 log_second;      /* of the guest's words in our log, at most LOG_A_SECOND each */
    _Atomic unsigned log_count;
};
