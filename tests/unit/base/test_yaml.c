#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/yaml.h"
#include <stdio.h>

static struct bw_yaml *load(const char *text)
{
    struct bw_error err = {0};
    char shown[1200];
    struct bw_yaml *yaml = bw_yaml_load(bw_slice_of(text), "w.yaml", NULL, &err);
    if (!yaml) fail_msg("%s", bw_error_text(&err, shown, sizeof shown));
    return yaml;
}

static void expect_refused(struct bw_slice text, const char *code, int line, int column, struct bw_error *err)
{
    assert_null(bw_yaml_load(text, "w.yaml", NULL, err));
    assert_string_equal(err->code, code);
    assert_string_equal(err->file, "w.yaml");
    assert_int_equal(err->line, line);
    assert_int_equal(err->column, column);
}

static void test_nodes_know_their_kind_and_place(void **state)
{
    (void)state;
    struct bw_yaml *yaml = load("name: hello\n"
                                "on:\n"
                                "  - {event: push, n: 3}\n"
                                "text: |\n"
                                "  two\n"
                                "  lines\n"
                                "quoted: \"a\\tb\"\n");
    const struct bw_yaml_node *root = bw_yaml_root(yaml, 0), *node;
    assert_string_equal(bw_yaml_file(yaml), "w.yaml");
    assert_int_equal(bw_yaml_count(yaml), 1);
    assert_null(bw_yaml_root(yaml, 1));
    assert_int_equal(root->kind, BW_YAML_MAP);
    assert_int_equal(root->count, 4);
    assert_string_equal(root->pairs[1].key->text.ptr, "on");
    assert_int_equal(root->pairs[1].key->line, 2);
    node = bw_yaml_get(root, "name");
    assert_int_equal(node->kind, BW_YAML_STRING);
    assert_true(node->plain);
    assert_int_equal(node->line, 1);
    assert_int_equal(node->column, 7);
    node = bw_yaml_get(root, "on");
    assert_int_equal(node->kind, BW_YAML_LIST);
    assert_int_equal(node->count, 1);
    node = bw_yaml_get(node->items[0], "n");
    assert_int_equal(node->kind, BW_YAML_INT);
    assert_int_equal(node->integer, 3);
    assert_int_equal(node->line, 3);
    assert_int_equal(node->column, 22);
    node = bw_yaml_get(root, "text");
    assert_true(node->block && !node->plain);
    assert_int_equal(node->line, 4); /* the text itself begins one line below */
    assert_string_equal(node->text.ptr, "two\nlines\n");
    node = bw_yaml_get(root, "quoted");
    assert_false(node->plain || node->block);
    assert_string_equal(node->text.ptr, "a\tb");
    assert_null(bw_yaml_get(root, "absent"));
    assert_null(bw_yaml_get(node, "no map"));
    assert_null(bw_yaml_get(NULL, "x"));
    bw_yaml_free(yaml);
    bw_yaml_free(NULL);
}

