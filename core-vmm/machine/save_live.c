// SPDX-License-Identifier: GPL-2.0-or-later
/* save_live.c - a machine into a file while it runs on: it stands only for a moment, and that is what the file shows.
 *
 * Memory goes out first, while the guest writes to it, as machines are moved between hosts: the engine's log, and a note of what
 * devices write, say which pages have changed since they were read.  Those are copied aside (live_pages.c), again and again,
 * each time fewer, for that is much faster than packing.  Where they do not become fewer, the guest is held back (live_brake.c)
 * until they do.  When few are left, it stands: its devices and CPUs go to
 * memory, the last pages are copied aside, and disks go on with the fresh images that were put on top of theirs.  Then it runs on, and what was
 * set aside goes to the file.  So every engine needs no more than its log of written pages, and no write of the guest waits for
 * the file.
 *
 * Both prices have bounds.  What is set aside has that of live_pages.c, and the last pages come on top of it.  Of those there are FEW_PAGES of the
 * guest's RAM at most, or, of a guest that is held back as hard as it gets and still changes as many as are copied, as many as may be set aside; one
 * with more than that gets no snapshot, and one sentence.
 *
 * Steps that take long run on a thread of their own; everything else, and all that touches the machine, on the loop thread. */
#include "core-vmm/base/disk_layers.h"
#include "core-vmm/machine/drive_overlay.h"
#include "core-vmm/machine/live.h"
#include <errno.h>
#include <gio/gio.h>
#include <string.h>
#include <unistd.h>

#define FLASH_AREA "flash.0" /* the memory of UEFI's variables, as state_areas() calls it */
enum { FEW_PAGES = 4096, ALIKE_ROUNDS = 3, ALIKE_AT_LAST = 16, ROUNDS_MAX = 64, LOG_MS = 50 };
enum step { STEP_MEMORY, STEP_COPY, STEP_FLUSH, STEP_REST };

struct live {
    struct machine *machine;
    int fd;
    int vars;                /* for what UEFI remembers */
    GArray *older;           /* int: files of states that it may build upon */
    struct state_base *base; /* NULL: it has all of RAM itself */
    struct save_watch watch;
    live_done done;
    void *ctx;
    enum step step;
    GArray *table, *areas; /* struct state_part, struct memory_area; as they were when it began */
    GPtrArray *parts;      /* GByteArray by the table, NULL: not there yet */
    struct state_writer writer;
    struct live_pages pages;
    struct live_brake brake;
    guint to_memory; /* a timer, until memory begins to go out */
    struct drives_frozen *drives;
    struct drives_plain *plain;
    guint drives_part; /* which of the parts says what lies in the drives */
    uint64_t before;   /* pages of the last round */
    unsigned written;  /* how often the store had gone to the file then */
    unsigned alike;    /* rounds that did not make them fewer */
    struct live_result result;
    GError *error;
};

static void live_free(struct live *l)
{
    state_base_free(l->base);
    g_clear_pointer(&l->older, g_array_unref);
    if (l->to_memory)
        g_source_remove(l->to_memory);
    live_brake_clear(&l->brake);
    live_pages_clear(&l->pages);
    drives_frozen_free(l->drives);
    drives_plain_free(l->plain);
    g_ptr_array_unref(l->parts);
    g_array_unref(l->areas);
    g_array_unref(l->table);
    g_clear_error(&l->error);
    close(l->fd);
    close(l->vars);
    g_free(l);
}

static void part_free(gpointer bytes)
{
    if (bytes)
        g_byte_array_unref(bytes);
}

/* ---- steps on their own thread ---- */

/* One that is damaged, or of another size of memory, is as good as none. */
static void open_base(struct live *l)
{
    g_autoptr(GError) why = NULL;
    if (!l->older)
        return;
    uint64_t ram = g_array_index(l->areas, struct memory_area, 0).bytes;
    l->base = state_base_open((const int *)l->older->data, l->older->len, ram, &why);
    l->result.based = l->base;
    if (!l->base)
        g_message("live: all of memory goes to the file: %s", why->message);
}

/* What the state is of, and memory as it is while it changes. */
static bool write_memory(struct live *l, GError **error)
{
    g_autoptr(GArray) ram = g_array_new(FALSE, FALSE, sizeof(struct memory_area));
    g_array_append_vals(ram, l->areas->data, 1);
    open_base(l);
    const struct page_source from = {.base = l->base};
    bool good = state_begin(&l->writer, l->fd, error);
    for (guint i = 0; i < STATE_BEFORE_MEMORY && good; i++) {
        const struct state_part *p = &g_array_index(l->table, struct state_part, i);
        const GByteArray *b = l->parts->pdata[i];
        good = state_put(&l->writer, p->name, p->version, b->data, b->len, error);
    }
    good = good && (!l->base || state_base_put(l->base, &l->writer, error));
    for (guint i = 0; i < l->table->len && good; i++) {
        const struct state_part *p = &g_array_index(l->table, struct state_part, i);
        good = p->sync || state_save_areas(l->machine, ram, &from, p, &l->writer, &l->watch, error);
    }
    return good;
}

