// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once
#include "core-vmm/vmctl/vmctl.h"

extern const struct verb verb_create, verb_list, verb_info, verb_set, verb_start, verb_stop, verb_pause, verb_resume,
    verb_reset, verb_delete, verb_run, verb_screen, verb_type, verb_keys, verb_serial, verb_media, verb_nic, verb_net,
    verb_plug, verb_unplug, verb_usb, verb_balloon, verb_ssh, verb_wait, verb_logs, verb_disk, verb_debug,
    verb_host_info, verb_completion, verb_version, verb_help, verb_save, verb_discard_state, verb_snapshot,
    verb_unattended, verb_doctor, verb_clone, verb_rename, verb_move, verb_import, verb_export, verb_firmware, verb_try,
    verb_vnc, verb_events, verb_top, verb_autostart, verb_guestinfo, verb_folder, verb_exec, verb_cp;
