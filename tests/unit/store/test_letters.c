/* The dead letter: semantics.md section 6, property 15, on the store alone: what a resume keeps and what it begins anew, at random against a model,
 * and with the process dying around each commit. BELLWIRE_SEED replays one seed. */
#include "base/random.h"
#include "parking_fixture.h"

enum { PARENT = 1, PLAIN = 2, ITEMS = 40, SEEDS = 20, STEPS = 300 };
static const char context[] = "{}";

static int64_t step_of(uint32_t run, const char *path, const char *column)
{
    char select[96], rest[96];
    snprintf(select, sizeof select, "%s FROM steps WHERE", column);
    snprintf(rest, sizeof rest, "AND path = '%s'", path);
    return of_run(select, run, rest);
}

static void report_run(struct bw_uid uid, enum bw_run_state state, const struct bw_step_row *steps, size_t count)
{
    struct bw_run_row row = {.uid = uid,
                             .workflow = BW_SLICE("deploy"),
                             .state = state,
                             .started_ms = 1,
                             .ended_ms = state >= BW_RUN_SUCCEEDED ? wall_ms : 0,
                             .error = state == BW_RUN_FAILED ? (struct bw_slice)BW_SLICE("{\"code\":\"bad\"}") : (struct bw_slice){0},
                             .steps = steps,
                             .step_count = count};
    struct bw_store_op op = {.kind = BW_OP_REPORT, .event_id = first_event, .runs = &row, .run_count = 1};
    commit(&op);
}

static struct bw_step_row with_output(const char *path, const char *output)
{
    struct bw_step_row step = step_row(path, BW_STEP_SUCCEEDED);
    step.output = bw_slice_of(output);
    return step;
}

static void fail_plain(void)
{
    const struct bw_step_row steps[] = {with_output("one", "{\"n\":1}"), step_row("two", BW_STEP_FAILED), step_row("three", BW_STEP_CANCELLED)};
    report_run(uid_of(PLAIN), BW_RUN_FAILED, steps, 3);
}

/* ---- rules ---- */

static void test_a_resumed_run_is_in_the_queue_and_all_but_its_successes_begins_anew(void **state)
{
    (void)state;
    fail_plain();
    assert_string_equal(do_letter(BW_LETTER_RESUME, uid_of(PLAIN)), "");
    assert_int_equal(state_of(PLAIN), BW_RUN_ACTIVE);
    assert_true(queue_of(PLAIN) > 0);
    assert_int_equal(step_of(PLAIN, "one", "again"), 0);
    assert_int_equal(step_of(PLAIN, "two", "again"), 1);
    assert_int_equal(step_of(PLAIN, "three", "again"), 1);
    put_step(PLAIN, BW_RUN_ACTIVE, step_row("two", BW_STEP_SUCCEEDED));
    assert_int_equal(step_of(PLAIN, "two", "again"), 0);
    assert_int_equal(query("SELECT count(*) FROM audit WHERE verb = 'resume' AND actor = 'ann' AND detail = 'it had failed with bad'"), 1);
    assert_sound();
    put(PLAIN, BW_RUN_SUCCEEDED, NULL, 0);
    assert_int_equal(queue_of(PLAIN), 0);
}

static void test_only_what_failed_and_is_not_resolved_is_resumed_or_discarded(void **state)
{
    (void)state;
    assert_string_equal(do_letter(BW_LETTER_RESUME, uid_of(77)), "run.unknown");
    put(PLAIN, BW_RUN_ACTIVE, NULL, 0);
    for (enum bw_letter_verb verb = BW_LETTER_RESUME; verb <= BW_LETTER_DISCARD; verb++)
        assert_string_equal(do_letter(verb, uid_of(PLAIN)), verb == BW_LETTER_REPLAY ? "run.not_ended" : "run.not_failed");
    fail_plain();
    assert_string_equal(do_letter(BW_LETTER_DISCARD, uid_of(PLAIN)), "");
    assert_string_equal(do_letter(BW_LETTER_DISCARD, uid_of(PLAIN)), "run.resolved");
    assert_string_equal(do_letter(BW_LETTER_RESUME, uid_of(PLAIN)), "run.resolved");
    assert_string_equal(do_letter(BW_LETTER_REPLAY, uid_of(PLAIN)), ""); /* that says itself that it is done once more */
    assert_int_equal(query("SELECT count(*) FROM audit"), 2);
}

