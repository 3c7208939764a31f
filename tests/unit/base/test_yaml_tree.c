/* A part of a document that has been in another process is the same, places and all; what is no such part is refused whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/yaml_tree.h"
#include <stdio.h>
#include <stdlib.h>

static void assert_same(const struct bw_yaml_node *a, const struct bw_yaml_node *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->line, b->line);
    assert_int_equal(a->column, b->column);
    assert_int_equal(a->count, b->count);
    if (a->kind == BW_YAML_BOOL) assert_int_equal(a->boolean, b->boolean);
    if (a->kind == BW_YAML_INT) assert_int_equal(a->integer, b->integer);
    if (a->kind == BW_YAML_REAL) assert_true(a->real >= b->real && a->real <= b->real);
    if (a->kind != BW_YAML_LIST && a->kind != BW_YAML_MAP) {
        assert_int_equal(a->text.len, b->text.len);
        assert_memory_equal(a->text.ptr, b->text.ptr, a->text.len + 1); /* the NUL behind it as well */
    }
    for (size_t i = 0; i < a->count; i++) {
        if (a->kind == BW_YAML_MAP) {
            assert_same(a->pairs[i].key, b->pairs[i].key);
            assert_same(a->pairs[i].value, b->pairs[i].value);
        } else {
            assert_same(a->items[i], b->items[i]);
        }
    }
}

/* Through text, as it goes. */
static json_t *sent(const struct bw_yaml_node *node)
{
    struct bw_buf text = {0};
    struct bw_error err;
    json_t *tree = bw_yaml_tree(node);
    assert_non_null(tree);
    bw_json_append(&text, tree);
    json_decref(tree);
    json_t *read = bw_json_load(bw_buf_slice(&text), &err);
    if (!read) fail_msg("%s", err.message);
    bw_buf_free(&text);
    return read;
}

static void assert_travels(const char *text)
{
    struct bw_error err;
    struct bw_arena arena = {0};
    struct bw_yaml *yaml = bw_yaml_load(bw_slice_of(text), "t.yaml", NULL, &err);
    if (!yaml) fail_msg("%s", err.message);
    json_t *tree = sent(bw_yaml_root(yaml, 0));
    const struct bw_yaml_node *read = bw_yaml_tree_read(tree, &arena);
    assert_non_null(read);
    assert_same(bw_yaml_root(yaml, 0), read);
    json_decref(tree);
    bw_arena_free(&arena);
    bw_yaml_free(yaml);
}

static void test_every_kind_arrives_with_its_place(void **state)
{
    (void)state;
    assert_travels("a: [1, 2.5, true, null, 'x', \"\\u00e4\", ~, 0x10, -0]\nb:\n  c: {d: [], e: {}}\n  'f': |\n    text\n    more\n");
    assert_travels("plain");
    assert_travels("");
}

/* The head of a frame may be 64 deep; so may the part alone. */
static void test_what_is_as_deep_as_yaml_may_be_arrives(void **state)
{
    (void)state;
    char text[200];
    for (int i = 0; i < 60; i++) text[i] = '[';
    for (int i = 60; i < 120; i++) text[i] = ']';
    text[120] = '\0';
    assert_travels(text);
}

static void test_what_is_no_part_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "[]",
        "{}",
        "7",
        "[[1,1,99,\"x\"]]",
        "[[1,1,-1,\"x\"]]",
        "[[1,1,5,2],[1,1,4,\"a\"]]",               /* an item is missing */
        "[[1,1,5,1],[1,1,4,\"a\"],[1,1,4,\"b\"]]", /* one too many */
        "[[1,1,5,1000000000000]]",
        "[[1,1,5,-1]]",
        "[[1,1,6,1],[1,1,4,\"key\"]]",
        "[[1,1,6,1],[1,1,5,0],[1,1,4,\"v\"]]", /* the key is a list */
        "[null]",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct bw_arena arena = {0};
        json_t *tree = json_loads(bad[i], JSON_DECODE_ANY, NULL);
        assert_non_null(tree);
        if (bw_yaml_tree_read(tree, &arena)) fail_msg("%s is taken", bad[i]);
        json_decref(tree);
        bw_arena_free(&arena);
    }
    struct bw_buf deep = {0};
    struct bw_arena arena = {0};
    bw_buf_append_text(&deep, "[");
    for (int i = 0; i < 100000; i++) bw_buf_append_text(&deep, "[1,1,5,1],");
    bw_buf_append_text(&deep, "[1,1,5,0]]");
    json_t *tree = json_loads(deep.data, 0, NULL);
    assert_null(bw_yaml_tree_read(tree, &arena)); /* and the stack is still there */
    json_decref(tree);
    bw_arena_free(&arena);
    bw_buf_free(&deep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_arrives_with_its_place),
        cmocka_unit_test(test_what_is_as_deep_as_yaml_may_be_arrives),
        cmocka_unit_test(test_what_is_no_part_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
