/* Events of which one run is made: `collect`. Properties 1, 2 and 11 of semantics.md at random against a model, and with the process dying around
 * each commit. BELLWIRE_SEED replays one seed. */
#include "base/random.h"
#include "parking_fixture.h"
#include <stdlib.h>
#include <string.h>

#define GROUPS 4
#define EVENTS 400
#define MINUTE_MS (60 * 1000LL)

static struct bw_collect_new collect_of(unsigned group, int64_t quiet_ms, int64_t max_wait_ms, uint32_t max_events)
{
    struct bw_collect_new collect = {.quiet_ms = quiet_ms, .max_wait_ms = max_wait_ms, .max_events = max_events};
    memset(collect.group, (int)group + 1, sizeof collect.group);
    return collect;
}

static struct bw_run_row row_of(struct bw_collect_new collect)
{
    return (struct bw_run_row){.workflow = BW_SLICE("gather"), .state = BW_RUN_BLOCKED, .version = {7}, .collect = collect};
}

static void say(int64_t event_id, const struct bw_run_row *row)
{
    struct bw_store_op op = {.kind = BW_OP_REPORT, .event_id = event_id, .runs = row, .run_count = 1, .event_done = true, .matched = 1};
    commit(&op);
}

static int64_t gather(struct bw_collect_new collect)
{
    struct bw_run_row row = row_of(collect);
    int64_t event_id = add_event(0, "", 0);
    say(event_id, &row);
    return event_id;
}

static void at(int64_t ms)
{
    wall_ms = START_MS + ms;
    while (fire(wall_ms)) continue;
}

static int64_t runs(void)
{
    return query("SELECT count(*) FROM runs WHERE collector_id <> 0");
}

/* How many events the newest run is made of. */
static int64_t newest(void)
{
    return query("SELECT count(*) FROM collected WHERE collector_id = (SELECT collector_id FROM runs ORDER BY id DESC LIMIT 1)");
}

/* ---- when ---- */

static void test_silence_makes_the_run_and_each_event_puts_it_off(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        at(i * MINUTE_MS);
        gather(collect_of(0, 2 * MINUTE_MS, 0, 100));
    }
    at(4 * MINUTE_MS - 1);
    assert_int_equal(runs(), 0);
    at(4 * MINUTE_MS);
    assert_int_equal(runs(), 1);
    assert_int_equal(newest(), 3);
    assert_int_equal(query("SELECT count(*) FROM runs WHERE state = 2 AND id IN (SELECT run_id FROM queue)"), 1);
    assert_sound();
}

static void test_it_is_not_put_off_for_ever(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        at(i * MINUTE_MS);
        gather(collect_of(0, 2 * MINUTE_MS, 5 * MINUTE_MS, 100));
    }
    assert_int_equal(runs(), 1);
    assert_int_equal(newest(), 5); /* of minutes 0 to 4: its time came before the next one */
    at(10 * MINUTE_MS);
    assert_int_equal(runs(), 2);
    assert_int_equal(newest(), 5);
}

static void test_a_full_one_is_due_at_once_and_takes_no_more(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) gather(collect_of(0, MINUTE_MS, 0, 3));
    assert_int_equal(query("SELECT count(*) FROM collectors WHERE due_ms = 86400000000"), 1); /* START_MS */
    at(0);
    assert_int_equal(runs(), 1);
    assert_int_equal(newest(), 3);
    at(MINUTE_MS);
    assert_int_equal(newest(), 2);
    gather(collect_of(1, MINUTE_MS, 0, 1));
    at(MINUTE_MS);
    assert_int_equal(newest(), 1);
}

static void test_each_group_and_each_workflow_is_gathered_by_itself(void **state)
{
    (void)state;
    struct bw_run_row other = row_of(collect_of(9, MINUTE_MS, 0, 10));
    int64_t event = gather(collect_of(0, MINUTE_MS, 0, 10));
    gather(collect_of(1, MINUTE_MS, 0, 10));
    other.workflow = (struct bw_slice)BW_SLICE("another");
    say(event, &other);
    at(MINUTE_MS);
    assert_int_equal(runs(), 3);
    assert_int_equal(query("SELECT count(*) FROM runs WHERE workflow = 'another'"), 1);
    assert_sound();
}

