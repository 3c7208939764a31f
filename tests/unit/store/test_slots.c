/* Slots of runs: `concurrency`. Properties 7, 8 and 9 of semantics.md at random against a model. */
#include "parking_fixture.h"
#include <time.h>

#define RUNS 400
#define GROUPS 4

static struct bw_slot_new slot_of(unsigned group, uint32_t most, enum bw_when_full when_full)
{
    struct bw_slot_new slot = {.most = most, .when_full = when_full, .max_queue = 1000, .holds_parked = true};
    memset(slot.group, (int)group + 1, sizeof slot.group);
    return slot;
}

static void ask_with(uint32_t run, struct bw_slot_new slot)
{
    struct bw_run_row row = {.uid = uid_of(run), .workflow = BW_SLICE("deploy"), .state = BW_RUN_BLOCKED, .started_ms = 1, .slot = slot};
    struct bw_store_op op = {.kind = BW_OP_REPORT, .event_id = first_event, .runs = &row, .run_count = 1};
    commit(&op);
}

static void ask(uint32_t run, uint32_t most)
{
    ask_with(run, slot_of(0, most, BW_FULL_QUEUE));
}

static void end(uint32_t run)
{
    put(run, BW_RUN_SUCCEEDED, NULL, 0);
}

static void test_who_comes_first_is_first_and_an_end_lets_the_next_one_go(void **state)
{
    (void)state;
    ask(1, 1);
    ask(2, 1);
    ask(3, 1);
    assert_int_equal(state_of(1), BW_RUN_ACTIVE);
    assert_true(queue_of(1) > 0);
    assert_int_equal(state_of(2), BW_RUN_BLOCKED);
    assert_int_equal(queue_of(2), 0);
    end(1);
    assert_int_equal(state_of(2), BW_RUN_ACTIVE);
    assert_true(queue_of(2) > 0);
    assert_int_equal(state_of(3), BW_RUN_BLOCKED);
    end(2);
    end(3);
    assert_int_equal(query("SELECT count(*) FROM slots"), 0);
}

static void test_asking_twice_is_asking_once(void **state)
{
    (void)state;
    ask(1, 1);
    ask(2, 1);
    ask(1, 1);
    ask(2, 1);
    assert_int_equal(query("SELECT count(*) FROM slots"), 2);
    assert_int_equal(state_of(2), BW_RUN_BLOCKED);
    end(1);
    ask(1, 1); /* it has ended */
    assert_int_equal(state_of(1), BW_RUN_SUCCEEDED);
    assert_int_equal(state_of(2), BW_RUN_ACTIVE);
}

static void test_a_full_group_can_be_left_out_of_or_taken_over(void **state)
{
    (void)state;
    ask(1, 1);
    ask_with(2, slot_of(0, 1, BW_FULL_SKIP));
    assert_int_equal(state_of(2), BW_RUN_SKIPPED);
    assert_int_equal(query("SELECT count(*) FROM runs WHERE error LIKE '%concurrency.full%run_%'"), 1);
    ask(3, 1);
    ask_with(4, slot_of(0, 1, BW_FULL_REPLACE));
    assert_int_equal(state_of(3), BW_RUN_CANCELLED);
    assert_int_equal(state_of(4), BW_RUN_BLOCKED);
    assert_int_equal(query("SELECT count(*) FROM runs WHERE error LIKE '%concurrency.replaced%'"), 1);
    struct bw_slot_new slot = slot_of(0, 1, BW_FULL_QUEUE);
    slot.max_queue = 1;
    ask_with(5, slot);
    assert_int_equal(state_of(5), BW_RUN_SKIPPED);
    end(1);
    assert_int_equal(state_of(4), BW_RUN_ACTIVE);
}

static int64_t cancelled(void)
{
    return query("SELECT count(*) FROM runs WHERE cancel LIKE '%its place was taken by run_%'");
}

