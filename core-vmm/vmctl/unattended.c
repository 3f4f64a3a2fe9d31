// SPDX-License-Identifier: GPL-2.0-or-later
/* unattended.c - what an installer is answered, from options; the password never from the command line, which others see, nor need the
 * product key be. */
#include "core-vmm/vmctl/unattended.h"
#include <string.h>
#include <unistd.h>

GOptionEntry *answer_entries(struct answer_options *a)
{
    const GOptionEntry own[] = {
        {"user", 0, 0, G_OPTION_ARG_STRING, &a->u.user, "Unattended: the user's login name", "NAME"},
        {"password-file", 0, 0, G_OPTION_ARG_FILENAME, &a->password_file,
         "Unattended: the password is the file's first line; - for standard input", "FILE"},
        {"full-name", 0, 0, G_OPTION_ARG_STRING, &a->u.full_name, "Unattended: the user's full name", "TEXT"},
        {"hostname", 0, 0, G_OPTION_ARG_STRING, &a->u.hostname, "Unattended: the system's name", "NAME"},
        {"locale", 0, 0, G_OPTION_ARG_STRING, &a->u.locale, "Unattended: like de_DE.UTF-8", "LOCALE"},
        {"time-zone", 0, 0, G_OPTION_ARG_STRING, &a->u.time_zone, "Unattended: like Europe/Berlin", "ZONE"},
        {"keyboard", 0, 0, G_OPTION_ARG_STRING, &a->u.keyboard, "Unattended: a layout like de or us(intl)", "LAYOUT"},
        {"edition", 0, 0, G_OPTION_ARG_STRING, &a->u.edition, "Windows: an edition's number, id or name", "EDITION"},
        {"key", 0, 0, G_OPTION_ARG_STRING, &a->u.key, "Windows: the product key", "KEY"},
        {"key-file", 0, 0, G_OPTION_ARG_FILENAME, &a->key_file,
         "Windows: the product key is the file's first line; - for standard input (after the password)", "FILE"},
        {"drivers", 0, 0, G_OPTION_ARG_FILENAME, &a->u.drivers, "Windows: a folder with drivers for it", "FOLDER"},
        {"mirror", 0, 0, G_OPTION_ARG_STRING, &a->u.mirror, "Debian: where packages come from", "URL"},
        {"packages", 0, 0, G_OPTION_ARG_STRING, &a->u.packages, "Linux: what is installed too, with spaces between",
         "NAMES"},
        {"serial-console", 0, 0, G_OPTION_ARG_NONE, &a->serial, "Linux: the first serial port is a console too", NULL},
        {NULL},
    };
    return g_memdup2(own, sizeof own);
}

bool answers_said(const struct answer_options *a)
{
    return a->u.user || a->password_file || a->u.full_name || a->u.hostname || a->u.locale || a->u.time_zone ||
           a->u.keyboard || a->u.edition || a->u.key || a->key_file || a->u.drivers || a->u.mirror || a->u.packages ||
           a->serial;
}

void answers_clear(struct answer_options *a)
{
    unattended_clear(&a->u);
    g_free(a->password_file);
    g_free(a->key_file);
}

static bool ask_twice(struct answer_options *a, int *code)
{
    a->u.password = password_ask("Password of the new user", code);
    g_autofree char *again = a->u.password ? password_ask("The same again", code) : NULL;
    if (again && strcmp(again, a->u.password))
        *code = fail(EXIT_CODE_USAGE, "the two passwords differ");
    bool good = again && !strcmp(again, a->u.password);
    if (again)
        explicit_bzero(again, strlen(again));
    return good;
}

/* Whether there must be one depends on the system. */
static bool read_password(struct answer_options *a, int *code)
{
    if (!a->password_file)
        return !isatty(STDIN_FILENO) || ask_twice(a, code);
    a->u.password = password_line(a->password_file, code);
    return a->u.password;
}

static bool read_key(struct answer_options *a, int *code)
{
    if (!a->key_file)
        return true;
    if (a->u.key) {
        *code = fail(EXIT_CODE_USAGE, "--key and --key-file: one of them says the product key");
        return false;
    }
    a->u.key = password_line(a->key_file, code);
    return a->u.key;
}

bool answers_read(struct answer_options *a, int *code)
{
    a->u.serial = a->serial;
    a->u.uefi = a->uefi;
    return read_password(a, code) && read_key(a, code);
}
