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

static void screen_shot(struct call *c)
{
    struct display *p = machine_display(call_machine(c), 0);
    const struct surface *s = p ? display_refresh_now(p) : NULL;
    if (!s) {
        call_fail(c, CONTROL_UNSUPPORTED, p ? "there is no picture now" : "the machine has no graphics card");
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

const struct command screen_commands[] = {
    {"screen.shot", .summary = "a copy of the picture", .handler = screen_shot, .passes = true},
    {"screen.text", .summary = "what the text screen says", .handler = screen_text},
    {NULL},
};
