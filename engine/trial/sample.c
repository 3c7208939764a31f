#include "trial/sample.h"
#include "base/schema.h"
#include <stdint.h>
#include <string.h>

#define LONG_BYTES (64u << 10)

static json_t *sample(const json_t *field);

static json_t *text_sample(const json_t *field)
{
    static const struct {
        const char *format, *text;
    } formats[] = {{"email", "mona@example.com"},
                   {"uri", "https://example.com/"},
                   {"date-time", "2026-01-01T00:00:00Z"},
                   {"uuid", "123e4567-e89b-42d3-a456-426614174000"}};
    const char *format = bw_json_str(field, "format", ""), *text = "sample";
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (!strcmp(formats[i].format, format)) text = formats[i].text;
    int64_t most = bw_json_int(field, "max_length", -1);
    return json_stringn(text, most >= 0 && !*format && (size_t)most < strlen(text) ? (size_t)most : strlen(text));
}

static json_t *number_sample(const json_t *field)
{
    json_t *min = json_object_get(field, "min"), *max = json_object_get(field, "max");
    if (min && json_number_value(min) > 0) return json_incref(min);
    if (max && json_number_value(max) < 0) return json_incref(max);
    return json_integer(0);
}

/* One that is plainly right. */
static json_t *sample(const json_t *field)
{
    const char *type = bw_json_str(field, "type", "any");
    if (json_object_get(field, "default")) return json_deep_copy(json_object_get(field, "default"));
    if (json_array_size(json_object_get(field, "enum"))) return json_deep_copy(json_array_get(json_object_get(field, "enum"), 0));
    if (!strcmp(type, "integer") || !strcmp(type, "number")) return number_sample(field);
    if (!strcmp(type, "boolean")) return json_true();
    if (!strcmp(type, "array")) return json_array();
    if (!strcmp(type, "object")) return bw_sample_input(json_object_get(field, "properties"));
    return text_sample(field);
}

json_t *bw_sample_input(const json_t *fields)
{
    json_t *input = json_object(), *field;
    const char *name;
    json_object_foreach((json_t *)fields, name, field) if (json_is_true(json_object_get(field, "required")))
        json_object_set_new(input, name, sample(field));
    return input;
}

/* ---- edges ---- */

static void add_edge(json_t *edges, const struct bw_schema *schema, const json_t *plain, const char *name, json_t *value_take)
{
    json_t *input = json_deep_copy(plain);
    struct bw_error err;
    json_object_set_new(input, name, value_take);
    if (bw_schema_check(schema, input, false, "input", &err)) json_array_append(edges, input);
    json_decref(input);
}

static json_t *long_text(void)
{
    static char text[LONG_BYTES + 1];
    for (size_t i = 0; i + 2 < sizeof text; i += 2) memcpy(text + i, "\303\244", 2);
    return json_string(text);
}

json_t *bw_sample_edges(const json_t *fields)
{
    static const char *const texts[] = {"", " ", "\"\\\n\t", "\360\237\224\224", "{\"a\":[1,2]}", "%s%n", "../../etc/passwd"};
    json_t *edges = json_array(), *plain = bw_sample_input(fields), *field, *item;
    struct bw_error err;
    struct bw_schema *schema = fields ? bw_schema_load(fields, &err) : NULL;
    const char *name;
    size_t index;
    json_object_foreach((json_t *)fields, name, field)
    {
        const char *type = bw_json_str(field, "type", "any");
        bool is_any = !strcmp(type, "any"), is_text = is_any || !strcmp(type, "string");
        if (!schema) break;
        json_array_foreach(json_object_get(field, "enum"), index, item) add_edge(edges, schema, plain, name, json_incref(item));
        for (size_t i = 0; is_text && i < sizeof texts / sizeof *texts; i++) add_edge(edges, schema, plain, name, json_string(texts[i]));
        if (is_text) add_edge(edges, schema, plain, name, long_text());
        if (json_object_get(field, "min")) add_edge(edges, schema, plain, name, json_incref(json_object_get(field, "min")));
        if (json_object_get(field, "max")) add_edge(edges, schema, plain, name, json_incref(json_object_get(field, "max")));
        add_edge(edges, schema, plain, name, json_integer(INT64_MAX));
        add_edge(edges, schema, plain, name, json_integer(INT64_MIN));
        add_edge(edges, schema, plain, name, json_real(1e308));
        add_edge(edges, schema, plain, name, json_false());
        add_edge(edges, schema, plain, name, json_true());
        add_edge(edges, schema, plain, name, json_array());
        add_edge(edges, schema, plain, name, json_object());
        if (is_any) add_edge(edges, schema, plain, name, json_null());
    }
    bw_schema_free(schema);
    json_decref(plain);
    return edges;
}

/* ---- faults ---- */

static void add_fault(json_t *faults, json_t *input_take, const char *what, const char *name)
{
    json_array_append_new(faults, json_pack("{s:o,s:s++}", "input", input_take, "what", name, ": ", what));
}

json_t *bw_sample_faults(const json_t *fields)
{
    json_t *faults = json_array(), *plain = bw_sample_input(fields), *field, *input;
    const char *name;
    json_object_foreach((json_t *)fields, name, field)
    {
        const char *type = bw_json_str(field, "type", "any");
        if (json_is_true(json_object_get(field, "required")) && !json_object_get(field, "default")) {
            input = json_deep_copy(plain);
            json_object_del(input, name);
            add_fault(faults, input, "missing", name);
        }
        if (!strcmp(type, "any")) continue;
        input = json_deep_copy(plain);
        json_object_set_new(input, name, !strcmp(type, "string") ? json_integer(7) : json_string("no such type"));
        add_fault(faults, input, "of another type", name);
    }
    input = json_deep_copy(plain);
    json_object_set_new(input, "no field of the action", json_true());
    add_fault(faults, input, "a field that there is not", "no field of the action");
    json_decref(plain);
    return faults;
}
