/* Joins at random against a model: semantics.md section 6, property 14, and no wake of a parent too early, too late or twice. Some commits fail as a
 * whole and are tried again; the store is closed and opened in between. BELLWIRE_SEED replays one seed. */
#include "base/random.h"
#include "parking_fixture.h"

enum { PARENTS = 6, ITEMS = 90, STEPS = 400, SEEDS = 12 };
static const struct bw_retention_config never;

struct model {                   /* of one parent's step */
    bool is_begun, is_over_with; /* over_with: the parent has ended */
    bool is_parked;
    uint32_t total, concurrency, allowed, started, succeeded, failed;
    bool has_ended[ITEMS];
};
static struct model models[PARENTS];
static uint64_t random_state;

static uint32_t below(uint32_t bound)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % bound;
}

static bool refuse(struct bw_store_op *op)
{
    bw_error_set(&op->error, "test.refused", "the test lets this commit fail");
    return false;
}

/* One time in four the whole group fails first: as if it had never been. */
static void commit_perhaps_twice(struct bw_store_op *op)
{
    if (below(4) == 0) {
        struct bw_store_op bad = {.kind = BW_OP_CALL, .call = refuse}, *culprit;
        struct bw_error err = {0};
        int64_t runs = query("SELECT count(*) FROM runs"), queued = query("SELECT count(*) FROM queue");
        op->next = &bad;
        assert_false(bw_writer_commit(&writer, op, &culprit, &err));
        op->next = NULL;
        assert_int_equal(query("SELECT count(*) FROM runs"), runs);
        assert_int_equal(query("SELECT count(*) FROM queue"), queued);
    }
    commit(op);
}

static void report_run(struct bw_uid uid, enum bw_run_state state, const struct bw_step_row *steps, size_t count)
{
    struct bw_run_row row = {.uid = uid,
                             .workflow = BW_SLICE("deploy"),
                             .state = state,
                             .started_ms = 1,
                             .ended_ms = state >= BW_RUN_SUCCEEDED ? 9 : 0,
                             .steps = steps,
                             .step_count = count};
    struct bw_store_op op = {.kind = BW_OP_REPORT, .event_id = first_event, .runs = &row, .run_count = 1};
    commit_perhaps_twice(&op);
}

static struct bw_uid child_of(uint32_t parent, uint32_t item)
{
    return bw_uid_of_child(uid_of(parent + 1), BW_SLICE("fan"), item);
}

static bool is_due(const struct model *model)
{
    return model->started == model->succeeded + model->failed && (model->started == model->total || model->failed > model->allowed);
}

static void start_what_may(struct model *model)
{
    while (model->failed <= model->allowed && model->started < model->total && model->started - model->succeeded - model->failed < model->concurrency)
        model->started++;
}

static void begin(uint32_t parent)
{
    struct model *model = &models[parent];
    static char items[ITEMS * 6];
    struct bw_step_row step = step_row("fan", BW_STEP_WAITING);
    *model = (struct model){.is_begun = true,
                            .is_parked = below(3) != 0,
                            .total = 1 + below(ITEMS - 1),
                            .concurrency = 1 + below(8),
                            .allowed = below(4) ? 0 : below(ITEMS)};
    if (!below(2)) model->allowed = model->total;
    for (uint32_t i = 0; i < model->total; i++) memcpy(items + i * 5, "\1\0\0\0007", 5);
    const struct bw_join_new join = {.workflow = BW_SLICE("deploy"),
                                     .items = {items, (size_t)model->total * 5},
                                     .total = model->total,
                                     .concurrency = model->concurrency,
                                     .allowed = model->allowed,
                                     .depth = 1};
    step.join = &join;
    report_run(uid_of(parent + 1), model->is_parked ? BW_RUN_PARKED : BW_RUN_ACTIVE, &step, 1);
    start_what_may(model);
}

static void end_some_child(uint32_t parent)
{
    struct model *model = &models[parent];
    bool fails = below(6) == 0;
    if (!model->started) return;
    uint32_t item = below(model->started);
    report_run(child_of(parent, item), fails ? BW_RUN_FAILED : BW_RUN_SUCCEEDED, NULL, 0);
    if (model->has_ended[item] || model->is_over_with) return; /* reported twice, or cancelled before: nothing of it counts */
    model->has_ended[item] = true;
    fails ? model->failed++ : model->succeeded++;
    start_what_may(model);
    if (is_due(model)) model->is_parked = false;
}

