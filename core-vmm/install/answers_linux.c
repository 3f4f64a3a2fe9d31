// SPDX-License-Identifier: GPL-2.0-or-later
/* answers_linux.c - answers for the installers of Debian (preseed), Ubuntu (autoinstall) and Fedora (kickstart).
 * Specs: Debian's installation guide, appendix B; Ubuntu's autoinstall reference and cloud-init's NoCloud; pykickstart.
 *
 * All take the whole first disk, get their network by DHCP, give the user administrator's rights (sudo) and leave root without
 * a password. */
#include "core-vmm/install/answers.h"
#include <string.h>

#define SERIAL_CONSOLE "console=tty0 console=ttyS0,115200"

/* ---- Debian ---- */

static void debian_mirror(GString *s, const char *url)
{
    const char *host = url + strlen("http://");
    gsize n = strcspn(host, "/");
    const char *path = host[n] ? host + n : "/debian";
    g_string_append(s, "d-i mirror/country string manual\nd-i mirror/protocol string http\n");
    g_string_append_printf(s, "d-i mirror/http/hostname string %.*s\n", (int)n, host);
    g_string_append_printf(s, "d-i mirror/http/directory string %s\nd-i mirror/http/proxy string\n", path);
}

/* Xkb's layout names are the keymaps' names too, but for a few. */
static void debian_keyboard(GString *s, const char *keyboard)
{
    g_autofree char *layout = NULL, *variant = NULL;
    answers_keyboard(keyboard, &layout, &variant);
    g_string_append_printf(s, "d-i keyboard-configuration/xkb-keymap select %s%s%s%s\n", layout, *variant ? "(" : "",
                           variant, *variant ? ")" : "");
}

static const char debian_disk[] =
    "d-i partman/early_command string debconf-set partman-auto/disk \"$(list-devices disk | head -n1)\"\n"
    "d-i partman-auto/method string regular\n"
    "d-i partman-auto/choose_recipe select atomic\n"
    "d-i partman-partitioning/confirm_write_new_label boolean true\n"
    "d-i partman/choose_partition select finish\n"
    "d-i partman/confirm boolean true\n"
    "d-i partman/confirm_nooverwrite boolean true\n"
    "d-i partman-md/confirm boolean true\n"
    "d-i partman-efi/non_efi_system boolean true\n";
static const char debian_rest[] = "d-i apt-setup/cdrom/set-first boolean false\n"
                                  "d-i apt-setup/cdrom/set-next boolean false\n"
                                  "d-i apt-setup/cdrom/set-failed boolean false\n"
                                  "d-i apt-setup/disable-cdrom-entries boolean true\n"
                                  "d-i pkgsel/upgrade select none\n"
                                  "popularity-contest popularity-contest/participate boolean false\n"
                                  "d-i grub-installer/only_debian boolean true\n"
                                  "d-i grub-installer/with_other_os boolean true\n"
                                  "d-i grub-installer/bootdev string default\n"
                                  "d-i grub-installer/force-efi-extra-removable boolean true\n"
                                  "d-i cdrom-detect/eject boolean true\n"
                                  "d-i finish-install/reboot_in_progress note\n";

static void debian_user(GString *s, const struct unattended *u, const char *hash)
{
    g_string_append(s, "d-i passwd/root-login boolean false\nd-i passwd/make-user boolean true\n");
    g_string_append_printf(s, "d-i passwd/user-fullname string %s\n", u->full_name);
    g_string_append_printf(s, "d-i passwd/username string %s\n", u->user);
    g_string_append_printf(s, "d-i passwd/user-password-crypted password %s\n", hash);
}

bool answers_debian(const struct unattended *u, const struct medium *m, GPtrArray *files, GError **error)
{
    g_autofree char *hash = answers_hash(u->password, error);
    if (!hash)
        return false;
    GString *s = g_string_new("#_preseed_V1\n");
    g_string_append_printf(s, "d-i debian-installer/locale string %s\n", u->locale);
    debian_keyboard(s, u->keyboard);
    g_string_append(s, "d-i netcfg/choose_interface select auto\nd-i netcfg/get_domain string\n");
    g_string_append_printf(s, "d-i netcfg/get_hostname string %s\nd-i netcfg/hostname string %s\n", u->hostname,
                           u->hostname);
    g_string_append(s, "d-i hw-detect/load_firmware boolean false\n");
    debian_mirror(s, u->mirror);
    debian_user(s, u, hash);
    g_string_append(s, "d-i clock-setup/utc boolean true\nd-i clock-setup/ntp boolean false\n");
    g_string_append_printf(s, "d-i time/zone string %s\n", u->time_zone);
    g_string_append(s, debian_disk);
    g_string_append(s, debian_rest);
    g_string_append(s, "tasksel tasksel/first multiselect standard\n");
    if (*u->packages)
        g_string_append_printf(s, "d-i pkgsel/include string %s\n", u->packages);
    if (u->serial)
        g_string_append(s, "d-i debian-installer/add-kernel-opts string " SERIAL_CONSOLE "\n");
    answers_add(files, "preseed.cfg", g_string_free(s, FALSE));
    return true;
}

/* ---- Ubuntu ---- */

