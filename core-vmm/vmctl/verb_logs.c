// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_logs.c - vmctl logs. */
#include "core-vmm/vmctl/verbs.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/host/terminal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define POLL_US 200000

struct reader {
    int fd;
    char rest[4]; /* of a character that is not whole yet */
    gsize left;
};

/* A network process' log that is full goes on with its newer half: the rest of it has been seen. */
static void follow_cut(int fd)
{
    struct stat st;
    if (!fstat(fd, &st) && lseek(fd, 0, SEEK_CUR) > st.st_size)
        lseek(fd, 0, SEEK_END);
}

static bool copy(struct reader *r)
{
    char buffer[8192];
    ssize_t n;
    follow_cut(r->fd);
    while ((n = read(r->fd, buffer + sizeof r->rest, sizeof buffer - sizeof r->rest)) > 0) {
        char *start = buffer + sizeof r->rest - r->left;
        memcpy(start, r->rest, r->left);
        gsize all = r->left + n, whole = terminal_whole(start, all);
        r->left = all - whole;
        if (print_bytes(start, whole) != whole)
            return false;
        memcpy(r->rest, start + whole, r->left);
    }
    return !fflush(stdout) && n == 0;
}

static int logs(const struct verb *v, int argc, char **argv)
{
    gboolean follow = FALSE, network = FALSE, vnc = FALSE;
    int code, previous = 0;
    struct stat st;
    const GOptionEntry entries[] = {
        {"follow", 'f', 0, G_OPTION_ARG_NONE, &follow, "Go on while the machine runs", NULL},
        {"network", 'n', 0, G_OPTION_ARG_NONE, &network, "Of its network process: links, refusals, dropped frames",
         NULL},
        {"vnc", 0, 0, G_OPTION_ARG_NONE, &vnc, "Of its VNC server: who came, who was sent away and why", NULL},
        {"previous", 'p', 0, G_OPTION_ARG_INT, &previous, "Of the Nth run before the last", "N"},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 1, 1, &code))
        return code;
    g_autofree char *name = machine_resolve(argv[1], &code);
    if (!name)
        return code;
    g_autofree char *folder = machines_folder(name), *last = network ? paths_network_log(folder)
                                                             : vnc   ? paths_vnc_log(folder)
                                                                     : paths_log(folder);
    g_autofree char *path = previous > 0 ? g_strdup_printf("%s.%d", last, previous) : g_strdup(last);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* the VM process could put a pipe there */
    if (fd < 0 && errno == ENOENT)
        return fail(EXIT_CODE_NOT_FOUND, "%s has no such log: %s", name, path);
    if (fd < 0)
        return fail(EXIT_CODE_HOST, "%s: %s", path, g_strerror(errno));
    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
        close(fd);
        return fail(EXIT_CODE_FAILED, "%s is no regular file", path);
    }
    struct reader r = {.fd = fd};
    bool good = copy(&r);
    while (good && follow && machine_lock_holder(folder)) {
        g_usleep(POLL_US);
        good = copy(&r);
    }
    good = print_bytes(r.rest, r.left) == r.left && good;
    close(fd);
    return good ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}

const struct verb verb_logs = {"logs", "NAME", "show what the VM process has to say",
                               "  vmctl logs demo --follow\n  vmctl logs demo --network", logs};
