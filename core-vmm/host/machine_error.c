// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_error.c - the error domain of machines.h, for programs that know it without the library. */
#include "core-vmm/host/machines.h"

G_DEFINE_QUARK(machine - error, machine_error)
