// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor_host.c - room, programs, folders and the desktop. */
#include "core-vmm/api/config.h"
#include "core-vmm/host/firmware.h"
#include "core-vmm/host/fresh.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/install/doctor_inside.h"
#include "core-vmm/install/medium.h"
#include <errno.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GIB (UINT64_C(1) << 30)
enum { LITTLE_GIB = 10, NONE_GIB = 1 };

/* ---- room ---- */

/* The folder, or what of the way to it exists. */
static char *existing(const char *path)
{
    char *at = g_strdup(path);
    while (!g_file_test(at, G_FILE_TEST_EXISTS)) {
        char *up = g_path_get_dirname(at);
        g_free(at);
        at = up;
    }
    return at;
}

static void room(GPtrArray *findings)
{
    g_autofree char *machines = paths_machines(), *folder = existing(machines);
    struct statvfs v;
    if (statvfs(folder, &v)) {
        doctor_add(findings, "disk-space", FINDING_PROBLEM, g_strdup("The machines' place cannot be looked at"),
                   g_strdup(g_strerror(errno)), g_strdup(folder), NULL);
        return;
    }
    uint64_t left = (uint64_t)v.f_bavail * v.f_frsize;
    g_autofree char *size = g_format_size_full(left, G_FORMAT_SIZE_IEC_UNITS);
    g_autofree char *whole = g_format_size_full((uint64_t)v.f_blocks * v.f_frsize, G_FORMAT_SIZE_IEC_UNITS);
    bool full = left < NONE_GIB * GIB, little = left < LITTLE_GIB * GIB;
    doctor_add(findings, "disk-space",
               full     ? FINDING_PROBLEM
               : little ? FINDING_WARNING
                        : FINDING_GOOD,
               g_strdup_printf("%s for machines: %s are free",
                               full     ? "There is no room"
                               : little ? "There is little room"
                                        : "There is room",
                               size),
               full ? g_strdup("guests whose disks grow would be paused or fail in the middle of a write") : NULL,
               g_strdup_printf("%s: %s free of %s", folder, size, whole),
               little ? g_strdup_printf("make room: du -sh %s/*; vmctl disk compact takes out what guests have freed",
                                        machines)
                      : NULL);
    if (access(folder, W_OK))
        doctor_add(findings, "machines-folder", FINDING_PROBLEM,
                   g_strdup("Machines cannot be made: their folder cannot be written to"), g_strdup(g_strerror(errno)),
                   g_strdup(folder), g_strdup_printf("sudo chown -R %s %s", g_get_user_name(), folder));
}

/* ---- programs and files ---- */

static const struct need {
    const char *id, *program; /* of ours, or of the distribution if from_path */
    bool from_path;
    enum finding_grade grade;
    const char *without, *package;
} needs[] = {
    {"network-program", "terrarium-net", false, FINDING_PROBLEM, "machines with network cards do not start", NULL},
    {"look-program", "terrarium-look", false, FINDING_PROBLEM, "media and disk images are not recognized", NULL},
    {"screen-program", "terrarium-screen", false, FINDING_WARNING, "no window shows a machine's screen", NULL},
    {"passt", "passt", true, FINDING_HINT, "cards with nat-backend=passt do not work; the usual backend does", "passt"},
    {"swtpm", "swtpm", true, FINDING_HINT, "there is no TPM, which Windows 11 asks for", "swtpm"},
    {"ssh", "ssh", true, FINDING_HINT, "vmctl ssh does not work", "openssh-client"},
};

static void programs(GPtrArray *findings)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(needs); i++) {
        const struct need *n = &needs[i];
        g_autofree char *path = n->from_path ? g_find_program_in_path(n->program) : program_find(n->program);
        if (path)
            doctor_add(findings, n->id, FINDING_GOOD, g_strdup_printf("%s is there", n->program), NULL, g_strdup(path),
                       NULL);
        else
            doctor_add(findings, n->id, n->grade, g_strdup_printf("%s is missing", n->program), g_strdup(n->without),
                       g_strdup(n->from_path ? "not in PATH" : "neither beside this program nor in PATH"),
                       n->package ? g_strdup_printf("sudo apt install %s", n->package)
                                  : g_strdup("install Terrarium anew"));
    }
}

/* What the distribution brings. */
struct file {
    const char *id, *what;
    enum finding_grade grade;
    const char *without, *package;
};

/* path NULL: why says why not. */
static void system_file(GPtrArray *findings, const struct file *f, const char *path, const char *why)
{
    if (path)
        doctor_add(findings, f->id, FINDING_GOOD, g_strdup_printf("%s is there", f->what), NULL, g_strdup(path), NULL);
    else
        doctor_add(findings, f->id, f->grade, g_strdup_printf("%s is not there", f->what), g_strdup(f->without),
                   g_strdup(why), g_strdup_printf("sudo apt install %s", f->package));
}

/* As a start would choose it. */
static void firmware(GPtrArray *findings, const char *value, const struct file *f)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) error = NULL;
    const struct config c = {file, "machine.ini", "machine"};
    struct firmware_choice choice;
    g_key_file_set_string(file, c.section, "firmware", value);
    bool good = firmware_choose(&c, &choice, &error);
    system_file(findings, f, choice.image, good ? NULL : error->message);
    firmware_choice_clear(&choice);
}

