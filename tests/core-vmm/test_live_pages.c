// SPDX-License-Identifier: GPL-2.0-or-later
/* Pages copied aside while a machine is saved that runs on: never more than there may be, none lost, the last copy counts; a guest
 * that is held back stands; and chunks of memory on their way back. */
#include "core-vmm/base/crc32c.h"
#include "core-vmm/machine/live.h"
#include "tests/core-vmm/state_edit.h"
#include <string.h>
#include <unistd.h>

enum { FEW = 300, PAGES = 1024 }; /* a machine of 4 MiB */

struct file { /* what a state's file would have */
    struct live_pages *pages;
    uint8_t has[PAGES]; /* the first byte of each page */
    bool there[PAGES];
    unsigned times, most_aside;
    uint64_t copied;
};

static struct machine *build(void)
{
    g_autoptr(GError) error = NULL;
    struct machine *m = state_machine("", &error);
    g_assert_no_error(error);
    return m;
}

static void put(struct file *f)
{
    for (unsigned i = 0; i < PAGES; i++)
        if (page_store_has(&f->pages->store, i * PAGE)) {
            f->has[i] = f->pages->store.data[i * PAGE];
            f->there[i] = true;
        }
}

static bool full(void *ctx, GError **error)
{
    struct file *f = ctx;
    put(f);
    f->times++;
    return true;
}

static void copied(void *ctx, uint64_t pages)
{
    struct file *f = ctx;
    f->copied += pages;
    f->most_aside = MAX(f->most_aside, f->pages->aside);
}

static void change(struct live_pages *p, unsigned page, uint8_t to)
{
    memset(p->machine->memory.base + page * PAGE, to, PAGE);
    p->changed[page / 64] |= UINT64_C(1) << page % 64;
}

static void test_bound(void)
{
    struct machine *m = build();
    g_autoptr(GArray) areas = state_areas(m);
    struct live_pages p;
    g_assert_true(live_pages_init(&p, m, areas, NULL));
    g_assert_cmpuint(p.most * PAGE, ==, UINT64_C(64) << 20);
    p.most = FEW;
    struct file f = {.pages = &p};
    const struct live_watch watch = {full, copied, &f};
    for (unsigned round = 1; round <= 3; round++) {
        for (unsigned i = 0; i < PAGES; i++)
            if (i % round == 0)
                change(&p, i, 10 * round + i % 10);
        g_assert_true(live_pages_set_aside(&p, &watch, NULL));
        g_assert_cmpuint(live_pages_count(&p), ==, 0);
    }
    put(&f);
    for (unsigned i = 0; i < PAGES; i++) {
        g_assert_true(f.there[i]);
        g_assert_cmpuint(f.has[i], ==, (i % 3 == 0 ? 30 : i % 2 == 0 ? 20 : 10) + i % 10);
    }
    g_assert_cmpuint(f.copied, ==, PAGES + PAGES / 2 + PAGES / 3 + 1);
    g_assert_cmpuint(f.most_aside, <=, FEW);
    g_assert_cmpuint(f.times, >=, PAGES / FEW);
    g_assert_cmpuint(f.times, ==, p.written);
    live_pages_clear(&p);
    machine_free(m);
}

/* In the moment all of it is copied, and nothing goes to the file. */
static void test_moment(void)
{
    struct machine *m = build();
    g_autoptr(GArray) areas = state_areas(m);
    struct live_pages p;
    g_assert_true(live_pages_init(&p, m, areas, NULL));
    p.most = FEW;
    for (unsigned i = 0; i < PAGES; i++)
        change(&p, i, 1);
    live_pages_add_devices(&p);
    g_assert_cmpuint(live_pages_count(&p), >, PAGES); /* ROMs at least */
    g_assert_true(live_pages_set_aside(&p, NULL, NULL));
    for (unsigned i = 0; i < PAGES; i++)
        g_assert_true(page_store_has(&p.store, i * PAGE) && p.store.data[i * PAGE] == 1);
    g_assert_cmpuint(p.written, ==, 0);
    live_pages_clear(&p);
    machine_free(m);
}

/* ---- turns ---- */

enum { STAND_MOST = 40000, RUN_LEAST = 2000, IDLE = 300000 };

/* What a guest has had for two seconds, of which pages are copied all the time; whoever is to wake up does so too late by up to late us. */
struct had {
    int64_t ran, stood, longest_stand, shortest_run, longest_plan;
};

