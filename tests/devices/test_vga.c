// SPDX-License-Identifier: GPL-2.0-or-later
/* VGA pictures: every scene drawn by our VGA, compared dot by dot with the reference and by hash with what is known to be
 * right; then changed a little, to see that a refresh notices; then saved and loaded.
 *
 * For the comparison with another VGA (vga_oracle.py): `test-vga --qtest SCENE` prints the scene as QEMU's qtest commands,
 * `test-vga --ppm SCENE FILE` writes our picture. */
#include "tests/devices/vga_reference.h"
#include "tests/devices/vga_scenes.h"
#include "core-vmm/machine/display.h"
#include <stdio.h>
#include <string.h>

#define SETTLED_NS 100000000u /* a blinking cursor is on */

static void bench_out_scene(void *ctx, uint16_t port, unsigned size, uint16_t value)
{
    bench_out(ctx, port, size, value);
}

static void bench_store_scene(void *ctx, uint32_t address, unsigned size, uint32_t value)
{
    bench_store(ctx, address, size, value);
}

static uint32_t bench_load_scene(void *ctx, uint32_t address, unsigned size)
{
    return bench_load(ctx, address, size);
}

static struct bench *play(const struct scene *scene)
{
    g_autoptr(GError) error = NULL;
    struct bench *b = bench_new();
    struct scene_io io = {bench_out_scene, bench_store_scene, bench_load_scene, b};
    struct device *d = bench_add_chip(b, chip_find("video"), &error);

    g_assert_no_error(error);
    bench_pci_write(d, 0x10, 4, SCENE_LFB);
    bench_pci_write(d, 4, 2, 3);
    scene->play(&io);
    bench_step(b, SETTLED_NS);
    return b;
}

static uint32_t pixel(const struct surface *s, uint32_t x, uint32_t y)
{
    return s->pixels[(size_t)y * (s->stride / 4) + x] & 0xffffff;
}

static uint64_t hash(const struct surface *s)
{
    uint64_t h = 0xcbf29ce484222325;

    for (uint32_t y = 0; y < s->height; y++)
        for (uint32_t x = 0; x < s->width; x++)
            h = (h ^ pixel(s, x, y)) * 0x100000001b3;
    return h;
}

static void compare(struct bench *b, const struct surface *s, const char *when)
{
    uint32_t width, height;
    g_autofree uint32_t *want = vga_reference(b, bench_now(b), &width, &height);

    g_assert_cmpuint(s->width, ==, width);
    g_assert_cmpuint(s->height, ==, height);
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            if (pixel(s, x, y) != want[y * width + x]) {
                g_test_message("%s: dot %u,%u is %06x, should be %06x", when, x, y, pixel(s, x, y),
                               want[y * width + x]);
                g_test_fail();
                return;
            }
}

/* Writes here and there into whatever the scene shows. */
static void disturb(struct bench *b)
{
    for (unsigned i = 0; i < 50; i++) {
        bench_store(b, 0xa0000 + g_test_rand_int_range(0, 0x20000), 1, g_test_rand_int_range(0, 256));
        bench_store(b, SCENE_LFB + (g_test_rand_int_range(0, 0x40000) & ~3), 4, g_test_rand_int());
    }
}

static void test_scene(const void *data)
{
    const struct scene *scene = data;
    struct bench *b = play(scene);
    g_autofree char *problem = NULL;
    const struct surface *s = display_refresh_now(bench_display(b));

    g_assert_cmpuint(s->width, ==, scene->width);
    g_assert_cmpuint(s->height, ==, scene->height);
    compare(b, s, "drawn");
    g_assert_cmphex(hash(s), ==, scene->hash);
    for (unsigned round = 0; round < 3; round++) {
        disturb(b);
        s = display_refresh_now(bench_display(b));
        compare(b, s, "disturbed");
    }
    problem = bench_save_load(b);
    g_assert_cmpstr(problem, ==, NULL);
    compare(b, display_refresh_now(bench_display(b)), "loaded");
    bench_free(b);
}

