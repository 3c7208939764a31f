#include "fixture.h"
#include <sys/resource.h>

static int set_up(void **state)
{
    struct server *server = server_new();
    server_start(server);
    *state = server;
    return 0;
}

static int set_up_bare(void **state)
{
    *state = server_new();
    return 0;
}

static int tear_down(void **state)
{
    server_end(*state);
    return 0;
}

static void expect(const struct server *server, const char *request, int status, const char *body, bool closes)
{
    struct response got = ask(server, request);
    if (got.status != status || (body && strcmp(body_of(&got), body) != 0) || got.closes != closes)
        fail_msg("%.50s…: %d %s%s; expected %d %s", request, got.status, body_of(&got), got.closes ? "(closes)" : "", status, body ? body : "");
}

/* The deliveries of the store, newest first, as "status outcome source detail" lines. */
static bool add_line(void *arg, const struct bw_delivery_row *row)
{
    bw_buf_printf(arg, "%u %s %.*s %.*s\n", row->delivery.status, bw_outcome_name(row->delivery.outcome), (int)row->delivery.source.len,
                  row->delivery.source.ptr, (int)row->delivery.detail.len, row->delivery.detail.ptr);
    return true;
}

static void test_an_event_is_answered_after_its_commit(void **state)
{
    struct server *server = *state;
    struct hold hold;
    hold_writer(server, &hold);
    int fd = dial(server);
    say(fd, POST("", 2, "{}"));
    while (bw_ingest_parked(server->ingest) == 0) usleep(1000);
    char byte;
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(server->committed_count, 0);
    let_writer_go(&hold);
    struct response got = hear(fd);
    assert_int_equal(got.status, 202);
    assert_false(got.closes);
    assert_int_equal(bw_ingest_parked(server->ingest), 0);
    close(fd);
}

static void test_an_accepted_event_is_handed_on_whole(void **state)
{
    struct server *server = *state;
    struct response got =
        ask(server, POST("X-Event: issues.opened\r\nAuthorization: Bearer s\r\nCookie: c\r\nX-Hub-Signature-256: sha256=1\r\nX-Quote: a\"b\r\n"
                         "X-Quote: second\r\n",
                         7, "{\"a\":1}"));
    sem_wait(&server->news);
    struct bw_accepted *event = server->committed[0];
    char text[BW_UID_TEXT], body[128];
    snprintf(body, sizeof body, "{\"status\":\"accepted\",\"event\":\"%s\"}\n", bw_uid_text(event->uid, BW_UID_EVENT, text));
    assert_int_equal(got.status, 202);
    assert_string_equal(body_of(&got), body);
    assert_true(event->event_id > 0);
    assert_int_equal(event->revision, 7);
    assert_true(event->trusted);
    assert_true(bw_slice_is(event->source, "alpha"));
    assert_true(bw_slice_is(event->name, "alpha.issues.opened"));
    assert_true(bw_slice_is(event->body, "{\"a\":1}"));
    assert_true(bw_slice_is(event->headers, "{\"host\":\"x\",\"x-event\":\"issues.opened\",\"x-quote\":\"a\\\"b\",\"content-length\":\"7\"}"));
}

static void bind_opened(void *arg, struct bw_slice event_name, struct bw_slice body, struct bw_binding *out)
{
    (void)arg, (void)body;
    *out = (struct bw_binding){.revision = 7, .is_awaited = bw_slice_is(event_name, "alpha.issues.opened")};
}

static void test_what_nobody_waits_for_is_stored_and_not_handed_on(void **state)
{
    struct server *server = *state;
    server->options.bind = bind_opened;
    server_start(server);
    struct response got = ask(server, POST("X-Event: issues.closed\r\n", 7, "{\"a\":1}"));
    assert_int_equal(got.status, 202);
    got = ask(server, POST("X-Event: issues.opened\r\n", 7, "{\"a\":1}"));
    assert_int_equal(got.status, 202);
    sem_wait(&server->news); /* the second one: commits come in order */
    assert_int_equal(server->committed_count, 1);
    assert_true(bw_slice_is(server->committed[0]->name, "alpha.issues.opened"));
    assert_true(server->committed[0]->event_id > 1); /* the first one has its row */
}

