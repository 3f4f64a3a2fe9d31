// SPDX-License-Identifier: GPL-2.0-or-later
/* quiesce.c - the guest's file systems stand still while a snapshot is taken: open-vm-tools' plugin vmbackup.
 *
 * The service is told to begin (`vmbackup.startWithOpts`, parameters in XDR: guestQuiesce.x), runs the guest's scripts, freezes what
 * it can and says so by an event, `prov.snapshotCommit`.  Then the snapshot is taken, and it is told (`vmbackup.snapshotDone`),
 * thaws, and says `req.done`.  If nobody tells it, it thaws by itself after as long as it was told at the beginning, and so it does
 * when it hears that it has been brought back from a state that was saved in between (tclo.c tells it that the snapshot is done,
 * which is an error to one that waits for nothing).
 *
 * Events come on a vCPU's thread and are looked at on the loop thread. */
#include "guest-additions/common/inside.h"
#include "core-vmm/base/bytes.h"
#include <string.h>

enum { EVENTS_MOST = 16, EVENT_BYTES = 512, GUEST_SECONDS = 300, THAW_SECONDS = 30 };
enum state { IDLE, FREEZING, FROZEN, THAWING };

struct quiesce {
    struct additions *additions;
    enum state state;
    additions_frozen done; /* NULL: nobody waits */
    void *ctx;
    guint late; /* source */
    GMutex lock;
    GQueue events;   /* texts; under the lock */
    gboolean called; /* the loop thread will look at them; under the lock */
};

struct quiesce *quiesce_new(struct additions *a)
{
    struct quiesce *q = g_new0(struct quiesce, 1);
    q->additions = a;
    g_mutex_init(&q->lock);
    g_queue_init(&q->events);
    return q;
}

static void stop_timer(struct quiesce *q)
{
    if (q->late)
        g_source_remove(q->late);
    q->late = 0;
}

void quiesce_free(struct quiesce *q)
{
    stop_timer(q);
    while (g_source_remove_by_user_data(q)) {
    }
    g_queue_clear_full(&q->events, g_free);
    g_mutex_clear(&q->lock);
    g_free(q);
}

/* Whoever waits hears it, once. */
static void settle(struct quiesce *q, enum state state, const char *why)
{
    additions_frozen done = q->done;
    stop_timer(q);
    if (state == FROZEN)
        g_message("the guest's file systems stand still, for a snapshot");
    else if (why)
        g_message("the guest's file systems, which were to stand still: %s", why);
    else
        g_message("the guest's file systems go on");
    q->state = state;
    q->done = NULL;
    if (done)
        done(q->ctx, why);
}

static gboolean too_late(gpointer data)
{
    struct quiesce *q = data;
    bool freezing = q->state == FREEZING;
    q->late = 0;
    if (freezing)
        additions_say(q->additions, "vmbackup.abort", NULL, NULL);
    settle(q, IDLE,
           freezing ? "its file systems do not come to a stand in time"
                    : "it does not say that its file systems go on; they do when their own time is over");
    return G_SOURCE_REMOVE;
}

/* ---- events ---- */

/* The words behind the event's name and code. */
static const char *reason(const char *text)
{
    const char *at = strchr(text, ' ');
    at = at ? strchr(at + 1, ' ') : NULL;
    return at && at[1] ? at + 1 : "it does not say why";
}

static bool begins(const char *text, const char *event)
{
    size_t n = strlen(event);
    return !strncmp(text, event, n) && (text[n] == ' ' || !text[n]);
}

static void event(struct quiesce *q, const char *text)
{
    bool error = begins(text, "req.error"), aborted = begins(text, "req.aborted");
    if (q->state == FREEZING && begins(text, "prov.snapshotCommit"))
        settle(q, FROZEN, NULL);
    else if (q->state == FREEZING && (error || aborted))
        settle(q, IDLE, reason(text));
    else if (q->state == FROZEN && (error || aborted || begins(text, "req.done")))
        q->state = IDLE; /* too early: whoever thaws will hear it */
    else if (q->state == THAWING && begins(text, "req.done"))
        settle(q, IDLE, NULL);
    else if (q->state == THAWING && (error || aborted))
        settle(q, IDLE, reason(text));
}

