/* What people decide: the first vote for a step that waits counts, and it is there with the wake or not at all. */
#include "base/embedded.h"
#include "parking_fixture.h"
#include "store/approval.h"
#include "store/migrate.h"

static const char question[] = "{\"message\":\"?\",\"choices\":[\"a\",\"b\"],\"form\":{}}";

static struct bw_step_row asking(const char *path, int64_t due_ms)
{
    struct bw_step_row step = sleeping(path, due_ms);
    step.output = bw_slice_of(question);
    return step;
}

static bool vote_by(uint32_t run, const char *step, const char *choice, const char *by)
{
    struct bw_vote vote = {.run = uid_of(run),
                           .step = bw_slice_of(step),
                           .choice = bw_slice_of(choice),
                           .by = bw_slice_of(by),
                           .form = BW_SLICE("{\"n\":1}"),
                           .remote = BW_SLICE("127.0.0.1"),
                           .at_ms = 77};
    struct bw_store_op op = {.kind = BW_OP_VOTE, .vote = &vote};
    commit(&op);
    return vote.is_counted;
}

static bool vote(uint32_t run, const char *choice)
{
    return vote_by(run, "ask", choice, "ann");
}

static int64_t votes_for(const char *choice)
{
    char sql[160];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM votes WHERE choice = '%s' AND at_ms = 77 AND form = '{\"n\":1}' AND remote = '127.0.0.1'",
             choice);
    return query(sql);
}

static void test_a_vote_wakes_the_step_that_waits_for_it(void **state)
{
    (void)state;
    put_step(1, BW_RUN_PARKED, asking("ask", 5000));
    assert_true(vote(1, "a"));
    assert_int_equal(state_of(1), BW_RUN_ACTIVE);
    assert_true(queue_of(1) > 0);
    assert_rows(1, 0, 0, 1); /* its timer is gone */
    assert_int_equal(wake_of(1, "kind"), BW_WAKE_VOTE);
    assert_int_equal(wake_of(1, "at_ms"), 77);
    assert_int_equal(votes_for("a"), 1);
    assert_int_equal(query("SELECT count(*) FROM audit WHERE verb = 'vote' AND actor = 'ann' AND at_ms = 77 AND detail = 'ask: a from 127.0.0.1'"),
                     1);
}

static void test_the_first_vote_stands(void **state)
{
    (void)state;
    put_step(1, BW_RUN_PARKED, asking("ask", 5000));
    assert_true(vote(1, "a"));
    int64_t place = queue_of(1);
    assert_false(vote(1, "b"));
    assert_false(vote(1, "a"));
    assert_int_equal(votes_for("a"), 1);
    assert_int_equal(votes_for("b"), 0);
    assert_int_equal(queue_of(1), place);
    assert_int_equal(query("SELECT count(*) FROM audit"), 1);
    put_step(1, BW_RUN_SUCCEEDED, step_row("ask", BW_STEP_SUCCEEDED));
    assert_false(vote(1, "b"));
    assert_int_equal(votes_for("a"), 1); /* it is there for as long as the run is */
    assert_rows(1, 0, 0, 0);
}

static struct bw_step_row asking_for(const char *text)
{
    struct bw_step_row step = sleeping("ask", 5000);
    step.output = bw_slice_of(text);
    return step;
}

static const char two_of_three[] = "{\"message\":\"?\",\"choices\":[\"a\",\"b\"],\"form\":{},\"need\":2,\"to\":[\"ann\",\"bob\",\"cy\"]}";

