// SPDX-License-Identifier: GPL-2.0-or-later
/* The one list of all commands of the VM process: each group is a table in its own file. */
#include "core-vmm/control/commands.h"

const struct command *const *command_groups(void)
{
    static const struct command *const groups[] = {
        own_commands,
        state_commands,
        media_commands,
        screen_commands,
        display_commands,
        input_commands,
        serial_commands,
        wait_commands,
        device_commands,
        balloon_commands,
        save_commands,
        live_commands,
        additions_commands,
        limits_commands,
        usb_commands,
        debug_commands,
        NULL,
    };
    return groups;
}