/* ---- text ---- */

static const struct scene *scene_find(const char *name)
{
    for (const struct scene *s = scenes; s->name; s++)
        if (!strcmp(s->name, name))
            return s;
    return NULL;
}

static void put_text(struct bench *b, unsigned row, unsigned column, const char *cp437)
{
    for (unsigned i = 0; cp437[i]; i++)
        bench_store(b, 0xb8000 + (row * 80 + column + i) * 2, 1, (uint8_t)cp437[i]);
}

static void clear_text(struct bench *b)
{
    for (unsigned i = 0; i < 0x4000; i += 2)
        bench_store(b, 0xb8000 + i, 2, 0x0720);
}

static void test_text(void)
{
    struct bench *b = play(scene_find("text-80"));
    g_autofree char *first = NULL, *moved = NULL;

    clear_text(b);
    put_text(b, 0, 0,
             "Gr\x81\xe1"
             "e \xfb\x01");
    put_text(b, 1, 2, "\xc9\xcd\xbb");
    put_text(b, 24, 79, "X");
    first = display_text(bench_display(b));
    g_assert_true(g_str_has_prefix(first, "Grüße √☺\n  ╔═╗\n\n"));
    g_assert_true(g_str_has_suffix(first, "\n                                       "
                                          "                                        X\n"));
    bench_out(b, 0x3d4, 2, 80 << 8 | 0x0d); /* the screen starts one row further down */
    moved = display_text(bench_display(b));
    g_assert_true(g_str_has_prefix(moved, "  ╔═╗\n\n"));
    bench_free(b);
}

static void test_no_text(void)
{
    struct bench *b = play(scene_find("planar"));

    g_assert_null(display_text(bench_display(b)));
    bench_free(b);
}

/* ---- refresh ---- */

struct watch {
    unsigned modes, damages;
    uint32_t x, y, width, height;
};

static void on_mode(void *ctx, const struct surface *s)
{
    ((struct watch *)ctx)->modes++;
}

static void on_damage(void *ctx, uint32_t x, uint32_t y, uint32_t width, uint32_t height)
{
    struct watch *w = ctx;
    w->damages++;
    w->x = x;
    w->y = y;
    w->width = width;
    w->height = height;
}

static void test_damage(void)
{
    struct bench *b = play(scene_find("text-80"));
    struct watch seen = {0};
    struct display_sink sink = {.mode = on_mode, .damage = on_damage, .ctx = &seen};

    display_watch(bench_display(b), &sink);
    g_assert_cmpuint(seen.modes, ==, 1);
    g_assert_cmpuint(seen.width, ==, 720);
    g_assert_cmpuint(seen.height, ==, 400);
    seen = (struct watch){0};
    display_refresh_now(bench_display(b));
    g_assert_cmpuint(seen.damages, ==, 0); /* nothing changed, nothing to draw */
    clear_text(b);
    display_refresh_now(bench_display(b));
    put_text(b, 3, 10, "ab");
    seen = (struct watch){0};
    display_refresh_now(bench_display(b));
    g_assert_cmpuint(seen.damages, ==, 1);
    g_assert_cmpuint(seen.y, ==, 48);
    g_assert_cmpuint(seen.height, ==, 16);
    g_assert_cmpuint(seen.x + seen.width, ==, 12 * 9);
    g_assert_cmpuint(seen.width, <=, 3 * 9);
    display_unwatch(bench_display(b), &sink);
    bench_free(b);
}

