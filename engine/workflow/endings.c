/* What a failure and the end of all steps lead to: `catch` of a step; `undo`, `on_failure` and `finally` behind the steps. */
#include "wire/messages.h"
#include "workflow/internal.h"
#include <stdio.h>

#define CATCHES_MAX 32

const char *const bw_undo_verbs[] = {"uses", "lua", "emit", NULL};
const char *const bw_undo_keys[] = {"name",      "uses",  "with",        "lua",   "emit",    "if", "timeout",
                                    "heartbeat", "retry", "max_elapsed", "limit", "outputs", NULL};

static struct bw_list_place within(const struct bw_loader *loader, const struct bw_step *step, uint32_t branch, const struct bw_list_place *place)
{
    return (struct bw_list_place){
        .parent = (int32_t)(step - loader->workflow->steps), .branch = branch, .depth = place->depth + 1, .defaults = place->defaults};
}

/* ---- catch ---- */

static void load_catch(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_step *try, const struct bw_list_place *place)
{
    static const char *const ends[] = {[BW_THEN_CONTINUE] = "continue", [BW_THEN_FAIL] = "fail", [BW_THEN_STOP] = "stop"};
    struct bw_catch *catch = &try->catches[try->catch_count++];
    struct bw_list_place branch = within(loader, try, (uint32_t)try->catch_count, place);
    const struct bw_yaml_node *value;
    catch->condition = -1;
    if (map->kind != BW_YAML_MAP) {
        bw_load_error(loader, bw_mark_of(map), "workflow.type", "write for example - {if: \"${{ error.code == 'http.status' }}\", steps: […]}",
                      "an entry of `catch` must be a map, found %s", bw_yaml_kind_name(map->kind));
        return;
    }
    bw_check_keys(loader, map, "catch", bw_catch_keys, bw_catch_key_count);
    if ((value = bw_yaml_get(map, "if"))) catch->condition = bw_expr_field(loader, value, true);
    if ((value = bw_yaml_get(map, "then"))) {
        size_t i = 0;
        while (i < 3 && !(value->kind == BW_YAML_STRING && bw_slice_is(value->text, ends[i]))) i++;
        if (i == 3)
            bw_load_error(loader, bw_mark_of(value), "step.catch", "write continue, fail or stop", "then says how the run goes on");
        else
            catch->then = (enum bw_then)i;
    }
    if ((value = bw_yaml_get(map, "steps"))) bw_list_load(loader, value, "steps", &branch);
}

void bw_try_load(struct bw_loader *loader, const struct bw_yaml_node *map, const struct bw_list_place *place)
{
    const struct bw_yaml_node *list = bw_yaml_get(map, "catch");
    size_t index = loader->workflow->step_count;
    struct bw_step *try = bw_step_new(loader, bw_mark_of(map), place);
    struct bw_list_place inside = within(loader, try, 0, place);
    inside.is_caught = true;
    inside.depth = place->depth;
    try->kind = BW_STEP_TRY;
    loader->needs[index] = bw_yaml_get(map, "needs");
    bw_step_load(loader, map, &inside);
    if (bw_step_is_block(&loader->workflow->steps[bw_step_tried(loader->workflow->steps, index)]))
        bw_load_error(loader, bw_mark_of(list), "step.catch", "write it at the steps inside", "`catch` cannot be used with a block of steps");
    else if (list->kind != BW_YAML_LIST || !list->count || list->count > CATCHES_MAX)
        bw_load_error(loader, bw_mark_of(list), "step.catch", "write for example catch: [{steps: […], then: continue}]",
                      "catch must be a list with 1 to %d entries", CATCHES_MAX);
    else if ((try->catches = bw_arena_alloc(loader->arena, list->count * sizeof *try->catches)))
        for (size_t i = 0; i < list->count; i++) load_catch(loader, list->items[i], try, place);
    try->end = (uint32_t)loader->workflow->step_count;
}

/* ---- behind the steps ---- */

