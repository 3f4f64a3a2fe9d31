// SPDX-License-Identifier: GPL-2.0-or-later
/* actions.c - one table: what one can do, its key, its place in the menus, and the help that tells of the keys. */
#include "core-vmm/host/screenshot.h"
#include "gui/screen/screen.h"
#include <string.h>

bool actions_possible(const struct screen *s)
{
    return !s->gone && strcmp(s->state, "stopped") != 0;
}

void action_ask(struct screen *s, const char *title, const char *text, const char *const *buttons,
                void (*chosen)(void *ctx, int button))
{
    input_release_all(&s->input);
    input_capture(&s->input, false);
    bar_close(&s->bar);
    overlay_show(&s->overlay, title, text, buttons, 0, chosen, s);
    window_arrange(s);
    window_title(s);
}

void action_job(struct screen *s, const char *busy, const char *const *words, job_done done)
{
    window_busy(s, busy);
    job_start(&s->jobs, words, done, s);
}

static void redraw(void *ctx, int button)
{
    window_changed(ctx);
}

/* ---- to the VM ---- */

static void send_keys(struct screen *s, const char *keys)
{
    JsonObject *args = json_object_new();

    json_object_set_string_member(args, "keys", keys);
    link_send(s->link, "input.keys", args);
}

static void ctrl_alt_delete(struct screen *s)
{
    send_keys(s, "ctrl+alt+delete");
}

static void ctrl_alt_backspace(struct screen *s)
{
    send_keys(s, "ctrl+alt+backspace");
}

static bool paused(const struct screen *s)
{
    return !strcmp(s->state, "paused");
}

static void pause_or_resume(struct screen *s)
{
    link_send(s->link, paused(s) ? "resume" : "pause", NULL);
}

static void snapshot_taken(void *ctx, const char *output, const char *problem)
{
    window_notice(ctx, "%s%s", problem ? "no snapshot: " : "snapshot taken", problem ? problem : "");
}

static void snapshot(struct screen *s)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    g_autofree char *name = g_date_time_format(now, "%Y-%m-%d %H:%M:%S");
    const char *words[] = {"snapshot", "--quiet", "--", "take", s->name, name, NULL};

    action_job(s, "taking a snapshot", words, snapshot_taken);
}

static void reset_chosen(void *ctx, int button)
{
    struct screen *s = ctx;

    window_changed(s);
    if (button == 0)
        link_send(s->link, "reset", NULL);
}

static void reset(struct screen *s)
{
    static const char *const buttons[] = {"Reset", "Cancel", NULL};
    g_autofree char *title = g_strdup_printf("Reset %s?", s->name);

    action_ask(s, title, "As by the button at the case: what the guest has not saved is lost.", buttons, reset_chosen);
    s->overlay.selected = 1;
}

/* ---- the window ---- */

static void fullscreen(struct screen *s)
{
    window_fullscreen(s, !s->fullscreen);
    if (!s->fullscreen)
        window_notice_over(s);
    else
        window_notice(s, "%s+F leaves full screen, %s alone releases keyboard and mouse",
                      SDL_GetScancodeName(s->input.host_key), SDL_GetScancodeName(s->input.host_key));
}

static bool is_fullscreen(const struct screen *s)
{
    return s->fullscreen;
}

static void scaling(struct screen *s)
{
    s->picture.scaling = (s->picture.scaling + 1) % SCALE_COUNT;
    window_arrange(s);
    window_notice(s, "%s", s->picture.scaling == SCALE_WHOLE ? "scaled by whole numbers" : "scaled to fit");
}

static bool is_whole(const struct screen *s)
{
    return s->picture.scaling == SCALE_WHOLE;
}

static void size_to(struct screen *s, double zoom)
{
    s->zoom = zoom;
    s->user_sized = false;
    window_fit(s);
}

static void guest_size(struct screen *s)
{
    size_to(s, 1);
}

static void half_as_large_again(struct screen *s)
{
    size_to(s, 1.5);
}