static void test_an_event_that_is_looked_at_again_stays_where_it_is(void **state)
{
    (void)state;
    struct bw_run_row row = row_of(collect_of(0, MINUTE_MS, 0, 10));
    int64_t event = gather(row.collect);
    say(event, &row);
    assert_int_equal(query("SELECT count FROM collectors"), 1);
    at(MINUTE_MS);
    say(event, &row); /* its run is there */
    assert_int_equal(query("SELECT count(*) FROM collectors"), 1);
    at(HOUR_MS);
    assert_int_equal(runs(), 1);
}

static void test_very_large_bodies_make_a_run_earlier(void **state)
{
    (void)state;
    static char body[6 << 20];
    struct bw_run_row row = row_of(collect_of(0, HOUR_MS, 0, 100));
    memset(body, 'x', sizeof body);
    for (int i = 0; i < 3; i++) {
        struct bw_store_op op = accept_op(next_number++, "");
        op.event.body = (struct bw_slice){body, sizeof body};
        commit(&op);
        say(op.event_id, &row);
    }
    at(0);
    assert_int_equal(runs(), 1);
    assert_int_equal(newest(), 2);
    assert_int_equal(query("SELECT count FROM collectors WHERE due_ms IS NOT NULL"), 1);
}

/* ---- what kind of run ---- */

static void fire_with(int64_t ms, const struct bw_collect_version *versions, size_t count)
{
    wall_ms = START_MS + ms;
    struct bw_store_op op = {.kind = BW_OP_WAKE, .now_ms = wall_ms, .collects = versions, .collect_count = count, .collect_revision = 3};
    commit(&op);
}

static void test_the_run_has_the_version_of_its_time_or_the_one_it_was_gathered_by(void **state)
{
    (void)state;
    const struct bw_collect_version now = {.workflow = BW_SLICE("gather"), .version = {8}}, other = {.workflow = BW_SLICE("other"), .version = {9}};
    gather(collect_of(0, MINUTE_MS, 0, 10));
    fire_with(MINUTE_MS, &now, 1);
    assert_int_equal(query("SELECT count(*) FROM runs WHERE revision = 3 AND substr(version, 1, 1) = x'08'"), 1);
    gather(collect_of(0, MINUTE_MS, 0, 10));
    fire_with(2 * MINUTE_MS, &other, 1);
    assert_int_equal(query("SELECT count(*) FROM runs WHERE revision = 0 AND substr(version, 1, 1) = x'07'"), 1);
}

static void test_the_run_is_admitted_as_every_other_one(void **state)
{
    (void)state;
    struct bw_run_row row = row_of(collect_of(0, MINUTE_MS, 0, 2));
    row.slot = (struct bw_slot_new){.most = 1, .max_queue = 10, .holds_parked = true};
    for (int i = 0; i < 4; i++) say(add_event(0, "", 0), &row);
    at(0);
    assert_int_equal(query("SELECT count(*) FROM runs WHERE state = 2"), 1);
    assert_int_equal(query("SELECT count(*) FROM runs WHERE state = 1"), 1);
    row = row_of(collect_of(1, MINUTE_MS, 0, 2));
    row.start = (struct bw_start_new){.ready_ms = HOUR_MS, .until_ms = DAY_MS};
    say(add_event(0, "", 0), &row);
    at(MINUTE_MS);
    assert_int_equal(query("SELECT due_ms FROM timers WHERE path = '~start'"), START_MS + MINUTE_MS + HOUR_MS);
    assert_int_equal(query("SELECT due_ms FROM timers WHERE path = '~within'"), START_MS + MINUTE_MS + DAY_MS);
    assert_sound();
    at(MINUTE_MS + HOUR_MS);
    assert_int_equal(query("SELECT count(*) FROM runs WHERE state = 2"), 2);
}

static void test_an_event_whose_run_has_that_name_already_is_not_lost(void **state)
{
    (void)state;
    struct bw_run_row row = row_of(collect_of(0, MINUTE_MS, 0, 10));
    int64_t event = add_event(0, "", 0);
    struct bw_run_row failed = {.uid = bw_uid_of_run(uid_of(next_number - 1), row.workflow),
                                .workflow = row.workflow,
                                .state = BW_RUN_FAILED,
                                .started_ms = 1,
                                .ended_ms = 1};
    struct bw_store_op op = {.kind = BW_OP_REPORT, .event_id = event, .runs = &failed, .run_count = 1};
    say(event, &row);
    commit(&op); /* the next worker was told that its trigger has ended too many */
    at(MINUTE_MS);
    assert_int_equal(runs(), 1);
    assert_sound();
}

static int refuse(void *arg)
{
    (void)arg;
    return 1;
}

