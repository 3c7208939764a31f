/* Runs that begin later: `rate`, `delay`, `start_within`. Property 10 of semantics.md at random, whatever the clock does. */
#include "base/random.h"
#include "parking_fixture.h"

#define MINUTE_MS 60000
#define RUNS 300
#define GROUPS 3

static struct bw_start_new rate_of(unsigned group, uint32_t count, int64_t period_ms, uint32_t burst)
{
    struct bw_start_new start = {.count = count, .period_ms = period_ms, .burst = burst, .most_ms = 30 * DAY_MS};
    memset(start.group, (int)group + 1, sizeof start.group);
    return start;
}

static const struct bw_slot_new one_slot = {.group = {9}, .most = 1, .max_queue = 1000, .holds_parked = true}, no_slot = {.most = 0};

static void ask_with(uint32_t run, struct bw_start_new start, struct bw_slot_new slot)
{
    struct bw_run_row row = {
        .uid = uid_of(run), .workflow = BW_SLICE("deploy"), .state = BW_RUN_BLOCKED, .started_ms = wall_ms, .slot = slot, .start = start};
    struct bw_store_op op = {.kind = BW_OP_REPORT, .event_id = first_event, .runs = &row, .run_count = 1};
    commit(&op);
}

static void ask(uint32_t run, struct bw_start_new start)
{
    ask_with(run, start, no_slot);
}

static void at(int64_t after_ms)
{
    wall_ms = START_MS + after_ms;
    fire(wall_ms);
}

static void cancel(uint32_t run)
{
    struct bw_store_op op = {
        .kind = BW_OP_CANCEL, .now_ms = wall_ms, .cancel = {.run = uid_of(run), .why = BW_SLICE("{}"), .actor = BW_SLICE("ann")}};
    commit(&op);
    assert_true(op.cancel.has_ended);
}

static bool ends_with(uint32_t run, const char *code, const char *message)
{
    char sql[400];
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM runs WHERE uid = x'0100000000000000000000%010x' AND json_extract(error, '$.code') = '%s' AND "
             "json_extract(error, '$.message') LIKE '%%%s%%'",
             run, code, message);
    return query(sql) == 1;
}

#define assert_states(first, ...)                                                                          \
    do {                                                                                                   \
        const enum bw_run_state wanted[] = {__VA_ARGS__};                                                  \
        for (uint32_t i_ = 0; i_ < sizeof wanted / sizeof *wanted; i_++)                                   \
            assert_string_equal(bw_run_state_name(state_of((first) + i_)), bw_run_state_name(wanted[i_])); \
        assert_sound();                                                                                    \
    } while (0)
#define A BW_RUN_ACTIVE
#define D BW_RUN_DELAYED
#define B BW_RUN_BLOCKED
#define S BW_RUN_SKIPPED

static void test_a_burst_begins_at_once_and_then_one_each_interval_in_order(void **state)
{
    (void)state;
    for (uint32_t run = 1; run <= 6; run++) ask(run, rate_of(0, 2, MINUTE_MS, 3));
    assert_states(1, A, A, A, D, D, D);
    assert_true(queue_of(3) > 0 && queue_of(4) == 0);
    at(29999);
    assert_states(4, D, D, D);
    at(30000);
    assert_states(4, A, D, D);
    assert_true(queue_of(4) > 0);
    at(60000);
    at(90000);
    assert_states(4, A, A, A);
    assert_int_equal(query("SELECT count(*) FROM timers") + query("SELECT count(*) FROM delayed"), 0);
    assert_int_equal(query("SELECT count(*) FROM runs WHERE state = 2 AND started_ms = 86400000000 + 60000"), 1);
}

static void test_each_group_has_a_rate_of_its_own(void **state)
{
    (void)state;
    ask(1, rate_of(0, 1, MINUTE_MS, 1));
    ask(2, rate_of(1, 1, MINUTE_MS, 1));
    ask(3, rate_of(0, 1, MINUTE_MS, 1));
    assert_states(1, A, A, D);
}

