// SPDX-License-Identifier: GPL-2.0-or-later
/* gate.c - a client on its way in, and the bytes of one that is in: see vnc.h.  RFB 3.3, 3.7 and 3.8 (RFC 6143). */
#include "gui/vnc/vnc.h"
#include "gui/vnc/messages.h"
#include "gui/vnc/websocket.h"
#include <arpa/inet.h>
#include <errno.h>
#include <glib-unix.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SPEAK_MS = 150,    /* a browser speaks first; whoever says nothing so long is none */
    SHAKE_MS = 20000,  /* until a client is in */
    WAITING_MOST = 16, /* clients that are not in */
    PIECE = 16384,
    BACKLOG = 256 << 10, /* for a client that does not read */
    PAUSE_MOST = 8,      /* seconds between tries of passwords */
    CHALLENGE = 16,
    OWN_SHAKE = 12 + 2 + 4, /* what the viewer says until it waits for ClientInit */
    SECURITY_NONE = 1,
    SECURITY_VNC = 2,
};
enum step {
    STEP_FIRST,
    STEP_WEB,
    STEP_VERSION,
    STEP_SECURITY,
    STEP_RESPONSE,
    STEP_TRY,
    STEP_INIT,
    STEP_PICTURE,
    STEP_IN
};

struct gate {
    struct vnc *vnc;
    unsigned id;
    int fd, inner; /* inner: to the viewer, -1 */
    char *peer;
    gint64 since; /* monotonic */
    enum step step;
    unsigned minor; /* of RFB 3 */
    bool web, closing, view_only;
    uint8_t challenge[CHALLENGE], response[CHALLENGE];
    GByteArray *raw, *in, *out, *to_inner; /* raw: before a web socket's frames are taken off */
    unsigned swallow;                      /* so much of what the viewer says is not for the client */
    struct wait {
        guint source;
        GIOCondition wanted;
    } watch, inner_watch;
    guint timer, late;
    struct viewer *viewer;
    struct messages messages;
    struct pointer pointer;
    uint64_t sent;
};

static void look(struct gate *g); /* at what there is to do */

/* ---- closing ---- */

static void stop_source(guint *id)
{
    if (*id)
        g_source_remove(*id);
    *id = 0;
}

void gate_free(gpointer data)
{
    struct gate *g = data;
    stop_source(&g->watch.source);
    stop_source(&g->inner_watch.source);
    stop_source(&g->timer);
    stop_source(&g->late);
    if (g->inner >= 0)
        shutdown(g->inner, SHUT_RDWR);
    viewer_free(g->viewer);
    if (g->inner >= 0)
        close(g->inner);
    if (g->step == STEP_IN) {
        messages_clear(&g->messages);
        machine_point_release(g->vnc->machine, &g->pointer);
        g_message("VNC client %u (%s) has gone", g->id, g->peer);
    }
    close(g->fd);
    g_byte_array_unref(g->raw);
    g_byte_array_unref(g->in);
    g_byte_array_unref(g->out);
    g_byte_array_unref(g->to_inner);
    g_free(g->peer);
    g_free(g);
}

static gboolean remove_gate(gpointer data)
{
    struct gate *g = data;
    struct vnc *v = g->vnc;
    g->timer = 0;
    g_ptr_array_remove(v->gates, g);
    if (!v->gates->len)
        machine_watch_picture(v->machine, false);
    return G_SOURCE_REMOVE;
}

/* It goes when the loop comes by: whoever called may look at it still. */
static void end(struct gate *g)
{
    if (g->closing)
        return;
    g->closing = true;
    stop_source(&g->watch.source);
    stop_source(&g->inner_watch.source);
    stop_source(&g->timer);
    stop_source(&g->late);
    g->timer = g_idle_add_full(G_PRIORITY_DEFAULT, remove_gate, g, NULL);
}

static void refuse(struct gate *g, const char *why)
{
    if (!g->closing)
        g_message("VNC client %u (%s) is sent away: %s", g->id, g->peer, why);
    end(g);
}

/* ---- what it gets ---- */

static bool flush(struct gate *g)
{
    while (g->out->len) {
        ssize_t n = send(g->fd, g->out->data, g->out->len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n <= 0)
            return false;
        g->sent += n;
        g_byte_array_remove_range(g->out, 0, n);
    }
    return true;
}

static void put(struct gate *g, const void *data, size_t n)
{
    if (g->web)
        websocket_put(g->out, data, n);
    else
        g_byte_array_append(g->out, data, n);
}