/* A mode set switches the screen off for a moment; that must not flash. */
static void test_dark(void)
{
    struct bench *b = play(scene_find("chain-4"));
    const struct surface *s = display_refresh_now(bench_display(b));
    uint64_t bright = hash(s);

    bench_out(b, 0x3c0, 1, 0x00);
    bench_step(b, 5000000);
    g_assert_cmphex(hash(display_refresh_now(bench_display(b))), ==, bright);
    bench_step(b, 50000000);
    s = display_refresh_now(bench_display(b));
    g_assert_cmphex(hash(s), !=, bright);
    g_assert_cmphex(pixel(s, 100, 100), ==, 0);
    bench_in(b, 0x3da, 1);
    bench_out(b, 0x3c0, 1, 0x20);
    g_assert_cmphex(hash(display_refresh_now(bench_display(b))), ==, bright);
    bench_free(b);
}

static bool is_black(struct bench *b)
{
    const struct surface *s = display_refresh_now(bench_display(b));

    for (uint32_t y = 0; y < s->height; y++)
        for (uint32_t x = 0; x < s->width; x++)
            if (pixel(s, x, y))
                return false;
    return true;
}

/* The sequencer in reset, or no retraces: no picture, of the same size. */
static void test_held(void)
{
    static const struct {
        uint16_t port;
        uint8_t index, off, on;
    } cases[] = {{0x3c4, 0, 1, 3}, {0x3c4, 0, 2, 3}, {0x3d4, 0x17, 0x23, 0xa3}};
    struct bench *b = play(scene_find("text-80"));

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        bench_out(b, cases[i].port, 2, cases[i].index | cases[i].off << 8);
        g_assert_true(is_black(b));
        g_assert_cmpuint(display_refresh_now(bench_display(b))->width, ==, 720);
        bench_out(b, cases[i].port, 2, cases[i].index | cases[i].on << 8);
        g_assert_false(is_black(b));
    }
    bench_free(b);
}

/* Guests wait for the beginning and the end of retrace, and count frames by it. */
static void test_retrace(void)
{
    struct bench *b = play(scene_find("text-80"));
    unsigned frames = 0, lines = 0;
    uint8_t before = 0;

    for (unsigned us = 0; us < 1000000; us++) {
        uint8_t now = bench_in(b, 0x3da, 1);
        frames += (now & 8) && !(before & 8);
        lines += (now & 1) && !(before & 1);
        before = now;
        bench_step(b, 1000);
    }
    g_assert_cmpuint(frames, >=, 69); /* 70 Hz */
    g_assert_cmpuint(frames, <=, 71);
    g_assert_cmpuint(lines, >=, 69 * 399);
    g_assert_cmpuint(lines, <=, 71 * 401);
    bench_free(b);
}

/* The widest modes of each kind: line buffers end where the memory does. */
static void test_widest(void)
{
    static const uint16_t bpps[] = {4, 8, 15, 16, 24, 32};
    struct bench *b = play(scene_find("planar"));

    for (unsigned i = 0; i < G_N_ELEMENTS(bpps); i++) {
        const uint16_t values[][2] = {{4, 0}, {1, 0xffff}, {2, 16}, {3, bpps[i]}, {4, 1}, {8, 7}};
        for (unsigned r = 0; r < G_N_ELEMENTS(values); r++) {
            bench_out(b, 0x1ce, 2, values[r][0]);
            bench_out(b, 0x1cf, 2, values[r][1]);
        }
        const struct surface *s = display_refresh_now(bench_display(b));
        g_assert_cmpuint(s->width, ==, 8192);
        g_assert_cmpuint(s->height, ==, 16);
        compare(b, s, "widest");
    }
    bench_free(b);
}

