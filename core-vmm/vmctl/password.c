// SPDX-License-Identifier: GPL-2.0-or-later
/* password.c - passwords for verbs: from a file or the terminal, never from the command line, which others can read. */
#include "core-vmm/host/paths.h"
#include "core-vmm/vmctl/vmctl.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

enum { PASSWORD_MOST = 1024 };

/* The first line, and no byte after it: the next one may be somebody else's.  More than there may be is an error. */
static char *first_line(int fd, const char *name, int *code)
{
    char text[PASSWORD_MOST + 1];
    size_t n = 0;
    ssize_t got = 1;
    while (n < sizeof text && (!n || text[n - 1] != '\n') && (got = read(fd, text + n, 1)) > 0)
        n++;
    size_t length = n && text[n - 1] == '\n' ? n - 1 : n;
    if (length < n && length && text[length - 1] == '\r')
        length--;
    char *line = got >= 0 && length <= PASSWORD_MOST ? g_strndup(text, length) : NULL;
    if (got < 0)
        *code = fail(EXIT_CODE_FAILED, "%s: %s", name, g_strerror(errno));
    else if (!line)
        *code = fail(EXIT_CODE_USAGE, "%s: its first line is longer than it may be, which is %d bytes", name,
                     PASSWORD_MOST);
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

char *password_ask(const char *what, int *code)
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

char *password_line(const char *path, int *code)
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

char *password_read(const char *file, const char *what, int *code)
{
    if (file)
        return password_line(file, code);
    return isatty(STDIN_FILENO) ? password_ask(what, code) : first_line(STDIN_FILENO, "standard input", code);
}
