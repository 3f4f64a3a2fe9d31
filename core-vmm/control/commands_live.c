// SPDX-License-Identifier: GPL-2.0-or-later
/* commands_live.c - a snapshot of the running machine.  Which images there are to be, and when a snapshot is one, is the client's matter
 * (host/snapshot_live.c): it passes what this process may not open, a fresh image for each disk (live.disk) and a file for the
 * state (live.save), and hears when the one is in use and the other whole. */
#include "core-vmm/base/state_file.h"
#include "core-vmm/control/commands.h"
#include "core-vmm/machine/drive_media.h"
#include "core-vmm/machine/drive_overlay.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct saving {
    struct call *call; /* NULL: the client has gone */
    int pipe;          /* hears how far it is; -1: nobody does */
};

/* As in commands_save.c; on the threads that save. */
static bool goes_on(void *ctx, uint64_t done, uint64_t total, GError **error)
{
    return save_tell_progress(((struct saving *)ctx)->pipe, done, total, error);
}

static void on_gone(void *saving)
{
    ((struct saving *)saving)->call = NULL;
}

static JsonObject *describe(const struct live_result *r)
{
    JsonObject *o = json_object_new();
    json_object_set_int_member(o, "stood-us", r->stood_us);
    json_object_set_int_member(o, "rounds", r->rounds);
    json_object_set_int_member(o, "last-pages", r->last_pages);
    json_object_set_int_member(o, "held-back", r->held_back);
    json_object_set_boolean_member(o, "vars", r->vars);
    json_object_set_boolean_member(o, "based", r->based);
    return o;
}

static void on_done(void *ctx, const struct live_result *r, const GError *error)
{
    struct saving *s = ctx;
    bool full = g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE);
    if (s->call && error)
        call_fail(s->call, full ? CONTROL_NO_SPACE : CONTROL_FAILED, "%s", error->message);
    else if (s->call)
        call_reply(s->call, describe(r));
    if (s->pipe >= 0)
        close(s->pipe);
    g_free(s);
}

/* Takes all. */
static void begin(struct call *c, int file, int pipe, int vars)
{
    g_autoptr(GError) error = NULL;
    struct saving *s = g_new0(struct saving, 1);
    const struct save_watch watch = {goes_on, s};
    *s = (struct saving){c, pipe};
    if (pipe >= 0)
        fcntl(pipe, F_SETFL, O_NONBLOCK);
    call_on_cancel(c, on_gone, s);
    if (!machine_save_live(call_machine(c), file, vars, &watch, on_done, s, &error))
        on_done(s, NULL, error);
}

static bool is_free(struct call *c)
{
    bool busy = machine_saves_live(call_machine(c)) || save_holds(call_server(c));
    if (busy)
        call_fail(c, CONTROL_BUSY, "the machine is being saved already");
    return !busy;
}

static void live_save(struct call *c)
{
    int file = call_take_fd(c, 0), pipe = call_take_fd(c, 1), vars = call_take_fd(c, 2);
    bool good = save_is_usable(file, pipe) && save_is_usable(vars, -1);
    if (good && is_free(c)) {
        begin(c, file, pipe, vars);
        return;
    }
    if (!good)
        call_fail(c, CONTROL_USAGE, "the descriptors must be of empty regular files that are open for writing");
    close(file);
    close(vars);
    close(pipe);
}

static void live_disk(struct call *c)
{
    g_autoptr(GError) error = NULL;
    const char *name = call_text(c, "drive", ""), *file = call_text(c, "file", "");
    struct drive *v = machine_drive(call_machine(c), name);
    if (!v)
        call_fail(c, CONTROL_NOT_FOUND, "the machine has no drive %s", name);
    else if (!g_path_is_absolute(file))
        call_fail(c, CONTROL_USAGE, "file must be an absolute path");
    else if (is_free(c) && drive_overlay_open(v, call_take_fd(c, 0), file, call_text(c, "on", ""), &error))
        call_reply(c, NULL);
    else if (error)
        call_fail(c, CONTROL_FAILED, "%s", error->message);
}

static void live_older(struct call *c)
{
    if (!is_free(c))
        return;
    if (machine_live_older(call_machine(c), call_take_fd(c, 0)))
        call_reply(c, NULL);
    else
        call_fail(c, CONTROL_USAGE, "a state builds upon %d others at most", STATE_BASES_MAX);
}

static void live_drop(struct call *c)
{
    if (!is_free(c))
        return;
    drive_overlays_close(call_machine(c));
    machine_live_no_older(call_machine(c));
    call_reply(c, NULL);
}

/* All drives that read through the one that goes.  The one that writes to what is on top of it must be among them: nobody else may
 * tell its image. */
static void live_merged(struct call *c)
{
    g_autoptr(GError) error = NULL;
    const struct merged_images g = {call_take_fd(c, 0), call_text(c, "file", ""), call_text(c, "gone", ""),
                                    call_text(c, "name", ""), call_text(c, "writes", "")};
    bool free = is_free(c), good = free, told = !*g.writes;
    struct machine *m = free ? call_machine(c) : NULL;
    for (struct drive *v = m ? drive_next(m, NULL) : NULL; v && good; v = drive_next(m, v))
        good = drive_images_merged(v, &g, &told, &error);
    if (good && told)
        call_reply(c, NULL);
    else if (free)
        call_fail(c, CONTROL_FAILED, "%s", error ? error->message : "the machine does not write to that image");
    close(g.fd);
}

const struct command live_commands[] = {
    {"live.disk",
     {{"drive", PARAM_TEXT, true}, {"file", PARAM_TEXT, true}, {"on", PARAM_TEXT, true}},
     .summary = "an empty qcow2 image, which a disk is to go on with; on: what it lies on, and the disk has now",
     .handler = live_disk,
     .fds = 1},
    {"live.drop", {}, .summary = "the disks do not go on with those images", .handler = live_drop},
    {"live.older",
     {},
     .summary = "a state that live.save may build upon; the oldest first, each builds upon those before it",
     .handler = live_older,
     .fds = 1},
    {"live.save",
     {},
     .summary = "save the running machine into a file, and from that moment use those images; 2nd: a pipe, 3rd: a file "
                "for UEFI's variables",
     .handler = live_save,
     .fds = 3},
    {"live.merged",
     {{"file", PARAM_TEXT, true}, {"gone", PARAM_TEXT, true}, {"name", PARAM_TEXT, true}, {"writes", PARAM_TEXT}},
     .summary = "an image that disks read through has gone into the one below, of which this is a descriptor",
     .handler = live_merged,
     .fds = 1},
    {NULL},
};
