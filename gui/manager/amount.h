// SPDX-License-Identifier: GPL-2.0-or-later
/* amount.h - a row with a slider for an amount of memory, disk or CPUs, in steps that people choose from, with a mark up to where
 * this computer stands it well. */
#pragma once
#include <adwaita.h>
#include <stdbool.h>
#include <stdint.h>

G_DECLARE_FINAL_TYPE(VmAmount, vm_amount, VM, AMOUNT, AdwActionRow)

enum amount_kind { AMOUNT_MEMORY, AMOUNT_DISK, AMOUNT_CPUS };
/* safe: more gets a mark and a warning, which says what is too much ("more than half of ..."). */
void vm_amount_set_up(VmAmount *a, enum amount_kind kind, uint64_t most, uint64_t safe, const char *warning);
void vm_amount_propose(VmAmount *a,
                       uint64_t value); /* the nearest step that is not less; what the user has chosen stays */
uint64_t vm_amount_get(VmAmount *a);    /* bytes, or how many */
void vm_amount_align(VmAmount *a, GtkSizeGroup *titles); /* of several whose sliders are to begin at the same place */
