/* Named limits on a clock of the test's own. */
#include "dispatch/limiter.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#define SECOND 1000000LL
#define NAME BW_SLICE("llm")
#define NO_KEY BW_SLICE("")

static struct bw_limiter *limiter_of(double count, int64_t period_us, double burst, unsigned at_once)
{
    struct bw_limiter *limiter = bw_limiter_new();
    assert_true(limiter && bw_limiter_set(limiter, NAME, &(struct bw_limit_rule){count, period_us, burst, at_once}, 0));
    return limiter;
}

/* How many of those in line may begin now; the last `due`. */
static size_t given_now(struct bw_limiter *limiter, int64_t now_us, int64_t *due_us)
{
    size_t count = 0;
    while (bw_limiter_next(limiter, now_us, due_us)) count++;
    return count;
}

static void ask(struct bw_limiter *limiter, size_t count, double cost)
{
    for (size_t i = 0; i < count; i++) assert_non_null(bw_limiter_ask(limiter, NAME, NO_KEY, cost, NULL));
}

static void test_a_rate_lets_a_burst_through_and_then_one_at_a_time(void **state)
{
    struct bw_limiter *limiter = limiter_of(2, SECOND, 3, 0);
    int64_t due;
    (void)state;
    ask(limiter, 10, 1);
    assert_int_equal(given_now(limiter, 100 * SECOND, &due), 3);
    assert_in_range(due, 100 * SECOND + SECOND / 2, 100 * SECOND + SECOND / 2 + 2);
    assert_int_equal(given_now(limiter, due - 2, &due), 0);
    assert_int_equal(given_now(limiter, due, &due), 1);
    assert_int_equal(given_now(limiter, 102 * SECOND, &due), 3); /* no more than the burst has gathered */
    bw_limiter_free(limiter);
}

static void test_a_number_at_once_waits_for_one_to_come_back(void **state)
{
    struct bw_limiter *limiter = limiter_of(0, 0, 0, 2);
    struct bw_permit *first, *second, *third;
    int64_t due;
    (void)state;
    first = bw_limiter_ask(limiter, NAME, NO_KEY, 1, NULL);
    second = bw_limiter_ask(limiter, NAME, NO_KEY, 1, NULL);
    third = bw_limiter_ask(limiter, NAME, NO_KEY, 1, NULL);
    assert_int_equal(given_now(limiter, 0, &due), 2);
    assert_int_equal(due, -1);
    assert_true(bw_permit_is_given(first) && bw_permit_is_given(second) && !bw_permit_is_given(third));
    bw_permit_back(limiter, first);
    assert_ptr_equal(bw_limiter_next(limiter, 0, &due), third);
    bw_limiter_free(limiter);
}

static void test_who_leaves_the_line_is_not_waited_for(void **state)
{
    struct bw_limiter *limiter = limiter_of(0, 0, 0, 1);
    struct bw_permit *first, *second, *third;
    int64_t due;
    (void)state;
    first = bw_limiter_ask(limiter, NAME, NO_KEY, 1, NULL);
    second = bw_limiter_ask(limiter, NAME, NO_KEY, 1, NULL);
    third = bw_limiter_ask(limiter, NAME, NO_KEY, 1, NULL);
    assert_int_equal(given_now(limiter, 0, &due), 1);
    bw_permit_back(limiter, second);
    bw_permit_back(limiter, first);
    assert_ptr_equal(bw_limiter_next(limiter, 0, &due), third);
    bw_limiter_free(limiter);
}

static void test_a_cost_above_the_burst_goes_alone_and_is_owed(void **state)
{
    struct bw_limiter *limiter = limiter_of(10, SECOND, 5, 0);
    int64_t due;
    (void)state;
    ask(limiter, 1, 20);
    ask(limiter, 1, 1);
    assert_int_equal(given_now(limiter, 50 * SECOND, &due), 1);
    assert_in_range(due, 51 * SECOND + 600000, 51 * SECOND + 600002); /* 20 owed at 10 a second, 4 of the burst left for the next */
    bw_limiter_free(limiter);
}

