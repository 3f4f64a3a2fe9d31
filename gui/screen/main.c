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

    s->picture.dimmed = true;
    window_changed(s);
    if (s->saving) /* whether that is what was wanted is known when vmctl is done */
        s->ended = g_strdup(why);
    else if (why)
        action_ended(s, why);
    else
        s->quit = true;
}

/* One that is paused takes no keys, and looks so. */
static void follow_pause(struct screen *s)
{
    bool paused = !strcmp(s->state, "paused");

    input_pause(&s->input, paused);
    s->picture.dimmed = paused && !s->saving;
    window_changed(s);
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
    static const char why[] = "The VM's process ended unexpectedly. Its log says more: vmctl logs";
    bool told = !strcmp(s->state, "stopped");

    s->gone = true;
    if (told)
        return;
    g_free(s->state);
    s->state = g_strdup("stopped");
    s->picture.dimmed = true;
    if (s->saving)
        s->ended = g_strdup(why);
    else
        action_ended(s, why);
}

static void on_mode(struct screen *s, struct link_news *n)
{
    bool shown = picture_replace(&s->picture, n);

    window_arrange(s);
    if (!shown)
        window_notice(s, "the picture cannot be shown: the VM sent none that may be used");
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
    s->sizing.possible = n->sets_size;
    input_absolute(&s->input, n->absolute);
    if (input_leds(&s->input, n->leds) && has_focus(s))
        input_sync_locks(&s->input);
}

static void on_damage(struct screen *s, const struct link_news *n)
{
    SDL_Rect box = picture_damaged(&s->picture, n);

    if (!SDL_RectEmpty(&box))
        canvas_dirty(&s->canvas, &box);
}

static void on_news(struct screen *s)
{
    struct link_news n;

    link_take(s->link, &n);
    if (n.mode)
        on_mode(s, &n);
    if (n.damage)
        on_damage(s, &n);
    if (n.cursor_changed)
        on_cursor(s, &n.cursor);
    if (n.input_changed)
        on_input(s, &n);
    if (n.clipboard)
        clipboard_from_guest(&s->clipboard, n.clipboard);
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

static void give_clipboard(struct screen *s)
{
    size_t bytes;

    if (!clipboard_to_guest(&s->clipboard, &bytes))
        window_notice(s, "the clipboard is too long for the guest: %zu KiB", bytes >> 10);
}

static void leave_bar(struct screen *s)
{
    if (bar_leave(&s->bar))
        window_changed(s);
}

static void on_window(struct screen *s, const SDL_WindowEvent *e)
{
    switch (e->event) {
    case SDL_WINDOWEVENT_FOCUS_GAINED:
        input_sync_locks(&s->input);
        give_clipboard(s);
        break;
    case SDL_WINDOWEVENT_FOCUS_LOST:
        clipboard_ask_guest(&s->clipboard);
        input_release_all(&s->input);
        input_capture(&s->input, false);
        leave_bar(s);
        window_title(s);
        break;
    case SDL_WINDOWEVENT_SIZE_CHANGED:
    case SDL_WINDOWEVENT_DISPLAY_CHANGED: window_arrange(s); break;
    case SDL_WINDOWEVENT_EXPOSED: window_changed(s); break;
    case SDL_WINDOWEVENT_RESIZED:
        s->user_sized |= !s->fullscreen;
        sizing_changed(s);
        break;
    case SDL_WINDOWEVENT_LEAVE:
        input_leave(&s->input);
        leave_bar(s);
        if (has_focus(s)) /* some displays take a clipboard from no window without the focus */
            clipboard_ask_guest(&s->clipboard);
        break;
    case SDL_WINDOWEVENT_CLOSE: action_close(s); break;
    default: break;
    }
}

static void on_key(struct screen *s, const SDL_KeyboardEvent *e)
{
    bool captured = s->input.captured;
    SDL_Scancode action = input_key(&s->input, e);

    if (action != SDL_SCANCODE_UNKNOWN)
        action_run(s, action);
    if (captured != s->input.captured) {
        leave_bar(s);
        window_title(s);
    }
}

static void on_button(struct screen *s, const SDL_MouseButtonEvent *e)
{
    input_button(&s->input, e);
    if (e->type != SDL_MOUSEBUTTONDOWN)
        return;
    leave_bar(s);
    window_title(s);
}

/* What was pressed over the picture is the guest's until it is released, wherever the pointer goes. */
static bool is_guests_drag(const struct screen *s, const SDL_Event *e)
{
    return s->input.buttons && s->bar.open < 0 &&
           (e->type == SDL_MOUSEMOTION || e->type == SDL_MOUSEBUTTONDOWN || e->type == SDL_MOUSEBUTTONUP);
}

/* What is over the picture sees an event first. */
static bool is_for_us(struct screen *s, const SDL_Event *e)
{
    bool changed = false, ours, closed = s->bar.open < 0;

    if (overlay_event(&s->overlay, e, s->point)) {
        window_changed(s);
        return true;
    }
    if (s->input.captured && !s->input.absolute && s->bar.open < 0) /* there is no pointer that could be at the bar */
        return false;
    if (is_guests_drag(s, e))
        return false;
    ours = bar_event(&s->bar, e, s->point, &changed);
    if (closed && s->bar.open >= 0) /* from now on it gets the releases too */
        input_release_all(&s->input);
    if (ours && e->type == SDL_MOUSEMOTION)
        input_leave(&s->input);
    if (changed)
        window_changed(s);
    return ours;
}

static void on_drop(struct screen *s, SDL_DropEvent *e)
{
    if (e->type == SDL_DROPFILE && e->file)
        menus_dropped(s, e->file);
    SDL_free(e->file);
}

static void on_event(struct screen *s, SDL_Event *e)
{
    if (e->type == link_event(s->link)) {
        on_news(s);
        return;
    }
    if (job_finish(&s->jobs, e) || is_for_us(s, e))
        return;
    switch (e->type) {
    case SDL_WINDOWEVENT: on_window(s, &e->window); break;
    case SDL_KEYDOWN:
    case SDL_KEYUP: on_key(s, &e->key); break;
    case SDL_MOUSEMOTION: input_motion(&s->input, &e->motion, &s->picture.place, window_density(s)); break;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP: on_button(s, &e->button); break;
    case SDL_MOUSEWHEEL: input_wheel(&s->input, &e->wheel); break;
    case SDL_CLIPBOARDUPDATE:
        clipboard_changed(&s->clipboard);
        if (has_focus(s))
            give_clipboard(s);
        break;
    case SDL_DROPFILE:
    case SDL_DROPTEXT: on_drop(s, &e->drop); break;
    default: break;
    }
}

static int sooner(int a, int b)
{
    return a < 0 ? b : b < 0 ? a : MIN(a, b);
}

/* Until a notice has been there for long enough, the bar comes, or the guest is asked for a size; -1: for ever. */
static int patience(const struct screen *s)
{
    int notice = -1;

    if (s->notice && s->notice_until)
        notice = MAX((int)(s->notice_until - SDL_GetTicks()), 0);
    return sooner(sooner(bar_wait(&s->bar), notice), sizing_wait(s));
}

static bool wait_event(struct screen *s, SDL_Event *e)
{
    int ms = patience(s);

    if (ms < 0)
        return SDL_WaitEvent(e);
    if (ms > 0)
        return SDL_WaitEventTimeout(e, ms);
    if (s->notice && s->notice_until && (int)(s->notice_until - SDL_GetTicks()) <= 0)
        window_notice_over(s);
    sizing_tick(s);
    if (bar_tick(&s->bar)) {
        input_leave(&s->input);
        window_changed(s);
    }
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
        window_draw(s);
    }
}

