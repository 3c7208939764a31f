/* What a step waits for: what `needs` names, or everything above it; and the block it stands in must have begun.
 *
 * "Everything above" is kept short: what stands above the last step that itself waits for everything has ended when that one has. */
#include "base/suggest.h"
#include "workflow/internal.h"
#include <stdio.h>
#include <string.h>

static int64_t find(const struct bw_workflow *workflow, struct bw_slice id)
{
    for (size_t i = 0; id.len && i < workflow->step_count; i++)
        if (bw_slice_equal(workflow->steps[i].id, id)) return (int64_t)i;
    return -1;
}

static void load_written(struct bw_loader *loader, const struct bw_yaml_node *list, struct bw_step *step)
{
    const struct bw_workflow *workflow = loader->workflow;
    const char *names[BW_WORKFLOW_STEPS_MAX + BW_ENDING_STEPS], *near;
    char hint[120] = "";
    size_t known = 0;
    if (list->kind != BW_YAML_LIST) {
        bw_load_error(loader, bw_mark_of(list), "workflow.type", "write for example needs: [fetch], or needs: [] for none",
                      "needs must be a list of step ids, found %s", bw_yaml_kind_name(list->kind));
        return;
    }
    for (size_t i = 0; i < workflow->step_count; i++)
        if (workflow->steps[i].id.len && &workflow->steps[i] != step) names[known++] = workflow->steps[i].id.ptr;
    if (!(step->needs = bw_arena_alloc(loader->arena, (list->count + 1) * sizeof *step->needs))) return;
    for (size_t i = 0; i < list->count; i++) {
        const struct bw_yaml_node *id = list->items[i];
        int64_t found = id->kind == BW_YAML_STRING ? find(workflow, id->text) : -1;
        size_t index = (size_t)(step - workflow->steps);
        if (found >= 0 && bw_step_is_caught(workflow->steps, (size_t)found)) { /* it has ended when what catches its failure has */
            uint32_t around = (uint32_t)workflow->steps[found].parent;
            if (index <= around || index >= workflow->steps[around].end) found = around;
        }
        bool is_twice = false;
        for (size_t k = 0; k < step->need_count; k++) is_twice |= step->needs[k] == found;
        if (found < 0) {
            if ((near = bw_suggest(id->text, names, known))) snprintf(hint, sizeof hint, "did you mean '%s'?", near);
            bw_load_error(loader, bw_mark_of(id), "step.needs", near ? hint : "`needs` names steps by their `id`", "there is no step '%s'",
                          id->text.len ? id->text.ptr : "");
        } else if (workflow->steps[found].body != step->body) {
            bw_load_error(loader, bw_mark_of(id), "step.needs", "let the `foreach` need it, or be needed",
                          "the step '%s' is not in the same foreach: another run executes it", id->text.ptr);
        } else if (bw_step_ending(workflow, (size_t)found) != bw_step_ending(workflow, index)) {
            bw_load_error(loader, bw_mark_of(id), "step.needs", "what follows the end of the run waits for all steps by itself",
                          "the step '%s' is not in the same list of steps", id->text.ptr);
        } else if (is_twice) {
            bw_load_error(loader, bw_mark_of(id), "step.needs", "remove one of them", "the step '%s' is named twice", id->text.ptr);
        } else {
            step->needs[step->need_count++] = (uint32_t)found;
        }
    }
}

static int64_t sibling_above(const struct bw_workflow *workflow, size_t index)
{
    const struct bw_step *step = &workflow->steps[index], *other;
    for (int64_t i = (int64_t)index - 1; i > step->parent; i--) {
        other = &workflow->steps[i];
        if (other->parent == step->parent) return other->branch == step->branch ? i : -1;
    }
    return -1;
}

static void wait_for_all_above(struct bw_loader *loader, size_t index)
{
    struct bw_step *step = &loader->workflow->steps[index];
    size_t count = 0;
    for (int64_t above = sibling_above(loader->workflow, index); above >= 0; above = sibling_above(loader->workflow, (size_t)above)) {
        count++;
        if (!loader->needs[above]) break; /* it waits for all the others */
    }
    if (!count || !(step->needs = bw_arena_alloc(loader->arena, count * sizeof *step->needs))) return;
    for (int64_t above = (int64_t)index; step->need_count < count;)
        step->needs[step->need_count++] = (uint32_t)(above = sibling_above(loader->workflow, (size_t)above));
}

/* ---- what follows from that: a walk over beginnings and ends of steps. The beginning of a step waits for the ends of its needs and for the
 * beginning of its block; the end of a step waits for its own beginning and for the ends of what is inside of it. ---- */