static void test_the_choice_that_first_has_as_many_as_it_needs_decides(void **state)
{
    (void)state;
    put_step(1, BW_RUN_PARKED, asking_for(two_of_three));
    assert_true(vote_by(1, "ask", "a", "ann"));
    assert_true(vote_by(1, "ask", "b", "bob"));
    assert_int_equal(state_of(1), BW_RUN_PARKED); /* one each: it goes on waiting */
    assert_rows(1, 1, 0, 0);
    assert_true(vote_by(1, "ask", "b", "cy"));
    assert_int_equal(state_of(1), BW_RUN_ACTIVE);
    assert_rows(1, 0, 0, 1);
    assert_int_equal(wake_of(1, "kind"), BW_WAKE_VOTE);
    assert_int_equal(query("SELECT count(*) FROM votes WHERE decides AND actor = 'cy' AND choice = 'b'"), 1);
    assert_int_equal(query("SELECT count(*) FROM votes"), 3);
    assert_int_equal(query("SELECT count(*) FROM audit WHERE verb = 'vote'"), 3);
    assert_false(vote_by(1, "ask", "a", "dan"));
}

static void test_each_person_has_one_vote_and_the_first_one_stands(void **state)
{
    (void)state;
    put_step(1, BW_RUN_PARKED, asking_for(two_of_three));
    assert_true(vote_by(1, "ask", "a", "ann"));
    assert_false(vote_by(1, "ask", "a", "ann"));
    assert_false(vote_by(1, "ask", "b", "ann"));
    assert_int_equal(query("SELECT count(*) FROM votes WHERE choice = 'a' AND NOT decides"), 1);
    assert_int_equal(query("SELECT count(*) FROM audit"), 1);
    assert_int_equal(state_of(1), BW_RUN_PARKED);
    assert_true(vote_by(1, "ask", "a", "bob"));
    assert_int_equal(state_of(1), BW_RUN_ACTIVE);
}

/* A run that failed behind the decision and was resumed asks once more: those were the votes of then. One that was not decided keeps them. */
static void test_what_was_decided_before_does_not_count_when_it_is_asked_again(void **state)
{
    (void)state;
    put_step(1, BW_RUN_PARKED, asking_for(two_of_three));
    assert_true(vote_by(1, "ask", "a", "ann"));
    put_step(1, BW_RUN_PARKED, asking_for(two_of_three));
    assert_false(vote_by(1, "ask", "b", "ann"));
    assert_true(vote_by(1, "ask", "a", "bob"));
    put_step(1, BW_RUN_ACTIVE, step_row("ask", BW_STEP_FAILED));
    put_step(1, BW_RUN_PARKED, asking_for(two_of_three));
    assert_true(vote_by(1, "ask", "b", "ann"));
    assert_int_equal(query("SELECT count(*) FROM votes"), 1);
    assert_int_equal(state_of(1), BW_RUN_PARKED);
    assert_true(vote_by(1, "ask", "b", "bob"));
    assert_int_equal(query("SELECT count(*) FROM votes WHERE choice = 'b'"), 2);
    assert_int_equal(query("SELECT count(*) FROM wakes"), 1);
}

static void test_time_may_be_over_before_enough_have_decided(void **state)
{
    (void)state;
    put_step(1, BW_RUN_PARKED, asking_for(two_of_three));
    assert_true(vote_by(1, "ask", "a", "ann"));
    fire(5000);
    assert_int_equal(wake_of(1, "kind"), BW_WAKE_TIMER);
    assert_false(vote_by(1, "ask", "a", "bob"));
    assert_int_equal(query("SELECT count(*) FROM votes"), 1);
}

/* Two in one transaction, as one commit group has them. */
static void test_of_two_at_once_one_counts(void **state)
{
    struct bw_vote first = {.run = uid_of(1), .step = BW_SLICE("ask"), .choice = BW_SLICE("a"), .by = BW_SLICE("x"), .form = BW_SLICE("{}")};
    struct bw_vote second = first;
    second.by = BW_SLICE("y");
    struct bw_store_op other = {.kind = BW_OP_VOTE, .vote = &second}, one = {.kind = BW_OP_VOTE, .vote = &first, .next = &other};
    (void)state;
    second.choice = BW_SLICE("b");
    put_step(1, BW_RUN_PARKED, asking("ask", 5000));
    commit(&one);
    assert_true(first.is_counted);
    assert_false(second.is_counted);
    assert_int_equal(query("SELECT count(*) FROM votes WHERE choice = 'a'"), 1);
}

