// SPDX-License-Identifier: GPL-2.0-or-later
/* tclo.c - what the host wants of agents in the guest: one wish at a time on each channel, each answered with "OK ..." or
 * "ERROR ...".  The first is "reset", whose answer names the agent ("OK ATR toolbox": open-vm-tools' service; "toolbox-dnd": the
 * program of a user's session).  Then it is told what there is; it tells in turn what it is (rpci.c).
 *
 * An agent that dies without closing its channel looks like one that does not answer, so nobody waits for long. */
#include "guest-additions/common/inside.h"
#include <string.h>

#define ANSWER_SECONDS 5
#define NAME_BYTES     32
#define WISHES_MOST    16 /* that the guest has a hand in, and does not answer */
#define SERVICE        "toolbox"
#define SESSION        "toolbox-dnd"
#define SET_CLOCK      "Time_Synchronize 1" /* backwards too */

struct wish {
    GBytes *said;
    additions_done done;    /* NULL: nobody waits */
    additions_answer heard; /* the same, for the words of the answer */
    void *ctx;
    guint late; /* source; 0: it has been long enough */
};
struct tclo {
    struct additions *additions;
    struct channel *channel;
    char name[NAME_BYTES]; /* of the agent; empty: it has not said it yet */
    GQueue wishes;         /* struct wish; the first has been sent */
};

/* answer NULL: there is none. */
static void wish_over(struct wish *w, const void *answer, size_t bytes)
{
    if (w->late)
        g_source_remove(w->late);
    if (w->done)
        w->done(w->ctx, answer && bytes >= 2 && !memcmp(answer, "OK", 2));
    if (w->heard)
        w->heard(w->ctx, answer, bytes);
    g_bytes_unref(w->said);
    g_free(w);
}

/* The agent may answer after all, so it stays in its place. */
static gboolean too_late(gpointer data)
{
    struct wish *w = data;
    additions_done done = w->done;
    additions_answer heard = w->heard;
    w->late = 0;
    w->done = NULL;
    w->heard = NULL;
    if (done)
        done(w->ctx, false);
    if (heard)
        heard(w->ctx, NULL, 0);
    return G_SOURCE_REMOVE;
}

static void send_first(struct tclo *t)
{
    struct wish *w = g_queue_peek_head(&t->wishes);
    gsize bytes;
    const void *said = w ? g_bytes_get_data(w->said, &bytes) : NULL;
    if (w)
        channel_send(t->channel, said, bytes);
}

static struct wish *want_for(struct tclo *t, const void *said, size_t bytes, unsigned seconds)
{
    struct wish *w = g_new0(struct wish, 1);
    w->said = g_bytes_new(said, bytes);
    w->late = g_timeout_add_seconds(seconds, too_late, w);
    g_queue_push_tail(&t->wishes, w);
    if (t->wishes.length == 1)
        send_first(t);
    return w;
}

static void want_bytes(struct tclo *t, const void *said, size_t bytes, additions_done done, void *ctx)
{
    struct wish *w = want_for(t, said, bytes, ANSWER_SECONDS);
    w->done = done;
    w->ctx = ctx;
}

static void want(struct tclo *t, const char *text, additions_done done, void *ctx)
{
    want_bytes(t, text, strlen(text), done, ctx);
}

/* ---- the conversation ---- */

static void begin(struct tclo *t)
{
    struct additions *a = t->additions;
    if (additions_may_log(a))
        g_message("%s in the guest listens", t->name);
    want(t, "Capabilities_Register", NULL, NULL);
    if (!strcmp(t->name, SESSION) && clipboard_shared(a->clipboard))
        want(t, "Set_Option copypaste 1", NULL, NULL);
    if (strcmp(t->name, SERVICE))
        return;
    quiesce_service_ended(a->quiesce); /* one before it, which was killed and so closed nothing */
    want(t, atomic_load(&a->sync_time) ? "Set_Option synctime 1" : "Set_Option synctime 0", NULL, NULL);
    want(t, "Set_Option broadcastIP 1", NULL, NULL);
    want(t, "vmbackup.snapshotDone", NULL, NULL); /* one that comes from a snapshot waits for that: quiesce.c */
    if (a->keep_time)
        want(t, SET_CLOCK, NULL, NULL);
}