struct walk {
    const struct bw_workflow *workflow;
    bool *ended, *begun; /* looked at */
};

static void reach_begin(struct walk *walk, size_t index);

static void reach_end(struct walk *walk, size_t index)
{
    const struct bw_step *step = &walk->workflow->steps[index];
    if (walk->ended[index]) return;
    walk->ended[index] = true;
    reach_begin(walk, index);
    for (size_t i = index + 1; i < step->end; i = walk->workflow->steps[i].end) reach_end(walk, i);
}

static void reach_begin(struct walk *walk, size_t index)
{
    const struct bw_step *step = &walk->workflow->steps[index];
    if (walk->begun[index]) return;
    walk->begun[index] = true;
    for (size_t i = 0; i < step->need_count; i++) reach_end(walk, step->needs[i]);
    if (step->parent >= 0) reach_begin(walk, (size_t)step->parent);
}

void bw_needs_closure(const struct bw_workflow *workflow, size_t step, bool *marks)
{
    bool begun[BW_WORKFLOW_STEPS_MAX + BW_ENDING_STEPS] = {false};
    memset(marks, 0, workflow->step_count * sizeof *marks);
    reach_begin(&(struct walk){workflow, marks, begun}, step);
}

static void check_cycles(struct bw_loader *loader)
{
    const struct bw_workflow *workflow = loader->workflow;
    bool ended[BW_WORKFLOW_STEPS_MAX + BW_ENDING_STEPS];
    for (size_t i = 0; i < workflow->step_count; i++) {
        const struct bw_step *step = &workflow->steps[i];
        if (!loader->needs[i] || step->notifies >= 0) continue; /* a cycle has at least one of those */
        bw_needs_closure(workflow, i, ended);
        if (ended[i])
            bw_load_error(loader, bw_mark_of(loader->needs[i]), "step.cycle", "remove one of the names from `needs`",
                          "the step%s%s waits for itself: what it needs waits for it", step->id.len ? " " : "", step->id.len ? step->id.ptr : "");
    }
}

/* An approval needs what notifies for it, and that needs all else. */
static void need_notify(struct bw_loader *loader, size_t index)
{
    struct bw_step *step = &loader->workflow->steps[index], *notify = step - 1;
    if (loader->needs[index]) {
        notify->needs = step->needs;
        notify->need_count = step->need_count;
    }
    step->need_count = 0;
    if ((step->needs = bw_arena_alloc(loader->arena, sizeof *step->needs))) step->needs[step->need_count++] = (uint32_t)index - 1;
}

/* It is one if each step behind it waits for one that is not in front of it: followed from step to step, that leads to the gate. A block is none:
 * what is inside of it begins before it has ended. */
static void find_gates(struct bw_workflow *workflow)
{
    int64_t first = INT64_MAX; /* of those behind each waits for one from here on */
    for (size_t i = workflow->step_count; i-- > 0;) {
        struct bw_step *step = &workflow->steps[i];
        int64_t last = step->parent;
        step->is_gate = !bw_step_is_block(step) && (int64_t)i <= first;
        for (size_t k = 0; k < step->need_count; k++)
            if (step->needs[k] > last) last = step->needs[k];
        if (step->kind != BW_STEP_MARK && step->kind < BW_STEP_UNDO && last < first) first = last; /* those begin in their turn */
    }
}

void bw_needs_load(struct bw_loader *loader)
{
    struct bw_workflow *workflow = loader->workflow;
    bool had_failed = loader->has_failed;
    loader->has_failed = false;
    for (size_t i = 0; i < workflow->step_count; i++) {
        const struct bw_step *step = &workflow->steps[i];
        bool is_parallel = step->parent >= 0 && workflow->steps[step->parent].kind == BW_STEP_PARALLEL;
        bool is_ending = step->kind == BW_STEP_MARK || step->kind >= BW_STEP_UNDO || step->undoes >= 0; /* they begin in their turn */
        if (is_ending || (step->notifies >= 0 && loader->needs[i])) /* the latter takes over what its approval needs */
            continue;
        else if (loader->needs[i])
            load_written(loader, loader->needs[i], &workflow->steps[i]);
        else if (!is_parallel)
            wait_for_all_above(loader, i);
        if (bw_step_has_notify(workflow->steps, i)) need_notify(loader, i);
    }
    if (!loader->has_failed) check_cycles(loader);
    find_gates(workflow);
    loader->has_failed |= had_failed;
}
