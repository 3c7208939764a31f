/* The engine's books of permits: who has which, what comes back by itself, what is owed over a restart. The clock stands still unless a test sets it.
 */
#include "base/clock.h"
#include "dispatch/internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SECOND 1000000LL
#define HOUR_MS 3600000LL

struct fake_worker {
    struct bw_run_worker engine_side; /* as the dispatcher knows it */
    struct bw_channel *channel;       /* its own end */
    int64_t given[64];
    size_t given_count, messages;
};
static struct {
    char folder[64];
    _Atomic int64_t now_us; /* the writer of the store looks at it, too */
    struct event_base *base;
    struct bw_dispatch dispatch;
    struct bw_config config;
    struct fake_worker workers[2];
} all;
static char one[] = "one", llm[] = "llm", brief[] = "brief", quick[] = "quick";
static struct bw_limit_config limits[] = {{.name = one, .burst = 1, .concurrency = 1},
                                          {.name = llm, .rate_count = 1, .rate_ms = 1000, .burst = 10},
                                          {.name = brief, .rate_count = 3, .rate_ms = 1000, .burst = 2},
                                          {.name = quick, .rate_count = 1000, .rate_ms = 1000, .burst = 10}};

static int64_t wall_ms(void *arg)
{
    (void)arg;
    return 1800000000000 + all.now_us / 1000;
}
static int64_t mono_us(void *arg)
{
    (void)arg;
    return all.now_us;
}

static void on_given(struct bw_channel *channel, const struct bw_message *message, void *arg)
{
    struct fake_worker *worker = arg;
    size_t index;
    json_t *number;
    (void)channel;
    assert_int_equal(message->type, BW_MSG_PERMIT);
    worker->messages++;
    json_array_foreach(json_object_get(message->head, "permits"), index, number) worker->given[worker->given_count++] = json_integer_value(number);
}
static void on_closed(struct bw_channel *channel, const char *reason, void *arg)
{
    (void)channel, (void)reason, (void)arg;
}

static void on_mail(struct bw_mail *mail, void *arg)
{
    (void)arg;
    bw_permits_stored(mail);
}

/* As after a start of the engine. */
static void begin(void)
{
    static const struct bw_channel_handlers handlers = {on_given, on_closed};
    struct bw_error err;
    all.config = (struct bw_config){.limits = limits, .limit_count = sizeof limits / sizeof *limits};
    all.dispatch = (struct bw_dispatch){.base = all.base, .options = {.config = &all.config}};
    all.dispatch.options.store = bw_store_open(all.folder, &err);
    all.dispatch.reader = bw_reader_open(all.folder, &err);
    all.dispatch.mailbox = bw_mailbox_new(all.base, on_mail, NULL);
    assert_true(all.dispatch.options.store && all.dispatch.reader && all.dispatch.mailbox);
    all.dispatch.permits = bw_permits_new(&all.dispatch, &err);
    assert_non_null(all.dispatch.permits);
    TAILQ_INIT(&all.dispatch.workers);
    for (unsigned i = 0; i < 2; i++) {
        struct fake_worker *worker = &all.workers[i];
        int pair[2];
        *worker = (struct fake_worker){.engine_side = {.dispatch = &all.dispatch, .number = i + 1, .state = BW_WORKER_LIVE}};
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        TAILQ_INIT(&worker->engine_side.asked);
        TAILQ_INSERT_TAIL(&all.dispatch.workers, &worker->engine_side, link);
        worker->engine_side.channel = bw_channel_new(all.base, pair[0], BW_FRAME_BYTES_MAX, &handlers, worker);
        worker->channel = bw_channel_new(all.base, pair[1], BW_FRAME_BYTES_MAX, &handlers, worker);
        assert_true(worker->engine_side.channel && worker->channel);
    }
}

static void end(void)
{
    for (unsigned i = 0; i < 2; i++) {
        bw_permits_worker_lost(&all.workers[i].engine_side);
        bw_channel_free(all.workers[i].engine_side.channel);
        bw_channel_free(all.workers[i].channel);
        bw_buf_free(&all.workers[i].engine_side.granted);
    }
    bw_store_close(all.dispatch.options.store);
    bw_mailbox_free(all.dispatch.mailbox);
    bw_permits_free(all.dispatch.permits);
    bw_reader_close(all.dispatch.reader);
}

static int set_up(void **state)
{
    static const struct bw_clock still = {wall_ms, mono_us, NULL};
    (void)state;
    strcpy(all.folder, "/tmp/bellwire-permits-XXXXXX");
    if (!mkdtemp(all.folder) || !(all.base = event_base_new())) return -1;
    all.now_us = 1000 * SECOND;
    bw_clock_override(&still);
    begin();
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"bellwire.db", "bellwire.db-wal", "bellwire.db-shm", "bellwire.db-journal", "lock", "reserve"};
    char path[128];
    (void)state;
    end();
    event_base_free(all.base);
    bw_clock_override(NULL);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", all.folder, names[i]);
        unlink(path);
    }
    return rmdir(all.folder);
}

