// SPDX-License-Identifier: GPL-2.0-or-later
/* folders.c - a machine's shared folders: which there are, the lines to their processes, and what guests ask of them.
 *
 * A request comes on a vCPU's thread.  What is about one folder goes to its process as a wish, and the vCPU that asks for the
 * answer reads the line; the loop thread has nothing to do with that, only with processes that come and go.  An answer that takes
 * longer than a moment is not waited for: the guest looks again (guest_rpc.c).
 *
 * Sessions are numbers that a guest shows with each request.  One that is not known is taken for one that goes on: a machine that
 * was saved has forgotten its sessions, its guest has not.  The handles of such a session are gone, its names work. */
#include "guest-additions/common/inside.h"
#include "guest-additions/common/hgfs.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { SESSIONS_MOST = 32, ANSWER_SECONDS = 30 };
enum { QUESTIONS_MOST = 128, TOLD_MOST = 64 }; /* of each folder: one that hangs is not the others' trouble */

struct share {
    bool there, from_start; /* from_start: its process is one of those that the machine began with */
    bool read_only;
    char *name;
    int fd;         /* of the line; -1: there is no process */
    int parked;     /* of a process from the start that is not asked any more; -1 */
    GQueue waiting; /* struct folder_question: not sent yet */
};
struct folder_question {
    uint32_t ticket; /* also the line's serial number */
    unsigned share;
    struct hgfs_request request;
    GByteArray *packet; /* NULL: sent */
    gint64 until;
    bool forgotten;
    GBytes *reply;
};
struct session {
    uint64_t id;
    gint64 used;
};
struct folders {
    GMutex lock; /* of all; a leaf */
    struct share share[FOLDERS_MOST];
    GHashTable *questions; /* by ticket */
    uint32_t last_ticket;
    struct session session[SESSIONS_MOST];
    uint8_t buffer[FOLDER_ANSWER_MOST + 1];
};

/* ---- questions ---- */

static void question_free(gpointer data)
{
    struct folder_question *q = data;
    g_clear_pointer(&q->packet, g_byte_array_unref);
    g_clear_pointer(&q->reply, g_bytes_unref);
    g_free(q);
}

/* "1 " and the packet: what the guest gets. */
static GString *begin_reply(void)
{
    return g_string_new("1 ");
}

static GBytes *end_reply(GString *s)
{
    gsize n = s->len;
    return g_bytes_new_take(g_string_free(s, FALSE), n);
}

static GBytes *reply_status(const struct hgfs_request *r, enum hgfs_status status)
{
    GString *s = begin_reply();
    hgfs_reply_status(s, r, status);
    return end_reply(s);
}

/* It has its reply, or nobody waits for one. */
static void settle(struct folders *f, struct folder_question *q, GBytes *reply)
{
    g_clear_pointer(&q->packet, g_byte_array_unref);
    if (q->reply)
        g_bytes_unref(q->reply);
    q->reply = reply;
    if (q->forgotten)
        g_hash_table_remove(f->questions, GUINT_TO_POINTER(q->ticket));
}

/* ---- lines ---- */

static void fail_questions(struct folders *f, unsigned n)
{
    g_autoptr(GList) all = g_hash_table_get_values(f->questions);
    g_queue_clear(&f->share[n].waiting);
    for (GList *l = all; l; l = l->next) {
        struct folder_question *q = l->data;
        if (q->share == n && !q->reply)
            settle(f, q, reply_status(&q->request, HGFS_FAILED));
    }
}

static void close_line(struct folders *f, unsigned n)
{
    struct share *s = &f->share[n];
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    fail_questions(f, n);
}

static void send_waiting(struct folders *f, unsigned n)
{
    struct share *s = &f->share[n];
    struct folder_question *q;
    while (s->fd >= 0 && (q = g_queue_peek_head(&s->waiting))) {
        ssize_t sent = write(s->fd, q->packet->data, q->packet->len);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS))
            return;
        if (sent < 0) {
            close_line(f, n);
            return;
        }
        g_queue_pop_head(&s->waiting);
        g_clear_pointer(&q->packet, g_byte_array_unref);
    }
}

/* One answer; false: that was none. */
static bool take_answer(struct folders *f, unsigned n, size_t bytes)
{
    struct folder_answer a;
    if (bytes < sizeof a || bytes > FOLDER_ANSWER_MOST)
        return false;
    memcpy(&a, f->buffer, sizeof a);
    struct folder_question *q = g_hash_table_lookup(f->questions, GUINT_TO_POINTER(a.serial));
    if (!q || q->reply) /* it came too late */
        return true;
    if (q->share != n || q->packet)
        return false;
    GString *s = begin_reply();
    hgfs_reply(s, &q->request, n, &a, f->buffer + sizeof a, bytes - sizeof a);
    settle(f, q, end_reply(s));
    return true;
}