/* A double-quoted scalar of YAML, which a string of JSON is too. */
static void yaml(GString *s, const char *indent, const char *name, const char *value)
{
    g_string_append_printf(s, "%s%s: \"", indent, name);
    for (; *value; value++)
        g_string_append_printf(s, *value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
    g_string_append(s, "\"\n");
}

static void ubuntu_packages(GString *s, const char *packages)
{
    g_auto(GStrv) names = g_strsplit(packages, " ", -1);
    bool first = true;
    for (char **n = names; *n; n++)
        if (**n) {
            g_string_append_printf(s, "%s    - \"%s\"\n", first ? "  packages:\n" : "", *n);
            first = false;
        }
}

bool answers_ubuntu(const struct unattended *u, const struct medium *m, GPtrArray *files, GError **error)
{
    g_autofree char *hash = answers_hash(u->password, error), *layout = NULL, *variant = NULL;
    if (!hash)
        return false;
    answers_keyboard(u->keyboard, &layout, &variant);
    GString *s = g_string_new("#cloud-config\nautoinstall:\n  version: 1\n");
    yaml(s, "  ", "locale", u->locale);
    g_string_append(s, "  keyboard:\n");
    yaml(s, "    ", "layout", layout);
    yaml(s, "    ", "variant", variant);
    yaml(s, "  ", "timezone", u->time_zone);
    g_string_append(s, "  identity:\n");
    yaml(s, "    ", "realname", u->full_name);
    yaml(s, "    ", "username", u->user);
    yaml(s, "    ", "password", hash);
    yaml(s, "    ", "hostname", u->hostname);
    g_string_append(s, "  ssh:\n    install-server: true\n    allow-pw: true\n"
                       "  storage:\n    layout:\n      name: direct\n  shutdown: reboot\n");
    ubuntu_packages(s, u->packages);
    if (u->serial)
        g_string_append(
            s, "  late-commands:\n    - >-\n      sed -i 's/^GRUB_CMDLINE_LINUX=.*/GRUB_CMDLINE_LINUX=\"" SERIAL_CONSOLE
               "\"/' /target/etc/default/grub\n    - curtin in-target -- update-grub\n");
    answers_add(files, "user-data", g_string_free(s, FALSE));
    GString *meta = g_string_new(NULL);
    yaml(meta, "", "instance-id", u->hostname);
    yaml(meta, "", "local-hostname", u->hostname);
    answers_add(files, "meta-data", g_string_free(meta, FALSE));
    answers_add(files, "vendor-data", g_strdup("#cloud-config\n{}\n"));
    return true;
}

/* ---- Fedora ---- */

/* A kickstart's lines are split as a shell splits them. */
static void option(GString *s, const char *name, const char *value)
{
    g_autofree char *quoted = g_shell_quote(value);
    g_string_append_printf(s, " %s=%s", name, quoted);
}

static void fedora_packages(GString *s, const char *packages)
{
    g_auto(GStrv) names = g_strsplit(packages, " ", -1);
    g_string_append(s, "%packages\n@core\n");
    for (char **n = names; *n; n++)
        if (**n)
            g_string_append_printf(s, "%s\n", *n);
    g_string_append(s, "%end\n");
}

bool answers_fedora(const struct unattended *u, const struct medium *m, GPtrArray *files, GError **error)
{
    g_autofree char *hash = answers_hash(u->password, error), *layout = NULL, *variant = NULL;
    if (!hash)
        return false;
    answers_keyboard(u->keyboard, &layout, &variant);
    g_autofree char *xkb = *variant ? g_strdup_printf("%s (%s)", layout, variant) : g_strdup(layout);
    GString *s = g_string_new("text\nfirstboot --disable\nskipx\n");
    g_string_append_printf(s, "lang %s\nkeyboard", u->locale);
    option(s, "--xlayouts", xkb);
    g_string_append_printf(s, "\ntimezone %s --utc\nnetwork --bootproto=dhcp --device=link --activate", u->time_zone);
    option(s, "--hostname", u->hostname);
    g_string_append(s, "\nrootpw --lock\nuser --groups=wheel --iscrypted");
    option(s, "--name", u->user);
    option(s, "--gecos", u->full_name);
    option(s, "--password", hash);
    g_string_append(s, "\nzerombr\nclearpart --all --initlabel\nautopart --type=plain\nbootloader");
    if (u->serial)
        option(s, "--append", SERIAL_CONSOLE);
    g_string_append(s, "\nreboot --eject\n");
    fedora_packages(s, u->packages);
    answers_add(files, "ks.cfg", g_string_free(s, FALSE));
    return true;
}

/* ---- how the installer is started ---- */

/* A volume id in a kernel's command line: what udev would write as \x20. */
static char *label_text(const char *volume)
{
    GString *s = g_string_new(NULL);
    for (; *volume; volume++)
        g_string_append_printf(s, g_ascii_isalnum(*volume) || strchr("#+-.:=@_", *volume) ? "%c" : "\\x%02x",
                               (unsigned char)*volume);
    return g_string_free(s, FALSE);
}

char *answers_cmdline(const struct unattended *u, const struct medium *m)
{
    const char *serial = u->serial ? " " SERIAL_CONSOLE : "";
    g_autofree char *volume = label_text(m->volume ? m->volume : "");
    switch (u->kind) {
    case UNATTENDED_DEBIAN: return g_strconcat("auto=true priority=critical", serial, NULL);
    case UNATTENDED_UBUNTU: return g_strconcat("autoinstall", serial, " ---", NULL);
    case UNATTENDED_FEDORA:
        return g_strdup_printf("inst.stage2=hd:LABEL=%s inst.ks=hd:LABEL=OEMDRV:/ks.cfg%s", volume, serial);
    default: return NULL;
    }
}
