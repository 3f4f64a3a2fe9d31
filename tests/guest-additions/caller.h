// SPDX-License-Identifier: GPL-2.0-or-later
/* caller.h - a program in the guest, as the backdoor sees it: the stepped machine with additions; the test sets the CPU's registers
 * before each access to the ports, and reads them afterwards. */
#pragma once
#include "core-vmm/machine/core.h"
#include "guest-additions/common/additions.h"

struct caller {
    struct stepped *stepped;
    struct machine *machine;     /* its */
    struct additions *additions; /* NULL: nobody serves */
    uint32_t r[8];               /* before the access, and after it, by their numbers in x86_state.h */
    uint32_t cookie[2];
};

struct caller *caller_new(const char *additions_keys, bool served); /* keys: lines of the section [additions] */
void caller_free(struct caller *c);
void caller_wait(struct caller *c, uint64_t ns);
void caller_reset(struct caller *c); /* the machine's reset line */
/* The device is saved, and loaded into that one, or into itself. */
void caller_save_load(struct caller *from, struct caller *to);
/* The command with that argument; returns EAX.  What is not said is zero. */
uint32_t caller_command(struct caller *c, unsigned command, uint32_t argument);
/* A channel, by its cookie; -1: there is none. */
int caller_open(struct caller *c, uint32_t protocol);
unsigned caller_message(struct caller *c, unsigned channel, unsigned kind,
                        uint32_t argument); /* the status; r as they are then */
/* Bytes by the high-bandwidth port, one alone or many at once; the status. */
unsigned caller_fast(struct caller *c, unsigned channel, bool in, uint8_t *data, uint32_t bytes);
unsigned caller_send(struct caller *c, unsigned channel, const void *data, uint32_t bytes, bool fast);
GBytes *caller_receive(struct caller *c, unsigned channel, bool fast); /* NULL: there is nothing */
/* A question to RPCI and its answer; g_free. */
char *caller_ask(struct caller *c, const char *question);
#define CALLER_RPCI    0x49435052u
#define CALLER_TCLO    0x4f4c4354u
#define CALLER_SUCCESS 1
#define CALLER_WAITS   2