static void test_keys_are_apart_and_a_limit_that_is_not_there_is_told(void **state)
{
    struct bw_limiter *limiter = limiter_of(1, SECOND, 1, 0);
    int64_t due;
    (void)state;
    assert_non_null(bw_limiter_ask(limiter, NAME, BW_SLICE("a"), 1, NULL));
    assert_non_null(bw_limiter_ask(limiter, NAME, BW_SLICE("a"), 1, NULL));
    assert_non_null(bw_limiter_ask(limiter, NAME, BW_SLICE("b"), 1, NULL));
    assert_null(bw_limiter_ask(limiter, BW_SLICE("other"), NO_KEY, 1, NULL));
    assert_int_equal(given_now(limiter, SECOND, &due), 2);
    bw_limiter_free(limiter);
}

static void test_a_pause_holds_everybody(void **state)
{
    struct bw_limiter *limiter = limiter_of(0, 0, 0, 8);
    int64_t due;
    (void)state;
    struct bw_permit *permit = bw_limiter_ask(limiter, NAME, NO_KEY, 1, NULL);
    assert_ptr_equal(bw_limiter_next(limiter, 0, &due), permit);
    ask(limiter, 3, 1);
    bw_permit_pause(limiter, permit, 5 * SECOND);
    bw_permit_pause(limiter, permit, 4 * SECOND); /* a shorter one does not end it */
    bw_permit_back(limiter, permit);
    assert_int_equal(given_now(limiter, 5 * SECOND - 1, &due), 0);
    assert_in_range(due, 5 * SECOND, 5 * SECOND + 1);
    assert_int_equal(given_now(limiter, 5 * SECOND, &due), 3);
    bw_limiter_free(limiter);
}

struct kept {
    struct bw_limit_debt debt;
    size_t count;
};
static void keep(void *arg, const struct bw_limit_debt *debt)
{
    struct kept *kept = arg;
    kept->debt = *debt;
    kept->count++;
}
static void test_what_is_owed_outlives_a_restart(void **state)
{
    struct bw_limiter *limiter = limiter_of(1, SECOND, 10, 0), *next = limiter_of(1, SECOND, 10, 0);
    struct kept kept = {0};
    int64_t due;
    (void)state;
    ask(limiter, 10, 1);
    assert_int_equal(given_now(limiter, 100 * SECOND, &due), 10);
    bw_limiter_owed(limiter, 100 * SECOND, SECOND, keep, &kept);
    bw_limiter_owed(limiter, 100 * SECOND, SECOND, keep, &kept); /* nothing has changed since */
    assert_int_equal(kept.count, 1);
    assert_int_equal(kept.debt.free_us, 110 * SECOND);
    bw_limiter_owe(next, &kept.debt);
    ask(next, 3, 1);
    assert_int_equal(given_now(next, 102 * SECOND, &due), 2);
    bw_limiter_free(limiter);
    bw_limiter_free(next);
}

static void test_keys_that_owe_nothing_are_forgotten(void **state)
{
    struct bw_limiter *limiter = limiter_of(1, SECOND, 1, 0);
    int64_t due;
    (void)state;
    for (int i = 0; i < 5000; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        assert_non_null(bw_limiter_ask(limiter, NAME, bw_slice_of(key), 1, NULL));
    }
    struct bw_permit *permit;
    while ((permit = bw_limiter_next(limiter, SECOND, &due))) bw_permit_back(limiter, permit);
    assert_int_equal(bw_limiter_keys(limiter), 5000);
    bw_limiter_sweep(limiter, SECOND + 1);
    assert_int_equal(bw_limiter_keys(limiter), 5000); /* each has a second to go */
    for (int i = 0; i < 5; i++) bw_limiter_sweep(limiter, 3 * SECOND);
    assert_int_equal(bw_limiter_keys(limiter), 0);
    bw_limiter_free(limiter);
}

