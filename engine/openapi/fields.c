/* Schemas of a description in the small language of base/schema.h. */
#include "openapi/internal.h"
#include <string.h>

#define DEPTH_MAX 5
#define FIELDS_MAX 300 /* of one field with all below it: what is larger is no help to who writes a step */
#define REFERENCES_MAX 16
#define PARTS_MAX 1000 /* of allOf, of one field with all below it */

static const json_t *follow(const json_t *spec, const char *pointer)
{
    const json_t *at = spec;
    while (at && *pointer == '/') {
        struct bw_buf part = {0};
        for (pointer++; *pointer && *pointer != '/'; pointer++) {
            bool is_escape = *pointer == '~' && (pointer[1] == '0' || pointer[1] == '1');
            bw_buf_append_char(&part, is_escape ? (pointer[1] == '0' ? '~' : '/') : *pointer);
            pointer += is_escape;
        }
        at = part.failed ? NULL : json_object_get(at, part.data ? part.data : "");
        bw_buf_free(&part);
    }
    return at;
}

const json_t *bw_openapi_resolve(const json_t *spec, const json_t *node)
{
    for (int i = 0; node && i < REFERENCES_MAX; i++) {
        const char *reference = bw_json_str(node, "$ref", NULL);
        if (!reference) return node;
        node = reference[0] == '#' ? follow(spec, reference + 1) : NULL;
    }
    return NULL;
}

struct reading {
    const json_t *spec;
    bool for_request;
    size_t fields, parts;
    const json_t *inside[DEPTH_MAX + 1]; /* schemas that are being read: one that holds itself ends there */
};

/* "string", "null" and the like as one of our types. */
static const char *type_of(const json_t *schema)
{
    static const char *const types[] = {"string", "integer", "number", "boolean", "object", "array"};
    const json_t *type = json_object_get(schema, "type");
    const char *name = json_string_value(type), *found = NULL;
    size_t index;
    json_t *item;
    json_array_foreach(type, index, item)
    {
        if (bw_slice_is(bw_json_slice(item), "null")) continue;
        if (name) return "any";
        name = json_string_value(item);
    }
    if (!name && json_object_get(schema, "properties")) name = "object";
    if (!name && json_object_get(schema, "items")) name = "array";
    for (size_t i = 0; name && i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i], name)) found = types[i];
    return found ? found : "any";
}

/* What allOf puts together, as one schema. New reference. */
static json_t *merged(struct reading *reading, const json_t *schema, int depth)
{
    json_t *whole = json_copy((json_t *)schema), *properties = json_object(), *required = json_array(), *part;
    const json_t *own = json_object_get(schema, "properties");
    size_t index, inner;
    json_t *name;
    json_object_update(properties, (json_t *)own);
    json_array_extend(required, json_object_get(schema, "required"));
    json_array_foreach(json_object_get(schema, "allOf"), index, part)
    {
        const json_t *resolved = bw_openapi_resolve(reading->spec, part);
        if (!json_is_object(resolved) || depth > DEPTH_MAX || ++reading->parts > PARTS_MAX) continue;
        json_t *other = merged(reading, resolved, depth + 1);
        json_object_update_missing(properties, json_object_get(other, "properties"));
        json_array_foreach(json_object_get(other, "required"), inner, name) json_array_append(required, name);
        json_object_update_missing(whole, other);
        json_decref(other);
    }
    json_object_del(whole, "allOf");
    if (json_object_size(properties)) json_object_set(whole, "properties", properties);
    if (json_array_size(required)) json_object_set(whole, "required", required);
    json_decref(properties);
    json_decref(required);
    return whole;
}

static bool has_name(const json_t *names, const char *name)
{
    size_t index;
    json_t *item;
    json_array_foreach(names, index, item) if (bw_slice_is(bw_json_slice(item), name)) return true;
    return false;
}

static bool is_scalar_list(const json_t *list)
{
    size_t index;
    json_t *item;
    json_array_foreach(list, index, item) if (!json_is_string(item) && !json_is_number(item) && !json_is_boolean(item)) return false;
    return json_array_size(list) > 0;
}

