// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor.h - what is wrong with this host or with the machines on it, why, how one sees that, and what mends it: for vmctl
 * doctor and the manager's page.  It changes nothing, starts terrarium-vm and terrarium-look for some tenths of a second,
 * and may be called from any thread (best one that may wait). */
#pragma once
#include <glib.h>

enum finding_grade {
    FINDING_GOOD,    /* so it should be */
    FINDING_HINT,    /* something is missing that not everybody needs */
    FINDING_WARNING, /* it works, but badly */
    FINDING_PROBLEM, /* something does not work */
};
struct finding {
    const char *id; /* "kvm", "disk-space": stays the same */
    enum finding_grade grade;
    char *what;     /* one sentence */
    char *cause;    /* NULL: none is known, or nothing is wrong */
    char *evidence; /* what was looked at and what was there */
    char *fix;      /* a command, or what to do; NULL: nothing to do */
    char *machine;  /* whose matter it is; NULL: the host's */
};
/* All, in the order of their subjects, as struct finding; g_ptr_array_unref. */
GPtrArray *doctor_look(void);
const char *finding_grade_name(enum finding_grade grade); /* "problem" */
