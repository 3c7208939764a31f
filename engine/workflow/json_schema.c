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
    bw_buf_append_text(out, ",\"required\":[\"id\"],\"oneOf\":[{\"required\":[\"uses\"]},{\"required\":[\"lua\"]},{\"required\":[\"set\"]}],"
                            "\"dependentSchemas\":{\"with\":{\"not\":{\"required\":[\"set\"]}}}}}}");
}
