/* Who is let in, how often, with what; and routes that are replaced under requests. */
#include "fixture.h"

#include "base/schema.h"
#include <stdatomic.h>

static int set_up(void **state)
{
    *state = server_new();
    return 0;
}

static int tear_down(void **state)
{
    struct server *server = *state;
    free(server->sources[0].config.allow);
    free(server->config.trusted_proxies);
    bw_schema_free(server->sources[0].config.schema);
    server_end(server);
    return 0;
}

static struct bw_net_range *range_of(const char *text)
{
    struct bw_net_range *range = malloc(sizeof *range);
    assert_non_null(range);
    assert_int_equal(bw_net_range_parse(bw_slice_of(text), range), BW_NET_GOOD);
    return range;
}

static struct response post(const struct server *server, const char *headers, const char *body)
{
    char request[1200];
    snprintf(request, sizeof request, "POST /in/alpha HTTP/1.1\r\n" HOST "%sContent-Length: %zu\r\n\r\n%s", headers, strlen(body), body);
    return ask(server, request);
}

static int status_of(const struct server *server, const char *headers)
{
    return post(server, headers, "{}").status;
}

/* ---- allow ---- */

static void test_only_the_allowed_addresses_may_send(void **state)
{
    struct server *server = *state;
    server->sources[0].config.allow = range_of("192.0.2.0/24");
    server->sources[0].config.allow_count = 1;
    server->config.trusted_proxies = range_of("127.0.0.0/8");
    server->config.trusted_proxy_count = 1;
    server_start(server);
    struct response got = post(server, "", "{}");
    assert_int_equal(got.status, 403);
    assert_string_equal(body_of(&got), "{\"error\":\"forbidden\"}\n");
    assert_true(got.closes);
    assert_int_equal(status_of(server, "X-Forwarded-For: 192.0.2.7\r\n"), 202);
    assert_int_equal(status_of(server, "X-Forwarded-For: 192.0.2.7, 203.0.113.1\r\n"), 403); /* who is known to the proxy counts */
    assert_int_equal(status_of(server, "X-Forwarded-For: 192.0.2.7, who?\r\n"), 403);
    assert_int_equal(ask(server, "GET /in/alpha HTTP/1.1\r\n" HOST "X-Verdict: handshake\r\n\r\n").status, 403);
    assert_int_equal(ask(server, "POST /in/beta HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}").status, 202); /* it is a matter of the source */
}

static void test_without_a_trusted_proxy_the_header_says_nothing(void **state)
{
    struct server *server = *state;
    server->sources[0].config.allow = range_of("192.0.2.0/24");
    server->sources[0].config.allow_count = 1;
    server_start(server);
    assert_int_equal(status_of(server, "X-Forwarded-For: 192.0.2.7\r\n"), 403);
}

/* ---- rate ---- */

static const struct bw_rate_config two_an_hour = {2, 3600000, 2};

static void test_forged_requests_do_not_use_up_the_budget_of_a_source(void **state)
{
    struct server *server = *state;
    server->sources[0].config.rate = two_an_hour;
    server_start(server);
    for (int i = 0; i < 20; i++) assert_int_equal(status_of(server, "X-Verdict: refused\r\n"), 401);
    assert_int_equal(status_of(server, ""), 202);
    assert_int_equal(status_of(server, "X-Verdict: handshake\r\n"), 200);
    assert_int_equal(status_of(server, ""), 202);
    for (int i = 0; i < 30; i++) {
        struct response got = post(server, "", "{}");
        const char *after = strcasestr(got.text, "Retry-After: ");
        assert_int_equal(got.status, 429);
        assert_string_equal(body_of(&got), "{\"error\":\"rate_limited\"}\n");
        assert_true(got.closes && after && atoi(after + 13) >= 1 && atoi(after + 13) <= 30);
    }
    assert_int_equal(status_of(server, "X-Verdict: refused\r\n"), 401); /* and they learn nothing of it */
    assert_int_equal(ask(server, "POST /in/beta HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}").status, 202);
}