static void test_time_and_vote_whichever_is_first(void **state)
{
    (void)state;
    put_step(1, BW_RUN_PARKED, asking("ask", 5000));
    fire(5000);
    assert_false(vote(1, "a"));
    assert_int_equal(wake_of(1, "kind"), BW_WAKE_TIMER);
    put_step(2, BW_RUN_PARKED, asking("ask", 5000));
    assert_true(vote(2, "a"));
    fire(5000);
    assert_int_equal(wake_of(2, "kind"), BW_WAKE_VOTE);
    assert_int_equal(rows_of("wakes", 2), 1);
}

static void test_nobody_votes_where_nothing_is_asked(void **state)
{
    (void)state;
    assert_false(vote(1, "a")); /* no such run */
    put_step(1, BW_RUN_PARKED, asking("ask", 5000));
    assert_false(vote_by(1, "other", "a", "ann"));
    put_step(2, BW_RUN_PARKED, sleeping("ask", 5000)); /* it sleeps */
    assert_false(vote(2, "a"));
    put_step(3, BW_RUN_CANCELLED, asking("ask", 5000));
    assert_false(vote(3, "a"));
    struct bw_store_op cancel = {.kind = BW_OP_CANCEL, .cancel = {.run = uid_of(1), .why = BW_SLICE("{}"), .actor = BW_SLICE("me")}};
    commit(&cancel);
    assert_false(vote(1, "a")); /* it is about to end */
    assert_int_equal(query("SELECT count(*) FROM votes"), 0);
    assert_int_equal(state_of(2), BW_RUN_PARKED);
}

/* What follows the end of a cancelled run may ask, too. */
static void test_a_cancelled_run_may_ask_at_its_end(void **state)
{
    struct bw_store_op cancel = {.kind = BW_OP_CANCEL, .cancel = {.run = uid_of(1), .why = BW_SLICE("{}"), .actor = BW_SLICE("me")}};
    struct bw_step_row step = asking("ask", 5000);
    struct bw_run_row row = {.uid = uid_of(1),
                             .workflow = BW_SLICE("deploy"),
                             .state = BW_RUN_PARKED,
                             .started_ms = 1,
                             .is_settled = true,
                             .steps = &step,
                             .step_count = 1};
    struct bw_store_op settled = {.kind = BW_OP_REPORT, .event_id = first_event, .runs = &row, .run_count = 1};
    (void)state;
    put_step(1, BW_RUN_PARKED, sleeping("nap", 5000));
    commit(&cancel);
    put_step(1, BW_RUN_ACTIVE, step_row("nap", BW_STEP_CANCELLED));
    commit(&settled);
    assert_int_equal(state_of(1), BW_RUN_PARKED);
    assert_true(vote(1, "a"));
    assert_int_equal(state_of(1), BW_RUN_ACTIVE);
}

static void test_votes_go_with_their_run(void **state)
{
    (void)state;
    for (uint32_t run = 1; run <= 2; run++) {
        put_step(run, BW_RUN_PARKED, asking("ask", 5000));
        assert_true(vote(run, "a"));
    }
    struct bw_removal removal;
    enum bw_removal_end end;
    struct bw_error err = {0};
    put_step(1, BW_RUN_SUCCEEDED, step_row("ask", BW_STEP_SUCCEEDED));
    bw_removal_begin(&removal, &writer.parking, &writer.deliveries, wall_ms);
    assert_no_error(bw_remove_run(&removal, query("SELECT id FROM runs WHERE state = 20"), &end, &err), err);
    assert_int_equal(end, BW_REMOVAL_GONE);
    assert_int_equal(query("SELECT count(*) FROM votes"), 1);
    assert_int_equal(query("SELECT count(*) FROM votes WHERE run_id IN (SELECT id FROM runs)"), 1);
    assert_int_equal(query("SELECT count(*) FROM audit"), 1);
}