static void test_who_comes_later_does_not_overtake_who_waits(void **state)
{
    (void)state;
    for (uint32_t run = 1; run <= 2; run++) ask(run, rate_of(0, 1, MINUTE_MS, 1));
    wall_ms += 5 * MINUTE_MS; /* nobody has fired the timer yet */
    ask(3, rate_of(0, 1, MINUTE_MS, 1));
    assert_states(1, A, D, D);
    fire(wall_ms);
    assert_states(1, A, A, D);
    at(6 * MINUTE_MS);
    assert_states(1, A, A, A);
}

static void test_after_a_long_rest_of_the_engine_not_all_begin_at_once(void **state)
{
    (void)state;
    for (uint32_t run = 1; run <= 10; run++) ask(run, rate_of(0, 1, MINUTE_MS, 2));
    assert_states(1, A, A, D);
    reopen_writer(&defaults);
    at(HOUR_MS);
    assert_states(1, A, A, A, A, D, D);
    at(HOUR_MS + MINUTE_MS);
    assert_states(5, A, D);
}

static void test_too_many_can_be_left_out_and_say_why(void **state)
{
    struct bw_start_new start = rate_of(0, 5, HOUR_MS, 1);
    (void)state;
    start.skips = true;
    ask(1, start);
    wall_ms += 2 * MINUTE_MS;
    ask(2, start);
    assert_states(1, A, S);
    assert_true(ends_with(2, "run.rate", "5/1h is used up: the next one may begin in 10m"));
    wall_ms += 10 * MINUTE_MS; /* who was left out has taken nothing */
    ask(3, start);
    assert_states(3, A);
}

static void test_a_turn_that_would_come_after_the_run_s_timeout_fails_it(void **state)
{
    struct bw_start_new start = rate_of(0, 1, HOUR_MS, 1);
    (void)state;
    start.most_ms = 2 * HOUR_MS;
    for (uint32_t run = 1; run <= 4; run++) ask(run, start);
    assert_states(1, A, D, D, BW_RUN_FAILED);
    assert_true(ends_with(4, "run.rate_too_far", "1/1h its turn would come in 3h, and a run may take 2h"));
    start.group[0] = 7;
    start.ready_ms = wall_ms + DAY_MS; /* what is meant to be long is not too long */
    ask(5, start);
    start.until_ms = wall_ms + HOUR_MS; /* said in so many words */
    for (uint32_t run = 6; run <= 7; run++) ask(run, start);
    assert_states(5, D, S, S);
}

static void test_a_delay_is_waited_for_and_the_later_of_delay_and_rate_counts(void **state)
{
    struct bw_start_new plain = {.ready_ms = START_MS + 5 * MINUTE_MS}, both = rate_of(0, 1, 10 * MINUTE_MS, 1);
    (void)state;
    both.ready_ms = plain.ready_ms;
    ask(1, plain);
    ask(2, both);
    ask(3, both);
    assert_states(1, D, D, D);
    at(5 * MINUTE_MS - 1);
    assert_states(1, D, D, D);
    at(5 * MINUTE_MS);
    assert_states(1, A, A, D);
    at(15 * MINUTE_MS);
    assert_states(1, A, A, A);
    plain.ready_ms = wall_ms - 1; /* its event is older than that */
    ask(4, plain);
    assert_states(4, A);
}

static void test_who_was_delayed_asks_for_a_slot_then(void **state)
{
    struct bw_start_new plain = {.ready_ms = START_MS + MINUTE_MS};
    (void)state;
    ask_with(1, plain, one_slot);
    ask_with(2, (struct bw_start_new){.count = 0}, one_slot);
    assert_states(1, D, A);
    at(MINUTE_MS);
    assert_states(1, B, A);
    put(2, BW_RUN_SUCCEEDED, NULL, 0);
    assert_states(1, A);
}

static void test_when_one_that_waits_is_cancelled_the_next_one_has_its_turn(void **state)
{
    (void)state;
    for (uint32_t run = 1; run <= 4; run++) ask(run, rate_of(0, 1, MINUTE_MS, 1));
    cancel(2);
    assert_states(1, A, BW_RUN_CANCELLED, D, D);
    at(MINUTE_MS);
    assert_states(3, A, D);
    cancel(4);
    assert_int_equal(query("SELECT count(*) FROM timers") + query("SELECT count(*) FROM delayed"), 0);
    wall_ms += MINUTE_MS; /* its turn has not been taken */
    ask(5, rate_of(0, 1, MINUTE_MS, 1));
    assert_states(5, A);
}

