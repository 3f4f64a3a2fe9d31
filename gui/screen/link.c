// SPDX-License-Identifier: GPL-2.0-or-later
/* link.c - the thread that talks to the VM process, so that the window never waits for it. */
#include "gui/screen/link.h"
#include "core-vmm/control/answer.h"
#include "core-vmm/control/client.h"
#include <SDL.h>
#include <string.h>
#include <unistd.h>

#define PIXELS_MAX  (1 << 20)
#define PATIENCE_MS 10000 /* of the first questions; later nobody waits */

struct link {
    struct client *client; /* of the thread, once it runs */
    GMainContext *context;
    GMainLoop *loop;
    GThread *thread;
    uint32_t event;
    bool ended;  /* the thread's */
    GMutex lock; /* of all below */
    struct link_news news;
    bool announced;
};

static const struct link_news no_news = {.fd = -1, .cursor.fd = -1};

void link_news_clear(struct link_news *n)
{
    if (n->fd >= 0)
        close(n->fd);
    if (n->cursor.fd >= 0)
        close(n->cursor.fd);
    g_free(n->state);
    g_free(n->end);
    g_free(n->message);
    g_free(n->clipboard);
    g_free(n->complaint);
    *n = no_news;
}

/* ---- the thread's side: news ---- */

static struct link_news *news_lock(struct link *l)
{
    g_mutex_lock(&l->lock);
    return &l->news;
}

static void news_unlock(struct link *l)
{
    bool announce = !l->announced;

    l->announced = true;
    g_mutex_unlock(&l->lock);
    if (announce)
        SDL_PushEvent(&(SDL_Event){.type = l->event});
}

/* Of a picture: wide enough for whatever it may be, far from where sums would overflow. */
static int64_t number(JsonObject *o, const char *name)
{
    return answer_number(o, name, -PIXELS_MAX, PIXELS_MAX, 0);
}

static int take_fd(int *fds, unsigned count)
{
    int fd = count ? fds[0] : -1;

    if (count)
        fds[0] = -1;
    return fd;
}

static void on_mode(struct link_news *n, JsonObject *data, int fd)
{
    if (n->fd >= 0)
        close(n->fd);
    n->mode = true;
    n->damage = false;
    n->fd = fd;
    n->width = number(data, "width");
    n->height = number(data, "height");
    n->stride = number(data, "stride");
}

static void on_damage(struct link_news *n, JsonObject *data)
{
    int64_t left = number(data, "x"), top = number(data, "y");
    int64_t right = left + number(data, "width"), bottom = top + number(data, "height");

    n->left = n->damage ? MIN(n->left, left) : left;
    n->top = n->damage ? MIN(n->top, top) : top;
    n->right = n->damage ? MAX(n->right, right) : right;
    n->bottom = n->damage ? MAX(n->bottom, bottom) : bottom;
    n->damage = true;
}

static void on_cursor(struct link_news *n, JsonObject *data, int fd)
{
    if (n->cursor.fd >= 0)
        close(n->cursor.fd);
    n->cursor_changed = true;
    n->cursor = (struct link_cursor){.visible = answer_flag(data, "visible"),
                                     .hot_x = number(data, "hot-x"),
                                     .hot_y = number(data, "hot-y"),
                                     .width = number(data, "width"),
                                     .height = number(data, "height"),
                                     .fd = fd};
}

static void on_state(struct link_news *n, JsonObject *data)
{
    g_free(n->state);
    g_free(n->end);
    g_free(n->message);
    n->state = g_strdup(answer_text(data, "state", NULL));
    n->end = g_strdup(answer_text(data, "end", NULL));
    n->message = g_strdup(answer_text(data, "message", NULL));
}

static void on_input(struct link_news *n, JsonObject *data)
{
    n->input_changed = true;
    n->absolute = answer_flag(data, "absolute-pointer");
    n->sets_size = answer_flag(data, "sets-size");
    n->leds = number(data, "leds");
}

static void on_event(void *ctx, const char *event, JsonObject *data, int *fds, unsigned fd_count)
{
    struct link_news *n = news_lock(ctx);

    if (!strcmp(event, "display.mode"))
        on_mode(n, data, take_fd(fds, fd_count));
    else if (!strcmp(event, "display.damage"))
        on_damage(n, data);
    else if (!strcmp(event, "display.cursor"))
        on_cursor(n, data, take_fd(fds, fd_count));
    else if (!strcmp(event, "state"))
        on_state(n, data);
    else if (!strcmp(event, "input.mode"))
        on_input(n, data);
    news_unlock(ctx);
}

static void on_closed(void *ctx, const GError *error)
{
    struct link *l = ctx;

    l->ended = true;
    news_lock(l)->closed = true;
    news_unlock(l);
}

