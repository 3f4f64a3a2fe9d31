// SPDX-License-Identifier: GPL-2.0-or-later
/* state_memory.c - the memory file as stretches: an area's name, an offset in it, whole pages.  Pages of zeroes are left
 * out; of what nobody ever touched, not even that is looked at. */
#include "core-vmm/machine/state.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <unistd.h>

#define STRETCH (1u << 20) /* at most */

/* RAM, and the memory of devices; not what shows a part of another region. */
GArray *state_areas(struct machine *m)
{
    GArray *areas = g_array_new(FALSE, TRUE, sizeof(struct memory_area));
    struct memory_area ram = {"RAM", 0, m->memory.below_4g + m->memory.above_4g};
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

/* ---- saving ---- */

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

static bool put_stretch(struct machine *m, const struct state_part *p, struct state_writer *w,
                        const struct memory_area *a, uint64_t from, uint64_t to, GError **error)
{
    struct stream s;
    g_autofree char *name = g_strdup(a->name);
    uint64_t offset = from - a->offset;
    stream_init_save(&s);
    stream_text(&s, &name);
    stream_u64(&s, &offset);
    bool good = state_put(w, p->name, p->version, s.bytes, m->memory.base + from, to - from, error);
    stream_clear(&s);
    return good;
}

/* [at, end) has been touched. */
static bool save_touched(struct machine *m, const struct state_part *p, struct state_writer *w,
                         const struct memory_area *a, uint64_t at, uint64_t end, GError **error)
{
    while (at < end) {
        uint64_t from = at;
        while (at < end && at - from < STRETCH && !is_zero(m->memory.base + at))
            at += PAGE;
        if (at > from && !put_stretch(m, p, w, a, from, at, error))
            return false;
        while (at < end && is_zero(m->memory.base + at))
            at += PAGE;
    }
    return true;
}

static bool save_area(struct machine *m, const struct state_part *p, struct state_writer *w,
                      const struct memory_area *a, GError **error)
{
    uint64_t end = a->offset + a->bytes;
    for (uint64_t at = a->offset; at < end;) {
        off_t data = lseek(m->memory.fd, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO) /* nothing more */
            return true;
        off_t hole = data < 0 ? -1 : lseek(m->memory.fd, data, SEEK_HOLE);
        uint64_t from = data < 0 ? at : MIN((uint64_t)data, end);
        uint64_t to = hole < 0 ? end : MIN((uint64_t)hole, end);
        if (from < to && !save_touched(m, p, w, a, from, to, error))
            return false;
        at = MAX(to, from);
    }
    return true;
}

bool state_save_memory(struct machine *m, const struct state_part *p, struct state_writer *w, GError **error)
{
    g_autoptr(GArray) areas = state_areas(m);
    bool good = true;
    for (unsigned i = 0; i < areas->len && good; i++)
        good = save_area(m, p, w, &g_array_index(areas, struct memory_area, i), error);
    return good;
}

/* ---- loading ---- */

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

bool state_load_memory(struct machine *m, const struct state_section *section, GError **error)
{
    g_autoptr(GArray) areas = state_areas(m);
    struct stream s;
    char *name = NULL;
    uint64_t offset;
    stream_init_load(&s, section->data, MIN(section->bytes, UINT16_MAX + 10));
    stream_text(&s, &name);
    stream_u64(&s, &offset);
    bool good = stream_ok(&s);
    uint64_t bytes = section->bytes - s.at;
    const struct memory_area *a = good ? find_area(areas, name) : NULL;
    good = a && offset % PAGE == 0 && bytes % PAGE == 0 && offset <= a->bytes && bytes <= a->bytes - offset;
    if (good) {
        memcpy(m->memory.base + a->offset + offset, section->data + s.at, bytes);
        m->engine->touched(m->engine_vm, a->offset + offset, bytes);
    }
    stream_clear(&s);
    g_free(name);
    return good || state_fail(error, "has a piece of memory that this machine has no place for");
}