static void read_answers(struct folders *f, unsigned n)
{
    struct share *s = &f->share[n];
    while (s->fd >= 0) {
        ssize_t got = read(s->fd, f->buffer, sizeof f->buffer);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got <= 0 || !take_answer(f, n, got)) {
            g_warning("folder%u: %s", n + 1,
                      got > 0 ? "its process says what nobody asked for" : "its process has gone");
            close_line(f, n);
        }
    }
}

static void look_at_line(struct folders *f, unsigned n, int ms)
{
    struct pollfd p = {.fd = f->share[n].fd, .events = POLLIN};
    send_waiting(f, n);
    if (f->share[n].fd >= 0 && poll(&p, 1, ms) > 0)
        read_answers(f, n);
    send_waiting(f, n);
}

/* ---- wishes ---- */

static GByteArray *packet_of(const struct hgfs_wish *w, const struct folder_wish *line)
{
    GByteArray *b = g_byte_array_new();
    g_byte_array_append(b, (const uint8_t *)line, sizeof *line);
    g_byte_array_append(b, (const uint8_t *)(w->name.path ? w->name.path : ""), line->path_bytes);
    g_byte_array_append(b, (const uint8_t *)(w->other.path ? w->other.path : ""), line->other_bytes);
    if (w->data_bytes)
        g_byte_array_append(b, w->data, w->data_bytes);
    return b;
}

static unsigned questions_of(const struct folders *f, unsigned n)
{
    GHashTableIter i;
    gpointer q;
    unsigned count = 0;
    g_hash_table_iter_init(&i, f->questions);
    while (g_hash_table_iter_next(&i, NULL, &q))
        count += ((const struct folder_question *)q)->share == n;
    return count;
}

/* What is not sent yet is still to be done. */
static gboolean has_lapsed(gpointer ticket, gpointer question, gpointer share)
{
    const struct folder_question *q = question;
    return q->share == GPOINTER_TO_UINT(share) && q->forgotten && !q->packet && g_get_monotonic_time() > q->until;
}

/* Nobody asks for the answers of forgotten ones: they are read here, before there are too many. */
static bool has_room(struct folders *f, unsigned n, unsigned most)
{
    if (questions_of(f, n) >= most / 2) {
        look_at_line(f, n, 0);
        g_hash_table_foreach_remove(f->questions, has_lapsed, GUINT_TO_POINTER(n));
    }
    return f->share[n].fd >= 0 && questions_of(f, n) < most;
}

/* It waits to be sent, and may be settled and gone once that is tried. */
static struct folder_question *question_new(struct folders *f, unsigned n, const struct hgfs_request *r,
                                            const struct hgfs_wish *w)
{
    struct folder_wish line = w->line;
    do
        f->last_ticket++;
    while (!f->last_ticket || g_hash_table_contains(f->questions, GUINT_TO_POINTER(f->last_ticket)));
    line.serial = f->last_ticket;
    line.owner = r->session;
    line.handle = HGFS_LOCAL_OF(w->name.handle);
    line.flags |= w->name.by_handle ? FOLDER_BY_HANDLE : 0;
    line.path_bytes = w->name.path ? strlen(w->name.path) : 0;
    line.other_bytes = w->other.path ? strlen(w->other.path) : 0;
    struct folder_question *q = g_new0(struct folder_question, 1);
    *q = (struct folder_question){.ticket = line.serial,
                                  .share = n,
                                  .request = *r,
                                  .packet = packet_of(w, &line),
                                  .until = g_get_monotonic_time() + ANSWER_SECONDS * G_USEC_PER_SEC};
    g_hash_table_insert(f->questions, GUINT_TO_POINTER(q->ticket), q);
    g_queue_push_tail(&f->share[n].waiting, q);
    return q;
}

/* NULL: too much is under way. */
static struct folder_question *ask(struct folders *f, unsigned n, const struct hgfs_request *r,
                                   const struct hgfs_wish *w)
{
    struct folder_question *q = has_room(f, n, QUESTIONS_MOST) ? question_new(f, n, r, w) : NULL;
    if (q)
        send_waiting(f, n);
    return q;
}

/* Nobody waits for its answer, so there is always room left for what a guest asks. */
static void tell(struct folders *f, unsigned n, const struct hgfs_request *r, const struct hgfs_wish *w)
{
    if (!has_room(f, n, TOLD_MOST))
        return;
    question_new(f, n, r, w)->forgotten = true;
    send_waiting(f, n);
}

