// SPDX-License-Identifier: GPL-2.0-or-later
/* save.c - a whole machine into a file, and out of it.
 *
 * Saving: every vCPU stands and time stops, at an instruction's border.  What was asked of the machine is done first, timers
 * that are due run once, and the requests that drives have under way are finished and told to their devices, until there is
 * nothing more of that: no request is ever in a state.  A timer that a device then sets for now waits for the machine that goes on: a
 * guest may have made rings of work without end, each step of which is begun by one.  Disks are flushed, not saved.
 * Loading: the file is read through once and must be whole; then part by part goes to the machine that was built from the
 * same machine.ini and has not started; memory is unpacked by several threads.  One that could not be loaded is not to be started. */
#include "core-vmm/api/tpm.h"
#include "core-vmm/machine/drive_media.h"
#include "core-vmm/machine/state.h"
#include <gio/gio.h>
#include <string.h>

/* ---- saving ---- */

/* One that was built and has not started is as good as any. */
bool save_ended(const struct machine *m)
{
    return m->state == MACHINE_STOPPED && m->last.end != MACHINE_END_NONE;
}

bool save_settle(struct machine *m, GError **error)
{
    unsigned requests, all = 0;
    machine_settle(m);
    if (!save_ended(m))
        clock_step(m->clock, 0); /* what is due */
    do {
        machine_settle(m);
        if (save_ended(m)) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "The machine stopped before it could be saved");
            return false;
        }
        if (!tpm_settle(m, error))
            return false;
        if (!drives_settle(m, &requests, error))
            return false;
        all += requests;
    } while (requests);
    g_message("before it is saved, the machine finished %u requests of its drives", all);
    return true;
}

static bool flush_drives(struct machine *m, GError **error)
{
    for (struct drive *v = drive_next(m, NULL); v; v = drive_next(m, v))
        if (!drive_sync(v, error))
            return false;
    return true;
}

static bool save_part(struct machine *m, const struct state_part *p, struct state_writer *w,
                      const struct save_watch *watch, GError **error)
{
    struct stream s;
    if (!p->sync)
        return state_save_memory(m, p, w, watch, error);
    stream_init_save(&s);
    bool good = p->sync(m, p, &s, error) && state_put(w, p->name, p->version, s.bytes->data, s.bytes->len, error);
    stream_clear(&s);
    return good;
}

static bool save_all(struct machine *m, int fd, const struct save_watch *watch, GError **error)
{
    struct state_writer w;
    g_autoptr(GArray) table = state_table(m);
    bool good = state_begin(&w, fd, error);
    for (unsigned i = 0; i < table->len && good; i++)
        good = save_part(m, &g_array_index(table, struct state_part, i), &w, watch, error);
    return good && state_finish(&w, error);
}

bool machine_save(struct machine *m, int fd, const struct save_watch *watch, GError **error)
{
    bool runs = m->state == MACHINE_RUNNING;
    if (save_ended(m)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "The machine has stopped: there is nothing to save");
        return false;
    }
    vcpus_ask_hold(m);
    vcpus_wait_held(m);
    clock_stand(m->clock);
    bool good = save_settle(m, error) && flush_drives(m, error) && save_all(m, fd, watch, error);
    if (runs && m->state == MACHINE_RUNNING)
        clock_go(m->clock);
    vcpus_release(m);
    return good;
}

/* ---- loading ---- */

/* The section is not the one that comes next. */
static bool misplaced(const GArray *table, unsigned next, const char *name, GError **error)
{
    const char *missing = next < table->len ? g_array_index(table, struct state_part, next).name : NULL;
    for (unsigned i = 0; i < next; i++)
        if (!strcmp(g_array_index(table, struct state_part, i).name, name))
            return state_fail(error, "has the part \"%s\" twice", name);
    for (unsigned i = next; i < table->len; i++)
        if (!strcmp(g_array_index(table, struct state_part, i).name, name))
            return state_fail(error, "lacks the part \"%s\"", missing);
    if (!strcmp(name, STATE_END))
        return state_fail(error, "lacks the part \"%s\"", missing);
    return state_fail(error, "has a part \"%s\" that this version of Terrarium or this machine does not know", name);
}

static bool load_part(struct machine *m, const struct state_part *p, const struct state_section *section,
                      GError **error)
{
    struct stream s;
    GError *why = NULL;
    stream_init_load(&s, section->data, section->bytes);
    bool good = p->sync(m, p, &s, &why) && stream_ok(&s), rest = s.at < section->bytes;
    stream_clear(&s);
    if (why)
        g_propagate_error(error, why);
    else if (!good)
        state_fail(error, "makes no sense in its part \"%s\"", p->name);
    else if (rest)
        return state_fail(error, "has more in its part \"%s\" than belongs there", p->name);
    return good;
}