/* Other steps are at work: the run sees the vote when it wants to park. */
static void test_a_vote_waits_for_a_run_that_is_executing(void **state)
{
    (void)state;
    put_step(1, BW_RUN_ACTIVE, asking("ask", 5000));
    assert_true(vote(1, "a"));
    assert_int_equal(queue_of(1), 0);
    put_step(1, BW_RUN_PARKED, step_row("work", BW_STEP_SUCCEEDED));
    assert_int_equal(state_of(1), BW_RUN_ACTIVE);
    assert_true(queue_of(1) > 0);
    assert_int_equal(wake_of(1, "kind"), BW_WAKE_VOTE);
}

static void test_a_step_that_asks_again_takes_a_new_vote(void **state)
{
    (void)state;
    put_step(1, BW_RUN_PARKED, asking("ask", 5000));
    assert_true(vote(1, "a"));
    put_step(1, BW_RUN_PARKED, asking("ask", 6000));
    assert_true(vote(1, "b"));
    assert_int_equal(votes_for("a"), 0);
    assert_int_equal(votes_for("b"), 1);
    assert_int_equal(query("SELECT count(*) FROM audit"), 2);
}

struct seen {
    enum bw_run_state run_state;
    int step_state;
    enum bw_wake_kind wake;
    int64_t due_ms;
    char output[200], choice[20], by[20], form[20], own[20], tally[40];
};

static bool see(void *arg, const struct bw_approval *approval)
{
    struct seen *seen = arg;
    seen->run_state = approval->run_state;
    seen->step_state = approval->step_state;
    seen->wake = approval->wake;
    seen->due_ms = approval->due_ms;
    snprintf(seen->output, sizeof seen->output, "%.*s", (int)approval->output.len, approval->output.ptr);
    snprintf(seen->choice, sizeof seen->choice, "%.*s", (int)approval->vote.choice.len, approval->vote.choice.ptr);
    snprintf(seen->by, sizeof seen->by, "%.*s", (int)approval->vote.by.len, approval->vote.by.ptr);
    snprintf(seen->form, sizeof seen->form, "%.*s", (int)approval->vote.form.len, approval->vote.form.ptr);
    snprintf(seen->own, sizeof seen->own, "%.*s", (int)approval->own.choice.len, approval->own.choice.ptr);
    snprintf(seen->tally, sizeof seen->tally, "%.*s", (int)approval->tally.len, approval->tally.ptr);
    return false;
}

static bool look(const char *step, struct seen *seen)
{
    struct bw_reader *reader = open_reader();
    struct bw_error err = {0};
    bool found;
    *seen = (struct seen){0};
    assert_no_error(bw_reader_approval(reader, uid_of(1), bw_slice_of(step), BW_SLICE("ann"), see, seen, &found, &err), err);
    bw_reader_close(reader);
    return found;
}

static bool see_wake(void *arg, const struct bw_run *run)
{
    *(bool *)arg = true;
    assert_int_equal(run->row.step_count, 1);
    assert_slice(run->row.steps[0].path, "ask");
    assert_slice(run->row.steps[0].output, question);
    assert_int_equal(run->row.steps[0].wake.kind, BW_WAKE_VOTE);
    assert_slice(run->row.steps[0].wake.choice, "a");
    assert_slice(run->row.steps[0].wake.by, "ann");
    assert_slice(run->row.steps[0].wake.form, "{\"n\":1}");
    assert_slice(run->row.steps[0].wake.votes, "[{\"choice\":\"a\",\"by\":\"ann\",\"at\":77,\"form\":{\"n\":1}}]");
    return true;
}

