/* Lines: a worker that calls a host without the engine in between. The plugin is part of this test, which is also the engine and the worker. */
#include "host/internal.h"
#include "wire/frame.h"
#include "wire/pass.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CALLS_MAX 8
static struct bw_plugin_call *begun[CALLS_MAX];
static size_t begun_count, cancels;

static void execute(void *instance, struct bw_plugin_call *call)
{
    (void)instance;
    assert_true(begun_count < CALLS_MAX);
    begun[begun_count++] = call;
}
static void on_cancel(void *instance, struct bw_plugin_call *call)
{
    struct bw_host *host = instance;
    cancels++;
    if (!strcmp(call->step, "gives up"))
        bw_host_complete(&host->services, call, &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result), .outcome = BW_PLUGIN_FAIL});
}
static const struct bw_plugin plugin = {.size = sizeof plugin, .abi = BELLWIRE_PLUGIN_ABI, .manifest = "{}", .execute = execute, .cancel = on_cancel};

struct end { /* of what the host writes to */
    int fd;
    struct bw_buf in;
    size_t taken;
};
struct fixture {
    struct bw_host host;
    struct end engine;
    int passes, output; /* the engine's end of what passes lines; the pipe that the plugin prints to */
    int printed;        /* its other end */
};

static void on_message(struct bw_channel *channel, const struct bw_message *message, void *arg)
{
    (void)channel, (void)message, (void)arg;
}
static void on_closed(struct bw_channel *channel, const char *reason, void *arg)
{
    (void)channel, (void)reason, (void)arg;
}

static void open_host(struct fixture *fixture)
{
    static const struct bw_channel_handlers handlers = {on_message, on_closed};
    struct bw_host *host = &fixture->host;
    int pair[2], passes[2], output[2];
    *fixture = (struct fixture){0};
    begun_count = cancels = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(pipe(output), 0);
    assert_true(bw_pass_pair(passes));
    fixture->engine.fd = pair[0];
    fixture->passes = passes[0];
    fixture->output = output[1];
    fixture->printed = output[0];
    host->base = event_base_new();
    host->mailbox = bw_mailbox_new(host->base, bw_host_receive, host);
    host->channel = bw_channel_new(host->base, pair[1], 1 << 20, &handlers, host);
    host->services = (struct bw_plugin_host){.opaque = host, .complete = bw_host_complete, .log = bw_host_log, .heartbeat = bw_host_heartbeat};
    host->plugin = &plugin;
    host->instance = host;
    host->output = output[1];
    assert_true(host->base && host->mailbox && host->channel);
    assert_true(bw_host_take_lines(host, passes[1]));
}

static void turns(struct fixture *fixture)
{
    for (int i = 0; i < 20; i++) event_base_loop(fixture->host.base, EVLOOP_NONBLOCK);
}

static struct end give_line(struct fixture *fixture, int64_t number)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    assert_true(bw_pass_send(fixture->passes, number, pair[1]));
    close(pair[1]);
    turns(fixture);
    return (struct end){.fd = pair[0]};
}

static void say(struct fixture *fixture, const struct end *to, uint16_t type, int call, const char *step)
{
    struct bw_buf frame = {0};
    char head[100], about[100];
    snprintf(head, sizeof head, "{\"call\":%d,\"action\":\"my/call\",\"input_part\":0,\"about_part\":1,\"secrets\":{}}", call);
    snprintf(about, sizeof about, "{\"run\":\"run_1\",\"step\":\"%s\",\"heartbeat_ms\":60000}", step);
    const struct bw_slice parts[] = {BW_SLICE("{}"), bw_slice_of(about)};
    bw_frame_encode(&frame, type, bw_slice_of(head), parts, 2);
    assert_int_equal(write(to->fd, frame.data, frame.len), frame.len);
    bw_buf_free(&frame);
    turns(fixture);
}

/* The next message there: its head, the caller's; NULL: there is none. */
static json_t *next(struct fixture *fixture, struct end *end, int *type)
{
    static struct bw_frame frame;
    struct bw_error err;
    ssize_t got;
    turns(fixture);
    if (end->taken) memmove(end->in.data, end->in.data + end->taken, end->in.len - end->taken);
    end->in.len -= end->taken;
    end->taken = 0;
    assert_true(bw_buf_reserve(&end->in, 1 << 16));
    while ((got = read(end->fd, end->in.data + end->in.len, 1 << 15)) > 0) end->in.len += (size_t)got;
    int64_t whole = end->in.len ? bw_frame_decode(bw_buf_slice(&end->in), 1 << 20, &frame, &err) : 0;
    if (!whole) return NULL;
    assert_true(whole > 0);
    end->taken = (size_t)whole;
    *type = frame.type;
    return bw_json_load(frame.head, &err);
}

