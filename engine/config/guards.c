#include "config/guards.h"
#include "base/json.h"
#include "base/schema.h"
#include "base/units.h"
#include <stdio.h>
#include <stdlib.h>

#define BURST_MAX 1000000

/* ---- allow ---- */

static void read_range(const struct bw_key_context *context, const struct bw_yaml_node *node, const char *what, struct bw_net_range *ranges,
                       size_t *count)
{
    struct bw_buf hint = {0};
    struct bw_net_range range;
    bool is_text = node->kind == BW_YAML_STRING;
    enum bw_net_fault fault = is_text ? bw_net_range_parse(node->text, &range) : BW_NET_NO_ADDRESS;
    if (fault == BW_NET_GOOD) {
        ranges[(*count)++] = range;
        return;
    }
    if (fault == BW_NET_HOST_BITS) {
        bw_buf_append_text(&hint, "write the network, ");
        bw_net_range_append(&hint, &range);
        bw_buf_append_text(&hint, ", or the address alone");
        bw_key_error(context, node, "config.address", hint.data, "%s: '%s' is an address inside of its network", what, node->text.ptr);
    } else {
        bw_key_error(context, node, "config.address", "write for example 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32",
                     "%s: %s%s%s is no address or network", what, is_text ? "'" : "", is_text ? node->text.ptr : bw_yaml_kind_name(node->kind),
                     is_text ? "'" : "");
    }
    bw_buf_free(&hint);
}

void bw_ranges_read(const struct bw_key_context *context, const struct bw_yaml_node *node, const char *what, struct bw_net_range **out, size_t *count)
{
    if (!node) return;
    if (node->kind != BW_YAML_LIST || !node->count) {
        bw_key_error(context, node, "config.type", "write for example [192.0.2.7, 10.0.0.0/8]", "%s must be a list of addresses and networks", what);
        return;
    }
    if (!(*out = calloc(node->count, sizeof **out))) return;
    for (size_t i = 0; i < node->count; i++) read_range(context, node->items[i], what, *out, count);
}

/* ---- rate ---- */

static void read_rate(const struct bw_key_context *context, const struct bw_yaml_node *map, struct bw_source_config *source)
{
    static const struct bw_key keys[] = {
        {"limit", BW_KEY_SPECIAL, 0, 0, 0, NULL, NULL}, {"burst", BW_KEY_SPECIAL, 0, 0, 0, NULL, NULL}, {"by", BW_KEY_SPECIAL, 0, 0, 0, NULL, NULL}};
    struct bw_rate_config rate = {0};
    if (map->kind != BW_YAML_MAP) {
        bw_key_error(context, map, "config.type", "write for example {limit: 100/1s, burst: 200}", "rate must be a map, found %s",
                     bw_yaml_kind_name(map->kind));
        return;
    }
    bw_keys_read(context, map, "rate", keys, sizeof keys / sizeof *keys, &rate);
    const struct bw_yaml_node *limit = bw_yaml_get(map, "limit"), *burst = bw_yaml_get(map, "burst"), *by = bw_yaml_get(map, "by");
    bool is_by_address = by && by->kind == BW_YAML_STRING && bw_slice_is(by->text, "address");
    if (by && !is_by_address && !(by->kind == BW_YAML_STRING && bw_slice_is(by->text, "source")))
        bw_key_error(context, by, "source.rate", "source: all its requests together; address: those of each sender", "by must be source or address");
    if (!limit || limit->kind != BW_YAML_STRING || !bw_rate_parse(limit->text, &rate.count, &rate.period_ms)) {
        bw_key_error(context, limit ? limit : map, "source.rate", "write a whole number and a duration, such as limit: 100/1s or 60/1m",
                     limit ? "limit is no usable rate" : "rate has no limit");
        return;
    }
    rate.burst = rate.count < BURST_MAX ? rate.count : BURST_MAX;
    if (burst && (burst->kind != BW_YAML_INT || burst->integer < 1 || burst->integer > BURST_MAX))
        bw_key_error(context, burst, "config.range", NULL, "burst must be a whole number from 1 to %d", BURST_MAX);
    else if (burst)
        rate.burst = burst->integer;
    struct bw_rate_config *target = is_by_address ? &source->address_rate : &source->rate;
    if (target->count)
        bw_key_error(context, by ? by : map, "source.rate", "one by source and one by address are possible", "there are two rates by %s",
                     is_by_address ? "address" : "source");
    *target = rate;
}

static void read_rates(const struct bw_key_context *context, const struct bw_yaml_node *node, struct bw_source_config *source)
{
    if (!node) return;
    if (node->kind != BW_YAML_LIST) {
        read_rate(context, node, source);
        return;
    }
    if (!node->count) bw_key_error(context, node, "config.type", "write for example {limit: 100/1s}", "rate is an empty list");
    for (size_t i = 0; i < node->count; i++) read_rate(context, node->items[i], source);
}

/* ---- schema ---- */

/* The event is stored as it came, byte for byte: nothing can be filled in. */
static const struct bw_yaml_node *find_default(const struct bw_yaml_node *schema)
{
    const struct bw_yaml_node *found = NULL, *properties = bw_yaml_get(schema, "properties"), *items = bw_yaml_get(schema, "items");
    for (size_t i = 0; schema->kind == BW_YAML_MAP && i < schema->count; i++)
        if (bw_slice_is(schema->pairs[i].key->text, "default")) return schema->pairs[i].key;
    if (items) found = find_default(items);
    for (size_t i = 0; !found && properties && properties->kind == BW_YAML_MAP && i < properties->count; i++)
        found = find_default(properties->pairs[i].value);
    return found;
}

static void read_schema(const struct bw_key_context *context, const struct bw_yaml_node *node, struct bw_source_config *source)
{
    struct bw_buf text = {0};
    struct bw_error err;
    if (!node) return;
    const struct bw_yaml_node *filled = find_default(node);
    if (filled)
        bw_key_error(context, filled, "source.schema", "leave it out, and let the workflow say: ${{ event.data.x or 0 }}",
                     "a body is kept as it came: there is no `default` in the schema of a source");
    bw_yaml_to_json(node, &text);
    json_t *schema = text.failed ? NULL : bw_json_load(bw_buf_slice(&text), &err);
    if (text.failed) bw_error_set(&err, "memory", "out of memory");
    if (!schema || !(source->schema = bw_schema_load_value(schema, &err)))
        bw_key_error(context, node, "source.schema",
                     *err.hint ? err.hint : "write for example {type: object, properties: {id: {type: string, required: true}}}", "schema: %s",
                     err.message);
    json_decref(schema);
    bw_buf_free(&text);
}

void bw_guards_read(const struct bw_key_context *context, const struct bw_yaml_node *map, struct bw_source_config *source)
{
    bw_ranges_read(context, bw_yaml_get(map, "allow"), "allow", &source->allow, &source->allow_count);
    read_rates(context, bw_yaml_get(map, "rate"), source);
    read_schema(context, bw_yaml_get(map, "schema"), source);
}
