// SPDX-License-Identifier: GPL-2.0-or-later
/* state_memory.c - the memory file as chunks: windows of at most 256 pages, each with which of its pages are not all zero,
 * and these, compressed.  Windows without any are left out; at what nobody ever touched, not even that is looked.
 *
 *   contents of a section   text: the area's name; u64 offset of the window in it; u16 pages of the window;
 *                           u8 how the data are: 0 plain, 1 zstd; a bit per page, the first the lowest, in whole bytes;
 *                           the pages whose bits are set, one behind the other
 *
 * A page may be there more than once: what counts is the last (save_live.c).  Of a state that builds upon others (state_base.c), those
 * pages of RAM are left out that are in them as they are, rather than those of zeroes.
 *
 * Chunks are packed by several threads, each whole with its sum, and go to the file in their order by the thread that saves:
 * it has a few more under way than there are threads, and waits for the oldest. */
#include "core-vmm/base/crc32c.h"
#include "core-vmm/machine/state.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

enum { WINDOW_PAGES = STATE_WINDOW_PAGES, LEVEL = 1, PACKERS_MAX = 8 };

/* RAM, and the memory of devices; not what shows a part of another region. */
GArray *state_areas(struct machine *m)
{
    GArray *areas = g_array_new(FALSE, TRUE, sizeof(struct memory_area));
    struct memory_area ram = {STATE_RAM, 0, m->memory.below_4g + m->memory.above_4g};
    uint64_t end = ram.bytes;
    g_array_append_val(areas, ram);
    for (unsigned i = 0; i < m->devices; i++)
        for (unsigned k = 0; k < DEV_REGIONS; k++) {
            const struct mapped_region *r = &m->device[i]->core->region[k];
            struct memory_area a = {.offset = r->memory, .bytes = (r->memory_bytes + PAGE - 1) & ~(PAGE - 1)};
            if (r->memory == NO_MEMORY || r->memory < end)
                continue;
            g_snprintf(a.name, sizeof a.name, "%.24s.%u", m->device[i]->name, k);
            g_array_append_val(areas, a);
            end = a.offset + a.bytes;
        }
    return areas;
}

/* ---- packing a chunk, on any thread ---- */

struct chunk {
    struct machine *machine;
    const struct memory_area *area;
    const struct page_source *from;
    uint64_t offset; /* in the area */
    unsigned pages;
    GByteArray *packed; /* NULL: all of it is zero, or it failed */
    uint32_t sum;
    bool failed, done;
};

static bool is_zero(const uint8_t *page)
{
    uint64_t all = 0;
    for (unsigned i = 0; i < PAGE; i += sizeof all) {
        uint64_t word;
        memcpy(&word, page + i, sizeof word);
        all |= word;
    }
    return !all;
}

/* By reading the file, not its mapping: that would give the holes pages.  False: it cannot be read. */
static bool read_window(const struct chunk *c, uint8_t *data)
{
    size_t want = c->pages * PAGE;
    for (size_t at = 0; at < want;) {
        ssize_t n = pread(c->machine->memory.fd, data + at, want - at, c->area->offset + c->offset + at);
        if (n <= 0 && errno != EINTR)
            return false;
        at += MAX(n, 0);
    }
    return true;
}

/* Leaves those that are not zero, one behind the other; how many. */
static unsigned leave_out_zeroes(unsigned pages, uint8_t *bits, uint8_t *data)
{
    unsigned n = 0;
    for (unsigned i = 0; i < pages; i++)
        if (!is_zero(data + i * PAGE)) {
            bits[i / 8] |= 1 << i % 8;
            memmove(data + n++ * PAGE, data + i * PAGE, PAGE);
        }
    return n;
}

/* Leaves those that are not what they are in the base, zero or not; how many; -1: the base cannot be read. */
static int leave_out_same(const struct chunk *c, uint8_t *bits, uint8_t *data)
{
    g_autofree uint8_t *base = g_malloc(WINDOW_PAGES * PAGE);
    int n = 0;
    if (!state_base_read(c->from->base, c->offset, c->pages, base))
        return -1;
    for (unsigned i = 0; i < c->pages; i++)
        if (memcmp(data + i * PAGE, base + i * PAGE, PAGE)) {
            bits[i / 8] |= 1 << i % 8;
            memmove(data + n++ * PAGE, data + i * PAGE, PAGE);
        }
    return n;
}

