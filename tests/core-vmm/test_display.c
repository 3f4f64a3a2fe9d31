// SPDX-License-Identifier: GPL-2.0-or-later
/* Displays with several outputs that can be asked for a size: the real machine with a video chip of the test's own beside the
 * board's VGA, which does what it is asked at the next refresh. */
#include "core-vmm/machine/core.h"
#include "core-vmm/machine/display.h"

enum { OUTPUTS = 2, MOST = 4096 };

struct chip {
    struct display *display[OUTPUTS];
    uint32_t width[OUTPUTS], height[OUTPUTS];
    unsigned refreshes[OUTPUTS];
    bool off;
};

static void refresh(struct device *d, unsigned output, bool everything)
{
    struct chip *c = d->state;
    struct surface *s = display_mode(c->display[output], c->width[output], c->height[output]);
    c->refreshes[output]++;
    s->pixels[0] = 0x100 + output;
    display_damage(c->display[output], 0, 0, 1, 1);
    if (c->off)
        display_dark(c->display[output], true);
}

static bool ask_size(struct device *d, unsigned output, uint32_t width, uint32_t height)
{
    struct chip *c = d->state;
    if (width > MOST || height > MOST)
        return false;
    c->width[output] = width;
    c->height[output] = height;
    return true;
}

static const struct display_source source = {.refresh = refresh, .ask_size = ask_size};

static bool init(struct device *d, const struct config *config, GError **error)
{
    struct chip *c = d->state;
    for (unsigned n = 0; n < OUTPUTS; n++) {
        c->width[n] = c->height[n] = 100 + n;
        c->display[n] = display_attach(d, &source, n);
    }
    return true;
}

static void fini(struct device *d)
{
    for (unsigned n = 0; n < OUTPUTS; n++)
        display_detach(((struct chip *)d->state)->display[n]);
}

static const struct device_ops ops = {
    .name = "two-outputs", .state_bytes = sizeof(struct chip), .init = init, .fini = fini};

static struct machine *build(struct device **d)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) error = NULL;
    g_key_file_load_from_data(file, "[machine]\nmemory=16M\nengine=interp\n", -1, G_KEY_FILE_NONE, NULL);
    struct machine *m = machine_new(file, "machine.ini", g_get_tmp_dir(), NULL, &error);
    g_assert_no_error(error);
    *d = device_new(m, &(struct wiring){&ops, ops.name, .slot = -1});
    g_assert_true(device_init(*d, NULL));
    machine_add(m, *d);
    return m;
}

static void outputs(void)
{
    struct device *d;
    struct machine *m = build(&d);
    struct chip *c = d->state;
    g_assert_nonnull(machine_display(m, 0)); /* the VGA's */
    g_assert_true(machine_display(m, 1) == c->display[0] && machine_display(m, 2) == c->display[1]);
    g_assert_null(machine_display(m, 3));
    for (unsigned n = 0; n < OUTPUTS; n++) {
        const struct surface *s = display_refresh_now(machine_display(m, 1 + n));
        g_assert_cmpuint(s->width, ==, 100 + n);
        g_assert_cmphex(s->pixels[0], ==, 0x100 + n);
        g_assert_cmpuint(c->refreshes[n], ==, 1); /* and not the other's */
    }
    display_detach(c->display[0]);
    g_assert_true(machine_display(m, 1) == c->display[1]);
    c->display[0] = display_attach(d, &source, 0);
    machine_free(m);
}

static void sizes(void)
{
    struct device *d;
    struct machine *m = build(&d);
    g_assert_false(display_ask_size(machine_display(m, 0), 800, 600)); /* a VGA's size is the guest's alone */
    g_assert_true(display_ask_size(machine_display(m, 2), 640, 333));
    g_assert_cmpuint(display_refresh_now(machine_display(m, 2))->height, ==, 333);
    g_assert_cmpuint(display_refresh_now(machine_display(m, 1))->height, ==, 100);
    g_assert_false(display_ask_size(machine_display(m, 2), 640, 0));
    g_assert_false(display_ask_size(machine_display(m, 2), MOST + 1, 1));
    g_assert_cmpuint(display_refresh_now(machine_display(m, 2))->width, ==, 640);
    machine_free(m);
}

/* An output that the guest switches off is dark, and not what was asked for any more; one that is dark for another reason is. */
static void dark(void)
{
    struct device *d;
    struct machine *m = build(&d);
    struct chip *c = d->state;
    struct display *p = machine_display(m, 1);
    g_assert_false(display_is_on(p));
    display_dark(p, true); /* nothing is shown, so nothing happens */
    const struct surface *s = display_refresh_now(p);
    uint32_t generation = s->generation;
    g_assert_true(display_is_on(p) && display_settled(p));
    display_ask_size(p, 300, 200);
    c->width[0] = 100; /* it does not do it yet */
    c->height[0] = 100;
    g_assert_true(display_refresh_now(p) == s && !display_settled(p));
    display_dark(p, false);
    g_assert_cmphex(s->pixels[0], ==, 0);
    g_assert_true(!display_is_on(p) && !display_settled(p));
    g_assert_true(display_refresh_now(p) == s && s->generation != generation); /* so all is drawn */
    g_assert_true(display_is_on(p) && display_settled(p));
    display_ask_size(p, 0, 0);
    display_dark(p, true);
    g_assert_true(!display_is_on(p) && display_settled(p));
    display_ask_size(p, 300, 200);
    display_dark(p, true); /* it is so still, from before */
    g_assert_false(display_settled(p));
    machine_free(m);
}

static void count(void *ctx, const struct surface *s)
{
    ++*(unsigned *)ctx;
}

/* Who comes to watch a further screen that is off is shown nothing, as before it was on for the first time. */
static void watched(void)
{
    struct device *d;
    struct machine *m = build(&d);
    unsigned modes[OUTPUTS] = {0};
    const struct display_sink sink[OUTPUTS] = {{.mode = count, .ctx = &modes[0]}, {.mode = count, .ctx = &modes[1]}};
    for (unsigned n = 0; n < OUTPUTS; n++) {
        struct display *p = machine_display(m, 1 + n);
        ((struct chip *)d->state)->off = true;
        display_refresh_now(p);
        display_watch(p, &sink[n]);
        g_assert_cmpuint(modes[n], ==, !n);
        ((struct chip *)d->state)->off = false;
        display_refresh_now(p);
        display_refresh_now(p);
        g_assert_cmpuint(modes[n], ==, n ? 1 : 2);
        display_unwatch(p, &sink[n]);
    }
    machine_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/display/outputs", outputs);
    g_test_add_func("/display/sizes", sizes);
    g_test_add_func("/display/dark", dark);
    g_test_add_func("/display/watched", watched);
    return g_test_run();
}