struct load {
    struct machine *machine;
    GArray *table;
    struct state_reader reader;
    struct state_section section; /* the one that comes next */
    struct state_extent where;    /* its contents, which memory has there only: other threads read it */
    struct state_unpack *unpack;  /* NULL: the guest's memory has not begun */
    const int *older;             /* files that it may build upon */
    unsigned older_count;
};

static bool next_section(struct load *l, GError **error)
{
    return state_skim(&l->reader, &l->section, &l->where, error) &&
           (!strcmp(l->section.name, STATE_MEMORY_PART) || state_contents(&l->reader, &l->section, &l->where, error));
}

static bool right_version(const struct load *l, const struct state_part *p, GError **error)
{
    return l->section.version == p->version ||
           state_fail(error, "has version %u of its part \"%s\", and this version of Terrarium reads %u",
                      l->section.version, p->name, p->version);
}

static bool begin_memory(struct load *l, GError **error)
{
    if (l->unpack)
        return true;
    if (!state_clear_memory(l->machine, error))
        return false;
    l->unpack = state_unpack_new(l->machine);
    return true;
}

/* RAM of an older state: the one that the section is of?  That shows in the end, when it has been read. */
static bool load_older(struct load *l, int fd, GError **error)
{
    struct state_reader r;
    struct state_section s = {.name = ""};
    struct state_extent where;
    bool good = state_open(&r, fd, error);
    state_unpack_only_ram(l->unpack, true);
    while (good && strcmp(s.name, STATE_END)) {
        good = state_skim(&r, &s, &where, error);
        if (good && !strcmp(s.name, STATE_MEMORY_PART) && s.version == STATE_MEMORY_VERSION)
            good = state_unpack_put(l->unpack, fd, &where, error);
    }
    const struct state_identity file = state_identity(&r);
    state_close(&r);
    state_unpack_only_ram(l->unpack, false);
    return good && (state_base_is(&l->section, &file) ||
                    state_fail(error, "builds upon an older one, and what is in its place is another one"));
}

static bool load_base(struct load *l, GError **error)
{
    unsigned n = 0;
    bool good = true;
    while (good && !strcmp(l->section.name, STATE_BASE_PART)) {
        good = n < l->older_count || state_fail(error, "builds upon older ones, of which not all are there");
        good = good && begin_memory(l, error) && load_older(l, l->older[n++], error) && next_section(l, error);
    }
    return good;
}

/* Memory comes in pieces, at its place in the table and before it: a machine that ran on while it was saved (save_live.c) has
 * it for the most part before what came of it. */
static bool load_memory(struct load *l, const struct state_part *p, GError **error)
{
    bool good = begin_memory(l, error);
    while (good && !strcmp(l->section.name, p->name))
        good = right_version(l, p, error) && state_unpack_put(l->unpack, l->reader.fd, &l->where, error) &&
               next_section(l, error);
    return good && state_unpack_all(l->unpack, error);
}

static const struct state_part *memory_part(const GArray *table)
{
    const struct state_part *p = &g_array_index(table, struct state_part, 0);
    while (p->sync)
        p++;
    return p;
}

/* Takes the sections of one part, and reads the one behind. */
static bool load_next(struct load *l, unsigned i, GError **error)
{
    const struct state_part *p = &g_array_index(l->table, struct state_part, i), *memory = memory_part(l->table);
    bool early = i >= STATE_BEFORE_MEMORY && p < memory && !strcmp(l->section.name, memory->name);
    if ((early && !load_memory(l, memory, error)) || (!p->sync && !load_memory(l, p, error)))
        return false;
    if (!p->sync)
        return true;
    if (strcmp(l->section.name, p->name))
        return misplaced(l->table, i, l->section.name, error);
    return right_version(l, p, error) && load_part(l->machine, p, &l->section, error) && next_section(l, error);
}

static bool load_all(struct load *l, int fd, GError **error)
{
    bool good = state_open(&l->reader, fd, error) && next_section(l, error);
    irq_load_begin(l->machine);
    for (unsigned i = 0; i < l->table->len && good; i++)
        good = (i != STATE_BEFORE_MEMORY || load_base(l, error)) && load_next(l, i, error);
    irq_load_end(l->machine);
    state_unpack_free(l->unpack);
    state_close(&l->reader);
    return good && (!strcmp(l->section.name, STATE_END) || misplaced(l->table, l->table->len, l->section.name, error));
}

bool machine_restore(struct machine *m, int fd, const int *older, unsigned count, GError **error)
{
    struct load l = {.machine = m, .older = older, .older_count = count};
    if (m->state != MACHINE_STOPPED || save_ended(m)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "A machine that has started cannot be loaded");
        return false;
    }
    l.table = state_table(m);
    bool good = load_all(&l, fd, error);
    g_array_unref(l.table);
    return good;
}
