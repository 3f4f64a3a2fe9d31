// SPDX-License-Identifier: GPL-2.0-or-later
/* unattended.h - answers for an installer, so that it asks nothing: what is to be said, and the medium with the files that say
 * it, which goes into a second CD drive.  docs/install.md says which files those are.
 *
 * Calls may come from any thread; nothing here prints.  Errors: CONFIG_ERROR a value that cannot be, G_IO_ERROR a file. */
#pragma once
#include <gio/gio.h>
#include <stdbool.h>

enum unattended_kind {
    UNATTENDED_NONE,
    UNATTENDED_DEBIAN,  /* preseed */
    UNATTENDED_UBUNTU,  /* autoinstall, by cloud-init */
    UNATTENDED_FEDORA,  /* kickstart */
    UNATTENDED_WINDOWS, /* autounattend.xml, Windows 7 to 11 */
};
const char *unattended_kind_name(enum unattended_kind kind); /* "debian"; of UNATTENDED_NONE "none" */
enum unattended_kind unattended_kind_find(const char *name); /* UNATTENDED_NONE: there is none of that name */

struct unattended { /* strings NULL: not said, see unattended_complete() */
    enum unattended_kind kind;
    char *user;      /* the login name */
    char *full_name; /* not said: the login name */
    char *password;  /* in the clear: it is hashed where the format allows; not said or "": none (Windows only) */
    char *hostname;
    char *locale;    /* "de_DE.UTF-8" */
    char *time_zone; /* "Europe/Berlin" */
    char *keyboard;  /* a layout of X: "de"; with a variant "us(intl)" */
    char *edition;   /* Windows: an edition's number, id or name; not said: the first, or what the key says */
    char *key;       /* Windows: a product key; not said: none */
    char *drivers;   /* Windows: a folder of the host with drivers, which goes onto the medium; not said: none */
    char *mirror;    /* Debian: "http://deb.debian.org/debian"; not said: that one */
    char *packages;  /* Debian, Ubuntu, Fedora: more to install, with spaces between */
    bool uefi;       /* the machine's firmware, on which the disk's layout depends */
    bool serial;     /* Linux: the installed system has its console on the first serial port too */
};
void unattended_clear(struct unattended *u);
/* Says what is not said yet: name of the machine (may be NULL) and the host's user, locale, time zone and keyboard. */
void unattended_complete(struct unattended *u, const char *machine);
/* Is each value one that the installer takes?  One sentence names the first that is not. */
bool unattended_check(const struct unattended *u, GError **error);

struct medium; /* medium.h */
struct unattended_file {
    char *name; /* on the medium: "autounattend.xml" */
    char *text;
};
/* The files, as struct unattended_file; g_ptr_array_unref.  m: the installer's medium, or NULL; it says version, editions and
 * languages. */
GPtrArray *unattended_files(const struct unattended *u, const struct medium *m, GError **error);
/* The medium with them, a new file (0600: passwords are in it) that does not exist yet. */
bool unattended_write(const struct unattended *u, const struct medium *m, const char *to, GError **error);
