/* What a failure leads to: the `catch` of a step. And what the end of all steps leads to: `undo`, `on_failure`, `finally`, in this order. How the
 * steps have ended is a row of its own (BW_STEP_MARK), on disk before the first effect of what follows: after a crash no step begins again. */
#include "base/clock.h"
#include "worker/internal.h"

static const struct bw_step *step_at(const struct bw_run *run, size_t index)
{
    return &run->entry->workflow->steps[index];
}

static const struct bw_endings *endings_of(const struct bw_run *run)
{
    return run->first ? &step_at(run, run->first - 1)->endings : &run->entry->workflow->endings;
}

/* ---- catch ---- */

/* *found: index of the first one that takes it, or how many there are. False: it cannot be told; that is the failure then. */
static bool find_catch(struct bw_run *run, size_t index, size_t *found)
{
    const struct bw_step *try = step_at(run, (size_t)step_at(run, index)->parent);
    for (size_t i = 0; i < try->catch_count; i++) {
        struct bw_error err;
        bool answer = true;
        if (try->catches[i].condition >= 0) {
            bw_note_enter_step(run, index, 0);
            struct bw_script *script = bw_run_script(run);
            bw_script_set_error(script, bw_buf_slice(&run->results[index].error));
            bool good = bw_script_condition(script, (uint32_t)try->catches[i].condition, &answer, &err);
            bw_note_leave(run->event->worker);
            if (!good) { /* the run fails with what is wrong with the condition */
                bw_buf_clear(&run->results[index].error);
                bw_error_to_json(&run->results[index].error, &err, BW_CLASS_BUG, step_at(run, index)->path);
                run->results[index].is_reported = false;
                return false;
            }
        }
        *found = i;
        if (answer) return true;
    }
    *found = try->catch_count;
    return true;
}

bool bw_run_catches(struct bw_run *run, size_t index)
{
    size_t block = (size_t)step_at(run, index)->parent, found;
    if (run->is_ending || !find_catch(run, index, &found) || found == step_at(run, block)->catch_count) return false; /* ending: nothing new begins */
    run->results[block].branch = (uint32_t)found + 1;
    bw_run_skip_branches(run, block);
    return true;
}

bool bw_run_survives(struct bw_run *run, size_t index)
{
    const struct bw_step *try = step_at(run, (size_t)step_at(run, index)->parent);
    size_t found;
    return find_catch(run, index, &found) && found < try->catch_count && try->catches[found].then != BW_THEN_FAIL;
}

void bw_run_caught(struct bw_run *run, size_t block)
{
    uint32_t branch = run->results[block].branch;
    if (!branch) return; /* nothing had to be caught */
    enum bw_then then = step_at(run, block)->catches[branch - 1].then;
    if (then == BW_THEN_FAIL) bw_run_begin_to_end(run, bw_step_tried(run->entry->workflow->steps, block));
    if (then == BW_THEN_STOP) bw_run_begin_to_end(run, block);
}

/* ---- error and result ---- */

struct bw_slice bw_run_error_at(const struct bw_run *run, size_t index)
{
    for (const struct bw_step *step = step_at(run, index); step->parent >= (int32_t)run->first; step = step_at(run, (size_t)step->parent)) {
        const struct bw_step *parent = step_at(run, (size_t)step->parent);
        if (parent->kind == BW_STEP_TRY && step->branch)
            return bw_buf_slice(&run->results[bw_step_tried(run->entry->workflow->steps, (size_t)step->parent)].error);
        if (parent->kind >= BW_STEP_UNDO) return bw_buf_slice(&run->error);
    }
    return (struct bw_slice){0};
}

struct bw_slice bw_run_result_at(const struct bw_run *run, size_t index)
{
    int32_t undone = step_at(run, index)->undoes;
    return undone < 0 ? (struct bw_slice){0} : bw_buf_slice(&run->results[undone].output);
}

/* ---- after the steps ---- */

static bool has_ended(const struct bw_run *run, size_t index)
{
    return run->results[index].state >= BW_STATE_SUCCEEDED;
}

/* The one whose step ended last, of those that are left. They are run one after the other. */
bool bw_run_is_next_undo(const struct bw_run *run, size_t index)
{
    const struct bw_step *steps = run->entry->workflow->steps;
    size_t block = (size_t)steps[index].parent, next = block;
    if (run->phase != BW_PHASE_UNDO) return false;
    for (size_t i = block + 1; i < steps[block].end; i++) {
        if (run->results[i].is_under_way) return false;
        if (has_ended(run, i)) continue;
        /* of two that ended within a millisecond, the one that stands below */
        if (next == block || run->results[steps[i].undoes].ended_ms >= run->results[steps[next].undoes].ended_ms) next = i;
    }
    return next == index;
}

