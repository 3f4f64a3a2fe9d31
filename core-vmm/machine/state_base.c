// SPDX-License-Identifier: GPL-2.0-or-later
/* state_base.c - a state that says of RAM only what differs from older states of the same machine.
 *
 * It names those by a section "base" each, the oldest first: u64 bytes of the file, u32 its last sum, which covers all of it.  The
 * first of them builds upon nothing, each other one upon those before it.  RAM is what the first has, with what the second has
 * put over it, and so on, and in the end what the state itself has.  What else they have counts for nothing.
 *
 * Whether a page differs is seen by comparing it with the older states' own bytes, not by a log of what was written: so nothing has
 * to be kept up while the guest runs, and a page that was forgotten there cannot be lost here.  Of the older files only the
 * heads are read at first; the contents, with their sums, by the threads that pack, window by window. */
#include "core-vmm/base/bytes.h"
#include "core-vmm/machine/state.h"
#include <string.h>
#include <zstd.h>

enum { WINDOW_PAGES = STATE_WINDOW_PAGES, SECTION_BYTES = 12, CHUNK_HEAD_MAX = 2 + STATE_NAME_BYTES + 8 + 2 + 1 };
#define WINDOW ((uint64_t)WINDOW_PAGES * PAGE)

struct chunk { /* of one of the files */
    uint64_t window;
    struct state_extent where;
    unsigned order; /* in the files: of a page that is in several the last counts */
    int fd;
};
struct state_base {
    GArray *files;  /* struct state_identity */
    GArray *chunks; /* by their windows, then in their order */
};

static bool unfit(GError **error)
{
    return state_fail(error, "that this one would build upon does not fit");
}

/* ---- which files ---- */

bool state_base_is(const struct state_section *s, const struct state_identity *file)
{
    return s->version == STATE_BASE_VERSION && s->bytes == SECTION_BYTES && get_le64(s->data) == file->bytes &&
           get_le32(s->data + 8) == file->sum;
}

bool state_base_put(const struct state_base *b, struct state_writer *w, GError **error)
{
    bool good = true;
    for (guint i = 0; i < b->files->len && good; i++) {
        const struct state_identity *f = &g_array_index(b->files, struct state_identity, i);
        uint8_t contents[SECTION_BYTES];
        put_le64(contents, f->bytes);
        put_le32(contents + 8, f->sum);
        good = state_put(w, STATE_BASE_PART, STATE_BASE_VERSION, contents, sizeof contents, error);
    }
    return good;
}

/* ---- what is where in them ---- */

/* Where in RAM it is: only a window of the places that we give them can be found again.  False: not there. */
static bool find_window(int fd, const struct state_extent *where, uint64_t ram, uint64_t *window, bool *is_ram)
{
    uint8_t head[CHUNK_HEAD_MAX];
    g_autofree char *area = NULL;
    struct stream s;
    uint16_t pages;
    size_t n = MIN(sizeof head, where->bytes);
    if (pread(fd, head, n, where->at) != (ssize_t)n)
        return false;
    stream_init_load(&s, head, n);
    stream_text(&s, &area);
    stream_u64(&s, window);
    stream_u16(&s, &pages);
    bool good = stream_ok(&s);
    stream_clear(&s);
    *is_ram = good && !strcmp(area, STATE_RAM);
    return good && (!*is_ram || (*window % WINDOW == 0 && *window < ram && pages * PAGE <= ram - *window));
}

static bool add_chunk(struct state_base *b, int fd, const struct state_extent *where, uint64_t ram, GError **error)
{
    struct chunk c = {.where = *where, .order = b->chunks->len, .fd = fd};
    bool is_ram;
    if (!find_window(fd, where, ram, &c.window, &is_ram))
        return unfit(error);
    if (is_ram)
        g_array_append_val(b->chunks, c);
    return true;
}

/* Builds it upon those that are there already, and no others? */
static bool check_base(const struct state_base *b, unsigned known, const struct state_section *s, int fd,
                       const struct state_extent *where, GError **error)
{
    uint8_t contents[SECTION_BYTES];
    struct state_section whole = *s;
    whole.data = contents;
    bool good = known < b->files->len && s->bytes == SECTION_BYTES && state_read_extent(fd, where, contents, NULL) &&
                state_base_is(&whole, &g_array_index(b->files, struct state_identity, known));
    return good || unfit(error);
}