/* The pages that the store has of a window, one behind the other; how many. */
static unsigned take_stored(const struct chunk *c, uint8_t *bits, uint8_t *data)
{
    unsigned n = 0;
    for (unsigned i = 0; i < c->pages; i++) {
        uint64_t at = c->area->offset + c->offset + i * PAGE;
        if (!page_store_has(c->from->store, at))
            continue;
        bits[i / 8] |= 1 << i % 8;
        memcpy(data + n++ * PAGE, c->from->store->data + at, PAGE);
    }
    return n;
}

/* Behind the head; 0: it does not become a quarter smaller.  Less is not worth it: to unpack it would take longer than to read the rest. */
static size_t compress_behind(GByteArray *to, const uint8_t *data, size_t n)
{
    size_t head = to->len, most = n - n / 4;
    g_byte_array_set_size(to, head + most);
    size_t packed = ZSTD_compress(to->data + head, most, data, n, LEVEL);
    bool smaller = !ZSTD_isError(packed);
    g_byte_array_set_size(to, head + (smaller ? packed : 0));
    return smaller ? packed : 0;
}

/* Those that belong into the file, one behind the other; how many; -1: they cannot be read. */
static int find_pages(const struct chunk *c, uint8_t *bits, uint8_t *data)
{
    if (c->from->store)
        return take_stored(c, bits, data);
    if (!read_window(c, data))
        return -1;
    return c->from->base ? leave_out_same(c, bits, data) : (int)leave_out_zeroes(c->pages, bits, data);
}

/* False: the memory cannot be read. */
static bool chunk_pack(struct chunk *c)
{
    uint8_t bits[WINDOW_PAGES / 8] = {0}, how = STATE_ZSTD;
    g_autofree uint8_t *data = g_malloc(WINDOW_PAGES * PAGE);
    g_autofree char *name = g_strdup(c->area->name);
    uint64_t offset = c->offset;
    uint16_t pages = c->pages;
    int n = find_pages(c, bits, data);
    struct stream s;
    if (n <= 0)
        return !n;
    stream_init_save(&s);
    stream_text(&s, &name);
    stream_u64(&s, &offset);
    stream_u16(&s, &pages);
    unsigned how_at = s.bytes->len;
    stream_u8(&s, &how);
    stream_raw(&s, bits, (pages + 7) / 8);
    if (!compress_behind(s.bytes, data, n * PAGE)) {
        s.bytes->data[how_at] = STATE_PLAIN;
        stream_raw(&s, data, n * PAGE);
    }
    c->sum = crc32c(0, s.bytes->data, s.bytes->len);
    c->packed = g_byte_array_ref(s.bytes);
    stream_clear(&s);
    return true;
}

static void pack_one(void *chunk, void *packers)
{
    struct chunk *c = chunk;
    struct state_packers *p = packers;
    const struct thread_hook *h = &c->machine->on_thread;
    c->failed = (h->begins && !h->begins(h->ctx, MACHINE_THREAD_WORKER)) || !chunk_pack(c);
    g_mutex_lock(&p->lock);
    c->done = true;
    g_cond_broadcast(&p->one_done);
    g_mutex_unlock(&p->lock);
}

struct state_packers *state_packers_new(void)
{
    struct state_packers *p = g_new0(struct state_packers, 1);
    g_mutex_init(&p->lock);
    g_cond_init(&p->one_done);
    p->threads = CLAMP(g_get_num_processors(), 1, PACKERS_MAX);
    p->pool = g_thread_pool_new(pack_one, p, p->threads, FALSE, NULL);
    p->live = g_thread_pool_new(live_work, NULL, 1, FALSE, NULL);
    p->brake = g_thread_pool_new(live_brake_work, NULL, 1, FALSE, NULL);
    return p;
}

void state_packers_free(struct state_packers *p)
{
    if (!p)
        return;
    if (p->live)
        g_thread_pool_free(p->live, FALSE, TRUE);
    g_thread_pool_free(p->brake, FALSE, TRUE);
    g_thread_pool_free(p->pool, FALSE, TRUE);
    g_mutex_clear(&p->lock);
    g_cond_clear(&p->one_done);
    g_free(p);
}

static void chunk_free(gpointer chunk)
{
    struct chunk *c = chunk;
    g_clear_pointer(&c->packed, g_byte_array_unref);
    g_free(c);
}

/* ---- saving ---- */

struct packing { /* of one save */
    struct machine *machine;
    const struct state_part *part;
    struct state_writer *writer;
    const struct save_watch *watch; /* NULL: nobody looks on */
    const struct page_source *from;
    GQueue under_way;     /* struct chunk, in the order of the file */
    uint64_t done, total; /* bytes of memory */
};

