/* When a run begins that an event starts: `rate`, `delay`, `start_within`, `priority`. How many are active at a time: concurrency.c. */
#include "base/units.h"
#include "workflow/internal.h"

#define COUNT_MAX 1000000
#define INTERVAL_MIN_US 100

static void load_limit(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_rate *out)
{
    static const char hint[] = "write a whole number and a duration, such as 5/1h or 60/1m";
    int64_t count = 0;
    if (node->kind != BW_YAML_STRING || !bw_rate_parse(node->text, &count, &out->period_ms))
        bw_load_error(loader, bw_mark_of(node), "rate.limit", hint, "limit must say how many runs begin in which time");
    else if (count > COUNT_MAX || out->period_ms * 1000 / count < INTERVAL_MIN_US)
        bw_load_error(loader, bw_mark_of(node), "rate.limit", hint, "more than 10000 runs a second, or %d a period, are not limited", COUNT_MAX);
    else
        out->count = (uint32_t)count;
}

void bw_rate_load(struct bw_loader *loader, const struct bw_yaml_node *map)
{
    static const char *const overs[] = {"delay", "skip"};
    struct bw_rate *out = &loader->workflow->rate;
    const struct bw_yaml_node *limit, *key, *burst;
    if (map->kind != BW_YAML_MAP) {
        bw_load_error(loader, bw_mark_of(map), "workflow.type", "write for example rate: {limit: 60/1m, key: \"${{ event.data.customer }}\"}",
                      "rate must be a map, found %s", bw_yaml_kind_name(map->kind));
        return;
    }
    bw_check_keys(loader, map, "rate", bw_rate_keys, bw_rate_key_count);
    out->burst = bw_load_number(loader, burst = bw_yaml_get(map, "burst"), "rate.burst", "burst", 1, COUNT_MAX, 1);
    out->skips = bw_load_word(loader, bw_yaml_get(map, "over"), "rate.over", "over", overs, 2) == 1;
    if ((limit = bw_yaml_get(map, "limit")))
        load_limit(loader, limit, out);
    else
        bw_load_error(loader, bw_mark_of(map), "rate.limit", "write for example limit: 60/1m", "rate has no `limit`");
    if (out->count && out->burst > 1 && out->period_ms / out->count > BW_WORKFLOW_WAIT_MAX_MS / out->burst)
        bw_load_error(loader, bw_mark_of(burst), "rate.burst", "take a smaller one",
                      "it takes more than 366 days until so many may begin at once again");
    if ((key = bw_yaml_get(map, "key"))) out->key = bw_expr_template(loader, key);
}

void bw_priority_load(struct bw_loader *loader, const struct bw_yaml_node *node)
{
    struct bw_workflow *workflow = loader->workflow;
    if (!workflow->concurrency.limit)
        bw_load_error(loader, bw_mark_of(node), "workflow.priority", "add for example concurrency: {limit: 10}",
                      "priority says which of the runs that wait for a slot is next: it goes with `concurrency`");
    if (node->kind == BW_YAML_INT && node->integer >= -BW_WORKFLOW_PRIORITY_MAX && node->integer <= BW_WORKFLOW_PRIORITY_MAX)
        workflow->priority_s = (int32_t)node->integer;
    else if (node->kind == BW_YAML_STRING)
        workflow->priority = bw_expr_template(loader, node);
    else
        bw_load_error(loader, bw_mark_of(node), "workflow.priority", "it is a head start in seconds: priority: 300",
                      "priority must be a whole number from -%d to %d, or an expression", BW_WORKFLOW_PRIORITY_MAX, BW_WORKFLOW_PRIORITY_MAX);
}

void bw_delay_load(struct bw_loader *loader, const struct bw_yaml_node *node)
{
    struct bw_workflow *workflow = loader->workflow;
    struct bw_template *value = node->kind == BW_YAML_STRING ? bw_template_load(loader, node) : NULL;
    if (value && value->kind != BW_TEMPLATE_CONST)
        workflow->delay = value;
    else
        workflow->delay_ms = bw_wait_duration(loader, node, "workflow.delay", "delay");
}

void bw_start_within_load(struct bw_loader *loader, const struct bw_yaml_node *node)
{
    struct bw_workflow *workflow = loader->workflow;
    workflow->start_within_ms = bw_wait_duration(loader, node, "workflow.start_within", "start_within");
    if (workflow->start_within_ms && workflow->delay_ms >= workflow->start_within_ms)
        bw_load_error(loader, bw_mark_of(node), "workflow.start_within", "make it longer than `delay`",
                      "no run would ever begin: each is delayed by more");
}
