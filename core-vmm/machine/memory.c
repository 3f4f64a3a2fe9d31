// SPDX-License-Identifier: GPL-2.0-or-later
/* memory.c - the memory file and the guest-physical address map.
 *
 * Everything the guest can reach without a call lies in one memfd: first all of RAM, then device memory (ROMs, video RAM)
 * as devices ask for it.  The address map is painted in layers, later ones over earlier ones:
 *   1. RAM below and above 4 GiB, with the hole 0xA0000-0xFFFFF cut out;
 *   2. regions of devices that are switched on, in the order of the board's list;
 *   3. shadow RAM (i440FX PAM), per 4 KiB of the hole;
 *   4. the A20 alias.
 * The result is a sorted list of stretches.  Readers look it up without a lock: a sequence counter (odd while the list is
 * being rewritten) makes them try again.  The engine is told the differences only. */
#include "core-vmm/api/balloon.h"
#include "core-vmm/machine/core.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEVICE_MEMORY (256ull << 20) /* room for ROMs and video RAM in the file; sparse until touched */
#define HOLE          0xa0000ull
#define HOLE_END      0x100000ull
#define LOW_LIMIT     0xe0000000ull /* RAM below 4 GiB ends here at the latest: PCI space follows */

bool memory_init(struct machine *m, uint64_t ram, GError **error)
{
    struct memory *mem = &m->memory;
    mem->below_4g = MIN(ram, LOW_LIMIT);
    mem->above_4g = ram - mem->below_4g;
    mem->bytes = ram + DEVICE_MEMORY;
    mem->used = ram;
    mem->a20 = true;
    mem->fd = memfd_create("terrarium-memory", MFD_CLOEXEC);
    if (mem->fd < 0 || ftruncate(mem->fd, mem->bytes) != 0) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
                    "The guest's memory (%" G_GUINT64_FORMAT " MiB) cannot be set up: %s%s", ram >> 20, strerror(errno),
                    errno == EFBIG ? "; it is a file for the kernel: raise the limit on their size (ulimit -f)" : "");
        return false;
    }
    void *p = mmap(NULL, mem->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, mem->fd, 0);
    if (p == MAP_FAILED) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
                    "The guest's memory (%" G_GUINT64_FORMAT " MiB) cannot be mapped: %s; give the VM less memory",
                    ram >> 20, strerror(errno));
        return false;
    }
    mem->base = p;
    return true;
}

void memory_free(struct machine *m)
{
    g_free((void *)atomic_exchange(&m->memory.others, NULL));
    if (m->memory.base)
        munmap(m->memory.base, m->memory.bytes);
    if (m->memory.fd > 0)
        close(m->memory.fd);
}

uint64_t memory_add(struct machine *m, uint64_t bytes, GError **error)
{
    struct memory *mem = &m->memory;
    bytes = (bytes + PAGE - 1) & ~(PAGE - 1);
    for (unsigned i = 0; i < MAX_SPARE; i++)
        if (mem->spare[i].bytes == bytes) {
            mem->spare[i].bytes = 0;
            return mem->spare[i].offset;
        }
    if (bytes > mem->bytes - mem->used) {
        g_set_error(
            error, G_FILE_ERROR, G_FILE_ERROR_NOMEM,
            "The devices of this VM ask for more than %llu MiB of memory of their own; give the video card less",
            DEVICE_MEMORY >> 20);
        return NO_MEMORY;
    }
    uint64_t offset = mem->used;
    mem->used += bytes;
    return offset;
}

/* Whoever comes next asks for the same sizes, as a rule: what a device had is kept for one that wants as much.  With no room
 * for the note, the piece is lost until the machine ends. */
void memory_remove(struct machine *m, uint64_t offset, uint64_t bytes)
{
    struct memory *mem = &m->memory;
    if (!m->engine_vm) /* the end of the machine */
        return;
    bytes = (bytes + PAGE - 1) & ~(PAGE - 1);
    memset(mem->base + offset, 0, bytes);
    memory_touched(m, offset, bytes);
    for (unsigned i = 0; i < MAX_SPARE; i++)
        if (!mem->spare[i].bytes) {
            mem->spare[i].offset = offset;
            mem->spare[i].bytes = bytes;
            return;
        }
}

