/* `bellwire fmt`: the spellings of other languages become Lua's, nothing else is touched, and the version stays. */
#include "workflow/format.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "name: w\non: [{event: a.b}]\n"

static struct bw_format format;
static struct bw_errors errs;

static bool run(const char *text)
{
    bw_format_free(&format);
    bw_errors_free(&errs);
    errs = (struct bw_errors){0};
    return bw_workflow_format((struct bw_slice){text, strlen(text)}, "w.yaml", &format, &errs);
}

static void hash_of(const char *text, uint8_t hash[32])
{
    struct bw_workflow **workflows;
    size_t count = bw_workflow_load((struct bw_slice){text, strlen(text)}, "w.yaml", &workflows, &errs);
    assert_int_equal(count, 1);
    memcpy(hash, workflows[0]->hash, 32);
    bw_workflow_free(workflows[0]);
    free(workflows);
}

static void expect(const char *before, const char *after)
{
    uint8_t old[32], new[32];
    if (!run(before)) fail_msg("%s\n%s", before, errs.count ? errs.items[0].message : "");
    assert_string_equal(format.text.data, after);
    hash_of(before, old);
    hash_of(after, new);
    assert_memory_equal(old, new, 32);
    assert_true(run(after));
    assert_int_equal(format.count, 0);
}

static void test_each_spelling_in_each_kind_of_scalar(void **state)
{
    (void)state;
    expect(HEAD "steps:\n  - {id: a, if: event.data.a != 1 && event.data.b, set: {}}\n",
           HEAD "steps:\n  - {id: a, if: event.data.a ~= 1 and event.data.b, set: {}}\n");
    expect(HEAD "steps:\n  - {id: a, set: {x: \"${{ !event.data.a||(!event.data.b)&&!event.data.c }} é && ${{ 1 != 2 }}\"}}\n",
           HEAD "steps:\n  - {id: a, set: {x: \"${{ not event.data.a or (not event.data.b) and not event.data.c }} é && ${{ 1 ~= 2 }}\"}}\n");
    expect(HEAD "steps:\n  - id: a\n    set:\n      x: '${{ ''it''''s'' != event.data.a&&true }}'\n      y: >\n        ${{ 1 !=\n        2 ||\n      "
                "  !false }}\n",
           HEAD "steps:\n  - id: a\n    set:\n      x: '${{ ''it''''s'' ~= event.data.a and true }}'\n      y: >\n        ${{ 1 ~=\n        2 or\n   "
                "     not false }}\n");
    expect(HEAD "steps:\n  - id: a\n    if: |\n      !event.data.a\n    set: {}\n",
           HEAD "steps:\n  - id: a\n    if: |\n      not event.data.a\n    set: {}\n");
    /* YAML takes blanks away before and behind a separator of Unicode, which stays in the text. */
    expect(HEAD "steps:\n  - {id: a, set: {x: \"${{ (!\xe2\x80\xa8"
                "event.data.a)&&\xe2\x80\xa9!event.data.b }}\"}}\n",
           HEAD "steps:\n  - {id: a, set: {x: \"${{ (not\xe2\x80\xa8"
                "event.data.a) and\xe2\x80\xa9not event.data.b }}\"}}\n");
}

static void test_texts_comments_and_everything_outside_stay(void **state)
{
    static const char untouched[] = HEAD "# a != b && !c\ndescription: a && b || !c\nvars: {x: \"!= &&\"}\nsteps:\n"
                                         "  - {id: a, set: {x: \"a && b ${{ '!= && ||' .. [[ ! ]] --[[ && ]] }} !\"}}   # !x\n"
                                         "  - id: b\n    lua: |\n      -- && || in a comment of Lua\n      return {a = \"!=\"}\n";
    (void)state;
    assert_true(run(untouched));
    assert_int_equal(format.count, 0);
    assert_string_equal(format.text.data, untouched);
}

static void test_an_expression_of_many_steps_is_changed_once_and_documents_are_apart(void **state)
{
    (void)state;
    expect("name: w\non: [{manual: true}]\ndefaults: {limit: {name: llm, key: \"${{ !event.data.a }}\"}}\n"
           "steps:\n  - {id: a, lua: \"return {}\"}\n  - {id: b, lua: \"return {}\"}\n",
           "name: w\non: [{manual: true}]\ndefaults: {limit: {name: llm, key: \"${{ not event.data.a }}\"}}\n"
           "steps:\n  - {id: a, lua: \"return {}\"}\n  - {id: b, lua: \"return {}\"}\n");
    expect(HEAD "steps:\n  - switch: ${{ !event.data.a }}\n    cases:\n      true: [{id: a, set: {}}]\n      false: [{id: b, set: {}}]\n",
           HEAD "steps:\n  - switch: ${{ not event.data.a }}\n    cases:\n      true: [{id: a, set: {}}]\n      false: [{id: b, set: {}}]\n");
    expect(
        HEAD "outputs: {x: \"${{ !vars.a }}\"}\nsteps: [{id: a, if: 1 != 2, set: {}}]\nconcurrency: {key: \"${{ !vars.a }}\"}\nvars: {a: true}\n",
        HEAD
        "outputs: {x: \"${{ not vars.a }}\"}\nsteps: [{id: a, if: 1 ~= 2, set: {}}]\nconcurrency: {key: \"${{ not vars.a }}\"}\nvars: {a: true}\n");
    assert_true(run(
        HEAD "steps: [{id: a, set: {x: \"${{ 1 != 2 }}\"}}]\n---\nname: v\non: [{event: a.b, if: \"true && false\"}]\nsteps: [{id: a, set: {}}]\n"));
    assert_int_equal(format.count, 2);
    assert_int_equal(format.edits[1].mark.line, 6);
    assert_non_null(strstr(format.text.data, "true and false"));
}

static void test_a_file_that_does_not_load_or_hides_it_is_left_alone(void **state)
{
    (void)state;
    assert_false(run(HEAD "steps: [{id: a, if: 1 != 2, set: {x: \"${{ steps.b.x }}\"}}]\n"));
    assert_string_equal(errs.items[0].code, "expr.unknown_step");
    assert_false(run(HEAD "steps: [{id: a, set: {x: \"${{ 1 \\x21= 2 }}\"}}]\n"));
    assert_string_equal(errs.items[0].code, "fmt.escaped");
    assert_int_equal(errs.items[0].line, 3);
}

static int forget(void **state)
{
    (void)state;
    bw_format_free(&format);
    bw_errors_free(&errs);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_spelling_in_each_kind_of_scalar),
        cmocka_unit_test(test_texts_comments_and_everything_outside_stay),
        cmocka_unit_test(test_an_expression_of_many_steps_is_changed_once_and_documents_are_apart),
        cmocka_unit_test(test_a_file_that_does_not_load_or_hides_it_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, forget);
}