static void test_the_same_delivery_again_is_a_duplicate_of_the_first(void **state)
{
    struct server *server = *state;
    int fd = dial(server);
    say(fd, POST("X-Id: one\r\n", 2, "{}"));
    struct response first = hear(fd);
    say(fd, POST("X-Id: one\r\n", 2, "{}"));
    struct response second = hear(fd);
    close(fd);
    assert_int_equal(first.status, 202);
    assert_int_equal(second.status, 200);
    assert_memory_equal(body_of(&second), "{\"status\":\"duplicate\",\"event\":\"evt_", 35);
    assert_string_equal(strstr(body_of(&second), "evt_"), strstr(body_of(&first), "evt_"));
    assert_false(second.closes);
    assert_int_equal(server->committed_count, 1);
}

static void test_long_delivery_ids_that_differ_at_their_end_are_different(void **state)
{
    struct server *server = *state;
    char request[1024];
    for (int round = 0; round < 3; round++) {
        snprintf(request, sizeof request, "POST /in/alpha HTTP/1.1\r\n" HOST "X-Id: %0300d%d\r\nContent-Length: 0\r\n\r\n", 0, round % 2);
        expect(server, request, round < 2 ? 202 : 200, NULL, false);
    }
}

static void test_a_refusal_says_only_its_kind(void **state)
{
    struct server *server = *state;
    expect(server, POST("X-Verdict: refused\r\n", 2, "{}"), 401, "{\"error\":\"unverified\"}\n", true);
    expect(server, POST("X-Verdict: malformed\r\n", 2, "{}"), 400,
           "{\"error\":\"malformed\",\"message\":\"expected ',' or '}'\",\"line\":3,\"column\":7}\n", true);
    expect(server, POST("Content-Encoding: gzip\r\n", 2, "{}"), 415, "{\"error\":\"bad_type\"}\n", true);
    expect(server, POST("Content-Encoding: identity\r\n", 2, "{}"), 202, NULL, false);
    expect(server, "POST /in/gamma HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}", 404, "{\"error\":\"unknown_path\"}\n", true);
    expect(server, "POST /in/alpha/ HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}", 404, NULL, true);
    expect(server, "POST /in/%61lpha HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}", 404, NULL, true);
    expect(server, "POST /in//alpha HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}", 404, NULL, true);
    expect(server, "POST /in/alpha?x=1 HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}", 202, NULL, false);
    assert_int_equal(server->committed_count, 2);
}

static void test_methods(void **state)
{
    struct server *server = *state;
    static const char *const methods[] = {"PUT", "DELETE", "PATCH", "GET", "HEAD", "OPTIONS", "TRACE", "BREW"};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        char request[128];
        snprintf(request, sizeof request, "%s /in/alpha HTTP/1.1\r\n" HOST "\r\n", methods[i]);
        struct response got = ask(server, request);
        if (got.status != 405 || !got.closes || !strstr(got.text, "\r\nAllow: POST\r\n")) fail_msg("%s: %s", methods[i], got.text);
    }
    expect(server, "GET /in/alpha?challenge HTTP/1.1\r\n" HOST "X-Verdict: handshake\r\n\r\n", 200, "challenge", false);
    assert_int_equal(server->committed_count, 0);
}

static void test_odd_targets_are_answered_by_us(void **state)
{
    struct server *server = *state;
    static const char *const targets[] = {"*",  "/%",         "/%00",        "/..", "/a#b",     "/a:b", "/?",
                                          "/[", "/\"<>{}|^`", "/in/alpha;x", "//[", "//a:b:c/", "?",    "a"};
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        char request[128];
        snprintf(request, sizeof request, "OPTIONS %s HTTP/1.1\r\n" HOST "\r\n", targets[i]);
        struct response got = ask(server, request);
        if (strncmp(body_of(&got), "{\"error\":", 9) != 0 || (got.status != 404 && got.status != 400)) fail_msg("%s: %s", targets[i], got.text);
    }
}

static void test_http_1_0_is_answered_and_closed(void **state)
{
    struct server *server = *state;
    int fd = dial(server);
    say(fd, "POST /in/alpha HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}");
    struct response got = hear(fd);
    assert_int_equal(got.status, 202);
    assert_memory_equal(body_of(&got), "{\"status\":\"accepted\"", 20);
    assert_true(got.closes);
    assert_true(is_closed(fd));
    close(fd);
}

