// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_actions.c - see machine_actions.h. */
#include "gui/manager/machine_actions.h"
#include "core-vmm/control/answer.h"
#include "core-vmm/host/machines.h"
#include "gui/manager/ask.h"
#include "gui/manager/clone.h"
#include "gui/manager/firmware_page.h"
#include "gui/manager/guest_page.h"
#include "gui/manager/memory_page.h"
#include "gui/manager/place.h"
#include "gui/manager/remote_page.h"
#include "gui/manager/serial_page.h"
#include "gui/manager/work.h"
#include <glib/gi18n.h>

typedef void (*machine_act)(VmWindow *w, VmItem *m);

/* ---- the screen ---- */

static void show_screen(VmItem *m)
{
    g_autofree char *screen = program_find("terrarium-screen");
    const char *argv[] = {screen, vm_item_name(m), NULL};
    g_autoptr(GError) error = NULL;
    if (!screen)
        vm_item_set_problem(m, _("The program terrarium-screen is missing; install Terrarium anew."));
    else if (!g_spawn_async(NULL, (char **)argv, NULL, G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL,
                            program_in_child, GINT_TO_POINTER(1), NULL, &error))
        vm_item_set_problem(m, error->message);
}

static void show(VmWindow *w, VmItem *m)
{
    if (vm_item_info(m) && !answer_flag(vm_item_info(m), "has-display"))
        vm_serial_show(w, m); /* without a graphics card there is no screen */
    else
        show_screen(m);
}

/* ---- starting ---- */

static void on_started(VmJob *job, GParamSpec *spec, VmItem *m)
{
    if (!vm_job_problem(job))
        show_screen(m);
}

static void start(VmWindow *w, VmItem *m)
{
    const char *words[] = {"start", vm_item_name(m), NULL};
    bool goes_on = vm_item_state(m) == VM_SAVED;
    if (!vm_item_is_off(m))
        return;
    g_autoptr(VmJob) job = vm_item_run(m, goes_on ? _("Resuming") : _("Starting"), words);
    if (job)
        g_signal_connect_object(job, "notify::done", G_CALLBACK(on_started), m, 0);
}

/* What a double click or Ctrl+Enter means. */
static void open_it(VmWindow *w, VmItem *m)
{
    if (vm_item_is_off(m))
        start(w, m);
    else if (vm_item_is_live(m))
        show(w, m);
}

/* ---- while it runs ---- */

static void pause_it(VmWindow *w, VmItem *m)
{
    vm_item_send(m, "pause", NULL);
}

static void resume(VmWindow *w, VmItem *m)
{
    vm_item_send(m, "resume", NULL);
}

static void pause_or_resume(VmWindow *w, VmItem *m)
{
    if (vm_item_is_live(m))
        vm_item_send(m, vm_item_state(m) == VM_PAUSED ? "resume" : "pause", NULL);
}

static void shut_down(VmWindow *w, VmItem *m)
{
    g_autofree char *text = g_strdup_printf(_("“%s” was asked to shut down"), vm_item_title(m));
    if (!vm_item_is_live(m))
        return;
    if (vm_item_state(m) == VM_PAUSED)
        vm_item_send(m, "resume", NULL); /* it would not notice */
    vm_item_send(m, "powerbutton", NULL);
    vm_window_toast(w, text);
}

static void run(VmItem *m, const char *title, const char *verb, const char *option)
{
    const char *words[] = {verb, vm_item_name(m), option, NULL};
    g_autoptr(VmJob) job = vm_item_run(m, title, words);
}

static void save(VmWindow *w, VmItem *m)
{
    if (vm_item_is_live(m))
        run(m, _("Saving"), "save", NULL);
}

static void reset_sure(VmWindow *w, VmItem *m)
{
    vm_item_send(m, "reset", NULL);
}

static void force_off_sure(VmWindow *w, VmItem *m)
{
    run(m, _("Forcing Off"), "stop", "--force");
}

static void discard_state_sure(VmWindow *w, VmItem *m)
{
    run(m, _("Discarding"), "discard-state", NULL);
}

/* ---- what is asked first ---- */

static void reset(VmWindow *w, VmItem *m)
{
    g_autofree char *title = g_strdup_printf(_("Reset “%s”?"), vm_item_title(m));
    if (vm_item_is_live(m))
        ask_sure(w, m, title, _("As by the reset button: what the guest has not saved is lost."), _("_Reset"),
                 reset_sure);
}

static void force_off(VmWindow *w, VmItem *m)
{
    g_autofree char *title = g_strdup_printf(_("Force off “%s”?"), vm_item_title(m));
    if (!vm_item_is_off(m))
        ask_sure(w, m, title, _("As if the plug were pulled: what the guest has not saved is lost."), _("_Force Off"),
                 force_off_sure);
}

static void discard_state(VmWindow *w, VmItem *m)
{
    g_autofree char *title = g_strdup_printf(_("Discard the saved state of “%s”?"), vm_item_title(m));
    if (vm_item_state(m) == VM_SAVED)
        ask_sure(w, m, title, _("The next start boots anew; what programs in the guest had not saved is lost."),
                 _("_Discard"), discard_state_sure);
}

