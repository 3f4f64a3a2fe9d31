// SPDX-License-Identifier: GPL-2.0-or-later
/* systems.c - which system a medium installs, by what it says of itself.
 *
 * In this order, and what was said first stays: .disk/info (Debian and its relatives: one line), .treeinfo (Fedora and its
 * relatives: a key file), sources/install.wim (Windows since Vista), os-release, osinfo-db where it is installed, which also adds
 * what the others did not tell, and then volume identifiers by our own table. */
#include "core-vmm/look/look.h"
#include <string.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static void set_once(char **to, const char *from)
{
    if (!*to && from && *from)
        *to = g_strdup(from);
}

/* What is said of names and versions is for people: short. */
static char *shortened(const char *text)
{
    const char *end = g_utf8_offset_to_pointer(text, MIN(g_utf8_strlen(text, -1), 100));
    char *s = g_strndup(text, end - text);
    return g_strstrip(s);
}

static void need(struct medium *m, uint64_t memory, uint64_t disk, unsigned cpus)
{
    m->memory = MAX(m->memory, memory);
    m->disk = MAX(m->disk, disk);
    m->cpus = MAX(m->cpus, cpus);
}

static bool look_first(struct look *l, const char *const *paths, char **to)
{
    for (; *paths; paths++)
        if (look_has(l, *paths)) {
            set_once(to, *paths);
            return true;
        }
    return false;
}

/* ---- .disk/info: "Debian GNU/Linux 12.5.0 "Bookworm" - Official amd64 NETINST with firmware 20240210-11:27" ---- */

static const struct {
    const char *begins, *id;
    unsigned parts; /* of the version that its id has */
    enum unattended_kind unattended;
} info_families[] = {
    {"Debian GNU/Linux ", "debian", 1, UNATTENDED_DEBIAN},
    {"Debian ", "debian", 1, UNATTENDED_DEBIAN},
    {"Ubuntu-Server ", "ubuntu", 2, UNATTENDED_UBUNTU},
    {"Ubuntu ", "ubuntu", 2, UNATTENDED_UBUNTU},
    {"Kubuntu ", "ubuntu", 2, UNATTENDED_NONE}, /* their installers are others */
    {"Xubuntu ", "ubuntu", 2, UNATTENDED_NONE},
    {"Lubuntu ", "ubuntu", 2, UNATTENDED_NONE},
    {"Linux Mint ", "linuxmint", 2, UNATTENDED_NONE},
    {"LMDE ", "lmde", 1, UNATTENDED_NONE},
    {"Kali GNU/Linux ", "kali", 2, UNATTENDED_NONE},
    {"Pop_OS ", "popos", 2, UNATTENDED_NONE},
    {"elementary OS ", "elementary", 1, UNATTENDED_NONE},
    {"Zorin OS ", "zorin", 1, UNATTENDED_NONE},
};

/* The first word that begins with a digit, before " - "; g_free; NULL. */
static char *version_in(const char *text)
{
    g_autofree char *head = g_strndup(text, strstr(text, " - ") ? (gsize)(strstr(text, " - ") - text) : strlen(text));
    g_auto(GStrv) words = g_strsplit(head, " ", -1);
    for (char **w = words; *w; w++)
        if (g_ascii_isdigit(**w))
            return g_strndup(*w, strspn(*w, "0123456789."));
    return NULL;
}

static char *cut_version(const char *version, unsigned parts)
{
    const char *p = version;
    for (; *p && (*p != '.' || --parts); p++)
        ;
    return g_strndup(version, p - version);
}

static const char *architecture_in(const char *text)
{
    static const struct {
        const char *word, *name;
    } words[] = {{"amd64", "x86_64"},  {"x86_64", "x86_64"},   {"i386", "i686"},    {"i686", "i686"},
                 {"arm64", "aarch64"}, {"aarch64", "aarch64"}, {"armhf", "armv7l"}, {"64-bit", "x86_64"}};
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
        if (strstr(text, words[i].word))
            return words[i].name;
    return NULL;
}