/* The row that says how the steps above have ended. */
static int32_t add_mark(struct bw_loader *loader, const struct bw_list_place *place)
{
    struct bw_workflow *workflow = loader->workflow;
    struct bw_list_place here = *place;
    char path[80];
    int32_t index = (int32_t)workflow->step_count;
    snprintf(path, sizeof path, "%s" BW_MARK_SUFFIX, place->parent < 0 ? "" : workflow->steps[place->parent].path.ptr);
    here.path = path;
    bw_step_new(loader, place->parent < 0 ? workflow->mark : workflow->steps[place->parent].mark, &here)->kind = BW_STEP_MARK;
    return index;
}

static void load_undo(struct bw_loader *loader, const struct bw_yaml_node *map, size_t undone, const struct bw_list_place *place)
{
    struct bw_workflow *workflow = loader->workflow;
    struct bw_list_place here = *place;
    char path[80];
    if (map->kind != BW_YAML_MAP) {
        bw_load_error(loader, bw_mark_of(map), "workflow.type", "write for example undo: {uses: cms/delete_draft@1, with: {…}}",
                      "undo must be a step, found %s", bw_yaml_kind_name(map->kind));
        return;
    }
    for (size_t i = 0; i < map->count; i++) {
        bool is_fine = false, is_known = false;
        for (const char *const *key = bw_undo_keys; *key; key++) is_fine |= bw_slice_is(map->pairs[i].key->text, *key);
        for (size_t k = 0; k < bw_step_key_count; k++)
            is_known |= bw_step_keys[k].schema && bw_slice_is(map->pairs[i].key->text, bw_step_keys[k].name);
        if (!is_fine && is_known)
            bw_load_error(loader, bw_mark_of(map->pairs[i].key), "step.undo", "an `undo` is one step of `uses`, `lua` or `emit`, without an id",
                          "`%s` cannot be used in an `undo`", map->pairs[i].key->text.ptr);
    }
    snprintf(path, sizeof path, "%s~undo", workflow->steps[undone].path.ptr);
    here.path = path;
    struct bw_step *step = &workflow->steps[workflow->step_count];
    bw_step_load(loader, map, &here);
    step->undoes = (int32_t)undone;
    if ((step->needs = bw_arena_alloc(loader->arena, sizeof *step->needs))) step->needs[step->need_count++] = (uint32_t)undone;
}

static bool can_be_undone(const struct bw_step *step)
{
    return step->kind == BW_STEP_USES || step->kind == BW_STEP_LUA || step->kind == BW_STEP_EMIT || step->kind == BW_STEP_CALL ||
           step->kind == BW_STEP_APPROVE;
}

struct bw_endings bw_undos_load(struct bw_loader *loader, size_t first, const struct bw_list_place *place)
{
    struct bw_workflow *workflow = loader->workflow;
    struct bw_endings endings = {-1, -1, -1, -1};
    size_t end = workflow->step_count;
    for (size_t i = first; i < end; i++) {
        if (!loader->undos[i] || workflow->steps[i].body != place->parent) continue;
        if (!can_be_undone(&workflow->steps[i])) {
            bw_load_error(loader, bw_mark_of(loader->undos[i]), "step.undo", "leave it out",
                          "there is nothing to take back: `undo` goes with `uses`, `lua`, `emit` or `approve`");
            continue;
        }
        if (endings.mark < 0) {
            endings.mark = add_mark(loader, place);
            endings.undo = (int32_t)workflow->step_count;
            bw_step_new(loader, workflow->steps[i].mark, place)->kind = BW_STEP_UNDO;
        }
        struct bw_list_place inside = within(loader, &workflow->steps[endings.undo], 0, place);
        load_undo(loader, loader->undos[i], i, &inside);
        workflow->steps[endings.undo].end = (uint32_t)workflow->step_count;
    }
    return endings;
}

