// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_unattended.c - vmctl unattended: a medium with answers for an installer, and the end of an installation. */
#include "core-vmm/control/client_fresh.h"
#include "core-vmm/host/machine_installed.h"
#include "core-vmm/install/medium.h"
#include "core-vmm/vmctl/unattended.h"
#include "core-vmm/vmctl/verbs.h"
#include <string.h>

static int write_medium(struct answer_options *a, const char *iso, const char *out)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *usual = g_strconcat(unattended_kind_name(a->u.kind), "-answers.iso", NULL);
    struct medium *m = medium_detect(iso, &error);
    int code = EXIT_CODE_OK;
    if (!m)
        return fail_error(error);
    if (answers_read(a, &code)) {
        unattended_complete(&a->u, NULL);
        if (unattended_write(&a->u, m, out ? out : usual, &error))
            print("%s\n", out ? out : usual);
        else
            code = fail_error(error);
    }
    medium_free(m);
    return code;
}

static int finish(const char *given, bool again)
{
    g_autoptr(GError) error = NULL;
    int code;
    g_autofree char *name = machine_resolve(given, &code);
    if (!name)
        return code;
    return (again ? machines_install_again : machines_installed)(name, &error) ? EXIT_CODE_OK : fail_error(error);
}

/* Started with a machine that waits for its snapshot "Fresh install". */
static int watch(const char *given)
{
    int code;
    g_autofree char *name = machine_resolve(given, &code);
    if (!name)
        return code;
    client_fresh_watch(name);
    return EXIT_CODE_OK;
}

static int dispatch(const struct verb *v, char **argv, struct answer_options *a, const char *out)
{
    if (!strcmp(argv[1], "watch"))
        return watch(argv[2]);
    bool again = !strcmp(argv[1], "again");
    if (again || !strcmp(argv[1], "finish"))
        return answers_said(a) || out ? fail(EXIT_CODE_USAGE, "unattended %s takes no options", argv[1])
                                      : finish(argv[2], again);
    a->u.kind = unattended_kind_find(argv[1]);
    if (a->u.kind == UNATTENDED_NONE)
        return fail(EXIT_CODE_USAGE, "there are no answers for \"%s\"; usage: vmctl unattended %s", argv[1], v->args);
    return write_medium(a, argv[2], out);
}

static int unattended(const struct verb *v, int argc, char **argv)
{
    struct answer_options a = {0};
    g_autofree char *out = NULL;
    g_autofree GOptionEntry *answers = answer_entries(&a);
    const GOptionEntry own[] = {
        {"uefi", 0, 0, G_OPTION_ARG_NONE, &a.uefi, "The machine's firmware is UEFI, not a BIOS", NULL},
        {"output", 'o', 0, G_OPTION_ARG_FILENAME, &out, "The new medium (default: SYSTEM-answers.iso)", "OUT.iso"},
        {NULL},
    };
    g_autofree GOptionEntry *entries = entries_join(answers, own);
    int code;
    if (verb_options(v, entries, &argc, &argv, 2, 2, &code))
        code = dispatch(v, argv, &a, out);
    answers_clear(&a);
    return code;
}

const struct verb verb_unattended = {
    "unattended", "debian|ubuntu|fedora|windows ISO | finish NAME | again NAME",
    "make a medium with answers for an installer",
    "  vmctl unattended windows win11.iso --user ann --password-file pw -o answers.iso\n"
    "  vmctl unattended finish win",
    unattended};