/* What a value is must not depend on who reads it: this table is the whole typing rule. */
static void test_plain_scalars_have_fixed_types(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum bw_yaml_kind kind;
        double value;
    } rows[] = {
        {"", BW_YAML_NULL, 0},
        {"~", BW_YAML_NULL, 0},
        {"null", BW_YAML_NULL, 0},
        {"Null", BW_YAML_NULL, 0},
        {"NULL", BW_YAML_NULL, 0},
        {"nULL", BW_YAML_STRING, 0},
        {"nil", BW_YAML_STRING, 0},
        {"true", BW_YAML_BOOL, 1},
        {"True", BW_YAML_BOOL, 1},
        {"TRUE", BW_YAML_BOOL, 1},
        {"false", BW_YAML_BOOL, 0},
        {"False", BW_YAML_BOOL, 0},
        {"FALSE", BW_YAML_BOOL, 0},
        {"tRUE", BW_YAML_STRING, 0},
        {"yes", BW_YAML_STRING, 0},
        {"Yes", BW_YAML_STRING, 0},
        {"no", BW_YAML_STRING, 0},
        {"NO", BW_YAML_STRING, 0},
        {"on", BW_YAML_STRING, 0},
        {"off", BW_YAML_STRING, 0},
        {"y", BW_YAML_STRING, 0},
        {"n", BW_YAML_STRING, 0},
        {"0", BW_YAML_INT, 0},
        {"-0", BW_YAML_INT, 0},
        {"12", BW_YAML_INT, 12},
        {"-12", BW_YAML_INT, -12},
        {"+12", BW_YAML_INT, 12},
        {"012", BW_YAML_INT, 12},
        {"0o7", BW_YAML_INT, 7},
        {"0o17", BW_YAML_INT, 15},
        {"0o8", BW_YAML_STRING, 0},
        {"0o", BW_YAML_STRING, 0},
        {"-0o7", BW_YAML_STRING, 0},
        {"0x1f", BW_YAML_INT, 31},
        {"0xFF", BW_YAML_INT, 255},
        {"0xg", BW_YAML_STRING, 0},
        {"-0x1", BW_YAML_STRING, 0},
        {"0X1F", BW_YAML_STRING, 0},
        {"0b1", BW_YAML_STRING, 0},
        {"1_000", BW_YAML_STRING, 0},
        {"1e3", BW_YAML_REAL, 1000},
        {"1E3", BW_YAML_REAL, 1000},
        {"1e+3", BW_YAML_REAL, 1000},
        {"-1.5e-1", BW_YAML_REAL, -0.15},
        {"1.", BW_YAML_REAL, 1},
        {".5", BW_YAML_REAL, 0.5},
        {"-.5", BW_YAML_REAL, -0.5},
        {"0.1", BW_YAML_REAL, 0.1},
        {".", BW_YAML_STRING, 0},
        {"--", BW_YAML_STRING, 0},
        {"+", BW_YAML_STRING, 0},
        {"1e", BW_YAML_STRING, 0},
        {"e3", BW_YAML_STRING, 0},
        {"1.2.3", BW_YAML_STRING, 0},
        {"1 2", BW_YAML_STRING, 0},
        {"12:30:45", BW_YAML_STRING, 0},
        {"2026-11-23", BW_YAML_STRING, 0},
        {"2026-11-23T12:00:00Z", BW_YAML_STRING, 0},
        {"inf", BW_YAML_STRING, 0},
        {"nan", BW_YAML_STRING, 0},
        {"9223372036854775807", BW_YAML_INT, 9223372036854775807.0},
        {"5m", BW_YAML_STRING, 0},
        {"=", BW_YAML_STRING, 0},
        {"${{ a }}", BW_YAML_STRING, 0},
        {"0x7fffffffffffffff", BW_YAML_INT, 9223372036854775807.0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[64];
        snprintf(text, sizeof text, "v: %s\n", rows[i].text);
        struct bw_yaml *yaml = load(text);
        const struct bw_yaml_node *node = bw_yaml_get(bw_yaml_root(yaml, 0), "v");
        if (node->kind != rows[i].kind) fail_msg("'%s' is %s", rows[i].text, bw_yaml_kind_name(node->kind));
        if (node->kind == BW_YAML_INT) assert_true((double)node->integer == rows[i].value);
        if (node->kind == BW_YAML_REAL) assert_true(node->real == rows[i].value);
        if (node->kind == BW_YAML_BOOL) assert_true(node->boolean == (rows[i].value != 0));
        assert_string_equal(node->text.ptr, rows[i].text);
        bw_yaml_free(yaml);
    }
}

static void test_quoted_and_block_scalars_are_always_text(void **state)
{
    (void)state;
    struct bw_yaml *yaml = load("- 'true'\n- \"12\"\n- '~'\n- |\n  12\n- >-\n  null\n- ''\n- '.inf'\n");
    const struct bw_yaml_node *root = bw_yaml_root(yaml, 0);
    for (size_t i = 0; i < root->count; i++) assert_int_equal(root->items[i]->kind, BW_YAML_STRING);
    assert_string_equal(root->items[4]->text.ptr, "null");
    bw_yaml_free(yaml);
}

static void test_numbers_without_a_json_value_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {".inf",
                                      "-.INF",
                                      "+.Inf",
                                      ".nan",
                                      ".NaN",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "0x8000000000000000",
                                      "1e400",
                                      "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[64];
        struct bw_error err = {0};
        snprintf(text, sizeof text, "\nv:  %s\n", bad[i]);
        expect_refused(bw_slice_of(text), "yaml.number", 2, 5, &err);
        assert_string_equal(err.hint, "quote it if it is meant as text");
    }
}

