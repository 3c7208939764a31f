/* How a connection's bytes become requests, and their answers leave: in whatever pieces they come, whatever is behind them, and whoever hangs up. */
#include "fixture.h"
#include <sched.h>

static int set_up(void **state)
{
    struct server *server = server_new();
    server_start(server);
    *state = server;
    return 0;
}

static int tear_down(void **state)
{
    server_end(*state);
    return 0;
}

static uint32_t dice_state;
static uint32_t roll(uint32_t sides) /* xorshift: the same every time */
{
    dice_state ^= dice_state << 13;
    dice_state ^= dice_state >> 17;
    dice_state ^= dice_state << 5;
    return dice_state % sides;
}

/* ---- whole requests, in pieces ---- */

#define REQUESTS 12
struct wanted {
    struct bw_buf body;
    char event[24];
};

static size_t roll_length(void)
{
    static const uint32_t most[] = {1, 30, 3000, 70000, 200000};
    return roll(most[roll(5)]);
}

static void append_body(struct bw_buf *out, struct bw_slice body)
{
    if (roll(2)) {
        bw_buf_printf(out, "Content-Length: %zu\r\n\r\n", body.len);
        bw_buf_append_slice(out, body);
        return;
    }
    bw_buf_append_text(out, "Transfer-Encoding: chunked\r\n\r\n");
    while (body.len) {
        size_t len = 1 + roll(roll(2) ? 20 : 100000);
        if (len > body.len) len = body.len;
        bw_buf_printf(out, "%zx\r\n", len);
        bw_buf_append(out, body.ptr, len);
        bw_buf_append_text(out, "\r\n");
        body = (struct bw_slice){body.ptr + len, body.len - len};
    }
    bw_buf_append_text(out, "0\r\n\r\n");
}

static void append_request(struct bw_buf *out, struct wanted *wanted, size_t number)
{
    size_t len = roll_length();
    bw_buf_clear(&wanted->body);
    for (size_t i = 0; i < len; i++) bw_buf_append_char(&wanted->body, (char)('a' + (i * 7 + number + (i >> 8)) % 26));
    snprintf(wanted->event, sizeof wanted->event, "n%zu", number);
    bw_buf_printf(out, "POST /in/beta HTTP/1.1\r\n" HOST "X-Event:%s%s\r\n", roll(2) ? "  " : "", wanted->event);
    append_body(out, bw_buf_slice(&wanted->body));
}

static void say_in_pieces(int fd, struct bw_slice bytes)
{
    uint32_t most = (uint32_t[]){3, 100, 5000, 70000, 1000000}[roll(5)];
    for (size_t pieces = 0; bytes.len; pieces++) {
        size_t len = pieces < 2000 ? 1 + roll(most) : bytes.len;
        if (len > bytes.len) len = bytes.len;
        say_bytes(fd, bytes.ptr, len);
        bytes = (struct bw_slice){bytes.ptr + len, bytes.len - len};
        if (roll(4) == 0) sched_yield();
    }
}

static void forget_committed(struct server *server)
{
    for (size_t i = 0; i < server->committed_count; i++) bw_accepted_unref(server->committed[i]);
    server->committed_count = 0;
}

static void test_requests_arrive_as_they_were_sent_in_whatever_pieces(void **state)
{
    struct server *server = *state;
    static struct wanted wanted[REQUESTS];
    struct bw_buf bytes = {0};
    for (uint32_t seed = 1; seed <= 60; seed++) {
        size_t count;
        dice_state = seed * 2654435761u;
        count = 1 + roll(REQUESTS);
        bw_buf_clear(&bytes);
        for (size_t i = 0; i < count; i++) append_request(&bytes, &wanted[i], i);
        int fd = dial(server), on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        say_in_pieces(fd, bw_buf_slice(&bytes));
        for (size_t i = 0; i < count; i++) {
            struct response got = hear(fd);
            if (got.status != 202) fail_msg("seed %u: request %zu of %zu: %s", seed, i, count, got.text);
            sem_wait(&server->news);
        }
        for (size_t i = 0; i < count; i++) {
            const struct bw_accepted *event = server->committed[i];
            if (!bw_slice_equal(event->body, bw_buf_slice(&wanted[i].body))) fail_msg("seed %u: body %zu of %zu", seed, i, count);
            assert_true(event->name.len == 5 + strlen(wanted[i].event) && !memcmp(event->name.ptr + 5, wanted[i].event, strlen(wanted[i].event)));
        }
        forget_committed(server);
        close(fd);
    }
    for (size_t i = 0; i < REQUESTS; i++) bw_buf_free(&wanted[i].body);
    bw_buf_free(&bytes);
}

