/* Channels: two ends of a socketpair on one loop. Every test ends by itself when what it waits for has happened. */
#include "wire/channel.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct end {
    struct bw_channel *channel;
    struct event_base *base;
    unsigned messages, closes, expected; /* the loop ends with the expected message, or with a close */
    size_t bytes;
    char last[64], reason[256];
    bool frees_on_message, frees_on_close, echoes;
};

static void on_message(struct bw_channel *channel, const struct bw_message *message, void *arg)
{
    struct end *end = arg;
    assert_int_equal(end->closes, 0);
    assert_true(json_is_object(message->head));
    end->messages++;
    assert_int_equal(json_integer_value(json_object_get(message->head, "n")), end->messages); /* in the order of sending */
    for (size_t i = 0; i < message->part_count; i++) end->bytes += message->parts[i].len;
    if (message->part_count)
        snprintf(end->last, sizeof end->last, "%.*s", (int)(message->parts[0].len < 60 ? message->parts[0].len : 60), message->parts[0].ptr);
    if (end->echoes) assert_true(bw_channel_send_json(channel, message->type, message->head, message->parts, message->part_count));
    if (end->frees_on_message) {
        bw_channel_free(channel);
        end->channel = NULL;
    }
    if (end->messages == end->expected) event_base_loopbreak(end->base);
}

static void on_closed(struct bw_channel *channel, const char *reason, void *arg)
{
    struct end *end = arg;
    end->closes++;
    snprintf(end->reason, sizeof end->reason, "%s", reason);
    if (end->frees_on_close) {
        bw_channel_free(channel);
        end->channel = NULL;
    }
    event_base_loopbreak(end->base);
}

static const struct bw_channel_handlers handlers = {on_message, on_closed};

struct pair {
    struct event_base *base;
    struct end left, right;
    int raw; /* the left end as a bare descriptor, when there is no channel on it */
};

static void pair_open(struct pair *pair, bool left_is_raw)
{
    int fds[2];
    *pair = (struct pair){.base = event_base_new(), .raw = -1};
    assert_non_null(pair->base);
    pair->left.base = pair->right.base = pair->base;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    if (left_is_raw)
        pair->raw = fds[0];
    else
        assert_non_null(pair->left.channel = bw_channel_new(pair->base, fds[0], 1 << 20, &handlers, &pair->left));
    assert_non_null(pair->right.channel = bw_channel_new(pair->base, fds[1], 1 << 20, &handlers, &pair->right));
}

static void pair_close(struct pair *pair)
{
    bw_channel_free(pair->left.channel);
    bw_channel_free(pair->right.channel);
    if (pair->raw >= 0) close(pair->raw);
    event_base_free(pair->base);
}

static void send_numbered(struct bw_channel *channel, unsigned number, struct bw_slice part)
{
    char head[32];
    int len = snprintf(head, sizeof head, "{\"n\":%u}", number);
    assert_true(bw_channel_send(channel, 7, (struct bw_slice){head, (size_t)len}, &part, 1));
}

static void test_a_burst_arrives_whole_and_in_order(void **state)
{
    (void)state;
    struct pair pair;
    char *part = malloc(7000);
    pair_open(&pair, false);
    memset(part, 'x', 7000);
    pair.right.expected = 2000;
    for (unsigned i = 1; i <= 2000; i++)
        send_numbered(pair.left.channel, i, (struct bw_slice){part, 7000}); /* far more than the socket takes at once */
    assert_true(bw_channel_unsent(pair.left.channel) > 0);
    event_base_dispatch(pair.base);
    assert_int_equal(pair.right.messages, 2000);
    assert_int_equal(pair.right.bytes, 2000 * 7000);
    pair_close(&pair);
    free(part);
}

static void test_a_handler_may_answer(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, false);
    pair.right.echoes = true;
    pair.left.expected = 3;
    for (unsigned i = 1; i <= 3; i++) send_numbered(pair.left.channel, i, i == 3 ? BW_SLICE("last") : BW_SLICE("early"));
    event_base_dispatch(pair.base);
    assert_int_equal(pair.left.messages, 3);
    assert_string_equal(pair.left.last, "last");
    pair_close(&pair);
}