static void test_keys_are_their_text(void **state)
{
    (void)state;
    struct bw_yaml *yaml = load("on: a\ntrue: b\n1: c\n1.0: d\n~: e\n'<<': f\n2026-11-23: g\n? |\n  block\n: h\n.inf: i\n");
    const struct bw_yaml_node *root = bw_yaml_root(yaml, 0);
    static const char *const keys[] = {"on", "true", "1", "1.0", "~", "<<", "2026-11-23", "block\n", ".inf"};
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(root->pairs[i].key->kind, BW_YAML_STRING);
        assert_string_equal(root->pairs[i].key->text.ptr, keys[i]);
        assert_int_equal(bw_yaml_get(root, keys[i])->text.ptr[0], 'a' + (int)i);
    }
    bw_yaml_free(yaml);
}

static void test_duplicate_key_names_both_lines(void **state)
{
    (void)state;
    struct bw_error err = {0};
    expect_refused(BW_SLICE("a: 1\nb: 2\n\"a\": 3\n"), "yaml.duplicate_key", 3, 1, &err);
    assert_string_equal(err.message, "the key 'a' on line 3 is already on line 1");
    expect_refused(BW_SLICE("x: {k: 1, j: {k: 1}, k: 2}"), "yaml.duplicate_key", 1, 22, &err);
    bw_yaml_free(load("- a: 1\n- a: 2\n")); /* other maps do not count */
}

static void test_features_that_hide_meaning_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *code;
        int line, column;
    } rows[] = {
        {"a: &x 1\n", "yaml.anchor", 1, 4},
        {"a:\n  - &x [1]\n", "yaml.anchor", 2, 5},
        {"&k a: 1\n", "yaml.anchor", 1, 1},
        {"a: 1\nb: *x\n", "yaml.alias", 2, 4},
        {"*x : 1\n", "yaml.alias", 1, 1},
        {"a: !!str 1\n", "yaml.tag", 1, 4},
        {"a: !secret KEY\n", "yaml.tag", 1, 4},
        {"a: ! 1\n", "yaml.tag", 1, 4},
        {"--- !x {a: 1}\n", "yaml.tag", 1, 5},
        {"- !!set {a}\n", "yaml.tag", 1, 3},
        {"%TAG !e! tag:e,2026:\n---\na: 1\n", "yaml.tag", 1, 1},
        {"a: 1\n<<: {b: 2}\n", "yaml.merge", 2, 1},
        {"{<<: {b: 2}}", "yaml.merge", 1, 2},
        {"? [a]\n: 1\n", "yaml.key", 1, 3},
        {"name: {{ x }}\n", "yaml.key", 1, 8},
        {"{[a]: 1}", "yaml.key", 1, 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bw_error err = {0};
        expect_refused(bw_slice_of(rows[i].text), rows[i].code, rows[i].line, rows[i].column, &err);
        assert_true(err.hint[0] != '\0');
    }
}

static void test_characters_that_yaml_forbids(void **state)
{
    (void)state;
    static const struct {
        struct bw_slice text;
        const char *code;
        int line, column;
    } rows[] = {
        {BW_SLICE("a: b\0c"), "yaml.character", 1, 5},
        {BW_SLICE("a: 1\nb: \x1b[31m"), "yaml.character", 2, 4},
        {BW_SLICE("\xc3\xa9: \x7f"), "yaml.character", 1, 4},
        {BW_SLICE("a: \xc2\x9b"), "yaml.character", 1, 4},
        {BW_SLICE("a: \xef\xbb\xbf"), "yaml.character", 1, 4},
        {BW_SLICE("a: x\xc2\x85"
                  "b: \x07"),
         "yaml.character", 2, 4}, /* NEL ends a line, as for libyaml */
        {BW_SLICE("a\r\nb\r\xff"), "yaml.encoding", 3, 1},
        {BW_SLICE("a: \xc0\xaf"), "yaml.encoding", 1, 4},
        {BW_SLICE("a: \xed\xa0\x80"), "yaml.encoding", 1, 4},
        {BW_SLICE("\xff\xfe"
                  "a\0"),
         "yaml.encoding", 1, 1},
        {BW_SLICE("a: caf\xe9\n"), "yaml.encoding", 1, 7},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bw_error err = {0};
        expect_refused(rows[i].text, rows[i].code, rows[i].line, rows[i].column, &err);
        assert_true(err.hint[0] != '\0');
    }
    struct bw_yaml *yaml = load("\xef\xbb\xbf"
                                "a: \"\\0\\e\"\n"); /* a BOM in front and escapes are fine */
    const struct bw_yaml_node *node = bw_yaml_get(bw_yaml_root(yaml, 0), "a");
    assert_int_equal(node->column, 4);
    assert_int_equal(node->text.len, 2);
    assert_memory_equal(node->text.ptr, "\0\x1b", 3);
    bw_yaml_free(yaml);
}