/* ---- what is behind a request ---- */

/* More than is read ahead: the sender is held up until the one before is answered, and nothing is lost. */
static void test_more_than_fits_waits_behind_a_request_that_is_not_answered(void **state)
{
    enum { BEHIND = 200 };
    struct server *server = *state;
    struct bw_buf bytes = {0};
    struct hold hold;
    char pad[900];
    memset(pad, 'x', sizeof pad);
    for (int i = 0; i <= BEHIND; i++)
        bw_buf_printf(&bytes, "POST /in/alpha HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n%.*s", sizeof pad, (int)sizeof pad, pad);
    hold_writer(server, &hold);
    int fd = dial(server);
    say_bytes(fd, bytes.data, bytes.len);
    while (bw_ingest_parked(server->ingest) == 0) usleep(1000);
    assert_int_equal(bw_ingest_parked(server->ingest), 1); /* one at a time */
    let_writer_go(&hold);
    for (int i = 0; i <= BEHIND; i++) assert_int_equal(hear(fd).status, 202);
    say(fd, "GET /healthz HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(hear(fd).status, 200);
    bw_buf_free(&bytes);
    close(fd);
}

static void test_what_is_behind_the_last_answer_is_nothing(void **state)
{
    struct server *server = *state;
    int fd = dial(server);
    say(fd, POST("Connection: keep-alive, close\r\n", 2, "{}") POST("", 2, "{}"));
    struct response got = hear(fd);
    assert_int_equal(got.status, 202);
    assert_true(got.closes);
    assert_true(is_closed(fd));
    assert_int_equal(server->committed_count, 1);
    close(fd);
}

/* ---- ends ---- */

static void test_who_sends_no_more_still_gets_all_answers(void **state)
{
    struct server *server = *state;
    struct hold hold;
    hold_writer(server, &hold);
    int fd = dial(server);
    say(fd, POST("", 2, "{}") POST("", 2, "[]") "GET /healthz HTTP/1.1\r\n" HOST "\r\n");
    shutdown(fd, SHUT_WR);
    while (bw_ingest_parked(server->ingest) == 0) usleep(1000);
    let_writer_go(&hold);
    assert_int_equal(hear(fd).status, 202);
    assert_int_equal(hear(fd).status, 202);
    assert_int_equal(hear(fd).status, 200);
    assert_true(is_closed(fd));
    close(fd);
}

static void test_half_a_request_and_an_end_is_no_request(void **state)
{
    struct server *server = *state;
    static const char *const halves[] = {"", "POST /in/al", POST("", 20, "{}"),
                                         "POST /in/alpha HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nab"};
    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++) {
        int fd = dial(server);
        say(fd, halves[i]);
        shutdown(fd, SHUT_WR);
        assert_true(is_closed(fd));
        close(fd);
    }
    while (bw_ingest_connections(server->ingest)) usleep(1000);
    assert_int_equal(server->committed_count, 0);
}

static void reset(int fd)
{
    const struct linger at_once = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
}

static void test_whoever_resets_while_the_writer_has_its_request_changes_nothing(void **state)
{
    struct server *server = *state;
    struct hold hold;
    hold_writer(server, &hold);
    for (size_t i = 1; i <= 10; i++) {
        int fd = dial(server);
        say(fd, i % 2 ? POST("", 2, "{}") : POST("", 2, "{}") POST("", 2, "{}"));
        while (bw_ingest_parked(server->ingest) < i) usleep(1000);
        reset(fd);
    }
    while (bw_ingest_connections(server->ingest)) usleep(1000);
    let_writer_go(&hold);
    for (size_t i = 0; i < 10; i++) sem_wait(&server->news);
    while (bw_ingest_parked(server->ingest)) usleep(1000);
    assert_int_equal(ask(server, "GET /healthz HTTP/1.1\r\n" HOST "\r\n").status, 200);
}