static void leave_out_undos(struct bw_run *run, size_t block)
{
    for (size_t i = block + 1; i < step_at(run, block)->end; i++) {
        if (run->results[step_at(run, i)->undoes].state == BW_STATE_SUCCEEDED || has_ended(run, i)) continue;
        run->results[i].state = BW_STATE_SKIPPED; /* there is nothing to take back: no row says so */
        run->results[i].is_reported = run->results[i].is_pure = true;
    }
}

static int32_t block_of(const struct bw_run *run, enum bw_phase phase)
{
    const struct bw_workflow *workflow = run->entry->workflow;
    const struct bw_endings *endings = endings_of(run);
    bool is_failed = run->outcome == BW_STATE_FAILED, is_cancelled = run->outcome == BW_STATE_CANCELLED;
    switch (phase) {
    case BW_PHASE_UNDO: return (is_failed && workflow->undoes_failed) || (is_cancelled && workflow->undoes_cancelled) ? endings->undo : -1;
    case BW_PHASE_ON_FAILURE: return is_failed ? endings->on_failure : -1;
    case BW_PHASE_FINALLY: return endings->finally;
    default: return -1;
    }
}

static void next_phase(struct bw_run *run)
{
    while (run->phase < BW_PHASE_OVER && ++run->phase < BW_PHASE_OVER) {
        int32_t block = block_of(run, run->phase);
        if (block < 0) continue;
        run->results[block].state = BW_STATE_ENTERED;
        run->results[block].is_pure = true;
        run->first_open = run->phase_first = (size_t)block + 1;
        run->phase_limit = step_at(run, (size_t)block)->end;
        run->is_ending = false;
        if (run->phase == BW_PHASE_UNDO) leave_out_undos(run, (size_t)block);
        bw_run_restore_ending(run);
        bw_run_advance(run);
        return;
    }
    bw_run_finish(run);
}

void bw_run_settle(struct bw_run *run, int state)
{
    int32_t index = endings_of(run)->mark;
    run->outcome = state;
    run->outcome_ms = bw_clock_wall_ms();
    bw_cancel_on_end(run);
    if (index >= 0) {
        struct bw_step_result *mark = &run->results[index];
        mark->state = state;
        mark->started_ms = mark->ended_ms = run->outcome_ms;
        mark->is_reported = mark->is_pure = false;
        bw_buf_clear(&mark->output);
        bw_buf_clear(&mark->error);
        bw_buf_append_slice(&mark->output, bw_buf_slice(&run->output));
        bw_buf_append_slice(&mark->error, bw_buf_slice(&run->error));
        bw_run_watch_deadline(run);
    }
    next_phase(run);
}

bool bw_run_restore_outcome(struct bw_run *run)
{
    int32_t index = endings_of(run)->mark;
    if (index < 0 || !has_ended(run, (size_t)index)) return false;
    const struct bw_step_result *mark = &run->results[index];
    run->outcome = mark->state;
    run->outcome_ms = mark->ended_ms;
    bw_buf_append_slice(&run->output, bw_buf_slice(&mark->output));
    bw_buf_append_slice(&run->error, bw_buf_slice(&mark->error));
    bw_run_watch_deadline(run);
    next_phase(run);
    return true;
}

/* `finally` can spoil a good end; nothing can mend a bad one. */
void bw_run_phase_over(struct bw_run *run)
{
    if (run->phase == BW_PHASE_STEPS) {
        bw_run_end_steps(run);
        return;
    }
    bool is_good = run->outcome == BW_STATE_SUCCEEDED || run->outcome == BW_STATE_SKIPPED;
    if (run->phase == BW_PHASE_FINALLY && run->is_ending && is_good) {
        run->outcome = BW_STATE_FAILED;
        bw_buf_clear(&run->output);
        bw_buf_clear(&run->error);
        bw_buf_append_slice(&run->error, bw_buf_slice(&run->results[run->ending_step].error));
    }
    next_phase(run);
}

void bw_run_restore_ending(struct bw_run *run)
{
    const struct bw_step *steps = run->entry->workflow->steps;
    size_t first = run->phase_limit;
    if (run->phase == BW_PHASE_UNDO) return; /* an `undo` that fails does not keep the others back */
    for (size_t i = run->phase_first; i < run->phase_limit; i = bw_step_next(steps, i)) {
        bool is_failure = bw_state_is_failure(run->results[i].state) && !steps[i].goes_on && !bw_step_is_caught(steps, i) && steps[i].notifies < 0;
        bool is_stop = run->results[i].state == BW_STATE_SUCCEEDED && steps[i].kind == BW_STEP_STOP;
        if (steps[i].kind == BW_STEP_MARK) break; /* behind it is another phase */
        if (!is_failure && !is_stop) continue;
        if (first == run->phase_limit || run->results[i].ended_ms < run->results[first].ended_ms) first = i;
    }
    if (first < run->phase_limit) bw_run_begin_to_end(run, first);
}
