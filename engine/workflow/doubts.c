/* What is no error and yet is hardly meant: told by `bellwire check`, and nothing is refused for it. */
#include "base/units.h"
#include "workflow/internal.h"
#include <stdlib.h>

static void doubt(const struct bw_workflow *workflow, struct bw_errors *doubts, struct bw_mark mark, struct bw_error *err)
{
    bw_error_at(err, workflow->file.ptr, mark.line, mark.column);
    bw_errors_push(doubts, err);
}

static bool is_handler(const struct bw_step *step)
{
    return step->kind == BW_STEP_MARK || step->kind >= BW_STEP_UNDO;
}

/* How long the waits of the steps up to the end take, one behind the other where they stand so, if nothing ends them earlier. `at`: when each step
 * has ended. What stands in a block begins when the block does; a block ends with the last that stands in it. */
static int64_t longest_ms(const struct bw_workflow *workflow, int64_t *at)
{
    int64_t most = 0;
    size_t count = 0;
    while (count < workflow->step_count && !is_handler(&workflow->steps[count])) count++;
    for (bool is_new = true; is_new;) { /* `needs` may point downwards: until nothing moves; without cycles that is soon */
        is_new = false;
        for (size_t i = 0; i < count; i++) {
            const struct bw_step *step = &workflow->steps[i];
            int64_t begin = 0, end;
            for (size_t k = 0; k < step->need_count; k++)
                if (at[step->needs[k]] > begin) begin = at[step->needs[k]];
            for (int32_t parent = step->parent; parent >= 0; parent = workflow->steps[parent].parent)
                for (size_t k = 0; k < workflow->steps[parent].need_count; k++)
                    if (at[workflow->steps[parent].needs[k]] > begin) begin = at[workflow->steps[parent].needs[k]];
            end = begin + step->wait_ms;
            for (size_t k = i + 1; k < step->end; k++)
                if (at[k] > end) end = at[k];
            is_new |= end > at[i];
            if (end > at[i]) at[i] = end;
            if (end > most) most = end;
        }
    }
    return most;
}

static void doubt_waits(const struct bw_workflow *workflow, struct bw_errors *doubts)
{
    int64_t whole_ms = workflow->timeout_ms ? workflow->timeout_ms : BW_WORKFLOW_TIMEOUT_MS;
    int64_t *at = calloc(workflow->step_count + 1, sizeof *at), sum_ms = at ? longest_ms(workflow, at) : 0;
    char sum[32], whole[32];
    struct bw_error err;
    free(at);
    if (sum_ms > whole_ms) {
        bw_error_set(&err, "workflow.waits_too_long", "its steps wait for %s in a row, but the run ends after %s", bw_duration_text(sum_ms, sum),
                     bw_duration_text(whole_ms, whole));
        bw_error_hint(&err, "give the workflow a longer `timeout`");
        doubt(workflow, doubts, workflow->mark, &err);
    }
    for (size_t i = 0; i < workflow->step_count; i++) {
        const struct bw_step *step = &workflow->steps[i];
        if (step->timeout_ms <= whole_ms) continue;
        bw_error_set(&err, "step.timeout_too_long", "the step '%s' may take %s, but the run ends after %s", step->path.ptr,
                     bw_duration_text(step->timeout_ms, sum), bw_duration_text(whole_ms, whole));
        bw_error_hint(&err, "give the workflow a longer `timeout`");
        doubt(workflow, doubts, step->mark, &err);
    }
}

/* The first step that waits for a `stop` which nothing can pass by. */
static void doubt_stops(const struct bw_workflow *workflow, struct bw_errors *doubts)
{
    struct bw_error err;
    for (size_t i = 0; i < workflow->step_count; i++) {
        const struct bw_step *stop = &workflow->steps[i];
        bool is_found = false;
        if (stop->kind != BW_STEP_STOP || stop->condition >= 0) continue;
        for (size_t k = i + 1; k < workflow->step_count && !is_found; k++) {
            const struct bw_step *step = &workflow->steps[k];
            if (step->parent != stop->parent || step->branch != stop->branch || is_handler(step)) continue;
            for (size_t n = 0; n < step->need_count && !is_found; n++) is_found = step->needs[n] == i;
            if (!is_found) continue;
            bw_error_set(&err, "step.never", "no run comes here: the `stop` of '%s' above has no `if`", stop->path.ptr);
            bw_error_hint(&err, "give the `stop` an `if`, or take out what follows");
            doubt(workflow, doubts, step->mark, &err);
        }
    }
}

static void doubt_fields(const struct bw_workflow *workflow, struct bw_errors *doubts)
{
    struct bw_error err;
    for (size_t i = 0; i < workflow->missing_count; i++) {
        const struct bw_field_ref *ref = &workflow->missing[i];
        bw_error_set(&err, "expr.missing_field", "the step '%s' gives no '%s': it is nil here", ref->step.ptr, ref->name.ptr);
        if (ref->near.len)
            bw_error_hint(&err, "did you mean '%s'?", ref->near.ptr);
        else
            bw_error_hint(&err, "give it a value there, or leave it out here");
        doubt(workflow, doubts, ref->mark, &err);
    }
}

static void doubt_tool(const struct bw_workflow *workflow, struct bw_errors *doubts)
{
    struct bw_error err;
    if (!workflow->expose.name.len || workflow->expose.description.len) return;
    bw_error_set(&err, "expose.description", "the tool %s has no description, by which language models choose what they call",
                 workflow->expose.name.ptr);
    bw_error_hint(&err, "give the workflow a `description`: what it does, when it is for, what it gives");
    doubt(workflow, doubts, workflow->expose.mark, &err);
}

void bw_workflow_doubts(const struct bw_workflow *workflow, struct bw_errors *doubts)
{
    doubt_waits(workflow, doubts);
    doubt_stops(workflow, doubts);
    doubt_fields(workflow, doubts);
    doubt_tool(workflow, doubts);
}
