/* Which steps begin next: a walk over the tree of steps. A step begins when what it needs has ended and its block has taken its branch; a block has
 * ended when all that is inside of it has. What a block decides is computed from recorded outputs, so after a crash it decides the same again
 * and needs no row. */
#include "base/clock.h"
#include "worker/internal.h"

static const struct bw_step *step_at(const struct bw_run *run, size_t index)
{
    return &run->entry->workflow->steps[index];
}

static bool has_ended(const struct bw_run *run, size_t index)
{
    return run->results[index].state >= BW_STATE_SUCCEEDED;
}

static bool may_begin(const struct bw_run *run, size_t index)
{
    const struct bw_step *step = step_at(run, index);
    const struct bw_step_result *result = &run->results[index];
    if (result->is_under_way || result->state == BW_STATE_ENTERED || has_ended(run, index)) return false;
    if (step->kind == BW_STEP_MARK || step->kind >= BW_STEP_UNDO) return false; /* endings.c */
    if (step->undoes >= 0) return bw_run_is_next_undo(run, index);
    if (step->parent >= 0) {
        const struct bw_step_result *parent = &run->results[step->parent];
        if (parent->state != BW_STATE_ENTERED || parent->branch != step->branch) return false;
    }
    for (size_t i = 0; i < step->need_count; i++)
        if (!has_ended(run, step->needs[i])) return false;
    return true;
}

/* Has it begun, and does it come to its end by itself? Not what waits for its turn, for its next attempt, or with runs that nobody knows of yet. */
static bool is_under_way(const struct bw_attempt *attempt)
{
    const struct bw_step_result *result = &attempt->run->results[attempt->step];
    switch (attempt->wait) {
    case BW_WAIT_COMMIT:
    case BW_WAIT_PERMIT:
    case BW_WAIT_RETRY: return false;
    case BW_WAIT_DURABLE: return result->state == BW_STATE_WAITING && !result->join;
    default: return true;
    }
}

void bw_run_begin_to_end(struct bw_run *run, size_t index)
{
    struct bw_attempt *attempt, *next;
    bool is_failure = bw_state_is_failure(run->results[index].state);
    if (run->is_ending) return;
    run->is_ending = true;
    run->ending_step = index;
    for (attempt = TAILQ_FIRST(&run->attempts); attempt; attempt = next) {
        next = TAILQ_NEXT(attempt, sibling);
        if (attempt->step == index) continue;
        /* Those that are under way go on, unless the workflow says otherwise; those that are not are not begun (again). */
        if (!is_under_way(attempt))
            bw_step_cancel(attempt);
        else if (is_failure && run->entry->workflow->fail_fast)
            bw_step_give_up(attempt);
    }
    /* The same for those that are not taken up yet: the run was parked, and goes on with the step that ends it. One that ends at once does not end
     * the run: bw_run_advance() follows. */
    bool was_advancing = run->is_advancing;
    run->is_advancing = true;
    for (size_t i = run->phase_first; i < run->phase_limit; i++) {
        if (!bw_run_is_recorded_wait(run, i)) continue;
        if (run->results[i].state == BW_STATE_RETRYING || (is_failure && run->entry->workflow->fail_fast))
            bw_run_end_wait(run, i);
        else
            bw_step_begin(bw_attempt_new(run, i));
    }
    run->is_advancing = was_advancing;
}

/* Blocks end when all that is inside of them has. */
static void end_blocks(struct bw_run *run, int32_t block)
{
    for (; block >= (int32_t)run->first && run->results[block].state == BW_STATE_ENTERED; block = step_at(run, (size_t)block)->parent) {
        struct bw_error ignored;
        for (size_t i = (size_t)block + 1; i < step_at(run, (size_t)block)->end; i = bw_step_next(run->entry->workflow->steps, i))
            if (!has_ended(run, i)) return;
        run->has_news = true;
        run->results[block].state = BW_STATE_SUCCEEDED;
        bw_script_set_step(bw_run_script(run), (size_t)block, BW_STATUS_SUCCEEDED, BW_SLICE("{}"), (struct bw_slice){0}, &ignored);
        if (step_at(run, (size_t)block)->kind == BW_STEP_TRY) bw_run_caught(run, (size_t)block);
    }
}

void bw_run_step_ended(struct bw_run *run, size_t index)
{
    const struct bw_step *step = step_at(run, index);
    const struct bw_step_result *result = &run->results[index];
    bool is_tried = bw_step_is_caught(run->entry->workflow->steps, index);
    run->has_news = true;
    bool is_failure = bw_state_is_failure(result->state) && step->notifies < 0; /* else the approval behind it fails with it */
    if (is_failure && !step->goes_on && !(is_tried && bw_run_catches(run, index)) && run->phase != BW_PHASE_UNDO)
        bw_run_begin_to_end(run, index);
    else if (result->state == BW_STATE_SUCCEEDED && step->kind == BW_STEP_STOP)
        bw_run_begin_to_end(run, index);
    else if (is_tried && (!bw_state_is_failure(result->state) || step->goes_on))
        bw_run_skip_branches(run, (size_t)step->parent);
    end_blocks(run, step->parent);
}

static void skip(struct bw_run *run, size_t index)
{
    struct bw_step_result *result = &run->results[index];
    struct bw_error ignored;
    if (has_ended(run, index)) return; /* recorded */
    result->state = BW_STATE_SKIPPED;
    result->is_pure = true;
    result->started_ms = result->ended_ms = bw_clock_wall_ms();
    bw_script_set_step(bw_run_script(run), index, BW_STATUS_SKIPPED, (struct bw_slice){0}, (struct bw_slice){0}, &ignored);
    bw_trace_step(run, index, "step_finished", 0);
}

