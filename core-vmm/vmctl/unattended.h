// SPDX-License-Identifier: GPL-2.0-or-later
/* unattended.h - options of vmctl that say what an installer is answered: for create and unattended. */
#pragma once
#include "core-vmm/install/unattended.h"
#include "core-vmm/vmctl/vmctl.h"

struct answer_options {
    struct unattended u;
    char *password_file, *key_file;
    gboolean uefi, serial;
};
/* For settings_entries() or alone; g_free. */
GOptionEntry *answer_entries(struct answer_options *a);
bool answers_said(const struct answer_options *a); /* is there any? */
/* Reads the files of password and product key, or asks for the password on a terminal. */
bool answers_read(struct answer_options *a, int *code);
void answers_clear(struct answer_options *a);
