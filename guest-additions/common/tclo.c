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
    additions_done done; /* NULL: nobody waits */
    void *ctx;
    guint late; /* source; 0: it has been long enough */
};
struct tclo {
    struct additions *additions;
    struct channel *channel;
    char name[NAME_BYTES]; /* of the agent; empty: it has not said it yet */
    GQueue wishes;         /* struct wish; the first has been sent */
};

static void wish_over(struct wish *w, bool agreed)
{
    if (w->late)
        g_source_remove(w->late);
    if (w->done)
        w->done(w->ctx, agreed);
    g_bytes_unref(w->said);
    g_free(w);
}

/* The agent may answer after all, so it stays in its place. */
static gboolean too_late(gpointer data)
{
    struct wish *w = data;
    additions_done done = w->done;
    w->late = 0;
    w->done = NULL;
    if (done)
        done(w->ctx, false);
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

static void want_bytes(struct tclo *t, const void *said, size_t bytes, additions_done done, void *ctx)
{
    struct wish *w = g_new0(struct wish, 1);
    *w = (struct wish){g_bytes_new(said, bytes), done, ctx, 0};
    w->late = g_timeout_add_seconds(ANSWER_SECONDS, too_late, w);
    g_queue_push_tail(&t->wishes, w);
    if (t->wishes.length == 1)
        send_first(t);
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
    want(t, atomic_load(&a->sync_time) ? "Set_Option synctime 1" : "Set_Option synctime 0", NULL, NULL);
    want(t, "Set_Option broadcastIP 1", NULL, NULL);
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
    bool agreed = bytes >= 2 && !memcmp(data, "OK", 2);
    bool first = !*t->name && named(t, data, bytes);
    wish_over(g_queue_pop_head(&t->wishes), agreed);
    send_first(t);
    if (first)
        begin(t);
}

void tclo_closed(void *talk)
{
    struct tclo *t = talk;
    struct wish *w;
    g_ptr_array_remove(t->additions->talks, t);
    if (!strcmp(t->name, SERVICE))
        guest_facts_clear(t->additions->facts);
    if (!strcmp(t->name, SESSION) && !tclo_session_listens(t->additions))
        clipboard_session_ended(t->additions->clipboard);
    while ((w = g_queue_pop_head(&t->wishes)))
        wish_over(w, false);
    g_free(t);
}

/* ---- additions.h ---- */

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
    struct tclo *t = agent(a, SERVICE);
    if (t)
        want(t, wish, done, ctx);
    return t != NULL;
}

void additions_forget(struct additions *a, void *ctx)
{
    for (unsigned i = 0; i < a->talks->len; i++) {
        struct tclo *t = g_ptr_array_index(a->talks, i);
        for (GList *l = t->wishes.head; l; l = l->next)
            if (((struct wish *)l->data)->ctx == ctx)
                ((struct wish *)l->data)->done = NULL;
    }
}
