/* Links to approvals at the listener: who answers is the test, in place of the main thread. */
#include "fixture.h"

#include "base/clock.h"

#define KEY_BYTES BW_APPROVAL_KEY_BYTES
#define QUERIES_MAX 128

static const uint8_t key[KEY_BYTES] = {7};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct bw_approval_query *queries[QUERIES_MAX]; /* under the lock */
static size_t query_count;
static sem_t asked;

static void take(void *arg, struct bw_approval_query *query)
{
    (void)arg;
    pthread_mutex_lock(&lock);
    if (query_count < QUERIES_MAX) queries[query_count++] = query;
    pthread_mutex_unlock(&lock);
    sem_post(&asked);
}

static struct bw_approval_query *next_query(void)
{
    sem_wait(&asked);
    pthread_mutex_lock(&lock);
    struct bw_approval_query *query = queries[0];
    memmove(queries, queries + 1, --query_count * sizeof *queries);
    pthread_mutex_unlock(&lock);
    return query;
}

static int set_up(void **state)
{
    struct server *server = server_new();
    sem_init(&asked, 0, 0);
    query_count = 0;
    server->options.link_key = key;
    server->options.ask_approval = take;
    server_start(server);
    *state = server;
    return 0;
}

static int tear_down(void **state)
{
    if (*state) server_end(*state);
    sem_destroy(&asked);
    return 0;
}

/* A request with this method and whatever follows the request line. */
static int send_to_link(const struct server *server, const char *method, int64_t expires_ms, const char *rest)
{
    struct bw_buf request = {0};
    int fd = dial(server);
    bw_buf_printf(&request, "%s /approve/", method);
    assert_true(bw_approval_token_append(&request, key, (struct bw_uid){{1, 2, 3}}, BW_SLICE("ask"), (struct bw_slice){0}, expires_ms));
    bw_buf_printf(&request, " HTTP/1.1\r\n" HOST "%s", rest);
    say_bytes(fd, request.data, request.len);
    bw_buf_free(&request);
    return fd;
}

#define LATER (bw_clock_wall_ms() + 60000)

static int post_form(const struct server *server, const char *body)
{
    char rest[400];
    snprintf(rest, sizeof rest, "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
    return send_to_link(server, "POST", LATER, rest);
}

static void test_what_is_asked_reaches_who_answers(void **state)
{
    struct server *server = *state;
    int fd = post_form(server, "choice=a&by=A%20nn&form.n=1+2&form.m=%");
    assert_int_equal(hear(fd).status, 400); /* the last one is broken: nobody was asked */
    close(fd);
    fd = post_form(server, "choice=a&by=A%20nn&form.n=1+2&other");
    struct bw_approval_query *query = next_query();
    assert_true(query->votes && query->has_texts);
    assert_string_equal(query->token.step, "ask");
    assert_int_equal(query->token.run.bytes[1], 2);
    assert_string_equal(query->remote, "127.0.0.1");
    assert_string_equal(bw_json_str(query->given, "choice", ""), "a");
    assert_string_equal(bw_json_str(query->given, "by", ""), "A nn");
    assert_string_equal(bw_json_str(json_object_get(query->given, "form"), "n", ""), "1 2");
    query->answer = BW_APPROVAL_GONE;
    query->done(query);
    struct response got = hear(fd);
    assert_int_equal(got.status, 410);
    assert_non_null(strstr(got.text, "Content-Security-Policy: default-src 'none'"));
    assert_false(got.closes);
    close(fd);
}

static void test_a_connection_goes_on_behind_an_answer(void **state)
{
    struct server *server = *state;
    int fd = send_to_link(server, "GET", LATER, "\r\nGET /healthz HTTP/1.1\r\n" HOST "\r\n");
    struct bw_approval_query *query = next_query();
    assert_false(query->votes);
    query->answer = BW_APPROVAL_LATER;
    query->done(query);
    assert_int_equal(hear(fd).status, 503);
    assert_int_equal(hear(fd).status, 200);
    close(fd);
}

static void test_a_link_that_is_over_asks_nobody(void **state)
{
    struct server *server = *state;
    int fd = send_to_link(server, "GET", bw_clock_wall_ms() - 1, "\r\n");
    assert_int_equal(hear(fd).status, 410);
    close(fd);
    assert_int_equal(ask(server, "GET /approve/AAAA HTTP/1.1\r\n" HOST "\r\n").status, 404);
    assert_int_equal(query_count, 0);
}

static void test_too_many_questions_are_put_off(void **state)
{
    struct server *server = *state;
    int fds[65];
    struct response got;
    for (size_t i = 0; i < 64; i++) fds[i] = send_to_link(server, "GET", LATER, "\r\n");
    struct bw_approval_query *open[64];
    for (size_t i = 0; i < 64; i++) open[i] = next_query();
    fds[64] = send_to_link(server, "GET", LATER, "\r\n");
    got = hear(fds[64]);
    assert_int_equal(got.status, 503);
    assert_non_null(strcasestr(got.text, "Retry-After"));
    for (size_t i = 0; i < 64; i++) {
        open[i]->answer = BW_APPROVAL_GONE;
        open[i]->done(open[i]);
        assert_int_equal(hear(fds[i]).status, 410);
        close(fds[i]);
    }
    close(fds[64]);
    int fd = send_to_link(server, "GET", LATER, "\r\n"); /* there is room again */
    open[0] = next_query();
    open[0]->answer = BW_APPROVAL_GONE;
    open[0]->done(open[0]);
    assert_int_equal(hear(fd).status, 410);
    close(fd);
}

static void test_who_has_gone_away_is_answered_without_harm(void **state)
{
    struct server *server = *state;
    int fd = send_to_link(server, "GET", LATER, "\r\n");
    struct bw_approval_query *query = next_query();
    close(fd);
    query->answer = BW_APPROVAL_GONE;
    query->done(query);
    while (bw_ingest_connections(server->ingest)) usleep(1000);
    assert_int_equal(ask(server, "GET /healthz HTTP/1.1\r\n" HOST "\r\n").status, 200);
}

/* The main thread stops the listener, so it cannot answer any more: whoever waits is told to come again, and what it answers later is dropped. */
static void test_the_end_waits_for_no_answer(void **state)
{
    struct server *server = *state;
    int fd = send_to_link(server, "GET", LATER, "\r\n");
    struct bw_approval_query *query = next_query();
    bw_ingest_stop(server->ingest);
    server->ingest = NULL;
    assert_int_equal(hear(fd).status, 503);
    assert_true(is_closed(fd));
    close(fd);
    query->answer = BW_APPROVAL_DECIDED;
    query->decision = json_object();
    query->done(query);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_asked_reaches_who_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_connection_goes_on_behind_an_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_link_that_is_over_asks_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_many_questions_are_put_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_has_gone_away_is_answered_without_harm, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_end_waits_for_no_answer, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