static struct had two_seconds(struct live_turns *t, int64_t late)
{
    struct had had = {.shortest_run = INT64_MAX};
    int64_t now = t->since, end = now + 2000000;
    while (now < end) {
        t->copied = now;
        struct live_turn turn = live_turn_now(t, now);
        live_turn_begins(t, &turn, now);
        int64_t lasts = turn.until - now + (late ? g_test_rand_int_range(0, late) : 0);
        g_assert_cmpint(turn.until, >, now);
        if (turn.stands) {
            had.stood += lasts;
            had.longest_stand = MAX(had.longest_stand, lasts);
            had.longest_plan = MAX(had.longest_plan, turn.until - now);
        } else {
            had.ran += lasts;
            had.shortest_run = MIN(had.shortest_run, lasts);
        }
        now += lasts;
    }
    return had;
}

/* No turn of standing is longer than it may be, and none of running so short that there is none; and it has less at each level. */
static void test_turns(void)
{
    int64_t before = INT64_MAX;
    for (unsigned level = 1; level <= LIVE_BRAKE_HARDEST; level++) {
        struct live_turns t = {.level = level, .since = 1000};
        struct had had = two_seconds(&t, 0);
        g_assert_cmpint(had.longest_stand, <=, STAND_MOST);
        g_assert_cmpint(had.shortest_run, >=, RUN_LEAST);
        g_assert_cmpint(had.ran, <, before);
        if (level < LIVE_BRAKE_HARDEST)
            g_assert_cmpint(had.ran, <=, 2000000 / (1 << level) + 10000);
        before = had.ran;
    }
    g_assert_cmpint(before, <=, 2000000 / 20);
}

/* Nor is one planned longer where the host is busy; and where it runs for longer, it stands for longer, as long as that goes. */
static void test_turns_late(void)
{
    for (unsigned level = 1; level <= LIVE_BRAKE_HARDEST; level++) {
        struct live_turns t = {.level = level, .since = 1000};
        struct had had = two_seconds(&t, 15000);
        g_assert_cmpint(had.longest_plan, <=, STAND_MOST);
        g_assert_cmpint(had.longest_stand, <, STAND_MOST + 15000);
        g_assert_cmpint(had.ran, <, had.stood * 3 / 2);
    }
}

/* It is not held back for a copy that does not go on, and is again when that does. */
static void test_turns_idle(void)
{
    struct live_turns t = {.level = LIVE_BRAKE_HARDEST, .since = 1000, .copied = 1000};
    int64_t now = 1000;
    struct live_turn turn = {false, 0};
    for (unsigned i = 0; i < 100 && turn.until != INT64_MAX; i++) {
        turn = live_turn_now(&t, now);
        live_turn_begins(&t, &turn, now);
        g_assert_cmpint(turn.stands ? turn.until - now : 0, <=, STAND_MOST);
        now = turn.until == INT64_MAX ? now : turn.until;
    }
    g_assert_cmpint(turn.until, ==, INT64_MAX);
    g_assert_false(turn.stands);
    g_assert_cmpint(now, ==, 1000 + IDLE);
    t.copied = now = 5000000;
    turn = live_turn_now(&t, now);
    g_assert_true(turn.stands); /* it has run all the time */
    g_assert_cmpint(turn.until - now, ==, STAND_MOST);
    t.level = 0;
    g_assert_cmpint(live_turn_now(&t, now).until, ==, INT64_MAX);
}

static unsigned held(struct machine *m)
{
    pthread_mutex_lock(&m->run_lock);
    unsigned n = m->hold;
    pthread_mutex_unlock(&m->run_lock);
    return n;
}

static void until_held(struct live_brake *b, unsigned times)
{
    while (held(b->machine) != times) {
        live_brake_copied(b);
        g_usleep(100);
    }
}

static void test_brake(void)
{
    struct machine *m = build();
    struct live_brake b;
    live_brake_init(&b, m);
    live_brake_copied(&b);
    g_assert_false(b.works); /* not before it is asked for */
    for (unsigned i = 0; i < LIVE_BRAKE_HARDEST; i++)
        g_assert_true(live_brake_harder(&b));
    g_assert_false(live_brake_harder(&b));
    for (unsigned i = 0; i < 3; i++) {
        until_held(&b, 1);
        until_held(&b, 0);
    }
    until_held(&b, 1);
    live_brake_release(&b);
    g_assert_cmpuint(held(m), ==, 0);
    live_brake_clear(&b);
    g_assert_cmpuint(held(m), ==, 0);
    machine_free(m);
}

/* ---- and back ---- */

/* A chunk as state_memory.c makes it, not packed. */
static GByteArray *chunk(unsigned page, unsigned pages, uint8_t with)
{
    struct stream s;
    g_autofree char *name = g_strdup("RAM");
    uint64_t offset = page * PAGE;
    uint16_t n = pages;
    uint8_t how = STATE_PLAIN, bits[STATE_WINDOW_PAGES / 8];
    g_autofree uint8_t *data = g_malloc(pages * PAGE);
    memset(bits, 0xff, sizeof bits);
    memset(data, with, pages * PAGE);
    stream_init_save(&s);
    stream_text(&s, &name);
    stream_u64(&s, &offset);
    stream_u16(&s, &n);
    stream_u8(&s, &how);
    stream_raw(&s, bits, pages / 8);
    stream_raw(&s, data, pages * PAGE);
    GByteArray *bytes = g_byte_array_ref(s.bytes);
    stream_clear(&s);
    return bytes;
}