static void test_syntax_errors_have_a_place_and_a_next_step(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int line, column;
        const char *hint;
    } rows[] = {
        {"a:\n\tb: 1\n", 2, 1, "indent with spaces"},
        {"a: {b: ${{ x }}}\n", 1, 9, "inside { } and [ ] an expression needs quotes"},
        {"a: b: c\n", 1, 5, "quote a text that holds ': '"},
        {"cron: */5 * * * *\n", 1, 8, "a text that begins with * needs quotes"},
        {"a: @x\n", 1, 4, "a text that begins with @"},
        {"a: [1, 2\nb: 3\n", 2, 2, "is not closed"},
        {"a: \"open\n", 2, 1, "a quote or bracket is not closed"},
        {"a: 1\n b: 2\n", 2, 3, "quote a text that holds ': ', or check the indentation"},
        {"- a\nb: 1\n", 2, 1, "the '-' of one list begin in the same column"},
        {"a: \"\\q\"\n", 1, 5, "write the backslash twice"},
        {"a: [1, 2", 1, 9, "is not closed"}, /* no line that the file does not have */
        {"a: \"open", 1, 9, "a quote or bracket is not closed"},
        {"a: 1\xc2\x85"
         "b: @x\n",
         2, 4, "a text that begins with @"}, /* NEL ends a line */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bw_error err = {0};
        char shown[1200];
        expect_refused(bw_slice_of(rows[i].text), "yaml.syntax", rows[i].line, rows[i].column, &err);
        if (!strstr(err.hint, rows[i].hint)) fail_msg("%s", bw_error_text(&err, shown, sizeof shown));
    }
    assert_null(bw_yaml_load(BW_SLICE("a: ["), NULL, NULL, NULL)); /* neither a name nor an error is needed */
}

static void test_empty_text_is_one_null_document(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n\n", "# only a comment\n", "---\n", "\xef\xbb\xbf"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct bw_yaml *yaml = load(texts[i]);
        assert_int_equal(bw_yaml_count(yaml), 1);
        assert_int_equal(bw_yaml_root(yaml, 0)->kind, BW_YAML_NULL);
        bw_yaml_free(yaml);
    }
    struct bw_yaml *yaml = bw_yaml_load((struct bw_slice){NULL, 0}, NULL, NULL, NULL);
    assert_string_equal(bw_yaml_file(yaml), "");
    bw_yaml_free(yaml);
}

static void test_documents_of_one_text(void **state)
{
    (void)state;
    struct bw_yaml *yaml = load("a: 1\n---\n[2]\n...\n---\nthree\n");
    assert_int_equal(bw_yaml_count(yaml), 3);
    assert_int_equal(bw_yaml_root(yaml, 1)->kind, BW_YAML_LIST);
    assert_int_equal(bw_yaml_root(yaml, 2)->line, 6);
    bw_yaml_free(yaml);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nodes_know_their_kind_and_place),
        cmocka_unit_test(test_plain_scalars_have_fixed_types),
        cmocka_unit_test(test_quoted_and_block_scalars_are_always_text),
        cmocka_unit_test(test_numbers_without_a_json_value_are_refused),
        cmocka_unit_test(test_keys_are_their_text),
        cmocka_unit_test(test_duplicate_key_names_both_lines),
        cmocka_unit_test(test_features_that_hide_meaning_are_refused),
        cmocka_unit_test(test_characters_that_yaml_forbids),
        cmocka_unit_test(test_syntax_errors_have_a_place_and_a_next_step),
        cmocka_unit_test(test_empty_text_is_one_null_document),
        cmocka_unit_test(test_documents_of_one_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
