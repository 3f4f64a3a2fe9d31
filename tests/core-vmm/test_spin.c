// SPDX-License-Identifier: GPL-2.0-or-later
/* How long is looked before sleeping (base/spin.h), with times that the test makes up. */
#include "core-vmm/base/spin.h"
#include <glib.h>

enum { US = 1000, MS = 1000 * US, LOOK = 2 * US };

/* A wait that begins now and is over after so long, seen by looks that follow each other; how much of it was looking. */
static uint64_t wait_for(struct spin *s, uint64_t *now, uint64_t ns)
{
    uint64_t begun = *now, looked = 0;
    spin_begin(s, *now);
    while (*now - begun < ns && spin_on(s, *now)) {
        *now += LOOK;
        looked = *now - begun;
    }
    *now = MAX(*now, begun + ns);
    spin_end(s, *now);
    return looked;
}

static void grows(void)
{
    struct spin s = {0};
    uint64_t now = 5 * MS, before = 0;
    g_assert_cmpuint(wait_for(&s, &now, 50 * US), ==, 0); /* nobody knows yet that it is worth it */
    for (unsigned i = 0; i < 3; i++) {
        uint64_t looked = wait_for(&s, &now, 50 * US);
        g_assert_cmpuint(looked, >, before);
        before = looked;
    }
    for (unsigned i = 0; i < 10; i++) /* from now on each wait ends while it is looked for */
        g_assert_cmpuint(wait_for(&s, &now, 50 * US), ==, 50 * US);
}

static void idle(void)
{
    struct spin s = {0};
    uint64_t now = 5 * MS, looked = 0;
    for (unsigned i = 0; i < 10; i++)
        wait_for(&s, &now, 50 * US);
    g_assert_cmpuint(wait_for(&s, &now, 4 * MS), >, 0); /* once in vain */
    for (unsigned i = 0; i < 1000; i++)
        looked += wait_for(&s, &now, 4 * MS);
    g_assert_cmpuint(looked, ==, 0);
    for (unsigned i = 0; i < 1000; i++) /* now and then one is short, as an idle system's are */
        looked += wait_for(&s, &now, i % 5 ? 4 * MS : 20 * US);
    g_assert_cmpuint(looked, <, 1000 * 12 * US);
}

/* While one looks another thread has the CPU: not again soon, and later and later if that goes on. */
static void crowded(void)
{
    struct spin s = {0};
    uint64_t now = 5 * MS, apart[8];
    for (unsigned i = 0; i < G_N_ELEMENTS(apart); i++) {
        uint64_t since = now;
        while (!wait_for(&s, &now, 50 * US))
            ;
        apart[i] = now - since;
        spin_begin(&s, now);
        g_assert_true(spin_on(&s, now));
        now += 3 * MS;
        g_assert_false(spin_on(&s, now));
        spin_end(&s, now);
    }
    for (unsigned i = 2; i < G_N_ELEMENTS(apart); i++)
        g_assert_cmpuint(apart[i], >, apart[i - 1] * 3 / 2);
    now += UINT64_C(5000) * MS;
    for (unsigned i = 0; i < 10; i++)
        wait_for(&s, &now, 50 * US);
    g_assert_cmpuint(wait_for(&s, &now, 50 * US), ==, 50 * US);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/spin/grows", grows);
    g_test_add_func("/spin/idle", idle);
    g_test_add_func("/spin/crowded", crowded);
    return g_test_run();
}
