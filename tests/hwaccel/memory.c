// SPDX-License-Identifier: GPL-2.0-or-later
/* memory.c - memory slots: aliases, splits, read-only, dirty log, changes under running vCPUs.  What a board can have is
 * mapped by core; for the rest, RAM over RAM in any order, the engine is told behind its back. */
#include "tests/hwaccel/hwaccel_tests.h"
#include <string.h>

#define MB (1u << 20)

static void map(struct bare_machine *m, uint64_t gpa, uint64_t bytes, uint64_t offset, int how)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(m->engine->map(m->evm, gpa, bytes, offset, how, &error));
    g_assert_no_error(error);
}

static void test_readonly(const struct cpu_engine *engine)
{
    struct bare_machine *m = bare_new(engine, 1);
    uint64_t rom = bare_place(m, BARE_ROM, 3 * MB, true);
    bare_put(m, rom + 16, 0x11223344, 4);
    bare_load(m, CODE, g_readonly, g_readonly_end);
    bare_start32(m, 0, CODE);
    bare_finish(m, 0);
    g_assert_cmphex(bare_u32(m, RESULT), ==, 0x11223344);
    g_assert_cmpuint(m->mmio->len, ==, 1);
    const struct access *a = &g_array_index(m->mmio, struct access, 0);
    g_assert_cmphex(a->address, ==, 3 * MB + 16);
    g_assert_cmphex(a->value, ==, 0x5555aaaa);
    g_assert_true(a->write);
    g_assert_cmphex(bare_u32(m, rom + 16), ==, 0x11223344); /* core knows it for a ROM, too */
    g_assert_cmphex(bare_u32(m, 3 * MB + 16), ==, 0);
    bare_free(m);
}

#define DIRTY_WORDS 32

static void check_bits(const uint64_t bits[DIRTY_WORDS], const unsigned *pages, unsigned n)
{
    uint64_t expected[DIRTY_WORDS] = {0};
    for (unsigned i = 0; i < n; i++)
        expected[pages[i] / 64] |= 1ull << pages[i] % 64;
    g_assert_cmpmem(bits, sizeof expected, expected, sizeof expected);
}

static void check_dirty(struct bare_machine *m, uint64_t from, uint64_t bytes, const unsigned *pages, unsigned n)
{
    uint64_t bits[DIRTY_WORDS] = {0};
    m->engine->dirty(m->evm, from, bytes, bits);
    check_bits(bits, pages, n);
}

static void check_video(struct bare_machine *m, const unsigned *pages, unsigned n)
{
    uint64_t bits[DIRTY_WORDS] = {0};
    bare_video_dirty(m, bits);
    check_bits(bits, pages, n);
}

static void test_dirty(const struct cpu_engine *engine)
{
    static const unsigned first[] = {0, 3, 255}, second[] = {4};
    struct bare_machine *m = bare_new(engine, 1);
    bare_place(m, BARE_VIDEO, 2 * MB, true);
    bare_load(m, CODE, g_dirty, g_dirty_end);
    bare_start32(m, 0, CODE);
    check_video(m, NULL, 0);
    bare_finish(m, 0);
    check_video(m, first, G_N_ELEMENTS(first));
    check_video(m, NULL, 0); /* reading cleared it */
    bare_finish(m, 0);
    check_video(m, second, G_N_ELEMENTS(second));
    bare_free(m);
}

/* The log outlives its slot, and a question about a part leaves the rest. */
static void test_dirty_kept(const struct cpu_engine *engine)
{
    static const unsigned rest[] = {0, 255};
    struct bare_machine *m = bare_new(engine, 1);
    uint64_t video = bare_place(m, BARE_VIDEO, 2 * MB, true);
    bare_load(m, CODE, g_dirty, g_dirty_end);
    bare_start32(m, 0, CODE);
    bare_finish(m, 0);
    bare_place(m, BARE_VIDEO, 2 * MB, false);
    check_dirty(m, video + 0x3000, 0x1000, (const unsigned[]){0}, 1);
    check_video(m, rest, G_N_ELEMENTS(rest));
    bare_free(m);
}