static void test_what_was_sent_before_the_end_still_arrives_and_the_end_is_told_once(void **state)
{
    (void)state;
    struct pair pair;
    struct bw_buf bytes = {0};
    pair_open(&pair, true);
    bw_frame_encode(&bytes, 7, BW_SLICE("{\"n\":1}"), NULL, 0);
    bw_frame_encode(&bytes, 7, BW_SLICE("{\"n\":2}"), NULL, 0);
    assert_int_equal(write(pair.raw, bytes.data, bytes.len), bytes.len);
    close(pair.raw);
    pair.raw = -1;
    event_base_dispatch(pair.base);
    event_base_loop(pair.base, EVLOOP_NONBLOCK);
    assert_int_equal(pair.right.messages, 2);
    assert_int_equal(pair.right.closes, 1);
    assert_string_equal(pair.right.reason, "closed");
    assert_false(bw_channel_send(pair.right.channel, 7, BW_SLICE("{}"), NULL, 0));
    bw_buf_free(&bytes);
    pair_close(&pair);
}

static void test_what_was_sent_before_a_write_that_fails_still_arrives(void **state)
{
    (void)state;
    struct pair pair;
    struct bw_buf bytes = {0};
    pair_open(&pair, true);
    for (int i = 1; i <= 100; i++) {
        char head[32];
        char part[7000] = {0};
        snprintf(head, sizeof head, "{\"n\":%d}", i);
        bw_frame_encode(&bytes, 7, bw_slice_of(head), &(struct bw_slice){part, sizeof part}, 1); /* more than is read at once */
    }
    assert_int_equal(setsockopt(pair.raw, SOL_SOCKET, SO_SNDBUF, &(int){1 << 20}, sizeof(int)), 0);
    ssize_t wrote = send(pair.raw, bytes.data, bytes.len, MSG_DONTWAIT);
    assert_true(wrote > 0);
    close(pair.raw);
    pair.raw = -1;
    send_numbered(pair.right.channel, 1, BW_SLICE("nobody reads this"));
    event_base_dispatch(pair.base);
    assert_int_equal(pair.right.messages, (size_t)wrote / (bytes.len / 100));
    assert_int_equal(pair.right.closes, 1);
    bw_buf_free(&bytes);
    pair_close(&pair);
}

static void test_a_peer_that_reads_no_more_is_cut_off(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, true);
    assert_int_equal(shutdown(pair.raw, SHUT_RD), 0);
    send_numbered(pair.right.channel, 1, BW_SLICE("nobody reads this"));
    event_base_dispatch(pair.base);
    assert_int_equal(pair.right.closes, 1);
    assert_string_equal(pair.right.reason, "closed");
    pair_close(&pair);
}

static void test_what_does_not_fit_into_the_socket_leaves_in_order_when_there_is_room(void **state)
{
    (void)state;
    struct pair pair;
    char *part = malloc(200000);
    pair_open(&pair, false);
    memset(part, 'x', 200000);
    pair.left.expected = 40;
    pair.right.echoes = true; /* both directions are full at times, and sending goes on meanwhile */
    for (unsigned i = 1; i <= 40; i++) {
        send_numbered(pair.left.channel, i, (struct bw_slice){part, i % 4 ? 200000 : 3});
        if (i % 10 == 0) event_base_loop(pair.base, EVLOOP_ONCE);
    }
    event_base_dispatch(pair.base);
    assert_int_equal(pair.left.messages, 40);
    assert_int_equal(bw_channel_unsent(pair.left.channel) + bw_channel_unsent(pair.right.channel), 0);
    pair_close(&pair);
    free(part);
}

static void test_free_inside_the_message_handler_stops_delivery(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, false);
    pair.right.frees_on_message = true;
    for (unsigned i = 1; i <= 3; i++) send_numbered(pair.left.channel, i, BW_SLICE("x"));
    event_base_dispatch(pair.base); /* ends by the left end's close */
    assert_int_equal(pair.right.messages, 1);
    assert_int_equal(pair.right.closes, 0);
    assert_int_equal(pair.left.closes, 1);
    pair_close(&pair);
}

static void test_free_inside_the_closed_handler_is_allowed(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, true);
    pair.right.frees_on_close = true;
    close(pair.raw);
    pair.raw = -1;
    event_base_dispatch(pair.base);
    assert_int_equal(pair.right.closes, 1);
    assert_null(pair.right.channel);
    pair_close(&pair);
}

