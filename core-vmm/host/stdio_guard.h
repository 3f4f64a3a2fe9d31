// SPDX-License-Identifier: GPL-2.0-or-later
/* stdio_guard.h - for main(), before anything is opened. */
#pragma once

/* A program that was started with stdin, stdout or stderr closed gets its next file as one of them, and what it prints goes
 * there: into a disk image.  So these descriptors are taken by /dev/null, opened the wrong way round: whoever uses one
 * still gets an error. */
void stdio_guard(void);
