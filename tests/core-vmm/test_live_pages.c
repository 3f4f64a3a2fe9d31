// SPDX-License-Identifier: GPL-2.0-or-later
/* Pages copied aside while a machine is saved that runs on: never more than there may be, none lost, the last copy counts; and how
 * long the guest that is held back stands. */
#include "core-vmm/machine/live.h"
#include "tests/core-vmm/state_edit.h"
#include <string.h>

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

static void test_brake(void)
{
    struct machine *m = build();
    struct live_brake b = {.level = 0};
    live_brake_copied(&b, PAGES);
    g_assert_false(b.holds); /* not before it is asked for */
    for (unsigned i = 0; i < LIVE_BRAKE_HARDEST; i++)
        g_assert_true(live_brake_harder(&b, m));
    g_assert_false(live_brake_harder(&b, m));
    for (unsigned i = 0; i < 16; i++) {
        live_brake_copied(&b, PAGES);
        g_assert_true(b.holds); /* it stands after each call, but once between is let go */
        g_assert_cmpuint(b.pages, <=, 16 * PAGES);
    }
    live_brake_release(&b);
    g_assert_cmpuint(m->hold, ==, 0);
    live_brake_release(&b);
    g_assert_cmpuint(m->hold, ==, 0);
    machine_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/live/bound", test_bound);
    g_test_add_func("/live/moment", test_moment);
    g_test_add_func("/live/brake", test_brake);
    return g_test_run();
}
