// SPDX-License-Identifier: GPL-2.0-or-later
/* clock.c - guest time in nanoseconds, and timers on it.
 *
 * Guest time is CLOCK_MONOTONIC minus the time that the machine stood still; the guest's TSC is the host's minus the
 * ticks of the same pauses, so that all clocks of the guest agree and none jumps after a pause.
 *
 * Timers sit in a binary heap.  Whoever notices that one is due runs it: the loop thread (woken by a timerfd), or a vCPU
 * that halted and waits for the next timer itself, which saves the guest two thread switches per timer interrupt.  While
 * a vCPU does so, the timerfd is set a little later, as a safety net only.
 * A timer's function runs without the clock's lock; one timer never runs twice at a time (the device's lock sees to it).
 *
 * Work that a timer does may take longer than the pause after which it wants to go on.  So what comes due while others run waits
 * for the next round; and in the loop thread that one comes with the priority of other sources, so that they have their turn:
 * a guest that gives its devices too much to do does not keep the VM from hearing "stop". */
#include "core-vmm/machine/core.h"
#include <string.h>
#include <glib-unix.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define HALTED_SLACK_NS 100000
#define CALIBRATION_NS  10000000
#define STEPPED_TSC_KHZ 1000000u /* one that moves with the steps */

struct timer {
    struct clock *clock;
    void (*fn)(void *ctx);
    void *ctx;
    uint64_t at;
    int heap_index; /* -1: not set */
};

struct clock {
    pthread_mutex_t lock;
    bool stepped, going;
    uint64_t guest_ns;   /* while standing or stepped */
    uint64_t host_start; /* host ns at which guest time 0 would have been, while going */
    uint64_t tsc_stood;  /* host TSC when it stopped */
    _Atomic int64_t tsc_offset;
    uint64_t tsc_khz;
    GPtrArray *heap;
    _Atomic int halted;
    int timer_fd;
    GSource *source;
    uint64_t armed; /* guest ns the timerfd is set to; DEV_NEVER: not */
};

static uint64_t host_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

/* The two clocks at one moment: of several readings the one that took the shortest, for this thread may lose the CPU
 * between them. */
static void read_both(uint64_t *ns, uint64_t *tsc)
{
    uint64_t shortest = UINT64_MAX;
    for (int i = 0; i < 16; i++) {
        uint64_t before = __rdtsc(), now = host_ns(), took = __rdtsc() - before;
        if (took < shortest) {
            shortest = took;
            *ns = now;
            *tsc = before + took / 2;
        }
    }
}

static uint64_t measure_tsc_khz(void)
{
    uint64_t ns, tsc, ns_end, tsc_end;
    read_both(&ns, &tsc);
    while (host_ns() - ns < CALIBRATION_NS)
        ;
    read_both(&ns_end, &tsc_end);
    return (tsc_end - tsc) * 1000000 / (ns_end - ns);
}

static gboolean timer_fd_ready(int fd, GIOCondition condition, gpointer data)
{
    uint64_t times;
    struct clock *c = data;
    if (read(fd, &times, sizeof times) < 0)
        return G_SOURCE_CONTINUE;
    pthread_mutex_lock(&c->lock);
    c->armed = DEV_NEVER;
    pthread_mutex_unlock(&c->lock);
    clock_run(c);
    g_source_set_priority(c->source, clock_until_next(c) ? G_PRIORITY_HIGH : G_PRIORITY_DEFAULT);
    return G_SOURCE_CONTINUE;
}

struct clock *clock_new(bool stepped)
{
    struct clock *c = g_new0(struct clock, 1);
    pthread_mutex_init(&c->lock, NULL);
    c->stepped = stepped;
    c->armed = DEV_NEVER;
    c->heap = g_ptr_array_new();
    c->tsc_khz = stepped ? STEPPED_TSC_KHZ : measure_tsc_khz();
    c->tsc_stood = __rdtsc();
    c->tsc_offset = -(int64_t)c->tsc_stood;
    c->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    c->source = g_unix_fd_source_new(c->timer_fd, G_IO_IN);
    g_source_set_priority(c->source, G_PRIORITY_HIGH);
    g_source_set_callback(c->source, G_SOURCE_FUNC(timer_fd_ready), c, NULL);
    g_source_attach(c->source, NULL);
    return c;
}

