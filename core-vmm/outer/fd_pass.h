// SPDX-License-Identifier: GPL-2.0-or-later
/* fd_pass.h - a message on a Unix socket that may have one descriptor with it (SCM_RIGHTS, unix(7)). */
#pragma once
#include <sys/types.h>

/* fd: stays the caller's; -1: none.  Flags and result are sendmsg(2)'s; never SIGPIPE. */
ssize_t fd_send(int socket, const void *data, size_t bytes, int fd, int flags);
/* *fd: the caller's from now on, closed at an exec; -1: none came.  Flags and result are recvmsg(2)'s. */
ssize_t fd_receive(int socket, void *data, size_t bytes, int *fd, int flags);
