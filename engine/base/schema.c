#include "base/schema.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/suggest.h"
#include "base/utf8.h"
#include <ctype.h>
#include <stdlib.h>

enum type { ANY, STRING, INTEGER, NUMBER, BOOLEAN, OBJECT, ARRAY };
static const char *const type_names[] = {"any", "string", "integer", "number", "boolean", "object", "array"};
static const char *const schema_keys[] = {"type",   "required", "default",    "enum", "min",       "max",
                                          "format", "items",    "properties", "doc",  "max_items", "max_length"};
static const char *const formats[] = {"email", "uri", "date-time", "uuid"};
#define COUNT(array) (sizeof array / sizeof *array)
#define PATH_MAX_BYTES 200

struct node {
    enum type type;
    bool required;
    const char *format; /* of `formats`, or NULL */
    json_t *otherwise;  /* default */
    json_t *choices;    /* enum */
    json_t *min, *max;
    int64_t max_items, max_length; /* -1 = no limit */
    struct node *items;
    struct bw_schema *properties;
};
struct field {
    char *name;
    struct node *node;
};
struct bw_schema {
    struct field *fields;
    size_t count;
    bool is_open;       /* loaded from NULL: anything goes */
    struct node *value; /* of a value, not of a map of fields */
};
struct check {              /* one value under one schema */
    const char *prefix;     /* of the error's code */
    struct bw_buf *pointer; /* where it is; NULL: nobody asks */
    bool is_foreign;        /* somebody else has made it: it may hold more than the schema names, and is not changed */
    struct bw_error *err;
};

static void node_free(struct node *node)
{
    if (!node) return;
    json_decref(node->otherwise);
    json_decref(node->choices);
    json_decref(node->min);
    json_decref(node->max);
    node_free(node->items);
    bw_schema_free(node->properties);
    free(node);
}

void bw_schema_free(struct bw_schema *schema)
{
    if (!schema) return;
    for (size_t i = 0; i < schema->count; i++) {
        free(schema->fields[i].name);
        node_free(schema->fields[i].node);
    }
    free(schema->fields);
    node_free(schema->value);
    free(schema);
}

/* ---- loading ---- */

static bool unknown(struct bw_error *err, const char *path, const char *what, const char *word, const char *const *known, size_t count)
{
    const char *near = bw_suggest(bw_slice_of(word), known, count);
    bw_error_set(err, "schema.invalid", "%s: unknown %s '%s'", path, what, word);
    if (near) bw_error_hint(err, "did you mean '%s'?", near);
    return false;
}

static int find(const char *word, const char *const *known, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(known[i], word)) return (int)i;
    return -1;
}

static bool type_matches(enum type type, const json_t *value)
{
    switch (type) {
    case ANY: return true;
    case STRING: return json_is_string(value);
    case INTEGER: return json_is_integer(value);
    case NUMBER: return json_is_number(value);
    case BOOLEAN: return json_is_boolean(value);
    case OBJECT: return json_is_object(value);
    case ARRAY: return json_is_array(value);
    }
    return false;
}

/* Lua has one kind of table: {} reads as an empty object, and where an array is asked for it means an empty array. */
static bool is_empty_array(const struct node *node, const json_t *value)
{
    return node->type == ARRAY && json_is_object(value) && !json_object_size(value);
}

static struct bw_schema *load_fields(const json_t *fields, const char *path, struct bw_error *err);
static struct node *load_node(const json_t *from, const char *path, struct bw_error *err);
static bool check_node(const struct check *check, const struct node *node, json_t *value, const char *path);

static bool load_limits(struct node *node, const json_t *from, const char *path, struct bw_error *err)
{
    static const char *const names[] = {"max_items", "max_length"};
    int64_t *const targets[] = {&node->max_items, &node->max_length};
    for (size_t i = 0; i < COUNT(names); i++) {
        const json_t *value = json_object_get(from, names[i]);
        if (value && (!json_is_integer(value) || json_integer_value(value) < 0))
            return bw_error_set(err, "schema.invalid", "%s: %s must be a whole number", path, names[i]);
        *targets[i] = value ? json_integer_value(value) : -1;
    }
    node->min = json_incref(json_object_get(from, "min"));
    node->max = json_incref(json_object_get(from, "max"));
    if ((node->min && !json_is_number(node->min)) || (node->max && !json_is_number(node->max)))
        return bw_error_set(err, "schema.invalid", "%s: min and max must be numbers", path);
    return true;
}

