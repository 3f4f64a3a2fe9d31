// SPDX-License-Identifier: GPL-2.0-or-later
/* password.c - passwords for verbs: from a file or the terminal, never from the command line, which others can read. */
#include "core-vmm/vmctl/vmctl.h"
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* Its first line; NULL: it cannot be read. */
static char *first_line(FILE *f)
{
    char text[512] = "";
    char *got = fgets(text, sizeof text, f);
    char *line = got || feof(f) ? g_strdup(g_strdelimit(text, "\r\n", 0)) : NULL;
    explicit_bzero(text, sizeof text);
    return line;
}

static char *ask_terminal(const char *prompt)
{
    struct termios before, silent;
    bool terminal = !tcgetattr(STDIN_FILENO, &before);
    silent = before;
    silent.c_lflag &= ~ECHO;
    if (terminal) {
        fputs(prompt, stderr);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    }
    char *line = first_line(stdin);
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', stderr);
    }
    return line;
}

char *password_read(const char *file, const char *prompt)
{
    FILE *f = file ? fopen(file, "re") : NULL;
    if (file && !f)
        return NULL;
    char *line = f ? first_line(f) : ask_terminal(prompt);
    if (f)
        fclose(f);
    return line;
}
