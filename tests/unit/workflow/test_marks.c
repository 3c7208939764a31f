/* Places: an expression's mark is the first byte of its text in the file, however YAML wraps it. The samples hold the
 * expressions 101, 102, …: where they stand is found by plain search in the file, not by the code under test. */
#include "workflow_fixture.h"

#define LS "\xe2\x80\xa8"
#define PS "\xe2\x80\xa9"
#define NEL "\xc2\x85"

static const char head[] = "name: t\non: [{manual: true}]\nsteps:\n  - id: s\n";

static struct bw_mark place_of(const char *file, const char *needle)
{
    struct bw_mark mark = {1, 1};
    const char *found = strstr(file, needle);
    assert_non_null(found);
    if (!strncmp(file, "\xef\xbb\xbf", 3)) file += 3;
    for (const char *at = file; at < found; at++) {
        if (*at == '\n' || !strncmp(at, LS, 3) || !strncmp(at, PS, 3) || !strncmp(at, NEL, 2)) mark = (struct bw_mark){mark.line + 1, 0};
        if (((unsigned char)*at & 0xc0) != 0x80) mark.column++;
    }
    return mark;
}

/* The `set` that follows holds the expressions 101, 102, …, each once. */
static void check_marks(const char *set)
{
    char file[4096], needle[24];
    snprintf(file, sizeof file, "%s%s", head, set);
    struct loaded loaded = load_text(file);
    const struct bw_workflow *workflow = only(&loaded);
    assert_true(workflow->expr_count > 0);
    for (size_t i = 0; i < workflow->expr_count; i++) {
        const struct bw_expr *expr = &workflow->exprs[i];
        snprintf(needle, sizeof needle, "10%zu", i + 1);
        struct bw_mark expected = place_of(file, needle);
        if (strncmp(expr->source.ptr, needle, strlen(needle)) || expr->mark.line != expected.line || expr->mark.column != expected.column)
            fail_msg("in\n%s\n%s stands at %d:%d; said: '%s' at %d:%d", file, needle, expected.line, expected.column, expr->source.ptr,
                     expr->mark.line, expr->mark.column);
    }
    unload(&loaded);
}

static void test_marks_in_flow_scalars_are_exact(void **state)
{
    (void)state;
    check_marks("    set: {a: \"${{ 101 }}\", b: 'two ${{102}}, ${{   103 }}'}\n");
    check_marks("    set:\n      a: ${{ 101 }} plain ${{ 102 }}\n");
    check_marks("    set: {a: \"é→ ${{ 101 }} 𝄞 ${{ 102 }}\"}\n");                                /* columns count characters */
    check_marks("    set: {a: \"\\t\\\"\\x41\\u00e9\\U0001d11e\\N\\_\\L\\P\\\\ ${{ 101 }}\"}\n"); /* escapes are longer than what they say */
    check_marks("    set: {a: 'it''s ''${{ 101 }}'' ${{ 102 }}'}\n");
    check_marks("    set:\n      \"quoted key\": \"${{ 101 }}\"\n");
}

static void test_marks_in_folded_flow_scalars_are_exact(void **state)
{
    (void)state;
    check_marks("    set:\n      a: one   \n        two ${{ 101 }}\n\n\n          three ${{ 102 }}\n");
    check_marks("    set:\n      a: \"one   \n        two ${{ 101 }}\n\n\n\t  three ${{\n   102 }}\"\n");
    check_marks("    set:\n      a: 'one\n\n        two ${{ 101 }}'\n");
    check_marks("    set:\n      a: \"one \\\n        two \\  ${{ 101 }} \\\n\n  ${{ 102 }}\"\n"); /* escaped line breaks add nothing */
    check_marks("    set:\n      a: \"\\\n        ${{ 101 }}\"\n");
}

/* They end a line of the file, as YAML 1.1 has it. LS and PS stay in the text, where NEL is a \\n. */
static void test_marks_behind_line_breaks_of_unicode_are_exact(void **state)
{
    (void)state;
    check_marks("    set: {a: \"one" LS "two ${{ 101 }}" PS LS "  ${{ 102 }}" NEL "${{ 103 }}\"}\n");
    check_marks("    set: {a: 'one" NEL NEL PS "two ${{ 101 }}\n" LS "  ${{ 102 }}'}\n");
    check_marks("    set:\n      a: one" LS "        two ${{ 101 }}\n");
    check_marks("    set: {a: \"one\\" LS "  " PS "${{ 101 }} \\\n" LS "${{ 102 }}\"}\n");
    check_marks("    set:\n      a: |\n        one" LS "        two ${{ 101 }}" NEL "        ${{ 102 }}\n");
    check_marks("    set:\n      a: |\n" LS "\n        ${{ 101 }}\n");
    check_marks("    set:\n      a: >\n        one" LS "        two ${{ 101 }}\n        three" PS NEL "        ${{ 102 }}\n");
}

