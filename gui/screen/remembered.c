// SPDX-License-Identifier: GPL-2.0-or-later
/* remembered.c - what the window remembers of a machine: section [window] of its machine.ini, which vmctl set and the manager may
 * change too. */
#include "core-vmm/api/config.h"
#include "core-vmm/host/machines.h"
#include "gui/screen/screen.h"

static GKeyFile *settings(const struct screen *s, const char *section, struct config *c)
{
    GKeyFile *file = machines_settings(s->name, NULL);

    *c = (struct config){file, NULL, section};
    return file;
}

enum closing remembered_closing(const struct screen *s)
{
    static const char *const words[] = {"ask", "keep", "save", "shut-down", "power-off", NULL}; /* as enum closing */
    struct config c;
    g_autoptr(GKeyFile) file = settings(s, "window", &c);
    unsigned which = CLOSING_ASK;

    if (!file || !config_choice(&c, "close", words, &which, NULL))
        return CLOSING_ASK;
    return which;
}

char *remembered_host_key(const struct screen *s)
{
    struct config c;
    g_autoptr(GKeyFile) file = settings(s, "window", &c);
    char *key = file && g_key_file_has_group(file, "window") ? config_string(&c, "host-key") : NULL;

    return key ? key : g_strdup("Right Ctrl");
}

bool remembered_bar(const struct screen *s)
{
    struct config c;
    g_autoptr(GKeyFile) file = settings(s, "window", &c);
    bool shown = true;

    return !file || !config_flag(&c, "toolbar", &shown, NULL) || shown;
}

bool remembered_sizing(const struct screen *s)
{
    static const char *const words[] = {"guest", "scale", NULL};
    struct config c;
    g_autoptr(GKeyFile) file = settings(s, "window", &c);
    unsigned which = 0;

    return !file || !config_choice(&c, "resize", words, &which, NULL) || !which;
}

/* Not what the VM process says: it may be in its guest's hands. */
char *remembered_clipboard(const struct screen *s)
{
    struct config c;
    g_autoptr(GKeyFile) file = settings(s, "additions", &c);

    return file && g_key_file_has_group(file, "additions") ? config_string(&c, "clipboard") : g_strdup("off");
}

void remember(struct screen *s, const char *key, const char *value)
{
    g_autofree char *assignment = g_strdup_printf("window.%s=%s", key, value);
    char *assignments[] = {assignment, NULL};
    enum settings_count count;
    g_autoptr(GError) error = NULL;

    if (!machines_change(s->name, assignments, NULL, &count, &error))
        window_notice(s, "not remembered: %s", error->message);
}