static void test_single_bytes_make_the_same_requests(void **state)
{
    struct server *server = *state;
    static const char requests[] =
        POST("", 7, "{\"a\":1}") "POST /in/alpha HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n"
                                 "HEAD / HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n";
    int fd = dial(server), on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    for (size_t i = 0; i < sizeof requests - 1; i++) say_bytes(fd, requests + i, 1);
    assert_int_equal(hear(fd).status, 202);
    assert_int_equal(hear(fd).status, 202);
    assert_int_equal(hear(fd).status, 400);
    close(fd);
    assert_int_equal(server->committed_count, 2);
    for (size_t i = 0; i < 2; i++) assert_true(bw_slice_is(server->committed[i]->body, "{\"a\":1}"));
}

static void test_health(void **state)
{
    struct server *server = *state;
    expect(server, "GET /healthz HTTP/1.1\r\n" HOST "\r\n", 200, "{\"status\":\"ok\"}\n", false);
    struct response got = ask(server, "POST /healthz HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n");
    assert_int_equal(got.status, 405);
    assert_non_null(strstr(got.text, "\r\nAllow: GET, HEAD\r\n"));
    int fd = dial(server);
    say(fd, "HEAD /healthz HTTP/1.1\r\n" HOST "\r\nGET /healthz HTTP/1.1\r\n" HOST "\r\n");
    for (int i = 0; i < 2; i++) {
        char text[4] = "";
        assert_int_equal(recv(fd, text, 4, MSG_WAITALL), 4); /* an answer to HEAD with a body would push the second one away */
        assert_memory_equal(text, "HTTP", 4);
        char byte, last[4] = "";
        while (memcmp(last, "\r\n\r\n", 4) != 0 && recv(fd, &byte, 1, 0) == 1) memmove(last, last + 1, 3), last[3] = byte;
    }
    close(fd);
}

static void test_a_body_above_the_limit_is_413(void **state)
{
    struct server *server = *state;
    static char body[300001];
    memset(body, 'x', sizeof body);
    for (int round = 0; round < 3; round++) {
        const char *path = round == 0 ? "alpha" : "beta";
        size_t len = round == 0 ? 1001 : round == 1 ? 300000 : 300001;
        char head[128];
        int fd = dial(server);
        snprintf(head, sizeof head, "POST /in/%s HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n", path, len);
        say(fd, head);
        say_bytes(fd, body, len); /* all of it, as most clients do before they listen */
        struct response got = hear(fd);
        assert_int_equal(got.status, round == 1 ? 202 : 413);
        if (round != 1) assert_string_equal(body_of(&got), "{\"error\":\"too_large\"}\n");
        assert_int_equal(got.closes, round != 1);
        close(fd);
    }
}

static void test_a_huge_body_is_refused_unread(void **state)
{
    struct server *server = *state;
    expect(server, "POST /in/alpha HTTP/1.1\r\n" HOST "Content-Length: 99999999999\r\n\r\n", 413, NULL, true);
    expect(server, "POST /in/alpha HTTP/1.1\r\n" HOST "Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n", 413, NULL, true);
    expect(server, "POST /in/alpha HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3e9\r\n", 413, NULL, true);
    expect(server, "POST /nobody HTTP/1.1\r\n" HOST "Content-Length: 99999999999\r\n\r\n", 404, NULL, true);
}