/* ---- start ---- */

static int fail(int code, const char *message)
{
    g_autofree char *safe = terminal_text(message, strlen(message));

    fprintf(stderr, "terrarium-screen: %s\n", safe);
    return code;
}

/* The option has to be right; what is remembered wrongly must not keep the window shut. */
static bool pick_host_key(struct screen *s, const char *option, char **unknown)
{
    g_autofree char *key = option ? g_strdup(option) : remembered_host_key(s);

    s->input.host_key = SDL_GetScancodeFromName(key);
    if (s->input.host_key != SDL_SCANCODE_UNKNOWN)
        return true;
    s->input.host_key = SDL_SCANCODE_RCTRL;
    *unknown = g_steal_pointer(&key);
    return !option;
}

static int open_and_run(struct screen *s, const struct options *o)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *problem = NULL, *clipboard = NULL, *unknown = NULL;

    s->name = o->name;
    clipboard = remembered_clipboard(s);
    if (!pick_host_key(s, o->host_key, &unknown))
        return fail(EXIT_CODE_USAGE,
                    "there is no such key for --host-key; names are as in \"Right Ctrl\", \"F12\", \"Menu\"");
    s->link = link_open(s->name, &s->engine, &s->state, &error);
    if (!s->link)
        return fail(g_error_matches(error, CONTROL_ERROR, CONTROL_NOT_FOUND) ? EXIT_CODE_NOT_FOUND : EXIT_CODE_FAILED,
                    error->message);
    s->input.link = s->link;
    clipboard_share_init(&s->clipboard, s->link, clipboard);
    s->zoom = 1;
    bar_init(&s->bar, screen_menus, s);
    s->bar.wanted = remembered_bar(s);
    if (!window_open(s, o->fullscreen, &problem)) {
        link_close(s->link);
        return fail(EXIT_CODE_HOST, problem);
    }
    follow_pause(s);
    if (unknown)
        window_notice(s, "the host key is Right Ctrl: there is no \"%s\", which window.host-key names", unknown);
    run(s);
    input_release_all(&s->input);
    menus_clear(s);
    clipboard_share_clear(&s->clipboard);
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
    if (!g_strcmp0(SDL_GetCurrentVideoDriver(),
                   "x11")) /* it takes parts of a window as they are; others need textures */
        SDL_SetHint(SDL_HINT_FRAMEBUFFER_ACCELERATION, "0");
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
    g_free(s.ended);
    g_free(o.host_key);
    return code;
}
