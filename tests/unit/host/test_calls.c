/* Calls of a plugin that is part of this test: what goes to the engine when it beats, and what it is told when a call is to end. */
#include "host/internal.h"
#include "wire/frame.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct bw_plugin_call *begun;
static unsigned cancels;

static void execute(void *instance, struct bw_plugin_call *call)
{
    (void)instance;
    begun = call;
}
static void on_cancel(void *instance, struct bw_plugin_call *call)
{
    (void)instance;
    assert_ptr_equal(call, begun);
    cancels++;
}
static const struct bw_plugin plugin = {.size = sizeof plugin, .abi = BELLWIRE_PLUGIN_ABI, .manifest = "{}", .execute = execute, .cancel = on_cancel};

struct fixture {
    struct bw_host host;
    struct bw_buf in;
    int fd;
    unsigned beats, results;
    json_t *result; /* the last one */
};

static void on_message(struct bw_channel *channel, const struct bw_message *message, void *arg)
{
    (void)channel, (void)message, (void)arg;
}
static void on_closed(struct bw_channel *channel, const char *reason, void *arg)
{
    (void)channel, (void)reason, (void)arg;
}

static void open_host(struct fixture *fixture, int64_t heartbeat_ms)
{
    static const struct bw_channel_handlers handlers = {on_message, on_closed};
    int pair[2];
    struct bw_host *host = &fixture->host;
    *fixture = (struct fixture){0};
    cancels = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
    fixture->fd = pair[0];
    host->base = event_base_new();
    host->mailbox = bw_mailbox_new(host->base, bw_host_receive, host);
    host->channel = bw_channel_new(host->base, pair[1], 1 << 20, &handlers, host);
    host->services = (struct bw_plugin_host){
        .opaque = host, .complete = bw_host_complete, .log = bw_host_log, .heartbeat = bw_host_heartbeat, .is_cancelled = bw_host_is_cancelled};
    host->plugin = &plugin;
    host->instance = host;
    assert_true(host->base && host->mailbox && host->channel);
    json_t *head =
        json_pack("{s:i,s:s,s:i,s:i,s:{s:s}}", "call", 5, "action", "my/call", "input_part", 0, "about_part", 1, "secrets", "KEY", "value");
    char about[256];
    snprintf(about, sizeof about,
             "{\"run\":\"run_1\",\"step\":\"a\",\"attempt\":3,\"key\":\"bw_x\",\"timeout_ms\":4000,\"heartbeat_ms\":%lld,\"once\":true,\"new\":{"
             "\"x\":[1.5]},"
             "\"callback_url\":\"http:\\/\\/x\\u00e9\"}",
             (long long)heartbeat_ms);
    const struct bw_slice parts[] = {BW_SLICE("{\"a\":1}"), bw_slice_of(about)};
    bw_host_execute(host, NULL, &(struct bw_message){.type = BW_MSG_HOST_EXECUTE, .head = head, .parts = parts, .part_count = 2});
    json_decref(head);
    assert_int_equal(begun->heartbeat_ms, heartbeat_ms);
}

/* One turn of the loop, and what has come out of it. */
static void turn(struct fixture *fixture, int how)
{
    static struct bw_frame frame;
    struct bw_error err;
    int64_t whole;
    ssize_t got;
    event_base_loop(fixture->host.base, how);
    assert_true(bw_buf_reserve(&fixture->in, 1 << 16));
    while ((got = read(fixture->fd, fixture->in.data + fixture->in.len, 1 << 15)) > 0) fixture->in.len += (size_t)got;
    while (fixture->in.len && (whole = bw_frame_decode(bw_buf_slice(&fixture->in), 1 << 20, &frame, &err)) > 0) {
        json_t *head = bw_json_load(frame.head, &err);
        if (frame.type == BW_MSG_HOST_BEAT || frame.type == BW_MSG_HOST_RESULT) assert_int_equal(bw_json_int(head, "call", 0), 5);
        fixture->beats += frame.type == BW_MSG_HOST_BEAT;
        if (frame.type == BW_MSG_HOST_RESULT) {
            fixture->results++;
            json_decref(fixture->result);
            fixture->result = json_incref(head);
        }
        json_decref(head);
        memmove(fixture->in.data, fixture->in.data + whole, fixture->in.len - (size_t)whole);
        fixture->in.len -= (size_t)whole;
    }
}
static void turns(struct fixture *fixture)
{
    for (int i = 0; i < 20; i++) turn(fixture, EVLOOP_NONBLOCK);
}

