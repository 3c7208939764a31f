/* The JSON Schema for editors, from the tables of keys.c. */
#include "workflow/internal.h"

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
    static const char *const keys[] = {"retry", "max_elapsed", "timeout"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        bw_buf_printf(out, ",\"%s\":{\"not\":{\"anyOf\":[{\"required\":[\"set\"]},{\"required\":[\"stop\"]}]}}", keys[i]);
}

void bw_workflow_json_schema(struct bw_buf *out)
{
    bw_buf_append_text(out, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Bellwire workflow\",");
    append_properties(out, bw_workflow_keys, bw_workflow_key_count);
    bw_buf_append_text(out, ",\"required\":[\"name\",\"on\",\"steps\"],\"$defs\":{\"trigger\":{");
    append_properties(out, bw_trigger_keys, bw_trigger_key_count);
    bw_buf_append_text(
        out,
        ",\"oneOf\":[{\"required\":[\"event\"]},{\"required\":[\"manual\"]}],\"dependentSchemas\":{\"if\":{\"required\":[\"event\"]}}},\"step\":{");
    append_properties(out, bw_step_keys, bw_step_key_count);
    bw_buf_append_text(
        out, ",\"required\":[\"id\"],\"oneOf\":[{\"required\":[\"uses\"]},{\"required\":[\"lua\"]},{\"required\":[\"set\"]},"
             "{\"required\":[\"stop\"]}],\"dependentSchemas\":{\"with\":{\"not\":{\"anyOf\":[{\"required\":[\"set\"]},{\"required\":[\"stop\"]}]}}"
             ",\"outputs\":{\"not\":{\"required\":[\"stop\"]}}");
    append_no_policy(out);
    bw_buf_append_text(out, "}},\"retry\":{");
    append_properties(out, bw_retry_keys, bw_retry_key_count);
    bw_buf_append_text(out, "},\"defaults\":{");
    append_properties(out, bw_defaults_keys, bw_defaults_key_count);
    bw_buf_append_text(out, "},\"stop\":{");
    append_properties(out, bw_stop_keys, bw_stop_key_count);
    bw_buf_append_text(out, "}}}");
}