static void test_the_oldest_of_those_who_run_is_cancelled_and_one_end_on_its_way_is_enough(void **state)
{
    (void)state;
    ask(1, 2);
    ask(2, 2);
    ask_with(3, slot_of(0, 2, BW_FULL_CANCEL_RUNNING));
    assert_int_equal(cancelled(), 1);
    assert_int_equal(query("SELECT count(*) FROM runs WHERE cancel IS NOT NULL AND id = (SELECT min(id) FROM runs)"), 1);
    assert_int_equal(state_of(1), BW_RUN_ACTIVE); /* its worker has to give up what is under way */
    assert_int_equal(state_of(3), BW_RUN_BLOCKED);
    ask_with(4, slot_of(0, 2, BW_FULL_CANCEL_RUNNING));
    assert_int_equal(state_of(3), BW_RUN_CANCELLED); /* it had not begun */
    assert_int_equal(cancelled(), 1);
    put(1, BW_RUN_CANCELLED, NULL, 0);
    assert_int_equal(state_of(4), BW_RUN_ACTIVE);
    ask_with(5, slot_of(0, 2, BW_FULL_CANCEL_RUNNING));
    assert_int_equal(cancelled(), 2);
    put(2, BW_RUN_CANCELLED, NULL, 0);
    end(4);
    end(5);
    assert_int_equal(query("SELECT count(*) FROM slots"), 0);
    assert_int_equal(query("SELECT count(*) FROM wakes"), 0);
}

static void test_a_parked_one_is_woken_to_be_cancelled(void **state)
{
    (void)state;
    ask(1, 1);
    put_step(1, BW_RUN_PARKED, sleeping("nap", 5000));
    ask_with(2, slot_of(0, 1, BW_FULL_CANCEL_RUNNING));
    assert_int_equal(state_of(1), BW_RUN_ACTIVE);
    assert_true(queue_of(1) > 0);
    put_step(1, BW_RUN_CANCELLED, step_row("nap", BW_STEP_CANCELLED));
    assert_int_equal(state_of(2), BW_RUN_ACTIVE);
}

static void test_a_slot_that_is_held_while_active_is_given_up_by_parking(void **state)
{
    (void)state;
    struct bw_slot_new slot = slot_of(0, 1, BW_FULL_QUEUE);
    slot.holds_parked = false;
    ask_with(1, slot);
    ask_with(2, slot);
    put_step(1, BW_RUN_PARKED, sleeping("nap", 500));
    assert_int_equal(state_of(1), BW_RUN_PARKED);
    assert_int_equal(state_of(2), BW_RUN_ACTIVE);
    fire(600);
    assert_int_equal(state_of(1), BW_RUN_BLOCKED); /* woken, and waits for its turn */
    assert_int_equal(queue_of(1), 0);
    end(2);
    assert_int_equal(state_of(1), BW_RUN_ACTIVE);
    assert_true(queue_of(1) > 0);
    end(1);
    assert_int_equal(query("SELECT count(*) FROM slots"), 0);
}

static void test_a_parked_run_keeps_its_slot_unless_it_says_otherwise(void **state)
{
    (void)state;
    ask(1, 1);
    ask(2, 1);
    put_step(1, BW_RUN_PARKED, sleeping("nap", 500));
    assert_int_equal(state_of(2), BW_RUN_BLOCKED);
    fire(600);
    assert_int_equal(state_of(1), BW_RUN_ACTIVE);
    end(1);
    assert_int_equal(state_of(2), BW_RUN_ACTIVE);
}

static void ask_as(uint32_t run, int64_t event_id, struct bw_slot_new slot)
{
    struct bw_run_row row = {.uid = uid_of(run), .workflow = BW_SLICE("deploy"), .state = BW_RUN_BLOCKED, .started_ms = 1, .slot = slot};
    struct bw_store_op op = {.kind = BW_OP_REPORT, .event_id = event_id, .runs = &row, .run_count = 1};
    commit(&op);
}

