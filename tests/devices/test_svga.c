// SPDX-License-Identifier: GPL-2.0-or-later
/* Pictures of VMware's SVGA II: the frame buffer and its updates, screens and the boxes that change in them, the cursor drawn into
 * the picture, the VGA before and after. */
#include "core-vmm/api/barrier.h"
#include "core-vmm/machine/display.h"
#include "devices/video/svga.h"
#include "tests/devices/bench.h"

enum { PORTS = 0xc000, VRAM = 0xe0000000, FIFO = 0xf0000000, RING = 4096, RING_END = 262144 };
enum { ENABLE = 1, WIDTH, HEIGHT, BPP = 7, CONFIG_DONE = 20, SYNC, TRACES = 45 };
enum { CURSOR_ON = 9, CURSOR_X, CURSOR_Y, CURSOR_COUNT };

struct card {
    struct bench *bench;
    struct display *display;
    uint32_t x, y, width, height; /* of the last damage */
    unsigned damages, cursors;
};

static void on_damage(void *ctx, uint32_t x, uint32_t y, uint32_t width, uint32_t height)
{
    struct card *c = ctx;
    c->x = x;
    c->y = y;
    c->width = width;
    c->height = height;
    c->damages++;
}

static void set(struct card *c, uint32_t reg, uint32_t value)
{
    bench_out(c->bench, PORTS, 4, reg);
    bench_out(c->bench, PORTS + 1, 4, value);
}

static void fifo(struct card *c, unsigned word, uint32_t value)
{
    bench_store(c->bench, FIFO + word * 4, 4, value);
}

static void vram(struct card *c, uint32_t offset, uint32_t value)
{
    bench_store(c->bench, VRAM + offset, 4, value);
}

static struct card card_with(const char *key, const char *value)
{
    struct card c = {bench_new()};
    g_autoptr(GError) error = NULL;
    if (key)
        bench_config(c.bench, "video", key, value);
    struct device *d = bench_add_chip(c.bench, chip_find("svga"), &error);
    g_assert_no_error(error);
    bench_step(c.bench, 30000000); /* a screen is dark for that long before it is shown so */
    c.display = bench_display(c.bench);
    bench_pci_write(d, 0x10, 4, PORTS);
    bench_pci_write(d, 0x14, 4, VRAM);
    bench_pci_write(d, 0x18, 4, FIFO);
    bench_pci_write(d, 4, 2, 7);
    const uint32_t words[] = {RING, RING_END, RING, RING};
    for (unsigned i = 0; i < 4; i++)
        fifo(&c, i, words[i]);
    return c;
}

static struct card card_new(void)
{
    return card_with(NULL, NULL);
}

static void switch_on(struct card *c, uint32_t width, uint32_t height)
{
    set(c, WIDTH, width);
    set(c, HEIGHT, height);
    set(c, ENABLE, 1);
    set(c, CONFIG_DONE, 1);
    set(c, TRACES, 0);
}

