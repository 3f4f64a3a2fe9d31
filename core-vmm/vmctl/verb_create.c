// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_create.c - vmctl create. */
#include "core-vmm/install/installing.h"
#include "core-vmm/vmctl/unattended.h"
#include "core-vmm/vmctl/verbs.h"

/* What the first CD holds decides what is not said, and says which answers its installer takes. */
static int create_unattended(const char *name, struct settings *s, struct answer_options *a)
{
    g_autoptr(GError) error = NULL;
    int code = EXIT_CODE_OK;
    if (!s->cdroms || !*s->cdroms || !**s->cdroms)
        return fail(EXIT_CODE_USAGE, "--unattended needs the installer's medium: --cdrom ISO");
    struct medium *m = medium_detect(s->cdroms[0], &error);
    if (!m)
        return fail_error(error);
    if (answers_read(a, &code)) {
        bool good = installing_create(name, s, m, &a->u, &error);
        settings_tell(s);
        if (good)
            note("%s will be installed at its first start, with the user %s", m->name, a->u.user);
        else
            code = fail_error(error);
    }
    medium_free(m);
    return code;
}

/* --os detect */
static int create_detected(const char *name, struct settings *s)
{
    g_autoptr(GError) error = NULL;
    if (!s->cdroms || !*s->cdroms || !**s->cdroms)
        return fail(EXIT_CODE_USAGE, "--os detect needs a medium: --cdrom ISO");
    struct medium *m = medium_detect(s->cdroms[0], &error);
    if (!m)
        return fail_error(error);
    g_clear_pointer(&s->os, g_free);
    bool good = installing_create(name, s, m, NULL, &error);
    settings_tell(s);
    if (good)
        note("the medium is %s", m->name);
    medium_free(m);
    return good ? EXIT_CODE_OK : fail_error(error);
}

static int create(const struct verb *v, int argc, char **argv)
{
    struct settings s = {0};
    struct answer_options a = {0};
    gboolean alone = FALSE, watched = FALSE;
    g_autofree GOptionEntry *answers = answer_entries(&a);
    g_autofree GOptionEntry *with = settings_entries(&s, answers);
    const GOptionEntry own[] = {{"unattended", 0, 0, G_OPTION_ARG_NONE, &alone,
                                 "The first --cdrom installs its system without questions (docs/install.md)", NULL},
                                {"snapshot-when-installed", 0, 0, G_OPTION_ARG_NONE, &watched,
                                 "Take the medium out, and a snapshot \"Fresh install\", when its installer is done",
                                 NULL},
                                {NULL}};
    g_autofree GOptionEntry *entries = entries_join(with, own);
    g_autoptr(GError) error = NULL;
    int code;
    if (verb_options(v, entries, &argc, &argv, 1, 1, &code)) {
        if (watched)
            installing_watched(&s);
        if (alone) {
            code = create_unattended(argv[1], &s, &a);
        } else if (answers_said(&a)) {
            code = fail(EXIT_CODE_USAGE, "answers for an installer count with --unattended only");
        } else if (!g_strcmp0(s.os, "detect")) {
            code = create_detected(argv[1], &s);
        } else {
            bool good = machines_create(argv[1], &s, &error);
            settings_tell(&s);
            code = good ? EXIT_CODE_OK : fail_error(error);
        }
    }
    settings_clear(&s);
    answers_clear(&a);
    return code;
}

const struct verb verb_create = {"create", "NAME", "make a new machine",
                                 "  vmctl create demo --memory 2G --disk 20G --cdrom debian.iso\n"
                                 "  vmctl create box --cdrom debian.iso --unattended --user ann --password-file pw\n"
                                 "  vmctl create tiny --kernel vmlinuz --initrd initrd.gz --cmdline console=ttyS0\n"
                                 "  vmctl create old --set machine.clock=local --floppy dos.img",
                                 create};
