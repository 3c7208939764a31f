/* The small schema language of `inputs` as JSON Schema, for whoever has to fill it in. What it cannot say is said nowhere: base/schema.h is less. */
#include "mcp/tools.h"
#include <string.h>

static void append_value(const json_t *from, struct bw_buf *out);

static void append_member(struct bw_buf *out, const char *name, const json_t *value, size_t begin)
{
    if (!value) return;
    if (out->len > begin) bw_buf_append_char(out, ',');
    bw_buf_append_json_string(out, bw_slice_of(name));
    bw_buf_append_char(out, ':');
    bw_json_append(out, value);
}

static void append_name(struct bw_buf *out, const char *name, size_t begin)
{
    if (out->len > begin) bw_buf_append_char(out, ',');
    bw_buf_printf(out, "\"%s\":", name);
}

/* properties, required, additionalProperties */
static void append_fields(const json_t *fields, struct bw_buf *out)
{
    const char *name;
    json_t *field;
    bool is_first = true;
    bw_buf_append_text(out, "\"properties\":{");
    json_object_foreach((json_t *)fields, name, field)
    {
        if (!is_first) bw_buf_append_char(out, ',');
        is_first = false;
        bw_buf_append_json_string(out, bw_slice_of(name));
        bw_buf_append_char(out, ':');
        append_value(field, out);
    }
    bw_buf_append_char(out, '}');
    is_first = true;
    json_object_foreach((json_t *)fields, name, field)
    {
        if (!json_is_true(json_object_get(field, "required"))) continue;
        bw_buf_append_text(out, is_first ? ",\"required\":[" : ",");
        is_first = false;
        bw_buf_append_json_string(out, bw_slice_of(name));
    }
    bw_buf_append_text(out, is_first ? ",\"additionalProperties\":false" : "],\"additionalProperties\":false");
}

static void append_value(const json_t *from, struct bw_buf *out)
{
    static const struct {
        const char *ours, *theirs;
    } same[] = {{"doc", "description"}, {"enum", "enum"},       {"format", "format"},      {"min", "minimum"},
                {"max", "maximum"},     {"default", "default"}, {"max_items", "maxItems"}, {"max_length", "maxLength"}};
    const char *type = bw_json_str(from, "type", "any");
    const json_t *items = json_object_get(from, "items"), *properties = json_object_get(from, "properties");
    bw_buf_append_char(out, '{');
    size_t begin = out->len;
    if (strcmp(type, "any") != 0) bw_buf_printf(out, "\"type\":\"%s\"", type);
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) append_member(out, same[i].theirs, json_object_get(from, same[i].ours), begin);
    if (items) {
        append_name(out, "items", begin);
        append_value(items, out);
    }
    if (properties) {
        if (out->len > begin) bw_buf_append_char(out, ',');
        append_fields(properties, out);
    }
    bw_buf_append_char(out, '}');
}

void bw_mcp_json_schema(const json_t *fields, struct bw_buf *out)
{
    bw_buf_append_text(out, "{\"type\":\"object\"");
    if (json_object_size(fields)) {
        bw_buf_append_char(out, ',');
        append_fields(fields, out);
    } else {
        bw_buf_append_text(out, ",\"additionalProperties\":false");
    }
    bw_buf_append_char(out, '}');
}
