/* Who is let in when it gets full: signed sources last, and no source in the place of all others. */
#include "ingest/fixture.h"

static void set_up(struct server *server, bool alpha_is_open)
{
    server->sources[0].config.verify = (char *)(alpha_is_open ? "none" : "github");
    server->sources[1].config.verify = (char *)"github";
    server_start(server);
}

/* A body that does not come: when the first request is answered the second one's head is through the gate, since they came as one. */
static int announce(const struct server *server, const char *path, unsigned bytes)
{
    char text[300];
    int fd = dial(server);
    snprintf(text, sizeof text, "GET /healthz HTTP/1.1\r\n" HOST "\r\nPOST %s HTTP/1.1\r\n" HOST "Content-Length: %u\r\n\r\n", path, bytes);
    say(fd, text);
    assert_int_equal(hear(fd).status, 200);
    return fd;
}

static int post(const struct server *server, const char *path, unsigned bytes)
{
    char text[2048];
    snprintf(text, sizeof text, "POST %s HTTP/1.1\r\n" HOST "Content-Length: %u\r\n\r\n%0*d", path, bytes, (int)bytes, 0);
    return ask(server, text).status;
}

/* Submitted and not answered while the writer is held. */
static int leave(const struct server *server, const char *path, size_t parked_before)
{
    char text[200];
    int fd = dial(server);
    snprintf(text, sizeof text, "POST %s HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}", path);
    say(fd, text);
    while (bw_ingest_parked(server->ingest) <= parked_before) usleep(1000);
    return fd;
}

static void test_half_of_the_bytes_are_for_those_who_prove_who_they_are(void **state)
{
    struct server *server = *state;
    server->options.in_flight_bytes = 1000;
    set_up(server, true);
    int fd = announce(server, "/in/beta", 600);
    assert_int_equal(post(server, "/in/alpha", 2), 503);
    assert_int_equal(post(server, "/nobody", 2), 503);
    struct response got = ask(server, "GET /nobody HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(got.status, 503);
    assert_non_null(strstr(got.text, "\r\nRetry-After: "));
    assert_int_equal(post(server, "/in/beta", 100), 202);
    close(fd);
    while (bw_ingest_connections(server->ingest)) usleep(1000);
    assert_int_equal(post(server, "/in/alpha", 2), 202);
    assert_int_equal(post(server, "/nobody", 2), 404);
    assert_int_equal(post(server, "/in/alpha", 501), 503); /* never more than half */
}

static void test_half_of_the_queue_too(void **state)
{
    struct server *server = *state;
    struct hold hold;
    int fds[6];
    server->options.queued_max = 8;
    set_up(server, true);
    hold_writer(server, &hold);
    for (size_t i = 0; i < 5; i++) fds[i] = leave(server, "/in/beta", i);
    assert_int_equal(post(server, "/in/alpha", 2), 503);
    assert_int_equal(post(server, "/nobody", 2), 503);
    fds[5] = leave(server, "/in/beta", 5);
    /* Refusals leave no records now: they would fill what is left. */
    size_t queued = bw_store_queued(server->store);
    for (int i = 0; i < 20; i++) assert_int_equal(post(server, "/nobody", 2), 503);
    assert_int_equal(bw_store_queued(server->store), queued);
    let_writer_go(&hold);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(hear(fds[i]).status, 202);
        close(fds[i]);
    }
    assert_int_equal(post(server, "/in/alpha", 2), 202);
}

static void test_one_source_leaves_a_quarter_of_the_bytes_to_others(void **state)
{
    struct server *server = *state;
    server->options.in_flight_bytes = 1000;
    set_up(server, false);
    int fd = announce(server, "/in/alpha", 700);
    assert_int_equal(post(server, "/in/alpha", 51), 503);
    assert_int_equal(post(server, "/in/alpha", 50), 202);
    assert_int_equal(post(server, "/in/beta", 250), 202);
    close(fd);
    while (bw_ingest_connections(server->ingest)) usleep(1000);
    for (int i = 0; i < 3; i++) assert_int_equal(post(server, "/in/alpha", 750), 202); /* it came back */
}

static void test_one_source_leaves_a_quarter_of_the_queue_to_others(void **state)
{
    struct server *server = *state;
    struct hold hold;
    int fds[7];
    server->options.queued_max = 8;
    set_up(server, false);
    hold_writer(server, &hold);
    for (size_t i = 0; i < 6; i++) fds[i] = leave(server, "/in/alpha", i);
    assert_int_equal(post(server, "/in/alpha", 2), 503);
    fds[6] = leave(server, "/in/beta", 6);
    let_writer_go(&hold);
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(hear(fds[i]).status, 202);
        close(fds[i]);
    }
    assert_int_equal(post(server, "/in/alpha", 2), 202);
}

static int set_up_server(void **state)
{
    *state = server_new();
    return 0;
}

static int tear_down_server(void **state)
{
    server_end(*state);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_server, tear_down_server)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_half_of_the_bytes_are_for_those_who_prove_who_they_are),
        TEST(test_half_of_the_queue_too),
        TEST(test_one_source_leaves_a_quarter_of_the_bytes_to_others),
        TEST(test_one_source_leaves_a_quarter_of_the_queue_to_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