/* What a broken peer may send; each ends the channel with a reason that says how, and nothing is delivered. */
static void test_a_peer_that_breaks_the_protocol_is_cut_off(void **state)
{
    (void)state;
    static const struct {
        struct bw_slice bytes;
        const char *reason;
    } cases[] = {
        {{"\xff\xff\xff\xff\1\0\0\0\2\0\0\0{}", 14}, "larger than the limit"},
        {{"\2\0\0\0\1\0\0\0\x10\0\0\0{}", 14}, "do not add up"},
        {{"\2\0\0\0\1\0\0\0\2\0\0\0[]", 14}, "no JSON object"},
        {{"\2\0\0\0\1\0\0\0\2\0\0\0{x", 14}, "no JSON object"},
        {{"\0\0\0\0\1\0\0\0\0\0\0\0", 12}, "no JSON object"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pair pair;
        pair_open(&pair, true);
        assert_int_equal(write(pair.raw, cases[i].bytes.ptr, cases[i].bytes.len), cases[i].bytes.len);
        event_base_dispatch(pair.base);
        assert_int_equal(pair.right.messages, 0);
        assert_int_equal(pair.right.closes, 1);
        assert_non_null(strstr(pair.right.reason, cases[i].reason));
        pair_close(&pair);
    }
}

static void test_a_frame_in_single_bytes_is_put_together(void **state)
{
    (void)state;
    struct pair pair;
    struct bw_buf bytes = {0};
    const struct bw_slice part = BW_SLICE("slowly");
    pair_open(&pair, true);
    pair.right.expected = 1;
    bw_frame_encode(&bytes, 7, BW_SLICE("{\"n\":1}"), &part, 1);
    for (size_t i = 0; i < bytes.len; i++) {
        assert_int_equal(pair.right.messages, 0);
        assert_int_equal(write(pair.raw, bytes.data + i, 1), 1);
        event_base_loop(pair.base, EVLOOP_ONCE);
    }
    assert_int_equal(pair.right.messages, 1);
    assert_string_equal(pair.right.last, "slowly");
    bw_buf_free(&bytes);
    pair_close(&pair);
}

/* Text of users travels in heads (a line of ctx.log): a NUL in it must not cost the worker its channel. */
static void test_an_escaped_nul_in_a_head_is_no_protocol_error(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, false);
    pair.right.expected = 1;
    assert_true(bw_channel_send(pair.left.channel, 7, BW_SLICE("{\"n\":1,\"message\":\"a\\u0000b\"}"), NULL, 0));
    event_base_dispatch(pair.base);
    assert_int_equal(pair.right.messages, 1);
    assert_int_equal(pair.right.closes, 0);
    pair_close(&pair);
}

static void send_raw(const struct pair *pair, unsigned from, unsigned to)
{
    struct bw_buf bytes = {0};
    for (unsigned i = from; i <= to; i++) {
        char head[32];
        int len = snprintf(head, sizeof head, "{\"n\":%u}", i);
        bw_frame_encode(&bytes, 7, (struct bw_slice){head, (size_t)len}, NULL, 0);
    }
    assert_int_equal(write(pair->raw, bytes.data, bytes.len), bytes.len);
    bw_buf_free(&bytes);
}

static void test_one_that_is_held_hears_nothing_until_it_goes_on(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, true);
    pair.right.frees_on_close = true;
    send_raw(&pair, 1, 2);
    bw_channel_hold(pair.right.channel);
    bw_channel_hold(pair.right.channel);
    event_base_loop(pair.base, EVLOOP_NONBLOCK);
    assert_int_equal(pair.right.messages, 0);
    close(pair.raw);
    pair.raw = -1;
    event_base_loop(pair.base, EVLOOP_NONBLOCK);
    assert_int_equal(pair.right.closes, 0);
    bw_channel_go_on(pair.right.channel);
    event_base_dispatch(pair.base);
    assert_int_equal(pair.right.messages, 2);
    assert_int_equal(pair.right.closes, 1);
    bw_channel_free(pair.left.channel);
    event_base_free(pair.base);
}

static bool holds_next;
static void hold_at_second(struct bw_channel *channel, const struct bw_message *message, void *arg)
{
    bool is_second = json_integer_value(json_object_get(message->head, "n")) == 2;
    if (is_second && holds_next) {
        holds_next = false;
        bw_channel_hold(channel);
        return;
    }
    on_message(channel, message, arg);
}

/* … and on_message() sees to it that each comes once, and in order. */
static void test_a_message_within_which_it_was_held_is_delivered_once_more(void **state)
{
    (void)state;
    static const struct bw_channel_handlers holding = {hold_at_second, on_closed};
    struct pair pair;
    int fds[2];
    pair_open(&pair, true);
    bw_channel_free(pair.right.channel);
    close(pair.raw);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    pair.raw = fds[0];
    pair.right.channel = bw_channel_new(pair.base, fds[1], 1 << 20, &holding, &pair.right);
    assert_non_null(pair.right.channel);
    holds_next = true;
    send_raw(&pair, 1, 3);
    event_base_loop(pair.base, EVLOOP_NONBLOCK);
    assert_int_equal(pair.right.messages, 1);
    send_raw(&pair, 4, 4);
    event_base_loop(pair.base, EVLOOP_NONBLOCK);
    assert_int_equal(pair.right.messages, 1);
    bw_channel_go_on(pair.right.channel);
    assert_int_equal(pair.right.messages, 3); /* at once: they had been read */
    pair.right.expected = 4;
    event_base_dispatch(pair.base);
    assert_int_equal(pair.right.messages, 4);
    pair_close(&pair);
}