static void test_what_was_undone_is_not_resumed(void **state)
{
    const struct bw_step_row steps[] = {step_row("one", BW_STEP_SUCCEEDED), step_row("two", BW_STEP_FAILED), step_row("one~undo", BW_STEP_SUCCEEDED)};
    (void)state;
    report_run(uid_of(PLAIN), BW_RUN_FAILED, steps, 3);
    assert_string_equal(do_letter(BW_LETTER_RESUME, uid_of(PLAIN)), "run.undone");
    assert_int_equal(state_of(PLAIN), BW_RUN_FAILED);
    assert_string_equal(do_letter(BW_LETTER_REPLAY, uid_of(PLAIN)), "");
}

static struct bw_letters letters_of(enum bw_letter_verb verb, struct bw_letter *items, const struct bw_letter_workflow *workflow)
{
    return (struct bw_letters){.verb = verb,
                               .actor = BW_SLICE("ann"),
                               .now_ms = wall_ms,
                               .items = items,
                               .count = 1,
                               .revision = workflow ? 9 : 0,
                               .workflows = workflow,
                               .workflow_count = workflow ? 1 : 0};
}

static const char *do_letters(struct bw_letters *letters)
{
    struct bw_store_op op = {.kind = BW_OP_LETTERS, .letters = letters};
    commit(&op);
    return letters->items->is_refused ? letters->items->refusal.code : "";
}

static void test_the_latest_version_must_have_all_finished_steps(void **state)
{
    const struct bw_slice all[] = {BW_SLICE("zero"), BW_SLICE("one"), BW_SLICE("two")}, few[] = {BW_SLICE("two")};
    struct bw_letter_workflow workflow = {.name = BW_SLICE("deploy"), .version = {7}, .steps = few, .own_count = 1, .step_count = 1};
    struct bw_letter letter = {.run = uid_of(PLAIN)};
    struct bw_letters letters = letters_of(BW_LETTER_RESUME, &letter, &workflow);
    (void)state;
    fail_plain();
    assert_string_equal(do_letters(&letters), "version.step_missing");
    workflow.name = (struct bw_slice)BW_SLICE("other");
    assert_string_equal(do_letters(&letters), "workflow.unknown");
    assert_int_equal(state_of(PLAIN), BW_RUN_FAILED);
    assert_int_equal(query("SELECT count(*) FROM runs WHERE revision <> 0 OR version = x'07'") + query("SELECT count(*) FROM audit"), 0);
    workflow = (struct bw_letter_workflow){.name = BW_SLICE("deploy"), .version = {7}, .steps = all, .own_count = 3, .step_count = 3};
    assert_string_equal(do_letters(&letters), "");
    assert_int_equal(query("SELECT revision FROM runs WHERE hex(version) LIKE '07%'"), 9);
    assert_int_equal(state_of(PLAIN), BW_RUN_ACTIVE);
}

static void test_a_replay_copies_what_stands_before_its_first_step(void **state)
{
    const struct bw_slice own[] = {BW_SLICE("one"), BW_SLICE("two"), BW_SLICE("three"), BW_SLICE("inner")};
    const struct bw_letter_workflow workflow = {.name = BW_SLICE("deploy"), .steps = own, .own_count = 3, .step_count = 4};
    struct bw_letter letter = {.run = uid_of(PLAIN), .replay = uid_of(500)};
    struct bw_letters letters = letters_of(BW_LETTER_REPLAY, &letter, &workflow);
    (void)state;
    fail_plain();
    letters.from = (struct bw_slice)BW_SLICE("inner");
    assert_string_equal(do_letters(&letters), "step.inside");
    letters.from = (struct bw_slice)BW_SLICE("tow");
    assert_string_equal(do_letters(&letters), "step.unknown");
    assert_string_equal(letter.refusal.hint, "did you mean 'two'?");
    assert_int_equal(query("SELECT count(*) FROM runs"), 1);
    letters.from = (struct bw_slice)BW_SLICE("three");
    assert_string_equal(do_letters(&letters), "");
    assert_int_equal(rows_of("steps", 500), 2);
    assert_int_equal(step_of(500, "one", "output = '{\"n\":1}' OR hex(output) = hex('{\"n\":1}')"), 1);
    assert_int_equal(step_of(500, "one", "again"), 0);
    assert_int_equal(step_of(500, "two", "again"), 1); /* it had failed: unless the workflow goes on after that, it begins anew */
    assert_true(queue_of(500) > 0);
    assert_int_equal(query("SELECT resolved FROM runs WHERE state = 21"), BW_REPLAYED);
    for (size_t i = 0; i < 3; i++) {
        char old_key[BW_IDEMPOTENCY_KEY_TEXT], new_key[BW_IDEMPOTENCY_KEY_TEXT];
        assert_string_not_equal(bw_idempotency_key(letter.run, own[i].ptr, 0, old_key), bw_idempotency_key(letter.replay, own[i].ptr, 0, new_key));
    }
}