/* Debian's installer is a kernel with an initial RAM disk; which one is for people is the text one. */
static bool has_debian_installer(struct look *l)
{
    static const char *const kernels[] = {"install.amd/vmlinuz",
                                          "install.386/vmlinuz",
                                          "install.a64/vmlinuz",
                                          "install/vmlinuz",
                                          "d-i/vmlinuz",
                                          "linux",
                                          NULL};
    static const char *const initrds[] = {"install.amd/initrd.gz",
                                          "install.386/initrd.gz",
                                          "install.a64/initrd.gz",
                                          "install/initrd.gz",
                                          "d-i/initrd.gz",
                                          "initrd.gz",
                                          NULL};
    return look_first(l, kernels, &l->m->kernel) && look_first(l, initrds, &l->m->initrd);
}

/* The installer that reads autoinstall is on servers' media since 20.04, on desktops' since 23.04. */
static bool has_autoinstall(struct look *l, bool server)
{
    static const char *const kernels[] = {"casper/vmlinuz", "casper/hwe-vmlinuz", NULL};
    static const char *const initrds[] = {"casper/initrd", "casper/hwe-initrd", "casper/initrd.lz", "casper/initrd.gz",
                                          NULL};
    bool there = look_first(l, kernels, &l->m->kernel) && look_first(l, initrds, &l->m->initrd);
    double version = l->m->version ? g_ascii_strtod(l->m->version, NULL) : 0;
    return there && version >= (server ? 20.04 : 23.04);
}

static void tell_info(struct look *l, const char *line, unsigned family)
{
    struct medium *m = l->m;
    bool server = g_str_has_prefix(line, "Ubuntu-Server");
    m->version = version_in(line + strlen(info_families[family].begins));
    g_autofree char *cut = m->version ? cut_version(m->version, info_families[family].parts) : g_strdup("testing");
    m->id = g_strconcat(info_families[family].id, cut, NULL);
    m->os = g_strdup("linux");
    m->name = shortened(line);
    m->by = g_strdup(".disk/info");
    m->architecture = g_strdup(architecture_in(line));
    m->kind = look_has(l, "live") || (look_has(l, "casper") && !server) ? MEDIUM_LIVE : MEDIUM_INSTALLER;
    bool debian = info_families[family].unattended == UNATTENDED_DEBIAN && has_debian_installer(l);
    bool ubuntu = info_families[family].unattended == UNATTENDED_UBUNTU && has_autoinstall(l, server);
    m->unattended = debian ? UNATTENDED_DEBIAN : ubuntu ? UNATTENDED_UBUNTU : UNATTENDED_NONE;
    if (m->kind == MEDIUM_LIVE)
        need(m, 4 * GIB, 25 * GIB, 2);
    need(m, server ? 3 * GIB : GIB, 20 * GIB, 1);
}

static void look_info(struct look *l)
{
    g_autofree char *text = look_text(l, ".disk/info");
    if (!text)
        return;
    text[strcspn(text, "\r\n")] = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(info_families); i++)
        if (g_str_has_prefix(text, info_families[i].begins)) {
            tell_info(l, text, i);
            return;
        }
}

/* ---- .treeinfo (https://release-engineering.github.io/productmd/treeinfo-1.0.html) ---- */

static const struct {
    const char *family, *id;
    unsigned parts;
} tree_families[] = {
    {"Fedora", "fedora", 1},
    {"Red Hat Enterprise Linux", "rhel", 2},
    {"CentOS Stream", "centos-stream", 1},
    {"CentOS", "centos", 1},
    {"Rocky Linux", "rocky", 2},
    {"AlmaLinux", "almalinux", 2},
    {"Oracle Linux", "ol", 2},
};