static void on_reply(void *ctx, JsonObject *result, int *fds, unsigned fd_count, const GError *error)
{
    struct link_news *n;

    if (!error || g_error_matches(error, CONTROL_ERROR, CONTROL_CLOSED))
        return;
    n = news_lock(ctx);
    g_free(n->complaint);
    n->complaint = g_strdup(error->message);
    news_unlock(ctx);
}

/* A guest without tools is no reason to complain. */
static void on_clipboard(void *ctx, JsonObject *result, int *fds, unsigned fd_count, const GError *error)
{
    const char *text = error ? NULL : answer_text(result, "text", NULL);
    struct link_news *n;

    if (!text)
        return;
    n = news_lock(ctx);
    g_free(n->clipboard);
    n->clipboard = g_strdup(text);
    news_unlock(ctx);
}

static void on_watching(void *ctx, JsonObject *result, int *fds, unsigned fd_count, const GError *error)
{
    struct link_news *n;

    on_reply(ctx, result, fds, fd_count, error);
    if (error)
        return;
    n = news_lock(ctx);
    on_input(n, result);
    news_unlock(ctx);
}

static gpointer run(gpointer data)
{
    struct link *l = data;

    g_main_context_push_thread_default(l->context);
    client_attach(l->client, l->context, on_event, on_closed, l);
    client_send(l->client, "display.watch", NULL, on_watching, l);
    g_main_loop_run(l->loop);
    client_free(l->client);
    g_main_context_pop_thread_default(l->context);
    return NULL;
}

/* ---- the window's side ---- */

static bool ask_info(struct client *c, char **engine, char **state, GError **error)
{
    JsonObject *info = client_call(c, "info", NULL, PATIENCE_MS, error);
    bool picture;

    if (!info)
        return false;
    picture = answer_flag(info, "has-display");
    *engine = g_strdup(answer_text(info, "engine", "?"));
    *state = g_strdup(answer_text(info, "state", "?"));
    json_object_unref(info);
    if (!picture)
        g_set_error(error, CONTROL_ERROR, CONTROL_UNSUPPORTED,
                    "this machine has no graphics card, so there is no screen");
    return picture;
}

struct link *link_open(const char *name, char **engine, char **state, GError **error)
{
    struct client *c = client_connect(name, error);
    struct link *l;

    if (!c || !ask_info(c, engine, state, error)) {
        client_free(c);
        return NULL;
    }
    l = g_new0(struct link, 1);
    l->client = c;
    l->news = no_news;
    l->event = SDL_RegisterEvents(1);
    g_mutex_init(&l->lock);
    l->context = g_main_context_new();
    l->loop = g_main_loop_new(l->context, FALSE);
    l->thread = g_thread_new("link", run, l);
    return l;
}

/* Runs fn in the thread's loop, in the order of the calls; not g_main_context_invoke(), which would run it here while the
 * thread is still on its way to its loop. */
static void post(struct link *l, GSourceFunc fn, gpointer data, GDestroyNotify destroy)
{
    GSource *source = g_idle_source_new();

    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, fn, data, destroy);
    g_source_attach(source, l->context);
    g_source_unref(source);
}

static gboolean quit(gpointer data)
{
    g_main_loop_quit(data);
    return G_SOURCE_REMOVE;
}

void link_close(struct link *l)
{
    post(l, quit, l->loop, NULL);
    g_thread_join(l->thread);
    g_main_loop_unref(l->loop);
    g_main_context_unref(l->context);
    link_news_clear(&l->news);
    g_mutex_clear(&l->lock);
    g_free(l);
}

uint32_t link_event(struct link *l)
{
    return l->event;
}

void link_take(struct link *l, struct link_news *n)
{
    g_mutex_lock(&l->lock);
    *n = l->news;
    l->news = no_news;
    l->announced = false;
    g_mutex_unlock(&l->lock);
}

struct request {
    struct link *link;
    char *command;
    JsonObject *args;
};

static gboolean send_now(gpointer data)
{
    struct request *r = data;
    bool clipboard = g_str_has_prefix(r->command, "clipboard.");

    if (!r->link->ended)
        client_send(r->link->client, r->command, g_steal_pointer(&r->args), clipboard ? on_clipboard : on_reply,
                    r->link);
    return G_SOURCE_REMOVE;
}

static void request_free(gpointer data)
{
    struct request *r = data;

    g_clear_pointer(&r->args, json_object_unref);
    g_free(r->command);
    g_free(r);
}

void link_send(struct link *l, const char *command, JsonObject *args)
{
    struct request r = {l, g_strdup(command), args};

    post(l, send_now, g_memdup2(&r, sizeof r), request_free);
}