/* ---- a step that has started runs ---- */

struct model {
    enum { WAITING, ALIVE, SUCCEEDED, FAILED, CANCELLED } items[ITEMS];
    uint32_t total, concurrency, allowed, lives;
    bool is_open;
};
static struct model model;
static uint64_t random_state;

static uint32_t below(uint32_t bound)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % bound;
}

static uint32_t count_of(int what)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < model.total; i++) count += (int)model.items[i] == what;
    return count;
}

/* First those that had an end in an earlier life, then new ones, both in their order: `again` says which of the two. */
static void start_what_may(bool again[ITEMS])
{
    while (model.is_open && count_of(FAILED) <= model.allowed && count_of(ALIVE) < model.concurrency) {
        uint32_t next = 0;
        while (next < model.total && !(again[next] && model.items[next] == WAITING)) next++;
        if (next == model.total)
            for (next = 0; next < model.total && model.items[next] != WAITING;) next++;
        if (next == model.total) return;
        model.items[next] = ALIVE;
        again[next] = false;
    }
}

static void report_fan(bool is_reopened, bool is_parked)
{
    static char items[ITEMS * 5];
    struct bw_step_row step = step_row("fan", BW_STEP_WAITING);
    for (uint32_t i = 0; i < model.total; i++) memcpy(items + (size_t)i * 5, "\1\0\0\0007", 5);
    const struct bw_join_new join = {.workflow = BW_SLICE("deploy"),
                                     .items = {items, is_reopened ? 0 : (size_t)model.total * 5},
                                     .context = BW_SLICE(context),
                                     .total = model.total,
                                     .concurrency = model.concurrency,
                                     .allowed = model.allowed,
                                     .depth = 1,
                                     .is_reopened = is_reopened};
    step.join = &join;
    report_run(uid_of(PARENT), is_parked ? BW_RUN_PARKED : BW_RUN_ACTIVE, &step, 1);
}

static bool is_over(void)
{
    return !count_of(ALIVE) && (count_of(FAILED) > model.allowed || !count_of(WAITING));
}

static int64_t of_join(const char *what)
{
    char select[160];
    snprintf(select, sizeof select, "%s FROM joins WHERE", what);
    return of_run(select, PARENT, "");
}

static void compare(const bool again[ITEMS])
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < model.total; i++) {
        left += again[i];
        char sql[200];
        snprintf(sql, sizeof sql, "SELECT coalesce((SELECT r.state FROM children c JOIN runs r ON r.id = c.run_id WHERE c.item = %u), 0)", i);
        int64_t stored = query(sql);
        switch (model.items[i]) {
        case WAITING: assert_true(again[i] ? stored >= BW_RUN_FAILED : stored == 0); break;
        case ALIVE: assert_int_equal(stored, BW_RUN_ACTIVE); break;
        case SUCCEEDED: assert_int_equal(stored, BW_RUN_SUCCEEDED); break;
        case FAILED: assert_int_equal(stored, BW_RUN_FAILED); break;
        case CANCELLED: assert_int_equal(stored, BW_RUN_CANCELLED); break;
        }
    }
    assert_int_equal(of_join("succeeded"), count_of(SUCCEEDED));
    if (model.is_open) assert_int_equal(of_join("again"), left);
    if (model.is_open) assert_int_equal(of_join("failed"), count_of(FAILED));
    assert_true(query("SELECT count(*) FROM runs r JOIN children c ON c.run_id = r.id WHERE r.state < 20") <= model.concurrency);
    if (model.is_open) assert_int_equal(rows_of("wakes", PARENT), is_over());
    assert_sound();
}

static void end_some_item(bool again[ITEMS])
{
    uint32_t item = below(model.total);
    if (model.items[item] != ALIVE) return;
    bool fails = below(5) == 0;
    report_run(bw_uid_of_child(uid_of(PARENT), BW_SLICE("fan"), item), fails ? BW_RUN_FAILED : BW_RUN_SUCCEEDED, NULL, 0);
    model.items[item] = fails ? FAILED : SUCCEEDED;
    start_what_may(again);
}

static void fail_parent(void)
{
    struct bw_step_row step = step_row("fan", is_over() && count_of(FAILED) <= model.allowed ? BW_STEP_CANCELLED : BW_STEP_FAILED);
    report_run(uid_of(PARENT), BW_RUN_FAILED, &step, 1);
    model.is_open = false;
    for (uint32_t i = 0; i < model.total; i++)
        if (model.items[i] == ALIVE) model.items[i] = CANCELLED;
}