static void tell_tree(struct look *l, GKeyFile *f, const char *family, unsigned n)
{
    struct medium *m = l->m;
    g_autofree char *version = g_key_file_get_string(f, "general", "version", NULL);
    g_autofree char *variant = g_key_file_get_string(f, "general", "variant", NULL);
    m->version = version ? shortened(version) : NULL;
    g_autofree char *cut = m->version ? cut_version(m->version, tree_families[n].parts) : g_strdup("");
    m->id = g_strconcat(tree_families[n].id, cut, NULL);
    m->os = g_strdup("linux");
    g_autofree char *name = g_strjoin(" ", family, m->version ? m->version : "", variant ? variant : "", NULL);
    m->name = shortened(name);
    m->by = g_strdup(".treeinfo");
    m->kind = MEDIUM_INSTALLER;
    m->architecture = g_key_file_get_string(f, "general", "arch", NULL);
    g_autofree char *images = g_strconcat("images-", m->architecture ? m->architecture : "x86_64", NULL);
    m->kernel = g_key_file_get_string(f, images, "kernel", NULL);
    m->initrd = g_key_file_get_string(f, images, "initrd", NULL);
    if (m->kernel && m->initrd && look_has(l, m->kernel) && look_has(l, m->initrd))
        m->unattended = UNATTENDED_FEDORA;
    need(m, 3 * GIB, 20 * GIB, 2);
}

static void look_tree(struct look *l)
{
    g_autofree char *text = look_text(l, ".treeinfo");
    g_autoptr(GKeyFile) f = g_key_file_new();
    if (!text || l->m->id || !g_key_file_load_from_data(f, text, -1, G_KEY_FILE_NONE, NULL))
        return;
    g_autofree char *family = g_key_file_get_string(f, "general", "family", NULL);
    for (unsigned i = 0; family && i < G_N_ELEMENTS(tree_families); i++)
        if (!strcmp(family, tree_families[i].family)) {
            tell_tree(l, f, family, i);
            return;
        }
}

/* ---- Windows ---- */

static const struct windows {
    unsigned from; /* build */
    bool server;
    const char *id, *name;
    unsigned memory, disk; /* GiB */
} builds[] = {
    {6000, false, "winvista", "Windows Vista", 1, 32},
    {7600, false, "win7", "Windows 7", 2, 32},
    {9200, false, "win8", "Windows 8", 2, 32},
    {9600, false, "win8.1", "Windows 8.1", 2, 32},
    {10240, false, "win10", "Windows 10", 4, 40},
    {22000, false, "win11", "Windows 11", 4, 64},
    {6001, true, "win2k8", "Windows Server 2008", 2, 32},
    {7600, true, "win2k8r2", "Windows Server 2008 R2", 2, 32},
    {9200, true, "win2k12", "Windows Server 2012", 2, 40},
    {9600, true, "win2k12r2", "Windows Server 2012 R2", 2, 40},
    {14393, true, "win2k16", "Windows Server 2016", 4, 40},
    {17763, true, "win2k19", "Windows Server 2019", 4, 40},
    {20348, true, "win2k22", "Windows Server 2022", 4, 40},
    {26100, true, "win2k25", "Windows Server 2025", 4, 40},
};

static const struct windows *windows_of(const struct medium_edition *e)
{
    bool server = e->id && g_str_has_prefix(e->id, "Server");
    const struct windows *found = NULL;
    for (unsigned i = 0; i < G_N_ELEMENTS(builds); i++)
        if (builds[i].server == server && e->build >= builds[i].from)
            found = &builds[i];
    return found;
}

static void tell_windows(struct medium *m, const char *by)
{
    const struct medium_edition *first = m->editions->len ? m->editions->pdata[0] : NULL;
    const struct windows *w = first ? windows_of(first) : NULL;
    m->by = g_strdup(by);
    m->os = g_strdup("windows");
    m->id = g_strdup(w ? w->id : "win");
    m->name = g_strdup(w ? w->name : "Windows");
    m->kind = MEDIUM_INSTALLER;
    if (first && first->build)
        m->version = g_strdup_printf("build %u", first->build);
    if (first)
        m->architecture = g_strdup(first->architecture);
    m->unattended = w && w->from >= 7600 ? UNATTENDED_WINDOWS : UNATTENDED_NONE;
    m->wants_secure_boot = w && !strcmp(w->id, "win11");
    need(m, w ? w->memory * GIB : 2 * GIB, w ? w->disk * GIB : 32 * GIB, 2);
}