static void test_expect_continue_is_honoured(void **state)
{
    struct server *server = *state;
    int fd = dial(server);
    say(fd, "POST /in/alpha HTTP/1.1\r\n" HOST "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_int_equal(hear(fd).status, 100);
    say(fd, "{}");
    assert_int_equal(hear(fd).status, 202);
    close(fd);
}

static void test_chunks_make_one_body(void **state)
{
    struct server *server = *state;
    static const char request[] = "POST /in/alpha HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n";
    for (size_t cut = 1; cut < sizeof request - 1; cut += 7) {
        int fd = dial(server);
        say_bytes(fd, request, cut);
        say_bytes(fd, request + cut, sizeof request - 1 - cut);
        assert_int_equal(hear(fd).status, 202);
        close(fd);
        sem_wait(&server->news);
        assert_true(bw_slice_is(server->committed[server->committed_count - 1]->body, "{\"a\":1}"));
    }
}

/* reliability.md 2.2: each of these makes a plain HTTP library see two requests, or another body than a proxy in front of it. */
static void test_smuggling_is_one_refusal(void **state)
{
    struct server *server = *state;
#define INNER "POST /in/beta HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    static const char *const requests[] = {
        POST("Content-Length: 0\r\n", 60, INNER),
        "HEAD /in/alpha HTTP/1.1\r\n" HOST "Content-Length: 60\r\n\r\n" INNER,
        "GET /in/alpha HTTP/1.1\r\n" HOST "Content-Length: 60\r\n\r\n" INNER,
        "POST /in/alpha HTTP/1.1\r\n" HOST "Content-Length : 60\r\n\r\n" INNER,
        "POST /in/alpha HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n" INNER,
        "POST /in/alpha HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\nContent-Length: 60\r\n\r\n" INNER,
        "POST /in/alpha HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 60\r\n\r\n0\r\n\r\n" INNER,
        "POST /in/alpha HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" INNER,
        "POST /in/alpha HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc0\r\n\r\n" INNER,
        "POST /in/alpha HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n" INNER,
        "POST /in/alpha HTTP/1.1\nHost: x\n\n" INNER,
        "POST /in/alpha HTTP/1.1\r\n\r\n" INNER,
        "POST /in/alpha HTTP/1.1\r\n" HOST "X: y\r\n Content-Length: 60\r\n\r\n" INNER,
    };
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        for (size_t cut = 0; cut < 3; cut++) {
            size_t len = strlen(requests[i]), first = cut == 0 ? len : cut == 1 ? len / 2 : len - strlen(INNER) - 1;
            int fd = dial(server);
            say_bytes(fd, requests[i], first);
            if (first < len && send(fd, requests[i] + first, len - first, MSG_NOSIGNAL) < 0) assert_true(errno == EPIPE || errno == ECONNRESET);
            struct response got = hear(fd);
            if (got.status != 400 || !got.closes || strcmp(body_of(&got), "{\"error\":\"malformed\"}\n") != 0) fail_msg("case %zu: %s", i, got.text);
            assert_true(is_closed(fd));
            close(fd);
        }
    }
    assert_int_equal(server->committed_count, 0);
}

static void test_pipelined_requests_are_answered_in_order(void **state)
{
    struct server *server = *state;
    int fd = dial(server);
    say(fd, POST("", 2, "{}") "GET /healthz HTTP/1.1\r\n" HOST "\r\n" POST("X-Id: a\r\n", 2, "{}")
                POST("X-Id: a\r\n", 2, "{}") "POST /in/alpha HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}" POST("", 2, "{}"));
    static const int statuses[] = {202, 200, 202, 200, 400};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) assert_int_equal(hear(fd).status, statuses[i]);
    assert_true(is_closed(fd));
    close(fd);
    assert_int_equal(server->committed_count, 2);
}

static void test_a_thousand_pipelined_requests(void **state)
{
    struct server *server = *state;
    int fd = dial(server);
    struct bw_buf many = {0};
    for (int i = 0; i < 1000; i++) bw_buf_append_text(&many, POST("X-Verdict: handshake\r\n", 2, "{}"));
    say_bytes(fd, many.data, many.len);
    bw_buf_free(&many);
    for (int i = 1; i <= 1000; i++) {
        struct response got = hear(fd);
        assert_int_equal(got.status, 200);
        assert_int_equal(got.closes, i == 1000); /* so many a connection gets, and no more */
    }
    assert_true(is_closed(fd));
    close(fd);
}