/* It is what a value is when there is none: it must be one that could be given. */
static bool load_default(struct node *node, const json_t *from, const char *path, struct bw_error *err)
{
    struct bw_error why;
    const struct check check = {.prefix = "schema", .err = &why};
    if (!from) return true;
    if (!(node->otherwise = is_empty_array(node, from) ? json_array() : json_deep_copy(from))) return bw_error_set(err, "memory", "out of memory");
    if (!type_matches(node->type, node->otherwise))
        return bw_error_set(err, "schema.invalid", "%s: the default is no %s", path, type_names[node->type]);
    return check_node(&check, node, node->otherwise, "the default") || bw_error_set(err, "schema.invalid", "%s: %s", path, why.message);
}

static bool load_parts(struct node *node, const json_t *from, const char *path, struct bw_error *err)
{
    const json_t *type = json_object_get(from, "type"), *format = json_object_get(from, "format"), *items = json_object_get(from, "items");
    const json_t *required = json_object_get(from, "required"), *properties = json_object_get(from, "properties");
    char inner[PATH_MAX_BYTES];
    int index = ANY;

    if (type && (!json_is_string(type) || (index = find(json_string_value(type), type_names, COUNT(type_names))) < 0))
        return unknown(err, path, "type", json_is_string(type) ? json_string_value(type) : "?", type_names, COUNT(type_names));
    node->type = (enum type)index;
    if (required && !json_is_boolean(required)) return bw_error_set(err, "schema.invalid", "%s: required must be true or false", path);
    node->required = json_is_true(required);
    if (format) {
        int which = json_is_string(format) ? find(json_string_value(format), formats, COUNT(formats)) : -1;
        if (which < 0) return unknown(err, path, "format", json_is_string(format) ? json_string_value(format) : "?", formats, COUNT(formats));
        node->format = formats[which];
    }
    if ((node->choices = json_incref(json_object_get(from, "enum"))) && !json_array_size(node->choices))
        return bw_error_set(err, "schema.invalid", "%s: enum must be a list with values", path);
    if (!load_limits(node, from, path, err)) return false;
    if (items) {
        snprintf(inner, sizeof inner, "%s[]", path);
        if (!(node->items = load_node(items, inner, err))) return false;
    }
    if (properties && !(node->properties = load_fields(properties, path, err))) return false;
    return load_default(node, json_object_get(from, "default"), path, err);
}

static struct node *load_node(const json_t *from, const char *path, struct bw_error *err)
{
    struct node *node;
    const char *key;
    json_t *value;
    if (!json_is_object(from)) {
        bw_error_set(err, "schema.invalid", "%s: a schema must be a map such as {type: string}", path);
        return NULL;
    }
    json_object_foreach((json_t *)from, key, value) if (find(key, schema_keys, COUNT(schema_keys)) < 0)
    {
        unknown(err, path, "schema key", key, schema_keys, COUNT(schema_keys));
        return NULL;
    }
    if (!(node = calloc(1, sizeof *node))) {
        bw_error_set(err, "memory", "out of memory");
        return NULL;
    }
    if (load_parts(node, from, path, err)) return node;
    node_free(node);
    return NULL;
}

static struct bw_schema *load_fields(const json_t *fields, const char *path, struct bw_error *err)
{
    struct bw_schema *schema = calloc(1, sizeof *schema);
    const char *name;
    json_t *field;
    if (schema && json_is_object(fields)) schema->fields = calloc(json_object_size(fields) + 1, sizeof *schema->fields);
    if (!schema || !schema->fields) {
        if (schema) bw_error_set(err, "schema.invalid", "%s%smust be a map of field names to schemas", path, *path ? ": " : "");
        free(schema);
        return NULL;
    }
    json_object_foreach((json_t *)fields, name, field)
    {
        char inner[PATH_MAX_BYTES];
        struct field *added = &schema->fields[schema->count++];
        snprintf(inner, sizeof inner, "%s%s%s", path, *path ? "." : "", name);
        added->name = bw_slice_dup(bw_slice_of(name));
        if (!(added->node = load_node(field, inner, err))) {
            bw_schema_free(schema);
            return NULL;
        }
    }
    return schema;
}

struct bw_schema *bw_schema_load(const json_t *fields, struct bw_error *err)
{
    if (fields) return load_fields(fields, "", err);
    struct bw_schema *schema = calloc(1, sizeof *schema);
    if (schema)
        schema->is_open = true;
    else
        bw_error_set(err, "memory", "out of memory");
    return schema;
}