void clock_free(struct clock *c)
{
    g_source_destroy(c->source);
    g_source_unref(c->source);
    close(c->timer_fd);
    g_ptr_array_unref(c->heap);
    pthread_mutex_destroy(&c->lock);
    g_free(c);
}

static uint64_t now_locked(struct clock *c)
{
    return c->going && !c->stepped ? host_ns() - c->host_start : c->guest_ns;
}

uint64_t clock_now(struct clock *c)
{
    pthread_mutex_lock(&c->lock);
    uint64_t now = now_locked(c);
    pthread_mutex_unlock(&c->lock);
    return now;
}

const _Atomic int64_t *clock_tsc_offset(struct clock *c)
{
    return &c->tsc_offset;
}

uint64_t clock_tsc_khz(struct clock *c)
{
    return c->tsc_khz;
}

uint64_t clock_tsc(struct clock *c)
{
    if (c->stepped)
        return c->guest_ns * (STEPPED_TSC_KHZ / 1000000);
    return (c->going ? __rdtsc() : c->tsc_stood) + atomic_load(&c->tsc_offset);
}

/* ---- the heap ---- */

static struct timer *heap_at(struct clock *c, unsigned i)
{
    return g_ptr_array_index(c->heap, i);
}

static void heap_put(struct clock *c, unsigned i, struct timer *t)
{
    g_ptr_array_index(c->heap, i) = t;
    t->heap_index = i;
}

static void heap_up(struct clock *c, unsigned i)
{
    struct timer *t = heap_at(c, i);
    while (i && heap_at(c, (i - 1) / 2)->at > t->at) {
        heap_put(c, i, heap_at(c, (i - 1) / 2));
        i = (i - 1) / 2;
    }
    heap_put(c, i, t);
}

static void heap_down(struct clock *c, unsigned i)
{
    struct timer *t = heap_at(c, i);
    for (;;) {
        unsigned child = 2 * i + 1;
        if (child + 1 < c->heap->len && heap_at(c, child + 1)->at < heap_at(c, child)->at)
            child++;
        if (child >= c->heap->len || heap_at(c, child)->at >= t->at)
            break;
        heap_put(c, i, heap_at(c, child));
        i = child;
    }
    heap_put(c, i, t);
}

static void heap_remove(struct clock *c, struct timer *t)
{
    unsigned i = t->heap_index;
    struct timer *last = heap_at(c, c->heap->len - 1);
    g_ptr_array_set_size(c->heap, c->heap->len - 1);
    t->heap_index = -1;
    if (last == t)
        return;
    heap_put(c, i, last);
    heap_up(c, i);
    heap_down(c, last->heap_index);
}

