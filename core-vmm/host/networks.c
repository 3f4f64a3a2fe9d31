// SPDX-License-Identifier: GPL-2.0-or-later
/* networks.c - see networks.h. */
#include "core-vmm/host/networks.h"
#include "core-vmm/host/netadm.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/api/config.h"
#include "core-vmm/api/net.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <unistd.h>

#define ENDING        ".ini"
#define LEASES        "leases"
#define MEMBER_DIGITS 32
#define LEASE_FIELDS  4
#define FILE_BYTES    65536

/* ---- where ---- */

static char *folder_of_definitions(void)
{
    return g_build_filename(g_get_user_data_dir(), "terrarium", "networks", NULL);
}

static char *definition_of(const char *name)
{
    g_autofree char *folder = folder_of_definitions(), *file = g_strconcat(name, ENDING, NULL);
    return g_build_filename(folder, file, NULL);
}

static char *meeting_place(enum network_kind kind, const char *name, GError **error)
{
    g_autofree char *all = paths_runtime_of(PATHS_NETWORKS, error);
    return all ? g_build_filename(all, network_kinds[kind], name, NULL) : NULL;
}

int networks_folder(GError **error)
{
    g_autofree char *path = paths_runtime_of(PATHS_NETWORKS, error);
    int fd = path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    if (path && fd < 0)
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", path, g_strerror(errno));
    return fd;
}

/* ---- definitions ---- */

/* An empty one if there is none.  NULL: it cannot be read. */
static GKeyFile *load(const char *name, bool *there, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *path = definition_of(name);
    g_autoptr(GError) e = NULL;
    *there = g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &e);
    if (*there || g_error_matches(e, G_FILE_ERROR, G_FILE_ERROR_NOENT))
        return g_steal_pointer(&file);
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s: %s", path, e->message);
    return NULL;
}

bool networks_find(const char *name, int kind, struct network_def *def, GError **error)
{
    bool there;
    g_autoptr(GKeyFile) file = network_name_check(name, error) ? load(name, &there, error) : NULL;
    return file && network_def_read(file, NETWORK_GROUP, name, kind, def, error);
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of all definitions, sorted. */
static GPtrArray *defined_names(void)
{
    g_autofree char *folder = folder_of_definitions();
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    const char *file;
    while (dir && (file = g_dir_read_name(dir))) {
        g_autofree char *name = g_strndup(file, strlen(file) - MIN(strlen(ENDING), strlen(file)));
        if (g_str_has_suffix(file, ENDING) && network_name_check(name, NULL))
            g_ptr_array_add(names, g_steal_pointer(&name));
    }
    g_ptr_array_sort(names, by_name);
    return names;
}

bool networks_copy(GKeyFile *to, GError **error)
{
    g_autoptr(GPtrArray) names = defined_names();
    for (unsigned i = 0; i < names->len; i++) {
        g_autofree char *group = g_strconcat("network:", names->pdata[i], NULL);
        struct network_def def;
        if (!networks_find(names->pdata[i], -1, &def, error))
            return false;
        network_def_write(to, group, &def);
    }
    return true;
}

bool networks_create(const char *name, const char *kind, const char *range, const char *dhcp, GError **error)
{
    g_autofree char *path = definition_of(name), *folder = g_path_get_dirname(path);
    g_autoptr(GKeyFile) file = g_key_file_new();
    struct network_def def;
    bool there;
    gsize n;
    g_key_file_set_string(file, NETWORK_GROUP, "kind", kind ? kind : network_kinds[NETWORK_INTERNAL]);
    if (range)
        g_key_file_set_string(file, NETWORK_GROUP, "range", range);
    if (dhcp)
        g_key_file_set_string(file, NETWORK_GROUP, "dhcp", dhcp);
    if (!network_name_check(name, error) || !network_def_read(file, NETWORK_GROUP, name, -1, &def, error))
        return false;
    g_autoptr(GKeyFile) old = load(name, &there, NULL);
    if (!old || there) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS, "there is a network %s already: vmctl net delete %s", name,
                    name);
        return false;
    }
    if (g_mkdir_with_parents(folder, 0700)) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", folder, g_strerror(errno));
        return false;
    }
    network_def_write(file, NETWORK_GROUP, &def);
    g_autofree char *text = g_key_file_to_data(file, &n, NULL);
    return file_replace(path, text, n, error);
}

/* ---- who is in one ---- */

static bool is_member(const char *file)
{
    return strlen(file) == MEMBER_DIGITS && strspn(file, "0123456789abcdef") == MEMBER_DIGITS;
}

static unsigned count_members(enum network_kind kind, const char *name)
{
    g_autofree char *path = meeting_place(kind, name, NULL);
    g_autoptr(GDir) dir = path ? g_dir_open(path, 0, NULL) : NULL;
    const char *file;
    unsigned n = 0;
    while (dir && (file = g_dir_read_name(dir))) {
        g_autofree char *socket = g_build_filename(path, file, NULL);
        n += is_member(file) && socket_is_alive(socket);
    }
    return kind == NETWORK_HOSTONLY ? netadm_hostonly_ports(name) : n;
}

