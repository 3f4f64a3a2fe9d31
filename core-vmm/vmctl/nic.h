// SPDX-License-Identifier: GPL-2.0-or-later
/* nic.h - the parts of vmctl nic: verb_nic.c has the table, nic_traffic.c limits and captures. */
#pragma once
#include "core-vmm/vmctl/vmctl.h"

struct nic_options {
    char *card, *output;
    enum output how;
};
/* Prints it as JSON, or by table(); takes it.  An exit code. */
int nic_show(JsonObject *o, const struct nic_options *n, void (*table)(JsonObject *o));
void nic_tell(const char *machine, enum settings_count count); /* if something counts later only */

/* Parts; argv ends with NULL.  Exit codes. */
int nic_limit(const char *machine, const struct nic_options *o, int argc, char **argv);
int nic_capture_start(const char *machine, const struct nic_options *o, int argc, char **argv);
int nic_capture_stop(const char *machine, const struct nic_options *o, int argc, char **argv);
int nic_capture_list(const char *machine, const struct nic_options *o, int argc, char **argv);