/* ---- painting ---- */

struct painting {
    unsigned count;
    struct flat flat[MAX_FLAT];
};

static struct flat flat_part(const struct flat *f, uint64_t gpa, uint64_t bytes)
{
    struct flat part = *f;
    uint64_t skip = gpa - f->gpa;
    part.gpa = gpa;
    part.bytes = bytes;
    part.region_offset += skip;
    if (part.offset != NO_MEMORY)
        part.offset += skip;
    if (part.store_offset != NO_MEMORY)
        part.store_offset += skip;
    return part;
}

/* Puts *f over what is there. */
static void paint(struct painting *p, const struct flat *f)
{
    static const unsigned slack = 2;
    struct painting old = *p;
    uint64_t end = f->gpa + f->bytes;
    bool placed = false;
    p->count = 0;
    for (unsigned i = 0; i < old.count && p->count + slack < MAX_FLAT; i++) {
        const struct flat *o = &old.flat[i];
        uint64_t o_end = o->gpa + o->bytes;
        if (o->gpa < f->gpa)
            p->flat[p->count++] = flat_part(o, o->gpa, MIN(o_end, f->gpa) - o->gpa);
        if (o_end > f->gpa && !placed) {
            p->flat[p->count++] = *f;
            placed = true;
        }
        if (o_end > end)
            p->flat[p->count++] = flat_part(o, MAX(o->gpa, end), o_end - MAX(o->gpa, end));
    }
    if (!placed && p->count < MAX_FLAT)
        p->flat[p->count++] = *f;
}

static const struct flat *painting_find(const struct painting *p, uint64_t gpa)
{
    for (unsigned i = 0; i < p->count; i++)
        if (gpa - p->flat[i].gpa < p->flat[i].bytes)
            return &p->flat[i];
    return NULL;
}

static void paint_ram(struct machine *m, struct painting *p, uint64_t gpa, uint64_t bytes, uint64_t offset)
{
    struct flat f = {.gpa = gpa, .bytes = bytes, .offset = offset, .store_offset = offset, .log = m->memory.log};
    if (bytes)
        paint(p, &f);
}

static void paint_devices(struct machine *m, struct painting *p)
{
    for (unsigned i = 0; i < m->devices; i++) {
        struct device *d = m->device[i];
        for (unsigned r = 0; r < DEV_REGIONS; r++) {
            const struct region *spec = &d->ops->regions[r];
            const struct mapped_region *at = &d->core->region[r];
            uint64_t bytes = at->memory != NO_MEMORY ? at->memory_bytes : spec->bytes;
            if (spec->bus != BUS_MEM || !at->on || at->base + bytes < at->base)
                continue;
            struct flat f = {.gpa = at->base,
                             .bytes = bytes,
                             .offset = at->hidden ? NO_MEMORY : at->memory,
                             .store_offset = NO_MEMORY,
                             .device = d,
                             .region = r,
                             .readonly = at->readonly,
                             .log = at->memory != NO_MEMORY && !at->readonly && !at->hidden};
            paint(p, &f);
        }
    }
}

static void paint_shadow(struct machine *m, struct painting *p)
{
    for (uint64_t gpa = HOLE; gpa < HOLE_END && gpa < m->memory.below_4g; gpa += PAGE) {
        struct shadow s = m->memory.shadow[(gpa - HOLE) / PAGE];
        if (!s.read_ram && !s.write_ram)
            continue;
        const struct flat *under = painting_find(p, gpa);
        struct flat f =
            under ? flat_part(under, gpa, PAGE) : (struct flat){.gpa = gpa, .bytes = PAGE, .offset = NO_MEMORY};
        if (s.read_ram) {
            f.offset = gpa;
            f.log = m->memory.log;
        }
        f.store_offset = s.write_ram ? gpa : NO_MEMORY;
        f.readonly = !(s.read_ram && s.write_ram);
        paint(p, &f);
    }
}

