// SPDX-License-Identifier: GPL-2.0-or-later
/* state_unpack.c - the chunks of a saved state's memory (state_memory.c says what is in one) back into the machine's.
 *
 * Whoever reads the file looks at each chunk's head and hands it to one of some threads, which unpack.  A page may be in several
 * chunks, of which the last counts: so one that shares pages with another that is under way waits for that. */
#include "core-vmm/machine/state.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#define CANNOT_UNPACK "has a piece of memory that cannot be unpacked"
enum { PLAIN = STATE_PLAIN, ZSTD = STATE_ZSTD };
enum { WINDOW_PAGES = STATE_WINDOW_PAGES, THREADS_MAX = 8, EACH = 4 /* chunks for each that wait */ };

bool state_clear_memory(struct machine *m, GError **error)
{
    if (fallocate(m->memory.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, m->memory.used)) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "The guest's memory cannot be cleared: %s",
                    g_strerror(errno));
        return false;
    }
    m->engine->touched(m->engine_vm, 0, m->memory.used);
    return true;
}

static const struct memory_area *find_area(const GArray *areas, const char *name)
{
    for (unsigned i = 0; i < areas->len; i++)
        if (!strcmp(g_array_index(areas, struct memory_area, i).name, name))
            return &g_array_index(areas, struct memory_area, i);
    return NULL;
}

bool state_window_read(struct state_window *w, struct stream *s)
{
    stream_text(s, &w->area);
    stream_u64(s, &w->offset);
    stream_u16(s, &w->pages);
    stream_u8(s, &w->how);
    if (!stream_ok(s) || !w->pages || w->pages > WINDOW_PAGES || w->how > ZSTD)
        return false;
    stream_raw(s, w->bits, (w->pages + 7) / 8);
    for (unsigned i = 0; i < WINDOW_PAGES; i++)
        w->set += w->bits[i / 8] >> i % 8 & 1;
    for (unsigned i = w->pages; i < WINDOW_PAGES; i++)
        if (w->bits[i / 8] >> i % 8 & 1)
            return false;
    return stream_ok(s) && w->set;
}

bool state_window_unpack(const struct state_window *w, const uint8_t *from, size_t n, uint8_t *data)
{
    size_t bytes = w->set * PAGE;
    return w->how == ZSTD ? ZSTD_decompress(data, bytes, from, n) == bytes : n == bytes;
}

struct piece {
    struct state_window window;
    uint64_t at; /* in the memory file */
    GByteArray *section;
    size_t packed_at; /* where in it the pages begin */
};

struct state_unpack {
    struct machine *machine;
    GArray *areas;
    GAsyncQueue *queue; /* struct piece; the unpack itself: the end */
    GThread *thread[THREADS_MAX];
    unsigned threads, most;
    GMutex lock;
    GCond one_done;
    GPtrArray *under_way; /* struct piece; not their owner */
    bool failed, only_ram;
};

static bool write_all(int fd, uint64_t at, const uint8_t *data, size_t n)
{
    while (n) {
        ssize_t done = pwrite(fd, data, n, at);
        if (done < 0 && errno != EINTR)
            return false;
        data += MAX(done, 0);
        at += MAX(done, 0);
        n -= MAX(done, 0);
    }
    return true;
}

static bool has_page(const struct state_window *w, unsigned page)
{
    return page < w->pages && w->bits[page / 8] >> page % 8 & 1;
}

/* Pages beside each other at once, and by a write: a page that nobody has touched costs half as much so as by a fault, which clears it first. */
static bool put_pages(struct machine *m, const struct state_window *w, uint64_t at, const uint8_t *data)
{
    bool good = true;
    for (unsigned i = 0, n; i < w->pages && good; i += n) {
        n = 1;
        if (!has_page(w, i))
            continue;
        while (has_page(w, i + n))
            n++;
        good = write_all(m->memory.fd, at + i * PAGE, data, n * PAGE);
        data += n * PAGE;
    }
    return good;
}

static void piece_free(struct piece *p)
{
    g_free(p->window.area);
    g_clear_pointer(&p->section, g_byte_array_unref);
    g_free(p);
}

