// SPDX-License-Identifier: GPL-2.0-or-later
/* fd_pass.c - see fd_pass.h. */
#include "core-vmm/outer/fd_pass.h"
#include <string.h>
#include <sys/socket.h>

union control { /* the length is exact, else there would be room for two */
    struct cmsghdr align;
    char space[CMSG_SPACE(sizeof(int))];
};

ssize_t fd_send(int socket, const void *data, size_t bytes, int fd, int flags)
{
    union control control = {0};
    struct iovec iov = {(void *)data, bytes};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        m.msg_control = &control;
        m.msg_controllen = CMSG_LEN(sizeof fd);
        control.align = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.align), &fd, sizeof fd);
    }
    return sendmsg(socket, &m, flags | MSG_NOSIGNAL);
}

ssize_t fd_receive(int socket, void *data, size_t bytes, int *fd, int flags)
{
    union control control = {0};
    struct iovec iov = {data, bytes};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof *fd)};
    ssize_t n = recvmsg(socket, &m, flags | MSG_CMSG_CLOEXEC);
    struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    *fd = -1;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof *fd))
        memcpy(fd, CMSG_DATA(c), sizeof *fd);
    return n;
}