static void twice(struct screen *s)
{
    size_to(s, 2);
}

static void bar(struct screen *s)
{
    s->bar.wanted = !s->bar.wanted;
    remember(s, "toolbar", s->bar.wanted ? "on" : "off");
    bar_close(&s->bar);
    window_arrange(s);
    if (!s->user_sized)
        window_fit(s);
    if (!s->bar.wanted)
        window_notice(s, "the toolbar comes when the pointer rests at the upper edge, or by %s+M",
                      SDL_GetScancodeName(s->input.host_key));
}

static bool has_bar(const struct screen *s)
{
    return s->bar.wanted;
}

static void menu(struct screen *s)
{
    input_release_all(&s->input);
    input_capture(&s->input, false);
    bar_open(&s->bar, 0, true);
    window_title(s);
}

/* The user's folder for pictures: as the environment has it, as the desktop's settings do, or the home folder. */
static char *pictures_folder(void)
{
    const char *folder = g_getenv("XDG_PICTURES_DIR");

    if (!folder || !g_path_is_absolute(folder))
        folder = g_get_user_special_dir(G_USER_DIRECTORY_PICTURES);
    if (folder && g_mkdir_with_parents(folder, 0755) == 0)
        return g_strdup(folder);
    return g_strdup(g_get_home_dir());
}

static char *screenshot_path(const struct screen *s)
{
    g_autofree char *folder = pictures_folder();
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    g_autofree char *time = g_date_time_format(now, "%Y-%m-%d-%H%M%S");
    g_autofree char *file = g_strdup_printf("%s-%s.png", s->name, time);

    return g_build_filename(folder, file, NULL);
}

static void screenshot(struct screen *s)
{
    const struct picture *p = &s->picture;
    g_autofree char *path = screenshot_path(s);
    g_autoptr(GError) error = NULL;

    if (!p->pixels)
        window_notice(s, "there is no picture yet");
    else if (screenshot_write(path, p->pixels, p->width, p->height, p->stride, &error))
        window_notice(s, "saved %s", path);
    else
        window_notice(s, "%s", error->message);
}

static void capture(struct screen *s)
{
    input_release_all(&s->input);
    input_capture(&s->input, !s->input.captured);
    window_title(s);
}

static bool is_captured(const struct screen *s)
{
    return s->input.captured;
}

void action_close(struct screen *s)
{
    closing_begin(s);
}

static void ask_before_closing(struct screen *s)
{
    remember(s, "close", "ask");
    window_notice(s, "closing the window asks again");
}

static bool asks_before_closing(const struct screen *s)
{
    return remembered_closing(s) == CLOSING_ASK;
}

static void ended_chosen(void *ctx, int button)
{
    struct screen *s = ctx;

    s->quit = button == 0;
    window_changed(s);
}

void action_ended(struct screen *s, const char *why)
{
    static const char *const buttons[] = {"Close the window", "Keep the last picture", NULL};
    g_autofree char *title = g_strdup_printf("%s has stopped", s->name);

    s->asked = false;
    action_ask(s, title, why, buttons, ended_chosen);
}

/* ---- table ---- */

static void help(struct screen *s);