static void test_every_refusal_is_recorded(void **state)
{
    struct server *server = *state;
    char folder[] = "/tmp/bellwire-ingest-XXXXXX", path[64], large[1200];
    struct bw_error err = {0};
    struct bw_buf lines = {0};
    assert_non_null(mkdtemp(folder));
    server->options.store = server->store = bw_store_open(folder, &err);
    assert_non_null(server->store);
    server->ingest = listen_to_sources(server, &err);
    assert_non_null(server->ingest);
    server->port = bw_ingest_port(server->ingest, 0);
    expect(server, POST("X-Verdict: refused\r\n", 2, "{}"), 401, NULL, true);
    expect(server, POST("X-Verdict: malformed\r\n", 2, "{}"), 400, NULL, true);
    expect(server, POST("Content-Encoding: br\r\n", 2, "{}"), 415, NULL, true);
    snprintf(large, sizeof large, "POST /in/alpha HTTP/1.1\r\n" HOST "Content-Length: 1001\r\n\r\n%01001d", 0);
    expect(server, large, 413, NULL, true);
    expect(server, "PUT /in/beta HTTP/1.1\r\n" HOST "\r\n", 405, NULL, true);
    expect(server, "POST /x HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", 404, NULL, true);
    expect(server, "POST /in/beta HTTP/1.1\r\n\r\n", 400, NULL, true);
    expect(server, "GET /in/alpha HTTP/1.1\r\n" HOST "X-Verdict: handshake\r\n\r\n", 200, NULL, false);
    expect(server, POST("", 2, "{}"), 202, NULL, false);
    bw_ingest_stop(server->ingest);
    server->ingest = NULL;
    bw_store_close(server->store);
    server->store = NULL;
    struct bw_reader *reader = bw_reader_open(folder, &err);
    assert_non_null(reader);
    assert_true(bw_reader_deliveries(reader, BW_SLICE(""), false, 0, 100, add_line, &lines, &err));
    bw_reader_close(reader);
    assert_string_equal(lines.data, "202 accepted alpha \n"
                                    "200 handshake alpha handshake\n"
                                    "400 malformed beta missing, duplicate or malformed Host\n"
                                    "404 unknown_path  unknown path\n"
                                    "405 bad_method beta method\n"
                                    "413 too_large alpha body too large\n"
                                    "415 bad_type alpha content encoding\n"
                                    "400 malformed alpha expected ',' or '}'\n"
                                    "401 unverified alpha bad signature\n");
    bw_buf_free(&lines);
    static const char *const names[] = {"bellwire.db", "bellwire.db-wal", "bellwire.db-shm", "lock", "reserve"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void test_overload_is_503_with_retry_after(void **state)
{
    struct server *server = *state;
    struct hold hold;
    char large[1200];
    server->options.queued_max = 2;
    server->options.in_flight_bytes = 900;
    server->config.request_deadline_ms = 90000; /* longer than the fixture waits for an answer: none may need a deadline to come */
    server_start(server);
    snprintf(large, sizeof large, "POST /in/alpha HTTP/1.1\r\n" HOST "Content-Length: 901\r\n\r\n%0901d", 0);
    expect(server, large, 503, "{\"error\":\"overloaded\"}\n", true);
    expect(server, "POST /in/alpha HTTP/1.1\r\n" HOST "Content-Length: 901\r\n\r\n", 503, NULL, true); /* before its body */
    expect(server, "POST /in/alpha HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n385\r\n", 503, NULL, true);
    while (bw_store_queued(server->store)) usleep(1000); /* the records of these refusals would count against the two below */
    hold_writer(server, &hold);
    int parked[2];
    for (size_t i = 0; i < 2; i++) {
        say(parked[i] = dial(server), POST("", 2, "{}"));
        while (bw_ingest_parked(server->ingest) <= i) usleep(1000);
    }
    struct response got = ask(server, POST("", 2, "{}"));
    const char *after = strstr(got.text, "\r\nRetry-After: ");
    assert_int_equal(got.status, 503);
    assert_non_null(after);
    assert_in_range(atoi(after + 15), 1, 30);
    let_writer_go(&hold);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(hear(parked[i]).status, 202);
        close(parked[i]);
    }
    expect(server, POST("", 2, "{}"), 202, NULL, false);
}

static void test_bodies_in_flight_are_counted_back(void **state)
{
    struct server *server = *state;
    server->options.in_flight_bytes = 1200; /* 900 for one source */
    server_start(server);
    for (int i = 0; i < 20; i++) { /* each leaves in the middle of 800 bytes: the next one would not fit beside it */
        int fd = dial(server);
        say(fd, "POST /in/alpha HTTP/1.1\r\n" HOST "Content-Length: 800\r\n\r\nabc");
        shutdown(fd, SHUT_WR);
        assert_true(is_closed(fd));
        close(fd);
        while (bw_ingest_connections(server->ingest)) usleep(1000);
    }
    static char request[1000];
    int len = sprintf(request, "POST /in/alpha HTTP/1.1\r\n" HOST "Content-Length: 800\r\n\r\n%0800d", 0);
    assert_true(len > 800);
    for (int i = 0; i < 5; i++) expect(server, request, 202, NULL, false);
}

static void test_slow_senders_are_cut_off(void **state)
{
    struct server *server = *state;
    server->config.request_deadline_ms = 300;
    server->config.idle_ms = 600;
    server_start(server);
    static const char *const beginnings[] = {"",
                                             "P",
                                             "POST /in/alpha HTTP/1.1\r\nHost",
                                             POST("", 10, "abc"),
                                             POST("", 1002, "abc"),
                                             "POST /in/alpha HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nab",
                                             POST("", 0, "")};
    int fds[sizeof beginnings / sizeof *beginnings];
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) say(fds[i] = dial(server), beginnings[i]);
    assert_int_equal(hear(fds[6]).status, 202); /* and then stays silent */
    assert_int_equal(hear(fds[4]).status, 413); /* known to be too large from the start */
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
        assert_true(is_closed(fds[i]));
        close(fds[i]);
    }
    while (bw_ingest_connections(server->ingest)) usleep(1000);
}

