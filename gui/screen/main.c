// SPDX-License-Identifier: GPL-2.0-or-later
/* terrarium-screen - the window of one running VM.  A client of its control socket: closing the window, or killing this
 * process, leaves the VM running. */
#include "core-vmm/control/client.h"
#include "core-vmm/exit/exit_codes.h"
#include "core-vmm/host/terminal.h"
#include "gui/screen/screen.h"
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct options {
    const char *name;
    gboolean fullscreen, version;
    char *host_key;
};

/* ---- news from the VM ---- */

/* NULL: it was switched off, which needs no explanation. */
static const char *end_sentence(const char *end, const char *message)
{
    if (message)
        return message;
    if (!g_strcmp0(end, "reset"))
        return "The guest was reset, and this machine is set to stop then.";
    return g_strcmp0(end, "failed") ? NULL : "The engine failed.";
}

static void on_end(struct screen *s, const char *end, const char *message)
{
    const char *why = end_sentence(end, message);

    s->picture.dimmed = s->redraw = true;
    if (why)
        action_ended(s, why);
    else
        s->quit = true;
}

/* One that is paused takes no keys, and looks so. */
static void follow_pause(struct screen *s)
{
    bool paused = !strcmp(s->state, "paused");

    input_pause(&s->input, paused);
    s->picture.dimmed = paused;
    s->redraw = true;
}

static void on_state(struct screen *s, struct link_news *n)
{
    g_free(s->state);
    s->state = g_strdup(n->state);
    follow_pause(s);
    if (!strcmp(s->state, "stopped"))
        on_end(s, n->end, n->message);
}

/* Without a word about the state before: it crashed or was killed. */
static void on_gone(struct screen *s)
{
    bool told = !strcmp(s->state, "stopped");

    s->gone = true;
    if (told)
        return;
    g_free(s->state);
    s->state = g_strdup("stopped");
    s->picture.dimmed = true;
    action_ended(s, "The VM's process ended unexpectedly. Its log says more: vmctl logs");
}

static void on_mode(struct screen *s, struct link_news *n)
{
    if (!picture_replace(&s->picture, s->renderer, n))
        window_notice(s, "the picture cannot be shown: %s", SDL_GetError());
    else if (!s->user_sized)
        window_fit(s);
}

static void on_cursor(struct screen *s, const struct link_cursor *c)
{
    static const int side_max = 256;
    size_t bytes = (size_t)c->width * c->height * 4;
    g_autofree uint32_t *argb = NULL;
    SDL_Surface *image;
    SDL_Cursor *old = SDL_GetCursor(), *fresh = NULL;

    if (c->visible && c->width > 0 && c->width <= side_max && c->height > 0 && c->height <= side_max)
        argb = g_malloc(bytes);
    if (argb && pread(c->fd, argb, bytes, 0) == (ssize_t)bytes) {
        image =
            SDL_CreateRGBSurfaceWithFormatFrom(argb, c->width, c->height, 32, c->width * 4, SDL_PIXELFORMAT_ARGB8888);
        fresh = image ? SDL_CreateColorCursor(image, c->hot_x, c->hot_y) : NULL;
        SDL_FreeSurface(image);
    }
    s->input.shape = fresh != NULL;
    SDL_SetCursor(fresh ? fresh : SDL_GetDefaultCursor());
    if (old && old != SDL_GetDefaultCursor())
        SDL_FreeCursor(old);
}

static bool has_focus(const struct screen *s)
{
    return SDL_GetWindowFlags(s->window) & SDL_WINDOW_INPUT_FOCUS;
}

static void on_input(struct screen *s, const struct link_news *n)
{
    input_absolute(&s->input, n->absolute);
    if (input_leds(&s->input, n->leds) && has_focus(s))
        input_sync_locks(&s->input);
}

static void on_news(struct screen *s)
{
    struct link_news n;

    link_take(s->link, &n);
    if (n.mode)
        on_mode(s, &n);
    if (n.damage)
        picture_update(&s->picture, &n);
    if (n.cursor_changed)
        on_cursor(s, &n.cursor);
    if (n.input_changed)
        on_input(s, &n);
    s->redraw |= n.mode || n.damage;
    if (n.complaint)
        window_notice(s, "%s", n.complaint);
    if (n.state)
        on_state(s, &n);
    if (n.closed)
        on_gone(s);
    if (n.state || n.closed || n.input_changed)
        window_title(s);
    link_news_clear(&n);
}

/* ---- events of the window ---- */

static void on_window(struct screen *s, const SDL_WindowEvent *e)
{
    switch (e->event) {
    case SDL_WINDOWEVENT_FOCUS_GAINED: input_sync_locks(&s->input); break;
    case SDL_WINDOWEVENT_FOCUS_LOST:
        input_release_all(&s->input);
        input_capture(&s->input, false);
        window_title(s);
        break;
    case SDL_WINDOWEVENT_SIZE_CHANGED:
    case SDL_WINDOWEVENT_DISPLAY_CHANGED: overlay_stale(&s->overlay); break;
    case SDL_WINDOWEVENT_RESIZED: s->user_sized |= !s->fullscreen; break;
    case SDL_WINDOWEVENT_CLOSE: action_close(s); break;
    default: break;
    }
    s->redraw = true;
}

static void on_key(struct screen *s, const SDL_KeyboardEvent *e)
{
    bool captured = s->input.captured;
    SDL_Scancode action = input_key(&s->input, e);

    if (action != SDL_SCANCODE_UNKNOWN)
        action_run(s, action);
    if (captured != s->input.captured)
        window_title(s);
}

