// SPDX-License-Identifier: GPL-2.0-or-later
/* live_pages.c - pages that have changed since they went to the file, copied aside: see save_live.c.
 *
 * The store may have a quarter of the guest's memory, at least 64 MiB and at most 1 GiB.  When it is full it goes to the file, whose readers take
 * the last of several copies of a page, and is empty again: a guest that changes all of its memory costs time and room on the disk
 * then, and no more of the host's memory. */
#include "core-vmm/machine/live.h"
#include <errno.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PIECE = 1024 }; /* pages at once */
#define LEAST_ASIDE (UINT64_C(64) << 20)
#define MOST_ASIDE  (UINT64_C(1) << 30)

static uint64_t words_of(const struct live_pages *p)
{
    return p->store.pages / 64 + 1;
}

static void set_bit(uint64_t *bits, uint64_t page)
{
    bits[page / 64] |= UINT64_C(1) << page % 64;
}

bool live_pages_init(struct live_pages *p, struct machine *m, const GArray *areas, GError **error)
{
    uint64_t bytes = m->memory.bytes, ram = m->memory.below_4g + m->memory.above_4g;
    void *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
                    "There is no room for the pages that the guest writes to meanwhile: %s", g_strerror(errno));
        return false;
    }
    *p = (struct live_pages){.machine = m, .areas = areas, .most = CLAMP(ram / 4, LEAST_ASIDE, MOST_ASIDE) / PAGE};
    p->store = (struct page_store){data, g_new0(uint64_t, bytes / PAGE / 64 + 1), bytes / PAGE};
    p->changed = g_new0(uint64_t, words_of(p));
    return true;
}

void live_pages_clear(struct live_pages *p)
{
    if (p->store.data)
        munmap(p->store.data, p->store.pages * PAGE);
    g_free(p->store.bits);
    g_free(p->changed);
}

uint64_t live_pages_count(const struct live_pages *p)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < words_of(p); i++)
        n += __builtin_popcountll(p->changed[i]);
    return n;
}

void live_pages_add_devices(struct live_pages *p)
{
    int fd = p->machine->memory.fd;
    for (guint i = 1; i < p->areas->len; i++) {
        const struct memory_area *a = &g_array_index(p->areas, struct memory_area, i);
        for (off_t at = a->offset, end = at + a->bytes, hole; at < end; at = hole) {
            at = lseek(fd, at, SEEK_DATA);
            hole = at < 0 ? end : lseek(fd, at, SEEK_HOLE);
            hole = at < 0 || hole < 0 || hole > end ? end : hole;
            for (off_t page = at < 0 ? end : at; page < hole; page += PAGE)
                set_bit(p->changed, page / PAGE);
        }
    }
}

void live_pages_clean(struct live_pages *p)
{
    memset(p->changed, 0, words_of(p) * sizeof *p->changed);
}

/* What is in the store is in the file. */
static void forget(struct live_pages *p)
{
    madvise(p->store.data, p->store.pages * PAGE, MADV_DONTNEED);
    memset(p->store.bits, 0, words_of(p) * sizeof *p->store.bits);
    p->aside = 0;
    p->written++;
}

static bool is_changed(const struct live_pages *p, uint64_t page)
{
    return page < p->store.pages && p->changed[page / 64] >> page % 64 & 1;
}

/* Without giving pages to what has none. */
static bool copy(struct live_pages *p, uint64_t page, uint64_t pages, GError **error)
{
    for (uint64_t at = page * PAGE, end = at + pages * PAGE; at < end;) {
        ssize_t n = pread(p->machine->memory.fd, p->store.data + at, end - at, at);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "The guest's memory cannot be read");
            return false;
        }
        at += MAX(n, 0);
    }
    for (uint64_t i = page; i < page + pages; i++) {
        p->aside += !page_store_has(&p->store, i * PAGE);
        set_bit(p->store.bits, i);
        p->changed[i / 64] &= ~(UINT64_C(1) << i % 64);
    }
    return true;
}

static uint64_t room(const struct live_pages *p, const struct live_watch *watch)
{
    return watch ? MIN(p->most - MIN(p->aside, p->most), PIECE) : p->store.pages;
}

/* From a page that has changed on, as many of those behind it as have, too, but no more than there is room for. */
static uint64_t run_of(const struct live_pages *p, uint64_t page, uint64_t most)
{
    uint64_t n = 1;
    while (n < most && is_changed(p, page + n))
        n++;
    return n;
}

bool live_pages_set_aside(struct live_pages *p, const struct live_watch *watch, GError **error)
{
    for (uint64_t page = 0, n; page < p->store.pages; page += n) {
        n = p->changed[page / 64] ? 1 : 64 - page % 64;
        if (!is_changed(p, page))
            continue;
        if (!room(p, watch)) {
            if (!watch->full(watch->ctx, error))
                return false;
            forget(p);
        }
        n = run_of(p, page, room(p, watch));
        if (!copy(p, page, n, error))
            return false;
        if (watch)
            watch->copied(watch->ctx, n);
    }
    return true;
}
