/* Metered calls: a budget is kept by the writer, in the transaction of the call itself. */
#include "parking_fixture.h"
#include "store/usage.h"

#define ANY            \
    {                  \
        -1, -1, -1, -1 \
    }

static struct bw_usage_wish open_call(uint32_t run, const char *path, int64_t tokens, int64_t cost, const struct bw_usage_budget *budget)
{
    struct bw_usage_wish wish = {.opens = true,
                                 .run = uid_of(run),
                                 .numbers = {.input = tokens, .cost = cost, .first_ms = -1},
                                 .workflow = BW_SLICE("w"),
                                 .path = bw_slice_of(path),
                                 .provider = BW_SLICE("p"),
                                 .model = BW_SLICE("m"),
                                 .attempt = 1,
                                 .at_ms = wall_ms,
                                 .budgets = budget,
                                 .budget_count = budget ? 1 : 0};
    struct bw_store_op op = {.kind = BW_OP_USAGE, .usage = &wish};
    commit(&op);
    return wish;
}

static void end_call(uint32_t run, int64_t id, int64_t tokens, int64_t cost)
{
    struct bw_usage_wish wish = {
        .run = uid_of(run), .id = id, .is_final = true, .numbers = {.input = tokens, .cost = cost, .first_ms = 9, .took_ms = 1000}};
    struct bw_store_op op = {.kind = BW_OP_USAGE, .usage = &wish};
    commit(&op);
}

static void hear_call(uint32_t run, int64_t id, int64_t tokens)
{
    struct bw_usage_wish wish = {.run = uid_of(run), .id = id, .numbers = {.input = tokens, .first_ms = 9, .took_ms = 1000}};
    struct bw_store_op op = {.kind = BW_OP_USAGE, .usage = &wish};
    commit(&op);
}

static struct bw_usage_budget budget_of(enum bw_usage_scope scope, enum bw_usage_measure measure, int64_t most)
{
    struct bw_usage_budget budget = {.scope = scope, .most = ANY};
    budget.most[measure] = most;
    return budget;
}

static void test_a_budget_lets_through_what_it_bears_to_the_last(void **state)
{
    const struct bw_usage_budget budget = budget_of(BW_USAGE_DAY, BW_USAGE_TOKENS, 100);
    (void)state;
    struct bw_usage_wish first = open_call(1, "a", 60, 5, &budget);
    assert_false(first.is_refused);
    struct bw_usage_wish second = open_call(2, "b", 41, 5, &budget);
    assert_true(second.is_refused && !second.is_unpriced);
    assert_int_equal(second.measure, BW_USAGE_TOKENS);
    assert_int_equal(second.used, 60);
    assert_int_equal(query("SELECT count(*) FROM usage"), 1); /* what is refused leaves nothing */
    assert_int_equal(query("SELECT sum(calls) FROM usage_days"), 1);
    assert_false(open_call(2, "b", 40, 5, &budget).is_refused);
    end_call(1, first.id, 10, 2);
    assert_false(open_call(3, "c", 50, 5, &budget).is_refused);
    assert_true(open_call(3, "c", 1, 5, &budget).is_refused);
    wall_ms += DAY_MS;
    assert_false(open_call(3, "c", 100, 5, &budget).is_refused);
}

static void test_each_scope_counts_what_is_its_own(void **state)
{
    (void)state;
    open_call(1, "a", 10, 5, NULL);
    open_call(1, "b", 20, 5, NULL);
    open_call(2, "a", 40, 5, NULL);
    const struct {
        enum bw_usage_scope scope;
        int64_t used;
    } cases[] = {{BW_USAGE_STEP, 10}, {BW_USAGE_RUN, 30}, {BW_USAGE_WORKFLOW, 70}, {BW_USAGE_DAY, 70}};
    for (size_t i = 0; i < 4; i++) {
        struct bw_usage_budget budget = budget_of(cases[i].scope, BW_USAGE_TOKENS, 0);
        assert_int_equal(open_call(1, "a", 1, 5, &budget).used, cases[i].used);
    }
    struct bw_usage_budget budget = budget_of(BW_USAGE_DAY, BW_USAGE_CALLS, 3);
    assert_true(open_call(1, "a", 0, 0, &budget).is_refused);
}

static void test_money_wants_a_price_and_time_is_over_when_it_is_used(void **state)
{
    const struct bw_usage_budget money = budget_of(BW_USAGE_DAY, BW_USAGE_COST, 100), time = budget_of(BW_USAGE_RUN, BW_USAGE_MS, 1500);
    (void)state;
    struct bw_usage_wish unpriced = open_call(1, "a", 1, -1, &money);
    assert_true(unpriced.is_refused && unpriced.is_unpriced);
    for (int i = 0; i < 2; i++) {
        struct bw_usage_wish call = open_call(1, "a", 1, 1, &time);
        assert_false(call.is_refused);
        end_call(1, call.id, 1, 1);
    }
    assert_true(open_call(1, "a", 1, 1, &time).is_refused);
}

