// SPDX-License-Identifier: GPL-2.0-or-later
/* state_unpack.c - the chunks of a saved state's memory (state_memory.c says what is in one) back into the machine's.
 *
 * Whoever reads the file looks at the chunks' heads only.  A page may be in several, of which the last counts: a guest that ran while it
 * was saved has given many of its pages twice, and a state that builds upon others has all that it has itself in those too.  So when
 * the heads are known, each page is left to the last one, and then some threads read the chunks, look at their sums, and unpack, in any
 * order: each page is written once, and a chunk that nobody needs is not unpacked. */
#include "core-vmm/machine/state.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#define CANNOT_UNPACK "has a piece of memory that cannot be unpacked"
enum { PLAIN = STATE_PLAIN, ZSTD = STATE_ZSTD };
enum { WINDOW_PAGES = STATE_WINDOW_PAGES, THREADS_MAX = 8 };
enum { PIECES_MAX = 65536 }; /* that wait: a file may say that it has any number */
enum { HEAD_MAX = 2 + STATE_NAME_BYTES + 8 + 2 + 1 + WINDOW_PAGES / 8 }; /* of a chunk */

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

bool state_window_unpack(const struct state_window *w, const uint8_t *from, size_t n, uint8_t *data, ZSTD_DCtx *zstd)
{
    size_t bytes = w->set * PAGE;
    return w->how == ZSTD ? ZSTD_decompressDCtx(zstd, data, bytes, from, n) == bytes : n == bytes;
}

struct piece { /* a chunk */
    struct state_window window;
    uint64_t at; /* in the memory file */
    int fd;
    struct state_extent where; /* in the state's file */
    uint8_t head[HEAD_MAX];
    size_t head_bytes;              /* behind them are the pages */
    uint8_t bits[WINDOW_PAGES / 8]; /* the pages that none behind it has */
    unsigned set;                   /* how many */
};

struct state_unpack {
    struct machine *machine;
    GArray *areas;
    GPtrArray *pieces; /* struct piece: those that wait, in their order */
    bool only_ram;
};

static bool has_page(const uint8_t *bits, unsigned page)
{
    return bits[page / 8] >> page % 8 & 1;
}

/* ---- a chunk, on any thread ---- */

/* All at once they cost less than by a fault for each; threads do not wait for each other, as they would if they wrote to the memory's
 * file, for its lock; and the guest finds them mapped.  Kernels before 5.14 cannot: there they come as they are touched. */
static bool populate(uint8_t *to, size_t n)
{
    return !madvise(to, n, MADV_POPULATE_WRITE) || errno == EINVAL;
}

/* Pages beside each other at once.  data: all that the chunk has. */
static bool put_pages(const struct piece *p, uint8_t *to, const uint8_t *data)
{
    const struct state_window *w = &p->window;
    bool good = true;
    for (unsigned i = 0, n; i < w->pages && good; i += n) {
        n = 1;
        if (has_page(p->bits, i)) {
            while (i + n < w->pages && has_page(p->bits, i + n))
                n++;
            good = populate(to + i * PAGE, n * PAGE);
            if (good)
                memcpy(to + i * PAGE, data, n * PAGE);
        }
        data += has_page(w->bits, i) ? n * PAGE : 0;
    }
    return good;
}

struct room { /* of a thread */
    uint8_t *section, *window;
    ZSTD_DCtx *zstd;
};

/* Where all pages are there, and count, they are unpacked in their place. */
static bool place(const struct piece *p, const uint8_t *packed, size_t n, uint8_t *to, const struct room *r)
{
    const struct state_window *w = &p->window;
    if (w->how == ZSTD && p->set == w->pages)
        return populate(to, w->pages * PAGE) && state_window_unpack(w, packed, n, to, r->zstd);
    return state_window_unpack(w, packed, n, r->window, r->zstd) &&
           put_pages(p, to, w->how == ZSTD ? r->window : packed);
}

static bool unpack(struct machine *m, const struct piece *p, const struct room *r, GError **error)
{
    if (!state_read_extent(p->fd, &p->where, r->section, error))
        return false;
    if (memcmp(r->section, p->head, p->head_bytes))
        return state_fail(error, "is damaged: it changes while it is read");
    return !p->set || place(p, r->section + p->head_bytes, p->where.bytes - p->head_bytes, m->memory.base + p->at, r) ||
           state_fail(error, CANNOT_UNPACK);
}

/* ---- all that wait ---- */

struct work {
    struct state_unpack *unpack;
    guint next; /* atomic */
    GMutex lock;
    GError *failed; /* the first that was seen */
};

