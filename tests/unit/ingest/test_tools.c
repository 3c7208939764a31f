/* Calls of tools: who calls waits for the end of the run, and gets one answer, whoever comes first: the run, the time, or the end of the engine. Run
 * under the thread sanitizer as well. */
#include "dispatch/response.h"
#include "fixture.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

static struct {
    atomic_size_t asked;
    atomic_bool goes_on; /* the run has not ended yet */
    struct bw_uid event, run;
    char source[16];
} query;

/* As the main thread would, for a run that has ended well. */
static void tell(void *arg, struct bw_tool_run_query *asked)
{
    (void)arg;
    query.event = asked->event;
    query.run = asked->run;
    snprintf(query.source, sizeof query.source, "%.*s", (int)asked->source.len, asked->source.ptr);
    atomic_fetch_add(&query.asked, 1);
    asked->found = BW_TOOL_RUN_FOUND;
    asked->is_over = asked->is_good = !atomic_load(&query.goes_on);
    asked->status = asked->is_over ? "succeeded" : "active";
    if (asked->is_over) bw_buf_append_text(&asked->output, "{\"told\":true}");
    asked->done(asked);
}

static int set_up(void **state)
{
    struct server *server = server_new();
    struct bw_error err;
    memset(&query, 0, sizeof query);
    server->sources[0].config.mcp = (struct bw_mcp_config){.is_on = true, .within_ms = 30000};
    server->options.ask_tool_run = tell;
    server_start(server);
    json_t *workflows = json_loads("[{\"name\":\"w\",\"tool\":{\"name\":\"t\",\"inputs\":{\"n\":{\"type\":\"integer\"}}}}]", 0, NULL);
    struct bw_router *router = bw_router_new(server->source_list, 2, NULL, NULL, NULL, &err);
    assert_non_null(router);
    bw_router_set_tools_take(router, bw_mcp_tools_new(workflows));
    bw_ingest_set_router_take(server->ingest, router);
    json_decref(workflows);
    *state = server;
    return 0;
}

static int tear_down(void **state)
{
    if (*state) server_end(*state);
    return 0;
}

static int call(const struct server *server, const char *key)
{
    struct bw_buf body = {0}, request = {0};
    int fd = dial(server);
    bw_buf_append_text(&body, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{\"name\":\"t\",\"arguments\":{\"n\":1}");
    if (key) bw_buf_printf(&body, ",\"_meta\":{\"bellwire/idempotencyKey\":\"%s\"}", key);
    bw_buf_append_text(&body, "}}");
    bw_buf_printf(&request, "POST /in/alpha HTTP/1.1\r\n" HOST "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", body.len,
                  body.data);
    say(fd, request.data);
    bw_buf_free(&body);
    bw_buf_free(&request);
    return fd;
}

static void respond(struct server *server, const struct bw_accepted *accepted, bool is_end)
{
    const struct bw_responders responders = bw_ingest_responders(server->ingest);
    const struct bw_response response = {.event = accepted->uid,
                                         .run = bw_uid_of_run(accepted->uid, accepted->workflow),
                                         .status = 200,
                                         .type = BW_SLICE("application/json"),
                                         .body = BW_SLICE("{\"sum\":5}"),
                                         .is_end = is_end,
                                         .state = "succeeded"};
    responders.respond(responders.arg, &response);
}

static void expect(int fd, const char *part)
{
    struct response response = hear(fd);
    if (response.status != 200 || !strstr(body_of(&response), part)) fail_msg("%s", response.text);
    close(fd);
}

static void test_a_call_is_an_event_of_its_workflow_and_hears_of_the_end_alone(void **state)
{
    struct server *server = *state;
    int fd = call(server, NULL);
    sem_wait(&server->news);
    const struct bw_accepted *accepted = server->committed[0];
    assert_true(bw_slice_is(accepted->workflow, "w") && bw_slice_is(accepted->name, "alpha.tools.t") && bw_slice_is(accepted->source, "alpha"));
    assert_true(bw_slice_is(accepted->body, "{\"n\":1}"));
    assert_non_null(memmem(accepted->headers.ptr, accepted->headers.len, "\"bellwire-tool\":\"t\"", 19));
    respond(server, accepted, false); /* what a step says is for senders of events */
    respond(server, accepted, true);
    expect(fd, "\"structuredContent\":{\"sum\":5},\"isError\":false");
}

static void test_a_repeated_call_is_told_of_the_run_of_the_first(void **state)
{
    struct server *server = *state;
    int fd = call(server, "k");
    sem_wait(&server->news);
    respond(server, server->committed[0], true);
    expect(fd, "\"sum\":5");
    expect(call(server, "k"), "\"structuredContent\":{\"told\":true}");
    assert_int_equal(atomic_load(&query.asked), 1);
    assert_true(bw_uid_equal(query.event, server->committed[0]->uid));
    assert_true(bw_uid_equal(query.run, bw_uid_of_run(query.event, BW_SLICE("w"))));
    assert_string_equal(query.source, "alpha");
    assert_int_equal(server->committed_count, 1);
}

static void wait_for_held(const struct server *server, size_t count)
{
    while (bw_ingest_held(server->ingest) != count) sched_yield();
}

static void test_who_calls_again_while_the_run_goes_on_waits_for_it_too(void **state)
{
    struct server *server = *state;
    int fds[4];
    atomic_store(&query.goes_on, true);
    for (size_t i = 0; i < 4; i++) {
        fds[i] = call(server, "k");
        wait_for_held(server, i + 1);
    }
    sem_wait(&server->news);
    close(fds[2]); /* in the middle, and then the one that came last */
    wait_for_held(server, 3);
    close(fds[3]);
    wait_for_held(server, 2);
    respond(server, server->committed[0], true);
    expect(fds[0], "\"sum\":5");
    expect(fds[1], "\"sum\":5");
    assert_int_equal(bw_ingest_held(server->ingest), 0);
    assert_int_equal(server->committed_count, 1);
}

static void test_who_waits_when_the_engine_stops_is_told_where_to_ask(void **state)
{
    struct server *server = *state;
    int fd = call(server, NULL);
    sem_wait(&server->news);
    bw_ingest_stop(server->ingest);
    server->ingest = NULL;
    expect(fd, "\"status\":\"active\",\"is_over\":false");
}

#define CALLERS 4
#define CALLS 10

static void *call_often(void *server)
{
    for (size_t i = 0; i < CALLS; i++) expect(call(server, NULL), "\"sum\":5");
    return NULL;
}

static void test_many_call_at_once(void **state)
{
    struct server *server = *state;
    pthread_t threads[CALLERS];
    for (size_t i = 0; i < CALLERS; i++) assert_int_equal(pthread_create(&threads[i], NULL, call_often, server), 0);
    for (size_t i = 0; i < CALLERS * CALLS; i++) {
        sem_wait(&server->news);
        respond(server, server->committed[i], true);
    }
    for (size_t i = 0; i < CALLERS; i++) pthread_join(threads[i], NULL);
    assert_int_equal(bw_ingest_held(server->ingest), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_call_is_an_event_of_its_workflow_and_hears_of_the_end_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_repeated_call_is_told_of_the_run_of_the_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_calls_again_while_the_run_goes_on_waits_for_it_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_waits_when_the_engine_stops_is_told_where_to_ask, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_call_at_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
