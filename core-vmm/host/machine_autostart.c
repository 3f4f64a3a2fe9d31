// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_autostart.c - see machine_autostart.h; systemd.unit(5), systemd.service(5), systemd.syntax(7).
 *
 * The unit starts the machine as its user would, and when the session or the host goes down it saves it: a guest that nobody looks at
 * has nobody to shut it down.  What enables a unit is a link that we make ourselves, so that both happen or neither. */
#include "core-vmm/host/machine_autostart.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/paths.h"
#include <errno.h>
#include <gio/gio.h>
#include <string.h>
#include <unistd.h>

#define SAVE_SECONDS "300" /* a big machine on a slow disk */

static char *units_folder(void)
{
    return g_build_filename(g_get_user_config_dir(), "systemd", "user", NULL);
}

/* As systemd-escape(1) does. */
static char *unit_name(const char *machine)
{
    GString *s = g_string_new("terrarium-");
    for (const char *p = machine; *p; p++)
        if (g_ascii_isalnum(*p) || strchr("_.", *p))
            g_string_append_c(s, *p);
        else
            g_string_append_printf(s, "\\x%02x", (unsigned char)*p);
    g_string_append(s, ".service");
    return g_string_free(s, FALSE);
}

char *machine_autostart_unit(const char *name)
{
    g_autofree char *folder = units_folder(), *unit = unit_name(name);
    return g_build_filename(folder, unit, NULL);
}

static char *link_of(const char *name)
{
    g_autofree char *folder = units_folder(), *unit = unit_name(name);
    return g_build_filename(folder, "default.target.wants", unit, NULL);
}

bool machine_autostart_get(const char *name)
{
    g_autofree char *link = link_of(name);
    return g_file_test(link, G_FILE_TEST_IS_SYMLINK);
}

/* A word of a command line or of Environment=. */
static char *quoted(const char *text)
{
    GString *s = g_string_new("\"");
    for (const char *p = text; *p; p++) {
        if (strchr("\"\\%$", *p))
            g_string_append_c(s, *p == '%' || *p == '$' ? *p : '\\');
        g_string_append_c(s, *p);
    }
    g_string_append_c(s, '"');
    return g_string_free(s, FALSE);
}

/* Whose machines are not where they usually are. */
static void add_environment(GString *s)
{
    const char *data = g_getenv("XDG_DATA_HOME");
    g_autofree char *word = data && *data ? g_strconcat("XDG_DATA_HOME=", data, NULL) : NULL;
    g_autofree char *escaped = word ? quoted(word) : NULL;
    if (escaped && !strstr(escaped, "$$"))
        g_string_append_printf(s, "Environment=%s\n", escaped);
}

static char *unit_text(const char *name, const char *vmctl)
{
    GString *s = g_string_new("# Written by vmctl autostart, which removes it again.\n[Unit]\n");
    g_autofree char *program = quoted(vmctl), *machine = quoted(name);
    g_string_append_printf(s, "Description=Virtual machine %s\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\n", name);
    add_environment(s);
    g_string_append_printf(s, "ExecStart=%s start %s\n", program, machine);
    g_string_append_printf(s, "ExecStop=-%s save %s\n", program, machine);
    g_string_append_printf(s, "TimeoutStopSec=%s\n\n[Install]\nWantedBy=default.target\n", SAVE_SECONDS);
    return g_string_free(s, FALSE);
}

static bool systemd_is_here(void)
{
    g_autofree char *own = g_build_filename(g_get_user_runtime_dir(), "systemd", NULL);
    return g_file_test("/run/systemd/system", G_FILE_TEST_IS_DIR) || g_file_test(own, G_FILE_TEST_IS_DIR);
}

static bool tell_systemd(void)
{
    const char *const argv[] = {"systemctl", "--user", "daemon-reload", NULL};
    int status = -1;
    GSpawnFlags how = G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL;
    return g_spawn_sync(NULL, (char **)argv, NULL, how, NULL, NULL, NULL, NULL, &status, NULL) && status == 0;
}

static bool make_link(const char *name, GError **error)
{
    g_autofree char *link = link_of(name), *folder = g_path_get_dirname(link), *unit = unit_name(name);
    g_autofree char *target = g_build_filename("..", unit, NULL);
    if (g_mkdir_with_parents(folder, 0700))
        return path_failed(folder, error);
    return !symlink(target, link) || errno == EEXIST || path_failed(link, error);
}

static bool write_unit(const char *name, GError **error)
{
    g_autofree char *unit = machine_autostart_unit(name), *folder = g_path_get_dirname(unit),
                    *vmctl = program_find("vmctl");
    if (!vmctl) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_NO_PROGRAM,
                    "vmctl was found neither beside this program nor in PATH");
        return false;
    }
    g_autofree char *absolute = g_canonicalize_filename(vmctl, NULL), *text = unit_text(name, absolute);
    if (g_mkdir_with_parents(folder, 0700))
        return path_failed(folder, error);
    return file_replace(unit, text, strlen(text), error) && make_link(name, error);
}

/* The link first: without it nothing is started. */
static bool remove_unit(const char *name, GError **error)
{
    g_autofree char *unit = machine_autostart_unit(name), *link = link_of(name);
    const char *const both[] = {link, unit};
    for (unsigned i = 0; i < G_N_ELEMENTS(both); i++)
        if (unlink(both[i]) && errno != ENOENT)
            return path_failed(both[i], error);
    return true;
}

bool machine_autostart_set(const char *name, bool on, bool *told, GError **error)
{
    *told = false;
    if (on && !systemd_is_here()) {
        g_set_error(
            error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
            "no systemd runs on this host, and nothing else reads what starts with a session; have whatever starts "
            "your programs run: vmctl start %s",
            name);
        return false;
    }
    if (!(on ? write_unit(name, error) : remove_unit(name, error)))
        return false;
    *told = systemd_is_here() && tell_systemd();
    return true;
}
