#include "admin/control.h"
#include "cmd/control.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* The loop runs here; the peers are sockets of the same thread, except where a blocking client is tested. */
static struct fixture {
    char folder[64], path[96];
    struct event_base *base;
    struct bw_control *control;
    struct bw_control_request *held;
    int echoes;
} f;

static void echo(void *arg, struct bw_control_request *request, const json_t *body)
{
    assert_ptr_equal(arg, &f);
    assert_int_equal(bw_control_peer(request), getuid());
    f.echoes++;
    bw_control_answer(request, json_pack("{s:O}", "said", json_object_get(body, "say")));
}

static void hold(void *arg, struct bw_control_request *request, const json_t *body)
{
    (void)arg, (void)body;
    f.held = request;
}

static void refuse(void *arg, struct bw_control_request *request, const json_t *body)
{
    struct bw_error err;
    (void)arg, (void)body;
    bw_error_set(&err, "test.no", "not today");
    bw_error_hint(&err, "tomorrow");
    bw_control_refuse(request, &err);
}

static const struct bw_control_verb verbs[] = {{"echo", echo}, {"hold", hold}, {"refuse", refuse}};

static void open_control(void)
{
    struct bw_error err;
    f.control = bw_control_new(f.base, f.folder, verbs, 3, &f, &err);
    assert_non_null(f.control);
}

static int set_up(void **state)
{
    (void)state;
    memset(&f, 0, sizeof f);
    strcpy(f.folder, "/tmp/bellwire-control-XXXXXX");
    assert_non_null(mkdtemp(f.folder));
    snprintf(f.path, sizeof f.path, "%s/control.sock", f.folder);
    f.base = event_base_new();
    open_control();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    bw_control_free(f.control);
    event_base_free(f.base);
    unlink(f.path);
    rmdir(f.folder);
    return 0;
}

static int dial(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", f.path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* What the peer gets until `lines` lines are there or the connection is closed; the loop runs meanwhile. */
static char *answers(int fd, int lines)
{
    static char text[8192];
    size_t len = 0;
    memset(text, 0, sizeof text);
    while (lines) {
        ssize_t got = recv(fd, text + len, sizeof text - 1 - len, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN)) break;
        if (got < 0) {
            event_base_loop(f.base, EVLOOP_ONCE);
            continue;
        }
        for (ssize_t i = 0; i < got; i++) lines -= text[len + (size_t)i] == '\n';
        len += (size_t)got;
    }
    return text;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void assert_closed(int fd)
{
    char byte;
    ssize_t got;
    while ((got = recv(fd, &byte, 1, 0)) < 0 && errno == EAGAIN) event_base_loop(f.base, EVLOOP_ONCE);
    assert_true(got <= 0);
    close(fd);
}

static void test_requests_are_answered_in_their_order(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, "{\"do\":\"echo\",\"say\":1}\n{\"do\":\"refuse\"}\n{\"do\":\"echo\",\"say\":[2]}\n{\"do\":\"fly\"}\n");
    const char *text = answers(fd, 4);
    assert_string_equal(strtok((char *)text, "\n"), "{\"ok\":true,\"said\":1}");
    assert_string_equal(strtok(NULL, "\n"), "{\"ok\":false,\"error\":{\"code\":\"test.no\",\"message\":\"not today\",\"hint\":\"tomorrow\"}}");
    assert_string_equal(strtok(NULL, "\n"), "{\"ok\":true,\"said\":[2]}");
    assert_non_null(strstr(strtok(NULL, "\n"), "control.unknown"));
    close(fd);
}

static void test_a_request_in_pieces_is_one_request(void **state)
{
    (void)state;
    int fd = dial();
    const char *text = "{\"do\":\"echo\",\"say\":\"x\"}\n";
    for (const char *at = text; *at; at++) {
        assert_int_equal(send(fd, at, 1, MSG_NOSIGNAL), 1);
        event_base_loop(f.base, EVLOOP_NONBLOCK);
    }
    assert_string_equal(answers(fd, 1), "{\"ok\":true,\"said\":\"x\"}\n");
    close(fd);
}

static void test_garbage_ends_its_own_connection_only(void **state)
{
    static const char *const garbage[] = {"\n",         "GET / HTTP/1.1\r\n",           "[]\n", "{\"do\":\"echo\"\n", "{} {}\n",
                                          "\xff\xfe\n", "{\"do\":\"a\",\"do\":\"b\"}\n"};
    (void)state;
    int good = dial();
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        int fd = dial();
        say(fd, garbage[i]);
        assert_non_null(strstr(answers(fd, 1), "\"control.malformed\""));
        assert_closed(fd);
    }
    say(good, "{\"do\":\"echo\",\"say\":true}\n");
    assert_string_equal(answers(good, 1), "{\"ok\":true,\"said\":true}\n");
    close(good);
}

static void test_a_line_that_is_too_long_is_refused_before_it_is_read(void **state)
{
    (void)state;
    int fd = dial();
    char chunk[4096];
    size_t sent = 0;
    memset(chunk, 'x', sizeof chunk);
    while (sent < 3 * (size_t)BW_CONTROL_LINE_MAX) {
        ssize_t took = send(fd, chunk, sizeof chunk, MSG_NOSIGNAL);
        if (took < 0 && errno != EAGAIN) break; /* it does not listen any more */
        if (took > 0) sent += (size_t)took;
        event_base_loop(f.base, EVLOOP_NONBLOCK);
    }
    assert_true(sent < 2 * (size_t)BW_CONTROL_LINE_MAX);
    assert_non_null(strstr(answers(fd, 1), "\"control.too_long\""));
    assert_closed(fd);
}