static void copied(void *live, uint64_t pages)
{
    live_brake_copied(&((struct live *)live)->brake);
}

/* Between two pieces of what is written because the store is full. */
static bool is_wanted(void *live, uint64_t done, uint64_t total, GError **error)
{
    struct live *l = live;
    live_brake_copied(&l->brake);
    return l->watch.goes_on(l->watch.ctx, 1, 1, error);
}

static bool write_store(void *live, GError **error)
{
    struct live *l = live;
    const struct save_watch watch = {is_wanted, l};
    const struct page_source from = {.store = &l->pages.store};
    bool good = true;
    for (guint i = 0; i < l->table->len && good; i++) {
        const struct state_part *p = &g_array_index(l->table, struct state_part, i);
        good = p->sync || state_save_areas(l->machine, l->areas, &from, p, &l->writer, &watch, error);
    }
    return good;
}

static bool set_aside(struct live *l, GError **error)
{
    return live_pages_set_aside(&l->pages, &(struct live_watch){write_store, copied, l}, error);
}

/* Not for what is there now: the second time, while the guest stands, the copy has its pages already, which is most of the time. */
static bool set_devices_aside(struct live *l, GError **error)
{
    live_pages_add_devices(&l->pages);
    return set_aside(l, error);
}

/* The flash's memory at that moment: its file may not have all of it yet, and has what comes later.  What was not set aside was never
 * touched, and is zero here too. */
static bool write_vars(struct live *l, GError **error)
{
    const struct memory_area *flash = NULL;
    for (guint i = 0; i < l->areas->len && !flash; i++) {
        const struct memory_area *a = &g_array_index(l->areas, struct memory_area, i);
        flash = strcmp(a->name, FLASH_AREA) ? NULL : a;
    }
    for (uint64_t at = 0; flash && at < flash->bytes;) {
        ssize_t n = pwrite(l->vars, l->pages.store.data + flash->offset + at, flash->bytes - at, at);
        if (n < 0 && errno != EINTR) {
            g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
                        "What UEFI remembers cannot be written to its file: %s", g_strerror(errno));
            return false;
        }
        at += MAX(n, 0);
    }
    l->result.vars = flash;
    return true;
}

/* The disks are other ones already: a snapshot is worth more than whoever asked for it and does not want it any more. */
static bool only_tell(void *live, uint64_t done, uint64_t total, GError **error)
{
    struct live *l = live;
    (void)l->watch.goes_on(l->watch.ctx, done, total, NULL);
    return true;
}

static bool write_rest(struct live *l, GError **error)
{
    const struct save_watch watch = {only_tell, l};
    const struct page_source from = {.store = &l->pages.store};
    bool good = true;
    for (guint i = STATE_BEFORE_MEMORY; i < l->table->len && good; i++) {
        const struct state_part *p = &g_array_index(l->table, struct state_part, i);
        const GByteArray *b = l->parts->pdata[i];
        if (p->sync)
            good = state_put(&l->writer, p->name, p->version, b->data, b->len, error);
        else
            good = state_save_areas(l->machine, l->areas, &from, p, &l->writer, &watch, error);
    }
    return good && write_vars(l, error) && state_finish(&l->writer, error);
}

static bool do_step(struct live *l, GError **error)
{
    switch (l->step) {
    case STEP_MEMORY:
        return write_memory(l, error) && set_devices_aside(l, error) && drives_plain_flush(l->plain, error);
    case STEP_COPY: return set_aside(l, error) && l->watch.goes_on(l->watch.ctx, 1, 1, error);
    case STEP_FLUSH: return drives_frozen_flush(l->drives, error);
    case STEP_REST: return drives_frozen_note(l->drives, error) && write_rest(l, error);
    }
    return false;
}

static gboolean next_step(gpointer live);

void live_work(void *live, void *unused)
{
    struct live *l = live;
    const struct thread_hook *h = &l->machine->on_thread;
    if (!h->begins || h->begins(h->ctx, MACHINE_THREAD_WORKER))
        do_step(l, &l->error);
    else
        g_set_error(&l->error, G_IO_ERROR, G_IO_ERROR_FAILED, "The thread that saves has no fence");
    g_idle_add_full(G_PRIORITY_HIGH, next_step, l, NULL);
}

static void begin_step(struct live *l, enum step step)
{
    l->step = step;
    g_thread_pool_push(l->machine->packers->live, l, NULL);
}

