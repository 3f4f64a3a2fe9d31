// SPDX-License-Identifier: GPL-2.0-or-later
/* Who gets the user's keys and pointer when a machine has several keyboards and pointers: the real machine with two chips of
 * the test's own, beside the board's 8042. */
#include "core-vmm/api/input.h"
#include "core-vmm/machine/core.h"
#include <linux/input-event-codes.h>

struct chip {
    GString *got;
    bool full;
};

static bool note(struct device *d, const char *format, ...) G_GNUC_PRINTF(2, 3);
static bool note(struct device *d, const char *format, ...)
{
    struct chip *c = d->state;
    va_list ap;
    va_start(ap, format);
    if (!c->full)
        g_string_append_vprintf(c->got, format, ap);
    va_end(ap);
    return !c->full;
}

static bool key(struct device *d, unsigned code, bool down)
{
    return note(d, "%c%u ", down ? '+' : '-', code);
}

static bool pointer(struct device *d, int dx, int dy, int wheel, unsigned buttons)
{
    return note(d, "%d,%d/%u ", dx, dy, buttons);
}

static bool absolute(struct device *d, uint16_t x, uint16_t y, int wheel, unsigned buttons)
{
    return note(d, "@%u,%u/%u ", x, y, buttons);
}

static unsigned leds(struct device *d)
{
    return 5;
}

static bool init(struct device *d, const struct config *c, GError **error)
{
    ((struct chip *)d->state)->got = g_string_new(NULL);
    return true;
}

static void fini(struct device *d)
{
    g_string_free(((struct chip *)d->state)->got, TRUE);
}

static const struct input_ops both = {.key = key, .pointer = pointer, .leds = leds};
static const struct input_ops tablet = {.pointer_absolute = absolute};
static const struct device_ops both_ops = {
    .name = "both", .state_bytes = sizeof(struct chip), .init = init, .fini = fini, .input = &both};
static const struct device_ops tablet_ops = {
    .name = "tablet", .state_bytes = sizeof(struct chip), .init = init, .fini = fini, .input = &tablet};

struct fixture {
    struct machine *m;
    struct device *both, *tablet;
};

static struct device *add(struct machine *m, const struct device_ops *ops)
{
    struct device *d = device_new(m, &(struct wiring){ops, ops->name, .slot = -1});
    g_assert_true(device_init(d, NULL));
    machine_add(m, d);
    return d;
}

static struct fixture build(void)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) error = NULL;
    g_key_file_load_from_data(file, "[machine]\nmemory=16M\nengine=interp\n", -1, G_KEY_FILE_NONE, NULL);
    struct machine *m = machine_new(file, "machine.ini", g_get_tmp_dir(), NULL, &error);
    g_assert_no_error(error);
    return (struct fixture){m, add(m, &both_ops), add(m, &tablet_ops)};
}

static void got(struct device *d, const char *what)
{
    GString *s = ((struct chip *)d->state)->got;
    g_assert_cmpstr(s->str, ==, what);
    g_string_truncate(s, 0);
}

static void listen(struct device *d, unsigned what)
{
    dev_lock(d);
    dev_input(d, what);
    dev_unlock(d);
}

static bool ps2_has_byte(struct machine *m) /* after the time that one takes on its wire */
{
    clock_go(m->clock);
    g_usleep(5000);
    clock_run(m->clock);
    clock_stand(m->clock);
    return machine_in(m, 0, 0x64, 1) & 1;
}