static void test_a_collector_whose_run_could_not_be_committed_is_not_forgotten(void **state)
{
    (void)state;
    gather(collect_of(0, MINUTE_MS, 0, 10));
    wall_ms += MINUTE_MS;
    struct bw_store_op wake = {.kind = BW_OP_WAKE, .now_ms = wall_ms}, *culprit;
    struct bw_error err;
    sqlite3_commit_hook(writer.db, refuse, NULL);
    assert_false(bw_writer_commit(&writer, &wake, &culprit, &err));
    sqlite3_commit_hook(writer.db, NULL, NULL);
    assert_int_equal(runs(), 0);
    assert_int_equal(writer.parking.due_ms, wall_ms);
    at(MINUTE_MS);
    assert_int_equal(runs(), 1);
}

/* ---- retention ---- */

static void end_all(enum bw_run_state state)
{
    char sql[120];
    struct bw_error err = {0};
    snprintf(sql, sizeof sql, "UPDATE runs SET state = %d, ended_ms = started_ms; DELETE FROM queue", state);
    assert_no_error(bw_sql_exec(writer.db, sql, &err), err);
}

static void test_events_are_kept_as_long_as_their_collector_and_its_runs(void **state)
{
    (void)state;
    at(0);
    for (int i = 0; i < 3; i++) gather(collect_of(0, 100 * DAY_MS, 0, 10));
    wall_ms += 90 * DAY_MS;
    add_newest();
    pass();
    assert_int_equal(query("SELECT count(*) FROM collected JOIN bodies USING(event_id)"), 3);
    at(101 * DAY_MS);
    end_all(BW_RUN_FAILED);
    wall_ms += 100 * DAY_MS; /* nobody has done anything about it */
    pass();
    assert_int_equal(query("SELECT count(*) FROM collected JOIN bodies USING(event_id)"), 3);
    wall_ms += 200 * DAY_MS;
    pass();
    pass();
    assert_int_equal(query("SELECT count(*) FROM collected") + query("SELECT count(*) FROM collectors"), 0);
    assert_int_equal(runs(), 0);
    assert_int_equal(query("SELECT count(*) FROM events"), 2); /* the pending one of the fixture, and the newest */
    assert_sound();
}

static void test_a_run_whose_event_is_still_looked_at_is_kept(void **state)
{
    (void)state;
    struct bw_run_row row = row_of(collect_of(0, MINUTE_MS, 0, 10));
    struct bw_store_op op = {.kind = BW_OP_REPORT, .event_id = add_event(0, "", 0), .runs = &row, .run_count = 1}; /* another run of it goes on */
    commit(&op);
    gather(row.collect);
    at(MINUTE_MS);
    end_all(BW_RUN_SUCCEEDED);
    wall_ms += 60 * DAY_MS;
    add_newest();
    pass();
    assert_int_equal(runs(), 1); /* else it would be gathered once more after a crash */
    say(op.event_id, &row);
    assert_int_equal(query("SELECT count(*) FROM collectors"), 1);
    pass();
    pass();
    assert_int_equal(runs(), 0);
    assert_sound();
}

static void test_what_is_gathered_stays_when_the_database_is_too_large(void **state)
{
    (void)state;
    const struct bw_retention_config keep = {.max_size_bytes = 1};
    for (int i = 0; i < 3; i++) gather(collect_of(0, HOUR_MS, 0, 10));
    gather(collect_of(1, MINUTE_MS, 0, 10));
    gather(collect_of(1, MINUTE_MS, 0, 10));
    at(MINUTE_MS);
    end_all(BW_RUN_SUCCEEDED);
    add_newest();
    reopen_writer(&keep);
    mono_us += 10000000;
    run_slices();
    assert_int_equal(runs(), 0);
    assert_int_equal(query("SELECT count(*) FROM collected JOIN bodies USING(event_id)"), 3);
    assert_sound();
}

static void test_a_replay_has_the_same_events_and_keeps_them(void **state)
{
    (void)state;
    int64_t last = 0;
    for (int i = 0; i < 3; i++) last = gather(collect_of(0, MINUTE_MS, 0, 10));
    struct bw_uid origin = bw_uid_of_run(uid_of(next_number - 1), BW_SLICE("gather"));
    at(MINUTE_MS);
    end_all(BW_RUN_FAILED);
    assert_string_equal(do_letter(BW_LETTER_REPLAY, origin), "");
    assert_int_equal(query("SELECT count(DISTINCT collector_id) FROM runs WHERE collector_id <> 0"), 1);
    assert_int_equal(runs(), 2);
    assert_int_equal(query("SELECT event_id FROM runs ORDER BY id DESC LIMIT 1"), last);
    wall_ms += 200 * DAY_MS;
    add_newest();
    pass();
    assert_int_equal(runs(), 1); /* the replay, which is alive */
    assert_int_equal(newest(), 3);
    assert_int_equal(query("SELECT count(*) FROM collected JOIN bodies USING(event_id)"), 3);
    assert_sound();
}

