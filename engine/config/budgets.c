#include "config/budgets.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define NUMBER_MAX 1000000000000LL
#define MONEY_MAX 1e9
#define EXAMPLE "write for example budgets: {day: {money: 20, calls: 5000}, run: {money: 0.5}}"

static const struct bw_key measure_keys[] = {
    {"calls", BW_KEY_SPECIAL, 0, 0, 0, "any number", "calls"},
    {"tokens", BW_KEY_SPECIAL, 0, 0, 0, "any number", "tokens, sent and got"},
    {"money", BW_KEY_SPECIAL, 0, 0, 0, "any", "in the currency of the prices, as 20 or 0.5; a call of which nobody knows the price is refused then"},
    {"seconds", BW_KEY_SPECIAL, 0, 0, 0, "any number", "time of calls, all together: no further one begins when they are over"},
};
#define MEASURE_COUNT (sizeof measure_keys / sizeof *measure_keys)
static const struct bw_key keys[] = {
    {"day", BW_KEY_SPECIAL, 0, 0, 0, "", "of a day (UTC): {calls, tokens, money, seconds}"},
    {"run", BW_KEY_SPECIAL, 0, 0, 0, "", "of a run with all runs that it has started, however often it is resumed"},
    {"workflows", BW_KEY_SPECIAL, 0, 0, 0, "", "of one workflow, beside those: {WORKFLOW: {day: {…}, run: {…}}}"},
};

static void read_number(const struct bw_key_context *context, const struct bw_yaml_node *node, const char *where, const char *name, double scale,
                        int64_t *out)
{
    bool is_real = scale != 1 && node && node->kind == BW_YAML_REAL;
    double value, most = scale == 1 ? (double)NUMBER_MAX : MONEY_MAX;
    *out = -1;
    if (!node) return;
    value = is_real ? node->real : (double)node->integer;
    if ((!is_real && node->kind != BW_YAML_INT) || !(value >= 0) || value > most) {
        bw_key_error(context, node, "config.range", NULL, "%s.%s must be a %snumber from 0 to %.0f", where, name, scale == 1 ? "whole " : "", most);
        return;
    }
    *out = (int64_t)llround(value * scale);
}

static void read_budget(const struct bw_key_context *context, const struct bw_yaml_node *map, const char *where, struct bw_budget_config *budget)
{
    *budget = (struct bw_budget_config){-1, -1, -1, -1};
    if (!map) return;
    bw_keys_read(context, map, where, measure_keys, MEASURE_COUNT, budget);
    if (map->kind != BW_YAML_MAP) {
        if (map->kind == BW_YAML_NULL) bw_key_error(context, map, "config.type", EXAMPLE, "%s must be a map of calls, tokens, money, seconds", where);
        return;
    }
    read_number(context, bw_yaml_get(map, "calls"), where, "calls", 1, &budget->calls);
    read_number(context, bw_yaml_get(map, "tokens"), where, "tokens", 1, &budget->tokens);
    read_number(context, bw_yaml_get(map, "money"), where, "money", 1e6, &budget->cost);
    read_number(context, bw_yaml_get(map, "seconds"), where, "seconds", 1, &budget->ms);
    if (budget->ms > 0) budget->ms *= 1000;
    if (!map->count) bw_key_error(context, map, "budget.empty", EXAMPLE, "%s limits nothing", where);
}

static void read_workflow(const struct bw_key_context *context, const struct bw_yaml_pair *pair, struct bw_workflow_budget *budget)
{
    char where[120];
    const struct bw_yaml_node *map = pair->value->kind == BW_YAML_MAP ? pair->value : NULL;
    *budget = (struct bw_workflow_budget){.workflow = bw_slice_dup(pair->key->text), .line = pair->key->line, .column = pair->key->column};
    snprintf(where, sizeof where, "budgets.workflows.%.64s", pair->key->text.ptr);
    bw_keys_read(context, pair->value, where, keys, 2, budget); /* workflows are not nested */
    snprintf(where, sizeof where, "budgets.workflows.%.64s.day", pair->key->text.ptr);
    read_budget(context, map ? bw_yaml_get(map, "day") : NULL, where, &budget->day);
    snprintf(where, sizeof where, "budgets.workflows.%.64s.run", pair->key->text.ptr);
    read_budget(context, map ? bw_yaml_get(map, "run") : NULL, where, &budget->run);
}

void bw_budgets_read(const struct bw_key_context *context, const struct bw_yaml_node *map, struct bw_budgets_config *budgets)
{
    const struct bw_yaml_node *root = map && map->kind == BW_YAML_MAP ? map : NULL;
    const struct bw_yaml_node *workflows = root ? bw_yaml_get(root, "workflows") : NULL;
    if (map && map->kind != BW_YAML_NULL) bw_keys_read(context, map, "budgets", keys, sizeof keys / sizeof *keys, budgets);
    read_budget(context, root ? bw_yaml_get(root, "day") : NULL, "budgets.day", &budgets->day);
    read_budget(context, root ? bw_yaml_get(root, "run") : NULL, "budgets.run", &budgets->run);
    if (!workflows || workflows->kind == BW_YAML_NULL) return;
    if (workflows->kind != BW_YAML_MAP) {
        bw_key_error(context, workflows, "config.type", "write for example workflows: {digest: {day: {money: 5}}}",
                     "budgets.workflows must be a map of workflows to budgets");
        return;
    }
    if (!(budgets->workflows = calloc(workflows->count + 1, sizeof *budgets->workflows))) return;
    for (size_t i = 0; i < workflows->count; i++) read_workflow(context, &workflows->pairs[i], &budgets->workflows[budgets->workflow_count++]);
}

void bw_budgets_free(struct bw_budgets_config *budgets)
{
    for (size_t i = 0; i < budgets->workflow_count; i++) free(budgets->workflows[i].workflow);
    free(budgets->workflows);
}

void bw_budgets_help(struct bw_buf *out)
{
    bw_buf_append_text(out, "\nbudgets (what calls that are paid by use may take; over it they fail before they are made):\n");
    bw_keys_help(out, keys, sizeof keys / sizeof *keys);
    bw_buf_append_text(out, "\nbudgets.day, budgets.run:\n");
    bw_keys_help(out, measure_keys, MEASURE_COUNT);
}