static void resume_parent(bool again[ITEMS])
{
    assert_string_equal(do_letter(BW_LETTER_RESUME, uid_of(PARENT)), "");
    model.lives++;
    for (uint32_t i = 0; i < model.total; i++) {
        bool has_row = model.items[i] == FAILED || model.items[i] == CANCELLED || again[i];
        again[i] = has_row && model.items[i] != SUCCEEDED;
        if (model.items[i] != SUCCEEDED) model.items[i] = WAITING;
    }
    model.is_open = true;
    start_what_may(again);
    report_fan(true, below(2));
}

static void play(uint64_t seed)
{
    bool again[ITEMS] = {false};
    random_state = seed;
    model = (struct model){.total = 1 + below(ITEMS), .concurrency = 1 + below(7), .allowed = below(2) ? 0 : below(ITEMS), .is_open = true};
    start_what_may(again);
    report_fan(false, below(2));
    for (int i = 0; i < STEPS; i++) {
        if (below(40) == 0)
            reopen_writer(&defaults);
        else if (!model.is_open)
            resume_parent(again);
        else if (is_over() || below(60) == 0)
            fail_parent();
        else
            end_some_item(again);
        compare(again);
    }
    assert_true(model.lives > 0);
}

static void test_items_at_random_are_run_again_only_if_they_have_not_succeeded(void **state)
{
    const char *given = getenv("BELLWIRE_SEED");
    uint64_t first = 0;
    if (given)
        first = strtoull(given, NULL, 10);
    else
        bw_random_bytes(&first, 4);
    for (uint64_t seed = first; seed < first + (given ? 1 : SEEDS); seed++) {
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
    if (!bw_writer_open(&writer, argv[2], &err)) return 3;
    for (uint32_t run = 2; run < 5; run++)
        if (*do_letter((enum bw_letter_verb)(run - 2), uid_of(run))) return 2;
    bw_writer_close(&writer, true);
    return 0;
}

static void test_a_crash_around_a_commit_is_before_it_or_after_it(void **state)
{
#ifdef BELLWIRE_TEST_HOOKS
    static const struct {
        const char *point;
        int done; /* of resume, replay, discard */
    } cases[] = {{"", 3},
                 {"store.before_letters:1", 0},
                 {"store.after_letters:1", 1},
                 {"store.before_letters:2", 1},
                 {"store.after_letters:2", 2},
                 {"store.before_letters:3", 2},
                 {"store.after_letters:3", 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (i && (teardown(state) || parking_setup(state))) fail();
        for (uint32_t run = 2; run < 5; run++) {
            const struct bw_step_row steps[] = {with_output("one", "1"), step_row("two", BW_STEP_FAILED)};
            report_run(uid_of(run), BW_RUN_FAILED, steps, 2);
        }
        bw_writer_close(&writer, true);
        int status = run_child(cases[i].point);
        if (status != (*cases[i].point ? 137 : 0)) fail_msg("%s: %d", cases[i].point, status);
        open_writer(&defaults);
        assert_sound();
        assert_int_equal(query("SELECT count(*) FROM audit"), cases[i].done);
        assert_int_equal(state_of(2), cases[i].done > 0 ? BW_RUN_ACTIVE : BW_RUN_FAILED);
        assert_int_equal(query("SELECT count(*) FROM runs WHERE origin IS NOT NULL"), cases[i].done > 1);
        assert_int_equal(query("SELECT count(*) FROM runs WHERE resolved = 1"), cases[i].done > 1);
        assert_int_equal(query("SELECT count(*) FROM runs WHERE resolved = 2"), cases[i].done > 2);
        assert_int_equal(query("SELECT count(*) FROM queue"), (cases[i].done > 0) + (cases[i].done > 1));
        assert_int_equal(step_of(2, "two", "again"), cases[i].done > 0);
    }
#else
    (void)state;
    skip(); /* built without BELLWIRE_TEST_HOOKS */
#endif
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        PARKING(test_a_resumed_run_is_in_the_queue_and_all_but_its_successes_begins_anew),
        PARKING(test_only_what_failed_and_is_not_resolved_is_resumed_or_discarded),
        PARKING(test_what_was_undone_is_not_resumed),
        PARKING(test_the_latest_version_must_have_all_finished_steps),
        PARKING(test_a_replay_copies_what_stands_before_its_first_step),
        PARKING(test_items_at_random_are_run_again_only_if_they_have_not_succeeded),
        PARKING(test_a_crash_around_a_commit_is_before_it_or_after_it),
    };
    if (argc == 4 && strcmp(argv[1], "child") == 0) return child_main(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