static void test_what_is_read_of_an_approval(void **state)
{
    struct seen seen;
    struct bw_error err = {0};
    bool found, was_visited = false;
    (void)state;
    assert_false(look("ask", &seen));
    put_step(1, BW_RUN_PARKED, asking("ask", 5000));
    assert_true(look("ask", &seen));
    assert_int_equal(seen.run_state, BW_RUN_PARKED);
    assert_int_equal(seen.step_state, BW_STEP_WAITING);
    assert_int_equal(seen.due_ms, 5000);
    assert_int_equal(seen.wake, BW_WAKE_NONE);
    assert_string_equal(seen.output, question);
    assert_string_equal(seen.choice, "");
    assert_true(look("later", &seen));
    assert_int_equal(seen.step_state, 0);
    put_step(1, BW_RUN_PARKED, asking_for(two_of_three));
    vote_by(1, "ask", "a", "ann"); /* who looks */
    vote_by(1, "ask", "b", "bob");
    assert_true(look("ask", &seen));
    assert_string_equal(seen.own, "a");
    assert_string_equal(seen.tally, "{\"a\":1,\"b\":1}");
    assert_string_equal(seen.choice, "");
    assert_int_equal(query("DELETE FROM votes RETURNING 1"), 1);
    put_step(1, BW_RUN_PARKED, asking("ask", 5000));
    vote(1, "a");
    assert_true(look("ask", &seen));
    assert_string_equal(seen.own, ""); /* it is decided */
    assert_int_equal(seen.wake, BW_WAKE_VOTE);
    assert_string_equal(seen.choice, "a");
    assert_string_equal(seen.by, "ann");
    assert_string_equal(seen.form, "{\"n\":1}");
    struct bw_reader *reader = open_reader();
    assert_no_error(bw_reader_run(reader, uid_of(1), see_wake, &was_visited, &found, &err), err);
    assert_true(was_visited);
    bw_reader_close(reader);
}

static void test_the_key_is_made_once(void **state)
{
    struct bw_store_op first = {.kind = BW_OP_KEY}, second = {.kind = BW_OP_KEY};
    static const uint8_t nothing[BW_STORE_KEY_BYTES];
    (void)state;
    commit(&first);
    commit(&second);
    assert_memory_equal(first.key, second.key, sizeof first.key);
    assert_memory_not_equal(first.key, nothing, sizeof first.key);
    assert_int_equal(query("SELECT length(value) FROM keys WHERE name = 'approvals'"), BW_STORE_KEY_BYTES);
}

/* ---- a store of version 15 ---- */

static void test_what_was_decided_in_an_older_store_stays_decided(void **state)
{
    struct bw_embedded files[16] = {{0}};
    struct bw_error err = {0};
    struct seen seen;
    (void)state;
    for (const struct bw_embedded *file = bw_embedded_sql; file->name; file++)
        if (atoi(file->name) >= 1 && atoi(file->name) <= 15) files[atoi(file->name) - 1] = *file;
    bw_writer_close(&writer, true);
    for (const char *const *name = (const char *const[]){"bellwire.db", "bellwire.db-wal", "bellwire.db-shm", NULL}; *name; name++)
        unlink(in_folder(*name));
    sqlite3 *db = bw_database_open_writer(folder, &err);
    assert_no_error(db, err);
    assert_no_error(bw_migrate(db, files, &err), err);
    assert_no_error(bw_sql_exec(db,
                                "INSERT INTO events VALUES(7, x'00112233445566778899aabbccddeeff', 1000, 1, 1, 'github', 'github.push', NULL, NULL, "
                                "NULL); INSERT INTO bodies(event_id, checksum, body) VALUES(7, 0, x''); INSERT INTO pending VALUES(7);"
                                "INSERT INTO runs(id, uid, event_id, workflow, version, state, lost, started_ms, ended_ms) "
                                "VALUES(3, x'01000000000000000000000000000001', 7, 'deploy', x'00', 2, 0, 1, 0);"
                                "INSERT INTO steps(run_id, path, position, state, attempt, started_ms, ended_ms) VALUES(3, 'ask', 0, 3, 1, 1, 0);"
                                "INSERT INTO wakes VALUES(3, 'ask', 3, 0, NULL, 77); INSERT INTO queue VALUES(1, 3);"
                                "INSERT INTO votes VALUES(3, 'ask', 'a', 'ann', 77, '{\"n\":1}', '127.0.0.1')",
                                &err),
                    err);
    bw_database_close(db, true);
    open_writer(&defaults);
    first_event = 7;
    assert_int_equal(query("PRAGMA user_version"), bw_migrate_version(bw_embedded_sql));
    assert_true(bw_uid_equal(uid_of(1), (struct bw_uid){{1, [15] = 1}}));
    assert_true(look("ask", &seen));
    assert_string_equal(seen.choice, "a");
    assert_string_equal(seen.by, "ann");
    assert_string_equal(seen.form, "{\"n\":1}");
    assert_false(vote(1, "b"));
    assert_sound();
}