static void restart(void)
{
    end();
    begin();
}

/* All that is under way on the sockets arrives. */
static void settle(void)
{
    for (int i = 0; i < 20; i++) event_base_loop(all.base, EVLOOP_NONBLOCK);
}

static void ask(unsigned worker, int64_t number, const char *limit, const char *key, double cost)
{
    json_t *head = json_pack("{s:I,s:s,s:s,s:f}", "permit", (json_int_t)number, "limit", limit, "key", key, "cost", cost);
    bw_permits_ask(&all.workers[worker].engine_side, head);
    json_decref(head);
}

static void give_back(unsigned worker, int64_t number, int64_t pause_ms)
{
    json_t *head = json_pack("{s:I,s:I}", "permit", (json_int_t)number, "pause_ms", (json_int_t)pause_ms);
    bw_permits_back(&all.workers[worker].engine_side, head);
    json_decref(head);
}

/* What the worker has been given since it was looked at last. */
static void assert_given(unsigned worker, size_t count, ...)
{
    struct fake_worker *fake = &all.workers[worker];
    va_list numbers;
    settle();
    assert_int_equal(fake->given_count, count);
    va_start(numbers, count);
    for (size_t i = 0; i < count; i++) assert_int_equal(fake->given[i], va_arg(numbers, int));
    va_end(numbers);
    fake->given_count = 0;
}

static void test_permits_are_given_in_the_order_of_asking_whoever_asks(void **state)
{
    (void)state;
    ask(0, 7, "one", "", 1);
    ask(1, 7, "one", "", 1); /* numbers are each worker's own */
    ask(0, 8, "one", "", 1);
    assert_given(0, 1, 7);
    assert_given(1, 0);
    give_back(0, 7, 0);
    assert_given(1, 1, 7);
    give_back(0, 99, 0); /* nobody has asked for it */
    give_back(1, 7, 0);
    assert_given(0, 1, 8);
}

