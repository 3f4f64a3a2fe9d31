// SPDX-License-Identifier: GPL-2.0-or-later
/* input_queue.c - the user's keys and pointer moves on their way to a device.  A device whose queue is full says no; the
 * event then waits here and is offered again a little later.  Pointer moves that wait are added up. */
#include "core-vmm/api/input.h"
#include "core-vmm/machine/core.h"

#define RETRY_MS    10
#define MAX_WAITING 10000

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

/* True if the device took it (or there is none to take it). */
static bool offer(struct machine *m, const struct event *e)
{
    struct device *d = e->kind == KEY ? m->keyboard : m->pointer;
    if (!d)
        return true;
    const struct input_ops *ops = d->ops->input;
    bool taken = true;
    dev_lock(d);
    if (e->kind == KEY && ops->key)
        taken = ops->key(d, e->code, e->down);
    else if (e->kind == RELATIVE && ops->pointer)
        taken = ops->pointer(d, e->x, e->y, e->wheel, e->buttons);
    else if (e->kind == ABSOLUTE && ops->pointer_absolute)
        taken = ops->pointer_absolute(d, e->x, e->y, e->wheel, e->buttons);
    dev_unlock(d);
    return taken;
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
    last->x = add ? last->x + e->x : e->x;
    last->y = add ? last->y + e->y : e->y;
    last->wheel += e->wheel;
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
    return m->pointer && m->pointer->ops->input->pointer_absolute;
}

unsigned machine_leds(struct machine *m)
{
    const struct input_ops *ops = m->keyboard ? m->keyboard->ops->input : NULL;
    if (!ops || !ops->leds)
        return 0;
    dev_lock(m->keyboard);
    unsigned leds = ops->leds(m->keyboard);
    dev_unlock(m->keyboard);
    return leds;
}