/* One page seen at two addresses is one page in the log. */
static void test_dirty_alias(const struct cpu_engine *engine)
{
    static const unsigned pages[] = {0, 3, 255};
    struct bare_machine *m = bare_new(engine, 1);
    map(m, 2 * MB, MB, 5 * MB, CPU_MAP_RAM | CPU_MAP_LOG);
    bare_load(m, CODE, g_dirty, g_dirty_end);
    bare_start32(m, 0, CODE);
    bare_finish(m, 0);
    check_dirty(m, 2 * MB, MB, NULL, 0);
    check_dirty(m, 5 * MB, MB, pages, G_N_ELEMENTS(pages));
    g_assert_cmpuint(bare_u32(m, 5 * MB), ==, 1);
    g_assert_cmpuint(bare_u32(m, 2 * MB), ==, 0);
    bare_free(m);
}

/* Splits and replacements anywhere: afterwards each page still is what it should be.  The guest's own reads say so. */
static void test_patchwork(const struct cpu_engine *engine)
{
    struct bare_machine *m = bare_new(engine, 1);
    uint64_t expected[2048]; /* file page of each guest page */
    GRand *r = g_rand_new_with_seed(20240229);
    for (unsigned i = 0; i < 2048; i++)
        expected[i] = i;
    for (unsigned round = 0; round < 60; round++) {
        unsigned page = g_rand_int_range(r, 0x300, 0x700), n = g_rand_int_range(r, 1, 0x100);
        unsigned to = g_rand_int_range(r, 0x300, 0x700);
        static const int hows[] = {CPU_MAP_RAM, CPU_MAP_RAM | CPU_MAP_LOG, CPU_MAP_READONLY};
        map(m, page * 4096ull, n * 4096ull, to * 4096ull, hows[g_rand_int_range(r, 0, 3)]);
        for (unsigned i = 0; i < n; i++)
            expected[page + i] = to + i;
    }
    for (unsigned i = 0x300; i < 0x800; i++)
        bare_put(m, i * 4096, i, 4);
    bare_load(m, CODE, g_sum, g_sum_end);
    bare_start32(m, 0, CODE);
    bare_finish(m, 0);
    for (unsigned i = 0x300; i < 0x800; i++)
        g_assert_cmphex(bare_u32(m, 0x100000 + 4 * i), ==, expected[i]);
    g_assert_cmpuint(m->mmio->len, ==, 0);
    g_rand_free(r);
    bare_free(m);
}

/* Two vCPUs read a word while its slot is replaced under them, over and over. */
static void test_remap_while_running(const struct cpu_engine *engine)
{
    struct bare_machine *m = bare_new(engine, 2);
    bare_load(m, CODE, g_remap, g_remap_end);
    bare_put(m, 4 * MB + 0xffc, 0xabad1dea, 4);
    bare_put(m, 5 * MB + 0xffc, 0xabad1dea, 4);
    pthread_t t[2];
    for (unsigned cpu = 0; cpu < 2; cpu++) {
        bare_start32(m, cpu, CODE);
        t[cpu] = bare_spawn(m, cpu);
    }
    g_assert_true(bare_wait(bare_word(m, RESULT), 1000));
    for (unsigned i = 0; i < 300; i++) {
        map(m, 4 * MB, 0x1000, i & 1 ? 4 * MB : 5 * MB, i & 2 ? CPU_MAP_READONLY : CPU_MAP_RAM | CPU_MAP_LOG);
        uint64_t bits[1] = {0};
        engine->dirty(m->evm, 4 * MB, 0x1000, bits);
    }
    bare_put(m, RESULT + 8, 1, 4);
    pthread_join(t[0], NULL);
    pthread_join(t[1], NULL);
    g_assert_cmpuint(bare_u32(m, RESULT + 4), ==, 1); /* nobody read anything else */
    g_assert_cmpuint(m->mmio->len, ==, 0);
    bare_free(m);
}

void add_memory_tests(void)
{
    add_test("memory/readonly", test_readonly);
    add_test("memory/dirty", test_dirty);
    add_test("memory/dirty-kept", test_dirty_kept);
    add_test("memory/dirty-alias", test_dirty_alias);
    add_test("memory/patchwork", test_patchwork);
    add_test("memory/remap-while-running", test_remap_while_running);
}
