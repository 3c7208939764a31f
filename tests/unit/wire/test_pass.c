/* Descriptors that are passed, and what is no such message. */
#include "wire/pass.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What is written to one end of a pipe comes out of the other: which descriptor is it? */
static void assert_writes_to(int fd, int reader)
{
    char byte = 0;
    assert_int_equal(write(fd, "x", 1), 1);
    assert_int_equal(read(reader, &byte, 1), 1);
    assert_int_equal(byte, 'x');
}

static void test_descriptors_come_in_their_order_with_their_numbers(void **state)
{
    (void)state;
    int pair[2], pipes[3][2];
    int64_t number = 0;
    assert_true(bw_pass_pair(pair));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pipe(pipes[i]), 0);
        assert_true(bw_pass_send(pair[0], ((int64_t)1 << 40) + i, pipes[i][1]));
        close(pipes[i][1]); /* the message has its own */
    }
    for (int i = 0; i < 3; i++) {
        int fd = bw_pass_take(pair[1], &number);
        assert_true(fd >= 0);
        assert_true(number == ((int64_t)1 << 40) + i);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_writes_to(fd, pipes[i][0]);
        close(fd);
        close(pipes[i][0]);
    }
    assert_int_equal(bw_pass_take(pair[1], &number), -1);
    assert_int_equal(errno, EAGAIN);
    close(pair[0]);
    assert_int_equal(bw_pass_take(pair[1], &number), -1);
    assert_int_not_equal(errno, EAGAIN);
    close(pair[1]);
}

static void test_one_that_nobody_takes_does_not_block(void **state)
{
    (void)state;
    int pair[2], sent = 0;
    assert_true(bw_pass_pair(pair));
    while (bw_pass_send(pair[0], sent, pair[0]) && sent < 100000) sent++;
    assert_int_equal(errno, EAGAIN);
    assert_true(sent > 0);
    close(pair[1]); /* and those on their way go with it */
    assert_false(bw_pass_send(pair[0], 1, pair[0]));
    assert_int_not_equal(errno, EAGAIN);
    close(pair[0]);
}

static void send_raw(int socket, size_t bytes, const int *fds, size_t count)
{
    char text[64] = {0}, control[CMSG_SPACE(4 * sizeof(int))] = {0};
    struct iovec part = {text, bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(head), fds, count * sizeof(int));
    }
    assert_int_equal(sendmsg(socket, &message, 0), bytes);
}

static int next_free(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}

static void test_what_is_no_such_message_leaves_no_descriptor_behind(void **state)
{
    (void)state;
    int pair[2];
    int64_t number;
    assert_true(bw_pass_pair(pair));
    int free_before = next_free(), two[2] = {pair[0], pair[1]};
    send_raw(pair[0], 3, pair, 1); /* no number */
    send_raw(pair[0], 8, NULL, 0); /* no descriptor */
    send_raw(pair[0], 8, two, 2);  /* two of them */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(bw_pass_take(pair[1], &number), -1);
        assert_int_not_equal(errno, EAGAIN);
        assert_int_equal(next_free(), free_before);
    }
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptors_come_in_their_order_with_their_numbers),
        cmocka_unit_test(test_one_that_nobody_takes_does_not_block),
        cmocka_unit_test(test_what_is_no_such_message_leaves_no_descriptor_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