static bool flat_continues(const struct flat *a, const struct flat *b)
{
    bool memory = a->offset == NO_MEMORY ? b->offset == NO_MEMORY : a->offset + a->bytes == b->offset;
    bool store =
        a->store_offset == NO_MEMORY ? b->store_offset == NO_MEMORY : a->store_offset + a->bytes == b->store_offset;
    bool device = a->device == b->device &&
                  (!a->device || (a->region == b->region && a->region_offset + a->bytes == b->region_offset));
    return a->gpa + a->bytes == b->gpa && memory && store && device && a->readonly == b->readonly && a->log == b->log;
}

static void painting_merge(struct painting *p)
{
    unsigned n = 0;
    for (unsigned i = 0; i < p->count; i++) {
        if (n && flat_continues(&p->flat[n - 1], &p->flat[i]))
            p->flat[n - 1].bytes += p->flat[i].bytes;
        else
            p->flat[n++] = p->flat[i];
    }
    p->count = n;
}

static void paint_all(struct machine *m, struct painting *p)
{
    struct memory *mem = &m->memory;
    p->count = 0;
    paint_ram(m, p, 0, MIN(mem->below_4g, HOLE), 0);
    if (mem->below_4g > HOLE_END)
        paint_ram(m, p, HOLE_END, mem->below_4g - HOLE_END, HOLE_END);
    paint_ram(m, p, 4ull << 30, mem->above_4g, mem->below_4g);
    paint_devices(m, p);
    paint_shadow(m, p);
    if (!mem->a20) {
        struct painting low = *p;
        for (unsigned i = 0; i < low.count && low.flat[i].gpa < HOLE_END; i++) {
            struct flat f =
                flat_part(&low.flat[i], low.flat[i].gpa, MIN(low.flat[i].bytes, HOLE_END - low.flat[i].gpa));
            f.gpa += HOLE_END;
            paint(p, &f);
        }
    }
    painting_merge(p);
}

/* ---- telling the engine ---- */

static int map_how(const struct flat *f)
{
    return (f->readonly ? CPU_MAP_READONLY : CPU_MAP_RAM) | (f->log ? CPU_MAP_LOG : 0);
}

static bool flat_in(const struct flat *f, const struct flat *list, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (list[i].gpa == f->gpa && list[i].bytes == f->bytes && list[i].offset == f->offset &&
            map_how(&list[i]) == map_how(f))
            return true;
    return false;
}

/* What of it the engine may have: whole pages.  A BAR smaller than a page may lie in the middle of one of RAM, and then the
 * rest of that page is reached by core only. */
static struct flat whole_pages(const struct flat *f)
{
    struct flat whole = *f;
    uint64_t skip = -f->gpa & (PAGE - 1);
    whole.gpa += skip;
    whole.offset += skip;
    whole.bytes = skip < f->bytes && whole.offset % PAGE == 0 ? (f->bytes - skip) & ~(PAGE - 1) : 0;
    return whole;
}

static bool map_one(struct machine *m, const struct flat *f, GError **error)
{
    struct flat w = whole_pages(f);
    return !w.bytes || m->engine->map(m->engine_vm, w.gpa, w.bytes, w.offset, map_how(f), error);
}

/* Takes away what no memory covers any more.  The rest is left for map() to replace in one step, so that a vCPU that runs
 * elsewhere never finds its RAM missing. */
static void unmap_uncovered(struct machine *m, const struct flat *old)
{
    struct flat gone = whole_pages(old);
    uint64_t at = gone.gpa, end = gone.gpa + gone.bytes;
    for (unsigned i = 0; i < m->memory.count && at < end; i++) {
        struct flat f = whole_pages(&m->memory.flat[i]);
        if (m->memory.flat[i].offset == NO_MEMORY || f.gpa + f.bytes <= at || f.gpa >= end)
            continue;
        if (f.gpa > at)
            m->engine->map(m->engine_vm, at, f.gpa - at, 0, CPU_MAP_NONE, NULL);
        at = f.gpa + f.bytes;
    }
    if (at < end)
        m->engine->map(m->engine_vm, at, end - at, 0, CPU_MAP_NONE, NULL);
}