struct bw_schema *bw_schema_load_value(const json_t *value, struct bw_error *err)
{
    struct bw_schema *schema = calloc(1, sizeof *schema);
    if (!schema) {
        bw_error_set(err, "memory", "out of memory");
        return NULL;
    }
    if ((schema->value = load_node(value, "the body", err))) return schema;
    free(schema);
    return NULL;
}

/* ---- checking ---- */

static const char *value_type(const json_t *value)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string", [JSON_INTEGER] = "an integer",
        [JSON_REAL] = "a number",    [JSON_TRUE] = "a boolean", [JSON_FALSE] = "a boolean", [JSON_NULL] = "null"};
    return names[json_typeof(value)];
}

static bool wrong(const struct check *check, const char *kind, const char *path, const char *format, ...) __attribute__((format(printf, 4, 5)));
static bool wrong(const struct check *check, const char *kind, const char *path, const char *format, ...)
{
    char code[48], text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(code, sizeof code, "%s.%s", check->prefix, kind);
    if (check->is_foreign) return bw_error_set(check->err, code, "%s", text);
    return bw_error_set(check->err, code, "%s: %s", path, text);
}

/* The place of a member or an item: as RFC 6901 has it, in the pointer; of ours as Lua would write it, in `inner`. Returns what leave() needs. */
static size_t enter(const struct check *check, const char *path, const char *name, size_t index, char inner[PATH_MAX_BYTES])
{
    size_t before = check->pointer ? check->pointer->len : 0;
    if (check->is_foreign)
        *inner = '\0';
    else if (name)
        snprintf(inner, PATH_MAX_BYTES, "%s%s%s", path, *path ? "." : "", name);
    else
        snprintf(inner, PATH_MAX_BYTES, "%s[%zu]", path, index + 1);
    if (!check->pointer) return 0;
    if (!name) bw_buf_printf(check->pointer, "/%zu", index);
    if (name) bw_buf_append_pointer(check->pointer, bw_slice_of(name));
    return before;
}

static void leave(const struct check *check, size_t before)
{
    if (check->pointer && check->pointer->data) check->pointer->data[check->pointer->len = before] = '\0';
}