/* ---- sessions ---- */

static void end_session(struct folders *f, uint64_t id)
{
    const struct hgfs_request r = {.session = id};
    const struct hgfs_wish w = {.line.op = FOLDER_END};
    for (unsigned n = 0; n < FOLDERS_MOST; n++)
        if (f->share[n].fd >= 0)
            tell(f, n, &r, &w);
    for (struct session *s = f->session; s < f->session + SESSIONS_MOST; s++)
        if (s->id == id)
            *s = (struct session){0};
}

/* Who has not been heard of for the longest time makes room: a client that was killed says no farewell. */
static void use_session(struct folders *f, uint64_t id)
{
    struct session *oldest = f->session;
    for (struct session *s = f->session; s < f->session + SESSIONS_MOST; s++) {
        if (s->id == id) {
            s->used = g_get_monotonic_time();
            return;
        }
        if (s->used < oldest->used)
            oldest = s;
    }
    if (oldest->id)
        end_session(f, oldest->id);
    *oldest = (struct session){id, g_get_monotonic_time()};
}

static uint64_t new_session(struct folders *f)
{
    uint64_t id = 0;
    while (!id || id == UINT64_MAX)
        if (getrandom(&id, sizeof id, 0) != sizeof id)
            g_error("the host has no random numbers");
    use_session(f, id);
    return id;
}

/* ---- where all folders are ---- */

static struct folder_attr root_attr(const struct folders *f, uint64_t number, bool read_only)
{
    int64_t now = g_get_real_time() * 1000;
    return (struct folder_attr){.kind = FOLDER_IS_FOLDER,
                                .mode = read_only ? 0555 : 0755,
                                .size = 4096,
                                .allocated = 4096,
                                .file = number,
                                .accessed = now,
                                .written = now,
                                .changed = now};
}

static void root_entry(struct folders *f, GByteArray *data, struct folder_answer *a, const char *name, unsigned number,
                       bool read_only)
{
    struct folder_entry e = {.attr = root_attr(f, number, read_only), .name_bytes = strlen(name)};
    g_byte_array_append(data, (const uint8_t *)&e, sizeof e);
    g_byte_array_append(data, (const uint8_t *)name, e.name_bytes);
    a->count++;
}

/* Entries from the one at `from` on: ".", "..", and the folders. */
static void root_list(struct folders *f, uint64_t from, GByteArray *data, struct folder_answer *a)
{
    static const char *const dots[] = {".", ".."};
    uint64_t at = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(dots); i++)
        if (at++ >= from)
            root_entry(f, data, a, dots[i], 1, true);
    for (unsigned n = 0; n < FOLDERS_MOST; n++)
        if (f->share[n].there && at++ >= from)
            root_entry(f, data, a, f->share[n].name, 2 + n, f->share[n].read_only);
}

static GBytes *root_reply(struct folders *f, const struct hgfs_request *r, const struct hgfs_wish *w)
{
    struct folder_answer a = {.attr = root_attr(f, 1, true)};
    g_autoptr(GByteArray) data = g_byte_array_new();
    GString *s = begin_reply();
    switch (r->op) {
    case HGFS_SEARCH_READ: root_list(f, w->line.offset, data, &a); break;
    case HGFS_GET_ATTR:
    case HGFS_SEARCH_OPEN:
    case HGFS_SEARCH_CLOSE: break;
    default: a.error = EACCES; /* what is shared is not for the guest to change */
    }
    hgfs_reply(s, r, HGFS_FOLDER_OF(HGFS_ROOT_HANDLE), &a, data->data, data->len);
    return end_reply(s);
}

/* ---- a request ---- */

/* Where they are is no file system; its room is that of the first folder. */
static unsigned first_share(const struct folders *f)
{
    unsigned n = 0;
    while (n < FOLDERS_MOST && !(f->share[n].there && f->share[n].fd >= 0))
        n++;
    return n;
}

/* FOLDERS_MOST: there is none. */
static unsigned share_named(const struct folders *f, const struct hgfs_name *name)
{
    unsigned n = 0;
    while (n < FOLDERS_MOST && !(f->share[n].there && !strcmp(f->share[n].name, name->share)))
        n++;
    return n;
}

static unsigned share_of(const struct folders *f, const struct hgfs_name *name)
{
    unsigned n = name->by_handle ? HGFS_FOLDER_OF(name->handle) : name->share ? share_named(f, name) : first_share(f);
    return n < FOLDERS_MOST && f->share[n].there ? n : FOLDERS_MOST;
}