static void delete_it(VmWindow *w, VmItem *m)
{
    if (!vm_item_is_live(m))
        ask_delete(w, m);
}

static void rename_it(VmWindow *w, VmItem *m)
{
    if (vm_item_state(m) != VM_DAMAGED)
        ask_title(w, m);
}

static void set_group(VmWindow *w, VmItem *m)
{
    if (vm_item_state(m) != VM_DAMAGED)
        ask_group(w, m);
}

static void take_snapshot(VmWindow *w, VmItem *m)
{
    const char *words[] = {"snapshot", "take", vm_item_name(m), NULL};
    g_autoptr(VmJob) job = vm_item_run(m, _("Taking a snapshot"), words);
    g_autofree char *done = g_strdup_printf(_("A snapshot of “%s” was taken"), vm_item_title(m));
    if (job)
        work_follow(w, job, &(struct work_end){.done = done, .machine = vm_item_name(m), .teller = m});
}

/* ---- trying something ---- */

/* Of one that runs, the screen is there for whoever wants it. */
static void try_it(VmWindow *w, VmItem *m)
{
    const char *words[] = {"try", vm_item_name(m), "--headless", NULL};
    bool runs = vm_item_is_live(m);
    g_autoptr(VmJob) job = vm_item_run(m, _("Beginning to try"), words);
    if (job && !runs)
        g_signal_connect_object(job, "notify::done", G_CALLBACK(on_started), m, 0);
}

static void try_keep(VmWindow *w, VmItem *m)
{
    g_autofree char *done = g_strdup_printf(_("What came of trying “%s” was kept"), vm_item_title(m));
    const char *words[] = {"try", vm_item_name(m), "--keep", NULL};
    g_autoptr(VmJob) job = vm_item_run(m, _("Keeping"), words);
    if (job)
        work_follow(w, job, &(struct work_end){.done = done, .machine = vm_item_name(m), .teller = m});
}

static void try_undo_sure(VmWindow *w, VmItem *m)
{
    g_autofree char *done = g_strdup_printf(_("“%s” is as it was before"), vm_item_title(m));
    const char *words[] = {"try", vm_item_name(m), "--undo", NULL};
    g_autoptr(VmJob) job = vm_item_run(m, _("Undoing"), words);
    if (job)
        work_follow(w, job, &(struct work_end){.done = done, .machine = vm_item_name(m), .teller = m});
}

static void try_undo(VmWindow *w, VmItem *m)
{
    g_autofree char *title = g_strdup_printf(_("Undo what was tried with “%s”?"), vm_item_title(m));
    ask_sure(w, m, title, _("All that happened since is lost, and the machine is as it was before."), _("_Undo"),
             try_undo_sure);
}

/* ---- for which it must stand still ---- */

static bool stands(VmItem *m)
{
    if (!vm_item_is_off(m))
        vm_item_set_problem(m, _("Not while it runs: shut the machine down, or force it off, first."));
    return vm_item_is_off(m);
}

static void clone_it(VmWindow *w, VmItem *m)
{
    if (stands(m))
        clone_ask(w, m, NULL);
}

static void export_it(VmWindow *w, VmItem *m)
{
    if (stands(m))
        place_export(w, m);
}

static void move_it(VmWindow *w, VmItem *m)
{
    if (stands(m))
        place_move(w, m);
}

static void open_folder(VmWindow *w, VmItem *m)
{
    g_autofree char *folder = machines_folder(vm_item_name(m)), *uri = g_filename_to_uri(folder, NULL, NULL);
    if (uri)
        gtk_show_uri(GTK_WINDOW(w), uri, GDK_CURRENT_TIME);
}

/* ---- table ---- */

static const struct action {
    const char *name;
    machine_act act;
} actions[] = {
    {"open", open_it},
    {"start", start},
    {"show", show},
    {"serial", vm_serial_show},
    {"firmware", vm_firmware_show},
    {"memory", vm_memory_show},
    {"guest", vm_guest_show},
    {"remote", vm_remote_show},
    {"pause", pause_it},
    {"resume", resume},
    {"pause-or-resume", pause_or_resume},
    {"shut-down", shut_down},
    {"save", save},
    {"reset", reset},
    {"force-off", force_off},
    {"discard-state", discard_state},
    {"delete", delete_it},
    {"rename", rename_it},
    {"take-snapshot", take_snapshot},
    {"try", try_it},
    {"try-keep", try_keep},
    {"try-undo", try_undo},
    {"set-group", set_group},
    {"clone", clone_it},
    {"export", export_it},
    {"move", move_it},
    {"open-folder", open_folder},
};

static void on_action(GSimpleAction *a, GVariant *parameter, gpointer window)
{
    VmItem *m = vm_window_item(window, g_variant_get_string(parameter, NULL));
    const char *name = g_action_get_name(G_ACTION(a));
    for (unsigned i = 0; m && i < G_N_ELEMENTS(actions); i++)
        if (g_str_equal(actions[i].name, name))
            actions[i].act(window, m);
}

void machine_actions_add(VmWindow *w)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(actions); i++) {
        const GActionEntry entry = {actions[i].name, on_action, "s"};
        g_action_map_add_action_entries(G_ACTION_MAP(w), &entry, 1, w);
    }
}