/* ---- the moment ---- */

static GByteArray *take_part(struct live *l, guint i, GError **error)
{
    const struct state_part *p = &g_array_index(l->table, struct state_part, i);
    struct stream s;
    stream_init_save(&s);
    bool good = p->sync(l->machine, p, &s, error);
    GByteArray *bytes = good ? g_byte_array_ref(s.bytes) : NULL;
    stream_clear(&s);
    return bytes;
}

/* What is on the drives is known when their images are flushed. */
static bool take_parts(struct live *l, guint from, guint to, GError **error)
{
    bool good = true;
    for (guint i = from; i < to && good; i++) {
        const struct state_part *p = &g_array_index(l->table, struct state_part, i);
        if (!p->sync || i == l->drives_part)
            continue;
        l->parts->pdata[i] = take_part(l, i, error);
        good = l->parts->pdata[i];
    }
    return good;
}

/* The guest may have let go of one. */
static bool same_machine(struct live *l, GError **error)
{
    const GByteArray *was = l->parts->pdata[STATE_BEFORE_MEMORY - 1];
    GByteArray *is = take_part(l, STATE_BEFORE_MEMORY - 1, error);
    bool same = !l->machine->eject_later && is && is->len == was->len && !memcmp(is->data, was->data, is->len);
    if (is && !same)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_BUSY, "The machine's devices changed while it was saved; try again");
    g_clear_pointer(&is, g_byte_array_unref);
    return same;
}

static bool take_state(struct live *l, GError **error)
{
    memory_take_log(l->machine, l->pages.changed);
    live_pages_add_devices(&l->pages);
    l->result.last_pages = live_pages_count(&l->pages);
    return same_machine(l, error) && take_parts(l, STATE_BEFORE_MEMORY, l->table->len, error) &&
           live_pages_set_aside(&l->pages, NULL, error);
}

static bool at_the_moment(struct live *l, GError **error)
{
    struct machine *m = l->machine;
    if (!save_settle(m, error) || !drives_freeze(m, &l->drives, error) || !take_state(l, error))
        return false;
    drives_put_on_top(m);
    return true;
}

static bool stand_for_a_moment(struct live *l, GError **error)
{
    struct machine *m = l->machine;
    gint64 from = g_get_monotonic_time();
    vcpus_ask_hold(m);
    vcpus_wait_held(m);
    clock_stand(m->clock);
    bool good = at_the_moment(l, error);
    if (m->state == MACHINE_RUNNING)
        clock_go(m->clock);
    live_brake_release(&l->brake);
    vcpus_release(m);
    l->result.stood_us = g_get_monotonic_time() - from;
    memory_log(m, false);
    return good;
}

/* ---- from step to step ---- */

static void finish(struct live *l)
{
    struct machine *m = l->machine;
    m->live = NULL;
    live_brake_release(&l->brake);
    l->result.held_back = l->brake.turns.level;
    drive_overlays_close(m);
    if (m->memory.log)
        memory_log(m, false);
    g_message("live: stood still for %" G_GINT64_FORMAT
              " us; rounds: %u, pages left: %u, held back: %u of %u, store full: %u times%s%s",
              l->result.stood_us, l->result.rounds, l->result.last_pages, l->result.held_back, LIVE_BRAKE_HARDEST,
              l->pages.written, l->error ? ": " : "", l->error ? l->error->message : "");
    if (l->done)
        l->done(l->ctx, &l->result, l->error);
    live_free(l);
    uint32_t slots = m->eject_later;
    m->eject_later = 0;
    if (slots)
        machine_ask_eject(m, slots);
}

static bool too_fast(const struct live *l, uint64_t pages, GError **error)
{
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_BUSY,
                "The guest changes its memory faster than it can be copied, also when it is held back: "
                "%" G_GUINT64_FORMAT " MiB would have to be copied while it stands, and %" G_GUINT64_FORMAT
                " may; save it instead (vmctl save), or try again "
                "when it does less",
                (guint64)(pages * PAGE >> 20), (guint64)(l->pages.most * PAGE >> 20));
    return false;
}

/* What is changed while a round is copied is to become fewer; a few rounds are for what the guest did while all of its memory went out,
 * and for what was written in the one before, as a software engine's log has that once more.  On a busy host rounds differ: the last
 * resort, a moment with more than FEW_PAGES, is for a guest of which many rounds had none with fewer. */