static void assert_order(const uint32_t *order, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (state_of(order[i]) != BW_RUN_ACTIVE) fail_msg("run %u is not the next one", order[i]);
        for (size_t k = i + 1; k < count; k++) assert_int_equal(state_of(order[k]), BW_RUN_BLOCKED);
        assert_int_equal(count_faults(), 0);
        end(order[i]);
    }
    assert_int_equal(query("SELECT count(*) FROM slots"), 0);
}

static void ask_with_priority(uint32_t run, int32_t priority)
{
    struct bw_slot_new slot = slot_of(0, 1, BW_FULL_QUEUE);
    slot.priority = priority;
    ask_with(run, slot);
}

static void test_a_head_start_is_so_many_seconds_and_no_more(void **state)
{
    (void)state;
    ask(1, 1);
    ask_with_priority(2, -5);
    ask_with_priority(3, 0);
    wall_ms += 9000;
    ask_with_priority(4, 10); /* as if a second earlier than the third one */
    ask_with_priority(5, 9);  /* as early as that: the order of admission */
    ask_with_priority(6, 8);
    ask_with_priority(7, 10);
    assert_order((const uint32_t[]){1, 4, 7, 3, 5, 6, 2}, 7);
}

static void test_a_clock_that_is_set_back_does_not_change_the_order(void **state)
{
    (void)state;
    for (uint32_t run = 1; run <= 4; run++) {
        ask(run, 1);
        wall_ms -= 5000;
        if (run == 2) reopen_writer(&defaults);
    }
    assert_order((const uint32_t[]){1, 2, 3, 4}, 4);
}

static void test_an_event_that_is_looked_at_late_keeps_its_place(void **state)
{
    int64_t second = add_event(0, "", 0), third = add_event(0, "", 0);
    struct bw_slot_new slot = slot_of(0, 1, BW_FULL_QUEUE), urgent = slot;
    urgent.priority = 1;
    (void)state;
    ask(1, 1);
    ask_as(3, third, slot);
    wall_ms += 100;
    ask_as(2, second, slot);
    ask_as(4, first_event, urgent);
    assert_order((const uint32_t[]){1, 4, 2, 3}, 4);
}

/* ---- on_failed: hold, and runs that are run once more ---- */

static void fail_run(uint32_t run)
{
    put(run, BW_RUN_FAILED, NULL, 0);
}

static void ask_strictly(uint32_t run)
{
    struct bw_slot_new slot = slot_of(0, 1, BW_FULL_QUEUE);
    slot.holds_failed = true;
    ask_with(run, slot);
}

static void test_a_run_that_failed_keeps_its_slot_until_something_is_done_about_it(void **state)
{
    (void)state;
    for (uint32_t run = 1; run <= 4; run++) ask_strictly(run);
    fail_run(1);
    reopen_writer(&defaults);
    assert_int_equal(state_of(2), BW_RUN_BLOCKED);
    assert_sound();
    assert_int_equal(count_faults(), 0);
    assert_string_equal(do_letter(BW_LETTER_RESUME, uid_of(1)), ""); /* it has its slot */
    assert_int_equal(state_of(1), BW_RUN_ACTIVE);
    assert_true(queue_of(1) > 0);
    fail_run(1);
    assert_int_equal(state_of(2), BW_RUN_BLOCKED);
    assert_string_equal(do_letter(BW_LETTER_RESUME, uid_of(1)), "");
    end(1); /* well: the next one */
    assert_int_equal(state_of(2), BW_RUN_ACTIVE);
    fail_run(2);
    assert_string_equal(do_letter(BW_LETTER_REPLAY, uid_of(2)), ""); /* takes its slot over */
    assert_int_equal(state_of(3), BW_RUN_BLOCKED);
    assert_int_equal(rows_of("slots", 2), 0);
    assert_int_equal(query("SELECT count(*) FROM slots s JOIN runs r ON r.id = s.run_id WHERE s.state = 1 AND r.state = 2 AND r.origin IS NOT NULL"),
                     1);
    assert_sound();
    uint32_t replay = 2000000 + next_number - 1;
    fail_run(replay);
    assert_int_equal(state_of(3), BW_RUN_BLOCKED);
    assert_string_equal(do_letter(BW_LETTER_DISCARD, uid_of(replay)), "");
    assert_int_equal(state_of(3), BW_RUN_ACTIVE);
    end(3);
    end(4);
    assert_int_equal(query("SELECT count(*) FROM slots"), 0);
    assert_sound();
}