static void tell_engine(struct machine *m, const struct flat *old, unsigned old_count)
{
    const struct memory *mem = &m->memory;
    if (!m->engine_vm)
        return;
    for (unsigned i = 0; i < old_count; i++)
        if (old[i].offset != NO_MEMORY && !flat_in(&old[i], mem->flat, mem->count))
            unmap_uncovered(m, &old[i]);
    for (unsigned i = 0; i < mem->count; i++) {
        const struct flat *f = &mem->flat[i];
        g_autoptr(GError) error = NULL;
        if (f->offset == NO_MEMORY || flat_in(f, old, old_count))
            continue;
        if (!map_one(m, f, &error))
            machine_stop(m, MACHINE_END_FAILED, 0, error->message);
    }
}

bool memory_map_engine(struct machine *m, GError **error)
{
    for (unsigned i = 0; i < m->memory.count; i++) {
        const struct flat *f = &m->memory.flat[i];
        if (f->offset != NO_MEMORY && !map_one(m, f, error))
            return false;
    }
    return true;
}

void memory_rebuild(struct machine *m)
{
    struct memory *mem = &m->memory;
    g_autofree struct painting *p = g_new(struct painting, 1);
    g_autofree struct flat *old = g_memdup2(mem->flat, sizeof mem->flat);
    unsigned old_count = mem->count;
    paint_all(m, p);
    atomic_fetch_add_explicit(&mem->sequence, 1, memory_order_acq_rel);
    memcpy(mem->flat, p->flat, p->count * sizeof *p->flat);
    mem->count = p->count;
    atomic_fetch_add_explicit(&mem->sequence, 1, memory_order_release);
    tell_engine(m, old, old_count);
}

void device_map_changed(struct machine *m)
{
    pthread_mutex_lock(&m->map);
    memory_rebuild(m);
    pthread_mutex_unlock(&m->map);
}

/* ---- look-up ---- */

static bool flat_search(const struct memory *mem, uint64_t gpa, struct flat *out)
{
    unsigned low = 0, high = MIN(mem->count, MAX_FLAT);
    while (low < high) {
        unsigned mid = (low + high) / 2;
        if (mem->flat[mid].gpa + mem->flat[mid].bytes <= gpa)
            low = mid + 1;
        else
            high = mid;
    }
    if (low >= MAX_FLAT)
        return false;
    *out = mem->flat[low];
    return low < mem->count && gpa - out->gpa < out->bytes;
}

bool memory_find(struct machine *m, uint64_t gpa, struct flat *out)
{
    const struct memory *mem = &m->memory;
    for (;;) {
        unsigned before = atomic_load_explicit(&mem->sequence, memory_order_acquire);
        bool found = flat_search(mem, gpa, out);
        atomic_thread_fence(memory_order_acquire);
        if (!(before & 1) && atomic_load_explicit(&mem->sequence, memory_order_relaxed) == before)
            return found;
    }
}

/* ---- who writes to it ---- */

static uint64_t ram_pages(const struct machine *m)
{
    return (m->memory.below_4g + m->memory.above_4g) / PAGE;
}

/* The fence: whoever reads the memory after it began to note (memory_log()) sees what was written, or the note is made. */
void memory_touched(struct machine *m, uint64_t offset, uint64_t bytes)
{
    atomic_thread_fence(memory_order_seq_cst);
    _Atomic uint64_t *others = m->memory.others;
    uint64_t end = MIN((offset + bytes + PAGE - 1) / PAGE, ram_pages(m));
    m->engine->touched(m->engine_vm, offset, bytes);
    for (uint64_t page = offset / PAGE; others && page < end; page++)
        atomic_fetch_or(&others[page / 64], UINT64_C(1) << page % 64);
}

/* The note of others' writes stays where it is once it is there: a thread may be about to write to it. */
void memory_log(struct machine *m, bool on)
{
    uint64_t words = ram_pages(m) / 64 + 1;
    g_autofree uint64_t *old = g_new0(uint64_t, words);
    if (!m->memory.others)
        m->memory.others = (_Atomic uint64_t *)g_new0(uint64_t, words);
    pthread_mutex_lock(&m->map); /* the map may be rebuilt on a vCPU's thread */
    m->memory.log = on;
    memory_rebuild(m);
    pthread_mutex_unlock(&m->map);
    if (on)
        memory_take_log(m, old);
}