static bool is_root(const struct hgfs_name *n)
{
    return n->by_handle ? n->handle == HGFS_ROOT_HANDLE : !n->share;
}

/* What is to be replied at once, or HGFS_OK, and the folder in *n. */
static enum hgfs_status route(const struct folders *f, const struct hgfs_wish *w, unsigned *n)
{
    *n = share_of(f, &w->name);
    if (*n == FOLDERS_MOST)
        return w->name.by_handle ? HGFS_BAD_HANDLE : HGFS_NOT_FOUND;
    if (w->line.op == FOLDER_RENAME && (w->name.by_handle || w->other.by_handle))
        return HGFS_UNKNOWN;
    if (w->line.op == FOLDER_RENAME && (is_root(&w->other) || share_of(f, &w->other) != *n))
        return HGFS_OTHER_DEVICE;
    return f->share[*n].fd < 0 ? HGFS_FAILED : HGFS_OK;
}

static GBytes *begin_session(struct folders *f, struct hgfs_request *r, const struct hgfs_wish *w)
{
    GString *s = begin_reply();
    r->session = new_session(f);
    hgfs_reply_session(s, r, w->packet_most);
    return end_reply(s);
}

/* With the lock. */
static GBytes *answer(struct folders *f, const uint8_t *packet, size_t bytes, uint64_t *ticket)
{
    struct hgfs_request r;
    struct hgfs_wish w;
    GBytes *reply = NULL;
    unsigned n = FOLDERS_MOST;
    enum hgfs_status status = hgfs_parse(packet, bytes, &r, &w);
    if (!status && r.session_header && r.op != HGFS_CREATE_SESSION && r.session)
        use_session(f, r.session);
    if (status)
        reply = reply_status(&r, status);
    else if (r.op == HGFS_CREATE_SESSION)
        reply = begin_session(f, &r, &w);
    else if (r.op == HGFS_DESTROY_SESSION)
        end_session(f, r.session);
    else if (is_root(&w.name) && r.op != HGFS_QUERY_VOLUME)
        reply = root_reply(f, &r, &w);
    else
        status = route(f, &w, &n);
    struct folder_question *q = !reply && !status && n < FOLDERS_MOST ? ask(f, n, &r, &w) : NULL;
    if (q)
        *ticket = q->ticket;
    else if (!reply)
        reply = reply_status(&r, status ? status : r.op == HGFS_DESTROY_SESSION ? HGFS_OK : HGFS_FAILED);
    hgfs_wish_clear(&w);
    return reply;
}

GBytes *folders_answer(struct folders *f, const void *packet, size_t bytes, uint64_t *ticket)
{
    g_mutex_lock(&f->lock);
    GBytes *reply = answer(f, packet, bytes, ticket);
    g_mutex_unlock(&f->lock);
    return reply;
}

GBytes *folders_answered(struct folders *f, uint64_t ticket, int ms)
{
    GBytes *reply = NULL;
    g_mutex_lock(&f->lock);
    struct folder_question *q = g_hash_table_lookup(f->questions, GUINT_TO_POINTER((uint32_t)ticket));
    if (q && !q->reply)
        look_at_line(f, q->share, ms);
    if (q && !q->reply && g_get_monotonic_time() > q->until) { /* its answer will come too late */
        g_queue_remove(&f->share[q->share].waiting, q);
        settle(f, q, reply_status(&q->request, HGFS_FAILED));
    }
    if (q && q->reply) {
        reply = g_steal_pointer(&q->reply);
        g_hash_table_remove(f->questions, GUINT_TO_POINTER(q->ticket));
    } else if (!q) {
        reply = g_bytes_new_static("0 ", 2);
    }
    g_mutex_unlock(&f->lock);
    return reply;
}

void folders_forget(struct folders *f, uint64_t ticket)
{
    g_mutex_lock(&f->lock);
    struct folder_question *q = g_hash_table_lookup(f->questions, GUINT_TO_POINTER((uint32_t)ticket));
    if (q && q->reply)
        g_hash_table_remove(f->questions, GUINT_TO_POINTER(q->ticket));
    else if (q)
        q->forgotten = true; /* it is done all the same */
    g_mutex_unlock(&f->lock);
}

/* ---- which there are; loop thread ---- */

/* A process that the keeper would start again is told to let go of its folder; it stays, and has nothing any more. */
static void park(struct folders *f, struct share *s, int fd)
{
    const struct folder_wish w = {.op = FOLDER_LEAVE};
    if (s->parked >= 0)
        close(s->parked);
    s->parked = fd;
    if (fd >= 0 && write(fd, &w, sizeof w) != sizeof w)
        g_warning("a process of a folder that is not shared any more is not told: %s", g_strerror(errno));
}