static void listener_first(void)
{
    struct fixture f = build();
    machine_out(f.m, 0, 0x64, 1, 0xae);
    machine_out(f.m, 0, 0x60, 1, 0xf4); /* the PS/2 keyboard scans */
    while (ps2_has_byte(f.m))
        machine_in(f.m, 0, 0x60, 1);
    machine_key(f.m, KEY_A, true);
    got(f.both, ""); /* the board's, for nobody has said anything */
    g_assert_true(ps2_has_byte(f.m));
    machine_key(f.m, KEY_A, false);
    g_assert_cmpuint(machine_leds(f.m), !=, 5);
    listen(f.both, INPUT_KEYBOARD);
    g_assert_cmpuint(machine_leds(f.m), ==, 5);
    machine_key(f.m, KEY_B, true);
    machine_key(f.m, KEY_B, false);
    machine_pointer(f.m, 1, 2, 0, 0); /* the 8042's: of this one only the keyboard is listened to */
    got(f.both, "+48 -48 ");
    listen(f.both, INPUT_KEYBOARD | INPUT_POINTER | INPUT_ABSOLUTE);
    machine_pointer(f.m, 1, 2, 0, 0);
    got(f.both, "1,2/0 ");
    machine_free(f.m);
}

static void key_comes_up_where_it_went_down(void)
{
    struct fixture f = build();
    listen(f.both, INPUT_KEYBOARD);
    machine_key(f.m, KEY_A, true);
    listen(f.both, 0);
    machine_key(f.m, KEY_B, true);
    machine_key(f.m, KEY_A, false);
    listen(f.both, INPUT_KEYBOARD);
    machine_key(f.m, KEY_B, false); /* the 8042's */
    machine_key(f.m, KEY_A, true);
    got(f.both, "+30 -30 +30 ");
    machine_key(f.m, 100000, true); /* no key of this world */
    got(f.both, "+100000 ");
    machine_free(f.m);
}

static void absolute_only_if_listened_to(void)
{
    struct fixture f = build();
    g_assert_false(machine_takes_absolute(f.m));
    machine_pointer_absolute(f.m, 1, 2, 0, 0);
    got(f.tablet, "");
    listen(f.both, INPUT_POINTER | INPUT_ABSOLUTE);
    machine_pointer(f.m, 1, 1, 0, POINTER_LEFT);
    listen(f.tablet, INPUT_ABSOLUTE);
    g_assert_true(machine_takes_absolute(f.m));
    machine_pointer_absolute(f.m, 7, 9, 0, POINTER_LEFT);
    got(f.both, "1,1/1 0,0/0 "); /* what was held there comes up */
    got(f.tablet, "@7,9/1 ");
    machine_pointer(f.m, 3, 3, 0, 0); /* a move is still a move */
    got(f.both, "3,3/0 ");
    got(f.tablet, "@7,9/0 ");
    listen(f.tablet, 0);
    g_assert_false(machine_takes_absolute(f.m));
    machine_free(f.m);
}

static void reset_forgets(void)
{
    struct fixture f = build();
    listen(f.tablet, INPUT_ABSOLUTE);
    device_reset(f.tablet);
    g_assert_false(machine_takes_absolute(f.m));
    machine_free(f.m);
}

static void a_full_queue_waits(void)
{
    struct fixture f = build();
    listen(f.both, INPUT_KEYBOARD | INPUT_POINTER | INPUT_ABSOLUTE);
    ((struct chip *)f.both->state)->full = true;
    machine_key(f.m, KEY_A, true);
    machine_pointer(f.m, 1, 1, 0, 0);
    machine_pointer(f.m, 2, 2, 0, 0);
    got(f.both, "");
    ((struct chip *)f.both->state)->full = false;
    for (unsigned i = 0; i < 100 && !((struct chip *)f.both->state)->got->len; i++)
        g_main_context_iteration(NULL, TRUE);
    got(f.both, "+30 3,3/0 ");
    machine_free(f.m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/input/listener-first", listener_first);
    g_test_add_func("/input/key-comes-up-where-it-went-down", key_comes_up_where_it_went_down);
    g_test_add_func("/input/absolute-only-if-listened-to", absolute_only_if_listened_to);
    g_test_add_func("/input/reset-forgets", reset_forgets);
    g_test_add_func("/input/a-full-queue-waits", a_full_queue_waits);
    return g_test_run();
}