static void put_number(struct gate *g, uint32_t n)
{
    uint32_t wire = htonl(n);
    put(g, &wire, sizeof wire);
}

/* The last word, as far as the client can hear it at once. */
static void say_no(struct gate *g, const char *why)
{
    put_number(g, 1);
    if (g->minor >= 8) {
        put_number(g, strlen(why));
        put(g, why, strlen(why));
    }
    flush(g);
    refuse(g, why);
}

/* ---- letting in ---- */

static gboolean on_late(gpointer data)
{
    struct gate *g = data;
    g->late = 0;
    refuse(g, "it took too long");
    return G_SOURCE_REMOVE;
}

static void send_version(struct gate *g)
{
    g->step = STEP_VERSION;
    put(g, "RFB 003.008\n", 12);
}

static gboolean on_silence(gpointer data)
{
    struct gate *g = data;
    g->timer = 0;
    send_version(g);
    look(g);
    return G_SOURCE_REMOVE;
}

static bool take_first(struct gate *g)
{
    if (!g->raw->len)
        return false;
    stop_source(&g->timer);
    if (*g->raw->data == 'G')
        g->step = STEP_WEB;
    else
        send_version(g);
    return true;
}

static bool take_web(struct gate *g)
{
    enum websocket_said said = websocket_open(g->raw, g->out);
    if (said == WEBSOCKET_MORE)
        return false;
    g->web = said == WEBSOCKET_OPEN;
    if (g->web) {
        send_version(g);
        return true;
    }
    flush(g);
    refuse(g, "it asked for a web page, or comes from a page of elsewhere");
    return false;
}

static bool take(struct gate *g, void *to, unsigned n)
{
    if (g->in->len < n)
        return false;
    memcpy(to, g->in->data, n);
    g_byte_array_remove_range(g->in, 0, n);
    return true;
}

static void challenge(struct gate *g)
{
    if (getrandom(g->challenge, CHALLENGE, 0) != CHALLENGE) {
        refuse(g, "there are no random numbers");
        return;
    }
    put(g, g->challenge, CHALLENGE);
    g->step = STEP_RESPONSE;
}

static bool take_version(struct gate *g)
{
    char text[13] = "";
    bool secret = g->vnc->password != NULL;
    if (!take(g, text, 12))
        return false;
    if (strncmp(text, "RFB 003.", 8) || text[11] != '\n') {
        refuse(g, "it does not speak RFB 3");
        return false;
    }
    unsigned minor = strtoul(text + 8, NULL, 10);
    g->minor = minor == 7 || minor == 8 ? minor : 3; /* 889 is Apple's, which means 3 */
    if (g->minor == 3) {
        put_number(g, secret ? SECURITY_VNC : SECURITY_NONE);
        g->step = STEP_INIT;
        if (secret)
            challenge(g);
        return true;
    }
    put(g, (uint8_t[]){1, secret ? SECURITY_VNC : SECURITY_NONE}, 2);
    g->step = STEP_SECURITY;
    return true;
}

static bool take_security(struct gate *g)
{
    uint8_t wanted, offered = g->vnc->password ? SECURITY_VNC : SECURITY_NONE;
    if (!take(g, &wanted, 1))
        return false;
    if (wanted != offered) {
        say_no(g, "That kind of security was not offered.");
        return false;
    }
    if (offered == SECURITY_VNC) {
        challenge(g);
        return true;
    }
    if (g->minor >= 8)
        put_number(g, 0);
    g->step = STEP_INIT;
    return true;
}

/* ---- passwords ---- */

static bool is_right(const struct gate *g)
{
    char secret[VNC_PASSWORD_MOST + 1] = "";
    uint8_t wanted[CHALLENGE];
    unsigned differ = 0;
    if (!g->vnc->password)
        return false; /* it was taken away meanwhile */
    g_strlcpy(secret, g->vnc->password, sizeof secret);
    memcpy(wanted, g->challenge, CHALLENGE);
    rfbEncryptBytes(wanted, secret);
    for (unsigned i = 0; i < CHALLENGE; i++)
        differ |= wanted[i] ^ g->response[i];
    return !differ;
}