/* Property 10: any window sees at most rate × T + burst of cost, in the order of asking; and nothing waits longer than it must. */
static void test_no_window_sees_more_than_the_rule_allows(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 200; seed++) {
        unsigned random = seed;
        enum { ASKED = 60 };
        double costs[ASKED], rate = 1 + rand_r(&random) % 20, burst = 1 + rand_r(&random) % 10;
        int64_t times[ASKED], now = 1000 * SECOND, due;
        size_t given = 0, asked = 0;
        struct bw_limiter *limiter = limiter_of(rate, SECOND, burst, 0);
        while (given < ASKED) {
            struct bw_permit *permit;
            if (asked < ASKED && rand_r(&random) % 2) {
                costs[asked] = 1 + rand_r(&random) % (unsigned)burst;
                assert_non_null(bw_limiter_ask(limiter, NAME, NO_KEY, costs[asked], (void *)(uintptr_t)asked));
                asked++;
            }
            while ((permit = bw_limiter_next(limiter, now, &due))) {
                assert_int_equal((uintptr_t)bw_permit_owner(permit), given);
                times[given++] = now;
                bw_permit_back(limiter, permit);
            }
            now = due > 0 && rand_r(&random) % 3 ? due : now + rand_r(&random) % (SECOND / 4);
        }
        for (size_t i = 0; i < ASKED; i++) {
            double sum = 0;
            for (size_t k = i; k < ASKED; k++) {
                sum += costs[k];
                double allowed = rate * (double)(times[k] - times[i]) / SECOND + burst;
                if (sum > allowed + 1e-3) fail_msg("seed %u: %g in a window that allows %g", seed, sum, allowed);
            }
        }
        bw_limiter_free(limiter);
    }
}

static void test_another_rule_holds_for_who_waits_and_what_is_owed(void **state)
{
    struct bw_limiter *limiter = limiter_of(1, 10 * SECOND, 1, 0);
    int64_t due;
    (void)state;
    ask(limiter, 10, 1);
    assert_int_equal(given_now(limiter, 100 * SECOND, &due), 1);
    assert_in_range(due, 110 * SECOND, 110 * SECOND + 2);
    assert_true(bw_limiter_set(limiter, NAME, &(struct bw_limit_rule){10, SECOND, 1, 0}, 105 * SECOND)); /* half of the cost is still owed */
    assert_int_equal(given_now(limiter, 105 * SECOND, &due), 0);
    assert_in_range(due, 105 * SECOND + SECOND / 20, 105 * SECOND + SECOND / 20 + 2);
    assert_int_equal(given_now(limiter, due, &due), 1);
    assert_true(bw_limiter_set(limiter, NAME, &(struct bw_limit_rule){0, 0, 0, 3}, 106 * SECOND)); /* two are under way */
    assert_int_equal(given_now(limiter, 106 * SECOND, &due), 1);
    assert_int_equal(due, -1);
    assert_true(bw_limiter_set(limiter, NAME, &(struct bw_limit_rule){1, SECOND, 2, 0}, 107 * SECOND)); /* nothing was owed without a rate */
    assert_int_equal(given_now(limiter, 107 * SECOND, &due), 2);
    bw_limiter_free(limiter);
}

