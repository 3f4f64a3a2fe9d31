// SPDX-License-Identifier: GPL-2.0-or-later
/* input_queue.c - the user's keys and pointer moves on their way to a device.  A device whose queue is full says no; the
 * event then waits here and is offered again a little later.  Pointer moves that wait are added up.  Which of several devices
 * it is: see dev_input(). */
#include "core-vmm/api/input.h"
#include "core-vmm/machine/core.h"
#include <linux/input-event-codes.h>

#define RETRY_MS    10
#define MAX_WAITING 10000
#define MOVE_MAX    (1 << 24)

enum kind { KEY, RELATIVE, ABSOLUTE };
struct event {
    enum kind kind;
    unsigned code, buttons; /* code: key */
    bool down;
    int x, y, wheel;
};
struct input_queue {
    struct machine *machine;
    GQueue waiting;
    unsigned retry;
    struct device *key_owner[KEY_CNT]; /* who has the key that is down */
    struct device *button_owner;       /* who got the last pointer event, ... */
    struct event pointed;              /* ... and that */
};

struct input_queue *input_queue_new(struct machine *m)
{
    struct input_queue *q = g_new0(struct input_queue, 1);
    q->machine = m;
    g_queue_init(&q->waiting);
    return q;
}

void input_queue_free(struct input_queue *q)
{
    if (q->retry)
        g_source_remove(q->retry);
    g_queue_clear_full(&q->waiting, g_free);
    g_free(q);
}

/* ---- who gets it ---- */

void input_add(struct machine *m, struct device *d)
{
    if (d->ops->input && m->input_count < MAX_INPUTS)
        m->inputs[m->input_count++] = d;
}

void input_remove(struct machine *m, struct device *d)
{
    struct input_queue *q = m->input;
    unsigned n = 0;
    for (unsigned i = 0; i < m->input_count; i++)
        if (m->inputs[i] != d)
            m->inputs[n++] = m->inputs[i];
    m->input_count = n;
    for (unsigned code = 0; code < KEY_CNT; code++)
        if (q->key_owner[code] == d)
            q->key_owner[code] = NULL;
    if (q->button_owner == d)
        q->button_owner = NULL;
}

static void listen(struct machine *m, _Atomic unsigned *since, bool on)
{
    if (on != (atomic_load(since) > 0))
        atomic_store(since, on ? atomic_fetch_add(&m->listens, 1) + 1 : 0);
}

void dev_input(struct device *d, unsigned listened_to)
{
    listen(d->machine, &d->core->keyboard_since, listened_to & INPUT_KEYBOARD);
    listen(d->machine, &d->core->pointer_since, listened_to & INPUT_POINTER);
    listen(d->machine, &d->core->absolute_since, listened_to & INPUT_ABSOLUTE);
}

static bool takes(const struct device *d, enum kind kind)
{
    const struct input_ops *ops = d->ops->input;
    return kind == KEY ? ops->key != NULL : kind == RELATIVE ? ops->pointer != NULL : ops->pointer_absolute != NULL;
}

static unsigned listened_since(const struct device *d, enum kind kind)
{
    const struct device_core *c = d->core;
    return atomic_load(kind == KEY ? &c->keyboard_since : kind == RELATIVE ? &c->pointer_since : &c->absolute_since);
}

static struct device *receiver(struct machine *m, enum kind kind)
{
    struct device *best = NULL;
    unsigned best_since = 0;
    for (unsigned i = 0; i < m->input_count; i++) {
        struct device *d = m->inputs[i];
        unsigned since = listened_since(d, kind);
        if (!takes(d, kind) || (kind == ABSOLUTE && !since) || (best && since <= best_since))
            continue;
        best = d;
        best_since = since;
    }
    return best;
}

/* A key comes up where it went down, though the guest may listen to another keyboard by now. */
static bool offer_key(struct input_queue *q, const struct event *e)
{
    struct device **owner = e->code < KEY_CNT ? &q->key_owner[e->code] : NULL;
    struct device *d = owner && *owner ? *owner : receiver(q->machine, KEY);
    if (!d)
        return true;
    dev_lock(d);
    bool taken = d->ops->input->key(d, e->code, e->down);
    dev_unlock(d);
    if (taken && owner)
        *owner = e->down ? d : NULL;
    return taken;
}

static bool send_pointer(struct device *d, const struct event *e)
{
    const struct input_ops *ops = d->ops->input;
    dev_lock(d);
    bool taken = e->kind == RELATIVE ? ops->pointer(d, e->x, e->y, e->wheel, e->buttons)
                                     : ops->pointer_absolute(d, e->x, e->y, e->wheel, e->buttons);
    dev_unlock(d);
    return taken;
}