static void command(struct card *c, const uint32_t *words, unsigned n)
{
    uint32_t next = bench_load(c->bench, FIFO + 8, 4);
    for (unsigned i = 0; i < n; i++)
        bench_store(c->bench, FIFO + next + i * 4, 4, words[i]);
    fifo(c, 2, next + n * 4);
    set(c, SYNC, 1);
}
#define COMMAND(c, ...)                                                                                                \
    command(c, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static uint32_t dot(struct card *c, uint32_t x, uint32_t y)
{
    const struct surface *s = display_refresh_now(c->display);
    g_assert_cmpuint(x, <, s->width);
    g_assert_cmpuint(y, <, s->height);
    return s->pixels[(size_t)y * (s->stride / 4) + x] & 0xffffff;
}

static void frame_buffer(void)
{
    struct card c = card_new();
    const struct surface *s = display_refresh_now(c.display);
    g_assert_cmpuint(s->width, ==, 720); /* the VGA */
    switch_on(&c, 64, 48);
    vram(&c, 0, 0x112233);
    g_assert_cmphex(dot(&c, 0, 0), ==, 0x112233);
    s = display_refresh_now(c.display);
    g_assert_true(s->width == 64 && s->height == 48);
    vram(&c, 40 * 256, 0x445566); /* nobody says so, so it is not shown */
    g_assert_cmphex(dot(&c, 0, 40), ==, 0);
    COMMAND(&c, 1, 0, 40, 1, 1);
    g_assert_cmphex(dot(&c, 0, 40), ==, 0x445566);
    COMMAND(&c, 3, 0, 40, 10, 8, 1, 1);
    g_assert_cmphex(dot(&c, 10, 8), ==, 0x445566);
    set(&c, BPP, 16);
    vram(&c, 0, 0xf800ffff);
    g_assert_cmphex(dot(&c, 0, 0), ==, 0xffffff);
    g_assert_cmphex(dot(&c, 1, 0), ==, 0xff0000);
    set(&c, ENABLE, 3); /* hidden: the VGA is shown */
    g_assert_cmpuint(display_refresh_now(c.display)->width, ==, 64);
    g_assert_cmphex(dot(&c, 0, 0), ==, 0);
    set(&c, ENABLE, 1);
    g_assert_cmphex(dot(&c, 1, 0), ==, 0xff0000);
    bench_reset(c.bench);
    g_assert_cmphex(dot(&c, 1, 0), ==, 0);
    bench_free(c.bench);
}

static void define_screen(struct card *c, uint32_t flags)
{
    COMMAND(c, 34, 44, 0, flags, 200, 100, 0, 0, 0xfffffffe, 0x10000, 800, 0);
}

static void screens(void)
{
    struct card c = card_new();
    const struct display_sink sink = {.damage = on_damage, .ctx = &c};
    switch_on(&c, 64, 48);
    vram(&c, 0x10000, 0x999999);
    define_screen(&c, 1);
    g_assert_cmphex(dot(&c, 0, 0), ==, 0); /* black at first */
    g_assert_cmpuint(display_refresh_now(c.display)->width, ==, 200);
    display_watch(c.display, &sink);
    c.damages = 0;
    vram(&c, 0x80000, 0xabcdef);
    COMMAND(&c, 36, 0xfffffffe, 0x80000, 4, 0x1820);
    g_assert_cmphex(dot(&c, 150, 70), ==, 0);
    g_assert_cmpuint(c.damages, ==, 0);
    COMMAND(&c, 37, 0, 0, 150, 70, 151, 71, 0);
    g_assert_cmphex(dot(&c, 150, 70), ==, 0xabcdef);
    g_assert_cmpuint(c.damages, ==, 1);
    g_assert_true(c.x == 150 && c.y == 70 && c.width == 1 && c.height == 1);
    for (unsigned i = 0; i < 40; i++) /* more than are kept apart */
        COMMAND(&c, 37, 0, 0, 2 * i, i, 2 * i + 1, i + 1, 0);
    g_assert_cmphex(dot(&c, 78, 39), ==, 0xabcdef);
    g_assert_true(c.x == 0 && c.y == 0 && c.width == 79 && c.height == 40);
    g_assert_cmphex(dot(&c, 79, 39), ==, 0);
    define_screen(&c, 1 | 16); /* blanked: what there was comes back */
    g_assert_cmphex(dot(&c, 150, 70), ==, 0);
    define_screen(&c, 1);
    g_assert_cmphex(dot(&c, 150, 70), ==, 0xabcdef);
    display_unwatch(c.display, &sink);
    int64_t x = 65535, y = 32768; /* a second screen to the right: the first is the left half of the desktop */
    display_to_desktop(c.display, &x, &y);
    g_assert_true(x == 65535 && y == 50 * 65535 / 99); /* dot 50 of 0 to 99 */
    COMMAND(&c, 34, 44, 1, 1, 200, 100, 200, 0, 0xfffffffe, 0x30000, 800, 0);
    display_refresh_now(c.display);
    x = 65535;
    display_to_desktop(c.display, &x, &y);
    g_assert_true(x == 199 * 65535 / 399);
    COMMAND(&c, 35, 1);
    COMMAND(&c, 35, 0);
    set(&c, WIDTH, 32); /* the frame buffer is shown again */
    g_assert_cmpuint(display_refresh_now(c.display)->width, ==, 32);
    bench_free(c.bench);
}

static struct svga *chip(struct card *c)
{
    return bench_device(c->bench, "svga")->state;
}

/* One that the guest destroys is dark, and stays so: what else lies in video RAM is nobody's picture then. */
static void destroyed(void)
{
    struct card c = card_new();
    switch_on(&c, 64, 48);
    vram(&c, 0, 0x123456);
    define_screen(&c, 1);
    vram(&c, 0x80000, 0xabcdef);
    COMMAND(&c, 36, 0xfffffffe, 0x80000, 4, 0x1820);
    COMMAND(&c, 37, 0, 0, 0, 0, 1, 1, 0);
    g_assert_cmphex(dot(&c, 0, 0), ==, 0xabcdef);
    COMMAND(&c, 35, 0);
    g_assert_cmphex(dot(&c, 0, 0), ==, 0);
    g_assert_cmpuint(display_refresh_now(c.display)->width, ==, 200);
    COMMAND(&c, 1, 0, 0, 64, 48);
    g_assert_cmphex(dot(&c, 0, 0), ==, 0);
    g_autofree char *why = bench_save_load(c.bench);
    g_assert_cmpstr(why, ==, NULL);
    c.display = bench_display(c.bench);
    g_assert_null(display_refresh_now(c.display)); /* nothing has been shown there */
    set(&c, WIDTH, 64);                            /* as it was: what drives the card by its registers is at work */
    g_assert_cmphex(dot(&c, 0, 0), ==, 0x123456);
    COMMAND(&c, 35, 0); /* the frame buffer is screen 0 as well */
    g_assert_cmphex(dot(&c, 0, 0), ==, 0);
    set(&c, ENABLE, 1);
    g_assert_cmphex(dot(&c, 0, 0), ==, 0x123456);
    bench_free(c.bench);
}

/* The same of a second one, whose watchers have nothing else to see; and after the guest's driver has gone. */
static void second_screen(void)
{
    struct card c = card_with("screens", "2");
    struct display *second = chip(&c)->display[1];
    c.display = chip(&c)->display[0];
    switch_on(&c, 64, 48);
    define_screen(&c, 1);
    COMMAND(&c, 34, 44, 1, 1, 50, 40, 200, 0, 0xfffffffe, 0x60000, 200, 0);
    vram(&c, 0x80000, 0xabcdef);
    COMMAND(&c, 36, 0xfffffffe, 0x80000, 4, 0x1820);
    COMMAND(&c, 37, 0, 0, 0, 0, 1, 1, 0);
    COMMAND(&c, 37, 0, 0, 0, 0, 1, 1, 1);
    g_assert_cmphex(display_refresh_now(second)->pixels[0], ==, 0xabcdef);
    COMMAND(&c, 35, 1);
    g_assert_cmphex(display_refresh_now(second)->pixels[0], ==, 0);
    g_assert_cmphex(dot(&c, 0, 0), ==, 0xabcdef);
    COMMAND(&c, 34, 44, 1, 1, 50, 40, 200, 0, 0xfffffffe, 0x60000, 200, 0);
    COMMAND(&c, 37, 0, 0, 0, 0, 1, 1, 1);
    g_assert_cmphex(display_refresh_now(second)->pixels[0], ==, 0xabcdef);
    set(&c, ENABLE, 3); /* hidden */
    g_assert_cmphex(display_refresh_now(second)->pixels[0], ==, 0);
    set(&c, ENABLE, 1);
    g_assert_cmphex(display_refresh_now(second)->pixels[0], ==, 0xabcdef);
    bench_reset(c.bench);
    g_assert_cmphex(display_refresh_now(second)->pixels[0], ==, 0);
    bench_free(c.bench);
}

static void show_cursor(struct card *c, uint32_t on, uint32_t x, uint32_t y)
{
    static unsigned changes;
    fifo(c, CURSOR_ON, on);
    fifo(c, CURSOR_X, x);
    fifo(c, CURSOR_Y, y);
    fifo(c, CURSOR_COUNT, ++changes);
}

/* Nobody takes absolute coordinates here, so it is drawn; hot spot at (1, 0). */
static void cursor(void)
{
    struct card c = card_new();
    switch_on(&c, 64, 48);
    define_screen(&c, 1);
    vram(&c, 0x80000, 0x646464);
    COMMAND(&c, 36, 0xfffffffe, 0x80000, 0, 0x1820);
    COMMAND(&c, 37, 0, 0, 20, 20, 21, 21, 0);
    COMMAND(&c, 22, 0, 1, 0, 2, 2, 0xffff0000, 0x80800000, 0, 0xff00ff00);
    g_assert_cmphex(dot(&c, 19, 20), ==, 0);
    show_cursor(&c, 1, 20, 20);
    g_assert_cmphex(dot(&c, 19, 20), ==, 0xff0000);
    g_assert_cmphex(dot(&c, 20, 20), ==, 0xb23232); /* half of it, over the grey */
    g_assert_cmphex(dot(&c, 19, 21), ==, 0);
    g_assert_cmphex(dot(&c, 20, 21), ==, 0x00ff00);
    show_cursor(&c, 1, 0, 99); /* half outside, at the left and below */
    g_assert_cmphex(dot(&c, 19, 20), ==, 0);
    g_assert_cmphex(dot(&c, 20, 20), ==, 0x646464);
    g_assert_cmphex(dot(&c, 0, 99), ==, 0x800000);
    show_cursor(&c, 1, 0x80000000, 0x7fffffff);
    g_assert_cmphex(dot(&c, 0, 99), ==, 0);
    show_cursor(&c, 0, 20, 20);
    g_assert_cmphex(dot(&c, 19, 20), ==, 0);
    /* by masks of one bit: see through, black, white, inverted */
    COMMAND(&c, 19, 0, 0, 0, 4, 1, 1, 1, 0x90, 0x30);
    show_cursor(&c, 1, 19, 20);
    g_assert_cmphex(dot(&c, 19, 20), ==, 0);
    g_assert_cmphex(dot(&c, 20, 20), ==, 0);
    g_assert_cmphex(dot(&c, 21, 20), ==, 0xffffff);
    g_assert_cmphex(dot(&c, 22, 20), ==, 0);
    show_cursor(&c, 0, 0, 0);
    g_assert_cmphex(dot(&c, 20, 20), ==, 0x646464);
    show_cursor(&c, 1, 19, 20);
    define_screen(&c, 1 | 16); /* blanked: not even that is to be seen */
    g_assert_cmphex(dot(&c, 21, 20), ==, 0);
    define_screen(&c, 1 | 8);
    g_assert_cmphex(dot(&c, 21, 20), ==, 0);
    bench_free(c.bench);
}

/* A round of work is bounded: what is left is done later, also by a machine that was loaded meanwhile. */
static void rounds(void)
{
    struct card c = card_new();
    switch_on(&c, 64, 48);
    set(&c, WIDTH, 480);
    set(&c, HEIGHT, 500);
    set(&c, CONFIG_DONE, 0);
    uint32_t next = RING;
    for (unsigned i = 0; i < 100; i++, next += 7 * 4) { /* about 1 MB each */
        const uint32_t words[] = {3, 0, 0, 0, 1, 480, 499};
        for (unsigned k = 0; k < 7; k++)
            bench_store(c.bench, FIFO + next + k * 4, 4, words[k]);
    }
    bench_store(c.bench, FIFO + next, 4, 30);
    bench_store(c.bench, FIFO + next + 4, 4, 77);
    fifo(&c, 2, next + 8);
    set(&c, CONFIG_DONE, 1);
    set(&c, SYNC, 1);
    g_assert_cmpuint(bench_load(c.bench, FIFO + 24, 4), ==, 0);
    g_autofree char *why = bench_save_load(c.bench);
    g_assert_cmpstr(why, ==, NULL);
    g_assert_cmpuint(bench_load(c.bench, FIFO + 24, 4), ==, 0);
    bench_step(c.bench, 10000000);
    g_assert_cmpuint(bench_load(c.bench, FIFO + 24, 4), ==, 77);
    bench_free(c.bench);
}

/* Lines cost as well as bytes: many of a dot each are not more than a round can do. */
static void narrow(void)
{
    enum { WIDE = 8, HIGH = 8192, MANY = 1000 };
    static const uint32_t kinds[][8] = {{37, 0, 0, 0, 0, 1, HIGH, 0},
                                        {38, 0, 0, 0, 0, 1, HIGH, 0},
                                        {14, 0, 0, 1, 0, 1, HIGH, 3},
                                        {25, 0, 0, 1, HIGH, 0, 45, 45}};
    for (unsigned k = 0; k < G_N_ELEMENTS(kinds); k++) {
        struct card c = card_new();
        switch_on(&c, WIDE, HIGH);
        if (k != 2)
            COMMAND(&c, 34, 44, 0, 1, WIDE, HIGH, 0, 0, 0xfffffffe, 0x40000, WIDE * 4, 0);
        COMMAND(&c, 36, 0xfffffffe, 0x80000, 4, 0x1820);
        uint32_t next = bench_load(c.bench, FIFO + 8, 4);
        for (unsigned i = 0; i < MANY; i++)
            for (unsigned w = 0; w < 8; w++, next += 4)
                bench_store(c.bench, FIFO + next, 4, kinds[k][w]);
        fifo(&c, 2, next);
        set(&c, SYNC, 1);
        uint32_t left = next - bench_load(c.bench, FIFO + 12, 4);
        g_assert_cmpuint(MANY - left / 32, <=, 100);
        g_assert_cmpuint(left, <, MANY * 32);
        bench_free(c.bench);
    }
}

/* A guest whose other CPU says all the time that there is something, and there is not: the card does not look for long.  That CPU
 * comes to it whenever the card lets it (the linker has the card call this for dev_barrier()). */
static struct {
    struct svga *to;
    unsigned times;
} liar;

void __real_dev_barrier(struct device *d);
void __wrap_dev_barrier(struct device *d);
void __wrap_dev_barrier(struct device *d)
{
    __real_dev_barrier(d);
    liar.times++;
    if (liar.to)
        svga_fifo_put(liar.to, FIFO_BUSY, 1);
}

static void says_busy(void)
{
    struct card c = card_new();
    struct device **list;
    g_assert_cmpuint(bench_devices(c.bench, &list), ==, 1);
    switch_on(&c, 64, 48);
    liar.to = list[0]->state;
    liar.times = 0;
    set(&c, SYNC, 1);
    g_assert_cmpuint(liar.times, >, 1);
    g_assert_cmpuint(liar.times, <=, 16);
    g_assert_cmpuint(liar.to->more_at, ==, DEV_NEVER);
    g_assert_cmpuint(bench_load(c.bench, FIFO + FIFO_BUSY * 4, 4), ==, 0);
    liar.to = NULL;
    COMMAND(&c, 30, 77);
    g_assert_cmpuint(bench_load(c.bench, FIFO + 24, 4), ==, 77);
    bench_free(c.bench);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/svga/frame-buffer", frame_buffer);
    g_test_add_func("/svga/screens", screens);
    g_test_add_func("/svga/destroyed", destroyed);
    g_test_add_func("/svga/second-screen", second_screen);
    g_test_add_func("/svga/cursor", cursor);
    g_test_add_func("/svga/narrow", narrow);
    g_test_add_func("/svga/rounds", rounds);
    g_test_add_func("/svga/says-busy", says_busy);
    return g_test_run();
}
