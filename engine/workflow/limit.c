/* `limit`: the name of what a step shares with others, and how much of it. Whether there is such a limit is for whoever knows bellwire.yaml. */
#include "workflow/internal.h"
#include <string.h>

static void load_name(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_step_limit *out)
{
    out->mark = bw_mark_of(node);
    out->name = bw_arena_copy(loader->arena, node->text);
    if (node->kind != BW_YAML_STRING || !bw_is_workflow_name(node->text)) /* the same letters */
        bw_load_error(loader, out->mark, "step.limit", "write the name of a limit in bellwire.yaml, or none; `key` and `cost` may be expressions",
                      "limit does not name a limit");
}

void bw_limit_load(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_step_limit *out)
{
    const struct bw_yaml_node *name;
    struct bw_yaml_node measures = *node;
    if (node->kind != BW_YAML_MAP) {
        load_name(loader, node, out);
        return;
    }
    bw_check_keys(loader, node, "limit", bw_limit_keys, bw_limit_key_count);
    if ((name = bw_yaml_get(node, "name")))
        load_name(loader, name, out);
    else
        bw_load_error(loader, bw_mark_of(node), "step.limit", "write for example limit: {name: llm, cost: 200}", "this limit has no name");
    if (!(measures.pairs = bw_arena_alloc(loader->arena, (node->count + 1) * sizeof *measures.pairs))) return;
    measures.count = 0;
    for (size_t i = 0; i < node->count; i++) {
        const struct bw_yaml_node *key = node->pairs[i].key, *value = node->pairs[i].value;
        if (!bw_slice_is(key->text, "key") && !bw_slice_is(key->text, "cost")) continue;
        bool is_key = bw_slice_is(key->text, "key"), is_text = value->kind == BW_YAML_STRING && value->text.len;
        bool is_number = (value->kind == BW_YAML_INT || value->kind == BW_YAML_REAL) && (is_key || *value->text.ptr != '-');
        if (is_number || (is_text && (is_key || memmem(value->text.ptr, value->text.len, "${{", 3))))
            measures.pairs[measures.count++] = node->pairs[i];
        else
            bw_load_error(loader, bw_mark_of(value), "step.limit", "write for example {name: llm, key: \"${{ inputs.tenant }}\", cost: 200}",
                          "`%s` must be %s, or an expression that gives one", key->text.ptr, is_key ? "a text or a number" : "a number, at least 0");
    }
    out->has_key = bw_yaml_get(node, "key");
    out->has_cost = bw_yaml_get(node, "cost");
    if (measures.count) out->measures = bw_template_load(loader, &measures);
}