static void test_one_turn_of_the_loop_is_one_message(void **state)
{
    (void)state;
    for (int i = 1; i <= 12; i++) ask(0, i, "llm", "", 1);
    assert_given(0, 10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
    assert_int_equal(all.workers[0].messages, 1);
}

static void test_what_a_dead_worker_had_and_waited_for_comes_back(void **state)
{
    (void)state;
    ask(0, 1, "one", "", 1);
    ask(0, 2, "one", "", 1);
    ask(1, 1, "one", "", 1);
    ask(0, 3, "one", "b", 1);
    assert_given(0, 2, 1, 3);
    bw_permits_worker_lost(&all.workers[0].engine_side);
    assert_given(1, 1, 1); /* not behind number 2, which nobody waits for any more */
    ask(1, 2, "one", "b", 1);
    assert_given(1, 1, 2);
}

static void test_who_leaves_the_line_makes_room(void **state)
{
    (void)state;
    ask(0, 1, "llm", "", 10);
    ask(0, 2, "llm", "", 10);
    ask(0, 3, "llm", "other", 10);
    assert_given(0, 2, 1, 3);
    give_back(0, 2, 0);
    ask(0, 4, "one", "", 1);
    assert_given(0, 1, 4);
}

static bool count_row(void *arg, const struct bw_limit_row *row)
{
    struct bw_limit_row *last = arg;
    last->free_ms = row->free_ms;
    last->paused_ms = row->paused_ms;
    last->key.len = row->key.len;
    last->name.len++;
    return true;
}
/* free_ms, paused_ms and the length of the key of the last row; name.len is their number. */
static struct bw_limit_row stored(void)
{
    struct bw_limit_row last = {0};
    struct bw_error err;
    assert_true(bw_reader_limits(all.dispatch.reader, count_row, &last, &err));
    return last;
}

static void test_a_restart_grants_no_fresh_burst(void **state)
{
    (void)state;
    ask(0, 1, "llm", "ada@example.com", 8);
    assert_given(0, 1, 1);
    bw_permits_store(all.dispatch.permits);
    restart();
    assert_int_equal(stored().name.len, 1);
    assert_int_equal(stored().key.len, 16); /* no address lies about in the store */
    assert_int_equal(stored().free_ms, wall_ms(NULL) + 8000);
    ask(0, 1, "llm", "ada@example.com", 3);
    ask(0, 2, "llm", "bob@example.com", 10);
    assert_given(0, 1, 2);
    end();
    all.now_us += SECOND; /* the first of the three seconds that it must wait: 8 + 3 - 10 */
    begin();
    ask(0, 3, "llm", "ada@example.com", 3);
    assert_given(0, 1, 3);
}

/* A restart takes no time that could be counted on: what is owed for less than a second is kept as well. */
static void test_a_stop_forgets_no_small_debt(void **state)
{
    (void)state;
    ask(0, 1, "brief", "", 2);
    ask(0, 2, "quick", "", 10);
    assert_given(0, 2, 1, 2);
    bw_permits_store(all.dispatch.permits);
    restart();
    ask(0, 1, "brief", "", 1);
    ask(0, 2, "quick", "", 10);
    assert_given(0, 0);
    end();
    all.now_us += SECOND / 3 + 1000; /* what is on disk is rounded up */
    begin();
    ask(0, 1, "brief", "", 1);
    ask(0, 2, "quick", "", 10);
    assert_given(0, 2, 2, 1);
}

static void test_while_it_serves_only_a_debt_that_outlives_the_write_is_stored(void **state)
{
    (void)state;
    ask(0, 1, "brief", "", 2);
    ask(0, 2, "quick", "", 10);
    assert_given(0, 2, 1, 2);
    bw_permits_watch(all.dispatch.permits);
    restart(); /* as after a crash */
    assert_int_equal(stored().name.len, 1);
    assert_int_equal(stored().free_ms, wall_ms(NULL) + 667);
}

static void test_a_debt_is_stored_by_itself_when_it_changes(void **state)
{
    (void)state;
    ask(0, 1, "llm", "", 5);
    assert_given(0, 1, 1);
    bw_permits_watch(all.dispatch.permits);
    all.now_us += SECOND;
    give_back(0, 1, 0);
    settle();
    while (!stored().name.len) settle();
    assert_int_equal(stored().free_ms, 1800000000000 + 1000000 + 5000);
}

static void test_a_pause_holds_those_in_line_and_outlives_a_restart(void **state)
{
    (void)state;
    ask(0, 1, "one", "", 1);
    ask(1, 1, "one", "", 1);
    ask(1, 2, "one", "other", 1);
    assert_given(0, 1, 1);
    assert_given(1, 1, 2);
    give_back(0, 1, 100 * HOUR_MS); /* an hour is the most */
    assert_given(1, 0);
    bw_permits_store(all.dispatch.permits);
    restart();
    assert_int_equal(stored().paused_ms, wall_ms(NULL) + HOUR_MS);
    ask(0, 1, "one", "", 1);
    assert_given(0, 0);
    end();
    all.now_us += HOUR_MS * 1000;
    begin();
    ask(0, 1, "one", "", 1);
    assert_given(0, 1, 1);
}

static void test_a_clock_that_was_set_back_makes_no_endless_debt(void **state)
{
    (void)state;
    const struct bw_limit_row rows[] = {{BW_SLICE("llm"), BW_SLICE(""), wall_ms(NULL) + 1000 * HOUR_MS, 0},
                                        {BW_SLICE("one"), BW_SLICE(""), 0, wall_ms(NULL) + 1000 * HOUR_MS},
                                        {BW_SLICE("gone"), BW_SLICE(""), wall_ms(NULL) + HOUR_MS, 0}}; /* no limit of that name any more */
    struct bw_store_op op = {.kind = BW_OP_LIMITS, .limits = rows, .limit_count = 3};
    struct bw_error err;
    assert_true(bw_store_submit_wait(all.dispatch.options.store, &op, &err));
    restart();
    ask(0, 1, "llm", "", 1);
    ask(0, 2, "one", "", 1);
    assert_given(0, 0);
    end();
    all.now_us += HOUR_MS * 1000;
    begin(); /* the debt was taken for the burst at most, the pause for an hour: both anew, since the rows still say more */
    ask(0, 1, "llm", "", 1);
    assert_given(0, 0);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(test_permits_are_given_in_the_order_of_asking_whoever_asks),
        WITH_STORE(test_one_turn_of_the_loop_is_one_message),
        WITH_STORE(test_what_a_dead_worker_had_and_waited_for_comes_back),
        WITH_STORE(test_who_leaves_the_line_makes_room),
        WITH_STORE(test_a_restart_grants_no_fresh_burst),
        WITH_STORE(test_a_stop_forgets_no_small_debt),
        WITH_STORE(test_while_it_serves_only_a_debt_that_outlives_the_write_is_stored),
        WITH_STORE(test_a_debt_is_stored_by_itself_when_it_changes),
        WITH_STORE(test_a_pause_holds_those_in_line_and_outlives_a_restart),
        WITH_STORE(test_a_clock_that_was_set_back_makes_no_endless_debt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
