#include "wire/pass.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control { /* aligned as the kernel wants it; room for one descriptor: more are not taken in */
    struct cmsghdr head;
    char bytes[CMSG_SPACE(sizeof(int))];
};
#define ONE CMSG_LEN(sizeof(int)) /* not CMSG_SPACE: padding would be room for a second one */

bool bw_pass_pair(int pair[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0;
}

bool bw_pass_send(int socket, int64_t number, int fd)
{
    union control control = {0};
    struct iovec bytes = {&number, sizeof number};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = ONE};
    ssize_t sent;
    control.head.cmsg_level = SOL_SOCKET;
    control.head.cmsg_type = SCM_RIGHTS;
    control.head.cmsg_len = ONE;
    memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    while ((sent = sendmsg(socket, &message, MSG_NOSIGNAL)) < 0 && errno == EINTR) {
    }
    return sent == (ssize_t)sizeof number;
}

int bw_pass_take(int socket, int64_t *number)
{
    union control control = {0};
    struct iovec bytes = {number, sizeof *number};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = ONE};
    ssize_t got;
    int fd = -1;
    while ((got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) {
    }
    if (got < 0) return -1;
    errno = 0;
    const struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS && head->cmsg_len == ONE) memcpy(&fd, CMSG_DATA(head), sizeof fd);
    if (got == (ssize_t)sizeof *number && !(message.msg_flags & MSG_CTRUNC)) return fd;
    if (fd >= 0) close(fd);
    return -1;
}