static void test_what_is_sent_later_leaves_by_itself_or_in_front_of_what_is_sent(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, false);
    for (unsigned i = 1; i <= 2; i++) {
        char head[32];
        int len = snprintf(head, sizeof head, "{\"n\":%u}", i);
        assert_true(bw_channel_send_later(pair.left.channel, 7, (struct bw_slice){head, (size_t)len}, NULL, 0));
    }
    assert_true(bw_channel_unsent(pair.left.channel) > 0);
    pair.right.expected = 2;
    event_base_dispatch(pair.base); /* nothing else is sent */
    assert_int_equal(pair.right.messages, 2);
    assert_true(bw_channel_send_later(pair.left.channel, 7, BW_SLICE("{\"n\":3}"), NULL, 0));
    send_numbered(pair.left.channel, 4, BW_SLICE("now"));
    pair.right.expected = 4;
    event_base_dispatch(pair.base);
    assert_string_equal(pair.right.last, "now");
    assert_true(bw_channel_send_later(pair.left.channel, 7, BW_SLICE("{\"n\":5}"), NULL, 0)); /* it may be freed with some on their way */
    pair_close(&pair);
}

/* Whatever the peer has written there: a part, or none. */
static void test_a_part_is_found_by_the_field_that_names_it(void **state)
{
    (void)state;
    static const char *const none[] = {"missing", "behind", "far", "below", "text", "real", "null", "list"};
    const struct bw_slice parts[] = {BW_SLICE("first"), {"", 0}, BW_SLICE("last")};
    json_t *head = bw_json_load(BW_SLICE("{\"first\":0,\"empty\":1,\"behind\":3,\"far\":9223372036854775807,\"below\":-1,\"text\":\"0\",\"real\":0.0,"
                                         "\"null\":null,\"list\":[0],\"inner\":{\"last\":2}}"),
                                NULL);
    const struct bw_message message = {.type = 7, .head = head, .parts = parts, .part_count = 3};
    assert_non_null(head);
    assert_ptr_equal(bw_message_part(&message, head, "first"), &parts[0]);
    assert_ptr_equal(bw_message_part(&message, head, "empty"), &parts[1]);
    assert_ptr_equal(bw_message_part(&message, json_object_get(head, "inner"), "last"), &parts[2]);
    assert_ptr_equal(bw_message_part_or(&message, head, "first", BW_SLICE("{}")).ptr, parts[0].ptr);
    assert_int_equal(bw_message_part_or(&message, head, "empty", BW_SLICE("{}")).len, 0);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        assert_null(bw_message_part(&message, head, none[i]));
        assert_true(bw_slice_is(bw_message_part_or(&message, head, none[i], BW_SLICE("{}")), "{}"));
    }
    assert_null(bw_message_part(&message, NULL, "first"));
    assert_null(bw_message_part(&(struct bw_message){.head = head}, head, "first"));
    json_decref(head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_burst_arrives_whole_and_in_order),
        cmocka_unit_test(test_a_handler_may_answer),
        cmocka_unit_test(test_what_was_sent_before_the_end_still_arrives_and_the_end_is_told_once),
        cmocka_unit_test(test_what_was_sent_before_a_write_that_fails_still_arrives),
        cmocka_unit_test(test_a_peer_that_reads_no_more_is_cut_off),
        cmocka_unit_test(test_what_does_not_fit_into_the_socket_leaves_in_order_when_there_is_room),
        cmocka_unit_test(test_free_inside_the_message_handler_stops_delivery),
        cmocka_unit_test(test_free_inside_the_closed_handler_is_allowed),
        cmocka_unit_test(test_a_peer_that_breaks_the_protocol_is_cut_off),
        cmocka_unit_test(test_a_frame_in_single_bytes_is_put_together),
        cmocka_unit_test(test_an_escaped_nul_in_a_head_is_no_protocol_error),
        cmocka_unit_test(test_one_that_is_held_hears_nothing_until_it_goes_on),
        cmocka_unit_test(test_a_message_within_which_it_was_held_is_delivered_once_more),
        cmocka_unit_test(test_what_is_sent_later_leaves_by_itself_or_in_front_of_what_is_sent),
        cmocka_unit_test(test_a_part_is_found_by_the_field_that_names_it),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