static bool may_go_on(struct live *l, bool *again, GError **error)
{
    memory_take_log(l->machine, l->pages.changed);
    uint64_t n = live_pages_count(&l->pages), before = l->before;
    l->before = n;
    l->alike = n < before / 4 * 3 ? 0 : l->alike + 1;
    l->result.rounds++;
    g_debug("live: round %u: %" G_GUINT64_FORMAT " pages changed, %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " aside",
            l->result.rounds, n, l->pages.aside, l->pages.most);
    *again = n > FEW_PAGES;
    if (l->pages.written > l->written) { /* each time makes the file larger by all of the store: not again for long */
        l->written = l->pages.written;
        l->alike = 0;
        if (live_brake_harder(&l->brake) && l->result.rounds < ROUNDS_MAX) {
            live_brake_harder(&l->brake);
            return true;
        }
    }
    unsigned most = l->brake.turns.level < LIVE_BRAKE_HARDEST ? ALIKE_ROUNDS : ALIKE_AT_LAST;
    if (!*again || (l->alike < most && l->result.rounds < ROUNDS_MAX))
        return true;
    l->alike = 0;
    if (l->result.rounds < ROUNDS_MAX && live_brake_harder(&l->brake))
        return true;
    *again = false;
    return n <= l->pages.most || too_fast(l, n, error);
}

static void settle_drives(struct live *l)
{
    drives_frozen_settle(l->drives);
    l->parts->pdata[l->drives_part] = drives_frozen_save(l->drives);
    begin_step(l, STEP_REST);
}

static gboolean next_step(gpointer live)
{
    struct live *l = live;
    bool moves = l->step == STEP_MEMORY || l->step == STEP_COPY, again = false;
    bool good = !l->error && (!moves || may_go_on(l, &again, &l->error));
    if (good && again)
        begin_step(l, STEP_COPY);
    else if (good && moves && stand_for_a_moment(l, &l->error))
        begin_step(l, STEP_FLUSH);
    else if (good && l->step == STEP_FLUSH)
        settle_drives(l);
    else
        finish(l);
    return G_SOURCE_REMOVE;
}

/* ---- beginning and end ---- */

static bool prepare(struct live *l, GError **error)
{
    struct machine *m = l->machine;
    if (save_ended(m)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "The machine has stopped: there is nothing to save");
        return false;
    }
    while (strcmp(g_array_index(l->table, struct state_part, l->drives_part).name, DISK_LAYERS_PART))
        l->drives_part++;
    g_ptr_array_set_size(l->parts, l->table->len);
    l->plain = drives_plain(m);
    return live_pages_init(&l->pages, m, l->areas, error) && take_parts(l, 0, STATE_BEFORE_MEMORY, error);
}

/* What has been written to so far goes out with all the rest.  A software engine's vCPU says of every page that it ever wrote to that it may
 * have, once, when it hears of the log: until then, it runs. */
static gboolean begin_memory(gpointer live)
{
    struct live *l = live;
    l->to_memory = 0;
    memory_take_log(l->machine, l->pages.changed);
    live_pages_clean(&l->pages);
    begin_step(l, STEP_MEMORY);
    return G_SOURCE_REMOVE;
}

bool machine_save_live(struct machine *m, int fd, int vars, const struct save_watch *watch, live_done done, void *ctx,
                       GError **error)
{
    struct live *l = g_new0(struct live, 1);
    *l = (struct live){
        .machine = m, .fd = fd, .vars = vars, .watch = *watch, .done = done, .ctx = ctx, .older = m->live_older};
    m->live_older = NULL;
    live_brake_init(&l->brake, m);
    l->table = state_table(m);
    l->areas = state_areas(m);
    l->parts = g_ptr_array_new_with_free_func(part_free);
    if (!prepare(l, error)) {
        drive_overlays_close(m);
        live_free(l);
        return false;
    }
    m->live = l;
    vcpus_ask_hold(m);
    vcpus_wait_held(m);
    memory_log(m, true);
    vcpus_release(m);
    l->to_memory = g_timeout_add_full(G_PRIORITY_HIGH, LOG_MS, begin_memory, l, NULL);
    return true;
}

/* ---- older states ---- */

static void older_free(gpointer fd)
{
    close(*(int *)fd);
}

bool machine_live_older(struct machine *m, int fd)
{
    if (!m->live_older) {
        m->live_older = g_array_new(FALSE, FALSE, sizeof(int));
        g_array_set_clear_func(m->live_older, older_free);
    }
    if (m->live_older->len < STATE_BASES_MAX) {
        g_array_append_val(m->live_older, fd);
        return true;
    }
    close(fd);
    return false;
}

void machine_live_no_older(struct machine *m)
{
    g_clear_pointer(&m->live_older, g_array_unref);
}

bool machine_saves_live(const struct machine *m)
{
    return m->live;
}

void live_abandon(struct machine *m)
{
    struct live *l = m->live;
    if (!l)
        return;
    g_thread_pool_free(m->packers->live, FALSE, TRUE); /* waits for its step */
    m->packers->live = NULL;
    g_idle_remove_by_data(l);
    m->live = NULL;
    live_free(l);
}
