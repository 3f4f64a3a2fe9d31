// SPDX-License-Identifier: GPL-2.0-or-later
/* import_page.h - the wizard's page for an appliance or another program's machine: what would come of it, and what would not, before
 * anything is made (vmctl import --dry-run). */
#pragma once
#include <adwaita.h>
#include <stdbool.h>

/* Property "problem" (read-only): why it cannot be imported; NULL: it can, or is being looked at. */
G_DECLARE_FINAL_TYPE(VmImport, vm_import, VM, IMPORT, AdwBin)
bool import_is_for(const char *path); /* by its name: .ova, .ovf, .vmx, .vbox, .utm, .xml (libvirt), .conf (quickemu) */
void vm_import_take(VmImport *p, const char *path);
void vm_import_forget(VmImport *p); /* nobody wants to know any more */
/* The name that was given; g_free. */
char *vm_import_name(VmImport *p);
/* After "vmctl"; NULL: it is not known yet what would come of it.  g_strfreev */
char **vm_import_words(VmImport *p);