static void test_who_cannot_begin_in_time_is_skipped(void **state)
{
    struct bw_start_new start = rate_of(0, 1, MINUTE_MS, 1), late = {.until_ms = START_MS + MINUTE_MS};
    (void)state;
    start.until_ms = START_MS + 90000;
    for (uint32_t run = 1; run <= 3; run++) ask(run, start);
    assert_states(1, A, D, S); /* it is known by then, and takes nobody's turn */
    assert_true(ends_with(3, "run.start_within", "its turn would come at 1972-09-27T00:02:00"));
    ask_with(4, late, one_slot);
    ask_with(5, late, one_slot);
    ask_with(6, (struct bw_start_new){.count = 0}, one_slot);
    assert_states(4, A, B, B);
    at(MINUTE_MS);
    assert_states(4, A, S, B);
    assert_true(ends_with(5, "run.start_within", "it did not get a slot in time"));
    assert_states(2, A);
    put(4, BW_RUN_SUCCEEDED, NULL, 0);
    assert_states(6, A);
    wall_ms = START_MS + MINUTE_MS + 1;
    ask(7, late);
    assert_states(7, S);
    assert_int_equal(query("SELECT count(*) FROM timers"), 0);
}

static void test_a_clock_that_is_set_back_gives_nothing_and_owes_no_more_than_a_burst(void **state)
{
    (void)state;
    for (uint32_t run = 1; run <= 2; run++) ask(run, rate_of(0, 1, MINUTE_MS, 2));
    wall_ms -= DAY_MS;
    ask(3, rate_of(0, 1, MINUTE_MS, 2));
    assert_states(1, A, A, D);
    wall_ms += MINUTE_MS - 1;
    fire(wall_ms);
    assert_states(3, D);
    wall_ms++;
    fire(wall_ms);
    assert_states(3, A);
}

static void test_rows_whose_time_has_passed_are_removed(void **state)
{
    (void)state;
    for (uint32_t run = 1; run <= 20; run++) ask(run, rate_of(run, 1, MINUTE_MS, 1));
    assert_int_equal(query("SELECT count(*) FROM rates"), 20);
    wall_ms += MINUTE_MS;
    for (uint32_t run = 21; run <= 26; run++) ask(run, rate_of(run, 1, MINUTE_MS, 1));
    assert_int_equal(query("SELECT count(*) FROM rates"), 6);
}

static void test_asking_twice_is_asking_once(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        for (uint32_t run = 1; run <= 3; run++) ask(run, rate_of(0, 1, MINUTE_MS, 1));
    assert_states(1, A, D, D);
    at(MINUTE_MS);
    ask(2, rate_of(0, 1, MINUTE_MS, 1));
    assert_states(1, A, A, D);
}

static void test_the_sweeper_lets_begin_who_was_forgotten(void **state)
{
    struct bw_error err = {0};
    (void)state;
    for (uint32_t run = 1; run <= 3; run++) ask(run, rate_of(0, 1, MINUTE_MS, 1));
    ask(4, (struct bw_start_new){.ready_ms = START_MS + HOUR_MS});
    assert_no_error(bw_sql_exec(writer.db, "DELETE FROM timers", &err), err);
    assert_int_equal(count_faults(), 2); /* the third run waits for the second one */
    for (size_t i = 0; i < BW_SWEEP_CHECKS; i++) assert_no_error(bw_sweep_slice(&writer, &err), err);
    assert_int_equal(writer.sweep.repairs, 2);
    at(0);
    assert_states(1, A, D, D, A); /* its turn is still its turn */
    at(MINUTE_MS);
    assert_states(1, A, A, D, A);
}

/* ---- at random ---- */