static void test_marks_in_literal_blocks_are_exact(void **state)
{
    (void)state;
    check_marks("    set:\n      a: |\n        ${{ 101 }}\n          deep ${{ 102 }}\n\n        é ${{\n           103 }}\n");
    check_marks("    set:\n      a: |-  # why\n\n\n          ${{ 101 }}\n");
    check_marks("    set:\n      a: |2\n           three more ${{ 101 }}\n        ${{ 102 }}\n"); /* the indentation is written out */
}

static void test_marks_in_folded_blocks_are_exact(void **state)
{
    (void)state;
    check_marks(
        "    set:\n      a: >\n        one\n        two ${{ 101 }}\n\n\n        three ${{ 102 }}\n          more indented ${{ 103 }}\n        "
        "${{ 104 }}\n");
    check_marks("    set:\n      a: >+\n\n        ${{ 101\n        }} ${{ 102 }}\n\n");
}

static void test_marks_survive_other_line_breaks_and_a_bom(void **state)
{
    (void)state;
    static const char *const files[] = {
        "\xef\xbb\xbfname: t\non: [{manual: true}]\nsteps: [{id: s, set: {a: \"${{ 101 }}\"}}]\n",
        "\xef\xbb\xbf{name: t, on: [{manual: true}], steps: [{id: s, set: {a: \"${{ 101 }}\"}}]}\n",
        "name: t\r\non: [{manual: true}]\r\nsteps:\r\n  - id: s\r\n    set:\r\n      a: |\r\n        one\r\n        ${{ 101 }}\r\n",
        "name: t\r\non: [{manual: true}]\r\nsteps:\r\n  - id: s\r\n    set:\r\n      a: \"one\r\n        ${{ 101 }}\"\r\n",
    };
    for (size_t i = 0; i < COUNT(files); i++) {
        struct loaded loaded = load_text(files[i]);
        struct bw_mark expected = place_of(files[i], "101");
        assert_mark(only(&loaded)->exprs[0].mark, expected.line, expected.column);
        unload(&loaded);
    }
}

static void test_lua_code_begins_on_its_own_line(void **state)
{
    (void)state;
    static const struct {
        const char *lua;
        int line, column;
    } samples[] = {
        {"    lua: return {}\n", 5, 10},
        {"    lua: 'return {}'\n", 5, 11},
        {"    lua: |\n      local a = 1\n      return a\n", 6, 7},
        {"    lua: |\n\n      return 1\n", 6, 1}, /* the empty line is code, too: Lua's line 2 is the file's 7 */
    };
    for (size_t i = 0; i < COUNT(samples); i++) {
        char file[512];
        snprintf(file, sizeof file, "%s%s", head, samples[i].lua);
        struct loaded loaded = load_text(file);
        assert_mark(only(&loaded)->steps[0].lua_mark, samples[i].line, samples[i].column);
        unload(&loaded);
    }
}

/* Lua reports lines inside an expression: its text must keep them. */
static void test_line_breaks_in_expressions_are_kept(void **state)
{
    (void)state;
    struct loaded loaded =
        load_text("name: t\non: [{manual: true}]\nsteps:\n  - id: s\n    if: |\n      ok !=\n      len &&\n      !has\n    set: {}\n");
    assert_slice(only(&loaded)->exprs[0].source, "ok ~=\nlen and\nnot has");
    unload(&loaded);
}

static void test_marks_of_thousands_of_holes_in_one_text(void **state)
{
    (void)state;
    struct bw_buf file = {0};
    bw_buf_append_text(&file, head);
    bw_buf_append_text(&file, "    set:\n      a: |\n");
    for (int i = 0; i < 11000; i++) bw_buf_append_text(&file, "        ${{ 1 }}\n");
    struct loaded loaded = load_text(file.data);
    const struct bw_workflow *workflow = only(&loaded);
    assert_int_equal(workflow->expr_count, 11000);
    assert_mark(workflow->exprs[10999].mark, 7 + 10999, 13);
    unload(&loaded);
    bw_buf_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marks_in_flow_scalars_are_exact),
        cmocka_unit_test(test_marks_in_folded_flow_scalars_are_exact),
        cmocka_unit_test(test_marks_behind_line_breaks_of_unicode_are_exact),
        cmocka_unit_test(test_marks_in_literal_blocks_are_exact),
        cmocka_unit_test(test_marks_in_folded_blocks_are_exact),
        cmocka_unit_test(test_marks_survive_other_line_breaks_and_a_bom),
        cmocka_unit_test(test_lua_code_begins_on_its_own_line),
        cmocka_unit_test(test_line_breaks_in_expressions_are_kept),
        cmocka_unit_test(test_marks_of_thousands_of_holes_in_one_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