static void test_a_refused_body_whose_sender_ends_early_is_answered(void **state)
{
    struct server *server = *state;
    int fd = dial(server);
    say(fd, POST("", 5000, "{}"));
    shutdown(fd, SHUT_WR);
    assert_int_equal(hear(fd).status, 413);
    assert_true(is_closed(fd));
    close(fd);
}

static sem_t bind_holds, bind_go;

static void bind_when_told(void *arg, struct bw_slice event_name, struct bw_slice body, struct bw_binding *out)
{
    bind_seventh(arg, event_name, body, out);
    if (!bw_slice_is(event_name, "alpha.hold")) return;
    sem_post(&bind_holds);
    sem_wait(&bind_go);
}

/* A loop that is busy hears of the stop first, and of the request later: that is there already, and its sender is not hung up on. */
static void test_a_request_that_is_there_when_the_doors_close_is_answered(void **state)
{
    struct server *server = *state;
    bw_ingest_stop(server->ingest);
    bw_store_close(server->store);
    server->options.bind = bind_when_told;
    server_start(server);
    sem_init(&bind_holds, 0, 0);
    sem_init(&bind_go, 0, 0);
    int kept = dial(server), busy = dial(server);
    say(kept, POST("", 2, "{}"));
    assert_int_equal(hear(kept).status, 202);
    say(busy, POST("X-Event: hold\r\n", 2, "{}"));
    sem_wait(&bind_holds);
    bw_ingest_stop_accepting(server->ingest);
    say(kept, POST("", 2, "[]"));
    sem_post(&bind_go);
    struct response got = hear(kept);
    assert_int_equal(got.status, 202);
    assert_true(got.closes);
    assert_int_equal(hear(busy).status, 202);
    close(kept);
    close(busy);
}

/* ---- no room for a body ---- */

#define LARGE(headers, name) "POST /in/alpha HTTP/1.1\r\n" HOST headers "X-Event: " name "\r\nContent-Length: 600\r\n\r\n"

static char large_body[601];

static void say_large(int fd, const char *head)
{
    memset(large_body, 'x', 600);
    say(fd, head);
    say(fd, large_body);
}

/* There is room for one at a time. */
static void make_narrow(struct server *server)
{
    bw_ingest_stop(server->ingest);
    bw_store_close(server->store);
    server->options.in_flight_bytes = 1000;
    server->sources[0].config.verify = (char *)"github";
    server_start(server);
}