static void test_a_slot_that_was_kept_is_free_when_its_run_is_removed(void **state)
{
    (void)state;
    for (uint32_t run = 1; run <= 2; run++) ask_strictly(run);
    struct bw_run_row row = {.uid = uid_of(1), .workflow = BW_SLICE("deploy"), .state = BW_RUN_FAILED, .started_ms = wall_ms, .ended_ms = wall_ms};
    struct bw_store_op op = {.kind = BW_OP_REPORT, .event_id = first_event, .runs = &row, .run_count = 1, .event_done = true};
    commit(&op);
    add_event(0, "", 0);
    wall_ms += BW_DISCARDED_AFTER_MS + 91 * DAY_MS;
    mono_us += 3 * 3600 * 1000000LL;
    run_slices();
    assert_int_equal(query("SELECT count(*) FROM runs"), 1);
    assert_int_equal(state_of(2), BW_RUN_ACTIVE);
    assert_int_equal(count_faults(), 0);
    assert_sound();
}

static void test_a_run_that_is_run_once_more_waits_for_a_slot_however_full_the_group_is(void **state)
{
    struct bw_slot_new slot = slot_of(0, 1, BW_FULL_SKIP);
    (void)state;
    slot.max_queue = 0;
    ask_with(1, slot);
    fail_run(1);
    ask_with(2, slot);
    assert_int_equal(state_of(2), BW_RUN_ACTIVE);
    assert_string_equal(do_letter(BW_LETTER_RESUME, uid_of(1)), "");
    assert_int_equal(state_of(1), BW_RUN_BLOCKED);
    assert_int_equal(queue_of(1), 0);
    ask_with(3, slot);
    assert_int_equal(state_of(3), BW_RUN_SKIPPED);
    assert_string_equal(do_letter(BW_LETTER_REPLAY, uid_of(3)), "");
    assert_sound();
    assert_int_equal(query("SELECT count(*) FROM runs WHERE state = 1"), 2);
    end(2);
    assert_int_equal(state_of(1), BW_RUN_ACTIVE);
    end(1);
    end(2000000 + next_number - 1);
    assert_int_equal(query("SELECT count(*) FROM slots"), 0);
    assert_string_equal(do_letter(BW_LETTER_REPLAY, uid_of(2)), ""); /* nobody is there */
    assert_int_equal(state_of(2000000 + next_number - 1), BW_RUN_ACTIVE);
    assert_sound();
}

static void damage(const char *sql)
{
    struct bw_error err = {0};
    assert_no_error(bw_sql_exec(writer.db, sql, &err), err);
}

static void test_the_sweeper_gives_out_what_is_free_and_takes_back_what_nobody_has(void **state)
{
    struct bw_error err = {0};
    (void)state;
    for (uint32_t run = 1; run <= 3; run++) ask(run, 1);
    damage("DELETE FROM slots WHERE state = 1; DELETE FROM slots WHERE run_id = (SELECT max(run_id) FROM slots)");
    assert_int_equal(count_faults(), 2); /* the second run could go, the third one does not wait */
    for (size_t i = 0; i < 2 * BW_SWEEP_CHECKS; i++) assert_no_error(bw_sweep_slice(&writer, &err), err);
    assert_int_equal(writer.sweep.repairs, 2);
    assert_int_equal(state_of(2), BW_RUN_ACTIVE);
    assert_int_equal(state_of(3), BW_RUN_BLOCKED);
    damage("UPDATE runs SET state = 20 WHERE id = (SELECT run_id FROM slots WHERE state = 1); DELETE FROM queue");
    assert_int_equal(count_faults(), 1);
    for (size_t i = 0; i < 2 * BW_SWEEP_CHECKS; i++) assert_no_error(bw_sweep_slice(&writer, &err), err);
    assert_int_equal(state_of(3), BW_RUN_ACTIVE);
    assert_int_equal(count_faults(), 0);
}