static void complete(struct fixture *fixture)
{
    bw_host_complete(&fixture->host.services, begun, &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result), .outcome = BW_PLUGIN_OK});
    turns(fixture);
    assert_int_equal(fixture->results, 1);
}

static void close_host(struct fixture *fixture)
{
    assert_null(fixture->host.calls);
    bw_channel_free(fixture->host.channel);
    bw_mailbox_free(fixture->host.mailbox);
    event_base_free(fixture->host.base);
    bw_buf_free(&fixture->in);
    json_decref(fixture->result);
    close(fixture->fd);
}

static void beat(struct fixture *fixture, int times)
{
    for (int i = 0; i < times; i++) bw_host_heartbeat(&fixture->host.services, begun);
}

static void test_a_loop_of_beats_is_one_message_and_one_that_waits(void **state)
{
    (void)state;
    struct fixture fixture;
    open_host(&fixture, 3600000);
    for (int i = 0; i < 50; i++) {
        beat(&fixture, 20000);
        turn(&fixture, EVLOOP_NONBLOCK);
    }
    turns(&fixture);
    assert_true(fixture.beats == 1 || fixture.beats == 2); /* a second one only if all this has taken a second */
    complete(&fixture);
    close_host(&fixture);
}

/* The last beat of a burst is not lost: silence is counted from it. */
static void test_a_beat_that_came_too_early_is_sent_when_it_is_time(void **state)
{
    (void)state;
    struct fixture fixture;
    open_host(&fixture, 400);
    beat(&fixture, 1);
    turns(&fixture);
    assert_int_equal(fixture.beats, 1);
    beat(&fixture, 1);
    turn(&fixture, EVLOOP_NONBLOCK);
    while (fixture.beats < 2) turn(&fixture, EVLOOP_ONCE); /* by its timer, or never */
    complete(&fixture);
    close_host(&fixture);
}

static void test_a_call_that_need_not_beat_sends_nothing(void **state)
{
    (void)state;
    struct fixture fixture;
    open_host(&fixture, 0);
    beat(&fixture, 100);
    turns(&fixture);
    assert_int_equal(fixture.beats, 0);
    complete(&fixture);
    close_host(&fixture);
}

static void test_a_call_that_is_completed_while_a_beat_waits(void **state)
{
    (void)state;
    struct fixture fixture;
    open_host(&fixture, 3600000);
    beat(&fixture, 1);
    turns(&fixture);
    beat(&fixture, 1);
    turns(&fixture);
    beat(&fixture, 1);
    complete(&fixture);
    assert_int_equal(fixture.beats, 1);
    close_host(&fixture);
}

static void *beat_in_a_thread(void *arg)
{
    beat(arg, 100000);
    return NULL;
}

static void test_any_thread_may_beat_and_ask(void **state)
{
    (void)state;
    struct fixture fixture;
    pthread_t threads[4];
    open_host(&fixture, 4);
    for (size_t i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, beat_in_a_thread, &fixture), 0);
    for (size_t i = 0; i < 4; i++) {
        turns(&fixture);
        assert_false(bw_host_is_cancelled(&fixture.host.services, begun));
        pthread_join(threads[i], NULL);
    }
    turns(&fixture);
    assert_true(fixture.beats >= 1);
    complete(&fixture);
    close_host(&fixture);
}

