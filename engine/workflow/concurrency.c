/* `concurrency`: how many runs of a workflow are active at a time. */
#include "base/suggest.h"
#include "workflow/internal.h"
#include <stdio.h>

#define CODE "workflow.concurrency"
#define LIMIT_MAX 10000
#define QUEUE_MAX 1000000

uint32_t bw_load_number(struct bw_loader *loader, const struct bw_yaml_node *node, const char *code, const char *key, int64_t least, int64_t most,
                        uint32_t otherwise)
{
    if (!node) return otherwise;
    if (node->kind == BW_YAML_INT && node->integer >= least && node->integer <= most) return (uint32_t)node->integer;
    bw_load_error(loader, bw_mark_of(node), code, NULL, "%s must be a number from %lld to %lld", key, (long long)least, (long long)most);
    return otherwise;
}

size_t bw_load_word(struct bw_loader *loader, const struct bw_yaml_node *node, const char *code, const char *key, const char *const *words,
                    size_t count)
{
    char hint[120] = "", list[120] = "";
    if (!node) return 0;
    for (size_t i = 0; i < count; i++)
        if (node->kind == BW_YAML_STRING && bw_slice_is(node->text, words[i])) return i;
    const char *near = node->kind == BW_YAML_STRING ? bw_suggest(node->text, words, count) : NULL;
    if (near) snprintf(hint, sizeof hint, "did you mean '%s'?", near);
    for (size_t i = 0, at = 0; i < count && at < sizeof list; i++)
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", words[i]);
    bw_load_error(loader, bw_mark_of(node), code, hint, "%s is one of: %s", key, list);
    return 0;
}

static void load_scope(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_concurrency *out)
{
    if (node->kind == BW_YAML_STRING && bw_slice_is(node->text, "workflow")) return;
    if (node->kind == BW_YAML_STRING && node->text.len > 7 && !memcmp(node->text.ptr, "global:", 7))
        out->scope = bw_arena_copy(loader->arena, (struct bw_slice){node->text.ptr + 7, node->text.len - 7});
    if (!bw_is_workflow_name(out->scope))
        bw_load_error(loader, bw_mark_of(node), CODE, "write for example scope: global:billing",
                      "scope is `workflow`, or `global:` and a name that workflows share");
}

struct bw_template *bw_expr_template(struct bw_loader *loader, const struct bw_yaml_node *node)
{
    int32_t expr = bw_expr_field(loader, node, false);
    struct bw_template *out = expr >= 0 ? bw_arena_alloc(loader->arena, sizeof *out) : NULL;
    if (out) *out = (struct bw_template){.kind = BW_TEMPLATE_EXPR, .mark = bw_mark_of(node), .expr = (uint32_t)expr};
    return out;
}

void bw_concurrency_load(struct bw_loader *loader, const struct bw_yaml_node *map)
{
    static const char *const fulls[] =
        {[BW_TAKEN_QUEUE] = "queue", [BW_TAKEN_SKIP] = "skip", [BW_TAKEN_REPLACE] = "replace", [BW_TAKEN_CANCEL_RUNNING] = "cancel_running"},
                             *const holds[] = {"run", "active"};
    static const char *const faileds[] = {"continue", "hold"};
    struct bw_concurrency *out = &loader->workflow->concurrency;
    const struct bw_yaml_node *value;
    if (map->kind != BW_YAML_MAP) {
        bw_load_error(loader, bw_mark_of(map), "workflow.type", "write for example concurrency: {key: \"${{ event.data.customer }}\", limit: 1}",
                      "concurrency must be a map, found %s", bw_yaml_kind_name(map->kind));
        return;
    }
    bw_check_keys(loader, map, "concurrency", bw_concurrency_keys, bw_concurrency_key_count);
    out->limit = bw_load_number(loader, bw_yaml_get(map, "limit"), CODE, "limit", 1, LIMIT_MAX, 1);
    out->max_queue = bw_load_number(loader, bw_yaml_get(map, "max_queue"), CODE, "max_queue", 0, QUEUE_MAX, BW_CONCURRENCY_QUEUE_MAX);
    out->when_full = (enum bw_when_taken)bw_load_word(loader, bw_yaml_get(map, "when_full"), CODE, "when_full", fulls, 4);
    out->holds_failed = bw_load_word(loader, bw_yaml_get(map, "on_failed"), CODE, "on_failed", faileds, 2) == 1;
    out->holds_parked = bw_load_word(loader, bw_yaml_get(map, "hold"), CODE, "hold", holds, 2) == 0;
    if ((value = bw_yaml_get(map, "scope"))) load_scope(loader, value, out);
    if ((value = bw_yaml_get(map, "key"))) out->key = bw_expr_template(loader, value);
}