/* ---- at random ---- */

enum model_state { NEW, BLOCKED, HELD, PARKED, PARKED_WITHOUT, FAILED, FAILED_WITH, ENDED };
struct model {
    enum model_state states[RUNS + 1];
    unsigned groups[RUNS + 1];
    bool holds[RUNS + 1], holds_failed[RUNS + 1];
    int32_t priorities[RUNS + 1];
    int64_t orders[RUNS + 1];
    int64_t due_ms[RUNS + 1];
    uint32_t count;
    unsigned seed;
};

static unsigned draw(struct model *model, unsigned below)
{
    model->seed = model->seed * 1103515245u + 12345u;
    return (model->seed >> 16) % below;
}

static uint32_t held(const struct model *model, unsigned group)
{
    uint32_t count = 0;
    for (uint32_t i = 1; i <= model->count; i++)
        count += model->groups[i] == group && (model->states[i] == HELD || model->states[i] == PARKED || model->states[i] == FAILED_WITH);
    return count;
}

static void settle(struct model *model, unsigned group)
{
    while (held(model, group) < group + 1) {
        uint32_t next = 0;
        for (uint32_t i = 1; i <= model->count; i++)
            if (model->groups[i] == group && model->states[i] == BLOCKED && (!next || model->orders[i] < model->orders[next])) next = i;
        if (!next) return;
        model->states[next] = HELD;
    }
}

static void compare(const struct model *model)
{
    for (uint32_t i = 1; i <= model->count; i++) {
        static const enum bw_run_state wanted[] = {[BLOCKED] = BW_RUN_BLOCKED,       [HELD] = BW_RUN_ACTIVE,   [PARKED] = BW_RUN_PARKED,
                                                   [PARKED_WITHOUT] = BW_RUN_PARKED, [FAILED] = BW_RUN_FAILED, [FAILED_WITH] = BW_RUN_FAILED};
        enum bw_run_state is = state_of(i);
        if (model->states[i] == ENDED ? is < BW_RUN_SUCCEEDED : is != wanted[model->states[i]])
            fail_msg("seed %u: run %u is %s, in the model %d", model->seed, i, bw_run_state_name(is), model->states[i]);
        assert_int_equal(queue_of(i) > 0, model->states[i] == HELD);
        assert_int_equal(rows_of("slots", i), model->states[i] != ENDED && model->states[i] != FAILED);
    }
}

static uint32_t pick(struct model *model, enum model_state state)
{
    uint32_t from = 1 + draw(model, model->count ? model->count : 1);
    for (uint32_t i = 0; i < model->count; i++) {
        uint32_t run = 1 + (from + i - 1) % model->count;
        if (model->states[run] == state) return run;
    }
    return 0;
}

static void admit(struct model *model)
{
    uint32_t run = ++model->count;
    unsigned group = model->groups[run] = draw(model, GROUPS);
    struct bw_slot_new slot = slot_of(group, group + 1, (enum bw_when_full)(draw(model, 4) ? 0 : 1 + draw(model, 2)));
    slot.holds_parked = model->holds[run] = draw(model, 2);
    slot.holds_failed = model->holds_failed[run] = draw(model, 2);
    slot.priority = model->priorities[run] = (int32_t)draw(model, 3) - 1;
    wall_ms += draw(model, 900);
    model->orders[run] = wall_ms - 1000 * slot.priority;
    bool is_full = held(model, group) >= group + 1;
    for (uint32_t i = 1; is_full && slot.when_full == BW_FULL_REPLACE && i < run; i++)
        if (model->groups[i] == group && model->states[i] == BLOCKED) model->states[i] = ENDED;
    model->states[run] = is_full && slot.when_full == BW_FULL_SKIP ? ENDED : BLOCKED;
    settle(model, group);
    ask_with(run, slot);
}