/* ---- the model ---- */

static uint64_t random_state;

static uint32_t below(uint32_t limit)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % limit;
}

struct gathering {
    int64_t first_ms, last_ms;
    int64_t events[16];
    uint32_t count;
    bool is_full;
};
static const struct {
    int64_t quiet_ms, max_wait_ms;
    uint32_t max_events;
} ways[GROUPS] = {{50, 0, 6}, {0, 120, 6}, {40, 90, 6}, {400, 500, 3}};
static struct {
    int64_t events[EVENTS]; /* of those that were said, to say them again */
    unsigned groups[EVENTS];
    size_t count;
    struct gathering open[GROUPS][EVENTS]; /* the last one takes events, unless it is full */
    size_t first[GROUPS], behind[GROUPS];

    int64_t runs;
} model;

static void gather_one(void)
{
    unsigned group = below(GROUPS);
    struct gathering *open = model.behind[group] > model.first[group] ? &model.open[group][model.behind[group] - 1] : NULL;
    if (!open || open->is_full) {
        open = &model.open[group][model.behind[group]++];
        *open = (struct gathering){.first_ms = wall_ms};
    }
    open->last_ms = wall_ms;
    model.groups[model.count] = group;
    model.events[model.count++] = open->events[open->count++] =
        gather(collect_of(group, ways[group].quiet_ms, ways[group].max_wait_ms, ways[group].max_events));
    open->is_full = open->count == ways[group].max_events;
}

static int64_t due_of(const struct gathering *open, unsigned group)
{
    int64_t due = open->is_full ? open->last_ms : INT64_MAX;
    if (ways[group].quiet_ms && open->last_ms + ways[group].quiet_ms < due) due = open->last_ms + ways[group].quiet_ms;
    if (ways[group].max_wait_ms && open->first_ms + ways[group].max_wait_ms < due) due = open->first_ms + ways[group].max_wait_ms;
    return due;
}

/* The run of it is there, made of these events, and was made now. */
static void assert_made(const struct gathering *open)
{
    char sql[300];
    snprintf(sql, sizeof sql, "SELECT collector_id FROM runs WHERE event_id = %lld AND collector_id <> 0 AND started_ms = %lld",
             (long long)open->events[open->count - 1], (long long)wall_ms);
    int64_t id = query(sql);
    assert_true(id > 0);
    for (uint32_t i = 0; i < open->count; i++) {
        snprintf(sql, sizeof sql, "SELECT event_id FROM collected WHERE collector_id = %lld ORDER BY event_id LIMIT 1 OFFSET %u", (long long)id, i);
        assert_int_equal(query(sql), open->events[i]);
    }
    snprintf(sql, sizeof sql, "SELECT count(*) FROM collected WHERE collector_id = %lld", (long long)id);
    assert_int_equal(query(sql), open->count);
}

static void fire_and_compare(void)
{
    while (fire(wall_ms)) continue;
    for (unsigned group = 0; group < GROUPS; group++) {
        while (model.first[group] < model.behind[group]) {
            const struct gathering *open = &model.open[group][model.first[group]];
            if (due_of(open, group) > wall_ms) break;
            assert_made(open);
            model.first[group]++;
            model.runs++;
        }
    }
    assert_int_equal(runs(), model.runs); /* and no other one */
    assert_sound();
}

static void play(uint64_t seed)
{
    random_state = seed;
    memset(&model, 0, sizeof model);
    while (model.count < EVENTS) {
        switch (below(10)) {
        case 0: reopen_writer(&defaults); break;
        case 1:
            if (model.count) {
                size_t again = below((uint32_t)model.count);
                unsigned group = model.groups[again];
                struct bw_run_row row = row_of(collect_of(group, ways[group].quiet_ms, ways[group].max_wait_ms, ways[group].max_events));
                say(model.events[again], &row);
            }
            break;
        case 2: wall_ms += below(200); break; /* nobody looks at timers for a while: it is gathered on */
        case 3:
        case 4:
            wall_ms += below(30);
            fire_and_compare();
            break;
        default: gather_one(); break;
        }
    }
    wall_ms += 1000;
    fire_and_compare();
    assert_int_equal(query("SELECT count(*) FROM collectors WHERE due_ms IS NOT NULL"), 0);
    assert_int_equal(query("SELECT count(*) FROM collected"), EVENTS);
    assert_int_equal(writer.parking.due_ms, 0);
}

