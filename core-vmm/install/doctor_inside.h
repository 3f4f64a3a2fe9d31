// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor_inside.h - parts of the doctor. */
#pragma once
#include "core-vmm/install/doctor.h"

/* All texts are taken; what must not be NULL. */
void doctor_add(GPtrArray *findings, const char *id, enum finding_grade grade, char *what, char *cause, char *evidence,
                char *fix);
char *doctor_word(const char *text); /* of a shell's command: quoted if it must be; g_free */
void doctor_engine(GPtrArray *findings);
void doctor_host(GPtrArray *findings);
void doctor_machines(GPtrArray *findings);
