#include "config/limits.h"
#include "base/units.h"
#include "config/sources.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COST_MAX 1000000000000LL

#define FIELD(name) offsetof(struct bw_limit_config, name)
static const struct bw_key limit_keys[] = {
    {"rate", BW_KEY_SPECIAL, 0, 0, 0, "", "so much cost in so much time, as 20/1s or 400000/1m"},
    {"burst", BW_KEY_SPECIAL, 0, 0, 0, "1", "so much cost at once after a rest; no step may cost more"},
    {"concurrency", BW_KEY_COUNT, FIELD(concurrency), 1, 1000000, "any number", "steps at once"},
    {"key", BW_KEY_LATER, 0, 0, 0, NULL, NULL},
};
#define KEY_COUNT (sizeof limit_keys / sizeof *limit_keys)

static void read_rate(const struct bw_key_context *context, const struct bw_yaml_node *node, struct bw_limit_config *limit)
{
    int64_t count = 0;
    if (node && (node->kind != BW_YAML_STRING || !bw_rate_parse(node->text, &count, &limit->rate_ms)))
        bw_key_error(context, node, "limit.rate", "write a whole number and a duration, such as 20/1s or 400000/1m", "rate is no usable rate");
    limit->rate_count = (double)count;
}

static void read_burst(const struct bw_key_context *context, const struct bw_yaml_node *node, struct bw_limit_config *limit, bool has_rate)
{
    if (!node) return;
    if (node->kind != BW_YAML_INT || node->integer < 1 || node->integer > COST_MAX)
        bw_key_error(context, node, "config.range", NULL, "burst must be a whole number from 1 to %lld", COST_MAX);
    else if (!has_rate)
        bw_key_error(context, node, "limit.burst", "add a rate, such as rate: 20/1s", "burst says nothing without a rate");
    else
        limit->burst = (double)node->integer;
}

static void read_limit(const struct bw_key_context *context, const struct bw_yaml_pair *pair, struct bw_limit_config *limit)
{
    const struct bw_yaml_node *map = pair->value;
    char where[100];
    snprintf(where, sizeof where, "limits.%.64s", pair->key->text.ptr);
    *limit = (struct bw_limit_config){.name = bw_slice_dup(pair->key->text), .burst = 1};
    if (!bw_config_is_name(pair->key->text) || bw_slice_is(pair->key->text, "none"))
        bw_key_error(context, pair->key, "config.name", NULL,
                     "the limit name '%s' must be of a-z, 0-9 and '-', begin with a letter, and not be none, which says that there is no limit",
                     pair->key->text.ptr);
    bw_keys_read(context, map, where, limit_keys, KEY_COUNT, limit);
    if (map->kind != BW_YAML_MAP && map->kind != BW_YAML_NULL) return;
    const struct bw_yaml_node *rate = bw_yaml_get(map, "rate");
    read_rate(context, rate, limit);
    read_burst(context, bw_yaml_get(map, "burst"), limit, rate != NULL);
    if (!rate && !bw_yaml_get(map, "concurrency"))
        bw_key_error(context, pair->key, "limit.empty", "write for example {rate: 20/1s, burst: 5, concurrency: 10}",
                     "the limit %s limits nothing: it has neither rate nor concurrency", limit->name);
}

void bw_limits_read(const struct bw_key_context *context, const struct bw_yaml_node *map, struct bw_limit_config **limits, size_t *count)
{
    if (!map || map->kind == BW_YAML_NULL) return;
    if (map->kind != BW_YAML_MAP) {
        bw_key_error(context, map, "config.type", "write for example limits: {crm: {rate: 20/1s, concurrency: 10}}",
                     "limits must be a map of names to {rate, burst, concurrency}");
        return;
    }
    if (!(*limits = calloc(map->count + 1, sizeof **limits))) return;
    for (size_t i = 0; i < map->count; i++) read_limit(context, &map->pairs[i], &(*limits)[(*count)++]);
}

bool bw_limits_equal(const struct bw_limit_config *limits, size_t count, const struct bw_limit_config *others, size_t other_count)
{
    bool are_equal = count == other_count;
    for (size_t i = 0; are_equal && i < count; i++) {
        const struct bw_limit_config *limit = &limits[i], *other = others;
        while (other < others + other_count && strcmp(other->name, limit->name) != 0) other++;
        are_equal = other < others + other_count && other->rate_count == limit->rate_count && other->rate_ms == limit->rate_ms &&
                    other->burst == limit->burst && other->concurrency == limit->concurrency;
    }
    return are_equal;
}

void bw_limits_free(struct bw_limit_config *limits, size_t count)
{
    for (size_t i = 0; i < count; i++) free(limits[i].name);
    free(limits);
}

void bw_limits_help(struct bw_buf *out)
{
    bw_buf_append_text(out, "\nlimits.NAME (steps share it by `limit: NAME`):\n");
    bw_keys_help(out, limit_keys, KEY_COUNT);
}