static bool add_file(struct state_base *b, int fd, uint64_t ram, GError **error)
{
    struct state_reader r;
    struct state_section s = {.name = ""};
    struct state_extent where;
    unsigned known = 0;
    bool good = state_open(&r, fd, error);
    while (good && strcmp(s.name, STATE_END)) {
        good = state_skim(&r, &s, &where, error);
        if (good && !strcmp(s.name, STATE_BASE_PART))
            good = check_base(b, known++, &s, fd, &where, error);
        else if (good && !strcmp(s.name, STATE_MEMORY_PART))
            good = s.version == STATE_MEMORY_VERSION ? add_chunk(b, fd, &where, ram, error) : unfit(error);
    }
    good = good && (known == b->files->len || unfit(error));
    struct state_identity file = state_identity(&r);
    state_close(&r);
    g_array_append_val(b->files, file);
    return good;
}

static int by_window(const void *a, const void *b)
{
    const struct chunk *x = a, *y = b;
    return x->window != y->window ? (x->window > y->window) - (x->window < y->window)
                                  : (x->order > y->order) - (x->order < y->order);
}

struct state_base *state_base_open(const int *fds, unsigned count, uint64_t ram, GError **error)
{
    struct state_base *b = g_new0(struct state_base, 1);
    bool good = true;
    b->files = g_array_new(FALSE, FALSE, sizeof(struct state_identity));
    b->chunks = g_array_new(FALSE, FALSE, sizeof(struct chunk));
    for (unsigned i = 0; i < count && good; i++)
        good = add_file(b, fds[i], ram, error);
    if (!good) {
        state_base_free(b);
        return NULL;
    }
    g_array_sort(b->chunks, by_window);
    return b;
}

void state_base_free(struct state_base *b)
{
    if (!b)
        return;
    g_array_unref(b->files);
    g_array_unref(b->chunks);
    g_free(b);
}

/* ---- a window ---- */

/* The first chunk of that window or one behind it. */
static guint first_from(const struct state_base *b, uint64_t at)
{
    guint low = 0, high = b->chunks->len;
    while (low < high) {
        guint middle = low + (high - low) / 2;
        if (g_array_index(b->chunks, struct chunk, middle).window < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint64_t state_base_next(const struct state_base *b, uint64_t at)
{
    guint i = first_from(b, at);
    return i < b->chunks->len ? g_array_index(b->chunks, struct chunk, i).window : UINT64_MAX;
}

/* Its pages to where they belong. */
static bool put_chunk(const struct chunk *c, unsigned pages, uint8_t *section, uint8_t *data, ZSTD_DCtx *zstd,
                      uint8_t *to)
{
    struct state_window w = {0};
    struct stream s;
    if (!state_read_extent(c->fd, &c->where, section, NULL))
        return false;
    stream_init_load(&s, section, c->where.bytes);
    bool good = state_window_read(&w, &s) && w.pages <= pages &&
                state_window_unpack(&w, section + s.at, c->where.bytes - s.at, data, zstd);
    const uint8_t *from = w.how == STATE_ZSTD ? data : section + s.at;
    stream_clear(&s);
    for (unsigned i = 0, n = 0; i < w.pages && good; i++)
        if (w.bits[i / 8] >> i % 8 & 1)
            memcpy(to + i * PAGE, from + n++ * PAGE, PAGE);
    g_free(w.area);
    return good;
}

bool state_base_read(const struct state_base *b, uint64_t at, unsigned pages, uint8_t *to)
{
    g_autofree uint8_t *section = NULL, *data = NULL;
    ZSTD_DCtx *zstd = NULL;
    bool good = true;
    memset(to, 0, pages * PAGE);
    for (guint i = first_from(b, at); i < b->chunks->len && good; i++) {
        const struct chunk *c = &g_array_index(b->chunks, struct chunk, i);
        if (c->window != at)
            break;
        section = section ? section : g_malloc(STATE_SECTION_BYTES);
        data = data ? data : g_malloc(WINDOW);
        zstd = zstd ? zstd : ZSTD_createDCtx();
        good = put_chunk(c, pages, section, data, zstd, to);
    }
    ZSTD_freeDCtx(zstd);
    return good;
}
