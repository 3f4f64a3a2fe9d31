// SPDX-License-Identifier: GPL-2.0-or-later
/* main.c - terrarium-folder, the process of one shared folder: an end of core-vmm/outer, started by the keeper with
 *
 *   3 the pair with the VM process    4 the folder, opened with O_PATH    5 its log
 *
 * It closes its fence before it hears a byte from the VM process: of files that folder stays, and no other way to open one than
 * openat2(). */
#include "core-vmm/fence/fence.h"
#include "core-vmm/outer/end_log.h"
#include "core-vmm/outer/outer.h"
#include "guest-additions/folders/folder.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { FD_FOLDER = OUTER_SOCKET + 1, FD_LOG, OTHER_FILES = 64 };

static bool fence(const struct folder *f, GError **error)
{
    struct fence_files *files = fence_files_new();
    const unsigned change = FENCE_WRITE | FENCE_MAKE | FENCE_TREE;
    fence_allow_fd(files, f->root, FENCE_READ | (f->read_only ? 0 : change));
    return fence_alone(error) && fence_files_close(files, error) && fence_calls_close(FENCE_FOLDER, error);
}

static bool parse(struct folder *f, int argc, char **argv)
{
    static const char *const links[] = {"hide", "show", "create"}; /* as enum folder_links */
    f->read_only = argc == 3 && !strcmp(argv[1], "read-only");
    if (argc != 3 || (!f->read_only && strcmp(argv[1], "read-write")))
        return false;
    for (unsigned i = 0; i < G_N_ELEMENTS(links); i++)
        if (!strcmp(argv[2], links[i])) {
            f->links = i;
            return true;
        }
    return false;
}

/* As many as guests may have open, if the host lets us. */
static void more_files(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l))
        return;
    l.rlim_cur = MIN(l.rlim_max, FOLDER_HANDLES_MOST + OTHER_FILES);
    setrlimit(RLIMIT_NOFILE, &l);
}

/* Until the VM process hangs up, or says what is no wish. */
static int serve(struct folder *f)
{
    g_autofree uint8_t *wish = g_malloc(FOLDER_WISH_MOST + 1), *answer = g_malloc(FOLDER_ANSWER_MOST);
    for (;;) {
        ssize_t n = read(OUTER_SOCKET, wish, FOLDER_WISH_MOST + 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return EXIT_SUCCESS;
        size_t bytes = folder_do(f, wish, n, answer);
        if (!bytes) {
            g_critical("the VM process says what makes no sense");
            return EXIT_FAILURE;
        }
        if (write(OUTER_SOCKET, answer, bytes) != (ssize_t)bytes)
            return EXIT_SUCCESS;
    }
}

int main(int argc, char **argv)
{
    struct folder f = {.root = FD_FOLDER};
    g_autoptr(GError) error = NULL;
    prctl(PR_SET_NAME, "vm-folder");
    umask(022); /* the guest's user has taken its own away already */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on the size of files is an error of writing, like others */
    tzset();
    end_log_start(FD_LOG);
    if (!parse(&f, argc, argv)) {
        g_critical("this is started by vmctl, with: read-only | read-write, and hide | show | create");
        return EXIT_FAILURE;
    }
    more_files();
    folder_handles_init(&f);
    g_message("the process of a shared folder begins, number %d", (int)getpid());
    if (!fence(&f, &error)) {
        g_critical("%s", error->message);
        return EXIT_FAILURE;
    }
    int code = serve(&f);
    folder_handles_free(&f);
    return code;
}