static void test_slots_are_as_in_the_model_whatever_happens(void **state)
{
    (void)state;
    const char *given = getenv("BELLWIRE_SEED");
    struct model model = {.seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL)};
    int64_t now_ms = 1000;
    print_message("BELLWIRE_SEED=%u\n", model.seed);
    while (model.count < RUNS) {
        uint32_t run;
        switch (draw(&model, 7)) {
        case 0:
        case 1: admit(&model); break;
        case 2:
            if (!(run = pick(&model, HELD))) break;
            model.states[run] = ENDED;
            settle(&model, model.groups[run]);
            end(run);
            break;
        case 3:
            if (!(run = pick(&model, HELD))) break;
            model.states[run] = model.holds[run] ? PARKED : PARKED_WITHOUT;
            model.due_ms[run] = now_ms + 1 + draw(&model, 5);
            settle(&model, model.groups[run]);
            put_step(run, BW_RUN_PARKED, sleeping("nap", model.due_ms[run]));
            break;
        case 5:
            if (!(run = pick(&model, HELD))) break;
            model.states[run] = model.holds_failed[run] ? FAILED_WITH : FAILED;
            settle(&model, model.groups[run]);
            fail_run(run);
            break;
        case 6:
            if (!(run = pick(&model, draw(&model, 2) ? FAILED : FAILED_WITH))) break;
            if (draw(&model, 2)) { /* discarded */
                model.states[run] = ENDED;
                assert_string_equal(do_letter(BW_LETTER_DISCARD, uid_of(run)), "");
            } else {
                if (model.states[run] == FAILED) model.orders[run] = wall_ms - 1000 * model.priorities[run];
                model.states[run] = model.states[run] == FAILED ? BLOCKED : HELD;
                assert_string_equal(do_letter(BW_LETTER_RESUME, uid_of(run)), "");
            }
            settle(&model, model.groups[run]);
            break;
        case 4: /* one at a time: the order of wakes at one instant is the timers' */
            now_ms++;
            for (uint32_t i = 1; i <= model.count; i++) {
                if ((model.states[i] != PARKED && model.states[i] != PARKED_WITHOUT) || model.due_ms[i] > now_ms) continue;
                model.states[i] = model.states[i] == PARKED || held(&model, model.groups[i]) < model.groups[i] + 1 ? HELD : BLOCKED;
            }
            fire(now_ms);
            break;
        }
        if (draw(&model, 50) == 0) reopen_writer(&defaults);
        if (model.count % 7 == 0) compare(&model);
    }
    compare(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PARKING(test_who_comes_first_is_first_and_an_end_lets_the_next_one_go),
        PARKING(test_asking_twice_is_asking_once),
        PARKING(test_a_full_group_can_be_left_out_of_or_taken_over),
        PARKING(test_the_oldest_of_those_who_run_is_cancelled_and_one_end_on_its_way_is_enough),
        PARKING(test_a_parked_one_is_woken_to_be_cancelled),
        PARKING(test_a_slot_that_is_held_while_active_is_given_up_by_parking),
        PARKING(test_a_parked_run_keeps_its_slot_unless_it_says_otherwise),
        PARKING(test_a_head_start_is_so_many_seconds_and_no_more),
        PARKING(test_a_clock_that_is_set_back_does_not_change_the_order),
        PARKING(test_an_event_that_is_looked_at_late_keeps_its_place),
        PARKING(test_a_run_that_failed_keeps_its_slot_until_something_is_done_about_it),
        PARKING(test_a_slot_that_was_kept_is_free_when_its_run_is_removed),
        PARKING(test_a_run_that_is_run_once_more_waits_for_a_slot_however_full_the_group_is),
        PARKING(test_the_sweeper_gives_out_what_is_free_and_takes_back_what_nobody_has),
        PARKING(test_slots_are_as_in_the_model_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
