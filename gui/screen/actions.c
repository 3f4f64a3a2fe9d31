// SPDX-License-Identifier: GPL-2.0-or-later
/* One table: the keys, what they do, and the help that tells of them. */
#include "core-vmm/host/screenshot.h"
#include "gui/screen/screen.h"
#include <string.h>

/* ---- to the VM ---- */

static bool running(const struct screen *s)
{
    return !s->gone && strcmp(s->state, "stopped") != 0;
}

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

static void pause_or_resume(struct screen *s)
{
    link_send(s->link, strcmp(s->state, "paused") ? "pause" : "resume", NULL);
}

static void power_button(struct screen *s)
{
    link_send(s->link, "powerbutton", NULL);
}

/* ---- the window ---- */

static void fullscreen(struct screen *s)
{
    window_fullscreen(s, !s->fullscreen);
}

static void scaling(struct screen *s)
{
    s->picture.scaling = (s->picture.scaling + 1) % SCALE_COUNT;
    s->redraw = true;
    window_notice(s, "%s", s->picture.scaling == SCALE_WHOLE ? "scaled by whole numbers" : "scaled to fit");
}

static void guest_size(struct screen *s)
{
    s->user_sized = false;
    window_fit(s);
}

static char *screenshot_path(const struct screen *s)
{
    const char *folder = g_get_user_special_dir(G_USER_DIRECTORY_PICTURES);
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    g_autofree char *time = g_date_time_format(now, "%Y-%m-%d-%H%M%S");
    g_autofree char *file = g_strdup_printf("%s-%s.png", s->name, time);

    if (!folder || !g_file_test(folder, G_FILE_TEST_IS_DIR))
        folder = g_get_home_dir();
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

static void ask(struct screen *s, const char *title, const char *text, const char *const *buttons,
                void (*chosen)(void *ctx, int button))
{
    input_release_all(&s->input);
    input_capture(&s->input, false);
    overlay_show(&s->overlay, title, text, buttons, 0, chosen, s);
    window_title(s);
    s->redraw = true;
}

static void help(struct screen *s)
{
    static const char *const buttons[] = {"OK", NULL};
    g_autofree char *text = actions_help(s);

    ask(s, "What the host key does", text, buttons, NULL);
}

/* ---- closing ---- */

enum choice { KEEP_RUNNING, SHUT_DOWN, POWER_OFF, CANCEL };

static void shut_down(struct screen *s)
{
    if (!strcmp(s->state, "paused")) /* it would not notice */
        link_send(s->link, "resume", NULL);
    power_button(s);
    window_notice(s, "asked to shut down");
}

static void close_chosen(void *ctx, int button)
{
    struct screen *s = ctx;

    s->asked = false;
    s->redraw = true;
    switch ((enum choice)button) {
    case KEEP_RUNNING: s->quit = true; break;
    case SHUT_DOWN: shut_down(s); break;
    case POWER_OFF: link_send(s->link, "stop", NULL); break;
    case CANCEL: break;
    }
}

void action_close(struct screen *s)
{
    static const char *const buttons[] = {"Keep running", "Shut down", "Power off", "Cancel", NULL};
    g_autofree char *title = g_strdup_printf("%s is %s", s->name, s->state);

    s->quit = !running(s) || s->asked;
    if (s->quit)
        return;
    s->asked = true;
    ask(s, title,
        "Keep running: only this window closes.\n"
        "Shut down: the guest is asked to, as by its power button.\n"
        "Power off: as if the plug were pulled; what the guest has not saved is lost.",
        buttons, close_chosen);
}

static void ended_chosen(void *ctx, int button)
{
    struct screen *s = ctx;

    s->quit = button == 0;
    s->redraw = true;
}

void action_ended(struct screen *s, const char *why)
{
    static const char *const buttons[] = {"Close the window", "Keep the last picture", NULL};
    g_autofree char *title = g_strdup_printf("%s has stopped", s->name);

    s->asked = false;
    ask(s, title, why, buttons, ended_chosen);
}

/* ---- table ---- */

static const struct action {
    SDL_Scancode key;
    const char *help;
    void (*run)(struct screen *s);
    bool needs_vm; /* does nothing once the VM has stopped */
} actions[] = {
    {SDL_SCANCODE_F1, "this help", help, false},
    {SDL_SCANCODE_F, "full screen and back", fullscreen, false},
    {SDL_SCANCODE_C, "scale to fit, or by whole numbers", scaling, false},
    {SDL_SCANCODE_G, "window as large as the guest's screen", guest_size, false},
    {SDL_SCANCODE_S, "screenshot", screenshot, false},
    {SDL_SCANCODE_DELETE, "send Ctrl+Alt+Del", ctrl_alt_delete, true},
    {SDL_SCANCODE_BACKSPACE, "send Ctrl+Alt+Backspace", ctrl_alt_backspace, true},
    {SDL_SCANCODE_P, "pause or resume", pause_or_resume, true},
    {SDL_SCANCODE_H, "ask the guest to shut down", power_button, true},
    {SDL_SCANCODE_Q, "close the window", action_close, false},
};

void action_run(struct screen *s, SDL_Scancode key)
{
    for (size_t i = 0; i < G_N_ELEMENTS(actions); i++)
        if (actions[i].key == key && (running(s) || !actions[i].needs_vm))
            actions[i].run(s);
}

char *actions_help(const struct screen *s)
{
    const char *host = SDL_GetScancodeName(s->input.host_key);
    GString *text = g_string_new(NULL);

    g_string_append_printf(text, "%s alone: captures or releases keyboard and mouse", host);
    for (size_t i = 0; i < G_N_ELEMENTS(actions); i++)
        g_string_append_printf(text, "\n%s+%s: %s", host, SDL_GetScancodeName(actions[i].key), actions[i].help);
    return g_string_free(text, FALSE);
}
