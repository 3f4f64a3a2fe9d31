// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_outer.c - starts the processes around a VM: its network process, if machine.ini lists a card, its sound's (machine_sound.c), its
 * TPM's (machine_tpm.c), and those of its shared folders (machine_folders.c).
 *
 * The network process may open nothing itself: what it is to do it reads from a memfd with the cards' sections, and its control
 * socket is bound here.  Names of descriptors stand in that memfd (network-modes/settings.c). */
#include "core-vmm/host/machine_outer.h"
#include "core-vmm/api/config.h"
#include "core-vmm/api/net.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/machine_folders.h"
#include "core-vmm/host/machine_networks.h"
#include "core-vmm/host/machine_sound.h"
#include "core-vmm/host/machine_tpm.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/outer/end_settings.h"
#include "core-vmm/outer/outer.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AGAIN_MS = 2500 }; /* guests that look for a cable every two seconds see that it was out */

static bool is_card(const char *section)
{
    const struct schema_section *s = schema_find_section(section);
    return s && !strcmp(s->name, "nic");
}

static void copy_section(GKeyFile *to, GKeyFile *from, const char *section)
{
    g_auto(GStrv) keys = g_key_file_get_keys(from, section, NULL, NULL);
    for (char **k = keys; k && *k; k++) {
        g_autofree char *value = g_key_file_get_value(from, section, *k, NULL);
        g_key_file_set_value(to, section, *k, value);
    }
}

/* What a card's process gets opened, with where it stands in its settings. */
struct descriptors {
    int fd[OUTER_FDS_MAX];
    unsigned count;
    GKeyFile *settings; /* where they are named */
};

static bool add_descriptor(struct descriptors *d, int fd, GError **error)
{
    if (fd >= 0 && d->count < OUTER_FDS_MAX) {
        d->fd[d->count++] = fd;
        return true;
    }
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "the network process can have no more than %d files open for it",
                OUTER_FDS_MAX);
    if (fd >= 0)
        close(fd);
    return false;
}

static bool add_named(void *ctx, const char *key, int fd, GError **error)
{
    struct descriptors *d = ctx;
    g_key_file_set_integer(d->settings, "descriptors", key, OUTER_SOCKET + 1 + (int)d->count);
    return add_descriptor(d, fd, error);
}

/* Where the process says what it has to say; a file of its own, for the VM process writes to the other. */
static bool open_log(struct descriptors *d, const char *folder, GError **error)
{
    g_autofree char *path = paths_network_log(folder);
    int fd = log_begin(path, error);
    return fd >= 0 && add_named(d, "log", fd, error);
}

/* The folder of a card's `tftp`, if it says one. */
static bool open_tftp(struct descriptors *d, const struct config *c, GError **error)
{
    g_autofree char *path = config_path(c, "tftp"), *key = g_strconcat(c->section, ".tftp", NULL);
    int fd = path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    if (!path)
        return true;
    if (fd < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "[%s] tftp = %s: %s", c->section, path,
                    g_strerror(errno));
        return false;
    }
    return add_named(d, key, fd, error);
}

/* The switch wants to know it, also if the file does not say it. */
static char *mac_of(const struct config *c)
{
    uint8_t m[6];
    net_mac(c, m);
    return g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

/* What the network process is to do; NULL: there is no card.  A card's address may come from where machine.ini is. */
static GKeyFile *network_settings(GKeyFile *file, const char *ini, const char *machine)
{
    g_autoptr(GKeyFile) settings = g_key_file_new();
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    bool any = false;
    g_key_file_set_string(settings, "network", "machine", machine);
    for (char **s = sections; *s; s++) {
        if (!is_card(*s))
            continue;
        copy_section(settings, file, *s);
        const struct config c = {file, ini, *s};
        g_autofree char *mac = mac_of(&c);
        g_key_file_set_string(settings, *s, "mac", mac);
        any = true;
    }
    return any ? g_steal_pointer(&settings) : NULL;
}

/* All that it gets: its settings, its control socket, its log, and what the cards' sections name. */
static bool open_all(struct descriptors *d, const char *socket, GKeyFile *file, const char *ini, GKeyFile *settings,
                     GError **error)
{
    g_autofree char *folder = g_path_get_dirname(ini);
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    int listening = socket_listen(socket, error);
    d->settings = settings;
    d->count = 1; /* the settings' own, which come last */
    bool good = listening >= 0 && add_descriptor(d, listening, error) && open_log(d, folder, error);
    for (char **s = sections; *s && good; s++) {
        const struct config c = {file, ini, *s};
        good = !is_card(*s) || (open_tftp(d, &c, error) && machine_networks_card(&c, add_named, d, error));
    }
    good = good && machine_networks_all(settings, add_named, d, error);
    d->fd[0] = good ? end_settings_new(settings, error) : -1;
    return d->fd[0] >= 0;
}

static bool missing(const char *program, const char *package, GError **error)
{
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_NO_PROGRAM, "%s is missing: %s", program, package);
    return false;
}