/* Any registers whatever: there is a picture or none, but no harm. */
static void test_hostile(void)
{
    struct bench *b = play(scene_find("text-80"));

    for (unsigned round = 0; round < 400; round++) {
        for (unsigned i = 0; i < 40; i++) {
            static const uint16_t ports[] = {0x3c4, 0x3d4, 0x3d4, 0x3ce, 0x3c2, 0x3d4};
            bench_out(b, ports[g_test_rand_int_range(0, G_N_ELEMENTS(ports))], 2, g_test_rand_int_range(0, 0x10000));
        }
        for (unsigned i = 0; i < 8; i++) {
            bench_out(b, 0x1ce, 2, g_test_rand_int_range(0, 12));
            bench_out(b, 0x1cf, 2, g_test_rand_int_range(0, 0x10000) >> g_test_rand_int_range(0, 16));
        }
        bench_out(b, 0x3c4, 2, 0x0101);
        bench_out(b, 0x3c4, 2, 0x0300);
        bench_out(b, 0x3d4, 1, 0x17);
        bench_out(b, 0x3d5, 1, bench_in(b, 0x3d5, 1) | 0x80);
        bench_in(b, 0x3da, 1);
        bench_out(b, 0x3c0, 1, 0x20);
        display_refresh_now(bench_display(b));
        g_free(display_text(bench_display(b)));
    }
    bench_free(b);
}

/* ---- for the oracle ---- */

static void print_out(void *ctx, uint16_t port, unsigned size, uint16_t value)
{
    printf("out%c 0x%x 0x%x\n", size == 1 ? 'b' : 'w', port, value);
}

static void print_store(void *ctx, uint32_t address, unsigned size, uint32_t value)
{
    printf("write%c 0x%x 0x%x\n", size == 1 ? 'b' : 'l', address, value);
}

/* Scenes may use what they read: ours plays along to know it. */
static uint32_t print_load(void *ctx, uint32_t address, unsigned size)
{
    printf("read%c 0x%x\n", size == 1 ? 'b' : 'l', address);
    return bench_load(ctx, address, size);
}

static void both_out(void *ctx, uint16_t port, unsigned size, uint16_t value)
{
    print_out(ctx, port, size, value);
    bench_out(ctx, port, size, value);
}

static void both_store(void *ctx, uint32_t address, unsigned size, uint32_t value)
{
    print_store(ctx, address, size, value);
    bench_store(ctx, address, size, value);
}

static int print_qtest(const struct scene *scene)
{
    struct bench *b = bench_new();
    struct scene_io io = {both_out, both_store, print_load, b};

    bench_add_chip(b, chip_find("video"), NULL);
    scene->play(&io);
    bench_free(b);
    return 0;
}

static int write_ppm(const struct scene *scene, const char *path)
{
    struct bench *b = play(scene);
    const struct surface *s = display_refresh_now(bench_display(b));
    FILE *f = fopen(path, "wb");

    fprintf(f, "P6\n%u %u\n255\n", s->width, s->height);
    for (uint32_t y = 0; y < s->height; y++)
        for (uint32_t x = 0; x < s->width; x++)
            fprintf(f, "%c%c%c", pixel(s, x, y) >> 16, pixel(s, x, y) >> 8 & 0xff, pixel(s, x, y) & 0xff);
    bench_free(b);
    return fclose(f);
}

static int print_scenes(void)
{
    for (const struct scene *s = scenes; s->name; s++)
        printf("%s\t%s\n", s->name, s->differs ? s->differs : "");
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "--scenes"))
        return print_scenes();
    if (argc == 3 && !strcmp(argv[1], "--qtest"))
        return print_qtest(scene_find(argv[2]));
    if (argc == 4 && !strcmp(argv[1], "--ppm"))
        return write_ppm(scene_find(argv[2]), argv[3]);
    g_test_init(&argc, &argv, NULL);
    for (const struct scene *s = scenes; s->name; s++) {
        g_autofree char *name = g_strconcat("/vga/scene/", s->name, NULL);
        g_test_add_data_func(name, s, test_scene);
    }
    g_test_add_func("/vga/text/lines", test_text);
    g_test_add_func("/vga/text/graphics", test_no_text);
    g_test_add_func("/vga/refresh/damage", test_damage);
    g_test_add_func("/vga/refresh/dark", test_dark);
    g_test_add_func("/vga/refresh/held", test_held);
    g_test_add_func("/vga/refresh/widest", test_widest);
    g_test_add_func("/vga/refresh/hostile", test_hostile);
    g_test_add_func("/vga/retrace", test_retrace);
    return g_test_run();
}
