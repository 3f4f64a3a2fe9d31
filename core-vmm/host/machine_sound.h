// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_sound.h - the process that is a machine's sound (core-vmm/sound). */
#pragma once
#include "core-vmm/outer/outer.h"

enum { MACHINE_SOUND_FDS = 4 };
struct machine_sound {
    struct outer_end end; /* what the keeper is to start */
    char *program;
    const char *argv[2];
    int fd[MACHINE_SOUND_FDS];
    unsigned count;
};
/* Does machine.ini ask for one?  A sound card whose sound goes nowhere needs none. */
bool machine_sound_wanted(GKeyFile *file, const char *ini);
/* Opens what it needs; a WAV file that is to be written begins anew, any other is refused.  Call machine_sound_done() in any case. */
bool machine_sound_prepare(struct machine_sound *m, GKeyFile *file, const char *ini, const char *folder,
                           GError **error);
void machine_sound_done(struct machine_sound *m); /* the keeper has it */
