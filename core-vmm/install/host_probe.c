// SPDX-License-Identifier: GPL-2.0-or-later
/* host_probe.c - asks `terrarium-vm --probe`. */
#include "core-vmm/install/host_probe.h"
#include "core-vmm/control/answer.h"
#include "core-vmm/host/machines.h"

JsonObject *host_probe(GError **error)
{
    g_autofree char *program = program_find("terrarium-vm"), *out = NULL;
    const char *argv[] = {program, "--probe", NULL};
    int status;
    if (!program) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_NO_PROGRAM, "terrarium-vm is missing");
        return NULL;
    }
    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, NULL, &status, error) ||
        !g_spawn_check_wait_status(status, error))
        return NULL;
    return answer_parse(out, error);
}