static void *work(void *working)
{
    struct work *k = working;
    const GPtrArray *pieces = k->unpack->pieces;
    struct room r = {g_malloc(STATE_SECTION_BYTES), g_malloc(WINDOW_PAGES * PAGE), ZSTD_createDCtx()};
    GError *error = NULL;
    for (guint i; !error && (i = g_atomic_int_add(&k->next, 1)) < pieces->len;)
        unpack(k->unpack->machine, pieces->pdata[i], &r, &error);
    if (error)
        g_atomic_int_set(&k->next, pieces->len); /* for the others too */
    g_mutex_lock(&k->lock);
    if (error && !k->failed)
        k->failed = g_steal_pointer(&error);
    g_mutex_unlock(&k->lock);
    g_clear_error(&error);
    ZSTD_freeDCtx(r.zstd);
    g_free(r.section);
    g_free(r.window);
    return NULL;
}

/* From the last one on. */
static void leave_to_last(const struct state_unpack *u)
{
    g_autofree uint8_t *taken = g_malloc0(u->machine->memory.used / PAGE / 8 + 1);
    for (guint i = u->pieces->len; i-- > 0;) {
        struct piece *p = u->pieces->pdata[i];
        for (unsigned k = 0; k < p->window.pages; k++) {
            uint64_t page = p->at / PAGE + k;
            if (!has_page(p->window.bits, k) || taken[page / 8] >> page % 8 & 1)
                continue;
            taken[page / 8] |= 1 << page % 8;
            p->bits[k / 8] |= 1 << k % 8;
            p->set++;
        }
    }
}

bool state_unpack_all(struct state_unpack *u, GError **error)
{
    struct work k = {.unpack = u};
    GThread *thread[THREADS_MAX];
    unsigned threads = MIN(CLAMP(g_get_num_processors(), 1, THREADS_MAX), u->pieces->len);
    leave_to_last(u);
    g_mutex_init(&k.lock);
    for (unsigned i = 0; i < threads; i++)
        thread[i] = g_thread_new("unpack", work, &k);
    for (unsigned i = 0; i < threads; i++)
        g_thread_join(thread[i]);
    g_mutex_clear(&k.lock);
    g_ptr_array_set_size(u->pieces, 0);
    if (k.failed)
        g_propagate_error(error, k.failed);
    return !k.failed;
}

/* ---- the heads ---- */

static void piece_free(void *piece)
{
    struct piece *p = piece;
    g_free(p->window.area);
    g_free(p);
}

struct state_unpack *state_unpack_new(struct machine *m)
{
    struct state_unpack *u = g_new0(struct state_unpack, 1);
    u->machine = m;
    u->areas = state_areas(m);
    u->pieces = g_ptr_array_new_with_free_func(piece_free);
    return u;
}

void state_unpack_only_ram(struct state_unpack *u, bool only)
{
    u->only_ram = only;
}

/* Its pages, if they have a place. */
static bool find_place(const struct state_unpack *u, struct piece *p)
{
    const struct state_window *w = &p->window;
    const struct memory_area *a = find_area(u->areas, w->area);
    bool good = a && w->offset % PAGE == 0 && w->offset <= a->bytes && w->pages * PAGE <= a->bytes - w->offset;
    p->at = good ? a->offset + w->offset : 0;
    return good;
}

/* The head, whose sum nobody has looked at yet.  False: it makes no sense. */
static bool read_head(struct piece *p)
{
    struct stream s;
    ssize_t n = pread(p->fd, p->head, MIN(sizeof p->head, p->where.bytes), p->where.at);
    stream_init_load(&s, p->head, MAX(n, 0));
    bool sane = state_window_read(&p->window, &s);
    p->head_bytes = s.at;
    stream_clear(&s);
    return sane;
}

/* A head that a flipped bit has made another one is none to go by. */
static bool is_whole(const struct piece *p, GError **error)
{
    g_autofree uint8_t *section = g_malloc(STATE_SECTION_BYTES);
    return state_read_extent(p->fd, &p->where, section, error);
}

bool state_unpack_put(struct state_unpack *u, int fd, const struct state_extent *where, GError **error)
{
    struct piece *p = g_new0(struct piece, 1);
    p->fd = fd;
    p->where = *where;
    bool sane = read_head(p), skip = sane && u->only_ram && strcmp(p->window.area, STATE_RAM);
    if (sane && !skip && find_place(u, p)) {
        g_ptr_array_add(u->pieces, p);
        return u->pieces->len < PIECES_MAX || state_unpack_all(u, error);
    }
    bool good =
        is_whole(p, error) && (skip || state_fail(error, "has a piece of memory that this machine has no place for"));
    piece_free(p);
    return good;
}

void state_unpack_free(struct state_unpack *u)
{
    if (!u)
        return;
    g_ptr_array_unref(u->pieces);
    g_array_unref(u->areas);
    g_free(u);
}