static void test_more_connections_than_there_is_room_for_are_told(void **state)
{
    int fds[BW_CONTROL_CONNECTIONS_MAX];
    (void)state;
    for (size_t i = 0; i < BW_CONTROL_CONNECTIONS_MAX; i++) {
        fds[i] = dial();
        say(fds[i], "{\"do\":\"echo\",\"say\":0}\n");
        assert_string_equal(answers(fds[i], 1), "{\"ok\":true,\"said\":0}\n");
    }
    int late = dial();
    assert_non_null(strstr(answers(late, 1), "\"control.busy\""));
    assert_closed(late);
    close(fds[0]);
    event_base_loop(f.base, EVLOOP_ONCE);
    late = dial();
    say(late, "{\"do\":\"echo\",\"say\":9}\n");
    assert_string_equal(answers(late, 1), "{\"ok\":true,\"said\":9}\n");
    close(late);
    for (size_t i = 1; i < BW_CONTROL_CONNECTIONS_MAX; i++) close(fds[i]);
}

static void test_the_next_request_waits_for_the_last_answer(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, "{\"do\":\"hold\"}\n{\"do\":\"echo\",\"say\":2}\n");
    while (!f.held) event_base_loop(f.base, EVLOOP_ONCE);
    event_base_loop(f.base, EVLOOP_NONBLOCK);
    assert_int_equal(f.echoes, 0);
    bw_control_answer(f.held, NULL);
    assert_string_equal(answers(fd, 2), "{\"ok\":true}\n{\"ok\":true,\"said\":2}\n");
    close(fd);
}

static void test_an_answer_may_come_after_its_connection_and_after_the_control(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        int fd = dial();
        f.held = NULL;
        say(fd, "{\"do\":\"hold\"}\n");
        while (!f.held) event_base_loop(f.base, EVLOOP_ONCE);
        close(fd);
        if (round) {
            bw_control_free(f.control);
            f.control = NULL;
        } else {
            event_base_loop(f.base, EVLOOP_NONBLOCK);
        }
        bw_control_answer(f.held, json_pack("{s:i}", "n", 1));
    }
}

static void test_only_the_owner_may_connect_and_a_stale_socket_is_replaced(void **state)
{
    struct stat status;
    (void)state;
    assert_int_equal(stat(f.path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    bw_control_free(f.control);
    assert_int_equal(stat(f.path, &status), -1);
    int stale = open(f.path, O_CREAT | O_WRONLY, 0644);
    assert_true(stale >= 0);
    close(stale);
    open_control();
    int fd = dial();
    say(fd, "{\"do\":\"echo\",\"say\":3}\n");
    assert_string_equal(answers(fd, 1), "{\"ok\":true,\"said\":3}\n");
    close(fd);
}

static void test_a_path_that_no_socket_can_have_is_named(void **state)
{
    char folder[200];
    struct bw_error err;
    json_t *answer;
    (void)state;
    memset(folder, 'd', sizeof folder - 1);
    folder[sizeof folder - 1] = '\0';
    assert_null(bw_control_new(f.base, folder, verbs, 3, &f, &err));
    assert_string_equal(err.code, "control.path_too_long");
    json_t *request = json_pack("{s:s}", "do", "echo");
    assert_false(bw_control_ask(folder, request, &answer, &err));
    assert_string_equal(err.code, "control.path_too_long");
    json_decref(request);
}

struct client {
    const char *verb;
    bool good, is_done;
    json_t *answer;
    struct bw_error err;
};
static void *ask(void *arg)
{
    struct client *client = arg;
    json_t *request = json_pack("{s:s,s:s}", "do", client->verb, "say", "hello");
    client->good = bw_control_ask(f.folder, request, &client->answer, &client->err);
    json_decref(request);
    __atomic_store_n(&client->is_done, true, __ATOMIC_RELEASE);
    return NULL;
}

static void test_the_client_gives_the_answer_or_the_engines_error(void **state)
{
    struct client clients[] = {{.verb = "echo"}, {.verb = "refuse"}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, ask, &clients[i]), 0);
        while (!__atomic_load_n(&clients[i].is_done, __ATOMIC_ACQUIRE)) event_base_loop(f.base, EVLOOP_NONBLOCK);
        pthread_join(thread, NULL);
    }
    assert_true(clients[0].good);
    assert_string_equal(bw_json_str(clients[0].answer, "said", ""), "hello");
    json_decref(clients[0].answer);
    assert_false(clients[1].good);
    assert_null(clients[1].answer);
    assert_string_equal(clients[1].err.code, "test.no");
    assert_string_equal(clients[1].err.hint, "tomorrow");
}

static void test_without_an_engine_the_client_says_so(void **state)
{
    struct client client = {.verb = "echo"};
    (void)state;
    bw_control_free(f.control);
    f.control = NULL;
    ask(&client);
    assert_false(client.good);
    assert_string_equal(client.err.code, "control.not_serving");
    assert_non_null(strstr(client.err.hint, "bellwire serve"));
}

int main(void)
{
    bw_json_setup();
#define CONTROL(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CONTROL(test_requests_are_answered_in_their_order),
        CONTROL(test_a_request_in_pieces_is_one_request),
        CONTROL(test_garbage_ends_its_own_connection_only),
        CONTROL(test_a_line_that_is_too_long_is_refused_before_it_is_read),
        CONTROL(test_more_connections_than_there_is_room_for_are_told),
        CONTROL(test_the_next_request_waits_for_the_last_answer),
        CONTROL(test_an_answer_may_come_after_its_connection_and_after_the_control),
        CONTROL(test_only_the_owner_may_connect_and_a_stale_socket_is_replaced),
        CONTROL(test_a_path_that_no_socket_can_have_is_named),
        CONTROL(test_the_client_gives_the_answer_or_the_engines_error),
        CONTROL(test_without_an_engine_the_client_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