static bool format_matches(const char *format, const char *text)
{
    const char *at = strchr(text, '@');
    if (!strcmp(format, "email"))
        return at && at > text && !strchr(at + 1, '@') && strchr(at + 1, '.') && at[1] != '.' && !strpbrk(text, " \t\r\n") &&
               text[strlen(text) - 1] != '.';
    if (!strcmp(format, "uri")) {
        size_t scheme = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");
        return scheme && isalpha((unsigned char)*text) && text[scheme] == ':' && text[scheme + 1] && !strpbrk(text, " \t\r\n<>\"");
    }
    if (!strcmp(format, "date-time")) {
        int64_t ms;
        return strlen(text) > 10 && text[10] != ' ' && bw_clock_parse(bw_slice_of(text), &ms);
    }
    for (const char *pattern = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"; *pattern; pattern++, text++)
        if (*pattern == 'x' ? !isxdigit((unsigned char)*text) : *pattern != *text) return false;
    return !*text;
}

static size_t characters(const char *text)
{
    size_t count = 0;
    for (; *text; text++) count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static bool check_fields(const struct check *check, const struct bw_schema *schema, json_t *object, bool open, const char *path);

/* Of our own values, which Lua may have made. */
static bool takes_empty(const struct check *check, const struct node *node, const json_t *value)
{
    return !check->is_foreign && is_empty_array(node, value);
}

static bool check_node(const struct check *check, const struct node *node, json_t *value, const char *path)
{
    size_t index;
    json_t *item;
    if (!type_matches(node->type, value))
        return wrong(check, "type", path, "expected %s %s, found %s", strchr("aio", *type_names[node->type]) ? "an" : "a", type_names[node->type],
                     value_type(value));
    if (node->choices) {
        json_array_foreach(node->choices, index, item) if (json_equal(item, value)) break;
        if (index == json_array_size(node->choices)) {
            struct bw_buf list = {0};
            bw_json_append(&list, node->choices);
            wrong(check, "enum", path, "must be one of %.200s", list.data ? list.data : "");
            bw_buf_free(&list);
            return false;
        }
    }
    if (json_is_number(value)) {
        if (node->min && json_number_value(value) < json_number_value(node->min))
            return wrong(check, "range", path, "must be at least %g", json_number_value(node->min));
        if (node->max && json_number_value(value) > json_number_value(node->max))
            return wrong(check, "range", path, "must be at most %g", json_number_value(node->max));
    }
    if (json_is_string(value)) {
        if (node->max_length >= 0 && characters(json_string_value(value)) > (size_t)node->max_length)
            return wrong(check, "range", path, "must have at most %lld characters", (long long)node->max_length);
        if (node->format && !format_matches(node->format, json_string_value(value)))
            return wrong(check, "format", path, "must be a %s", node->format);
    }
    if (json_is_array(value)) {
        if (node->max_items >= 0 && json_array_size(value) > (size_t)node->max_items)
            return wrong(check, "range", path, "must have at most %lld items, found %zu", (long long)node->max_items, json_array_size(value));
        json_array_foreach(value, index, item)
        {
            char inner[PATH_MAX_BYTES];
            if (!node->items) break;
            size_t before = enter(check, path, NULL, index, inner);
            if (takes_empty(check, node->items, item) && json_array_set_new(value, index, item = json_array()))
                return bw_error_set(check->err, "memory", "out of memory");
            if (!check_node(check, node->items, item, inner)) return false;
            leave(check, before);
        }
    }
    return !json_is_object(value) || !node->properties || check_fields(check, node->properties, value, check->is_foreign, path);
}

static bool check_unknown(const struct check *check, const struct bw_schema *schema, const json_t *object, const char *path)
{
    const char *name, *known[64];
    json_t *value;
    size_t count = schema->count < COUNT(known) ? schema->count : COUNT(known);
    for (size_t i = 0; i < count; i++) known[i] = schema->fields[i].name;
    json_object_foreach((json_t *)object, name, value)
    {
        size_t i = 0;
        while (i < schema->count && strcmp(schema->fields[i].name, name)) i++;
        if (i < schema->count) continue;
        const char *near = bw_suggest(bw_slice_of(name), known, count);
        char inner[PATH_MAX_BYTES];
        enter(check, path, name, 0, inner);
        wrong(check, "unknown", *path ? path : name, "there is no field '%s'", name);
        if (near) bw_error_hint(check->err, "did you mean '%s'?", near);
        return false;
    }
    return true;
}

static bool check_fields(const struct check *check, const struct bw_schema *schema, json_t *object, bool open, const char *path)
{
    if (!open && !check_unknown(check, schema, object, path)) return false;
    for (size_t i = 0; i < schema->count; i++) {
        const struct field *field = &schema->fields[i];
        json_t *value = json_object_get(object, field->name);
        char inner[PATH_MAX_BYTES];
        size_t before = enter(check, path, field->name, 0, inner);
        if (!value && field->node->otherwise) {
            if (json_object_set_new(object, field->name, json_deep_copy(field->node->otherwise)))
                return bw_error_set(check->err, "memory", "out of memory");
        } else if (!value) {
            if (field->node->required) return wrong(check, "missing", inner, "is required");
        } else {
            if (takes_empty(check, field->node, value) && json_object_set_new(object, field->name, value = json_array()))
                return bw_error_set(check->err, "memory", "out of memory");
            if (!check_node(check, field->node, value, inner)) return false;
        }
        leave(check, before);
    }
    return true;
}

bool bw_schema_check(const struct bw_schema *schema, json_t *object, bool open, const char *prefix, struct bw_error *err)
{
    const struct check check = {.prefix = prefix, .err = err};
    if (!json_is_object(object)) return wrong(&check, "type", "the value", "expected an object, found %s", value_type(object));
    return schema->is_open || check_fields(&check, schema, object, open, "");
}

bool bw_schema_check_placed(const struct bw_schema *schema, json_t *object, const char *prefix, struct bw_buf *pointer, struct bw_error *err)
{
    const struct check check = {.prefix = prefix, .pointer = pointer, .err = err};
    if (!json_is_object(object)) return wrong(&check, "type", "the value", "expected an object, found %s", value_type(object));
    return schema->is_open || check_fields(&check, schema, object, false, "");
}

bool bw_schema_check_value(const struct bw_schema *schema, json_t *value, const char *prefix, struct bw_buf *pointer, struct bw_error *err)
{
    const struct check check = {.prefix = prefix, .pointer = pointer, .is_foreign = true, .err = err};
    return check_node(&check, schema->value, value, "");
}
