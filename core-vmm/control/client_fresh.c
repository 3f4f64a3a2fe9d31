// SPDX-License-Identifier: GPL-2.0-or-later
/* client_fresh.c - see client_fresh.h.  It runs in a process of its own, started with the machine and with the user's rights; of the guest it
 * hears only that there was a reset, and that it switched itself off. */
#include "core-vmm/control/client_fresh.h"
#include "core-vmm/control/answer.h"
#include "core-vmm/control/client_machine.h"
#include "core-vmm/host/machine_fresh.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/paths.h"
#include <string.h>

#define PATIENCE_MS 30000
#define PAUSE_US    G_USEC_PER_SEC

struct watch {
    GMainLoop *loop;
    const char *folder;
    bool reset, closed;
};

static void on_event(void *ctx, const char *event, JsonObject *data, int *fds, unsigned fd_count)
{
    struct watch *w = ctx;
    if (!strcmp(event, "state") && !strcmp(answer_text(data, "end", ""), "power-off"))
        fresh_powered_off(w->folder);
    if (strcmp(event, "reset"))
        return;
    w->reset = true;
    g_main_loop_quit(w->loop);
}

static void on_closed(void *ctx, const GError *error)
{
    struct watch *w = ctx;
    w->closed = true;
    g_main_loop_quit(w->loop);
}

/* Only the media that the system came from: who has put another one in has a reason. */
static bool eject(struct client *c, const char *drive, GError **error)
{
    JsonObject *args = json_object_new();
    json_object_set_string_member(args, "drive", drive);
    json_object_set_boolean_member(args, "force", true); /* nobody has locked the tray: the guest was reset */
    JsonObject *result = client_call(c, "media.eject", args, PATIENCE_MS, error);
    bool good = result;
    g_clear_pointer(&result, json_object_unref);
    return good;
}

static bool eject_media(const char *name, const char *folder, GError **error)
{
    g_auto(GStrv) media = fresh_media(folder);
    struct client *c = client_connect(name, error);
    JsonObject *listed = c ? client_call(c, "media.list", NULL, PATIENCE_MS, error) : NULL;
    JsonArray *drives = answer_array(listed, "drives");
    bool good = listed;
    for (unsigned i = 0; i < answer_count(drives) && good; i++) {
        JsonObject *o = answer_element(drives, i);
        const char *file = answer_text(o, "file", NULL);
        if (!strcmp(answer_text(o, "media", ""), "cdrom") && file && g_strv_contains((const char *const *)media, file))
            good = eject(c, answer_text(o, "drive", ""), error);
    }
    g_clear_pointer(&listed, json_object_unref);
    client_free(c);
    return good;
}

/* True: there is nothing more to wait for. */
static bool finish(const char *name, const char *folder)
{
    g_autoptr(GError) error = NULL;
    struct snapshot_taken taken;
    if (!fresh_is_installed(folder))
        return !fresh_waits(folder);
    if (eject_media(name, folder, &error) && fresh_take_media_out(folder, &error) &&
        (fresh_is_taken(folder) ||
         client_snapshot(name, FRESH_SNAPSHOT, "the system as its installer left it", false, NULL, &taken, &error))) {
        fresh_forget(folder);
        return true;
    }
    g_message("no snapshot of the fresh installation of %s: %s", name, error->message);
    return false;
}

void client_fresh_watch(const char *name)
{
    g_autofree char *folder = machines_folder(name);
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    struct watch w = {.loop = loop, .folder = folder};
    struct client *c = client_connect(name, NULL);
    if (!c)
        return;
    client_attach(c, NULL, on_event, on_closed, &w);
    bool done = false;
    while (!done) {
        w.reset = false;
        g_main_loop_run(loop);
        done = w.closed || (w.reset && finish(name, folder));
        if (!done)
            g_usleep(PAUSE_US); /* a guest that resets all the time does not have its disk looked at all the time */
    }
    client_free(c);
}
