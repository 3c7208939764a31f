/* `foreach`: its body is run once for each item of a list, each time in a run of its own. And `inputs`: what a workflow is called with. */
#include "base/json.h"
#include "base/schema.h"
#include "workflow/internal.h"
#include "workflow/names.h"
#include <stdlib.h>
#include <string.h>

static const char *const foreach_keys[] = {"id",          "name",     "if",    "needs",    "foreach", "as",    "key",
                                           "concurrency", "tolerate", "steps", "on_error", "outputs", "catch", "sensitive"};
#define COUNT(array) (sizeof array / sizeof *array)

static void load_as(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_step *step)
{
    bool is_taken = bw_expr_knows(node->text) || bw_slice_is(node->text, "index");
    step->as = bw_arena_copy(loader->arena, node->text);
    if (node->kind != BW_YAML_STRING || !bw_is_expr_name(node->text) || is_taken)
        bw_load_error(loader, bw_mark_of(node), "foreach.as", is_taken ? "every expression has that name already" : "write for example as: page",
                      "'%s' cannot be the name of an item", node->text.len ? step->as.ptr : "");
}

static void load_concurrency(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_step *step)
{
    if (node->kind == BW_YAML_INT && node->integer >= 1 && node->integer <= BW_WORKFLOW_CONCURRENCY_MAX)
        step->concurrency = (uint32_t)node->integer;
    else
        bw_load_error(loader, bw_mark_of(node), "foreach.concurrency", "leave it out for 10 at a time",
                      "concurrency says how many items run at once: 1 to %d", BW_WORKFLOW_CONCURRENCY_MAX);
}

/* n, n% or all */
static void load_tolerate(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_step *step)
{
    char *end = NULL;
    double percent = node->kind == BW_YAML_STRING && node->text.len > 1 && node->text.len < 8 && node->text.ptr[0] >= '0' && node->text.ptr[0] <= '9'
                         ? strtod(node->text.ptr, &end)
                         : -1;
    if (node->kind == BW_YAML_INT && node->integer >= 0 && node->integer <= BW_WORKFLOW_ITEMS_MAX)
        step->tolerate = (uint32_t)node->integer;
    else if (node->kind == BW_YAML_STRING && bw_slice_is(node->text, "all"))
        step->tolerate_percent = 100;
    else if (percent >= 0 && percent <= 100 && end && !strcmp(end, "%"))
        step->tolerate_percent = percent;
    else
        bw_load_error(loader, bw_mark_of(node), "foreach.tolerate", "write for example 3, 2% or all", "tolerate says how many items may fail");
}

static void check_keys(struct bw_loader *loader, const struct bw_yaml_node *map)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct bw_yaml_node *key = map->pairs[i].key;
        bool is_fine = false, is_known = false;
        for (size_t k = 0; k < COUNT(foreach_keys); k++) is_fine |= bw_slice_is(key->text, foreach_keys[k]);
        for (size_t k = 0; k < bw_step_key_count; k++) is_known |= bw_step_keys[k].schema && bw_slice_is(key->text, bw_step_keys[k].name);
        if (!is_fine && is_known)
            bw_load_error(loader, bw_mark_of(key), "step.foreach", "write it at the steps inside", "`%s` cannot be used with `foreach`",
                          key->text.ptr);
    }
}

bool bw_foreach_load(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_step *step, const struct bw_list_place *place)
{
    static const char *const own[] = {"as", "key", "concurrency", "tolerate"};
    const struct bw_yaml_node *list = bw_yaml_get(map, "foreach"), *value;
    struct bw_list_place body = {.parent = (int32_t)(step - loader->workflow->steps), .depth = place->depth + 1, .defaults = place->defaults};
    if (!list) {
        for (size_t i = 0; i < COUNT(own); i++)
            if ((value = bw_yaml_get(map, own[i])))
                bw_load_error(loader, bw_mark_of(value), "step.foreach", "write for example foreach: ${{ inputs.pages }}", "`%s` goes with `foreach`",
                              own[i]);
        return false;
    }
    step->kind = BW_STEP_FOREACH;
    step->key = -1;
    step->concurrency = 10;
    step->as = BW_SLICE("item");
    if (list->kind == BW_YAML_LIST) {
        step->set = bw_template_load(loader, list);
    } else if (list->kind == BW_YAML_STRING) {
        step->set = bw_expr_template(loader, list);
    } else {
        bw_load_error(loader, bw_mark_of(list), "step.foreach", "write for example foreach: ${{ inputs.pages }}",
                      "foreach must be an expression that gives a list, or a list, found %s", bw_yaml_kind_name(list->kind));
    }
    if ((value = bw_yaml_get(map, "as"))) load_as(loader, value, step);
    if ((value = bw_yaml_get(map, "key"))) step->key = bw_expr_field(loader, value, false);
    if ((value = bw_yaml_get(map, "concurrency"))) load_concurrency(loader, value, step);
    if ((value = bw_yaml_get(map, "tolerate"))) load_tolerate(loader, value, step);
    if (!(value = bw_yaml_get(map, "steps")))
        bw_load_error(loader, step->mark, "step.foreach", "write steps: [{id: …}]", "a `foreach` needs `steps`: what is done with each item");
    else
        bw_list_load(loader, value, "steps", &body);
    step->endings = bw_undos_load(loader, (size_t)body.parent + 1, &body);
    check_keys(loader, map);
    return true;
}