static void assert_next(struct fixture *fixture, struct end *end, int type, const char *head)
{
    int came = 0;
    json_t *message = next(fixture, end, &came);
    struct bw_buf text = {0};
    assert_non_null(message);
    assert_int_equal(came, type);
    bw_json_append(&text, message);
    assert_string_equal(text.data, head);
    bw_buf_free(&text);
    json_decref(message);
}

static void assert_nothing(struct fixture *fixture, struct end *end)
{
    int type;
    assert_null(next(fixture, end, &type));
}

static void complete(struct fixture *fixture, size_t index)
{
    bw_host_complete(&fixture->host.services, begun[index],
                     &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result), .outcome = BW_PLUGIN_OK});
}

static void hang_up(struct fixture *fixture, struct end *end)
{
    close(end->fd);
    bw_buf_free(&end->in);
    turns(fixture);
}

static void close_host(struct fixture *fixture)
{
    assert_null(fixture->host.calls);
    assert_nothing(fixture, &fixture->engine);
    close(fixture->passes);
    bw_channel_free(fixture->host.channel);
    bw_mailbox_free(fixture->host.mailbox);
    int passes = event_get_fd(fixture->host.passed);
    event_free(fixture->host.passed);
    close(passes);
    event_base_free(fixture->host.base);
    bw_buf_free(&fixture->engine.in);
    close(fixture->engine.fd);
    close(fixture->output);
    close(fixture->printed);
}

static void test_results_and_beats_go_back_on_the_line_of_their_call(void **state)
{
    (void)state;
    struct fixture fixture;
    open_host(&fixture);
    struct end one = give_line(&fixture, 11), two = give_line(&fixture, 12);
    say(&fixture, &one, BW_MSG_HOST_EXECUTE, 5, "a"); /* each numbers its calls as it likes */
    say(&fixture, &two, BW_MSG_HOST_EXECUTE, 5, "b");
    assert_int_equal(begun_count, 2);
    bw_host_heartbeat(&fixture.host.services, begun[1]);
    assert_next(&fixture, &two, BW_MSG_HOST_BEAT, "{\"call\":5}");
    complete(&fixture, 1);
    assert_next(&fixture, &two, BW_MSG_HOST_RESULT, "{\"call\":5,\"outcome\":\"ok\",\"output_part\":0}");
    assert_nothing(&fixture, &one);
    complete(&fixture, 0);
    assert_next(&fixture, &one, BW_MSG_HOST_RESULT, "{\"call\":5,\"outcome\":\"ok\",\"output_part\":0}");
    assert_nothing(&fixture, &two);
    assert_nothing(&fixture, &fixture.engine);
    hang_up(&fixture, &one);
    hang_up(&fixture, &two);
    assert_next(&fixture, &fixture.engine, BW_MSG_HOST_LINE_OVER, "{\"line\":11,\"calls\":[]}");
    assert_next(&fixture, &fixture.engine, BW_MSG_HOST_LINE_OVER, "{\"line\":12,\"calls\":[]}");
    close_host(&fixture);
}

static void test_a_cancel_is_of_the_line_that_it_comes_on(void **state)
{
    (void)state;
    struct fixture fixture;
    open_host(&fixture);
    struct end one = give_line(&fixture, 11), two = give_line(&fixture, 12);
    say(&fixture, &one, BW_MSG_HOST_EXECUTE, 5, "a");
    say(&fixture, &two, BW_MSG_HOST_CANCEL, 5, "");
    assert_int_equal(cancels, 0);
    bw_host_cancel(&fixture.host, NULL, 5); /* the engine's 5 is another one, too */
    assert_int_equal(cancels, 0);
    say(&fixture, &one, BW_MSG_HOST_CANCEL, 5, "");
    assert_int_equal(cancels, 1);
    complete(&fixture, 0);
    hang_up(&fixture, &one);
    hang_up(&fixture, &two);
    assert_next(&fixture, &fixture.engine, BW_MSG_HOST_LINE_OVER, "{\"line\":11,\"calls\":[]}");
    assert_next(&fixture, &fixture.engine, BW_MSG_HOST_LINE_OVER, "{\"line\":12,\"calls\":[]}");
    close_host(&fixture);
}