static void on_button(struct screen *s, const SDL_MouseButtonEvent *e)
{
    input_button(&s->input, e);
    if (e->type == SDL_MOUSEBUTTONDOWN)
        window_title(s);
}

static void on_event(struct screen *s, const SDL_Event *e)
{
    if (e->type == link_event(s->link)) {
        on_news(s);
        return;
    }
    if (overlay_event(&s->overlay, e, window_density(s))) {
        s->redraw = true;
        return;
    }
    switch (e->type) {
    case SDL_WINDOWEVENT: on_window(s, &e->window); break;
    case SDL_KEYDOWN:
    case SDL_KEYUP: on_key(s, &e->key); break;
    case SDL_MOUSEMOTION: input_motion(&s->input, &e->motion, &s->picture.place, window_density(s)); break;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP: on_button(s, &e->button); break;
    case SDL_MOUSEWHEEL: input_wheel(&s->input, &e->wheel); break;
    case SDL_RENDER_TARGETS_RESET:
    case SDL_RENDER_DEVICE_RESET:
        picture_restore(&s->picture, s->renderer);
        overlay_stale(&s->overlay);
        s->redraw = true;
        break;
    default: break;
    }
}

static bool wait_event(struct screen *s, SDL_Event *e)
{
    int left = s->notice ? (int)(s->notice_until - SDL_GetTicks()) : -1;

    if (!s->notice)
        return SDL_WaitEvent(e);
    if (left > 0)
        return SDL_WaitEventTimeout(e, left);
    g_clear_pointer(&s->notice, g_free);
    window_title(s);
    return false;
}

static void run(struct screen *s)
{
    SDL_Event e;

    while (!s->quit) {
        bool some = wait_event(s, &e);
        for (; some; some = SDL_PollEvent(&e))
            on_event(s, &e);
        input_flush(&s->input);
        if (s->redraw)
            window_draw(s);
        s->redraw = false;
    }
}

/* ---- start ---- */

static int fail(int code, const char *message)
{
    g_autofree char *safe = terminal_text(message, strlen(message));

    fprintf(stderr, "terrarium-screen: %s\n", safe);
    return code;
}

static int open_and_run(struct screen *s, const struct options *o)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *problem = NULL;

    s->name = o->name;
    s->input.host_key = o->host_key ? SDL_GetScancodeFromName(o->host_key) : SDL_SCANCODE_RCTRL;
    if (s->input.host_key == SDL_SCANCODE_UNKNOWN)
        return fail(EXIT_CODE_USAGE,
                    "there is no such key for --host-key; names are as in \"Right Ctrl\", \"F12\", \"Menu\"");
    s->link = link_open(s->name, &s->engine, &s->state, &error);
    if (!s->link)
        return fail(g_error_matches(error, CONTROL_ERROR, CONTROL_NOT_FOUND) ? EXIT_CODE_NOT_FOUND : EXIT_CODE_FAILED,
                    error->message);
    s->input.link = s->link;
    if (!window_open(s, o->fullscreen, &problem)) {
        link_close(s->link);
        return fail(EXIT_CODE_HOST, problem);
    }
    follow_pause(s);
    run(s);
    input_release_all(&s->input);
    window_close(s);
    link_close(s->link);
    return EXIT_CODE_OK;
}

static bool parse(struct options *o, int *argc, char ***argv, GError **error)
{
    const GOptionEntry entries[] = {
        {"fullscreen", 'f', 0, G_OPTION_ARG_NONE, &o->fullscreen, "Start in full screen", NULL},
        {"host-key", 'k', 0, G_OPTION_ARG_STRING, &o->host_key, "The key that is never the guest's (\"Right Ctrl\")",
         "KEY"},
        {"version", 0, 0, G_OPTION_ARG_NONE, &o->version, "Show the version", NULL},
        {NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new("NAME - the window of a running machine");

    g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_set_description(context, "Host key + F1 in the window tells what else the host key does.\n");
    if (!g_option_context_parse(context, argc, argv, error))
        return false;
    if (!o->version && *argc != 2) {
        g_set_error_literal(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, "one machine's NAME is needed; see --help");
        return false;
    }
    o->name = (*argv)[1];
    return true;
}

static bool start_sdl(void)
{
    SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1"); /* Ctrl+C in the terminal ends the window, not the VM */
    SDL_SetHint(SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0");
    SDL_SetHint(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1");
    SDL_SetHint("SDL_APP_NAME", "Terrarium");
    g_setenv("SDL_VIDEO_X11_WMCLASS", "terrarium-screen", FALSE);
    g_setenv("SDL_VIDEO_WAYLAND_WMCLASS", "terrarium-screen", FALSE);
    if (SDL_Init(SDL_INIT_VIDEO) != 0)
        return false;
    SDL_StopTextInput(); /* keys are places here, not letters: no input method in between */
    return true;
}

int main(int argc, char **argv)
{
    struct options o = {0};
    struct screen s = {0};
    g_autoptr(GError) error = NULL;
    int code;

    setlocale(LC_ALL, "");
    if (!parse(&o, &argc, &argv, &error))
        return fail(EXIT_CODE_USAGE, error->message);
    if (o.version) {
        puts("terrarium-screen " TERRARIUM_VERSION);
        return EXIT_CODE_OK;
    }
    if (!start_sdl())
        return fail(EXIT_CODE_HOST, SDL_GetError());
    code = open_and_run(&s, &o);
    SDL_Quit();
    g_free(s.engine);
    g_free(s.state);
    g_free(s.notice);
    g_free(o.host_key);
    return code;
}
