// SPDX-License-Identifier: GPL-2.0-or-later
/* net_line.h - the VM process' half of its network: the cables of all cards end in the network process. */
#pragma once
#include "core-vmm/machine/machine.h"
#include "core-vmm/outer/outer.h"

struct net_line;
/* All cards of the machine, from now on; the cables are in while that process is there.  end: its number on the line. */
struct net_line *net_line_new(struct machine *m, struct outer *o, unsigned end);
void net_line_free(struct net_line *l); /* before the machine; NULL is fine */