/* Takes the chunk, and puts it at that place in the file. */
static struct state_extent written(int fd, uint64_t at, GByteArray *chunk)
{
    const struct state_extent where = {at, chunk->len, crc32c(0, chunk->data, chunk->len)};
    g_assert_cmpint(pwrite(fd, chunk->data, chunk->len, at), ==, chunk->len);
    g_byte_array_unref(chunk);
    return where;
}

/* Of a page that is in several chunks the last counts, whoever unpacks them. */
static void test_order(void)
{
    struct machine *m = build();
    struct state_unpack *u = state_unpack_new(m);
    int fd = state_memfd("", 0);
    g_autofree uint8_t *right = g_malloc0(PAGES);
    for (unsigned i = 0; i < 1000; i++) { /* a large one, and a small one that is there sooner, at its end */
        unsigned pages = i % 2 ? 8 : STATE_WINDOW_PAGES, page = i % 2 ? STATE_WINDOW_PAGES - pages : 0;
        memset(right + page, i, pages);
        struct state_extent where = written(fd, i % 2 * STATE_SECTION_BYTES, chunk(page, pages, i));
        g_assert_true(state_unpack_put(u, fd, &where, NULL));
        if (i % 2 == 0)
            continue;
        g_assert_true(state_unpack_all(u, NULL));
        for (unsigned k = 0; k < STATE_WINDOW_PAGES; k++)
            g_assert_cmpuint(m->memory.base[k * PAGE + i], ==, right[k]);
    }
    state_unpack_free(u);
    machine_free(m);
    close(fd);
}

/* It is not taken, or shows to be none when it is read; then no other one is taken. */
static void refused(GByteArray *chunk, int flip, const char *why)
{
    struct machine *m = build();
    struct state_unpack *u = state_unpack_new(m);
    g_autoptr(GError) error = NULL;
    int fd = state_memfd("", 0);
    struct state_extent where = written(fd, 0, chunk);
    char byte;
    if (flip >= 0) {
        g_assert_cmpint(pread(fd, &byte, 1, flip), ==, 1);
        byte ^= 1;
        g_assert_cmpint(pwrite(fd, &byte, 1, flip), ==, 1);
    }
    g_assert_false(state_unpack_put(u, fd, &where, &error) && state_unpack_all(u, &error));
    if (!strstr(error->message, why))
        g_error("\"%s\" was to say \"%s\"", error->message, why);
    state_unpack_free(u);
    machine_free(m);
    close(fd);
}

static void test_refused(void)
{
    enum { PLACES = 16 };
    refused(chunk(PAGES - 8, 16, 1), -1, "no place for");
    GByteArray *cut = chunk(0, 8, 1);
    g_byte_array_set_size(cut, cut->len - 1);
    refused(cut, -1, "cannot be unpacked");
    for (int at = 0; at < PLACES; at++) /* the head, which is looked at first */
        refused(chunk(0, 8, 1), at, "is damaged");
    refused(chunk(0, 8, 1), 8 * PAGE, "is damaged");
}

/* Of an older state only RAM counts; but what has become another area's by a flipped bit does not go unnoticed. */
static void test_only_ram(void)
{
    struct machine *m = build();
    struct state_unpack *u = state_unpack_new(m);
    g_autoptr(GError) error = NULL;
    GByteArray *other = chunk(0, 8, 1);
    int fd = state_memfd("", 0);
    other->data[2] ^= 1;
    struct state_extent where = written(fd, 0, other), ram = written(fd, where.bytes, chunk(0, 8, 1));
    state_unpack_only_ram(u, true);
    g_assert_true(state_unpack_put(u, fd, &where, &error));
    g_assert_true(state_unpack_all(u, &error));
    g_assert_cmpuint(m->memory.base[0], ==, 0);
    where.sum = ram.sum;
    g_assert_false(state_unpack_put(u, fd, &where, &error));
    g_assert_nonnull(strstr(error->message, "is damaged"));
    state_unpack_free(u);
    machine_free(m);
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/live/bound", test_bound);
    g_test_add_func("/live/moment", test_moment);
    g_test_add_func("/live/turns", test_turns);
    g_test_add_func("/live/turns-late", test_turns_late);
    g_test_add_func("/live/turns-idle", test_turns_idle);
    g_test_add_func("/live/brake", test_brake);
    g_test_add_func("/live/order", test_order);
    g_test_add_func("/live/refused", test_refused);
    g_test_add_func("/live/only-ram", test_only_ram);
    return g_test_run();
}