/* ---- the ends ---- */

struct all_ends {
    struct outer_end end[3 + MACHINE_FOLDERS_MOST];
    unsigned count;
    GString *names;
    struct descriptors network;
    char *network_program;
    const char *network_argv[2];
    struct machine_tpm tpm;
    struct machine_folder folder[MACHINE_FOLDERS_MOST];
    unsigned folders;
    struct machine_sound sound;
};

static void add_end(struct all_ends *a, const struct outer_end *e)
{
    g_string_append_printf(a->names, "%s%s", a->count ? "," : "", e->name);
    a->end[a->count++] = *e;
}

static bool prepare_network(struct all_ends *a, struct machine_outer *o, GKeyFile *file, const char *ini,
                            GKeyFile *settings, const char *machine, GError **error)
{
    g_autofree char *folder = paths_runtime_of(machine, error);
    a->network_program = program_find("terrarium-net");
    if (!folder)
        return false;
    if (!a->network_program)
        return missing("terrarium-net, which the machine's network cards need,",
                       "it was looked for beside vmctl and in PATH", error);
    o->network = g_build_filename(folder, PATHS_NETWORK, NULL);
    if (!open_all(&a->network, o->network, file, ini, settings, error))
        return false;
    a->network_argv[0] = a->network_program;
    add_end(a,
            &(struct outer_end){"network", a->network_argv, SOCK_SEQPACKET, a->network.fd, a->network.count, AGAIN_MS});
    return true;
}

static bool prepare_folders(struct all_ends *a, GKeyFile *file, const char *ini, const char *folder, GError **error)
{
    for (unsigned n = 1; n <= MACHINE_FOLDERS_MOST; n++) {
        const char section[] = {'f', 'o', 'l', 'd', 'e', 'r', (char)('0' + n), 0};
        const struct config c = {file, ini, section};
        if (!g_key_file_has_group(file, section))
            continue;
        struct machine_folder *m = &a->folder[a->folders++];
        if (!machine_folder_prepare(m, &c, folder, error))
            return false;
        add_end(a, &m->end);
    }
    return true;
}

static bool prepare_sound(struct all_ends *a, GKeyFile *file, const char *ini, const char *folder, GError **error)
{
    if (!machine_sound_wanted(file, ini))
        return true;
    if (!machine_sound_prepare(&a->sound, file, ini, folder, error))
        return false;
    add_end(a, &a->sound.end);
    return true;
}

static bool prepare_tpm(struct all_ends *a, GKeyFile *file, const char *folder, GError **error)
{
    if (!g_key_file_has_group(file, "tpm"))
        return true;
    if (!machine_tpm_prepare(&a->tpm, folder, error))
        return false;
    add_end(a, &a->tpm.end);
    return true;
}

static bool prepare(struct all_ends *a, struct machine_outer *o, GKeyFile *file, const char *folder, GError **error)
{
    g_autofree char *ini = g_build_filename(folder, "machine.ini", NULL), *machine = g_path_get_basename(folder);
    g_autoptr(GKeyFile) settings = network_settings(file, ini, machine);
    if (settings && !prepare_network(a, o, file, ini, settings, machine, error))
        return false;
    return prepare_sound(a, file, ini, folder, error) && prepare_tpm(a, file, folder, error) &&
           prepare_folders(a, file, ini, folder, error);
}

bool machine_outer_start(const char *folder, struct machine_outer *o, GError **error)
{
    g_autofree char *ini = g_build_filename(folder, "machine.ini", NULL);
    g_autoptr(GKeyFile) file = schema_load(ini, NULL);
    struct all_ends a = {.names = g_string_new(NULL)};
    *o = (struct machine_outer){.line = -1};
    bool good = !file || prepare(&a, o, file, folder, error);
    if (good && a.count) {
        o->line = outer_start(a.end, a.count, error);
        good = o->line >= 0;
        o->names = g_strdup(a.names->str);
    }
    for (unsigned i = 0; i < a.network.count; i++)
        if (a.network.fd[i] >= 0)
            close(a.network.fd[i]);
    if (!good)
        machine_outer_end(o, a.network.count > 1);
    g_string_free(a.names, TRUE);
    g_free(a.network_program);
    machine_tpm_done(&a.tpm);
    while (a.folders)
        machine_folder_done(&a.folder[--a.folders]);
    machine_sound_done(&a.sound);
    return good;
}

void machine_outer_end(struct machine_outer *o, bool failed)
{
    if (failed && o->network)
        unlink(o->network);
    if (o->line >= 0)
        close(o->line);
    g_clear_pointer(&o->names, g_free);
    g_clear_pointer(&o->network, g_free);
    o->line = -1;
}
