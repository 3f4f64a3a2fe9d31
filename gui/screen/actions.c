// SPDX-License-Identifier: GPL-2.0-or-later
/* One table: the keys, what they do, and the help that tells of them. */
#include "../../core-vmm/screenshot.h"
#include "screen.h"
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

/* Message boxes have an event loop of their own: nothing may stay pressed or captured meanwhile. */
static void let_go(struct screen *s)
{
    input_release_all(&s->input);
    input_capture(&s->input, false);
}

static void help(struct screen *s)
{
    g_autofree char *text = actions_help(s);

    let_go(s);
    SDL_ShowSimpleMessageBox(SDL_MESSAGEBOX_INFORMATION, s->name, text, s->window);
}

/* ---- closing ---- */

enum choice { KEEP_RUNNING, SHUT_DOWN, POWER_OFF, CANCEL };

static enum choice ask(struct screen *s)
{
    static const SDL_MessageBoxButtonData buttons[] = {
        {SDL_MESSAGEBOX_BUTTON_RETURNKEY_DEFAULT, KEEP_RUNNING, "Keep running"},
        {0, SHUT_DOWN, "Shut down"},
        {0, POWER_OFF, "Power off"},
        {SDL_MESSAGEBOX_BUTTON_ESCAPEKEY_DEFAULT, CANCEL, "Cancel"},
    };
    g_autofree char *text = g_strdup_printf("%s is %s.\n\n"
                                            "Keep running: only the window closes.\n"
                                            "Shut down: the guest is asked to (ACPI power button).\n"
                                            "Power off: as if the plug were pulled.",
                                            s->name, s->state);
    SDL_MessageBoxData box = {.flags = SDL_MESSAGEBOX_INFORMATION,
                              .window = s->window,
                              .title = "Close the window",
                              .message = text,
                              .numbuttons = G_N_ELEMENTS(buttons),
                              .buttons = buttons};
    int choice;

    /* Without a box there is no answer, and the window closes without harm. */
    return SDL_ShowMessageBox(&box, &choice) == 0 ? (choice < 0 ? CANCEL : (enum choice)choice) : KEEP_RUNNING;
}

void action_close(struct screen *s)
{
    let_go(s);
    switch (running(s) ? ask(s) : KEEP_RUNNING) {
    case KEEP_RUNNING: s->quit = true; break;
    case SHUT_DOWN:
        if (!strcmp(s->state, "paused")) /* it would not notice */
            link_send(s->link, "resume", NULL);
        power_button(s);
        s->closing = true;
        window_notice(s, "asked to shut down");
        break;
    case POWER_OFF:
        link_send(s->link, "stop", NULL);
        s->closing = true;
        break;
    case CANCEL: break;
    }
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

    g_string_append_printf(text, "%s alone: captures or releases keyboard and mouse\n", host);
    for (size_t i = 0; i < G_N_ELEMENTS(actions); i++)
        g_string_append_printf(text, "%s+%s: %s\n", host, SDL_GetScancodeName(actions[i].key), actions[i].help);
    return g_string_free(text, FALSE);
}