/* Many keys, asked for, given, paused and given back at random, beside the rule as it is written down. */
static void test_whoever_may_begin_does_and_nobody_else(void **state)
{
    (void)state;
    enum { KEYS = 9, ASKED = 400 };
    for (unsigned seed = 1; seed <= 100; seed++) {
        unsigned random = seed;
        struct model {
            double free_us;
            int64_t paused_us;
            unsigned in_use;
            size_t first, count;
            size_t line[ASKED];
        } models[KEYS] = {0};
        struct bw_permit *permits[ASKED] = {0}, *permit;
        size_t keys[ASKED], asked = 0;
        double costs[ASKED], burst = 1 + rand_r(&random) % 4, rate = 1 + rand_r(&random) % 9;
        unsigned at_once = rand_r(&random) % 4;
        int64_t now = 1000 * SECOND, due;
        struct bw_limiter *limiter = limiter_of(rate, SECOND, burst, at_once);
        for (size_t turn = 0; turn < 1500; turn++) {
            size_t n = asked ? (size_t)rand_r(&random) % asked : 0;
            struct model *model = asked ? &models[keys[n]] : NULL;
            now += rand_r(&random) % (SECOND / 5);
            if (rand_r(&random) % 3 == 0 && asked < ASKED) {
                size_t key = keys[asked] = (size_t)rand_r(&random) % KEYS;
                costs[asked] = rand_r(&random) % ((unsigned)burst + 1);
                permits[asked] = bw_limiter_ask(limiter, NAME, (struct bw_slice){"abcdefghi" + key, 1}, costs[asked], (void *)(uintptr_t)asked);
                models[key].line[models[key].first + models[key].count++] = asked;
                asked++;
            } else if (asked && permits[n] && (bw_permit_is_given(permits[n]) || models[keys[n]].line[models[keys[n]].first] == n)) {
                if (rand_r(&random) % 4 == 0) {
                    model->paused_us = now + SECOND > model->paused_us ? now + SECOND : model->paused_us;
                    bw_permit_pause(limiter, permits[n], now + SECOND);
                }
                if (bw_permit_is_given(permits[n])) {
                    model->in_use--;
                } else { /* the first in line goes away */
                    model->first++;
                    model->count--;
                }
                bw_permit_back(limiter, permits[n]);
                permits[n] = NULL;
            } else if (rand_r(&random) % 20 == 0) { /* another rule: what is owed is as much cost as before */
                double faster = 1 + rand_r(&random) % 9;
                for (size_t key = 0; key < KEYS; key++)
                    if (models[key].free_us > (double)now) models[key].free_us = (double)now + (models[key].free_us - (double)now) * rate / faster;
                rate = faster;
                burst = 1 + rand_r(&random) % 4;
                at_once = rand_r(&random) % 4;
                assert_true(bw_limiter_set(limiter, NAME, &(struct bw_limit_rule){rate, SECOND, burst, at_once}, now));
            }
            while ((permit = bw_limiter_next(limiter, now, &due))) {
                size_t given = (uintptr_t)bw_permit_owner(permit);
                model = &models[keys[given]];
                assert_int_equal(model->line[model->first], given);
                model->first++;
                model->count--;
                model->in_use++;
                double begin = model->free_us > (double)now ? model->free_us : (double)now, after = begin + costs[given] * SECOND / rate;
                double most = costs[given] > burst ? costs[given] : burst;
                assert_true(after - (double)now <= most * SECOND / rate + 1 && model->paused_us <= now && (!at_once || model->in_use <= at_once));
                model->free_us = after;
            }
            double next = -1;
            for (size_t key = 0; key < KEYS; key++) {
                model = &models[key];
                if (!model->count || (at_once && model->in_use >= at_once)) continue;
                double cost = costs[model->line[model->first]], when = model->free_us - ((cost > burst ? cost : burst) - cost) * SECOND / rate;
                if (when < (double)model->paused_us) when = (double)model->paused_us;
                assert_true(when > (double)now - 1);
                if (next < 0 || when < next) next = when;
            }
            if (next < 0) assert_int_equal(due, -1);
            if (next >= 0) assert_in_range(due, (int64_t)next - 2, (int64_t)next + 2);
        }
        bw_limiter_free(limiter);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_rate_lets_a_burst_through_and_then_one_at_a_time),
        cmocka_unit_test(test_a_number_at_once_waits_for_one_to_come_back),
        cmocka_unit_test(test_who_leaves_the_line_is_not_waited_for),
        cmocka_unit_test(test_a_cost_above_the_burst_goes_alone_and_is_owed),
        cmocka_unit_test(test_keys_are_apart_and_a_limit_that_is_not_there_is_told),
        cmocka_unit_test(test_a_pause_holds_everybody),
        cmocka_unit_test(test_what_is_owed_outlives_a_restart),
        cmocka_unit_test(test_keys_that_owe_nothing_are_forgotten),
        cmocka_unit_test(test_another_rule_holds_for_who_waits_and_what_is_owed),
        cmocka_unit_test(test_no_window_sees_more_than_the_rule_allows),
        cmocka_unit_test(test_whoever_may_begin_does_and_nobody_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