static const struct action {
    SDL_Scancode key; /* SDL_SCANCODE_UNKNOWN: none */
    enum action_menu menu;
    const char *label;
    void (*run)(struct screen *s);
    bool (*checked)(const struct screen *s); /* NULL: it is not a state */
    bool needs_vm;                           /* not once the VM has stopped */
    bool line;                               /* one above it in the menu */
} actions[] = {
    {SDL_SCANCODE_P, ACTIONS_MACHINE, "Pause", pause_or_resume, paused, true},
    {SDL_SCANCODE_T, ACTIONS_MACHINE, "Take a snapshot", snapshot, NULL, true},
    {SDL_SCANCODE_S, ACTIONS_MACHINE, "Screenshot", screenshot},
    {SDL_SCANCODE_H, ACTIONS_MACHINE, "Shut down", closing_shut_down, NULL, true, .line = true},
    {SDL_SCANCODE_UNKNOWN, ACTIONS_MACHINE, "Save and close", closing_save, NULL, true},
    {SDL_SCANCODE_UNKNOWN, ACTIONS_MACHINE, "Reset...", reset, NULL, true},
    {SDL_SCANCODE_UNKNOWN, ACTIONS_MACHINE, "Power off...", closing_power_off, NULL, true},
    {SDL_SCANCODE_UNKNOWN, ACTIONS_MACHINE, "Ask before closing", ask_before_closing, asks_before_closing,
     .line = true},
    {SDL_SCANCODE_Q, ACTIONS_MACHINE, "Close the window", action_close},
    {SDL_SCANCODE_DELETE, ACTIONS_KEYS, "Ctrl+Alt+Del", ctrl_alt_delete, NULL, true},
    {SDL_SCANCODE_BACKSPACE, ACTIONS_KEYS, "Ctrl+Alt+Backspace", ctrl_alt_backspace, NULL, true},
    {SDL_SCANCODE_F, ACTIONS_VIEW, "Full screen", fullscreen, is_fullscreen},
    {SDL_SCANCODE_C, ACTIONS_VIEW, "Scale by whole numbers, square dots", scaling, is_whole},
    {SDL_SCANCODE_G, ACTIONS_VIEW, "Window as large as the guest's screen", guest_size, .line = true},
    {SDL_SCANCODE_UNKNOWN, ACTIONS_VIEW, "1.5 times as large", half_as_large_again},
    {SDL_SCANCODE_UNKNOWN, ACTIONS_VIEW, "Twice as large", twice},
    {SDL_SCANCODE_UNKNOWN, ACTIONS_VIEW, "Capture keyboard and mouse", capture, is_captured, true, true},
    {SDL_SCANCODE_B, ACTIONS_VIEW, "Toolbar", bar, has_bar},
    {SDL_SCANCODE_M, ACTIONS_NOT_IN_A_MENU, "The menus, by keys", menu},
    {SDL_SCANCODE_F1, ACTIONS_VIEW, "Help", help, .line = true},
};

static char *actions_help(const struct screen *s)
{
    const char *host = SDL_GetScancodeName(s->input.host_key);
    GString *text = g_string_new(NULL);

    g_string_append_printf(
        text, "%s alone: captures or releases keyboard and mouse\nLeft Ctrl+Alt alone: releases them too", host);
    for (size_t i = 0; i < G_N_ELEMENTS(actions); i++)
        if (actions[i].key != SDL_SCANCODE_UNKNOWN)
            g_string_append_printf(text, "\n%s+%s: %s", host, SDL_GetScancodeName(actions[i].key), actions[i].label);
    return g_string_free(text, FALSE);
}

static void help(struct screen *s)
{
    static const char *const buttons[] = {"OK", NULL};
    g_autofree char *text = actions_help(s);

    action_ask(s, "What the host key does", text, buttons, redraw);
}

void action_run(struct screen *s, SDL_Scancode key)
{
    for (size_t i = 0; i < G_N_ELEMENTS(actions); i++)
        if (actions[i].key == key && (actions_possible(s) || !actions[i].needs_vm))
            actions[i].run(s);
}

static void chosen(void *ctx, const char *number)
{
    actions[g_ascii_strtoull(number, NULL, 10)].run(ctx);
}

void actions_fill(struct screen *s, struct menu *m, enum action_menu which)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(actions); i++) {
        const struct action *a = &actions[i];
        g_autofree char *number = g_strdup_printf("%u", i), *keys = NULL;
        if (a->menu != which)
            continue;
        if (a->line)
            menu_add_line(m);
        if (a->key != SDL_SCANCODE_UNKNOWN)
            keys = g_strdup_printf("%s+%s", SDL_GetScancodeName(s->input.host_key), SDL_GetScancodeName(a->key));
        menu_add(m, a->label, keys, a->checked && a->checked(s), actions_possible(s) || !a->needs_vm ? chosen : NULL,
                 number);
    }
}