/* Also one that is right waits for its turn: else many connections at once could guess as fast as they like. */
static gboolean on_turn(gpointer data)
{
    struct gate *g = data;
    struct vnc *v = g->vnc;
    gint64 now = g_get_monotonic_time();
    g->timer = 0;
    if (now < v->next_try) {
        g->timer = g_timeout_add((v->next_try - now) / 1000 + 1, on_turn, g);
        return G_SOURCE_REMOVE;
    }
    if (is_right(g)) {
        v->wrong = 0;
        g->late = g_timeout_add(SHAKE_MS, on_late, g);
        put_number(g, 0);
        g->step = STEP_INIT;
        look(g);
        return G_SOURCE_REMOVE;
    }
    v->next_try = now + MIN(1 << MIN(v->wrong, 8), PAUSE_MOST) * G_USEC_PER_SEC;
    v->wrong++;
    say_no(g, "The password is wrong.");
    return G_SOURCE_REMOVE;
}

static bool take_response(struct gate *g)
{
    if (!take(g, g->response, CHALLENGE))
        return false;
    g->step = STEP_TRY;
    stop_source(&g->late); /* its turn may come late */
    g->timer = g_idle_add(on_turn, g);
    return false;
}

/* ---- in ---- */

/* Who waits for the picture only is as good as in. */
static bool others_make_room(struct gate *g)
{
    struct vnc *v = g->vnc;
    unsigned others = 0;
    if (v->exclusive)
        gates_close(v, g);
    for (unsigned i = 0; i < v->gates->len; i++) {
        const struct gate *other = v->gates->pdata[i];
        others += other->step >= STEP_PICTURE && !other->closing;
    }
    return others < v->most;
}

static void send_key(void *ctx, unsigned code, bool down)
{
    struct gate *g = ctx;
    machine_press(g->vnc->machine, code, down);
}

static bool start_viewer(struct gate *g)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
        refuse(g, g_strerror(errno));
        return false;
    }
    g->inner = pair[0];
    g->swallow = OWN_SHAKE;
    g_byte_array_append(g->to_inner, (const guint8 *)"RFB 003.008\n\1\1", 14);
    g_unix_set_fd_nonblocking(g->inner, TRUE, NULL);
    if (send(g->inner, g->to_inner->data, 12, MSG_NOSIGNAL) == 12) /* it looks for that at once */
        g_byte_array_remove_range(g->to_inner, 0, 12);
    g->viewer = viewer_new(g->vnc, pair[1], !g->vnc->view_only);
    if (!g->viewer) {
        refuse(g, "there are as many clients as may be");
        return false;
    }
    return true;
}

static bool take_picture(struct gate *g)
{
    struct vnc *v = g->vnc;
    if (!v->picture || !start_viewer(g))
        return false;
    stop_source(&g->late);
    g->step = STEP_IN;
    g->view_only = v->view_only; /* it may have changed since it connected */
    messages_init(&g->messages, v->keymap, send_key, g);
    g->messages.keys.leds = machine_leds_now(v->machine);
    g_message("VNC client %u (%s) is let in%s", g->id, g->peer, g->view_only ? ", to look on" : "");
    return true;
}

static bool take_init(struct gate *g)
{
    uint8_t shared;
    if (!take(g, &shared, 1))
        return false;
    if (!others_make_room(g)) {
        refuse(g, "there are as many clients as may be");
        return false;
    }
    g->step = STEP_PICTURE;
    machine_watch_picture(g->vnc->machine, true);
    return true;
}

/* What a message is for: see messages.c. */
static bool take_message(struct gate *g)
{
    struct messages *m = &g->messages;
    if (machine_is_busy(g->vnc->machine) || g->to_inner->len > BACKLOG)
        return false;
    enum message_kind kind = messages_take(m, g->in, g->to_inner, g->view_only);
    struct machine_link *machine = g->vnc->machine;
    switch (kind) {
    case MESSAGE_NONE: return false;
    case MESSAGE_BAD: refuse(g, m->complaint); return false;
    case MESSAGE_POINTER: machine_point(machine, &g->pointer, m->x, m->y, m->buttons); break;
    case MESSAGE_XVP: machine_xvp(machine, m->code); break;
    case MESSAGE_ENCODINGS:
        if (m->new_keys)
            viewer_greet_keys(g->viewer);
        if (m->wants_leds)
            viewer_leds(g->viewer, machine_leds_now(machine));
        break;
    case MESSAGE_DONE: break;
    }
    return true;
}

/* ---- the sockets ---- */

static bool take_step(struct gate *g)
{
    switch (g->step) {
    case STEP_FIRST: return take_first(g);
    case STEP_WEB: return take_web(g);
    case STEP_VERSION: return take_version(g);
    case STEP_SECURITY: return take_security(g);
    case STEP_RESPONSE: return take_response(g);
    case STEP_TRY: return false;
    case STEP_INIT: return take_init(g);
    case STEP_PICTURE: return take_picture(g);
    case STEP_IN: return take_message(g);
    }
    return false;
}