void network_free(gpointer network)
{
    struct network *n = network;
    g_free(n->name);
    g_free(n);
}

static struct network *find(const GPtrArray *all, const char *name, enum network_kind kind)
{
    for (unsigned i = 0; i < all->len; i++) {
        struct network *n = all->pdata[i];
        if (!strcmp(n->name, name) && n->def.kind == kind)
            return n;
    }
    return NULL;
}

static void add(GPtrArray *all, const char *name, const struct network_def *def, bool defined)
{
    struct network *n = g_new0(struct network, 1);
    n->name = g_strdup(name);
    n->def = *def;
    n->defined = defined;
    n->members = count_members(def->kind, name);
    if (defined || n->members)
        g_ptr_array_add(all, n);
    else
        network_free(n);
}

/* Those where machines have met that no file defines. */
static void add_met(GPtrArray *all, enum network_kind kind)
{
    g_autofree char *path = meeting_place(kind, "", NULL);
    g_autoptr(GDir) dir = path ? g_dir_open(path, 0, NULL) : NULL;
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        struct network_def def;
        if (network_name_check(name, NULL) && !find(all, name, kind) && networks_find(name, kind, &def, NULL))
            add(all, name, &def, false);
    }
}

GPtrArray *networks_list(GError **error)
{
    g_autoptr(GPtrArray) names = defined_names(), all = g_ptr_array_new_with_free_func(network_free);
    for (unsigned i = 0; i < names->len; i++) {
        struct network_def def;
        if (!networks_find(names->pdata[i], -1, &def, error))
            return NULL;
        add(all, names->pdata[i], &def, true);
    }
    for (enum network_kind kind = 0; kind < NETWORK_KINDS; kind++)
        add_met(all, kind);
    return g_steal_pointer(&all);
}

bool networks_delete(const char *name, GError **error)
{
    g_autofree char *path = definition_of(name);
    bool there;
    struct network_def def;
    g_autoptr(GKeyFile) file = network_name_check(name, error) ? load(name, &there, error) : NULL;
    if (!file || !network_def_read(file, NETWORK_GROUP, name, -1, &def, error))
        return false;
    unsigned members = there ? count_members(def.kind, name) : 0;
    if (!there)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "there is no network %s", name);
    else if (members)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_BUSY, "%u running machines are in the network %s: stop them first",
                    members, name);
    else if (def.kind == NETWORK_HOSTONLY && !netadm_hostonly_remove(name, error))
        return false;
    else if (unlink(path))
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", path, g_strerror(errno));
    else
        return true;
    return false;
}

/* ---- leases ---- */

void network_lease_free(gpointer lease)
{
    struct network_lease *l = lease;
    g_free(l->mac);
    g_free(l->address);
    g_free(l->host);
    g_free(l);
}

/* "MAC ADDRESS UNTIL NAME", which another process of this user has written: checked like anything from outside. */
static struct network_lease *parse_lease(const char *line)
{
    static const char letters[] = G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-.";
    g_auto(GStrv) field = g_strsplit(line, " ", LEASE_FIELDS);
    uint8_t mac[6];
    struct in_addr a;
    gint64 until;
    if (g_strv_length(field) != LEASE_FIELDS || !mac_parse(field[0], mac) || inet_pton(AF_INET, field[1], &a) != 1 ||
        !g_ascii_string_to_signed(field[2], 10, 1, G_MAXINT64, &until, NULL) ||
        strspn(field[3], letters) != strlen(field[3]))
        return NULL;
    struct network_lease *l = g_new0(struct network_lease, 1);
    l->mac = g_strdup(field[0]);
    l->address = g_strdup(field[1]);
    l->host = strcmp(field[3], "-") ? g_strdup(field[3]) : NULL;
    l->until = until;
    return l;
}

/* At most 64 KiB of a file, for which nobody waits. */
static char *read_some(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    g_autofree char *text = g_malloc0(FILE_BYTES + 1);
    ssize_t n = fd >= 0 ? read(fd, text, FILE_BYTES) : -1;
    if (fd >= 0)
        close(fd);
    return n >= 0 ? g_steal_pointer(&text) : g_strdup("");
}

GPtrArray *networks_leases(const char *name, GError **error)
{
    g_autoptr(GPtrArray) leases = g_ptr_array_new_with_free_func(network_lease_free);
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;
    struct network_def def;
    if (!networks_find(name, -1, &def, error))
        return NULL;
    for (enum network_kind kind = 0; kind < NETWORK_KINDS; kind++) {
        g_autofree char *folder = meeting_place(kind, name, error);
        if (!folder)
            return NULL;
        g_autofree char *path = g_build_filename(folder, LEASES, NULL), *text = read_some(path);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        for (char **l = lines; *l; l++) {
            struct network_lease *lease = parse_lease(*l);
            if (lease && lease->until > now)
                g_ptr_array_add(leases, lease);
            else if (lease)
                network_lease_free(lease);
        }
    }
    return g_steal_pointer(&leases);
}