static void test_one_byte_at_a_time_does_not_move_the_deadline(void **state)
{
    struct server *server = *state;
    server->config.request_deadline_ms = 300;
    server_start(server);
    int fd = dial(server);
    say(fd, "POST /in/alpha HTTP/1.1\r\nX: ");
    while (send(fd, "x", 1, MSG_NOSIGNAL) == 1) usleep(10000);
    close(fd);
}

/* The one that drips is cut when the deadline is over; by then the others have sent for seconds to come. */
static void test_a_body_may_take_its_time_but_not_drip(void **state)
{
    struct server *server = *state;
    server->config.request_deadline_ms = 300;
    server->config.body_rate = 20;
    server_start(server);
    char body[801];
    memset(body, '1', 800);
    body[800] = '\0';
    int plain = dial(server), chunked = dial(server), drips = dial(server);
    say(plain, "POST /in/alpha HTTP/1.1\r\n" HOST "Content-Length: 800\r\n\r\n");
    say_bytes(plain, body, 600);
    say(chunked, "POST /in/alpha HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n320\r\n");
    say_bytes(chunked, body, 600);
    say(drips, "POST /in/alpha HTTP/1.1\r\n" HOST "Content-Length: 800\r\n\r\n");
    while (send(drips, "1", 1, MSG_NOSIGNAL) == 1) usleep(100000); /* twice the time that a byte is worth */
    say_bytes(plain, body, 200);
    say_bytes(chunked, body, 200);
    say(chunked, "\r\n0\r\n\r\n");
    assert_int_equal(hear(plain).status, 202);
    assert_int_equal(hear(chunked).status, 202);
    close(plain), close(chunked), close(drips);
}

static void test_an_answer_that_nobody_takes_ends_the_connection(void **state)
{
    struct server *server = *state;
    server->config.idle_ms = 300;
    server_start(server);
    int fd = make_socket(), small = 2048;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    join(server, fd);
    char request[8100];
    int len = sprintf(request, "GET /in/alpha?%07900d HTTP/1.1\r\n" HOST "X-Verdict: handshake\r\n\r\n", 0);
    for (int at = 0;;) { /* never reads, and so is not read from at last */
        ssize_t sent = send(fd, request + at, (size_t)(len - at), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN) break;
        if (sent < 0)
            usleep(1000);
        else
            at = (at + (int)sent) % len;
    }
    close(fd);
    while (bw_ingest_connections(server->ingest)) usleep(1000);
}