struct model {
    uint32_t count;
    unsigned groups[RUNS + 1];
    bool has_begun[RUNS + 1], is_gone[RUNS + 1];
    uint32_t order[GROUPS][RUNS];
    int64_t times[GROUPS][RUNS]; /* how much time had passed; a clock that is set back does not take any away */
    size_t begun[GROUPS];
    int64_t passed_ms;
};
static struct model model;
static const struct {
    uint32_t count, burst;
    int64_t period_ms;
} rates[GROUPS] = {{7, 1, 100}, {1, 3, 40}, {3, 10, 200}};
static uint64_t random_state;

static uint32_t below(uint32_t limit)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % limit;
}

static void let_pass(int64_t ms)
{
    wall_ms += ms;
    model.passed_ms += ms;
}

/* Who has begun since the last look. */
static void look(void)
{
    for (uint32_t run = 1; run <= model.count; run++) {
        if (model.has_begun[run] || model.is_gone[run]) continue;
        enum bw_run_state is = state_of(run);
        unsigned group = model.groups[run];
        if (is == BW_RUN_SKIPPED) model.is_gone[run] = true;
        if (is != BW_RUN_ACTIVE) continue;
        model.has_begun[run] = true;
        model.order[group][model.begun[group]] = run;
        model.times[group][model.begun[group]++] = model.passed_ms;
    }
}

static void compare(void)
{
    look();
    for (unsigned group = 0; group < GROUPS; group++) {
        size_t count = model.begun[group];
        for (size_t j = 1; j < count; j++) {
            if (model.order[group][j] < model.order[group][j - 1])
                fail_msg("run %u began before %u", model.order[group][j - 1], model.order[group][j]);
            for (size_t i = 0; i < j; i++) {
                int64_t more = (int64_t)(j - i + 1) - rates[group].burst;
                if (more * rates[group].period_ms > (model.times[group][j] - model.times[group][i]) * rates[group].count)
                    fail_msg("%zu runs of group %u began within %lld ms", j - i + 1, group,
                             (long long)(model.times[group][j] - model.times[group][i]));
            }
        }
    }
    assert_sound();
}

static void admit(void)
{
    uint32_t run = ++model.count;
    unsigned group = model.groups[run] = below(GROUPS);
    struct bw_start_new start = rate_of(group, rates[group].count, rates[group].period_ms, rates[group].burst);
    start.skips = below(5) == 0;
    if (below(6) == 0) start.ready_ms = wall_ms + below(100);
    if (below(8) == 0) start.until_ms = wall_ms + below(200);
    ask(run, start);
}

static void cancel_one(void)
{
    for (uint32_t run = 1 + below(RUNS); run <= model.count; run++) {
        if (state_of(run) != BW_RUN_DELAYED) continue;
        cancel(run);
        model.is_gone[run] = true;
        return;
    }
}

static void play(uint64_t seed)
{
    random_state = seed;
    model = (struct model){.count = 0};
    while (model.count < RUNS) {
        switch (below(12)) {
        case 0: let_pass(below(300)); break; /* nobody looks at timers for a while */
        case 1: reopen_writer(&defaults); break;
        case 2: cancel_one(); break;
        case 3:
            if (below(4) == 0) wall_ms -= below(500);
            break;
        case 4:
            if (below(4) == 0) let_pass(5000);
            break;
        case 5:
        case 6:
        case 7: admit(); break;
        default:
            let_pass(below(12));
            fire(wall_ms);
            break;
        }
        look();
        if (model.count % 16 == 0) compare();
    }
    for (int i = 0; i < 100000 && query("SELECT count(*) FROM delayed") + query("SELECT count(*) FROM timers"); i++) {
        let_pass(1 + below(10));
        while (fire(wall_ms)) continue;
        look();
    }
    compare();
    for (uint32_t run = 1; run <= model.count; run++)
        if (!model.has_begun[run] && !model.is_gone[run]) fail_msg("run %u is lost: %s", run, bw_run_state_name(state_of(run)));
}