static void look_windows(struct look *l)
{
    static const char *const images[] = {"sources/install.wim",     "sources/install.esd",     "sources/install.swm",
                                         "x64/sources/install.esd", "x86/sources/install.esd", NULL};
    for (const char *const *i = images; *i && !l->m->id; i++) {
        struct node file;
        if (!look_find(l, *i, &file))
            continue;
        if (wim_look(&l->source, &file, l->m))
            tell_windows(l->m, *i);
        node_clear(&file);
    }
    if (!l->m->id && look_has(l, "i386/txtsetup.sif")) {
        l->m->id = g_strdup("winxp");
        l->m->os = g_strdup("windows-old");
        l->m->name = g_strdup("Windows 2000, XP or Server 2003");
        l->m->by = g_strdup("i386/txtsetup.sif");
        l->m->kind = MEDIUM_INSTALLER;
        need(l->m, 512 * MIB, 10 * GIB, 1);
    }
}

/* ---- os-release ---- */

/* The value of a line NAME=VALUE, without its quotes; g_free; NULL. */
static char *release_value(const char *text, const char *name)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    gsize n = strlen(name);
    for (char **line = lines; *line; line++)
        if (!strncmp(*line, name, n) && (*line)[n] == '=')
            return g_shell_unquote(g_strstrip(*line + n + 1), NULL);
    return NULL;
}

static void look_release(struct look *l)
{
    static const char *const files[] = {"etc/os-release", "usr/lib/os-release", "os-release", ".os-release"};
    for (unsigned i = 0; i < G_N_ELEMENTS(files) && !l->m->id; i++) {
        g_autofree char *text = look_text(l, files[i]);
        g_autofree char *id = text ? release_value(text, "ID") : NULL;
        g_autofree char *version = text ? release_value(text, "VERSION_ID") : NULL;
        g_autofree char *name = text ? release_value(text, "PRETTY_NAME") : NULL;
        if (!id || !*id)
            continue;
        l->m->by = g_strdup(files[i]);
        l->m->id = g_strconcat(id, version ? version : "", NULL);
        l->m->version = version ? shortened(version) : NULL;
        l->m->name = shortened(name ? name : id);
        l->m->os = g_strdup(!strcmp(id, "freebsd") ? "bsd" : "linux");
        l->m->kind = MEDIUM_LIVE;
        need(l->m, 2 * GIB, 20 * GIB, 1);
    }
}

/* ---- volume identifiers ---- */