static gboolean look(gpointer data)
{
    struct quiesce *q = data;
    GQueue now;
    g_mutex_lock(&q->lock);
    now = q->events;
    g_queue_init(&q->events);
    q->called = FALSE;
    g_mutex_unlock(&q->lock);
    for (char *text; (text = g_queue_pop_head(&now)); g_free(text))
        event(q, text);
    return G_SOURCE_REMOVE;
}

void quiesce_event(struct quiesce *q, const char *text, size_t bytes)
{
    char *line = guest_line(text, bytes, EVENT_BYTES);
    g_mutex_lock(&q->lock);
    if (q->events.length < EVENTS_MOST)
        g_queue_push_tail(&q->events, g_steal_pointer(&line));
    if (!q->called)
        g_idle_add(look, q);
    q->called = TRUE;
    g_mutex_unlock(&q->lock);
    g_free(line);
}

void quiesce_service_ended(struct quiesce *q)
{
    if (q->state != IDLE)
        settle(q, IDLE, "its tools have ended");
    q->state = IDLE;
}

/* ---- additions.h ---- */

static void put(GByteArray *b, uint32_t value)
{
    uint8_t be[4];
    put_be32(be, value);
    g_byte_array_append(b, be, sizeof be);
}

/* Version, there are parameters; no list of what was done, applications, file systems, no writable snapshot, scripts; no argument to
 * them; seconds; all disks. */
static GByteArray *start_wish(void)
{
    static const char name[] = "vmbackup.startWithOpts ";
    static const uint32_t words[] = {1, 1, 0, 1, 1, 0, 1, 0, GUEST_SECONDS, 0};
    GByteArray *b = g_byte_array_new();
    g_byte_array_append(b, (const uint8_t *)name, strlen(name));
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
        put(b, words[i]);
    return b;
}

static void begun(void *ctx, bool agreed)
{
    struct quiesce *q = ctx;
    if (!agreed && q->state == FREEZING)
        settle(q, IDLE, "its tools cannot, or will not: they need root, and file systems that can");
}

static void wait_for(struct quiesce *q, enum state state, unsigned seconds, additions_frozen done, void *ctx)
{
    q->state = state;
    q->done = done;
    q->ctx = ctx;
    q->late = g_timeout_add_seconds(seconds, too_late, q);
}

bool additions_freeze(struct additions *a, unsigned seconds, additions_frozen done, void *ctx, GError **error)
{
    struct quiesce *q = a->quiesce;
    g_autoptr(GByteArray) wish = start_wish();
    if (q->state != IDLE) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_BUSY,
                    "the guest's file systems are being stopped, or stand, for another snapshot");
        return false;
    }
    additions_forget(a, q); /* an answer to one that was given up */
    if (!tclo_ask_service(a, wish->data, wish->len, begun, q)) {
        g_set_error(
            error, G_IO_ERROR, G_IO_ERROR_NOT_CONNECTED,
            "open-vm-tools' service does not run in the guest, or does not answer, so nobody there can stop its "
            "file systems");
        return false;
    }
    wait_for(q, FREEZING, seconds, done, ctx);
    return true;
}

bool additions_thaw(struct additions *a, additions_frozen done, void *ctx, GError **error)
{
    struct quiesce *q = a->quiesce;
    if (q->state != FROZEN || !additions_say(a, "vmbackup.snapshotDone", NULL, NULL)) {
        q->state = q->state == FROZEN ? IDLE : q->state;
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED,
                    "the guest's file systems did not stand still until now: it went on by itself, or its tools ended");
        return false;
    }
    wait_for(q, THAWING, THAW_SECONDS, done, ctx);
    return true;
}

void additions_freeze_forget(struct additions *a, void *ctx)
{
    struct quiesce *q = a->quiesce;
    if (q->ctx != ctx || !q->done)
        return;
    q->done = NULL;
    if (q->state != FREEZING)
        return;
    additions_say(a, "vmbackup.abort", NULL, NULL);
    settle(q, IDLE, NULL);
}
