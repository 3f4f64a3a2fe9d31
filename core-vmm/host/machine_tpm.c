// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_tpm.c - see machine_tpm.h.  The program gets its control channel as the descriptor that every end gets (OUTER_SOCKET);
 * it locks its state itself, and has a filter of system calls of its own.  terrarium-tpm, which becomes it, sees to it that it
 * reaches no files but its state and its log. */
#include "core-vmm/host/machine_tpm.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/paths.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { AGAIN_MS = 1000 };

static bool make_folder(const char *path, GError **error)
{
    return !mkdir(path, 0700) || errno == EEXIST || path_failed(path, error);
}

static bool find(char **swtpm, char **launcher, GError **error)
{
    *swtpm = g_find_program_in_path("swtpm");
    *launcher = program_find("terrarium-tpm");
    if (*swtpm && *launcher)
        return true;
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_NO_PROGRAM, "%s, which is the machine's TPM, is missing: %s",
                *swtpm ? "terrarium-tpm" : "swtpm",
                *swtpm ? "it was looked for beside vmctl and in PATH"
                       : "install the package swtpm, or take [tpm] out of machine.ini");
    return false;
}

bool machine_tpm_prepare(struct machine_tpm *t, const char *folder, GError **error)
{
    g_autofree char *state = g_build_filename(folder, MACHINE_TPM_FOLDER, NULL),
                    *logs = g_build_filename(folder, "logs", NULL);
    g_autofree char *swtpm = NULL, *launcher = NULL;
    if (!find(&swtpm, &launcher, error) || !make_folder(state, error) || !make_folder(logs, error))
        return false;
    g_autofree char *tpmstate = g_strdup_printf("dir=%s,mode=0600", state);
    g_autofree char *log = g_strdup_printf("file=%s/tpm.log,truncate", logs);
    g_autofree char *control = g_strdup_printf("type=unixio,clientfd=%d", OUTER_SOCKET);
    const char *argv[] = {launcher,     state,    logs,    swtpm, "socket", "--tpm2", "--terminate",
                          "--tpmstate", tpmstate, "--log", log,   "--ctrl", control,  NULL};
    t->argv = g_strdupv((char **)argv);
    t->end = (struct outer_end){
        .name = "tpm", .argv = (const char *const *)t->argv, .type = SOCK_STREAM, .again_ms = AGAIN_MS};
    return true;
}

void machine_tpm_done(struct machine_tpm *t)
{
    g_clear_pointer(&t->argv, g_strfreev);
}