static void test_an_address_is_counted_before_anything_is_verified(void **state)
{
    struct server *server = *state;
    server->sources[0].config.address_rate = two_an_hour;
    server->config.trusted_proxies = range_of("127.0.0.0/8");
    server->config.trusted_proxy_count = 1;
    server_start(server);
    assert_int_equal(status_of(server, "X-Verdict: refused\r\n"), 401);
    assert_int_equal(status_of(server, "X-Verdict: refused\r\n"), 401);
    assert_int_equal(status_of(server, "X-Verdict: refused\r\n"), 429);
    assert_int_equal(status_of(server, ""), 429);
    assert_int_equal(status_of(server, "X-Forwarded-For: 203.0.113.9\r\n"), 202); /* another address has its own */
}

/* ---- schema ---- */

static struct bw_schema *schema_of(const char *text)
{
    struct bw_error err;
    json_t *from = bw_json_load(bw_slice_of(text), &err);
    struct bw_schema *schema = from ? bw_schema_load_value(from, &err) : NULL;
    if (!schema) fail_msg("%s", err.message);
    json_decref(from);
    return schema;
}

static void expect_misfit(const struct server *server, const char *headers, const char *body, const char *answer)
{
    struct response got = post(server, headers, body);
    if (got.status != 422 || strcmp(body_of(&got), answer)) fail_msg("%s: %d %s", body, got.status, body_of(&got));
}

static bool add_line(void *arg, const struct bw_delivery_row *row)
{
    bw_buf_printf(arg, "%u %s %.*s: %.*s\n", row->delivery.status, bw_outcome_name(row->delivery.outcome), (int)row->delivery.source.len,
                  row->delivery.source.ptr, (int)row->delivery.detail.len, row->delivery.detail.ptr);
    return true;
}