static bool unpack(struct gate *g)
{
    if (g->step <= STEP_WEB)
        return true;
    if (g->web)
        return websocket_take(g->raw, g->in, g->out);
    g_byte_array_append(g->in, g->raw->data, g->raw->len);
    g_byte_array_set_size(g->raw, 0);
    return true;
}

static bool flush_inner(struct gate *g)
{
    while (g->to_inner->len && g->inner >= 0) {
        ssize_t n = send(g->inner, g->to_inner->data, g->to_inner->len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        if (n <= 0)
            return false;
        g_byte_array_remove_range(g->to_inner, 0, n);
    }
    return true;
}

static gboolean on_client(int fd, GIOCondition condition, gpointer data);
static gboolean on_inner(int fd, GIOCondition condition, gpointer data);

static void wait_for(struct wait *w, int fd, bool in, bool out, GUnixFDSourceFunc fn, struct gate *g)
{
    GIOCondition wanted = (in ? G_IO_IN : 0) | (out ? G_IO_OUT : 0);
    if (w->source && w->wanted == wanted)
        return;
    stop_source(&w->source);
    *w = (struct wait){g_unix_fd_add(fd, wanted, fn, g), wanted};
}

/* Reads no more than is worked off. */
static void watch(struct gate *g)
{
    if (g->closing)
        return;
    bool room = g->in->len <= BACKLOG && g->out->len <= BACKLOG && g->raw->len <= WEBSOCKET_FRAME_MOST + PIECE;
    wait_for(&g->watch, g->fd, room, g->out->len, on_client, g);
    if (g->inner >= 0)
        wait_for(&g->inner_watch, g->inner, g->out->len < BACKLOG, g->to_inner->len, on_inner, g);
}

static void viewer_ended(struct gate *g)
{
    refuse(g, "its viewer ended: it did not read for long, or asked for what makes no sense");
}

static void look(struct gate *g)
{
    bool more = !g->closing;
    while (more) {
        if (!unpack(g)) {
            refuse(g, "its web socket ended");
            return;
        }
        more = take_step(g) && !g->closing;
    }
    if (!g->closing && !flush(g))
        refuse(g, "its connection broke");
    if (!g->closing && !flush_inner(g))
        viewer_ended(g);
    watch(g);
}

/* What came, at most PIECE bytes; 0: it has ended; -1: nothing yet. */
static ssize_t receive(int fd, GIOCondition condition, guint8 *piece)
{
    if (!(condition & (G_IO_IN | G_IO_HUP | G_IO_ERR)))
        return -1;
    ssize_t n = recv(fd, piece, PIECE, MSG_DONTWAIT);
    return n < 0 && errno != EAGAIN && errno != EINTR ? 0 : n;
}

static gboolean on_client(int fd, GIOCondition condition, gpointer data)
{
    struct gate *g = data;
    guint8 piece[PIECE];
    ssize_t n = receive(fd, condition, piece);
    if (n > 0)
        g_byte_array_append(g->raw, piece, n);
    if (!n)
        end(g);
    else
        look(g);
    return G_SOURCE_CONTINUE; /* else it was removed by whoever changed what is waited for */
}

/* From the viewer to the client. */
static gboolean on_inner(int fd, GIOCondition condition, gpointer data)
{
    struct gate *g = data;
    guint8 piece[PIECE];
    ssize_t n = receive(fd, condition, piece);
    unsigned skipped = n > 0 ? MIN((unsigned)n, g->swallow) : 0;
    g->swallow -= skipped;
    if (n > (ssize_t)skipped)
        put(g, piece + skipped, n - skipped);
    if (!n)
        viewer_ended(g);
    look(g);
    return G_SOURCE_CONTINUE;
}

/* ---- all of them ---- */

/* "127.0.0.1", or "unix". */
static char *peer_of(int fd)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof a;
    char text[INET6_ADDRSTRLEN] = "unix";
    if (!getpeername(fd, (struct sockaddr *)&a, &n) && a.ss_family == AF_INET)
        inet_ntop(AF_INET, &((struct sockaddr_in *)&a)->sin_addr, text, sizeof text);
    else if (a.ss_family == AF_INET6)
        inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&a)->sin6_addr, text, sizeof text);
    return g_strdup(text);
}