static void system_files(GPtrArray *findings)
{
    g_autofree char *folder = g_build_filename(osinfo_folder(), "os", NULL);
    g_autofree char *missing = g_strdup_printf("%s does not exist", folder);
    firmware(findings, "bios",
             &(struct file){"seabios", "SeaBIOS, the machines' BIOS,", FINDING_PROBLEM,
                            "machines with a BIOS do not start", "seabios"});
    firmware(findings, "uefi",
             &(struct file){"ovmf", "OVMF, the machines' UEFI firmware,", FINDING_HINT, "there is no UEFI", "ovmf"});
    system_file(
        findings,
        &(struct file){"osinfo-db", "osinfo-db", FINDING_HINT, "fewer installation media are recognized", "osinfo-db"},
        g_file_test(folder, G_FILE_TEST_EXISTS) ? folder : NULL, missing);
}

/* ---- folders ---- */

static void runtime(GPtrArray *findings)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *folder = paths_runtime(&error);
    if (folder)
        doctor_add(findings, "runtime-folder", FINDING_GOOD, g_strdup("Running machines can be met"), NULL,
                   g_strdup(folder), NULL);
    else
        doctor_add(findings, "runtime-folder", FINDING_PROBLEM,
                   g_strdup("No machine can start: there is no folder for running ones"), g_strdup(error->message),
                   g_strdup_printf("XDG_RUNTIME_DIR is %s",
                                   g_getenv("XDG_RUNTIME_DIR") ? g_getenv("XDG_RUNTIME_DIR") : "not set"),
                   g_strdup("log in by the desktop or by ssh, not by su"));
}

/* What killed creates and deletes have left; the next list takes it away. */
static void leftovers(GPtrArray *findings)
{
    g_autofree char *machines = paths_machines();
    g_autoptr(GDir) d = g_dir_open(machines, 0, NULL);
    g_autoptr(GString) names = g_string_new(NULL);
    for (const char *name; d && (name = g_dir_read_name(d));)
        if (g_str_has_prefix(name, FRESH_NEW) || g_str_has_prefix(name, FRESH_GONE))
            g_string_append_printf(names, "%s%s", names->len ? ", " : "", name);
    if (names->len)
        doctor_add(findings, "leftovers", FINDING_HINT,
                   g_strdup("Machines that are being made or deleted, or were when a process was killed"), NULL,
                   g_strdup_printf("%s: %s", machines, names->str), g_strdup("vmctl list"));
}

/* ---- the fences, the desktop ---- */

static void fences(GPtrArray *findings)
{
    enum { QUERY_VERSION = 1 };
#ifdef SYS_landlock_create_ruleset
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, QUERY_VERSION);
#else
    long abi = -1;
#endif
    if (abi >= 1)
        doctor_add(findings, "landlock", FINDING_GOOD, g_strdup("Machines are fenced off from your files"), NULL,
                   g_strdup_printf("Landlock, ABI %ld", abi), NULL);
    else
        doctor_add(findings, "landlock", FINDING_WARNING, g_strdup("Machines are not fenced off from your files"),
                   g_strdup("this kernel has no Landlock, or it was left out at boot"),
                   g_strdup("landlock_create_ruleset: not there"),
                   g_strdup("a kernel since 5.13 whose list lsm= has landlock in it"));
}

static void display(GPtrArray *findings)
{
    const char *wayland = g_getenv("WAYLAND_DISPLAY"), *x = g_getenv("DISPLAY");
    bool there = (wayland && *wayland) || (x && *x);
    doctor_add(findings, "display", there ? FINDING_GOOD : FINDING_HINT,
               g_strdup(there ? "There is a display" : "There is no display: machines run, but no window opens"), NULL,
               g_strdup_printf("WAYLAND_DISPLAY=%s DISPLAY=%s", wayland ? wayland : "", x ? x : ""), NULL);
}

/* Asks the session's bus, at most a second, whether somebody would answer. */
static bool is_on_bus(GDBusConnection *bus, const char *name)
{
    static const char *const lists[] = {"ListNames", "ListActivatableNames"};
    bool found = false;
    for (unsigned i = 0; i < G_N_ELEMENTS(lists) && !found; i++) {
        g_autoptr(GVariant) answer = g_dbus_connection_call_sync(
            bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", lists[i], NULL,
            G_VARIANT_TYPE("(as)"), G_DBUS_CALL_FLAGS_NONE, 1000, NULL, NULL);
        g_autofree const char **names = NULL;
        if (answer)
            g_variant_get(answer, "(^a&s)", &names);
        found = names && g_strv_contains(names, name);
    }
    return found;
}

static void portal(GPtrArray *findings)
{
    static const char name[] = "org.freedesktop.portal.Desktop";
    const char *address = g_getenv("DBUS_SESSION_BUS_ADDRESS");
    g_autoptr(GDBusConnection) bus = address && *address ? g_bus_get_sync(G_BUS_TYPE_SESSION, NULL, NULL) : NULL;
    bool there = bus && is_on_bus(bus, name);
    doctor_add(findings, "portal", there ? FINDING_GOOD : FINDING_HINT,
               g_strdup(there ? "The desktop's portal answers"
                              : "There is no desktop portal: the manager's file chooser is GTK's own"),
               NULL,
               g_strdup_printf("%s: %s", bus ? name : "session bus",
                               there ? "there"
                               : bus ? "nobody has this name"
                                     : "there is none"),
               there || !bus ? NULL : g_strdup("sudo apt install xdg-desktop-portal-gtk"));
}

void doctor_host(GPtrArray *findings)
{
    room(findings);
    runtime(findings);
    leftovers(findings);
    programs(findings);
    system_files(findings);
    fences(findings);
    display(findings);
    portal(findings);
}