static const struct {
    const char *pattern, *id, *name, *os;
    enum medium_kind kind;
    unsigned memory, disk; /* MiB, GiB */
} volumes[] = {
    {"Fedora-*-Live-*", "fedora", "Fedora (live)", "linux", MEDIUM_LIVE, 4096, 25},
    {"ARCH_2*", "archlinux", "Arch Linux", "linux", MEDIUM_LIVE, 2048, 20},
    {"alpine-*", "alpinelinux", "Alpine Linux", "linux", MEDIUM_INSTALLER, 512, 8},
    {"openSUSE-*", "opensuse", "openSUSE", "linux", MEDIUM_INSTALLER, 2048, 25},
    {"SLE-*", "sles", "SUSE Linux Enterprise", "linux", MEDIUM_INSTALLER, 2048, 25},
    {"MANJARO*", "manjaro", "Manjaro", "linux", MEDIUM_LIVE, 4096, 30},
    {"EOS_*", "endeavouros", "EndeavourOS", "linux", MEDIUM_LIVE, 4096, 30},
    {"nixos-*", "nixos", "NixOS", "linux", MEDIUM_LIVE, 4096, 25},
    {"Gentoo*", "gentoo", "Gentoo", "linux", MEDIUM_LIVE, 4096, 30},
    {"VOID_LIVE", "voidlinux", "Void Linux", "linux", MEDIUM_LIVE, 2048, 20},
    {"SlackDVD", "slackware", "Slackware", "linux", MEDIUM_INSTALLER, 2048, 25},
    {"CDROM_*", "tinycore", "Tiny Core Linux", "linux", MEDIUM_LIVE, 512, 4},
    {"*_RELEASE_AMD64_*", "freebsd", "FreeBSD", "bsd", MEDIUM_INSTALLER, 1024, 20},
    {"*_RELEASE_I386_*", "freebsd", "FreeBSD", "bsd", MEDIUM_INSTALLER, 1024, 20},
    {"OpenBSD/*Install CD", "openbsd", "OpenBSD", "bsd", MEDIUM_INSTALLER, 1024, 20},
    {"NETBSD_*", "netbsd", "NetBSD", "bsd", MEDIUM_INSTALLER, 1024, 20},
    {"NetBSD-*", "netbsd", "NetBSD", "bsd", MEDIUM_INSTALLER, 1024, 20},
    {"DragonFly*", "dragonfly", "DragonFly BSD", "bsd", MEDIUM_INSTALLER, 1024, 20},
    {"FREEDOS*", "freedos", "FreeDOS", "dos", MEDIUM_INSTALLER, 64, 2},
    {"FD1*", "freedos", "FreeDOS", "dos", MEDIUM_INSTALLER, 64, 2},
    {"ReactOS*", "reactos", "ReactOS", "windows-old", MEDIUM_INSTALLER, 512, 8},
    {"haiku-*", "haiku", "Haiku", "other", MEDIUM_LIVE, 1024, 8},
};

static void look_volume(struct look *l)
{
    const char *volume = l->m->volume;
    for (unsigned i = 0; volume && !l->m->id && i < G_N_ELEMENTS(volumes); i++) {
        if (!g_pattern_match_simple(volumes[i].pattern, volume))
            continue;
        l->m->id = g_strdup(volumes[i].id);
        l->m->name = g_strdup(volumes[i].name);
        l->m->os = g_strdup(volumes[i].os);
        l->m->kind = volumes[i].kind;
        l->m->by = g_strdup("volume id");
        need(l->m, volumes[i].memory * MIB, volumes[i].disk * GIB, 1);
    }
}

/* ---- all ---- */

static void look_boot(struct look *l)
{
    static const struct {
        const char *path, *architecture;
    } loaders[] = {
        {"EFI/BOOT/BOOTX64.EFI", "x86_64"}, {"EFI/BOOT/BOOTAA64.EFI", "aarch64"}, {"EFI/BOOT/BOOTIA32.EFI", "i686"}};
    struct el_torito how;
    el_torito_look(&l->source, &how);
    l->m->bios = how.bios;
    l->m->uefi = how.uefi;
    for (unsigned i = 0; i < G_N_ELEMENTS(loaders); i++)
        if (look_has(l, loaders[i].path))
            set_once(&l->m->architecture, loaders[i].architecture);
}

static void look_osinfo(struct look *l)
{
    g_autofree char *system = iso9660_identifier(&l->source, "system");
    g_autofree char *publisher = iso9660_identifier(&l->source, "publisher");
    g_autofree char *application = iso9660_identifier(&l->source, "application");
    const struct osinfo_ids ids = {l->m->volume, system, publisher, application};
    osinfo_look(NULL, &ids, l->m);
}

void systems_look(struct look *l)
{
    struct medium *m = l->m;
    const char *volume = l->iso && l->iso->volume ? l->iso->volume : l->udf ? l->udf->volume : NULL;
    set_once(&m->volume, volume);
    look_info(l);
    look_tree(l);
    look_windows(l);
    look_release(l);
    look_osinfo(l);
    look_volume(l);
    look_boot(l);
    if (!m->architecture && m->volume)
        m->architecture = g_strdup(architecture_in(m->volume));
    set_once(&m->id, "unknown");
    set_once(&m->os, "other");
    set_once(&m->name, m->volume ? m->volume : "unknown system");
}