/* A line of the log, or what it has printed, belongs to the step: the engine has to read it before it hears that the call is over. */
static void test_what_has_said_something_is_answered_through_the_engine(void **state)
{
    (void)state;
    struct fixture fixture;
    char byte;
    open_host(&fixture);
    struct end line = give_line(&fixture, 11);
    say(&fixture, &line, BW_MSG_HOST_EXECUTE, 1, "a");
    bw_host_log(&fixture.host.services, begun[0], BW_PLUGIN_WARN, "look");
    complete(&fixture, 0);
    assert_next(&fixture, &fixture.engine, BW_MSG_HOST_LOG, "{\"level\":\"warn\",\"message\":\"look\",\"call\":1,\"line\":11}");
    assert_next(&fixture, &fixture.engine, BW_MSG_HOST_RESULT, "{\"call\":1,\"outcome\":\"ok\",\"output_part\":0,\"line\":11}");
    say(&fixture, &line, BW_MSG_HOST_EXECUTE, 2, "b");
    assert_int_equal(write(fixture.output, "x", 1), 1);
    complete(&fixture, 1);
    assert_next(&fixture, &fixture.engine, BW_MSG_HOST_RESULT, "{\"call\":2,\"outcome\":\"ok\",\"output_part\":0,\"line\":11}");
    assert_int_equal(read(fixture.printed, &byte, 1), 1); /* the engine has */
    say(&fixture, &line, BW_MSG_HOST_EXECUTE, 3, "c");
    assert_nothing(&fixture, &line);
    complete(&fixture, 2);
    assert_next(&fixture, &line, BW_MSG_HOST_RESULT, "{\"call\":3,\"outcome\":\"ok\",\"output_part\":0}");
    hang_up(&fixture, &line);
    assert_next(&fixture, &fixture.engine, BW_MSG_HOST_LINE_OVER, "{\"line\":11,\"calls\":[]}");
    close_host(&fixture);
}

static void test_when_a_worker_goes_its_calls_are_cancelled_and_the_engine_hears_of_their_ends(void **state)
{
    (void)state;
    struct fixture fixture;
    open_host(&fixture);
    struct end line = give_line(&fixture, 11), other = give_line(&fixture, 12);
    say(&fixture, &line, BW_MSG_HOST_EXECUTE, 1, "is over");
    complete(&fixture, 0);
    say(&fixture, &line, BW_MSG_HOST_EXECUTE, 2, "gives up");
    say(&fixture, &line, BW_MSG_HOST_EXECUTE, 3, "goes on");
    say(&fixture, &other, BW_MSG_HOST_EXECUTE, 4, "is another one's");
    hang_up(&fixture, &line);
    assert_int_equal(cancels, 2);
    assert_next(&fixture, &fixture.engine, BW_MSG_HOST_LINE_OVER, "{\"line\":11,\"calls\":[3,2]}");
    assert_next(
        &fixture, &fixture.engine, BW_MSG_HOST_RESULT,
        "{\"call\":2,\"outcome\":\"fail\",\"error\":{\"code\":\"plugin.failed\",\"message\":\"the plugin gave no reason\",\"class\":\"permanent\"},"
        "\"line\":11}");
    bw_host_heartbeat(&fixture.host.services, begun[2]); /* to nobody */
    complete(&fixture, 2);
    assert_next(&fixture, &fixture.engine, BW_MSG_HOST_RESULT, "{\"call\":3,\"outcome\":\"ok\",\"output_part\":0,\"line\":11}");
    complete(&fixture, 3);
    assert_next(&fixture, &other, BW_MSG_HOST_RESULT, "{\"call\":4,\"outcome\":\"ok\",\"output_part\":0}");
    hang_up(&fixture, &other);
    assert_next(&fixture, &fixture.engine, BW_MSG_HOST_LINE_OVER, "{\"line\":12,\"calls\":[]}");
    close_host(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results_and_beats_go_back_on_the_line_of_their_call),
        cmocka_unit_test(test_a_cancel_is_of_the_line_that_it_comes_on),
        cmocka_unit_test(test_what_has_said_something_is_answered_through_the_engine),
        cmocka_unit_test(test_when_a_worker_goes_its_calls_are_cancelled_and_the_engine_hears_of_their_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