static struct chunk *oldest(struct packing *g)
{
    struct state_packers *p = g->machine->packers;
    struct chunk *c = g_queue_pop_head(&g->under_way);
    g_mutex_lock(&p->lock);
    while (!c->done)
        g_cond_wait(&p->one_done, &p->lock);
    g_mutex_unlock(&p->lock);
    return c;
}

static bool write_oldest(struct packing *g, GError **error)
{
    struct chunk *c = oldest(g);
    const struct state_part *p = g->part;
    bool good = !c->failed;
    if (c->failed)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED,
                    "The guest's memory%s cannot be read by the threads that pack it",
                    g->from->base ? ", or the older state that this one builds on," : "");
    else if (c->packed)
        good = state_put_summed(g->writer, p->name, p->version, c->packed->data, c->packed->len, c->sum, error);
    g->done = MIN(g->done + c->pages * PAGE, g->total);
    chunk_free(c);
    return good && (!g->watch || g->watch->goes_on(g->watch->ctx, g->done, g->total, error));
}

static bool save_window(struct packing *g, const struct memory_area *a, uint64_t offset, GError **error)
{
    struct state_packers *p = g->machine->packers;
    struct chunk *c = g_new0(struct chunk, 1);
    *c = (struct chunk){.machine = g->machine,
                        .area = a,
                        .from = g->from,
                        .offset = offset,
                        .pages = MIN(WINDOW_PAGES, (a->bytes - offset) / PAGE)};
    g_queue_push_tail(&g->under_way, c);
    g_thread_pool_push(p->pool, c, NULL);
    return g->under_way.length < 2 * p->threads || write_oldest(g, error);
}

/* Where in the area the next window begins that somebody has touched; a->bytes: nowhere. */
static uint64_t next_touched(struct machine *m, const struct memory_area *a, uint64_t offset)
{
    off_t data = lseek(m->memory.fd, a->offset + offset, SEEK_DATA);
    if (data < 0)
        return errno == ENXIO ? a->bytes : offset;
    uint64_t at = MAX((uint64_t)data, a->offset) - a->offset, window = WINDOW_PAGES * PAGE;
    return MIN(MAX(at - at % window, offset), a->bytes);
}

/* The same of what the store has. */
static uint64_t next_stored(const struct page_store *s, const struct memory_area *a, uint64_t offset)
{
    const uint64_t window = WINDOW_PAGES * PAGE;
    for (uint64_t at = offset; at < a->bytes; at += PAGE)
        if (page_store_has(s, a->offset + at))
            return MAX(at - at % window, offset);
    return a->bytes;
}

/* What the base has may have become zero. */
static uint64_t next_window(const struct packing *g, const struct memory_area *a, uint64_t at)
{
    if (g->from->store)
        return next_stored(g->from->store, a, at);
    uint64_t touched = next_touched(g->machine, a, at);
    return g->from->base ? MIN(touched, state_base_next(g->from->base, at)) : touched;
}

static bool save_area(struct packing *g, const struct memory_area *a, GError **error)
{
    const uint64_t window = WINDOW_PAGES * PAGE;
    for (uint64_t at = 0; at < a->bytes; at += window) {
        uint64_t next = next_window(g, a, at);
        g->done += next - at;
        at = next;
        if (at < a->bytes && !save_window(g, a, at, error))
            return false;
    }
    return true;
}

bool state_save_areas(struct machine *m, const GArray *areas, const struct page_source *from,
                      const struct state_part *p, struct state_writer *w, const struct save_watch *watch,
                      GError **error)
{
    struct packing g = {.machine = m, .part = p, .writer = w, .watch = watch, .from = from, .under_way = G_QUEUE_INIT};
    bool good = true;
    for (unsigned i = 0; i < areas->len; i++)
        g.total += g_array_index(areas, struct memory_area, i).bytes;
    for (unsigned i = 0; i < areas->len && good; i++)
        good = save_area(&g, &g_array_index(areas, struct memory_area, i), error);
    while (good && g.under_way.length)
        good = write_oldest(&g, error);
    while (g.under_way.length)
        chunk_free(oldest(&g));
    return good;
}

bool state_save_memory(struct machine *m, const struct state_part *p, struct state_writer *w,
                       const struct save_watch *watch, GError **error)
{
    g_autoptr(GArray) areas = state_areas(m);
    return state_save_areas(m, areas, &(struct page_source){NULL, NULL}, p, w, watch, error);
}