static void test_a_body_that_the_schema_does_not_want_is_pointed_at(void **state)
{
    struct server *server = *state;
    char folder[] = "/tmp/bellwire-routes-XXXXXX", path[64];
    struct bw_error err = {0};
    struct bw_buf lines = {0};
    server->sources[0].config.schema = schema_of("{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\",\"required\":true},\"items\":{"
                                                 "\"type\":\"array\",\"items\":{\"properties\":{\"n\":{\"min\":1}}}}}}");
    assert_non_null(mkdtemp(folder));
    server->options.store = server->store = bw_store_open(folder, &err);
    server->ingest = listen_to_sources(server, &err);
    assert_non_null(server->ingest);
    server->port = bw_ingest_port(server->ingest, 0);
    assert_int_equal(post(server, "", "{\"id\":\"x\",\"more\":[1],\"items\":[{\"n\":1}]}").status, 202);
    expect_misfit(server, "", "{}", "{\"error\":\"invalid\",\"message\":\"is required\",\"at\":\"/id\"}\n");
    expect_misfit(server, "", "{\"id\":\"x\",\"items\":[{\"n\":1},{\"n\":0}]}",
                  "{\"error\":\"invalid\",\"message\":\"must be at least 1\",\"at\":\"/items/1/n\"}\n");
    expect_misfit(server, "Content-Type: text/plain\r\n", "s3cret",
                  "{\"error\":\"invalid\",\"message\":\"is no JSON that can be read exactly\",\"line\":1,\"column\":1}\n");
    expect_misfit(server, "", "[]", "{\"error\":\"invalid\",\"message\":\"expected an object, found an array\",\"at\":\"\"}\n");
    struct response twice = post(server, "", "{\"id\":\"x\",\"a\":1,\"a\":2}");
    assert_int_equal(twice.status, 422); /* which of the two was checked, which will be read? */
    assert_int_equal(post(server, "X-Verdict: refused\r\n", "{}").status, 401);
    bw_ingest_stop(server->ingest);
    server->ingest = NULL;
    bw_store_close(server->store);
    server->store = NULL;
    struct bw_reader *reader = bw_reader_open(folder, &err);
    assert_non_null(reader);
    assert_true(bw_reader_deliveries(reader, (struct bw_slice){0}, false, 0, 100, add_line, &lines, &err));
    bw_reader_close(reader);
    assert_string_equal(lines.data, "401 unverified alpha: bad signature\n"
                                    "422 invalid alpha: the body is no JSON that can be read exactly\n"
                                    "422 invalid alpha: the body expected an object, found an array\n"
                                    "422 invalid alpha: the body is no JSON that can be read exactly\n"
                                    "422 invalid alpha: /items/1/n must be at least 1\n"
                                    "422 invalid alpha: /id is required\n"
                                    "202 accepted alpha: \n");
    bw_buf_free(&lines);
    static const char *const names[] = {"bellwire.db", "bellwire.db-wal", "bellwire.db-shm", "lock", "reserve"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

/* ---- routes that are replaced ---- */

static void on_release(void *owner)
{
    sem_post(owner);
}

static struct bw_router *router_of(const struct bw_source *source, sem_t *released)
{
    struct bw_error err;
    struct bw_router *router = bw_router_new(&source, 1, NULL, released ? on_release : NULL, released, &err);
    assert_non_null(router);
    return router;
}

static void test_a_request_ends_with_the_routes_that_it_began_with(void **state)
{
    struct server *server = *state;
    struct bw_source old = {.config = {.name = (char *)"old", .path = (char *)"/in/old", .max_body_bytes = 10}};
    struct bw_source new = {.config = {.name = (char *)"new", .path = (char *)"/in/new", .max_body_bytes = 2000000}};
    char *large = malloc(1500000);
    sem_t released;
    assert_non_null(large);
    memset(large, ' ', 1500000);
    sem_init(&released, 0, 0);
    server_start(server);
    bw_ingest_set_router_take(server->ingest, router_of(&old, &released));
    int begun = dial(server), idle = dial(server);
    say(idle, "POST /in/old HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}");
    assert_int_equal(hear(idle).status, 202);
    assert_int_equal(ask(server, "POST /in/new HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}").status, 404);
    say(begun, "POST /in/old HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    struct response go_on = hear(begun); /* so its head has been read */
    assert_int_equal(go_on.status, 100);
    bw_ingest_set_router_take(server->ingest, router_of(&new, NULL));
    assert_int_equal(ask(server, "POST /in/old HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}").status, 404); /* at once */
    say(idle, "POST /in/new HTTP/1.1\r\n" HOST "Content-Length: 1500000\r\n\r\n"); /* more than any source took when it came */
    say_bytes(idle, large, 1500000);
    assert_int_equal(hear(idle).status, 202);
    assert_int_equal(sem_trywait(&released), -1); /* one request still needs it */
    say(begun, "{}");
    assert_int_equal(hear(begun).status, 202);
    sem_wait(&released); /* though the connection stays open */
    say(begun, "POST /in/old HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}");
    assert_int_equal(hear(begun).status, 404);
    close(begun);
    close(idle);
    free(large);
    sem_destroy(&released);
    bw_ingest_stop(server->ingest);
    server->ingest = NULL;
}

static void bind_nobody(void *arg, struct bw_slice event_name, struct bw_slice body, struct bw_binding *out)
{
    (void)arg, (void)event_name, (void)body;
    *out = (struct bw_binding){.revision = 8};
}

/* The catalogue has changed between the head and the binding: 202 would promise a run that nobody begins. */
static void test_a_webhook_whose_workflow_is_gone_is_no_path(void **state)
{
    struct server *server = *state;
    server->options.bind = bind_nobody;
    server->sources[0].config.is_trigger = true;
    server_start(server);
    assert_int_equal(status_of(server, ""), 404);
    assert_int_equal(ask(server, "POST /in/beta HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}").status, 202); /* a source is there for itself */
}

static void test_buckets_outlive_a_reload_but_not_another_rate(void **state)
{
    struct server *server = *state;
    const struct bw_source *source = &server->sources[0], *other = &server->sources[1];
    struct bw_error err;
    server->sources[0].config.rate = two_an_hour;
    struct bw_router *first = bw_router_new(&source, 1, NULL, NULL, NULL, &err), *second = bw_router_new(&source, 1, first, NULL, NULL, &err);
    const struct bw_route *one = bw_router_find(first, BW_SLICE("/in/alpha")), *two = bw_router_find(second, BW_SLICE("/in/alpha"));
    assert_ptr_equal(one->meter, two->meter);
    bw_router_unref(first);
    assert_true(bw_meter_take(two->meter, 1));
    server->sources[0].config.rate.burst = 9;
    struct bw_router *third = bw_router_new(&source, 1, second, NULL, NULL, &err), *fourth = bw_router_new(&other, 1, second, NULL, NULL, &err);
    assert_ptr_not_equal(bw_router_find(third, BW_SLICE("/in/alpha"))->meter, two->meter);
    assert_null(bw_router_find(fourth, BW_SLICE("/in/beta"))->meter);
    bw_router_unref(second);
    bw_router_unref(third);
    bw_router_unref(fourth);
}

struct sender {
    const struct server *server;
    atomic_bool *is_over;
    unsigned sent, bad;
};

static void *send_on(void *arg)
{
    struct sender *sender = arg;
    int fd = dial(sender->server);
    while (!atomic_load(sender->is_over)) {
        if (sender->sent % 16 == 15) {
            close(fd);
            fd = dial(sender->server);
        }
        say(fd, POST("", 2, "{}"));
        sender->bad += hear(fd).status != 202;
        sender->sent++;
    }
    close(fd);
    return NULL;
}

static void *copy_of(const struct bw_source *source)
{
    struct bw_source *copy = malloc(sizeof *copy);
    assert_non_null(copy);
    *copy = *source;
    return copy;
}

/* Each router has sources of its own, freed with it: under the sanitizers a request that used those of another time would be seen. */
static void test_no_request_fails_while_routes_are_replaced(void **state)
{
    struct server *server = *state;
    atomic_bool is_over = false;
    struct sender senders[3];
    pthread_t threads[3];
    server->config.ingest_threads = 2;
    server->sources[0].config.rate = (struct bw_rate_config){1000000, 1, 1000000};
    server_start(server);
    for (int i = 0; i < 3; i++) {
        senders[i] = (struct sender){.server = server, .is_over = &is_over};
        assert_int_equal(pthread_create(&threads[i], NULL, send_on, &senders[i]), 0);
    }
    struct bw_router *current = NULL;
    for (int i = 0; i < 300; i++) {
        struct bw_error err;
        struct bw_source *source = copy_of(&server->sources[0]);
        const struct bw_source *list = source;
        struct bw_router *next = bw_router_new(&list, 1, current, free, source, &err);
        assert_non_null(next);
        bw_ingest_set_router_take(server->ingest, bw_router_ref(next));
        bw_router_unref(current);
        current = next;
        usleep(500);
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_true(senders[i].sent > 0);
        assert_int_equal(senders[i].bad, 0);
    }
    bw_router_unref(current);
}

int main(void)
{
#define BARE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        BARE(test_only_the_allowed_addresses_may_send),
        BARE(test_without_a_trusted_proxy_the_header_says_nothing),
        BARE(test_forged_requests_do_not_use_up_the_budget_of_a_source),
        BARE(test_an_address_is_counted_before_anything_is_verified),
        BARE(test_a_body_that_the_schema_does_not_want_is_pointed_at),
        BARE(test_a_request_ends_with_the_routes_that_it_began_with),
        BARE(test_a_webhook_whose_workflow_is_gone_is_no_path),
        BARE(test_buckets_outlive_a_reload_but_not_another_rate),
        BARE(test_no_request_fails_while_routes_are_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
