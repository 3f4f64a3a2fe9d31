// SPDX-License-Identifier: GPL-2.0-or-later
/* The one list of all verbs, in the order of the help. */
#include "core-vmm/vmctl/verbs.h"
#include <string.h>

const struct verb *const *verbs_all(void)
{
    static const struct verb *const all[] = {
        &verb_run,       &verb_create, &verb_unattended, &verb_list,    &verb_info,
        &verb_set,       &verb_start,  &verb_stop,       &verb_save,    &verb_discard_state,
        &verb_snapshot,  &verb_try,    &verb_clone,      &verb_rename,  &verb_move,
        &verb_import,    &verb_export, &verb_pause,      &verb_resume,  &verb_reset,
        &verb_delete,    &verb_screen, &verb_vnc,        &verb_type,    &verb_keys,
        &verb_serial,    &verb_media,  &verb_nic,        &verb_net,     &verb_firmware,
        &verb_plug,      &verb_unplug, &verb_usb,        &verb_balloon, &verb_guestinfo,
        &verb_folder,    &verb_exec,   &verb_cp,         &verb_ssh,     &verb_wait,
        &verb_autostart, &verb_events, &verb_top,        &verb_logs,    &verb_disk,
        &verb_debug,     &verb_doctor, &verb_host_info,  &verb_version, &verb_completion,
        &verb_help,      NULL,
    };
    return all;
}

const struct verb *verb_find(const char *name)
{
    for (const struct verb *const *v = verbs_all(); *v; v++)
        if (!strcmp((*v)->name, name))
            return *v;
    return NULL;
}
