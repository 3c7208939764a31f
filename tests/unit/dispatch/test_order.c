/* Whose turn it is: no event is looked at before one that came before it, whoever dies meanwhile. */
#include "dispatch/order.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

static const char one[] = "a worker", other[] = "another worker";

static void test_one_worker_is_given_events_without_a_question(void **state)
{
    struct bw_order order = {0};
    (void)state;
    assert_true(bw_order_is_turn_of(&order, one));
    bw_order_given(&order, one);
    assert_true(bw_order_is_turn_of(&order, one));
    assert_false(bw_order_is_turn_of(&order, other));
}

static void test_another_one_is_given_the_next_event_when_the_first_has_looked_at_its_own(void **state)
{
    struct bw_order order = {0};
    (void)state;
    bw_order_given(&order, one);
    int64_t question = bw_order_ask(&order);
    assert_false(bw_order_is_turn_of(&order, other));
    assert_false(bw_order_answered(&order, other, question)); /* it was not asked */
    assert_false(bw_order_is_turn_of(&order, other));
    assert_true(bw_order_answered(&order, one, question));
    assert_true(bw_order_is_turn_of(&order, other));
    bw_order_given(&order, other);
    assert_false(bw_order_is_turn_of(&order, one));
    assert_false(bw_order_answered(&order, one, question)); /* said twice */
}

static void test_an_answer_is_not_about_events_that_were_given_after_its_question(void **state)
{
    struct bw_order order = {0};
    (void)state;
    bw_order_given(&order, one);
    int64_t early = bw_order_ask(&order);
    bw_order_given(&order, one);
    assert_int_equal(order.question, 0); /* it is to be asked again */
    assert_false(bw_order_answered(&order, one, early));
    assert_false(bw_order_answered(&order, one, 0));
    assert_false(bw_order_is_turn_of(&order, other));
    int64_t late = bw_order_ask(&order);
    assert_int_not_equal(late, early);
    assert_true(bw_order_answered(&order, one, late));
}

static void test_nobody_waits_for_the_answer_of_a_dead_one(void **state)
{
    struct bw_order order = {0};
    (void)state;
    bw_order_given(&order, one);
    bw_order_ask(&order);
    bw_order_ended(&order, other); /* it had nothing */
    assert_false(bw_order_is_turn_of(&order, other));
    bw_order_ended(&order, one);
    assert_true(bw_order_is_turn_of(&order, other));
    assert_int_equal(order.question, 0);
}

/* ---- all of it together, by seeds: two workers, of which one is given the events that may be fatal ---- */

#define EVENTS 40
struct worker {
    int inbox[EVENTS * 2]; /* events, and questions below zero */
    size_t count, looked;  /* looked: so many of the inbox are done; what it has said has arrived */
};
struct life {
    struct bw_order order;
    struct worker workers[2];
    int queue[EVENTS];
    size_t queued;
    bool is_suspect[EVENTS + 1];
    int asked[EVENTS + 1], next_asked; /* the first time that its runs asked for their slots */
};

static void feed(struct life *life)
{
    struct worker *worker;
    while (life->queued) {
        worker = &life->workers[life->is_suspect[life->queue[0]]];
        if (worker->count == EVENTS * 2) return;
        if (!bw_order_is_turn_of(&life->order, worker)) {
            struct worker *looker = &life->workers[worker == life->workers];
            if (!life->order.question && looker->count < EVENTS * 2) looker->inbox[looker->count++] = -(int)bw_order_ask(&life->order);
            return;
        }
        worker->inbox[worker->count++] = life->queue[0];
        bw_order_given(&life->order, worker);
        for (size_t i = 1; i < life->queued; i++) life->queue[i - 1] = life->queue[i];
        life->queued--;
    }
}

static void look(struct life *life, struct worker *worker)
{
    if (worker->looked == worker->count) return;
    int what = worker->inbox[worker->looked++];
    if (what > 0 && !life->asked[what]) life->asked[what] = ++life->next_asked;
    if (what < 0) bw_order_answered(&life->order, worker, -what);
}

/* All that it has comes back in front and in its order, also what it has looked at. */
static void die(struct life *life, struct worker *worker)
{
    int merged[EVENTS];
    size_t count = 0;
    for (size_t i = 0; i < worker->count; i++)
        if (worker->inbox[i] > 0) merged[count++] = worker->inbox[i];
    if (count && worker->looked < worker->count)
        life->is_suspect[worker->inbox[worker->looked] > 0 ? worker->inbox[worker->looked] : merged[0]] = true;
    for (size_t i = 0; i < life->queued; i++) merged[count++] = life->queue[i];
    for (size_t i = 0; i < count; i++) life->queue[i] = merged[i];
    life->queued = count;
    worker->count = worker->looked = 0;
    bw_order_ended(&life->order, worker);
}

static void test_events_are_looked_at_in_their_order_whoever_dies(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 2000; seed++) {
        struct life life = {.queued = EVENTS};
        unsigned random = seed, deaths = 0;
        for (int i = 0; i < EVENTS; i++) life.queue[i] = i + 1;
        for (unsigned turn = 0; life.next_asked < EVENTS; turn++) {
            feed(&life);
            assert_true(turn < 100000); /* else everybody waits for everybody */
            struct worker *worker = &life.workers[rand_r(&random) % 2];
            if (rand_r(&random) % 16 == 0 && deaths++ < 8)
                die(&life, worker);
            else
                look(&life, worker);
        }
        for (int i = 1; i <= EVENTS; i++) assert_int_equal(life.asked[i], i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_worker_is_given_events_without_a_question),
        cmocka_unit_test(test_another_one_is_given_the_next_event_when_the_first_has_looked_at_its_own),
        cmocka_unit_test(test_an_answer_is_not_about_events_that_were_given_after_its_question),
        cmocka_unit_test(test_nobody_waits_for_the_answer_of_a_dead_one),
        cmocka_unit_test(test_events_are_looked_at_in_their_order_whoever_dies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
