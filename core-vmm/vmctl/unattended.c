// SPDX-License-Identifier: GPL-2.0-or-later
/* unattended.c - what an installer is answered, from options; the password never from the command line, which others see, nor need the
 * product key be. */
#include "core-vmm/vmctl/unattended.h"
#include "core-vmm/host/paths.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

enum { PASSWORD_MOST = 1024 };

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

/* The first line, and no byte after it: the next one may be somebody else's.  More than there may be is an error. */
static char *first_line(int fd, const char *name, int *code)
{
    char text[PASSWORD_MOST + 1];
    size_t n = 0;
    ssize_t got = 1;
    while (n < sizeof text && (!n || text[n - 1] != '\n') && (got = read(fd, text + n, 1)) > 0)
        n++;
    size_t length = n && text[n - 1] == '\n' ? n - 1 : n;
    char *line = got >= 0 && length <= PASSWORD_MOST ? g_strndup(text, length) : NULL;
    if (got < 0)
        *code = fail(EXIT_CODE_FAILED, "%s: %s", name, g_strerror(errno));
    else if (!line)
        *code = fail(EXIT_CODE_USAGE, "%s: its first line is longer than it may be", name);
    explicit_bzero(text, sizeof text);
    return line;
}

/* Whoever types may change his mind: then the terminal is put right before the signal does its work.  The signals are blocked
 * meanwhile, and come by a descriptor. */
static int wait_for_line(const sigset_t *signals)
{
    int fd = signalfd(-1, signals, SFD_CLOEXEC);
    struct pollfd p[] = {{STDIN_FILENO, POLLIN, 0}, {fd, POLLIN, 0}};
    struct signalfd_siginfo came = {0};
    while (poll(p, 2, -1) < 0 && errno == EINTR)
        ;
    if (p[1].revents && read(fd, &came, sizeof came) != sizeof came)
        came.ssi_signo = SIGTERM;
    close(fd);
    return came.ssi_signo;
}

/* On a terminal, without echo.  NULL: *code. */
static char *ask(const char *what, int *code)
{
    struct termios was, quiet;
    sigset_t signals, before;
    char *line = NULL;
    int came;
    sigemptyset(&signals);
    for (const int *s = (const int[]){SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, 0}; *s; s++)
        sigaddset(&signals, *s);
    do {
        if (tcgetattr(STDIN_FILENO, &was)) {
            *code = fail(EXIT_CODE_FAILED, "the terminal: %s (--password-file)", g_strerror(errno));
            return NULL;
        }
        quiet = was;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        pthread_sigmask(SIG_BLOCK, &signals, &before);
        bool hidden = !tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
        g_printerr("%s: ", what);
        came = hidden ? wait_for_line(&signals) : 0;
        if (hidden && !came)
            line = first_line(STDIN_FILENO, "the terminal", code);
        if (!hidden)
            *code = fail(EXIT_CODE_FAILED, "the terminal would show the password (--password-file)");
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);
        g_printerr("\n");
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (came)
            raise(came); /* after SIGTSTP it goes on here */
    } while (came);
    return line;
}

static bool ask_twice(struct answer_options *a, int *code)
{
    a->u.password = ask("Password of the new user", code);
    g_autofree char *again = a->u.password ? ask("The same again", code) : NULL;
    if (again && strcmp(again, a->u.password))
        *code = fail(EXIT_CODE_USAGE, "the two passwords differ");
    bool good = again && !strcmp(again, a->u.password);
    if (again)
        explicit_bzero(again, strlen(again));
    return good;
}

/* NULL: *code. */
static char *line_of_file(const char *path, int *code)
{
    bool from_stdin = !strcmp(path, "-");
    int fd = from_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        g_autoptr(GError) error = NULL;
        path_failed(path, &error);
        *code = fail_error(error);
        return NULL;
    }
    char *line = first_line(fd, path, code);
    if (!from_stdin)
        close(fd);
    return line;
}

/* Whether there must be one depends on the system. */
static bool read_password(struct answer_options *a, int *code)
{
    if (!a->password_file)
        return !isatty(STDIN_FILENO) || ask_twice(a, code);
    a->u.password = line_of_file(a->password_file, code);
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
    a->u.key = line_of_file(a->key_file, code);
    return a->u.key;
}

bool answers_read(struct answer_options *a, int *code)
{
    a->u.serial = a->serial;
    a->u.uefi = a->uefi;
    return read_password(a, code) && read_key(a, code);
}
