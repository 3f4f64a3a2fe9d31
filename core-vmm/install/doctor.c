// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor.c - see doctor.h. */
#include "core-vmm/install/doctor_inside.h"
#include <string.h>

static void finding_free(gpointer finding)
{
    struct finding *f = finding;
    g_free(f->what);
    g_free(f->cause);
    g_free(f->evidence);
    g_free(f->fix);
    g_free(f->machine);
    g_free(f);
}

void doctor_add(GPtrArray *findings, const char *id, enum finding_grade grade, char *what, char *cause, char *evidence,
                char *fix)
{
    struct finding *f = g_new0(struct finding, 1);
    *f = (struct finding){id, grade, what, cause, evidence, fix, NULL};
    g_ptr_array_add(findings, f);
}

char *doctor_word(const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+";
    return *text && strspn(text, plain) == strlen(text) ? g_strdup(text) : g_shell_quote(text);
}

const char *finding_grade_name(enum finding_grade grade)
{
    static const char *const names[] = {"good", "hint", "warning", "problem"};
    return names[grade];
}

GPtrArray *doctor_look(void)
{
    GPtrArray *findings = g_ptr_array_new_with_free_func(finding_free);
    doctor_engine(findings);
    doctor_host(findings);
    doctor_machines(findings);
    return findings;
}