/* ---- inputs ---- */

static bool has_hole(const struct bw_yaml_node *node)
{
    bool found = node->kind == BW_YAML_STRING && memmem(node->text.ptr, node->text.len, "${{", 3);
    for (size_t i = 0; !found && node->kind == BW_YAML_MAP && i < node->count; i++) found = has_hole(node->pairs[i].value);
    for (size_t i = 0; !found && node->kind == BW_YAML_LIST && i < node->count; i++) found = has_hole(node->items[i]);
    return found;
}

/* Appends "NAME":SCHEMA. A default with an expression is no part of the schema: it is made when the run begins. */
static void append_input(struct bw_loader *loader, const struct bw_yaml_pair *input, struct bw_buf *out)
{
    struct bw_workflow *workflow = loader->workflow;
    struct bw_yaml_node schema = *input->value;
    if (schema.kind == BW_YAML_MAP) {
        if (!(schema.pairs = bw_arena_alloc(loader->arena, (schema.count + 1) * sizeof *schema.pairs))) return;
        schema.count = 0;
        for (size_t i = 0; i < input->value->count; i++) {
            const struct bw_yaml_pair *pair = &input->value->pairs[i];
            if (bw_slice_is(pair->key->text, "default") && has_hole(pair->value)) {
                workflow->input_defaults[workflow->input_count] = bw_template_load(loader, pair->value);
            } else {
                bw_refuse_hole(loader, pair->value, "a schema (only `default` may hold one)");
                schema.pairs[schema.count++] = *pair;
            }
        }
    }
    bw_buf_append_json_string(out, input->key->text);
    bw_buf_append_char(out, ':');
    bw_yaml_to_json(&schema, out);
}

void bw_inputs_load(struct bw_loader *loader, const struct bw_yaml_node *map)
{
    struct bw_workflow *workflow = loader->workflow;
    struct bw_buf all = {0};
    if (map->kind != BW_YAML_MAP) {
        bw_load_error(loader, bw_mark_of(map), "workflow.type", "write for example inputs: {page: {type: string, required: true}}",
                      "inputs must be a map from names to schemas, found %s", bw_yaml_kind_name(map->kind));
        return;
    }
    workflow->input_names = bw_arena_alloc(loader->arena, (map->count + 1) * sizeof *workflow->input_names);
    workflow->input_defaults = bw_arena_alloc(loader->arena, (map->count + 1) * sizeof *workflow->input_defaults);
    if (!workflow->input_names || !workflow->input_defaults) return;
    bw_buf_append_char(&all, '{');
    for (size_t i = 0; i < map->count; i++) {
        const struct bw_yaml_pair *input = &map->pairs[i];
        struct bw_buf one = {0};
        struct bw_error err;
        if (!bw_is_expr_name(input->key->text))
            bw_load_error(loader, bw_mark_of(input->key), "workflow.input",
                          "use a-z, 0-9 and _, beginning with a letter; no word of the Lua language", "'%s' is no name of an input",
                          input->key->text.ptr);
        append_input(loader, input, &one);
        workflow->input_names[workflow->input_count++] = bw_arena_copy(loader->arena, input->key->text);
        struct bw_buf alone = {0};
        bw_buf_printf(&alone, "{%s}", one.data ? one.data : "");
        json_t *fields = bw_json_load(bw_buf_slice(&alone), &err);
        struct bw_schema *schema = fields ? bw_schema_load(fields, &err) : NULL;
        if (!schema) bw_load_error(loader, bw_mark_of(input->value), err.code, err.hint, "%s", err.message);
        bw_schema_free(schema);
        json_decref(fields);
        if (i) bw_buf_append_char(&all, ',');
        bw_buf_append_slice(&all, bw_buf_slice(&one));
        if (one.failed || alone.failed) loader->arena->failed = true;
        bw_buf_free(&one);
        bw_buf_free(&alone);
    }
    bw_buf_append_char(&all, '}');
    workflow->inputs = bw_arena_copy(loader->arena, bw_buf_slice(&all));
    if (all.failed) loader->arena->failed = true;
    bw_buf_free(&all);
}