/* Buttons that were held when another pointer took over come up on the one before, where it then is. */
static bool let_go(struct input_queue *q)
{
    struct event up = {.kind = q->pointed.kind};
    if (!q->button_owner || !q->pointed.buttons)
        return true;
    if (up.kind == ABSOLUTE) {
        up.x = q->pointed.x;
        up.y = q->pointed.y;
    }
    return send_pointer(q->button_owner, &up);
}

static bool offer_pointer(struct input_queue *q, const struct event *e)
{
    struct device *d = receiver(q->machine, e->kind);
    if (!d)
        return true;
    if (d != q->button_owner) {
        if (!let_go(q))
            return false;
        q->button_owner = NULL;
    }
    if (!send_pointer(d, e))
        return false;
    q->button_owner = d;
    q->pointed = *e;
    return true;
}

/* True if the device took it (or there is none to take it). */
static bool offer(struct machine *m, const struct event *e)
{
    return e->kind == KEY ? offer_key(m->input, e) : offer_pointer(m->input, e);
}

static gboolean retry(gpointer data)
{
    struct input_queue *q = data;
    struct event *e;
    while ((e = g_queue_peek_head(&q->waiting)) && offer(q->machine, e))
        g_free(g_queue_pop_head(&q->waiting));
    if (e)
        return G_SOURCE_CONTINUE;
    q->retry = 0;
    return G_SOURCE_REMOVE;
}

static bool merge(struct event *last, const struct event *e)
{
    if (!last || last->kind != e->kind || e->kind == KEY || last->buttons != e->buttons)
        return false;
    bool add = e->kind == RELATIVE;
    last->x = CLAMP(add ? last->x + e->x : e->x, -MOVE_MAX, MOVE_MAX);
    last->y = CLAMP(add ? last->y + e->y : e->y, -MOVE_MAX, MOVE_MAX);
    last->wheel = CLAMP(last->wheel + e->wheel, -MOVE_MAX, MOVE_MAX);
    return true;
}

static void put(struct machine *m, struct event e)
{
    struct input_queue *q = m->input;
    if (g_queue_is_empty(&q->waiting) && offer(m, &e))
        return;
    if (merge(g_queue_peek_tail(&q->waiting), &e) || q->waiting.length >= MAX_WAITING)
        return;
    g_queue_push_tail(&q->waiting, g_memdup2(&e, sizeof e));
    if (!q->retry)
        q->retry = g_timeout_add(RETRY_MS, retry, q);
}

void machine_key(struct machine *m, unsigned evdev_code, bool down)
{
    put(m, (struct event){.kind = KEY, .code = evdev_code, .down = down});
}

void machine_pointer(struct machine *m, int dx, int dy, int wheel, unsigned buttons)
{
    put(m, (struct event){.kind = RELATIVE, .x = dx, .y = dy, .wheel = wheel, .buttons = buttons});
}

void machine_pointer_absolute(struct machine *m, uint16_t x, uint16_t y, int wheel, unsigned buttons)
{
    put(m, (struct event){.kind = ABSOLUTE, .x = x, .y = y, .wheel = wheel, .buttons = buttons});
}

bool machine_takes_absolute(struct machine *m)
{
    return receiver(m, ABSOLUTE) != NULL;
}

unsigned machine_leds(struct machine *m)
{
    struct device *d = receiver(m, KEY);
    if (!d || !d->ops->input->leds)
        return 0;
    dev_lock(d);
    unsigned leds = d->ops->input->leds(d);
    dev_unlock(d);
    return leds;
}

/* ---- saved state ---- */

/* What is added up must not overflow. */
static bool sane(int move)
{
    return move >= -MOVE_MAX && move <= MOVE_MAX;
}

static void sync_event(struct event *e, struct stream *s)
{
    uint32_t kind = e->kind, code = e->code, buttons = e->buttons, x = e->x, y = e->y, wheel = e->wheel;
    stream_check_u32(s, &kind, ABSOLUTE);
    stream_u32(s, &code);
    stream_u32(s, &buttons);
    stream_bool(s, &e->down);
    stream_u32(s, &x);
    stream_u32(s, &y);
    stream_u32(s, &wheel);
    *e = (struct event){kind, code, buttons, e->down, (int)x, (int)y, (int)wheel};
    s->failed |= !sane(e->x) || !sane(e->y) || !sane(e->wheel);
}

bool input_queue_sync(struct input_queue *q, struct stream *s)
{
    uint32_t n = q->waiting.length;
    stream_check_u32(s, &n, MAX_WAITING);
    if (s->loading)
        g_queue_clear_full(&q->waiting, g_free);
    for (GList *l = q->waiting.head; l && !s->loading; l = l->next)
        sync_event(l->data, s);
    for (uint32_t i = 0; s->loading && i < n && stream_ok(s); i++) {
        struct event e = {0};
        sync_event(&e, s);
        g_queue_push_tail(&q->waiting, g_memdup2(&e, sizeof e));
    }
    if (s->loading && n && !q->retry)
        q->retry = g_timeout_add(RETRY_MS, retry, q);
    return stream_ok(s);
}
