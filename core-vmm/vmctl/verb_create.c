// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_create.c - vmctl create. */
#include "core-vmm/vmctl/verbs.h"

static int create(const struct verb *v, int argc, char **argv)
{
    struct settings s = {0};
    g_autofree GOptionEntry *entries = settings_entries(&s, NULL);
    g_autoptr(GError) error = NULL;
    int code;
    if (verb_options(v, entries, &argc, &argv, 1, 1, &code)) {
        bool good = machines_create(argv[1], &s, &error);
        settings_tell(&s);
        code = good ? EXIT_CODE_OK : fail_error(error);
    }
    settings_clear(&s);
    return code;
}

const struct verb verb_create = {"create", "NAME", "make a new machine",
                                 "  vmctl create demo --memory 2G --disk 20G --cdrom debian.iso\n"
                                 "  vmctl create tiny --kernel vmlinuz --initrd initrd.gz --cmdline console=ttyS0\n"
                                 "  vmctl create old --set machine.clock=local --floppy dos.img",
                                 create};