static void test_each_event_is_in_one_run_in_order_and_in_time(void **state)
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
    static const struct bw_clock clock = {.wall_ms = fake_wall, .mono_us = fake_mono};
    struct bw_run_row row = row_of(collect_of(0, MINUTE_MS, 0, 2));
    struct bw_error err = {0};
    writer = (struct bw_writer){.reserve = -1};
    first_event = atoll(argv[3]);
    wall_ms = START_MS;
    bw_clock_override(&clock);
    if (!bw_writer_open(&writer, argv[2], &err)) return 3;
    for (int i = 0; i < 3; i++) say(first_event + 1 + i, &row);
    at(0);
    at(MINUTE_MS);
    bw_writer_close(&writer, true);
    return 0;
}

/* Whatever was committed counts, whatever was not is looked at again by the next worker. */
static void test_a_crash_around_a_commit_leaves_each_event_in_one_run(void **state)
{
#ifdef BELLWIRE_TEST_HOOKS
    static const struct {
        const char *point;
        int collected, made;
    } cases[] = {{"", 3, 2},
                 {"store.before_collect:1", 0, 0},
                 {"store.after_collect:1", 1, 0},
                 {"store.before_collect:2", 1, 0},
                 {"store.after_collect:3", 3, 0},
                 {"store.before_flush:1", 3, 0},
                 {"store.after_flush:1", 3, 1},
                 {"store.before_flush:2", 3, 1},
                 {"store.after_flush:2", 3, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (i && (teardown(state) || parking_setup(state))) fail();
        for (int k = 0; k < 3; k++) add_event(0, "", 0);
        bw_writer_close(&writer, true);
        int status = run_child(cases[i].point);
        if (status != (*cases[i].point ? 137 : 0)) fail_msg("%s: %d", cases[i].point, status);
        wall_ms = START_MS + MINUTE_MS;
        open_writer(&defaults);
        assert_sound();
        assert_int_equal(query("SELECT count(*) FROM collected"), cases[i].collected);
        assert_int_equal(runs(), cases[i].made);
        struct bw_run_row row = row_of(collect_of(0, MINUTE_MS, 0, 2));
        for (int k = 0; k < 3; k++) say(first_event + 1 + k, &row);
        at(MINUTE_MS);
        at(HOUR_MS);
        assert_int_equal(query("SELECT count(*) FROM collected"), 3);
        assert_int_equal(runs(), 2);
        assert_int_equal(query("SELECT count(*) FROM collectors WHERE count = 2"), 1);
        assert_sound();
    }
#else
    (void)state;
    skip(); /* built without BELLWIRE_TEST_HOOKS */
#endif
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        PARKING(test_silence_makes_the_run_and_each_event_puts_it_off),
        PARKING(test_it_is_not_put_off_for_ever),
        PARKING(test_a_full_one_is_due_at_once_and_takes_no_more),
        PARKING(test_each_group_and_each_workflow_is_gathered_by_itself),
        PARKING(test_an_event_that_is_looked_at_again_stays_where_it_is),
        PARKING(test_very_large_bodies_make_a_run_earlier),
        PARKING(test_the_run_has_the_version_of_its_time_or_the_one_it_was_gathered_by),
        PARKING(test_the_run_is_admitted_as_every_other_one),
        PARKING(test_an_event_whose_run_has_that_name_already_is_not_lost),
        PARKING(test_a_collector_whose_run_could_not_be_committed_is_not_forgotten),
        PARKING(test_events_are_kept_as_long_as_their_collector_and_its_runs),
        PARKING(test_a_run_whose_event_is_still_looked_at_is_kept),
        PARKING(test_what_is_gathered_stays_when_the_database_is_too_large),
        PARKING(test_a_replay_has_the_same_events_and_keeps_them),
        PARKING(test_each_event_is_in_one_run_in_order_and_in_time),
        PARKING(test_a_crash_around_a_commit_leaves_each_event_in_one_run),
    };
    if (argc == 4 && !strcmp(argv[1], "child")) return child_main(argv);
    return cmocka_run_group_tests_name("collect", tests, NULL, NULL);
}