static void step_of_parent(uint32_t parent)
{
    struct model *model = &models[parent];
    struct bw_step_row step = step_row("fan", model->failed > model->allowed ? BW_STEP_FAILED : BW_STEP_SUCCEEDED);
    if (!model->is_parked && is_due(model) && below(2)) {
        report_run(uid_of(parent + 1), BW_RUN_SUCCEEDED, &step, 1);
        model->is_over_with = true;
    } else if (!model->is_parked) { /* another branch of it is done: it wants to park */
        struct bw_step_row other = step_row("other", BW_STEP_SUCCEEDED);
        report_run(uid_of(parent + 1), BW_RUN_PARKED, &other, 1);
        model->is_parked = !is_due(model);
    } else if (below(12) == 0) { /* something ends it before its time */
        report_run(uid_of(parent + 1), BW_RUN_FAILED, NULL, 0);
        model->is_over_with = true;
    }
}

static int64_t of_join(uint32_t parent, const char *what)
{
    char select[200];
    snprintf(select, sizeof select, "%s FROM joins WHERE", what);
    return of_run(select, parent + 1, "");
}

static void compare(uint32_t parent)
{
    const struct model *model = &models[parent];
    if (!model->is_begun) return;
    assert_int_equal(of_join(parent, "started"), model->started);
    assert_int_equal(of_join(parent, "succeeded"), model->succeeded);
    assert_int_equal(of_join(parent, "failed"), model->failed);
    int64_t live = of_join(parent, "(SELECT count(*) FROM children c JOIN runs r ON r.id = c.run_id WHERE c.join_id = joins.id AND r.state < 20)");
    int64_t rows = of_join(parent, "(SELECT count(*) FROM children c WHERE c.join_id = joins.id)");
    assert_int_equal(live, model->is_over_with ? 0 : model->started - model->succeeded - model->failed);
    assert_true(live <= model->concurrency);
    assert_int_equal(rows, model->started); /* one for each that was started, none for the others */
    if (model->is_over_with) {
        assert_true(state_of(parent + 1) >= BW_RUN_SUCCEEDED);
        assert_int_equal(rows_of("wakes", parent + 1), 0);
        return;
    }
    assert_int_equal(state_of(parent + 1), model->is_parked ? BW_RUN_PARKED : BW_RUN_ACTIVE);
    assert_int_equal(rows_of("wakes", parent + 1), is_due(model));
}

static void play(uint64_t seed)
{
    random_state = seed;
    memset(models, 0, sizeof models);
    for (int i = 0; i < STEPS; i++) {
        uint32_t parent = below(PARENTS), what = below(100);
        struct model *model = &models[parent];
        if (what < 3)
            reopen_writer(&never);
        else if (!model->is_begun)
            begin(parent);
        else if (what < 80 || model->is_over_with)
            end_some_child(parent);
        else
            step_of_parent(parent);
        for (uint32_t k = 0; k < PARENTS; k++) compare(k);
        if (i % 20 == 0) assert_sound();
    }
    for (uint32_t parent = 0; parent < PARENTS; parent++) { /* to its end: nobody waits for ever */
        struct model *model = &models[parent];
        if (!model->is_begun || model->is_over_with) continue;
        for (int guard = 0; !is_due(model); guard++) {
            assert_true(guard < 100000);
            end_some_child(parent);
        }
        assert_int_equal(state_of(parent + 1), BW_RUN_ACTIVE);
        compare(parent);
    }
    assert_sound();
}

static void test_joins_at_random_are_what_the_model_says(void **state)
{
    const char *given = getenv("BELLWIRE_SEED");
    struct bw_error err = {0};
    (void)state;
    uint64_t first = 0;
    if (given)
        first = strtoull(given, NULL, 10);
    else
        bw_random_bytes(&first, 4);
    for (uint64_t seed = first; seed < first + (given ? 1 : SEEDS); seed++) {
        print_message("BELLWIRE_SEED=%llu\n", (unsigned long long)seed);
        play(seed);
        assert_no_error(bw_sql_exec(writer.db,
                                    "DELETE FROM runs; DELETE FROM steps; DELETE FROM joins; DELETE FROM children; DELETE FROM join_items;"
                                    "DELETE FROM queue; DELETE FROM wakes; DELETE FROM timers",
                                    &err),
                        err);
        reopen_writer(&never);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {PARKING(test_joins_at_random_are_what_the_model_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
