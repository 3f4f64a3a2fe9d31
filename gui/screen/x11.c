// SPDX-License-Identifier: GPL-2.0-or-later
/* x11.c - see x11.h. */
#include "gui/screen/x11.h"
#include <SDL_syswm.h>
#include <X11/Xatom.h>
#include <X11/Xlib.h>
#include <X11/Xresource.h>
#include <X11/Xutil.h>
#include <glib.h>

#define PATIENCE_MS 500 /* until a window manager has let go of the window */
#define ATOMS_MAX   1024

/* Window managers come and go, and take windows with them that we ask about; a window that is not mapped takes no focus.  All others
 * are told, for they are somebody's mistake; but none of them is worth the window. */
static int not_fatal(Display *d, XErrorEvent *e)
{
    bool expected = e->error_code == BadWindow || e->error_code == BadMatch || e->error_code == BadDrawable;
    char text[128] = "";

    XGetErrorText(d, e->error_code, text, sizeof text);
    g_log(NULL, expected ? G_LOG_LEVEL_DEBUG : G_LOG_LEVEL_WARNING, "X error %d (%s) in request %d.%d", e->error_code,
          text, e->request_code, e->minor_code);
    return 0;
}

void x11_survive_errors(void)
{
    XSetErrorHandler(not_fatal);
}

static bool x11_window(SDL_Window *w, Display **display, Window *window)
{
    SDL_SysWMinfo info;

    SDL_VERSION(&info.version);
    if (!SDL_GetWindowWMInfo(w, &info) || info.subsystem != SDL_SYSWM_X11)
        return false;
    *display = info.info.x11.display;
    *window = info.info.x11.window;
    return true;
}

/* ---- what the window manager can do ---- */

/* A property of 32-bit values; XFree; NULL: it is not there. */
static long *property(Display *d, Window w, const char *name, Atom type, unsigned long *count)
{
    Atom actual, atom = XInternAtom(d, name, False);
    int format;
    unsigned long left;
    unsigned char *data = NULL;

    if (XGetWindowProperty(d, w, atom, 0, ATOMS_MAX, False, type, &actual, &format, count, &left, &data) != Success)
        return NULL;
    if (actual == type && format == 32 && *count)
        return (long *)(void *)data;
    if (data)
        XFree(data);
    return NULL;
}

static Window named_window(Display *d, Window w)
{
    unsigned long count;
    long *value = property(d, w, "_NET_SUPPORTING_WM_CHECK", XA_WINDOW, &count);
    Window named = value ? (Window)*value : None;

    if (value)
        XFree(value);
    return named;
}

/* The root window's properties outlive a window manager that was killed; the window that they name does not. */
static bool manager_lives(Display *d, Window root)
{
    Window named = named_window(d, root);

    return named != None && named_window(d, named) == named;
}

bool x11_knows_fullscreen(SDL_Window *w)
{
    Display *d;
    Window window, root;
    unsigned long count = 0;
    bool found = false;
    long *supported;

    if (!x11_window(w, &d, &window))
        return true;
    root = DefaultRootWindow(d);
    if (!manager_lives(d, root))
        return false;
    supported = property(d, root, "_NET_SUPPORTED", XA_ATOM, &count);
    for (unsigned long i = 0; supported && i < count; i++)
        found |= (Atom)supported[i] == XInternAtom(d, "_NET_WM_STATE_FULLSCREEN", False);
    if (supported)
        XFree(supported);
    return found;
}

/* ---- full screen without one ---- */

static bool is_in_frame(Display *d, Window w)
{
    Window root, parent, *children = NULL;
    unsigned count;

    if (!XQueryTree(d, w, &root, &parent, &children, &count))
        return false;
    if (children)
        XFree(children);
    return parent != root;
}

/* Unmapped, a window is its manager's no longer; but the manager hears of that when it gets round to it. */
static void leave_manager(Display *d, Window w)
{
    XWithdrawWindow(d, w, DefaultScreen(d));
    XSync(d, False);
    for (int ms = 0; is_in_frame(d, w) && ms < PATIENCE_MS; ms += 10)
        g_usleep(10000);
}

static void set_override(Display *d, Window w, bool on)
{
    XSetWindowAttributes attributes = {.override_redirect = on};

    XChangeWindowAttributes(d, w, CWOverrideRedirect, &attributes);
}

void x11_cover(SDL_Window *w, const SDL_Rect *box)
{
    Display *d;
    Window window;

    if (!x11_window(w, &d, &window))
        return;
    leave_manager(d, window);
    set_override(d, window, true);
    XMoveResizeWindow(d, window, box->x, box->y, box->w, box->h);
    XMapRaised(d, window);
    XSync(d, False);
    XSetInputFocus(d, window, RevertToParent, CurrentTime); /* nobody else gives it one */
    XSync(d, False);
}

void x11_uncover(SDL_Window *w, const SDL_Rect *box)
{
    Display *d;
    Window window;

    if (!x11_window(w, &d, &window))
        return;
    XUnmapWindow(d, window);
    set_override(d, window, false);
    XMoveResizeWindow(d, window, box->x, box->y, box->w, box->h);
    XMapRaised(d, window);
    XSync(d, False);
    XSetInputFocus(d, window, RevertToParent,
                   CurrentTime); /* an error, which is ignored, where a manager has not mapped it yet */
    XSync(d, False);
}

/* ---- letters ---- */

double x11_text_scale(SDL_Window *w)
{
    Display *d;
    Window window;
    const char *dpi;

    if (!x11_window(w, &d, &window))
        return 1;
    dpi = XGetDefault(d, "Xft", "dpi");
    return dpi ? CLAMP(g_ascii_strtod(dpi, NULL) / 96, 0.5, 4) : 1;
}
