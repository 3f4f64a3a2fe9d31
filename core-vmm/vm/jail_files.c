// SPDX-License-Identifier: GPL-2.0-or-later
/* Which files one machine's process may still open: rules name what stays, each with its reason.
 * A medium inserted while the VM runs comes as an open descriptor.  Images that it builds upon are opened by path, and
 * found only if the machine could read them anyway. */
#include "core-vmm/vm/jail.h"
#include "core-vmm/api/config.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/firmware.h"
#include <gio/gio.h>
#include <stdlib.h>
#include <string.h>

#define IMAGE (FENCE_READ | FENCE_DEVICE) /* which may be a disk of the host, that has to be asked for its size */

static const struct {
    const char *path;
    unsigned access;
    const char *reason;
} always[] = {
    {"/usr", FENCE_READ, "firmware, locale, time zones, what the C library loads late"},
    {"/lib", FENCE_READ, "the same, where it is no link into /usr"},
    {"/lib64", FENCE_READ, "the same"},
    {"/etc/localtime", FENCE_READ, "the time zone"},
    {"/etc/ld.so.cache", FENCE_READ, "where libraries are"},
    {"/sys/devices/system", FENCE_READ, "the host's CPUs"},
    {"/dev/urandom", FENCE_READ, "random numbers of GLib"},
    {"/dev/kvm", FENCE_READ | FENCE_WRITE | FENCE_DEVICE, "the KVM engine"},
    {"/sys/module/kvm_intel/parameters", FENCE_READ, "what that can do here"},
    {"/proc/cpuinfo", FENCE_READ, "why there is no KVM"},
};

/* ---- what machine.ini names ---- */

static void allow_in(struct fence_files *f, const struct jail *j, const char *path, unsigned access)
{
    g_autofree char *full = g_canonicalize_filename(path, j->folder);
    fence_allow_file(f, full, access);
}

/* Multiboot's "FILE ARGS,FILE ARGS". */
static void allow_modules(struct fence_files *f, const struct jail *j, const char *list)
{
    g_auto(GStrv) modules = g_strsplit(list, ",", -1);
    for (char **m = modules; *m; m++) {
        char *file = g_strstrip(*m);
        file[strcspn(file, " ")] = 0;
        if (*file)
            allow_in(f, j, file, FENCE_READ);
    }
}

static void allow_key(struct fence_files *f, const struct jail *j, const char *section, const char *key)
{
    const struct config c = {j->file, j->path, section};
    const struct schema_key *k = schema_find(section, key, NULL);
    g_autofree char *value = k ? config_string(&c, key) : NULL;
    if (!k || !schema_is_path(k, value) || !strcmp(section, "audio")) /* those are its sound process' */
        return;
    allow_in(f, j, value, strcmp(key, "file") ? FENCE_READ : IMAGE | FENCE_WRITE);
    if (!strcmp(key, "initrd"))
        allow_modules(f, j, value);
}

/* All files of an image lie in its folder: whatever a hostile one made the child say, it may write nowhere else. */
static bool beside_an_image(const struct jail *j, const char *path)
{
    g_auto(GStrv) sections = g_key_file_get_groups(j->file, NULL);
    g_autofree char *folder = g_path_get_dirname(path);
    bool beside = false;
    for (char **s = sections; *s && !beside; s++) {
        const struct config c = {j->file, j->path, *s};
        g_autofree char *file = schema_find(*s, "file", NULL) ? config_string(&c, "file") : NULL;
        g_autofree char *full = file && *file ? g_canonicalize_filename(file, j->folder) : NULL;
        g_autofree char *real = full ? realpath(full, NULL) : NULL, *in = real ? g_path_get_dirname(real) : NULL;
        beside = in && !strcmp(in, folder);
    }
    return beside;
}

/* What says what the next start may reach, and who has the machine, is nobody's image. */
static bool is_own(const struct jail *j, const char *path)
{
    static const char *const names[] = {"machine.ini", "lock"};
    g_autofree char *real = realpath(path, NULL);
    bool own = false;
    for (unsigned i = 0; real && i < G_N_ELEMENTS(names); i++) {
        g_autofree char *name = g_build_filename(j->folder, names[i], NULL), *there = realpath(name, NULL);
        own = own || !g_strcmp0(real, there);
    }
    return own;
}

/* The folders may be listed: some formats know the image they build upon by its id, not by its name. */
static bool allow_images(struct fence_files *f, const struct jail *j, GError **error)
{
    g_auto(GStrv) lines = jail_images(j, error);
    for (char **l = lines; l && *l; l++) {
        const char *path = *l + 1;
        g_autofree char *folder = g_path_get_dirname(path);
        if (**l == JAIL_REFUSED || **l == JAIL_DAMAGED) {
            g_autofree char *why = fence_text(path, strlen(path));
            g_set_error_literal(error, G_IO_ERROR, **l == JAIL_REFUSED ? G_IO_ERROR_BUSY : G_IO_ERROR_FAILED, why);
            return false;
        }
        bool write = **l == JAIL_WRITE && beside_an_image(j, path) && !is_own(j, path);
        fence_allow_file(f, path, IMAGE | (write ? FENCE_WRITE : 0));
        fence_allow(f, folder, FENCE_LIST);
    }
    return lines != NULL;
}

static void allow_configured(struct fence_files *f, const struct jail *j)
{
    g_auto(GStrv) sections = g_key_file_get_groups(j->file, NULL);
    for (char **s = sections; *s; s++) {
        g_auto(GStrv) keys = g_key_file_get_keys(j->file, *s, NULL, NULL);
        for (char **k = keys; k && *k; k++)
            allow_key(f, j, *s, *k);
    }
}

bool jail_close(const struct jail *j, GError **error)
{
    struct fence_files *f = fence_files_new();
    g_autofree char *logs = g_build_filename(j->folder, "logs", NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(always); i++)
        fence_allow(f, always[i].path, always[i].access);
    fence_allow(f, j->folder, FENCE_READ); /* and not to be written: machine.ini */
    fence_allow(f, logs, FENCE_READ | FENCE_WRITE | FENCE_MAKE);
    if (j->variables)
        allow_in(f, j, FIRMWARE_VARS_FILE, FENCE_READ | FENCE_WRITE);
    allow_configured(f, j);
    if (!fence_alone(error) || !allow_images(f, j, error)) {
        fence_files_free(f);
        return false;
    }
    return fence_files_close(f, error) && fence_calls_close(FENCE_VM, error);
}
