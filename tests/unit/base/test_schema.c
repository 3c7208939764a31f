/* Values that somebody else has made: what does not fit is pointed at, and the rest is his business. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/schema.h"
#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static json_t *json_of(const char *text)
{
    struct bw_error err;
    json_t *value = bw_json_load(bw_slice_of(text), &err);
    if (!value) fail_msg("%s: %s", text, err.message);
    return value;
}

static struct bw_schema *schema_of(const char *text)
{
    struct bw_error err;
    json_t *from = json_of(text);
    struct bw_schema *schema = bw_schema_load_value(from, &err);
    if (!schema) fail_msg("%s: %s", text, err.message);
    json_decref(from);
    return schema;
}

static const struct {
    const char *schema, *value, *code, *pointer, *message; /* code NULL: it fits */
} cases[] = {
    {"{}", "7", NULL, NULL, NULL},
    {"{\"type\":\"object\"}", "[]", "body.type", "", "expected an object, found an array"},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"required\":true}}}", "{}", "body.missing", "/a", "is required"},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"b\":1}", NULL, NULL, NULL},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"integer\"}}}}}", "{\"a\":{\"c\":1,\"b\":2}}",
     NULL, NULL, NULL}, /* open at every level */
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"integer\"}}}}}", "{\"a\":{\"b\":1.5}}",
     "body.type", "/a/b", "expected an integer, found a number"},
    {"{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"n\":{\"min\":1}}}}", "[{\"n\":1},{\"n\":0}]", "body.range", "/1/n",
     "must be at least 1"},
    {"{\"properties\":{\"a/b\":{\"properties\":{\"c~d\":{\"type\":\"string\"}}}}}", "{\"a/b\":{\"c~d\":1}}", "body.type", "/a~1b/c~0d",
     "expected a string, found an integer"},
    {"{\"type\":\"array\",\"max_items\":2}", "[1,2,3]", "body.range", "", "must have at most 2 items, found 3"},
    {"{\"properties\":{\"l\":{\"type\":\"array\"}}}", "{\"l\":{}}", "body.type", "/l", "expected an array, found an object"}, /* no table of Lua's */
    {"{\"type\":\"string\",\"max_length\":3}", "\"\\u00e4\\u00f6\\u00fc\"", NULL, NULL, NULL},
    {"{\"type\":\"string\",\"max_length\":3}", "\"abcd\"", "body.range", "", "must have at most 3 characters"},
    {"{\"enum\":[\"a\",2]}", "2", NULL, NULL, NULL},
    {"{\"enum\":[\"a\",2]}", "\"s3cret-in-the-body\"", "body.enum", "", "must be one of [\"a\",2]"},
    {"{\"format\":\"date-time\"}", "\"2026-11-23T12:00:00.5+02:00\"", NULL, NULL, NULL},
    {"{\"format\":\"date-time\"}", "\"2026-13-23T12:00:00Z\"", "body.format", "", "must be a date-time"},
    {"{\"format\":\"date-time\"}", "\"2026-11-23 12:00:00Z\"", "body.format", "", "must be a date-time"},
    {"{\"format\":\"uuid\"}", "\"123e4567-e89b-12d3-a456-42661417400F\"", NULL, NULL, NULL},
    {"{\"format\":\"uuid\"}", "\"123e4567-e89b-12d3-a456-42661417400\"", "body.format", "", "must be a uuid"},
    {"{\"format\":\"uri\"}", "\"https://example.com/a\"", NULL, NULL, NULL},
    {"{\"format\":\"uri\"}", "\"example.com\"", "body.format", "", "must be a uri"},
    {"{\"format\":\"email\"}", "\"s3cret-in-the-body\"", "body.format", "", "must be a email"},
};

static void test_what_does_not_fit_is_pointed_at(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bw_schema *schema = schema_of(cases[i].schema);
        json_t *value = json_of(cases[i].value), *before = json_deep_copy(value);
        struct bw_buf pointer = {0};
        struct bw_error err = {0};
        bool fits = bw_schema_check_value(schema, value, "body", &pointer, &err);
        if (fits != !cases[i].code) fail_msg("%s under %s: %s", cases[i].value, cases[i].schema, fits ? "fits" : err.message);
        if (!fits &&
            (strcmp(err.code, cases[i].code) || strcmp(pointer.data ? pointer.data : "", cases[i].pointer) || strcmp(err.message, cases[i].message)))
            fail_msg("%s under %s: %s at '%s': %s", cases[i].value, cases[i].schema, err.code, pointer.data, err.message);
        if (fits) assert_int_equal(pointer.len, 0);
        assert_true(json_equal(value, before)); /* nothing is filled in */
        assert_null(strstr(err.message, "s3cret"));
        bw_buf_free(&pointer);
        json_decref(value);
        json_decref(before);
        bw_schema_free(schema);
    }
}

