// SPDX-License-Identifier: GPL-2.0-or-later
/* tpm_launcher.c - terrarium-tpm STATE LOGS PROGRAM [ARGUMENT...]: becomes swtpm (machine_tpm.c says how it is called), which
 * may then read the system's libraries, and write to its state and its log, and reach nothing else.  Which system calls it may
 * make it limits itself. */
#include "core-vmm/fence/fence.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *path;
    unsigned access;
} always[] = {
    {"/usr", FENCE_READ},
    {"/lib", FENCE_READ},
    {"/lib64", FENCE_READ},
    {"/etc/ld.so.cache", FENCE_READ},
    {"/etc/ssl", FENCE_READ},
    {"/etc/localtime", FENCE_READ},
    {"/dev/urandom", FENCE_READ},
    {"/dev/random", FENCE_READ},
    {"/dev/null", FENCE_READ | FENCE_WRITE},
};

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    if (argc < 4) {
        fprintf(stderr,
                "terrarium-tpm: is started by vmctl, with a folder for the TPM's state, one for its log, and swtpm\n");
        return 2;
    }
    g_autofree char *log = g_build_filename(argv[2], "tpm.log", NULL);
    int fd = open(log, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd >= 0)
        close(fd);
    struct fence_files *f = fence_files_new();
    for (unsigned i = 0; i < G_N_ELEMENTS(always); i++)
        fence_allow(f, always[i].path, always[i].access);
    fence_allow_file(f, argv[3], FENCE_READ | FENCE_RUN);
    fence_allow_file(f, "/lib64/ld-linux-x86-64.so.2", FENCE_READ | FENCE_RUN); /* the kernel starts it too */
    fence_allow(f, argv[1], FENCE_READ | FENCE_WRITE | FENCE_MAKE);
    fence_allow_file(f, log, FENCE_READ | FENCE_WRITE);
    if (fence_files_close(f, &error))
        execv(argv[3], argv + 3);
    fprintf(stderr, "terrarium-tpm: %s: %s\n", argv[3], error ? error->message : strerror(errno));
    return 1;
}
