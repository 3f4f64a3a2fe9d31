// SPDX-License-Identifier: GPL-2.0-or-later
/* window.c - opens the window of a machine, which is a program of its own. */
#include "core-vmm/vmctl/vmctl.h"

GPid window_open(const char *name, bool stays)
{
    g_autofree char *screen = program_find("terrarium-screen");
    g_autoptr(GError) error = NULL;
    const char *argv[] = {screen, name, NULL};
    bool display = g_getenv("DISPLAY") || g_getenv("WAYLAND_DISPLAY");
    /* One that outlives us holds neither our terminal nor the pipe that we write to. */
    unsigned how = stays ? G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL : 0;
    GPid pid = 0;
    if (!display && stays)
        note("vmctl: no window: there is no display");
    else if (!screen && (display || stays))
        note("vmctl: no window: terrarium-screen is not installed");
    else if (display && !g_spawn_async(NULL, (char **)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD | how, program_in_child,
                                       GINT_TO_POINTER(stays), &pid, &error))
        note("vmctl: no window: %s", error->message);
    return pid;
}
