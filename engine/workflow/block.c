/* Blocks: steps that hold lists of steps. `if` with steps, `switch` with cases, `parallel`. */
#include "workflow/internal.h"

static const char *const list_keys[] = {"steps", "else", "parallel", "default"};

size_t bw_block_count_steps(const struct bw_yaml_node *list)
{
    size_t count = 0;
    if (!list || list->kind != BW_YAML_LIST) return 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct bw_yaml_node *map = list->items[i], *cases = bw_yaml_get(map, "cases");
        const struct bw_yaml_node *catches = bw_yaml_get(map, "catch");
        count += 1 + (bw_notify_of(map) != NULL) + (catches != NULL) + (bw_yaml_get(map, "undo") != NULL) +
                 (bw_yaml_get(map, "foreach") ? 2 : 0); /* its mark, its undo */
        for (size_t k = 0; catches && catches->kind == BW_YAML_LIST && k < catches->count; k++)
            count += bw_block_count_steps(bw_yaml_get(catches->items[k], "steps"));
        for (size_t k = 0; k < sizeof list_keys / sizeof *list_keys; k++) count += bw_block_count_steps(bw_yaml_get(map, list_keys[k]));
        for (size_t k = 0; cases && cases->kind == BW_YAML_MAP && k < cases->count; k++) count += bw_block_count_steps(cases->pairs[k].value);
    }
    return count;
}

void bw_list_load(struct bw_loader *loader, const struct bw_yaml_node *list, const char *what, const struct bw_list_place *place)
{
    if (list->kind != BW_YAML_LIST || !list->count)
        bw_load_error(loader, bw_mark_of(list), "workflow.type", NULL, "%s must be a list with at least one step, found %s", what,
                      list->kind == BW_YAML_LIST ? "an empty list" : bw_yaml_kind_name(list->kind));
    else if (place->depth > BW_WORKFLOW_DEPTH_MAX)
        bw_load_error(loader, bw_mark_of(list), "workflow.too_deep", "move a part of it into a workflow of its own",
                      "blocks can stand in blocks at most %d deep", BW_WORKFLOW_DEPTH_MAX);
    else
        for (size_t i = 0; i < list->count; i++) bw_step_load(loader, list->items[i], place);
}

static struct bw_list_place inside(const struct bw_loader *loader, const struct bw_step *step, uint32_t branch, const struct bw_list_place *place)
{
    return (struct bw_list_place){
        .parent = (int32_t)(step - loader->workflow->steps), .branch = branch, .depth = place->depth + 1, .defaults = place->defaults};
}

static void load_if(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_step *step, const struct bw_list_place *place)
{
    const struct bw_yaml_node *steps = bw_yaml_get(map, "steps"), *other = bw_yaml_get(map, "else");
    struct bw_list_place when_true = inside(loader, step, 0, place), when_false = inside(loader, step, 1, place);
    step->kind = BW_STEP_IF;
    if (!bw_yaml_get(map, "if"))
        bw_load_error(loader, step->mark, "step.block", "write for example if: ${{ ok('charge') }}", "a block of `steps` needs an `if`");
    if (!steps)
        bw_load_error(loader, step->mark, "step.block", "turn the condition round, or write steps: […]", "`else` goes with `if` and `steps`");
    else
        bw_list_load(loader, steps, "steps", &when_true);
    if (other) bw_list_load(loader, other, "else", &when_false);
}

static void load_switch(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_step *step, const struct bw_list_place *place)
{
    const struct bw_yaml_node *value = bw_yaml_get(map, "switch"), *cases = bw_yaml_get(map, "cases"), *other = bw_yaml_get(map, "default");
    step->kind = BW_STEP_SWITCH;
    if (value)
        step->set = bw_expr_template(loader, value);
    else
        bw_load_error(loader, step->mark, "step.block", "write for example switch: ${{ steps.review.choice }}",
                      "`cases` and `default` go with a `switch`");
    if (!cases || cases->kind != BW_YAML_MAP || !cases->count) {
        bw_load_error(loader, cases ? bw_mark_of(cases) : step->mark, "step.block", "write for example cases: {large: […], small: […]}",
                      "a `switch` needs `cases`: a map from values to lists of steps");
    } else if ((step->cases = bw_arena_alloc(loader->arena, cases->count * sizeof *step->cases))) {
        step->case_count = cases->count;
        for (size_t i = 0; i < cases->count; i++) {
            struct bw_list_place branch = inside(loader, step, (uint32_t)i, place);
            bw_refuse_hole(loader, cases->pairs[i].key, "a case");
            step->cases[i] = bw_arena_copy(loader->arena, cases->pairs[i].key->text);
            bw_list_load(loader, cases->pairs[i].value, "a case", &branch);
        }
    }
    struct bw_list_place otherwise = inside(loader, step, (uint32_t)step->case_count, place);
    if (other) bw_list_load(loader, other, "default", &otherwise);
}

/* What says something about an attempt, an output or a failure has no meaning here. */
static void check_keys(struct bw_loader *loader, const struct bw_yaml_node *map, const struct bw_step *step)
{
    static const char *const own[][6] = {[BW_STEP_IF - BW_STEP_IF] = {"steps", "else"},
                                         [BW_STEP_SWITCH - BW_STEP_IF] = {"switch", "cases", "default"},
                                         [BW_STEP_PARALLEL - BW_STEP_IF] = {"parallel"}};
    static const char *const common[] = {"id", "name", "if", "needs"}, *const names[] = {"if", "switch", "parallel"};
    for (size_t i = 0; i < map->count; i++) {
        struct bw_slice key = map->pairs[i].key->text;
        bool is_fine = false, is_known = false;
        for (size_t k = 0; k < sizeof common / sizeof *common; k++) is_fine |= bw_slice_is(key, common[k]);
        for (const char *const *name = own[step->kind - BW_STEP_IF]; *name; name++) is_fine |= bw_slice_is(key, *name);
        for (size_t k = 0; k < bw_step_key_count; k++) is_known |= bw_step_keys[k].schema && bw_slice_is(key, bw_step_keys[k].name);
        if (!is_fine && is_known)
            bw_load_error(loader, bw_mark_of(map->pairs[i].key), "step.block", "write it at the steps inside",
                          "`%s` cannot be used with a block of `%s`", key.ptr, names[step->kind - BW_STEP_IF]);
    }
}

bool bw_block_load(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_step *step, const struct bw_list_place *place)
{
    const struct bw_yaml_node *list = bw_yaml_get(map, "parallel");
    if (bw_yaml_get(map, "switch") || bw_yaml_get(map, "cases") || bw_yaml_get(map, "default")) {
        load_switch(loader, map, step, place);
    } else if (list) {
        struct bw_list_place branch = inside(loader, step, 0, place);
        step->kind = BW_STEP_PARALLEL;
        bw_list_load(loader, list, "parallel", &branch);
    } else if (bw_yaml_get(map, "steps") || bw_yaml_get(map, "else")) {
        load_if(loader, map, step, place);
    } else {
        return false;
    }
    check_keys(loader, map, step);
    return true;
}