static int32_t load_list(struct bw_loader *loader, const struct bw_yaml_node *list, enum bw_step_kind kind, const struct bw_list_place *place)
{
    struct bw_workflow *workflow = loader->workflow;
    int32_t index = (int32_t)workflow->step_count;
    struct bw_step *block = bw_step_new(loader, bw_mark_of(list), place);
    struct bw_list_place inside = within(loader, block, 0, place);
    block->kind = kind;
    bw_list_load(loader, list, kind == BW_STEP_FINALLY ? "finally" : "on_failure", &inside);
    block->end = (uint32_t)workflow->step_count;
    for (size_t i = (size_t)index + 1; i < block->end; i++) {
        if (workflow->steps[i].kind == BW_STEP_STOP)
            bw_load_error(loader, workflow->steps[i].mark, "step.stop", "use `if` to leave steps out",
                          "the run has ended already: `stop` has no meaning here");
        if (loader->undos[i])
            bw_load_error(loader, bw_mark_of(loader->undos[i]), "step.undo", "leave it out", "what is done after the end of a run is not taken back");
    }
    return index;
}

static void load_undo_on(struct bw_loader *loader, const struct bw_yaml_node *list)
{
    struct bw_workflow *workflow = loader->workflow;
    bool good = list->kind == BW_YAML_LIST;
    workflow->undoes_failed = false;
    for (size_t i = 0; good && i < list->count; i++) {
        bool *which = bw_slice_is(list->items[i]->text, "failure")  ? &workflow->undoes_failed
                      : bw_slice_is(list->items[i]->text, "cancel") ? &workflow->undoes_cancelled
                                                                    : NULL;
        good = which && !*which;
        if (which) *which = true;
    }
    if (!good)
        bw_load_error(loader, bw_mark_of(list), "workflow.undo_on", "write for example undo_on: [failure, cancel]",
                      "undo_on must be a list of: failure, cancel");
}

void bw_endings_load(struct bw_loader *loader, const struct bw_yaml_node *root, const struct bw_step_defaults *defaults)
{
    struct bw_workflow *workflow = loader->workflow;
    const struct bw_list_place place = {.parent = -1, .defaults = defaults};
    const struct bw_yaml_node *on_failure = bw_yaml_get(root, "on_failure"), *finally = bw_yaml_get(root, "finally"),
                              *undo_on = bw_yaml_get(root, "undo_on"), *cancel_on = bw_yaml_get(root, "cancel_on");
    workflow->undoes_failed = true;
    if (undo_on) load_undo_on(loader, undo_on);
    struct bw_endings *endings = &workflow->endings;
    *endings = bw_undos_load(loader, 0, &place);
    if ((on_failure || finally) && endings->mark < 0) endings->mark = add_mark(loader, &place);
    if (on_failure) endings->on_failure = load_list(loader, on_failure, BW_STEP_ON_FAILURE, &place);
    if (finally) endings->finally = load_list(loader, finally, BW_STEP_FINALLY, &place);
    workflow->cancel_on = -1;
    if (!cancel_on) return;
    workflow->cancel_on = (int32_t)workflow->step_count;
    struct bw_step *step = bw_step_new(loader, bw_mark_of(cancel_on), &(struct bw_list_place){.parent = -1, .path = BW_CANCEL_ON_PATH});
    step->kind = BW_STEP_MARK;
    bw_cancel_on_load(loader, cancel_on, step);
}

/* ---- questions ---- */

int32_t bw_step_ending(const struct bw_workflow *workflow, size_t step)
{
    for (int32_t i = (int32_t)step; i >= 0; i = workflow->steps[i].parent)
        if (workflow->steps[i].kind >= BW_STEP_UNDO) return i;
    return -1;
}

bool bw_ending_reads(const struct bw_workflow *workflow, size_t step, size_t other)
{
    int32_t ending = bw_step_ending(workflow, step);
    return ending >= 0 && workflow->steps[ending].kind != BW_STEP_UNDO && other < (size_t)ending;
}

/* Only within the same run: those of a foreach are told by their inputs. */
bool bw_step_sees_error(const struct bw_workflow *workflow, size_t step)
{
    for (int32_t i = (int32_t)step; i >= 0 && workflow->steps[i].body == workflow->steps[step].body; i = workflow->steps[i].parent) {
        int32_t parent = workflow->steps[i].parent;
        if (workflow->steps[i].kind >= BW_STEP_UNDO) return true;
        if (parent >= 0 && workflow->steps[parent].kind == BW_STEP_TRY && workflow->steps[i].branch > 0) return true;
    }
    return false;
}