static void test_connections_are_capped_and_the_rest_waits(void **state)
{
    struct server *server = *state;
    int fds[8];
    server->config.max_connections = 4;
    server_start(server);
    for (size_t i = 0; i < 8; i++) fds[i] = dial(server); /* four of them only to the kernel */
    while (bw_ingest_connections(server->ingest) < 4) usleep(1000);
    say(fds[0], "GET /healthz HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(hear(fds[0]).status, 200);
    assert_int_equal(bw_ingest_connections(server->ingest), 4);
    say(fds[7], "GET /healthz HTTP/1.1\r\n" HOST "\r\n");
    for (size_t i = 0; i < 7; i++) close(fds[i]);
    assert_int_equal(hear(fds[7]).status, 200);
    close(fds[7]);
}

/* Without descriptors accept() fails and the socket stays readable: libevent alone would spin, and log a line each time. */
static void test_running_out_of_descriptors_is_said_once_and_survived(void **state)
{
    struct server *server = *state;
    struct rlimit before, none;
    char log[2048] = "";
    int fds[4], said[2], real_stderr = dup(STDERR_FILENO);
    bw_log_setup(BW_LOG_ERROR, BW_LOG_JSON, "test"); /* before the threads; the next server_new() turns it off again */
    server_start(server);
    for (size_t i = 0; i < 4; i++) fds[i] = make_socket();
    assert_int_equal(pipe(said), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = (rlim_t)dup(0); /* the lowest free number */
    close((int)none.rlim_cur);
    dup2(said[1], STDERR_FILENO);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (size_t i = 0; i < 4; i++) {
        join(server, fds[i]);
        say(fds[i], "GET /healthz HTTP/1.1\r\n" HOST "\r\n");
    }
    assert_true(read(said[0], log, sizeof log - 1) > 0);
    setrlimit(RLIMIT_NOFILE, &before);
    dup2(real_stderr, STDERR_FILENO);
    assert_non_null(strstr(log, "\"ingest.accept_failed\",\"message\":\"Too many open files\""));
    const char *end = strchr(log, '\n');
    assert_true(end && !end[1]);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(hear(fds[i]).status, 200);
        close(fds[i]);
    }
    close(said[0]), close(said[1]), close(real_stderr);
}

static void test_a_client_that_leaves_changes_nothing(void **state)
{
    struct server *server = *state;
    struct hold hold;
    hold_writer(server, &hold);
    int fd = dial(server);
    say(fd, POST("", 2, "{}"));
    while (bw_ingest_parked(server->ingest) == 0) usleep(1000);
    const struct linger reset = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    let_writer_go(&hold);
    sem_wait(&server->news);
    assert_true(bw_slice_is(server->committed[0]->body, "{}"));
    expect(server, "GET /healthz HTTP/1.1\r\n" HOST "\r\n", 200, NULL, false);
}

static void *stop(void *arg)
{
    bw_ingest_stop(arg);
    return NULL;
}

static void test_stopping_answers_what_is_parked(void **state)
{
    struct server *server = *state;
    struct hold hold;
    pthread_t thread;
    hold_writer(server, &hold);
    int parked = dial(server), idle = dial(server), begun = dial(server);
    say(idle, "GET /healthz HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(hear(idle).status, 200);
    say(begun, "POST /in/alpha HTTP/1.1\r\n" HOST);
    say(parked, POST("", 2, "{}") POST("", 2, "{}"));
    while (bw_ingest_parked(server->ingest) == 0) usleep(1000);
    assert_int_equal(pthread_create(&thread, NULL, stop, server->ingest), 0);
    assert_true(is_closed(idle)); /* at once: nobody waits there */
    let_writer_go(&hold);
    struct response got = hear(parked);
    assert_int_equal(got.status, 202);
    assert_true(got.closes);
    assert_true(is_closed(parked)); /* the second one was never begun */
    assert_true(is_closed(begun));
    pthread_join(thread, NULL);
    server->ingest = NULL;
    assert_int_equal(server->committed_count, 1);
    close(parked), close(idle), close(begun);
}

static void test_who_has_just_come_is_answered_at_the_stop(void **state)
{
    struct server *server = *state;
    pthread_t thread;
    int idle = dial(server), fresh = dial(server);
    say(idle, "GET /healthz HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(hear(idle).status, 200);
    while (bw_ingest_connections(server->ingest) < 2) usleep(1000);
    assert_int_equal(pthread_create(&thread, NULL, stop, server->ingest), 0);
    assert_true(is_closed(idle)); /* the doors are closed now */
    say(fresh, POST("", 2, "{}"));
    struct response got = hear(fresh);
    assert_int_equal(got.status, 202);
    assert_true(got.closes);
    pthread_join(thread, NULL);
    server->ingest = NULL;
    assert_int_equal(server->committed_count, 1);
    close(idle), close(fresh);
}

static sem_t is_stuck, go_on;

static void bind_stuck(void *arg, struct bw_slice event_name, struct bw_slice body, struct bw_binding *out)
{
    sem_post(&is_stuck);
    sem_wait(&go_on);
    bind_seventh(arg, event_name, body, out);
}

static void test_a_loop_that_hangs_is_seen_though_another_turns(void **state)
{
    struct server *server = *state;
    const int64_t long_us = 1500000;
    sem_init(&is_stuck, 0, 0);
    sem_init(&go_on, 0, 0);
    server->options.bind = bind_stuck;
    server->config.ingest_threads = 2;
    server_start(server);
    int fd = dial(server);
    say(fd, POST("", 2, "{}"));
    sem_wait(&is_stuck);
    while (bw_ingest_silent_us(server->ingest) < long_us) usleep(10000);
    sem_post(&go_on);
    assert_int_equal(hear(fd).status, 202);
    while (bw_ingest_silent_us(server->ingest) >= long_us) usleep(10000);
    close(fd);
}

static void test_health_says_when_the_doors_are_closed(void **state)
{
    struct server *server = *state;
    struct hold hold;
    hold_writer(server, &hold);
    int fd = dial(server);
    say(fd, POST("", 2, "{}") "GET /healthz HTTP/1.1\r\n" HOST "\r\n");
    while (bw_ingest_parked(server->ingest) == 0) usleep(1000);
    bw_ingest_stop_accepting(server->ingest);
    let_writer_go(&hold);
    assert_true(hear(fd).closes);
    close(fd);
}

static void test_a_port_in_use_is_named_even_with_several_threads(void **state)
{
    struct server *server = *state;
    struct server *second = server_new();
    struct bw_error err = {0};
    server->config.ingest_threads = second->config.ingest_threads = 3;
    server_start(server);
    second->listen[0].port = server->port;
    second->options.store = server->store;
    assert_null(listen_to_sources(second, &err));
    char expected[64];
    snprintf(expected, sizeof expected, "127.0.0.1:%u is in use by another process", server->port);
    assert_string_equal(err.code, "listen.in_use");
    assert_string_equal(err.message, expected);
    assert_non_null(strstr(err.hint, "ss -ltnp"));
    server_end(second);
    for (int i = 0; i < 30; i++) expect(server, POST("", 2, "{}"), 202, NULL, false); /* all threads are still there */
}

static void test_an_address_that_is_not_ours_is_named(void **state)
{
    struct server *server = *state;
    struct bw_error err = {0};
    server->listen[0].host = (char *)"192.0.2.1";
    assert_null(listen_to_sources(server, &err));
    assert_string_equal(err.code, "listen.no_address");
    server->listen[0].host = (char *)"localhost";
    assert_null(listen_to_sources(server, &err));
    assert_string_equal(err.code, "listen.address");
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define BARE(test) cmocka_unit_test_setup_teardown(test, set_up_bare, tear_down)
    const struct CMUnitTest tests[] = {
        WITH(test_an_event_is_answered_after_its_commit),
        WITH(test_an_accepted_event_is_handed_on_whole),
        WITH(test_the_same_delivery_again_is_a_duplicate_of_the_first),
        WITH(test_long_delivery_ids_that_differ_at_their_end_are_different),
        WITH(test_a_refusal_says_only_its_kind),
        WITH(test_methods),
        WITH(test_odd_targets_are_answered_by_us),
        WITH(test_http_1_0_is_answered_and_closed),
        WITH(test_single_bytes_make_the_same_requests),
        WITH(test_health),
        WITH(test_a_body_above_the_limit_is_413),
        WITH(test_a_huge_body_is_refused_unread),
        WITH(test_expect_continue_is_honoured),
        WITH(test_chunks_make_one_body),
        WITH(test_smuggling_is_one_refusal),
        WITH(test_pipelined_requests_are_answered_in_order),
        WITH(test_a_thousand_pipelined_requests),
        BARE(test_what_nobody_waits_for_is_stored_and_not_handed_on),
        BARE(test_every_refusal_is_recorded),
        BARE(test_overload_is_503_with_retry_after),
        BARE(test_bodies_in_flight_are_counted_back),
        BARE(test_slow_senders_are_cut_off),
        BARE(test_one_byte_at_a_time_does_not_move_the_deadline),
        BARE(test_a_body_may_take_its_time_but_not_drip),
        BARE(test_an_answer_that_nobody_takes_ends_the_connection),
        BARE(test_connections_are_capped_and_the_rest_waits),
        BARE(test_running_out_of_descriptors_is_said_once_and_survived),
        WITH(test_a_client_that_leaves_changes_nothing),
        WITH(test_stopping_answers_what_is_parked),
        WITH(test_who_has_just_come_is_answered_at_the_stop),
        BARE(test_a_loop_that_hangs_is_seen_though_another_turns),
        WITH(test_health_says_when_the_doors_are_closed),
        BARE(test_a_port_in_use_is_named_even_with_several_threads),
        BARE(test_an_address_that_is_not_ours_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
