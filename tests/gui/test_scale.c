// SPDX-License-Identifier: GPL-2.0-or-later
/* Pictures in another size: exact where it can be, nothing lost where it cannot, and a part that is drawn anew is as all of it would be. */
#include "gui/screen/scale.h"
#include <glib.h>
#include <string.h>

struct canvas {
    int w, h;
    uint32_t *dots;
};

static struct canvas canvas_new(int w, int h)
{
    return (struct canvas){w, h, g_new0(uint32_t, (size_t)w * h)};
}

static struct canvas noise(GRand *r, int w, int h)
{
    struct canvas c = canvas_new(w, h);
    for (int i = 0; i < w * h; i++)
        c.dots[i] = g_rand_int(r) & 0xffffff;
    return c;
}

static struct canvas scaled(const struct canvas *from, int w, int h, bool sharp)
{
    struct canvas c = canvas_new(w, h);
    struct scaler s = {0};
    scaler_prepare(&s, from->w, from->h, w, h, sharp);
    scaler_draw(&s, from->dots, from->w, c.dots, w, (SDL_Rect){0, 0, w, h});
    scaler_clear(&s);
    return c;
}

static void same_size(void)
{
    g_autoptr(GRand) r = g_rand_new_with_seed(1);
    struct canvas a = noise(r, 37, 21), b = scaled(&a, 37, 21, false);
    g_assert_cmpmem(a.dots, 37 * 21 * 4, b.dots, 37 * 21 * 4);
    g_free(a.dots);
    g_free(b.dots);
}

static void squares(void)
{
    g_autoptr(GRand) r = g_rand_new_with_seed(2);
    struct canvas a = noise(r, 19, 11), b = scaled(&a, 19 * 3, 11 * 3, true);
    for (int y = 0; y < b.h; y++)
        for (int x = 0; x < b.w; x++)
            g_assert_cmphex(b.dots[y * b.w + x], ==, a.dots[y / 3 * a.w + x / 3]);
    g_free(a.dots);
    g_free(b.dots);
}

/* One colour stays that colour, whatever the size: weights add up. */
static void one_colour(void)
{
    g_autoptr(GRand) r = g_rand_new_with_seed(3);
    for (int i = 0; i < 60; i++) {
        int w = g_rand_int_range(r, 1, 200), h = g_rand_int_range(r, 1, 200);
        struct canvas a = canvas_new(w, h), b;
        for (int n = 0; n < w * h; n++)
            a.dots[n] = 0xfe01c8;
        b = scaled(&a, g_rand_int_range(r, 1, 300), g_rand_int_range(r, 1, 300), false);
        for (int n = 0; n < b.w * b.h; n++)
            g_assert_cmphex(b.dots[n], ==, 0xfe01c8);
        g_free(a.dots);
        g_free(b.dots);
    }
}

/* Lines of one dot, as letters have them, are there in a smaller picture too, each with its share of light. */
static void no_line_is_lost(void)
{
    struct canvas a = canvas_new(640, 40), b;
    double light = 0;
    for (int x = 0; x < a.w; x += 8)
        for (int y = 0; y < a.h; y++)
            a.dots[y * a.w + x] = 0xffffff;
    b = scaled(&a, 400, 25, false);
    for (int x = 0; x < a.w; x += 8) {
        int from = x * 400 / 640, to = MIN((x + 1) * 400 / 640 + 1, 400), brightest = 0;
        for (int i = from; i < to; i++)
            brightest = MAX(brightest, (int)(b.dots[10 * b.w + i] & 0xff));
        g_assert_cmpint(brightest, >=, 255 * 400 / 640 / 2 - 2); /* at worst it falls on two dots, half on each */
    }
    for (int x = 0; x < b.w; x++)
        light += b.dots[10 * b.w + x] & 0xff;
    g_assert_cmpfloat(ABS(light - 80 * 255.0 * 400 / 640), <, 80);
    g_free(a.dots);
    g_free(b.dots);
}

/* After a change of a box, drawing what it touches gives what drawing all would. */
static void parts(void)
{
    guint32 seed = 4;
    g_autoptr(GRand) r = g_rand_new_with_seed(seed);
    g_test_message("seed %u", seed);
    for (int i = 0; i < 300; i++) {
        int w = g_rand_int_range(r, 2, 90), h = g_rand_int_range(r, 2, 90), factor = g_rand_int_range(r, 1, 4);
        bool sharp = g_rand_boolean(r);
        int tw = sharp ? w * factor : g_rand_int_range(r, 1, 200),
            th = sharp ? h * factor : g_rand_int_range(r, 1, 200);
        struct canvas a = noise(r, w, h), part = scaled(&a, tw, th, sharp), all;
        SDL_Rect box = {g_rand_int_range(r, 0, w), g_rand_int_range(r, 0, h), 0, 0};
        struct scaler s = {0};
        box.w = g_rand_int_range(r, 1, w - box.x + 1);
        box.h = g_rand_int_range(r, 1, h - box.y + 1);
        for (int y = box.y; y < box.y + box.h; y++)
            for (int x = box.x; x < box.x + box.w; x++)
                a.dots[y * w + x] = g_rand_int(r) & 0xffffff;
        scaler_prepare(&s, w, h, tw, th, sharp);
        scaler_draw(&s, a.dots, w, part.dots, tw, scaler_touched(&s, box));
        scaler_clear(&s);
        all = scaled(&a, tw, th, sharp);
        g_assert_cmpmem(part.dots, (size_t)tw * th * 4, all.dots, (size_t)tw * th * 4);
        g_free(a.dots);
        g_free(part.dots);
        g_free(all.dots);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scale/same-size", same_size);
    g_test_add_func("/scale/squares", squares);
    g_test_add_func("/scale/one-colour", one_colour);
    g_test_add_func("/scale/no-line-is-lost", no_line_is_lost);
    g_test_add_func("/scale/parts", parts);
    return g_test_run();
}
