// SPDX-License-Identifier: GPL-2.0-or-later
/* end_log.h - the log file of a process around a VM. */
#pragma once

/* What g_message() and the like say goes into that file, opened for reading and appending; -1: nowhere. */
void end_log_start(int fd);