static void take_limits(const json_t *schema, const char *type, json_t *field)
{
    static const char *const formats[] = {"email", "uri", "date-time", "uuid"};
    const json_t *least = json_object_get(schema, "minimum"), *most = json_object_get(schema, "maximum"),
                 *length = json_object_get(schema, "maxLength"), *items = json_object_get(schema, "maxItems");
    const char *format = bw_json_str(schema, "format", "");
    bool is_number = !strcmp(type, "integer") || !strcmp(type, "number");
    /* exclusive ones are the server's to judge: 3.0 has them as booleans beside the limit, 3.1 as numbers of their own */
    if (is_number && json_is_number(least)) json_object_set(field, "min", (json_t *)least);
    if (is_number && json_is_number(most)) json_object_set(field, "max", (json_t *)most);
    if (!strcmp(type, "string") && json_is_integer(length)) json_object_set(field, "max_length", (json_t *)length);
    if (!strcmp(type, "array") && json_is_integer(items)) json_object_set(field, "max_items", (json_t *)items);
    for (size_t i = 0; !strcmp(type, "string") && i < sizeof formats / sizeof *formats; i++)
        if (!strcmp(formats[i], format)) json_object_set_new(field, "format", json_string(format));
}

static json_t *read_field(struct reading *reading, const json_t *schema, int depth);

static bool is_inside(const struct reading *reading, const json_t *schema, int depth)
{
    for (int i = 0; i < depth; i++)
        if (reading->inside[i] == schema) return true;
    return false;
}

static void take_properties(struct reading *reading, const json_t *schema, json_t *field, int depth)
{
    const json_t *properties = json_object_get(schema, "properties"), *more = json_object_get(schema, "additionalProperties");
    const char *name;
    json_t *property, *read = json_object();
    bool is_open = json_is_object(more) || json_is_true(more); /* ours is closed where it names fields */
    if (depth < DEPTH_MAX && !is_open) json_object_foreach((json_t *)properties, name, property)
        {
            const json_t *resolved = bw_openapi_resolve(reading->spec, property);
            bool is_left_out = reading->for_request && json_is_true(json_object_get(resolved, "readOnly"));
            if (is_left_out || reading->fields > FIELDS_MAX) continue;
            json_t *inner = read_field(reading, property, depth + 1);
            if (has_name(json_object_get(schema, "required"), name)) json_object_set_new(inner, "required", json_true());
            json_object_set_new(read, name, inner);
        }
    if (json_object_size(read) && reading->fields <= FIELDS_MAX) json_object_set(field, "properties", read);
    json_decref(read);
}

static json_t *read_field(struct reading *reading, const json_t *schema, int depth)
{
    const json_t *resolved = bw_openapi_resolve(reading->spec, schema), *choices, *items;
    json_t *field = json_object();
    bool is_again = is_inside(reading, resolved, depth);
    reading->fields++;
    reading->inside[depth] = resolved;
    if (!json_is_object(resolved) || json_object_get(resolved, "oneOf") || json_object_get(resolved, "anyOf")) {
        json_object_set_new(field, "type", json_string("any"));
        return field;
    }
    json_t *whole = merged(reading, resolved, 0);
    const char *type = json_object_get(whole, "oneOf") || json_object_get(whole, "anyOf") ? "any" : type_of(whole);
    json_object_set_new(field, "type", json_string(type));
    choices = json_object_get(whole, "enum");
    bool has_choices = is_scalar_list(choices) && strcmp(type, "any") != 0 && strcmp(type, "object") != 0 && strcmp(type, "array") != 0;
    if (has_choices) json_object_set(field, "enum", (json_t *)choices);
    take_limits(whole, type, field);
    items = json_object_get(whole, "items");
    if (!strcmp(type, "array") && items && !is_again && depth < DEPTH_MAX && reading->fields <= FIELDS_MAX)
        json_object_set_new(field, "items", read_field(reading, items, depth + 1));
    if (!strcmp(type, "object") && !is_again && reading->fields <= FIELDS_MAX) take_properties(reading, whole, field, depth);
    json_t *doc = bw_openapi_doc(bw_json_str(whole, "description", bw_json_str(whole, "title", "")));
    if (json_string_length(doc)) json_object_set(field, "doc", doc);
    json_decref(doc);
    json_decref(whole);
    return field;
}

json_t *bw_openapi_field(const json_t *spec, const json_t *schema, bool for_request)
{
    struct reading reading = {.spec = spec, .for_request = for_request};
    return read_field(&reading, schema, 0);
}