/* ---- crashes ---- */

static int child(const char *data, int64_t event)
{
    struct bw_error err;
    struct bw_store *store = bw_store_open(data, &err);
    struct bw_vote ballot = {.run = uid_of(1), .step = BW_SLICE("ask"), .choice = BW_SLICE("a"), .by = BW_SLICE("x"), .form = BW_SLICE("{}")};
    struct bw_store_op op = {.kind = BW_OP_VOTE, .vote = &ballot};
    (void)event;
    if (!store || !bw_store_submit_wait(store, &op, &err)) return 3;
    bw_store_close(store);
    return 0;
}

/* The vote, its audit, the wake and the place in the queue are there together or not at all; asked again, the vote counts once. */
static void test_a_crash_leaves_all_of_a_vote_or_nothing(void **state)
{
#ifdef BELLWIRE_TEST_HOOKS
    static const struct {
        const char *point;
        bool is_there;
    } cases[] = {{"store.before_vote:1", false}, {"store.before_commit:1", false}, {"store.after_vote:1", true}, {"", true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (i && (teardown(state) || parking_setup(state))) fail();
        put_step(1, BW_RUN_PARKED, asking("ask", 5000));
        bw_writer_close(&writer, true);
        int status = run_child(cases[i].point);
        if (status != (*cases[i].point ? 137 : 0)) fail_msg("%s: %d", cases[i].point, status);
        open_writer(&defaults);
        assert_int_equal(query("SELECT count(*) FROM votes"), cases[i].is_there);
        assert_int_equal(query("SELECT count(*) FROM audit"), cases[i].is_there);
        assert_int_equal(state_of(1), cases[i].is_there ? BW_RUN_ACTIVE : BW_RUN_PARKED);
        assert_int_equal(queue_of(1) > 0, cases[i].is_there);
        assert_rows(1, !cases[i].is_there, 0, cases[i].is_there);
        assert_int_equal(vote(1, "b"), !cases[i].is_there);
        assert_int_equal(query("SELECT count(*) FROM votes"), 1);
        assert_int_equal(wake_of(1, "kind"), BW_WAKE_VOTE);
    }
#else
    (void)state;
    skip(); /* built without BELLWIRE_TEST_HOOKS */
#endif
}

/* ---- callbacks ---- */

static bool post(const char *by, uint32_t iteration, const char *what)
{
    struct bw_vote vote = {.run = uid_of(1),
                           .step = BW_SLICE("ask"),
                           .choice = bw_slice_of(what),
                           .by = bw_slice_of(by),
                           .form = BW_SLICE("{\"n\":1}"),
                           .remote = BW_SLICE("127.0.0.1"),
                           .at_ms = 77,
                           .is_callback = true,
                           .iteration = iteration};
    struct bw_store_op op = {.kind = BW_OP_VOTE, .vote = &vote};
    commit(&op);
    assert_int_equal(vote.is_counted, vote.decides);
    return vote.is_counted;
}

static const char awaiting[] = "{\"callback\":true,\"iteration\":1}";

static void test_a_callback_answers_its_iteration_and_no_approval(void **state)
{
    (void)state;
    put_step(1, BW_RUN_PARKED, asking("ask", 5000));
    assert_false(post("1.1.5", 1, "output"));
    assert_false(post("0.1.5", 0, "output"));
    put_step(1, BW_RUN_PARKED, asking_for(awaiting));
    assert_false(vote(1, "a"));
    assert_false(post("0.1.5", 0, "output"));
    assert_int_equal(query("SELECT count(*) FROM votes"), 0);
    assert_int_equal(state_of(1), BW_RUN_PARKED);
    assert_true(post("1.1.5", 1, "output"));
    assert_int_equal(state_of(1), BW_RUN_ACTIVE);
    assert_rows(1, 0, 0, 1);
    assert_int_equal(wake_of(1, "kind"), BW_WAKE_VOTE);
    assert_int_equal(query("SELECT count(*) FROM audit WHERE verb = 'callback' AND detail = 'ask: output from 127.0.0.1'"), 1);
    assert_false(post("1.2.5", 1, "error")); /* too late */
    assert_int_equal(query("SELECT count(*) FROM votes"), 1);
}

static void test_each_link_answers_once_however_often_its_step_waits(void **state)
{
    (void)state;
    put_step(1, BW_RUN_PARKED, asking_for(awaiting));
    assert_true(post("1.1.5", 1, "error"));
    put_step(1, BW_RUN_ACTIVE, step_row("ask", BW_STEP_RETRYING));
    put_step(1, BW_RUN_PARKED, asking_for(awaiting)); /* the next attempt */
    assert_false(post("1.1.5", 1, "error"));
    assert_int_equal(state_of(1), BW_RUN_PARKED);
    assert_int_equal(query("SELECT count(*) FROM votes WHERE decides"), 1);
    assert_true(post("1.2.5", 1, "output"));
    assert_int_equal(state_of(1), BW_RUN_ACTIVE);
    assert_int_equal(query("SELECT count(*) FROM votes"), 2);
    assert_int_equal(query("SELECT count(*) FROM votes WHERE decides AND actor = '1.2.5'"), 1);
    assert_int_equal(query("SELECT count(*) FROM votes WHERE decides"), 1); /* the row of the step is read with one */
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "child")) return child(argv[2], atoll(argv[3]));
    const struct CMUnitTest tests[] = {
        PARKING(test_a_vote_wakes_the_step_that_waits_for_it),
        PARKING(test_the_first_vote_stands),
        PARKING(test_the_choice_that_first_has_as_many_as_it_needs_decides),
        PARKING(test_each_person_has_one_vote_and_the_first_one_stands),
        PARKING(test_what_was_decided_before_does_not_count_when_it_is_asked_again),
        PARKING(test_time_may_be_over_before_enough_have_decided),
        PARKING(test_of_two_at_once_one_counts),
        PARKING(test_time_and_vote_whichever_is_first),
        PARKING(test_nobody_votes_where_nothing_is_asked),
        PARKING(test_a_cancelled_run_may_ask_at_its_end),
        PARKING(test_votes_go_with_their_run),
        PARKING(test_a_vote_waits_for_a_run_that_is_executing),
        PARKING(test_a_step_that_asks_again_takes_a_new_vote),
        PARKING(test_what_is_read_of_an_approval),
        PARKING(test_what_was_decided_in_an_older_store_stays_decided),
        PARKING(test_a_callback_answers_its_iteration_and_no_approval),
        PARKING(test_each_link_answers_once_however_often_its_step_waits),
        PARKING(test_the_key_is_made_once),
        PARKING(test_a_crash_leaves_all_of_a_vote_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