static void test_no_time_has_more_starts_than_its_rate_and_nobody_is_lost_or_overtaken(void **state)
{
    const char *given = getenv("BELLWIRE_SEED");
    uint64_t first = 0;
    if (given)
        first = strtoull(given, NULL, 10);
    else
        bw_random_bytes(&first, 4);
    for (uint64_t seed = first; seed < first + (given ? 1 : 4); seed++) {
        if (seed != first && (teardown(state) || parking_setup(state))) fail();
        print_message("BELLWIRE_SEED=%llu\n", (unsigned long long)seed);
        play(seed);
    }
}

/* ---- crashes ---- */

static int child_main(char **argv)
{
    struct bw_error err = {0};
    writer = (struct bw_writer){.reserve = -1};
    first_event = atoll(argv[3]);
    wall_ms = START_MS;
    static const struct bw_clock clock = {.wall_ms = fake_wall, .mono_us = fake_mono};
    bw_clock_override(&clock);
    if (!bw_writer_open(&writer, argv[2], &err)) return 3;
    for (uint32_t run = 1; run <= 3; run++) ask(run, rate_of(0, 1, MINUTE_MS, 1));
    at(MINUTE_MS);
    bw_writer_close(&writer, true);
    return 0;
}

/* Whatever was committed counts, whatever was not is asked again by the next worker. */
static void test_a_crash_around_a_commit_gives_nobody_more_and_loses_nobody(void **state)
{
#ifdef BELLWIRE_TEST_HOOKS
    static const struct {
        const char *point;
        int asked, begun;
    } cases[] = {{"", 3, 2},
                 {"store.before_admission:1", 0, 0},
                 {"store.after_admission:1", 1, 1},
                 {"store.before_admission:2", 1, 1},
                 {"store.after_admission:2", 2, 1},
                 {"store.after_admission:3", 3, 1},
                 {"store.before_admission:4", 3, 1},
                 {"store.after_admission:4", 3, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (i && (teardown(state) || parking_setup(state))) fail();
        bw_writer_close(&writer, true);
        int status = run_child(cases[i].point);
        if (status != (*cases[i].point ? 137 : 0)) fail_msg("%s: %d", cases[i].point, status);
        wall_ms = START_MS + MINUTE_MS;
        open_writer(&defaults);
        assert_sound();
        assert_int_equal(query("SELECT count(*) FROM runs"), cases[i].asked);
        assert_int_equal(query("SELECT count(*) FROM runs WHERE state = 2"), cases[i].begun);
        for (uint32_t run = 1; run <= 3; run++) ask(run, rate_of(0, 1, MINUTE_MS, 1));
        for (int minute = 1; minute < 5; minute++) at(minute * MINUTE_MS);
        assert_states(1, A, A, A);
        assert_int_equal(query("SELECT count(DISTINCT started_ms / 60000) FROM runs"), 3);
    }
#else
    (void)state;
    skip(); /* built without BELLWIRE_TEST_HOOKS */
#endif
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        PARKING(test_a_burst_begins_at_once_and_then_one_each_interval_in_order),
        PARKING(test_each_group_has_a_rate_of_its_own),
        PARKING(test_who_comes_later_does_not_overtake_who_waits),
        PARKING(test_after_a_long_rest_of_the_engine_not_all_begin_at_once),
        PARKING(test_too_many_can_be_left_out_and_say_why),
        PARKING(test_a_turn_that_would_come_after_the_run_s_timeout_fails_it),
        PARKING(test_a_delay_is_waited_for_and_the_later_of_delay_and_rate_counts),
        PARKING(test_who_was_delayed_asks_for_a_slot_then),
        PARKING(test_when_one_that_waits_is_cancelled_the_next_one_has_its_turn),
        PARKING(test_who_cannot_begin_in_time_is_skipped),
        PARKING(test_a_clock_that_is_set_back_gives_nothing_and_owes_no_more_than_a_burst),
        PARKING(test_rows_whose_time_has_passed_are_removed),
        PARKING(test_asking_twice_is_asking_once),
        PARKING(test_the_sweeper_lets_begin_who_was_forgotten),
        PARKING(test_no_time_has_more_starts_than_its_rate_and_nobody_is_lost_or_overtaken),
        PARKING(test_a_crash_around_a_commit_gives_nobody_more_and_loses_nobody),
    };
    if (argc == 4 && strcmp(argv[1], "child") == 0) return child_main(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
