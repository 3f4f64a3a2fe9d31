// SPDX-License-Identifier: GPL-2.0-or-later
/* commands_screen.c - screen.*: pictures as memory that the client gets, and the text of text modes. */
#include "core-vmm/machine/display.h"
#include "core-vmm/control/commands.h"
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

static bool copy_out(int fd, const uint32_t *pixels, size_t bytes)
{
    const char *from = (const char *)pixels;
    for (size_t done = 0; done < bytes;) {
        ssize_t n = write(fd, from + done, bytes - done);
        if (n <= 0)
            return false;
        done += n;
    }
    return true;
}

static JsonObject *describe_picture(const struct surface *s)
{
    JsonObject *r = json_object_new();
    json_object_set_int_member(r, "width", s->width);
    json_object_set_int_member(r, "height", s->height);
    json_object_set_int_member(r, "stride", s->stride);
    return r;
}

/* The display that "screen" names, from 0; NULL: the call has failed. */
struct display *call_screen(struct call *c)
{
    struct machine *m = call_machine(c);
    struct display *p = machine_display(m, call_number(c, "screen", 0));
    if (p)
        return p;
    if (!machine_display(m, 0))
        call_fail(c, CONTROL_UNSUPPORTED, "the machine has no graphics card");
    else
        call_fail(c, CONTROL_NOT_FOUND, "the machine has no such screen; screens in [video] says how many there are");
    return NULL;
}

static void screen_shot(struct call *c)
{
    struct display *p = call_screen(c);
    if (!p)
        return;
    const struct surface *s = display_refresh_now(p);
    if (!s) {
        call_fail(c, CONTROL_UNSUPPORTED, "there is no picture now");
        return;
    }
    size_t bytes = (size_t)s->stride * s->height;
    if (!call_may_picture(c, bytes)) {
        call_fail(c, CONTROL_BUSY, "too many pictures wait for other clients to read them; try again");
        return;
    }
    int fd = memfd_create("terrarium-shot", MFD_CLOEXEC);
    if (fd >= 0 && copy_out(fd, s->pixels, bytes)) {
        call_reply_picture(c, describe_picture(s), fd, bytes);
        return;
    }
    call_fail(c, errno == EMFILE || errno == ENFILE ? CONTROL_BUSY : CONTROL_FAILED, "the picture cannot be copied: %s",
              g_strerror(errno));
    if (fd >= 0)
        close(fd);
}

char *screen_read_text(struct machine *m, GError **error)
{
    struct display *p = machine_display(m, 0);
    char *text = p ? display_text(p) : NULL;
    if (!p)
        g_set_error(error, CONTROL_ERROR, CONTROL_UNSUPPORTED, "the machine has no graphics card");
    else if (!text)
        g_set_error(error, CONTROL_ERROR, CONTROL_WRONG_STATE, NO_TEXT);
    return text;
}

static void screen_text(struct call *c)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = screen_read_text(call_machine(c), &error);
    if (!text) {
        call_fail_error(c, error);
        return;
    }
    JsonObject *r = json_object_new();
    json_object_set_string_member(r, "text", text);
    call_reply(c, r);
}

/* ---- the size ---- */

enum { SIDE_LEAST = 64, SIDE_MOST = 8192 };

#define NOBODY_LISTENS                                                                                                 \
    "nothing in the guest sets its screen's size: that takes [additions], open-vm-tools in the guest, and [video] "    \
    "type = svga"

/* How the desktop is now, where nobody has asked for anything yet, or the guest has chosen something else since.  While even the first
 * screen is dark (it saves power), all is as it was before. */
static void note_sizes(struct machine *m, struct additions *a)
{
    bool awake = true;
    for (unsigned i = 0; i < ADDITIONS_SCREENS; i++) {
        struct display *p = machine_display(m, i);
        const struct surface *s = p ? display_refresh_now(p) : NULL;
        if (!s)
            continue;
        awake = i ? awake : display_is_on(p);
        bool on = display_is_on(p) || !awake, chosen = awake && additions_sets_sizes(a) && display_settled(p);
        additions_size_now(a, i, on ? s->width : 0, on ? s->height : 0, chosen);
    }
}

static void screen_size(struct call *c)
{
    struct machine *m = call_machine(c);
    struct additions *a = call_options(c)->additions;
    int64_t width = call_number(c, "width", 0), height = call_number(c, "height", 0), n = call_number(c, "screen", 0);
    struct display *p = call_screen(c);
    bool off = !width && !height && n;
    if (!p)
        return;
    if (!off && (width < SIDE_LEAST || height < SIDE_LEAST)) {
        call_fail(c, CONTROL_USAGE, "a screen has %d dots or more each way; the first cannot be switched off",
                  SIDE_LEAST);
        return;
    }
    if (a)
        note_sizes(m, a);
    bool later = display_ask_size(p, width, height), told = a && additions_ask_size(a, n, width, height);
    if (!told && !later) {
        call_fail(c, CONTROL_WRONG_STATE, NOBODY_LISTENS);
        return;
    }
    JsonObject *r = json_object_new();
    json_object_set_boolean_member(r, "told", told);
    call_reply(c, r);
}

const struct command screen_commands[] = {
    {"screen.shot",
     {{"screen", PARAM_NUMBER, .high = MACHINE_SCREENS - 1}},
     .summary = "a copy of the picture",
     .handler = screen_shot,
     .passes = true},
    {"screen.size",
     {{"screen", PARAM_NUMBER, .high = MACHINE_SCREENS - 1},
      {"width", PARAM_NUMBER, true, .high = SIDE_MOST},
      {"height", PARAM_NUMBER, true, .high = SIDE_MOST}},
     .summary = "the guest's screen is to have another size",
     .handler = screen_size},
    {"screen.text", .summary = "what the text screen says", .handler = screen_text},
    {NULL},
};
