#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/yaml.h"

/* Texts made to be expensive. Each is refused at the place where it oversteps, not after it was read: that the place is the
 * 65th bracket shows that libyaml never saw the other 99,935 (all of them would cost it 23 seconds). */
struct bomb {
    const char *head, *unit;
    size_t times;
    const char *code; /* NULL: is no bomb after all and loads */
    int line, column;
};
static const struct bomb bombs[] = {
    {"", "[", 100000, "yaml.too_deep", 1, 65},
    {"", "[\n", 50000, "yaml.too_deep", 65, 1},
    {"", "[ ", 100000, "yaml.too_deep", 1, 129},
    {"", "{a: ", 60000, "yaml.too_deep", 1, 257},
    {"", "{", 100000, "yaml.key", 1, 2},
    {"", "[{a: ", 50000, "yaml.too_deep", 1, 161},
    {"", "- ", 100000, "yaml.too_deep", 1, 129},
    {"", "? ", 100000, "yaml.key", 1, 3},
    {"", "[?", 50000, "yaml.key", 1, 3},
    {"", "- a\n", 60000, "yaml.too_many_nodes", 10000, 3},
    {"", "---\n", 60000, "yaml.too_many_nodes", 10002, 1},
    {"[", "a,", 100000, "yaml.too_many_nodes", 1, 20000},
    {"", "[&a x,", 20000, "yaml.anchor", 1, 2},
    {"a: &a [x,x,x,x]\nb: [*a,*a,*a,*a]\n", "", 0, "yaml.anchor", 1, 4},
    {"", "- *a\n", 50000, "yaml.alias", 1, 3},
    {"", "- !!binary aGk=\n", 15000, "yaml.tag", 1, 3},
    {"<<: ", "[", 10, "yaml.merge", 1, 1},
    {"", "k: v\n", 50000, "yaml.duplicate_key", 2, 1},
    {"\"", "a\n", 100000, "yaml.syntax", 100001, 1},
    {"", ":", 200000, "yaml.syntax", 1, 200000},
    {"", "\t", 200000, "yaml.syntax", 1, 1},
    {"", "#\n", 120000, NULL, 0, 0},
    {">\n", " a\n\n", 60000, NULL, 0, 0},
    {"\"", "\\x41", 60000, "yaml.syntax", 1, 240002},
    {"", "a", 262144, NULL, 0, 0},
    {"", "a", 262145, "yaml.too_large", 1, 1},
    {"", "a ", 130000, NULL, 0, 0},
};

static void test_bombs_are_refused_where_they_overstep(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
        struct bw_buf text = {0};
        struct bw_error err = {0};
        char shown[1200];
        bw_buf_append_text(&text, bombs[i].head);
        for (size_t n = 0; n < bombs[i].times; n++) bw_buf_append_text(&text, bombs[i].unit);
        struct bw_yaml *yaml = bw_yaml_load(bw_buf_slice(&text), "bomb.yaml", NULL, &err);
        if (!bombs[i].code != (yaml != NULL)) fail_msg("bomb %zu: %s", i, bw_error_text(&err, shown, sizeof shown));
        if (bombs[i].code) {
            if (strcmp(err.code, bombs[i].code) || err.line != bombs[i].line || err.column != bombs[i].column)
                fail_msg("bomb %zu: %s", i, bw_error_text(&err, shown, sizeof shown));
            assert_string_equal(err.file, "bomb.yaml");
        }
        bw_yaml_free(yaml);
        bw_buf_free(&text);
    }
}

static void expect(const char *text, struct bw_yaml_limits limits, const char *code)
{
    struct bw_error err = {0};
    struct bw_yaml *yaml = bw_yaml_load(bw_slice_of(text), "", &limits, &err);
    assert_string_equal(err.code, code);
    assert_true((yaml == NULL) == (code[0] != '\0'));
    bw_yaml_free(yaml);
}

static void test_limits_are_exact(void **state)
{
    (void)state;
    expect("[[[]]]", (struct bw_yaml_limits){.depth = 3}, "");
    expect("[[[]]]", (struct bw_yaml_limits){.depth = 2}, "yaml.too_deep");
    expect("[[],[[]],[]]", (struct bw_yaml_limits){.depth = 3}, ""); /* closed ones do not count */
    expect("{a: 1, b: 2}", (struct bw_yaml_limits){.nodes = 5}, "");
    expect("{a: 1, b: 2}", (struct bw_yaml_limits){.nodes = 4}, "yaml.too_many_nodes");
    expect("12345", (struct bw_yaml_limits){.bytes = 5}, "");
    expect("12345", (struct bw_yaml_limits){.bytes = 4}, "yaml.too_large");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bombs_are_refused_where_they_overstep), cmocka_unit_test(test_limits_are_exact)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