/* Sets the timerfd to the first timer if it is not set to that or earlier. */
static void arm(struct clock *c)
{
    if (!c->going || c->stepped || !c->heap->len)
        return;
    uint64_t at = heap_at(c, 0)->at + (atomic_load(&c->halted) > 0 ? HALTED_SLACK_NS : 0);
    if (c->armed <= at)
        return;
    uint64_t host = at + c->host_start;
    struct itimerspec spec = {.it_value = {host / 1000000000u, host % 1000000000u}};
    if (!host)
        spec.it_value.tv_nsec = 1;
    timerfd_settime(c->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
    c->armed = at;
}

/* ---- timers ---- */

struct timer *clock_timer_new(struct clock *c, void (*fn)(void *ctx), void *ctx)
{
    struct timer *t = g_new0(struct timer, 1);
    *t = (struct timer){.clock = c, .fn = fn, .ctx = ctx, .heap_index = -1};
    return t;
}

void clock_timer_free(struct timer *t)
{
    clock_timer_set(t, DEV_NEVER);
    g_free(t);
}

void clock_timer_set(struct timer *t, uint64_t at_ns)
{
    struct clock *c = t->clock;
    pthread_mutex_lock(&c->lock);
    if (t->heap_index >= 0)
        heap_remove(c, t);
    t->at = at_ns;
    if (at_ns != DEV_NEVER) {
        g_ptr_array_add(c->heap, t);
        t->heap_index = c->heap->len - 1;
        heap_up(c, t->heap_index);
        if (t->heap_index == 0)
            arm(c);
    }
    pthread_mutex_unlock(&c->lock);
}

void clock_run(struct clock *c)
{
    pthread_mutex_lock(&c->lock);
    const uint64_t now = now_locked(c); /* what comes due meanwhile waits: else this might not end */
    while (c->going && c->heap->len && heap_at(c, 0)->at <= now) {
        struct timer *t = heap_at(c, 0);
        heap_remove(c, t);
        pthread_mutex_unlock(&c->lock);
        t->fn(t->ctx);
        pthread_mutex_lock(&c->lock);
    }
    arm(c);
    pthread_mutex_unlock(&c->lock);
}

int64_t clock_until_next(struct clock *c)
{
    int64_t left = INT64_MAX;
    pthread_mutex_lock(&c->lock);
    if (c->going && !c->stepped && c->heap->len) {
        uint64_t at = heap_at(c, 0)->at, now = now_locked(c);
        left = at > now ? (int64_t)MIN(at - now, INT64_MAX) : 0;
    }
    pthread_mutex_unlock(&c->lock);
    return left;
}

void clock_halted(struct clock *c, int change)
{
    atomic_fetch_add(&c->halted, change);
}

/* ---- going and standing ---- */

void clock_go(struct clock *c)
{
    pthread_mutex_lock(&c->lock);
    if (!c->going) {
        c->going = true;
        c->host_start = host_ns() - c->guest_ns;
        atomic_fetch_sub(&c->tsc_offset, __rdtsc() - c->tsc_stood);
        c->armed = DEV_NEVER;
        arm(c);
    }
    pthread_mutex_unlock(&c->lock);
}

void clock_stand(struct clock *c)
{
    pthread_mutex_lock(&c->lock);
    if (c->going) {
        c->guest_ns = now_locked(c);
        c->tsc_stood = __rdtsc();
        c->going = false;
    }
    pthread_mutex_unlock(&c->lock);
}

void clock_step(struct clock *c, uint64_t ns)
{
    pthread_mutex_lock(&c->lock);
    uint64_t end = c->guest_ns + ns;
    while (c->heap->len && heap_at(c, 0)->at <= end) {
        struct timer *t = heap_at(c, 0);
        c->guest_ns = MAX(c->guest_ns, t->at);
        heap_remove(c, t);
        pthread_mutex_unlock(&c->lock);
        t->fn(t->ctx);
        pthread_mutex_lock(&c->lock);
    }
    c->guest_ns = end;
    pthread_mutex_unlock(&c->lock);
}

/* ---- saved state ---- */

#define FAR_NS   (UINT64_C(1) << 62) /* a hundred years and more */
#define TSC_PART 500 /* the host's TSC may differ by so much of it: this is how well it can be measured */

/* The guest's TSC goes on from where it was, at the speed of this host's: what the guest once found out must be true. */
bool clock_sync(struct clock *c, struct stream *s, GError **error)
{
    pthread_mutex_lock(&c->lock);
    uint64_t ns = c->guest_ns, tsc = c->tsc_stood + atomic_load(&c->tsc_offset), khz = c->tsc_khz;
    pthread_mutex_unlock(&c->lock);
    stream_u64(s, &ns);
    stream_u64(s, &tsc);
    stream_u64(s, &khz);
    if (!s->loading || !stream_ok(s))
        return stream_ok(s);
    uint64_t apart = khz > c->tsc_khz ? khz - c->tsc_khz : c->tsc_khz - khz;
    if (ns > FAR_NS || apart > c->tsc_khz / TSC_PART) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                    "The saved state comes from a host whose time stamp counter runs at %" G_GUINT64_FORMAT
                    " kHz, and this one's at %" G_GUINT64_FORMAT ": the guest's clocks would go wrong",
                    khz, c->tsc_khz);
        return false;
    }
    pthread_mutex_lock(&c->lock);
    c->guest_ns = ns;
    atomic_store(&c->tsc_offset, (int64_t)(tsc - c->tsc_stood));
    pthread_mutex_unlock(&c->lock);
    return true;
}