void bw_run_skip_branches(struct bw_run *run, size_t block)
{
    const struct bw_step *steps = run->entry->workflow->steps;
    for (size_t i = block + 1; i < steps[block].end; i = steps[i].end)
        for (size_t k = i; k < steps[i].end && steps[i].branch != run->results[block].branch; k = bw_step_next(steps, k)) skip(run, k);
}

static void fail_block(struct bw_run *run, size_t index, const struct bw_error *err, enum bw_error_class class)
{
    struct bw_step_result *result = &run->results[index];
    bw_buf_clear(&result->error);
    bw_error_to_json(&result->error, err, class, step_at(run, index)->path);
    result->state = BW_STATE_FAILED;
    result->started_ms = result->ended_ms = bw_clock_wall_ms();
    bw_run_step_ended(run, index);
}

/* The value of a `switch` as its cases spell it: a text as it is, anything else as JSON. */
static bool choose_case(struct bw_run *run, size_t index, uint32_t *branch, struct bw_error *err)
{
    const struct bw_step *step = step_at(run, index);
    struct bw_buf text = {0};
    bw_note_enter_step(run, index, 0);
    bool good = bw_script_render(bw_run_script_at(run, index), step->set, &(struct bw_render){0}, &text, err);
    bw_note_leave(run->event->worker);
    json_t *value = good ? bw_json_load(bw_buf_slice(&text), NULL) : NULL;
    struct bw_slice spelled = json_is_string(value) ? bw_json_slice(value) : bw_buf_slice(&text);
    *branch = 0;
    while (good && *branch < step->case_count && !bw_slice_equal(step->cases[*branch], spelled)) ++*branch;
    json_decref(value);
    bw_buf_free(&text);
    return good;
}

static void reset(struct bw_step_result *result)
{
    bw_buf_free(&result->output);
    bw_buf_free(&result->error);
    bw_buf_free(&result->failures);
    bw_buf_free(&result->calls);
    *result = (struct bw_step_result){.children_total = result->children_total};
}

/* A recorded failure of a run that was resumed: one that a `catch` takes stays what it is, another one is tried again. */
static bool begins_anew(struct bw_run *run, size_t index)
{
    struct bw_step_result *result = &run->results[index];
    if (!result->is_again || result->state == BW_STATE_UNKNOWN || bw_run_survives(run, index)) return false;
    if (bw_step_has_notify(run->entry->workflow->steps, index) && run->results[index - 1].is_again) reset(&run->results[index - 1]);
    reset(result);
    return true;
}

static void enter_block(struct bw_run *run, size_t index)
{
    const struct bw_step *step = step_at(run, index);
    struct bw_step_result *result = &run->results[index];
    enum bw_error_class class = BW_CLASS_BUG;
    struct bw_error err;
    bool answer = true, has_branch = false;
    size_t tried = step->kind == BW_STEP_TRY ? bw_step_tried(run->entry->workflow->steps, index) : 0;
    if (bw_step_is_condemned(run, index, &err, &class) || !bw_step_condition(run, index, &answer, &err)) {
        fail_block(run, index, &err, class);
        return;
    }
    result->branch = step->kind == BW_STEP_IF && !answer;
    if (step->kind == BW_STEP_SWITCH && answer && !choose_case(run, index, &result->branch, &err)) {
        fail_block(run, index, &err, class);
        return;
    }
    bool is_skipped = !answer && step->kind != BW_STEP_IF;
    result->state = BW_STATE_ENTERED;
    result->is_pure = true;
    if (is_skipped) result->branch = UINT32_MAX;
    for (size_t i = index + 1; i < step->end; i = step_at(run, i)->end) has_branch |= step_at(run, i)->branch == result->branch;
    if (step->kind != BW_STEP_TRY) bw_run_skip_branches(run, index);
    run->has_news = true;
    if (!has_branch) {
        result->state = 0;
        skip(run, index);
        bw_run_step_ended(run, index);
    } else if (step->kind == BW_STEP_TRY && has_ended(run, tried) && !begins_anew(run, tried)) { /* recorded */
        bw_run_step_ended(run, tried);
    } else { /* all of it may be recorded */
        end_blocks(run, (int32_t)index);
    }
}

static void begin_what_may(struct bw_run *run)
{
    const struct bw_step *steps = run->entry->workflow->steps;
    while (run->first_open < run->phase_limit && has_ended(run, run->first_open)) run->first_open = bw_step_next(steps, run->first_open);
    for (size_t i = run->first_open; i < run->phase_limit && !run->is_ending; i = bw_step_next(steps, i)) {
        bool begins = may_begin(run, i);
        if (begins && bw_step_is_block(step_at(run, i))) {
            enter_block(run, i);
        } else if (begins) {
            if (run->attempt_count - run->waiting_count >= BW_RUN_ATTEMPTS_MAX) return; /* one of them will end */
            bw_step_begin(bw_attempt_new(run, i));
        }
        if (step_at(run, i)->is_gate && !has_ended(run, i)) return;
    }
}

void bw_run_advance(struct bw_run *run)
{
    run->has_news = true;
    if (run->is_advancing) return; /* a step that ended at once: the loop below looks again */
    run->is_advancing = true;
    while (run->has_news && !run->is_ending) {
        run->has_news = false;
        begin_what_may(run);
    }
    run->is_advancing = false;
    if (!run->attempt_count)
        bw_run_phase_over(run);
    else if (bw_run_may_park(run))
        bw_run_park(run);
    else if (run->owes_report)
        bw_report_run(run, false);
}