/* Those that are not in yet may not keep others out: the oldest goes. */
static void make_room(struct vnc *v)
{
    struct gate *oldest = NULL;
    unsigned waiting = 0;
    for (unsigned i = 0; i < v->gates->len; i++) {
        struct gate *g = v->gates->pdata[i];
        if (g->step == STEP_IN || g->closing)
            continue;
        waiting++;
        if (!oldest || (oldest->step == STEP_TRY && g->step != STEP_TRY)) /* who has answered waits for its turn */
            oldest = g;
    }
    if (waiting >= WAITING_MOST)
        refuse(oldest, "too many others wait to be let in");
}

void gate_new(struct vnc *v, int fd)
{
    struct gate *g = g_new0(struct gate, 1);
    make_room(v);
    *g = (struct gate){
        .vnc = v, .id = ++v->next_id, .fd = fd, .inner = -1, .peer = peer_of(fd), .view_only = v->view_only};
    g->since = g_get_monotonic_time();
    g->raw = g_byte_array_new();
    g->in = g_byte_array_new();
    g->out = g_byte_array_new();
    g->to_inner = g_byte_array_new();
    g->timer = g_timeout_add(SPEAK_MS, on_silence, g);
    g->late = g_timeout_add(SHAKE_MS, on_late, g);
    g_ptr_array_add(v->gates, g);
    watch(g);
}

typedef void (*gate_fn)(struct gate *g, void *ctx);

static void for_each_in(struct vnc *v, gate_fn fn, void *ctx)
{
    for (unsigned i = 0; i < v->gates->len; i++) {
        struct gate *g = v->gates->pdata[i];
        if (g->step == STEP_IN && !g->closing)
            fn(g, ctx);
    }
}

static void tell_picture(struct gate *g, void *ctx)
{
    viewer_picture(g->viewer, g->vnc->picture);
}

void gates_picture(struct vnc *v)
{
    for_each_in(v, tell_picture, NULL);
    for (unsigned i = 0; i < v->gates->len; i++)
        if (((struct gate *)v->gates->pdata[i])->step == STEP_PICTURE)
            look(v->gates->pdata[i]);
}

static void tell_damage(struct gate *g, void *ctx)
{
    const int *box = ctx;
    viewer_damage(g->viewer, box[0], box[1], box[2], box[3]);
}

void gates_damage(struct vnc *v, int x, int y, int width, int height)
{
    for_each_in(v, tell_damage, (int[]){x, y, width, height});
}

static void tell_leds(struct gate *g, void *ctx)
{
    g->messages.keys.leds = machine_leds_now(g->vnc->machine);
    if (g->messages.wants_leds)
        viewer_leds(g->viewer, g->messages.keys.leds);
}

void gates_leds(struct vnc *v)
{
    for_each_in(v, tell_leds, NULL);
}

static void go_on(struct gate *g, void *ctx)
{
    look(g);
}

void gates_go_on(struct vnc *v)
{
    for_each_in(v, go_on, NULL);
}

void gates_close(struct vnc *v, struct gate *save)
{
    for (unsigned i = 0; i < v->gates->len; i++)
        if (v->gates->pdata[i] != save)
            end(v->gates->pdata[i]);
}

static void count(struct gate *g, void *ctx)
{
    ++*(unsigned *)ctx;
}

static void look_on(struct gate *g, void *ctx)
{
    g->view_only = g->vnc->view_only;
    keys_release_all(&g->messages.keys);
    machine_point_release(g->vnc->machine, &g->pointer);
}

void gates_view_only(struct vnc *v)
{
    for_each_in(v, look_on, NULL);
}

unsigned gates_in(const struct vnc *v)
{
    unsigned n = 0;
    for_each_in((struct vnc *)v, count, &n);
    return n;
}

JsonObject *gate_describe(const struct gate *g)
{
    if (g->step != STEP_IN || g->closing)
        return NULL;
    JsonObject *o = json_object_new();
    json_object_set_int_member(o, "id", g->id);
    json_object_set_string_member(o, "address", g->peer);
    json_object_set_boolean_member(o, "web", g->web);
    json_object_set_boolean_member(o, "view-only", g->view_only);
    json_object_set_boolean_member(o, "extended-keys", g->messages.keys_by_place);
    json_object_set_int_member(o, "seconds", (g_get_monotonic_time() - g->since) / G_USEC_PER_SEC);
    json_object_set_int_member(o, "sent-bytes", g->sent);
    return o;
}

bool gate_close_id(struct vnc *v, unsigned id)
{
    for (unsigned i = 0; i < v->gates->len; i++) {
        struct gate *g = v->gates->pdata[i];
        if (g->id == id && g->step == STEP_IN && !g->closing) {
            end(g);
            return true;
        }
    }
    return false;
}