void memory_take_log(struct machine *m, uint64_t *bitmap)
{
    _Atomic uint64_t *others = m->memory.others;
    m->engine->dirty(m->engine_vm, 0, ram_pages(m) * PAGE, bitmap);
    for (uint64_t i = 0; i <= ram_pages(m) / 64; i++)
        bitmap[i] |= atomic_exchange(&others[i], 0);
}

/* ---- what devices may do ---- */

void *dev_dma(struct device *d, uint64_t gpa, uint64_t bytes, bool write)
{
    struct machine *m = d->machine;
    struct flat f;
    if (!memory_find(m, gpa, &f) || f.offset == NO_MEMORY || (write && f.readonly))
        return NULL;
    uint64_t skip = gpa - f.gpa, start = f.offset + skip, left = f.bytes - skip;
    while (left < bytes) { /* the next stretch must follow in the file too */
        struct flat next;
        if (!memory_find(m, gpa + left, &next) || next.offset != start + left || (write && next.readonly))
            return NULL;
        left += next.bytes;
    }
    return m->memory.base + start;
}

unsigned dev_map_count(struct device *d)
{
    return atomic_load_explicit(&d->machine->memory.sequence, memory_order_acquire);
}

void dev_dma_done(struct device *d, uint64_t gpa, uint64_t bytes)
{
    struct machine *m = d->machine;
    struct flat f;
    if (m->engine_vm && memory_find(m, gpa, &f) && f.offset != NO_MEMORY)
        memory_touched(m, f.offset + (gpa - f.gpa), bytes);
}

/* Takes pages out of the memory file.  Whoever looks at them again finds zeroes; the engine is told as of any other write. */
static bool punch(struct machine *m, uint64_t offset, uint64_t bytes)
{
    if (madvise(m->memory.base + offset, bytes, MADV_REMOVE))
        return false;
    if (m->engine_vm)
        memory_touched(m, offset, bytes);
    return true;
}

uint64_t dev_give_back(struct device *d, uint64_t gpa, uint64_t bytes)
{
    struct machine *m = d->machine;
    uint64_t ram = m->memory.below_4g + m->memory.above_4g, done = 0, n;
    uint64_t from = (gpa + PAGE - 1) & ~(PAGE - 1), to = (gpa + bytes) & ~(PAGE - 1);
    if (gpa + bytes < gpa || from < gpa)
        return 0;
    for (uint64_t at = from; at < to; at += n) {
        struct flat f;
        n = PAGE;
        if (!memory_find(m, at, &f) || f.offset == NO_MEMORY || f.offset >= ram || f.readonly)
            continue;
        n = MAX(MIN(to - at, f.gpa + f.bytes - at) & ~(PAGE - 1), PAGE);
        if (f.gpa + f.bytes - at >= PAGE && punch(m, f.offset + (at - f.gpa), n))
            done += n;
    }
    return done;
}

uint64_t machine_memory_used(struct machine *m)
{
    enum { BLOCK = 512 };
    struct stat st;
    return fstat(m->memory.fd, &st) ? 0 : (uint64_t)st.st_blocks * BLOCK;
}

void dev_shadow(struct device *d, uint64_t gpa, uint64_t bytes, bool read_ram, bool write_ram)
{
    struct machine *m = d->machine;
    bool changed = false;
    for (uint64_t at = MAX(gpa, HOLE); at < gpa + bytes && at < HOLE_END; at += PAGE) {
        struct shadow *s = &m->memory.shadow[(at - HOLE) / PAGE];
        changed |= s->read_ram != read_ram || s->write_ram != write_ram;
        *s = (struct shadow){read_ram, write_ram};
    }
    if (changed)
        device_map_changed(m);
}

void dev_a20(struct device *d, bool on)
{
    if (d->machine->memory.a20 == on)
        return;
    d->machine->memory.a20 = on;
    device_map_changed(d->machine);
}

bool dev_a20_now(struct device *d)
{
    return d->machine->memory.a20;
}

uint64_t dev_ram_below_4g(struct device *d)
{
    return d->machine->memory.below_4g;
}

uint64_t dev_ram_above_4g(struct device *d)
{
    return d->machine->memory.above_4g;
}