/* Its name is a plain word. */
static bool named(struct tclo *t, const char *data, size_t bytes)
{
    static const char intro[] = "OK ATR ";
    size_t n = strlen(intro);
    if (bytes <= n || memcmp(data, intro, n) || bytes - n >= NAME_BYTES)
        return false;
    for (size_t i = n; i < bytes; i++)
        if (!g_ascii_isalnum(data[i]) && data[i] != '-' && data[i] != '_')
            return false;
    memcpy(t->name, data + n, bytes - n);
    t->name[bytes - n] = 0;
    return true;
}

void *tclo_opened(void *additions, struct channel *c)
{
    struct tclo *t = g_new0(struct tclo, 1);
    t->additions = additions;
    t->channel = c;
    g_queue_init(&t->wishes);
    g_ptr_array_add(t->additions->talks, t);
    want(t, "reset", NULL, NULL);
    return t;
}

void tclo_message(void *talk, const void *data, size_t bytes)
{
    struct tclo *t = talk;
    if (!bytes || g_queue_is_empty(&t->wishes))
        return; /* a look, or an answer to what the channel was before */
    bool first = !*t->name && named(t, data, bytes);
    wish_over(g_queue_pop_head(&t->wishes), data, bytes);
    send_first(t);
    if (first)
        begin(t);
}

static struct tclo *agent(struct additions *a, const char *name)
{
    for (unsigned i = a->talks->len; i > 0; i--) { /* the newest: others may be dead */
        struct tclo *t = g_ptr_array_index(a->talks, i - 1);
        struct wish *w = g_queue_peek_head(&t->wishes);
        if (!strcmp(t->name, name) && (!w || w->late))
            return t;
    }
    return NULL;
}

void tclo_closed(void *talk)
{
    struct tclo *t = talk;
    struct wish *w;
    g_ptr_array_remove(t->additions->talks, t);
    bool service = !strcmp(t->name, SERVICE);
    if (service)
        guest_facts_clear(t->additions->facts);
    if (service && !agent(t->additions, SERVICE))
        quiesce_service_ended(t->additions->quiesce);
    if (!strcmp(t->name, SESSION) && !tclo_session_listens(t->additions))
        clipboard_session_ended(t->additions->clipboard);
    while ((w = g_queue_pop_head(&t->wishes)))
        wish_over(w, NULL, 0);
    g_free(t);
}

/* ---- additions.h ---- */

bool tclo_session_listens(struct additions *a)
{
    return agent(a, SESSION) != NULL;
}

static bool tell(struct additions *a, const char *name, const void *wish, size_t bytes)
{
    struct tclo *t = agent(a, name);
    if (!t || t->wishes.length >= WISHES_MOST)
        return false;
    want_bytes(t, wish, bytes, NULL, NULL);
    return true;
}

bool tclo_tell_session(struct additions *a, const void *wish, size_t bytes)
{
    return tell(a, SESSION, wish, bytes);
}

bool tclo_tell_service(struct additions *a, const void *wish, size_t bytes)
{
    return tell(a, SERVICE, wish, bytes);
}

bool tclo_ask_service(struct additions *a, const void *wish, size_t bytes, additions_done done, void *ctx)
{
    struct tclo *t = agent(a, SERVICE);
    if (t)
        want_bytes(t, wish, bytes, done, ctx);
    return t != NULL;
}

bool additions_listening(struct additions *a)
{
    return agent(a, SERVICE) != NULL;
}

void additions_resumed(struct additions *a)
{
    if (a->keep_time)
        additions_say(a, SET_CLOCK, NULL, NULL);
}

bool additions_say(struct additions *a, const char *wish, additions_done done, void *ctx)
{
    return tclo_ask_service(a, wish, strlen(wish), done, ctx);
}

bool additions_tell(struct additions *a, const void *wish, size_t bytes, unsigned seconds, additions_answer done,
                    void *ctx)
{
    struct tclo *t = agent(a, SERVICE);
    if (!t || t->wishes.length >= WISHES_MOST)
        return false;
    struct wish *w = want_for(t, wish, bytes, seconds);
    w->heard = done;
    w->ctx = ctx;
    return true;
}

void additions_forget(struct additions *a, void *ctx)
{
    for (unsigned i = 0; i < a->talks->len; i++) {
        struct tclo *t = g_ptr_array_index(a->talks, i);
        for (GList *l = t->wishes.head; l; l = l->next)
            if (((struct wish *)l->data)->ctx == ctx) {
                ((struct wish *)l->data)->done = NULL;
                ((struct wish *)l->data)->heard = NULL;
            }
    }
}