/* One of an older plugin does not have the field: what lies behind it is not read. */
static void test_a_result_that_will_be_posted(void **state)
{
    static const struct {
        size_t size;
        int64_t within_ms;
    } cases[] = {{sizeof(struct bw_plugin_result), 5000}, {offsetof(struct bw_plugin_result, within_ms), 0}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fixture fixture;
        open_host(&fixture, 0);
        bw_host_complete(&fixture.host.services, begun,
                         &(struct bw_plugin_result){.size = cases[i].size, .outcome = BW_PLUGIN_PENDING, .within_ms = 5000});
        turns(&fixture);
        assert_int_equal(fixture.results, 1);
        assert_string_equal(bw_json_str(fixture.result, "outcome", ""), "pending");
        assert_int_equal(bw_json_int(fixture.result, "within_ms", 0), cases[i].within_ms);
        close_host(&fixture);
    }
}

static void test_what_the_worker_says_of_a_call_is_what_the_plugin_sees(void **state)
{
    (void)state;
    struct fixture fixture;
    open_host(&fixture, 7);
    assert_string_equal(begun->action, "my/call");
    assert_string_equal(begun->input, "{\"a\":1}");
    assert_int_equal(begun->input_len, 7);
    assert_string_equal(begun->run, "run_1");
    assert_string_equal(begun->step, "a");
    assert_string_equal(begun->idempotency_key, "bw_x");
    assert_string_equal(begun->callback_url, "http://x\xc3\xa9");
    assert_int_equal(begun->attempt, 3);
    assert_int_equal(begun->timeout_ms, 4000);
    assert_int_equal(begun->heartbeat_ms, 7);
    assert_true(begun->is_once);
    assert_string_equal(bw_host_secret(&fixture.host.services, begun, "KEY"), "value");
    complete(&fixture);
    close_host(&fixture);
}

/* It is not executed with less than what it should know: the engine's timeout ends the attempt. */
static void test_a_call_of_which_nothing_sensible_is_said_is_not_executed(void **state)
{
    (void)state;
    struct fixture fixture;
    open_host(&fixture, 0);
    complete(&fixture);
    begun = NULL;
    json_t *head = json_pack("{s:i,s:s,s:i}", "call", 6, "action", "my/call", "about_part", 0);
    bw_host_execute(&fixture.host, NULL,
                    &(struct bw_message){.type = BW_MSG_HOST_EXECUTE, .head = head, .parts = &BW_SLICE("{\"run\":\"run"), .part_count = 1});
    json_decref(head);
    assert_null(begun);
    close_host(&fixture);
}

static void test_the_plugin_is_told_once(void **state)
{
    (void)state;
    struct fixture fixture;
    open_host(&fixture, 0);
    assert_false(bw_host_is_cancelled(&fixture.host.services, begun));
    bw_host_cancel(&fixture.host, NULL, 4); /* another one */
    assert_false(bw_host_is_cancelled(&fixture.host.services, begun));
    for (int i = 0; i < 2; i++) {
        bw_host_cancel(&fixture.host, NULL, 5);
        assert_true(bw_host_is_cancelled(&fixture.host.services, begun));
        assert_int_equal(cancels, 1);
    }
    complete(&fixture);
    bw_host_cancel(&fixture.host, NULL, 5); /* gone */
    assert_int_equal(cancels, 1);
    close_host(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_loop_of_beats_is_one_message_and_one_that_waits),
        cmocka_unit_test(test_a_beat_that_came_too_early_is_sent_when_it_is_time),
        cmocka_unit_test(test_a_call_that_need_not_beat_sends_nothing),
        cmocka_unit_test(test_a_call_that_is_completed_while_a_beat_waits),
        cmocka_unit_test(test_any_thread_may_beat_and_ask),
        cmocka_unit_test(test_a_result_that_will_be_posted),
        cmocka_unit_test(test_what_the_worker_says_of_a_call_is_what_the_plugin_sees),
        cmocka_unit_test(test_a_call_of_which_nothing_sensible_is_said_is_not_executed),
        cmocka_unit_test(test_the_plugin_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