static bool is_silent(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* The loop has heard all that was said before: it answers in the order in which sockets become readable. */
static void be_heard(const struct server *server)
{
    for (int i = 0; i < 3; i++) assert_int_equal(ask(server, "GET /healthz HTTP/1.1\r\n" HOST "\r\n").status, 200);
}

static void test_a_body_waits_for_room_and_the_newest_comes_first(void **state)
{
    static const char *const order[] = {"alpha.first", "alpha.third", "alpha.second"};
    struct server *server = *state;
    struct hold hold;
    make_narrow(server);
    hold_writer(server, &hold);
    int first = dial(server), second = dial(server), third = dial(server);
    say_large(first, LARGE("", "first"));
    while (bw_ingest_parked(server->ingest) == 0) usleep(1000);
    say_large(second, LARGE("", "second"));
    be_heard(server);
    say_large(third, LARGE("", "third"));
    be_heard(server);
    assert_true(is_silent(second));
    assert_true(is_silent(third));
    assert_int_equal(bw_ingest_parked(server->ingest), 1);
    let_writer_go(&hold);
    assert_int_equal(hear(first).status, 202);
    assert_int_equal(hear(third).status, 202);
    assert_int_equal(hear(second).status, 202);
    for (size_t i = 0; i < 3; i++) sem_wait(&server->news);
    for (size_t i = 0; i < 3; i++) assert_true(bw_slice_is(server->committed[i]->name, order[i]));
    close(first);
    close(second);
    close(third);
}

static void test_who_waits_for_room_is_told_to_continue_when_there_is_some(void **state)
{
    struct server *server = *state;
    struct hold hold;
    make_narrow(server);
    hold_writer(server, &hold);
    int first = dial(server), second = dial(server);
    say_large(first, LARGE("", "first"));
    while (bw_ingest_parked(server->ingest) == 0) usleep(1000);
    say(second, LARGE("Expect: 100-continue\r\n", "second"));
    be_heard(server);
    assert_true(is_silent(second));
    let_writer_go(&hold);
    assert_int_equal(hear(second).status, 100);
    say(second, large_body);
    assert_int_equal(hear(second).status, 202);
    close(first);
    close(second);
}

static void test_who_proves_nothing_does_not_wait(void **state)
{
    struct server *server = *state;
    struct hold hold;
    make_narrow(server);
    server->sources[0].config.verify = (char *)"none";
    hold_writer(server, &hold);
    int first = dial(server), second = dial(server);
    say(first, POST("", 5, "12345"));
    while (bw_ingest_parked(server->ingest) == 0) usleep(1000);
    say_large(second, LARGE("", "second"));
    assert_int_equal(hear(second).status, 503);
    let_writer_go(&hold);
    close(first);
    close(second);
}

static void test_who_has_waited_for_too_long_is_refused(void **state)
{
    struct server *server = *state;
    struct hold hold;
    make_narrow(server);
    server->config.request_deadline_ms = 400;
    hold_writer(server, &hold);
    int first = dial(server), second = dial(server);
    say_large(first, LARGE("", "first"));
    while (bw_ingest_parked(server->ingest) == 0) usleep(1000);
    say_large(second, LARGE("", "second"));
    struct response got = hear(second);
    assert_int_equal(got.status, 503);
    assert_non_null(strstr(got.text, "\r\nRetry-After: "));
    let_writer_go(&hold);
    assert_int_equal(hear(first).status, 202);
    close(first);
    close(second);
}

static void test_who_waits_when_the_doors_close_is_refused_at_once(void **state)
{
    struct server *server = *state;
    struct hold hold;
    make_narrow(server);
    hold_writer(server, &hold);
    int first = dial(server), second = dial(server);
    say_large(first, LARGE("", "first"));
    while (bw_ingest_parked(server->ingest) == 0) usleep(1000);
    say_large(second, LARGE("", "second"));
    be_heard(server);
    assert_true(is_silent(second));
    bw_ingest_stop_accepting(server->ingest);
    assert_int_equal(hear(second).status, 503);
    let_writer_go(&hold);
    assert_int_equal(hear(first).status, 202);
    close(first);
    close(second);
}

static void test_who_leaves_while_it_waits_leaves_nothing(void **state)
{
    struct server *server = *state;
    struct hold hold;
    make_narrow(server);
    hold_writer(server, &hold);
    int first = dial(server);
    say_large(first, LARGE("", "first"));
    while (bw_ingest_parked(server->ingest) == 0) usleep(1000);
    for (int i = 0; i < 20; i++) {
        int fd = dial(server);
        say(fd, LARGE("", "gone"));
        be_heard(server);
        reset(fd);
    }
    let_writer_go(&hold);
    assert_int_equal(hear(first).status, 202);
    close(first);
    while (bw_ingest_connections(server->ingest)) usleep(1000);
    int again = dial(server);
    say_large(again, LARGE("", "again"));
    assert_int_equal(hear(again).status, 202);
    close(again);
}

/* ---- 100 ---- */

static void test_continue_is_said_to_who_waits_for_it(void **state)
{
    struct server *server = *state;
    int fd = dial(server);
    say(fd, POST("Expect: 100-continue\r\n", 2, ""));
    assert_int_equal(hear(fd).status, 100);
    say(fd, "{}");
    assert_int_equal(hear(fd).status, 202);
    say(fd, POST("Expect: 100-continue\r\n", 2, "{}")); /* it does not */
    assert_int_equal(hear(fd).status, 202);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_requests_arrive_as_they_were_sent_in_whatever_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_more_than_fits_waits_behind_a_request_that_is_not_answered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_behind_the_last_answer_is_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_sends_no_more_still_gets_all_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_half_a_request_and_an_end_is_no_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_whoever_resets_while_the_writer_has_its_request_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_refused_body_whose_sender_ends_early_is_answered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_request_that_is_there_when_the_doors_close_is_answered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_body_waits_for_room_and_the_newest_comes_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_waits_for_room_is_told_to_continue_when_there_is_some, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_proves_nothing_does_not_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_has_waited_for_too_long_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_waits_when_the_doors_close_is_refused_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_leaves_while_it_waits_leaves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_continue_is_said_to_who_waits_for_it, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