static void test_a_pointer_is_whole_however_long_it_is(void **state)
{
    (void)state;
    char name[600], text[1500];
    struct bw_buf pointer = {0};
    struct bw_error err;
    memset(name, 'n', sizeof name);
    name[599] = '\0';
    snprintf(text, sizeof text, "{\"properties\":{\"%s\":{\"type\":\"string\"}}}", name);
    struct bw_schema *schema = schema_of(text);
    snprintf(text, sizeof text, "{\"%s\":1}", name);
    json_t *value = json_of(text);
    assert_false(bw_schema_check_value(schema, value, "body", &pointer, &err));
    assert_int_equal(pointer.len, 600);
    assert_string_equal(pointer.data + 1, name);
    bw_buf_free(&pointer);
    json_decref(value);
    bw_schema_free(schema);
}

/* Our own values: fields that nobody knows are a spelling mistake, defaults are filled in, and Lua's {} may be a list. */
static void test_own_values_are_closed_and_completed(void **state)
{
    (void)state;
    json_t *fields = json_of("{\"a\":{\"type\":\"array\"},\"b\":{\"default\":7},\"c\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}");
    json_t *value = json_of("{\"a\":{}}"), *unknown = json_of("{\"bb\":1}"), *item = json_of("{\"c\":[\"x\",1]}");
    struct bw_error err;
    struct bw_schema *schema = bw_schema_load(fields, &err);
    assert_non_null(schema);
    assert_true(bw_schema_check(schema, value, false, "input", &err));
    assert_true(json_is_array(json_object_get(value, "a")));
    assert_int_equal(json_integer_value(json_object_get(value, "b")), 7);
    assert_false(bw_schema_check(schema, unknown, false, "input", &err));
    assert_string_equal(err.code, "input.unknown");
    assert_string_equal(err.hint, "did you mean 'b'?");
    assert_true(bw_schema_check(schema, unknown, true, "input", &err));
    assert_false(bw_schema_check(schema, item, true, "input", &err));
    assert_string_equal(err.message, "c[2]: expected a string, found an integer");
    bw_schema_free(schema);
    json_decref(fields);
    json_decref(value);
    json_decref(unknown);
    json_decref(item);
}

static void test_a_default_is_a_value_that_could_be_given(void **state)
{
    static const struct {
        const char *schema, *part; /* of the message; NULL: it is taken */
    } defaults[] = {
        {"{\"type\":\"integer\",\"min\":1,\"max\":9,\"default\":9}", NULL},
        {"{\"type\":\"integer\",\"min\":1,\"max\":9,\"default\":10}", "a: the default: must be at most 9"},
        {"{\"type\":\"integer\",\"default\":\"9\"}", "a: the default is no integer"},
        {"{\"enum\":[\"x\",\"y\"],\"default\":\"z\"}", "must be one of"},
        {"{\"format\":\"email\",\"default\":\"nobody\"}", "must be a email"},
        {"{\"type\":\"string\",\"max_length\":2,\"default\":\"abc\"}", "at most 2 characters"},
        {"{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"default\":[\"x\",1]}", "the default[2]: expected a string"},
        {"{\"type\":\"array\",\"max_items\":1,\"default\":[1,2]}", "at most 1 items"},
        {"{\"type\":\"array\",\"default\":{}}", NULL},
        {"{\"type\":\"object\",\"properties\":{\"b\":{\"required\":true}},\"default\":{}}", "the default.b: is required"},
        {"{\"type\":\"object\",\"properties\":{\"b\":{\"default\":1}},\"default\":{}}", NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(defaults); i++) {
        char text[300];
        struct bw_error err = {0};
        snprintf(text, sizeof text, "{\"a\":%s}", defaults[i].schema);
        json_t *fields = json_of(text), *before = json_deep_copy(fields);
        struct bw_schema *schema = bw_schema_load(fields, &err);
        if (!schema != !!defaults[i].part) fail_msg("%s: %s", text, schema ? "is taken" : err.message);
        if (!schema && (strcmp(err.code, "schema.invalid") || !strstr(err.message, defaults[i].part))) fail_msg("%s: %s", text, err.message);
        assert_true(json_equal(fields, before)); /* whose it is may be hashed, or shown */
        bw_schema_free(schema);
        json_decref(before);
        json_decref(fields);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_does_not_fit_is_pointed_at),
        cmocka_unit_test(test_a_pointer_is_whole_however_long_it_is),
        cmocka_unit_test(test_own_values_are_closed_and_completed),
        cmocka_unit_test(test_a_default_is_a_value_that_could_be_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