static void test_an_end_counts_once_and_only_for_its_own_run(void **state)
{
    (void)state;
    int64_t id = open_call(1, "a", 100, -1, NULL).id;
    assert_int_equal(query("SELECT unpriced * 100 + open * 10 + calls FROM usage_days"), 111);
    end_call(2, id, 7, 3);
    assert_int_equal(query("SELECT open FROM usage_days"), 1);
    end_call(1, id, 7, 3);
    end_call(1, id, 9, 9);
    assert_int_equal(query("SELECT unpriced * 100 + open * 10 + calls FROM usage_days"), 1);
    assert_int_equal(query("SELECT input * 10 + cost FROM usage_days"), 73);
    assert_int_equal(query("SELECT took_ms FROM usage_days"), 1000);
    wall_ms += DAY_MS; /* an end belongs to the day of its beginning */
    id = open_call(1, "a", 100, 2, NULL).id;
    wall_ms += DAY_MS;
    end_call(1, id, 1, 1);
    assert_int_equal(query("SELECT count(*) FROM usage_days"), 2);
}

static void test_a_call_is_open_until_the_row_that_says_what_came_of_it(void **state)
{
    struct bw_step_row step = step_row("a", BW_STEP_SUCCEEDED);
    int64_t ids[3];
    (void)state;
    for (size_t i = 0; i < 3; i++) ids[i] = open_call(1, "a", 100, 0, NULL).id;
    hear_call(1, ids[0], 7); /* its answer is lost: no row ever names it */
    hear_call(1, ids[1], 9); /* ids[2] never says anything */
    assert_int_equal(query("SELECT sum(open) FROM usage_days"), 3);
    assert_int_equal(query("SELECT sum(input) FROM usage_days"), 116); /* what it took counts at once */
    hear_call(1, ids[1], 50);
    assert_int_equal(query("SELECT sum(input) FROM usage_days"), 116);
    step.calls = ids + 1;
    step.call_count = 2;
    put_step(2, BW_RUN_ACTIVE, step); /* another run's */
    assert_int_equal(query("SELECT count(*) FROM usage WHERE state = 2"), 0);
    for (int i = 0; i < 2; i++) put_step(1, BW_RUN_ACTIVE, step);
    assert_int_equal(query("SELECT id FROM usage WHERE state = 2"), ids[1]);
    assert_int_equal(query("SELECT sum(open) FROM usage_days"), 2);
}

static void test_runs_below_a_run_spend_its_budget(void **state)
{
    struct bw_step_row step = step_row("fan", BW_STEP_WAITING);
    static const char items[] = "\2\0\0\0{}";
    const struct bw_join_new join = {.workflow = BW_SLICE("w"), .items = {items, 6}, .total = 1, .concurrency = 1, .depth = 1};
    const struct bw_usage_budget budget = budget_of(BW_USAGE_RUN, BW_USAGE_CALLS, 1);
    (void)state;
    step.join = &join;
    put_step(1, BW_RUN_PARKED, step);
    struct bw_usage_wish wish = open_call(1, "a", 0, 0, NULL), child = wish;
    child.run = bw_uid_of_child(uid_of(1), BW_SLICE("fan"), 0);
    child.budgets = &budget;
    child.budget_count = 1;
    struct bw_store_op op = {.kind = BW_OP_USAGE, .usage = &child};
    commit(&op);
    assert_true(child.is_refused);
    assert_int_equal(child.used, 1);
}

static void test_sums_of_very_old_days_go(void **state)
{
    (void)state;
    open_call(1, "a", 0, 0, NULL);
    wall_ms += (BW_USAGE_DAYS_KEPT + 1LL) * DAY_MS;
    open_call(1, "a", 0, 0, NULL);
    assert_int_equal(query("SELECT count(*) FROM usage_days"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PARKING(test_a_budget_lets_through_what_it_bears_to_the_last),
        PARKING(test_each_scope_counts_what_is_its_own),
        PARKING(test_money_wants_a_price_and_time_is_over_when_it_is_used),
        PARKING(test_an_end_counts_once_and_only_for_its_own_run),
        PARKING(test_a_call_is_open_until_the_row_that_says_what_came_of_it),
        PARKING(test_runs_below_a_run_spend_its_budget),
        PARKING(test_sums_of_very_old_days_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
