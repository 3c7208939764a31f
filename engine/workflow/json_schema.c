/* The JSON Schema for editors, from the tables of keys.c. */
#include "workflow/internal.h"

#define BLOCK_KEYS "\"id\",\"name\",\"if\",\"needs\","

static void append_properties(struct bw_buf *out, const struct bw_load_key *keys, size_t count)
{
    bool is_first = true;
    bw_buf_append_text(out, "\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
    for (size_t i = 0; i < count; i++) {
        if (!keys[i].schema) continue;
        if (!is_first) bw_buf_append_char(out, ',');
        is_first = false;
        bw_buf_append_json_string(out, bw_slice_of(keys[i].name));
        bw_buf_append_text(out, ":{\"description\":");
        bw_buf_append_json_string(out, bw_slice_of(keys[i].doc));
        bw_buf_append_char(out, ',');
        bw_buf_append_text(out, keys[i].schema + 1); /* its own members follow */
    }
    bw_buf_append_char(out, '}');
}

/* Nothing is attempted in a `set` or a `stop`, so nothing can be tried again. */
static void append_no_policy(struct bw_buf *out)
{
    static const char *const keys[] = {"retry", "max_elapsed", "timeout", "heartbeat", "repeat", "limit", "guarantee", "effect"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        bw_buf_printf(out, ",\"%s\":{\"anyOf\":[{\"required\":[\"uses\"]},{\"required\":[\"lua\"]}]}", keys[i]);
}

/* A step does one thing, and has an id; or it is a block, which has little else. */
static void append_verbs(struct bw_buf *out)
{
    static const char *const verbs[] = {"uses", "lua", "set", "stop", "sleep", "wait", "approve", "emit", "respond"};
    bw_buf_append_text(out, ",\"oneOf\":[");
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) bw_buf_printf(out, "{\"required\":[\"id\",\"%s\"]},", verbs[i]);
    bw_buf_append_text(out, "{\"required\":[\"id\",\"foreach\",\"steps\"]},"
                            "{\"required\":[\"if\",\"steps\"],\"not\":{\"required\":[\"foreach\"]}},"
                            "{\"required\":[\"switch\",\"cases\"]},{\"required\":[\"parallel\"]}],"
                            "\"dependentRequired\":{\"else\":[\"if\",\"steps\"],\"cases\":[\"switch\"],\"default\":[\"switch\"],"
                            "\"as\":[\"foreach\"],\"key\":[\"foreach\"],\"concurrency\":[\"foreach\"],\"tolerate\":[\"foreach\"],"
                            "\"detach\":[\"uses\"]},"
                            "\"dependentSchemas\":{\"with\":{\"anyOf\":[{\"required\":[\"uses\"]},{\"required\":[\"lua\"]}]}"
                            ",\"outputs\":{\"not\":{\"required\":[\"stop\"]}}"
                            ",\"sensitive\":{\"not\":{\"anyOf\":[{\"required\":[\"stop\"]},{\"required\":[\"sleep\"]},{\"required\":[\"emit\"]},"
                            "{\"required\":[\"respond\"]}]}}"
                            ",\"foreach\":{\"propertyNames\":{\"enum\":[" BLOCK_KEYS
                            "\"foreach\",\"as\",\"key\",\"concurrency\",\"tolerate\",\"steps\",\"on_error\",\"outputs\",\"catch\","
                            "\"sensitive\"]}}"
                            ",\"detach\":{\"properties\":{\"uses\":{\"pattern\":\"^workflow/\"}}}"
                            ",\"steps\":{\"anyOf\":[{\"required\":[\"foreach\"]},{\"propertyNames\":{\"enum\":[" BLOCK_KEYS "\"steps\",\"else\"]}}]}"
                            ",\"switch\":{\"propertyNames\":{\"enum\":[" BLOCK_KEYS "\"switch\",\"cases\",\"default\"]}}"
                            ",\"parallel\":{\"propertyNames\":{\"enum\":[" BLOCK_KEYS "\"parallel\"]}}");
}

/* Of a step that is written inside of another one. */
static void append_part(struct bw_buf *out, const char *const *verbs, const char *const *keys)
{
    for (size_t i = 0; verbs[i]; i++) bw_buf_printf(out, "%s{\"required\":[\"%s\"]}", i ? "," : "", verbs[i]);
    bw_buf_append_text(out, "],\"additionalProperties\":false,\"properties\":{");
    for (size_t i = 0; keys[i]; i++) bw_buf_printf(out, "%s\"%s\":{\"$ref\":\"#/$defs/step/properties/%s\"}", i ? "," : "", keys[i], keys[i]);
    bw_buf_append_char(out, '}');
}

static void append_webhook_keys(struct bw_buf *out)
{
    for (size_t i = 0; bw_webhook_only_keys[i]; i++) bw_buf_printf(out, "\"%s\":[\"webhook\"],", bw_webhook_only_keys[i]);
}

void bw_workflow_json_schema(struct bw_buf *out)
{
    bw_buf_append_text(out, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Bellwire workflow\",");
    append_properties(out, bw_workflow_keys, bw_workflow_key_count);
    bw_buf_append_text(out, ",\"required\":[\"name\",\"steps\"],\"anyOf\":[{\"required\":[\"on\"]},{\"required\":[\"expose\"]}],"
                            "\"$defs\":{\"trigger\":{");
    append_properties(out, bw_trigger_keys, bw_trigger_key_count);
    bw_buf_append_text(out, ",\"oneOf\":[{\"required\":[\"event\"]},{\"required\":[\"manual\"]},{\"required\":[\"schedule\"]},{\"required\":["
                            "\"call\"]},{\"required\":[\"webhook\",\"verify\"]}],\"dependentSchemas\":{\"if\":{\"anyOf\":[{\"required\":[\"event\"]},"
                            "{\"required\":[\"webhook\"]}]}},\"dependentRequired\":{");
    append_webhook_keys(out);
    bw_buf_append_text(out, "\"tz\":[\"schedule\"],\"missed\":[\"schedule\"],\"max_age\":[\"schedule\"]}},\"step\":{");
    append_properties(out, bw_step_keys, bw_step_key_count);
    append_verbs(out);
    append_no_policy(out);
    bw_buf_append_text(out, "},\"if\":{\"required\":[\"guarantee\"],\"properties\":{\"guarantee\":{\"const\":\"at_most_once\"}}},"
                            "\"then\":{\"properties\":{\"effect\":{\"const\":\"write\"},\"repeat\":false}}},\"schema\":{");
    append_properties(out, bw_schema_keys, bw_schema_key_count);
    bw_buf_append_text(out, "},\"retry\":{");
    append_properties(out, bw_retry_keys, bw_retry_key_count);
    bw_buf_append_text(out, "},\"limit\":{");
    append_properties(out, bw_limit_keys, bw_limit_key_count);
    bw_buf_append_text(out, ",\"required\":[\"name\"]},\"defaults\":{");
    append_properties(out, bw_defaults_keys, bw_defaults_key_count);
    bw_buf_append_text(out, "},\"repeat\":{");
    append_properties(out, bw_repeat_keys, bw_repeat_key_count);
    bw_buf_append_text(out, ",\"required\":[\"until\"]},\"collect\":{");
    append_properties(out, bw_collect_keys, bw_collect_key_count);
    bw_buf_append_text(out, ",\"anyOf\":[{\"required\":[\"quiet\"]},{\"required\":[\"max_wait\"]}]},\"concurrency\":{");
    append_properties(out, bw_concurrency_keys, bw_concurrency_key_count);
    bw_buf_append_text(out, "},\"rate\":{");
    append_properties(out, bw_rate_keys, bw_rate_key_count);
    bw_buf_append_text(out, ",\"required\":[\"limit\"]},\"retention\":{");
    append_properties(out, bw_retention_keys, bw_retention_key_count);
    bw_buf_append_text(out, "},\"catch\":{");
    append_properties(out, bw_catch_keys, bw_catch_key_count);
    bw_buf_append_text(out, "},\"undo\":{\"type\":\"object\",\"oneOf\":[");
    append_part(out, bw_undo_verbs, bw_undo_keys);
    bw_buf_append_text(out, "},\"approve\":{");
    append_properties(out, bw_approve_keys, bw_approve_key_count);
    bw_buf_append_text(out, ",\"required\":[\"message\"],\"if\":{\"required\":[\"need\"],\"properties\":{\"need\":{\"minimum\":2}}},"
                            "\"then\":{\"required\":[\"to\"]}},\"notify\":{\"type\":\"object\",\"oneOf\":[");
    append_part(out, bw_notify_verbs, bw_notify_keys);
    bw_buf_append_text(out, "},\"stop\":{");
    append_properties(out, bw_stop_keys, bw_stop_key_count);
    bw_buf_append_text(out, "},\"emit\":{");
    append_properties(out, bw_emit_keys, bw_emit_key_count);
    bw_buf_append_text(out, ",\"required\":[\"event\"]},\"respond_mode\":{");
    append_properties(out, bw_respond_mode_keys, bw_respond_mode_key_count);
    bw_buf_append_text(out, ",\"required\":[\"mode\"]},\"respond\":{");
    append_properties(out, bw_respond_keys, bw_respond_key_count);
    bw_buf_append_text(out, "},\"sleep\":{");
    append_properties(out, bw_sleep_keys, bw_sleep_key_count);
    bw_buf_append_text(out, ",\"required\":[\"until\"]},\"wait\":{");
    append_properties(out, bw_wait_keys, bw_wait_key_count);
    bw_buf_append_text(out, ",\"oneOf\":[{\"required\":[\"event\"]},{\"required\":[\"any\"]}],"
                            "\"dependentRequired\":{\"by\":[\"event\",\"equals\"],\"equals\":[\"by\"],\"if\":[\"event\"]}},\"arm\":{");
    append_properties(out, bw_wait_keys, BW_ARM_KEYS);
    bw_buf_append_text(out, ",\"required\":[\"event\"],\"dependentRequired\":{\"by\":[\"equals\"],\"equals\":[\"by\"]}},\"expose\":{");
    append_properties(out, bw_expose_keys, bw_expose_key_count);
    bw_buf_append_text(out, ",\"required\":[\"mcp\"]},\"tool\":{");
    append_properties(out, bw_tool_keys, bw_tool_key_count);
    bw_buf_append_text(out, "}}}");
}