static void *work(void *unpacking)
{
    struct state_unpack *u = unpacking;
    g_autofree uint8_t *data = g_malloc(WINDOW_PAGES * PAGE);
    for (struct piece *p; (p = g_async_queue_pop(u->queue)) != unpacking; piece_free(p)) {
        const GByteArray *s = p->section;
        const uint8_t *packed = s->data + p->packed_at;
        bool good = state_window_unpack(&p->window, packed, s->len - p->packed_at, data);
        good = good && put_pages(u->machine, &p->window, p->at, p->window.how == ZSTD ? data : packed);
        g_mutex_lock(&u->lock);
        u->failed |= !good;
        g_ptr_array_remove_fast(u->under_way, p);
        g_cond_signal(&u->one_done);
        g_mutex_unlock(&u->lock);
    }
    return NULL;
}

struct state_unpack *state_unpack_new(struct machine *m)
{
    struct state_unpack *u = g_new0(struct state_unpack, 1);
    u->machine = m;
    u->areas = state_areas(m);
    u->queue = g_async_queue_new();
    u->under_way = g_ptr_array_new();
    u->threads = CLAMP(g_get_num_processors(), 1, THREADS_MAX);
    u->most = u->threads * EACH;
    g_mutex_init(&u->lock);
    g_cond_init(&u->one_done);
    for (unsigned i = 0; i < u->threads; i++)
        u->thread[i] = g_thread_new("unpack", work, u);
    return u;
}

void state_unpack_only_ram(struct state_unpack *u, bool only)
{
    u->only_ram = only;
}

static bool overlap(const struct piece *a, const struct piece *b)
{
    return a->at < b->at + b->window.pages * PAGE && b->at < a->at + a->window.pages * PAGE;
}

static bool may_go(const struct state_unpack *u, const struct piece *p)
{
    bool good = u->under_way->len < u->most;
    for (guint i = 0; i < u->under_way->len && good && p; i++)
        good = !overlap(p, u->under_way->pdata[i]);
    return good;
}

static bool hand_over(struct state_unpack *u, struct piece *p, GError **error)
{
    g_mutex_lock(&u->lock);
    while (!may_go(u, p))
        g_cond_wait(&u->one_done, &u->lock);
    bool failed = u->failed;
    if (!failed)
        g_ptr_array_add(u->under_way, p);
    g_mutex_unlock(&u->lock);
    if (failed)
        piece_free(p);
    else
        g_async_queue_push(u->queue, p);
    return !failed || state_fail(error, CANNOT_UNPACK);
}

bool state_unpack_put(struct state_unpack *u, GByteArray *section, GError **error)
{
    enum { HEAD_MAX = 2 + STATE_NAME_BYTES + 8 + 2 + 1 + WINDOW_PAGES / 8 };
    struct piece *p = g_new0(struct piece, 1);
    struct stream s;
    p->section = section;
    stream_init_load(&s, section->data, MIN(section->len, HEAD_MAX));
    struct state_window *w = &p->window;
    bool sane = state_window_read(w, &s), skip = sane && u->only_ram && strcmp(w->area, STATE_RAM);
    const struct memory_area *a = sane ? find_area(u->areas, w->area) : NULL;
    bool good = a && w->offset % PAGE == 0 && w->offset <= a->bytes && w->pages * PAGE <= a->bytes - w->offset;
    p->at = good ? a->offset + w->offset : 0;
    p->packed_at = s.at;
    stream_clear(&s);
    if (good && !skip)
        return hand_over(u, p, error);
    piece_free(p);
    return skip || state_fail(error, "has a piece of memory that this machine has no place for");
}

bool state_unpack_wait(struct state_unpack *u, GError **error)
{
    g_mutex_lock(&u->lock);
    while (u->under_way->len)
        g_cond_wait(&u->one_done, &u->lock);
    bool good = !u->failed;
    g_mutex_unlock(&u->lock);
    return good || state_fail(error, CANNOT_UNPACK);
}

void state_unpack_free(struct state_unpack *u)
{
    if (!u)
        return;
    for (unsigned i = 0; i < u->threads; i++)
        g_async_queue_push(u->queue, u);
    for (unsigned i = 0; i < u->threads; i++)
        g_thread_join(u->thread[i]);
    g_async_queue_unref(u->queue);
    g_ptr_array_unref(u->under_way);
    g_array_unref(u->areas);
    g_mutex_clear(&u->lock);
    g_cond_clear(&u->one_done);
    g_free(u);
}