bool additions_folder_add(struct additions *a, unsigned number, const char *name, bool read_only, int fd)
{
    struct folders *f = a->folders;
    bool good = number >= 1 && number <= FOLDERS_MOST && folder_name_good(name, strlen(name));
    g_mutex_lock(&f->lock);
    for (unsigned n = 0; n < FOLDERS_MOST && good; n++)
        good = !f->share[n].there || (n + 1 != number && strcmp(f->share[n].name, name));
    if (good) {
        struct share *s = &f->share[number - 1];
        g_free(s->name);
        s->name = g_strdup(name);
        s->there = true;
        s->from_start = fd < 0;
        s->read_only = read_only;
        s->fd = fd;
    }
    g_mutex_unlock(&f->lock);
    return good;
}

void additions_folder_up(struct additions *a, unsigned number, int fd)
{
    struct folders *f = a->folders;
    struct share *s = &f->share[number - 1];
    g_mutex_lock(&f->lock);
    if (s->there && s->from_start) {
        close_line(f, number - 1);
        s->fd = fd;
    } else {
        park(f, s, fd);
    }
    g_mutex_unlock(&f->lock);
}

void additions_folder_down(struct additions *a, unsigned number)
{
    struct folders *f = a->folders;
    struct share *s = &f->share[number - 1];
    g_mutex_lock(&f->lock);
    if (s->there && s->from_start)
        close_line(f, number - 1);
    else if (s->parked >= 0)
        close(s->parked);
    if (!s->there || !s->from_start)
        s->parked = -1;
    g_mutex_unlock(&f->lock);
}

bool additions_folder_remove(struct additions *a, unsigned number)
{
    struct folders *f = a->folders;
    struct share *s = number >= 1 && number <= FOLDERS_MOST ? &f->share[number - 1] : NULL;
    g_mutex_lock(&f->lock);
    bool there = s && s->there;
    if (there && s->from_start && s->fd >= 0) {
        park(f, s, s->fd);
        s->fd = -1;
    }
    if (there) {
        close_line(f, number - 1);
        s->there = false;
    }
    g_mutex_unlock(&f->lock);
    return there;
}

JsonArray *additions_folders(struct additions *a)
{
    JsonArray *all = json_array_new();
    g_mutex_lock(&a->folders->lock);
    for (unsigned n = 0; n < FOLDERS_MOST; n++) {
        const struct share *s = &a->folders->share[n];
        if (!s->there)
            continue;
        JsonObject *o = json_object_new();
        json_object_set_int_member(o, "number", n + 1);
        json_object_set_string_member(o, "name", s->name);
        json_object_set_boolean_member(o, "read-only", s->read_only);
        json_object_set_boolean_member(o, "works", s->fd >= 0);
        json_array_add_object_element(all, o);
    }
    g_mutex_unlock(&a->folders->lock);
    return all;
}

/* ---- life ---- */

bool folders_shared(struct folders *f)
{
    bool any = false;
    g_mutex_lock(&f->lock);
    for (unsigned n = 0; n < FOLDERS_MOST; n++)
        any |= f->share[n].there;
    g_mutex_unlock(&f->lock);
    return any;
}

void additions_reset(struct additions *a)
{
    folders_reset(a->folders);
}

void folders_reset(struct folders *f)
{
    g_mutex_lock(&f->lock);
    for (unsigned i = 0; i < SESSIONS_MOST; i++)
        if (f->session[i].id)
            end_session(f, f->session[i].id);
    end_session(f, 0);
    g_mutex_unlock(&f->lock);
}

struct folders *folders_new(void)
{
    struct folders *f = g_new0(struct folders, 1);
    g_mutex_init(&f->lock);
    f->questions = g_hash_table_new_full(NULL, NULL, NULL, question_free);
    for (unsigned n = 0; n < FOLDERS_MOST; n++) {
        f->share[n].fd = f->share[n].parked = -1;
        g_queue_init(&f->share[n].waiting);
    }
    return f;
}

void folders_free(struct folders *f)
{
    for (unsigned n = 0; n < FOLDERS_MOST; n++) {
        close_line(f, n);
        if (f->share[n].parked >= 0)
            close(f->share[n].parked);
        g_free(f->share[n].name);
    }
    g_hash_table_unref(f->questions);
    g_mutex_clear(&f->lock);
    g_free(f);
}
